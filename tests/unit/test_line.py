"""The line of a virtual board: its terminal, its lines, its faults; and its flash."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import serial

from edgewright.boards import ports
from edgewright.boards.virtual.line import Faults, Line, parse
from edgewright.boards.virtual.telnet import Telnet
from edgewright.boards.virtual.terminal import Terminal, is_abandoned
from edgewright.boards.virtual.wire import Memory, Reset, Unplugged
from edgewright.boards.virtual.wiring import Adapter, UsbJtag
from edgewright.config import load_project
from edgewright.errors import WrongInput
from tests.conftest import ROOT

BOARD = next(device.board for device in load_project(ROOT).devices.values() if device.board)


class Given:
    """A transport that gives what a test puts in, and keeps what is sent."""

    port = "nowhere"

    def __init__(self, *chunks: bytes) -> None:
        self.chunks, self.sent, self.pulled = list(chunks), b"", False

    def receive(self, timeout_s: float) -> bytes:
        return self.chunks.pop(0) if self.chunks else b""

    def send(self, data: bytes) -> None:
        self.sent += data

    def unplug(self) -> None:
        self.pulled = True

    def plug(self) -> None:
        self.pulled = False


# --- faults -------------------------------------------------------------------------------------------------------------------


def test_without_faults_every_byte_arrives() -> None:
    transport = Given(bytes(range(256)))
    line = Line(transport)
    assert line.read(0) == bytes(range(256))
    line.write(b"abc")
    assert transport.sent == b"abc"


def test_what_is_put_back_comes_first() -> None:
    line = Line(Given(b"second"))
    line.unread(b"first")
    assert [line.read(0), line.read(0)] == [b"first", b"second"]


def test_dropped_and_flipped_bytes_are_the_same_ones_each_time() -> None:
    content = os.urandom(20_000)
    twice = [Line(Given(content), Faults(drop=0.01, flip=0.01)).read(0) for _ in range(2)]
    assert twice[0] == twice[1]
    assert 100 < len(content) - len(twice[0]) < 300


def test_only_single_bytes_of_the_board_are_lost_as_acknowledgements() -> None:
    transport = Given()
    line = Line(transport, Faults(ack=1.0))
    line.write(b"\x06")
    line.write(b"whole")
    assert transport.sent == b"whole"


def test_the_cable_comes_out_once_after_so_many_bytes() -> None:
    transport = Given(b"12345", b"67890", b"again")
    line = Line(transport, Faults(unplug=7))
    assert line.read(0) + line.read(0) == b"1234567"
    with pytest.raises(Unplugged):
        line.read(0)
    assert transport.pulled
    assert line.read(0) == b"again"


def test_a_slow_line_takes_ten_bits_a_byte() -> None:
    line = Line(Given(b"x" * 1000), Faults(slow=100_000))
    before = time.monotonic()
    line.read(0)
    assert 0.09 < time.monotonic() - before < 0.5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("dorp:0.1", "perhaps you meant 'drop'"),
        ("drop:2", "is no number that fits"),
        ("drop:", "is no number that fits"),
        ("unplug:1.5", "is no number that fits"),
    ],
)
def test_a_fault_that_is_none_is_refused(text: str, told: str) -> None:
    with pytest.raises(WrongInput) as refused:
        parse(text)
    assert told in f"{refused.value} {refused.value.hint}"


def test_faults_are_read_as_they_are_typed() -> None:
    assert parse("drop:0.001, unplug:120000,wrong-chip") == Faults(drop=0.001, unplug=120_000, wrong_chip=True)
    assert parse("") == Faults()


# --- transports ---------------------------------------------------------------------------------------------------------------


def test_a_client_on_the_terminal_is_heard_and_hears(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "port", UsbJtag())
    with serial.Serial(terminal.port, 921600, timeout=2) as client:
        client.write(b"AT\r\n\x00\xff")
        assert terminal.receive(1) == b"AT\r\n\x00\xff"
        terminal.send(b"\r{}\n\x11\x13")
        assert client.read(6) == b"\r{}\n\x11\x13"
    terminal.send(b"nobody hears this")
    with serial.Serial(terminal.port, timeout=0.1) as client:
        assert client.read(100) == b""


def test_opening_an_adapters_port_restarts_the_chip_once(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "port", Adapter())
    assert terminal.receive(0.02) == b""
    with serial.Serial(terminal.port) as client:
        with pytest.raises(Reset):
            terminal.receive(1)
        client.write(b"1")
        assert terminal.receive(1) == b"1"


def test_closing_the_port_ends_a_loaders_session_but_not_the_firmware(tmp_path: Path) -> None:
    wiring = UsbJtag()
    terminal = Terminal(tmp_path / "port", wiring)
    serial.Serial(terminal.port).close()
    assert terminal.receive(0.05) == b""
    with serial.Serial(terminal.port):
        assert terminal.receive(0.01) == b""
        wiring.loading = True
    with pytest.raises(Reset):
        terminal.receive(1)


def test_a_port_that_is_closed_and_opened_at_once_was_closed_all_the_same(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "port", Adapter())
    first = serial.Serial(terminal.port)
    with pytest.raises(Reset):
        terminal.receive(1)
    first.close()
    with serial.Serial(terminal.port), pytest.raises(Reset):
        terminal.receive(1)


def test_who_writes_and_is_gone_at_once_is_heard(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "port", UsbJtag())
    for _ in range(3):
        with serial.Serial(terminal.port) as client:
            client.write(b"AT+RST\r")
        assert terminal.receive(1) == b"AT+RST\r"
        assert terminal.receive(0.01) == b""


def test_a_pulled_cable_is_an_error_for_the_client_and_the_name_comes_back(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "port", UsbJtag())
    with serial.Serial(terminal.port, timeout=1) as client:
        terminal.receive(0.01)
        terminal.unplug()
        with pytest.raises((OSError, serial.SerialException)):
            client.read(1)
        assert not os.path.lexists(terminal.port)
        with pytest.raises(Unplugged):
            terminal.receive(0.1)
    terminal.plug()
    with serial.Serial(terminal.port) as client:
        client.write(b"y")
        assert terminal.receive(1) == b"y"


def test_the_name_of_a_board_that_was_killed_is_told_from_one_that_lives(tmp_path: Path) -> None:
    link = tmp_path / "port"
    terminal = Terminal(link, UsbJtag())
    (tmp_path / "mine").symlink_to(link)
    assert not is_abandoned(link)
    target = link.readlink()
    terminal.unplug()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]
    terminal.plug()
    assert not is_abandoned(link)
    terminal.unplug()
    # What SIGKILL leaves: the name, and a lock that the kernel has let go of.
    link.symlink_to(target)
    (tmp_path / ".port.held").touch()
    assert is_abandoned(link)
    for name in ("port", "mine"):
        with pytest.raises(WrongInput, match="the virtual board that it led to was killed"):
            ports.find(BOARD, str(tmp_path / name), "Toy", list)
    # The next board takes the name over.
    again = Terminal(link, UsbJtag())
    assert not is_abandoned(link)
    assert ports.find(BOARD, str(tmp_path / "mine"), "Toy", list)
    again.unplug()


def test_a_board_that_is_killed_leaves_a_name_that_is_known_to_be_nobodys(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from edgewright.boards.virtual.terminal import Terminal\n"
        "from edgewright.boards.virtual.wiring import UsbJtag\n"
        "terminal = Terminal(Path(sys.argv[1]), UsbJtag()); print('stands', flush=True); time.sleep(60)"
    )
    link = tmp_path / "port"
    with subprocess.Popen([sys.executable, "-c", script, str(link)], cwd=ROOT, stdout=subprocess.PIPE) as board:
        assert board.stdout
        assert board.stdout.readline() == b"stands\n"
        assert not is_abandoned(link)
        board.kill()
    assert link.is_symlink()
    assert is_abandoned(link)


def test_over_tcp_the_control_lines_choose_the_loader() -> None:
    """The very sequence of esptool's for an ESP32 behind an adapter, then its restart."""
    telnet, seen = Telnet(UsbJtag()), []
    line = Line(telnet)

    def listen() -> None:
        while True:
            try:
                seen.append(line.read(5))
            except Reset as reset:
                seen.append(reset.download)
            except Unplugged:
                return

    thread = threading.Thread(target=listen)
    thread.start()
    with serial.serial_for_url(telnet.port, timeout=2) as client:
        client.dtr, client.rts = False, True
        client.dtr, client.rts = True, False
        client.dtr = False
        client.write(b"\xffsync")
        client.rts = True
        client.rts = False
        client.write(b"after")
        until = time.monotonic() + 2
        while b"after" not in seen and time.monotonic() < until:
            time.sleep(0.01)
    line.pull()
    thread.join(5)
    telnet.unplug()
    assert b"".join(item for item in seen if isinstance(item, bytes)) == b"\xffsyncafter"
    assert [item for item in seen if isinstance(item, bool)] == [True, False]


# --- flash --------------------------------------------------------------------------------------------------------------------


def test_flash_is_erased_by_sectors_and_programming_only_clears_bits(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "flash.bin", 0x4000, 0x1000)
    assert memory.read(0, 0x4000) == b"\xff" * 0x4000
    memory.program(0xFFE, b"\x0f\xf0\x55")
    memory.program(0xFFE, b"\xf0\x0f")
    assert memory.read(0xFFE, 4) == b"\x00\x00\x55\xff"
    memory.erase(0x1000, 1)
    assert memory.read(0xFFE, 3) == b"\x00\x00\xff"
    memory.program(0x3FFF, b"\x00\x00")  # what lies behind the end is nowhere
    assert memory.read(0, 1) == b"\xff"
    memory.close()
    assert Memory(tmp_path / "flash.bin", 0x4000, 0x1000).read(0x3FFF, 1) == b"\x00"
