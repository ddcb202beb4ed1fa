"""Project + device + recipe + options → Plan: which steps would run, on what. Pure; nothing is read but the project.

Stages are joined by roles: a step's input is what an earlier step of the pipeline gives under that role, else what the user gave,
else what a recipe or device names. The plan is found backwards from the model and the verdict on it: a stage that gives a role
without taking it makes it, and what the user supplies takes the maker's place; a stage that takes a role and gives it back
transforms it, and stays. What a stage takes only if it is there makes another run where the user gave something to make it from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgewright.config import Asset, Device, Firmware, Project, Recipe, Stage
from edgewright.errors import WrongInput, nearest
from edgewright.parameters import Layer, resolve

MODEL = "model"  # the role that a bundle is made of
VERDICT = "verdict"  # the role that says whether the board can run it
PAGE = "page"  # … the same, for people
DETECTIONS = "detections"  # what the board finds in each frame, frame by frame
# The files that a user may give: the role each takes, and what is typed for it.
TYPED: Mapping[str, str] = {"weights": "WEIGHTS", "dataset": "DATA", MODEL: "MODEL"}


@dataclass(frozen=True)
class File:
    """A file or folder of the user's or of the project's; with a sha256, only while it has that."""

    path: Path
    sha256: str = ""


@dataclass(frozen=True)
class Output:
    """What an earlier step gives under a role."""

    stage: str
    role: str


Source = File | Output | Asset


@dataclass(frozen=True)
class Step:
    """A stage in one plan: its parameters and where its inputs come from."""

    stage: Stage
    parameters: Mapping[str, Any]
    inputs: Mapping[str, Source]


@dataclass(frozen=True)
class Plan:
    """What would run, in order, and what the bundle is made from."""

    device: Device
    firmware: Firmware
    recipe: Recipe
    name: str
    steps: tuple[Step, ...]
    model: Source


@dataclass(frozen=True)
class Options:
    """What the user asked for beside device and recipe: files by role, parameters by name (as typed), and the bundle's name."""

    files: Mapping[str, Path | Asset] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)  # parameters that follow from this machine: a GPU, say
    firmware: str = ""
    name: str = ""

    @property
    def sources(self) -> dict[str, File | Asset]:
        """What the user gives, by role."""
        return {role: file if isinstance(file, Asset) else File(file) for role, file in self.files.items()}


def make_plan(project: Project, device: Device, recipe: Recipe, options: Options) -> Plan:
    """Return the plan for one device, recipe and set of options; refuse what contradicts the stages' declarations."""
    firmware: Firmware = project.pick("firmware", options.firmware or device.firmware)
    if firmware.device != device.name:
        fitting = [name for name, other in project.firmwares.items() if other.device == device.name]
        raise WrongInput(
            f"firmware {firmware.name!r} is for {firmware.device}, not {device.name}", nearest("", fitting)
        )
    given = options.sources
    stages = [project.stages[name] for name in device.pipeline]
    used = _used(stages, given, options.parameters)
    _refuse_unused_options(project, used, options)
    layers = _layers(project, device, firmware, recipe, options)
    steps: list[Step] = []
    knowing: set[str] = set()  # steps whose task is the recipe's
    for stage in used:
        inputs = {role: _source(project, stage, role, steps, given, layers) for role in stage.inputs}
        # The task of what the user gives is in the file, and only a stage can tell, unless it is told which.
        sources = [source for source in inputs.values() if source is not None]
        if "task" in stage.parameters or all(
            isinstance(source, Output) and source.stage in knowing for source in sources
        ):
            knowing.add(stage.name)
        task = recipe.task if stage.name in knowing else None
        parameters = resolve(stage, layers[stage.name], options.parameters, task)
        steps.append(Step(stage, parameters, {role: source for role, source in inputs.items() if source is not None}))
    model = _last(steps, MODEL) or given.get(MODEL)
    assert model is not None, "a pipeline that ends without a model is refused by the tests of configs/"
    return Plan(device, firmware, recipe, options.name or recipe.name, tuple(steps), model)


def _used(stages: list[Stage], given: Mapping[str, Source], asked: Mapping[str, str]) -> list[Stage]:
    """Walk back from the model and its verdict: keep each stage that gives a role which is still needed."""
    needed, welcome, used = {MODEL, VERDICT}, set[str](), []
    for stage in reversed(stages):
        gives = set(stage.outputs)
        makes = {role for role in needed & gives if role in stage.inputs or role not in given}
        required = {role for role, how in stage.inputs.items() if how == "required"}
        # Nobody needs what it gives, but it is welcome, and the user has given all that it is made from.
        offered = welcome & gives and set(stage.inputs) & given.keys() and required <= given.keys()
        left_out = stage.run.left_out_with in given and not set(stage.run.wanted_by) & set(asked)
        if (makes or offered) and not left_out:
            used.append(stage)
            # What is only offered is made from what the user gave, and from nothing that would have to be made first.
            needed = (needed - gives) | (required if makes else set())
            welcome |= stage.inputs.keys() - required
    return used[::-1]


def _source(
    project: Project,
    stage: Stage,
    role: str,
    earlier: list[Step],
    given: Mapping[str, Source],
    layers: Mapping[str, list[Layer]],
) -> Source | None:
    """Return where `stage` gets `role` from: an earlier step, the user, or a file that a recipe or device names."""
    if source := _last(earlier, role) or given.get(role):
        return source
    for layer in layers[stage.name]:
        if name := layer.values.get(role):
            return project.assets[name] if name in project.assets else File(project.root / name)
    if stage.inputs[role] == "required":
        raise WrongInput(f"{stage.name} needs {role}", f"{TYPED.get(role, role.upper())}=…")
    return None


def _last(steps: list[Step], role: str) -> Output | None:
    """Return the latest step that gives `role`. An optional output stands in for an input of that role that was not given."""
    for step in reversed(steps):
        if role in step.stage.outputs and not (role in step.stage.run.optional_outputs and role in step.inputs):
            return Output(step.stage.name, role)
    return None


def _layers(
    project: Project, device: Device, firmware: Firmware, recipe: Recipe, options: Options
) -> dict[str, list[Layer]]:
    """Return, for each stage, the tables that may set its parameters; the first that has one wins."""
    board = {"device": {"name": device.name, "title": device.title}, "firmware": firmware.facts}
    general = {"imgsz": recipe.imgsz, "task": recipe.task, **board}
    return {
        name: [
            Layer(f"configs/recipes/{recipe.name}.toml [{name}]", recipe.stages.get(name, {})),
            Layer(f"configs/devices/{device.name}.toml [{name}]", device.stages.get(name, {})),
            Layer(f"configs/firmwares/{firmware.name}.toml [{name}]", firmware.stages.get(name, {})),
            Layer(f"configs/recipes/{recipe.name}.toml", general, open=True),
            Layer("this machine", options.machine, open=True),
        ]
        for name in project.stages
    }


def _refuse_unused_options(project: Project, used: list[Stage], options: Options) -> None:
    """An option that no step of this plan reads is a mistake that would otherwise go unseen."""
    for role in options.files:
        if role != MODEL and not any(role in stage.inputs for stage in used):
            raise WrongInput(f"{TYPED[role]}= has no effect with MODEL=", f"leave out {TYPED[role]}= or MODEL=")
    for name in options.parameters:
        if any(name in stage.parameters for stage in used):
            continue
        readers = [stage.name for stage in project.stages.values() if name in stage.parameters]
        stages = ", ".join(stage.name for stage in used) or "no step"
        raise WrongInput(
            f"{name.upper()}= has no effect: {' and '.join(readers)} not among the steps ({stages})",
            f"leave out {name.upper()}=",
        )
