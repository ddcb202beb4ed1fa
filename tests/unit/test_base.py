"""A key holds what is in the base image, however it came and whatever it is called."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_docker import docker, give_base, make_state, words

from edgewright import base, environments
from edgewright.config import load_project


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (base, environments):
        monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def toy(toy: Path) -> Path:
    """Return the toy project with a base image."""
    return give_base(toy)


def key(toy: Path, state: Path, name: str) -> str:
    """Return the fingerprint of a stage's environment on a docker that has a base of that name."""
    engine = docker(toy, state)
    (state / "images").write_text(f"{getattr(engine.base, name)}\n")
    return engine.prepare(load_project(toy).stages["first"]).fingerprint


def test_bases_of_other_contents_share_no_key(toy: Path, tmp_path: Path) -> None:
    one, two = make_state(tmp_path / "one"), make_state(tmp_path / "two", b"updated system")
    assert key(toy, one, "local") != key(toy, two, "local")


@pytest.mark.parametrize("name", ["public", "kept"])
def test_the_same_contents_have_the_same_key_under_another_name(toy: Path, tmp_path: Path, name: str) -> None:
    one, two = make_state(tmp_path / "one"), make_state(tmp_path / "two")
    assert key(toy, one, "local") == key(toy, two, name)


def test_a_base_is_read_once_and_never_again(toy: Path, tmp_path: Path) -> None:
    state = make_state(tmp_path / "one")
    assert key(toy, state, "local") == key(toy, state, "local")
    assert words(state, "calls").count("create") == 1


@pytest.mark.parametrize("content", ["", "0" * 63, "no digest" * 8])
def test_a_note_that_is_no_digest_is_made_anew(toy: Path, tmp_path: Path, cache: Path, content: str) -> None:
    state = make_state(tmp_path / "one")
    before = key(toy, state, "local")
    (note,) = (cache / "bases").iterdir()
    note.write_text(content)
    assert key(toy, state, "local") == before
    assert len(note.read_text()) == 64


def test_what_is_there_is_found_by_one_question_for_the_base_and_one_for_each_image(toy: Path, tmp_path: Path) -> None:
    state, stages = make_state(tmp_path / "one"), load_project(toy).stages.values()
    key(toy, state, "local")
    engine = docker(toy, state)
    for stage in stages:
        engine.prepare(stage)
    (state / "calls").write_text("")
    engine = docker(toy, state)
    assert all(engine.find(stage) for stage in stages)
    assert words(state, "calls") == ["image"] * (1 + len(stages))


def test_the_public_base_comes_before_the_local_one(toy: Path, tmp_path: Path) -> None:
    state = make_state(tmp_path / "one")
    engine = docker(toy, state)
    (state / "images").write_text(f"{engine.base.local}\n{engine.base.public}\n")
    found = base.present(engine.program, engine.base)
    assert found
    assert found.name == engine.base.public
