"""What is in an archive, member by member: plain files and folders under names that lead nowhere else, or a refusal in one line.

`zipfile` and `tarfile` read what anybody has written, and raise what they happen to meet.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from edgewright.errors import EdgewrightError, WrongInput
from edgewright.table import shown
from edgewright.text import visible

SMALL_BYTES = 64 << 20  # so much may come out of any archive, however small it is
PATH_BYTES_MAX, NAME_BYTES_MAX, DEPTH_MAX = 1024, 255, 32  # a name: what ext4, NTFS and APFS take
BLOCK_BYTES = 1 << 20
DIRECTORY_BYTES_MAX = 128 << 20  # `zipfile` reads a directory into memory whole: a million entries, as they usually are
HINT = "unpack it yourself, look at what is in it, and give the folder: DATA=folder"


@dataclass(frozen=True)
class Member:
    """One entry: its path as parts, its size in bytes as the archive says it, and how to read it (None: a folder)."""

    name: str
    parts: tuple[str, ...]
    size: int
    read: Callable[[], IO[bytes] | None] | None


@contextmanager
def opened(path: Path) -> Iterator[Iterator[Member]]:
    """Yield the members of an archive, whatever its kind; what is damaged becomes WrongInput."""
    with path.open("rb") as file:
        if path.name.lower().endswith(".zip"):
            with reading(path):
                zipped = zipfile.ZipFile(_Bounded(file, DIRECTORY_BYTES_MAX))
            with zipped:
                yield _guarded(path, _zip_members(path, zipped))
        else:
            with reading(path):
                tarred = tarfile.TarFile(fileobj=_Bounded(_plain(path, file), BLOCK_BYTES))
            with tarred:
                yield _guarded(path, _tar_members(path, tarred))


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever `zipfile` and `tarfile` raise of what is in a file into WrongInput; they document a part of it."""
    try:
        yield
    except EdgewrightError:
        raise
    except UnicodeError:
        raise refusal(path, "holds names that are no text") from None
    except OSError as fault:
        # EINVAL: a place before the file's beginning was asked for; gzip's errors have no number.
        if fault.errno not in (None, errno.EINVAL):
            raise
        raise _damaged(path, fault) from None
    except Exception as fault:
        raise _damaged(path, fault) from None


def _guarded(path: Path, members: Iterator[Member]) -> Iterator[Member]:
    while True:
        with reading(path):
            member = next(members, None)
        if member is None:
            return
        yield member


def _damaged(path: Path, fault: Exception) -> WrongInput:
    reason = " ".join(visible(str(fault)).split())[:200] or type(fault).__name__
    return refusal(path, f"damaged, or not what its name says ({reason})", "download the file again")


class _Bounded(io.BufferedIOBase):
    """A file that is read only in pieces: `tarfile` would read a header, and `zipfile` a directory, of any length into memory."""

    def __init__(self, file: IO[bytes], most_bytes: int) -> None:
        self.file, self.most_bytes = file, most_bytes

    def read(self, size: int | None = -1) -> bytes:
        """Read as asked, or raise ReadError; without a size the rest, which `zipfile` asks for at the end."""
        most = self.most_bytes + 1
        content = self.file.read(most if size is None or size < 0 else min(size, most))
        if len(content) == most:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return content

    def seekable(self) -> bool:
        """Say yes: both libraries ask."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move as asked."""
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        """Return where the next byte comes from."""
        return self.file.tell()


def _plain(path: Path, file: IO[bytes]) -> IO[bytes]:
    """Return the tar inside, if it is compressed."""
    return file if path.name.lower().endswith(".tar") else cast(IO[bytes], gzip.GzipFile(fileobj=file))


def _zip_members(path: Path, archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        # Names are cut at a zero byte and slashes turned by `zipfile`; what stands in the file is `orig_filename`.
        name = info.orig_filename
        if info.flag_bits & 1:
            raise refusal(path, f"{name!r} is encrypted")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise refusal(path, f"{name!r} is {'a link' if kind == stat.S_IFLNK else 'no plain file'}")
        # `is_dir` looks at the last letter of a name, which may have none.
        read = None if info.filename.endswith("/") else (lambda info=info: archive.open(info))
        yield Member(name, _parts(path, name), info.file_size, read)


def _tar_members(path: Path, archive: tarfile.TarFile) -> Iterator[Member]:
    for info in archive:
        if info.isdir():
            read = None
        elif info.isreg() and not info.issparse():
            read = lambda info=info: archive.extractfile(info)  # noqa: E731
        else:
            kind = "a link" if info.islnk() or info.issym() else "no plain file"
            raise refusal(path, f"{info.name!r} is {kind}")
        if info.size < 0:
            raise tarfile.ReadError(f"{info.name!r} has {info.size} bytes")
        yield Member(info.name, _parts(path, info.name), info.size, read)
    # `tarfile` takes a damaged or missing header for the end; the real one is a block of zeros, and gzip's checksum comes after it.
    file, end = archive.fileobj, archive.offset
    assert file
    file.seek(end)
    if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"no header and no end at byte {end}")
    while file.read(BLOCK_BYTES):
        if file.tell() - end > SMALL_BYTES:
            raise tarfile.ReadError("more after its end")


def _parts(path: Path, name: str) -> tuple[str, ...]:
    """Split a member's name, refusing every name that could lead elsewhere, on this system or on another."""
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise refusal(path, f"{name!r} is an absolute path")
    if "\\" in name or not name.isprintable():
        raise refusal(path, f"{name!r} has a backslash or a control character in it")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise refusal(path, f"{name!r} leads out of the archive")
    if len(os.fsencode(name)) > PATH_BYTES_MAX or any(len(os.fsencode(part)) > NAME_BYTES_MAX for part in parts):
        raise refusal(path, f"{name[:60]!r}… is too long a name")
    if len(parts) > DEPTH_MAX:
        raise refusal(path, f"{name[:60]!r}… lies more than {DEPTH_MAX} folders deep")
    return parts


def refusal(path: Path, fact: str, hint: str = HINT) -> WrongInput:
    """Return the error that names the archive and what is wrong with it."""
    return WrongInput(f"{shown(path)}: {fact}", hint)
