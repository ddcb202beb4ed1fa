"""What is behind the figures: rooms, streets and plain grounds; and the look that a camera gives the whole."""

from __future__ import annotations

import numpy as np
from canvas import Canvas
from dice import Colour, Dice, Pixels, mix, shade
from PIL import Image

_WALLS = (
    (222, 208, 186),
    (196, 210, 214),
    (176, 196, 172),
    (214, 184, 176),
    (172, 164, 196),
    (110, 130, 150),
    (238, 234, 226),
)
FLOORS = ((150, 112, 78), (120, 116, 112), (186, 160, 124), (92, 78, 70), (160, 168, 172), (120, 140, 120))
_SKIES = (((92, 150, 214), (206, 226, 240)), ((240, 168, 120), (250, 222, 180)), ((120, 134, 150), (206, 210, 212)))
_GROUNDS = ((106, 146, 76), (134, 132, 130), (204, 184, 140), (88, 118, 84), (226, 230, 234))
GOODS = ((178, 120, 66), (84, 96, 120), (170, 60, 54), (70, 120, 106), (206, 180, 120), (120, 84, 130), (60, 60, 66))


def _fill(canvas: Canvas, cells: Pixels) -> None:
    """Stretch a small uint8 picture (rows, columns, 3) smoothly over the whole canvas."""
    canvas.picture.paste(Image.fromarray(cells).resize(canvas.picture.size, Image.Resampling.BICUBIC))


def _gradient(canvas: Canvas, top: Colour, bottom: Colour) -> None:
    _fill(canvas, np.array([[mix(top, bottom, step / 7)] for step in range(8)], dtype=np.uint8))


def _room(canvas: Canvas, dice: Dice, horizon: float) -> None:
    """A wall with its paper, a floor, and furniture along the wall."""
    size, wall = canvas.size, dice.near(dice.pick(_WALLS), 16)
    _gradient(canvas, shade(wall, dice.between(0.8, 1.05)), shade(wall, dice.between(0.7, 0.95)))
    _paper(canvas, dice, wall)
    edge = horizon + size * dice.between(0.10, 0.22)
    for _ in range(dice.whole(1, 4)):
        dice.pick((_window, _frame, _cupboard, _shelf))(canvas, dice, edge)
    floor = dice.near(dice.pick(FLOORS), 16)
    canvas.box(0, edge, size, size, floor)
    if dice.chance(0.6):
        for plank in range(-6, 13):  # boards that meet at a point on the horizon
            x = size * (0.5 + (plank - 3) * 0.12)
            far = size / 2 + (x - size / 2) * (edge - horizon) / max(1.0, size - horizon)
            canvas.line((far, edge), (size / 2 + (x - size / 2) * 1.6, size), 1.2, shade(floor, 0.86))
    canvas.box(0, edge - 5, size, edge, shade(wall, dice.pick((0.6, 1.12))))


def _paper(canvas: Canvas, dice: Dice, wall: Colour) -> None:
    """Stripes, tiles or dots on the wall, or nothing."""
    size, kind, ink = (
        canvas.size,
        dice.pick(("none", "none", "stripes", "tiles", "dots")),
        shade(wall, dice.pick((0.9, 1.06))),
    )
    gap = dice.between(14, 34)
    lines = [gap * n for n in range(int(size / gap) + 1)]
    if kind == "stripes":
        for x in lines:
            canvas.box(x, 0, x + gap * 0.45, size, ink)
    elif kind == "tiles":
        for at in lines:
            canvas.line((at, 0), (at, size), 1, ink)
            canvas.line((0, at), (size, at), 1, ink)
    elif kind == "dots":
        for row, y in enumerate(lines):
            for x in lines:
                canvas.solid([(x + (row % 2) * gap / 2, y, gap * 0.14)], ink, 0, gloss=0)


def _window(canvas: Canvas, dice: Dice, floor: float) -> None:
    width, height = dice.between(50, 100), dice.between(60, 110)
    x, y = dice.between(0, canvas.size - width), floor - height - dice.between(40, 80)
    frame, sky = dice.pick(((244, 244, 240), (120, 90, 66))), dice.pick(_SKIES)
    canvas.box(x - 4, y - 4, x + width + 4, y + height + 4, frame)
    for band in range(6):
        top = y + height * band / 6
        canvas.box(x, top, x + width, y + height, mix(sky[0], sky[1], band / 5))
    canvas.box(x + width / 2 - 2, y, x + width / 2 + 2, y + height, frame)
    canvas.box(x, y + height * 0.4, x + width, y + height * 0.4 + 3, frame)


def _frame(canvas: Canvas, dice: Dice, floor: float) -> None:
    width, height = dice.between(26, 60), dice.between(26, 60)
    x, y = dice.between(0, canvas.size - width), dice.between(10, max(12.0, floor - height - 60))
    canvas.box(x - 3, y - 3, x + width + 3, y + height + 3, dice.near((70, 54, 40), 30))
    canvas.box(x, y, x + width, y + height, dice.colour(120, 235))
    for _ in range(3):
        at = [(dice.between(x, x + width), dice.between(y, y + height)) for _ in range(3)]
        canvas.patch(at, dice.colour(60, 230))


def _cupboard(canvas: Canvas, dice: Dice, floor: float) -> None:
    width, height = dice.between(50, 120), dice.between(40, 150)
    x, colour = dice.between(-20, canvas.size - 40), dice.near(dice.pick(GOODS), 20)
    canvas.box(x, floor - height, x + width, floor + 3, colour)
    canvas.box(x - 2, floor - height - 4, x + width + 2, floor - height, shade(colour, 1.15))
    columns = dice.whole(1, 3)
    for column in range(columns):
        left = x + width * column / columns
        canvas.box(left + 3, floor - height + 4, left + width / columns - 3, floor - 2, shade(colour, 0.86))
        canvas.solid([(left + width / columns - 8, floor - height / 2, 2)], (220, 200, 150), 0)


def _shelf(canvas: Canvas, dice: Dice, floor: float) -> None:
    """Shelves with the backs of books."""
    width, rows = dice.between(50, 100), dice.whole(2, 4)
    x, wood = dice.between(-10, canvas.size - 50), dice.near((120, 84, 54), 24)
    top = floor - rows * 38
    canvas.box(x, top - 3, x + width, floor + 2, shade(wood, 0.6))
    for row in range(rows):
        base, book = top + (row + 1) * 38 - 3, x + 3
        while book < x + width - 8:
            thick = dice.between(4, 9)
            canvas.box(book, base - dice.between(18, 31), book + thick, base, dice.colour(50, 210))
            book += thick + dice.pick((0.5, 0.5, 6.0))
        canvas.box(x, base, x + width, base + 3, wood)


def _street(canvas: Canvas, dice: Dice, horizon: float) -> None:
    """Sky, hills or houses, trees, and the ground."""
    size, sky = canvas.size, dice.pick(_SKIES)
    _gradient(canvas, dice.near(sky[0], 14), dice.near(sky[1], 14))
    for _ in range(dice.whole(0, 4)):
        x, y, r = dice.between(0, size), dice.between(0, horizon), dice.between(8, 20)
        cloud = shade(sky[1], 1.06)
        for puff in range(4):
            canvas.solid(
                [(x + puff * r * 0.8, y + dice.between(-4, 4), r * dice.between(0.6, 1))], cloud, 0, gloss=0.15
            )
    if dice.chance(0.5):
        x = -dice.between(0, 40)
        while x < size:
            x += _house(canvas, dice, x, horizon) + dice.pick((0, 0, 14))
    else:
        for _ in range(3):
            r = dice.between(60, 220)
            canvas.solid([(dice.between(0, size), horizon + r * 0.72, r)], dice.near((96, 128, 104), 24), 0, gloss=0.2)
    ground = dice.near(dice.pick(_GROUNDS), 14)
    canvas.box(0, horizon, size, size, ground)
    for band in range(5):  # a little lighter towards the horizon
        canvas.box(0, horizon + (size - horizon) * band**2 / 60, size, size, shade(ground, 1.05 - band * 0.04))
    for _ in range(dice.whole(0, 3)):
        _tree(canvas, dice, horizon)


def _house(canvas: Canvas, dice: Dice, x: float, horizon: float) -> float:
    width, height, wall = dice.between(40, 90), dice.between(40, 150), dice.near(dice.pick(_WALLS), 24)
    canvas.box(x, horizon - height, x + width, horizon + 4, shade(wall, 0.85))
    glass, across = dice.pick(((70, 90, 110), (250, 226, 150), (130, 160, 180))), max(1, int(width / 18))
    for column in range(across):
        for row in range(int(height / 24)):
            left, top = x + (column + 0.25) * width / across, horizon - height + 8 + row * 24
            canvas.box(left, top, left + width / across / 2, top + 13, glass)
    return width


def _tree(canvas: Canvas, dice: Dice, horizon: float) -> None:
    x, height = dice.between(0, canvas.size), dice.between(50, 130)
    base, green = (
        horizon + dice.between(2, 20),
        dice.near(dice.pick(((70, 116, 62), (96, 130, 58), (176, 110, 50))), 16),
    )
    canvas.solid([(x, base, 4), (x, base - height * 0.6, 3)], (92, 70, 52), 0)
    for _ in range(5):
        r = height * dice.between(0.16, 0.26)
        canvas.solid(
            [(x + dice.between(-0.22, 0.22) * height, base - height * dice.between(0.55, 0.95), r)], green, 0, gloss=0.7
        )


def _studio(canvas: Canvas, dice: Dice, horizon: float) -> None:
    """A plain ground with soft clouds of colour."""
    first = dice.near(dice.pick(_WALLS + _GROUNDS), 30)
    noise = dice.grid(dice.whole(2, 7), dice.whole(2, 7), 3, 0, 60).astype(np.int16) - 30
    _fill(canvas, np.clip(np.array(first, dtype=np.int16) + noise, 0, 255).astype(np.uint8))
    if dice.chance(0.5):
        canvas.box(0, horizon + canvas.size * 0.2, canvas.size, canvas.size, shade(first, dice.between(0.7, 0.9)))


def _clutter(canvas: Canvas, dice: Dice, horizon: float) -> None:
    """Boxes, balls and bars of any colour: what a network must learn not to take for people."""
    _studio(canvas, dice, horizon)
    size = canvas.size
    for _ in range(dice.whole(6, 18)):
        x, y, r = dice.between(0, size), dice.between(0, size), dice.between(6, 46)
        kind, colour = dice.pick(("box", "ball", "bar")), dice.colour(40, 230)
        if kind == "box":
            canvas.box(x, y, x + r * dice.between(0.6, 2), y + r * dice.between(0.6, 2), colour)
        else:
            reach = r * 1.5 if kind == "bar" else 0.0
            end = (x + dice.between(-reach, reach), y + dice.between(-reach, reach), r * 0.3)
            canvas.solid([(x, y, r * 0.3), end] if reach else [(x, y, r * 0.6)], colour, 0, gloss=0.8)


def paint_background(canvas: Canvas, dice: Dice, horizon: float) -> None:
    """Everything behind the figures; the horizon in pixels from the top."""
    dice.pick((_room, _room, _room, _street, _street, _street, _studio, _clutter))(canvas, dice, horizon)


def expose(picture: Image.Image, dice: Dice) -> Image.Image:
    """The camera's look: brightness, contrast and tint by a table, uneven light, and grain."""
    gain = [
        round(256 * dice.between(0.90, 1.10) * tint) for tint in (dice.between(0.94, 1.06), 1, dice.between(0.92, 1.06))
    ]
    lift = dice.whole(-8, 16)
    pixels = np.asarray(picture).astype(np.int32) * np.array(gain, dtype=np.int32) // 256 + lift
    veil = Image.fromarray(dice.grid(3, 3, 1, 215, 255)[:, :, 0]).resize(picture.size, Image.Resampling.BICUBIC)
    pixels = pixels * np.asarray(veil).astype(np.int32)[:, :, None] // 240
    strength = dice.whole(0, 6)
    grain = dice.grid(picture.size[1], picture.size[0], 1, 0, 2 * strength).astype(np.int32) - strength
    return Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))
