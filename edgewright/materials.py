"""The bill of materials: CycloneDX 1.6 in JSON, with the model's card; built from manifest.json, report.json and the stages' locks.

The same three give the same bytes: no times, and a serial number that follows from the manifest. Packages have no hashes here: a
lock lists those of every platform's file, and which was installed is not recorded; each environment has its lock's digest instead.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import (
    Component,
    ComponentScope,
    ComponentType,
    Diff,
    Patch,
    PatchClassification,
    Pedigree,
)
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from edgewright import card, digest, licences
from edgewright.licences import DATASET, Part
from edgewright.plan import MODEL

Json = Mapping[str, Any]
KINDS = {DATASET: ComponentType.DATA, "weights": ComponentType.MACHINE_LEARNING_MODEL}
KINDS[MODEL] = ComponentType.MACHINE_LEARNING_MODEL
# A bill of five stages has some 200 components and 150 kB. The validator compares each entry of a list with each other one (2,000
# take 2 s), and parses an address by a grammar (2,000 letters take 0.6 s): fields of the schema whose format is iri-reference.
BOM_BYTES, LIST_MOST, LETTERS_MOST = 1_000_000, 1000, 20_000
ADDRESSES = {"url", "references", "source", "destination", "endpoints", "featuredImage", "socialImage"}


def bom(manifest: Json, report: Json, locks: Mapping[str, str]) -> dict[str, Any]:
    """Return the bill of materials; `locks` has the text of each stage's requirements.txt, `report` is {} where there is none."""
    model = _model(manifest, report)
    environments = {step["stage"]: _environment(step, locks.get(step["stage"], "")) for step in manifest["steps"]}
    packages = _packages(manifest["steps"])
    parts = [_firmware(manifest, report), _tool(manifest), *_given(manifest), *_drawn(manifest)]
    bill = Bom(
        components=[*parts, *environments.values(), *packages.values()],
        metadata=BomMetaData(component=model),
        serial_number=uuid.uuid5(uuid.NAMESPACE_OID, digest.of_value(manifest)),
    )
    bill.register_dependency(model, [*parts, *environments.values()])
    for step in manifest["steps"]:
        needs = [packages[purl] for purl in _purls(step)]
        bill.register_dependency(environments[step["stage"]], needs)
    raw: dict[str, Any] = json.loads(JsonV1Dot6(bill).output_as_string())
    del raw["metadata"]["timestamp"]
    data = [str(part.bom_ref) for part in parts if part.type is ComponentType.DATA]
    raw["metadata"]["component"]["modelCard"] = card.cyclonedx_card(manifest, report, data)
    return raw


def validate(text: str) -> str:
    """Return what is wrong with a bill of materials by CycloneDX's schema, in one line, or "" if nothing is."""
    try:
        if excess := _excess(json.loads(text)):
            return excess
        problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    except (ValueError, RecursionError) as trouble:
        return f"not JSON: {trouble}"
    if problem is None:
        return ""
    at, fact = problem.data.json_path, problem.data.message
    return f"{at}: {fact if len(fact) < 200 else fact[:200] + '…'}"


def _excess(bill: Any) -> str:
    """Return what there is so much of that to validate it would take minutes."""
    letters, rest = 0, [("", bill)]
    while rest:
        name, value = rest.pop()
        if isinstance(value, dict):
            rest += value.items()
        elif isinstance(value, list):
            if len(value) > LIST_MOST:
                return f"a list of {len(value):,}, where one may have {LIST_MOST:,}"
            rest += [(name, item) for item in value]
        elif isinstance(value, str) and name in ADDRESSES:
            letters += len(value)
    return f"{letters:,} letters of addresses, where {LETTERS_MOST:,} may be" if letters > LETTERS_MOST else ""


# --- components ---------------------------------------------------------------------------------------------------------------


def _model(manifest: Json, report: Json) -> Component:
    firmware = manifest["firmware"]
    facts = {
        "device": manifest["device"],
        "firmware": firmware["name"],
        "address": f"0x{firmware['address']:x}",
        "bytes": manifest["model"]["bytes"],
        "engine": manifest["engine"]["name"],
    }
    if report and report["arena"]["bytes"]:
        facts["arena_bytes"] = report["arena"]["bytes"]
    return Component(
        bom_ref="model",
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=card.name_of(manifest),
        version=manifest["edgewright"],
        description=f"model.tflite for {report['device']['title'] if report else manifest['device']}",
        hashes=_sha256(manifest["model"]["sha256"]),
        licenses=_licence(licences.of_model(manifest)),
        properties=_properties(facts),
    )


def _firmware(manifest: Json, report: Json) -> Component:
    name = manifest["firmware"]["name"]
    told = f"; a board has it if {report['firmware']['versions']}" if report else ""
    return Component(
        bom_ref=f"firmware:{name}",
        type=ComponentType.FIRMWARE,
        name=name,
        description=f"runs the model on the board, and is no part of this release{told}",
    )


def _tool(manifest: Json) -> Component:
    return Component(
        bom_ref="edgewright",
        type=ComponentType.APPLICATION,
        name="edgewright",
        version=manifest["edgewright"],
        scope=ComponentScope.EXCLUDED,
        licenses=_licence(licences.AGPL),
    )


def _given(manifest: Json) -> list[Component]:
    """Return what the user gave or what was downloaded, and what no step made of the project's files."""
    return [
        Component(
            bom_ref=f"{part.role}:{part.sha256}",
            type=KINDS.get(part.role, ComponentType.FILE),
            name=part.name,
            scope=ComponentScope.EXCLUDED,
            # What is a folder has a digest over names and contents, which is nobody's SHA-256 of bytes.
            hashes=[] if part.role == DATASET else _sha256(part.sha256),
            licenses=_licence(part.licence),
            external_references=_download(part),
            properties=_properties({"role": part.role, "digest": part.sha256, **_listing(manifest, part.role)}),
        )
        for part in licences.given(manifest)
        if part.sha256 != manifest["model"]["sha256"]  # a finished file that was given is the model itself
    ]


def _drawn(manifest: Json) -> list[Component]:
    """Return the data set that a step drew itself."""
    return [
        Component(
            bom_ref=f"{DATASET}:{step['outputs'][DATASET]}",
            type=ComponentType.DATA,
            name=f"{manifest['recipe']}, drawn",
            version=manifest["edgewright"],
            scope=ComponentScope.EXCLUDED,
            licenses=_licence(licences.AGPL),
            properties=_properties({"digest": step["outputs"][DATASET], **_listing(manifest, DATASET)}),
        )
        for step in manifest["steps"]
        if DATASET in step["outputs"]
    ]


def _listing(manifest: Json, role: str) -> dict[str, str]:
    """Return the digest of the list of all images and labels, if `role` is the data set."""
    found = [step["outputs"]["manifest"] for step in manifest["steps"] if "manifest" in step["outputs"]]
    return {"manifest": found[0]} if found and role == DATASET else {}


def _environment(step: Json, lock: str) -> Component:
    facts = {"key": step["key"], "fingerprint": step["environment"], "platform": step["platform"]}
    if lock:
        facts["lock"] = hashlib.sha256(lock.encode()).hexdigest()
    return Component(
        bom_ref=f"environment:{step['stage']}",
        type=ComponentType.PLATFORM,
        name=step["stage"],
        version=step["environment"][:12],
        scope=ComponentScope.EXCLUDED,
        description=f"the environment that ran the step {step['stage']}",
        properties=_properties(facts),
    )


def _packages(steps: Iterable[Json]) -> dict[PackageURL, Component]:
    """Return every package of every step's lock once, with the stages that have it and what was patched in it."""
    stages: dict[PackageURL, list[str]] = {}
    patches: dict[PackageURL, dict[str, list[str]]] = {}
    for step in steps:
        for purl in _purls(step):
            stages.setdefault(purl, []).append(step["stage"])
            for name in step["patches"].get(purl.name, {}):
                patches.setdefault(purl, {}).setdefault(name, []).append(step["stage"])
    return {
        purl: Component(
            bom_ref=purl.to_string(),
            type=ComponentType.LIBRARY,
            name=purl.name,
            version=purl.version,
            purl=purl,
            scope=ComponentScope.EXCLUDED,
            pedigree=_pedigree(patches.get(purl, {})),
            properties=[Property(name="edgewright:stage", value=stage) for stage in found],
        )
        for purl, found in stages.items()
    }


def _purls(step: Json) -> list[PackageURL]:
    return [PackageURL("pypi", name=name, version=version) for name, version in step["packages"].items()]


def _pedigree(patches: Mapping[str, Iterable[str]]) -> Pedigree | None:
    if not patches:
        return None
    found = [Patch(type=PatchClassification.UNOFFICIAL, diff=Diff(url=XsUri(name))) for name in patches]
    stages = sorted({stage for names in patches.values() for stage in names})
    return Pedigree(patches=found, notes=f"patched in the environment of {', '.join(stages)}")


# --- parts of a component -----------------------------------------------------------------------------------------------------


def _sha256(total: str) -> list[HashType]:
    return [HashType(alg=HashAlgorithm.SHA_256, content=total)]


def _licence(name: str) -> list[License]:
    return [LicenseFactory().make_from_string(name)] if name else []


def _download(part: Part) -> list[ExternalReference]:
    if not part.url:
        return []
    return [
        ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(part.url), hashes=_sha256(part.sha256))
    ]


def _properties(facts: Json) -> list[Property]:
    return [Property(name=f"edgewright:{name}", value=str(value)) for name, value in facts.items()]
