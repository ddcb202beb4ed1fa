"""The AT commands of SSCMA 1.x: fields in its order, its spelling, its codes.

Source: Seeed-Studio/SSCMA-Micro `1.0.x` ff48a1c, sscma/main_task.hpp and sscma/callback/. Its history says since when.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgewright.boards.virtual import condition
from edgewright.boards.virtual import words_1 as words
from edgewright.boards.virtual.commands import number
from edgewright.boards.virtual.dialect import EVENT, LOG, RESPONSE, Run, Send
from edgewright.boards.virtual.models import Model
from edgewright.boards.virtual.network import Inference
from edgewright.boards.virtual.notes_1 import Notes
from edgewright.boards.virtual.running_1 import Running1
from edgewright.boards.virtual.sensor_1 import Sensor1
from edgewright.boards.virtual.state import EINVAL, EIO, OK, State, Task
from edgewright.boards.virtual.wire import Reset
from edgewright.boards.virtual.wireless_1 import Wireless1
from edgewright.boards.virtual.words_1 import algorithm_json, model_json


class Dialect1:
    """SSCMA 1.x, as old as the firmware's build."""

    separators = (", ", ": ")
    skips_empty = False
    cannot = words.FAILED

    def __init__(self, state: State, send: Send, write: Callable[[bytes], None]) -> None:
        self.state, self.send, self.write = state, send, write
        self.built = state.at.built
        self.notes, self.sensor, self.wireless = Notes(state), Sensor1(state), Wireless1(state)
        # main_task.hpp L477-488: every 20 ms it takes one line that ends with \n, then one that ends with \r.
        self.ends = b"\n\r" if self.built >= words.NEWLINE else b"\r"
        self.hexadecimal = self.built >= words.HEXADECIMAL
        self.running = Running1(state, send, self.sensor)
        self._listed = words.listed(self.built, network=state.at.has_network)

    def boot(self) -> None:
        """Say what was set up, where that is told on this port, and, since ee2a130, that it is ready."""
        told: list[tuple[str, tuple[int, Any]]] = []
        if self.running.forced:
            told.append(("INIT@ALGO", (OK, algorithm_json(self.running.forced))))
        if self.built < words.LAZY_MODEL and self.state.chosen:
            # The firmware loads it here. To start what computes takes this machine seconds, so it waits until it is needed.
            model = self.state.model(self.state.chosen)
            told.append(("INIT@MODEL", (OK if model else EINVAL, {"model": model_json(model or Model())})))
        told.append(("INIT@SENSOR", self.sensor.boot()))
        if self.notes.has_action:
            told.append(("INIT@ACTION", self.notes.boot()))
        told += self.wireless.boot()
        for name, (code, data) in told if self.state.at.greets else ():
            self.send(EVENT, name, code, data)
        if self.built >= words.BOOT_STATUS:
            self.send(RESPONSE, "INIT@STAT?", OK, self._status())

    def commands(self) -> Mapping[str, tuple[int, Run]]:
        """Return its commands: TSCORE and TIOU only while a model runs."""
        runs = self._orders() | {name: self._answering(answer) for name, answer in self._questions().items()}
        return {one.name: (one.count, runs[one.name]) for one in self._registered()}

    def _registered(self) -> tuple[words.Listed, ...]:
        task = self.state.task
        return self._listed + (words.LIMITS if task is not None and task.algorithm else ())

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

    def _orders(self) -> dict[str, Run]:
        wireless = self.wireless
        return {
            "HELP?": self._help,
            "RST": _reset,
            "BREAK": self._break,
            "YIELD": _silent,
            "LED": _silent,
            "MODEL": self.running.choose,
            "ALGO": self.running.force,
            "SENSOR": self._set_sensor,
            "SAMPLE": self.running.take_samples,
            "INVOKE": self.running.invoke,
            "ACTION": self._set_action,
            "INFO": self._answering(self.notes.set_info),
            "TSCORE": self.running.set_threshold("score"),
            "TIOU": self.running.set_threshold("iou"),
            "WIFI": self._replying(wireless.set_wifi),
            "WIFISTA": self._replying(wireless.set_wifi_status),
            "WIFIIN4": self._replying(wireless.set_in4),
            "WIFIIN6": self._replying(wireless.set_in6),
            "WIFIVER": self._replying(wireless.set_version),
            "MQTTSERVER": self._replying(wireless.set_server),
            "MQTTSERVERSTA": self._replying(wireless.set_server_status),
            "OTA": self._open_flash,
            "SETREG": self._set_register,
            "GETREG": self._get_register,
        }

    def _questions(self) -> dict[str, Callable[[], Any]]:
        state, task = self.state, self.state.task
        return {
            "ID?": lambda: state.device_id,
            "NAME?": lambda: state.at.name,
            "VER?": self._version,
            "STAT?": self._status,
            "MODELS?": lambda: [model_json(one) for one in reversed(state.models)],
            "MODEL?": lambda: model_json(state.model(state.chosen) or Model()),
            "ALGOS?": lambda: [algorithm_json(one) for one in self.running.algorithms()],
            "ALGO?": lambda: algorithm_json(self.running.forced),
            "SENSORS?": self.sensor.list,
            "SENSOR?": self.sensor.json,
            "SAMPLE?": lambda: int(task is not None and not task.algorithm),
            "INVOKE?": lambda: int(task is not None and task.algorithm > 0),
            "ACTION?": self.notes.action,
            "INFO?": self.notes.info,
            "TSCORE?": lambda: task.score if task else 0,
            "TIOU?": lambda: task.iou if task else 0,
            "WIFIVER?": self.wireless.version,
            "WIFI?": self.wireless.wifi,
            "MQTTSERVER?": self.wireless.server,
            "MQTTPUBSUB?": self.wireless.topics,
        }

    def _answering(self, answer: Callable[..., Any]) -> Run:
        return lambda name, arguments: self.send(RESPONSE, name, OK, answer(*arguments))

    def _replying(self, reply: Callable[..., tuple[int, Any]]) -> Run:
        return lambda name, arguments: self.send(RESPONSE, name, *reply(*arguments))

    def _cannot(self, what: str) -> None:
        """Say in a log line what a board would do, and nothing here does."""
        self.send(LOG, "LOG", self.cannot, f"not simulated: {what}")

    def _help(self, name: str, arguments: list[str]) -> None:
        """List the commands: plain text, not JSON."""
        self.write(words.help_text(self._registered()).encode())

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

    def _set_sensor(self, name: str, arguments: list[str]) -> None:
        self.state.task = None
        self.send(RESPONSE, name, *self.sensor.set(*map(number, arguments)))

    def _set_action(self, name: str, arguments: list[str]) -> None:
        try:
            self.send(RESPONSE, name, *self.notes.set_action(arguments[0]))
        except condition.TooDeep:
            self._cannot("an expression so deep that it overflows the firmware's stack")

    def _open_flash(self, name: str, arguments: list[str]) -> None:
        """Do OTA: el_device_we2.cpp L194-202 leaves the flash to whoever is on the pins of an SPI bus, and answers nothing."""
        self.write(b"Enter bootloader\r\n")
        self._cannot("writing the flash through the pins of the SPI bus")

    def _set_register(self, name: str, arguments: list[str]) -> None:
        self.sensor.write_register(*arguments)
        self.send(RESPONSE, name, OK, None)

    def _get_register(self, name: str, arguments: list[str]) -> None:
        value = self.sensor.read_register(*arguments)
        if value is None:
            self._cannot("registers of the camera that nobody has written to")
        self.send(RESPONSE, name, EIO if value is None else OK, value or 0)


def _reset(name: str, arguments: list[str]) -> None:
    raise Reset


def _silent(name: str, arguments: list[str]) -> None:
    """Do what nobody sees; the firmware answers nothing, either."""
