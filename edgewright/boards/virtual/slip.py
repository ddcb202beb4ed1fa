"""SLIP frames (RFC 1055), as the loaders of Espressif's chips speak them: each between two END bytes."""

from __future__ import annotations

import re
from collections import deque

from edgewright.boards.virtual.wire import Wire

END = b"\xc0"
BAD_ESCAPE = re.compile(rb"\xdb(?![\xdc\xdd])")
LONGEST = 2 * (0xFFFF + 16)  # no command is longer: its length has 16 bits, and each byte may be escaped


def wrap(data: bytes) -> bytes:
    """Return the frame of `data`."""
    return END + data.replace(b"\xdb", b"\xdb\xdd").replace(END, b"\xdb\xdc") + END


class Frames:
    """The frames that come over a wire. What is no frame, or a damaged one, is dropped without a word."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._whole: deque[bytes] = deque()
        self._partial: bytes | None = None  # none before the first END: what comes before it is noise

    def read(self, timeout_s: float) -> bytes | None:
        """Return the next frame's content, or nothing where the line is quiet for `timeout_s`."""
        while not self._whole:
            data = self._wire.read(timeout_s)
            if not data:
                return None
            self._take(data)
        return self._whole.popleft()

    def _take(self, data: bytes) -> None:
        *ended, partial = ((self._partial or b"") + data).split(END)
        if self._partial is None and ended:
            del ended[0]
        elif self._partial is None:
            return
        self._partial = partial if len(partial) <= LONGEST else None
        # An END too many is an empty frame, so one that got lost costs a frame and not the rest of the session.
        self._whole += [
            frame.replace(b"\xdb\xdc", END).replace(b"\xdb\xdd", b"\xdb")
            for frame in ended
            if frame and not BAD_ESCAPE.search(frame)
        ]
