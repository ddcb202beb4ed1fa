"""Checkpoints of torch: tensors by name, and all that is beside them; nothing in them is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from checkpoint import attributes, read_checkpoint
from pickles import Inert
from trees import compare_leaves, flatten
from values import Found, compare_arrays

GROUPS = ("_parameters", "_buffers", "_modules")  # of a torch.nn.Module; its names leave them out


def compare_pt(first: Path, second: Path) -> Found:
    """Compare two checkpoints; the file's own name, which torch puts into the archive, counts as layout."""
    (leaves, tensors), (other_leaves, other_tensors) = (
        flatten(read_checkpoint(path), expand) for path in (first, second)
    )
    found = compare_arrays(tensors, other_tensors)
    beside = [f"other than tensors: {line}" for line in compare_leaves(leaves, other_leaves)]
    return Found(found.lines + beside, found.tensors)


def expand(value: Any) -> Any:
    """A recorded object as a dictionary: its class, what it was made with, and what was put into it."""
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    if not isinstance(value, Inert):
        return value
    content: dict[str, Any] = {"class": type(value).__name__}
    if value.args:
        content["made with"] = value.args
    state = attributes(value)
    if not state and value.state is not None:
        content["state"] = value.state
    for key, item in state.items():
        content |= item if key in GROUPS and isinstance(item, dict) else {key: item}
    return content
