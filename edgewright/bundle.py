"""dist/: the model with its labels, a manifest of all that went into it, and sums. The same records give the same bytes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgewright import __version__, digest, files, foreign
from edgewright.build import Build
from edgewright.config import Asset, Stage, shown
from edgewright.errors import HashDiffers
from edgewright.foreign import Foreign, Limits
from edgewright.plan import MODEL, PAGE, VERDICT, File, Output, Source

LABELS = "labels"
# What is released beside the model, by role; a .tflite alone has no class names, and then there is no labels.txt.
BESIDE = {LABELS: "labels.txt", VERDICT: "report.json", PAGE: "report.html", "detections": "detections.json"}
MODEL_FILE, MANIFEST, SUMS = "model.tflite", "manifest.json", "SHA256SUMS"
BOARD = "board.json"  # what a board did with it: written later, in no list, and gone with the model that it is about

# A release has some twenty files in three folders. The largest is detections.json: some 300 bytes for a person in a frame.
LIMITS = Limits(entries=1000, bytes=1 << 30, depth=8)


@dataclass(frozen=True)
class Kept:
    """A file that goes into a bundle as it is: where it lies, and the sha256 that its bytes were proved to have."""

    path: Path
    sha256: str

    def read(self) -> bytes:
        """Return its bytes; raise HashDiffers for any but those that were proved."""
        try:
            content = foreign.read(self.path.parent, self.path.name, LIMITS.bytes)
        except (Foreign, FileNotFoundError) as odd:
            raise HashDiffers(f"{shown(self.path)}: {odd}", "make deploy") from None
        if digest.of_bytes(content) != self.sha256:
            raise HashDiffers(f"{shown(self.path)} has changed since it was hashed", "make deploy")
        return content

    def copy(self, target: Path) -> None:
        """Copy it; raise HashDiffers, and leave nothing, if it is no longer what was proved."""
        try:
            with foreign.opened(self.path.parent, self.path.name) as source:
                found = files.create(target, source)
        except (Foreign, FileNotFoundError) as odd:
            raise HashDiffers(f"{shown(self.path)}: {odd}", "make deploy") from None
        if found != self.sha256:
            target.unlink()
            raise HashDiffers(f"{shown(self.path)} has changed since it was hashed", "make deploy")


def folder_of(walk: Build, dist: Path) -> Path:
    """Return where the bundle of a plan goes: `dist/<recipe>-<device>-<version>`."""
    return dist / f"{walk.plan.name}-{walk.plan.device.name}-{__version__}"


def write(walk: Build, dist: Path) -> tuple[Path, bool]:
    """Write the bundle of a finished walk; return its folder and whether it had to be written."""
    folder, made = folder_of(walk, dist), files_of(walk)
    return folder, place(folder, {**made, MANIFEST: encode(manifest_of(walk, made))})


def encode(manifest: Mapping[str, Any]) -> bytes:
    """Return a manifest's bytes."""
    return (json.dumps(manifest, indent=2, sort_keys=True) + "\n").encode()


def place(
    folder: Path,
    contents: Mapping[str, Kept | bytes],
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
    files.remove(temporary)
    temporary.mkdir(parents=True)
    try:
        for name, content in {**contents, **extra}.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                (temporary / name).write_bytes(content)
            else:
                content.copy(temporary / name)
        if judge:
            judge(temporary)
        files.remove(folder)
        os.replace(temporary, folder)
    finally:
        files.remove(temporary)
    return True


def listing(sums: Mapping[str, str]) -> bytes:
    """Return SHA256SUMS for these files: name → sha256."""
    return "".join(f"{total}  {name}\n" for name, total in sorted(sums.items())).encode()


def sum_of(content: Kept | bytes) -> str:
    """Return the sha256 of a text's or a file's bytes."""
    return digest.of_bytes(content) if isinstance(content, bytes) else content.sha256


def _intact(folder: Path, sums: Mapping[str, str]) -> bool:
    try:
        tree = foreign.look(folder, LIMITS, {os.getuid(), 0})
        return tree.files.keys() - {BOARD} == sums.keys() and tree.sums(list(sums)) == dict(sums)
    except (Foreign, FileNotFoundError):
        return False


def files_of(walk: Build) -> dict[str, Kept]:
    """Return what is released, by its name in the bundle."""
    # A user's file may be reached by a link of the user's.
    found = {MODEL_FILE: Kept(walk.path(walk.plan.model).resolve(), walk.digest(walk.plan.model))}
    for record in walk.done.values():
        for role, name in BESIDE.items():
            if role in record.outputs:
                found[name] = Kept(walk.volume / record.path(role), record.outputs[role]["sha256"])
    return found


def manifest_of(walk: Build, made: Mapping[str, Kept]) -> dict[str, Any]:
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
            "bytes": made[MODEL_FILE].path.stat().st_size,
            "sha256": made[MODEL_FILE].sha256,
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
