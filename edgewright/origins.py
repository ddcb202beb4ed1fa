"""What a bundle was made from, found again: its manifest → a walk over the steps that made it, as far as they are still here.

A manifest may be somebody else's. Keys and digests of it are looked for on the volume; nothing runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgewright import engines, foreign, records, whereabouts
from edgewright.build import Build
from edgewright.config import Asset, Project
from edgewright.engine import Engine
from edgewright.errors import EngineMissing, WrongInput
from edgewright.plan import MODEL, File, Output, Plan, Source, Step
from edgewright.records import SHA256, Record
from edgewright.supply import Supply


def walk_of(
    project: Project, manifest: Mapping[str, Any], engine: str, supply: Supply, given: Mapping[str, Path | Asset]
) -> Build:
    """Return the walk that made a bundle, with the records that are still here; `given` by role is where its files may lie.

    Its engine is the one that is asked for, else the bundle's own.
    """
    volume = project.root / "build"
    try:
        plan = _plan(project, manifest, volume, given)
        keys = {str(step["stage"]): str(step["key"]) for step in manifest["steps"]}
    except (LookupError, TypeError, AttributeError, ValueError):
        raise WrongInput("manifest.json: not as Edgewright writes it", "make deploy") from None
    done = {}
    for step in plan.steps:
        if record := records.find(volume, step.stage.name, keys[step.stage.name]):
            done[step.stage.name] = record
    return Build(plan, _engine(project.root, engine, manifest, done, supply), volume, supply, done=done)


def _plan(project: Project, manifest: Mapping[str, Any], volume: Path, given: Mapping[str, Path | Asset]) -> Plan:
    def source(role: str, origin: Mapping[str, str]) -> Source:
        if "step" in origin:
            return Output(str(origin["step"]), str(origin["role"]))
        total, name = str(origin["sha256"]), str(origin.get("asset") or origin["file"])
        if not SHA256.fullmatch(total) or not foreign.is_plain(name):
            raise ValueError(name)
        asset, typed = project.assets.get(name), given.get(role)
        if "asset" in origin and asset and asset.sha256 == total:
            return asset
        return File(typed if isinstance(typed, Path) else whereabouts.find(volume, total) or Path(name), total)

    steps = []
    for made in manifest["steps"]:
        # A stage that is no longer here has left nothing that anybody could use.
        if stage := project.stages.get(made["stage"]):
            inputs = {role: source(role, origin) for role, origin in made["inputs"].items()}
            steps.append(Step(stage, dict(made["parameters"]), inputs))
    return Plan(
        project.pick("device", manifest["device"]),
        project.pick("firmware", manifest["firmware"]["name"]),
        project.pick("recipe", manifest["recipe"]),
        str(manifest["name"]),
        tuple(steps),
        source(MODEL, manifest["model"]["from"]),
    )


def _engine(root: Path, asked: str, manifest: Mapping[str, Any], done: Mapping[str, Record], supply: Supply) -> Engine:
    """Return the engine that is asked for, else that in which the bundle was made here, else the first that answers.

    Somebody else's manifest does not decide that their model runs here without isolation.
    """
    if not asked and done:
        with suppress(EngineMissing, WrongInput, LookupError, TypeError):
            own = engines.choose(root, str(manifest["engine"]["name"]), supply)
            if all((record.facts["isolation"] == "container") == own.hermetic for record in done.values()):
                return own
    return engines.choose(root, asked, supply)
