"""What a step has written for us to read: JSON of a bounded size and of one shape, or the step has failed.

A stage may have been made to write anything. Only what is declared here is taken from its documents.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from edgewright import foreign
from edgewright.errors import StageFailed
from edgewright.foreign import Foreign
from edgewright.records import Record

DOCUMENT_BYTES = 256 << 20  # the findings of a hundred thousand frames


class Document(BaseModel):
    """A part of a stage's JSON: what is not declared is left out, what is declared must be there, and of its type."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class Line(Document):
    """One finding, and what to do about it."""

    text: str
    hint: str


class Verdict(Document):
    """What was found about a model, for people."""

    state: Literal["passes", "fails", "partial"]
    summary: str
    violations: list[Line]
    warnings: list[Line]
    lines: list[str]
    partial: list[str]
    notes: list[str]


class Model(Document):
    """The model that was judged."""

    name: str


class Report(Document):
    """What the host reads of role `verdict`."""

    verdict: Verdict
    model: Model


class Told(Document):
    """What the host reads of the role by which a stage `tells` the task of a network."""

    task: str = Field(pattern="^[a-z]{1,20}$")


class Difference(Document):
    """What the host reads of role `difference`: what differs between two outputs, a line each."""

    summary: list[str]


class Measures(RootModel[dict[str, Any]]):
    """What the host reads of the role that a stage `varies` by: numbers by name, and what else is there."""


_D = TypeVar("_D", bound=BaseModel)


def read(volume: Path, record: Record, role: str, kind: type[_D]) -> _D:
    """Return an output of a step as a document of this kind; raise StageFailed where it is none."""
    path = record.path(role)
    try:
        return kind.model_validate_json(foreign.read(volume, path, DOCUMENT_BYTES))
    except (Foreign, OSError) as odd:
        reason: Any = odd
    except ValidationError as problems:
        first = problems.errors(include_url=False, include_input=False)[0]
        reason = f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg'].lower()}"
    raise StageFailed(f"{volume / path}: not as {record.stage} writes it: {reason}", "make deploy … FORCE=1")
