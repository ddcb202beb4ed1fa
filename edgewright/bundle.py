"""dist/: the model with its labels, a manifest of all that went into it, and sums. The same records give the same bytes."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgewright import __version__, digest
from edgewright.build import Build
from edgewright.config import Asset, Stage
from edgewright.plan import MODEL, PAGE, VERDICT, File, Output, Source

LABELS = "labels"
# What is released beside the model, by role; a .tflite alone has no class names, and then there is no labels.txt.
BESIDE = {LABELS: "labels.txt", VERDICT: "report.json", PAGE: "report.html", "detections": "detections.json"}
MODEL_FILE, MANIFEST, SUMS = "model.tflite", "manifest.json", "SHA256SUMS"
BOARD = "board.json"  # what a board did with it: written later, in no list, and gone with the model that it is about


def folder_of(walk: Build, dist: Path) -> Path:
    """Return where the bundle of a plan goes: `dist/<recipe>-<device>-<version>`."""
    return dist / f"{walk.plan.name}-{walk.plan.device.name}-{__version__}"


def write(walk: Build, dist: Path) -> tuple[Path, bool]:
    """Write the bundle of a finished walk; return its folder and whether it had to be written."""
    folder, files = folder_of(walk, dist), files_of(walk)
    return folder, place(folder, {**files, MANIFEST: encode(manifest_of(walk, files))})


def encode(manifest: Mapping[str, Any]) -> bytes:
    """Return a manifest's bytes."""
    return (json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def place(
    folder: Path,
    contents: Mapping[str, Path | bytes],
    *,
    unlisted: Mapping[str, bytes] | None = None,
    judge: Callable[[Path], object] | None = None,
) -> bool:
    """Make a folder of files and texts by name, with their sums, whole or not at all; return False if it was there, and intact.

    What is `unlisted` has no line in the sums. `judge` sees the folder before it gets its name, and may raise.
    """
    sums = {name: sum_of(content) for name, content in contents.items()}
    extra = {SUMS: listing(sums), **(unlisted or {})}
    if _intact(folder, sums | {name: sum_of(content) for name, content in extra.items()}):
        return False
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        for name, content in {**contents, **extra}.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                (temporary / name).write_bytes(content)
            else:
                shutil.copyfile(content, temporary / name)
        if judge:
            judge(temporary)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return True


def listing(sums: Mapping[str, str]) -> bytes:
    """Return SHA256SUMS for these files: name → sha256."""
    return "".join(f"{total}  {name}\n" for name, total in sorted(sums.items())).encode()


def sum_of(content: Path | bytes) -> str:
    """Return the sha256 of a text, or of a file's bytes."""
    return digest.of_bytes(content) if isinstance(content, bytes) else digest.of_file(content)


def _intact(folder: Path, sums: Mapping[str, str]) -> bool:
    try:
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
        return there - {BOARD} == sums.keys() and all(
            digest.of_file(folder / name) == total for name, total in sums.items()
        )
    except OSError:
        return False


def files_of(walk: Build) -> dict[str, Path]:
    """Return what is released, by its name in the bundle."""
    files = {MODEL_FILE: walk.path(walk.plan.model)}
    for record in walk.done.values():
        files |= {name: walk.volume / record.path(role) for role, name in BESIDE.items() if role in record.outputs}
    return files


def manifest_of(walk: Build, files: Mapping[str, Path]) -> dict[str, Any]:
    """Return all that went into the files of a bundle, and where each came from."""
    plan = walk.plan
    return {
        "edgewright": __version__,
        "name": plan.name,
        "recipe": plan.recipe.name,
        "device": plan.device.name,
        "firmware": {"name": plan.firmware.name, "address": plan.firmware.address},
        "engine": {"name": walk.engine.name, "hermetic": walk.engine.hermetic, "for_release": walk.engine.hermetic},
        "model": {
            "bytes": files[MODEL_FILE].stat().st_size,
            "sha256": digest.of_file(files[MODEL_FILE]),
            "from": _origin(walk, plan.model, MODEL),
        },
        "steps": [
            {
                "stage": step.stage.name,
                "key": walk.done[step.stage.name].key,
                **{name: value for name, value in walk.done[step.stage.name].facts.items() if name != "stage"},
                "inputs": {role: _origin(walk, source, role) for role, source in walk.sources(step).items()},
                "outputs": {role: output["sha256"] for role, output in walk.done[step.stage.name].outputs.items()},
                "paths": {role: _path(walk, step.stage.name, role) for role in walk.done[step.stage.name].outputs},
                "limits": step.stage.limits.model_dump(),
                "lock": digest.of_file(step.stage.folder / "requirements.txt"),
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
    return {**found, "file": source.path.name, **({"kind": "folder"} if source.path.is_dir() else {})}


def _path(walk: Build, stage: str, role: str) -> str:
    """Return an output's name in its step's folder, a folder's with a slash: its digest is not that of a file's bytes."""
    name = str(walk.done[stage].outputs[role]["path"])
    return name + "/" if (walk.volume / walk.done[stage].path(role)).is_dir() else name


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
