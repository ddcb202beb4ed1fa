"""The AT client: commands out, answers and results in, over a serial port on which other things are said as well."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, Protocol

from serial import SerialTimeoutException

from edgewright.boards.dialects import Event, read_event
from edgewright.boards.frames import EVENT, LOG, RESPONSE, TEXT, Frames, Message
from edgewright.errors import BoardFailed

EINVAL = 5
BOOT = "INIT@"  # what the names of frames begin with that a firmware sends while it starts
READ_S = 0.1  # how long one read waits
TRIES = 3  # of a question, within its time-out
COMMAND_BYTES = 4096  # SSCMA_CMD_MAX_LENGTH

RESTART = "press RESET on the board, or unplug it and plug it in again"
PLUG = "plug it in again, and close other programs that use its port"
LINE = "another cable, or another USB port without a hub"


class NoAnswer(BoardFailed):
    """The firmware says nothing, or nothing that was waited for."""


class Restarted(BoardFailed):
    """The firmware started anew, unasked: it crashed."""


class Broken(BoardFailed):
    """An answer came of which bytes were lost: the command was carried out, or refused."""


class ResultFailed(BoardFailed):
    """The board could not run the model on a frame; `code` is the firmware's."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(f"the board could not run the model on a frame (code {code}){said}", RESTART)
        self.code = code


class Port(Protocol):
    """What is needed of a pyserial port."""

    timeout: float | None

    def read(self, size: int, /) -> bytes: ...
    def read_all(self) -> bytes | None: ...
    def write(self, data: bytes, /) -> int | None: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Reply:
    """The answer to a command, and what the board said besides until then."""

    code: int
    data: Any
    log: tuple[str, ...] = ()


class Client:
    """Asks a firmware, one command at a time. Every wait ends: with BoardFailed, if not before."""

    def __init__(self, port: Port) -> None:
        self._port = port
        port.timeout = READ_S  # once: setting it configures the whole port
        self._frames = Frames()
        self._messages: deque[Message] = deque()
        self._asked = 0
        self._said = ""  # the last line of text

    def ask(self, command: str, *, timeout_s: float) -> Reply:
        """Send AT+`command`; return the answer, whatever its code.

        A question is asked again where its answer does not come or comes broken; what changes something is sent once.
        Raises NoAnswer, Broken, Restarted, BoardFailed.
        """
        # A tag comes back in the answer: what belongs to no question of ours is no answer. It is a letter, for a board that still
        # is in its boot loader may take a digit for a choice from its menu.
        tag = f"{ascii_uppercase[self._asked % len(ascii_uppercase)]}@"
        self._asked += 1
        tries = TRIES if command.endswith("?") else 1
        if tries == 1:
            self._said = ""  # so that what is told with a failure was said because of it
        for _ in range(tries):
            self._write(f"AT+{tag}{command}\r\n".encode(), command)
            if reply := self._reply(tag, command, timeout_s / tries):
                return reply
        raise NoAnswer(f"no answer to AT+{_short(command)} in {timeout_s:g} s{self._last_said()}", RESTART)

    def wait_for(self, name: str, timeout_s: float, *, quiet_s: float = math.inf) -> Message:
        """Return the next frame whose name begins with `name`; raises BoardFailed, and NoAnswer, after `quiet_s` of silence too."""
        deadline_s = time.monotonic() + timeout_s
        while message := self._next(min(deadline_s, time.monotonic() + quiet_s), f"waiting for {name}"):
            if message.name.startswith(name):
                return message
        raise NoAnswer(f"no {name} in {timeout_s:g} s{self._last_said()}", RESTART)

    def event(self, timeout_s: float) -> Event | None:
        """Return the next result of an INVOKE, None for one that came broken; raises NoAnswer, Restarted, BoardFailed."""
        deadline_s = time.monotonic() + timeout_s
        while message := self._next(deadline_s, "waiting for a result"):
            _refuse_restart(message, "while it ran the model")
            if message.type == EVENT and message.name.rpartition("@")[2] == "INVOKE":
                if message.code:
                    raise ResultFailed(message.code, self._last_said())
                try:
                    return None if message.code is None else read_event(message.data)
                except ValueError:
                    return None
        raise NoAnswer(f"no result in {timeout_s:g} s{self._last_said()}", RESTART)

    def events(self, timeout_s: float) -> Iterator[Event]:
        """Yield results for ever, those left out that came broken; each may take `timeout_s`. Raises as `event` does."""
        while True:
            if event := self.event(timeout_s):
                yield event

    def close(self) -> None:
        """Let go of the port."""
        self._port.close()

    def _reply(self, tag: str, command: str, timeout_s: float) -> Reply | None:
        name = tag + command.partition("=")[0]
        question, log = command.endswith("?"), list[str]()
        deadline_s = time.monotonic() + timeout_s
        while message := self._next(deadline_s, f"waiting for the answer to AT+{_short(command)}"):
            if message.name == name and message.type == RESPONSE:
                if message.code is not None:
                    return Reply(message.code, message.data, tuple(log))
                if not question:
                    raise Broken(f"the answer to AT+{_short(command)} came broken: the line loses bytes", LINE)
                if not self._messages:
                    return None
                continue  # it was the answer to the try before, and what ended it may be the one to this
            # 1.x says this in a log, 2.x in an event. What does not name the command was changed on its way.
            if message.name == "AT" and tag in str(message.data):
                if question and name not in str(message.data):
                    return None
                return Reply(message.code or EINVAL, None, (*log, _text(message)))
            if message.type == LOG:
                log.append(_text(message))
            if not question:
                _refuse_restart(message, f"during AT+{_short(command)}")
        return None

    def _next(self, deadline_s: float, doing: str) -> Message | None:
        """Return the next message, or None when it is late."""
        while not self._messages:
            if time.monotonic() >= deadline_s:
                return None
            try:
                data = self._port.read(1)
                data += (self._port.read_all() or b"") if data else b""
            except OSError:
                raise BoardFailed(f"unplugged while {doing}", PLUG) from None
            self._messages.extend(self._frames.feed(data))
        message = self._messages.popleft()
        if message.type == LOG:
            self._said = _text(message)
        return message

    def _write(self, data: bytes, command: str) -> None:
        try:
            self._port.write(data)
        except SerialTimeoutException:
            raise NoAnswer(f"the board takes no bytes: AT+{_short(command)} could not be sent", RESTART) from None
        except OSError:
            raise BoardFailed(f"unplugged while sending AT+{_short(command)}", PLUG) from None

    def _last_said(self) -> str:
        return f"; the last it said: {self._said!r}" if self._said else ""


def _short(command: str) -> str:
    return command if len(command) <= 40 else f"{command[:24]}…"


def _text(message: Message) -> str:
    """Return what a log says, short enough for a message; who shows it makes it visible."""
    return str(message.data)[:TEXT]


def _refuse_restart(message: Message, when: str) -> None:
    if message.name.startswith(BOOT):
        raise Restarted(f"the firmware crashed and restarted {when}", RESTART)
