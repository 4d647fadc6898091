"""The report of a damage as LER takes it (integration 18)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import shapely

from geoinfra.crs import require_denmark
from geoinfra.errors import InvalidGeometry, InvalidInput
from geoinfra.utilities.ler_api import Refusal
from geoinfra.utilities.model import require_cvr

__all__ = ["damage_report"]

_TEXTS: Final = {"forsyningsartAnden": 50, "lerNummer": 20, "bemaerkning": 4000}
_NUMBERS: Final = (
    "omfangFunktionsevne",
    "omfangNaermiljoe",
    "omfangOmkostningUdbedring",
    "omfangOmkostningAdministration",
)
_KNOWN: Final = frozenset(
    (
        *_TEXTS,
        *_NUMBERS,
        *("xKoordinat", "yKoordinat", "projektion", "skadevolderType", "skadevolderCvr", "skadesDato"),
        *("skadesDatoUkendt", "forsyningsart", "aarsag"),
    )
)
_SUPPLIES: Final = frozenset((*map(str, range(1, 11)), "99"))
_DAY: Final = re.compile(r"([0-9]{2})-([0-9]{2})-([0-9]{4})")
_MOST_DKK: Final = 1e12


def damage_report(document: Mapping[str, Any], today: date) -> dict[str, Any]:
    """Return a damage report that keeps the rules, with LER's names and typed values.

    Raises
    ------
    Refusal
        ``18-300``; the message names the field.
    """
    given = {str(name): _plain(str(name), value) for name, value in document.items()}
    unknown = sorted(set(given) - _KNOWN)
    if unknown:
        raise _wrong(unknown[0][:60], "findes ikke", "is not known")
    report: dict[str, Any] = {**_place(given), **_who(given), **_when(given, today)}
    if given.get("forsyningsart") not in _SUPPLIES:
        raise _wrong("forsyningsart", "skal være et af LER's numre", "must be one of LER's numbers")
    report["forsyningsart"] = given["forsyningsart"]
    if (given["forsyningsart"] == "99") != bool(given.get("forsyningsartAnden")):
        raise _wrong("forsyningsartAnden", "hører sammen med 99", "goes with 99")
    for name, longest in _TEXTS.items():
        text = given.get(name, "")
        if len(text) > longest or re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", text):
            raise _wrong(name, f"må højst være {longest} tegn", f"may have {longest} characters at most")
        report[name] = text
    report |= {name: _number(given, name) for name in _NUMBERS if given.get(name)}
    return {**report, "aarsag": _causes(given)}


def _plain(name: str, value: Any) -> str:
    """Return a value as text: LER's clients write numbers and truths as text or as such."""
    if isinstance(value, list):
        return ";".join(_plain(name, one) for one in value)
    if value is None:
        return ""
    if not isinstance(value, str | int | float):
        raise _wrong(name[:60], "skal være en tekst eller et tal", "must be a text or a number")
    return (str(value).lower() if isinstance(value, bool) else str(value)).strip()


def _wrong(name: str, da: str, en: str, *further: tuple[str, str]) -> Refusal:
    return Refusal("18-300", (f"{name} {da}.", f"{name} {en}."), *further)


def _number(given: Mapping[str, str], name: str) -> float:
    try:
        number = float(given.get(name, ""))
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or not -_MOST_DKK < number < _MOST_DKK:
        raise _wrong(
            name,
            "skal være et tal; decimaler skrives med punktum (ExpectedNumericValue)",
            "must be a number; decimals are written with a point (ExpectedNumericValue)",
        )
    return number


def _place(given: Mapping[str, str]) -> dict[str, Any]:
    if given.get("projektion", "EPSG:25832") != "EPSG:25832":
        raise _wrong("projektion", "skal være EPSG:25832", "must be EPSG:25832")
    x, y = _number(given, "xKoordinat"), _number(given, "yKoordinat")
    try:
        require_denmark(shapely.Point(x, y))
    except InvalidGeometry as error:
        raise _wrong("xKoordinat", "ligger uden for Danmark", "lies outside Denmark") from error
    return {"xKoordinat": x, "yKoordinat": y, "projektion": "EPSG:25832"}


def _who(given: Mapping[str, str]) -> dict[str, Any]:
    kind, cvr = given.get("skadevolderType", ""), given.get("skadevolderCvr", "")
    if kind not in ("0", "1", "2"):
        raise _wrong("skadevolderType", "skal være 0, 1 eller 2", "must be 0, 1 or 2")
    if cvr:
        try:
            require_cvr(cvr)
        except InvalidInput as error:
            raise _wrong("skadevolderCvr", "er ikke et CVR-nummer", "is no CVR number") from error
    if cvr and kind != "0":
        raise _wrong("skadevolderCvr", "hører til en virksomhed (0)", "belongs to a company (0)")
    return {"skadevolderType": int(kind), "skadevolderCvr": cvr}


def _when(given: Mapping[str, str], today: date) -> dict[str, Any]:
    unknown = given.get("skadesDatoUkendt", "").lower() or "false"
    if unknown not in ("true", "false"):
        raise _wrong("skadesDatoUkendt", "skal være true eller false", "must be true or false")
    written = _DAY.fullmatch(given.get("skadesDato", ""))
    day: date | None = None
    if written:
        try:
            day = date(int(written[3]), int(written[2]), int(written[1]))
        except ValueError:
            day = None
    if day is None and (unknown == "false" or given.get("skadesDato")):
        raise _wrong("skadesDato", "skal skrives dd-mm-åååå", "must be written as dd-mm-yyyy")
    if day is not None and day > today:
        raise _wrong("skadesDato", "ligger i fremtiden", "lies in the future")
    return {"skadesDato": day.isoformat() if day else None, "skadesDatoUkendt": unknown == "true"}


def _causes(given: Mapping[str, str]) -> list[int]:
    causes = [one.strip() for one in re.split(r"[;,]", given.get("aarsag", "")) if one.strip()]
    if any(not re.fullmatch(r"[0-9]{1,2}", one) for one in causes):
        raise _wrong("aarsag", "skal være numre adskilt af semikolon", "must be numbers with ; between them")
    return sorted({int(one) for one in causes})
