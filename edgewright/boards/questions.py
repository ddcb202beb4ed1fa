"""Asks a firmware, after a flash, whether it runs the model: each answer that is no yes ends it, with what to do about it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from edgewright.boards import dialects
from edgewright.boards.at import (
    BOOT,
    COMMAND_BYTES,
    LINE,
    RESTART,
    Broken,
    Client,
    NoAnswer,
    Reply,
    Restarted,
    ResultFailed,
)
from edgewright.boards.dialects import Algorithm, Dialect, Event, Model, Version
from edgewright.boards.dialects import Answers as Answers
from edgewright.boards.virtual.commands import VIRTUAL
from edgewright.errors import BoardFailed, DoesNotFit, EdgewrightError, WrongInput
from edgewright.firmware import Firmware

ANSWER_S = 5.0
QUIET_S = 1.0  # a board that starts is not silent for so long
LOAD_S = 60.0  # a board takes a second or two; a virtual one first starts what computes
ROUNDS = 3  # of an INVOKE, where the line breaks results

# By what the dialects call the failure: the error, its text and hint.
_FAILURES: Mapping[dialects.Failure, tuple[type[EdgewrightError], str, str]] = {
    "refused": (
        DoesNotFit,
        "the firmware does not take the model: an operator is not registered, or the arena is too small",
        "{verify}",
    ),
    "undecoded": (DoesNotFit, "the firmware has no decoder that fits the model's outputs", "{verify}"),
    "unsupported": (
        BoardFailed,
        "the firmware does not support the decoder that it is set to",
        "AT+ALGO=0 in a terminal lets it choose by the model again",
    ),
    "unloaded": (BoardFailed, "the firmware has no model loaded", "make flash DEVICE={device}"),
    "camera": (
        BoardFailed,
        "the board does not find its camera",
        "unplug the board, press the camera's ribbon cable home on both ends, and try again",
    ),
}


class NoFirmware(BoardFailed):
    """Nothing answers commands: there is no firmware on the board, another kind, or it hangs."""


def interrogate(
    client: Client,
    firmware: Firmware,
    firmwares: Iterable[Firmware],
    *,
    address: int,
    expected_algorithm: int | None,
    wait_boot: bool = True,
    info: Mapping[str, Any] | None = None,
    frames: int = 1,
    frame_timeout_s: float = 60.0,
) -> Answers:
    """Ask for everything, up to results of `frames` frames from the board's camera.

    Raises WrongInput where another firmware answers than the bundle was proved for, DoesNotFit where it refuses the model, and
    BoardFailed. `info` is told to the vendor's web tool: class names are only there.
    """
    version = version_of(client, firmware, wait_boot=wait_boot)
    fits = check_version(version, firmware, firmwares)
    virtual = is_virtual(client)
    dialect = dialects.detect(version)
    board, name = (_ask(client, command, dialects.read_name) for command in ("ID?", "NAME?"))
    models = _ask(client, "MODELS?", dialects.read_models)
    model = _choose(client, dialect, firmware, models, address)
    algorithm, events = _run(client, dialect, firmware, expected_algorithm, frames, frame_timeout_s)
    stop(client, frame_timeout_s)
    told = info is not None and _tell(client, dialect, info)
    return Answers(board, name, version, fits, models, model.id, algorithm, events, told, virtual)


def version_of(client: Client, firmware: Firmware, *, wait_boot: bool = True) -> Version:
    """Ask for the version; with `wait_boot` a board that just starts is left alone until it has. Raises NoFirmware, BoardFailed."""
    if firmware.at is None:
        raise WrongInput(f"{firmware.title} answers no commands", "make devices   tells which firmwares do")
    boot_s = firmware.at.boot_s
    try:
        if wait_boot:
            # Where it was faster than we were, or says nothing as it starts, the question tells.
            with suppress(NoAnswer):
                client.wait_for(BOOT, boot_s, quiet_s=QUIET_S)
        client.ask("STAT?", timeout_s=max(ANSWER_S, boot_s))
    except NoAnswer as problem:
        raise NoFirmware(str(problem), problem.hint) from None
    return _ask(client, "VER?", dialects.read_version)


def is_virtual(client: Client) -> bool:
    """Ask whether the board is one of our own virtual ones, whatever port leads to it. Raises BoardFailed.

    A firmware refuses the question as it refuses every command that it has not. Only one that answers neither of two rounds, and
    no line loses bytes like that, is taken for a real one as well.
    """
    for _ in range(2):
        with suppress(NoAnswer):
            return client.ask(VIRTUAL, timeout_s=ANSWER_S).code == 0
    return False


def check_version(version: Version, firmware: Firmware, firmwares: Iterable[Firmware]) -> tuple[str, ...]:
    """Return the names of the device's firmwares that give this version; raises WrongInput if `firmware` is none of them."""
    fits = dialects.which_firmware(version, (known for known in firmwares if known.device == firmware.device))
    names = tuple(known.name for known in fits)
    if firmware.name in names:
        return names
    given = f"{version.software}, hardware {version.hardware}"
    if not fits:
        raise WrongInput(
            f"the board runs a firmware that is not known ({given}); this bundle was proved for {firmware.title}",
            "make devices   tells the known ones; FIRMWARE_IMAGE=… puts another on the board",
        )
    raise WrongInput(
        f"the board runs {fits[0].title} ({given}); this bundle was proved for {firmware.title}",
        f"make deploy DEVICE={firmware.device} FIRMWARE={names[0]}",
    )


def invoke(client: Client, dialect: Dialect, firmware: Firmware, frames: int, *, images: bool) -> Algorithm:
    """Let the board run its model on `frames` frames, -1 until `stop`; return the decoder that it chose."""
    arguments = dialect.invoke.format(frames=frames, bare=int(not images))
    reply = client.ask(f"INVOKE={arguments}", timeout_s=LOAD_S)
    failure = dialect.failures.get(reply.code)
    if failure == "undecoded" and dialects.lacks_model(reply.data):
        failure = "unloaded"
    _refuse(reply, f"INVOKE={arguments}", dialect, firmware, failure)
    return _read(f"INVOKE={arguments}", reply, dialects.read_algorithm)


def stop(client: Client, timeout_s: float) -> None:
    """End what runs; the answer, whichever it is, comes after the frame that the board is at."""
    with suppress(Broken):
        client.ask("BREAK", timeout_s=timeout_s)


def _choose(client: Client, dialect: Dialect, firmware: Firmware, models: Iterable[Model], address: int) -> Model:
    """Have the firmware load the model at `address`."""
    model = dialect.find(models, address)
    if model is None:
        seen = ", ".join(f"id {known.id} at 0x{known.address:X}" for known in models) or "none"
        raise BoardFailed(
            f"the firmware finds no model at 0x{address:X}; it finds {seen}", f"make flash DEVICE={firmware.device}"
        )
    command = f"MODEL={model.id}"
    try:
        reply = client.ask(command, timeout_s=LOAD_S)
    except Restarted as problem:
        raise DoesNotFit(str(problem), _verify(firmware)) from None
    failure = dialect.failures.get(reply.code)
    _refuse(reply, command, dialect, firmware, failure if failure == "refused" else None)
    return model


def _run(
    client: Client, dialect: Dialect, firmware: Firmware, expected: int | None, frames: int, timeout_s: float
) -> tuple[Algorithm, tuple[Event, ...]]:
    """Run the model on `frames` frames; of results that came broken others are asked for."""
    events: list[Event] = []
    try:
        for _ in range(ROUNDS):
            missing = frames - len(events)
            algorithm = invoke(client, dialect, firmware, missing, images=False)
            if expected not in (None, algorithm.type):
                raise _misread(firmware, algorithm.type, expected)
            events += filter(None, [client.event(timeout_s) for _ in range(missing)])
            if len(events) == frames:
                return algorithm, tuple(events)
    except Restarted as problem:
        if firmware.at and firmware.at.crashes:
            raise DoesNotFit(f"{problem}: {firmware.unrecognised}", _verify(firmware)) from None
        raise
    except ResultFailed as problem:
        if dialect.failures.get(problem.code) == "camera":
            raise _failure("camera", firmware) from None
        raise
    raise BoardFailed(f"only {len(events)} of {frames} results came whole: the line loses bytes", LINE)


def _misread(firmware: Firmware, took: int, expected: int | None) -> DoesNotFit:
    titles = {form.algorithm: form.title for form in firmware.accepts}
    named, meant = (titles.get(number, "unknown") for number in (took, expected))
    return DoesNotFit(
        f"the firmware decodes the model as algorithm {took} ({named}), not {expected} ({meant})", _verify(firmware)
    )


def _tell(client: Client, dialect: Dialect, info: Mapping[str, Any]) -> bool:
    """Store `info` on the board; return whether it is there. A model runs without it."""
    text = base64.b64encode(json.dumps(info, ensure_ascii=False).encode()).decode()
    command = f'INFO="{text}"'
    if len(command) > COMMAND_BYTES - 32:  # with the prefix and a tag
        return False
    kept = None
    with suppress(Broken, NoAnswer):
        if client.ask(command, timeout_s=ANSWER_S).code == 0:
            kept = client.ask("INFO?", timeout_s=ANSWER_S).data
        if dialect.action:
            client.ask('ACTION=""', timeout_s=ANSWER_S)  # the vendor's tool does so: rules of the last model's classes
    return isinstance(kept, dict) and kept.get("info") == text


_T = TypeVar("_T")


def _ask(client: Client, command: str, read: Callable[[Any], _T]) -> _T:
    return _read(command, client.ask(command, timeout_s=ANSWER_S), read)


def _read(command: str, reply: Reply, read: Callable[[Any], _T]) -> _T:
    try:
        return read(reply.data)
    except ValueError:
        said = json.dumps(reply.data if reply.data is not None else reply.log)[:80]
        raise BoardFailed(f"the board's answer to AT+{command} is none: {said} (code {reply.code})", RESTART) from None


def _refuse(reply: Reply, command: str, dialect: Dialect, firmware: Firmware, failure: dialects.Failure | None) -> None:
    if not reply.code:
        return
    said = f" ({reply.log[-1]})" if reply.log else ""
    if failure:
        raise _failure(failure, firmware, said)
    meaning = dialect.codes.get(reply.code, "unknown")
    raise BoardFailed(f"AT+{command} failed with code {reply.code}: {meaning}{said}", RESTART)


def _failure(failure: dialects.Failure, firmware: Firmware, said: str = "") -> EdgewrightError:
    error, text, hint = _FAILURES[failure]
    return error(text + said, hint.format(verify=_verify(firmware), device=firmware.device))


def _verify(firmware: Firmware) -> str:
    return f"make verify DEVICE={firmware.device} FIRMWARE={firmware.name} MODEL=model.tflite"
