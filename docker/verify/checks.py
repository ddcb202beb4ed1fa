"""One rule of a firmware's contract, and how a model stands to it; what the rules have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

EXPORTED = {"raw-pose", "raw-detect", "decoded"}  # the forms that our export makes
FULL_INTEGER = "give the full-integer file, model_int8.tflite"


@dataclass(frozen=True)
class Check:
    """What one rule found. `text` is one line that says what and by how much; `short`, if any, is its part of the summary."""

    rule: str  # slot, operators, arena, input, outputs, form, classes, keypoints, imgsz, order, scores, npu, alignment, defect
    passes: bool | None  # nothing: a warning, or what cannot be known on a host
    found: str
    allowed: str
    text: str
    hint: str = ""
    short: str = ""


def many(number: int, noun: str) -> str:
    """Count things: `1 class`, `2 classes`, `1,024 bytes`."""
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{ending}"


def span(limits: Sequence[int], noun: str = "") -> str:
    """Write a range that includes both ends, with what is counted: `1 to 80 classes`."""
    first, last = f"{limits[0]:,}", many(limits[1], noun) if noun else f"{limits[1]:,}"
    return last if limits[0] == limits[1] else f"{first} to {last}"


def dimensions(shape: Sequence[int]) -> str:
    """Write a shape as a list."""
    return f"[{', '.join(str(size) for size in shape)}]"


def export_hint(firmware: Mapping[str, Any]) -> str:
    """Say what to type for a file that this firmware reads, if the export can make one."""
    if not EXPORTED & {accepted["form"] for accepted in firmware["accepts"]}:
        return "none of the forms that the export makes is read by this firmware: choose another FIRMWARE="
    return f"make deploy DEVICE={firmware['device']} FIRMWARE={firmware['name']} WEIGHTS=best.pt exports what it reads"


def compile_hint(firmware: Mapping[str, Any]) -> str:
    """Say what to type for a command stream that fits the board."""
    return f"make deploy DEVICE={firmware['device']} MODEL=model_int8.tflite compiles a file from before Vela"
