"""SIGKILL, a full disk, two runs at once: with real engines, what was finished is kept, and the next run is right.

tests/unit/test_cache.py does the same in every phase with a toy engine; here a real tool runs, in containers that outlive who
started them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tflite_maker import Made, Node, tflite_file

from edgewright import digest
from edgewright.config import load_project
from edgewright.engine import Engine
from tests.conftest import ROOT, Workspace, first_engine
from tests.pipeline.test_interruption import running

Maker = Callable[[str], Workspace]
DEVICE = "grove-vision-ai-v2"
# `inv deploy`, in which a phase ends in the process's own death.
KILLED = """
import os, signal, sys
from edgewright import build, cache, execute, outputs, records
from invoke.main import program
module, name = sys.argv.pop(1).split(".")
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
owners = {"execute": execute, "cache": cache, "records": records, "build": build, "outputs": outputs, "Store": cache.Store}
setattr(owners[module], name, die)
program.run(["inv", *sys.argv[1:]])
"""


@pytest.fixture
def make(tmp_path: Path, engine: Engine) -> Maker:
    """Return a maker of workspaces whose pipeline is Vela alone: 3 s, and an image that every engine can build in a test."""

    def made(name: str) -> Workspace:
        workspace = Workspace(tmp_path / name)
        path = workspace.root / "configs" / "devices" / f"{DEVICE}.toml"
        lines = [line for line in path.read_text().splitlines() if not line.startswith("pipeline")]
        path.write_text("\n".join(['pipeline = ["vela"]', *lines]))
        return workspace

    engine.prepare(load_project(ROOT).stages["vela"])
    return made


@pytest.fixture
def options(engine: Engine, tmp_path: Path) -> dict[str, object]:
    """Return what is deployed: a network of one addition, for which Vela takes a second."""
    tensors = [Made(name, (1, 8, 8, 4)) for name in "abc"]
    model = tmp_path / "tiny.tflite"
    model.write_bytes(tflite_file(tensors, [Node("ADD", (0, 1), (2,))], [0, 1], [2]))
    return {"device": DEVICE, "engine": engine.name, "model": model}


def right(workspace: Workspace, options: dict[str, object]) -> str:
    """Deploy once more; it must give what an undisturbed run gives and leave nothing half-done. Return what was printed."""
    code, text = workspace.run("deploy", **options)
    assert code == 0, text
    (bundle,) = (workspace.root / "dist").iterdir()
    sums = subprocess.run(["sha256sum", "--quiet", "--check", "SHA256SUMS"], cwd=bundle, check=False)
    assert sums.returncode == 0
    code, again = workspace.run("deploy", **options, verify_cache=1)
    assert (code, again.count("run again: the same 3 outputs")) == (0, 1), again
    assert workspace.left_over() == []
    return text


@pytest.mark.parametrize(
    "phase",
    [
        "execute._lay_out",  # before the container
        "execute._outputs",  # after it
        "outputs.describe",  # its outputs taken over
        "records.write",  # between outputs and record
        "execute.publish",
        "Store._put",  # while it is kept for others
        "cache.asdict",  # all content kept, no entry yet
        "build.publish",  # while it is copied back
    ],
)
def test_a_run_that_is_killed_loses_nothing(
    make: Maker, engine: Engine, options: dict[str, object], phase: str
) -> None:
    if engine.name != first_engine().name:
        pytest.skip("the phases outside the container are the same for all engines")
    workspace = make("one")
    if phase == "build.publish":
        right(workspace, options)
        subprocess.run(["rm", "-r", workspace.root / "build"], check=True)
    words = [f"--{name}={value}" for name, value in options.items()]
    argv = [sys.executable, "-c", KILLED, phase, "deploy", *words]
    env = {**os.environ, "EDGEWRIGHT_STORE": str(workspace.root / "store")}
    done = subprocess.run(argv, cwd=workspace.root, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
    text = right(workspace, options)
    finished = phase in ("Store._put", "cache.asdict", "build.publish")
    assert ("vela     runs:" in text) is not finished
    assert running(engine) == []


def test_a_run_that_is_killed_while_its_stage_works_is_ended_by_the_next(
    make: Maker, engine: Engine, options: dict[str, object], assets: Path
) -> None:
    options["model"] = (
        assets / "himax" / "yolov8n-pose_192_full_integer_quant.tflite"
    )  # takes 15 s: nothing ends by itself
    workspace = make("one")
    process = workspace.start("deploy", **options)
    deadline = time.monotonic() + 60
    while not running(engine):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.communicate()
    time.sleep(2)
    left = running(engine)
    assert left or engine.name != "docker", (
        "podman's containers and processes end with who reads from them; docker's do not"
    )
    code, text = workspace.run("deploy", **options)
    assert code == 0, text
    if left and engine.hermetic:
        assert f"ended what a killed run had left running: {left[0]}" in text
    (model,) = (workspace.root / "dist").glob("*/model.tflite")
    assert digest.of_file(model) == digest.of_file(next((assets / "himax").glob("*_vela.tflite")))
    assert workspace.left_over() == []
    assert running(engine) == []


def test_a_full_disk_is_said_in_one_line_and_room_is_all_it_needs(
    make: Maker, engine: Engine, options: dict[str, object], assets: Path
) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can make a small disk")
    if engine.name != first_engine().name:
        pytest.skip("writing is the same for all engines")
    options["model"] = assets / "himax" / "yolov8n-pose_192_full_integer_quant.tflite"  # large enough to fill something
    workspace = make("one")
    for folder, size in (("build", "4m"), ("store", "1m")):
        (workspace.root / folder).mkdir()
        mounted = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "none", str(workspace.root / folder)]
        if subprocess.run(mounted, capture_output=True, check=False).returncode:
            pytest.skip("this machine does not let root mount a tmpfs")
    try:
        code, text = workspace.run("deploy", **options)
        assert code == 4, text
        assert "the disk is full" in text
        assert "Traceback" not in text
        assert workspace.left_over() == []
        subprocess.run(["mount", "-o", "remount,size=64m", str(workspace.root / "build")], check=True)
        code, text = workspace.run("deploy", **options)
        assert (code, "the disk is full; this run goes on without it" in text) == (0, True), text
        subprocess.run(["mount", "-o", "remount,size=64m", str(workspace.root / "store")], check=True)
        assert workspace.run("deploy", **options)[0] == 0
        subprocess.run(["umount", str(workspace.root / "build")], check=True)
        code, text = workspace.run("deploy", **options)
        assert (code, "vela     from the cache" in text) == (0, True), text
    finally:
        for folder in ("build", "store"):
            subprocess.run(["umount", str(workspace.root / folder)], capture_output=True, check=False)


def test_two_workspaces_at_once_do_the_step_once(
    make: Maker, engine: Engine, options: dict[str, object], tmp_path: Path
) -> None:
    both = [make("one"), make("two")]
    for workspace in both:
        workspace.store = tmp_path / "store"
    processes = [workspace.start("deploy", **options) for workspace in both]
    said = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert "".join(said).count("vela     runs:") == 1
    assert "".join(said).count("vela     from the cache") == 1
    for workspace in both:
        right(workspace, options)


@pytest.mark.parametrize("shared", ["a daemon", "a volume"])
def test_runs_with_stores_of_their_own_leave_each_other_alone(
    make: Maker, engine: Engine, options: dict[str, object], assets: Path, tmp_path: Path, shared: str
) -> None:
    """Two checkouts at one daemon, and one checkout with two stores: what protects a step lies in its volume."""
    options["model"] = assets / "himax" / "yolov8n-pose_192_full_integer_quant.tflite"  # long enough to meet each other
    one = make("one")
    two = make("two") if shared == "a daemon" else make("one")
    one.store, two.store = tmp_path / "store-1", tmp_path / "store-2"
    processes = [workspace.start("deploy", **options) for workspace in (one, two)]
    said = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert "ended what a killed run" not in "".join(said)
    for workspace in (one, two):
        (model,) = (workspace.root / "dist").glob("*/model.tflite")
        assert digest.of_file(model) == digest.of_file(next((assets / "himax").glob("*_vela.tflite")))
        assert workspace.left_over() == []
    assert running(engine) == []
