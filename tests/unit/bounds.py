"""For the tests of readers: a limit of time and of memory around one call, for what hangs must fail and not wait."""

from __future__ import annotations

import faulthandler
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


class OutOfBoundsError(BaseException):
    """A reader took too long; no Exception, for readers may catch those."""


@contextmanager
def bounded(seconds: float = 10, megabytes: int = 1000) -> Iterator[None]:
    """Fail what takes longer, and give it no more memory than this (a MemoryError); what hangs in C ends the whole process."""

    def too_long(_: int, frame: FrameType | None) -> None:
        raise OutOfBoundsError(f"more than {seconds} s")

    before, limits = signal.signal(signal.SIGALRM, too_long), resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20), limits[1]))
    faulthandler.dump_traceback_later(3 * seconds, exit=True, file=sys.__stderr__ or sys.stderr)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.signal(signal.SIGALRM, before)
