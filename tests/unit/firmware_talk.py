"""Talking to the firmware of a virtual board without a line: what comes is a list, what it says is bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgewright.boards.virtual.application import Application
from edgewright.boards.virtual.network import CannotLoad, CannotRun, Inference
from edgewright.boards.virtual.wire import Memory, Unplugged
from edgewright.config import load_project
from edgewright.firmware import Firmware

ROOT = Path(__file__).resolve().parents[2]
FIRMWARES = load_project(ROOT).firmwares
SLOT = 0x400000
SECTOR = 4096
POSE = [[[118, 131, 94, 180, 87, 0], [[112, 60, 95, 0], [118, 54, 93, 1]]]]
BOXES = [[60, 70, 20, 30, 81, 2]]


class Script:
    """A wire on which `chunks` come, one a read; then the plug is pulled. An exception is raised where it stands."""

    def __init__(self, chunks: Sequence[bytes | Exception]) -> None:
        self.chunks = list(chunks)
        self.said = b""

    def read(self, timeout_s: float) -> bytes:
        found = self.chunks.pop(0) if self.chunks else Unplugged()
        if isinstance(found, Exception):
            raise found
        return found

    def unread(self, data: bytes) -> None:
        self.chunks.insert(0, data)

    def write(self, data: bytes) -> None:
        self.said += data


@dataclass
class Toy:
    """A network, and what loads it: of a content that begins with `refused` nothing, of any other always this."""

    algorithm: int = 5
    kind: str = "keypoints"
    results: list[Any] = field(default_factory=lambda: POSE)
    refused: bytes = b""
    cannot: str = ""
    loaded: list[bytes] = field(default_factory=list)
    asked: list[tuple[int, int, bool]] = field(default_factory=list)
    closed: int = 0

    def load(self, content: bytes) -> Toy:
        if self.refused and content.startswith(self.refused):
            raise CannotLoad("operator DIV is not registered")
        self.loaded.append(content)
        return self

    def infer(self, score: int, iou: int, *, image: bool, frame: tuple[int, int]) -> Inference:
        if self.cannot:
            raise CannotRun(self.cannot)
        self.asked.append((score, iou, image))
        return Inference(*frame, (8, 62, 1), self.kind, self.results, "/9j/" if image else "")

    def close(self) -> None:
        self.closed += 1


@dataclass
class Desk:
    """A flash with its settings, one firmware, and what computes for it."""

    folder: Path
    firmware: Firmware
    toy: Toy = field(default_factory=Toy)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.settings = self.folder / "settings.json"
        self.memory = Memory(self.folder / "flash.bin", SLOT + 0x100000, SECTOR)
        self.firmware = self.firmware.model_copy(update={"slot_bytes": 0x100000})

    def put(self, at: int, model: bytes = b"\x1c\0\0\0TFL3 model") -> None:
        """Flash a model, `at` bytes behind the beginning of the slot."""
        self.memory.erase(SLOT + at, len(model))
        self.memory.program(SLOT + at, model)

    def talk(self, *chunks: bytes | Exception, booting: bool = False, **options: Any) -> bytes:
        """Boot, let the chunks come, pull the plug; return what was said, what it says at boot only if asked for."""
        wire = Script(chunks)
        application = Application(self.memory, self.firmware, self.toy, settings=self.settings, **options)
        self.wire = wire
        with suppress(Unplugged):
            application.run(wire)
        return wire.said if booting else wire.said[self._boot_length(wire.said) :]

    def _boot_length(self, said: bytes) -> int:
        length = 0
        for message in said.split(b"\n"):
            if b'"INIT@' not in message:
                break
            length += len(message) + 1
        return length


def desk_of(folder: Path, name: str) -> Desk:
    """Return a desk of the firmware of that name, with a model."""
    desk = Desk(folder / name, FIRMWARES[name])
    desk.put(0)
    return desk


def reply(name: str, data: bytes, code: int = 0, kind: int = 0) -> bytes:
    return b'\r{"type": %d, "name": "%s", "code": %d, "data": %s}\n' % (kind, name.encode(), code, data)


def reply_2(name: str, data: bytes, code: int = 0, kind: int = 0) -> bytes:
    return b'\r{"type":%d,"name":"%s","code":%d,"data":%s}\n' % (kind, name.encode(), code, data)


def messages(said: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.split(b"\n") if line]
