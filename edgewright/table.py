"""One TOML table → one frozen type, and what a person reads whose table is wrong."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from edgewright.errors import WrongInput, nearest

GIVEN_BY_CODE = {"name", "folder", "stages"}  # fields that no file sets under these names


class Table(BaseModel):
    """A table whose unknown keys are refused and whose values keep TOML's types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def shown(path: Path) -> str:
    """Return `path` as a person would type it: relative to here where that is shorter."""
    try:
        return path.resolve().relative_to(Path.cwd().resolve()).as_posix()
    except ValueError:
        return str(path)


def telling(problems: ValidationError) -> Any:
    """Return the problem to report: a key that is mistyped is also missing under its right name, and says more."""
    return min(problems.errors(), key=lambda problem: problem["type"] != "extra_forbidden")


def refusal(model: type[BaseModel], path: Path, problem: Any, stages: Collection[str] = ()) -> WrongInput:
    """Return the error that names file, table and key of pydantic's `problem`; `stages` may be tables, too."""
    *tables, key = problem["loc"]
    # A number behind a key of plain values counts these; behind a list of tables it counts tables.
    if isinstance(key, int) and tables:
        key = f"{tables.pop()}[{key}]"
    where = shown(path) + _table_name(tables)
    if problem["type"] == "extra_forbidden":
        fields = _fields(model, tables) | (set(stages) if not tables else set())
        return WrongInput(f"{where}: unknown key {key!r}", nearest(str(key), fields - GIVEN_BY_CODE))
    if problem["type"] == "missing":
        return WrongInput(f"{where}: {key!r} is missing", f"add it to {shown(path)}")
    hint = ""
    if problem["type"] == "literal_error":
        hint = nearest(str(problem["input"]), re.findall(r"'([^']+)'", problem["ctx"]["expected"]))
    text = problem["msg"].removeprefix("Value error, ").lower()
    return WrongInput(f"{where}: {key} = {problem['input']!r}: {text}", hint)


def _table_name(tables: Sequence[str | int]) -> str:
    """Write a table's place as TOML does: ` [limits]`, ` [parameters.imgsz]`; of a list the third is ` [[accepts]] 3`."""
    if not tables:
        return ""
    name = ".".join(str(table) for table in tables if not isinstance(table, int))
    number = next((f" {table + 1}" for table in tables if isinstance(table, int)), "")
    return f" [[{name}]]{number}" if number else f" [{name}]"


def _fields(model: type[BaseModel], tables: Sequence[str | int]) -> set[str]:
    """Return the keys that the table at `tables` may have."""
    at = model
    for table in tables:
        field = at.model_fields.get(str(table))
        at = (_model_in(field.annotation) if field else None) or at
    return set(at.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the table type that a field holds: itself, or in a dict, a tuple, a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
