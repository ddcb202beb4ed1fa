"""Loader "xmodem": into the boot menu by a reset, the address and the file by XMODEM, and out again.

Source: HimaxWiseEyePlus/Seeed_Grove_Vision_AI_Module_V2 xmodem/xmodem_send.py, SenseCraft-Web-Toolkit deviceHimax.ts, python-sscma
sscma/flashers/core.py; where they differ, what all of them would take.
"""

from __future__ import annotations

import io
import logging
import re
import struct
import time
from collections.abc import Callable
from contextlib import suppress

import serial
import xmodem  # type: ignore[import-untyped]

from edgewright import log
from edgewright.boards.loader import NoLoader, Progress, Write, Written
from edgewright.boards.ports import open_port
from edgewright.config import Board
from edgewright.errors import BoardFailed

READ_S = 0.01  # the port's own time-out, set once: to change it sets up the port anew
RESET_S = 0.1  # how long RTS is off: SenseCraft-Web-Toolkit
KEY_S = 0.01  # between two keys: the boot loader listens for 30 to 100 ms only
ALONE_S = 3.0  # what a board takes that RTS resets; after that a person is asked
MENU_S = 60.0  # in all, as in every other client: somebody has to find the button
PROMPT_S = 10.0  # from a key to the next "C", which comes about once a second
AGAIN_S = 2.0  # a key that led to nothing was lost
ANSWER_S = 3.0  # to a packet, which may have to wait until flash is erased; a board that waits for one asks earlier
RETRIES = 19  # of one packet: a minute
QUESTION_S = 60.0  # to write what is still in memory
QUIET_S = 0.1  # after a repeat: its second answer has come by then

PACKET = 128  # bytes; all senders that are known to work take these
KEPT = 4096  # of what was heard: firmware that is not reset may talk for a minute

ACK, CAN, EOT = b"\x06", b"\x18", b"\x04"
# Parts of each text: with one damaged, another will do. Whoever was interrupted may have left the board behind its menu already.
MENU = re.compile(rb"Xmodem download|burn FW image|Send data using|xmodem protocol")
PROMPT = re.compile(rb"Send data using|xmodem protocol|from your terminal")
READY = re.compile(rb"C")
QUESTION = re.compile(rb"end file transmission|reboot system")
ANSWER = re.compile(rb"\x06|\x15|\x18\x18")  # ACK, NAK, cancelled

SILENT = logging.Logger("xmodem", logging.CRITICAL)


class MenuLoader:
    """Writes files through the boot menu. XMODEM reads nothing back: every packet's CRC-16 is the check there is."""

    def write(self, port: str, board: Board, writes: list[Write], progress: Progress) -> Written:
        """See Loader.write. Until the first packet of a file is sent, flash stays as it was."""
        contents = [write.path.read_bytes() for write in writes]
        with open_port(port, board.baud, timeout_s=READ_S) as opened:
            session = _Session(_Line(opened), port, board, writes, contents, progress)
            try:
                return session.run()
            except KeyboardInterrupt:
                with suppress(OSError):
                    opened.write(CAN * 3)
                raise KeyboardInterrupt(session.state("interrupted")) from None
            except OSError:
                raise BoardFailed(session.state("unplugged"), "plug it in, and make flash again") from None
            except BoardFailed as problem:
                raise type(problem)(session.state(str(problem)), problem.hint) from None


class _Session:
    """One flash: where it is, and what the board has of it so far."""

    def __init__(
        self, line: _Line, port: str, board: Board, writes: list[Write], contents: list[bytes], progress: Progress
    ) -> None:
        self.line, self.port, self.board, self.progress = line, port, board, progress
        self.writes, self.contents = writes, contents
        self.total = sum(map(len, contents))
        self.begun = self.complete = self.sent = 0  # files, files, bytes of the file that was begun last

    def run(self) -> Written:
        """Write everything and restart the board."""
        self._enter()
        started = time.monotonic()
        for index, write in enumerate(self.writes):
            if index:
                self._next()
            if write.address:
                self.line.transfer(_preamble(write.address))
                self._end()
                self._next()
            self._write(index)
            self._end()
            self.complete += 1
        self.line.port.write(b"y")
        # The menu does not name its chip; no other chip has this menu.
        return Written(self.board.chip, self.total, time.monotonic() - started, "each packet by its CRC-16")

    def state(self, fact: str) -> str:
        """Return the fact, how far it got, and what is in the board's flash now."""
        if not self.begun:
            return f"{fact} before the first byte: nothing was written"
        kinds = ["firmware" if write.address == self.board.firmware_address else "model" for write in self.writes]
        said = [f"{kind} is written" for kind in kinds[: self.complete]]
        said += [f"{kind} is incomplete" for kind in kinds[self.complete : self.begun]]
        untouched = [kind for kind in ("firmware", "model", "settings") if kind not in kinds[: self.begun]]
        size = len(self.contents[self.begun - 1])
        news = ", its ".join([*said, f"{' and '.join(untouched)} are untouched"])
        return f"{fact} after {self.sent:,} of {size:,} bytes: the board's {news}"

    def _enter(self) -> None:
        """Reset the board, call its menu, and choose the transfer."""
        self.progress(0, self.total, "waiting for the boot menu")
        self.line.port.write(CAN * 3)  # in case that it cannot be reset, and still waits for somebody's file
        _reset(self.line.port)
        if not self.line.knock(b"1", MENU, KEY_S, ALONE_S):
            # A line of its own: where nobody watches, a bar that stands still says nothing.
            log.say("flash", f"{self.port} was not reset by its RTS: {self.board.download}", "bold")
            self.progress(0, self.total, self.board.download)
            if not self.line.knock(b"1", MENU, KEY_S, MENU_S - ALONE_S):
                raise NoLoader(f"no boot menu on {self.port} for {MENU_S:.0f} seconds", self.board.download)
        if not (self.line.knock(b"1", PROMPT, AGAIN_S, PROMPT_S) and self.line.knock(b"", READY, AGAIN_S, PROMPT_S)):
            raise BoardFailed(f"{self.port}: the boot menu came, but no XMODEM", self.board.restart)

    def _write(self, index: int) -> None:
        self.begun, self.sent = index + 1, 0
        content, before = self.contents[index], sum(map(len, self.contents[:index]))

        def on_packet(_packets: int, taken: int, _errors: int) -> None:
            self.sent = min(taken * PACKET, len(content))
            self.progress(before + self.sent, self.total, f"writing {self.writes[index].path.name}")

        self.line.transfer(content, on_packet)

    def _end(self) -> None:
        if not self.line.knock(b"", QUESTION, AGAIN_S, QUESTION_S):
            raise BoardFailed(f"{self.port} does not say that it has the file", "make flash again")

    def _next(self) -> None:
        if not self.line.knock(b"n", READY, AGAIN_S, PROMPT_S):
            raise BoardFailed(f"{self.port} does not take a further file", "make flash again")


class _Line:
    """The port, as a boot menu and XMODEM use it: what is waited for may have come before, among other things."""

    def __init__(self, port: serial.SerialBase) -> None:
        self.port = port
        self._heard = bytearray()
        self._last, self._repeated = b"", False

    def knock(self, key: bytes, text: re.Pattern[bytes], every_s: float, within_s: float) -> bool:
        """Send a key again and again until the board says what it should; say whether it did."""
        until, due = time.monotonic() + within_s, 0.0
        while not (match := text.search(self._heard)):
            now = time.monotonic()
            if now >= until:
                return False
            if key and now >= due:
                self.port.write(key)
                due = now + every_s
            self._listen()
        del self._heard[: match.end()]
        return True

    def transfer(self, content: bytes, on_packet: Callable[[int, int, int], None] | None = None) -> None:
        """Send a file to a board that has asked for it ("C"), padded to whole packets."""
        first = iter([b"C"])
        modem = xmodem.XMODEM(
            lambda _size, timeout=ANSWER_S: next(first, b"") or self._answer(timeout), self._send, pad=b"\xff"
        )
        modem.log = SILENT  # it would report every repeat on the screen
        if not modem.send(io.BytesIO(content), RETRIES, ANSWER_S, quiet=True, callback=on_packet):
            raise BoardFailed("the board answers no more, or takes no packet", "make flash again")

    def _listen(self) -> bool:
        data = self.port.read(1)
        if data:
            data += self.port.read_all() or b""
        self._heard += data
        del self._heard[:-KEPT]
        return bool(data)

    def _send(self, data: bytes, _timeout_s: float = 0) -> int | None:
        """Send a packet; after one that was repeated, not until its second answer can no longer be taken for this one's."""
        if data != self._last and self._repeated:
            self._settle()
        self._last, self._repeated = bytes(data), data == self._last
        return self.port.write(data)

    def _settle(self) -> None:
        until = time.monotonic() + QUIET_S
        while time.monotonic() < until:
            if self._listen():
                until = time.monotonic() + QUIET_S
        self._heard = bytearray(ANSWER.sub(b"", self._heard))

    def _answer(self, timeout_s: float) -> bytes | None:
        """Return ACK or NAK, or None after a while; anything else on the line is no answer."""
        until = time.monotonic() + timeout_s
        while not (match := ANSWER.search(self._heard)):
            if self._last == EOT and QUESTION.search(self._heard):
                return ACK  # which was lost: the question comes after it
            if time.monotonic() >= until:
                return None
            self._listen()
        answer = bytes(match[0])
        del self._heard[: match.end()]
        if answer == CAN * 2:
            self._settle()
            said = self._heard.decode("ascii", "ignore").strip().partition("\r\n")[0]
            raise BoardFailed(f"the board cancelled the transfer ({said or 'it does not say why'})", "make flash again")
        return answer


def _reset(port: serial.SerialBase) -> None:
    """Pulse RTS, the chip's reset. Ports without lines refuse; then opening them was the reset, or a person presses the button."""
    with suppress(OSError):
        port.rts = False
        time.sleep(RESET_S)
        port.rts = True


def _preamble(address: int) -> bytes:
    """Return the packet that says where the next file goes: address and an offset."""
    return (b"\xc0\x5a" + struct.pack("<II", address, 0) + b"\x5a\xc0").ljust(PACKET, b"\xff")
