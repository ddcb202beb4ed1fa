"""The report as one HTML file that needs nothing else: page.html filled in, charts as SVG, pictures as data URIs.

`report` is report.json; page.html names its fields. A section that is null or empty is left out, or the page says so. Many texts in
it are others': names of files, classes, tensors. `render` makes all of them visible before a chart or page.html has them; jinja2
escapes them.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import charts
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from numpy.typing import NDArray
from PIL import Image
from text import visible, visible_in

Json = dict[str, Any]
VERDICTS = {
    "passes": ("✓", "Passes"),
    "fails": ("✗", "Does not pass"),
    "partial": ("!", "Partial: not all was measured"),
}
MARKS = {True: ("✓", "passes", "good"), False: ("✗", "fails", "bad"), None: ("!", "warning", "warn")}
SECTIONS: Json = {
    "contract": [], "arena": None, "accuracy": None, "outputs": [], "speed": None, "versions": {}, "files": {}
}  # fmt: skip
QUALITY = 88  # JPEG: labels stay sharp, a picture takes some 40 kB
LATER = ("gate", "kernels", "accuracy")  # rules of the contract that say nothing of whether the model fits
# What report.json leaves out where there were no images, or no figures of Vela.
ACCURACY: Json = {
    "source": "",
    "frames": 0,
    "of": 0,
    "people": 0,
    "score": None,
    "iou": None,
    "rungs": [],
    "kernels": None,
    "gates": [],
}
KERNELS: Json = {"equal": None, "frames": 0, "values": 0, "difference": None, "optimised": None}
UNKNOWN = dict.fromkeys(("cycles", "milliseconds", "sram_kib", "flash_kib", "macs"))
SPEED: Json = {**UNKNOWN, "estimate": True, "notes": []}
LOSS = 0.005  # of AP: less is noise, and no step is blamed for it
LARGEST = 8  # buffers that the page lists
NOTHING = "–"


@dataclass(frozen=True)
class Picture:
    """One frame with its detections drawn in, uint8 RGB [H, W, 3]: on the left the reference's, on the right the device's."""

    name: str
    caption: str
    left: NDArray[np.uint8]
    right: NDArray[np.uint8]
    titles: tuple[str, str] = ("float", "device")


def render(report: Mapping[str, Any], pictures: Sequence[Picture]) -> str:
    """Return the page; the same report and pictures give the same bytes."""
    report, pictures = visible_in(completed(report)), [named(picture) for picture in pictures]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "fixed": fixed,
        "count": count,
        "kib": kib,
        "percent": percent,
        "typed": typed,
        "duration": duration,
    }
    return environment.get_template("page.html").render(
        report=report,
        verdict=verdict(report),
        headline=headline(report),
        ladder=ladder(report),
        arena=arena(report),
        outputs=[{**output, **span(output)} for output in report["outputs"]],
        pictures=[{"picture": picture, "sides": sides(picture)} for picture in pictures],
        marks=MARKS,
    )


def completed(report: Mapping[str, Any]) -> Json:
    """Return the report with all fields that it may leave out."""
    report = {**SECTIONS, **report}
    if report["accuracy"]:
        kernels = report["accuracy"].get("kernels")
        report["accuracy"] = {**ACCURACY, **report["accuracy"], "kernels": kernels and {**KERNELS, **kernels}}
    if report["speed"]:
        report["speed"] = {**SPEED, **report["speed"]}
    return report


def named(picture: Picture) -> Picture:
    """A picture whose words people may see."""
    return replace(picture, name=visible(picture.name), caption=visible(picture.caption))


# --- numbers and words --------------------------------------------------------------------------------------------------------


def fixed(number: float | None, digits: int = 3) -> str:
    """A number with so many decimals, with a real minus sign; a dash for none."""
    return NOTHING if number is None else f"{number:,.{digits}f}".replace("-", "−")


def count(number: float | None) -> str:
    """A whole number with its thousands set apart."""
    return fixed(number, 0)


def kib(size_bytes: float | None) -> str:
    """Bytes as KiB."""
    return NOTHING if size_bytes is None else f"{size_bytes / 1024:,.0f} KiB"


def percent(share: float | None, digits: int = 0) -> str:
    """A share of 1 as percent; what is there but would be rounded to nothing is said to be less."""
    if share is None:
        return NOTHING
    least = 10.0**-digits
    return f"< {least:g} %" if 0 < share * 100 < least / 2 else f"{share * 100:.{digits}f} %"


def typed(text: str) -> Markup:
    """Text in which `backticks` hold what a person would type, as HTML."""
    parts = [escape(part) for part in text.split("`")]
    if len(parts) % 2 == 0:  # a backtick without its other
        return escape(text)
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


# --- what the sections are made from ------------------------------------------------------------------------------------------


def verdict(report: Json) -> Json:
    """Mark, words and colour of the verdict: `does not fit` only where the contract itself is broken."""
    state = report["verdict"]["state"]
    mark, words = VERDICTS[state]
    if state == "fails" and any(c["passes"] is False and c["rule"] not in LATER for c in report["contract"]):
        words = "Does not fit"
    return {"mark": mark, "words": words, "look": {"passes": "good", "fails": "bad"}.get(state, "warn")}


def headline(report: Json) -> list[Json]:
    """The few figures that most readers came for, each with what it is to be compared with."""
    figures = []
    pose = bool(report["model"]["keypoints"])
    key = "ap" if pose else "box_ap"
    known = [rung for rung in (report["accuracy"] or {}).get("rungs") or [] if rung[key] is not None]
    if known:
        title = f"{'keypoint' if pose else 'box'} AP, {known[-1]['name']}"
        note = f"{fixed(known[0][key])} {known[0]['name']}" if len(known) > 1 else ""
        figures.append({"title": title, "value": fixed(known[-1][key]), "note": note})
    firmware, memory, speed = report["firmware"], report["arena"], report["speed"]
    if memory and memory["bytes"]:
        note = f"{kib(memory['bytes'])} of {kib(firmware['arena_bytes'])}"
        figures.append({"title": "arena", "value": percent(memory["bytes"] / firmware["arena_bytes"]), "note": note})
    size, slot = report["model"]["bytes"], firmware["slot_bytes"]
    figures.append({"title": "model slot", "value": percent(size / slot), "note": f"{kib(size)} of {kib(slot)}"})
    if speed and speed["milliseconds"]:
        note = "estimated" if speed["estimate"] else "measured"
        figures.append({"title": "a frame", "value": duration(speed["milliseconds"]), "note": note})
    return figures


def duration(span_ms: Sequence[float]) -> str:
    """A time; or from where to where it may be, to two digits, for such a span is no exact thing."""
    low, high = span_ms
    unit, factor = ("s", 1000) if high >= 2000 else ("ms", 1)
    digits = 3 if low == high else 2
    ends = [f"{float(f'{value / factor:.{digits}g}'):,g}" for value in (low, high)]
    return f"{'–'.join(dict.fromkeys(ends))} {unit}"


def ladder(report: Json) -> Json | None:
    """The accuracy ladder: rungs with what each step costs, the step that costs most, charts for phone and page."""
    if not report["accuracy"] or not report["accuracy"]["rungs"]:
        return None
    rungs, pose = report["accuracy"]["rungs"], bool(report["model"]["keypoints"])
    key = "ap" if pose else "box_ap"
    rows, before = [], None
    for rung in rungs:
        change = None if rung[key] is None or before is None else rung[key] - before
        before = before if rung[key] is None else rung[key]
        rows.append({**rung, "change": change, "is_worst": False})
    worst = min(rows, key=lambda row: row["change"] or 0.0)
    worst["is_worst"] = (worst["change"] or 0.0) <= -LOSS
    references = [rung["title"] for rung in rungs if not rung["agreement"]]
    return {
        "rows": rows,
        "pose": pose,
        "measured": any(rung[key] is not None for rung in rungs),
        "drift": "keypoint_drift_px" if pose else "box_drift_px",
        "reference": references[0] if len(references) == 1 else "the float model",
        "agrees": len(references) < len(rungs),
        "narrow": Markup(charts.ladder(rungs, charts.NARROW)),
        "wide": Markup(charts.ladder(rungs, charts.WIDE)),
    }


def arena(report: Json) -> Json | None:
    """The memory map for phone and page, and the largest buffers."""
    if not report["arena"]:
        return None
    limit = report["firmware"]["arena_bytes"]
    buffers = sorted(report["arena"]["buffers"], key=lambda buffer: (-buffer["bytes"], buffer["first"], buffer["name"]))
    return {
        "narrow": Markup(charts.arena_map(report["arena"], limit, charts.NARROW)),
        "wide": Markup(charts.arena_map(report["arena"], limit, charts.WIDE)),
        "scratch": any(buffer["scratch"] for buffer in buffers),
        "largest": buffers[:LARGEST],
    }


def span(output: Json) -> Json:
    """Where in the representable range the seen values begin and how much they take, in percent."""
    whole = output["high"] - output["low"]
    if not whole or output["seen_low"] is None or output["seen_high"] is None:
        return {"start": 0.0, "taken": 0.0}
    start = (output["seen_low"] - output["low"]) / whole
    taken = (output["seen_high"] - output["seen_low"]) / whole
    return {"start": round(100 * min(max(start, 0), 1), 2), "taken": round(100 * min(max(taken, 0), 1), 2)}


def sides(picture: Picture) -> list[Json]:
    """Both images of a picture as data URIs, with their sizes and what each shows."""
    found = []
    for title, pixels in zip(picture.titles, (picture.left, picture.right), strict=True):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=QUALITY, subsampling=0)
        uri = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
        found.append({"title": title, "uri": uri, "width": pixels.shape[1], "height": pixels.shape[0]})
    return found
