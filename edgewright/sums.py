"""A bundle's files, each read once, against its SHA256SUMS: what differs, what is missing, what nobody listed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgewright import bundle, digest, foreign
from edgewright.bundle import BOARD, LIMITS, SUMS
from edgewright.foreign import Foreign, Tree

ENVELOPES = "release.intoto.jsonl"
# In no list of sums: one is the list, one was made last, one came later, from a board.
UNLISTED = (SUMS, ENVELOPES, BOARD)
SUMS_BYTES = 1_000_000  # a line has some hundred


@dataclass(frozen=True)
class Contents:
    """A bundle's files as they were read, once: the sha256 of each, and of some the very bytes that have it."""

    tree: Tree
    sums: Mapping[str, str]
    texts: Mapping[str, bytes]


def read(folder: Path, most_bytes: Callable[[str], int]) -> Contents:
    """Read a bundle; `most_bytes` says for a file's name how much of it may be kept, and 0 where only its sha256 is wanted.

    Raises Foreign for what is no plain file or folder, larger than it may be, swapped while it was read, or not to be read.
    """
    try:
        tree = foreign.look(folder.resolve(), LIMITS)
        texts = {name: tree.read(name, most) for name in tree.files if (most := _most_bytes(name, most_bytes))}
        sums = {name: digest.of_bytes(texts[name]) if name in texts else tree.sha256(name) for name in tree.files}
    except OSError as problem:
        raise Foreign(str(problem.filename or folder), (problem.strerror or "cannot be read").lower()) from None
    return Contents(tree, sums, texts)


def _most_bytes(name: str, most_bytes: Callable[[str], int]) -> int:
    return SUMS_BYTES if name == SUMS else most_bytes(name)


def differences(contents: Contents) -> Iterator[str]:
    """Compare what is listed with what is there, a line each. No name in the list is ever opened."""
    if SUMS not in contents.texts:
        yield f"{SUMS}: missing"
        return
    there, text = listed(contents), contents.texts[SUMS]
    lines = text.decode(errors="replace").split("\n")[:-1]
    matches = [re.fullmatch(r"([0-9a-f]{64})  (.+)", line) for line in lines]
    if None in matches:
        yield f"{SUMS}: line {matches.index(None) + 1} is no sha256 and name"
        return
    told = {match[2]: match[1] for match in matches if match}
    differ = False
    for name in sorted({*told, *there}):
        if told.get(name) != there.get(name):
            differ = True
            reason = (
                "missing" if name not in there else f"not in {SUMS}" if name not in told else f"not what {SUMS} says"
            )
            yield f"{name}: {reason}"
    if not differ and text != bundle.listing(there):
        yield f"{SUMS}: not as Edgewright writes it"


def listed(contents: Contents) -> dict[str, str]:
    """Return the sha256 of every file that is to be in the list."""
    return {name: total for name, total in contents.sums.items() if name not in UNLISTED}
