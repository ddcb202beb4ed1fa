"""`make vendor`: collect wheels, assets and images by hash in one folder, from which a machine without a network builds.

    SHA256SUMS       of every file below; written last
    wheels/          what the locks install: the host's for several Pythons, and the stages'
    assets/          what configs/assets.toml pins
    images/          the base and, in one archive with shared layers, every stage
    images.json      image → archive

What is there with the right hash stays. What an earlier run has put there, and nothing names any more, goes.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from edgewright import archives, assets, base, digest, log, proc, wheels
from edgewright.config import Asset, Project, shown
from edgewright.containers import Container
from edgewright.engine import Engine
from edgewright.environments import exclusively
from edgewright.errors import EngineMissing, StageFailed, WrongInput
from edgewright.fetch import PART, fetch
from edgewright.supply import IMAGES, SUMS, read_sums

FOLDERS = ("wheels", "assets", "images")


def fill(project: Project, engine: Engine, folder: Path) -> None:
    """Bring `folder` up to date with the locks, the assets and, if `engine` has any, the images."""
    if folder.exists() and not folder.is_dir():
        raise WrongInput(f"VENDOR={folder}: not a folder", "VENDOR=vendor")
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    with exclusively(f"vendor-{digest.of_value(str(folder.resolve()))[:12]}"):
        before = read_sums(folder)
        sums = {**_wheels(project.root, folder), **_assets(project.assets.values(), folder)}
        if isinstance(engine, Container):
            sums |= _images(project, engine, folder, before)
        else:
            log.say("images", f"left out: {engine.name} has none; a machine without a network will need ENGINE=venv")
        _remove(folder, before.keys() - sums.keys())
        _write(folder / SUMS, "".join(f"{total}  {name}\n" for name, total in sorted(sums.items())))
    size = sum((folder / name).stat().st_size for name in sums)
    log.say("vendor", f"{shown(folder)}: {len(sums)} files, {log.size(size)}", "bold")
    log.say("", f"without a network: make deploy … OFFLINE=1 VENDOR={shown(folder)}", "dim")


def _wheels(root: Path, folder: Path) -> dict[str, str]:
    """Fetch the files of all locks that are not there yet; return the sha256 of each."""
    files = wheels.wanted(root)
    missing = [file for file in files if not _is(folder / "wheels" / file.name, file.sha256)]
    total, before = sum(file.size or 0 for file in missing), 0
    with log.bar("wheels", f"fetching {len(missing)} of {len(files)} files, {log.size(total)}") as on_line:
        for file in missing:

            def told(done: int, before: int = before, name: str = file.name) -> None:
                on_line(f"{before + done}/{total} {name}")

            target = folder / "wheels" / file.name
            hint = "make vendor, which goes on where it stopped   or   make doctor"
            fetch(file.url, target, file.sha256, file.size, source=file.lock, hint=hint, on_bytes=told)
            before += file.size or 0
    log.say("wheels", f"{len(files)} files, {len(missing)} fetched")
    return {f"wheels/{file.name}": file.sha256 for file in files}


def _assets(pinned: Iterable[Asset], folder: Path) -> dict[str, str]:
    """Copy pinned downloads from the cache, which fetches them first; those that cannot be had are named and left out."""
    sums = {}
    for asset in pinned:
        target = folder / "assets" / assets.name_of(asset)
        if not _is(target, asset.sha256):
            try:
                _copy(assets.obtain(asset), target)
            except StageFailed as problem:
                log.say("assets", f"{asset.name} is left out: {problem}", "yellow")
                log.say("", f"  hint: {problem.hint}", "dim")
                continue
        sums[f"assets/{target.name}"] = asset.sha256
    return sums


def _images(project: Project, engine: Container, folder: Path, before: Mapping[str, str]) -> dict[str, str]:
    """Build what is missing, and save the base and, in one archive, the stages; return the sha256 of each archive."""
    stages = sorted(engine.prepare(stage).name for stage in project.stages.values())
    found = base.present(engine.program, engine.base)
    if not found:
        raise EngineMissing("the base image is gone", "make environments")
    foundation = found.name
    if foundation == engine.base.public:
        foundation = engine.base.kept
        proc.capture([engine.program, "tag", engine.base.public, foundation])
    wanted = {
        f"images/base-{foundation.rpartition(':')[2]}.tar": [foundation],
        f"images/stages-{digest.of_value(stages)[:12]}.tar": stages,
    }
    sums = {}
    for name, images in wanted.items():
        if not _is(folder / name, before.get(name, "")):
            archives.save(engine.program, images, folder / name)
        sums[name] = digest.of_file(folder / name)
        log.say("images", f"{name}: {len(images)} of them, {log.size((folder / name).stat().st_size)}")
    index = {image: name for name, images in wanted.items() for image in images}
    _write(folder / IMAGES, json.dumps(index, indent=2, sort_keys=True) + "\n")
    return {**sums, IMAGES: digest.of_file(folder / IMAGES)}


def _is(path: Path, sha256: str) -> bool:
    return path.is_file() and digest.of_file(path) == sha256


def _copy(source: Path, target: Path) -> None:
    part = target.with_name(f".{target.name}{PART}")
    shutil.copyfile(source, part)
    os.replace(part, target)


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}{PART}")
    part.write_text(text)
    os.replace(part, path)


def _remove(folder: Path, names: Iterable[str]) -> None:
    """Remove files that an earlier run has put there, and what a killed one has left half-written; nobody else's."""
    for path in [folder / name for name in names] + [p for f in FOLDERS for p in (folder / f).glob(f".*{PART}")]:
        path.unlink(missing_ok=True)
        log.say("vendor", f"removed {path.relative_to(folder)}", "dim")
