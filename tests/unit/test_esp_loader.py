"""Flashing with esptool: what is asked of the library, in which order, and what a person is told when it fails."""

from __future__ import annotations

import errno
import os
import pty
import struct
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import serial
from esp_pylib.logger import EspLog
from esptool.logger import log
from esptool.reset import ResetStrategy
from esptool.util import FatalError

from edgewright.boards import esp
from edgewright.boards.esp import EspLoader
from edgewright.boards.loader import Write, Written
from edgewright.config import load_project
from edgewright.errors import BoardFailed, EdgewrightError

PROJECT = load_project(Path(__file__).resolve().parents[2])
BOARD = next(d.board for d in PROJECT.devices.values() if d.board and d.board.loader == "esptool")
UNTOUCHED = "firmware and settings are untouched"


class Library:
    """esptool's public functions, as far as they are used: what was called, and where it fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.failures: dict[str, BaseException] = {}
        self.size: str | None = "8MB"
        self.chip = SimpleNamespace(CHIP_NAME=BOARD.chip, change_baud=lambda baud: self.call("change_baud", baud))
        self.port: Any = None
        for name in ("detect_chip", "run_stub", "attach_flash", "detect_flash_size", "write_flash", "reset_chip"):
            monkeypatch.setattr(esp.cmds, name, getattr(self, name))
        monkeypatch.setattr(esp, "hard_reset", lambda port: self.call("pulse"))
        monkeypatch.setattr(esp, "STAYS_S", 0)

    def call(self, *call: Any) -> None:
        self.calls.append(call)
        if problem := self.failures.get(call[0]):
            raise problem

    def detect_chip(self, port: Any, baud: int, connect_attempts: int) -> Any:
        self.port = port
        log.print("Connecting...")
        log.warn("a warning that nobody wants")
        self.call("detect_chip")
        return self.chip

    def run_stub(self, chip: Any) -> Any:
        log.stage()
        self.call("run_stub")
        return chip

    def attach_flash(self, chip: Any) -> None:
        self.call("attach_flash")

    def detect_flash_size(self, chip: Any) -> str | None:
        self.call("detect_flash_size")
        return self.size

    def write_flash(self, chip: Any, files: list[tuple[int, bytes]], **terms: Any) -> None:
        self.call("write_flash", files, terms)
        log.stage()
        self.call("erase")
        with log.progress(total=100) as told:
            told.update(40)
            self.call("half")
            told.update(60)
        log.stage(finish=True)
        self.call("md5")

    def reset_chip(self, chip: Any, mode: str) -> None:
        self.call("reset_chip", mode)

    @property
    def names(self) -> list[str]:
        return [call[0] for call in self.calls]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    return Library(monkeypatch)


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    master, slave = pty.openpty()
    yield master, os.ttyname(slave)
    os.close(slave)
    os.close(master)


@pytest.fixture
def writes(tmp_path: Path) -> list[Write]:
    (tmp_path / "image.bin").write_bytes(b"f" * 200)
    (tmp_path / "model.tflite").write_bytes(b"m" * 1000)
    return [Write(tmp_path / "image.bin", BOARD.firmware_address), Write(tmp_path / "model.tflite", 0x400000)]


def flash(port: str, writes: list[Write], news: list[Any] | None = None) -> Written:
    return EspLoader().write(port, BOARD, writes, lambda *told: None if news is None else news.append(told))


def told(library: Library, terminal: tuple[int, str], writes: list[Write]) -> tuple[str, str]:
    """Flash, and return what the error says, once everything is as it was."""
    before = EspLog.instance, ResetStrategy.print_once
    with pytest.raises(EdgewrightError) as problem:
        flash(terminal[1], writes)
    assert not library.port.is_open
    assert (EspLog.instance, ResetStrategy.print_once) == before
    assert problem.value.exit_code == 8
    return str(problem.value), problem.value.hint


# --- a flash that works -----------------------------------------------------------------------------------------------------------


def test_the_chip_is_known_before_anything_is_written_and_restarted_afterwards(
    library: Library, terminal: tuple[int, str], writes: list[Write], capfd: pytest.CaptureFixture[str]
) -> None:
    news: list[Any] = []
    before = EspLog.instance, ResetStrategy.print_once
    written = flash(terminal[1], writes, news)
    assert (written.chip, written.bytes, written.checked) == (BOARD.chip, 1200, "MD5 of the flash, by the chip")
    assert [call for call in library.calls if call[0] not in ("erase", "half", "md5")] == [
        ("detect_chip",),
        ("run_stub",),
        ("change_baud", BOARD.baud),
        ("attach_flash",),
        ("detect_flash_size",),
        ("write_flash", [(BOARD.firmware_address, b"f" * 200)], {"flash_size": "keep", "compress": True}),
        ("write_flash", [(0x400000, b"m" * 1000)], {"flash_size": "keep", "compress": True}),
        ("reset_chip", "hard-reset"),
    ]
    assert [(done, text) for done, total, text in news if total == 1200][2:] == [
        (80, "writing image.bin"),
        (200, "checking image.bin"),
        (600, "writing model.tflite"),
        (1200, "checking model.tflite"),
    ]
    assert not library.port.is_open
    assert (EspLog.instance, ResetStrategy.print_once) == before
    assert capfd.readouterr() == ("", "")


def test_a_socket_keeps_its_speed_and_has_no_line_to_reset_with(
    library: Library, terminal: tuple[int, str], writes: list[Write], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(esp, "open_port", lambda *_, timeout_s: serial.serial_for_url(terminal[1]))
    # The watchdog may bite before the chip has answered.
    library.failures["reset_chip"] = FatalError("No serial data received.")
    assert flash("socket://lab:4000", writes).bytes == 1200
    assert "change_baud" not in library.names
    assert library.calls[-1] == ("reset_chip", "watchdog-reset")


def test_a_port_that_vanishes_with_the_restart_is_waited_for(
    library: Library, terminal: tuple[int, str], writes: list[Write], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = tmp_path / "port"
    port.symlink_to(terminal[1])
    monkeypatch.setattr(esp, "STAYS_S", 0.02)
    monkeypatch.setattr(esp, "POLL_S", 0.005)
    monkeypatch.setattr(library, "reset_chip", lambda *_: port.unlink())
    monkeypatch.setattr(esp.cmds, "reset_chip", library.reset_chip)
    back = threading.Timer(0.1, port.symlink_to, [terminal[1]])
    back.start()
    flash(str(port), writes)
    assert port.exists()
    back.join()
    monkeypatch.setattr(esp, "BACK_S", 0.05)
    with pytest.raises(BoardFailed, match=r"did not come back after the restart: everything is written$") as problem:
        flash(str(port), writes)
    assert problem.value.hint == BOARD.restart


class Clock:
    """Time passes only by waiting: a port is there until 0.1 s, and again from 1 s on."""

    def __init__(self, port: Path) -> None:
        self.now, self.port = 0.0, port
        port.touch()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if 0.1 < self.now < 1:
            self.port.unlink(missing_ok=True)
        else:
            self.port.touch()


def test_a_port_that_is_still_there_for_a_moment_is_not_taken_for_one_that_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(tmp_path / "port")
    monkeypatch.setattr(esp, "time", clock)
    assert esp._is_back(str(clock.port))
    assert clock.now > 1


# --- a flash that does not -------------------------------------------------------------------------------------------------------


def test_another_chip_is_left_alone(library: Library, terminal: tuple[int, str], writes: list[Write]) -> None:
    library.chip.CHIP_NAME = "ESP32-C3"
    fact, _ = told(library, terminal, writes)
    assert fact == f"{terminal[1]}: this is an ESP32-C3, not an ESP32-S3; nothing was written"
    assert library.names == ["detect_chip", "pulse"]


@pytest.mark.parametrize(("size", "text"), [("4MB", "4 MiB"), (None, "of a size that it does not say")])
def test_a_flash_that_is_too_small_is_left_alone(
    library: Library, terminal: tuple[int, str], writes: list[Write], size: str | None, text: str
) -> None:
    library.size = size
    fact, _ = told(library, terminal, writes)
    assert fact == f"{terminal[1]}: its flash is {text}, not 8 MiB; nothing was written"
    assert "write_flash" not in library.names


def test_a_board_that_does_not_answer_is_to_be_brought_into_its_loader_by_hand(
    library: Library, terminal: tuple[int, str], writes: list[Write]
) -> None:
    library.failures["detect_chip"] = FatalError(
        "Failed to connect to Espressif device: No serial data received.\nFor troubleshooting steps visit: https://…"
    )
    assert told(library, terminal, writes) == (
        f"no loader answers on {terminal[1]} (no serial data received); nothing was written",
        BOARD.download,
    )


@pytest.mark.parametrize(
    "problem",
    [
        struct.error("unpack requires a buffer of 8 bytes"),
        IndexError("index out of range"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ],
)
def test_garbled_bytes_are_no_bug_of_ours(
    library: Library, terminal: tuple[int, str], writes: list[Write], problem: Exception
) -> None:
    library.failures["run_stub"] = problem
    fact, hint = told(library, terminal, writes)
    assert (fact, hint) == ("the chip's loader failed (garbled bytes); nothing was written", "make flash again")


@pytest.mark.parametrize(
    ("where", "which", "state"),
    [
        ("write_flash", 0, "; nothing was written"),
        ("erase", 0, " after 0 of 200 bytes: the board's firmware is incomplete, its model is untouched"),
        ("half", 0, " after 80 of 200 bytes: the board's firmware is incomplete, its model is untouched"),
        ("half", 1, f" after 400 of 1,000 bytes: the board's model is incomplete, its {UNTOUCHED}"),
        ("md5", 1, f" after 1,000 of 1,000 bytes: the board's model is incomplete, its {UNTOUCHED}"),
    ],
)
def test_what_fails_in_the_middle_says_what_is_in_flash(
    library: Library, terminal: tuple[int, str], writes: list[Write], where: str, which: int, state: str
) -> None:
    library.failures[where] = FatalError("MD5 of file does not match data in flash!")
    fact, hint = told(library, terminal, writes[which:])
    assert fact == f"the chip's loader failed (MD5 of file does not match data in flash){state}"
    assert hint == "make flash again"
    assert library.names[-1] == "pulse"


def test_of_two_files_the_first_is_known_to_be_written(
    library: Library, terminal: tuple[int, str], writes: list[Write], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = library.write_flash

    def fail_second(chip: Any, files: list[tuple[int, bytes]], **terms: Any) -> None:
        if files[0][0] != BOARD.firmware_address:
            library.failures["half"] = FatalError("Timed out.")
        whole(chip, files, **terms)

    monkeypatch.setattr(esp.cmds, "write_flash", fail_second)
    fact, _ = told(library, terminal, writes)
    assert fact.endswith("the board's firmware is written, its model is incomplete")


@pytest.mark.parametrize(
    "problem",
    [
        serial.SerialException("device reports readiness to read but returned no data (device disconnected?)"),
        termios.error(errno.EIO, "Input/output error"),
        OSError(errno.EIO, "Input/output error"),
    ],
)
def test_an_unplugged_board_is_told_from_a_loader_that_fails(
    library: Library, terminal: tuple[int, str], writes: list[Write], problem: Exception
) -> None:
    library.failures["half"] = problem
    library.failures["pulse"] = OSError(errno.EIO, "Input/output error")
    assert told(library, terminal, writes[1:]) == (
        f"unplugged after 400 of 1,000 bytes: the board's model is incomplete, its {UNTOUCHED}",
        "plug it in, and make flash again",
    )


def test_when_only_the_restart_fails_nothing_has_to_be_written_again(
    library: Library, terminal: tuple[int, str], writes: list[Write]
) -> None:
    library.failures["reset_chip"] = serial.SerialException(errno.EPROTO, "Protocol error")
    fact, hint = told(library, terminal, writes)
    assert fact.startswith("the board did not restart (")
    assert fact.endswith("): everything is written")
    assert hint == BOARD.restart


def test_ctrl_c_frees_the_port_and_says_what_is_in_flash(
    library: Library, terminal: tuple[int, str], writes: list[Write]
) -> None:
    before = EspLog.instance
    library.failures["half"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt) as problem:
        flash(terminal[1], writes[1:])
    assert str(problem.value) == (
        f"interrupted after 400 of 1,000 bytes: the board's model is incomplete, its {UNTOUCHED}"
    )
    assert library.names[-1] == "pulse"
    assert not library.port.is_open
    assert EspLog.instance is before


def test_a_bug_stays_a_bug(library: Library, terminal: tuple[int, str], writes: list[Write]) -> None:
    library.failures["run_stub"] = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        flash(terminal[1], writes)
    assert not library.port.is_open


# --- with the library itself -----------------------------------------------------------------------------------------------------


def test_a_line_on_which_something_talks_without_end_is_not_listened_to_for_ever(
    terminal: tuple[int, str], writes: list[Write], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """esptool takes what follows one 0xC0 for a frame, until the next."""
    monkeypatch.setattr(esp, "CONNECT_S", 0.3)
    master, port = terminal
    stop = threading.Event()

    def talk() -> None:
        while not stop.is_set():
            os.read(master, 4096)
            os.write(master, b"\xc0")
            while not stop.wait(0.001):
                os.write(master, b"any text")

    talker = threading.Thread(target=talk, daemon=True)
    talker.start()
    began = time.monotonic()
    with pytest.raises(
        BoardFailed, match=r"^no loader answers on .* \(not done after 0 seconds\); nothing was written$"
    ):
        flash(port, writes)
    stop.set()
    talker.join()
    assert time.monotonic() - began < 2
    assert capfd.readouterr() == ("", "")
