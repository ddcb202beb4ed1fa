"""The loader in a virtual ESP32-S3's ROM, and the stub that esptool puts in its place: frames in, frames out.

The stub's code is taken and not run: from the jump to it on, its commands are served here. Sources: Espressif, "Serial Protocol"
(docs.espressif.com/projects/esptool); what esptool 5.6 sends and accepts; espressif/esp-flasher-stub v1.1.0, command_handler.c,
for how the stub answers and erases. The stub does not look at a block's number: one that is sent again, because its answer was
lost, is written behind the first, which the client sees by the checksum at the end. The ROM is assumed to do the same.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial, reduce
from operator import xor

from edgewright.boards.virtual.esp_flash import (
    CHECKSUM,
    LENGTH,
    NOT_BEGUN,
    TOO_MUCH,
    UNKNOWN,
    UNREADABLE,
    Flash,
    Refused,
)
from edgewright.boards.virtual.registers import Registers
from edgewright.boards.virtual.slip import Frames, wrap
from edgewright.boards.virtual.wire import Memory, Reset, Wire

SYNC_FRAME = b"\xc0\x00\x08\x24\x00"  # how the frame begins with which every client looks for a loader
SYNC = 0x08
SYNC_VALUE = 0x55201207  # the ROM's; the stub says 0, by which clients know it
CHIP_ID = 9  # ESP32-S3, in image headers and in GET_SECURITY_INFO
MAC = bytes.fromhex("30eda0000001")
HEADER = struct.Struct("<BBHI")  # 0 for a request, command, bytes of data, checksum of the block
BLOCK_HEAD = 16  # bytes in front of a block: its size, its number, and nothing
CHECKSUM_SEED = 0xEF
PACKET_BYTES = 4096  # at most, of the stub's fast read
QUIET_S = 0.02  # a watchdog that was set bites when the client has said what it wants; the real one within 15 ms
IDLE_S = 1.0

Outcome = int | bytes | None  # what an answer carries: a value in its header, or data before the status, or neither
Command = tuple[Callable[[bytes], Outcome], Collection[int]]  # and how many bytes of data it may have
BLOCK = range(BLOCK_HEAD, 1 << 16)  # it has a block with a checksum
ANY = range(1 << 16)


def is_sync(data: bytes) -> int:
    """Return where a SYNC frame begins in what an application received, or -1."""
    return data.find(SYNC_FRAME)


@dataclass(frozen=True)
class EspRom:
    """The chip in its loader. Another `chip_id` makes it another chip, as far as clients ask; its registers stay these."""

    memory: Memory
    chip_id: int = field(default=CHIP_ID, kw_only=True)
    mac: bytes = field(default=MAC, kw_only=True)

    def run(self, wire: Wire) -> None:
        """Serve clients until one of them, or the line, resets the chip."""
        Session(self, wire).run()


class Session:
    """What the chip knows between two resets."""

    def __init__(self, chip: EspRom, wire: Wire) -> None:
        self._chip, self._wire = chip, wire
        self._frames = Frames(wire)
        self._registers = Registers(chip.mac, chip.memory.size)
        self._flash = Flash(chip.memory)
        self._loaded: list[range] = []  # in RAM
        self._missing: int | None = None  # bytes on their way into RAM; none outside of a download
        self._later: Callable[[], None] | None = None  # what a command does after its answer
        self._owed: tuple[int, int] | None = None  # what went wrong there: the next command is answered with it
        self._commands = self._list_commands()

    def run(self) -> None:
        """Answer one frame after the other."""
        while True:
            is_biting = self._registers.watchdog
            frame = self._frames.read(QUIET_S if is_biting else IDLE_S)
            if frame is None and is_biting:
                raise Reset(download=self._registers.download)
            if frame is not None and len(frame) >= HEADER.size and frame[0] == 0:
                self._serve(frame)

    def _list_commands(self) -> dict[int, Command]:
        flash = self._flash
        both: dict[int, Command] = {
            0x02: (flash.begin, (16, 20)),
            0x03: (self._write_flash, BLOCK),
            0x04: (self._end_flash, (4,)),
            0x05: (self._begin_ram, (16,)),
            0x06: (self._end_ram, (8,)),
            0x07: (self._load_ram, BLOCK),
            SYNC: (self._sync, (36,)),
            0x09: (self._write_registers, range(16, 1 << 16, 16)),
            0x0A: (self._read_register, (4,)),
            0x0B: (flash.configure, (24,)),
            0x0F: (self._change_baud, (8,)),
            0x10: (flash.begin_deflated, (16, 20)),
            0x11: (self._write_flash, BLOCK),
            0x12: (self._end_flash, (4,)),
            0x13: (flash.sum_up, (16,)),
            0x14: (self._tell_security, (0,)),
        }
        if not flash.is_stub:
            return both | {0x0D: (self._attach, (8,)), 0x0E: (flash.read_slowly, (8,))}
        return both | {
            0x0D: (self._attach, (4,)),
            0xD0: (flash.erase_all, ANY),
            0xD1: (flash.erase_region, (8,)),
            0xD2: (self._read_flash, (16,)),
            0xD3: (self._run_user_code, ANY),
        }

    def _serve(self, frame: bytes) -> None:
        _, command, size, checksum = HEADER.unpack_from(frame)
        owed, self._owed, self._later = self._owed, None, None
        try:
            if owed:
                raise Refused(owed)
            outcome = self._execute(command, frame[HEADER.size :], size, checksum)
        except Refused as refused:
            self._answer(command, None, refused.codes)
            return
        self._answer(command, outcome)
        try:
            if self._later:
                self._later()
        except Refused as refused:
            self._owed = refused.codes

    def _execute(self, command: int, data: bytes, size: int, checksum: int) -> Outcome:
        if command not in self._commands:
            raise Refused(UNKNOWN)
        run, sizes = self._commands[command]
        if len(data) != size or size not in sizes:
            raise Refused(LENGTH)
        if sizes is not BLOCK:
            return run(data)
        block = data[BLOCK_HEAD:]
        if int.from_bytes(data[:4], "little") != len(block):
            raise Refused(TOO_MUCH)
        if reduce(xor, block, CHECKSUM_SEED) != checksum:
            raise Refused(CHECKSUM)
        return run(block)

    def _answer(self, command: int, outcome: Outcome, codes: tuple[int, int] = (0, 0)) -> None:
        status = struct.pack(">H", codes[1]) if self._flash.is_stub else struct.pack(">HH", codes[0], 0)
        value, data = (outcome, b"") if isinstance(outcome, int) else (0, outcome or b"")
        self._wire.write(wrap(HEADER.pack(1, command, len(data + status), value) + data + status))

    def _sync(self, _data: bytes) -> int:
        value = 0 if self._flash.is_stub else SYNC_VALUE
        for _ in range(7):  # eight in all
            self._answer(SYNC, value)
        return value

    def _tell_security(self, _data: bytes) -> bytes:
        return bytes(12) + struct.pack("<II", self._chip.chip_id, 0)  # no flag is set and no key; the last is a version

    def _read_register(self, data: bytes) -> int:
        return self._registers.read(int.from_bytes(data, "little"))

    def _write_registers(self, data: bytes) -> None:
        for address, value, mask, _delay_us in struct.iter_unpack("<4I", data):
            self._registers.write(address, value, mask)

    def _change_baud(self, data: bytes) -> None:
        self._registers.change_baud(int.from_bytes(data[:4], "little"))

    def _attach(self, _data: bytes) -> None:
        """Do nothing: there is one flash, and it is where every client expects it."""

    def _begin_ram(self, data: bytes) -> None:
        size, _, _, address = struct.unpack("<4I", data)
        self._loaded.append(range(address, address + size))
        self._missing = size

    def _load_ram(self, block: bytes) -> None:
        if self._missing is None:
            raise Refused(NOT_BEGUN)
        if len(block) > self._missing:
            raise Refused(TOO_MUCH)
        self._missing -= len(block)

    def _end_ram(self, data: bytes) -> None:
        if self._missing is None:
            raise Refused(NOT_BEGUN)
        self._missing = None
        stays, entry = struct.unpack("<II", data)
        if not stays:
            self._later = partial(self._jump, entry)

    def _jump(self, entry: int) -> None:
        """Run what was loaded: it is taken for a stub. Elsewhere there is nothing to run, and the chip crashes."""
        if not any(entry in loaded for loaded in self._loaded):
            raise Reset
        self._flash.start_stub()
        self._commands = self._list_commands()
        self._wire.write(wrap(b"OHAI"))

    def _write_flash(self, block: bytes) -> None:
        self._flash.need_begun()
        if self._flash.is_stub:
            self._later = partial(self._flash.write, block)  # while the client already sends the next
        else:
            self._flash.write(block)

    def _end_flash(self, data: bytes) -> None:
        self._flash.end()
        if not self._flash.is_stub:
            self._later = partial(self._reset, download=False)
        elif not any(data):
            self._later = partial(self._reset, download=True)  # how esptool leaves the stub for the ROM

    def _reset(self, *, download: bool) -> None:
        raise Reset(download=download)

    def _run_user_code(self, _data: bytes) -> None:
        raise Reset

    def _read_flash(self, data: bytes) -> None:
        self._later = partial(self._send_flash, *struct.unpack("<3I4x", data))

    def _send_flash(self, address: int, count: int, packet_bytes: int) -> None:
        """Send data in frames, each when the one before it was acknowledged (by 4 bytes), and at last its MD5."""
        if not 0 < packet_bytes <= PACKET_BYTES:
            raise Refused(UNREADABLE)
        data, sent = self._flash.read(address, count), 0
        while sent < count:
            self._wire.write(wrap(data[sent : sent + packet_bytes]))
            sent = min(sent + packet_bytes, count)
            while (said := self._frames.read(IDLE_S)) is None:
                pass
            if len(said) != 4:  # the client has given up, and begins anew
                break
        self._wire.write(wrap(hashlib.md5(data[:sent], usedforsecurity=False).digest()))
