"""The contract: each rule broken once, alone, and the line that it gives; the facts are those of configs/firmwares."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import get_args

import pytest
from contract_stage import (
    COMPILED,
    FACTS,
    GROVE,
    HIMAX_OD,
    HIMAX_POSE,
    XIAO,
    XIAO_HEAD,
    Checker,
    arena_of,
    broken,
    check,
    only,
    verify,
    warned,
)
from stage_modules import DOCKER
from tflite_maker import IMAGE, Made, Sketch, decoded, detect, pose

from edgewright.config import load_project
from edgewright.firmware import Form

__all__ = ["check", "verify"]  # fixtures


@pytest.mark.parametrize(
    ("sketch", "firmware"),
    [
        (Sketch(), XIAO),
        (Sketch(decoded()), XIAO),
        (Sketch(detect()), XIAO_HEAD),
        (Sketch(operators=COMPILED), GROVE),
        (Sketch(detect(), operators=COMPILED), GROVE),
        (Sketch(pose(256), replace(IMAGE, shape=(1, 256, 256, 3)), COMPILED), HIMAX_POSE),
        (
            Sketch(
                [Made("boxes", (1, 4, 756)), Made("scores", (1, 756, 80))],
                replace(IMAGE, shape=(1, 192, 192, 3)),
                COMPILED,
            ),
            HIMAX_OD,
        ),
    ],
)
def test_what_a_firmware_is_made_for_passes_every_rule(check: Checker, sketch: Sketch, firmware: str) -> None:
    checks = check(sketch, firmware)
    assert broken(checks) == []
    rules = {one.rule for one in checks}
    assert {"slot", "arena", "operators", "input", "outputs", "form", "classes", "imgsz", "alignment"} <= rules
    assert ("npu" in rules) == ("ETHOS_U" in sketch.operators)
    # Warnings are those of the firmware and of what Vela left over, or of nothing that was written here.
    assert {one.rule for one in warned(checks)} <= {"defect", "npu"}


def test_the_summary_has_the_figures_that_decide(verify: SimpleNamespace, check: Checker) -> None:
    network = verify.network.parse(Sketch().file(), "model.tflite")
    checks = check(Sketch(), XIAO, arena_of(540_944))
    text = verify.contract.summary(checks, network, FACTS[XIAO])
    assert (
        text == "fits esp32s3-sscma-1.x: arena 528 of 1,024 KiB, 2 of 24 operators, 7 outputs as the firmware expects"
    )
    checks = check(Sketch(), XIAO, arena_of(1_000_000, 1_100_000))
    assert verify.contract.summary(checks, network, FACTS[XIAO]).startswith(
        "may fit esp32s3-sscma-1.x: arena 977 of 1,024 KiB"
    )
    checks = check(Sketch(operators=("CONV_2D", "EXP", "DIV")))
    text = verify.contract.summary(checks, network, FACTS[XIAO])
    assert text == "does not fit esp32s3-sscma-1.x: 2 violations"


@pytest.mark.parametrize(
    ("sketch", "rule", "text", "hint"),
    [
        (Sketch(more_inputs=1), "input", "2 inputs; the firmware writes one image", ""),
        (
            Sketch(operators=("CONV_2D", "EXP", "EXP")),
            "operators",
            "operator EXP ×2 is not registered",
            "make deploy DEVICE=esp32s3 FIRMWARE=esp32s3-sscma-1.x WEIGHTS=best.pt",
        ),
        (
            Sketch(operators=("ETHOS_U", "RESHAPE")),
            "operators",
            "compiled by Vela (ETHOS_U ×1), and this board has no NPU",
            "give the file from before Vela",
        ),
        (
            Sketch(image=replace(IMAGE, type="uint8", zero_points=(0,))),
            "input",
            "input is uint8; the firmware writes int8",
            "model_int8.tflite",
        ),
        (
            Sketch(image=replace(IMAGE, scales=(0.0078,))),
            "input",
            "input scale 0.0078; what the firmware writes has 0.00392157",
            "0 to 255",
        ),
        (
            Sketch(image=replace(IMAGE, scales=(1 / 253,))),
            "input",
            "input scale 0.00395257; what the firmware writes has 0.00392157",
            "0 to 255",
        ),
        (
            Sketch(image=replace(IMAGE, zero_points=(-127,))),
            "input",
            "input zero point -127; what the firmware writes has -128",
            "0 to 255",
        ),
        (
            Sketch(image=replace(IMAGE, shape=(1, 64, 64, 4))),
            "input",
            "input [1, 64, 64, 4] has 4 channels; the firmware writes 1 or 3",
            "",
        ),
        (
            Sketch(image=replace(IMAGE, shape=(2, 64, 64, 3))),
            "input",
            "input [2, 64, 64, 3] takes 2 images; the firmware writes one",
            "",
        ),
    ],
)
def test_each_rule_of_operators_and_input_broken_alone(
    check: Checker, sketch: Sketch, rule: str, text: str, hint: str
) -> None:
    found = only(check(sketch))
    assert found.rule == rule
    assert text in found.text
    assert hint in found.hint


@pytest.mark.parametrize(
    ("shape", "text", "hint"),
    [
        ((1, 3, 64, 64), "input [1, 3, 64, 64] has its channels first; the firmware writes them last", "make deploy"),
        ((1, 64, 96, 3), "input [1, 64, 96, 3] is not square", "IMGSZ=64"),
        ((1, 200, 200, 3), "input [1, 200, 200, 3] has a side that is no multiple of 32", "IMGSZ=192 or IMGSZ=224"),
        ((1, 16, 16, 3), "input [1, 16, 16, 3] has a side that is no multiple of 32", "IMGSZ=32"),
        ((64, 64, 3), "input [64, 64, 3] has 3 dimensions; the firmware writes [1, S, S, C]", "make deploy"),
    ],
)
def test_a_wrong_image_is_named_beside_the_outputs_that_do_not_go_with_it(
    check: Checker, shape: tuple[int, ...], text: str, hint: str
) -> None:
    wrong = broken(check(Sketch(image=replace(IMAGE, shape=shape))))
    assert [one.rule for one in wrong] == ["input", "form"]
    assert wrong[0].text == text
    assert wrong[1].text.startswith("outputs ")
    square = len(shape) == 4 and shape[1] == shape[2]
    assert ("cannot be told apart: the input is no square image" in wrong[1].text) == (not square)
    assert hint in wrong[0].hint


def test_a_file_larger_than_its_place_in_flash(check: Checker) -> None:
    size = len(Sketch().file())
    found = only(check(Sketch(), FACTS[XIAO] | {"slot_bytes": size - 1}))
    assert (found.rule, found.allowed) == ("slot", f"{size - 1:,} bytes")
    assert found.text == f"file of {size:,} bytes in {size - 1:,} bytes of flash at 0x400000: 1 too many"
    assert broken(check(Sketch(), FACTS[XIAO] | {"slot_bytes": size})) == []


def test_an_address_within_a_sector(check: Checker) -> None:
    found = only(check(Sketch(), FACTS[XIAO] | {"address": 0x400008}))
    assert found.text == "address 0x400008 is no multiple of 4,096"


def test_an_arena_too_large_on_any_count_names_the_size_that_fits(check: Checker) -> None:
    arena = arena_of(1_100_000, 1_200_000, bytes=1_140_112, persistent=100_000)
    found = only(check(Sketch(pose(288), replace(IMAGE, shape=(1, 288, 288, 3))), XIAO, arena))
    assert found.rule == "arena"
    assert found.text == "arena 1,140,112 of 1,048,576 bytes on a 64-bit host, 1,100,000 to 1,200,000 on the board"
    assert found.hint == "IMGSZ=256 needs about 969,000 bytes"
    assert only(check(Sketch(), XIAO, arena_of(900_000_000))).hint == "give a smaller network"


def test_a_size_that_the_app_was_not_compiled_for_is_no_way_out_of_a_large_arena(check: Checker) -> None:
    sketch = Sketch(pose(256), replace(IMAGE, shape=(1, 256, 256, 3)), COMPILED)
    assert only(check(sketch, HIMAX_POSE, arena_of(540_000))).hint == "give a smaller network"


def test_an_arena_that_may_be_too_large_is_a_warning(check: Checker) -> None:
    checks = check(Sketch(), XIAO, arena_of(1_048_576, 1_048_577))
    assert broken(checks) == []
    (found,) = warned(checks, "arena")
    assert found.text.endswith("1,048,576 to 1,048,577 on the board: may not fit")
    assert warned(check(Sketch(), XIAO, arena_of(1_048_576)), "arena") == []


def test_what_tflm_could_not_allocate_is_not_measured(check: Checker) -> None:
    problem = "no kernel for NON_MAX_SUPPRESSION_V4"
    checks = check(Sketch(), XIAO, arena_of(0, problem=problem))
    assert [one.text for one in warned(checks, "arena")] == [f"not measured: {problem}"]
    checks = check(Sketch(), XIAO, arena_of(2_000_000, problem=problem))
    assert only(checks).rule == "arena"


def test_a_float_model_is_told_the_file_to_give(check: Checker) -> None:
    image = replace(IMAGE, type="float32")
    outputs = [replace(one, type="float32") for one in decoded()]
    wrong = broken(check(Sketch(outputs, image, ("CONV_2D", "DEQUANTIZE"))))
    assert [one.rule for one in wrong] == ["operators", "input", "outputs"]
    assert {one.hint for one in wrong} == {"give the full-integer file, model_int8.tflite"}


def test_every_fault_of_a_model_is_told(check: Checker) -> None:
    image = replace(IMAGE, zero_points=(0,))
    sketch = Sketch(pose(keypoints=300), image, ("CONV_2D", "EXP"))
    wrong = broken(check(sketch, XIAO, arena_of(2_000_000)))
    assert [one.rule for one in wrong] == ["arena", "operators", "input", "keypoints"]


@pytest.mark.parametrize("name", sorted(FACTS))
def test_every_firmware_says_what_it_accepts_in_the_stages_own_words(verify: SimpleNamespace, name: str) -> None:
    facts = FACTS[name]
    assert facts["input"]
    assert facts["accepts"]
    assert set(get_args(Form)) == set(verify.acceptance.OUTPUTS)
    roles = {"box8", "box16", "box32", "cls8", "cls16", "cls32", "kpt", "boxes", "scores", "decoded"}
    assert {role for accepted in facts["accepts"] for role in accepted["order"]} <= roles
    assert set(facts["operators"]) <= {*verify.network.OPERATOR_NAMES.values(), "ETHOS_U"}
    assert ("ETHOS_U" in facts["operators"]) == bool(facts["npu"])
    assert all("\n" not in defect["text"] + defect["hint"] for defect in facts["defects"])


@pytest.mark.parametrize("name", sorted(FACTS))
def test_what_the_export_makes_for_a_firmware_is_what_it_accepts(verify: SimpleNamespace, name: str) -> None:
    firmware = load_project(DOCKER.parent).firmwares[name]
    forms = {"pose": "raw-pose", "detect": "raw-detect"}
    for task, order in firmware.stages["export"]["outputs"].items():
        form = "decoded" if order == ["decoded"] else forms[task]
        accepted = next(one for one in firmware.accepts if one.form == form)
        assert not accepted.order or list(accepted.order) == order


@pytest.mark.parametrize(
    ("shapes", "tasks"),
    [
        ([(1, 84, 756)], ("detect",)),
        ([(1, 5, 756)], ("detect",)),
        # One class and 17 keypoints, or 52 classes.
        ([(1, 56, 756)], ("detect", "pose")),
        ([(1, 4, 756), (1, 756, 52)], ("detect",)),
    ],
)
def test_outputs_tell_the_task_as_far_as_they_can(
    verify: SimpleNamespace, shapes: list[tuple[int, ...]], tasks: tuple[str, ...]
) -> None:
    assert verify.heads.recognise(192, shapes).tasks == tasks
