"""A data set in one file: what comes out of it, and when that is taken from the cache."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_maker import FILES, cache, info, make

from edgewright import archive, environments

__all__ = ["cache"]  # a fixture


@pytest.mark.parametrize("suffix", archive.SUFFIXES)
def test_a_set_in_a_folder_of_its_own_is_found_in_it(tmp_path: Path, suffix: str) -> None:
    folder = archive.unpack(make(tmp_path / f"Set{suffix.upper() if suffix == '.zip' else suffix}", FILES))
    assert {f"set/{p.relative_to(folder)}": p.read_bytes() for p in folder.rglob("*") if p.is_file()} == FILES


@pytest.mark.parametrize("beside", ["__MACOSX/._a", "labels/train/a.txt", "data.yaml"])
def test_a_set_without_a_folder_of_its_own_is_left_as_it_is(tmp_path: Path, beside: str) -> None:
    folder = archive.unpack(make(tmp_path / "set.zip", {"images/train/a.jpg": b"x", beside: b"y"}))
    assert (folder / "images" / "train" / "a.jpg").exists()


def test_an_archive_is_unpacked_once_whatever_it_is_called(tmp_path: Path, cache: Path) -> None:
    first = archive.unpack(make(tmp_path / "set.zip", FILES))
    before = first.stat().st_ino
    (tmp_path / "set.zip").rename(tmp_path / "other.zip")
    assert archive.unpack(tmp_path / "other.zip").stat().st_ino == before
    (total,) = (path.name for path in cache.iterdir() if path.is_dir())
    assert sorted(path.name for path in cache.iterdir()) == [total, f"{total}.list"]


CHANGES: dict[str, Callable[[Path], object]] = {
    "other content": lambda root: (root / "data.yaml").write_bytes(b"x" * 20),
    "a file more": lambda root: (root / "labels.cache").write_bytes(b"x"),
    "a file less": lambda root: (root / "data.yaml").unlink(),
    "a link": lambda root: (root / "link").symlink_to("/etc/passwd"),
    "a hard link from outside": lambda root: os.link(root / "data.yaml", root.parents[3] / "outside"),
    "another mode": lambda root: (root / "data.yaml").chmod(0o666),
    "a pipe": lambda root: os.mkfifo(root / "pipe"),
    "no list": lambda root: next(root.parents[1].glob("*.list")).unlink(),
    "a list that is a link": lambda root: _linked(next(root.parents[1].glob("*.list"))),
}


def _linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_in_the_cache_that_has_changed_is_unpacked_again(
    tmp_path: Path, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make(tmp_path / "set.tar", FILES)
    root = archive.unpack(path)
    CHANGES[change](root)
    again = archive.unpack(path)
    assert {f"set/{p.relative_to(again)}": p.read_bytes() for p in again.rglob("*") if p.is_file()} == FILES
    assert not (again / "link").is_symlink()
    assert "has changed since it was unpacked" in capsys.readouterr().out
    archive.unpack(path)
    assert "has changed" not in capsys.readouterr().out


def test_a_link_in_place_of_the_copy_is_not_followed(tmp_path: Path, cache: Path) -> None:
    path = make(tmp_path / "set.zip", FILES)
    target = archive.unpack(path).parent
    target.rename(tmp_path / "elsewhere")
    target.symlink_to(tmp_path / "elsewhere")
    assert not archive.unpack(path).parent.is_symlink()
    assert (tmp_path / "elsewhere" / "set" / "data.yaml").exists()


def test_what_a_killed_run_left_is_not_taken_for_a_set_and_goes(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "set.zip", FILES)
    monkeypatch.setattr(archive.os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr(archive, "_remove", lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        archive.unpack(path)
    monkeypatch.undo()
    for module in (archive, environments):
        monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    (left,) = cache.iterdir()
    assert (archive.unpack(path) / "data.yaml").read_bytes() == FILES["set/data.yaml"]
    assert not left.exists()


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_modes_are_plain_ones_whatever_the_archive_and_the_umask_say(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"set{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as zipped:
            entry = zipfile.ZipInfo("images/a.sh")
            entry.external_attr = (stat.S_IFREG | 0o6777) << 16
            zipped.writestr(entry, b"x")
    else:
        with tarfile.open(path, "w") as tarred:
            tarred.addfile(info("images", type=tarfile.DIRTYPE, mode=0o000))
            tarred.addfile(info("images/a.sh", size=1, mode=0o6777), io.BytesIO(b"x"))
    before = os.umask(0o077)
    try:
        folder = archive.unpack(path)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (folder, folder / "images", folder / "images/a.sh")]
    assert modes == [0o755, 0o755, 0o644]
