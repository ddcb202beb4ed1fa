"""Weights whose pickle runs a program: refused unread by `deploy`, and behind the walls of a step if something did load them."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgewright import proc
from edgewright.config import load_project
from edgewright.engine import Engine, Job, Mount
from tests.conftest import Workspace, inside, skip_large

ROOT = Path(__file__).resolve().parents[2]
STAGES = load_project(ROOT).stages
MARK = "edgewright-hostile-was-here"
WRONG_INPUT = 2

# What the pickle runs. It tries all that a thief or a vandal would, and writes down what it could do beside the script.
PROBE = f"""
import glob, json, os, signal, socket, sys
def can(what):
    try:
        what()
    except BaseException as problem:
        return type(problem).__name__
    return ""
def write(path):
    with open(path, "a") as file:
        file.write("{MARK}")
def connect():
    socket.create_connection(("198.51.100.1", 80), timeout=3).close()  # TEST-NET-2, RFC 5737: nobody's
own = os.path.dirname(os.path.abspath(sys.argv[0]))
volume = os.getcwd()
places = {{
    "own folder": os.path.join(own, "mark"),
    "volume": os.path.join(volume, "mark"),
    "another step": os.path.join(volume, "other", "model"),
    "its record": os.path.join(volume, "other", "record.json"),
    "own input": os.path.join(own, "inputs", "mine", "image"),
    "home": os.path.join(sys.argv[1], "mark"),
    "own home": os.path.join(os.environ["HOME"], "mark"),
}}
if sys.argv[4] == "walls":  # without any, these would be this machine's own
    places["root"] = "/{MARK}"
    places["interpreter"] = os.path.join(os.path.dirname(os.__file__), "{MARK}")
    places["code"] = "/opt/stage/stage.py"
found = {{name: can(lambda: write(path)) for name, path in places.items()}}
found["lookup"] = can(lambda: socket.getaddrinfo("example.org", 443))
found["connect"] = can(connect)
found["user's files"] = can(lambda: open(os.path.join(sys.argv[1], "secret")).read())
found["kill"] = can(lambda: os.kill(int(sys.argv[2]), signal.SIGTERM))
found["processes"] = sorted(int(os.path.basename(path)) for path in glob.glob("/proc/[0-9]*"))
with open(os.path.join(own, "found.json"), "w") as file:
    json.dump(found, file)
"""
LOADERS = {
    "torch": "import sys, torch\ntorch.load(sys.argv[3])\n",
    "pickle": "import pickle, sys, zipfile\npickle.loads(zipfile.ZipFile(sys.argv[3]).read('best/data.pkl'))\n",
}


class _Hostile:
    """An object that is read by having a program run."""

    def __init__(self, program: str) -> None:
        self.program = program

    def __reduce__(self) -> tuple[object, tuple[str, dict[str, object]]]:
        return exec, (self.program, {})


def make_weights(path: Path, program: str) -> Path:
    """Write a `.pt` as torch would, whose pickle runs `program`."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("best/data.pkl", pickle.dumps({"model": _Hostile(program)}, protocol=2))
        archive.writestr("best/version", "3\n")
    return path


def test_weights_that_run_a_program_are_refused_and_the_program_does_not_run(
    workspace: Workspace, engine: Engine, tmp_path: Path
) -> None:
    mark = tmp_path / MARK
    # It marks the step's folder as well, which is all that it could reach in a container.
    program = f"for p in ({str(mark)!r}, {MARK!r}, '/tmp/{MARK}'):\n  try: open(p, 'w').close()\n  except OSError: pass"
    weights = make_weights(tmp_path / "evil.pt", program)
    code, text = workspace.run("deploy", device="esp32s3", weights=weights, engine=engine.name)
    errors = [line for line in text.splitlines() if line.startswith("error: ")]
    assert code == WRONG_INPUT, text
    assert len(errors) == 1
    assert "names 'builtins.exec', which no checkpoint of ultralytics does: not read" in errors[0]
    assert not mark.exists()
    assert not Path("/tmp", MARK).exists()
    assert not list(workspace.root.rglob(MARK))
    assert workspace.left_over() == []


@pytest.fixture(params=[("data", "pickle"), ("train", "torch")], ids=lambda pair: pair[1])
def found(request: pytest.FixtureRequest, tmp_path: Path, engine: Engine) -> Iterator[dict[str, Any]]:
    """Load the weights under a step's own command line; yield what their program could do, "" for done."""
    stage, loader = request.param
    skip_large(engine, stage)
    environment = engine.prepare(STAGES[stage])
    volume, own, home = tmp_path / "build", "run/victim", tmp_path / "home"
    (volume / own / "inputs" / "mine").mkdir(parents=True)
    (volume / "other").mkdir()
    home.mkdir()
    for path in (volume / "other" / "model", volume / "other" / "record.json", home / "secret", home / "image"):
        path.write_text("before")
    make_weights(volume / own / "best.pt", PROBE)
    (volume / own / "load.py").write_text(LOADERS[loader])
    engine.take(volume / own)
    # As far as modes go everybody may write: it is the walls that are asked.
    for path in (volume, volume / "other", *(volume / "other").iterdir(), home, *home.iterdir()):
        path.chmod(0o777)
    mounts = (Mount(home, f"{own}/inputs/mine"),) if engine.hermetic else ()
    job = Job("edgewright-victim", volume, own, f"{own}/request.json", mounts, STAGES[stage].limits)
    bystander = subprocess.Popen(["sleep", "300"])
    try:
        words = (str(home), str(bystander.pid), f"{own}/best.pt", "walls" if engine.hermetic else "none")
        subprocess.run(inside(engine, environment, job, f"{own}/load.py", *words), cwd=volume, timeout=300, check=True)
        found = json.loads((volume / own / "found.json").read_text())
        time.sleep(0.2)
        yield found | {
            "bystander": bystander.poll() is None,
            "neighbours": [path.read_text() for path in sorted((volume / "other").iterdir())],
        }
    finally:
        bystander.kill()
        bystander.wait()
        proc.capture(["rm", "-rf", str(volume)])


def test_hostile_weights_reach_nothing_but_their_own_folder(engine: Engine, found: dict[str, Any]) -> None:
    if not engine.hermetic:
        pytest.skip("venv: asked below")
    assert found["own folder"] == found["own home"] == ""  # the program did run
    assert (found["lookup"], found["connect"]) == ("gaierror", "OSError")
    closed = ("volume", "another step", "its record", "own input", "root")
    assert {name: found[name] for name in closed} == dict.fromkeys(closed, "OSError")
    assert "" not in (found["interpreter"], found["code"])
    assert found["home"] == found["user's files"] == "FileNotFoundError"
    assert found["kill"] in ("ProcessLookupError", "")  # "": a process of its own that happens to have that number
    assert found["bystander"]
    assert len(found["processes"]) <= 4  # init, the loader, and nobody else's
    assert found["neighbours"] == ["before", "before"]


def test_what_the_venv_engine_cannot_keep_from_hostile_weights_is_known(engine: Engine, found: dict[str, Any]) -> None:
    if engine.hermetic:
        pytest.skip("containers are asked above")
    assert found["own folder"] == ""
    if engine.without_network:  # type: ignore[attr-defined]
        assert found["lookup"] == "gaierror"
        assert found["connect"] == "OSError"
    # Not promises: what a reader of the README is told that this engine leaves open. If one closes, say so there.
    for name in ("volume", "another step", "its record", "home", "user's files", "kill"):
        assert found[name] == "", name
    assert os.fspath(ROOT) not in json.dumps(found)
