"""Scratch memory that ESP-NN's kernels for the ESP32-S3 ask of the arena, on top of what TFLM's own kernels take.

When TFLM for ESP prepares an operator it asks ESP-NN for the size and reserves that in the arena (espressif/esp-tflite-micro
99f49e1, tensorflow/lite/micro/kernels/esp_nn/{conv, depthwise_conv, softmax}.cc; the same in sscma-example-esp32 f8732c1).
ESP-NN's formulas have changed once since:
    2023    e04f1b8 (2023-03-16) to e7e9c13 (2026-03-30, release 1.2.0); sscma-example-esp32 f8732c1 has 12129cf (2023-08-22)
    2026    d45b843 (2026-04-27, release 1.2.3)
Source: espressif/esp-nn, src/convolution/{esp_nn_conv_esp32s3.c, esp_nn_depthwise_conv_s8_esp32s3.c}, src/softmax/.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from network import Network, Operator
from planner import Requests, present

RELEASES = ("2023", "2026")
LANES = 16  # bytes of a vector register; rows and filters are copied to multiples of it
KEPT_WHOLE = 40 * 1024  # bytes of padded input up to which 2026 keeps it whole; above, as many rows as the filter has
KEPT_WHOLE_WORDS = 48 * 1024  # the same where 8-bit values are widened to 16


@dataclass(frozen=True)
class Geometry:
    """One convolution as its kernel sees it: height before width, padding of the top and the left side."""

    height: int
    width: int
    channels: int
    rows: int  # of the filter
    columns: int
    out_height: int
    out_width: int
    out_channels: int
    strides: tuple[int, int]
    padding: tuple[int, int]

    @property
    def pixels(self) -> int:
        """Positions of the input."""
        return self.height * self.width

    @property
    def taps(self) -> int:
        """Positions of the filter."""
        return self.rows * self.columns

    def padded(self, more: tuple[int, int]) -> int:
        """Values of the input with so many more rows and columns."""
        return (self.height + more[0]) * (self.width + more[1]) * self.channels

    @property
    def both_sides(self) -> tuple[int, int]:
        """Rows and columns that padding adds, as if the bottom had what the top has."""
        return 2 * self.padding[0], 2 * self.padding[1]

    @property
    def overhang(self) -> tuple[int, int]:
        """Rows and columns that the last strides reach beyond the input; below 0 where they end within it."""
        return (
            self.out_height * self.strides[0] + self.rows - 1 - self.height,
            self.out_width * self.strides[1] + self.columns - 1 - self.width,
        )


def requests(network: Network, release: str) -> Requests:
    """Return the scratch bytes that each operator's kernel asks for, by the formulas of one of `RELEASES`."""
    sizes = {operator.index: request(network, operator, release) for operator in network.operators}
    return {index: (size,) for index, size in sizes.items() if size > 0}


def request(network: Network, operator: Operator, release: str) -> int:
    """Return the scratch bytes of one operator, 0 where ESP-NN does not compute it: it does int8 only."""
    if not present(operator.inputs[:1]) or network.tensors[operator.inputs[0]].type != "int8":
        return 0
    shape = network.tensors[operator.inputs[0]].shape
    if operator.name == "SOFTMAX":
        return 4 * shape[1] if len(shape) > 1 else 0  # softmax.cc takes dimension 1 for the width
    if operator.name not in FORMULAS or not convolves(network, operator):
        return 0
    return FORMULAS[operator.name][release](geometry(network, operator))


def convolves(network: Network, operator: Operator) -> bool:
    """Whether input, filter and output are there and have the shapes of a convolution's."""
    indices = (*operator.inputs[:2], *operator.outputs[:1])
    shapes = [network.tensors[index].shape for index in indices if index >= 0]
    return len(shapes) == 3 and all(len(shape) == 4 and min(shape) > 0 for shape in shapes)


def geometry(network: Network, operator: Operator) -> Geometry:
    """Read a convolution's sizes off its tensors (NHWC; filters OHWI), padded as TFLM does (kernels/padding.h)."""
    shapes = [network.tensors[index].shape for index in (*operator.inputs[:2], operator.outputs[0])]
    (_, height, width, channels), (_, rows, columns, _), (_, out_height, out_width, out_channels) = shapes
    sides = ((height, rows, out_height, operator.strides[0]), (width, columns, out_width, operator.strides[1]))
    top, left = (
        max(0, (out - 1) * stride + taps - size) // 2 if operator.same else 0 for size, taps, out, stride in sides
    )
    return Geometry(
        height, width, channels, rows, columns, out_height, out_width, out_channels, operator.strides, (top, left)
    )


def convolution_2023(g: Geometry) -> int:
    """Return the scratch bytes of a convolution: its filter, and where there is padding its input, copied to aligned rows."""
    if pointwise(g):
        return pointwise_convolution(g) + 32
    copied = g.padded(g.both_sides) if any(g.padding) else 0
    return copied + g.taps * up(g.channels, LANES) * g.out_channels + 4 * g.out_channels + 32


def convolution_2026(g: Geometry) -> int:
    """Return the same: filters of few channels are laid out window by window, others are counted in two layouts."""
    if pointwise(g):
        return pointwise_convolution(g) + 64
    row, window = g.columns * g.channels, g.taps * g.channels
    if row < LANES <= window:
        return 4 * g.out_channels + 16 + (g.out_channels + 1) * up(window, LANES) + 16 + 64
    below, beside = (max(0, side) for side in g.overhang)
    second = up(row, LANES) * g.rows * g.out_channels + (g.padded((below, beside)) if below or beside else 0)
    return convolution_2023(g) + second + 32  # 64 bytes for alignment where 2023 has 32


def pointwise(g: Geometry) -> bool:
    """Whether a convolution is a matrix product."""
    return g.taps == 1 and not any(g.padding) and g.strides == (1, 1)


def pointwise_convolution(g: Geometry) -> int:
    """Return the scratch bytes of a matrix product before those for alignment: the filter, and eight columns at a time."""
    channels = up(g.channels, 8)
    copied = g.pixels * channels if g.channels % 8 else 0
    return copied + channels * g.out_channels + (16 * channels if g.pixels >= 8 else 0)


def depthwise_2023(g: Geometry) -> int:
    """Return the scratch bytes of a depthwise convolution: filter and input, as bytes or widened to 16 bits."""
    multiplier = g.out_channels // g.channels
    values = g.taps * g.out_channels
    if multiplier == 1 and g.channels % 8 == 0 and (g.rows, g.columns) == (3, 3):
        if g.channels % LANES == 0:
            more = g.both_sides if any(g.padding) else g.overhang
            return values + (g.padded(more) if any(more) else 0) + 16
        return 2 * (values + g.padded((0, 0))) + 16
    return 2 * (values + g.padded((0, 0))) + 16 if multiplier % 4 == 0 else 32


def depthwise_2026(g: Geometry) -> int:
    """Return the same: large inputs are worked through in strips, odd numbers of channels are padded."""
    multiplier = g.out_channels // g.channels
    values, whole = g.taps * g.out_channels, g.padded((0, 0))
    if multiplier == 1 and g.channels % 8 == 0:
        if (g.rows, g.columns) == (3, 3):
            return depthwise_3x3_2026(g, values)
        strip = whole if 2 * (values + whole) <= KEPT_WHOLE_WORDS else g.width * g.rows * g.channels
        return 2 * (values + strip) + 32
    if multiplier == 1 and g.channels > 3:
        channels = up(g.channels, 8)
        start = up(2 * g.taps * channels, LANES)
        start = up(start + 2 * g.pixels * channels, LANES)
        start = up(start + g.out_height * g.out_width * channels, LANES)
        return start + 12 * channels + 16  # bias, multiplier and shift of each channel
    return 2 * (values + whole) + 32 if multiplier % 4 == 0 else 32


def depthwise_3x3_2026(g: Geometry, values: int) -> int:
    """Return the scratch bytes of a depthwise 3 × 3 filter with one output a channel and channels in eights."""
    if g.channels % LANES == 0:
        more = g.both_sides if any(g.padding) else g.overhang
        if not any(more):
            return values + 16
        whole = g.padded(more)
        return values + (whole if whole <= KEPT_WHOLE else (g.width + more[1]) * g.rows * g.channels) + 16
    if g.channels < 12:
        return 2 * (values + g.padded((0, 0))) + 32
    channels = up(g.channels, LANES)
    below, beside = (both + max(0, over) for both, over in zip(g.both_sides, g.overhang, strict=True))
    positions = 9 + (g.height + below) * (g.width + beside) + g.out_height * g.out_width
    return positions * channels + 64


def up(size: int, step: int) -> int:
    """Round up to a multiple."""
    return -(-size // step) * step


FORMULAS: dict[str, dict[str, Callable[[Geometry], int]]] = {
    "CONV_2D": {"2023": convolution_2023, "2026": convolution_2026},
    "DEPTHWISE_CONV_2D": {"2023": depthwise_2023, "2026": depthwise_2026},
}
