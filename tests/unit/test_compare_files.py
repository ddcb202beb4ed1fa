"""Documents, tables, arrays, pictures and folders that should be equal: what differs, where, and in few lines."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from compare_stage import Differ, compare, differ, pair
from PIL import Image

__all__ = ["compare", "differ", "pair"]  # fixtures
Pair = Callable[[str], tuple[Path, Path]]
REPORT = {
    "accuracy": {"rungs": [{"ap": 0.1}, {"ap": 0.12}, {"ap": 0.131}]},
    "shape": [1, 64],
    "ok": True,
    "old": None,
    "mixed": ["a", 1],
}


@pytest.fixture
def lines(differ: Differ, pair: Pair) -> Callable[[str, str, str], list[str]]:
    """What is said of two texts under a name."""

    def said(name: str, one: str, other: str) -> list[str]:
        first, second = pair(name)
        first.write_text(one)
        second.write_text(other)
        return list(differ(first, second).lines)

    return said


Lines = Callable[[str, str, str], list[str]]


def test_json_differs_by_the_path_of_its_keys(lines: Lines) -> None:
    other: dict[str, Any] = json.loads(json.dumps(REPORT)) | {"shape": [1, 96], "ok": 1, "new key": "yes"}
    other["accuracy"]["rungs"][2]["ap"] = 0.133
    other["mixed"][1] = 2
    del other["old"]
    assert lines("report.json", json.dumps(REPORT), json.dumps(other)) == [
        "accuracy.rungs[2].ap: 0.131 → 0.133",
        "shape: [1, 64] → [1, 96]",
        "ok: true → 1",
        "old: null, only in the first",
        "mixed[1]: 1 → 2",
        '[new key]: "yes", only in the second',
    ]


def test_json_in_another_order_or_spacing_is_the_same_in_content(lines: Lines) -> None:
    said = lines("a.json", '{"a": 1, "b": 2}', '{"b": 2,\n "a": 1}')
    assert said[0] == "the same in content, other layout"


def test_long_values_are_shown_where_they_part(lines: Lines) -> None:
    one, other = (json.dumps({"log": "x" * 500 + end + "y" * 500}) for end in ("here", "there"))
    (line,) = lines("a.json", one, other)
    assert len(line) < 140
    assert "xhere" in line
    assert "xthere" in line


def test_broken_json_is_compared_byte_by_byte(lines: Lines) -> None:
    said = lines("a.json", '{"a": 1}', '{"a": 1')
    assert said[0].startswith("cannot be read as json: ")
    assert said[1:] == ["8 → 7 bytes", "the shorter is the beginning of the longer"]


def test_json_nested_without_end_is_compared_byte_by_byte(lines: Lines) -> None:
    assert lines("a.json", "[" * 100_000, "1")[0].startswith("cannot be read as json: ")


def test_tables_differ_by_row_and_column(lines: Lines) -> None:
    one, other = "epoch, loss\n1, 0.5\n2, 0.4\n", "epoch, loss\n1, 0.5\n2, 0.3\n3, 0.2\n"
    assert lines("results.csv", one, other) == ["2 → 3 rows", "row 2, loss: 0.4 → 0.3"]
    assert lines("results.csv", one, one.replace("loss", "box")) == ["columns: epoch, loss → epoch, box"]


def test_texts_differ_by_their_first_line(lines: Lines) -> None:
    assert lines("a.txt", "a\nb\nc\n", "a\nB\nC\n") == ["line 2: b → B", "2 of 3 lines differ"]
    assert lines("a.yaml", "a\n", "a\nb\n") == ["1 → 2 lines", "line 2 is new: b"]
    assert lines("a.md", "a\n", "a\r\n")[0] == "the same in content, other layout"


def test_what_is_not_text_after_all_is_compared_byte_by_byte(differ: Differ, pair: Pair) -> None:
    first, second = pair("a.txt")
    first.write_bytes(b"\xff\xfe\x00")
    second.write_bytes(b"\xff\xfe\x01")
    said = differ(first, second).lines
    assert said[0].startswith("cannot be read as text: ")
    assert said[1] == "1 of 3 bytes differ, the first at offset 2"


def test_other_files_differ_by_their_bytes(
    differ: Differ, pair: Pair, compare: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare.octets, "CHUNK_BYTES", 4)
    first, second = pair("a.bin")
    first.write_bytes(b"0123456789")
    second.write_bytes(b"01234x678yz")
    found = differ(first, second)
    assert (found.kind, found.lines) == ("bytes", ["10 → 11 bytes", "2 of 10 bytes differ, the first at offset 5"])


def test_files_of_one_time_and_length_are_read_all_the_same(differ: Differ, pair: Pair) -> None:
    places = pair("a.txt")
    for path, text in zip(places, "ab", strict=True):
        path.write_text(text)
        os.utime(path, (0, 0))
    assert differ(*places).lines == ["line 1: a → b"]


def test_arrays_in_files_are_compared(differ: Differ, pair: Pair) -> None:
    images = np.zeros((2, 4, 4, 3), np.uint8)
    first, second = pair("calibration.npy")
    np.save(first, images)
    images[1, 2, 3, 0] = 7
    np.save(second, images)
    assert differ(first, second).lines == ["array: 1 of 96 values (uint8) differ, by up to 7 steps"]
    first, second = pair("tensors.npz")
    np.savez(first, a=images, b=np.arange(3))
    np.savez(second, a=images, b=np.arange(3) + 1, c=np.zeros(1))
    assert differ(first, second).lines == [
        "1 arrays only in the second: c",
        "1 of 2 arrays differ",
        "b: 3 of 3 values (int64) differ, by up to 1 step",
    ]


def test_arrays_that_would_unpickle_are_not_read(differ: Differ, pair: Pair) -> None:
    first, second = pair("a.npy")
    np.save(first, np.array([{}], object))
    np.save(second, np.array([[]], object))
    assert differ(first, second).lines[0].startswith("cannot be read as array: ")


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1"])
def test_pictures_differ_by_pixels(differ: Differ, pair: Pair, mode: str) -> None:
    first, second = pair("a.png")
    image = Image.new("RGB", (10, 8)).convert(mode)
    image.save(first)
    other = Image.new("RGB", (10, 8))
    other.putpixel((3, 2), (255, 255, 255))
    other.putpixel((6, 5), (255, 255, 255))
    other.convert(mode).save(second)
    assert differ(first, second).lines == ["2 of 80 pixels differ, by up to 255 steps, within x 3 to 6, y 2 to 5"]


def test_pictures_differ_by_size_mode_or_only_by_encoding(differ: Differ, pair: Pair) -> None:
    first, second = pair("A.PNG")
    Image.new("RGB", (10, 8)).save(first)
    Image.new("L", (8, 10)).save(second)
    assert differ(first, second).lines == ["10 × 8 RGB → 8 × 10 L"]
    Image.new("RGB", (10, 8)).save(second, compress_level=0)
    assert differ(first, second).lines[0] == "the same in content, other layout"


def test_a_picture_of_another_format_than_stages_write_is_not_decoded(differ: Differ, pair: Pair) -> None:
    """Pillow reads EPS by calling Ghostscript, whatever the file is called."""
    first, second = pair("a.png")
    Image.new("RGB", (10, 8)).save(first, "EPS")
    Image.new("RGB", (10, 9)).save(second, "EPS")
    assert differ(first, second).lines[0].startswith("cannot be read as image: ")


def test_folders_are_compared_file_by_file(compare: SimpleNamespace, pair: Pair) -> None:
    first, second = pair("set/labels/a.txt")
    first.write_text("0 0.5\n")
    second.write_text("0 0.6\n")
    (first.parent / "b.txt").write_text("only here")
    (second.parents[1] / "c.txt").write_text("only there")
    for path in (first, second):
        path.with_name("same.txt").write_text("same")
    files = compare.main.compare(first.parents[1], second.parents[1])
    assert compare.main.summarise(files, folders=True) == [
        "3 files differ",
        "c.txt: only in the second",
        "labels/b.txt: only in the first",
        "labels/a.txt: line 1: 0 0.5 → 0 0.6",
    ]


def test_a_folder_is_no_file(compare: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (file,) = compare.main.compare(tmp_path / "folder", tmp_path / "file")
    assert file.lines == ["a folder → a file"]


def test_the_summary_stays_short(compare: SimpleNamespace, pair: Pair, tmp_path: Path) -> None:
    first, second = pair("a.json")
    first.write_text(json.dumps({f"key{n}": n for n in range(500)}))
    second.write_text(json.dumps({f"key{n}": -n - 1 for n in range(500)}))
    files = compare.main.compare(first, second)
    summary = compare.main.summarise(files, folders=False)
    compare.main.main(compare.stage.Request(tmp_path, {"first": first, "second": second}, {}))
    written = json.loads((tmp_path / "difference.json").read_text())
    assert written["summary"] == summary
    assert written["files"][0]["lines"][100:] == ["… and 400 more"]
    assert summary[0] == "key0: 0 → -1"
    assert summary[10] == "… and 490 more"


def test_a_summary_is_fit_for_a_terminal(compare: SimpleNamespace, pair: Pair) -> None:
    first, second = pair("a.csv")
    first.write_text('name\n"two\nlines"\n')
    second.write_text('name\n"\x1b[31mred"\n')
    files = compare.main.compare(first, second)
    assert compare.main.summarise(files, folders=False) == [r"row 1, name: two\nlines → \x1b[31mred"]


def test_the_stage_writes_what_it_found(compare: SimpleNamespace, pair: Pair, tmp_path: Path) -> None:
    first, second = pair("a.npy")
    np.save(first, np.array([1.5, np.inf]))
    np.save(second, np.array([1.5, 1.0]))
    request = compare.stage.Request(tmp_path, {"first": first, "second": second}, {})
    compare.main.main(request)
    said = json.loads((tmp_path / "difference.json").read_text(), parse_constant=pytest.fail)
    assert said["files"] == [
        {
            "path": "a.npy", "kind": "array", "lines": said["summary"],
            "tensors": [{"name": "array", "dtype": "float64", "shape": [2], "differing": 1, "of": 2, "largest": None,
                         "ulps": 0x7FF0000000000000 - 0x3FF0000000000000, "nans": 0}],
        }
    ]  # fmt: skip


@pytest.mark.parametrize("folders", [False, True])
def test_equal_inputs_are_identical(compare: SimpleNamespace, pair: Pair, tmp_path: Path, folders: bool) -> None:
    places = pair("set/a.json")
    for path in places:
        path.write_text("{}")
    first, second = (path.parent if folders else path for path in places)
    compare.main.main(compare.stage.Request(tmp_path, {"first": first, "second": second}, {}))
    assert json.loads((tmp_path / "difference.json").read_text()) == {"files": [], "summary": ["identical"]}


def test_a_missing_input_is_refused(compare: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(compare.stage.Refused, match="no such file"):
        compare.main.main(compare.stage.Request(tmp_path, {"first": tmp_path, "second": tmp_path / "no"}, {}))
