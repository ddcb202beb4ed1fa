"""Whether the parts of a release agree: manifest, statements, report, bill of materials and model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgewright import digest, materials, provenance
from edgewright.bundle import BESIDE, MANIFEST, MODEL_FILE
from edgewright.plan import MODEL, VERDICT
from edgewright.sums import Contents, listed

Json = Mapping[str, Any]

BOM, STATEMENTS = "bom.cdx.json", "provenance"
TESTS, RELEASE = f"{STATEMENTS}/test-result.json", f"{STATEMENTS}/release.json"
# Beside inputs: records.facts.
FACTS = ("schema", "stage", "environment", "isolation", "variables", "parameters", "platform")
# At most, of what is read further than its sums. A manifest of five steps has 100 kB, a report of thousands of tensors 1 MB.
MANIFEST_BYTES, REPORT_BYTES, STATEMENT_BYTES = 2_000_000, 20_000_000, 2_000_000
MODEL_BYTES = 1 << 26  # four times the largest flash of any board that is known


@dataclass(frozen=True)
class Release:
    """A release as found: its files, and those two of them that tell of all others, as JSON."""

    contents: Contents
    manifest: Json
    report: Json


def most_bytes(name: str) -> int:
    """Return how many bytes of a file are read further than its sha256, at most."""
    known = {MODEL_FILE: MODEL_BYTES, MANIFEST: MANIFEST_BYTES, BESIDE[VERDICT]: REPORT_BYTES, BOM: materials.BOM_BYTES}
    return STATEMENT_BYTES if name.startswith(f"{STATEMENTS}/") else known.get(name, 0)


def load(contents: Contents) -> Release:
    """Read a release; raise ValueError where it is not one."""
    report, manifest = (_read(contents, name) for name in (BESIDE[VERDICT], MANIFEST))
    # Each step has its statement. What is made of the manifest grows faster than it does, so that this is looked at first.
    if len(manifest["steps"]) > len(contents.sums):
        raise ValueError(f"{MANIFEST}: {len(manifest['steps'])} steps, and {len(contents.sums)} files")
    return Release(contents, manifest, report)


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
    sums = listed(release.contents)
    there = {name for name in sums if name.startswith(f"{STATEMENTS}/")}
    covered = {name: total for name, total in sums.items() if name not in there}
    expected = statements(release.manifest, release.report, covered)
    for name in sorted(there | expected.keys()):
        if name not in there:
            yield f"{name}: missing"
        elif name not in expected:
            yield f"{name}: of no step in {MANIFEST}"
        elif digest.of_bytes(expected[name]) != sums[name]:
            at = _difference(json.loads(expected[name]), _read(release.contents, name))
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
    manifest, sums = release.manifest, listed(release.contents)
    outputs = {role: total for step in manifest["steps"] for role, total in step["outputs"].items()}
    expected = {name: outputs[role] for role, name in BESIDE.items() if role in outputs}
    expected[MODEL_FILE] = manifest["model"]["sha256"]
    for name in (MODEL_FILE, *BESIDE.values()):
        if sums.get(name) != expected.get(name):
            yield f"{name}: {'missing' if name not in sums else 'not of this build'}"
    if MODEL_FILE not in sums:
        return
    model = release.contents.texts[MODEL_FILE]
    if model[4:8] != b"TFL3":
        yield f"{MODEL_FILE}: not a TFLite file"
    if len(model) != manifest["model"]["bytes"]:
        yield f"{MODEL_FILE}: {len(model)} bytes, not {manifest['model']['bytes']}"


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
    bill = _read(release.contents, BOM)
    if problem := materials.validate(release.contents.texts[BOM].decode()):
        yield f"{BOM}: {problem}"
    elif release.manifest["model"]["sha256"] not in [row["content"] for row in bill["metadata"]["component"]["hashes"]]:
        yield f"{BOM}: of another model"


def _read(contents: Contents, name: str) -> dict[str, Any]:
    """Return a JSON object; raise ValueError in one line."""
    if name not in contents.texts:
        raise ValueError(f"{name}: missing")
    try:
        value = json.loads(contents.texts[name].decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"{name}: not a JSON object")
    return value


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
