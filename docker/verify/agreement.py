"""How far two forms of a network are apart on the same objects: what is lost, what is new, and how far the rest has moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from decoder import Detection, overlaps

SAME = 0.5  # IoU from which two boxes are the same object
SEEN = 0.5  # visibility from which a keypoint is shown


@dataclass
class Agreement:
    """Sums over frames. Lengths are pixels of the network's square input, whatever size the images have."""

    matched: int = 0
    lost: int = 0  # shown by the reference, not by the other
    extra: int = 0  # shown by the other only
    points: dict[int, list[float]] = field(default_factory=dict)  # by the keypoint's number
    boxes: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def add(self, other: Agreement) -> None:
        """Count another frame's in."""
        self.matched += other.matched
        self.lost += other.lost
        self.extra += other.extra
        for number, drifts in other.points.items():
            self.points.setdefault(number, []).extend(drifts)
        self.boxes += other.boxes
        self.scores += other.scores

    def summary(self) -> dict[str, Any]:
        """Return counts, and mean and 95th percentile of each drift."""
        return {
            "matched": self.matched,
            "lost": self.lost,
            "extra": self.extra,
            "keypoint_drift_px": spread([drift for drifts in self.points.values() for drift in drifts]),
            "box_drift_px": spread(self.boxes),
            "score_drift": spread(self.scores),
        }


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """Mean and 95th percentile."""
    if not values:
        return None
    return {"mean": round(float(np.mean(values)), 4), "p95": round(float(np.percentile(values, 95)), 4)}


def agree(
    reference: Sequence[Detection], other: Sequence[Detection], shown: float, scale: tuple[float, float]
) -> Agreement:
    """Match one frame's detections.

    `shown` is the firmware's threshold (0 to 1), `scale` turns x and y of the frame into pixels of the input. An object that the
    reference shows is looked for among all that the other has, so that a score that falls below the threshold counts as lost,
    and as drift, but not as gone.
    """
    result = Agreement()
    free = list(other)
    for wanted in (detection for detection in reference if detection.score >= shown):
        found = _nearest(wanted, free)
        if found is None:
            result.lost += 1
            continue
        free = [detection for detection in free if detection is not found]
        result.scores.append(abs(found.score - wanted.score))
        if found.score < shown:
            result.lost += 1
            continue
        result.matched += 1
        result.boxes.append(_distance(np.array(wanted.box[:2]), np.array(found.box[:2]), scale))
        for number, (here, there) in enumerate(zip(wanted.points, found.points, strict=True)):
            if here[2] >= SEEN:
                result.points.setdefault(number, []).append(_distance(here[:2], there[:2], scale))
    result.extra = sum(detection.score >= shown for detection in free)
    return result


def _nearest(wanted: Detection, candidates: list[Detection]) -> Detection | None:
    same = [detection for detection in candidates if detection.label == wanted.label]
    if not same:
        return None
    iou = overlaps(_corners(wanted), np.stack([_corners(detection) for detection in same]))
    best = int(np.argmax(iou))
    return same[best] if iou[best] >= SAME else None


def _corners(detection: Detection) -> np.ndarray:
    x, y, width, height = detection.box
    return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2], np.float32)


def _distance(one: np.ndarray, other: np.ndarray, scale: tuple[float, float]) -> float:
    return float(np.hypot(*((one - other) * scale)))
