"""`make lock`: resolve every requirements.in again and rewrite the hashed locks, then what the patches lead to."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from edgewright import log, proc
from edgewright.errors import StageFailed
from edgewright.venvs import PYTHON, python_of, uv

STAGE = ("--python-version", PYTHON, "--python-platform", "x86_64-manylinux_2_28", "--override", "../overrides.txt")
HOST = ("--universal", "--python-version", "3.10")  # the oldest Python that starts Edgewright


def lock(root: Path, *, upgrade: bool) -> None:
    """Rewrite every lock, those first that others are constrained by; without `upgrade` only what no longer fits changes."""
    requirements = sorted(root.glob("requirements/*.in")) + sorted(root.glob("docker/*/*requirements.in"))
    for path in sorted(requirements, key=lambda path: "\n-c " in path.read_text()):
        _compile(root, path, upgrade)
    for folder in sorted(root.glob("patches/*")):
        _expect(root, folder)


def _compile(root: Path, path: Path, upgrade: bool) -> None:
    target = path.with_suffix(".txt")
    before = _pins(target)
    argv = [uv(), "pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--annotation-style=line"]
    argv += [*(HOST if path.parent.name == "requirements" else STAGE), *(["--upgrade"] if upgrade else [])]
    lines: list[str] = []
    # From the file's own folder, so that the annotations in a lock are the same on every machine.
    if proc.stream([*argv, path.name, "--output-file", target.name], lines.append, cwd=path.parent):
        raise StageFailed(f"{path.relative_to(root)}: cannot be resolved: {' '.join(lines)[:300]}", "make doctor")
    after = _pins(target)
    changed = [
        f"{name} {before.get(name, '-')} → {after.get(name, '-')}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]
    log.say("lock", f"{target.relative_to(root)}: {', '.join(changed) or 'unchanged'}")


def _pins(path: Path) -> dict[str, str]:
    text = path.read_text() if path.exists() else ""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE))


def _expect(root: Path, folder: Path) -> None:
    """Apply a folder of patches to the pinned package and write down what that gives, as EXPECTED."""
    touched = re.findall(
        r"^\+\+\+ b/([^/\s]+)/", "\n".join(p.read_text() for p in folder.glob("*.patch")), re.MULTILINE
    )
    user = next(
        path for path in sorted(root.glob("docker/*/stage.toml")) if f'"{folder.relative_to(root)}"' in path.read_text()
    )
    pins = _pins(user.with_name("requirements.txt"))
    wanted = [f"{name}=={pins[name]}" for name in sorted({*touched, "patch-ng"})]
    with tempfile.TemporaryDirectory() as scratch:
        for argv in (
            [uv(), "venv", "--quiet", "--python", PYTHON, scratch + "/env"],
            [uv(), "pip", "install", "--quiet", "--no-deps", "--python", scratch + "/env", *wanted],
            [os.fspath(python_of(Path(scratch, "env"))), "docker/patch.py", "--write", os.fspath(folder)],
        ):
            lines: list[str] = []
            if proc.stream(argv, lines.append, cwd=root):
                raise StageFailed(f"{folder.name}: {lines[-1] if lines else argv[0]}", "mend the patch")
    log.say("lock", f"{folder.relative_to(root)}/EXPECTED")
