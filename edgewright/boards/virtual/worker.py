"""The network of a virtual board: computed in the proof's own environment, by a program that is talked to in lines of JSON.

The program is `board.py` of the stage that proves a model; what is said on either side stands there.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO, Any, TypeVar

from edgewright import proc
from edgewright.boards.virtual.network import CannotLoad, CannotRun, Inference
from edgewright.boards.virtual.wire import ERASED
from edgewright.config import Stage
from edgewright.engine import Engine, Job
from edgewright.firmware import Firmware

PROGRAM = "board.py"
SECTOR = 4096  # bytes; the smallest that any of the flashes erases
PATIENCE_S = 120.0  # a frame of 640 px takes some 10 s on a slow core, and starting a container a few
LEAVE_S = 10.0  # a frame that is being computed is finished first
JOIN_S = 1.0
LINE_BYTES = 1 << 23  # a frame's picture takes 0.3 MB
NOTES = 20  # lines of what it printed beside its answers, kept for the reason in them

_T = TypeVar("_T")


@dataclass(frozen=True)
class Workshop:
    """An Interpreter: what it takes to load a model. It works in `folder`, below `volume`, with one network at a time."""

    engine: Engine
    stage: Stage
    folder: Path
    volume: Path
    firmware: Firmware
    frames: Sequence[Path]
    uncompiled: Callable[[bytes], Path | None]  # the file that a compiled model was made from, if it is known
    patience_s: float = PATIENCE_S
    # Whether pictures keep their own size, so that what is found can be compared with a proof; else they are as large as a
    # frame of the camera.
    unscaled: bool = False

    def load(self, content: bytes) -> Worker:
        """Load a model from flash. Raises CannotLoad where the board would not take it, CannotRun where nothing answers."""
        environment, content = self.engine.prepare(self.stage), written(content)
        try:
            self._lay_out(content)
        except OSError as problem:
            raise CannotRun(f"{problem.filename}: {problem.strerror}") from None
        own = self.folder.relative_to(self.volume)
        job = Job(
            name=f"edgewright-{'-'.join(own.parts)}-{os.getpid()}",
            volume=self.volume,
            folder=own.as_posix(),
            request=(own / "request.json").as_posix(),
            limits=self.stage.limits,
            program=PROGRAM,
            interactive=True,
        )
        self.engine.take(self.folder)
        process = proc.converse(self.engine.argv(environment, job), cwd=self.volume)
        worker = Worker(process, lambda: self.engine.stop(job), self.folder, self.patience_s, unscaled=self.unscaled)
        worker.start()
        return worker

    def _lay_out(self, content: bytes) -> None:
        """Write the request, and copies of all that it names: in a container only the volume is seen."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shown = self.folder / "frames"
        shown.mkdir(parents=True)
        for number, path in enumerate(self.frames):  # the program goes by names; those of two folders may be alike
            shutil.copyfile(path, shown / f"{number:06}-{path.name[-100:]}")
        inputs = {"model": self.folder / "model.tflite", "frames": shown}
        inputs["model"].write_bytes(content)
        if source := self.uncompiled(content):
            inputs["uncompiled"] = self.folder / "uncompiled.tflite"
            shutil.copyfile(source, inputs["uncompiled"])
        request = {
            "stage": self.stage.name,
            "output": self.folder.relative_to(self.volume).as_posix(),
            "inputs": {role: path.relative_to(self.volume).as_posix() for role, path in inputs.items()},
            "parameters": {
                "firmware": self.firmware.facts,
                "dialect": self.firmware.at.dialect if self.firmware.at else "",
            },
        }
        (self.folder / "request.json").write_text(json.dumps(request, indent=2, sort_keys=True) + "\n")


def written(content: bytes) -> bytes:
    """Return flash up to the last sector in which anything is written: a flatbuffer does not tell how long it is."""
    count = len(content.rstrip(bytes([ERASED])))
    return content[: -(-count // SECTOR) * SECTOR]


class Worker:
    """A Network: a process that computes frames. Threads empty its pipes, so that a wait for either of them can end."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        stop: Callable[[], None],
        folder: Path,
        patience_s: float,
        *,
        unscaled: bool = False,
    ) -> None:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        self.algorithm, self._unscaled = 0, unscaled
        self._process, self._stdin, self._stop = process, process.stdin, stop
        self._folder, self._patience_s, self._broken = folder, patience_s, ""
        self._answers: queue.Queue[bytes] = queue.Queue()
        self._notes: deque[str] = deque(maxlen=NOTES)
        self._threads = [
            Thread(target=self._listen, args=(process.stdout,), daemon=True),
            Thread(target=self._note, args=(process.stderr,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def start(self) -> None:
        """Hear whether the model loads; raise CannotLoad or CannotRun, and leave nothing running."""
        try:
            answer = self._hear()
            if "refused" in answer:
                raise CannotLoad(str(answer["refused"]))
            self.algorithm = self._understand(answer, lambda: int(answer["ready"]["algorithm"]))
        except BaseException:
            self.close()
            raise

    def infer(self, score: int, iou: int, *, image: bool, frame: tuple[int, int]) -> Inference:
        """Run the next frame; thresholds in percent. Raises CannotRun."""
        if self._broken:
            raise CannotRun(self._broken)
        with suppress(OSError, ValueError):  # it has ended, which is heard
            size = None if self._unscaled else frame
            question = {"score": score, "iou": iou, "image": image, "frame": size}
            self._stdin.write(json.dumps(question).encode() + b"\n")
            self._stdin.flush()
        answer = self._hear()
        if "cannot" in answer:
            raise CannotRun(str(answer["cannot"]))
        return self._understand(answer, lambda: inference(answer))

    def close(self) -> None:
        """End it: it goes by itself at the end of its input, or is made to."""
        self._end(LEAVE_S)

    def _end(self, leave_s: float) -> None:
        with suppress(OSError):
            self._stdin.close()
        try:
            code = self._process.wait(leave_s)
        except subprocess.TimeoutExpired:
            code = None
        if code != 0:
            self._stop()
        proc.end(self._process)
        for thread in self._threads:
            thread.join(JOIN_S)
        self._broken = self._broken or "the network is closed"
        shutil.rmtree(self._folder, ignore_errors=True)

    def _hear(self) -> dict[str, Any]:
        """Return the next answer; close and raise CannotRun where none comes, or none that can be read."""
        try:
            line = self._answers.get(timeout=self._patience_s)
        except queue.Empty:
            raise self._fail(f"gave no answer in {self._patience_s:.0f} s") from None
        if not line:
            raise self._fail("ended", LEAVE_S)
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self._fail(f"said {line[:60]!r}")
        return answer

    def _understand(self, answer: Mapping[str, Any], read: Callable[[], _T]) -> _T:
        try:
            return read()
        except (KeyError, TypeError, ValueError):
            raise self._fail(f"said {json.dumps(answer)[:60]!r}") from None

    def _fail(self, what: str, leave_s: float = 0) -> CannotRun:
        """End it, and return what to raise, with the reason if one was printed."""
        self._broken = f"what computes the network {what}"
        self._end(leave_s)
        errors = [line for line in self._notes if line.startswith("error: ")]
        for line in (errors or list(self._notes))[-1:]:
            self._broken += f": {line.removeprefix('error: ')}"
        return CannotRun(self._broken)

    def _listen(self, stream: IO[bytes]) -> None:
        with stream:
            for line in iter(lambda: stream.readline(LINE_BYTES), b""):
                self._answers.put(line)
        self._answers.put(b"")

    def _note(self, stream: IO[bytes]) -> None:
        with stream:
            for line in iter(lambda: stream.readline(LINE_BYTES), b""):
                if text := line.decode(errors="replace").strip():
                    self._notes.append(text[:200])


def inference(answer: Mapping[str, Any]) -> Inference:
    """Read what a frame gave; KeyError, TypeError or ValueError where something is missing or is not what it should be."""
    before, run, after = (int(ms) for ms in answer["perf"])
    return Inference(
        width=int(answer["width"]),
        height=int(answer["height"]),
        perf=(before, run, after),
        kind=str(answer["kind"]),
        results=list(answer["results"]),
        image=str(answer["image"]),
    )
