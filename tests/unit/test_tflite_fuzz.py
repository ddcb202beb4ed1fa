"""Any change to a valid .tflite file gives an answer or one clear refusal: its reader, and all behind that needs no interpreter."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import tflite
from bounds import bounded
from compare_stage import compare
from contract_stage import FACTS, MODULES
from hypothesis import given
from hypothesis import strategies as st
from mutations import edited, edits
from stage_modules import imported
from tflite_maker import NPU, Made, Node, Sketch, decoded, detect, tflite_file

from edgewright.text import visible

__all__ = ["compare"]  # a fixture

ASSETS = Path(__file__).parents[3] / "shared" / "assets"
NAMES = (*MODULES, "isolation", "planner", "esp_nn", "arena", "speed")
DEVICE = {"ms_per_mmac": [1, 2], "notes": []}
Changed = dict[str, st.SearchStrategy[bytes]]
SECONDS = 10  # the largest file that the budgets allow takes a few


@pytest.fixture(scope="module")
def verify() -> Iterator[SimpleNamespace]:
    """The modules under test; TFLM, which they ask for the arena, is in a process of its own, and not here."""
    with imported(NAMES, "verify") as modules:
        modules.arena.record = lambda *_: modules.arena.Recording(problem="not tried")
        yield modules


@pytest.fixture(scope="module")
def vela() -> Iterator[SimpleNamespace]:
    """The stage that hands a file to Vela; of Vela itself it takes the operators' names, which `tflite` has too."""
    names = ["ethosu", "ethosu.vela", "ethosu.vela.tflite", "ethosu.vela.tflite.BuiltinOperator"]
    sys.modules.update({name: ModuleType(name) for name in names})
    sys.modules[names[-1]].BuiltinOperator = tflite.BuiltinOperator  # type: ignore[attr-defined]
    with imported(("stage", "tflite_schema", "tflite_model", "main"), "vela") as modules:
        yield modules
    for name in names:
        del sys.modules[name]


def small() -> bytes:
    """A file with all that the modules under test look at, and little else."""
    tensors = [
        Made("image", (1, 32, 32, 3), scales=(1 / 255,), zero_points=(-128,)),
        Made("filter", (8, 3, 3, 3), scales=(0.1,) * 8, zero_points=(0,) * 8, data=bytes(216)),
        Made("between", (1, 16, 16, 8)),
        Made("deep", (1, 3, 3, 8), data=bytes(72)),
        Made("axes", (2,), "int32", data=struct.pack("<2i", 1, 2)),
        Made("mean", (1, 8)),
        Made("weights", (4, 8), data=bytes(32)),
        Made("out", (1, 4)),
    ]
    nodes = [
        Node("CONV_2D", (0, 1, -1), (2,), (2, 2)),
        Node("DEPTHWISE_CONV_2D", (2, 3, -1), (2,), (1, 1)),
        Node("MEAN", (2, 4), (5,)),
        Node("FULLY_CONNECTED", (5, 6, -1), (7,)),
        Node("SOFTMAX", (7,), (7,)),
    ]
    return tflite_file(tensors, nodes, (0,), (7,))


def compiled() -> bytes:
    """A file as Vela leaves it, with its plan of the arena."""
    tensors = [
        Made("image", (1, 32, 32, 3)),
        Made("stream", (32,), "uint8", data=b"COP1" + bytes(28)),
        Made("out", (1, 8)),
    ]
    plan = struct.pack("<6i", 1, 0, 3, 0, -1, 4096)
    return tflite_file(tensors, [Node(NPU, (1, 0), (2,))], (0,), (2,), plan=plan)


SEEDS = {
    "small": small(),
    "compiled": compiled(),
    "pose": Sketch().file(),
    "detect": Sketch(detect()).file(),
    "decoded": Sketch(decoded(), operators=("CONV_2D", "FULLY_CONNECTED", "MEAN")).file(),
    **{path.stem: path.read_bytes() for path in sorted(ASSETS.glob("*/*.tflite"))},
}


# What is written over a number, of which it takes as many bytes as that has; the last four are not finite, or hardly, as a float.
VALUES = [0, 1, 2, 3, 4, 7, 32, 127, 128, 256, -1, -2, -128, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63)]
VALUES += [0x7FC00000, 0x7F800000, 0xFF800000, 0x7F7FFFFF]


def numbers(model: Any, file: bytes) -> list[tuple[int, int]]:
    """Where the numbers of a file's tables stand, and how many bytes each has; of a vector the first few."""
    found = []

    class Places(model._Reader):  # type: ignore[misc]
        def _value(self, kind: str, place: int, chosen: int) -> Any:
            value = super()._value(kind, place, chosen)
            inner = kind.strip("[]")
            if place and inner in set("bBHhiIqQf?"):
                size = struct.calcsize(f"<{inner}")
                start, count = (place, 1) if inner == kind else self._extent(place, 0)
                found.extend((start + size * index, size) for index in range(min(count, 3)))
            return value

    Places(file).model()
    return found


def renumbered(file: bytes, changes: list[tuple[tuple[int, int], int]]) -> bytes:
    """The file with other numbers in it, and all its offsets as they were."""
    content = bytearray(file)
    for (start, size), value in changes:
        content[start : start + size] = (value % 2**64).to_bytes(8, "little")[:size]
    return bytes(content)


@pytest.fixture(scope="module")
def changed(verify: SimpleNamespace) -> Changed:
    """Changes to each seed: to any bytes but those of constants, of which the last decide something; and to numbers alone.

    Most of the first kind end at an offset that leads astray; what is behind the offsets meets the second.
    """

    def places(file: bytes) -> list[int]:
        inside = bytearray(len(file))
        for buffer in verify.tflite_model.read(file, "seed")["buffers"]:
            start, count = buffer["data"].start, max(0, buffer["data"].count - 32)
            inside[start : start + count] = b"\1" * count
        return [place for place, constant in enumerate(inside) if not constant]

    def changes(file: bytes) -> st.SearchStrategy[bytes]:
        values = st.tuples(st.sampled_from(numbers(verify.tflite_model, file)), st.sampled_from(VALUES))
        other_numbers = st.builds(renumbered, st.just(file), st.lists(values, min_size=1, max_size=4))
        return st.builds(edited, st.just(file), edits(4), st.just(places(file))) | other_numbers

    return {name: changes(file) for name, file in SEEDS.items()}


@contextmanager
def refusal(stage: Any) -> Iterator[list[str]]:
    """Take a refusal, which is one line with a hint, for an answer; yield where its text will be."""
    texts: list[str] = []
    try:
        yield texts
    except stage.Refused as refused:
        texts.append(str(refused))
        hint = refused.hint
    if texts:
        assert hint
        assert texts[0] == visible(texts[0])


def answer(verify: SimpleNamespace, content: bytes) -> None:
    """Ask all that a contract is made of; a refusal is an answer too."""
    with refusal(verify.stage) as refused:
        network = verify.network.parse(content, "model.tflite")
    if refused:
        return
    side = verify.acceptance.side(network)
    heads = verify.heads.recognise(side, [tensor.shape for tensor in network.outputs])
    said: list[Any] = [verify.speed.speed(network, None, DEVICE)]
    for kernels in {facts["kernels"] for facts in FACTS.values()}:
        arena = verify.arena.measure(content, network, kernels)
        said.append(asdict(arena))
        for facts in (facts for facts in FACTS.values() if facts["kernels"] == kernels):
            checks = verify.contract.check(network, heads, facts, arena, content)
            assert all(check.text == visible(check.text) for check in checks)
            said += [verify.contract.summary(checks, network, facts), *map(asdict, checks)]
    json.dumps(said, allow_nan=False)


@pytest.mark.parametrize("name", SEEDS)
def test_a_valid_file_is_answered(verify: SimpleNamespace, vela: SimpleNamespace, name: str, tmp_path: Path) -> None:
    verify.network.parse(SEEDS[name], name)
    answer(verify, SEEDS[name])
    (tmp_path / "model.tflite").write_bytes(SEEDS[name])
    assert vela.main.check(tmp_path / "model.tflite")


@pytest.mark.parametrize("name", SEEDS)
@given(data=st.data())
def test_any_change_to_a_file_is_answered_or_refused(
    verify: SimpleNamespace, changed: Changed, name: str, data: st.DataObject
) -> None:
    content = data.draw(changed[name])
    with bounded(SECONDS):
        answer(verify, content)


@pytest.mark.parametrize("name", ["small", "compiled", "pose"])
@given(data=st.data())
def test_any_change_is_told_by_compare_or_refused(
    changed: Changed, compare: SimpleNamespace, name: str, data: st.DataObject, tmp_path: Path
) -> None:
    content = data.draw(changed[name])
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(SEEDS[name])
    second.write_bytes(content)
    with bounded(SECONDS):
        with refusal(compare.stage) as refused:
            json.dumps([asdict(tensor) for tensor in compare.tflite_files.compare_tflite(first, second).tensors])
        assert not refused or refused[0].startswith("the second: ")


@pytest.mark.parametrize("name", ["small", "compiled"])
@given(data=st.data())
def test_any_change_is_counted_for_vela_or_refused(
    changed: Changed, vela: SimpleNamespace, name: str, data: st.DataObject, tmp_path: Path
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(data.draw(changed[name]))
    with bounded(SECONDS), refusal(vela.stage):
        vela.main.check(path)


SIDES = st.sampled_from([1, 1, 1, 2, 3, 4, 8, 16, 32, 64, 65, 336])
KINDS = [name.lower() for name, number in vars(tflite.TensorType).items() if isinstance(number, int)]
OPERATORS = [
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "SOFTMAX",
    "MEAN",
    "SUM",
    "TRANSPOSE_CONV",
    "RESHAPE",
    NPU,
]
SOUND = st.builds(
    Made,
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    (st.lists(SIDES, min_size=3, max_size=4) | st.lists(SIDES, max_size=3)).map(tuple),
    st.sampled_from(["int8", "int8", "int8", "int16", "int32", "float32"]),
    st.sampled_from([(), (0.1,), (0.0,), (3e38,), (-1.0,)]),
    st.sampled_from([(0,), (-128,), (127,)]),
    st.just(b""),
)
WILD = st.sampled_from(
    [
        {"shape": (1, 0, 2**31 - 1, 2**31 - 1)},
        {"shape": (2**15, 2**14)},
        {"shape": (1,) * 9},
        {"shape": (1, -1)},
        {"scales": (float("nan"),)},
        {"scales": (0.1, 0.2)},
        {"scales": (0.1, 0.2), "zero_points": (0, 0)},
        {"zero_points": (2**63 - 1,)},
        {"data": b"COP1\1" + bytes(60)},
        {"data": bytes(1)},
        *({"type": kind} for kind in KINDS),
    ]
)


@st.composite
def hostile(draw: st.DrawFn) -> bytes:
    """A file that is well formed, and whose tables say anything of each other; few of them what cannot be."""
    rarely = st.integers(0, 15).map(lambda chance: chance == 0)
    tensors = [
        replace(one, **draw(WILD)) if draw(rarely) else one for one in draw(st.lists(SOUND, min_size=1, max_size=8))
    ]
    good = st.lists(st.integers(0, len(tensors) - 1), min_size=1, max_size=8).map(tuple)
    wild = st.lists(st.integers(-2, len(tensors)) | st.sampled_from([2**31 - 1, -(2**31)]), max_size=8).map(tuple)
    indices = rarely.flatmap(lambda chance: wild if chance else good)
    stride = st.sampled_from([1, 1, 1, 2, 3, 2**31 - 1, 0, -1])
    nodes = st.builds(
        Node,
        st.sampled_from(OPERATORS),
        indices,
        indices,
        st.none() | st.tuples(stride, stride),
        st.sampled_from(["", "", "", "DEPTHWISE_CONV_2D"]),
    )
    plan = st.lists(st.sampled_from([-(2**31), -2, -1, 0, 1, 3, 8, 4096, 2**31 - 1]), max_size=8)
    return tflite_file(
        tensors,
        draw(st.lists(nodes, min_size=1, max_size=6)),
        draw(indices),
        draw(indices),
        plan=draw(plan.map(lambda words: struct.pack(f"<{len(words)}i", *words))) if draw(rarely) else b"",
    )


@given(content=hostile())
def test_whatever_tables_say_of_each_other_is_answered_or_refused(verify: SimpleNamespace, content: bytes) -> None:
    with bounded(SECONDS):
        answer(verify, content)
