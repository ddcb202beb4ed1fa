"""What a person types after `make deploy`: VARIABLE=value or --variable value → plan.Options, or a refusal here."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgewright import archive, folder, log, proc
from edgewright.config import Asset, Project
from edgewright.errors import WrongInput, nearest
from edgewright.plan import TYPED, Options

# Parameters of stages that have a variable of their own; the others are set in a recipe.
PARAMETERS = ("imgsz", "epochs", "batch", "seed", "gpu", "frames")

HELP: Mapping[str, str] = {
    "device": "the board: see `make devices`",
    "recipe": "what is built: a name from configs/recipes (default: the sample; with WEIGHTS= or MODEL= one for their task)",
    "weights": "your own YOLOv8 .pt, from any ultralytics 8.x, or a name from configs/assets.toml",
    "data": "your own data set: a data.yaml, a folder with images/ and labels/, or one of them as .zip, .tar, .tar.gz, .tgz",
    "model": "your own quantised .tflite; it enters after the export",
    "imgsz": "side of the square input in pixels, a multiple of 32",
    "epochs": "train for so many epochs; with WEIGHTS= it means fine-tuning them",
    "batch": "images in a training step",
    "seed": "for drawing and training",
    "gpu": "1: train on the GPU or fail; 0: on the CPU (default: 1 where a GPU is found)",
    "frames": "images of the validation split that verify measures on; 0: all (default: 256)",
    "firmware": "what runs on the board (default: the device's)",
    "name": "the bundle's name (default: that of your file, or of the recipe)",
    "engine": "docker, podman or venv (default: the first that answers)",
    "force": "1: run every step again",
    "verify_cache": "1: run what is up to date once more, and compare every output",
    "offline": "1: use no network at all",
    "vendor": "the folder that `make vendor` fills, and that a machine without a network builds from",
}
# Options of one command only.
OWN: Mapping[str, str] = {
    "upgrade": "lock: 1: to the newest that each requirements.in allows",
    "table": "lock: a file for what changed, as a Markdown table",
    "cache": "clean: 1: also what nobody has taken from the cache for 30 days",
    "port": "deploy, flash, monitor: /dev/ttyACM0, socket:// or rfc2217:// (default: the board on USB); virtual; deploy: none",
    "firmware_image": "flash: a firmware of the vendor's, written before the model",
    "view": "monitor: 1: in the browser",
    "count": "monitor: how many frames (default: until Ctrl-C)",
    "fault": "board: drop:0.001, flip:0.001, ack:0.01, slow:9600, unplug:120000, wrong-chip, full-slot, no-firmware",
    "key": "key: where to make it; release: the private key to sign with; check: the public one",
    "release": "check: the folder of a release; flash, monitor: that of a bundle",
    "json": "devices: 1: only the boards' names, as JSON",
    "against": "reproduce: the engine of the second build (default: another that answers)",
    "images": "reproduce: 1: build the images a second time, too",
}


# How this machine builds may be set once, for a session of a shell; what is built, and where it goes, is typed each time.
SESSION = ("engine", "offline", "vendor")


def parse(project: Project, raw: Mapping[str, str]) -> Options:
    """Return the options of one command; empty values count as not given."""
    given = {name: value.strip() for name, value in raw.items() if value.strip()}
    parameters = {name: given[name] for name in PARAMETERS if name in given}
    files: dict[str, Path | Asset] = {}
    for role, typed in TYPED.items():
        name = typed.lower()
        if name not in given:
            continue
        path = Path(given[name]).expanduser()
        if name == "weights" and not path.exists() and given[name] in project.assets:
            files[role] = project.assets[given[name]]
            continue
        _check_file(name, path, project)
        if name == "data" and path.is_file() and archive.is_archive(path):
            path = archive.unpack(path)
        if name == "data" and path.is_file():
            parameters["yaml"] = path.name
            path = path.parent
        if name == "data":
            folder.check(path)
        files[role] = path.resolve()
    return Options(files, parameters, _machine(), given.get("firmware", ""), _name(given.get("name", "")))


def with_environment(typed: Mapping[str, str]) -> dict[str, str]:
    """Return a command's options, as far as they were not typed those of SESSION from the environment: ENGINE=venv, exported.

    Raises WrongInput for any other that stands there: other programs give such names other meanings, and it must not be overlooked.
    """
    found = dict(typed)
    for name in typed:
        variable = name.upper()
        value = os.environ.get(variable, "").strip()
        if typed[name].strip() or not value or (name == "name" and value == socket.gethostname()):  # WSL's own NAME
            continue
        if name not in SESSION:
            raise WrongInput(
                f"{variable}={value} stands in the environment, where this option is not read",
                f"unset {variable}, or type it: make … {variable}={value}",
            )
        log.say("options", f"{variable}={value}, from the environment", "dim")
        found[name] = value
    return found


def refuse_unknown(names: list[str]) -> None:
    """Refuse variables that no task reads: `make` itself would pass over them in silence."""
    for name in names:
        if name.lower() not in {**HELP, **OWN}:
            known = {option.upper() for option in (*HELP, *OWN)}
            raise WrongInput(f"unknown option {name}", nearest(name.upper(), known))


def flag(name: str, value: str) -> bool:
    """Read an option that is 1 or 0."""
    if value not in ("", "0", "1"):
        raise WrongInput(f"{name.upper()}={value}: neither 1 nor 0", f"{name.upper()}=1")
    return value == "1"


def _check_file(name: str, path: Path, project: Project) -> None:
    where = f"{name.upper()}={path}"
    if not path.exists():
        beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        known = [*beside, *project.assets] if name == "weights" else beside
        hint = nearest(path.name, known) if known and len(known) < 200 else "check the path"
        raise WrongInput(f"{where}: no such file{' or folder' if name == 'data' else ''}", hint)
    if name == "data":
        if path.is_file() and path.suffix not in (".yaml", ".yml") and not archive.is_archive(path):
            raise WrongInput(f"{where}: neither a folder, an archive nor a data.yaml", f"DATA={path.parent}")
        return
    if path.is_dir():
        raise WrongInput(f"{where}: a folder, not a file", f"{name.upper()}={path}/…")
    if path.stat().st_size == 0:
        raise WrongInput(f"{where}: empty file (0 bytes)", "copy it again")
    if name == "model":
        with path.open("rb") as file:
            if file.read(8)[4:] != b"TFL3":  # the identifier of a TFLite flatbuffer, at byte 4
                raise WrongInput(
                    f"{where}: not a TFLite file", "MODEL= takes an int8 .tflite; weights are given with WEIGHTS="
                )


def _name(name: str) -> str:
    if name and (not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name.startswith(".")):
        raise WrongInput(f"NAME={name}: only letters, digits, - _ .", "NAME=my-model")
    return name


def _machine() -> dict[str, Any]:
    """Return the parameters that follow from this machine: with a GPU, training asks for it."""
    nvidia = shutil.which("nvidia-smi") and proc.capture(["nvidia-smi", "-L"], timeout_s=10)
    return {"gpu": True} if nvidia and nvidia[0] == 0 and "GPU" in nvidia[1] else {}
