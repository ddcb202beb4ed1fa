"""For the tests of the report's page: a report with something in every section, and its page as the stage writes it.

Written in the venv, which has the same lock as the images: what engines differ in is tested elsewhere.
"""

from __future__ import annotations

import functools
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edgewright.config import load_project
from edgewright.venvs import python_of
from tests.conftest import ROOT, engine_or_skip

SCRIPT = """
import json, sys
import numpy as np
import overlay, page
given = json.load(sys.stdin)
image = np.random.default_rng(1).integers(0, 255, (96, 96, 3), np.uint8)
pictures = [page.Picture(name, f"1 lost in {name}", overlay.draw(image, []), overlay.draw(image, [])) for name in given["pictures"]]
sys.stdout.write(page.render(given["report"], pictures))
"""
Json = dict[str, Any]


def rung(name: str, ap: float | None, drift: float | None) -> Json:
    moved = drift is not None and {"mean": drift / 3, "p95": drift}
    agreement = {"matched": 190, "lost": 3, "extra": 1, "keypoint_drift_px": moved, "box_drift_px": moved}
    agreement["score_drift"] = {"mean": 0.01, "p95": 0.05}
    figures = dict.fromkeys(("ap", "ap50", "box_ap", "box_ap50"), ap)
    return {
        "name": name,
        "title": f"the {name}",
        "decoder": "firmware",
        **figures,
        "agreement": agreement if moved else None,
    }


def whole() -> Json:
    """A report with something in every section."""
    buffers = [
        {"name": f"buffer {i}", "first": i, "last": i + 2, "offset": i * 1000, "bytes": 9000, "scratch": i % 2 == 0}
        for i in range(4)
    ]
    return {
        "schema": 1,
        "title": "<toy> & board",
        "verdict": {"state": "passes", "summary": "fits", "violations": [], "warnings": [{"text": "a <b>", "hint": "`make x`"}],
                    "partial": ["the NPU"], "notes": []},
        "model": {"name": "m.tflite", "sha256": "ab" * 32, "bytes": 3000, "form": "raw-pose", "task": "pose", "imgsz": 96,
                  "classes": 1, "names": ["<person>"], "keypoints": 17,
                  "operators": [{"name": "ADD", "count": 2, "runs": "missing"}]},
        "device": {"name": "toy", "title": "Toy"},
        "firmware": {"name": "toy-1", "title": "Toy 1", "versions": "it says so", "address": 4096,
                    "slot_bytes": 4000, "arena_bytes": 20000},
        "contract": [{"rule": "slot", "passes": passes, "found": "1", "allowed": "2", "text": "", "hint": ""}
                     for passes in (True, None)],
        "arena": {"bytes": 14000, "activations": 12000, "persistent": 2000, "low": 13000, "high": 14000, "source": "someone",
                  "buffers": buffers, "problem": ""},
        "accuracy": {"source": "toys", "frames": 4, "of": 8, "people": 5, "score": 50, "iou": 45,
                     "rungs": [rung("torch", 0.4, 0.1), rung("float", 0.4, None), rung("int8", 0.35, 2.0)],
                     "kernels": {"equal": True, "frames": 4, "values": 1000, "difference": None,
                                 "optimised": {"steps": 27, "share": 0.12}},
                     "keypoints": [{"name": "<nose>", "seen": 9, "mean": 0.5, "p95": 1.2}],
                     "gates": [{"name": "max_ap_drop", "limit": 0.1, "found": 0.05, "passes": True}]},
        "outputs": [{"name": "cls8", "scale": 0.09, "zero_point": 112, "low": -21.6, "high": 1.35,
                     "seen_low": -20.0, "seen_high": 1.35, "used": 0.93, "saturated": 0.0001, "largest_score": 0.8}],
        "speed": {"cycles": 27060000, "milliseconds": [2800, 11300], "estimate": True, "sram_kib": 292, "flash_kib": 2244,
                  "notes": ["rough"]},
        "versions": {"numpy": "1.24.3"},
    }  # fmt: skip


@functools.cache
def python() -> Path:
    """Return a Python with the stage's packages."""
    environment = engine_or_skip("venv").prepare(load_project(ROOT).stages["verify"])
    return python_of(Path(environment.name))


def render(folder: Path, report: Json, pictures: int = 2, seed: str = "1") -> str:
    """Run the stage's own code on a report."""
    docker = ROOT / "docker"
    environment = {
        "PYTHONPATH": f"{docker / 'verify'}:{docker}",
        "MPLCONFIGDIR": str(folder),
        "PYTHONHASHSEED": seed,
        "HOME": str(folder),
    }
    given = json.dumps({"report": report, "pictures": [f"frame <{i}>\u202e.jpg" for i in range(pictures)]})
    done = subprocess.run(
        [python(), "-c", SCRIPT], input=given, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where matplotlib keeps what it knows of fonts."""
    return tmp_path_factory.mktemp("matplotlib")


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    """The whole report's page."""
    return render(folder, whole())


HOSTILE = "\x1b[2J\u202e<i>gnp\u200b\n\u2066\x9b\ud800`x`$y$"
SEEN = r"\x1b[2J\u202e<i>gnp\u200b\n\u2066\x9b\ud800"


def with_text_of_others(value: Any) -> Any:
    """The same report with hostile words in every text that a stage takes from outside."""
    report: Json = json.loads(json.dumps(value))
    report["title"] += HOSTILE
    report["versions"][HOSTILE] = HOSTILE
    for lines in ("partial", "notes"):
        report["verdict"][lines] = [HOSTILE]
    report["verdict"] |= {"summary": HOSTILE, "violations": [{"text": HOSTILE, "hint": HOSTILE}]}
    report["verdict"]["warnings"] = [{"text": HOSTILE, "hint": HOSTILE}]
    report["model"] |= {"name": HOSTILE, "names": [HOSTILE] * 3}
    report["model"]["operators"].append({"name": HOSTILE, "count": 1, "runs": HOSTILE})
    report["firmware"] |= {"title": HOSTILE, "versions": HOSTILE, "name": HOSTILE}
    report["device"] |= {"title": HOSTILE, "name": HOSTILE}
    for key in ("rule", "found", "allowed", "text", "hint"):
        report["contract"][0][key] = HOSTILE
    report["arena"] |= {"source": HOSTILE, "problem": HOSTILE}
    for row in (
        *report["arena"]["buffers"],
        *report["accuracy"]["keypoints"],
        *report["accuracy"]["gates"],
        *report["outputs"],
    ):
        row["name"] = HOSTILE
    report["accuracy"]["source"] = HOSTILE
    report["accuracy"]["rungs"][0] |= {"name": HOSTILE[:7], "title": HOSTILE}
    report["speed"]["notes"] = [HOSTILE]
    return report
