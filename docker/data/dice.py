"""Chance for the drawn sample set: one seeded stream per image, so images can be drawn in any order, on any core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Range = tuple[float, float]
Colour = tuple[int, int, int]
Pixels = NDArray[np.uint8]


class Dice:
    """Draws from PCG64, whose stream numpy keeps stable; only uniform draws, which use no function of libm."""

    def __init__(self, *seed: int) -> None:
        self.generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * float(self.generator.random())

    def whole(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return int(self.generator.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        return float(self.generator.random()) < probability

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.whole(0, len(choices) - 1)]

    def colour(self, low: int = 0, high: int = 255) -> Colour:
        """Any colour with each channel from low to high."""
        return self.whole(low, high), self.whole(low, high), self.whole(low, high)

    def near(self, colour: Colour, spread: int) -> Colour:
        """A colour at most `spread` from `colour` in each channel."""
        red, green, blue = (min(255, max(0, channel + self.whole(-spread, spread))) for channel in colour)
        return red, green, blue

    def grid(self, rows: int, columns: int, channels: int, low: int, high: int) -> Pixels:
        """uint8 noise (rows, columns, channels) from low to high, both included."""
        return self.generator.integers(low, high + 1, (rows, columns, channels), dtype=np.uint8)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`first` with `share` (0 to 1) of `second`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def shade(colour: Colour, factor: float) -> Colour:
    """A darker (factor below 1) or lighter colour."""
    red, green, blue = (min(255, round(channel * factor)) for channel in colour)
    return red, green, blue
