"""For the tests of the train stage: those of its modules that need no torch, importable while a test module runs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

DOCKER = Path(__file__).parents[2] / "docker"
FOLDER = DOCKER / "train"
PURE = ("stage", "dataset", "hyperparameters", "meter")


@pytest.fixture(scope="module")
def train() -> Iterator[SimpleNamespace]:
    """The modules as attributes; afterwards their names are free for another stage's modules."""
    before = {name: sys.modules.pop(name) for name in PURE if name in sys.modules}
    paths = [str(FOLDER), str(DOCKER)]
    sys.path[:0] = paths
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in PURE})
    finally:
        for path in paths:
            sys.path.remove(path)
        for name in PURE:
            sys.modules.pop(name, None)
        sys.modules.update(before)
