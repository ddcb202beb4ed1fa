"""Releases: the same bytes from the same inputs, and refused where they would promise too much."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from release_facts import report
from released import Walled, git, make_release, make_released, set_text, walk_of
from tampering import files_of, folder, place
from toy_project import Here

from edgewright import check, release
from edgewright.errors import HashDiffers, WrongInput

__all__ = ["folder", "place"]


# --- what is right ------------------------------------------------------------------------------------------------------------


def test_a_release_is_complete_and_passes_its_check(place: Path, folder: Path) -> None:
    names = set(files_of(folder))
    assert names >= {"model.tflite", "report.html", "report.json", "manifest.json", "MODEL_CARD.md", "bom.cdx.json"}
    assert names >= {f"provenance/{name}.json" for name in ("first", "second", "judge", "test-result", "release")}
    assert names >= {"SHA256SUMS", "release.intoto.jsonl", "LICENSES/AGPL-3.0-only.txt"}
    subprocess.run(["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"], cwd=folder, check=True)
    checked = check.check(folder, place / "release.pub")
    assert "5 statements, one chain to the model" in checked.holds
    assert re.match(r"signed by the key [0-9a-f]{12}, all 13 files: SLSA Build L1", checked.holds[-1])
    assert checked.open == []


def test_two_releases_of_the_same_inputs_are_the_same_bytes_and_the_second_is_not_written(
    place: Path, folder: Path, tmp_path: Path
) -> None:
    again = make_release(place / "toy", tmp_path / "again", place / "release.key")
    assert files_of(again) == files_of(folder)
    terms = release.prepare(place / "toy", Walled(place / "toy"), str(place / "release.key"))
    walk = walk_of(place / "toy", tmp_path / "again/build")
    assert release.write(walk, tmp_path / "again/dist", terms) == (again, False)
    (again / "release.intoto.jsonl").write_text("")
    assert release.write(walk, tmp_path / "again/dist", terms) == (again, True)
    assert files_of(again) == files_of(folder)


def test_nothing_in_a_release_tells_where_it_was_made(place: Path, folder: Path) -> None:
    for name, content in files_of(folder).items():
        assert str(place).encode() not in content, name


def test_a_users_own_model_is_released_as_what_the_judge_took(place: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.tflite"
    own.write_text("1234TFL3x")
    made = make_release(place / "toy", tmp_path, place / "release.key", files={"model": own})
    check.check(made, place / "release.pub")
    assert (made / "model.tflite").read_bytes() == own.read_bytes()
    assert {path.stem for path in (made / "provenance").iterdir()} == {"judge", "test-result", "release"}


# --- what is not released -----------------------------------------------------------------------------------------------------


def test_an_engine_without_walls_is_refused_before_anything_is_built(place: Path) -> None:
    with pytest.raises(WrongInput, match="has no walls") as refusal:
        release.prepare(place / "toy", Here(place / "toy"))
    assert refusal.value.hint == "ENGINE=docker"


def test_changed_new_and_staged_files_are_refused_by_name(tmp_path: Path) -> None:
    root = make_released(tmp_path / "toy")
    release.prepare(root, Walled(root))
    (root / "new.txt").write_text("x")
    with pytest.raises(WrongInput, match=r"not in any commit: new\.txt"):
        release.prepare(root, Walled(root))
    git(root, "config", "status.showUntrackedFiles", "no")
    with pytest.raises(WrongInput, match=r"new\.txt"):
        release.prepare(root, Walled(root))
    (root / "new.txt").unlink()
    set_text(root, "x")
    with pytest.raises(WrongInput, match=r"not in any commit: configs/recipes/figures\.toml"):
        release.prepare(root, Walled(root))


def test_a_project_without_git_or_without_a_commit_is_refused(tmp_path: Path) -> None:
    root = make_released(tmp_path / "toy")
    shutil.rmtree(root / ".git")
    with pytest.raises(WrongInput, match="git has none"):
        release.prepare(root, Walled(root))
    git(root, "init", "-q")
    shutil.move(root, tmp_path / "elsewhere")
    root.mkdir()
    git(root, "init", "-q")
    with pytest.raises(WrongInput, match="git has none"):
        release.prepare(root, Walled(root))


def test_a_project_that_is_changed_while_it_is_built_is_refused(tmp_path: Path) -> None:
    root = make_released(tmp_path / "toy")
    terms = release.prepare(root, Walled(root))
    walk = walk_of(root, tmp_path / "build")
    git(root, "commit", "-q", "--allow-empty", "-m", "more")
    with pytest.raises(WrongInput, match="while it was built"):
        release.write(walk, tmp_path / "dist", terms)


def test_a_model_of_which_not_all_was_proved_is_refused(tmp_path: Path) -> None:
    gate = {"name": "max_ap_drop", "limit": 0.1, "found": None, "passes": None, "reason": "no images"}
    root = make_released(tmp_path / "toy", changes={"accuracy": {**report()["accuracy"], "gates": [gate]}})
    with pytest.raises(WrongInput, match=r"gate max_ap_drop = 0\.1 was not checked: no images"):
        make_release(root, tmp_path)
    partial = make_released(tmp_path / "toy2", changes={"verdict": {**report()["verdict"], "state": "partial"}})
    with pytest.raises(WrongInput, match="verdict: partial"):
        make_release(partial, tmp_path / "two")
    assert not (tmp_path / "dist").exists()


def test_a_model_must_look_like_one(place: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.tflite"
    own.write_text("12345678")
    with pytest.raises(HashDiffers, match=r"model\.tflite: not a TFLite file"):
        make_release(place / "toy", tmp_path, files={"model": own})
    assert list((tmp_path / "dist/releases").iterdir()) == []
