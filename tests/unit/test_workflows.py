"""GitHub's workflows, which nobody runs here: linted, pinned, allowed little, and in step with the Makefile."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgewright import options

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PARSED: dict[str, dict[str, Any]] = {path.name: yaml.safe_load(path.read_text()) for path in WORKFLOWS}
JOBS = {f"{name}:{job}": body for name, parsed in PARSED.items() for job, body in parsed["jobs"].items()}
# A call of make, over continued lines, up to the end of the command.
MAKE = re.compile(r"\bmake (?:--silent )?([a-z]+)((?:[^\n|;&\\]|\\\n)*)")


def test_zizmor_finds_nothing() -> None:
    zizmor = Path(sys.executable).with_name("zizmor")
    done = subprocess.run(
        [zizmor, "--offline", "--pedantic", "--no-progress", ".github/workflows"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_finds_nothing() -> None:
    actionlint = Path(sys.executable).with_name("actionlint")
    done = subprocess.run([actionlint, *WORKFLOWS], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_commit_and_names_its_version(path: Path) -> None:
    used = re.findall(r"uses:\s*(.+)", path.read_text())
    assert used
    for line in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_one_action_has_one_pin() -> None:
    pins = dict.fromkeys(re.findall(r"uses:\s*(\S+)@(\S+)", "\n".join(path.read_text() for path in WORKFLOWS)))
    assert len(pins) == len({action for action, _ in pins}), pins


@pytest.mark.parametrize("name", PARSED)
def test_a_workflow_itself_may_do_nothing(name: str) -> None:
    assert PARSED[name]["permissions"] == {}


@pytest.mark.parametrize("name", JOBS)
def test_a_job_says_what_it_may_do_and_how_long(name: str) -> None:
    job = JOBS[name]
    assert isinstance(job["permissions"], dict)
    assert 0 < job["timeout-minutes"] <= 120


@pytest.mark.parametrize("name", JOBS)
def test_no_expression_is_pasted_into_a_shell(name: str) -> None:
    for step in JOBS[name]["steps"]:
        assert "${{" not in step.get("run", ""), step


def test_only_what_publishes_may_write() -> None:
    writing = {name for name, job in JOBS.items() if "write" in job["permissions"].values()}
    assert writing == {"release.yml:publish", "update-pins.yml:propose"}


def test_a_job_that_may_write_runs_nothing_of_ours() -> None:
    for name, job in JOBS.items():
        if "write" in job["permissions"].values():
            assert not [step for step in job["steps"] if MAKE.search(step.get("run", ""))], name


def test_the_second_build_is_made_as_the_first() -> None:
    jobs = PARSED["release.yml"]["jobs"]
    first, second = (
        [step for step in jobs[job]["steps"] if "make " in step.get("run", "")] for job in ("build", "rebuild")
    )
    assert [step for step in first if step["name"] != "Check"] == second


def test_the_workflows_type_only_what_make_knows() -> None:
    targets = re.findall(r"[a-z]+", re.search(r"^TASKS := (.+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1])  # type: ignore[index]
    known = {option.upper() for option in (*options.HELP, *options.OWN)}
    calls = [call for job in JOBS.values() for step in job["steps"] for call in MAKE.findall(step.get("run", ""))]
    assert {target for target, _ in calls} >= {"devices", "deploy", "release", "check", "lock"}
    for target, rest in calls:
        assert target in targets, target
        assert set(re.findall(r"(?<![A-Z_])([A-Z_]+)=", rest)) <= known, (target, rest)


@pytest.mark.parametrize("name", JOBS)
def test_no_checkout_leaves_its_token_behind(name: str) -> None:
    for step in JOBS[name]["steps"]:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
