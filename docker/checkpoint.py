"""Read a PyTorch checkpoint without running anything that is in it: numpy arrays, plain values and inert records.

A `.pt` file is a zip archive whose `data.pkl` is a pickle (pickles.py), with the numbers of the tensors, the storages, beside
it. The few names in it that are needed to get at the tensors have a harmless meaning here, every other one makes a record.
Nothing of torch or ultralytics is imported. Format: torch/csrc/jit/serialization and torch/_utils.py of torch 1.8 to 2.x.
"""

from __future__ import annotations

import zipfile
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pickles import Inert, Machine, expect, make_ordered, make_set
from stage import Budget, Refused

FILE_BYTES_MAX = 1 << 30  # a yolov8x with its averaged copy and its optimiser has 0.8 GB
PICKLE_BYTES_MAX = 16 << 20  # that of yolov8x has 0.3 MB; storages lie outside it
ENTRIES_MAX = 20_000  # files in the archive, one a storage; a yolov8x with its optimiser has 2,500
DIMENSIONS_MAX = 8  # of a tensor; convolutions have 4
UNPACKED = 6  # times the file's size: storages are read once and copied once into tensors, bfloat16 at twice its size
HINT = "give the best.pt or last.pt that 'yolo train' of ultralytics 8 wrote, unchanged"

STORAGE_TYPES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1",
    "BoolStorage": "?",
}  # fmt: skip


def attributes(thing: Any) -> dict[str, Any]:
    """The attributes of a recorded object; empty for anything else."""
    state = thing.state if isinstance(thing, Inert) else None
    if isinstance(state, tuple) and state:  # (the dict, the slots)
        state = state[0]
    return state if isinstance(state, dict) else {}


class Tensors:
    """Makes the tensors of one archive, for no more bytes in all than the archive's size explains."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, root: str, unpacked: Budget) -> None:
        self.path, self.archive, self.root, self.unpacked = path, archive, root, unpacked
        self.storages: dict[str, NDArray[Any]] = {}

    def meanings(self) -> dict[tuple[str, str], Any]:
        """What the names that a tensor is pickled with mean here."""
        return {
            ("collections", "OrderedDict"): make_ordered,
            ("builtins", "set"): make_set,
            ("torch._utils", "_rebuild_tensor_v2"): self.rebuild,
            ("torch._utils", "_rebuild_parameter"): rebuild_parameter,
            ("torch._utils", "_rebuild_parameter_with_state"): rebuild_parameter,
            ("torch._tensor", "_rebuild_from_type_v2"): self.rebuild_from_type,
        }

    def load(self, pid: Any) -> NDArray[Any]:
        """One storage: ('storage', its type, its key in the archive, where it lived, how many elements)."""
        _, kind, key, _, count = expect(pid, tuple)
        if expect(key, str) not in self.storages:
            entry = f"{self.root}data/{int(key)}"
            self.storages[key] = self.read_storage(STORAGE_TYPES[kind.__name__], entry, count)
        return self.storages[key]

    def read_storage(self, dtype: str, entry: str, count: int) -> NDArray[Any]:
        """A flat array [count]; bfloat16, which numpy lacks, becomes float32 (the upper half of its bits)."""
        raw = np.frombuffer(read_entry(self.archive, entry, self.unpacked), "<u2" if dtype == "bfloat16" else dtype)
        if raw.size != count:
            raise ValueError(f"{entry} holds {raw.size} elements, not {count}")
        return (raw.astype("<u4") << 16).view("<f4") if dtype == "bfloat16" else raw

    def rebuild(
        self, storage: NDArray[Any], offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any
    ) -> NDArray[Any]:
        """What torch._utils._rebuild_tensor_v2 does: a strided view of a storage, here a contiguous copy."""
        numbers = (offset, *shape, *stride)
        if not isinstance(storage, np.ndarray) or len(numbers) > 1 + 2 * DIMENSIONS_MAX:
            raise ValueError("a tensor of no storage, or of too many dimensions")
        # Each number first: a product of integers without a bound could take for ever.
        if not all(0 <= number <= FILE_BYTES_MAX for number in numbers) or prod(shape) > storage.size:
            raise ValueError("a tensor does not fit its storage")
        last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
        if prod(shape) and last >= storage.size:
            raise ValueError("a tensor reaches beyond its storage")
        self.unpacked.spend(prod(shape) * storage.itemsize)
        bytes_per_step = [step * storage.itemsize for step in stride]
        return np.lib.stride_tricks.as_strided(storage[offset:], shape, bytes_per_step).copy()

    def rebuild_from_type(self, function: Any, _: Any, args: tuple[Any, ...], __: Any) -> Any:
        """What torch._tensor._rebuild_from_type_v2 does, for the one function that is allowed in it."""
        if function != self.rebuild:
            raise ValueError("a tensor is made by something else than _rebuild_tensor_v2")
        return self.rebuild(*args)


def rebuild_parameter(tensor: Any, *_: Any) -> Any:
    """What torch._utils._rebuild_parameter does: the tensor itself."""
    return tensor


def read_entry(archive: zipfile.ZipFile, name: str, unpacked: Budget) -> bytes:
    """One file of the archive. torch never compresses; but entries can lie over each other, so each is paid for."""
    entry = archive.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        raise ValueError(f"{name} is compressed")
    unpacked.spend(entry.file_size)
    return archive.read(name)


def read_checkpoint(path: Path) -> Any:
    """What `torch.load` would return, with arrays for tensors and `Inert` for every other object."""
    check_kind(path)
    size = path.stat().st_size
    unpacked = Budget(path, UNPACKED * size, f"bytes in its tensors, {UNPACKED} times its own {size:,}", HINT)
    try:
        with zipfile.ZipFile(path) as archive:
            root = pickle_root(path, archive, unpacked)
            data = read_entry(archive, f"{root}data.pkl", unpacked)
            if len(data) > PICKLE_BYTES_MAX:
                raise ValueError(f"its pickle has {len(data):,} bytes")
            tensors = Tensors(path, archive, root, unpacked)
            return Machine(path, HINT, tensors.meanings(), tensors.load).run(data)
    except Refused:
        raise
    except zipfile.BadZipFile as fault:
        fact = f"cut short or damaged: {one_line(fault)}".lower()
        raise Refused(f"{path}: {fact}", "copy or download the file again") from None
    except Exception as fault:  # a damaged pickle can fail in any way at all
        raise Refused(f"{path}: not a checkpoint that can be read: {one_line(fault)}", HINT) from None


def one_line(fault: Exception) -> str:
    """What went wrong, for a message of one line."""
    return " ".join(str(fault).split())[:120] or type(fault).__name__


def check_kind(path: Path) -> None:
    """Refuse what is no zip archive, and say what it is instead."""
    if not path.is_file():
        raise Refused(f"{path}: no such file", "WEIGHTS=path/to/best.pt")
    if path.stat().st_size > FILE_BYTES_MAX:
        raise Refused(f"{path}: {path.stat().st_size:,} bytes; more than {FILE_BYTES_MAX:,} are not read", HINT)
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


def pickle_root(path: Path, archive: zipfile.ZipFile, unpacked: Budget) -> str:
    """The folder inside the archive that holds `data.pkl`, with its slash; it bears the name the file was saved under."""
    names = archive.namelist()
    Budget(path, ENTRIES_MAX, "files in its archive", HINT).spend(len(names))
    if any(name.endswith("/constants.pkl") for name in names):
        raise Refused(f"{path}: a TorchScript program, not weights", HINT)
    roots = [name[: -len("data.pkl")] for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise Refused(f"{path}: a zip archive, but not a checkpoint: no data.pkl in it", HINT)
    if f"{roots[0]}byteorder" in names and read_entry(archive, f"{roots[0]}byteorder", unpacked) != b"little":
        raise Refused(f"{path}: written on a big-endian machine", HINT)
    return roots[0]
