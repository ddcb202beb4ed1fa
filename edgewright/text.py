"""Text that others chose, as a person may see it: what would not be seen, or would move what is, is shown by its number.

The same as docker/text.py: a stage imports nothing of this package.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Control characters, separators other than the space, interlinear annotations, lone surrogates, what is no character; and what has
# no width or commands a bidi renderer: Default_Ignorable_Code_Point of Unicode 15.1 (DerivedCoreProperties.txt). str.isprintable is
# another in each Python.
_UNSEEN = re.compile(
    "[\0-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\ud800-\udfff]"
)


def visible(text: str) -> str:
    """Return the text on one line, with `\\x1b`, `\\n` or `\\u202e` in place of a character that nobody would see."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def visible_in(value: Any) -> Any:
    """Return plain data with every text in it made visible, names of fields too; tuples come back as lists."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible_in(key): visible_in(item) for key, item in value.items()}
    return [visible_in(item) for item in value] if isinstance(value, (list, tuple)) else value
