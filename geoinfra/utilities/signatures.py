"""Ed25519 keys: those that sign packages, those that verify them, and how public ones are told to others.

The id of a key is the start of the SHA-256 of its 32 public bytes, so that no document can give a key another
key's id. Public keys travel as a JSON Web Key Set (RFC 8037) or as PEM.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from geoinfra.errors import InvalidInput

__all__ = ["ALGORITHM", "PublicKey", "SigningKey", "keys_document", "read_keys"]

ALGORITHM: Final = "Ed25519"
_KEY_BYTES = 32
_MOST_BYTES = 256 * 1024
_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s]{1,2000}-----END PUBLIC KEY-----")
_RAW = serialization.Encoding.Raw
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,15}(?:Z|[+-][0-9]{2}:[0-9]{2})")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that verifies.

    Attributes
    ----------
    raw
        Its 32 bytes.
    created_at, retired_at
        ISO 8601 texts as its owner tells them; a retired key signs no more.
    """

    raw: bytes
    created_at: str | None = None
    retired_at: str | None = None

    @property
    def key_id(self) -> str:
        """Sixteen hexadecimal digits that follow from the key."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` was made over `message` by the private half of this key."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def to_json(self) -> dict[str, Any]:
        """Return the key as a JSON Web Key."""
        return {
            "kty": "OKP",
            "crv": ALGORITHM,
            "use": "sig",
            "kid": self.key_id,
            "x": base64.urlsafe_b64encode(self.raw).rstrip(b"=").decode(),
            "created_at": self.created_at,
            "retired_at": self.retired_at,
        }


class SigningKey:
    """A key that signs; its secret is in no text that Python makes of it.

    Parameters
    ----------
    secret
        Its 32 private bytes.
    """

    __slots__ = ("_key", "public")

    def __init__(self, secret: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(secret)
        self.public = PublicKey(self._key.public_key().public_bytes(_RAW, serialization.PublicFormat.Raw))

    @classmethod
    def generate(cls) -> tuple[SigningKey, bytes]:
        """Make a new key; return it with its private bytes, to be stored."""
        secret = Ed25519PrivateKey.generate().private_bytes(
            _RAW, serialization.PrivateFormat.Raw, serialization.NoEncryption()
        )
        return cls(secret), secret

    @property
    def key_id(self) -> str:
        """Id of the public half."""
        return self.public.key_id

    def sign(self, message: bytes) -> bytes:
        """Return the signature, 64 bytes; the same message gives the same signature."""
        return self._key.sign(message)

    def __reduce__(self) -> Any:
        raise TypeError("A signing key is not copied out of the process.")


def keys_document(keys: Iterable[PublicKey]) -> dict[str, Any]:
    """Return public keys as a JSON Web Key Set."""
    return {"keys": [key.to_json() for key in keys]}


def read_keys(content: bytes) -> tuple[PublicKey, ...]:
    """Read public keys from a JSON Web Key Set, one JSON Web Key, or PEM.

    Raises
    ------
    InvalidInput
        There is no Ed25519 key in it, or a key goes by an id that is not its own.
    """
    if len(content) > _MOST_BYTES:
        raise InvalidInput(f"A file of keys is not larger than {_MOST_BYTES:,} bytes.")
    found = _pem_keys(content) if b"-----BEGIN" in content else _json_keys(content)
    if not found:
        raise InvalidInput(
            "There is no Ed25519 public key in the file.",
            hint="Give what geoinfra key export writes, or PEM.",
        )
    return found


def _pem_keys(content: bytes) -> tuple[PublicKey, ...]:
    found = []
    for block in _PEM.findall(content):
        try:
            key = serialization.load_pem_public_key(block)
        except (ValueError, UnsupportedAlgorithm):
            continue
        if isinstance(key, Ed25519PublicKey):
            found.append(PublicKey(key.public_bytes(_RAW, serialization.PublicFormat.Raw)))
    return tuple(found)


def _json_keys(content: bytes) -> tuple[PublicKey, ...]:
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        return ()
    entries = document.get("keys", [document]) if isinstance(document, dict) else None
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        return ()
    return tuple(_json_key(entry) for entry in entries if _is_ed25519(entry))


def _is_ed25519(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("kty") == "OKP" and entry.get("crv") == ALGORITHM


def _json_key(entry: dict[str, Any]) -> PublicKey:
    text = entry.get("x")
    try:
        raw = base64.b64decode(f"{text}=", altchars=b"-_", validate=True) if isinstance(text, str) else b""
    except binascii.Error:
        raw = b""
    if len(raw) != _KEY_BYTES:
        raise InvalidInput("A key in the file is not 32 bytes long.")
    key = PublicKey(raw, _moment(entry.get("created_at")), _moment(entry.get("retired_at")))
    if entry.get("kid", key.key_id) != key.key_id:
        raise InvalidInput(f"The key {key.key_id} goes by another id in the file.")
    return key


def _moment(value: Any) -> str | None:
    return value if isinstance(value, str) and _MOMENT.fullmatch(value) else None
