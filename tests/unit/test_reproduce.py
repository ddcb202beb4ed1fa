"""Two builds from nothing: equal ones leave their digests, different ones say where it began and stay to be looked at."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from toy_project import Here, make_toy, plan_of

from edgewright.build import Build
from edgewright.config import Project, load_project
from edgewright.engine import Environment, Job
from edgewright.errors import HashDiffers
from edgewright.reproduce import reproduce

COMPARE = """
title = "says what differs"
[inputs]
first = "required"
second = "required"
[outputs]
difference = "difference.json"
"""

COMPARE_MAIN = """
import json, sys
from pathlib import Path
request = json.loads(Path(sys.argv[1]).read_text())
texts = [Path(request["inputs"][role]).read_text() for role in ("first", "second")]
(Path(request["output"]) / "difference.json").write_text(json.dumps({"summary": [f"{texts[0]} is not {texts[1]}"]}))
"""


class Odd(Here):
    """An engine under which one stage writes something of its own."""

    name = "odd"

    def __init__(self, root: Path, stage: str) -> None:
        super().__init__(root)
        self.stage = stage
        self.jobs: list[Job] = []

    def argv(self, environment: Environment, job: Job) -> list[str]:
        self.jobs.append(job)
        argv = super().argv(environment, job)
        if environment.stage.name != self.stage:
            return argv
        # What the stage writes, and a letter more.
        return ["sh", "-c", f'"$@" && printf x >> {job.folder}/result.txt', "sh", *argv]


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    root = make_toy(tmp_path / "toy")
    folder = root / "docker" / "compare"
    folder.mkdir()
    (folder / "stage.toml").write_text(COMPARE)
    (folder / "main.py").write_text(COMPARE_MAIN)
    return root


def test_equal_builds_leave_their_digests_and_nothing_else(project: Project, here: Here, tmp_path: Path) -> None:
    volume = tmp_path / "build"
    other = Odd(project.root, "")
    rows = reproduce(project, Build(plan_of(project), here, volume), other)
    assert [(row.stage, row.path, row.first == row.second) for row in rows] == [
        ("first", "result.txt", True),
        ("second", "result.txt", True),
    ]
    assert (here.runs, other.runs) == (["first", "second"], ["first", "second"]), "both from nothing"
    assert [path.name for path in (volume / "reproduce").iterdir()] == ["digests.json"]
    found = json.loads((volume / "reproduce" / "digests.json").read_text())
    assert found["outputs"]["second/result.txt"] == [rows[1].first] * 2
    assert found["engines"] == ["here", "odd"]


def test_the_second_build_has_other_conditions(project: Project, here: Here, tmp_path: Path) -> None:
    other = Odd(project.root, "")
    reproduce(project, Build(plan_of(project), here, tmp_path / "build"), other)
    assert {job.conditions.variables["PYTHONHASHSEED"] for job in other.jobs} == {"1"}
    assert {job.conditions.core for job in other.jobs} != {None}
    assert {" " in job.volume.name for job in other.jobs} == {True}


def test_neither_build_takes_anything_from_the_cache(project: Project, here: Here, tmp_path: Path) -> None:
    for _ in range(2):
        reproduce(project, Build(plan_of(project), here, tmp_path / "build"), Odd(project.root, ""))
    assert here.runs == ["first", "second"] * 2


def test_a_difference_is_found_where_it_arises_explained_and_kept(
    project: Project, here: Here, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = tmp_path / "build"
    with pytest.raises(HashDiffers, match=r"first: result\.txt is not the same twice$") as caught:
        reproduce(project, Build(plan_of(project), here, volume), Odd(project.root, "first"))
    said = capsys.readouterr().out
    assert "a is not ax" in said
    assert "second   ✗" not in said, "what follows from it is no difference of its own"
    kept = [Path(word) for word in caught.value.hint.split("'")[1::2]]
    assert [path.read_text() for path in kept] == ["a", "ax"]


def test_all_stages_that_differ_are_named(
    project: Project, here: Here, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_of(project)
    one, two = plan.steps
    # The same letter more in both, so that each stage differs by itself.
    engine = Odd(project.root, "first")
    engine.argv = lambda environment, job: [  # type: ignore[method-assign]
        "sh", "-c", f'"$@" && printf x >> {job.folder}/result.txt', "sh", *Here.argv(engine, environment, job)
    ]  # fmt: skip
    with pytest.raises(HashDiffers, match=r"first: result\.txt is not the same twice, and 1 more"):
        reproduce(project, Build(replace(plan, steps=(one, two)), here, tmp_path / "build"), engine)
    said = capsys.readouterr().out
    assert "a is not ax" in said
    assert "ab is not abx" in said


MEASURES = """
import json, sys
from pathlib import Path
request = json.loads(Path(sys.argv[1]).read_text())
here = Path(request["output"])
second = "another" in str(here.resolve())
(here / "result.txt").write_text("b" if second else "a")
(here / "metrics.json").write_text(json.dumps({"ap50": 0.52 if second else 0.50, "note": "x"}))
"""


@pytest.mark.parametrize(
    ("tolerance", "gpu", "good"),
    [
        ("{ ap50 = 0.05 }", True, True),
        ("{ ap50 = 0.01 }", True, False),
        ("{}", True, False),
        ("{ other = 1 }", True, False),
        ("{ ap50 = 0.05 }", False, False),
    ],
)
def test_what_promises_no_bytes_is_held_to_its_measure(
    toy: Path, tmp_path: Path, tolerance: str, gpu: bool, good: bool
) -> None:
    path = toy / "docker" / "first" / "stage.toml"
    text = path.read_text().replace('weights = "result.txt"', 'weights = "result.txt"\nmetrics = "metrics.json"')
    text = text.replace("[parameters]", '[parameters]\ngpu = { type = "boolean", default = false }')
    path.write_text(text + '\n[varies]\nparameter = "gpu"\nmeasure = "metrics"\n')
    (toy / "docker" / "first" / "main.py").write_text(MEASURES)
    recipe = toy / "configs" / "recipes" / "figures.toml"
    recipe.write_text(recipe.read_text() + f"tolerance = {tolerance}\n[first]\ngpu = {str(gpu).lower()}\n")
    project = load_project(toy)
    walk = Build(plan_of(project), Here(toy), tmp_path / "build")
    if good:
        rows = reproduce(project, walk, Here(toy))
        assert [row.excuse for row in rows if row.first != row.second] == ["within tolerance: ap50 0.5000, 0.5200"] * 2
    else:
        with pytest.raises(HashDiffers, match="first: "):
            reproduce(project, walk, Here(toy))
