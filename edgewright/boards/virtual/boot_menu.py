"""The boot loader of a virtual WiseEye2: its menu, and the XMODEM receiver that writes flash as the packets come.

What it prints: logs of real boards under HimaxWiseEyePlus/Seeed_Grove_Vision_AI_Module_V2 xmodem/xmodem_send.py. What it is told,
and the packet that names an address: that script, and python-sscma 0.5.7 sscma/flashers/core.py. A real one takes any key for
its menu, within 30 to 100 ms; this one waits longer, and only for the key that every client sends: a slow machine meets it,
too, and who opens the port to talk to the firmware does not.
"""

from __future__ import annotations

import binascii
import struct
import time

from edgewright.boards.virtual.wire import Memory, Reset, Wire

SOH, STX, EOT, ACK, NAK, CAN = (bytes([code]) for code in (0x01, 0x02, 0x04, 0x06, 0x15, 0x18))
DATA_BYTES = {SOH: 128, STX: 1024}

READY_EVERY_S = 0.9  # "C", about once a second: a client that sleeps a second after one finds the next
READY_TRIES = 67  # a minute, as long as every known client waits
NEXT_S = 2.0  # without the next packet: the answer to the last one may have been lost, so ask again
GAP_S = 0.5  # within a packet: the rest is lost
QUIET_S = 0.05  # what follows a bad packet is over
TRIES = 10  # for one packet

BANNER = (
    b"\r\n1st BL Modem Build DATE=Nov 30 2023, 0x0002000b\r\nPlease input any key to enter X-Modem mode in 100 ms\r\n"
    b"waiting input key...\r\n"
)
MENU = (
    b"\r\nSet X-modem flag = Yes\r\n\r\n" + b"-" * 60 + b"\r\n"
    b"[0] Reboot system\r\n[1] Xmodem download and burn FW image\r\n" + b"-" * 60 + b"\r\n"
)
PROMPT = b"\r\n\r\nSend data using the xmodem protocol from your terminal\r\n"
QUESTION = b"\r\nDo you want to end file transmission and reboot system? (y)\r\n"
CANCELLED = b"\r\nfile transmission cancelled\r\n"


class Beyond(Exception):
    """The transfer would go where there is no flash."""


class BootMenu:
    """What runs after a reset: `1` in time leads to the menu and to XMODEM; without it the firmware starts."""

    def __init__(self, memory: Memory, *, window_s: float = 0.5) -> None:
        self.memory, self.window_s = memory, window_s

    def run(self, wire: Wire) -> None:
        """Return where nobody wants the menu; else serve it until a reset."""
        wire.write(BANNER)
        if not self._is_called(wire):
            return
        source = Source(wire)
        while True:
            wire.write(MENU)
            if source.key(b"01") == b"0":
                raise Reset
            self._download(wire, source)

    def _is_called(self, wire: Wire) -> bool:
        until = time.monotonic() + self.window_s
        while (left_s := until - time.monotonic()) > 0 and (data := wire.read(left_s)):
            _, called, after = data.partition(b"1")
            if called:
                wire.unread(after)
                return True
        return False

    def _download(self, wire: Wire, source: Source) -> None:
        """Take one transfer after the other, until a reset, or until one is cancelled."""
        wire.write(PROMPT)
        address = 0
        while True:
            target = Target(self.memory, address)
            try:
                whole = receive(wire, source, target)
            except Beyond as problem:
                wire.write(CAN * 2)
                wire.write(f"\r\n{problem}\r\n".encode())
                return
            if not whole:
                wire.write(CANCELLED)
                return
            wire.write(QUESTION)
            # The last answer may have been lost: then the sender ends its file once more.
            while (key := source.key(b"ny" + EOT)) == EOT:
                wire.write(ACK)
            if key == b"y":
                raise Reset
            address = target.next


class Source:
    """What comes over the wire, in the pieces that are wanted."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._kept = b""

    def take(self, count: int, timeout_s: float) -> bytes:
        """Return `count` bytes, or fewer where nothing comes for `timeout_s`."""
        while len(self._kept) < count and (data := self._wire.read(timeout_s)):
            self._kept += data
        taken, self._kept = self._kept[:count], self._kept[count:]
        return taken

    def key(self, wanted: bytes) -> bytes:
        """Wait for one of these keys, however long; others, line ends among them, mean nothing."""
        while not (key := self.take(1, 1.0)) or key not in wanted:
            pass
        return key

    def purge(self) -> bool:
        """Throw away what comes until the line is quiet; say whether anything was there."""
        anything, self._kept = bool(self._kept), b""
        while self._wire.read(QUIET_S):
            anything = True
        return anything


class Target:
    """What becomes of one transfer: flash from an address on, or, if it is a preamble, the address of the next one."""

    def __init__(self, memory: Memory, address: int) -> None:
        self.memory, self.next = memory, 0
        self._address = address
        self._erased = address - address % memory.sector
        self._is_preamble: bool | None = None

    def put(self, data: bytes) -> None:
        """Take a packet: a sector is erased when its first byte comes. Raises Beyond."""
        if self._is_preamble is None:
            self._is_preamble = data[:2] == b"\xc0\x5a" and data[10:12] == b"\x5a\xc0"
            if self._is_preamble:
                address, offset = struct.unpack_from("<II", data, 2)
                self.next = address + offset
                self._must_hold(self.next, 1)
        if self._is_preamble:
            return
        end = self._must_hold(self._address, len(data))
        while self._erased < end:
            self.memory.erase(self._erased, 1)
            self._erased += self.memory.sector
        self.memory.program(self._address, data)
        self._address = end

    def _must_hold(self, address: int, count: int) -> int:
        if address + count > self.memory.size:
            raise Beyond(f"address 0x{address:08x} is beyond the flash")
        return address + count


def receive(wire: Wire, source: Source, target: Target) -> bool:
    """Take one transfer by XMODEM with CRC-16 (checksums are not offered); say whether it came to its end. Raises Beyond."""
    if not (head := _first(wire, source)):
        return False
    number, tries = 1, 0
    while True:
        if head == EOT and not source.purge():
            wire.write(ACK)
            return True
        if head == CAN and source.take(1, GAP_S) == CAN:
            return False
        found, data = _packet(source, DATA_BYTES[head]) if head in DATA_BYTES else (-1, b"")
        if found == number:
            target.put(data)
            number, tries = (number + 1) % 256, 0
            wire.write(ACK)
        elif found == (number - 1) % 256:
            wire.write(ACK)  # the last one once more: its answer was lost
        elif found >= 0 or tries == TRIES:
            # Asked often enough; or sender and receiver are out of step, and nothing in XMODEM brings them together.
            wire.write(CAN * 2)
            return False
        else:
            if head:
                source.purge()
            wire.write(NAK)
            tries += 1
        head = source.take(1, NEXT_S)


def _first(wire: Wire, source: Source) -> bytes:
    """Ask for the first packet, and return the byte that it begins with; nothing where none comes.

    Until then nothing is answered: a NAK would ask for checksums, and keys that were meant for the menu may still come.
    """
    for _ in range(READY_TRIES):
        wire.write(b"C")
        while head := source.take(1, READY_EVERY_S):
            if head in (SOH, STX, EOT, CAN):
                return head
    return b""


def _packet(source: Source, count: int) -> tuple[int, bytes]:
    """Return number and data of a packet, of which the first byte was read; (-1, nothing) where it is damaged."""
    body = source.take(2 + count + 2, GAP_S)
    data = body[2:-2]
    if len(data) != count or body[0] ^ body[1] != 0xFF or binascii.crc_hqx(data, 0).to_bytes(2, "big") != body[-2:]:
        return -1, b""
    return body[0], data
