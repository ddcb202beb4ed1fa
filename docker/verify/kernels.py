"""The same network in each of its forms, run on one image at a time: torch, ONNX Runtime, TFLite's kernels, and TFLM's.

TFLM is the device's own code (`tflite-micro`, its reference kernels). TFLite's reference kernels are to agree with it in every
byte; the optimised ones, with XNNPACK, are what everybody else judges an int8 file with.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from heads import Heads
from isolation import Crashed, run_isolated
from network import Network
from stage import Refused

# Before TensorFlow is imported: it greets in ten lines.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("YOLO_VERBOSE", "false")

ARENA_BYTES = 64 << 20  # TFLM's, on this machine: whether the board's suffices is asked elsewhere
FAULTS = (RuntimeError, ValueError, MemoryError)  # what interpreters raise of a file that they cannot run


@dataclass(frozen=True)
class Result:
    """One frame's outputs by role, as float32, and, of a quantised network, the integers themselves."""

    values: Mapping[str, npt.NDArray[np.float32]]
    steps: Mapping[str, npt.NDArray[np.int8]]


Runner = Callable[[npt.NDArray[np.uint8]], Result]  # image [S, S, 3], RGB


@dataclass(frozen=True)
class Quantised:
    """How the outputs of an int8 file become numbers: by role, scale and zero point."""

    roles: tuple[str, ...]  # in the file's order
    scales: Mapping[str, float]
    zero_points: Mapping[str, int]

    def result(self, arrays: list[npt.NDArray[np.int8]]) -> Result:
        """Name and dequantise a file's outputs in float32, as the firmware does."""
        steps = dict(zip(self.roles, arrays, strict=False))  # the firmware passes over what comes behind
        values = {
            role: (array.astype(np.int32) - self.zero_points[role]).astype(np.float32) * np.float32(self.scales[role])
            for role, array in steps.items()
        }
        return Result(values, steps)


def quantised_of(network: Network, heads: Heads) -> Quantised:
    """How the outputs of an int8 file become numbers."""
    named = dict(zip(heads.roles, network.outputs, strict=False))  # the firmware passes over what comes behind
    return Quantised(
        heads.roles,
        {role: tensor.scales[0] for role, tensor in named.items()},
        {role: tensor.zero_points[0] for role, tensor in named.items()},
    )


def why_not(network: Network, heads: Heads | None) -> str:
    """Say why this machine cannot run the network, or the firmware not read it; or nothing."""
    if network.compiled:
        return "this machine has no NPU; give the file from before Vela, and it is measured, then compiled"
    if heads is None:
        return "no firmware decodes these outputs"
    if any(tensor.type != "int8" or len(tensor.scales) != 1 for tensor in (*network.inputs, *network.outputs)):
        return "inputs and outputs are not int8 with one scale each"
    if network.inputs[0].shape[3] != 3:
        return "it takes grey images, and frames are measured in colour"
    return ""


def shifted(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.int8]:
    """What the firmware feeds: every byte less 128, [1, S, S, 3]."""
    return (image.astype(np.int16) - 128).astype(np.int8)[None]


def scaled(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """What a float network was trained on: 0 to 1, [1, S, S, 3]."""
    return (image.astype(np.float32) / np.float32(255))[None]


def torch_runner(weights: Path, raw: bool) -> Runner:
    """The weights as they are, in the pinned ultralytics: convolutions and batch norms fused, nothing else changed."""
    import torch
    from canonical import read_network
    from weights import build_network

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    network = build_network(read_network(weights)).fuse(verbose=False)
    head = network.model[-1]
    head.export, head.format, head.raw = True, "tflite", raw
    names = head.raw_names() if raw else ["decoded"]

    def run(image: npt.NDArray[np.uint8]) -> Result:
        found = network(torch.from_numpy(scaled(image).transpose(0, 3, 1, 2).copy()))
        arrays = [part.numpy() for part in (found if raw else [found])]
        return Result(dict(zip(names, arrays, strict=True)), {})

    return run


def onnx_runner(file: Path, raw: bool) -> Runner:
    """ONNX Runtime on the CPU, one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()] if raw else ["decoded"]
    source = session.get_inputs()[0].name

    def run(image: npt.NDArray[np.uint8]) -> Result:
        arrays = session.run(None, {source: scaled(image).transpose(0, 3, 1, 2)})
        return Result(dict(zip(names, arrays, strict=True)), {})

    return run


def interpreter(file: Path, resolver: str, *, every_tensor: bool = False) -> Any:
    """A TFLite interpreter, one thread, with the kernels that OpResolverType names; ready to run."""
    import tensorflow as tf

    found = tf.lite.Interpreter(
        str(file),
        num_threads=1,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType[resolver],
        experimental_preserve_all_tensors=every_tensor,
    )
    found.allocate_tensors()
    return found


def obstacle(file: Path) -> str:
    """Say why TFLite's reference kernels cannot run an int8 file, in one line, or nothing."""
    # Here and not in the process: all that are forked later need it.
    import tensorflow  # noqa: F401

    try:
        run_isolated(_invoke, file)
    except Crashed as problem:
        return f"its interpreter {problem}"
    except FAULTS as problem:
        return one_line(problem)
    return ""


def _invoke(file: Path) -> None:
    interpreter(file, "BUILTIN_REF").invoke()


@contextmanager
def blamed(file: Path, kernels: str) -> Iterator[None]:
    """Turn what an interpreter says of a file that it cannot run into a refusal."""
    try:
        yield
    except FAULTS as problem:
        raise Refused(
            f"{file.name}: {kernels} cannot run it: {one_line(problem)}", "export the network again"
        ) from None


def one_line(problem: Exception) -> str:
    """Return the text of an error without line breaks, or its name."""
    return " ".join(str(problem).split())[:200] or type(problem).__name__


def float_runner(file: Path, roles: tuple[str, ...]) -> Runner:
    """A float32 .tflite with TFLite's own kernels, without XNNPACK."""
    kernels = "TFLite"
    with blamed(file, kernels):
        lite = interpreter(file, "BUILTIN_WITHOUT_DEFAULT_DELEGATES")

    def run(image: npt.NDArray[np.uint8]) -> Result:
        with blamed(file, kernels):
            lite.set_tensor(lite.get_input_details()[0]["index"], scaled(image))
            lite.invoke()
        arrays = [lite.get_tensor(detail["index"]) for detail in lite.get_output_details()]
        return Result(dict(zip(roles, arrays, strict=False)), {})

    return run


def int8_runner(file: Path, quantised: Quantised, resolver: str) -> Runner:
    """An int8 .tflite with TFLite's reference kernels (BUILTIN_REF) or its optimised ones with XNNPACK (AUTO)."""
    kernels = f"TFLite ({resolver})"
    with blamed(file, kernels):
        lite = interpreter(file, resolver)

    def run(image: npt.NDArray[np.uint8]) -> Result:
        with blamed(file, kernels):
            lite.set_tensor(lite.get_input_details()[0]["index"], shifted(image))
            lite.invoke()
        return quantised.result([lite.get_tensor(detail["index"]) for detail in lite.get_output_details()])

    return run


def device_runner(file: Path, quantised: Quantised) -> Runner:
    """An int8 .tflite with TFLite Micro, the device's own code."""
    from tflite_micro.python.tflite_micro import runtime

    with blamed(file, "TFLM"):
        micro = runtime.Interpreter.from_file(str(file), arena_size=ARENA_BYTES)

    def run(image: npt.NDArray[np.uint8]) -> Result:
        with blamed(file, "TFLM"):
            micro.set_input(shifted(image), 0)
            micro.invoke()
        # TFLM hands out its own memory: the next frame would overwrite it.
        return quantised.result([micro.get_output(i).copy() for i in range(len(quantised.roles))])

    return run
