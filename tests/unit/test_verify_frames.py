"""Which frames are measured, and what their labels mean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from data_stage import ROW, make_set
from stage_modules import imported


@pytest.fixture(scope="module")
def verify() -> Iterator[SimpleNamespace]:
    """The modules under test."""
    with imported(("stage", "pictures", "dataset", "frames"), "verify") as modules:
        yield modules


def manifest_of(root: Path, count: int, **changes: object) -> Path:
    """A set of `count` validation images and the manifest that the data stage would write."""
    make_set(root, train=1, val=count)
    entries = [
        {"image": path.relative_to(root).as_posix(), "labels": f"labels/val/{path.stem}.txt"}
        for path in sorted((root / "images/val").iterdir())
    ]
    content = {"names": ["person"], "kpt_shape": [17, 3], "flip_idx": None, "drawn": None, "source": "data.yaml"}
    content |= {"splits": {"train": [], "val": entries}, **changes}
    (root / "manifest.json").write_text(json.dumps(content))
    return root / "manifest.json"


def test_frames_are_spread_evenly_over_the_split(verify: SimpleNamespace, tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, 8)
    every = verify.frames.take(manifest, tmp_path, 0)
    assert (len(every.pictures), every.total, every.source) == (8, 8, "data.yaml, val")
    some = verify.frames.take(manifest, tmp_path, 3)
    assert [every.pictures.index(picture) for picture in some.pictures] == [0, 2, 5]
    assert len(verify.frames.take(manifest, tmp_path, 100).pictures) == 8
    assert tmp_path / some.path(1) == some.pictures[1].image


def test_labels_become_pixels_of_the_image(verify: SimpleNamespace, tmp_path: Path) -> None:
    sample = verify.frames.take(manifest_of(tmp_path, 1), tmp_path, 0)
    assert sample.pixels(0).shape == (24, 32, 3)
    frame = sample.labels(0, 32, 24)
    np.testing.assert_allclose(frame.boxes, [[9.6, 2.4, 12.8, 19.2]], rtol=1e-6)
    np.testing.assert_allclose(frame.points[0], [[16, 12, 2]] * 17)


def test_labels_are_read_without_decoding_the_image_again(verify: SimpleNamespace, tmp_path: Path) -> None:
    sample = verify.frames.take(manifest_of(tmp_path, 1), tmp_path, 0)
    sample.pictures[0].image.unlink()
    frame = sample.labels(0, 32, 24)
    assert len(frame.boxes) == 1
    assert not hasattr(frame, "pixels"), "what is kept of every frame holds no picture"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda image, _: image.unlink(), "No such file"),
        (lambda image, _: image.write_bytes(image.read_bytes()[:60]), "truncated or damaged"),
        (lambda image, _: image.write_text("no image"), "no image"),
        (lambda _, labels: labels.write_text("0 0.5 0.5 0.1 0.1\n"), "changed since it was checked"),
        (lambda _, labels: labels.write_text(ROW.replace("0.8", "wide")), "not all numbers"),
    ],
)
def test_a_frame_that_can_no_longer_be_read_is_refused_by_name(
    verify: SimpleNamespace, tmp_path: Path, spoil: object, words: str
) -> None:
    sample = verify.frames.take(manifest_of(tmp_path, 1), tmp_path, 0)
    picture = sample.pictures[0]
    spoil(picture.image, picture.labels)  # type: ignore[operator]
    with pytest.raises(verify.stage.Refused) as refusal:
        sample.labels(0, *sample.pixels(0).shape[1::-1])
    assert words in str(refusal.value)
    assert picture.image.stem in str(refusal.value)
    assert refusal.value.hint


def test_noise_is_the_same_each_time_and_reaches_every_level(verify: SimpleNamespace) -> None:
    one, two = verify.frames.noise(64, 2), verify.frames.noise(64, 2)
    assert all((a == b).all() for a, b in zip(one, two, strict=True))
    assert one[0].shape == (64, 64, 3)
    assert (one[0] != one[1]).any()
    assert (one[0].min(), one[0].max()) < (20, 256)
    assert one[0].max() > 235
