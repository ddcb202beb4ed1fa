"""numpy's own files: one array, or several by name. Nothing pickled is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from values import Array, Found, compare_arrays


def compare_npy(first: Path, second: Path) -> Found:
    """Compare two files of one array each; they are mapped, for calibration images can be larger than memory."""
    one, other = (np.load(path, mmap_mode="r", allow_pickle=False) for path in (first, second))
    return compare_arrays({"array": one}, {"array": other})


def compare_npz(first: Path, second: Path) -> Found:
    """Compare two archives of arrays."""
    return compare_arrays(read_npz(first), read_npz(second), "arrays")


def read_npz(path: Path) -> dict[str, Array]:
    """All arrays of an archive by name."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
