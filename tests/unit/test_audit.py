"""The audit: what is found is excused with a reason and a date, or it fails; and nothing excused stays in the file for ever."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from edgewright import audit
from edgewright.errors import EngineMissing, StageFailed, WrongInput

TODAY = datetime.date(2026, 11, 24)
VULN = {"id": "PYSEC-2025-41", "aliases": ["CVE-2025-32434", "GHSA-53q9-r3pm-6pq6"], "fix_versions": ["2.6.0"]}
FOUND = [{"name": "torch", "version": "2.1.2", "vulns": [VULN]}, {"name": "pyyaml", "version": "6.0.3", "vulns": []}]
ENTRY = """[[advisory]]
id = "PYSEC-2025-41"
package = "torch"
version = "2.1.2"
reason = "the stage that loads weights has no network"
until = 2027-05-01
"""


def make(root: Path, excuses: str = ENTRY) -> Path:
    for name in ("requirements/host.txt", "docker/train/requirements.txt", "docker/vela/build-requirements.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / audit.EXCUSES).write_text(excuses)
    return root


def run(root: Path, found: Sequence[Mapping[str, Any]] = FOUND) -> list[audit.Finding]:
    return audit.audit(root, TODAY, lambda lock: found if lock.parent.name == "train" else [])


def test_every_lock_is_asked_about(tmp_path: Path) -> None:
    asked: list[str] = []
    audit.audit(make(tmp_path, ""), TODAY, lambda lock: asked.append(lock.relative_to(tmp_path).as_posix()) or [])
    assert asked == ["docker/train/requirements.txt", "docker/vela/build-requirements.txt", "requirements/host.txt"]


@pytest.mark.parametrize("name", [VULN["id"], *VULN["aliases"]])
def test_an_advisory_is_excused_under_any_of_its_names(tmp_path: Path, name: str) -> None:
    found = run(make(tmp_path, ENTRY.replace("PYSEC-2025-41", name)))
    assert [(finding.package, finding.locks) for finding in found] == [("torch", ("docker/train/requirements.txt",))]


@pytest.mark.parametrize("changed", [("2.1.2", "2.1.1"), ("torch", "torchvision"), ("2025-41", "2025-42")])
def test_an_excuse_is_for_one_advisory_about_one_version(tmp_path: Path, changed: tuple[str, str]) -> None:
    with pytest.raises(StageFailed) as failed:
        run(make(tmp_path, ENTRY.replace(*changed)))
    first, second = str(failed.value).splitlines()
    names = "PYSEC-2025-41, CVE-2025-32434, GHSA-53q9-r3pm-6pq6"
    assert first == f"docker/train/requirements.txt: torch 2.1.2: {names} (fixed in 2.6.0)"
    assert second.strip().endswith("is no longer needed: nothing is found that it excuses")


def test_two_records_of_one_advisory_are_one_finding(tmp_path: Path) -> None:
    one, other = (
        {**VULN, "aliases": ["CVE-2025-32434"]},
        {**VULN, "aliases": ["GHSA-53q9-r3pm-6pq6"], "fix_versions": []},
    )
    root = make(tmp_path, ENTRY.replace("PYSEC-2025-41", "GHSA-53q9-r3pm-6pq6"))
    found = audit.audit(root, TODAY, lambda _: [{**FOUND[0], "vulns": [one, other]}])
    assert [(len(finding.names), finding.fixed, len(finding.locks)) for finding in found] == [(3, ("2.6.0",), 3)]


def test_a_finding_that_no_version_mends_says_so(tmp_path: Path) -> None:
    open_one = [{**FOUND[0], "vulns": [{**VULN, "fix_versions": []}]}]
    with pytest.raises(StageFailed, match="no version fixes it"):
        run(make(tmp_path, ""), open_one)


@pytest.mark.parametrize(("until", "good"), [("2026-11-24", True), ("2026-11-23", False)])
def test_an_excuse_holds_to_its_last_day(tmp_path: Path, until: str, good: bool) -> None:
    root = make(tmp_path, ENTRY.replace("2027-05-01", until))
    if good:
        assert run(root)
        return
    with pytest.raises(StageFailed, match=r"PYSEC-2025-41 for torch 2\.1\.2 was to be looked at again by 2026-11-23"):
        run(root)


def test_what_could_not_be_looked_up_is_not_taken_for_good(tmp_path: Path) -> None:
    # A mirror answers 404, and pip-audit then ends with 0 and "No known vulnerabilities found".
    skipped = [*FOUND, {"name": "numpy", "skip_reason": "Dependency not found on PyPI and could not be audited"}]
    with pytest.raises(EngineMissing, match="of 3 packages 1 were not looked up"):
        run(make(tmp_path), skipped)


@pytest.mark.parametrize(
    ("spoil", "fact"),
    [
        (("reason = ", "why = "), "unknown key 'why'"),
        (("until = 2027-05-01\n", ""), "'until' is missing"),
        (('"the stage that loads weights has no network"', '"none"'), "reason = 'none'"),
        (("2027-05-01", '"later"'), "until = 'later'"),
        (("[[advisory]]", "[[advisory]"), r"audit\.toml"),
    ],
)
def test_an_excuse_without_reason_or_date_is_refused(tmp_path: Path, spoil: tuple[str, str], fact: str) -> None:
    with pytest.raises(WrongInput, match=fact):
        run(make(tmp_path, ENTRY.replace(*spoil)))


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a script that stands in for this Python, and so for pip-audit."""
    script = tmp_path / "python"
    monkeypatch.setattr(sys, "executable", str(script))
    return script


def test_findings_are_read_although_pip_audit_ends_with_1(tmp_path: Path, program: Path) -> None:
    program.write_text('#!/bin/sh\nfor last; do :; done\necho \'{"dependencies": [{"name": "a"}]}\' > $last\nexit 1\n')
    program.chmod(0o755)
    assert audit.ask(tmp_path / "requirements.txt") == [{"name": "a"}]


def test_a_service_that_does_not_answer_is_no_finding(tmp_path: Path, program: Path) -> None:
    program.write_text("#!/bin/sh\necho 'ERROR:pip_audit._cli:Could not connect' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(EngineMissing, match="Could not connect"):
        audit.ask(tmp_path / "requirements.txt")


def test_the_projects_own_excuses_can_be_read() -> None:
    root = Path(__file__).resolve().parents[2]
    entries = audit.load_excuses(root / audit.EXCUSES)
    locks = [*root.glob("requirements/*.txt"), *root.glob("docker/*/*requirements.txt")]
    pinned = {line.split()[0] for lock in locks for line in lock.read_text().splitlines() if "==" in line}
    assert {f"{entry.package}=={entry.version}" for entry in entries} <= pinned
    assert len({(entry.id, entry.package, entry.version) for entry in entries}) == len(entries)
