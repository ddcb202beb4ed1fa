"""Results in the form and the order in which the firmware writes them, of either dialect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stage_modules import imported
from test_verify_decoder import decoded, raw

WORLD, DECODED, POSE = "sscma-yolo-world", "sscma-yolov8", "sscma-pose"
HALF = (0.5, 0.5, 0.5, 0.5)
NAMES = ("heads", "decoder", "firmware_json")


@pytest.fixture(scope="module")
def verify() -> Iterator[SimpleNamespace]:
    """The modules under test."""
    with imported(NAMES, "verify") as modules:
        yield modules


def test_people_come_worst_first_each_with_its_points_by_number(verify: SimpleNamespace) -> None:
    objects = {(8, 0, 0): ([12], HALF), (8, 3, 3): ([5], HALF)}  # sigmoid(1.2) = 0.769, sigmoid(0.5) = 0.622
    # Twice 2 · 0.25 cells beyond the cell's corner, of 8 px stretched to 16.
    points = {(8, 0, 0): (2, 4, 0, 0, 0, 12)}
    frame = raw(verify, objects, points=points, keypoints=2)
    assert verify.firmware_json.results(POSE, frame, 50, 45) == [
        [[56, 56, 16, 16, 62, 0], [[48, 48, 50, 0], [48, 48, 50, 1]]],
        [[8, 8, 16, 16, 77, 0], [[16, 32, 50, 0], [0, 0, 95, 1]]],
    ]


def test_boxes_of_yolo_world_come_best_first_and_those_of_yolov8_from_left_to_right(verify: SimpleNamespace) -> None:
    objects = {(8, 0, 0): ([5, 0], HALF), (8, 3, 3): ([0, 12], HALF)}
    rows = verify.firmware_json.results(WORLD, raw(verify, objects), 50, 45)
    assert [(row[0], row[5]) for row in rows] == [(56, 1), (8, 0)]
    columns = [(25, 8, 2, 2, 90), (3, 9, 2, 2, 80), (25, 30, 2, 2, 95), (14, 9, 2, 2, 70)]
    rows = verify.firmware_json.results(DECODED, decoded(verify, columns, 1.0), 50, 45)
    assert [(row[0], row[4]) for row in rows] == [(6, 80), (28, 70), (50, 95), (50, 90)]  # of equals the best first


def test_results_are_whole_numbers_that_json_can_hold(verify: SimpleNamespace) -> None:
    objects = {(8, 1, 1): ([12], (1, 1, 1, 1))}
    frame = raw(verify, objects)
    for rows in (
        verify.firmware_json.results(POSE, frame, 50, 45),
        verify.firmware_json.results(WORLD, frame, 50, 45),
        verify.firmware_json.results_2("raw-detect", frame, 50, 45),
    ):
        assert len(rows) == 1
        assert set(json.dumps(rows)) <= set("0123456789[], ")


@pytest.mark.parametrize("decoder", [POSE, WORLD])
def test_the_ends_of_a_threshold_show_all_and_nothing(verify: SimpleNamespace, decoder: str) -> None:
    objects = {(8, 0, 0): ([-40], HALF), (8, 3, 3): ([127], HALF)}  # 2 % and all but 100 %
    frame = raw(verify, objects)
    assert len(verify.firmware_json.results(decoder, frame, 0, 45)) == 2
    assert verify.firmware_json.results(decoder, frame, 100, 45) == []
    assert verify.firmware_json.results_2("raw-detect", frame, 100, 45) == []
    assert len(verify.firmware_json.results_2("raw-detect", frame, 0, 45)) == 2


def test_a_firmware_of_2_x_takes_grid_cells_for_shares_of_the_frame(verify: SimpleNamespace) -> None:
    # Anchor (1.5, 2.5): x from 0.5 to 3.5 and y from 2 to 3.5; middle 2 and 2.75 cells, 3 by 1.5. Anchor (0.5, 0.5): x from -2.5.
    objects = {(8, 1, 2): ([0, 12], (1, 0.5, 2, 1)), (16, 0, 0): ([5, 0], (3, 0.5, 0.5, 0.5))}
    frame = raw(verify, objects, size=(64, 48))
    assert verify.firmware_json.results_2("raw-detect", frame, 25, 45) == [
        [-48, 24, 224, 48, 62, 0],
        [128, 132, 192, 72, 77, 1],
    ]


def test_thresholds_of_2_x_are_whole_steps_and_its_nms_takes_centres_for_corners(verify: SimpleNamespace) -> None:
    for step, passes in ((-12, 0), (-11, 1)):  # ln(0.25 / 0.75) = -1.0986: -11 steps, rounded down
        frame = raw(verify, {(8, 0, 0): ([step], HALF)})
        assert len(verify.firmware_json.results_2("raw-detect", frame, 25, 45)) == passes
    # Middles 1.5 and 2.5, sides 2 and 1: a twentieth; taken for corners, from 1.5 to 3.5 and from 2.5 to 3.5: a quarter.
    frame = raw(verify, {(8, 1, 1): ([14], (1, 1, 1, 1)), (8, 2, 2): ([12], HALF)})
    assert [len(verify.firmware_json.results_2("raw-detect", frame, 25, iou)) for iou in (24, 26)] == [1, 2]


def test_a_firmware_of_2_x_never_sends_keypoints(verify: SimpleNamespace) -> None:
    frame = raw(verify, {(8, 0, 0): ([12], HALF)})
    assert verify.firmware_json.results_2("raw-pose", frame, 25, 45) == []


def test_what_the_board_shows_of_each_measured_frame_is_listed_by_its_place_in_the_data_set(
    verify: SimpleNamespace, tmp_path: Path
) -> None:
    rows = [SimpleNamespace(index=4, width=64, height=48, shown=[[1, 2, 3, 4, 50, 0]])]
    sample = SimpleNamespace(path=lambda index: f"images/val/{index}.jpg")
    accepted = {"form": "raw-detect", "score": 50, "iou": 45}

    def written(**found: Any) -> Any:
        verify.firmware_json.write(tmp_path, SimpleNamespace(frames=rows, **found))
        return json.loads((tmp_path / "detections.json").read_text())

    frames = [{"name": "images/val/4.jpg", "width": 64, "height": 48, "results": [[1, 2, 3, 4, 50, 0]]}]
    known = {"schema": 1, "score": 50, "iou": 45, "kind": "boxes"}
    assert written(accepted=accepted, sample=sample) == {**known, "frames": frames}
    assert written(accepted=accepted, sample=None) == {**known, "frames": []}  # noise was measured, to compare kernels
    nothing = dict.fromkeys(known, None) | {"schema": 1, "frames": []}
    assert written(accepted=None, sample=None) == nothing
