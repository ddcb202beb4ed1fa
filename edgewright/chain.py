"""Whether the parts of a release agree: manifest, statements, report, bill of materials and model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgewright import digest, materials, provenance
from edgewright.bundle import BESIDE, MANIFEST, MODEL_FILE
from edgewright.plan import MODEL, VERDICT

Json = Mapping[str, Any]

BOM, STATEMENTS = "bom.cdx.json", "provenance"
TESTS, RELEASE = f"{STATEMENTS}/test-result.json", f"{STATEMENTS}/release.json"
FACTS = (
    "schema",
    "stage",
    "environment",
    "isolation",
    "variables",
    "parameters",
    "platform",
)  # beside inputs: records.facts
JSON_BYTES = 100_000_000  # a report of thousands of tensors has a hundredth of it


@dataclass(frozen=True)
class Release:
    """A release as found: where it lies, the sha256 of each file, and what the programs among its readers take."""

    folder: Path
    sums: Mapping[str, str]
    manifest: Json
    report: Json


def load(folder: Path, sums: Mapping[str, str]) -> Release:
    """Read a release; raise ValueError where it is not one."""
    report, manifest = (_read(folder / name) for name in (BESIDE[VERDICT], MANIFEST))
    return Release(folder, sums, manifest, report)


def names(manifest: Json) -> list[str]:
    """Return the names of the statements that a release must have, in order."""
    return [*(f"{STATEMENTS}/{step['stage']}.json" for step in manifest["steps"]), TESTS, RELEASE]


def statements(manifest: Json, report: Json, sums: Mapping[str, str]) -> dict[str, bytes]:
    """Return all but the last statement, by name; `sums` has what the last, over the whole release, vouches for beside these."""
    steps = [provenance.of_step(manifest, step) for step in manifest["steps"]]
    texts = [provenance.encode(statement) for statement in (*steps, provenance.of_tests(manifest, report))]
    made = dict(zip(names(manifest), texts, strict=False))
    covered = {**sums, **{name: digest.of_bytes(text) for name, text in made.items()}}
    return {**made, RELEASE: provenance.encode(provenance.of_release(manifest, covered))}


def unproved(report: Json) -> str:
    """Return why a report is not enough for a release, or nothing."""
    verdict = report["verdict"]
    if verdict["state"] != "passes":
        return f"verdict: {verdict['state']}: {verdict['summary']}"
    gates = (report.get("accuracy") or {}).get("gates", [])
    return next(
        (f"gate {g['name']} = {g['limit']:g} was not checked: {g['reason']}" for g in gates if not g["passes"]), ""
    )


def findings(release: Release) -> Iterator[str]:
    """Yield all in which the parts of a release disagree, a line each."""
    yield from _statements(release)
    yield from _steps(release.manifest)
    yield from _files(release)
    yield from _contract(release)
    yield from _bill(release)


def _statements(release: Release) -> Iterator[str]:
    """The manifest gives every statement; one that is left out, too many or of another build shows."""
    there = {name for name in release.sums if name.startswith(f"{STATEMENTS}/")}
    covered = {name: total for name, total in release.sums.items() if name not in there}
    expected = statements(release.manifest, release.report, covered)
    for name in sorted(there | expected.keys()):
        if name not in there:
            yield f"{name}: missing"
        elif name not in expected:
            yield f"{name}: of no step in {MANIFEST}"
        elif digest.of_bytes(expected[name]) != release.sums[name]:
            at = _difference(json.loads(expected[name]), _read(release.folder / name))
            yield f"{name}: not the statement of this build: {at or 'its form'} differs"


def _difference(expected: Any, found: Any) -> str:
    """Return the first place where two JSON values differ."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in sorted({*expected, *found}):
            if expected.get(name) != found.get(name):
                return f"{name}.{_difference(expected.get(name), found.get(name))}".rstrip(".")
    if isinstance(expected, list) and isinstance(found, list):
        for index, pair in enumerate(zip(expected, found, strict=False)):
            if pair[0] != pair[1]:
                return f"{index}.{_difference(*pair)}".rstrip(".")
    return ""


def _steps(manifest: Json) -> Iterator[str]:
    """Each key follows from its step's facts, and each input is what an earlier step gave."""
    given: dict[tuple[str, str], str] = {}
    for step in manifest["steps"]:
        name = step["stage"]
        facts = {fact: step[fact] for fact in FACTS}
        facts["inputs"] = {role: at["sha256"] for role, at in step["inputs"].items()}
        if digest.of_value(facts) != step["key"]:
            yield f"{MANIFEST}: the key of {name} does not follow from what it ran on"
        if step["isolation"] != "container":
            yield f"{MANIFEST}: {name} ran without walls"
        for role, at in step["inputs"].items():
            if "step" in at and given.get((at["step"], at["role"])) != at["sha256"]:
                yield f"{MANIFEST}: the chain is broken: {name} took a {role} that {at['step']} did not give"
        given |= {(name, role): total for role, total in step["outputs"].items()}
    model, inputs = manifest["model"], [at for step in manifest["steps"] for at in step["inputs"].values()]
    at = model["from"]
    known = (
        given.get((at["step"], at["role"])) if "step" in at else next((i["sha256"] for i in inputs if i == at), None)
    )
    if known != model["sha256"]:
        yield f"{MANIFEST}: the chain is broken: no step gave or took this model"


def _files(release: Release) -> Iterator[str]:
    """The files are those that the manifest's steps gave, and the model is one."""
    manifest, path = release.manifest, release.folder / MODEL_FILE
    outputs = {role: total for step in manifest["steps"] for role, total in step["outputs"].items()}
    expected = {name: outputs[role] for role, name in BESIDE.items() if role in outputs}
    expected[MODEL_FILE] = manifest["model"]["sha256"]
    for name in (MODEL_FILE, *BESIDE.values()):
        if release.sums.get(name) != expected.get(name):
            yield f"{name}: {'missing' if name not in release.sums else 'not of this build'}"
    if not path.is_file():
        return
    with path.open("rb") as file:
        if file.read(8)[4:] != b"TFL3":
            yield f"{MODEL_FILE}: not a TFLite file"
    if path.stat().st_size != manifest["model"]["bytes"]:
        yield f"{MODEL_FILE}: {path.stat().st_size} bytes, not {manifest['model']['bytes']}"


def _contract(release: Release) -> Iterator[str]:
    """The report says that this model fits this firmware on this board, and a step made it of this model."""
    manifest, report, name = release.manifest, release.report, BESIDE[VERDICT]
    if reason := unproved(report):
        yield f"{name}: {reason}"
    for what, found, expected in (
        ("device", report["device"]["name"], manifest["device"]),
        ("firmware", report["firmware"]["name"], manifest["firmware"]["name"]),
        ("address", report["firmware"]["address"], manifest["firmware"]["address"]),
        ("model", report["model"]["sha256"], manifest["model"]["sha256"]),
    ):
        if found != expected:
            yield f"{name}: about another {what}: {found}, not {expected}"
    judged = [step["inputs"][MODEL]["sha256"] for step in manifest["steps"] if VERDICT in step["outputs"]]
    if judged != [manifest["model"]["sha256"]]:
        yield f"{MANIFEST}: no step judged this model"


def _bill(release: Release) -> Iterator[str]:
    path = release.folder / BOM
    bill = _read(path)
    if problem := materials.validate(path.read_text(encoding="utf-8")):
        yield f"{BOM}: {problem}"
    elif release.manifest["model"]["sha256"] not in [row["content"] for row in bill["metadata"]["component"]["hashes"]]:
        yield f"{BOM}: of another model"


def _read(path: Path) -> dict[str, Any]:
    """Return a JSON object; raise ValueError in one line."""
    if not path.is_file():
        raise ValueError(f"{path.name}: missing")
    if path.stat().st_size > JSON_BYTES:
        raise ValueError(f"{path.name}: {path.stat().st_size} bytes, which is no release's")
    try:
        value = json.loads(path.read_bytes())
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"{path.name}: not a JSON object")
    return value
