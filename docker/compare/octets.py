"""Files without a meaning of their own: how many bytes differ, and where the first one is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

CHUNK_BYTES = 1 << 22


def say_bytes(first: Path, second: Path) -> list[str]:
    """Say how two files differ that do, byte by byte, by place."""
    sizes = [path.stat().st_size for path in (first, second)]
    begin, differing = -1, 0
    with first.open("rb") as one, second.open("rb") as other:
        for offset in range(0, min(sizes), CHUNK_BYTES):
            chunks = [np.frombuffer(file.read(CHUNK_BYTES), np.uint8) for file in (one, other)]
            common = min(map(len, chunks))
            apart = np.flatnonzero(chunks[0][:common] != chunks[1][:common])
            if len(apart) and begin < 0:
                begin = offset + int(apart[0])
            differing += len(apart)
    lines = [f"{sizes[0]:,} → {sizes[1]:,} bytes"] if sizes[0] != sizes[1] else []
    if differing:
        return [*lines, f"{differing:,} of {min(sizes):,} bytes differ, the first at offset {begin:,}"]
    return [*lines, "the shorter is the beginning of the longer"]
