"""A user's data set in one file: unpacked once, into the cache, and only if every member is a plain file or a folder of its own.

What a member is, is read from the archive before anything is written; how large it is, is counted again while it is written,
because headers can lie. What lies in the cache is taken again only if nothing in it has changed since it was unpacked.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import re
import shutil
import stat
import tarfile
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from edgewright import digest, files, foreign, log
from edgewright.environments import CACHE, exclusively
from edgewright.errors import EdgewrightError, StageFailed, WrongInput
from edgewright.table import shown
from edgewright.text import visible

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
MEMBERS_MAX = 2_000_000
BYTES_MAX = 1 << 40
RATIO_MAX = 200  # of what comes out to the archive's size; images hardly shrink, text labels to a tenth
SMALL_BYTES = 64 << 20  # so much may come out of any archive, however small it is
PATH_BYTES_MAX, NAME_BYTES_MAX, DEPTH_MAX = 1024, 255, 32  # a name: what ext4, NTFS and APFS take
NAMES_BYTES_MAX = 256 << 20  # of all members together
BLOCK_BYTES = 1 << 20
DIRECTORY_BYTES_MAX = 128 << 20  # `zipfile` reads a directory into memory whole: a million entries, as they usually are
LEFTOVERS = {"__MACOSX"}  # a folder that macOS adds to archives
HINT = "unpack it yourself, look at what is in it, and give the folder: DATA=folder"


@dataclass(frozen=True)
class Member:
    """One entry: its path as parts, its size in bytes as the archive says it, and how to read it (None: a folder)."""

    name: str
    parts: tuple[str, ...]
    size: int
    read: Callable[[], IO[bytes] | None] | None


def is_archive(path: Path) -> bool:
    """Return whether a file's name says that it is an archive which `unpack` reads."""
    return path.name.lower().endswith(SUFFIXES)


def unpack(path: Path) -> Path:
    """Return the folder of an archive's data set in the user's cache, unpacking it if it is not there yet; raise WrongInput."""
    total = digest.of_file(path)
    target = CACHE / "datasets" / total
    with exclusively(f"dataset-{total[:12]}"):
        if os.path.lexists(target) and not _untouched(target):
            log.say(
                "archive", f"{path.name}: its copy in the cache has changed since it was unpacked: unpacking it again"
            )
            _remove(target)
        if not target.exists():
            _unpack(path, target)
    return _root(target)


def _unpack(path: Path, target: Path) -> None:
    """Unpack an archive beside `target`, in a new folder that nobody else may enter, which takes its name when it is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{target.name}*"):  # of a killed run
        _remove(left)
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}", dir=target.parent))
    try:
        with _opened(path) as members:
            _write(path, _checked(path, members), part)
        os.replace(part, target)
        # Last: a folder without its list is unpacked again.
        files.write(_list(target), _state(target))
    finally:
        _remove(part)


def _list(target: Path) -> Path:
    """Where it is kept what an unpacked folder looked like."""
    return target.with_name(f"{target.name}.list")


def _untouched(target: Path) -> bool:
    """Whether an unpacked folder is ours, of plain files and folders, and in all that `lstat` tells as it was left."""
    with suppress(OSError, foreign.Foreign):
        state = _state(target)
        return foreign.read(target.parent, _list(target).name, len(state), {os.getuid()}) == state.encode()
    return False


def _state(target: Path) -> str:
    """Return one sha256 over names, sizes, times, modes and inodes: a change that leaves all of them takes root."""
    limits = foreign.Limits(2 * MEMBERS_MAX, BYTES_MAX, DEPTH_MAX + 1)
    tree = foreign.look(target, limits, {os.getuid()})
    state = hashlib.sha256()
    for place, seen in sorted([*tree.files.items(), *tree.folders.items()]):
        # The folder itself has been renamed.
        if place != ".":
            state.update(f"{place}\0{seen}\0".encode())
    return state.hexdigest()


def _remove(path: Path) -> None:
    try:
        files.remove(path)
    except OSError:
        raise StageFailed(f"{path}: cannot be removed", f"sudo rm -rf {path}") from None


@contextmanager
def _opened(path: Path) -> Iterator[Iterator[Member]]:
    """Yield the members of an archive, whatever its kind; what is damaged becomes WrongInput."""
    with path.open("rb") as file:
        if path.name.lower().endswith(".zip"):
            with _reading(path):
                zipped = zipfile.ZipFile(_Bounded(file, DIRECTORY_BYTES_MAX))
            with zipped:
                yield _guarded(path, _zip_members(path, zipped))
        else:
            with _reading(path):
                tarred = tarfile.TarFile(fileobj=_Bounded(_plain(path, file), BLOCK_BYTES))
            with tarred:
                yield _guarded(path, _tar_members(path, tarred))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn whatever `zipfile` and `tarfile` raise of what is in a file into WrongInput; they document a part of it."""
    try:
        yield
    except EdgewrightError:
        raise
    except UnicodeError:
        raise _refusal(path, "holds names that are no text") from None
    except OSError as fault:
        # EINVAL: a place before the file's beginning was asked for; gzip's errors have no number.
        if fault.errno not in (None, errno.EINVAL):
            raise
        raise _damaged(path, fault) from None
    except Exception as fault:
        raise _damaged(path, fault) from None


def _guarded(path: Path, members: Iterator[Member]) -> Iterator[Member]:
    while True:
        with _reading(path):
            member = next(members, None)
        if member is None:
            return
        yield member


def _damaged(path: Path, fault: Exception) -> WrongInput:
    reason = " ".join(visible(str(fault)).split())[:200] or type(fault).__name__
    return _refusal(path, f"damaged, or not what its name says ({reason})", "download the file again")


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
            raise _refusal(path, f"{name!r} is encrypted")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _refusal(path, f"{name!r} is {'a link' if kind == stat.S_IFLNK else 'no plain file'}")
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
            raise _refusal(path, f"{info.name!r} is {kind}")
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
        raise _refusal(path, f"{name!r} is an absolute path")
    if "\\" in name or not name.isprintable():
        raise _refusal(path, f"{name!r} has a backslash or a control character in it")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise _refusal(path, f"{name!r} leads out of the archive")
    if len(os.fsencode(name)) > PATH_BYTES_MAX or any(len(os.fsencode(part)) > NAME_BYTES_MAX for part in parts):
        raise _refusal(path, f"{name[:60]!r}… is too long a name")
    if len(parts) > DEPTH_MAX:
        raise _refusal(path, f"{name[:60]!r}… lies more than {DEPTH_MAX} folders deep")
    return parts


def _checked(path: Path, members: Iterator[Member]) -> list[Member]:
    """Return the members, after a look at all of them: no name twice, none that another system takes for the same, no bomb."""
    limit, size, names_bytes, found = _limit_bytes(path), 0, 0, list[Member]()
    spelt: dict[tuple[str, ...], tuple[str, ...]] = {}  # how each path, and each folder on it, is written first
    plain: set[tuple[str, ...]] = set()
    for member in members:
        for depth in range(1, len(member.parts) + 1):
            part = member.parts[:depth]
            known = spelt.setdefault(_folded(part), part)
            if known != part:
                raise _refusal(path, f"{'/'.join(known)!r} and {'/'.join(part)!r} are one name on other systems")
        if member.parts in plain:
            raise _refusal(path, f"{member.name!r} is in it twice")
        if member.read and not member.parts:
            raise _refusal(path, f"{member.name!r} is no name of a file")
        if member.read:
            plain.add(member.parts)
        size += member.size
        names_bytes += len(member.name)
        found.append(member)
        # Folders on the way count, too: each of a short member's may be new.
        if size > limit or max(len(found), len(spelt)) > MEMBERS_MAX or names_bytes > NAMES_BYTES_MAX:
            raise _bomb(path)
    for member in found:
        if any(member.parts[:depth] in plain for depth in range(1, len(member.parts))):
            raise _refusal(path, f"{member.name!r} lies in a file")
    if not plain:
        raise _refusal(path, "no file in it")
    free = shutil.disk_usage(CACHE).free
    if size > free:
        raise StageFailed(f"{shown(path)}: {log.size(size)} unpacked, {log.size(free)} free at {CACHE}", "make clean")
    return found


def _folded(parts: Sequence[str]) -> tuple[str, ...]:
    """Return what a path is to a system that does not tell a from A, or ä from a with two dots (Windows, macOS)."""
    return tuple(unicodedata.normalize("NFC", unicodedata.normalize("NFC", part).casefold()) for part in parts)


def _limit_bytes(path: Path) -> int:
    return min(BYTES_MAX, max(SMALL_BYTES, RATIO_MAX * path.stat().st_size))


def _write(path: Path, members: Sequence[Member], folder: Path) -> None:
    """Write files (0644) and folders (0755), counting what really comes out."""
    limit, written, text = _limit_bytes(path), 0, f"unpacking {path.name}"
    with log.bar("archive", text) as on_line:
        for number, member in enumerate(members, 1):
            target = folder.joinpath(*member.parts)
            if not member.read:
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with _reading(path):
                source = member.read() or _nothing(path, member)
            # New, and no link: the folder is ours alone until it is whole.
            with source, os.fdopen(os.open(target, files.NEW, 0o644), "wb") as file:
                while block := _block(path, source):
                    written += len(block)
                    if written > limit:
                        raise _bomb(path)
                    file.write(block)
            target.chmod(0o644)
            on_line(f"{number}/{len(members)} {text}")
    for parent, _, _ in os.walk(folder):
        Path(parent).chmod(0o755)


def _block(path: Path, source: IO[bytes]) -> bytes:
    with _reading(path):
        return source.read(BLOCK_BYTES)


def _nothing(path: Path, member: Member) -> IO[bytes]:
    raise _refusal(path, f"{member.name!r} is no plain file")


def _root(folder: Path) -> Path:
    """Return the folder itself, or, where all lies in one folder without a description beside it, that one."""
    inside = [path for path in folder.iterdir() if path.name not in LEFTOVERS and not path.name.startswith(".")]
    # A set whose only folder is `images` is one already, and not wrapped in another folder.
    if len(inside) == 1 and inside[0].is_dir() and inside[0].name != "images":
        return inside[0]
    return folder


def _bomb(path: Path) -> WrongInput:
    return _refusal(path, f"would unpack to more than {log.size(_limit_bytes(path))} or {MEMBERS_MAX:,} files")


def _refusal(path: Path, fact: str, hint: str = HINT) -> WrongInput:
    return WrongInput(f"{shown(path)}: {fact}", hint)
