"""A small data set costs little: what would hang the data stage or eat its memory is refused by name, and quickly."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from bounds import bounded
from data_stage import ROW, check, data, make_set, run_stage, write_yaml
from PIL import Image

__all__ = ["data"]


def _yaml(text: str = "", **changes: object) -> Callable[[Path], object]:
    return lambda root: write_yaml(root, text, **changes)


def _head_of_png(width: int, height: int) -> bytes:
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head)) + bytes(4) + b"IDAT"
    )


def _png(width: int, height: int) -> Callable[[Path], object]:
    return lambda root: (root / "images/train/1.png").write_bytes(_head_of_png(width, height))


def jpeg_of_scans(width: int, height: int, count: int) -> bytes:
    """A progressive JPEG whose last scan stands there `count` times: each is as much work as a picture, and 2 kB."""
    content = io.BytesIO()
    Image.new("L", (width, height), 7).save(content, "JPEG", progressive=True)
    whole, end = content.getvalue()[:-2], content.getvalue()[-2:]
    return whole + whole[whole.rindex(b"\xff\xda") :] * count + end


def _scans(root: Path) -> None:
    (root / "images/train/9.jpg").write_bytes(jpeg_of_scans(8000, 8000, 100))


def _labels(text: str) -> Callable[[Path], object]:
    return lambda root: (write_yaml(root), (root / "labels/train/1.txt").write_text(text))


def _list(line: str) -> Callable[[Path], object]:
    return lambda root: (write_yaml(root, train="train.txt"), (root / "train.txt").write_text(line + "\n"))


def _deep_folders(root: Path) -> None:
    at = os.open(root / "images/train", os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=at)
        at, above = os.open("d", os.O_RDONLY, dir_fd=at), at
        os.close(above)
    os.close(at)


def _latin_1(place: bytes) -> Callable[[Path], object]:
    def spoil(root: Path) -> None:
        path = Path(os.fsdecode(os.fsencode(root) + b"/" + place))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((root / "images/train/1.png").read_bytes())

    return spoil


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "20,000 brackets": (_yaml("train: " + "[" * 20_000), r"data.yaml: lists in lists, more than 16 deep"),
    "20,000 dashes": (_yaml("train:\n  " + "- " * 20_000 + "x"), r"data.yaml: lists in lists, more than 16 deep"),
    "20,000 question marks": (_yaml("? " * 20_000 + "x"), r"data.yaml: lists in lists, more than 16 deep"),
    "a bomb of references": (
        _yaml("a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))),
        r"data.yaml: a reference",
    ),
    "a folder 50,000 times": (_yaml(train=["images/train"] * 50_000), r"data.yaml: .* bytes; more than 262,144 are no"),
    "a folder 15,000 times": (_yaml(train=["images/train"] * 15_000), r"data.yaml: train names 15,000 folders; 1,000"),
    "many values": (_yaml(extra=[0] * 30_000), r"data.yaml: more than 20,000 values"),
    "a billion classes": (_yaml(nc=1_000_000_000, names=None), r"data.yaml: nc is 1000000000"),
    "2,000 names": (
        _yaml(names=[f"n{number}" for number in range(2_000)]),
        r"data.yaml: 2,000 classes; 1,024 are read",
    ),
    "a long name": (_yaml(names=["x" * 900]), r"data.yaml: names: class 0 is 'xxx.*\.\.\..*xxx'"),
    "a longer name": (_yaml(names="[" + "x" * 5_000 + "]"), r"data.yaml: a word of 5,000 characters"),
    "a huge kpt_shape": (_yaml(kpt_shape=[1_000_000_000, 3], flip_idx=[0]), r"kpt_shape is \[1000000000, 3\]"),
    "a number in base 60": (_yaml(nc="1" + ":59" * 50_000), r"data.yaml: a word of 150,001 characters"),
    "a number in base 16": (_yaml(nc="0x" + "f" * 990), r"data.yaml: nc is \d+\.\.\.\d+$"),
    "a number of 5,000 digits": (_yaml(nc="9" * 5_000), r"data.yaml: a word of 5,000 characters"),
    "words in flip_idx": (_yaml(kpt_shape=[2, 3], flip_idx=["'0'", "'1'"]), r"flip_idx does not name each of 0"),
    "a value that is not its tag": (_yaml(nc="!!bool maybe"), r"data.yaml: no YAML text"),
    "a path longer than any": (_yaml(train="'" + "x/" * 3_000 + "'"), r"data.yaml: train is a path of 6,000 char"),
    "a path of a name that is too long": (_yaml(train="x" * 300), r"data.yaml: train: no such folder"),
    "a list with a long line": (_list("a/" * 2_000_000 + "x.jpg"), r"train.txt:1: a line of 4,000,005 characters"),
    "a list with a deep path": (_list("a/" * 2_000 + "x.jpg"), r"x.jpg: (No such file|File name too long)"),
    "a path with a null": (_yaml(train='"images/train\\0x"'), r"data.yaml: train: no such folder"),
    "half a character": (_yaml(train='"images/\\ud800"'), r"data.yaml: train: no such folder"),
    "169 megapixels": (_png(13_000, 13_000), r"1.png: 13000 x 13000 pixels; more than 120,000,000, or 65,535 in a row"),
    "a strip": (_png(1_000_000, 20), r"1.png: 1000000 x 20 pixels; more than 120,000,000, or 65,535 in a row"),
    "a picture of 2^62 pixels": (_png(2**31 - 1, 2**31 - 1), r"1.png: more pixels than any camera has"),
    "100 scans": (_scans, r"9.jpg: 8000 x 8000 pixels in 10\d scans; no encoder writes so many"),
    "many rows": (_labels("0 .5 .5 .1 .1\n" * 30_000), r"1.txt: 30,000 rows; more than 20,000 are not read"),
    "a wide row": (_labels("0 " * 1_000_000), r"1.txt:1: 1000000 columns, expected 56"),
    "a long class": (_labels("1" * 1_000_000 + ROW[1:]), r"1.txt:1: a number is not finite"),
    "a class with zeros": (
        _labels("0" * 1_000_000 + "7" + ROW[1:]),
        r"1.txt:1: class 0{20}, but the classes are 0 to 0",
    ),
    "huge numbers": (_labels(ROW.replace("0.8", "1e38")), r"1.txt:1: coordinate 1e\+38 is not within"),
    "too huge numbers": (_labels(ROW.replace("0.8", "1e400")), r"1.txt:1: a number is not finite"),
    "deep folders": (_deep_folders, r"folders in folders, more than 64 deep"),
    "a name in Latin-1": (
        _latin_1(b"images/train/caf\xe9.png"),
        r"images/train/caf\\xe9\.png: a name that is not UTF-8",
    ),
    "a folder in Latin-1": (_latin_1(b"images/train/\xe9t\xe9/1.png"), r"images/train/\\xe9t\\xe9/1\.png: a name that"),
    "a description in Latin-1": (_latin_1(b"caf\xe9.yaml"), r"caf\\xe9\.yaml: a name that is not UTF-8"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_small_set_that_costs_much_is_refused_at_once(data: SimpleNamespace, tmp_path: Path, name: str) -> None:
    spoil, fact = FAULTS[name]
    spoil(make_set(tmp_path))
    with bounded(seconds=8, megabytes=2000), pytest.raises(data.stage.Refused, match=fact) as refused:
        check(data, tmp_path)
    line = data.stage.fit_lines(str(refused.value))
    line.encode()
    assert len(line) <= data.stage.LINE_MAX + 2


def test_a_folder_that_is_named_often_is_looked_at_once(
    data: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_yaml(make_set(tmp_path), train=["images/train"] * 1_000)
    description = data.description.describe(tmp_path, "")
    monkeypatch.setattr(data.listing, "FILES_MAX", 10)
    assert len(data.listing.list_images(description)["train"]) == 3


def test_more_files_than_any_set_has_are_refused(
    data: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data.listing, "FILES_MAX", 3)
    with pytest.raises(data.stage.Refused, match="train: more than 3 files to look at"):
        data.listing.list_images(data.description.describe(make_set(tmp_path), ""))


def test_what_the_system_does_not_read_is_told_without_where_the_set_lies(
    data: SimpleNamespace, tmp_path: Path
) -> None:
    with pytest.raises(data.pictures.Unreadable, match=r"^File name too long$"):
        data.reading.read(tmp_path, "x" * 300, 10)


def test_a_folder_that_cannot_be_read_is_not_passed_over(
    data: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: object) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    description = data.description.describe(make_set(tmp_path), "")
    monkeypatch.setattr(os, "scandir", closed)  # root may read every folder
    with pytest.raises(data.stage.Refused, match="train: a folder that cannot be read: Permission denied"):
        data.listing.list_images(description)


def test_a_list_of_as_many_images_as_coco_has_is_read(data: SimpleNamespace, tmp_path: Path) -> None:
    make_set(tmp_path)
    lines = [f"./images/train2017/{number:012}.jpg" for number in range(118_287)]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    write_yaml(tmp_path, train="train.txt")
    with bounded(seconds=60):
        images = data.listing.list_images(data.description.describe(tmp_path, ""))
    assert len(images["train"]) == 118_287


def test_a_picture_of_a_medium_format_camera_is_read(data: SimpleNamespace) -> None:
    """102 megapixels, in grey, which take a third of the time; and the largest JPEG's side."""
    image = SimpleNamespace(width=11_648, height=8_736, size=(11_648, 8_736), format="PNG")
    data.pictures._refuse_costly(image, b"")
    content = io.BytesIO()
    Image.new("L", (65_500, 20)).save(content, "JPEG")
    assert data.pictures.decode(content.getvalue()).size == (65_500, 20)


def test_large_pictures_are_decoded_one_at_a_time(data: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen processes with 1.2 GB each would be killed for want of memory, and the picture blamed for it."""
    turns = []

    class Turn:
        def __enter__(self) -> None:
            turns.append("begun")

        def __exit__(self, *_: object) -> None:
            turns.append("ended")

    monkeypatch.setattr(data.pictures, "_ALONE", Turn())
    for side in (1_000, 4_001):
        content = io.BytesIO()
        Image.new("L", (side, 4_000)).save(content, "JPEG")
        data.pictures.decode(content.getvalue())
    assert turns == ["begun", "ended"]


def test_the_death_of_a_process_that_reads_pictures_is_one_line(
    data: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_set(tmp_path / "set")
    write_yaml(root)
    monkeypatch.setattr(data.check, "decode", lambda *_: os._exit(1))
    with pytest.raises(data.stage.Refused, match="a process that read the pictures died"):
        check(data, root)
    monkeypatch.setattr(data.calibration, "decode", lambda *_: os._exit(1))
    with pytest.raises(data.stage.Refused, match="a process that read the pictures died"):
        data.calibration.collect([root / "images/train/0.png"], 1, "stretch", 32)


def test_scans_are_counted_as_a_decoder_meets_them(data: SimpleNamespace) -> None:
    """Not in a comment, nor behind the picture's end, where phones put a film; restarts are no scans."""
    plain, progressive = io.BytesIO(), io.BytesIO()
    Image.effect_noise((64, 64), 50).save(plain, "JPEG", comment=b"\xff\xda" * 99, restart_marker_blocks=1)
    Image.effect_noise((64, 64), 50).save(progressive, "JPEG", progressive=True)
    assert data.pictures.count_scans(plain.getvalue() + b"\xff\xda\x00\x02" * 99) == 1
    assert data.pictures.count_scans(progressive.getvalue()) == 6
    assert data.pictures.count_scans(jpeg_of_scans(64, 64, 7)) == 13
    assert data.pictures.count_scans(b"\xff\xd8\xff\xda") == 1


def test_a_data_set_with_a_name_in_latin_1_ends_in_one_line(tmp_path: Path) -> None:
    make_set(tmp_path / "dataset")
    _latin_1(b"images/train/caf\xe9.png")(tmp_path / "dataset")
    done = run_stage(tmp_path, {"dataset": "dataset"})
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: images/train/caf\\xe9.png: a name that is not UTF-8",
        " hint: rename it, with its labels",
    ]


def test_what_a_foreign_file_says_moves_no_cursor(tmp_path: Path) -> None:
    """Neither in the error nor by a line of its own that looks like one of ours."""
    make_set(tmp_path / "dataset")
    write_yaml(tmp_path / "dataset", train='"images\\x1b[2J\\n hint: rm -rf /"')
    done = run_stage(tmp_path, {"dataset": "dataset"})
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == r"error: data.yaml: train: no such folder: images\x1b[2J\n hint: rm -rf /"
    assert len(done.stderr.splitlines()) == 2
