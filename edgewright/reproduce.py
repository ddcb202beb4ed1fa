"""`make reproduce`: build everything twice from nothing, the second time under other conditions, and compare every byte.

The second build has another hash seed, one core, another folder (with a space in its name), and another engine where there is one.
Each of its steps gets what the first build's step got, so that a difference is found where it arises and nowhere else.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgewright import digest, documents, log, records
from edgewright.build import Build, open_volume
from edgewright.cache import Store
from edgewright.config import Project, shown
from edgewright.engine import Conditions, Engine
from edgewright.errors import EdgewrightError, HashDiffers
from edgewright.execute import Work, execute
from edgewright.file_index import FileIndex
from edgewright.plan import File, Plan, Step
from edgewright.records import Record

FOLDER = "reproduce"  # on the volume
ONE, TWO = "one", "another folder"
DIGESTS = "digests.json"  # what is left of two equal builds: other machines compare with it
DIFFERENCE = "difference"  # the role of what says how two files differ
FIRST, SECOND = "first", "second"  # … and of these files


@dataclass(frozen=True)
class Row:
    """One output of both builds: its sha256 and place in each, and why a difference is none, if it is none."""

    stage: str
    path: str
    bytes: int
    first: str
    second: str
    places: tuple[Path, Path]
    excuse: str = ""

    @property
    def good(self) -> bool:
        """Return whether the bytes are the same, or need not be."""
        return self.first == self.second or bool(self.excuse)


def other_conditions() -> Conditions:
    """Return what the second build differs in, beside its folder and engine."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
    return Conditions({"PYTHONHASHSEED": "1"}, core=min(cores))


def reproduce(project: Project, first: Build, engine: Engine) -> list[Row]:
    """Build `first`'s plan twice and return a row for each output; raise HashDiffers, saying what differs, and keep both builds.

    Only plan, engine and supply of `first` are used: neither its volume nor the user's cache gives anything,
    and the user's files are read again.
    """
    root = first.volume / FOLDER
    shutil.rmtree(root, ignore_errors=True)
    nothing: dict[str, Any] = {"done": {}, "digests": {}, "index": FileIndex(root / "index")}
    one = replace(first, volume=root / ONE, store=Store(root / "store-1"), **nothing)
    other = other_conditions()
    two = replace(one, engine=engine, volume=root / TWO, store=Store(root / "store-2"), conditions=other, done={})
    log.say("first", f"{one.engine.name}, all cores")
    open_volume(one.volume)
    for step in one.plan.steps:
        one.run(step)
    log.say("second", f"{engine.name}, core {other.core}, hash seed 1, folder '{TWO}'")
    open_volume(two.volume)
    rows: list[Row] = []
    for step in two.plan.steps:
        two.run(step)
        rows += _settle(step, one, two)
    (root / DIGESTS).write_text(json.dumps(_digests(one.plan, (one, two), rows), indent=2) + "\n")
    wrong = [row for row in rows if not row.good]
    if wrong:
        _explain(project, one, wrong)
    for folder in (ONE, TWO, "store-1", "store-2"):
        shutil.rmtree(root / folder, ignore_errors=True)
    return rows


def _settle(step: Step, one: Build, two: Build) -> list[Row]:
    """Return a row for each output of a step; if it came out otherwise, what follows in the second build gets the first's."""
    name = step.stage.name
    a, b = one.done[name], two.done[name]
    excuse, mine = _excuse(step, one, two), two.volume / b.folder
    if _sums(a) != _sums(b):
        if a.folder == b.folder:  # the same key, other bytes
            mine = mine.with_name(f"{b.folder}-differs")
            os.replace(two.volume / b.folder, mine)
        shutil.copytree(one.volume / a.folder, two.volume / a.folder)
        two.done[name] = a
    rows = []
    for role in sorted({*a.outputs, *b.outputs}):
        known = a.outputs.get(role) or b.outputs[role]
        first, second = (_sums(record).get(role, "missing") for record in (a, b))
        places = one.volume / a.folder / known["path"], mine / known["path"]
        why = excuse if first != second else ""
        rows.append(Row(name, known["path"], known["bytes"], first, second, places, why))
    return rows


def _sums(record: Record) -> dict[str, str]:
    return {role: output["sha256"] for role, output in record.outputs.items()}


def _excuse(step: Step, one: Build, two: Build) -> str:
    """Say how near the two results of a step are whose bytes nobody promises; nothing if they are promised, or not near."""
    varies, tolerance = step.stage.varies, one.plan.recipe.tolerance
    if varies is None or not step.parameters.get(varies.parameter) or not tolerance:
        return ""
    found = [_measures(walk, step, varies.measure) for walk in (one, two)]
    pairs = {name: (found[0].get(name), found[1].get(name)) for name in tolerance}
    near = [
        f"{name} {a:.4f}, {b:.4f}"
        for name, (a, b) in pairs.items()
        if a is not None and b is not None and abs(a - b) <= tolerance[name]
    ]
    return f"within tolerance: {'; '.join(near)}" if len(near) == len(pairs) else ""


def _measures(walk: Build, step: Step, role: str) -> dict[str, float]:
    found = documents.read(walk.volume, walk.done[step.stage.name], role, documents.Measures).root
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


def _digests(plan: Plan, walks: tuple[Build, Build], rows: list[Row]) -> dict[str, Any]:
    return {
        "plan": f"{plan.name} for {plan.device.name}",
        "machine": _cpu(),
        "engines": [walk.engine.name for walk in walks],
        "conditions": [asdict(walk.conditions) for walk in walks],
        "outputs": {f"{row.stage}/{row.path}": [row.first, row.second] for row in rows},
    }


def _cpu() -> str:
    """Return the processor's name: over how many of them the bytes are equal is what these files are collected for."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return name or platform.processor() or platform.machine()


def _explain(project: Project, walk: Build, wrong: list[Row]) -> None:
    """Say of each output that differs what differs in it, and where both are; raise HashDiffers for the first."""
    for row in wrong:
        log.say(row.stage, f"✗ {row.path} differs", "red")
        there = all(path.exists() for path in row.places)
        for line in _differences(project, walk, row.places) if there else ["only one build has it"]:
            log.say("", line)
        for path in row.places:
            log.say("", shown(path), "dim")
    first = wrong[0]
    count = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    a, b = first.places
    raise HashDiffers(f"{first.stage}: {first.path} is not the same twice{count}", f"cmp '{a}' '{b}'")


def _differences(project: Project, walk: Build, paths: tuple[Path, Path]) -> list[str]:
    """Have the stage that can read them say what differs between two outputs."""
    stage = next((stage for stage in project.stages.values() if DIFFERENCE in stage.outputs), None)
    if stage is None:
        return []
    step = Step(stage, {}, {FIRST: File(paths[0]), SECOND: File(paths[1])})
    try:
        environment = walk.engine.prepare(stage)
        given = dict(zip((FIRST, SECOND), paths, strict=True))
        sums = {role: digest.of_path(path) for role, path in given.items()}
        facts = records.facts(step, sums, environment, walk.engine.hermetic)
        record: Record = execute(Work(walk.engine, environment, walk.volume, step, given), facts)
    except EdgewrightError as problem:
        return [f"what differs cannot be said: {problem}"]
    return documents.read(walk.volume, record, DIFFERENCE, documents.Difference).summary
