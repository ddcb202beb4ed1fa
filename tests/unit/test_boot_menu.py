"""The boot menu of a virtual board: what it makes of each byte, without a line and without waiting."""

from __future__ import annotations

import binascii
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewright.boards.virtual import boot_menu
from edgewright.boards.virtual.boot_menu import ACK, CAN, EOT, MENU, NAK, PROMPT, QUESTION, SOH, STX, BootMenu
from edgewright.boards.virtual.wire import Memory, Reset, Unplugged

SILENCE = b""
INTO_XMODEM = (b"1", b"1")
SECTOR = 4096
SIZE = 64 * SECTOR
OLD = bytes(range(256)) * (SIZE // 256)


class Script:
    """A wire on which everything was said beforehand; the cable comes out at the end."""

    def __init__(self, pieces: tuple[bytes, ...]) -> None:
        self.pieces, self.said = list(pieces), b""

    def read(self, timeout_s: float) -> bytes:
        if not self.pieces:
            raise Unplugged
        return self.pieces.pop(0)

    def unread(self, data: bytes) -> None:
        if data:
            self.pieces.insert(0, data)

    def write(self, data: bytes) -> None:
        self.said += data


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    memory = Memory(tmp_path / "flash.bin", SIZE, SECTOR)
    memory.program(0, OLD)
    yield memory
    memory.close()


def packet(number: int, data: bytes, head: bytes = SOH) -> bytes:
    return head + bytes([number, 255 - number]) + data + binascii.crc_hqx(data, 0).to_bytes(2, "big")


def preamble(address: int, offset: int = 0) -> bytes:
    return (b"\xc0\x5a" + struct.pack("<II", address, offset) + b"\x5a\xc0").ljust(128, b"\xff")


def to(address: int, offset: int = 0) -> tuple[bytes, ...]:
    return (packet(1, preamble(address, offset)), EOT, SILENCE, b"n")


def said(memory: Memory, *pieces: bytes, by: type[Exception] = Unplugged) -> bytes:
    """Return what the board says after the prompt, and see what ended it."""
    script = Script((*INTO_XMODEM, *pieces))
    with pytest.raises(by):
        BootMenu(memory).run(script)
    return script.said.partition(PROMPT)[2]


def test_without_the_key_the_firmware_starts(memory: Memory) -> None:
    script = Script((b"AT+VER?\r", SILENCE))
    BootMenu(memory).run(script)
    assert MENU not in script.said
    assert b"Please input any key" in script.said


def test_keys_that_were_sent_too_often_do_no_harm(memory: Memory) -> None:
    script = Script((b"\r\n1", b"11111\r", b"1", packet(1, bytes(128)), EOT, SILENCE))
    with pytest.raises(Unplugged):
        BootMenu(memory).run(script)
    assert script.said.endswith(b"C" + ACK + ACK + QUESTION)


def test_the_menu_can_restart_the_board(memory: Memory) -> None:
    script = Script((b"1", b"0"))
    with pytest.raises(Reset):
        BootMenu(memory).run(script)


def test_a_file_without_an_address_is_the_firmware(memory: Memory) -> None:
    new = b"\x11" * 128 + b"\x22" * 128
    assert said(memory, packet(1, new[:128]), packet(2, new[128:]), EOT, SILENCE, b"y", by=Reset) == (
        b"C" + ACK + ACK + ACK + QUESTION
    )
    assert memory.read(0, SECTOR) == new + b"\xff" * (SECTOR - 256)
    assert memory.read(SECTOR, SIZE - SECTOR) == OLD[SECTOR:]


def test_a_preamble_says_where_the_next_file_goes_and_only_that(memory: Memory) -> None:
    model, firmware = b"\x33" * 128, b"\x44" * 128
    talk = said(
        memory,
        *to(8 * SECTOR, 2 * SECTOR),
        packet(1, model),
        EOT,
        SILENCE,
        b"n\r",
        packet(1, firmware),
        EOT,
        SILENCE,
        b"y\r",
        by=Reset,
    )
    assert talk == (b"C" + ACK + ACK + QUESTION) * 3
    assert memory.read(10 * SECTOR, 128) == model
    assert memory.read(0, 128) == firmware
    assert memory.read(8 * SECTOR, 2 * SECTOR) == OLD[8 * SECTOR : 10 * SECTOR]


def test_packets_may_have_1024_bytes(memory: Memory) -> None:
    data = bytes(1024)
    assert said(memory, packet(1, data, STX), packet(2, data[:128]), EOT, SILENCE) == b"C" + ACK * 3 + QUESTION
    assert memory.read(0, 1153) == bytes(1152) + b"\xff"


def test_packets_are_counted_modulo_256(memory: Memory) -> None:
    packets = [packet(number % 256, bytes([number % 251]) * 128) for number in range(1, 301)]
    assert said(memory, *packets, EOT, SILENCE) == b"C" + ACK * 301 + QUESTION
    assert memory.read(299 * 128, 128) == bytes([300 % 251]) * 128


@pytest.mark.parametrize(
    "damage",
    [
        lambda good: good[:50] + bytes([good[50] ^ 1]) + good[51:],  # data
        lambda good: good[:-1] + bytes([good[-1] ^ 1]),  # CRC
        lambda good: good[:1] + bytes([good[1] ^ 1]) + good[2:],  # number
        lambda good: b"\x05" + good[1:],  # the first byte
        lambda good: EOT + good[1:],  # … which then means the end
        lambda good: good[:50] + good[51:],  # a byte is missing
        lambda good: good[1:],
    ],
)
def test_a_damaged_packet_is_asked_for_again(memory: Memory, damage: object) -> None:
    first, second = bytes(128), b"\x55" * 128
    damaged = damage(packet(2, second))  # type: ignore[operator]
    talk = said(memory, packet(1, first), damaged, SILENCE, SILENCE, packet(2, second), packet(3, first), EOT, SILENCE)
    assert talk.replace(NAK * 2, NAK) == b"C" + ACK + NAK + ACK * 3 + QUESTION
    assert memory.read(0, 385) == first + second + first + b"\xff"


def test_a_packet_whose_answer_was_lost_is_answered_again_and_written_once(memory: Memory) -> None:
    first, second = bytes(128), b"\x55" * 128
    talk = said(memory, packet(1, first), packet(1, first), packet(2, second), EOT, SILENCE)
    assert talk == b"C" + ACK * 4 + QUESTION
    assert memory.read(0, 257) == first + second + b"\xff"


def test_an_end_whose_answer_was_lost_is_answered_again(memory: Memory) -> None:
    assert said(memory, packet(1, bytes(128)), EOT, SILENCE, EOT, b"y", by=Reset).endswith(QUESTION + ACK)


def test_silence_is_answered_until_it_has_lasted_too_long(memory: Memory) -> None:
    talk = said(memory, packet(1, bytes(128)), *[SILENCE] * (boot_menu.TRIES + 1))
    assert talk == b"C" + ACK + NAK * boot_menu.TRIES + CAN * 2 + boot_menu.CANCELLED + MENU


def test_who_never_begins_finds_the_menu_again(memory: Memory) -> None:
    talk = said(memory, *[SILENCE] * boot_menu.READY_TRIES)
    assert talk == b"C" * boot_menu.READY_TRIES + boot_menu.CANCELLED + MENU


def test_a_packet_out_of_turn_cancels(memory: Memory) -> None:
    talk = said(memory, packet(1, bytes(128)), packet(3, bytes(128)))
    assert talk == b"C" + ACK + CAN * 2 + boot_menu.CANCELLED + MENU
    assert memory.read(128, 128) == b"\xff" * 128


@pytest.mark.parametrize("before", [(), (packet(1, bytes(128)),)])
def test_two_cancels_lead_back_to_the_menu(memory: Memory, before: tuple[bytes, ...]) -> None:
    assert said(memory, *before, CAN * 3).endswith(boot_menu.CANCELLED + MENU)


def test_one_cancel_may_be_noise(memory: Memory) -> None:
    talk = said(memory, packet(1, bytes(128)), CAN, SILENCE, SILENCE, packet(2, bytes(128)))
    assert talk == b"C" + ACK + NAK + ACK


@pytest.mark.parametrize("address", [SIZE, 0xFFFFFFFF])
def test_an_address_beyond_the_flash_is_refused(memory: Memory, address: int) -> None:
    talk = said(memory, packet(1, preamble(address)))
    assert talk == b"C" + CAN * 2 + f"\r\naddress 0x{address:08x} is beyond the flash\r\n".encode() + MENU
    assert memory.read(0, SIZE) == OLD


def test_a_file_that_leaves_the_flash_is_stopped_there(memory: Memory) -> None:
    talk = said(memory, *to(SIZE - 128), packet(1, bytes(128)), packet(2, bytes(128)))
    assert b"C" + ACK + CAN * 2 in talk
    assert memory.read(SIZE - 128, 128) == bytes(128)


def test_unplugging_in_the_middle_leaves_what_came_and_spoils_no_other_sector(memory: Memory) -> None:
    packets = [packet(number, bytes(128)) for number in range(1, 34)]
    said(memory, *to(8 * SECTOR), *packets, packet(34, bytes(128))[:70])
    assert memory.read(8 * SECTOR, 33 * 128) == bytes(33 * 128)
    assert memory.read(8 * SECTOR + 33 * 128, 2 * SECTOR - 33 * 128) == b"\xff" * (2 * SECTOR - 33 * 128)
    assert memory.read(10 * SECTOR, SIZE - 10 * SECTOR) == OLD[10 * SECTOR :]
    assert memory.read(0, 8 * SECTOR) == OLD[: 8 * SECTOR]
