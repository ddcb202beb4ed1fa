"""Where two kernels part: the first tensor, in the order of running, that TFLM and TFLite's reference kernels fill differently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from kernels import interpreter, shifted
from network import Network

EVERY_TENSOR_BYTES = 512 << 20  # with every tensor kept none can take another's place in the arena


def first_difference(
    reference: Path, device: Path, network: Network, image: npt.NDArray[np.uint8]
) -> dict[str, Any] | None:
    """Run one image [S, S, 3] through both, keeping every tensor; return the first that differs, or nothing.

    `reference` and `device` are the same file, unless a test wants to see a difference found.
    """
    from tflite_micro.python.tflite_micro import runtime

    lite = interpreter(reference, "BUILTIN_REF", every_tensor=True)
    lite.set_tensor(lite.get_input_details()[0]["index"], shifted(image))
    lite.invoke()
    micro = runtime.Interpreter.from_file(
        str(device),
        arena_size=EVERY_TENSOR_BYTES,
        intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors,
    )
    micro.set_input(shifted(image), 0)
    micro.invoke()
    for operator in network.operators:
        for index in operator.outputs:
            expected = lite.get_tensor(index)
            found = np.asarray(micro.GetTensor(index, 0)["tensor_data"]).reshape(expected.shape)
            apart = np.abs(found.astype(np.int64) - expected.astype(np.int64))
            if apart.any():
                return {
                    "tensor": network.tensors[index].name,
                    "operator": f"{operator.name} {operator.index}",
                    "values": int((apart > 0).sum()),
                    "of": int(apart.size),
                    "steps": int(apart.max()),
                }
    return None
