"""The patched heads compute what stock heads compute: asked in every environment that has them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edgewright.config import load_project
from edgewright.engine import Engine, Job
from tests.conftest import ASSETS, ROOT, inside, skip_large

STAGE = load_project(ROOT).stages["export"]
SCRIPT = ROOT / "tests" / "images" / "export" / "heads_agree.py"


@pytest.mark.parametrize("weights", ["", "yolov8n-pose-recovered.pt"], ids=["drawn networks", "real weights"])
def test_raw_heads_decode_to_what_stock_heads_give(engine: Engine, tmp_path: Path, weights: str) -> None:
    skip_large(engine, "export")
    if weights and not ASSETS.is_dir():
        pytest.skip(f"no real weights at {ASSETS}")
    environment = engine.prepare(STAGE)
    own, volume = Path("run/heads"), tmp_path / "volume"
    (volume / own / "inputs").mkdir(parents=True)
    shutil.copy(SCRIPT, volume / own / "script.py")
    words = []
    if weights:
        target = own / "inputs" / weights
        shutil.copy(ASSETS / "weights" / weights, volume / target)
        words = [target.as_posix()]
    engine.take(volume / own)
    job = Job("edgewright-heads", volume, own.as_posix(), "", limits=STAGE.limits)
    argv = inside(engine, environment, job, f"{own}/script.py", *words)
    done = subprocess.run(argv, cwd=volume, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": agree;") == (1 if weights else 5)
