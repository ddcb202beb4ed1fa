"""The calibration array: the firmware's way of fitting a frame, spread over the set."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
from data_stage import data, make_set
from PIL import Image

__all__ = ["data"]


def test_stretch_takes_the_pixel_that_the_firmware_takes(data: SimpleNamespace) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    fitted = data.pictures.stretch(pixels, 192)
    # el_cv.cpp in fixed point: 640 / 192 is 218453 of 65536, and three times that is a little less than 10.
    for (row, column), (from_row, from_column) in {(0, 0): (0, 0), (2, 3): (5, 9), (191, 191): (477, 636)}.items():
        assert (fitted[row, column] == pixels[from_row, from_column]).all()
    # The Grove's frames are fitted in steps of a float: three times 3.3333333 is 10.
    assert (data.pictures.stretch(pixels, 192, fixed_point=False)[0, 3] == pixels[0, 10]).all()


def test_letterbox_keeps_the_aspect_ratio(data: SimpleNamespace) -> None:
    fitted = data.calibration.letterbox(np.full((32, 64, 3), 200, dtype=np.uint8), 64)
    assert (fitted[:16] == 114).all()
    assert (fitted[16:48] == 200).all()
    assert (fitted[48:] == 114).all()


def test_images_are_spread_over_the_whole_set(data: SimpleNamespace) -> None:
    assert data.calibration.spread_evenly(10, 5) == [0, 2, 4, 6, 8]
    assert data.calibration.spread_evenly(3, 100) == [0, 1, 2]
    assert len(set(data.calibration.spread_evenly(512, 100))) == 100


def test_the_array_is_rgb_in_the_order_of_the_images(data: SimpleNamespace, tmp_path: Path) -> None:
    paths = sorted((make_set(tmp_path) / "images/train").iterdir())
    array = data.calibration.collect(paths, 100, "stretch", 32)
    assert (array.shape, array.dtype) == ((3, 32, 32, 3), np.uint8)
    for path, fitted in zip(paths, array, strict=True):
        assert (fitted == data.pictures.stretch(np.asarray(Image.open(path)), 32)).all()


def test_an_image_that_lies_on_its_side_is_turned_upright(data: SimpleNamespace, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise
    Image.new("RGB", (40, 20)).save(tmp_path / "side.jpg", exif=exif)
    assert data.pictures.decode((tmp_path / "side.jpg").read_bytes()).size == (20, 40)
