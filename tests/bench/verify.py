"""How long a frame takes on the accuracy ladder, by form, and how that scales over the cores; all in one run.

Run by `inv bench --model MODEL.tflite`: an int8 file, as the export makes it. Prints the CPU seconds that each form takes of a
frame, and `rest`: fitting, decoding, comparing. Then seconds a frame with one process and with one for each core, and the ratio;
there starting the processes and loading TensorFlow into them counts, as it does for a user.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from edgewright.config import load_project
from edgewright.engine import Job
from edgewright.venvs import Venv

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 64
ALONE = 16  # frames on which each form is timed by itself

# Runs in place of main.py, in the stage's environment.
SCRIPT = """
import json, sys, time
from pathlib import Path
import stage
sys.path.insert(0, str(Path(stage.__file__).with_name("verify")))
import tensorflow
from cores import count_cores
from frames import noise
from ladder import Bench, Decoding, Forms, measure_all
from main import quantised_of, recognise_heads
from network import read_network
model, count, alone = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
network = read_network(model)
heads = recognise_heads(network)
forms = Forms(heads, quantised_of(network, heads), model)
decoder = {"raw-pose": "sscma-pose", "raw-detect": "sscma-yolo-world", "decoded": "sscma-yolov8", "boxes-scores": "himax-od"}
decoding = Decoding(decoder[heads.form], 45, 50)
images = noise(heads.imgsz, count)

# By form: the least of some frames, as CPU time, so that who else uses the machine does not count.
bench, least = Bench(forms, decoding), {}
def timed(name, run):
    def clocked(image):
        begun = time.process_time()
        result = run(image)
        spent[name] = time.process_time() - begun
        return result
    return clocked
bench.runners = {name: timed(name, run) for name, run in bench.runners.items()}
for index, image in enumerate(images[:alone]):
    spent, begun = {}, time.process_time()
    bench.measure(index, image)
    spent["rest"] = time.process_time() - begun - sum(spent.values())
    least = {name: min(seconds, least.get(name, seconds)) for name, seconds in spent.items()}
whole = sum(least.values())

took = {}
for workers in (1, count_cores()):
    begun = time.monotonic()
    assert sum(1 for _ in measure_all(forms, decoding, images, workers)) == count
    took[workers] = time.monotonic() - begun
(_, single), (many, together) = list(took.items())[0], list(took.items())[-1]
print(json.dumps({"imgsz": heads.imgsz, "frames": count, "cores": many,
                  "cpu_s_by_form": {name: round(seconds, 4) for name, seconds in least.items()},
                  "share_by_form": {name: round(seconds / whole, 3) for name, seconds in least.items()},
                  "one_core_s_per_frame": single / count, "s_per_frame": together / count, "ratio": single / together}))
"""


def main(model: Path) -> None:
    """Measure and print."""
    engine, stage = Venv(ROOT), load_project(ROOT).stages["verify"]
    engine.version()
    environment = engine.prepare(stage)
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder, "run")
        own.mkdir()
        engine.take(own)
        (own / "bench.py").write_text(SCRIPT)
        argv = engine.argv(environment, Job("bench", Path(folder), "run", "", limits=stage.limits))
        words = [*argv[:-2], str(own / "bench.py"), str(model), str(FRAMES), str(ALONE)]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    print(json.dumps(json.loads(done.stdout.strip().splitlines()[-1])))


if __name__ == "__main__":
    os.chdir(ROOT)
    main(Path(sys.argv[1]).resolve())
