"""What the firmware prints of a frame: its results as they stand in the event's JSON, whole numbers, in its own order.

    keypoints  [[[x, y, w, h, score, 0], [[x, y, score, number], …]], …]
    boxes      [[x, y, w, h, score, class], …]

x and y of a box are its centre; pixels of the frame, percent. The output detections.json has them for each measured frame, at the
firmware's own thresholds, and always as 1.x prints them; without frames or a decoder the list is empty:

    {"schema": 1, "score", "iou", "kind", "frames": [{"name", "width", "height", "results"}, …]}

Source: SSCMA-Micro ff48a1c, sscma/utility.hpp and the algorithms'
own lists. Himax's apps print otherwise; theirs is given in the same form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from decoder import Array, Detection, Frame, best_first, centres, decode, distances, sigmoid, suppress
from heads import STRIDES

if TYPE_CHECKING:
    from findings import Findings

SCHEMA = 1  # of detections.json
NEVER = 100  # percent: a threshold that nothing reaches
LEAST = 1  # with 0 the same is shown: what has less than a percent has none


def kind(form: str) -> str:
    """Return the event's key for the results of a form of outputs."""
    return "keypoints" if form == "raw-pose" else "boxes"


def results(decoder: str, frame: Frame, score: int, iou: int) -> list[Any]:
    """Decode a frame as firmware 1.x does, with thresholds in percent."""
    if score >= NEVER:
        return []
    found = decode(decoder, frame, max(score, LEAST), iou)
    if decoder in ("sscma-pose", "himax-pose"):
        return [_person(one) for one in reversed(found)]  # its list grows at the front once more after NMS
    if decoder == "sscma-yolov8":
        found = sorted(found, key=lambda one: one.box[0])  # stable, as std::forward_list::sort
    return [_box(one) for one in found]


def results_2(form: str, frame: Frame, score: int, iou: int) -> list[Any]:
    """Decode a frame as firmware 2.x does: it never sends keypoints, and boxes are grid cells, taken for shares of the frame."""
    return [] if form == "raw-pose" or score >= NEVER else _cells(frame, max(score, LEAST), iou)


def write(folder: Path, found: Findings) -> None:
    """Write detections.json; a frame's name is where it lies in the data set."""
    accepted, sample = found.accepted, found.sample
    known = {"score": accepted["score"], "iou": accepted["iou"], "kind": kind(accepted["form"])} if accepted else {}
    frames = [
        {"name": sample.path(row.index), "width": row.width, "height": row.height, "results": row.shown}
        for row in (found.frames if sample else [])
    ]
    content = {"schema": SCHEMA, "score": None, "iou": None, "kind": None, **known, "frames": frames}
    (folder / "detections.json").write_text(json.dumps(content) + "\n", encoding="utf-8")


def _person(found: Detection) -> list[Any]:
    points = [[int(x), int(y), _percent(v), number] for number, (x, y, v) in enumerate(found.points)]
    return [_box(found), points]


def _box(found: Detection) -> list[int]:
    return [*map(int, found.box), _percent(found.score), found.label]


def _percent(share: float) -> int:
    """The decoder's whole percent again."""
    return round(float(share) * 100)


def _cells(frame: Frame, score: int, iou: int) -> list[list[int]]:
    """Six raw outputs as ma_model_yolo_world.cpp and refactor_required.hpp have them (ab1d5f0); sorted by x."""
    limit = float(np.log(np.float32(score / 100) / np.float32(1 - score / 100)))
    boxes, scores, labels = [], [], []
    for stride in STRIDES:
        logits = frame.outputs[f"cls{stride}"]
        logits = logits.reshape(-1, logits.shape[-1])
        label = logits.shape[1] - 1 - np.argmax(logits[:, ::-1], axis=1)  # of equal classes the last, as in 1.x
        best = logits[np.arange(len(logits)), label]
        chosen = np.flatnonzero(best >= _floor(limit, frame.scales, f"cls{stride}"))
        dist = distances(frame.outputs[f"box{stride}"].reshape(-1, 64)[chosen])
        middle = centres(stride, frame.imgsz)[chosen] + (dist[:, 2:] - dist[:, :2]) * np.float32(0.5)
        boxes.append(np.concatenate([middle, dist[:, :2] + dist[:, 2:]], axis=1))
        scores.append(sigmoid(best[chosen]))
        labels.append(label[chosen])
    box, share, label = np.concatenate(boxes), np.concatenate(scores), np.concatenate(labels)
    order = best_first(share)
    corners = np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1)[
        order
    ]  # ma_nms.h takes centres for corners, too
    kept = order[suppress(corners, label[order], iou)]
    kept = kept[np.argsort(box[kept, 0], kind="stable")]
    pixels = _away(box[kept] * np.array([frame.width, frame.height] * 2, np.float32))
    percent = _away(share[kept] * np.float32(100))
    rows = zip(pixels, percent, label[kept], strict=True)
    return [[*map(int, four), int(share), int(number)] for four, share, number in rows]


def _floor(limit: float, scales: Mapping[str, float], role: str) -> float:
    """The smallest logit that passes: the threshold is a whole number of steps, half a step is left for float32."""
    return float((np.floor(np.float32(limit) / np.float32(scales[role])) - 0.5) * scales[role])


def _away(values: Array) -> Array:
    """std::round: halves away from zero."""
    return np.copysign(np.floor(np.abs(values).astype(np.float64) + 0.5), values).astype(np.float32)
