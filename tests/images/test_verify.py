"""What verify measures with is right, where the answers are known; asked in the environment that `make deploy` would take here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgewright.config import load_project
from tests.conftest import ROOT, first_engine, run_script

PROJECT = load_project(ROOT)
STAGE = PROJECT.stages["verify"]
SCRIPTS = ROOT / "tests" / "images" / "verify"


@pytest.mark.parametrize("name", ["measures_agree", "arena_agrees"])
def test_what_verify_measures_with_is_right(assets: Path, tmp_path: Path, name: str) -> None:
    model = assets / "himax" / "yolov8n-pose_192_full_integer_quant.tflite"
    said = run_script(first_engine(), STAGE, SCRIPTS / f"{name}.py", tmp_path, model)
    assert said.count("agree") >= 10
    assert "DIFFER" not in said


def test_a_model_that_kills_an_interpreter_ends_in_one_line(assets: Path, tmp_path: Path) -> None:
    model = assets / "himax" / "yolov8n-pose_192_full_integer_quant.tflite"
    facts = tmp_path / "facts.json"
    facts.write_text(json.dumps(PROJECT.firmwares["esp32s3-sscma-1.x"].facts))
    said = json.loads(
        run_script(first_engine(), STAGE, SCRIPTS / "crash_told.py", tmp_path, model, facts).splitlines()[-1]
    )
    assert said["code"] == 2, said["stderr"]
    assert "Traceback" not in said["stderr"]
    (error,) = [line for line in said["stderr"].splitlines() if line.startswith("error: ")]
    assert error == "error: changed.tflite: a process that ran it died: an interpreter crashed, or memory ran out"
    assert said["verdict"]["state"] == "partial"
