"""Whatever a user's data set says, the data stage answers or refuses: no other exception, no hang, nothing written."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from bounds import bounded
from data_stage import FOLDER, ROW, make_set
from hypothesis import given
from hypothesis import strategies as st
from mutations import Edit, edited, edits, fewer, rearranged
from PIL import Image
from stage_modules import imported


@pytest.fixture(scope="module")
def data() -> Iterator[SimpleNamespace]:
    """The stage's modules, and the one that reads its manifest in the stages that follow."""
    names = {path.stem for path in FOLDER.glob("*.py")} - {"main"} | {"stage", "cores", "pictures", "dataset", "text"}
    with imported(names, FOLDER.name) as modules:
        # Starting processes takes longer than a small set.
        modules.check.map_on_cores = lambda function, jobs, _: map(function, jobs)
        yield modules


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of two images in each split, beside a file that is none of its own."""
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "outside.txt").write_text("images/train/0.png\n")
    return make_set(folder / "set", train=2, val=2)


def answers_or_refuses(data: SimpleNamespace, root: Path, task: str) -> Any:
    """Check the set as the stage does, and read it as training does; None if it was refused, in one line or six short ones."""
    before = {path: path.read_bytes() for path in root.parent.rglob("*") if path.is_file()}
    try:
        with bounded(seconds=10, megabytes=1500):
            found = data.check.check(root, "", data.check.Rules(task, 1, 3))
            manifest = data.manifest.as_manifest(found, None)
            data.manifest.as_yaml(found).encode()
    except data.stage.Refused as refusal:
        said = str(refusal)
        lines = data.stage.fit_lines(said).split(data.stage.NEXT_LINE)
        assert len(lines) <= 6
        assert all(line == data.text.visible(line) for line in lines)
        assert str(root) not in said
        return None
    finally:
        assert {path: path.read_bytes() for path in root.parent.rglob("*") if path.is_file()} == before
    (root.parent / "manifest").mkdir(exist_ok=True)
    file = root.parent / "manifest" / "manifest.json"
    file.write_text(manifest, encoding="utf-8")
    learnt = data.dataset.read_data(file, root)
    rows = [data.dataset.read_labels(picture.labels, learnt.keypoints) for picture in (*learnt.train, *learnt.val)]
    said = [entry["rows"] for split in json.loads(manifest)["splits"].values() for entry in split]
    assert all(len(own) <= count for own, count in zip(rows, said, strict=True))
    return found


YAMLS = [
    "path: .\ntrain: images/train\nval: images/val\nnames: [person]\nkpt_shape: [17, 3]\nflip_idx: "
    "[0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]\n",
    "# a set\ntrain:\n  - ../images/train\n  - ./images/train/\nvalidation: 'images/val'\nnc: 2\n"
    'names:\n  0: rider\n  1: "b\\u00e9"\n',
]
LINES = [
    *(
        b"- a\n",
        b"  - b\n",
        b"? x\n",
        b": y\n",
        b"<<: {nc: 1}\n",
        b"nc: 1:59:59\n",
        b"nc: 0x10\n",
        b"nc: 1_0\n",
        b"---\n",
        b"...\n",
    ),
    *(
        b"names: !!set {a, b}\n",
        b"names: !!python/object:os.system x\n",
        b"nc: !!int ''\n",
        b"nc: !!float x\n",
        b"nc: !!bool maybe\n",
    ),
    *(
        b"nc: !!timestamp x\n",
        b"names: !!binary '='\n",
        b"names: !!omap [a]\n",
        b"2001-13-45: x\n",
        b"path: images\n",
        b"path: ..\n",
    ),
    *(
        b"train: /\n",
        b"train: ../outside.txt\n",
        b'train: "\\ud800"\n',
        b'train: "a\\0b"\n',
        b"train: [[images/train]]\n",
        b"val: {a: b}\n",
    ),
    *(
        b"kpt_shape: [17, 2]\n",
        b"kpt_shape: [.nan, .inf]\n",
        b"flip_idx: [0]\n",
        b"%YAML 9.9\n",
        b"&a b: *a\n",
        b"\t\n",
        b"\xef\xbb\xbf",
    ),
    *(b"names: {0: no}\n", b"names: |\n  text\n", b"download: x\n"),
]
TASKS = st.sampled_from(["pose", "detect"])


@fewer
@given(which=st.integers(0, 1), changes=edits(), task=TASKS)
def test_bytes_of_a_description_changed(
    data: SimpleNamespace, root: Path, which: int, changes: list[Edit], task: str
) -> None:
    (root / "data.yaml").write_bytes(edited(YAMLS[which].encode(), changes))
    answers_or_refuses(data, root, task)


@fewer
@given(pick=st.data(), which=st.integers(0, 1), task=TASKS)
def test_lines_of_a_description_rearranged(
    data: SimpleNamespace, root: Path, pick: st.DataObject, which: int, task: str
) -> None:
    lines = YAMLS[which].encode().splitlines(keepends=True)
    (root / "data.yaml").write_bytes(pick.draw(rearranged(lines, LINES)))
    answers_or_refuses(data, root, task)


PATHS = [
    "images/train",
    "images/val",
    "../images/train",
    "../set/images/train",
    "images",
    ".",
    "..",
    "/",
    "train.txt",
    "x" * 300,
]
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.integers(-2, 20) | st.floats() | st.text(max_size=8) | st.dates()
)
VALUES = st.recursive(
    SCALARS | st.sampled_from(PATHS) | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.integers(-1, 3) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=10,
)
KEYS = ["path", "train", "val", "validation", "names", "nc", "kpt_shape", "flip_idx", "download"]


@fewer
@given(changes=st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=4), task=TASKS)
def test_values_of_other_kinds_in_a_description(
    data: SimpleNamespace, root: Path, changes: dict[str, Any], task: str
) -> None:
    content = {"train": "images/train", "val": "images/val", "names": ["person"], "kpt_shape": [17, 3]} | changes
    (root / "data.yaml").write_text(yaml.safe_dump(content))
    answers_or_refuses(data, root, task)


ROWS = [ROW, "0 0.5 0.5 0.1 0.1", "1 .1 .2 .5 .2 .5 .6", "0 1e-3 1 1 0.25", ""]
WORDS = [
    *(
        b"nan ",
        b"inf ",
        b"-inf ",
        b"1e400 ",
        b"-0 ",
        b"1_0 ",
        b"0x1 ",
        "٣ ".encode(),
        b"0.5 ",
        b"2 ",
        b"9" * 400 + b" ",
    ),
    *(b"\n", b"\r", b"\x0c", b"\xc2\x85", b"\x00"),
]


@fewer
@given(described=st.booleans(), row=st.sampled_from(ROWS), other=st.sampled_from(ROWS), changes=edits(), task=TASKS)
def test_bytes_of_labels_changed(
    data: SimpleNamespace, root: Path, described: bool, row: str, other: str, changes: list[Edit], task: str
) -> None:
    describe(root, described, row)
    (root / "labels/train/0.txt").write_bytes(edited(f"{row}\n{other}\n".encode(), changes))
    answers_or_refuses(data, root, task)


@fewer
@given(described=st.booleans(), row=st.sampled_from(ROWS[:4]), pick=st.data(), task=TASKS)
def test_words_of_labels_rearranged(
    data: SimpleNamespace, root: Path, described: bool, row: str, pick: st.DataObject, task: str
) -> None:
    describe(root, described, row)
    words = [word.encode() + b" " for word in row.split()]
    (root / "labels/train/0.txt").write_bytes(pick.draw(rearranged(words, WORDS)))
    answers_or_refuses(data, root, task)


def describe(root: Path, described: bool, row: str) -> None:
    """Leave the set without a yaml, so that its labels tell what it is, or with one that fits the row."""
    (root / "data.yaml").unlink(missing_ok=True)
    if described:
        shape = "kpt_shape: [17, 3]\n" if row == ROW else ""
        (root / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames: [a, b]\n{shape}")
    for name in ("train/1", "val/2", "val/3"):
        (root / f"labels/{name}.txt").write_text(row + "\n")


@fewer
@given(row=st.sampled_from(ROWS), changes=edits(2))
def test_what_is_taken_can_be_drawn(data: SimpleNamespace, root: Path, row: str, changes: list[Edit]) -> None:
    describe(root, False, row)
    (root / "labels/train/0.txt").write_bytes(edited(f"{row}\n".encode(), changes))
    if found := answers_or_refuses(data, root, "detect"):
        data.sheet.draw_sheet(found, "Your data set", found.source)


@fewer
@given(changes=edits())
def test_bytes_of_a_list_of_images_changed(data: SimpleNamespace, root: Path, changes: list[Edit]) -> None:
    describe(root, False, ROW)
    (root / "data.yaml").write_text("train: train.txt\nval: images/val\nnames: [person]\nkpt_shape: [17, 3]\n")
    (root / "train.txt").write_bytes(edited(b"./images/train/0.png\nimages/train/1.png\n", changes))
    try:
        answers_or_refuses(data, root, "pose")
    finally:
        (root / "train.txt").unlink()


@cache
def pictures() -> tuple[bytes, ...]:
    """Small pictures of every kind that is read, with what a camera puts beside the pixels."""
    noise = Image.effect_noise((40, 24), 60)
    colour = Image.merge("RGB", (noise, noise.rotate(180), noise))
    exif = Image.Exif()
    exif[274] = 6  # turned
    kinds: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (colour, "JPEG", {"exif": exif}), (colour, "JPEG", {"progressive": True}), (colour, "PNG", {"exif": exif}),
        (colour.quantize(16), "PNG", {"transparency": 1}), (noise, "PNG", {}), (noise.convert("1"), "PNG", {}),
        (colour, "BMP", {}), (colour.quantize(16), "BMP", {}), (colour, "TIFF", {"compression": "tiff_lzw"}),
        (colour, "TIFF", {}), (noise.convert("F"), "TIFF", {}), (colour, "TIFF", {"compression": "jpeg"}),
        (colour, "WEBP", {"lossless": True}), (colour, "WEBP", {"exif": exif}), (colour, "GIF", {}),
    ]  # fmt: skip
    found = []
    for image, kind, options in kinds:
        content = io.BytesIO()
        image.save(content, kind, **options)
        found.append(content.getvalue())
    return tuple(found)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(which=st.integers(0, 14), changes=edits())
def test_bytes_of_a_picture_changed(data: SimpleNamespace, which: int, changes: list[Edit]) -> None:
    with bounded(seconds=10, megabytes=2500):
        try:
            found = data.pictures.decode(edited(pictures()[which], changes))
        except data.pictures.Unreadable:
            return
    assert found.mode == "RGB"
    assert min(found.size) >= 10


def test_the_seeds_are_taken(data: SimpleNamespace, root: Path) -> None:
    describe(root, False, ROW)
    (root / "labels/train/0.txt").write_text(ROW)
    (root / "data.yaml").write_text(YAMLS[0])
    assert answers_or_refuses(data, root, "pose")
    assert [data.pictures.decode(picture).size for picture in pictures()[:3]] == [(24, 40), (40, 24), (24, 40)]
