"""Markdown around words that others chose: names become code, sentences lose what would be taken for markup.

Seen by CommonMark with GitHub's tables. Bare addresses are left: where they lead is what they say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgewright.text import visible

NOTHING = "–"
# What is markup within a line, beside & and <, which become entities; and only where a line begins.
INLINE, BEGINNING = re.compile(r"[\\`*_~|\[\]>]"), re.compile(r"^(\d*)([-+#=.)])")


def code(text: str) -> str:
    """Return a name as code, in a table too: on one line, and with nothing that could end either."""
    return f"`{visible(text).replace('`', chr(39)).replace('|', '/') or ' '}`"


def sentence(text: str) -> str:
    """Return a sentence as one line of a list or table: `code` in it stays code, and nothing else is markup."""
    parts = re.sub(r"[ \t\r\n]+", " ", text).strip().split("`")
    if len(parts) % 2 == 0:  # a backtick without its other
        parts = ["`".join(parts)]
    return "".join(code(part) if i % 2 else _escaped(part, first=not i) for i, part in enumerate(parts)) or NOTHING


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table."""
    return [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows)]


def _escaped(text: str, *, first: bool) -> str:
    """Return text as itself; what is `first` of a line could also begin a list or heading."""
    shown = INLINE.sub(r"\\\g<0>", visible(text)).replace("&", "&amp;").replace("<", "&lt;")
    return BEGINNING.sub(r"\g<1>\\\g<2>", shown) if first else shown
