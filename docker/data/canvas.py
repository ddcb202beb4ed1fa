"""A canvas for solid shapes: hulls of circles, drawn with light on them, and beside the picture a map of what is what.

All coordinates given are image pixels (float). They are rounded to whole pixels of a canvas `SCALE` times as large
before anything is drawn, and hulls are found in integers: the last bit of a sine on another machine changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from dice import Colour, shade
from PIL import Image, ImageDraw

SCALE = 3  # drawn at 3 times the size, then averaged: smooth edges
Circle = tuple[float, float, float]  # x, y, radius
Spot = tuple[int, int]

_RIM = [(round(1024 * math.cos(2 * math.pi * i / 20)), round(1024 * math.sin(2 * math.pi * i / 20))) for i in range(20)]
# From the rim inwards: share of the radius, brightness, and how far towards the light (share of the radius).
_LAYERS = ((1.0, 0.58, 0.0), (0.86, 0.80, 0.04), (0.66, 0.94, 0.14), (0.42, 1.05, 0.26), (0.18, 1.14, 0.36))


def _side(a: Spot, b: Spot, c: Spot) -> int:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def hull(spots: Sequence[Spot]) -> list[Spot]:
    """The convex hull, in order (Andrew's monotone chain)."""
    ordered = sorted(set(spots))
    if len(ordered) < 3:
        return ordered
    halves: list[list[Spot]] = []
    for run in (ordered, ordered[::-1]):
        half: list[Spot] = []
        for spot in run:
            while len(half) > 1 and _side(half[-2], half[-1], spot) <= 0:
                half.pop()
            half.append(spot)
        halves.append(half[:-1])
    return halves[0] + halves[1]


class Canvas:
    """A picture of size x size pixels in the making, and the number of the topmost thing at every spot of it."""

    def __init__(self, size: int, light: tuple[float, float]) -> None:
        self.size = size
        self.light = light  # where the light comes from, in image directions, length at most 1
        self.picture = Image.new("RGB", (size * SCALE, size * SCALE))
        self.things = Image.new("L", self.picture.size)
        self._pen = ImageDraw.Draw(self.picture)
        self._marker = ImageDraw.Draw(self.things)

    def solid(self, circles: Sequence[Circle], colour: Colour, thing: int, gloss: float = 1.0) -> None:
        """The hull of circles as one rounded body; gloss 0 is flat."""
        self._marker.polygon(_outline(circles, 1.0, (0.0, 0.0)), fill=thing)
        for share, brightness, towards in _LAYERS if gloss else ((1.0, 1.0, 0.0),):
            shift = (self.light[0] * towards, self.light[1] * towards)
            tint = shade(colour, 1 + (brightness - 1) * gloss)
            self._pen.polygon(_outline(circles, share, shift), fill=tint)

    def patch(self, corners: Sequence[tuple[float, float]], colour: Colour, thing: int | None = None) -> None:
        """A flat polygon; without `thing` it only paints what is there already."""
        spots = [(round(x * SCALE), round(y * SCALE)) for x, y in corners]
        self._pen.polygon(spots, fill=colour)
        if thing is not None:
            self._marker.polygon(spots, fill=thing)

    def box(
        self, left: float, top: float, right: float, bottom: float, colour: Colour, thing: int | None = None
    ) -> None:
        """A flat upright rectangle."""
        self.patch(((left, top), (right, top), (right, bottom), (left, bottom)), colour, thing)

    def line(self, start: tuple[float, float], end: tuple[float, float], width: float, colour: Colour) -> None:
        """A line that paints what is there already."""
        spots = [(round(x * SCALE), round(y * SCALE)) for x, y in (start, end)]
        self._pen.line(spots, fill=colour, width=max(1, round(width * SCALE)))

    def finished(self) -> Image.Image:
        """The picture at its final size."""
        return self.picture.reduce(SCALE)


def _outline(circles: Sequence[Circle], share: float, shift: tuple[float, float]) -> list[Spot]:
    spots = []
    for x, y, radius in circles:
        r = max(1, round(radius * share * SCALE))
        cx, cy = round((x + shift[0] * radius) * SCALE), round((y + shift[1] * radius) * SCALE)
        spots += [(cx + (r * ux + 512) // 1024, cy + (r * uy + 512) // 1024) for ux, uy in _RIM]
    return hull(spots)
