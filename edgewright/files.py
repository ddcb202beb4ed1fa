"""Writing and removing files: new ones never into what is there, whole ones or none, and whatever somebody left behind goes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

BLOCK_BYTES = 1 << 20
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def copy(source: IO[bytes], target: IO[bytes] | None) -> str:
    """Copy a stream's bytes, if there is somewhere to copy them to, and return their sha256 as they were read."""
    state = hashlib.sha256()
    while block := source.read(BLOCK_BYTES):
        state.update(block)
        if target:
            target.write(block)
    return state.hexdigest()


def create(target: Path, source: IO[bytes]) -> str:
    """Write a stream into a new file, never into one that is there, and return the sha256 of its bytes."""
    handle = os.open(target, NEW, 0o644)
    try:
        with os.fdopen(handle, "wb") as file:
            return copy(source, file)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


@contextmanager
def replacing(target: Path, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """Give a new file to write to; it takes the target's name when it is whole and on the disk, or is gone."""
    handle, name = tempfile.mkstemp(prefix=".", dir=target.parent)  # O_EXCL and O_NOFOLLOW, says tempfile
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fchmod(handle, mode)
            os.fsync(handle)
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)


def write(target: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, in place of what has its name."""
    with replacing(target) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def remove(path: Path) -> None:
    """Remove whatever is at a path, a link itself and not what it leads to; raise OSError if it is still there afterwards."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    with suppress(OSError, RecursionError):
        shutil.rmtree(path)
    if path.exists():
        # Folders that nobody may enter, or thousands in each other: what these two programs can take, and Python cannot.
        for words in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
            subprocess.run([*words, "--", path], stderr=subprocess.DEVNULL, check=False)
    if path.exists():
        raise OSError(f"{path} cannot be removed")
