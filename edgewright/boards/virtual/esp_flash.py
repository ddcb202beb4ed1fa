"""The flash commands of a virtual ESP32-S3's loaders: what they erase, write, read, and refuse.

Each takes the data of a command and returns what its answer carries. Where ROM and stub differ, `is_stub` says which of them runs.
"""

from __future__ import annotations

import hashlib
import struct
import zlib

from edgewright.boards.virtual.wire import Memory

ROM_FLASH_BYTES = 2 << 20  # as much as the ROM believes in before it is told (esptool, cmds.py, erase_region)
ROM_READ_BYTES = 64  # of the ROM's answer, however little was asked for
ERASE_BLOCK = 1 << 16  # erased at once where it fits, as the stub does

# What is wrong: the ROM's error, and the stub's. They are sent high byte first; esptool lists them (util.py, FatalError).
LENGTH, CHECKSUM, UNKNOWN = (0x0105, 0xC000), (0x0107, 0xC100), (0x0105, 0xC300)
FAILED, UNWRITTEN, UNREAD, UNREADABLE = (0x0106, 0xC400), (0x0108, 0xC400), (0x0109, 0xC400), (0x010A, 0xC000)
NOT_BEGUN, DAMAGED, TOO_MUCH = (0x0106, 0xC600), (0x010B, 0xC700), (0x0105, 0xC900)


class Refused(Exception):
    """A command is answered with an error: the ROM's code, or the stub's."""

    def __init__(self, codes: tuple[int, int]) -> None:
        super().__init__(codes)
        self.codes = codes


class Flash:
    """The flash as a loader sees it, and the file that is on its way into it. All methods raise Refused."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.is_stub = False
        self._believed_bytes = ROM_FLASH_BYTES
        self._address = 0  # where the next byte goes
        self._missing: int | None = None  # bytes; none outside of a download
        self._erased = self._erase_end = 0  # what is erased for the file, and how far it may be
        self._inflate: zlib._Decompress | None = None

    def start_stub(self) -> None:
        """Be the stub from now on, which asks the chip how large it is, and has begun nothing."""
        self.is_stub, self._believed_bytes, self._missing = True, self.memory.size, None

    def configure(self, data: bytes) -> None:
        """Believe in the size that a client states."""
        self._believed_bytes = struct.unpack_from("<4xI", data)[0]

    def begin(self, data: bytes) -> None:
        """Begin to write a file. The ROM erases all of its place at once, the stub what the next block needs."""
        size, blocks, block_bytes, self._address = struct.unpack_from("<4I", data)
        self._missing = None
        self._check(self._address, size, FAILED)
        sector = self.memory.sector
        self._erased, self._erase_end = (
            self._address - self._address % sector,
            -(-(self._address + size) // sector) * sector,
        )
        if self._erased != self._address and not self.is_stub:
            raise Refused(FAILED)
        # The ROM is told what to erase, and counts blocks.
        self._missing, self._inflate = size if self.is_stub else blocks * block_bytes, None
        self._erase(self._erased + 1 if self.is_stub else self._erase_end)

    def begin_deflated(self, data: bytes) -> None:
        """Begin to write a file that comes compressed by zlib."""
        self.begin(data)
        self._missing, self._inflate = struct.unpack_from("<I", data)[0], zlib.decompressobj()

    def need_begun(self) -> None:
        """Refuse what makes sense only in a download."""
        if self._missing is None:
            raise Refused(NOT_BEGUN)

    def write(self, block: bytes) -> None:
        """Write what a block holds; what only fills it up is left out."""
        missing = self._missing or 0
        if self._inflate:
            try:
                block = self._inflate.decompress(block, missing + 1)
            except zlib.error:
                raise Refused(DAMAGED) from None
            if len(block) > missing:
                raise Refused(TOO_MUCH)
        block = block[:missing]
        self._check(self._address, len(block), UNWRITTEN)
        self._erase(self._address + len(block))
        self.memory.program(self._address, block)
        self._address += len(block)
        self._missing = missing - len(block)

    def end(self) -> None:
        """End a download. The stub wants all of it; the ROM does not care."""
        if self.is_stub:
            self.need_begun()
            if self._missing:
                raise Refused(LENGTH)
        self._missing = None

    def sum_up(self, data: bytes) -> bytes:
        """Return the MD5 of a region: as hexadecimal text from the ROM."""
        found = hashlib.md5(self.read(*struct.unpack_from("<II", data)), usedforsecurity=False)
        return found.digest() if self.is_stub else found.hexdigest().encode()

    def read(self, address: int, count: int) -> bytes:
        """Return bytes."""
        self._check(address, count, UNREAD)
        return self.memory.read(address, count)

    def read_slowly(self, data: bytes) -> bytes:
        """Return up to 64 bytes, and always 64."""
        address, count = struct.unpack("<II", data)
        if count > ROM_READ_BYTES:
            raise Refused(UNREADABLE)
        return self.read(address, count).ljust(ROM_READ_BYTES, b"\0")

    def erase_all(self, _data: bytes) -> None:
        """Erase the chip."""
        self.memory.erase(0, self.memory.size)

    def erase_region(self, data: bytes) -> None:
        """Erase whole sectors."""
        address, count = struct.unpack("<II", data)
        if address % self.memory.sector or count % self.memory.sector:
            raise Refused(LENGTH)
        self._check(address, count, FAILED)
        self.memory.erase(address, count)

    def _erase(self, until: int) -> None:
        """Erase whole sectors and blocks until nothing before `until` is in the way."""
        while self._erased < min(until, self._erase_end):
            fits = self._erased % ERASE_BLOCK == 0 and self._erase_end - self._erased >= ERASE_BLOCK
            step = ERASE_BLOCK if fits else self.memory.sector
            self.memory.erase(self._erased, step)
            self._erased += step

    def _check(self, address: int, count: int, codes: tuple[int, int]) -> None:
        if address + count > min(self._believed_bytes, self.memory.size):
            raise Refused(codes)
