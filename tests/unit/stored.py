"""For the tests of the store: a step of two outputs, a file and a folder, written by hand, and a store that holds it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgewright import digest, records
from edgewright.cache import Store
from edgewright.config import Stage
from edgewright.records import Record

STAGE = Stage(
    name="made", folder=Path("made"), title="makes", outputs={"model": "model.bin", "plots": "plots"}, parameters={}
)
FILES = {"model.bin": b"model", "plots/a.png": b"a", "plots/deep/b.png": b"b"}
FACTS: dict[str, Any] = {
    "stage": "made",
    "environment": "e",
    "isolation": "none",
    "variables": {},
    "parameters": {"imgsz": 192, "ratio": 0.5},
    "inputs": {"weights": "0" * 64},
}


def write_step(volume: Path, facts: dict[str, Any] = FACTS) -> Record:
    """Write a finished step by hand, and return its record."""
    key = digest.of_value(facts)
    folder = volume / records.folder_of("made", key)
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    plots = digest.of_value([["a.png", digest.of_bytes(b"a")], ["deep/b.png", digest.of_bytes(b"b")]])
    outputs = {
        "model": {"path": "model.bin", "sha256": digest.of_bytes(b"model"), "bytes": 5},
        "plots": {"path": "plots", "sha256": plots, "bytes": 2},
    }
    record = Record("made", key, facts, outputs)
    records.write(folder, record)
    return record


def kept(tmp_path: Path) -> tuple[Store, Record]:
    """Return a store that holds a step of two outputs, a file and a folder."""
    record, store = write_step(tmp_path / "build"), Store(tmp_path / "kept")
    store.save(record, tmp_path / "build" / record.folder, STAGE)
    return store, record


def set_in(*way: str, value: Any) -> Callable[[Any], None]:
    """Return a change of one field of JSON, named by the way to it."""

    def change(raw: Any) -> None:
        for name in way[:-1]:
            raw = raw[name]
        raw[way[-1]] = value

    return change
