"""The one door through which other programs are started: always a list, never a shell."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

NOT_FOUND = 127  # what a shell returns for a program that is not there


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
) -> int:
    """Run a long command, hand on each line it prints, and return its exit code.

    `env` is added to this process's environment. The command has a session of its own, so that Ctrl-C reaches us alone: `stop` is
    called if we are interrupted (it ends what the command started elsewhere, a container), then the whole session.
    """
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
            assert process.stdout is not None
            for raw in process.stdout:
                on_line(raw.decode(errors="replace").rstrip())
            return process.wait()
        except BaseException:
            if stop:
                stop()
            end(process)
            raise


def converse(argv: Sequence[str], *, cwd: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a program to talk to through its pipes, in a session of its own. If we are killed it reads the end of its input."""
    pipe = subprocess.PIPE
    return subprocess.Popen(list(argv), cwd=cwd, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a session, with all that it has started there."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(timeout=5)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()


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
