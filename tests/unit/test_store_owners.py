"""Whose a store is: users of one group share it; one that is of no use costs a line and the cache, never the run."""

from __future__ import annotations

import os
import stat
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from stored import FACTS, STAGE, kept, write_step

from edgewright.cache import Store


def as_user(user: int, group: int, work: Callable[[], object]) -> str:
    """Run a function as another user, in a process of its own; return how it failed, or nothing."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        said = ""
        try:
            os.setgroups([])
            os.setresgid(group, group, group)
            os.setresuid(user, user, user)
            os.umask(0o022)
            work()
        except BaseException:
            said = traceback.format_exc()
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        said = file.read()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """Return a folder that other users reach."""
    if os.getuid():
        pytest.skip("only root can act for other users")
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == 0 and path != Path("/") and not path.stat().st_mode & stat.S_IXOTH:
            path.chmod(path.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    return tmp_path


def test_two_users_share_a_store_that_is_their_groups(open_path: Path) -> None:
    shared = open_path / "shared"
    shared.mkdir()
    os.chown(shared, 0, 4000)
    shared.chmod(0o2775)
    for user in (4001, 4002):
        (open_path / str(user)).mkdir()
        os.chown(open_path / str(user), user, 4000)

    def work(user: int, first: bool) -> None:
        store, mine = Store(shared), open_path / str(user)
        with store.waiting("made-1", "waiting"):
            own = write_step(mine / "build", {**FACTS, "environment": str(user)})
            common = write_step(mine / "build")
            assert bool(store.find(common.key, STAGE)) is not first
            store.save(own, mine / "build" / own.folder, STAGE)
            store.save(common, mine / "build" / common.folder, STAGE)
            for record in (own, common):
                entry = store.find(record.key, STAGE)
                assert entry
                back = mine / f"back-{record.key[:4]}-{first}"
                back.mkdir()
                assert store.restore(entry, back)
        assert not store.said

    assert as_user(4001, 4000, lambda: work(4001, True)) == ""
    assert as_user(4002, 4000, lambda: work(4002, False)) == ""
    assert as_user(4001, 4000, lambda: work(4001, False)) == ""


@pytest.mark.parametrize(
    ("mode", "owner", "told"),
    [
        (0o555, 4001, "Permission denied"),  # read-only
        (0o755, 4002, "belongs to the user 4002, and is not shared by a group"),
        (0o777, 4001, "everybody may write to it"),
    ],
)
def test_a_store_of_no_use_costs_a_line_and_not_the_run(
    open_path: Path, capfd: pytest.CaptureFixture[str], mode: int, owner: int, told: str
) -> None:
    folder = open_path / "odd"
    folder.mkdir()
    folder.chmod(mode)
    os.chown(folder, owner, owner)
    (open_path / "mine").mkdir()
    os.chown(open_path / "mine", 4001, 4001)

    def work() -> None:
        store = Store(folder)
        for name in ("one", "two"):
            with store.waiting("made-1", "waiting"):
                record = write_step(open_path / "mine" / name)
                assert store.find(record.key, STAGE) is None
                store.save(record, open_path / "mine" / name / record.folder, STAGE)

    assert as_user(4001, 4001, work) == ""
    said = capfd.readouterr().out
    assert said.count("this run goes on without it") == 1
    assert told in said
    assert list(folder.iterdir()) == []


def test_a_store_that_is_not_believed_is_not_swept_either(tmp_path: Path) -> None:
    store, record = kept(tmp_path)
    store.folder.chmod(0o777)
    assert Store(store.folder).sweep(days=0).steps == 0
    store.folder.chmod(0o755)
    assert Store(store.folder).find(record.key, STAGE)
    assert Store(store.folder).sweep(days=-1).steps == 1
