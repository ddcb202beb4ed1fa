"""Arrays, number by number: how many differ, and by how much, in their own unit and in units in the last place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
CHUNK = 1 << 20  # elements looked at together: the differences of a large array take eight times its memory and more
NAMES_MAX = 3  # of arrays that one side lacks, in a line
BITS = {2: np.int16, 4: np.int32, 8: np.int64}  # by the bytes of a float


@dataclass(frozen=True)
class Difference:
    """How two arrays of one type and shape differ. `ulps` is of floats only; `largest` is of integers and finite floats."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    differing: int
    of: int
    largest: float | None
    ulps: int | None
    nans: int  # NaN on one side only, or on both with other bits

    @property
    def severity(self) -> tuple[float, ...]:
        """By what the worst comes first."""
        return self.nans, self.largest or 0 if self.ulps is None else self.ulps, self.differing

    def __str__(self) -> str:
        text = f"{self.name}: {self.differing:,} of {self.of:,} values ({self.dtype}) differ"
        if self.ulps:
            text += f", by up to {self.ulps:,} unit{'s'[: self.ulps != 1]} in the last place"
            text += "" if self.largest is None else f" ({self.largest:.3g})"
        elif self.ulps == 0:
            text += ", zeros of the other sign"
        elif self.largest:
            text += f", by up to {self.largest:,} step{'s'[: self.largest != 1]}"
        return text + (f", {self.nans:,} of them by NaN" if self.nans else "")


@dataclass(frozen=True)
class Found:
    """What differs between two files: lines for people, the worst first, and the arrays behind them. No lines: other layout."""

    lines: list[str]
    tensors: list[Difference] = field(default_factory=list)


def compare_arrays(first: Mapping[str, Array], second: Mapping[str, Array], what: str = "tensors") -> Found:
    """Compare arrays by name: which are missing, of another type or shape, or have other values; `what` they are, for the lines."""
    lines, differences = [], []
    for which, one, other in (("first", first, second), ("second", second, first)):
        if missing := [name for name in one if name not in other]:
            names = ", ".join(missing[:NAMES_MAX]) + (" …" if len(missing) > NAMES_MAX else "")
            lines.append(f"{len(missing):,} {what} only in the {which}: {names}")
    for name in (name for name in first if name in second):
        one, other = first[name], second[name]
        if (one.dtype, one.shape) != (other.dtype, other.shape):
            lines.append(f"{name}: {one.dtype} {list(one.shape)} → {other.dtype} {list(other.shape)}")
        elif difference := compare_values(name, one, other):
            differences.append(difference)
    differences.sort(key=lambda difference: difference.severity, reverse=True)
    if differences and len(first) > 1:
        lines.append(f"{len(differences):,} of {len(first):,} {what} differ")
    return Found([*lines, *map(str, differences)], differences)


def compare_values(name: str, first: Array, second: Array) -> Difference | None:
    """Compare two arrays of one type and shape; None if every bit is the same."""
    one, other = first.reshape(-1), second.reshape(-1)
    parts = [apart(one[at : at + CHUNK], other[at : at + CHUNK]) for at in range(0, one.size, CHUNK)]
    differing = sum(part[0] for part in parts)
    if not differing:
        return None
    return Difference(
        name=name,
        dtype=str(first.dtype),
        shape=first.shape,
        differing=differing,
        of=one.size,
        largest=largest([part[1] for part in parts]),
        ulps=largest([part[2] for part in parts]),
        nans=sum(part[3] for part in parts),
    )


def largest(values: Sequence[Any]) -> Any:
    """The largest of those that are known, or None."""
    return max((value for value in values if value is not None), default=None)


def apart(first: Array, second: Array) -> tuple[int, float | None, int | None, int]:
    """How many elements differ; the largest difference; the same in ulps; how many of them are NaN."""
    native = first.dtype.newbyteorder("=")
    first, second = np.ascontiguousarray(first, native), np.ascontiguousarray(second, native)
    if native.kind == "f" and native.itemsize in BITS:
        return floats_apart(first, second)
    differing = first != second
    if native.kind not in "iub":
        return int(differing.sum()), None, None, 0
    first, second = first[differing], second[differing]
    wide = np.uint64 if native == np.uint64 else np.int64
    steps = distance(first.astype(wide), second.astype(wide))
    return len(first), largest(steps.tolist()), None, 0


def floats_apart(first: Array, second: Array) -> tuple[int, float | None, int | None, int]:
    """The same for floats, whose bits are compared: that tells NaNs and zeros apart as well."""
    bits = BITS[first.itemsize]
    differing = first.view(bits) != second.view(bits)
    first, second = first[differing], second[differing]
    numbers = ~(np.isnan(first) | np.isnan(second))
    one, other = first[numbers], second[numbers]
    with np.errstate(over="ignore"):
        by = np.abs(one.astype(np.float64) - other.astype(np.float64))
    ulps = distance(ordered(one), ordered(other))
    return len(first), largest(by[np.isfinite(by)].tolist()), largest(ulps.tolist()), len(first) - len(one)


def ordered(values: Array) -> NDArray[np.int64]:
    """Integers that follow each other as the floats do: a float's bits are a sign and a magnitude."""
    bits = values.view(BITS[values.itemsize])
    magnitude = (bits & np.iinfo(bits.dtype).max).astype(np.int64)
    return np.where(bits < 0, -magnitude, magnitude)


def distance(first: Array, second: Array) -> NDArray[np.uint64]:
    """How far 64-bit integers are apart; as unsigned ones, for two of them can be further apart than an int64 holds."""
    return np.maximum(first, second).view(np.uint64) - np.minimum(first, second).view(np.uint64)
