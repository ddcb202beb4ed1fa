"""The patched heads compute what stock heads compute: asked in every environment that has them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edgewright.config import load_project
from edgewright.engine import Engine
from edgewright.venvs import PYTHON, python_of, uv
from tests.conftest import ASSETS, ROOT, run_script, skip_large

STAGE = load_project(ROOT).stages["export"]
SCRIPT = ROOT / "tests" / "images" / "export" / "heads_agree.py"


@pytest.mark.parametrize("weights", ["", "yolov8n-pose-recovered.pt"], ids=["drawn networks", "real weights"])
def test_raw_heads_decode_to_what_stock_heads_give(engine: Engine, tmp_path: Path, weights: str) -> None:
    skip_large(engine, "export")
    if weights and not ASSETS.is_dir():
        pytest.skip(f"no real weights at {ASSETS}")
    inputs = [ASSETS / "weights" / weights] if weights else []
    said = run_script(engine, STAGE, SCRIPT, tmp_path, *inputs)
    assert said.count(": agree;") == (1 if weights else 5)


def test_a_patch_that_leads_elsewhere_is_not_taken(tmp_path: Path) -> None:
    """Apply the project's patches to the pinned package, once as they are and once against another expectation."""
    lock = (STAGE.folder / "requirements.txt").read_text()
    pins = [re.search(rf"^{name}==\S+", lock, re.MULTILINE) for name in ("ultralytics", "patch-ng")]
    for name, spoil in (("whole", False), ("spoilt", True)):
        patches = shutil.copytree(ROOT / STAGE.patches, tmp_path / name / "patches")
        if spoil:
            (patches / "EXPECTED").write_text((patches / "EXPECTED").read_text().replace("  ", "0  ", 1)[1:])
        env = tmp_path / name / "env"
        subprocess.run([uv(), "venv", "--quiet", "--python", PYTHON, env], check=True)
        install = [uv(), "pip", "install", "--quiet", "--no-deps", "--python", env, *(pin[0] for pin in pins if pin)]
        subprocess.run(install, check=True)
        argv = [python_of(env), ROOT / "docker" / "patch.py", patches]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (done.returncode != 0) == spoil, done.stderr
        assert ("EXPECTED does not say" in done.stderr) == spoil
