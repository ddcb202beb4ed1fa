"""Records: proof that a step was run on given inputs, kept beside its outputs in the step's folder on the volume.

A step's folder is named after its key, the sha256 of all that can change its outputs: never a path, a time, or this machine's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgewright import digest
from edgewright.engine import Environment, variables
from edgewright.plan import Step

SCHEMA = 1
RECORD = "record.json"
KEY_LENGTH = 12  # of the folder's name; the record holds the whole key


@dataclass(frozen=True)
class Record:
    """What ran, on what, and what came out: role → {path in the step's folder, sha256, bytes}."""

    stage: str
    key: str
    facts: Mapping[str, Any]
    outputs: Mapping[str, Mapping[str, Any]]

    @property
    def folder(self) -> str:
        """Return the step's folder, relative to the volume."""
        return folder_of(self.stage, self.key)

    def path(self, role: str) -> str:
        """Return the file or folder that holds `role`, relative to the volume."""
        return f"{self.folder}/{self.outputs[role]['path']}"

    def problem(self, volume: Path) -> str:
        """Return why the outputs are no longer what was recorded, or nothing if they are."""
        for role, output in self.outputs.items():
            path = volume / self.path(role)
            if not path.exists():
                return f"{output['path']} is missing"
            if digest.of_path(path) != output["sha256"]:
                return f"{output['path']} is not what was recorded"
        return ""


def facts(step: Step, inputs: Mapping[str, str], environment: Environment, hermetic: bool) -> dict[str, Any]:
    """Return all that can change a step's outputs; `inputs` gives the sha256 for each role."""
    return {
        "schema": SCHEMA,
        "stage": step.stage.name,
        "environment": environment.fingerprint,
        "isolation": "container" if hermetic else "none",
        "variables": variables(step.stage.limits, "/tmp"),
        "parameters": dict(step.parameters),
        "inputs": dict(inputs),
        "platform": "linux-x86_64",
    }


def folder_of(stage: str, key: str) -> str:
    """Return the name of a step's folder on the volume."""
    return f"{stage}-{key[:KEY_LENGTH]}"


def find(volume: Path, stage: str, key: str) -> Record | None:
    """Return the record of a finished step, whatever has become of its outputs since."""
    found = read(volume / folder_of(stage, key) / RECORD)
    return found if found and found.key == key else None


def read(path: Path) -> Record | None:
    """Read a record; nothing where there is none, or what is no record."""
    try:
        raw = json.loads(path.read_text())
        return Record(raw["stage"], raw["key"], raw["facts"], raw["outputs"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(folder: Path, record: Record) -> None:
    """Write the record into a step's folder, the last thing before the folder is published."""
    raw = {"stage": record.stage, "key": record.key, "facts": record.facts, "outputs": record.outputs}
    (folder / RECORD).write_text(json.dumps(raw, indent=2, sort_keys=True) + "\n")


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Say what differs between two steps' facts, the most telling first: `imgsz 192 → 224`, `weights changed`."""
    found = []
    for name in sorted({*before["parameters"], *after["parameters"]}):
        old, new = before["parameters"].get(name), after["parameters"].get(name)
        if old != new:
            plain = not isinstance(old, dict | list) and not isinstance(new, dict | list)
            found.append(f"{name} {old} → {new}" if plain else f"{name} changed")
    for role in sorted({*before["inputs"], *after["inputs"]}):
        if before["inputs"].get(role) != after["inputs"].get(role):
            found.append(f"{role} changed")
    if before["environment"] != after["environment"]:
        found.append("its code or environment changed")
    if before["isolation"] != after["isolation"]:
        found.append(f"isolation {before['isolation']} → {after['isolation']}")
    return ", ".join(found[:3]) or "it was never run like this"
