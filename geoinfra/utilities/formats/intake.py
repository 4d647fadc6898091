"""Opening what strangers send: a GML document, bare, in a zip (also one within a zip) or in a folder.

All within stated bounds. Nothing is unpacked to disk under a name that the sender chose, and no name of a zip
member is ever used as a path.
"""

from __future__ import annotations

import lzma
import os
import stat
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, Protocol, cast

from lxml import etree

from geoinfra.errors import NotFound, UnreadableFile

__all__ = ["Intake", "Limits", "local_name", "root_and_children"]

_CHUNK_BYTES = 64 * 1024
_SPOOL_BYTES = 8 * 1024 * 1024
_RATIO_FREE_BYTES = 1024 * 1024
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
)


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
        Number of members, those of a zip within the zip included.
    max_zip_bytes
        Sum of the unpacked sizes, those of a zip within the zip included.
    max_owners
        Number of owners in one package.
    """

    max_bytes: int = 2 * 1024**3
    max_attachment_bytes: int = 100 * 1024**2
    max_feature_bytes: int = 16 * 1024**2
    max_zip_ratio: int = 200
    max_zip_members: int = 10_000
    max_zip_bytes: int = 4 * 1024**3
    max_owners: int = 2_000


class _Box(Protocol):
    """What holds several files under names."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Name -> size in bytes, in the order of the box."""
        ...

    def open(self, name: str) -> IO[bytes]:
        """Open one of them."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Intake:
    """A source that can be opened again and again: a document, or a zip or folder that holds one.

    A zip within the zip is looked into, one level deep, when the outer one holds no document of its own.

    Parameters
    ----------
    source
        Path of a file or folder, or a binary file (one that cannot be rewound is copied to a temporary file).
    limits
        Bounds, checked before and while reading.
    wanted
        Base name of the document inside a zip; empty takes the first member ending in ``.gml``.
    any_member
        The document is chosen later (:meth:`choose`); any ``.gml`` or ``.xml`` will do for now.

    Attributes
    ----------
    members
        Names of what is in the zip or folder; empty for a bare document.
    documents
        The names among them that can be the document; the first is read.
    is_zip
        Whether the document came in a zip or folder, where its attachments must be.
    name
        File name of the source, where it is known.

    Raises
    ------
    UnreadableFile
        There is no such document, or a bound is passed.
    """

    def __init__(
        self, source: Path | BinaryIO, limits: Limits, wanted: str = "", *, any_member: bool = False
    ) -> None:
        self.limits = limits
        self.members: tuple[str, ...] = ()
        self.documents: tuple[str, ...] = ()
        self.name = Path(str(getattr(source, "name", ""))).name
        self._box: _Box | None = None
        if isinstance(source, Path) and source.is_dir():
            self._source: Path | IO[bytes] = source
            self._box = _Folder(source, limits)
        else:
            self._source = source if isinstance(source, Path) else self._rewindable(source)
            if self._starts_as_zip():
                self._box = _Zip(self._source, limits)
        self.is_zip = self._box is not None
        if self._box is not None:
            weakref.finalize(self, self._box.close)
            self._choose(self._box, wanted, (".gml", ".xml") if any_member else (".gml",))

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
            with _opened(self._source) as file:
                yield file
        else:
            self._source.seek(0)
            yield self._source

    def _starts_as_zip(self) -> bool:
        with self._raw() as file:
            return file.read(4) in _ZIP_STARTS

    def _choose(self, box: _Box, wanted: str, endings: tuple[str, ...]) -> None:
        """Find the document; a zip within the zip is looked into where there is none."""
        documents = _documents(box.sizes, wanted, endings)
        if not documents:
            inner = self._inner(box, wanted, endings)
            if inner is not None:
                self._box = box = inner
                weakref.finalize(self, box.close)
                documents = _documents(box.sizes, wanted, endings)
        self.members = tuple(box.sizes)
        self.documents = documents
        if not documents and len(endings) == 1:
            raise UnreadableFile(
                f"The zip file holds no {wanted or '.gml file'}.",
                details={"found": ", ".join(self.members)[:200]},
            )

    def _inner(self, box: _Box, wanted: str, endings: tuple[str, ...]) -> _Box | None:
        """Open the first zip in the box that holds the document; its content counts with that of the box."""
        taken = sum(box.sizes.values())
        count = len(box.sizes)
        for name in [one for one in box.sizes if one.lower().endswith(".zip")]:
            file = self._copied(box, name)
            inner = _Zip(file, self.limits, count, taken, file)
            if _documents(inner.sizes, wanted, endings):
                return inner
            count, taken = count + len(inner.sizes), taken + sum(inner.sizes.values())
            inner.close()
        return None

    def _copied(self, box: _Box, name: str) -> IO[bytes]:
        """Copy a member to a temporary file without a name, so that it can be read in any order."""
        spool = tempfile.SpooledTemporaryFile(_SPOOL_BYTES)  # noqa: SIM115 - closed with this object
        weakref.finalize(self, spool.close)
        left = self.limits.max_zip_bytes
        with _damage_told(), box.open(name) as member:
            while chunk := member.read(_CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    raise UnreadableFile(
                        f"A zip in the zip is larger than {self.limits.max_zip_bytes} bytes."
                    )
                spool.write(chunk)
        return spool

    @contextmanager
    def open(self, name: str = "") -> Iterator[IO[bytes]]:
        """Give the document from its start, or the member called `name`."""
        if self._box is None:
            with self._raw() as file:
                yield file
            return
        with _damage_told():
            member = self._box.open(name or self.documents[0])
        with member:
            yield cast(IO[bytes], _Guarded(member))

    def choose(self, name: str) -> None:
        """Make one of the members the document; other GML files stay behind it."""
        others = (one for one in self.documents if one != name and one.lower().endswith(".gml"))
        self.documents = (name, *others)

    def size_bytes(self, name: str) -> int:
        """Return the unpacked size of a member."""
        return 0 if self._box is None else self._box.sizes.get(name, 0)

    def attachment(self, name: str) -> bytes:
        """Return the bytes of the member called `name`.

        Raises
        ------
        NotFound
            The source has no such member.
        UnreadableFile
            It is larger than the bound, or damaged.
        """
        if self._box is None or name not in self.members:
            raise NotFound(f"There is no attachment '{name[:80]}'.")
        bound = self.limits.max_attachment_bytes
        with _damage_told(), self._box.open(name) as member:
            content = member.read(bound + 1)
        if len(content) > bound:
            raise UnreadableFile(f"The attachment is larger than {bound} bytes.")
        return content


def _documents(sizes: Mapping[str, int], wanted: str, endings: tuple[str, ...]) -> tuple[str, ...]:
    names = [(name, PurePosixPath(name).name.lower()) for name in sizes]
    return tuple(name for name, base in names if (base == wanted if wanted else base.endswith(endings)))


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a regular file; a device or pipe, which may never end, is refused."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableFile("That is no file.")
        file = path.open("rb")
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "it cannot be opened"
        raise UnreadableFile(f"The file cannot be opened: {reason}.") from error
    with file:
        yield file


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except UnreadableFile:
        raise
    except _DAMAGED as error:
        raise UnreadableFile(
            "The zip file is damaged, encrypted or packed in a way not read here."
        ) from error


class _Guarded:
    """Reads from a member of a zip, and says what is wrong with it in an error of ours."""

    def __init__(self, member: IO[bytes]) -> None:
        self._member = member

    def read(self, size: int = -1) -> bytes:
        with _damage_told():
            return self._member.read(size)


class _Zip:
    """The members of a zip file, checked before any is opened.

    Parameters
    ----------
    source
        Path, or a file that can be rewound.
    limits
        Bounds.
    members, size_bytes
        What counts against the bounds already.
    owned
        File that is closed together with this.
    """

    def __init__(
        self,
        source: Path | IO[bytes],
        limits: Limits,
        members: int = 0,
        size_bytes: int = 0,
        owned: IO[bytes] | None = None,
    ) -> None:
        self._owned = owned
        with _damage_told():
            self._archive = zipfile.ZipFile(source)
            infos = self._archive.infolist()
        try:
            self.sizes = _checked_sizes(infos, limits, members, size_bytes)
        except UnreadableFile:
            self.close()
            raise

    def open(self, name: str) -> IO[bytes]:
        return self._archive.open(name)

    def close(self) -> None:
        self._archive.close()
        if self._owned is not None:
            self._owned.close()


def _checked_sizes(
    infos: list[zipfile.ZipInfo], limits: Limits, members: int, size_bytes: int
) -> dict[str, int]:
    if len(infos) + members > limits.max_zip_members:
        raise UnreadableFile(f"The zip file has more than {limits.max_zip_members} members.")
    if sum(info.file_size for info in infos) + size_bytes > limits.max_zip_bytes:
        raise UnreadableFile(f"The zip file unpacks to more than {limits.max_zip_bytes} bytes.")
    sizes: dict[str, int] = {}
    for info in infos:
        _check_member(info, limits)
        if info.filename in sizes:
            raise UnreadableFile("The zip file holds the same name twice.")
        if not info.is_dir():
            sizes[info.filename] = info.file_size
    return sizes


def _check_member(info: zipfile.ZipInfo, limits: Limits) -> None:
    if not is_safe_name(info.filename):
        raise UnreadableFile("A name in the zip file points outside of it.")
    if info.flag_bits & 1:
        raise UnreadableFile("The zip file is encrypted.")
    packed = max(info.compress_size, 1)
    if info.file_size > _RATIO_FREE_BYTES and info.file_size > limits.max_zip_ratio * packed:
        raise UnreadableFile(f"A member of the zip file unpacks to more than {limits.max_zip_ratio} times.")


def is_safe_name(name: str) -> bool:
    """Whether `name` is a relative path that stays inside, on every operating system."""
    outside = name.startswith("/") or ".." in PurePosixPath(name).parts
    return not (outside or "\\" in name or ":" in name or "\x00" in name)


class _Folder:
    """The files of a folder and of those in it; links are not followed."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder = folder
        self.sizes: dict[str, int] = {}
        total = 0
        for root, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                path = Path(root) / name
                status = path.lstat()
                inside = path.relative_to(folder).as_posix()
                if not stat.S_ISREG(status.st_mode) or not is_safe_name(inside):
                    continue
                self.sizes[inside] = status.st_size
                total += status.st_size
                if len(self.sizes) > limits.max_zip_members:
                    raise UnreadableFile(f"The folder has more than {limits.max_zip_members} files.")
                if total > limits.max_zip_bytes:
                    raise UnreadableFile(f"The folder holds more than {limits.max_zip_bytes} bytes.")

    def open(self, name: str) -> IO[bytes]:
        return (self._folder / name).open("rb")

    def close(self) -> None:
        """Nothing is held open."""


def root_and_children(
    file: IO[bytes], limits: Limits, roots: tuple[str, ...], *, plural: frozenset[str] = frozenset()
) -> Iterator[etree._Element]:
    """Yield the root element, then each child of it when it is complete; earlier children are forgotten.

    Parameters
    ----------
    file
        The document from its start.
    limits
        Bounds on the whole and on one child.
    roots
        Tags that the root may have, ``{*}name`` for any namespace.
    plural
        Tags of children that hold many others; their children are given one by one in their stead, each as if
        it stood alone in such an element.

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
            if root is not None:
                if len(root) > 1:
                    for child in list(root)[:-1]:
                        if child.tag in plural:
                            yield from _one_by_one(child)
                        else:
                            yield child
                    del root[:-1]
                    pending = 0
                if plural and len(root) and root[-1].tag in plural and len(root[-1]) > 1:
                    for one in list(root[-1])[:-1]:
                        yield _alone(one)
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
    for child in list(root):
        if child.tag in plural:
            yield from _one_by_one(child)
        else:
            yield child


def local_name(element: etree._Element) -> str:
    """Return the name of an element without its namespace, also where its prefix is not declared."""
    return str(element.tag).rpartition("}")[2].rpartition(":")[2]


def _one_by_one(child: etree._Element) -> Iterator[etree._Element]:
    for one in list(child):
        yield _alone(one)


def _alone(element: etree._Element) -> etree._Element:
    """Take an element out of its parent and put it alone into an element of the same name."""
    parent = element.getparent()
    if parent is None:
        return element
    single = etree.Element(parent.tag)
    single.append(element)
    return single


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
