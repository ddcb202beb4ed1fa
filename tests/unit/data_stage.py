"""For the tests of the data stage: its modules, and a small data set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stage_modules import DOCKER, imported

FOLDER = DOCKER / "data"


@pytest.fixture(scope="module")
def data() -> Iterator[SimpleNamespace]:
    """The stage's modules as attributes."""
    names = {path.stem for path in FOLDER.glob("*.py")} - {"main"} | {"stage", "cores", "pictures", "text"}
    with imported(names, FOLDER.name) as modules:
        yield modules


ROW = "0 0.5 0.5 0.4 0.8" + " 0.5 0.5 2" * 17  # one person, all keypoints in the middle


def make_set(root: Path, train: int = 3, val: int = 2, row: str = ROW) -> Path:
    """A small, valid data set without a yaml: images of noise, one labelled thing in each."""
    for number, split in enumerate(["train"] * train + ["val"] * val):
        image, labels = root / f"images/{split}/{number}.png", root / f"labels/{split}/{number}.txt"
        for path in (image, labels):
            path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(noise).save(image)
        labels.write_text(row + "\n")
    return root


def write_yaml(root: Path, text: str = "", **changes: object) -> None:
    """A data.yaml: the given text, or a valid one with some keys changed (None leaves a key out)."""
    keys: dict[str, object] = {"train": "images/train", "val": "images/val", "names": ["person"], "kpt_shape": [17, 3]}
    keys |= changes
    lines = [f"{key}: {value}" for key, value in keys.items() if value is not None]
    (root / "data.yaml").write_text(text or "\n".join(lines) + "\n")


def truncate(root: Path) -> None:
    """Damage one image of a set."""
    path = root / "images/train/1.png"
    path.write_bytes(path.read_bytes()[:400])


def check(data: SimpleNamespace, root: Path, task: str = "pose", yaml: str = "") -> Any:
    """Check a set as the stage does for a board whose pose firmware knows one class."""
    return data.check.check(root, yaml, data.check.Rules(task, 1, 3))


def run_stage(volume: Path, inputs: dict[str, str], **changes: object) -> subprocess.CompletedProcess[str]:
    """The stage as an engine runs it: a request in the volume, the volume as working folder."""
    parameters = {
        "imgsz": 32, "task": "pose", "yaml": "", "sample": {"train": 4, "val": 2, "size": 96}, "calibration_count": 3,
        "calibration_split": "train", "fit": "stretch", "max_pose_classes": 1, "keypoint_values": 3,
    }  # fmt: skip
    (volume / "run/data").mkdir(parents=True)
    request = {"stage": "data", "output": "run/data", "inputs": inputs, "parameters": parameters | changes}
    (volume / "run/data/request.json").write_text(json.dumps(request))
    command = [sys.executable, str(FOLDER / "main.py"), "run/data/request.json"]
    environment = os.environ | {"PYTHONPATH": str(DOCKER)}
    return subprocess.run(command, cwd=volume, env=environment, capture_output=True, text=True, check=False)
