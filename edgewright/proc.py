"""The one door through which other programs are started: always a list, never a shell."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

NOT_FOUND = 127  # what a shell returns for a program that is not there
LINE_BYTES = 8192  # a longer line is handed on in pieces: a program that never ends one must not fill the memory
POLL_S = 1.0  # how soon the end of a program is seen whose children keep its pipe open


class OutOfTime(Exception):
    """A command ran longer than it may, and has been ended."""


def capture(argv: Sequence[str], timeout_s: float = 30, stdin: bytes | None = None) -> tuple[int, str]:
    """Run a short command; return its exit code and what it printed (both streams), 127 if it does not exist."""
    try:
        done = subprocess.run(
            list(argv), input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_s, check=False
        )
    except FileNotFoundError:
        return NOT_FOUND, f"{argv[0]}: not found"
    except subprocess.TimeoutExpired:
        return 124, f"{argv[0]}: no answer in {timeout_s:.0f} s"
    return done.returncode, done.stdout.decode(errors="replace").strip()


def stream(
    argv: Sequence[str],
    on_line: Callable[[str], None],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stop: Callable[[], None] | None = None,
    limit_s: float | None = None,
) -> int:
    """Run a long command, hand on each line it prints, and return its exit code; raise OutOfTime after `limit_s` seconds.

    `env` is added to this process's environment. The command has a session of its own, so that Ctrl-C reaches us alone: `stop` is
    called if we are interrupted (it ends what the command started elsewhere, a container), then the whole session. What a command
    leaves running in its session when it ends is ended too.
    """
    deadline = None if limit_s is None else time.monotonic() + limit_s
    process = subprocess.Popen(
        list(argv),
        cwd=cwd,
        env={**os.environ, **env} if env else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    with terminated_as_interrupt():
        try:
            for raw in _lines(process, deadline):
                on_line(raw.decode(errors="replace").rstrip())
            return process.wait()
        except BaseException:
            if stop:
                stop()
            end(process)
            raise
        finally:
            assert process.stdout
            process.stdout.close()


def _lines(process: subprocess.Popen[bytes], deadline: float | None) -> Iterator[bytes]:
    """Yield what a process prints, line by line (a carriage return ends one too), until it has ended and all of it is read."""
    assert process.stdout
    handle, rest = process.stdout.fileno(), b""
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        while True:
            if deadline is not None and time.monotonic() > deadline:
                raise OutOfTime
            ended = process.poll() is not None
            if selector.select(0 if ended else POLL_S):
                if not (block := os.read(handle, 1 << 16)):
                    break
                *whole, rest = (rest + block).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
                for line in whole:
                    yield from _pieces(line)
                while len(rest) > LINE_BYTES:
                    yield rest[:LINE_BYTES]
                    rest = rest[LINE_BYTES:]
            elif ended:
                _signal(process, signal.SIGKILL)  # whoever still has its pipe
                break
    if rest:
        yield from _pieces(rest)
    # Its pipe is closed, and it may go on all the same.
    while process.poll() is None:
        if deadline is not None and time.monotonic() > deadline:
            raise OutOfTime
        try:
            process.wait(POLL_S)
        except subprocess.TimeoutExpired:
            continue


def _pieces(line: bytes) -> Iterator[bytes]:
    yield from (line[at : at + LINE_BYTES] for at in range(0, max(len(line), 1), LINE_BYTES))


def converse(argv: Sequence[str], *, cwd: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a program to talk to through its pipes, in a session of its own. If we are killed it reads the end of its input."""
    pipe = subprocess.PIPE
    return subprocess.Popen(list(argv), cwd=cwd, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a session, with all that it has started there."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if not _signal(process, sign):
            break
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _signal(process: subprocess.Popen[bytes], sign: signal.Signals) -> bool:
    """Send a signal to all that is left of a session; return whether anything was."""
    try:
        os.killpg(process.pid, sign)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def terminated_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C: a CI job that is cancelled must not leave a container behind, nor a port."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
