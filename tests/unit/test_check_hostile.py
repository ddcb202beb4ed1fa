"""The check of a release that somebody made to harm whoever checks it: a line, and nothing opened that is not the release's."""

from __future__ import annotations

import errno
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from released import make_release
from tampering import folder, found, place, restate, sum_again

from edgewright import check, digest, foreign
from edgewright.errors import WrongInput
from edgewright.log import CONTINUED

__all__ = ["folder", "place"]


# --- hostile folders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["manifest.json", "report.json", "bom.cdx.json", "provenance/second.json"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"\xff\xfe",
        b"[" * 100000,
        b'{"steps":1}',
        b'{"steps":[{}]}',
        b'{"a":1' + b"0" * 9999 + b"}",
    ],
)
def test_garbage_is_refused_in_a_line_and_without_a_traceback(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    sum_again(folder)
    assert found(folder)


def test_whatever_is_no_plain_file_is_refused_before_anything_is_opened(folder: Path) -> None:
    path = folder / "model.tflite"
    path.unlink()
    for make, kind in (
        (lambda: path.symlink_to("/etc/passwd"), "a link"),
        (lambda: path.symlink_to("model.tflite"), "a link"),
        (lambda: os.mkfifo(path), "a pipe"),
        (lambda: bind(path), "a socket"),
    ):
        make()
        assert found(folder).endswith(f"model.tflite: {kind}, neither a plain file nor a folder")
        path.unlink()
    (folder / "provenance2").symlink_to(folder / "provenance")
    assert found(folder).endswith("provenance2: a link, neither a plain file nor a folder")


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(path))


def test_a_file_with_a_name_outside_is_somebody_elses_too_and_one_with_two_names_inside_is_not(folder: Path) -> None:
    os.link(folder / "model.tflite", folder.parent / "outside")
    assert found(folder).endswith("model.tflite: a hard link to a file outside of its folder")
    (folder.parent / "outside").unlink()
    check.check(folder, None)
    os.link(folder / "model.tflite", folder / "provenance/again")
    assert found(folder) == "provenance/again: not in SHA256SUMS"


@pytest.mark.parametrize("name", [".", "provenance", "model.tflite", "release.intoto.jsonl"])
@pytest.mark.parametrize(
    ("bits", "told"),
    [
        (0o4000, "set-user-ID, set-group-ID or sticky"),
        (0o2000, "set-user-ID, set-group-ID or sticky"),
        (0o1000, "set-user-ID, set-group-ID or sticky"),
        (0o0002, "everybody on this machine may write to it"),
    ],
)
def test_a_mode_that_gives_others_more_is_refused_by_name(folder: Path, name: str, bits: int, told: str) -> None:
    path = folder / name
    path.chmod(path.stat().st_mode & 0o777 | bits)
    shown = "release" if name == "." else name
    assert found(folder) == f"{shown}: mode {path.stat().st_mode & 0o7777:04o}: {told}"
    path.chmod(path.stat().st_mode & 0o775)
    check.check(folder, None)


def test_a_release_can_be_made_where_the_folder_hands_its_group_on(place: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o2775)
    made = make_release(place / "toy", tmp_path)
    assert made.stat().st_mode & 0o2000
    assert "set-group-ID" in found(made)


def test_a_folder_that_holds_no_listed_file_is_refused(folder: Path) -> None:
    (folder / "more/and/more").mkdir(parents=True)
    lines = [f"{name}/: no file in it, and not in SHA256SUMS" for name in ("more", "more/and", "more/and/more")]
    assert found(folder) == CONTINUED.join(lines)


def test_a_release_is_checked_through_a_link_of_the_users_own(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(folder)
    check.check(tmp_path / "latest", None)


def test_what_is_swapped_between_look_and_open_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = foreign.look
    secret = folder.parent / "secret"
    secret.write_bytes((folder / "model.tflite").read_bytes())

    def look_then_swap(*given: Any) -> foreign.Tree:
        tree = look(*given)
        (folder / "model.tflite").unlink()
        (folder / "model.tflite").symlink_to(secret)
        return tree

    monkeypatch.setattr(foreign, "look", look_then_swap)
    assert "model.tflite: cannot be opened as what it was" in found(folder)


def test_what_may_not_be_read_costs_a_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "provenance/first.json")

    # Whoever runs the tests may be root, who may read everything.
    monkeypatch.setattr(foreign, "look", refuse)
    assert found(folder).endswith("/release: provenance/first.json: permission denied")


def test_too_many_files_and_too_many_bytes_cost_a_line_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (folder / "large").open("wb") as file:
        file.truncate(1 << 40)
    assert found(folder).endswith(f"/release: more than {1 << 30:,} bytes")
    (folder / "large").unlink()
    for number in range(1000):
        (folder / f"{number}").touch()
    assert found(folder).endswith("/release: more than 1,000 files and folders")


@pytest.mark.parametrize(
    "name",
    [
        "model.tflite",
        "manifest.json",
        "report.json",
        "bom.cdx.json",
        "provenance/first.json",
        "SHA256SUMS",
        "board.json",
    ],
)
def test_a_file_that_is_read_further_has_a_largest_size(folder: Path, name: str) -> None:
    with (folder / name).open("ab") as file:
        file.truncate(100_000_000)
    assert f"{name}: 100,000,000 bytes, where at most" in found(folder)


@pytest.mark.parametrize("line", ["{0}  ../secret", "{0}  /etc/passwd", "{0} *model.tflite", "{0}", "x", "\x1b[2J"])
def test_names_that_lead_out_of_the_folder_are_never_opened(folder: Path, line: str) -> None:
    secret = folder.parent / "secret"
    secret.write_text("s")
    with (folder / "SHA256SUMS").open("a") as file:
        file.write(line.format(digest.of_file(secret)) + "\n")
    told = found(folder)
    assert "missing" in told or "is no sha256 and name" in told
    assert "\x1b" not in told


def test_sums_have_one_form(folder: Path) -> None:
    path = folder / "SHA256SUMS"
    lines = path.read_bytes().splitlines(keepends=True)
    for text in ([*lines[::-1]], [*lines, lines[0]], [*lines, b"more without an end"]):
        path.write_bytes(b"".join(text))
        assert found(folder) == "SHA256SUMS: not as Edgewright writes it"


def test_a_files_name_cannot_command_the_terminal(folder: Path) -> None:
    (folder / "\x1b[2J").write_text("x")
    assert found(folder) == r"\x1b[2J: not in SHA256SUMS"


def test_a_folder_that_is_not_there_and_a_wrong_key_are_the_users_mistakes(place: Path, folder: Path) -> None:
    with pytest.raises(WrongInput, match="no such folder"):
        check.check(folder / "none", None)
    with pytest.raises(WrongInput, match="a private key"):
        check.check(folder, place / "release.key")


def test_a_bill_that_would_take_long_to_validate_is_refused_before_it_is(folder: Path) -> None:
    path = folder / "bom.cdx.json"
    bill = json.loads(path.read_text())
    for edit, told in (
        ({"components": [{"type": "library", "name": str(i)} for i in range(2_000)]}, "a list of 2,000"),
        ({"externalReferences": [{"type": "other", "url": "a/" * 11_000}]}, "22,000 letters of addresses"),
    ):
        path.write_text(json.dumps({**bill, **edit}))
        restate(folder)
        assert f"bom.cdx.json: {told}" in found(folder)


def test_a_number_that_no_float_holds_is_refused_without_a_traceback(folder: Path) -> None:
    path = folder / "report.json"
    report = json.loads(path.read_text())
    report["accuracy"]["gates"] = [{"name": "g", "limit": 10**400, "passes": None, "reason": ""}]
    path.write_text(json.dumps(report))
    restate(folder)
    assert "not a release of Edgewright's: OverflowError" in found(folder)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_in_json_is_refused(folder: Path, word: str) -> None:
    path = folder / "report.json"
    path.write_text(path.read_text().replace("{", f'{{"more": {word},', 1))
    restate(folder)
    assert found(folder) == "report.json: not a JSON object"


def test_a_manifest_of_more_steps_than_files_is_refused_at_once(folder: Path) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "steps": [{"stage": str(i)} for i in range(50_000)]}))
    sum_again(folder)
    assert found(folder) == "manifest.json: 50000 steps, and 15 files"
