"""What is measured on: the validation images with their labels, fitted to the network's input as the firmware fits a frame."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from dataset import BOX_COLUMNS, Picture, read_data, read_labels
from pictures import Pixels, Unreadable, decode, stretch
from stage import Refused


@dataclass(frozen=True)
class Labelled:
    """What is in one image: boxes [n, 4] as x, y, width, height and points [n, k, 3], in pixels of the image."""

    labels: npt.NDArray[np.intp]
    boxes: npt.NDArray[np.float64]
    points: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """The frames that are measured, and the split that they were taken from."""

    source: str
    names: tuple[str, ...]
    keypoints: int  # of each object in the labels
    pictures: tuple[Picture, ...]
    total: int  # images in the split
    folder: Path = Path()  # of the data set

    def name(self, index: int) -> str:
        """What a frame is called in messages."""
        return self.pictures[index].image.name

    def path(self, index: int) -> str:
        """Where a frame lies in the data set."""
        return self.pictures[index].image.relative_to(self.folder).as_posix()

    def pixels(self, index: int) -> Pixels:
        """Read one frame, [height, width, 3] in RGB; a file that can no longer be read is refused by its name."""
        image = self.pictures[index].image
        try:
            return np.asarray(decode(image.read_bytes()))
        except (OSError, Unreadable) as error:
            reason = error if isinstance(error, Unreadable) else error.strerror or "cannot be read"
            raise Refused(f"{image}: {reason}", "replace the file, or remove it and its labels") from None

    def labels(self, index: int, width: int, height: int) -> Labelled:
        """Read what is in one frame of that size; labels that can no longer be read are refused by their name."""
        picture = self.pictures[index]
        try:
            rows = read_labels(picture.labels, self.keypoints).astype(np.float64)
        except (OSError, ValueError) as error:
            raise Refused(f"{picture.labels}: {error}", "mend the labels, then run it again") from None
        size = rows[:, 3:5] * (width, height)
        corner = rows[:, 1:3] * (width, height) - size / 2
        points = rows[:, BOX_COLUMNS:].reshape(len(rows), self.keypoints, 3) * (width, height, 1)
        return Labelled(rows[:, 0].astype(np.intp), np.concatenate([corner, size], axis=1), points)


def take(manifest: Path, folder: Path, count: int) -> Sample:
    """Take `count` images, spread evenly over the validation split; 0 takes all."""
    data = read_data(manifest, folder)
    total = len(data.val)
    count = min(count, total) or total
    content = json.loads(manifest.read_text(encoding="utf-8"))
    return Sample(
        source="the drawn sample set, val" if content["drawn"] else f"{content['source']}, val",
        names=tuple(data.names[i] for i in sorted(data.names)),
        keypoints=data.keypoints,
        pictures=tuple(data.val[i * total // count] for i in range(count)),
        total=total,
        folder=folder,
    )


def noise(imgsz: int, count: int) -> list[Pixels]:
    """Images for comparing kernels where nobody gives any: blurred noise, which reaches more of a network than flat colour."""
    dice = np.random.Generator(np.random.PCG64(0))
    coarse = [dice.integers(0, 256, (imgsz // 8, imgsz // 8, 3), dtype=np.uint8) for _ in range(count)]
    return [stretch(image, imgsz) ^ dice.integers(0, 32, (imgsz, imgsz, 3), dtype=np.uint8) for image in coarse]
