"""configs/firmwares/*.toml: what runs on a board and what it accepts. Facts with their source live in these files."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from edgewright.table import Table


def _ascending(values: tuple[int, int]) -> tuple[int, int]:
    if values[0] > values[1]:
        raise ValueError(f"from {values[0]} to {values[1]} is nothing")
    return values


Range = Annotated[tuple[int, int], Field(strict=False), AfterValidator(_ascending)]  # from, to, both included
Names = Annotated[tuple[str, ...], Field(strict=False)]
Numbers = Annotated[tuple[int, ...], Field(strict=False)]
# What the outputs of a model can be, by their shapes.
Form = Literal["raw-pose", "raw-detect", "decoded", "boxes-scores"]


class Npu(Table):
    """The NPU that a command stream must have been compiled for: fields of the stream's config and id words."""

    accelerator: str
    product: int
    macs: int  # a cycle
    command_stream_version: int
    architecture: Annotated[tuple[int, int, int], Field(strict=False)]  # major, minor, patch
    alignment: int  # bytes; of command streams and constant data


class Input(Table):
    """What the pre-processing writes into the model's input."""

    type: str
    scale: float
    zero_point: int
    multiple_of: int
    channels: Numbers
    resize: Literal["fixed-point", "float32"]  # in what steps it takes the nearest pixel of a frame


class Acceptance(Table):
    """A form of outputs that the firmware decodes, and how."""

    form: Form
    algorithm: int | None = None  # the number that a host can ask for
    title: str
    decoder: str
    classes: Range
    keypoints: Range | None = None
    imgsz: Range
    order: Names = ()  # of roles; empty where outputs are found by their shapes
    exact_count: bool = False  # whether more outputs than these are refused
    score: int  # percent: what is shown if nobody sets another limit
    iou: int  # percent


class Defect(Table):
    """A known fault, and for whom: every condition that is given must hold."""

    form: Form | None = None
    task: str | None = None
    classes: Numbers | None = None  # any of these
    imgsz: Numbers | None = None  # any of these
    text: str
    hint: str = ""


class CameraOption(Table):
    """A size of frames that a host can ask for: AT+SENSOR."""

    id: int
    detail: str
    frame: Annotated[tuple[int, int], Field(strict=False)]  # pixels: width, height


class At(Table):
    """The commands that the firmware answers, and how to tell it from others: `AT+VER?`."""

    dialect: Literal["1.x", "2.x"]
    name: str  # what AT+NAME? answers
    hardware: str  # a regular expression for the whole answer
    software: Annotated[tuple[str, str], Field(strict=False)] = (
        "",
        "",
    )  # from, to: dates as YYYY.MM.DD, empty where open
    built: str  # a build of it: what a virtual board answers
    scan_bytes: int  # the step in which it looks for models
    boot_s: float  # from reset to INIT@STAT?, at most
    crashes: bool = False  # where no decoder matches
    resets: bool = True  # whether AT+RST does what it says
    counts_boots: bool = True
    greets: bool = True  # whether what it sets up at boot is told on this port
    # Of which 16 bytes AT+ID? is made, an address in flash (without one they are the chip's own), and how it writes them: a
    # hash of 32 bits as eight hexadecimal digits or in decimal, or each byte in decimal, one behind the other.
    id_address: int | None = None
    id_form: Literal["hash", "decimal hash", "bytes"] = "hash"
    camera: Annotated[tuple[CameraOption, ...], Field(strict=False, min_length=1)]
    camera_off: int = 9  # the code of a frame that a camera gives which was switched off
    turns: bool = False  # whether the upper four bits of a camera's option turn its pictures
    has_network: bool = False  # of its own; without one a host tells the firmware of its network
    product: str  # with the id behind it: how it calls itself to an MQTT server
    topics: Names = ()  # of MQTT, where nobody has named a server: from the board, and to it
    trigger_pins: Numbers = ()  # to which AT+TRIGGER may be tied; empty: any number
    pointer: int = 0  # at which the processor sees the first byte of the models' flash


class Region(Table):
    """Flash that the firmware keeps something in: from, to, both included."""

    name: str
    range: Range


class Firmware(Table):
    """What runs on a board and what it accepts."""

    name: str
    title: str
    device: str
    versions: str  # how to tell that a board has it
    address: int
    address_alignment: int = 1
    slot_bytes: int
    arena_bytes: int
    operators: Names
    # What computes on the CPU; of ESP-NN, releases differ in the scratch memory they ask for.
    kernels: Literal["esp-nn", "esp-nn 2023", "cmsis-nn", "reference"] = "reference"
    unrecognised: str = ""  # what happens where none of the accepted forms matches
    at: At | None = None
    keeps: Annotated[tuple[Region, ...], Field(strict=False)] = ()
    npu: Npu | None = None
    input: Input | None = None
    accepts: Annotated[tuple[Acceptance, ...], Field(strict=False)] = ()
    defects: Annotated[tuple[Defect, ...], Field(strict=False)] = ()
    stages: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """What it accepts, as plain lists, tables and numbers that JSON can hold; not how it is talked to, which proves nothing."""
        return self.model_dump(mode="json", exclude={"stages", "at", "keeps"})
