"""For property-based tests: what happens to bytes on a bad day, as strategies of hypothesis."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st

Edit = tuple[str, int, bytes]
# For properties that take tens of milliseconds: a quarter of the examples that others have.
fewer = settings(max_examples=max(1, settings().max_examples // 4))
# Where formats keep sizes and kinds, these are the values that surprise.
SURPRISES = [
    b"\x00",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x80",
    bytes(8),
]


def edits(most: int = 6) -> st.SearchStrategy[list[Edit]]:
    """Some changes: bytes replaced, put in, taken out, repeated; or everything behind a place cut off."""
    content = st.sampled_from(SURPRISES) | st.binary(min_size=1, max_size=8)
    kinds = st.sampled_from(["replace", "replace", "insert", "delete", "repeat", "cut"])
    return st.lists(st.tuples(kinds, st.integers(0, 1 << 20), content), min_size=1, max_size=most)


def edited(seed: bytes, changes: Sequence[Edit], places: Sequence[int] = ()) -> bytes:
    """The seed with these changes; places are counted from the start, round and round, or among `places` where some count more."""
    content = bytearray(seed)
    for kind, place, new in changes:
        at = places[place % len(places)] if places else place % (len(content) + 1)
        if kind == "replace":
            content[at : at + len(new)] = new
        elif kind == "insert":
            content[at:at] = new
        elif kind == "delete":
            del content[at : at + len(new)]
        elif kind == "repeat":
            content[at:at] = content[at : at + 16 * len(new)]
        elif len(content) > 1:
            del content[at or 1 :]
    return bytes(content)


def rearranged(parts: Sequence[bytes], others: Sequence[bytes], most: int = 8) -> st.SearchStrategy[bytes]:
    """The parts of a format (opcodes, lines) with some left out, doubled, moved, or followed by one of the others."""
    change = st.tuples(
        st.sampled_from(["drop", "double", "move", "insert"]),
        st.integers(0, len(parts) - 1),
        st.integers(0, len(parts) - 1),
        st.sampled_from(list(others)),
    )

    def apply(changes: list[tuple[str, int, int, bytes]]) -> bytes:
        result = list(parts)
        for kind, first, second, other in changes:
            at, to = first % len(result), second % len(result)
            if kind == "drop" and len(result) > 1:
                del result[at]
            elif kind == "double":
                result.insert(to, result[at])
            elif kind == "move":
                result.insert(to, result.pop(at))
            else:
                result.insert(at, other)
        return b"".join(result)

    return st.lists(change, min_size=1, max_size=most).map(apply)
