"""How large a network a yaml asks for is known before anything of it is built."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from checkpoint_maker import File, reader

__all__ = ["reader"]  # a fixture


@pytest.mark.parametrize("name", ["yolov8n-pose-recovered.pt", "best-ultralytics-8.4.190.pt", "yolov8n.pt"])
def test_a_real_network_has_just_so_many_weights_in_its_convolutions(
    assets: Path, reader: SimpleNamespace, name: str
) -> None:
    weights = reader.weights.read_weights(assets / "weights" / name)
    head = f"model.{len(weights.yaml['backbone']) + len(weights.yaml['head']) - 1}."
    held = {key: tensor.size for key, tensor in weights.tensors.items() if not key.startswith(head)}
    asked = reader.architecture.least_parameters(weights.yaml)
    assert asked == sum(size for key, size in held.items() if key.endswith("conv.weight"))
    reader.weights.refuse_oversized(weights)


LARGE: list[tuple[dict[str, Any], int]] = [
    ({"backbone": [[-1, 1, "Conv", [1024, 16, 2]]] * 60}, 59 * 2048**2 * 256),
    ({"backbone": [[-1, 24, "C2f", [1024, True]]] * 60}, 60 * 48 * 18 * 1024**2),
    # Without its factor: as many channels as there are classes.
    ({"backbone": [[-1, 1, "Conv", [1000, 16, 2]]] * 60, "nc": 1000, "scales": {"n": [1.0, 0.001, 1024]}}, 10**10),
]


@pytest.mark.parametrize(("yaml", "least"), LARGE, ids=["kernels", "repeats", "classes"])
def test_a_yaml_that_asks_for_more_than_the_file_holds_is_refused_before_it_is_built(
    reader: SimpleNamespace, tmp_path: Path, yaml: dict[str, Any], least: int
) -> None:
    file = File()
    row = [-1, 1, "Conv", [16, 3, 1]]
    full = {"head": [row, row, row, [[-1, -2, -3], 1, "Detect", ["nc"]]], "scales": {"n": [2.0, 2.0, 1024]}} | yaml
    names = {index: str(index) for index in range(full.get("nc", 1))}
    network = file.network(
        "DetectionModel", names, nc=full.get("nc", 1), **{k: v for k, v in full.items() if k != "nc"}
    )
    weights = reader.weights.read_weights(file.save(tmp_path / "large.pt", {"model": network}))
    assert reader.architecture.least_parameters(weights.yaml) >= least
    with pytest.raises(
        reader.stage.Refused, match=r"large\.pt: its yaml asks for [\d,]+ weights, and it holds [\d,]+$"
    ):
        reader.weights.refuse_oversized(weights)
