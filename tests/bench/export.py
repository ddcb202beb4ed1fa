"""The export stage against stock `yolo export`: same weights, images, versions and environment variables, one after the other.

Run by `inv bench`: export.py WEIGHTS DATA_FOLDER. Prints seconds and their ratio. Stock gets help that a user would have to find
out: the sample file that it downloads, and the float32 mean and deviation without which 8.2.24 ends with an error; it has byte
code compiled, as the stage's environment has.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from edgewright.build import Build
from edgewright.config import load_project
from edgewright.engine import Environment, Job
from edgewright.plan import Options, Plan, Step, make_plan
from edgewright.venvs import MARK, Venv, python_of, uv

ROOT = Path(__file__).resolve().parents[2]
EXPORTER = "ultralytics/engine/exporter.py"
# What keeps stock from running at all on a machine without network and without libusb.
HELP = (
    (
        "[[[[0, 0, 0]]]], [[[[255, 255, 255]]]]",
        "np.zeros((1, 1, 1, 3), np.float32), np.full((1, 1, 1, 3), 255, np.float32)",
    ),
    (
        'metadata to *.tflite models per https://www.tensorflow.org/lite/models/convert/metadata."""',
        '"""\n        return',
    ),
)
SAMPLE = "import numpy as np; np.save('calibration_image_sample_data_20x128x128x3_float32.npy', np.zeros((20, 128, 128, 3), 'f4'))"


def main(weights: Path, data: Path) -> None:
    """Measure both and print them."""
    engine = Venv(ROOT)
    engine.version()
    project = load_project(ROOT)
    plan = make_plan(
        project,
        project.pick("device", "esp32s3"),
        project.pick("recipe", "figures-pose"),
        Options({"weights": weights, "dataset": data}),
    )
    step = export_of(plan)
    environment = engine.prepare(step.stage)
    stock = stock_environment(environment)
    variables = [
        word for word in engine.argv(environment, Job("", Path("/tmp"), "", "")) if re.match(r"[A-Z_]+=", word)
    ]
    imgsz = step.parameters["imgsz"]
    with tempfile.TemporaryDirectory() as scratch:
        theirs = seconds_of_stock(Path(scratch), stock, variables, weights, data, imgsz)
    with tempfile.TemporaryDirectory() as scratch:
        ours = seconds_of_stage(Path(scratch), engine, plan)
    images = len(list((data / "images" / "val").iterdir()))
    print(
        json.dumps({"imgsz": imgsz, "images_stock": images, "stock_s": theirs, "stage_s": ours, "ratio": theirs / ours})
    )


def stock_environment(patched: Environment) -> Path:
    """Return a venv of the same lock without the patches."""
    folder = Path(patched.name).with_name(Path(patched.name).name + "-stock")
    if not (folder / MARK).exists():
        subprocess.run([uv(), "venv", "--quiet", "--clear", "--python", "3.11", folder], check=True)
        lock = f"docker/{patched.stage.name}/requirements.txt"
        install = [uv(), "pip", "install", "--quiet", "--no-deps", "--python", folder, "--require-hashes", "-r", lock]
        subprocess.run(install, cwd=ROOT, check=True)
        (exporter,) = folder.glob(f"lib/*/site-packages/{EXPORTER}")
        text = exporter.read_text()
        for before, after in HELP:
            assert before in text, before
            text = text.replace(before, after)
        exporter.unlink()  # uv may have linked it from its cache
        exporter.write_text(text)
        compile_all = ["env", f"EDGEWRIGHT_ENV={folder}", "sh", "docker/install.sh", "compile"]
        subprocess.run(compile_all, cwd=ROOT, check=True)
        (folder / MARK).touch()
    return python_of(folder)


def seconds_of_stock(folder: Path, python: Path, variables: list[str], weights: Path, data: Path, imgsz: int) -> float:
    """Run `yolo export` on the validation images, as ultralytics does by itself."""
    (folder / "best.pt").write_bytes(weights.read_bytes())
    for split in ("images", "labels"):
        (folder / "set" / split).mkdir(parents=True)
        for path in (data / split / "val").iterdir():
            if path.suffix != ".cache":
                (folder / "set" / split / path.name).write_bytes(path.read_bytes())
    text = f"path: {folder}/set\ntrain: images\nval: images\nnames: [person]\nkpt_shape: [17, 3]\n"
    (folder / "data.yaml").write_text(text)
    environment = [*variables, f"HOME={folder}", f"YOLO_CONFIG_DIR={folder}", f"MPLCONFIGDIR={folder}"]
    start = ["env", "-i", "PATH=/usr/bin:/bin", *environment, str(python)]
    subprocess.run([*start, "-c", SAMPLE], cwd=folder, check=True)
    words = ["model=best.pt", "format=tflite", "int8=True", f"imgsz={imgsz}", "data=data.yaml"]
    entry = "import sys; from ultralytics.cfg import entrypoint; sys.exit(entrypoint())"
    begun = time.monotonic()
    done = subprocess.run(
        [*start, "-c", entry, "export", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    took = time.monotonic() - begun
    if done.returncode or not list(folder.glob("*_saved_model/*_full_integer_quant.tflite")):
        sys.exit(f"stock made no int8 file:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return took


def seconds_of_stage(volume: Path, engine: Venv, plan: Plan) -> float:
    """Run the steps before the export, then the export, and return the seconds of the latter."""
    walk, export = Build(plan, engine, volume), export_of(plan)
    for step in plan.steps[: plan.steps.index(export)]:
        walk.run(step)
    begun = time.monotonic()
    walk.run(export)
    return time.monotonic() - begun


def export_of(plan: Plan) -> Step:
    """Return the plan's export."""
    return next(step for step in plan.steps if step.stage.name == "export")


if __name__ == "__main__":
    os.chdir(ROOT)
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
