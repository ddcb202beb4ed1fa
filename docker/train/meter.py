"""How far the training is: one line every second or so, with the losses and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


class Meter:
    """Counts batches over all epochs and says, not too often, how far they are.

    The time left assumes that the batches to come take as long as those done; as validation is part of the time
    that has passed, it is part of the time left too.
    """

    def __init__(
        self, epochs: int, batches: int, *, every_s: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.epochs = epochs
        self.batches = batches  # per epoch
        self.every_s = every_s
        self.clock = clock
        self.started_s = clock()
        self.shown_s = float("-inf")

    def step(self, epoch: int, batch: int, losses: Mapping[str, float]) -> tuple[int, int, str] | None:
        """Return (done, total, text) for the batch just finished (both from 0), or None if it is too soon for a line."""
        done, total = epoch * self.batches + batch + 1, self.epochs * self.batches
        now_s = self.clock()
        last_of_epoch = batch + 1 == self.batches
        if now_s - self.shown_s < self.every_s and not last_of_epoch:
            return None
        self.shown_s = now_s
        left_s = (now_s - self.started_s) / done * (total - done)
        terms = " ".join(f"{name} {value:.2f}" for name, value in losses.items())
        return done, total, f"epoch {epoch + 1}/{self.epochs} {terms} · {duration(left_s)} left"


def duration(seconds: float) -> str:
    """Write a duration as people do: 0:07, 1:40, 2:03:11."""
    minutes, rest_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest_s:02d}" if hours else f"{minutes}:{rest_s:02d}"
