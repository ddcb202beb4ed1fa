"""Verify: prove on the host what the board will do: the model's contract with the firmware, its accuracy on the device's kernels.

Inputs: `model`, what the board gets; `uncompiled`, the same before Vela, for a host cannot run a command stream; the float forms
`network`, `onnx` and `model_float` as far as there are any; `manifest` and `dataset` for the frames; Vela's `summary`.
Parameters: `task`; `firmware` and `device`, the facts of configs/; `frames`, `pictures`, `gates`, `sigmas`, `skeleton`, `speed`.

A model that does not fit is a result, not an error: report.json says so, with everything that is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import canonical
import firmware_json
import kernels
import report
import stage
from acceptance import claim, side
from accuracy import Terms, check_gates
from arena import measure
from contract import check
from difference import as_row, origins
from findings import Findings
from frames import Sample, noise, take
from heads import Heads, recognise
from isolation import Crashed, run_isolated
from kernels import quantised_of, why_not
from ladder import Decoding, Forms, measure_all
from metrics import sigmas_of
from network import Network, read_network
from stage import Refused, Request
from tflite_model import read_file

NOISE_FRAMES = 4  # where there are no images, kernels are compared on noise
FRAMES_EXPLORED = 8  # of those on which kernels differ: each takes a second, and half a GB
# Thresholds in percent where the firmware decodes no such outputs and only kernels are compared: those of most firmware.
SCORE, IOU = 50, 45


def main(request: Request) -> None:
    """Check the contract, climb the ladder, write the report; what stops it halfway leaves a report marked as partial."""
    parameters = request.parameters
    check_gates(parameters["gates"])
    found = inspect(request)
    check_task(found.heads, parameters["task"], found.file.name)
    stopped = None
    try:
        climb(found, request)
    except Refused as refusal:
        found.partial.append(str(refusal))
        stopped = refusal
    made = report.assemble(found, request)
    firmware_json.write(request.output, found)
    report.write(request.output, made, report.draw_pairs(found, parameters["pictures"], parameters["skeleton"]))
    stage.progress(1, 1, f"{made['verdict']['state']}: {made['verdict']['summary']}")
    if stopped:
        raise stopped


def inspect(request: Request) -> Findings:
    """Read the file and check it against the firmware's contract, without running it on anything but TFLM's allocator."""
    firmware, file = request.parameters["firmware"], request.inputs["model"]
    network = read_network(file)
    heads, claimed = recognise_heads(network), claim(network, firmware)
    stage.progress(0, 1, "arena and contract")
    content = file.read_bytes()
    arena = measure(content, network, firmware["kernels"])
    checks = check(network, heads, firmware, arena, content)
    if claimed:
        return Findings(file, network, claimed.heads, arena, checks, claimed.accepted)
    return Findings(file, network, heads, arena, checks, None)


def recognise_heads(network: Network) -> Heads | None:
    """The network's form, as its outputs' shapes tell."""
    return recognise(side(network), [tensor.shape for tensor in network.outputs])


def check_task(heads: Heads | None, task: str, name: str) -> None:
    """Refuse a model of another task than the recipe's: neither its gates nor its keypoints are the model's."""
    if heads and task and task not in heads.tasks:
        raise Refused(f"{name} is a {heads.task} model, and the recipe is for {task}", "leave out RECIPE=")


def climb(found: Findings, request: Request) -> None:
    """Measure every frame, as far as this machine can run the network and the firmware can decode it."""
    source = request.inputs.get("uncompiled", found.file)
    network = found.network if source == found.file else read_network(source)
    obstacle = why_not(network, found.heads)
    if obstacle or not found.heads:
        found.notes.append(f"accuracy was not measured: {obstacle}")
        return
    if problem := kernels.obstacle(source):
        found.partial.append(f"TFLite cannot run it: {problem}")
        return
    # What an interpreter reads unasked goes through the same door as the model.
    if float32 := request.inputs.get("model_float"):
        read_file(float32)
    if weights := request.inputs.get("network"):
        check_weights(weights, found.heads)
    problem = (found.arena if source == found.file else measure(source.read_bytes(), network, "reference")).problem
    if problem:
        found.partial.append(f"the device's own kernels cannot run it: {problem}")
    found.forms = Forms(
        heads=found.heads,
        quantised=quantised_of(network, found.heads),
        int8=source,
        weights=weights,
        onnx=request.inputs.get("onnx"),
        float32=float32,
        micro=not problem,
        fixed_point=request.parameters["firmware"]["input"]["resize"] == "fixed-point",
    )
    found.terms = terms_of(found, request.parameters)
    found.sample = sample_of(found, request)
    decoding = None
    if found.accepted and found.sample:
        decoding = Decoding(found.accepted["decoder"], found.terms.iou, found.terms.score)
    for measured in measure_all(found.forms, decoding, found.sample or noise(found.heads.imgsz, NOISE_FRAMES)):
        if found.sample:
            found.truth.append(found.sample.labels(measured.index, measured.width, measured.height))
        found.frames.append(measured)
        if measured.device and measured.device.values:
            explain(found, network, measured.index)


def check_weights(path: Path, heads: Heads) -> None:
    """Refuse weights of another network than the model's: there would be nothing to compare."""
    weights = canonical.read_network(path)
    theirs = (weights.task, len(weights.names), weights.kpt_shape[0] if weights.kpt_shape else 0)
    if theirs != (heads.task, heads.classes, heads.keypoints):
        described = [
            f"{task}, {classes} classes, {points} keypoints"
            for task, classes, points in (theirs, (heads.task, heads.classes, heads.keypoints))
        ]
        raise Refused(f"{path}: {described[0]}; the model has {described[1]}", "give the weights that it was made from")


def terms_of(found: Findings, parameters: Mapping[str, Any]) -> Terms:
    """What is measured by: the firmware's thresholds, the recipe's sigmas and gates."""
    assert found.heads
    sigmas, keypoints = parameters["sigmas"], found.heads.keypoints
    for name in ("sigmas", "keypoint_names"):
        if keypoints and parameters[name] and len(parameters[name]) != keypoints:
            count = len(parameters[name])
            raise Refused(f"{name}: {count} for {keypoints} keypoints", "one a keypoint, under [verify] in the recipe")
    for pair in parameters["skeleton"]:
        if not isinstance(pair, list) or len(pair) != 2 or not all(p in range(keypoints) for p in pair):
            raise Refused(
                f"skeleton: {pair!r} does not join two of {keypoints} keypoints",
                "pairs of numbers from 0, under [verify]",
            )
    shown = found.accepted or {"score": SCORE, "iou": IOU}
    return Terms(
        score=shown["score"],
        iou=shown["iou"],
        imgsz=found.heads.imgsz,
        keypoints=keypoints,
        sigmas=sigmas_of(keypoints, sigmas) if keypoints else (),
        gates=parameters["gates"],
        keypoint_names=parameters["keypoint_names"],
    )


def sample_of(found: Findings, request: Request) -> Sample | None:
    """The frames to measure on; without any, or without a decoder, only kernels are compared."""
    assert found.heads
    manifest, folder = request.inputs.get("manifest"), request.inputs.get("dataset")
    if not found.accepted:
        found.notes.append(f"AP was not measured: this firmware does not decode {found.heads.form} outputs")
        return None
    if not manifest or not folder:
        found.notes.append("AP was not measured: no images; DATA=data.yaml measures it on its validation split")
        return None
    sample = take(manifest, folder, request.parameters["frames"])
    if found.heads.keypoints and sample.keypoints and sample.keypoints != found.heads.keypoints:
        found.notes.append(
            f"keypoint AP is undefined: the labels have {sample.keypoints} keypoints, the model {found.heads.keypoints}"
        )
    return sample


def explain(found: Findings, network: Network, index: int) -> None:
    """Find out where TFLM and the reference kernels part on a frame; keep the first place, or the first that nothing explains."""
    assert found.forms
    known = found.difference and found.difference["explained"]
    if found.explored >= FRAMES_EXPLORED or (found.difference and not known):
        return
    found.explored += 1
    size = found.forms.heads.imgsz
    image = found.sample.pixels(index) if found.sample else noise(size, NOISE_FRAMES)[index]
    try:
        places = run_isolated(origins, found.forms.int8, found.forms.int8, network, found.forms.fit(image))
    except (Crashed, *kernels.FAULTS) as problem:
        found.notes.append(f"where the kernels part was not found: the search failed ({kernels.one_line(problem)})")
        return
    first = next((place for place in places if not place.explained), None) or (places[0] if places else None)
    if first and not (known and first.explained):
        found.difference = as_row(first, found.sample.name(index) if found.sample else f"noise {index}")


if __name__ == "__main__":
    stage.run(main)
