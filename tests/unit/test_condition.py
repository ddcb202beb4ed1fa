"""Which expressions AT+ACTION takes: as the firmware's own parser does, for better or worse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.boards.virtual.condition import TooDeep, accepts

PIECES = ["(", ")", "&&", "||", "&", "+", "-", ">=", "!", "led(1)", "count(target,0)", "a", "12", "_", " ", ",", "max("]


@pytest.mark.parametrize(
    "text",
    [
        "((count(target,0)>=3)&&led(1))||led(0)",
        "(((count(target,0)>=3)||(max_score(target,0)>=80))&&led(1))||led(0)",
        "led(1)",
        "red",
        "1",
        "1+2*3",
        "a b +",
        "1++2",
        "(a)",
        "a)",
        "a &&",
        "led(1",
        "a&b",
        "_a",
    ],
)
def test_what_the_parser_makes_one_node_of_is_taken(text: str) -> None:
    assert accepts(text)


@pytest.mark.parametrize("text", ["&&", "&& a", "a b", "()", "(", ")", "?", "(a b)", "1 2 3 +", "+ 1"])
def test_what_leaves_no_node_or_two_is_refused(text: str) -> None:
    assert not accepts(text)


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join) | st.text(st.characters(codec="ascii"), max_size=80))
def test_every_text_is_taken_or_refused(text: str) -> None:
    assert accepts(text) in (True, False)


def test_what_is_too_deep_is_told() -> None:
    with pytest.raises(TooDeep):
        accepts("(" * 4000)
    with pytest.raises(TooDeep):
        accepts("1" + "+" * 4000)
