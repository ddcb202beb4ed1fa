"""Where two kernels part: every operator that TFLM and TFLite's reference kernels compute differently from the same inputs.

One such difference is known, and looked for by computing both sides. MUL needs scale · scale / scale: TFLite takes it in float32
(mul.cc), TFLM, and with it the device, in float64 (mul_common.cc). Where a product lies at the edge between two integers, that
decides: by one step, rarely. What TFLM gives is what the board gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from kernels import interpreter, shifted
from network import Network, Operator

EVERY_TENSOR_BYTES = 512 << 20  # with every tensor kept none can take another's place in the arena
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Origin:
    """An operator whose inputs are equal and whose output is not, and whether the known difference is all there is to it."""

    tensor: str
    operator: str  # name and number in the order of running
    values: int
    of: int
    steps: int
    explained: bool


def origins(reference: Path, device: Path, network: Network, image: npt.NDArray[np.uint8]) -> list[Origin]:
    """Run one image [S, S, 3] through both, keeping every tensor; return where they part, in the order of running.

    `reference` and `device` are the same file, unless a test wants to see a difference found.
    """
    of_reference, of_device = reference_tensors(reference, image), device_tensors(device, network, image)
    found = []
    for operator in network.operators:
        inputs = [index for index in operator.inputs if index >= 0 and not network.tensors[index].stored]
        if any((of_reference(index) != of_device(index)).any() for index in inputs):
            continue  # what went in was different already
        for index in operator.outputs:
            expected, given = of_reference(index), of_device(index)
            apart = np.abs(given.astype(np.int64) - expected.astype(np.int64))
            if apart.any():
                found.append(
                    Origin(
                        tensor=network.tensors[index].name,
                        operator=f"{operator.name} {operator.index}",
                        values=int((apart > 0).sum()),
                        of=int(apart.size),
                        steps=int(apart.max()),
                        explained=operator.name == "MUL" and is_known(operator, network, of_reference, given),
                    )
                )
    return found


def reference_tensors(file: Path, image: npt.NDArray[np.uint8]) -> Callable[[int], Array]:
    """Run TFLite's reference kernels; return how to look at any tensor."""
    lite = interpreter(file, "BUILTIN_REF", every_tensor=True)
    lite.set_tensor(lite.get_input_details()[0]["index"], shifted(image))
    lite.invoke()
    return lambda index: np.asarray(lite.get_tensor(index))


def device_tensors(file: Path, network: Network, image: npt.NDArray[np.uint8]) -> Callable[[int], Array]:
    """Run TFLM; return how to look at any tensor."""
    from tflite_micro.python.tflite_micro import runtime

    keep = runtime.InterpreterConfig.kPreserveAllTensors
    micro = runtime.Interpreter.from_file(str(file), arena_size=EVERY_TENSOR_BYTES, intrepreter_config=keep)
    micro.set_input(shifted(image), 0)
    micro.invoke()
    return lambda index: np.asarray(micro.GetTensor(index, 0)["tensor_data"]).reshape(network.tensors[index].shape)


# --- the known difference -----------------------------------------------------------------------------------------------------


def is_known(operator: Operator, network: Network, tensor: Callable[[int], Array], given: Array) -> bool:
    """Whether MUL, with its multiplier in float32, gives what TFLite gave, and, in float64, what TFLM gave."""
    tensors = [network.tensors[index] for index in (*operator.inputs, *operator.outputs)]
    if any(len(one.scales) != 1 for one in tensors):
        return False
    one, other, out = (np.float32(one.scales[0]) for one in tensors)
    values = [tensor(index).astype(np.int64) - network.tensors[index].zero_points[0] for index in operator.inputs]
    product, zero_point = values[0] * values[1], tensors[2].zero_points[0]
    in_float32 = requantise(product, float(one * other / out), zero_point)
    in_float64 = requantise(product, float(one) * float(other) / float(out), zero_point)
    return bool((in_float32 == tensor(operator.outputs[0])).all() and (in_float64 == given).all())


def requantise(product: npt.NDArray[np.int64], multiplier: float, zero_point: int) -> npt.NDArray[np.int64]:
    """Multiply integers by a real number as TFLite does (kernels/internal/common.h), and bring them into int8's range.

    31 bits of the multiplier and a power of two; the product is rounded to its upper half, then once more when it is shifted.
    """
    fraction, shift = math.frexp(multiplier)
    whole = product * (1 << max(shift, 0)) * round(fraction * (1 << 31))
    nudged = whole + np.where(whole >= 0, 1 << 30, 1 - (1 << 30))
    high = np.sign(nudged) * (np.abs(nudged) >> 31)  # C++ divides towards zero
    right = max(-shift, 0)
    mask = (1 << right) - 1
    rounded = (high >> right) + ((high & mask) > (mask >> 1) + (high < 0))
    return np.clip(rounded + zero_point, -128, 127)


def as_row(origin: Origin, frame: str) -> Mapping[str, Any]:
    """Return an origin as the report has it."""
    return {**vars(origin), "frame": frame}
