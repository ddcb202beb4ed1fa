"""The model card: what a release is and how good, as Markdown with Hugging Face's front matter, and in CycloneDX's words.

Every number comes from manifest.json and report.json; where there is no report, or it measured nothing, the card says so. Texts of
both may be others': names become code, sentences lose what Markdown would take for markup, and what nobody sees is made visible.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgewright import licences
from edgewright.licences import DATASET
from edgewright.markdown import NOTHING, code, sentence, table
from edgewright.measures import limits, measures, rungs
from edgewright.options import PARAMETERS
from edgewright.plan import TYPED
from edgewright.text import visible, visible_in

Json = Mapping[str, Any]
PIPELINES = {"pose": "keypoint-detection", "detect": "object-detection"}  # of Hugging Face, by YOLO's task
COUNTED = (("classes", "class", "es"), ("keypoints", "keypoint", "s"))


def name_of(manifest: Json) -> str:
    """Return what the release is called."""
    return str(manifest["name"])


def model_card(manifest: Json, report: Json) -> str:
    """Return the card; `report` is {} where the device's pipeline has no verdict."""
    title = report["device"]["title"] if report else manifest["device"]
    sections = {
        "Which board": _board(manifest, report),
        "How good": _accuracy(report),
        "Limits": [f"- {sentence(line)}" for line in limits(report)] or ["The report names none."],
        "How it was made": _making(manifest),
        "Where it comes from": _provenance(manifest),
        "Licence": [
            f"{licences.of_model(manifest) or 'Not stated'}: {licences.reason(manifest)}. `NOTICE.md` tells each part's."
        ],
    }
    lines = [
        "---",
        *_front_matter(manifest, report),
        "---",
        "",
        f"# {sentence(name_of(manifest))} for {sentence(title)}",
        "",
    ]
    lines += [_about(manifest, report), ""]
    for heading, text in sections.items():
        lines += [f"## {heading}", "", *text, ""]
    return "\n".join(lines)


# --- front matter -------------------------------------------------------------------------------------------------------------


def _front_matter(manifest: Json, report: Json) -> list[str]:
    """Return YAML, whose values are written as JSON: that is YAML, and quotes whatever others have named."""
    task = (report.get("model") or {}).get("task")
    family = ["yolov8"] if licences.of_model(manifest) else []
    fields: dict[str, Any] = {
        "license": licences.of_model(manifest).removesuffix("-only").lower() or "unknown",
        "library_name": "tflite",
        "tags": ["edgewright", "tflite", "int8", *family, manifest["device"], manifest["firmware"]["name"]],
    }
    if task in PIPELINES:
        fields["pipeline_tag"] = PIPELINES[task]
    if datasets := [part.name for part in licences.given(manifest) if part.role == DATASET]:
        fields["datasets"] = datasets
    if rungs(report) and task in PIPELINES:
        fields["model-index"] = [{"name": name_of(manifest), "results": [_result(datasets, report, PIPELINES[task])]}]
    return [f"{key}: {json.dumps(visible_in(value), ensure_ascii=False)}" for key, value in fields.items()]


def _result(datasets: Sequence[str], report: Json, pipeline: str) -> Json:
    """Return what the device computes as Hugging Face's results of one data set."""
    source = report["accuracy"]["source"]
    found = measures(rungs(report)[-1])
    return {
        "task": {"type": pipeline},
        "dataset": {"type": "custom", "name": f"{datasets[0]} ({source})" if datasets else source},
        "metrics": [{"type": measure.name, "value": measure.value, "name": measure.rung} for measure in found],
    }


# --- sections -----------------------------------------------------------------------------------------------------------------


def _about(manifest: Json, report: Json) -> str:
    model = report.get("model") or {}
    facts = [f"{model['imgsz']:d} × {model['imgsz']:d} pixels"] if model.get("imgsz") else []
    facts += [
        f"{model[key]:d} {word}{'' if model[key] == 1 else plural}" for key, word, plural in COUNTED if model.get(key)
    ]
    names = f" Classes: {', '.join(code(name) for name in model['names'])}." if model.get("names") else ""
    kind = f"{'YOLOv8, ' if licences.of_model(manifest) else ''}int8 in TFLite's format"
    facts.append(f"{manifest['model']['bytes']:,} bytes")
    return f"`model.tflite`: {', '.join([kind, *facts])}.{names}"


def _board(manifest: Json, report: Json) -> list[str]:
    address = f"`0x{manifest['firmware']['address']:x}`"
    rows = [("device", code(manifest["device"])), ("firmware", code(manifest["firmware"]["name"]))]
    if report:
        arena, firmware = report["arena"], report["firmware"]
        rows[1] = (
            "firmware",
            f"{sentence(firmware['title'])} ({code(firmware['name'])}): {sentence(firmware['versions'])}",
        )
        rows.append(("verdict", f"{sentence(report['verdict']['state'])}: {sentence(report['verdict']['summary'])}"))
        if arena["bytes"]:
            rows.append(("arena", f"{arena['bytes']:,} of {firmware['arena_bytes']:,} bytes"))
        if report["speed"]:
            low, high = report["speed"]["milliseconds"]
            span = f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"
            rows.append(("time of a frame", f"{span} ms, an estimate"))
    rows.append(("address", f"{address}: where in the board's flash `model.tflite` is to be written"))
    return table(("", ""), rows)


def _accuracy(report: Json) -> list[str]:
    if not rungs(report):
        return ["Accuracy was not measured."]
    found = [{measure.name: measure.value for measure in measures(rung)} for rung in rungs(report)]
    columns = list(dict.fromkeys(name for row in found for name in row))
    rows = [
        (sentence(rung["title"]), *(f"{row[name]:.3f}" if name in row else NOTHING for name in columns))
        for rung, row in zip(rungs(report), found, strict=True)
    ]
    measured = report["accuracy"]
    seen = f"{measured['frames']:d} of {measured['of']:d} frames ({sentence(measured['source'])})"
    return [*table(("form of the network", *columns), rows), "", f"Measured on {seen}; more in `report.html`."]


def _making(manifest: Json) -> list[str]:
    steps = [
        (code(step["stage"]), _parameters(step["parameters"]) or NOTHING, code(step["key"]))
        for step in manifest["steps"]
    ]
    parts = [
        (part.role, code(part.name), sentence(part.licence or licences.UNKNOWN), code(part.sha256))
        for part in licences.typed(manifest)
    ]
    lines = table(("step", "parameters", "key"), steps)
    if parts:
        lines += ["", *table(("given", "name", "licence", "sha256"), parts)]
    return [*lines, "", "Once more, from the same inputs:", "", "```sh", _command(manifest), "```"]


def _parameters(values: Json) -> str:
    """Return the parameters that are one word or number; tables are in manifest.json."""
    plain = {name: value for name, value in values.items() if not isinstance(value, dict | list) and value != ""}
    return ", ".join(f"{name} {code(str(value))}" for name, value in sorted(plain.items()))


def _command(manifest: Json) -> str:
    """Return what to type for the same release: every option that a step of it reads, as it was."""
    parameters = {name: value for step in manifest["steps"] for name, value in step["parameters"].items()}
    typed = {"DEVICE": manifest["device"], "RECIPE": manifest["recipe"], "FIRMWARE": manifest["firmware"]["name"]}
    typed |= {TYPED[part.role]: part.name for part in licences.typed(manifest)}
    if parameters.get("yaml") and TYPED[DATASET] in typed:
        typed[TYPED[DATASET]] += f"/{parameters['yaml']}"
    typed |= {name.upper(): str(int(parameters[name])) for name in PARAMETERS if name in parameters}
    if name_of(manifest) != manifest["recipe"]:
        typed["NAME"] = name_of(manifest)
    return f"make release {' '.join(f'{name}={_shell(value)}' for name, value in typed.items())}"


def _provenance(manifest: Json) -> list[str]:
    built = f"Built by Edgewright {manifest['edgewright']} with {manifest['engine']['name']}."
    return [
        f"{built} `manifest.json` names every input, parameter and package,",
        "`provenance/` has a statement for each step, `bom.cdx.json` is the bill of materials.",
        "",
        "```sh",
        "sha256sum --check SHA256SUMS",
        "make check RELEASE=path/of/this/folder KEY=release.pub",
        "```",
        "",
        "`release.intoto.jsonl`, if it is there, was signed on the machine that built all this. That is SLSA Build L1: it shows",
        "who vouches for these files, not that nobody could have forged them.",
    ]


# --- the same for a bill of materials -----------------------------------------------------------------------------------------


def cyclonedx_card(manifest: Json, report: Json, datasets: Iterable[str]) -> dict[str, Any]:
    """Return CycloneDX's modelCard; `datasets` are references to components."""
    model, ladder = report.get("model") or {}, rungs(report)
    task = {"task": model["task"]} if model.get("task") else {}
    family = {"architectureFamily": "YOLOv8"} if licences.of_model(manifest) else {}
    form = {"modelArchitecture": f"{model['form']}, operators {_operators(model)}"} if model.get("form") else {}
    size = f"int8 image, {model['imgsz']} x {model['imgsz']} pixels" if model.get("imgsz") else "int8 image"
    outputs = [
        f"int8 tensor {row['name']}, scale {row['scale']}, zero point {row['zero_point']}"
        for row in report.get("outputs", [])
    ]
    ends = [*ladder[:1], *ladder[1:][-1:]]
    metrics = [
        {"type": measure.name, "value": str(measure.value), "slice": measure.rung}
        for rung in ends
        for measure in measures(rung)
    ]
    board = report["device"]["title"] if report else manifest["device"]
    return {
        "modelParameters": {
            **task,
            **family,
            **form,
            "datasets": [{"ref": ref} for ref in datasets],
            "inputs": [{"format": size}],
            "outputs": [{"format": text} for text in outputs],
        },
        "quantitativeAnalysis": {"performanceMetrics": metrics},
        "considerations": {
            "useCases": [f"{model.get('task') or 'inference'} on {board}"],
            "technicalLimitations": limits(report),
        },
    }


def _operators(model: Json) -> str:
    return ", ".join(f"{row['name']} ({row['count']}, {row['runs']})" for row in model["operators"])


def _shell(text: str) -> str:
    """Return a value as a shell takes it, and make after it."""
    return shlex.quote(visible(text).replace("$", "$$"))
