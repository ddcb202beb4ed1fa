"""TOML → frozen types, and what a person reads who has made a mistake in one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgewright.config import load_project
from edgewright.errors import WrongInput

ROOT = Path(__file__).resolve().parents[2]


def test_the_projects_own_configuration_is_valid() -> None:
    project = load_project(ROOT)
    assert {"esp32s3", "grove-vision-ai-v2"} <= set(project.devices)
    assert {"figures-pose", "figures-detect"} <= set(project.recipes)


@pytest.mark.parametrize(
    ("path", "before", "after", "message", "hint"),
    [
        ("configs/devices/board.toml", "title", "titel", "unknown key 'titel'", "perhaps you meant 'title'"),
        ("configs/devices/board.toml", "", "[frist]\nx = 1\n", "unknown key 'frist'", "perhaps you meant 'first'"),
        ("configs/recipes/figures.toml", "imgsz = 64", 'imgsz = "64"', "imgsz = '64'", ""),
        ("configs/recipes/figures.toml", 'task = "pose"', "", "'task' is missing", "add it"),
        ("configs/recipes/figures.toml", "imgsz = 64", "imgsz = ", "not valid TOML", ""),
        ("configs/devices/board.toml", '"second"', '"secnd"', "unknown stage 'secnd'", "perhaps you meant 'second'"),
        (
            "configs/devices/board.toml",
            '"board-1"',
            '"bord-1"',
            "unknown firmware 'bord-1'",
            "perhaps you meant 'board-1'",
        ),
        ("configs/firmwares/board-1.toml", '"board"', '"bord"', "unknown device 'bord'", "perhaps you meant 'board'"),
        (
            "docker/first/stage.toml",
            "minimum = 64",
            "minium = 64",
            "[parameters.imgsz]: unknown key 'minium'",
            "'minimum'",
        ),
        (
            "docker/first/stage.toml",
            "[run]",
            "[limits]\nmemry = '8g'\n[run]",
            "[limits]: unknown key 'memry'",
            "'memory'",
        ),
    ],
)
def test_a_mistake_is_named_with_its_file(
    toy: Path, path: str, before: str, after: str, message: str, hint: str
) -> None:
    text = (toy / path).read_text()
    assert before in text
    (toy / path).write_text(text.replace(before, after, 1) if before else text + after)
    with pytest.raises(WrongInput) as refusal:
        load_project(toy)
    assert message in str(refusal.value)
    assert Path(path).name in str(refusal.value)
    assert hint in refusal.value.hint


NPU = "[npu]\naccelerator = 'x'\nproduct = 0\nmacs = 64\ncommand_stream_version = 0\narchitecture = [1, 0, 6]\nalignment = 16\n"
ACCEPTS = """
[[accepts]]
form = "raw-pose"
title = "Pose"
decoder = "d"
classes = [1, 1]
keypoints = [1, 9]
imgsz = [32, 64]
score = 50
iou = 45
"""


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (NPU.replace("macs", "mac"), "[npu]: unknown key 'mac'", "perhaps you meant 'macs'"),
        (NPU.replace("macs = 64", "macs = '64'"), "[npu]: macs = '64': input should be a valid integer", ""),
        (NPU.replace("[1, 0, 6]", "[1, 0]"), "[npu]: 'architecture[2]' is missing", "add it"),
        (NPU.replace("alignment = 16", ""), "[npu]: 'alignment' is missing", "add it"),
        ("[imput]\n", "unknown key 'imput'", "perhaps you meant 'input'"),
        (ACCEPTS.replace("form", "from"), "[[accepts]] 1: unknown key 'from'", "perhaps you meant 'form'"),
        (ACCEPTS * 2 + "exact = true\n", "[[accepts]] 2: unknown key 'exact'", "perhaps you meant 'exact_count'"),
        (ACCEPTS.replace("raw-pose", "raw-pse"), "[[accepts]] 1: form = 'raw-pse'", "perhaps you meant 'raw-pose'"),
        (ACCEPTS.replace("[1, 9]", "[9, 1]"), "[[accepts]] 1: keypoints = [9, 1]: from 9 to 1 is nothing", ""),
        (
            ACCEPTS.replace("[1, 9]", "[1, '9']"),
            "[[accepts]] 1: keypoints[1] = '9': input should be a valid integer",
            "",
        ),
        (ACCEPTS.replace("[1, 9]", "5"), "[[accepts]] 1: keypoints = 5", ""),
        (ACCEPTS.replace("score = 50", ""), "[[accepts]] 1: 'score' is missing", "add it"),
        ("accepts = [3]\n", "accepts[0] = 3", ""),
        ("[[defects]]\nclasses = 4\ntext = 'x'\n", "[[defects]] 1: classes = 4", ""),
        ("[[defects]]\ntext = 'x'\nhin = 'y'\n", "[[defects]] 1: unknown key 'hin'", "perhaps you meant 'hint'"),
        ("kernels = 'esp_nn'\n", "kernels = 'esp_nn'", "perhaps you meant 'esp-nn'"),
    ],
)
def test_a_mistake_in_a_firmwares_contract_is_named_with_its_table(
    toy: Path, text: str, message: str, hint: str
) -> None:
    path = toy / "configs/firmwares/board-1.toml"
    path.write_text(path.read_text() + text)
    with pytest.raises(WrongInput) as refusal:
        load_project(toy)
    assert str(refusal.value).partition("board-1.toml")[2].lstrip(" :").startswith(message), str(refusal.value)
    assert hint in refusal.value.hint


def test_a_firmwares_facts_are_json_without_parameters_of_stages(toy: Path) -> None:
    path = toy / "configs/firmwares/board-1.toml"
    path.write_text(path.read_text() + NPU + ACCEPTS + "[first]\ntext = 'x'\n")
    firmware = load_project(toy).firmwares["board-1"]
    assert firmware.stages == {"first": {"text": "x"}}
    facts = firmware.facts
    assert json.loads(json.dumps(facts)) == facts
    assert "stages" not in facts
    assert facts["npu"]["architecture"] == [1, 0, 6]
    assert facts["accepts"][0]["keypoints"] == [1, 9]
    assert facts["accepts"][0]["algorithm"] is None
    assert (facts["input"], facts["defects"], facts["kernels"]) == (None, [], "reference")


def test_an_unknown_name_is_answered_with_the_nearest(toy: Path) -> None:
    with pytest.raises(WrongInput, match="unknown device 'bord'") as refusal:
        load_project(toy).pick("device", "bord")
    assert refusal.value.hint == "perhaps you meant 'board'"


def test_two_recipes_for_one_default_are_refused_by_name(toy: Path) -> None:
    for name in ("figures", "mine"):
        path = toy / "configs" / "recipes" / f"{name}.toml"
        path.write_text('title = "t"\ntask = "pose"\nimgsz = 64\ndefault_for = "nothing"\n')
    with pytest.raises(WrongInput, match=r"mine\.toml: default_for = 'nothing': figures is that") as refusal:
        load_project(toy)
    assert "RECIPE=" in refusal.value.hint
