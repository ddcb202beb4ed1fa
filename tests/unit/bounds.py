"""For the tests of readers: a limit of time and of memory around one call, for what hangs must fail and not wait.

Time is that of the processor, which no other process on the machine takes away; what waits for something else has a minute or two.
"""

from __future__ import annotations

import faulthandler
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

WAIT_S = 120  # until what hangs in C, or waits for ever, ends the whole process with a traceback


class OutOfBoundsError(BaseException):
    """A reader took too long; no Exception, for readers may catch those."""


@contextmanager
def bounded(seconds: float = 10, megabytes: int = 1000) -> Iterator[None]:
    """Fail what takes longer, and give it no more memory than this (a MemoryError)."""

    def too_long(_: int, frame: FrameType | None) -> None:
        raise OutOfBoundsError(f"more than {seconds} s")

    before, limits = signal.signal(signal.SIGPROF, too_long), resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20), limits[1]))
    faulthandler.dump_traceback_later(WAIT_S, exit=True, file=sys.__stderr__ or sys.stderr)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.signal(signal.SIGPROF, before)
