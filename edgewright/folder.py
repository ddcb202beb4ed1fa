"""A folder of the user's, before anything of it is read: every link in it stays in it, and everything else is a file.

What a folder's link leads to would be hashed here and read by a step, and differently so: in a container the folder lies elsewhere,
so that an absolute link leads nowhere, and in a virtual environment it leads to any file of this machine.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from edgewright.errors import WrongInput

HOPS_MAX = 40  # links behind links; what Linux follows
FOLDERS_MAX = 64  # in each other; os.walk calls itself for each
FILES_MAX = 10_000_000  # in all; Objects365 has 1.7 million images, and as many files of labels


def check(folder: Path) -> None:
    """Raise WrongInput for the first link that is absolute, broken or leads out of the folder, and for what is no plain file.

    Also for a name that is not UTF-8, for a folder that cannot be read, and for a folder so large that it is no data set.
    """
    _refuse_unwritable(folder.absolute())
    for count, path in enumerate(_walk(folder)):
        if count >= FILES_MAX:
            raise WrongInput(f"{folder}: more than {FILES_MAX:,} files", "DATA= names the folder of one data set")
        _refuse_unwritable(path)
        mode, place = path.lstat().st_mode, path.relative_to(folder)
        if stat.S_ISLNK(mode) and not (_stays_inside(folder, place) and path.exists()):
            raise WrongInput(
                f"{path}: a link to {path.readlink()}, which is not a relative one into the same data set",
                f"if you trust what it leads to: cp --recursive --dereference {folder} copy, then DATA=copy",
            )
        if not (stat.S_ISLNK(mode) or stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise WrongInput(f"{path}: neither a file nor a folder", f"rm {path}")


def _walk(folder: Path) -> Iterator[Path]:
    """Everything below a folder, each folder's entries by name."""
    for parent, folders, names in os.walk(folder, onerror=_refuse_closed):
        if len(Path(parent).relative_to(folder).parts) > FOLDERS_MAX:
            raise WrongInput(
                f"{folder}: folders in folders, more than {FOLDERS_MAX} deep", f"find {folder} -mindepth {FOLDERS_MAX}"
            )
        yield from (Path(parent, name) for name in sorted([*folders, *names]))


def _refuse_closed(error: OSError) -> None:
    raise WrongInput(f"{error.filename}: {error.strerror}", f"chmod -R u+rX {error.filename}")


def _refuse_unwritable(path: Path) -> None:
    """A name that is not UTF-8 has no place in a manifest, and other systems cannot read it."""
    raw = os.fsencode(path)
    readable = raw.decode(errors="backslashreplace")
    if raw != readable.encode():
        raise WrongInput(f"{readable}: a name that is not UTF-8", "rename it (and its labels), then run it again")


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
