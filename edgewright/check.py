"""`make check`: a release against itself and a public key, with nothing else: no build, no engine, no network, no git."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from securesystemslib.dsse import Envelope
from securesystemslib.signer import Key  # type: ignore[attr-defined]  # it has no __all__

from edgewright import board_report, bundle, chain, signature, sums
from edgewright.bundle import BOARD, SUMS
from edgewright.errors import HashDiffers, WrongInput
from edgewright.foreign import Foreign
from edgewright.log import CONTINUED
from edgewright.sums import ENVELOPES, Contents
from edgewright.text import visible

FINDINGS_SHOWN, LETTERS_SHOWN = 20, 400  # what of all that is wrong is worth reading
# Its lines hold every statement once more, in base64.
ENVELOPES_BYTES = 20_000_000
SPECIAL = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
AGAIN = "do not use this release; get it again from who made it"


@dataclass(frozen=True)
class Checked:
    """What a check has found, a line each: what holds, and what nobody vouches for or this check could not tell."""

    holds: list[str]
    open: list[str]


def check(folder: Path, public_key: Path | None) -> Checked:
    """Check a release that comes from anywhere; raise HashDiffers with a line for each thing that is wrong."""
    key = signature.load_public(public_key) if public_key else None
    if not folder.is_dir():
        raise WrongInput(f"RELEASE={folder}: no such folder", "RELEASE=dist/releases/…")
    contents = _read(folder)
    # A disk that knows no modes shows everything as writable by all: then the files are fine, and their place is not.
    _refuse(_modes(contents), f"{AGAIN}; or cp --recursive --no-preserve=mode {folder} copy, then RELEASE=copy")
    return _inspect(contents, key)


def inspect(folder: Path, key: Key | None) -> Checked:
    """Check a release that was just written here."""
    return _inspect(_read(folder), key)


def _read(folder: Path) -> Contents:
    try:
        return sums.read(folder, _most_bytes)
    except Foreign as problem:
        raise HashDiffers(_line(f"RELEASE={folder}: {problem}"), AGAIN) from None


def _most_bytes(name: str) -> int:
    return {ENVELOPES: ENVELOPES_BYTES, BOARD: board_report.MOST_BYTES}.get(name) or chain.most_bytes(name)


def _inspect(contents: Contents, key: Key | None) -> Checked:
    """Verify files, then what they say, then who signed it; each only if what came before is right."""
    _refuse([*_empty_folders(contents), *sums.differences(contents)])
    try:
        release = chain.load(contents)
        _refuse(chain.findings(release))
        names = chain.names(release.manifest)
        verdict = f"{bundle.MODEL_FILE}: {release.report['verdict']['summary']}"
    except (LookupError, TypeError, AttributeError, ValueError, RuntimeError, ArithmeticError) as problem:
        # ValueError brings a line of its own; the others mean that something is not where Edgewright writes it.
        _refuse([str(problem) if isinstance(problem, ValueError) else f"not a release of Edgewright's: {problem!r}"])
    count = len(sums.listed(contents))
    holds = [
        f"{count} files with the sums that {SUMS} says",
        f"{len(names)} statements, one chain to the model",
        _line(verdict),
    ]
    board = [_board(contents, release.manifest)] if BOARD in contents.texts else []
    if ENVELOPES not in contents.texts:
        _refuse([f"{ENVELOPES}: missing: not signed"] if key else [])
        return Checked(holds, ["not signed: nobody vouches for any of these files", *board])
    signer = _signer(contents, names, key)[:12]
    if not key:
        return Checked(holds, [f"signed by keyid {signer}, not verified: no KEY=release.pub", *board])
    told = "SLSA Build L1, who vouches for it, not that nobody could have forged it"
    return Checked([*holds, f"signed by the key {signer}, all {count} files: {told}"], board)


def _refuse(findings: Iterable[str], hint: str = AGAIN) -> None:
    lines = [_line(finding) for finding in findings]
    if lines:
        more = [f"… and {len(lines) - FINDINGS_SHOWN} more"] if len(lines) > FINDINGS_SHOWN else []
        raise HashDiffers(CONTINUED.join([*lines[:FINDINGS_SHOWN], *more]), hint)


def _line(text: str) -> str:
    """Return a line that may hold others' words, as it may be shown."""
    return visible(text if len(text) <= LETTERS_SHOWN else f"{text[:LETTERS_SHOWN]}…")


# --- folders and modes ----------------------------------------------------------------------------------------------------------


def _modes(contents: Contents) -> Iterator[str]:
    """No sum and no signature covers a mode, and a copy of the release keeps it."""
    tree = contents.tree
    for name, seen in {**tree.folders, **tree.files}.items():
        mode = stat.S_IMODE(seen.mode)
        shown = tree.root.name if name == "." else name
        if mode & SPECIAL:
            yield f"{shown}: mode {mode:04o}: set-user-ID, set-group-ID or sticky"
        elif mode & stat.S_IWOTH:
            yield f"{shown}: mode {mode:04o}: everybody on this machine may write to it"


def _empty_folders(contents: Contents) -> Iterator[str]:
    holding = {str(parent) for name in contents.tree.files for parent in PurePosixPath(name).parents}
    for name in sorted(contents.tree.folders.keys() - holding - {"."}):
        yield f"{name}/: no file in it, and not in {SUMS}"


# --- signatures ---------------------------------------------------------------------------------------------------------------


def _signer(contents: Contents, names: list[str], key: Key | None) -> str:
    """Return the id of the key that all statements are signed with, or say that they are; refuse what no signer has written."""
    lines = contents.texts[ENVELOPES].splitlines(keepends=True)
    _refuse([f"{ENVELOPES}: {len(lines)} envelopes for {len(names)} statements"] if len(lines) != len(names) else [])
    findings, signers = [], []
    for number, (name, line) in enumerate(zip(names, lines, strict=True), 1):
        try:
            envelope = signature.open_envelope(line)
        except ValueError as problem:
            findings.append(f"{ENVELOPES}: line {number}: {problem}")
            continue
        signers.append(signature.keyid_of(envelope))
        findings += _envelope(envelope, f"{ENVELOPES}: line {number}", name, contents.texts[name], key)
    _refuse(findings)
    _refuse([f"{ENVELOPES}: signed by {len(set(signers))} keys, not one"] if len(set(signers)) > 1 else [])
    return signers[0]


def _envelope(envelope: Envelope, where: str, name: str, statement: bytes, key: Key | None) -> Iterator[str]:
    """It is around the statement's very bytes, and signed by the key, if one is given."""
    if envelope.payload != statement:
        yield f"{where} is not about {name}"
    elif key and not signature.is_signed_by(envelope, key):
        yield f"{where}, {name}: not signed by this key"


# --- what came later ----------------------------------------------------------------------------------------------------------


def _board(contents: Contents, manifest: Mapping[str, Any]) -> str:
    """Say what board.json is worth; refuse what `make flash` of this release has not written."""
    hint = f"rm {contents.tree.root / BOARD}   it is no part of the release"
    try:
        found = board_report.parse(contents.texts[BOARD])
    except ValueError as problem:
        raise HashDiffers(_line(str(problem)), hint) from None
    _refuse(found.findings(manifest), hint)
    who = "a virtual board" if found.virtual else "a board"
    return f"{BOARD}: not signed, and in no sums: what {who} answered after make flash, as whoever wrote it says"
