"""A stage's modules, importable by name for as long as a test module runs: every stage has a main.py, and names of its own."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

DOCKER = Path(__file__).parents[2] / "docker"


@contextmanager
def imported(names: Iterable[str], folder: str = "") -> Iterator[SimpleNamespace]:
    """Import modules of docker/ and docker/<folder>/ as attributes; afterwards their names are free for another stage's."""
    names = sorted(names)
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    paths = [str(DOCKER / folder), str(DOCKER)]
    sys.path[:0] = paths
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    finally:
        for path in paths:
            sys.path.remove(path)
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)
