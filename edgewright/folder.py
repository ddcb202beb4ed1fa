"""A folder of the user's, before anything of it is read: every link in it stays in it, and everything else is a file.

What a folder's link leads to would be hashed here and read by a step, and differently so: in a container the folder lies elsewhere,
so that an absolute link leads nowhere, and in a virtual environment it leads to any file of this machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from edgewright.errors import WrongInput

HOPS_MAX = 40  # links behind links; what Linux follows
FOLDERS_MAX = 64  # in each other; what reads them later calls itself for each
FILES_MAX = 10_000_000  # in all; Objects365 has 1.7 million images, and as many files of labels


def check(folder: Path) -> None:
    """Raise WrongInput for the first link that is absolute, broken or leads out of the folder, and for what is no plain file.

    Also for a name that is not UTF-8, for a folder that cannot be read, and for a folder so large that it is no data set.
    """
    _refuse_unwritable(os.fspath(folder.absolute()))
    for count, entry in enumerate(_walk(folder)):
        if count >= FILES_MAX:
            raise WrongInput(f"{folder}: more than {FILES_MAX:,} files", "DATA= names the folder of one data set")
        _refuse_unwritable(entry.path)
        if entry.is_symlink():
            _check_link(folder, Path(entry.path))
        elif not (entry.is_file() or entry.is_dir()):
            raise WrongInput(f"{entry.path}: neither a file nor a folder", f"rm {entry.path}")


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Everything below a folder, each folder's entries by name; of thousands of files nothing is asked but their kinds."""
    waiting = [(os.fspath(folder), 1)]
    while waiting:
        place, depth = waiting.pop()
        if depth > FOLDERS_MAX:
            raise WrongInput(
                f"{folder}: folders in folders, more than {FOLDERS_MAX} deep", f"find {folder} -mindepth {FOLDERS_MAX}"
            )
        try:
            with os.scandir(place) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as problem:
            raise WrongInput(f"{problem.filename}: {problem.strerror}", f"chmod -R u+rX {problem.filename}") from None
        yield from found
        waiting += [(entry.path, depth + 1) for entry in found if entry.is_dir(follow_symlinks=False)]


def _check_link(folder: Path, path: Path) -> None:
    if not (_stays_inside(folder, path.relative_to(folder)) and path.exists()):
        raise WrongInput(
            f"{path}: a link to {path.readlink()}, which is not a relative one into the same data set",
            f"if you trust what it leads to: cp --recursive --dereference {folder} copy, then DATA=copy",
        )


def _refuse_unwritable(path: str) -> None:
    """A name that is not UTF-8 has no place in a manifest, and other systems cannot read it."""
    try:
        path.encode()
    except UnicodeEncodeError:
        readable = os.fsencode(path).decode(errors="backslashreplace")
        raise WrongInput(
            f"{readable}: a name that is not UTF-8", "rename it (and its labels), then run it again"
        ) from None


def _stays_inside(folder: Path, place: Path) -> bool:
    """Follow a path below `folder` link by link; no step may be absolute or lead out, even if the next one leads back."""
    at: list[str] = []
    ahead, hops = list(reversed(place.parts)), 0
    while ahead:
        part = ahead.pop()
        if part == "..":
            if not at:
                return False
            at.pop()
        elif not folder.joinpath(*at, part).is_symlink():
            at.append(part)
        else:
            target, hops = folder.joinpath(*at, part).readlink(), hops + 1
            if target.is_absolute() or hops > HOPS_MAX:
                return False
            ahead.extend(reversed(target.parts))
    return True
