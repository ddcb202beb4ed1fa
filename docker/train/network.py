"""Where the training starts from, and the file that it ends in."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from dataset import DataSet
from stage import Refused
from torch import nn
from ultralytics import __version__
from ultralytics.nn.tasks import DetectionModel, PoseModel, yaml_model_load
from weights import Weights, read_weights, recorded_activation, refuse_oversized, separate_scores

SMALLEST = {"pose": "yolov8n-pose.yaml", "detect": "yolov8n.yaml"}


@dataclass(frozen=True)
class Start:
    """An architecture, and weights to begin with (None: a random start)."""

    name: str  # for people: 'yolov8n-pose.yaml', 'best.pt'
    yaml: Mapping[str, Any]
    weights: Weights | None = None


def read_start(task: str, model: str, weights: Path | None) -> Start:
    """Read the user's weights, which must be of the task, or take one of ultralytics' architectures."""
    if weights is not None:
        found = read_weights(weights)
        if found.task != task:
            raise Refused(
                f"{weights.name} is a {found.task} model, and the recipe trains {task}",
                hint=f"give weights of a {task} model, or take a recipe for {found.task}: RECIPE=figures-{found.task}",
            )
        refuse_oversized(found)
        return Start(weights.name, found.yaml, found)
    name = model or SMALLEST[task]
    if name.endswith("-pose.yaml") != (task == "pose"):
        raise Refused(f"[train] model = '{name}' is not for {task}", hint=f"model = '{SMALLEST[task]}'")
    return Start(name, yaml_model_load(name))


def build(task: str, data: DataSet, start: Start) -> DetectionModel:
    """Build a network of the start's architecture for the data set's classes and keypoints, with random weights."""
    yaml = deepcopy(dict(start.yaml))
    if task == "pose":
        model = PoseModel(yaml, nc=len(data.names), data_kpt_shape=[data.keypoints, 3], verbose=False)
        model.kpt_shape = [data.keypoints, 3]
    else:
        model = DetectionModel(yaml, nc=len(data.names), verbose=False)
    if start.weights is not None:
        _follow(model, start.weights)
    model.names, model.nc, model.task = data.names, len(data.names), task
    return model


def transfer(model: nn.Module, start: Start) -> int:
    """Give the network those tensors that it has under the same name and in the same shape; return how many.

    With other classes or keypoints, the last layers of the head do not fit and stay random, as in ultralytics.
    """
    given = start.weights.tensors if start.weights else {}
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    fitting = {name: torch.from_numpy(array) for name, array in given.items() if wanted.get(name) == array.shape}
    model.load_state_dict(fitting, strict=False)
    return len(fitting)


def write(file: Path, model: nn.Module, train_args: Mapping[str, Any]) -> None:
    """Write a checkpoint that ultralytics 8.x loads: no dates, no paths, no optimizer, and the same bytes each time.

    `torch.save` puts the stem of a file's name into the file, but not that of a buffer; and ultralytics replaces it by
    a version that pickles with dill where dill is installed.
    """
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.args = dict(train_args)
    content = {
        "epoch": -1,  # means: finished
        "model": model.half(),
        "train_args": dict(train_args),
        "version": __version__,
        "license": "AGPL-3.0 (https://ultralytics.com/license)",
        "docs": "https://docs.ultralytics.com",
    }
    buffer = io.BytesIO()
    torch.save(content, buffer, pickle_module=pickle)
    file.write_bytes(buffer.getvalue())


def _follow(model: DetectionModel, weights: Weights) -> None:
    """Change what newer releases build differently from the same yaml, as `weights.build_network` does."""
    if "model.22.cv3.0.0.0.conv.weight" in weights.tensors:
        separate_scores(model.model[-1])
    for name, module in list(model.named_modules()):
        if hasattr(module, "act"):
            module.act = recorded_activation(weights, f"{name}.act", nn)
