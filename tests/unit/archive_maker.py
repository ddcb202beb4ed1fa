"""For the tests of archives: small ones of every kind, and a cache of the test's own that they are unpacked into."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from edgewright import archive, environments

FILES = {"set/data.yaml": b"train: images/train\n", "set/images/train/a.jpg": os.urandom(3000)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that archives are unpacked into."""
    monkeypatch.setattr(archive, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(environments, "CACHE", tmp_path / "cache")
    return tmp_path / "cache" / "datasets"


def make(path: Path, files: dict[str, bytes]) -> Path:
    """Write an archive of these files, of the kind that its name says; return its path."""
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, content in files.items():
                zipped.writestr(name, content)
        return path
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as tarred:
        for name, content in files.items():
            tarred.addfile(info(name, size=len(content)), io.BytesIO(content))
    return path


def info(name: str, **fields: object) -> tarfile.TarInfo:
    """Return the entry of a tar with these fields."""
    made = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(made, key, value)
    return made
