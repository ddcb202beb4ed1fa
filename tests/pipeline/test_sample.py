"""The built-in sample project, from nothing to a model file for both boards: what `make deploy` does on a new machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgewright.engine import Engine
from tests.conftest import Workspace, first_engine

AP50_WANTED = 0.4  # of the sample recipe, on its own validation split


@pytest.fixture(scope="module")
def best_engine() -> Engine:
    """Return the engine that `make deploy` would take here; one is enough for four minutes of training."""
    return first_engine()


def report(workspace: Workspace, stage: str, name: str) -> dict[str, object]:
    (path,) = (workspace.root / "build").glob(f"{stage}-*/{name}")
    found: dict[str, object] = json.loads(path.read_text())
    return found


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, best_engine: Engine) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("sample"))
    workspace.deploy("esp32s3", engine=best_engine.name)
    return workspace


def test_the_sample_is_learnt(sample: Workspace) -> None:
    metrics = report(sample, "train", "metrics.json")
    print(json.dumps(metrics, indent=2))
    assert float(str(metrics["keypoint_ap50"])) >= AP50_WANTED


def test_the_bundle_is_whole(sample: Workspace) -> None:
    bundle = sample.root / "dist" / "figures-pose-esp32s3-0.1.0"
    report = {"report.html", "report.json", "detections.json"}
    assert {path.name for path in bundle.iterdir()} == {
        "SHA256SUMS",
        "labels.txt",
        "manifest.json",
        "model.tflite",
        *report,
    }
    assert (bundle / "labels.txt").read_text() == "person\n"


def test_the_device_is_as_good_as_the_weights(sample: Workspace) -> None:
    found = json.loads((sample.root / "dist" / "figures-pose-esp32s3-0.1.0" / "report.json").read_text())
    assert found["verdict"]["state"] == "passes"
    rungs = {rung["name"]: rung for rung in found["accuracy"]["rungs"]}
    assert list(rungs) == ["torch", "decoder", "onnx", "float", "int8", "device"]
    assert rungs["torch"]["ap50"] >= AP50_WANTED
    assert rungs["device"]["ap"] >= rungs["torch"]["ap"] - 0.05
    shown = json.loads((sample.root / "dist" / "figures-pose-esp32s3-0.1.0" / "detections.json").read_text())
    assert (shown["score"], shown["kind"], len(shown["frames"])) == (50, "keypoints", found["accuracy"]["frames"])
    assert any(frame["results"] for frame in shown["frames"])
    # Up to int8 nothing is lost but in the last bits, and all of that at the decoder's rounding.
    assert rungs["onnx"]["ap"] == pytest.approx(rungs["decoder"]["ap"], abs=1e-3)
    assert rungs["float"]["ap"] == pytest.approx(rungs["decoder"]["ap"], abs=1e-3)
    assert [gate["passes"] for gate in found["accuracy"]["gates"]] == [True, True]


def test_the_other_board_shares_every_step_but_its_own(sample: Workspace, best_engine: Engine) -> None:
    code, text = sample.run("deploy", device="grove-vision-ai-v2", engine=best_engine.name)
    assert code == 0, text
    assert [line.split()[0] for line in text.splitlines() if "up to date" in line] == [
        "data",
        "train",
        "read",
        "export",
    ]
    vela = report(sample, "vela", "vela.json")
    assert set(vela["operators"]) == {"ethos-u"}, "no operator is left to the CPU"  # type: ignore[arg-type]


def test_a_second_run_does_nothing_and_says_why(sample: Workspace, best_engine: Engine) -> None:
    code, text = sample.run("deploy", device="esp32s3", engine=best_engine.name)
    assert code == 0
    steps = [line.split()[0] for line in text.splitlines() if "up to date" in line]
    assert steps == ["data", "train", "read", "export", "verify"]
    assert "nothing to do" in text


def test_a_changed_size_says_what_has_to_run(sample: Workspace, best_engine: Engine) -> None:
    code, text = sample.run("plan", device="esp32s3", imgsz=224, engine=best_engine.name)
    assert code == 0
    assert "data     will run: imgsz 192 → 224" in text
    assert "train    will run: after data" in text


@pytest.mark.parametrize("path", ["data-*/contact_sheet.png", "train-*/results.csv", "train-*/plots"])
def test_what_a_person_looks_at_is_there(sample: Workspace, path: str) -> None:
    found: list[Path] = list((sample.root / "build").glob(path))
    assert len(found) == 1
