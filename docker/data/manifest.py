"""What the stage tells the next ones: the manifest of digests, and a data.yaml in YOLO's words."""

from __future__ import annotations

import json
from typing import Any

import yaml
from check import Checked, Item
from description import SPLITS


def as_manifest(data: Checked, drawn: dict[str, Any] | None) -> str:
    """JSON with the digests of all images and labels; paths are relative to the data set's root."""
    content = {
        "task": data.task,
        "source": "drawn" if drawn else data.source,
        "drawn": drawn,
        "names": list(data.names),
        "kpt_shape": data.kpt_shape,
        "flip_idx": data.flip_idx,
        "totals": {split: _totals(data.items[split]) for split in SPLITS},
        "splits": {split: [_entry(item) for item in data.items[split]] for split in SPLITS},
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _totals(items: list[Item]) -> dict[str, int]:
    return {
        "images": len(items),
        "without_labels": sum(not item.rows for item in items),
        "rows": sum(item.rows for item in items),
        "keypoints": sum(item.keypoints for item in items),
    }


def _entry(item: Item) -> dict[str, Any]:
    return {
        "image": item.image,
        "sha256": item.sha256,
        "width": item.width,
        "height": item.height,
        "labels": item.labels,
        "labels_sha256": item.labels_sha256,
        "rows": item.rows,
        "keypoints": item.keypoints,
    }


def as_yaml(data: Checked) -> str:
    """A data.yaml whose `path` means the data set's folder: the output `dataset`, or the input of that name."""
    content: dict[str, Any] = {"path": "dataset"}
    for split in SPLITS:
        places = data.places[split]
        content[split] = places[0] if len(places) == 1 else list(places)
    content["names"] = dict(enumerate(data.names))
    if data.kpt_shape:
        content["kpt_shape"] = list(data.kpt_shape)
    if data.flip_idx:
        content["flip_idx"] = list(data.flip_idx)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
