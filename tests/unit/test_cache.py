"""The cache of steps: shared by workspaces, believed only on proof, and whole wherever a run is killed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toy_project import Here, build, plan_of

from edgewright import build as building
from edgewright import cache, execute, files, outputs, records
from edgewright.build import Build, status
from edgewright.cache import Store
from edgewright.config import load_project
from edgewright.errors import HashDiffers, StageFailed, full_disk_as_error
from edgewright.plan import Plan


def one_of(store: Path, kind: str) -> Path:
    """Return a file of the store, the same each time."""
    return next(path for path in sorted((store / kind).rglob("*")) if path.is_file())


def test_another_workspace_takes_what_is_finished(
    plan: Plan, here: Here, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(plan, here, tmp_path / "one")
    capsys.readouterr()
    assert [bool(state.cached) for state in status(Build(plan, here, tmp_path / "two"))] == [True, True]
    walk = build(plan, here, tmp_path / "two")
    assert walk.path(walk.plan.model).read_text() == "ab"
    assert here.runs == ["first", "second"]
    assert capsys.readouterr().out.count("from the cache") == 2
    build(plan, here, tmp_path / "two")
    assert "from the cache" not in capsys.readouterr().out, "what was copied is a finished step like any other"


def test_force_asks_no_cache(plan: Plan, here: Here, tmp_path: Path) -> None:
    build(plan, here, tmp_path / "one")
    build(plan, here, tmp_path / "two", force=True)
    assert here.runs == ["first", "second"] * 2


@pytest.mark.parametrize("kind", ["content", "actions"])
def test_a_flipped_bit_is_found_put_aside_and_made_good(
    plan: Plan, here: Here, tmp_path: Path, store: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    build(plan, here, tmp_path / "one")
    for path in [path for path in (store / kind).rglob("*") if path.is_file() and path.stat().st_size]:
        path.chmod(0o644)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0x80
        path.write_bytes(content)
    capsys.readouterr()
    walk = build(plan, here, tmp_path / "two")
    assert walk.path(walk.plan.model).read_text() == "ab"
    assert here.runs == ["first", "second"] * 2
    assert "is damaged, and put aside" in capsys.readouterr().out
    assert list((store / "quarantine").iterdir())
    build(plan, here, tmp_path / "three")
    assert here.runs == ["first", "second"] * 2, "it is whole again"


def test_a_missing_file_makes_the_step_run_again(
    plan: Plan, here: Here, tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(plan, here, tmp_path / "one")
    for path in (store / "content").glob("*/*"):
        path.unlink()
    build(plan, here, tmp_path / "two")
    assert here.runs == ["first", "second"] * 2
    assert "its copy in the cache is damaged" in capsys.readouterr().out


def test_an_output_that_was_touched_comes_back_from_the_cache(plan: Plan, here: Here, tmp_path: Path) -> None:
    walk = build(plan, here, tmp_path / "one")
    walk.path(walk.plan.model).write_text("touched")
    walk = build(plan, here, tmp_path / "one")
    assert walk.path(walk.plan.model).read_text() == "ab"
    assert here.runs == ["first", "second"]


def test_what_no_longer_is_what_was_recorded_is_not_kept(plan: Plan, here: Here, tmp_path: Path, store: Path) -> None:
    walk = build(plan, here, tmp_path / "one")
    record = walk.done["second"]
    (store / "actions" / f"{record.key}.json").unlink()
    walk.path(walk.plan.model).write_text("touched")
    Store(store).save(record, tmp_path / "one" / record.folder, plan.steps[-1].stage)
    assert Store(store).find(record.key) is None


def test_a_full_disk_does_not_fail_what_has_just_been_finished(
    plan: Plan, here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Store, "_put", full)
    walk = build(plan, here, tmp_path / "one")
    assert walk.path(walk.plan.model).read_text() == "ab"
    assert "store/venv: the disk is full; this run goes on without it" in capsys.readouterr().out
    monkeypatch.undo()
    assert not [path for path in tmp_path.glob("store/venv/*/*/.*") if path.is_file()]


def test_a_repeated_run_that_gives_the_same_says_so(
    plan: Plan, here: Here, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(plan, here, tmp_path / "one")
    build(plan, here, tmp_path / "one", repeat=True)
    assert here.runs == ["first", "second"] * 2
    assert capsys.readouterr().out.count("run again: the same 1 outputs") == 2


def test_a_repeated_run_that_gives_something_else_keeps_both(toy: Path, tmp_path: Path) -> None:
    main = toy / "docker/second/main.py"
    main.write_text(main.read_text() + "import os\n(out / 'result.txt').write_text(os.urandom(8).hex())\n")
    here, plan = Here(toy), plan_of(load_project(toy))
    walk = build(plan, here, tmp_path / "one")
    before = walk.path(walk.plan.model).read_text()
    with pytest.raises(HashDiffers, match=r"second: run again, result\.txt differs") as refusal:
        build(plan, here, tmp_path / "one", repeat=True)
    command, one, other = refusal.value.hint.split()
    assert command == "cmp"
    assert Path(one).read_text() == before != Path(other).read_text()


def test_the_use_of_each_stage_is_known(plan: Plan, here: Here, tmp_path: Path, store: Path) -> None:
    before = time.time() - 5
    build(plan, here, tmp_path / "one")
    old = time.time() - 40 * 86400
    for path in (store / "actions").iterdir():
        os.utime(path, (old, old))
    assert {round(use.last) for use in Store(store).use()} == {round(old)}
    build(plan, here, tmp_path / "two")  # takes both steps from there
    found = Store(store).use()
    assert sorted((use.stage, use.steps) for use in found) == [("first", 1), ("second", 1)]
    assert all(use.last >= before and use.bytes for use in found)


def test_a_sweep_leaves_what_is_of_use(
    plan: Plan, here: Here, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(plan, here, tmp_path / "one")
    kept, size = Store(store), Store(store).size()
    assert size.steps == 2
    (store / "content" / "ab").mkdir(exist_ok=True)
    (store / "content" / "ab" / "ab00").write_text("nobody's")
    (store / "content" / "ab" / ".half").write_text("half")
    assert kept.sweep(days=30).files == 0, "another run may be about to name it"
    monkeypatch.setattr(cache, "WRITING_S", -1)
    assert kept.sweep(days=30).files == 1
    assert not list(store.rglob(".?*"))
    assert kept.size() == size
    old = time.time() - 40 * 86400
    for path in (store / "actions").iterdir():
        os.utime(path, (old, old))
    assert kept.sweep(days=30).steps == 2
    assert kept.size().bytes == 0


# --- killed -------------------------------------------------------------------------------------------------------------------

# Each phase ends in a call that is replaced by the process's own death, the second time where the first call is another step's.
KILLED = """
import os, signal, sys
from pathlib import Path
from edgewright import build, cache, execute, files, outputs, records
from edgewright.config import load_project
from edgewright.plan import Options, make_plan
from toy_project import Here
root, volume, where = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
module, name = where.split(".")
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
owners = {"execute": execute, "cache": cache, "records": records, "build": build, "outputs": outputs, "Store": cache.Store}
setattr(owners[module], name, die)
project = load_project(root)
plan = make_plan(project, project.devices["board"], project.recipes["figures"], Options())
build.complete(build.Build(plan, Here(root), volume))
"""


def killed(toy: Path, volume: Path, where: str) -> None:
    here = Path(__file__).resolve()
    env = {**os.environ, "PYTHONPATH": f"{here.parents[2]}:{here.parent}"}
    done = subprocess.run([sys.executable, "-c", KILLED, toy, volume, where], env=env, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


PHASES = [
    "execute._lay_out",  # before the stage
    "execute._call",  # as it starts
    "execute._outputs",  # after it
    "outputs.take",
    "outputs.look",  # its outputs taken over
    "records.write",  # between outputs and record
    "build.publish",  # … and folder
    "execute.publish",
    "Store._put",  # while it is kept
    "Store._writing",  # …
    "cache.asdict",  # all content there, no entry yet
]


@pytest.mark.parametrize("where", PHASES)
def test_wherever_a_run_is_killed_the_next_one_is_right(
    toy: Path, tmp_path: Path, store: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume, here, plan = tmp_path / "one", Here(toy), plan_of(load_project(toy))
    if where == "build.publish":  # while it is copied back
        build(plan, here, tmp_path / "other")
    killed(toy, volume, where)
    walk = build(plan, here, volume)
    assert walk.path(walk.plan.model).read_text() == "ab"
    assert not [path for path in (volume / "run").iterdir() if path.is_dir()]
    runs = len(here.runs)
    walk = build(plan, here, tmp_path / "another")
    assert walk.path(walk.plan.model).read_text() == "ab"
    assert len(here.runs) == runs, "all that was finished is in the cache"
    monkeypatch.setattr(cache, "WRITING_S", -1)
    Store(store).sweep(days=30)
    assert not list(store.rglob(".?*")), "nothing half-written is left"


@pytest.mark.parametrize("where", [*PHASES, "restoring"])
def test_wherever_the_disk_is_full_it_is_said_and_the_next_run_is_right(
    plan: Plan, here: Here, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = tmp_path / "one"
    if where in ("build.publish", "restoring"):
        build(plan, here, tmp_path / "other")
    module, _, name = where.replace("restoring", "files.create").partition(".")
    owners = {"execute": execute, "cache": cache, "records": records, "build": building, "outputs": outputs}
    owners |= {"files": files, "Store": Store}

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/somewhere")

    with monkeypatch.context() as patch:
        patch.setattr(owners[module], name, full)
        if module in ("cache", "Store") and where != "restoring":  # what is finished is finished
            build(plan, here, volume)
        else:
            with pytest.raises(StageFailed, match="the disk is full at /somewhere"), full_disk_as_error():
                build(plan, here, volume)
    assert not [path for path in (volume / "run").iterdir() if path.is_dir()]
    walk = build(plan, here, volume)
    assert walk.path(walk.plan.model).read_text() == "ab"
