"""Keys and signatures against published vectors and OpenSSL."""

from __future__ import annotations

import base64
import pickle
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from parts import program

from geoinfra.errors import InvalidInput
from geoinfra.utilities.signatures import PublicKey, SigningKey, keys_document, read_keys

# RFC 8032, section 7.1: secret, public, message, signature
VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
]
# RFC 8037, appendix A: the key of the first vector as a JSON Web Key
RFC_8037 = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
ORDER = 2**252 + 27742317777372353535851937790883648493


@pytest.mark.parametrize(("secret", "public", "message", "signature"), VECTORS)
def test_signatures_are_those_of_the_standard(secret: str, public: str, message: str, signature: str) -> None:
    key = SigningKey(bytes.fromhex(secret))
    assert key.public.raw.hex() == public
    assert key.sign(bytes.fromhex(message)).hex() == signature
    assert key.public.verifies(bytes.fromhex(signature), bytes.fromhex(message))
    assert not key.public.verifies(bytes.fromhex(signature), bytes.fromhex(message) + b"\0")


def test_a_signature_cannot_be_bent_into_another_that_holds() -> None:
    """Adding the group's order to S gives the same point; a strict verifier refuses it."""
    secret, _, message, signature = VECTORS[1]
    r, s = bytes.fromhex(signature)[:32], int.from_bytes(bytes.fromhex(signature)[32:], "little")
    bent = r + (s + ORDER).to_bytes(32, "little")
    assert not SigningKey(bytes.fromhex(secret)).public.verifies(bent, bytes.fromhex(message))


def test_json_web_keys_are_those_of_the_standard() -> None:
    (key,) = read_keys(orjson.dumps(RFC_8037))
    assert key.raw.hex() == VECTORS[0][1]
    assert key.to_json()["x"] == RFC_8037["x"]


def test_what_is_told_of_keys_is_read_again_and_holds_nothing_private() -> None:
    key, secret = SigningKey.generate()
    told = PublicKey(key.public.raw, "2026-11-24T09:00:00.000Z", "2026-12-24T09:00:00.000Z")
    content = orjson.dumps(keys_document([told]))
    assert read_keys(content) == (told,)
    assert base64.urlsafe_b64encode(secret).rstrip(b"=") not in content
    assert b'"d"' not in content
    assert secret.hex() not in f"{key!r}{key}"
    with pytest.raises(TypeError):
        pickle.dumps(key)


def _pem(key: Any) -> bytes:
    return bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def test_pem_keys_are_read_and_keys_of_other_kinds_passed_over() -> None:
    mine = ed25519.Ed25519PrivateKey.generate()
    raw = mine.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    assert read_keys(_pem(ec.generate_private_key(ec.SECP256R1())) + _pem(mine)) == (PublicKey(raw),)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b'{"keys": []}',
        b'{"keys": "abc"}',
        b'{"keys": [1, null, {"kty": "RSA"}]}',
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----",
        orjson.dumps({**RFC_8037, "x": "AAAA"}),
        orjson.dumps({**RFC_8037, "x": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo!"}),
        orjson.dumps({**RFC_8037, "x": 7}),
        orjson.dumps({**RFC_8037, "kid": "0000000000000000"}),
        b" " * 300_000,
    ],
)
def test_what_holds_no_good_key_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_keys(content)


def test_openssl_verifies_what_was_signed(tmp_path: Path) -> None:
    program("openssl")
    key, _ = SigningKey.generate()
    public = ed25519.Ed25519PublicKey.from_public_bytes(key.public.raw)
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(pem)
    (tmp_path / "manifest.json").write_bytes(b"{}")
    (tmp_path / "sig").write_bytes(key.sign(b"{}"))
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin"]
    done = subprocess.run(
        [*command, "-in", "manifest.json", "-sigfile", "sig"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.strip()) == (0, "Signature Verified Successfully")
