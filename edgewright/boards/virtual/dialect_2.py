"""The AT commands of SSCMA 2.x: compact JSON, fields in its order, its spelling, its codes.

Source: Seeed-Studio/SSCMA-Micro `main` ab1d5f0, sscma/server/at/: ma_server_at.cpp, callback/, codec/ma_codec_json.cpp.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgewright.boards.virtual import words_2 as words
from edgewright.boards.virtual.commands import number
from edgewright.boards.virtual.dialect import EVENT, RESPONSE, Run, Send
from edgewright.boards.virtual.models import Model
from edgewright.boards.virtual.network import Inference
from edgewright.boards.virtual.state import EINVAL, ENOTSUP, OK, State, Task
from edgewright.boards.virtual.wire import Reset


class Dialect2:
    """SSCMA 2.x."""

    separators = (",", ":")
    ends = b"\r\n"
    cannot = words.FAILED

    def __init__(self, state: State, send: Send, write: Callable[[bytes], None]) -> None:
        self.state, self.send = state, send
        self.current = 0  # the id of the model that was loaded last
        self.preset = int(state.settings.get("sensor option", 1))

    def boot(self) -> None:
        """Say what was set up; of being ready it says nothing."""
        # The firmware loads its model here. To start what computes takes this machine seconds, so it waits until it is needed.
        self.send(RESPONSE, "INIT@SENSOR", OK, self._sensors())
        model = self.state.model(self.state.chosen)
        self.current = model.id if model else 0
        self.send(RESPONSE, "INIT@MODEL", OK if model else words.ENOENT, {"model": self._model(model)} if model else {})
        self.send(RESPONSE, "INIT@ALGORITHM", OK, self._algorithm())
        self.send(RESPONSE, "INIT@TRIGGER", OK, self._trigger())

    def commands(self) -> Mapping[str, tuple[int, Run]]:
        """Return its commands."""
        return self._orders() | {name: (0, self._answering(answer)) for name, answer in self._questions().items()}

    def unknown(self, line: str, name: str) -> None:
        """Refuse a command with an event, in the firmware's spelling."""
        self.send(EVENT, "AT", EINVAL, f"Uknown command: {name}")

    def miscounted(self, name: str) -> None:
        """Refuse a command that has too few arguments with an event."""
        self.send(EVENT, "AT", EINVAL, f"Command {name} got wrong arguments")

    def event(self, task: Task, found: Inference) -> None:
        """Tell what a frame gave. Keypoints it never sends: it replaces a key that is not there."""
        data: dict[str, Any] = {"count": task.count}
        if task.image:
            data["image"] = found.image
        if task.algorithm and found.kind == "boxes":
            data["boxes"] = found.results
        if task.algorithm:
            data["perf"] = list(found.perf)
        self.send(EVENT, task.name, OK, data | {"rotation": 0, "width": found.width, "height": found.height})

    def failed(self, task: Task, code: int) -> None:
        """Tell that a frame gave nothing: the task is over."""
        self.send(EVENT, task.name, code, {"count": task.count})

    def _questions(self) -> dict[str, Callable[[], Any]]:
        state = self.state
        return {
            "ID?": lambda: state.device_id,
            "NAME?": lambda: state.at.name,
            "VER?": lambda: {"at_api": "v0", "software": state.at.built, "hardware": words.example(state.at.hardware)},
            "STAT?": lambda: {"boot_count": state.boot_count, "is_ready": 1},
            "MODELS?": lambda: {"models": [self._model(one) for one in state.models]},
            "ALGO?": self._algorithm,
            "SENSORS?": lambda: {
                "sensors": [words.CAMERA | {"presets": words.presets(), "current_preset_index": self.preset}]
            },
            "SENSOR?": self._sensors,
            "TSCORE?": lambda: self._threshold("score", words.SCORE),
            "TIOU?": lambda: self._threshold("iou", words.IOU),
            "TRIGGER?": self._trigger,
            "INFO?": lambda: {"info": state.settings.get(f"info {self.current}", "")},
            "WIFI?": lambda: words.WIFI,
            "MQTTSERVER?": lambda: {"config": words.MQTT, "status": 0},
            "MQTTPUBSUB?": lambda: {"config": words.TOPICS},
            "MQTTSERVERSTA?": lambda: {"status": 0},
        }

    def _orders(self) -> dict[str, tuple[int, Run]]:
        return {
            "RST": (0, _reset),
            "BREAK": (0, self._break),
            "YIELD": (1, lambda name, arguments: None),
            "LED": (1, lambda name, arguments: self.send(RESPONSE, name, OK, int(number(arguments[0]) != 0))),
            "MODEL": (1, self._choose),
            "MODEL?": (0, self._chosen),
            "ALGO": (1, self._force),
            "SENSOR": (3, self._set_sensor),
            "SAMPLE": (1, self._take_samples),
            "INVOKE": (2, self._invoke),
            "TSCORE": (
                1,
                lambda name, arguments: self._set_threshold(name, number(arguments[0]), "score", words.SCORE),
            ),
            "TIOU": (1, lambda name, arguments: self._set_threshold(name, number(arguments[0]), "iou", words.IOU)),
            "TRIGGER": (1, self._set_trigger),
            "INFO": (1, self._set_info),
        }

    def _answering(self, answer: Callable[[], Any]) -> Run:
        return lambda name, _: self.send(RESPONSE, name, OK, answer())

    def _break(self, name: str, arguments: list[str]) -> None:
        self.state.task = None
        self.send(RESPONSE, name, OK, self.state.uptime_ms)

    def _model(self, model: Model) -> dict[str, int]:
        """Return what it says of a model; its size it never sets."""
        name = words.MAPPED + self.state.firmware.address
        return {"id": model.id, "type": 0, "size": 0, "name": name, "address": words.MAPPED + model.address}

    def _choose(self, name: str, arguments: list[str]) -> None:
        self.state.task = None
        model = self.state.model(number(arguments[0]))
        code = self.state.load(model) if model else words.ENOENT
        if model and code == OK and self.current != model.id:
            self.current = model.id
            self.state.settings.put("model", model.id)
        self.send(
            RESPONSE, name, code, {"model": self._model(model) if model else words.NO_MODEL} if self.current else {}
        )

    def _chosen(self, name: str, arguments: list[str]) -> None:
        model = self.state.model(self.current)
        self.send(RESPONSE, name, OK if model else words.ENOENT, {"models": [self._model(model)]} if model else {})

    def _algorithm(self) -> dict[str, int]:
        return {"algorithm": self.state.settings.get("algorithm", 0)}

    def _force(self, name: str, arguments: list[str]) -> None:
        """Keep a number that the firmware never looks at again."""
        self.state.settings.put("algorithm", number(arguments[0]))
        self.send(RESPONSE, name, OK, self._algorithm())

    def _sensors(self) -> dict[str, Any]:
        return {"sensors": [words.CAMERA | {"current_preset": words.presets()[self.preset]}]}

    def _set_sensor(self, name: str, arguments: list[str]) -> None:
        self.state.task = None
        sensor, enable, preset = map(number, arguments)
        if sensor != words.CAMERA["id"]:
            self.send(RESPONSE, name, words.ENOENT, {})
            return
        code = (
            OK if not enable or 0 < preset < len(words.PRESETS) else EINVAL
        )  # Default stands for one that is not there
        if enable and code == OK:
            self.preset = preset
            self.state.settings.put("sensor option", preset)
        self.send(RESPONSE, name, code, self._sensors())

    def _take_samples(self, name: str, arguments: list[str]) -> None:
        self.state.task = Task(name, number(arguments[0]))
        model = self.state.model(self.current)
        if model:
            self.state.load(model)  # the pictures come from the same place
        self.send(RESPONSE, name, OK, self._sensors())

    def _invoke(self, name: str, arguments: list[str]) -> None:
        """Begin to run the model. Of the three arguments of 1.x it takes the second for its own: whether to leave pictures out."""
        self.state.task = None
        times, results_only = map(number, arguments)
        score, iou = self._threshold("score", words.SCORE), self._threshold("iou", words.IOU)
        model = self.state.model(self.current)
        code = self.state.load(model) if model else words.ENOENT
        found = 0
        if model and code == OK:
            assert self.state.network is not None
            native = self.state.network.algorithm
            found = (
                native if model.id <= native else 0
            )  # invoke.hpp L140: the search begins at the id, not at the first
            if found:
                self.state.task = Task(name, times, score, iou, found, image=results_only == 0)
            elif self.state.at.crashes:
                raise Reset  # a null pointer is followed: not a word, and the chip starts again
            else:
                code = ENOTSUP
        data = self._sensors() | {"models": [self._model(model) if model else words.NO_MODEL]}
        config = {"tscore": words.truncated(score), "tiou": words.truncated(iou)}
        kind = found or self._algorithm()["algorithm"]
        data["algorithm"] = {"type": kind, "category": 0, "input_from": 1, "config": config}
        self.send(RESPONSE, name, code, data)

    def _threshold(self, which: str, default: int) -> int:
        return int(self.state.settings.get(f"threshold {which}", default))

    def _set_threshold(self, name: str, percent: int, which: str, default: int) -> None:
        if 0 < percent <= 100:
            self.state.settings.put(f"threshold {which}", percent)
            if self.state.task:
                setattr(self.state.task, which, percent)
        code = OK if 0 < percent <= 100 else EINVAL
        self.send(RESPONSE, name, code, self._threshold(which, default))

    def _trigger(self) -> dict[str, str]:
        return {"trigger_rules": self.state.settings.get("trigger", "")}

    def _set_trigger(self, name: str, arguments: list[str]) -> None:
        good = all(words.RULE.match(rule) for rule in arguments[0].split("|") if arguments[0])
        if good:
            self.state.settings.put("trigger", arguments[0])
        self.send(RESPONSE, name, OK if good else EINVAL, {"trigger_rules": arguments[0]})

    def _set_info(self, name: str, arguments: list[str]) -> None:
        self.state.settings.put(f"info {self.current}", arguments[0])
        self.send(RESPONSE, name, OK, {"info": arguments[0]})


def _reset(name: str, arguments: list[str]) -> None:
    raise Reset
