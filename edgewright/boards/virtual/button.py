"""The RESET button of a virtual board: the key r in the terminal where it runs, or the line `reset` on a port of this machine."""

from __future__ import annotations

import os
import select
import socket
import sys
import termios
import threading
import tty
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

LINE, DONE, UNKNOWN = b"reset", b"done\n", b"what?\n"
KEYS = b"rR"
LOOPBACK = "127.0.0.1"
LINE_BYTES = 64  # of a line; whoever sends more, or nothing for so long, is let go
LINE_S = 1.0
SLICE_S = 0.2  # how soon its end is noticed


class Button:
    """Calls `press` whenever the button is pressed, between `with` and its end. A connection to `port` is for one line."""

    def __init__(self, press: Callable[[], None]) -> None:
        self.press = press
        self._server = socket.create_server((LOOPBACK, 0))
        self._terminal = _terminal()
        self._before = None if self._terminal is None else termios.tcgetattr(self._terminal)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reset button", daemon=True)

    @property
    def port(self) -> int:
        """The number of its TCP port on the loopback address."""
        return int(self._server.getsockname()[1])

    @property
    def has_key(self) -> bool:
        """Whether there is a terminal with keys."""
        return self._terminal is not None

    def __enter__(self) -> Button:
        if self._terminal is not None:
            tty.setcbreak(self._terminal, termios.TCSANOW)  # keys come at once, and Ctrl-C is still Ctrl-C
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        self._server.close()
        if self._terminal is not None and self._before is not None and _is_ours(self._terminal):
            termios.tcsetattr(self._terminal, termios.TCSANOW, self._before)

    def _run(self) -> None:
        while not self._over.is_set():
            waited: list[int] = [self._server.fileno()]
            # Who reads from a terminal in the background is stopped, and the keys are another program's.
            if self._terminal is not None and _is_ours(self._terminal):
                waited.append(self._terminal)
            ready = select.select(waited, [], [], SLICE_S)[0]
            if self._terminal in ready:
                self._key()
            if self._server.fileno() in ready:
                self._line()

    def _key(self) -> None:
        assert self._terminal is not None
        keys = b""
        with suppress(OSError):
            keys = os.read(self._terminal, LINE_BYTES)
        if not keys:  # the terminal has been closed
            self._terminal = None
        elif any(key in KEYS for key in keys):
            self.press()

    def _line(self) -> None:
        """Serve one connection: its first line, whatever it is, is answered."""
        client, _ = self._server.accept()
        line = b""
        with client, suppress(OSError):
            client.settimeout(LINE_S)
            while b"\n" not in line and len(line) < LINE_BYTES and (data := client.recv(LINE_BYTES)):
                line += data
            known = line.partition(b"\n")[0].strip() == LINE
            if known:
                self.press()
            client.sendall(DONE if known else UNKNOWN)


def _terminal() -> int | None:
    """Return the terminal that keys are typed in, if there is one, and this program is who they are for."""
    try:
        number = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # closed, or no file at all
        return None
    return number if os.isatty(number) and _is_ours(number) else None


def _is_ours(terminal: int) -> bool:
    with suppress(OSError):
        return os.tcgetpgrp(terminal) == os.getpgrp()
    return False
