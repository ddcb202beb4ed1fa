"""A user's folder: no link leads out of it, and nothing in it keeps a reader waiting for ever."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edgewright import folder
from edgewright.errors import WrongInput


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder with one image."""
    (tmp_path / "set" / "images").mkdir(parents=True)
    (tmp_path / "set" / "images" / "a.jpg").write_bytes(b"x")
    (tmp_path / "secret").write_bytes(b"y")
    return tmp_path / "set"


def _twisted(data: Path) -> None:
    (data / "to" / "deep").mkdir(parents=True)
    (data / "to" / "deep" / "up").symlink_to("../..")
    # By its text it stays inside; by way of the link in its middle, it does not.
    (data / "images" / "b.jpg").symlink_to("../to/deep/up/../secret")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: (data / "images/b.jpg").symlink_to("/etc/passwd"),
        lambda data: (data / "images/b.jpg").symlink_to(data / "images/a.jpg"),
        lambda data: (data / "images/b.jpg").symlink_to("../../secret"),
        lambda data: (data / "more").symlink_to(".."),
        lambda data: (data / "images/b.jpg").symlink_to("gone.jpg"),
        lambda data: (data / "images/b.jpg").symlink_to("b.jpg"),
        lambda data: (data / "images/b.jpg").symlink_to("../../set/images/a.jpg"),
        _twisted,
    ],
    ids=["absolute", "absolute, inside", "upwards", "folder", "broken", "itself", "out and back", "twisted"],
)
def test_a_link_that_could_lead_elsewhere_is_refused(data: Path, spoil: Callable[[Path], object]) -> None:
    spoil(data)
    with pytest.raises(WrongInput, match="a link to") as refused:
        folder.check(data)
    assert refused.value.hint


def test_a_pipe_is_refused(data: Path) -> None:
    os.mkfifo(data / "images" / "b.jpg")
    with pytest.raises(WrongInput, match=r"b\.jpg: neither a file nor a folder"):
        folder.check(data)


def test_a_name_that_is_not_utf_8_is_refused_in_letters_that_can_be_printed(data: Path) -> None:
    Path(os.fsdecode(os.fsencode(data / "images") + b"/caf\xe9.jpg")).write_bytes(b"x")
    with pytest.raises(WrongInput, match=r"set/images/caf\\xe9\.jpg: a name that is not UTF-8") as refused:
        folder.check(data)
    str(refused.value).encode()


def test_a_data_set_below_a_folder_whose_name_is_not_utf_8_is_refused(data: Path) -> None:
    place = Path(os.fsdecode(os.fsencode(data.parent) + b"/caf\xe9"))
    data.rename(place)
    with pytest.raises(WrongInput, match=r"caf\\xe9: a name that is not UTF-8"):
        folder.check(place)


def test_folders_in_folders_without_end_are_refused(data: Path) -> None:
    """Python's os.walk calls itself for each, and gives up at about a thousand."""
    at = os.open(data, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    with pytest.raises(WrongInput, match="folders in folders, more than 64 deep"):
        folder.check(data)


def test_a_folder_of_more_files_than_any_data_set_has_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "FILES_MAX", 2)
    folder.check(data)
    (data / "images" / "b.jpg").touch()
    with pytest.raises(WrongInput, match="more than 2 files"):
        folder.check(data)


def test_a_folder_that_cannot_be_read_is_not_passed_over(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(path: object) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", closed)  # root may read every folder
    with pytest.raises(WrongInput, match=r"set: Permission denied"):
        folder.check(data)


def test_a_relative_link_within_the_set_may_stay(data: Path) -> None:
    (data / "images" / "b.jpg").symlink_to("a.jpg")
    (data / "images" / "c.jpg").symlink_to("b.jpg")
    (data / "train").symlink_to("images")
    folder.check(data)
