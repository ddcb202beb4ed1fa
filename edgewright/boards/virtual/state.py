"""What the firmware of a virtual board knows while it runs: settings, models, the loaded network, and the task under way."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from edgewright.boards.virtual.camera import Camera
from edgewright.boards.virtual.identity import device_id
from edgewright.boards.virtual.models import Model, content, scan
from edgewright.boards.virtual.network import CannotLoad, CannotRun, Inference, Interpreter, Network
from edgewright.boards.virtual.settings import Settings
from edgewright.boards.virtual.wire import Memory
from edgewright.firmware import At, Firmware

# Codes of both dialects: core/el_types.h, core/ma_types.h.
OK, ELOG, EIO, EINVAL, ENOTSUP, EPERM = 0, 2, 4, 5, 8, 9


@dataclass(frozen=True)
class Broken:
    """A network that this machine could not start: every frame says why. A board would have loaded it."""

    algorithm: int
    why: str

    def infer(self, score: int, iou: int, *, image: bool, frame: tuple[int, int]) -> Inference:
        """Say why nothing is computed."""
        raise CannotRun(self.why)

    def close(self) -> None:
        """Nothing was started."""


@dataclass
class Task:
    """An INVOKE, or a SAMPLE, that gives an event for each frame."""

    name: str  # the command's, tag and all
    times: int  # how many frames; negative: until told to stop
    score: int = 0  # percent
    iou: int = 0
    algorithm: int = 0  # 0: pictures only
    differed: bool = False  # only results other than the last
    image: bool = True
    count: int = 0  # frames so far
    last: list[Any] = field(default_factory=list)
    obstacle: str = ""  # why this machine cannot show what a board would


class State:
    """The firmware's memory. A network is loaded when somebody first needs it, and stays until another is."""

    def __init__(
        self, memory: Memory, firmware: Firmware, at: At, interpreter: Interpreter, settings: Settings, label: str
    ) -> None:
        self.memory, self.firmware, self.at = memory, firmware, at
        self.settings = settings
        self.camera = Camera(at)
        self.device_id = device_id(at, memory, label)
        self.boot_count = int(settings.get("boot_count", 0)) + at.counts_boots
        settings.put("boot_count", self.boot_count)
        self.chosen = int(settings.get("model", 1))
        self.models = scan(memory, firmware, at.scan_bytes, packed=at.dialect == "1.x")
        self.network: Network | None = None
        self.task: Task | None = None
        self._interpreter = interpreter
        self._loaded = 0  # the id of the network's model
        self._started = time.monotonic()

    @property
    def uptime_ms(self) -> int:
        """How long it has run."""
        return round((time.monotonic() - self._started) * 1000)

    def model(self, number: int) -> Model | None:
        """Return the model of this id, if there is one."""
        return next((one for one in self.models if one.id == number), None)

    def load(self, model: Model) -> int:
        """Make a model's network the loaded one; return the code. What is loaded is not loaded again: its flash cannot change."""
        if self.network is None or self._loaded != model.id:
            self.close()
            try:
                self.network = self._interpreter.load(content(self.memory, self.firmware, model))
            except CannotLoad:
                return ELOG  # the firmware says no more: AllocateTensors() failed
            except CannotRun as problem:
                self.network = Broken(self.firmware.accepts[0].algorithm or 0, str(problem))
            self._loaded = model.id
        return OK

    def thresholds(self, algorithm: int) -> tuple[int, int]:
        """Return score and IoU limit, percent, with which the firmware begins for this decoder."""
        found = next((one for one in self.firmware.accepts if one.algorithm == algorithm), None)
        return (found.score, found.iou) if found else (50, 45)

    def close(self) -> None:
        """Let go of the network."""
        network, self.network = self.network, None
        if network is not None:
            network.close()
