"""What differs between the firmwares' two dialects of AT, as the application needs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from edgewright.boards.virtual.network import Inference
from edgewright.boards.virtual.state import Task

Send = Callable[[int, str, int, Any], None]  # type, name, code, data
Run = Callable[[str, list[str]], None]  # the name that the reply has, and the arguments

RESPONSE, EVENT, LOG = 0, 1, 2


class Dialect(Protocol):
    """The commands of a dialect, and what it says of its own accord."""

    separators: tuple[str, str]  # of its JSON
    ends: bytes  # of a command, in the order in which it looks for them
    skips_empty: bool  # whether a line with nothing in it is none
    hexadecimal: bool  # whether an integer may have letters

    def boot(self) -> None:
        """Say what the firmware says when it has started."""

    def commands(self) -> Mapping[str, tuple[int, Run]]:
        """Return what can be asked for now: the number of arguments, and what does it."""

    def unknown(self, line: str, name: str) -> None:
        """Refuse a command; `name` without AT+, or the whole line where there was none."""

    def miscounted(self, name: str) -> None:
        """Refuse a command that has too few arguments."""

    def event(self, task: Task, found: Inference) -> None:
        """Tell what a frame gave."""

    def failed(self, task: Task, code: int) -> None:
        """Tell that a frame gave nothing."""

    cannot: int  # the code of that where the machine cannot do what a board would


def framed(dialect: Dialect, kind: int, name: str, code: int, data: Any) -> bytes:
    """Return a message as it goes over the wire; without data where it is None."""
    message = {"type": kind, "name": name, "code": code} | ({} if data is None else {"data": data})
    return f"\r{json.dumps(message, separators=dialect.separators, ensure_ascii=False)}\n".encode()
