"""After a flash the firmware is asked whether it runs the model; each way in which it does not is one line with a way out."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from at_board import (
    BOOTED,
    FIRST,
    MODEL,
    POSE,
    RESULT,
    RESULT_2,
    SECOND,
    STARTED,
    STARTED_2,
    FakePort,
    frame,
    runs,
    says,
)

from edgewright.boards import questions
from edgewright.boards.at import Client, NoAnswer
from edgewright.boards.questions import Answers, NoFirmware, check_version, interrogate, version_of
from edgewright.config import load_project
from edgewright.errors import BoardFailed, DoesNotFit, EdgewrightError, WrongInput

FIRMWARES = load_project(Path(__file__).resolve().parents[2]).firmwares
ONE, TWO = FIRMWARES["esp32s3-sscma-1.x"], FIRMWARES["esp32s3-sscma-2.x"]
VERIFY = "make verify DEVICE=esp32s3 FIRMWARE={} MODEL=model.tflite"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every wait that comes to its end a short one."""
    for name in ("ANSWER_S", "QUIET_S", "LOAD_S"):
        monkeypatch.setattr(questions, name, 0.05)


def ask(port: FakePort, **changed: Any) -> Answers:
    """Ask a board of 1.x, or as the arguments say."""
    given: dict[str, Any] = {"firmware": ONE, "address": 0x400000, "expected_algorithm": 5, "wait_boot": False}
    given |= {"frame_timeout_s": 0.05, "info": None} | changed
    return interrogate(Client(port), given.pop("firmware"), FIRMWARES.values(), **given)


def first(**changed: Any) -> FakePort:
    """Return a board of 1.x that gives other answers to some commands, e.g. `MODEL` for AT+MODEL=1."""
    return FakePort({**FIRST, **changed})


def test_a_board_of_1_x_is_asked_in_its_own_dialect_and_runs_the_model() -> None:
    port = first()
    answers = ask(port)
    assert port.asked == ["STAT?", "VER?", "EDGEWRIGHT?", "ID?", "NAME?", "MODELS?", "MODEL=1", "INVOKE=1,0,1", "BREAK"]
    found = answers.as_json()
    assert json.loads(json.dumps(found)) == found  # plain lists all the way down: they are compared with the proof's
    assert found["detections"] == [RESULT["keypoints"]] == answers.detections
    assert found["version"] == {"software": "v2024.02.01", "hardware": "1"}
    assert found["firmwares"] == ["esp32s3-sscma-1.x"]
    expected = {"id": "1a2b3c4d", "model_id": 1, "algorithm": 5, "tscore": 50, "tiou": 45, "perf": [[8, 62, 1]]}
    assert {key: found[key] for key in expected} == expected
    assert found["resolution"] == [240, 240]
    assert not found["info"]


def test_a_board_of_2_x_is_asked_in_its_own_dialect_and_runs_the_model() -> None:
    port = FakePort(SECOND)
    answers = ask(port, firmware=TWO, expected_algorithm=8)
    assert port.asked == ["STAT?", "VER?", "EDGEWRIGHT?", "ID?", "NAME?", "MODELS?", "MODEL=1", "INVOKE=1,1", "BREAK"]
    assert (answers.algorithm.type, answers.algorithm.tscore) == (8, 25)
    assert answers.detections == [RESULT_2["boxes"]]
    assert answers.firmwares == ("esp32s3-sscma-2.x",)


def test_only_a_board_that_says_so_is_a_virtual_one() -> None:
    assert not ask(first()).virtual
    assert not ask(FakePort(SECOND), firmware=TWO, expected_algorithm=8).virtual
    assert ask(first(**{"EDGEWRIGHT?": says({"virtual": True})})).virtual
    # A line that loses the answer once has the next one.
    assert ask(first(**{"EDGEWRIGHT?": [b"", b"", says({"virtual": True})]})).virtual


def test_a_firmware_that_does_not_even_refuse_what_it_does_not_know_is_a_real_one() -> None:
    port = first(**{"EDGEWRIGHT?": b""})
    assert not ask(port).virtual
    assert port.asked.count("EDGEWRIGHT?") == 6


def test_the_model_that_was_written_is_the_one_that_is_asked_for() -> None:
    port = first(**{"MODEL=2": says({"model": MODEL})})
    assert ask(port, address=0x600000).model == 2
    assert "MODEL=2" in port.asked


def test_a_board_that_starts_is_left_alone_until_it_says_that_it_has() -> None:
    class Booting(FakePort):
        def read(self, size: int) -> bytes:
            if b"boot: ok" in self.waiting:
                assert not self.asked  # a boot loader would take it for a key
            return super().read(size)

    port = Booting(FIRST, waiting=b"waiting input key...\r\nI (53) boot: ok\r\n" + BOOTED)
    assert ask(port, wait_boot=True).id == "1a2b3c4d"


def test_a_board_that_has_started_long_ago_is_asked_after_a_moment() -> None:
    started = time.monotonic()
    assert ask(first(), wait_boot=True).id == "1a2b3c4d"
    assert time.monotonic() - started < 1  # it may take five seconds to start, but not in silence


def test_results_that_a_line_breaks_are_asked_for_again() -> None:
    bad = runs(STARTED, (0, RESULT), (0, {"perf": [1]}), (0, RESULT))
    port = first(**{"INVOKE=3,0,1": bad, "INVOKE=1,0,1": runs(STARTED, (0, RESULT))})
    assert len(ask(port, frames=3).events) == 3
    assert port.asked[-3:-1] == ["INVOKE=3,0,1", "INVOKE=1,0,1"]


def test_a_line_that_breaks_every_result_is_given_up() -> None:
    with pytest.raises(BoardFailed, match="only 0 of 1 results came whole: the line loses bytes") as problem:
        ask(first(**{"INVOKE=1,0,1": runs(STARTED, (0, {"perf": [1]}))}))
    assert "cable" in problem.value.hint


def test_class_names_are_told_to_the_vendors_tool_and_read_back() -> None:
    info = {"name": "figures", "classes": ["person", "größe"]}
    text = base64.b64encode(json.dumps(info, ensure_ascii=False).encode()).decode()
    kept = {"INFO": says({"crc16_maxim": 1, "retries": 0}), "INFO?": says({"crc16_maxim": 1, "info": text})}
    port = FakePort({**FIRST, **kept, "ACTION": says({})})
    assert ask(port, info=info).info
    assert port.asked[-3:] == [f'INFO="{text}"', "INFO?", 'ACTION=""']
    assert json.loads(base64.b64decode(text)) == info
    assert not ask(FakePort({**FIRST, **kept, "INFO?": says({"info": text[:-4]}), "ACTION": says({})}), info=info).info
    assert not ask(FakePort({**FIRST, **kept, "INFO": says({}, 4)}), info=info).info


def test_what_comes_after_the_proof_and_fails_takes_nothing_back() -> None:
    def broken(name: str) -> bytes:
        return frame(0, name, 0, 12345).replace(b"code", b"ode")

    answers = ask(first(BREAK=broken, INFO=broken), info={})
    assert answers.detections
    assert not answers.info
    assert not ask(first(), info={}).info  # INFO is not answered at all


def test_2_x_has_no_action_to_clear() -> None:
    text = base64.b64encode(b"{}").decode()
    port = FakePort({**SECOND, "INFO": says({"info": text}), "INFO?": says({"info": text})})
    assert ask(port, firmware=TWO, expected_algorithm=8, info={}).info
    assert port.asked[-1] == "INFO?"


def test_more_names_than_a_command_holds_are_not_sent() -> None:
    port = first()
    assert not ask(port, info={"classes": ["a long name"] * 400}).info
    assert port.asked[-1] == "BREAK"


CAMERA = "the board does not find its camera"
DECODER = "the firmware has no decoder that fits the model's outputs"
REFUSED = "the firmware does not take the model: an operator is not registered, or the arena is too small"
NO_ALGORITHM = {**STARTED, "algorithm": {"type": 0, "categroy": 0, "input_from": 0}}


def _logged(name: str) -> bytes:
    return b"Didn't find op for builtin opcode 'EXP' version '1'\r\n" + frame(0, name, 2, {"model": MODEL})


@pytest.mark.parametrize(
    ("command", "answer", "kind", "text", "hint"),
    [
        ("MODEL=1", says({"model": MODEL}, 2), DoesNotFit, REFUSED, "{verify}"),
        (
            "MODEL=1",
            _logged,
            DoesNotFit,
            REFUSED + " (Didn't find op for builtin opcode 'EXP' version '1')",
            "{verify}",
        ),
        ("MODEL=1", says({}, 6), DoesNotFit, REFUSED, "{verify}"),
        ("MODEL=1", says({}, 4), BoardFailed, "AT+MODEL=1 failed with code 4: input or output failed", "press RESET"),
        ("MODEL=1", says({}, 5), BoardFailed, "AT+MODEL=1 failed with code 5: invalid argument", "press RESET"),
        ("MODEL=1", BOOTED, DoesNotFit, "the firmware crashed and restarted during AT+MODEL=1", "{verify}"),
        ("MODELS?", says([]), BoardFailed, "finds no model at 0x400000; it finds none", "make flash DEVICE=esp32s3"),
        (
            "MODELS?",
            says([{**MODEL, "address": 0x500000}]),
            BoardFailed,
            "finds no model at 0x400000; it finds id 1 at 0x500000",
            "make flash",
        ),
        (
            "MODELS?",
            says("none"),
            BoardFailed,
            'the board\'s answer to AT+MODELS? is none: "none" (code 0)',
            "press RESET",
        ),
        ("ID?", says(5), BoardFailed, "the board's answer to AT+ID? is none: 5 (code 0)", "press RESET"),
        ("INVOKE=1,0,1", says(NO_ALGORITHM, 5), DoesNotFit, DECODER, "{verify}"),
        (
            "INVOKE=1,0,1",
            says({**NO_ALGORITHM, "model": {**MODEL, "id": 0}}, 5),
            BoardFailed,
            "the firmware has no model loaded",
            "make flash DEVICE=esp32s3",
        ),
        ("INVOKE=1,0,1", says(NO_ALGORITHM, 9), BoardFailed, "the firmware has no model loaded", "make flash"),
        ("INVOKE=1,0,1", says(NO_ALGORITHM, 4), BoardFailed, CAMERA, "ribbon cable"),
        ("INVOKE=1,0,1", runs(STARTED, (4, {"count": 1})), BoardFailed, CAMERA, "ribbon cable"),
        (
            "INVOKE=1,0,1",
            runs(STARTED, (2, {"count": 1})),
            BoardFailed,
            "could not run the model on a frame (code 2)",
            "RESET",
        ),
        ("INVOKE=1,0,1", says(STARTED, 8), BoardFailed, "does not support the decoder that it is set to", "AT+ALGO=0"),
        ("INVOKE=1,0,1", says(STARTED, 7), BoardFailed, "AT+INVOKE=1,0,1 failed with code 7: busy", "press RESET"),
        (
            "INVOKE=1,0,1",
            says({**STARTED, "algorithm": {**POSE, "type": 6}}),
            DoesNotFit,
            "decodes the model as algorithm 6 (YOLOv8 decoded), not 5 (YOLOv8-pose)",
            "{verify}",
        ),
        (
            "INVOKE=1,0,1",
            BOOTED,
            BoardFailed,
            "the firmware crashed and restarted during AT+INVOKE=1,0,1",
            "press RESET",
        ),
        ("INVOKE=1,0,1", runs(STARTED), NoAnswer, "no result in 0.05 s", "press RESET"),
        ("INVOKE=1,0,1", b"", NoAnswer, "no answer to AT+INVOKE=1,0,1 in 0.05 s", "press RESET"),
        ("VER?", b"", NoAnswer, "no answer to AT+VER? in 0.05 s", "press RESET"),
    ],
)
def test_what_goes_wrong_on_1_x_is_one_line_with_a_way_out(
    command: str, answer: Any, kind: type[EdgewrightError], text: str, hint: str
) -> None:
    with pytest.raises(kind) as problem:
        ask(first(**{command: answer}))
    assert type(problem.value).exit_code == kind.exit_code
    assert text in str(problem.value)
    assert "\n" not in str(problem.value)
    assert hint.format(verify=VERIFY.format(ONE.name)) in problem.value.hint


@pytest.mark.parametrize(
    ("command", "answer", "kind", "text"),
    [
        ("MODEL=1", says({}, 2, compact=True), DoesNotFit, REFUSED),
        ("MODEL=1", says({}, 10, compact=True), BoardFailed, "AT+MODEL=1 failed with code 10: no such entity"),
        ("INVOKE=1,1", says(STARTED_2, 2, compact=True), DoesNotFit, REFUSED),
        ("INVOKE=1,1", says(STARTED_2, 8, compact=True), DoesNotFit, DECODER),
        ("INVOKE=1,1", says(STARTED_2, 10, compact=True), BoardFailed, "the firmware has no model loaded"),
        ("INVOKE=1,1", says(STARTED_2, -1, compact=True), BoardFailed, "failed with code -1: failed"),
        (
            "INVOKE=1,1",
            frame(0, "INIT@SENSOR", 0, {}, compact=True),
            DoesNotFit,
            "follows a null pointer where no decoder",
        ),
        ("MODELS?", says({"models": []}, compact=True), BoardFailed, "finds no model at 0x400000; it finds none"),
    ],
)
def test_what_goes_wrong_on_2_x_is_one_line_too(
    command: str, answer: Any, kind: type[EdgewrightError], text: str
) -> None:
    with pytest.raises(kind) as problem:
        ask(FakePort({**SECOND, command: answer}), firmware=TWO, expected_algorithm=8)
    assert type(problem.value).exit_code == kind.exit_code
    assert text in str(problem.value)


def test_a_board_where_nothing_answers_has_no_firmware() -> None:
    assert ONE.at
    brief = ONE.model_copy(update={"at": ONE.at.model_copy(update={"boot_s": 0.05})})
    port = FakePort(waiting=b"invalid header: 0xffffffff\r\n")
    with pytest.raises(NoFirmware, match=r"no answer to AT\+STAT\? in 0\.05 s; the last it said: 'invalid header"):
        version_of(Client(port), brief)
    with pytest.raises(BoardFailed, match="unplugged") as problem:
        version_of(Client(FakePort(gone=True)), brief)
    assert not isinstance(problem.value, NoFirmware)


def test_a_firmware_that_answers_no_commands_is_asked_none() -> None:
    port = FakePort()
    with pytest.raises(WrongInput, match=r"Himax tflm_yolov8_pose.* answers no commands"):
        version_of(Client(port), FIRMWARES["grove-vision-ai-v2-himax-pose"])
    assert not port.asked


def test_another_firmware_than_the_bundles_is_refused_before_it_is_asked_for_more() -> None:
    port = FakePort(SECOND)
    with pytest.raises(WrongInput) as problem:
        ask(port)
    assert str(problem.value).startswith(
        "the board runs SSCMA 2.x for XIAO ESP32S3 (2024.11.25, hardware XIAO(ESP32S3));"
    )
    assert str(problem.value).endswith("this bundle was proved for SSCMA 1.x for XIAO ESP32S3")
    assert problem.value.hint == "make deploy DEVICE=esp32s3 FIRMWARE=esp32s3-sscma-2.x"
    assert port.asked == ["STAT?", "VER?"]


def test_a_firmware_that_nobody_knows_is_not_taken_for_one_of_another_board() -> None:
    version = questions.Version("2025.02.11", "HX6538")  # a Grove's
    with pytest.raises(WrongInput, match=r"a firmware that is not known \(2025\.02\.11, hardware HX6538\)") as problem:
        check_version(version, ONE, FIRMWARES.values())
    assert "FIRMWARE_IMAGE=" in problem.value.hint


def test_any_of_the_firmwares_that_fit_may_be_the_bundles() -> None:
    version = questions.Version("2025.01.02", "1")
    head = FIRMWARES["esp32s3-sscma-1.0-head"]
    names = check_version(version, head, iter(FIRMWARES.values()))
    assert names == check_version(version, ONE, FIRMWARES.values()) == (head.name, ONE.name)


def test_what_runs_can_be_watched_with_images_until_it_is_stopped() -> None:
    events = [(0, {**RESULT, "count": count, "image": "/9j/"}) for count in (1, 2)]
    port = first(**{"INVOKE=-1,0,0": runs(STARTED, *events)})
    client = Client(port)
    dialect = questions.dialects.detect(version_of(client, ONE, wait_boot=False))
    assert questions.invoke(client, dialect, ONE, -1, images=True).type == 5
    watched = client.events(0.05)
    assert [next(watched).image, next(watched).image] == ["/9j/", "/9j/"]
    questions.stop(client, 0.05)
    assert port.asked[-1] == "BREAK"
