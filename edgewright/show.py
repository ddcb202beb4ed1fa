"""What the commands print: plans, boards, bundles, and help."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from edgewright import digest, log, options
from edgewright.build import Build, State
from edgewright.cache import Size, Store
from edgewright.config import Project, shown
from edgewright.plan import Plan, Step
from edgewright.reproduce import Row

COMMANDS = (
    ("deploy", "DEVICE=…", "from data to a model on the board; without a board in dist/, and rehearsed"),
    ("flash", "DEVICE=… [PORT=…]", "what is in dist/ onto the board; checked, and run there"),
    ("monitor", "DEVICE=… [VIEW=1]", "what the board sees, live; VIEW=1: in the browser"),
    ("board", "DEVICE=… [DATA=…]", "a virtual board, for any client to flash and talk to; DATA=: what its camera sees"),
    ("verify", "DEVICE=…", "… only prove what the board will do; MODEL=any.tflite: with anybody's file"),
    ("reproduce", "DEVICE=…", "build everything twice from nothing and compare every byte; IMAGES=1: the images too"),
    (
        "release",
        "DEVICE=… [KEY=…]",
        "deploy, with statements, bill of materials, card; signed, in dist/releases/; DEVICE=all",
    ),
    ("check", "RELEASE=… [KEY=…]", "verify a release with nothing but itself and the public key"),
    ("key", "[KEY=…]", "make a key pair to sign releases with"),
    ("report", "DEVICE=…", "open the last report"),
    ("plan", "DEVICE=…", "what would run, and why"),
    ("devices", "", "boards, firmwares, recipes"),
    ("doctor", "", "engines, GPU, disk, network: what is there, and what to do"),
    ("test", "", "unit tests, then the real ones for every engine that answers"),
    ("environments", "[DEVICE=…]", "build images or venvs now, not when they are first needed"),
    ("vendor", "[VENDOR=…]", "collect wheels, assets and images in one folder, for a machine without a network"),
    ("base", "", "make the base image here, with mmdebstrap"),
    ("lock", "[UPGRADE=1]", "resolve the requirements again and rewrite the locks"),
    ("audit", "", "known vulnerabilities in every lock, each excused in requirements/audit.toml or an error"),
    ("bench", "WEIGHTS=… DATA=…", "measure the export against stock `yolo export`"),
    (
        "bench",
        "MODEL=… [DATA=…]",
        "measure verify on one core and all, or a run with nothing to do on 8 images and 8,000",
    ),
    ("bench", "RELEASE=dist/…", "measure a flash at 921600 baud against what its bytes take on the line"),
    ("cache", "", "what the cache of finished steps holds; all workspaces share it"),
    ("clean", "[CACHE=1]", "remove build/ and dist/; from the cache what was unused for 30 days"),
)


def help_text() -> None:
    """Print every command and every option."""
    log.out.print("Edgewright: a YOLOv8 model onto a microcontroller, with the same bytes every time.\n")
    for name, arguments, text in COMMANDS:
        log.out.print(f"  make {name + ' ' + arguments:<27} {text}", markup=False)
    log.out.print("\nOptions of deploy, verify, report and plan:")
    for name, text in options.HELP.items():
        log.out.print(f"  {name.upper() + '=':<12} {text}", markup=False)
    log.out.print("\nOf one command only:")
    for name, text in options.OWN.items():
        log.out.print(f"  {name.upper() + '=':<12} {text}", markup=False)
    log.out.print(
        "\nThe same with exit codes by kind, for scripts: .venv/bin/inv deploy --device … --imgsz …", markup=False
    )


def devices(project: Project) -> None:
    """Print every board with its firmwares and stages, and every recipe."""
    for device in project.devices.values():
        log.out.print(f"{device.name}", style="bold")
        log.out.print(f"    {device.title}: {device.about}", markup=False)
        log.out.print(f"    stages     {' → '.join(device.pipeline)}", markup=False)
        if board := device.board:
            text = f"{board.chip}, {' or '.join(board.usb)} on USB, flashed with {board.loader}; its firmware: {board.source}"
            log.out.print(f"    board      {text}", markup=False)
        for firmware in project.firmwares.values():
            if firmware.device == device.name:
                default = "  (default)" if firmware.name == device.firmware else ""
                log.out.print(f"    firmware   {firmware.name}: {firmware.title}{default}", markup=False)
                forms = ", ".join(accepted.title for accepted in firmware.accepts)
                log.out.print(
                    f"               {firmware.versions}; takes {forms or 'what nobody wrote down'}",
                    style="dim",
                    markup=False,
                )
    log.out.print("recipes", style="bold")
    for recipe in project.recipes.values():
        log.out.print(f"    {recipe.name:<16} {recipe.title} ({recipe.imgsz} px)", markup=False)


def plan(states: Sequence[State], made: Plan, undecided: Step | None = None) -> None:
    """Print what would run and why, a line a step; `undecided`: the step that has to tell first which recipe is meant."""
    recipe = "" if undecided or made.name == made.recipe.name else f", recipe {made.recipe.name}"
    log.say("plan", f"{made.name} for {made.device.title}{recipe}, firmware {made.firmware.name}")
    if undecided:
        log.say("", f"recipe known once {undecided.stage.name} has run", "dim")
    for state in states:
        if state.record:
            log.say(state.step.stage.name, "up to date", "dim")
        elif state.cached:
            log.say(state.step.stage.name, "will be copied from the cache", "dim")
        else:
            log.say(state.step.stage.name, f"will run: {state.reason}")
    if not made.steps:
        log.say("", "no step: the file given is bundled as it is")


def cache(store: Store) -> None:
    """Print where the cache is, how much it holds of each stage, and when that was last of use."""
    size = store.size()
    log.say("cache", f"{shown(store.folder)}: {size.steps} steps, {size.files} files, {log.size(size.bytes)}")
    for use in store.use():
        age = f"{max(time.time() - use.last, 0) / 86400:.1f} days ago"
        log.say(use.stage, f"{use.steps:>5} steps  {log.size(use.bytes):>9}  last of use {age}")
    log.say("", "make clean CACHE=1 removes what nobody has used for 30 days", "dim")


def swept(gone: Size) -> None:
    """Print what a sweep has removed."""
    log.say("cache", f"swept: {gone.steps} steps, {gone.files} files, {log.size(gone.bytes)}")


def digests(rows: Sequence[Row]) -> None:
    """Print every output of two equal builds with its sha256."""
    width = max(len(row.path) for row in rows)
    for row in rows:
        same = "identical" if row.first == row.second else row.excuse
        log.say(row.stage, f"{row.path:<{width}} {row.bytes:>13,}  {row.first}  {same}")
    count = sum(row.first == row.second for row in rows)
    log.say("✓", f"{count} of {len(rows)} outputs are the same bytes twice", "green")


def contents(images: Sequence[tuple[str, str]]) -> None:
    """Print the digest of what each image contains."""
    for stage, total in images:
        log.say(stage, f"✓ built twice, the same contents: sha256:{total}", "green")


def key(private: Path, public: Path) -> None:
    """Print where a new key pair is, and what to do with each half."""
    log.say("key", f"{shown(private)}: keep it secret, and a copy of it safe", "bold")
    log.say("", f"{shown(public)}: give it to whoever should check your releases")
    log.say("", f"make release DEVICE=… KEY={shown(private)}", "dim")


def bundle(folder: Path, written: bool, walk: Build) -> None:
    """Print where the bundle is, and what came of it."""
    model = folder / "model.tflite"
    log.say(
        "bundle", f"{shown(folder)}/  {log.size(model.stat().st_size)}  sha256:{digest.of_file(model)[:12]}…", "bold"
    )
    if not written:
        log.say("", "nothing to do: every step and the bundle have the recorded hashes", "dim")
    if not (folder / "labels.txt").exists():
        log.say("", "a .tflite alone has no class names: no labels.txt", "yellow")
    if not walk.engine.hermetic:
        log.say(
            "",
            "made by the venv engine: a step could read and change all that you can, and end your processes;",
            "yellow",
        )
        log.say("", "for trying, and for files that you trust; releases come from containers", "yellow")
