"""Models of SSCMA 2.x and its decoders: MODEL, ALGO, SAMPLE, INVOKE, and the limits, which all decoders share.

Source: SSCMA-Micro ab1d5f0, sscma/server/at/callback/.
"""

from __future__ import annotations

from edgewright.boards.virtual import words_2 as words
from edgewright.boards.virtual.commands import number
from edgewright.boards.virtual.dialect import RESPONSE, Run, Send
from edgewright.boards.virtual.models import Model
from edgewright.boards.virtual.sensor_2 import Sensor2
from edgewright.boards.virtual.state import EINVAL, ENOTSUP, EPERM, OK, State, Task
from edgewright.boards.virtual.wire import Reset


class Running2:
    """What runs, or is asked to; `current` is the id of the model that was loaded last."""

    def __init__(self, state: State, send: Send, sensor: Sensor2) -> None:
        self.state, self.send, self.sensor = state, send, sensor
        self.current = 0
        self._limits = {"score": words.SCORE, "iou": words.IOU}
        if state.at.built >= words.KEPT_LIMITS:
            self._limits = {which: self.stored_limit(which) for which in self._limits}

    def boot(self) -> Model | None:
        """Take the model that is stored for the current one, if it is there."""
        # The firmware loads it here. To start what computes takes this machine seconds, so it waits until it is needed.
        model = self.state.model(self.state.chosen)
        self.current = model.id if model else 0
        return model

    def model_json(self, model: Model) -> dict[str, int]:
        """Return what it says of a model: pointers for name and address; the size it never sets."""
        first = self.state.at.pointer
        there = first + model.address - self.state.firmware.address
        return {"id": model.id, "type": 0, "size": 0, "name": first, "address": there}

    def choose(self, name: str, arguments: list[str]) -> None:
        """Do MODEL=."""
        self.state.task = None
        model = self.state.model(number(arguments[0]))
        code = self.state.load(model) if model else words.ENOENT
        if model and code == OK and self.current != model.id:
            self.current = model.id
            self.state.settings.put("model", model.id)
        self.send(
            RESPONSE, name, code, {"model": self.model_json(model) if model else words.NO_MODEL} if self.current else {}
        )

    def chosen(self, name: str, arguments: list[str]) -> None:
        """Do MODEL?."""
        model = self.state.model(self.current)
        self.send(RESPONSE, name, OK if model else words.ENOENT, {"models": [self.model_json(model)]} if model else {})

    def algorithm(self) -> dict[str, int]:
        """Answer ALGO?."""
        return {"algorithm": self.state.settings.get("algorithm", 0)}

    def force(self, name: str, arguments: list[str]) -> None:
        """Keep a number that the firmware never looks at again, without a sign: algorithm.hpp L25-40 at ab1d5f0."""
        self.state.settings.put("algorithm", number(arguments[0]) & 0xFFFFFFFF)
        self.send(RESPONSE, name, OK, self.algorithm())

    def take_samples(self, name: str, arguments: list[str]) -> None:
        """Begin to send pictures."""
        self.state.task = None
        if not self.state.camera.on:
            self.send(RESPONSE, name, EPERM, self.sensor.json())
            return
        self.state.task = Task(name, number(arguments[0]))
        model = self.state.model(self.current)
        if model:
            # The pictures come from the same place.
            self.state.load(model)
        self.send(RESPONSE, name, OK, self.sensor.json())

    def invoke(self, name: str, arguments: list[str]) -> None:
        """Begin to run the model. Of the three arguments of 1.x it takes the second for its own: whether to leave pictures out."""
        self.state.task = None
        times, results_only = map(number, arguments)
        score, iou = self._limits["score"], self._limits["iou"]
        # prepareSensor() comes first: what is not started does not stream (ma_camera_esp32.cpp L122-125).
        model = self.state.model(self.current) if self.state.camera.on else None
        code = self.state.load(model) if model else words.ENOENT if self.state.camera.on else EPERM
        found = 0
        if model and code == OK:
            assert self.state.network is not None
            native = self.state.network.algorithm
            # invoke.hpp L140: the search begins at the id, not at the first.
            found = native if model.id <= native else 0
            if found:
                self.state.task = Task(name, times, score, iou, found, image=results_only == 0)
            elif self.state.at.crashes:
                # A null pointer is followed: not a word, and the chip starts again.
                raise Reset
            else:
                code = ENOTSUP
        data = self.sensor.json() | {"models": [self.model_json(model) if model else words.NO_MODEL]}
        config = {"tscore": words.truncated(score), "tiou": words.truncated(iou)}
        kind = found or words.signed(self.algorithm()["algorithm"])
        data["algorithm"] = {"type": kind, "category": 0, "input_from": 1, "config": config}
        self.send(RESPONSE, name, code, data)

    def stored_limit(self, which: str) -> int:
        """Return the limit that is stored, which TSCORE? and TIOU? show whatever runs."""
        return int(self.state.settings.get(f"threshold {which}", self._limits[which]))

    def set_limit(self, which: str) -> Run:
        """Return what sets a limit of every decoder, whether a model runs or not."""

        def put(name: str, arguments: list[str]) -> None:
            percent = number(arguments[0])
            code = OK if 0 < percent <= 100 else EINVAL
            if code == OK:
                self._limits[which] = percent
                self.state.settings.put(f"threshold {which}", percent)
                if self.state.task:
                    setattr(self.state.task, which, percent)
            self.send(RESPONSE, name, code, self._limits[which])

        return put
