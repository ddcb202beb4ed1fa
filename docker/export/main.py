"""Export: weights of a YOLOv8 network to an int8 TFLite file whose outputs are what the firmware decodes.

Request: inputs `network` (.npz) and `calibration` (.npy, uint8 NHWC); parameters `imgsz`, `outputs`, `quant_type`.
The work is done by YOLO.export() of the ultralytics that patches/ultralytics has been applied to; what it cannot be told
by an argument comes with the model: `raw` on the head, and `quant_type`.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import chdir
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before these are imported: TensorFlow greets in ten lines, ultralytics recommends commands that do not exist here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("YOLO_VERBOSE", "false")

import numpy as np
import stage
import tflite_model
from calibration import read_calibration
from canonical import read_network
from numpy.typing import NDArray
from stage import Refused, Request
from weights import Weights, build_network

if TYPE_CHECKING:
    from ultralytics.nn.tasks import DetectionModel

DECODED = ["decoded"]  # the one output name that means: decode in the network
STRIDES = (8, 16, 32)
# Every path that any tool sees is this one, relative to a scratch folder: none can leave a trace of the machine.
CHECKPOINT, CALIBRATION, FOLDER = Path("model.pt"), Path("calibration.npy"), Path("model_saved_model")
PACKAGES = ("torch", "ultralytics", "onnx", "onnxsim", "onnx2tf", "tensorflow", "tflite-micro", "numpy")
STEPS = 4
INPUT_SCALE, INPUT_ZERO_POINT = float(np.float32(1 / 255)), -128  # the firmware feeds pixel - 128
TOLERANCE = 0.01  # of the largest value, between torch and TFLite in float32; measured: 1e-5


@dataclass(frozen=True)
class Job:
    """One export, checked: everything that decides its bytes."""

    weights: Weights
    images: NDArray[Any]  # uint8 [N, imgsz, imgsz, 3]
    imgsz: int
    outputs: list[str]  # in the firmware's order
    quant_type: str

    @property
    def raw(self) -> bool:
        """Whether the heads leave the network undecoded."""
        return self.outputs != DECODED


def main(request: Request) -> None:
    """Check the input, convert, check the output, write the files."""
    stage.progress(0, STEPS, "read network and calibration")
    job = read_job(request)
    scratch = request.output / "scratch"
    scratch.mkdir(exist_ok=True)
    try:
        with chdir(scratch):
            network = prepare(job)
            stage.progress(1, STEPS, "convert to ONNX, TFLite float32 and int8")
            convert(job)
            stage.progress(2, STEPS, "put the outputs in order and compare with torch")
            float_file, int8_file = (finish(job, kind) for kind in ("float32", "full_integer_quant"))
            check_int8(job, int8_file)
            check_float(job, network, float_file)
            onnx_file = CHECKPOINT.with_suffix(".onnx").read_bytes()
    finally:
        shutil.rmtree(scratch)
    stage.progress(3, STEPS, "write")
    (request.output / "model_int8.tflite").write_bytes(int8_file)
    (request.output / "model_float32.tflite").write_bytes(float_file)
    (request.output / "model.onnx").write_bytes(onnx_file)
    (request.output / "labels.txt").write_text("".join(f"{name}\n" for name in job.weights.names))
    (request.output / "export.json").write_text(json.dumps(report(job, int8_file), indent=2) + "\n")
    stage.progress(STEPS, STEPS, f"{len(int8_file):,} bytes int8")


def read_job(request: Request) -> Job:
    """Parse the request; whatever the user can get wrong is refused here, before anything heavy is imported."""
    imgsz, table = request.parameters["imgsz"], request.parameters["outputs"]
    if imgsz % max(STRIDES):
        raise Refused(f"imgsz {imgsz} is not a multiple of {max(STRIDES)}", f"IMGSZ={max(imgsz // 32, 1) * 32}")
    weights = read_network(request.inputs["network"])
    outputs = table.get(weights.task)
    heads = [f"{branch}{stride}" for branch in ("box", "cls") for stride in STRIDES]
    heads += ["kpt"] if weights.task == "pose" else []
    if outputs is None:
        tasks = " or ".join(sorted(table))
        takes, hint = (tasks, f"give a {tasks} model") if table else ("none that is made here", "another FIRMWARE=")
        raise Refused(f"{weights.path}: a {weights.task} model; this firmware takes {takes}", hint)
    if outputs != DECODED and sorted(outputs) != sorted(heads):
        raise Refused(f"outputs of {weights.task} are {outputs}", f"{DECODED}, or each of {heads} once, in any order")
    if outputs != DECODED and len(weights.names) == 64:
        raise Refused(
            f"{weights.path}: 64 classes; the firmware tells boxes from classes by their 64 columns",
            "train with one class more or less",
        )
    images = read_calibration(request.inputs["calibration"], imgsz)
    return Job(weights, images, imgsz, outputs, request.parameters.get("quant_type", "per-tensor"))


def prepare(job: Job) -> DetectionModel:
    """Write the network as a checkpoint of the pinned release and the calibration array; return the network, fused."""
    import torch

    network = build_network(job.weights)
    torch.set_grad_enabled(False)
    network.model[-1].raw = job.raw
    network.quant_type = job.quant_type
    arguments = {"task": job.weights.task, "imgsz": job.imgsz}
    torch.save({"model": network, "train_args": arguments, "version": version("ultralytics")}, CHECKPOINT)
    np.save(CALIBRATION, job.images)
    return network.fuse(verbose=False)


def convert(job: Job) -> None:
    """Let ultralytics write model.onnx and, in FOLDER, model_float32.tflite and model_full_integer_quant.tflite."""
    import torch
    from ultralytics import YOLO

    device = torch.device("cpu")  # as an object: a name would have it ask the machine for its CPU, in subprocesses
    model = YOLO(str(CHECKPOINT))
    model.export(format="tflite", int8=True, imgsz=job.imgsz, data=str(CALIBRATION), device=device)


def finish(job: Job, kind: str) -> bytes:
    """One converted file, with its outputs in the firmware's order and under their names."""
    import onnx
    from tflite import aligned, put_outputs_in_order

    found = [output.name for output in onnx.load(CHECKPOINT.with_suffix(".onnx")).graph.output] if job.raw else DECODED
    file = bytearray((FOLDER / f"model_{kind}.tflite").read_bytes())
    put_outputs_in_order(file, found, job.outputs)
    finished = aligned(bytes(file), Path(f"{kind}.tflite"))
    # Whatever reads it later goes through the same door.
    tflite_model.read(finished, f"model_{kind}.tflite")
    return finished


def output_shapes(job: Job) -> dict[str, list[int]]:
    """The shape of every output that there may be, by name: one row an anchor."""
    anchors = {stride: (job.imgsz // stride) ** 2 for stride in STRIDES}
    shapes = {f"box{stride}": [1, count, 64] for stride, count in anchors.items()}
    shapes |= {f"cls{stride}": [1, count, len(job.weights.names)] for stride, count in anchors.items()}
    keypoints, every = int(np.prod(job.weights.kpt_shape or 0)), sum(anchors.values())
    return shapes | {"kpt": [1, every, keypoints], "decoded": [1, 4 + len(job.weights.names) + keypoints, every]}


def check_int8(job: Job, file: bytes) -> None:
    """The int8 file is what the firmware wants, whatever the converters did."""
    from tflite import describe

    made, shapes = describe(file), output_shapes(job)
    image: dict[str, Any] = {"shape": [1, job.imgsz, job.imgsz, 3], "type": "int8"}
    image |= {"scale": INPUT_SCALE, "zero_point": INPUT_ZERO_POINT}
    if [{key: row.get(key) for key in image} for row in made["inputs"]] != [image]:
        raise RuntimeError(f"the input is {made['inputs']}, not {image}")
    wanted = [(name, shapes[name], "int8") for name in job.outputs]
    if [(row["name"], row["shape"], row["type"]) for row in made["outputs"]] != wanted:
        raise RuntimeError(f"the outputs are {made['outputs']}, not {wanted}")


def check_float(job: Job, network: DetectionModel, file: bytes) -> None:
    """The float file gives what torch gives for one image: nothing was mixed up or transposed on the way."""
    import tensorflow as tf
    import torch

    image = job.images[:1].astype(np.float32) / 255
    head = network.model[-1]
    head.export, head.format = True, "tflite"
    result = network(torch.from_numpy(image.transpose(0, 3, 1, 2).copy()))
    names = head.raw_names() if job.raw else DECODED
    expected = dict(zip(names, result if job.raw else [result], strict=True))

    plain = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = tf.lite.Interpreter(model_content=file, num_threads=1, experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    for detail in interpreter.get_output_details():
        reference = expected[detail["name"]].numpy()
        error = np.abs(interpreter.get_tensor(detail["index"]) - reference).max()
        if not error <= TOLERANCE * np.abs(reference).max():
            raise RuntimeError(f"{detail['name']} of the float file differs from torch by {error}")


def report(job: Job, file: bytes) -> dict[str, Any]:
    """What went in and what came out; the same on every machine."""
    from tflite import describe

    return {
        "task": job.weights.task,
        "architecture": f"yolov8{job.weights.scale}" + ("-pose" if job.weights.task == "pose" else ""),
        "names": list(job.weights.names),
        "kpt_shape": list(job.weights.kpt_shape) if job.weights.kpt_shape else None,
        "imgsz": job.imgsz,
        "quant_type": job.quant_type,
        "calibration_images": len(job.images),
        "weights_digest": job.weights.digest,
        **describe(file),
        "versions": {package: version(package) for package in PACKAGES},
    }


if __name__ == "__main__":
    stage.run(main)
