"""One of our commands at a time at a board: a lock by what a port really is, held from the first look to the last answer.

A port's own lock ends each time that it is closed, and a flash opens it three times; a port on another machine has none.
"""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from edgewright import log
from edgewright.environments import CACHE
from edgewright.errors import BoardFailed

FOLDER = CACHE / "ports"
SYSFS = Path("/sys/dev/char")
NOTE_BYTES = 80  # of what a lock says of its holder

Doing = Literal["flash", "monitor"]
_BUSY = {
    "flash": ("another make flash is writing to {port}", "try again once it is done"),
    "monitor": ("make monitor is watching {port}", "end it with Ctrl-C there, and try again"),
}
_USB = re.compile(r"\d+-[\d.]+")  # a socket of this machine, whatever board and number are there after a restart


@contextmanager
def claimed(port: str, doing: Doing) -> Iterator[None]:
    """Hold a board, by whichever name its port is reached, over all processes of this user. Raises BoardFailed where one has it.

    The kernel lets go of the lock with its process, so that none is ever left behind.
    """
    try:
        name = identity(port)
    except OSError:
        yield  # it is gone: whoever opens it says so
        return
    try:
        number = _open(FOLDER / f"{name}.lock")
    except OSError as problem:
        said = f"{problem.filename}: {problem.strerror}: nothing keeps another command from this board meanwhile"
        log.say("board", said, "yellow")
        yield
        return
    try:
        _hold(number, port)
        with suppress(OSError):  # a full disk: who comes next is told less
            os.truncate(number, 0)
            os.pwrite(number, f"{doing} {os.getpid()}".encode(), 0)
        yield
    finally:
        os.close(number)


def identity(port: str) -> str:
    """Return a name for what a port leads to, the same for every name it has: a file name."""
    if "://" in port:
        where = urlsplit(port)
        return f"tcp-{_machine(where.hostname or '')}-{where.port}"
    status = Path(port).stat()
    if not stat.S_ISCHR(status.st_mode):
        return f"file-{status.st_dev}-{status.st_ino}"
    number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    on_usb = [part for part in Path(os.path.realpath(SYSFS / number)).parts if _USB.fullmatch(part)]
    return f"usb-{on_usb[-1]}" if on_usb else f"tty-{number.replace(':', '-')}"


def _machine(name: str) -> str:
    address = name
    with suppress(OSError, UnicodeError):
        address = str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0])
    with suppress(ValueError):
        return "here" if ipaddress.ip_address(address).is_loopback else address
    return re.sub(r"[^\w.-]", "_", address)


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)


def _hold(number: int, port: str) -> None:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        if problem.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        doing = ""
        with suppress(OSError):
            doing = os.pread(number, NOTE_BYTES, 0).decode(errors="replace").partition(" ")[0]
        fact, hint = _BUSY.get(doing, ("another command of Edgewright is at {port}", "try again once it is done"))
        raise BoardFailed(fact.format(port=port), hint) from None
