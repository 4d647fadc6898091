"""Opening what strangers send: a GML document, bare or in a zip, within stated bounds.

Nothing is unpacked to disk and no name of a zip member is ever used as a path.
"""

from __future__ import annotations

import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from lxml import etree

from geoinfra.errors import NotFound, UnreadableFile

__all__ = ["Intake", "Limits", "root_and_children"]

_CHUNK_BYTES = 64 * 1024
_SPOOL_BYTES = 8 * 1024 * 1024
_RATIO_FREE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what is read.

    Attributes
    ----------
    max_bytes
        Size of the document, unpacked.
    max_attachment_bytes
        Size of one attachment, unpacked.
    max_feature_bytes
        Size of one feature.
    max_zip_ratio
        Unpacked size over packed size of a member above 1 MiB; real GML packs about 30 times.
    max_zip_members
        Number of members.
    max_zip_bytes
        Sum of the unpacked sizes.
    """

    max_bytes: int = 2 * 1024**3
    max_attachment_bytes: int = 100 * 1024**2
    max_feature_bytes: int = 16 * 1024**2
    max_zip_ratio: int = 200
    max_zip_members: int = 10_000
    max_zip_bytes: int = 4 * 1024**3


class Intake:
    """A source that can be opened again and again: a path or a file; GML, or a zip that holds one.

    Parameters
    ----------
    source
        Path, or a binary file (one that cannot be rewound is copied to a temporary file).
    limits
        Bounds, checked before and while reading.
    wanted
        Base name of the document inside a zip; empty takes the first member ending in ``.gml``.

    Raises
    ------
    UnreadableFile
        There is no such document, or a bound is passed.
    """

    def __init__(self, source: Path | BinaryIO, limits: Limits, wanted: str = "") -> None:
        self.limits = limits
        self._source: Path | IO[bytes] = source if isinstance(source, Path) else self._rewindable(source)
        self.members: tuple[str, ...] = ()
        self.documents: tuple[str, ...] = ()
        with self._raw() as file:
            self.is_zip = file.read(4) == b"PK\x03\x04"
        if self.is_zip:
            self._inspect(wanted)

    def _rewindable(self, source: BinaryIO) -> IO[bytes]:
        if source.seekable():
            return source
        spool = tempfile.SpooledTemporaryFile(_SPOOL_BYTES)  # noqa: SIM115 - closed with this object
        weakref.finalize(self, spool.close)
        copied = 0
        while chunk := source.read(_CHUNK_BYTES):
            copied += len(chunk)
            if copied > self.limits.max_bytes:
                raise UnreadableFile(f"The file is larger than {self.limits.max_bytes} bytes.")
            spool.write(chunk)
        return spool

    @contextmanager
    def _raw(self) -> Iterator[IO[bytes]]:
        if isinstance(self._source, Path):
            with self._source.open("rb") as file:
                yield file
        else:
            self._source.seek(0)
            yield self._source

    @contextmanager
    def _archive(self) -> Iterator[zipfile.ZipFile]:
        try:
            with self._raw() as file, zipfile.ZipFile(file) as archive:
                yield archive
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
            raise UnreadableFile(
                "The zip file is damaged, encrypted or packed in a way not read here."
            ) from error

    def _inspect(self, wanted: str) -> None:
        """Check every member's name and size, and choose the document."""
        limits = self.limits
        with self._archive() as archive:
            infos = archive.infolist()
        if len(infos) > limits.max_zip_members:
            raise UnreadableFile(f"The zip file has more than {limits.max_zip_members} members.")
        if sum(info.file_size for info in infos) > limits.max_zip_bytes:
            raise UnreadableFile(f"The zip file unpacks to more than {limits.max_zip_bytes} bytes.")
        for info in infos:
            _check_member(info, limits)
        self.members = tuple(info.filename for info in infos if not info.is_dir())
        if len(set(self.members)) != len(self.members):
            raise UnreadableFile("The zip file holds the same name twice.")
        names = [(name, PurePosixPath(name).name.lower()) for name in self.members]
        self.documents = tuple(
            name for name, base in names if (base == wanted if wanted else base.endswith(".gml"))
        )
        if not self.documents:
            raise UnreadableFile(f"The zip file holds no {wanted or '.gml file'}.")

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Give the document from its start."""
        if not self.is_zip:
            with self._raw() as file:
                yield file
            return
        with self._archive() as archive, archive.open(self.documents[0]) as member:
            yield member

    def attachment(self, name: str) -> bytes:
        """Return the bytes of the zip member called `name`.

        Raises
        ------
        NotFound
            The source has no such member.
        UnreadableFile
            It is larger than the bound, or damaged.
        """
        if name not in self.members:
            raise NotFound(f"There is no attachment '{name[:80]}'.")
        bound = self.limits.max_attachment_bytes
        with self._archive() as archive, archive.open(name) as member:
            content = member.read(bound + 1)
        if len(content) > bound:
            raise UnreadableFile(f"The attachment is larger than {bound} bytes.")
        return content


def _check_member(info: zipfile.ZipInfo, limits: Limits) -> None:
    name = info.filename
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\\" in name or ":" in name or "\x00" in name:
        raise UnreadableFile("A name in the zip file points outside of it.")
    if info.flag_bits & 1:
        raise UnreadableFile("The zip file is encrypted.")
    packed = max(info.compress_size, 1)
    if info.file_size > _RATIO_FREE_BYTES and info.file_size > limits.max_zip_ratio * packed:
        raise UnreadableFile(f"A member of the zip file unpacks to more than {limits.max_zip_ratio} times.")


def root_and_children(file: IO[bytes], limits: Limits, roots: tuple[str, ...]) -> Iterator[etree._Element]:
    """Yield the root element, then each child of it when it is complete; earlier children are forgotten.

    Parameters
    ----------
    file
        The document from its start.
    limits
        Bounds on the whole and on one child.
    roots
        Tags that the root may have, ``{*}name`` for any namespace.

    Raises
    ------
    UnreadableFile
        It is no XML, has another root, declares a document type or entities, or passes a bound.
    """
    parser = etree.XMLPullParser(
        events=("start",),
        tag=roots,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    root: etree._Element | None = None
    total = pending = 0
    try:
        while chunk := file.read(_CHUNK_BYTES):
            total += len(chunk)
            pending += len(chunk)
            if total > limits.max_bytes:
                raise UnreadableFile(f"The document is larger than {limits.max_bytes} bytes.")
            parser.feed(chunk)
            if root is None:
                root = _root(parser)
                if root is not None:
                    yield root
            if root is not None and len(root) > 1:
                for child in list(root)[:-1]:
                    yield child
                    root.remove(child)
                pending = 0
            if pending > limits.max_feature_bytes:
                raise UnreadableFile(f"One element is larger than {limits.max_feature_bytes} bytes.")
        parser.close()
    except etree.XMLSyntaxError as error:
        raise UnreadableFile(
            "The document is not well-formed XML.", details={"where": f"line {error.lineno}"}
        ) from error
    if root is None:
        root = _root(parser)
        if root is None:
            names = " or ".join(tag.rpartition("}")[2] for tag in roots)
            raise UnreadableFile(f"The document is not a {names}.")
        yield root
    yield from list(root)


def _root(parser: etree.XMLPullParser) -> etree._Element | None:
    """Return the root once it has been seen; refuse a document type, and a wanted root further inside."""
    for _, element in parser.read_events():
        if not isinstance(element, etree._Element) or element.getparent() is not None:
            raise UnreadableFile("The root of the document is not what it should be.")
        if element.getroottree().docinfo.internalDTD is not None:
            raise UnreadableFile(
                "The document declares a document type.", hint="Leave out DOCTYPE and entity declarations."
            )
        return element
    return None
