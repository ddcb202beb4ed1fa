"""How the firmware finds models: it knows no files, only what the flash of its slot looks like, in steps.

Sources: SSCMA-Micro core/data/el_data_models.cpp (1.x), ma_device.cpp of both boards' 2.x ports.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgewright.boards.virtual.wire import Memory
from edgewright.firmware import Firmware

TFLITE = b"TFL3"  # at bytes 4 to 7 of a flatbuffer
PACKED = b"LHT"  # then a byte with id and algorithm, 24 bits of size, a byte of padding: all big-endian
PACKED_BYTES = 8
LAST_ID = 15  # 1.x remembers ids in a mask of 16 bits


@dataclass(frozen=True)
class Model:
    """A model in flash; all zeros is what the firmware has to say of one that is not there."""

    id: int = 0
    type: int = 0  # of the algorithm, where a packed header names it
    address: int = 0
    size: int = 0  # only a packed header tells it
    start: int = 0  # where its first byte lies


def scan(memory: Memory, firmware: Firmware, step: int, *, packed: bool) -> tuple[Model, ...]:
    """Return what the firmware sees in its slot, ids from 1 by address; `packed`: models with a header, too, and at most 15.

    It cannot tell where a model ends: what was written there once and is not erased is a model still.
    """
    slot = memory.read(firmware.address, firmware.slot_bytes)
    headed = list(_headed(slot, firmware.address, step)) if packed else []
    taken = {one.id for one in headed}
    plain = [at for at in range(0, len(slot), step) if slot[at + 4 : at + 8] == TFLITE]
    free = (number for number in range(1, LAST_ID + 1 if packed else len(plain) + 1) if number not in taken)
    return (
        *headed,
        *(
            Model(number, 0, firmware.address + at, 0, firmware.address + at)
            for at, number in zip(plain, free, strict=False)
        ),
    )


def _headed(slot: bytes, base: int, step: int) -> Iterator[Model]:
    """Yield the models with a header; the search goes on a step behind the end of each, wherever that is."""
    at, seen = 0, set[int]()
    while at < len(slot):
        header = slot[at : at + PACKED_BYTES]
        if header.startswith(PACKED) and len(header) == PACKED_BYTES:
            number, kind, size = header[3] >> 4, header[3] & 0x0F, int.from_bytes(header[4:7], "big")
            if number and kind and 0 < size <= len(slot) - at:
                if number not in seen:
                    yield Model(number, kind, base + at, size, base + at + PACKED_BYTES)
                seen.add(number)
                at += size
        at += step


def content(memory: Memory, firmware: Firmware, model: Model) -> bytes:
    """Return a model's bytes: as many as its header says, or all to the end of the slot."""
    end = model.start + model.size if model.size else firmware.address + firmware.slot_bytes
    return memory.read(model.start, end - model.start)
