"""A board with nothing but its boot menu, on a pseudo-terminal: opening the port resets it, unless it is wired otherwise."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgewright.boards.virtual.boot_menu import BootMenu
from edgewright.boards.virtual.line import NONE, Faults, Line
from edgewright.boards.virtual.terminal import Terminal
from edgewright.boards.virtual.wire import Memory, Reset, Unplugged
from edgewright.boards.virtual.wiring import Adapter, Wiring

FLASH_BYTES = 0x800000
MODEL = 0x400000
FIRMWARE = b"\xa5" * 0x2000  # what stands at 0 before anything is written


class MenuBoard:
    """Its flash, its port, and how often its firmware was started."""

    def __init__(self, folder: Path, faults: Faults, wiring: Wiring) -> None:
        self.memory = Memory(folder / "flash.bin", FLASH_BYTES, 4096)
        self.memory.program(0, FIRMWARE)
        self.line = Line(Terminal(folder / "tty", wiring), faults)
        self.port = self.line.transport.port
        self.started = threading.Event()

    def run(self) -> None:
        """Go from reset to reset until the cable is out."""
        while True:
            try:
                BootMenu(self.memory, window_s=0.2).run(self.line)
                self.started.set()
                while True:
                    self.line.read(1.0)
            except Reset:
                continue
            except Unplugged:
                return


@contextmanager
def menu_board(folder: Path, faults: Faults = NONE, wiring: Wiring | None = None) -> Iterator[MenuBoard]:
    """Let one live in a thread."""
    board = MenuBoard(folder, faults, wiring or Adapter())
    thread = threading.Thread(target=board.run, daemon=True)
    thread.start()
    try:
        yield board
    finally:
        board.line.pull()
        thread.join(timeout=5)
        board.line.transport.unplug()
        board.memory.close()
