"""Run one step: lay out its folder, call the engine, and publish what came out, whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgewright import digest, log, records
from edgewright.cache import LOG
from edgewright.config import Stage
from edgewright.engine import Conditions, Engine, Environment, Job, Mount
from edgewright.errors import EdgewrightError, EngineMissing, HashDiffers, OutputMissing, StageFailed, WrongInput
from edgewright.plan import Step
from edgewright.records import Record

RUN, DIFFERS = "run", "differs"  # folders on the volume: runs that go on, and repeated ones that came out otherwise
PARTIAL = "partial"  # folder on the volume: what runs that came to no end have left to look at
REFUSED = 2  # a stage's exit code for "the input is at fault" (docker/stage.py)
# How docker and podman say that no GPU (or no container toolkit) is there.
NO_GPU = ("could not select device driver", "nvidia.com/gpu")
# As the system says it, and as numpy does of a file that it could write only in part.
NO_SPACE = r"No space left on device|\d+ requested and \d+ written"
KILLED = (137, -9)  # by the kernel, for want of memory, or by hand


@dataclass(frozen=True)
class Work:
    """A step, what runs it, on which files (role → host path), and where."""

    engine: Engine
    environment: Environment
    volume: Path
    step: Step
    paths: Mapping[str, Path]
    conditions: Conditions = field(default_factory=Conditions)

    @property
    def stage(self) -> Stage:
        """Return the step's stage."""
        return self.step.stage


def execute(work: Work, facts: Mapping[str, Any]) -> Record:
    """Run a step and return its record.

    It works in `run/<step>` on the volume; that folder gets its final name when every output is there and hashed, and is removed if
    anything goes wrong. The log stays in either case.
    """
    key, started = digest.of_value(facts), time.monotonic()
    with _working(work, key) as folder:
        outputs = _run(work, folder)
        record = Record(work.stage.name, key, facts, outputs)
        publish(record, folder, work.volume)
    main = next(iter(record.outputs.values()))
    seconds = time.monotonic() - started
    log.say(work.stage.name, f"✓ {record.folder}/{main['path']}  {log.size(main['bytes'])}  {seconds:.1f} s", "green")
    return record


def repeat(work: Work, record: Record) -> None:
    """Run a finished step once more and compare every output; raise HashDiffers where one is not what it was, and keep both."""
    stage, volume = work.stage, work.volume
    with _working(work, record.key) as folder:
        outputs = _run(work, folder)
        different = [
            role for role in record.outputs if outputs.get(role, {}).get("sha256") != record.outputs[role]["sha256"]
        ]
        if different:
            kept = volume / DIFFERS / folder.name
            shutil.rmtree(kept, ignore_errors=True)
            kept.parent.mkdir(exist_ok=True)
            os.replace(folder, kept)
            name = record.outputs[different[0]]["path"]
            raise HashDiffers(
                f"{stage.name}: run again, {name} differs from what was recorded",
                f"cmp {volume / record.folder / name} {kept / name}",
            )
    log.say(stage.name, f"✓ run again: the same {len(record.outputs)} outputs", "green")


@contextmanager
def _working(work: Work, key: str) -> Iterator[Path]:
    """Give an empty folder for one run, and remove what is still in it afterwards."""
    folder = work.volume / RUN / records.folder_of(work.stage.name, key)
    shutil.rmtree(folder, ignore_errors=True)  # what a killed run left
    folder.mkdir(parents=True)
    try:
        yield folder
    except WrongInput:
        _keep(work.stage, folder, work.volume)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(work: Work, folder: Path) -> dict[str, dict[str, Any]]:
    """Lay out the folder, run the stage in it, and return its outputs, hashed."""
    own, engine = folder.relative_to(work.volume), work.engine
    job = Job(
        name=f"edgewright-{own.name}-{os.getpid()}",
        volume=work.volume,
        folder=own.as_posix(),
        request=(own / "request.json").as_posix(),
        mounts=_lay_out(work, own),
        limits=work.stage.limits,
        gpu=bool(work.step.parameters.get("gpu")),
        conditions=work.conditions,
    )
    if ended := engine.sweep(job):
        log.say(work.stage.name, f"ended what a killed run had left running: {ended}", "yellow")
    engine.take(folder)
    _call(engine, work.environment, job)
    return _outputs(work.stage, folder)


def _lay_out(work: Work, own: Path) -> tuple[Mount, ...]:
    """Write the request. What lies on the volume is named as it is; a user's file becomes visible below the step's own folder."""
    inputs, mounts, volume = {}, [], work.volume
    for role, path in work.paths.items():
        if path.is_relative_to(volume):
            inputs[role] = path.relative_to(volume).as_posix()
            continue
        target = own / "inputs" / role / path.name if path.is_file() else own / "inputs" / role
        mounts.append(Mount(path.resolve(), target.as_posix()))
        _place(work.engine, volume / target, path)
        inputs[role] = target.as_posix()
    request = {
        "stage": work.stage.name,
        "output": own.as_posix(),
        "inputs": inputs,
        "parameters": dict(work.step.parameters),
    }
    (volume / own / "request.json").write_text(json.dumps(request, indent=2, sort_keys=True) + "\n")
    return tuple(mounts)


def _place(engine: Engine, target: Path, path: Path) -> None:
    """Make what a container mounts over, or, without one, a link: either way no byte is copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not engine.hermetic:
        target.symlink_to(path.resolve())
    elif path.is_dir():
        target.mkdir()
    else:
        target.touch()


def _log_path(folder: Path) -> Path:
    return folder.with_name(folder.name + ".log")


def _call(engine: Engine, environment: Environment, job: Job) -> None:
    """Run the stage with a bar and a log; raise what its end means."""
    stage, path = environment.stage, _log_path(job.volume / job.folder)
    path.unlink(missing_ok=True)
    argv = engine.argv(environment, job)
    code, lines = log.watch(stage.name, stage.title, argv, path, cwd=job.volume, stop=lambda: engine.stop(job))
    if code:
        raise failure(stage, code, [as_the_user_knows_it(line, job) for line in lines], path)


def as_the_user_knows_it(line: str, job: Job) -> str:
    """Name the user's files by their own paths: a stage knows them by where they are mounted."""
    for mount in job.mounts:
        line = line.replace(mount.target, str(mount.source))
    return line


def _outputs(stage: Stage, folder: Path) -> dict[str, dict[str, Any]]:
    """Hash what the stage promised; a promise not kept is an error of its own."""
    outputs = {}
    for role, name in stage.outputs.items():
        path = folder / name
        if path.exists():
            files = digest.files_in(path) if path.is_dir() else [path]
            outputs[role] = {
                "path": name,
                "sha256": digest.of_path(path),
                "bytes": sum(file.stat().st_size for file in files),
            }
        elif role not in stage.run.optional_outputs:
            raise OutputMissing(f"{stage.name} ended without its {role}, {name}", f"less {_log_path(folder)}")
    return outputs


def _keep(stage: Stage, folder: Path, volume: Path) -> None:
    """Save what a run that refused its input has made for people to look at, where nothing takes it for a finished step."""
    made = [folder / stage.outputs[role] for role in stage.run.kept if (folder / stage.outputs[role]).exists()]
    target = volume / PARTIAL / folder.name
    if made:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for path in made:
            os.replace(path, target / path.name)
        log.say(stage.name, f"unfinished: {target / made[-1].name}", "yellow")


def publish(record: Record, folder: Path, volume: Path) -> None:
    """Drop what only the run needed, add the record and the log, and give the folder its final name."""
    for leftover in ("inputs", "tmp"):
        shutil.rmtree(folder / leftover, ignore_errors=True)
    records.write(folder, record)
    if _log_path(folder).exists():
        os.replace(_log_path(folder), folder / LOG)
    final = volume / record.folder
    shutil.rmtree(final, ignore_errors=True)  # outputs that no longer were what its record said
    os.replace(folder, final)


def failure(stage: Stage, code: int, lines: list[str], path: Path) -> EdgewrightError:
    """Turn a stage's end into an error: its own two lines if it refused the input, else where to look."""
    if any(re.search(NO_SPACE, line) for line in lines):
        return StageFailed(f"{stage.name}: the disk is full (log: {path})", "make clean")
    if code == REFUSED:
        at = max((i for i, line in enumerate(lines) if line.startswith("error: ")), default=None)
        if at is not None:
            said = [line for line in lines[at:] if not line.startswith(" hint: ")]
            hints = [line.removeprefix(" hint: ") for line in lines[at:] if line.startswith(" hint: ")]
            return WrongInput("\n       ".join(said).removeprefix("error: "), hints[0] if hints else "")
    if any(word in line for word in NO_GPU for line in lines):
        return EngineMissing(
            f"{stage.name}: a GPU was asked for, and the engine has none to give", "GPU=0, or: make doctor"
        )
    if code in KILLED:
        limit = stage.limits.memory
        return StageFailed(
            f"{stage.name}: killed, probably for want of memory (limit {limit}; log: {path})", "less BATCH= or IMGSZ="
        )
    last = next((line for line in reversed(lines) if line.strip()), "no output")
    return StageFailed(f"{stage.name} ended with exit code {code}: {last.strip()[:200]}", f"less {path}")
