"""What differs between two ONNX models is said rightly: asked in every environment that reads them."""

from __future__ import annotations

from pathlib import Path

from edgewright.config import load_project
from edgewright.engine import Engine
from tests.conftest import ROOT, run_script

STAGE = load_project(ROOT).stages["compare"]
SCRIPT = ROOT / "tests" / "images" / "compare" / "onnx_differs.py"


def test_what_differs_between_onnx_models_is_said(engine: Engine, tmp_path: Path) -> None:
    said = run_script(engine, STAGE, SCRIPT, tmp_path)
    assert said.count(": agree;") == 6
