"""TFLite: constants as arrays by their tensor's name, everything else by its path in the schema (package `tflite`)."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import flatbuffers.table
import numpy as np
import tflite
import tflite_model
from operators import compare_sequences
from trees import compare_leaves, flatten
from values import Array, Found, compare_arrays

TYPES = {number: name.lower() for name, number in vars(tflite.TensorType).items() if isinstance(number, int)}
OPERATORS = {number: name for name, number in vars(tflite.BuiltinOperator).items() if isinstance(number, int)}
DTYPES = {
    "float32": "<f4", "float16": "<f2", "float64": "<f8", "int8": "i1", "int16": "<i2", "int32": "<i4", "int64": "<i8",
    "uint8": "u1", "uint16": "<u2", "uint32": "<u4", "uint64": "<u8", "bool": "?",
}  # fmt: skip
# Unions whose field is not called as their type is.
UNIONS = {"Details": "QuantizationDetails", "ArraySegments": "SparseIndexVector", "ArrayIndices": "SparseIndexVector"}
NO_FIELD = re.compile(r"_|Init$|GetRootAs|.*(Length|AsNumpy|IsNone|BufferHasIdentifier)$")


def compare_tflite(first: Path, second: Path) -> Found:
    """Compare two TFLite models: operators, constants, then quantisation, shapes, options, inputs and outputs."""
    networks = [read_network(path, f"the {which}") for path, which in ((first, "first"), (second, "second"))]
    lines = compare_sequences(*([name.partition(" ")[2] for name in network["operators"]] for network in networks))
    if lines:
        for network in networks:
            del network["operators"]
    constants = compare_arrays(*(network.pop("constants") for network in networks), "constants")
    (leaves, arrays), (other_leaves, other_arrays) = (flatten(network, expand) for network in networks)
    quantisation = compare_arrays(arrays, other_arrays, "scales and other vectors")
    lines += constants.lines + quantisation.lines + compare_leaves(leaves, other_leaves)
    return Found(lines, constants.tensors + quantisation.tensors)


def read_network(path: Path, name: str) -> dict[str, Any]:
    """A model's parts by name; buffers and the numbers of things are the file's layout, and left out."""
    content, _ = tflite_model.read_file(path, name)
    model = tflite.Model.GetRootAs(content, 0)
    network = fields(model, "Subgraphs", "Buffers", "OperatorCodes", "Metadata", "MetadataBuffer")
    network |= {"tensors": {}, "operators": {}, "constants": {}}
    for index in range(model.SubgraphsLength()):
        add_graph(network, model, model.Subgraphs(index), f"subgraph {index} " if index else "")
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        network["constants"][f"metadata {text(entry.Name())}"] = stored(model.Buffers(entry.Buffer()), "uint8", ())
    return network


def add_graph(network: dict[str, Any], model: Any, graph: Any, prefix: str) -> None:
    """Add a subgraph's tensors and operators, which bear its prefix."""
    tensors = [graph.Tensors(index) for index in range(graph.TensorsLength())]
    names = [prefix + text(tensor.Name()) for tensor in tensors]
    often = Counter(names)
    names = [name if often[name] == 1 else f"{name} ({index})" for index, name in enumerate(names)]
    for name, tensor in zip(names, tensors, strict=True):
        kind, buffer = TYPES.get(tensor.Type(), f"type {tensor.Type()}"), model.Buffers(tensor.Buffer())
        network["tensors"][name] = {"type": kind} | fields(tensor, "Name", "Type", "Buffer")
        if buffer.DataLength():
            shape = tuple(tensor.Shape(index) for index in range(tensor.ShapeLength()))
            network["constants"][name] = stored(buffer, kind, shape)
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        kind = operator_name(model.OperatorCodes(operator.OpcodeIndex()))
        own = fields(operator, "OpcodeIndex", "Inputs", "Outputs") | ends(operator, names)
        network["operators"][f"{prefix}{index} {kind}"] = own
    network[f"{prefix}graph"] = fields(graph, "Tensors", "Operators", "Inputs", "Outputs") | ends(graph, names)


def ends(table: Any, names: list[str]) -> dict[str, str]:
    """Which tensors a graph or an operator takes and gives; -1 stands for one that is left out."""
    used = {
        role: [names[index] if index >= 0 else "none" for index in numbers(table, role)]
        for role in ("Inputs", "Outputs")
    }
    return {role.lower(): ", ".join(tensors) for role, tensors in used.items()}


def numbers(table: Any, role: str) -> list[int]:
    """A vector of a table as a list."""
    return [getattr(table, role)(index) for index in range(getattr(table, f"{role}Length")())]


def operator_name(code: Any) -> str:
    """TFLite's name of an operator, or its custom code; and its version, if it is not the first."""
    # The schema kept an 8-bit field for old readers; codes above 127 stand in the newer one.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    name = text(code.CustomCode()) or OPERATORS.get(number, f"operator {number}")
    return name if code.Version() == 1 else f"{name} v{code.Version()}"


def stored(buffer: Any, kind: str, shape: tuple[int, ...]) -> Array:
    """A buffer as an array of its tensor's shape; flat where it holds more or less, and bytes where numpy lacks the type."""
    # A view: many tensors may share one large buffer.
    raw = buffer.DataAsNumpy() if buffer.DataLength() else np.empty(0, np.uint8)
    dtype = np.dtype(DTYPES.get(kind, "u1"))
    array = raw.view(dtype if raw.size % dtype.itemsize == 0 else "u1")
    return array.reshape(shape) if array.size == np.prod(shape, dtype=np.int64) else array


def expand(value: Any) -> Any:
    """A table as a dictionary of its fields, a string as text."""
    if isinstance(value, bytes):
        return text(value)
    return fields(value) if type(value).__module__.startswith("tflite.") else value


def fields(table: Any, *without: str) -> dict[str, Any]:
    """All fields of a table but some, by the schema's names in lower case; vectors of floats are arrays."""
    found = {}
    for name in vars(type(table)):
        if not NO_FIELD.match(name) and name not in without:
            key = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
            found[key] = field_of(table, name)
    return found


def field_of(table: Any, name: str) -> Any:
    """One field: a number, a string, a table, or what its vector holds."""
    if not hasattr(table, f"{name}Length"):
        value = getattr(table, name)()
        return option(table, name, value) if isinstance(value, flatbuffers.table.Table) else value
    items = numbers(table, name)
    if name == "CustomOptions" and items:
        return np.array(items, np.uint8)
    return np.array(items, np.float32) if items and all(isinstance(item, float) for item in items) else items


def option(table: Any, name: str, value: flatbuffers.table.Table) -> Any:
    """A union's table, whose class its type names; nothing where the schema here has no such type."""
    number = getattr(table, f"{name}Type")()
    kinds = {
        number: kind
        for kind, number in vars(getattr(tflite, UNIONS.get(name, name))).items()
        if isinstance(number, int)
    }
    if not number or number not in kinds:
        return None
    found = getattr(tflite, kinds[number])()
    found.Init(value.Bytes, value.Pos)
    return found


def text(value: bytes | None) -> str:
    """A string of the file."""
    return (value or b"").decode(errors="backslashreplace")
