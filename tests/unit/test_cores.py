"""Work on all cores: every job once and in order, and the death of a process is told, however much waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from stage_modules import DOCKER, imported


@pytest.fixture(scope="module")
def modules() -> Iterator[SimpleNamespace]:
    """The modules under test as attributes."""
    with imported(("stage", "cores", "text")) as found:
        yield found


class Job:
    """One that only a process forked from this one can have."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> str:
        raise AssertionError("went through the queue")


def _double(job: Job) -> int:
    return 2 * job.number


def test_jobs_are_done_in_order_and_do_not_go_through_the_queue(modules: SimpleNamespace) -> None:
    jobs = [Job(number) for number in range(50)]
    assert list(modules.cores.map_on_cores(_double, jobs, ("died", ""))) == list(range(0, 100, 2))


def test_what_a_job_raises_is_raised(modules: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        list(modules.cores.map_on_cores(int, ["1", "x"], ("died", "")))


def test_the_death_of_a_process_is_a_refusal(modules: SimpleNamespace) -> None:
    with pytest.raises(modules.stage.Refused, match="a process died") as refused:
        list(modules.cores.map_on_cores(os._exit, [1] * 10, ("a process died", "more memory")))
    assert refused.value.hint == "more memory"


DEATH = """
import os, cores, stage
def end(job):
    os._exit(1)
try:
    list(cores.map_on_cores(end, ["x" * 100_000] * 500, ("died", "")))
except stage.Refused as refusal:
    print(refusal)
"""


@pytest.mark.parametrize("python", [sys.executable, "/usr/bin/python3"])
def test_the_death_of_a_process_is_told_while_much_waits(python: str) -> None:
    """Debian's Python 3.11.2, which the images have, waits for ever if a pipe is full then."""
    if not Path(python).exists():
        pytest.skip(f"no {python} here")
    done = subprocess.run([python, "-c", DEATH], cwd=DOCKER, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("died\n", "")
