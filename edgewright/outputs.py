"""What a run has left in its folder: looked at, taken over into a folder of ours, and hashed.

A stage's code may be anybody's. Whatever it was, it no longer runs when its folder is looked at, except for the venv engine, where
a process may have stayed: what is taken over is looked at again where it then lies, and only then hashed.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from edgewright import digest, foreign
from edgewright.config import OURS, Stage
from edgewright.foreign import Foreign, Limits, Tree
from edgewright.log import LOG_BYTES

RECORD_BYTES = 16 << 20  # far more than any record has: parameters, a few outputs
OURS_BYTES = LOG_BYTES + 2 * RECORD_BYTES  # log, record and request


def limits_of(stage: Stage) -> Limits:
    """Return how much a step's folder may hold."""
    return Limits(entries=stage.limits.output_files, bytes=stage.limits.output_bytes)


def take(folder: Path, target: Path, stage: Stage, roles: Collection[str], owners: Collection[int]) -> Tree:
    """Move a run's outputs into a new folder, as files and folders of ours that nobody else may write to; raise Foreign.

    Everything in `folder` is looked at, what was promised is taken, and what lies beside it is left.
    """
    tree = foreign.look(folder, limits_of(stage), owners)
    wanted = [name for role, name in stage.outputs.items() if role in roles and name in {*tree.files, *tree.folders}]
    target.mkdir()
    for name in wanted:
        tree.claim(name)
        try:
            os.replace(folder / name, target / name)
        except FileNotFoundError:
            raise Foreign(name, foreign.GONE) from None
    return look(target, stage)


def look(folder: Path, stage: Stage) -> Tree:
    """Look at a step's folder that was taken over before; root's files are as good as ours, and what we add counts apart."""
    limits = limits_of(stage)
    room = Limits(limits.entries + len(OURS), limits.bytes + OURS_BYTES)
    return foreign.look(folder, room, {os.getuid(), 0})


def describe(tree: Tree, stage: Stage) -> dict[str, dict[str, Any]]:
    """Return role → {path, sha256, bytes} of every output that is there."""
    sums = tree.sums([path for path in tree.files if path.partition("/")[0] in stage.outputs.values()])
    found = {}
    for role, name in stage.outputs.items():
        if name in tree.files or name in tree.folders:
            below = [path for path in sums if path == name or path.startswith(f"{name}/")]
            size = sum(tree.files[path].bytes for path in below)
            found[role] = {"path": name, "sha256": digest_of(name, sums), "bytes": size}
    return found


def digest_of(name: str, sums: Mapping[str, str]) -> str:
    """Return the sha256 of an output, from those of the files in its step's folder: its own, or one over names and contents."""
    if name in sums:
        return sums[name]
    below = sorted(
        (path.removeprefix(f"{name}/"), total) for path, total in sums.items() if path.startswith(f"{name}/")
    )
    return digest.of_value([list(pair) for pair in below])
