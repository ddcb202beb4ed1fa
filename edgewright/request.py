"""What a command is asked for, option by option as typed → the device, the plan, a walk over it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgewright import engines, log, options, origins, recipes
from edgewright.build import Build, recorded, run_ahead
from edgewright.config import Device, Project, load_project
from edgewright.errors import WrongInput
from edgewright.plan import Step
from edgewright.supply import Supply, open_supply

Raw = Mapping[str, str]


def device_of(project: Project, raw: Raw) -> Device:
    """Return the board that is asked for; without DEVICE= there is none to guess."""
    if not raw["device"]:
        raise WrongInput("which board?", f"DEVICE={' or DEVICE='.join(sorted(project.devices))}")
    device: Device = project.pick("device", raw["device"])
    return device


def supply_of(raw: Raw) -> Supply:
    """Return where builds may get from what they need."""
    return open_supply(raw["vendor"], options.flag("offline", raw["offline"]))


def walk_of(root: Path, raw: Raw, *, released: bool = False) -> Build:
    """Return a walk over the plan that is asked for, in the engine that is; `released`: nothing in it is taken on trust.

    Nothing has run but, where the user gives a network, the step that tells its task: the recipe has to be one for that.
    """
    walk, choice = _asked(root, raw)
    walk.released = released
    if choice.reading:
        walk.plan = choice.plan_for(run_ahead(walk, choice.reading))
        if not choice.asked:
            log.say("recipe", f"{walk.plan.recipe.name}: {walk.plan.recipe.title}", "dim")
    return walk


def planned(root: Path, raw: Raw) -> tuple[Build, Step | None]:
    """Return a walk over the plan that is asked for; nothing has run.

    While it is not recorded for which task the user's network is, the plan is one of those that may be meant; then the step that
    will tell is returned as well.
    """
    walk, choice = _asked(root, raw)
    if not choice.reading:
        return walk, None
    if task := recorded(walk, choice.reading):
        walk.plan = choice.plan_for(task)
        return walk, None
    return walk, None if choice.asked else choice.reading


def last_walk_of(root: Path, raw: Raw) -> Build:
    """Return a walk over what was built last, as far as it is there: a virtual board runs in the environment of its proof."""
    walk, _ = planned(root, raw)
    walk.done = walk.last()
    return walk


def walk_that_made(project: Project, manifest: Mapping[str, Any], raw: Raw) -> Build:
    """Return a walk over what a bundle was made by, as its manifest says and as far as that is still here; nothing has run.

    What the bundle says need not be typed again; a data set that is, is where to look for the bundle's own.
    """
    given = options.parse(project, raw)
    if raw["recipe"] not in ("", made := manifest.get("recipe")):
        raise WrongInput(f"RECIPE={raw['recipe']}: the bundle was made by {made}", "leave out RECIPE=")
    return origins.walk_of(project, manifest, raw["engine"], supply_of(raw), given.files)


def _asked(root: Path, raw: Raw) -> tuple[Build, recipes.Choice]:
    """Read the options: what may be meant, and a walk over the first of it."""
    project = load_project(root)
    device, supply = device_of(project, raw), supply_of(raw)
    choice = recipes.choose(project, device, raw["recipe"], options.parse(project, raw))
    force, repeat = options.flag("force", raw["force"]), options.flag("verify_cache", raw["verify_cache"])
    engine = engines.choose(root, raw["engine"], supply)
    return Build(choice.likely, engine, root / "build", supply, force, repeat), choice
