"""What runs a step, seen from outside: the Protocol that docker, podman and venv share, and the values they work on.

A container gets the volume read-only at /work with the step's own folder writable on top, a read-only root, no network, no
capabilities and no root. The venv engine has the same locks and patches but none of these walls: it is for trying, not for
releases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from edgewright import digest
from edgewright.config import Limits, Stage
from edgewright.errors import WrongInput

VOLUME = "/work"
MAIN = "main.py"  # the program that is a stage

# What makes results the same on different CPUs, and what keeps the libraries from reaching out. The one place for both; recorded
# with every step. The first three caps, which only together suffice for torch, are those of Deep-MI/FastSurfer #892. numpy has two
# more ways to choose by CPU: its own loops (measured: with AVX-512 float64 exp and float32 tanh differ) and OpenBLAS (so do matrix
# products).
ENVIRONMENT: Mapping[str, str] = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL",
    "OPENBLAS_CORETYPE": "Haswell",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "SOURCE_DATE_EPOCH": "0",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
    "MPLBACKEND": "Agg",
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "PIP_NO_INDEX": "1",
}
SCRATCH = {"HOME": "", "MPLCONFIGDIR": "mpl", "YOLO_CONFIG_DIR": "yolo"}  # below the step's temporary folder


@dataclass(frozen=True)
class Environment:
    """Where a stage's code can run: an image's name or a venv's Python. The fingerprint is of all that it was made from."""

    stage: Stage
    name: str
    fingerprint: str


@dataclass(frozen=True)
class Mount:
    """A file or folder of the user's that a step may read, at `target` (relative to the volume)."""

    source: Path
    target: str


@dataclass(frozen=True)
class Conditions:
    """What must make no difference to what comes out: `make reproduce` changes it for its second build, nobody else does."""

    variables: Mapping[str, str] = field(default_factory=dict)  # instead of those in ENVIRONMENT
    core: int | None = None  # the only one that the step may use


@dataclass(frozen=True)
class Job:
    """One run of a stage: the volume on the host, the step's folder and request in it, and what else it may read."""

    name: str
    volume: Path
    folder: str
    request: str
    mounts: tuple[Mount, ...] = ()
    limits: Limits = field(default_factory=Limits)
    gpu: bool = False
    conditions: Conditions = field(default_factory=Conditions)
    program: str = MAIN  # another of the stage's folder, where its environment is wanted for something else
    interactive: bool = False  # whether it reads from us until we close the pipe


@dataclass(frozen=True)
class Check:
    """One line of `make doctor`."""

    name: str
    good: bool
    text: str
    hint: str = ""


class Engine(Protocol):
    """What docker, podman and venv have in common."""

    name: str
    hermetic: bool

    def version(self) -> str:
        """Return the engine's version, or raise EngineMissing with the reason why it does not answer."""

    def find(self, stage: Stage) -> Environment | None:
        """Return the stage's environment if it is there."""

    def prepare(self, stage: Stage) -> Environment:
        """Return the stage's environment, building it first if need be."""

    def take(self, folder: Path) -> None:
        """Make a step's folder ready for whoever the step runs as."""

    def owner(self) -> int:
        """Return the user id, as this machine sees it, to whom the files of a step's folder belong."""

    def argv(self, environment: Environment, job: Job) -> list[str]:
        """Return the command line that runs `job`. Pure."""

    def sweep(self, job: Job) -> str:
        """End what an earlier run of this step, itself killed, has left running, and name it; its lock is held."""

    def stop(self, job: Job) -> None:
        """End what `argv`'s command started outside its own process group."""


def variables(limits: Limits, scratch: str) -> dict[str, str]:
    """Return a step's whole environment: the caps, its threads, and homes below its temporary folder."""
    threads = {"OMP_NUM_THREADS": str(limits.threads)} if limits.threads else {}
    homes = {name: f"{scratch}/{below}".rstrip("/") for name, below in SCRATCH.items()}
    return dict(sorted({**ENVIRONMENT, **threads, **homes}.items()))


def fingerprint(root: Path, stage: Stage, foundation: str) -> str:
    """Return the sha256 of all that a stage's environment is made from: its folder, the files it names, and what it stands on."""
    paths = set(digest.files_in(stage.folder))
    for name in stage.files:
        path = root / name
        if not path.exists():
            raise WrongInput(f"{stage.folder / 'stage.toml'}: files names {name!r}, which does not exist")
        paths |= set(digest.files_in(path)) if path.is_dir() else {path}
    return digest.of_value([foundation, digest.of_files(paths, root)])
