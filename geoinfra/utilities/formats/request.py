"""The dig enquiry as LER takes and gives it: ``lergml:Graveforesp`` in the style of GML 2.

The same element stands in a request (integration 19) and, as GML 3.2, in ``consolidated.gml``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import shapely
from lxml import etree

from geoinfra.crs import require_denmark
from geoinfra.errors import InvalidGeometry, InvalidInput, UnreadableFile
from geoinfra.utilities.formats.intake import Intake, Limits, local_name, root_and_children
from geoinfra.utilities.formats.ler_write import opened_for_writing
from geoinfra.utilities.model import escape

__all__ = [
    "LERGML",
    "DigRequest",
    "dig_area",
    "dig_polygon",
    "gml_2_polygons",
    "merged_request",
    "read_request",
    "request_elements",
    "texts_of",
    "write_request",
]

LERGML = "http://www.ler.dk/ler"
_LERGML = f"{{{LERGML}}}"
_GML_2 = "http://www.opengis.net/gml"
_MAX_VERTICES = 10_000


@dataclass(frozen=True, slots=True)
class DigRequest:
    """What an excavator asks.

    Attributes
    ----------
    polygon
        Dig area: WKB of one polygon, EPSG:25832 metres.
    period_from, period_to
        First and last day of digging.
    methods
        LER's ``graveart`` numbers: 6 is an excavator, 7 directional drilling, 99 another.
    description
        ``bemaerkning``, mandatory.
    purpose
        ``formaal`` number.
    supplies
        ``forsyningsart`` numbers: 1 telecom and data, 3 water, 5 electricity, 7 gas, 8 wastewater …
    own_number
        The excavator's order number, at most 12 characters.
    contact_email
        Mail address of the registered contact.
    """

    polygon: bytes
    period_from: date
    period_to: date
    methods: tuple[str, ...]
    description: str
    methods_other: str = ""
    purpose: str = "99"
    purpose_other: str = ""
    supplies: tuple[str, ...] = ("99",)
    supplies_other: str = ""
    own_number: str = ""
    contact_email: str = ""
    paper_format: str = "1"
    digital_formats: tuple[str, ...] = ("2",)


def write_request(target: Path | BinaryIO, request: DigRequest) -> None:
    """Write a request as LER's integration 19 takes it (GML 2, EPSG:25832, ``x,y x,y``).

    Raises
    ------
    InvalidGeometry
        The area is no valid polygon in Denmark.
    InvalidInput
        The period ends before it starts, or a text is too long.
    """
    polygon = _checked(shapely.from_wkb(request.polygon))
    if request.period_to < request.period_from:
        raise InvalidInput("The dig period ends before it starts.")
    if len(request.own_number) > 12 or len(request.supplies_other) > 50 or len(request.contact_email) > 50:
        raise InvalidInput("A text is longer than LER takes (order number 12, others 50 characters).")
    fields = [
        ("fid", "1"),
        ("eget_ordrenummer", request.own_number),
        ("ordrenummer_ikke_angivet", "false" if request.own_number else "true"),
        ("graveart_id", ",".join(request.methods)),
        ("graveart_andet", request.methods_other),
        ("graveperiode_fra", request.period_from.isoformat()),
        ("graveperiode_til", request.period_to.isoformat()),
        ("bemaerkning", request.description),
        ("formaal_id", request.purpose),
        ("formaal_andet", request.purpose_other),
        ("forsyningsart_id", ",".join(request.supplies)),
        ("forsyningsart_andet", request.supplies_other),
        ("papirformat_id", request.paper_format),
        ("digitalformat_id", ",".join(request.digital_formats)),
        ("kontaktperson", request.contact_email),
    ]
    inner = "\n".join(f"<lergml:{name}>{escape(text)}</lergml:{name}>" for name, text in fields if text)
    document = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<lergml:featureCollection xmlns:lergml="{LERGML}" xmlns:gml="{_GML_2}">\n'
        f"<gml:featureMember>\n<lergml:Graveforesp>\n{inner}\n"
        f"<lergml:polygonProperty>{_gml_2(polygon)}</lergml:polygonProperty>\n"
        "</lergml:Graveforesp>\n</gml:featureMember>\n</lergml:featureCollection>\n"
    )
    with opened_for_writing(target) as file:
        file.write(document.encode())


def read_request(source: Path | BinaryIO, *, limits: Limits | None = None) -> DigRequest:
    """Read a request. Several ``Graveforesp`` are merged, and must then make one polygon.

    Raises
    ------
    UnreadableFile
        It is no request, or not safe to read.
    InvalidGeometry
        The area crosses itself, lies outside Denmark, or is not one polygon.
    InvalidInput
        A mandatory field is missing or no date.
    """
    return merged_request(request_elements(Intake(source, limits or Limits(max_bytes=16 * 1024**2))))


def merged_request(elements: Sequence[etree._Element]) -> DigRequest:
    """Return the request of one or several ``Graveforesp``; see :func:`read_request`."""
    merged = shapely.union_all([dig_polygon(element) for element in elements])
    if not isinstance(merged, shapely.Polygon):
        raise InvalidGeometry(
            "The polygons of the request do not make one area.", hint="Send them one by one."
        )
    return _request(elements[0], merged)


def request_elements(intake: Intake) -> list[etree._Element]:
    """Return the ``Graveforesp`` of a request, at least one."""
    with intake.open() as file:
        children = root_and_children(file, intake.limits, (f"{_LERGML}featureCollection",))
        next(children)
        elements = [one for member in children for one in member if one.tag == f"{_LERGML}Graveforesp"]
    if not elements:
        raise UnreadableFile("The document holds no Graveforesp.")
    return elements


def texts_of(element: etree._Element) -> dict[str, str]:
    """Return the texts of the children by name, whatever their namespace; the first of a name counts."""
    texts: dict[str, str] = {}
    for child in element:
        texts.setdefault(str(child.tag).rpartition("}")[2], (child.text or "").strip())
    return texts


def _request(element: etree._Element, polygon: shapely.Polygon) -> DigRequest:
    return DigRequest(
        polygon=shapely.to_wkb(polygon, byte_order=1),
        period_from=dig_date(element, "graveperiode_fra"),
        period_to=dig_date(element, "graveperiode_til"),
        methods=_numbers(element, "graveart_id"),
        description=dig_text(element, "bemaerkning"),
        methods_other=dig_text(element, "graveart_andet"),
        purpose=dig_text(element, "formaal_id"),
        purpose_other=dig_text(element, "formaal_andet"),
        supplies=_numbers(element, "forsyningsart_id"),
        supplies_other=dig_text(element, "forsyningsart_andet"),
        own_number=dig_text(element, "eget_ordrenummer"),
        contact_email=dig_text(element, "kontaktperson") or dig_text(element, "kontaktadresse"),
        paper_format=dig_text(element, "papirformat_id"),
        digital_formats=_numbers(element, "digitalformat_id"),
    )


def dig_text(element: etree._Element, name: str) -> str:
    """Return the text of a field of a ``Graveforesp``, empty where it is absent."""
    return (element.findtext(_LERGML + name) or "").strip()


def _numbers(element: etree._Element, name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in dig_text(element, name).split(",") if part.strip())


def dig_date(element: etree._Element, name: str) -> date:
    """Return a date of a ``Graveforesp``, or raise ``InvalidInput``."""
    text = dig_text(element, name)
    try:
        return date.fromisoformat(text[:10])
    except ValueError as error:
        raise InvalidInput(f"'{name}' is not a date (yyyy-mm-dd).", details={"found": text[:80]}) from error


def dig_polygon(element: etree._Element) -> shapely.Polygon:
    """Return the area of a ``Graveforesp``, written in the style of GML 2 or GML 3.

    Raises
    ------
    InvalidGeometry
        It is missing, crosses itself, is not finite or lies outside Denmark.
    """
    written = _polygons(element)
    if not all(closed for _, closed in written):
        raise InvalidGeometry("The polygon is not closed.", hint="End each ring where it starts.")
    areas = [_checked(one) for one, _ in written]
    merged = areas[0] if len(areas) == 1 else shapely.union_all(areas)
    if not isinstance(merged, shapely.Polygon):
        raise InvalidGeometry(
            "The polygons of the request do not make one area.", hint="Send them one by one."
        )
    return merged


def dig_area(element: etree._Element) -> tuple[shapely.Polygon | shapely.MultiPolygon, str]:
    """Return the area of a ``Graveforesp`` as a package has it, and what had to be mended.

    Raises
    ------
    InvalidGeometry
        It is missing, is not finite, lies outside Denmark, or nothing is left of it.
    """
    written: list[Any] = []
    mended = ""
    for polygon, closed in _polygons(element):
        mended = mended if closed else "Ring is not closed"
        written.append(polygon)
        if not np.isfinite(shapely.get_coordinates(polygon)).all():
            raise InvalidGeometry("A coordinate of the polygon is not a finite number.")
        if not shapely.is_valid(polygon):
            mended = shapely.is_valid_reason(polygon)
            written[-1] = shapely.buffer(shapely.make_valid(polygon), 0)
    merged = shapely.normalize(shapely.union_all(written))
    if not isinstance(merged, shapely.Polygon | shapely.MultiPolygon) or shapely.is_empty(merged):
        raise InvalidGeometry("The polygon encloses nothing.")
    require_denmark(merged)
    return (written[0] if len(written) == 1 and not mended else merged), mended


def _polygons(element: etree._Element) -> list[tuple[shapely.Polygon, bool]]:
    """Return the polygons below an element as they are written, and whether all their rings are closed."""
    found = [one for one in element.iter() if local_name(one) in ("Polygon", "PolygonPatch")]
    if not found:
        raise InvalidGeometry("The request has no polygon.")
    return [_polygon(one) for one in found]


def _polygon(element: etree._Element) -> tuple[shapely.Polygon, bool]:
    srs = element.get("srsName", "")
    if srs and not srs.endswith(("25832", "7416")):
        raise InvalidGeometry(f"The polygon is in '{srs[:80]}'.", hint="Write it in EPSG:25832.")
    rings = [_ring(one, element) for one in element.iter() if local_name(one) == "LinearRing"]
    if not rings or any(len(ring) < 4 for ring in rings):
        raise InvalidGeometry("A ring of the polygon has fewer than four points.")
    if sum(map(len, rings)) > _MAX_VERTICES:
        raise InvalidGeometry(f"The polygon has more than {_MAX_VERTICES} points.")
    try:
        return shapely.Polygon(rings[0], rings[1:]), all(ring[0] == ring[-1] for ring in rings)
    except (ValueError, shapely.GEOSException) as error:
        raise InvalidGeometry("The coordinates of the polygon make no ring.") from error


def _ring(ring: etree._Element, polygon: etree._Element) -> list[tuple[float, float]]:
    numbers: list[float] = []
    dimension = 2
    for child in ring:
        name = local_name(child)
        text = child.text or ""
        if name == "coord":  # GML 2 with an element for each number
            text, name = " ".join(one.text or "" for one in child), "pos"
        tuples = text.split() if name == "coordinates" else []
        if tuples and all("," in one for one in tuples):
            dimension = tuples[0].count(",") + 1
            text = text.replace(",", " ")
        elif name in ("pos", "posList"):
            written = child.get("srsDimension") or polygon.get("srsDimension") or "2"
            dimension = 3 if written == "3" else 2
        else:
            raise InvalidGeometry("The coordinates of the polygon cannot be read.", hint="Write 'x,y x,y …'.")
        try:
            numbers += [float(one) for one in text.split()]
        except ValueError as error:
            raise InvalidGeometry("The coordinates of the polygon are not numbers.") from error
    if len(numbers) % dimension:
        raise InvalidGeometry("The coordinates of the polygon are not whole positions.")
    return list(zip(numbers[0::dimension], numbers[1::dimension], strict=True))


def _checked(polygon: shapely.Geometry) -> shapely.Polygon:
    """Return a polygon that is finite, valid and in Denmark, with its outer ring first and flat."""
    if not isinstance(polygon, shapely.Polygon) or shapely.is_empty(polygon):
        raise InvalidGeometry("The dig area must be one polygon.")

    if not all(map(math.isfinite, shapely.bounds(polygon))):
        raise InvalidGeometry("A coordinate of the polygon is not a finite number.")
    if not shapely.is_valid(polygon):
        raise InvalidGeometry(
            "The polygon crosses itself.",
            hint="Draw the area so that its edge does not cross or touch itself.",
            details={"reason": shapely.is_valid_reason(polygon)},
        )
    require_denmark(polygon)
    return polygon


def gml_2_polygons(wkb: bytes) -> str:
    """Return one or several polygons in the style of GML 2.

    Raises
    ------
    InvalidGeometry
        They are not valid, or not in Denmark.
    """
    area = shapely.from_wkb(wkb)
    if not isinstance(area, shapely.MultiPolygon):
        return _gml_2(_checked(area))
    members = "".join(f"<gml:polygonMember>{_gml_2(_checked(one))}</gml:polygonMember>" for one in area.geoms)
    return f'<gml:MultiPolygon srsName="EPSG:25832">{members}</gml:MultiPolygon>'


def _gml_2(polygon: shapely.Polygon) -> str:
    def ring(coordinates: Sequence[tuple[float, ...]]) -> str:
        text = " ".join(f"{x!r},{y!r}" for x, y, *_ in coordinates)
        return f"<gml:LinearRing><gml:coordinates>{text}</gml:coordinates></gml:LinearRing>"

    inner = "".join(
        f"<gml:innerBoundaryIs>{ring(list(one.coords))}</gml:innerBoundaryIs>" for one in polygon.interiors
    )
    outer = ring(list(polygon.exterior.coords))
    boundary = f"<gml:outerBoundaryIs>{outer}</gml:outerBoundaryIs>{inner}"
    return f'<gml:Polygon srsName="EPSG:25832">{boundary}</gml:Polygon>'
