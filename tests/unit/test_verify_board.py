"""What a virtual board shows: results in the firmware's form and order, and the conversation about one frame after the other."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from contract_stage import FACTS, GROVE, MODULES, XIAO, XIAO_2, XIAO_HEAD, arena_of
from PIL import Image
from stage_modules import imported
from test_verify_decoder import decoded, raw
from tflite_maker import Made, Sketch, command_stream, detect, pose

WORLD, DECODED, POSE = "sscma-yolo-world", "sscma-yolov8", "sscma-pose"
HALF = (0.5, 0.5, 0.5, 0.5)
NAMES = (
    *MODULES,
    "pictures",
    "isolation",
    "planner",
    "esp_nn",
    "arena",
    "decoder",
    "kernels",
    "firmware_json",
    "board",
)


@pytest.fixture(scope="module")
def verify() -> Iterator[SimpleNamespace]:
    """The modules under test."""
    with imported(NAMES, "verify") as modules:
        yield modules


# --- results ------------------------------------------------------------------------------------------------------------------


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


# --- the conversation ---------------------------------------------------------------------------------------------------------


class Talk:
    """The program with a toy for TFLM: whatever the network is, it sees one object at the frame's upper left corner."""

    def __init__(self, verify: SimpleNamespace, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.verify, self.folder, self.seen = verify, folder, []
        self.arena = arena_of(1000)
        (folder / "frames").mkdir()
        monkeypatch.setattr(verify.board, "measure", lambda *_: self.arena)
        monkeypatch.setattr(verify.board, "device_runner", self.load)

    def show(self, *sizes: tuple[int, int]) -> None:
        """Write frames of these sizes, each a little lighter."""
        for number, size in enumerate(sizes):
            Image.new("RGB", size, (10 * number,) * 3).save(self.folder / "frames" / f"{number}.png")

    def load(self, file: Path, quantised: Any) -> Any:
        """Stand in for TFLM."""
        self.file = file
        classes = 1 if "kpt" in quantised.roles else 3

        def run(image: np.ndarray) -> Any:
            self.seen.append(int(image[0, 0, 0]))
            objects = {(8, 0, 0): ([12] + [0] * (classes - 1), HALF)}
            return self.verify.kernels.Result(raw(self.verify, objects, imgsz=64, keypoints=17).outputs, {})

        return run

    def hold(
        self,
        sketch: Sketch | bytes,
        firmware: str = XIAO,
        dialect: str = "1.x",
        lines: Sequence[Mapping[str, Any]] = (),
        **files: bytes,
    ) -> list[Any]:
        """Hold a conversation about a model; return all that was said."""
        content = sketch if isinstance(sketch, bytes) else sketch.file()
        inputs = {"model": content + b"\xff" * 1000, **files}
        for role, data in inputs.items():
            (self.folder / f"{role}.tflite").write_bytes(data)
        paths = {role: self.folder / f"{role}.tflite" for role in inputs} | {"frames": self.folder / "frames"}
        request = self.verify.stage.Request(self.folder, paths, {"firmware": FACTS[firmware], "dialect": dialect})
        said: list[Any] = []
        self.verify.board.converse(request, (json.dumps(line) for line in lines), said.append)
        return said


@pytest.fixture
def talk(verify: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Talk:
    """Return a conversation with one frame to show."""
    found = Talk(verify, tmp_path, monkeypatch)
    found.show((64, 48))
    return found


def ask(image: bool = False, score: int = 50) -> dict[str, Any]:
    return {"score": score, "iou": 45, "image": image}


def test_a_model_that_loads_is_introduced_and_answers_frame_by_frame(talk: Talk) -> None:
    talk.show((64, 48), (32, 32))
    ready, *answers = talk.hold(Sketch(), lines=[ask(), ask(), ask()])
    assert ready == {"ready": {"algorithm": 5, "kind": "keypoints", "score": 50, "iou": 45}}
    assert [(one["width"], one["height"]) for one in answers] == [
        (64, 48),
        (32, 32),
        (64, 48),
    ]  # and from the beginning
    assert talk.seen == [0, 10, 0]
    for one in answers:
        assert one["kind"] == "keypoints"
        assert one["results"][0][0] == [
            one["width"] // 16,
            one["height"] // 16,
            one["width"] // 8,
            one["height"] // 8,
            77,
            0,
        ]
        assert len(one["results"][0][1]) == 17
        assert [type(ms) for ms in one["perf"]] == [int] * 3
        assert one["image"] == ""


def test_a_threshold_holds_for_its_own_frame(talk: Talk) -> None:
    _, *answers = talk.hold(Sketch(), lines=[ask(score=80), ask(score=70)])
    assert [len(one["results"]) for one in answers] == [0, 1]


def test_the_frame_is_sent_as_a_jpeg_if_it_is_asked_for(talk: Talk) -> None:
    _, answer = talk.hold(Sketch(), lines=[ask(image=True)])
    with Image.open(io.BytesIO(base64.b64decode(answer["image"]))) as image:
        assert (image.format, image.size) == ("JPEG", (64, 48))


@pytest.mark.parametrize(
    ("size", "frame"),
    [
        ((640, 480), (640, 480)),
        ((1920, 1080), (640, 360)),
        ((480, 640), (480, 640)),
        ((1000, 1000), (640, 640)),
        ((20, 30), (20, 30)),
    ],
)
def test_a_picture_is_never_larger_than_a_cameras(talk: Talk, size: tuple[int, int], frame: tuple[int, int]) -> None:
    talk.show(size)
    _, answer = talk.hold(Sketch(), lines=[ask()])
    assert (answer["width"], answer["height"]) == frame


@pytest.mark.parametrize("size", [(640, 480), (30, 20), (100, 900)])
def test_a_frame_of_a_cameras_size_is_the_middle_of_a_picture(talk: Talk, size: tuple[int, int]) -> None:
    talk.show(size)
    _, small, wide, whole = talk.hold(
        Sketch(), lines=[ask(image=True) | {"frame": frame} for frame in ([240, 240], [640, 480], None)]
    )
    assert [(one["width"], one["height"]) for one in (small, wide)] == [(240, 240), (640, 480)]
    assert (whole["width"], whole["height"]) in (size, (71, 640))
    with Image.open(io.BytesIO(base64.b64decode(small["image"]))) as image:
        assert image.size == (240, 240)
    assert small["results"][0][0][:4] == [240 // 16, 240 // 16, 240 // 8, 240 // 8]


def test_what_is_no_picture_is_passed_over_and_told_once(talk: Talk, capsys: pytest.CaptureFixture[str]) -> None:
    (talk.folder / "frames" / "0.png").write_bytes(b"no picture")
    Image.new("RGB", (16, 16)).save(talk.folder / "frames" / "1.png")
    _, *answers = talk.hold(Sketch(), lines=[ask(), ask()])
    assert [one["width"] for one in answers] == [16, 16]
    assert capsys.readouterr().err.count("0.png: passed over: no image") == 1


def test_without_any_picture_nothing_begins(talk: Talk) -> None:
    (talk.folder / "frames" / "0.png").write_bytes(b"no picture")
    with pytest.raises(talk.verify.stage.Refused, match="none of the frames can be read"):
        talk.hold(Sketch())


def test_an_operator_that_is_not_registered_is_refused_by_name(talk: Talk) -> None:
    assert talk.hold(Sketch(operators=("CONV_2D", "GELU"))) == [{"refused": "operator GELU ×1 is not registered"}]


def test_an_arena_is_refused_where_even_the_least_is_too_much(talk: Talk) -> None:
    limit = FACTS[XIAO]["arena_bytes"]
    talk.arena = arena_of(limit, 2 * limit)
    assert "ready" in talk.hold(Sketch())[0]
    talk.arena = arena_of(limit + 1)
    assert f"of {limit:,} bytes" in talk.hold(Sketch())[0]["refused"]
    talk.arena.low, talk.arena.problem = 1, "TFLM could not allocate it: type"
    assert talk.hold(Sketch()) == [{"refused": "TFLM could not allocate it: type"}]


def test_what_is_no_model_is_refused(talk: Talk) -> None:
    [said] = talk.hold(b"no model")
    assert "not a TFLite file" in said["refused"]


@pytest.mark.parametrize(
    "sketch",
    [
        Sketch(pose(classes=2)),
        Sketch(pose(), Made("image", (1, 64, 64, 4))),
        Sketch(pose(imgsz=72), Made("image", (1, 72, 72, 3))),
    ],
    ids=["two classes", "four channels", "a side of 72"],
)
def test_a_model_that_no_decoder_takes_has_algorithm_0(talk: Talk, sketch: Sketch) -> None:
    ready, answer = talk.hold(sketch, lines=[ask()])
    assert ready["ready"]["algorithm"] == 0
    assert "no decoder" in answer["cannot"]


def test_each_form_goes_to_its_decoder(talk: Talk) -> None:
    ready, answer = talk.hold(Sketch(detect()), XIAO_HEAD, lines=[ask()])
    assert ready["ready"] == {"algorithm": 8, "kind": "boxes", "score": 50, "iou": 45}
    assert (answer["kind"], answer["results"]) == ("boxes", [[4, 3, 8, 6, 76, 0]])


def test_a_board_of_2_x_shows_what_2_x_shows(talk: Talk) -> None:
    ready, answer = talk.hold(Sketch(), XIAO_2, "2.x", [ask()])
    assert ready["ready"] == {"algorithm": 5, "kind": "keypoints", "score": 25, "iou": 45}
    assert (answer["kind"], answer["results"]) == ("keypoints", [])
    _, answer = talk.hold(Sketch(detect()), XIAO_2, "2.x", [ask()])
    assert answer["results"] == [[32, 24, 64, 48, 77, 0]]


def test_a_grey_network_cannot_be_computed_here(talk: Talk) -> None:
    _, answer = talk.hold(Sketch(image=Made("image", (1, 64, 64, 1), "int8", (1 / 255,), (-128,))), lines=[ask()])
    assert "grey" in answer["cannot"]


NPU_ONLY = {"operators": ("ETHOS_U",)}


def test_a_compiled_model_is_computed_from_the_file_before(talk: Talk) -> None:
    ready, answer = talk.hold(Sketch(**NPU_ONLY), GROVE, lines=[ask()], uncompiled=Sketch().file())
    assert ready["ready"]["algorithm"] == 5
    assert len(answer["results"]) == 1
    assert talk.file.name == "uncompiled.tflite"


@pytest.mark.parametrize(
    ("sketch", "files", "said"),
    [
        (Sketch(**NPU_ONLY), {}, "this machine has no NPU"),
        (Sketch(**NPU_ONLY), {"uncompiled": Sketch(pose(keypoints=5)).file()}, "another network"),
        (
            Sketch(**NPU_ONLY, streams=(command_stream(0x1007),)),
            {"uncompiled": Sketch().file()},
            "compiled for 128 MACs",
        ),
    ],
    ids=["no file", "another file", "another NPU"],
)
def test_a_compiled_model_that_cannot_be_computed_says_why(
    talk: Talk, sketch: Sketch, files: dict[str, bytes], said: str
) -> None:
    ready, answer = talk.hold(sketch, GROVE, lines=[ask()], **files)
    assert ready["ready"]["algorithm"] == 5
    assert said in answer["cannot"]
