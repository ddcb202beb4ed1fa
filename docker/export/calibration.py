"""The images whose activations set the scales of the int8 file: one array, made by the stage data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stage import Refused

DARKEST, BRIGHTEST = 0, 255


def read_calibration(path: Path, imgsz: int) -> NDArray[Any]:
    """uint8 [N, imgsz, imgsz, 3], RGB, N >= 1, with both a 0 and a 255 somewhere in it."""
    hint = "make it again with the same IMGSZ: make deploy FORCE=1"
    if not path.is_file():
        raise Refused(f"{path}: no such calibration array", hint)
    try:
        images = np.load(path, allow_pickle=False)
    except ValueError as fault:
        raise Refused(f"{path}: no array of numpy: {fault}".splitlines()[0], hint) from None
    if images.dtype != np.uint8 or images.shape[1:] != (imgsz, imgsz, 3) or not len(images):
        raise Refused(f"{path}: {images.dtype} {list(images.shape)}, not uint8 [N, {imgsz}, {imgsz}, 3]", hint)
    return span_all_values(images)


def span_all_values(images: NDArray[Any]) -> NDArray[Any]:
    """The same images, the darkest and the brightest value made 0 and 255 where they are not.

    The firmware feeds `pixel - 128` without looking at the tensor's scale, so the input has to be 1/255 and -128 exactly.
    The converter takes it from the range it sees: one value in one image is enough, and disturbs no other scale.
    """
    if images.min() == DARKEST and images.max() == BRIGHTEST:
        return images
    images = images.copy()
    darkest, brightest = (
        images.argmin(),
        images.size - 1 - images.ravel()[::-1].argmax(),
    )  # two places, even if all equal
    images.flat[darkest], images.flat[brightest] = DARKEST, BRIGHTEST
    return images
