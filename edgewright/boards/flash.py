"""`make flash`: write a bundle to a board, read back that it is there, and ask the firmware what it makes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgewright import files, log
from edgewright.boards import claims, questions
from edgewright.boards.bundles import Bundle
from edgewright.boards.dialects import Answers
from edgewright.boards.esp import EspLoader
from edgewright.boards.live import SILENT, conversation
from edgewright.boards.loader import Loader, NoLoader, Write, Written
from edgewright.boards.menu import MenuLoader
from edgewright.bundle import BOARD
from edgewright.config import Board, shown
from edgewright.errors import BoardFailed
from edgewright.firmware import Firmware
from edgewright.plan import DETECTIONS, VERDICT

LOADERS: Mapping[str, Loader] = {"esptool": EspLoader(), "xmodem": MenuLoader()}
SCHEMA = 1
PROVED = "1.x"  # the dialect in whose form the proof has its detections


@dataclass(frozen=True)
class Target:
    """A board, where it is plugged in, and the firmware that the bundle was made for."""

    title: str
    board: Board
    port: str
    firmware: Firmware
    firmwares: Sequence[Firmware]  # all that the device is known to have
    virtual: bool = False
    # Of a virtual board: the frames that it sees, by their names in the proof.
    frames: Sequence[str] = field(default=())


def flash(made: Bundle, target: Target, writes: Sequence[Write]) -> dict[str, Any]:
    """Write, check, restart, ask; return what is also in the bundle's board.json. Whatever can be refused, was before.

    Raises BoardFailed, DoesNotFit, and WrongInput where the port cannot be opened or another firmware answers.
    """
    with claims.claimed(target.port, "flash"):
        image = any(write.address == target.board.firmware_address for write in writes)
        answered = not image and _look_before(target)
        try:
            written = _write(target, writes)
        except NoLoader as problem:
            if answered:
                raise
            raise NoLoader(
                f"{problem}; this is probably no {target.title}", f"PORT= of one; or {problem.hint}"
            ) from None
        answers = _ask(made, target)
    found = {
        "schema": SCHEMA,
        "virtual": target.virtual or answers.virtual,
        "model": made.manifest["model"]["sha256"],
        "firmware": target.firmware.name,
        "address": target.firmware.address,
        "written": asdict(written),
        **answers.as_json(),
        "agreement": _agreement(made, target, answers),
        "estimate_ms": made.estimate_ms,
    }
    _require_agreement(found["agreement"])
    _save(made.folder / BOARD, found)
    return found


def _look_before(target: Target) -> bool:
    """Refuse another firmware than the bundle's; return whether any answers."""
    try:
        with conversation(target.port, target.board, look_for=target.title) as client:
            version = questions.version_of(client, target.firmware, wait_boot=False)
    except questions.NoFirmware:
        log.say("flash", f"nothing answers at {target.port}: {SILENT.format(target.title)}", "yellow")
        return False
    questions.check_version(version, target.firmware, target.firmwares)
    return True


def _write(target: Target, writes: Sequence[Write]) -> Written:
    where = f"a virtual {target.title}" if target.virtual else f"{target.title} at {target.port}"
    for write in writes:
        size = write.path.stat().st_size
        log.say("flash", f"{shown(write.path)}  {log.size(size)}  to {write.address:#x} of {where}")
    with log.bar("flash", "writing") as on_line:
        written = LOADERS[target.board.loader].write(
            target.port, target.board, list(writes), lambda done, total, text: on_line(f"{done}/{total} {text}")
        )
    checked = f", checked: {written.checked}" if written.checked else ""
    rate = written.bytes / max(written.seconds, 1e-9)
    log.say(
        "flash",
        f"✓ {written.chip}: {log.size(written.bytes)} in {written.seconds:.1f} s, {log.size(int(rate))}/s{checked}",
    )
    return written


def _ask(made: Bundle, target: Target) -> Answers:
    """Ask the firmware; where none answers, say what to do: the model is there all the same."""
    report = made.document(VERDICT)
    form = report["model"]["form"] if report else None
    expected = next((a.algorithm for a in target.firmware.accepts if a.form == form), None)
    with conversation(target.port, target.board) as client:
        try:
            questions.version_of(client, target.firmware, wait_boot=True)
        except questions.NoFirmware as problem:
            raise BoardFailed(
                f"the model is written, but no firmware answers: {problem}",
                f"{target.board.restart}; still nothing: FIRMWARE_IMAGE=…, from {target.board.source}",
            ) from None
        return questions.interrogate(
            client,
            target.firmware,
            target.firmwares,
            address=target.firmware.address,
            expected_algorithm=expected,
            wait_boot=False,
            info=_info(made),
            frames=max(len(target.frames), 1),
        )


def _info(made: Bundle) -> dict[str, Any]:
    """Return what the vendor's web tool shows a model with: without it classes are numbers there."""
    manifest = made.manifest
    return {
        "name": manifest["name"],
        "version": manifest["edgewright"],
        "category": "Object Detection",
        "model_type": "TFLite",
        "algorithm": "YOLOv8",
        "description": f"{manifest['recipe']} by Edgewright",
        "classes": made.labels,
        "size": manifest["model"]["bytes"],
        "isCustom": True,
    }


def _agreement(made: Bundle, target: Target, answers: Answers) -> dict[str, Any] | None:
    """Compare what a virtual board saw with what the proof says of the same frames; a real one sees its camera."""
    proof = made.document(DETECTIONS)
    # The proof is written in the form of 1.x; in 2.x coordinates are wrong (configs/firmwares), and keypoints are not sent.
    if not target.frames or not proof or not target.firmware.at or target.firmware.at.dialect != PROVED:
        return None
    rows = {frame["name"]: (frame["width"], frame["height"], frame["results"]) for frame in proof["frames"]}
    seen = [(event.width, event.height, found) for event, found in zip(answers.events, answers.detections, strict=True)]
    # A picture larger than any camera's frame was scaled down: those are no longer the same pixels.
    pairs = [(rows[name], one) for name, one in zip(target.frames, seen, strict=True) if rows[name][:2] == one[:2]]
    return {"frames": len(pairs), "equal": sum(proved == found for proved, found in pairs)} if pairs else None


def _require_agreement(agreement: Mapping[str, int] | None) -> None:
    """The same network on the same frames: another result means that what was written is not what was proved."""
    if agreement and agreement["equal"] < agreement["frames"]:
        text = f"only {agreement['equal']} of {agreement['frames']} frames give what the proof says"
        raise BoardFailed(f"the virtual board runs the model, but {text}", "make deploy FORCE=1; then report it")


def _save(path: Path, found: Mapping[str, Any]) -> None:
    """Write what a board said; what a real one has said of this model is not replaced by a virtual one's word."""
    if found["virtual"] and _is_of_a_real_board(path):
        return
    files.write(path, json.dumps(found, indent=2, sort_keys=True) + "\n")


def _is_of_a_real_board(path: Path) -> bool:
    try:
        return json.loads(path.read_text(encoding="utf-8"))["virtual"] is False
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False  # there is none, or none that anybody can read
