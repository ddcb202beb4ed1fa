"""Statements of a release: as in-toto and SLSA define them, each step's linked to the one before by digests."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
from release_facts import report
from released import make_release, make_released, walk_of

from edgewright import bundle, digest, provenance
from edgewright.plan import File, Step

STEPS = ("first", "second", "judge")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("provenance")
    patch = pytest.MonkeyPatch()
    patch.setenv("EDGEWRIGHT_STORE", str(root / "store"))
    made = make_release(make_released(root / "toy"), root)
    patch.undo()
    return made


def load(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "provenance" / f"{name}.json").read_text())
    return found


def subjects(statement: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {subject["annotations"]["role"]: subject["digest"] for subject in statement["subject"]}


def inputs(statement: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    return {row["name"]: row for row in found if "annotations" in row}


@pytest.mark.parametrize("name", [*STEPS, "test-result", "release"])
def test_in_totos_own_classes_take_every_statement(folder: Path, name: str) -> None:
    text = (folder / "provenance" / f"{name}.json").read_text()
    proto = json_format.Parse(text, statement_pb2.Statement(), ignore_unknown_fields=False)
    Statement.copy_from_pb(proto).validate()
    assert (folder / "provenance" / f"{name}.json").read_bytes() == provenance.encode(json.loads(text))


@pytest.mark.parametrize("name", STEPS)
def test_a_steps_predicate_is_slsa_provenance(folder: Path, name: str) -> None:
    predicate = json.dumps(load(folder, name)["predicate"])
    proto = json_format.Parse(predicate, provenance_pb2.Provenance(), ignore_unknown_fields=False)
    assert proto.build_definition.build_type == "urn:edgewright:step:v1"
    assert proto.run_details.metadata.invocation_id
    assert not proto.run_details.metadata.HasField("started_on")
    for dependency in proto.build_definition.resolved_dependencies:
        ResourceDescriptor.copy_from_pb(dependency).validate()


def test_the_test_results_predicate_is_in_totos(folder: Path) -> None:
    predicate = json.dumps(load(folder, "test-result")["predicate"])
    proto = json_format.Parse(predicate, test_result_pb2.TestResult(), ignore_unknown_fields=False)
    assert proto.result == "WARNED"


def test_the_chain_goes_from_the_first_step_to_the_model_by_digests(folder: Path) -> None:
    first, second, judge = (load(folder, name) for name in STEPS)
    assert inputs(second)["weights"]["digest"] == subjects(first)["weights"]
    assert inputs(second)["weights"]["annotations"] == {"step": "first", "role": "weights"}
    assert inputs(judge)["model"]["digest"] == subjects(second)["model"]
    assert subjects(second)["model"] == {"sha256": digest.of_file(folder / "model.tflite")}
    assert load(folder, "test-result")["subject"][0]["digest"] == subjects(second)["model"]


def test_a_step_names_its_commit_environment_lock_and_packages(folder: Path) -> None:
    found = load(folder, "second")["predicate"]["buildDefinition"]["resolvedDependencies"]
    by_name = {row["name"]: row["digest"] for row in found if "name" in row}
    assert len(by_name["edgewright"]["gitCommit"]) == 40
    assert len(by_name["environment"]["edgewrightEnvironment"]) == 64
    assert len(by_name["requirements.txt"]["sha256"]) == 64
    assert {"uri": "pkg:pypi/six@1.17.0"} in found


def test_a_folder_is_not_given_a_files_digest_and_a_download_keeps_its_address() -> None:
    step = {
        "stage": "s",
        "key": "k",
        "inputs": {
            "images": {"sha256": "aa", "file": "mine", "kind": "folder"},
            "weights": {"sha256": "bb", "asset": "w", "url": "https://x/w.pt", "licence": "MIT"},
        },
        "outputs": {"drawn": "cc", "list": "dd"},
        "paths": {"drawn": "drawn/", "list": "list.json"},
        "packages": {"torch": "2.1.2+cpu"},
    }
    step |= dict.fromkeys(("variables", "limits", "isolation", "platform", "environment", "lock", "parameters"), "")
    manifest = {"steps": [step], "commit": "c", "edgewright": "1", "engine": {"name": "e"}}
    manifest |= dict.fromkeys(("recipe", "device", "firmware"), "")
    statement = provenance.of_step(manifest, step)
    assert subjects(statement) == {"drawn": {"edgewrightFolder": "cc"}, "list": {"sha256": "dd"}}
    assert inputs(statement)["images"]["digest"] == {"edgewrightFolder": "aa"}
    assert inputs(statement)["weights"]["uri"] == "https://x/w.pt"
    uris = [row["uri"] for row in statement["predicate"]["buildDefinition"]["resolvedDependencies"] if "uri" in row]
    assert "pkg:pypi/torch@2.1.2%2Bcpu" in uris


@pytest.mark.parametrize(
    ("state", "warnings", "result"),
    [("passes", [], "PASSED"), ("passes", [{"text": "odd"}], "WARNED"), ("fails", [{"text": "odd"}], "FAILED")],
)
def test_the_result_follows_from_the_verdict_and_each_rule_is_listed(
    state: str, warnings: list[dict[str, str]], result: str
) -> None:
    found = report()
    found["verdict"] |= {"state": state, "warnings": warnings}
    found["contract"] = [
        {"rule": "slot", "passes": True, "text": "fits"},
        {"rule": "order", "passes": False, "text": "x"},
    ]
    judge = {"outputs": {"verdict": "ee"}}
    manifest = {"steps": [judge], "firmware": {"name": "f"}, "device": "d", "model": {"sha256": "aa"}}
    predicate = provenance.of_tests(manifest, found)["predicate"]
    assert predicate["result"] == result
    assert predicate["passedTests"] == ["slot: fits"]
    assert predicate["failedTests"] == ["order: x"]


def test_the_release_statement_vouches_for_every_other_file(folder: Path) -> None:
    named = {subject["name"]: subject["digest"]["sha256"] for subject in load(folder, "release")["subject"]}
    files = {path.relative_to(folder).as_posix(): digest.of_file(path) for path in folder.rglob("*") if path.is_file()}
    assert named == {name: files[name] for name in files.keys() - {"SHA256SUMS", "provenance/release.json"}}


def test_a_manifest_tells_folders_from_files(toy: Path, tmp_path: Path) -> None:
    walk = walk_of(make_released(tmp_path / "released"), tmp_path / "build")
    drawn, given = walk.volume / walk.done["first"].path("weights"), tmp_path / "given"
    drawn.unlink()
    drawn.mkdir()
    given.mkdir()
    steps = {step["stage"]: step for step in bundle.manifest_of(walk, bundle.files_of(walk))["steps"]}
    assert steps["first"]["paths"] == {"weights": "result.txt/"}
    assert steps["second"]["paths"] == {"model": "result.txt"}
    images = Step(walk.plan.steps[1].stage, {}, {"images": File(given), "weights": File(toy / "LICENSE")})
    (toy / "LICENSE").write_text("x")
    plan = replace(walk.plan, steps=(walk.plan.steps[0], images))
    found = bundle.manifest_of(replace(walk, plan=plan), bundle.files_of(walk))["steps"][1]["inputs"]
    assert found["images"]["kind"] == "folder"
    assert "kind" not in found["weights"]
