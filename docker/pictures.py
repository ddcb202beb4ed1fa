"""Reading image files, whole, upright, as RGB, with no decoder that is not needed; and fitting them as the firmware does."""

from __future__ import annotations

import io
import re
import warnings
from contextlib import nullcontext
from multiprocessing import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

Pixels = NDArray[np.uint8]

_FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")  # MPO is opened as JPEG
_SMALLEST = 10  # pixels; ultralytics drops what is smaller
# A medium-format camera takes 102 megapixels (11,648 x 8,736); decoding them takes seconds and a gigabyte, for a network
# that sees 0.04 of them. Phones and backs with 150 and 200 megapixels have modes with less.
PIXELS_MAX = 120_000_000
SIDE_MAX = 65_535  # pixels; what JPEG can hold, and longer ones make strips that no camera has
SCANS_MAX = (
    20  # of a progressive JPEG of PIXELS_MAX, more of a smaller one; encoders write 10, each as long as one picture
)
# Each process takes twelve bytes a pixel: sixteen of them 3 GB for pictures of this size, and 1.2 GB each for the largest.
_LARGE = 16_000_000  # pixels; what is larger is decoded by one process at a time …
_ALONE = Lock()  # … of all that are forked from the one that imports this
# The next marker of a JPEG with what follows it, found as libjpeg finds it; restarts are part of the numbers.
_MARKER = re.compile(rb"\xff+([^\x00\x01\xd0-\xd7\xff])(..)?", re.DOTALL)
_SCAN, _END = 0xDA, 0xD9


warnings.filterwarnings("ignore", module="PIL")  # odd metadata is no fault of the picture


class Unreadable(Exception):
    """The file is no whole image; the text says why."""


def decode(content: bytes) -> Image.Image:
    """The whole image, turned upright as training does, in RGB."""
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            _refuse_costly(image, content)
            is_large = image.width * image.height > _LARGE
            with _ALONE if is_large else nullcontext():
                picture = _upright(image)
    except UnidentifiedImageError:
        raise Unreadable("no image, or not one of JPEG, PNG, BMP, TIFF, WebP") from None
    except Image.DecompressionBombError:
        raise Unreadable("more pixels than any camera has") from None
    except Unreadable:
        raise
    except Exception as error:  # a decoder can fail in any way at all
        raise Unreadable(f"truncated or damaged ({str(error) or type(error).__name__:.100})") from None
    if min(picture.size) < _SMALLEST:
        raise Unreadable(f"{picture.width} x {picture.height} pixels; training drops what is below {_SMALLEST}")
    return picture


def _upright(image: Image.Image) -> Image.Image:
    """All pixels of an opened image, upright, in RGB."""
    image.load()
    upright = ImageOps.exif_transpose(image) or image
    if upright.mode.startswith("I;16"):  # 16-bit greys: the upper byte, as OpenCV does
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    return upright.convert("RGB")


def _refuse_costly(image: Image.Image, content: bytes) -> None:
    """Refuse by its head what would take long, or much memory, to decode."""
    pixels, size = image.width * image.height, f"{image.width} x {image.height} pixels"
    if pixels > PIXELS_MAX or max(image.size) > SIDE_MAX:
        raise Unreadable(f"{size}; more than {PIXELS_MAX:,}, or {SIDE_MAX:,} in a row, are not read")
    scans = count_scans(content) if image.format in ("JPEG", "MPO") else 1
    if scans * pixels > SCANS_MAX * PIXELS_MAX:
        raise Unreadable(f"{size} in {scans:,} scans; no encoder writes so many")


def count_scans(content: bytes) -> int:
    """How often a JPEG goes over its picture: the headers of scans up to its end, not what lies in other segments or behind."""
    at, scans = 2, 0
    while (found := _MARKER.search(content, at)) and (marker := found[1][0]) != _END:
        scans += marker == _SCAN
        at = found.start(2) + int.from_bytes(found[2], "big") if found[2] else len(content)
    return scans


def stretch(pixels: Pixels, size: int, *, fixed_point: bool = True) -> Pixels:
    """uint8 (height, width, 3) to (size, size, 3) by nearest neighbour, in the steps of SSCMA's el_img_convert (el_cv.cpp).

    From a frame of RGB565, as on the XIAO, a step is a whole number of 65536ths of a pixel, rounded down: from 640 to 192 its
    third pixel is the tenth, not the eleventh. From one of YUV422, as on the Grove, it is a float32.
    """
    rows, columns = (_steps(side, size, fixed_point) for side in pixels.shape[:2])
    fitted: Pixels = pixels[rows[:, None], columns]
    return fitted


def _steps(side: int, size: int, fixed_point: bool) -> NDArray[np.int64]:
    if fixed_point:
        return np.arange(size) * ((side << 16) // size) >> 16
    return (np.arange(size, dtype=np.float32) * (np.float32(side) / np.float32(size))).astype(np.int64)
