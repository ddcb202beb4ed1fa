"""What the firmware would print of each frame, reckoned without the board's own modules: TFLM, then the decoder, then its order.

Run by the Python of the verify environment, with docker/ on PYTHONPATH:
    python tests/images/verify/rows_agree.py MODEL.tflite FRAME.jpg …
MODEL is an int8 YOLOv8-pose. One line of JSON: for each frame its people, the worst first.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import stage
from PIL import Image

sys.path.insert(0, str(Path(stage.__file__).with_name("verify")))
from decoder import Detection, Frame, decode
from heads import recognise
from kernels import device_runner, quantised_of
from network import read_network
from pictures import stretch


def main(model: Path, frames: list[Path]) -> None:
    """Print the rows of every frame."""
    network = read_network(model)
    heads = recognise(network.inputs[0].shape[1], [tensor.shape for tensor in network.outputs])
    assert heads
    quantised = quantised_of(network, heads)
    run, found = device_runner(model, quantised), []
    for path in frames:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        height, width = pixels.shape[:2]
        frame = Frame(run(stretch(pixels, heads.imgsz)).values, heads.imgsz, width, height, quantised.scales)
        found.append([person(one) for one in decode("sscma-pose", frame, 50, 45)][::-1])
    print(json.dumps(found))


def person(found: Detection) -> list[Any]:
    """One person in whole pixels and percent."""
    box = [*map(round, found.box), round(found.score * 100), 0]
    return [box, [[round(x), round(y), round(v * 100), i] for i, (x, y, v) in enumerate(found.points.tolist())]]


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(word) for word in sys.argv[2:]])
