"""Raw heads, decoded here as the firmware does it, give what ultralytics' own heads give: boxes, scores, keypoints.

Run by the Python of the export environment, with docker/ on PYTHONPATH, from the repository's root or with paths:
    python tests/images/export/heads_agree.py [WEIGHTS.pt ...]
Without weights it draws seeded networks: detect of 1, 3 and 80 classes, pose of 17 and of 5 keypoints. Exit code 1: differ.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics.engine.exporter import halve_c2f
from ultralytics.nn.modules import C2f
from ultralytics.nn.tasks import DetectionModel, PoseModel
from weights import build_network, read_weights

IMGSZ = 192
BINS = 16  # of the distribution that each side of a box is given as
PIXELS, PROBABILITY = 1e-2, 1e-4  # tolerances; float32 sums in another order


def main(paths: list[str]) -> int:
    """Compare every network; print one line each; 1 if any differs."""
    differing = 0
    networks = ((path, build_network(read_weights(Path(path)))) for path in paths) if paths else drawn_networks()
    for name, network in networks:
        with torch.no_grad():
            errors = compare(network)
        agree = errors["box"] <= PIXELS and errors["score"] <= PROBABILITY and errors.get("keypoint", 0) <= PIXELS
        differing += not agree
        figures = ", ".join(f"{key} {value:.1e}" for key, value in errors.items())
        print(f"{name}: {'agree' if agree else 'DIFFER'}; largest differences: {figures}")
    return int(differing > 0)


def drawn_networks() -> Iterator[tuple[str, Any]]:
    """Networks whose weights and batch norms are drawn, so that no two channels are alike."""
    for nc in (1, 3, 80):
        yield f"detect of {nc}", draw(lambda nc=nc: DetectionModel("yolov8n.yaml", nc=nc, verbose=False))
    for nk in (17, 5):
        shape = (nk, 3)
        yield (
            f"pose of {nk}",
            draw(lambda shape=shape: PoseModel("yolov8n-pose.yaml", data_kpt_shape=shape, verbose=False)),
        )


def draw(build: Any) -> Any:
    """Build and fill a network from a fixed seed; wide last layers make sure of some confident predictions."""
    torch.manual_seed(1)
    network = build().eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 1.5)
    head = network.model[-1]
    for branch in (head.cv2, head.cv3, *([head.cv4] if hasattr(head, "cv4") else [])):
        for level in branch:
            level[-1].weight.data.normal_(std=2)
            level[-1].bias.data.normal_(std=2)
    return network


def compare(network: Any) -> dict[str, float]:
    """The largest differences between stock predictions of `network` and decoded raw heads of its exported form."""
    torch.manual_seed(2)
    image = torch.rand(1, 3, IMGSZ, IMGSZ)
    stock = network(image)[0][0].numpy()  # (4 + nc + 3 nk, anchors): x, y, w, h in pixels, probabilities, x, y, v
    head = network.model[-1]

    exported = deepcopy(network).fuse(verbose=False)
    for module in exported.modules():
        if isinstance(module, C2f):
            halve_c2f(module)
    raw_head = exported.model[-1]
    raw_head.export = raw_head.raw = True
    raw = dict(zip(raw_head.raw_names(), (tensor[0].numpy() for tensor in exported(image)), strict=True))
    boxes, scores, keypoints = decode(raw)
    errors = {"box": largest(boxes - stock[:4].T), "score": largest(scores - stock[4 : 4 + head.nc].T)}
    if keypoints is not None:
        there = stock[4 + head.nc :].T.reshape(keypoints.shape)
        errors["keypoint"] = largest(keypoints[..., :2] - there[..., :2])
        errors["score"] = max(errors["score"], largest(keypoints[..., 2] - there[..., 2]))
    return errors


def largest(differences: np.ndarray) -> float:
    """The largest absolute difference."""
    return float(np.abs(differences).max())


def decode(raw: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Boxes (N, 4) as x, y, w, h in pixels, scores (N, nc), keypoints (N, nk, 3), from heads of one row an anchor.

    The formulas are those of SSCMA's AlgorithmYOLOPOSE; anchors are ordered by stride 8, 16, 32, then row by row.
    """
    boxes, scores, corners, strides = [], [], [], []
    for stride in (8, 16, 32):
        side = IMGSZ // stride
        row, column = np.divmod(np.arange(side * side), side)
        corner = np.stack([column, row], 1).astype(np.float64)
        distances = expectation(raw[f"box{stride}"].reshape(-1, 4, BINS).astype(np.float64))
        low, high = corner + 0.5 - distances[:, :2], corner + 0.5 + distances[:, 2:]
        boxes.append(np.hstack([(low + high) / 2, high - low]) * stride)
        scores.append(sigmoid(raw[f"cls{stride}"].astype(np.float64)))
        corners.append(corner)
        strides.append(np.full((side * side, 1, 1), stride))
    keypoints = None
    if "kpt" in raw:
        keypoints = raw["kpt"].reshape(len(raw["kpt"]), -1, 3).astype(np.float64)
        keypoints[..., :2] = (keypoints[..., :2] * 2 + np.vstack(corners)[:, None]) * np.vstack(strides)
        keypoints[..., 2] = sigmoid(keypoints[..., 2])
    return np.vstack(boxes), np.vstack(scores), keypoints


def expectation(logits: np.ndarray) -> np.ndarray:
    """The mean of 0 … 15 under the softmax of the last axis."""
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return (weights * np.arange(BINS)).sum(-1) / weights.sum(-1)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Logits to probabilities."""
    return 1 / (1 + np.exp(-logits))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
