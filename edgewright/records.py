"""Records: proof that a step was run on given inputs, kept beside its outputs in the step's folder on the volume.

A step's folder is named after its key, the sha256 of all that can change its outputs: never a path, a time, or this machine's name.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgewright import digest, files, foreign, outputs
from edgewright.config import RECORD, Stage
from edgewright.engine import Environment, variables
from edgewright.foreign import Foreign
from edgewright.plan import Step

SCHEMA = 1
KEY_LENGTH = 12  # of the folder's name; the record holds the whole key
SHA256 = re.compile(r"[0-9a-f]{64}")
STAGE = re.compile(r"[a-z][a-z0-9_-]{0,63}")  # the name of a folder below docker/


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

    def is_of(self, stage: Stage) -> bool:
        """Whether this is a record of that stage, with what it promises and nothing else."""
        promised = {role: name for role, name in stage.outputs.items() if role in self.outputs}
        missing = set(stage.outputs) - set(promised) - set(stage.run.optional_outputs)
        named = {role: output["path"] for role, output in self.outputs.items()}
        return self.stage == stage.name and named == promised and not missing

    def problem(self, volume: Path, stage: Stage) -> str:
        """Return why the outputs are no longer what was recorded, or nothing if they are."""
        try:
            tree = outputs.look(volume / self.folder, stage)
            found = outputs.describe(tree, stage)
        except (Foreign, FileNotFoundError) as odd:
            return str(odd)
        for role, output in self.outputs.items():
            if role not in found:
                return f"{output['path']} is missing"
            if found[role] != output:
                return f"{output['path']} is not what was recorded"
        return ""


def parse(raw: Any) -> Record:
    """Return the record that a JSON value holds; raise ValueError for what Edgewright would not write, or for another key."""
    if not isinstance(raw, dict) or raw.keys() != {"stage", "key", "facts", "outputs"}:
        raise ValueError("not a record")
    stage, key, facts, made = raw["stage"], raw["key"], raw["facts"], raw["outputs"]
    if not isinstance(stage, str) or not STAGE.fullmatch(stage) or not isinstance(facts, dict):
        raise ValueError("not a record")
    if facts.get("stage") != stage or digest.of_value(facts) != key:
        raise ValueError("its key is not the digest of its facts")
    tables, texts = ("parameters", "inputs", "variables"), ("environment", "isolation")
    if not all(isinstance(facts.get(name), kind) for names, kind in ((tables, dict), (texts, str)) for name in names):
        raise ValueError("not a record's facts")
    if not isinstance(made, dict) or not all(map(_is_output, made.values())):
        raise ValueError("not a record's outputs")
    return Record(stage, key, facts, made)


def _is_output(raw: Any) -> bool:
    return (
        isinstance(raw, dict)
        and raw.keys() == {"path", "sha256", "bytes"}
        and isinstance(raw["path"], str)
        and foreign.is_plain(raw["path"])
        and isinstance(raw["sha256"], str)
        and bool(SHA256.fullmatch(raw["sha256"]))
        and isinstance(raw["bytes"], int)
        and raw["bytes"] >= 0
    )


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
    found = read(volume, folder_of(stage, key))
    return found if found and (found.stage, found.key) == (stage, key) else None


def read(volume: Path, folder: str) -> Record | None:
    """Read the record of a step's folder; nothing where there is none, or what is no record."""
    try:
        return parse(json.loads(foreign.read(volume, f"{folder}/{RECORD}", outputs.RECORD_BYTES, {os.getuid(), 0})))
    except (OSError, Foreign, ValueError, RecursionError):
        return None


def write(folder: Path, record: Record) -> None:
    """Write the record into a step's folder, the last thing before the folder is published."""
    raw = {"stage": record.stage, "key": record.key, "facts": record.facts, "outputs": record.outputs}
    files.write(folder / RECORD, json.dumps(raw, indent=2, sort_keys=True) + "\n")


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
