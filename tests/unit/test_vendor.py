"""`make vendor`: a folder with what the locks, the assets and the images name, fetched once."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from toy_docker import docker, words
from toy_project import Here
from vendored import WHEELS, caches, index, sha256, state, toy

from edgewright import vendor
from edgewright.config import Project, load_project
from edgewright.errors import HashDiffers
from edgewright.supply import SUMS, read_sums
from edgewright.wheels import Wheel

__all__ = ["caches", "index", "state", "toy"]  # fixtures


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_has_what_its_sums_name_and_a_second_run_fetches_nothing(
    project: Project, index: dict[str, Wheel], here: Here, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "usb stick"
    vendor.fill(project, here, folder)
    sums = read_sums(folder)
    assert set(sums) == {*(f"wheels/{name}" for name in WHEELS), "assets/best.pt"}
    assert files_in(folder) == {SUMS, *sums}
    assert all(sha256((folder / name).read_bytes()) == total for name, total in sums.items())
    assert "2 files, 2 fetched" in capsys.readouterr().out
    for path in (tmp_path / "index").iterdir():
        path.unlink()  # who fetches again would fail
    vendor.fill(project, here, folder)
    assert "2 files, 0 fetched" in capsys.readouterr().out
    assert read_sums(folder) == sums


def test_a_wheel_that_was_damaged_or_not_finished_is_fetched_again(
    project: Project, index: dict[str, Wheel], here: Here, tmp_path: Path
) -> None:
    vendor.fill(project, here, tmp_path / "v")
    damaged, half = (tmp_path / "v" / "wheels" / name for name in WHEELS)
    damaged.write_bytes(b"sox")
    os.replace(half, half.with_name(f".{half.name}.part"))
    (half.parent / ".of-an-older-lock.whl.part").touch()
    vendor.fill(project, here, tmp_path / "v")
    assert files_in(tmp_path / "v") == {SUMS, *read_sums(tmp_path / "v")}
    assert damaged.read_bytes() == b"six"


def test_an_index_that_gives_other_bytes_is_refused_and_leaves_nothing(
    project: Project, index: dict[str, Wheel], here: Here, tmp_path: Path
) -> None:
    (name, *_) = index
    (tmp_path / "index" / name).write_bytes(b"sox")
    with pytest.raises(HashDiffers, match=r"six-1\.17\.0.*lock\.txt says") as problem:
        vendor.fill(project, here, tmp_path / "v")
    assert problem.value.exit_code == 6
    assert files_in(tmp_path / "v") == set()


def test_what_no_lock_names_any_more_goes_and_other_peoples_files_stay(
    project: Project, index: dict[str, Wheel], here: Here, tmp_path: Path
) -> None:
    folder, mine = tmp_path / "v", tmp_path / "v" / "images" / "holiday.jpg"
    vendor.fill(project, here, folder)
    mine.write_bytes(b"photo")
    (tmp_path / "letter").write_bytes(b"dear")
    with (folder / SUMS).open("a") as sums:
        sums.write(f"{'0' * 64}  wheels/../../letter\n{'0' * 64}  ../letter\n")
    old = index.popitem()[0]
    vendor.fill(project, here, folder)
    assert not (folder / "wheels" / old).exists()
    assert mine.exists()
    assert (tmp_path / "letter").exists()


def test_an_asset_that_cannot_be_had_is_named_and_left_out(
    toy: Path, index: dict[str, Wheel], here: Here, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (toy / "best.pt").unlink()
    vendor.fill(load_project(toy), here, tmp_path / "v")
    assert "best is left out: " in capsys.readouterr().out
    assert files_in(tmp_path / "v") == {SUMS, *(f"wheels/{name}" for name in WHEELS)}


def test_images_are_saved_once_and_again_when_damaged(
    project: Project, index: dict[str, Wheel], toy: Path, state: Path, tmp_path: Path
) -> None:
    engine, folder = docker(toy, state), tmp_path / "v"
    (state / "images").write_text(f"{engine.base.local}\n")
    vendor.fill(project, engine, folder)
    assert words(state, "done").count("save") == 2  # the base, and all stages
    kept = json.loads((folder / "images.json").read_text())
    assert set(kept) == set(words(state, "images"))
    vendor.fill(project, engine, folder)
    assert words(state, "done").count("save") == 2
    (folder / kept[engine.base.local]).write_bytes(b"rot")
    vendor.fill(project, engine, folder)
    assert words(state, "done").count("save") == 3
    assert files_in(folder) == {SUMS, *read_sums(folder)}
