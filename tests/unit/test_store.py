"""The store is foreign too: what was forged or damaged in it is not taken, and costs the cache, never the run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored import FACTS, FILES, STAGE, kept, set_in, write_step
from toy_project import Here

from edgewright import digest
from edgewright.build import Build
from edgewright.cache import Store
from edgewright.plan import Plan


def test_a_step_comes_back_as_it_was(tmp_path: Path) -> None:
    store, record = kept(tmp_path)
    entry = store.find(record.key, STAGE)
    assert entry
    assert entry.record == record
    (tmp_path / "back").mkdir()
    assert store.restore(entry, tmp_path / "back")
    assert {name: (tmp_path / "back" / name).read_bytes() for name in FILES} == FILES


def other_hash(raw: Any) -> None:
    raw["files"]["model.bin"] = raw["files"]["plots/a.png"]


def other_hash_in_both(raw: Any) -> None:
    other_hash(raw)
    raw["record"]["outputs"]["model"]["path"] = "plots"


def leave_out(raw: Any) -> None:
    del raw["files"]["plots/deep/b.png"]


SUM = digest.of_bytes(b"model")
FORGED: dict[str, Callable[[Any], None]] = {
    "another stored object": other_hash,
    "another stored object, path too": other_hash_in_both,
    "a file less": leave_out,
    "a file more": set_in("files", "plots/more", value=SUM),
    "a file beside the outputs": set_in("files", "extra", value=SUM),
    "a name that leads out": set_in("files", "plots/../../out", value=SUM),
    "an absolute name": set_in("files", "/tmp/out", value=SUM),
    "an empty name": set_in("files", "", value=SUM),
    "a file below a file": set_in("files", "model.bin/x", value=SUM),
    "a hash that is a path": set_in("files", "model.bin", value="../../secret"),
    "another stage": set_in("record", "stage", value="other"),
    "a stage that leads out": set_in("record", "stage", value="../../x"),
    "facts that were edited": set_in("record", "facts", "isolation", value="container"),
    "another key": set_in("record", "key", value="0" * 64),
    "an output that leads out": set_in("record", "outputs", "model", "path", value="../model.bin"),
    "an output too many": set_in("record", "outputs", "more", value={"path": "model.bin", "sha256": SUM, "bytes": 5}),
    "an output that is a number": set_in("record", "outputs", "model", value=5),
    "outputs that are a list": set_in("record", "outputs", value=[]),
    "facts that are none": set_in("record", "facts", value=None),
    "files that are a number": set_in("files", value=7),
    "no record": set_in("record", value=[]),
    "another version": set_in("schema", value=1),
}


@pytest.mark.parametrize("name", FORGED)
def test_an_entry_that_was_forged_is_not_taken(tmp_path: Path, name: str) -> None:
    store, record = kept(tmp_path)
    path = store.folder / "actions" / f"{record.key}.json"
    raw = json.loads(path.read_text())
    FORGED[name](raw)
    path.chmod(0o644)
    path.write_text(json.dumps(raw))
    assert store.find(record.key, STAGE) is None


def test_an_entry_of_another_key_under_this_name_is_not_taken(tmp_path: Path) -> None:
    store, record = kept(tmp_path)
    other = write_step(tmp_path / "build", {**FACTS, "environment": "f"})
    os.replace(
        store.folder / "actions" / f"{record.key}.json",
        store.folder / "actions" / f"{other.key}.json",
    )
    assert store.find(other.key, STAGE) is None


ODD: dict[str, Callable[[Path, Path], object]] = {
    "pipe": lambda path, _: os.mkfifo(path),
    "link": lambda path, secret: path.symlink_to(secret),
    "folder": lambda path, _: path.mkdir(),
    "nested": lambda path, _: path.write_text("[" * 100_000),
    "nothing": lambda path, _: path.touch(),
    "no text": lambda path, _: path.write_bytes(b"\xff\xfe\x00"),
}


@pytest.mark.parametrize("kind", ODD)
def test_an_entry_that_is_no_file_of_ours_is_put_aside_and_hangs_nobody(tmp_path: Path, kind: str) -> None:
    store, record = kept(tmp_path)
    path = store.folder / "actions" / f"{record.key}.json"
    path.unlink()
    ODD[kind](path, tmp_path / "secret")
    assert store.find(record.key, STAGE) is None
    assert not path.exists()
    assert not path.is_symlink()
    store.save(record, tmp_path / "build" / record.folder, STAGE)
    assert store.find(record.key, STAGE), "it is whole again"


@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "no text"])
def test_an_object_that_is_no_file_of_ours_brings_nothing_back(tmp_path: Path, kind: str) -> None:
    store, record = kept(tmp_path)
    (tmp_path / "secret").write_bytes(b"secret")
    path = store.folder / "content" / SUM[:2] / SUM
    path.unlink()
    ODD[kind](path, tmp_path / "secret")
    entry = store.find(record.key, STAGE)
    assert entry
    (tmp_path / "back").mkdir()
    assert not store.restore(entry, tmp_path / "back")
    assert not [path for path in (tmp_path / "back").rglob("*") if path.is_file() and path.read_bytes() == b"secret"]
    store.save(record, tmp_path / "build" / record.folder, STAGE)
    shutil.rmtree(tmp_path / "back")
    (tmp_path / "back").mkdir()
    assert store.restore(entry, tmp_path / "back"), "it is whole again"


def test_what_is_not_isolated_is_never_kept_with_what_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEWRIGHT_STORE", str(tmp_path))
    assert Store.of_user(True).folder == tmp_path
    assert Store.of_user(False).folder == tmp_path / "venv"


@pytest.mark.parametrize("name", ["plots/../../out", "plots//x", "plots/./x"])
def test_an_entry_that_was_forged_to_agree_with_itself_still_leads_nowhere(tmp_path: Path, name: str) -> None:
    store, record = kept(tmp_path)
    path = store.folder / "actions" / f"{record.key}.json"
    raw = json.loads(path.read_text())
    raw["files"] = {"model.bin": SUM, name: SUM}
    raw["record"]["outputs"]["plots"]["sha256"] = digest.of_value([[name.removeprefix("plots/"), SUM]])
    path.chmod(0o644)
    path.write_text(json.dumps(raw))
    assert store.find(record.key, STAGE) is None


def test_a_build_takes_the_store_of_its_engines_kind(
    plan: Plan, here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEWRIGHT_STORE", str(tmp_path / "s"))
    assert Build(plan, here, tmp_path).store.folder == tmp_path / "s" / "venv"
    monkeypatch.setattr(Here, "hermetic", True)
    assert Build(plan, here, tmp_path).store.folder == tmp_path / "s"
