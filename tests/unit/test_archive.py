"""A data set in one file: what is unpacked, and what is refused before or while it is."""

from __future__ import annotations

import io
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgewright import archive, archive_members, environments
from edgewright.errors import StageFailed, WrongInput

FILES = {"set/data.yaml": b"train: images/train\n", "set/images/train/a.jpg": os.urandom(3000)}
TARS = (".tar", ".tar.gz", ".tgz")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that archives are unpacked into."""
    monkeypatch.setattr(archive, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(environments, "CACHE", tmp_path / "cache")
    return tmp_path / "cache" / "datasets"


def make(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, content in files.items():
                zipped.writestr(name, content)
        return path
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as tarred:
        for name, content in files.items():
            tarred.addfile(info(name, size=len(content)), io.BytesIO(content))
    return path


def info(name: str, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(made, key, value)
    return made


def refuse(path: Path, fact: str, cache: Path) -> None:
    with pytest.raises(WrongInput, match=fact) as refused:
        archive.unpack(path)
    assert refused.value.hint
    assert "\n" not in str(refused.value)
    assert not cache.exists() or not list(cache.iterdir())


@pytest.mark.parametrize("suffix", archive.SUFFIXES)
def test_a_set_in_a_folder_of_its_own_is_found_in_it(tmp_path: Path, suffix: str) -> None:
    folder = archive.unpack(make(tmp_path / f"Set{suffix.upper() if suffix == '.zip' else suffix}", FILES))
    assert {f"set/{p.relative_to(folder)}": p.read_bytes() for p in folder.rglob("*") if p.is_file()} == FILES


@pytest.mark.parametrize("beside", ["__MACOSX/._a", "labels/train/a.txt", "data.yaml"])
def test_a_set_without_a_folder_of_its_own_is_left_as_it_is(tmp_path: Path, beside: str) -> None:
    folder = archive.unpack(make(tmp_path / "set.zip", {"images/train/a.jpg": b"x", beside: b"y"}))
    assert (folder / "images" / "train" / "a.jpg").exists()


def test_an_archive_is_unpacked_once_whatever_it_is_called(tmp_path: Path, cache: Path) -> None:
    first = archive.unpack(make(tmp_path / "set.zip", FILES))
    before = first.stat().st_ino
    (tmp_path / "set.zip").rename(tmp_path / "other.zip")
    assert archive.unpack(tmp_path / "other.zip").stat().st_ino == before
    (total,) = (path.name for path in cache.iterdir() if path.is_dir())
    assert sorted(path.name for path in cache.iterdir()) == [total, f"{total}.list"]


CHANGES: dict[str, Callable[[Path], object]] = {
    "other content": lambda root: (root / "data.yaml").write_bytes(b"x" * 20),
    "a file more": lambda root: (root / "labels.cache").write_bytes(b"x"),
    "a file less": lambda root: (root / "data.yaml").unlink(),
    "a link": lambda root: (root / "link").symlink_to("/etc/passwd"),
    "a hard link from outside": lambda root: os.link(root / "data.yaml", root.parents[3] / "outside"),
    "another mode": lambda root: (root / "data.yaml").chmod(0o666),
    "a pipe": lambda root: os.mkfifo(root / "pipe"),
    "no list": lambda root: next(root.parents[1].glob("*.list")).unlink(),
    "a list that is a link": lambda root: _linked(next(root.parents[1].glob("*.list"))),
}


def _linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_in_the_cache_that_has_changed_is_unpacked_again(
    tmp_path: Path, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make(tmp_path / "set.tar", FILES)
    root = archive.unpack(path)
    CHANGES[change](root)
    again = archive.unpack(path)
    assert {f"set/{p.relative_to(again)}": p.read_bytes() for p in again.rglob("*") if p.is_file()} == FILES
    assert not (again / "link").is_symlink()
    assert "has changed since it was unpacked" in capsys.readouterr().out
    archive.unpack(path)
    assert "has changed" not in capsys.readouterr().out


def test_a_link_in_place_of_the_copy_is_not_followed(tmp_path: Path, cache: Path) -> None:
    path = make(tmp_path / "set.zip", FILES)
    target = archive.unpack(path).parent
    target.rename(tmp_path / "elsewhere")
    target.symlink_to(tmp_path / "elsewhere")
    assert not archive.unpack(path).parent.is_symlink()
    assert (tmp_path / "elsewhere" / "set" / "data.yaml").exists()


def test_what_a_killed_run_left_is_not_taken_for_a_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "set.zip", FILES)
    monkeypatch.setattr(archive.os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr(archive.shutil, "rmtree", lambda *_, **__: None)
    with pytest.raises(KeyboardInterrupt):
        archive.unpack(path)
    monkeypatch.undo()
    monkeypatch.setattr(archive, "CACHE", tmp_path / "cache")
    assert (archive.unpack(path) / "data.yaml").read_bytes() == FILES["set/data.yaml"]


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_modes_are_plain_ones_whatever_the_archive_and_the_umask_say(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"set{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as zipped:
            entry = zipfile.ZipInfo("images/a.sh")
            entry.external_attr = (stat.S_IFREG | 0o6777) << 16
            zipped.writestr(entry, b"x")
    else:
        with tarfile.open(path, "w") as tarred:
            tarred.addfile(info("images", type=tarfile.DIRTYPE, mode=0o000))
            tarred.addfile(info("images/a.sh", size=1, mode=0o6777), io.BytesIO(b"x"))
    before = os.umask(0o077)
    try:
        folder = archive.unpack(path)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (folder, folder / "images", folder / "images/a.sh")]
    assert modes == [0o755, 0o755, 0o644]


NAMES = {
    "absolute": ("/etc/passwd", "absolute path"),
    "drive": ("C:/x", "absolute path"),
    "upwards": ("images/../../x", "leads out"),
    "backslash": ("images\\..\\x", "backslash"),
    "control": ("images/\x1b[2J", "control character"),
    "long": ("x" * 256, "too long"),
    "long path": ("/".join(["x" * 200] * 6), "too long"),
    "deep": ("d/" * 40 + "x", "folders deep"),
    "case": ("images/A.JPG", "one name on other systems"),
    "case of a folder": ("Images/b.jpg", "one name on other systems"),
    "normalisation": ("images/a\u0308.jpg", "one name on other systems"),
    "twice": ("images/a.jpg", "twice"),
    "twice, written otherwise": ("./images//a.jpg", "twice"),
    "below a file": ("images/a.jpg/b", "lies in a file"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_could_lead_elsewhere_is_refused(tmp_path: Path, cache: Path, name: str, suffix: str) -> None:
    member, fact = NAMES[name]
    path = tmp_path / f"set{suffix}"
    names = ["images/a.jpg", "images/\u00e4.jpg", member]
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as zipped:
            for each in names:
                entry = zipfile.ZipInfo("x")
                entry.filename = each
                zipped.writestr(entry, b"x")
    else:
        with tarfile.open(path, "w:gz") as tarred:
            for each in names:
                tarred.addfile(info(each, size=1), io.BytesIO(b"x"))
    refuse(path, fact, cache)


KINDS = {
    "symbolic link": (tarfile.SYMTYPE, "a link"),
    "hard link": (tarfile.LNKTYPE, "a link"),
    "fifo": (tarfile.FIFOTYPE, "no plain file"),
    "device": (tarfile.CHRTYPE, "no plain file"),
    "disk": (tarfile.BLKTYPE, "no plain file"),
    "sparse file": (tarfile.GNUTYPE_SPARSE, "no plain file|damaged"),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_no_plain_file_is_refused_in_a_tar(tmp_path: Path, cache: Path, name: str) -> None:
    kind, fact = KINDS[name]
    with tarfile.open(tmp_path / "set.tar", "w") as tarred:
        tarred.addfile(info("a.jpg", size=1), io.BytesIO(b"x"))
        tarred.addfile(info("b.jpg", type=kind, linkname="/etc/passwd"))
    refuse(tmp_path / "set.tar", fact, cache)


@pytest.mark.parametrize(("kind", "fact"), [(stat.S_IFLNK, "a link"), (stat.S_IFIFO, "no plain file")])
def test_what_is_no_plain_file_is_refused_in_a_zip(tmp_path: Path, cache: Path, kind: int, fact: str) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as zipped:
        entry = zipfile.ZipInfo("b.jpg")
        entry.external_attr = (kind | 0o777) << 16
        zipped.writestr(entry, b"/etc/passwd")
    refuse(tmp_path / "set.zip", fact, cache)


def test_an_encrypted_member_is_refused(tmp_path: Path, cache: Path) -> None:
    path = make(tmp_path / "set.zip", {"a.jpg": b"x"})
    content = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flags, in the file's header and in the directory
        content[content.index(mark) + at] |= 1
    path.write_bytes(content)
    refuse(path, "'a.jpg' is encrypted", cache)


@pytest.mark.parametrize("suffix", [".zip", ".tgz"])
def test_an_archive_that_grows_beyond_reason_is_refused_before_anything_is_written(
    tmp_path: Path, cache: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_write", lambda *_: pytest.fail("it was written"))
    refuse(
        make(tmp_path / f"set{suffix}", {"a.txt": bytes(archive_members.SMALL_BYTES + 1)}),
        "would unpack to more",
        cache,
    )


def test_the_bytes_that_come_out_are_counted_whatever_the_headers_say(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "set.zip", {"a.txt": bytes(5000)})
    monkeypatch.setattr(archive, "SMALL_BYTES", 4000)
    monkeypatch.setattr(archive, "RATIO_MAX", 1)
    honest = archive_members._zip_members
    monkeypatch.setattr(
        archive_members,
        "_zip_members",
        lambda *words: (archive_members.Member(m.name, m.parts, 1, m.read) for m in honest(*words)),
    )
    refuse(path, "would unpack to more", cache)


def test_too_many_members_are_refused(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MEMBERS_MAX", 3)
    refuse(make(tmp_path / "set.zip", {f"{n}.txt": b"" for n in range(4)}), "or 3 files", cache)


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path, cache: Path) -> None:
    with tarfile.open(tmp_path / "set.tgz", "w:gz", format=tarfile.GNU_FORMAT) as tarred:
        long = info("././@LongLink", type=tarfile.GNUTYPE_LONGNAME, size=8 << 20)
        tarred.addfile(long, io.BytesIO(bytes(8 << 20)))
        tarred.addfile(info("a", size=1), io.BytesIO(b"x"))
    refuse(tmp_path / "set.tgz", "a header of 8388608 bytes", cache)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(b"\xaa" * 100) + 50] ^= 1
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _header(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(b"z.jpg")] ^= 1
    path.write_bytes(content)


def _checksum(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-8] + struct.pack("<I", struct.unpack("<I", content[-8:-4])[0] ^ 1) + content[-4:])


@pytest.mark.parametrize(
    ("suffix", "spoil"),
    [
        (".zip", _flip), (".zip", _cut), (".tar", _cut), (".tar", _header), (".tgz", _cut), (".tgz", _checksum),
        (".zip", lambda path: path.write_bytes(b"PK?")), (".tar", lambda path: path.write_bytes(b"")),
        (".tgz", lambda path: path.write_bytes(b"no gzip at all")),
    ],
)  # fmt: skip
def test_a_damaged_archive_is_refused(
    tmp_path: Path, cache: Path, suffix: str, spoil: Callable[[Path], object]
) -> None:
    path, files = tmp_path / f"set{suffix}", {"a.jpg": b"\xaa" * 3000, "z.jpg": b"b" * 3000}
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as zipped:  # stored, so that one byte can be spoilt
            for name, content in files.items():
                zipped.writestr(name, content)
    else:
        make(path, files)
    spoil(path)
    refuse(path, "damaged", cache)


def test_an_archive_without_a_file_is_refused(tmp_path: Path, cache: Path) -> None:
    refuse(make(tmp_path / "set.zip", {}), "no file in it", cache)


def test_a_set_that_the_disk_has_no_room_for_is_not_begun(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(StageFailed, match="10 bytes free"):
        archive.unpack(make(tmp_path / "set.zip", FILES))
    assert not list(cache.iterdir())


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
@pytest.mark.parametrize("name", ["", ".", "./", "/."])
def test_a_member_without_a_name_is_refused(tmp_path: Path, cache: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"set{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as zipped:
            entry = zipfile.ZipInfo("x")
            entry.filename = name
            zipped.writestr(entry, b"x")
    else:
        with tarfile.open(path, "w") as tarred:
            tarred.addfile(info(name, size=1), io.BytesIO(b"x"))
    refuse(path, "no name of a file|no file in it|absolute path", cache)


@pytest.mark.parametrize("at", [12, 16])  # the directory's size and its offset, in the record at the end
def test_a_directory_that_begins_before_the_file_is_damaged(tmp_path: Path, cache: Path, at: int) -> None:
    path = make(tmp_path / "set.zip", FILES)
    content = bytearray(path.read_bytes())
    end = content.rindex(b"PK\5\6")
    struct.pack_into("<I", content, end + at, 2**31)
    path.write_bytes(content)
    refuse(path, "damaged", cache)


def test_a_member_of_less_than_no_bytes_is_damaged(tmp_path: Path, cache: Path) -> None:
    with tarfile.open(tmp_path / "set.tar", "w", format=tarfile.PAX_FORMAT) as tarred:
        tarred.addfile(info("a.txt", size=1), io.BytesIO(b"x"))
        tarred.addfile(info("b.txt", size=1, pax_headers={"size": "-512"}), io.BytesIO(b"x"))
    refuse(tmp_path / "set.tar", "'b.txt' has -512 bytes", cache)


def test_headers_upon_headers_are_damaged(tmp_path: Path, cache: Path) -> None:
    one = info("x", type=tarfile.XHDTYPE, size=0).tobuf(tarfile.USTAR_FORMAT)
    (tmp_path / "set.tar").write_bytes(one * 3000)
    refuse(tmp_path / "set.tar", "damaged", cache)


def test_a_directory_that_would_fill_the_memory_is_refused(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_members, "DIRECTORY_BYTES_MAX", 1000)
    refuse(make(tmp_path / "set.zip", {f"{n}.txt": b"" for n in range(30)}), "a header of", cache)


@pytest.mark.parametrize("limit", ["MEMBERS_MAX", "NAMES_BYTES_MAX"])
def test_folders_and_names_count_as_well(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(archive, limit, 10)
    refuse(make(tmp_path / "set.tar", {"a/b/c/d/e/f/g/h/i/j/k/l": b""}), "would unpack to more", cache)
