"""Hostile, damaged and foreign weights are refused by name, and nothing in them is run."""

from __future__ import annotations

import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bounds import bounded
from checkpoint_maker import BACKBONE, Call, File, module, reader, refuse

__all__ = ["reader", "refuse"]  # fixtures


@pytest.mark.parametrize(
    ("function", "args"),
    [("os.system", ("touch {marker}",)), ("posix.system", ("touch {marker}",)), ("builtins.eval", ("open('{marker}', 'w')",)),
     ("builtins.exec", ("open('{marker}', 'w')",)), ("subprocess.check_output", (["touch", "{marker}"],)),
     ("pip._internal.main", (["install", "x"],))],
)  # fmt: skip
@pytest.mark.parametrize("beside_a_model", [False, True])
def test_a_hostile_pickle_runs_nothing_and_is_named(
    refuse: Callable[[Path], str], tmp_path: Path, function: str, args: tuple[Any, ...], beside_a_model: bool
) -> None:
    marker = tmp_path / "it-ran"
    filled = [str(arg).replace("{marker}", str(marker)) for arg in args]
    package, _, name = function.rpartition(".")
    file = File()
    content: Any = Call(package, name, *filled)
    content = {"model": file.network(), "extra": content} if beside_a_model else content
    assert f"names '{function}'" in refuse(file.save(tmp_path / "best.pt", content))
    assert not marker.exists()


def test_a_memo_index_of_two_billion_eats_no_memory(refuse: Callable[[Path], str], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        archive.writestr("m/data.pkl", b"\x80\x02Nr\xff\xff\xff\x7f.")
    with bounded():
        assert "no model in it" in refuse(tmp_path / "m.pt")


def test_modules_that_multiply_are_refused(refuse: Callable[[Path], str], tmp_path: Path) -> None:
    file = File()
    network = file.network()
    child: Any = module("Sequential")
    for _ in range(20):
        child = module("Sequential", {"0": child, "1": child})
    network._modules["bomb"] = child
    with bounded():
        assert "more than 20,000 modules" in refuse(file.save(tmp_path / "bomb.pt", {"model": network}))


def test_a_tensor_beyond_its_storage_is_refused(refuse: Callable[[Path], str], tmp_path: Path) -> None:
    file = File()
    call = file.tensor(np.zeros(4, np.float32))
    call.args = (call.args[0], 2, (4,), (1,), False, OrderedDict())
    assert "beyond its storage" in refuse(file.save(tmp_path / "t.pt", {"model": call}))


def test_a_compressed_archive_is_refused(refuse: Callable[[Path], str], tmp_path: Path) -> None:
    file = File()
    path = file.save(tmp_path / "z.pt", {"model": file.network()}, compression=zipfile.ZIP_DEFLATED)
    assert "compressed" in refuse(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "before 1.6"),
        (b"\x80\x04N.", "a bare pickle"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(20), "TFLite"),
        (b"\x08\x08\x12\x07pytorch\x1a\x052.1.2", "ONNX"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"PK\x03\x04 and then the download stopped", "cut short"),
        (b"something else", "not a checkpoint"),
    ],
)
def test_what_is_no_checkpoint_is_named(
    refuse: Callable[[Path], str], tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "best.pt"
    path.write_bytes(content)
    assert words in refuse(path)


def test_a_missing_file_and_a_truncated_one_are_named(refuse: Callable[[Path], str], tmp_path: Path) -> None:
    assert refuse(tmp_path / "none.pt") == "no such file"
    file = File()
    path = file.save(tmp_path / "Best.pt", {"model": file.network()})
    path.write_bytes(path.read_bytes()[:-40])
    assert "cut short" in refuse(path)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"word/document.xml": b"<x/>"}, "no data.pkl"),
        ({"m/data.pkl": b"\x80\x02}.", "m/constants.pkl": b"", "m/code/a.py": b""}, "TorchScript"),
        ({"m/data.pkl": b"\x80\x02}.", "m/byteorder": b"big"}, "big-endian"),
        ({"m/data.pkl": b"\x80\x02}."}, "no model in it"),
        ({"m/data.pkl": b"\x80\x02}"}, "not a checkpoint that can be read"),
    ],
)
def test_a_zip_that_is_no_checkpoint_is_named(
    refuse: Callable[[Path], str], tmp_path: Path, entries: dict[str, bytes], words: str
) -> None:
    with zipfile.ZipFile(tmp_path / "best.pt", "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    assert words in refuse(tmp_path / "best.pt")


def test_a_state_dict_is_named(refuse: Callable[[Path], str], tmp_path: Path) -> None:
    file = File()
    content = OrderedDict({"model.0.conv.weight": file.tensor(np.zeros((2, 2), np.float32))})
    assert "state_dict" in refuse(file.save(tmp_path / "best.pt", content))


def test_a_fused_model_is_named(refuse: Callable[[Path], str], tmp_path: Path) -> None:
    file = File()
    network = file.network()
    conv = network._modules["model"]._modules["0"]
    del conv._modules["bn"]
    conv._modules["conv"]._parameters["bias"] = file.tensor(np.zeros(2, np.float32))
    assert "fused" in refuse(file.save(tmp_path / "best.pt", {"model": network}))


def layers(*names: str) -> list[Any]:
    """A backbone that has these layers."""
    return [*BACKBONE, *([-1, 1, name, [64]] for name in names)]


@pytest.mark.parametrize(
    ("yaml", "words"),
    [
        ({"backbone": layers("C3k2", "C2PSA")}, "YOLO11"),
        ({"backbone": layers("C3k2", "A2C2f")}, "YOLO12"),
        ({"backbone": layers("C3k2"), "end2end": True, "reg_max": 1}, "YOLO26"),
        ({"backbone": layers("C2fCIB", "SCDown", "PSA")}, "YOLOv10"),
        ({"backbone": layers("RepNCSPELAN4", "ADown")}, "YOLOv9"),
        ({"backbone": layers("HGStem")}, "RT-DETR"),
        ({"backbone": layers("C3")}, "YOLOv5"),
        ({"backbone": layers("C2fAttn")}, "YOLO-World"),
        ({"backbone": layers("Mystery")}, "a layer 'Mystery'"),
        ({"backbone": [[-1, 1, "Conv", ["__import__('os').system('x')"]]]}, "arguments that YOLOv8 has not"),
        ({"backbone": [[-1, 10**9, "Conv", [64]]]}, "arguments that YOLOv8 has not"),
        ({"backbone": [[-1000, 1, "Conv", [64]]]}, "arguments that YOLOv8 has not"),
        ({"head": [[[0, 1, 2], 1, "Segment", ["nc", 32, 256]]]}, "segmentation"),
        ({"head": [[-1, 1, "Classify", ["nc"]]]}, "classification"),
        ({"head": [[[0, 1, 2], 1, "OBB", ["nc", 1]]]}, "oriented boxes"),
        ({"head": [[[0, 1, 2, 3], 1, "Pose", ["nc", "kpt_shape"]]]}, "4 levels"),
        ({"head": [[-1, 1, "Conv", [64]]]}, "ends in 'Conv'"),
        ({"nc": 2}, "a pose model of 2 classes"),
        ({"kpt_shape": [17, 2]}, "without visibility"),
        ({"kpt_shape": None}, "kpt_shape is None"),
        ({"activation": "__import__('os').system('x')"}, "activation"),
        ({"ch": 1}, "1 channels"),
        ({"scales": {"n": ["a", "b", "c"]}}, "no usable scale"),
        ({"scale": "z"}, "no usable scale"),
        ({"backbone": "x"}, "no yaml"),
        ({"backbone": ["x"]}, "does not list layers"),
    ],
)
def test_another_network_is_refused_by_name(
    refuse: Callable[[Path], str], tmp_path: Path, yaml: dict[str, Any], words: str
) -> None:
    file = File()
    assert words in refuse(file.save(tmp_path / "best.pt", {"model": file.network(**yaml)}))


def test_names_must_be_as_many_as_classes(refuse: Callable[[Path], str], tmp_path: Path) -> None:
    file = File()
    assert "its names are not 1 words" in refuse(
        file.save(tmp_path / "a.pt", {"model": file.network(names={0: "a", 1: "b"})})
    )
