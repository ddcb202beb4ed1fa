"""Before anything else is said to a port: is there what answers like a firmware, or something that cannot be the board?"""

from __future__ import annotations

import re
import time

from edgewright.boards.at import Port
from edgewright.errors import BoardFailed

PROBE_S = 1.5  # a firmware answers in some ms; one that is just starting is not waited for here
# Opening the port may restart a board, and then some boot loaders take any byte for a wish to see their menu.
LISTEN_S = 0.3
QUESTION = b"AT+PROBE@STAT?\r\n"  # no digit, which a boot loader may take for a choice from its menu
FIRMWARE = re.compile(rb'\{"type": ?\d')
# ITU-T V.250, 3GPP TS 27.007: a final result code on a line of its own.
MODEM = re.compile(rb"(?m)^(?:OK|ERROR|NO CARRIER|COMMAND NOT SUPPORT|\+CM[ES] ERROR\b.*)\r?$")
HEARD = 4096  # bytes that are enough to judge by


def refuse_others(port: Port, at: str, title: str) -> None:
    """Raise BoardFailed where what is at the port is none of our boards: a modem, or what sends back what it gets.

    Silence refuses nothing, nor does any other text: a board may be starting, in its loader, or without a firmware.
    """
    heard = _ask(port)
    if FIRMWARE.search(heard):
        return
    what = "is a modem" if MODEM.search(heard) else "sends back what it is sent" if QUESTION.strip() in heard else ""
    if what:
        raise BoardFailed(
            f"what is at {at} {what}: this is probably no {title}",
            "PORT= of the board; a board with another program: FIRMWARE_IMAGE=…",
        )


def _ask(port: Port) -> bytes:
    """Return what comes by itself, if that is a firmware's; else, once it has ended, what a question is answered with."""
    try:
        heard = _hear(port, LISTEN_S, FIRMWARE)
        if not FIRMWARE.search(heard):
            port.write(QUESTION)
            # A line like a modem's counts only here: what a board tells of its start may hold one.
            heard = _hear(port, PROBE_S, FIRMWARE, MODEM)
    except OSError:
        return b""  # unplugged, or it takes nothing: whoever asks next says so
    return heard


def _hear(port: Port, quiet_s: float, *enough: re.Pattern[bytes]) -> bytes:
    heard, until = b"", time.monotonic() + PROBE_S
    silent = time.monotonic() + quiet_s
    while time.monotonic() < min(until, silent) and len(heard) < HEARD:
        if data := port.read(1):
            heard += data + (port.read_all() or b"")
            silent = time.monotonic() + quiet_s
        if any(one.search(heard) for one in enough):
            break
    return heard
