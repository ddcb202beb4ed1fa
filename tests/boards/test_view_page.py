"""The page with live results in a real browser: what it draws where, how it fits the window, and what it says of the board."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from PIL import Image
from toy_board import make_bundle, model_of, standing

from edgewright.boards import bundles, live
from edgewright.boards import view as module
from edgewright.boards.dialects import Event, Point
from edgewright.boards.flash import flash
from edgewright.boards.monitor import OWN, Frame, Timing
from edgewright.boards.view import View
from edgewright.boards.virtual.network import CannotRun, Inference
from edgewright.config import Device
from edgewright.errors import BoardFailed
from tests.conftest import chromium_or_skip

LEFT, RIGHT, MIDDLE, EDGE = (86, 180, 233), (230, 159, 0), (255, 255, 255), (16, 18, 22)
GREEN = (30, 110, 60)
WAIT_S = 20.0
# A figure in a frame of 240 × 240 in which no two points or limbs are near each other, but for the head's.
FIGURE = (
    (120, 40), (132, 28), (108, 28), (148, 36), (92, 36), (160, 80), (80, 80), (190, 112), (50, 112), (210, 150), (30, 150),
    (148, 150), (92, 150), (160, 190), (80, 190), (170, 225), (70, 225),
)  # fmt: skip
HIDDEN = (9, 16)
LIMBS = {(5, 6): MIDDLE, (11, 12): MIDDLE, (5, 7): LEFT, (6, 8): RIGHT, (11, 13): LEFT, (12, 14): RIGHT}  # some of them
BOX = (120, 125, 220, 220, 94, 0)
# Runs in the page, allowed by its hash as the page's own script is, and tells what it sees once it sees what is waited for.
PROBE = """<script>
const wrong = [];
addEventListener("error", event => wrong.push(event.message));
addEventListener("securitypolicyviolation", event => wrong.push(event.violatedDirective + event.blockedURI));
const timer = setInterval(() => {
  const text = id => document.getElementById(id).textContent;
  if (document.title.split(":")[0] !== "UNTIL" || text("number") !== "3") return;
  clearInterval(timer);
  const {x, y, width, height} = document.getElementById("frame").getBoundingClientRect(), root = document.documentElement;
  const wide = [...document.querySelectorAll("body *")].filter(one => one.getBoundingClientRect().right > innerWidth + 1);
  const seen = {x, y, width, height, wrong, wide: wide.map(one => one.outerHTML.slice(0, 80)), why: text("why"),
    text: root.innerText, scroll: [root.scrollWidth, root.scrollHeight], ground: getComputedStyle(document.body).backgroundColor,
    points: document.getElementById("points").getAttribute("aria-label"),
    name: document.getElementById("frame").getAttribute("aria-label")};
  const tell = () => { new Image().src = "HERE/seen?" + encodeURIComponent(JSON.stringify(seen)); };
  requestAnimationFrame(() => requestAnimationFrame(tell)); // by then it is on the screen
}, 20);
</script>"""


class Around(ThreadingHTTPServer):
    """A page with the view in a frame as narrow as a phone, whose loading ends when the probe has told what it sees."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.page = b""
        self.seen: dict[str, Any] = {}
        self.told = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def look(self, folder: Path, view: View, width: int, height: int, *, dark: bool = False) -> Image.Image:
        """Return a picture of the page; what the probe has seen is in `seen`."""
        style = f"border: 0; display: block; width: {width}px; height: {height}px"
        hold = f'<img src="{self.url}/wait" style="display: none">'
        self.page = f'<body style="margin: 0"><iframe src="{view.url}" style="{style}"></iframe>{hold}'.encode()
        path = folder / "page.png"
        words = [f"--window-size={max(width, 500)},{height}", f"--blink-settings=preferredColorScheme={int(not dark)}"]
        chromium_or_skip(folder, *words, f"--screenshot={path}", self.url)
        assert self.seen, "the probe did not see what it waited for"
        assert self.seen["wrong"] == []
        with Image.open(path) as picture:
            return picture.convert("RGB")


class Answers(BaseHTTPRequestHandler):
    server: Around

    def do_GET(self) -> None:
        if self.path.startswith("/seen?"):
            self.server.seen = json.loads(unquote(self.path.partition("?")[2]))
            self.server.told.set()
        elif self.path == "/wait":
            self.server.told.wait(WAIT_S)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.server.page if self.path == "/" else b"")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Around]:
    server = Around()
    strict = module._policy

    def relaxed(page: bytes) -> str:
        policy = strict(page).replace("img-src data:", f"img-src data: {server.url}")
        return policy.replace("frame-ancestors 'none'", f"frame-ancestors {server.url}")

    monkeypatch.setattr(module, "_policy", relaxed)
    yield server
    server.shutdown()
    server.server_close()


def probed(
    around: Around, monkeypatch: pytest.MonkeyPatch, folder: Path, until: str = "Live", timing: Timing = OWN
) -> View:
    text = module.PAGE.read_text(encoding="utf-8")
    assert text.count("<style>") == 1
    probe = PROBE.replace("UNTIL", until).replace("HERE", around.url)
    path = folder / "view.html"
    path.write_text(text.replace("<style>", probe + "<style>"), encoding="utf-8")
    monkeypatch.setattr(module, "PAGE", path)
    return View("figures-pose on a board", ["person"], timing)


def jpeg(width: int, height: int) -> str:
    content = io.BytesIO()
    Image.new("RGB", (width, height), GREEN).save(content, "JPEG", quality=95)
    return base64.b64encode(content.getvalue()).decode()


def pose(width: int, height: int, image: str = "") -> Frame:
    """Return the third frame: the figure, stretched from 240 × 240."""
    points: tuple[Point, ...] = tuple(
        (x * width // 240, y * height // 240, 20 if i in HIDDEN else 95, i) for i, (x, y) in enumerate(FIGURE)
    )
    x, y, w, h, score, label = BOX
    box = (x * width // 240, y * height // 240, w * width // 240, h * height // 240, score, label)
    event = Event("keypoints", (), ((box, points),), (8, 62, 1), width, height, image)
    return Frame(3, event, event.keypoints, 14.1)


def near(found: Any, wanted: Sequence[int]) -> bool:
    return max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= 24


class Seen:
    """The canvas in a picture of the page, by places in the frame."""

    def __init__(self, picture: Image.Image, probe: dict[str, Any], event: Event) -> None:
        self.picture, self.event = picture, event
        self.scale = min(probe["width"] / event.width, probe["height"] / event.height)
        self.left = probe["x"] + (probe["width"] - event.width * self.scale) / 2
        self.top = probe["y"] + (probe["height"] - event.height * self.scale) / 2

    def at(self, x: float, y: float) -> Any:
        return self.picture.getpixel((int(self.left + x * self.scale), int(self.top + y * self.scale)))

    def check_points(self, points: Sequence[Point]) -> None:
        for x, y, _, number in points:
            ink = MIDDLE if number == 0 else LEFT if number % 2 else RIGHT
            assert near(self.at(x, y), EDGE if number in HIDDEN else ink), (number, self.at(x, y))

    def check_limbs(self, points: Sequence[Point]) -> None:
        for (a, b), ink in LIMBS.items():
            middle = (points[a][0] + points[b][0]) / 2, (points[a][1] + points[b][1]) / 2
            assert near(self.at(*middle), ink), (a, b, self.at(*middle))


def brightness(colour: str) -> float:
    return sum(int(word) for word in colour.removeprefix("rgb(").removesuffix(")").split(",")) / 3


@pytest.mark.parametrize(
    ("size", "window", "with_image", "dark"),
    [
        ((240, 240), (1400, 900), True, False),
        ((240, 240), (900, 900), False, True),
        ((640, 480), (360, 1240), True, True),
    ],
    ids=["desk-light", "grid-dark", "phone-wide-frame"],
)
def test_a_skeleton_is_drawn_where_the_event_says(
    around: Around,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    window: tuple[int, int],
    with_image: bool,
    dark: bool,
) -> None:
    frame = pose(*size, jpeg(*size) if with_image else "")
    with probed(around, monkeypatch, tmp_path) as view:
        view.publish(frame)
        picture = around.look(tmp_path, view, *window, dark=dark)
    seen, canvas = around.seen, Seen(picture, around.seen, frame.event)
    canvas.check_points(frame.found[0][1])
    canvas.check_limbs(frame.found[0][1])
    assert not near(canvas.at(size[0] * 0.5, size[1] * 0.5), MIDDLE), "nothing is there"
    if with_image:
        for x, y in ((0.5, 0.5), (0.02, 0.98), (0.98, 0.02)):
            assert near(canvas.at(x * size[0], y * size[1]), GREEN), "the camera's picture fills the frame"
    assert seen["name"] == "person 0.94"
    assert "left wrist 0.20" in seen["points"]
    for text in ("figures-pose on a board", "14.1", "62 ms", f"{size[0]} × {size[1]} pixels", "15 of 17 visible"):
        assert text in seen["text"], text
    assert seen["wide"] == []
    assert seen["scroll"][0] <= window[0]
    assert (brightness(seen["ground"]) < 100) == dark


def test_a_virtual_boards_page_says_whose_time_it_is_and_what_is_estimated_for_the_board(
    around: Around, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, (timing, words) in enumerate(
        (
            (Timing(True, (608.0, 2608.0)), ("This machine’s time", "Rate here", "608 to 2,608 ms")),
            (Timing(False, (67.4, 67.4)), ("Time on the board", "Rate", "67 ms")),
            (OWN, ("Time on the board", "Rate")),
        )
    ):
        (tmp_path / str(number)).mkdir()
        with monkeypatch.context() as patch, probed(around, patch, tmp_path / str(number), timing=timing) as view:
            view.publish(pose(240, 240))
            around.look(tmp_path / str(number), view, 1100, 900)
        seen = around.seen["text"]
        for text in words:
            assert text in seen, text
        assert ("estimated" in seen) == bool(timing.estimate_ms)
        assert ("Time on the board" in seen) != timing.virtual
        assert around.seen["wide"] == []


def test_a_page_tells_why_the_board_is_gone_and_keeps_the_last_frame(
    around: Around, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pose(240, 240)
    view = probed(around, monkeypatch, tmp_path, "The board is gone")

    def unplug() -> None:
        deadline = time.monotonic() + WAIT_S
        while not view._news._readers and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3)
        view.publish(frame)
        time.sleep(0.3)
        view.__exit__(BoardFailed, BoardFailed("unplugged while it sent results"), None)

    thread = threading.Thread(target=unplug)
    thread.start()
    picture = around.look(tmp_path, view, 900, 900)
    thread.join()
    assert around.seen["why"] == "unplugged while it sent results"
    Seen(picture, around.seen, frame.event).check_points(frame.found[0][1][:13])  # the others are behind the message


def test_points_that_lie_far_outside_and_a_picture_that_lost_bytes_do_no_harm(
    around: Around, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, points = pose(240, 240).found[0]
    far = (*points[:9], (65530, 150, 95, 9), *points[10:])
    event = Event("keypoints", (), ((box, far), ((65530, 65530, 9, 9, 50, 0), ())), (8, 62, 1), 240, 240, "/9j/4AAQ!")
    with probed(around, monkeypatch, tmp_path) as view:
        view.publish(Frame(3, event, event.keypoints, 0.14))
        picture = around.look(tmp_path, view, 900, 900)
    assert "0.14" in around.seen["text"]
    canvas = Seen(picture, around.seen, event)
    canvas.check_points([point for point in points if point[3] != 9])
    canvas.check_limbs(points)
    assert not near(canvas.at(220, points[7][1]), LEFT), "no limb leads to a point that is nowhere"


class Posing:
    """A network that sees the figure three times, and then nothing more until it is told that nobody looks."""

    algorithm = 5

    def __init__(self) -> None:
        self.frames, self.looked = 0, threading.Event()

    def load(self, content: bytes) -> Posing:
        return self

    def infer(self, score: int, iou: int, *, image: bool, frame: tuple[int, int]) -> Inference:
        self.frames += 1
        if self.frames > 3:
            self.looked.wait(WAIT_S)
            raise CannotRun("nobody looks any more")
        event = pose(240, 240).event
        rows = [[list(box), [list(point) for point in points]] for box, points in event.keypoints]
        return Inference(240, 240, event.perf, event.kind, rows, jpeg(240, 240) if image else "")

    def close(self) -> None:
        pass


def test_the_page_shows_what_a_virtual_board_sees(
    around: Around, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: Device
) -> None:
    """All the way: model bytes in flash, AT commands, JSON over a terminal, the page."""
    posing = Posing()
    made = make_bundle(tmp_path / "dist", device, model_of(5000))
    with (
        standing(device, tmp_path / "board", posing) as (_, target),
        probed(around, monkeypatch, tmp_path) as page,
    ):
        flash(made, target, bundles.writes_of(made, target.firmware, target.board, ""))
        posing.frames = 0
        monkeypatch.setattr(live, "View", lambda title, names, timing: page)
        told: list[str] = []

        def watch() -> None:
            try:
                live.watch(target.board, target.port, target.firmware, target.title, made, view=True, count=0)
            except BoardFailed as problem:
                told.append(str(problem))

        watching = threading.Thread(target=watch)
        watching.start()
        picture = around.look(tmp_path, page, 1400, 900)
        posing.looked.set()
        watching.join(WAIT_S)
    event = pose(240, 240).event
    canvas = Seen(picture, around.seen, event)
    canvas.check_points(event.keypoints[0][1])
    assert near(canvas.at(0.02 * 240, 0.98 * 240), GREEN), "the camera's picture fills the frame"
    assert told, "the board's end is told"
