"""Finding and opening serial ports: what a person is told when it does not work."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import serial

from edgewright.boards import ports
from edgewright.config import load_project
from edgewright.errors import BoardFailed, EdgewrightError, WrongInput

PROJECT = load_project(Path(__file__).resolve().parents[2])
BOARD = next(device.board for device in PROJECT.devices.values() if device.board).model_copy(
    update={"usb": ("303a:1001", "303a:1002"), "unseen": "hold BOOT while you plug it in"}
)


def plugged(device: str, usb: str = "", number: str | None = None) -> Any:
    vid, pid = (int(part, 16) for part in usb.split(":")) if usb else (None, None)
    return SimpleNamespace(device=device, vid=vid, pid=pid, serial_number=number)


def told(problem: pytest.ExceptionInfo[EdgewrightError]) -> tuple[str, str]:
    return str(problem.value), problem.value.hint


@pytest.fixture(autouse=True)
def linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports.platform, "release", lambda: "6.1.0-amd64")


def refuse(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Let pyserial fail as it does on a device for which the kernel returns this error."""

    def fail(*_: object, **__: object) -> None:
        raise serial.SerialException(code, f"could not open port: {os.strerror(code)}")

    monkeypatch.setattr(ports.serial, "serial_for_url", fail)


# --- which port ---------------------------------------------------------------------------------------------------------------


def test_the_only_board_of_its_kind_is_found_among_others() -> None:
    there = [plugged("/dev/ttyS0"), plugged("/dev/ttyUSB0", "10c4:ea60"), plugged("/dev/ttyACM3", "303a:1002")]
    assert ports.find(BOARD, "", "Toy", lambda: there) == "/dev/ttyACM3"


def test_without_a_board_the_error_says_what_is_there_instead() -> None:
    there = [plugged("/dev/ttyUSB0", "10c4:ea60", "A7"), plugged("/dev/ttyS0")]
    with pytest.raises(ports.NoBoard) as problem:
        ports.find(BOARD, "", "Toy", lambda: there)
    assert told(problem) == (
        "no Toy on USB (303a:1001, 303a:1002); there are: /dev/ttyS0, /dev/ttyUSB0 (10c4:ea60, serial A7)",
        "a cable that carries data, PORT=/dev/…, or hold BOOT while you plug it in",
    )
    assert problem.value.exit_code == 8


@pytest.mark.parametrize("name", sorted(PROJECT.devices))
def test_no_board_is_asked_to_be_reset_where_nothing_waits_for_that(name: str) -> None:
    device = PROJECT.devices[name]
    assert device.board
    with pytest.raises(ports.NoBoard) as problem:
        ports.find(device.board, "", device.title, list)
    assert problem.value.hint.startswith("a cable that carries data, ")
    assert not re.search("RESET|waits|above", problem.value.hint)


def test_another_port_whose_name_looks_alike_is_no_hint() -> None:
    with pytest.raises(WrongInput) as problem:
        ports.find(BOARD, "/dev/ttyACM9", "Toy", lambda: [plugged("/dev/ttyS0"), plugged("/dev/ttyACM0", "10c4:ea60")])
    assert told(problem) == ("PORT=/dev/ttyACM9: no such port", "plug the board in")


def test_windows_has_to_hand_its_usb_to_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports.platform, "release", lambda: "5.15.153.1-microsoft-standard-WSL2")
    with pytest.raises(ports.NoBoard) as problem:
        ports.find(BOARD, "", "Toy", lambda: [plugged("/dev/ttyS0")])
    assert "usbipd attach" in problem.value.hint
    with pytest.raises(ports.NoBoard) as problem:
        ports.find(BOARD, "", "Toy", lambda: [plugged("/dev/ttyUSB0", "10c4:ea60")])
    assert "usbipd" not in problem.value.hint
    with pytest.raises(WrongInput) as typed:
        ports.find(BOARD, "COM3", "Toy", list)
    assert "usbipd attach" in typed.value.hint


def test_of_two_boards_a_person_has_to_choose() -> None:
    there = [plugged("/dev/ttyACM1", "303a:1001"), plugged("/dev/ttyACM0", "303a:1001", "F4:12")]
    with pytest.raises(WrongInput) as problem:
        ports.find(BOARD, "", "Toy", lambda: there)
    assert told(problem) == (
        "2 boards: /dev/ttyACM0 (303a:1001, serial F4:12), /dev/ttyACM1 (303a:1001)",
        "PORT=/dev/ttyACM0",
    )


def test_a_port_that_was_typed_is_taken_without_a_look_at_usb(terminal: str) -> None:
    assert ports.find(BOARD, terminal, "Toy", list) == terminal
    for url in ("socket://lab.local:4000", "rfc2217://[::1]:4000?ign_set_control"):
        assert ports.find(BOARD, url, "Toy", list) == url


@pytest.mark.parametrize(
    ("typed", "fact", "hint"),
    [
        ("/dev/ttyACM9", "PORT=/dev/ttyACM9: no such port", "PORT=/dev/ttyACM0"),
        (
            "rfc2271://lab:4000",
            "PORT=rfc2271://lab:4000: unknown kind of port 'rfc2271'",
            "perhaps you meant 'rfc2217'",
        ),
        ("socket://lab", "PORT=socket://lab: which machine and which port?", "PORT=socket://machine:4000"),
        ("socket://lab:99999", "PORT=socket://lab:99999: which machine and which port?", "PORT=socket://machine:4000"),
    ],
)
def test_a_port_that_cannot_be_one_is_refused(typed: str, fact: str, hint: str) -> None:
    with pytest.raises(WrongInput) as problem:
        ports.find(BOARD, typed, "Toy", lambda: [plugged("/dev/ttyACM0", "303a:1001")])
    assert told(problem) == (fact, hint)


# --- opening a device -----------------------------------------------------------------------------------------------------------


def test_an_open_port_is_ours_alone_and_waits_for_nothing_for_ever(terminal: str) -> None:
    with ports.open_port(terminal, 115200, timeout_s=0.01) as port:
        assert (port.timeout, port.write_timeout) == (0.01, ports.WRITE_S)
        assert port.read(1) == b""
        with pytest.raises(WrongInput) as problem:
            ports.open_port(terminal, 115200, timeout_s=1)
        fact, hint = told(problem)
        assert fact.startswith(f"{terminal} is in use by py")
        assert fact.endswith(f"(process {os.getpid()})")
        assert hint == f"ps -fp {os.getpid()}   tells what it is; close the port there"
    ports.open_port(terminal, 115200, timeout_s=1).close()


def test_who_has_a_port_open_may_be_a_secret_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, errno.EBUSY)
    with pytest.raises(WrongInput) as problem:
        ports.open_port("/dev/ttyACM77", 115200, timeout_s=1)
    assert told(problem) == ("/dev/ttyACM77 is in use", "sudo fuser -v /dev/ttyACM77")


@pytest.mark.parametrize(
    ("gid", "mode", "hint"),
    [
        (20, 0o660, "sudo usermod -aG owners $USER, then log in again"),
        (0, 0o660, "sudo chmod a+rw {port}"),
        (20, 0o600, "sudo chmod a+rw {port}"),
    ],
)
def test_who_may_not_use_a_port_is_told_how_to(
    monkeypatch: pytest.MonkeyPatch, terminal: str, gid: int, mode: int, hint: str
) -> None:
    refuse(monkeypatch, errno.EACCES)
    monkeypatch.setattr(ports.grp, "getgrgid", lambda gid: SimpleNamespace(gr_name="owners"))
    monkeypatch.setattr(ports.Path, "stat", lambda *_, **__: SimpleNamespace(st_gid=gid, st_mode=0o020000 | mode))
    with pytest.raises(WrongInput) as problem:
        ports.open_port(terminal, 115200, timeout_s=1)
    assert told(problem) == (f"permission denied on {terminal}", hint.format(port=terminal))


def test_a_board_that_is_unplugged_between_two_looks_is_gone(terminal: str) -> None:
    with pytest.raises(BoardFailed) as problem:
        ports.open_port(f"{terminal}0000", 115200, timeout_s=1)
    assert str(problem.value) == f"{terminal}0000 is gone: the board was unplugged"


@pytest.mark.parametrize("kind", ["file", "pipe", "folder", "device"])
def test_what_is_no_serial_port_is_not_talked_to(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "port"
    if kind == "file":
        path.write_bytes(b"kept")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path = Path("/dev/null")
    with pytest.raises(WrongInput) as problem:
        ports.open_port(str(path), 115200, timeout_s=1)
    assert str(problem.value) == f"{path} is no serial port"
    assert kind != "file" or path.read_bytes() == b"kept"


# --- opening a port on another machine ------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.mark.parametrize("scheme", ports.SCHEMES)
def test_where_nothing_listens_that_is_said(scheme: str, server: socket.socket) -> None:
    number = server.getsockname()[1]
    server.close()
    with pytest.raises(WrongInput) as problem:
        ports.open_port(f"{scheme}://127.0.0.1:{number}", 115200, timeout_s=1)
    assert str(problem.value) == f"nothing listens at 127.0.0.1:{number}"


def test_a_machine_that_is_not_known_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(WrongInput, match=r"^no machine is named lab.invalid$"):
        ports.open_port("socket://lab.invalid:4000", 115200, timeout_s=1)


def test_a_server_that_speaks_another_protocol_is_not_waited_for_long(server: socket.socket) -> None:
    at = f"127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(WrongInput) as problem:
        ports.open_port(f"rfc2217://{at}?timeout=0.1", 115200, timeout_s=1)
    assert told(problem) == (f"{at} answers, but not as RFC 2217 says", f"PORT=socket://{at}")


def test_a_plain_socket_is_a_port_as_well(server: socket.socket) -> None:
    with ports.open_port(f"socket://127.0.0.1:{server.getsockname()[1]}", 115200, timeout_s=1) as port:
        client, _ = server.accept()
        with client:
            port.write(b"ask")
            assert client.recv(3) == b"ask"
