"""TOML → frozen types, and what a person reads who has made a mistake in one."""

from __future__ import annotations

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


def test_an_unknown_name_is_answered_with_the_nearest(toy: Path) -> None:
    with pytest.raises(WrongInput, match="unknown device 'bord'") as refusal:
        load_project(toy).pick("device", "bord")
    assert refusal.value.hint == "perhaps you meant 'board'"
