"""What a command is asked for, option by option as typed → the device, the plan, a walk over it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgewright import engines, options
from edgewright.build import Build
from edgewright.config import Device, Project, load_project
from edgewright.errors import WrongInput
from edgewright.plan import make_plan
from edgewright.supply import Supply, open_supply

RECIPE = "figures-pose"  # what is built when no RECIPE= says otherwise

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


def walk_of(root: Path, raw: Raw) -> Build:
    """Return a walk over the plan that is asked for, in the engine that is; nothing has run."""
    project = load_project(root)
    device, recipe = device_of(project, raw), project.pick("recipe", raw["recipe"] or RECIPE)
    plan, supply = make_plan(project, device, recipe, options.parse(project, raw)), supply_of(raw)
    force, repeat = options.flag("force", raw["force"]), options.flag("verify_cache", raw["verify_cache"])
    return Build(plan, engines.choose(root, raw["engine"], supply), root / "build", supply, force, repeat)


def last_walk_of(root: Path, raw: Raw) -> Build:
    """Return a walk over what was built last, as far as it is there: a virtual board runs in the environment of its proof."""
    walk = walk_of(root, raw)
    walk.done = walk.last()
    return walk
