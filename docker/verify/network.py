"""What a .tflite file has inside, as far as the contract asks: tensors, operators, Vela's plan of the arena; read, never run."""

from __future__ import annotations

import math
import struct
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from stage import Refused
from text import visible
from tflite import BuiltinOperator
from tflite_model import Span, Table, builtin_code, read, read_file
from tflite_schema import CONV_2D_OPTIONS, DEPTHWISE_CONV_2D_OPTIONS, TYPES

OPERATOR_NAMES = {value: name for name, value in vars(BuiltinOperator).items() if not name.startswith("_")}
TYPE_BYTES = {"float32": 4, "int8": 1, "uint8": 1, "int16": 2, "int32": 4, "int64": 8, "bool": 1, "float16": 2}
NPU = "ETHOS_U"  # what the firmware's resolver calls the custom operator that holds a command stream
NPU_CODE = "ethos-u"
# Metadata: version, subgraph, count, then an offset a tensor (TFLM memory_management.md).
PLAN = "OfflineMemoryAllocation"
CONVOLUTIONS = {"CONV_2D": CONV_2D_OPTIONS, "DEPTHWISE_CONV_2D": DEPTHWISE_CONV_2D_OPTIONS}
# How many inputs an operator has at least, of those whose inputs are looked at: an image and a filter, a command stream.
INPUTS = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, NPU: 1}


@dataclass(frozen=True)
class Tensor:
    """One tensor. `offset` and `stored` say where in the file its constant bytes lie, both 0 if it has none."""

    index: int
    name: str
    shape: tuple[int, ...]
    type: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    offset: int = 0
    stored: int = 0

    @property
    def bytes(self) -> int:
        """How many bytes its values take."""
        return math.prod(self.shape) * TYPE_BYTES.get(self.type, 4)


@dataclass(frozen=True)
class Operator:
    """One operator in the order of running; -1 among its inputs stands for one that is left out."""

    index: int
    name: str  # TFLite's name, ETHOS_U, or CUSTOM <code>
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    strides: tuple[int, int] = (1, 1)  # height, width; of convolutions
    same: bool = False  # padding SAME; of convolutions


@dataclass(frozen=True)
class Network:
    """The first subgraph of a file, in the file's own order."""

    name: str
    size: int
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    plan: tuple[int, ...] = field(default=())  # Vela's: the arena offset of each tensor, -1 where it has none

    @property
    def compiled(self) -> bool:
        """Whether Vela has been at it."""
        return any(operator.name == NPU for operator in self.operators)

    def count(self) -> dict[str, int]:
        """How often each operator occurs, by name."""
        return dict(sorted(Counter(operator.name for operator in self.operators).items()))


def read_network(path: Path, name: str = "") -> Network:
    """Read a .tflite file; what is none, is damaged, or has what the contract cannot be asked of, is refused."""
    name = name or path.name
    content, model = read_file(path, name)
    return network_of(model, content, name)


def parse(content: bytes, name: str) -> Network:
    """Parse a file's bytes; refuse them as `read_network` does."""
    return network_of(read(content, name), content, name)


def network_of(model: Table, content: bytes, name: str) -> Network:
    """Take what counts from a file's tables."""
    if len(model["subgraphs"]) != 1:
        raise Refused(
            f"{name}: {len(model['subgraphs'])} subgraphs; the firmware runs one", "export without control flow"
        )
    (graph,) = model["subgraphs"]
    if not graph["operators"]:
        raise Refused(f"{name}: no operators in it", "export the network again")
    offsets = [buffer["data"] for buffer in model["buffers"]]
    tensors = tuple(tensor_of(table, index, offsets[table["buffer"]]) for index, table in enumerate(graph["tensors"]))
    codes = [operator_name(code) for code in model["operator_codes"]]
    return Network(
        name=name,
        size=len(content),
        tensors=tensors,
        operators=tuple(
            operator_of(table, index, codes[table["opcode_index"]], name)
            for index, table in enumerate(graph["operators"])
        ),
        inputs=tuple(tensors[index] for index in graph["inputs"]),
        outputs=tuple(tensors[index] for index in graph["outputs"]),
        plan=plan_of(model, content, name),
    )


def tensor_of(table: Table, index: int, constant: Span) -> Tensor:
    """One tensor with its quantisation."""
    quantization, (kind, _) = table["quantization"] or {}, TYPES.get(table["type"], (f"type {table['type']}", 0))
    return Tensor(
        index=index,
        name=visible(table["name"]),
        shape=table["shape"],
        type=kind,
        scales=quantization.get("scale", ()),
        zero_points=quantization.get("zero_point", ()),
        offset=constant.start,
        stored=constant.count,
    )


def operator_name(code: Table) -> str:
    """TFLite's name of an operator, ETHOS_U, or CUSTOM with what the file calls it."""
    if custom := code["custom_code"]:
        return NPU if custom == NPU_CODE else f"CUSTOM {visible(custom)}"
    number = builtin_code(code)
    return OPERATOR_NAMES.get(number, f"operator {number}")


def operator_of(table: Table, index: int, kind: str, name: str) -> Operator:
    """One operator; of convolutions also what decides how the board's kernels run them."""
    needed = INPUTS.get(kind, 0)
    if not table["outputs"] or len(table["inputs"]) < needed or -1 in table["inputs"][:needed]:
        raise Refused(f"{name}: operator {index} ({kind}) lacks inputs or outputs", "export the network again")
    strides, same = (1, 1), False
    if options := table["builtin_options"] if kind in CONVOLUTIONS else None:
        if table["builtin_options_type"] != CONVOLUTIONS[kind]:
            raise Refused(f"{name}: operator {index} ({kind}) has options of another", "export the network again")
        strides, same = (options["stride_h"], options["stride_w"]), options["padding"] == 0
        if min(strides) < 1:
            raise Refused(
                f"{name}: operator {index} ({kind}) has strides of {strides[0]}, {strides[1]}",
                "export the network again",
            )
    return Operator(
        index=index, name=kind, inputs=table["inputs"], outputs=table["outputs"], strides=strides, same=same
    )


def plan_of(model: Table, content: bytes, name: str) -> tuple[int, ...]:
    """Vela's plan of the arena, if the file has one."""
    for entry in model["metadata"]:
        if entry["name"] == PLAN:
            span = model["buffers"][entry["buffer"]]["data"]
            words = struct.unpack_from(f"<{span.count // 4}i", content, span.start)
            if len(words) < 3 or not 0 <= words[2] <= len(words) - 3:
                raise Refused(f"{name}: its plan of the arena is cut short", "compile it again")
            return words[3 : 3 + words[2]]
    return ()
