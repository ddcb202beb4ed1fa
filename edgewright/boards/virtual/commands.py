"""AT commands as the firmware reads them: bytes into lines, a line into a name and its arguments.

Sources: SSCMA-Micro sscma/repl/server.hpp m_exec_cmd() (1.x), sscma/server/at/ma_server_at.cpp execute() (2.x): alike in this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

PREFIX = "AT+"
VIRTUAL = (
    "EDGEWRIGHT?"  # what no firmware answers but a virtual board does, at whatever port: our own tools know it by this
)
LONGEST_BYTES = 4096  # SSCMA_CMD_MAX_LENGTH; a longer line is dropped without a word
UNPRINTABLE = re.compile(r"[^\x20-\x7e]")
# A quoted string, whose end may be missing and in which a backslash takes the next character as it is; or an integer.
ARGUMENT = re.compile(r"""(["'])((?:\\.|(?!\1).)*)\1?|(-\d*|\d+)""")


class Lines:
    """Collects bytes until a terminator, one of `ends`."""

    def __init__(self, ends: bytes) -> None:
        self._end = re.compile(b"[" + re.escape(ends) + b"]")
        self.rest = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield each line that is now whole and has anything in it that can be printed."""
        *lines, rest = self._end.split(self.rest + data)
        self.rest = rest[-LONGEST_BYTES - 1 :]  # enough to know later that it is too long
        for line in lines:
            text = UNPRINTABLE.sub("", line.decode("latin-1"))
            if text and len(line) <= LONGEST_BYTES:
                yield text


@dataclass(frozen=True)
class Command:
    """A line: the command without its tag, the name that the reply has (tag and all), and what follows the first `=`."""

    command: str
    name: str
    text: str

    def arguments(self, count: int) -> list[str]:
        """Return at most the first `count` arguments: whatever else the line holds is skipped."""
        found = ARGUMENT.findall(self.text)[:count]
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
