"""From a network's outputs to detections, in the arithmetic of the firmware; or, for comparison, without its roundings.

Every decoder takes the outputs as float32 by role (heads.py), dequantised as the firmware does it: (q - zero point) · scale.
Source: SSCMA-Micro ff48a1c core/algorithm/el_algorithm_{yolo_pose,yolo_world,yolov8}.cpp, core/utils/el_nms.cpp. Himax's apps are
not followed in how they round, nor in the NMS of the od app. A coordinate below 0 becomes 0: the firmware casts it to an unsigned
integer, which Arm saturates and C++ leaves open.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from heads import STRIDES, anchors

Array = npt.NDArray[np.float32]
EPSILON = np.float32(1e-3)  # el_algorithm_yolo_pose.cpp: unions and scores below it count as nothing
SUPPRESSED = 0  # el_nms.cpp marks what is dropped with this score


@dataclass(frozen=True)
class Frame:
    """What is decoded: the outputs by role, the scale of each quantised one, and the sizes of input and camera frame."""

    outputs: Mapping[str, Array]
    imgsz: int
    width: int
    height: int
    scales: Mapping[str, float] = field(default_factory=dict)

    def stretch(self, values: Array) -> Array:
        """Turn x, y pairs, pixels of the network's square, into pixels of the frame."""
        factor = np.array([self.width, self.height], np.float32) / np.float32(self.imgsz)
        return values * factor.astype(np.float32)


@dataclass(frozen=True)
class Detection:
    """One object: box as centre x, centre y, width, height and points [k, 3] as x, y, visibility; pixels of the frame, 0 to 1."""

    box: tuple[float, float, float, float]
    score: float
    label: int
    points: Array = field(default_factory=lambda: np.zeros((0, 3), np.float32))


def decode(decoder: str, frame: Frame, score: int, iou: int, *, exact: bool = False) -> list[Detection]:
    """Decode one frame with thresholds in percent, best score first; `exact` leaves out the firmware's roundings."""
    return DECODERS[decoder](frame, score, iou, exact)


# --- arithmetic that the decoders share ---------------------------------------------------------------------------------------


def exponential(values: Array) -> Array:
    """e^x as C's expf has it: numpy's own in float32 is off by more than a bit, and not alike on all machines."""
    with np.errstate(over="ignore"):
        return np.exp(values.astype(np.float64)).astype(np.float32)


def sigmoid(values: Array) -> Array:
    """1 / (1 + e^-x) in float32."""
    return (np.float32(1) / (np.float32(1) + exponential(-values))).astype(np.float32)


def distances(rows: Array) -> Array:
    """DFL: rows [n, 64] of raw boxes → [n, 4], left, top, right, bottom in units of the stride."""
    bins = exponential(rows.reshape(-1, 4, 16))
    # cumsum adds one after the other, as the firmware does; sum would add in pairs and round otherwise.
    share = bins / np.cumsum(bins, axis=2)[:, :, -1:]
    return np.cumsum(share * np.arange(16, dtype=np.float32), axis=2)[:, :, -1]


def centres(stride: int, imgsz: int) -> Array:
    """Anchor centres [n, 2] as x, y in units of the stride, row by row."""
    side = imgsz // stride
    rows, columns = np.divmod(np.arange(side * side), side)
    return np.stack([columns, rows], axis=1).astype(np.float32) + np.float32(0.5)


def overlaps(one: Array, others: Array) -> Array:
    """IoU of a box with others in float32; x1 y1 x2 y2. Of float64 the areas are summed whole, as the integers of el_nms.cpp."""
    low, high = np.maximum(one[:2], others[:, :2]), np.minimum(one[2:], others[:, 2:])
    inter = np.prod(np.maximum(high - low, 0), axis=1).astype(np.float32)
    areas = np.prod(one[2:] - one[:2]) + np.prod(others[:, 2:] - others[:, :2], axis=1)
    union = areas.astype(np.float32) - inter
    return np.where(union < EPSILON, 0, inter / np.maximum(union, EPSILON)).astype(np.float32)


def best_first(scores: npt.NDArray[np.generic]) -> npt.NDArray[np.intp]:
    """The firmware's order: lists grow at their front and are sorted stably, so that of equals the last comes first."""
    backwards = np.arange(len(scores))[::-1]
    return backwards[np.argsort(-scores[::-1].astype(np.float64), kind="stable")]


def suppress(corners: Array, labels: npt.NDArray[np.intp], limit: int, whole: bool = False) -> list[int]:
    """Greedy NMS over boxes sorted best first, each among its own label, from an IoU above `limit` percent; `whole` as el_nms."""
    kept: list[int] = []
    alive = np.ones(len(corners), bool)
    for i in range(len(corners)):
        if not alive[i]:
            continue
        kept.append(i)
        rest = np.flatnonzero(alive[i + 1 :] & (labels[i + 1 :] == labels[i])) + i + 1
        iou = overlaps(corners[i], corners[rest])
        over = half_up(iou * np.float32(100)) > limit if whole else iou > np.float32(limit) / np.float32(100)
        alive[rest[over]] = False
    return kept


def half_up(values: Array) -> Array:
    """std::round, and the cast to an unsigned integer; in float64, as 0.49999997 + 0.5 would be 1."""
    return np.floor(np.maximum(values, 0).astype(np.float64) + 0.5).astype(np.float32)


# --- AlgorithmYOLOPOSE and Himax's pose app -----------------------------------------------------------------------------------


def decode_pose(frame: Frame, score: int, iou: int, exact: bool) -> list[Detection]:
    """Seven raw outputs → boxes and keypoints; NMS knows no classes."""
    found = [_level(frame, stride, np.float32(score) / np.float32(100)) for stride in STRIDES]
    scores, corners, points = (np.concatenate([level[i] for level in found]) for i in range(3))
    order = best_first(scores)
    order = order[scores[order] >= EPSILON]
    kept = order[suppress(corners[order], np.zeros(len(order), np.intp), iou)]
    return [_pose(scores[i], corners[i], points[i], exact) for i in kept]


def _level(frame: Frame, stride: int, least: np.float32) -> tuple[Array, Array, Array]:
    """Scores [n], corners [n, 4] and points [n, k, 3] of one stride's anchors that reach the threshold; frame pixels."""
    every = sigmoid(frame.outputs[f"cls{stride}"].reshape(-1))
    chosen = np.flatnonzero(every >= least)
    middle = centres(stride, frame.imgsz)[chosen]
    dist = distances(frame.outputs[f"box{stride}"].reshape(-1, 64)[chosen])
    low = frame.stretch((middle - dist[:, :2]) * np.float32(stride))
    high = frame.stretch((middle + dist[:, 2:]) * np.float32(stride))
    count = anchors(frame.imgsz)
    start = sum(count[other] for other in STRIDES if other < stride)
    keypoints = frame.outputs["kpt"].reshape(sum(count.values()), -1, 3)[start + chosen]
    places = keypoints[..., :2] * np.float32(2) + (middle - np.float32(0.5))[:, None]
    places = frame.stretch(places * np.float32(stride))
    points = np.concatenate([places, sigmoid(keypoints[..., 2:])], axis=2)
    return every[chosen], np.concatenate([low, high], axis=1), points


def _pose(score: np.float32, corners: Array, points: Array, exact: bool) -> Detection:
    box = np.concatenate([(corners[:2] + corners[2:]) * np.float32(0.5), corners[2:] - corners[:2]])
    if not exact:
        box, score = half_up(box), half_up(score * np.float32(100)) / np.float32(100)
        points = np.concatenate([half_up(points[:, :2]), half_up(points[:, 2:] * np.float32(100)) / 100], axis=1)
    return Detection(_four(box), float(score), 0, points.astype(np.float32))


def _four(box: Array) -> tuple[float, float, float, float]:
    return float(box[0]), float(box[1]), float(box[2]), float(box[3])


# --- AlgorithmYOLOWorld: six raw outputs --------------------------------------------------------------------------------------


def decode_world(frame: Frame, score: int, iou: int, exact: bool) -> list[Detection]:
    """Six raw outputs → boxes; the score is that of the best class."""
    limit = -math.log(100 / score - 1) if exact else -fast_ln(np.float32(100) / np.float32(score) - np.float32(1))
    boxes, scores, labels = [], [], []
    for stride in STRIDES:
        logits = frame.outputs[f"cls{stride}"]
        logits = logits.reshape(-1, logits.shape[-1])
        # Of equal classes the last wins: the comparison that passes over one is `<`.
        label = logits.shape[1] - 1 - np.argmax(logits[:, ::-1], axis=1)
        best = logits[np.arange(len(logits)), label]
        chosen = np.flatnonzero(best >= _reachable(limit, frame.scales.get(f"cls{stride}"), exact))
        dist = distances(frame.outputs[f"box{stride}"].reshape(-1, 64)[chosen])
        middle = centres(stride, frame.imgsz)[chosen] + (dist[:, 2:] - dist[:, :2]) * np.float32(0.5)
        size = dist[:, :2] + dist[:, 2:]
        boxes.append(np.concatenate([frame.stretch(part * np.float32(stride)) for part in (middle, size)], axis=1))
        scores.append((sigmoid if exact else fast_sigmoid)(best[chosen]) * np.float32(100))
        labels.append(label[chosen])
    return _boxes(np.concatenate(boxes), np.concatenate(scores), np.concatenate(labels), iou, exact, np.floor)


def _reachable(limit: float, scale: float | None, exact: bool) -> float:
    """The smallest logit that passes: the firmware's threshold is a whole number of steps, half a step is left for float32."""
    return limit if exact or not scale else (math.floor(np.float32(limit) / np.float32(scale)) - 0.5) * scale


def fast_ln(x: np.float32) -> float:
    """The firmware's logarithm, a polynomial over the mantissa, rounded to float32: off by up to 0.0005, at 1 too."""
    mantissa, exponent = math.frexp(x)
    m, exponent = 2 * mantissa, exponent - 1
    return float(np.float32(-1.49278 + (2.11263 + (-0.729104 + 0.10969 * m) * m) * m + 0.6931471806 * exponent))


def fast_sigmoid(values: Array) -> Array:
    """The firmware's sigmoid: e^x by Schraudolph's trick of writing a line into a float's bits, off by up to 3 %."""
    bits = (12102203.1608621 * -values.astype(np.float64) + 1064986823.01029).astype(np.float32)
    bits = np.where(bits < 8388608, 0, np.minimum(bits, np.float32(2139095040)))
    return (np.float32(1) / (np.float32(1) + bits.astype(np.uint32).view(np.float32))).astype(np.float32)


def _boxes(
    boxes: Array, percent: Array, labels: npt.NDArray[np.intp], iou: int, exact: bool, whole: Callable[[Array], Array]
) -> list[Detection]:
    """NMS of the box decoders. The firmware's takes the centre for a corner (el_nms.cpp), on whole pixels and percent."""
    if exact:
        corners = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)
    else:
        boxes, percent = np.floor(np.maximum(boxes, 0)), whole(percent) % 256  # el_box_t's score is a byte
        corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1).astype(np.float64)
    order = best_first(percent)
    order = order[percent[order] > SUPPRESSED]
    kept = order[suppress(corners[order], labels[order], iou, whole=not exact)]
    return [Detection(_four(boxes[i]), float(percent[i]) / 100, int(labels[i])) for i in kept]


# --- AlgorithmYOLOV8 and Himax's od app: boxes that the network has decoded ---------------------------------------------------


def decode_decoded(frame: Frame, score: int, iou: int, exact: bool) -> list[Detection]:
    """One output [1, 4 + classes, N] → boxes. With a scale of 0.1 or more the values are taken for pixels and percent."""
    rows, normalised = frame.outputs["decoded"][0], np.float32(frame.scales.get("decoded", 0)) < np.float32(0.1)
    return _decoded(frame, rows[:4].T, rows[4:].T, bool(normalised), score, iou, exact)


def decode_boxes_scores(frame: Frame, score: int, iou: int, exact: bool) -> list[Detection]:
    """Two outputs, [1, 4, N] normalised and [1, N, classes] probabilities → boxes."""
    return _decoded(frame, frame.outputs["boxes"][0].T, frame.outputs["scores"][0], True, score, iou, exact)


def _decoded(
    frame: Frame, boxes: Array, classes: Array, normalised: bool, score: int, iou: int, exact: bool
) -> list[Detection]:
    label = np.argmax(classes, axis=1)
    percent = classes[np.arange(len(classes)), label] * np.float32(100 if normalised else 1)
    chosen = np.flatnonzero(percent > score)
    pixels = boxes[chosen] * np.float32(frame.imgsz if normalised else 1)
    pixels = np.clip(pixels, 0, frame.imgsz).reshape(-1, 2, 2)
    return _boxes(frame.stretch(pixels).reshape(-1, 4), percent[chosen], label[chosen], iou, exact, half_up)


# By the names that configs/firmwares/*.toml use.
DECODERS: Mapping[str, Callable[[Frame, int, int, bool], list[Detection]]] = {
    "sscma-pose": decode_pose,
    "himax-pose": decode_pose,
    "sscma-yolo-world": decode_world,
    "sscma-yolov8": decode_decoded,
    "himax-od": decode_boxes_scores,
}
