"""A virtual board for a plan: its firmware is the plan's, its network runs in the proof's own environment, its camera shows the
pictures that the proof was made on."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from edgewright import files, log
from edgewright.boards.bundles import board_of
from edgewright.boards.virtual.board import Say, VirtualBoard, plugged_in
from edgewright.boards.virtual.line import NONE, Faults, Transport
from edgewright.boards.virtual.terminal import Terminal
from edgewright.boards.virtual.wiring import Wiring
from edgewright.boards.virtual.worker import Workshop
from edgewright.build import LOCKS, Build
from edgewright.config import RECORD, Asset
from edgewright.environments import exclusively
from edgewright.errors import WrongInput
from edgewright.execute import RUN
from edgewright.firmware import Firmware
from edgewright.plan import DETECTIONS, MODEL, VERDICT, Output, Source, Step
from edgewright.records import read

FRAMES = 4  # of a rehearsal: TFLM takes half a second each
SHOWN = 64  # to somebody who watches, in turn
UNCOMPILED = "uncompiled"  # the role of the network from before the NPU's compiler
DATASET = "dataset"
PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
SIDE = 240  # pixels of the test card: the smallest frame of both boards' cameras

Connect = Callable[[Wiring], Transport]


def proof_of(walk: Build) -> Step:
    """Return the step whose environment computes what a board would."""
    found = next((step for step in walk.plan.steps if VERDICT in step.stage.outputs), None)
    if not found:
        raise WrongInput(
            f"nothing in the pipeline of {walk.plan.device.name} can compute what its board would", "make devices"
        )
    return found


def pictures_of(walk: Build, proof: dict[str, Any] | None = None, most: int = FRAMES) -> list[tuple[str, Path]]:
    """Return frames of a proof (default: the walk's own) with their names there: those first in which something was found.

    Where there are none, or they are not what they were, it says why a test card is seen instead.
    """
    step = proof_of(walk)
    source = step.inputs.get(DATASET)
    try:
        rows = (proof or json.loads(_there(walk, Output(step.stage.name, DETECTIONS)).read_text()))["frames"]
        if not rows or source is None:
            raise _Gone("the proof was made without pictures")
        folder = _there(walk, source)
        names = [str(row["name"]) for row in sorted(rows, key=lambda row: not row["results"])]
    except (_Gone, LookupError, TypeError, ValueError) as problem:
        reason = problem if isinstance(problem, _Gone) else "nobody can read on what the proof was made"
        log.say("board", f"{reason}: the virtual board's camera sees a test card", "yellow")
        return []
    # A bundle may be somebody else's, and name what lies elsewhere.
    pairs = [(name, folder / name) for name in names if ".." not in Path(name).parts and not Path(name).is_absolute()]
    return [(name, path) for name, path in pairs if path.is_file()][:most]


class _Gone(Exception):
    """Something that a proof was made on is not here."""


def _there(walk: Build, source: Source) -> Path:
    """Return where a source lies, if it is there and still what it was."""
    if isinstance(source, Asset):
        return walk.path(source)
    if isinstance(source, Output):
        stage = next((step.stage for step in walk.plan.steps if step.stage.name == source.stage), None)
        record = walk.done.get(source.stage)
        if stage is None or record is None or source.role not in record.outputs:
            raise _Gone("what the proof was made on is no longer in build/")
        if problem := record.problem(walk.volume, stage):
            raise _Gone(f"{record.folder}: {problem}")
        return walk.path(source)
    try:
        if not source.path.exists():
            raise _Gone(f"{source.path} is not there any more")
        if source.sha256 and walk.digest(source) != source.sha256:
            raise _Gone(f"{source.path} is not what the proof was made on")
    except (OSError, ValueError, WrongInput) as problem:
        raise _Gone(f"{source.path}: {problem}") from None
    return source.path


def pictures_in(given: str) -> list[Path]:
    """Return a picture, or those of a folder, by name; which files are pictures only the camera can tell."""
    path = Path(given).expanduser()
    if not path.exists():
        raise WrongInput(f"DATA={given}: no such file or folder", "DATA=folder of pictures")
    found = (
        [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file() and p.suffix.lower() in PICTURES)
    )
    if not found:
        raise WrongInput(f"DATA={given}: no pictures in it", f"one of {', '.join(sorted(PICTURES))}")
    return found


def draw_test_card(folder: Path) -> Path:
    """Write what the camera sees where nobody gives a picture: a BMP of grey steps."""
    rows = b"".join(bytes([(x // 30 * 30 + y // 30 * 2) % 256] * 3) for y in range(SIDE) for x in range(SIDE))
    head = struct.pack(
        "<2sIHHIIiiHHIIiiII", b"BM", 54 + len(rows), 0, 0, 54, 40, SIDE, SIDE, 1, 24, 0, len(rows), 0, 0, 0, 0
    )
    path = folder / "test-card.bmp"
    path.write_bytes(head + rows)
    return path


def stand(
    walk: Build,
    firmware: Firmware,
    folder: Path,
    pictures: Sequence[Path],
    connect: Connect,
    *,
    faults: Faults = NONE,
    say: Say = lambda _: None,
    unscaled: bool = False,
) -> VirtualBoard:
    """Return a virtual board of the plan's device whose flash is kept in `folder`, a folder of the volume.

    `unscaled`: pictures keep their own size, to be compared with the proof's; else they become frames of the board's camera.
    """
    folder.mkdir(parents=True, exist_ok=True)
    frames = list(pictures) or [draw_test_card(folder)]
    board, stage = board_of(walk.plan.device), proof_of(walk).stage
    walk.engine.prepare(stage)  # now: it may take minutes, and whoever talks to the board has no such patience
    workshop = Workshop(
        walk.engine,
        stage,
        folder / "network",
        walk.volume,
        firmware,
        frames,
        partial(uncompiled, walk),
        unscaled=unscaled,
    )
    return VirtualBoard(board, firmware, folder, workshop, connect, faults=faults, say=say)


def uncompiled(walk: Build, content: bytes) -> Path | None:
    """Return the file from which the NPU's compiler made what is in flash, if it was made here.

    This machine has no NPU. What was compiled is told by its bytes, whatever filler follows them.
    """
    found = dict(_compiled_here(walk.volume))
    step = proof_of(walk)
    with suppress(_Gone, KeyError):
        found[_there(walk, step.inputs[MODEL])] = _there(walk, step.inputs[UNCOMPILED])
    for compiled, before in found.items():
        if before.exists() and content.startswith(compiled.read_bytes()):
            return before
    return None


def _compiled_here(volume: Path) -> Iterator[tuple[Path, Path]]:
    """Yield every model on the volume that was made from another one, with that."""
    made = [record for path in volume.glob(f"*/{RECORD}") if (record := read(volume, path.parent.name))]
    models = {
        str(output["sha256"]): volume / record.path(role) for record in made for role, output in record.outputs.items()
    }
    for record in made:
        before = models.get(record.facts["inputs"].get(MODEL, ""))
        if MODEL in record.outputs and before:
            yield volume / record.path(MODEL), before


def _is_running(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


@contextmanager
def rehearsing(walk: Build, firmware: Firmware, pictures: Sequence[Path]) -> Iterator[str]:
    """Plug a new virtual board in; yield its port. It is gone afterwards, its flash with it."""
    folder = walk.volume / RUN / f"board-{os.getpid()}"
    for left in folder.parent.glob("board-*"):
        # Of a rehearsal that was killed, and be it of one whose number is ours by now.
        if left == folder or not _is_running(left.name.removeprefix("board-")):
            files.remove(left)
    try:
        connect = partial(Terminal, folder / "port")
        with plugged_in(stand(walk, firmware, folder, pictures, connect, unscaled=True)) as port:
            yield port
    finally:
        files.remove(folder)


@contextmanager
def kept(
    walk: Build, firmware: Firmware, pictures: Sequence[Path], connect: Connect | None = None, **terms: Any
) -> Iterator[VirtualBoard]:
    """Return the virtual board whose flash is kept from one command to the next; only one command at a time has it."""
    folder = walk.volume / f"board-{walk.plan.device.name}"
    with exclusively(
        folder.name, walk.volume / LOCKS, speaker="board", text="another command has this virtual board; waiting"
    ):
        yield stand(walk, firmware, folder, pictures, connect or partial(Terminal, folder / "port"), **terms)
