"""For the tests of releases and their check: signed releases, and what somebody does to them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from released import git, make_release, make_released, set_text

from edgewright import bundle, chain, check, digest, signature
from edgewright.errors import HashDiffers
from edgewright.sums import UNLISTED


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a project, keys, a signed release and one of another build, made once."""
    root = tmp_path_factory.mktemp("released")
    patch = pytest.MonkeyPatch()
    patch.setenv("EDGEWRIGHT_STORE", str(root / "store"))
    key, _ = signature.make_key(root / "release.key")
    signature.make_key(root / "other.key")
    make_release(make_released(root / "toy"), root / "one", key)
    set_text(make_released(root / "toy2"), "5678TFL3")
    shutil.copy(root / "toy2/configs/recipes/figures.toml", root / "figures.toml")
    git(root / "toy2", "commit", "-q", "-a", "-m", "another")
    make_release(root / "toy2", root / "two", key)
    patch.undo()
    return root


@pytest.fixture
def folder(place: Path, tmp_path: Path) -> Path:
    """Return a copy of the signed release, to tamper with."""
    return Path(shutil.copytree(only(place / "one"), tmp_path / "release"))


def only(out: Path) -> Path:
    (found,) = (out / "dist/releases").iterdir()
    return found


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sum_again(folder: Path) -> None:
    """Write SHA256SUMS as whoever has tampered would."""
    sums = {name: digest.of_bytes(text) for name, text in files_of(folder).items() if name not in UNLISTED}
    (folder / "SHA256SUMS").write_bytes(bundle.listing(sums))


def restate(folder: Path) -> None:
    """Write all statements and sums again, as whoever has tampered and has no key would."""
    sums = {name: digest.of_bytes(text) for name, text in files_of(folder).items()}
    covered = {name: total for name, total in sums.items() if name not in UNLISTED and "provenance/" not in name}
    manifest, told = (json.loads((folder / name).read_text()) for name in ("manifest.json", "report.json"))
    for name, text in chain.statements(manifest, told, covered).items():
        (folder / name).write_bytes(text)
    sum_again(folder)


def found(folder: Path, key: Path | None = None) -> str:
    with pytest.raises(HashDiffers) as refusal:
        check.check(folder, key)
    return str(refusal.value)
