"""What docker/install.sh does to a folder of packages, asked without a network: byte code, and what does not compile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Return an environment of one package, with a file that compiles under a warning."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    package = tmp_path / "lib" / "package"
    package.mkdir(parents=True)
    (package / "fine.py").write_text("names = {'a', 'b', 'c'}\n")
    (package / "warned.py").write_text("pattern = '\\d'\nalways = 1 is 1\n")
    return tmp_path


def compile_all(environment: Path) -> subprocess.CompletedProcess[str]:
    argv = ["sh", str(ROOT / "docker" / "install.sh"), "compile"]
    variables = {**os.environ, "EDGEWRIGHT_ENV": str(environment)}
    return subprocess.run(argv, env=variables, capture_output=True, text=True, timeout=60, check=False)


def test_byte_code_carries_no_time_and_is_the_same_again(environment: Path) -> None:
    found = []
    for time_s in (1, 2_000_000_000):
        for path in environment.rglob("*.py"):
            os.utime(path, (time_s, time_s))
        done = compile_all(environment)
        # A warning that is shown loads modules into one worker, and byte code depends on which names its process knows.
        assert (done.returncode, done.stderr) == (0, "")
        found.append({path.name: path.read_bytes() for path in environment.rglob("*.pyc")})
    assert len(found[0]) == 2
    assert found[0] == found[1]
    # PEP 552: hash-based, and not checked against the source.
    assert {content[4:8] for content in found[0].values()} == {b"\1\0\0\0"}


def test_a_file_that_does_not_compile_fails_the_build_and_is_named(environment: Path) -> None:
    (environment / "lib" / "package" / "broken.py").write_text("print 'hello'\n")
    done = compile_all(environment)
    assert done.returncode != 0
    assert "broken.py" in done.stdout
