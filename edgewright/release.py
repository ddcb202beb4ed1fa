"""`make release`: the bundle with its card, bill of materials, licences and statements, signed if a key is given."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]  # it has no __all__

from edgewright import bundle, card, chain, check, licences, materials, proc, signature
from edgewright.build import Build
from edgewright.bundle import BESIDE, MANIFEST, Kept
from edgewright.engine import Engine
from edgewright.errors import WrongInput
from edgewright.plan import VERDICT
from edgewright.sums import ENVELOPES

FOLDER = "releases"  # below dist/
CARD = "MODEL_CARD.md"


@dataclass(frozen=True)
class Terms:
    """What a release is made under: the project as it is at a commit, and who signs."""

    root: Path
    commit: str
    signer: CryptoSigner | None


def prepare(root: Path, engine: Engine, key: str = "") -> Terms:
    """Refuse what could not be released, before anything is built; `key` is the path of a private key, or nothing."""
    if not engine.hermetic:
        raise WrongInput(f"{engine.name} has no walls around what it runs; a release needs them", "ENGINE=docker")
    signer = signature.load_private(Path(key).expanduser()) if key else None
    return Terms(root, commit_of(root), signer)


def commit_of(root: Path) -> str:
    """Return the commit that the project is at, without any change or file that is not in it."""
    git = ["git", "-C", os.fspath(root)]
    code, changed = proc.capture([*git, "status", "--porcelain", "--untracked-files=normal", "--", "."])
    if code == 0 and changed:
        first, *more = changed.splitlines()
        others = f" and {len(more)} more" if more else ""
        raise WrongInput(f"not in any commit: {first.split(maxsplit=1)[-1]}{others}", "git commit   or   git stash -u")
    code, commit = proc.capture([*git, "rev-parse", "--verify", "HEAD"]) if code == 0 else (code, changed)
    if code:
        raise WrongInput(f"a release names its commit, and git has none: {commit.splitlines()[-1]}", "git commit")
    return commit


def write(walk: Build, dist: Path, terms: Terms) -> tuple[Path, bool]:
    """Write the release of a finished walk; return its folder and whether it had to be written."""
    if (now := commit_of(terms.root)) != terms.commit:
        raise WrongInput(f"the project went from {terms.commit[:12]} to {now[:12]} while it was built", "make release")
    files = bundle.files_of(walk)
    report = _report(files)
    manifest = {**bundle.manifest_of(walk, files), "commit": terms.commit}
    contents: dict[str, Kept | bytes] = {**files, **_papers(walk, terms.root, manifest, report)}
    sums = {name: bundle.sum_of(content) for name, content in contents.items()}
    statements = chain.statements(manifest, report, sums)
    signed = {ENVELOPES: _envelopes(statements, terms.signer)} if terms.signer else {}
    key = terms.signer.public_key if terms.signer else None
    folder = bundle.folder_of(walk, dist / FOLDER)
    # What would not pass its own check gets no name.
    judge = partial(check.inspect, key=key)
    return folder, bundle.place(folder, {**contents, **statements}, unlisted=signed, judge=judge)


def _report(files: dict[str, Kept]) -> dict[str, Any]:
    """Return the report; refuse a model of which not all was proved that its recipe asks for."""
    if BESIDE[VERDICT] not in files:
        raise WrongInput("nothing was proved about this model: its pipeline ends without a verdict", "make devices")
    report: dict[str, Any] = json.loads(files[BESIDE[VERDICT]].read())
    if reason := chain.unproved(report):
        raise WrongInput(reason, "DATA= with labelled validation images")
    return report


def _papers(walk: Build, root: Path, manifest: dict[str, Any], report: dict[str, Any]) -> dict[str, bytes]:
    """Return what is written for the release: manifest, card, bill of materials, licences."""
    locks = {step.stage.name: (step.stage.folder / "requirements.txt").read_text() for step in walk.plan.steps}
    bill = json.dumps(materials.bom(manifest, report, locks), indent=2, sort_keys=True) + "\n"
    return {
        MANIFEST: bundle.encode(manifest),
        CARD: card.model_card(manifest, report).encode(),
        chain.BOM: bill.encode(),
        **licences.files(root, manifest),
    }


def _envelopes(statements: dict[str, bytes], signer: CryptoSigner) -> bytes:
    return b"".join(signature.sign(text, signer) for text in statements.values())
