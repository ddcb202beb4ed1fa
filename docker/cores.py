"""How many processes to work with."""

import os


def count_cores() -> int:
    """The cores that this process may use (a container's cpuset, `taskset`), not all that the machine has."""
    return len(os.sched_getaffinity(0))
