"""A pseudo-terminal for a virtual board: clients open it as they open /dev/ttyACM0."""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import struct
import time
import tty
from pathlib import Path

from edgewright.boards.virtual.wire import Reset, Unplugged
from edgewright.boards.virtual.wiring import Wiring

PATIENCE_S = 1.0  # what a client does not read for so long is lost, as in a UART without flow control
CHUNK = 1 << 16
# inotify(7); a terminal's own end tells neither who opens it nor that it was closed and opened again at once.
IN_CLOSE, IN_OPEN = 0x18, 0x20
EVENT = struct.Struct("iIII")


def _holder(link: Path) -> Path:
    return link.with_name(f".{link.name}.held")


def is_abandoned(link: Path) -> bool:
    """Whether this is the name of a virtual board's pty, and the board is gone without having removed it.

    A board holds a lock beside the name, and the kernel lets go of that whichever way its process ends.
    """
    if not link.is_symlink():
        return False
    try:
        number = os.open(_holder(link), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # no name of ours
        return False
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(number)
    return True


class Openings:
    """Sees every opening and closing of a file, in order."""

    def __init__(self, name: str) -> None:
        system = ctypes.CDLL(None, use_errno=True)
        self.descriptor = system.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.descriptor < 0 or system.inotify_add_watch(self.descriptor, name.encode(), IN_OPEN | IN_CLOSE) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)

    def read(self) -> list[bool]:
        """Return what has happened since: True for an opening, False for a closing."""
        try:
            data, found = os.read(self.descriptor, CHUNK), []
        except BlockingIOError:
            return []
        while data:
            _, mask, _, length = EVENT.unpack_from(data)
            data = data[EVENT.size + length :]
            if mask & (IN_OPEN | IN_CLOSE):
                found.append(bool(mask & IN_OPEN))
        return found

    def close(self) -> None:
        """Stop looking."""
        os.close(self.descriptor)


class Terminal:
    """A pseudo-terminal, under a name that stays the same when the board is unplugged and plugged in again."""

    def __init__(self, link: Path, wiring: Wiring) -> None:
        self.link, self.wiring = link, wiring
        self._master, self._clients = -1, 0
        self._held = -1
        self._unread = False  # whether a client, maybe gone by now, may have left bytes
        self.plug()

    @property
    def port(self) -> str:
        """What a client opens."""
        return str(self.link)

    def plug(self) -> None:
        """Make a new terminal, and let the name lead to it."""
        self._master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self._master, False)
        name = os.ttyname(slave)
        os.close(slave)
        self._openings, self._clients = Openings(name), 0
        self.link.parent.mkdir(parents=True, exist_ok=True)
        self._held = os.open(_holder(self.link), os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._held, fcntl.LOCK_SH)
        temporary = self.link.with_name(f".{self.link.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(name)
        os.replace(temporary, self.link)

    def unplug(self) -> None:
        """Pull the cable: who has the port open reads an error, and its name leads nowhere."""
        if self._master >= 0:
            self.link.unlink(missing_ok=True)
            os.close(self._master)
            self._openings.close()
            _holder(self.link).unlink(missing_ok=True)
            os.close(self._held)
            self._master = -1

    def receive(self, timeout_s: float) -> bytes:
        """Return what has come, or nothing after `timeout_s`; raise Reset where opening or closing leads to one."""
        if self._master < 0:
            raise Unplugged
        until = time.monotonic() + timeout_s
        while True:
            ready = self._poll(until - time.monotonic())
            # Openings and closings first: whoever closes a port has read the answer to all that it sent, and what comes after an
            # opening is for what that leads to.
            self._notice()
            if self._master in ready and (data := self._read()):
                return data
            if time.monotonic() >= until:
                return b""

    def send(self, data: bytes) -> None:
        """Send bytes to whoever has the port open; without anybody they are lost."""
        while data and self._clients and self._master >= 0:
            try:
                data = data[os.write(self._master, data) :]
            except BlockingIOError:
                if not select.select([], [self._master], [], PATIENCE_S)[1]:
                    return
            except OSError:
                return

    def _read(self) -> bytes:
        try:
            return os.read(self._master, CHUNK)
        except OSError:  # nobody has it open, and nothing is left
            self._unread = bool(self._clients)
            return b""

    def _poll(self, timeout_s: float) -> set[int]:
        """Wait for bytes, or for somebody to open or close the port; a terminal that nobody has open cries all the time."""
        poll = select.poll()
        poll.register(self._openings.descriptor, select.POLLIN)
        if self._unread:
            poll.register(self._master, select.POLLIN)
        return {number for number, _ in poll.poll(max(timeout_s, 0) * 1000)}

    def _notice(self) -> None:
        reset: Reset | None = None
        for opened in self._openings.read():
            self._clients += 1 if opened else -1
            self._unread = True
            if self._clients == (1 if opened else 0):
                reset = (self.wiring.opened() if opened else self.wiring.closed()) or reset
        if reset:
            raise reset
