"""The free table of ultralytics' names: checked before an hour of training, not after."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.train_stage import train

__all__ = ["train"]


def test_known_names_pass_unchanged(train: SimpleNamespace) -> None:
    table = {"mosaic": 0.0, "cos_lr": True, "nbs": 8, "degrees": 10}
    assert train.hyperparameters.check(table) == table


def test_a_misspelt_name_is_refused_with_the_nearest(train: SimpleNamespace) -> None:
    with pytest.raises(train.stage.Refused, match="unknown key 'mosiac'") as refused:
        train.hyperparameters.check({"mosiac": 1.0})
    assert refused.value.hint == "perhaps you meant 'mosaic'"


@pytest.mark.parametrize("name", ["data", "device", "project", "resume", "format"])
def test_what_belongs_to_the_stage_cannot_be_set_here(train: SimpleNamespace, name: str) -> None:
    with pytest.raises(train.stage.Refused, match=f"unknown key '{name}'"):
        train.hyperparameters.check({name: "x"})


@pytest.mark.parametrize(
    ("name", "value", "fact"),
    [
        ("mosaic", 1.5, "out of range"),
        ("fliplr", -0.1, "out of range"),
        ("fliplr", float("nan"), "out of range"),
        ("nbs", 0, "out of range"),
        ("nbs", 8.0, "no whole number"),
        ("scale", "0.5", "no number"),
        ("scale", True, "no number"),
        ("cos_lr", 1, "neither true nor false"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(train: SimpleNamespace, name: str, value: Any, fact: str) -> None:
    with pytest.raises(train.stage.Refused, match=fact) as refused:
        train.hyperparameters.check({name: value})
    assert name in str(refused.value)
    assert name in refused.value.hint
