"""What verify measures with is right: asked in every environment that has it, where the answers are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgewright.config import load_project
from edgewright.engine import Engine
from tests.conftest import ROOT, run_script, skip_large

STAGE = load_project(ROOT).stages["verify"]
SCRIPTS = ROOT / "tests" / "images" / "verify"


@pytest.mark.parametrize("name", ["measures_agree", "arena_agrees"])
def test_what_verify_measures_with_is_right(engine: Engine, assets: Path, tmp_path: Path, name: str) -> None:
    skip_large(engine, "verify")
    model = assets / "himax" / "yolov8n-pose_192_full_integer_quant.tflite"
    said = run_script(engine, STAGE, SCRIPTS / f"{name}.py", tmp_path, model)
    assert said.count("agree") >= 10
    assert "DIFFER" not in said
