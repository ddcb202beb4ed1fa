"""The bill of materials: valid by CycloneDX's own schema, complete, and the same for the same release."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

import pytest
import release_facts as facts

from edgewright.materials import bom, validate

RELEASES = {
    "trained further": (facts.manifest(), facts.report()),
    "from the drawn set": (facts.sample(), facts.report()),
    "detection": (facts.manifest(), facts.detecting()),
    "a finished file": (facts.finished(), facts.unmeasured()),
    "no verdict": (facts.finished(), {}),
}


def made(manifest: Any = None, report: Any = None) -> dict[str, Any]:
    return bom(manifest or facts.manifest(), report or facts.report(), {"train": "numpy==1.24.3\n"})


def component(bill: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [part for part in bill["components"] if part["name"] == name]
    return found


def properties(part: dict[str, Any]) -> dict[str, str]:
    return {fact["name"].removeprefix("edgewright:"): fact["value"] for fact in part["properties"]}


@pytest.mark.parametrize("release", RELEASES)
def test_every_kind_of_release_has_a_valid_bill(release: str) -> None:
    bill = bom(*RELEASES[release], {})
    assert validate(json.dumps(bill)) == ""
    refs = [part["bom-ref"] for part in [bill["metadata"]["component"], *bill["components"]]]
    assert len(refs) == len(set(refs))
    for row in bill["dependencies"]:
        assert {row["ref"], *row.get("dependsOn", [])} <= set(refs)


def test_the_same_release_gives_the_same_bytes() -> None:
    first, second = made(), made(copy.deepcopy(facts.manifest()))
    assert json.dumps(first) == json.dumps(second)
    assert "timestamp" not in json.dumps(first)
    other = facts.manifest()
    other["steps"][0]["parameters"]["imgsz"] = 256
    assert made(other)["serialNumber"] != first["serialNumber"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["bomFormat"], "SPDX"),
        (["serialNumber"], "urn:uuid:1"),
        (["metadata", "component", "type"], "model"),
        (["metadata", "component", "hashes", 0, "content"], "f00"),
        (["metadata", "component", "modelCard", "modelParameters", "accuracy"], "1"),
        (["metadata", "component", "modelCard", "quantitativeAnalysis", "performanceMetrics", 0, "value"], 0.5),
        (["components", 0, "licence"], "AGPL"),
        (["components", 0, "name"], None),
    ],
)
def test_a_broken_bill_is_refused_and_its_place_is_named(path: list[Any], value: Any) -> None:
    bill = made()
    at = bill
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    problem = validate(json.dumps(bill))
    assert problem
    assert "\n" not in problem
    assert len(problem) < 300


@pytest.mark.parametrize("text", ["", "no", "[" * 100_000, '{"bomFormat"'])
def test_what_is_not_json_is_said_in_one_line(text: str) -> None:
    assert validate(text).startswith("not JSON")


def test_the_model_is_named_with_its_hash_licence_and_board() -> None:
    model = made()["metadata"]["component"]
    assert model["hashes"] == [{"alg": "SHA-256", "content": facts.COMPILED}]
    assert model["licenses"] == [{"license": {"id": "AGPL-3.0-only"}}]
    found = properties(model)
    assert found["address"] == "0x400000"
    assert found["arena_bytes"] == "301056"
    assert found["device"] == "grove-vision-ai-v2"


def test_the_figures_are_those_of_the_ladders_two_ends() -> None:
    card = made()["metadata"]["component"]["modelCard"]
    rows = card["quantitativeAnalysis"]["performanceMetrics"]
    assert {"type": "keypoint AP", "value": "0.1627", "slice": facts.FLOAT_RUNG} in rows
    assert {"type": "keypoint AP", "value": "0.1719", "slice": facts.DEVICE_RUNG} in rows
    assert {"type": "keypoint drift p95 (px)", "value": "8.6385", "slice": facts.DEVICE_RUNG} in rows
    assert "ONNX" not in {row["slice"] for row in rows}
    assert "sigmas of COCO were assumed" in card["considerations"]["technicalLimitations"]
    assert card["modelParameters"]["outputs"] == [
        {"format": "int8 tensor box16, scale 0.05794480815529823, zero point -72"}
    ]


def test_a_long_problem_is_cut() -> None:
    bill = made()
    bill["components"][0]["type"] = "x" * 10_000
    assert len(validate(json.dumps(bill))) < 300


def test_a_single_rung_is_told_once() -> None:
    report = facts.report()
    del report["accuracy"]["rungs"][:2]
    rows = made(report=report)["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert len(rows) == len({row["type"] for row in rows})


def test_a_package_of_several_stages_is_there_once() -> None:
    bill = made()
    found = component(bill, "torch")
    assert found["purl"] == found["bom-ref"] == "pkg:pypi/torch@2.1.2"
    assert [fact["value"] for fact in found["properties"]] == ["export", "train", "verify"]
    numpy = {part["version"] for part in bill["components"] if part["name"] == "numpy"}
    assert numpy == {"1.24.3", "1.26.4"}, "two versions are two components"


def test_the_model_depends_on_data_weights_and_environments_and_these_on_their_packages() -> None:
    bill = made()
    needs = {row["ref"]: row.get("dependsOn", []) for row in bill["dependencies"]}
    data = component(bill, "coco8-pose")["bom-ref"]
    assert {data, f"weights:{facts.WEIGHTS}", "edgewright", "environment:vela"} <= set(needs["model"])
    assert needs["environment:vela"] == ["pkg:pypi/numpy@1.26.4"]
    datasets = bill["metadata"]["component"]["modelCard"]["modelParameters"]["datasets"]
    assert datasets == [{"ref": data}]


def test_a_data_set_is_named_by_its_digests_and_a_file_by_its_hash() -> None:
    bill = made()
    data = component(bill, "coco8-pose")
    assert "hashes" not in data, "the digest of a folder is nobody's SHA-256 of bytes"
    assert properties(data)["manifest"] == facts.LISTING
    assert component(bill, "best.pt")["hashes"][0]["content"] == facts.WEIGHTS
    assert "licenses" not in component(bill, "best.pt"), "nobody stated it"
    assert properties(component(bill, "best.pt")) == {"role": "weights", "digest": facts.WEIGHTS}
    drawn = component(made(facts.sample()), "figures-pose, drawn")
    assert properties(drawn) == {"digest": "ee" * 32, "manifest": facts.LISTING}


def test_pinned_weights_keep_their_licence_and_where_they_came_from() -> None:
    manifest = facts.manifest()
    manifest["steps"][1]["inputs"]["weights"] = facts.ASSET
    found = component(made(manifest), "yolov8n-pose")
    assert found["licenses"] == [{"license": {"id": "AGPL-3.0"}}]
    assert found["externalReferences"][0]["url"] == facts.ASSET["url"]


def test_a_patched_package_says_so() -> None:
    manifest = facts.manifest()
    manifest["steps"][2]["patches"] = {"ultralytics": {"0001-raw-heads.patch": "aa" * 32}}
    bill = made(manifest)
    pedigree = component(bill, "ultralytics")["pedigree"]
    assert pedigree["patches"] == [{"type": "unofficial", "diff": {"url": "0001-raw-heads.patch"}}]
    assert pedigree["notes"] == "patched in the environment of export"
    assert "pedigree" not in component(bill, "torch")
    assert validate(json.dumps(bill)) == ""


def test_an_environment_has_the_digest_of_its_lock() -> None:
    bill = made()
    assert properties(component(bill, "train"))["lock"] == hashlib.sha256(b"numpy==1.24.3\n").hexdigest()
    assert "lock" not in properties(component(bill, "vela"))


def test_a_finished_file_is_the_model_and_no_part_of_it() -> None:
    bill = bom(facts.finished(), facts.unmeasured(), {})
    assert "licenses" not in bill["metadata"]["component"], "nobody stated it"
    assert "architectureFamily" not in bill["metadata"]["component"]["modelCard"]["modelParameters"]
    assert not [part for part in bill["components"] if part["type"] == "machine-learning-model"]


def test_nothing_but_the_firmware_is_needed_where_the_model_runs() -> None:
    inside = [part["type"] for part in made()["components"] if part.get("scope") != "excluded"]
    assert inside == ["firmware"]
