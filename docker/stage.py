"""What every stage shares: read one request, say how far it is, spend no more on a file than it deserves, refuse it in one line.

A stage is run as `main.py REQUEST.json` with the shared volume as its working folder. The request holds

    {"stage": "export", "output": "run/export-1a2b3c4d5e6f",
     "inputs": {"weights": "train-0a1b2c3d4e5f/best.pt", ...}, "parameters": {"imgsz": 192, ...}}

with every path relative to the volume, so that the same file serves a container and a virtual environment.
"""

from __future__ import annotations

import io
import json
import os
import reprlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from text import visible

REFUSED = 2  # exit code: the input is at fault, and one line has said how
LINE_MAX = 1000  # characters of one line of a refusal: paths have up to a few hundred
NEXT_LINE = "\n       "  # between the lines of a refusal that has several


class Refused(Exception):
    """The user's input cannot be used: a lower-case fact with file and value, and a hint that can be typed."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Budget:
    """How much of one thing a file may ask for. Its reader spends while it reads, so that a small file costs no hours."""

    def __init__(self, where: object, limit: int, what: str, hint: str = "") -> None:
        self.where, self.limit, self.what, self.hint = where, limit, what, hint
        self.spent = 0

    def spend(self, amount: int = 1) -> None:
        """Take from what is left; raise Refused, with the name of what ran out, where it is not enough."""
        self.spent += amount
        if self.spent > self.limit:
            raise Refused(f"{self.where}: more than {self.limit:,} {self.what}", self.hint)


@dataclass(frozen=True)
class Request:
    """One request, parsed: what to do, from which files, into which folder (paths relative to the volume)."""

    output: Path
    inputs: dict[str, Path]
    parameters: dict[str, Any]


def progress(done: int, total: int, text: str = "") -> None:
    """Print one plain line that the host turns into a progress bar."""
    print(f"{done}/{total} {text}".rstrip(), flush=True)


def shown(value: object) -> str:
    """A foreign value for a message, as Python writes it: the first items of the first levels, for it may contain itself."""
    return visible(_SHORT.repr(value))


class _Short(reprlib.Repr):
    """Looks at what a value is and not, as reprlib does, at what its class is called, which a foreign file may have chosen."""

    def repr1(self, value: object, level: int) -> str:
        kinds = (str, int, list, tuple, dict, set, frozenset)
        kind = next((kind.__name__ for kind in kinds if isinstance(value, kind)), "instance")
        text: str = getattr(self, f"repr_{kind}")(value, level)
        return text


_SHORT = _Short()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxtuple, _SHORT.maxstring, _SHORT.maxother = 3, 8, 8, 60, 60


def run(main: Callable[[Request], None]) -> None:
    """Call `main` with the request named on the command line; a refusal becomes two lines and exit code 2."""
    os.umask(0o022)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a foreign name in a line is no reason to fail
    raw = json.loads(Path(sys.argv[1]).read_text())
    request = Request(
        output=Path(raw["output"]),
        inputs={role: Path(path) for role, path in raw["inputs"].items()},
        parameters=raw["parameters"],
    )
    try:
        main(request)
    except Refused as refusal:
        print(f"error: {fit_lines(str(refusal))}", file=sys.stderr)
        if refusal.hint:
            print(f" hint: {fit_lines(refusal.hint)}", file=sys.stderr)
        sys.exit(REFUSED)


def fit_lines(text: str) -> str:
    """A refusal's text with what came from foreign files made visible, and each line cut to what can be read."""
    lines = [visible(line) for line in text.split(NEXT_LINE)]
    return NEXT_LINE.join(line if len(line) <= LINE_MAX else f"{line[:LINE_MAX]} …" for line in lines)
