"""A board at the other end of a port that is none: it answers AT commands with what a test has written down."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Answer = bytes | Exception | Callable[[str], bytes]  # a callable gets the name to answer under, tag included

PERSON = [118, 131, 94, 180, 87, 0]
POINTS = [[112, 60, 95, 0], [118, 54, 93, 1]]


def frame(kind: int, name: str, code: int, data: Any, *, compact: bool = False) -> bytes:
    """Write a frame as 1.x does, or, compact, as 2.x."""
    separators = (",", ":") if compact else (", ", ": ")
    content = {"type": kind, "name": name, "code": code, "data": data}
    return b"\r" + json.dumps(content, separators=separators).encode() + b"\n"


def says(data: Any, code: int = 0, *, compact: bool = False) -> Callable[[str], bytes]:
    """Answer a command."""
    return lambda name: frame(0, name, code, data, compact=compact)


def runs(data: Any, *events: tuple[int, Any], code: int = 0, compact: bool = False) -> Callable[[str], bytes]:
    """Answer an INVOKE: a response and its events."""
    return lambda name: b"".join(
        [
            frame(0, name, code, data, compact=compact),
            *(frame(1, name, outcome, result, compact=compact) for outcome, result in events),
        ]
    )


MODEL = {"id": 1, "type": 0, "address": 0x400000, "size": 0}
POSE = {"type": 5, "categroy": 2, "input_from": 1, "config": {"tscore": 50, "tiou": 45}}
SENSOR = {"id": 1, "type": 1, "state": 1, "opt_id": 0, "opt_detail": "240x240 Auto"}
STARTED = {"model": MODEL, "algorithm": POSE, "sensor": SENSOR}
RESULT = {"count": 1, "perf": [8, 62, 1], "keypoints": [[PERSON, POINTS]], "resolution": [240, 240]}
BOOTED = frame(0, "INIT@STAT?", 0, {"boot_count": 3, "is_ready": 1})

FIRST: Mapping[str, Answer] = {
    "EDGEWRIGHT?": lambda name: frame(2, "AT", 5, f"Unknown command: AT+{name}"),
    "STAT?": says({"boot_count": 3, "is_ready": 1}),
    "VER?": says({"at_api": "v0", "software": "v2024.02.01", "hardware": "1"}),
    "ID?": says("1a2b3c4d"),
    "NAME?": says("Seeed Studio XIAO (ESP32-S3)"),
    "MODELS?": says([MODEL, {**MODEL, "id": 2, "address": 0x600000}]),
    "MODEL=1": says({"model": MODEL}),
    "INVOKE=1,0,1": runs(STARTED, (0, RESULT)),
    "BREAK": says(12345),
}

MODEL_2 = {"id": 1, "type": -1163005939, "size": 3435973836, "name": 0, "address": 1010827264}
RESULT_2 = {"count": 1, "boxes": [PERSON], "perf": [8, 62, 1], "rotation": 0, "width": 240, "height": 240}
STARTED_2 = {
    "sensors": [{"id": 0}],
    "models": [MODEL_2],
    "algorithm": {"type": 8, "category": 0, "input_from": 1, "config": {"tscore": 25, "tiou": 45}},
}

SECOND: Mapping[str, Answer] = {
    "EDGEWRIGHT?": lambda name: frame(1, "AT", 5, f"Uknown command: {name}", compact=True),
    "STAT?": says({"boot_count": 3, "is_ready": 1}, compact=True),
    "VER?": says({"at_api": "v0", "software": "2024.11.25", "hardware": "XIAO(ESP32S3)"}, compact=True),
    "ID?": says("1a2b3c4d", compact=True),
    "NAME?": says("Seeed Studio XIAO (ESP32-S3)", compact=True),
    "MODELS?": says({"models": [MODEL_2]}, compact=True),
    "MODEL=1": says({"model": MODEL_2}, compact=True),
    "INVOKE=1,1": runs(STARTED_2, (0, RESULT_2), compact=True),
    "BREAK": says(12345, compact=True),
}


@dataclass
class FakePort:
    """A port. What a command gets is in `answers`, by the command or its name; of a list the first is taken away each time."""

    answers: Mapping[str, Answer | list[Answer]] = field(default_factory=dict)
    waiting: bytes = b""  # what can be read; nothing behind it is silence
    chunk: int = 1 << 20  # so many bytes come at once
    gone: bool = False  # unplugged, once all that waits was read
    timeout: float | None = None
    asked: list[str] = field(default_factory=list)  # commands without AT+ and tag
    closed: bool = False

    def write(self, data: bytes) -> int:
        if self.gone:
            raise OSError(5, "Input/output error")
        assert data.startswith(b"AT+")
        assert data.endswith(b"\r\n")
        tag, _, command = data[3:-2].decode().partition("@")
        self.asked.append(command)
        name, _, _ = command.partition("=")
        answer = self.answers.get(command, self.answers.get(name, b""))
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, Exception):
            raise answer
        self.waiting += answer if isinstance(answer, bytes) else answer(f"{tag}@{name}")
        return len(data)

    def read(self, size: int) -> bytes:
        if not self.waiting and self.gone:
            raise OSError(5, "Input/output error")
        taken, self.waiting = self.waiting[:size], self.waiting[size:]
        return taken

    def read_all(self) -> bytes:
        return self.read(min(self.chunk, len(self.waiting))) if self.waiting else b""

    def close(self) -> None:
        self.closed = True
