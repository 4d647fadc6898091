"""The signature of a package: how it is written, and how every byte of the zip is checked against it.

``manifest.json`` names every other file with its SHA-256. ``manifest.sig``, the last member, holds two
Ed25519 signatures: one over the bytes of the manifest, which holds also for files that were unpacked, and
the *seal*, one over all bytes of the zip before ``manifest.sig``. What comes after these is written again
from the rest and compared, so that no byte of the file is without a check.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import orjson

from geoinfra.errors import Finding, Report, Severity, UnreadableFile
from geoinfra.utilities.formats.intake import Limits, is_safe_name
from geoinfra.utilities.signatures import ALGORITHM, PublicKey, SigningKey

__all__ = [
    "MANIFEST",
    "SIGNATURE",
    "Verification",
    "member_info",
    "signature_document",
    "verify_package",
]

MANIFEST: Final = "manifest.json"
"""Member that lists the others."""

SIGNATURE: Final = "manifest.sig"
"""Member that holds the signatures; the last."""

_FORMAT = "geoinfra package signature 1"
_SEAL = b"geoinfra package seal 1\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # members carry no clock: equal input gives equal bytes
_CHUNK_BYTES = 1 << 20
_MOST_MANIFEST_BYTES = 64 * 1024**2
_MOST_SIGNATURE_BYTES = 4096
_MOST_DIRECTORY_BYTES = 64 * 1024**2

_LOCAL = struct.Struct("<4s2B4HL2L2H")
_CENTRAL = struct.Struct("<4s4B4HL2L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_SIZES64 = struct.Struct("<2H2Q")
_UNIX, _VERSION, _VERSION64, _DATE, _UTF8, _NO_SIZE = 3, 20, 45, 0x21, 0x800, 0xFFFFFFFF
_MODE = (stat.S_IFREG | 0o644) << 16
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


# ------------------------------------------------------------------------------------------------ writing


def member_info(name: str, method: int) -> zipfile.ZipInfo:
    """Return how a member of a package is described; nothing in it depends on clock, system or user."""
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type, info.create_system, info.external_attr = method, _UNIX, _MODE
    return info


def signature_document(key: SigningKey, manifest: bytes, before: IO[bytes], size_bytes: int) -> bytes:
    """Return ``manifest.sig``.

    Parameters
    ----------
    manifest
        The bytes of ``manifest.json``.
    before
        The zip as far as it is written, at its start.
    size_bytes
        How much of it there is.
    """
    seal = key.sign(_SEAL + _sha256(_pieces(before, size_bytes)).encode())
    return _signature_text(key.key_id, key.sign(manifest), seal)


def _signature_text(key_id: str, manifest: bytes, seal: bytes) -> bytes:
    document = {
        "format": _FORMAT,
        "algorithm": ALGORITHM,
        "key_id": key_id,
        "manifest": manifest.hex(),
        "seal": seal.hex(),
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _pieces(file: IO[bytes], size_bytes: int) -> Iterator[bytes]:
    while size_bytes:
        piece = file.read(min(size_bytes, _CHUNK_BYTES))
        if not piece:
            return
        size_bytes -= len(piece)
        yield piece


def _sha256(pieces: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


# ----------------------------------------------------------------------------------------------- outcome


@dataclass(slots=True)
class Verification:
    """What was found about a package.

    Attributes
    ----------
    report
        An error for each thing that is not as it was signed, and notes; ``features`` counts checked files.
    key_id
        Of the key that the package says it was signed with; empty where it is not signed.
    key
        That key, where it was given.
    manifest
        The manifest, only when its signature holds.
    """

    report: Report = field(default_factory=Report)
    key_id: str = ""
    key: PublicKey | None = None
    manifest: Mapping[str, Any] | None = None

    @property
    def valid(self) -> bool:
        """Whether everything is as it was signed, by a key that was given."""
        return self.report.ok and self.manifest is not None

    @property
    def key_state(self) -> str:
        """Return ``current``, ``retired``, ``unknown`` (not among the given ones) or ``none`` (unsigned)."""
        if not self.key_id:
            return "none"
        if self.key is None:
            return "unknown"
        return "retired" if self.key.retired_at else "current"

    def to_json(self) -> dict[str, Any]:
        """Return the outcome, JSON-ready; what the manifest says only when its signature holds."""
        told = self.manifest or {}
        names = ("number", "sequence", "complete", "missing", "valid_to", "sandbox")
        return {
            "valid": self.valid,
            "key_id": self.key_id or None,
            "key_state": self.key_state,
            "files": self.report.features,
            "package": {name: told[name] for name in names if name in told} if self.manifest else None,
            "findings": [finding.to_json() for finding in self.report.findings],
        }

    def fail(self, code: str, file: str, texts: tuple[str, str], expected: str = "", found: str = "") -> None:
        """Add an error about a file."""
        english, danish = texts
        file = file[:200].encode("utf-8", "replace").decode()
        self.report.add(
            Finding(
                code,
                Severity.ERROR,
                english.format(file=file),
                danish.format(file=file),
                path=file,
                expected=expected,
                found=found,
                hint="Do not use the package. Download it again, or ask who made it.",
                hint_da="Brug ikke pakken. Hent den igen, eller spørg den, der lavede den.",
            )
        )


_CHANGED = "{file} is not the file that was signed.", "{file} er ikke den fil, der blev underskrevet."
_ADDED = "{file} is not in the list of files.", "{file} står ikke i listen over filer."
_MISSING = "{file} is missing.", "{file} mangler."
_TWICE = "{file} is there more than once.", "{file} findes mere end én gang."
_UNSAFE = "A name in the package points out of it.", "Et navn i pakken peger ud af den."
_UNSIGNED = (
    "The package is not signed: {file} is missing or cannot be read.",
    "Pakken er ikke underskrevet: {file} mangler eller kan ikke læses.",
)
_FORGED = (
    "The signature of {file} does not hold.",
    "Underskriften på {file} holder ikke.",
)
_STRANGER = (
    "The package was signed with a key that was not given.",
    "Pakken er underskrevet med en nøgle, der ikke er opgivet.",
)
_NO_LIST = "{file} is missing or cannot be read.", "{file} mangler eller kan ikke læses."
_TAMPERED = (
    "Bytes of the zip were changed after it was signed.",
    "Bytes i zip-filen er ændret, efter at den blev underskrevet.",
)


# ---------------------------------------------------------------------------------------------- verifying


def verify_package(source: Path, keys: Sequence[PublicKey], limits: Limits | None = None) -> Verification:
    """Check a package, a zip or the folder it was unpacked in, against its signature.

    Of a zip every byte is checked. Of a folder the files are: each listed, none besides, all unchanged.

    Parameters
    ----------
    keys
        Whose signatures are good.

    Raises
    ------
    UnreadableFile
        `source` cannot be opened, or passes a bound.
    """
    done, limits = Verification(), limits or Limits()
    with ExitStack() as stack:
        if source.is_dir():
            box: _Box = _Folder(source, limits)
        else:
            file = stack.enter_context(_opened(source))
            box = _zip_box(file, done, limits)
        seal = _check_signature(box, done, keys)
        _check_files(box, done, limits)
        if isinstance(box, _Strict):
            _check_seal(box, done, seal)
    return done


def _opened(source: Path) -> IO[bytes]:
    try:
        return source.open("rb")
    except OSError as error:
        raise UnreadableFile(f"The package cannot be read: {error.strerror}.") from error


class _Box:
    """The files of a package under their names."""

    names: list[str]

    def pieces(self, name: str, most_bytes: int) -> Iterator[bytes]:
        """Yield the content of a file, but not more than one byte above `most_bytes`."""
        raise NotImplementedError

    def read(self, name: str, most_bytes: int) -> bytes | None:
        """Return a small file, ``None`` when it is not there, damaged or larger."""
        if self.names.count(name) != 1:
            return None
        try:
            content = b"".join(self.pieces(name, most_bytes))
        except _Broken:
            return None
        return content if len(content) <= most_bytes else None


class _Broken(Exception):
    """Something is not as a package is written; `offset` is the byte of the zip where it shows."""

    def __init__(self, offset: int, text: str) -> None:
        super().__init__(text)
        self.offset = offset


def _check_signature(box: _Box, done: Verification, keys: Sequence[PublicKey]) -> bytes:
    """Check the signature over the manifest, and return the one that is the seal."""
    content = box.read(SIGNATURE, _MOST_SIGNATURE_BYTES)
    signed = _read_signature(content) if content is not None else None
    if signed is None:
        done.fail("PACKAGE-NOT-SIGNED", SIGNATURE, _UNSIGNED)
        return b""
    done.key_id, signature, seal = signed
    done.key = next((key for key in keys if key.key_id == done.key_id), None)
    if done.key is None:
        done.fail("PACKAGE-KEY-UNKNOWN", SIGNATURE, _STRANGER, found=done.key_id)
        return b""
    manifest = box.read(MANIFEST, _MOST_MANIFEST_BYTES)
    if manifest is not None and done.key.verifies(signature, manifest):
        done.manifest = orjson.loads(manifest)
    else:
        done.fail("PACKAGE-SIGNATURE", MANIFEST, _FORGED)
    if done.key.retired_at:
        done.report.add(_retired(done.key))
    return seal


def _read_signature(content: bytes) -> tuple[str, bytes, bytes] | None:
    """Return key id and signatures; only the very bytes that :func:`signature_document` writes count."""
    try:
        document = orjson.loads(content)
        signature, seal = bytes.fromhex(document["manifest"]), bytes.fromhex(document["seal"])
        key_id = str(document["key_id"])
        same = content == _signature_text(key_id, signature, seal)
    except (ValueError, KeyError, TypeError):
        return None
    return (key_id, signature, seal) if same and len(signature) == len(seal) == 64 else None


def _retired(key: PublicKey) -> Finding:
    return Finding(
        "PACKAGE-KEY-RETIRED",
        Severity.INFO,
        f"The key {key.key_id} was retired at {key.retired_at}; what it signed before holds.",
        f"Nøglen {key.key_id} er taget ud af brug {key.retired_at}; det, den underskrev før, gælder.",
        path=SIGNATURE,
    )


def _listed(box: _Box, done: Verification) -> dict[str, tuple[int, str]] | None:
    """Return name -> size and SHA-256 as the manifest lists them, also when its signature does not hold."""
    document: Any = done.manifest
    if document is None:
        content = box.read(MANIFEST, _MOST_MANIFEST_BYTES)
        try:
            document = orjson.loads(content or b"")
        except orjson.JSONDecodeError:
            document = None
    try:
        return {str(f["name"]): (int(f["size_bytes"]), str(f["sha256"])) for f in document["files"]}
    except (KeyError, TypeError, ValueError):
        return None


def _check_files(box: _Box, done: Verification, limits: Limits) -> None:
    for name, count in Counter(name.casefold() for name in box.names).items():
        if count > 1:
            done.fail("PACKAGE-FILE-TWICE", name, _TWICE)
    listed = _listed(box, done)
    if listed is None:
        done.fail("PACKAGE-MANIFEST", MANIFEST, _NO_LIST)
        return
    for name in dict.fromkeys(box.names):
        if not is_safe_name(name):
            done.fail("PACKAGE-FILE-NAME", name, _UNSAFE)
        if name not in listed and name not in (MANIFEST, SIGNATURE):
            done.fail("PACKAGE-FILE-ADDED", name, _ADDED)
    room = limits.max_zip_bytes
    for name, (size_bytes, sha256) in listed.items():
        room -= max(size_bytes, 0)
        if room < 0 and done.manifest is None:
            raise UnreadableFile(f"The package unpacks to more than {limits.max_zip_bytes:,} bytes.")
        _check_file(box, done, name, size_bytes, sha256)


def _check_file(box: _Box, done: Verification, name: str, size_bytes: int, sha256: str) -> None:
    if name not in box.names:
        done.fail("PACKAGE-FILE-MISSING", name, _MISSING, expected=sha256[:64])
        return
    done.report.features += 1
    try:
        found = _sha256(box.pieces(name, max(size_bytes, 0)))
    except _Broken as broken:
        done.fail("PACKAGE-FILE-CHANGED", name, _CHANGED, sha256[:64], str(broken))
        return
    if found != sha256:
        done.fail("PACKAGE-FILE-CHANGED", name, _CHANGED, sha256[:64], found)


def _check_seal(box: _Strict, done: Verification, seal: bytes) -> None:
    if done.key is None:
        return
    box.file.seek(0)
    last = box.entries[-1]
    digest = _sha256(_pieces(box.file, last.offset))
    if last.name != SIGNATURE or not done.key.verifies(seal, _SEAL + digest.encode()):
        done.fail("PACKAGE-ZIP-CHANGED", "", _TAMPERED)


# ------------------------------------------------------------------------------------------ zip, strictly


@dataclass(frozen=True, slots=True)
class _Entry:
    """A member as its local header describes it."""

    name: str
    raw_name: bytes
    version: int
    flags: int
    method: int
    crc32: int
    packed_bytes: int
    size_bytes: int
    offset: int
    data: int

    @property
    def end(self) -> int:
        return self.data + self.packed_bytes


def _zip_box(file: IO[bytes], done: Verification, limits: Limits) -> _Box:
    """Return the members of a zip that is written as packages are, else what can be read of it."""
    try:
        return _Strict(file, limits)
    except _Broken as broken:
        done.fail(
            "PACKAGE-ZIP-STRUCTURE",
            "",
            (
                f"The zip is not written as a package is, at byte {broken.offset:,}: {broken}.",
                f"Zip-filen er ikke skrevet, som en pakke er, ved byte {broken.offset:,}.",
            ),
        )
    return _Lenient(file, limits)


class _Strict(_Box):
    """A zip whose every byte is a local header, the data after it, or a directory that follows from them."""

    def __init__(self, file: IO[bytes], limits: Limits) -> None:
        self.file = file
        size = file.seek(0, os.SEEK_END)
        directory, count = self._ending(size)
        if count > limits.max_zip_members:
            raise _Broken(size, "it has more members than a package may have")
        if not 0 < size - directory <= _MOST_DIRECTORY_BYTES:
            raise _Broken(size, "the directory has no possible size")
        self.entries: list[_Entry] = []
        offset = 0
        for _ in range(count):
            self.entries.append(self._local(offset, directory))
            offset = self.entries[-1].end
        if offset != directory or not count:
            raise _Broken(offset, "there are bytes that belong to no member")
        self._compare(directory, b"".join(_directory(self.entries, directory)), size)
        self.names = [entry.name for entry in self.entries]
        self._by_name = {entry.name: entry for entry in self.entries}

    def _at(self, offset: int, length: int) -> bytes:
        self.file.seek(max(offset, 0))
        found = self.file.read(length)
        if offset < 0 or len(found) < length:
            raise _Broken(max(offset, 0), "it ends too early")
        return found

    def _ending(self, size: int) -> tuple[int, int]:
        """Return where the directory starts and how many members it says there are."""
        *_, count, _length, offset, comment = _END.unpack(self._at(size - _END.size, _END.size))
        if comment or self._at(size - _END.size, 4) != b"PK\x05\x06":
            raise _Broken(size - _END.size, "it does not end with the end of its directory")
        if offset != _NO_SIZE and count != 0xFFFF:
            return int(offset), int(count)
        place = size - _END.size - _LOCATOR.size - _END64.size
        *_, count, _length, offset = _END64.unpack(self._at(place, _END64.size))
        return int(offset), int(count)

    def _local(self, offset: int, most: int) -> _Entry:
        fields = _LOCAL.unpack(self._at(offset, _LOCAL.size))
        mark, version, system, flags, method, clock, day, crc32, packed, size, named, more = fields
        raw_name = self._at(offset + _LOCAL.size, named)
        extra = self._at(offset + _LOCAL.size + named, more)
        if version == _VERSION64 and more == _SIZES64.size and packed == size == _NO_SIZE:
            kind, length, size, packed = _SIZES64.unpack(extra)
            plain = (kind, length) == (1, 16)
        else:
            plain = version == _VERSION and not more
        try:
            name = raw_name.decode("utf-8" if flags & _UTF8 else "ascii")
        except UnicodeDecodeError:
            raise _Broken(offset, "a name is not readable") from None
        plain &= mark == b"PK\x03\x04" and system == clock == 0 and day == _DATE and method in _METHODS
        plain &= flags == (0 if name.isascii() else _UTF8)
        data = offset + _LOCAL.size + named + more
        if not plain or data + packed > most:
            raise _Broken(offset, "a member does not start as it must")
        return _Entry(name, raw_name, version, flags, method, crc32, packed, size, offset, data)

    def _compare(self, start: int, expected: bytes, size: int) -> None:
        found = self._at(start, size - start)
        if found != expected:
            pairs = enumerate(zip(found, expected, strict=False))
            place = next((i for i, (a, b) in pairs if a != b), min(len(found), len(expected)))
            raise _Broken(start + place, "the directory does not follow from the members")

    def pieces(self, name: str, most_bytes: int) -> Iterator[bytes]:
        entry = self._by_name[name]
        self.file.seek(entry.data)
        packed = _pieces(self.file, entry.packed_bytes)
        crc32 = size = 0
        for piece in packed if entry.method == zipfile.ZIP_STORED else _inflated(packed, entry):
            crc32, size = zlib.crc32(piece, crc32), size + len(piece)
            if size > min(most_bytes, entry.size_bytes):
                raise _Broken(entry.data, "it is longer than it says")
            yield piece
        if crc32 != entry.crc32 or size != entry.size_bytes:
            raise _Broken(entry.data, "its check sum is wrong")


def _inflated(packed: Iterator[bytes], entry: _Entry) -> Iterator[bytes]:
    """Unpack piece by piece; whatever the stream claims, one piece is no longer than a mebibyte."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for piece in packed:
            while piece and not stream.eof:
                yield stream.decompress(piece, _CHUNK_BYTES)
                piece = stream.unconsumed_tail
            if piece or stream.unused_data:
                raise _Broken(entry.data, "bytes follow the packed data")
        while not stream.eof:
            last = stream.decompress(b"", _CHUNK_BYTES)
            if not last:
                raise _Broken(entry.data, "the packed data end too early")
            yield last
    except zlib.error:
        raise _Broken(entry.data, "the packed data are damaged") from None


def _directory(entries: Sequence[_Entry], start: int, limit: int = zipfile.ZIP64_LIMIT) -> Iterator[bytes]:
    """Yield the directory of a zip with these members, as Python's ``zipfile`` writes it."""
    length = 0
    for entry in entries:
        record = _record(entry, limit)
        length += len(record)
        yield record
    count, offset = len(entries), start
    if count > 0xFFFF or start > limit or length > limit:
        big = (count, count, length, start)
        yield _END64.pack(b"PK\x06\x06", 44, _VERSION64, _VERSION64, 0, 0, *big)
        yield _LOCATOR.pack(b"PK\x06\x07", 0, start + length, 1)
        count, length, offset = min(count, 0xFFFF), min(length, _NO_SIZE), min(start, _NO_SIZE)
    yield _END.pack(b"PK\x05\x06", 0, 0, count, count, length, offset, 0)


def _record(entry: _Entry, limit: int) -> bytes:
    sizes, offset, big = (entry.packed_bytes, entry.size_bytes), entry.offset, []
    if max(sizes) > limit:
        big, sizes = [entry.size_bytes, entry.packed_bytes], (_NO_SIZE, _NO_SIZE)
    if offset > limit:
        big, offset = [*big, offset], _NO_SIZE
    extra = struct.pack(f"<2H{len(big)}Q", 1, 8 * len(big), *big) if big else b""
    version = _VERSION64 if big else entry.version
    head = (b"PK\x01\x02", version, _UNIX, version, 0, entry.flags, entry.method, 0, _DATE, entry.crc32)
    lengths = (len(entry.raw_name), len(extra), 0, 0, 0)
    return _CENTRAL.pack(*head, *sizes, *lengths, _MODE, offset) + entry.raw_name + extra


class _Lenient(_Box):
    """Whatever Python's ``zipfile`` makes of a file; only to say which files of a refused zip differ."""

    def __init__(self, file: IO[bytes], limits: Limits) -> None:
        self.names, self._archive = [], None
        file.seek(0)
        try:
            self._archive = zipfile.ZipFile(file)
            self.names = [info.filename for info in self._archive.infolist()[: limits.max_zip_members]]
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
            pass

    def pieces(self, name: str, most_bytes: int) -> Iterator[bytes]:
        assert self._archive is not None  # noqa: S101 - it has names
        try:
            with self._archive.open(name) as member:
                size = 0
                while piece := member.read(_CHUNK_BYTES):
                    size += len(piece)
                    if size > most_bytes:
                        raise _Broken(0, "it is longer than it says")
                    yield piece
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
            raise _Broken(0, "it cannot be unpacked") from error


class _Folder(_Box):
    """The files of a folder; a link is a file that does not belong there."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder = folder
        self.names = []
        for root, folders, names in os.walk(folder):
            names += [name for name in folders if (Path(root) / name).is_symlink()]
            self.names += [(Path(root) / name).relative_to(folder).as_posix() for name in sorted(names)]
            if len(self.names) > limits.max_zip_members:
                raise UnreadableFile(f"The folder has more than {limits.max_zip_members:,} files.")

    def pieces(self, name: str, most_bytes: int) -> Iterator[bytes]:
        path = self._folder / name
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                raise _Broken(0, "it is no ordinary file")
            with path.open("rb") as file:
                yield from _pieces(file, most_bytes + 1)
        except OSError as error:
            raise _Broken(0, f"it cannot be read: {error.strerror}") from error
