"""What a catalogue entry tells of its data beside name and extent: terms, contacts, lineage, quality, rhythm.

Codes are those of ISO 19115-1 (roles, maintenance, topics) and of INSPIRE; every member is optional.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any, Final
from urllib.parse import urlsplit

from geoinfra.errors import InvalidInput

__all__ = [
    "INSPIRE_THEMES",
    "MAINTENANCE",
    "Conformity",
    "Contact",
    "Licence",
    "Metadata",
    "Quality",
]

MAINTENANCE: Final = (
    "continual", "daily", "weekly", "fortnightly", "monthly", "quarterly", "biannually", "annually",
    "asNeeded", "irregular", "notPlanned", "unknown", "periodic", "semimonthly", "biennially",
)  # fmt: skip
"""Codes of MD_MaintenanceFrequencyCode."""

_TOPICS: Final = (
    "farming", "biota", "boundaries", "climatologyMeteorologyAtmosphere", "economy", "elevation",
    "environment", "geoscientificInformation", "health", "imageryBaseMapsEarthCover", "intelligenceMilitary",
    "inlandWaters", "location", "oceans", "planningCadastre", "society", "structure", "transportation",
    "utilitiesCommunication", "extraTerrestrial", "disaster",
)  # fmt: skip
_ROLES: Final = (
    "resourceProvider", "custodian", "owner", "user", "distributor", "originator", "pointOfContact",
    "principalInvestigator", "processor", "publisher", "author",
)  # fmt: skip
_DEGREES: Final = ("conformant", "notConformant", "notEvaluated")
INSPIRE_THEMES: Final[Mapping[str, tuple[str, str]]] = {
    "ad": ("Adresser", "Addresses"),
    "au": ("Administrative enheder", "Administrative units"),
    "bu": ("Bygninger", "Buildings"),
    "cp": ("Matrikulære parceller", "Cadastral parcels"),
    "el": ("Højde", "Elevation"),
    "gn": ("Stednavne", "Geographical names"),
    "hy": ("Hydrografi", "Hydrography"),
    "lc": ("Arealdække", "Land cover"),
    "lu": ("Arealanvendelse", "Land use"),
    "ac": ("Atmosfæriske forhold", "Atmospheric conditions"),
    "mf": ("Meteorologiske geografiske kendetegn", "Meteorological geographical features"),
    "of": ("Oceanografisk-geografiske kendetegn", "Oceanographic geographical features"),
    "ps": ("Beskyttede lokaliteter", "Protected sites"),
    "tn": ("Transportnet", "Transport networks"),
    "us": ("Forsyningstjenester og statslige tjenester", "Utility and governmental services"),
}
"""Code -> Danish and English name."""

_LANGUAGES = ("da", "en")
_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}")
_MAIL = re.compile(r"[^@\s<>\"']{1,64}@[A-Za-z0-9.-]{1,190}")


@dataclass(frozen=True, slots=True)
class Licence:
    """On what terms data may be used: an SPDX identifier, or an address, or both; and a text."""

    spdx: str = ""
    url: str = ""
    text: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The licence's address, that of SPDX's list when it has none of its own."""
        return self.url or (f"https://spdx.org/licenses/{self.spdx}" if self.spdx else "")


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom to ask, in one of the roles of CI_RoleCode."""

    name: str
    email: str = ""
    url: str = ""
    role: str = "pointOfContact"


@dataclass(frozen=True, slots=True)
class Quality:
    """One statement in the way of ISO 19157: a measure with its value and unit, or a text."""

    measure: str
    value: float | None = None
    unit: str = ""
    text: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Conformity:
    """To which specification data were tested, and with what outcome."""

    title: str
    url: str = ""
    date: str = ""
    degree: str = "notEvaluated"


@dataclass(frozen=True, slots=True)
class Metadata:
    """What an entry tells of its data.

    Attributes
    ----------
    licence, terms
        How the data may be used, and further conditions in ``da`` and ``en``.
    contacts
        Whom to ask; the operator where nobody is named.
    lineage
        How the data came about, in ``da`` and ``en``.
    quality, conformance
        What is known of their quality.
    update
        How often they are renewed, a code of :data:`MAINTENANCE`.
    created, revised
        Dates of the data; the day of the present delivery where none is given.
    resolution_m
        Distance on the ground that can be told apart.
    topics
        Codes of MD_TopicCategoryCode.
    inspire_theme
        Code of :data:`INSPIRE_THEMES`.
    """

    licence: Licence = field(default_factory=Licence)
    terms: Mapping[str, str] = field(default_factory=dict)
    contacts: tuple[Contact, ...] = ()
    lineage: Mapping[str, str] = field(default_factory=dict)
    quality: tuple[Quality, ...] = ()
    update: str = ""
    created: str = ""
    revised: str = ""
    resolution_m: float | None = None
    topics: tuple[str, ...] = ()
    inspire_theme: str = ""
    conformance: tuple[Conformity, ...] = ()

    @classmethod
    def from_json(cls, document: Any, where: str = "metadata") -> Metadata:
        """Check the member ``metadata`` of an entry.

        Raises
        ------
        InvalidInput
            A member is unknown or cannot be used; the message names it.
        """
        return cls(**_members(document, where, _METADATA))

    def to_json(self) -> dict[str, Any]:
        """Return the members that are set; :meth:`from_json` reads them."""
        return _set({f.name: _plain(getattr(self, f.name)) for f in fields(self)})


def _set(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value not in (None, "", {}, [])}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Licence | Contact | Quality | Conformity):
        return _set({f.name: _plain(getattr(value, f.name)) for f in fields(value)})
    return dict(value) if isinstance(value, Mapping) else value


type _Check = Callable[[Any, str], Any]


def _unusable(where: str, fault: str) -> InvalidInput:
    return InvalidInput(f"The collection's '{where}' {fault}.", details={"where": where})


def _members(document: Any, where: str, checks: Mapping[str, _Check]) -> dict[str, Any]:
    if not isinstance(document, Mapping):
        raise _unusable(where, "must be an object")
    for name in document:
        if name not in checks:
            raise _unusable(f"{where}.{str(name)[:60]}", f"is not known; members are {', '.join(checks)}")
    return {name: checks[name](value, f"{where}.{name}") for name, value in document.items()}


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or len(value) > 2000 or not value.replace("\n", "").isprintable():
        raise _unusable(where, "must be a text of at most 2000 printable characters")
    return value


def _texts(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, Mapping) or set(value) != set(_LANGUAGES):
        raise _unusable(where, "must be an object with a text 'da' and a text 'en'")
    return {language: _text(value[language], f"{where}.{language}") for language in _LANGUAGES}


def _url(value: Any, where: str) -> str:
    text = _text(value, where)
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\s<>\"'\\^`{|}]", text):
        raise _unusable(where, "must be an address that begins with https:// or http://")
    return text


def _code(codes: tuple[str, ...] | Mapping[str, Any]) -> _Check:
    def check(value: Any, where: str) -> str:
        if not isinstance(value, str) or value not in codes:
            raise _unusable(where, f"must be one of {', '.join(codes)}")
        return value

    return check


def _matching(pattern: re.Pattern[str], what: str) -> _Check:
    def check(value: Any, where: str) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise _unusable(where, f"must be {what}")
        return value

    return check


def _day(value: Any, where: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except (TypeError, ValueError):
        raise _unusable(where, "must be a date such as 2026-11-24") from None


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise _unusable(where, "must be a finite number that is not negative")
    return float(value)


def _list(check: _Check) -> _Check:
    def checked(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or len(value) > 20:
            raise _unusable(where, "must be a list of at most 20")
        return tuple(check(one, f"{where}[{number}]") for number, one in enumerate(value))

    return checked


def _object(made: Callable[..., Any], required: str, checks: Mapping[str, _Check]) -> _Check:
    def check(value: Any, where: str) -> Any:
        found = _members(value, where, checks)
        if required and not found.get(required):
            raise _unusable(f"{where}.{required}", "is missing")
        return made(**found)

    return check


_METADATA: Final[Mapping[str, _Check]] = {
    "licence": _object(
        Licence, "", {"spdx": _matching(_SPDX, "an SPDX identifier"), "url": _url, "text": _texts}
    ),
    "terms": _texts,
    "contacts": _list(
        _object(
            Contact,
            "name",
            {
                "name": _text,
                "email": _matching(_MAIL, "a mail address"),
                "url": _url,
                "role": _code(_ROLES),
            },
        )
    ),
    "lineage": _texts,
    "quality": _list(
        _object(Quality, "measure", {"measure": _text, "value": _number, "unit": _text, "text": _texts})
    ),
    "update": _code(MAINTENANCE),
    "created": _day,
    "revised": _day,
    "resolution_m": _number,
    "topics": _list(_code(_TOPICS)),
    "inspire_theme": _code(INSPIRE_THEMES),
    "conformance": _list(
        _object(Conformity, "title", {"title": _text, "url": _url, "date": _day, "degree": _code(_DEGREES)})
    ),
}
