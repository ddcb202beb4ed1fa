"""For the tests of the data stage: its modules, and a small data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

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
