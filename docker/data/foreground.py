"""What is in front of the figures or under them: things that hide a part of them, and their shadows."""

from __future__ import annotations

from collections.abc import Callable

from canvas import SCALE, Canvas
from dice import Dice, shade
from PIL import Image
from scenery import FLOORS, GOODS

OCCLUDER = 255  # the number of things in front, on the canvas's map


def _crate(canvas: Canvas, dice: Dice, x: float, base: float, height: float) -> None:
    colour, width = dice.near(dice.pick(GOODS), 24), height * dice.between(0.8, 1.6)
    canvas.box(x - width / 2, base - height, x + width / 2, base, colour, OCCLUDER)
    canvas.box(x - width / 2, base - height, x + width / 2, base - height * 0.88, shade(colour, 1.2))
    canvas.box(x - width / 2 + 4, base - height * 0.8, x + width / 2 - 4, base - height * 0.72, shade(colour, 0.8))


def _plant(canvas: Canvas, dice: Dice, x: float, base: float, height: float) -> None:
    green, pot = dice.near((62, 128, 70), 26), dice.near((176, 96, 64), 20)
    for _ in range(9):
        tip = (x + dice.between(-0.55, 0.55) * height, base - height * dice.between(0.6, 1.0), 1.5)
        middle = (x + (tip[0] - x) * 0.6, base - height * 0.55, height * 0.06)
        canvas.solid([(x, base - height * 0.35, 2), middle], green, OCCLUDER)
        canvas.solid([middle, tip], green, OCCLUDER)
    rim = [(x + side * height * 0.16, base - height * 0.36, 3.0) for side in (-1, 1)]
    foot = [(x + side * height * 0.10, base - height * 0.05, 3.0) for side in (-1, 1)]
    canvas.solid(rim + foot, pot, OCCLUDER)


def _post(canvas: Canvas, dice: Dice, x: float, base: float, height: float) -> None:
    width = height * dice.between(0.05, 0.1) + 3
    canvas.solid([(x, base, width), (x, -20, width)], dice.near((110, 110, 116), 50), OCCLUDER)


def _ball(canvas: Canvas, dice: Dice, x: float, base: float, height: float) -> None:
    canvas.solid([(x, base - height * 0.35, height * 0.35)], dice.colour(60, 230), OCCLUDER)


def _table(canvas: Canvas, dice: Dice, x: float, base: float, height: float) -> None:
    wood, width = dice.near(dice.pick(FLOORS), 20), height * dice.between(1.6, 2.6)
    for leg in (-0.44, 0.44):
        canvas.box(x + width * leg - 3, base - height, x + width * leg + 3, base, shade(wood, 0.7), OCCLUDER)
    canvas.box(x - width / 2, base - height, x + width / 2, base - height * 0.86, wood, OCCLUDER)
    canvas.box(x - width / 2, base - height * 0.86, x + width / 2, base - height * 0.82, shade(wood, 0.6), OCCLUDER)


OCCLUDERS: tuple[Callable[[Canvas, Dice, float, float, float], None], ...] = (_crate, _plant, _post, _ball, _table)


def shadow(canvas: Canvas, x: float, y: float, width: float) -> None:
    """A soft dark spot on the ground, in pixels."""
    w, h = round(width * SCALE), max(2, round(width * SCALE * 0.22))
    spot = Image.new("L", (16, 16))
    spot.putdata(
        [max(0, 120 - ((2 * i - 15) ** 2 + (2 * j - 15) ** 2) * 120 // 225) for j in range(16) for i in range(16)]
    )
    mask = spot.resize((2 * w, 2 * h), Image.Resampling.BICUBIC)
    canvas.picture.paste((20, 18, 22), (round(x * SCALE) - w, round(y * SCALE) - h), mask)
