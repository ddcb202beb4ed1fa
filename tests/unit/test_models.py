"""Models as the firmware finds them: by what flash looks like, in steps."""

from __future__ import annotations

from pathlib import Path

import pytest
from firmware_talk import FIRMWARES, SECTOR, SLOT

from edgewright.boards.virtual.models import LAST_ID, Model, content, scan
from edgewright.boards.virtual.wire import Memory

FIRMWARE = FIRMWARES["grove-vision-ai-v2-sscma-1.x"].model_copy(update={"slot_bytes": 0x80000})
PLAIN = b"\x1c\0\0\0TFL3"


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "flash.bin", SLOT + 0x80000, SECTOR)


def header(number: int, kind: int, size: int) -> bytes:
    return b"LHT" + bytes([number << 4 | kind]) + size.to_bytes(3, "big") + b"\0"


def found(memory: Memory, *, step: int = 1024, packed: bool = True) -> list[tuple[int, int, int, int]]:
    return [(one.id, one.type, one.address - SLOT, one.size) for one in scan(memory, FIRMWARE, step, packed=packed)]


def test_erased_flash_has_no_models(memory: Memory) -> None:
    assert found(memory) == []


def test_plain_models_get_their_ids_by_address_and_a_stale_one_counts(memory: Memory) -> None:
    for at in (0x2000, 0x0, 0x40000):
        memory.program(SLOT + at, PLAIN)
    assert found(memory) == [(1, 0, 0x0, 0), (2, 0, 0x2000, 0), (3, 0, 0x40000, 0)]


def test_only_what_lies_on_a_step_is_seen(memory: Memory) -> None:
    memory.program(SLOT + 0x400, PLAIN)
    memory.program(SLOT + 0x1010, PLAIN)
    assert found(memory) == [(1, 0, 0x400, 0)]
    assert found(memory, step=4096) == []


def test_what_lies_before_or_behind_the_slot_is_not_seen(memory: Memory) -> None:
    memory.program(SLOT - 0x1000, PLAIN)
    memory.program(SLOT + 0x7FC00, PLAIN)
    assert found(memory) == [(1, 0, 0x7FC00, 0)]


def test_a_packed_model_brings_its_own_id_type_and_size(memory: Memory) -> None:
    memory.program(SLOT, header(1, 5, 20) + PLAIN + b"twelve bytes" + b"no more of it")
    memory.program(SLOT + 0x1000, PLAIN)
    assert found(memory) == [(1, 5, 0, 20), (2, 0, 0x1000, 0)]
    first = scan(memory, FIRMWARE, 1024, packed=True)[0]
    assert content(memory, FIRMWARE, first) == PLAIN + b"twelve bytes"


def test_the_search_for_packed_models_goes_on_a_step_behind_the_end_of_one(memory: Memory) -> None:
    memory.program(SLOT, header(1, 5, 0x400))
    memory.program(SLOT + 0x400, header(2, 5, 8))  # inside the first
    memory.program(SLOT + 0x800, header(3, 5, 8))
    assert [one[0] for one in found(memory)] == [1, 3]


@pytest.mark.parametrize("bad", [header(0, 5, 8), header(1, 0, 8), header(1, 5, 0), header(1, 5, 0x80001)])
def test_a_header_without_id_type_or_possible_size_is_none(memory: Memory, bad: bytes) -> None:
    memory.program(SLOT, bad)
    assert found(memory) == []


def test_of_two_packed_models_with_one_id_the_first_counts(memory: Memory) -> None:
    memory.program(SLOT, header(4, 5, 0x400))
    memory.program(SLOT + 0x800, header(4, 6, 8))
    assert found(memory) == [(4, 5, 0, 0x400)]


def test_a_firmware_without_packed_models_takes_their_headers_for_nothing(memory: Memory) -> None:
    memory.program(SLOT, header(1, 5, 8) + PLAIN)
    assert found(memory, packed=False) == []


def test_at_most_fifteen_are_known_where_ids_are_bits_of_a_mask(memory: Memory) -> None:
    for at in range(20):
        memory.program(SLOT + at * 0x1000, PLAIN)
    assert [one[0] for one in found(memory)] == list(range(1, LAST_ID + 1))
    assert len(found(memory, packed=False)) == 20


def test_the_bytes_of_a_plain_model_go_to_the_end_of_the_slot(memory: Memory) -> None:
    memory.program(SLOT + 0x7F000, PLAIN)
    model = Model(1, 0, SLOT + 0x7F000, 0, SLOT + 0x7F000)
    assert content(memory, FIRMWARE, model) == PLAIN + b"\xff" * (0x1000 - len(PLAIN))
