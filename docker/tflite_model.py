"""The one door for .tflite files: every offset, index, count and size in one is checked before anything else reads it.

What comes behind, flatbuffers' generated readers, TFLite's and TFLM's interpreters and Vela, follows offsets and indices unasked.
A file that passes has tables and vectors within its bytes, in numbers that no reader of it takes long for; indices of things that
are there; shapes of a size that can be; constants as long as their shapes; a zero point for each scale.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stage import Refused
from text import visible
from tflite_schema import IDENTIFIER, TABLES, TYPES, UNIONS

# Budgets, far above what a microcontroller runs: 600 tensors are many there.
FILE_BYTES_MAX = 1 << 30
TENSOR_BYTES_MAX = 1 << 30
CONSTANT_BYTES_MAX = 1 << 30  # of all tensors together: they may share a buffer, and comparing reads it each time
TABLES_MAX = 100_000
ITEMS_MAX = 2_000_000  # numbers in vectors
TEXT_BYTES_MAX = 1 << 24
DIMENSIONS_MAX = 8
COUNTS_MAX = {"[SubGraph]": 64, "[Tensor]": 5000, "[Operator]": 5000, "[OperatorCode]": 1000, "[Buffer]": 20_000}
COUNT_MAX = 65_536  # of other vectors; bytes have no limit but the file's end

ZERO_POINTS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}


class Damaged(Exception):
    """What cannot be so in a whole file."""


class Excessive(Exception):
    """What could be, and is more than is read here."""


@dataclass(frozen=True)
class Span:
    """Bytes of the file: where they begin, 0 if there are none, and how many there are."""

    start: int = 0
    count: int = 0


# A table's fields by name: number, str, tuple of numbers, Span, Table, list of Table, or nothing.
Table = dict[str, Any]
Field = tuple[str, str]  # name and kind


def _fields(text: str) -> list[Field]:
    """Parse the fields of one table; those without a name get their number."""
    named = [(field if ":" in field else f"{slot}:{field}") for slot, field in enumerate(text.split())]
    return [(name, kind) for name, _, kind in (field.partition(":") for field in named)]


FIELDS = {name: _fields(text) for name, text in TABLES.items()}
OPTIONS = {name: {number: _fields(text) for number, text in kinds.items()} for name, kinds in UNIONS.items()}


def read_file(path: Path, name: str = "") -> tuple[bytes, Table]:
    """Read a .tflite file; return its bytes and its `Model` table, or refuse it."""
    name = name or path.name
    if (size := path.stat().st_size) > FILE_BYTES_MAX:
        raise Refused(f"{name}: {size:,} bytes; at most {FILE_BYTES_MAX:,} are read", "give a smaller network")
    content = path.read_bytes()
    return content, read(content, name)


def read(content: bytes, name: str) -> Table:
    """Return the `Model` table of a file, sound throughout; refuse what is no TFLite file, is damaged, or exceeds a budget."""
    if content[4:8] != IDENTIFIER:
        raise Refused(f"{name}: not a TFLite file", "MODEL= takes an int8 .tflite, as `make deploy` exports it")
    try:
        model = _Reader(content).model()
        check(model)
    except Damaged as fault:
        size = f"{len(content):,} bytes"
        raise Refused(f"{name}: truncated or damaged TFLite file ({size}): {fault}", "copy it again") from None
    except Excessive as fault:
        raise Refused(f"{name}: {fault}", "give a smaller network") from None
    return model


def builtin_code(code: Table) -> int:
    """Return the number of a built-in operator: an 8-bit field was kept for old readers, codes above 127 stand in the newer one."""
    return int(max(code["builtin_code"], code["deprecated_builtin_code"]))


# --- bytes to tables ----------------------------------------------------------------------------------------------------------


class _Reader:
    """Follows offsets, none of which may lead out of the file; counts what it meets, for tables may share parts without end."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.tables = self.items = self.text_bytes = 0

    def model(self) -> Table:
        return self._table(FIELDS["Model"], self._follow(0))

    def _number(self, kind: str, at: int) -> Any:
        try:
            return struct.unpack_from(f"<{kind}", self.content, at)[0]
        except struct.error:
            raise Damaged(f"a number at byte {at:,}, behind its end") from None

    def _follow(self, at: int) -> int:
        """Return where the offset at `at` leads, which may be behind the end; those of tables, vectors and texts lead forwards."""
        return at + int(self._number("I", at))

    def _table(self, fields: Sequence[Field], at: int) -> Table:
        self.tables += 1
        if self.tables > TABLES_MAX:
            raise Excessive(f"more than {TABLES_MAX:,} tables in it")
        places, table = self._places(at), Table()
        for slot, (name, kind) in enumerate(fields):
            place = places[slot] if slot < len(places) else 0
            table[name] = self._value(kind, place, table.get(f"{name}_type", 0))
        return table

    def _places(self, at: int) -> list[int]:
        """Return where each field of a table lies, 0 for those that are left out."""
        vtable = at - int(self._number("i", at))
        if vtable < 0:
            raise Damaged(f"a table at byte {at:,} without a beginning")
        length, size = int(self._number("H", vtable)), int(self._number("H", vtable + 2))
        if length < 4 or length % 2 or vtable + length > len(self.content) or at + size > len(self.content):
            raise Damaged(f"a table at byte {at:,} of sizes that cannot be")
        offsets = struct.unpack_from(f"<{length // 2 - 2}H", self.content, vtable + 4)
        if any(offset and not 4 <= offset < size for offset in offsets):
            raise Damaged(f"a table at byte {at:,} with a field outside of it")
        return [at + offset if offset else 0 for offset in offsets]

    def _value(self, kind: str, place: int, chosen: int) -> Any:
        if kind in FIELDS:
            return self._table(FIELDS[kind], self._follow(place)) if place else None
        if kind.startswith("<"):
            return self._table(OPTIONS[kind[1:]].get(chosen, []), self._follow(place)) if place and chosen else None
        if kind == "text":
            return self._text(place) if place else ""
        if kind.startswith("["):
            return self._vector(kind, place)
        return self._number(kind, place) if place and kind != "-" else 0

    def _text(self, place: int) -> str:
        start, count = self._extent(place, 1)
        self.text_bytes += count
        if self.text_bytes > TEXT_BYTES_MAX:
            raise Excessive(f"more than {TEXT_BYTES_MAX:,} bytes of names in it")
        # Readers in C go on to the zero byte.
        if self._number("B", start + count):
            raise Damaged(f"a name at byte {start:,} without an end")
        try:
            return self.content[start : start + count].decode()
        except UnicodeDecodeError:
            raise Damaged(f"a name at byte {start:,} that is no text") from None

    def _vector(self, kind: str, place: int) -> Any:
        """Return a vector of tables, of numbers, or where its bytes lie."""
        inner = kind[1:-1]
        if not place:
            return [] if inner in FIELDS else Span() if inner == "B" else ()
        start, count = self._extent(place, 4 if inner in FIELDS else struct.calcsize(f"<{inner}"))
        if inner == "B":
            return Span(start, count) if count else Span()
        most = COUNTS_MAX.get(kind, COUNT_MAX)
        self.items += count
        if count > most or self.items > ITEMS_MAX:
            what = f"a vector of {count:,} ({inner})" if inner not in FIELDS else f"{count:,} tables {inner}"
            raise Excessive(f"{what} in it; at most {min(most, ITEMS_MAX):,} are read")
        if inner in FIELDS:
            return [self._table(FIELDS[inner], self._follow(start + 4 * index)) for index in range(count)]
        return struct.unpack_from(f"<{count}{inner}", self.content, start)

    def _extent(self, place: int, size: int) -> tuple[int, int]:
        """Return where the elements of a vector begin, and how many of `size` bytes there are."""
        at = self._follow(place)
        count = int(self._number("I", at))
        if at + 4 + count * size > len(self.content):
            raise Damaged(f"{count:,} × {size} bytes at byte {at:,}, which end behind its end")
        return at + 4, count


# --- what the tables say of each other ----------------------------------------------------------------------------------------


def check(model: Table) -> None:
    """Check indices, shapes, constants and quantisation; raise Damaged or Excessive."""
    buffers = [buffer["data"].count for buffer in model["buffers"]]
    if any(max(buffer["offset"], buffer["size"]) > 1 for buffer in model["buffers"]):
        raise Excessive("its constants lie behind the flatbuffer, as those of files of more than 2 GB do: not read")
    for entry in model["metadata"]:
        _index(entry["buffer"], len(buffers), f"metadata {visible(entry['name'])[:40]}", "buffer")
    constants = 0
    for graph in model["subgraphs"]:
        for number, tensor in enumerate(graph["tensors"]):
            where = f"tensor {number} ({visible(tensor['name'])[:40]})"
            constants += buffers[_index(tensor["buffer"], len(buffers), where, "buffer")]
            _check_shape(tensor, buffers[tensor["buffer"]], where)
            _check_quantisation(tensor, where)
        _check_operators(graph, len(model["operator_codes"]))
    if constants > CONSTANT_BYTES_MAX:
        raise Excessive(f"{constants:,} bytes of constants in it; at most {CONSTANT_BYTES_MAX:,} are read")
    for signature in model["signature_defs"]:
        where, graphs = f"signature {visible(signature['signature_key'])[:40]}", model["subgraphs"]
        graph = graphs[_index(signature["subgraph_index"], len(graphs), where, "subgraph")]
        for entry in (*signature["inputs"], *signature["outputs"]):
            _index(entry["tensor_index"], len(graph["tensors"]), where, "tensor")


def _check_operators(graph: Table, codes: int) -> None:
    number = len(graph["tensors"])
    for index in (*graph["inputs"], *graph["outputs"]):
        _index(index, number, "the graph's ends", "tensor")
    for at, operator in enumerate(graph["operators"]):
        where = f"operator {at}"
        _index(operator["opcode_index"], codes, where, "operator code")
        # -1 stands for an input that is left out.
        inputs = (index for index in (*operator["inputs"], *operator["intermediates"]) if index != -1)
        for index in (*inputs, *operator["outputs"]):
            _index(index, number, where, "tensor")


def _check_shape(tensor: Table, stored: int, where: str) -> None:
    """A tensor's size, as its shape claims it, can be, and its constant is no shorter."""
    shape, (_, bits) = tensor["shape"], TYPES.get(tensor["type"], ("", 0))
    if len(shape) > DIMENSIONS_MAX:
        raise Excessive(f"{where} has {len(shape)} dimensions; at most {DIMENSIONS_MAX} are read")
    if any(size < 0 for size in shape):
        raise Damaged(f"{where} has a negative dimension")
    # A dimension of 0 must not hide what the others claim.
    claimed = math.prod(max(size, 1) for size in shape) * (bits or 32) // 8
    if claimed > TENSOR_BYTES_MAX:
        raise Excessive(f"{where} takes {claimed:,} bytes; at most {TENSOR_BYTES_MAX:,} are read")
    needed = -(-math.prod(shape) * bits // 8)
    if 0 < stored < needed and tensor["sparsity"] is None:
        raise Damaged(f"{where} takes {needed:,} bytes, and its constant has {stored:,}")


def _check_quantisation(tensor: Table, where: str) -> None:
    quantization = tensor["quantization"] or {}
    scales, zero_points = quantization.get("scale", ()), quantization.get("zero_point", ())
    if scales and len(scales) != len(zero_points):
        raise Damaged(f"{where} has {len(scales)} scales and {len(zero_points)} zero points")
    if not all(math.isfinite(scale) for scale in scales):
        raise Damaged(f"{where} has a scale that is no number")
    if len(scales) > 1:
        _index(quantization["quantized_dimension"], len(tensor["shape"]), where, "dimension")
    low, high = ZERO_POINTS.get(TYPES.get(tensor["type"], ("", 0))[0], (-(2**63), 2**63 - 1))
    if scales and not all(low <= point <= high for point in zero_points):
        raise Damaged(f"{where} has a zero point outside of {low} to {high}")


def _index(index: int, count: int, where: str, what: str) -> int:
    if not 0 <= index < count:
        raise Damaged(f"{where} names {what} {index:,} of {count:,}")
    return index
