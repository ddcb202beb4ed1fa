"""`make lock`: what is said about a change of pins. (Resolving itself is uv's, and needs a network.)"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from edgewright import lock, proc
from edgewright.errors import StageFailed, WrongInput


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a tree of one lock, which uv, played here, takes from numpy 1.24.3 to 1.26.4."""
    (tmp_path / "docker" / "one").mkdir(parents=True)
    (tmp_path / "docker" / "one" / "requirements.in").write_text("numpy\n")
    (tmp_path / "docker" / "one" / "requirements.txt").write_text(
        "numpy==1.24.3 \\\n    --hash=sha256:00\nsix==1.17.0\n"
    )

    def resolve(argv: Sequence[str], on_line: Callable[[str], None], *, cwd: Path, **_: Any) -> int:
        Path(cwd, argv[-1]).write_text("numpy==1.26.4 \\\n    --hash=sha256:01\nsix==1.17.0\n")
        return 0

    monkeypatch.setattr(proc, "stream", resolve)
    return tmp_path


def test_a_change_is_new_gone_or_another_version() -> None:
    before = {"same": "1", "moved": "1.24.3", "gone": "2"}
    after = {"same": "1", "moved": "1.26.4", "new": "3"}
    assert lock.compare(before, after) == [("gone", "2", "-"), ("moved", "1.24.3", "1.26.4"), ("new", "-", "3")]


def test_the_table_has_a_row_for_each_package_that_changed(tree: Path) -> None:
    lock.lock(tree, upgrade=True, table=tree / "pins.md")
    lines = (tree / "pins.md").read_text().splitlines()
    assert lines[0] == "| lock | package | old | new |"
    assert lines[2:] == ["| docker/one/requirements.txt | numpy | 1.24.3 | 1.26.4 |"]
    assert not list(tree.glob(".pins*"))


def test_a_table_of_no_change_says_so(tree: Path) -> None:
    lock.lock(tree, upgrade=True)
    lock.lock(tree, upgrade=True, table=tree / "pins.md")
    assert (tree / "pins.md").read_text() == "Nothing changed.\n"


def test_a_table_that_cannot_be_written_is_refused_before_anything_is_resolved(tree: Path) -> None:
    with pytest.raises(WrongInput, match="no folder"):
        lock.lock(tree, upgrade=True, table=tree / "missing" / "pins.md")
    assert "1.24.3" in (tree / "docker" / "one" / "requirements.txt").read_text()


def test_no_table_is_left_by_a_lock_that_fails(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc, "stream", lambda *_, **__: 1)
    with pytest.raises(StageFailed, match="cannot be resolved"):
        lock.lock(tree, upgrade=True, table=tree / "pins.md")
    assert not (tree / "pins.md").exists()


@pytest.mark.parametrize("compiled", [False, True])
def test_what_patches_lead_to_is_found_with_the_package_as_its_stage_installs_it(
    tree: Path, monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    stage = tree / "docker" / "one"
    (tree / "patches" / "numpy").mkdir(parents=True)
    (stage / "stage.toml").write_text('patches = "patches/numpy"\n')
    (stage / "requirements.in").write_text("numpy\npatch-ng\n")
    pins = "numpy==1.24.3\npatch-ng==1.19.1\n"
    if compiled:
        (stage / "build-requirements.txt").write_text("ziglang==0.14.1\n")
    started: list[str] = []

    def stream(argv: Sequence[str], *_: Any, **__: Any) -> int:
        started.append(" ".join(argv))
        (stage / "requirements.txt").write_text(pins)
        return 0

    monkeypatch.setattr(proc, "stream", stream)
    lock.lock(tree, upgrade=False)
    assert "docker/patch.py --write" in started[-1]
    assert started[-1].endswith("patches/numpy")
    if compiled:
        assert any("install.sh build docker/one/requirements.txt" in line for line in started)
    else:
        assert started[-2].endswith("numpy==1.24.3 patch-ng==1.19.1")
