"""What the firmware accepts, read back from the files themselves: outputs, operators, input; not from a report of the stage's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from tflite import BuiltinOperator, Model, TensorType

from edgewright.config import load_project
from edgewright.engine import Engine
from tests.conftest import ROOT, Workspace, first_engine

PROJECT = load_project(ROOT)
IMGSZ = 192
OPERATOR_NAMES = {value: name for name, value in vars(BuiltinOperator).items() if not name.startswith("_")}
FORBIDDEN = {"TRANSPOSE", "SPLIT", "SPLIT_V", "STRIDED_SLICE"}  # what the NPU leaves to the CPU, or copies


@dataclass(frozen=True)
class Tensor:
    name: str
    shape: tuple[int, ...]
    type: int
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Network:
    inputs: list[Tensor]
    outputs: list[Tensor]
    operators: set[str]


def read(path: Path) -> Network:
    """Read a TFLite file with the published schema."""
    model = Model.GetRootAs(path.read_bytes(), 0)
    graph = model.Subgraphs(0)

    def tensor(index: int) -> Tensor:
        found = graph.Tensors(index)
        quantization = found.Quantization()
        shape = tuple(int(side) for side in found.ShapeAsNumpy())
        return Tensor(found.Name().decode(), shape, found.Type(), quantization.Scale(0), quantization.ZeroPoint(0))

    operators = set()
    for i in range(graph.OperatorsLength()):
        code = model.OperatorCodes(graph.Operators(i).OpcodeIndex())
        custom = code.CustomCode()
        operators.add(
            custom.decode() if custom else OPERATOR_NAMES[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        )
    return Network(
        [tensor(graph.Inputs(i)) for i in range(graph.InputsLength())],
        [tensor(graph.Outputs(i)) for i in range(graph.OutputsLength())],
        operators,
    )


def shape_of(name: str, classes: int, keypoints: int) -> tuple[int, ...]:
    """Return the shape that the firmware expects of an output (devices.md §4: n = (S / stride)²)."""
    anchors = {stride: (IMGSZ // stride) ** 2 for stride in (8, 16, 32)}
    total = sum(anchors.values())
    if name == "kpt":
        return (1, total, 3 * keypoints)
    if name == "decoded":
        return (1, 4 + classes, total)
    return (1, anchors[int(name[3:])], 64 if name.startswith("box") else classes)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return first_engine()


@pytest.mark.parametrize("device", sorted(PROJECT.devices))
@pytest.mark.parametrize("task", ["pose", "detect"])
def test_the_model_is_what_the_firmware_accepts(
    workspace: Workspace, engine: Engine, assets: Path, device: str, task: str
) -> None:
    firmware = PROJECT.firmwares[PROJECT.devices[device].firmware]
    options: dict[str, object] = {
        "weights": assets / "weights" / "yolov8n-pose-recovered.pt",
        "data": assets / "coco8-pose",
    }
    if task == "detect":
        options = {"recipe": "figures-detect", "epochs": 1}  # nothing is learnt; it is the form that counts
    bundle = workspace.deploy(device, engine=engine.name, imgsz=IMGSZ, name=f"contract-{task}", **options)
    found = read(bundle / "model.tflite")
    wanted = firmware.stages["export"]["outputs"][task]
    assert [output.shape for output in found.outputs] == [shape_of(name, 1, 17) for name in wanted]
    assert {output.type for output in found.outputs} == {TensorType.INT8}
    (image,) = found.inputs
    assert (image.shape, image.type) == ((1, IMGSZ, IMGSZ, 3), TensorType.INT8)
    assert image.scale == pytest.approx(1 / 255, rel=1e-6)
    assert image.zero_point == -128
    assert bundle.joinpath("model.tflite").stat().st_size <= firmware.slot_bytes
    if "ethos-u" in found.operators:
        assert found.operators == {"ethos-u"}, "Vela has left operators to the CPU"
        (before,) = (read(path) for path in exported(workspace, bundle))
        assert not before.operators & FORBIDDEN
    else:
        assert found.operators <= set(firmware.operators)
        assert wanted == ["decoded"] or not found.operators & FORBIDDEN


def test_given_weights_decide_the_task_and_with_it_the_recipe(workspace: Workspace, engine: Engine) -> None:
    trained = workspace.deploy("esp32s3", engine=engine.name, recipe="figures-detect", epochs=1, name="contract-detect")
    steps = {step["stage"]: step for step in json.loads((trained / "manifest.json").read_text())["steps"]}
    (best,) = (workspace.root / "build").glob(f"train-{steps['train']['key'][:12]}/best.pt")
    options = {"device": "grove-vision-ai-v2", "engine": engine.name, "weights": best, "name": "detect-weights"}
    code, text = workspace.run("deploy", **options)
    assert code == 0, text
    assert "keypoint" not in text
    bundle = workspace.root / "dist" / "detect-weights-grove-vision-ai-v2-0.1.0"
    assert json.loads((bundle / "manifest.json").read_text())["recipe"] == "weights-detect"
    assert "keypoint" not in json.dumps(json.loads((bundle / "report.json").read_text())["verdict"])
    code, text = workspace.run("plan", **options)
    assert (code, "recipe weights-detect" in text) == (0, True), text
    code, text = workspace.run("deploy", **{**options, "recipe": "figures-pose"})
    assert (code, "the network's task is detect, and RECIPE=figures-pose is for pose" in text) == (2, True), text
    wanted = PROJECT.firmwares["grove-vision-ai-v2-sscma-1.x"].stages["export"]["outputs"]["detect"]
    assert [output.shape for output in read(bundle / "model.tflite").outputs] == [shape_of(n, 1, 0) for n in wanted]


def exported(workspace: Workspace, bundle: Path) -> list[Path]:
    """Return the int8 file that a compiled bundle was made from."""
    steps = {step["stage"]: step for step in json.loads((bundle / "manifest.json").read_text())["steps"]}
    return list((workspace.root / "build").glob(f"export-{steps['export']['key'][:12]}/model_int8.tflite"))


def test_vela_keeps_the_order_of_the_outputs(workspace: Workspace, engine: Engine, assets: Path) -> None:
    model = assets / "himax" / "yolov8n-pose_192_full_integer_quant.tflite"
    bundle = workspace.deploy("grove-vision-ai-v2", engine=engine.name, model=model, name="order")
    assert [t.shape for t in read(bundle / "model.tflite").outputs] == [t.shape for t in read(model).outputs]
