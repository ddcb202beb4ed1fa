"""The contact sheet shows others' names as people may see them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from data_stage import data, make_set

__all__ = ["data"]

HOSTILE, SEEN = "a\x1b[2J\u202eb\u200b\nc", r"a\x1b[2J\u202eb\u200b\nc"


def test_names_and_title_are_drawn_letter_by_letter(data: SimpleNamespace, tmp_path: Path) -> None:
    row = "0 0.5 0.5 0.4 0.8"
    rules = data.check.Rules("detect", 1, 3)
    found = data.check.check(make_set(tmp_path, row=row), "", rules)

    def drawn(name: str) -> bytes:
        sheet: bytes = data.sheet.draw_sheet(replace(found, names=(name, "dog")), name, name).tobytes()
        return sheet

    assert drawn(HOSTILE) == drawn(SEEN)
    assert drawn(HOSTILE) != drawn("abc")
