"""The report of a dig damage (*graveskade*): what it says, its rules, and when it is due. No storage.

Members and numbers are those of LER (call 18), and so are their names. Numbers, deadlines and lengths are
data: ``standards/utilities/law/damages.json``.
"""

from __future__ import annotations

import calendar
import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final

import orjson
import shapely

from geoinfra.crs import require_denmark
from geoinfra.errors import InvalidGeometry, InvalidInput, TooLarge, UnreadableFile
from geoinfra.standards import standards_path
from geoinfra.utilities.model import require_cvr

__all__ = [
    "MEMBERS",
    "MOST_ROWS",
    "Damage",
    "Party",
    "damage_law",
    "duty_year",
    "last_day",
    "read_damages",
    "reminder_days",
    "write_damages",
]

CRS: Final = "EPSG:25832"
MOST_ROWS: Final = 50_000
"""Rows of one table."""

_TEXTS: Final = ("forsyningsartAnden", "lerNummer", "bemaerkning")
_EXTENTS: Final = (
    "omfangFunktionsevne",
    "omfangNaermiljoe",
    "omfangOmkostningUdbedring",
    "omfangOmkostningAdministration",
)
MEMBERS: Final = (
    *("xKoordinat", "yKoordinat", "projektion", "skadevolderType", "skadevolderCvr", "skadesDato"),
    *("skadesDatoUkendt", "year", "forsyningsart", "forsyningsartAnden", "lerNummer"),
    *(*_EXTENTS, "aarsag", "bemaerkning"),
)
"""Members of a document, and columns of a table. All are LER's but ``year``."""

_NUMERIC: Final = ("xKoordinat", "yKoordinat", *_EXTENTS)
_DAY: Final = re.compile(r"([0-9]{2})-([0-9]{2})-([0-9]{4})|([0-9]{4})-([0-9]{2})-([0-9]{2})")
_NUMBER: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?")
_YEAR: Final = re.compile(r"[0-9]{4}")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_OTHER: Final = "99"
_SEPARATORS: Final = (";", ",", "\t")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "＝", "＋", "－", "＠")
_MOST_CELL: Final = 10_000


class Party(IntEnum):
    """Who did the damage (*skadevolderType*)."""

    COMPANY = 0
    PRIVATE = 1
    UNKNOWN = 2


@dataclass(frozen=True, slots=True)
class Damage:
    """One dig damage as an owner reports it.

    Attributes
    ----------
    easting_m, northing_m
        Where, EPSG:25832.
    party, party_cvr
        Who did it; the CVR number of a company.
    supply, supply_other
        LER's *forsyningsart* number of the line, and what 99 stands for.
    day
        When, a Danish day; ``None`` where it is unknown.
    year
        The year it counts for.
    enquiry
        Number of the dig enquiry that the dig had, empty where it is not known or there was none.
    function, surroundings, repair_dkk, administration_dkk
        How far it reached, where told. The first two are numbers of LER.
    causes
        LER's *aarsag* numbers, ascending.
    """

    easting_m: float
    northing_m: float
    party: Party
    supply: str
    day: date | None
    year: int
    party_cvr: str = ""
    supply_other: str = ""
    enquiry: str = ""
    function: float | None = None
    surroundings: float | None = None
    repair_dkk: float | None = None
    administration_dkk: float | None = None
    causes: tuple[int, ...] = ()
    remark: str = ""

    @classmethod
    def from_document(cls, document: Mapping[str, Any], today: date) -> Damage:
        """Return the damage that a document with LER's member names tells of.

        Values may be typed or text; ``null`` and an empty text say nothing. Days are ``dd-mm-yyyy`` or ISO.

        Parameters
        ----------
        today
            The present Danish day: no damage lies in the future. A damage whose day is unknown and that names
            no ``year`` counts for the year that must be reported now, see :func:`duty_year`.

        Raises
        ------
        InvalidInput
            A rule is broken. ``details`` hold ``member``, ``found`` and the Danish sentence ``message_da``.
        """
        given = {str(name): _plain(str(name), value) for name, value in document.items()}
        for name in given:
            if name not in MEMBERS:
                raise _wrong(name, given, "is not a member of a report", "findes ikke i en skaderapport")
        texts = _texts(given)
        east, north = _place(given)
        party, cvr = _party(given)
        day = _day(given, today)
        supply = given.get("forsyningsart", "")
        if supply not in {one["number"] for one in damage_law()["supplies"]}:
            raise _wrong(
                "forsyningsart", given, "must be one of LER's numbers", "skal være et af LER's numre"
            )
        if (supply == _OTHER) != bool(texts["forsyningsartAnden"]):
            raise _wrong(
                "forsyningsartAnden", given, "goes with supply 99 and no other", "hører til forsyningsart 99"
            )
        told = [_number(given, name) if given.get(name) else None for name in _EXTENTS]
        extents = (told[0], told[1], told[2], told[3])
        return cls(
            east,
            north,
            party,
            supply,
            day,
            _year(given, day, today),
            cvr,
            texts["forsyningsartAnden"],
            texts["lerNummer"],
            *extents,
            _causes(given),
            texts["bemaerkning"],
        )

    def to_document(self) -> dict[str, Any]:
        """Return every member of LER's, and the year; days are ISO, what is unknown is ``None``."""
        return {
            "xKoordinat": self.easting_m,
            "yKoordinat": self.northing_m,
            "projektion": CRS,
            "skadevolderType": int(self.party),
            "skadevolderCvr": self.party_cvr,
            "skadesDato": self.day.isoformat() if self.day else None,
            "skadesDatoUkendt": self.day is None,
            "year": self.year,
            "forsyningsart": self.supply,
            "forsyningsartAnden": self.supply_other,
            "lerNummer": self.enquiry,
            "omfangFunktionsevne": self.function,
            "omfangNaermiljoe": self.surroundings,
            "omfangOmkostningUdbedring": self.repair_dkk,
            "omfangOmkostningAdministration": self.administration_dkk,
            "aarsag": list(self.causes),
            "bemaerkning": self.remark,
        }


# --- The law


@lru_cache(maxsize=1)
def damage_law() -> Mapping[str, Any]:
    """Return the data of the yearly report (``standards/utilities/law/damages.json``)."""
    document: Mapping[str, Any] = orjson.loads(
        standards_path("utilities", "law", "damages.json").read_bytes()
    )
    return document


def last_day(year: int) -> date:
    """Return the last day on which the damages of a year may be reported: the end of February after it."""
    rule = damage_law()["deadline"]
    due, month = year + int(rule["years_after"]), int(rule["month"])
    return date(due, month, calendar.monthrange(due, month)[1])


def duty_year(today: date) -> int:
    """Return the year whose damages are due next: last year to the end of February, then the present one."""
    return today.year - 1 if today <= last_day(today.year - 1) else today.year


def reminder_days(year: int) -> tuple[date, ...]:
    """Return the days on which owners should be reminded of the damages of a year, ascending."""
    before = damage_law()["deadline"]["remind_days_before"]
    return tuple(last_day(year) - timedelta(days=days) for days in sorted(before, reverse=True))


# --- The rules of one report


def _plain(name: str, value: Any) -> str:
    """Return a value as text: clients write numbers and truths as text or as such."""
    if isinstance(value, list | tuple) and name == "aarsag":
        return ";".join(_plain("", one) for one in value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    if isinstance(value, str | int | float):
        return str(value).strip()
    raise _wrong(name or "aarsag", {}, "must be a text or a number", "skal være en tekst eller et tal")


def _wrong(name: str, given: Mapping[str, str], english: str, danish: str, hint: str = "") -> InvalidInput:
    shown = re.sub(r"[^\w.-]", "?", name[:60])
    found = _CONTROL.sub("?", given.get(name, "")[:200])
    return InvalidInput(
        f"{shown} {english}.",
        hint=hint,
        details={"member": shown, "found": found, "message_da": f"{shown} {danish}."},
    )


def _number(given: Mapping[str, str], name: str) -> float:
    if not _NUMBER.fullmatch(given.get(name, "")):
        raise _wrong(
            name,
            given,
            "must be a number of at most 12 digits, not negative; decimals are written with a point",
            "skal være et tal på højst 12 cifre, ikke negativt; decimaler skrives med punktum",
        )
    return round(float(given[name]), 3)


def _place(given: Mapping[str, str]) -> tuple[float, float]:
    if given.get("projektion", CRS) not in ("", CRS):
        raise _wrong("projektion", given, f"must be {CRS}", f"skal være {CRS}")
    east, north = (_number(given, name) for name in ("xKoordinat", "yKoordinat"))
    try:
        require_denmark(shapely.Point(east, north))
    except InvalidGeometry as error:
        raise _wrong(
            "xKoordinat", given, "and yKoordinat lie outside Denmark",
            "og yKoordinat ligger uden for Danmark",
            hint=error.message,
        ) from None  # fmt: skip
    return east, north


def _party(given: Mapping[str, str]) -> tuple[Party, str]:
    kind, cvr = given.get("skadevolderType", ""), given.get("skadevolderCvr", "")
    if kind not in ("0", "1", "2"):
        raise _wrong(
            "skadevolderType",
            given,
            "must be 0 (company), 1 (private person) or 2 (unknown)",
            "skal være 0 (virksomhed), 1 (privat) eller 2 (ukendt)",
        )
    party = Party(int(kind))
    if party is not Party.COMPANY and cvr:
        raise _wrong("skadevolderCvr", given, "belongs to a company (0)", "hører til en virksomhed (0)")
    if party is Party.COMPANY:
        try:
            require_cvr(cvr)
        except InvalidInput:
            raise _wrong(
                "skadevolderCvr", given, "must be the company's CVR number, 8 digits",
                "skal være virksomhedens CVR-nummer, 8 cifre",
                hint="Where the company is not known, skadevolderType is 2.",
            ) from None  # fmt: skip
    return party, cvr


def _day(given: Mapping[str, str], today: date) -> date | None:
    unknown, written = given.get("skadesDatoUkendt", "").lower() or "false", given.get("skadesDato", "")
    if unknown not in ("true", "false"):
        raise _wrong("skadesDatoUkendt", given, "must be true or false", "skal være true eller false")
    if unknown == "true":
        if written:
            raise _wrong("skadesDato", given, "is told, and told to be unknown", "er både oplyst og ukendt")
        return None
    found = _DAY.fullmatch(written)
    try:
        parts = tuple(map(int, filter(None, found.groups()))) if found else ()
        day = date(*parts) if found and found[4] else date(*reversed(parts))
    except (ValueError, TypeError):
        raise _wrong(
            "skadesDato", given, "must be a day, dd-mm-yyyy", "skal være en dag, dd-mm-åååå",
            hint="Where the day is not known, leave it out and set skadesDatoUkendt to true.",
        ) from None  # fmt: skip
    if day > today:
        raise _wrong("skadesDato", given, "lies in the future", "ligger i fremtiden")
    if day < _earliest():
        raise _wrong("skadesDato", given, f"lies before {_earliest()}", f"ligger før {_earliest()}")
    return day


def _earliest() -> date:
    return date.fromisoformat(damage_law()["earliest_day"]["day"])


def _year(given: Mapping[str, str], day: date | None, today: date) -> int:
    written = given.get("year", "")
    if not written:
        return day.year if day else duty_year(today)
    if not _YEAR.fullmatch(written) or not _earliest().year <= int(written) <= today.year:
        raise _wrong(
            "year", given, f"must be a year from {_earliest().year} to the present",
            f"skal være et år fra {_earliest().year} til i år",
        )  # fmt: skip
    if day is not None and int(written) != day.year:
        raise _wrong("year", given, "is not that of skadesDato", "er ikke det samme som i skadesDato")
    return int(written)


def _texts(given: Mapping[str, str]) -> dict[str, str]:
    texts = {name: given.get(name, "") for name in _TEXTS}
    for name, text in texts.items():
        longest = int(damage_law()["texts"][name])
        if len(text) > longest:
            raise _wrong(
                name, given, f"may have {longest} characters at most", f"må højst være på {longest} tegn"
            )
        if _CONTROL.search(text) or (name != "bemaerkning" and re.search(r"[\r\n\t]", text)):
            raise _wrong(name, given, "holds control characters", "indeholder styretegn")
    return texts


def _causes(given: Mapping[str, str]) -> tuple[int, ...]:
    rule = damage_law()["causes"]
    parts = [one.strip() for one in re.split(r"[;,]", given.get("aarsag", "")) if one.strip()]
    causes = {int(one) if re.fullmatch(r"[0-9]{1,2}", one) else -1 for one in parts}
    if len(parts) > rule["most"] or any(not rule["lowest"] <= one <= rule["highest"] for one in causes):
        raise _wrong(
            "aarsag",
            given,
            f"must be at most {rule['most']} numbers from {rule['lowest']} to {rule['highest']}",
            f"skal være højst {rule['most']} numre fra {rule['lowest']} til {rule['highest']}",
        )
    return tuple(sorted(causes))


# --- Tables


def read_damages(content: bytes, today: date) -> Iterator[tuple[int, Damage | InvalidInput]]:
    """Yield the damages of a CSV table with the line each begins on, or what is wrong with it.

    The first line names the columns, :data:`MEMBERS` in any order; those that need not be told may be
    missing. Cells are separated by semicolon, comma or tab; with semicolons numbers may have a decimal comma.

    Raises
    ------
    UnreadableFile
        It is no such table, or not UTF-8.
    InvalidInput
        A column is not known, comes twice, or one that is needed is missing.
    TooLarge
        It has more than :data:`MOST_ROWS` rows.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableFile(
            "The table is not UTF-8.", hint="In Excel choose 'CSV UTF-8' when saving."
        ) from None
    header = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=header.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        names = [name.strip() for name in next(rows, [])]
        _check_columns(names)
        count, line = 0, rows.line_num
        for cells in rows:
            begun, line = line + 1, rows.line_num
            if not any(cell.strip() for cell in cells):
                continue
            count += 1
            if count > MOST_ROWS:
                raise TooLarge(f"The table has more than {MOST_ROWS:,} rows.", hint="Split it.")
            yield begun, _row(names, cells, today, comma=separator == ";")
    except csv.Error:
        raise UnreadableFile(
            f"The file is no CSV table, or a cell is not closed: line {rows.line_num}."
        ) from None


def _check_columns(names: list[str]) -> None:
    wrong = [name for name in names if name not in MEMBERS]
    if not names or wrong:
        shown = re.sub(r"[^\w.-]", "?", wrong[0][:60]) if wrong else ""
        raise InvalidInput(f"A column '{shown}' is not known.", hint="Columns: " + ", ".join(MEMBERS) + ".")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInput(f"The column '{twice[0]}' comes twice.")
    lacking = [n for n in ("xKoordinat", "yKoordinat", "skadevolderType", "forsyningsart") if n not in names]
    if lacking:
        raise InvalidInput(f"The column '{lacking[0]}' is missing.")


def _row(names: list[str], cells: list[str], today: date, *, comma: bool) -> Damage | InvalidInput:
    if len(cells) != len(names):
        return InvalidInput(
            f"The row has {len(cells)} cells, the header {len(names)}.",
            details={
                "member": "",
                "found": str(len(cells)),
                "message_da": f"Rækken har {len(cells)} felter, overskriften {len(names)}.",
            },
        )
    document = {}
    for name, cell in zip(names, cells, strict=True):
        value = _bare(cell[:_MOST_CELL])
        document[name] = value.replace(",", ".") if comma and name in _NUMERIC else value
    try:
        return Damage.from_document(document, today)
    except InvalidInput as error:
        return error


def write_damages(damages: Iterable[Mapping[str, Any]]) -> str:
    """Return documents as a CSV table that :func:`read_damages` understands, with members of their own first.

    A text that a spreadsheet could take for a formula stands after an apostrophe.
    """
    rows = list(damages)
    extra = [name for name in (rows[0] if rows else ()) if name not in MEMBERS]
    target = io.StringIO(newline="")
    target.write("\ufeff")
    writer = csv.writer(target, lineterminator="\r\n")
    writer.writerow([*extra, *MEMBERS])
    for row in rows:
        writer.writerow([_cell(row[name]) for name in (*extra, *MEMBERS)])
    return target.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ";".join(map(str, value))
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return str(value)


def _bare(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell
