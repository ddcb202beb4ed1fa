"""The report's page, as the stage's environment writes it: nothing fetched, nothing unescaped, the same bytes each time.

Written in the venv, which has the same lock as the images: what engines differ in is tested elsewhere. Seen in Chromium.
"""

from __future__ import annotations

import functools
import html
import json
import re
import subprocess
import urllib.parse
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edgewright.config import load_project
from edgewright.venvs import python_of
from tests.conftest import ROOT, chromium_or_skip, engine_or_skip

SCRIPT = """
import json, sys
import numpy as np
import overlay, page
given = json.load(sys.stdin)
image = np.random.default_rng(1).integers(0, 255, (96, 96, 3), np.uint8)
pictures = [page.Picture(name, "1 lost", overlay.draw(image, []), overlay.draw(image, [])) for name in given["pictures"]]
sys.stdout.write(page.render(given["report"], pictures))
"""
Json = dict[str, Any]
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


def rung(name: str, ap: float | None, drift: float | None) -> Json:
    moved = drift is not None and {"mean": drift / 3, "p95": drift}
    agreement = {"matched": 190, "lost": 3, "extra": 1, "keypoint_drift_px": moved, "box_drift_px": moved}
    agreement["score_drift"] = {"mean": 0.01, "p95": 0.05}
    figures = dict.fromkeys(("ap", "ap50", "box_ap", "box_ap50"), ap)
    return {
        "name": name,
        "title": f"the {name}",
        "decoder": "firmware",
        **figures,
        "agreement": agreement if moved else None,
    }


def whole() -> Json:
    """A report with something in every section."""
    buffers = [
        {"name": f"buffer {i}", "first": i, "last": i + 2, "offset": i * 1000, "bytes": 9000, "scratch": i % 2 == 0}
        for i in range(4)
    ]
    return {
        "schema": 1,
        "title": "<toy> & board",
        "verdict": {"state": "passes", "summary": "fits", "violations": [], "warnings": [{"text": "a <b>", "hint": "`make x`"}],
                    "partial": ["the NPU"], "notes": []},
        "model": {"name": "m.tflite", "sha256": "ab" * 32, "bytes": 3000, "form": "raw-pose", "task": "pose", "imgsz": 96,
                  "classes": 1, "names": ["<person>"], "keypoints": 17,
                  "operators": [{"name": "ADD", "count": 2, "runs": "missing"}]},
        "device": {"name": "toy", "title": "Toy"},
        "firmware": {"name": "toy-1", "title": "Toy 1", "versions": "it says so", "address": 4096,
                    "slot_bytes": 4000, "arena_bytes": 20000},
        "contract": [{"rule": "slot", "passes": passes, "found": "1", "allowed": "2", "text": "", "hint": ""}
                     for passes in (True, None)],
        "arena": {"bytes": 14000, "activations": 12000, "persistent": 2000, "low": 13000, "high": 14000, "source": "someone",
                  "buffers": buffers, "problem": ""},
        "accuracy": {"source": "toys", "frames": 4, "of": 8, "people": 5, "score": 50, "iou": 45,
                     "rungs": [rung("torch", 0.4, 0.1), rung("float", 0.4, None), rung("int8", 0.35, 2.0)],
                     "kernels": {"equal": True, "frames": 4, "values": 1000, "difference": None,
                                 "optimised": {"steps": 27, "share": 0.12}},
                     "keypoints": [{"name": "<nose>", "seen": 9, "mean": 0.5, "p95": 1.2}],
                     "gates": [{"name": "max_ap_drop", "limit": 0.1, "found": 0.05, "passes": True}]},
        "outputs": [{"name": "cls8", "scale": 0.09, "zero_point": 112, "low": -21.6, "high": 1.35,
                     "seen_low": -20.0, "seen_high": 1.35, "used": 0.93, "saturated": 0.0001, "largest_score": 0.8}],
        "speed": {"cycles": 27060000, "milliseconds": [2800, 11300], "estimate": True, "sram_kib": 292, "flash_kib": 2244,
                  "notes": ["rough"]},
        "versions": {"numpy": "1.24.3"},
    }  # fmt: skip


@functools.cache
def python() -> Path:
    """Return a Python with the stage's packages."""
    environment = engine_or_skip("venv").prepare(load_project(ROOT).stages["verify"])
    return python_of(Path(environment.name))


def render(folder: Path, report: Json, pictures: int = 2, seed: str = "1") -> str:
    """Run the stage's own code on a report."""
    docker = ROOT / "docker"
    environment = {
        "PYTHONPATH": f"{docker / 'verify'}:{docker}",
        "MPLCONFIGDIR": str(folder),
        "PYTHONHASHSEED": seed,
        "HOME": str(folder),
    }
    given = json.dumps({"report": report, "pictures": [f"frame <{i}>\u202e.jpg" for i in range(pictures)]})
    done = subprocess.run(
        [python(), "-c", SCRIPT], input=given, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where matplotlib keeps what it knows of fonts."""
    return tmp_path_factory.mktemp("matplotlib")


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    """The whole report's page."""
    return render(folder, whole())


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


HOSTILE = "\x1b[2J\u202e<i>gnp\u200b\n\u2066\x9b\ud800`x`$y$"
SEEN = r"\x1b[2J\u202e<i>gnp\u200b\n\u2066\x9b\ud800"


def with_text_of_others(value: Any) -> Any:
    """The same report with hostile words in every text that a stage takes from outside."""
    report: Json = json.loads(json.dumps(value))
    report["title"] += HOSTILE
    report["versions"][HOSTILE] = HOSTILE
    for lines in ("partial", "notes"):
        report["verdict"][lines] = [HOSTILE]
    report["verdict"] |= {"summary": HOSTILE, "violations": [{"text": HOSTILE, "hint": HOSTILE}]}
    report["verdict"]["warnings"] = [{"text": HOSTILE, "hint": HOSTILE}]
    report["model"] |= {"name": HOSTILE, "names": [HOSTILE] * 3}
    report["model"]["operators"].append({"name": HOSTILE, "count": 1, "runs": HOSTILE})
    report["firmware"] |= {"title": HOSTILE, "versions": HOSTILE, "name": HOSTILE}
    report["device"] |= {"title": HOSTILE, "name": HOSTILE}
    for key in ("rule", "found", "allowed", "text", "hint"):
        report["contract"][0][key] = HOSTILE
    report["arena"] |= {"source": HOSTILE, "problem": HOSTILE}
    for row in (
        *report["arena"]["buffers"],
        *report["accuracy"]["keypoints"],
        *report["accuracy"]["gates"],
        *report["outputs"],
    ):
        row["name"] = HOSTILE
    report["accuracy"]["source"] = HOSTILE
    report["accuracy"]["rungs"][0] |= {"name": HOSTILE[:7], "title": HOSTILE}
    report["speed"]["notes"] = [HOSTILE]
    return report


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


# --- in a browser -------------------------------------------------------------------------------------------------------------

# A window of Chromium is at least 500 pixels wide, a frame in it can be as narrow as a phone.
AROUND = """<title></title><script>onmessage = message => { document.title = message.data; };</script>
<iframe src="page.html" style="border: 0; width: %dpx; height: 1200px"></iframe>"""
# Runs in the page and tells the frame's owner what it finds. The page's own policy lets no script run: it is taken out first.
PROBE = """<script>addEventListener("load", () => {
  const root = document.documentElement, style = getComputedStyle(document.body);
  const wide = [...document.querySelectorAll("body *")].filter(element =>
    element.getBoundingClientRect().right > innerWidth + 1 && !element.closest(".scroll"));
  const small = [...document.querySelectorAll("svg text")].filter(text => text.getBoundingClientRect().width)
    .map(text => text.getBoundingClientRect().height);
  parent.postMessage(JSON.stringify({width: innerWidth, scroll: root.scrollWidth, ground: style.backgroundColor, ink: style.color,
    wide: wide.map(element => element.outerHTML.slice(0, 80)), images: [...document.images].every(image => image.naturalWidth),
    letters: Math.min(...small)}), "*");
})</script>"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_a_page_can_be_read_on_a_phone_and_on_a_desk_by_day_and_by_night(
    text: str, tmp_path: Path, width: int, scheme: str
) -> None:
    page = tmp_path / "page.html"
    page.write_text(re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", PROBE, text), encoding="utf-8")
    (tmp_path / "around.html").write_text(AROUND % width)
    words = [f"--window-size={width + 100},1300", "--virtual-time-budget=5000"]
    words += [f"--blink-settings=preferredColorScheme={int(scheme == 'light')}"]
    found = chromium_or_skip(tmp_path, *words, "--dump-dom", (tmp_path / "around.html").as_uri())
    seen = json.loads(html.unescape(re.search(r"<title>(.*?)</title>", found)[1]))  # type: ignore[index]
    assert seen["width"] == width
    assert seen["scroll"] <= width, seen["wide"]
    assert seen["wide"] == []
    assert seen["images"]
    assert seen["letters"] >= 11, "letters of charts, in pixels of the screen"
    ground, ink = (sum(map(int, re.findall(r"\d+", seen[name])[:3])) / 3 for name in ("ground", "ink"))
    assert abs(ground - ink) > 150
    assert (ground > ink) == (scheme == "light")


def test_a_browser_shows_hostile_text_letter_by_letter_in_its_place(folder: Path, tmp_path: Path) -> None:
    probe = """<script>addEventListener("load", () => {
      for (const details of document.querySelectorAll("details")) details.open = true;
      document.title = encodeURIComponent(document.body.innerText);
    })</script>"""
    text = render(folder, with_text_of_others(whole()))
    page = tmp_path / "page.html"
    page.write_text(re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", probe, text), encoding="utf-8")
    found = chromium_or_skip(tmp_path, "--virtual-time-budget=5000", "--dump-dom", page.as_uri())
    seen = urllib.parse.unquote(re.search(r"<title>(.*?)</title>", found)[1])  # type: ignore[index]
    assert seen.count(SEEN) > 30
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", seen)


def test_a_page_shows_something(text: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    picture = tmp_path / "page.png"
    chromium_or_skip(tmp_path, "--window-size=800,1600", f"--screenshot={picture}", (tmp_path / "page.html").as_uri())
    with Image.open(picture) as seen:
        assert len(seen.convert("RGB").getcolors(1 << 24) or []) > 100
