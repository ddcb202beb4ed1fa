"""A data set in one file: what is refused before or while it is unpacked, and leaves nothing."""

from __future__ import annotations

import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_maker import FILES, cache, info, make

from edgewright import archive, archive_members
from edgewright.errors import StageFailed, WrongInput

__all__ = ["cache"]  # a fixture


def refuse(path: Path, fact: str, cache: Path) -> None:
    with pytest.raises(WrongInput, match=fact) as refused:
        archive.unpack(path)
    assert refused.value.hint
    assert "\n" not in str(refused.value)
    assert not cache.exists() or not list(cache.iterdir())


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


def test_what_never_ends_after_the_end_is_damaged(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "set.tar", FILES)
    path.write_bytes(path.read_bytes() + bytes(30_000))
    monkeypatch.setattr(archive_members, "SMALL_BYTES", 20_000)
    refuse(path, "more after its end", cache)


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
