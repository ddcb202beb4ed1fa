"""The accuracy ladder: each form of the network on the same frames, decoded alike, on all cores; and the kernels byte by byte."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import firmware_json
import numpy as np
import stage
from cores import count_cores, death_told
from decoder import Detection, Frame, decode
from frames import Sample
from heads import Heads
from kernels import Quantised, Result, Runner, device_runner, float_runner, int8_runner, onnx_runner, torch_runner
from pictures import Pixels, stretch
from stage import Refused

LEAST_SCORE = 1  # percent: the lowest that AT+TSCORE can be set to; AP needs the whole curve
WORKERS_MAX = 16  # each takes about 0.3 GB of its own


@dataclass(frozen=True)
class Forms:
    """The network's files, as far as there are any, and how their outputs are read."""

    heads: Heads
    quantised: Quantised
    int8: Path
    weights: Path | None = None
    onnx: Path | None = None
    float32: Path | None = None
    micro: bool = True  # whether TFLM can run the int8 file
    fixed_point: bool = True  # how the firmware fits a frame: pictures.stretch

    def fit(self, pixels: Pixels) -> Pixels:
        """Return a frame [height, width, 3] as the firmware hands it to the network."""
        return stretch(pixels, self.heads.imgsz, fixed_point=self.fixed_point)

    def runners(self) -> dict[str, Callable[[], Runner]]:
        """How to load each form, from the weights down to the device."""
        raw, found = self.heads.form.startswith("raw"), {}
        if self.weights:
            found["torch"] = lambda: torch_runner(self.weights, raw)  # type: ignore[arg-type]
        if self.onnx:
            found["onnx"] = lambda: onnx_runner(self.onnx, raw)  # type: ignore[arg-type]
        if self.float32:
            found["float"] = lambda: float_runner(self.float32, self.heads.roles)  # type: ignore[arg-type]
        found["int8"] = lambda: int8_runner(self.int8, self.quantised, "BUILTIN_REF")
        if self.micro:
            found["device"] = lambda: device_runner(self.int8, self.quantised)
        found["optimised"] = lambda: int8_runner(self.int8, self.quantised, "AUTO")
        return found


@dataclass(frozen=True)
class Decoding:
    """How the firmware decodes: its arithmetic, and the thresholds in percent of what it shows."""

    decoder: str
    iou: int
    score: int


@dataclass(frozen=True)
class Difference:
    """How far two kernels are apart on one frame: how many output values of how many differ, and by how many steps at most."""

    values: int = 0
    of: int = 0
    steps: int = 0


@dataclass(frozen=True)
class Range:
    """What one output's integers were on one frame, and how many of them stood at an end of the int8 range."""

    low: int
    high: int
    saturated: int
    of: int


@dataclass(frozen=True)
class Measured:
    """One frame's results: detections by rung, what the firmware prints, kernels compared, and ranges by role."""

    index: int
    width: int
    height: int
    found: Mapping[str, Sequence[Detection]] = field(default_factory=dict)
    device: Difference | None = None
    optimised: Difference = Difference()
    ranges: Mapping[str, Range] = field(default_factory=dict)
    shown: Sequence[Any] = ()  # firmware_json.py


class Bench:
    """Every form of a network, loaded; measures one image at a time."""

    def __init__(self, forms: Forms, decoding: Decoding | None) -> None:
        self.forms, self.decoding = forms, decoding
        self.runners = {name: load() for name, load in forms.runners().items()}

    def measure(self, index: int, pixels: Pixels) -> Measured:
        """Run every form on one image, [height, width, 3]."""
        image = self.forms.fit(pixels)
        results = {name: run(image) for name, run in self.runners.items()}
        height, width = pixels.shape[:2]
        exact_of = next(iter(results))
        found = {}
        if self.decoding:
            if not results[exact_of].steps:  # a float form: the reference that all are compared with
                found["reference"] = self._decode(results[exact_of], width, height, exact=True)
            found |= {name: self._decode(result, width, height) for name, result in results.items()}
        int8 = results["int8"].steps
        board = results.get("device", results["int8"])
        return Measured(
            index=index,
            width=width,
            height=height,
            found=found,
            device=compare(results["device"].steps, int8) if "device" in results else None,
            optimised=compare(results["optimised"].steps, int8),
            ranges={role: _range(array) for role, array in int8.items()},
            shown=self._shown(self._frame(board, width, height)),
        )

    def _decode(self, result: Result, width: int, height: int, *, exact: bool = False) -> list[Detection]:
        assert self.decoding
        frame = self._frame(result, width, height)
        return decode(self.decoding.decoder, frame, LEAST_SCORE, self.decoding.iou, exact=exact)

    def _shown(self, frame: Frame) -> list[Any]:
        """Decode once more, at the firmware's own threshold: it compares first and rounds then."""
        one = self.decoding
        return firmware_json.results(one.decoder, frame, one.score, one.iou) if one else []

    def _frame(self, result: Result, width: int, height: int) -> Frame:
        scales = self.forms.quantised.scales if result.steps else {}
        return Frame(result.values, self.forms.heads.imgsz, width, height, scales)


def compare(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> Difference:
    """Compare the integers of two kernels, output by output."""
    apart = [np.abs(one[role].astype(int) - other[role].astype(int)) for role in other]
    return Difference(
        values=sum(int((steps > 0).sum()) for steps in apart),
        of=sum(steps.size for steps in apart),
        steps=max(int(steps.max()) for steps in apart),
    )


def _range(array: np.ndarray) -> Range:
    return Range(int(array.min()), int(array.max()), int(((array == -128) | (array == 127)).sum()), array.size)


# --- on all cores -------------------------------------------------------------------------------------------------------------

# Of a worker process. The frames are its own from the fork on, and only their numbers go through the pool's queue: a worker that
# dies with more in there than a pipe holds leaves Python before 3.11.5 waiting for ever (cpython #94777).
_bench: Bench | Refused
_source: Sample | Sequence[Pixels]


def _load(forms: Forms, decoding: Decoding | None, source: Sample | Sequence[Pixels]) -> None:
    global _bench, _source
    _source = source
    try:
        _bench = Bench(forms, decoding)
    # Raised here it would break the pool, and the reason would be lost: the first frame tells it.
    except Refused as refusal:
        _bench = refusal


def _measure(index: int) -> Measured:
    if isinstance(_bench, Refused):
        raise _bench
    return _bench.measure(index, _source.pixels(index) if isinstance(_source, Sample) else _source[index])


def measure_all(
    forms: Forms, decoding: Decoding | None, source: Sample | Sequence[Pixels], workers: int = 0
) -> Iterator[Measured]:
    """Measure every frame, in order, with a process for each core; what goes wrong with one is raised when its turn comes."""
    sample = isinstance(source, Sample)
    count = len(source.pictures) if isinstance(source, Sample) else len(source)
    frames = iter(range(count))
    workers = min(workers or count_cores(), count, WORKERS_MAX)
    _import_all(forms)
    fact = f"{forms.int8.name}: a process that ran it died: an interpreter crashed, or memory ran out"
    told = death_told(fact, "export the network again, or more memory under [limits] in docker/verify/stage.toml")
    with told, ProcessPoolExecutor(workers, get_context("fork"), _load, (forms, decoding, source)) as pool:
        # Not map(): it would take every frame at once, and go on after the first that fails.
        waiting = deque(pool.submit(_measure, frame) for frame in islice(frames, 2 * workers))
        try:
            for done in range(1, count + 1):
                yield waiting.popleft().result()
                stage.progress(done, count, "frames" if sample else "kernels compared")
                waiting.extend(pool.submit(_measure, frame) for frame in islice(frames, 1))
        finally:  # a frame that fails, here or with who takes it, ends the rest
            for future in waiting:
                future.cancel()


def _import_all(forms: Forms) -> None:
    """Import once what every worker needs, before they are forked: it takes 10 s and half a GB."""
    import tensorflow  # noqa: F401

    if forms.weights:
        import ultralytics  # noqa: F401
