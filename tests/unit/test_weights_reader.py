"""Checkpoints of any ultralytics 8 are read as data, without torch."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from checkpoint_maker import DETECT, HEAD, Call, File, module, named, reader
from stage_modules import DOCKER

__all__ = ["reader"]  # a fixture
ASSETS = DOCKER.parents[1] / "shared" / "assets"


def test_a_checkpoint_is_read_without_torch(reader: SimpleNamespace, tmp_path: Path) -> None:
    file = File()
    content = {"model": file.network(), "ema": None, "version": "8.4.190", "date": "2026-11-24"}
    weights = reader.weights.read_weights(file.save(tmp_path / "best.pt", content))
    assert (weights.task, weights.names, weights.kpt_shape) == ("pose", ("person",), (17, 3))
    assert (weights.version, weights.scale) == ("8.4.190", "n")
    assert sorted(weights.tensors) == ["model.0.bn.weight", "model.0.conv.weight"]
    assert weights.tensors["model.0.conv.weight"].dtype == np.float16
    assert weights.tensors["model.0.conv.weight"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert weights.modules["model.0.bn"] == ("BatchNorm2d", {"eps": 0.001})
    assert weights.modules["model.0.conv"] == ("Conv2d", {"kernel_size": [3, 3]})
    assert "torch" not in sys.modules


def test_the_averaged_network_goes_before_the_trained_one(reader: SimpleNamespace, tmp_path: Path) -> None:
    file = File()
    content = {"model": file.network(names={0: "trained"}), "ema": file.network(names={0: "averaged"})}
    assert reader.weights.read_weights(file.save(tmp_path / "last.pt", content)).names == ("averaged",)


def test_a_network_alone_or_in_a_wrapper_is_found(reader: SimpleNamespace, tmp_path: Path) -> None:
    file = File()
    wrapped = module("DataParallel", {"module": file.network()})
    assert reader.weights.read_weights(file.save(tmp_path / "a.pt", {"model": wrapped})).task == "pose"
    bare = File()
    network = bare.network("DetectionModel", ["a", "b"], nc=2, head=[*HEAD, DETECT])
    assert reader.weights.read_weights(bare.save(tmp_path / "b.pt", network)).names == ("a", "b")


def test_equal_weights_under_two_names_have_one_digest(reader: SimpleNamespace, tmp_path: Path) -> None:
    digests = set()
    for stem in ("best", "last"):
        file = File()
        path = file.save(tmp_path / f"{stem}.pt", {"model": file.network(), "date": stem}, stem)
        digests.add(reader.weights.read_weights(path).digest)
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (np.array([[1.5, -2.0]], np.float32), "FloatStorage"),
        (np.array([3], np.int64), "LongStorage"),
        (np.array([True, False]), "BoolStorage"),
        (np.arange(6, dtype=np.float64).reshape(2, 3).T, "DoubleStorage"),
    ],
)
def test_a_tensor_keeps_its_type_shape_and_strides(
    reader: SimpleNamespace, tmp_path: Path, array: np.ndarray, kind: str
) -> None:
    file = File()
    base, stride = (array.T, (1, 3)) if array.shape == (3, 2) else (array, ())
    call = file.tensor(base, kind, offset=2)
    if stride:
        storage, offset, _, _, *rest = call.args
        call.args = (storage, offset, array.shape, stride, *rest)
    read = reader.checkpoint.read_checkpoint(file.save(tmp_path / "t.pt", {"t": call}))["t"]
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


def test_bfloat16_becomes_float32(reader: SimpleNamespace, tmp_path: Path) -> None:
    file = File()
    call = file.tensor(np.array([0x3FC0, 0xC000], np.uint16), "BFloat16Storage")
    assert reader.checkpoint.read_checkpoint(file.save(tmp_path / "b.pt", [call]))[0].tolist() == [1.5, -2.0]


def test_a_known_function_is_recorded_and_not_called(reader: SimpleNamespace, tmp_path: Path) -> None:
    file = File()
    network = file.network()
    network.detect = Call("builtins", "getattr", named("torch", "os"), "system")
    network.loaded = Call("torch.hub", "load", "evil/repo", "model")
    assert reader.weights.read_weights(file.save(tmp_path / "best.pt", {"model": network})).task == "pose"


def test_factors_and_activations_of_older_files_are_kept(reader: SimpleNamespace, tmp_path: Path) -> None:
    file = File()
    network = file.network(scales=None, depth_multiple=0.33, width_multiple=0.25, activation="torch.nn.ReLU6()")
    weights = reader.weights.read_weights(file.save(tmp_path / "old.pt", {"model": network}))
    assert (weights.yaml["width_multiple"], weights.scale) == (0.25, "")
    assert weights.yaml["activation"] == "nn.ReLU6()"


def test_a_name_of_two_lines_becomes_one(reader: SimpleNamespace, tmp_path: Path) -> None:
    file = File()
    path = file.save(tmp_path / "n.pt", {"model": file.network(names={0: "a\nb"})})
    assert reader.weights.read_weights(path).names == ("a b",)


@pytest.mark.skipif(not (ASSETS / "weights").is_dir(), reason=f"no real checkpoints in {ASSETS}")
def test_real_checkpoints_of_two_releases_hold_the_same_weights(reader: SimpleNamespace) -> None:
    names = ("best-ultralytics-8.4.190.pt", "yolov8n-pose-recovered.pt")
    newer, older = (reader.weights.read_weights(ASSETS / "weights" / name) for name in names)
    assert (newer.version, older.version) == ("8.4.190", "8.1.42")
    assert newer.digest == older.digest
    assert len(newer.tensors) == 397
