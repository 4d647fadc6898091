"""The files of a utility-line package: one place writes them, for enquiries and for packages made anew."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

import orjson

from geoinfra.errors import GeoinfraError, InvalidInput
from geoinfra.presentation import offline_html
from geoinfra.presentation.qml import default_layer_style
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.formats import geojson, geopackage, package, request
from geoinfra.utilities.formats.intake import is_safe_name
from geoinfra.utilities.formats.ler_write import opened_for_writing
from geoinfra.utilities.formats.package import EnquiryInfo, PackageOwner
from geoinfra.utilities.formats.package_seal import MANIFEST, SIGNATURE, member_info, signature_document
from geoinfra.utilities.signatures import SigningKey

if TYPE_CHECKING:
    from geoinfra.presentation.plan_background import Background

__all__ = ["DRAWINGS", "MANIFEST", "OPTIONAL", "Attachment", "Contents", "write_package"]

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
    path
        What the owner calls it (``sti``), where that is another name.
    """

    name: str
    open: Callable[[], AbstractContextManager[IO[bytes]]]
    path: str = ""


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
    page
        What the page for the site and the plan tell beside the lines.
    background
        Makes the ground under the plan; ``None`` for a plan without one.
    """

    enquiry: EnquiryInfo | None
    owners: Sequence[PackageOwner]
    batches: Sequence[FeatureBatch]
    numbers: Sequence[Sequence[str] | None] | None = None
    dig_request: request.DigRequest | None = None
    attachments: Sequence[Attachment] = ()
    page: offline_html.PageFacts | None = None
    background: Callable[[], Background] | None = None


type Manifest = Callable[[list[dict[str, Any]]], dict[str, Any]]
"""Makes the manifest out of the list of files (name, size, SHA-256)."""

DRAWINGS = ("geojson", "gpkg", "html", "dxf", "pdf", "pdf-owners")
"""Files made of the features beside the documents of LER: data first, then what is drawn of them."""

OPTIONAL = ("pdf-owners",)
"""What is made only where it is asked for by name."""

_DATA = DRAWINGS[:2]


def write_package(
    target: Path | BinaryIO,
    contents: Contents,
    formats: Iterable[str],
    manifest: Manifest,
    progress: Callable[[float, str], None] = lambda _fraction, _text: None,
    *,
    key: SigningKey | None = None,
    left_out: Callable[[str, GeoinfraError], None] | None = None,
    texts: Callable[[], Mapping[str, str]] = dict,
) -> dict[str, Any]:
    """Write the zip; the same contents give the same bytes.

    Parameters
    ----------
    formats
        Some of :data:`DRAWINGS`; the documents of LER are always written.
    key
        Signs the package; `target` must be readable then. Without a key there is no ``manifest.sig``.
    left_out
        Told which format cannot be made and why; the package goes without it. Else the error is raised.
    texts
        Makes small files, called when all others are written.

    Returns
    -------
    dict
        The manifest.
    """
    wanted = [name for name in DRAWINGS if name in frozenset(formats)]
    if contents.enquiry is None and "html" in wanted:
        wanted.remove("html")
    if _OWNER_PLANS in wanted:
        wanted[-1:] = [f"{_OWNER_PLAN}{cvr}" for cvr in _drawn_owners(contents)]
    beside = [name for name in wanted if name not in ("geojson", "html") or left_out]
    members: list[dict[str, Any]] = []
    with (
        TemporaryDirectory(prefix="geoinfra-") as folder,
        ThreadPoolExecutor(1) as worker,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        made = {name: worker.submit(_make_drawing, Path(folder), contents, name, left_out) for name in beside}

        def add(names: Iterable[str]) -> None:
            for name in names:
                if name in made:
                    _copy_drawing(archive, members, made[name].result())
                else:
                    with _member(archive, members, _file_name(name), large=_is_large(contents)) as file:
                        _write_drawing(name, file, contents)

        _write_documents(archive, members, contents)
        progress(0.3, "GML")
        add(name for name in wanted if name in _DATA)
        _write_attachments(archive, members, contents.attachments)
        progress(0.6, "data")
        add(name for name in wanted if name not in _DATA)
        for name, text in texts().items():
            with _member(archive, members, name) as file:
                file.write(text.encode())
        whole = manifest(members)
        listing = orjson.dumps(whole, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        archive.writestr(member_info(MANIFEST, zipfile.ZIP_DEFLATED), listing)
        if key is not None:
            _sign(archive, key, listing)
    return whole


def _sign(archive: zipfile.ZipFile, key: SigningKey, listing: bytes) -> None:
    """Add the signature as the last member; what is written so far is read once more for it."""
    written = cast(IO[bytes], archive.fp)
    written.seek(0)
    document = signature_document(key, listing, written, archive.start_dir)
    archive.writestr(member_info(SIGNATURE, zipfile.ZIP_STORED), document)


_NAMES = {
    "geojson": "ledninger.geojson",
    "html": "index.html",
    "gpkg": "ledninger.gpkg",
    "dxf": "ledninger.dxf",
    "pdf": "plan.pdf",
}
_OWNER_PLANS = "pdf-owners"
_OWNER_PLAN = "pdf:"


def _file_name(drawing: str) -> str:
    """Return the name in the package; that of an owner's own plan ends with his CVR number."""
    cvr = drawing.removeprefix(_OWNER_PLAN)
    return _NAMES[drawing] if cvr == drawing else f"plan-{_NOT_IN_NAMES.sub('_', cvr)}.pdf"


def _drawn_owners(contents: Contents) -> list[str]:
    """Return the owners of whom something has a place."""
    found = {
        cvr
        for batch in contents.batches
        for cvr, place in zip(batch.columns["owner_cvr"], batch.geometry, strict=True)
        if place is not None
    }
    return sorted(found)


def _make_drawing(
    folder: Path,
    contents: Contents,
    name: str,
    left_out: Callable[[str, GeoinfraError], None] | None,
) -> Path | None:
    """Write a drawing into a folder, in a thread beside the documents, which mostly compress."""
    path = folder / _file_name(name)
    try:
        _write_drawing(name, path, contents)
    except GeoinfraError as error:
        if left_out is None:
            raise
        left_out(path.name, error)
        return None
    return path


def _copy_drawing(archive: zipfile.ZipFile, members: list[dict[str, Any]], drawing: Path | None) -> None:
    """Copy a drawing into the zip; there is none when it was left out."""
    if drawing is None:
        return
    large = drawing.stat().st_size > _LARGE_BYTES
    with _member(archive, members, drawing.name, large=large) as file, drawing.open("rb") as source:
        shutil.copyfileobj(source, file, _COPY_BYTES)


def _write_drawing(name: str, target: Path | BinaryIO, contents: Contents) -> None:
    enquiry = contents.enquiry
    match name:
        case "gpkg":
            moment = enquiry.changed_at or enquiry.created_at if enquiry else None
            geopackage.write_geopackage(
                target, contents.batches, changed_at=moment, styles=default_layer_style
            )
        case "geojson":
            geojson.write_geojson(target, contents.batches)
        case "dxf":
            from geoinfra.utilities.formats import dxf

            names = {owner.cvr: owner.name for owner in contents.owners if owner.name}
            dxf.write_dxf(target, contents.batches, owners=names)
        case _ if name == "pdf" or name.startswith(_OWNER_PLAN):
            _write_plan(name, target, contents)
        case _:
            if enquiry is not None:
                with opened_for_writing(target) as file:
                    offline_html.write_offline_html(
                        file, enquiry, contents.owners, contents.batches, contents.page
                    )


def _write_plan(name: str, target: Path | BinaryIO, contents: Contents) -> None:
    """Write the plan of all owners, or that of one."""
    from geoinfra.presentation.plan import PlanOptions, write_plan

    owner = name.removeprefix(_OWNER_PLAN) if name.startswith(_OWNER_PLAN) else None
    background = contents.background() if contents.background else None
    options = PlanOptions(owner_cvr=owner, paper=None)
    with opened_for_writing(target) as file:
        write_plan(
            file, contents.enquiry, contents.owners, contents.batches, contents.page, options, background
        )


_NOT_IN_NAMES = re.compile(r"[^\w.-]")
"""The number of an enquiry may come from a stranger's package; of it only this goes into a file name."""


def _is_large(contents: Contents) -> bool:
    """Whether a document of the contents may pass 2 GiB."""
    return sum(map(len, contents.batches)) > _LARGE_ROWS


def _write_documents(archive: zipfile.ZipFile, members: list[dict[str, Any]], contents: Contents) -> None:
    enquiry, owners = contents.enquiry, contents.owners
    with _member(archive, members, "consolidated.gml", large=_is_large(contents)) as target:
        package.write_consolidated(target, enquiry, owners, contents.batches, contents.numbers)
    with _member(archive, members, "LedningsejerStatusListe.xml") as target:
        package.write_status_list(target, owners)
    if contents.dig_request is not None:
        number = _NOT_IN_NAMES.sub("_", enquiry.number) if enquiry else ""
        with _member(archive, members, f"Graveforespoergsel_{number}.gml") as target:
            request.write_request(target, contents.dig_request)


def _write_attachments(
    archive: zipfile.ZipFile, members: list[dict[str, Any]], attachments: Sequence[Attachment]
) -> None:
    taken = {member["name"].casefold() for member in members} | {MANIFEST, SIGNATURE}
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
    packed = name.lower().endswith(_PACKED)
    info = member_info(name, zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED)
    with archive.open(info, "w", force_zip64=large) as target:
        hashing = _Hashing(target)
        with io.BufferedWriter(hashing, 1 << 18) as buffered:
            yield cast(BinaryIO, buffered)
            buffered.flush()
    members.append({"name": name, "size_bytes": hashing.size_bytes, "sha256": hashing.sha256.hexdigest()})
