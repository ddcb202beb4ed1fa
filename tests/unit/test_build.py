"""Running a plan: a step is skipped only on proof, and nothing half-written is ever left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toy_project import Here, build

from edgewright import bundle, execute
from edgewright.build import Build, status
from edgewright.config import Project, load_project
from edgewright.errors import OutputMissing, StageFailed, WrongInput
from edgewright.plan import Options, Plan, make_plan


def plan_of(project: Project, **options: object) -> Plan:
    return make_plan(project, project.devices["board"], project.recipes["figures"], Options(**options))  # type: ignore[arg-type]


def set_text(toy: Path, stage: str, text: str) -> Project:
    recipe = toy / "configs/recipes/figures.toml"
    recipe.write_text(f'title = "t"\ntask = "pose"\nimgsz = 64\n[{stage}]\ntext = "{text}"\n')
    return load_project(toy)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    return tmp_path / "build"


def test_a_second_run_runs_nothing(project: Project, here: Here, volume: Path) -> None:
    walk = build(plan_of(project), here, volume)
    assert walk.path(walk.plan.model).read_text() == "ab"
    build(plan_of(project), here, volume)
    assert here.runs == ["first", "second"]


def test_a_changed_parameter_runs_the_step_again_and_says_which(toy: Path, here: Here, volume: Path) -> None:
    build(plan_of(load_project(toy)), here, volume)
    project = set_text(toy, "second", "c")
    states = status(Build(plan_of(project), here, volume))
    assert [state.reason for state in states] == ["", "text b → c"]
    walk = build(plan_of(project), here, volume)
    assert walk.path(walk.plan.model).read_text() == "ac"
    assert here.runs == ["first", "second", "second"]


def test_a_step_whose_inputs_come_out_the_same_is_not_run_again(toy: Path, here: Here, volume: Path) -> None:
    build(plan_of(load_project(toy)), here, volume)
    (toy / "docker/first/notes.txt").write_text("another environment, the same result\n")
    project = load_project(toy)
    assert [s.reason for s in status(Build(plan_of(project), here, volume))] == [
        "its code or environment changed",
        "after first",
    ]
    build(plan_of(project), here, volume)
    assert here.runs == ["first", "second", "first"]


def test_going_back_to_earlier_parameters_finds_the_earlier_result(toy: Path, here: Here, volume: Path) -> None:
    build(plan_of(load_project(toy)), here, volume)
    build(plan_of(set_text(toy, "first", "z")), here, volume)
    walk = build(plan_of(set_text(toy, "first", "a")), here, volume)
    assert walk.path(walk.plan.model).read_text() == "ab"
    assert len(here.runs) == 4


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("harm", ["changed", "removed", "record"])
def test_an_output_that_is_not_as_recorded_is_made_good(
    project: Project, here: Here, volume: Path, store: Path, harm: str, cached: bool
) -> None:
    walk = build(plan_of(project), here, volume)
    path = walk.path(walk.plan.model)
    if harm == "changed":
        path.write_text("ax")
    elif harm == "removed":
        path.unlink()
    else:
        path.with_name("record.json").write_text("{")
    if not cached:
        shutil.rmtree(store)
    again = build(plan_of(project), here, volume)
    assert again.path(again.plan.model).read_text() == "ab"
    assert here.runs == ["first", "second"] + ["second"] * (not cached)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("refuse", WrongInput, "text = 'refuse': not allowed"),
        ("crash", StageFailed, "second ended with exit code 1: boom"),
        ("full", StageFailed, "second: the disk is full"),
        ("nothing", OutputMissing, "second ended without its model, result.txt"),
    ],
)
def test_a_step_that_fails_leaves_its_log_and_nothing_else(
    toy: Path, here: Here, volume: Path, text: str, kind: type[Exception], message: str
) -> None:
    project = set_text(toy, "second", text)
    with pytest.raises(kind, match=message):
        build(plan_of(project), here, volume)
    assert [path.suffix for path in (volume / "run").iterdir()] == [".log"]
    assert len(list(volume.glob("first-*"))) == 1
    assert not list(volume.glob("second-*"))


def test_a_users_file_is_seen_and_neither_copied_nor_kept(
    project: Project, here: Here, volume: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "my weights.pt"
    mine.write_text("mine")
    walk = build(plan_of(project, files={"weights": mine}), here, volume)
    assert walk.path(walk.plan.model).read_text() == "mineb"
    assert here.runs == ["second"]
    assert not list(volume.rglob("my weights.pt"))
    mine.write_text("other")
    assert build(plan_of(project, files={"weights": mine}), here, volume).path(walk.plan.model).read_text() == "otherb"


def test_force_runs_everything_again(project: Project, here: Here, volume: Path) -> None:
    build(plan_of(project), here, volume)
    build(plan_of(project), here, volume, force=True)
    assert here.runs == ["first", "second"] * 2


def test_the_bundle_is_written_once_and_mended_if_touched(
    project: Project, here: Here, volume: Path, tmp_path: Path
) -> None:
    walk = build(plan_of(project), here, volume)
    folder, written = bundle.write(walk, tmp_path / "dist")
    assert written
    assert folder.name == "figures-board-0.1.0"
    assert sorted(path.name for path in folder.iterdir()) == ["SHA256SUMS", "manifest.json", "model.tflite"]
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    assert bundle.write(walk, tmp_path / "dist") == (folder, False)
    (folder / "model.tflite").write_text("touched")
    assert bundle.write(walk, tmp_path / "dist") == (folder, True)
    assert (folder / "model.tflite").read_text() == "ab"
    assert [path.name for path in (tmp_path / "dist").iterdir()] == [folder.name]


RUN = """
import sys
from pathlib import Path
from edgewright.config import load_project
from edgewright.plan import Options, make_plan
from toy_project import Here, build
root = Path(sys.argv[1])
project = load_project(root)
plan = make_plan(project, project.devices["board"], project.recipes["figures"], Options())
engine = Here(root)
build(plan, engine, root / sys.argv[2])
print("runs", *engine.runs)
"""


def start(toy: Path, volume: str = "build", **variables: Path) -> subprocess.Popen[str]:
    here = Path(__file__).resolve()
    env = {**os.environ, "PYTHONPATH": f"{here.parents[2]}:{here.parent}", **variables}
    argv = [sys.executable, "-c", RUN, os.fspath(toy), volume]
    # A shell has what it runs in the background ignore Ctrl-C, and children inherit that.
    return subprocess.Popen(
        argv,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def slow(toy: Path) -> None:
    main = toy / "docker/first/main.py"
    main.write_text("import time, pathlib\npathlib.Path('started').touch()\ntime.sleep(2)\n" + main.read_text())


def test_two_builds_at_once_do_each_step_once(toy: Path) -> None:
    slow(toy)
    both = [start(toy), start(toy)]
    said = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    runs = " ".join(line for text in said for line in text.splitlines() if line.startswith("runs"))
    assert runs.split().count("first") == 1
    assert runs.split().count("second") == 1
    assert "another run is at this step" in "".join(said)


def finish(both: list[subprocess.Popen[str]]) -> list[str]:
    """Wait for runs to end well, and return all the steps that they ran."""
    said = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    return [name for text in said for line in text.splitlines() if line.startswith("runs") for name in line.split()[1:]]


def test_two_workspaces_with_one_store_do_each_step_once(toy: Path) -> None:
    slow(toy)
    assert sorted(finish([start(toy, "one"), start(toy, "two")])) == ["first", "second"]
    assert {next(toy.glob(f"{name}/second-*/result.txt")).read_text() for name in ("one", "two")} == {"ab"}


def test_one_workspace_with_two_stores_does_each_step_once(toy: Path, tmp_path: Path) -> None:
    slow(toy)
    runs = finish([start(toy, EDGEWRIGHT_STORE=tmp_path / "a"), start(toy, EDGEWRIGHT_STORE=tmp_path / "b")])
    assert sorted(runs) == ["first", "second"]


def test_a_step_that_does_not_end_is_ended_and_leaves_its_log(toy: Path, here: Here, volume: Path) -> None:
    main, stage = toy / "docker/first/main.py", toy / "docker/first/stage.toml"
    main.write_text("import time\nprint('begun', flush=True)\ntime.sleep(60)\n")
    stage.write_text(stage.read_text() + "[limits]\ntime_s = 1\n")
    with pytest.raises(StageFailed, match="first: not finished after its time limit of 1 s") as ended:
        build(plan_of(load_project(toy)), here, volume)
    assert ended.value.hint == f"time_s = 2 below [limits] in {stage}"
    assert [path.read_text() for path in (volume / "run").iterdir()] == ["begun\n"]


def test_the_names_of_a_steps_containers_are_their_volumes(tmp_path: Path) -> None:
    one, two = (execute.job_prefix(tmp_path / name, "first-0123") for name in ("one", "two"))
    assert one != two
    assert one.startswith("edgewright-")
    assert one.endswith("-first-0123-")
    (tmp_path / "link").symlink_to(tmp_path / "one")
    assert execute.job_prefix(tmp_path / "link", "first-0123") == one


def test_a_step_that_leaves_just_as_much_as_it_may_is_finished(toy: Path, here: Here, volume: Path) -> None:
    stage = toy / "docker/first/stage.toml"
    # request.json and the result.
    stage.write_text(stage.read_text() + "[limits]\noutput_files = 2\n")
    for _ in range(2):
        build(plan_of(load_project(toy)), here, volume)
    assert here.runs == ["first", "second"]


def test_what_a_killed_run_of_a_finished_step_has_left_goes_with_the_next(
    project: Project, here: Here, volume: Path
) -> None:
    walk = build(plan_of(project), here, volume)
    for suffix in ("", ".taken"):
        left = volume / "run" / (walk.done["first"].folder + suffix)
        left.mkdir(parents=True)
        (left / "half").touch()
    build(plan_of(project), here, volume)
    assert not list((volume / "run").iterdir())
    assert here.runs == ["first", "second"]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_step_leaves_nothing(toy: Path, sign: signal.Signals) -> None:
    slow(toy)
    process = start(toy)
    while not (toy / "build/started").exists():
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(sign)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert [path.suffix for path in (toy / "build/run").iterdir()] == [".log"]
    assert not list((toy / "build").glob("first-*"))


def test_a_killed_run_is_cleared_away_by_the_next(toy: Path) -> None:
    slow(toy)
    process = start(toy)
    while not (toy / "build/started").exists():
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert start(toy).wait(timeout=30) == 0
    assert not list((toy / "build/run").iterdir())
