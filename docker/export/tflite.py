"""What a .tflite file has inside, and what is changed in it: its outputs' order and names, in place, and its alignment.

In place, because packing a flatbuffer anew with the Python library takes its own way with everything else. Schema:
tensorflow/lite/schema/schema.fbs of TensorFlow 2.13.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

TYPES = {getattr(schema.TensorType, name): name.lower() for name in ("FLOAT32", "INT8", "INT32", "UINT8")}
OPERATORS = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
IDENTITY = "Identity"  # TensorFlow's name of a function's first result; the others are Identity_1, Identity_2, …
NAME_FIELD = 10  # vtable offset of Tensor.name


def put_outputs_in_order(file: bytearray, found: Sequence[str], wanted: Sequence[str]) -> None:
    """Make the file's outputs those of `wanted`, in that order and under these names.

    `found` are the names of the converted function's results, in its order: the k-th is the tensor Identity_k,
    wherever the converter put it. Names must not be longer than `Identity`.
    """
    if sorted(found) != sorted(wanted):
        raise RuntimeError(f"outputs {sorted(found)} were converted, {sorted(wanted)} are wanted")
    graph = schema.Model.GetRootAs(file).Subgraphs(0)
    outputs = graph.OutputsAsNumpy()  # a view of the file
    tensor_of = {graph.Tensors(int(index)).Name().decode(): int(index) for index in outputs}
    result_of = {name: IDENTITY if k == 0 else f"{IDENTITY}_{k}" for k, name in enumerate(found)}
    if sorted(tensor_of) != sorted(result_of.values()):
        raise RuntimeError(f"the file's outputs are {sorted(tensor_of)}, not {sorted(result_of.values())}")
    indices = [tensor_of[result_of[name]] for name in wanted]
    outputs[:] = indices
    for name, index in zip(wanted, indices, strict=True):
        rename(file, graph.Tensors(index), name)


def aligned(file: bytes, scratch: Path) -> bytes:
    """Move constant data to multiples of 16 bytes, as the schema promises and kernels with vector instructions rely on.

    TensorFlow's converter leaves three of four of them elsewhere; TFLM's own tool packs the file anew. `scratch` is written to.
    """
    from tflite_micro.tensorflow.lite.micro.tools import tflite_flatbuffer_align_wrapper as wrapper

    scratch.write_bytes(file)
    wrapper.align_tflite_model(str(scratch), str(scratch))
    return scratch.read_bytes()


def rename(file: bytearray, tensor: Any, name: str) -> None:
    """Overwrite a tensor's name with one that is not longer: length, text, zeros."""
    table = tensor._tab
    start = table.Pos + table.Offset(NAME_FIELD)
    start += int(flatbuffers.encode.Get(flatbuffers.packer.uoffset, file, start))
    length = int(flatbuffers.encode.Get(flatbuffers.packer.uoffset, file, start))
    text = name.encode()
    if len(text) > length:
        raise RuntimeError(f"'{name}' does not fit in place of {tensor.Name()!r}")
    file[start : start + 4 + length] = len(text).to_bytes(4, "little") + text.ljust(length, b"\0")


def describe(file: bytes) -> dict[str, Any]:
    """Inputs and outputs (name, shape, type, scale, zero point) and how often each operator occurs."""
    model = schema.Model.GetRootAs(file)
    if model.SubgraphsLength() != 1:
        raise RuntimeError(f"{model.SubgraphsLength()} subgraphs, not 1")
    graph = model.Subgraphs(0)
    codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
    names = [OPERATORS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())] for code in codes]
    operators = Counter(names[graph.Operators(index).OpcodeIndex()] for index in range(graph.OperatorsLength()))
    return {
        "inputs": tensor_rows(graph, graph.InputsAsNumpy()),
        "outputs": tensor_rows(graph, graph.OutputsAsNumpy()),
        "operators": dict(sorted(operators.items())),
    }


def tensor_rows(graph: Any, indices: Iterable[int]) -> list[dict[str, Any]]:
    """One row a tensor; scale and zero point only where it is quantised."""
    rows = []
    for index in indices:
        tensor = graph.Tensors(int(index))
        row = {
            "name": tensor.Name().decode(),
            "shape": tensor.ShapeAsNumpy().tolist(),
            "type": TYPES.get(tensor.Type(), str(tensor.Type())),
        }
        quantization = tensor.Quantization()
        if quantization is not None and quantization.ScaleLength():
            row["scale"] = float(np.float32(quantization.Scale(0)))
            row["zero_point"] = int(quantization.ZeroPoint(0))
        rows.append(row)
    return rows
