"""Read a PyTorch checkpoint without running anything that is in it: numpy arrays, plain values and inert records.

A `.pt` file is a zip archive whose `data.pkl` is a pickle, and a pickle is a program: it may name any function and have
it called. Here every name resolves to a class that only writes down how it was used; the few that are needed to get at
the tensors have a harmless meaning of their own. Nothing of torch or ultralytics is imported.
Format: torch/csrc/jit/serialization and torch/_utils.py of torch 1.8 to 2.x.
"""

from __future__ import annotations

import pickle
import pickletools
import zipfile
from collections import OrderedDict
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stage import Refused

PICKLE_BYTES_MAX = 64 << 20  # that of yolov8x has 0.3 MB; storages lie outside it
HINT = "give the best.pt or last.pt that 'yolo train' of ultralytics 8 wrote, unchanged"

# What a checkpoint of ultralytics may name: its own modules, torch's, and what train_args and metrics hold.
# `models` is the package of YOLOv5, which is refused later, by that name.
KNOWN_PACKAGES = frozenset(
    [
        "torch",
        "torchvision",
        "ultralytics",
        "models",
        "collections",
        "numpy",
        "pathlib",
        "datetime",
        "types",
        "argparse",
        "_codecs",
        "copyreg",
    ]
)
KNOWN_BUILTINS = frozenset(
    [
        "set",
        "frozenset",
        "list",
        "dict",
        "tuple",
        "object",
        "int",
        "float",
        "complex",
        "bool",
        "str",
        "bytes",
        "slice",
        "getattr",
    ]
)

STORAGE_TYPES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1",
    "BoolStorage": "?",
}  # fmt: skip


class Inert:
    """An object that the pickle asked for: how it was made and what was put into it, and nothing more."""

    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any, **_: Any) -> Inert:
        self = object.__new__(cls)
        self.args, self.state = args, None
        return self

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None: ...  # SETITEMS, of subclasses of dict

    def append(self, value: Any) -> None: ...  # APPENDS, of subclasses of list

    def extend(self, values: Any) -> None: ...

    def add(self, value: Any) -> None: ...  # ADDITEMS, of subclasses of set


def attributes(thing: Any) -> dict[str, Any]:
    """The attributes of a recorded object; empty for anything else."""
    state = thing.state if isinstance(thing, Inert) else None
    if isinstance(state, tuple) and state:  # (the dict, the slots)
        state = state[0]
    return state if isinstance(state, dict) else {}


def rebuild_tensor(storage: NDArray[Any], offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Any:
    """What torch._utils._rebuild_tensor_v2 does: a strided view of a storage, here a contiguous copy."""
    if not isinstance(storage, np.ndarray) or min((offset, *shape, *stride)) < 0 or prod(shape) > storage.size:
        raise ValueError("a tensor does not fit its storage")
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if prod(shape) and last >= storage.size:
        raise ValueError("a tensor reaches beyond its storage")
    bytes_per_step = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, bytes_per_step).copy()


def rebuild_parameter(tensor: Any, *_: Any) -> Any:
    """What torch._utils._rebuild_parameter does: the tensor itself."""
    return tensor


def rebuild_from_type(function: Any, _: Any, args: tuple[Any, ...], __: Any) -> Any:
    """What torch._tensor._rebuild_from_type_v2 does, for the one function that is allowed in it."""
    if function is not rebuild_tensor:
        raise ValueError("a tensor is made by something else than _rebuild_tensor_v2")
    return rebuild_tensor(*args)


MEANINGS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): rebuild_parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): rebuild_from_type,
}


class Reader(pickle.Unpickler):
    """Unpickles `data.pkl`; storages come from the archive beside it."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, root: str, data: bytes) -> None:
        super().__init__(BytesIO(data), encoding="utf-8")
        self.path, self.archive, self.root = path, archive, root
        self.storages: dict[str, NDArray[Any]] = {}
        self.classes: dict[tuple[str, str], type[Inert]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """The meaning of a name: a harmless stand-in, or an inert class; unknown packages are a reason to refuse."""
        module = "builtins" if module == "__builtin__" else module
        known = name in KNOWN_BUILTINS if module == "builtins" else module.split(".")[0] in KNOWN_PACKAGES
        if not known:
            raise Refused(
                f"{self.path}: names '{module}.{name}', which no checkpoint of ultralytics does: not read", HINT
            )
        if (module, name) in MEANINGS:
            return MEANINGS[module, name]
        return self.classes.setdefault((module, name), type(name, (Inert,), {"__module__": module}))

    def persistent_load(self, pid: Any) -> NDArray[Any]:
        """One storage: ('storage', its type, its key in the archive, where it lived, how many elements)."""
        _, kind, key, _, count = pid
        if key not in self.storages:
            self.storages[key] = self.read_storage(STORAGE_TYPES[kind.__name__], f"{self.root}data/{int(key)}", count)
        return self.storages[key]

    def read_storage(self, dtype: str, entry: str, count: int) -> NDArray[Any]:
        """A flat array [count]; bfloat16, which numpy lacks, becomes float32 (the upper half of its bits)."""
        raw = np.frombuffer(read_entry(self.archive, entry), "<u2" if dtype == "bfloat16" else dtype)
        if raw.size != count:
            raise ValueError(f"{entry} holds {raw.size} elements, not {count}")
        return (raw.astype("<u4") << 16).view("<f4") if dtype == "bfloat16" else raw


def read_entry(archive: zipfile.ZipFile, name: str) -> bytes:
    """One file of the archive; torch never compresses, so nothing can unpack to more than the archive's size."""
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    return archive.read(name)


def read_checkpoint(path: Path) -> Any:
    """What `torch.load` would return, with arrays for tensors and `Inert` for every other object."""
    check_kind(path)
    try:
        with zipfile.ZipFile(path) as archive:
            root = pickle_root(path, archive)
            data = read_entry(archive, f"{root}data.pkl")
            check_pickle(data)
            return Reader(path, archive, root, data).load()
    except Refused:
        raise
    except zipfile.BadZipFile as fault:
        raise Refused(f"{path}: cut short or damaged: {fault}".lower(), "copy or download the file again") from None
    except Exception as fault:  # a damaged pickle can fail in any way at all
        raise Refused(f"{path}: not a checkpoint that can be read: {one_line(fault)}", HINT) from None


def one_line(fault: Exception) -> str:
    """What went wrong, for a message of one line."""
    return " ".join(str(fault).split())[:120] or type(fault).__name__


def check_kind(path: Path) -> None:
    """Refuse what is no zip archive, and say what it is instead."""
    if not path.is_file():
        raise Refused(f"{path}: no such file", "WEIGHTS=path/to/best.pt")
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(b"PK\x03\x04"):
        return
    kinds = {
        "empty": not head,
        "a TFLite model, not weights": head[4:8] == b"TFL3",
        "an HDF5 file, not weights": head.startswith(b"\x89HDF"),
        "a pointer of Git LFS, not the file itself": head.startswith(b"version https://git-lfs"),
        "a web page, not weights": head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")),
        "in PyTorch's format of before 1.6": head.startswith(b"\x80\x02\x8a\nl\xfc\x9c"),
        "a bare pickle, not a checkpoint": head[:1] == b"\x80",
        "an ONNX model, not weights": head[:1] == b"\x08" and (b"pytorch" in head or b"onnx" in head.lower()),
    }
    kind = next((kind for kind, is_it in kinds.items() if is_it), "not a checkpoint of PyTorch")
    raise Refused(f"{path}: {kind}", HINT)


def pickle_root(path: Path, archive: zipfile.ZipFile) -> str:
    """The folder inside the archive that holds `data.pkl`, with its slash; it bears the name the file was saved under."""
    names = archive.namelist()
    if any(name.endswith("/constants.pkl") for name in names):
        raise Refused(f"{path}: a TorchScript program, not weights", HINT)
    roots = [name[: -len("data.pkl")] for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise Refused(f"{path}: a zip archive, but not a checkpoint: no data.pkl in it", HINT)
    if f"{roots[0]}byteorder" in names and read_entry(archive, f"{roots[0]}byteorder") != b"little":
        raise Refused(f"{path}: written on a big-endian machine", HINT)
    return roots[0]


def check_pickle(data: bytes) -> None:
    """Read the opcodes once before obeying any: a memo index beyond the pickle's length would only eat memory."""
    if len(data) > PICKLE_BYTES_MAX:
        raise ValueError(f"its pickle has {len(data)} bytes")
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and (argument or 0) > len(data):
            raise ValueError("a memo index out of bounds")
