"""What the verify stage measures with, where the answer is known: AP, the first tensor that differs, frames in parallel.

Run by the Python of the verify environment, with docker/ on PYTHONPATH, from the repository's root or with paths:
    python tests/images/verify/measures_agree.py MODEL.tflite
MODEL is an int8 YOLOv8-pose of 17 keypoints that TFLM can run. Exit code 1: something is not as it must be.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import stage
from PIL import Image

sys.path.insert(0, str(Path(stage.__file__).with_name("verify")))
from dataset import Picture
from decoder import Detection
from difference import origins, requantise
from frames import Labelled, Sample, noise
from heads import recognise
from kernels import Quantised
from ladder import Decoding, Forms, measure_all
from metrics import COCO_SIGMAS, box_precision, keypoint_precision, sigmas_of
from network import read_network

Check = tuple[str, bool]
SIDE = 200  # pixels of the made-up frames


def main(model: Path) -> int:
    """Print one line for each thing that must be so; 1 if any is not."""
    warnings.filterwarnings("ignore")
    failed = 0
    for check in (precision, kernels, frames):
        for text, holds in check(model):
            print(f"{text}: {'agree;' if holds else 'DIFFER'}", flush=True)
            failed += not holds
    return int(failed > 0)


def made_up() -> tuple[list[Labelled], list[list[Detection]]]:
    """Ten frames of two objects each, and detections that are exactly these."""
    dice = np.random.default_rng(0)
    truth, found = [], []
    for _ in range(10):
        boxes = np.array([[10, 20, 50, 60], [100, 100, 30, 40]], float)
        points = dice.uniform(0, SIDE, (2, 17, 3))
        points[..., 2] = 2
        truth.append(Labelled(np.zeros(2, np.intp), boxes, points))
        found.append(
            [
                Detection((x + w / 2, y + h / 2, w, h), 0.9, 0, marks.astype(np.float32))
                for (x, y, w, h), marks in zip(boxes, points, strict=True)
            ]
        )
    return truth, found


def precision(_: Path) -> Iterator[Check]:
    """AP of detections whose quality is known."""
    truth, found = made_up()
    yield "AP of perfect boxes is 1", box_precision(truth, found).ap == 1.0
    yield "AP of perfect keypoints is 1", keypoint_precision(truth, found, COCO_SIGMAS).ap == 1.0
    half = [one[:1] for one in found]
    # COCO reads precision at 101 recalls; 51 of them, 0.00 to 0.50, are reached.
    yield (
        "AP50 with every second object missed is 51/101",
        abs(float(box_precision(truth, half).ap50 or 0) - 51 / 101) < 1e-9,
    )
    moved = [[replace(d, points=d.points + np.array([3, 0, 0], np.float32)) for d in one] for one in found]
    strict, loose = (keypoint_precision(truth, moved, (sigma,) * 17).ap for sigma in (0.02, 0.2))
    yield "narrow sigmas punish what wide ones forgive", (strict or 0) < 0.1 and (loose or 0) > 0.8
    yield "5 keypoints have sigmas of 1/5", sigmas_of(5) == (0.2,) * 5
    none = [Labelled(one.labels[:0], one.boxes[:0], one.points[:0]) for one in truth]
    yield "without labels AP is undefined", box_precision(none, found).ap is None
    yield "without detections AP is 0", box_precision(truth, [[] for _ in truth]).ap == 0.0
    wrong = [[replace(d, label=1) for d in one] for one in found]
    yield "another class is no hit", box_precision(truth, wrong).ap == 0.0


def kernels(model: Path) -> Iterator[Check]:
    """TFLM and the reference kernels on one file, and on two of which one has a changed weight."""
    network = read_network(model)
    image = noise(network.inputs[0].shape[1], 1)[0]
    yield "TFLM and TFLite's reference kernels: every tensor", origins(model, model, network, image) == []
    convolution = [operator for operator in network.operators if operator.name == "CONV_2D"][30]
    content = bytearray(model.read_bytes())
    content[network.tensors[convolution.inputs[1]].offset] ^= 0x40
    with tempfile.TemporaryDirectory() as folder:
        changed = Path(folder, "changed.tflite")
        changed.write_bytes(content)
        places = origins(model, changed, network, image)
    yield (
        "the operator with a changed weight is named, and no other, and nothing explains it",
        ([(place.operator, place.explained) for place in places] == [(f"CONV_2D {convolution.index}", False)]),
    )
    # Seen in an export at 64 px: 43 times 226 with these scales is 81.4922, once a little more and once a little less.
    one, other, out = (np.float32(scale) for scale in (0.047003649175167084, 1 / 256, 0.021895382553339005))
    wide, narrow = float(one) * float(other) / float(out), float(one * other / out)
    rounded = [requantise(np.array([43 * 226]), multiplier, -115).tolist() for multiplier in (narrow, wide)]
    yield "a multiplier in float32 and one in float64: a step apart, as TFLite and TFLM were", rounded == [[-33], [-34]]


def frames(model: Path) -> Iterator[Check]:
    """Frames in parallel, and one of them broken."""
    network = read_network(model)
    heads = recognise(network.inputs[0].shape[1], [tensor.shape for tensor in network.outputs])
    assert heads
    named = dict(zip(heads.roles, network.outputs, strict=True))
    quantised = Quantised(
        heads.roles,
        {role: tensor.scales[0] for role, tensor in named.items()},
        {role: tensor.zero_points[0] for role, tensor in named.items()},
    )
    forms, decoding = Forms(heads, quantised, model), Decoding("sscma-pose", 45, 1)
    images = noise(heads.imgsz, 4)
    one, two = (list(measure_all(forms, decoding, images, workers)) for workers in (1, 2))
    yield (
        "one core and two: the same, in the same order",
        repr(one) == repr(two) and [m.index for m in two] == [0, 1, 2, 3],
    )
    places = [([row[0][:4] for row in m.shown][::-1], [list(found.box) for found in m.found["device"]]) for m in one]
    yield "what the board shows: at 1 % all that was measured, backwards", all(a == b and a for a, b in places)
    yield "TFLM and TFLite's reference kernels: every output", all(m.device and not m.device.values for m in one)
    yield "the optimised kernels: not the same", max(m.optimised.steps for m in one) > 0
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{number}.png") for number in range(4)]
        for path, pixels in zip(paths, images, strict=True):
            Image.fromarray(pixels).save(path)
        paths[2].write_bytes(paths[2].read_bytes()[:100])
        sample = Sample("", (), 17, tuple(Picture(path, None) for path in paths), 4)
        done, said = 0, ""
        try:
            for _ in measure_all(forms, decoding, sample):
                done += 1
        except stage.Refused as refusal:
            said = f"{refusal} {refusal.hint}"
        yield "a broken frame stops the run at its turn, by its name", done == 2 and "2.png: truncated" in said


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
