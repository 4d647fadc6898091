"""Any document of the LER exchange, told by its content and not by its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Literal

from lxml import etree

from geoinfra.errors import DataRefused, Finding, InvalidInput, NotFound, Report, Severity, UnreadableFile
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.formats.intake import Intake, Limits
from geoinfra.utilities.formats.interest_area import InterestAreaNotice, notice_of
from geoinfra.utilities.formats.ler import Answer, read_answer
from geoinfra.utilities.formats.ler_read import RuleFactory
from geoinfra.utilities.formats.package import PACKAGE_ROOTS, UNKNOWN_OWNER, Package, opened
from geoinfra.utilities.formats.package_check import completeness
from geoinfra.utilities.formats.package_survey import enquiry_of_request
from geoinfra.utilities.formats.package_write import EnquiryInfo, PackageOwner, status_text
from geoinfra.utilities.formats.request import (
    DigRequest,
    dig_polygon,
    merged_request,
    request_elements,
)
from geoinfra.utilities.formats.request_check import request_findings
from geoinfra.utilities.formats.status_list import STATUS_LIST, STATUS_ROOT, read_status_list, status_owners
from geoinfra.utilities.model import require_cvr

__all__ = ["UNKNOWN_OWNER", "Document", "Kind", "open_document"]

type Kind = Literal["answer", "package", "request", "interest-area", "status-list"]
type Content = Answer | Package | DigRequest | InterestAreaNotice | None

_ACCEPTED = (
    "Accepted are a LER answer (Graveforespoergselssvar), a utility-line package (consolidated.gml), "
    "a dig request (Graveforesp), an interest area (Indberetning) and a status list (LedningsejerListe): "
    "as GML, in a zip or in a folder."
)
_ORDER: tuple[Kind, ...] = ("package", "answer", "request", "interest-area", "status-list")
_SNIFFED_BYTES = 1 << 20
_SNIFFED_MEMBERS = 40
_CHUNK_BYTES = 1 << 14
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF"),
    (b"SQLite format 3\x00", "a SQLite database (GeoPackage?)"),
    (b"PK", "a zip file"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"\x1f\x8b", "a gzip file"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"AC10", "a DWG drawing"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"\x00\x00\x27\x0a", "a shapefile"),
    (b"fgb\x03", "a FlatGeobuf"),
    (b"PAR1", "a Parquet file"),
    (b"{", "JSON"),
    (b"[", "JSON"),
)


@dataclass(slots=True)
class Document:
    """A document of the LER exchange.

    Attributes
    ----------
    kind
        What it is.
    report
        Findings; complete when :meth:`batches` was drained, or as :meth:`scan` returns it.
    owners
        Owners it speaks of; of an answer that nobody named the one is ``UNKNOWN_OWNER``.
    enquiry
        The dig enquiry of a package or request, where it can be read.
    attachments
        Names of the files that came with it.
    content
        The document in its own form; ``None`` where the report says why there is none.
    """

    kind: Kind
    report: Report
    owners: tuple[PackageOwner, ...]
    enquiry: EnquiryInfo | None
    attachments: tuple[str, ...]
    content: Content

    def attachment(self, name: str) -> bytes:
        """Return the bytes of one of the attachments; ``NotFound`` when there is none of that name."""
        if not isinstance(self.content, Answer | Package):
            raise NotFound(f"There is no attachment '{name[:80]}'.")
        return self.content.attachment(name)

    def batches(self, *, elements: bool = True) -> Iterator[FeatureBatch]:
        """Yield the features, nothing where the document has none; may be called again.

        Without `elements` the rows lack the column ``gml`` and come sooner.
        """
        if isinstance(self.content, Answer | Package):
            yield from self.content.batches(elements=elements)

    def scan(self) -> Report:
        """Read and check everything without making rows, and return the report."""
        return self.content.scan() if isinstance(self.content, Answer | Package) else self.report


def open_document(
    source: Path | BinaryIO,
    *,
    owner_cvr: str | None = None,
    limits: Limits | None = None,
    strict: bool = False,
    rules: RuleFactory | None = None,
) -> Document:
    """Open any document of the LER exchange; what it is, is told by its content and not by its name.

    Parameters
    ----------
    source
        Path of a file or folder, or a binary file: GML or XML, or a zip (also one within a zip).
    owner_cvr
        Whose answer it is; of a package only his part is read.
    limits
        Bounds on what is read.
    strict
        Change nothing in features, and take what the official schema refuses as an error.
    rules
        Makes the rules beyond the schema; none are tried without.

    Raises
    ------
    UnreadableFile
        It is none of them, is malformed or unsafe, or passes a bound. Says what was found and what is taken.
    DataRefused
        The header of an answer does not say which it is, or of which type.
    InvalidInput
        `owner_cvr` is no CVR number.
    NotFound
        A package holds nothing of `owner_cvr`.
    """
    if owner_cvr is not None:
        require_cvr(owner_cvr)
    intake = Intake(source, limits or Limits(), any_member=True)
    match _kind(intake):
        case "answer":
            return _answer(intake, owner_cvr or UNKNOWN_OWNER, strict, rules)
        case "package":
            return _package(intake, owner_cvr, strict, rules)
        case "request":
            return _request(intake)
        case "interest-area":
            return _interest_area(intake)
        case _:
            return _status_list(intake)


def _answer(intake: Intake, owner_cvr: str, strict: bool, rules: RuleFactory | None) -> Document:
    answer = read_answer(intake, owner_cvr=owner_cvr, strict=strict, rules=rules)
    header = answer.header
    owner = PackageOwner(
        owner_cvr,
        "",
        status=status_text(header.response_type),
        valid_to=header.valid_to,
        supplementary_info=header.supplementary_info,
        expected_at=header.expected_at,
        contact=header.contact,
        response_type=header.response_type,
    )
    return Document("answer", answer.report, (owner,), None, answer.attachments, answer)


def _package(intake: Intake, owner_cvr: str | None, strict: bool, rules: RuleFactory | None) -> Document:
    package = opened(intake, owner_cvr=owner_cvr, strict=strict, rules=rules)
    return Document("package", package.report, package.owners, package.enquiry, package.attachments, package)


def _request(intake: Intake) -> Document:
    report = Report()
    asked: DigRequest | None = None
    elements = request_elements(intake)
    for element in elements:
        fault = ""
        try:
            dig_polygon(element)
        except InvalidInput as error:
            fault = error.message
        report.extend(request_findings(element, fault))
    if report.ok:
        try:
            asked = merged_request(elements)
        except InvalidInput as error:
            report.add(_refused(error))
    enquiry = enquiry_of_request(asked, "") if asked else None
    return Document("request", report, (), enquiry, _others(intake), asked)


def _refused(error: InvalidInput) -> Finding:
    return Finding(
        "LER-REQUEST",
        Severity.ERROR,
        error.message,
        "Graveforespørgslens områder kan ikke samles til ét.",
        path="Graveforesp/polygonProperty",
        rule="19-392",
        hint=error.hint,
        hint_da="Send dem hver for sig.",
    )


def _interest_area(intake: Intake) -> Document:
    try:
        notice = notice_of(intake)
    except DataRefused as refused:
        return Document("interest-area", refused.report, (), None, _others(intake), None)
    return Document("interest-area", Report(), (), None, _others(intake), notice)


def _status_list(intake: Intake) -> Document:
    with intake.open() as file:
        content = file.read(intake.limits.max_feature_bytes + 1)
    if len(content) > intake.limits.max_feature_bytes:
        raise UnreadableFile(f"{STATUS_LIST} is larger than {intake.limits.max_feature_bytes} bytes.")
    owners = status_owners(read_status_list(content))
    report = Report()
    report.extend(completeness(owners, None, None))
    return Document("status-list", report, owners, None, _others(intake), None)


def _others(intake: Intake) -> tuple[str, ...]:
    return tuple(name for name in intake.members if name not in intake.documents[:1])


# -- what is it?


def _kind(intake: Intake) -> Kind:
    """Tell what the source is, and make the telling member of a zip its document."""
    if not intake.is_zip:
        with intake.open() as file:
            kind, found = _sniffed(file)
        if kind is None:
            raise _unknown(f"This is {found}.", found)
        return kind
    seen: dict[Kind, str] = {}
    others: list[str] = []
    for name in _candidates(intake):
        with intake.open(name) as file:
            kind, found = _sniffed(file)
        if kind is None:
            others.append(f"{name} ({found})")
        else:
            seen.setdefault(kind, name)
            if kind == "package":
                break
    for kind in _ORDER:
        if kind in seen:
            intake.choose(seen[kind])
            return kind
    listed = ", ".join(others or intake.members)[:200]
    raise _unknown("The zip file holds no document of LER.", listed or "nothing")


def _candidates(intake: Intake) -> list[str]:
    """Return the members that may be the document: consolidated.gml first, then GML, then other XML."""
    names = [name for name in intake.members if name.lower().endswith((".gml", ".xml"))]

    def place(name: str) -> tuple[bool, bool]:
        lower = name.lower()
        return not lower.endswith("consolidated.gml"), not lower.endswith(".gml")

    return sorted(names, key=place)[:_SNIFFED_MEMBERS]


def _sniffed(file: IO[bytes]) -> tuple[Kind | None, str]:
    """Return the kind of a document, else ``None`` and what was found."""
    start = file.read(_CHUNK_BYTES)
    if not start.strip():
        return None, "an empty file"
    parser = etree.XMLPullParser(
        events=("start",), resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    names: list[str] = []
    chunk, total, ended = start, 0, False
    try:
        while not ended and total < _SNIFFED_BYTES:
            total, ended = total + len(chunk), not chunk
            if ended:
                parser.close()  # gives what it kept back of a short document
            else:
                parser.feed(chunk)
            names += [str(one.tag) for _, one in parser.read_events() if isinstance(one, etree._Element)]
            kind = _kind_of(names)
            if kind or (names and not names[0].endswith("}featureCollection")):
                return kind, f"XML with the root '{_local(names[0])[:60]}'"
            chunk = file.read(_CHUNK_BYTES)
    except etree.XMLSyntaxError:
        return None, _described(start, names)
    return None, _described(start, names)


def _kind_of(names: list[str]) -> Kind | None:
    if not names:
        return None
    local = _local(names[0])
    if local == "Graveforespoergselssvar":
        return "answer"
    if names[0] in PACKAGE_ROOTS:
        return "package"
    if local == STATUS_ROOT:
        return "status-list"
    if local == "featureCollection":
        for name in names[1:]:
            if _local(name) == "Graveforesp":
                return "request"
            if _local(name) == "Indberetning":
                return "interest-area"
    return None


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _described(start: bytes, names: list[str]) -> str:
    if names:
        return f"XML with the root '{_local(names[0])[:60]}'"
    for magic, what in _MAGIC:
        if start.startswith(magic):
            return what
    if start[:3] == b"\xef\xbb\xbf" or start.lstrip()[:1] == b"<":
        return "XML that is not well-formed"
    text = start.lstrip()[:200]
    if text.startswith(b"0\r\nSECTION") or text.startswith(b"0\nSECTION"):
        return "a DXF drawing"
    return "no XML"


def _unknown(message: str, found: str) -> UnreadableFile:
    return UnreadableFile(message, hint=_ACCEPTED, details={"found": found[:200], "expected": list(_ORDER)})
