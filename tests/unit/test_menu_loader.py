"""Flashing through a boot menu: a whole loader, against a virtual board on a pseudo-terminal."""

from __future__ import annotations

import logging
import os
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import serial
from menu_board import FIRMWARE, FLASH_BYTES, MODEL, MenuBoard, menu_board

from edgewright.boards import menu
from edgewright.boards.loader import Write, Written
from edgewright.boards.virtual import boot_menu
from edgewright.boards.virtual.line import Faults
from edgewright.boards.virtual.wiring import UsbJtag
from edgewright.config import Board, load_project
from edgewright.errors import BoardFailed

PROJECT = load_project(Path(__file__).resolve().parents[2])
BOARD: Board = next(d.board for d in PROJECT.devices.values() if d.board and d.board.loader == "xmodem")
UNTOUCHED = "its firmware and settings are untouched"

Flash = Callable[..., Written]


@pytest.fixture
def news() -> list[tuple[int, int, str]]:
    return []


@pytest.fixture
def flash(tmp_path: Path, news: list[tuple[int, int, str]]) -> Flash:
    def run(port: str, *contents: tuple[int, bytes], watch: Callable[[int], None] = lambda done: None) -> Written:
        writes = []
        for index, (address, content) in enumerate(contents):
            path = tmp_path / f"file{index}"
            path.write_bytes(content)
            writes.append(Write(path, address))

        def progress(done: int, total: int, text: str) -> None:
            news.append((done, total, text))
            watch(done)

        return menu.MenuLoader().write(port, BOARD, writes, progress)

    return run


@pytest.fixture
def board(tmp_path: Path) -> Iterator[MenuBoard]:
    with menu_board(tmp_path) as board:
        yield board


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ANSWER_S": 0.3, "AGAIN_S": 0.1, "QUIET_S": 0.02}.items():
        monkeypatch.setattr(menu, name, value)
    for name, value in {"NEXT_S": 0.05, "GAP_S": 0.05, "QUIET_S": 0.01, "READY_EVERY_S": 0.1}.items():
        monkeypatch.setattr(boot_menu, name, value)


def test_a_model_is_written_where_it_belongs_and_the_board_starts(
    board: MenuBoard, flash: Flash, news: list[tuple[int, int, str]]
) -> None:
    model = os.urandom(50_001)
    written = flash(board.port, (MODEL, model))
    assert board.memory.read(MODEL, 50_048) == model + b"\xff" * 47
    assert board.memory.read(0, len(FIRMWARE)) == FIRMWARE
    assert board.started.wait(1)
    assert (written.chip, written.bytes, written.checked) == (BOARD.chip, 50_001, "each packet by its CRC-16")
    assert news[0] == (0, 50_001, "waiting for the boot menu")
    assert news[-1] == (50_001, 50_001, "writing file0")
    assert [done for done, _, _ in news] == sorted(done for done, _, _ in news)
    assert BOARD.download not in {text for _, _, text in news}


def test_firmware_and_model_go_in_one_session_and_only_the_model_needs_an_address(
    board: MenuBoard, flash: Flash, news: list[tuple[int, int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses, preamble = [], menu._preamble
    monkeypatch.setattr(menu, "_preamble", lambda address: addresses.append(address) or preamble(address))
    firmware, model = os.urandom(4096), os.urandom(3000)
    flash(board.port, (0, firmware), (MODEL, model))
    assert board.memory.read(0, 4096) == firmware
    assert board.memory.read(MODEL, 3000) == model
    assert addresses == [MODEL]
    assert news[-1][:2] == (7096, 7096)


def test_the_port_is_free_afterwards_and_the_next_flash_succeeds(board: MenuBoard, flash: Flash) -> None:
    for content in (b"\x01" * 5000, b"\x02" * 3000):
        flash(board.port, (MODEL, content))
        assert board.memory.read(MODEL, len(content)) == content


@pytest.mark.parametrize(
    ("unplug", "line"),
    [
        (1, "unplugged before the first byte: nothing was written"),
        (100, "unplugged before the first byte: nothing was written"),
        (20_000, f"of 50,000 bytes: the board's model is incomplete, {UNTOUCHED}"),
    ],
)
def test_unplugged_is_said_with_what_is_in_flash(tmp_path: Path, flash: Flash, unplug: int, line: str) -> None:
    with menu_board(tmp_path, Faults(unplug=unplug)) as board, pytest.raises(BoardFailed, match=line) as failed:
        flash(board.port, (MODEL, os.urandom(50_000)))
    assert failed.value.hint == "plug it in, and make flash again"
    assert board.memory.path.read_bytes()[: len(FIRMWARE)] == FIRMWARE


def test_a_firmware_that_arrived_is_told_apart_from_a_model_that_did_not(tmp_path: Path, flash: Flash) -> None:
    line = "the board's firmware is written, its model is incomplete, its settings are untouched"
    with menu_board(tmp_path, Faults(unplug=20_000)) as board, pytest.raises(BoardFailed, match=line):
        flash(board.port, (0, os.urandom(4096)), (MODEL, os.urandom(50_000)))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("faults", [Faults(ack=0.02), Faults(drop=0.0005), Faults(flip=0.0005)])
def test_what_is_lost_on_the_line_is_sent_again(
    tmp_path: Path, flash: Flash, faults: Faults, capfd: pytest.CaptureFixture[str]
) -> None:
    model = os.urandom(12_000)
    with menu_board(tmp_path, faults) as board:
        flash(board.port, (MODEL, model))
        assert board.memory.read(MODEL, len(model)) == model
    assert capfd.readouterr() == ("", "")


def test_a_board_without_a_menu_is_given_up_and_a_person_was_asked(
    flash: Flash, news: list[tuple[int, int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(menu, "ALONE_S", 0.1)
    monkeypatch.setattr(menu, "MENU_S", 0.2)
    master, slave = os.openpty()
    tty.setraw(slave)
    with pytest.raises(BoardFailed, match=r"no boot menu .* before the first byte: nothing was written") as failed:
        flash(os.ttyname(slave), (MODEL, b"model"))
    assert failed.value.hint == BOARD.download
    assert [text for _, _, text in news] == ["waiting for the boot menu", BOARD.download]
    os.close(master)
    os.close(slave)


def test_an_address_beyond_the_flash_is_reported_as_the_board_says_it(board: MenuBoard, flash: Flash) -> None:
    with pytest.raises(BoardFailed, match=r"cancelled .*address 0x00800000 is beyond .*: nothing was written"):
        flash(board.port, (FLASH_BYTES, b"model"))
    assert board.memory.read(0, len(FIRMWARE)) == FIRMWARE


def test_after_an_interruption_the_next_flash_succeeds(board: MenuBoard, flash: Flash) -> None:
    def interrupt(done: int) -> None:
        if done >= 10_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"interrupted after 10,112 of 50,000 bytes: the board's model is inc"):
        flash(board.port, (MODEL, os.urandom(50_000)), watch=interrupt)
    model = os.urandom(5000)
    flash(board.port, (MODEL, model))
    assert board.memory.read(MODEL, 5000) == model


def test_a_board_that_was_left_in_the_middle_and_cannot_be_reset_is_flashed_all_the_same(
    tmp_path: Path, flash: Flash, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(menu, "ALONE_S", 0.5)
    monkeypatch.setattr(menu, "MENU_S", 0.5)
    with menu_board(tmp_path, wiring=UsbJtag()) as board:
        with serial.Serial(board.port, timeout=1) as port:
            port.write(b"11")
            assert port.read_until(b"terminal\r\nC").endswith(b"C")
        flash(board.port, (MODEL, b"model"))
        assert board.memory.read(MODEL, 5) == b"model"


class Port:
    """A port whose other end is a function: what is written, and the answer to it."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.answer, self.waiting, self.written = answer, bytearray(), list[bytes]()

    def __enter__(self) -> Port:
        return self

    def __exit__(self, *_: object) -> None:
        self.written.append(b"closed")

    def write(self, data: bytes) -> int:
        self.written.append(bytes(data))
        self.waiting += self.answer(bytes(data))
        return len(data)

    def read(self, count: int = 1) -> bytes:
        read = bytes(self.waiting[:count])
        del self.waiting[:count]
        return read

    def read_all(self) -> bytes:
        return b""  # what comes a moment later is not there yet


@pytest.mark.usefixtures("impatient")
def test_the_second_answer_to_a_repeated_packet_is_not_taken_for_the_next_ones() -> None:
    # The first packet is answered too late, and then twice; the second is damaged once.
    answers = {1: [b"", b"\x06\x06"], 2: [b"\x15", b"\x06"], 3: [b"\x06"]}
    port = Port(lambda data: answers[data[1]].pop(0) if len(data) > 1 else b"\x06")
    menu._Line(port).transfer(bytes(3 * 128))  # type: ignore[arg-type]
    assert [data[1] for data in port.written if len(data) > 1] == [1, 1, 2, 2, 3]


@pytest.mark.usefixtures("impatient")
def test_the_question_is_as_good_as_the_answer_that_was_lost_before_it() -> None:
    port = Port(lambda data: b"Do you want to end file transmission" if data == menu.EOT else b"\x06")
    line = menu._Line(port)  # type: ignore[arg-type]
    line.transfer(bytes(128))
    assert port.written.count(menu.EOT) == 1
    assert line.knock(b"", menu.QUESTION, 0, 0)


def test_what_the_board_said_once_is_not_heard_twice() -> None:
    line = menu._Line(Port(lambda _: b"C"))  # type: ignore[arg-type]
    assert line.knock(b"n", menu.READY, 1, 1)
    assert not line.knock(b"", menu.READY, 1, 0)


def test_an_interruption_ends_the_transfer_and_closes_the_port(monkeypatch: pytest.MonkeyPatch, flash: Flash) -> None:
    def interrupted(data: bytes) -> bytes:
        if data == b"1":
            raise KeyboardInterrupt
        return b""

    port = Port(interrupted)
    monkeypatch.setattr(menu, "open_port", lambda *_, **__: port)
    with pytest.raises(KeyboardInterrupt, match="interrupted before the first byte: nothing was written"):
        flash("port", (MODEL, b"model"))
    assert port.written[-2:] == [menu.CAN * 3, b"closed"]


def test_the_library_cannot_print_or_log(board: MenuBoard, flash: Flash, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        flash(board.port, (MODEL, b"model"))
    assert not [record for record in caplog.records if "xmodem" in record.name]
