"""What a .tflite file has inside: tensors, operators, Vela's plan of the arena; read with every offset checked, never run.

Schema: tensorflow/lite/schema/schema.fbs, as the package `tflite` has it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from stage import Refused
from tflite import BuiltinOperator, BuiltinOptions, Conv2DOptions, DepthwiseConv2DOptions, Model, TensorType

OPERATOR_NAMES = {value: name for name, value in vars(BuiltinOperator).items() if not name.startswith("_")}
TYPE_NAMES = {value: name.lower() for name, value in vars(TensorType).items() if not name.startswith("_")}
TYPE_BYTES = {"float32": 4, "int8": 1, "uint8": 1, "int16": 2, "int32": 4, "int64": 8, "bool": 1, "float16": 2}
NPU = "ETHOS_U"  # what the firmware's resolver calls the custom operator that holds a command stream
NPU_CODE = "ethos-u"
PLAN = (
    "OfflineMemoryAllocation"  # metadata: version, subgraph, count, then an offset a tensor (TFLM memory_management.md)
)
CONVOLUTIONS = {"CONV_2D": Conv2DOptions, "DEPTHWISE_CONV_2D": DepthwiseConv2DOptions}


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
        return int(np.prod(self.shape, dtype=np.int64)) * TYPE_BYTES.get(self.type, 4)


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
        names = [operator.name for operator in self.operators]
        return {name: names.count(name) for name in sorted(set(names))}


def read_network(path: Path, name: str = "") -> Network:
    """Read a .tflite file; what is none, or is damaged, is refused."""
    content, name = path.read_bytes(), name or path.name
    if content[4:8] != b"TFL3":
        raise Refused(f"{name}: not a TFLite file", "MODEL= takes an int8 .tflite, as `make deploy` exports it")
    try:
        return parse(content, name)
    # A broken offset leads the flatbuffer's own reader anywhere.
    except (
        struct.error,
        IndexError,
        ValueError,
        TypeError,
        OverflowError,
        UnicodeDecodeError,
        AttributeError,
    ) as problem:
        raise Refused(
            f"{name}: truncated or damaged TFLite file ({len(content):,} bytes)", "copy it again"
        ) from problem


def parse(content: bytes, name: str) -> Network:
    """Parse a file's bytes; whatever a broken offset leads to is the caller's to catch."""
    model = Model.GetRootAs(content, 0)
    if model.SubgraphsLength() != 1:
        raise Refused(
            f"{name}: {model.SubgraphsLength()} subgraphs; the firmware runs one", "export without control flow"
        )
    graph = model.Subgraphs(0)
    tensors = tuple(read_tensor(content, model, graph, index) for index in range(graph.TensorsLength()))
    operators = tuple(read_operator(model, graph, index) for index in range(graph.OperatorsLength()))
    if not operators or any(i >= len(tensors) for o in operators for i in (*o.inputs, *o.outputs)):
        raise ValueError("operators without tensors")
    return Network(
        name=name,
        size=len(content),
        tensors=tensors,
        operators=operators,
        inputs=tuple(tensors[graph.Inputs(i)] for i in range(graph.InputsLength())),
        outputs=tuple(tensors[graph.Outputs(i)] for i in range(graph.OutputsLength())),
        plan=read_plan(content, model),
    )


def read_tensor(content: bytes, model: Any, graph: Any, index: int) -> Tensor:
    """One tensor with its quantisation; its constant bytes must lie within the file."""
    table = graph.Tensors(index)
    quantization, buffer = table.Quantization(), model.Buffers(table.Buffer())
    stored = buffer.DataLength()
    offset = buffer._tab.Vector(buffer._tab.Offset(4)) if stored else 0  # 4: the vtable's slot of Buffer.data
    if offset + stored > len(content):
        raise ValueError("a buffer ends behind the file")
    return Tensor(
        index=index,
        name=(table.Name() or b"").decode(),
        shape=tuple(table.Shape(i) for i in range(table.ShapeLength())),
        type=TYPE_NAMES.get(table.Type(), f"type {table.Type()}"),
        scales=tuple(quantization.Scale(i) for i in range(quantization.ScaleLength())) if quantization else (),
        zero_points=tuple(quantization.ZeroPoint(i) for i in range(quantization.ZeroPointLength()))
        if quantization
        else (),
        offset=offset,
        stored=stored,
    )


def read_operator(model: Any, graph: Any, index: int) -> Operator:
    """One operator; of convolutions also what decides how the board's kernels run them."""
    table = graph.Operators(index)
    code = model.OperatorCodes(table.OpcodeIndex())
    # The schema kept an 8-bit field for old readers; codes above 127 stand in the newer one.
    number, custom = max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), code.CustomCode()
    name = OPERATOR_NAMES.get(number, f"operator {number}")
    if custom:
        name = NPU if custom.decode() == NPU_CODE else f"CUSTOM {custom.decode()}"
    strides, same = (1, 1), False
    if name in CONVOLUTIONS and table.BuiltinOptionsType() in (
        BuiltinOptions.Conv2DOptions,
        BuiltinOptions.DepthwiseConv2DOptions,
    ):
        options = CONVOLUTIONS[name]()
        options.Init(table.BuiltinOptions().Bytes, table.BuiltinOptions().Pos)
        strides, same = (options.StrideH(), options.StrideW()), options.Padding() == 0
    return Operator(
        index=index,
        name=name,
        inputs=tuple(table.Inputs(i) for i in range(table.InputsLength())),
        outputs=tuple(table.Outputs(i) for i in range(table.OutputsLength())),
        strides=strides,
        same=same,
    )


def read_plan(content: bytes, model: Any) -> tuple[int, ...]:
    """Vela's plan of the arena, if the file has one."""
    for i in range(model.MetadataLength()):
        entry = model.Metadata(i)
        if entry.Name() == PLAN.encode():
            buffer = model.Buffers(entry.Buffer())
            start = buffer._tab.Vector(buffer._tab.Offset(4))
            words = np.frombuffer(content[start : start + buffer.DataLength()], "<i4")
            return tuple(int(word) for word in words[3 : 3 + words[2]])
    return ()
