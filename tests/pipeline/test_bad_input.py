"""What a user can get wrong, through the real commands: one clear line, a hint, the right exit code, nothing half-written."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgewright.engine import Engine
from tests.conftest import Workspace, engine_or_skip, first_engine

WRONG_INPUT, ENGINE_MISSING, STAGE_FAILED = 2, 3, 4


@pytest.fixture(scope="module")
def engine() -> Engine:
    """Return one engine: what is refused is refused in the stage, and the same in all."""
    return first_engine()


def refused(workspace: Workspace, code: int, message: str, hint: str, **options: object) -> None:
    """Deploy and expect one `error:` and one ` hint:`, and no trace of the attempt."""
    found, text = workspace.run("deploy", **{"device": "esp32s3", **options})
    errors = [line for line in text.splitlines() if line.startswith("error: ")]
    hints = [line for line in text.splitlines() if line.startswith(" hint: ")]
    assert found == code, text
    assert len(errors) == len(hints) == 1, text
    assert message in errors[0]
    assert hint in hints[0]
    assert "Traceback" not in text
    assert workspace.left_over() == []


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"device": "esp32"}, "unknown device 'esp32'", "perhaps you meant 'esp32s3'"),
        ({"device": ""}, "which board?", "DEVICE=esp32s3"),
        ({"recipe": "figure-pose"}, "unknown recipe 'figure-pose'", "perhaps you meant 'figures-pose'"),
        ({"firmware": "esp32s3-sscma-1"}, "unknown firmware", "perhaps you meant 'esp32s3-sscma-1.x'"),
        ({"engine": "dockr"}, "unknown engine 'dockr'", "perhaps you meant 'docker'"),
        ({"weights": "absent.pt"}, "WEIGHTS=absent.pt: no such file", "known:"),
        ({"weights": "yolov8-pose"}, "WEIGHTS=yolov8-pose: no such file", "perhaps you meant 'yolov8n-pose'"),
        ({"imgsz": "100"}, "IMGSZ=100: not a multiple of 32", "IMGSZ=96"),
        ({"imgsz": "192x160"}, "IMGSZ=192x160: not square", "IMGSZ=192"),
        ({"model": "README.md"}, "MODEL=README.md: not a TFLite file", "WEIGHTS="),
        ({"data": "README.md"}, "DATA=README.md: neither a folder, an archive nor a data.yaml", "DATA="),
        ({"force": "yes"}, "FORCE=yes: neither 1 nor 0", "FORCE=1"),
        ({"name": "a/b"}, "NAME=a/b: only letters", "NAME="),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_option_that_cannot_be_meant(workspace: Workspace, options: dict[str, str], message: str, hint: str) -> None:
    refused(workspace, WRONG_INPUT, message, hint, **options)


def test_make_refuses_a_variable_that_nothing_reads(workspace: Workspace) -> None:
    if not (workspace.root / ".venv").exists():
        (workspace.root / ".venv").symlink_to(sys.prefix)
    done = subprocess.run(
        ["make", "-s", "plan", "DEVICE=esp32s3", "IMGZS=192"],
        cwd=workspace.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2  # make's own code for a recipe that failed
    assert "error: unknown option IMGZS\n hint: perhaps you meant 'IMGSZ'\n" in done.stderr


# --- weights ----------------------------------------------------------------------------------------------------------


def _empty(path: Path, _: bytes) -> None:
    path.touch()


def _truncated(path: Path, real: bytes) -> None:
    path.write_bytes(real[: len(real) // 2])


def _pickle(path: Path, _: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("best/data.pkl", pickle.dumps({"answer": 42}, protocol=2))
        archive.writestr("best/version", "3\n")


def _text(path: Path, _: bytes) -> None:
    path.write_text("weights\n")


class _Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch hostile-was-here",)


def _hostile(path: Path, _: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("best/data.pkl", pickle.dumps({"model": _Hostile()}, protocol=2))
        archive.writestr("best/version", "3\n")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_empty, "empty file (0 bytes)"),
        (_truncated, "best.pt: cut short or damaged"),
        (_pickle, "best.pt: a pickle, but no model in it"),
        (_text, "best.pt: not a checkpoint of PyTorch"),
        (_hostile, "posix.system"),
    ],
)
def test_weights_that_are_none(
    workspace: Workspace,
    engine: Engine,
    assets: Path,
    tmp_path: Path,
    make: Callable[[Path, bytes], None],
    message: str,
) -> None:
    path = tmp_path / "best.pt"
    make(path, (assets / "weights" / "yolov8n-pose-recovered.pt").read_bytes())
    refused(workspace, WRONG_INPUT, message, "", weights=path, data=assets / "coco8-pose", engine=engine.name)
    assert not list(workspace.root.rglob("hostile-was-here"))


def test_weights_of_todays_ultralytics_are_taken(workspace: Workspace, engine: Engine, assets: Path) -> None:
    own, todays = (assets / "weights" / name for name in ("yolov8n-pose-recovered.pt", "best-ultralytics-8.4.190.pt"))
    options = {"data": assets / "coco8-pose", "engine": engine.name, "name": "today"}
    workspace.deploy("esp32s3", weights=own, **options)
    code, text = workspace.run("deploy", device="esp32s3", weights=todays, **options)
    assert code == 0, text
    # Another file of another release, the same tensors: what follows the reading is the same work.
    assert "read     runs: weights changed" in text or "read     up to date" in text
    assert "export   up to date" in text


# --- data -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path, assets: Path) -> Path:
    """Return a copy of a real data set, to be spoilt."""
    shutil.copytree(assets / "coco8-pose", tmp_path / "data")
    return tmp_path / "data"


def _no_val(data: Path) -> None:
    shutil.rmtree(data / "images" / "val")


def _broken_image(data: Path) -> None:
    path = next((data / "images" / "train").iterdir())
    path.write_bytes(path.read_bytes()[:1000])


def _outside_its_range(data: Path) -> None:
    path = next(path for path in sorted((data / "labels" / "train").iterdir()) if path.stat().st_size)
    path.write_text(path.read_text().replace("0 ", "7 ", 1))


def _without_visibility(data: Path) -> None:
    (data / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [person]\nkpt_shape: [17, 2]\n")


def _two_classes(data: Path) -> None:
    (data / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [a, b]\nkpt_shape: [17, 3]\n")


def _download(data: Path) -> None:
    (data / "data.yaml").write_text(
        "train: images/train\nval: images/val\nnames: [person]\nkpt_shape: [17, 3]\ndownload: import os\n"
    )


def _outside(data: Path) -> None:
    (data / "data.yaml").write_text(
        "path: /etc\ntrain: images/train\nval: images/val\nnames: [a]\nkpt_shape: [17, 3]\n"
    )


def _linked(data: Path) -> None:
    image = next((data / "images" / "train").iterdir())
    image.unlink()
    image.symlink_to("/etc/hostname")


def _same_name(data: Path) -> None:
    image = next((data / "images" / "train").iterdir())
    shutil.copy(image, image.with_name(image.name.replace(".jpg", ".JPG")))


def _pipe(data: Path) -> None:
    os.mkfifo(data / "images" / "train" / "x.jpg")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_pipe, "neither a file nor a folder"),
        (_linked, "a link "),
        (_same_name, "are one name on other systems"),
        (_no_val, "images/val: no validation images"),
        (_broken_image, "truncated or damaged"),
        (_outside_its_range, "8 classes; pose firmware knows 1"),
        (_without_visibility, "data.yaml: 2 numbers for a keypoint"),
        (_two_classes, "data.yaml: 2 classes"),
        (_download, "data.yaml: 'download'"),
        (_outside, "data.yaml: path leads outside"),
    ],
)
def test_a_data_set_that_cannot_be_used(
    workspace: Workspace, engine: Engine, assets: Path, data: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(data)
    weights = assets / "weights" / "yolov8n-pose-recovered.pt"
    refused(workspace, WRONG_INPUT, message, "", weights=weights, data=data, engine=engine.name)


def test_an_archive_that_would_write_elsewhere(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("../x", "x")
    refused(workspace, WRONG_INPUT, "leads out of the archive", "", data=path, engine="venv")


@pytest.mark.parametrize("name", ["docker", "venv"])
def test_a_gpu_that_is_not_there_is_never_replaced_by_the_cpu(workspace: Workspace, assets: Path, name: str) -> None:
    engine = engine_or_skip(name)
    if shutil.which("nvidia-smi"):
        pytest.skip("this machine has a GPU")
    weights = {"weights": assets / "weights" / "yolov8n-pose-recovered.pt", "data": assets / "coco8-pose"}
    code = ENGINE_MISSING if engine.hermetic else WRONG_INPUT
    refused(workspace, code, "a GPU was asked for", "GPU=0", **weights, epochs=1, gpu=1, engine=engine.name)


# --- the machine ------------------------------------------------------------------------------------------------------


def test_an_engine_that_is_not_running(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    engine_or_skip("docker")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    refused(workspace, ENGINE_MISSING, "docker", "ENGINE=venv", engine="docker")


@pytest.mark.parametrize("name", ["docker", "venv"])
def test_no_network_while_an_environment_is_built(
    fresh: Callable[[str], Workspace], assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    engine_or_skip(name)
    workspace = fresh("offline")
    # Another fingerprint, so that the environment has to be built, and an index that nobody answers for.
    (workspace.root / "docker" / "vela" / "main.py").open("a").write(f"# {tmp_path}\n")
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = http://127.0.0.1:9/simple\nretries = 0\n")
    monkeypatch.setenv("EDGEWRIGHT_PIP_CONF", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("UV_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    (workspace.root / "docker" / "vela" / "requirements.txt").open("a").write("\n")
    (workspace.root / "docker" / "vela" / "build-requirements.txt").open("a").write("\n")
    model = assets / "himax" / "yolov8n-pose_192_full_integer_quant.tflite"
    refused(
        workspace,
        STAGE_FAILED,
        "vela: no network while the environment is built",
        "make doctor",
        device="grove-vision-ai-v2",
        model=model,
        engine=name,
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a disk of 1 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    ).returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk(fresh: Callable[[str], Workspace], engine: Engine, assets: Path, small_disk: Path) -> None:
    workspace = fresh("full")
    (workspace.root / "build").symlink_to(small_disk)
    model = assets / "himax" / "yolov8n-pose_192_full_integer_quant.tflite"
    refused(
        workspace,
        STAGE_FAILED,
        "the disk is full",
        "make clean",
        device="grove-vision-ai-v2",
        model=model,
        engine=engine.name,
    )
