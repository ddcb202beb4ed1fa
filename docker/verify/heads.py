"""Which outputs a model has, by their shapes: the forms of YOLOv8 that some firmware decodes.

n(s) = (S / s)² anchors at stride s = 8, 16, 32, N of them in all:
    raw-pose       seven:  box [1, n, 64] and cls [1, n, 1] at each stride, kpt [1, N, 3 · keypoints]
    raw-detect     six:    box [1, n, 64] and cls [1, n, classes] at each stride, classes ≠ 64
    decoded        one:    [1, 4 + classes, N], boxes as centre and size; a pose model has its keypoints behind them
    boxes-scores   two:    [1, 4, N] and [1, N, classes]
Source: SSCMA-Micro el_algorithm_{yolo_pose,yolo_world,yolov8}.cpp is_model_valid(), Himax cvapp_yolov8n_ob.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

STRIDES = (8, 16, 32)
BINS = 64  # columns of a raw box: 4 sides of 16 bins
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Heads:
    """A recognised form: `roles` names each output in the file's own order (box8 … cls32 kpt, decoded, boxes, scores)."""

    form: str
    imgsz: int
    classes: int
    keypoints: int
    roles: tuple[str, ...]

    @property
    def task(self) -> str:
        """What it finds, as far as shapes tell: a decoded pose model looks like detection with many classes."""
        return "pose" if self.keypoints else "detect"

    @property
    def tasks(self) -> tuple[str, ...]:
        """What it may be for: behind boxes and one score, a decoded pose model has three columns a keypoint."""
        either = self.form == "decoded" and self.classes > 1 and self.classes % 3 == 1
        return ("detect", "pose") if either else (self.task,)


def anchors(imgsz: int) -> dict[int, int]:
    """Anchors at each stride."""
    return {stride: (imgsz // stride) ** 2 for stride in STRIDES}


def recognise(imgsz: int, shapes: Sequence[Shape]) -> Heads | None:
    """Return the form that these output shapes have for an input of that side, or nothing."""
    if imgsz < 32 or any(len(shape) != 3 or shape[0] != 1 or 0 in shape for shape in shapes):
        return None
    count = anchors(imgsz)
    total = sum(count.values())
    if len(shapes) == 1 and shapes[0][2] == total and shapes[0][1] >= 5:
        return Heads("decoded", imgsz, shapes[0][1] - 4, 0, ("decoded",))
    if len(shapes) == 2 and shapes[0][1:] == (4, total) and shapes[1][1] == total:
        return Heads("boxes-scores", imgsz, shapes[1][2], 0, ("boxes", "scores"))
    if len(shapes) not in (6, 7):
        return None
    stride_of = {number: stride for stride, number in count.items()}
    roles = [_role(shape, stride_of, total, pose=len(shapes) == 7) for shape in shapes]
    wanted = [f"{branch}{stride}" for branch in ("box", "cls") for stride in STRIDES] + ["kpt"] * (len(shapes) == 7)
    classes = {shape[2] for shape, role in zip(shapes, roles, strict=True) if role and role.startswith("cls")}
    if sorted(role or "" for role in roles) != sorted(wanted) or len(classes) != 1:
        return None
    keypoints = next((shape[2] // 3 for shape, role in zip(shapes, roles, strict=True) if role == "kpt"), 0)
    form = "raw-pose" if keypoints else "raw-detect"
    return Heads(form, imgsz, classes.pop(), keypoints, tuple(role or "" for role in roles))


def _role(shape: Shape, stride_of: dict[int, int], total: int, *, pose: bool) -> str | None:
    """Name one raw output; at 32 px the single anchor of stride 32 is no keypoint output."""
    rows, columns = shape[1:]
    if columns == BINS and rows in stride_of:
        return f"box{stride_of[rows]}"
    if pose and rows == total and columns % 3 == 0:
        return "kpt"
    return f"cls{stride_of[rows]}" if rows in stride_of else None
