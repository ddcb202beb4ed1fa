"""A virtual board: a flash, a line, and one program at a time, as resets and the plug lead from one to the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgewright.boards.virtual.application import Application
from edgewright.boards.virtual.boot_menu import BootMenu
from edgewright.boards.virtual.esp_rom import EspRom, is_sync
from edgewright.boards.virtual.identity import ID_BYTES, chip_number
from edgewright.boards.virtual.line import NONE, Faults, Line, Transport
from edgewright.boards.virtual.network import Interpreter
from edgewright.boards.virtual.wire import ERASED, Memory, Program, Reset, Unplugged, Wire
from edgewright.boards.virtual.wiring import Adapter, UsbJtag, Wiring
from edgewright.config import Board
from edgewright.firmware import Firmware

FLASH = "flash.bin"
UNPLUGGED_S = 0.3  # how long the cable stays out
ANOTHER_CHIP = 5  # the ESP32-C3's number, for a board of the wrong kind
OTHER_MODELS_EVERY = 0x40000  # bytes between the models of a slot that is full
MAGIC = b"\x00\x00\x00\x00TFL3"

Say = Callable[[str], None]


class Silent:
    """A chip without firmware, or one that knows nothing of us: it says `text` now and then, and answers nothing."""

    def __init__(self, text: bytes = b"", is_download: Callable[[bytes], bool] | None = None) -> None:
        self.text, self.is_download = text, is_download

    def run(self, wire: Wire) -> None:
        """Wait for a reset."""
        while True:
            if self.text:
                wire.write(self.text)
            data = wire.read(0.5)
            if data and self.is_download and self.is_download(data):
                wire.unread(data)
                raise Reset(download=True)


@dataclass(frozen=True)
class Parts:
    """What a kind of loader makes of a board: its wiring, what runs after a reset, and what an empty chip says."""

    wiring: Callable[[], Wiring]
    starts_loader: bool  # whether every reset goes through the loader, or only one that asks for it
    loader: Callable[[Memory, Faults], Program]
    is_download: Callable[[bytes], bool] | None
    empty: bytes
    firmware: bytes  # the first bytes of what stands in flash for a firmware


KINDS: Mapping[str, Parts] = {
    "esptool": Parts(
        wiring=UsbJtag,
        starts_loader=False,
        loader=lambda memory, faults: EspRom(memory, chip_id=ANOTHER_CHIP) if faults.wrong_chip else EspRom(memory),
        is_download=lambda data: is_sync(data) >= 0,
        empty=b"invalid header: 0xffffffff\r\n",
        firmware=b"\xe9",  # esp_image_header_t.magic
    ),
    "xmodem": Parts(
        wiring=Adapter,
        starts_loader=True,
        loader=lambda memory, faults: Silent() if faults.wrong_chip else BootMenu(memory),
        is_download=None,
        empty=b"",
        firmware=b"\x00",
    ),
}


class VirtualBoard:
    """One board, plugged in through what `connect` makes. `run` is its life; `stop` ends it from another thread."""

    def __init__(
        self,
        board: Board,
        firmware: Firmware,
        folder: Path,
        interpreter: Interpreter,
        connect: Callable[[Wiring], Transport],
        *,
        faults: Faults = NONE,
        say: Say = lambda _: None,
    ) -> None:
        self.parts, self.board, self.firmware, self.faults, self.say = KINDS[board.loader], board, firmware, faults, say
        self.interpreter, self.folder = interpreter, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.memory = Memory(folder / FLASH, board.flash_bytes, board.sector_bytes)
        self._covered: dict[int, bytes] = {}
        self._furnish()
        self.wiring = self.parts.wiring()
        self.line = Line(connect(self.wiring), faults)
        self._over = False

    def run(self) -> None:
        """Power on, run what each reset leads to, survive the plug; at the end nothing is left open."""
        try:
            program = self._after(Reset())
            while not self._over:
                program = self._next(program)
        finally:
            self.line.transport.unplug()
            self._put_back()
            self.memory.close()

    def stop(self) -> None:
        """Unplug it for good; `run`, in its thread, comes to its end."""
        self._over = True
        self.line.pull()

    def reset(self) -> None:
        """Press its RESET, from another thread; a frame that is being computed comes to its end first."""
        self.say("RESET is pressed")
        self.line.reset()

    def _next(self, program: Program) -> Program:
        """Run a program to its end, and return what runs after it."""
        try:
            program.run(self.line)
            return self._firmware()
        except Reset as reset:
            return self._after(reset)
        except Unplugged:
            if not self._over:
                self.say("unplugged")
                time.sleep(UNPLUGGED_S)
                self.line.transport.plug()
                self.say("plugged in again")
            return self._after(Reset())

    def _after(self, reset: Reset) -> Program:
        if not (self.parts.starts_loader or reset.download):
            return self._firmware()
        self.wiring.loading = True
        self.say("runs its loader")
        return self.parts.loader(self.memory, self.faults)

    def _firmware(self) -> Program:
        self.wiring.loading = False
        if not self._has_firmware():
            self.say("has no firmware")
            return Silent(self.parts.empty, self.parts.is_download)
        self.say(f"runs {self.firmware.title}")
        # Another firmware keeps its own in its own way: what one was told the other does not know.
        settings = self.folder / f"settings-{self.firmware.name}.json"
        return Application(
            self.memory,
            self.firmware,
            self.interpreter,
            settings=settings,
            is_download=self.parts.is_download,
            label=str(self.folder),
        )

    def _has_firmware(self) -> bool:
        return self.memory.read(self.board.firmware_address, 1) != bytes([ERASED])

    def _furnish(self) -> None:
        """Give a new chip what the shop gives it: a firmware. And what the faults want."""
        if self.faults.no_firmware:
            self.memory.erase(self.board.firmware_address, self.board.sector_bytes)
        elif not self._has_firmware():
            self.memory.program(self.board.firmware_address, self.parts.firmware)
        at = self.firmware.at
        if at and at.id_address is not None and not self.memory.read(at.id_address, ID_BYTES).strip(bytes([ERASED])):
            self.memory.program(at.id_address, chip_number(str(self.folder)))
        first = self.firmware.address
        addresses = range(first, first + self.firmware.slot_bytes, OTHER_MODELS_EVERY)
        for address in addresses:
            if self._sector(address) == self._other_model:
                # Of a board that was killed.
                self.memory.erase(address, len(MAGIC))
        for address in addresses if self.faults.full_slot else ():
            self._covered[address] = self._sector(address)
            self.memory.erase(address, len(MAGIC))
            self.memory.program(address, MAGIC)

    def _put_back(self) -> None:
        """Put back what lay where the models of a fault are: they go when the board goes."""
        for address, before in self._covered.items():
            if self._sector(address) == self._other_model:
                self.memory.erase(address, len(MAGIC))
                self.memory.program(address, before)

    def _sector(self, address: int) -> bytes:
        return self.memory.read(address, self.board.sector_bytes)

    @property
    def _other_model(self) -> bytes:
        return MAGIC.ljust(self.board.sector_bytes, bytes([ERASED]))


@contextmanager
def plugged_in(board: VirtualBoard) -> Iterator[str]:
    """Let a board live in a thread while somebody talks to it; yield its port."""
    thread = threading.Thread(target=board.run, name="virtual board", daemon=True)
    thread.start()
    try:
        yield board.line.transport.port
    finally:
        board.stop()
        thread.join(timeout=10)
