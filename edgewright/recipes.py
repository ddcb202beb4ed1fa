"""Which recipe is meant where nobody says: by what the user gives, and by its task, which only a stage can tell from the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edgewright.config import Asset, Device, Project, Recipe
from edgewright.errors import WrongInput
from edgewright.parameters import resolve
from edgewright.plan import TYPED, Options, Plan, Step, make_plan

NOTHING = "nothing"  # what recipes are a default for where the user gives no network
NAME_LENGTH = 60  # of a bundle's name that comes from a file's


@dataclass(frozen=True)
class Choice:
    """The plans that a command may mean, by the task of their recipe, and the step that tells which of them it is.

    Without such a step there is one plan. `asked` is the recipe that was asked for, `refused` why there is no plan for a task.
    """

    plans: Mapping[str, Plan]
    reading: Step | None = None
    asked: Recipe | None = None
    refused: Mapping[str, WrongInput] | None = None

    @property
    def likely(self) -> Plan:
        """Return a plan with the steps and the name that all have."""
        return next(iter(self.plans.values()))

    def plan_for(self, task: str) -> Plan:
        """Return the plan for a network of this task; one that nobody has a recipe for is refused."""
        if task in self.plans:
            return self.plans[task]
        assert self.reading is not None
        if self.refused and task in self.refused:
            raise self.refused[task]
        role, source = next(iter(self.reading.inputs.items()))
        given = f"{TYPED[role]}={source.name if isinstance(source, Asset) else source.path}"  # type: ignore[union-attr]
        if self.asked:
            theirs = f"RECIPE={self.asked.name} is for {self.asked.task or 'a .tflite'}"
            raise WrongInput(f"{given}: the network's task is {task}, and {theirs}", "leave out RECIPE=")
        known = " and ".join(self.plans)
        raise WrongInput(f"{given}: the network's task is {task}, and there are recipes for {known}", "RECIPE=…")


def choose(project: Project, device: Device, recipe: str, options: Options) -> Choice:
    """Return what may be meant: the recipe that is asked for, else every default for what the user gives. Pure."""
    reading = reading_of(project, device, options)
    if recipe:
        asked: Recipe = project.pick("recipe", recipe)
        return Choice({asked.task: make_plan(project, device, asked, options)}, reading, asked)
    roles = {known.default_for for known in project.recipes.values()}
    network = next((role for role in reversed([*TYPED]) if role in options.files and role in roles), NOTHING)
    role = next(iter(reading.inputs)) if reading else network
    defaults = [known for known in project.recipes.values() if known.default_for == role]
    if not defaults or (len(defaults) > 1 and not reading):
        names = " or ".join(f"RECIPE={known.name}" for known in defaults or project.recipes.values())
        raise WrongInput("which recipe?", names)
    named = replace(options, name=options.name or _name_of(options.files.get(network)))
    plans: dict[str, Plan] = {}
    refused: dict[str, WrongInput] = {}
    for known in defaults:
        # A firmware may have nothing for one task; which the network has is not known yet.
        try:
            plans[known.task] = make_plan(project, device, known, named)
        except WrongInput as problem:
            refused[known.task] = problem
    if not plans:
        raise next(iter(refused.values()))
    return Choice(plans, reading, refused=refused)


def reading_of(project: Project, device: Device, options: Options) -> Step | None:
    """Return the step that tells the task of the network that the user gives, if a stage of the device's pipeline can."""
    for stage in (project.stages[name] for name in device.pipeline):
        if stage.tells and stage.tells.of in options.files:
            return Step(stage, resolve(stage, [], {}), {stage.tells.of: options.sources[stage.tells.of]})
    return None


def _name_of(file: Path | Asset | None) -> str:
    """Return a bundle's name from the user's file; nothing where there is none, or nothing of it can be in a name."""
    stem = file.name if isinstance(file, Asset) else file.stem if file else ""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem)[:NAME_LENGTH].strip("-._")
