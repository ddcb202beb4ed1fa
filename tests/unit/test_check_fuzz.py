"""A signed release with anything done to it: it is refused in lines, or nothing that is signed was changed; no check writes."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tampering import files_of, only, place, restate, sum_again
from test_check_signed import answered

from edgewright import check, files
from edgewright.errors import HashDiffers
from edgewright.log import CONTINUED
from edgewright.text import visible

__all__ = ["place"]

LIMIT_S = 30  # a check takes some 10 ms; an empty machine is not promised
UNSIGNED = "board.json"
ENVELOPES = "release.intoto.jsonl"
DOCUMENTS = ["manifest.json", "manifest.json", "report.json", "bom.cdx.json", "board.json"]

Draw = Callable[[st.SearchStrategy[Any]], Any]
Damage = Callable[[Path, Draw], None]

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -(10**400), 2**64, 1e308]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["../x", "/etc/passwd", "\x1b[2J", "0" * 64, "model.tflite", "first"]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.one_of(
    st.sampled_from(
        [
            "SHA256SUMS",
            ENVELOPES,
            UNSIGNED,
            "model.tflite",
            "x",
            "-rf",
            " ",
            "\x1b[2J",
            "a\n       b: fine",
            "caf\udce9",
        ]
    ),
    st.binary(min_size=1, max_size=30).map(lambda name: os.fsdecode(name.translate(None, b"/\0") or b"x")),
).filter(lambda name: name not in (".", ".."))


# --- what can be done to a release --------------------------------------------------------------------------------------------


def is_file(path: Path) -> bool:
    """Whether this is a plain file: what is damaged here is never read or written through a link, nor waited for in a pipe."""
    return stat.S_ISREG(path.lstat().st_mode)


def file_in(folder: Path, draw: Draw) -> Path:
    """Choose a plain file of the folder, whatever was done to it before."""
    path: Path = draw(st.sampled_from(sorted(filter(is_file, folder.rglob("*")))))
    return path


def place_in(folder: Path, draw: Draw) -> Path:
    """Choose a name in one of the folder's folders, taken or not."""
    there = sorted(path for path in folder.rglob("*") if stat.S_ISDIR(path.lstat().st_mode))
    path: Path = draw(st.sampled_from([folder, *there])) / draw(NAMES)
    return path


def change_bytes(folder: Path, draw: Draw) -> None:
    path = file_in(folder, draw)
    content = bytearray(path.read_bytes())
    start = draw(st.integers(0, len(content)))
    end = min(len(content), start + draw(st.integers(0, 20)))
    content[start:end] = draw(st.binary(max_size=20))
    path.write_bytes(content)


def cut_off(folder: Path, draw: Draw) -> None:
    path = file_in(folder, draw)
    os.truncate(path, draw(st.integers(0, 2 * path.stat().st_size)))


def change_json(folder: Path, draw: Draw) -> None:
    """Change one value of a JSON file, or of a line of the envelopes."""
    there = sorted(filter(is_file, folder.rglob("*.json*")))
    if not there:
        return
    path = draw(st.sampled_from(there))
    lines = path.read_bytes().splitlines() if path.name == ENVELOPES else [path.read_bytes()]
    with suppress(ValueError, IndexError):  # what is no JSON any more
        at = draw(st.integers(0, len(lines) - 1))
        lines[at] = json.dumps(changed(json.loads(lines[at]), draw)).encode()
        path.write_bytes(b"\n".join(lines))


def changed(value: Any, draw: Draw) -> Any:
    """Return JSON with one thing in it replaced, renamed, doubled or left out."""
    inner = sorted(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if not inner or draw(st.integers(0, 7)) == 0:
        return draw(VALUES)
    at = draw(st.sampled_from(inner))
    what = draw(st.sampled_from(["inside", "inside", "inside", "inside", "without", "more"]))
    if what == "inside":
        value[at] = changed(value[at], draw)
    elif what == "without":
        del value[at]
    elif isinstance(value, list):
        value.insert(at, value[at])
    else:
        value[draw(st.text(max_size=8))] = draw(VALUES)
    return value


def change_mode(folder: Path, draw: Draw) -> None:
    path = draw(st.sampled_from([folder, *sorted(folder.rglob("*"))]))
    if not path.is_symlink():
        path.chmod(draw(st.sampled_from([0o644, 0o755, 0o600, 0o666, 0o777, 0o2755, 0o4755, 0o1777, 0o664, 0o400])))


def rename(folder: Path, draw: Draw) -> None:
    with suppress(OSError):
        file_in(folder, draw).rename(place_in(folder, draw))


def exchange(folder: Path, draw: Draw) -> None:
    one, other = file_in(folder, draw), file_in(folder, draw)
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)


def remove(folder: Path, draw: Draw) -> None:
    files.remove(file_in(folder, draw))


def add(folder: Path, draw: Draw) -> None:
    with suppress(OSError), place_in(folder, draw).open("xb") as file:
        file.write(draw(st.binary(max_size=20)))


def add_folder(folder: Path, draw: Draw) -> None:
    with suppress(OSError):
        path = place_in(folder, draw)
        path.joinpath(*["d"] * draw(st.integers(0, 12))).mkdir(parents=True)


def put_something_else(folder: Path, draw: Draw) -> None:
    """Put a link, a pipe or a socket in a file's place, or beside it."""
    path = draw(st.sampled_from([file_in, place_in]))(folder, draw)
    with suppress(OSError):
        path.unlink(missing_ok=True)
        kind = draw(st.sampled_from(["link", "pipe", "socket"]))
        if kind == "link":
            outside = os.fspath(folder.parent / "outside")
            path.symlink_to(draw(st.sampled_from([outside, "/dev/zero", "..", ".", "model.tflite", path.name])))
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(os.path.relpath(path))


def link_hard(folder: Path, draw: Draw) -> None:
    with suppress(OSError):
        path = file_in(folder, draw)
        if draw(st.booleans()):
            os.link(path, place_in(folder, draw))
        else:
            files.remove(path)
            os.link(folder.parent / "outside", path)


def answer(folder: Path, draw: Draw) -> None:
    """Write a board.json, as make flash does, perhaps with a change."""
    with suppress(OSError, ValueError, LookupError, TypeError):
        if all(is_file(path) for path in (folder / "manifest.json", folder / UNSIGNED) if os.path.lexists(path)):
            report = answered(folder)
            if draw(st.booleans()):
                (folder / UNSIGNED).write_text(json.dumps(changed(report, draw)))


DAMAGES: list[Damage] = [
    change_bytes,
    cut_off,
    change_json,
    change_json,
    change_json,
    change_mode,
    rename,
    exchange,
    remove,
    add,
    add_folder,
    put_something_else,
    link_hard,
    answer,
]


def write_again(folder: Path, how: Callable[[Path], None]) -> None:
    """Have the sums, or the statements too, say what is there, as far as that can be said."""
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError, StopIteration, ArithmeticError):
        if all(is_file(path) or stat.S_ISDIR(path.lstat().st_mode) for path in folder.rglob("*")):
            how(folder)


# --- what must hold -----------------------------------------------------------------------------------------------------------


def state(folder: Path) -> dict[str, Any]:
    """Return what lies in a folder, by lstat and without opening what is no file."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        seen = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(seen.st_mode) else path.readlink() if path.is_symlink() else None
        found[os.fspath(path)] = (seen.st_mode, seen.st_nlink, seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns, content)
    return found


@contextmanager
def within(seconds: float) -> Iterator[None]:
    def give_up(*_: object) -> None:
        raise AssertionError(f"takes more than {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def checked(folder: Path, key: Path | None) -> check.Checked | None:
    """Return what a check says, or nothing where it refuses in lines that may be shown."""
    before = state(folder.parent)
    try:
        with within(LIMIT_S):
            found = check.check(folder, key)
    except HashDiffers as refusal:
        lines = str(refusal).split(CONTINUED)
        assert all(lines)
        assert len(lines) <= check.FINDINGS_SHOWN + 1
        assert [visible(line) for line in lines] == lines
        found = None
    assert state(folder.parent) == before, "a check writes nothing"
    return found


NUMBER = itertools.count()


@contextmanager
def copied(place: Path, tmp_path: Path) -> Iterator[Path]:
    """Give a copy of the signed release, with a file beside it that is none of its business."""
    root = tmp_path / str(next(NUMBER))
    folder = Path(shutil.copytree(only(place / "one"), root / "release"))
    (root / "outside").write_text("1234TFL3x")
    try:
        yield folder
    finally:
        files.remove(root)


@pytest.mark.parametrize("with_key", [True, False])
@given(st.data())
def test_a_release_with_anything_done_to_it_is_refused_or_unchanged(
    place: Path, tmp_path: Path, with_key: bool, data: st.DataObject
) -> None:
    with copied(place, tmp_path) as folder:
        for damage in data.draw(st.lists(st.sampled_from(DAMAGES), min_size=1, max_size=3)):
            damage(folder, data.draw)
        again = data.draw(st.sampled_from([None, sum_again, restate]))
        if again:
            write_again(folder, again)
        found = checked(folder, place / "release.pub" if with_key else None)
        if found is None:
            return
        now, then = files_of(folder), files_of(only(place / "one"))
        beside = {UNSIGNED} if with_key else {UNSIGNED, ENVELOPES}
        assert (UNSIGNED in now) == any(UNSIGNED in line for line in found.open)
        assert with_key == any("signed" in line for line in found.holds)
        # Whoever has no key can write all of it again, and the check says that nobody vouches for it.
        if with_key or again is None:
            assert {n: c for n, c in now.items() if n not in beside} == {
                n: c for n, c in then.items() if n not in beside
            }
        assert not any(path.lstat().st_mode & 0o7002 for path in [folder, *folder.rglob("*")])
        assert (folder.parent / "outside").stat().st_nlink == 1


@given(st.data())
def test_documents_that_say_anything_and_agree_with_each_other_are_refused_or_called_unsigned(
    place: Path, tmp_path: Path, data: st.DataObject
) -> None:
    with copied(place, tmp_path) as folder:
        answered(folder)
        for name in data.draw(st.lists(st.sampled_from(DOCUMENTS), min_size=1, max_size=3)):
            value = json.loads((folder / name).read_text())
            (folder / name).write_text(json.dumps(changed(value, data.draw)))
        if data.draw(st.booleans()):
            (folder / ENVELOPES).unlink()
        write_again(folder, data.draw(st.sampled_from([restate, restate, restate, sum_again])))
        if found := checked(folder, None):
            assert any("not signed: nobody" in line or "not verified" in line for line in found.open)
            assert not any("signed" in line for line in found.holds)
