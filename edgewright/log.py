"""What a person sees: one line a step, a progress bar while it runs, errors with a hint."""

from __future__ import annotations

import os
import re
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from edgewright import proc
from edgewright import text as text_of_others

# No emoji: what others print is shown as it is, and not with ":key:" for a picture.
out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

KEPT_LINES = 10_000  # of what a command printed; who looks for the cause of its failure looks at its end
LOG_BYTES = 64 << 20  # a command that prints without end must not fill the disk
CONTINUED = "\n       "  # how a message of several lines goes on
_COUNT = re.compile(r"^(\d{1,9})/(\d{1,9})(?: (.*))?$")


def visible(text: str) -> str:
    """Return a text of anybody's as a terminal may have it: in columns, and with no character that it obeys, turns or hides."""
    return "\t".join(map(text_of_others.visible, text.split("\t")))


def say(name: str, text: str, style: str = "") -> None:
    """Print `name` in the first column, as a stage's line begins, and `text` after it."""
    out.print(f"{visible(name):<8} {visible(text)}", style=style or None, markup=False)


def fail(message: str, hint: str = "") -> None:
    """Print an error in the one style: what is wrong, then what can be typed."""
    err.print("error:", style="bold red", end=" ")
    err.print(CONTINUED.join(map(visible, message.split(CONTINUED))), markup=False)
    if hint:
        err.print(" hint:", style="bold cyan", end=" ")
        err.print(visible(hint), markup=False)


def size(count: int) -> str:
    """Return a number of bytes for reading, in decimal units."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} bytes"


@contextmanager
def bar(name: str, text: str) -> Iterator[Callable[[str], None]]:
    """Show a bar for something long; yield a function that takes each line it prints (`3/12 text` moves the bar).

    Where nobody watches (CI, a pipe) the same news comes as plain lines, at most one for each tenth of the way.
    """
    if not out.is_terminal:
        yield _Plain(name, text)
        return
    columns = (
        SpinnerColumn(),
        TextColumn(f"{name:<8}", markup=False),
        BarColumn(28),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=out, transient=True) as shown:
        task = shown.add_task(text, total=None)

        def on_line(line: str) -> None:
            if match := _COUNT.match(line):
                done, total, news = match.groups()
                shown.update(task, completed=int(done), total=int(total), description=visible(news or text)[:90])

        yield on_line


def watch(
    name: str,
    text: str,
    argv: Sequence[str],
    path: Path,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stop: Callable[[], None] | None = None,
    limit_s: float | None = None,
) -> tuple[int, list[str]]:
    """Run a long command with a bar; return its exit code and its last lines, which the file at `path` keeps as well.

    Both are for people to read: what does not print is made visible. Raises OutOfTime after `limit_s` seconds.
    """
    lines: deque[str] = deque(maxlen=KEPT_LINES)
    with _opened(path) as file, bar(name, text) as on_line:
        write = _Bounded(file)

        def each(line: str) -> None:
            line = visible(line)
            lines.append(line)
            write(line)
            on_line(line)

        code = proc.stream(argv, each, cwd=cwd, env=env, stop=stop, limit_s=limit_s)
    return code, list(lines)


def _opened(path: Path) -> TextIO:
    """Open a log to add to it, whatever a step that is not isolated may have put in its place: no link, no pipe."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o644), "a", encoding="utf-8", errors="backslashreplace")


class _Bounded:
    """Writes lines into a log as long as there is room for them, and then once that there is none."""

    def __init__(self, file: TextIO) -> None:
        self.file, self.room = file, LOG_BYTES

    def __call__(self, line: str) -> None:
        if self.room > 0:
            self.room -= len(line) + 1
            text = line if self.room > 0 else f"(more than {size(LOG_BYTES)}: the rest is left out)"
            print(text, file=self.file, flush=True)


class _Plain:
    """Progress for logs: `name 30% text`."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.tenth = name, -1
        say(name, text)
        sys.stdout.flush()

    def __call__(self, line: str) -> None:
        match = _COUNT.match(line)
        if not match or not int(match[2]):
            return
        tenth = 10 * int(match[1]) // int(match[2])
        if tenth > self.tenth:
            self.tenth = tenth
            say(self.name, f"{10 * tenth:>3} %  {match[3] or ''}".rstrip())
            sys.stdout.flush()
