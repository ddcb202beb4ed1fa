"""What a virtual board's network is asked and told, and what ends it: the program behind it here is a few lines of Python."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from toy_project import Here

from edgewright.boards.virtual import worker
from edgewright.boards.virtual.network import CannotLoad, CannotRun, Interpreter, Network
from edgewright.boards.virtual.worker import PROGRAM, SECTOR, Worker, Workshop, written
from edgewright.config import load_project
from edgewright.engine import Environment, Job

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = load_project(ROOT).firmwares["esp32s3-sscma-1.x"]
START = """
import json, sys, time
from pathlib import Path
request = json.loads(Path(sys.argv[1]).read_text())
def say(value): print(json.dumps(value), flush=True)
"""
READY = START + "say({'ready': {'algorithm': 5}})\n"
# The width is the threshold, so that it can be seen; the results are what the request and its files are.
ANSWERS = (
    READY
    + """
files = {role: Path(path) for role, path in request["inputs"].items()}
seen = [len(files["model"].read_bytes()), sorted(path.name for path in files["frames"].iterdir()), sorted(files)]
for line in sys.stdin:
    asked = json.loads(line)
    say({"width": asked["score"], "height": asked["iou"], "perf": [1, 2, 3], "kind": "boxes",
         "results": [seen, request["parameters"], asked["frame"]], "image": "x" * 300_000 if asked["image"] else ""})
Path(request["output"]).with_name("left").touch()
"""
)


class Scripted(Here):
    """An engine that runs a script in place of the program, and notes what it is told."""

    def __init__(self, root: Path, script: str) -> None:
        super().__init__(root)
        self.script, self.taken, self.stopped = script, 0, 0
        self.job: Job | None = None

    def take(self, folder: Path) -> None:
        self.taken = len(list(folder.iterdir()))

    def argv(self, environment: Environment, job: Job) -> list[str]:
        self.job = job
        return [environment.name, "-c", self.script, job.request]

    def stop(self, job: Job) -> None:
        self.stopped += 1


Make = Callable[..., Workshop]


@pytest.fixture
def make(toy: Path) -> Make:
    """Return a maker of workshops whose program is the script given."""

    def made(script: str, frames: int = 1, uncompiled: Path | None = None, patience_s: float = 20) -> Workshop:
        pictures = [toy / f"{number}" / "frame.jpg" for number in range(frames)]
        for path in pictures:
            path.parent.mkdir()
            path.write_bytes(b"picture")
        volume, stage = toy / "build", load_project(toy).stages["judge"]
        engine = Scripted(toy, script)
        return Workshop(
            engine, stage, volume / "run" / "board", volume, FIRMWARE, pictures, lambda _: uncompiled, patience_s
        )

    return made


def engine_of(workshop: Workshop) -> Scripted:
    assert isinstance(workshop.engine, Scripted)
    return workshop.engine


def gone(network: Worker) -> bool:
    """Whether its process has ended."""
    return network._process.poll() is not None


def test_a_model_is_loaded_and_run_frame_by_frame(make: Make) -> None:
    workshop: Interpreter = make(ANSWERS)
    network: Network = workshop.load(b"model")
    assert network.algorithm == 5
    found = [network.infer(score, 45, image=score == 60, frame=(240, 240)) for score in (50, 60)]
    network.close()
    assert [(one.width, one.height, one.perf, one.kind) for one in found] == [
        (50, 45, (1, 2, 3), "boxes"),
        (60, 45, (1, 2, 3), "boxes"),
    ]
    assert [len(one.image) for one in found] == [0, 300_000]


def test_it_asks_for_frames_of_the_cameras_size_or_for_pictures_as_they_are(make: Make) -> None:
    for unscaled, asked in ((False, [640, 480]), (True, None)):
        network = replace(make(ANSWERS, frames=0), unscaled=unscaled).load(b"model")
        assert network.infer(50, 45, image=False, frame=(640, 480)).results[2] == asked
        network.close()


def test_the_program_gets_all_that_its_request_names(make: Make, toy: Path) -> None:
    (toy / "before.tflite").write_bytes(b"before")
    workshop = make(ANSWERS, frames=2, uncompiled=toy / "before.tflite")
    network = workshop.load(b"m" * 5000 + b"\xff" * 20000)
    [seen, parameters, _] = network.infer(50, 45, image=False, frame=(240, 240)).results
    network.close()
    assert seen == [2 * SECTOR, ["000000-frame.jpg", "000001-frame.jpg"], ["frames", "model", "uncompiled"]]
    assert parameters == {"firmware": json.loads(json.dumps(FIRMWARE.facts)), "dialect": "1.x"}
    job, engine = engine_of(workshop).job, engine_of(workshop)
    assert job
    assert (job.program, job.interactive, job.limits) == (PROGRAM, True, workshop.stage.limits)
    assert job.name == f"edgewright-run-board-{os.getpid()}"  # whose folders differ can run side by side
    assert engine.taken == 4  # all is there before the folder is handed over


def test_flash_is_read_up_to_the_last_sector_that_is_written() -> None:
    for count, sectors in ((0, 0), (1, 1), (SECTOR, 1), (SECTOR + 1, 2)):
        assert len(written(b"\0" * count + b"\xff" * (5 * SECTOR - count))) == sectors * SECTOR
    assert written(b"\0" + b"\xff" * 9) == b"\0" + b"\xff" * 9
    assert written(b"\xff" * SECTOR + b"\0" + b"\xff" * SECTOR)[: SECTOR + 1] == b"\xff" * SECTOR + b"\0"


def test_a_network_that_is_closed_ends_by_itself_and_leaves_nothing(make: Make) -> None:
    workshop = make(ANSWERS)
    network = workshop.load(b"model")
    network.close()
    assert network._process.returncode == 0
    assert engine_of(workshop).stopped == 0
    assert {path.name for path in (workshop.volume / "run").iterdir()} == {"left"}
    network.close()
    with pytest.raises(CannotRun, match="closed"):
        network.infer(50, 45, image=False, frame=(240, 240))


def test_what_does_not_end_is_made_to(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "LEAVE_S", 0.1)
    workshop = make(READY + "time.sleep(60)")
    network = workshop.load(b"model")
    network.close()
    assert gone(network)
    assert engine_of(workshop).stopped == 1
    assert not workshop.folder.exists()


def test_the_next_model_is_loaded_in_the_same_place(make: Make) -> None:
    workshop = make(ANSWERS)
    for size in (SECTOR, 1):
        network = workshop.load(b"m" * size)
        assert network.infer(50, 45, image=False, frame=(240, 240)).results[0][0] == size
        network.close()


def test_a_refused_model_is_refused_with_the_reason(make: Make) -> None:
    workshop = make(START + "say({'refused': 'operator GELU is not registered'})")
    with pytest.raises(CannotLoad, match=r"^operator GELU is not registered$"):
        workshop.load(b"model")
    assert not workshop.folder.exists()


def test_what_this_machine_cannot_compute_is_told_frame_by_frame(make: Make) -> None:
    network = make(READY + "for line in sys.stdin: say({'cannot': 'no NPU'})").load(b"model")
    for _ in range(2):
        with pytest.raises(CannotRun, match=r"^no NPU$"):
            network.infer(50, 45, image=False, frame=(240, 240))
    assert not gone(network)
    network.close()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "sys.exit('error: none of the frames can be read\\n hint: give others')",
            "ended: none of the frames can be read",
        ),
        ("print('one', 'two', sep='\\n', file=sys.stderr)", "ended: two"),
        ("1 / 0", "ended: ZeroDivisionError: division by zero"),
        ("print('Hello', flush=True); time.sleep(60)", r"said b'Hello\\n'"),
        ("say([1]); time.sleep(60)", r"said b'\[1\]\\n'"),
        ("say({'ready': {}}); time.sleep(60)", "said '.*ready"),
        ("silence = time.sleep(60)", "gave no answer in 0 s"),
    ],
    ids=["refuses", "leaves", "fails", "talks", "lists", "forgets", "is silent"],
)
def test_a_program_that_does_not_answer_is_ended_and_told(make: Make, script: str, said: str) -> None:
    workshop = make(START + script, patience_s=0.2 if "silence" in script else 20)
    begun = time.monotonic()
    with pytest.raises(CannotRun, match=f"^what computes the network {said}"):
        workshop.load(b"model")
    assert time.monotonic() - begun < 5
    assert not workshop.folder.exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("sys.exit('out of memory')", "ended: out of memory"),
        ("say({'width': 1})", "said '.*width"),
        ("say({'width': 1, 'height': 1, 'perf': [1], 'kind': '', 'results': [], 'image': ''})", "said"),
    ],
    ids=["dies", "forgets", "counts wrongly"],
)
def test_a_frame_that_fails_is_the_last(make: Make, script: str, said: str) -> None:
    network = make(READY + f"sys.stdin.readline()\n{script}").load(b"model")
    for _ in range(2):
        with pytest.raises(CannotRun, match=f"^what computes the network {said}"):
            network.infer(50, 45, image=False, frame=(240, 240))
    assert gone(network)


def test_a_frame_that_is_not_there_is_named(make: Make, toy: Path) -> None:
    workshop = make(ANSWERS)
    (toy / "0" / "frame.jpg").unlink()
    with pytest.raises(CannotRun, match=r"frame\.jpg: No such file"):
        workshop.load(b"model")


HOST = """
import sys, time
from edgewright import proc
process = proc.converse([sys.executable, "-c", sys.argv[1], sys.argv[2]])
print(process.stdout.readline().decode(), flush=True)
time.sleep(60)
"""
LISTENS = "import sys; print(flush=True); sys.stdin.read(); open(sys.argv[1], 'w').close()"


def test_the_program_ends_when_we_are_killed(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", HOST, LISTENS, str(tmp_path / "ended")]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as host:
        assert host.stdout
        host.stdout.readline()
        os.kill(host.pid, signal.SIGKILL)
    until = time.monotonic() + 5
    while not (tmp_path / "ended").exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert (tmp_path / "ended").exists()
