"""One value of a foreign table as a value of a LER attribute; what does not fit raises :class:`Unfit`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from math import isfinite
from typing import Any, Final

from geoinfra.utilities.catalogue import Attribute

__all__ = [
    "FILL_IN",
    "NIL",
    "OMIT",
    "UNITS",
    "Scale",
    "Unfit",
    "as_number",
    "as_text",
    "converted",
    "scale_of",
]

NIL: Final = "nil"
"""Text in a mapping that stands for a void (``xsi:nil``)."""

OMIT: Final = "omit"
"""Text in a mapping that leaves the attribute out."""

FILL_IN: Final = "UDFYLD"
"""Text in a drafted mapping where a person must decide; no mapping is valid with it."""

_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
_INSTANT = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_YEARS = range(1700, 2200)
_ACCURACY: Final = "Noejagtighedsklasse"
_ACCURACY_CLASSES = ((0.25, "<= 0.25 m"), (0.5, "<= 0.50 m"), (1.0, "<= 1.00 m"), (2.0, "<= 2.00 m"))
_YES = {"true": True, "false": False, "1": True, "0": False}

_LENGTH_M = {"mm": 0.001, "cm": 0.01, "dm": 0.1, "m": 1.0, "in": 0.0254}
_LENGTH_MM = {"mm": 1.0, "cm": 10.0, "dm": 100.0, "m": 1000.0, "in": 25.4}
UNITS: Final[Mapping[str, Mapping[str, float]]] = {
    "mm": _LENGTH_MM,
    "m": _LENGTH_M,
    "kV": {"kV": 1.0, "V": 0.001},
    "bar": {"bar": 1.0, "mbar": 0.001, "Pa": 1e-5, "kPa": 0.01, "MPa": 10.0},
    "Cel": {"Cel": 1.0, "K": 1.0},
    "": {"1": 1.0, "%": 0.01},
}
"""Unit that LER wants -> units that are understood, and what a number in them is multiplied by."""

_KELVIN = -273.15


class Unfit(Exception):
    """A value cannot become what the attribute takes.

    Attributes
    ----------
    expected, found
        What is taken, and what stood there.
    """

    def __init__(self, expected: str, found: Any) -> None:
        super().__init__(expected)
        self.expected = expected
        self.found = repr(found)[:200] if isinstance(found, str) else str(found)[:200]


@dataclass(frozen=True, slots=True)
class Scale:
    """How a number in a source's unit becomes one in LER's: ``number * factor + offset``."""

    factor: float = 1.0
    offset: float = 0.0

    def of(self, number: float) -> float:
        """Return the number in LER's unit, to a millionth."""
        return round(number * self.factor + self.offset, 6)


def scale_of(attribute: Attribute, unit: str) -> Scale | None:
    """Return how numbers in `unit` are scaled for an attribute; ``None`` when it takes no unit.

    Raises
    ------
    Unfit
        The attribute needs a unit and has none, or the unit is not one of its kind.
    """
    wanted = _unit_of(attribute)
    if wanted is None:
        if unit:
            raise Unfit(f"no unit ({attribute.name} is a {attribute.type})", unit)
        return None
    if not unit and attribute.type in ("code", "decimal"):
        return None
    known = UNITS[wanted]
    if unit not in known:
        raise Unfit(f"unit = one of {', '.join(known)}", unit or "no unit")
    return Scale(known[unit], _KELVIN if unit == "K" else 0.0)


def _unit_of(attribute: Attribute) -> str | None:
    if attribute.type == "measure":
        return attribute.uom
    if attribute.type == "height":
        return "m"
    if attribute.type == "decimal":
        return ""
    is_accuracy = attribute.enumeration is not None and attribute.enumeration.name == _ACCURACY
    return "m" if is_accuracy else None


def converted(
    attribute: Attribute,
    value: Any,
    *,
    scale: Scale | None = None,
    date_format: str = "",
    before: bool = False,
) -> Any:
    """Return a value as :mod:`geoinfra.utilities.model` wants it; ``None`` leaves the attribute out.

    Parameters
    ----------
    attribute
        What the value is for; of a repeated one, for one of its values.
    value
        A plain value; the texts ``nil`` and ``omit`` and an empty text have their meaning.
    scale
        Of numbers; ``None`` when they are in LER's unit.
    date_format
        How dates are written (``strptime``); ISO 8601 when empty.
    before
        Whether an ``etableringstidspunkt`` means "before".

    Raises
    ------
    Unfit
        It is not such a value.
    """
    if isinstance(value, str):
        value = value.strip()
    if value is None or value in ("", OMIT):
        return None
    if value == NIL:
        if not attribute.nillable:
            raise Unfit(f"a value ({attribute.name} cannot be void)", value)
        return {"nil": True}
    match attribute.type:
        case "text" | "uri":
            return _text(attribute, value)
        case "code":
            return _code(attribute, value, scale)
        case "boolean":
            return _boolean(value)
        case "integer":
            return _whole(value)
        case "decimal":
            return (scale or Scale()).of(as_number(value))
        case "measure":
            return {"value": (scale or Scale()).of(as_number(value)), "uom": attribute.uom}
        case "height":
            return {"height_m": (scale or Scale()).of(as_number(value))}
        case "date":
            return _day(value, date_format).isoformat()
        case "datetime":
            return _moment(value, date_format)
        case "instant":
            return _instant(value, date_format, before)
    raise Unfit(f"an attribute that can be mapped ({attribute.name} is a {attribute.type})", value)


def as_text(value: Any) -> str:
    """Return a plain value as people write it: whole numbers without decimals."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, date):
        return value.isoformat()
    return str(value).strip()


def as_number(value: Any) -> float:
    """Return a finite number; texts may have a decimal comma or point, and no grouping."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value.strip().replace(",", "."))
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise Unfit("a number", value)
    return float(value)


def _text(attribute: Attribute, value: Any) -> str:
    text = as_text(value)
    if attribute.max_length is not None and len(text) > attribute.max_length:
        raise Unfit(f"a text of at most {attribute.max_length} characters", text)
    if any(ord(letter) < 32 and letter not in "\t\n\r" for letter in text):
        raise Unfit("a text without control characters", text)
    return text


def _code(attribute: Attribute, value: Any, scale: Scale | None) -> str:
    values = attribute.enumeration
    if values is None:
        raise Unfit(f"an attribute that can be mapped ({attribute.name})", value)
    if scale is not None:
        return _accuracy_class(scale.of(as_number(value)))
    text = as_text(value)
    if values.admits(text):
        return text
    for admitted in values.values:
        if admitted.casefold() == text.casefold():
            return admitted
    listed = "; ".join(sorted(values.values))
    raise Unfit(f"one of: {listed}" + (" (or 'other: word')" if values.open else ""), text)


def _accuracy_class(metres: float) -> str:
    if metres < 0:
        raise Unfit("an accuracy of 0 or more", metres)
    return next((name for most, name in _ACCURACY_CLASSES if metres <= most), "> 2.00 m")


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    known = _YES.get(as_text(value).lower())
    if known is None:
        raise Unfit("true or false (use a table of values for other words)", value)
    return known


def _whole(value: Any) -> int:
    number = as_number(value)
    if not number.is_integer():
        raise Unfit("a whole number", value)
    return int(number)


def _parsed(value: Any, date_format: str) -> date | datetime:
    if isinstance(value, date):
        return value
    text = as_text(value)
    try:
        return datetime.strptime(text, date_format) if date_format else datetime.fromisoformat(text)  # noqa: DTZ007  # the source's own time
    except ValueError:
        wanted = (
            f"a date written as {date_format}" if date_format else "a date as yyyy-mm-dd (or give a format)"
        )
        raise Unfit(wanted, value) from None


def _day(value: Any, date_format: str) -> date:
    parsed = _parsed(value, date_format)
    day = parsed.date() if isinstance(parsed, datetime) else parsed
    if day.year not in _YEARS:
        raise Unfit(f"a year from {_YEARS.start} to {_YEARS.stop - 1}", value)
    return day


def _moment(value: Any, date_format: str) -> str:
    parsed = _parsed(value, date_format)
    if not isinstance(parsed, datetime):
        return f"{parsed.isoformat()}T00:00:00"
    if parsed.tzinfo is None:
        return parsed.isoformat()
    return parsed.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _instant(value: Any, date_format: str, before: bool) -> Any:
    """Return a year, month or day as precisely as it was given; ``<`` in front means before."""
    if isinstance(value, str) and value.startswith("<"):
        value, before = value[1:].strip(), True
    text = _written_instant(value, date_format)
    return {"value": text, "indeterminate": "before"} if before else text


def _written_instant(value: Any, date_format: str) -> str:
    text = as_text(value)
    if isinstance(value, date) or date_format:
        day = _day(value, date_format).isoformat()
        if date_format and "%d" not in date_format and "%j" not in date_format:
            return day[:7] if "%m" in date_format else day[:4]
        return day
    if not _INSTANT.fullmatch(text):
        raise Unfit("a year, yyyy-mm or yyyy-mm-dd (or give a format)", value)
    whole = text + "-01-01"[len(text) - 4 :] if len(text) < 10 else text
    _day(whole, "")
    return text
