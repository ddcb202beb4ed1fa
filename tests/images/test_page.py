"""The report's page, as the stage's environment writes it: nothing fetched, nothing unescaped, the same bytes each time."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_page import SEEN, Json, folder, render, rung, text, whole, with_text_of_others

__all__ = ["folder", "text"]

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """What was found in a page: elements with their attributes, in order, and those left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        """The attributes of each element of these names."""
        return [attributes for tag, attributes in self.found if tag in tags]


def test_a_page_is_the_same_each_time(folder: Path, tmp_path: Path, text: str) -> None:
    assert render(tmp_path, whole(), seed="2") == text


def test_a_page_needs_nothing_else(text: str) -> None:
    page = Page(text)
    assert not page.open
    assert not page.all("script", "link", "iframe", "object")
    links = [
        value or ""
        for _, attributes in page.found
        for key, value in attributes.items()
        if key in ("src", "href", "xlink:href")
    ]
    assert links
    assert all(link.startswith(("data:image/jpeg;base64,", "#")) for link in links)
    assert set(re.findall(r"\b\w+://[^\s\"<]+", text)) == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not re.search(r"@import|@font-face|url\((?!#)", text)


def test_every_id_is_there_once_and_every_reference_leads_to_one(text: str) -> None:
    page = Page(text)
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', text)) | {a["aria-labelledby"] for a in page.all("section")}
    assert used <= set(ids)


def test_nobody_needs_eyes_for_it(text: str) -> None:
    page = Page(text)
    assert page.found[0] == ("html", {"lang": "en"})
    assert all(image["alt"] for image in page.all("img"))
    assert all(chart["role"] == "img" and chart["aria-label"] for chart in page.all("svg"))
    assert all(header.get("scope") in ("col", "row") for header in page.all("th"))
    assert all(
        region["aria-label"] and region["tabindex"] == "0"
        for region in page.all("div")
        if region.get("role") == "region"
    )


def test_what_others_wrote_is_escaped(text: str) -> None:
    assert "<toy>" not in text
    assert "<person>" not in text
    assert "a &lt;b&gt;" in text
    assert "<code>make x</code>" in text
    assert "frame &lt;0&gt;" in text


def test_what_nobody_would_see_is_made_visible_wherever_others_wrote_it(folder: Path) -> None:
    text = render(folder, with_text_of_others(whole()))
    assert re.findall(r"[^\n -\x7e\xa1-\u1fff\u2010-\u2027\u2030-\u205e\u2070-\uffef]", text) == []
    assert not Page(text).open
    assert "<i>gnp" not in text
    assert text.count(html.escape(SEEN)) > 30
    assert r"frame &lt;0&gt;\u202e.jpg" in text


def test_charts_take_the_page_s_colour_and_font(text: str) -> None:
    charts = text[text.index("<svg") : text.rindex("</svg>")]
    assert "currentColor" in charts
    for word in ("#010203", "DejaVu", "<metadata", "<style", "#000000"):
        assert word not in charts


def test_sections_come_in_their_order(text: str) -> None:
    order = ["accuracy", "pictures", "memory", "operators", "outputs", "speed", "contract", "made"]
    assert re.findall(r'<h2 id="(\w+)"', text) == order


def test_a_span_of_time_has_two_digits_and_is_called_an_estimate(text: str) -> None:
    assert "2.8–11 s" in text
    assert "an estimate, not measured on a board" in text


def test_the_step_that_costs_most_is_marked(text: str) -> None:
    (row,) = re.findall(r'<tr class="worst">.*?</tr>', text, re.DOTALL)
    assert "int8" in row
    assert "−0.050" in row


@pytest.mark.parametrize(
    ("state", "contract", "words"),
    [
        ("passes", True, "Passes"),
        ("fails", False, "Does not fit"),
        ("fails", True, "Does not pass"),
        ("partial", None, "Partial: not all was measured"),
    ],
)
def test_the_verdict_comes_first(folder: Path, state: str, contract: bool | None, words: str) -> None:
    report = whole()
    report["verdict"]["state"], report["contract"][0]["passes"] = state, contract
    text = render(folder, report, 0)
    assert re.search(r"<h2>(.*?)</h2>", text, re.DOTALL)[1].endswith(words)  # type: ignore[index]


def test_a_model_that_only_misses_a_gate_fits_all_the_same(folder: Path) -> None:
    report = whole()
    report["verdict"]["state"] = "fails"
    report["contract"].append({**report["contract"][0], "rule": "gate", "passes": False})
    text = render(folder, report, 0)
    assert "Does not pass" in text
    assert "Does not fit" not in text


def without_most(report: Json) -> None:
    report |= {"contract": [], "arena": None, "accuracy": None, "outputs": [], "speed": None, "versions": {}}
    report["model"] |= {"operators": [], "names": [], "task": "", "keypoints": 0}
    report["verdict"]["notes"] = ["accuracy: no labels"]


def without_labels(report: Json) -> None:
    report["accuracy"] |= {
        "rungs": [rung("int8", None, None), rung("device", None, 1.0)],
        "gates": [],
        "people": 0,
        "kernels": None,
    }
    report["outputs"][0] |= {
        "seen_low": None,
        "seen_high": None,
        "used": None,
        "saturated": None,
        "largest_score": None,
    }


def of_noise(report: Json) -> None:
    kernels = {"equal": None, "frames": 0, "values": 0, "difference": None, "optimised": {"steps": 3, "share": 0.1}}
    report["accuracy"] = {"source": "noise", "frames": 0, "rungs": [], "gates": [], "kernels": kernels, "keypoints": []}


def of_boxes(report: Json) -> None:
    report["model"]["keypoints"], report["accuracy"]["keypoints"] = 0, []
    for row in report["accuracy"]["rungs"]:
        row |= {"ap": None, "ap50": None}
        if row["agreement"]:
            row["agreement"]["keypoint_drift_px"] = None


def without_measured_arena(report: Json) -> None:
    report["arena"] |= {"bytes": 0, "activations": 0, "persistent": 0, "buffers": [], "problem": "no kernel for X"}


@pytest.mark.parametrize(
    ("change", "there", "not_there"),
    [
        (of_noise, "would have been wrong", "AP50"),
        (without_most, "accuracy: no labels", 'id="speed"'),
        (without_labels, "the int8", "AP50"),
        (of_boxes, "Box drift", "Keypoint"),
        (without_measured_arena, "no kernel for X", "Who holds"),
    ],
)
def test_what_is_not_known_is_left_out(
    folder: Path, change: Callable[[Json], None], there: str, not_there: str
) -> None:
    report = whole()
    change(report)
    text = render(folder, report, 0)
    assert not Page(text).open
    assert there in text
    assert not_there not in text
    assert "None" not in text
    assert "<img" not in text
