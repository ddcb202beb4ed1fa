"""For the tests of the train stage: those of its modules that need no torch."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from stage_modules import imported


@pytest.fixture(scope="module")
def train() -> Iterator[SimpleNamespace]:
    """The modules as attributes."""
    with imported(("stage", "dataset", "hyperparameters", "meter"), "train") as modules:
        yield modules
