"""Models of SSCMA 1.x and their decoders: MODEL, ALGO, SAMPLE, INVOKE, and the limits while one runs.

Source: SSCMA-Micro ff48a1c, sscma/callback/model.hpp, algorithm.hpp, sample.hpp, invoke.hpp.
"""

from __future__ import annotations

from edgewright.boards.virtual import words_1 as words
from edgewright.boards.virtual.commands import number
from edgewright.boards.virtual.dialect import RESPONSE, Run, Send
from edgewright.boards.virtual.models import Model
from edgewright.boards.virtual.sensor_1 import Sensor1
from edgewright.boards.virtual.state import EINVAL, EIO, OK, State, Task
from edgewright.boards.virtual.words_1 import algorithm_json, model_json


class Running1:
    """What runs, or is asked to; `forced` is the decoder that a host has set."""

    def __init__(self, state: State, send: Send, sensor: Sensor1) -> None:
        self.state, self.send, self.sensor, self.built = state, send, sensor, state.at.built
        self.forced = int(state.settings.get("algorithm", words.AUTOMATIC))

    def choose(self, name: str, arguments: list[str]) -> None:
        """Do MODEL=."""
        self.state.task = None
        self._load(name, number(arguments[0]) & 0xFF)

    def _load(self, name: str, chosen: int) -> None:
        """Load a model and say so. After a failure no model is the current one, until another MODEL or a reset."""
        model = self.state.model(chosen)
        code = self.state.load(model) if model else EINVAL
        if model and code != OK:
            self.state.chosen = 0
        elif model and self.state.chosen != chosen:
            self.state.chosen = chosen
            self.state.settings.put("model", chosen)
        self.send(RESPONSE, name, code, {"model": model_json(model or Model())})

    def algorithms(self) -> list[int]:
        """Return the decoders that it has."""
        return [one for one in words.CATEGORIES if self.built >= words.WORLD or one not in words.YOUNG]

    def force(self, name: str, arguments: list[str]) -> None:
        """Set the decoder; of one that it has not the firmware says EINVAL, unless that changes something."""
        self.state.task = None
        asked = number(arguments[0])
        kind = asked if asked in self.algorithms() else words.AUTOMATIC
        code = OK if kind == asked or kind != self.forced else EINVAL
        if kind != self.forced:
            self.forced = kind
            self.state.settings.put("algorithm", kind)
        self.send(RESPONSE, name, code, algorithm_json(kind))

    def take_samples(self, name: str, arguments: list[str]) -> None:
        """Begin to send pictures."""
        self.state.task = None
        if not self.sensor.current:
            self.send(RESPONSE, name, EIO, {"sensor": self.sensor.json()})
            return
        self.state.task = Task(name, number(arguments[0]))
        model = self.state.model(self.state.chosen)
        if model:
            # The pictures come from the same place.
            self.state.load(model)
        self.send(RESPONSE, name, OK, {"sensor": self.sensor.json()})

    def invoke(self, name: str, arguments: list[str]) -> None:
        """Begin to run the model; whether it can be, and with which decoder, is answered first: sensor, model, decoder."""
        state = self.state
        state.task = None
        self._load_for_invoke()
        model = state.model(state.chosen) if self.sensor.current else None
        native = state.network.algorithm if state.network else 0
        wanted = self.forced or (model.type if model else 0) or native
        code, algorithm = OK, algorithm_json(wanted if model else 0)
        if not self.sensor.current:
            code = EIO
        elif model is None or not wanted:
            code = EINVAL
        else:
            times, differed, results_only = map(number, arguments)
            score, iou = state.settings.get(f"thresholds {wanted}", state.thresholds(wanted))
            task = Task(name, times, score, iou, wanted, differed != 0, results_only == 0)
            if wanted != native:
                # invoke.hpp L190-282: the firmware runs a decoder that was asked for on any outputs.
                task.obstacle = f"not simulated: decoder {wanted} on outputs that are not for it"
            state.task = task
            algorithm["config"] = {"tscore": score, "tiou": iou}
        data = {"model": model_json(model or Model()), "algorithm": algorithm, "sensor": self.sensor.json()}
        self.send(RESPONSE, name, code, data)

    def _load_for_invoke(self) -> None:
        model = self.state.model(self.state.chosen)
        if self.state.network is None and self.built >= words.LAZY_MODEL:
            self._load("MODEL", self.state.chosen)
        elif self.state.network is None and model and self.state.load(model) != OK:
            self.state.chosen = 0

    def set_threshold(self, which: str) -> Run:
        """Return what sets a limit of the decoder that runs; it is kept for every model of that decoder."""

        def put(name: str, arguments: list[str]) -> None:
            task, percent = self.state.task, number(arguments[0]) & 0xFF
            assert task is not None, f"{name} is there only while a model runs"
            if percent <= 100:
                setattr(task, which, percent)
                self.state.settings.put(f"thresholds {task.algorithm}", [task.score, task.iou])
            self.send(RESPONSE, name, OK if percent <= 100 else EINVAL, getattr(task, which))

        return put
