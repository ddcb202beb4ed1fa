"""The patched heads compute what stock heads compute: asked in every environment that has them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edgewright.config import load_project
from edgewright.engine import Engine, Job
from tests.conftest import ASSETS, ROOT, inside

STAGE = load_project(ROOT).stages["export"]
SCRIPT = ROOT / "tests" / "images" / "export" / "heads_agree.py"


@pytest.mark.parametrize("weights", ["", "yolov8n-pose-recovered.pt"], ids=["drawn networks", "real weights"])
def test_raw_heads_decode_to_what_stock_heads_give(engine: Engine, tmp_path: Path, weights: str) -> None:
    if engine.name == "podman":
        pytest.skip("podman builds the small images only in tests: the large ones take 14 GB beside docker's")
    if weights and not ASSETS.is_dir():
        pytest.skip(f"no real weights at {ASSETS}")
    environment = engine.prepare(STAGE)
    own = Path("run/heads")
    (tmp_path / own / "inputs").mkdir(parents=True)
    shutil.copy(SCRIPT, tmp_path / own / "script.py")
    words = []
    if weights:
        target = own / "inputs" / weights
        shutil.copy(ASSETS / "weights" / weights, tmp_path / target)
        words = [target.as_posix()]
    engine.take(tmp_path / own)
    job = Job("edgewright-heads", tmp_path, own.as_posix(), "", limits=STAGE.limits)
    argv = inside(engine, environment, job, f"{own}/script.py", *words)
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": agree;") == (1 if weights else 5)
