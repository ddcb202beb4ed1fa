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


def test_a_relative_link_within_the_set_may_stay(data: Path) -> None:
    (data / "images" / "b.jpg").symlink_to("a.jpg")
    (data / "images" / "c.jpg").symlink_to("b.jpg")
    (data / "train").symlink_to("images")
    folder.check(data)
