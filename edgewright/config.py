"""docker/*/stage.toml and configs/*.toml → frozen types: read once, checked once, never written to again.

Unknown keys are refused with the nearest known one. A recipe, a device and a firmware may carry tables named like a stage; these
hold parameters and inputs of that stage and are checked against its stage.toml when a plan is made.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationError

from edgewright.errors import WrongInput, nearest
from edgewright.firmware import Firmware as Firmware
from edgewright.firmware import Region
from edgewright.foreign import is_plain
from edgewright.table import Table, refusal, telling
from edgewright.table import shown as shown  # config is where the others look for it

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


# What we write into a step's folder ourselves, beside its outputs.
RECORD, LOG, REQUEST = "record.json", "log.txt", "request.json"
OURS = frozenset({RECORD, LOG, REQUEST, "inputs", "tmp"})


class Parameter(Table):
    """One parameter of a stage: its type and the values it may take."""

    type: Literal["integer", "number", "string", "boolean", "list", "table"]
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    multiple_of: int | None = None
    choices: tuple[Any, ...] | None = Field(default=None, strict=False)
    by_task: bool = False  # a table with an entry for each task, of which a step gets its own where that is known


class Limits(Table):
    """What a step may use: memory and shared memory (`8g`), threads (0: all cores), processes, time; what it may leave."""

    memory: str = "8g"
    shm: str = "64m"
    tmp: str = "2g"
    threads: int = 1
    processes: int = 512
    time_s: int = Field(default=3600, gt=0)
    output_files: int = Field(default=10_000, gt=0)  # … and folders
    output_bytes: int = Field(default=4 << 30, gt=0)


class Run(Table):
    """When a stage runs, and what it gives only sometimes.

    `left_out_with` a role that the user gives, unless one of the `wanted_by` options asks for the stage all the same. An optional
    output stands in for an input of the same role that was not given. What a run that refuses its input has already written of the
    roles `kept` is kept for people to look at.
    """

    optional_outputs: tuple[str, ...] = Field(default=(), strict=False)
    left_out_with: str = ""
    wanted_by: tuple[str, ...] = Field(default=(), strict=False)
    kept: tuple[str, ...] = Field(default=(), strict=False)


class Varies(Table):
    """When a stage promises no bytes: if `parameter` is true. Two runs are then compared by the numbers in role `measure`, JSON."""

    parameter: str
    measure: str


def _name_of_output(name: str) -> str:
    if not is_plain(name) or name in OURS or name.startswith("."):
        raise ValueError(f"an output needs a plain name of its own, other than {', '.join(sorted(OURS))}")
    return name


class Tells(Table):
    """What only a stage can tell of a file that the user gives as the role `of`: its task, in the JSON of the output `role`."""

    of: str
    role: str


class Stage(Table):
    """A kind of work: a folder under docker/ with its own environment. Roles name what flows between stages."""

    name: str
    folder: Path
    title: str
    inputs: dict[str, Literal["required", "optional"]] = Field(default_factory=dict)
    outputs: dict[str, Annotated[str, AfterValidator(_name_of_output)]]
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    limits: Limits = Limits()
    run: Run = Run()
    varies: Varies | None = None
    tells: Tells | None = None
    files: tuple[str, ...] = Field(default=(), strict=False)  # beside its own folder: what its environment is made from
    patches: str = ""


class Board(Table):
    """How a board is found, flashed and helped: what a person reads is written here, beside the facts."""

    usb: tuple[str, ...] = Field(strict=False)  # vendor:product
    loader: Literal["esptool", "xmodem"]
    chip: str  # as the loader names it
    baud: int
    flash_bytes: int
    sector_bytes: int
    firmware_address: int
    firmware_bytes: int  # at most
    firmware_magic: str = ""  # the hexadecimal bytes that one begins with
    keeps: tuple[Region, ...] = Field(default=(), strict=False)  # whatever the firmware
    download: str  # how to bring it into its loader by hand
    unseen: str = ""  # what brings it back where its firmware has taken it off USB
    restart: str  # how to restart it by hand
    source: str  # where its firmware is published


class Device(Table):
    """A board: its pipeline of stages and the firmware it is expected to run."""

    name: str
    title: str
    about: str
    pipeline: tuple[str, ...] = Field(strict=False)
    firmware: str
    board: Board | None = None
    stages: dict[str, dict[str, Any]] = Field(default_factory=dict)


class Recipe(Table):
    """What is built: task, image size, and parameters of each stage.

    `default_for` is the role of the user's network for which it is taken where no recipe is asked for ("nothing": where there is no
    such network). A recipe without a task takes a network of any. `tolerance` is by how much each measure may differ between two
    runs of a stage that promises no bytes (training on a GPU).
    """

    name: str
    title: str
    task: str
    imgsz: int
    default_for: Literal["", "nothing", "weights", "model"] = ""
    tolerance: dict[str, float] = Field(default_factory=dict)
    stages: dict[str, dict[str, Any]] = Field(default_factory=dict)


class Asset(Table):
    """A pinned download: weights that others published."""

    name: str
    url: str
    sha256: str
    size: int | None = None
    licence: str


@dataclass(frozen=True)
class Project:
    """Everything that docker/ and configs/ say."""

    root: Path
    stages: Mapping[str, Stage]
    devices: Mapping[str, Device]
    firmwares: Mapping[str, Firmware]
    recipes: Mapping[str, Recipe]
    assets: Mapping[str, Asset]

    def pick(self, kind: Literal["device", "firmware", "recipe"], name: str) -> Any:
        """Return the device, firmware or recipe of that name; an unknown one is refused with the nearest known."""
        known: Mapping[str, Any] = {"device": self.devices, "firmware": self.firmwares, "recipe": self.recipes}[kind]
        if name not in known:
            raise WrongInput(f"unknown {kind} {name!r}", nearest(name, known))
        return known[name]


def load_project(root: Path) -> Project:
    """Read every stage, device, firmware, recipe and asset below `root`."""
    stages = {
        path.parent.name: _parse(Stage, path, {"name": path.parent.name, "folder": path.parent})
        for path in sorted(root.glob("docker/*/stage.toml"))
    }

    def folder(model: type[_T], name: str) -> dict[str, _T]:
        paths = sorted(root.glob(f"configs/{name}/*.toml"))
        return {path.stem: _parse(model, path, {"name": path.stem}, stages) for path in paths}

    project = Project(
        root=root,
        stages=stages,
        devices=folder(Device, "devices"),
        firmwares=folder(Firmware, "firmwares"),
        recipes=folder(Recipe, "recipes"),
        assets=_assets(root / "configs" / "assets.toml"),
    )
    _check_names(project)
    return project


_T = TypeVar("_T", bound=Table)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; one that is missing or no TOML is refused by name."""
    try:
        raw: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WrongInput(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise WrongInput(f"{shown(path)}: not valid TOML: {problem}") from None
    return raw


def _parse(model: type[_T], path: Path, known: dict[str, Any], stages: Mapping[str, Stage] | None = None) -> _T:
    raw = read_toml(path)
    if stages is not None:
        raw["stages"] = {name: raw.pop(name) for name in list(raw) if name in stages}
    try:
        return model.model_validate({**raw, **known})
    except ValidationError as problems:
        raise refusal(model, path, telling(problems), stages or {}) from None


def _assets(path: Path) -> dict[str, Asset]:
    found = {}
    for name, table in (read_toml(path) if path.exists() else {}).items():
        try:
            found[name] = Asset.model_validate({"name": name, **table})
        except ValidationError as problems:
            problem = telling(problems)
            raise refusal(Asset, path, {**problem, "loc": (name, *problem["loc"])}) from None
    return found


def _check_names(project: Project) -> None:
    """Refuse a device whose pipeline or firmware, or a firmware whose device, is not there, and two recipes for one default."""
    for device in project.devices.values():
        where = f"configs/devices/{device.name}.toml"
        for stage in device.pipeline:
            if stage not in project.stages:
                raise WrongInput(f"{where}: pipeline names unknown stage {stage!r}", nearest(stage, project.stages))
        if device.firmware not in project.firmwares:
            raise WrongInput(
                f"{where}: unknown firmware {device.firmware!r}", nearest(device.firmware, project.firmwares)
            )
    defaults: dict[tuple[str, str], str] = {}
    for recipe in project.recipes.values():
        if (
            recipe.default_for
            and (other := defaults.setdefault((recipe.default_for, recipe.task), recipe.name)) != recipe.name
        ):
            where = f"configs/recipes/{recipe.name}.toml: default_for = {recipe.default_for!r}"
            raise WrongInput(
                f"{where}: {other} is that for the same task", "leave it out of one: RECIPE= takes the other"
            )
    for firmware in project.firmwares.values():
        if firmware.device not in project.devices:
            where = f"configs/firmwares/{firmware.name}.toml"
            raise WrongInput(f"{where}: unknown device {firmware.device!r}", nearest(firmware.device, project.devices))
