"""What nobody would see is shown by its number: controls, commands to a bidi renderer, what has no width; everything else stays."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage_modules import imported

from edgewright.text import visible, visible_in

EVERY = list(map(chr, range(sys.maxunicode + 1)))


@pytest.fixture(scope="module")
def other() -> Iterator[object]:
    """The stages' twin of the module under test."""
    with imported(("text",)) as modules:
        yield modules.text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("photo\u202egnp.exe", r"photo\u202egnp.exe"),
        ("per\u200bson", r"per\u200bson"),
        ("caf\udce9.jpg", r"caf\udce9.jpg"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x9b31m", r"\x9b31m"),
        ("\U000e0041", r"\U000e0041"),
        ("Fußgänger, 人, 🚲, \\x1b", "Fußgänger, 人, 🚲, \\x1b"),
    ],
)
def test_what_is_not_seen_is_shown_by_its_number_and_the_rest_as_it_is(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_no_control_no_separator_and_no_bidi_command_is_left_of_all_that_unicode_has() -> None:
    for character in EVERY:
        kind, direction = unicodedata.category(character), unicodedata.bidirectional(character)
        hides = kind in ("Cc", "Cs", "Zl", "Zp") or (kind == "Zs" and character != " ")
        moves = direction in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "BN", "S", "B")
        if hides or moves or character in "\u200b\u200c\u200d\u200e\u200f\u2060\u3164\ufeff\ufe0f":
            assert visible(character).startswith("\\"), hex(ord(character))


def test_letters_marks_digits_and_symbols_of_every_script_stay() -> None:
    # Hangul's fillers are letters by category, and show nothing; so do variation selectors and the like among marks.
    unseen = {
        "\u115f",
        "\u1160",
        "\u3164",
        "\uffa0",
        "\u034f",
        "\u17b4",
        "\u17b5",
        "\u180b",
        "\u180c",
        "\u180d",
        "\u180f",
    }
    for character in EVERY:
        selector = "VARIATION SELECTOR" in unicodedata.name(character, "")
        if unicodedata.category(character)[0] in "LMNPS" and character not in unseen and not selector:
            assert visible(character) == character, hex(ord(character))


def test_a_stage_shows_text_as_the_package_does(other: object) -> None:
    everything = "".join(EVERY)
    assert other.visible(everything) == visible(everything)  # type: ignore[attr-defined]
    value = {"a\x00": ["\u202e", ("b\n", 1.5, None)], "c": {"d": True}}
    assert other.visible_in(value) == visible_in(value)  # type: ignore[attr-defined]
    assert visible_in(value) == {r"a\x00": [r"\u202e", [r"b\n", 1.5, None]], "c": {"d": True}}


@given(st.text())
def test_what_is_shown_can_be_written_and_is_shown_so_again(text: str) -> None:
    shown = visible(text)
    assert shown.encode().decode().splitlines() in ([shown], [])
    assert visible(shown) == shown
