"""How many processes to work with, and what it means if one of them dies."""

import os
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from stage import Refused


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
