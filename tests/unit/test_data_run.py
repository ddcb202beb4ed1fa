"""The data stage as an engine runs it: what it writes, what it says, and what a refusal leaves behind."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from data_stage import make_set, run_stage, truncate


def test_the_stage_writes_the_same_files_whatever_the_volume_is_called(tmp_path: Path) -> None:
    seen = []
    for name in ("one", "another"):
        assert run_stage(tmp_path / name, {}).returncode == 0
        files = sorted((tmp_path / name / "run/data").rglob("*"))
        seen.append({str(f.relative_to(tmp_path / name)): f.read_bytes() for f in files if f.is_file()})
    assert seen[0] == seen[1]
    assert {Path(name).name for name in seen[0]} >= {
        "manifest.json",
        "data.yaml",
        "calibration.npy",
        "contact_sheet.png",
    }


def test_a_users_set_is_not_copied(tmp_path: Path) -> None:
    make_set(tmp_path / "run/x/inputs/dataset")
    assert run_stage(tmp_path, {"dataset": "run/x/inputs/dataset"}).returncode == 0
    output = tmp_path / "run/data"
    assert not (output / "dataset").exists()
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["totals"]["train"] == {"images": 3, "without_labels": 0, "rows": 3, "keypoints": 51}
    assert "path: dataset\n" in (output / "data.yaml").read_text()
    assert not re.search(r"run/|\b/", (output / "data.yaml").read_text().replace("images/", ""))


def test_a_refused_set_leaves_nothing_behind(tmp_path: Path) -> None:
    make_set(tmp_path / "dataset")
    truncate(tmp_path / "dataset")
    done = run_stage(tmp_path, {"dataset": "dataset"})
    assert done.returncode == 2
    assert re.fullmatch(r"error: images/train/1.png: truncated.*\n hint: .*\n", done.stderr)
    assert [path.name for path in (tmp_path / "run/data").iterdir()] == ["request.json"]


@pytest.mark.parametrize("labels", ["labels", "labels/val"])
def test_images_without_labels_are_taken_and_that_is_said(tmp_path: Path, labels: str) -> None:
    make_set(tmp_path / "dataset")
    shutil.rmtree(tmp_path / "dataset" / labels)
    done = run_stage(tmp_path, {"dataset": "dataset"})
    assert done.returncode == 0, done.stderr
    assert "val: no image has labels; those of images/val/3.png would be in labels/val/3.txt" in done.stdout
    manifest = json.loads((tmp_path / "run/data/manifest.json").read_text())
    assert manifest["totals"]["val"]["rows"] == 0
    assert manifest["names"] == ["person"]


def test_a_folder_of_images_alone_is_both_splits(tmp_path: Path) -> None:
    make_set(tmp_path / "set", train=2, val=2)
    (tmp_path / "dataset").mkdir()
    for image in (tmp_path / "set").rglob("*.png"):
        shutil.copy(image, tmp_path / "dataset")
    done = run_stage(tmp_path, {"dataset": "dataset"})
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "run/data/manifest.json").read_text())
    assert [entry["image"] for entry in manifest["splits"]["val"]] == ["0.png", "1.png", "2.png", "3.png"]
