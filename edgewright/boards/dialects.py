"""What firmware says in answer to AT commands, and what differs between SSCMA 1.x and 2.x.

Sources: SSCMA-Micro `1.0.x` ff48a1c, sscma/callback/, and `main` ab1d5f0, sscma/server/at/. What is not of the form that is written
there is a ValueError: a line may lose bytes, and what is left may still be JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, TypeAdapter

from edgewright.firmware import At, Firmware

# What C prints with %d or %u; a larger number is no firmware's, and a line of it would fill the screen.
Number = Annotated[int, Field(ge=-(1 << 31), lt=1 << 32)]
Side = Annotated[int, Field(ge=0, lt=1 << 16)]  # of a frame, pixels
Short = Annotated[str, Field(max_length=200)]  # a name, a version: the longest known has 32 letters

_T = TypeVar("_T")
# Nobody's decoder finds more: all anchors of 640 px are 8400.
Many = Annotated[tuple[_T, ...], Field(max_length=10_000)]

# Centre x, y, width, height: pixels of the frame; score: percent; class.
Box = tuple[Number, Number, Number, Number, Number, Number]
Point = tuple[Number, Number, Number, Number]  # x, y: pixels of the frame; score: percent; number
# Why a firmware does not run a model.
Failure = Literal["refused", "undecoded", "unsupported", "unloaded", "camera"]


@dataclass(frozen=True)
class Version:
    """What AT+VER? answers."""

    software: Short
    hardware: Short


@dataclass(frozen=True)
class Model:
    """A model that the firmware has found: its id, and an address: in flash on 1.x, in memory on 2.x."""

    id: Number
    address: Number


@dataclass(frozen=True)
class Algorithm:
    """The decoder that the firmware has chosen, 0 for none, and its limits in percent, if it has any."""

    type: Number
    tscore: Number | None = None
    tiou: Number | None = None


@dataclass(frozen=True)
class Event:
    """What the board found in one frame: perf is ms of pre-processing, network, post-processing; image a JPEG in base64."""

    kind: Literal["boxes", "keypoints", "none"]
    boxes: Many[Box] = ()
    keypoints: Many[tuple[Box, Many[Point]]] = ()
    perf: tuple[Number, Number, Number] = (0, 0, 0)
    width: Side = 0
    height: Side = 0
    image: str = ""


@dataclass(frozen=True)
class Answers:
    """What a board said of itself and of the model that was written to it."""

    id: str
    name: str
    version: Version
    firmwares: tuple[str, ...]  # those that can have answered so
    models: tuple[Model, ...]
    model: int
    algorithm: Algorithm
    events: tuple[Event, ...]  # a frame each
    info: bool  # whether the board keeps what the vendor's web tool shows
    virtual: bool = False  # whether it is a virtual one of ours

    @property
    def detections(self) -> list[Any]:
        """What was found, a list for each frame, as the firmware writes it."""
        return [_plain(event.keypoints or event.boxes) for event in self.events]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values; perf in ms of pre-processing, network and post-processing, for each frame."""
        last = self.events[-1]
        return {
            "id": self.id,
            "name": self.name,
            "version": {"software": self.version.software, "hardware": self.version.hardware},
            "firmwares": list(self.firmwares),
            "models": [{"id": model.id, "address": model.address} for model in self.models],
            "model_id": self.model,
            "algorithm": self.algorithm.type,
            "tscore": self.algorithm.tscore,
            "tiou": self.algorithm.tiou,
            "resolution": [last.width, last.height],
            "kind": last.kind,
            "perf": _plain(tuple(event.perf for event in self.events)),
            "detections": self.detections,
            "info": self.info,
        }


def _plain(value: Any) -> Any:
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


@dataclass(frozen=True)
class Dialect:
    """How one of the two generations is talked to."""

    name: Literal["1.x", "2.x"]
    invoke: str  # the arguments for `frames` frames, without images where `bare` is 1
    addresses: bool  # whether a model's address is one in flash
    action: bool  # whether AT+ACTION is there
    failures: Mapping[int, Failure]  # by the code in the answer to AT+MODEL= and AT+INVOKE=
    codes: Mapping[int, str]  # what the other codes mean

    def find(self, models: Iterable[Model], address: int) -> Model | None:
        """Return the model that was written to `address`; where the firmware does not tell addresses it is the first."""
        return next(
            (model for model in models if (model.address == address if self.addresses else model.id == 1)), None
        )


_CODES = {
    1: "try again",
    2: "logic error",
    3: "time-out",
    4: "input or output failed",
    5: "invalid argument",
    6: "out of memory",
    7: "busy",
    8: "not supported",
    9: "not permitted",
}
_FIRST = Dialect(
    name="1.x",
    invoke="{frames},0,{bare}",  # the second: only results that differ from the last
    addresses=True,
    action=True,
    # callback/invoke.hpp check_*(), engine/el_engine_tflite.cpp load_model(): ELOG is AllocateTensors().
    failures={2: "refused", 4: "camera", 5: "undecoded", 6: "refused", 8: "unsupported", 9: "unloaded"},
    codes={**_CODES, 10: "failed"},
)
_SECOND = Dialect(
    name="2.x",
    invoke="{frames},{bare}",  # its documents show three arguments, ma_server_at.cpp has two
    addresses=False,  # ma_codec_json.cpp writes the pointer through which the CPU reads it
    action=False,
    failures={2: "refused", 4: "camera", 6: "refused", 8: "undecoded", 10: "unloaded"},
    codes={**_CODES, -1: "failed", 10: "no such entity", 11: "exists already", 12: "overflow"},
)

_DATE = re.compile(r"\d{4}\.\d{2}\.\d{2}")


def detect(version: Version) -> Dialect:
    """Return the dialect of whatever gave this version: 1.x gives the chip's revision as hardware, 2.x a name."""
    return _FIRST if version.hardware.isdecimal() else _SECOND


def which_firmware(version: Version, firmwares: Iterable[Firmware]) -> tuple[Firmware, ...]:
    """Return those of the firmwares that can have given this version."""
    return tuple(firmware for firmware in firmwares if firmware.at and _fits(firmware.at, version))


def _fits(at: At, version: Version) -> bool:
    if not re.fullmatch(at.hardware, version.hardware):
        return False
    first, last = at.software
    date = version.software.removeprefix("v")  # before 2024-04-12
    if first or last:
        return bool(_DATE.fullmatch(date)) and first <= date and (not last or date <= last)
    return True


_VERSION: TypeAdapter[Version] = TypeAdapter(Version)
_MODELS: TypeAdapter[tuple[Model, ...]] = TypeAdapter(Many[Model])
_ALGORITHM: TypeAdapter[Algorithm] = TypeAdapter(Algorithm)
_EVENT: TypeAdapter[Event] = TypeAdapter(Event)
_SIZE: TypeAdapter[tuple[int, int]] = TypeAdapter(tuple[Side, Side])
_NAME: TypeAdapter[str] = TypeAdapter(Short)


def read_version(data: Any) -> Version:
    """Read the answer to AT+VER?."""
    return _VERSION.validate_python(data)


def read_name(data: Any) -> str:
    """Read the answer to AT+ID? or AT+NAME?."""
    return _NAME.validate_python(data)


def read_models(data: Any) -> tuple[Model, ...]:
    """Read the answer to AT+MODELS?: 1.x gives a list, 2.x a table with one."""
    return _MODELS.validate_python(data.get("models") if isinstance(data, dict) else data)


def read_algorithm(data: Any) -> Algorithm:
    """Read the algorithm from the answer to AT+INVOKE=."""
    table = _table(_table(data).get("algorithm"))
    return _ALGORITHM.validate_python({**_table(table.get("config", {})), "type": table.get("type")})


def lacks_model(data: Any) -> bool:
    """Whether the answer to AT+INVOKE= names no model: 1.x has one code for that, and for a model that it cannot decode."""
    model = data.get("model") if isinstance(data, dict) else None
    return isinstance(model, dict) and model.get("id") == 0


def read_event(data: Any) -> Event:
    """Read a result: 1.x has `resolution`, in its first months not beside an image; 2.x has `width` and `height`."""
    table = _table(data)
    kind = next((kind for kind in ("keypoints", "boxes") if kind in table), "none")
    size = table.get("resolution", (table.get("width", 0), table.get("height", 0)))
    width, height = _SIZE.validate_python(size)
    # perf is named, so that it is refused where it is missing, too.
    return _EVENT.validate_python({**table, "kind": kind, "perf": table.get("perf"), "width": width, "height": height})


def _table(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ValueError(f"{data!r} is no table")
    return data
