"""`make lock`: resolve every requirements.in again and rewrite the hashed locks, then what the patches lead to."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgewright import log, proc
from edgewright.errors import StageFailed, WrongInput
from edgewright.venvs import PYTHON, install_argvs, python_of, uv

STAGE = ("--python-version", PYTHON, "--python-platform", "x86_64-manylinux_2_28", "--override", "../overrides.txt")
HOST = ("--universal", "--python-version", "3.10")  # the oldest Python that starts Edgewright

Change = tuple[str, str, str]  # package, old version, new version; "-" where there is none


def lock(root: Path, *, upgrade: bool, table: Path | None = None) -> None:
    """Rewrite every lock, those first that others are constrained by; without `upgrade` only what no longer fits changes.

    What changed is printed, and written to the file `table` as Markdown, if one is given.
    """
    if table and not table.parent.is_dir():
        raise WrongInput(f"TABLE={table}: no folder {table.parent}", "TABLE=pins.md")
    changes: dict[str, list[Change]] = {}
    requirements = sorted(root.glob("requirements/*.in")) + sorted(root.glob("docker/*/*requirements.in"))
    for path in sorted(requirements, key=lambda path: "\n-c " in path.read_text()):
        changes[path.with_suffix(".txt").relative_to(root).as_posix()] = _compile(root, path, upgrade)
    for folder in sorted(root.glob("patches/*")):
        _expect(root, folder)
    if table:
        unfinished = table.with_name(f".{table.name}.unfinished")
        unfinished.write_text(as_markdown(changes), encoding="utf-8")
        os.replace(unfinished, table)


def as_markdown(changes: Mapping[str, Sequence[Change]]) -> str:
    """Return a table of what changed in each lock, a row for each package."""
    rows = [
        f"| {name} | {package} | {old} | {new} |" for name in sorted(changes) for package, old, new in changes[name]
    ]
    if not rows:
        return "Nothing changed.\n"
    return "\n".join(["| lock | package | old | new |", "|---|---|---|---|", *rows, ""])


def compare(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    """Return what changed between two locks, by package."""
    pairs = ((name, before.get(name, "-"), after.get(name, "-")) for name in sorted({*before, *after}))
    return [(name, old, new) for name, old, new in pairs if old != new]


def _compile(root: Path, path: Path, upgrade: bool) -> list[Change]:
    target = path.with_suffix(".txt")
    before = _pins(target)
    argv = [uv(), "pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--annotation-style=line"]
    argv += [*(HOST if path.parent.name == "requirements" else STAGE), *(["--upgrade"] if upgrade else [])]
    lines: list[str] = []
    # From the file's own folder, so that the annotations in a lock are the same on every machine.
    if proc.stream([*argv, path.name, "--output-file", target.name], lines.append, cwd=path.parent):
        raise StageFailed(f"{path.relative_to(root)}: cannot be resolved: {' '.join(lines)[:300]}", "make doctor")
    changes = compare(before, _pins(target))
    told = ", ".join(f"{name} {old} → {new}" for name, old, new in changes)
    log.say("lock", f"{target.relative_to(root)}: {told or 'unchanged'}")
    return changes


def _pins(path: Path) -> dict[str, str]:
    text = path.read_text() if path.exists() else ""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE))


def _expect(root: Path, folder: Path) -> None:
    """Apply a folder of patches to the pinned package and write down what that gives, as EXPECTED."""
    user = next(
        path for path in sorted(root.glob("docker/*/stage.toml")) if f'"{folder.relative_to(root)}"' in path.read_text()
    ).parent
    with tempfile.TemporaryDirectory() as scratch:
        env = Path(scratch, "env")
        for argv in (
            *_install(env, root, user, folder.name),
            [os.fspath(python_of(env)), "docker/patch.py", "--write", os.fspath(folder)],
        ):
            lines: list[str] = []
            if proc.stream(argv, lines.append, cwd=root):
                raise StageFailed(f"{folder.name}: {lines[-1] if lines else argv[0]}", "mend the patch")
    log.say("lock", f"{folder.relative_to(root)}/EXPECTED")


def _install(env: Path, root: Path, stage: Path, package: str) -> list[list[str]]:
    """Return the command lines that install a stage's package to be patched: with its whole lock where it has to be compiled."""
    if (stage / "build-requirements.txt").exists():
        return install_argvs(env, root, stage.relative_to(root).as_posix())
    pins = _pins(stage / "requirements.txt")
    wanted = [f"{name}=={pins[name]}" for name in (package, "patch-ng")]
    return [
        [uv(), "venv", "--quiet", "--python", PYTHON, os.fspath(env)],
        [uv(), "pip", "install", "--quiet", "--no-deps", "--python", os.fspath(env), *wanted],
    ]
