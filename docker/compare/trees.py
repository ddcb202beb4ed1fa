"""Nested data as paths and leaves, `accuracy.rungs[2].ap`, so that two of them are compared like two dictionaries."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from stage import Budget, Refused
from values import Array

# A pickle can hold one list, word or array at any number of places, so each place is paid for.
VALUES_MAX = (
    5_000_000  # the manifest of a data set of 118,000 images has a million, each seen as an item and for itself
)
CHARACTERS, BYTES = 100, 4096  # so many of a path or a text, and of an array, count as one value more
DEPTH_MAX = 100  # of what contains each other; a checkpoint has 30
WIDTH = 60  # characters of a value that are shown
LEAD = 15  # … of which so many are before the first that differs


def flatten(value: Any, expand: Callable[[Any], Any] = lambda value: value) -> tuple[dict[str, Any], dict[str, Array]]:
    """The leaves of nested dictionaries and lists by path, and apart from them its arrays; `expand` makes other things such."""
    leaves: dict[str, Any] = {}
    arrays: dict[str, Array] = {}
    paid = Budget("too large to compare", VALUES_MAX, "values")
    for path, leaf in walk(value, expand, paid):
        if isinstance(leaf, np.ndarray):
            paid.spend(leaf.nbytes // BYTES)
            arrays[path] = leaf
        else:
            leaves[path] = leaf
    return leaves, arrays


def walk(
    value: Any, expand: Callable[[Any], Any], paid: Budget, path: str = "", above: tuple[int, ...] = ()
) -> Iterator[tuple[str, Any]]:
    """Every leaf with its path; a list of whole numbers is one leaf, and what contains itself is not followed again."""
    expanded = expand(value)
    paid.spend(1 + len(path) // CHARACTERS)
    if isinstance(expanded, dict | list | tuple):
        paid.spend(len(expanded))
    elif isinstance(expanded, str | bytes):
        paid.spend(len(expanded) // CHARACTERS)
    if id(value) in above or not isinstance(expanded, dict | list | tuple) or whole(expanded):
        yield path or "value", "(itself)" if id(value) in above else expanded
        return
    if len(above) > DEPTH_MAX:
        raise Refused(f"too large to compare: lists in lists, more than {DEPTH_MAX} deep")
    items = expanded.items() if isinstance(expanded, dict) else enumerate(expanded)
    for key, item in items:
        plain = isinstance(expanded, dict) and re.fullmatch(r"[\w-]+", str(key))
        step = f".{key}" if plain else f"[{key}]"
        yield from walk(item, expand, paid, (path + step).lstrip("."), (*above, id(value)))


def whole(value: Any) -> bool:
    """Whether a dictionary or list is best seen as one value: a shape, say, or nothing."""
    return not isinstance(value, dict) and all(isinstance(item, int) for item in value) if value else True


def compare_leaves(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """A line for each path whose leaf is another, in the order of the first."""
    lines = []
    for path in [*first, *(path for path in second if path not in first)]:
        if path not in first or path not in second:
            where, leaf = ("first", first[path]) if path in first else ("second", second[path])
            lines.append(f"{path}: {cut(shown(leaf))}, only in the {where}")
        # As text, for 1, 1.0 and True are equal, and NaN is not.
        elif repr(first[path]) != repr(second[path]):
            lines.append(f"{path}: {contrast(shown(first[path]), shown(second[path]))}")
    return lines


def shown(leaf: Any) -> str:
    """A leaf as JSON would have it, where it can."""
    return json.dumps(leaf, ensure_ascii=False) if isinstance(leaf, str | bool | None) else str(leaf)


def cut(text: str, start: int = 0) -> str:
    """At most WIDTH characters, from `start` on."""
    before, after = "…" if start else "", "…" if len(text) > start + WIDTH else ""
    return before + text[start : start + WIDTH] + after


def contrast(first: str, second: str) -> str:
    """Both texts, the long ones from shortly before where they part."""
    if max(len(first), len(second)) <= WIDTH:
        return f"{first} → {second}"
    same = next(
        (at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )
    start = max(same - LEAD, 0)
    return f"{cut(first, start)} → {cut(second, start)}"
