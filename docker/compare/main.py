"""The compare stage: what differs between two files, or two folders, that should be equal. The kind of a file is its suffix.

It writes difference.json:

    {"files": [{"path": "model_int8.tflite", "kind": "tflite", "lines": ["1 of 64 tensors differ", ...],
                "tensors": [{"name": "conv/w", "dtype": "int8", "shape": [16, 3, 3, 3], "differing": 2, "of": 432,
                             "largest": 1, "ulps": null, "nans": 0}]}],
     "summary": ["what a person reads, the worst first", ...]}

`path` is relative to the folder; of a file that differs there is at least one line; `summary` of equal inputs is ["identical"].
`largest` is in steps for integers; `ulps` counts units in the last place of a float; null where it means nothing.
"""

from __future__ import annotations

import filecmp
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from arrays import compare_npy, compare_npz
from checkpoints import compare_pt
from documents import compare_csv, compare_json, compare_text
from images import compare_image
from octets import say_bytes
from onnx_files import compare_onnx
from stage import Refused, Request, progress, run
from text import visible
from tflite_files import compare_tflite
from values import Difference, Found

LINES_MAX, SUMMARY_MAX = 100, 10
KINDS: dict[str, tuple[str, Callable[[Path, Path], Found]]] = {
    ".tflite": ("tflite", compare_tflite),
    ".onnx": ("onnx", compare_onnx),
    ".pt": ("checkpoint", compare_pt),
    ".npy": ("array", compare_npy),
    ".npz": ("arrays", compare_npz),
    ".json": ("json", compare_json),
    ".csv": ("csv", compare_csv),
    **dict.fromkeys((".yaml", ".yml", ".txt", ".md", ".html"), ("text", compare_text)),
    **dict.fromkeys((".png", ".jpg", ".jpeg"), ("image", compare_image)),
}


@dataclass(frozen=True)
class File:
    """How one file differs from the other of its name."""

    path: str
    kind: str
    lines: list[str]
    tensors: list[Difference] = field(default_factory=list)


def main(request: Request) -> None:
    """Do what the request asks."""
    first, second = request.inputs["first"], request.inputs["second"]
    for path in (first, second):
        if not path.exists():
            raise Refused(f"{path}: no such file or folder", "give two outputs of the same step")
    files = compare(first, second)
    folders = first.is_dir() and second.is_dir()
    content = {
        "files": [asdict(file) | {"lines": shorten(file.lines, LINES_MAX)} for file in files],
        "summary": summarise(files, folders),
    }
    (request.output / "difference.json").write_text(json.dumps(content, indent=2) + "\n")


def compare(first: Path, second: Path) -> list[File]:
    """Compare two files, or two folders file by file; nothing comes back for what is the same in every byte."""
    if first.is_dir() != second.is_dir():
        kinds = ["folder" if path.is_dir() else "file" for path in (first, second)]
        return [File(first.name, "folder", [f"a {kinds[0]} → a {kinds[1]}"])]
    if not first.is_dir():
        return compare_files(first, second, first.name)
    names = [
        {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} for root in (first, second)
    ]
    files = [
        File(name, "file", [f"only in the {'first' if name in names[0] else 'second'}"])
        for name in sorted(names[0] ^ names[1])
    ]
    both = sorted(names[0] & names[1])
    for number, name in enumerate(both, 1):
        progress(number, len(both), name)
        files += compare_files(first / name, second / name, name)
    return files


def compare_files(first: Path, second: Path, name: str) -> list[File]:
    """Compare two files by their kind; byte by byte if they have none, or cannot be read as it."""
    if filecmp.cmp(first, second, shallow=False):
        return []
    suffix = first.suffix.lower()
    if suffix not in KINDS or suffix != second.suffix.lower():
        return [File(name, "bytes", say_bytes(first, second))]
    kind, compare_kind = KINDS[suffix]
    try:
        found = compare_kind(first, second)
    except Exception as fault:  # a damaged file can fail in any way at all
        reason = " ".join(str(fault).split())[:120] or type(fault).__name__
        return [File(name, "bytes", [f"cannot be read as {kind}: {reason}", *say_bytes(first, second)])]
    same = ["the same in content, other layout", *say_bytes(first, second)]
    return [File(name, kind, found.lines or same, found.tensors)]


def summarise(files: Sequence[File], folders: bool) -> list[str]:
    """What a person reads: of one file all that differs in it; of a folder each file's worst."""
    if not files:
        return ["identical"]
    if not folders:
        return shorten(files[0].lines, SUMMARY_MAX)
    lines = [f"{len(files):,} files differ"] if len(files) > 1 else []
    for file in files:
        more = f" (and {len(file.lines) - 1} more)" if len(file.lines) > 1 else ""
        lines.append(f"{file.path}: {file.lines[0]}{more}")
    return shorten(lines, SUMMARY_MAX)


def shorten(lines: Sequence[str], most: int) -> list[str]:
    """The first lines, fit for a terminal, and how many there are besides."""
    return [*map(visible, lines[:most]), *([f"… and {len(lines) - most:,} more"] if len(lines) > most else [])]


if __name__ == "__main__":
    run(main)
