"""How far two forms are apart on the same objects: lost, extra, and drift in pixels of the network's input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from stage_modules import imported

SHOWN, SCALE = (
    0.5,
    (0.5, 0.25),
)  # the firmware's threshold; a frame of twice the input's width and four times its height


@pytest.fixture(scope="module")
def verify() -> Iterator[SimpleNamespace]:
    """The modules under test."""
    with imported(("heads", "decoder", "agreement"), "verify") as modules:
        yield modules


def thing(verify: SimpleNamespace, x: float = 100, score: float = 0.9, **changes: Any) -> Any:
    """A detection at `x` with two keypoints, of which the second is not seen."""
    points = np.array([[x, 50, 0.9], [x, 60, 0.2]], np.float32)
    return verify.decoder.Detection(**{"box": (x, 50, 80, 80), "score": score, "label": 0, "points": points, **changes})


def test_what_is_the_same_has_no_drift(verify: SimpleNamespace) -> None:
    found = verify.agreement.agree([thing(verify)], [thing(verify)], SHOWN, SCALE)
    assert (found.matched, found.lost, found.extra) == (1, 0, 0)
    assert found.summary()["keypoint_drift_px"] == {"mean": 0.0, "p95": 0.0}


def test_drift_is_in_pixels_of_the_input_and_of_seen_keypoints_only(verify: SimpleNamespace) -> None:
    moved = thing(verify)
    moved = replace(moved, points=moved.points + np.array([[6, 16, 0], [50, 50, 0]], np.float32))
    found = verify.agreement.agree([thing(verify)], [moved], SHOWN, SCALE)
    assert found.points == {0: [pytest.approx(5)]}  # 6 · 0.5 and 16 · 0.25


def test_a_score_that_falls_below_the_threshold_is_lost_and_its_fall_is_seen(verify: SimpleNamespace) -> None:
    found = verify.agreement.agree([thing(verify)], [thing(verify, score=0.4)], SHOWN, SCALE)
    assert (found.matched, found.lost, found.extra) == (0, 1, 0)
    assert found.scores == [pytest.approx(0.5)]


def test_what_only_one_shows_is_lost_or_extra(verify: SimpleNamespace) -> None:
    found = verify.agreement.agree([thing(verify)], [thing(verify, x=400)], SHOWN, SCALE)
    assert (found.matched, found.lost, found.extra) == (0, 1, 1)
    found = verify.agreement.agree([thing(verify)], [thing(verify, label=1)], SHOWN, SCALE)
    assert (found.lost, found.extra) == (1, 1), "another class is another thing"


def test_one_detection_answers_for_one_object_only(verify: SimpleNamespace) -> None:
    found = verify.agreement.agree([thing(verify), thing(verify, x=104)], [thing(verify)], SHOWN, SCALE)
    assert (found.matched, found.lost) == (1, 1)


def test_below_the_threshold_nothing_is_expected(verify: SimpleNamespace) -> None:
    found = verify.agreement.agree([thing(verify, score=0.3)], [], SHOWN, SCALE)
    assert (found.matched, found.lost, found.extra) == (0, 0, 0)
    assert found.summary()["keypoint_drift_px"] is None


def test_frames_add_up(verify: SimpleNamespace) -> None:
    total = verify.agreement.Agreement()
    for x in (100, 104):
        total.add(verify.agreement.agree([thing(verify)], [thing(verify, x=x)], SHOWN, SCALE))
    assert (total.matched, total.points) == (2, {0: [0.0, pytest.approx(2)]})
    assert total.summary()["box_drift_px"] == {"mean": 1.0, "p95": pytest.approx(1.9)}
