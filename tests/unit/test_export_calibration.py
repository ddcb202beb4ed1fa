"""The array that sets the scales: checked, and spanning 0 to 255, since the firmware's input is fixed to that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from stage_modules import imported


@pytest.fixture(scope="module")
def export() -> Iterator[SimpleNamespace]:
    """The modules under test."""
    with imported(("stage", "calibration"), "export") as modules:
        yield modules


@pytest.mark.parametrize(
    "images", [np.full((2, 32, 32, 3), 7, np.uint8), np.arange(10, 202, dtype=np.uint8).reshape(1, 8, 8, 3)]
)
def test_one_value_at_each_end_is_made_to_span_all(export: SimpleNamespace, images: np.ndarray) -> None:
    spanning = export.calibration.span_all_values(images)
    assert (spanning.min(), spanning.max()) == (0, 255)
    assert (spanning != images).sum() == 2


def test_images_that_span_all_values_stay_as_they_are(export: SimpleNamespace, tmp_path: Path) -> None:
    images = np.zeros((3, 32, 32, 3), np.uint8)
    images[1, 2, 3, 0] = 255
    np.save(tmp_path / "c.npy", images)
    np.testing.assert_array_equal(export.calibration.read_calibration(tmp_path / "c.npy", 32), images)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((2, 64, 64, 3), np.uint8), "not uint8 [N, 32, 32, 3]"),
        (np.zeros((2, 32, 32, 3), np.float32), "float32"),
        (np.zeros((2, 3, 32, 32), np.uint8), "[2, 3, 32, 32]"),
        (np.zeros((0, 32, 32, 3), np.uint8), "[0, 32, 32, 3]"),
        (np.array([{}]), "no array of numpy"),
    ],
)
def test_other_arrays_are_refused(export: SimpleNamespace, tmp_path: Path, images: np.ndarray, words: str) -> None:
    np.save(tmp_path / "c.npy", images)
    with pytest.raises(export.stage.Refused) as caught:
        export.calibration.read_calibration(tmp_path / "c.npy", 32)
    assert words in str(caught.value)
