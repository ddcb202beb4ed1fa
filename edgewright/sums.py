"""A bundle's files against its SHA256SUMS: what differs, what is missing, what nobody listed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from edgewright import bundle, digest
from edgewright.bundle import BOARD, SUMS

ENVELOPES = "release.intoto.jsonl"
# In no list of sums: one is the list, one was made last, one came later, from a board.
UNLISTED = (SUMS, ENVELOPES, BOARD)


def odd_files(folder: Path) -> list[str]:
    """Return a line for each link, and whatever else is no plain file, before anything is opened."""
    odd = [path for path in _paths(folder) if not (stat.S_ISREG(mode := path.lstat().st_mode) or stat.S_ISDIR(mode))]
    return [f"{path.relative_to(folder).as_posix()}: neither a file nor a folder" for path in sorted(odd)]


def sums_of(folder: Path) -> dict[str, str]:
    """Return every file's sha256 by name."""
    files = [path for path in _paths(folder) if not path.is_dir()]
    return {path.relative_to(folder).as_posix(): digest.of_file(path) for path in files}


def differences(folder: Path, found: Mapping[str, str]) -> Iterator[str]:
    """Compare what is listed with what is there, a line each. Only what is there is ever opened, whatever names are listed."""
    if SUMS not in found:
        yield f"{SUMS}: missing"
        return
    there = {name: total for name, total in found.items() if name not in UNLISTED}
    text = (folder / SUMS).read_bytes()
    lines = text.decode(errors="replace").split("\n")[:-1]
    matches = [re.fullmatch(r"([0-9a-f]{64})  (.+)", line) for line in lines]
    if None in matches:
        yield f"{SUMS}: line {matches.index(None) + 1} is no sha256 and name"
        return
    listed = {match[2]: match[1] for match in matches if match}
    differ = False
    for name in sorted({*listed, *there}):
        if listed.get(name) != there.get(name):
            differ = True
            reason = (
                "missing" if name not in there else f"not in {SUMS}" if name not in listed else f"not what {SUMS} says"
            )
            yield f"{name}: {reason}"
    if not differ and text != bundle.listing(there):
        yield f"{SUMS}: not as Edgewright writes it"


def _paths(folder: Path) -> list[Path]:
    return [Path(parent, name) for parent, folders, names in os.walk(folder) for name in (*folders, *names)]
