"""Read: a checkpoint of any ultralytics 8 as data, into one canonical file of tensors and architecture.

Request: input `weights` (.pt). Nothing in it is run. What needs no torch is refused here, in an image without it.
"""

from __future__ import annotations

import json
from math import prod
from typing import Any

import stage
from canonical import write_network
from stage import Request
from weights import Weights, read_weights


def main(request: Request) -> None:
    """Read the weights, write the network and what there is to say about it."""
    stage.progress(0, 2, "read weights")
    weights = read_weights(request.inputs["weights"])
    stage.progress(1, 2, "write the network")
    write_network(request.output / "network.npz", weights)
    (request.output / "network.json").write_text(json.dumps(summary(weights), indent=2) + "\n")
    stage.progress(2, 2, f"{len(weights.tensors)} tensors")


def summary(weights: Weights) -> dict[str, Any]:
    """What the network is, for people."""
    return {
        "task": weights.task,
        "architecture": f"yolov8{weights.scale}" + ("-pose" if weights.task == "pose" else ""),
        "names": list(weights.names),
        "kpt_shape": list(weights.kpt_shape) if weights.kpt_shape else None,
        "ultralytics": weights.version,
        "tensors_sha256": weights.digest,
        "numbers": sum(prod(tensor.shape) for tensor in weights.tensors.values()),
    }


if __name__ == "__main__":
    stage.run(main)
