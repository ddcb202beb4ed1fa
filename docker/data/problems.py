"""What is wrong with a data set, gathered so that one run names several faults instead of one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import stage
from text import visible

_SHOWN = 5  # more than that nobody reads at once


@dataclass(frozen=True)
class Problem:
    """One fault: the file (with its line, where there is one), what is wrong there, and what to do about it."""

    where: str
    fact: str
    hint: str = ""

    def __str__(self) -> str:
        return visible(f"{self.where}: {self.fact}")


def refuse(problems: Iterable[Problem]) -> None:
    """Raise if there is any problem: the first makes the error's line, some more follow, the rest is counted."""
    found = list(problems)
    if not found:
        return
    lines = [str(problem) for problem in found[:_SHOWN]]
    if len(found) > _SHOWN:
        lines.append(f"and {len(found) - _SHOWN:,} more")
    raise stage.Refused(stage.NEXT_LINE.join(lines), next((problem.hint for problem in found if problem.hint), ""))
