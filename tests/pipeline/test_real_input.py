"""Real weights, images and vendors' files through whole pipelines, in every engine."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewright.engine import Engine
from tests.conftest import Workspace, skip_large

HIMAX = "yolov8n-pose_192_full_integer_quant"
HIMAX_COMPILED = "d351a7755c5fcff1875f16fed1dd0bca89cfbc0b7b9b9d4f68281a33e1b63ada"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def manifest(bundle: Path) -> dict[str, object]:
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=bundle, check=True)
    found: dict[str, object] = json.loads((bundle / "manifest.json").read_text())
    return found


@pytest.fixture
def unverified(workspace: Workspace) -> Iterator[str]:
    """Describe a Grove of which nothing is verified, as podman would build that image, 7 GB, as well; return its name."""
    device, made = "grove-vision-ai-v2", []
    for folder in ("devices", "firmwares"):
        for path in (workspace.root / "configs" / folder).glob(f"{device}*.toml"):
            text = path.read_text().replace(', "verify"]', "]").replace(f'"{device}', '"unverified')
            made.append(path.with_name(path.name.replace(device, "unverified")))
            made[-1].write_text(text)
    yield "unverified"
    for path in made:
        path.unlink()


def test_vela_gives_the_bytes_that_the_vendor_published(
    workspace: Workspace, engine: Engine, assets: Path, unverified: str
) -> None:
    model = assets / "himax" / f"{HIMAX}.tflite"
    bundle = workspace.deploy(unverified, model=model, engine=engine.name, name=f"himax-{engine.name}", force=1)
    assert sha256(bundle / "model.tflite") == HIMAX_COMPILED
    assert sha256(bundle / "model.tflite") == sha256(assets / "himax" / f"{HIMAX}_vela.tflite")
    assert manifest(bundle)["engine"] == {
        "name": engine.name,
        "hermetic": engine.hermetic,
        "for_release": engine.hermetic,
    }


@pytest.fixture(scope="module")
def int8_of_engine() -> dict[str, str]:
    return {}


@pytest.mark.parametrize("device", ["esp32s3", "grove-vision-ai-v2"])
def test_real_weights_give_the_same_model_in_every_engine(
    workspace: Workspace, engine: Engine, assets: Path, device: str, int8_of_engine: dict[str, str]
) -> None:
    skip_large(engine, "export")
    bundle = workspace.deploy(
        device,
        weights=assets / "weights" / "yolov8n-pose-recovered.pt",
        data=assets / "coco8-pose",
        imgsz=192,
        engine=engine.name,
        name=f"real-{engine.name}",
    )
    assert (bundle / "labels.txt").read_text() == "person\n"
    steps = {step["stage"]: step for step in manifest(bundle)["steps"]}  # type: ignore[attr-defined]
    assert list(steps) == ["data", "read", "export", *(["vela"] if device != "esp32s3" else []), "verify"]
    digest = int8_of_engine.setdefault(device, steps["export"]["outputs"]["model"])
    assert steps["export"]["outputs"]["model"] == digest
    assert digest == int8_of_engine[next(iter(int8_of_engine))], "both boards take the same int8 file"


def test_a_second_run_does_nothing_and_says_so(workspace: Workspace, assets: Path) -> None:
    options = {"model": assets / "himax" / f"{HIMAX}.tflite", "engine": "venv", "name": "again"}
    workspace.deploy("grove-vision-ai-v2", **options)
    code, text = workspace.run("deploy", device="grove-vision-ai-v2", **options)
    assert code == 0
    assert "vela     up to date" in text
    assert "nothing to do" in text
    assert workspace.left_over() == []
