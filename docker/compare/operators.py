"""The operators of a network, in order: two networks of other operators have little else to compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def compare_sequences(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """Say how two sequences of operators differ: how many there are of each, and where they part."""
    if list(first) == list(second):
        return []
    lines = []
    counts, others = Counter(first), Counter(second)
    changed = [
        f"{name} {counts[name]} → {others[name]}" for name in sorted({*counts, *others}) if counts[name] != others[name]
    ]
    if changed:
        lines.append(f"operators: {len(first):,} → {len(second):,}: {', '.join(changed)}")
    pairs = enumerate(zip([*first, "none"], [*second, "none"], strict=False))
    at, (one, other) = next((at, pair) for at, pair in pairs if pair[0] != pair[1])
    return [*lines, f"operators: the first that differs is number {at}: {one} → {other}"]
