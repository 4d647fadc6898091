"""The files of a utility-line package: one place writes them, for enquiries and for packages made anew."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, BinaryIO, cast

from geoinfra.errors import InvalidInput
from geoinfra.presentation import offline_html
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.formats import geojson, geopackage, package, request
from geoinfra.utilities.formats.intake import is_safe_name
from geoinfra.utilities.formats.package import EnquiryInfo, PackageOwner

__all__ = ["MANIFEST", "Attachment", "Contents", "write_package"]

MANIFEST = "manifest.json"
"""Member that lists the others."""

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip's members carry no clock: equal input gives equal bytes
_COPY_BYTES = 1 << 20
_LARGE_ROWS = 200_000
_LARGE_BYTES = 1 << 30
_PACKED = (".zip", ".jpg", ".jpeg", ".png", ".docx", ".xlsx", ".7z", ".gz")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes into the package as it is.

    Attributes
    ----------
    name
        Its path in the package.
    open
        Opens its bytes.
    """

    name: str
    open: Callable[[], AbstractContextManager[IO[bytes]]]


@dataclass(frozen=True, slots=True)
class Contents:
    """What a package is made of.

    Attributes
    ----------
    enquiry
        The dig enquiry, ``None`` where it is not known: the page for the site is left out then.
    batches
        Rows of all owners, each batch of one owner.
    numbers
        For each batch the number of the interest area of each row; ``None``: the owner's first.
    dig_request
        The request as it is written beside; ``None`` where it is among the attachments.
    texts
        Further small files by name.
    """

    enquiry: EnquiryInfo | None
    owners: Sequence[PackageOwner]
    batches: Sequence[FeatureBatch]
    numbers: Sequence[Sequence[str] | None] | None = None
    dig_request: request.DigRequest | None = None
    attachments: Sequence[Attachment] = ()
    texts: Mapping[str, str] | None = None


def write_package(
    path: Path,
    contents: Contents,
    formats: Iterable[str],
    manifest: Callable[[list[dict[str, Any]]], dict[str, Any]],
    progress: Callable[[float, str], None] = lambda _fraction, _text: None,
) -> dict[str, Any]:
    """Write the zip; the same contents give the same bytes. GeoPackage and DXF are made beside the others.

    Parameters
    ----------
    formats
        ``gpkg``, ``geojson``, ``dxf``, ``html``; the documents of LER are always written.
    manifest
        Makes the manifest out of the list of files (name, size, SHA-256).

    Returns
    -------
    dict
        The manifest.
    """
    wanted = frozenset(formats)
    members: list[dict[str, Any]] = []
    with (
        TemporaryDirectory(prefix="geoinfra-") as folder,
        ThreadPoolExecutor(1) as beside,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        made = beside.submit(_make_drawings, Path(folder), contents, wanted)
        _write_documents(archive, members, contents, wanted)
        progress(0.5, "GML")
        for drawing in made.result():
            large = drawing.stat().st_size > _LARGE_BYTES
            with _member(archive, members, drawing.name, large=large) as target, drawing.open("rb") as source:
                shutil.copyfileobj(source, target, _COPY_BYTES)
        _write_attachments(archive, members, contents.attachments)
        whole = manifest(members)
        archive.writestr(zipfile.ZipInfo(MANIFEST, _EPOCH), json.dumps(whole, ensure_ascii=False, indent=1))
    return whole


def _make_drawings(folder: Path, contents: Contents, wanted: frozenset[str]) -> list[Path]:
    """Write the files that need a place of their own to be made in."""
    made: list[Path] = []
    if "gpkg" in wanted:
        made.append(folder / "ledninger.gpkg")
        geopackage.write_geopackage(made[-1], contents.batches)
    if "dxf" in wanted:
        from geoinfra.utilities.formats import dxf

        made.append(folder / "ledninger.dxf")
        names = {owner.cvr: owner.name for owner in contents.owners if owner.name}
        dxf.write_dxf(made[-1], contents.batches, owners=names)
    return made


def _write_documents(
    archive: zipfile.ZipFile, members: list[dict[str, Any]], contents: Contents, wanted: frozenset[str]
) -> None:
    enquiry, owners, batches = contents.enquiry, contents.owners, contents.batches
    large = sum(map(len, batches)) > _LARGE_ROWS
    with _member(archive, members, "consolidated.gml", large=large) as target:
        package.write_consolidated(target, enquiry, owners, batches, contents.numbers)
    with _member(archive, members, "LedningsejerStatusListe.xml") as target:
        package.write_status_list(target, owners)
    if contents.dig_request is not None:
        number = enquiry.number if enquiry else ""
        with _member(archive, members, f"Graveforespoergsel_{number}.gml") as target:
            request.write_request(target, contents.dig_request)
    if "geojson" in wanted:
        with _member(archive, members, "ledninger.geojson", large=large) as target:
            geojson.write_geojson(target, batches)
    if "html" in wanted and enquiry is not None:
        with _member(archive, members, "index.html") as target:
            offline_html.write_offline_html(target, enquiry, owners, batches)
    for name, text in (contents.texts or {}).items():
        with _member(archive, members, name) as target:
            target.write(text.encode())


def _write_attachments(
    archive: zipfile.ZipFile, members: list[dict[str, Any]], attachments: Sequence[Attachment]
) -> None:
    taken = {member["name"].casefold() for member in members} | {MANIFEST}
    for attachment in attachments:
        if not is_safe_name(attachment.name):
            raise InvalidInput("The name of an attachment points out of the package.")
        name = attachment.name
        if name.casefold() in taken:
            continue
        taken.add(name.casefold())
        with attachment.open() as source, _member(archive, members, name) as target:
            shutil.copyfileobj(source, target, _COPY_BYTES)


class _Hashing(io.RawIOBase):
    """Passes bytes on to a zip member while it hashes and counts them."""

    def __init__(self, target: IO[bytes]) -> None:
        self.target = target
        self.sha256 = hashlib.sha256()
        self.size_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        self.size_bytes += len(data)
        return self.target.write(data)


@contextmanager
def _member(
    archive: zipfile.ZipFile, members: list[dict[str, Any]], name: str, *, large: bool = False
) -> Iterator[BinaryIO]:
    """Give the file to write a member to; `large` prepares for more than 2 GiB."""
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_STORED if name.lower().endswith(_PACKED) else zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    with archive.open(info, "w", force_zip64=large) as target:
        hashing = _Hashing(target)
        with io.BufferedWriter(hashing, 1 << 18) as buffered:
            yield cast(BinaryIO, buffered)
            buffered.flush()
    members.append({"name": name, "size_bytes": hashing.size_bytes, "sha256": hashing.sha256.hexdigest()})
