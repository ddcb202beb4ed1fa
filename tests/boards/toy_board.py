"""What the tests on virtual boards share: a network that needs no environment, and a bundle to flash."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from edgewright import bundle
from edgewright.boards import bundles
from edgewright.boards.bundles import Bundle
from edgewright.boards.flash import Target
from edgewright.boards.virtual.board import VirtualBoard, plugged_in
from edgewright.boards.virtual.line import Faults, Transport
from edgewright.boards.virtual.network import CannotLoad, Inference, Interpreter
from edgewright.boards.virtual.terminal import Terminal
from edgewright.boards.virtual.wiring import Wiring
from edgewright.config import Device, load_project

PROJECT = load_project(Path(__file__).resolve().parents[2])
BOX = [118, 131, 94, 180, 87, 0]
POINTS = [[112, 60, 95, 0], [118, 54, 93, 1]]


class Toy:
    """An interpreter and its network at once: it takes what begins as a model, and finds one person in every frame."""

    def __init__(self, algorithm: int = 5) -> None:
        self.algorithm = algorithm
        self.loaded: list[bytes] = []

    def load(self, content: bytes) -> Toy:
        if b"REFUSE" in content[:64]:
            raise CannotLoad("Didn't find op for builtin opcode 'EXP'")
        self.loaded.append(content)
        return self

    def infer(self, score: int, iou: int, *, image: bool, frame: tuple[int, int]) -> Inference:
        return Inference(240, 240, (8, 62, 1), "keypoints", [[BOX, POINTS]], "" if not image else "/9j/4AAQ")

    def close(self) -> None:
        pass


def make_bundle(dist: Path, device: Device, content: bytes, proof: dict[str, Any] | None = None) -> Bundle:
    """Write a bundle around a model's bytes, with what was proved about frames, if anything was."""
    firmware = PROJECT.firmwares[device.firmware]
    manifest = {
        "name": "m",
        "recipe": "m",
        "edgewright": "0",
        "device": device.name,
        "firmware": {"name": firmware.name, "address": firmware.address},
        "model": {"sha256": bundle.sum_of(content), "bytes": len(content)},
    }
    report = {"verdict": {"state": "passes", "summary": ""}, "model": {"form": "raw-pose"}}
    folder = dist / f"m-{device.name}-0"
    files: dict[str, bundle.Kept | bytes] = {"model.tflite": content, "labels.txt": b"person\n"}
    files |= {"manifest.json": json.dumps(manifest).encode(), "report.json": json.dumps(report).encode()}
    files |= {"detections.json": json.dumps(proof).encode()} if proof else {}
    bundle.place(folder, files)
    return bundles.open_bundle(folder)


def model_of(size: int, *, refused: bool = False) -> bytes:
    """Return bytes that begin as a model, and that no loader can compress."""
    head = b"\x18\x00\x00\x00TFL3" + (b"REFUSE" if refused else b"")
    return head + random.Random(size).randbytes(size - len(head))


@contextmanager
def standing(
    device: Device,
    folder: Path,
    toy: Interpreter,
    faults: Faults | None = None,
    firmware: str = "",
    connect: Callable[[Wiring], Transport] | None = None,
) -> Iterator[tuple[VirtualBoard, Target]]:
    """Plug a virtual board in, as a target for the firmware that the device is expected to have."""
    board = bundles.board_of(device)
    runs = PROJECT.firmwares[firmware or device.firmware]
    virtual = VirtualBoard(
        board, runs, folder, toy, connect or partial(Terminal, folder / "port"), faults=faults or Faults()
    )
    known = [other for other in PROJECT.firmwares.values() if other.device == device.name and other.at]
    expected = PROJECT.firmwares[device.firmware]
    assert expected.at
    # A virtual board has started within a second.
    expected = expected.model_copy(update={"at": expected.at.model_copy(update={"boot_s": 1.0})})
    with plugged_in(virtual) as port:
        yield virtual, Target(device.title, board, port, expected, known, virtual=True)
