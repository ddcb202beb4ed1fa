"""What a virtual board and its programs are made of: the line to whoever talks to it, its flash, and what its programs raise.

A board runs one program at a time, as a chip does: a loader that writes flash, or the firmware. A program is straight-line code
that reads and writes the wire until something ends it: a reset, or the plug.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Protocol

ERASED = 0xFF


class Reset(Exception):
    """The chip restarts; into its loader where `download` says so."""

    def __init__(self, *, download: bool = False) -> None:
        super().__init__("reset")
        self.download = download


class Unplugged(Exception):
    """The cable is out: nothing more is read or written."""


class Wire(Protocol):
    """A serial line, seen from the board."""

    def read(self, timeout_s: float) -> bytes:
        """Return what has come, at least a byte, or nothing after `timeout_s`; raise Reset or Unplugged where that happens."""

    def unread(self, data: bytes) -> None:
        """Put bytes back in front of what the next read returns, for the program that runs next."""

    def write(self, data: bytes) -> None:
        """Send bytes, at the line's speed; raise Unplugged where nothing is connected any more."""


class Program(Protocol):
    """What runs on the chip: the loader, or the firmware."""

    def run(self, wire: Wire) -> None:
        """Run until Reset or Unplugged is raised; to return is to hand over to the firmware."""


class Memory:
    """NOR flash in a file: erasing sets whole sectors to 0xFF, programming only clears bits."""

    def __init__(self, path: Path, size: int, sector: int) -> None:
        self.path, self.size, self.sector = path, size, sector
        if not path.exists() or path.stat().st_size != size:
            with path.open("wb") as file:
                for _ in range(0, size, 1 << 20):
                    file.write(bytes([ERASED]) * min(size, 1 << 20))
        self._file = path.open("r+b")
        self._map = mmap.mmap(self._file.fileno(), size)

    def read(self, address: int, count: int) -> bytes:
        """Return `count` bytes from `address`; what lies behind the end reads as the beginning again, as on the chip."""
        return (
            bytes(self._map[(address + i) % self.size] for i in range(count))
            if self._beyond(address, count)
            else (self._map[address : address + count])
        )

    def erase(self, address: int, count: int) -> None:
        """Erase every sector that `count` bytes from `address` touch."""
        first = address - address % self.sector
        end = min(-(-(address + count) // self.sector) * self.sector, self.size)
        self._map[first:end] = bytes([ERASED]) * max(end - first, 0)

    def program(self, address: int, data: bytes) -> None:
        """Write without erasing: a bit that is 0 stays 0."""
        data = data[: max(self.size - address, 0)]
        before = int.from_bytes(self._map[address : address + len(data)], "little")
        self._map[address : address + len(data)] = (before & int.from_bytes(data, "little")).to_bytes(
            len(data), "little"
        )

    def close(self) -> None:
        """Write everything to the file, and let go of it."""
        self._map.flush()
        self._map.close()
        self._file.close()

    def _beyond(self, address: int, count: int) -> bool:
        return address + count > self.size
