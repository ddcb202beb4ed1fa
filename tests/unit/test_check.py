"""The check of a release: every tampering is found, with whatever was written again to go with it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tampering import files_of, folder, found, only, place, restate, sum_again

from edgewright import chain, check, digest
from edgewright.sums import UNLISTED

__all__ = ["folder", "place"]


# --- tampering ----------------------------------------------------------------------------------------------------------------


def test_one_flipped_bit_in_any_file_is_found_and_named(place: Path, folder: Path) -> None:
    for name, content in files_of(folder).items():
        for at in {0, len(content) // 2, len(content) - 1}:
            flipped = bytearray(content)
            flipped[at] ^= 1
            (folder / name).write_bytes(flipped)
            told = found(folder, place / "release.pub")
            # A changed line of sums may be told by the file that it names.
            assert name in told or name == "SHA256SUMS", (name, at, told)
        (folder / name).write_bytes(content)
    check.check(folder, place / "release.pub")


def test_every_bit_of_an_envelope_counts(place: Path, folder: Path) -> None:
    path = folder / "release.intoto.jsonl"
    content = path.read_bytes()
    for at in range(0, 8 * len(content), 8 * 97 + 1):  # each of the eight, here and there
        flipped = bytearray(content)
        flipped[at // 8] ^= 1 << at % 8
        path.write_bytes(flipped)
        assert "release.intoto.jsonl" in found(folder, place / "release.pub"), at


def test_two_files_exchanged_are_both_named(place: Path, folder: Path) -> None:
    one, other = (folder / f"provenance/{name}.json" for name in ("first", "second"))
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)
    told = found(folder, place / "release.pub")
    assert "provenance/first.json: not what SHA256SUMS says" in told
    assert "provenance/second.json: not what SHA256SUMS says" in told
    sum_again(folder)
    told = found(folder)
    assert "provenance/first.json: not the statement of this build" in told
    assert "provenance/second.json: not the statement of this build" in told


def test_any_file_missing_is_named_with_the_sums_written_again_too(place: Path, folder: Path) -> None:
    for name, content in files_of(folder).items():
        (folder / name).unlink()
        assert f"{name}: missing" in found(folder, place / "release.pub")
        if name not in UNLISTED:
            sums = (folder / "SHA256SUMS").read_bytes()
            sum_again(folder)
            assert found(folder, place / "release.pub")
            (folder / "SHA256SUMS").write_bytes(sums)
        (folder / name).write_bytes(content)


def test_a_file_too_many_is_named(place: Path, folder: Path) -> None:
    for name in ("more.txt", ".hidden", "provenance/more.json"):
        (folder / name).write_text("{}")
        assert f"{name}: not in SHA256SUMS" in found(folder, place / "release.pub")
        (folder / name).unlink()
    (folder / "provenance/more.json").write_text("{}")
    sum_again(folder)
    assert "provenance/more.json: of no step in manifest.json" in found(folder)


def test_a_missing_statement_is_named_even_if_sums_and_envelopes_go_with_it(place: Path, folder: Path) -> None:
    (folder / "provenance/second.json").unlink()
    sum_again(folder)
    path = folder / "release.intoto.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:1], *lines[2:]]))
    assert "provenance/second.json: missing" in found(folder, place / "release.pub")


@pytest.mark.parametrize("number", range(5))
def test_a_missing_envelope_is_counted(place: Path, folder: Path, number: int) -> None:
    path = folder / "release.intoto.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:number], *lines[number + 1 :]]))
    assert "4 envelopes for 5 statements" in found(folder)


def test_envelopes_in_another_order_are_about_something_else(folder: Path) -> None:
    path = folder / "release.intoto.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[::-1]))
    assert "line 1 is not about provenance/first.json" in found(folder)


def test_any_part_of_another_build_is_found_signed_by_the_same_key_as_it_is(place: Path, folder: Path) -> None:
    other, envelopes = only(place / "two"), (folder / "release.intoto.jsonl").read_bytes()
    theirs = (other / "release.intoto.jsonl").read_bytes().splitlines(keepends=True)
    ours = envelopes.splitlines(keepends=True)
    order = [f"provenance/{name}.json" for name in ("first", "second", "judge", "test-result", "release")]
    for name, content in files_of(folder).items():
        replaced = (other / name).read_bytes()
        if name in UNLISTED or replaced == content:
            continue
        (folder / name).write_bytes(replaced)
        sum_again(folder)
        if name in order:
            at = order.index(name)
            (folder / "release.intoto.jsonl").write_bytes(b"".join([*ours[:at], theirs[at], *ours[at + 1 :]]))
        assert found(folder, place / "release.pub"), name
        (folder / name).write_bytes(content)
        (folder / "release.intoto.jsonl").write_bytes(envelopes)


def test_the_other_builds_statement_is_told_by_what_differs(place: Path, folder: Path) -> None:
    shutil.copy(only(place / "two") / "provenance/second.json", folder / "provenance/second.json")
    sum_again(folder)
    told = found(folder)
    assert "provenance/second.json: not the statement of this build: predicate.buildDefinition." in told


def test_whoever_writes_everything_again_still_lacks_the_key(place: Path, folder: Path) -> None:
    card = folder / "MODEL_CARD.md"
    card.write_text(card.read_text() + "and it is wonderful\n")
    restate(folder)
    told = found(folder, place / "release.pub")
    assert "release.intoto.jsonl: line 5 is not about provenance/release.json" in told


def test_another_key_is_not_the_one_that_signed(place: Path, folder: Path) -> None:
    told = found(folder, place / "other.pub")
    assert told.count("not signed by this key") == 5


def test_an_unsigned_release_is_refused_where_a_key_was_given(place: Path, folder: Path) -> None:
    (folder / "release.intoto.jsonl").unlink()
    assert "not signed" in found(folder, place / "release.pub")


# --- what whoever holds no key could still make up: the parts have to agree -----------------------------------------------------


def change(folder: Path, name: str, edit: Callable[[dict], None]) -> None:  # type: ignore[type-arg]
    value = json.loads((folder / name).read_text())
    edit(value)
    (folder / name).write_text(json.dumps(value))
    restate(folder)


def test_a_key_must_follow_from_what_the_step_ran_on(folder: Path) -> None:
    change(folder, "manifest.json", lambda m: m["steps"][0]["parameters"].update(text="other"))
    assert "the key of first does not follow" in found(folder)


def test_a_broken_chain_is_found_where_it_is_broken(folder: Path) -> None:
    def edit(manifest: dict) -> None:  # type: ignore[type-arg]
        step = manifest["steps"][1]
        step["inputs"]["weights"]["sha256"] = "00" * 32
        facts = {name: step[name] for name in chain.FACTS}
        step["key"] = digest.of_value({**facts, "inputs": {"weights": "00" * 32}})

    change(folder, "manifest.json", edit)
    told = found(folder)
    assert "the chain is broken: second took a weights that first did not give" in told
    assert "the key" not in told


def test_a_model_that_no_step_made_is_found(folder: Path) -> None:
    (folder / "model.tflite").write_bytes(b"1234TFL3z")
    total = digest.of_file(folder / "model.tflite")
    change(folder, "manifest.json", lambda m: m["model"].update(sha256=total))
    told = found(folder)
    assert "no step gave or took this model" in told
    assert "report.json: about another model" in told
    assert "no step judged this model" in told
    assert "bom.cdx.json: of another model" in told


@pytest.mark.parametrize(
    ("name", "edit", "line"),
    [
        ("report.json", lambda r: r["verdict"].update(state="fails"), "report.json: verdict: fails"),
        ("report.json", lambda r: r["verdict"].update(state="partial"), "report.json: verdict: partial"),
        ("report.json", lambda r: r["device"].update(name="x"), "about another device: x, not judged"),
        ("report.json", lambda r: r["firmware"].update(name="x"), "about another firmware: x, not judged-1"),
        ("report.json", lambda r: r["firmware"].update(address=1), "about another address: 1, not 0"),
        ("report.json", lambda r: r["model"].update(sha256="x"), "about another model"),
        ("report.json", lambda r: r.update(more=1), "report.json: not of this build"),
        ("bom.cdx.json", lambda b: b.update(more=1), "bom.cdx.json: "),
        ("manifest.json", lambda m: m["steps"][0].update(isolation="none"), "first ran without walls"),
        ("manifest.json", lambda m: m["model"].update(bytes=1), "model.tflite: 9 bytes, not 1"),
    ],
)
def test_what_contradicts_the_rest_is_told(folder: Path, name: str, edit: Callable[[dict], None], line: str) -> None:  # type: ignore[type-arg]
    change(folder, name, edit)
    assert line in found(folder)
