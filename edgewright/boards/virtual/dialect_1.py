"""The AT commands of SSCMA 1.x: fields in its order, its spelling, its codes.

Source: Seeed-Studio/SSCMA-Micro `1.0.x` ff48a1c, sscma/main_task.hpp and sscma/callback/. Its history says since when.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgewright.boards.virtual import words_1 as words
from edgewright.boards.virtual.commands import number
from edgewright.boards.virtual.dialect import EVENT, LOG, RESPONSE, Run, Send
from edgewright.boards.virtual.models import Model
from edgewright.boards.virtual.network import Inference
from edgewright.boards.virtual.notes_1 import Notes
from edgewright.boards.virtual.state import EINVAL, ENOTSUP, OK, State, Task
from edgewright.boards.virtual.wire import Reset
from edgewright.boards.virtual.words_1 import algorithm_json, model_json


class Dialect1:
    """SSCMA 1.x, as old as the firmware's build."""

    separators = (", ", ": ")
    cannot = words.FAILED

    def __init__(self, state: State, send: Send, write: Callable[[bytes], None]) -> None:
        self.state, self.send, self.write = state, send, write
        self.built = state.at.built
        self.notes = Notes(state)
        self.ends = b"\r\n" if self.built >= words.NEWLINE else b"\r"
        self.option = int(state.settings.get("sensor option", 0))
        self.forced = int(state.settings.get("algorithm", words.AUTOMATIC))

    def boot(self) -> None:
        """Say what was set up, and, since ee2a130, that it is ready."""
        if self.forced:
            self.send(EVENT, "INIT@ALGO", OK, algorithm_json(self.forced))
        if self.built < words.LAZY_MODEL and self.state.chosen:
            # The firmware loads it here. To start what computes takes this machine seconds, so it waits until it is needed.
            model = self.state.model(self.state.chosen)
            self.send(EVENT, "INIT@MODEL", OK if model else EINVAL, {"model": model_json(model or Model())})
        self.send(EVENT, "INIT@SENSOR", OK, {"sensor": self._sensor()})
        if self.notes.has_action:
            self.send(EVENT, "INIT@ACTION", OK, self.notes.action())
        if self.built >= words.BOOT_STATUS:
            self.send(RESPONSE, "INIT@STAT?", OK, self._status())

    def commands(self) -> Mapping[str, tuple[int, Run]]:
        """Return its commands: TSCORE and TIOU only while a model runs."""
        orders, questions, task = self._orders(), self._questions(), self.state.task
        if task is not None and task.algorithm:
            orders |= {"TSCORE": (1, self._threshold_of(task, "score")), "TIOU": (1, self._threshold_of(task, "iou"))}
            questions |= {"TSCORE?": lambda: task.score, "TIOU?": lambda: task.iou}
        return orders | {name: (0, self._answering(answer)) for name, answer in questions.items()}

    def unknown(self, line: str, name: str) -> None:
        """Refuse a command with a log line."""
        self.send(LOG, "AT", EINVAL, f"Unknown command: {line}")

    def miscounted(self, name: str) -> None:
        """Refuse a command with a log line, in the firmware's spelling."""
        self.send(LOG, "AT", EINVAL, f"Command {name} got wrong arguements.")

    def event(self, task: Task, found: Inference) -> None:
        """Tell what a frame gave: times and results, the frame's size, the picture."""
        data: dict[str, Any] = {"count": task.count}
        if task.algorithm:
            data |= {"perf": list(found.perf), found.kind: found.results}
        if self.built >= words.BOOT_STATUS or not task.image:
            data["resolution"] = [found.width, found.height]
        if task.image:
            data |= {"image": found.image} | ({"rotate": 0} if self.built >= words.WORLD else {})
        self.send(EVENT, task.name, OK, data)

    def failed(self, task: Task, code: int) -> None:
        """Tell that a frame gave nothing: the task is over."""
        self.send(EVENT, task.name, code, {"count": task.count})

    def _orders(self) -> dict[str, tuple[int, Run]]:
        return {
            "HELP?": (0, self._help),
            "RST": (0, _reset),
            "BREAK": (0, self._break),
            "YIELD": (1, _silent),
            "LED": (1, _silent),
            "MODEL": (1, self._choose),
            "ALGO": (1, self._force),
            "SENSOR": (3 if self.built >= words.SENSOR_OPTIONS else 2, self._set_sensor),
            "SAMPLE": (1, self._take_samples),
            "INVOKE": (3, self._invoke),
            "ACTION": (1, self._answering(self.notes.set_action)),
            "INFO": (1, self._answering(self.notes.set_info)),
        }

    def _questions(self) -> dict[str, Callable[[], Any]]:
        state = self.state
        return {
            "ID?": lambda: state.device_id,
            "NAME?": lambda: state.at.name,
            "VER?": self._version,
            "STAT?": self._status,
            "MODELS?": lambda: [model_json(one) for one in reversed(state.models)],
            "MODEL?": lambda: model_json(state.model(state.chosen) or Model()),
            "ALGOS?": lambda: [algorithm_json(one) for one in self._algorithms()],
            "ALGO?": lambda: algorithm_json(self.forced),
            "SENSORS?": lambda: [self._sensor(everything=True)],
            "SENSOR?": self._sensor,
            "SAMPLE?": lambda: int(state.task is not None and not state.task.algorithm),
            "INVOKE?": lambda: int(state.task is not None and state.task.algorithm > 0),
            "ACTION?": self.notes.action,
            "INFO?": self.notes.info,
            "WIFI?": lambda: words.WIFI,
            "MQTTSERVER?": lambda: {"status": 0, "config": words.MQTT},
            "MQTTPUBSUB?": lambda: {"config": words.TOPICS},
        }

    def _answering(self, answer: Callable[..., Any]) -> Run:
        return lambda name, arguments: self.send(RESPONSE, name, OK, answer(*arguments))

    def _help(self, name: str, arguments: list[str]) -> None:
        """List the commands: plain text, not JSON."""
        self.write("".join(f"  AT+{one}\n" for one in sorted(self.commands())).encode())

    def _break(self, name: str, arguments: list[str]) -> None:
        self.state.task = None
        self.send(RESPONSE, name, OK, self.state.uptime_ms)

    def _status(self) -> dict[str, int]:
        return {"boot_count": self.state.boot_count, "is_ready": 1}

    def _version(self) -> dict[str, str]:
        return {
            "at_api": "v0",
            "software": f"{'' if self.built >= words.PLAIN_VERSION else 'v'}{self.built}",
            "hardware": "1",
        }

    def _choose(self, name: str, arguments: list[str]) -> None:
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

    def _algorithms(self) -> list[int]:
        return [one for one in words.CATEGORIES if self.built >= words.WORLD or one not in words.YOUNG]

    def _force(self, name: str, arguments: list[str]) -> None:
        """Set the decoder; of one that it has not the firmware says EINVAL, unless that changes something."""
        self.state.task = None
        asked = number(arguments[0])
        kind = asked if asked in self._algorithms() else words.AUTOMATIC
        code = OK if kind == asked or kind != self.forced else EINVAL
        if kind != self.forced:
            self.forced = kind
            self.state.settings.put("algorithm", kind)
        self.send(RESPONSE, name, code, algorithm_json(kind))

    def _sensor(self, *, everything: bool = False) -> dict[str, Any]:
        found: dict[str, Any] = {"id": words.CAMERA, "type": 1, "state": 1}
        if self.built >= words.SENSOR_OPTIONS:
            found |= {"opt_id": self.option, "opt_detail": words.OPTIONS[self.option]}
        if everything and self.built >= words.SENSOR_OPTIONS:
            found["opts"] = {str(one): text for one, text in words.OPTIONS.items()}
        return found

    def _set_sensor(self, name: str, arguments: list[str]) -> None:
        self.state.task = None
        sensor, enable, option = (*map(number, arguments), 0)[:3]
        if sensor != words.CAMERA:
            nothing = {"id": 0, "type": 0, "state": 0, "opt_id": -1, "opt_detail": "Unknown", "opts": {}}
            self.send(RESPONSE, name, EINVAL, {"sensor": nothing})
            return
        code = OK if not enable or option in words.OPTIONS else EINVAL
        if enable and code == OK:
            self.option = option
            self.state.settings.put("sensor option", option)
        self.send(RESPONSE, name, code, {"sensor": self._sensor()})

    def _take_samples(self, name: str, arguments: list[str]) -> None:
        self.state.task = Task(name, number(arguments[0]))
        model = self.state.model(self.state.chosen)
        if model:
            self.state.load(model)  # the pictures come from the same place
        self.send(RESPONSE, name, OK, {"sensor": self._sensor()})

    def _invoke(self, name: str, arguments: list[str]) -> None:
        """Begin to run the model: which decoder, and whether it can be, is answered first."""
        state = self.state
        state.task = None
        self._load_for_invoke()
        model = state.model(state.chosen)
        native = state.network.algorithm if state.network else 0
        wanted = self.forced or (model.type if model else 0) or native
        code, algorithm = OK, algorithm_json(wanted if model else 0)
        if model is None or not wanted:
            code = EINVAL
        elif wanted != native:
            code = ENOTSUP  # the firmware would run a decoder on outputs that are not for it; there is nothing to compute here
        else:
            times, differed, results_only = map(number, arguments)
            score, iou = state.settings.get(f"thresholds {wanted}", state.thresholds(wanted))
            state.task = Task(name, times, score, iou, wanted, differed != 0, results_only == 0)
            algorithm["config"] = {"tscore": score, "tiou": iou}
        data = {"model": model_json(model or Model()), "algorithm": algorithm, "sensor": self._sensor()}
        self.send(RESPONSE, name, code, data)

    def _load_for_invoke(self) -> None:
        model = self.state.model(self.state.chosen)
        if self.state.network is None and self.built >= words.LAZY_MODEL:
            self._load("MODEL", self.state.chosen)
        elif self.state.network is None and model and self.state.load(model) != OK:
            self.state.chosen = 0

    def _threshold_of(self, task: Task, which: str) -> Run:
        """Return what sets a limit of the decoder that runs; it is kept for every model of that decoder."""

        def put(name: str, arguments: list[str]) -> None:
            percent = number(arguments[0]) & 0xFF
            if percent <= 100:
                setattr(task, which, percent)
                self.state.settings.put(f"thresholds {task.algorithm}", [task.score, task.iou])
            self.send(RESPONSE, name, OK if percent <= 100 else EINVAL, getattr(task, which))

        return put


def _reset(name: str, arguments: list[str]) -> None:
    raise Reset


def _silent(name: str, arguments: list[str]) -> None:
    """Do what nobody sees; the firmware answers nothing, either."""
