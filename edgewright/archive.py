"""A user's data set in one file: unpacked once, into the cache, and only if every member is a plain file or a folder of its own.

What a member is, is read from the archive before anything is written; how large it is, is counted again while it is written,
because headers can lie. What lies in the cache is taken again only if nothing in it has changed since it was unpacked.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from edgewright import digest, files, foreign, log
from edgewright.archive_members import BLOCK_BYTES, DEPTH_MAX, SMALL_BYTES, Member, opened, reading, refusal
from edgewright.environments import CACHE, exclusively
from edgewright.errors import StageFailed, WrongInput
from edgewright.table import shown

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
MEMBERS_MAX = 2_000_000
BYTES_MAX = 1 << 40
RATIO_MAX = 200  # of what comes out to the archive's size; images hardly shrink, text labels to a tenth
NAMES_BYTES_MAX = 256 << 20  # of all members together
LEFTOVERS = {"__MACOSX"}  # a folder that macOS adds to archives


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
        with opened(path) as members:
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
                raise refusal(path, f"{'/'.join(known)!r} and {'/'.join(part)!r} are one name on other systems")
        if member.parts in plain:
            raise refusal(path, f"{member.name!r} is in it twice")
        if member.read and not member.parts:
            raise refusal(path, f"{member.name!r} is no name of a file")
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
            raise refusal(path, f"{member.name!r} lies in a file")
    if not plain:
        raise refusal(path, "no file in it")
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
            with reading(path):
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
    with reading(path):
        return source.read(BLOCK_BYTES)


def _nothing(path: Path, member: Member) -> IO[bytes]:
    raise refusal(path, f"{member.name!r} is no plain file")


def _root(folder: Path) -> Path:
    """Return the folder itself, or, where all lies in one folder without a description beside it, that one."""
    inside = [path for path in folder.iterdir() if path.name not in LEFTOVERS and not path.name.startswith(".")]
    # A set whose only folder is `images` is one already, and not wrapped in another folder.
    if len(inside) == 1 and inside[0].is_dir() and inside[0].name != "images":
        return inside[0]
    return folder


def _bomb(path: Path) -> WrongInput:
    return refusal(path, f"would unpack to more than {log.size(_limit_bytes(path))} or {MEMBERS_MAX:,} files")
