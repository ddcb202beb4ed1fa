"""The engines there are, and which one to use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from edgewright import log
from edgewright.containers import Container
from edgewright.engine import Engine
from edgewright.errors import EngineMissing, WrongInput, nearest
from edgewright.venvs import Venv

# In the order of preference. An engine is a class of the Protocol `engine.Engine` and a line here.
ENGINES: Mapping[str, Callable[[Path], Engine]] = {
    "docker": lambda root: Container("docker", root),
    "podman": lambda root: Container("podman", root),
    "venv": Venv,
}


def choose(root: Path, asked: str = "") -> Engine:
    """Return the engine that was asked for, or the first that answers, and say which and why."""
    if asked:
        if asked not in ENGINES:
            raise WrongInput(f"unknown engine {asked!r}", nearest(asked, ENGINES))
        engine = ENGINES[asked](root)
        log.say("engine", f"{asked} {engine.version()} (ENGINE={asked})")
        return engine
    missing: list[str] = []
    for name, make in ENGINES.items():
        engine = make(root)
        try:
            version = engine.version()
        except EngineMissing as reason:
            missing.append(str(reason))
            continue
        log.say("engine", f"{name} {version} ({'; '.join(missing) if missing else 'it answers'})")
        return engine
    raise EngineMissing(f"no engine: {'; '.join(missing)}", "make doctor")
