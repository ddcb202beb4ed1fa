"""For the property-based tests of readers: what may be done to the bytes of a valid file."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import reduce

from hypothesis import strategies as st

Edit = Callable[[bytes], bytes]

# What counts, offsets and sizes are compared with.
NUMBERS = [
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    127,
    128,
    255,
    256,
    4096,
    65535,
    2**16,
    2**24,
    2**30,
    2**31 - 1,
    2**31,
    2**32 - 8,
    2**32 - 1,
]
SIZES = {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}


def mutated(seed: bytes, places: Sequence[int] = ()) -> st.SearchStrategy[bytes]:
    """A file with up to four edits; `places` are the bytes worth one, all of them if none are named."""
    at = st.sampled_from(places) if places else st.integers(0, max(0, len(seed) - 1))
    edits = st.one_of(
        st.builds(_overwrite, at, st.sampled_from([1, 1, 2, 4, 4, 4, 8]), st.sampled_from(NUMBERS)),
        st.builds(_overwrite, at, st.sampled_from(list(SIZES)), st.integers(0, 2**64 - 1)),
        st.builds(_add, at, st.sampled_from([1, 2, 4]), st.integers(-64, 64)),
        st.builds(_flip, at, st.integers(0, 7)),
        st.builds(_cut, at),
        st.builds(_insert, at, st.binary(min_size=1, max_size=16)),
        st.builds(_remove, at, st.integers(1, 64)),
        st.builds(_copy, at, at, st.integers(1, 64)),
    )
    return st.lists(edits, min_size=1, max_size=4).map(
        lambda chosen: reduce(lambda file, edit: edit(file), chosen, seed)
    )


def _overwrite(at: int, size: int, number: int) -> Edit:
    return lambda file: file[:at] + struct.pack(SIZES[size], number % (1 << 8 * size)) + file[at + size :]


def _add(at: int, size: int, step: int) -> Edit:
    def edit(file: bytes) -> bytes:
        number = int.from_bytes(file[at : at + size], "little")
        return _overwrite(at, size, number + step)(file)

    return edit


def _flip(at: int, bit: int) -> Edit:
    return lambda file: file[:at] + bytes(byte ^ 1 << bit for byte in file[at : at + 1]) + file[at + 1 :]


def _cut(at: int) -> Edit:
    return lambda file: file[:at]


def _insert(at: int, more: bytes) -> Edit:
    return lambda file: file[:at] + more + file[at:]


def _remove(at: int, count: int) -> Edit:
    return lambda file: file[:at] + file[at + count :]


def _copy(at: int, to: int, count: int) -> Edit:
    return lambda file: file[:to] + file[at : at + count] + file[to + count :]
