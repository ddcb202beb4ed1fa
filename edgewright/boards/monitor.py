"""Live results as text: a line for each frame that the board reports, and what they come to in the end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from edgewright import log
from edgewright.boards.dialects import Box, Event, Point

Found = tuple[Box, tuple[Point, ...]]  # a detection, with its keypoints if the model has any

VISIBLE = 50  # percent: a keypoint below is probably hidden
_PACE = 16  # frames that the rate is taken over: steady enough to be read
_WIDTH = 54  # letters that detections take, so that the times stand below each other


@dataclass(frozen=True)
class Timing:
    """Whose time the results tell: the board's own or, of a virtual one, this machine's; ms that were estimated for the network."""

    virtual: bool = False
    estimate_ms: Sequence[float] | None = None

    @property
    def estimate(self) -> str:
        """What was estimated, for reading: `67 ms` or `608 to 2,608 ms`; nothing where nothing was."""
        if not self.estimate_ms:
            return ""
        low, high = (f"{time:,.0f}" for time in (min(self.estimate_ms), max(self.estimate_ms)))
        return f"{low if low == high else f'{low} to {high}'} ms"


OWN = Timing()


@dataclass(frozen=True)
class Frame:
    """An event, counted from 1, with what was found (best first) and the frames a second so far (0: not known yet)."""

    number: int
    event: Event
    found: Sequence[Found]
    fps: float


def watch(
    events: Iterable[Event],
    names: Sequence[str],
    timing: Timing = OWN,
    *,
    close: Callable[[], None],
    show: Callable[[Frame], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Print a line for each event until they end or Ctrl-C is pressed; then `close` what sends them, and sum up.

    `names` are those of the classes; `show` gets each frame as well. What `events` or `close` raises goes on, after the summary.
    """
    if timing.virtual:
        log.say("monitor", "a virtual board: milliseconds and fps are this machine's", "yellow")
    if timing.estimate:
        log.say("", f"estimated for the network on the board: {timing.estimate}", "dim")
    tally = _Tally()
    try:
        try:
            for event in events:
                frame = tally.add(event, clock())
                if show:
                    show(frame)
                log.say(str(frame.number), _line(frame, names))
        except KeyboardInterrupt:
            log.out.print()  # the terminal has written ^C
        close()
    finally:
        log.say("monitor", tally.text() + (" of this machine's time" if timing.virtual and tally.frames else ""))


class _Tally:
    """What is known of the frames so far."""

    def __init__(self) -> None:
        self.frames = self.seen = 0
        self.milliseconds = [0, 0, 0]
        self.started = 0.0
        self.pace: deque[float] = deque(maxlen=_PACE)

    def add(self, event: Event, now: float) -> Frame:
        """Count an event that came at `now` (seconds)."""
        self.started = self.started if self.frames else now
        self.frames += 1
        self.pace.append(now)
        self.milliseconds = [sum(both) for both in zip(self.milliseconds, event.perf, strict=True)]
        frame = Frame(self.frames, event, _found(event), _rate(len(self.pace), now - self.pace[0]))
        self.seen += bool(frame.found)
        return frame

    def text(self) -> str:
        """Return the summary: how many frames, in how many something was seen, mean times."""
        if not self.frames:
            return "no frame came"
        mean = _times([total / self.frames for total in self.milliseconds])
        rate = _fps(_rate(self.frames, self.pace[-1] - self.started))
        plural = "" if self.frames == 1 else "s"
        return f"{self.frames:,} frame{plural}, something seen in {self.seen:,}; on average {mean} {rate}".rstrip()


def _found(event: Event) -> list[Found]:
    """Return what was found in the same form for every kind of model, the best first."""
    found: list[Found] = [*event.keypoints, *((box, ()) for box in event.boxes)]
    return sorted(found, key=lambda one: -one[0][4])


def _rate(frames: int, seconds: float) -> float:
    return (frames - 1) / seconds if seconds > 0 else 0.0


def _line(frame: Frame, names: Sequence[str]) -> str:
    """Say the best of what was found, how much more there is, and the times."""
    text = "–"
    if frame.found:
        (x, y, width, height, score, label), points = frame.found[0]
        name = names[label] if 0 <= label < len(names) else f"class {label}"
        text = f"{name} {score / 100:.2f} at {x},{y} ({width}×{height})"
        if points:
            visible = sum(point[2] >= VISIBLE for point in points)
            of = f"{visible} of " if visible < len(points) else ""
            text += f"  {of}{len(points)} points"
        if more := len(frame.found) - 1:
            text += f"  +{more}"
    return f"{text:<{_WIDTH}} {_times(frame.event.perf)}   {_fps(frame.fps)}".rstrip()


def _times(milliseconds: Sequence[float]) -> str:
    return " + ".join(f"{value:.0f}" for value in milliseconds) + " ms"


def _fps(rate: float) -> str:
    return f"{rate:.{2 if rate < 1 else 1}f} fps" if rate else ""
