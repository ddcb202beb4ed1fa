"""The check of a user's data set: what is accepted, and the one line for everything that is not."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from data_stage import ROW, check, data, make_set, truncate, write_yaml
from PIL import Image

__all__ = ["data"]


def test_a_set_without_a_yaml_is_understood_from_its_folders_and_labels(data: SimpleNamespace, tmp_path: Path) -> None:
    found = check(data, make_set(tmp_path))
    assert (found.names, found.kpt_shape, len(found.flip_idx)) == (("person",), (17, 3), 17)
    assert [item.image for item in found.items["val"]] == ["images/val/3.png", "images/val/4.png"]
    item = found.items["train"][0]
    assert item.sha256 == hashlib.sha256((tmp_path / item.image).read_bytes()).hexdigest()
    assert (item.width, item.height, item.rows, item.keypoints) == (32, 24, 1, 17)


def test_several_classes_without_a_yaml_get_numbers_for_names(data: SimpleNamespace, tmp_path: Path) -> None:
    found = check(data, make_set(tmp_path, row="2 0.5 0.5 0.1 0.1"), "detect")
    assert found.names == ("class0", "class1", "class2")


def test_a_yaml_rules_over_the_folders(data: SimpleNamespace, tmp_path: Path) -> None:
    write_yaml(make_set(tmp_path), names="{0: rider}", nc=1)
    found = check(data, tmp_path)
    assert (found.names, found.flip_idx, found.source) == (("rider",), None, "data.yaml")


def test_lists_of_folders_and_text_lists_are_read(data: SimpleNamespace, tmp_path: Path) -> None:
    make_set(tmp_path)
    (tmp_path / "val.txt").write_text("./images/val/4.png\nimages/val/3.png\n")
    write_yaml(tmp_path, train="[images/train, images/train]", val="val.txt")
    found = check(data, tmp_path)
    assert [len(found.items[split]) for split in ("train", "val")] == [3, 2]


def test_paths_as_roboflow_writes_them_are_found(data: SimpleNamespace, tmp_path: Path) -> None:
    make_set(tmp_path)
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (tmp_path / split).mkdir(exist_ok=True)
            shutil.move(tmp_path / kind / split, tmp_path / split / kind)
    write_yaml(tmp_path, train="../train/images", val="../val/images")
    assert check(data, tmp_path).items["train"][0].labels == "train/labels/0.txt"


def test_images_without_labels_are_background(data: SimpleNamespace, tmp_path: Path, capsys: Any) -> None:
    make_set(tmp_path)
    (tmp_path / "labels/train/0.txt").unlink()
    (tmp_path / "labels/train/1.txt").write_text("")
    assert [item.rows for item in check(data, tmp_path).items["train"]] == [0, 0, 1]
    assert "train: 3 images, 1 boxes, 2 images without labels" in capsys.readouterr().out


def test_images_in_both_splits_are_told(data: SimpleNamespace, tmp_path: Path, capsys: Any) -> None:
    make_set(tmp_path)
    shutil.copy(tmp_path / "images/train/0.png", tmp_path / "images/val/3.png")
    check(data, tmp_path)
    assert "warning: 1 of 2 validation images are in train as well" in capsys.readouterr().out


def test_a_jpeg_with_bytes_after_its_end_is_good(data: SimpleNamespace, tmp_path: Path) -> None:
    make_set(tmp_path)
    Image.new("RGB", (32, 32)).save(tmp_path / "images/train/9.jpg")
    with (tmp_path / "images/train/9.jpg").open("ab") as file:
        file.write(b"more")
    assert len(check(data, tmp_path).items["train"]) == 4


def test_outlines_make_boxes_for_the_task_detect(data: SimpleNamespace) -> None:
    rows, problems = data.labels.read_rows("0 0.1 0.2 0.5 0.2 0.5 0.6", data.labels.Form(1, None), "a.txt")
    assert not problems
    assert rows[0].box == pytest.approx((0.3, 0.4, 0.4, 0.4))


def _replace_row(row: str) -> Callable[[Path], object]:
    return lambda root: (root / "labels/train/1.txt").write_text(row + "\n")


def _link_image(root: Path) -> None:
    (root / "images/train/1.png").unlink()
    (root / "images/train/1.png").symlink_to("/etc/hostname")


def _link_folder(root: Path) -> None:
    (root / "images/train/more").symlink_to("/usr/share")


def _link_back(root: Path) -> None:
    """An absolute link that stays inside: it leads nowhere once the folder is mounted in a container."""
    (root / "images/train/9.png").symlink_to(root / "images/train/1.png")


def _link_behind_a_link(root: Path) -> None:
    (root / "images/train/9.png").symlink_to("8.png.link")
    (root / "images/train/8.png.link").symlink_to("../../../../../../../../etc/hostname")


def _link_out_and_back(root: Path) -> None:
    (root / "images/train/9.png").symlink_to(f"../../../{root.name}/images/train/1.png")


def _link_to_itself(root: Path) -> None:
    (root / "images/train/9.png").symlink_to("9.png")


def _link_instead(place: str) -> Callable[[Path], object]:
    def spoil(root: Path) -> None:
        (root / place).unlink(missing_ok=True)
        (root / place).symlink_to("/etc/passwd")

    return spoil


def _pipe_instead(place: str) -> Callable[[Path], object]:
    def spoil(root: Path) -> None:
        (root / place).unlink()
        os.mkfifo(root / place)

    return spoil


def _outside_list(root: Path) -> None:
    write_yaml(root, train="train.txt")
    (root / "train.txt").symlink_to("/etc/passwd")


def _bomb(root: Path) -> None:
    """The head of a PNG of 60,000 x 60,000 pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    (root / "images/train/1.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head)) + bytes(4) + b"IDAT"
    )


def _copied_as(place: str) -> Callable[[Path], object]:
    return lambda root: shutil.copy(root / "images/train/1.png", root / place)


def _without(place: str) -> Callable[[Path], object]:
    return lambda root: shutil.rmtree(root / place)


def _yaml(text: str = "", **changes: object) -> Callable[[Path], object]:
    return lambda root: write_yaml(root, text, **changes)


_POINTS = " 0.5 0.5 2" * 16
FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated image": (truncate, r"images/train/1.png: truncated or damaged"),
    "no image": (lambda r: (r / "images/train/1.png").write_text("hello"), r"images/train/1.png: no image"),
    "columns": (_replace_row("0 0.5 0.5 0.1 0.1"), r"labels/train/1.txt:1: 5 columns, expected 56"),
    "word": (_replace_row(ROW.replace("0.8", "tall")), r"1.txt:1: not all columns are numbers"),
    "nan": (_replace_row(ROW.replace("0.8", "nan")), r"1.txt:1: a number is not finite"),
    "outside": (_replace_row(ROW.replace("0.8", "1.2")), r"1.txt:1: coordinate 1.2 is not within 0 and 1"),
    "negative": (_replace_row(ROW.replace("0.8", "-0.1")), r"1.txt:1: coordinate -0.1"),
    "flat box": (_replace_row(ROW.replace("0.8", "0")), r"1.txt:1: box 0.4 wide and 0 high"),
    "visibility": (_replace_row("0 0.5 0.5 0.4 0.8 0.5 0.5 7" + _POINTS), r"1.txt:1: visibility 7"),
    "class": (
        lambda r: (write_yaml(r), _replace_row("1" + ROW[1:])(r)),
        r"1.txt:1: class 1, but the classes are 0 to 0",
    ),
    "binary labels": (lambda r: (r / "labels/train/1.txt").write_bytes(b"\xff\xfe\x00"), r"1.txt: no text"),
    "link to a file": (_link_image, r"images/train/1.png: a link that leads outside"),
    "link to a folder": (_link_folder, r"images/train/more: a link that leads outside"),
    "absolute link": (_link_back, r"images/train/9.png: a link that leads outside the data set's folder, or is absol"),
    "link behind a link": (_link_behind_a_link, r"images/train/9.png: a link that leads outside"),
    "link out and back": (_link_out_and_back, r"images/train/9.png: a link that leads outside"),
    "link to itself": (_link_to_itself, r"images/train/9.png: a link that leads outside"),
    "linked labels": (_link_instead("labels/train/1.txt"), r"labels/train/1.txt: a link that leads outside"),
    "linked yaml": (_link_instead("data.yaml"), r"data.yaml: a link that leads outside"),
    "linked list": (_outside_list, r"data.yaml: train is a link that leads outside"),
    "pipe": (_pipe_instead("images/train/1.png"), r"images/train/1.png: no plain file"),
    "pipe for labels": (_pipe_instead("labels/train/1.txt"), r"labels/train/1.txt: no plain file"),
    "too many pixels": (_bomb, r"images/train/1.png: more pixels than any camera has"),
    "huge image": (lambda r: os.truncate(r / "images/train/1.png", 300 << 20), r"1.png: 314,572,800 bytes; more than"),
    "huge labels": (lambda r: os.truncate(r / "labels/train/1.txt", 5 << 20), r"1.txt: 5,242,880 bytes; more than"),
    "case": (_copied_as("images/train/1.PNG"), r"images/train/1.PNG and images/train/1.png are one name"),
    "case of a split": (
        lambda r: (
            (r / "images/Train").mkdir(),
            _copied_as("images/Train/1.png")(r),
            write_yaml(r, val="images/Train"),
        ),
        r"images/Train/1.png and images/train/1.png are one name",
    ),
    "yaml bomb": (_yaml("a: &a [x]\nb: &b [*a, *a]\ntrain: *b\n"), r"data.yaml: a reference"),
    "no val": (_without("images/val"), r"images/val: no validation images"),
    "hidden": (lambda r: make_set(r, row=ROW.replace(" 2", " 0")), r"train: all keypoints have visibility 0"),
    "two classes": (lambda r: make_set(r, row="1" + ROW[1:]), r"labels: 2 classes; pose firmware knows 1"),
    "boxes only": (lambda r: make_set(r, row=ROW[:17]), r"labels: no keypoints, and the task is pose"),
    "no visibility": (lambda r: make_set(r, row=ROW[:17] + " 0.5 0.5" * 17), r"labels: 2 numbers for a keypoint"),
    "no folders": (lambda r: (_without("images")(r), _without("labels")(r)), r"the data set's folder is empty"),
    "no images": (lambda r: (_without("images/train")(r), (r / "images/train").mkdir()), r"train: no images"),
    "syntax": (_yaml("train: images/train\nval: [images\nnames: a: b\n"), r"data.yaml:3: "),
    "no table": (_yaml("- train\n"), r"data.yaml: holds no keys"),
    "download": (_yaml(download="bash get.sh"), r"data.yaml: 'download' asks to run a program"),
    "absolute": (_yaml(path="/data/coco"), r"data.yaml: path leads outside .*: /data/coco"),
    "upwards": (_yaml(train="../../other/images"), r"data.yaml: train leads outside"),
    "missing folder": (_yaml(val="images/test"), r"data.yaml: val: no such folder: images/test"),
    "yaml without val": (_yaml(val=None), r"data.yaml: val is missing"),
    "no names": (_yaml(names=None), r"data.yaml: names is missing"),
    "gap": (_yaml(names="{0: a, 2: b}"), r"data.yaml: names has the numbers \[0, 2\]"),
    "twice": (_yaml(names="[a, a]"), r"data.yaml: names: 'a' stands there twice"),
    "boolean name": (_yaml(names="[no]"), r"data.yaml: names: class 0 is False"),
    "count": (_yaml(nc=3), r"data.yaml: nc is 3, but names has 1"),
    "yaml classes": (_yaml(names="[a, b]"), r"data.yaml: 2 classes; pose firmware knows 1"),
    "no shape": (_yaml(kpt_shape=None), r"data.yaml: kpt_shape is missing, and the task is pose"),
    "shape": (_yaml(kpt_shape="[17]"), r"data.yaml: kpt_shape is \[17\]"),
    "flat shape": (_yaml(kpt_shape="[17, 2]"), r"data.yaml: 2 numbers for a keypoint; the firmware reads 3"),
    "other shape": (_yaml(kpt_shape="[5, 3]"), r"labels/train/0.txt:1: 56 columns, expected 20"),
    "flips": (_yaml(kpt_shape="[17, 3]", flip_idx="[0, 1]"), r"data.yaml: flip_idx does not name each"),
    "odd list": (_yaml(train="images/train/0.png"), r"images/train/0.png: neither a folder nor a .txt list"),
    "two yamls": (lambda r: [(r / n).write_text("a: 1") for n in ("a.yaml", "b.yaml")], r"several .*: a.yaml, b.yaml"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_refused_in_words(data: SimpleNamespace, tmp_path: Path, name: str) -> None:
    spoil, fact = FAULTS[name]
    spoil(make_set(tmp_path))
    with pytest.raises(data.stage.Refused, match=fact) as refused:
        check(data, tmp_path)
    assert str(tmp_path) not in str(refused.value)


def test_a_link_that_stays_in_the_data_set_is_followed(data: SimpleNamespace, tmp_path: Path) -> None:
    make_set(tmp_path)
    (tmp_path / "images/train/9.png").symlink_to("../val/3.png")
    (tmp_path / "more").symlink_to("images/train")
    write_yaml(tmp_path, train="more")
    assert [item.image for item in check(data, tmp_path).items["train"]][-1] == "more/9.png"


def test_many_faults_are_named_five_at_a_time(data: SimpleNamespace, tmp_path: Path) -> None:
    make_set(tmp_path)
    (tmp_path / "labels/train/0.txt").write_text("0 1\n" * 8 + ROW)
    write_yaml(tmp_path)
    with pytest.raises(data.stage.Refused) as refused:
        check(data, tmp_path)
    lines = str(refused.value).splitlines()
    assert len(lines) == 6
    assert lines[5].strip() == "and 3 more"


def test_without_a_task_a_set_is_checked_as_what_it_is_labelled_for(data: SimpleNamespace, tmp_path: Path) -> None:
    """Of a .tflite nobody knows its task yet when the images are checked that it is measured on."""
    posed = check(data, make_set(tmp_path / "posed"), task="")
    assert (posed.task, posed.kpt_shape) == ("pose", (17, 3))
    boxes = make_set(tmp_path / "boxes")
    for path in boxes.glob("labels/*/*.txt"):
        path.write_text("".join(" ".join(line.split()[:5]) + "\n" for line in path.read_text().splitlines()))
    found = check(data, boxes, task="")
    assert (found.task, found.kpt_shape) == ("detect", None)
    assert json.loads(data.manifest.as_manifest(found, None))["task"] == "detect"
