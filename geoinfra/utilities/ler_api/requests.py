"""A dig request (integration 19) and an interest area (27) as LER's interface judges them, with its codes.

The first fault in LER's order gives the code; all of them are told. Geometry comes first, since everything
else can be mended without drawing anew.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, Final

import shapely
from lxml import etree

from geoinfra.errors import (
    DataRefused,
    Finding,
    GeoinfraError,
    InvalidGeometry,
    InvalidInput,
    TooLarge,
    UnreadableFile,
)
from geoinfra.utilities import areas
from geoinfra.utilities.dig_area import require_area
from geoinfra.utilities.enquiry import DIG_METHODS
from geoinfra.utilities.formats.intake import Intake, Limits
from geoinfra.utilities.formats.interest_area import InterestAreaNotice, notice_of
from geoinfra.utilities.formats.request import (
    DigRequest,
    dig_area,
    dig_polygon,
    merged_request,
    request_elements,
)
from geoinfra.utilities.formats.request_check import request_findings
from geoinfra.utilities.ler_api import Refusal

__all__ = ["dig_request", "interest_area"]

type _Told = tuple[str, str]

_LIMITS: Final = Limits(max_bytes=16 * 1024**2)
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_SHAPES = frozenset(("Polygon", "Surface", "MultiPolygon", "MultiSurface"))
_COLLECTIONS = frozenset(("MultiPolygon", "MultiSurface", "MultiGeometry"))
_ORDER = ("19-470", "19-480", "19-310", "19-320", "19-330", "19-360", "19-350", "19-340")


def dig_request(gml: bytes, today: date) -> DigRequest:
    """Read a dig request; the polygons of several ``Graveforesp`` become one area.

    Raises
    ------
    Refusal
        LER would not take it.
    """
    try:
        elements = request_elements(Intake(io.BytesIO(gml), _LIMITS))
    except GeoinfraError as error:
        raise Refusal("19-300", *_told(error)) from error
    polygon = _dig_area(elements)
    faults = list(_faults(elements[0], today))
    if faults:
        raise Refusal(faults[0][0], *(told for _, told in faults))
    try:
        read = merged_request(elements[:1])
    except InvalidInput as error:
        raise Refusal("19-300", *_told(error)) from error
    _require_methods(read)
    return replace(read, polygon=shapely.to_wkb(polygon, byte_order=1))


def _told(error: GeoinfraError) -> list[_Told]:
    return [("", f"{error.message} {error.hint}".strip())]


# --- The dig area


def _dig_area(elements: Sequence[etree._Element]) -> shapely.Polygon:
    if len(elements) > areas.MAX_POLYGONS:
        text = f"{len(elements)} > {areas.MAX_POLYGONS}"
        raise Refusal("19-393", (text, text))
    polygons = [_polygon(element) for element in elements]
    merged = polygons[0] if len(polygons) == 1 else _merged(polygons)
    try:
        require_area(merged)
    except (InvalidGeometry, TooLarge) as error:
        raise Refusal("19-370" if len(polygons) == 1 else "19-391", *_told(error)) from error
    return merged


def _polygon(element: etree._Element) -> shapely.Polygon:
    holders = [one for one in element if etree.QName(one).localname == "polygonProperty"]
    inside = {etree.QName(one).localname for holder in holders for one in holder.iter(etree.Element)}
    if not inside - {"polygonProperty"}:
        raise Refusal("19-380")
    if inside & _COLLECTIONS:
        raise Refusal("19-395")
    if not inside & _SHAPES:
        raise Refusal("19-375")
    try:
        return dig_polygon(element)
    except InvalidGeometry as error:
        raise Refusal("19-370" if _readable(element) else "19-385", *_told(error)) from error


def _readable(element: etree._Element) -> bool:
    """Whether the coordinates make a polygon in Denmark, be it one whose edges cross."""
    try:
        dig_area(element)
    except InvalidGeometry:
        return False
    return True


def _merged(polygons: Sequence[shapely.Polygon]) -> shapely.Polygon:
    try:
        return areas.merge(polygons)
    except InvalidGeometry as error:
        gaps = error.details.get("gaps", ())
        apart = any(float(gap["distance_m"]) > 0 for gap in gaps)
        raise Refusal("19-390" if apart else "19-392", *_told(error)) from error


# --- The fields


def _faults(element: etree._Element, today: date) -> list[tuple[str, _Told]]:
    """Return what LER would refuse of the fields, in the order in which it answers."""
    fields = {etree.QName(one).localname: (one.text or "").strip() for one in element.iter(etree.Element)}
    found = [(_code(one, fields), _said(one)) for one in request_findings(element, "")]
    found += [(code, ("", "")) for code in _further(fields, today)]
    order = {code: place for place, code in enumerate(_ORDER)}
    found = [one for one in found if one[0] != "19-380"]
    return sorted(found, key=lambda one: order.get(one[0], len(order)))


def _code(finding: Finding, fields: dict[str, str]) -> str:
    if finding.rule == "19-470" and "bemaerkning" in fields:
        return "19-480"
    if finding.rule == "19-490" and ("kontaktperson" in fields or "kontaktadresse" in fields):
        return "19-500"
    return finding.rule


def _said(finding: Finding) -> _Told:
    return f"{finding.message_da} {finding.hint_da}".strip(), f"{finding.message} {finding.hint}".strip()


def _further(fields: dict[str, str], today: date) -> Iterator[str]:
    """Yield the codes of what goes beyond a well-formed request."""
    yield from _past(fields, today)
    purposes = [one for one in fields.get("formaal_id", "").split(",") if one.strip()]
    if len(purposes) > 1:
        yield "19-440"
    elif purposes and not re.fullmatch(r"[1-9][0-9]?", purposes[0].strip()):
        yield "19-430"
    if len([one for one in fields.get("papirformat_id", "").split(",") if one.strip()]) > 1:
        yield "19-465"
    supplies = {one.strip() for one in fields.get("forsyningsart_id", "").split(",")}
    if "99" in supplies and not fields.get("forsyningsart_andet"):
        yield "19-410"
    yield from _contacts(fields)


def _past(fields: dict[str, str], today: date) -> Iterator[str]:
    for code, name in (("19-340", "graveperiode_fra"), ("19-350", "graveperiode_til")):
        try:
            past = date.fromisoformat(fields.get(name, "")) < today
        except ValueError:
            continue  # told already
        if past:
            yield code


def _contacts(fields: dict[str, str]) -> Iterator[str]:
    given = [name for name in ("kontaktperson", "kontaktadresse") if fields.get(name)]
    if len(given) == 2:
        yield "00-391"
    for name in given:
        person = name == "kontaktperson"
        if len(fields[name]) > 50:
            yield "00-400" if person else "00-410"
        elif not _MAIL.fullmatch(fields[name]):
            yield "19-510" if person else "19-520"


def _require_methods(read: DigRequest) -> None:
    unknown = [method for method in read.methods if method not in DIG_METHODS]
    if not read.methods or unknown or ("99" in read.methods) != bool(read.methods_other):
        raise Refusal(
            "19-300",
            (
                "graveart_id skal være LER's numre; graveart_andet hører sammen med 99.",
                "graveart_id must be LER's numbers; graveart_andet goes with 99.",
            ),
        )


# --- Interest areas


def interest_area(gml: bytes) -> InterestAreaNotice:
    """Read an interest area.

    Raises
    ------
    Refusal
        LER would not take it.
    """
    try:
        intake = Intake(io.BytesIO(gml), _LIMITS)
        fields, shapes = _notice_parts(intake)
    except GeoinfraError as error:
        raise Refusal("27-300", *_told(error)) from error
    _require_shape(fields, shapes)
    try:
        notice = notice_of(intake)
    except DataRefused as refused:
        findings = refused.report.findings
        code = _notice_code(findings[0].rule, fields)
        raise Refusal(code, *map(_said, findings)) from refused
    except UnreadableFile as error:
        raise Refusal("27-300", *_told(error)) from error
    _require_notice(notice, fields)
    return notice


def _notice_parts(intake: Intake) -> tuple[dict[str, str], set[str]]:
    with intake.open() as file:
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
        try:
            root = etree.fromstring(file.read(_LIMITS.max_bytes + 1), parser)
        except etree.XMLSyntaxError as error:
            raise UnreadableFile("The document is not well-formed XML.") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise UnreadableFile("The document declares a document type.")
    notices = [one for one in root.iter(etree.Element) if etree.QName(one).localname == "Indberetning"]
    if len(notices) != 1:
        raise UnreadableFile(f"The document holds {len(notices)} Indberetning, not one.")
    fields = {etree.QName(one).localname: (one.text or "").strip() for one in notices[0]}
    held: Any = [one for one in notices[0] if etree.QName(one).localname == "polygonProperty"]
    return fields, {etree.QName(one).localname for holder in held for one in holder}


def _require_shape(fields: dict[str, str], shapes: set[str]) -> None:
    if "polygonProperty" not in fields:
        raise Refusal("27-440")
    if not shapes:
        raise Refusal("27-441")
    if not shapes & _SHAPES:
        raise Refusal("27-370")


def _notice_code(rule: str, fields: dict[str, str]) -> str:
    """Return LER's code where it tells apart what the finding does not."""
    if rule == "27-381" and not fields.get("forsyningsart_andet"):
        return "27-383"
    return rule or "27-300"


def _require_notice(notice: InterestAreaNotice, fields: dict[str, str]) -> None:
    for name, code in (("kontaktperson", "27-330"), ("kontaktadresse", "27-320")):
        if name in fields and not fields[name]:
            raise Refusal("27-321")
        if name in fields and not _MAIL.fullmatch(fields[name]):
            raise Refusal(code)
    if not notice.signed:
        raise Refusal("27-310")
