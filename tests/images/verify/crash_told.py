"""A model on which TFLM aborts when it computes, though it loads: what the whole stage says of it.

Run by the Python of the verify environment, with docker/ on PYTHONPATH, in a folder that may be written to:
    python tests/images/verify/crash_told.py MODEL.tflite FACTS.json
MODEL is an int8 YOLOv8 with ten convolutions and more, FACTS are a firmware's. Prints one line of JSON: the stage's exit code, what
it said on stderr, and its report's verdict.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import stage
import tflite

sys.path.insert(0, str(Path(stage.__file__).with_name("verify")))
from network import read_network

PROGRAM = Path(stage.__file__).with_name("verify") / "main.py"
PARAMETERS = {
    "task": "",
    "frames": 2,
    "pictures": 0,
    "gates": {},
    "sigmas": [],
    "keypoint_names": [],
    "skeleton": [],
    "speed": {},
}


def main(model: Path, facts: Path) -> None:
    """Say that what one convolution takes has one channel: TFLite computes shapes anew, TFLM believes them, and aborts."""
    own = Path(__file__).parent
    convolution = [operator for operator in read_network(model).operators if operator.name == "CONV_2D"][10]
    content = bytearray(model.read_bytes())
    tensor = tflite.Model.GetRootAs(content, 0).Subgraphs(0).Tensors(convolution.inputs[0])
    # 4: the vtable's slot of the shape.
    last = tensor._tab.Vector(tensor._tab.Offset(4)) + 4 * (tensor.ShapeLength() - 1)
    struct.pack_into("<i", content, last, 1)
    (own / "changed.tflite").write_bytes(content)
    request = {
        "output": str(own),
        "inputs": {"model": str(own / "changed.tflite")},
        "parameters": {
            **PARAMETERS,
            "firmware": json.loads(facts.read_text()),
            "device": {"name": "board", "title": "Board"},
        },
    }
    (own / "request.json").write_text(json.dumps(request))
    argv = [sys.executable, str(PROGRAM), str(own / "request.json")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    report = own / "report.json"
    verdict = json.loads(report.read_text())["verdict"] if report.exists() else None
    print(json.dumps({"code": done.returncode, "stderr": done.stderr, "verdict": verdict}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
