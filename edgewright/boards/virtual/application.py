"""The firmware of a virtual board: it boots, finds models in its flash, and answers AT commands until it is reset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgewright.boards.virtual.commands import VIRTUAL, Lines, parse
from edgewright.boards.virtual.dialect import LOG, RESPONSE, Dialect, Send, framed
from edgewright.boards.virtual.dialect_1 import Dialect1
from edgewright.boards.virtual.dialect_2 import Dialect2
from edgewright.boards.virtual.network import CannotRun, Inference, Interpreter
from edgewright.boards.virtual.settings import Settings
from edgewright.boards.virtual.state import OK, State, Task
from edgewright.boards.virtual.wire import Memory, Reset, Wire
from edgewright.firmware import Firmware

IDLE_S = 1.0  # of waiting for commands


class Application:
    """The program that runs after the loader. `is_download` says that bytes are a loader's: the chip then restarts into it."""

    def __init__(
        self,
        memory: Memory,
        firmware: Firmware,
        interpreter: Interpreter,
        *,
        settings: Path,
        is_download: Callable[[bytes], bool] | None = None,
        label: str = "",
    ) -> None:
        self.memory, self.firmware, self.interpreter = memory, firmware, interpreter
        self.settings, self.is_download, self.label = settings, is_download, label

    def run(self, wire: Wire) -> None:
        """Boot, then serve until the wire raises Reset or Unplugged, or a command does."""
        at = self.firmware.at
        assert at is not None, f"{self.firmware.name} answers no commands"
        state = State(self.memory, self.firmware, at, self.interpreter, Settings(self.settings), self.label)

        def send(kind: int, name: str, code: int, data: Any) -> None:
            wire.write(framed(dialect, kind, name, code, data))

        dialect: Dialect = (Dialect1 if at.dialect == "1.x" else Dialect2)(state, send, wire.write)
        try:
            dialect.boot()
            self._serve(wire, state, dialect, send)
        finally:
            state.close()

    def _serve(self, wire: Wire, state: State, dialect: Dialect, send: Send) -> None:
        lines = Lines(dialect.ends, skips_empty=dialect.skips_empty)
        while True:
            data = wire.read(0 if state.task else IDLE_S)
            if data and self.is_download and self.is_download(lines.rest + data):
                wire.unread(lines.rest + data)
                raise Reset(download=True)
            for line in lines.feed(data):
                _obey(line, dialect, send)
            if state.task:
                _advance(state, state.task, dialect, send)


def _obey(line: str, dialect: Dialect, send: Send) -> None:
    command = parse(line)
    if command and command.command == VIRTUAL:
        send(RESPONSE, command.name, OK, {"virtual": True})
        return
    known = dialect.commands().get(command.command) if command else None
    if command is None or known is None:
        dialect.unknown(line, command.name if command else line.partition("=")[0].upper())
        return
    count, run = known
    arguments = command.arguments(count, hexadecimal=dialect.hexadecimal)
    if len(arguments) < count:
        dialect.miscounted(command.name)
    else:
        run(command.name, arguments)


def _advance(state: State, task: Task, dialect: Dialect, send: Send) -> None:
    """Run the next frame, or end the task: between two frames the firmware answers commands."""
    if 0 <= task.times <= task.count:
        state.task = None
        return
    task.count += 1
    if not state.camera.on:
        state.task = None
        dialect.failed(task, state.at.camera_off)
        return
    try:
        found = _look(state, task)
    except CannotRun as problem:
        state.task = None
        send(LOG, "LOG", dialect.cannot, str(problem))
        dialect.failed(task, dialect.cannot)
        return
    if not task.differed or found.results != task.last:
        dialect.event(task, found)
    task.last = found.results


def _look(state: State, task: Task) -> Inference:
    """Run the network on what the camera sees; raises CannotRun."""
    if task.obstacle:
        raise CannotRun(task.obstacle)
    if state.camera.degrees:
        raise CannotRun(f"not simulated: pictures turned by {state.camera.degrees} degrees")
    if state.network is None:
        raise CannotRun("not simulated: pictures without a model that runs; they come from what it runs in")
    return state.network.infer(task.score, task.iou, image=task.image, frame=state.camera.option.frame)
