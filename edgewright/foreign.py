"""Files that somebody else's code has left: looked at before anything of them is opened, and opened as what was looked at.

A step, an unpacked archive, a release and a store hold whatever their makers put there: a link to a file of ours, a pipe that
nobody writes to, a name that leads elsewhere. `look` walks a folder by descriptors and takes plain files and folders only;
`Tree.open` opens one of these files from the folder's descriptor on, follows no link, and compares what it has opened with what was
looked at: whatever is swapped in between is refused.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from edgewright import files

FILE_MODE, FOLDER_MODE = 0o644, 0o755
GONE = "is another one than a moment ago, or gone"
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a pipe that took a file's place must not wait for somebody to write to it.
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


class Foreign(Exception):
    """Something in a foreign folder is not what may be there."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path, self.reason = path, reason


@dataclass(frozen=True)
class Limits:
    """How much a foreign folder may hold. Generous for what it is meant for; a bound on what looking at it can cost."""

    entries: int
    bytes: int
    depth: int = 64  # folders in each other; far below what recursion and the length of a path allow


@dataclass(frozen=True)
class Seen:
    """What `lstat` said of a file or folder: which one it is, how large, and when it was last changed."""

    device: int
    inode: int
    mode: int
    links: int
    owner: int
    bytes: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> Seen:
        """Take over what a stat call returned."""
        return cls(
            found.st_dev,
            found.st_ino,
            found.st_mode,
            found.st_nlink,
            found.st_uid,
            found.st_size,
            found.st_mtime_ns,
            found.st_ctime_ns,
        )

    def is_same(self, other: Seen) -> bool:
        """Whether this is the same file or folder, with the same content as far as size and times tell."""
        same = (self.device, self.inode) == (other.device, other.inode)
        if stat.S_ISDIR(self.mode):
            return same
        return same and (self.bytes, self.mtime_ns, self.ctime_ns) == (other.bytes, other.mtime_ns, other.ctime_ns)


@dataclass(frozen=True)
class Tree:
    """A folder that has been looked at: every file and folder below it, by its path (`/` between names, relative)."""

    root: Path
    files: Mapping[str, Seen]
    folders: Mapping[str, Seen] = field(repr=False)  # the folder itself is "."

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """Open a file for reading, if it is still the one that was looked at, and look again when it has been read."""
        with self._reached(path, self.files[path], FILE) as handle:
            with os.fdopen(handle, "rb", closefd=False) as file:
                yield file
            _compare(path, self.files[path], os.fstat(handle))

    @contextmanager
    def _reached(self, path: str, seen: Seen, flags: int) -> Iterator[int]:
        """Yield a descriptor of a file or folder that is still the one that was looked at."""
        try:
            handle = _descend(self.root, path, flags)
        except FileNotFoundError:
            raise Foreign(path, GONE) from None
        try:
            _compare(path, seen, os.fstat(handle))
            yield handle
        finally:
            os.close(handle)

    def read(self, path: str, most_bytes: int) -> bytes:
        """Return a file's content; raise Foreign if it has more than `most_bytes`."""
        with self.open(path) as file:
            if self.files[path].bytes > most_bytes:
                raise Foreign(path, f"{self.files[path].bytes:,} bytes, where at most {most_bytes:,} are taken")
            return file.read(most_bytes)

    def sha256(self, path: str) -> str:
        """Return the sha256 of a file's bytes, in hexadecimal."""
        with self.open(path) as file:
            return files.copy(file, None)

    def sums(self, paths: Collection[str] | None = None) -> dict[str, str]:
        """Return the sha256 of these files, or of all, by their paths, read in parallel."""
        wanted = self.files if paths is None else paths
        with ThreadPoolExecutor() as pool:  # hashlib lets go of the interpreter's lock
            return dict(zip(wanted, pool.map(self.sha256, wanted), strict=True))

    def copy(self, path: str, target: Path) -> str:
        """Copy a file's bytes to a new file, and return their sha256; the new file is removed if that fails."""
        with self.open(path) as file:
            return files.create(target, file)

    def claim(self, name: str) -> None:
        """Make a file or folder, with all below, ours: owned by us, for others to read only, and nothing set-id."""
        for place, mode, flags in ((self.folders, FOLDER_MODE, FOLDER), (self.files, FILE_MODE, FILE)):
            for path, seen in place.items():
                inside = path == name or path.startswith(f"{name}/")
                if inside and (seen.owner, stat.S_IMODE(seen.mode)) != (os.getuid(), mode):
                    with self._reached(path, seen, flags) as handle:
                        if seen.owner != os.getuid():
                            os.fchown(handle, os.getuid(), os.getgid())
                        os.fchmod(handle, mode)


def look(folder: Path, limits: Limits, owners: Collection[int] | None = None) -> Tree:
    """Look at everything below a folder, which is itself no link; raise Foreign for the first thing that may not be there.

    `owners`: whose files and folders may be there (user ids); None takes everybody's.
    """
    walk = _Walk(limits, owners)
    at = _open(folder, FOLDER, str(folder))
    try:
        walk.folders["."] = Seen.of(os.fstat(at))
        walk.take(at, "", 1)
    except FileNotFoundError as problem:
        raise Foreign(str(problem.filename), GONE) from None
    except OSError as problem:  # a folder that may be listed and not entered
        raise Foreign(str(problem.filename or folder), f"cannot be looked at: {problem.strerror}") from None
    finally:
        os.close(at)
    walk.refuse_links_from_outside()
    return Tree(folder, dict(sorted(walk.files.items())), walk.folders)


class _Walk:
    """What one walk over a foreign folder has found so far."""

    def __init__(self, limits: Limits, owners: Collection[int] | None) -> None:
        self.limits, self.owners = limits, owners
        self.files: dict[str, Seen] = {}
        self.folders: dict[str, Seen] = {}
        self.bytes = 0

    def take(self, at: int, place: str, depth: int) -> None:
        """Take the entries of an open folder, then those of the folders in it."""
        below = []
        with os.scandir(at) as entries:
            for entry in entries:
                path = f"{place}{entry.name}"
                seen = Seen.of(entry.stat(follow_symlinks=False))
                self._check(path, seen)
                if stat.S_ISDIR(seen.mode):
                    self.folders[path] = seen
                    below.append(entry.name)
                else:
                    self.files[path] = seen
                    self.bytes += seen.bytes
                # The folder itself is one of the folders, and no entry.
                if len(self.files) + len(self.folders) - 1 > self.limits.entries:
                    raise Foreign("", f"more than {self.limits.entries:,} files and folders")
                if self.bytes > self.limits.bytes:
                    raise Foreign("", f"more than {self.limits.bytes:,} bytes")
        if below and depth >= self.limits.depth:
            raise Foreign(f"{place}{below[0]}", f"more than {self.limits.depth} folders deep")
        for name in below:
            path = f"{place}{name}"
            inner = _open(name, FOLDER, path, at)
            try:
                _compare(path, self.folders[path], os.fstat(inner))
                self.take(inner, f"{path}/", depth + 1)
            finally:
                os.close(inner)

    def _check(self, path: str, seen: Seen) -> None:
        try:
            path.encode()
        except UnicodeEncodeError:
            raise Foreign(path.encode(errors="backslashreplace").decode(), "a name that is not UTF-8") from None
        for is_kind, name in KINDS:
            if is_kind(seen.mode):
                raise Foreign(path, f"{name}, neither a plain file nor a folder")
        if self.owners is not None and seen.owner not in self.owners:
            raise Foreign(path, f"belongs to the user {seen.owner}, and should to {_either(self.owners)}")

    def refuse_links_from_outside(self) -> None:
        """A file with a name outside of this folder is somebody else's too."""
        names = Counter((seen.device, seen.inode) for seen in self.files.values())
        for path, seen in self.files.items():
            if seen.links > names[seen.device, seen.inode]:
                raise Foreign(path, "a hard link to a file outside of its folder")


@contextmanager
def opened(root: Path, path: str, owners: Collection[int] | None = None) -> Iterator[BinaryIO]:
    """Open one foreign file below `root`, no name on the way a link; raise Foreign for no plain file, FileNotFoundError."""
    handle = _descend(root, path)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise Foreign(path, "no plain file")
        if owners is not None and found.st_uid not in owners:
            raise Foreign(path, f"belongs to the user {found.st_uid}, and should to {_either(owners)}")
        with os.fdopen(handle, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(handle)


def read(root: Path, path: str, most_bytes: int, owners: Collection[int] | None = None) -> bytes:
    """Return the content of one foreign file, as `opened` opens it; raise Foreign for one of more than `most_bytes` too."""
    with opened(root, path, owners) as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise Foreign(path, f"more than {most_bytes:,} bytes")
    return content


def is_plain(name: str) -> bool:
    """Whether a name can only be that of something in a folder, and leads nowhere else."""
    return name not in ("", ".", "..") and not set(name) & {"/", "\0"}


def _descend(root: Path, path: str, flags: int = FILE) -> int:
    """Open a file from the root's descriptor on, name by name, none of them a link."""
    *above, name = path.split("/")
    if not all(map(is_plain, (*above, name))):
        raise Foreign(path, "a name that leads elsewhere")
    at = _open(root, FOLDER, str(root))
    try:
        for depth, part in enumerate(above, 1):
            below = _open(part, FOLDER, "/".join(above[:depth]), at)
            os.close(at)
            at = below
        return _open(name, flags, path, at)
    finally:
        os.close(at)


def _open(path: str | Path, flags: int, place: str, at: int | None = None) -> int:
    try:
        return os.open(path, flags, dir_fd=at)
    except FileNotFoundError:
        raise
    except OSError as problem:
        raise Foreign(place, f"cannot be opened as what it was: {problem.strerror}") from None


def _compare(path: str, seen: Seen, now: os.stat_result) -> None:
    if not seen.is_same(Seen.of(now)):
        raise Foreign(path, GONE)


def _either(owners: Collection[int]) -> str:
    return " or ".join(map(str, sorted(owners)))
