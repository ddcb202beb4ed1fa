"""What a release says of how it was made: in-toto statements, each a pure function of its manifest.json (and report.json).

`urn:edgewright:step:v1` is the build type of a step: the stage's code, found in the source tree at the commit that is named, ran in
the environment that its lock and folder make, with `externalParameters.parameters`, on the dependencies that name a role; its
subjects are what came out. Dependencies with `annotations.step` are outputs of that step, subjects of its statement.

Two digests are not sha256 of a file's bytes, and have names of their own, both in lowercase hexadecimal: `edgewrightFolder`, the
sha256 of canonical JSON of a sorted list of [name, sha256 of the content], and `edgewrightEnvironment`, the sha256 of canonical
JSON of [what the environment stands on, `edgewrightFolder` of all that it is made from].

No times, no paths, no names of machines. Signed on one's own machine this is SLSA Build L1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from packageurl import PackageURL

from edgewright import digest
from edgewright.bundle import MODEL_FILE
from edgewright.plan import VERDICT

Json = Mapping[str, Any]

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
RELEASE = "https://in-toto.io/attestation/release/v0.1"
BUILD_TYPE, BUILDER = "urn:edgewright:step:v1", "urn:edgewright:builder:v1"
RESULTS = {"passes": "PASSED", "partial": "WARNED", "fails": "FAILED"}  # by the verdict's state


def encode(statement: Json) -> bytes:
    """Return a statement's bytes: canonical JSON, so that equal statements are equal files."""
    return digest.canonical(statement) + b"\n"


def of_step(manifest: Json, step: Json) -> dict[str, Any]:
    """Return the statement of how one step's outputs were made."""
    subjects = [
        {
            "name": f"{step['stage']}/{path}",
            "digest": _digest(path, step["outputs"][role]),
            "annotations": {"role": role},
        }
        for role, path in sorted(step["paths"].items())
    ]
    external = {name: manifest[name] for name in ("recipe", "device", "firmware")}
    internal = {name: step[name] for name in ("key", "variables", "limits", "isolation", "platform")}
    definition = {
        "buildType": BUILD_TYPE,
        "externalParameters": {**external, "stage": step["stage"], "parameters": step["parameters"]},
        "internalParameters": internal,
        "resolvedDependencies": [*_inputs(manifest, step), *_surroundings(manifest, step)],
    }
    builder = {"id": BUILDER, "version": {"edgewright": manifest["edgewright"], "engine": manifest["engine"]["name"]}}
    details = {"builder": builder, "metadata": {"invocationId": step["key"]}}
    return _statement(subjects, PROVENANCE, {"buildDefinition": definition, "runDetails": details})


def of_tests(manifest: Json, report: Json) -> dict[str, Any]:
    """Return the statement of what was tested about the model."""
    rows, verdict = report["contract"], report["verdict"]
    warned = verdict["state"] == "passes" and (verdict["warnings"] or any(row["passes"] is None for row in rows))
    tests = {
        name: [f"{row['rule']}: {row['text']}" for row in rows if row["passes"] is passes]
        for name, passes in (("passedTests", True), ("warnedTests", None), ("failedTests", False))
    }
    gates = (report.get("accuracy") or {}).get("gates", [])
    judge = next(step for step in manifest["steps"] if VERDICT in step["outputs"])
    configuration = [
        {"name": manifest["firmware"]["name"], "annotations": {"kind": "firmware"}},
        {"name": manifest["device"], "annotations": {"kind": "device"}},
        *({"name": gate["name"], "annotations": {"kind": "gate", "limit": gate["limit"]}} for gate in gates),
        {"name": "report.json", "digest": {"sha256": judge["outputs"][VERDICT]}},
    ]
    result = "WARNED" if warned else RESULTS[verdict["state"]]
    model = {"name": MODEL_FILE, "digest": {"sha256": manifest["model"]["sha256"]}}
    return _statement([model], TEST_RESULT, {"result": result, "configuration": configuration, **tests})


def of_release(manifest: Json, sums: Mapping[str, str]) -> dict[str, Any]:
    """Return the statement of what a release is made of; `sums` has the sha256 of every file that it vouches for."""
    name, version = f"{manifest['name']}-{manifest['device']}", manifest["edgewright"]
    subjects = [{"name": name, "digest": {"sha256": total}} for name, total in sorted(sums.items())]
    return _statement(subjects, RELEASE, {"purl": PackageURL("generic", None, name, version).to_string()})


def _statement(subjects: list[dict[str, Any]], kind: str, predicate: Json) -> dict[str, Any]:
    return {"_type": STATEMENT, "subject": subjects, "predicateType": kind, "predicate": predicate}


def _inputs(manifest: Json, step: Json) -> list[dict[str, Any]]:
    """Return what the step worked on, each under its role."""
    paths = {earlier["stage"]: earlier["paths"] for earlier in manifest["steps"]}
    found = []
    for role, at in sorted(step["inputs"].items()):
        path = paths[at["step"]][at["role"]] if "step" in at else "/" if at.get("kind") == "folder" else ""
        told = {name: at[name] for name in ("step", "role", "asset", "licence", "file") if name in at}
        uri = {"uri": at["url"]} if "url" in at else {}
        found.append({"name": role, **uri, "digest": _digest(path, at["sha256"]), "annotations": told})
    return found


def _surroundings(manifest: Json, step: Json) -> list[dict[str, Any]]:
    """Return what it worked with: code, environment, the lock and every package in it."""
    packages = [PackageURL("pypi", None, name, version) for name, version in sorted(step["packages"].items())]
    return [
        {"name": "edgewright", "digest": {"gitCommit": manifest["commit"]}},
        {"name": "environment", "digest": {"edgewrightEnvironment": step["environment"]}},
        {"name": "requirements.txt", "digest": {"sha256": step["lock"]}},
        *({"uri": package.to_string()} for package in packages),
    ]


def _digest(path: str, total: str) -> dict[str, str]:
    return {"edgewrightFolder" if path.endswith("/") else "sha256": total}
