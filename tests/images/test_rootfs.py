"""An image that is built again, without any layer of the first, contains the same."""

from __future__ import annotations

import pytest

from edgewright.config import load_project
from edgewright.containers import Container
from edgewright.engine import Engine
from edgewright.rebuild import compare
from tests.conftest import ROOT

# With a compiler and without one; the others take 7 GB and minutes: `make reproduce IMAGES=1` builds all.
SMALL = ("data", "vela")


@pytest.mark.parametrize("stage", SMALL)
def test_a_second_build_contains_the_same(engine: Engine, stage: str) -> None:
    if not isinstance(engine, Container):
        pytest.skip("venv: no image")
    if engine.name == "podman" and stage != SMALL[0]:
        pytest.skip("podman: one image is enough, and docker builds the one with a compiler")
    ((name, total),) = compare(engine, [load_project(ROOT).stages[stage]])
    assert name == stage
    print(f"{engine.name} {stage}: {total}")
