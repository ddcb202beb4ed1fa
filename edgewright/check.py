"""`make check`: a release against itself and a public key, with nothing else: no build, no engine, no network, no git."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from securesystemslib.signer import Key  # type: ignore[attr-defined]  # it has no __all__

from edgewright import bundle, chain, signature
from edgewright.bundle import SUMS
from edgewright.errors import HashDiffers, WrongInput
from edgewright.sums import ENVELOPES, UNLISTED, differences, odd_files, sums_of

MOST = 20  # findings that are worth reading


def check(folder: Path, public_key: Path | None) -> list[str]:
    """Return what was verified about a release, a line each; raise HashDiffers with a line for each thing that is wrong."""
    key = signature.load_public(public_key) if public_key else None
    if not folder.is_dir():
        raise WrongInput(f"RELEASE={folder}: no such folder", "RELEASE=dist/releases/…")
    return inspect(folder, key)


def inspect(folder: Path, key: Key | None) -> list[str]:
    """Verify files, then what they say, then who signed it; each only if what came before is right."""
    _refuse(odd_files(folder))
    found = sums_of(folder)
    _refuse(differences(folder, found))
    sums = {name: total for name, total in found.items() if name not in UNLISTED}
    try:
        release = chain.load(folder, sums)
        _refuse(chain.findings(release))
        names = chain.names(release.manifest)
        verdict = f"{bundle.MODEL_FILE}: {release.report['verdict']['summary']}"
    except (LookupError, TypeError, AttributeError, ValueError, RuntimeError) as problem:
        # ValueError brings a line of its own; the others mean that something is not where Edgewright writes it.
        line = str(problem) if isinstance(problem, ValueError) else f"not a release of Edgewright's: {problem!r}"
        _refuse([line])
    _refuse(_signatures(folder, names, key))
    lines = [
        f"{len(sums)} files with the sums that {SUMS} says",
        f"{len(names)} statements, one chain to the model",
        verdict,
    ]
    return [*lines, _signed(folder, key)]


def _refuse(findings: Iterable[str]) -> None:
    lines = ["".join(c if c.isprintable() else "?" for c in line) for line in findings]
    if lines:
        more = [f"… and {len(lines) - MOST} more"] if len(lines) > MOST else []
        raise HashDiffers(
            "\n       ".join([*lines[:MOST], *more]), "do not use this release; get it again from who made it"
        )


def _signatures(folder: Path, names: list[str], key: Key | None) -> Iterator[str]:
    """Each statement has its envelope, in order, with its very bytes and the key's signature."""
    path = folder / ENVELOPES
    if not path.exists():
        if key:
            yield f"{ENVELOPES}: missing: not signed"
        return
    lines = path.read_bytes().splitlines(keepends=True)
    if len(lines) != len(names):
        yield f"{ENVELOPES}: {len(lines)} envelopes for {len(names)} statements"
    for number, (name, line) in enumerate(zip(names, lines, strict=False), 1):
        try:
            envelope = signature.open_envelope(line)
        except ValueError as problem:
            yield f"{ENVELOPES}: line {number}: {problem}"
            continue
        if envelope.payload != (folder / name).read_bytes():
            yield f"{ENVELOPES}: line {number} is not about {name}"
        elif key and not signature.is_signed_by(envelope, key):
            yield f"{ENVELOPES}: line {number}, {name}: not signed by this key"


def _signed(folder: Path, key: Key | None) -> str:
    if key:
        return f"signed by the key {key.keyid[:12]}: SLSA Build L1, who vouches for it, not that nobody could have forged it"
    return "signed, but not checked by whom: KEY=release.pub" if (folder / ENVELOPES).exists() else "not signed"
