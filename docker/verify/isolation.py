"""Native code on a file that nobody vouches for runs in a process of its own: if it crashes or never ends, that is an answer."""

from __future__ import annotations

import signal
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

PATIENCE_S = 900  # for one frame, where a network that a microcontroller runs takes seconds at most


class Crashed(Exception):
    """The process ended without an answer; the text says how: "crashed on it (SIGSEGV)"."""


def run_isolated(function: Callable[..., Any], *words: Any, patience_s: float = PATIENCE_S) -> Any:
    """Return what a function returns or raise what it raises, in a forked process; raise Crashed if that dies or does not end."""
    context = get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, function, words))
    process.start()
    theirs.close()
    try:
        if not ours.poll(patience_s):
            raise Crashed(f"was not done after {patience_s:g} s")
        raised, answer = ours.recv()
    # OSError: in the middle of its answer.
    except (EOFError, OSError):
        process.join()
        raise Crashed(ending(process.exitcode or 0)) from None
    finally:
        ours.close()
        process.kill()
        process.join()
    if raised:
        raise answer
    return answer


def _answer(pipe: Connection, function: Callable[..., Any], words: tuple[Any, ...]) -> None:
    try:
        answer = False, function(*words)
    except Exception as problem:
        answer = True, problem
    pipe.send(answer)


def ending(code: int) -> str:
    """Say how a process with this exit code ended, as Python counts them: a signal is below 0."""
    if code == -signal.SIGKILL:
        return "was killed, perhaps for want of memory"
    return f"crashed on it ({signal.Signals(-code).name})" if code < 0 else f"ended with exit code {code}"
