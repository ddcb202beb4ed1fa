"""How the accuracy ladder scales over the cores: the same frames with one process and with one for each core, in one run.

Run by `inv bench --model MODEL.tflite`: an int8 file, as the export makes it. Prints seconds a frame and the ratio; starting the
processes and loading TensorFlow into them counts, as it does for a user.
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

# Runs in place of main.py, in the stage's environment.
SCRIPT = """
import json, sys, time
from pathlib import Path
import stage
sys.path.insert(0, str(Path(stage.__file__).with_name("verify")))
import tensorflow
from cores import count_cores
from frames import noise
from ladder import Decoding, Forms, measure_all
from main import quantised_of, recognise_heads
from network import read_network
model, count = Path(sys.argv[1]), int(sys.argv[2])
network = read_network(model)
heads = recognise_heads(network)
forms = Forms(heads, quantised_of(network, heads), model)
decoding = Decoding("sscma-pose" if heads.form == "raw-pose" else "sscma-yolo-world", 45, 50)
images = noise(heads.imgsz, count)
took = {}
for workers in (1, count_cores()):
    begun = time.monotonic()
    assert sum(1 for _ in measure_all(forms, decoding, images, workers)) == count
    took[workers] = time.monotonic() - begun
(one, alone), (many, together) = list(took.items())[0], list(took.items())[-1]
print(json.dumps({"imgsz": heads.imgsz, "frames": count, "cores": many, "one_core_s_per_frame": alone / count,
                  "s_per_frame": together / count, "ratio": alone / together}))
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
        words = [*argv[:-2], str(own / "bench.py"), str(model), str(FRAMES)]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    print(json.dumps(json.loads(done.stdout.strip().splitlines()[-1])))


if __name__ == "__main__":
    os.chdir(ROOT)
    main(Path(sys.argv[1]).resolve())
