"""The engines there are, and which one to use."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from edgewright import log
from edgewright.config import Stage
from edgewright.containers import Container
from edgewright.engine import Engine
from edgewright.errors import EngineMissing, WrongInput, nearest
from edgewright.supply import NETWORK, Supply
from edgewright.venvs import Venv

# In the order of preference. An engine is a class of the Protocol `engine.Engine` and a line here.
ENGINES: Mapping[str, Callable[..., Engine]] = {  # of the project's root and a Supply
    "docker": functools.partial(Container, "docker"),
    "podman": functools.partial(Container, "podman"),
    "venv": Venv,
}


def choose(root: Path, asked: str = "", supply: Supply = NETWORK) -> Engine:
    """Return the engine that was asked for, or the first that answers, and say which and why."""
    if asked:
        if asked not in ENGINES:
            raise WrongInput(f"unknown engine {asked!r}", nearest(asked, ENGINES))
        engine = ENGINES[asked](root, supply)
        log.say("engine", f"{asked} {engine.version()} (ENGINE={asked})")
        return engine
    missing: list[str] = []
    for name, make in ENGINES.items():
        engine = make(root, supply)
        try:
            version = engine.version()
        except EngineMissing as reason:
            missing.append(str(reason))
            continue
        log.say("engine", f"{name} {version} ({'; '.join(missing) if missing else 'it answers'})")
        return engine
    raise EngineMissing(f"no engine: {'; '.join(missing)}", "make doctor")


def another(root: Path, first: Engine, stages: Iterable[Stage], asked: str = "", supply: Supply = NETWORK) -> Engine:
    """Return an engine to compare `first` with: the one asked for, else one that has every stage's environment, else the last."""
    if asked:
        return choose(root, asked, supply)
    found: list[Engine] = []
    for name, make in ENGINES.items():
        engine = make(root, supply)
        with contextlib.suppress(EngineMissing):
            if name != first.name:
                engine.version()
                found.append(engine)
    ready = [engine for engine in found if all(engine.find(stage) for stage in stages)]
    return [*ready, *found[::-1], first][0]
