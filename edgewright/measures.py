"""What a report.json says of a model in numbers, and what it leaves open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]
METRICS = {"ap": "keypoint AP", "ap50": "keypoint AP50", "box_ap": "box AP", "box_ap50": "box AP50"}
DRIFTS = {"keypoint_drift_px": "keypoint drift", "box_drift_px": "box drift"}


@dataclass(frozen=True)
class Measure:
    """One figure of one rung of the ladder: average precision from 0 to 1, or drift in pixels of the input."""

    name: str
    value: float
    rung: str


def rungs(report: Json) -> Sequence[Json]:
    """Return the rungs of the ladder, float weights first and the device last; none where nothing was measured."""
    return (report.get("accuracy") or {}).get("rungs") or []


def measures(rung: Json) -> list[Measure]:
    """Return all that was measured on a rung."""
    found = [Measure(name, rung[key], rung["title"]) for key, name in METRICS.items() if rung[key] is not None]
    for key, name in DRIFTS.items():
        drift = (rung["agreement"] or {}).get(key) or {}
        found += [Measure(f"{name} {what} (px)", value, rung["title"]) for what, value in drift.items()]
    return found


def limits(report: Json) -> list[str]:
    """Return what the report says was not proved, or not well."""
    if not report:
        return ["whether the board can run it, and how well, was not verified"]
    verdict = report["verdict"]
    warnings = [line["text"] for line in verdict["warnings"]]
    return [*warnings, *verdict["partial"], *verdict["notes"], *(report["speed"] or {}).get("notes", [])]
