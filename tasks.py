"""Invoke tasks, a thin face on `edgewright`: `inv deploy --device esp32s3` and `make deploy DEVICE=esp32s3` are the same."""

from __future__ import annotations

import datetime
import functools
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from invoke import Context, task

from edgewright import bundle, engines, log, options, proc, rebuild, show, verdict
from edgewright import reproduce as reproducing
from edgewright.build import complete, status
from edgewright.cache import Store
from edgewright.config import load_project
from edgewright.containers import Container
from edgewright.errors import EdgewrightError, EngineMissing, StageFailed, WrongInput, full_disk_as_error
from edgewright.request import device_of, last_walk_of, planned, supply_of, walk_of, walk_that_made

ROOT = Path(__file__).resolve().parent
VOLUME, DIST = ROOT / "build", ROOT / "dist"
ALL = "all"  # DEVICE= of a release for every board
UNUSED_DAYS = 30  # how long the cache keeps a step that nobody takes from it
# By what is given: the benchmark that takes it.
BENCHMARKS = {
    ("weights", "data"): "export",
    ("device", "model"): "vela",
    ("model",): "verify",
    ("model", "data"): "repeat",
    ("release",): "flash",
}
INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended


def command(*names: str) -> Callable[[Callable[..., None]], Any]:
    """Make a task of a function of one dict, the options of these names, all strings; an error ends it in one style."""

    def decorate(body: Callable[[dict[str, str]], None]) -> Any:
        @functools.wraps(body)
        def run(_: Context, **raw: str) -> None:
            try:
                with full_disk_as_error(), proc.terminated_as_interrupt():
                    body(options.with_environment(raw))
            except EdgewrightError as problem:
                log.fail(str(problem), problem.hint)
                sys.exit(problem.exit_code)
            except KeyboardInterrupt as interrupted:
                # Who writes to a board says in what state it is now.
                log.fail(
                    str(interrupted) or "interrupted; the step that was running left nothing, finished ones are kept"
                )
                sys.exit(INTERRUPTED)

        # Invoke reads a task's options from its signature.
        positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters = [
            inspect.Parameter("_", positional),
            *(inspect.Parameter(n, positional, default="") for n in names),
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        texts = {name: text for name, text in {**options.HELP, **options.OWN}.items() if name in names}
        return task(help=texts, auto_shortflags=False, name=body.__name__.rstrip("_"))(run)

    return decorate


@command(*options.HELP, "port")
def deploy(raw: dict[str, str]) -> None:
    """Build everything for a board and flash it; without a board up to the bundle in dist/, and a rehearsal on a virtual one."""
    from edgewright.boards import actions  # only here and below: esptool is slow to load

    walk = complete(walk_of(ROOT, raw))
    verdict.require(walk)
    folder, written = bundle.write(walk, DIST)
    show.bundle(folder, written, walk)
    actions.finish(load_project(ROOT), walk, folder, raw["port"])


@command(*options.HELP, "port", "release", "firmware_image")
def flash(raw: dict[str, str]) -> None:
    """Write what is in dist/ to the board, check it, and ask the firmware to run it."""
    from edgewright.boards import actions, bundles

    project = load_project(ROOT)
    device = device_of(project, raw)
    made = bundles.find(DIST, device, raw["name"], raw["release"], raw["firmware"])
    walk = functools.partial(walk_that_made, project, made.manifest, raw)
    actions.send(project, walk, device, made, raw["port"], raw["firmware_image"])


@command(*options.HELP, "port", "fault")
def board(raw: dict[str, str]) -> None:
    """Stand a virtual board up that any client can flash and talk to; --data gives the pictures that its camera sees."""
    from edgewright.boards import actions, bundles

    project = load_project(ROOT)
    made = None
    if not any(raw[name] for name in ("recipe", "weights", "model")):
        made = bundles.find_any(DIST, device_of(project, raw), raw["name"], raw["firmware"])
    # DATA= is what its camera sees, here and below, not what anything is built from.
    given = {**raw, "data": ""}
    walk = walk_that_made(project, made.manifest, given) if made else last_walk_of(ROOT, given)
    actions.stand_up(walk, made, raw["data"], raw["fault"], raw["port"])


@command(*options.HELP, "port", "release", "view", "count")
def monitor(raw: dict[str, str]) -> None:
    """Show what the board sees, live; with --view 1 in the browser, frames and skeletons too."""
    from edgewright.boards import actions, bundles

    project = load_project(ROOT)
    device = device_of(project, raw)
    made = bundles.find(DIST, device, raw["name"], raw["release"], raw["firmware"])
    view = options.flag("view", raw["view"])
    walk = functools.partial(walk_that_made, project, made.manifest, {**raw, "data": ""})
    actions.watch(project, walk, device, made, raw["port"], raw["data"], view=view, count=raw["count"])


@command(*options.HELP)
def verify(raw: dict[str, str]) -> None:
    """Prove on this machine what the board will do; with --model any.tflite, that of anybody's file."""
    verdict.require(complete(walk_of(ROOT, raw)))


@command("key")
def key(raw: dict[str, str]) -> None:
    """Make a key pair to sign releases with."""
    from edgewright import signature

    show.key(*signature.make_key(Path(raw["key"]).expanduser() if raw["key"] else signature.DEFAULT))


@command(*options.HELP, "key")
def release(raw: dict[str, str]) -> None:
    """Deploy, and write the bundle with statements, bill of materials, card, licences; --key: signed; --device all: for each."""
    from edgewright import release  # only here and below: cryptography is slow to load

    devices = load_project(ROOT).devices if raw["device"] == ALL else [raw["device"]]
    for walk in [walk_of(ROOT, {**raw, "device": device}, released=True) for device in devices]:
        terms = release.prepare(ROOT, walk.engine, raw["key"])
        verdict.require(complete(walk))
        show.bundle(*release.write(walk, DIST, terms), walk)


@command("release", "key")
def check(raw: dict[str, str]) -> None:
    """Verify a release with nothing but itself and a public key."""
    from edgewright import check

    if not raw["release"]:
        raise WrongInput("which release?", "RELEASE=dist/releases/…")
    key = Path(raw["key"]).expanduser() if raw["key"] else None
    found = check.check(Path(raw["release"]).expanduser(), key)
    for line in found.holds:
        log.say("✓", line, "green")
    for line in found.open:
        log.say("!", line, "yellow")


@command(*options.HELP, "against", "images")
def reproduce(raw: dict[str, str]) -> None:
    """Build everything twice from nothing, the second time under other conditions, and compare every byte."""
    walk = walk_of(ROOT, raw)
    images = options.flag("images", raw["images"])
    stages = [step.stage for step in walk.plan.steps]
    other = engines.another(ROOT, walk.engine, stages, raw["against"], walk.supply)
    show.digests(reproducing.reproduce(load_project(ROOT), walk, other))
    if images and isinstance(walk.engine, Container):
        show.contents(rebuild.compare(walk.engine, stages))


@command(*options.HELP)
def report(raw: dict[str, str]) -> None:
    """Open the report of the last verification."""
    verdict.open_page(planned(ROOT, raw)[0])


@command(*options.HELP)
def plan(raw: dict[str, str]) -> None:
    """Say what would run, and why; run nothing."""
    walk, undecided = planned(ROOT, raw)
    show.plan(status(walk, undecided), walk.plan, undecided)


@command("json")
def devices(raw: dict[str, str]) -> None:
    """List boards, firmwares and recipes; with --json 1 only the boards' names, for a CI matrix."""
    project = load_project(ROOT)
    if options.flag("json", raw["json"]):
        print(json.dumps(list(project.devices)))
    else:
        show.devices(project)


@command()
def doctor(_: dict[str, str]) -> None:
    """Say what this machine has of what a build needs."""
    from edgewright import doctor  # only here: it is slow to load, and `make deploy` should not wait for it

    sys.exit(0 if doctor.show(ROOT) else 3)


@command("engine", "offline", "vendor")
def environments(raw: dict[str, str]) -> None:
    """Build every stage's image or venv now."""
    engine = engines.choose(ROOT, raw["engine"], supply_of(raw))
    for stage in load_project(ROOT).stages.values():
        log.say(stage.name, engine.prepare(stage).name)


@command("engine", "vendor")
def vendor(raw: dict[str, str]) -> None:
    """Collect wheels, assets and images in one folder, from which a machine without a network builds."""
    from edgewright.vendor import fill

    fill(load_project(ROOT), engines.choose(ROOT, raw["engine"]), Path(raw["vendor"] or ROOT / "vendor").expanduser())


@command("engine")
def base(raw: dict[str, str]) -> None:
    """Make the base image on this machine, with mmdebstrap."""
    from edgewright import base

    engine = engines.choose(ROOT, raw["engine"])
    if not isinstance(engine, Container):
        raise EngineMissing(f"{engine.name} needs no base image", "ENGINE=docker or ENGINE=podman")
    base.make_local(engine.program, base.load_base(ROOT))


@command("upgrade", "table")
def lock(raw: dict[str, str]) -> None:
    """Resolve every requirements.in again; with --upgrade 1 to the newest that it allows."""
    from edgewright.lock import lock

    table = Path(raw["table"]).expanduser() if raw["table"] else None
    lock(ROOT, upgrade=options.flag("upgrade", raw["upgrade"]), table=table)


@command()
def audit(_: dict[str, str]) -> None:
    """Ask about known vulnerabilities in every lock; each is excused in requirements/audit.toml, or an error."""
    from edgewright.audit import audit

    found = audit(ROOT, datetime.date.today())
    log.say("audit", f"✓ {len(found)} findings, all excused with a reason and a date", "green")


@command("weights", "data", "device", "model", "release")
def bench(raw: dict[str, str]) -> None:
    """Measure in one run: the export against stock, vela's build, verify's cores, a run with nothing to do, or a flash."""
    names = tuple(name for name in ("weights", "device", "model", "data", "release") if raw[name])
    if names not in BENCHMARKS:
        known = "   or   ".join(" ".join(f"{n.upper()}=…" for n in given) for given in BENCHMARKS)
        raise WrongInput("bench needs something to measure", f"make bench {known}")
    given = [raw[n] if n == "device" else str(Path(raw[n]).resolve()) for n in names]
    name = BENCHMARKS[names]
    script = [sys.executable, "-m", f"tests.bench.{name}", *given]
    if code := proc.stream(script, print, cwd=ROOT):
        raise StageFailed(f"the benchmark ended with exit code {code}", "make doctor")


@command()
def cache(_: dict[str, str]) -> None:
    """Say what the cache of finished steps holds, and where it is."""
    for hermetic in (True, False):
        show.cache(Store.of_user(hermetic))


@command("cache")
def clean(raw: dict[str, str]) -> None:
    """Remove build/ and dist/; with --cache 1, from the cache what nobody has used for 30 days. Environments stay."""
    from edgewright.build import clean

    sweeps = options.flag("cache", raw["cache"])
    clean(VOLUME, DIST)
    if sweeps:
        for hermetic in (True, False):
            show.swept(Store.of_user(hermetic).sweep(UNUSED_DAYS))


@command("names")
def unknown(raw: dict[str, str]) -> None:
    """Refuse make variables that no task reads (called by the Makefile)."""
    options.refuse_unknown(raw["names"].split())


@command()
def help_(_: dict[str, str]) -> None:
    """List the commands and their options."""
    show.help_text()
