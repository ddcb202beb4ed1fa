"""What writes flash, seen from outside: the Protocol that every loader has, and the values it works on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgewright.config import Board
from edgewright.errors import BoardFailed

Progress = Callable[[int, int, str], None]  # bytes done, bytes in all, what is being done


class NoLoader(BoardFailed):
    """No loader answers at the port: nothing was written, and it may be no such board."""


@dataclass(frozen=True)
class Write:
    """One file and where it goes: an address in flash."""

    path: Path
    address: int


@dataclass(frozen=True)
class Written:
    """How a flash went: what the chip said it is, bytes, seconds of writing, and how it was checked (empty: it could not be)."""

    chip: str
    bytes: int
    seconds: float
    checked: str


class Loader(Protocol):
    """Writes files into the flash of one kind of board. Every wait in it ends."""

    def write(self, port: str, board: Board, writes: list[Write], progress: Progress) -> Written:
        """Bring the board at `port` (a device or pyserial URL) into its loader, make sure of its chip, write, check, restart it.

        Raises BoardFailed (NoLoader, another chip, unplugged, a difference), or WrongInput where the port cannot be opened.
        However it ends, Ctrl-C included, the port is free afterwards, and the error says what state the board is in.
        """
