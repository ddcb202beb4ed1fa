"""The data set as the data stage's manifest tells it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.train_stage import train

__all__ = ["train"]

POINTS = " 0.5 0.25 2 0.25 0.5 0"  # two keypoints, the second not labelled
LABEL = "0 0.5 0.5 0.4 0.8" + POINTS


def write_manifest(folder: Path, **changed: Any) -> Path:
    entry = {"image": "images/train/a.jpg", "labels": "labels/train/a.txt"}
    bare = {"image": "images/val/b.jpg", "labels": None}
    content = {
        "names": ["person"],
        "kpt_shape": [2, 3],
        "flip_idx": [1, 0],
        "splits": {"train": [entry], "val": [bare]},
    }
    file = folder / "manifest.json"
    file.write_text(json.dumps({**content, **changed}))
    return file


def test_paths_start_from_the_data_sets_folder(train: SimpleNamespace, tmp_path: Path) -> None:
    data = train.dataset.read_data(write_manifest(tmp_path), Path("user/set"))
    assert data.names == {0: "person"}
    assert (data.keypoints, data.flip_idx) == (2, (1, 0))
    assert data.train[0].image == Path("user/set/images/train/a.jpg")
    assert data.train[0].labels == Path("user/set/labels/train/a.txt")
    assert data.val[0].labels is None


def test_a_set_of_boxes_has_no_keypoints(train: SimpleNamespace, tmp_path: Path) -> None:
    data = train.dataset.read_data(write_manifest(tmp_path, kpt_shape=None, flip_idx=None), tmp_path)
    assert (data.keypoints, data.flip_idx) == (0, ())


def test_labels_are_rows_of_class_box_and_keypoints(train: SimpleNamespace, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text(f"{LABEL}\n\n0 0.1 0.1 0.1 0.1{POINTS}\n")
    labels = train.dataset.read_labels(file, keypoints=2)
    assert labels.shape == (2, 11)
    assert labels.dtype.name == "float32"


def test_an_object_labelled_twice_counts_once(train: SimpleNamespace, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text(f"{LABEL}\n{LABEL}\n")
    assert len(train.dataset.read_labels(file, keypoints=2)) == 1


@pytest.mark.parametrize("keypoints", [0, 17])
def test_an_image_without_labels_has_no_objects(train: SimpleNamespace, tmp_path: Path, keypoints: int) -> None:
    file = tmp_path / "a.txt"
    file.touch()
    assert train.dataset.read_labels(file, keypoints).shape == (0, 5 + 3 * keypoints)
    assert train.dataset.read_labels(None, keypoints).shape == (0, 5 + 3 * keypoints)


def test_outlines_become_boxes(train: SimpleNamespace, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("3 0.1 0.2 0.5 0.2 0.3 0.8\n")
    assert train.dataset.read_labels(file, keypoints=0)[0].tolist() == pytest.approx([3, 0.3, 0.5, 0.4, 0.6])


def test_labels_that_changed_since_the_check_are_refused(train: SimpleNamespace, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("0 0.5 0.5 0.4 0.8\n")
    with pytest.raises(train.stage.Refused, match=r"a.txt: changed since it was checked: 11 columns expected"):
        train.dataset.read_labels(file, keypoints=2)


def test_nothing_is_learnt_from_images_without_labels(train: SimpleNamespace, tmp_path: Path) -> None:
    labelled, empty = tmp_path / "a.txt", tmp_path / "b.txt"
    labelled.write_text(LABEL)
    empty.touch()
    image = tmp_path / "a.jpg"
    train.dataset.refuse_unlabelled(
        "val", [train.dataset.Picture(image, empty), train.dataset.Picture(image, labelled)]
    )
    with pytest.raises(train.stage.Refused, match=r"val: no image has labels, such as a\.jpg"):
        train.dataset.refuse_unlabelled(
            "val", [train.dataset.Picture(image, empty), train.dataset.Picture(image, None)]
        )
