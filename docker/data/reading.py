"""Reading a user's files with distrust: none outside the data set, none that is no file, none too large to be what it should be."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import stage
from pictures import Unreadable

IMAGE_BYTES_MAX = 256 << 20
LABELS_BYTES_MAX = 4 << 20  # of one image; a row with 17 keypoints has 400 bytes
LIST_BYTES_MAX = 128 << 20  # COCO's list of 118,000 images has 4 MB, that of Objects365 80 MB
YAML_BYTES_MAX = 256 << 10  # 1,000 classes have 30 kB; the parser, in Python, takes 2 s for this
PATH_MAX = 4096  # characters; what Linux takes
# What a process that reads pictures has died of, and what to do: its last words are nobody's.
READER_DIED = (
    "a process that read the pictures died: memory ran out, or a picture crashes its decoder",
    "more memory below [limits] in docker/data/stage.toml, or half of the set at a time to find the picture",
)
_HOPS_MAX = 40  # links behind links; what Linux follows


def read(root: Path, place: str, limit_bytes: int) -> bytes:
    """A file's bytes; raises Unreadable for what is no file of the data set, and for what cannot be read."""
    if "\0" in place or len(place) > PATH_MAX:
        raise Unreadable("no name that a file can have")
    try:
        if not stays_inside(root, place):
            raise Unreadable("a link that leads outside the data set's folder, or is absolute")
        state = (root / place).stat()
        if not stat.S_ISREG(state.st_mode):  # opening a pipe would wait for ever
            raise Unreadable("no plain file")
        if state.st_size > limit_bytes:
            raise Unreadable(f"{state.st_size:,} bytes; more than {limit_bytes:,} are not read")
        return (root / place).read_bytes()
    except OSError as error:
        raise Unreadable(error.strerror or "cannot be read") from None


def refuse_unwritable(place: str) -> None:
    """Raise Refused for a name that is not UTF-8: no manifest and no list could hold it, and other systems could not read it."""
    raw = os.fsencode(place)
    readable = raw.decode(errors="backslashreplace")
    if raw != readable.encode():
        raise stage.Refused(f"{readable}: a name that is not UTF-8", "rename it, with its labels")


def stays_inside(root: Path, place: str) -> bool:
    """Whether a path, and each link on it, stays below `root`.

    An absolute link does not, even if it leads back: the folder is somewhere else in a container, and all engines shall agree.
    """
    at: list[str] = []
    ahead, hops = list(reversed(Path(place).parts)), 0
    while ahead:
        part = ahead.pop()
        if part == "..":
            if not at:
                return False
            at.pop()
        elif not root.joinpath(*at, part).is_symlink():
            at.append(part)
        else:
            target, hops = root.joinpath(*at, part).readlink(), hops + 1
            if target.is_absolute() or hops > _HOPS_MAX:
                return False
            ahead.extend(reversed(target.parts))
    return True
