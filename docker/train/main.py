"""The train stage: from a data set, and perhaps weights, to `best.pt` with its curves and its accuracy."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Threads that wait for each other spin, by default so long that two trainings on the same cores are many times slower; alone,
# this costs nothing (measured). OpenMP reads it when torch is loaded; the results are the same.
os.environ["GOMP_SPINCOUNT"] = "1000"

import hyperparameters
import stage
import torch
from confinement import confine
from dataset import read_data, refuse_unlabelled
from meter import duration
from network import read_start, write
from run import RUNS, Run
from stage import Refused, Request

METRICS = {
    "box_ap50": "metrics/mAP50(B)",
    "box_ap": "metrics/mAP50-95(B)",
    "keypoint_ap50": "metrics/mAP50(P)",
    "keypoint_ap": "metrics/mAP50-95(P)",
}


def main(request: Request) -> None:
    """Train, and write the four outputs."""
    parameters = request.parameters
    task = parameters["task"]
    learning = learning_settings(parameters)
    device = pick_device(parameters["gpu"])
    data = read_data(request.inputs["manifest"], request.inputs["dataset"])
    if (task == "pose") != bool(data.keypoints):
        raise Refused(f"the recipe trains {task}, and the data set was checked for something else", hint="FORCE=1")
    for split, pictures in (("train", data.train), ("val", data.val)):
        refuse_unlabelled(split, pictures)
    start = read_start(task, parameters["model"], request.inputs.get("weights"))
    print(f"{task}: {len(data.train)} images to learn from, {len(data.val)} to validate on", flush=True)

    confine()
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch, one_line_for_what_runs_out(parameters):
        amp = {} if parameters["gpu"] else {"amp": False}  # there is no float16 on a CPU
        settings = {**learning, **amp, "device": device, "workers": parameters["workers"]}
        run = RUNS[task](data, start, parameters["ema_tau"], Path(scratch), settings)
        run.train()
        write_outputs(request.output, run, learning)
    print(f"best epoch {run.best_epoch} of {run.epoch + 1}, after {duration(time.monotonic() - begun_s)}", flush=True)


def learning_settings(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the parameters into ultralytics' settings, as far as they shape the result; these go into best.pt."""
    names = ("task", "imgsz", "epochs", "patience", "batch", "optimizer", "lr0", "seed")
    chosen = {name: parameters[name] for name in names}
    return {
        **chosen,
        **dict(sorted(hyperparameters.check(parameters["hyperparameters"]).items())),
    }  # as the order is in best.pt


def pick_device(gpu: bool) -> torch.device:
    """Return the device. A GPU that was asked for and cannot be seen is an error, never the CPU instead.

    Given a name, ultralytics would choose by itself, and start processes to find out what the CPU is called.
    """
    if not gpu:
        print(f"on the CPU, {torch.get_num_threads()} threads", flush=True)
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise Refused("a GPU was asked for and this environment sees none", hint="GPU=0")
    print(f"on {torch.cuda.get_device_name(0)}", flush=True)
    return torch.device("cuda", 0)


@contextmanager
def one_line_for_what_runs_out(parameters: Mapping[str, Any]) -> Iterator[None]:
    """Turn a lack of memory or disk, which no check can foresee, into a refusal."""
    batch = parameters["batch"]
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        message = f"the GPU has too little memory for batch = {batch} at imgsz = {parameters['imgsz']}"
        raise Refused(message, hint=f"batch = {max(batch // 2, 1)} under [train] in the recipe") from None
    except OSError as error:
        if str(error).startswith("Image Not Found"):  # Pillow, with which the data stage looks, reads more than OpenCV
            raise Refused(f"{str(error)[16:]}: OpenCV cannot read it", hint="convert it to PNG or JPEG") from None
        if error.errno != errno.ENOSPC:
            raise
        where = f": {error.filename}" if error.filename else ""
        raise Refused(f"no space left on the disk{where}", hint="make clean, or free some space") from None
    except RuntimeError as error:
        if "Bus error" not in str(error):  # how torch says that /dev/shm is full
            raise
        raise Refused(
            "the image loaders ran out of shared memory", hint="workers = 0 under [train] in the recipe"
        ) from None


def write_outputs(output: Path, run: Run, learning: Mapping[str, Any]) -> None:
    """Write best.pt, results.csv, metrics.json and the plots; the same run writes the same bytes."""
    write(output / "best.pt", run.best_network(), learning)
    shutil.copyfile(run.csv, output / "results.csv")
    found = {name: run.metrics[key] for name, key in METRICS.items() if key in run.metrics}
    report = {"task": learning["task"], "epochs": run.epoch + 1, "best_epoch": run.best_epoch, **found}
    (output / "metrics.json").write_text(json.dumps(report, indent=2) + "\n")
    (output / "plots").mkdir()
    for plot in sorted((*run.save_dir.glob("*.png"), *run.save_dir.glob("*.jpg"))):
        shutil.copyfile(plot, output / "plots" / plot.name)
    print(", ".join(f"{name} {value:.3f}" for name, value in found.items()), flush=True)


if __name__ == "__main__":
    stage.run(main)
