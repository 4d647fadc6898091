"""The dig enquiry: what may be asked, and what an owner's answer means. Pure rules, no storage.

The limits are those of the Danish register: one polygon of at most 250,000 m2 in EPSG:25832, a period, at
least one dig method (LER's *graveart*), a contact who can be reached.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

import numpy as np
import shapely
from shapely.validation import explain_validity

from geoinfra import crs
from geoinfra.errors import InvalidGeometry, InvalidInput, TooLarge

__all__ = [
    "DEFAULT_FORMATS",
    "DIG_METHODS",
    "MAX_AREA_M2",
    "MAX_VERTICES",
    "PACKAGE_FORMATS",
    "AnswerStatus",
    "EnquiryContact",
    "EnquiryRequest",
    "EnquiryState",
    "polygon_from_geojson",
    "require_area",
    "state_of",
]

MAX_AREA_M2 = 250_000.0
MAX_VERTICES = 10_000
MAX_PERIOD = timedelta(days=366)
PACKAGE_FORMATS = ("gml", "gpkg", "geojson", "html", "dxf")
DEFAULT_FORMATS = PACKAGE_FORMATS[:4]

DIG_METHODS: Mapping[str, str] = {
    "1": "Kædegraver",
    "2": "Gennempresning",
    "3": "Boring m. pælebor",
    "4": "Relining",
    "5": "Cracking",
    "6": "Gravemaskine",
    "7": "Styret underboring",
    "8": "Plov",
    "9": "Ramning",
    "10": "Sprængning",
    "99": "Andet",
}
"""LER's *graveart* numbers and their Danish names."""


class AnswerStatus(StrEnum):
    """Where one owner's answer stands.

    ``direct`` is that of an owner with a dispensation: he sends what he has to the excavator himself.
    """

    WAITING = "waiting"
    NO_LINES = "no-lines"
    DELIVERED = "delivered"
    WITHHELD = "withheld"
    MANUAL = "manual"
    POINTING_OUT = "pointing-out"
    POINTING_OUT_DELIVERED = "pointing-out-delivered"
    DIRECT = "direct"

    @property
    def carries_data(self) -> bool:
        """Whether features, and therefore a grant, belong to the answer."""
        return self in (AnswerStatus.DELIVERED, AnswerStatus.POINTING_OUT_DELIVERED)

    @property
    def final(self) -> bool:
        """Whether nothing more is expected from the owner in a package."""
        return self not in (AnswerStatus.WAITING, AnswerStatus.MANUAL)

    @property
    def danish(self) -> str:
        """The wording of LER's status list."""
        return _DANISH[self]

    @classmethod
    def of_response(cls, response_type: str, features: int) -> AnswerStatus:
        """Return the status that a hosted owner's published version means for one enquiry.

        Parameters
        ----------
        response_type
            LER's ``Graveforespoergselssvar/type`` of the delivery.
        features
            How many of its features touch the dig area.
        """
        status = _RESPONSE[response_type]
        if status.carries_data and features == 0:
            return cls.NO_LINES
        return status


_DANISH = {
    AnswerStatus.WAITING: "Ikke leveret",
    AnswerStatus.NO_LINES: "Ingen ledninger i graveområde",
    AnswerStatus.DELIVERED: "Ledningsoplysninger udleveret",
    AnswerStatus.WITHHELD: "Ledningsoplysninger udleveres ikke",
    AnswerStatus.MANUAL: "Udtaget til manuel behandling",
    AnswerStatus.POINTING_OUT: "Udtaget til påvisning - ledningsoplysninger udleveres ikke",
    AnswerStatus.POINTING_OUT_DELIVERED: "Udtaget til påvisning - ledningsoplysninger udleveret",
    AnswerStatus.DIRECT: "Sendes via mail udenom LER",
}
_NO_RESPONSE = (AnswerStatus.WAITING, AnswerStatus.DIRECT)
_RESPONSE = {text.lower(): status for status, text in _DANISH.items() if status not in _NO_RESPONSE}


class EnquiryState(StrEnum):
    """Where the whole enquiry stands, derived from its answers and its package."""

    FILED = "filed"
    PARTIAL = "partial"
    ANSWERED = "answered"
    COMPLETE = "complete"
    EXPIRED = "expired"


def state_of(statuses: Sequence[AnswerStatus], *, packaged: bool, valid_to: datetime) -> EnquiryState:
    """Return the state: ``complete`` when all have answered and the package holds it all."""
    if valid_to <= datetime.now(UTC):
        return EnquiryState.EXPIRED
    if all(status.final for status in statuses):
        return EnquiryState.COMPLETE if packaged else EnquiryState.ANSWERED
    return EnquiryState.PARTIAL if packaged else EnquiryState.FILED


@dataclass(frozen=True, slots=True)
class EnquiryContact:
    """Who answers for the dig; a mail address or a telephone number is needed."""

    name: str
    email: str = ""
    phone: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the contact as a dict."""
        return {"name": self.name, "email": self.email, "phone": self.phone}


@dataclass(frozen=True, slots=True)
class EnquiryRequest:
    """A checked dig enquiry.

    Attributes
    ----------
    polygon
        Dig area, one valid polygon, EPSG:25832.
    period_from, period_to
        First and last day of the dig.
    methods
        LER *graveart* numbers, keys of :data:`DIG_METHODS`.
    formats
        What the package holds, a subset of :data:`PACKAGE_FORMATS`; ``gml`` is always in it.
    """

    polygon: shapely.Polygon
    period_from: date
    period_to: date
    methods: tuple[str, ...]
    contact: EnquiryContact
    methods_other: str = ""
    description: str = ""
    formats: tuple[str, ...] = DEFAULT_FORMATS
    key: str | None = field(default=None, compare=False)

    @property
    def area_m2(self) -> float:
        """Area of the polygon in the plane of the projection."""
        return float(self.polygon.area)

    @classmethod
    def from_document(cls, document: Mapping[str, Any], *, today: date | None = None) -> EnquiryRequest:
        """Check a request document (see ``docs/reference/http.md``) and return it as a value.

        Raises
        ------
        InvalidInput
            A member is missing or breaks a rule; ``details["path"]`` names it.
        InvalidGeometry
            The area breaks a rule.
        TooLarge
            The area is above 250,000 m2.
        """
        _reject_unknown(document)
        polygon = polygon_from_geojson(
            document.get("area"), crs.parse_crs(_text(document, "crs", 100) or None)
        )
        require_area(polygon)
        period = document.get("period")
        if not isinstance(period, Mapping):
            raise _invalid("period", 'Give the period as {"from": "2026-12-01", "to": "2026-12-20"}.')
        start, end = _day(period, "from"), _day(period, "to")
        _require_period(start, end, today or datetime.now(UTC).date())
        methods, other = _methods(document)
        return cls(
            polygon,
            start,
            end,
            methods,
            _contact(document.get("contact")),
            methods_other=other,
            description=_text(document, "description", 1000),
            formats=_formats(document.get("formats")),
        )


_MEMBERS = {"area", "crs", "period", "methods", "methods_other", "description", "contact", "formats"}


def _reject_unknown(document: Mapping[str, Any]) -> None:
    unknown = sorted(set(map(str, document)) - _MEMBERS)
    if unknown:
        raise _invalid(unknown[0][:60], f"Members are: {', '.join(sorted(_MEMBERS))}.", what="is not known")


def _invalid(path: str, hint: str, *, what: str = "is missing or wrong") -> InvalidInput:
    return InvalidInput(f"'{path}' {what}.", hint=hint, details={"path": path})


def _text(document: Mapping[str, Any], name: str, longest: int) -> str:
    value = document.get(name, "")
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > longest:
        raise _invalid(name, f"Give a text of at most {longest} characters.")
    if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", value):
        raise _invalid(name, "Control characters cannot be carried in XML; remove them.")
    return value.strip()


def _day(period: Mapping[str, Any], name: str) -> date:
    try:
        return date.fromisoformat(str(period.get(name, "")))
    except ValueError:
        raise _invalid(f"period.{name}", "Give a date as yyyy-mm-dd.") from None


def _require_period(start: date, end: date, today: date) -> None:
    if end < start:
        raise _invalid("period", "The period must not end before it starts.")
    if end < today:
        raise _invalid("period.to", f"The period must not have passed; today is {today}.")
    if end - start > MAX_PERIOD:
        raise _invalid("period", f"The period may last {MAX_PERIOD.days} days at most.")


def _methods(document: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    given = document.get("methods")
    known = ", ".join(f"{number} {name}" for number, name in DIG_METHODS.items())
    if not isinstance(given, list) or not given or any(str(method) not in DIG_METHODS for method in given):
        raise _invalid("methods", f"Give at least one number of: {known}.")
    other = _text(document, "methods_other", 100)
    methods = tuple(dict.fromkeys(str(method) for method in given))
    if ("99" in methods) != bool(other):
        raise _invalid("methods_other", "Say what the method is when, and only when, 99 (Andet) is chosen.")
    return methods, other


def _contact(value: Any) -> EnquiryContact:
    if not isinstance(value, Mapping):
        raise _invalid("contact", 'Give {"name": ..., "email": ..., "phone": ...}.')
    contact = EnquiryContact(_text(value, "name", 100), _text(value, "email", 254), _text(value, "phone", 15))
    if not contact.name:
        raise _invalid("contact.name", "Name the person who answers for the dig.")
    if not contact.email and not contact.phone:
        raise _invalid("contact.email", "Give a mail address or a telephone number.")
    if contact.email and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", contact.email):
        raise _invalid("contact.email", "Give a mail address such as name@firm.dk.")
    if contact.phone and not re.fullmatch(r"\+?[0-9 ]{8,15}", contact.phone):
        raise _invalid("contact.phone", "Give 8 to 15 digits, with + before a country code.")
    return contact


def _formats(value: Any) -> tuple[str, ...]:
    if value is None:
        return DEFAULT_FORMATS
    if not isinstance(value, list) or any(name not in PACKAGE_FORMATS for name in value):
        raise _invalid("formats", f"Choose among: {', '.join(PACKAGE_FORMATS)}.")
    return tuple(name for name in PACKAGE_FORMATS if name == "gml" or name in value)


def polygon_from_geojson(document: Any, source_crs: str = "OGC:CRS84") -> shapely.Polygon:
    """Read one GeoJSON Polygon and return it in EPSG:25832.

    Parameters
    ----------
    document
        ``{"type": "Polygon", "coordinates": [...]}``; a Feature around it is accepted.
    source_crs
        Name from :func:`geoinfra.crs.parse_crs`; coordinates are x before y.

    Raises
    ------
    InvalidGeometry
        Not a polygon, too few or too many vertices, NaN or infinite numbers, self-intersection, or outside
        Denmark; the message says where.
    """
    if isinstance(document, Mapping) and document.get("type") == "Feature":
        document = document.get("geometry")
    if not isinstance(document, Mapping) or document.get("type") != "Polygon":
        raise InvalidGeometry(
            "The area must be one GeoJSON Polygon.",
            hint="Join several areas to one, or file one enquiry for each.",
        )
    rings = document.get("coordinates")
    if not isinstance(rings, list) or not rings:
        raise InvalidGeometry("The polygon has no ring.", hint="Give at least one ring of four positions.")
    _require_few_vertices(rings)
    arrays = [_ring(ring) for ring in rings]
    moved = [np.column_stack(crs.transform_xy(r[:, 0], r[:, 1], source_crs, "EPSG:25832")) for r in arrays]
    if not all(np.isfinite(ring).all() for ring in moved):
        raise InvalidGeometry(
            "The coordinates lie outside the area where the CRS is defined.",
            hint="Check the CRS and the axis order: CRS84 is longitude, latitude.",
        )
    _reject_swapped_degrees(arrays[0], source_crs)
    polygon = shapely.Polygon(moved[0], moved[1:])
    crs.require_denmark(polygon)
    if not polygon.is_valid:
        raise _self_intersecting(polygon)
    return shapely.normalize(polygon)


def _require_few_vertices(rings: Sequence[Any]) -> None:
    vertices = sum(len(ring) for ring in rings if isinstance(ring, list))
    if vertices > MAX_VERTICES:
        raise InvalidGeometry(
            f"The polygon has {vertices} vertices; at most {MAX_VERTICES} are taken.",
            hint="Simplify the outline to what the dig needs.",
        )


def _ring(ring: Any) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    wrong = InvalidGeometry(
        "A ring of the polygon is not a list of positions.", hint="Write each position as [x, y] in numbers."
    )
    if not isinstance(ring, list):
        raise wrong
    for position in ring:
        if not isinstance(position, list) or not 2 <= len(position) <= 3:
            raise wrong
        if not all(isinstance(n, int | float) and not isinstance(n, bool) for n in position):
            raise wrong
        if not all(math.isfinite(n) for n in position):
            raise InvalidGeometry("The polygon holds NaN or an infinite number.", hint="Remove that vertex.")
    if len(ring) < 4 or list(ring[0]) != list(ring[-1]):
        raise InvalidGeometry(
            "A ring must have at least four positions and end where it starts.",
            hint="Repeat the first position at the end.",
        )
    return np.array([position[:2] for position in ring], dtype=np.float64)


def _reject_swapped_degrees(ring: np.ndarray[Any, np.dtype[np.float64]], source_crs: str) -> None:
    geographic = source_crs in ("OGC:CRS84", "EPSG:4326", "EPSG:4258")
    x, y = ring[:, 0], ring[:, 1]
    if geographic and (x > 54).all() and (x < 58.5).all() and (y > 7).all() and (y < 16).all():
        raise InvalidGeometry(
            "The coordinates look swapped: latitude stands before longitude.",
            hint="GeoJSON wants longitude first, then latitude.",
        )


def _self_intersecting(polygon: shapely.Polygon) -> InvalidGeometry:
    reason = explain_validity(polygon)
    place = re.search(r"\[(-?[\d.]+) (-?[\d.]+)", reason)
    where = f" at E {float(place[1]):.1f}, N {float(place[2]):.1f}" if place else ""
    return InvalidGeometry(
        f"The polygon crosses or touches itself{where} ({reason.split('[')[0].strip()}).",
        hint="Draw the outline so that no two of its sides cross.",
        details={"where": [float(place[1]), float(place[2])]} if place else {},
    )


def require_area(polygon: shapely.Polygon) -> None:
    """Raise unless the area is above 0.1 and at most 250,000 m2.

    Raises
    ------
    InvalidGeometry
        The polygon has (almost) no area.
    TooLarge
        It is above the limit.
    """
    if polygon.area < 0.1:
        raise InvalidGeometry("The polygon has no area.", hint="Draw around the place where you will dig.")
    if polygon.area > MAX_AREA_M2:
        raise TooLarge(
            f"The area is {polygon.area:,.0f} m2; one enquiry covers at most {MAX_AREA_M2:,.0f} m2.",
            hint="Split the area into several enquiries.",
            details={"area_m2": round(polygon.area, 1), "max_area_m2": MAX_AREA_M2},
        )
