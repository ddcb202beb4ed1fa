"""The canonical file of a network: its bytes follow the tensors and the architecture, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from checkpoint_maker import File
from stage_modules import DOCKER, imported

ASSETS = DOCKER.parents[1] / "shared" / "assets"
# Also what numpy 1.24 of the export's environment writes; another value makes every user's export run again.
PINNED = "758b94914238c7f31ffb57595ed17a80ffb2346d5518327c381496c9fcc329cf"


@pytest.fixture(scope="module")
def reader() -> Iterator[SimpleNamespace]:
    """The modules under test as attributes."""
    with imported(("stage", "pickles", "checkpoint", "architecture", "weights", "canonical")) as modules:
        yield modules


def read(reader: SimpleNamespace, path: Path, **content: Any) -> Any:
    """The weights of a small checkpoint saved at that path, under the stem's name."""
    file = File()
    return reader.weights.read_weights(file.save(path, {"model": file.network(), **content}, path.stem))


def written(reader: SimpleNamespace, weights: Any, path: Path) -> bytes:
    reader.canonical.write_network(path, weights)
    return path.read_bytes()


def test_equal_tensors_under_another_name_and_with_other_training_arguments_give_equal_bytes(
    reader: SimpleNamespace, tmp_path: Path
) -> None:
    best = read(reader, tmp_path / "best.pt", date="2026-11-24", version="8.4.190", train_args={"epochs": 3})
    last = read(reader, tmp_path / "last.pt", date="2025-01-01", version="8.1.42", optimizer={"lr": 0.1})
    assert best.path.read_bytes() != last.path.read_bytes()
    assert written(reader, best, tmp_path / "a.npz") == written(reader, last, tmp_path / "b.npz")


def test_the_order_of_tensors_and_modules_does_not_matter(reader: SimpleNamespace, tmp_path: Path) -> None:
    weights = read(reader, tmp_path / "best.pt")
    turned = {name: dict(reversed(getattr(weights, name).items())) for name in ("tensors", "modules", "yaml")}
    assert written(reader, weights, tmp_path / "a") == written(reader, replace(weights, **turned), tmp_path / "b")


def test_one_bit_of_a_tensor_a_name_or_a_setting_gives_other_bytes(reader: SimpleNamespace, tmp_path: Path) -> None:
    weights = read(reader, tmp_path / "best.pt")
    tensor = weights.tensors["model.0.conv.weight"].copy()
    tensor.view(np.uint8)[0, 0] ^= 1
    others = [
        replace(weights, tensors={**weights.tensors, "model.0.conv.weight": tensor}),
        replace(weights, names=("dog",)),
        replace(weights, modules={**weights.modules, "model.0.bn": ("BatchNorm2d", {"eps": 1e-5})}),
        replace(weights, yaml={**weights.yaml, "activation": "nn.ReLU()"}),
    ]
    assert len({written(reader, each, tmp_path / "n.npz") for each in [weights, *others]}) == 5


def test_a_setting_of_later_releases_that_changes_nothing_is_left_out(reader: SimpleNamespace, tmp_path: Path) -> None:
    weights = read(reader, tmp_path / "best.pt")
    files = set()
    for added in ({}, {"n": 3, "add": False}, {"n": 3, "add": True}):
        changed = replace(weights, modules={**weights.modules, "model.2": ("SPPF", added)})
        files.add(written(reader, changed, tmp_path / "n.npz"))
    assert len(files) == 2


def test_the_bytes_are_the_same_with_every_numpy(reader: SimpleNamespace, tmp_path: Path) -> None:
    weights = read(reader, tmp_path / "best.pt")
    tensors = {"a": np.array([[1, 2], [3, 4]], ">f4").T, "b": np.array(7), "c": np.array([0.5], np.float16)}
    file = written(reader, replace(weights, tensors=tensors), tmp_path / "network.npz")
    assert hashlib.sha256(file).hexdigest() == PINNED


def test_what_was_written_is_read_back(reader: SimpleNamespace, tmp_path: Path) -> None:
    weights = read(reader, tmp_path / "best.pt", version="8.4.190")
    path = tmp_path / "network.npz"
    reader.canonical.write_network(path, weights)
    back = reader.canonical.read_network(path)
    assert replace(back, tensors={}) == replace(weights, tensors={}, path=path, version="")
    assert back.tensors.keys() == weights.tensors.keys()
    for name, tensor in weights.tensors.items():
        assert (back.tensors[name].dtype, back.tensors[name].shape) == (tensor.dtype, tensor.shape)
        np.testing.assert_array_equal(back.tensors[name], tensor)
    with np.load(path, allow_pickle=False) as arrays:  # anybody's numpy can open it
        assert arrays["tensors/model.0.conv.weight"].dtype == np.float16


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "missing"])
def test_a_damaged_file_is_refused_in_one_line(reader: SimpleNamespace, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "network.npz"
    content = bytearray(written(reader, read(reader, tmp_path / "best.pt"), path))
    if damage == "flipped":
        content[content.index(b"\x93NUMPY") + 130] ^= 1
    path.write_bytes({"cut": content[:-100], "empty": b""}.get(damage, content))
    if damage == "missing":
        path.unlink()
    with pytest.raises(reader.stage.Refused, match=r"network\.npz: not a network that stage read wrote") as refusal:
        reader.canonical.read_network(path)
    assert "\n" not in str(refusal.value)


def test_a_file_that_lacks_a_tensor_is_refused(reader: SimpleNamespace, tmp_path: Path) -> None:
    weights = read(reader, tmp_path / "best.pt")
    path = tmp_path / "network.npz"
    fewer = {name: tensor for name, tensor in weights.tensors.items() if name != "model.0.bn.weight"}
    told = reader.canonical.architecture(weights)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader.canonical, "architecture", lambda _: told)
        reader.canonical.write_network(path, replace(weights, tensors=fewer))
    with pytest.raises(reader.stage.Refused, match="not those that were written"):
        reader.canonical.read_network(path)


def test_a_tensor_with_a_name_that_leaves_the_archive_is_refused(reader: SimpleNamespace, tmp_path: Path) -> None:
    weights = read(reader, tmp_path / "best.pt")
    hostile = replace(weights, tensors={**weights.tensors, "../x\n": np.zeros(1)})
    with pytest.raises(reader.stage.Refused, match="that YOLOv8 has not"):
        reader.canonical.write_network(tmp_path / "network.npz", hostile)
    assert not (tmp_path / "network.npz").exists()


@pytest.mark.skipif(not (ASSETS / "weights").is_dir(), reason=f"no real checkpoints in {ASSETS}")
def test_real_checkpoints_of_two_releases_give_one_file(reader: SimpleNamespace, tmp_path: Path) -> None:
    names = ("best-ultralytics-8.4.190.pt", "yolov8n-pose-recovered.pt")
    weights = [reader.weights.read_weights(ASSETS / "weights" / name) for name in names]
    assert written(reader, weights[0], tmp_path / "a.npz") == written(reader, weights[1], tmp_path / "b.npz")
