"""The store is foreign too: what was forged, damaged, or put there by others is not taken, and costs the cache, never the run."""

from __future__ import annotations

import copy
import json
import os
import shutil
import stat
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_project import Here, build

from edgewright import digest, records
from edgewright.build import Build, complete
from edgewright.cache import Store
from edgewright.config import Project, Stage
from edgewright.plan import Options, Plan, make_plan
from edgewright.records import Record

STAGE = Stage(
    name="made", folder=Path("made"), title="makes", outputs={"model": "model.bin", "plots": "plots"}, parameters={}
)
FILES = {"model.bin": b"model", "plots/a.png": b"a", "plots/deep/b.png": b"b"}
FACTS: dict[str, Any] = {
    "stage": "made",
    "environment": "e",
    "isolation": "none",
    "variables": {},
    "parameters": {"imgsz": 192, "ratio": 0.5},
    "inputs": {"weights": "0" * 64},
}


@pytest.fixture
def plan(project: Project) -> Plan:
    return make_plan(project, project.devices["board"], project.recipes["figures"], Options())


def write_step(volume: Path, facts: dict[str, Any] = FACTS, contents: dict[str, bytes] = FILES) -> Record:
    """Write a finished step by hand, and return its record."""
    key = digest.of_value(facts)
    folder = volume / records.folder_of("made", key)
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    plots = digest.of_value([["a.png", digest.of_bytes(b"a")], ["deep/b.png", digest.of_bytes(b"b")]])
    outputs = {
        "model": {"path": "model.bin", "sha256": digest.of_bytes(b"model"), "bytes": 5},
        "plots": {"path": "plots", "sha256": plots, "bytes": 2},
    }
    record = Record("made", key, facts, outputs)
    records.write(folder, record)
    return record


def kept(tmp_path: Path) -> tuple[Store, Record]:
    """Return a store that holds a step of two outputs, a file and a folder."""
    record, store = write_step(tmp_path / "build"), Store(tmp_path / "kept")
    store.save(record, tmp_path / "build" / record.folder, STAGE)
    return store, record


def test_a_step_comes_back_as_it_was(tmp_path: Path) -> None:
    store, record = kept(tmp_path)
    entry = store.find(record.key, STAGE)
    assert entry
    assert entry.record == record
    (tmp_path / "back").mkdir()
    assert store.restore(entry, tmp_path / "back")
    assert {name: (tmp_path / "back" / name).read_bytes() for name in FILES} == FILES


def other_hash(raw: Any) -> None:
    raw["files"]["model.bin"] = raw["files"]["plots/a.png"]


def other_hash_in_both(raw: Any) -> None:
    other_hash(raw)
    raw["record"]["outputs"]["model"]["path"] = "plots"


def leave_out(raw: Any) -> None:
    del raw["files"]["plots/deep/b.png"]


def set_in(*way: str, value: Any) -> Callable[[Any], None]:
    def change(raw: Any) -> None:
        for name in way[:-1]:
            raw = raw[name]
        raw[way[-1]] = value

    return change


SUM = digest.of_bytes(b"model")
FORGED: dict[str, Callable[[Any], None]] = {
    "another stored object": other_hash,
    "another stored object, path too": other_hash_in_both,
    "a file less": leave_out,
    "a file more": set_in("files", "plots/more", value=SUM),
    "a file beside the outputs": set_in("files", "extra", value=SUM),
    "a name that leads out": set_in("files", "plots/../../out", value=SUM),
    "an absolute name": set_in("files", "/tmp/out", value=SUM),
    "an empty name": set_in("files", "", value=SUM),
    "a file below a file": set_in("files", "model.bin/x", value=SUM),
    "a hash that is a path": set_in("files", "model.bin", value="../../secret"),
    "another stage": set_in("record", "stage", value="other"),
    "a stage that leads out": set_in("record", "stage", value="../../x"),
    "facts that were edited": set_in("record", "facts", "isolation", value="container"),
    "another key": set_in("record", "key", value="0" * 64),
    "an output that leads out": set_in("record", "outputs", "model", "path", value="../model.bin"),
    "an output too many": set_in("record", "outputs", "more", value={"path": "model.bin", "sha256": SUM, "bytes": 5}),
    "an output that is a number": set_in("record", "outputs", "model", value=5),
    "outputs that are a list": set_in("record", "outputs", value=[]),
    "facts that are none": set_in("record", "facts", value=None),
    "files that are a number": set_in("files", value=7),
    "no record": set_in("record", value=[]),
    "another version": set_in("schema", value=1),
}


@pytest.mark.parametrize("name", FORGED)
def test_an_entry_that_was_forged_is_not_taken(tmp_path: Path, name: str) -> None:
    store, record = kept(tmp_path)
    path = store.folder / "actions" / f"{record.key}.json"
    raw = json.loads(path.read_text())
    FORGED[name](raw)
    path.chmod(0o644)
    path.write_text(json.dumps(raw))
    assert store.find(record.key, STAGE) is None


def test_an_entry_of_another_key_under_this_name_is_not_taken(tmp_path: Path) -> None:
    store, record = kept(tmp_path)
    other = write_step(tmp_path / "build", {**FACTS, "environment": "f"})
    os.replace(
        store.folder / "actions" / f"{record.key}.json",
        store.folder / "actions" / f"{other.key}.json",
    )
    assert store.find(other.key, STAGE) is None


ODD: dict[str, Callable[[Path, Path], object]] = {
    "pipe": lambda path, _: os.mkfifo(path),
    "link": lambda path, secret: path.symlink_to(secret),
    "folder": lambda path, _: path.mkdir(),
    "nested": lambda path, _: path.write_text("[" * 100_000),
    "nothing": lambda path, _: path.touch(),
    "no text": lambda path, _: path.write_bytes(b"\xff\xfe\x00"),
}


@pytest.mark.parametrize("kind", ODD)
def test_an_entry_that_is_no_file_of_ours_is_put_aside_and_hangs_nobody(tmp_path: Path, kind: str) -> None:
    store, record = kept(tmp_path)
    path = store.folder / "actions" / f"{record.key}.json"
    path.unlink()
    ODD[kind](path, tmp_path / "secret")
    assert store.find(record.key, STAGE) is None
    assert not path.exists()
    assert not path.is_symlink()
    store.save(record, tmp_path / "build" / record.folder, STAGE)
    assert store.find(record.key, STAGE), "it is whole again"


@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "no text"])
def test_an_object_that_is_no_file_of_ours_brings_nothing_back(tmp_path: Path, kind: str) -> None:
    store, record = kept(tmp_path)
    (tmp_path / "secret").write_bytes(b"secret")
    path = store.folder / "content" / SUM[:2] / SUM
    path.unlink()
    ODD[kind](path, tmp_path / "secret")
    entry = store.find(record.key, STAGE)
    assert entry
    (tmp_path / "back").mkdir()
    assert not store.restore(entry, tmp_path / "back")
    assert not [path for path in (tmp_path / "back").rglob("*") if path.is_file() and path.read_bytes() == b"secret"]
    store.save(record, tmp_path / "build" / record.folder, STAGE)
    shutil.rmtree(tmp_path / "back")
    (tmp_path / "back").mkdir()
    assert store.restore(entry, tmp_path / "back"), "it is whole again"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def mutated(draw: st.DrawFn, raw: Any) -> Any:
    """Draw a JSON value like `raw` with one place changed, removed or added."""
    raw = copy.deepcopy(raw)
    at = raw
    while isinstance(at, dict) and at:
        name = draw(st.sampled_from(sorted(at)))
        if not isinstance(at[name], dict) or draw(st.booleans()):
            match draw(st.sampled_from(["set", "drop", "add", "swap"])):
                case "set":
                    at[name] = draw(_JSON)
                case "drop":
                    del at[name]
                case "add":
                    at[draw(st.text(max_size=30) | st.sampled_from(["..", "../x", "/x", "a/../b", "plots/../x"]))] = at[
                        name
                    ]
                case _:
                    at[name] = at[draw(st.sampled_from(sorted(at)))]
            break
        at = at[name]
    return raw


@given(data=st.data())
def test_whatever_an_entry_says_nothing_else_comes_back_and_nothing_is_written_outside(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    tmp_path = tmp_path_factory.mktemp("store")
    store, record = kept(tmp_path)
    path = store.folder / "actions" / f"{record.key}.json"
    text = path.read_bytes()
    if data.draw(st.booleans()):
        text = json.dumps(data.draw(mutated(json.loads(text)))).encode()
    else:
        at = data.draw(st.integers(0, len(text) - 1))
        text = text[:at] + data.draw(st.binary(max_size=4)) + text[at + data.draw(st.integers(0, 4)) :]
    path.chmod(0o644)
    path.write_bytes(text)
    entry = store.find(record.key, STAGE)
    back = tmp_path / "volume" / "back"
    back.mkdir(parents=True)
    if entry and store.restore(entry, back):
        assert entry.record == record
        assert {p.relative_to(back).as_posix(): p.read_bytes() for p in back.rglob("*") if p.is_file()} == FILES
    assert [p.name for p in (tmp_path / "volume").iterdir()] == ["back"]
    assert {p.name for p in tmp_path.iterdir()} == {"build", "kept", "volume"}
    shutil.rmtree(tmp_path)


# --- the volume's record ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        set_in("facts", "isolation", value="container"),
        set_in("outputs", "model", "path", value="../other"),
        set_in("outputs", "model", "sha256", value="0" * 64),
        set_in("stage", value="../../x"),
    ],
)
def test_a_record_that_was_edited_does_not_count_as_done(
    plan: Plan, here: Here, tmp_path: Path, store: Path, change: Callable[[Any], None]
) -> None:
    walk = build(plan, here, tmp_path / "one")
    path = tmp_path / "one" / walk.done["second"].folder / "record.json"
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))
    shutil.rmtree(store)
    walk = build(plan, here, tmp_path / "one")
    assert here.runs == ["first", "second", "second"]
    assert walk.path(walk.plan.model).read_text() == "ab"


def test_an_output_that_became_a_link_is_made_anew(plan: Plan, here: Here, tmp_path: Path, store: Path) -> None:
    walk = build(plan, here, tmp_path / "one")
    model = walk.path(walk.plan.model)
    (tmp_path / "same").write_text("ab")
    model.unlink()
    model.symlink_to(tmp_path / "same")
    shutil.rmtree(store)
    walk = build(plan, here, tmp_path / "one")
    assert not walk.path(walk.plan.model).is_symlink()
    assert here.runs == ["first", "second", "second"]


def test_a_release_takes_only_what_the_store_confirms(plan: Plan, here: Here, tmp_path: Path, store: Path) -> None:
    build(plan, here, tmp_path / "one")
    complete(Build(plan, here, tmp_path / "one", released=True))
    assert here.runs == ["first", "second"]
    shutil.rmtree(store)
    complete(Build(plan, here, tmp_path / "one", released=True))
    assert here.runs == ["first", "second"] * 2


def test_what_is_not_isolated_is_never_kept_with_what_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEWRIGHT_STORE", str(tmp_path))
    assert Store.of_user(True).folder == tmp_path
    assert Store.of_user(False).folder == tmp_path / "venv"


# --- whose it is -----------------------------------------------------------------------------------------------------------


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
