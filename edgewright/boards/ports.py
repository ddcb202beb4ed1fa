"""Serial ports: which one a board is at, and opening it, on this machine or behind a URL on another one."""

from __future__ import annotations

import errno
import grp
import os
import platform
import socket
import stat
import termios
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import serial
from serial.tools.list_ports import comports

from edgewright.boards.virtual.terminal import is_abandoned
from edgewright.config import Board
from edgewright.errors import BoardFailed, WrongInput, nearest

SCHEMES = ("rfc2217", "socket")
LINKS = 8  # from one name to the next
WRITE_S = 10.0  # a line that takes nothing for so long is dead
GONE = (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EIO)
TAKEN = (errno.EBUSY, errno.EAGAIN)
ATTACH = "in Windows: usbipd list, then usbipd attach --wsl --busid <the board's>"  # WSL sees no USB by itself

Listed = Callable[[], Iterable[Any]]  # pyserial's ListPortInfo: device, vid, pid, serial_number


class NoBoard(BoardFailed):
    """No board of the kind is plugged in."""


def find(board: Board, typed: str, name: str, listed: Listed = comports) -> str:
    """Return the port that was typed, or else the only one on USB that is such a board.

    Raises WrongInput for a port that cannot be one and where several boards are plugged in, NoBoard where there is none.
    """
    ports = sorted(listed(), key=lambda port: str(port.device))
    if typed:
        return _checked(typed, board, ports)
    boards = _boards(board, ports)
    if len(boards) == 1:
        return str(boards[0].device)
    if boards:
        raise WrongInput(f"{len(boards)} boards: {', '.join(map(_told, boards))}", f"PORT={boards[0].device}")
    there = f"there are: {', '.join(map(_told, ports))}" if ports else "nothing else is there either"
    hint = f"a cable that carries data, {f'PORT=/dev/…, or {board.unseen}' if board.unseen else 'or PORT=/dev/…'}"
    if _in_wsl() and not any(map(_usb, ports)):
        hint = ATTACH
    raise NoBoard(f"no {name} on USB ({', '.join(board.usb)}); {there}", hint)


def open_port(port: str, baud: int, *, timeout_s: float) -> serial.SerialBase:
    """Open a device or a URL for ourselves alone, 8N1; reads end after `timeout_s`, writes after WRITE_S.

    Raises WrongInput where it cannot be opened, and BoardFailed where it is not there (any more). DTR and RTS are left as the
    kernel sets them, both on: that resets nothing where both have a meaning, and every way to change them would.
    """
    remote = "://" in port
    try:
        return serial.serial_for_url(
            port,
            baud,
            timeout=timeout_s,
            write_timeout=None if port.startswith("rfc2217:") else WRITE_S,  # which pyserial refuses there
            exclusive=None if remote else True,
        )
    except (OSError, ValueError, termios.error) as problem:
        if remote:
            _fail_remote(port, problem)
        _fail_local(port, problem)


def _boards(board: Board, ports: Iterable[Any]) -> list[Any]:
    return [port for port in ports if _usb(port) in board.usb]


def _checked(typed: str, board: Board, ports: list[Any]) -> str:
    if "://" not in typed:
        _refuse_abandoned(Path(typed))
        if Path(typed).exists():
            return typed
        # A name that looks alike is another board's, or none's: only what is one of this kind is worth a hint.
        boards = [str(port.device) for port in _boards(board, ports)]
        hint = " or ".join(f"PORT={device}" for device in boards) or "plug the board in"
        raise WrongInput(f"PORT={typed}: no such port", ATTACH if _in_wsl() and not ports else hint)
    url = urlsplit(typed)
    if url.scheme not in SCHEMES:
        raise WrongInput(f"PORT={typed}: unknown kind of port {url.scheme!r}", nearest(url.scheme, SCHEMES))
    with suppress(ValueError):  # which a number beyond 65535 is
        if url.hostname and url.port:
            return typed
    raise WrongInput(f"PORT={typed}: which machine and which port?", f"PORT={url.scheme}://machine:4000")


def _refuse_abandoned(path: Path) -> None:
    """Refuse the name of a virtual board that was killed: the pty it leads to may be somebody else's terminal by now."""
    for _ in range(LINKS):
        if is_abandoned(path):
            raise WrongInput(f"{path}: the virtual board that it led to was killed", "make board   starts it again")
        if not path.is_symlink():
            return
        path = path.parent / path.readlink()


def _fail_local(port: str, problem: Exception) -> NoReturn:
    """Say why a device of this machine did not open."""
    code = _code(problem)
    if code in GONE:
        raise BoardFailed(f"{port} is gone: the board was unplugged", "plug it in, and try again") from None
    if code in (errno.EACCES, errno.EPERM):
        raise WrongInput(f"permission denied on {port}", way_in(port)) from None
    if code in TAKEN:
        who = _holder(port)
        said = f"{port} is in use" + (f" by {who[0]} (process {who[1]})" if who else "")
        hint = f"ps -fp {who[1]}   tells what it is; close the port there" if who else f"sudo fuser -v {port}"
        raise WrongInput(said, hint) from None
    if code in (errno.ENOTTY, errno.EINVAL, errno.EISDIR):
        raise WrongInput(f"{port} is no serial port", "make flash without PORT= looks for the board") from None
    raise BoardFailed(f"{port} does not open: {problem}", "unplug the board, and plug it in again") from None


def _fail_remote(port: str, problem: Exception) -> NoReturn:
    """Say why a port on another machine did not open; pyserial's own text has the cause in it, but not in words for people."""
    where, cause = urlsplit(port), problem.__context__
    at = f"{where.hostname}:{where.port}"
    if isinstance(cause, ConnectionRefusedError):
        raise WrongInput(f"nothing listens at {at}", "start the serial server there, or correct PORT=") from None
    if isinstance(cause, TimeoutError):
        raise WrongInput(f"{at} does not answer", f"ping {where.hostname}") from None
    if isinstance(cause, socket.gaierror):
        raise WrongInput(f"no machine is named {where.hostname}", "its address: PORT=rfc2217://192.168.…") from None
    if "RFC2217" in str(problem):
        raise WrongInput(f"{at} answers, but not as RFC 2217 says", f"PORT=socket://{at}") from None
    raise WrongInput(f"PORT={port}: {cause or problem}", "PORT=rfc2217://machine:4000") from None


def _code(problem: Exception) -> int | None:
    """Return the errno that pyserial's exception has, or has made a text of."""
    for found in (problem, problem.__context__):
        if isinstance(found, OSError) and found.errno is not None:
            return found.errno
        if isinstance(found, termios.error):
            return int(found.args[0])
    return None


def way_in(port: str) -> str:
    """Return how this user may get to use a port."""
    status = Path(port).stat()
    group = str(status.st_gid)
    with suppress(KeyError):
        group = grp.getgrgid(status.st_gid).gr_name
    if status.st_gid == 0 or not status.st_mode & stat.S_IWGRP:
        return f"sudo chmod a+rw {port}"
    return f"sudo usermod -aG {group} $USER, then log in again"


def _holder(port: str) -> tuple[str, int] | None:
    """Return name and number of a process that has a port open, as far as /proc shows other people's."""
    real = os.path.realpath(port)
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(str(file.readlink()) == real for file in (process / "fd").iterdir()):
                return (process / "comm").read_text().strip(), int(process.name)
    return None


def _in_wsl() -> bool:
    return "microsoft" in platform.release().lower()


def _usb(port: Any) -> str:
    """Return vendor and product as a device's configuration has them, or nothing for a port that is not on USB."""
    return "" if port.vid is None else f"{port.vid:04x}:{port.pid:04x}"


def _told(port: Any) -> str:
    facts = [_usb(port), f"serial {port.serial_number}" if port.serial_number else ""]
    known = ", ".join(filter(None, facts))
    return f"{port.device} ({known})" if known else str(port.device)
