"""Arrays that should be equal: how many values differ, and by how many units in the last place."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from compare_stage import compare

__all__ = ["compare"]  # a fixture
TINY = np.float32(1e-45)  # the smallest float32 above zero
MAX = np.finfo(np.float64).max


def after(value: float, dtype: Any, steps: int = 1) -> Any:
    """The float that comes so many after `value`."""
    number = dtype(value)
    for _ in range(steps):
        number = np.nextafter(number, dtype(np.inf))
    return number


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("value", [1.0, -1.0, 0.0, 0.1])
def test_floats_are_as_far_apart_as_there_are_floats_between_them(
    compare: SimpleNamespace, dtype: Any, value: float
) -> None:
    first = np.full((2, 3), value, dtype)
    second = first.copy()
    second[0, 1], second[1, 2] = after(value, dtype), after(value, dtype, 5)
    found = compare.values.compare_values("w", first, second)
    assert (found.differing, found.of, found.ulps, found.nans) == (2, 6, 5, 0)
    assert found.largest == float(second[1, 2]) - float(first[1, 2])
    assert (found.dtype, found.shape) == (np.dtype(dtype).name, (2, 3))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (np.float32(-TINY), TINY, (2, 2 * float(TINY), 0)),
        (np.float32(np.inf), np.finfo(np.float32).max, (1, None, 0)),
        (-MAX, MAX, (2 * 0x7FEFFFFFFFFFFFFF, None, 0)),
        (np.float32(0), np.float32(-0.0), (0, 0, 0)),
        (np.float32(np.nan), np.float32(1), (None, None, 1)),
        (np.uint32(0x7FC00000).view(np.float32), np.uint32(0x7FC00001).view(np.float32), (None, None, 1)),
    ],
    ids=["across zero", "infinity", "further than an int64 holds", "minus zero", "a NaN", "another NaN"],
)
def test_what_is_odd_about_floats(compare: SimpleNamespace, first: Any, second: Any, expected: tuple[Any, ...]) -> None:
    one = type(first)(1)
    found = compare.values.compare_values("w", np.array([first, one]), np.array([second, one]))
    assert found.differing == 1
    assert (found.ulps, found.largest, found.nans) == expected
    assert str(found).startswith("w: 1 of 2 values")


def test_the_same_nan_is_no_difference(compare: SimpleNamespace) -> None:
    assert compare.values.compare_values("w", np.array([np.nan, 1]), np.array([np.nan, 1])) is None


@pytest.mark.parametrize(
    ("dtype", "first", "second", "steps"),
    [
        (np.int8, -128, 127, 255),
        (np.uint8, 255, 0, 255),
        (np.int64, -(2**63), 2**63 - 1, 2**64 - 1),
        (np.uint64, 0, 2**64 - 1, 2**64 - 1),
        (np.bool_, False, True, 1),
    ],
)
def test_integers_are_so_many_steps_apart(
    compare: SimpleNamespace, dtype: Any, first: int, second: int, steps: int
) -> None:
    found = compare.values.compare_values("w", np.array([first, 0], dtype), np.array([second, 0], dtype))
    assert (found.differing, found.largest, found.ulps) == (1, steps, None)
    assert str(found).endswith(f"by up to {steps:,} step{'s'[: steps != 1]}")


def test_a_large_array_is_taken_in_parts(compare: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare.values, "CHUNK", 4)
    first = np.ones((5, 3), np.float32)
    second = first.copy()
    second[0, 0], second[2, 1], second[4, 2] = (after(1, np.float32, steps) for steps in (1, 30, 2))
    second[0, 1] = second[4, 1] = np.nan
    found = compare.values.compare_values("w", first, second)
    assert (found.differing, found.of, found.ulps, found.nans) == (5, 15, 30, 2)
    assert found.largest == second[2, 1] - 1


def test_bytes_in_the_other_order_are_the_same_numbers(compare: SimpleNamespace) -> None:
    first, second = np.array([1, 2], ">f4"), np.array([1, after(2, np.float32)], ">f4")
    assert compare.values.compare_values("w", first, second).ulps == 1


def test_text_only_differs(compare: SimpleNamespace) -> None:
    found = compare.values.compare_values("names", np.array(["a", "b"]), np.array(["a", "c"]))
    assert str(found) == "names: 1 of 2 values (<U1) differ"


def test_arrays_are_compared_by_name_and_the_worst_comes_first(compare: SimpleNamespace) -> None:
    first = {name: np.ones(4, np.float32) for name in ("near", "far", "gone", "shape", "same", "type")}
    second = {name: array.copy() for name, array in first.items() if name != "gone"} | {"new": np.ones(1)}
    second["near"][0], second["far"][:2] = after(1, np.float32), 2
    second["shape"], second["type"] = np.ones((2, 2), np.float32), np.ones(4)
    found = compare.values.compare_arrays(first, second)
    assert found.lines == [
        "1 tensors only in the first: gone",
        "1 tensors only in the second: new",
        "shape: float32 [4] → float32 [2, 2]",
        "type: float32 [4] → float64 [4]",
        "2 of 6 tensors differ",
        "far: 2 of 4 values (float32) differ, by up to 8,388,608 units in the last place (1)",
        "near: 1 of 4 values (float32) differ, by up to 1 unit in the last place (1.19e-07)",
    ]
    assert [tensor.name for tensor in found.tensors] == ["far", "near"]
