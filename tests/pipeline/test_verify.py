"""What verify says of files that are none of ours, on both boards; and of a run that something stops halfway."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tflite import BuiltinOperator, Model

from edgewright.config import load_project
from edgewright.engine import Engine
from tests.conftest import ROOT, Workspace, first_engine

FITS, WRONG_INPUT, DOES_NOT_FIT = 0, 2, 7
HIMAX = "yolov8n-pose_192_full_integer_quant"
ESP, GROVE = "esp32s3", "grove-vision-ai-v2"
FIRMWARES = load_project(ROOT).firmwares


@pytest.fixture(scope="module")
def engine() -> Engine:
    return first_engine()


@pytest.fixture(scope="module")
def models(workspace: Workspace, engine: Engine, assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of files that people have: the vendor's, our float one, one cut short, one that is none."""
    folder = tmp_path_factory.mktemp("models")
    for path in (assets / "himax").glob("*.tflite"):
        shutil.copy(path, folder)
    whole = (folder / f"{HIMAX}.tflite").read_bytes()
    (folder / "truncated.tflite").write_bytes(whole[: len(whole) // 3])
    shutil.copy(next((assets / "coco8-pose" / "images" / "val").iterdir()), folder / "photo.tflite")
    weights = assets / "weights" / "yolov8n-pose-recovered.pt"
    data = assets / "coco8-pose"
    bundle = workspace.deploy(ESP, engine=engine.name, imgsz=64, weights=weights, data=data, name="verify-float")
    steps = {step["stage"]: step for step in json.loads((bundle / "manifest.json").read_text())["steps"]}
    (exported,) = (workspace.root / "build").glob(f"export-{steps['export']['key'][:12]}")
    shutil.copy(exported / "model_float32.tflite", folder)
    return folder


@pytest.mark.parametrize(
    ("device", "file", "code", "words"),
    [
        (ESP, HIMAX, FITS, ["arena 528 of 1,024 KiB, 11 of 24 operators, 7 outputs", "AP was not measured: no images"]),
        (ESP, f"{HIMAX}_vela", DOES_NOT_FIT, ["compiled by Vela (ETHOS_U ×4)", "give the file from before Vela"]),
        (ESP, "model_float32", DOES_NOT_FIT, ["✗ input is float32", "give the full-integer file"]),
        (ESP, "truncated", WRONG_INPUT, ["truncated or damaged TFLite file", "copy it again"]),
        (ESP, "photo", WRONG_INPUT, ["not a TFLite file"]),
        (GROVE, HIMAX, FITS, ["arena 295 of 1,110 KiB", "TRANSPOSE ×4", "AP was not measured: no images"]),
        (GROVE, f"{HIMAX}_vela", FITS, ["TRANSPOSE ×4", "give the file from before Vela, and it is measured"]),
        (GROVE, "model_float32", WRONG_INPUT, ["its input is not int8"]),
        (GROVE, "truncated", WRONG_INPUT, ["truncated or damaged TFLite file", "copy it again"]),
    ],
)
def test_what_is_said_of_anybodys_file(
    workspace: Workspace, engine: Engine, models: Path, device: str, file: str, code: int, words: list[str]
) -> None:
    found, text = workspace.run("verify", device=device, engine=engine.name, model=models / f"{file}.tflite")
    assert found == code, text
    assert "Traceback" not in text
    assert [word for word in words if word not in text] == [], text
    assert len([line for line in text.splitlines() if line.startswith("error: ")]) == (code != FITS)
    assert workspace.left_over() == []


@pytest.mark.parametrize(
    ("firmware", "code", "words"),
    [
        ("esp32s3-sscma-2.x", FITS, ["grid cells", "never sends keypoints"]),
        ("grove-vision-ai-v2-sscma-2.x", FITS, ["swaps scale and zero point"]),
        ("grove-vision-ai-v2-sscma-2024-01", FITS, []),
        ("grove-vision-ai-v2-himax-pose", DOES_NOT_FIT, ["IMGSZ=256"]),
        ("grove-vision-ai-v2-himax-od", DOES_NOT_FIT, ["FIRMWARE="]),
    ],
)
def test_what_other_firmware_makes_of_the_vendors_pose_model(
    workspace: Workspace, engine: Engine, models: Path, firmware: str, code: int, words: list[str]
) -> None:
    options = {"firmware": firmware, "model": models / f"{HIMAX}.tflite", "engine": engine.name}
    found, text = workspace.run("verify", device=FIRMWARES[firmware].device, **options)
    assert found == code, text
    assert [word for word in words if word not in text] == [], text


def test_a_network_that_needs_more_memory_than_the_board_has_is_told_what_would_fit(
    workspace: Workspace, engine: Engine, assets: Path
) -> None:
    weights = assets / "weights" / "yolov8n-pose-recovered.pt"
    options = {"weights": weights, "data": assets / "coco8-pose", "imgsz": 320, "name": "large"}
    code, text = workspace.run("deploy", device=ESP, engine=engine.name, **options)
    assert code == DOES_NOT_FIT, text
    assert re.search(
        r"error: model_int8\.tflite does not run on esp32s3: arena 1,\d{3},\d{3} of 1,048,576 bytes", text
    ), text
    assert " hint: IMGSZ=256 needs about" in text
    assert "keypoint AP" in text, "how good it would be is known all the same"
    assert not list((workspace.root / "dist").glob("large-*"))


def with_another_operator(content: bytes, name: str, other: str) -> bytes:
    """Make one operator of a TFLite file another, which takes the same inputs."""
    changed, model = bytearray(content), Model.GetRootAs(content, 0)
    old, new = getattr(BuiltinOperator, name), getattr(BuiltinOperator, other)
    for index in range(model.OperatorCodesLength()):
        code = model.OperatorCodes(index)
        if max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) == old:
            # Fields of the table OperatorCode (schema.fbs), by their place in its vtable: old code, version, code.
            for slot, value, size in ((4, new, 1), (8, 1, 4), (10, new, 4)):
                if offset := code._tab.Offset(slot):
                    at = code._tab.Pos + offset
                    changed[at : at + size] = value.to_bytes(size, "little")
    return bytes(changed)


def test_an_operator_that_the_devices_interpreter_lacks_is_named_and_the_rest_is_measured(
    workspace: Workspace, engine: Engine, assets: Path, models: Path, tmp_path: Path
) -> None:
    model = tmp_path / "clipped.tflite"
    model.write_bytes(with_another_operator((models / f"{HIMAX}.tflite").read_bytes(), "LOGISTIC", "RELU_N1_TO_1"))
    options = {"model": model, "data": assets / "coco8-pose", "engine": engine.name}
    code, text = workspace.run("verify", device=ESP, **options)
    assert code == DOES_NOT_FIT, text
    assert "clipped.tflite does not run on esp32s3: operator RELU_N1_TO_1 ×71 is not registered" in text
    assert "the device's own kernels cannot run it: TFLM has no kernel for RELU_N1_TO_1" in text
    assert [rung["name"] for rung in report_of(text, workspace)["accuracy"]["rungs"]] == ["int8"]


# --- measured -----------------------------------------------------------------------------------------------------------------


def report_of(text: str, workspace: Workspace) -> dict[str, Any]:
    """Read the report.json beside the page that a command has named."""
    page = next(line.split()[-1] for line in text.splitlines() if line.strip().startswith("report: "))
    found: dict[str, Any] = json.loads((workspace.root / page).with_suffix(".json").read_text())
    return found


def test_a_foreign_file_is_compared_with_the_weights_it_was_made_from(
    workspace: Workspace, engine: Engine, assets: Path, models: Path
) -> None:
    weights = assets / "weights" / "yolov8n-pose-recovered.pt"
    options = {"model": models / f"{HIMAX}.tflite", "weights": weights, "data": assets / "coco8-pose"}
    code, text = workspace.run("verify", device=ESP, engine=engine.name, **options)
    assert code == FITS, text
    found = report_of(text, workspace)
    assert [rung["name"] for rung in found["accuracy"]["rungs"]] == ["torch", "decoder", "int8", "device"]
    first, *_, last = found["accuracy"]["rungs"]
    assert first["box_ap50"] > 0.5
    assert last["agreement"]["matched"] > 0
    assert last["agreement"]["keypoint_drift_px"]["p95"] < 20
    kernels = found["accuracy"]["kernels"]
    assert kernels["equal"] is True
    assert kernels["optimised"]["steps"] > 4, "the kernels that everybody measures with are not the device's"
    # Four frames move AP more than any gate allows: said, not judged.
    assert "max_ap_drop = 0.1 was not checked: 4 frames are too few" in text


def test_a_recipe_of_another_task_than_the_files_is_refused(workspace: Workspace, engine: Engine, models: Path) -> None:
    options = {"model": models / f"{HIMAX}.tflite", "recipe": "figures-detect", "engine": engine.name}
    code, text = workspace.run("verify", device=ESP, **options)
    assert code == WRONG_INPUT, text
    assert f"error: {HIMAX}.tflite is a pose model, and the recipe is for detect\n hint: leave out RECIPE=" in text


def test_a_gate_that_is_missed_fails_the_deployment(
    workspace: Workspace, engine: Engine, assets: Path, tmp_path: Path
) -> None:
    recipe = workspace.root / "configs" / "recipes" / "strict.toml"
    text = (workspace.root / "configs" / "recipes" / "weights-pose.toml").read_text().partition("[verify.gates]")[0]
    text = text.replace('default_for = "weights"', "")
    recipe.write_text(text + "[verify.gates]\nmax_keypoint_drift_px = 0.01\n")
    data = many_frames(assets, tmp_path / "set")
    weights = assets / "weights" / "yolov8n-pose-recovered.pt"
    options = {"recipe": "strict", "weights": weights, "data": data, "imgsz": 96}
    code, said = workspace.run("deploy", device=ESP, engine=engine.name, **options)
    assert code == DOES_NOT_FIT, said
    assert "max_keypoint_drift_px" in said
    assert "is above the recipe's 0.01" in said
    assert report_of(said, workspace)["verdict"]["state"] == "fails"
    assert not list((workspace.root / "dist").glob("strict-*"))


def many_frames(assets: Path, folder: Path, copies: int = 4) -> Path:
    """Write a set whose validation split has each image of coco8-pose several times: 16 frames, if not asked for more."""
    shutil.copytree(assets / "coco8-pose", folder, ignore=shutil.ignore_patterns("*.cache"))
    for image in sorted((folder / "images" / "val").iterdir()):
        labels = folder / "labels" / "val" / f"{image.stem}.txt"
        for number in range(copies - 1):
            shutil.copy(image, image.with_stem(f"{image.stem}-{number}"))
            shutil.copy(labels, labels.with_stem(f"{image.stem}-{number}"))
    return folder


def test_a_frame_that_breaks_in_the_middle_leaves_a_report_marked_as_partial(
    workspace: Workspace, engine: Engine, assets: Path, models: Path, tmp_path: Path
) -> None:
    data = many_frames(assets, tmp_path / "set", copies=8)
    last = sorted((data / "images" / "val").iterdir())[-1]
    options = {"model": models / f"{HIMAX}.tflite", "data": data, "engine": engine.name, "name": "partial"}
    process = workspace.start("verify", device=ESP, **options)
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("verify") and "frames" in line and last.stat().st_size > 1000:
            with last.open("r+b") as file:  # the same file: it may be mounted
                file.truncate(1000)
    text = "".join(lines)
    assert process.wait() == WRONG_INPUT, text
    assert f"{last.name}: truncated or damaged" in text
    page = Path(next(line.split("unfinished: ")[1].strip() for line in lines if "unfinished: " in line))
    assert "Partial: not all was measured" in page.read_text()
    found = json.loads(page.with_name("report.json").read_text())
    assert found["verdict"]["state"] == "partial"
    assert 0 < found["accuracy"]["frames"] < found["accuracy"]["of"]
    assert workspace.left_over() == []


@pytest.mark.parametrize("spoil", [lambda data: shutil.rmtree(data / "labels"), lambda data: flatten(data)])
def test_images_without_labels_give_drift_and_no_ap(
    workspace: Workspace, engine: Engine, assets: Path, models: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    data = tmp_path / "set"
    shutil.copytree(assets / "coco8-pose", data)
    spoil(data)
    weights = assets / "weights" / "yolov8n-pose-recovered.pt"
    options = {"model": models / f"{HIMAX}.tflite", "data": data, "weights": weights, "engine": engine.name}
    code, text = workspace.run("verify", device=ESP, **options)
    assert code == FITS, text
    assert "nothing is labelled in the" in text
    assert "AP is undefined" in text
    rungs = report_of(text, workspace)["accuracy"]["rungs"]
    assert all(rung["ap"] is None and rung["box_ap"] is None for rung in rungs)
    assert rungs[-1]["agreement"]["keypoint_drift_px"]["mean"] > 0


def flatten(data: Path) -> None:
    """Turn a data set into a folder of images and nothing else."""
    for image in [*(data / "images").rglob("*.jpg")]:
        shutil.move(image, data)
    for folder in ("images", "labels"):
        shutil.rmtree(data / folder)
