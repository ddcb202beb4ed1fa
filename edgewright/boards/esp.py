"""Loader "esptool": Espressif's chips, by their ROM's loader and esptool's stub.

The library does the protocol; here is what it leaves to its callers: a port that is free afterwards, an end to every wait, and
errors that say what state the board is in.
"""

from __future__ import annotations

import struct
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import serial
from esp_pylib.logger import EspLog
from esp_pylib.serial_reset import hard_reset
from esptool import cmds  # type: ignore[import-untyped]
from esptool.loader import ESPLoader  # type: ignore[import-untyped]
from esptool.logger import TemplateLogger, log  # type: ignore[import-untyped]
from esptool.reset import ResetStrategy  # type: ignore[import-untyped]
from esptool.util import FatalError, PrintOnce, flash_size_bytes  # type: ignore[import-untyped]

from edgewright.boards.loader import NoLoader, Progress, Write, Written
from edgewright.boards.ports import open_port
from edgewright.config import Board
from edgewright.errors import BoardFailed

READ_S = 3.0  # esptool sets its own for each command
ATTEMPTS = 5  # to reset and synchronise: about a second each
CONNECT_S = 12.0  # in all: a line on which something talks without end would hold esptool for ever
WHOLE_S = 60.0  # for what does not grow with the file
SLOWEST = 4000  # bytes a second: less than 115200 baud gives, with time to erase
BACK_S = 5.0  # until a port on USB is there again after a restart
STAYS_S = 0.3  # a port that is about to vanish is still there for a moment
POLL_S = 0.05
CHECKED = "MD5 of the flash, by the chip"
AGAIN = "make flash again"
OTHER = "PORT= of the right board, or DEVICE= of this one"

# What a line that goes dead or garbles bytes makes of esptool: SerialException is an OSError, the others it does not foresee.
FAILURES = (FatalError, OSError, termios.error, struct.error, IndexError, ValueError)
# Every other OSError of a port that was open is a cable that is not there any more.
SLOW = (TimeoutError, serial.SerialTimeoutException)


class EspLoader:
    """Writes files with esptool: compressed, and each compared with the chip's own MD5 of what is in flash."""

    def write(self, port: str, board: Board, writes: list[Write], progress: Progress) -> Written:
        """See Loader.write. Until the chip has said what it is, and how large its flash, nothing is written."""
        contents = [write.path.read_bytes() for write in writes]
        opened = open_port(port, ESPLoader.ESP_ROM_BAUD, timeout_s=READ_S)
        session = _Session(opened, port, board, writes, contents, progress)
        try:
            with _silenced(session):
                written = session.run()
        except BaseException as problem:
            # Whoever is not in the loader on purpose wants the firmware back.
            with suppress(*FAILURES, KeyboardInterrupt):
                hard_reset(cast(serial.Serial, opened))
            raise session.explained(problem) from None
        finally:
            opened.close()
        if not _is_back(port):
            raise BoardFailed(f"{port} did not come back after the restart: everything is written", board.restart)
        return written


class _Session(TemplateLogger):  # type: ignore[misc]
    """One flash: where it is, and what the board has of it so far. esptool tells it how far it is, as its logger."""

    def __init__(
        self,
        opened: serial.SerialBase,
        port: str,
        board: Board,
        writes: list[Write],
        contents: list[bytes],
        progress: Progress,
    ) -> None:
        self.opened, self.port, self.board, self.progress = opened, port, board, progress
        self.writes, self.contents = writes, contents
        self.total = sum(map(len, contents))
        self.begun = self.complete = self.sent = 0  # files, files, bytes of the file that was begun last
        self.index = -1  # of the file that esptool has
        self.connected = False

    def run(self) -> Written:
        """Connect, look what it is, write everything, restart the board."""
        self._end_after(CONNECT_S)
        self.progress(0, self.total, "looking for the chip's loader")
        # A port that esptool opens itself would stay open where it fails.
        chip = cmds.detect_chip(cast(str, self.opened), ESPLoader.ESP_ROM_BAUD, connect_attempts=ATTEMPTS)
        self.connected = True
        self._end_after(WHOLE_S + self.total / SLOWEST)
        name = str(chip.CHIP_NAME)
        if name != self.board.chip:
            raise BoardFailed(f"{self.port}: this is an {name}, not an {self.board.chip}", OTHER)
        self.progress(0, self.total, "starting esptool's stub")
        chip = cmds.run_stub(chip)
        # It would wait seven seconds for an unplugged board, and then hold another object than ours.
        chip.WRITE_FLASH_ATTEMPTS = 1
        if not self.port.startswith("socket:"):  # whose other end would keep its speed
            chip.change_baud(self.board.baud)
        self._attach(chip)
        started = time.monotonic()
        for index, write in enumerate(self.writes):
            self._write(chip, index, write.address)
        seconds = time.monotonic() - started
        self._restart(chip)
        return Written(name, self.total, seconds, CHECKED)

    def explained(self, problem: BaseException) -> BaseException:
        """Return what a person should read instead: the same interruption, or one BoardFailed, with the board's state."""
        if isinstance(problem, KeyboardInterrupt):
            return KeyboardInterrupt(self._state("interrupted"))
        if isinstance(problem, BoardFailed):
            return BoardFailed(self._state(str(problem)), problem.hint)
        if not isinstance(problem, FAILURES):
            return problem
        if self.complete == len(self.writes):
            return BoardFailed(
                f"the board did not restart ({_said(problem)}): everything is written", self.board.restart
            )
        if isinstance(problem, OSError | termios.error) and not isinstance(problem, SLOW):
            fact = "the connection ended" if "://" in self.port else "unplugged"
            return BoardFailed(self._state(fact), "plug it in, and make flash again")
        if not self.connected:
            return NoLoader(self._state(f"no loader answers on {self.port} ({_said(problem)})"), self.board.download)
        return BoardFailed(self._state(f"the chip's loader failed ({_said(problem)})"), AGAIN)

    def _attach(self, chip: Any) -> None:
        cmds.attach_flash(chip)
        size = flash_size_bytes(cmds.detect_flash_size(chip))
        if size is None or size < self.board.flash_bytes:
            found = f"{size >> 20} MiB" if size else "of a size that it does not say"
            raise BoardFailed(f"{self.port}: its flash is {found}, not {self.board.flash_bytes >> 20} MiB", OTHER)

    def _restart(self, chip: Any) -> None:
        if not self.port.startswith("socket:"):
            cmds.reset_chip(chip, "hard-reset")
            return
        # No line leads to the chip's reset, but its own watchdog does: in 15 ms, with its last answer or before it.
        with suppress(*FAILURES):
            cmds.reset_chip(chip, "watchdog-reset")

    def _write(self, chip: Any, index: int, address: int) -> None:
        self.index, self.sent = index, 0
        cmds.write_flash(chip, [(address, self.contents[index])], flash_size="keep", compress=True)
        self.complete = index + 1

    def _state(self, fact: str) -> str:
        """Return the fact, how far it got, and what is in the board's flash now."""
        if not self.begun:
            return f"{fact}; nothing was written"
        kinds = ["firmware" if write.address == self.board.firmware_address else "model" for write in self.writes]
        said = [f"{kind} is written" for kind in kinds[: self.complete]]
        said += [f"{kind} is incomplete" for kind in kinds[self.complete : self.begun]]
        # An image of a whole firmware may also cover its settings.
        untouched = {"firmware", "settings"} if "firmware" not in kinds[: self.begun] else set()
        untouched |= {"model"} - set(kinds[: self.begun])
        if untouched:
            said.append(f"{' and '.join(sorted(untouched))} {'are' if len(untouched) > 1 else 'is'} untouched")
        size = len(self.contents[self.begun - 1])
        return f"{fact} after {self.sent:,} of {size:,} bytes: the board's {', its '.join(said)}"

    def _end_after(self, limit_s: float) -> None:
        """Let every read fail after so many seconds from now: esptool has time-outs for silence, none for noise."""
        until, read = time.monotonic() + limit_s, type(self.opened).read

        def bounded(size: int = 1) -> bytes:
            if time.monotonic() > until:
                raise TimeoutError(f"not done after {limit_s:.0f} seconds")
            return read(self.opened, size)

        self.opened.read = bounded  # type: ignore[method-assign]

    # --- esptool's logger: of all that it says, only how far it is -----------------------------------------------------------

    def stage(self, finish: bool = False) -> None:
        """Take it that the chip is being written to from now on: esptool's checks come before, its first command after this."""
        self.begun = self.index + 1

    def progress_bar(
        self, cur_iter: int, total_iters: int, prefix: str = "", suffix: str = "", bar_length: int = 30
    ) -> None:
        """Take esptool's count, of compressed bytes."""
        content, before = self.contents[self.index], sum(map(len, self.contents[: self.index]))
        self.sent = len(content) * cur_iter // total_iters
        name = self.writes[self.index].path.name
        self.progress(before + self.sent, self.total, f"{'writing' if self.sent < len(content) else 'checking'} {name}")

    def _ignore(self, *_: object, **__: object) -> None:
        """What esptool says is for people who started esptool."""

    print = note = warning = error = set_verbosity = _ignore


@contextmanager
def _silenced(logger: TemplateLogger) -> Iterator[None]:
    """Let esptool speak to `logger`, which is global there, as is a warning that was bound to the logger of its first day."""
    before, warn_once = EspLog.instance, ResetStrategy.print_once
    log.set_logger(logger)
    ResetStrategy.print_once = PrintOnce(logger.warning)
    try:
        yield
    finally:
        EspLog.instance, ResetStrategy.print_once = before, warn_once


def _said(problem: BaseException) -> str:
    """Return the first line of an exception of esptool's, which goes on with an address to read at."""
    if not isinstance(problem, FatalError | OSError):
        return "garbled bytes"
    text = (str(problem).splitlines() or ["no reason given"])[0].rstrip(".!")
    text = text.removeprefix("Failed to connect to Espressif device: ")
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


def _is_back(port: str) -> bool:
    """Wait until a port stays: on USB it may vanish with the chip's reset, and come back."""
    if "://" in port:
        return True
    since = time.monotonic()
    until = since + BACK_S
    while True:
        there, now = Path(port).exists(), time.monotonic()
        if there and now >= since + STAYS_S:
            return True
        if not there:
            if now > until:
                return False
            since = now
        time.sleep(POLL_S)
