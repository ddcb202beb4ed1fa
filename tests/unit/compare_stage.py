"""For the tests of the compare stage: its modules, and what it says of two files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stage_modules import DOCKER, imported

FOLDER = DOCKER / "compare"
Differ = Callable[[Path, Path], Any]


@pytest.fixture(scope="module")
def compare() -> Iterator[SimpleNamespace]:
    """The stage's modules as attributes."""
    names = {path.stem for path in FOLDER.glob("*.py")} | {
        "stage",
        "pickles",
        "checkpoint",
        "tflite_model",
        "tflite_schema",
    }
    with imported(names, FOLDER.name) as modules:
        yield modules


@pytest.fixture
def differ(compare: SimpleNamespace) -> Differ:
    """Compare two files that are not the same; return what is said of them."""

    def differing(first: Path, second: Path) -> Any:
        (file,) = compare.main.compare(first, second)
        assert file.lines
        return file

    return differing


@pytest.fixture
def pair(tmp_path: Path) -> Callable[[str], tuple[Path, Path]]:
    """Two places for files of one name."""

    def places(name: str) -> tuple[Path, Path]:
        for build in ("one", "two"):
            (tmp_path / build / name).parent.mkdir(parents=True, exist_ok=True)
        return tmp_path / "one" / name, tmp_path / "two" / name

    return places
