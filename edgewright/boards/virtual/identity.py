"""What AT+ID? answers: it is made of 16 bytes, which a board has in its flash or in its chip."""

from __future__ import annotations

from hashlib import blake2b

from edgewright.boards.virtual.wire import Memory
from edgewright.firmware import At

ID_BYTES = 16


def chip_number(label: str) -> bytes:
    """Return 16 bytes that no other board has: one of another label has others."""
    return blake2b(label.encode(), digest_size=ID_BYTES).digest()


def device_id(at: At, memory: Memory, label: str) -> str:
    """Return a board's id as its firmware writes it."""
    raw = chip_number(label) if at.id_address is None else memory.read(at.id_address, ID_BYTES)
    if at.id_form == "bytes":
        return "".join(str(byte) for byte in raw)
    return f"{fnv(raw):08x}" if at.id_form == "hash" else str(fnv(raw))


def fnv(data: bytes) -> int:
    """Return the hash of Fowler, Noll and Vo, 32 bits (SSCMA-Micro ff48a1c el_device_we2.cpp L69-76, el_device_esp.cpp L52-60)."""
    value = 0x811C9DC5
    for byte in data:
        value = (value ^ byte) * 0x1000193 & 0xFFFFFFFF
    return value
