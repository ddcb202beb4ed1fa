"""What the control lines of a serial port, or their absence, do to a chip.

A pseudo-terminal has no such lines. There the board does by itself what they would have done: see `opened` and `closed`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from edgewright.boards.virtual.wire import Reset


class Wiring(Protocol):
    """How one kind of board is wired to its port. Each method returns the reset that it leads to, if any."""

    loading: bool  # whether the chip runs its loader; the board keeps it up to date

    def opened(self) -> Reset | None:
        """A client has opened a port without control lines."""

    def closed(self) -> Reset | None:
        """It has closed it."""

    def lines(self, *, dtr: bool, rts: bool) -> Reset | None:
        """The control lines are now like this."""


@dataclass
class UsbJtag:
    """The ESP32-S3's own USB-Serial-JTAG: DTR alone chooses the loader, RTS alone holds the chip in reset.

    Source: ESP32-S3 Technical Reference Manual, USB Serial/JTAG, "reset/boot mode"; esptool's sequences pass through both and
    neither, which does nothing. Without lines: a loader's session ends with a restart when the port is closed.
    """

    loading: bool = False
    _download: bool = field(default=False, repr=False)
    _held: bool = field(default=False, repr=False)

    def opened(self) -> Reset | None:
        """Nothing: opening this port restarts nothing."""
        return None

    def closed(self) -> Reset | None:
        """Restart what would otherwise stay in its loader."""
        return Reset() if self.loading else None

    def lines(self, *, dtr: bool, rts: bool) -> Reset | None:
        """Restart when RTS lets go, into the loader if DTR asked for it before, or at that moment (older adapters)."""
        if dtr and not rts:
            self._download = True
        elif not (dtr or rts or self._held):
            self._download = False
        released, self._held = self._held and not rts, rts and (self._held or not dtr)
        if not released:
            return None
        download, self._download = self._download or dtr, False
        return Reset(download=download)


@dataclass
class Adapter:
    """A CH343 whose RTS goes to the chip's reset: raising it, as opening the port does, restarts the chip.

    Source: SenseCraft-Web-Toolkit deviceHimax.ts L105-112 (RTS off, 100 ms, on); python-sscma resets by opening the port.
    """

    loading: bool = False
    _rts: bool = field(default=False, repr=False)

    def opened(self) -> Reset | None:
        """Restart: an open port has RTS on."""
        return Reset()

    def closed(self) -> Reset | None:
        """Nothing: the chip goes on."""
        self._rts = False
        return None

    def lines(self, *, dtr: bool, rts: bool) -> Reset | None:
        """Restart when RTS rises."""
        risen, self._rts = rts and not self._rts, rts
        return Reset() if risen else None
