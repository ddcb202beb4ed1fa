"""dist/: the model with its labels, a manifest of all that went into it, and sums. The same records give the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from edgewright import __version__, digest
from edgewright.build import Build
from edgewright.config import Asset, Stage
from edgewright.plan import MODEL, PAGE, VERDICT, File, Output, Source

LABELS = "labels"
# What is released beside the model, by role; a .tflite alone has no class names, and then there is no labels.txt.
BESIDE = {LABELS: "labels.txt", VERDICT: "report.json", PAGE: "report.html"}
SUMS = "SHA256SUMS"


def folder_of(walk: Build, dist: Path) -> Path:
    """Return where the bundle of a plan goes: `dist/<recipe>-<device>-<version>`."""
    return dist / f"{walk.plan.name}-{walk.plan.device.name}-{__version__}"


def write(walk: Build, dist: Path) -> tuple[Path, bool]:
    """Write the bundle of a finished walk; return its folder and whether it had to be written."""
    folder = folder_of(walk, dist)
    files = _files(walk)
    manifest = json.dumps(_manifest(walk, files), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    sums = {name: digest.of_file(path) for name, path in files.items()}
    sums["manifest.json"] = hashlib.sha256(manifest.encode()).hexdigest()
    listing = "".join(f"{total}  {name}\n" for name, total in sorted(sums.items()))
    if _intact(folder, listing, sums):
        return folder, False
    temporary = dist / f".{folder.name}.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        for name, path in files.items():
            shutil.copyfile(path, temporary / name)
        (temporary / "manifest.json").write_text(manifest, encoding="utf-8")
        (temporary / SUMS).write_text(listing)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder, True


def _intact(folder: Path, listing: str, sums: dict[str, str]) -> bool:
    try:
        same = (folder / SUMS).read_text() == listing and {path.name for path in folder.iterdir()} == {SUMS, *sums}
        return same and all(digest.of_file(folder / name) == total for name, total in sums.items())
    except OSError:
        return False


def _files(walk: Build) -> dict[str, Path]:
    """Return what is released, by its name in the bundle."""
    files = {"model.tflite": walk.path(walk.plan.model)}
    for record in walk.done.values():
        files |= {name: walk.volume / record.path(role) for role, name in BESIDE.items() if role in record.outputs}
    return files


def _manifest(walk: Build, files: dict[str, Path]) -> dict[str, Any]:
    plan = walk.plan
    return {
        "edgewright": __version__,
        "name": plan.name,
        "recipe": plan.recipe.name,
        "device": plan.device.name,
        "firmware": {"name": plan.firmware.name, "address": plan.firmware.address},
        "engine": {"name": walk.engine.name, "hermetic": walk.engine.hermetic, "for_release": walk.engine.hermetic},
        "model": {
            "bytes": files["model.tflite"].stat().st_size,
            "sha256": digest.of_file(files["model.tflite"]),
            "from": _origin(walk, plan.model, MODEL),
        },
        "steps": [
            {
                "stage": step.stage.name,
                "key": walk.done[step.stage.name].key,
                **{name: value for name, value in walk.done[step.stage.name].facts.items() if name != "stage"},
                "inputs": {role: _origin(walk, source, role) for role, source in walk.sources(step).items()},
                "outputs": {role: output["sha256"] for role, output in walk.done[step.stage.name].outputs.items()},
                "packages": packages(step.stage),
                "patches": patches(step.stage),
            }
            for step in plan.steps
        ],
    }


def _origin(walk: Build, source: Source, role: str) -> dict[str, str]:
    """Say where an input came from, by name and digest; never by this machine's paths."""
    found = {"sha256": walk.digest(source)}
    if isinstance(source, Output):
        return {**found, "step": source.stage, "role": role}
    if isinstance(source, Asset):
        return {**found, "asset": source.name, "url": source.url, "licence": source.licence}
    assert isinstance(source, File)
    return {**found, "file": source.path.name}


def packages(stage: Stage) -> dict[str, str]:
    """Return name → version of everything that the stage's lock installs."""
    lock = (stage.folder / "requirements.txt").read_text()
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock, re.MULTILINE))


def patches(stage: Stage) -> dict[str, dict[str, str]]:
    """Return, for the package that the stage patches, each patch's sha256 by name."""
    if not stage.patches:
        return {}
    folder = stage.folder.parents[1] / stage.patches
    return {folder.name: {path.name: digest.of_file(path) for path in sorted(folder.glob("*.patch"))}}
