"""The calibration array: images as the firmware shows them to the network; export finds the int8 ranges with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import stage
from cores import map_on_cores
from pictures import Pixels, decode, stretch
from PIL import Image
from reading import READER_DIED

_GREY = 114  # ultralytics' border


def spread_evenly(total: int, count: int) -> list[int]:
    """`count` indices spread over `range(total)`, or all of them if there are fewer."""
    count = min(total, count)
    return [index * total // count for index in range(count)]


def letterbox(pixels: Pixels, size: int) -> Pixels:
    """uint8 (height, width, 3) to (size, size, 3), the aspect ratio kept, grey borders: as ultralytics trains."""
    height, width = pixels.shape[:2]
    longest = max(height, width)
    fitted = max(1, width * size // longest), max(1, height * size // longest)
    small = np.asarray(Image.fromarray(pixels).resize(fitted, Image.Resampling.BILINEAR))
    result = np.full((size, size, 3), _GREY, dtype=np.uint8)
    top, left = (size - small.shape[0]) // 2, (size - small.shape[1]) // 2
    result[top : top + small.shape[0], left : left + small.shape[1]] = small
    return result


FITS: dict[str, Callable[[Pixels, int], Pixels]] = {"stretch": stretch, "letterbox": letterbox}


def _fit(job: tuple[Path, str, int]) -> Pixels:
    path, fit, size = job
    return FITS[fit](np.asarray(decode(path.read_bytes())), size)


def collect(paths: Sequence[Path], count: int, fit: str, size: int) -> Pixels:
    """uint8 (N, size, size, 3), RGB, from at most `count` of the images, in their order."""
    jobs = [(paths[index], fit, size) for index in spread_evenly(len(paths), count)]
    result = np.empty((len(jobs), size, size, 3), dtype=np.uint8)
    for index, pixels in enumerate(map_on_cores(_fit, jobs, READER_DIED)):
        result[index] = pixels
    stage.progress(len(jobs), len(jobs), "calibration images")
    return result
