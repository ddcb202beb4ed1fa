"""What computes in a virtual board: a model as it lies in flash, on pictures in place of a camera, with the firmware's decoder.

`board.py REQUEST.json` is a second program of this stage, for whoever runs a virtual board. Inputs: `model`, bytes of flash with
whatever follows the file; `frames`, a folder of pictures, shown in the order of their names, over and over; `uncompiled`, the same
network from before the NPU's compiler, for this machine has no NPU. Parameters: `firmware`, the facts of configs/firmwares, and
`dialect`, 1.x or 2.x. It prints one JSON value a line, and nothing else, on stdout: first

    {"refused": why}    where the board's interpreter does not take the model, and ends; or
    {"ready": {"algorithm": 5, "kind": "keypoints", "score": 50, "iou": 45}}    algorithm 0: no decoder takes its outputs

and then for each line `{"score": 50, "iou": 45, "image": true, "frame": [240, 240]}` that it reads what the next frame gives, of
that size or, with null, of the picture's own:

    {"width", "height", "perf": [ms, ms, ms], "kind", "results": [...], "image": JPEG in base64 | ""}    (firmware_json.py); or
    {"cannot": why}     where this machine cannot compute what the board would
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from pathlib import Path
from time import monotonic
from typing import Any

import firmware_json
import numpy as np
import stage
from acceptance import Claim, claim
from arena import measure
from checks import Check
from command_stream import check_npu
from contract import check_arena, check_image, check_operators
from decoder import Frame
from kernels import Quantised, Runner, device_runner, quantised_of, why_not
from network import Network, read_network
from pictures import Unreadable, decode, stretch
from PIL import Image, ImageOps
from stage import Refused, Request

CAMERA = (
    640,
    640,
)  # pixels: no board's camera hands its firmware a longer side; a larger picture is scaled down to fit
JPEG_QUALITY = 85
Say = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Loaded:
    """A model that the board has accepted, and what computes it here; or, in `obstacle`, why nothing does."""

    claimed: Claim | None
    firmware: Mapping[str, Any]
    dialect: str
    quantised: Quantised | None = None
    run: Runner | None = None
    obstacle: str = ""


def main(request: Request) -> None:
    """Load the model, then answer for one frame after the other until the input ends."""
    converse(request, sys.stdin, speaker())


def speaker() -> Say:
    """Keep stdout for the answers; what libraries print there, in C++ too, goes to stderr from now on."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(value: Mapping[str, Any]) -> None:
        print(json.dumps(value), file=channel, flush=True)

    return say


def converse(request: Request, lines: Iterable[str], say: Say) -> None:
    """Say whether the model loads, then what each frame gives."""
    frames, file = camera(request.inputs["frames"]), request.inputs["model"]
    first = next(frames, None)
    if first is None:
        raise Refused("none of the frames can be read", "give JPEG or PNG pictures")
    try:
        network = read_network(file)
    except Refused as refusal:
        say({"refused": str(refusal)})
        return
    if problem := refuse(network, request.parameters["firmware"], file.read_bytes()):
        say({"refused": problem})
        return
    say({"ready": introduce((loaded := load(network, request)).claimed)})
    for line, picture in zip(lines, chain([first], frames), strict=False):
        say(answer(loaded, picture, **json.loads(line)))


def camera(folder: Path) -> Iterator[Image.Image]:
    """Yield pictures, over and over; what is no picture is told once, and passed over."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    while paths:
        for path in list(paths):
            try:
                picture = decode(path.read_bytes())
            except (OSError, Unreadable) as problem:
                print(f"{path.name}: passed over: {problem}", file=sys.stderr, flush=True)
                paths.remove(path)
                continue
            yield picture


# --- loading ------------------------------------------------------------------------------------------------------------------


def refuse(network: Network, firmware: Mapping[str, Any], content: bytes) -> str:
    """Say why the board's interpreter does not take the model, or nothing."""
    if problem := violation(check_operators(network, firmware)):
        return problem
    arena = measure(content, network, firmware["kernels"])
    return arena.problem or violation(check_arena(network, firmware, arena))


def violation(checks: Iterable[Check]) -> str:
    """Return the first violation among the checks, or nothing."""
    return next((check.text for check in checks if check.passes is False), "")


def accept(network: Network, firmware: Mapping[str, Any]) -> Claim | None:
    """Return the decoder that takes the model: each tests the input before the outputs."""
    wrong = any(violation(check_image(tensor.shape, firmware)) for tensor in network.inputs[:1])
    return None if wrong else claim(network, firmware)


def load(network: Network, request: Request) -> Loaded:
    """Choose the decoder as the firmware does, and find what can compute the network here."""
    firmware, file = request.parameters["firmware"], request.inputs["model"]
    loaded = Loaded(accept(network, firmware), firmware, request.parameters["dialect"])
    if loaded.claimed is None:
        return replace(loaded, obstacle="no decoder of this firmware takes its outputs")
    if problem := violation(check_npu(network, firmware, file.read_bytes())):
        return replace(loaded, obstacle=f"the NPU's driver refuses it: {problem}")
    if network.compiled:
        if "uncompiled" not in request.inputs:
            return replace(loaded, obstacle="this machine has no NPU, nor the file from before its compiler")
        file = request.inputs["uncompiled"]
        network = read_network(file)
    claimed = accept(network, firmware)
    if claimed is None or replace(claimed.heads, roles=()) != replace(loaded.claimed.heads, roles=()):
        return replace(loaded, obstacle="the file from before the NPU's compiler is another network")
    if problem := why_not(network, claimed.heads):
        return replace(loaded, obstacle=problem)
    quantised = quantised_of(network, claimed.heads)
    return replace(loaded, claimed=claimed, quantised=quantised, run=device_runner(file, quantised))


def introduce(claimed: Claim | None) -> dict[str, Any]:
    """Return the number of the decoder, what it finds, and its own thresholds."""
    one = claimed.accepted if claimed else {"algorithm": 0, "form": "", "score": 0, "iou": 0}
    return {"kind": firmware_json.kind(one["form"]), **{key: one[key] for key in ("algorithm", "score", "iou")}}


# --- running ------------------------------------------------------------------------------------------------------------------


def framed(picture: Image.Image, size: Sequence[int] | None) -> Image.Image:
    """Return what a camera makes of a picture: its middle, of its frame's size; or the whole, no larger than any camera's."""
    if size:
        return ImageOps.fit(picture, (size[0], size[1]))
    picture.thumbnail(CAMERA)
    return picture


def answer(
    loaded: Loaded, picture: Image.Image, *, score: int, iou: int, image: bool, frame: Sequence[int] | None = None
) -> dict[str, Any]:
    """Run one frame, of `frame` pixels in width and height if given, with thresholds in percent."""
    if loaded.run is None or loaded.claimed is None or loaded.quantised is None:
        return {"cannot": loaded.obstacle}
    picture = framed(picture, frame)
    times, heads = [monotonic()], loaded.claimed.heads
    fixed = loaded.firmware["input"]["resize"] == "fixed-point"
    fitted = stretch(np.asarray(picture), heads.imgsz, fixed_point=fixed)
    times.append(monotonic())
    values = loaded.run(fitted).values
    times.append(monotonic())
    outputs = Frame(values, heads.imgsz, picture.width, picture.height, loaded.quantised.scales)
    if loaded.dialect == "1.x":
        results = firmware_json.results(loaded.claimed.accepted["decoder"], outputs, score, iou)
    else:
        results = firmware_json.results_2(heads.form, outputs, score, iou)
    times.append(monotonic())
    return {
        "width": picture.width,
        "height": picture.height,
        "perf": [round(1000 * (end - start)) for start, end in pairwise(times)],
        "kind": firmware_json.kind(heads.form),
        "results": results,
        "image": jpeg(picture) if image else "",
    }


def jpeg(picture: Image.Image) -> str:
    """Return a frame as the firmware sends it."""
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=JPEG_QUALITY)
    return base64.b64encode(content.getvalue()).decode()


if __name__ == "__main__":
    stage.run(main)
