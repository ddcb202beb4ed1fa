"""The vela stage against what it was, its C code not optimised and no patches, and against the system's gcc -O3 with the patches.

Run by `inv bench --device DEVICE --model MODEL.tflite`, an int8 file. The three take turns, the least of three rounds counts.
Prints seconds of the whole step and of the processors, which other work on the machine does not stretch, the ratios of both, and
whether all wrote the same bytes.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from shutil import copy

from edgewright.build import Build
from edgewright.cache import Store
from edgewright.config import Stage, load_project
from edgewright.engine import Environment
from edgewright.plan import Options, make_plan
from edgewright.venvs import Venv, install_argvs, python_of

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 3
FLAGS = 'CFLAGS="-O3 -DNDEBUG -fwrapv -fno-sanitize=undefined -g0"'
ZIG = 'CC="$env/bin/python -m ziglang cc -target x86_64-linux-gnu -idirafter /usr/include"'
# What each build has instead: without patches, as it was before them; with them, by another compiler.
VARIANTS = {
    "unoptimised": ({FLAGS: "CFLAGS=-g0"}, False),
    "gcc": ({ZIG: "CC=gcc", "-fno-sanitize=undefined ": ""}, True),
}


class Variant(Venv):
    """The venv engine with another environment for the stage."""

    environment: Environment

    def prepare(self, _: Stage) -> Environment:
        """Return that environment."""
        return self.environment


def main(device: str, model: Path) -> None:
    """Measure and print."""
    project = load_project(ROOT)
    recipe = next(iter(project.recipes.values()))
    plan = make_plan(project, project.pick("device", device), recipe, Options({"model": model}))
    step = next((step for step in plan.steps if step.stage.name == "vela"), None)
    if not step:
        sys.exit(f"error: {device} has no NPU")
    ours = Venv(ROOT)
    ours.version()
    with tempfile.TemporaryDirectory() as scratch:
        engines = {"stage": ours, **{name: variant(name, step.stage, Path(scratch)) for name in VARIANTS}}
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
        bytes_of = set()
        for number in range(ROUNDS):
            for name, engine in engines.items():
                volume = Path(scratch, f"{name}-{number}")
                build = Build(plan, engine, volume, store=Store(volume / "store"))
                engine.prepare(step.stage)
                begun, worked = time.monotonic(), cpu_s()
                record = build.run(step)
                took[name].append((time.monotonic() - begun, cpu_s() - worked))
                bytes_of.add((volume / record.path("model")).read_bytes())
    said: dict[str, object] = {"same_bytes": len(bytes_of) == 1}
    for unit, column in (("s", 0), ("cpu_s", 1)):
        least = {name: min(times[column] for times in took[name]) for name in took}
        said |= {f"{name}_{unit}": round(seconds, 2) for name, seconds in least.items()}
        said |= {f"{unit}_to_{name}": round(least["stage"] / least[name], 3) for name in VARIANTS}
    print(json.dumps(said))


def cpu_s() -> float:
    """Return the processors' seconds of all processes that we started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def variant(name: str, stage: Stage, scratch: Path) -> Variant:
    """Build the stage's venv another way, from a copy of its recipe."""
    replaced, patched = VARIANTS[name]
    root, place = scratch / f"recipe-{name}", f"docker/{stage.name}"
    (root / place).mkdir(parents=True)
    for lock in stage.folder.glob("*requirements.txt"):
        copy(lock, root / place)
    recipe = (ROOT / "docker" / "install.sh").read_text()
    for before, after in replaced.items():
        assert before in recipe, before
        recipe = recipe.replace(before, after)
    (root / "docker" / "install.sh").write_text(recipe)
    folder = scratch / f"env-{name}"
    argvs = install_argvs(folder, root, place)
    if patched:
        argvs.append([str(python_of(folder)), str(ROOT / "docker" / "patch.py"), str(ROOT / stage.patches)])
    for argv in [*argvs, ["env", f"EDGEWRIGHT_ENV={folder}", "sh", "docker/install.sh", "compile"]]:
        subprocess.run(argv, cwd=root, check=True, stdout=sys.stderr)
    engine = Variant(ROOT)
    engine.version()
    engine.environment = Environment(stage, str(folder), name)
    return engine


if __name__ == "__main__":
    os.chdir(ROOT)
    main(sys.argv[1], Path(sys.argv[2]).resolve())
