"""Work on all cores: how many processes, what each of them does, and what it means if one of them dies."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, TypeVar

from stage import Refused

Job, Result = TypeVar("Job"), TypeVar("Result")

# Of a worker process, which has them from the fork on. Only numbers of jobs go through the pool's queue: a worker that dies with
# more in there than a pipe holds leaves Python before 3.11.5 waiting for ever (cpython #94777).
_function: Callable[[Any], Any]
_jobs: Sequence[Any]


def count_cores() -> int:
    """The cores that this process may use (a container's cpuset, `taskset`), not all that the machine has."""
    return len(os.sched_getaffinity(0))


@contextmanager
def death_told(fact: str, hint: str) -> Iterator[None]:
    """Turn the death of a process of a pool, which takes the pool with it, into a refusal."""
    try:
        yield
    except BrokenProcessPool:
        raise Refused(fact, hint) from None


def map_on_cores(function: Callable[[Job], Result], jobs: Sequence[Job], died: tuple[str, str]) -> Iterator[Result]:
    """What a function returns for each job, in order, from a process for each core; `died` refuses if one of them dies."""
    workers = min(count_cores(), len(jobs))
    with death_told(*died), ProcessPoolExecutor(workers, get_context("fork"), _take, (function, jobs)) as pool:
        yield from pool.map(_do, range(len(jobs)), chunksize=4)


def _take(function: Callable[[Any], Any], jobs: Sequence[Any]) -> None:
    global _function, _jobs
    _function, _jobs = function, jobs


def _do(index: int) -> Any:
    return _function(_jobs[index])
