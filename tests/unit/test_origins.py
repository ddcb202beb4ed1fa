"""A bundle's manifest leads back to what the bundle was made from, as far as that is still here; no option is typed again."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from released import Walled
from toy_project import JUDGE, Here, write_stage

from edgewright import bundle, engines, whereabouts
from edgewright.boards import rehearsal
from edgewright.build import complete
from edgewright.config import Asset, Project, load_project
from edgewright.errors import EdgewrightError, WrongInput
from edgewright.options import HELP
from edgewright.request import walk_of, walk_that_made

SEEN = """
import json, sys
from pathlib import Path
request = json.loads(Path(sys.argv[1]).read_text())
out, inputs = Path(request["output"]), request["inputs"]
names = sorted(p.name for p in Path(inputs["dataset"]).iterdir()) if "dataset" in inputs else []
frames = [{"name": name, "width": 1, "height": 1, "results": [1] * (name == "b.png")} for name in names]
(out / "detections.json").write_text(json.dumps({"frames": frames}))
(out / "report.html").write_text("")
verdict = {"state": "passes", "summary": "fits", "violations": [], "warnings": [], "lines": [], "partial": [], "notes": []}
(out / "report.json").write_text(json.dumps({"verdict": verdict, "model": {"name": "m"}}))
"""
DRAW = """
import json, sys
from pathlib import Path
request = json.loads(Path(sys.argv[1]).read_text())
out = Path(request["output"])
(out / "manifest.json").write_text("{}")
if "dataset" not in request["inputs"]:
    (out / "dataset").mkdir()
    for name in ("a.png", "b.png"):
        (out / "dataset" / name).write_text("drawn " + name)
"""
DRAWS = """
title = "draws pictures"
[inputs]
dataset = "optional"
[outputs]
manifest = "manifest.json"
dataset = "dataset"
[run]
optional_outputs = ["dataset"]
"""


@pytest.fixture
def project(toy: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a toy project that judges its model on pictures, the user's or drawn ones."""
    judge = JUDGE.replace('model = "required"', 'model = "required"\ndataset = "optional"\nmanifest = "optional"')
    judge = judge.replace('page = "report.html"', 'page = "report.html"\ndetections = "detections.json"')
    write_stage(toy, "judge", judge, SEEN)
    write_stage(toy, "draw", DRAWS, DRAW)
    first = toy / "docker" / "first" / "stage.toml"
    first.write_text(first.read_text().replace("[inputs]", '[inputs]\nmanifest = "required"'))
    device = toy / "configs" / "devices" / "judged.toml"
    device.write_text(device.read_text().replace('["first"', '["draw", "first"'))
    (toy / "configs" / "recipes" / "tflite.toml").write_text(
        'title = "t"\ntask = ""\nimgsz = 64\ndefault_for = "model"\n'
    )
    for name in ("here", "other"):
        engine = Here(toy)
        engine.name = name
        monkeypatch.setitem(engines.ENGINES, name, lambda root, supply, engine=engine: engine)
    monkeypatch.setattr(engines, "ENGINES", {name: engines.ENGINES[name] for name in ("other", "here")})
    return load_project(toy)


def typed(**options: object) -> dict[str, str]:
    return {**dict.fromkeys(HELP, ""), "device": "judged", **{name: str(value) for name, value in options.items()}}


def deploy(project: Project, **options: object) -> dict[str, Any]:
    """Deploy in the engine `here`, or another, and return the manifest as it stands in the bundle."""
    walk = complete(walk_of(project.root, typed(**{"engine": "here", **options})))
    folder, _ = bundle.write(walk, project.root / "dist")
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return manifest


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        (folder / name).write_text(f"mine {name}")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "any.tflite"
    path.write_bytes(b"\0\0\0\0TFL3")
    return path


def test_the_frames_of_the_proof_are_found_without_any_option(
    project: Project, pictures: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = deploy(project, model=model, data=pictures)
    capsys.readouterr()
    walk = walk_that_made(project, manifest, typed())
    assert rehearsal.pictures_of(walk) == [("b.png", pictures / "b.png"), ("a.png", pictures / "a.png")]
    assert [path.read_text() for _, path in rehearsal.pictures_of(walk, most=1)] == ["mine b.png"]
    # In the engine that the bundle was made in, whichever would be taken otherwise.
    assert walk.engine.name == "here"
    assert "test card" not in capsys.readouterr().out
    assert str(pictures.parent) not in (project.root / "dist" / "any-judged-0.1.0" / "manifest.json").read_text()


def test_somebody_elses_manifest_does_not_choose_the_engine(project: Project, model: Path) -> None:
    manifest = deploy(project, model=model)
    assert walk_that_made(project, manifest, typed()).engine.name == "here"
    shutil.rmtree(project.root / "build")
    assert walk_that_made(project, manifest, typed()).engine.name == "other"


def test_what_ran_isolated_does_not_run_without_that_because_a_manifest_says_so(
    project: Project, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walled = Walled(project.root)
    monkeypatch.setattr(engines, "ENGINES", {"walled": lambda root, supply: walled, **engines.ENGINES})
    manifest = deploy(project, engine="walled", model=model)
    assert walk_that_made(project, manifest, typed()).engine is walled
    manifest["engine"]["name"] = "here"
    assert walk_that_made(project, manifest, typed()).engine is walled
    assert walk_that_made(project, manifest, typed(engine="here")).engine.name == "here"


def test_another_recipe_than_the_bundles_is_refused(project: Project, model: Path) -> None:
    manifest = deploy(project, model=model)
    assert walk_that_made(project, manifest, typed(recipe="tflite")).plan.recipe.name == "tflite"
    with pytest.raises(WrongInput, match="RECIPE=figures: the bundle was made by tflite"):
        walk_that_made(project, manifest, typed(recipe="figures"))


def test_what_was_drawn_is_found_in_its_step(project: Project) -> None:
    manifest = deploy(project, recipe="figures")
    found = rehearsal.pictures_of(walk_that_made(project, manifest, typed()))
    assert [path.read_text() for _, path in found] == ["drawn b.png", "drawn a.png"]


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ("changed", "pictures is not what the proof was made on"),
        ("gone", "pictures is not there any more"),
        ("forgotten", "pictures is not there any more"),
        ("led elsewhere", "secret is not what the proof was made on"),
        ("no build", "pictures is not there any more"),
    ],
)
def test_pictures_that_are_gone_or_changed_cost_one_line_and_a_test_card(
    project: Project, pictures: Path, model: Path, harm: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = deploy(project, model=model, data=pictures)
    document = json.loads((project.root / "dist" / "any-judged-0.1.0" / "detections.json").read_text())
    total = next(step["inputs"]["dataset"]["sha256"] for step in manifest["steps"] if "dataset" in step["inputs"])
    note = project.root / "build" / whereabouts.FOLDER / total
    assert whereabouts.find(project.root / "build", total) == pictures
    if harm == "changed":
        (pictures / "a.png").write_text("other")
    elif harm == "gone":
        shutil.rmtree(pictures)
    elif harm == "forgotten":
        note.unlink()
    elif harm == "led elsewhere":
        secret = pictures.with_name("secret")
        shutil.copytree(pictures, secret)
        (secret / "id_rsa").write_text("a key")
        note.write_text(str(secret))
    else:
        shutil.rmtree(project.root / "build")
    capsys.readouterr()
    assert rehearsal.pictures_of(walk_that_made(project, manifest, typed()), document) == []
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("board")]
    assert len(lines) == 1
    assert told in lines[0]
    assert lines[0].endswith("the virtual board's camera sees a test card")


def test_pictures_that_were_moved_are_found_where_the_user_says(project: Project, pictures: Path, model: Path) -> None:
    manifest = deploy(project, model=model, data=pictures)
    moved = pictures.rename(pictures.with_name("moved"))
    found = rehearsal.pictures_of(walk_that_made(project, manifest, typed(data=moved)))
    assert [path.parent for _, path in found] == [moved, moved]


def test_a_model_that_was_proved_without_pictures_says_so(
    project: Project, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = deploy(project, model=model)
    assert rehearsal.pictures_of(walk_that_made(project, manifest, typed())) == []
    assert "the proof was made without pictures: the virtual board's camera sees a test card" in capsys.readouterr().out


def test_names_that_lead_out_of_the_data_set_are_no_frames(project: Project, pictures: Path, model: Path) -> None:
    manifest = deploy(project, model=model, data=pictures)
    walk = walk_that_made(project, manifest, typed())
    names = ["a.png", "../any.tflite", str(model), "absent.png"]
    proof = {"frames": [{"name": name, "results": []} for name in names]}
    assert [name for name, _ in rehearsal.pictures_of(walk, proof)] == ["a.png"]


@pytest.mark.parametrize(
    "change",
    [{"sha256": ""}, {"sha256": "../secret"}, {"file": ".."}, {"file": "/etc"}, {"file": "../secret"}, {"file": ""}],
)
def test_an_origin_without_a_digest_or_with_a_name_that_leads_elsewhere_is_refused(
    project: Project, pictures: Path, model: Path, change: dict[str, str]
) -> None:
    manifest = deploy(project, model=model, data=pictures)
    for step in manifest["steps"]:
        step["inputs"].get("dataset", {}).update(change)
    with pytest.raises(WrongInput, match=r"manifest\.json: not as Edgewright writes it"):
        walk_that_made(project, manifest, typed())


def test_an_asset_of_which_the_project_has_another_by_now_is_not_taken_for_it(
    project: Project, pictures: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = deploy(project, model=model, data=pictures)
    pinned = Asset(name="drawn", url="x", sha256="1" * 64, licence="CC0-1.0")
    project = replace(project, assets={"drawn": pinned})
    (judge,) = [step for step in manifest["steps"] if step["stage"] == "judge"]
    for total, told in ((pinned.sha256, ""), ("0" * 64, "drawn is not there any more")):
        judge["inputs"]["dataset"] = {"asset": "drawn", "sha256": total}
        walk = walk_that_made(project, manifest, typed())
        source = walk.plan.steps[-1].inputs["dataset"]
        assert (source == pinned) is not bool(told)
    assert rehearsal.pictures_of(walk) == []
    assert told in capsys.readouterr().out


_odd = st.none() | st.integers() | st.text(max_size=8) | st.lists(st.text(max_size=3), max_size=2) | st.just({})


@given(st.data())
def test_a_manifest_that_somebody_else_wrote_is_a_walk_or_refused(data: st.DataObject) -> None:
    """Any value of it may be any other; what is named may lead nowhere."""
    project = load_project(Path(__file__).resolve().parents[2])
    total = data.draw(st.just("ab" * 32) | _odd | st.just("../" * 21 + "a"))
    origin = data.draw(st.sampled_from([{"step": "read", "role": "network"}, {"file": "x"}, {"asset": "yolov8n"}, {}]))
    step = {"stage": "read", "key": total, "parameters": {}, "inputs": {"weights": {"sha256": total, **origin}}}
    manifest: dict[str, Any] = {
        "name": "n",
        "device": "esp32s3",
        "firmware": {"name": "esp32s3-sscma-1.x"},
        "recipe": "figures-pose",
        "engine": {"name": "none"},
        "model": {"from": {"sha256": total, "file": "x"}},
        "steps": [step],
    }
    at: Any = data.draw(st.sampled_from([manifest, step, step["inputs"], manifest["model"], manifest["engine"]]))
    at[data.draw(st.sampled_from(sorted(at)))] = data.draw(_odd)
    engine = Here(project.root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "ENGINES", {"here": lambda root, supply: engine})
        try:
            walk = walk_that_made(project, manifest, typed(device="esp32s3"))
        except EdgewrightError:
            return
    assert not walk.done
