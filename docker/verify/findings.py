"""What one run has found out so far: enough to write a report at any time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accuracy import Terms
from arena import Arena
from contract import Check
from frames import Labelled, Sample
from heads import Heads
from ladder import Forms, Measured
from network import Network


@dataclass
class Findings:
    """First the file and its contract, then the frames, one by one."""

    file: Path  # what the board gets
    network: Network
    heads: Heads | None
    arena: Arena
    checks: list[Check]
    accepted: Mapping[str, Any] | None  # the form, among those that the firmware decodes, which this model has
    forms: Forms | None = None
    terms: Terms | None = None
    sample: Sample | None = None
    frames: list[Measured] = field(default_factory=list)
    truth: list[Labelled] = field(default_factory=list)
    difference: Mapping[str, Any] | None = None  # where the kernels part first, or first without a known reason
    explored: int = 0  # frames on which that was looked for
    partial: list[str] = field(default_factory=list)  # what should have been measured and was not
    notes: list[str] = field(default_factory=list)  # what could not be measured with what was given

    @property
    def names(self) -> Sequence[str]:
        """Class names, as the labels have them."""
        return self.sample.names if self.sample else ()
