"""What a person sees: one line a step, a progress bar while it runs, errors with a hint."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from edgewright import proc

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

_COUNT = re.compile(r"^(\d+)/(\d+)(?: (.*))?$")


def say(name: str, text: str, style: str = "") -> None:
    """Print `name` in the first column, as a stage's line begins, and `text` after it."""
    out.print(f"{name:<8} {text}", style=style or None, markup=False)


def fail(message: str, hint: str = "") -> None:
    """Print an error in the one style: what is wrong, then what can be typed."""
    err.print("error:", style="bold red", end=" ")
    err.print(message, markup=False)
    if hint:
        err.print(" hint:", style="bold cyan", end=" ")
        err.print(hint, markup=False)


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
        TextColumn(f"{name:<8}"),
        BarColumn(28),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=out, transient=True) as shown:
        task = shown.add_task(text, total=None)

        def on_line(line: str) -> None:
            if match := _COUNT.match(line):
                done, total, news = match.groups()
                shown.update(task, completed=int(done), total=int(total), description=(news or text)[:90])

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
) -> tuple[int, list[str]]:
    """Run a long command with a bar; return its exit code and its lines, which the file at `path` keeps as well."""
    lines: list[str] = []
    with path.open("a", encoding="utf-8") as file, bar(name, text) as on_line:

        def each(line: str) -> None:
            lines.append(line)
            print(line, file=file, flush=True)
            on_line(line)

        code = proc.stream(argv, each, cwd=cwd, env=env, stop=stop)
    return code, lines


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
