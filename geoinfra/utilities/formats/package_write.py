"""Writing the utility-line package: ``consolidated.gml`` and ``LedningsejerStatusListe.xml``.

Writing joins the canonical elements that the rows carry; nothing is decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import repeat
from pathlib import Path
from typing import BinaryIO

import shapely

from geoinfra.errors import InvalidInput
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.catalogue import catalogue
from geoinfra.utilities.enquiry import AnswerStatus
from geoinfra.utilities.formats.ler_write import contact_element, fragments, iso_time, opened_for_writing
from geoinfra.utilities.formats.request import LERGML
from geoinfra.utilities.model import Contact, ResponseType, escape, namespace_declarations, require_cvr

__all__ = [
    "NOT_DELIVERED",
    "UNKNOWN_OWNER",
    "EnquiryInfo",
    "PackageArea",
    "PackageOwner",
    "response_type_of",
    "rolled_up",
    "status_of",
    "status_text",
    "write_consolidated",
    "write_status_list",
]

NOT_DELIVERED = "Ikke leveret"
"""Status of an owner who has not answered."""

UNKNOWN_OWNER = "00000000"
"""Owner of features that name none."""

_NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_LINES = b"<gml:featureMember>"
_STATUS = {status.danish.casefold(): status for status in AnswerStatus}
_RESPONSE = {one.casefold(): one for one in ResponseType}


@dataclass(frozen=True, slots=True)
class EnquiryInfo:
    """The dig enquiry that a package answers.

    Attributes
    ----------
    number
        Number of the enquiry.
    polygon
        Dig area: WKB of a polygon (or of several, as a package may have them), EPSG:25832 metres.
    period_from, period_to
        First and last day of digging.
    methods
        LER's ``graveart`` numbers; `methods_other` names what number 99 stands for.
    created_at, changed_at
        When the package was made, and made anew; aware.
    more
        Further fields of the ``Graveforesp`` and their texts, under LER's names.
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
    more: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class PackageArea:
    """What an owner answered for one of his interest areas; members as in :class:`PackageOwner`."""

    number: str
    status: str = NOT_DELIVERED
    valid_to: date | None = None
    supplementary_info: str | None = None
    expected_at: datetime | None = None
    contact: Contact | None = None
    response_type: ResponseType | None = None


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
    areas
        What was answered for each interest area, where that differs between them; the owner's own members are
        then what matters most: the status furthest from done, the earliest end of validity.
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
    areas: tuple[PackageArea, ...] = ()

    def by_area(self) -> tuple[PackageArea, ...]:
        """Return what was answered for each interest area."""
        if self.areas:
            return self.areas
        return tuple(
            PackageArea(
                number,
                self.status,
                self.valid_to,
                self.supplementary_info,
                self.expected_at,
                self.contact,
                self.response_type,
            )
            for number in self.indberetnings_no
        )


def status_text(response_type: ResponseType | None) -> str:
    """Return the Danish status text of an answer, ``Ikke leveret`` when there is none."""
    return NOT_DELIVERED if response_type is None else response_type[:1].upper() + response_type[1:]


def status_of(text: str) -> AnswerStatus:
    """Return the status that a text of the status list means; a wording that is not known is no answer."""
    return _STATUS.get(text.strip().casefold(), AnswerStatus.WAITING)


def response_type_of(text: str) -> ResponseType | None:
    """Return the type of answer that a status text stands for, ``None`` where it stands for none."""
    return _RESPONSE.get(text.strip().casefold())


def rolled_up(owner: PackageOwner, areas: Sequence[PackageArea]) -> PackageOwner:
    """Return the owner with what his interest areas say, and the areas apart where they differ."""
    if not areas:
        return owner
    worst = max(areas, key=lambda area: status_of(area.status).weight)
    texts = dict.fromkeys(a.supplementary_info for a in areas if a.supplementary_info is not None)
    ends = [area.valid_to for area in areas if area.valid_to]
    whole = replace(
        owner,
        indberetnings_no=tuple(area.number for area in areas),
        status=worst.status,
        response_type=worst.response_type,
        valid_to=min(ends) if ends else None,
        supplementary_info="; ".join(texts) if texts else None,
        expected_at=next((area.expected_at for area in areas if area.expected_at), None),
        contact=next((area.contact for area in areas if area.contact), None),
        areas=(),
    )
    return whole if whole.by_area() == tuple(areas) else replace(whole, areas=tuple(areas))


def write_consolidated(
    target: Path | BinaryIO,
    enquiry: EnquiryInfo | None,
    owners: Sequence[PackageOwner],
    features: Iterable[FeatureBatch],
    numbers: Iterable[Sequence[str] | None] | None = None,
) -> int:
    """Write ``consolidated.gml``; the same input gives the same bytes.

    Parameters
    ----------
    target
        Path, or a binary file open for writing.
    enquiry, owners
        What the package is about (``None``: not known), and who is concerned.
    features
        Rows with their ``gml`` column, ordered by owner.
    numbers
        For each batch the number of the interest area of each row; ``None`` stands for the owner's first.

    Returns
    -------
    int
        Number of features written.

    Raises
    ------
    InvalidInput
        Features come from an owner who is not listed, or a number cannot be an identifier.
    """
    tails = _Tails({owner.cvr: _first_number(owner) for owner in reversed(owners)})
    count = 0
    pairs: Iterable[tuple[FeatureBatch, Sequence[str] | None]]
    pairs = ((b, None) for b in features) if numbers is None else zip(features, numbers, strict=True)
    with opened_for_writing(target) as file:
        file.write(_package_head(enquiry, owners))
        for batch, chosen in pairs:
            pieces: list[bytes] = []
            rows = zip(fragments(batch), chosen or repeat(None), strict=bool(chosen))
            for (cvr, feature_class, element), number in rows:
                cut, end = tails[cvr, feature_class, number]
                pieces += (_LINES, element[:cut], end)
            file.write(b"".join(pieces))
            count += len(batch)
        file.write(b"</wfs:FeatureCollection>\n")
    return count


class _Tails(dict[tuple[str, str, str | None], tuple[int, bytes]]):
    """For owner, class and interest area: how much is cut off an element, and what takes its place."""

    def __init__(self, first: dict[str, str]) -> None:
        super().__init__()
        self._first = first

    def __missing__(self, key: tuple[str, str, str | None]) -> tuple[int, bytes]:
        self[key] = made = _tail(*key, self._first)
        return made


def _tail(cvr: str, feature_class: str, number: str | None, first: dict[str, str]) -> tuple[int, bytes]:
    """Return the length of an element's end tag (negative), and what takes its place."""
    if cvr not in first:
        raise InvalidInput(f"The package does not list the owner {cvr[:20]}.")
    name = catalogue().feature_class(feature_class).qname
    end = f"</{name}>"
    marks = (
        f"<objectType>{name}</objectType><ledningsejer>{cvr}</ledningsejer>"
        f"<indberetningsNr>{_checked_number(number or first[cvr])}</indberetningsNr>"
    )
    return -len(end), f"{marks}{end}</gml:featureMember>\n".encode()


def _checked_number(number: str) -> str:
    if not _NUMBER.fullmatch(number):
        raise InvalidInput(f"'{number[:60]}' cannot be the number of an interest area.")
    return number


def _first_number(owner: PackageOwner) -> str:
    require_cvr(owner.cvr)
    for number in owner.indberetnings_no:
        _checked_number(number)
    if not owner.indberetnings_no:
        raise InvalidInput(f"The owner {owner.cvr} has no interest area.")
    return owner.indberetnings_no[0]


def _package_head(enquiry: EnquiryInfo | None, owners: Sequence[PackageOwner]) -> bytes:
    pieces = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<wfs:FeatureCollection xmlns:wfs="http://www.opengis.net/wfs" xmlns:lergml="{LERGML}" '
        f"{namespace_declarations()}>",
    ]
    if enquiry is not None:
        pieces += [_wrap(_dig_element(enquiry)), _wrap(_package_element(enquiry))]
    seen: dict[str, int] = {}
    for owner in owners:
        seen[owner.cvr] = seen.get(owner.cvr, 0) + 1
        pieces += [_wrap(element) for element in _owner_elements(owner, seen[owner.cvr])]
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
            *((name, text) for name, text in enquiry.more if re.fullmatch("[A-Za-z_]{1,60}", name)),
        ],
    )
    area = f"<lergml:polygonProperty>{_gml_area(enquiry.polygon)}</lergml:polygonProperty>"
    order = _fields("", [("orderNo", enquiry.number)])
    return f'<lergml:Graveforesp gml:id="graveforesp.1">{fields}{area}{order}</lergml:Graveforesp>'


def _gml_area(wkb: bytes) -> str:
    area = shapely.from_wkb(wkb)
    if isinstance(area, shapely.Polygon):
        return _gml_polygon(area)
    if not isinstance(area, shapely.MultiPolygon):
        raise InvalidInput("The dig area of a package is a polygon.")
    members = "".join(f"<gml:surfaceMember>{_gml_polygon(one)}</gml:surfaceMember>" for one in area.geoms)
    return f'<gml:MultiSurface srsName="EPSG:25832" srsDimension="2">{members}</gml:MultiSurface>'


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


def _owner_elements(owner: PackageOwner, position: int) -> Iterator[str]:
    """Write the owner, and for each of his interest areas what he answered and whom to ask."""
    _first_number(owner)
    inner = _fields("ler:", [("cvr", owner.cvr)]) + _fields(
        "",
        [
            ("companyName", owner.name),
            ("folderName", owner.folder_name),
            ("ledningsejer", owner.cvr),
            *([("indberetningsNr", owner.indberetnings_no[0])] if owner.cvr == UNKNOWN_OWNER else []),
        ],
    )
    own = owner.cvr if position == 1 else f"{owner.cvr}.{position}"
    yield f'<ler:UtilityOwner gml:id="utilityowner.{own}">{inner}</ler:UtilityOwner>'
    for place, area in enumerate(owner.by_area()):
        number = _checked_number(area.number)
        marks = _fields("", [("ledningsejer", owner.cvr), ("indberetningsNr", number)])
        info = _fields(
            "ler:",
            [
                ("type", area.response_type),
                ("forventetAfleveringstidspunkt", iso_time(area.expected_at)),
                ("gyldigTil", iso_time(area.valid_to)),
                ("typeSupplerendeInfo", area.supplementary_info),
            ],
        )
        head = f'<ler:UtilityPackageInfo gml:id="utilitypackageinfo.{own}.{number}">'
        yield f"{head}{info}{marks}</ler:UtilityPackageInfo>"
        if area.contact is not None:
            own_id = area.contact.gml_id or "kontakt"
            suffix = f".{number}" if place or position > 1 else ""
            yield contact_element(area.contact, f"c{owner.cvr}.{own_id}{suffix}", marks)


def write_status_list(target: Path | BinaryIO, owners: Sequence[PackageOwner]) -> None:
    """Write ``LedningsejerStatusListe.xml``: each owner with the status of each of his interest areas."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<LedningsejerListe>"]
    for owner in owners:
        _first_number(owner)
        areas = "".join(
            "<Interesseområde>"
            + _fields("", [("IndberetningsNr", area.number), ("Status", area.status)])
            + "</Interesseområde>"
            for area in owner.by_area()
        )
        cvr = "" if owner.cvr == UNKNOWN_OWNER else owner.cvr
        head = _fields("", [("CVR", cvr), ("Navn", owner.name)])
        lines.append(f"<Ledningsejer>{head}{areas}</Ledningsejer>")
    lines.append("</LedningsejerListe>")
    with opened_for_writing(target) as file:
        file.write(("\n".join(lines) + "\n").encode())
