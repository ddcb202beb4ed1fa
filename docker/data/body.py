"""A person: clothes over a skeleton, painted from back to front, and which keypoints one can see afterwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from canvas import SCALE, Canvas, Circle
from dice import Colour, Dice, Pixels, shade
from face import bare_ear, on_near_side, paint_head
from skeleton import KEYPOINTS, Joints, Point, step

_LIMBS = ("upper_arm", "forearm", "hand", "thigh", "shin", "foot")
PARTS = ("torso", "skirt", "head", "neck", *(f"{side}_{part}" for side in ("left", "right") for part in _LIMBS))
HIDDEN, SEEN = 1, 2  # COCO's visibility flags for a keypoint inside the image

_SKIN = ((255, 219, 190), (241, 194, 152), (224, 172, 125), (198, 134, 88), (150, 96, 62), (104, 66, 45))
_HAIR = ((35, 26, 22), (62, 40, 28), (108, 70, 40), (176, 128, 66), (222, 188, 120), (150, 60, 32), (150, 150, 152))
_CLOTH = (
    (196, 48, 52), (226, 112, 44), (238, 186, 60), (64, 142, 84), (38, 118, 132), (46, 92, 168), (92, 74, 158),
    (190, 82, 138), (240, 236, 226), (122, 124, 130), (44, 46, 54), (128, 178, 210), (164, 192, 110), (132, 44, 62),
)  # fmt: skip
_LEGWEAR = ((38, 48, 78), (62, 84, 124), (44, 44, 48), (120, 104, 82), (92, 96, 100), (168, 156, 132), (74, 88, 66))


@dataclass(frozen=True)
class Look:
    """Colours and cut of one person's clothes."""

    skin: Colour
    hair: Colour
    haircut: str  # short, long, bun, bald, cap, curly
    top: Colour
    trim: Colour
    sleeve: float  # share of the arm that the top covers: 0 to 2 (2: to the wrist)
    pattern: str  # plain, stripes, band
    bottom: Colour
    trousers: float  # share of the leg that is covered: 0 to 2
    skirt: float  # length of a skirt in thighs, 0 for none
    shoe: Colour
    girth: float  # 0.85 slim to 1.25 stout


def choose_look(dice: Dice) -> Look:
    """Clothes, hair and build by chance."""
    top = dice.near(dice.pick(_CLOTH), 18)
    skirt = dice.between(0.55, 1.15) if dice.chance(0.18) else 0.0
    is_dress = skirt > 0 and dice.chance(0.5)
    return Look(
        skin=dice.near(dice.pick(_SKIN), 8),
        hair=dice.near(dice.pick(_HAIR), 10),
        haircut=dice.pick(("short", "short", "long", "long", "bun", "bald", "cap", "curly")),
        top=top,
        trim=dice.near(dice.pick(_CLOTH), 18),
        sleeve=dice.pick((0.0, 0.55, 0.6, 0.7, 2.0, 2.0)),
        pattern=dice.pick(("plain", "plain", "stripes", "band")),
        bottom=top if is_dress else dice.near(dice.pick(_CLOTH if skirt else _LEGWEAR), 14),
        trousers=0.0 if skirt else dice.pick((2.0, 2.0, 2.0, 0.75, 1.3)),
        skirt=skirt,
        shoe=dice.near(dice.pick(((40, 38, 40), (232, 232, 230), (176, 56, 52), (88, 62, 44), (60, 92, 150))), 10),
        girth=dice.between(0.88, 1.2),
    )


class Body:
    """One person at one place of the image; `number` is that of its first part on the canvas's map of things."""

    def __init__(self, joints: Joints, look: Look, stature: float, x: float, y: float, number: int) -> None:
        self.joints, self.look, self.stature, self.number = joints, look, stature, number
        self.x, self.y = x, y  # where the middle of the hips is, in pixels

    def place(self, point: Point, radius: float) -> Circle:
        """A ball in space as a circle in the image (pixels)."""
        return self.x + point[0] * self.stature, self.y + point[1] * self.stature, radius * self.stature

    def thing(self, part: str) -> int:
        return self.number + PARTS.index(part)

    def paint(self, canvas: Canvas) -> None:
        """Draw all parts, the farthest first."""
        points, look = self.joints.points, self.look
        parts: list[tuple[float, int, str]] = []
        for index, part in enumerate(PARTS):
            if part == "skirt" and not look.skirt:
                continue
            parts.append((round(self._depth(part, points), 3), index, part))
        for _, _, part in sorted(parts):
            if part == "head":
                paint_head(canvas, self)
            elif part == "torso":
                self._paint_torso(canvas)
            elif part == "skirt":
                self._paint_skirt(canvas)
            elif part == "neck":
                bottom, top = points["neck"], step(points["neck"], self.joints.up, 0.07)
                circles = [self.place(bottom, 0.034), self.place(top, 0.032)]
                canvas.solid(circles, shade(look.skin, 0.88), self.thing(part))
            else:
                self._paint_limb(canvas, part)

    def _depth(self, part: str, points: dict[str, Point]) -> float:
        """How near a part is (statures), with a nudge for what clothes or habit put on top."""
        if part == "torso":
            return (points["neck"][2] + points["pelvis"][2]) / 2 + 0.015
        if part == "skirt":
            return max(points[f"{side}_{joint}"][2] for side in ("left", "right") for joint in ("hip", "knee")) + 0.01
        if part in ("head", "neck"):
            return points[part][2] + (0.06 if part == "head" else 0.02)
        side, _, name = part.partition("_")
        ends = _ENDS[name]
        depth = (points[f"{side}_{ends[0]}"][2] + points[f"{side}_{ends[1]}"][2]) / 2
        return depth + {"upper_arm": 0.02, "forearm": 0.03, "hand": 0.035}.get(name, 0.0)

    def _paint_limb(self, canvas: Canvas, part: str) -> None:
        side, _, name = part.partition("_")
        look, points = self.look, self.joints.points
        start, end = (points[f"{side}_{joint}"] for joint in _ENDS[name])
        first, last = (radius * look.girth for radius in _RADII[name])
        thing = self.thing(part)
        if name == "hand":
            canvas.solid([self.place(start, 0.022), self.place(end, 0.026)], look.skin, thing)
            return
        if name == "foot":
            canvas.solid([self.place(start, 0.028), self.place(end, 0.022)], look.shoe, thing)
            return
        is_lower = name in ("forearm", "shin")
        cover = (look.sleeve if name in ("upper_arm", "forearm") else look.trousers) - is_lower
        cloth = look.top if name in ("upper_arm", "forearm") else look.bottom
        canvas.solid([self.place(start, first), self.place(end, last)], cloth if cover >= 1 else look.skin, thing)
        if 0 < cover < 1:
            hem = tuple(a + (b - a) * cover for a, b in zip(start, end, strict=True))
            radius = (first + (last - first) * cover) * 1.12
            canvas.solid([self.place(start, first * 1.06), self.place((hem[0], hem[1], hem[2]), radius)], cloth, thing)

    def _paint_torso(self, canvas: Canvas) -> None:
        look, points = self.look, self.joints.points
        thing = self.thing("torso")
        hips = [self.place(points[f"{side}_hip"], 0.052 * look.girth) for side in ("left", "right")]
        shoulders = [self.place(points[f"{side}_shoulder"], 0.036 * look.girth) for side in ("left", "right")]
        belly = self.place(step(points["pelvis"], self.joints.up, 0.03), 0.07 * look.girth)
        canvas.solid([*hips, belly], look.bottom, thing)
        waist = [(x, y - 0.035 * self.stature, r) for x, y, r in hips]
        chest = self.place(step(points["neck"], self.joints.up, -0.11), 0.072 * look.girth)
        canvas.solid([*waist, *shoulders, chest], look.top, thing)
        shares = {"stripes": (0.25, 0.5, 0.75), "band": (0.36,)}.get(look.pattern, ())
        for share in shares:
            self._paint_band(canvas, shoulders, waist, share, 0.07 if look.pattern == "stripes" else 0.22)

    def _paint_band(
        self, canvas: Canvas, upper: list[Circle], lower: list[Circle], share: float, height: float
    ) -> None:
        """A band of the trim's colour around the chest, from `share` of the way down."""
        corners = []
        for side, part in ((0, share), (1, share), (1, share + height), (0, share + height)):
            (ax, ay, ar), (bx, by, br) = upper[side], lower[side]
            outwards = 1 if upper[side][0] >= upper[1 - side][0] else -1
            radius = (ar + (br - ar) * part) * 0.82
            corners.append((ax + (bx - ax) * part + outwards * radius, ay + (by - ay) * part))
        canvas.patch(corners, self.look.trim)

    def _paint_skirt(self, canvas: Canvas) -> None:
        points, look = self.joints.points, self.look
        circles = [self.place(points[f"{side}_hip"], 0.056 * look.girth) for side in ("left", "right")]
        for side in ("left", "right"):
            hip, knee = points[f"{side}_hip"], points[f"{side}_knee"]
            x, y, z = (a + (b - a) * look.skirt for a, b in zip(hip, knee, strict=True))
            circles.append(self.place((x * 1.15, y, z), 0.058))
        canvas.solid(circles, look.bottom, self.thing("skirt"))

    def keypoints(self, things: Pixels, size: int) -> list[tuple[float, float, int]]:
        """The 17 keypoints: x, y in pixels and COCO's visibility, as the finished map of things shows them."""
        found = []
        for name in KEYPOINTS:
            x, y, _ = self.place(self.joints.points[name], 0)
            if not (0 <= x < size and 0 <= y < size):
                found.append((0.0, 0.0, 0))
                continue
            column, row = round(x * SCALE), round(y * SCALE)
            around = things[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3]
            shares = np.isin(around, [self.thing(part) for part in self._showing(name)])
            is_seen = 2 * int(np.count_nonzero(shares)) > shares.size
            found.append((x, y, SEEN if is_seen else HIDDEN))
        return found

    def _showing(self, name: str) -> tuple[str, ...]:
        """The parts that show a keypoint where they are the topmost thing; none where it is turned away."""
        side, _, joint = name.partition("_")
        if name == "nose" or joint == "eye":
            return ("head",) if on_near_side(self, name) else ()
        if joint == "ear":
            return ("head",) if bare_ear(self, side) else ()
        points = self.joints.points
        middle = points["neck" if joint == "shoulder" else "pelvis"]
        own = tuple(f"{side}_{part}" for part in _SHOWN_BY[joint])
        if joint in ("shoulder", "hip") and points[name][2] > middle[2] - 0.045:
            own += ("torso", "skirt")  # not so the far shoulder of somebody seen from the side
        return (*own, "skirt") if joint == "knee" else own


_ENDS = {
    "upper_arm": ("shoulder", "elbow"), "forearm": ("elbow", "wrist"), "hand": ("wrist", "hand"),
    "thigh": ("hip", "knee"), "shin": ("knee", "ankle"), "foot": ("ankle", "toe"),
}  # fmt: skip
_RADII = {
    "upper_arm": (0.038, 0.028), "forearm": (0.029, 0.022), "hand": (0.022, 0.026),
    "thigh": (0.056, 0.038), "shin": (0.038, 0.026), "foot": (0.028, 0.022),
}  # fmt: skip
_SHOWN_BY = {
    "shoulder": ("upper_arm",), "elbow": ("upper_arm", "forearm"), "wrist": ("forearm", "hand"),
    "hip": ("thigh",), "knee": ("thigh", "shin"), "ankle": ("shin", "foot"),
}  # fmt: skip
