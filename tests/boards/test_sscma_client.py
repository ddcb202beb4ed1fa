"""python-sscma 0.5.7, as it comes from PyPI, with a virtual board's firmware behind a pseudo-terminal."""

from __future__ import annotations

import base64
import io
import json
import os
import select
import threading
import time
import tty
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from firmware_talk import BOXES, FIRMWARES, POSE, Desk, Toy
from PIL import Image, ImageFile

from edgewright.boards.virtual.application import Application
from edgewright.boards.virtual.wire import Unplugged

client = pytest.importorskip("sscma.micro.client")
device = pytest.importorskip("sscma.micro.device")


@pytest.fixture(autouse=True)
def _whole_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing a picture, it tells Pillow to take half a file for a whole one: that would stay so for every test after these."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)


PATIENCE_S = 5.0


def picture() -> str:
    """Return what a camera gives: the client opens it, and draws into it."""
    buffer = io.BytesIO()
    Image.new("RGB", (240, 240), "teal").save(buffer, "JPEG")
    return base64.b64encode(buffer.getvalue()).decode()


PICTURE = picture()


class Terminal:
    """The board's end of a pseudo-terminal, without speed and without faults: these are line.py's."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.over = False

    def read(self, timeout_s: float) -> bytes:
        if self.over:
            raise Unplugged
        ready, _, _ = select.select([self.master], [], [], min(timeout_s, 0.05))
        return os.read(self.master, 4096) if ready else b""

    def unread(self, data: bytes) -> None:
        raise AssertionError("no loader here")

    def write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.master, data) :]


class SlowToy(Toy):
    """As a real one, it takes its time for a frame: the client's thread reads as fast as it can."""

    def infer(self, score: int, iou: int, *, image: bool, frame: tuple[int, int]) -> Any:
        time.sleep(0.02)
        found = super().infer(score, iou, image=image, frame=frame)
        return replace(found, image=PICTURE if image else "")


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


class Session:
    """A connected client, and the events that it gave."""

    def __init__(self, terminal: Terminal) -> None:
        # Its watchdog thread sleeps for `heartbeat` before it ends: 2 s by default, which a test need not wait for.
        self.device = device.Device(client.SerialClient(os.ttyname(terminal.slave)), heartbeat=0.1)
        self.events: list[dict[str, Any]] = []
        self.device.on_monitor = lambda _, event: self.events.append(event)
        self.device.loop_start()


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[[str, Toy], Session]]:
    ends: list[Callable[[], None]] = []

    def start(name: str, toy: Toy) -> Session:
        desk = Desk(tmp_path, FIRMWARES[name], toy)
        desk.put(0)
        terminal = Terminal()
        application = Application(desk.memory, desk.firmware, toy, settings=tmp_path / "settings.json", label="sscma")

        def live() -> None:
            with pytest.raises(Unplugged):
                application.run(terminal)

        thread = threading.Thread(target=live, daemon=True)
        thread.start()
        session = Session(terminal)

        def end() -> None:
            session.device.loop_stop()
            terminal.over = True
            thread.join(PATIENCE_S)
            os.close(terminal.master)
            os.close(terminal.slave)

        ends.append(end)
        return session

    yield start
    for end in ends:
        end()


@pytest.mark.parametrize(
    ("name", "software", "hardware"),
    [
        ("grove-vision-ai-v2-sscma-1.x", "2025.01.02", "1"),
        ("esp32s3-sscma-1.x", "v2024.02.01", "1"),
        ("grove-vision-ai-v2-sscma-2.x", "2024.11.13", "HX6538"),
    ],
)
def test_it_connects_and_learns_what_it_wants_to_know(
    connect: Callable[[str, Toy], Session], name: str, software: str, hardware: str
) -> None:
    session = connect(name, SlowToy())
    assert session.device.ready
    assert session.device.info.name == FIRMWARES[name].at.name  # type: ignore[union-attr]
    assert (session.device.info.software, session.device.info.hardware) == (software, hardware)
    assert session.device.wifi.SSID == ""
    assert session.device.mqtt.address == ""
    assert session.device.model.name == "Unknown"


def test_it_runs_a_model_and_gets_an_event_a_frame(connect: Callable[[str, Toy], Session]) -> None:
    session = connect("grove-vision-ai-v2-sscma-1.x", SlowToy())
    session.device.Invoke(3, False, False)
    until(lambda: len(session.events) >= 3)
    assert [event["count"] for event in session.events] == [1, 2, 3]
    assert session.events[0]["keypoints"] == POSE
    assert session.device.invoke is False


def test_it_sets_limits_during_an_endless_run_and_ends_it(connect: Callable[[str, Toy], Session]) -> None:
    toy = SlowToy(8, "boxes", BOXES)
    session = connect("grove-vision-ai-v2-sscma-1.x", toy)
    session.device.Invoke(-1, False, False)
    until(lambda: len(session.events) >= 2)
    assert (session.device.tscore, session.device.tiou) == (50, 45)
    session.device.tscore = 65
    until(lambda: bool(toy.asked) and toy.asked[-1][0] == 65)
    session.device.Break()
    until(lambda: session.device.invoke is False)


def test_it_shows_the_names_that_a_host_left_in_info(connect: Callable[[str, Toy], Session]) -> None:
    session = connect("grove-vision-ai-v2-sscma-1.x", SlowToy())
    info = base64.b64encode(json.dumps({"name": "figures", "classes": ["figure"]}).encode()).decode()
    assert session.device._client.set("INFO", f'"{info}"')["code"] == 0
    session.device.Invoke(1, False, False)  # it reads the information again before a run
    assert session.device.model.name == "figures"
    assert session.device.model.classes == ["figure"]


def test_it_takes_the_arguments_of_1x_to_2x_and_gets_pictures(connect: Callable[[str, Toy], Session]) -> None:
    toy = SlowToy(8, "boxes", BOXES)
    session = connect("grove-vision-ai-v2-sscma-2.x", toy)
    session.device.Invoke(2, False, False)
    until(lambda: len(session.events) >= 2)
    assert session.events[0]["boxes"] == BOXES
    assert [image for _, _, image in toy.asked] == [True, True]
