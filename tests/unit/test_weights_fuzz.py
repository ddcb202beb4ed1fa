"""Whatever the bytes, the reader of checkpoints answers or refuses: no other exception, no hang, nothing written elsewhere."""

from __future__ import annotations

import io
import json
import pickletools
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bounds import bounded
from checkpoint_maker import DETECT, HEAD, Call, File, module, named
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mutations import Edit, edited, edits, fewer, rearranged
from stage_modules import DOCKER, imported

ASSETS = DOCKER.parents[1] / "shared" / "assets" / "weights"
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def read() -> Iterator[SimpleNamespace]:
    """The stage that reads weights."""
    with imported(
        ("stage", "pickles", "checkpoint", "architecture", "weights", "canonical", "main"), "read"
    ) as modules:
        yield modules


def answers_or_refuses(read: SimpleNamespace, path: Path) -> bool:
    """Do what the stage does, within bounds; whether it took the file. A refusal is one line, and no want of memory."""
    output = path.with_name("output")
    output.mkdir(exist_ok=True)
    before = sorted(path.parent.iterdir())
    try:
        with bounded(seconds=10, megabytes=700):
            read.main.main(read.stage.Request(output, {"weights": path}, {}))
            again = read.canonical.read_network(output / "network.npz")
    except read.stage.Refused as refusal:
        said = read.stage.fit_lines(str(refusal))
        assert "\n" not in said
        assert "memory" not in said.lower()
        return False
    finally:
        assert sorted(path.parent.iterdir()) == before
        assert {file.name for file in output.iterdir()} <= {"network.npz", "network.json"}
    assert again.digest == json.loads((output / "network.json").read_text())["tensors_sha256"]
    return True


def saved(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def files_of(content: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@cache
def seeds() -> tuple[bytes, ...]:
    """Valid checkpoints, small ones, with all that the reader knows."""
    made = []
    for index in range(3):
        file, target = File(), io.BytesIO()
        network = file.network()
        if index == 1:
            network = file.network("DetectionModel", ["a", "b"], nc=2, head=[*HEAD, DETECT], activation="nn.ReLU6()")
        conv = network._modules["model"]._modules["0"]
        if index == 2:
            half = file.tensor(np.array([[0x3FC0, 0xC000]], np.uint16), "BFloat16Storage")
            parameter = Call("torch._utils", "_rebuild_parameter", half, True, OrderedDict())
            conv._modules["bn"]._parameters["bias"] = parameter
            conv._non_persistent_buffers_set = Call("builtins", "set", ["a"])
            inner = file.tensor(np.arange(6, dtype=np.float64).reshape(2, 3), "DoubleStorage", 2)
            names = named("torch._utils", "_rebuild_tensor_v2"), named("torch.nn.parameter", "Parameter")
            whole = Call("torch._tensor", "_rebuild_from_type_v2", *names, inner.args, {})
            conv._modules["bn"]._buffers = {"mean": whole, "none": None}
        arguments = {"imgsz": 192, "path": Call("pathlib", "PosixPath", "a")}
        content = {"model": network, "ema": None, "version": "8.4.0", "train_args": arguments}
        file.save(target, content)  # type: ignore[arg-type]
        made.append(target.getvalue())
    return tuple(made)


def codes_of(pickled: bytes) -> list[bytes]:
    """A pickle, cut into its opcodes."""
    places = [place or 0 for _, _, place in pickletools.genops(pickled)]
    return [pickled[start:end] for start, end in zip(places, [*places[1:], len(pickled)], strict=True)]


def word(text: str) -> bytes:
    content = text.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(content)) + content


NAMES = [
    "torch FloatStorage", "torch list", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter",
    "torch._tensor _rebuild_from_type_v2", "collections OrderedDict",
    "__builtin__ set", "__builtin__ getattr", "ultralytics.nn.tasks PoseModel", "os system",
]  # fmt: skip
KEYS = [
    "nc",
    "ch",
    "kpt_shape",
    "backbone",
    "head",
    "scales",
    "scale",
    "activation",
    "end2end",
    "reg_max",
    "depth_multiple",
]
# Opcodes with arguments that are of use, or trouble, in any place.
CODES = [
    *(bytes([code]) for code in b"(0123NtlduesabR\x81\x92\x85\x86\x87\x88\x89)]}QP\x8f\x90\x91\x93\x94.io"),
    *(
        word(text)
        for text in ["", "0", "storage", "\ud800", "model", "ema", "yaml", "names", "_modules", "_parameters", *KEYS]
    ),
    *(b"c" + name.replace(" ", "\n").encode() + b"\n" for name in NAMES),
    *(b"K\x00", b"K\xff", b"J\xff\xff\xff\xff", b"M\xff\xff", b"\x8a\x09" + b"\xff" * 8 + b"\x7f"),
    *(b"\x8b\x40\x00\x00\x00" + b"\x7f" * 64, b"G" + struct.pack(">d", float("nan")), b"G" + struct.pack(">d", 1e300)),
    *(b"h\x00", b"h\x01", b"h\x05", b"h\x10", b"q\x00", b"q\x01", b"r\xff\xff\xff\x7f", b"U\x02\xc3\xa4", b"C\x02ab"),
    *(b"I5\n", b"I01\n", b"L7L\n", b"F1.5\n", b"S'a'\n", b"Va\n", b"p3\n", b"g3\n"),
]


@given(which=st.integers(0, 2), changes=edits())
def test_bytes_of_a_file_changed(read: SimpleNamespace, tmp_path: Path, which: int, changes: list[Edit]) -> None:
    (tmp_path / "best.pt").write_bytes(edited(seeds()[which], changes))
    answers_or_refuses(read, tmp_path / "best.pt")


@given(which=st.integers(0, 2), changes=edits())
def test_bytes_of_a_pickle_changed(read: SimpleNamespace, tmp_path: Path, which: int, changes: list[Edit]) -> None:
    """With a checksum that fits, so that the archive is whole."""
    files = files_of(seeds()[which])
    files["best/data.pkl"] = edited(files["best/data.pkl"], changes)
    answers_or_refuses(read, saved(tmp_path / "best.pt", files))


@given(which=st.integers(0, 2), pick=st.data())
def test_opcodes_of_a_pickle_rearranged(read: SimpleNamespace, tmp_path: Path, which: int, pick: st.DataObject) -> None:
    files = files_of(seeds()[which])
    files["best/data.pkl"] = pick.draw(rearranged(codes_of(files["best/data.pkl"]), CODES))
    answers_or_refuses(read, saved(tmp_path / "best.pt", files))


@given(codes=st.lists(st.sampled_from(CODES), max_size=60))
def test_opcodes_put_together(read: SimpleNamespace, tmp_path: Path, codes: list[bytes]) -> None:
    files = files_of(seeds()[0])
    files["best/data.pkl"] = b"\x80\x02" + b"".join(codes) + b"."
    answers_or_refuses(read, saved(tmp_path / "best.pt", files))


WORDS = st.sampled_from(
    [
        "",
        "0",
        "n",
        "nc",
        "model",
        "module",
        "None",
        "nearest",
        "Conv",
        "Pose",
        "Detect",
        "\x1b[2J",
        "ä",
        "\ud800",
        "x" * 300,
    ]
)
SCALARS = (
    st.none() | st.booleans() | WORDS | st.text(max_size=5) | st.binary(max_size=3) | st.floats()
    | st.integers(-3, 1100) | st.sampled_from([2**31, 2**63, -(2**64), 2**130, 10**1200])
)  # fmt: skip


MADE = File()
TENSORS = [MADE.tensor(np.zeros(shape, np.float32)) for shape in ((), (0,), (2,), (3, 2))]
KEYED = WORDS | st.integers(-1, 5)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS | st.sampled_from(TENSORS),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYED, inner, max_size=3)
        | st.dictionaries(KEYED, inner, max_size=3).map(OrderedDict)
        | st.lists(inner, max_size=2).map(lambda args: Call("torch", "list", *args))
        | st.dictionaries(WORDS, inner, max_size=2).map(lambda children: module("Conv", children))
        | st.dictionaries(WORDS, inner, max_size=2).map(lambda tensors: module("Conv", {}, tensors))
    ),
    max_leaves=12,
)


def started() -> tuple[File, Any]:
    """A file with those tensors and a network in it."""
    file = File()
    file.storages = list(MADE.storages)
    return file, file.network()


PLACES = ["model", "names", "yaml", "_modules", "_parameters", "_buffers", "child", "eps", "content"]


@fewer
@given(pick=st.data())
def test_values_of_other_kinds_in_their_places(read: SimpleNamespace, tmp_path: Path, pick: st.DataObject) -> None:
    """A whole checkpoint, and in some of its places something else."""
    file, network = started()
    content: Any = {"model": network, "version": "8.4.0"}
    conv = network._modules["model"]._modules["0"]
    children, norm = conv._modules, conv._modules["bn"]
    for place in pick.draw(st.lists(st.sampled_from(PLACES + KEYS), min_size=1, max_size=3)):
        value = pick.draw(VALUES)
        if place in KEYS:
            network.yaml[place] = value
        elif place in ("names", "yaml"):
            setattr(network, place, value)
            network.yaml = (
                network.yaml if isinstance(network.yaml, dict) else {**value} if isinstance(value, dict) else {}
            )
        elif place.startswith("_"):
            setattr(conv, place, value)
        elif place == "content":
            content |= {pick.draw(WORDS): value}
        elif place == "child":
            children[pick.draw(WORDS)] = value
        elif place == "eps":
            setattr(norm, pick.draw(st.sampled_from(["eps", "x"])), value)
        else:
            content["model"] = pick.draw(st.sampled_from([value, network]))
    try:
        path = file.save(tmp_path / "best.pt", content)
    except (UnicodeEncodeError, ValueError):  # what cannot be pickled
        assume(False)
    answers_or_refuses(read, path)


@fewer
@given(pick=st.data())
def test_rows_of_a_yaml_of_other_values(read: SimpleNamespace, tmp_path: Path, pick: st.DataObject) -> None:
    file, network = started()
    rows = network.yaml[pick.draw(st.sampled_from(["backbone", "head"]))] = [list(row) for row in network.yaml["head"]]
    row = pick.draw(st.sampled_from(rows))
    at = pick.draw(st.integers(0, 3))
    row[at] = pick.draw(VALUES)
    try:
        path = file.save(tmp_path / "best.pt", {"model": network})
    except (UnicodeEncodeError, ValueError):
        assume(False)
    answers_or_refuses(read, path)


@pytest.mark.skipif(not ASSETS.is_dir(), reason=f"no real checkpoints in {ASSETS}")
@settings(max_examples=max(1, settings().max_examples // 20))
@given(name=st.sampled_from(["yolov8n.pt", "best-ultralytics-8.4.190.pt"]), pick=st.data())
def test_opcodes_of_a_real_pickle_rearranged(
    read: SimpleNamespace, tmp_path: Path, name: str, pick: st.DataObject
) -> None:
    """Most of these are taken, or refused late; each takes a tenth of a second, so there are fewer of them."""
    files = dict(real(name))
    codes = codes_of(files["best/data.pkl"])
    files["best/data.pkl"] = pick.draw(rearranged(codes, CODES, most=4))
    answers_or_refuses(read, saved(tmp_path / "best.pt", files))


@cache
def real(name: str) -> Files:
    """The files in a real checkpoint."""
    with zipfile.ZipFile(ASSETS / name) as archive:
        root = next(entry for entry in archive.namelist() if entry.endswith("data.pkl")).removesuffix("data.pkl")
        return {f"best/{entry.removeprefix(root)}": archive.read(entry) for entry in archive.namelist()}


@given(where=st.sampled_from(["the file", "network.json", "a tensor"]), changes=edits())
def test_bytes_of_the_network_that_was_read_changed(
    read: SimpleNamespace, tmp_path: Path, where: str, changes: list[Edit]
) -> None:
    """The stages that follow find it in a volume, where anything may have happened to it."""
    content = network(read, tmp_path)
    if where != "the file":
        files = files_of(content)
        name = "network.json" if where == "network.json" else "tensors/model.0.bn.weight.npy"
        files[name] = edited(files[name], changes)
        saved(tmp_path / "network.npz", files)
    else:
        (tmp_path / "network.npz").write_bytes(edited(content, changes))
    with bounded(seconds=10, megabytes=700), suppress(read.stage.Refused):
        read.canonical.read_network(tmp_path / "network.npz")


def network(read: SimpleNamespace, folder: Path) -> bytes:
    """What the stage makes of the first seed."""
    (folder / "best.pt").write_bytes(seeds()[0])
    read.canonical.write_network(folder / "network.npz", read.weights.read_weights(folder / "best.pt"))
    return (folder / "network.npz").read_bytes()


def test_the_seeds_are_taken(read: SimpleNamespace, tmp_path: Path) -> None:
    for seed in seeds():
        (tmp_path / "best.pt").write_bytes(seed)
        assert answers_or_refuses(read, tmp_path / "best.pt")
