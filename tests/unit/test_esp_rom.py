"""The loader of a virtual ESP32-S3: frames in, frames out. Whether esptool believes it is tests/boards/test_esptool_client.py."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from functools import reduce
from operator import xor
from pathlib import Path

import pytest

from edgewright.boards.virtual.esp_rom import EspRom, is_sync
from edgewright.boards.virtual.slip import wrap
from edgewright.boards.virtual.wire import Memory, Reset, Unplugged

SIZE, SECTOR = 4 << 20, 4096
BEGIN, DATA, END, MEM_BEGIN, MEM_END, MEM_DATA, SYNC = range(2, 9)
WRITE_REG, READ_REG, SET_PARAMS, READ_SLOW = 0x09, 0x0A, 0x0B, 0x0E
DEFL_BEGIN, DEFL_DATA, MD5, SECURITY, ERASE_ALL, ERASE, READ = 0x10, 0x11, 0x13, 0x14, 0xD0, 0xD1, 0xD2
HELLO = b"\x07\x07\x12\x20" + b"\x55" * 32
ENTRY = 0x40378000
OHAI = b"OHAI"


class Script:
    """A wire on which a client says what it was told to, and then pulls the plug."""

    def __init__(self, *said: bytes) -> None:
        self.said, self.heard = list(said), b""

    def read(self, timeout_s: float) -> bytes:
        if not self.said:
            raise Unplugged
        return self.said.pop(0)

    def unread(self, data: bytes) -> None:
        self.said.insert(0, data)

    def write(self, data: bytes) -> None:
        self.heard += data


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "flash.bin", SIZE, SECTOR)


@pytest.fixture
def ask(memory: Memory) -> Callable[..., list[bytes]]:
    """Return what the loader answers, from power on to the plug."""

    def asked(*said: bytes, chip_id: int = 9) -> list[bytes]:
        wire = Script(*said)
        with pytest.raises(Unplugged):
            EspRom(memory, chip_id=chip_id).run(wire)
        return replies(wire)

    return asked


def replies(wire: Script) -> list[bytes]:
    """Return the frames heard."""
    frames = filter(None, wire.heard.split(b"\xc0"))
    return [frame.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb") for frame in frames]


def request(command: int, data: bytes = b"", checksum: int = 0) -> bytes:
    return wrap(struct.pack("<BBHI", 0, command, len(data), checksum) + data)


def words(command: int, *values: int) -> bytes:
    return request(command, struct.pack(f"<{len(values)}I", *values))


def block(command: int, data: bytes, number: int = 0, *, off_by: int = 0) -> bytes:
    head = struct.pack("<4I", len(data), number, 0, 0)
    return request(command, head + data, reduce(xor, data, 0xEF) ^ off_by)


def status(reply: bytes) -> bytes:
    """Return the two bytes of an answer without data."""
    return reply[8:10]


ROM_SIZE = words(SET_PARAMS, 0, SIZE, 1 << 16, SECTOR, 256, 0xFFFF)
STUB = (words(MEM_BEGIN, 8, 1, 8, ENTRY), block(MEM_DATA, b"\0" * 8), words(MEM_END, 0, ENTRY + 4))
STARTED = 4  # answers until the stub runs
OK = b"\0\0"


def test_the_rom_answers_a_sync_eight_times_and_is_not_taken_for_a_stub(ask: Callable[..., list[bytes]]) -> None:
    answers = ask(request(SYNC, HELLO))
    assert answers == [bytes.fromhex("010804000712205500000000")] * 8


def test_a_stub_says_ohai_and_syncs_with_the_value_that_tells_it(ask: Callable[..., list[bytes]]) -> None:
    answers = ask(*STUB, request(SYNC, HELLO))
    assert answers[2][1] == MEM_END
    assert answers[3] == OHAI
    assert answers[STARTED:] == [bytes.fromhex("01080200000000000000")] * 8


def test_a_jump_to_where_nothing_was_loaded_crashes_the_chip(memory: Memory) -> None:
    with pytest.raises(Reset):
        EspRom(memory).run(Script(*STUB[:2], words(MEM_END, 0, ENTRY + 8)))


def test_the_chip_tells_its_number(ask: Callable[..., list[bytes]]) -> None:
    for chip_id in (9, 5):
        (answer,) = ask(request(SECURITY), chip_id=chip_id)
        assert struct.unpack_from("<I", answer, 8 + 12)[0] == chip_id
        assert len(answer) == 8 + 20 + 4


@pytest.mark.parametrize("stub", [(), STUB], ids=["rom", "stub"])
def test_a_file_is_written_and_its_sum_is_that_of_the_flash(
    ask: Callable[..., list[bytes]], memory: Memory, stub: tuple[bytes, ...]
) -> None:
    content = bytes(range(256)) * 20
    memory.program(0x10000, b"\0" * len(content))
    sent = [block(DATA, content[at : at + 1024], at // 1024) for at in range(0, len(content), 1024)]
    begin = words(BEGIN, len(content), 5, 1024, 0x10000, 0)
    answers = ask(*stub, ROM_SIZE, begin, *sent, words(MD5, 0x10000, len(content), 0, 0))
    assert memory.read(0x10000, len(content)) == content
    digest = hashlib.md5(content)
    assert answers[-1][8:] == (digest.digest() + OK if stub else digest.hexdigest().encode() + bytes(4))


@pytest.mark.parametrize("stub", [(), STUB], ids=["rom", "stub"])
def test_a_compressed_file_is_written(ask: Callable[..., list[bytes]], memory: Memory, stub: tuple[bytes, ...]) -> None:
    content = b"edgewright " * 1000
    packed = zlib.compress(content)
    begin = words(DEFL_BEGIN, len(content), 2, 64, 0, 0)
    ask(*stub, ROM_SIZE, begin, block(DEFL_DATA, packed[:40]), block(DEFL_DATA, packed[40:], 1))
    assert memory.read(0, len(content)) == content


def test_the_rom_erases_all_at_once_and_the_stub_as_it_writes(ask: Callable[..., list[bytes]], memory: Memory) -> None:
    begin = words(BEGIN, 3 * SECTOR, 3, SECTOR, 0, 0)
    for stub, erased in (((), 3 * SECTOR), (STUB, SECTOR)):
        memory.program(0, b"\0" * (4 * SECTOR))
        ask(*stub, ROM_SIZE, begin)
        found = memory.read(0, 4 * SECTOR)
        assert found == b"\xff" * erased + b"\0" * (4 * SECTOR - erased)


def test_what_stands_beside_a_file_stays_outside_of_its_sectors(
    ask: Callable[..., list[bytes]], memory: Memory
) -> None:
    memory.program(0, b"\0" * (3 * SECTOR))
    ask(*STUB, words(BEGIN, 4, 1, 4, SECTOR + 8, 0), block(DATA, b"abcd" + b"\0" * 60))
    expected = b"\0" * SECTOR + b"\xff" * 8 + b"abcd" + b"\xff" * (SECTOR - 12) + b"\0" * SECTOR
    assert memory.read(0, 3 * SECTOR) == expected


def test_a_write_without_room_is_refused_before_the_first_byte(ask: Callable[..., list[bytes]], memory: Memory) -> None:
    memory.program(SIZE - SECTOR, b"\0" * SECTOR)
    begin = words(BEGIN, 2 * SECTOR, 2, SECTOR, SIZE - SECTOR, 0)
    answers = ask(ROM_SIZE, begin, block(DATA, b"x" * SECTOR), *STUB, begin, block(DATA, b"x" * SECTOR))
    assert [status(answer) for answer in answers[1:3]] == [b"\x01\x06", b"\x01\x06"]
    assert [status(answer) for answer in answers[-2:]] == [b"\xc4\x00", b"\xc6\x00"]
    assert memory.read(SIZE - SECTOR, SECTOR) == b"\0" * SECTOR


def test_the_rom_believes_in_two_megabytes_until_it_is_told(ask: Callable[..., list[bytes]]) -> None:
    read = words(READ_SLOW, 2 << 20, 64)
    answers = ask(read, ROM_SIZE, read)
    assert status(answers[0]) == b"\x01\x09"
    assert answers[2][8:] == b"\xff" * 64 + bytes(4)


def test_a_bad_checksum_is_an_error_and_the_block_can_be_sent_again(
    ask: Callable[..., list[bytes]], memory: Memory
) -> None:
    for stub, error in (((), b"\x01\x07"), (STUB, b"\xc1\x00")):
        begin = words(BEGIN, 1024, 1, 1024, 0, 0)
        answers = ask(*stub, begin, block(DATA, b"y" * 1024, off_by=1), block(DATA, b"y" * 1024))
        assert [status(answer) for answer in answers[-2:]] == [error, OK]
        assert memory.read(0, 1024) == b"y" * 1024


@pytest.mark.parametrize(
    ("sent", "rom", "stub"),
    [
        (words(MD5, 0, 16), b"\x01\x05", b"\xc0\x00"),
        (words(MD5, SIZE, 16, 0, 0), b"\x01\x09", b"\xc4\x00"),
        (wrap(struct.pack("<BBHI", 0, READ_REG, 4, 0) + bytes(5)), b"\x01\x05", b"\xc0\x00"),
        (block(DATA, b"z" * 16), b"\x01\x06", b"\xc6\x00"),
        (request(0x55), b"\x01\x05", b"\xc3\x00"),
    ],
    ids=["length", "beyond", "header", "not begun", "unknown"],
)
def test_what_makes_no_sense_gets_the_loaders_own_error(
    ask: Callable[..., list[bytes]], sent: bytes, rom: bytes, stub: bytes
) -> None:
    answers = ask(ROM_SIZE, sent, *STUB, sent)
    assert [status(answers[1]), status(answers[-1])] == [rom, stub]


def test_the_rom_knows_nothing_of_the_stubs_commands(ask: Callable[..., list[bytes]], memory: Memory) -> None:
    memory.program(0, b"\0")
    assert status(ask(request(ERASE_ALL))[0]) == b"\x01\x05"
    assert memory.read(0, 1) == b"\0"
    assert status(ask(*STUB, request(ERASE_ALL))[-1]) == OK
    assert memory.read(0, 1) == b"\xff"


def test_the_stub_tells_with_the_next_answer_that_a_write_failed(ask: Callable[..., list[bytes]]) -> None:
    begin = words(DEFL_BEGIN, 100, 1, 100, 0, 0)
    answers = ask(*STUB, begin, block(DEFL_DATA, b"no zlib at all"), words(MD5, 0, 4, 0, 0), words(MD5, 0, 4, 0, 0))
    assert [status(answer) for answer in answers[-3:-1]] == [OK, b"\xc7\x00"]
    assert answers[-1][-2:] == OK


def test_a_compressed_file_larger_than_it_was_said_to_be_is_cut_off(
    ask: Callable[..., list[bytes]], memory: Memory
) -> None:
    begin = words(DEFL_BEGIN, 100, 1, 100, 0, 0)
    answers = ask(*STUB, begin, block(DEFL_DATA, zlib.compress(b"a" * 101)), request(SYNC, HELLO))
    assert status(answers[-1]) == b"\xc9\x00"
    assert memory.read(0, 101) == b"\xff" * 101


def test_to_begin_with_nothing_erases_nothing(ask: Callable[..., list[bytes]], memory: Memory) -> None:
    memory.program(0, b"\0")
    ask(words(BEGIN, 0, 0, 1024, 0, 0), *STUB, words(BEGIN, 0, 0, 1024, 0, 0))
    assert memory.read(0, 1) == b"\0", "esptool does so to leave a loader"


def test_a_region_is_erased_in_whole_sectors_only(ask: Callable[..., list[bytes]], memory: Memory) -> None:
    memory.program(0, b"\0" * (3 * SECTOR))
    answers = ask(*STUB, words(ERASE, SECTOR, SECTOR), words(ERASE, 0, 100))
    assert [status(answer) for answer in answers[-2:]] == [OK, b"\xc0\x00"]
    assert memory.read(0, 3 * SECTOR) == b"\0" * SECTOR + b"\xff" * SECTOR + b"\0" * SECTOR


def test_the_stub_sends_flash_as_it_is_acknowledged_and_its_sum(
    ask: Callable[..., list[bytes]], memory: Memory
) -> None:
    content = bytes(i % 253 for i in range(9000))
    memory.program(0, content)
    acknowledged = [wrap(struct.pack("<I", count)) for count in (4096, 8192, 9000)]
    answers = ask(*STUB, words(READ, 0, 9000, 4096, 64), *acknowledged)
    assert answers[STARTED + 1 :] == [content[:4096], content[4096:8192], content[8192:], hashlib.md5(content).digest()]


def test_a_client_that_begins_anew_in_the_middle_of_a_read_is_heard(ask: Callable[..., list[bytes]]) -> None:
    answers = ask(*STUB, words(READ, 0, 9000, 4096, 64), request(SYNC, HELLO), request(SYNC, HELLO))
    assert [answer[1] for answer in answers[-8:]] == [SYNC] * 8


def test_a_damaged_frame_costs_nothing_but_itself(ask: Callable[..., list[bytes]]) -> None:
    good = words(READ_REG, 0x40001000)
    damaged = good[:10] + b"\xdb" + good[10:]
    for noise in (b"garbage", damaged, b"\xc0", b"\xc0\x00\xc0", good[:5]):
        answers = ask(noise, good)
        assert [answer[4] for answer in answers] == [0x9], noise
    assert len(ask(b"no frame", good[1:], good, good)) == 2, "the END that is missing is the first frame's"


def test_a_frame_may_come_in_pieces_and_two_at_once(ask: Callable[..., list[bytes]]) -> None:
    good = words(READ_REG, 0x40001000)
    assert len(ask(*[bytes([byte]) for byte in good], good + good)) == 3


def test_an_armed_watchdog_resets_the_chip_when_the_client_is_done(memory: Memory) -> None:
    config, lock = 0x60008098, 0x600080B0
    arm = words(WRITE_REG, config, 1 << 31, 0xFFFFFFFF, 0)
    locked = Script(arm, b"")
    with pytest.raises(Unplugged):
        EspRom(memory).run(locked)
    wire = Script(words(WRITE_REG, lock, 0x50D83AA1, 0xFFFFFFFF, 0), arm, words(WRITE_REG, lock, 0, 0xFFFFFFFF, 0), b"")
    with pytest.raises(Reset) as reset:
        EspRom(memory).run(wire)
    assert len(replies(wire)) == 3
    assert not reset.value.download


@pytest.mark.parametrize(("stub", "download"), [((), False), (STUB, True)], ids=["rom", "stub"])
def test_the_end_of_a_flash_leaves_the_loader(memory: Memory, stub: tuple[bytes, ...], download: bool) -> None:
    wire = Script(*stub, words(BEGIN, 0, 0, 1024, 0, 0), words(END, 0))
    with pytest.raises(Reset) as reset:
        EspRom(memory).run(wire)
    assert reset.value.download == download
    assert status(replies(wire)[-1]) == OK, "it is answered first"


def test_a_flash_that_lacks_a_block_does_not_end(ask: Callable[..., list[bytes]]) -> None:
    answers = ask(*STUB, words(BEGIN, 2048, 2, 1024, 0, 0), block(DATA, b"x" * 1024), words(END, 1))
    assert status(answers[-1]) == b"\xc0\x00"


def test_a_sync_is_found_in_what_an_application_hears() -> None:
    assert is_sync(b"AT+ID?\r\n" + request(SYNC, HELLO)) == 8
    assert is_sync(request(READ_REG, bytes(4))) == -1
