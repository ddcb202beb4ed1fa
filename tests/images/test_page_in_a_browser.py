"""The report's page in Chromium: on a phone and on a desk, by day and by night, with whatever words others chose."""

from __future__ import annotations

import html
import json
import re
import urllib.parse
from pathlib import Path

import pytest
from PIL import Image
from report_page import SEEN, folder, render, text, whole, with_text_of_others

from tests.conftest import chromium_or_skip

__all__ = ["folder", "text"]

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
