"""A program that answers as docker does, for tests without one. What it has is in a folder of files."""

from __future__ import annotations

import io
import stat
import tarfile
from pathlib import Path

from edgewright.containers import Container
from edgewright.supply import Supply

# images: a name a line. rootfs.tar: what every image contains. done: what it was asked to do, calls: each time it was started.
DOCKER = """#!/bin/sh
cd {state} || exit 1
echo "$1" >> calls
asked=$1
case "$1" in
image)
    [ "$3" = --format ] || {{ grep -qxF "$3" images; exit; }}
    shift 4
    for name; do
        tags="[\\"$name\\"]"
        case "$name" in *@*) tags=[] ;; esac
        id=$( (echo "$name"; cat rootfs.tar) | sha256sum | cut -c1-64)
        if grep -qxF "$name" images; then echo "sha256:$id $tags"; else echo "Error: No such image: $name"; fi
    done
    exit ;;
create) echo container; exit ;;
container) cat rootfs.tar; exit ;;
rm) exit ;;
tag) echo "$3" >> images ;;
save) shift 2; out=$1; shift; printf '%s\\n' "$@" > "$out" ;;
load) cat "$3" >> images ;;
build) for word; do [ "$before" = --tag ] && echo "$word" >> images; before=$word; done ;;
pull) exit 1 ;;
esac
echo "$asked" >> done
"""

BASE = """
public = "python:3.11@sha256:0123456789abcdef"
[local]
suite = "bookworm"
packages = ["python3"]
leave_out = []
"""


def give_base(toy: Path) -> Path:
    """Write which base image the toy project has; return the project."""
    (toy / "docker" / "base.toml").write_text(BASE)
    return toy


def make_state(folder: Path, content: bytes = b"system") -> Path:
    """Fill the folder of a docker that has no images; all that it gets will contain one file."""
    folder.mkdir()
    for name in ("images", "done", "calls"):
        (folder / name).touch()
    entry = tarfile.TarInfo("etc/issue")
    entry.size = len(content)
    with tarfile.open(folder / "rootfs.tar", "w") as tar:
        tar.addfile(entry, io.BytesIO(content))
    return folder


def docker(toy: Path, state: Path, supply: Supply | None = None) -> Container:
    """Return the engine that asks this docker."""
    engine = Container("docker", toy, supply or Supply())
    program = state / "docker"
    program.write_text(DOCKER.format(state=f"'{state}'"))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    engine.program = str(program)
    return engine


def words(state: Path, name: str) -> list[str]:
    """Return what is in one of its files."""
    return (state / name).read_text().split()
