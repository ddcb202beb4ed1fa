"""Weights of any ultralytics 8: read without running them, rebuilt in the pinned release, loaded strictly.

    read_weights(path)      needs numpy only
    build_network(weights)  needs the pinned ultralytics and its torch

Checkpoints hold pickled objects of the release that wrote them, so a newer `best.pt` does not load in an older release.
What makes up the network is in it all the same, by name: the layers' yaml, the tensors, and each module's settings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unicodedata import category

import numpy as np
from architecture import ACTIVATIONS, HEADS, HINT, check_yaml, least_parameters
from checkpoint import attributes, read_checkpoint
from numpy.typing import NDArray
from pickles import Inert
from stage import Budget, Refused, shown

if TYPE_CHECKING:
    from ultralytics.nn.tasks import DetectionModel

# A pickle of a few hundred bytes can hold one module, list or tensor at any number of places, so each place is paid for.
MODULES_MAX = 20_000  # yolov8x has under 500
DEPTH_MAX = 32  # of modules in modules, and of lists in lists; YOLOv8 has 8 and 2
SETTINGS_MAX = 4_000_000  # entries of modules and characters in them; yolov8x has 100,000
TENSOR_BYTES_MAX = 1 << 30  # of the network alone; yolov8x has 0.3 GB in float32
NAME_MAX = 200  # characters of a class or a tensor; ImageNet's longest class has 121
UNWRITTEN = frozenset({"Cc", "Cs"})  # control characters, and halves of characters that no file can hold
WRAPPERS = frozenset({"DataParallel", "DistributedDataParallel"})
# Settings that say how a module was trained, written or placed, not what it computes.
IDLE = frozenset(["training", "np", "i", "f", "type", "inplace", "legacy", "export", "dynamic", "format", "shape"])
# What later releases added to a module, and the value with which it is what it was in YOLOv8.
ADDED = {"SPPF": {"n": 3, "add": False}}


@dataclass(frozen=True)
class Weights:
    """A YOLOv8 network as data."""

    path: Path
    task: str  # "detect" or "pose"
    yaml: dict[str, Any]  # checked: only layers and arguments of YOLOv8
    names: tuple[str, ...]  # one a class
    kpt_shape: tuple[int, int] | None  # (keypoints, 3) of a pose model
    version: str  # the ultralytics that wrote the file, as it says
    tensors: dict[str, NDArray[Any]]  # by the name that state_dict() would give
    modules: dict[str, tuple[str, dict[str, Any]]]  # by the name that named_modules() would give: class and settings

    @property
    def scale(self) -> str:
        """The letter of the size: n, s, m, l, x; empty where the file gives factors instead."""
        return str(self.yaml.get("scale", ""))

    @property
    def digest(self) -> str:
        """sha256 of the tensors: a `.pt` has its own file name inside, so equal weights need not be equal files."""
        sha = hashlib.sha256()
        for name in sorted(self.tensors):
            tensor = self.tensors[name]
            sha.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            sha.update(np.ascontiguousarray(tensor).tobytes())
        return sha.hexdigest()


def read_weights(path: Path) -> Weights:
    """Read a checkpoint of ultralytics 8; refuses, in one line, whatever is no YOLOv8 detect or pose model."""
    content = read_checkpoint(path)
    network = find_network(path, content)
    modules = dict(walk(path, network))
    state = attributes(network)
    yaml = check_yaml(path, state.get("yaml"))
    paid = Budget(path, SETTINGS_MAX, "settings and characters in its modules", HINT)
    tensors = dict(named_tensors(path, modules, paid))
    if "model.0.bn.weight" not in tensors and "model.0.conv.bias" in tensors:
        raise Refused(f"{path}: fused: its batch norms are folded into the convolutions", "give the file as trained")
    return Weights(
        path=path,
        task=HEADS[yaml["head"][-1][2]],
        yaml=yaml,
        names=read_names(path, state.get("names"), yaml["nc"]),
        kpt_shape=tuple(yaml["kpt_shape"]) if "kpt_shape" in yaml else None,
        version=read_version(content),
        tensors=tensors,
        modules={name: (type(module).__name__, settings(module, paid)) for name, module in modules.items() if name},
    )


def read_version(content: Any) -> str:
    """The release that wrote the file, as it says; empty where it does not."""
    version = content.get("version", "") if isinstance(content, dict) else ""
    return version[:40] if isinstance(version, str) else ""


def members(module: Any, group: str) -> dict[Any, Any]:
    """One of the tables of a recorded module, `_modules`, `_parameters` or `_buffers`; empty where it has none."""
    table = attributes(module).get(group)
    return table if isinstance(table, dict) else {}


def find_network(path: Path, content: Any) -> Inert:
    """The recorded network in a checkpoint: its averaged copy where it has one, as ultralytics prefers it."""
    if isinstance(content, dict):
        if any(isinstance(value, np.ndarray) for value in content.values()):
            raise Refused(f"{path}: a state_dict, only tensors: it does not say of which network", HINT)
        content = content.get("ema") or content.get("model")
    if type(content).__name__ in WRAPPERS:
        content = members(content, "_modules").get("module")
    if isinstance(content, Inert) and type(content).__module__.startswith("models."):
        raise Refused(f"{path}: a model of the YOLOv5 repository, not YOLOv8", HINT)
    if not isinstance(content, Inert) or not isinstance(attributes(content).get("_modules"), dict):
        raise Refused(f"{path}: a pickle, but no model in it", HINT)
    return content


def walk(path: Path, network: Inert) -> Iterator[tuple[str, Inert]]:
    """Every module with its dotted name, the network itself first under the name ''."""
    stack, count = [("", network)], Budget(path, MODULES_MAX, "modules", HINT)
    while stack:
        name, module = stack.pop()
        yield name, module
        children = members(module, "_modules")
        count.spend(len(children))
        stack += [(joined(path, name, key), child) for key, child in children.items() if isinstance(child, Inert)]


def joined(path: Path, prefix: str, key: Any) -> str:
    """The dotted name of what a module holds under `key`."""
    name = f"{prefix}.{key}".lstrip(".") if isinstance(key, str) else ""
    if not name.isascii() or not 0 < len(name) <= NAME_MAX:
        raise Refused(f"{path}: has {shown(key)} in '{prefix:.60}', which no network of ultralytics has", HINT)
    if name.count(".") >= DEPTH_MAX:
        raise Refused(f"{path}: has modules in modules, more than {DEPTH_MAX} deep", HINT)
    return name


def named_tensors(path: Path, modules: dict[str, Inert], paid: Budget) -> Iterator[tuple[str, NDArray[Any]]]:
    """Every tensor by the name that state_dict() would give."""
    unpacked = Budget(path, TENSOR_BYTES_MAX, "bytes of tensors in its network", HINT)
    for prefix, module in modules.items():
        for table in (members(module, group) for group in ("_parameters", "_buffers")):
            paid.spend(len(table))
            for key, tensor in table.items():
                if isinstance(tensor, np.ndarray):
                    unpacked.spend(tensor.nbytes)
                    yield joined(path, prefix, key), tensor


def settings(module: Inert, paid: Budget) -> dict[str, Any]:
    """The attributes that say what a module computes: numbers, flags, words, and lists of these (tuples as lists)."""
    own = attributes(module)
    paid.spend(len(own))
    found: dict[str, Any] = {}
    for key, value in own.items():
        if isinstance(key, str) and key not in IDLE and not key.startswith("_"):
            paid.spend(len(key))
            is_plain, copy = as_plain(value, paid)
            found |= {key: copy} if is_plain else {}
    return found


def as_plain(value: Any, paid: Budget, depth: int = 0) -> tuple[bool, Any]:
    """Whether a value is plain, and a copy if it is."""
    if not isinstance(value, (tuple, list)):
        paid.spend(len(value) if isinstance(value, str) else 1)
        return value is None or type(value) in (int, float, bool, str), value
    if depth > DEPTH_MAX:
        raise Refused(f"{paid.where}: an attribute with lists in lists, more than {DEPTH_MAX} deep", HINT)
    paid.spend(len(value))
    copies = []
    for item in value:
        is_plain, copy = as_plain(item, paid, depth + 1)
        if not is_plain:
            return False, None
        copies.append(copy)
    return True, copies


def read_names(path: Path, names: Any, nc: int) -> tuple[str, ...]:
    """The class names in order, from {0: "person"} or ["person"]; each one line of text."""
    if isinstance(names, dict):
        names = [names.get(index) for index in range(len(names))]
    if not isinstance(names, list) or len(names) != nc or not all(isinstance(name, str) for name in names):
        raise Refused(f"{path}: its names are not {nc} words", "train again with names: in data.yaml")
    if longest := next((name for name in names if len(name) > NAME_MAX), ""):
        raise Refused(f"{path}: a class has a name of {len(longest):,} characters; {NAME_MAX} are read", HINT)
    names = [" ".join(name.split()) for name in names]
    if odd := next((name for name in names if any(category(letter) in UNWRITTEN for letter in name)), ""):
        raise Refused(f"{path}: a class is called {shown(odd)}", "train again with names: in data.yaml")
    return tuple(names)


def build_network(weights: Weights) -> DetectionModel:
    """The network in the pinned ultralytics, with these weights in float32, in evaluation mode.

    Every tensor must be there, of the right shape, and no other; every setting of every module must be the same.
    """
    import torch
    from ultralytics.nn.tasks import DetectionModel, PoseModel

    refuse_oversized(weights)
    kind = PoseModel if weights.task == "pose" else DetectionModel
    network = kind(deepcopy(weights.yaml), ch=3, verbose=False)
    follow_release(network, weights)
    check_tensors(weights, {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()})
    check_settings(weights, network)
    network.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in weights.tensors.items()}, strict=True)
    if network.stride.tolist() != [8.0, 16.0, 32.0]:
        raise Refused(f"{weights.path}: predicts at strides {network.stride.tolist()}, not 8, 16, 32", HINT)
    network.names = dict(enumerate(weights.names))
    network.task = weights.task
    return network.float().eval()


def refuse_oversized(weights: Weights) -> None:
    """Refuse a yaml that asks for more than the file holds: a few kilobytes of it would build hundreds of gigabytes."""
    asked, held = least_parameters(weights.yaml), sum(tensor.size for tensor in weights.tensors.values())
    if asked > held:
        raise Refused(f"{weights.path}: its yaml asks for {asked:,} weights, and it holds {held:,}", HINT)


def follow_release(network: DetectionModel, weights: Weights) -> None:
    """Change in a freshly built network what the release that wrote the file built differently from the same yaml."""
    from torch import nn

    head: Any = network.model[-1]
    if f"model.{head.i}.cv3.0.0.0.conv.weight" in weights.tensors:
        separate_scores(head)
    for name, module in list(network.named_modules()):
        if hasattr(module, "act"):  # 8.4.0 has an SPPF whose first convolution has no activation
            module.act = recorded_activation(weights, f"{name}.act", nn)


def separate_scores(head: Any) -> None:
    """Give a head the depthwise class branch of YOLO11: 8.3.0 and the releases after it built YOLOv8 with that, too."""
    from torch import nn
    from ultralytics.nn.modules.conv import Conv, DWConv

    for level, branch in enumerate(head.cv3):
        inputs, middle = branch[0].conv.in_channels, branch[0].conv.out_channels
        first = nn.Sequential(DWConv(inputs, inputs, 3), Conv(inputs, middle, 1))
        second = nn.Sequential(DWConv(middle, middle, 3), Conv(middle, middle, 1))
        head.cv3[level] = nn.Sequential(first, second, branch[2])
    for norm in head.cv3.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.eps, norm.momentum = 1e-3, 0.03  # as initialize_weights() of ultralytics sets them


def check_tensors(weights: Weights, wanted: dict[str, tuple[int, ...]]) -> None:
    """The file's tensors are exactly those of the network."""
    given = {name: tensor.shape for name, tensor in weights.tensors.items()}
    for name in sorted(wanted.keys() | given.keys()):
        if name not in given:
            raise Refused(f"{weights.path}: lacks the tensor '{name}' that its yaml asks for", HINT)
        if name not in wanted:
            raise Refused(f"{weights.path}: has a tensor '{name}' that YOLOv8 has not", HINT)
        if wanted[name] != given[name]:
            shapes = f"{list(given[name])}, not {list(wanted[name])}"
            raise Refused(f"{weights.path}: its tensor '{name}' has the shape {shapes}", HINT)


def recorded_activation(weights: Weights, name: str, nn: Any) -> Any:
    """A fresh activation of the class that the file has under this name."""
    kind, own = weights.modules.get(name, ("nothing", {}))
    if kind not in ACTIVATIONS:
        raise Refused(f"{weights.path}: its '{name}' is {kind}", f"one of {', '.join(sorted(ACTIVATIONS))}")
    slope = {key: own[key] for key in ("negative_slope",) if key in own}
    return getattr(nn, kind)(**slope)


def check_settings(weights: Weights, network: DetectionModel) -> None:
    """Each module has the class and the settings (kernel, padding, eps, shortcut, …) that it had when it was trained."""
    for name, module in network.named_modules():
        if not name:
            continue
        kind, own = weights.modules.get(name, ("nothing", {}))
        if kind != type(module).__name__:
            raise Refused(f"{weights.path}: its '{name}' is {kind}, in YOLOv8 {type(module).__name__}", HINT)
        for key, value in own.items():
            here = getattr(module, key, ADDED.get(kind, {}).get(key, value))
            here = list(here) if isinstance(here, tuple) else here
            if here != value:
                raise Refused(f"{weights.path}: its '{name}' has {key} = {shown(value)}, in YOLOv8 {shown(here)}", HINT)
