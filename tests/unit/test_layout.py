"""The tree keeps its promises: words, locks, patches and Dockerfiles agree with each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgewright import options, show
from edgewright.config import load_project

ROOT = Path(__file__).resolve().parents[2]
PROJECT = load_project(ROOT)
STAGES = sorted(PROJECT.stages)
PACKAGE = sorted((ROOT / "edgewright").rglob("*.py"))
LOCKS = sorted([*ROOT.glob("requirements/*.txt"), *ROOT.glob("docker/*/*requirements.txt")])
SOURCES = sorted([*ROOT.glob("requirements/*.in"), *ROOT.glob("docker/*/*requirements.in")])


def test_the_package_knows_no_stage_and_no_device() -> None:
    # `data` and `verify` are not looked for: the user's DATA= and `make verify` are called so.
    names = {*STAGES, *PROJECT.devices, *PROJECT.firmwares} - {"data", "verify"}
    for path in PACKAGE:
        words = set(re.findall(r"""["']([\w.-]+)["']""", path.read_text()))
        assert not words & names, f"{path.name} knows {words & names}"


def test_only_tasks_imports_invoke() -> None:
    for path in PACKAGE:
        assert not re.search(r"^\s*(from|import) invoke", path.read_text(), re.MULTILINE), path.name


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_its_five_files(stage: str) -> None:
    found = {path.name for path in (ROOT / "docker" / stage).iterdir()}
    assert {"Dockerfile", "requirements.in", "requirements.txt", "stage.toml", "main.py"} <= found


@pytest.mark.parametrize("stage", STAGES)
def test_an_images_fingerprint_covers_all_that_it_copies(stage: str) -> None:
    text = (ROOT / "docker" / stage / "Dockerfile").read_text()
    copied = {word for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE) for word in line.split()}
    own = {path for path in copied if path == f"docker/{stage}" or path.startswith(f"docker/{stage}/")}
    assert copied - own == set(PROJECT.stages[stage].files)


@pytest.mark.parametrize("stage", STAGES)
def test_a_dockerfile_stays_within_what_old_engines_know(stage: str) -> None:
    text = (ROOT / "docker" / stage / "Dockerfile").read_text()
    assert not re.search(r"# syntax=|COPY --link|ADD |<<|:latest", text)
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("first", "second", "last"),
    [
        ("train", "export", "install.sh lock /opt/edgewright/requirements.txt\n"),
        ("export", "verify", "patch.py /opt/edgewright/patches\n"),
    ],
)
def test_images_that_share_layers_begin_with_the_same_lines(first: str, second: str, last: str) -> None:
    def beginning(stage: str) -> list[str]:
        shared, found, _ = (ROOT / "docker" / stage / "Dockerfile").read_text().partition(last)
        assert found
        return [line for line in shared.splitlines() if line and not line.startswith("#")]

    assert beginning(first) == beginning(second)


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_lock_pins_every_package_with_a_hash_and_names_no_host(path: Path) -> None:
    text = path.read_text()
    entries = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    for entry in filter(None, entries):
        assert re.match(r"[a-z0-9._-]+==\S+", entry, re.IGNORECASE), entry.splitlines()[0]
        assert "--hash=sha256:" in entry
    assert "://" not in text


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_is_asked_for_is_what_is_locked(path: Path) -> None:
    lock = dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", path.with_suffix(".txt").read_text(), re.MULTILINE))
    for line in path.read_text().splitlines():
        wanted = line.partition("#")[0].partition(";")[0].strip()
        if not wanted or wanted.startswith("-"):
            continue
        name, _, version = wanted.partition("==")
        assert version, f"{path}: {wanted} leaves a version open"
        assert lock.get(name.partition("[")[0].lower()) == version


@pytest.mark.parametrize(("first", "second"), [("train", "export"), ("export", "verify")])
def test_a_lock_that_follows_another_has_all_of_it_in_the_same_version(first: str, second: str) -> None:
    def pins(stage: str) -> set[tuple[str, str]]:
        return set(
            re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "docker" / stage / "requirements.txt").read_text(), re.M)
        )

    assert pins(first) <= pins(second)


def test_every_patched_file_is_expected() -> None:
    for folder in ROOT.glob("patches/*"):
        touched = {
            name for path in folder.glob("*.patch") for name in re.findall(r"^\+\+\+ b/(\S+)", path.read_text(), re.M)
        }
        expected = [line.split(maxsplit=1)[1] for line in (folder / "EXPECTED").read_text().splitlines()]
        assert sorted(touched) == expected


def test_the_makefile_knows_every_option_and_command() -> None:
    text = (ROOT / "Makefile").read_text()
    known = re.search(r"^OPTIONS := (.*)$", text, re.MULTILINE)
    tasks = re.search(r"^TASKS := (.*)$", text, re.MULTILINE)
    assert known
    assert tasks
    assert set(known[1].split()) == {name.upper() for name in (*options.HELP, *options.OWN)}
    assert {*tasks[1].split(), "test"} == {name for name, *_ in show.COMMANDS} | {"help"}
    assert len(text.splitlines()) <= 60
