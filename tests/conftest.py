"""What the real tests share: engines that answer, a workspace of their own, and the assets that are not part of the project."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from edgewright.config import Stage
from edgewright.containers import podman_problem
from edgewright.engine import Engine, Environment, Job
from edgewright.engines import ENGINES
from edgewright.errors import EngineMissing

ROOT = Path(__file__).resolve().parents[1]
LARGE = ("train", "export", "verify")
ASSETS = ROOT.parent / "shared" / "assets"

# Property-based tests try the same inputs wherever they run; EDGEWRIGHT_FUZZ=20000 tries that many others instead.
# No deadline: a busy machine is no failure, and what must not hang has a limit of its own.
_SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
settings.register_profile(
    "same", derandomize=True, database=None, deadline=None, max_examples=100, suppress_health_check=_SLOW_IS_FINE
)
settings.register_profile(
    "long",
    database=None,
    deadline=None,
    max_examples=int(os.environ.get("EDGEWRIGHT_FUZZ", "1000")),
    suppress_health_check=_SLOW_IS_FINE,
    print_blob=True,
)
settings.load_profile("long" if "EDGEWRIGHT_FUZZ" in os.environ else "same")


def _let_podman_run_without_rights(folder: Path) -> None:
    """Tell podman not to raise limits, where root may not: the change that our own hint asks a user for."""
    if "CONTAINERS_CONF" not in os.environ and "containers.conf" in podman_problem():
        path = folder / "containers.conf"
        path.write_text("[containers]\ndefault_ulimits = []\n")
        os.environ["CONTAINERS_CONF"] = str(path)


def engine_or_skip(name: str) -> Engine:
    """Return the engine, or skip the test with the reason why it does not answer."""
    engine = ENGINES[name](ROOT)
    try:
        engine.version()
    except EngineMissing as reason:
        pytest.skip(str(reason))
    return engine


def first_engine() -> Engine:
    """Return the engine that `make deploy` would take here."""
    for name in list(ENGINES)[:-1]:
        try:
            return engine_or_skip(name)
        except pytest.skip.Exception:
            continue
    return engine_or_skip(list(ENGINES)[-1])


@pytest.fixture(scope="session", params=list(ENGINES))
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Return each engine in turn."""
    if request.param == "podman":
        _let_podman_run_without_rights(tmp_path_factory.mktemp("podman"))
    return engine_or_skip(request.param)


@pytest.fixture(scope="session")
def assets() -> Path:
    """Return the folder of real weights, images and vendors' files."""
    if not ASSETS.is_dir():
        pytest.skip(f"no real weights and images at {ASSETS}")
    return ASSETS


def inside(engine: Engine, environment: Environment, job: Job, script: str, *words: str) -> list[str]:
    """Return the command line that runs a script (relative to the volume) as a step would run, behind the same walls."""
    argv = engine.argv(environment, job)
    if engine.hermetic:
        at = argv.index(environment.name)
        return [*argv[:at], "--entrypoint", "/opt/env/bin/python", environment.name, script, *words]
    return [*argv[:-2], script, *words]


def run_script(engine: Engine, stage: Stage, script: Path, folder: Path, *inputs: Path) -> str:
    """Run a script in a stage's environment as a step would run, with copies of `inputs` as its words; return what it printed."""
    environment = engine.prepare(stage)
    own, volume = Path("run/script"), folder / "volume"
    (volume / own / "inputs").mkdir(parents=True)
    shutil.copy(script, volume / own / "script.py")
    words = []
    for path in inputs:
        target = own / "inputs" / path.name
        shutil.copy(path, volume / target)
        words.append(target.as_posix())
    engine.take(volume / own)
    job = Job(f"edgewright-{script.stem}", volume, own.as_posix(), "", limits=stage.limits)
    argv = inside(engine, environment, job, f"{own}/script.py", *words)
    done = subprocess.run(argv, cwd=volume, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def skip_large(engine: Engine, stage: str) -> None:
    """Skip what would make podman build the stages with torch as well."""
    if engine.name == "podman" and stage in LARGE and "EDGEWRIGHT_ALL" not in os.environ:
        pytest.skip(
            f"podman builds only the small images in tests ({stage} takes 7 GB more); EDGEWRIGHT_ALL=1 builds all"
        )


def chromium_or_skip(folder: Path, *words: str) -> str:
    """Run headless Chromium with a profile below `folder`, and return what it printed."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not program:
        pytest.skip("no Chromium: sudo apt-get install chromium")
    quiet = [
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-quic",
        "--no-first-run",
    ]
    argv = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *quiet]
    argv += [f"--user-data-dir={folder / 'profile'}", *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _hear_ctrl_c() -> None:
    """A shell has what it runs in the background ignore Ctrl-C, and children inherit that; a user's command does not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Workspace:
    """A copy of the project to build in, and its commands as a user gives them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        # Each workspace has a cache of its own, or the first test would leave the others nothing to do.
        self.store = root / "store"
        files = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, stdout=-1, check=True
        )
        for name in filter(None, files.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, root / name)

    def start(self, command: str, **options: object) -> subprocess.Popen[str]:
        """Start an Invoke task, as the Makefile would; what is deployed goes onto no board unless a test says so."""
        options = {"port": "none", **options} if command == "deploy" else options
        words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        argv = [sys.executable, "-m", "invoke", command, *words]
        return subprocess.Popen(
            argv,
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "EDGEWRIGHT_STORE": str(self.store)},
            preexec_fn=_hear_ctrl_c,
        )

    def run(self, command: str, **options: object) -> tuple[int, str]:
        """Run an Invoke task; return its exit code and what it printed."""
        process = self.start(command, **options)
        text, _ = process.communicate()
        return process.returncode, text

    def deploy(self, device: str, **options: object) -> Path:
        """Deploy and return the bundle's folder; what was printed is in the failure otherwise."""
        code, text = self.run("deploy", device=device, **options)
        assert code == 0, text
        found = re.search(r"^bundle +(\S+)/", text, re.MULTILINE)
        assert found, text
        return self.root / found[1]

    def left_over(self) -> list[str]:
        """Return what a run has left half-written: everything in run/ but logs, and temporary bundles."""
        half = [path.name for path in (self.root / "build" / "run").glob("*") if path.suffix != ".log"]
        return half + [path.name for path in (self.root / "dist").glob(".*")]


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return one workspace for all real tests: they share steps, as a user's commands do."""
    return Workspace(tmp_path_factory.mktemp("workspace"))


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[str], Workspace]:
    """Return a maker of workspaces in which nothing has been built."""
    return lambda name: Workspace(tmp_path / name)


@pytest.fixture(scope="session", autouse=True)
def _no_options_from_outside() -> Iterator[None]:
    """Keep make's variables of the caller (`make test T=…`) from reaching the commands under test."""
    kept = {name: os.environ.pop(name) for name in ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS") if name in os.environ}
    yield
    os.environ.update(kept)
