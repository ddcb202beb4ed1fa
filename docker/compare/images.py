"""Pictures, pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from values import Found, apart

FORMATS = ("JPEG", "PNG")  # that stages write; another decoder might start a program
PLAIN = ("L", "RGB", "RGBA", "I;16")  # modes whose numbers are the colours; those of a palette are not


def compare_image(first: Path, second: Path) -> Found:
    """Compare two pictures: size and mode, else how many pixels differ, by how much and where."""
    with Image.open(first, formats=FORMATS) as one, Image.open(second, formats=FORMATS) as other:
        if (one.size, one.mode) != (other.size, other.mode):
            return Found([f"{one.width} × {one.height} {one.mode} → {other.width} × {other.height} {other.mode}"])
        pixels, others = (
            np.atleast_3d(image if one.mode in PLAIN else image.convert("RGBA")) for image in (one, other)
        )
    differing = (pixels != others).any(axis=2)
    if not differing.any():
        return Found([])
    rows, columns = np.flatnonzero(differing.any(axis=1)), np.flatnonzero(differing.any(axis=0))
    box = f"x {columns[0]} to {columns[-1]}, y {rows[0]} to {rows[-1]}"
    steps = apart(pixels[differing], others[differing])[1]
    return Found([f"{differing.sum():,} of {differing.size:,} pixels differ, by up to {steps:,} steps, within {box}"])
