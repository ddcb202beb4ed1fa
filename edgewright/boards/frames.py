"""What comes over a firmware's line, cut into messages: frames of JSON, and whatever is said between them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

RESPONSE, EVENT, LOG = 0, 1, 2  # the types of frames
# A frame of the largest image, 640 × 480, stays far below; what has no end at this length is none.
FRAME_BYTES = 4 << 20
CODES = range(-(1 << 31), 1 << 31)
DEEPEST = 16  # tables and lists in each other: a result with keypoints has seven
TEXT = 120  # letters of a line of text

# `\r{"type": 0, "name": "ID?", …}\n`, 2.x without the blanks. Only a frame begins so: tables inside it have other keys.
_HEAD = re.compile(rb'\{"type": ?(\d), ?"name": ?"([^"\r\n]{0,64})"')
_HEAD_BYTES = 128  # more than any head has
_END = re.compile(rb"\}\r?\n")
_UNPRINTABLE = re.compile(r"[^ -~]+")


@dataclass(frozen=True)
class Message:
    """A frame, or a line of plain text as a log without a name. `code` is None where bytes of it were lost."""

    type: int
    name: str
    code: int | None
    data: Any = None


class Frames:
    """Cuts what comes over the line into messages, however many bytes of it come at once, are lost, or are none of ours."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._seen = 0  # so many bytes of the frame in the buffer hold no end

    def feed(self, data: bytes) -> list[Message]:
        """Take bytes; return what is complete with them."""
        self._buffer += data
        found: list[Message] = []
        while (head := _HEAD.search(self._buffer)) is not None:
            if head.start():
                found += _lines(self._take(head.start()))
                continue
            # A frame whose end was lost ends where the next begins.
            following = _HEAD.search(self._buffer, max(head.end(), self._seen - _HEAD_BYTES))
            limit = following.start() if following else len(self._buffer)
            end = _END.search(self._buffer, max(head.end(), self._seen - 2), limit)
            if not end and not following and limit < FRAME_BYTES:
                self._seen = limit
                return found
            kind, name = int(head[1]), head[2].decode("ascii", "replace")
            found.append(_message(kind, name, self._take(end.end() if end else limit)))
        # Whole lines are text; without one, all that cannot be the beginning of a head.
        text = self._buffer.rfind(b"\n") + 1 or len(self._buffer) - _HEAD_BYTES
        return found + _lines(self._take(max(text, 0)))

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        self._seen = 0
        return taken


def _message(kind: int, name: str, frame: bytes) -> Message:
    try:
        # Control characters have no place in a string, but in a firmware's messages they have one.
        raw = json.loads(frame[: frame.rfind(b"}") + 1].decode("utf-8", "replace"), strict=False)
        code = raw["code"]
    except (ValueError, KeyError, RecursionError):
        return Message(kind, name, None)
    if type(code) is not int or code not in CODES or _is_deep(raw):
        return Message(kind, name, None)
    return Message(kind, name, code, raw.get("data"))


def _is_deep(value: Any) -> bool:
    """Whether it is nested deeper than anything that is meant: whoever writes or compares it would recurse as deep."""
    layer = [value]
    for _ in range(DEEPEST):
        inner = (one.values() if isinstance(one, dict) else one for one in layer if isinstance(one, dict | list))
        layer = [child for children in inner for child in children]
    return bool(layer)


def _lines(noise: bytes) -> list[Message]:
    """Return the lines of text in what is no frame, those with nothing to read left out."""
    texts = (_UNPRINTABLE.sub(" ", line).strip() for line in noise.decode("ascii", "replace").splitlines())
    return [Message(LOG, "", 0, text[:TEXT]) for text in texts if text]
