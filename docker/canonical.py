"""A network as one canonical file: equal tensors and an equal architecture give equal bytes, whatever `.pt` they came from.

`network.npz` is a zip archive without compression, its entries sorted and without dates:

    network.json        task, yaml, names, kpt_shape, each module's class and settings, and the digest of the tensors
    tensors/<name>.npy  one a tensor, little-endian, in C order, of the type that the checkpoint has

What does not change the network is not in it: the file's name, dates, training arguments, the release that wrote it.
"""

from __future__ import annotations

import json
import re
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from architecture import check_yaml
from checkpoint import read_entry
from numpy.typing import NDArray
from stage import Budget, Refused
from weights import ADDED, Weights

ARCHITECTURE, TENSORS = "network.json", "tensors/"
NAME = re.compile(r"[A-Za-z0-9_.]{1,200}")  # of a tensor; an entry of the archive is called so
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip archive can hold
HINT = "run it again: FORCE=1"


def write_network(path: Path, weights: Weights) -> None:
    """Write the canonical file; refuses a tensor's name that no network of ultralytics has."""
    for name in weights.tensors:
        if not NAME.fullmatch(name):
            raise Refused(f"{weights.path}: has a tensor {name!r:.60} that YOLOv8 has not")
    entries = {ARCHITECTURE: json.dumps(architecture(weights), sort_keys=True, indent=1).encode()}
    entries |= {f"{TENSORS}{name}.npy": octets(tensor) for name, tensor in weights.tensors.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(entries):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = 3  # else it says on which kind of system it was written
            archive.writestr(entry, entries[name])


def architecture(weights: Weights) -> dict[str, Any]:
    """All but the tensors that decides what the network computes, as JSON."""
    return {
        "task": weights.task,
        "yaml": weights.yaml,
        "names": list(weights.names),
        "kpt_shape": list(weights.kpt_shape) if weights.kpt_shape else None,
        "modules": {name: [kind, telling(kind, own)] for name, (kind, own) in weights.modules.items()},
        "digest": weights.digest,
    }


def telling(kind: str, own: dict[str, Any]) -> dict[str, Any]:
    """A module's settings without those that later releases added and that have the value which changes nothing."""
    added = ADDED.get(kind, {})
    return {key: value for key, value in own.items() if key not in added or added[key] != value}


def octets(tensor: NDArray[Any]) -> bytes:
    """A tensor as the bytes of a .npy file, of the first version of that format, which every numpy reads."""
    file = BytesIO()
    ordered = np.asarray(tensor, dtype=tensor.dtype.newbyteorder("<"), order="C")
    np.lib.format.write_array(file, ordered, version=(1, 0), allow_pickle=False)
    return file.getvalue()


def read_network(path: Path) -> Weights:
    """Read what write_network() wrote; a damaged file is refused. The release that wrote the checkpoint is not known."""
    try:
        unpacked = Budget(path, path.stat().st_size, "bytes in its tensors", HINT)
        with zipfile.ZipFile(path) as archive:
            known = json.loads(read_entry(archive, ARCHITECTURE, unpacked))
            names = [name for name in archive.namelist() if name != ARCHITECTURE]
            weights = Weights(
                path=path,
                task=known["task"],
                yaml=check_yaml(path, known["yaml"]),
                names=tuple(known["names"]),
                kpt_shape=tuple(known["kpt_shape"]) if known["kpt_shape"] else None,
                version="",
                tensors={
                    name[len(TENSORS) : -len(".npy")]: read_tensor(read_entry(archive, name, unpacked))
                    for name in names
                },
                modules={name: (kind, own) for name, (kind, own) in known["modules"].items()},
            )
        if weights.digest != known["digest"]:
            raise ValueError("its tensors are not those that were written")
    except Refused:
        raise
    except Exception as fault:  # numpy's and Python's readers raise SyntaxError and others for what is damaged
        raise Refused(
            f"{path}: not a network that stage read wrote: {' '.join(str(fault).split())[:120]}", HINT
        ) from None
    return weights


def read_tensor(content: bytes) -> NDArray[Any]:
    """One tensor of the bytes of a .npy file; nothing is unpickled."""
    tensor: NDArray[Any] = np.lib.format.read_array(BytesIO(content), allow_pickle=False)
    return tensor
