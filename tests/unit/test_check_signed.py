"""What a check says is signed and what is not: a damaged signature is none, and nobody signs what a board answered."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from tampering import folder, found, place

from edgewright import check, digest
from edgewright.errors import HashDiffers

__all__ = ["folder", "place"]


# --- what is signed, and what is not ------------------------------------------------------------------------------------------


def test_without_a_key_a_signature_is_named_and_not_called_verified(folder: Path) -> None:
    checked = check.check(folder, None)
    (line,) = checked.open
    assert re.fullmatch(r"signed by keyid [0-9a-f]{12}, not verified: no KEY=release\.pub", line)
    assert not any("signed" in held for held in checked.holds)
    (folder / "release.intoto.jsonl").unlink()
    assert check.check(folder, None).open == ["not signed: nobody vouches for any of these files"]


def envelopes(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "release.intoto.jsonl").read_text().splitlines()]


def write_envelopes(folder: Path, rows: list[Any]) -> None:
    (folder / "release.intoto.jsonl").write_bytes(b"".join(digest.canonical(row) + b"\n" for row in rows))


@pytest.mark.parametrize("keep", [0, 1, 43, 60, 63, 65, 128])
@pytest.mark.parametrize("key", ["", "release.pub"])
def test_a_signature_that_is_not_whole_is_never_called_one(place: Path, folder: Path, keep: int, key: str) -> None:
    rows = envelopes(folder)
    whole = base64.b64decode(rows[1]["signatures"][0]["sig"])
    rows[1]["signatures"][0]["sig"] = base64.b64encode((whole * 2)[:keep]).decode()
    write_envelopes(folder, rows)
    told = found(folder, place / key if key else None)
    assert told == "release.intoto.jsonl: line 2: no whole signature: one has 64 bytes, and the id of its key"


def test_an_envelope_file_that_is_cut_off_anywhere_is_an_error_without_a_key_too(folder: Path) -> None:
    path = folder / "release.intoto.jsonl"
    content = path.read_bytes()
    for length in {*range(0, len(content), 97), len(content) - 1}:
        path.write_bytes(content[:length])
        assert "release.intoto.jsonl: " in found(folder), length


def test_an_envelope_says_whose_it_is_and_all_say_the_same(place: Path, folder: Path) -> None:
    rows = envelopes(folder)
    for keyid in ("", "x", "A" * 64, "0" * 63, "\u202e" + "0" * 63, 1, None, ["0" * 64]):
        changed = json.loads(json.dumps(rows))
        changed[0]["signatures"][0]["keyid"] = keyid
        write_envelopes(folder, changed)
        assert "release.intoto.jsonl: line 1: no" in found(folder), keyid
    rows[0]["signatures"][0]["keyid"] = "0" * 64
    write_envelopes(folder, rows)
    assert found(folder) == "release.intoto.jsonl: signed by 2 keys, not one"
    rows = envelopes(folder)
    rows[0]["signatures"][0]["more"] = 1
    write_envelopes(folder, rows)
    assert "line 1: no whole signature" in found(folder)


def test_a_payload_must_be_the_very_statement_without_a_key_too(folder: Path) -> None:
    rows = envelopes(folder)
    rows[0]["payload"] = rows[1]["payload"]
    write_envelopes(folder, rows)
    assert found(folder) == "release.intoto.jsonl: line 1 is not about provenance/first.json"


# --- board.json ---------------------------------------------------------------------------------------------------------------


def answered(folder: Path, **changes: Any) -> dict[str, Any]:
    """Write board.json as `make flash` would, with changes."""
    manifest = json.loads((folder / "manifest.json").read_text())
    report: dict[str, Any] = {
        "schema": 1, "virtual": True, "model": manifest["model"]["sha256"],
        "firmware": manifest["firmware"]["name"], "address": manifest["firmware"]["address"],
        "written": {"chip": "c", "bytes": 9, "seconds": 0.5, "checked": ""},
        "id": "1", "name": "b", "version": {"software": "1", "hardware": "1"}, "firmwares": ["judged-1"],
        "models": [{"id": 1, "address": 0}], "model_id": 1, "algorithm": 5, "tscore": 50, "tiou": None,
        "resolution": [240, 240], "kind": "keypoints", "perf": [[1, 2, 3]],
        "detections": [[[[1, 2, 3, 4, 5, 0], [[1, 2, 3, 0]]]], [[1, 2, 3, 4, 5, 0]], []],
        "info": True, "agreement": {"frames": 1, "equal": 1}, "estimate_ms": [1, 2.5],
    }  # fmt: skip
    (folder / "board.json").write_text(json.dumps({**report, **changes}))
    return report


def test_what_a_board_answered_is_told_apart_from_what_is_signed(place: Path, folder: Path) -> None:
    answered(folder)
    (line,) = check.check(folder, place / "release.pub").open
    assert line.startswith("board.json: not signed, and in no sums: what a virtual board answered")
    answered(folder, virtual=False, agreement=None, estimate_ms=None)
    _, line = check.check(folder, None).open
    assert "what a board answered" in line


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": "0" * 64}, "about another model: 000"),
        ({"firmware": "x"}, "about another firmware: x, not judged-1"),
        ({"address": 1}, "about another address: 1, not 0"),
        ({"more": 1}, "not as make flash writes it: more: extra inputs are not permitted"),
        ({"virtual": "yes"}, "not as make flash writes it: virtual: "),
        ({"schema": 2}, "not as make flash writes it: schema: "),
        ({"id": None}, "not as make flash writes it: id: "),
        ({"detections": [[[1, 2]]]}, "not as make flash writes it: detections.0.0."),
        ({"perf": [[1, 2]]}, "not as make flash writes it: perf.0"),
        ({"written": {}}, "not as make flash writes it: written.chip: field required"),
    ],
)
def test_a_board_json_that_make_flash_has_not_written_is_refused(folder: Path, changes: Any, told: str) -> None:
    answered(folder, **changes)
    with pytest.raises(HashDiffers) as refusal:
        check.check(folder, None)
    assert str(refusal.value).startswith(f"board.json: {told}")
    assert refusal.value.hint.startswith(f"rm {folder / 'board.json'} ")


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"[" * 100_000, b"1" * 5000, b'{"schema":1e999}'])
def test_a_board_json_of_garbage_is_refused_in_a_line(folder: Path, content: bytes) -> None:
    (folder / "board.json").write_bytes(content)
    assert found(folder).startswith("board.json: ")
