"""`make audit`: every lock against the known vulnerabilities; each finding is fixed, or excused with a reason and a date.

An excuse is a table in requirements/audit.toml. It is an error if it is out of date, or if nothing is found that it excuses.
"""

from __future__ import annotations

import datetime
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from edgewright import log, proc
from edgewright.errors import EngineMissing, StageFailed, WrongInput
from edgewright.table import Table, refusal, shown, telling

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXCUSES = "requirements/audit.toml"
TIMEOUT_S = 600  # of one lock; the longest has 80 packages, each a question of its own


class Excuse(Table):
    """Why one advisory about one pinned package does not reach us, and until when somebody looks at it again."""

    id: str
    package: str
    version: str
    reason: str = Field(min_length=20)
    until: datetime.date


class Excuses(Table):
    """The whole file: a table for each advisory."""

    advisory: tuple[Excuse, ...] = Field(default=(), strict=False)


@dataclass(frozen=True)
class Finding:
    """One advisory about one pinned package: all its names, the versions that mend it, and the locks that pin it."""

    package: str
    version: str
    names: tuple[str, ...]
    fixed: tuple[str, ...]
    locks: tuple[str, ...]

    def __str__(self) -> str:
        mended = f"fixed in {', '.join(self.fixed)}" if self.fixed else "no version fixes it"
        return f"{', '.join(self.locks)}: {self.package} {self.version}: {', '.join(self.names)} ({mended})"

    def is_excused_by(self, excuse: Excuse) -> bool:
        """Return whether the excuse is for this advisory, under whichever of its names."""
        return (excuse.package, excuse.version) == (self.package, self.version) and excuse.id in self.names


def ask(lock: Path) -> Sequence[Mapping[str, Any]]:
    """Return what pip-audit says about each package of a lock; raise EngineMissing where no service answers."""
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch, "answer.json")
        argv = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--require-hashes", "--disable-pip"]
        argv += ["--format", "json", "--desc", "off", "--aliases", "on", "--progress-spinner", "off"]
        code, text = proc.capture([*argv, "--output", str(answer)], TIMEOUT_S)
        # It ends with 1 where it has found something, and where it failed; only then is there no answer.
        if not answer.exists() or not answer.read_text():
            last = text.splitlines()[-1] if text else f"exit code {code}"
            raise EngineMissing(f"pip-audit gave no answer on {shown(lock)}: {last[:200]}", "make doctor")
        found: list[dict[str, Any]] = json.loads(answer.read_text())["dependencies"]
    return found


def audit(
    root: Path, today: datetime.date, asked: Callable[[Path], Sequence[Mapping[str, Any]]] = ask
) -> list[Finding]:
    """Audit every lock; return the excused findings, or raise StageFailed with all that is not in order."""
    excuses = load_excuses(root / EXCUSES)
    locks = sorted([*root.glob("requirements/*.txt"), *root.glob("docker/*/*requirements.txt")])
    found: dict[tuple[str, str, str], Finding] = {}
    with log.bar("audit", f"asking about {len(locks)} locks") as on_line:
        for number, lock in enumerate(locks, 1):
            name = lock.relative_to(root).as_posix()
            for finding in _findings(name, asked(lock)):
                key = (finding.package, finding.version, finding.names[0])
                found[key] = _joined(found.get(key, finding), finding)
            on_line(f"{number}/{len(locks)} {name}")
    findings = [found[key] for key in sorted(found)]
    if wrong := list(_faults(findings, excuses, today)):
        raise StageFailed(
            "\n       ".join(wrong), f"make lock UPGRADE=1, or an entry with reason and date in {EXCUSES}"
        )
    return findings


def load_excuses(path: Path) -> tuple[Excuse, ...]:
    """Read the file of excuses; raise WrongInput for what it should not hold."""
    try:
        return Excuses.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).advisory
    except tomllib.TOMLDecodeError as problem:
        raise WrongInput(f"{shown(path)}: {problem}", "mend that line") from None
    except ValidationError as problems:
        raise refusal(Excuses, path, telling(problems)) from None


def _findings(lock: str, packages: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield what is known about a lock's packages; one that could not be asked about is no package without findings."""
    skipped = [package for package in packages if "skip_reason" in package]
    if skipped:
        raise EngineMissing(
            f"{lock}: of {len(packages)} packages {len(skipped)} were not looked up: {skipped[0]['skip_reason']}",
            "run it where the public package index itself answers; a mirror need not know of vulnerabilities",
        )
    for package in packages:
        for entry in package["vulns"]:
            names = (entry["id"], *sorted(set(entry["aliases"]) - {entry["id"]}))
            yield Finding(package["name"], package["version"], names, tuple(entry["fix_versions"]), (lock,))


def _joined(first: Finding, second: Finding) -> Finding:
    """Put together what two locks, or two records of one advisory, say: the service has some twice, with other aliases."""
    return replace(
        first,
        names=tuple(dict.fromkeys((*first.names, *second.names))),
        fixed=tuple(dict.fromkeys((*first.fixed, *second.fixed))),
        locks=tuple(dict.fromkeys((*first.locks, *second.locks))),
    )


def _faults(findings: Sequence[Finding], excuses: Sequence[Excuse], today: datetime.date) -> Iterator[str]:
    for finding in findings:
        if not any(finding.is_excused_by(excuse) for excuse in excuses):
            yield str(finding)
    for excuse in excuses:
        where = f"{EXCUSES}: {excuse.id} for {excuse.package} {excuse.version}"
        if not any(finding.is_excused_by(excuse) for finding in findings):
            yield f"{where} is no longer needed: nothing is found that it excuses"
        elif excuse.until < today:
            yield f"{where} was to be looked at again by {excuse.until}"
