"""The drawn sample set: the same bytes always, and labels that fit what is drawn."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from data_stage import FOLDER, data

__all__ = ["data"]


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def drawn(data: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    data.figures.write_set(folder, data.figures.Settings(train=6, val=3, size=160), True)
    return folder


def test_drawing_twice_gives_the_same_bytes(data: SimpleNamespace, drawn: Path, tmp_path: Path) -> None:
    data.figures.write_set(tmp_path, data.figures.Settings(train=6, val=3, size=160), True)
    assert digests(drawn) == digests(tmp_path)


def test_an_image_does_not_depend_on_how_many_are_drawn(data: SimpleNamespace, drawn: Path, tmp_path: Path) -> None:
    data.figures.write_set(tmp_path, data.figures.Settings(train=2, val=1, size=160), True)
    assert digests(tmp_path).items() <= digests(drawn).items()


def test_another_seed_draws_another_set(data: SimpleNamespace, drawn: Path, tmp_path: Path) -> None:
    data.figures.write_set(tmp_path, data.figures.Settings(train=2, val=1, size=160, seed=1), True)
    assert not {digest for name, digest in digests(tmp_path).items() if name.endswith("jpg")} & set(
        digests(drawn).values()
    )


def test_train_and_val_are_different_images(drawn: Path) -> None:
    images = [digest for name, digest in digests(drawn).items() if name.endswith("jpg")]
    assert len(set(images)) == 9


def test_every_label_row_is_one_that_the_check_accepts(data: SimpleNamespace, drawn: Path) -> None:
    form = data.labels.Form(1, (17, 3))
    rows = 0
    for path in drawn.rglob("*.txt"):
        found, problems = data.labels.read_rows(path.read_text(), form, path.name)
        assert not problems
        rows += len(found)
    assert rows >= 9


def test_boxes_enclose_what_is_visible_and_hidden_points_are_flagged(data: SimpleNamespace) -> None:
    flags = set()
    for index in range(20):
        _, labels = data.figures.draw((0, 0, index), 160)
        for label in labels:
            left, top, right, bottom = label.box
            assert 0 <= left < right <= 160
            assert 0 <= top < bottom <= 160
            for x, y, flag in label.keypoints:
                flags.add(flag)
                if flag == 2:
                    assert left - 1 <= x <= right + 1
                    assert top - 1 <= y <= bottom + 1
                if flag == 0:
                    assert (x, y) == (0, 0)
    assert flags == {0, 1, 2}


def test_somebody_seen_from_behind_hides_the_face(data: SimpleNamespace) -> None:
    for seed in range(8):
        dice = data.dice.Dice(seed)
        joints = data.skeleton.strike(dice, 180, 0)
        canvas = data.canvas.Canvas(160, (0.3, -0.5))
        body = data.body.Body(joints, data.body.choose_look(dice), 130, 80, 80, 1)
        body.paint(canvas)
        points = dict(zip(data.skeleton.KEYPOINTS, body.keypoints(np.asarray(canvas.things), 160), strict=True))
        assert points["left_eye"][2] + points["right_eye"][2] < 4
        # Seen from behind, the left shoulder is on the left; seen from the front, on the right.
        assert points["left_shoulder"][0] < points["right_shoulder"][0]


def test_the_mirrored_order_changes_left_and_right(data: SimpleNamespace) -> None:
    names = data.skeleton.KEYPOINTS
    for name, index in zip(names, data.skeleton.FLIP_IDX, strict=True):
        swapped = {"left": "right", "right": "left"}.get(name.split("_")[0], name.split("_")[0])
        assert names[index] == "_".join([swapped, *name.split("_")[1:]])


def test_boxes_only_for_the_task_detect(data: SimpleNamespace, tmp_path: Path) -> None:
    data.figures.write_set(tmp_path, data.figures.Settings(train=2, val=1, size=96), False)
    rows = [line for path in tmp_path.rglob("*.txt") for line in path.read_text().splitlines()]
    assert rows
    assert all(len(row.split()) == 5 for row in rows)


@pytest.mark.parametrize(
    ("table", "fact"),
    [
        ({"trian": 3}, "unknown key 'trian'"),
        ({"name": "dogs"}, "no sample set is called 'dogs'"),
        ({"train": 0}, "train is 0"),
        ({"size": "big"}, "size is 'big'"),
        ({"val": True}, "val is True"),
    ],
)
def test_a_wrong_setting_is_refused(data: SimpleNamespace, table: dict[str, object], fact: str) -> None:
    with pytest.raises(data.stage.Refused, match=fact):
        data.figures.parse_settings(table)


def test_the_defaults_in_stage_toml_are_those_of_the_code(data: SimpleNamespace) -> None:
    settings = data.figures.Settings()
    text = (FOLDER / "stage.toml").read_text()
    for key in ("train", "val", "size", "seed"):
        assert re.search(rf"^sample = .*\b{key} = {getattr(settings, key)}\b", text, re.MULTILINE)


def test_the_death_of_a_process_that_draws_is_one_line(
    data: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data.figures, "draw", lambda *_: os._exit(1))
    with pytest.raises(data.stage.Refused, match="a process that drew the sample set died"):
        data.figures.write_set(tmp_path, data.figures.Settings(train=1, val=1, size=160), True)
