"""Under which licence each part of a release stands, and what it was made from: read from manifest.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgewright.markdown import code, sentence, table
from edgewright.plan import MODEL, PAGE, TYPED

AGPL = "AGPL-3.0-only"
NETWORK = "ultralytics"  # the package that defines, trains and exports the network
DATASET = "dataset"
UNKNOWN = "not stated"


@dataclass(frozen=True, order=True)
class Part:
    """What came into a release from outside; `sha256` is of a file's bytes, or of a folder's names and contents."""

    role: str
    name: str
    sha256: str
    licence: str = ""  # "" where nobody stated it: of a user's file
    url: str = ""


def given(manifest: Mapping[str, Any]) -> list[Part]:
    """Return what no step made: the user's files, pinned downloads, files of the project."""
    sources = [(MODEL, manifest["model"]["from"])]
    sources += [item for step in manifest["steps"] for item in step["inputs"].items()]
    return sorted(
        {
            Part(role, at.get("asset") or at["file"], at["sha256"], at.get("licence", ""), at.get("url", ""))
            for role, at in sources
            if "step" not in at
        }
    )


def typed(manifest: Mapping[str, Any]) -> list[Part]:
    """Return of these what a person can give; the rest is the project's."""
    return [part for part in given(manifest) if part.role in TYPED]


def of_model(manifest: Mapping[str, Any]) -> str:
    """Return the SPDX id of the model's licence, or "" for a user's own model that was not made here."""
    made = any(MODEL in step["outputs"] and NETWORK in step["packages"] for step in manifest["steps"])
    return AGPL if made else ""


def reason(manifest: Mapping[str, Any]) -> str:
    """Say why the model stands under its licence."""
    if of_model(manifest):
        return f"made with {NETWORK}, which is AGPL-3.0, and whose authors hold that this goes for models as well"
    return "given as a finished file, whose licence was not stated; what was done to it here does not change it"


def files(root: Path, manifest: Mapping[str, Any]) -> dict[str, bytes]:
    """Return what a release says on licences, by name: the text of the project's own, and which part stands under which."""
    return {f"LICENSES/{AGPL}.txt": (root / "LICENSE").read_bytes(), "NOTICE.md": _notice(manifest).encode()}


def _notice(manifest: Mapping[str, Any]) -> str:
    parts = typed(manifest)
    shown = any(PAGE in step["outputs"] and DATASET in step["inputs"] for step in manifest["steps"])
    images = [
        f"{code(part.name)}, {sentence(part.licence or UNKNOWN)}" for part in parts if part.role == DATASET and shown
    ]
    lines = [
        "# Licences of this release",
        "",
        *table(
            ("part", "licence"),
            [
                ("`model.tflite`", f"{of_model(manifest) or UNKNOWN}: {reason(manifest)}"),
                *(("pictures in `report.html`", f"that of the images: {name}") for name in images),
                ("everything else", f"{AGPL}: written by Edgewright {manifest['edgewright']}"),
            ],
        ),
        "",
    ]
    if parts:
        rows = [(part.role, code(part.name), sentence(part.licence or UNKNOWN)) for part in parts]
        lines += ["What it was made from:", "", *table(("what", "name", "licence"), rows), ""]
    lines += [
        f"The text of {AGPL} is in `LICENSES/`. The source is Edgewright's, with its patches, as `provenance/` names it.",
        "",
    ]
    return "\n".join(lines)
