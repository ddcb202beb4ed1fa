"""Command lines are values: pinned by golden files, word by word, for every engine, without any being installed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgewright import base, containers, engines, environments, venvs
from edgewright.config import Limits, load_project
from edgewright.containers import Container
from edgewright.engine import Engine, Environment, Job, Mount, fingerprint
from edgewright.errors import EngineMissing, HashDiffers, StageFailed, WrongInput
from edgewright.venvs import Venv

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
PROJECT = load_project(ROOT)


def stage_of(name: str) -> Environment:
    return Environment(PROJECT.stages[name], f"localhost/edgewright-{name}:0123456789ab", "0" * 64)


JOB = Job(
    name="edgewright-train-0123456789ab-42",
    volume=Path("/home/me/edge wright/build"),
    folder="run/train-0123456789ab",
    request="run/train-0123456789ab/request.json",
    mounts=(Mount(Path('/data/a,b "c"'), "run/train-0123456789ab/inputs/dataset"),),
    limits=Limits(memory="16g", shm="2g", threads=0),
    gpu=True,
)


def podman(rootless: bool) -> Container:
    engine = Container("podman", ROOT)
    engine.rootless = rootless
    return engine


def docker(words: str, rootless: bool = False) -> Container:
    engine = Container("docker", ROOT)
    engine.build_words, engine.rootless = words.split(), rootless
    return engine


ENGINES: dict[str, Callable[[], Engine]] = {
    "docker": lambda: docker("build"),
    "docker-rootless": lambda: docker("build", rootless=True),
    "podman": lambda: podman(False),
    "podman-rootless": lambda: podman(True),
    "venv": lambda: Venv(ROOT),
}


def agrees(name: str, text: str) -> None:
    """Compare with a golden file; EDGEWRIGHT_GOLDEN=write renews it, to be read in the diff."""
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("EDGEWRIGHT_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", ENGINES)
def test_the_command_line_of_a_step_is_the_golden_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(os, "getgid", lambda: 1000)
    argv = ENGINES[name]().argv(stage_of("train"), JOB)
    agrees(f"{name}-run", "\n".join(argv).replace(str(ROOT), "ROOT") + "\n")


@pytest.mark.parametrize("name", ENGINES)
def test_another_program_of_a_stage_runs_behind_the_same_walls_and_reads_from_us(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(os, "getgid", lambda: 1000)
    job = replace(JOB, gpu=False, program="other.py", interactive=True)
    argv = ENGINES[name]().argv(stage_of("train"), job)
    if name in ("docker", "podman", "venv"):
        agrees(f"{name}-program-run", "\n".join(argv).replace(str(ROOT), "ROOT") + "\n")
    # A client without its container's input would end at once; one with it, for a step, would eat the terminal's.
    assert ("--interactive" in argv) == (name != "venv")
    assert "--interactive" not in ENGINES[name]().argv(stage_of("train"), JOB)


@pytest.mark.parametrize(("name", "words"), [("docker", "build"), ("docker-buildx", "buildx build --load")])
def test_the_command_line_of_a_docker_build_is_the_golden_one(
    name: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "secrets", lambda: {"ca": Path("/etc/ca.pem"), "pip_conf": Path("/etc/pip.conf")})
    argv = docker(words).build_argv(stage_of("export"), "python@sha256:00")
    agrees(f"{name}-build", "\n".join(argv) + "\n")


def test_the_command_line_of_a_podman_build_is_the_golden_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "secrets", dict)
    agrees("podman-build", "\n".join(podman(False).build_argv(stage_of("export"), "python@sha256:00")) + "\n")


@pytest.mark.parametrize("stage", ["export", "vela"])
def test_the_command_lines_that_make_a_venv_are_the_golden_ones(stage: str) -> None:
    environment = Environment(PROJECT.stages[stage], f"/cache/{stage}", "0" * 64)
    lines = [" ".join(argv) for argv in Venv(ROOT).build_argvs(environment)]
    text = "\n".join(lines).replace(str(ROOT), "ROOT")
    agrees(f"venv-{stage}-build", text.replace(text.split(" ", 1)[0], "uv") + "\n")


def test_root_never_runs_a_container_as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    argv = docker("build").argv(stage_of("train"), JOB)
    assert argv[argv.index("--user") + 1] == "10001:10001"


def test_no_gpu_is_handed_over_unless_it_was_asked_for() -> None:
    plain = Job(JOB.name, JOB.volume, JOB.folder, JOB.request)
    assert "--gpus" not in docker("build").argv(stage_of("train"), plain)
    assert "CUDA_VISIBLE_DEVICES=" in Venv(ROOT).argv(stage_of("train"), plain)


# --- choosing ---------------------------------------------------------------------------------------------------------


def program(folder: Path, name: str, script: str) -> None:
    """Put a program on PATH that answers as an engine's client would."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


ANSWERS = """case "$1 $2" in
"info --format") echo "24.0.7 [name=seccomp,profile=default]" ;;
"buildx version") %s ;;
"--version ") echo "Docker version %s, build 1" ;;
esac
"""


def test_a_client_that_cannot_build_is_passed_over_for_one_that_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "a", "docker", ANSWERS % ("exit 1", "28.2.2"))
    program(tmp_path / "b", "docker", ANSWERS % ("exit 1", "20.10.24+dfsg1"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'a'}:{tmp_path / 'b'}")
    engine = Container("docker", ROOT)
    assert engine.version() == "24.0.7"
    assert (engine.program, engine.build_words) == (str(tmp_path / "b" / "docker"), ["build"])


def test_a_newer_client_builds_with_buildx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "a", "docker", ANSWERS % ("echo v0.12", "28.2.2"))
    monkeypatch.setenv("PATH", str(tmp_path / "a"))
    engine = Container("docker", ROOT)
    engine.version()
    assert engine.build_words == ["buildx", "build", "--load"]


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", "sudo systemctl start docker"),
        ("permission denied while trying to connect to the Docker daemon socket", "sudo usermod -aG docker"),
    ],
)
def test_an_engine_that_does_not_answer_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, hint: str
) -> None:
    program(tmp_path / "a", "docker", f"echo '{said}'; exit 1\n")
    monkeypatch.setenv("PATH", str(tmp_path / "a"))
    with pytest.raises(EngineMissing, match=r"docker: .*(connect|denied)") as reason:
        engines.choose(ROOT, "docker")
    assert hint in reason.value.hint
    assert reason.value.exit_code == 3


def test_the_first_engine_that_answers_is_chosen_and_the_reason_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program(tmp_path / "a", "podman", 'echo "4.3.1 true"\n')
    monkeypatch.setattr(containers, "podman_problem", lambda: "")
    monkeypatch.setenv("PATH", str(tmp_path / "a"))
    assert engines.choose(ROOT).name == "podman"
    assert "podman 4.3.1 (docker: docker is not installed)" in capsys.readouterr().out


def test_a_podman_without_its_init_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "a", "podman", 'echo "4.3.1 true"\n')
    monkeypatch.setenv("PATH", str(tmp_path / "a"))
    monkeypatch.setattr(containers, "INIT", ())
    with pytest.raises(EngineMissing, match="catatonit, is not installed") as reason:
        engines.choose(ROOT, "podman")
    assert reason.value.hint == "sudo apt-get install catatonit"


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(WrongInput, match="unknown engine 'dokcer'") as refusal:
        engines.choose(ROOT, "dokcer")
    assert refusal.value.hint == "perhaps you meant 'docker'"


# --- environments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "kind", "hint"),
    [
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", HashDiffers, "make lock"),
        ("OSError: [Errno 28] No space left on device", StageFailed, "docker system prune"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]'))", StageFailed, "EDGEWRIGHT_CA="),
        ("Temporary failure in name resolution", StageFailed, "make doctor"),
        ("error: subprocess-exited-with-error", StageFailed, "less "),
    ],
)
def test_a_build_that_fails_names_its_cause(line: str, kind: type[Exception], hint: str) -> None:
    problem = environments.failure(PROJECT.stages["train"], ["#8 1.2 " + line], Path("/log"))
    assert type(problem) is kind
    assert hint in problem.hint


def test_an_environments_fingerprint_follows_every_file_it_is_made_from(toy: Path) -> None:
    stage = load_project(toy).stages["first"]
    before = fingerprint(toy, stage, "base")
    assert fingerprint(toy, stage, "other base") != before
    (stage.folder / "main.py").write_text("pass\n")
    assert fingerprint(toy, stage, "base") != before


def test_a_venvs_key_holds_the_patch_level_of_its_python(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage, names = load_project(toy).stages["first"], []
    for version in ("3.11.7", "3.11.9"):
        monkeypatch.setattr(venvs, "python_version", lambda version=version: version)
        monkeypatch.setattr(Venv, "_make", lambda _, environment: names.append(environment.name))
        Venv(toy).prepare(stage)
    assert len(set(names)) == 2


def test_a_python_that_is_not_here_is_fetched_before_its_venv_is_named(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, started = load_project(toy).stages["first"], []
    answers = iter(["", "3.11.9", "3.11.9"])
    monkeypatch.setattr(venvs, "python_version", lambda: next(answers))
    monkeypatch.setattr(venvs, "make", lambda _, argv, *__, **___: started.append(argv[1:]))
    monkeypatch.setattr(Venv, "_make", lambda _, environment: started.append(environment.name))
    Venv(toy).prepare(stage)
    Venv(toy).prepare(stage)
    fetched, name, again = started
    assert fetched == ["python", "install", "3.11"]
    assert name == again


def test_secrets_are_found_where_other_tools_look_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "EDGEWRIGHT_CA",
        "PIP_CERT",
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "EDGEWRIGHT_PIP_CONF",
        "PIP_CONFIG_FILE",
    ):
        monkeypatch.delenv(name, raising=False)
    assert containers.secrets() == {}
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent.pem"))
    assert containers.secrets() == {}
    (tmp_path / "ca.pem").touch()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    assert containers.secrets() == {"ca": tmp_path / "ca.pem"}


def test_the_local_bases_archive_is_the_same_each_time(tmp_path: Path) -> None:
    layer = tmp_path / "layer.tar"
    layer.write_bytes(b"\0" * 10240)
    for name in ("a", "b"):
        base.write_archive(layer, tmp_path / name, "localhost/base:1")
        layer.touch()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_without_a_registry_and_without_mmdebstrap_the_way_out_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "a", "docker", 'echo "dial tcp: lookup registry: no such host"; exit 1\n')
    monkeypatch.setenv("PATH", str(tmp_path / "a"))
    with pytest.raises(EngineMissing, match="no such host") as reason:
        base.obtain(str(tmp_path / "a" / "docker"), base.load_base(ROOT))
    assert "mmdebstrap" in reason.value.hint
    assert "ENGINE=venv" in reason.value.hint


def test_the_local_bases_name_follows_its_recipe() -> None:
    found = base.load_base(ROOT)
    assert found.local.startswith("localhost/edgewright-base:bookworm-")
    assert base.Base(found.public, found.suite, (*found.packages, "vim"), found.leave_out).local != found.local
