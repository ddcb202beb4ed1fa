"""A small checkpoint costs little: what would hang a reader or eat its memory is refused by name, and quickly."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bounds import bounded
from checkpoint_maker import Call, File, Stored, module, named, reader, refuse

__all__ = ["reader", "refuse"]  # fixtures

Make = Callable[[File, Any], Any]


def shared_lists(_: File, network: Any) -> None:
    """2^40 places in 40 lists."""
    value: Any = [0]
    for _step in range(40):
        value = [value, value]
    network._modules["model"].anchors = value


def cyclic(_: File, network: Any) -> None:
    network._modules["model"].anchors = []
    network._modules["model"].anchors.append(network._modules["model"].anchors)


def deep(_: File, network: Any) -> None:
    value: Any = 0
    for _step in range(100):
        value = [value]
    network._modules["model"].anchors = value


def long_integer(_: File, network: Any) -> None:
    network._modules["model"].anchors = 10**5000


def one_storage(file: File, network: Any) -> None:
    """Many tensors of one storage, each as large as it: 1.5 MB, and 6 GB if all were copied."""
    call = file.tensor(np.zeros(1_000_000, np.int8), "CharStorage")
    for index in range(600):
        again = Call("torch._utils", "_rebuild_tensor_v2", *call.args)
        network._modules[f"t{index}"] = module("Conv2d", tensors={"weight": again})


def one_tensor(file: File, network: Any) -> None:
    """One tensor at many places: nothing while it is read, and 2 GB once it is written."""
    call = file.tensor(np.zeros(1_000_000, np.int8), "CharStorage")
    conv = module("Conv2d", tensors={"weight": call})
    for index in range(1_200):
        network._modules[f"t{index}"] = conv


def one_attribute(_: File, network: Any) -> None:
    """One long list in each of 1,000 modules."""
    shared = [0] * 10_000
    for index in range(1_000):
        network._modules[f"t{index}"] = module("Conv2d", kernel_size=shared)


def one_word(_: File, network: Any) -> None:
    shared = "x" * 1_000_000
    for index in range(1_000):
        network._modules[f"t{index}"] = module("Conv2d", padding_mode=shared)


def modules_in_modules(_: File, network: Any) -> None:
    child = module("Sequential")
    for _step in range(60):
        child = module("Sequential", {"x": child})
    network._modules["deep"] = child


def long_names(_: File, network: Any) -> None:
    network._modules["x" * 100_000] = module("Sequential")


def huge_shape(file: File, network: Any) -> None:
    """A petabyte of the one number that a stride of zero repeats."""
    call = file.tensor(np.zeros(1, np.float32))
    storage, offset, _, _, *rest = call.args
    call.args = (storage, offset, (2**50,), (0,), *rest)
    network._modules["t"] = module("Conv2d", tensors={"weight": call})


def negative_shape(file: File, network: Any) -> None:
    call = file.tensor(np.zeros(4, np.float32))
    storage, offset, _, _, *rest = call.args
    call.args = (storage, offset, (-2, -2), (1, 1), *rest)
    network._modules["t"] = module("Conv2d", tensors={"weight": call})


def many_dimensions(file: File, network: Any) -> None:
    """The product of a million large integers."""
    call = file.tensor(np.zeros(4, np.float32))
    storage, offset, _, _, *rest = call.args
    call.args = (storage, offset, (2**100,) * 300_000, (1,) * 300_000, *rest)
    network._modules["t"] = module("Conv2d", tensors={"weight": call})


def long_class_name(_: File, network: Any) -> None:
    network.names = {0: "x" * 1_000_000}


def shared_rows(_: File, network: Any) -> None:
    value: Any = [0]
    for _step in range(40):
        value = [value, value]
    network.yaml["backbone"] = [[-1, 1, "Conv", value]]


def long_row(_: File, network: Any) -> None:
    network.yaml["backbone"] = [[-1, 1, "Conv", [64] * 100_000]] * 60


def shared_shape(_: File, network: Any) -> None:
    value: Any = (0,)
    for _step in range(40):
        value = (value, value)
    network.yaml["kpt_shape"] = value


def ordered_dictionaries(_: File, network: Any) -> None:
    """Not shown level by level, as dictionaries and lists are, by the standard library."""
    value: Any = OrderedDict(a=0)
    for _step in range(40):
        value = OrderedDict(a=value, b=value)
    network.yaml["nc"] = value


def class_called_list(_: File, network: Any) -> None:
    network.yaml["nc"] = Call("torch", "list")


def array_for_a_number(file: File, network: Any) -> None:
    """It is neither equal to a number nor another: a comparison of it has no truth."""
    network.yaml["reg_max"] = file.tensor(np.zeros(2, np.float32))


def escapes(_: File, network: Any) -> None:
    network.names = {0: "\x1b[2Jperson"}


FAULTS: dict[str, tuple[Make, str]] = {
    "shared lists": (shared_lists, "lists in lists, more than 32 deep"),
    "a list in itself": (cyclic, "lists in lists, more than 32 deep"),
    "a deep list": (deep, "lists in lists, more than 32 deep"),
    "a long integer": (long_integer, "an integer of 16,610 bits"),
    "tensors of one storage": (one_storage, "bytes in its tensors, 6 times its own"),
    "a tensor everywhere": (one_tensor, "more than 1,073,741,824 bytes of tensors in its network"),
    "a list everywhere": (one_attribute, "more than 4,000,000 settings and characters"),
    "a word everywhere": (one_word, "more than 4,000,000 settings and characters"),
    "deep modules": (modules_in_modules, "modules in modules, more than 32 deep"),
    "long names": (long_names, "which no network of ultralytics has"),
    "a huge shape": (huge_shape, "a tensor does not fit its storage"),
    "a negative shape": (negative_shape, "a tensor does not fit its storage"),
    "many dimensions": (many_dimensions, "a tensor of no storage, or of too many dimensions"),
    "a long class name": (long_class_name, "a class has a name of 1,000,000 characters"),
    "shared rows": (shared_rows, "has arguments that YOLOv8 has not"),
    "a long row": (long_row, "has arguments that YOLOv8 has not"),
    "a shared shape": (shared_shape, "kpt_shape: ((((...), (...)), "),
    "shared dictionaries": (ordered_dictionaries, "its yaml says nc: {'a': {'a': {"),
    "a class called list": (class_called_list, "its yaml says nc: <torch.list>"),
    "an array for a number": (array_for_a_number, "its yaml says reg_max: array"),
    "escapes in a name": (escapes, r"a class is called '\x1b[2Jperson'"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_small_checkpoint_that_costs_much_is_refused_at_once(
    refuse: Callable[[Path], str], tmp_path: Path, name: str
) -> None:
    spoil, words = FAULTS[name]
    file = File()
    network = file.network()
    spoil(file, network)
    path = file.save(tmp_path / "best.pt", {"model": network})
    with bounded(seconds=5):
        said = refuse(path)
    assert words in said
    assert len(said) < 400


def saved(path: Path, *codes: bytes, entries: dict[str, bytes] | None = None) -> Path:
    """A checkpoint with a pickle written by hand."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", b"\x80\x02" + b"".join(codes) + b".")
        for name, content in (entries or {}).items():
            archive.writestr(name, content)
    return path


KEPT, TAKEN = b"q\x00", b"h\x00"  # BINPUT 0, BINGET 0
PARAMETER = b"ctorch._utils\n_rebuild_parameter\n"
SET = b"c__builtin__\nset\n"
TUPLES = b"N" + (KEPT + TAKEN + b"\x86") * 60  # a tuple twice in a tuple, 60 levels
LARGE = b"".join(
    pickle.LONG1 + b"\x09" + ((2**61 - 1) * number).to_bytes(9, "little") + b"N" for number in range(1, 999)
)
PICKLES: dict[str, tuple[bytes, str]] = {
    "a key of shared tuples": (b"}" + TUPLES + b"Ns", "a tuple as a key"),
    "a member of shared tuples": (SET + b"(" + TUPLES + b"l\x85R", "a tuple as a key"),
    "keys of one hash": (b"}(" + LARGE + b"u", "a key of 6"),
    "a million opcodes": (b"N0" * 1_000_001, "more than 2,000,000 opcodes in its pickle"),
    "a long list that is copied": (
        SET + b"q\x01(" + b"N" * 10_000 + b"l" + KEPT + (b"h\x01" + TAKEN + b"\x85R") * 10_000,
        "more than 2,000,000 opcodes in its pickle",
    ),
    "a long list of arguments": (
        PARAMETER + b"q\x01(" + b"N" * 10_000 + b"t" + KEPT + (b"h\x01" + TAKEN + b"R") * 10_000,
        "more than 2,000,000 opcodes in its pickle",
    ),
    "many classes": (
        b"".join(b"ctorch\nc%d\n0" % number for number in range(2_000)),
        "more than 1,000 classes named in its pickle",
    ),
    "a long name": (b"ctorch\n" + b"x" * 1_000_000 + b"\n", "which no checkpoint of ultralytics does"),
    "a long foreign name": (b"cevil\n" + b"x" * 1_000_000 + b"\n", "which no checkpoint of ultralytics does"),
    "escapes in a name": (b"c\x1b[2J\n\x07evil\n", r"names '\x1b[2J.\x07evil', which no"),
    "5,000 lists in each other": (b"]" * 5_000 + b"a" * 4_999, "a pickle, but no model in it"),
    "a text longer than the file": (pickle.BINUNICODE8 + struct.pack("<Q", 1 << 60) + b"x", "not a checkpoint that"),
    "a storage under a list": (b"((lNNNNtQ", "not a checkpoint that can be read"),
    "an opcode of classes": (b"(itorch\nx\n", "opcode INST, which torch.save does not write"),
}


@pytest.mark.parametrize("name", PICKLES)
def test_a_small_pickle_that_costs_much_is_refused_at_once(
    refuse: Callable[[Path], str], tmp_path: Path, name: str
) -> None:
    code, words = PICKLES[name]
    path = saved(tmp_path / "best.pt", code)
    with bounded(seconds=8):
        said = refuse(path)
    assert words in said
    assert len(said) < 400


def test_5000_lists_in_each_other_are_refused_where_they_are_looked_at(
    refuse: Callable[[Path], str], tmp_path: Path
) -> None:
    """As an attribute, as a row, and as names: repr() and every recursion of Python's would fail there."""
    lists = b"]" * 5_000 + b"a" * 4_999
    for text, words in (("anchors", "32 deep"), ("names", "its names are not 1 words"), ("yaml", "no yaml")):
        file = File()
        network = file.network()
        setattr(network if text != "anchors" else network._modules["model"], text, "HERE")
        path = file.save(tmp_path / "best.pt", {"model": network})
        with zipfile.ZipFile(path) as archive:
            entries = {entry: archive.read(entry) for entry in archive.namelist()}
        place = b"X\x04\x00\x00\x00HERE"
        entries["best/data.pkl"] = entries["best/data.pkl"].replace(place, lists)
        with zipfile.ZipFile(path, "w") as archive:
            for entry, content in entries.items():
                archive.writestr(entry, content)
        with bounded(seconds=5):
            assert words in refuse(path)


def overlapping(path: Path, count: int) -> Path:
    """An archive whose directory names one storage of a megabyte many times."""
    kind = named("torch", "CharStorage")
    storages = [Stored(("storage", kind, str(index), "cpu", 1 << 20)) for index in range(count)]
    content = [Call("torch._utils", "_rebuild_tensor_v2", it, 0, (1,), (1,), False, OrderedDict()) for it in storages]
    file = File()
    file.storages = [np.zeros(1 << 20, np.int8)]
    file.save(path, content)
    with zipfile.ZipFile(path, "a") as archive:
        first = archive.getinfo("best/data/0")
        for index in range(1, count):
            again = zipfile.ZipInfo(f"best/data/{index}")
            for name in ("header_offset", "CRC", "compress_size", "file_size"):
                setattr(again, name, getattr(first, name))
            archive.filelist.append(again)
        archive._didModify = True  # type: ignore[attr-defined]
    return path


def test_an_archive_whose_files_lie_over_each_other_is_refused(refuse: Callable[[Path], str], tmp_path: Path) -> None:
    path = overlapping(tmp_path / "best.pt", 800)
    assert path.stat().st_size < 2 << 20
    with bounded(seconds=5):
        said = refuse(path)
    # Newer releases of zipfile refuse other names over one place themselves.
    assert "times its own" in said or "not a checkpoint that can be read" in said or "damaged" in said


def test_a_storage_that_is_read_under_many_names_is_paid_for_each_time(
    refuse: Callable[[Path], str], tmp_path: Path
) -> None:
    """0, 00, 000 …; whatever Python's zipfile takes."""
    kind, file = named("torch", "CharStorage"), File()
    file.storages = [np.zeros(1 << 20, np.int8)]
    storages = [Stored(("storage", kind, "0" * count, "cpu", 1 << 20)) for count in range(1, 800)]
    content = [Call("torch._utils", "_rebuild_tensor_v2", it, 0, (1,), (1,), False, OrderedDict()) for it in storages]
    path = file.save(tmp_path / "best.pt", content)
    with bounded(seconds=5):
        assert "times its own" in refuse(path)


def test_a_file_in_the_archive_that_says_it_is_2_gb_costs_nothing(
    refuse: Callable[[Path], str], tmp_path: Path
) -> None:
    """What is read in one go is made room for first."""
    path = saved(tmp_path / "best.pt", b"}")
    content = path.read_bytes()
    at = content.rindex(b"PK\x01\x02") + 20  # in the directory: the size as stored, then the size
    path.write_bytes(content[:at] + struct.pack("<I", 0x7FFFFFFF) + content[at + 4 :])
    with bounded(megabytes=100):
        assert "m/data.pkl is compressed" in refuse(path)


def test_an_archive_of_very_many_files_is_refused(refuse: Callable[[Path], str], tmp_path: Path) -> None:
    path = saved(tmp_path / "best.pt", b"}", entries={f"m/{number}": b"" for number in range(20_000)})
    with bounded(seconds=5):
        assert "more than 20,000 files in its archive" in refuse(path)


def test_a_file_of_terabytes_is_refused_unread(refuse: Callable[[Path], str], tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    path.write_bytes(b"PK\x03\x04")
    with path.open("r+b") as file:
        file.truncate(1 << 42)
    with bounded(seconds=5):
        assert "4,398,046,511,104 bytes; more than 1,073,741,824 are not read" in refuse(path)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_plain_values_are_read_as_pickle_reads_them(reader: SimpleNamespace, tmp_path: Path, protocol: int) -> None:
    """Our reader of pickles and the standard library's agree, in every protocol."""
    twice = ["x", 1.5]
    content = {
        "words": ["", "ä€😀", "a\nb\\", "x" * 300], "numbers": [0, -1, 255, 70_000, -(2**40), 2**100, 0.0, float("inf")],
        "rest": [None, True, False, b"", b"\x00\xff" * 200, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "twice": [twice, twice], 7: {"a": {}}, "many": list(range(3_000)), None: {str(i): i for i in range(1_200)},
    }  # fmt: skip
    if protocol > 3:  # before, a set is the call of a class, as is a frozenset
        content["sets"] = [set(), {1, "a"}, frozenset({2})]
    with zipfile.ZipFile(tmp_path / "p.pt", "w") as archive:
        archive.writestr("p/data.pkl", pickle.dumps(content, protocol))
    read = reader.checkpoint.read_checkpoint(tmp_path / "p.pt")
    if protocol < 3:  # bytes are the call of _codecs.encode there
        read["rest"][3:5] = content["rest"][3:5]
    assert read == content
    assert read["twice"][0] is read["twice"][1]


def test_a_pickle_of_python_2_has_words(reader: SimpleNamespace, tmp_path: Path) -> None:
    path = saved(tmp_path / "p.pt", b"U\x04a\xc3\xa4b")
    assert reader.checkpoint.read_checkpoint(path) == "aäb"


def test_an_empty_tensor_may_have_any_shape(reader: SimpleNamespace, tmp_path: Path) -> None:
    file = File()
    call = file.tensor(np.zeros((0, 80, 80), np.float32), stride=(6400, 80, 1))
    assert reader.checkpoint.read_checkpoint(file.save(tmp_path / "t.pt", call)).shape == (0, 80, 80)


def test_a_wrapped_stream_is_no_checkpoint(refuse: Callable[[Path], str], tmp_path: Path) -> None:
    """A zip archive in a zip archive unpacks to nothing that is read."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", bytes(1 << 24))
    with zipfile.ZipFile(tmp_path / "best.pt", "w") as archive:
        archive.writestr("m/data.pkl", inner.getvalue())
    assert "not a checkpoint that can be read" in refuse(tmp_path / "best.pt")
