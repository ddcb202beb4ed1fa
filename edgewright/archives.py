"""Image archives, in the form that docker and podman both write and read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edgewright import log
from edgewright.environments import CACHE
from edgewright.errors import StageFailed
from edgewright.fetch import PART
from edgewright.supply import Supply


def load(program: str, image: str, supply: Supply) -> bool:
    """Load an image, and what shares its archive, into `program` (docker or podman); return whether there is such an archive."""
    archive = supply.archive(image)
    if archive:
        _run([program, "load", "--input", str(archive)], f"loading {archive.name}")
    return archive is not None


def save(program: str, images: Sequence[str], archive: Path) -> None:
    """Write images into one archive, in which they share their layers."""
    part = archive.with_name(f".{archive.name}{PART}")
    several = ["--multi-image-archive", "--format", "docker-archive"] if Path(program).name == "podman" else []
    try:
        _run([program, "save", *several, "--output", str(part), *images], f"saving {archive.name}")
        os.replace(part, archive)
    finally:
        part.unlink(missing_ok=True)


def _run(argv: Sequence[str], text: str) -> None:
    path = CACHE / "logs" / "images.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    code, lines = log.watch("images", text, argv, path)
    if code:
        last = lines[-1] if lines else f"exit code {code}"
        raise StageFailed(f"{text}: {last[:200]}", f"less {path}")
