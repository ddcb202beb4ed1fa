"""Models of other people: other skeletons, several classes, small images; from drawn data to a verified file on both boards."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from edgewright.config import load_project
from edgewright.engine import Engine
from tests.conftest import ROOT, Workspace, first_engine

DOES_NOT_FIT = 7
SIDE = 160  # pixels of the drawn images
TIPS = ("top", "right", "lower right", "lower left", "left")
COLOURS = ("crimson", "seagreen", "royalblue")


@dataclass(frozen=True)
class Kind:
    """One sort of model that this project has no sample of."""

    name: str
    task: str
    imgsz: int
    classes: tuple[str, ...]
    keypoints: tuple[str, ...] = ()

    def recipe(self) -> str:
        """What its owner would write into configs/recipes."""
        text = f'title = "{self.name}"\ntask = "{self.task}"\nimgsz = {self.imgsz}\n[train]\nepochs = 1\nbatch = 8\n'
        if self.keypoints:
            count = len(self.keypoints)
            text += f"[verify]\nsigmas = {[0.05] * count}\nkeypoint_names = {json.dumps(self.keypoints)}\n"
            text += f"skeleton = {[[i, (i + 1) % count] for i in range(count)]}\n"
        return text


STARS = Kind("stars", "pose", 96, ("star",), TIPS)
SHAPES = Kind("shapes", "detect", 64, ("red", "green", "blue"))


def draw_set(root: Path, kind: Kind, train: int = 16, val: int = 6) -> Path:
    """Draw five-pointed stars, with their tips labelled or in a class of their colour."""
    dice = random.Random(0)
    for number in range(train + val):
        split = "train" if number < train else "val"
        image, rows = Image.new("RGB", (SIDE, SIDE), (90, 110, 130)), []
        for _ in range(dice.randint(1, 2)):
            label, radius = dice.randrange(len(kind.classes)), dice.uniform(20, 35)
            x, y = (dice.uniform(radius, SIDE - radius) for _ in "xy")
            turn = [math.radians(72 * i - 90) for i in range(5)]
            tips = [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in turn]
            ImageDraw.Draw(image).polygon([tips[i] for i in (0, 2, 4, 1, 3)], fill=COLOURS[label])
            row = [label, x / SIDE, y / SIDE, 2 * radius / SIDE, 2 * radius / SIDE]
            row += [value for tip in tips for value in (tip[0] / SIDE, tip[1] / SIDE, 2)] if kind.keypoints else []
            rows.append(" ".join(f"{value:.5f}" if isinstance(value, float) else str(value) for value in row))
        for folder in ("images", "labels"):
            (root / folder / split).mkdir(parents=True, exist_ok=True)
        image.save(root / "images" / split / f"{number}.png")
        (root / "labels" / split / f"{number}.txt").write_text("\n".join(rows) + "\n")
    described = f"train: images/train\nval: images/val\nnames: {json.dumps(kind.classes)}\n"
    described += f"kpt_shape: [{len(kind.keypoints)}, 3]\n" if kind.keypoints else ""
    (root / "data.yaml").write_text(described)
    return root / "data.yaml"


@pytest.fixture(scope="module")
def engine() -> Engine:
    return first_engine()


@pytest.fixture(params=[STARS, SHAPES], ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


def options_of(workspace: Workspace, engine: Engine, kind: Kind) -> dict[str, Any]:
    """Give the workspace the recipe and the data, once, and return what is typed."""
    (workspace.root / f"configs/recipes/{kind.name}.toml").write_text(kind.recipe())
    data = workspace.root / "mine" / kind.name
    yaml = data / "data.yaml" if data.exists() else draw_set(data, kind)
    return {"engine": engine.name, "recipe": kind.name, "data": yaml}


@pytest.mark.parametrize("device", sorted(load_project(ROOT).devices))
def test_a_model_of_other_people_is_verified_for_the_board(
    workspace: Workspace, engine: Engine, kind: Kind, device: str
) -> None:
    bundle = workspace.deploy(device, **options_of(workspace, engine, kind))
    report = json.loads((bundle / "report.json").read_text())
    assert report["verdict"]["state"] == "passes", report["verdict"]
    model, accuracy = report["model"], report["accuracy"]
    assert (model["task"], model["imgsz"]) == (kind.task, kind.imgsz)
    assert (model["classes"], model["keypoints"]) == (len(kind.classes), len(kind.keypoints))
    assert model["names"] == list(kind.classes)
    assert [rung["name"] for rung in accuracy["rungs"]] == ["torch", "decoder", "onnx", "float", "int8", "device"]
    assert accuracy["kernels"]["equal"] is True
    assert (accuracy["frames"], accuracy["of"]) == (6, 6)
    # One epoch teaches nothing; that AP is a number, and for keypoints only where there are some, is what counts here.
    assert all((rung["ap"] is not None) == bool(kind.keypoints) for rung in accuracy["rungs"])
    assert all(rung["box_ap"] is not None for rung in accuracy["rungs"])


def test_a_firmware_that_knows_only_people_says_so(workspace: Workspace, engine: Engine) -> None:
    options = options_of(workspace, engine, STARS)
    code, text = workspace.run(
        "deploy", device="grove-vision-ai-v2", firmware="grove-vision-ai-v2-himax-pose", **options
    )
    assert code == DOES_NOT_FIT, text
    assert "✗ 5 keypoints" in text
    assert "17" in text
    assert not (workspace.root / "dist" / f"{STARS.name}-grove-vision-ai-v2-himax-pose-0.1.0").exists()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("sigmas = [0.1, 0.1]", "sigmas: 2 for 5 keypoints"),
        ("skeleton = [[0, 5]]", "skeleton: [0, 5]"),
        ("gates = { max_ap = 0.1 }", "gates: unknown key 'max_ap'"),
    ],
)
def test_a_recipe_that_contradicts_the_model_is_refused(
    workspace: Workspace, engine: Engine, table: str, message: str
) -> None:
    options = options_of(workspace, engine, STARS)
    recipe = STARS.recipe().partition("[verify]")[0] + f"[verify]\n{table}\n"
    (workspace.root / "configs/recipes/stars.toml").write_text(recipe)
    code, text = workspace.run("verify", device="esp32s3", **options)
    assert code == 2, text
    assert f"error: {message}" in text
