"""A stage's parameters: declared in stage.toml, set by options, recipes, devices and firmwares, checked here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgewright.config import Parameter, Stage
from edgewright.errors import WrongInput, nearest

_TYPES: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "boolean": (bool,),
    "list": (list,),
    "table": (dict,),
}
_TRUTH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@dataclass(frozen=True)
class Layer:
    """A table that may set parameters, and where it stands. An `open` one holds values for many stages: not all need be known."""

    where: str
    values: Mapping[str, Any]
    open: bool = False


def resolve(stage: Stage, layers: list[Layer], options: Mapping[str, str], task: str | None = None) -> dict[str, Any]:
    """Return every parameter of `stage`: from the options, else from the first layer that sets it, else its default.

    With a `task`, of what is set by task only its own entry: a difference in another's must not run the step again.
    Raises WrongInput for a key that the stage does not declare and for a value outside what it declares.
    """
    for layer in layers:
        for key in layer.values:
            if not layer.open and key not in stage.parameters and key not in stage.inputs:
                raise WrongInput(
                    f"{layer.where}: unknown key {key!r}", nearest(key, [*stage.parameters, *stage.inputs])
                )
    values = {}
    for name, declared in stage.parameters.items():
        if name in options:
            where, value = f"{name.upper()}={options[name]}", _typed(name, declared, options[name])
        else:
            found = next((layer for layer in layers if name in layer.values), None)
            where = f"{found.where}: {name} = {found.values[name]!r}" if found else f"{stage.name}: {name}"
            value = found.values[name] if found else declared.default
        if value is None:
            raise WrongInput(f"{stage.name} needs the parameter {name!r}, and nothing sets it", f"{name.upper()}=…")
        _check(where, declared, value)
        if declared.by_task and task:
            if task not in value:
                hint = nearest(task, value) if value else "another FIRMWARE=, or MODEL= with outputs that it reads"
                raise WrongInput(f"{where}: nothing for the task {task!r}", hint)
            value = {task: value[task]}
        values[name] = value
    return values


def _typed(name: str, declared: Parameter, text: str) -> Any:
    """Read an option as its parameter's type."""
    where = f"{name.upper()}={text}"
    if declared.type == "integer":
        if size := re.fullmatch(r"(\d+)[x,](\d+)", text):
            if size[1] != size[2]:
                raise WrongInput(
                    f"{where}: not square, and no firmware takes anything else", f"{name.upper()}={size[1]}"
                )
            text = size[1]
        if not re.fullmatch(r"-?\d+", text):
            raise WrongInput(f"{where}: not a whole number", f"{name.upper()}={_example(declared)}")
        return int(text)
    if declared.type == "number":
        try:
            return float(text)
        except ValueError:
            raise WrongInput(f"{where}: not a number", f"{name.upper()}={_example(declared)}") from None
    if declared.type == "boolean":
        if text.lower() not in _TRUTH:
            raise WrongInput(f"{where}: neither 1 nor 0", f"{name.upper()}=1")
        return _TRUTH[text.lower()]
    return text


def _example(declared: Parameter) -> str:
    return str(declared.default if declared.default is not None else int(declared.minimum or 1))


def _check(where: str, declared: Parameter, value: Any) -> None:
    # In Python a truth value is an integer too; in TOML it is not.
    if not isinstance(value, _TYPES[declared.type]) or (isinstance(value, bool) and declared.type != "boolean"):
        raise WrongInput(f"{where}: must be a {declared.type}")
    if declared.choices is not None and value not in declared.choices:
        raise WrongInput(f"{where}: not allowed", nearest(str(value), map(str, declared.choices)))
    if isinstance(value, int | float):
        _check_number(where, declared, value)


def _check_number(where: str, declared: Parameter, value: float) -> None:
    if declared.minimum is not None and value < declared.minimum:
        raise WrongInput(f"{where}: less than {declared.minimum:g}", f"at least {declared.minimum:g}")
    if declared.maximum is not None and value > declared.maximum:
        raise WrongInput(f"{where}: more than {declared.maximum:g}", f"at most {declared.maximum:g}")
    if declared.multiple_of and value % declared.multiple_of:
        below = value // declared.multiple_of * declared.multiple_of
        name = where.partition("=")[0]
        raise WrongInput(
            f"{where}: not a multiple of {declared.multiple_of}",
            f"{name}={max(below, declared.multiple_of)} or {name}={below + declared.multiple_of}",
        )
