"""What the index remembers of the user's files, and when it is not to be believed."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_project import Here

from edgewright import digest, file_index
from edgewright.build import Build
from edgewright.config import Project
from edgewright.errors import WrongInput
from edgewright.file_index import FEW_FILES, TICK_NS, FileIndex
from edgewright.plan import Options, make_plan

COUNT = FEW_FILES + 3


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder of files enough to be remembered, with what is not hashed beside them."""
    folder = tmp_path / "set"
    for number in range(COUNT):
        path = folder / f"{'ab'[number % 2]}/deep" / f"{number:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"image {number}")
    (folder / "labels.cache").write_text("x")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.txt").write_text("x")
    (folder / "link.jpg").symlink_to("a/deep/000.jpg")
    (folder / "c").symlink_to("a")
    return folder


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the files that are read from now on."""
    names: list[str] = []
    real = file_index._read

    def reading(path: Path) -> tuple[list[int], str]:
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(file_index, "_read", reading)
    return names


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what lets time pass until a file that is there now may be remembered."""
    now = time.time_ns

    def wait() -> None:
        monkeypatch.setattr(time, "time_ns", lambda: now() + 2 * TICK_NS)

    return wait


@pytest.fixture
def index(tmp_path: Path) -> FileIndex:
    return FileIndex(tmp_path / "index")


def test_a_folder_that_nobody_touched_is_read_once(
    data: Path, index: FileIndex, read: list[str], later: Callable[[], None]
) -> None:
    later()
    total = index.of_path(data)
    assert total == digest.of_path(data)
    assert len(read) == COUNT + 1
    assert index.of_path(data) == total
    assert len(read) == COUNT + 1
    assert index.of_path(data, trusting=False) == total
    assert len(read) == 2 * (COUNT + 1)


def test_files_as_young_as_the_record_are_not_trusted(data: Path, index: FileIndex, read: list[str]) -> None:
    """Git's racily clean files: changed again in the same tick of the file system's clock, with the same size."""
    index.of_path(data)
    index.of_path(data)
    assert len(read) == 2 * (COUNT + 1)


def _rewrite(path: Path) -> None:
    """Change a file's bytes and nothing else that its owner can put back: size, inode and mtime stay."""
    before = path.stat()
    path.write_text(path.read_text()[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replace(path: Path) -> None:
    before = path.stat()
    other = path.with_name("other")
    other.write_text(path.read_text()[::-1])
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize(
    "change", [_rewrite, _replace, Path.unlink, lambda path: path.write_text("longer than it was")]
)
def test_a_change_is_seen_whatever_times_say(
    data: Path, index: FileIndex, read: list[str], later: Callable[[], None], change: Callable[[Path], object]
) -> None:
    later()
    before = index.of_path(data)
    read.clear()
    change(data / "b" / "deep" / "001.jpg")
    after = index.of_path(data)
    assert after == digest.of_path(data) != before
    assert set(read) <= {"001.jpg"}


def test_a_folder_that_takes_the_place_of_another_is_not_taken_for_it(
    data: Path, index: FileIndex, later: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of a folder that is moved away and back keep all their times."""
    other = data.with_name("other")
    shutil.copytree(data / "a", other)
    for path in other.rglob("*.jpg"):
        path.write_text(path.read_text()[::-1])
    later()
    scan = file_index._scan

    def swap() -> None:
        (data / "a").rename(data.with_name("away"))
        other.rename(data / "a")
        data.with_name("away").rename(other)

    def scanned_and_swapped(folder: Path) -> dict[str, list[int]]:
        found = scan(folder)
        swap()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(file_index, "_scan", scanned_and_swapped)
        index.of_path(data)
    swap()
    assert index.of_path(data) == digest.of_path(data)


def test_a_link_counts_as_what_it_leads_to_now(data: Path, index: FileIndex, later: Callable[[], None]) -> None:
    later()
    before = index.of_path(data)
    (data / "link.jpg").unlink()
    (data / "link.jpg").symlink_to("a/deep/002.jpg")
    assert index.of_path(data) == digest.of_path(data) != before


@pytest.mark.parametrize("harm", ["damaged", "another user's", "a link", "of another schema", "no digest", "read-only"])
def test_an_index_that_is_damaged_or_somebody_elses_is_as_good_as_none(
    data: Path,
    index: FileIndex,
    read: list[str],
    later: Callable[[], None],
    harm: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    later()
    total = index.of_path(data)
    (path,) = index.folder.iterdir()
    raw = json.loads(path.read_text())
    if harm == "damaged":
        path.write_bytes(path.read_bytes()[:-9])
    elif harm == "another user's":
        owner = os.getuid() + 1
        monkeypatch.setattr(os, "getuid", lambda: owner)
    elif harm == "a link":
        path.rename(path.with_name("elsewhere"))
        path.symlink_to("elsewhere")
    elif harm == "of another schema":
        path.write_text(json.dumps({**raw, "schema": 0}))
    elif harm == "no digest":
        path.write_text(json.dumps({**raw, "files": {name: [row[0], "x" * 64] for name, row in raw["files"].items()}}))
    else:
        index = FileIndex(Path("/proc/nowhere"))
    read.clear()
    assert index.of_path(data) == total
    assert len(read) == COUNT + 1


_json = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda value: st.lists(value) | st.dictionaries(st.sampled_from(["schema", "files", "a"]), value),
)


@given(content=_json)
def test_whatever_an_index_holds_the_digest_is_the_files(
    tmp_path_factory: pytest.TempPathFactory, content: object
) -> None:
    folder = tmp_path_factory.mktemp("mutated")
    data = folder / "set"
    data.mkdir()
    for number in range(3):
        (data / f"{number}").write_text("x")
    index = FileIndex(folder / "index")
    index.folder.mkdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(file_index, "FEW_FILES", 0)
        for raw in (
            content,
            {"schema": 1, "files": content},
            {"schema": 1, "files": {"1": content, "2": [content, "ab"]}},
        ):
            (index.folder / index._file(data)).write_text(json.dumps(raw))
            assert index.of_path(data) == digest.of_path(data)


def test_only_so_many_folders_are_remembered(data: Path, index: FileIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_index, "FOLDERS", 2)
    monkeypatch.setattr(file_index, "TICK_NS", -(10**12))
    folders = [data, *(data.with_name(f"set{number}") for number in range(3))]
    for folder in folders:
        if folder != data:
            data.rename(folder)
            data = folder
        index.of_path(folder)
    assert len(list(index.folder.iterdir())) == 2


def test_what_is_hashed_in_a_moment_leaves_nothing_behind(index: FileIndex, tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    path.write_text("weights")
    os.utime(path, (1, 1))
    assert index.of_path(path) == digest.of_file(path)
    assert not index.folder.exists()


@pytest.mark.parametrize("term", ["repeat", "released"])
def test_a_release_and_verify_cache_read_every_byte(
    project: Project,
    here: Here,
    tmp_path: Path,
    data: Path,
    index: FileIndex,
    read: list[str],
    later: Callable[[], None],
    term: str,
) -> None:
    later()
    plan = make_plan(project, project.devices["board"], project.recipes["figures"], Options({"weights": data}))
    for terms, count in (({}, 1), ({}, 1), ({term: True}, 2)):
        walk = Build(plan, here, tmp_path / "build", index=index, **terms)  # type: ignore[arg-type]
        walk.digest(plan.steps[0].inputs["weights"])
        assert len(read) == count * (COUNT + 1)


def test_a_file_that_cannot_be_read_is_named(project: Project, here: Here, tmp_path: Path, index: FileIndex) -> None:
    plan = make_plan(
        project, project.devices["board"], project.recipes["figures"], Options({"weights": tmp_path / "x"})
    )
    with pytest.raises(WrongInput, match=r"/x: No such file"):
        Build(plan, here, tmp_path / "build", index=index).digest(plan.steps[0].inputs["weights"])
