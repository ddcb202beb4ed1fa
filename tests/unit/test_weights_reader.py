"""Checkpoints of any ultralytics 8 are read as data, without torch; hostile, damaged and foreign files are refused by name."""

from __future__ import annotations

import importlib
import io
import os
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

DOCKER = Path(__file__).parents[2] / "docker"
MODULES = ("stage", "checkpoint", "architecture", "weights")
BACKBONE = [
    [-1, 1, "Conv", [64, 3, 2]], [-1, 3, "C2f", [128, True]], [-1, 1, "SPPF", [1024, 5]],
]  # fmt: skip
HEAD = [[-1, 1, "nn.Upsample", ["None", 2, "nearest"]], [[-1, 1], 1, "Concat", [1]]]
POSE = [[0, 1, 2], 1, "Pose", ["nc", "kpt_shape"]]
DETECT = [[0, 1, 2], 1, "Detect", ["nc"]]


@pytest.fixture(scope="module")
def reader() -> Iterator[SimpleNamespace]:
    """The modules under test; afterwards their names are free for another stage's modules."""
    before = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    sys.path.insert(0, str(DOCKER))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    finally:
        sys.path.remove(str(DOCKER))
        for name in MODULES:
            sys.modules.pop(name, None)
        sys.modules.update(before)


class Stored:
    """Something that the pickle holds as a persistent id: one storage."""

    def __init__(self, pid: tuple[Any, ...]) -> None:
        self.pid = pid


class Writer(pickle._Pickler):  # type: ignore[misc]  # the one in Python can be told what to do
    """Pickles stand-ins for classes and functions of torch and ultralytics under their names."""

    def persistent_id(self, obj: Any) -> Any:
        return obj.pid if isinstance(obj, Stored) else None

    def save_global(self, obj: Any, name: str | None = None) -> None:
        self.write(pickle.GLOBAL + f"{obj.__module__}\n{obj.__qualname__}\n".encode())
        self.memoize(obj)

    dispatch = {**pickle._Pickler.dispatch, type: save_global}  # noqa: RUF012


def named(module: str, name: str) -> type:
    """A class with a foreign name."""
    return type(name, (), {"__module__": module, "__qualname__": name})


class Call:
    """Pickled as the call of a named function."""

    def __init__(self, module: str, name: str, *args: Any) -> None:
        self.function, self.args = named(module, name), args

    def __reduce__(self) -> Any:
        return self.function, self.args


def module(kind: str, children: dict[str, Any] | None = None, tensors: dict[str, Any] | None = None, **own: Any) -> Any:
    """An nn.Module as ultralytics pickles it."""
    package = "ultralytics.nn.tasks" if kind.endswith("Model") else "ultralytics.nn.modules"
    thing = named(package, kind)()
    state = {
        "training": False,
        "_parameters": OrderedDict(tensors or {}),
        "_buffers": {},
        "_modules": OrderedDict(children or {}),
    }
    thing.__dict__.update(state | own)
    return thing


class File:
    """Builds one checkpoint: tensors first, then everything around them."""

    def __init__(self) -> None:
        self.storages: list[np.ndarray] = []

    def tensor(
        self, array: np.ndarray, kind: str = "FloatStorage", offset: int = 0, stride: tuple[int, ...] = ()
    ) -> Call:
        """A tensor over a storage of its own."""
        steps = stride or tuple(step // array.itemsize for step in array.strides)
        pid = ("storage", named("torch", kind), str(len(self.storages)), "cpu", array.size + offset)
        self.storages.append(np.concatenate([np.zeros(offset, array.dtype), array.ravel()]))
        return Call("torch._utils", "_rebuild_tensor_v2", Stored(pid), offset, array.shape, steps, False, OrderedDict())

    def network(self, kind: str = "PoseModel", names: Any = None, **yaml: Any) -> Any:
        """A network of one convolution with the yaml of a YOLOv8 pose model, changed by `yaml`."""
        content = {"nc": 1, "kpt_shape": [17, 3], "scales": {"n": [0.33, 0.25, 1024]}, "scale": "n", "ch": 3}
        content |= {"backbone": BACKBONE, "head": [*HEAD, POSE]} | yaml
        weight = self.tensor(np.arange(8, dtype=np.float16).reshape(2, 4), "HalfStorage")
        norm = module("BatchNorm2d", tensors={"weight": self.tensor(np.ones(2, np.float32))}, eps=0.001)
        conv = module("Conv", {"conv": module("Conv2d", tensors={"weight": weight}, kernel_size=(3, 3)), "bn": norm})
        return module(kind, {"model": module("Sequential", {"0": conv})}, yaml=content, names=names or {0: "person"})

    def save(self, path: Path, content: Any, stem: str = "best", compression: int = zipfile.ZIP_STORED) -> Path:
        """Write the archive as torch.save does."""
        pickled = io.BytesIO()
        Writer(pickled, protocol=2).dump(content)
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr(f"{stem}/data.pkl", pickled.getvalue())
            archive.writestr(f"{stem}/byteorder", "little")
            for index, storage in enumerate(self.storages):
                archive.writestr(f"{stem}/data/{index}", storage.tobytes())
        return path


@pytest.fixture
def refuse(reader: SimpleNamespace) -> Callable[[Path], str]:
    """Read a file that must be refused; return the one line that says why, without the path."""

    def refused(path: Path) -> str:
        with pytest.raises(reader.stage.Refused) as caught:
            reader.weights.read_weights(path)
        message = str(caught.value)
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        assert caught.value.hint
        return message.removeprefix(f"{path}: ")

    return refused


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
    assert "torch" not in sys.modules or isinstance(sys.modules["torch"], ModuleType)


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


def test_a_known_function_is_recorded_and_not_called(reader: SimpleNamespace, tmp_path: Path) -> None:
    file = File()
    network = file.network()
    network.detect = Call("builtins", "getattr", named("torch", "os"), "system")
    network.loaded = Call("torch.hub", "load", "evil/repo", "model")
    assert reader.weights.read_weights(file.save(tmp_path / "best.pt", {"model": network})).task == "pose"


def test_a_memo_index_that_only_eats_memory_is_refused(refuse: Callable[[Path], str], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        archive.writestr("m/data.pkl", b"\x80\x02Nr\xff\xff\xff\x7f.")
    assert "memo index" in refuse(tmp_path / "m.pt")


def test_modules_that_multiply_are_refused(refuse: Callable[[Path], str], tmp_path: Path) -> None:
    file = File()
    network = file.network()
    child: Any = module("Sequential")
    for _ in range(40):
        child = module("Sequential", {"0": child, "1": child})
    network._modules["bomb"] = child
    assert "more than 20000 modules" in refuse(file.save(tmp_path / "bomb.pt", {"model": network}))


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
    path = file.save(tmp_path / "best.pt", {"model": file.network()})
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


ASSETS = Path(os.environ.get("EDGEWRIGHT_ASSETS", DOCKER.parents[1] / "shared/assets"))


@pytest.mark.skipif(not (ASSETS / "weights").is_dir(), reason=f"no real checkpoints in {ASSETS}")
def test_real_checkpoints_of_two_releases_hold_the_same_weights(reader: SimpleNamespace) -> None:
    names = ("best-ultralytics-8.4.190.pt", "yolov8n-pose-recovered.pt")
    newer, older = (reader.weights.read_weights(ASSETS / "weights" / name) for name in names)
    assert (newer.version, older.version) == ("8.4.190", "8.1.42")
    assert newer.digest == older.digest
    assert len(newer.tensors) == 397
