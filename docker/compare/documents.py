"""What people and programs read: JSON by its keys, tables by row and column, text by its lines."""

from __future__ import annotations

import csv
import json
from itertools import zip_longest
from pathlib import Path

from trees import compare_leaves, contrast, cut, flatten
from values import Found


def compare_json(first: Path, second: Path) -> Found:
    """Compare two JSON files by the path of each value."""
    one, other = (flatten(json.loads(path.read_text(encoding="utf-8")))[0] for path in (first, second))
    return Found(compare_leaves(one, other))


def compare_csv(first: Path, second: Path) -> Found:
    """Compare two tables by row and column; of other columns only that is said."""
    tables = []
    for path in (first, second):
        with path.open(encoding="utf-8", newline="") as file:
            tables.append([[cell.strip() for cell in row] for row in csv.reader(file)])
    columns, others = (table[0] if table else [] for table in tables)
    if columns != others:
        return Found([f"columns: {contrast(', '.join(columns), ', '.join(others))}"])
    counts = [len(table) - 1 for table in tables]
    lines = [f"{counts[0]:,} → {counts[1]:,} rows"] if counts[0] != counts[1] else []
    for number, (row, other) in enumerate(zip(*(table[1:] for table in tables), strict=False), 1):
        for column, (a, b) in enumerate(zip_longest(row, other, fillvalue="")):
            if a != b:
                name = columns[column] if column < len(columns) else f"column {column + 1}"
                lines.append(f"row {number}, {name}: {contrast(a, b)}")
    return Found(lines)


def compare_text(first: Path, second: Path) -> Found:
    """Compare two texts line by line, and show the first that differs."""
    one, other = (path.read_text(encoding="utf-8").splitlines() for path in (first, second))
    apart = [number for number, (a, b) in enumerate(zip(one, other, strict=False)) if a != b]
    lines = [f"{len(one):,} → {len(other):,} lines"] if len(one) != len(other) else []
    if apart:
        lines.append(f"line {apart[0] + 1}: {contrast(one[apart[0]], other[apart[0]])}")
    elif lines:
        longer = max(one, other, key=len)
        lines.append(f"line {min(len(one), len(other)) + 1} is new: {cut(longer[min(len(one), len(other))])}")
    if len(apart) > 1:
        lines.append(f"{len(apart):,} of {min(len(one), len(other)):,} lines differ")
    return Found(lines)
