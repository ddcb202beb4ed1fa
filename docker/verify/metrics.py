"""How good detections are: COCO's average precision of boxes and keypoints (pycocotools)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from decoder import Detection
from frames import Labelled
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

# A person's outline covers about so much of the box. Where labels are boxes, ultralytics (kpt_iou) takes this share of them as
# the area that COCO's OKS divides by.
AREA_OF_BOX = 0.53
COCO_SIGMAS = (
    0.026,
    0.025,
    0.025,
    0.035,
    0.035,
    0.079,
    0.079,
    0.072,
    0.072,
    0.062,
    0.062,
    0.107,
    0.107,
    0.087,
    0.087,
    0.089,
    0.089,
)  # fmt: skip - cocodataset.org/#keypoints-eval, as in pycocotools


@dataclass(frozen=True)
class Precision:
    """AP over IoU (or OKS) 0.50 to 0.95, and at 0.50; None where there is nothing to find."""

    ap: float | None
    ap50: float | None


def sigmas_of(keypoints: int, given: Sequence[float] = ()) -> tuple[float, ...]:
    """The spread of each keypoint: as given, COCO's for 17, else the same for each (1 / keypoints, as ultralytics takes)."""
    return tuple(given) or (COCO_SIGMAS if keypoints == len(COCO_SIGMAS) else (1 / keypoints,) * keypoints)


def box_precision(truth: Sequence[Labelled], found: Sequence[Sequence[Detection]]) -> Precision:
    """AP of boxes, all classes."""
    return _evaluate("bbox", _truth(truth, pose=False), _found(found, truth, pose=False), ())


def keypoint_precision(
    truth: Sequence[Labelled], found: Sequence[Sequence[Detection]], sigmas: Sequence[float]
) -> Precision:
    """AP of keypoints by OKS."""
    return _evaluate("keypoints", _truth(truth, pose=True), _found(found, truth, pose=True), sigmas)


def _truth(frames: Sequence[Labelled], *, pose: bool) -> dict[str, Any]:
    rows = []
    for image, frame in enumerate(frames):
        for label, box, points in zip(frame.labels, frame.boxes, frame.points, strict=True):
            row: dict[str, Any] = {"id": len(rows) + 1, "image_id": image, "category_id": int(label), "iscrowd": 0}
            row |= {"bbox": box.tolist(), "area": float(box[2] * box[3]) * (AREA_OF_BOX if pose else 1)}
            if pose:
                row |= {"keypoints": points.reshape(-1).tolist(), "num_keypoints": int((points[:, 2] > 0).sum())}
            rows.append(row)
    categories = sorted({row["category_id"] for row in rows})
    return {
        "images": [{"id": image} for image in range(len(frames))],
        "annotations": rows,
        "categories": [{"id": number} for number in categories],
    }


def _found(frames: Sequence[Sequence[Detection]], truth: Sequence[Labelled], *, pose: bool) -> list[Mapping[str, Any]]:
    rows = []
    for image, (detections, frame) in enumerate(zip(frames, truth, strict=True)):
        labelled = frame.points.shape[1]
        for detection in detections:
            x, y, width, height = detection.box
            row = {"image_id": image, "category_id": detection.label, "score": detection.score}
            row["bbox"] = [x - width / 2, y - height / 2, width, height]
            if pose and len(detection.points) == labelled:
                row["keypoints"] = detection.points.astype(float).reshape(-1).tolist()
            rows.append(row)
    return rows


def _evaluate(kind: str, truth: dict[str, Any], found: list[Mapping[str, Any]], sigmas: Sequence[float]) -> Precision:
    countable = [row for row in truth["annotations"] if kind == "bbox" or row["num_keypoints"]]
    if not countable:
        return Precision(None, None)
    if not found:
        return Precision(0.0, 0.0)
    with contextlib.redirect_stdout(io.StringIO()):  # it reports each step
        reference = COCO()
        reference.dataset = truth
        reference.createIndex()
        run = COCOeval(reference, reference.loadRes(found), kind)
        if sigmas:
            run.params.kpt_oks_sigmas = np.array(sigmas)
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][
        :, :, :, 0, -1
    ]  # [IoU, recall, class]: every area, as many detections as COCO counts
    return Precision(_mean(precision), _mean(precision[0]))


def _mean(precision: Any) -> float | None:
    known = precision[precision > -1]  # -1 where a class has nothing to find
    return float(known.mean()) if known.size else None
