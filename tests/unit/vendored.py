"""For the tests of `make vendor` and of what is taken from its folder: an index, a docker, and a folder with everything."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from toy_docker import docker, give_base, make_state

from edgewright import archives, assets, base, environments, vendor, venvs, wheels
from edgewright.config import load_project
from edgewright.wheels import Wheel

WHEELS = {"six-1.17.0-py2.py3-none-any.whl": b"six", "rich-14.2.0-py3-none-any.whl": b"rich" * 9}


def sha256(content: bytes) -> str:
    """Return the hash of some bytes."""
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what is cached to this test."""
    for module in (archives, assets, base, environments, venvs):
        monkeypatch.setattr(module, "CACHE", tmp_path / "cache")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Wheel]:
    """Return what the package index has of the toy's locks; each test may change it."""
    served = tmp_path / "index"
    served.mkdir()
    found = {}
    for name, content in WHEELS.items():
        (served / name).write_bytes(content)
        found[name] = Wheel(name, (served / name).as_uri(), sha256(content), len(content), "lock.txt")
    monkeypatch.setattr(wheels, "wanted", lambda _: list(found.values()))
    return found


@pytest.fixture
def toy(toy: Path) -> Path:
    """Return the toy project with a base image, locks of which the index has the files, and one asset."""
    give_base(toy)
    for lock in toy.glob("docker/*/requirements.txt"):
        lock.write_text(f"six==1.17.0 \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{sha256(b'six')}\n")
    (toy / "best.pt").write_bytes(b"weights")
    url = (toy / "best.pt").as_uri()
    table = f'[best]\nurl = "{url}"\nsha256 = "{sha256(b"weights")}"\nlicence = "x"\n'
    (toy / "configs" / "assets.toml").write_text(table)
    return toy


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return the folder in which the program that answers as docker keeps its images."""
    return make_state(tmp_path / "docker state")


@pytest.fixture
def filled(toy: Path, index: dict[str, Wheel], state: Path, tmp_path: Path) -> Path:
    """Return a folder with everything, made by a docker that then forgets its images."""
    engine, folder = docker(toy, state), tmp_path / "filled"
    (state / "images").write_text(f"{engine.base.local}\n")
    vendor.fill(load_project(toy), engine, folder)
    (state / "images").write_text("")
    (state / "done").write_text("")
    return folder
