"""board.json: what a board answered after `make flash`. Nobody signs it: only its shape, and what it is about, can be checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgewright.bundle import BOARD

MOST_BYTES = 1_000_000  # four frames of people with seventeen keypoints take some 10,000

Box = tuple[int, int, int, int, int, int]  # as in boards/dialects.py, which says what they are
Point = tuple[int, int, int, int]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Written(_Part):
    """How the flash went, in bytes and seconds."""

    chip: str
    bytes: int
    seconds: float
    checked: str


class Version(_Part):
    """What AT+VER? answered."""

    software: str
    hardware: str


class Model(_Part):
    """A model that the firmware found, and where."""

    id: int
    address: int


class Agreement(_Part):
    """In how many of these frames a virtual board saw what the proof says."""

    frames: int
    equal: int


class BoardReport(_Part):
    """All that boards/flash.py writes."""

    schema_: Literal[1] = Field(alias="schema")
    virtual: bool
    model: Hash
    firmware: str
    address: int
    written: Written
    id: str
    name: str
    version: Version
    firmwares: list[str]
    models: list[Model]
    model_id: int
    algorithm: int
    tscore: int | None
    tiou: int | None
    resolution: tuple[int, int]
    kind: Literal["boxes", "keypoints", "none"]
    perf: list[tuple[int, int, int]]
    detections: list[list[Box | tuple[Box, list[Point]]]]
    info: bool
    agreement: Agreement | None
    estimate_ms: tuple[float, float] | None

    def findings(self, manifest: Mapping[str, Any]) -> list[str]:
        """Return a line for each thing that it says of another model or place than the bundle's manifest."""
        firmware = manifest["firmware"]
        return [
            f"{BOARD}: about another {what}: {found}, not {expected}"
            for what, found, expected in (
                ("model", self.model, manifest["model"]["sha256"]),
                ("firmware", self.firmware, firmware["name"]),
                ("address", self.address, firmware["address"]),
            )
            if found != expected
        ]


def parse(text: bytes) -> BoardReport:
    """Return what a board answered; raise ValueError in one line."""
    try:
        return BoardReport.model_validate_json(text)
    except ValidationError as problem:
        first = problem.errors()[0]
        at = ".".join(map(str, first["loc"]))
        raise ValueError(
            f"{BOARD}: not as make flash writes it: {at}{': ' if at else ''}{first['msg'].lower()}"
        ) from None
