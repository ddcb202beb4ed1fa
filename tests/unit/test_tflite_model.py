"""The one door for .tflite files: its schema is the package's, and what it refuses has a name."""

from __future__ import annotations

import faulthandler
import inspect
import os
import re
import signal
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import tflite
from stage_modules import imported
from tflite_maker import IMAGE, NPU, Made, Node, Sketch, tflite_file

KINDS = {
    "Bool": "?",
    "Int8": "b",
    "Uint8": "B",
    "Uint16": "H",
    "Int32": "i",
    "Uint32": "I",
    "Int64": "q",
    "Uint64": "Q",
    "Float32": "f",
}
OUT = Made("out", (1, 8))
CONSTANT = Made("filter", (4, 4), data=b"sixteen constant")


@pytest.fixture(scope="module")
def verify() -> Iterator[SimpleNamespace]:
    """The modules under test."""
    with imported(("stage", "tflite_schema", "tflite_model", "network", "isolation"), "verify") as modules:
        yield modules


def fields(name: str) -> list[str]:
    """The kind of each field of a table, as the package's generated reader reads it; `-` for one that is gone."""
    found = {}
    for method in vars(getattr(tflite, name)).values():
        source = inspect.getsource(method) if inspect.isfunction(method) else ""
        slot = re.search(r"Offset\((\d+)\)", source)
        if not slot or method.__name__.endswith(("Length", "AsNumpy", "IsNone")):
            continue
        number = re.search(r"Get\(\s*flatbuffers.number_types.(\w+)Flags", source)
        table = re.search(r"from tflite.(\w+) import", source)
        kind = KINDS[number[1]] if number else "text" if "String(" in source else table[1] if table else "<"
        found[(int(slot[1]) - 4) // 2] = f"[{kind}]" if ".Vector(" in source else kind
    return [found.get(slot, "-") for slot in range(max(found, default=-1) + 1)]


def test_the_schema_is_that_of_the_package(verify: SimpleNamespace) -> None:
    model = verify.tflite_model
    for name, known in model.FIELDS.items():
        assert [kind[:1] if kind.startswith("<") else kind for _, kind in known] == fields(name), name
    for union, kinds in model.OPTIONS.items():
        for name, number in vars(getattr(tflite, union)).items():
            if isinstance(number, int) and number:
                assert [kind for _, kind in kinds.get(number, [])] == fields(name), name
    types = {number: name.lower() for name, number in vars(tflite.TensorType).items() if isinstance(number, int)}
    assert {number: name for number, (name, _) in verify.tflite_schema.TYPES.items()}.items() <= types.items()


def made(*tensors: Made, node: Node | None = None, inputs: tuple[int, ...] = (0,), **options: Any) -> bytes:
    """A file of one operator; its last tensor is its output."""
    last = len(tensors) - 1
    return tflite_file(tensors, [node or Node("LOGISTIC", (0,), (last,))], inputs, (last,), **options)


def straying(file: bytes) -> bytes:
    """The file, whose first field lies where its root table ends."""
    content = bytearray(file)
    (root,) = struct.unpack_from("<I", content)
    vtable = root - struct.unpack_from("<i", content, root)[0]
    content[vtable + 4 : vtable + 6] = content[vtable + 2 : vtable + 4]
    return bytes(content)


def beginningless(file: bytes) -> bytes:
    """The file, whose root table says that its fields are told of 8 bytes before the file, which Python takes for its end."""
    (root,) = struct.unpack_from("<I", file)
    return file[:root] + struct.pack("<i", root + 8) + file[root + 4 :]


REFUSED = {
    "a command stream without one": (made(IMAGE, OUT, node=Node(NPU, (), (1,))), "(ETHOS_U) lacks inputs"),
    "a stream that is left out": (made(IMAGE, OUT, node=Node(NPU, (-1,), (1,))), "(ETHOS_U) lacks inputs"),
    "no operators": (tflite_file((IMAGE, OUT), [], (0,), (1,)), "no operators in it"),
    "an operator without outputs": (
        made(IMAGE, OUT, node=Node("LOGISTIC", (0,), ())),
        "(LOGISTIC) lacks inputs or outputs",
    ),
    "no filter": (made(IMAGE, OUT, node=Node("CONV_2D", (0,), (1,))), "(CONV_2D) lacks inputs"),
    "a filter left out": (made(IMAGE, OUT, node=Node("CONV_2D", (0, -1), (1,))), "(CONV_2D) lacks inputs"),
    "no stride": (made(IMAGE, CONSTANT, OUT, node=Node("CONV_2D", (0, 1), (2,), (1, 0))), "strides of 1, 0"),
    "another's options": (
        made(IMAGE, CONSTANT, OUT, node=Node("CONV_2D", (0, 1), (2,), (1, 1), "DEPTHWISE_CONV_2D")),
        "options of another",
    ),
    "an output that is left out": (made(IMAGE, OUT, node=Node("LOGISTIC", (0,), (-1,))), "names tensor -1 of 2"),
    "an input that is not there": (made(IMAGE, OUT, node=Node("LOGISTIC", (2,), (1,))), "names tensor 2 of 2"),
    "a graph's input that is not there": (made(IMAGE, OUT, inputs=(7,)), "names tensor 7 of 2"),
    "a negative dimension": (made(IMAGE, replace(OUT, shape=(1, -1))), "negative dimension"),
    "an overflowing shape": (made(IMAGE, replace(OUT, shape=(2**31 - 1,) * 4)), "at most 1,073,741,824 are read"),
    "an overflow behind a 0": (
        made(IMAGE, replace(OUT, shape=(0, *(2**31 - 1,) * 2))),
        "at most 1,073,741,824 are read",
    ),
    "nine dimensions": (made(IMAGE, replace(OUT, shape=(1,) * 9)), "9 dimensions"),
    "a short constant": (made(IMAGE, replace(CONSTANT, shape=(5, 4)), OUT), "takes 20 bytes, and its constant has 16"),
    "more scales than zero points": (made(IMAGE, replace(OUT, scales=(0.1, 0.1))), "2 scales and 1 zero points"),
    "a scale that is no number": (made(IMAGE, replace(OUT, scales=(float("inf"),))), "a scale that is no number"),
    "a zero point out of range": (made(IMAGE, replace(OUT, zero_points=(2**62,))), "outside of -128 to 127"),
    "scales of no dimension": (
        made(IMAGE, replace(OUT, shape=(), scales=(1, 1), zero_points=(0, 0))),
        "dimension 0 of 0",
    ),
    "a name without an end": (made(IMAGE, OUT).replace(b"image\0", b"image!"), "without an end"),
    "an offset behind the end": (b"\xff\xff\xff\x7f" + made(IMAGE, OUT)[4:], "behind its end"),
    "a constant behind the end": (
        made(IMAGE, CONSTANT, OUT).replace(
            struct.pack("<I", 16) + CONSTANT.data, struct.pack("<I", 1 << 20) + CONSTANT.data
        ),
        "1,048,576 × 1 bytes at byte",
    ),
    "a table whose fields lie before the file": (beginningless(made(IMAGE, OUT)), "without a beginning"),
    "a field outside of its table": (straying(made(IMAGE, OUT)), "with a field outside of it"),
    "a plan cut short": (made(IMAGE, OUT, plan=struct.pack("<3i", 1, 0, 5)), "plan of the arena is cut short"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_contract_cannot_be_asked_of_is_refused_by_name(verify: SimpleNamespace, name: str) -> None:
    content, fact = REFUSED[name]
    with pytest.raises(verify.stage.Refused) as refused:
        verify.network.parse(content, "model.tflite")
    assert fact in str(refused.value)
    assert str(refused.value).startswith("model.tflite: ")
    assert refused.value.hint


# What flatbuffers' own writer does not write, as changes to a file's tables.
TABLES: dict[str, tuple[Callable[[Any], object], str]] = {
    "constants behind the tables": (lambda model: model["buffers"][0].update(offset=4096, size=16), "2 GB"),
    "metadata of no buffer": (lambda model: model.update(metadata=[{"name": "x", "buffer": 9}]), "names buffer 9 of"),
    "a signature of no graph": (
        lambda model: model["signature_defs"].append(signature(graph=1)),
        "names subgraph 1 of 1",
    ),
    "a signature of no input": (
        lambda model: model["signature_defs"].append(signature(tensor=2)),
        "names tensor 2 of 2",
    ),
    "an operator of no kind": (lambda model: model["operator_codes"].clear(), "names operator code 0 of 0"),
    "a left-out graph input": (lambda model: model["subgraphs"][0].update(inputs=(-1,)), "names tensor -1 of 2"),
}


def signature(graph: int = 0, tensor: int = 0) -> dict[str, Any]:
    """A signature of one input."""
    one = {"name": "image", "tensor_index": tensor}
    return {"signature_key": "serving", "subgraph_index": graph, "inputs": [one], "outputs": []}


@pytest.mark.parametrize("name", TABLES)
def test_what_tables_say_of_each_other_is_checked(verify: SimpleNamespace, name: str) -> None:
    change, fact = TABLES[name]
    model = verify.tflite_model.read(made(IMAGE, OUT), "model.tflite")
    change(model)
    with pytest.raises((verify.tflite_model.Damaged, verify.tflite_model.Excessive), match=fact):
        verify.tflite_model.check(model)


@pytest.mark.parametrize(
    ("name", "value"),
    [("TABLES_MAX", 10), ("ITEMS_MAX", 20), ("TEXT_BYTES_MAX", 20), ("CONSTANT_BYTES_MAX", 100), ("COUNT_MAX", 3)],
)
def test_a_budget_is_refused_by_what_exceeds_it(
    verify: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    monkeypatch.setattr(verify.tflite_model, name, value)
    with pytest.raises(verify.stage.Refused, match=r"in it|are read"):
        verify.network.parse(Sketch().file(), "model.tflite")


def test_too_many_tensors_and_too_large_a_file_are_refused(
    verify: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(Sketch().file())
    monkeypatch.setattr(verify.tflite_model, "FILE_BYTES_MAX", 100)
    with pytest.raises(verify.stage.Refused, match="at most 100 are read"):
        verify.network.read_network(path)
    monkeypatch.setitem(verify.tflite_model.COUNTS_MAX, "[Tensor]", 3)
    with pytest.raises(verify.stage.Refused, match="tables Tensor in it; at most 3 are read"):
        verify.network.parse(Sketch().file(), "model.tflite")


def test_a_file_of_the_most_operators_is_planned_in_seconds(verify: SimpleNamespace) -> None:
    most = verify.tflite_model.COUNTS_MAX["[Operator]"]
    tensors = [Made(str(number), (1, 8)) for number in range(most)]
    nodes = [Node("LOGISTIC", (number,), (number + 1,)) for number in range(most - 1)]
    network = verify.network.parse(tflite_file(tensors, nodes, (0,), (most - 1,)), "model.tflite")
    start = time.process_time()
    with imported(("stage", "tflite_schema", "tflite_model", "network", "planner"), "verify") as again:
        again.planner.plan(network)
    assert time.process_time() - start < 30


# --- what runs in a process of its own ----------------------------------------------------------------------------------------


def _killed(number: int) -> None:
    # pytest's would print where, among the dots.
    faulthandler.disable()
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("number", "text"),
    [(signal.SIGSEGV, "crashed on it (SIGSEGV)"), (signal.SIGKILL, "was killed, perhaps for want of memory")],
)
def test_a_process_that_dies_is_told(verify: SimpleNamespace, number: int, text: str) -> None:
    with pytest.raises(verify.isolation.Crashed) as crash:
        verify.isolation.run_isolated(_killed, number)
    assert str(crash.value) == text


def test_a_process_that_does_not_end_is_ended(verify: SimpleNamespace) -> None:
    with pytest.raises(verify.isolation.Crashed, match=r"was not done after 0\.2 s"):
        verify.isolation.run_isolated(time.sleep, 60, patience_s=0.2)


def test_an_answer_and_an_error_come_back(verify: SimpleNamespace) -> None:
    assert verify.isolation.run_isolated(len, "four") == 4
    with pytest.raises(ValueError, match="invalid literal"):
        verify.isolation.run_isolated(int, "x")
