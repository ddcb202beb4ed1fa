"""Reading image files, whole, upright, as RGB, with no decoder that is not needed; and fitting them as the firmware does."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

Pixels = NDArray[np.uint8]

_FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")  # MPO is opened as JPEG
_SMALLEST = 10  # pixels; ultralytics drops what is smaller


warnings.filterwarnings("ignore", module="PIL")  # odd metadata is no fault of the picture


class Unreadable(Exception):
    """The file is no whole image; the text says why."""


def decode(content: bytes) -> Image.Image:
    """The whole image, turned upright as training does, in RGB."""
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            image.load()
            upright = ImageOps.exif_transpose(image) or image
            if upright.mode.startswith("I;16"):  # 16-bit greys: the upper byte, as OpenCV does
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            picture = upright.convert("RGB")
    except UnidentifiedImageError:
        raise Unreadable("no image, or not one of JPEG, PNG, BMP, TIFF, WebP") from None
    except Image.DecompressionBombError:
        raise Unreadable("more pixels than any camera has") from None
    except (OSError, SyntaxError, ValueError, TypeError, EOFError, struct.error, zlib.error, MemoryError) as error:
        raise Unreadable(f"truncated or damaged ({error})") from None
    if min(picture.size) < _SMALLEST:
        raise Unreadable(f"{picture.width} x {picture.height} pixels; training drops what is below {_SMALLEST}")
    return picture


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
