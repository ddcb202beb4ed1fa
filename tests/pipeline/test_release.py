"""`make release` of a real model, twice, and `make check` of what came out; and what is refused before anything is built."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from edgewright.engine import Engine
from tests.conftest import Workspace, first_engine

DEVICE = "grove-vision-ai-v2"


@pytest.fixture(scope="module")
def engine() -> Engine:
    """Return one engine: what is released comes from records."""
    engine = first_engine()
    if not engine.hermetic:
        pytest.skip("releases come from containers, and no container engine answers")
    return engine


@pytest.fixture(scope="module")
def committed(workspace: Workspace) -> Workspace:
    """Return the workspace that all real tests share, as a commit."""

    def git(*words: str) -> None:
        author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *author, *words], cwd=workspace.root, check=True, capture_output=True)

    git("init", "--quiet")
    (workspace.root / ".git" / "info" / "exclude").write_text("/store/\n/release.*\n")
    git("add", "--all")
    git("commit", "--quiet", "--message=x")
    return workspace


@pytest.fixture(scope="module")
def options(engine: Engine, assets: Path, committed: Workspace) -> dict[str, object]:
    """Return what is released: a recipe without gates, for which four frames are enough."""
    code, text = committed.run("key", key="release.key")
    assert code == 0, text
    weights = assets / "weights" / "yolov8n-pose-recovered.pt"
    given = {"recipe": "yolov8n-pose", "weights": weights, "data": assets / "coco8-pose", "key": "release.key"}
    return {"device": DEVICE, "engine": engine.name, **given}


def test_the_same_release_twice_and_it_passes_its_check(
    committed: Workspace, options: dict[str, object], tmp_path: Path
) -> None:
    folder = committed.root / "dist" / "releases" / f"yolov8n-pose-{DEVICE}-0.1.0"
    code, text = committed.run("release", **options)
    assert code == 0, text
    shutil.move(folder, tmp_path / "first")
    # A step of which only the volume has a record may have been put there by another step: it runs again.
    steps = json.loads((tmp_path / "first" / "manifest.json").read_text())["steps"]
    (key,) = [step["key"] for step in steps if step["stage"] == "read"]
    (committed.store / "actions" / f"{key}.json").unlink()
    code, text = committed.run("release", **{**options, "device": "all"})
    assert code == 0, text
    assert "read     runs: a release takes only what the cache of isolated steps confirms" in text
    assert (folder.parent / "yolov8n-pose-esp32s3-0.1.0").is_dir()
    subprocess.run(["diff", "--recursive", tmp_path / "first", folder], check=True)
    subprocess.run(["sha256sum", "--quiet", "--check", "SHA256SUMS"], cwd=folder, check=True)
    code, text = committed.run("check", release=folder, key="release.pub")
    assert code == 0, text
    assert "signed by the key" in text
    model = folder / "model.tflite"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    code, text = committed.run("check", release=folder, key="release.pub")
    assert (code, "model.tflite: not what SHA256SUMS says" in text) == (6, True), text


def test_what_is_refused(committed: Workspace, options: dict[str, object]) -> None:
    code, text = committed.run("release", **{**options, "engine": "venv"})
    assert (code, "has no walls" in text) == (2, True), text
    (committed.root / "odd.txt").touch()
    code, text = committed.run("release", **options)
    assert (code, "not in any commit: odd.txt" in text) == (2, True), text
    (committed.root / "odd.txt").unlink()
    code, text = committed.run("release", **{**options, "recipe": "figures-pose"})
    assert (code, "too few to judge by" in text) == (2, True), text
