"""An entry of the store with anything changed in it: the step that was kept comes back whole, or nothing does."""

from __future__ import annotations

import copy
import json
import shutil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored import FILES, STAGE, kept

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def mutated(draw: st.DrawFn, raw: Any) -> Any:
    """Draw a JSON value like `raw` with one place changed, removed or added."""
    raw = copy.deepcopy(raw)
    at = raw
    while isinstance(at, dict) and at:
        name = draw(st.sampled_from(sorted(at)))
        if not isinstance(at[name], dict) or draw(st.booleans()):
            match draw(st.sampled_from(["set", "drop", "add", "swap"])):
                case "set":
                    at[name] = draw(_JSON)
                case "drop":
                    del at[name]
                case "add":
                    at[draw(st.text(max_size=30) | st.sampled_from(["..", "../x", "/x", "a/../b", "plots/../x"]))] = at[
                        name
                    ]
                case _:
                    at[name] = at[draw(st.sampled_from(sorted(at)))]
            break
        at = at[name]
    return raw


@given(data=st.data())
def test_whatever_an_entry_says_nothing_else_comes_back_and_nothing_is_written_outside(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    tmp_path = tmp_path_factory.mktemp("store")
    store, record = kept(tmp_path)
    path = store.folder / "actions" / f"{record.key}.json"
    text = path.read_bytes()
    if data.draw(st.booleans()):
        text = json.dumps(data.draw(mutated(json.loads(text)))).encode()
    else:
        at = data.draw(st.integers(0, len(text) - 1))
        text = text[:at] + data.draw(st.binary(max_size=4)) + text[at + data.draw(st.integers(0, 4)) :]
    path.chmod(0o644)
    path.write_bytes(text)
    entry = store.find(record.key, STAGE)
    back = tmp_path / "volume" / "back"
    back.mkdir(parents=True)
    if entry and store.restore(entry, back):
        assert entry.record == record
        assert {p.relative_to(back).as_posix(): p.read_bytes() for p in back.rglob("*") if p.is_file()} == FILES
    assert [p.name for p in (tmp_path / "volume").iterdir()] == ["back"]
    assert {p.name for p in tmp_path.iterdir()} == {"build", "kept", "volume"}
    shutil.rmtree(tmp_path)
