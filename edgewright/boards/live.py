"""`make monitor`: let the board run its model until somebody has seen enough."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from edgewright import log
from edgewright.boards import claims, dialects, monitor, probe, questions
from edgewright.boards.at import Client
from edgewright.boards.bundles import Bundle
from edgewright.boards.monitor import Timing
from edgewright.boards.ports import open_port
from edgewright.boards.view import View
from edgewright.config import Board
from edgewright.errors import BoardFailed, WrongInput
from edgewright.firmware import Firmware

QUIET_S = 0.1  # of the port: one read
FRAME_S = 60.0  # the slowest board takes seconds for one
SILENT = "a board in its loader, one without firmware, or no {} at all"  # what it may be where no firmware answers


def watch(board: Board, port: str, firmware: Firmware, device: str, made: Bundle, *, view: bool, count: int) -> None:
    """Print what the board of the title `device` sees, `count` frames or (0) until Ctrl-C; with `view` on a local page as well."""
    with claims.claimed(port, "monitor"), conversation(port, board, look_for=device) as client:
        try:
            version = questions.version_of(client, firmware, wait_boot=False)
        except questions.NoFirmware as problem:
            raise BoardFailed(f"{problem}: {port} has {SILENT.format(device)}", problem.hint) from None
        dialect = dialects.detect(version)
        timing = Timing(questions.is_virtual(client), made.estimate_ms)
        questions.invoke(client, dialect, firmware, -1, images=view)
        events = islice(client.events(FRAME_S), count or None)

        def stop() -> None:
            questions.stop(client, FRAME_S)

        if not view:
            monitor.watch(events, made.labels, timing, close=stop)
            return
        title = f"{made.manifest['name']} on {'a virtual ' if timing.virtual else ''}{device}"
        with View(title, made.labels, timing) as page:
            log.say("view", f"{page.url}: open it in a browser", "bold")
            monitor.watch(events, made.labels, timing, close=stop, show=page.publish)


@contextmanager
def conversation(port: str, board: Board, *, look_for: str = "") -> Iterator[Client]:
    """Open a board's port to talk to its firmware, if what is there can be the board of the title `look_for`."""
    with open_port(port, board.baud, timeout_s=QUIET_S) as opened:
        if look_for:
            probe.refuse_others(opened, port, look_for)
        yield Client(opened)


def count_of(text: str) -> int:
    """Read COUNT=: how many frames, or all (0)."""
    if text and (not text.isdecimal() or not int(text)):
        raise WrongInput(f"COUNT={text}: no number of frames", "COUNT=10")
    return int(text or 0)
