"""What stands for the base image in keys follows from its files, read by whichever engine, however they are packed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edgewright import base, rootfs
from edgewright.containers import Container
from edgewright.engine import Engine
from tests.conftest import ROOT

NAME = "localhost/edgewright-base-again:test"
SEEN: dict[str, str] = {}  # image id → digest, over the engines


def run(program: str, *words: str, to: Path | None = None) -> str:
    """Run a client, with its output in a file if one is given; return the output otherwise."""
    if to:
        with to.open("wb") as file:
            subprocess.run([program, *words], stdout=file, check=True, timeout=300)
        return ""
    return subprocess.run([program, *words], capture_output=True, text=True, check=True, timeout=300).stdout.strip()


@pytest.fixture
def foundation(engine: Engine) -> tuple[Container, base.Foundation]:
    """Return an engine and the base that it has."""
    if not isinstance(engine, Container):
        pytest.skip("venv: no image")
    found = base.present(engine.program, engine.base) or base.obtain(engine.program, base.load_base(ROOT))
    return engine, found


def test_the_same_files_packed_otherwise_have_the_same_digest(
    foundation: tuple[Container, base.Foundation], tmp_path: Path
) -> None:
    engine, found = foundation
    container = run(engine.program, "create", "--network", "none", found.name, "true").splitlines()[-1]
    try:
        run(engine.program, "export", container, to=tmp_path / "layer.tar")
    finally:
        run(engine.program, "rm", "--force", container)
    base.write_archive(tmp_path / "layer.tar", tmp_path / "image.tar", NAME)
    run(engine.program, "load", "--input", str(tmp_path / "image.tar"))
    try:
        image = run(engine.program, "image", "inspect", "--format", "{{.Id}}", NAME).removeprefix("sha256:")
        assert image != found.image
        again, before = rootfs.read(engine.program, image), rootfs.read(engine.program, found.image)
        assert again.differing(before) == []
        assert again.digest == before.digest == base.contents(engine.program, found)
    finally:
        run(engine.program, "rmi", NAME)


def test_two_engines_read_the_same(foundation: tuple[Container, base.Foundation]) -> None:
    engine, found = foundation
    total = rootfs.read(engine.program, found.image).digest
    assert SEEN.setdefault(found.image, total) == total
