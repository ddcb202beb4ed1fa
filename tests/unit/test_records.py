"""A record on the volume is foreign too: what was edited does not count as done, and a release takes only what is confirmed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored import set_in
from toy_project import Here, build

from edgewright.build import Build, complete
from edgewright.plan import Plan


@pytest.mark.parametrize(
    "change",
    [
        set_in("facts", "isolation", value="container"),
        set_in("outputs", "model", "path", value="../other"),
        set_in("outputs", "model", "sha256", value="0" * 64),
        set_in("stage", value="../../x"),
    ],
)
def test_a_record_that_was_edited_does_not_count_as_done(
    plan: Plan, here: Here, tmp_path: Path, store: Path, change: Callable[[Any], None]
) -> None:
    walk = build(plan, here, tmp_path / "one")
    path = tmp_path / "one" / walk.done["second"].folder / "record.json"
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))
    shutil.rmtree(store)
    walk = build(plan, here, tmp_path / "one")
    assert here.runs == ["first", "second", "second"]
    assert walk.path(walk.plan.model).read_text() == "ab"


def test_an_output_that_became_a_link_is_made_anew(plan: Plan, here: Here, tmp_path: Path, store: Path) -> None:
    walk = build(plan, here, tmp_path / "one")
    model = walk.path(walk.plan.model)
    (tmp_path / "same").write_text("ab")
    model.unlink()
    model.symlink_to(tmp_path / "same")
    shutil.rmtree(store)
    walk = build(plan, here, tmp_path / "one")
    assert not walk.path(walk.plan.model).is_symlink()
    assert here.runs == ["first", "second", "second"]


def test_a_release_takes_only_what_the_store_confirms(plan: Plan, here: Here, tmp_path: Path, store: Path) -> None:
    build(plan, here, tmp_path / "one")
    complete(Build(plan, here, tmp_path / "one", released=True))
    assert here.runs == ["first", "second"]
    shutil.rmtree(store)
    complete(Build(plan, here, tmp_path / "one", released=True))
    assert here.runs == ["first", "second"] * 2
