"""The sample set `figures`: people-like figures with the 17 COCO keypoints; one seed, one set of bytes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import stage
from body import SEEN, Body, Look, choose_look
from canvas import SCALE, Canvas
from cores import map_on_cores
from dice import Dice, shade
from foreground import OCCLUDERS, shadow
from PIL import Image
from scenery import expose, paint_background
from skeleton import Joints, strike

SPLITS = ("train", "val")
CHAIR = 254  # its number on the canvas's map of things
_QUALITY = 90  # of the JPEG files
_YAWS = (*(((-45, 45),) * 5), (-110, 110), (-110, 110), (140, 220))  # degrees: to the camera, any side, away
_LEAST_SHOWN = 0.40  # of a figure's outline, or it is not drawn at all
_LEAST_KEYPOINTS = 6  # seen
_PAINTER_DIED = (
    "a process that drew the sample set died: memory ran out",
    "more memory below [limits] in docker/data/stage.toml",
)


@dataclass(frozen=True)
class Settings:
    """What the recipe may say about the drawing: images per split, their size in pixels, and the seed."""

    name: str = "figures"
    train: int = 512
    val: int = 64
    size: int = 320
    seed: int = 0


_LIMITS = {"train": (1, 100_000), "val": (1, 100_000), "size": (64, 1280), "seed": (0, 2**31)}


def parse_settings(table: dict[str, Any]) -> Settings:
    """The parameter `sample`, checked; what is left out has its default."""
    known = [field.name for field in fields(Settings)]
    for key, value in table.items():
        if key not in known:
            raise stage.Refused(f"sample: unknown key {key!r}", f"the keys are {', '.join(known)}")
        if key == "name":
            if value != "figures":
                raise stage.Refused(f"sample: no sample set is called {value!r}", 'name = "figures"')
            continue
        low, high = _LIMITS[key]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise stage.Refused(f"sample: {key} is {value!r}", f"{key} is a whole number from {low} to {high}")
    return Settings(**table)


@dataclass(frozen=True)
class Label:
    """One figure, in pixels: box as left, top, right, bottom; keypoints as x, y, visibility."""

    box: tuple[float, float, float, float]
    keypoints: tuple[tuple[float, float, int], ...]

    def row(self, size: int, with_keypoints: bool) -> str:
        """The figure as a line of a YOLO label file."""
        left, top, right, bottom = (edge / size for edge in self.box)
        numbers = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
        row = "0 " + " ".join(f"{number:.5f}" for number in numbers)
        if with_keypoints:
            row += "".join(f" {x / size:.5f} {y / size:.5f} {flag}" for x, y, flag in self.keypoints)
        return row


@dataclass(frozen=True)
class Figure:
    """One figure before it is drawn: where its hips are (pixels), and how large it is."""

    joints: Joints
    look: Look
    stature: float
    x: float
    y: float
    ground: float
    chair: tuple[int, int, int] | None


def draw(seed: tuple[int, ...], size: int) -> tuple[Image.Image, list[Label]]:
    """One image and the labels of all figures in it; the scene is drawn again without those that hardly show."""
    dice = Dice(*seed)
    horizon = size * dice.between(0.22, 0.5)
    figures = [] if dice.chance(0.04) else _arrange(dice, size, horizon)
    scene_seed = dice.whole(0, 2**31)
    while True:
        canvas, bodies, alone = _paint(Dice(scene_seed), size, horizon, figures)
        labels = [_label(canvas, body, area) for body, area in zip(bodies, alone, strict=True)]
        if all(labels):
            return expose(canvas.finished(), dice), [label for label in labels if label][::-1]
        figures = [figure for figure, label in zip(figures, labels, strict=True) if label]


def _arrange(dice: Dice, size: int, horizon: float) -> list[Figure]:
    """Figures side by side, the farthest first; those that are nearer are larger and stand lower in the image."""
    count = dice.pick((1, 1, 1, 1, 2, 2, 2, 3, 3, 4))
    camera = dice.between(0.45, 0.95)  # height of the camera above the ground, in statures
    pitch = dice.between(0, 12)
    smallest, largest = {1: (0.55, 1.0), 2: (0.5, 0.92), 3: (0.46, 0.8), 4: (0.42, 0.7)}[count]
    is_close = count == 1 and dice.chance(0.15)  # somebody near the camera, cut off by the image's lower edge
    figures = []
    for place in range(count):
        stature = size * (dice.between(1.0, 1.5) if is_close else dice.between(smallest, largest))
        ground = min(horizon + camera * stature, size * 0.99)
        x = size * (place + dice.between(0.25, 0.75)) / count
        yaw = dice.between(*dice.pick(_YAWS))
        joints = strike(dice, yaw, pitch)
        lowest = max(point[1] for point in joints.points.values()) * stature
        highest = min(joints.points["head"][1] - 0.09, *(point[1] for point in joints.points.values())) * stature
        y = ground - lowest - 0.02 * stature
        if joints.pose == "jump":
            y -= stature * dice.between(0.05, 0.15)
        if is_close:  # the head near the upper edge, the feet somewhere below the image
            y = size * dice.between(0.06, 0.18) - highest
        y = max(y, size * 0.02 - highest)
        seat = shade(dice.colour(70, 200), 0.8) if joints.pose.startswith("sit") else None
        figures.append(Figure(joints, choose_look(dice), stature, x, y, y + lowest, seat))
    return sorted(figures, key=lambda figure: round(figure.ground))


def _paint(dice: Dice, size: int, horizon: float, figures: list[Figure]) -> tuple[Canvas, list[Body], list[int]]:
    """Draw the whole scene; beside the bodies, the area of each one's outline before others came in front of it."""
    canvas = Canvas(size, (dice.pick((-1, 1)) * dice.between(0.2, 0.7), -dice.between(0.3, 0.7)))
    paint_background(canvas, dice, horizon)
    occluders = [(dice.pick(OCCLUDERS), dice.between(0, 1), dice.between(0.1, 0.28), dice.whole(0, 2**31))
                 for _ in range(dice.pick((0, 0, 0, 1, 1, 2)))]  # fmt: skip
    bodies, alone = [], []
    for index, figure in enumerate(figures):
        body = Body(figure.joints, figure.look, figure.stature, figure.x, figure.y, 1 + 20 * index)
        shadow(canvas, figure.x, figure.ground, figure.stature * 0.2)
        _paint_with_chair(canvas, body, figure)
        bodies.append(body)
        alone.append(_silhouette(canvas, body)[0])
    for paint_occluder, across, height, seed in occluders:
        paint_occluder(canvas, Dice(seed), across * size, size * 1.01, height * size)
    return canvas, bodies, alone


def _paint_with_chair(canvas: Canvas, body: Body, figure: Figure) -> None:
    """A chair behind the figure; its back comes in front of somebody who is seen from behind."""
    if not figure.chair:
        body.paint(canvas)
        return
    points, unit = figure.joints.points, figure.stature
    away = points["left_knee"][2] + points["right_knee"][2] < -0.2
    lean = (points["neck"][0] - points["pelvis"][0]) * 0.3
    left, right = figure.x - 0.15 * unit, figure.x + 0.15 * unit
    seat = figure.y + 0.05 * unit

    def paint_back() -> None:
        canvas.box(
            left + lean * unit,
            seat - 0.26 * unit,
            right + lean * unit,
            seat,
            shade(figure.chair or (0, 0, 0), 0.8),
            CHAIR,
        )

    if not away:
        paint_back()
    for leg in (left, right - 0.03 * unit):
        canvas.box(leg, seat, leg + 0.03 * unit, figure.ground, shade(figure.chair, 0.6), CHAIR)
    canvas.solid(
        [(left, seat + 0.02 * unit, 0.022 * unit), (right, seat + 0.02 * unit, 0.022 * unit)], figure.chair, CHAIR
    )
    body.paint(canvas)
    if away:
        paint_back()


def _silhouette(canvas: Canvas, body: Body) -> tuple[int, tuple[float, float, float, float]]:
    """How many spots of the canvas show the body, and its box in image pixels."""
    things = np.asarray(canvas.things)
    shown = (things >= body.number) & (things < body.number + 20)
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    if not rows.size:
        return 0, (0, 0, 0, 0)
    box = (columns[0] / SCALE, rows[0] / SCALE, (columns[-1] + 1) / SCALE, (rows[-1] + 1) / SCALE)
    return int(np.count_nonzero(shown)), box


def _label(canvas: Canvas, body: Body, alone: int) -> Label | None:
    """The figure's label from the finished canvas, or nothing if too little of it shows."""
    area, box = _silhouette(canvas, body)
    keypoints = tuple(body.keypoints(np.asarray(canvas.things), canvas.size))
    seen = sum(flag == SEEN for _, _, flag in keypoints)
    if seen < _LEAST_KEYPOINTS or area < _LEAST_SHOWN * alone:
        return None
    return Label(box, keypoints)


def _write(job: tuple[Path, str, int, Settings, bool]) -> None:
    folder, split, index, settings, with_keypoints = job
    picture, labels = draw((settings.seed, SPLITS.index(split), index), settings.size)
    picture.save(folder / "images" / split / f"{index:06}.jpg", quality=_QUALITY, subsampling=0)
    rows = "".join(label.row(settings.size, with_keypoints) + "\n" for label in labels)
    (folder / "labels" / split / f"{index:06}.txt").write_text(rows)


def write_set(folder: Path, settings: Settings, with_keypoints: bool) -> None:
    """Draw both splits into `folder` in YOLO's layout, on all cores; every image has its own seed."""
    jobs: list[tuple[Path, str, int, Settings, bool]] = []
    for split in SPLITS:
        (folder / "images" / split).mkdir(parents=True)
        (folder / "labels" / split).mkdir(parents=True)
        jobs += [(folder, split, index, settings, with_keypoints) for index in range(getattr(settings, split))]
    for done, _ in enumerate(map_on_cores(_write, jobs, _PAINTER_DIED), 1):
        if done % 8 == 0 or done == len(jobs):
            stage.progress(done, len(jobs), "drawing")
