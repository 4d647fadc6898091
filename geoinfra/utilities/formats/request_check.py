"""What LER refuses of a dig request (integration 19) and of an interest area (27), with its error codes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from lxml import etree

from geoinfra.errors import Finding, Severity

__all__ = ["interest_area_findings", "request_findings"]

_SUPPLIES = frozenset(("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "99"))
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_LONGEST = {"bemaerkning": 4000, "forsyningsart_andet": 50, "eget_ordrenummer": 12, "kontaktperson": 50}


class _Checks:
    """Makes the findings about one element."""

    def __init__(self, element: etree._Element, code: str) -> None:
        self.element = element
        self.code = code
        self.name = str(element.tag).rpartition("}")[2]
        self.fields: dict[str, str] = {}
        for child in element:
            self.fields.setdefault(str(child.tag).rpartition("}")[2], (child.text or "").strip())

    def error(self, rule: str, field: str, texts: tuple[str, str], hints: tuple[str, str]) -> Finding:
        line = self.element.sourceline
        return Finding(
            self.code,
            Severity.ERROR,
            texts[0],
            texts[1],
            line=line if isinstance(line, int) else None,
            path=f"{self.name}/{field}",
            found=self.fields.get(field, "")[:200],
            rule=rule,
            hint=hints[0],
            hint_da=hints[1],
        )

    def missing(self, rule: str, field: str) -> Iterator[Finding]:
        if not self.fields.get(field):
            yield self.error(
                rule,
                field,
                (f"'{field}' is missing.", f"'{field}' mangler."),
                (f"Add the element {field}.", f"Tilføj elementet {field}."),
            )

    def too_long(self, rule: str, field: str, longest: int) -> Iterator[Finding]:
        if len(self.fields.get(field, "")) > longest:
            yield self.error(
                rule,
                field,
                (
                    f"'{field}' is longer than {longest} characters.",
                    f"'{field}' er længere end {longest} tegn.",
                ),
                ("Shorten the text.", "Forkort teksten."),
            )

    def geometry(self, rule: str, fault: str) -> Iterator[Finding]:
        if fault:
            yield self.error(
                rule,
                "polygonProperty",
                (f"The area cannot be used: {fault}", "Området kan ikke bruges."),
                (
                    "Draw the area anew as polygons in EPSG:25832 whose edges do not cross.",
                    "Tegn området igen som polygoner i EPSG:25832, hvis kanter ikke krydser hinanden.",
                ),
            )

    def supplies(self, none: str, unknown: str, pairing: str = "") -> Iterator[Finding]:
        yield from self.missing(none, "forsyningsart_id")
        given = [one.strip() for one in self.fields.get("forsyningsart_id", "").split(",") if one.strip()]
        hints = ("Use the numbers of LER, separated by commas.", "Brug LER's numre adskilt af komma.")
        if not set(given) <= _SUPPLIES:
            texts = ("A supply number is not known.", "En forsyningsart findes ikke.")
            yield self.error(unknown, "forsyningsart_id", texts, hints)
        if pairing and ("99" in given) != bool(self.fields.get("forsyningsart_andet")):
            yield self.error(
                pairing,
                "forsyningsart_andet",
                (
                    "'forsyningsart_andet' goes with number 99, and only with it.",
                    "'forsyningsart_andet' hører sammen med nummer 99 og kun med det.",
                ),
                (
                    "Give number 99 and the text together, or neither.",
                    "Angiv nummer 99 og teksten sammen, eller ingen af delene.",
                ),
            )


def interest_area_findings(element: etree._Element, geometry_fault: str) -> Iterator[Finding]:
    """Yield what LER would refuse of an ``Indberetning``."""
    checks = _Checks(element, "LER-INTEREST-AREA")
    yield from checks.missing("27-340", "bemaerkning")
    yield from checks.too_long("27-350", "bemaerkning", _LONGEST["bemaerkning"])
    yield from checks.supplies("27-382", "27-380", "27-381")
    yield from checks.too_long("27-384", "forsyningsart_andet", _LONGEST["forsyningsart_andet"])
    if {"kontaktperson", "kontaktadresse"} <= checks.fields.keys():
        yield checks.error(
            "27-390",
            "kontaktperson",
            (
                "Both a contact person and a contact address are given.",
                "Der er angivet både en kontaktperson og en kontaktadresse.",
            ),
            ("Keep one of them.", "Behold den ene."),
        )
    yield from _signed(checks)
    yield from checks.geometry("27-360" if "polygonProperty" in checks.fields else "27-440", geometry_fault)


def _signed(checks: _Checks) -> Iterator[Finding]:
    given = [name for name in ("ler2signed", "ler20signed") if name in checks.fields]
    hints = (
        "Write ler20signed once, with true or false.",
        "Skriv ler20signed én gang med true eller false.",
    )
    if len(given) != 1:
        yield checks.error(
            "27-431" if given else "27-430",
            "ler20signed",
            (
                "Exactly one of ler2signed and ler20signed must stand.",
                "Netop ét af ler2signed og ler20signed skal angives.",
            ),
            hints,
        )
    elif checks.fields[given[0]] not in ("true", "false", "1", "0"):
        texts = (f"'{given[0]}' must be true or false.", f"'{given[0]}' skal være true eller false.")
        yield checks.error("27-432", given[0], texts, hints)


def request_findings(element: etree._Element, geometry_fault: str) -> Iterator[Finding]:
    """Yield what LER would refuse of a ``Graveforesp``."""
    checks = _Checks(element, "LER-REQUEST")
    yield from checks.missing("19-470", "bemaerkning")
    yield from checks.too_long("19-310", "bemaerkning", 100)
    yield from _period(checks)
    yield from checks.missing("19-420", "formaal_id")
    yield from checks.supplies("19-400", "19-410")
    yield from _order_number(checks)
    if not (checks.fields.get("kontaktperson") or checks.fields.get("kontaktadresse")):
        yield checks.error(
            "19-490",
            "kontaktperson",
            (
                "A contact person or a contact address is missing.",
                "Der mangler en kontaktperson eller en kontaktadresse.",
            ),
            ("Give the mail address of a registered contact.", "Angiv en registreret kontakts e-mail."),
        )
    yield from checks.geometry("19-370" if "polygonProperty" in checks.fields else "19-380", geometry_fault)


def _period(checks: _Checks) -> Iterator[Finding]:
    days: list[date] = []
    for rule, name in (("19-320", "graveperiode_fra"), ("19-330", "graveperiode_til")):
        day = _day(checks.fields.get(name, ""))
        if day is None:
            texts = (f"'{name}' is no date.", f"'{name}' er ikke en dato.")
            yield checks.error(rule, name, texts, ("Write it as yyyy-mm-dd.", "Skriv den som åååå-mm-dd."))
        else:
            days.append(day)
    if len(days) == 2 and days[1] < days[0]:
        yield checks.error(
            "19-360",
            "graveperiode_til",
            ("The dig period ends before it starts.", "Graveperioden slutter, før den begynder."),
            ("Change one of the dates.", "Ret en af datoerne."),
        )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        return None


def _order_number(checks: _Checks) -> Iterator[Finding]:
    yield from checks.too_long("19-560", "eget_ordrenummer", _LONGEST["eget_ordrenummer"])
    number, absent = checks.fields.get("eget_ordrenummer"), checks.fields.get("ordrenummer_ikke_angivet")
    if absent not in (("false", "0") if number else ("true", "1")):
        yield checks.error(
            ("19-540" if number else "19-550") if absent else "19-530",
            "ordrenummer_ikke_angivet",
            (
                "'ordrenummer_ikke_angivet' must say whether an order number is left out.",
                "'ordrenummer_ikke_angivet' skal angive, om ordrenummer er udeladt.",
            ),
            (
                f"Write {'false' if number else 'true'}.",
                f"Skriv {'false' if number else 'true'}.",
            ),
        )
