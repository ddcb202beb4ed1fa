"""The free `[train.hyperparameters]` table: ultralytics' own names, checked before anything slow begins.

Only what shapes the learning is let through. The rest of ultralytics' settings (paths, devices, export, …) belongs to
this stage. Names and ranges are those of ultralytics 8.2.24, `cfg/default.yaml` and `cfg/__init__.py`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stage import Refused


@dataclass(frozen=True)
class Range:
    """The type of a hyperparameter and the values that it may have, both ends included."""

    type: type
    low: float = 0.0
    high: float = 1.0


SWITCH = Range(bool)
FRACTION = Range(float)
GAIN = Range(float, 0.0, 1000.0)

KNOWN = {
    # the learning rate and what goes with it
    "lrf": FRACTION, "cos_lr": SWITCH, "momentum": FRACTION, "weight_decay": FRACTION, "nbs": Range(int, 1, 65536),
    "warmup_epochs": Range(float, 0.0, 1000.0), "warmup_momentum": FRACTION, "warmup_bias_lr": FRACTION,
    "freeze": Range(int, 0, 22), "amp": SWITCH, "multi_scale": SWITCH,
    # weights of the losses
    "box": GAIN, "cls": GAIN, "dfl": GAIN, "pose": GAIN, "kobj": GAIN,
    # augmentation
    "hsv_h": FRACTION, "hsv_s": FRACTION, "hsv_v": FRACTION, "bgr": FRACTION, "degrees": Range(float, 0.0, 180.0),
    "translate": FRACTION, "scale": FRACTION, "shear": Range(float, 0.0, 89.0), "perspective": Range(float, 0.0, 0.001),
    "flipud": FRACTION, "fliplr": FRACTION, "mosaic": FRACTION, "mixup": FRACTION, "close_mosaic": Range(int, 0, 10000),
}  # fmt: skip


def check(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table if every name is known and every value in range; refuse it otherwise."""
    for name, value in table.items():
        if name not in KNOWN:
            raise Refused(f"[train.hyperparameters]: unknown key '{name}'", hint=_nearest(name))
        _check_value(name, value, KNOWN[name])
    return dict(table)


def _check_value(name: str, value: Any, allowed: Range) -> None:
    where = f"[train.hyperparameters]: {name} = {value!r}"
    if allowed.type is bool:
        if not isinstance(value, bool):
            raise Refused(f"{where} is neither true nor false", hint=f"{name} = true")
        return
    whole = allowed.type is int
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise Refused(f"{where} is no {'whole ' if whole else ''}number", hint=f"{name} = {allowed.low:g}")
    if not allowed.low <= value <= allowed.high:
        raise Refused(f"{where} is out of range", hint=f"{name} goes from {allowed.low:g} to {allowed.high:g}")


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, KNOWN, n=1)
    return f"perhaps you meant '{near[0]}'" if near else f"known are {', '.join(KNOWN)}"
