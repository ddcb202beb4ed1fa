"""What the unit tests share: a toy project and an engine for it (toy_project.py), and a terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from toy_project import Here, make_toy, plan_of

from edgewright.config import Project, load_project
from edgewright.plan import Plan


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of this test's own cache of steps: that of engines without isolation, as the toy project's is."""
    monkeypatch.setenv("EDGEWRIGHT_STORE", str(tmp_path / "store"))
    return tmp_path / "store" / "venv"


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """Return the root of a toy project."""
    return make_toy(tmp_path / "toy")


@pytest.fixture
def project(toy: Path) -> Project:
    """Return the toy project, parsed."""
    return load_project(toy)


@pytest.fixture
def plan(project: Project) -> Plan:
    """Return the toy project's plan."""
    return plan_of(project)


@pytest.fixture
def terminal() -> Iterator[str]:
    """Return the name of a pty at whose other end nobody is."""
    master, slave = os.openpty()
    yield os.ttyname(slave)
    os.close(slave)
    os.close(master)


@pytest.fixture
def here(toy: Path) -> Here:
    """Return an engine for the toy project."""
    return Here(toy)
