"""ONNX: constants as arrays, everything else by its path in the protobuf."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from operators import compare_sequences
from trees import compare_leaves, flatten
from values import Found, compare_arrays


def compare_onnx(first: Path, second: Path) -> Found:
    """Compare two ONNX models: operators, then initialisers and other tensors, then attributes, metadata, opset, producer."""
    import onnx  # here, for the rest of the stage is tested where there is none

    models = [onnx.load(path, load_external_data=False) for path in (first, second)]
    lines = compare_sequences(*([node.op_type for node in model.graph.node] for model in models))
    if lines:
        for model in models:
            del model.graph.node[:]
    constants = [
        {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer} for model in models
    ]
    found = compare_arrays(*constants, "initialisers")
    for model in models:
        del model.graph.initializer[:]
    (leaves, tensors), (other_leaves, other_tensors) = (flatten(model, expand) for model in models)
    attributes = compare_arrays(tensors, other_tensors, "tensors in nodes")
    lines += found.lines + attributes.lines + compare_leaves(leaves, other_leaves)
    return Found(lines, found.tensors + attributes.tensors)


def expand(value: Any) -> Any:
    """A protobuf message as a dictionary of the fields that it has, a tensor as an array, bytes as text."""
    from onnx import TensorProto, numpy_helper

    if isinstance(value, TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if hasattr(value, "ListFields"):
        return {field.name: item for field, item in value.ListFields()}
    if hasattr(value, "MergeFrom"):  # a repeated field
        return by_name(list(value))
    return value


def by_name(items: Sequence[Any]) -> Any:
    """Messages by their name or key, if each has one of its own; as they are otherwise."""
    names = [getattr(item, "name", "") or getattr(item, "key", "") for item in items]
    return dict(zip(names, items, strict=True)) if all(names) and len(set(names)) == len(names) else items
