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
from typing import Any, Final

import shapely

from geoinfra import crs
from geoinfra.errors import InvalidGeometry, InvalidInput, TooLarge
from geoinfra.utilities import areas
from geoinfra.utilities.dig_area import MAX_AREA_M2, polygons_from_geojson, require_area
from geoinfra.utilities.legal_clock import DENMARK, law

__all__ = [
    "DEFAULT_FORMATS",
    "DIG_METHODS",
    "MEMBERS",
    "PACKAGE_FORMATS",
    "AnswerStatus",
    "EmergencyGround",
    "EnquiryContact",
    "EnquiryKind",
    "EnquiryRequest",
    "EnquiryState",
    "Filer",
    "area_of",
    "state_of",
]

MAX_PERIOD = timedelta(days=366)
PACKAGE_FORMATS = ("gml", "gpkg", "geojson", "html", "dxf", "pdf", "pdf-owners")
DEFAULT_FORMATS = PACKAGE_FORMATS[:4]
LARGEST_AREA_M2: Final = areas.MAX_PARTS * MAX_AREA_M2
"""What may be filed at once, in parts."""
DEEPEST_M: Final = 200.0
SUPPLY_NUMBERS: Final = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "99")
"""LER's *forsyningsart* numbers."""

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
    ``not-asked`` is that of an owner who is only named: in an enquiry for planning, and beside the dig area.
    """

    WAITING = "waiting"
    NO_LINES = "no-lines"
    DELIVERED = "delivered"
    WITHHELD = "withheld"
    MANUAL = "manual"
    POINTING_OUT = "pointing-out"
    POINTING_OUT_DELIVERED = "pointing-out-delivered"
    DIRECT = "direct"
    NOT_ASKED = "not-asked"

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

    @property
    def weight(self) -> int:
        """How far it is from done: of several answers of one owner the heaviest counts."""
        return _BY_WEIGHT.index(self)

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
    AnswerStatus.NOT_ASKED: "Ikke spurgt",
}
_NO_RESPONSE = (AnswerStatus.WAITING, AnswerStatus.DIRECT, AnswerStatus.NOT_ASKED)
_BY_WEIGHT = (
    AnswerStatus.NOT_ASKED,
    AnswerStatus.NO_LINES,
    AnswerStatus.DELIVERED,
    AnswerStatus.POINTING_OUT_DELIVERED,
    AnswerStatus.POINTING_OUT,
    AnswerStatus.WITHHELD,
    AnswerStatus.MANUAL,
    AnswerStatus.DIRECT,
    AnswerStatus.WAITING,
)
_RESPONSE = {text.lower(): status for status, text in _DANISH.items() if status not in _NO_RESPONSE}


class EnquiryState(StrEnum):
    """Where the whole enquiry stands, derived from its answers and its package."""

    FILED = "filed"
    PARTIAL = "partial"
    ANSWERED = "answered"
    COMPLETE = "complete"
    EXPIRED = "expired"


def state_of(*, settled: bool, packaged: bool, valid_to: datetime) -> EnquiryState:
    """Return the state: ``complete`` when nothing more is expected of owners and the package holds it all.

    Parameters
    ----------
    settled
        Whether nothing more is expected of any owner.
    packaged
        Whether a package holds all that was answered.
    """
    if valid_to <= datetime.now(UTC):
        return EnquiryState.EXPIRED
    if settled:
        return EnquiryState.COMPLETE if packaged else EnquiryState.ANSWERED
    return EnquiryState.PARTIAL if packaged else EnquiryState.FILED


class EnquiryKind(StrEnum):
    """What an enquiry is for."""

    PLANNED = "planned"
    EMERGENCY = "emergency"
    PLANNING = "planning"

    @property
    def permits_digging(self) -> bool:
        """Whether somebody may dig by what it brings."""
        return self is not EnquiryKind.PLANNING

    @property
    def asks_owners(self) -> bool:
        """Whether owners are asked, and are bound to answer in time."""
        return self is not EnquiryKind.PLANNING

    @property
    def needs_reason(self) -> bool:
        """Whether a ground and a reason are mandatory."""
        return self is EnquiryKind.EMERGENCY

    @property
    def start_may_be_past(self) -> bool:
        """Whether it may be filed after the digging began."""
        return self is EnquiryKind.EMERGENCY

    @property
    def owners_first(self) -> bool:
        """Whether the filer gets the list of owners with telephone numbers before any answer."""
        return self is EnquiryKind.EMERGENCY

    @property
    def danish(self) -> str:
        """Name for people in Danish."""
        return _KINDS_DA[self]


_KINDS_DA: Final = {
    EnquiryKind.PLANNED: "Graveforespørgsel",
    EnquiryKind.EMERGENCY: "Uopsætteligt reparationsarbejde",
    EnquiryKind.PLANNING: "Orienterende forespørgsel - må ikke bruges til gravearbejde",
}


class Filer(StrEnum):
    """Who files."""

    PROFESSIONAL = "professional"
    PRIVATE = "private"

    @property
    def must_ask(self) -> bool:
        """Whether the law obliges him to ask before he digs; everybody may ask."""
        return self is Filer.PROFESSIONAL


class EmergencyGround(StrEnum):
    """Why a repair cannot wait for the utility information."""

    GETTING_WORSE = "getting-worse"
    WASTE = "waste"
    DANGER_TO_LIFE = "danger-to-life"
    ENVIRONMENT = "environment"

    def words(self, language: str = "da") -> str:
        """Return the ground in words; `language` is ``da`` or ``en``."""
        return str(law()["emergency"]["grounds"][self][language])


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
        Dig area, one valid polygon, EPSG:25832; above 250,000 m2 it is filed in parts.
    period_from, period_to
        First and last day of the dig.
    methods
        LER *graveart* numbers, keys of :data:`DIG_METHODS`.
    formats
        What the package holds, a subset of :data:`PACKAGE_FORMATS`; ``gml`` is always in it.
    grounds, reason, begun
        Of an emergency; see :class:`~geoinfra.utilities.filing.Filing`.
    purpose, supplies
        LER *formaal* number, and *forsyningsart* numbers of what will be laid.
    depth_m
        How deep will be dug; ``None`` where it is not known.
    own_number
        The filer's own number of the work.
    surroundings_m
        Up to which distance beside the dig area owners are named; 0 for none.
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
    kind: EnquiryKind = EnquiryKind.PLANNED
    filer: Filer = Filer.PROFESSIONAL
    grounds: tuple[EmergencyGround, ...] = ()
    reason: str = ""
    begun: bool = False
    purpose: str = "99"
    supplies: tuple[str, ...] = ()
    depth_m: float | None = None
    own_number: str = ""
    surroundings_m: float = 0.0

    @property
    def area_m2(self) -> float:
        """Area of the polygon in the plane of the projection."""
        return float(self.polygon.area)

    @classmethod
    def from_document(
        cls,
        document: Mapping[str, Any],
        *,
        today: date | None = None,
        polygon: shapely.Polygon | None = None,
    ) -> EnquiryRequest:
        """Check a request document (see ``docs/reference/http.md``) and return it as a value.

        Parameters
        ----------
        polygon
            The dig area when it is known already, see :func:`area_of`.

        Raises
        ------
        InvalidInput
            A member is missing or breaks a rule; ``details["path"]`` names it.
        InvalidGeometry
            The area breaks a rule, or several polygons do not make one.
        TooLarge
            The area is above 50 km2.
        """
        _reject_unknown(document)
        polygon = polygon or area_of(document)
        period = document.get("period")
        if not isinstance(period, Mapping):
            raise _invalid("period", 'Give the period as {"from": "2026-12-01", "to": "2026-12-20"}.')
        start, end = _day(period, "from"), _day(period, "to")
        _require_period(start, end, today or datetime.now(DENMARK).date())
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
            kind=EnquiryKind(_choice(document, "kind", tuple(EnquiryKind))),
            filer=Filer(_choice(document, "filer", tuple(Filer))),
            grounds=tuple(map(EmergencyGround, _choices(document, "grounds", tuple(EmergencyGround)))),
            reason=_text(document, "reason", 1000),
            begun=_flag(document, "begun"),
            purpose=_purpose(document),
            supplies=_choices(document, "supplies", SUPPLY_NUMBERS),
            depth_m=_number(document, "depth_m", 0.01, DEEPEST_M),
            own_number=_text(document, "own_number", 50),
            surroundings_m=_number(document, "surroundings_m", 0.0, areas.MAX_DISTANCE_M) or 0.0,
        )


def area_of(document: Mapping[str, Any]) -> shapely.Polygon:
    """Return the dig area of a request document: one polygon, EPSG:25832; several are merged.

    Raises
    ------
    InvalidInput
        The CRS is not known.
    InvalidGeometry
        The area breaks a rule, or several polygons do not make one.
    TooLarge
        The area is above 50 km2.
    """
    source_crs = crs.parse_crs(_text(document, "crs", 100) or None)
    try:
        polygons = polygons_from_geojson(document.get("area"), source_crs)
        polygon = polygons[0] if len(polygons) == 1 else areas.merge(polygons)
        require_area(polygon, LARGEST_AREA_M2)
    except (InvalidGeometry, TooLarge) as error:
        error.details.setdefault("path", "area")
        raise
    return polygon


MEMBERS: Final = frozenset(
    {
        *("area", "crs", "period", "methods", "methods_other", "description", "contact", "formats"),
        *("kind", "filer", "grounds", "reason", "begun"),
        *("purpose", "supplies", "depth_m", "own_number", "surroundings_m"),
    }
)
"""What a request document may hold."""


def _reject_unknown(document: Mapping[str, Any]) -> None:
    unknown = sorted(set(map(str, document)) - MEMBERS)
    if unknown:
        raise _invalid(unknown[0][:60], f"Members are: {', '.join(sorted(MEMBERS))}.", what="is not known")


def _invalid(path: str, hint: str, *, what: str = "is missing or wrong") -> InvalidInput:
    texts = law()["filing"]["members"]
    danish = texts.get(path) or texts.get(path.partition(".")[0]) or "Feltet er ukendt."
    return InvalidInput(f"'{path}' {what}.", hint=hint, details={"path": path, "message_da": danish})


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


def _choice(document: Mapping[str, Any], name: str, known: Sequence[str]) -> str:
    value = document.get(name, known[0])
    if not isinstance(value, str) or value not in known:
        raise _invalid(name, f"Choose one of: {', '.join(known)}.")
    return value


def _choices(document: Mapping[str, Any], name: str, known: Sequence[str]) -> tuple[str, ...]:
    value = document.get(name) or []
    if not isinstance(value, list | tuple) or any(str(one) not in known for one in value):
        raise _invalid(name, f"Give a list of some of: {', '.join(known)}.")
    given = {str(one) for one in value}
    return tuple(one for one in known if one in given)


def _flag(document: Mapping[str, Any], name: str) -> bool:
    value = document.get(name, False)
    if not isinstance(value, bool):
        raise _invalid(name, "Give true or false.")
    return value


def _purpose(document: Mapping[str, Any]) -> str:
    value = _text(document, "purpose", 2) or "99"
    if not re.fullmatch("[0-9]{1,2}", value):
        raise _invalid("purpose", "Give LER's number of the purpose; 99 is any other.")
    return value


def _number(document: Mapping[str, Any], name: str, least: float, most: float) -> float | None:
    value = document.get(name)
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not (math.isfinite(value) and least <= value <= most):
        raise _invalid(name, f"Give a number of metres from {least:g} to {most:g}.")
    return float(value)
