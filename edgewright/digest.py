"""Hashes: of files, of folders, and of plain data in canonical form."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# Caches that ultralytics leaves in data sets, and files that editors and systems leave anywhere.
IGNORED_NAMES = {".DS_Store", "Thumbs.db", "__pycache__"}
IGNORED_SUFFIXES = (".cache", ".pyc")


def canonical(value: Any) -> bytes:
    """Return `value` as JSON bytes that are equal whenever the values are."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def of_value(value: Any) -> str:
    """Return the sha256 of plain data, in hexadecimal."""
    return of_bytes(canonical(value))


def of_bytes(content: bytes) -> str:
    """Return the sha256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def of_file(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _slow(file)


def _slow(file: Any) -> str:  # Python 3.10 has no hashlib.file_digest
    state = hashlib.sha256()
    while block := file.read(1 << 20):
        state.update(block)
    return state.hexdigest()


def files_in(folder: Path) -> list[Path]:
    """Return every file below `folder`, sorted by relative path, without caches and editor leftovers.

    Links to files count as the file they lead to; links to folders are not followed.
    """
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(filter(descends, folders))
        found += [Path(parent, name) for name in names if counts(name)]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def descends(name: str) -> bool:
    """Whether a folder of this name is part of what is hashed."""
    return name not in IGNORED_NAMES and not name.startswith(".")


def counts(name: str) -> bool:
    """Whether a file of this name is."""
    return descends(name) and not name.endswith(IGNORED_SUFFIXES)


def of_files(paths: Iterable[Path], root: Path) -> str:
    """Return one sha256 over the relative names and contents of files, read in parallel."""
    ordered = sorted(paths, key=lambda path: path.relative_to(root).as_posix())
    with ThreadPoolExecutor() as pool:  # hashlib lets go of the interpreter's lock
        sums = list(pool.map(of_file, ordered))
    return of_value([[path.relative_to(root).as_posix(), total] for path, total in zip(ordered, sums, strict=True)])


def of_path(path: Path) -> str:
    """Return the sha256 of a file's bytes, or of a folder's names and contents."""
    return of_files(files_in(path), path) if path.is_dir() else of_file(path)
