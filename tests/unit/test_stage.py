"""What every stage shares: a budget, and words for what others chose."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from bounds import bounded
from hypothesis import given
from hypothesis import strategies as st
from stage_modules import imported


@pytest.fixture(scope="module")
def modules() -> Iterator[SimpleNamespace]:
    """The modules under test as attributes."""
    with imported(("stage", "text")) as found:
        yield found


def test_a_budget_is_spent_to_its_end_and_no_further(modules: SimpleNamespace) -> None:
    budget = modules.stage.Budget("a.pt", 10_000, "opcodes", "give another file")
    budget.spend(9_999)
    budget.spend()
    with pytest.raises(modules.stage.Refused, match=r"^a\.pt: more than 10,000 opcodes$") as refused:
        budget.spend()
    assert refused.value.hint == "give another file"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet=st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(value=VALUES)
def test_a_value_is_shown_in_one_short_line(modules: SimpleNamespace, value: Any) -> None:
    said = modules.stage.shown(value)
    assert modules.text.visible(said) == said
    said.encode()


def test_a_value_that_contains_itself_is_shown(modules: SimpleNamespace) -> None:
    ring: list[Any] = []
    ring += [ring] * 9
    shared: Any = 0
    ordered: Any = 0
    for _ in range(60):
        shared = {"a": shared, "b": (shared, shared)}
        ordered = OrderedDict(a=ordered, b=ordered)
    with bounded(seconds=2):
        for value in (ring, shared, ordered):
            assert "..." in modules.stage.shown(value)


@pytest.mark.parametrize("name", ["list", "dict", "set", "str", "int", "deque", "array", "instance"])
def test_an_object_whose_class_is_called_like_one_of_pythons_is_shown(modules: SimpleNamespace, name: str) -> None:
    kind = type(name, (), {"__module__": "builtins", "__repr__": lambda _: "<it>"})
    assert modules.stage.shown([kind()]) == "[<it>]"


@given(lines=st.lists(st.text(alphabet=st.characters(exclude_categories=())), min_size=1, max_size=3))
def test_a_refusal_has_no_line_but_its_own(modules: SimpleNamespace, lines: list[str]) -> None:
    """Unless a foreign text holds the very break between two of them, which `problems` makes visible before."""
    fitted = modules.stage.fit_lines(modules.stage.NEXT_LINE.join(map(modules.text.visible, lines)))
    assert len(fitted.split("\n")) == len(lines)
    assert all(len(line) <= modules.stage.LINE_MAX + 10 for line in fitted.split("\n"))


def test_a_long_line_is_cut(modules: SimpleNamespace) -> None:
    assert modules.stage.fit_lines("x" * 5_000) == "x" * 1_000 + " …"
