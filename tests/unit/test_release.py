"""Releases: the same bytes from the same inputs, refused where they would promise too much, and every tampering found."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from release_facts import report
from released import Walled, git, make_release, make_released, set_text, walk_of
from toy_project import Here

from edgewright import bundle, chain, check, digest, release, signature
from edgewright.errors import HashDiffers, WrongInput
from edgewright.sums import UNLISTED


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a project, keys, a signed release and one of another build, made once."""
    root = tmp_path_factory.mktemp("released")
    patch = pytest.MonkeyPatch()
    patch.setenv("EDGEWRIGHT_STORE", str(root / "store"))
    key, _ = signature.make_key(root / "release.key")
    signature.make_key(root / "other.key")
    make_release(make_released(root / "toy"), root / "one", key)
    set_text(make_released(root / "toy2"), "5678TFL3")
    shutil.copy(root / "toy2/configs/recipes/figures.toml", root / "figures.toml")
    git(root / "toy2", "commit", "-q", "-a", "-m", "another")
    make_release(root / "toy2", root / "two", key)
    patch.undo()
    return root


@pytest.fixture
def folder(place: Path, tmp_path: Path) -> Path:
    """Return a copy of the signed release, to tamper with."""
    return Path(shutil.copytree(only(place / "one"), tmp_path / "release"))


def only(out: Path) -> Path:
    (found,) = (out / "dist/releases").iterdir()
    return found


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sum_again(folder: Path) -> None:
    """Write SHA256SUMS as whoever has tampered would."""
    sums = {name: digest.of_bytes(text) for name, text in files_of(folder).items() if name not in UNLISTED}
    (folder / "SHA256SUMS").write_bytes(bundle.listing(sums))


def restate(folder: Path) -> None:
    """Write all statements and sums again, as whoever has tampered and has no key would."""
    sums = {name: digest.of_bytes(text) for name, text in files_of(folder).items()}
    covered = {name: total for name, total in sums.items() if name not in UNLISTED and "provenance/" not in name}
    manifest, told = (json.loads((folder / name).read_text()) for name in ("manifest.json", "report.json"))
    for name, text in chain.statements(manifest, told, covered).items():
        (folder / name).write_bytes(text)
    sum_again(folder)


def found(folder: Path, key: Path | None = None) -> str:
    with pytest.raises(HashDiffers) as refusal:
        check.check(folder, key)
    return str(refusal.value)


# --- what is right ------------------------------------------------------------------------------------------------------------


def test_a_release_is_complete_and_passes_its_check(place: Path, folder: Path) -> None:
    names = set(files_of(folder))
    assert names >= {"model.tflite", "report.html", "report.json", "manifest.json", "MODEL_CARD.md", "bom.cdx.json"}
    assert names >= {f"provenance/{name}.json" for name in ("first", "second", "judge", "test-result", "release")}
    assert names >= {"SHA256SUMS", "release.intoto.jsonl", "LICENSES/AGPL-3.0-only.txt"}
    subprocess.run(["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"], cwd=folder, check=True)
    lines = check.check(folder, place / "release.pub")
    assert "5 statements, one chain to the model" in lines
    assert lines[-1].startswith("signed by the key ")


def test_two_releases_of_the_same_inputs_are_the_same_bytes_and_the_second_is_not_written(
    place: Path, folder: Path, tmp_path: Path
) -> None:
    again = make_release(place / "toy", tmp_path / "again", place / "release.key")
    assert files_of(again) == files_of(folder)
    terms = release.prepare(place / "toy", Walled(place / "toy"), str(place / "release.key"))
    walk = walk_of(place / "toy", tmp_path / "again/build")
    assert release.write(walk, tmp_path / "again/dist", terms) == (again, False)
    (again / "release.intoto.jsonl").write_text("")
    assert release.write(walk, tmp_path / "again/dist", terms) == (again, True)
    assert files_of(again) == files_of(folder)


def test_nothing_in_a_release_tells_where_it_was_made(place: Path, folder: Path) -> None:
    for name, content in files_of(folder).items():
        assert str(place).encode() not in content, name


def test_a_users_own_model_is_released_as_what_the_judge_took(place: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.tflite"
    own.write_text("1234TFL3x")
    made = make_release(place / "toy", tmp_path, place / "release.key", files={"model": own})
    check.check(made, place / "release.pub")
    assert (made / "model.tflite").read_bytes() == own.read_bytes()
    assert {path.stem for path in (made / "provenance").iterdir()} == {"judge", "test-result", "release"}


def test_without_a_key_all_but_the_signer_is_checked_and_that_is_said(folder: Path) -> None:
    assert check.check(folder, None)[-1] == "signed, but not checked by whom: KEY=release.pub"
    (folder / "release.intoto.jsonl").unlink()
    assert check.check(folder, None)[-1] == "not signed"


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


def test_a_model_must_look_like_one(place: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.tflite"
    own.write_text("12345678")
    with pytest.raises(HashDiffers, match=r"model\.tflite: not a TFLite file"):
        make_release(place / "toy", tmp_path, files={"model": own})
    assert list((tmp_path / "dist/releases").iterdir()) == []


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


def test_links_and_pipes_are_refused_before_anything_is_opened(folder: Path) -> None:
    (folder / "model.tflite").unlink()
    (folder / "model.tflite").symlink_to("/etc/passwd")
    assert found(folder) == "model.tflite: neither a file nor a folder"
    (folder / "model.tflite").unlink()
    (folder / "provenance2").symlink_to(folder / "provenance")
    assert found(folder) == "provenance2: neither a file nor a folder"


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
    assert found(folder) == "?[2J: not in SHA256SUMS"


def test_a_folder_that_is_not_there_and_a_wrong_key_are_the_users_mistakes(place: Path, folder: Path) -> None:
    with pytest.raises(WrongInput, match="no such folder"):
        check.check(folder / "none", None)
    with pytest.raises(WrongInput, match="a private key"):
        check.check(folder, place / "release.key")


# --- what is not released -----------------------------------------------------------------------------------------------------


def test_an_engine_without_walls_is_refused_before_anything_is_built(place: Path) -> None:
    with pytest.raises(WrongInput, match="has no walls") as refusal:
        release.prepare(place / "toy", Here(place / "toy"))
    assert refusal.value.hint == "ENGINE=docker"


def test_changed_new_and_staged_files_are_refused_by_name(tmp_path: Path) -> None:
    root = make_released(tmp_path / "toy")
    release.prepare(root, Walled(root))
    (root / "new.txt").write_text("x")
    with pytest.raises(WrongInput, match=r"not in any commit: new\.txt"):
        release.prepare(root, Walled(root))
    git(root, "config", "status.showUntrackedFiles", "no")
    with pytest.raises(WrongInput, match=r"new\.txt"):
        release.prepare(root, Walled(root))
    (root / "new.txt").unlink()
    set_text(root, "x")
    with pytest.raises(WrongInput, match=r"not in any commit: configs/recipes/figures\.toml"):
        release.prepare(root, Walled(root))


def test_a_project_without_git_or_without_a_commit_is_refused(tmp_path: Path) -> None:
    root = make_released(tmp_path / "toy")
    shutil.rmtree(root / ".git")
    with pytest.raises(WrongInput, match="git has none"):
        release.prepare(root, Walled(root))
    git(root, "init", "-q")
    shutil.move(root, tmp_path / "elsewhere")
    root.mkdir()
    git(root, "init", "-q")
    with pytest.raises(WrongInput, match="git has none"):
        release.prepare(root, Walled(root))


def test_a_project_that_is_changed_while_it_is_built_is_refused(tmp_path: Path) -> None:
    root = make_released(tmp_path / "toy")
    terms = release.prepare(root, Walled(root))
    walk = walk_of(root, tmp_path / "build")
    git(root, "commit", "-q", "--allow-empty", "-m", "more")
    with pytest.raises(WrongInput, match="while it was built"):
        release.write(walk, tmp_path / "dist", terms)


def test_a_model_of_which_not_all_was_proved_is_refused(tmp_path: Path) -> None:
    gate = {"name": "max_ap_drop", "limit": 0.1, "found": None, "passes": None, "reason": "no images"}
    root = make_released(tmp_path / "toy", changes={"accuracy": {**report()["accuracy"], "gates": [gate]}})
    with pytest.raises(WrongInput, match=r"gate max_ap_drop = 0\.1 was not checked: no images"):
        make_release(root, tmp_path)
    partial = make_released(tmp_path / "toy2", changes={"verdict": {**report()["verdict"], "state": "partial"}})
    with pytest.raises(WrongInput, match="verdict: partial"):
        make_release(partial, tmp_path / "two")
    assert not (tmp_path / "dist").exists()
