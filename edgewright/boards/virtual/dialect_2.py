"""The AT commands of SSCMA 2.x: compact JSON, fields in its order, its spelling, its codes.

Source: Seeed-Studio/SSCMA-Micro `main` ab1d5f0, sscma/server/at/: ma_server_at.cpp, callback/, codec/ma_codec_json.cpp.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgewright.boards.virtual import words_2 as words
from edgewright.boards.virtual.commands import number
from edgewright.boards.virtual.dialect import EVENT, LOG, RESPONSE, Run, Send
from edgewright.boards.virtual.models import Model
from edgewright.boards.virtual.network import Inference
from edgewright.boards.virtual.sensor_2 import Sensor2
from edgewright.boards.virtual.state import EINVAL, ENOTSUP, EPERM, OK, State, Task
from edgewright.boards.virtual.wire import Reset
from edgewright.boards.virtual.wireless_2 import Wireless2


class Dialect2:
    """SSCMA 2.x."""

    separators = (",", ":")
    ends = b"\r\n"
    skips_empty = True
    hexadecimal = False
    cannot = words.FAILED

    def __init__(self, state: State, send: Send, write: Callable[[bytes], None]) -> None:
        self.state, self.send, self.camera = state, send, state.camera
        self.sensor, self.wireless = Sensor2(state), Wireless2(state)
        self.current = 0  # the id of the model that was loaded last
        self._limits = {"score": words.SCORE, "iou": words.IOU}
        if state.at.built >= words.KEPT_LIMITS:
            self._limits = {which: self._stored_limit(which) for which in self._limits}

    def boot(self) -> None:
        """Say what was set up; of being ready it says nothing."""
        self.send(RESPONSE, "INIT@SENSOR", *self.sensor.boot())
        # The firmware loads its model here. To start what computes takes this machine seconds, so it waits until it is needed.
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
            "SENSORS?": self.sensor.list,
            "SENSOR?": self.sensor.json,
            "TSCORE?": lambda: self._stored_limit("score"),
            "TIOU?": lambda: self._stored_limit("iou"),
            "TRIGGER?": self._trigger,
            "INFO?": lambda: {"info": state.settings.get(f"info {self.current}", "")},
            "WIFI?": self.wireless.wifi,
            "MQTTSERVER?": self.wireless.server,
            "MQTTPUBSUB?": self.wireless.topics,
            "MQTTSERVERSTA?": self.wireless.server_status,
            "MQTTCA?": self.wireless.authority,
        } | ({} if state.at.has_network else {"WIFIVER?": self.wireless.version})

    def _orders(self) -> dict[str, tuple[int, Run]]:
        return {
            "RST": (0, self._reset),
            "BREAK": (0, self._break),
            "YIELD": (1, lambda name, arguments: None),
            "LED": (1, lambda name, arguments: self.send(RESPONSE, name, OK, int(number(arguments[0]) != 0))),
            "MODEL": (1, self._choose),
            "MODEL?": (0, self._chosen),
            "ALGO": (1, self._force),
            "SENSOR": (3, self._set_sensor),
            "SAMPLE": (1, self._take_samples),
            "INVOKE": (2, self._invoke),
            "TSCORE": (1, self._setting_limit("score")),
            "TIOU": (1, self._setting_limit("iou")),
            "TRIGGER": (1, self._set_trigger),
            "INFO": (1, self._set_info),
            **self._network_orders(),
        }

    def _network_orders(self) -> dict[str, tuple[int, Run]]:
        """Return what a host can tell of networks: more where the board has none of its own (ma_server_at.cpp L237-304)."""
        wireless = self.wireless
        always = {
            "WIFI": (3, self._replying(wireless.set_wifi)),
            "MQTTSERVER": (6, self._replying(wireless.set_server)),
            "MQTTCA": (1, self._set_authority),
        }
        external: dict[str, tuple[int, Run]] = {
            "WIFISTA": (1, self._replying(wireless.set_wifi_status)),
            "WIFIIN4": (3, self._set_in4),
            "WIFIIN6": (1, self._replying(wireless.set_in6)),
            "WIFIVER": (1, self._replying(wireless.set_version)),
            "MQTTSERVERSTA": (1, self._replying(wireless.set_server_status)),
        }
        return always | ({} if self.state.at.has_network else external)

    def _replying(self, reply: Callable[..., tuple[int, Any]]) -> Run:
        return lambda name, arguments: self.send(RESPONSE, name, *reply(*arguments))

    def _set_in4(self, name: str, arguments: list[str]) -> None:
        """Do WIFIIN4=, of which nothing is heard: wifi.hpp L145-152 does not end its answer, so that what is sent is empty."""
        self.wireless.set_in4(*arguments)

    def _set_authority(self, name: str, arguments: list[str]) -> None:
        self.wireless.set_authority(arguments[0])
        self.send(LOG, "LOG", self.cannot, "not simulated: the hash of a certificate, which depends on the compiler")
        self.send(RESPONSE, name, OK, {"hash": 0})

    def _reset(self, name: str, arguments: list[str]) -> None:
        """Restart; one board's firmware only lets go of what it goes on to use, and answers nothing."""
        if self.state.at.resets:
            raise Reset

    def _answering(self, answer: Callable[[], Any]) -> Run:
        return lambda name, _: self.send(RESPONSE, name, OK, answer())

    def _break(self, name: str, arguments: list[str]) -> None:
        self.state.task = None
        self.send(RESPONSE, name, OK, self.state.uptime_ms)

    def _model(self, model: Model) -> dict[str, int]:
        """Return what it says of a model, pointers for name and address; its size it never sets."""
        first = self.state.at.pointer
        there = first + model.address - self.state.firmware.address
        return {"id": model.id, "type": 0, "size": 0, "name": first, "address": there}

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
        """Keep a number that the firmware never looks at again, without a sign: algorithm.hpp L25-40 at ab1d5f0."""
        self.state.settings.put("algorithm", number(arguments[0]) & 0xFFFFFFFF)
        self.send(RESPONSE, name, OK, self._algorithm())

    def _set_sensor(self, name: str, arguments: list[str]) -> None:
        self.state.task = None
        self.send(RESPONSE, name, *self.sensor.set(*map(number, arguments)))

    def _take_samples(self, name: str, arguments: list[str]) -> None:
        self.state.task = None
        if not self.camera.on:
            self.send(RESPONSE, name, EPERM, self.sensor.json())
            return
        self.state.task = Task(name, number(arguments[0]))
        model = self.state.model(self.current)
        if model:
            # The pictures come from the same place.
            self.state.load(model)
        self.send(RESPONSE, name, OK, self.sensor.json())

    def _invoke(self, name: str, arguments: list[str]) -> None:
        """Begin to run the model. Of the three arguments of 1.x it takes the second for its own: whether to leave pictures out."""
        self.state.task = None
        times, results_only = map(number, arguments)
        score, iou = self._limits["score"], self._limits["iou"]
        # prepareSensor() comes first: what is not started does not stream (ma_camera_esp32.cpp L122-125).
        model = self.state.model(self.current) if self.camera.on else None
        code = self.state.load(model) if model else words.ENOENT if self.camera.on else EPERM
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
        data = self.sensor.json() | {"models": [self._model(model) if model else words.NO_MODEL]}
        config = {"tscore": words.truncated(score), "tiou": words.truncated(iou)}
        kind = found or words.signed(self._algorithm()["algorithm"])
        data["algorithm"] = {"type": kind, "category": 0, "input_from": 1, "config": config}
        self.send(RESPONSE, name, code, data)

    def _stored_limit(self, which: str) -> int:
        return int(self.state.settings.get(f"threshold {which}", self._limits[which]))

    def _setting_limit(self, which: str) -> Run:
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

    def _trigger(self) -> dict[str, str]:
        return {"trigger_rules": self.state.settings.get("trigger", "")}

    def _set_trigger(self, name: str, arguments: list[str]) -> None:
        pins = self.state.at.trigger_pins
        found = [words.RULE.match(rule) for rule in arguments[0].split("|") if arguments[0]]
        good = all(rule and (not pins or int(rule["pin"]) in pins) for rule in found)
        if good:
            self.state.settings.put("trigger", arguments[0])
        self.send(RESPONSE, name, OK if good else EINVAL, {"trigger_rules": arguments[0]})

    def _set_info(self, name: str, arguments: list[str]) -> None:
        self.state.settings.put(f"info {self.current}", arguments[0])
        self.send(RESPONSE, name, OK, {"info": arguments[0]})
