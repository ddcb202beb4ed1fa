"""The conversation with what computes for a virtual board: a model that it loads or refuses, and one frame after the other."""

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
from test_verify_decoder import raw
from tflite_maker import Made, Sketch, command_stream, detect, pose

HALF = (0.5, 0.5, 0.5, 0.5)
OWN = ("pictures", "isolation", "planner", "esp_nn", "arena", "decoder", "kernels", "firmware_json", "board")


@pytest.fixture(scope="module")
def verify() -> Iterator[SimpleNamespace]:
    """The modules under test."""
    with imported((*MODULES, *OWN), "verify") as modules:
        yield modules


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
