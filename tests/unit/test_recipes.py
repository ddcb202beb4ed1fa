"""Which recipe a command means: that of the sample, one for the task of the user's network, or the one that is asked for."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_project import Here, write_stage

from edgewright import documents, engines, recipes, show
from edgewright.build import complete, status
from edgewright.config import load_project
from edgewright.errors import StageFailed, WrongInput
from edgewright.options import HELP
from edgewright.plan import Options
from edgewright.records import Record
from edgewright.request import planned, walk_of

ROOT = Path(__file__).resolve().parents[2]

TELLER = """
title = "tells a task"
[inputs]
weights = "required"
[outputs]
network = "network.json"
[tells]
of = "weights"
role = "network"
"""
TELLER_MAIN = """
import json, sys
from pathlib import Path
request = json.loads(Path(sys.argv[1]).read_text())
text = Path(request["inputs"]["weights"]).read_text()
Path(request["output"], "network.json").write_text(json.dumps({"task": text.rstrip("a")}))
"""
RECIPE = 'title = "t"\ntask = "{}"\nimgsz = 64\ndefault_for = "{}"\n[second]\ntext = "{}"\n'


@pytest.fixture
def engine(toy: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    """Return the engine of a toy project in which a stage tells the task of weights, and each task has a recipe."""
    write_stage(toy, "teller", TELLER, TELLER_MAIN)
    second = toy / "docker" / "second" / "stage.toml"
    second.write_text(second.read_text().replace('weights = "required"', 'network = "required"'))
    device = toy / "configs" / "devices" / "board.toml"
    device.write_text(device.read_text().replace('["first", "second"]', '["first", "teller", "second"]'))
    for name, task, default_for in (
        ("sample", "pose", "nothing"),
        ("p", "pose", "weights"),
        ("d", "detect", "weights"),
    ):
        (toy / "configs" / "recipes" / f"{name}.toml").write_text(RECIPE.format(task, default_for, name))
    here = Here(toy)
    monkeypatch.setattr(engines, "ENGINES", {"here": lambda root, supply: here})
    return here


def typed(**options: object) -> dict[str, str]:
    return {**dict.fromkeys(HELP, ""), "device": "board", **{name: str(value) for name, value in options.items()}}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "my best.pt"
    path.write_text("detect")
    return path


def test_the_recipe_follows_from_the_task_that_is_read_from_the_weights(toy: Path, engine: Here, weights: Path) -> None:
    walk = walk_of(toy, typed(weights=weights))
    assert not walk.done
    complete(walk)
    assert (walk.plan.recipe.name, walk.plan.steps[-1].parameters["text"]) == ("d", "d")
    # What had to be read first is part of the plan, and is not read again.
    assert engine.runs == ["teller", "second"]
    assert set(walk.done) == {"teller", "second"}
    complete(walk_of(toy, typed(weights=weights, force=1)))
    assert engine.runs == ["teller", "second"] * 2
    weights.write_text("pose")
    assert walk_of(toy, typed(weights=weights)).plan.recipe.name == "p"


def test_what_is_read_ahead_of_a_release_is_not_taken_on_the_volumes_word_either(
    toy: Path, engine: Here, weights: Path, store: Path
) -> None:
    complete(walk_of(toy, typed(weights=weights)))
    shutil.rmtree(store)
    assert walk_of(toy, typed(weights=weights)).plan.recipe.name == "d"
    assert engine.runs == ["teller", "second"]
    shutil.rmtree(store)
    complete(walk_of(toy, typed(weights=weights), released=True))
    assert engine.runs == ["teller", "second"] * 2


def test_until_weights_are_read_a_plan_says_what_it_waits_for_and_runs_nothing(
    toy: Path, engine: Here, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    walk, undecided = planned(toy, typed(weights=weights))
    states = status(walk, undecided)
    assert [(s.step.stage.name, s.reason) for s in states] == [("teller", "never run"), ("second", "after teller")]
    show.plan(states, walk.plan, undecided)
    assert "recipe known once teller has run" in capsys.readouterr().out
    assert engine.runs == []
    complete(walk_of(toy, typed(weights=weights)))
    walk, undecided = planned(toy, typed(weights=weights))
    assert (undecided, walk.plan.recipe.name) == (None, "d")
    assert [state.reason for state in status(walk)] == ["", ""]
    show.plan(status(walk), walk.plan)
    assert "my-best for A board, recipe d, firmware board-1" in capsys.readouterr().out


def test_a_recipe_of_the_other_task_is_refused_once_the_weights_are_read(
    toy: Path, engine: Here, weights: Path
) -> None:
    walk, undecided = planned(toy, typed(weights=weights, recipe="sample"))
    assert (undecided, walk.plan.recipe.name) == (None, "sample")
    for command in (walk_of, planned):
        with pytest.raises(WrongInput) as refusal:
            command(toy, typed(weights=weights, recipe="sample"))
        assert str(refusal.value) == f"WEIGHTS={weights}: the network's task is detect, and RECIPE=sample is for pose"
        assert refusal.value.hint == "leave out RECIPE="
    assert engine.runs == ["teller"]
    assert walk_of(toy, typed(weights=weights, recipe="d")).plan.recipe.name == "d"


def test_a_task_that_no_recipe_is_for_is_refused(toy: Path, engine: Here, weights: Path) -> None:
    weights.write_text("segment")
    with pytest.raises(WrongInput, match="the network's task is segment, and there are recipes for detect and pose"):
        walk_of(toy, typed(weights=weights))


def test_weights_to_train_further_on_are_read_before_the_training_and_what_comes_out_after_it(
    toy: Path, engine: Here, weights: Path
) -> None:
    walk = complete(walk_of(toy, typed(weights=weights, epochs=2)))
    assert walk.plan.recipe.name == "d"
    assert engine.runs == ["teller", "first", "teller", "second"]


def test_without_weights_nothing_runs_before_the_plan_is_made(toy: Path, engine: Here) -> None:
    assert walk_of(toy, typed()).plan.recipe.name == "sample"
    assert engine.runs == []


def test_a_wrong_option_is_refused_before_anything_is_read(toy: Path, engine: Here, weights: Path) -> None:
    with pytest.raises(WrongInput, match="IMGSZ= has no effect"):
        walk_of(toy, typed(weights=weights, imgsz=96))
    assert engine.runs == []


def test_a_recipe_has_to_be_named_where_no_stage_can_tell_the_task(toy: Path, engine: Here, weights: Path) -> None:
    (toy / "docker" / "teller" / "stage.toml").write_text(TELLER.partition("[tells]")[0])
    with pytest.raises(WrongInput, match="which recipe") as refusal:
        walk_of(toy, typed(weights=weights))
    assert refusal.value.hint == "RECIPE=d or RECIPE=p"


@pytest.mark.parametrize(
    ("file", "options", "name"),
    [
        ("best.pt", {}, "best"),
        ("mein Modell, groß.v2.pt", {}, "mein-Modell-gro-.v2"),
        ("….pt", {}, "d"),
        ("best.pt", {"name": "mine"}, "mine"),
        ("best.pt", {"recipe": "d"}, "d"),
    ],
)
def test_a_bundle_is_named_after_the_users_file_unless_recipe_or_name_are_given(
    toy: Path, engine: Here, tmp_path: Path, file: str, options: dict[str, str], name: str
) -> None:
    (tmp_path / file).write_text("detect")
    assert walk_of(toy, typed(weights=tmp_path / file, **options)).plan.name == name


def test_each_task_of_weights_and_any_tflite_has_a_recipe_that_is_not_the_samples() -> None:
    project = load_project(ROOT)
    device = project.devices["esp32s3"]
    sample = recipes.choose(project, device, "", Options()).likely
    assert sample.recipe.name == sample.name == "figures-pose"
    of_weights = recipes.choose(project, device, "", Options({"weights": Path("best.pt")}))
    assert {task: plan.recipe.name for task, plan in of_weights.plans.items()} == {
        "detect": "weights-detect",
        "pose": "weights-pose",
    }
    assert of_weights.plans["detect"].steps[-1].parameters["gates"] == {"max_ap_drop": 0.1}
    both = Options({"model": Path("any.tflite"), "weights": Path("best.pt")})
    assert recipes.choose(project, device, "", both).plan_for("detect").recipe.name == "weights-detect"
    alone = recipes.choose(project, device, "", Options({"model": Path("any.tflite"), "dataset": Path("mine")}))
    assert (alone.reading, alone.likely.recipe.name, alone.likely.name) == (None, "tflite", "any")
    assert [step.parameters["task"] for step in alone.likely.steps] == ["", ""]


def test_a_firmware_that_takes_one_task_only_serves_weights_to_be_trained_further() -> None:
    project = load_project(ROOT)
    device = project.devices["grove-vision-ai-v2"]
    given = Options({"weights": Path("b.pt")}, {"epochs": "1"}, firmware="grove-vision-ai-v2-himax-pose")
    choice = recipes.choose(project, device, "", given)
    assert choice.plan_for("pose").recipe.name == "weights-pose"
    with pytest.raises(WrongInput, match="nothing for the task 'detect'"):
        choice.plan_for("detect")


@given(
    st.binary(max_size=64) | st.recursive(st.none() | st.integers() | st.text(), lambda v: st.lists(v)).map(json.dumps)
)
def test_what_a_stage_tells_is_a_task_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes | str
) -> None:
    volume = tmp_path_factory.mktemp("told")
    record = Record("teller", "0" * 64, {}, {"network": {"path": "network.json"}})
    path = volume / record.path("network")
    path.parent.mkdir()
    for text in (content, json.dumps({"task": str(content)}), "[" * 100_000):
        path.write_bytes(text if isinstance(text, bytes) else text.encode(errors="surrogatepass"))
        with contextlib.suppress(StageFailed):
            assert documents.read(volume, record, "network", documents.Told).task.isalpha()
