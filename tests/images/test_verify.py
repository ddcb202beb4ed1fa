"""What verify measures with is right, where the answers are known; asked in the environment that `make deploy` would take here."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgewright.config import load_project
from tests.conftest import ROOT, first_engine, run_script

STAGE = load_project(ROOT).stages["verify"]
SCRIPTS = ROOT / "tests" / "images" / "verify"


@pytest.mark.parametrize("name", ["measures_agree", "arena_agrees"])
def test_what_verify_measures_with_is_right(assets: Path, tmp_path: Path, name: str) -> None:
    model = assets / "himax" / "yolov8n-pose_192_full_integer_quant.tflite"
    said = run_script(first_engine(), STAGE, SCRIPTS / f"{name}.py", tmp_path, model)
    assert said.count("agree") >= 10
    assert "DIFFER" not in said
