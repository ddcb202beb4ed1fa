"""The contact sheet: some images of both splits with their labels drawn in, to see whether data and labels fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from calibration import spread_evenly
from check import Checked
from labels import Form, Row, read_rows
from pictures import decode
from PIL import Image, ImageDraw, ImageFont
from text import visible

WIDTH, MARGIN, GAP, COLUMNS = 1200, 28, 8, 6
TILE = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GAP) // COLUMNS
ROWS = {"train": 3, "val": 1}
_FINE = 3  # overlays are drawn at 3 times the size, then averaged
_PAPER, _INK, _SOFT, _EMPTY = (250, 249, 246), (34, 36, 42), (120, 122, 128), (226, 226, 224)
_BOX_COLOURS = ((255, 214, 64), (86, 204, 242), (255, 138, 101), (129, 199, 132), (206, 147, 216), (240, 240, 240))

# COCO's 17 keypoints: limbs as pairs of keypoints, one colour for each part of the body.
_LIMBS = {
    "head": ((255, 232, 92), ((0, 1), (0, 2), (1, 3), (2, 4))),
    "body": ((245, 245, 245), ((5, 6), (5, 11), (6, 12), (11, 12))),
    "left arm": ((64, 196, 255), ((5, 7), (7, 9))),
    "right arm": ((255, 128, 80), ((6, 8), (8, 10))),
    "left leg": ((84, 224, 160), ((11, 13), (13, 15))),
    "right leg": ((255, 104, 172), ((12, 14), (14, 16))),
}
_COLOUR_OF = {index: colour for colour, pairs in _LIMBS.values() for pair in pairs for index in pair}


def draw_sheet(data: Checked, title: str, source: str) -> Image.Image:
    """The whole sheet, `WIDTH` pixels wide."""
    title, source, data = visible(title), visible(source), replace(data, names=tuple(map(visible, data.names)))
    chosen = {split: spread_evenly(len(data.items[split]), ROWS[split] * COLUMNS) for split in ROWS}
    rows = {split: -(-len(indices) // COLUMNS) for split, indices in chosen.items()}
    height = 104 + sum(44 + count * (TILE + GAP) for count in rows.values()) + 52
    sheet = Image.new("RGB", (WIDTH, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, 26), title, fill=_INK, font=_font(34))
    pen.text((MARGIN, 68), _summary(data, source), fill=_SOFT, font=_font(16))
    top = 104
    for split, indices in chosen.items():
        items = data.items[split]
        things = sum(item.rows for item in items)
        pen.text((MARGIN, top + 10), split, fill=_INK, font=_font(22))
        start = MARGIN + pen.textlength(split, font=_font(22)) + 12
        pen.text((start, top + 16), f"{len(items):,} images, {things:,} boxes", fill=_SOFT, font=_font(15))
        top += 44
        for place, index in enumerate(indices):
            row, column = divmod(place, COLUMNS)
            tile = _tile(data, items[index].image, items[index].labels)
            sheet.paste(tile, (MARGIN + column * (TILE + GAP), top + row * (TILE + GAP)))
        top += rows[split] * (TILE + GAP)
    _legend(pen, top + 12, data)
    return sheet


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)  # Pillow brings it along: the same glyphs everywhere
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _summary(data: Checked, source: str) -> str:
    names = ", ".join(data.names[:8]) + (f" and {len(data.names) - 8} more" if len(data.names) > 8 else "")
    shape = f"   ·   {data.kpt_shape[0]} keypoints" if data.kpt_shape else "   ·   boxes"
    return f"{names}{shape}   ·   {source}"


def _tile(data: Checked, image: str, labels: str | None) -> Image.Image:
    """One image, scaled down to a square tile as it is, with its labels."""
    picture = decode((data.root / image).read_bytes())
    scale = min(TILE / picture.width, TILE / picture.height)
    width, height = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    left, top = (TILE - width) // 2, (TILE - height) // 2
    small = picture.resize((width * _FINE, height * _FINE), Image.Resampling.BICUBIC)
    rows: list[Row] = []
    if labels:
        form = Form(len(data.names), data.kpt_shape)
        rows, _ = read_rows((data.root / labels).read_text(encoding="utf-8"), form, labels)
    pen = ImageDraw.Draw(small)
    for row in rows:
        _draw_row(pen, row, width * _FINE, height * _FINE)
    tile = Image.new("RGB", (TILE, TILE), _EMPTY)
    tile.paste(small.reduce(_FINE), (left, top))
    return tile


def _draw_row(pen: ImageDraw.ImageDraw, row: Row, width: int, height: int) -> None:
    x, y, w, h = row.box
    colour = _BOX_COLOURS[row.number % len(_BOX_COLOURS)]
    start = round((x - w / 2) * width), round((y - h / 2) * height)
    end = round((x + w / 2) * width), round((y + h / 2) * height)
    pen.rectangle((start, end), outline=colour, width=3)
    spots = [(round(px * width), round(py * height), flag) for px, py, flag in row.keypoints]
    if len(spots) == 17:
        for tint, pairs in _LIMBS.values():
            for a, b in pairs:
                if spots[a][2] and spots[b][2]:
                    pen.line((spots[a][:2], spots[b][:2]), fill=tint, width=5)
    for index, (px, py, flag) in enumerate(spots):
        if flag:
            _draw_spot(pen, px, py, _COLOUR_OF.get(index, colour) if len(spots) == 17 else colour, flag == 2)


def _draw_spot(pen: ImageDraw.ImageDraw, x: int, y: int, colour: tuple[int, int, int], is_visible: bool) -> None:
    """A full dot for what one sees, a ring for what is hidden."""
    radius = 5
    inside = colour if is_visible else (30, 30, 34)
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=inside, outline=colour, width=2)


def _legend(pen: ImageDraw.ImageDraw, top: int, data: Checked) -> None:
    font, x = _font(14), float(MARGIN)
    entries: Sequence[tuple[str, tuple[int, int, int]]]
    if data.kpt_shape and data.kpt_shape[0] == 17:
        entries = [(name, colour) for name, (colour, _) in _LIMBS.items()]
    else:
        entries = list(zip(data.names, _BOX_COLOURS, strict=False))
    for name, colour in entries:
        pen.rounded_rectangle((x, top + 2, x + 22, top + 14), 4, fill=colour, outline=_SOFT)
        pen.text((x + 30, top - 1), name, fill=_INK, font=font)
        x += 30 + pen.textlength(name, font=font) + 24
    if data.kpt_shape:
        for name, is_visible in (("visible", True), ("hidden", False)):
            _draw_spot(pen, round(x) + 10, top + 8, _SOFT, is_visible)
            pen.text((x + 24, top - 1), name, fill=_INK, font=font)
            x += 24 + pen.textlength(name, font=font) + 24


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """As PNG by run lengths: zlib-ng's other strategies give other bytes on other processors."""
    sheet.save(path, compress_type=3)  # zlib's Z_RLE
