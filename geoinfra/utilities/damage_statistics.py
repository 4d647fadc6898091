"""Counts of dig damages in groups, and what of them everybody may see.

Each table divides the same damages into groups that do not overlap, so that its counts add up to the total.
For the public a group that is too small is joined with others until their count is large enough; what the
joined groups hold cannot be had by subtraction.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from geoinfra.utilities.damages import Damage, damage_law, last_day
from geoinfra.utilities.enquiry import DIG_METHODS

__all__ = ["JOINED", "Cell", "DamageStatistics", "damage_statistics", "write_statistics"]

JOINED: Final = "joined"
_SEVERAL, _NONE, _UNKNOWN = "several", "none", "unknown"
_WORDS: Final = {
    JOINED: ("Øvrige, lagt sammen", "Others, joined"),
    _SEVERAL: ("Flere", "Several"),
    _NONE: ("Ingen oplyst", "None told"),
    _UNKNOWN: ("Forespørgslen kendes ikke", "The enquiry is not known"),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One group of a table: its code, its name in Danish and English, and how many damages it has."""

    code: str
    danish: str
    english: str
    count: int

    def to_json(self) -> dict[str, Any]:
        """Return the group, JSON-ready."""
        return {"code": self.code, "da": self.danish, "en": self.english, "count": self.count}


@dataclass(frozen=True, slots=True)
class DamageStatistics:
    """The damages of one year, counted.

    Attributes
    ----------
    scope
        ``own``: of one owner; ``all``: of all, exact; ``public``: of all, small groups joined.
    reported
        How many there are, ``None`` where it is withheld.
    tables
        ``supply``, ``cause`` and ``method``; each adds up to `reported`. Empty where it is withheld.
    withheld
        Why nothing is told: ``too-few``, ``not-due``, or empty.
    """

    year: int
    scope: str
    reported: int | None
    tables: Mapping[str, tuple[Cell, ...]]
    withheld: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the statistics, JSON-ready."""
        rule = damage_law()["statistics"]
        note = {"da": rule["da"], "en": rule["en"]} if self.scope == "public" else None
        return {
            "year": self.year,
            "scope": self.scope,
            "last_day": last_day(self.year).isoformat(),
            "reported": self.reported,
            "withheld": self.withheld or None,
            "least_count": rule["least_count"] if self.scope == "public" else None,
            "note": note,
            **{name: [cell.to_json() for cell in cells] for name, cells in self.tables.items()},
        }


def damage_statistics(
    year: int,
    scope: str,
    damages: Iterable[Damage],
    methods: Mapping[str, Sequence[str]],
    *,
    due: bool = True,
) -> DamageStatistics:
    """Count damages by supply, cause and method.

    Parameters
    ----------
    methods
        LER's *graveart* numbers of enquiries by number.
    due
        Whether the time for reporting is over; before that the public is told nothing, because counts that
        grow by one tell of one damage.
    """
    found = list(damages)
    public = scope == "public"
    least = int(damage_law()["statistics"]["least_count"]) if public else 0
    withheld = ("" if due else "not-due") or ("too-few" if len(found) < least else "")
    if public and withheld:
        return DamageStatistics(year, scope, None, {"supply": (), "cause": (), "method": ()}, withheld)
    supplies = {one["number"]: (one["da"], one["en"]) for one in damage_law()["supplies"]}
    counted = {
        "supply": Counter(one.supply for one in found),
        "cause": Counter(_one_of([str(cause) for cause in one.causes], _NONE) for one in found),
        "method": Counter(_one_of(methods.get(one.enquiry, ()), _UNKNOWN) for one in found),
    }
    names = {"supply": supplies, "cause": {}, "method": {n: (da, da) for n, da in DIG_METHODS.items()}}
    tables = {name: tuple(_cells(joined(counts, least), names[name])) for name, counts in counted.items()}
    return DamageStatistics(year, scope, len(found), tables)


def _one_of(codes: Sequence[str], nothing: str) -> str:
    """Return the one group that a damage belongs to."""
    if not codes:
        return nothing
    return codes[0] if len(codes) == 1 else _SEVERAL


def joined(counts: Mapping[str, int], least: int) -> dict[str, int]:
    """Join groups smaller than `least` into one that is not, taking larger ones into it while it must grow.

    The counts must add up to `least` at least.
    """
    ascending = sorted((count, code) for code, count in counts.items() if count)
    into, total = 0, 0
    while into < len(ascending) and (ascending[into][0] < least or 0 < total < least):
        total += ascending[into][0]
        into += 1
    shown = {code: count for count, code in ascending[into:]}
    return {**shown, JOINED: total} if into else shown


def _cells(counts: Mapping[str, int], names: Mapping[str, tuple[str, str]]) -> Iterable[Cell]:
    known = {**names, **_WORDS}
    order = sorted(counts, key=lambda code: (code == JOINED, not code.isdigit(), code.zfill(3)))
    for code in order:
        danish, english = known.get(code, (f"Nr. {code}", f"No. {code}"))
        yield Cell(code, danish, english, counts[code])


def write_statistics(years: Iterable[DamageStatistics]) -> str:
    """Return statistics as a CSV table, a row for each group; a withheld year has one row without a count."""
    target = io.StringIO(newline="")
    target.write("\ufeff")
    writer = csv.writer(target, lineterminator="\r\n")
    writer.writerow(["year", "scope", "table", "code", "da", "en", "count"])
    for one in years:
        total = "" if one.reported is None else one.reported
        writer.writerow([one.year, one.scope, "total", one.withheld or "total", "I alt", "Total", total])
        for name, cells in one.tables.items():
            for cell in cells:
                writer.writerow([one.year, one.scope, name, cell.code, cell.danish, cell.english, cell.count])
    return target.getvalue()
