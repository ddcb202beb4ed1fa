"""What building an image and building a venv have in common: one at a time, a log, and errors that say what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import filelock
import platformdirs

from edgewright import log
from edgewright.config import Stage
from edgewright.engine import Environment
from edgewright.errors import EdgewrightError, EngineMissing, HashDiffers, StageFailed

# Shared by all checkouts: an environment depends on what it is made from, not on where.
CACHE = platformdirs.user_cache_path("edgewright")

# What builds fail of, as pip, uv, apt, docker and podman word it.
CAUSES: tuple[tuple[tuple[str, ...], type[EdgewrightError], str, str], ...] = (
    (
        ("THESE PACKAGES DO NOT MATCH THE HASHES", "Hash mismatch"),
        HashDiffers,
        "a download has another sha256 than the lock",
        "make lock",
    ),
    (
        ("No interpreter found for Python",),
        EngineMissing,
        "the Python that it needs is not on this machine, and none may be downloaded",
        "ENGINE=docker or ENGINE=podman",
    ),
    (
        ("No space left on device", "not enough space"),
        StageFailed,
        "the disk is full",
        "docker system prune   or   make clean",
    ),
    (
        ("CERTIFICATE_VERIFY_FAILED", "invalid peer certificate", "self-signed certificate"),
        StageFailed,
        "the package index's certificate is not trusted",
        "EDGEWRIGHT_CA=/path/to/corporate-ca.pem make deploy …",
    ),
    (
        (
            "Temporary failure in name resolution",
            "Name or service not known",
            "dns error",
            "NewConnectionError",
            "No route to host",
            "Connection refused",
            "(from versions: none)",
        ),
        StageFailed,
        "no network while the environment is built (later runs need none)",
        "make doctor",
    ),
)


@contextmanager
def exclusively(
    name: str, folder: Path = CACHE / "locks", *, speaker: str = "", text: str = "", mode: int = 0o644
) -> Iterator[None]:
    """Hold a lock of that name, over all processes that use this folder; if another one has it, say so and wait."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / f"{name}.lock", mode=mode)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        log.say(speaker, text or f"another run is working on {name}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def make(environment: Environment, argv: Sequence[str], text: str, *, cwd: Path, env: Mapping[str, str]) -> None:
    """Run one command of those that make an environment; raise the error that its failure means."""
    path = CACHE / "logs" / f"{environment.stage.name}-{environment.fingerprint[:12]}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    code, lines = log.watch(environment.stage.name, text, argv, path, cwd=cwd, env=env)
    if code:
        raise failure(environment.stage, lines, path)


def failure(stage: Stage, lines: Sequence[str], path: Path) -> EdgewrightError:
    """Return the error for a build that failed: a known cause with its remedy, else its last words."""
    text = "\n".join(lines)
    for words, kind, cause, hint in CAUSES:
        if any(word.lower() in text.lower() for word in words):
            return kind(f"{stage.name}: {cause} (log: {path})", hint)
    last = next(
        (line.strip() for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else "no output"
    )
    return StageFailed(f"{stage.name}: its environment cannot be built: {last[:200]}", f"less {path}")
