"""The report: all that was found as one JSON value, verdict first, and the same as a page for people.

    {"schema": 1, "title",
     "verdict": {"state": passes | fails | partial, "summary", "lines", "violations", "warnings", "partial", "notes"},
     "model", "device", "firmware", "contract": [...], "arena", "accuracy" | null, "outputs": [...], "speed" | null, "versions"}

The same inputs give the same bytes: no times, no paths.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from accuracy import accuracy, kernels, output_rows, rungs_of, worst, worst_frames
from contract import Check, summary
from decoder import Detection
from findings import Findings
from overlay import draw
from page import Picture, render
from speed import speed
from stage import Refused, Request

SCHEMA = 1
PACKAGES = ("tflite-micro", "tensorflow", "onnxruntime", "torch", "ultralytics", "numpy", "pycocotools")


def assemble(found: Findings, request: Request) -> dict[str, Any]:
    """Put together what is known, whether the run came to its end or not."""
    firmware, device = request.parameters["firmware"], request.parameters["device"]
    measured = _accuracy(found)
    checks = [*found.checks, *_later_checks(found, measured)]
    content = found.file.read_bytes()
    heads = found.heads
    return {
        "schema": SCHEMA,
        "title": f"{found.file.name} on {device['title']}",
        "verdict": _verdict(found, measured, checks, firmware),
        "model": {
            "name": found.file.name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "form": heads.form if heads else None,
            "task": heads.task if heads else None,
            "imgsz": heads.imgsz if heads else None,
            "classes": heads.classes if heads else None,
            "keypoints": heads.keypoints if heads else None,
            "names": list(found.names),
            "operators": _operators(found, firmware),
        },
        "device": device,
        "firmware": {
            key: firmware[key] for key in ("name", "title", "versions", "address", "slot_bytes", "arena_bytes")
        },
        "contract": [asdict(row) for row in checks],
        "arena": asdict(found.arena),
        "accuracy": measured,
        "outputs": output_rows(found.frames, found.forms.quantised) if found.forms and found.frames else [],
        "speed": speed(found.network, request.inputs.get("summary"), request.parameters["speed"]),
        "versions": {package: version(package) for package in PACKAGES},
    }


def _accuracy(found: Findings) -> dict[str, Any] | None:
    if not found.frames or not found.terms:
        return None
    if found.sample and found.frames[0].found:
        measured = accuracy(found.frames, found.truth, found.sample, found.terms)
    else:  # without images or a decoder only the kernels were compared
        measured = {
            "source": "noise",
            "frames": 0,
            "of": 0,
            "people": 0,
            "score": None,
            "iou": None,
            "rungs": [],
            "keypoints": [],
        }
        measured |= {"gates": [], "kernels": {**kernels(found.frames), "optimised": worst(found.frames)}}
    measured["kernels"]["difference"] = found.difference
    return measured


def _operators(found: Findings, firmware: Mapping[str, Any]) -> list[dict[str, Any]]:
    def runs(name: str) -> str:
        if name not in firmware["operators"]:
            return "missing"
        return "NPU" if name == "ETHOS_U" else "CPU"

    return [{"name": name, "count": count, "runs": runs(name)} for name, count in found.network.count().items()]


# --- the verdict --------------------------------------------------------------------------------------------------------------


def _later_checks(found: Findings, measured: Mapping[str, Any] | None) -> list[Check]:
    """What only running the model tells: whether the kernels agree, whether it passes the recipe's gates."""
    if measured is None:
        return []
    rows = []
    compared, place = measured["kernels"], measured["kernels"]["difference"]
    if compared["equal"]:
        text = f"TFLM and TFLite's reference kernels agree in every byte ({compared['values']:,} values)"
        rows.append(Check("kernels", True, "equal", "equal", text))
    elif compared["equal"] is False:
        rows.append(_different(compared, place))
    if measured["rungs"] and not measured["people"]:
        text = f"nothing is labelled in the {measured['frames']} frames: AP is undefined"
        rows.append(Check("accuracy", None, "no labels", "labels", text, "DATA= with labelled validation images"))
    return rows + [_gate(gate) for gate in measured["gates"]]


def _different(compared: Mapping[str, Any], place: Mapping[str, Any] | None) -> Check:
    """Kernels that part: at a known place it is told, anywhere else nothing that was measured holds for the board."""
    text = f"TFLM and TFLite's reference kernels differ in {compared['different']:,} of {compared['values']:,} output values"
    text += f" by up to {compared['steps']} steps"
    text += f": first in {place['tensor']} ({place['operator']})" if place else ""
    if place and place["explained"]:
        text += ", where TFLite rounds the multiplier to float32 and the device does not: the device's figures stand"
        return Check("kernels", None, "different", "equal", text)
    return Check(
        "kernels", False, "different", "equal", text, "report it, with the file: no figure here holds for the board"
    )


def _gate(gate: Mapping[str, Any]) -> Check:
    if gate["passes"] is None:
        text = f"{gate['name']} = {gate['limit']:g} was not checked: {gate['reason']}"
        return Check("gate", None, "not measured", f"{gate['limit']:g}", text)
    relation = "within" if gate["passes"] else "above"
    text = f"{gate['name']} {gate['found']:g} is {relation} the recipe's {gate['limit']:g}"
    hint = (
        "" if gate["passes"] else "see where the ladder drops in the report; more calibration images, a larger IMGSZ="
    )
    return Check("gate", gate["passes"], f"{gate['found']:g}", f"{gate['limit']:g}", text, hint)


def _verdict(
    found: Findings, measured: Mapping[str, Any] | None, checks: Sequence[Check], firmware: Mapping[str, Any]
) -> dict[str, Any]:
    contract = summary(found.checks, found.network, firmware)
    later = next((row.text for row in checks[len(found.checks) :] if row.passes is False), "")
    violations = [{"text": row.text, "hint": row.hint} for row in checks if row.passes is False]
    warnings = [{"text": row.text, "hint": row.hint} for row in checks if row.passes is None]
    state = "fails" if violations else "partial" if found.partial else "passes"
    return {
        "state": state,
        "summary": f"{contract}; but {later}" if later else contract,
        "lines": _lines(measured),
        "violations": violations,
        "warnings": warnings,
        "partial": list(found.partial),
        "notes": list(found.notes),
    }


def _lines(measured: Mapping[str, Any] | None) -> list[str]:
    """The ladder in a line or two: its ends, and how far apart they are."""
    if measured is None:
        return []
    optimised = measured["kernels"]["optimised"]
    usual = f"TFLite's usual kernels are wrong by up to {optimised['steps']} of 256 steps"
    if not measured["rungs"]:
        return [usual]
    first, last = measured["rungs"][0], measured["rungs"][-1]
    lines = []
    for metric, title in (("ap", "keypoint AP"), ("box_ap", "box AP")):
        if first[metric] is not None and last[metric] is not None:
            ends = [
                (first["title"], first[metric], first[f"{metric}50"]),
                (last["title"], last[metric], last[f"{metric}50"]),
            ]
            ends = ends[-1:] if first is last or first["decoder"] == "firmware" else ends
            text = " → ".join(f"{value:.3f} (AP50 {half:.3f}) {name}" for name, value, half in ends)
            lines.append(f"{title:<11} {text}")
    drift = (last["agreement"] or {}).get("keypoint_drift_px")
    if drift and first["decoder"] == "float":
        lines.append(
            f"keypoints   drift {drift['mean']:.2f} px on average, 95 % within {drift['p95']:.2f} px of the input"
        )
    lines.append(f"measured on {measured['frames']} of {measured['of']} frames ({measured['source']})")
    return [*lines, usual]


# --- files --------------------------------------------------------------------------------------------------------------------


def draw_pairs(found: Findings, count: int, skeleton: Sequence[Sequence[int]]) -> list[Picture]:
    """Draw the frames on which float and device are farthest apart, side by side."""
    if not found.sample or not found.terms or not found.frames or not found.frames[0].found:
        return []
    rungs = rungs_of(found.frames)
    ends = "float" if rungs[0][1] == "reference" else "reference kernels", rungs[-1][0]
    pictures = []
    for pair in worst_frames(found.frames, found.terms, count):
        try:
            pixels = found.sample.pixels(pair.index)
        except Refused:  # what stopped the run may have taken this frame, too
            continue

        def drawn(detections: Sequence[Detection], pixels: Any = pixels) -> Any:
            return draw(pixels, detections, [(a, b) for a, b in skeleton], found.names)

        caption = f"{pair.lost} lost, {pair.extra} extra, drift {pair.drift_px:.1f} px on average"
        name = found.sample.name(pair.index)
        titles = (ends[0], "device" if ends[1] == "device" else "reference kernels")
        pictures.append(Picture(name, caption, drawn(pair.reference), drawn(pair.device), titles))
    return pictures


def write(folder: Path, report: Mapping[str, Any], pictures: Sequence[Picture]) -> None:
    """Write report.json, whose texts are the true ones, escaped to ASCII, and report.html."""
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="ascii")
    (folder / "report.html").write_text(render(dict(report), list(pictures)), encoding="utf-8")
