"""Outputs: which decoder takes them, what it needs of them, and which faults of the firmware they meet."""

from __future__ import annotations

from dataclasses import replace

import pytest
from contract_stage import (
    COMPILED,
    GROVE,
    GROVE_2,
    HIMAX_OD,
    HIMAX_POSE,
    XIAO,
    XIAO_2,
    XIAO_HEAD,
    Checker,
    broken,
    check,
    only,
    verify,
    warned,
)
from tflite_maker import HIMAX, IMAGE, Made, Sketch, decoded, detect, pose

__all__ = ["check", "verify"]  # fixtures


@pytest.mark.parametrize(
    ("sketch", "rule", "text", "hint"),
    [
        (Sketch(pose()[:5]), "form", "are of no form that this firmware decodes", "make deploy"),
        (
            Sketch([*pose()[:6], replace(pose()[6], type="uint8")]),
            "outputs",
            "1 of 7 outputs uint8: the firmware reads int8 whatever they are",
            "model_int8.tflite",
        ),
        (
            Sketch([replace(pose()[0], scales=(0.1,) * 64, zero_points=(0,) * 64), *pose()[1:]]),
            "quantisation",
            "1 of 7 outputs without one scale each (box16 has 64 scales)",
            "per tensor",
        ),
        (
            Sketch([replace(pose()[0], scales=(), zero_points=()), *pose()[1:]]),
            "quantisation",
            "(box16 has 0 scales)",
            "per tensor",
        ),
        (
            Sketch(pose(classes=2)),
            "classes",
            "2 classes, and YOLOv8-pose takes 1; AT+INVOKE answers code 5, algorithm type 0",
            "train with 1 class",
        ),
        (
            Sketch(decoded(classes=81)),
            "classes",
            "81 classes, and YOLOv8 decoded takes 1 to 80; AT+INVOKE",
            "train with 1 to 80 classes",
        ),
        (
            Sketch(pose(keypoints=300)),
            "keypoints",
            "300 keypoints, and YOLOv8-pose of this firmware takes 1 to 256",
            "train with 1 to 256 keypoints",
        ),
        (
            Sketch(detect()),
            "form",
            "6 outputs of the form raw-detect; this firmware decodes YOLOv8 decoded (1 output); YOLOv8-pose (7 outputs)",
            "make deploy DEVICE=esp32s3",
        ),
        (
            Sketch([replace(one, shape=(1, 84, 34)) if one.name == "kpt" else one for one in pose()]),
            "keypoints",
            "34 keypoint columns are no multiple of 3",
            "kpt_shape: [17, 3]",
        ),
        (
            Sketch([replace(pose()[0], shape=(1, 64, 4, 4)), *pose()[1:]]),
            "outputs",
            "an output [1, 64, 4, 4] with 4 dimensions, not 3",
            "make deploy",
        ),
    ],
)
def test_each_rule_of_outputs_broken_alone(check: Checker, sketch: Sketch, rule: str, text: str, hint: str) -> None:
    found = only(check(sketch))
    assert found.rule == rule
    assert text in found.text
    assert hint in found.hint


def test_a_stock_export_is_told_what_the_firmware_decodes_instead(check: Checker) -> None:
    found = only(check(Sketch(decoded(classes=80)), XIAO_2))
    assert found.rule == "form"
    assert (
        "one decoded output [1, 84, 84], as stock ultralytics exports it; this firmware decodes YOLOv8-pose (7 outputs)"
        in found.text
    )
    assert "AT+INVOKE crashes the firmware" in found.text
    assert "WEIGHTS=best.pt" in found.hint


@pytest.mark.parametrize("firmware", [XIAO_HEAD, XIAO_2])
def test_64_classes_cannot_be_told_from_boxes(check: Checker, firmware: str) -> None:
    found = only(check(Sketch(detect(classes=64)), firmware))
    assert found.rule == "classes"
    assert found.text.startswith("64 classes: their outputs cannot be told from boxes")


def test_an_app_that_reads_by_number_wants_its_order(check: Checker) -> None:
    image = replace(IMAGE, shape=(1, 256, 256, 3))
    other = (*HIMAX[:5], "cls16", "box32")
    found = only(check(Sketch(pose(256, order=other), image, COMPILED), HIMAX_POSE))
    assert found.rule == "order"
    assert found.text == f"outputs in the order {' '.join(other)}; this firmware reads {' '.join(HIMAX)}"
    assert f"FIRMWARE={HIMAX_POSE}" in found.hint
    assert broken(check(Sketch(pose(order=other)))) == []


def test_an_app_compiled_for_one_size_takes_no_other(check: Checker) -> None:
    found = only(check(Sketch(operators=COMPILED), HIMAX_POSE))
    assert (found.rule, found.hint) == ("imgsz", "IMGSZ=256")
    assert found.text == "64 pixels, and YOLOv8-pose of this firmware takes 256"


def test_more_outputs_than_are_read(check: Checker) -> None:
    sketch = Sketch([*pose(), Made("more", (1, 5))])
    checks = check(sketch)
    assert broken(checks) == []
    assert [one.text for one in warned(checks, "outputs")] == ["8 outputs: YOLOv8-pose reads the first 7"]
    found = only(check(sketch, XIAO_2))
    assert found.text.startswith("8 outputs, and YOLOv8-pose takes exactly 7; AT+INVOKE crashes")


def test_a_pose_model_that_would_run_as_detection(check: Checker) -> None:
    order = ("box8", "cls8", "box16", "cls16", "box32", "cls32", "kpt")
    found = only(check(Sketch(pose(classes=2, order=order)), XIAO_HEAD))
    assert found.rule == "form"
    assert (
        found.text == "a raw-pose model with 2 classes runs as YOLOv8 raw (as YOLO-World): only 6 outputs of 7 are read"
    )


def test_scores_that_int8_cannot_reach_are_a_warning_for_each_output(check: Checker) -> None:
    outputs = [replace(one, zero_points=(127,)) if one.name == "cls8" else one for one in pose()]
    checks = check(Sketch(outputs))
    assert broken(checks) == []
    (found,) = warned(checks, "scores")
    assert found.text == "cls8 cannot exceed a score of 0.50; the firmware shows 0.50 and more"
    assert "calibrate" in found.hint
    assert warned(check(Sketch(outputs), XIAO_2), "scores") == []


@pytest.mark.parametrize(
    ("firmware", "sketch", "words"),
    [
        (XIAO_2, Sketch(), ["never sends keypoints", "grid cells"]),
        (XIAO_2, Sketch(detect()), ["grid cells"]),
        (XIAO_2, Sketch(detect(classes=4)), ["grid cells", "RTMDet"]),
        (GROVE_2, Sketch(operators=COMPILED), ["never sends keypoints", "swaps scale and zero point", "grid cells"]),
        (GROVE_2, Sketch(detect(classes=4), operators=COMPILED), ["grid cells"]),
        (XIAO, Sketch(), []),
        (XIAO, Sketch(decoded()), ["centres for corners"]),
        (XIAO, Sketch(decoded(classes=52)), ["52 classes are what a pose model", "centres for corners"]),
        (GROVE, Sketch(operators=COMPILED), []),
        (GROVE, Sketch(detect(), operators=COMPILED), ["centres for corners"]),
        (
            GROVE,
            Sketch(detect(480), replace(IMAGE, shape=(1, 480, 480, 3)), COMPILED),
            ["480x480 frame", "centres for corners"],
        ),
        (
            "grove-vision-ai-v2-sscma-2024-05",
            Sketch(detect(), operators=COMPILED),
            ["pixels of the model's input", "centres for corners"],
        ),
        (
            HIMAX_POSE,
            Sketch(pose(256), replace(IMAGE, shape=(1, 256, 256, 3)), COMPILED),
            ["0x3DF000", "rank", "SSCMA's arithmetic"],
        ),
        (HIMAX_OD, Sketch(pose(), operators=COMPILED), ["0xB7B000", "SSCMA's arithmetic"]),
    ],
)
def test_faults_of_the_firmware_are_warnings_for_those_whom_they_meet(
    check: Checker, firmware: str, sketch: Sketch, words: list[str]
) -> None:
    found = warned(check(sketch, firmware), "defect")
    assert len(found) == len(words), [one.text for one in found]
    for one, word in zip(found, words, strict=True):
        assert word in one.text
