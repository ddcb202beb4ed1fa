"""A folder of the user's, before anything of it is read: every link in it stays in it, and everything else is a file.

What a folder's link leads to would be hashed here and read by a step, and differently so: in a container the folder lies elsewhere,
so that an absolute link leads nowhere, and in a virtual environment it leads to any file of this machine.
"""

from __future__ import annotations

import os
from pathlib import Path

from edgewright.errors import WrongInput

HOPS_MAX = 40  # links behind links; what Linux follows


def check(folder: Path) -> None:
    """Raise WrongInput for the first link that is absolute, broken or leads out of the folder, and for what is no plain file."""
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                # Of thousands of files nothing is asked but what the folder itself says of their kinds.
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as problem:
            raise WrongInput(f"{problem.filename}: {problem.strerror}", f"ls -ld {problem.filename}") from None
        for entry in found:
            if entry.is_symlink():
                _check_link(folder, Path(entry.path))
            elif entry.is_dir():
                waiting.append(Path(entry.path))
            elif not entry.is_file():
                raise WrongInput(f"{entry.path}: neither a file nor a folder", f"rm {entry.path}")


def _check_link(folder: Path, path: Path) -> None:
    if not (_stays_inside(folder, path.relative_to(folder)) and path.exists()):
        raise WrongInput(
            f"{path}: a link to {path.readlink()}, which is not a relative one into the same data set",
            f"if you trust what it leads to: cp --recursive --dereference {folder} copy, then DATA=copy",
        )


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
