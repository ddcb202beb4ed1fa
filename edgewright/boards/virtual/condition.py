"""The grammar of AT+ACTION in SSCMA 1.x: whether the firmware takes an expression. What one does, nobody could see here.

Source: SSCMA-Micro ff48a1c, sscma/interpreter/: condition.hpp L34-62, lexer.hpp, parser.hpp. It is generous: what follows a whole
expression in parentheses is not read, and `1++2` or `a b +` are expressions, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# lexer.hpp get_next_token(). A function takes all up to the parenthesis that closes it. What is no token is passed over, but a
# single & or | ends an expression, and what is around it goes on behind it.
WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
TOKEN = re.compile(
    r"(?P<operand>[0-9]+)|(?P<open>\()|(?P<close>\))|(?P<operator>[*/+-]|[&|]{2}|[<>=!]=?)|(?P<end>[&|])"
)
DEEPEST = 100  # each parenthesis and each operator is a call on a stack of 20 kB


class TooDeep(ValueError):
    """An expression that would overflow the firmware's stack."""


def accepts(text: str) -> bool:
    """Return whether the firmware takes `text` for an expression; raises TooDeep."""
    return _Parser(_tokens(text)).parse()


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        if word := WORD.match(text, at):
            at = _behind_function(text, word.end()) if text[word.end() : word.end() + 1] == "(" else word.end()
            yield "operand"
        elif found := TOKEN.match(text, at):
            at = found.end()
            yield "" if found.lastgroup == "end" else str(found.lastgroup)
        else:
            at += 1


def _behind_function(text: str, at: int) -> int:
    """Return where the arguments end that begin with the parenthesis at `at`."""
    depth = 0
    for end in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if depth == 0:
            return end + 1
    return len(text)


class _Parser:
    """parser.hpp. Of its nodes only is kept whether there is one: parentheses around nothing give none."""

    def __init__(self, tokens: Iterator[str], depth: int = 0) -> None:
        self._tokens, self._depth = tokens, depth
        self._token = next(tokens, "")
        self._nodes: list[bool] = []

    def parse(self) -> bool:
        """Return whether one expression was read."""
        while self._token and len(self._nodes) < 3 and self._read(self._depth):
            self._token = next(self._tokens, "")
        return self._nodes == [True]

    def _read(self, depth: int) -> bool:
        """Read what begins with the current token; return whether to go on."""
        if depth > DEEPEST:
            raise TooDeep
        if self._token == "operand":
            self._nodes.append(True)
        elif self._token == "open":
            self._nodes.append(_Parser(self._tokens, depth + 1).parse())
        elif self._token == "operator":
            if len(self._nodes) == 1:
                self._token = next(self._tokens, "")
                if not self._read(depth + 1):
                    return False
            if len(self._nodes) != 2:
                return False
            self._nodes = [True]
        else:
            return False
        return True
