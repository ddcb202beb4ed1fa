"""How long a frame takes on the board, as far as that can be said without one; always an estimate."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from network import Network


def speed(network: Network, summary: Path | None, facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return Vela's estimate where there is one, else a range from the multiply-accumulates; `facts` are the device's."""
    notes = list(facts.get("notes", ()))
    found = json.loads(summary.read_text(encoding="utf-8")) if summary else {}
    if "cycles_total" in found:
        time_ms = found["inference_ms_estimated"]
        return {
            "cycles": found["cycles_total"],
            "milliseconds": [time_ms, time_ms],
            "estimate": True,
            "sram_kib": found["sram_kib"],
            "flash_kib": found["flash_kib"],
            "macs": found["macs"],
            "notes": notes,
        }
    if "ms_per_mmac" not in facts or network.compiled:
        return None
    count = macs(network)
    return {
        "cycles": None,
        "milliseconds": [round(count / 1e6 * per) for per in facts["ms_per_mmac"]],
        "estimate": True,
        "sram_kib": None,
        "flash_kib": None,
        "macs": count,
        "notes": notes,
    }


def macs(network: Network) -> int:
    """Multiply-accumulates of one frame: of convolutions and fully connected layers, which is nearly all of them."""
    total = 0
    for operator in network.operators:
        output = math.prod(network.tensors[operator.outputs[0]].shape)
        if operator.name in ("CONV_2D", "FULLY_CONNECTED"):  # filters [out, …]: what is left of one is a sum's length
            total += output * math.prod(network.tensors[operator.inputs[1]].shape[1:])
        elif operator.name == "DEPTHWISE_CONV_2D":  # filters [1, height, width, out]
            total += output * math.prod(network.tensors[operator.inputs[1]].shape[1:3])
    return total
