"""`make vendor`, then a machine without a network: a namespace without routes, its own Docker, and a fresh copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgewright import digest
from edgewright.supply import SUMS, read_sums
from tests.conftest import Workspace, engine_or_skip

DEVICE, KEPT = "grove-vision-ai-v2", "vela"
CONNECT = "import socket; socket.create_connection(('192.0.2.1', 443), timeout=5)"
# Where pip, uv, docker and Edgewright would find what another run has fetched, and other sources than the folder.
ELSEWHERE = ("PIP_", "UV_", "DOCKER_", "EDGEWRIGHT_")


def reduced(root: Path) -> Workspace:
    """Return a workspace with one small stage: what vendor collects and what is built then takes minutes, not hours."""
    workspace = Workspace(root)
    stages = [path.parent.name for path in root.glob("docker/*/stage.toml")]
    gone = [name for name in stages if name != KEPT]
    for name in gone:
        shutil.rmtree(root / "docker" / name)
    table = re.compile(rf"^\[+(?:{'|'.join(gone)})\b[^\n]*\n(?:(?!\[)[^\n]*\n)*", re.MULTILINE)
    for path in root.glob("configs/*/*.toml"):
        text = table.sub("", path.read_text() + "\n")
        path.write_text(re.sub(r"^pipeline = .*$", f'pipeline = ["{KEPT}"]', text, flags=re.MULTILINE))
    (root / "configs" / "assets.toml").write_text("")
    return workspace


def contents(bundle: Path) -> dict[str, str]:
    return {path.name: digest.of_file(path) for path in sorted(bundle.iterdir())}


@dataclass(frozen=True)
class Island:
    """A network namespace without routes, in which a Docker runs that has never seen an image."""

    process: int
    environment: Mapping[str, str]

    def run(self, argv: list[str], cwd: Path) -> tuple[int, str]:
        inside = ["nsenter", f"--net=/proc/{self.process}/ns/net", "--", *argv]
        done = subprocess.run(
            inside, cwd=cwd, env=dict(self.environment), capture_output=True, text=True, timeout=900, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def deploy(self, workspace: Workspace, model: Path, vendor: Path, engine: str) -> tuple[Path, str]:
        """Deploy as a user there would type it; return the bundle and what was printed."""
        words = [f"DEVICE={DEVICE}", f"MODEL={model}", "OFFLINE=1", f"VENDOR={vendor}", f"ENGINE={engine}"]
        code, text = self.run(["make", "deploy", *words, f"PYTHON={sys.executable}"], workspace.root)
        assert code == 0, text
        (bundle,) = (workspace.root / "dist").iterdir()
        return bundle, text


@pytest.fixture(scope="module")
def island() -> Iterator[Island]:
    """Start the Docker of a machine without a network, and end it."""
    if os.getuid() != 0:
        pytest.skip("only root can start a second Docker")
    missing = [name for name in ("dockerd", "unshare", "nsenter", "ip", "make") if not shutil.which(name)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    # A socket's path may have 107 characters: pytest's own folders are too deep.
    with tempfile.TemporaryDirectory(prefix="island") as folder:
        root = Path(folder)
        socket = f"unix://{root}/docker.sock"
        daemon = ["dockerd", "--host", socket, "--data-root", f"{root}/data", "--exec-root", f"{root}/exec"]
        daemon += ["--pidfile", f"{root}/pid", "--bridge", "none", "--iptables=false", "--ip-masq=false"]
        daemon += [
            "--ip-forward=false",
            "--containerd-namespace",
            "island",
            "--containerd-plugins-namespace",
            "islands",
        ]
        script = 'ip link set lo up && exec "$@"'
        with (root / "log").open("wb") as log:
            process = subprocess.Popen(
                ["unshare", "--net", "sh", "-c", script, "sh", *daemon], stdout=log, stderr=log, start_new_session=True
            )
        outside = {name: value for name, value in os.environ.items() if not name.startswith(ELSEWHERE)}
        own = {"XDG_CACHE_HOME": f"{root}/cache", "PIP_CONFIG_FILE": os.devnull, "DOCKER_HOST": socket}
        island = Island(process.pid, {**outside, **own, "EDGEWRIGHT_STORE": f"{root}/store"})
        try:
            deadline = time.monotonic() + 60
            while island.run(["docker", "info"], root)[0] != 0:
                if process.poll() is not None or time.monotonic() > deadline:
                    said = (root / "log").read_text().splitlines()
                    pytest.skip(f"no second Docker here: {said[-1] if said else 'no message'}")
                time.sleep(0.5)
            yield island
        finally:
            process.terminate()
            process.wait(timeout=60)


@pytest.fixture(scope="module")
def model(assets: Path) -> Path:
    return assets / "himax" / "yolov8n-pose_192_full_integer_quant.tflite"


@pytest.fixture(scope="module")
def connected(tmp_path_factory: pytest.TempPathFactory, model: Path) -> tuple[Workspace, Path]:
    """Return what a machine with a network has: a deployed workspace, and the vendor's folder that was made there."""
    engine_or_skip("docker")
    workspace = reduced(tmp_path_factory.mktemp("here"))
    folder = tmp_path_factory.mktemp("usb stick") / "vendor"
    code, text = workspace.run("vendor", engine="docker", vendor=folder)
    assert code == 0, text
    workspace.deploy(DEVICE, engine="docker", model=model)
    return workspace, folder


def test_the_folder_is_complete_and_a_second_run_fetches_nothing(connected: tuple[Workspace, Path]) -> None:
    workspace, folder = connected
    done = subprocess.run(["sha256sum", "--quiet", "--check", SUMS], cwd=folder, check=False)
    assert done.returncode == 0
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {SUMS, *read_sums(folder)}
    before = {name: (folder / name).stat().st_mtime_ns for name in files if name.endswith((".whl", ".gz", ".tar"))}
    code, text = workspace.run("vendor", engine="docker", vendor=folder)
    assert (code, ", 0 fetched" in text) == (0, True), text
    assert {name: (folder / name).stat().st_mtime_ns for name in before} == before


def test_the_island_reaches_nobody(island: Island, tmp_path: Path) -> None:
    code, text = island.run([sys.executable, "-c", CONNECT], tmp_path)
    assert (code, "Network is unreachable" in text) == (1, True), text
    assert island.run(["docker", "images", "--quiet"], tmp_path) == (0, "")


def test_nothing_vendored_and_no_network_is_one_line(island: Island, tmp_path: Path, model: Path) -> None:
    workspace = reduced(tmp_path / "there")
    argv = [sys.executable, "-m", "invoke", "deploy", f"--device={DEVICE}", f"--model={model}", "--offline=1"]
    for engine, wanted in (("docker", "the base image"), ("venv", f"the environment of {KEPT}")):
        code, text = island.run([*argv, f"--engine={engine}"], workspace.root)
        assert code == 4, text
        assert f"OFFLINE=1, {wanted} is not on this machine" in text
        assert "hint: make vendor" in text


def test_images_from_the_folder_give_the_same_bytes(
    island: Island, connected: tuple[Workspace, Path], tmp_path: Path, model: Path
) -> None:
    workspace, folder = connected
    (bundle,) = (workspace.root / "dist").iterdir()
    there = reduced(tmp_path / "there")
    found, text = island.deploy(there, model, folder, "docker")
    assert contents(found) == contents(bundle)
    assert "loading stages-" in text
    assert "building" not in text


def test_images_built_from_the_folder_give_the_same_bytes(
    island: Island, connected: tuple[Workspace, Path], tmp_path: Path, model: Path
) -> None:
    workspace, complete = connected
    (bundle,) = (workspace.root / "dist").iterdir()
    folder = tmp_path / "another stick"
    shutil.copytree(complete, folder, ignore=shutil.ignore_patterns("stages-*.tar"))
    _, images = island.run(["docker", "images", "--format", "{{.Repository}}:{{.Tag}}"], tmp_path)
    for image in images.split():
        island.run(["docker", "rmi", "--force", image], tmp_path)
    there = reduced(tmp_path / "there")
    island = Island(island.process, {**island.environment, "EDGEWRIGHT_STORE": str(tmp_path / "store")})
    found, text = island.deploy(there, model, folder, "docker")
    assert contents(found) == contents(bundle)
    assert f"building localhost/edgewright-{KEPT}" in text


def test_a_venv_built_from_the_folder_gives_the_same_model(
    island: Island, connected: tuple[Workspace, Path], tmp_path: Path, model: Path
) -> None:
    workspace, folder = connected
    (bundle,) = (workspace.root / "dist").iterdir()
    there = reduced(tmp_path / "there")
    island = Island(island.process, {**island.environment, "EDGEWRIGHT_STORE": str(tmp_path / "store")})
    found, text = island.deploy(there, model, folder, "venv")
    assert contents(found)["model.tflite"] == contents(bundle)["model.tflite"]
    assert f"making {KEPT}-" in text
