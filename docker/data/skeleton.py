"""A kinematic skeleton: joint angles in, joints in space out, then seen by a camera.

A body's own axes: x to the person's left, y up, z forwards; the length unit is the stature. Seen by the camera: x to
the right, y down, z towards the viewer, still in statures. Who faces the camera has the left hand on the image's right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dice import Dice, Range

Point = tuple[float, float, float]

# The order of the COCO keypoints (cocodataset.org), and the pairs that change places in a mirrored image.
KEYPOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
FLIP_IDX = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)

# Lengths in statures, rounded from a drawing manual's adult; the head is a little larger, so that it is seen at 192 px.
HEAD_RADIUS = 0.073
SPINE, NECK = 0.280, 0.132  # mid hip to mid shoulder; mid shoulder to the middle of the head
SHOULDER, HIP = 0.105, 0.062  # half widths
UPPER_ARM, FOREARM, HAND = 0.165, 0.145, 0.045
THIGH, SHIN, FOOT = 0.245, 0.225, 0.085


@dataclass(frozen=True)
class Limb:
    """Ranges in degrees: swing forwards, spread outwards; how the lower half bends (forwards) and folds (outwards)."""

    swing: Range
    spread: Range
    bend: Range
    fold: Range = (0, 0)


@dataclass(frozen=True)
class Pose:
    """One way of holding the body; first and second limb are left and right, or mirrored."""

    name: str
    arms: tuple[Limb, Limb]
    legs: tuple[Limb, Limb]
    lean: Range = (-4, 8)
    weight: int = 1


_HANGING = Limb((-12, 15), (6, 20), (2, 30))
_RAISED = Limb((-10, 20), (120, 172), (0, 10), (-25, 45))
_ASIDE = Limb((-10, 10), (70, 110), (0, 20), (-20, 60))
_AKIMBO = Limb((-25, -5), (38, 55), (20, 35), (-100, -85))
_WAVING = Limb((0, 25), (35, 80), (0, 20), (65, 110))
_REACHING = Limb((55, 100), (0, 20), (0, 30))
_FOLDED = Limb((5, 25), (8, 18), (70, 105), (-40, -20))
_ON_LAP = Limb((15, 35), (5, 15), (25, 50))
_STRAIGHT = Limb((-4, 6), (1, 8), (0, 6))
_WIDE = Limb((-4, 10), (14, 30), (0, 8))
_SEATED = Limb((72, 95), (4, 16), (70, 95))

POSES = (
    Pose("stand", (_HANGING, _HANGING), (_STRAIGHT, _STRAIGHT), weight=4),
    Pose("stand wide", (_HANGING, _FOLDED), (_WIDE, _WIDE), weight=2),
    Pose("walk", (Limb((15, 35), (4, 12), (8, 35)), Limb((-38, -15), (4, 12), (5, 25))),
         (Limb((-28, -14), (0, 5), (8, 28)), Limb((16, 32), (0, 5), (2, 12))), (0, 8), weight=4),
    Pose("run", (Limb((25, 50), (5, 15), (70, 105)), Limb((-60, -35), (5, 15), (60, 95))),
         (Limb((-40, -18), (0, 5), (50, 95)), Limb((40, 65), (0, 5), (35, 70))), (6, 20), weight=2),
    Pose("arms up", (_RAISED, _RAISED), (_STRAIGHT, _WIDE), weight=2),
    Pose("wave", (_WAVING, _HANGING), (_STRAIGHT, _STRAIGHT), weight=2),
    Pose("one arm up", (_RAISED, _AKIMBO), (_WIDE, _STRAIGHT)),
    Pose("akimbo", (_AKIMBO, _AKIMBO), (_STRAIGHT, _WIDE)),
    Pose("reach", (_REACHING, _HANGING), (_STRAIGHT, Limb((10, 25), (2, 8), (5, 25))), (0, 15), weight=2),
    Pose("arms folded", (_FOLDED, _FOLDED), (_STRAIGHT, _STRAIGHT)),
    Pose("star", (_ASIDE, _ASIDE), (_WIDE, _WIDE), weight=2),
    Pose("jump", (_RAISED, _RAISED), (Limb((10, 45), (8, 25), (30, 80)), Limb((-10, 30), (8, 25), (20, 90))), weight=2),
    Pose("sit", (_ON_LAP, _ON_LAP), (_SEATED, _SEATED), (-8, 8), weight=2),
    Pose("sit and wave", (_WAVING, _ON_LAP), (_SEATED, _SEATED), (-8, 8)),
    Pose("squat", (_REACHING, _REACHING), (Limb((75, 105), (8, 24), (100, 130)), Limb((75, 105), (8, 24), (100, 130))),
         (15, 35)),
    Pose("bow", (Limb((30, 70), (4, 12), (0, 20)), _HANGING), (_STRAIGHT, _STRAIGHT), (35, 65)),
)  # fmt: skip
_DECK = tuple(pose for pose in POSES for _ in range(pose.weight))


@dataclass(frozen=True)
class Joints:
    """A body seen by the camera: named points, and the head's forward, left and up directions (unit length)."""

    points: dict[str, Point]
    forward: Point
    left: Point
    up: Point
    pose: str


def _direction(swing: float, spread: float, side: int) -> Point:
    """A limb that hangs down, swung forwards, then spread to its side (degrees; side 1 is the left)."""
    s, a = math.radians(swing), math.radians(spread)
    return side * math.cos(s) * math.sin(a), -math.cos(s) * math.cos(a), math.sin(s)


def step(origin: Point, direction: Point, length: float) -> Point:
    """The point that lies `length` along `direction` from `origin`."""
    x, y, z = (a + b * length for a, b in zip(origin, direction, strict=True))
    return x, y, z


def _tilt(vector: Point, forwards: float, sideways: float) -> Point:
    """`vector` leant forwards (about x), then to the left (about z), in degrees."""
    x, y, z = vector
    f, s = math.radians(forwards), math.radians(sideways)
    y, z = y * math.cos(f) - z * math.sin(f), z * math.cos(f) + y * math.sin(f)
    return x * math.cos(s) + y * math.sin(s), y * math.cos(s) - x * math.sin(s), z


def _turn(vector: Point, yaw: float) -> Point:
    """`vector` turned about the upright axis (degrees), forwards becoming left."""
    x, y, z = vector
    a = math.radians(yaw)
    return x * math.cos(a) + z * math.sin(a), y, z * math.cos(a) - x * math.sin(a)


def _reach(dice: Dice, points: dict[str, Point], limb: Limb, side: str, names: tuple[str, ...], lengths: Point) -> None:
    """Hang a limb on its first joint: two halves, then the hand or the foot."""
    sign = 1 if side == "left" else -1
    swing, spread = dice.between(*limb.swing), dice.between(*limb.spread)
    bend, fold = dice.between(*limb.bend), dice.between(*limb.fold)
    upper = _direction(swing, spread, sign)
    is_leg = names[0] == "hip"
    bend = -bend if is_leg else bend  # knees bend backwards, elbows forwards
    lower = _direction(swing + bend, spread + fold, sign)
    end = _direction(85 - dice.between(0, 15), dice.between(5, 30), sign) if is_leg else lower
    joint = points[f"{side}_{names[0]}"]
    for name, direction, length in zip(names[1:], (upper, lower, end), lengths, strict=True):
        joint = points[f"{side}_{name}"] = step(joint, direction, length)


def _head(dice: Dice, points: dict[str, Point], lean: float, sideways: float) -> tuple[Point, Point, Point]:
    """Put the head on the shoulders; returns its forward, left and up directions."""
    yaw, pitch = dice.between(-40, 40), lean * 0.5 + dice.between(-14, 20)
    forward, left, up = (
        _tilt(_turn(axis, yaw), pitch, sideways) for axis in ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    )
    centre = points["head"] = step(points["neck"], _tilt((0.0, 1.0, 0.12), lean * 0.8, sideways), NECK)
    points["nose"] = step(step(centre, forward, HEAD_RADIUS * 1.02), up, -HEAD_RADIUS * 0.15)
    for side, sign in (("left", 1), ("right", -1)):
        eye = step(step(centre, forward, HEAD_RADIUS * 0.84), left, sign * HEAD_RADIUS * 0.40)
        points[f"{side}_eye"] = step(eye, up, HEAD_RADIUS * 0.20)
        points[f"{side}_ear"] = step(step(centre, left, sign * HEAD_RADIUS * 0.93), forward, -HEAD_RADIUS * 0.08)
    return forward, left, up


def strike(dice: Dice, yaw: float, pitch: float) -> Joints:
    """One body in a random pose, seen by a camera: turned by `yaw` (0 faces it, 180 away), seen from `pitch` above."""
    pose = dice.pick(_DECK)
    lean, sideways = dice.between(*pose.lean), dice.between(-7, 7)
    swapped = dice.chance(0.5)
    points: dict[str, Point] = {"pelvis": (0.0, 0.0, 0.0)}
    points["neck"] = step(points["pelvis"], _tilt((0.0, 1.0, 0.0), lean, sideways), SPINE)
    across = _tilt(_turn((1.0, 0.0, 0.0), dice.between(-12, 12)), 0, sideways)
    for index, side in enumerate(("left", "right")):
        sign = 1 - 2 * index
        points[f"{side}_shoulder"] = step(points["neck"], across, sign * SHOULDER)
        points[f"{side}_hip"] = (sign * HIP, 0.0, 0.0)
        number = 1 - index if swapped else index
        _reach(
            dice, points, pose.arms[number], side, ("shoulder", "elbow", "wrist", "hand"), (UPPER_ARM, FOREARM, HAND)
        )
        _reach(dice, points, pose.legs[number], side, ("hip", "knee", "ankle", "toe"), (THIGH, SHIN, FOOT))
    axes = _head(dice, points, lean, sideways)
    forward, left, up = (_seen(axis, yaw, pitch) for axis in axes)
    return Joints({name: _seen(point, yaw, pitch) for name, point in points.items()}, forward, left, up, pose.name)


def _seen(point: Point, yaw: float, pitch: float) -> Point:
    """From the body's axes to the camera's."""
    x, y, z = _turn(point, yaw)
    p = math.radians(pitch)
    return x, -(y * math.cos(p) - z * math.sin(p)), z * math.cos(p) + y * math.sin(p)
