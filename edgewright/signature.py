"""Keys and signatures: ed25519 over DSSE envelopes, offline. The same payload and key give the same bytes."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from platformdirs import user_config_path
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, Key, SSlibKey  # type: ignore[attr-defined]  # it has no __all__

from edgewright import digest
from edgewright.errors import WrongInput

DEFAULT = user_config_path("edgewright") / "release.key"
PAYLOAD = "application/vnd.in-toto+json"
PUBLIC = ".pub"  # suffix of the file beside the private key
KEY_BYTES = 10_000  # far more than any PEM file of one key has
SIGNATURE_BYTES = 64  # RFC 8032, 5.1.6
KEYID = re.compile(r"[0-9a-f]{64}")  # sha256 of the public key, says securesystemslib


def make_key(path: Path = DEFAULT) -> tuple[Path, Path]:
    """Make a key pair and return its two files, the secret one first; nothing that is there is overwritten."""
    public = path.with_suffix(PUBLIC)
    if public == path:
        raise WrongInput(f"KEY={path}: this name is for the public key", f"make key KEY={path.with_suffix('.key')}")
    for there in (path, public):
        if there.exists() or there.is_symlink():
            raise WrongInput(f"{there} is there already; releases may have been signed with it", "make key KEY=…")
    signer = CryptoSigner.generate_ed25519()
    text = load_pem_private_key(signer.private_bytes, None).public_key()
    pem = text.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(signer.private_bytes)
        public.write_bytes(pem)
    except OSError as problem:
        raise WrongInput(f"{path}: cannot be written: {problem.strerror}", "make key KEY=…") from None
    return path, public


def load_private(path: Path) -> CryptoSigner:
    """Return what signs with a private key; refuse a key that others may read, and anything that is none."""
    pem = _read(path)
    if b"PUBLIC KEY" in pem:
        raise WrongInput(f"KEY={path}: the public key, which cannot sign", f"KEY={path.with_suffix('.key')}")
    try:
        key = load_pem_private_key(pem, None)
    except TypeError:
        raise WrongInput(f"KEY={path}: locked with a passphrase, which nobody could type in CI", "make key") from None
    except (ValueError, UnsupportedAlgorithm):
        raise WrongInput(f"KEY={path}: not a private key", "make key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise WrongInput(f"KEY={path}: not an ed25519 key", "make key")
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise WrongInput(f"KEY={path}: others may read it", f"chmod 600 {path}")
    return CryptoSigner(key)


def load_public(path: Path) -> Key:
    """Return a public key to verify with."""
    pem = _read(path)
    if b"PRIVATE KEY" in pem:
        raise WrongInput(f"KEY={path}: a private key; keep it where it is", f"KEY={path.with_suffix(PUBLIC)}")
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise WrongInput(f"KEY={path}: not a public key", "KEY=release.pub, which make key wrote") from None
    if not isinstance(key, Ed25519PublicKey):
        raise WrongInput(f"KEY={path}: not an ed25519 key", "KEY=release.pub, which make key wrote")
    return SSlibKey.from_crypto(key)


def sign(payload: bytes, signer: CryptoSigner) -> bytes:
    """Return a signed envelope around a statement, as one line."""
    envelope = Envelope(payload, PAYLOAD, {})
    envelope.sign(signer)
    return _line(envelope)


def open_envelope(line: bytes) -> Envelope:
    """Return the envelope that a line holds; raise ValueError unless it is exactly as `sign` writes it.

    That is one signature of an ed25519 key, whole, under the key's id. Whether it is this key's only `is_signed_by` can tell.
    """
    try:
        envelope = Envelope.from_dict(json.loads(line))
        good = _line(envelope) == line and len(envelope.signatures) == 1 and envelope.payload_type == PAYLOAD
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        good = False
    if not good:
        raise ValueError("not an envelope as Edgewright writes them")
    (found,) = envelope.signatures.values()
    if (
        found.unrecognized_fields
        or len(found.signature) != 2 * SIGNATURE_BYTES
        or not KEYID.fullmatch(str(found.keyid))
    ):
        raise ValueError(f"no whole signature: one has {SIGNATURE_BYTES} bytes, and the id of its key")
    return envelope


def keyid_of(envelope: Envelope) -> str:
    """Return the id of the key that an envelope says it was signed with."""
    (keyid,) = envelope.signatures
    return str(keyid)


def is_signed_by(envelope: Envelope, key: Key) -> bool:
    """Return whether the envelope's signature is this key's."""
    try:
        return bool(envelope.verify([key], 1))
    except VerificationError:
        return False


def _line(envelope: Envelope) -> bytes:
    return digest.canonical(envelope.to_dict()) + b"\n"


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(KEY_BYTES)
    except OSError as problem:
        raise WrongInput(f"KEY={path}: {(problem.strerror or 'cannot be read').lower()}", "make key") from None
