"""A short look at a port tells what cannot be a board, and takes nothing for none that may be one."""

from __future__ import annotations

import time

import pytest
from at_board import FIRST, SECOND, FakePort, frame
from hypothesis import given
from hypothesis import strategies as some

from edgewright.boards import probe
from edgewright.boards.probe import QUESTION, refuse_others
from edgewright.errors import BoardFailed

BOOT_LOGS = (
    b"ESP-ROM:esp32s3-20210327\r\nrst:0x1 (POWERON),boot:0x8 (SPI_FAST_FLASH_BOOT)\r\nI (24) boot: ok\r\nOKAY\r\n"
)
MENU = (
    b"\r\n1st BL Modem Build DATE=Nov 30 2023, 0x0002000b\r\nPlease input any key to enter X-Modem mode in 100 ms\r\n"
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PROBE_S", 0.01)
    monkeypatch.setattr(probe, "LISTEN_S", 0.002)


def look(answer: bytes) -> str:
    """Return what is said of a port that answers like this; nothing where it may be a board."""
    try:
        refuse_others(FakePort({"STAT?": answer}), "/dev/ttyS0", "Toy")
    except BoardFailed as problem:
        return str(problem)
    return ""


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        BOOT_LOGS,
        MENU,
        b"CCCC",
        b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n",
        b"invalid header: 0xffffffff\r\n" * 20,
        frame(2, "AT", 5, "Unknown command: AT+PROBE@STAT?"),
        QUESTION + frame(0, "PROBE@STAT?", 0, {"is_ready": 1}),
    ],
    ids=["silence", "esp-boot", "grove-boot", "xmodem", "gps", "no-firmware", "unknown", "a-firmware-that-echoes"],
)
def test_what_may_be_a_board_is_not_refused(answer: bytes) -> None:
    assert look(answer) == ""


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (QUESTION, "sends back what it is sent"),
        (b">>> AT+PROBE@STAT?\r\nSyntaxError: invalid syntax\r\n>>> ", "sends back what it is sent"),
        (b"\r\nOK\r\n", "is a modem"),
        (b"AT+PROBE@STAT?\r\r\nERROR\r\n", "is a modem"),
        (b"\r\n+CME ERROR: 100\r\n", "is a modem"),
    ],
)
def test_what_cannot_be_a_board_is_told(answer: bytes, what: str) -> None:
    assert look(answer) == f"what is at /dev/ttyS0 {what}: this is probably no Toy"


@pytest.mark.parametrize("board", [FIRST, SECOND], ids=["1.x", "2.x"])
def test_a_firmware_is_known_by_its_first_frame_and_not_waited_for_longer(
    board: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "PROBE_S", 10)
    started = time.monotonic()
    port = FakePort(board)
    refuse_others(port, "/dev/ttyS0", "Toy")
    assert port.asked == ["STAT?"]
    assert time.monotonic() - started < 1


class Starting(FakePort):
    """A board that opening its port has restarted: each read gives a piece of what it says, and a key would be taken for a wish."""

    def __init__(self) -> None:
        super().__init__(FIRST)
        self.says = [MENU[:20], MENU[20:], b"\r\nOK\r\n", b"\r\nboot: ok\r\n"]
        self.spoken_to_too_early = False

    def read(self, size: int) -> bytes:
        if not self.waiting and self.says:
            return self.says.pop(0)
        return super().read(size)

    def write(self, data: bytes) -> int:
        self.spoken_to_too_early |= bool(self.says)
        return super().write(data)


def test_a_board_that_has_just_been_restarted_is_left_alone_until_it_is_quiet() -> None:
    port = Starting()
    refuse_others(port, "/dev/ttyS0", "Toy")
    assert port.asked == ["STAT?"]
    assert not port.spoken_to_too_early


def test_what_a_board_says_by_itself_makes_no_modem_of_it() -> None:
    port = Starting()
    port.answers = {}
    refuse_others(port, "/dev/ttyS0", "Toy")
    assert port.asked == ["STAT?"]


def test_a_port_that_is_pulled_out_meanwhile_is_told_by_who_asks_next() -> None:
    refuse_others(FakePort(gone=True), "/dev/ttyS0", "Toy")


@given(some.binary(max_size=200))
def test_whatever_bytes_come_it_ends_with_a_yes_or_one_line(answer: bytes) -> None:
    assert "\n" not in look(answer)
