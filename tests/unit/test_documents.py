"""JSON that a stage wrote: read if it is what the stage should write, else the step has failed, in one line."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright import documents
from edgewright.errors import StageFailed
from edgewright.records import Record

RECORD = Record("judge", "0" * 64, {}, {"verdict": {"path": "report.json", "sha256": "0" * 64, "bytes": 1}})
GOOD: dict[str, Any] = {
    "verdict": {
        "state": "passes",
        "summary": "fits",
        "violations": [{"text": "a", "hint": "b", "more": 1}],
        "warnings": [],
        "lines": ["AP"],
        "partial": [],
        "notes": [],
    },
    "model": {"name": "m.tflite", "bytes": 1},
    "more": [],
}


def read(tmp_path: Path, text: str) -> documents.Report:
    (tmp_path / RECORD.folder).mkdir(exist_ok=True)
    (tmp_path / RECORD.folder / "report.json").write_text(text)
    return documents.read(tmp_path, RECORD, "verdict", documents.Report)


def test_what_is_declared_is_taken_and_what_is_not_is_left(tmp_path: Path) -> None:
    found = read(tmp_path, json.dumps(GOOD))
    assert found.verdict.violations[0].text == "a"
    assert not hasattr(found, "more")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the whole: invalid json"),
        ("[]", "the whole"),
        ("[" * 100_000, "the whole: invalid json"),
        (json.dumps({**GOOD, "verdict": 1}), "verdict: "),
        (json.dumps({**GOOD, "verdict": {**GOOD["verdict"], "state": "fine"}}), "verdict.state: "),
        (json.dumps({**GOOD, "verdict": {**GOOD["verdict"], "violations": [{}]}}), "verdict.violations.0.text: "),
    ],
)
def test_what_is_no_such_document_fails_the_step_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(StageFailed) as refused:
        read(tmp_path, text)
    assert f"report.json: not as judge writes it: {told}" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_document_that_is_gone_or_a_link_fails_the_step(tmp_path: Path) -> None:
    with pytest.raises(StageFailed):
        documents.read(tmp_path, RECORD, "verdict", documents.Report)
    read(tmp_path, json.dumps(GOOD))
    path = tmp_path / RECORD.folder / "report.json"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StageFailed, match="cannot be opened"):
        documents.read(tmp_path, RECORD, "verdict", documents.Report)


@given(text=st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    with suppress(StageFailed):
        read(tmp_path_factory.getbasetemp(), text.encode(errors="replace").decode())
