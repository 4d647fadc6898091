"""The body of a call: a short one in memory; of a long one the base64 is decoded to a file as it comes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, BinaryIO, Final, Self, cast

import orjson

from geoinfra.errors import TooLarge
from geoinfra.utilities.ler_api import Refusal

__all__ = ["MOST_ANSWER_BYTES", "Body", "temporary_file"]

MOST_ANSWER_BYTES: Final = 32 * 1024 * 1024
"""An owner's answer, unpacked from its base64."""
_LONG_BYTES: Final = 64 * 1024
_MOST_BESIDE_BYTES: Final = 2_000_000
_SPACE: Final = b" \t\r\n"
_IN_STRING = re.compile(rb'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')
_ESCAPE_BYTES: Final = 6


class Body:
    """What a client sent, fed piece by piece.

    Parameters
    ----------
    written
        What the digest begins with.
    folder
        Where a text of more than 64 KiB is decoded to; ``None`` keeps everything in memory.
    """

    def __init__(self, written: bytes = b"", folder: Path | None = None) -> None:
        self._hash = hashlib.sha256(written + b"\0")
        self._folder = folder
        self._json = bytearray()  # as it was sent; in the place of a long text stands its name
        self._rest = b""  # of an escape that was cut
        self._text: bytearray | None = None  # of the string that has begun
        self._open: _Decoded | None = None  # the same, once it is long
        self._long: dict[str, _Decoded] = {}
        self._broken = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def digest(self) -> str:
        """SHA-256 of what was written before, and of the body."""
        return self._hash.hexdigest()

    def feed(self, piece: bytes) -> None:
        """Take the next piece; what is no JSON is told by :meth:`document`."""
        self._hash.update(piece)
        if self._folder is None:
            self._json += piece
        elif not self._broken:
            self._scan(self._rest + piece)

    def close(self) -> None:
        """Let go of the files."""
        for one in (*self._long.values(), *filter(None, [self._open])):
            one.file.close()

    def document(self) -> dict[str, Any]:
        """Return the JSON object.

        Raises
        ------
        Refusal
            It is none.
        TooLarge
            There is too much beside the content.
        """
        if len(self._json) > _MOST_BESIDE_BYTES and self._folder is not None:
            raise TooLarge(f"The body holds more than {_MOST_BESIDE_BYTES:,} bytes beside the content.")
        complete = not self._broken and self._text is None
        try:
            document = orjson.loads(self._json) if complete else None
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise Refusal("00-300", ("Indholdet er ikke et JSON-objekt.", "The body is no JSON object."))
        return document

    def data(self, name: str) -> tuple[BinaryIO, Mapping[str, Any]]:
        """Return what a member holds in base64, and the document with names in small letters.

        Raises
        ------
        Refusal
            It is missing, is no base64, or is too large.
        """
        document = {str(key).lower(): value for key, value in self.document().items()}
        text = document.get(name.lower())
        if not isinstance(text, str) or not text.strip():
            raise _no_base64(name)
        long = self._long.get(text)
        if long is None:
            long = _Decoded(cast("BinaryIO", io.BytesIO()))
            long.feed(text.encode())
            long.end()
        if long.too_large:
            raise Refusal("00-300", ("Indholdet er for stort.", "The content is too large."))
        if long.wrong:
            raise _no_base64(name)
        long.file.seek(0)
        return long.file, document

    def _scan(self, piece: bytes) -> None:
        """Pass on what stands outside of long texts."""
        at, self._rest = 0, b""
        while at < len(piece) and len(self._json) <= _MOST_BESIDE_BYTES:
            if self._text is None:
                quote = piece.find(b'"', at)
                end = len(piece) if quote < 0 else quote
                self._json += piece[at:end]
                at = end + 1
                self._text = None if quote < 0 else bytearray()
                continue
            end = self._run(piece, at)
            if piece[end : end + 1] == b'"':
                self._end_text()
            elif end < len(piece):
                self._broken = piece[end : end + 1] != b"\\" or len(piece) - end >= _ESCAPE_BYTES
                self._rest = piece[end:]
                return
            at = end + 1

    def _run(self, piece: bytes, at: int) -> int:
        """Take what follows in a string, and return where that ends."""
        found = _IN_STRING.match(piece, at)
        assert found is not None  # noqa: S101  # it matches nothing, too
        assert self._text is not None  # noqa: S101  # the caller is in a string
        if self._open is None:
            self._text += found.group()
            if len(self._text) > _LONG_BYTES:
                assert self._folder is not None  # noqa: S101  # else nothing is scanned
                self._open = _Decoded(temporary_file(self._folder))
                self._open.feed(_unescaped(self._text))
                self._text.clear()
        else:
            self._open.feed(_unescaped(found.group()))
        return found.end()

    def _end_text(self) -> None:
        assert self._text is not None  # noqa: S101  # the caller is in a string
        if self._open is None:
            self._json += b'"' + self._text + b'"'
        else:
            self._open.end()
            name = secrets.token_hex(16)
            self._long[name] = self._open
            self._json += b'"' + name.encode() + b'"'
        self._text = self._open = None


class _Decoded:
    """Base64 that is decoded as it comes.

    Attributes
    ----------
    wrong, too_large
        Whether it is no base64, or more than an answer may be; then the file does not hold all of it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.wrong = self.too_large = False
        self._left = b""
        self._size_bytes = 0
        self._padded = False

    def feed(self, text: bytes | None) -> None:
        """Take the next piece of text; ``None`` is what can be none of it."""
        if text is None:
            self.wrong = True
        if text is None or self.wrong or self.too_large:
            return
        text = self._left + text.translate(None, _SPACE)
        whole = len(text) // 4 * 4
        self._left = text[whole:]
        self.wrong = self._padded and bool(text)
        self._padded = self._padded or b"=" in text[:whole]
        try:
            content = base64.b64decode(text[:whole], validate=True)
        except binascii.Error:
            self.wrong = True
            return
        self._size_bytes += len(content)
        self.too_large = self._size_bytes > MOST_ANSWER_BYTES
        if not self.too_large:
            self.file.write(content)

    def end(self) -> None:
        """Say that no more will come."""
        self.wrong = self.wrong or bool(self._left)


def temporary_file(folder: Path) -> BinaryIO:
    """Open a file without a name, which is gone when it is closed."""
    folder.mkdir(parents=True, exist_ok=True)
    file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # its user closes it
    return cast("BinaryIO", file)


def _unescaped(text: bytes | bytearray) -> bytes | None:
    """Return a run of a JSON string without its escapes; ``None`` where it holds no text."""
    if b"\\" not in text:
        return bytes(text)
    try:
        return str(orjson.loads(b'"' + text + b'"')).encode()
    except orjson.JSONDecodeError:
        return None


def _no_base64(name: str) -> Refusal:
    return Refusal(
        "00-300", (f"{name} mangler eller er ikke base64.", f"{name} is missing, or is not base64.")
    )
