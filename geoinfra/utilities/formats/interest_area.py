"""The interest area as LER takes it (integration 27): ``lergml:Indberetning`` in the style of GML 2."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import shapely
from lxml import etree

from geoinfra.errors import DataRefused, InvalidGeometry, InvalidInput, Report, UnreadableFile
from geoinfra.utilities.formats.intake import Intake, Limits, root_and_children
from geoinfra.utilities.formats.ler_write import opened_for_writing
from geoinfra.utilities.formats.request import LERGML, dig_area, gml_2_polygons, texts_of
from geoinfra.utilities.formats.request_check import interest_area_findings
from geoinfra.utilities.model import escape

__all__ = ["InterestAreaNotice", "read_interest_area", "write_interest_area"]

_ROOT = f"{{{LERGML}}}featureCollection"
_MEMBER = f"{{{LERGML}}}Indberetning"
_GML_2 = "http://www.opengis.net/gml"
_LONGEST_REMARK = 4000
_LONGEST_OTHER = 50


@dataclass(frozen=True, slots=True)
class InterestAreaNotice:
    """What an owner tells LER of one of his interest areas.

    Attributes
    ----------
    polygon
        WKB of a polygon or of several, EPSG:25832 metres.
    remark
        ``bemaerkning``, mandatory, at most 4000 characters.
    supplies
        ``forsyningsart`` numbers, at least one; 99 needs `supplies_other` (at most 50 characters).
    signed
        Whether the area is connected to LER 2.0.
    contact_person, contact_address
        Mail address of the registered contact, one of the two or none.
    signed_as
        Element that says `signed`: ``ler20signed``, or ``ler2signed`` as it was called before.
    """

    polygon: bytes
    remark: str
    supplies: tuple[str, ...]
    signed: bool
    supplies_other: str = ""
    contact_person: str = ""
    contact_address: str = ""
    signed_as: str = "ler20signed"


def read_interest_area(source: Path | BinaryIO, *, limits: Limits | None = None) -> InterestAreaNotice:
    """Read an interest area.

    Raises
    ------
    UnreadableFile
        It is no interest area, or not safe to read.
    DataRefused
        LER would refuse it; the report names each fault with LER's error code.
    """
    return notice_of(Intake(source, limits or Limits(max_bytes=16 * 1024**2)))


def notice_of(intake: Intake) -> InterestAreaNotice:
    """Read the document of `intake`; see :func:`read_interest_area`."""
    with intake.open() as file:
        children = root_and_children(file, intake.limits, (_ROOT,))
        next(children)
        elements = [one for member in children for one in member if one.tag == _MEMBER]
    if len(elements) != 1:
        raise UnreadableFile(f"The document holds {len(elements)} Indberetning, not one.")
    return _notice(elements[0])


def _notice(element: etree._Element) -> InterestAreaNotice:
    report = Report(features=1)
    area: shapely.Geometry | None = None
    fault = ""
    try:
        area, fault = dig_area(element)
    except InvalidGeometry as error:
        fault = error.message
    texts = texts_of(element)
    report.extend(interest_area_findings(element, fault))
    if area is None or not report.ok:
        raise DataRefused("The interest area holds errors.", report)
    signed_as = "ler20signed" if "ler20signed" in texts else "ler2signed"
    return InterestAreaNotice(
        polygon=shapely.to_wkb(area, byte_order=1),
        remark=texts.get("bemaerkning", ""),
        supplies=tuple(one.strip() for one in texts.get("forsyningsart_id", "").split(",") if one.strip()),
        signed=texts[signed_as] in ("true", "1"),
        supplies_other=texts.get("forsyningsart_andet", ""),
        contact_person=texts.get("kontaktperson", ""),
        contact_address=texts.get("kontaktadresse", ""),
        signed_as=signed_as,
    )


def write_interest_area(target: Path | BinaryIO, notice: InterestAreaNotice) -> None:
    """Write an interest area as LER's integration 27 takes it.

    Raises
    ------
    InvalidInput
        A text is missing or too long, or both contacts are given.
    InvalidGeometry
        The area is not one or several valid polygons in Denmark.
    """
    _check(notice)
    fields = [
        ("fid", "1"),
        ("bemaerkning", notice.remark),
        ("forsyningsart_id", ",".join(notice.supplies)),
        ("forsyningsart_andet", notice.supplies_other),
        ("kontaktperson", notice.contact_person),
        ("kontaktadresse", notice.contact_address),
        (notice.signed_as, "true" if notice.signed else "false"),
    ]
    inner = "\n".join(f"<lergml:{name}>{escape(text)}</lergml:{name}>" for name, text in fields if text)
    document = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<lergml:featureCollection xmlns:lergml="{LERGML}" xmlns:gml="{_GML_2}">\n'
        f"<gml:featureMember>\n<lergml:Indberetning>\n{inner}\n"
        f"<lergml:polygonProperty>{gml_2_polygons(notice.polygon)}</lergml:polygonProperty>\n"
        "</lergml:Indberetning>\n</gml:featureMember>\n</lergml:featureCollection>\n"
    )
    with opened_for_writing(target) as file:
        file.write(document.encode())


def _check(notice: InterestAreaNotice) -> None:
    if not 0 < len(notice.remark) <= _LONGEST_REMARK:
        raise InvalidInput(f"The remark must have 1 to {_LONGEST_REMARK} characters.")
    if not notice.supplies or ("99" in notice.supplies) != bool(notice.supplies_other):
        raise InvalidInput(
            "Give the supplies; 99 and only 99 is explained in words.",
            details={"found": ",".join(notice.supplies)[:200]},
        )
    if len(notice.supplies_other) > _LONGEST_OTHER:
        raise InvalidInput(f"The other supply is longer than {_LONGEST_OTHER} characters.")
    if notice.contact_person and notice.contact_address:
        raise InvalidInput("Give a contact person or a contact address, not both.")
    if notice.signed_as not in ("ler20signed", "ler2signed"):
        raise InvalidInput("The element that says whether it is signed is ler20signed or ler2signed.")
