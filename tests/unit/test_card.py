"""The model card and the licences: true for every kind of release, and readable by programs whatever others have named."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import release_facts as facts
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from edgewright import licences
from edgewright.card import model_card
from edgewright.markdown import code
from edgewright.text import visible

ROOT = Path(__file__).resolve().parents[2]


def front_matter(card: str) -> dict[str, Any]:
    start, matter, _ = card.split("---\n", 2)
    assert start == ""
    found: dict[str, Any] = yaml.safe_load(matter)
    return found


def command(card: str) -> dict[str, str]:
    (line,) = [line for line in card.splitlines() if line.startswith("make release ")]
    return dict(word.split("=", 1) for word in shlex.split(line)[2:])


def section(card: str, heading: str) -> str:
    return card.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def test_hugging_face_finds_task_licence_and_figures() -> None:
    found = front_matter(model_card(facts.manifest(), facts.report()))
    assert found["license"] == "agpl-3.0"
    assert found["library_name"] == "tflite"
    assert found["pipeline_tag"] == "keypoint-detection"
    assert found["datasets"] == ["coco8-pose"]
    assert {"yolov8", "grove-vision-ai-v2"} <= set(found["tags"])
    (result,) = found["model-index"][0]["results"]
    metrics = {row["type"]: row["value"] for row in result["metrics"]}
    assert metrics["keypoint AP"] == 0.1719, "the device's, not that of the float weights"
    assert metrics["box AP50"] == 0.6311


def test_a_detection_model_has_no_keypoints_anywhere() -> None:
    card = model_card(facts.manifest(), facts.detecting())
    assert front_matter(card)["pipeline_tag"] == "object-detection"
    assert "keypoint" not in card
    assert "| box AP | box AP50 | box drift mean (px) |" in card
    assert "2 classes" in card
    assert "`cat`, `dog`" in card


def test_every_rung_of_the_ladder_has_its_row() -> None:
    rows = section(model_card(facts.manifest(), facts.report()), "How good")
    assert "| weights in torch | 0.163 | 0.287 | 0.479 | 0.631 | – | – | – | – |" in rows
    assert "| ONNX | 0.163 |" in rows
    assert f"| {facts.DEVICE_RUNG} | 0.172 | 0.287 | 0.499 | 0.631 | 2.888 | 8.639 |" in rows
    assert "4 of 4 frames (folders, val)" in rows


def test_the_board_its_firmware_and_the_address_are_named() -> None:
    rows = section(model_card(facts.manifest(), facts.report()), "Which board")
    assert "`0x400000`" in rows
    assert "SSCMA 1.x for Grove Vision AI V2 (`grove-vision-ai-v2-sscma-1.x`)" in rows
    assert "301,056 of 1,136,640 bytes" in rows
    assert "| 68 ms, an estimate" in rows
    report = facts.report()
    report["speed"]["milliseconds"] = [2767, 11315]
    assert "2,767 to 11,315 ms" in model_card(facts.manifest(), report)


def test_things_are_counted_as_people_do() -> None:
    assert "192 × 192 pixels, 1 class, 17 keypoints, 2,307,888 bytes" in model_card(facts.manifest(), facts.report())


def test_all_that_was_not_proved_is_a_limit() -> None:
    report = facts.report()
    report["verdict"]["partial"] = ["frame 7\n---\ncould not be read"]
    rows = section(model_card(facts.manifest(), report), "Limits")
    told = ["cls8 cannot exceed a score", "sigmas of COCO", "- frame 7 --- could not be read", "an estimate of Vela's"]
    assert [line for line in told if line not in rows] == []


def test_a_finished_file_gets_no_figures_and_no_licence_that_nobody_stated() -> None:
    card = model_card(facts.finished(), facts.unmeasured())
    found = front_matter(card)
    assert found["license"] == "unknown"
    assert "yolov8" not in found["tags"]
    assert not {"model-index", "datasets"} & found.keys()
    assert "Accuracy was not measured." in card
    assert "AP was not measured: no images" in section(card, "Limits")
    assert section(card, "Licence").strip().startswith("Not stated")
    assert "Seeed XIAO ESP32S3" in card


def test_without_a_verdict_the_card_says_that_nothing_was_verified() -> None:
    card = model_card(facts.finished(), {})
    assert "not verified" in section(card, "Limits")
    assert "pipeline_tag" not in front_matter(card)


def test_the_command_has_every_option_that_a_step_read() -> None:
    typed = command(model_card(facts.manifest(), facts.report()))
    assert typed == {
        "DEVICE": "grove-vision-ai-v2",
        "RECIPE": "figures-pose",
        "FIRMWARE": "grove-vision-ai-v2-sscma-1.x",
        "DATA": "coco8-pose",
        "WEIGHTS": "best.pt",
        "IMGSZ": "192",
        "EPOCHS": "50",
        "GPU": "0",
        "FRAMES": "256",
    }
    assert not {"DATA", "WEIGHTS", "MODEL"} & command(model_card(facts.sample(), facts.report())).keys()
    assert command(model_card(facts.finished(), {}))["MODEL"] == "own.tflite"


def test_the_command_names_a_description_and_a_bundle_that_were_chosen() -> None:
    manifest = facts.manifest() | {"name": "cranes"}
    manifest["steps"][0]["parameters"]["yaml"] = "data.yaml"
    typed = command(model_card(manifest, facts.report()))
    assert typed["DATA"] == "coco8-pose/data.yaml"
    assert typed["NAME"] == "cranes"


@pytest.mark.parametrize(
    "name",
    [
        "a: b",
        "- x",
        "it's",
        'say "hi"',
        "a|b",
        "a`b",
        "$(shell date)",
        "# no",
        "---",
        "näh\u2028\x07\x7f",
        "😀",
        "<b>x</b>",
        "a\n---\nb",
    ],
)
def test_whatever_others_have_named_the_card_stays_readable(name: str) -> None:
    manifest, report = facts.manifest(), facts.report()
    for step in manifest["steps"]:
        if "dataset" in step["inputs"]:
            step["inputs"]["dataset"] = {**step["inputs"]["dataset"], "file": name}
    report["model"]["names"] = [name]
    report["verdict"]["partial"] = [name]
    card = model_card(manifest, report)
    shown = visible(name)
    assert front_matter(card)["datasets"] == [shown]
    assert command(card)["DATA"] == shown.replace("$", "$$"), "make takes $$ for $"
    for table in ("Which board", "How good", "How it was made"):
        widths = [line.count("|") for line in section(card, table).splitlines() if line.startswith("|")]
        assert set(widths) <= {3, 4, 5, 10}, "a name must not add a column"
    assert card.count("\n## ") == 6
    assert "<b>" not in section(card, "Limits")
    licences.files(ROOT, manifest)["NOTICE.md"].decode()


def others(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return manifest and report with the text wherever one of them may have others' words."""
    manifest, report = facts.manifest() | {"name": text}, facts.report()
    for step in manifest["steps"]:
        step["parameters"]["more"] = text
        for role in ("dataset", "weights"):
            if "file" in step["inputs"].get(role, {}):
                step["inputs"][role] = {**step["inputs"][role], "file": text, "licence": text}
    report["device"]["title"] = text
    report["firmware"] |= {"title": text, "versions": text, "name": text}
    report["verdict"] |= {
        "summary": text,
        "state": text,
        "partial": [text],
        "notes": [text],
        "warnings": [{"text": text}],
    }
    report["speed"]["notes"] = [text]
    report["model"]["names"] = [text, text]
    report["accuracy"]["source"] = text
    for rung in report["accuracy"]["rungs"]:
        rung["title"] = text
    return manifest, report


def structure(card: str) -> list[str]:
    """Return what Markdown makes of a card, without the words: its blocks, and all that is in a line but text and code."""
    body = card.split("---\n", 2)[2] if card.startswith("---\n") else card
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(body)
    words = ("text", "code_inline", "text_special", "softbreak")
    return [inner.type for token in tokens for inner in [token, *(token.children or [])] if inner.type not in words]


MARKUP = [
    "`",
    "``",
    "```",
    "|",
    "\\",
    "<b>",
    "<!--",
    "![a](b)",
    "[a]: b",
    "*",
    "__",
    "~~",
    "&lt;",
    "#",
    "- ",
    "1. ",
    "> ",
    "\n",
    "\n\n",
    " ",
]


@given(st.lists(st.sampled_from(MARKUP) | st.text(max_size=5), min_size=1, max_size=6).map("".join))
@example("# x")
@example("1. x")
@example("a\n---\nb\n===")
@example("`\\`|`<img src=x>")
@example("</p><script>x</script>")
@example("\x1b[2J\u202e\ud800\ufffe")
def test_no_text_of_others_is_markup_or_has_what_nobody_sees(text: str) -> None:
    card = model_card(*others(text))
    assert structure(card) == structure(model_card(*others("x")))
    assert "".join(map(visible, card.split("\n"))) == card.replace("\n", "")
    assert front_matter(card)["datasets"] == [visible(text)]
    assert structure(notice(others(text)[0])) == structure(notice(others("x")[0]))


def test_code_in_a_sentence_stays_code_and_a_name_in_it_is_whole() -> None:
    report = facts.report()
    report["verdict"]["notes"] = ["type `make x`: a_b|c*"]
    assert r"- type `make x`: a\_b\|c\*" in model_card(facts.manifest(), report)


def test_the_card_is_the_same_for_the_same_release() -> None:
    assert model_card(facts.manifest(), facts.report()) == model_card(facts.manifest(), facts.report())


# --- licences -----------------------------------------------------------------------------------------------------------------


def test_a_name_cannot_leave_its_place_in_a_table() -> None:
    assert code("a`b|c\n\td\x07") == r"`a'b/c\n\td\x07`"
    assert code("") == "` `"


def notice(manifest: dict[str, Any]) -> str:
    return licences.files(ROOT, manifest)["NOTICE.md"].decode()


def test_a_model_made_with_agpl_code_is_agpl_and_the_text_is_there() -> None:
    found = licences.files(ROOT, facts.manifest())
    assert found["LICENSES/AGPL-3.0-only.txt"] == (ROOT / "LICENSE").read_bytes()
    assert "| `model.tflite` | AGPL-3.0-only: made with ultralytics" in found["NOTICE.md"].decode()


def test_a_model_that_was_only_compiled_here_keeps_its_own_licence() -> None:
    manifest = facts.finished()
    manifest["steps"] = [facts.manifest()["steps"][3], *manifest["steps"]]
    assert licences.of_model(manifest) == ""
    assert "| `model.tflite` | not stated" in notice(manifest)
    assert "| model | `own.tflite` | not stated |" in notice(manifest)


def test_a_file_that_no_step_read_is_named_all_the_same() -> None:
    assert "| model | `own.tflite` | not stated |" in notice({**facts.finished(), "steps": []})


def test_the_pictures_of_a_report_stand_under_the_licence_of_the_users_images() -> None:
    assert "pictures in `report.html` | that of the images: `coco8-pose`, not stated" in notice(facts.manifest())
    assert "pictures" not in notice(facts.sample())
    unseen = facts.manifest()
    del unseen["steps"][-1]["inputs"]["dataset"]
    assert "pictures" not in notice(unseen), "it calibrated, and no frame was drawn"


def test_pinned_weights_are_listed_with_their_licence_and_the_projects_own_files_are_not() -> None:
    manifest = facts.manifest()
    manifest["steps"][1]["inputs"]["weights"] = facts.ASSET
    assert "| weights | `yolov8n-pose` | AGPL-3.0 |" in notice(manifest)
    assert "we2.ini" not in notice(manifest)
