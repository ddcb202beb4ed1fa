"""Where the files that a user gave lie on this machine, by their digest: a fact of the volume, which no bundle holds.

A step of the venv engine can write there as well: whoever asks checks the digest of what is found.
"""

from __future__ import annotations

import os
from pathlib import Path

from edgewright import files, foreign

FOLDER = "last/given"
PATH_BYTES = 4096  # Linux has no longer one


def keep(volume: Path, total: str, path: Path) -> None:
    """Write down where the file or folder with this sha256 lies."""
    path = path.resolve()
    if find(volume, total) != path:
        note = volume / FOLDER / total
        note.parent.mkdir(parents=True, exist_ok=True)
        files.write(note, bytes(path))


def find(volume: Path, total: str) -> Path | None:
    """Return where a file or folder with this sha256 lay when it was last used; nothing where nobody knows."""
    try:
        path = Path(os.fsdecode(foreign.read(volume, f"{FOLDER}/{total}", PATH_BYTES)))
        return path if path.is_absolute() and (path.is_file() or path.is_dir()) else None
    except (OSError, ValueError, foreign.Foreign):
        return None
