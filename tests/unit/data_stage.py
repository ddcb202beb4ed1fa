"""For the tests of the data stage: its modules, importable by name for as long as a test module runs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

DOCKER = Path(__file__).parents[2] / "docker"
FOLDER = DOCKER / "data"


@pytest.fixture(scope="module")
def data() -> Iterator[SimpleNamespace]:
    """The stage's modules as attributes; afterwards their names are free for another stage's modules."""
    names = {path.stem for path in FOLDER.glob("*.py")} - {"main"} | {"stage"}
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    paths = [str(FOLDER), str(DOCKER)]
    sys.path[:0] = paths
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in sorted(names)})
    finally:
        for path in paths:
            sys.path.remove(path)
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)


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
