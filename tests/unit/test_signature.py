"""Keys and envelopes: only an ed25519 key of the right half is taken, and a signature is one key's and one text's."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization import load_pem_private_key as load_pem

from edgewright import digest, signature
from edgewright.errors import WrongInput


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return signature.make_key(tmp_path / "keys" / "release.key")[0]


def test_a_key_pair_is_two_files_and_the_secret_one_is_nobody_elses(key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert key.with_suffix(".pub").read_text().startswith("-----BEGIN PUBLIC KEY-----")
    assert signature.load_private(key).public_key.keyid == signature.load_public(key.with_suffix(".pub")).keyid


@pytest.mark.parametrize("suffix", [".key", ".pub"])
def test_no_key_is_overwritten_not_even_half_of_a_pair(key: Path, suffix: str) -> None:
    key.with_suffix({".key": ".pub", ".pub": ".key"}[suffix]).unlink()
    before = key.with_suffix(suffix).read_bytes()
    with pytest.raises(WrongInput, match="is there already"):
        signature.make_key(key)
    assert key.with_suffix(suffix).read_bytes() == before
    assert len(list(key.parent.iterdir())) == 1


def test_a_signature_holds_for_its_text_and_its_key_only_and_is_the_same_bytes_again(key: Path, tmp_path: Path) -> None:
    signer = signature.load_private(key)
    line = signature.sign(b'{"a":1}\n', signer)
    assert signature.sign(b'{"a":1}\n', signer) == line
    envelope = signature.open_envelope(line)
    assert envelope.payload == b'{"a":1}\n'
    assert signature.is_signed_by(envelope, signer.public_key)
    other = signature.load_private(signature.make_key(tmp_path / "other.key")[0])
    assert not signature.is_signed_by(envelope, other.public_key)
    envelope.payload = b'{"a":2}\n'
    assert not signature.is_signed_by(envelope, signer.public_key)


def test_another_key_under_the_right_keys_name_is_not_the_right_key(key: Path, tmp_path: Path) -> None:
    signer, other = signature.load_private(key), signature.load_private(signature.make_key(tmp_path / "other.key")[0])
    raw = json.loads(signature.sign(b"{}\n", other))
    raw["signatures"][0]["keyid"] = signer.public_key.keyid
    line = json.dumps(raw, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    assert not signature.is_signed_by(signature.open_envelope(line), signer.public_key)


@pytest.mark.parametrize("line", [b"", b"[]\n", b"{}\n", b"not json\n", b"\xff\n", b'{"payload":1}\n', b"[" * 100000])
def test_what_is_no_envelope_is_refused_without_a_traceback(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # json's own is as good as ours
        signature.open_envelope(line)


def test_an_envelope_has_one_form_one_signature_and_one_type(key: Path, tmp_path: Path) -> None:
    signer, other = signature.load_private(key), signature.load_private(signature.make_key(tmp_path / "other.key")[0])
    line = signature.sign(b"{}\n", signer)
    raw, theirs = json.loads(line), json.loads(signature.sign(b"{}\n", other))
    two = {**raw, "signatures": raw["signatures"] + theirs["signatures"]}
    none, typed = {**raw, "signatures": []}, {**raw, "payloadType": "text/plain"}
    for text in (
        line[:-1],
        line.replace(b":", b": ", 1),
        *(digest.canonical(value) + b"\n" for value in (two, none, typed)),
    ):
        with pytest.raises(ValueError, match="not an envelope"):
            signature.open_envelope(text)


def test_a_key_that_others_may_read_is_refused_as_ssh_does(key: Path) -> None:
    key.chmod(0o640)
    with pytest.raises(WrongInput, match="others may read it") as refusal:
        signature.load_private(key)
    assert refusal.value.hint == f"chmod 600 {key}"


def test_the_halves_of_a_pair_are_not_taken_for_each_other(key: Path) -> None:
    with pytest.raises(WrongInput, match="the public key, which cannot sign"):
        signature.load_private(key.with_suffix(".pub"))
    with pytest.raises(WrongInput, match="a private key; keep it where it is"):
        signature.load_public(key)


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"\x00" * 100, b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_garbage_is_no_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(WrongInput):
        signature.load_private(path)
    with pytest.raises(WrongInput):
        signature.load_public(path)


def test_keys_of_other_kinds_missing_ones_and_locked_ones_are_refused_by_name(key: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.key"
    path.write_bytes(generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    with pytest.raises(WrongInput, match="not an ed25519 key"):
        signature.load_private(path)
    secret = load_pem(key.read_bytes(), None)
    path.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))
    with pytest.raises(WrongInput, match="locked with a passphrase"):
        signature.load_private(path)
    with pytest.raises(WrongInput, match="no such file"):
        signature.load_private(tmp_path / "none.key")
