"""The tensor arena: planned as TFLM plans it, scratch of the board's kernels included, and its figures said with a reason."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stage_modules import imported

HIMAX = Path(__file__).parents[3] / "shared" / "assets" / "himax"
RECORDED = """[RecordingMicroAllocator] Arena allocation total 540944 bytes
[RecordingMicroAllocator] Arena allocation head 448576 bytes
[RecordingMicroAllocator] Arena allocation tail 92368 bytes
[RecordingMicroAllocator] 'TfLiteEvalTensor data' used 10656 bytes with alignment overhead
"""
SHORT = "Failed to resize buffer. Requested: 285212672, available 15998720, missing: 269213952\n"


@pytest.fixture(scope="module")
def verify() -> Iterator[SimpleNamespace]:
    """The modules under test."""
    with imported(
        ("stage", "tflite_schema", "tflite_model", "network", "planner", "esp_nn", "isolation", "arena"), "verify"
    ) as modules:
        yield modules


def make(
    verify: SimpleNamespace,
    shapes: Sequence[tuple[int, ...]],
    operators: Sequence[tuple[str, tuple[int, ...], tuple[int, ...]]],
    *,
    constants: Sequence[int] = (),
    inputs: Sequence[int] = (0,),
    outputs: Sequence[int] = (),
    plan: Sequence[int] = (),
    **options: Any,
) -> Any:
    """Build a network of int8 tensors; the last tensor is its output unless told."""
    tensors = tuple(
        verify.network.Tensor(index, f"t{index}", tuple(shape), "int8", (), (), stored=64 if index in constants else 0)
        for index, shape in enumerate(shapes)
    )
    return verify.network.Network(
        name="made",
        size=0,
        tensors=tensors,
        operators=tuple(
            verify.network.Operator(index, name, tuple(ins), tuple(outs), **options)
            for index, (name, ins, outs) in enumerate(operators)
        ),
        inputs=tuple(tensors[index] for index in inputs),
        outputs=tuple(tensors[index] for index in outputs or (len(shapes) - 1,)),
        plan=tuple(plan),
    )


def drawn(verify: SimpleNamespace, seed: int) -> Any:
    """A network of random sizes in which each operator reads one or two of all tensors before it."""
    chance = random.Random(seed)
    shapes = [(1, chance.randint(1, 5000)) for _ in range(40)]
    operators = [
        ("ADD", tuple(chance.sample(range(index), min(index, chance.randint(1, 2)))), (index,))
        for index in range(1, 40)
    ]
    return make(verify, shapes, operators)


def where(buffers: Sequence[Any]) -> dict[str, int]:
    """Offsets by name."""
    return {buffer.name: buffer.offset for buffer in buffers}


def test_a_chain_uses_two_places_in_turn(verify: SimpleNamespace) -> None:
    chain = make(verify, [(1, 100), (1, 300), (1, 200), (1, 50)], [("RELU", (i,), (i + 1,)) for i in range(3)])
    buffers = verify.planner.plan(chain)
    # t1, the largest, is first; t2 lives beside it; t0 and t3 find gaps: 300 and 200 bytes are 304 and 208 of the arena.
    assert where(buffers) == {"t0": 304, "t1": 0, "t2": 304, "t3": 0}
    assert verify.planner.extent(buffers) == 304 + 208


def test_of_equal_buffers_the_later_one_is_placed_first(verify: SimpleNamespace) -> None:
    equal = make(verify, [(1, 16), (1, 16)], [("RELU", (0,), (1,))])
    assert where(verify.planner.plan(equal)) == {"t1": 0, "t0": 16}


def test_a_reshape_has_bytes_of_its_own(verify: SimpleNamespace) -> None:
    reshape = make(verify, [(1, 4, 8), (1, 32)], [("RESHAPE", (0,), (1,))])
    assert verify.planner.extent(verify.planner.plan(reshape)) == 64


def test_a_branch_is_kept_until_its_last_use_and_outputs_until_the_end(verify: SimpleNamespace) -> None:
    operators = [("RELU", (0,), (1,)), ("RELU", (1,), (2,)), ("ADD", (1, 2), (3,)), ("RELU", (3,), (4,))]
    branched = make(verify, [(1, 16)] * 5, operators, outputs=(2, 4))
    lives = {buffer.name: (buffer.first, buffer.last) for buffer in verify.planner.plan(branched)}
    assert lives == {"t0": (0, 0), "t1": (0, 2), "t2": (1, 3), "t3": (2, 3), "t4": (3, 3)}


def test_constants_and_inputs_left_out_take_nothing(verify: SimpleNamespace) -> None:
    network = make(verify, [(1, 16), (1, 999), (1, 16)], [("FULLY_CONNECTED", (0, 1, -1), (2,))], constants=[1])
    assert where(verify.planner.plan(network)) == {"t2": 0, "t0": 16}


@pytest.mark.parametrize("seed", range(20))
def test_no_two_buffers_overlap_in_time_and_place(verify: SimpleNamespace, seed: int) -> None:
    buffers = verify.planner.plan(drawn(verify, seed), {7: (4000, 16), 20: (9000,)})
    assert len(buffers) == 43
    for one, other in combinations(buffers, 2):
        apart = one.last < other.first or other.last < one.first
        assert apart or one.offset + one.bytes <= other.offset or other.offset + other.bytes <= one.offset
    assert all(buffer.offset % 16 == buffer.bytes % 16 == 0 for buffer in buffers)


def test_scratch_lives_during_its_own_operator(verify: SimpleNamespace) -> None:
    chain = make(verify, [(1, 160), (1, 160), (1, 160)], [("RELU", (0,), (1,)), ("RELU", (1,), (2,))])
    *_, scratch = verify.planner.plan(chain, {1: (100,)})
    assert (scratch.first, scratch.last, scratch.bytes, scratch.scratch) == (1, 1, 112, True)
    assert scratch.offset == 320  # behind the two tensors of that operator


def test_a_mean_asks_for_sums_and_counters(verify: SimpleNamespace) -> None:
    mean = make(verify, [(1, 4, 4, 24), (2,), (1, 24)], [("MEAN", (0, 1), (2,))], constants=[1])
    assert [buffer.bytes for buffer in verify.planner.plan(mean) if buffer.scratch] == [96, 16, 16]


def test_what_vela_planned_stays_and_the_drivers_tables_come_behind(verify: SimpleNamespace) -> None:
    shapes = [(1, 100), (1000,), (1000,), (500,), (1, 64)]
    network = make(verify, shapes, [("ETHOS_U", (2, 1, 3, 0), (4,))], constants=[2], plan=[160, 0, -1, 0, 336])
    buffers = verify.planner.plan(network)
    assert where([buffer for buffer in buffers if not buffer.scratch]) == {"t0": 160, "t1": 0, "t3": 0, "t4": 336}
    assert [(buffer.offset, buffer.bytes) for buffer in buffers if buffer.scratch] == [(1008, 48), (1056, 32)]


# What the two C functions return when they are compiled for this machine (espressif/esp-nn 12129cf and d45b843):
# height, width, channels, filter's rows and columns, height, width and channels of the output, strides, padding.
@pytest.mark.parametrize(
    ("operator", "geometry", "in_2023", "in_2026"),
    [
        ("CONV_2D", (192, 192, 3, 3, 3, 96, 96, 16, 2, 2, 0, 0), 2400, 704),
        ("CONV_2D", (96, 96, 16, 1, 1, 96, 96, 16, 1, 1, 0, 0), 544, 576),
        ("CONV_2D", (6, 6, 20, 1, 1, 6, 6, 51, 1, 1, 0, 0), 2504, 2536),
        ("CONV_2D", (2, 2, 16, 1, 1, 2, 2, 8, 1, 1, 0, 0), 160, 192),
        ("CONV_2D", (24, 24, 64, 3, 3, 24, 24, 64, 1, 1, 1, 1), 80416, 160576),
        ("CONV_2D", (13, 13, 128, 3, 3, 6, 6, 256, 2, 2, 0, 0), 295968, 616000),
        ("CONV_2D", (6, 6, 2, 1, 1, 3, 3, 4, 2, 2, 0, 0), 112, 208),
        ("DEPTHWISE_CONV_2D", (24, 24, 32, 3, 3, 24, 24, 32, 1, 1, 1, 1), 21936, 21936),
        ("DEPTHWISE_CONV_2D", (96, 96, 32, 3, 3, 96, 96, 32, 1, 1, 1, 1), 307632, 9712),
        ("DEPTHWISE_CONV_2D", (24, 24, 24, 3, 3, 24, 24, 24, 1, 1, 1, 1), 28096, 43872),
        ("DEPTHWISE_CONV_2D", (24, 24, 8, 3, 3, 24, 24, 8, 1, 1, 1, 1), 9376, 9392),
        ("DEPTHWISE_CONV_2D", (48, 48, 16, 5, 5, 48, 48, 16, 1, 1, 2, 2), 32, 8512),
        ("DEPTHWISE_CONV_2D", (12, 12, 12, 3, 3, 12, 12, 12, 1, 1, 1, 1), 32, 7408),
        ("DEPTHWISE_CONV_2D", (12, 12, 3, 3, 3, 12, 12, 24, 1, 1, 1, 1), 1312, 1328),
        ("DEPTHWISE_CONV_2D", (12, 12, 3, 3, 3, 12, 12, 3, 1, 1, 1, 1), 32, 32),
        ("DEPTHWISE_CONV_2D", (12, 12, 16, 3, 3, 10, 10, 16, 1, 1, 0, 0), 160, 160),
        ("DEPTHWISE_CONV_2D", (13, 13, 16, 3, 3, 6, 6, 16, 2, 2, 0, 0), 3296, 3296),
    ],
)
def test_esp_nn_asks_for_as_much_as_its_source_says(
    verify: SimpleNamespace, operator: str, geometry: tuple[int, ...], in_2023: int, in_2026: int
) -> None:
    made = verify.esp_nn.Geometry(*geometry[:8], geometry[8:10], geometry[10:])
    formulas = verify.esp_nn.FORMULAS[operator]
    assert (formulas["2023"](made), formulas["2026"](made)) == (in_2023, in_2026)


@pytest.mark.parametrize(
    ("same", "strides", "out", "padding"),
    [(True, (1, 1), 24, 1), (True, (2, 2), 12, 0), (False, (1, 1), 22, 0)],
)
def test_padding_is_what_tflm_computes(
    verify: SimpleNamespace, same: bool, strides: tuple[int, int], out: int, padding: int
) -> None:
    shapes = [(1, 24, 24, 8), (8, 3, 3, 8), (1, out, out, 8)]
    made = make(verify, shapes, [("CONV_2D", (0, 1), (2,))], constants=[1], strides=strides, same=same)
    assert verify.esp_nn.geometry(made, made.operators[0]).padding == (padding, padding)


@pytest.mark.parametrize(
    ("operators", "asked"),
    [
        ([("SOFTMAX", (0,), (0,))], {0: (4 * 24,)}),
        ([("RELU", (0,), (0,))], {}),
        ([("CONV_2D", (0, 1), (0,))], {}),
        ([("CONV_2D", (0, -1), (0,))], {}),
        ([("CONV_2D", (0,), ())], {}),
        ([("CONV_2D", (), ())], {}),
    ],
    ids=["softmax", "relu", "no filter's shape", "no filter", "no output", "nothing"],
)
def test_of_what_is_no_convolution_esp_nn_asks_nothing(
    verify: SimpleNamespace, operators: list[Any], asked: dict[int, tuple[int, ...]]
) -> None:
    network = make(verify, [(1, 24, 24, 8), (8,)], operators)
    assert verify.esp_nn.requests(network, "2023") == asked


def test_scratch_of_the_boards_kernels_raises_the_bounds_and_not_the_hosts_figure(
    verify: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = [(1, 12, 12, 64), (64, 3, 3, 64), (1, 12, 12, 64)]
    network = make(verify, shapes, [("CONV_2D", (0, 1), (2,))], constants=[1], same=True)
    monkeypatch.setattr(verify.arena, "record", lambda content, network: verify.arena.Recording(18432, 1000))
    plain = verify.arena.measure(b"", network, "reference")
    assert (plain.bytes, plain.low, plain.high) == (19432, 18432 + 500, 19432)
    one, every = (verify.arena.measure(b"", network, kernels) for kernels in ("esp-nn 2023", "esp-nn"))
    scratch = next(buffer.bytes for buffer in one.buffers if buffer.scratch)
    assert (one.bytes, one.low, one.high) == (19432, 18432 + scratch + 500, 18432 + scratch + 1000)
    assert every.low == one.low
    assert every.high > one.high
    assert every.buffers == one.buffers


def test_a_file_of_velas_is_not_given_to_tflm(verify: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    network = make(verify, [(1, 64), (1, 64)], [("ETHOS_U", (0,), (1,))], plan=[0, 64])
    monkeypatch.delattr(verify.arena, "record")
    arena = verify.arena.measure(b"", network, "cmsis-nn")
    assert arena.activations == 128 + 16 + 16
    assert arena.low < arena.high == arena.bytes == arena.activations + arena.persistent
    assert arena.source.startswith("Vela's plan")
    assert not arena.problem


def test_a_plan_for_another_number_of_tensors_is_a_problem(verify: SimpleNamespace) -> None:
    network = make(verify, [(1, 64), (1, 64)], [("ETHOS_U", (0,), (1,))], plan=[0])
    assert verify.arena.measure(b"", network, "cmsis-nn").problem == "its plan has 1 offsets for 2 tensors"


@pytest.mark.parametrize(
    ("said", "code", "problem"),
    [
        (RECORDED, 0, ""),
        (
            "Didn't find op for builtin opcode 'NON_MAX_SUPPRESSION_V4'\nFailed to get registration from op code NON_M",
            3,
            "TFLM has no kernel for NON_MAX_SUPPRESSION_V4",
        ),
        ("Failed to get registration from op code CUSTOM\n \n", 3, "TFLM has no kernel for CUSTOM made"),
        (SHORT, 3, "an arena of 268,435,456 bytes is too small: TFLM asked for 285,212,672"),
        ("", -11, "TFLM crashed on it (SIGSEGV)"),
        ("\n\x1b[2Jtensor 3 is odd\nmore\n", 3, "TFLM could not allocate it: [2Jtensor 3 is odd"),
        ("", 3, "TFLM could not allocate it: exit code 3"),
    ],
)
def test_what_tflm_says_becomes_figures_or_one_line(
    verify: SimpleNamespace, said: str, code: int, problem: str
) -> None:
    network = make(verify, [(1, 64), (1, 64)], [("CUSTOM made", (0,), (1,))])
    recording = verify.arena.understand(said, code, network)
    assert recording.problem == problem
    assert (recording.head, recording.tail) == ((0, 0) if problem else (448576, 92368))


def test_a_recorder_that_cannot_start_is_our_own_bug(verify: SimpleNamespace) -> None:
    said = "Traceback (most recent call last):\nModuleNotFoundError: No module named 'tflite_micro'"
    with pytest.raises(RuntimeError, match="tflite_micro"):
        verify.arena.understand(said, 1, make(verify, [(1, 64)], [("RELU", (0,), (0,))]))


def test_a_larger_arena_is_tried_only_where_the_last_was_too_small(
    verify: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def run(argv: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        tried.append(int(argv[-1]))
        said, code = (SHORT, 3) if len(tried) == 1 else (RECORDED, 0)
        return subprocess.CompletedProcess(argv, code, b"", said.encode())

    monkeypatch.setattr(verify.arena.subprocess, "run", run)
    network = make(verify, [(1, 64), (1, 64)], [("RELU", (0,), (1,))])
    assert verify.arena.record(b"", network).head == 448576
    assert tried == list(verify.arena.ARENAS[:2])


def test_figures_are_our_own_where_tflm_has_none(verify: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify.arena, "record", lambda content, network: verify.arena.Recording(problem="crashed"))
    arena = verify.arena.measure(b"", make(verify, [(1, 64), (1, 64)], [("RELU", (0,), (1,))]), "reference")
    assert (arena.activations, arena.problem) == (128, "crashed")
    assert arena.source.startswith("our own")


@pytest.mark.skipif(not HIMAX.is_dir(), reason=f"no real models at {HIMAX}")
@pytest.mark.parametrize(
    ("file", "activations"),
    [
        ("yolov8n-pose_192_full_integer_quant.tflite", 448_576),  # as TFLM's recording allocator counts
        (
            "yolov8n-pose_192_full_integer_quant_vela.tflite",
            299_184 + 144,
        ),  # Vela's plan, and tables of the largest operator
    ],
)
def test_real_files_are_planned_as_tflm_plans_them(verify: SimpleNamespace, file: str, activations: int) -> None:
    network = verify.network.read_network(HIMAX / file)
    assert verify.planner.extent(verify.planner.plan(network)) == activations
