"""From measured frames to figures: the rungs of the ladder, kernels, gates, ranges, and the frames worth looking at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from agreement import Agreement, agree, spread
from decoder import Detection
from frames import Labelled, Sample
from kernels import Quantised
from ladder import Difference, Measured
from metrics import Precision, box_precision, keypoint_precision
from stage import Refused

TITLES = {
    "torch": "weights in torch",
    "decoder": "the firmware's decoder: whole pixels, percent",
    "onnx": "ONNX",
    "float": "TFLite, float32",
    "int8": "TFLite, int8, reference kernels",
    "device": "TFLM, int8: the device's own kernels",
}
GATES = ("max_ap_drop", "max_keypoint_drift_px")
GATE_FRAMES = 16  # below, one object more or less moves AP by more than any gate allows


@dataclass(frozen=True)
class Terms:
    """What the recipe and the firmware say about measuring: thresholds shown (percent), sigmas, gates."""

    score: int
    iou: int
    imgsz: int
    keypoints: int
    sigmas: Sequence[float]
    gates: Mapping[str, float]
    keypoint_names: Sequence[str] = ()


COCO_KEYPOINTS = (
    "nose",
    "left eye",
    "right eye",
    "left ear",
    "right ear",
    "left shoulder",
    "right shoulder",
    "left elbow",
    "right elbow",
    "left wrist",
    "right wrist",
    "left hip",
    "right hip",
    "left knee",
    "right knee",
    "left ankle",
    "right ankle",
)  # fmt: skip - cocodataset.org/#keypoints-eval


def check_gates(gates: Mapping[str, Any]) -> None:
    """Refuse a gate that there is not, and a limit that is no number."""
    for name, limit in gates.items():
        if name not in GATES:
            raise Refused(f"gates: unknown key {name!r}", f"the keys are {' and '.join(GATES)}")
        if isinstance(limit, bool) or not isinstance(limit, int | float) or limit < 0:
            raise Refused(f"gates: {name} is {limit!r}, not a number from 0", f"{name} = 0.05 under [verify.gates]")


def rungs_of(frames: Sequence[Measured]) -> list[tuple[str, str]]:
    """Return each rung's name and its detections' key: the first float form twice, without and with the firmware's roundings."""
    found = [name for name in frames[0].found if name not in ("reference", "optimised")]
    if "reference" not in frames[0].found:
        return [(name, name) for name in found]
    first, *rest = found
    return [(first, "reference"), ("decoder", first), *((name, name) for name in rest)]


def accuracy(frames: Sequence[Measured], truth: Sequence[Labelled], sample: Sample, terms: Terms) -> dict[str, Any]:
    """Return the report's section `accuracy`; `truth` has the labels of the same frames."""
    rungs = rungs_of(frames)
    base = rungs[0][1]
    rows = []
    for name, key in rungs:
        row = {"name": name, "title": TITLES[name], "decoder": "float" if key == "reference" else "firmware"}
        rows.append({**row, **_judge(frames, truth, key, base, terms)})
    optimised = _judge(frames, truth, "optimised", base, terms)
    return {
        "source": sample.source,
        "frames": len(frames),
        "of": sample.total,
        "people": sum(len(frame.labels) for frame in truth),
        "score": terms.score,
        "iou": terms.iou,
        "rungs": rows,
        "kernels": {**kernels(frames), "optimised": {**worst(frames), **optimised}},
        "keypoints": keypoint_rows(_agreement(frames, rungs[-1][1], base, terms), terms),
        "gates": gates(rows, len(frames), terms),
    }


def _judge(frames: Sequence[Measured], truth: Sequence[Labelled], key: str, base: str, terms: Terms) -> dict[str, Any]:
    found = [frame.found[key] for frame in frames]
    boxes = box_precision(truth, found)
    points = Precision(None, None)
    if terms.keypoints and all(frame.points.shape[1] == terms.keypoints for frame in truth):
        points = keypoint_precision(truth, found, terms.sigmas)
    return {
        "ap": _rounded(points.ap),
        "ap50": _rounded(points.ap50),
        "box_ap": _rounded(boxes.ap),
        "box_ap50": _rounded(boxes.ap50),
        "agreement": None if key == base else _agreement(frames, key, base, terms).summary(),
    }


def keypoint_rows(found: Agreement, terms: Terms) -> list[dict[str, Any]]:
    """Return how far each keypoint drifts between the ends of the ladder, by name."""
    names = list(terms.keypoint_names) or list(COCO_KEYPOINTS if terms.keypoints == len(COCO_KEYPOINTS) else ())
    return [
        {"name": names[number] if names else f"keypoint {number + 1}", "seen": len(drifts), **(spread(drifts) or {})}
        for number, drifts in sorted(found.points.items())
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _agreement(frames: Sequence[Measured], key: str, base: str, terms: Terms) -> Agreement:
    total = Agreement()
    for frame in frames:
        total.add(_frame_agreement(frame, key, base, terms))
    return total


def _frame_agreement(frame: Measured, key: str, base: str, terms: Terms) -> Agreement:
    scale = (terms.imgsz / frame.width, terms.imgsz / frame.height)
    return agree(frame.found[base], frame.found[key], terms.score / 100, scale)


# --- kernels ------------------------------------------------------------------------------------------------------------------


def kernels(frames: Sequence[Measured]) -> dict[str, Any]:
    """Return whether TFLM and TFLite's reference kernels agreed, and on how many values; None where TFLM could not run."""
    compared = [frame.device for frame in frames if frame.device]
    return {
        "equal": all(not found.values for found in compared) if compared else None,
        "frames": len(compared),
        "values": sum(found.of for found in compared),
        "different": sum(found.values for found in compared),
        "steps": max((found.steps for found in compared), default=0),
        "difference": None,
    }


def worst(frames: Sequence[Measured]) -> dict[str, Any]:
    """Return by how many steps, and in what share of the values, the optimised kernels differ from the reference ones."""
    total: list[Difference] = [frame.optimised for frame in frames]
    share = sum(found.values for found in total) / max(sum(found.of for found in total), 1)
    return {"steps": max(found.steps for found in total), "share": round(share, 4)}


# --- gates --------------------------------------------------------------------------------------------------------------------


def gates(rows: Sequence[Mapping[str, Any]], frames: int, terms: Terms) -> list[dict[str, Any]]:
    """Return each gate of the recipe with what was found; `passes` is None, with a reason, where that cannot be said."""
    first, last = rows[0], rows[-1]
    metric = "ap" if terms.keypoints else "box_ap"
    drop = drift = None
    reason = "" if frames >= GATE_FRAMES else f"{frames} frames are too few to judge by (fewer than {GATE_FRAMES})"
    if first["decoder"] != "float" or last["name"] != "device":
        reason = "there is no float form to compare the device with"
    elif not reason:
        drift = (last["agreement"]["keypoint_drift_px"] or {}).get("p95")
        if first[metric] is not None and last[metric] is not None:
            drop = round(first[metric] - last[metric], 4)
    found = {"max_ap_drop": drop, "max_keypoint_drift_px": drift}
    return [
        {
            "name": name,
            "limit": limit,
            "found": found[name],
            "passes": None if found[name] is None else found[name] <= limit,
            "reason": (reason or "nothing was found or labelled") if found[name] is None else "",
        }
        for name, limit in sorted(terms.gates.items())
    ]


# --- what a person looks at ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """One frame with what two forms show of it."""

    index: int
    reference: Sequence[Detection]
    device: Sequence[Detection]
    lost: int
    extra: int
    drift_px: float  # mean, of keypoints, or of boxes where there are none


def worst_frames(frames: Sequence[Measured], terms: Terms, count: int) -> list[Pair]:
    """Return the frames on which the device is farthest from the float form: what it loses or makes up, then how far it drifts."""
    rungs = rungs_of(frames)
    base, last = rungs[0][1], rungs[-1][1]
    pairs = []
    for frame in frames:
        found = _frame_agreement(frame, last, base, terms)
        drift = found.summary()["keypoint_drift_px"] or spread(found.boxes) or {"mean": 0.0}
        shown = [[d for d in frame.found[key] if d.score * 100 >= terms.score] for key in (base, last)]
        pairs.append(Pair(frame.index, shown[0], shown[1], found.lost, found.extra, drift["mean"]))
    return sorted(pairs, key=lambda pair: (-(pair.lost + pair.extra), -pair.drift_px, pair.index))[:count]


def output_rows(frames: Sequence[Measured], quantised: Quantised) -> list[dict[str, Any]]:
    """Return, for each output, what its int8 can represent, what was seen, and how much of the range that was."""
    rows = []
    for role in quantised.roles:
        scale, zero_point = quantised.scales[role], quantised.zero_points[role]
        ranges = [frame.ranges[role] for frame in frames]
        low, high = min(r.low for r in ranges), max(r.high for r in ranges)
        score = float(1 / (1 + np.exp(-(127 - zero_point) * scale))) if role.startswith("cls") else None
        rows.append(
            {
                "name": role,
                "scale": scale,
                "zero_point": zero_point,
                "low": round((-128 - zero_point) * scale, 4),
                "high": round((127 - zero_point) * scale, 4),
                "seen_low": round((low - zero_point) * scale, 4),
                "seen_high": round((high - zero_point) * scale, 4),
                "used": round((high - low) / 255, 4),
                "saturated": round(sum(r.saturated for r in ranges) / sum(r.of for r in ranges), 6),
                "largest_score": None if score is None else round(score, 4),
            }
        )
    return rows
