"""A head: face and hair in the order in which the camera sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canvas import Canvas
from dice import Colour, mix, shade
from skeleton import HEAD_RADIUS, step

if TYPE_CHECKING:
    from body import Body


def paint_head(canvas: Canvas, body: Body) -> None:
    """Face and hair, the one towards the camera last; then what only a face that is seen has."""
    joints, look, thing = body.joints, body.look, body.thing("head")
    centre, r = joints.points["head"], HEAD_RADIUS
    chin = body.place(step(step(centre, joints.up, -r * 0.55), joints.forward, r * 0.2), r * 0.62)
    face = [body.place(step(centre, joints.forward, r * 0.12), r * 0.86), chin]
    crown = step(step(centre, joints.up, r * 0.22), joints.forward, -r * 0.24)
    hair = [body.place(crown, r * (1.12 if look.haircut == "curly" else 0.98))]
    if look.haircut in ("long", "bun"):
        back = step(step(centre, joints.up, -r * (0.9 if look.haircut == "long" else 0.1)), joints.forward, -r * 0.35)
        hair.append(body.place(back, r * 0.74))
    tint = look.skin if look.haircut == "bald" else look.trim if look.haircut == "cap" else look.hair
    is_facing = joints.forward[2] > -0.25
    if look.haircut == "bun":
        bun = step(step(crown, joints.up, r * 0.85), joints.forward, -r * 0.55)
        canvas.solid([body.place(bun, r * 0.42)], tint, thing)
    for circles, colour in ((hair, tint), (face, look.skin)) if is_facing else ((face, look.skin), (hair, tint)):
        canvas.solid(circles, colour, thing)
    if is_facing:
        _paint_fringe(canvas, body, tint)
    _paint_ears(canvas, body)
    _paint_face(canvas, body)


def _paint_fringe(canvas: Canvas, body: Body, tint: Colour) -> None:
    """The front of the hair, or a cap with its peak."""
    joints, thing, r = body.joints, body.thing("head"), HEAD_RADIUS
    if body.look.haircut == "bald":
        return
    top = step(step(joints.points["head"], joints.up, r * 0.72), joints.forward, r * 0.16)
    sides = [body.place(step(top, joints.left, sign * r * 0.42), r * 0.34) for sign in (-1, 1)]
    canvas.solid([*sides, body.place(step(top, joints.up, r * 0.12), r * 0.36)], tint, thing)
    if body.look.haircut == "cap":
        peak = step(step(top, joints.forward, r * 0.85), joints.up, -r * 0.22)
        sides = [body.place(step(peak, joints.left, sign * r * 0.34), r * 0.14) for sign in (-1, 1)]
        canvas.solid([*sides, body.place(step(top, joints.forward, r * 0.3), r * 0.3)], shade(tint, 0.85), thing)


def _paint_ears(canvas: Canvas, body: Body) -> None:
    joints, r = body.joints, HEAD_RADIUS
    for side in ("left", "right"):
        ear = joints.points[f"{side}_ear"]
        if bare_ear(body, side):
            low = step(ear, joints.up, -r * 0.16)
            canvas.solid(
                [body.place(ear, r * 0.2), body.place(low, r * 0.13)], shade(body.look.skin, 0.92), body.thing("head")
            )


def _paint_face(canvas: Canvas, body: Body) -> None:
    """Eyes, brows, nose and mouth, where they are on the near side."""
    joints, look, r = body.joints, body.look, HEAD_RADIUS
    thing, dark = body.thing("head"), mix(look.hair, (30, 22, 20), 0.6)
    for side in ("left", "right"):
        eye = joints.points[f"{side}_eye"]
        if on_near_side(body, f"{side}_eye"):
            squeeze = max(0.35, joints.forward[2])
            wide = step(eye, joints.left, r * 0.07 * squeeze), step(eye, joints.left, -r * 0.07 * squeeze)
            canvas.solid([body.place(spot, r * 0.11) for spot in wide], (244, 242, 238), thing, gloss=0)
            canvas.solid([body.place(eye, r * 0.095)], (36, 28, 26), thing, gloss=0)
            brow = [step(step(eye, joints.up, r * 0.26), joints.left, sign * r * 0.16 * squeeze) for sign in (-1, 1)]
            canvas.solid([body.place(spot, r * 0.045) for spot in brow], dark, thing, gloss=0)
    if on_near_side(body, "nose"):
        nose = joints.points["nose"]
        bridge = step(step(nose, joints.up, r * 0.28), joints.forward, -r * 0.14)
        canvas.solid([body.place(nose, r * 0.13), body.place(bridge, r * 0.07)], shade(look.skin, 0.93), thing)
    mouth = step(step(joints.points["head"], joints.up, -r * 0.6), joints.forward, r * 0.84)
    if joints.forward[2] > 0.2:
        ends = [step(mouth, joints.left, sign * r * 0.22) for sign in (-1, 1)]
        canvas.solid([body.place(end, r * 0.055) for end in ends], mix(look.skin, (150, 30, 40), 0.6), thing, gloss=0)


def bare_ear(body: Body, side: str) -> bool:
    """Whether an ear is on the near side or at the head's outline, and no hair hangs over it."""
    depth = body.joints.points[f"{side}_ear"][2] - body.joints.points["head"][2]
    return depth > -0.3 * HEAD_RADIUS and body.look.haircut not in ("long", "curly") and body.joints.forward[2] > -0.75


def on_near_side(body: Body, name: str) -> bool:
    depth = body.joints.points[name][2] - body.joints.points["head"][2]
    return depth > (-0.2 if name == "nose" else 0.1) * HEAD_RADIUS
