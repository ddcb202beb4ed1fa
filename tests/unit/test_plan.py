"""Which steps a plan has, where their inputs come from, and which options are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgewright.config import Project, load_project
from edgewright.errors import WrongInput
from edgewright.plan import File, Options, Output, Plan, make_plan

ROOT = Path(__file__).resolve().parents[2]
PT = Path("best.pt")


def toy_plan(project: Project, **options: object) -> Plan:
    return make_plan(project, project.devices["board"], project.recipes["figures"], Options(**options))  # type: ignore[arg-type]


def real_plan(device: str, recipe: str = "figures-pose", **options: object) -> Plan:
    project = load_project(ROOT)
    return make_plan(project, project.pick("device", device), project.pick("recipe", recipe), Options(**options))  # type: ignore[arg-type]


def names(plan: Plan) -> list[str]:
    return [step.stage.name for step in plan.steps]


def test_without_options_every_stage_runs() -> None:
    assert names(real_plan("esp32s3")) == ["data", "train", "read", "export", "verify"]
    assert names(real_plan("grove-vision-ai-v2")) == ["data", "train", "read", "export", "vela", "verify"]


def test_given_weights_leave_training_out_unless_epochs_ask_for_it() -> None:
    assert names(real_plan("esp32s3", files={"weights": PT})) == ["data", "read", "export", "verify"]
    plan = real_plan("esp32s3", files={"weights": PT}, parameters={"epochs": "2"})
    assert names(plan) == ["data", "train", "read", "export", "verify"]
    assert plan.steps[1].inputs["weights"] == File(PT)
    assert plan.steps[2].inputs["weights"] == Output("train", "weights")


def test_a_given_model_enters_after_the_export() -> None:
    model = {"model": Path("any.tflite")}
    grove = real_plan("grove-vision-ai-v2", files=model)
    assert names(grove) == ["vela", "verify"]
    assert grove.steps[0].inputs["model"] == File(Path("any.tflite"))
    assert grove.model == Output("vela", "model")
    esp = real_plan("esp32s3", files=model)
    assert names(esp) == ["verify"]
    assert esp.model == File(Path("any.tflite"))


def test_a_given_model_is_measured_on_the_users_data_and_on_no_drawn_set() -> None:
    files = {"model": Path("any.tflite"), "dataset": Path("mine")}
    plan = real_plan("esp32s3", files=files)
    assert names(plan) == ["data", "verify"]
    assert plan.steps[1].inputs == {
        "model": File(Path("any.tflite")),
        "manifest": Output("data", "manifest"),
        "dataset": File(Path("mine")),
    }
    # Weights beside it are what it is compared with; they are not exported in its place.
    compared = real_plan("esp32s3", files={**files, "weights": PT})
    assert names(compared) == ["data", "read", "verify"]
    assert compared.model == File(Path("any.tflite"))
    assert compared.steps[1].inputs == {"weights": File(PT)}
    assert compared.steps[2].inputs["network"] == Output("read", "network")


def test_weights_beside_a_model_bring_in_neither_training_nor_data() -> None:
    files = {"model": Path("any.tflite"), "weights": PT}
    assert names(real_plan("esp32s3", files=files)) == ["read", "verify"]
    with pytest.raises(WrongInput, match="EPOCHS= has no effect"):
        real_plan("esp32s3", files={**files, "dataset": Path("mine")}, parameters={"epochs": "2"})


def test_what_vela_compiled_is_verified_with_what_it_was_compiled_from() -> None:
    inputs = real_plan("grove-vision-ai-v2").steps[-1].inputs
    assert inputs["model"] == Output("vela", "model")
    assert inputs["uncompiled"] == Output("vela", "uncompiled")
    assert inputs["summary"] == Output("vela", "summary")
    assert inputs["model_float"] == Output("export", "model_float")


def test_the_drawn_data_set_gives_way_to_the_users() -> None:
    assert real_plan("esp32s3").steps[1].inputs["dataset"] == Output("data", "dataset")
    given = real_plan("esp32s3", files={"dataset": Path("mine")})
    assert given.steps[0].inputs["dataset"] == File(Path("mine"))
    assert given.steps[1].inputs["dataset"] == File(Path("mine"))


def test_both_boards_share_every_step_up_to_the_export() -> None:
    esp, grove = real_plan("esp32s3"), real_plan("grove-vision-ai-v2")
    assert [(s.parameters, s.inputs) for s in esp.steps[:4]] == [(s.parameters, s.inputs) for s in grove.steps[:4]]


def test_weights_of_the_users_may_be_of_any_task() -> None:
    given = real_plan("esp32s3", files={"weights": PT})
    assert set(given.steps[-2].parameters["outputs"]) == {"pose", "detect"}
    trained = real_plan("esp32s3", files={"weights": PT}, parameters={"epochs": "2"})
    assert set(trained.steps[-2].parameters["outputs"]) == {"pose"}


def test_a_file_that_a_device_names_is_an_input() -> None:
    vela = real_plan("grove-vision-ai-v2").steps[-2]
    assert vela.inputs["config"] == File(ROOT / "configs/vela/we2.ini")
    assert vela.parameters["accelerator"] == "ethos-u55-64"


@pytest.mark.parametrize(
    ("option", "value", "message", "hint"),
    [
        ("imgsz", "100", "IMGSZ=100: not a multiple of 32", "IMGSZ=96 or IMGSZ=128"),
        ("imgsz", "192x160", "IMGSZ=192x160: not square", "IMGSZ=192"),
        ("imgsz", "big", "IMGSZ=big: not a whole number", "IMGSZ=64"),
        ("imgsz", "32", "IMGSZ=32: less than 64", "at least 64"),
        ("epochs", "0", "EPOCHS=0: less than 1", "at least 1"),
        ("gpu", "1", "GPU= has no effect", "leave out GPU="),
    ],
)
def test_a_value_that_cannot_be_is_refused_as_it_was_typed(
    project: Project, option: str, value: str, message: str, hint: str
) -> None:
    with pytest.raises(WrongInput) as refusal:
        toy_plan(project, parameters={option: value})
    assert message in str(refusal.value)
    assert hint in refusal.value.hint


def test_a_square_given_as_two_numbers_is_taken(project: Project) -> None:
    assert toy_plan(project, parameters={"imgsz": "96x96"}).steps[0].parameters["imgsz"] == 96


def test_an_option_that_no_step_reads_is_refused(project: Project) -> None:
    with pytest.raises(WrongInput, match="WEIGHTS= has no effect with MODEL="):
        toy_plan(project, files={"weights": PT, "model": Path("m.tflite")})


def test_an_option_is_named_as_it_was_typed() -> None:
    with pytest.raises(WrongInput, match=r"^IMGSZ= has no effect: .*not among the steps \(vela, verify\)$"):
        real_plan("grove-vision-ai-v2", files={"model": Path("m.tflite")}, parameters={"imgsz": "192"})


def test_a_key_that_a_stage_does_not_declare_is_refused(toy: Path) -> None:
    (toy / "configs/recipes/figures.toml").write_text('title="t"\ntask="pose"\nimgsz=64\n[first]\nepocs=3\n')
    with pytest.raises(WrongInput) as refusal:
        toy_plan(load_project(toy))
    assert "figures.toml [first]: unknown key 'epocs'" in str(refusal.value)
    assert refusal.value.hint == "perhaps you meant 'epochs'"


def test_a_firmware_of_another_board_is_refused() -> None:
    with pytest.raises(WrongInput, match=r"is for grove-vision-ai-v2, not esp32s3") as refusal:
        real_plan("esp32s3", firmware="grove-vision-ai-v2-sscma-1.x")
    assert "esp32s3-sscma-1.x" in refusal.value.hint


def test_a_gpu_of_this_machine_is_asked_for_unless_the_user_says_no() -> None:
    assert real_plan("esp32s3", machine={"gpu": True}).steps[1].parameters["gpu"] is True
    assert real_plan("esp32s3", machine={"gpu": True}, parameters={"gpu": "0"}).steps[1].parameters["gpu"] is False
