"""For the tests of the weights' reader: checkpoints as torch.save writes them, made without torch; and the reader itself."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from stage_modules import imported

BACKBONE = [
    [-1, 1, "Conv", [64, 3, 2]], [-1, 3, "C2f", [128, True]], [-1, 1, "SPPF", [1024, 5]],
]  # fmt: skip
HEAD = [[-1, 1, "nn.Upsample", ["None", 2, "nearest"]], [[-1, 1], 1, "Concat", [1]]]
POSE = [[0, 1, 2], 1, "Pose", ["nc", "kpt_shape"]]
DETECT = [[0, 1, 2], 1, "Detect", ["nc"]]


@pytest.fixture(scope="module")
def reader() -> Iterator[SimpleNamespace]:
    """The modules under test as attributes."""
    with imported(("stage", "pickles", "checkpoint", "architecture", "weights")) as modules:
        yield modules


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
