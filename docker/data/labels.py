"""Label files in YOLO's format: a line for each thing, `class x y w h`, then x y v for each keypoint.

All coordinates are shares of the image's size.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from problems import Problem

_BOX_COLUMNS = 5
ROWS_MAX = 20_000  # things in one image; crowds and aerial pictures have up to 3,000
KEYPOINTS_MAX = 1024  # of one thing; a mesh of a face has 478
_CLASS_DIGITS = 3  # of a class number that is believed without a list of names


@dataclass(frozen=True)
class Form:
    """What the rows of a data set look like."""

    classes: int
    kpt_shape: tuple[int, int] | None  # keypoints and numbers for each; None for boxes only

    @property
    def columns(self) -> int:
        return _BOX_COLUMNS + (self.kpt_shape[0] * self.kpt_shape[1] if self.kpt_shape else 0)


@dataclass(frozen=True)
class Row:
    """One labelled thing."""

    number: int
    box: tuple[float, float, float, float]  # middle x and y, width, height
    keypoints: tuple[tuple[float, float, int], ...] = ()


def read_rows(text: str, form: Form, where: str) -> tuple[list[Row], list[Problem]]:
    """All rows of a label file, and what is wrong with it."""
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if len(lines) > ROWS_MAX:
        return [], [Problem(where, f"{len(lines):,} rows; more than {ROWS_MAX:,} are not read")]
    # Outlines (class x1 y1 x2 y2 …) are turned into boxes by ultralytics, if all rows of a file are outlines.
    has_outlines = not form.kpt_shape and bool(lines) and all(len(words) >= 7 and len(words) % 2 for _, words in lines)
    rows, problems = [], []
    for number, words in lines:
        found = _read_row(words, form, f"{where}:{number}", has_outlines)
        if isinstance(found, Row):
            rows.append(found)
        else:
            problems.append(found)
    return rows, problems


def _read_row(words: list[str], form: Form, where: str, is_outline: bool) -> Row | Problem:
    if len(words) != form.columns and not is_outline:
        return Problem(where, f"{len(words)} columns, expected {form.columns}", _columns_hint(len(words), form))
    try:
        values = [float(np.float32(word)) for word in words]  # as ultralytics reads them
    except ValueError:
        return Problem(where, "not all columns are numbers")
    if not all(map(math.isfinite, values)):
        return Problem(where, "a number is not finite")
    number = int(values[0])
    if number != values[0] or not 0 <= number < form.classes:
        last = form.classes - 1
        return Problem(
            where, f"class {words[0]:.20}, but the classes are 0 to {last}", "names in data.yaml lists all classes"
        )
    box = _around(values[1:]) if is_outline else (values[1], values[2], values[3], values[4])
    keypoints = [] if is_outline else values[_BOX_COLUMNS:]
    dimension = form.kpt_shape[1] if form.kpt_shape else 3
    flags = keypoints[2::dimension] if dimension > 2 else []
    places = [value for index, value in enumerate(keypoints) if index % dimension < 2]
    for value in (*(values[1:] if is_outline else box), *places):
        if not 0 <= value <= 1:
            return Problem(
                where, f"coordinate {value:g} is not within 0 and 1", "coordinates are shares of the image's size"
            )
    if box[2] <= 0 or box[3] <= 0:
        return Problem(where, f"box {box[2]:g} wide and {box[3]:g} high")
    for flag in flags:
        if flag not in (0, 1, 2):
            return Problem(where, f"visibility {flag:g}", "visibility is 0 not labelled, 1 hidden, 2 visible")
    points = zip(keypoints[0::dimension], keypoints[1::dimension], flags, strict=True) if flags else ()
    return Row(number, box, tuple((x, y, int(flag)) for x, y, flag in points))


def _around(outline: list[float]) -> tuple[float, float, float, float]:
    left, right, top, bottom = min(outline[0::2]), max(outline[0::2]), min(outline[1::2]), max(outline[1::2])
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


def _columns_hint(found: int, form: Form) -> str:
    if form.kpt_shape and found == _BOX_COLUMNS:
        return "these labels have boxes only; a detect recipe takes them"
    if not form.kpt_shape and found > _BOX_COLUMNS:
        return "these labels have keypoints or outlines; a pose recipe takes keypoints"
    if form.kpt_shape and found == _BOX_COLUMNS + form.kpt_shape[0] * 2:
        return "these keypoints have no visibility: write x y 2 for each, or x y 0 where there is none"
    return "kpt_shape in data.yaml says how many keypoints a row has"


def guess_form(texts: Iterable[str], keypoint_values: int) -> Form | None:
    """What rows look like in a set without a yaml, from most rows' columns; `read_rows` finds those that differ."""
    columns: Counter[int] = Counter()
    highest = 0
    for text in texts:
        for words in map(str.split, text.splitlines()):
            if words:
                columns[len(words)] += 1
                # Class numbers may be written 0 or 0.0; a wild one is refused as out of range later.
                digits = words[0].partition(".")[0]
                highest = max(highest, int(digits) if digits.isdecimal() and len(digits) <= _CLASS_DIGITS else 0)
    if not columns:
        return None
    extra = max(columns, key=lambda count: (columns[count], count)) - _BOX_COLUMNS
    for dimension in (keypoint_values, 2):
        if extra > 0 and extra % dimension == 0 and extra // dimension <= KEYPOINTS_MAX:
            return Form(highest + 1, (extra // dimension, dimension))
    return Form(highest + 1, None)
