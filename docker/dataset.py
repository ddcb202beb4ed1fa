"""What is learnt from: the data set that the data stage has checked, read without ever writing to it.

The data stage's manifest says which images and labels there are. ultralytics' own scan of the folders is not used: it
- keeps `labels/*.cache` beside the labels and believes one that it finds: a pickle, stale or hostile;
- prefers `image.npy` to `image.jpg` where both exist;
- rewrites a JPEG that has bytes after its end marker, in place, in the user's folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from stage import Refused

BOX_COLUMNS = 5  # class, then the box's centre x, centre y, width, height as fractions of the image
OUTLINE_COLUMNS = 7  # class, then at least three points


@dataclass(frozen=True)
class Picture:
    """One image, and its labels if it has any."""

    image: Path
    labels: Path | None


@dataclass(frozen=True)
class DataSet:
    """The images of both splits, and what their labels mean."""

    names: dict[int, str]
    keypoints: int  # for each object; 0: boxes only
    flip_idx: tuple[int, ...]  # which keypoint is which in a mirrored image; empty: nobody has said
    train: tuple[Picture, ...]
    val: tuple[Picture, ...]


def read_data(manifest: Path, folder: Path) -> DataSet:
    """Read the data stage's manifest; the paths in it start from `folder`."""
    content = json.loads(manifest.read_text(encoding="utf-8"))
    return DataSet(
        names=dict(enumerate(content["names"])),
        keypoints=content["kpt_shape"][0] if content["kpt_shape"] else 0,
        flip_idx=tuple(content["flip_idx"] or ()),
        train=_pictures(folder, content["splits"]["train"]),
        val=_pictures(folder, content["splits"]["val"]),
    )


def read_labels(file: Path | None, keypoints: int) -> npt.NDArray[np.float32]:
    """Read the objects of one image as `[n, 5 + 3 · keypoints]`; without a file, or in an empty one, there are none."""
    columns = BOX_COLUMNS + 3 * keypoints
    try:
        lines = file.read_text(encoding="utf-8").splitlines() if file else []
        rows = [[float(word) for word in line.split()] for line in lines if line.strip()]
    except ValueError:
        raise Refused(f"{file}: changed since it was checked: not all numbers", hint="run it again") from None
    if not keypoints and rows and all(len(row) >= OUTLINE_COLUMNS and len(row) % 2 for row in rows):
        rows = [_box_around(row) for row in rows]
    if any(len(row) != columns for row in rows):
        raise Refused(f"{file}: changed since it was checked: {columns} columns expected", hint="run it again")
    # An object that is labelled twice would count twice against the network; ultralytics drops the second one, too.
    return np.unique(np.array(rows, dtype=np.float32).reshape(-1, columns), axis=0)


def refuse_unlabelled(split: str, pictures: Sequence[Picture]) -> None:
    """Without labels there is nothing to learn, and without those of val no epoch is better than another."""
    if not any(picture.labels and picture.labels.stat().st_size for picture in pictures):
        image = pictures[0].image
        raise Refused(f"{split}: no image has labels, such as {image.name}", hint="label some of them in YOLO's form")


def _pictures(folder: Path, entries: list[Mapping[str, Any]]) -> tuple[Picture, ...]:
    return tuple(
        Picture(folder / entry["image"], folder / entry["labels"] if entry["labels"] else None) for entry in entries
    )


def _box_around(row: list[float]) -> list[float]:
    """Turn an outline, class x1 y1 x2 y2 …, into a box as ultralytics' segments2boxes does."""
    left, right, top, bottom = min(row[1::2]), max(row[1::2]), min(row[2::2]), max(row[2::2])
    return [row[0], (left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
