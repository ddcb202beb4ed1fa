"""From weights to a board's own word: virtual boards whose network runs in the proof's environment, as commands reach them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import serial
from serial.tools.list_ports import comports

from edgewright.config import load_project
from edgewright.engine import Engine
from tests.conftest import ROOT, Workspace, first_engine, skip_large

DEVICES = load_project(ROOT).devices
FRAMES = 4  # of the validation split


@pytest.fixture(scope="module")
def options(assets: Path) -> dict[str, object]:
    """Return what is deployed; a real board that is plugged in is not ours to write to."""
    known = {usb for device in DEVICES.values() if device.board for usb in device.board.usb}
    if any(port.vid is not None and f"{port.vid:04x}:{port.pid:04x}" in known for port in comports()):
        pytest.skip("a board is plugged in, and would be flashed")
    weights = assets / "weights" / "yolov8n-pose-recovered.pt"
    given = {"recipe": "yolov8n-pose", "weights": weights, "data": assets / "coco8-pose", "name": "flashed"}
    return {"engine": first_engine().name, **given}


@pytest.mark.parametrize("device", ["esp32s3", "grove-vision-ai-v2"])
def test_without_a_board_a_deployment_is_rehearsed_once_and_gives_what_the_proof_says(
    workspace: Workspace, options: dict[str, object], device: str
) -> None:
    """The numbers come from the bytes in the virtual flash, through the firmware's JSON, and are those of the proof."""
    code, text = workspace.run("deploy", **{**options, "device": device, "port": ""})
    assert code == 0, text
    assert "a virtual one rehearses it" in text
    assert f"{FRAMES} of {FRAMES} frames give what the proof says" in text
    assert "nothing was flashed: no " in text
    bundle = workspace.root / "dist" / f"flashed-{device}-0.1.0"
    found = json.loads((bundle / "board.json").read_text())
    assert (found["virtual"], found["algorithm"], found["agreement"]) == (True, 5, {"frames": FRAMES, "equal": FRAMES})
    assert sum(map(len, found["detections"])) > FRAMES
    code, text = workspace.run("deploy", **{**options, "device": device, "port": ""})
    assert code == 0, text
    assert "nothing to do: every step" in text
    assert "rehearses" not in text
    assert "nothing was flashed: no " in text
    assert not workspace.left_over()


def test_a_virtual_board_is_flashed_and_watched(workspace: Workspace, options: dict[str, object], assets: Path) -> None:
    given = {**options, "device": "grove-vision-ai-v2", "port": "virtual"}
    workspace.deploy(**{**given, "port": "none"})  # type: ignore[arg-type]
    code, text = workspace.run("flash", **given)
    assert code == 0, text
    assert f"{FRAMES} of {FRAMES} frames give what the proof says" in text
    code, text = workspace.run("monitor", **{**given, "data": assets / "coco8-pose" / "images" / "val", "count": 2})
    assert code == 0, text
    assert "17 points" in text
    assert "2 frames, something seen in" in text


@pytest.mark.parametrize("name", ["model", "weights"])
def test_what_was_deployed_is_flashed_and_watched_without_repeating_an_option(
    engine: Engine, workspace: Workspace, assets: Path, tmp_path: Path, name: str
) -> None:
    skip_large(engine, "verify")
    file = {
        "model": assets / "himax" / "yolov8n-pose_192_full_integer_quant.tflite",
        "weights": assets / "weights" / "yolov8n-pose-recovered.pt",
    }[name]
    data = shutil.copytree(assets / "coco8-pose", tmp_path / "data")
    bundle = workspace.deploy("grove-vision-ai-v2", **{name: file, "data": data, "engine": engine.name})
    assert bundle.name == f"{file.stem}-grove-vision-ai-v2-0.1.0"
    assert str(tmp_path) not in (bundle / "manifest.json").read_text()
    given = {"device": "grove-vision-ai-v2", "port": "virtual", "name": file.stem}
    code, text = workspace.run("flash", **given)
    assert code == 0, text
    assert f"{FRAMES} of {FRAMES} frames give what the proof says" in text
    assert f"engine   {engine.name}" in text
    code, text = workspace.run("monitor", **given, count=2)
    assert code == 0, text
    assert "2 frames, something seen in" in text
    with standing(workspace, device="grove-vision-ai-v2", name=file.stem) as port:
        assert port.exists()
    (data / "images" / "val").rename(data / "moved")
    code, text = workspace.run("flash", **given)
    assert code == 0, text
    assert f"{data} is not what the proof was made on: the virtual board's camera sees a test card" in text


@contextmanager
def standing(workspace: Workspace, **options: object) -> Iterator[Path]:
    """Run `make board`; yield its port."""
    process = workspace.start("board", **options)
    port = workspace.root / "build" / f"board-{options['device']}" / "port"
    until = time.monotonic() + 120
    while not port.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    try:
        assert port.exists(), process.communicate()[0] if process.poll() is not None else "no port in time"
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=60)
    assert process.returncode == 0, text
    assert not port.exists()


def test_the_unmodified_esptool_flashes_a_board_that_then_runs_the_model(
    workspace: Workspace, options: dict[str, object], assets: Path
) -> None:
    bundle = workspace.deploy(**{**options, "device": "esp32s3"})  # type: ignore[arg-type]
    pictures = assets / "coco8-pose" / "images" / "val"
    with standing(workspace, device="esp32s3", data=pictures, engine=options["engine"]) as port:
        argv = [sys.executable, "-m", "esptool", "--chip", "esp32s3", "--port", str(port)]
        for words in (["write-flash", "0x400000"], ["verify-flash", "0x400000"]):
            done = subprocess.run([*argv, *words, bundle / "model.tflite"], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
        with serial.Serial(str(port), timeout=60) as client:
            client.write(b"AT+INVOKE=1,0,1\r")
            event = b""
            while b'"keypoints": [[' not in event:
                event = client.readline()
                assert event, "no event came"
    assert json.loads(event)["name"] == "INVOKE"


def test_what_cannot_be_flashed_is_told_by_its_kind(
    workspace: Workspace, options: dict[str, object], tmp_path: Path
) -> None:
    bundle = workspace.deploy(**{**options, "device": "esp32s3"})  # type: ignore[arg-type]
    model = bundle / "model.tflite"
    whole = model.read_bytes()
    for told, code, given in (
        ("no Seeed XIAO ESP32S3 on USB", 8, {}),
        ("no such port", 2, {"port": "/dev/ttyACM99"}),
        ("is no serial port", 2, {"port": bundle / "manifest.json"}),
        ("NAME=other: nothing like that for esp32s3", 2, {"name": "other"}),
        ("no bundle", 2, {"release": tmp_path}),
    ):
        assert workspace.run("flash", device="esp32s3", **{"name": "flashed", **given})[0] == code, told
        assert told in workspace.run("flash", device="esp32s3", **{"name": "flashed", **given})[1]
    code, text = workspace.run("flash", device="grove-vision-ai-v2", release=bundle)
    assert (code, "was made for esp32s3" in text) == (2, True), text
    model.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    code, text = workspace.run("flash", device="esp32s3", name="flashed", port="virtual")
    model.write_bytes(whole)
    assert (code, "model.tflite: not what SHA256SUMS says" in text) == (6, True), text
