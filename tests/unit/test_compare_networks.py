"""Networks that should be equal: which tensor, which scale, which operator differs. (ONNX: tests/images/test_compare.py.)"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tflite
from bounds import bounded
from checkpoint_maker import Call, File, module
from compare_stage import Differ, compare, differ, pair
from tflite_maker import Made, Node, Sketch, tflite_file

__all__ = ["compare", "differ", "pair"]  # fixtures
Pair = Callable[[str], tuple[Path, Path]]


def network(
    weights: bytes = bytes(16), bias: float = 0.5, scale: float = 0.1, zero: int = 0, kind: str = "CONV_2D"
) -> bytes:
    """A network of two operators with an int8 and a float32 constant."""
    tensors = [
        Made("image", (1, 4, 4, 1)),
        Made("conv/w", (4, 4), data=weights),
        Made("conv/b", (2,), "float32", data=np.array([bias, 1], "<f4").tobytes()),
        Made("mid", (1, 4), scales=(scale,), zero_points=(zero,)),
        Made("out", (1, 4)),
    ]
    nodes = [Node(kind, (0, 1, 2), (3,)), Node("LOGISTIC", (3,), (4,))]
    return tflite_file(tensors, nodes, (0,), (4,))


@pytest.fixture
def lines(differ: Differ, pair: Pair) -> Callable[[bytes, bytes], list[str]]:
    """What is said of two TFLite files."""

    def said(one: bytes, other: bytes) -> list[str]:
        first, second = pair("model.tflite")
        first.write_bytes(one)
        second.write_bytes(other)
        return list(differ(first, second).lines)

    return said


def test_constants_are_named_and_measured(differ: Differ, pair: Pair) -> None:
    first, second = pair("model.tflite")
    first.write_bytes(network())
    second.write_bytes(network(bytes([0, 3, 0, 255]) + bytes(12), float(np.nextafter(np.float32(0.5), np.float32(1)))))
    found = differ(first, second)
    assert found.kind == "tflite"
    assert found.lines == [
        "2 of 2 constants differ",
        "conv/w: 2 of 16 values (int8) differ, by up to 3 steps",
        "conv/b: 1 of 2 values (float32) differ, by up to 1 unit in the last place (5.96e-08)",
    ]
    assert [(tensor.name, tensor.shape) for tensor in found.tensors] == [("conv/w", (4, 4)), ("conv/b", (2,))]


def test_scales_and_zero_points_are_named(lines: Callable[[bytes, bytes], list[str]]) -> None:
    other = float(np.nextafter(np.float32(0.1), np.float32(1)))
    assert lines(network(), network(scale=other, zero=-3)) == [
        "1 of 4 scales and other vectors differ",
        "tensors.mid.quantization.scale: 1 of 1 values (float32) differ, by up to 1 unit in the last place (7.45e-09)",
        "tensors.mid.quantization.zero_point: [0] → [-3]",
    ]


def test_another_operator_is_counted_and_found(lines: Callable[[bytes, bytes], list[str]]) -> None:
    assert lines(network(), network(kind="ADD")) == [
        "operators: 2 → 2: ADD 0 → 1, CONV_2D 1 → 0",
        "operators: the first that differs is number 0: CONV_2D → ADD",
    ]


def test_operators_in_another_order_are_found(lines: Callable[[bytes, bytes], list[str]]) -> None:
    one, other = (Sketch(operators=names) for names in (("CONV_2D", "ADD", "MUL"), ("CONV_2D", "MUL", "ADD")))
    assert lines(one.file(), other.file())[0] == "operators: the first that differs is number 1: ADD → MUL"


def test_operators_at_the_end_are_found(lines: Callable[[bytes, bytes], list[str]]) -> None:
    short, long = Sketch(operators=("CONV_2D",)).file(), Sketch(operators=("CONV_2D", "GELU")).file()
    assert "operators: the first that differs is number 1: GELU → none" in lines(long, short)
    assert "operators: the first that differs is number 1: none → GELU" in lines(short, long)


def test_inputs_outputs_shapes_and_what_is_joined_are_compared(lines: Callable[[bytes, bytes], list[str]]) -> None:
    tensors = [Made("a", (1, 4)), Made("b", (1, 4)), Made("c", (1, 4))]
    one = tflite_file(tensors, [Node("ADD", (0, 1), (2,))], (0, 1), (2,))
    wider = [replace(tensors[0], shape=(1, 8)), *tensors[1:]]
    other = tflite_file(wider, [Node("ADD", (1, 0), (2,))], (0,), (2,))
    assert lines(one, other) == [
        "tensors.a.shape: [1, 4] → [1, 8]",
        'operators[0 ADD].inputs: "a, b" → "b, a"',
        'graph.inputs: "a, b" → "a"',
    ]


def test_other_padding_alone_is_said_to_be_no_difference_in_content(lines: Callable[[bytes, bytes], list[str]]) -> None:
    said = lines(Sketch().file(), Sketch(misaligned=True).file())
    assert said[0] == "the same in content, other layout"
    assert len(said) > 1


def test_an_option_of_a_real_network_is_found(assets: Path, lines: Callable[[bytes, bytes], list[str]]) -> None:
    content = (assets / "himax" / "yolov8n-pose_192_full_integer_quant.tflite").read_bytes()
    changed = bytearray(content)
    options = tflite.Model.GetRootAs(changed, 0).Subgraphs(0).Operators(1).BuiltinOptions()
    changed[options.Pos + options.Offset(6)] = 3  # Conv2DOptions.stride_w
    assert lines(content, bytes(changed)) == ["operators[1 CONV_2D v3].builtin_options.stride_w: 2 → 3"]


def test_what_vela_adds_is_compared(assets: Path, lines: Callable[[bytes, bytes], list[str]]) -> None:
    content = (assets / "himax" / "yolov8n-pose_192_full_integer_quant_vela.tflite").read_bytes()
    changed = bytearray(content)
    model = tflite.Model.GetRootAs(changed, 0)
    model.Subgraphs(0).Operators(0).CustomOptionsAsNumpy()[1] += 5
    model.Buffers(model.Metadata(3).Buffer()).DataAsNumpy()[4] += 1
    assert lines(content, bytes(changed)) == [
        "1 of 11 constants differ",
        "metadata OfflineMemoryAllocation: 1 of 120 values (uint8) differ, by up to 1 step",
        "1 of 22 scales and other vectors differ",
        "operators[0 ethos-u].custom_options: 1 of 3 values (uint8) differ, by up to 5 steps",
    ]


def test_tensors_of_one_name_are_told_apart(lines: Callable[[bytes, bytes], list[str]]) -> None:
    def twins(last: int) -> bytes:
        tensors = [Made("w", (4,), data=bytes(4)), Made("w", (4,), data=bytes([0, 0, 0, last])), Made("out", (4,))]
        return tflite_file(tensors, [Node("ADD", (0, 1), (2,))], (0,), (2,))

    assert lines(twins(1), twins(3)) == [
        "1 of 2 constants differ",
        "w (1): 1 of 4 values (int8) differ, by up to 2 steps",
    ]


def test_what_is_no_tflite_file_is_not_read_as_one(lines: Callable[[bytes, bytes], list[str]]) -> None:
    said = lines(network(), network().replace(b"TFL3", b"TFL9"))
    assert said[0] == "cannot be read as tflite: the second: not a TFLite file"


@pytest.mark.parametrize("length", [0, 7, 100, 700])
def test_a_truncated_network_is_compared_byte_by_byte(differ: Differ, pair: Pair, length: int) -> None:
    first, second = pair("model.tflite")
    first.write_bytes(network())
    second.write_bytes(network()[:length])
    found = differ(first, second)
    assert found.kind == "bytes"
    assert found.lines[0].startswith("cannot be read as tflite: ")
    assert found.lines[1].endswith(f"→ {length:,} bytes")


# --- checkpoints --------------------------------------------------------------------------------------------------------------


def checkpoint(path: Path, weights: Any, stem: str = "best", **more: Any) -> None:
    """A checkpoint as ultralytics writes it: a network, and what it was trained with."""
    file = File()
    tensors = {"weight": file.tensor(np.array(weights, np.float32)), "bias": file.tensor(np.zeros(2, np.float32))}
    layer = module("Conv", {"conv": module("Conv2d", tensors=tensors, stride=(1, 1))})
    content = {"model": module("PoseModel", {"model": module("Sequential", {"0": layer})}), "date": "today"} | more
    file.save(path, content, stem)


def test_a_tensor_of_a_checkpoint_is_named(differ: Differ, pair: Pair) -> None:
    first, second = pair("best.pt")
    checkpoint(first, [1, 2, 3])
    checkpoint(second, [1, 2, np.nextafter(np.float32(3), np.float32(4))])
    found = differ(first, second)
    assert found.kind == "checkpoint"
    assert found.lines == [
        "1 of 2 tensors differ",
        "model.model.0.conv.weight: 1 of 3 values (float32) differ, by up to 1 unit in the last place (2.38e-07)",
    ]


def test_what_is_no_tensor_is_said_to_be_none(differ: Differ, pair: Pair) -> None:
    first, second = pair("best.pt")
    checkpoint(first, [1], train_args={"epochs": 3, "seed": 0})
    checkpoint(second, [1], train_args={"epochs": 4, "seed": 0}, date="tomorrow")
    found = differ(first, second)
    assert found.lines == [
        'other than tensors: date: "today" → "tomorrow"',
        "other than tensors: train_args.epochs: 3 → 4",
    ]
    assert not found.tensors


def test_the_name_inside_a_checkpoint_is_layout(differ: Differ, pair: Pair) -> None:
    first, second = pair("best.pt")
    checkpoint(first, [1])
    checkpoint(second, [1], stem="last")
    assert differ(first, second).lines[0] == "the same in content, other layout"


def test_a_hostile_checkpoint_runs_nothing(differ: Differ, pair: Pair, tmp_path: Path) -> None:
    first, second = pair("best.pt")
    checkpoint(first, [1])
    File().save(second, Call("os", "system", f"touch {tmp_path / 'it-ran'}"))
    assert "os.system" in differ(first, second).lines[0]
    assert not (tmp_path / "it-ran").exists()


def test_a_checkpoint_that_multiplies_is_compared_byte_by_byte(
    differ: Differ, pair: Pair, compare: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare.trees, "VALUES_MAX", 1000)
    first, second = pair("best.pt")
    checkpoint(first, [1])
    many: Any = ["x"]
    for _ in range(40):
        many = [many, many]
    checkpoint(second, [1], many=many)
    assert "more than 1,000 values" in differ(first, second).lines[0]


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


# Each is little in a pickle, which refers to a thing that it has, and much once it is compared at every place.
COSTLY: dict[str, Any] = {
    "a long text": ["x" * 1_000_000] * 600,
    "long names": {"x" * 1_000_000: ["x"] * 600},
    "a long list of whole numbers": [[1] * 1_000_000] * 6,
    "a large array": [np.zeros(10_000_000, np.uint8)] * 3_000,
    "150 lists in each other": nested(150),
}


@pytest.mark.parametrize("what", COSTLY)
def test_what_is_at_many_places_is_paid_for_at_each(compare: SimpleNamespace, what: str) -> None:
    with bounded(), pytest.raises(compare.stage.Refused, match="too large to compare"):
        compare.trees.flatten(COSTLY[what])


def test_a_checkpoint_that_contains_itself_is_read(differ: Differ, pair: Pair) -> None:
    first, second = pair("best.pt")
    ring: dict[str, Any] = {"epoch": 1}
    ring["again"] = ring
    checkpoint(first, [1], ring=ring)
    ring["epoch"] = 2
    checkpoint(second, [1], ring=ring)
    assert differ(first, second).lines == ["other than tensors: ring.epoch: 1 → 2"]
