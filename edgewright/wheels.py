"""Which files the locks install, and where the package index keeps them: asked of uv, chosen as installers choose.

The stages run on one CPython, in an image or a venv; the host package on whatever Python is there. All on x86-64 Linux, glibc 2.28.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging import markers, tags
from packaging.pylock import PackageSdist, PackageWheel, Pylock, PylockSelectError

from edgewright import log, proc
from edgewright.config import read_toml
from edgewright.errors import StageFailed
from edgewright.supply import pins
from edgewright.venvs import PYTHON, build_env, uv

HOST = (Path("requirements", "build.txt"), Path("requirements", "host.txt"))
HOST_PYTHONS = ("3.10", "3.11", "3.12", "3.13")
# From the newest glibc to the oldest, which is the order of preference; the last are older names for 2.17, 2.12 and 2.5.
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(28, 4, -1)]
PLATFORMS += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"]
LINUX = {
    "os_name": "posix",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "implementation_name": "cpython",
}


@dataclass(frozen=True)
class Wheel:
    """A wheel or an sdist on the index; its hash is in the lock."""

    name: str
    url: str
    sha256: str
    size: int | None
    lock: str


def wanted(root: Path) -> list[Wheel]:
    """Return every file that the host's lock and the stages' locks install, by name; raise StageFailed if the index lacks one."""
    locks = [*HOST, *sorted(path.relative_to(root) for path in root.glob("docker/*/*requirements.txt"))]
    found: dict[str, Wheel] = {}
    with log.bar("wheels", "asking the package index") as on_line:
        for number, lock in enumerate(locks):
            on_line(f"{number}/{len(locks)} {lock}")
            found |= {wheel.name: wheel for wheel in _of_lock(root, lock)}
    return sorted(found.values(), key=lambda wheel: wheel.name)


def _of_lock(root: Path, lock: Path) -> Iterator[Wheel]:
    index = _ask(root, lock)
    for python in HOST_PYTHONS if lock in HOST else (PYTHON,):
        try:
            for package, file in index.select(environment=_environment(python), tags=_tags(python)):
                assert isinstance(file, PackageWheel | PackageSdist)
                if not file.url:
                    raise StageFailed(f"{lock}: {package.name} comes from a folder, not from an index", "make lock")
                yield Wheel(file.filename, file.url, file.hashes["sha256"], file.size, str(lock))
        except PylockSelectError as problem:
            raise StageFailed(f"{lock}, Python {python}: {problem}", "make lock") from None


def _ask(root: Path, lock: Path) -> Pylock:
    """Return what the index has of a lock's packages, less the files whose hashes the lock does not know."""
    host = ["--universal", "--python-version", HOST_PYTHONS[0]]
    stage = ["--python-version", PYTHON, "--python-platform", "x86_64-manylinux_2_28"]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "pylock.toml")
        argv = [uv(), "pip", "compile", "--quiet", "--no-deps", "--format", "pylock.toml", "--output-file", str(path)]
        lines: list[str] = []
        if proc.stream([*argv, *(host if lock in HOST else stage), str(lock)], lines.append, cwd=root, env=build_env()):
            raise StageFailed(f"{lock}: the package index has no answer: {' '.join(lines)[:300]}", "make doctor")
        raw = read_toml(path)
    allowed = pins(root / lock)
    for package in raw["packages"]:
        hashes = allowed.get(f"{package['name']}=={package['version']}", [])
        package["wheels"] = [wheel for wheel in package.get("wheels", []) if wheel["hashes"].get("sha256") in hashes]
        if package.get("sdist", {}).get("hashes", {}).get("sha256") not in hashes:
            package.pop("sdist", None)
    return Pylock.from_dict({**raw, "packages": [p for p in raw["packages"] if p["wheels"] or "sdist" in p]})


def _environment(python: str) -> markers.Environment:
    return {**markers.default_environment(), **LINUX, "python_version": python, "python_full_version": f"{python}.0"}  # type: ignore[typeddict-item]


def _tags(python: str) -> list[tags.Tag]:
    major, minor = (int(part) for part in python.split("."))
    name = f"cp{major}{minor}"
    native = tags.cpython_tags((major, minor), abis=[name], platforms=PLATFORMS)
    return [*native, *tags.compatible_tags((major, minor), name, PLATFORMS)]
