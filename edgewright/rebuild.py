"""Build images a second time and compare what is in them, file by file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from edgewright import base, log, proc
from edgewright.config import Stage
from edgewright.containers import Container
from edgewright.engine import Environment
from edgewright.errors import HashDiffers
from edgewright.rootfs import Contents, read


def rebuild(engine: Container, environment: Environment) -> tuple[Contents, Contents]:
    """Build an image a second time, without any layer of the first, and return what both contain; the second is removed."""
    again = replace(environment, name=f"{environment.name}-again")
    foundation = base.present(engine.program, engine.base)
    assert foundation, "the first build stands on it"
    engine.build(again, foundation.name, "--no-cache")
    try:
        log.say(environment.stage.name, "reading both images")
        return read(engine.program, environment.name), read(engine.program, again.name)
    finally:
        proc.capture([engine.program, "rmi", again.name], timeout_s=120)


def compare(engine: Container, stages: Iterable[Stage]) -> list[tuple[str, str]]:
    """Build every stage's image again and return (stage, digest); raise HashDiffers where one does not contain the same."""
    found = []
    for stage in stages:
        one, two = rebuild(engine, engine.prepare(stage))
        if different := one.differing(two):
            count = f", and {len(different) - 1} more" if len(different) > 1 else ""
            path = different[0]
            raise HashDiffers(
                f"{stage.name}: built again, its image has another {path}{count}",
                f"first {one.entries.get(path)}, second {two.entries.get(path)}",
            )
        found.append((stage.name, one.digest))
    return found
