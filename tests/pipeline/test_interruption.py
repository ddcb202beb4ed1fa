"""Ctrl-C in any stage: the container is gone, nothing is half-written, and the next run goes on from there."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import pytest

from edgewright import proc
from edgewright.engine import Engine
from tests.conftest import Workspace, skip_large

WAIT_S = 600  # for an image that has to be built first


def running(engine: Engine) -> list[str]:
    """Return the names of our containers that an engine runs, or our stages' processes."""
    if not engine.hermetic:
        # Of whichever run: what is looked for is a stage that has outlived its own.
        code, text = proc.capture(["pgrep", "-f", "docker/[a-z]+/main.py run/"])
        return text.split() if code == 0 else []
    _, text = proc.capture([engine.program, "ps", "--format", "{{.Names}}"])  # type: ignore[attr-defined]
    return [name for name in text.split() if name.startswith("edgewright-")]


@pytest.mark.parametrize("stage", ["data", "train", "export", "vela"])
def test_an_interrupted_stage_leaves_no_container_and_no_files(
    fresh: object, engine: Engine, assets: Path, stage: str
) -> None:
    skip_large(engine, stage)
    workspace: Workspace = fresh(stage)  # type: ignore[operator]
    weights = {"weights": assets / "weights" / "yolov8n-pose-recovered.pt", "data": assets / "coco8-pose"}
    options: dict[str, object] = {
        "data": {},
        "train": {**weights, "epochs": 500},
        "export": weights,
        "vela": {"model": assets / "himax" / "yolov8n-pose_192_full_integer_quant.tflite"},
    }[stage]
    process = workspace.start("deploy", device="grove-vision-ai-v2", engine=engine.name, **options)
    assert process.stdout
    for line in process.stdout:
        if line.startswith(f"{stage:<8} runs:"):
            break
    deadline = time.monotonic() + WAIT_S
    while not running(engine):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 130, text
    assert "error: interrupted" in text
    assert "Traceback" not in text
    assert running(engine) == []
    assert workspace.left_over() == []
    assert not list((workspace.root / "build").glob(f"{stage}-*"))
    shutil.rmtree(workspace.root)


def test_two_deploys_at_once_do_each_step_once(fresh: object, engine: Engine, assets: Path) -> None:
    skip_large(engine, "verify")
    workspace: Workspace = fresh("both")  # type: ignore[operator]
    options = {"model": assets / "himax" / "yolov8n-pose_192_full_integer_quant.tflite", "engine": engine.name}
    both = [workspace.start("deploy", device="grove-vision-ai-v2", **options) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert "".join(said).count("vela     runs:") == 1
    assert workspace.left_over() == []
    bundle = "yolov8n-pose_192_full_integer_quant-grove-vision-ai-v2-0.1.0"
    assert [path.name for path in (workspace.root / "dist").iterdir()] == [bundle]
