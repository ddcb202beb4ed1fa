"""A virtual board's network, with a real model, in every environment that can compute it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgewright.boards.virtual.network import CannotLoad
from edgewright.boards.virtual.worker import Workshop
from edgewright.config import load_project
from edgewright.engine import Engine
from tests.conftest import ROOT, run_script, skip_large

PROJECT = load_project(ROOT)
STAGE = PROJECT.stages["verify"]
SCRIPT = ROOT / "tests" / "images" / "verify" / "rows_agree.py"
XIAO, GROVE = (PROJECT.firmwares[f"{device}-sscma-1.x"] for device in ("esp32s3", "grove-vision-ai-v2"))


def test_a_virtual_board_shows_what_the_decoder_finds_in_tflms_outputs(
    engine: Engine, assets: Path, tmp_path: Path
) -> None:
    skip_large(engine, "verify")
    himax, volume = assets / "himax", tmp_path / "board"
    plain, compiled = (himax / f"yolov8n-pose_192_full_integer_quant{part}.tflite" for part in ("", "_vela"))
    frames = [assets / "coco8-pose" / "images" / "val" / f"000000000{number}.jpg" for number in (110, 136)]
    expected = json.loads(run_script(engine, STAGE, SCRIPT, tmp_path, plain, *frames).splitlines()[-1])
    assert all(expected)
    board = Workshop(engine, STAGE, volume / "run" / "board", volume, XIAO, frames, lambda _: None, unscaled=True)
    network = board.load(plain.read_bytes() + b"\xff" * 10_000)
    found = [network.infer(50, 45, image=True, frame=(240, 240)) for _ in range(3)]
    network.close()
    assert network.algorithm == 5
    assert [one.results for one in found] == [*expected, expected[0]]
    assert found[0].image == found[2].image != ""
    with pytest.raises(CannotLoad, match="this board has no NPU"):
        board.load(compiled.read_bytes())
    grove = Workshop(engine, STAGE, volume / "run" / "board", volume, GROVE, frames, lambda _: plain)
    network = grove.load(compiled.read_bytes())
    assert network.infer(50, 45, image=False, frame=(240, 240)).kind == "keypoints"
    network.close()
    assert not list((volume / "run").iterdir())
