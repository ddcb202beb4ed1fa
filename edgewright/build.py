"""Run a Plan step by step: skip what is proved, run the rest in an engine, publish whole folders only."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgewright import assets, digest, documents, files, foreign, log, records, whereabouts
from edgewright.cache import Entry, Store
from edgewright.config import Asset
from edgewright.engine import Conditions, Engine, Environment
from edgewright.environments import exclusively
from edgewright.errors import WrongInput
from edgewright.execute import RUN, TAKEN, Work, clear, execute, publish, repeat
from edgewright.file_index import FileIndex
from edgewright.plan import File, Output, Plan, Source, Step
from edgewright.records import Record
from edgewright.supply import NETWORK, Supply

LOCKS = "locks"  # folder on the volume
POINTER_BYTES = 1 << 20  # a stage's name and a key for each step


@dataclass(frozen=True)
class State:
    """Whether a step is up to date, and why it would run if not."""

    step: Step
    record: Record | None
    reason: str
    cached: Entry | None = None  # what the cache has of it


@dataclass
class Build:
    """One walk over a plan: the records so far, and digests that need computing only once."""

    plan: Plan
    engine: Engine
    volume: Path
    supply: Supply = NETWORK
    force: bool = False
    repeat: bool = False  # run what is up to date once more, and compare
    released: bool = False  # take only what the store of isolated steps confirms: this goes out to others
    store: Store = None  # type: ignore[assignment]  # see __post_init__
    conditions: Conditions = field(default_factory=Conditions)
    done: dict[str, Record] = field(default_factory=dict)
    ahead: tuple[Step, Record] | None = None  # the step that had to run before there was a plan
    digests: dict[Path, str] = field(default_factory=dict)
    index: FileIndex = field(default_factory=FileIndex)

    def __post_init__(self) -> None:
        """Take the user's store for this kind of engine, unless another one is given."""
        if self.store is None:
            self.store = Store.of_user(self.engine.hermetic)

    # --- what a step works on -----------------------------------------------------------------------------------------------

    def path(self, source: Source) -> Path:
        """Return where a source lies on this machine, downloading an asset if need be."""
        if isinstance(source, Output):
            return self.volume / self.done[source.stage].path(source.role)
        if isinstance(source, Asset):
            return assets.obtain(source, offline=self.supply.offline, folder=self.supply.assets)
        return source.path

    def digest(self, source: Source) -> str:
        """Return a source's sha256: as recorded for outputs and assets, of the bytes themselves for files."""
        if isinstance(source, Output):
            return str(self.done[source.stage].outputs[source.role]["sha256"])
        if isinstance(source, Asset):
            return source.sha256
        if source.path not in self.digests:
            # A release believes no clock.
            trusting = not (self.repeat or self.released)
            try:
                self.digests[source.path] = self.index.of_path(source.path, trusting=trusting)
            except OSError as problem:
                where = problem.filename or source.path
                raise WrongInput(f"{where}: {problem.strerror or problem}", f"ls -ld {where}") from None
        return self.digests[source.path]

    def facts(self, step: Step, environment: Environment) -> dict[str, Any]:
        """Return the step's facts; every step that it depends on must be done."""
        inputs = {role: self.digest(source) for role, source in self.sources(step).items()}
        return records.facts(step, inputs, environment, self.engine.hermetic)

    def sources(self, step: Step) -> dict[str, Source]:
        """Return the step's inputs without those that an earlier step may give, and did not."""

        def there(source: Source) -> bool:
            return not isinstance(source, Output) or source.role in self.done[source.stage].outputs

        return {role: source for role, source in step.inputs.items() if there(source)}

    # --- one step -----------------------------------------------------------------------------------------------------------

    def state(self, step: Step, environment: Environment) -> State:
        """Return whether the step is up to date, by its key and its outputs' hashes."""
        facts = self.facts(step, environment)
        key = digest.of_value(facts)
        found = records.find(self.volume, step.stage.name, key)
        if found and not found.is_of(step.stage):
            found = None
        if found and self.force:
            return State(step, None, "FORCE=1")
        entry = None if self.force else self.store.find(key, step.stage)
        problem = found.problem(self.volume, step.stage) if found else ""
        if found and self.released and not (entry and entry.record == found):
            problem = problem or "a release takes only what the cache of isolated steps confirms"
        if found and not problem:
            return State(step, found, "", entry)
        if entry:
            return State(step, None, problem, entry)
        if problem:
            return State(step, None, problem)
        before = self.last().get(step.stage.name)
        return State(step, None, records.difference(before.facts, facts) if before else "never run")

    def run(self, step: Step) -> Record:
        """Bring one step up to date and return its record."""
        stage = step.stage
        environment = self.engine.prepare(stage)
        facts = self.facts(step, environment)
        name = records.folder_of(stage.name, digest.of_value(facts))
        text = "another run is at this step; waiting for it"
        # What protects the step lies in the volume; the store's lock only keeps two workspaces from doing the same work.
        with exclusively(name, self.volume / LOCKS, speaker=stage.name, text=text), self.store.waiting(name, text):
            state = self.state(step, environment)
            record = state.record or self._restore(state)
            if state.record:
                log.say(stage.name, "up to date", "dim")
            if record is None:
                log.say(stage.name, f"runs: {'its copy in the cache is damaged' if state.cached else state.reason}")
                record = execute(self._work(step, environment), facts)
                self.store.save(record, self.volume / record.folder, stage)
            elif self.repeat:
                repeat(self._work(step, environment), record)
            else:
                clear(self.volume, record)
            if state.record and not state.cached:
                self.store.save(record, self.volume / record.folder, stage)
        self.done[stage.name] = record
        return record

    def _work(self, step: Step, environment: Environment) -> Work:
        paths = {role: self.path(source) for role, source in self.sources(step).items()}
        return Work(self.engine, environment, self.volume, step, paths, self.conditions)

    def _restore(self, state: State) -> Record | None:
        """Copy a step from the cache into the volume, if it is there and whole."""
        if not state.cached:
            return None
        record = state.cached.record
        folder = self.volume / RUN / f"{record.folder}{TAKEN}"
        files.remove(folder)
        folder.mkdir(parents=True)
        try:
            if not self.store.restore(state.cached, folder):
                return None
            publish(record, folder, self.volume)
        finally:
            files.remove(folder)
        log.say(record.stage, f"from the cache: {record.folder}{state.reason and f', as {state.reason}'}", "dim")
        return record

    # --- what was -----------------------------------------------------------------------------------------------------------

    def _pointer(self) -> Path:
        return self.volume / "last" / f"{self.plan.name}-{self.plan.device.name}.json"

    def last(self) -> dict[str, Record]:
        """Return each stage's record of when this name was last built for this device, as far as they are there."""
        try:
            path = self._pointer().relative_to(self.volume).as_posix()
            keys = json.loads(foreign.read(self.volume, path, POINTER_BYTES))
            found = {stage: records.find(self.volume, stage, key) for stage, key in keys.items()}
        except (OSError, foreign.Foreign, ValueError, AttributeError, TypeError, RecursionError):
            return {}
        return {stage: record for stage, record in found.items() if record}

    def remember(self) -> None:
        """Write down the steps of this plan, for the reasons that the next run will give, and where the user's files lie."""
        pointer = self._pointer()
        pointer.parent.mkdir(parents=True, exist_ok=True)
        files.write(pointer, json.dumps({stage: record.key for stage, record in self.done.items()}, indent=2))
        for source in [self.plan.model, *(source for step in self.plan.steps for source in step.inputs.values())]:
            if isinstance(source, File):
                whereabouts.keep(self.volume, self.digest(source), source.path)


def status(build: Build, first: Step | None = None) -> list[State]:
    """Return each step's state without running anything. What follows a step that would run cannot be known yet.

    `first` is the step without which not even the plan is known, but for the names of its steps.
    """
    states: list[State] = []
    if first:
        environment = build.engine.find(first.stage)
        reason = build.state(first, environment).reason if environment else "its environment is not built yet"
        others = [step for step in build.plan.steps if step != first]
        return [State(first, None, reason), *(State(step, None, f"after {first.stage.name}") for step in others)]
    for step in build.plan.steps:
        waits = next((s.step.stage.name for s in states if not (s.record or s.cached) and _depends(step, s.step)), None)
        environment = build.engine.find(step.stage)
        if waits:
            states.append(State(step, None, f"after {waits}"))
        elif environment is None:
            states.append(State(step, None, "its environment is not built yet"))
        else:
            states.append(build.state(step, environment))
            if record := states[-1].record or (states[-1].cached and states[-1].cached.record):
                build.done[step.stage.name] = record
    return states


def complete(walk: Build) -> Build:
    """Run every step that is not up to date and return the walk, with a record for each step."""
    open_volume(walk.volume)
    for step in walk.plan.steps:
        if walk.ahead and walk.ahead[0] == step:
            walk.done[step.stage.name] = walk.ahead[1]
        else:
            walk.run(step)
    walk.remember()
    return walk


def run_ahead(walk: Build, step: Step) -> str:
    """Run the step that tells the task of the user's network, before there is a plan, and return that."""
    open_volume(walk.volume)
    record = walk.run(step)
    walk.done.clear()
    walk.ahead = (step, record)
    return _told(walk, step, record)


def recorded(walk: Build, step: Step) -> str:
    """Return the same without running anything: nothing if the step is not up to date on the volume."""
    environment = walk.engine.find(step.stage)
    record = replace(walk, force=False).state(step, environment).record if environment else None
    return _told(walk, step, record) if record else ""


def _told(walk: Build, step: Step, record: Record) -> str:
    assert step.stage.tells
    return documents.read(walk.volume, record, step.stage.tells.role, documents.Told).task


def open_volume(volume: Path) -> None:
    """Make the folder that steps share. If root starts a container, it runs as somebody else, who has to read what is made here."""
    os.umask(0o022)
    volume.mkdir(parents=True, exist_ok=True)


def _depends(step: Step, earlier: Step) -> bool:
    return any(isinstance(source, Output) and source.stage == earlier.stage.name for source in step.inputs.values())


def clean(*folders: Path) -> None:
    """Remove what was built here, and say how much that was."""
    for folder in folders:
        if folder.exists():
            sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
            files.remove(folder)
            log.say("clean", f"removed {folder.name}/: {len(sizes)} files, {log.size(sum(sizes))}")
