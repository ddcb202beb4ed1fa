"""The line of a virtual board: what it is connected through, how fast it is, and what goes wrong on it."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Protocol

from edgewright.boards.virtual.wire import Reset, Unplugged
from edgewright.errors import WrongInput, nearest

BITS = 10  # of a byte on the line: start, eight, stop
SLICE_S = 0.1  # how soon a pulled line, or a pressed button, is noticed


class Transport(Protocol):
    """What clients connect through."""

    @property
    def port(self) -> str:
        """What a client opens."""

    def receive(self, timeout_s: float) -> bytes:
        """Return what has come, or nothing after `timeout_s`. Raises Reset and Unplugged."""

    def send(self, data: bytes) -> None:
        """Send bytes; where nobody listens they are lost."""

    def unplug(self) -> None:
        """End every connection."""

    def plug(self) -> None:
        """Let clients connect again."""


@dataclass(frozen=True)
class Faults:
    """What goes wrong, on request: shares of bytes from 0 to 1, or counts."""

    drop: float = 0  # bytes that vanish, either way
    flip: float = 0  # bytes of which one bit turns, either way
    ack: float = 0  # single bytes from the board that vanish: acknowledgements
    slow: int = 0  # baud
    unplug: int = 0  # the cable comes out after so many bytes to the board, once
    wrong_chip: bool = False
    full_slot: bool = False  # other models lie wherever a model can lie
    no_firmware: bool = False


NONE = Faults()
KINDS = {name: type(value) for name, value in vars(NONE).items()}


def parse(text: str) -> Faults:
    """Read `drop:0.001,unplug:120000,wrong-chip`."""
    found: dict[str, object] = {}
    for word in filter(None, text.split(",")):
        typed, _, value = word.strip().partition(":")
        name = typed.replace("-", "_")
        if name not in KINDS:
            raise WrongInput(f"FAULT={word}: unknown", nearest(typed, [known.replace("_", "-") for known in KINDS]))
        try:
            found[name] = (
                True if KINDS[name] is bool and not value else _number(value, whole=name in ("slow", "unplug"))
            )
        except ValueError:
            raise WrongInput(
                f"FAULT={word}: {value!r} is no number that fits", "FAULT=drop:0.001,unplug:120000"
            ) from None
    return Faults(**found)  # type: ignore[arg-type]


def _number(text: str, *, whole: bool) -> float:
    number = int(text) if whole else float(text)
    if number < 0 or (not whole and number > 1):
        raise ValueError
    return number


class Line:
    """A Wire over a transport, with a speed and faults. The same faults come at the same bytes every time."""

    def __init__(self, transport: Transport, faults: Faults = NONE) -> None:
        self.transport, self.faults = transport, faults
        self._dice = random.Random(0)
        self._waiting = b""
        self._received = 0
        self._pulled = self._pressed = False
        self._free = {"in": 0.0, "out": 0.0}  # when each direction is free again

    def read(self, timeout_s: float) -> bytes:
        """Return what has come, less what was lost on the way."""
        self._look()
        if self._waiting:
            data, self._waiting = self._waiting, b""
            return data
        if self._unplugs_now():
            self.transport.unplug()
            raise Unplugged
        data = self._receive(timeout_s)
        if self.faults.unplug > self._received:
            left = self.faults.unplug - self._received
            data = data[:left]
        self._received += len(data)
        self._pace("in", len(data))
        return self._damage(data)

    def unread(self, data: bytes) -> None:
        """Put bytes back in front of what the next read returns."""
        self._waiting = data + self._waiting

    def write(self, data: bytes) -> None:
        """Send bytes, less what is lost on the way."""
        if len(data) == 1 and self._dice.random() < self.faults.ack:
            return
        self._pace("out", len(data))
        self.transport.send(self._damage(data))

    def pull(self) -> None:
        """Unplug the line from another thread: the next read, or the one that waits, raises Unplugged."""
        self._pulled = True

    def reset(self) -> None:
        """Press the board's RESET from another thread: the next read, or the one that waits, raises Reset."""
        self._pressed = True

    def _look(self) -> None:
        if self._pulled:
            raise Unplugged
        if self._pressed:
            self._pressed, self._waiting = False, b""
            raise Reset

    def _receive(self, timeout_s: float) -> bytes:
        until = time.monotonic() + timeout_s
        while True:
            self._look()
            left = until - time.monotonic()
            data = self.transport.receive(max(min(left, SLICE_S), 0))
            if data or left <= SLICE_S:
                return data

    def _unplugs_now(self) -> bool:
        now = 0 < self.faults.unplug == self._received
        self._received += now  # once
        return now

    def _damage(self, data: bytes) -> bytes:
        if not self.faults.drop and not self.faults.flip:
            return data
        kept = bytearray()
        for byte in data:
            if self._dice.random() < self.faults.drop:
                continue
            kept.append(byte ^ (1 << self._dice.randrange(8)) if self._dice.random() < self.faults.flip else byte)
        return bytes(kept)

    def _pace(self, direction: str, count: int) -> None:
        """Take as long as so many bytes take on the line."""
        if not self.faults.slow or not count:
            return
        now = time.monotonic()
        self._free[direction] = max(self._free[direction], now) + count * BITS / self.faults.slow
        time.sleep(self._free[direction] - now)
