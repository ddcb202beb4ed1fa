"""What a stage can reach while it runs: nothing but its own folder and its inputs. Asked from inside, in every image."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgewright import proc
from edgewright.config import load_project
from edgewright.engine import VOLUME, Engine, Environment, Job, Mount
from tests.conftest import inside, skip_large

ROOT = Path(__file__).resolve().parents[2]
STAGES = load_project(ROOT).stages

# Runs in place of main.py, under the command line of a step.
PROBE = """
import json, os, socket, sys, urllib.request
def attempt(what):
    try:
        what()
    except BaseException as problem:
        return type(problem).__name__
    return ""
def write(path):
    return attempt(lambda: open(path, "a").close())
out = sys.argv[1]
# Every interface but the loopback would be a way out.
interfaces = sorted(name for _, name in socket.if_nameindex())
def connect():
    with socket.create_connection(("198.51.100.1", 80), timeout=5):  # TEST-NET-2, RFC 5737: nobody's
        pass
# Mount point -> its options; of several mounts over one another the last one counts.
mounts = {words[4]: words[5].split(",") for words in map(str.split, open("/proc/self/mountinfo"))}
status = dict(line.split(None, 1) for line in open("/proc/self/status") if len(line.split(None, 1)) == 2)
json.dump({
    "lookup": attempt(lambda: socket.getaddrinfo("example.org", 443)),
    "connect": attempt(connect),
    "interfaces": interfaces,
    "own folder": write(os.path.join(out, "x")),
    "volume": write("x"),
    "input": write(os.path.join(out, "inputs", "mine", "x")),
    "root": write("/x"),
    "stage": write(os.path.join(os.path.dirname(os.__file__), "x")),
    "tmp": write(os.path.join(os.environ["HOME"], "x")),
    "uid": os.getuid(),
    "read-only": {path: "ro" in options for path, options in mounts.items()},
    "status": {name.rstrip(":"): value.strip() for name, value in status.items()},
}, open(os.path.join(out, "found.json"), "w"))
"""


@pytest.fixture(params=sorted(STAGES))
def environment(request: pytest.FixtureRequest, engine: Engine) -> Environment:
    skip_large(engine, request.param)
    return engine.prepare(STAGES[request.param])


@pytest.fixture
def found(tmp_path: Path, engine: Engine, environment: Environment) -> Iterator[dict[str, Any]]:
    volume, own = tmp_path / "build", "run/probe"
    folder = volume / own
    (folder / "inputs" / "mine").mkdir(parents=True)
    users = tmp_path / "users"
    users.mkdir()
    (folder / "probe.py").write_text(PROBE)
    # Everybody may write there as far as the files are concerned: what is asked is whether the walls hold, not the modes.
    for path in (volume, users):
        path.chmod(0o777)
    engine.take(folder)
    mounts = (Mount(users, f"{own}/inputs/mine"),) if engine.hermetic else ()
    job = Job("edgewright-probe", volume, own, f"{own}/request.json", mounts, environment.stage.limits)
    subprocess.run(inside(engine, environment, job, f"{own}/probe.py", own), cwd=volume, check=True, timeout=120)
    yield json.loads((folder / "found.json").read_text())
    shutil.rmtree(volume)


def test_a_stage_reaches_nothing_but_its_own_folder(engine: Engine, found: dict[str, Any]) -> None:
    assert found["own folder"] == ""
    assert found["tmp"] == ""
    if not engine.hermetic:
        pytest.skip(
            "venv: " + ("without a network" if found["lookup"] else "with a network") + "; it keeps no other promise"
        )
    assert found["lookup"] == "gaierror"
    assert found["connect"] == "OSError"
    assert found["interfaces"] == ["lo"]
    # Not by the modes of files, which root's own would pass: PermissionError is not enough.
    assert {name: found[name] for name in ("volume", "input")} == {"volume": "OSError", "input": "OSError"}
    assert "" not in (found["root"], found["stage"])
    closed = {path for path, read_only in found["read-only"].items() if read_only}
    assert {"/", VOLUME, f"{VOLUME}/run/probe/inputs/mine"} <= closed
    assert f"{VOLUME}/run/probe" not in closed
    assert found["uid"] != 0
    status = found["status"]
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == "1"


def test_the_venv_engine_takes_the_network_away_where_the_system_can(engine: Engine, found: dict[str, Any]) -> None:
    if engine.name != "venv":
        pytest.skip("containers are asked above")
    if not engine.without_network:  # type: ignore[attr-defined]
        pytest.skip("this system does not let a user take a process's network away")
    assert found["lookup"] == "gaierror"
    assert found["connect"] == "OSError"


DEAF = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open('run/deaf/ready', 'w'); time.sleep(600)"
)


def test_a_stage_that_is_deaf_to_signals_is_ended_all_the_same(engine: Engine, tmp_path: Path) -> None:
    if not engine.hermetic:
        pytest.skip("venv: a process of our own, ended with its group")
    environment = engine.prepare(STAGES["vela"])
    (tmp_path / "build" / "run" / "deaf").mkdir(parents=True)
    (tmp_path / "build" / "run" / "deaf" / "deaf.py").write_text(DEAF)
    engine.take(tmp_path / "build" / "run" / "deaf")
    job = Job("edgewright-deaf", tmp_path / "build", "run/deaf", "", limits=STAGES["vela"].limits)
    process = subprocess.Popen(inside(engine, environment, job, "run/deaf/deaf.py"), cwd=job.volume)
    try:
        while not (tmp_path / "build" / "run" / "deaf" / "ready").exists():
            assert process.poll() is None
            time.sleep(0.05)
        engine.stop(job)
        assert process.wait(timeout=20) != 0
        _, names = proc.capture([engine.program, "ps", "--all", "--format", "{{.Names}}"])  # type: ignore[attr-defined]
        assert job.name not in names.split()
    finally:
        proc.capture([engine.program, "rm", "--force", job.name])  # type: ignore[attr-defined]
        process.kill()
