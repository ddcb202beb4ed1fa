"""The report's charts as SVG, to be set into its page: text and axes in the page's own colour, so that dark mode needs no others.

A chart is drawn for a width in CSS pixels, text at 11 of them; the page shows the one that fits. Same input, same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

NARROW, WIDE = 320, 720  # CSS pixels: a phone between its margins, a page
INK = "#010203"  # stands for the page's text colour until the SVG is written
# Each has a contrast of 3 to 1 or more with both of the page's grounds, white and #15181c; told apart with every colour blindness.
KEYPOINT, BOX, LIMIT = "#2f7fc1", "#c06a10", "#d6404a"
DOTS = 72  # an SVG of matplotlib has 72 units to the inch: a unit is a CSS pixel
ROW, HEAD, FOOT = 24, 26, 24  # pixels: a row of the ladder, the title above it, the axis below
STYLE: Mapping[str, Any] = {
    "svg.fonttype": "none",  # text stays text: selectable, small, in the reader's own font
    "svg.hashsalt": "edgewright",
    "font.size": 11,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "hatch.linewidth": 0.8,
    "path.simplify": False,
}
Rung = Mapping[str, Any]


def ladder(rungs: Sequence[Rung], width: int) -> str:
    """Draw keypoint AP, box AP and drift over the rungs, the first at the top; empty where no rung has any of them.

    A thin line marks the first rung's value: the step at which the dots leave it is the one that loses accuracy.
    """
    panels = [panel for panel in PANELS if any(panel[2](rung) is not None for rung in rungs)]
    if not panels:
        return ""
    stacked = width < WIDE
    count, plot = len(panels), len(rungs) * ROW
    margin, right, gap = 62, 44, 64
    height = (HEAD + plot + FOOT) * (count if stacked else 1)
    columns = 1 if stacked else count
    inner = (width - margin - right - gap * (columns - 1)) / columns
    with figure(width, height) as canvas:
        for i, (title, colour, value) in enumerate(panels):
            left = margin + (0 if stacked else i * (inner + gap))
            bottom = (count - 1 - i) * (HEAD + plot + FOOT) + FOOT if stacked else FOOT
            axes = canvas.add_axes((left / width, bottom / height, inner / width, plot / height))
            draw_panel(axes, rungs, title, colour, value, named=stacked or i == 0)
        return svg(canvas, "ladder", "Accuracy and drift by rung; the table below has the numbers")


def keypoint_drift(rung: Rung) -> float | None:
    """How far a keypoint is from the float model's at the 95th percentile, in pixels of the input."""
    return _drift(rung, "keypoint_drift_px")


def box_drift(rung: Rung) -> float | None:
    """The same for boxes, where there are no keypoints."""
    return None if keypoint_drift(rung) is not None else _drift(rung, "box_drift_px")


def _drift(rung: Rung, key: str) -> float | None:
    drift = (rung.get("agreement") or {}).get(key) or {}
    return drift.get("p95")


PANELS: tuple[tuple[str, str, Callable[[Rung], float | None]], ...] = (
    ("Keypoint AP", KEYPOINT, lambda rung: rung.get("ap")),
    ("Box AP", BOX, lambda rung: rung.get("box_ap")),
    ("Keypoint drift, p95, px", KEYPOINT, keypoint_drift),
    ("Box drift, p95, px", BOX, box_drift),
)


def draw_panel(
    axes: Axes, rungs: Sequence[Rung], title: str, colour: str, value: Callable[[Rung], float | None], *, named: bool
) -> None:
    """Draw one quantity: a dot a rung, a stem from the first rung's value, the number beside it."""
    points = [(row, number) for row, rung in enumerate(rungs) if (number := value(rung)) is not None]
    numbers = [number for _, number in points]
    is_drift = "px" in title
    start = 0.0 if is_drift else numbers[0]
    low, high = min([start, *numbers]), max([start, *numbers])
    # Never so near that noise looks like a loss: 0.1 of AP, 1 px of drift fill the width.
    room = max(high - low, 1.0 if is_drift else 0.1)
    low = 0.0 if is_drift else max(0.0, high - room)
    axes.set_xlim(low - 0.08 * room, low + 1.1 * room)
    axes.set_ylim(len(rungs) - 0.5, -0.5)
    axes.axvline(start, color=INK, linewidth=0.8, alpha=0.45)
    for row, number in points:
        axes.plot((start, number), (row, row), color=colour, linewidth=2.5, solid_capstyle="butt")
        axes.plot(number, row, "o", color=colour, markersize=7.5)
        # Beyond the axes' own end: a number never lies on a dot or a line.
        text = f"{number:.2f}" if is_drift else f"{number:.3f}"
        axes.text(1.03, row, text, transform=axes.get_yaxis_transform(), va="center")
    axes.set_yticks(range(len(rungs)), [rung["name"] if named else "" for rung in rungs])
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", pad=7)
    axes.locator_params(axis="x", nbins=4)
    bare(axes)
    axes.spines["left"].set_visible(False)


def arena_map(arena: Mapping[str, Any], limit_bytes: int, width: int) -> str:
    """Draw who holds which bytes of the arena while which operator runs: kernel scratch hatched, the firmware's limit a line."""
    buffers = arena["buffers"]
    if not buffers:
        return ""
    top = max(arena["activations"], max(buffer["offset"] + buffer["bytes"] for buffer in buffers))
    all_bytes = top + arena["persistent"]
    total = max(all_bytes, limit_bytes) / 1024
    operators = max(buffer["last"] for buffer in buffers) + 1
    height = 300 if width < WIDE else 380
    with figure(width, height) as canvas:
        axes = canvas.add_axes((50 / width, 40 / height, (width - 58) / width, (height - 50) / height))
        axes.set_xlim(-0.5, operators - 0.5)
        axes.set_ylim(0, total * 1.09)
        # Not add_patch(): it would reckon each one's extent for limits that are set already, and take twice the time.
        for buffer in buffers:
            axes.add_artist(block(buffer))
        if arena["persistent"]:
            axes.axhspan(top / 1024, all_bytes / 1024, color=INK, alpha=0.3, linewidth=0)
        axes.axhline(limit_bytes / 1024, color=LIMIT, linewidth=2)
        label = f"the firmware's {limit_bytes / 1024:,.0f} KiB"
        axes.text(operators - 0.7, limit_bytes / 1024 + total * 0.012, label, ha="right", va="bottom")
        axes.set_xlabel("operators, in the order of running", labelpad=3)
        axes.set_ylabel("offset in the arena, KiB", labelpad=3)
        axes.yaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,.0f}"))
        axes.locator_params(axis="x", integer=True, nbins=6 if width < WIDE else 12)
        bare(axes)
        title = f"{len(buffers)} buffers over {operators} operators, {all_bytes / 1024:,.0f} KiB in all"
        return svg(canvas, "arena", f"{title}; the firmware has {limit_bytes / 1024:,.0f} KiB")


def block(buffer: Mapping[str, Any]) -> Rectangle:
    """One buffer: as wide as the operators that it lives for, as high as its bytes."""
    colour = BOX if buffer["scratch"] else KEYPOINT
    return Rectangle(
        (buffer["first"] - 0.5, buffer["offset"] / 1024),
        buffer["last"] - buffer["first"] + 1,
        buffer["bytes"] / 1024,
        facecolor=(mpl.colors.to_rgba(colour, 0.0 if buffer["scratch"] else 0.4)),
        edgecolor=colour,
        linewidth=0.8,
        hatch="////" if buffer["scratch"] else None,
    )


def bare(axes: Axes) -> None:
    """Take away what tells nothing."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=3, width=0.8, pad=3)
    axes.tick_params(axis="y", length=0)


@contextmanager
def figure(width: int, height: int) -> Iterator[Figure]:
    """A figure of that many CSS pixels, with nothing of the user's own settings of matplotlib."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield Figure(figsize=(width / DOTS, height / DOTS))


def svg(canvas: Figure, name: str, title: str) -> str:
    """Return the figure as an SVG element that scales with the page and shares no id with another chart."""
    width, height = (round(inches * DOTS) for inches in canvas.get_size_inches())
    stream = io.StringIO()
    canvas.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    body = text[text.index(">", text.index("<svg ")) + 1 :]
    body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', body))
    prefix = f"{name}-{width}-"
    body = re.sub(r' id="([^"]*)"', lambda found: f' id="{prefix}{found[1]}"' if found[1] in used else "", body)
    body = re.sub(r'(url\(|href=")#', rf"\g<1>#{prefix}", body)
    # What matplotlib sets for a file of its own would reach the whole page from here: the font, the style of every element.
    for pattern in (
        r" font-family: [^;]*;",
        r"\s*<style.*?</style>",
        r' transform="rotate\(-0 [^"]*"',
        r"\s*<defs>\s*</defs>",
    ):
        body = re.sub(pattern, "", body, flags=re.DOTALL)
    body = re.sub(r"\n *", "\n", body).replace(INK, "currentColor")
    box = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    links = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    look = f'class="chart" role="img" aria-label="{escape(title)}" stroke-linejoin="round"'
    return f"<svg {look} {box} {links}>{body.strip()}"
