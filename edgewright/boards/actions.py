"""What the commands do with boards: flash one or rehearse that, stand one up, watch one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgewright import log
from edgewright.boards import bundles, live, monitor, ports, rehearsal
from edgewright.boards.bundles import Bundle
from edgewright.boards.flash import Target, flash
from edgewright.boards.virtual.board import plugged_in
from edgewright.boards.virtual.button import LOOPBACK, Button
from edgewright.boards.virtual.line import parse
from edgewright.boards.virtual.telnet import Telnet
from edgewright.build import Build
from edgewright.bundle import BOARD
from edgewright.config import Device, Project, shown
from edgewright.errors import WrongInput
from edgewright.firmware import Firmware
from edgewright.plan import DETECTIONS, VERDICT

VIRTUAL, NO_BOARD, TCP = "virtual", "none", "rfc2217"  # what PORT= may say instead of a port


def finish(project: Project, walk: Build, folder: Path, port: str) -> None:
    """Flash what `make deploy` has just bundled, if a board is there; else rehearse it, once for each bundle."""
    device = walk.plan.device
    if port == NO_BOARD or device.board is None:
        return
    if walk.plan.firmware.at is None:
        log.say(
            "board", f"{walk.plan.firmware.title} answers no command: flash it with the vendor's own tool", "yellow"
        )
        return
    made = bundles.open_bundle(folder)
    try:
        found = port if port == VIRTUAL else ports.find(device.board, port, device.title)
    except ports.NoBoard as nobody:
        if not any(VERDICT in record.outputs for record in walk.done.values()):
            log.say("board", "not rehearsed: no step of this pipeline can compute what the board would", "dim")
        elif not (made.folder / BOARD).exists():
            rehearse(project, walk, made)
        log.say("board", f"nothing was flashed: {nobody}", "yellow")
        log.say("", f"plug one in, then: make flash DEVICE={device.name}", "dim")
        return
    send(project, lambda: walk, device, made, found)


def send(
    project: Project, walk: Callable[[], Build], device: Device, made: Bundle, port: str, image: str = ""
) -> dict[str, Any]:
    """Flash a bundle onto the board at `port`, or onto the virtual one; what can be refused is, before the first byte."""
    board = bundles.board_of(device)
    firmware = bundles.firmware_of(project, made, device)
    writes = bundles.writes_of(made, firmware, board, image)
    if port != VIRTUAL:
        at = ports.find(board, port, device.title)
        found = flash(made, _target(project, device, firmware, at), writes)
        show(found, device)
        return found
    virtually = walk()
    pairs = rehearsal.pictures_of(virtually, made.document(DETECTIONS))
    frames = [path for _, path in pairs]
    with rehearsal.kept(virtually, firmware, frames, unscaled=True) as virtual, plugged_in(virtual) as at:
        target = _target(project, device, firmware, at, virtual=True, frames=[name for name, _ in pairs])
        found = flash(made, target, writes)
    show(found, device)
    return found


def rehearse(project: Project, walk: Build, made: Bundle) -> None:
    """Flash a bundle onto a virtual board that is there for this only."""
    device = walk.plan.device
    firmware = bundles.firmware_of(project, made, device)
    writes = bundles.writes_of(made, firmware, bundles.board_of(device), "")
    pairs = rehearsal.pictures_of(walk, made.document(DETECTIONS))
    log.say("board", "no board is plugged in: a virtual one rehearses it", "bold")
    with rehearsal.rehearsing(walk, firmware, [path for _, path in pairs]) as port:
        target = _target(project, device, firmware, port, virtual=True, frames=[name for name, _ in pairs])
        show(flash(made, target, writes), device)


def watch(
    project: Project,
    walk: Callable[[], Build],
    device: Device,
    made: Bundle,
    port: str,
    data: str,
    *,
    view: bool,
    count: str,
) -> None:
    """Show what a board sees with the bundle that was flashed onto it: the one at `port`, or the virtual one, which sees `data`."""
    board, firmware = bundles.board_of(device), bundles.firmware_of(project, made, device)
    frames = live.count_of(count)
    if port != VIRTUAL:
        at = ports.find(board, port, device.title)
        live.watch(board, at, firmware, device.title, made, view=view, count=frames)
        return
    virtually = walk()
    pictures = _pictures(virtually, data, made)
    with rehearsal.kept(virtually, firmware, pictures) as virtual, plugged_in(virtual) as at:
        live.watch(board, at, firmware, device.title, made, view=view, count=frames)


def _pictures(walk: Build, data: str, made: Bundle | None) -> list[Path]:
    """Return what a virtual board's camera sees: what is given, else what a bundle's proof was made on, or the last one."""
    if data:
        return rehearsal.pictures_in(data)
    proof = made.document(DETECTIONS) if made else None
    return [path for _, path in rehearsal.pictures_of(walk, proof, rehearsal.SHOWN)]


def stand_up(walk: Build, made: Bundle | None, data: str, fault: str, port: str) -> None:
    """Run a virtual board until Ctrl-C, for any client to talk to; its camera sees `data`, else what the proof was made on."""
    faults = parse(fault)
    pictures = _pictures(walk, data, made)
    if port not in ("", TCP):
        raise WrongInput(f"PORT={port}: a virtual board makes its own port", f"PORT={TCP}, or leave it out")
    firmware = walk.plan.firmware
    if firmware.at is None:
        raise WrongInput(
            f"{firmware.name} answers no command: there is nothing to talk to", "FIRMWARE=…: see make devices"
        )
    say = lambda text: log.say("board", text, "dim")  # noqa: E731  a line of what it does
    with rehearsal.kept(walk, firmware, pictures, Telnet if port else None, faults=faults, say=say) as virtual:
        at = virtual.line.transport.port
        log.say("board", f"{walk.plan.device.title} with {firmware.title}: {at}", "bold")
        log.say("", f"make flash DEVICE={walk.plan.device.name} PORT={shown(Path(at)) if not port else at}", "dim")
        log.say("", "Ctrl-C unplugs it; its flash is kept", "dim")
        with suppress(KeyboardInterrupt), Button(virtual.reset) as button:  # the first is how this ends
            key = "the key r, or " if button.has_key else ""
            log.say("", f"RESET: {key}echo reset | nc {LOOPBACK} {button.port}", "dim")
            virtual.run()


def _target(
    project: Project,
    device: Device,
    firmware: Firmware,
    port: str,
    *,
    virtual: bool = False,
    frames: Sequence[str] = (),
) -> Target:
    known = [other for other in project.firmwares.values() if other.device == device.name and other.at]
    return Target(device.title, bundles.board_of(device), port, firmware, known, virtual, frames)


def show(found: dict[str, Any], device: Device) -> None:
    """Print what ran, how long it took, and what it saw."""
    pre, infer, post = (round(sum(times) / len(times)) for times in zip(*found["perf"], strict=True))
    count = sum(len(rows) for rows in found["detections"])
    version = f"{found['version']['software']}, id {found['id']}"
    name = "a virtual board" if found["virtual"] else device.title
    log.say("board", f"✓ {name} ({version}) runs it as algorithm {found['algorithm']}", "green")
    where = "this machine's time" if found["virtual"] else "its own time"
    log.say("", f"{pre} + {infer:,} + {post} ms a frame (before, network, after; {where}), {count} found")
    if estimate := monitor.Timing(found["virtual"], found["estimate_ms"]).estimate:
        log.say("", f"estimated for the network on the board: {estimate}", "dim")
    if agreement := found["agreement"]:
        log.say("", f"{agreement['equal']} of {agreement['frames']} frames give what the proof says, number for number")
