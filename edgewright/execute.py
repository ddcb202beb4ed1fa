"""Run one step: lay out its folder, call the engine, and publish what came out, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgewright import digest, files, log, outputs, proc, records
from edgewright.config import LOG, REQUEST, Stage
from edgewright.engine import Conditions, Engine, Environment, Job, Mount
from edgewright.errors import EdgewrightError, EngineMissing, HashDiffers, OutputMissing, StageFailed, WrongInput
from edgewright.foreign import Foreign
from edgewright.plan import Step
from edgewright.records import Record

RUN, DIFFERS = "run", "differs"  # folders on the volume: runs that go on, and repeated ones that came out otherwise
PARTIAL = "partial"  # folder on the volume: what runs that came to no end have left to look at
TAKEN = ".taken"  # suffix of the folder of ours into which a run's outputs are taken over
REFUSED = 2  # a stage's exit code for "the input is at fault" (docker/stage.py)
# How docker and podman say that no GPU (or no container toolkit) is there.
NO_GPU = ("could not select device driver", "nvidia.com/gpu")
# As the system says it, and as numpy does of a file that it could write only in part.
NO_SPACE = r"No space left on device|\d+ requested and \d+ written"
KILLED = (137, -9)  # by the kernel, for want of memory, or by hand


@dataclass(frozen=True)
class Work:
    """A step, what runs it, on which files (role → host path), and where."""

    engine: Engine
    environment: Environment
    volume: Path
    step: Step
    paths: Mapping[str, Path]
    conditions: Conditions = field(default_factory=Conditions)

    @property
    def stage(self) -> Stage:
        """Return the step's stage."""
        return self.step.stage


def execute(work: Work, facts: Mapping[str, Any]) -> Record:
    """Run a step and return its record.

    It works in `run/<step>` on the volume. What it has left there is foreign: only its promised outputs are taken over, into a
    folder of ours, which gets its final name when every output is there and hashed. Both are gone if anything goes wrong; the log
    stays.
    """
    key, started = digest.of_value(facts), time.monotonic()
    with _working(work, key) as folder:
        made, taken = _run(work, folder)
        record = Record(work.stage.name, key, facts, made)
        publish(record, taken, work.volume)
    main = next(iter(record.outputs.values()))
    seconds = time.monotonic() - started
    log.say(work.stage.name, f"✓ {record.folder}/{main['path']}  {log.size(main['bytes'])}  {seconds:.1f} s", "green")
    return record


def repeat(work: Work, record: Record) -> None:
    """Run a finished step once more and compare every output; raise HashDiffers where one is not what it was, and keep both."""
    stage, volume = work.stage, work.volume
    with _working(work, record.key) as folder:
        made, taken = _run(work, folder)
        different = [
            role for role in record.outputs if made.get(role, {}).get("sha256") != record.outputs[role]["sha256"]
        ]
        if different:
            kept = volume / DIFFERS / folder.name
            files.remove(kept)
            kept.parent.mkdir(exist_ok=True)
            os.replace(taken, kept)
            name = record.outputs[different[0]]["path"]
            raise HashDiffers(
                f"{stage.name}: run again, {name} differs from what was recorded",
                f"cmp {volume / record.folder / name} {kept / name}",
            )
    log.say(stage.name, f"✓ run again: the same {len(record.outputs)} outputs", "green")


@contextmanager
def _working(work: Work, key: str) -> Iterator[Path]:
    """Give an empty folder for one run; afterwards it is gone, and what was taken from it and not published too."""
    folder = work.volume / RUN / records.folder_of(work.stage.name, key)
    taken = folder.with_name(folder.name + TAKEN)
    for path in (folder, taken):
        files.remove(path)  # what a killed run left
    folder.mkdir(parents=True)
    try:
        yield folder
    except WrongInput:
        _keep(work, folder)
        raise
    finally:
        for path in (folder, taken):
            try:
                files.remove(path)
            except OSError as problem:
                raise StageFailed(f"{work.stage.name}: {problem}", f"rm -rf {path}") from None


def clear(volume: Path, record: Record) -> None:
    """Remove what a killed run of a finished step has left; its lock is held."""
    for suffix in ("", TAKEN):
        path = volume / RUN / (record.folder + suffix)
        if os.path.lexists(path):
            files.remove(path)


def _run(work: Work, folder: Path) -> tuple[dict[str, dict[str, Any]], Path]:
    """Lay out the folder, run the stage in it, and return its outputs, hashed, and the folder into which they were taken."""
    own, engine = folder.relative_to(work.volume), work.engine
    mounts, request = _lay_out(work, own)
    job = Job(
        name=f"{job_prefix(work.volume, own.name)}{os.getpid()}",
        volume=work.volume,
        folder=own.as_posix(),
        request=(own / REQUEST).as_posix(),
        mounts=mounts,
        limits=work.stage.limits,
        gpu=bool(work.step.parameters.get("gpu")),
        conditions=work.conditions,
    )
    if ended := engine.sweep(job):
        log.say(work.stage.name, f"ended what a killed run had left running: {ended}", "yellow")
    engine.take(folder)
    _call(engine, work.environment, job)
    taken = folder.with_name(folder.name + TAKEN)
    made = _outputs(work, folder, taken)
    files.write(taken / REQUEST, request)
    return made, taken


def job_prefix(volume: Path, step: str) -> str:
    """Return how the names of a step's containers begin: of this volume's only, for other checkouts run the same steps."""
    whose = hashlib.sha256(os.fsencode(volume.resolve())).hexdigest()[:12]
    return f"edgewright-{whose}-{step}-"


def _lay_out(work: Work, own: Path) -> tuple[tuple[Mount, ...], str]:
    """Write the request, and return it with what is mounted.

    What lies on the volume is named as it is; a user's file becomes visible below the step's own folder.
    """
    inputs, mounts, volume = {}, [], work.volume
    for role, path in work.paths.items():
        if path.is_relative_to(volume):
            inputs[role] = path.relative_to(volume).as_posix()
            continue
        target = own / "inputs" / role / path.name if path.is_file() else own / "inputs" / role
        mounts.append(Mount(path.resolve(), target.as_posix()))
        _place(work.engine, volume / target, path)
        inputs[role] = target.as_posix()
    request = {
        "stage": work.stage.name,
        "output": own.as_posix(),
        "inputs": inputs,
        "parameters": dict(work.step.parameters),
    }
    text = json.dumps(request, indent=2, sort_keys=True) + "\n"
    (volume / own / REQUEST).write_text(text)
    return tuple(mounts), text


def _place(engine: Engine, target: Path, path: Path) -> None:
    """Make what a container mounts over, or, without one, a link: either way no byte is copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not engine.hermetic:
        target.symlink_to(path.resolve())
    elif path.is_dir():
        target.mkdir()
    else:
        target.touch()


def _log_path(folder: Path) -> Path:
    return folder.with_name(folder.name + ".log")


def _call(engine: Engine, environment: Environment, job: Job) -> None:
    """Run the stage with a bar and a log; raise what its end means."""
    stage, path = environment.stage, _log_path(job.volume / job.folder)
    files.remove(path)
    argv, stop = engine.argv(environment, job), lambda: engine.stop(job)
    try:
        code, lines = log.watch(
            stage.name, stage.title, argv, path, cwd=job.volume, stop=stop, limit_s=stage.limits.time_s
        )
    except proc.OutOfTime:
        raise StageFailed(
            f"{stage.name}: not finished after its time limit of {stage.limits.time_s:,} s, and ended (log: {path})",
            f"time_s = {2 * stage.limits.time_s} below [limits] in {stage.folder / 'stage.toml'}",
        ) from None
    if code:
        raise failure(stage, code, [as_the_user_knows_it(line, job) for line in lines], path)


def as_the_user_knows_it(line: str, job: Job) -> str:
    """Name the user's files by their own paths: a stage knows them by where they are mounted."""
    for mount in job.mounts:
        line = line.replace(mount.target, str(mount.source))
    return line


def _take(work: Work, folder: Path, taken: Path, roles: Collection[str]) -> dict[str, dict[str, Any]]:
    """Take over a run's outputs of these roles and return them, hashed; refuse a folder with anything odd in it."""
    for ours in ("inputs", "tmp"):  # with links in it, where the engine has no mounts
        files.remove(folder / ours)
    tree = outputs.take(folder, taken, work.stage, roles, {work.engine.owner(), os.getuid()})
    return outputs.describe(tree, work.stage)


def _outputs(work: Work, folder: Path, taken: Path) -> dict[str, dict[str, Any]]:
    """Return what the stage promised; a promise not kept is an error of its own."""
    stage = work.stage
    try:
        made = _take(work, folder, taken, stage.outputs)
    except Foreign as odd:
        raise StageFailed(
            f"{stage.name} has left in its folder {odd}; nothing of it was taken", f"less {_log_path(folder)}"
        ) from None
    for role, name in stage.outputs.items():
        if role not in made and role not in stage.run.optional_outputs:
            raise OutputMissing(f"{stage.name} ended without its {role}, {name}", f"less {_log_path(folder)}")
    return made


def _keep(work: Work, folder: Path) -> None:
    """Save what a run that refused its input has made for people to look at, where nothing takes it for a finished step."""
    stage, taken = work.stage, folder.with_name(folder.name + TAKEN)
    try:
        made = _take(work, folder, taken, stage.run.kept)
    except Foreign:
        return  # the refusal is what a person reads
    if made:
        target = work.volume / PARTIAL / folder.name
        files.remove(target)
        target.parent.mkdir(exist_ok=True)
        os.replace(taken, target)
        last = [made[role]["path"] for role in stage.run.kept if role in made][-1]
        log.say(stage.name, f"unfinished: {target / last}", "yellow")


def publish(record: Record, taken: Path, volume: Path) -> None:
    """Add the record and the log to a folder of outputs, and give it its final name."""
    records.write(taken, record)
    path = _log_path(volume / RUN / record.folder)
    if os.path.lexists(path) and stat.S_ISREG(path.lstat().st_mode):
        os.replace(path, taken / LOG)
    final = volume / record.folder
    files.remove(final)  # outputs that no longer were what its record said
    os.replace(taken, final)


def failure(stage: Stage, code: int, lines: list[str], path: Path) -> EdgewrightError:
    """Turn a stage's end into an error: its own two lines if it refused the input, else where to look."""
    if any(re.search(NO_SPACE, line) for line in lines):
        return StageFailed(f"{stage.name}: the disk is full (log: {path})", "make clean")
    if code == REFUSED:
        at = max((i for i, line in enumerate(lines) if line.startswith("error: ")), default=None)
        if at is not None:
            said = [line for line in lines[at:] if not line.startswith(" hint: ")]
            hints = [line.removeprefix(" hint: ") for line in lines[at:] if line.startswith(" hint: ")]
            return WrongInput("\n       ".join(said).removeprefix("error: "), hints[0] if hints else "")
    if any(word in line for word in NO_GPU for line in lines):
        return EngineMissing(
            f"{stage.name}: a GPU was asked for, and the engine has none to give", "GPU=0, or: make doctor"
        )
    if code in KILLED:
        limit = stage.limits.memory
        return StageFailed(
            f"{stage.name}: killed, probably for want of memory (limit {limit}; log: {path})", "less BATCH= or IMGSZ="
        )
    last = next((line for line in reversed(lines) if line.strip()), "no output")
    return StageFailed(f"{stage.name} ended with exit code {code}: {last.strip()[:200]}", f"less {path}")
