"""For tests: small TFLite files, made with flatbuffers alone. They compute nothing: shapes, types, names and offsets count."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import flatbuffers
import tflite

NPU = "ETHOS_U"
BYTES = {"float32": 4, "int32": 4}


@dataclass(frozen=True)
class Made:
    """A tensor; with `data` it is a constant."""

    name: str
    shape: tuple[int, ...]
    type: str = "int8"
    scales: tuple[float, ...] = (0.1,)
    zero_points: tuple[int, ...] = (0,)
    data: bytes = b""


@dataclass(frozen=True)
class Node:
    """An operator by its TFLite name, or ETHOS_U for Vela's; a convolution may have strides, of height and width."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    strides: tuple[int, int] | None = None
    options_of: str = ""  # another operator, whose options it has


IMAGE = Made("image", (1, 64, 64, 3), "int8", (1 / 255,), (-128,))


def raw_shapes(imgsz: int = 64, classes: int = 1, keypoints: int = 17) -> dict[str, tuple[int, ...]]:
    """Raw outputs by role; without keypoints those of a detection model."""
    anchors = {stride: (imgsz // stride) ** 2 for stride in (8, 16, 32)}
    shapes = {f"box{stride}": (1, number, 64) for stride, number in anchors.items()}
    shapes |= {f"cls{stride}": (1, number, classes) for stride, number in anchors.items()}
    return shapes | ({"kpt": (1, sum(anchors.values()), 3 * keypoints)} if keypoints else {})


HIMAX = ("box16", "box8", "cls32", "kpt", "cls8", "box32", "cls16")


def pose(imgsz: int = 64, classes: int = 1, keypoints: int = 17, order: Sequence[str] = HIMAX) -> list[Made]:
    """The outputs of a pose model."""
    shapes = raw_shapes(imgsz, classes, keypoints)
    return [Made(role, shapes[role], scales=(0.15,)) for role in order]


def detect(imgsz: int = 64, classes: int = 3) -> list[Made]:
    """The outputs of a detection model, raw."""
    return [Made(role, shape, scales=(0.15,)) for role, shape in raw_shapes(imgsz, classes, 0).items()]


def decoded(imgsz: int = 64, classes: int = 3) -> list[Made]:
    """The one output of a model that decodes by itself."""
    return [Made("decoded", (1, 4 + classes, sum((imgsz // stride) ** 2 for stride in (8, 16, 32))))]


def command_stream(config: int = 0x1006, identity: int = 0x10060000, magic: bytes = b"COP1") -> bytes:
    """A command stream's head, by default as Vela writes it for an Ethos-U55-64, and a few words more."""
    return magic + struct.pack("<3I", 0x00100001, config, identity) + bytes(16)


@dataclass(frozen=True)
class Sketch:
    """A network in outline: the first operator gives every output, the others nothing of interest."""

    outputs: Sequence[Made] = field(default_factory=pose)
    image: Made = IMAGE
    operators: Sequence[str] = ("CONV_2D", "LOGISTIC")
    streams: Sequence[bytes] = ()  # one for each ETHOS_U among the operators
    more_inputs: int = 0
    misaligned: bool = False

    def file(self) -> bytes:
        """Write it as a TFLite file."""
        tensors = [self.image, *self.outputs]
        last = tuple(range(1, len(tensors)))
        streams, nodes = iter(self.streams), []
        for number, name in enumerate(self.operators):
            data = next(streams, command_stream()) if name == NPU else bytes(64)
            tensors.append(Made(f"constant {number}", (len(data),), "uint8" if name == NPU else "int8", data=data))
            given = (len(tensors) - 1, 0) if name == NPU else (0, len(tensors) - 1)
            if number:
                tensors.append(Made(f"between {number}", (1, 8)))
            nodes.append(Node(name, given, (len(tensors) - 1,) if number else last))
        return tflite_file(tensors, nodes, (0,) * (1 + self.more_inputs), last, self.misaligned)


def tflite_file(
    tensors: Sequence[Made],
    nodes: Sequence[Node],
    inputs: Sequence[int],
    outputs: Sequence[int],
    misaligned: bool = False,
    plan: bytes = b"",
) -> bytes:
    """Write a TFLite file; constants at multiples of 16 bytes, or each 4 bytes behind one; `plan` is Vela's, of the arena."""
    builder = flatbuffers.Builder(1024)
    buffers = [_buffer(builder, b"", misaligned)]
    made = []
    for tensor in tensors:
        if tensor.data:
            buffers.append(_buffer(builder, tensor.data, misaligned))
        made.append(_tensor(builder, tensor, len(buffers) - 1 if tensor.data else 0))
    names = sorted({node.name for node in nodes})
    codes = [_code(builder, name) for name in names]
    operators = [_operator(builder, node, names.index(node.name)) for node in nodes]
    lists = [
        _offsets(builder, made),
        _numbers(builder, inputs),
        _numbers(builder, outputs),
        _offsets(builder, operators),
    ]
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, lists[0])
    tflite.SubGraphAddInputs(builder, lists[1])
    tflite.SubGraphAddOutputs(builder, lists[2])
    tflite.SubGraphAddOperators(builder, lists[3])
    graphs = _offsets(builder, [tflite.SubGraphEnd(builder)])
    if plan:
        buffers.append(_buffer(builder, plan, misaligned))
    code_list, buffer_list = _offsets(builder, codes), _offsets(builder, buffers)
    metadata = _offsets(builder, [_plan_entry(builder, len(buffers) - 1)]) if plan else 0
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddOperatorCodes(builder, code_list)
    tflite.ModelAddSubgraphs(builder, graphs)
    tflite.ModelAddBuffers(builder, buffer_list)
    if metadata:
        tflite.ModelAddMetadata(builder, metadata)
    builder.Finish(tflite.ModelEnd(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _buffer(builder: flatbuffers.Builder, data: bytes, misaligned: bool) -> int:
    """Write constant data. A flatbuffer grows from its end: what is written first after the data comes before them."""
    if not data:
        tflite.BufferStart(builder)
        return int(tflite.BufferEnd(builder))
    stored = data + bytes(-len(data) % 16) if misaligned else data
    if misaligned:
        builder.Prep(16, 0)
        builder.Pad(12)
        builder.StartVector(1, len(stored), 1)
    else:
        builder.StartVector(1, len(stored), 16)
    builder.head = builder.Head() - len(stored)
    builder.Bytes[builder.Head() : builder.Head() + len(stored)] = stored
    vector = builder.EndVector()
    tflite.BufferStart(builder)
    tflite.BufferAddData(builder, vector)
    return int(tflite.BufferEnd(builder))


def _plan_entry(builder: flatbuffers.Builder, buffer: int) -> int:
    name = builder.CreateString("OfflineMemoryAllocation")
    tflite.MetadataStart(builder)
    tflite.MetadataAddName(builder, name)
    tflite.MetadataAddBuffer(builder, buffer)
    return int(tflite.MetadataEnd(builder))


def _tensor(builder: flatbuffers.Builder, tensor: Made, buffer: int) -> int:
    name, shape = builder.CreateString(tensor.name), _numbers(builder, tensor.shape)
    quantization = 0
    if tensor.type not in BYTES:
        scales = _vector(builder, tensor.scales, 4, builder.PrependFloat32)
        zero_points = _vector(builder, tensor.zero_points, 8, builder.PrependInt64)
        tflite.QuantizationParametersStart(builder)
        tflite.QuantizationParametersAddScale(builder, scales)
        tflite.QuantizationParametersAddZeroPoint(builder, zero_points)
        quantization = tflite.QuantizationParametersEnd(builder)
    tflite.TensorStart(builder)
    tflite.TensorAddName(builder, name)
    tflite.TensorAddShape(builder, shape)
    tflite.TensorAddType(builder, getattr(tflite.TensorType, tensor.type.upper()))
    tflite.TensorAddBuffer(builder, buffer)
    if quantization:
        tflite.TensorAddQuantization(builder, quantization)
    return int(tflite.TensorEnd(builder))


def _code(builder: flatbuffers.Builder, name: str) -> int:
    custom = builder.CreateString("ethos-u") if name == NPU else 0
    number = getattr(tflite.BuiltinOperator, "CUSTOM" if custom else name)
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddBuiltinCode(builder, number)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(number, 127))
    if custom:
        tflite.OperatorCodeAddCustomCode(builder, custom)
    return int(tflite.OperatorCodeEnd(builder))


def _operator(builder: flatbuffers.Builder, node: Node, code: int) -> int:
    inputs, outputs = _numbers(builder, node.inputs), _numbers(builder, node.outputs)
    options = 0
    if node.strides:
        tflite.Conv2DOptionsStart(builder)
        tflite.Conv2DOptionsAddStrideH(builder, node.strides[0])
        tflite.Conv2DOptionsAddStrideW(builder, node.strides[1])
        options = tflite.Conv2DOptionsEnd(builder)
    tflite.OperatorStart(builder)
    if options:
        kind = tflite.BuiltinOptions.Conv2DOptions + ((node.options_of or node.name) == "DEPTHWISE_CONV_2D")
        tflite.OperatorAddBuiltinOptionsType(builder, kind)
        tflite.OperatorAddBuiltinOptions(builder, options)
    tflite.OperatorAddOpcodeIndex(builder, code)
    tflite.OperatorAddInputs(builder, inputs)
    tflite.OperatorAddOutputs(builder, outputs)
    return int(tflite.OperatorEnd(builder))


def _numbers(builder: flatbuffers.Builder, values: Sequence[int]) -> int:
    return _vector(builder, values, 4, builder.PrependInt32)


def _offsets(builder: flatbuffers.Builder, values: Sequence[int]) -> int:
    return _vector(builder, values, 4, builder.PrependUOffsetTRelative)


def _vector(builder: flatbuffers.Builder, values: Sequence[float], size: int, prepend: Callable[..., None]) -> int:
    builder.StartVector(size, len(values), size)
    for value in reversed(values):
        prepend(value)
    return int(builder.EndVector())
