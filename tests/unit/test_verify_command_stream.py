"""Compiled files: for which NPU, where their constants lie, and what Vela left over."""

from __future__ import annotations

import pytest
from contract_stage import COMPILED, GROVE, Checker, arena_of, broken, check, only, verify, warned
from tflite_maker import Sketch, command_stream

__all__ = ["check", "verify"]  # fixtures


def test_a_model_that_is_not_compiled_is_one_line_on_a_board_with_an_npu(check: Checker) -> None:
    checks = check(Sketch(operators=("CONV_2D", "ADD", "LOGISTIC", "RESHAPE")), GROVE, arena_of(9_000_000))
    found = only(checks)
    assert found.text == "not compiled by Vela: 3 of 4 operators are not registered, the NPU is to compute them"
    assert found.hint.startswith("make deploy DEVICE=grove-vision-ai-v2 MODEL=")
    assert [one.rule for one in warned(checks)] == ["arena"]
    assert not {"npu", "alignment"} & {one.rule for one in checks}


def test_what_vela_left_over_and_the_firmware_lacks(check: Checker) -> None:
    found = only(check(Sketch(operators=("ETHOS_U", "STRIDED_SLICE", "STRIDED_SLICE")), GROVE))
    assert found.text == "operator STRIDED_SLICE ×2 is not registered"
    assert found.hint.startswith("Vela left it on the CPU")


def test_what_vela_left_over_and_the_firmware_has_is_a_warning(check: Checker) -> None:
    checks = check(Sketch(operators=("ETHOS_U", "TRANSPOSE", "TRANSPOSE", "RESHAPE")), GROVE)
    assert broken(checks) == []
    assert [one.text for one in warned(checks, "npu")] == ["3 operators left to the CPU: RESHAPE ×1, TRANSPOSE ×2"]


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        (command_stream(config=0x1007), "compiled for 128 MACs a cycle, the board's ethos-u55-64 has 64"),
        (command_stream(config=0x10001006), "compiled for Ethos-U65, the board has Ethos-U55"),
        (command_stream(config=0x1016), "command stream version 1, the board's driver takes 0"),
        (command_stream(identity=0x20060000), "compiled for architecture 2.0.6, the board has 1.0.6"),
        (command_stream(identity=0x10160000), "compiled for architecture 1.1.6, the board has 1.0.6"),
        (command_stream(magic=b"COP2"), "no command stream where one should be"),
        (b"COP1", "no command stream where one should be"),
        (b"COP1" + bytes(12), "no command stream where one should be"),
    ],
)
def test_a_command_stream_for_another_npu_is_refused_once(check: Checker, stream: bytes, text: str) -> None:
    found = only(check(Sketch(operators=("ETHOS_U",) * 3, streams=[command_stream(), stream, stream]), GROVE))
    assert found.rule == "npu"
    assert found.text == f"{text} (in 2 of 3 command streams)"
    assert "DEVICE=grove-vision-ai-v2" in found.hint


def test_an_older_patch_of_the_architecture_is_as_good(check: Checker) -> None:
    assert broken(check(Sketch(operators=["ETHOS_U"], streams=[command_stream(identity=0x10000000)]), GROVE)) == []


def test_misplaced_constants_stop_an_npu_and_worry_a_cpu(check: Checker) -> None:
    found = only(check(Sketch(operators=COMPILED, misaligned=True), GROVE))
    assert found.rule == "alignment"
    assert found.text.startswith("1 of 1 constant not at multiples of 16 bytes (constant 0 at ")
    checks = check(Sketch(misaligned=True))
    assert broken(checks) == []
    assert warned(checks, "alignment")[0].text.startswith("2 of 2 constants not at multiples of 16 bytes")
