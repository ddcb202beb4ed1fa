"""Progress lines: not too many, and with a believable time left."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.unit.train_stage import train

__all__ = ["train"]


def test_the_time_left_follows_from_the_time_that_has_passed(train: SimpleNamespace) -> None:
    now_s = [0.0]
    meter = train.meter.Meter(epochs=12, batches=10, clock=lambda: now_s[0])
    now_s[0] = 25.0
    line = meter.step(2, 4, {"box": 1.234, "pose": 4.5})
    assert line == (25, 120, "epoch 3/12 box 1.23 pose 4.50 · 1:35 left")


def test_lines_come_at_most_once_a_second_and_at_the_end_of_each_epoch(train: SimpleNamespace) -> None:
    now_s = [0.0]
    meter = train.meter.Meter(epochs=2, batches=4, clock=lambda: now_s[0])
    shown = []
    for epoch in range(2):
        for batch in range(4):
            now_s[0] += 0.4
            shown.append(meter.step(epoch, batch, {}) is not None)
    assert shown == [True, False, False, True, False, False, True, True]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (7.4, "0:07"), (100, "1:40"), (7391, "2:03:11")])
def test_durations_are_written_as_people_do(train: SimpleNamespace, seconds: float, text: str) -> None:
    assert train.meter.duration(seconds) == text
