"""What every stage shares: read one request, say how far it is, and refuse bad input in one line.

A stage is run as `main.py REQUEST.json` with the shared volume as its working folder. The request holds

    {"stage": "export", "output": "run/export-1a2b3c4d5e6f",
     "inputs": {"weights": "train-0a1b2c3d4e5f/best.pt", ...}, "parameters": {"imgsz": 192, ...}}

with every path relative to the volume, so that the same file serves a container and a virtual environment.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REFUSED = 2  # exit code: the input is at fault, and one line has said how


class Refused(Exception):
    """The user's input cannot be used: a lower-case fact with file and value, and a hint that can be typed."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Request:
    """One request, parsed: what to do, from which files, into which folder (paths relative to the volume)."""

    output: Path
    inputs: dict[str, Path]
    parameters: dict[str, Any]


def progress(done: int, total: int, text: str = "") -> None:
    """Print one plain line that the host turns into a progress bar."""
    print(f"{done}/{total} {text}".rstrip(), flush=True)


def run(main: Callable[[Request], None]) -> None:
    """Call `main` with the request named on the command line; a refusal becomes two lines and exit code 2."""
    os.umask(0o022)
    raw = json.loads(Path(sys.argv[1]).read_text())
    request = Request(
        output=Path(raw["output"]),
        inputs={role: Path(path) for role, path in raw["inputs"].items()},
        parameters=raw["parameters"],
    )
    try:
        main(request)
    except Refused as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        if refusal.hint:
            print(f" hint: {refusal.hint}", file=sys.stderr)
        sys.exit(REFUSED)
