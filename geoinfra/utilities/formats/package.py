"""The utility-line package: ``consolidated.gml`` and ``LedningsejerStatusListe.xml``, out and in.

A package holds the features of all owners in one document. Each carries, without namespace, ``objectType``,
its owner (``ledningsejer``) and the number of the interest area (``indberetningsNr``). Writing joins the
canonical elements that the rows carry; nothing is decoded.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO

import shapely
from lxml import etree

from geoinfra.errors import Finding, InvalidInput, NotFound, Report, Severity, UnreadableFile
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.catalogue import catalogue
from geoinfra.utilities.formats.intake import Intake, Limits, root_and_children
from geoinfra.utilities.formats.ler_read import Answer, ElementReader, own_classes
from geoinfra.utilities.formats.ler_write import contact_element, fragments, iso_time, opened_for_writing
from geoinfra.utilities.formats.request import (
    LERGML,
    DigRequest,
    dig_date,
    dig_polygon,
    dig_text,
    read_request,
    write_request,
)
from geoinfra.utilities.model import (
    AnswerHeader,
    Contact,
    ResponseType,
    escape,
    namespace_declarations,
    require_cvr,
)

__all__ = [
    "NOT_DELIVERED",
    "PACKAGE_ROOT",
    "DigRequest",
    "EnquiryInfo",
    "Package",
    "PackageOwner",
    "answer_of",
    "read_package",
    "read_request",
    "status_text",
    "write_consolidated",
    "write_request",
    "write_status_list",
]

PACKAGE_ROOT = "{http://www.opengis.net/wfs}FeatureCollection"
"""Root of ``consolidated.gml``."""

NOT_DELIVERED = "Ikke leveret"
"""Status of an owner who has not answered."""

_DOCUMENT = "consolidated.gml"
_STATUS_LIST = "LedningsejerStatusListe.xml"
_NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_LINES = b"<gml:featureMember>"


@dataclass(frozen=True, slots=True)
class EnquiryInfo:
    """The dig enquiry that a package answers.

    Attributes
    ----------
    number
        Number of the enquiry.
    polygon
        Dig area: WKB of a polygon, EPSG:25832 metres.
    period_from, period_to
        First and last day of digging.
    methods
        LER's ``graveart`` numbers; `methods_other` names what number 99 stands for.
    created_at, changed_at
        When the package was made, and made anew; aware.
    """

    number: str
    polygon: bytes
    period_from: date
    period_to: date
    methods: tuple[str, ...] = ()
    description: str = ""
    created_at: datetime | None = None
    methods_other: str = ""
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PackageOwner:
    """What a package says of one owner.

    Attributes
    ----------
    indberetnings_no
        Numbers of the owner's interest areas that the dig area touches.
    status
        Danish status text, for instance ``Ledningsoplysninger udleveret`` (:func:`status_text`).
    response_type
        Type of the answer, ``None`` when there is none yet.
    folder_name
        Folder of the owner's attachments in the package.
    """

    cvr: str
    name: str
    indberetnings_no: tuple[str, ...] = ("1",)
    status: str = NOT_DELIVERED
    valid_to: date | None = None
    supplementary_info: str | None = None
    expected_at: datetime | None = None
    contact: Contact | None = None
    folder_name: str = ""
    response_type: ResponseType | None = None


def status_text(response_type: ResponseType | None) -> str:
    """Return the Danish status text of an answer, ``Ikke leveret`` when there is none."""
    return NOT_DELIVERED if response_type is None else response_type[:1].upper() + response_type[1:]


def write_consolidated(
    target: Path | BinaryIO,
    enquiry: EnquiryInfo,
    owners: Sequence[PackageOwner],
    features: Iterable[FeatureBatch],
) -> int:
    """Write ``consolidated.gml``; the same input gives the same bytes.

    Parameters
    ----------
    target
        Path, or a binary file open for writing.
    enquiry, owners
        What the package is about, and who is concerned.
    features
        Rows with their ``gml`` column, ordered by owner.

    Returns
    -------
    int
        Number of features written.

    Raises
    ------
    InvalidInput
        Features come from an owner who is not listed, or a number cannot be an identifier.
    """
    numbers = {owner.cvr: _first_number(owner) for owner in owners}
    tails: dict[tuple[str, str], tuple[int, bytes]] = {}
    count = 0
    with opened_for_writing(target) as file:
        file.write(_package_head(enquiry, owners))
        for batch in features:
            pieces: list[bytes] = []
            for cvr, feature_class, element in fragments(batch):
                tail = tails.get((cvr, feature_class))
                if tail is None:
                    tail = tails[cvr, feature_class] = _tail(cvr, feature_class, numbers)
                pieces += (_LINES, element[: tail[0]], tail[1])
            file.write(b"".join(pieces))
            count += len(batch)
        file.write(b"</wfs:FeatureCollection>\n")
    return count


def _tail(cvr: str, feature_class: str, numbers: dict[str, str]) -> tuple[int, bytes]:
    """Return the length of an element's end tag (negative), and what takes its place."""
    if cvr not in numbers:
        raise InvalidInput(f"The package does not list the owner {cvr[:20]}.")
    name = catalogue().feature_class(feature_class).qname
    end = f"</{name}>"
    marks = (
        f"<objectType>{name}</objectType><ledningsejer>{cvr}</ledningsejer>"
        f"<indberetningsNr>{numbers[cvr]}</indberetningsNr>"
    )
    return -len(end), f"{marks}{end}</gml:featureMember>\n".encode()


def _first_number(owner: PackageOwner) -> str:
    require_cvr(owner.cvr)
    for number in owner.indberetnings_no:
        if not _NUMBER.fullmatch(number):
            raise InvalidInput(f"'{number[:60]}' cannot be the number of an interest area.")
    if not owner.indberetnings_no:
        raise InvalidInput(f"The owner {owner.cvr} has no interest area.")
    return owner.indberetnings_no[0]


def _package_head(enquiry: EnquiryInfo, owners: Sequence[PackageOwner]) -> bytes:
    pieces = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<wfs:FeatureCollection xmlns:wfs="http://www.opengis.net/wfs" xmlns:lergml="{LERGML}" '
        f"{namespace_declarations()}>",
        _wrap(_dig_element(enquiry)),
        _wrap(_package_element(enquiry)),
    ]
    for owner in owners:
        pieces += [_wrap(element) for element in _owner_elements(owner)]
    return ("\n".join(pieces) + "\n").encode()


def _wrap(element: str) -> str:
    return f"<gml:featureMember>{element}</gml:featureMember>"


def _fields(prefix: str, fields: Sequence[tuple[str, str | None]]) -> str:
    return "".join(
        f"<{prefix}{name}>{escape(text)}</{prefix}{name}>" for name, text in fields if text is not None
    )


def _dig_element(enquiry: EnquiryInfo) -> str:
    fields = _fields(
        "lergml:",
        [
            ("fid", "1"),
            ("graveart_id", ",".join(enquiry.methods)),
            ("graveart_andet", enquiry.methods_other),
            ("graveperiode_fra", enquiry.period_from.isoformat()),
            ("graveperiode_til", enquiry.period_to.isoformat()),
            ("bemaerkning", enquiry.description),
        ],
    )
    polygon = shapely.from_wkb(enquiry.polygon)
    if not isinstance(polygon, shapely.Polygon):
        raise InvalidInput("The dig area of a package is one polygon.")
    area = f"<lergml:polygonProperty>{_gml_polygon(polygon)}</lergml:polygonProperty>"
    order = _fields("", [("orderNo", enquiry.number)])
    return f'<lergml:Graveforesp gml:id="graveforesp.1">{fields}{area}{order}</lergml:Graveforesp>'


def _gml_polygon(polygon: shapely.Polygon) -> str:
    rings = []
    for ring in (polygon.exterior, *polygon.interiors):
        text = " ".join(repr(float(value)) for vertex in ring.coords for value in vertex[:2])
        rings.append(f"<gml:LinearRing><gml:posList>{text}</gml:posList></gml:LinearRing>")
    inner = "".join(f"<gml:interior>{ring}</gml:interior>" for ring in rings[1:])
    head = '<gml:Polygon srsName="EPSG:25832" srsDimension="2">'
    return f"{head}<gml:exterior>{rings[0]}</gml:exterior>{inner}</gml:Polygon>"


def _package_element(enquiry: EnquiryInfo) -> str:
    fields = _fields(
        "lergml:",
        [
            ("oprettet_dato", iso_time(enquiry.created_at)),
            ("aendret_dato", iso_time(enquiry.changed_at)),
        ],
    )
    return f'<lergml:Ledningspakke gml:id="ledningspakke.1">{fields}</lergml:Ledningspakke>'


def _owner_elements(owner: PackageOwner) -> Iterator[str]:
    """Write the owner, and for each of his interest areas what he answered and whom to ask."""
    _first_number(owner)
    inner = _fields("ler:", [("cvr", owner.cvr)]) + _fields(
        "", [("companyName", owner.name), ("folderName", owner.folder_name), ("ledningsejer", owner.cvr)]
    )
    yield f'<ler:UtilityOwner gml:id="utilityowner.{owner.cvr}">{inner}</ler:UtilityOwner>'
    for position, number in enumerate(owner.indberetnings_no):
        marks = _fields("", [("ledningsejer", owner.cvr), ("indberetningsNr", number)])
        info = _fields(
            "ler:",
            [
                ("type", owner.response_type),
                ("forventetAfleveringstidspunkt", iso_time(owner.expected_at)),
                ("gyldigTil", iso_time(owner.valid_to)),
                ("typeSupplerendeInfo", owner.supplementary_info),
            ],
        )
        own = f"{owner.cvr}.{number}"
        head = f'<ler:UtilityPackageInfo gml:id="utilitypackageinfo.{own}">'
        yield f"{head}{info}{marks}</ler:UtilityPackageInfo>"
        if owner.contact is not None:
            suffix = f".{number}" if position else ""
            own_id = owner.contact.gml_id or "kontakt"
            yield contact_element(owner.contact, f"c{owner.cvr}.{own_id}{suffix}", marks)


def write_status_list(target: Path | BinaryIO, owners: Sequence[PackageOwner]) -> None:
    """Write ``LedningsejerStatusListe.xml``: each owner with the status of each of his interest areas."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<LedningsejerListe>"]
    for owner in owners:
        _first_number(owner)
        areas = "".join(
            "<Interesseområde>"
            + _fields("", [("IndberetningsNr", number), ("Status", owner.status)])
            + "</Interesseområde>"
            for number in owner.indberetnings_no
        )
        head = _fields("", [("CVR", owner.cvr), ("Navn", owner.name)])
        lines.append(f"<Ledningsejer>{head}{areas}</Ledningsejer>")
    lines.append("</LedningsejerListe>")
    with opened_for_writing(target) as file:
        file.write(("\n".join(lines) + "\n").encode())


@dataclass(slots=True)
class Package:
    """A package that was read.

    Attributes
    ----------
    enquiry
        The dig enquiry, ``None`` where the document does not tell.
    owners
        Owners in the order of the document.
    """

    enquiry: EnquiryInfo | None
    owners: tuple[PackageOwner, ...]
    _intake: Intake
    _model: str

    def answer_for(self, cvr: str) -> Answer:
        """Return one owner's answer; its rows equal those that were delivered.

        Raises
        ------
        NotFound
            The package holds nothing of this owner.
        """
        owner = next((one for one in self.owners if one.cvr == cvr), None)
        if owner is None:
            raise NotFound(f"The package holds nothing of the owner {cvr[:20]}.")
        number = self.enquiry.number if self.enquiry else ""
        header = AnswerHeader(
            answer_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{number}/{cvr}")),
            response_type=owner.response_type or ResponseType.DELIVERED,
            valid_to=owner.valid_to,
            expected_at=owner.expected_at,
            supplementary_info=owner.supplementary_info,
            contact=owner.contact,
            model_version=self._model,
        )
        folder = f"{owner.folder_name}/"
        attachments = tuple(name for name in self._intake.members if owner.folder_name and folder in name)
        return Answer(
            cvr,
            header,
            Report(),
            attachments,
            lambda report, keep_rows: _owner_batches(self._intake, cvr, self._model, report, keep_rows),
            self._intake.attachment,
        )


def read_package(
    source: Path | BinaryIO, *, owner_cvr: str | None = None, limits: Limits | None = None
) -> Package:
    """Read what a package says of its enquiry and owners; features are read by :meth:`Package.answer_for`.

    Parameters
    ----------
    source
        ``consolidated.gml``, or the zip that holds it.
    owner_cvr
        Only this owner.
    limits
        Bounds on what is read.

    Raises
    ------
    UnreadableFile
        It is no package, or not safe to read.
    NotFound
        It holds nothing of `owner_cvr`.
    """
    package = _survey(Intake(source, limits or Limits(), _DOCUMENT))
    if owner_cvr is not None:
        owners = tuple(owner for owner in package.owners if owner.cvr == owner_cvr)
        if not owners:
            raise NotFound(f"The package holds nothing of the owner {owner_cvr[:20]}.")
        package.owners = owners
    return package


def answer_of(intake: Intake, owner_cvr: str) -> Answer:
    """Return one owner's answer out of a package; see :meth:`Package.answer_for`."""
    return _survey(intake).answer_for(owner_cvr)


def _members(file: Any, limits: Limits) -> Iterator[etree._Element]:
    """Yield the feature elements of a package."""
    children = root_and_children(file, limits, (PACKAGE_ROOT,))
    next(children)
    for member in children:
        yield from member


def _survey(intake: Intake) -> Package:
    """Read everything of a package but its features."""
    survey = _Survey()
    with intake.open() as file:
        for element in _members(file, intake.limits):
            survey.take(element)
    statuses = _statuses(intake)
    owners = tuple(
        replace(
            owner,
            indberetnings_no=tuple(survey.numbers.get(owner.cvr, ())) or ("1",),
            status=statuses.get(owner.cvr) or status_text(owner.response_type),
        )
        for owner in survey.owners.values()
    )
    return Package(survey.enquiry(), owners, intake, "1.0.0" if survey.old else catalogue().model)


class _Survey:
    """Collects enquiry and owners while a package goes by."""

    def __init__(self) -> None:
        self.owners: dict[str, PackageOwner] = {}
        self.numbers: dict[str, list[str]] = {}
        self.old = False
        self._dig: EnquiryInfo | None = None
        self._times: dict[str, datetime] = {}

    def enquiry(self) -> EnquiryInfo | None:
        if self._dig is None:
            return None
        created, changed = self._times.get("oprettet_dato"), self._times.get("aendret_dato")
        return replace(self._dig, created_at=created, changed_at=changed)

    def take(self, element: etree._Element) -> None:
        name = etree.QName(element).localname
        if name == "Graveforesp":
            self._dig = _enquiry(element)
        elif name == "Ledningspakke":
            for field in ("oprettet_dato", "aendret_dato"):
                text = dig_text(element, field)
                if text:
                    self._times[field] = _moment(text)
        else:
            cvr = _mark(element, "ledningsejer") or _text(element, "cvr")
            if re.fullmatch(r"[0-9]{8}", cvr):
                self._take_owned(name, cvr, element)

    def _take_owned(self, name: str, cvr: str, element: etree._Element) -> None:
        owner = self.owners.setdefault(cvr, PackageOwner(cvr, ""))
        number = _mark(element, "indberetningsNr")
        if name == "UtilityOwner":
            self.owners[cvr] = replace(
                owner, name=_mark(element, "companyName"), folder_name=_mark(element, "folderName")
            )
            return
        if number and number not in self.numbers.setdefault(cvr, []):
            self.numbers[cvr].append(number)
        if name == "UtilityPackageInfo":
            self.owners[cvr] = _with_info(owner, element)
        elif name == "Kontaktprofil":
            if owner.contact is None:
                self.owners[cvr] = replace(owner, contact=_contact(cvr, element))
        elif "/LER/1/" in str(element.tag):
            self.old = True


def _enquiry(element: etree._Element) -> EnquiryInfo:
    methods = tuple(part.strip() for part in dig_text(element, "graveart_id").split(",") if part.strip())
    return EnquiryInfo(
        number=_mark(element, "orderNo"),
        polygon=shapely.to_wkb(dig_polygon(element), byte_order=1),
        period_from=dig_date(element, "graveperiode_fra"),
        period_to=dig_date(element, "graveperiode_til"),
        methods=methods,
        description=dig_text(element, "bemaerkning"),
        methods_other=dig_text(element, "graveart_andet"),
    )


def _mark(element: etree._Element, name: str) -> str:
    """Return the text of a child without namespace."""
    return (element.findtext(name) or "").strip()


def _text(element: etree._Element, name: str) -> str:
    """Return the text of a child in the namespace of its parent."""
    return element.findtext(f"{{{etree.QName(element).namespace}}}{name}") or ""


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise UnreadableFile("A time in the package cannot be read.", details={"found": text[:80]}) from error


def _with_info(owner: PackageOwner, element: etree._Element) -> PackageOwner:
    kind = _text(element, "type")
    valid_to = _text(element, "gyldigTil")
    expected = _text(element, "forventetAfleveringstidspunkt") or _text(
        element, "forventetAfleveringtidspunkt"
    )
    info = element.find(f"{{{etree.QName(element).namespace}}}typeSupplerendeInfo")
    return replace(
        owner,
        response_type=ResponseType(kind) if kind in set(ResponseType) else None,
        valid_to=_moment(valid_to).date() if valid_to else None,
        expected_at=_moment(expected) if expected else None,
        supplementary_info=None if info is None else info.text or "",
    )


def _contact(cvr: str, element: etree._Element) -> Contact:
    own_id = (element.get("{http://www.opengis.net/gml/3.2}id") or "").removeprefix(f"c{cvr}.")
    return Contact(
        _text(element, "navn"),
        _text(element, "telefonnummer"),
        _text(element, "mailadresse"),
        "" if own_id == "kontakt" else own_id,
    )


def _statuses(intake: Intake) -> dict[str, str]:
    """Return each owner's status out of the status list, where the source is a package with one."""
    name = next((one for one in intake.members if one.rpartition("/")[2] == _STATUS_LIST), None)
    if name is None:
        return {}
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(intake.attachment(name), parser)
    except etree.XMLSyntaxError as error:
        raise UnreadableFile(f"{_STATUS_LIST} is not well-formed XML.") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise UnreadableFile(f"{_STATUS_LIST} declares a document type.")
    return {
        owner.findtext("CVR", ""): owner.findtext("Interesseområde/Status", "")
        for owner in root.iter("Ledningsejer")
    }


def _owner_batches(
    intake: Intake, cvr: str, model: str, report: Report, keep_rows: bool
) -> Iterator[FeatureBatch]:
    """Read the features of one owner out of a package."""
    reader = ElementReader(cvr, report, model, keep_rows=keep_rows)
    classes = own_classes()
    foreign = 0
    with intake.open() as file:
        for element in _members(file, intake.limits):
            entry = classes.get(element.tag)
            if _mark(element, "ledningsejer") != cvr:
                foreign += entry is not None and element.find("ledningsejer") is None
                continue
            if entry is not None and entry[0].name == "Kontaktprofil":
                reader.reserve(element.get("{http://www.opengis.net/gml/3.2}id") or "")
            elif etree.QName(element).localname not in ("UtilityOwner", "UtilityPackageInfo"):
                reader.feature(element)
                yield from reader.full_batches()
    yield from reader.full_batches(1)
    reader.finish(extract=True)
    if foreign:
        report.add(
            Finding(
                "LER-PACKAGE-OWNER",
                Severity.WARNING,
                f"{foreign} features of the package name no owner and were left out.",
                f"{foreign} objekter i pakken nævner ingen ejer og er udeladt.",
                found=str(foreign),
            )
        )
