"""The venv engine: the same locks and patches in a virtual environment, made by uv. For trying; releases come from containers."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

from edgewright import proc
from edgewright.config import Stage
from edgewright.engine import Environment, Job, fingerprint, variables
from edgewright.environments import CACHE, exclusively, make
from edgewright.errors import EngineMissing
from edgewright.supply import LOOPBACK, NETWORK, PIP, UV, Supply, settings_for

PYTHON = "3.11"  # what docker/base.toml's images have, and the newest that tensorflow 2.13.1 takes
MARK = ".complete"  # written last: a folder without it is half-made and is made anew


class Venv:
    """Runs a stage in a process of this machine. It cannot keep a stage from reading or writing what the user may."""

    name = "venv"
    hermetic = False

    def __init__(self, root: Path, supply: Supply = NETWORK) -> None:
        self.root = root
        self.supply = supply
        self.without_network: list[str] = []  # `version` finds out whether the network can be taken away
        self.python = ""  # … and which patch level of PYTHON is here

    def version(self) -> str:
        """Return uv's version."""
        code, text = proc.capture([uv(), "--version"])
        if code:
            raise EngineMissing(f"venv: {text}", "pip install uv")
        # Linux lets a plain user give a process no network at all; other systems and some containers do not.
        apart = ["unshare", "--user", "--map-current-user", "--net"]
        self.without_network = apart if proc.capture([*apart, "true"])[0] == 0 else []
        self.python = python_version()
        return text.removeprefix("uv ").split(" ")[0]

    def _named(self, stage: Stage) -> Environment:
        total = fingerprint(self.root, stage, f"venv cpython-{self.python or PYTHON}")
        return Environment(stage, str(CACHE / "venvs" / f"{stage.name}-{total[:12]}"), total)

    def find(self, stage: Stage) -> Environment | None:
        """Return the stage's venv if it is there and whole."""
        environment = self._named(stage)
        return environment if Path(environment.name, MARK).exists() else None

    def prepare(self, stage: Stage) -> Environment:
        """Return the stage's venv; make it if need be."""
        self.python = self.python or python_version()
        if not self.python and not self.supply.offline:
            make(
                self._named(stage),
                [uv(), "python", "install", PYTHON],
                "fetching Python",
                cwd=self.root,
                env=build_env(),
            )
            self.python = python_version()
        environment = self._named(stage)
        with exclusively(f"venv-{stage.name}-{environment.fingerprint[:12]}"):
            if self.find(stage) is None:
                self._make(environment)
        return environment

    def _make(self, environment: Environment) -> None:
        folder = Path(environment.name)
        shutil.rmtree(folder, ignore_errors=True)
        argvs = self.build_argvs(environment)
        try:
            with self.supply.links(environment.stage, self.root) as links, settings_for(links) as settings:
                env = build_env() | (_only(links, settings) if settings else {})
                for number, argv in enumerate(argvs, 1):
                    text = f"making {folder.name}, {number} of {len(argvs)}"
                    make(environment, argv, text, cwd=self.root, env=env)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder / "build", ignore_errors=True)
        Path(folder, MARK).touch()

    def build_argvs(self, environment: Environment) -> list[list[str]]:
        """Return the command lines that make a venv, in order; each does what a line of the stage's Dockerfile does."""
        folder, stage = Path(environment.name), environment.stage
        argvs = install_argvs(folder, self.root, f"docker/{stage.name}")
        if stage.patches:
            argvs.append([str(python_of(folder)), "docker/patch.py", stage.patches])
        # A step writes no byte code; without any, importing TensorFlow takes 10 s longer each time.
        argvs.append(["env", f"EDGEWRIGHT_ENV={folder}", "sh", "docker/install.sh", "compile"])
        return argvs

    def argv(self, environment: Environment, job: Job) -> list[str]:
        """Return the command line that runs `job` with nothing of our environment but a plain PATH. Pure."""
        scratch = f"{job.volume}/{job.folder}/tmp"
        core = [] if job.conditions.core is None else ["taskset", "--cpu-list", str(job.conditions.core)]
        argv = [*self.without_network, *core, "env", "--ignore-environment", "PATH=/usr/local/bin:/usr/bin:/bin"]
        if not job.gpu:
            argv.append("CUDA_VISIBLE_DEVICES=")
        argv += [f"PYTHONPATH={self.root / 'docker'}", f"TMPDIR={scratch}"]
        settings = {**variables(job.limits, scratch), **job.conditions.variables}
        argv += [f"{name}={value}" for name, value in settings.items()]
        return [*argv, str(python_of(Path(environment.name))), str(environment.stage.folder / job.program), job.request]

    def take(self, folder: Path) -> None:
        """Make the step's temporary folder; in a container that is a tmpfs."""
        (folder / "tmp").mkdir()

    def owner(self) -> int:
        """Return whose files a step leaves: it runs as we do."""
        return os.getuid()

    def sweep(self, job: Job) -> str:
        """End processes that were started with this step's request in this volume: whoever started them is gone."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
                if job.request.encode() in words and (process / "cwd").resolve() == job.volume.resolve():
                    os.kill(int(process.name), signal.SIGKILL)
                    found.append(f"process {process.name}")
            except OSError:
                continue  # it has ended, or is somebody else's
        return ", ".join(found)

    def stop(self, job: Job) -> None:
        """Nothing to do: the step is a process of ours and ends with its group."""


def uv() -> str:
    """Return the uv that the host lock installed beside this Python, else any."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else "uv"


def python_version() -> str:
    """Return the version of the Python that uv makes venvs of, or nothing where it would have to fetch one first."""
    code, text = proc.capture([uv(), "python", "find", "--system", "--show-version", PYTHON])
    return text.strip() if code == 0 else ""


def install_argvs(folder: Path, root: Path, place: str) -> list[list[str]]:
    """Return the command lines that make a venv and install into it what is locked at `place`, a stage's folder below the root."""
    program = uv()
    install = [program, "pip", "install", "--no-deps", "--python", str(folder)]
    argvs = [[program, "venv", "--quiet", "--python", PYTHON, str(folder)]]
    if not Path(root, place, "build-requirements.txt").exists():
        return [*argvs, [*install, "--require-hashes", "-r", f"{place}/requirements.txt"]]
    build = folder / "build"
    argvs.append([program, "venv", "--quiet", "--python", PYTHON, str(build)])
    tools = [*install[:-1], str(build), "--require-hashes", "-r", f"{place}/build-requirements.txt"]
    wheels = ["sh", "docker/install.sh", "build", f"{place}/requirements.txt", str(build / "wheels")]
    # The lock's hash is the sdist's, and was checked when the wheel was built from it.
    unhashed = ["--no-verify-hashes", "-r", f"{place}/requirements.txt"]
    argvs += [tools, ["env", f"EDGEWRIGHT_ENV={build}", *wheels]]
    return [*argvs, [*install, "--no-index", "--find-links", str(build / "wheels"), *unhashed]]


def python_of(folder: Path) -> Path:
    """Return a virtual environment's interpreter."""
    return folder / "bin" / "python"


def build_env() -> dict[str, str]:
    """Return what builds need beside our own environment: trust in the same certificates as the system's tools."""
    ca = os.environ.get("EDGEWRIGHT_CA")
    wanted = {"SSL_CERT_FILE": ca, "PIP_CERT": ca} if ca else {}
    return {**wanted, "PYTHONDONTWRITEBYTECODE": "1", "UV_NO_PROGRESS": "1"}


def _only(links: str, settings: Path) -> dict[str, str]:
    """Return what makes pip and uv know a page of links and nothing else."""
    pip = {"PIP_CONFIG_FILE": str(settings / PIP), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": links}
    uv = {"UV_CONFIG_FILE": str(settings / UV), "UV_PYTHON_DOWNLOADS": "never"}
    return {**pip, **uv, "no_proxy": LOOPBACK}
