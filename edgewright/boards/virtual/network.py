"""What the firmware of a virtual board has for a neural network: a model that was loaded from flash, and what it finds.

The real one runs in the proof's own environment (worker.py); tests have one that needs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


class CannotLoad(Exception):
    """The interpreter does not take the model: an operator is not registered, or the arena is too small. The text says which."""


class CannotRun(Exception):
    """This machine cannot compute what the board would: the text says why. A real board would."""


@dataclass(frozen=True)
class Inference:
    """What one frame gives: `results` is the value of the event's `boxes` or `keypoints`, as the firmware writes it."""

    width: int  # of the frame, pixels
    height: int
    perf: tuple[int, int, int]  # ms: pre-processing, network, post-processing
    kind: str  # "boxes" or "keypoints"
    results: list[Any]  # boxes: [[cx, cy, w, h, score, target], …]; keypoints: [[box, [[x, y, score, number], …]], …]
    image: str = ""  # the frame as JPEG in base64, if it was asked for


class Network(Protocol):
    """A loaded model."""

    @property
    def algorithm(self) -> int:
        """Return the number of the decoder that the firmware chooses for its outputs; 0: none fits."""

    def infer(self, score: int, iou: int, *, image: bool, frame: tuple[int, int]) -> Inference:
        """Run the next frame, of so many pixels in width and height; thresholds in percent. Raises CannotRun."""

    def close(self) -> None:
        """Let go of what it runs in."""


class Interpreter(Protocol):
    """What loads models."""

    def load(self, content: bytes) -> Network:
        """Load a model from flash: from its first byte to where the slot, or what is written of it, ends.

        Raises CannotLoad, or CannotRun where nothing answers.
        """
