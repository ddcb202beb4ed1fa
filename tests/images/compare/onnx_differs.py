"""What the compare stage says of two ONNX models whose differences are known, and that a request goes through as a whole.

Run by the Python of the compare environment, with docker/ on PYTHONPATH:
    python tests/images/compare/onnx_differs.py
One line for each thing that must be so. Exit code 1: something is not as it must be.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import stage
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(stage.__file__).with_name("compare")))
from main import main

ONE = np.ones((4, 3, 3, 3), np.float32)
NEXT = np.nextafter(np.float32(1), np.float32(2))


def check(folder: Path) -> Iterator[tuple[str, bool]]:
    """Each thing that must be so."""
    first, second = model(), model(date="tomorrow", opset=18, producer="other", stride=2, constant=NEXT)
    yield (
        "attributes, metadata, opset, producer",
        said(folder, first, second)
        == [
            "graph.node[/c].attribute.value.t: 1 of 1 values (float32) differ, by up to 1 unit in the last place (1.19e-07)",
            'producer_name: "pytorch" → "other"',
            "graph.node[/0/conv].attribute.strides.ints: [1, 1] → [2, 2]",
            "opset_import[0].version: 17 → 18",
            'metadata_props.date.value: "today" → "tomorrow"',
        ],
    )
    weights = ONE.copy()
    weights[0, 0, 0, :2] = NEXT
    line = "w: 2 of 108 values (float32) differ, by up to 1 unit in the last place (1.19e-07)"
    yield "initialisers", said(folder, first, model(weights)) == [line]
    yield (
        "initialisers' types",
        said(folder, first, model(ONE.astype(np.float16))) == ["w: float32 [4, 3, 3, 3] → float16 [4, 3, 3, 3]"],
    )
    yield (
        "operators",
        said(folder, first, model(operator="Sigmoid"))
        == [
            "operators: 3 → 3: Relu 1 → 0, Sigmoid 0 → 1",
            "operators: the first that differs is number 1: Relu → Sigmoid",
        ],
    )
    yield "a damaged file", said(folder, first, first[:-9])[0].startswith("cannot be read as onnx: ")
    yield "the same", said(folder, first, first) == ["identical"]


def said(folder: Path, *contents: bytes) -> list[str]:
    """The summary that the stage writes of two files."""
    paths: dict[str, Path] = {}
    for role, content in zip(("first", "second"), contents, strict=True):
        paths[role] = folder / role / "model.onnx"
        paths[role].parent.mkdir(exist_ok=True)
        paths[role].write_bytes(content)
    main(stage.Request(folder, paths, {}))
    summary: list[str] = json.loads((folder / "difference.json").read_text())["summary"]
    print(*summary, sep="\n")
    return summary


def model(
    weights: Any = ONE,
    operator: str = "Relu",
    stride: int = 1,
    constant: Any = 1.0,
    date: str = "today",
    opset: int = 17,
    producer: str = "pytorch",
) -> bytes:
    """A file of three nodes and one initialiser."""
    value = numpy_helper.from_array(np.array([constant], np.float32))
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"], name="/0/conv", strides=[stride, stride]),
        helper.make_node(operator, ["y"], ["z"], name="/0/act"),
        helper.make_node("Constant", [], ["c"], name="/c", value=value),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 8, 8]) for name in "xz"]
    graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], [numpy_helper.from_array(weights, "w")])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name=producer)
    helper.set_model_props(made, {"date": date, "task": "pose"})
    return bytes(made.SerializeToString())


if __name__ == "__main__":
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        for text, holds in check(Path(scratch)):
            print(f"{text}: {'agree;' if holds else 'DIFFER'}", flush=True)
            failed += not holds
    sys.exit(int(failed > 0))
