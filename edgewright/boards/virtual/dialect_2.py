"""The AT commands of SSCMA 2.x: compact JSON, fields in its order, its spelling, its codes.

Source: Seeed-Studio/SSCMA-Micro `main` ab1d5f0, sscma/server/at/: ma_server_at.cpp, callback/, codec/ma_codec_json.cpp.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgewright.boards.virtual import words_2 as words
from edgewright.boards.virtual.commands import number
from edgewright.boards.virtual.dialect import EVENT, LOG, RESPONSE, Run, Send
from edgewright.boards.virtual.network import Inference
from edgewright.boards.virtual.running_2 import Running2
from edgewright.boards.virtual.sensor_2 import Sensor2
from edgewright.boards.virtual.state import EINVAL, OK, State, Task
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
        self.state, self.send = state, send
        self.sensor, self.wireless = Sensor2(state), Wireless2(state)
        self.running = Running2(state, send, self.sensor)

    def boot(self) -> None:
        """Say what was set up; of being ready it says nothing."""
        self.send(RESPONSE, "INIT@SENSOR", *self.sensor.boot())
        running = self.running
        model = running.boot()
        self.send(
            RESPONSE, "INIT@MODEL", OK if model else words.ENOENT, {"model": running.model_json(model)} if model else {}
        )
        self.send(RESPONSE, "INIT@ALGORITHM", OK, running.algorithm())
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
        state, running = self.state, self.running
        return {
            "ID?": lambda: state.device_id,
            "NAME?": lambda: state.at.name,
            "VER?": lambda: {"at_api": "v0", "software": state.at.built, "hardware": words.example(state.at.hardware)},
            "STAT?": lambda: {"boot_count": state.boot_count, "is_ready": 1},
            "MODELS?": lambda: {"models": [running.model_json(one) for one in state.models]},
            "ALGO?": running.algorithm,
            "SENSORS?": self.sensor.list,
            "SENSOR?": self.sensor.json,
            "TSCORE?": lambda: running.stored_limit("score"),
            "TIOU?": lambda: running.stored_limit("iou"),
            "TRIGGER?": self._trigger,
            "INFO?": lambda: {"info": state.settings.get(f"info {running.current}", "")},
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
            "MODEL": (1, self.running.choose),
            "MODEL?": (0, self.running.chosen),
            "ALGO": (1, self.running.force),
            "SENSOR": (3, self._set_sensor),
            "SAMPLE": (1, self.running.take_samples),
            "INVOKE": (2, self.running.invoke),
            "TSCORE": (1, self.running.set_limit("score")),
            "TIOU": (1, self.running.set_limit("iou")),
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

    def _set_sensor(self, name: str, arguments: list[str]) -> None:
        self.state.task = None
        self.send(RESPONSE, name, *self.sensor.set(*map(number, arguments)))

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
        self.state.settings.put(f"info {self.running.current}", arguments[0])
        self.send(RESPONSE, name, OK, {"info": arguments[0]})
