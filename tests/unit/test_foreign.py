"""Looking at foreign folders, and opening what was looked at and nothing else."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from edgewright import files, foreign
from edgewright.foreign import Foreign, Limits

ENOUGH = Limits(entries=100, bytes=10_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "step"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"model")
    (folder / "deep" / "er" / "table.csv").write_bytes(b"1,2")
    (tmp_path / "secret").write_bytes(b"secret")
    return folder


def _socket(path: Path) -> None:
    # The name of a socket has at most 108 bytes: bound from its folder.
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "link": (lambda path: path.symlink_to("/etc/passwd"), "a link"),
    "link inside": (lambda path: path.symlink_to("model.bin"), "a link"),
    "link to a folder": (lambda path: path.symlink_to("deep"), "a link"),
    "pipe": (lambda path: os.mkfifo(path), "a pipe"),
    "socket": (_socket, "a socket"),
    "hard link": (lambda path: path.hardlink_to(path.parents[2] / "secret"), "a hard link to a file outside"),
}


def test_files_and_folders_are_found_with_what_they_hold(folder: Path) -> None:
    tree = foreign.look(folder, ENOUGH, {os.getuid()})
    assert list(tree.files) == ["deep/er/table.csv", "model.bin"]
    assert set(tree.folders) == {".", "deep", "deep/er"}
    assert tree.read("deep/er/table.csv", 10) == b"1,2"
    assert tree.sums()["model.bin"] == tree.sha256("model.bin")


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_plain_file_is_refused_by_name(folder: Path, kind: str) -> None:
    make, reason = ODD[kind]
    make(folder / "deep" / "odd")
    with pytest.raises(Foreign, match=f"deep/odd: {reason}"):
        foreign.look(folder, ENOUGH)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a device")
def test_a_device_is_refused(folder: Path) -> None:
    try:
        os.mknod(folder / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("this root may make no device")
    with pytest.raises(Foreign, match="null: a device"):
        foreign.look(folder, ENOUGH)


def test_two_names_of_one_file_inside_are_fine(folder: Path) -> None:
    (folder / "same.bin").hardlink_to(folder / "model.bin")
    assert "same.bin" in foreign.look(folder, ENOUGH).files


def test_a_folder_that_is_a_link_is_not_looked_at(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(Foreign, match="cannot be opened"):
        foreign.look(tmp_path / "link", ENOUGH)


def test_somebody_elses_file_is_refused(folder: Path) -> None:
    with pytest.raises(Foreign, match=f"belongs to the user {os.getuid()}, and should to 4711"):
        foreign.look(folder, ENOUGH, {4711})


def test_a_name_that_is_no_text_is_refused_in_printable_words(folder: Path) -> None:
    os.close(os.open(os.fsencode(folder) + b"/caf\xe9", os.O_CREAT))
    with pytest.raises(Foreign) as refused:
        foreign.look(folder, ENOUGH)
    assert str(refused.value) == r"caf\udce9: a name that is not UTF-8"


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(3, 10_000), "more than 3 files"),
        (Limits(100, 7), "more than 7 bytes"),
        (Limits(100, 100, depth=2), "more than 2 folders deep"),
    ],
)
def test_too_much_is_refused(folder: Path, limits: Limits, reason: str) -> None:
    with pytest.raises(Foreign, match=reason):
        foreign.look(folder, limits)


SWAPS: dict[str, Callable[[Path, Path], object]] = {
    "link": lambda path, secret: (path.unlink(), path.symlink_to(secret)),
    "pipe": lambda path, _: (path.unlink(), os.mkfifo(path)),
    "another file": lambda path, _: (path.unlink(), path.write_bytes(b"model")),
    "other content": lambda path, _: path.write_bytes(b"longer than before"),
    "hard link": lambda path, secret: (path.unlink(), path.hardlink_to(secret)),
    "nothing": lambda path, _: path.unlink(),
}


@pytest.mark.parametrize("kind", SWAPS)
@pytest.mark.parametrize("name", ["model.bin", "deep/er/table.csv"])
def test_what_is_swapped_between_look_and_open_is_refused(folder: Path, name: str, kind: str) -> None:
    tree = foreign.look(folder, ENOUGH)
    SWAPS[kind](folder / name, folder.parent / "secret")
    with pytest.raises(Foreign, match=name):
        tree.sha256(name)


@pytest.mark.parametrize("as_link", [True, False])
def test_a_folder_that_is_swapped_between_look_and_open_is_refused(folder: Path, as_link: bool) -> None:
    tree = foreign.look(folder, ENOUGH)
    (folder / "deep").rename(folder.parent / "away")
    if as_link:
        (folder / "deep").symlink_to(folder.parent / "away")
    else:
        (folder / "deep" / "er").mkdir(parents=True)
        (folder.parent / "away" / "er" / "table.csv").rename(folder / "deep" / "er" / "table.csv")
    with pytest.raises(Foreign, match="deep"):
        tree.read("deep/er/table.csv", 10)


def test_what_is_claimed_is_ours_for_others_to_read_and_nothing_set_id(folder: Path) -> None:
    (folder / "model.bin").chmod(0o6777)
    (folder / "deep").chmod(0o2700)
    if os.getuid() == 0:
        os.chown(folder / "deep" / "er" / "table.csv", 4711, 4711)
    tree = foreign.look(folder, ENOUGH)
    tree.claim("model.bin")
    tree.claim("deep")
    for path in (folder / "model.bin", *(folder / "deep").rglob("*"), folder / "deep"):
        found = path.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o755 if path.is_dir() else 0o644, os.getuid())


@pytest.mark.parametrize("kind", SWAPS)
def test_what_is_swapped_is_not_claimed(folder: Path, kind: str) -> None:
    (folder / "model.bin").chmod(0o600)
    (folder.parent / "secret").chmod(0o600)
    tree = foreign.look(folder, ENOUGH)
    SWAPS[kind](folder / "model.bin", folder.parent / "secret")
    with pytest.raises(Foreign, match=r"model\.bin"):
        tree.claim("model.bin")
    assert stat.S_IMODE((folder.parent / "secret").stat().st_mode) == 0o600


def test_what_changes_while_it_is_read_is_refused(folder: Path) -> None:
    tree = foreign.look(folder, ENOUGH)

    def read() -> None:
        with tree.open("model.bin") as file:
            file.read(1)
            (folder / "model.bin").write_bytes(b"other")

    with pytest.raises(Foreign, match=foreign.GONE):
        read()


def test_one_file_is_read_and_no_link_on_the_way_followed(folder: Path) -> None:
    assert foreign.read(folder, "deep/er/table.csv", 3, {os.getuid()}) == b"1,2"
    with pytest.raises(Foreign, match="more than 2 bytes"):
        foreign.read(folder, "deep/er/table.csv", 2)
    (folder / "way").symlink_to("deep")
    (folder / "link").symlink_to("model.bin")
    os.mkfifo(folder / "pipe")
    for odd in ("way/er/table.csv", "link", "pipe", "deep", "deep/../model.bin", "../secret", "./model.bin", ""):
        with pytest.raises(Foreign):
            foreign.read(folder, odd, 100)
    with pytest.raises(FileNotFoundError):
        foreign.read(folder, "absent", 100)


def test_a_new_file_is_never_written_into_what_is_there(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "target").symlink_to(tmp_path / "secret")
    tree = foreign.look(folder, ENOUGH)
    with pytest.raises(FileExistsError):
        tree.copy("model.bin", tmp_path / "target")
    files.write(tmp_path / "target", "new")
    assert (tmp_path / "secret").read_bytes() == b"secret"
    assert not (tmp_path / "target").is_symlink()
    assert tree.copy("model.bin", tmp_path / "copy") == tree.sha256("model.bin")


def test_a_file_that_cannot_be_finished_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("before")

    def write() -> None:
        with files.replacing(tmp_path / "target") as file:
            file.write(b"half")
            raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert (tmp_path / "target").read_text() == "before"


def test_folders_thousands_deep_and_closed_ones_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "step"
    folder.mkdir()
    at = os.open(folder, os.O_DIRECTORY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_DIRECTORY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    (folder / "closed").mkdir(mode=0)
    with pytest.raises(Foreign, match=r"folders deep|cannot be opened"):
        foreign.look(folder, ENOUGH)
    files.remove(folder)
    assert not folder.exists()


def test_a_link_is_removed_and_not_what_it_leads_to(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    files.remove(tmp_path / "link")
    assert folder.is_dir()
    assert not (tmp_path / "link").is_symlink()
    files.remove(tmp_path / "absent")
