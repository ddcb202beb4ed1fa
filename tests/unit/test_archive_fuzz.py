"""Any change to a valid archive gives its files or one refusal: nothing half-written, nothing outside of its folder."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from bounds import bounded
from hypothesis import given
from hypothesis import strategies as st
from mutations import Edit, edited, edits

from edgewright import archive, environments
from edgewright.errors import WrongInput
from edgewright.text import visible

FILES = {"set/data.yaml": b"train: images\n", "set/images/a.jpg": bytes(range(256)) * 3, "set/images/b.jpg": b""}
NAMES = [
    "",
    "/",
    ".",
    "..",
    "a",
    "a/b",
    "A",
    "../a",
    "a/..",
    "/etc/x",
    "a/",
    "//",
    "./a",
    "set/data.yaml",
    "\\",
    "\x1b",
    "a\0b",
]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that archives are unpacked into, and nothing but that is written."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setattr(archive, "CACHE", home / "cache")
    monkeypatch.setattr(environments, "CACHE", home / "cache")
    yield home / "cache" / "datasets"
    assert {path.name for path in tmp_path.iterdir()} <= {"home", "given"}
    assert {path.name for path in home.iterdir()} <= {"cache"}


def zipped(compression: int) -> bytes:
    """The files as a zip."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as made:
        for name, data in FILES.items():
            made.writestr(zipfile.ZipInfo(name), data, compression)
    return content.getvalue()


def tarred(mode: str, kind: int) -> bytes:
    """The files as a tar, a folder among them."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode, format=kind) as made:  # type: ignore[call-overload]
        folder = tarfile.TarInfo("set")
        folder.type = tarfile.DIRTYPE
        made.addfile(folder)
        for name, data in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if kind == tarfile.PAX_FORMAT:
                info.pax_headers = {"comment": "x", "mtime": "1.5"}
            made.addfile(info, io.BytesIO(data))
    return content.getvalue()


SEEDS = {
    "stored.zip": zipped(zipfile.ZIP_STORED),
    "deflated.zip": zipped(zipfile.ZIP_DEFLATED),
    "lzma.zip": zipped(zipfile.ZIP_LZMA),
    "bz2.zip": zipped(zipfile.ZIP_BZIP2),
    "ustar.tar": tarred("w", tarfile.USTAR_FORMAT),
    "gnu.tar": tarred("w", tarfile.GNU_FORMAT),
    "pax.tar": tarred("w", tarfile.PAX_FORMAT),
    "gnu.tgz": tarred("w:gz", tarfile.GNU_FORMAT),
}


def unpacked(path: Path, cache: Path) -> bool:
    """Unpack, and look at all that was written; a refusal leaves nothing."""
    text = hint = ""
    with bounded(10):
        try:
            archive.unpack(path)
        except WrongInput as refused:
            text, hint = str(refused), refused.hint
    found = list(cache.rglob("*"))
    if text:
        assert hint
        assert text == visible(text)
        assert found == []
        return False
    kinds = {stat.S_IFMT(entry.lstat().st_mode) for entry in found}
    assert kinds <= {stat.S_IFREG, stat.S_IFDIR}
    assert not [entry.name for entry in cache.iterdir() if entry.name.startswith(".")]
    for entry in cache.iterdir():
        archive.files.remove(entry)
    return True


def sealed(name: str, changes: list[Edit]) -> bytes:
    """A changed archive that passes its own checksums, behind which lies what is read: a tar's, gzip's; a zip's contents stay."""
    seed = SEEDS[name]
    if name.endswith(".zip"):
        return edited(seed, [("replace", place, new) for _, place, new in changes], headers(seed))
    if name.endswith(".tgz"):
        return gzip.compress(resummed(edited(gzip.decompress(seed), changes)))
    return resummed(edited(seed, changes))


def headers(seed: bytes) -> list[int]:
    """The places of a zip outside of its files' contents."""
    inside = bytearray(len(seed))
    with zipfile.ZipFile(io.BytesIO(seed)) as archived:
        for info in archived.infolist():
            start = info.header_offset + zipfile.sizeFileHeader + len(info.filename)
            inside[start : start + info.compress_size] = b"\1" * info.compress_size
    return [place for place, content in enumerate(inside) if not content]


def resummed(content: bytes) -> bytes:
    """A tar with the checksums of its headers put right."""
    blocks = bytearray(content)
    for at in range(0, len(blocks) - 511, 512):
        if blocks[at + 257 : at + 262] == b"ustar":
            blocks[at + 148 : at + 156] = b" " * 8
            blocks[at + 148 : at + 156] = b"%06o\0 " % sum(blocks[at : at + 512])
    return bytes(blocks)


@pytest.mark.parametrize("name", SEEDS)
def test_a_valid_archive_is_unpacked(cache: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "given"
    path.mkdir()
    (path / name).write_bytes(SEEDS[name])
    assert unpacked(path / name, cache)


@pytest.mark.parametrize("name", SEEDS)
@given(changes=edits(4), seal=st.booleans())
def test_any_change_to_an_archive_is_unpacked_or_refused(
    cache: Path, tmp_path: Path, name: str, changes: list[Edit], seal: bool
) -> None:
    path = tmp_path / "given"
    path.mkdir(exist_ok=True)
    (path / name).write_bytes(sealed(name, changes) if seal else edited(SEEDS[name], changes))
    unpacked(path / name, cache)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@given(names=st.lists(st.sampled_from(NAMES) | st.text(max_size=6), min_size=1, max_size=5), data=st.data())
def test_any_names_in_a_zip_are_unpacked_or_refused(
    cache: Path, tmp_path: Path, names: list[str], data: st.DataObject
) -> None:
    path = tmp_path / "given"
    path.mkdir(exist_ok=True)
    with zipfile.ZipFile(path / "set.zip", "w") as made:
        for name in names:
            entry = zipfile.ZipInfo("x")
            entry.filename = name.encode(errors="ignore").decode()
            entry.external_attr = data.draw(st.sampled_from([0, stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR])) << 16
            made.writestr(entry, b"x")
    unpacked(path / "set.zip", cache)


SIZES = ["0", "-1", "-512", "-1024", "1", "512", "99999999999999999999", "x", "1e9", ""]


@given(
    headers=st.lists(
        st.dictionaries(
            st.sampled_from(
                ["size", "path", "linkpath", "mtime", "GNU.sparse.size", "GNU.sparse.map", "GNU.sparse.major"]
            ),
            st.sampled_from([*SIZES, *NAMES]),
            max_size=3,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_pax_headers_are_unpacked_or_refused(cache: Path, tmp_path: Path, headers: list[dict[str, str]]) -> None:
    path = tmp_path / "given"
    path.mkdir(exist_ok=True)
    with tarfile.open(path / "set.tar", "w", format=tarfile.PAX_FORMAT) as made:
        for number, fields in enumerate(headers):
            info = tarfile.TarInfo(f"{number}.txt")
            info.size, info.pax_headers = 3, fields
            made.addfile(info, io.BytesIO(b"abc"))
    unpacked(path / "set.tar", cache)
