"""Detections drawn into an image: box, score, keypoints, limbs. Left and right are told apart by blue and orange.

The two colours are Okabe and Ito's (jfly.uni-koeln.de/color), told apart with every kind of colour blindness. Each stroke has a
dark edge, so that it is seen on any ground. Strokes are drawn enlarged and averaged down: smooth lines, the same bytes everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from text import visible

WIDTH, MOST = 320, 960  # pixels of what is drawn: the least width, at which a score is read; the longest side
VISIBLE = 0.5  # points below are hollow
# Limbs as pairs of COCO's keypoints (cocodataset.org; ultralytics Annotator.skeleton): odd is the person's left, even the right.
COCO = (
    (0, 1), (0, 2), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12),
    (11, 12), (11, 13), (13, 15), (12, 14), (14, 16),
)  # fmt: skip
COCO_POINTS = 17
LEFT, RIGHT, MIDDLE, EDGE = (86, 180, 233), (230, 159, 0), (255, 255, 255), (16, 18, 22)
_FINE = 3  # strokes are drawn at 3 times the size, then averaged
_FAR = 4  # image sizes; what a network puts further away is not drawn
_LETTERS = 24  # text heights in the width of an image: read at half the size, too
_NAME_LETTERS = 24  # of a class: a longer name would hide what it names

Colour = tuple[int, int, int]
Plate = tuple[int, int, int, int]  # left, top, right, bottom
Spot = tuple[float, float, float]  # x, y in pixels of the canvas, visibility


class Detection(Protocol):
    """What decoder.Detection has: centre and size in pixels, score, points [nk, 3] as x, y, visibility, class."""

    @property
    def box(self) -> Sequence[float]:
        """Centre x, centre y, width, height; pixels of the image."""

    @property
    def score(self) -> float:
        """0 to 1."""

    @property
    def points(self) -> Sequence[Sequence[float]] | NDArray[np.floating]:
        """Rows of x, y in pixels and visibility 0 to 1; none for a detection without keypoints."""

    @property
    def label(self) -> int:
        """Which class, counted from 0."""


def draw(
    image: NDArray[np.uint8],
    detections: Sequence[Detection],
    skeleton: Sequence[tuple[int, int]] = (),
    names: Sequence[str] = (),
) -> NDArray[np.uint8]:
    """Draw detections into a copy of `image` (RGB [H, W, 3]), enlarged by a whole number to `WIDTH`, a large one made smaller.

    Without a `skeleton`, 17 keypoints get COCO's and others none. Points that are no number or far outside are left out. The best
    detection is drawn last. Raises ValueError for another kind of image.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"an image of {image.dtype} {list(image.shape)}, not uint8 [H, W, 3]")
    height, width = image.shape[:2]
    scale = min(math.ceil(WIDTH / width), MOST / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    canvas = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
    strokes = Image.new("RGBA", (size[0] * _FINE, size[1] * _FINE), (*EDGE, 0))
    pen = ImageDraw.Draw(strokes)
    ordered = sorted((d for d in detections if _is_near(d.box, image.shape)), key=lambda detection: detection.score)
    for detection in ordered:
        _draw_box(pen, detection, scale * _FINE)
        _draw_points(pen, detection, skeleton, scale * _FINE, image.shape)
    canvas.paste(strokes.convert("RGB").reduce(_FINE), mask=strokes.getchannel("A").reduce(_FINE))
    _draw_labels(ImageDraw.Draw(canvas), ordered[::-1], names, scale, size)
    return np.asarray(canvas).copy()


def _is_near(values: Sequence[float], shape: tuple[int, ...]) -> bool:
    """Whether these are numbers, none further out than a few times the image."""
    return bool(np.all(np.abs(np.asarray(values, np.float64)) <= _FAR * max(shape)))


def _corners(box: Sequence[float], scale: float) -> tuple[float, float, float, float]:
    x, y, w, h = (float(value) * scale for value in box)
    w, h = max(w, 0.0), max(h, 0.0)
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def _draw_box(pen: ImageDraw.ImageDraw, detection: Detection, scale: float) -> None:
    left, top, right, bottom = _corners(detection.box, scale)
    for colour, width, out in ((EDGE, 4 * _FINE, 1.5), (MIDDLE, 2 * _FINE, 0.5)):
        grow = out * _FINE
        pen.rectangle((left - grow, top - grow, right + grow, bottom + grow), outline=(*colour, 255), width=width)


def _draw_points(
    pen: ImageDraw.ImageDraw,
    detection: Detection,
    skeleton: Sequence[tuple[int, int]],
    scale: float,
    shape: tuple[int, ...],
) -> None:
    """Limbs below, points on top; a limb with an end that is not visible is thin."""
    spots: dict[int, Spot] = {
        i: (float(row[0]) * scale, float(row[1]) * scale, float(row[2]))
        for i, row in enumerate(detection.points)
        if _is_near(row[:2], shape)
    }
    sided = len(detection.points) == COCO_POINTS
    limbs = skeleton or (COCO if sided else ())
    strokes = [(spots[a], spots[b], _colour((a, b), sided)) for a, b in limbs if a in spots and b in spots]
    for edge in (True, False):
        for start, end, colour in strokes:
            width = (3 if min(start[2], end[2]) >= VISIBLE else 1) + 2 * edge
            pen.line((start[:2], end[:2]), fill=(*(EDGE if edge else colour), 255), width=width * _FINE)
    for i, (x, y, visibility) in spots.items():
        colour = _colour((i,), sided)
        _draw_spot(pen, x, y, EDGE, colour if visibility >= VISIBLE else EDGE, colour)


def _draw_spot(pen: ImageDraw.ImageDraw, x: float, y: float, edge: Colour, inside: Colour, ring: Colour) -> None:
    for radius, colour in ((5.0, edge), (4.0, ring), (2.2, inside)):
        r = radius * _FINE
        pen.ellipse((x - r, y - r, x + r, y + r), fill=(*colour, 255))


def _colour(points: tuple[int, ...], sided: bool) -> Colour:
    """Blue for what is all of the person's left, orange for what is all right, white for the middle."""
    if not sided or 0 in points or len({i % 2 for i in points}) > 1:
        return MIDDLE
    return LEFT if points[0] % 2 else RIGHT


def _draw_labels(
    pen: ImageDraw.ImageDraw, best_first: Sequence[Detection], names: Sequence[str], scale: float, size: tuple[int, int]
) -> None:
    """Score, and name where there are several, on dark plates: the best detection has the first choice of place."""
    text_size = max(13, size[0] // _LETTERS)
    font = ImageFont.load_default(text_size)  # Pillow brings it along: the same glyphs everywhere
    taken: list[Plate] = []
    for detection in best_first:
        name = _name(names[detection.label]) if 0 <= detection.label < len(names) else str(detection.label)
        text = f"{detection.score:.2f}" if len(names) == 1 else f"{name} {detection.score:.2f}"
        extent = math.ceil(pen.textlength(text, font=font)) + 8, text_size + 6
        plate = _free_place(_corners(detection.box, scale), extent, size, taken)
        taken.append(plate)
        pen.rectangle((plate[0], plate[1], plate[2] - 1, plate[3] - 1), fill=EDGE)
        pen.text((plate[0] + 4, plate[1] + extent[1] // 2), text, fill=MIDDLE, font=font, anchor="lm")


def _name(text: str) -> str:
    """A class's name as people may see it, cut off where it would hide the picture."""
    shown = visible(text[: _NAME_LETTERS + 1])
    return shown if len(shown) <= _NAME_LETTERS else shown[: _NAME_LETTERS - 1] + "…"


def _free_place(box: Sequence[float], extent: tuple[int, int], size: tuple[int, int], taken: Sequence[Plate]) -> Plate:
    """Above the box, inside its top, below it, or further down its side: the first that hides no other plate, never cut off."""
    left, top, right, bottom = box
    width, height = extent
    heights = [top - height - 1, top + 3, bottom + 1, *(top + 3 + row * height for row in range(1, 4))]
    places = []
    for x, y in ((x, y) for y in heights for x in (left - 2, right + 2 - width)):
        # Above an image that the box touches there is no room: the place is moved into it.
        x, y = (round(min(max(v, 0), max(end - own, 0))) for v, own, end in ((x, width, size[0]), (y, height, size[1])))
        places.append((x, y, x + width, y + height))
    return next((place for place in places if not any(_overlap(place, other) for other in taken)), places[0])


def _overlap(one: Plate, other: Plate) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
