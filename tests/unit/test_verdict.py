"""What becomes of a verdict: told at the terminal, in the bundle, or the end of a deployment."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_project import Here, build

from edgewright import bundle, verdict
from edgewright.build import Build
from edgewright.config import Project, load_project
from edgewright.errors import DoesNotFit, WrongInput
from edgewright.plan import Options, Plan, make_plan


def plan_of(toy: Path, text: str = "b") -> Plan:
    recipe = toy / "configs/recipes/figures.toml"
    recipe.write_text(f'title = "t"\ntask = "pose"\nimgsz = 64\n[second]\ntext = "{text}"\n')
    project: Project = load_project(toy)
    return make_plan(project, project.devices["judged"], project.recipes["figures"], Options())


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    return tmp_path / "build"


def test_a_model_that_fits_is_bundled_with_its_report(
    toy: Path, here: Here, volume: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    walk = build(plan_of(toy), here, volume)
    verdict.require(walk)
    said = capsys.readouterr().out
    assert "judge    ✓ fits board-1" in said
    assert "! odd" in said
    assert "hint: even" in said
    assert "AP 0.5" in said
    folder, _ = bundle.write(walk, tmp_path / "dist")
    assert {"report.json", "report.html"} <= {path.name for path in folder.iterdir()}


def test_a_model_that_does_not_fit_ends_with_7_however_often_it_is_asked(
    toy: Path, here: Here, volume: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        walk = build(plan_of(toy, "0123456789"), here, volume)
        with pytest.raises(DoesNotFit) as refusal:
            verdict.require(walk)
        assert str(refusal.value) == "model.tflite does not run on judged: 11 of 10 bytes"
        assert refusal.value.hint == "less text"
        assert refusal.value.exit_code == 7
        assert "judge    ✗ does not fit" in capsys.readouterr().out
    assert here.runs == ["first", "second", "judge"], "a verdict is a result like any other"


def test_the_report_of_a_run_that_stops_halfway_is_kept_but_is_no_finished_step(
    toy: Path, here: Here, volume: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        with pytest.raises(WrongInput, match="frame 3: cannot be read"):
            build(plan_of(toy, "half"), here, volume)
        (page,) = (volume / "partial").glob("judge-*/report.html")
        assert page.read_text() == "ahalf"
        assert str(page) in capsys.readouterr().out.replace("\n", "")
    assert not list(volume.glob("judge-*"))
    assert here.runs == ["first", "second", "judge", "judge"]


def test_the_last_report_can_be_found_again(
    toy: Path, here: Here, volume: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    plan = plan_of(toy)
    with pytest.raises(WrongInput, match="no report of figures for judged yet") as refusal:
        verdict.open_page(Build(plan, here, volume))
    assert refusal.value.hint == "make verify DEVICE=judged"
    build(plan, here, volume)
    verdict.open_page(Build(plan, here, volume))
    assert "report.html: open it in a browser" in capsys.readouterr().out
