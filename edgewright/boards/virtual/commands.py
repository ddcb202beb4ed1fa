"""AT commands as the firmware reads them: bytes into lines, a line into a name and its arguments.

Sources: SSCMA-Micro sscma/repl/server.hpp m_exec_cmd() (1.x), sscma/server/at/ma_server_at.cpp execute() (2.x): alike in this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

PREFIX = "AT+"
# What no firmware answers but a virtual board does, at whatever port: our own tools know it by this.
VIRTUAL = "EDGEWRIGHT?"
LONGEST_BYTES = 4096  # SSCMA_CMD_MAX_LENGTH; a longer line is dropped without a word
UNPRINTABLE = re.compile(r"[^\x20-\x7e]")
# A quoted string, whose end may be missing and in which a backslash takes the next character as it is; or an integer, which
# in some builds is hexadecimal.
QUOTED = r"""(["'])((?:\\.|(?!\1).)*)\1?"""
DECIMAL, HEXADECIMAL = (re.compile(rf"{QUOTED}|(-[{digits}]*|[{digits}]+)") for digits in ("0-9", "0-9a-fA-F"))


class Lines:
    """Collects bytes, and takes lines as the firmware's loop does: again and again one up to each of `ends`, in that order.

    So two commands that end differently and come at once may be one for it, and an end alone is a line with nothing in it: 1.x
    does not know that as a command (main_task.hpp L477-488 at ff48a1c), 2.x skips it (ma_server_at.cpp L71-87 at ab1d5f0).
    """

    def __init__(self, ends: bytes, *, skips_empty: bool = False) -> None:
        self._ends, self._skips_empty = [bytes([end]) for end in ends], skips_empty
        self.rest = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield each line that is now whole, as far as it can be printed. `data` is what came between two rounds of the loop."""
        self.rest += data
        while any(end in self.rest for end in self._ends):
            for end in self._ends:
                line, found, rest = self.rest.partition(end)
                if not found:
                    continue
                self.rest = rest
                if len(line) <= LONGEST_BYTES and (line or not self._skips_empty):
                    yield UNPRINTABLE.sub("", line.decode("latin-1"))
        # Enough to know later that it is too long.
        self.rest = self.rest[-LONGEST_BYTES - 1 :]


@dataclass(frozen=True)
class Command:
    """A line: the command without its tag, the name that the reply has (tag and all), and what follows the first `=`."""

    command: str
    name: str
    text: str

    def arguments(self, count: int, *, hexadecimal: bool = False) -> list[str]:
        """Return at most the first `count` arguments: whatever else the line holds is skipped.

        `hexadecimal`: an integer may have letters from a to f, and begin with one (server.hpp L336 since 43aecd9).
        """
        found = (HEXADECIMAL if hexadecimal else DECIMAL).findall(self.text)[:count]
        return [integer or re.sub(r"\\(.?)", r"\1", quoted) for _, quoted, integer in found]


def parse(line: str) -> Command | None:
    """Take a line apart: AT+tag@COMMAND=arguments. None where it does not begin with AT+."""
    name, _, text = line.partition("=")
    name = name.upper()
    if not name.startswith(PREFIX):
        return None
    name = name.removeprefix(PREFIX)
    return Command(name.rpartition("@")[2], name, text)


def number(text: str) -> int:
    """Return what C's atoi makes of an argument."""
    found = re.match(r"\s*[+-]?\d+", text)
    return int(found.group()) if found else 0


def crc16_maxim(data: bytes) -> int:
    """Return CRC-16/MAXIM: what the firmware says it has stored (core/utils/el_hash.cpp)."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc ^ 0xFFFF
