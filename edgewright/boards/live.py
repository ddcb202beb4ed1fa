"""`make monitor`: let the board run its model until somebody has seen enough."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from edgewright import log
from edgewright.boards import dialects, monitor, questions
from edgewright.boards.at import Client
from edgewright.boards.ports import open_port
from edgewright.boards.view import View
from edgewright.config import Board
from edgewright.errors import WrongInput
from edgewright.firmware import Firmware

QUIET_S = 0.1  # of the port: one read
FRAME_S = 60.0  # the slowest board takes seconds for one


def watch(board: Board, port: str, firmware: Firmware, title: str, names: list[str], *, view: bool, count: int) -> None:
    """Print what the board sees, `count` frames or (0) until Ctrl-C; with `view` on a local page as well."""
    with conversation(port, board) as client:
        version = questions.version_of(client, firmware, wait_boot=False)
        dialect = dialects.detect(version)
        questions.invoke(client, dialect, firmware, -1, images=view)
        events = islice(client.events(FRAME_S), count or None)

        def stop() -> None:
            questions.stop(client, FRAME_S)

        if not view:
            monitor.watch(events, names, close=stop)
            return
        with View(title, names) as page:
            log.say("view", f"{page.url}: open it in a browser", "bold")
            monitor.watch(events, names, close=stop, show=page.publish)


@contextmanager
def conversation(port: str, board: Board) -> Iterator[Client]:
    """Open a board's port to talk to its firmware."""
    with open_port(port, board.baud, timeout_s=QUIET_S) as opened:
        yield Client(opened)


def count_of(text: str) -> int:
    """Read COUNT=: how many frames, or all (0)."""
    if text and (not text.isdecimal() or not int(text)):
        raise WrongInput(f"COUNT={text}: no number of frames", "COUNT=10")
    return int(text or 0)
