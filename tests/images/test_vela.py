"""The patched compiler gives what the stock one gives, and what the vendor published: asked in every engine's environment."""

from __future__ import annotations

import hashlib
from pathlib import Path

from edgewright.config import load_project
from edgewright.engine import Engine
from tests.conftest import ROOT, run_script

STAGE = load_project(ROOT).stages["vela"]
SCRIPT = ROOT / "tests" / "images" / "vela" / "same_bytes.py"
MODEL = "yolov8n-pose_192_full_integer_quant"


def test_the_patched_compiler_gives_the_same_bytes_as_stock(engine: Engine, tmp_path: Path, assets: Path) -> None:
    model, published = (assets / "himax" / f"{MODEL}{ending}.tflite" for ending in ("", "_vela"))
    patches = ROOT / STAGE.patches
    inputs = [model, ROOT / "configs" / "vela" / "we2.ini", patches / "EXPECTED", *sorted(patches.glob("*.patch"))]
    said = run_script(engine, STAGE, SCRIPT, tmp_path, *inputs)
    assert said.count(": same ") == 2
    assert f"ethos-u55-64: same {hashlib.sha256(published.read_bytes()).hexdigest()}" in said
