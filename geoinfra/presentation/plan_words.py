"""The words on a plan, in Danish and English."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal

from geoinfra.utilities.legal_clock import DENMARK

__all__ = ["WORDS", "Language", "Words", "day", "moment", "thousands"]

type Language = Literal["da", "en"]


@dataclass(frozen=True, slots=True)
class Words:
    """Texts of one language; braces are filled in."""

    plan: str
    overview: str
    sheet: str
    see_sheet: str
    enquiry: str
    package: str
    scale: str
    print_full: str
    crs: str
    period: str
    as_of: str
    valid_to: str
    north: str
    check_bar: str
    hazards: str
    no_hazards: str
    hazard_row: str
    legend: str
    owners: str
    more: str
    phone: str
    missing: str
    complete: str
    planning: str
    one_owner: str
    care: str
    dig_area: str
    building: str
    parcel: str
    without_place: str
    nearest: str
    inside: str
    continued: str
    unknown_owner: str
    all_signs: str
    dangerous: str
    very_dangerous: str
    method: str


WORDS: Final[dict[Language, Words]] = {
    "da": Words(
        plan="Ledningsplan",
        overview="Oversigt",
        sheet="Blad {number} af {count}",
        see_sheet="blad {number}",
        enquiry="Graveforespørgsel",
        package="Pakke",
        scale="Mål 1:{scale} på {paper}",
        print_full="Udskriv i faktisk størrelse (100 %)",
        crs="ETRS89 / UTM 32N (EPSG:25832). Net nord op.",
        period="Graveperiode",
        as_of="Oplyst til og med",
        valid_to="Må bruges til",
        north="N",
        check_bar="{mm} mm på papiret",
        hazards="Farlige ledninger",
        no_hazards="Ingen ledninger er meldt farlige her.",
        hazard_row="{supply}, {hazard}: {count} stk.",
        legend="Signaturer på bladet",
        owners="Ledningsejere",
        more="… {count} flere, se oversigten",
        phone="tlf. {phone}",
        missing="GRAV IKKE ENDNU: {count} ledningsejer(e) mangler",
        complete="Alle ledningsejere har svaret.",
        planning="KUN TIL PLANLÆGNING - må ikke bruges til gravning",
        one_owner="KUN LEDNINGER FRA {owner} - andre ejeres ledninger er ikke vist",
        care="Placering er vejledende. Find ledningerne med håndkraft, før maskinen kommer tæt på.",
        dig_area="Graveområde",
        building="Bygning",
        parcel="Skel",
        without_place="{count} objekter har ingen geometri og er ikke tegnet.",
        nearest="nærmest {distance} fra kanten",
        inside="{count} i graveområdet",
        continued="fortsat",
        unknown_owner="Ejer ikke oplyst",
        all_signs="Signaturer",
        dangerous="farlig",
        very_dangerous="meget farlig",
        method="Graveart",
    ),
    "en": Words(
        plan="Utility plan",
        overview="Index sheet",
        sheet="Sheet {number} of {count}",
        see_sheet="sheet {number}",
        enquiry="Dig enquiry",
        package="Package",
        scale="Scale 1:{scale} on {paper}",
        print_full="Print at actual size (100 %)",
        crs="ETRS89 / UTM 32N (EPSG:25832). Grid north up.",
        period="Period of digging",
        as_of="As told until",
        valid_to="May be used until",
        north="N",
        check_bar="{mm} mm on paper",
        hazards="Dangerous lines",
        no_hazards="No line is reported as dangerous here.",
        hazard_row="{supply}, {hazard}: {count}",
        legend="Signs on this sheet",
        owners="Utility owners",
        more="… {count} more, see the index sheet",
        phone="tel. {phone}",
        missing="DO NOT DIG YET: {count} owner(s) outstanding",
        complete="All owners have answered.",
        planning="FOR PLANNING ONLY - not for digging",
        one_owner="ONLY LINES OF {owner} - lines of other owners are not shown",
        care="Positions are guidance. Find the lines by hand before the machine comes close.",
        dig_area="Dig area",
        building="Building",
        parcel="Parcel boundary",
        without_place="{count} features have no geometry and are not drawn.",
        nearest="nearest {distance} from the edge",
        inside="{count} in the dig area",
        continued="continued",
        unknown_owner="Owner not told",
        all_signs="Signs",
        dangerous="dangerous",
        very_dangerous="very dangerous",
        method="Method",
    ),
}


def day(when: date, language: Language) -> str:
    """Return a day as the language writes it."""
    return f"{when:%d.%m.%Y}" if language == "da" else f"{when:%Y-%m-%d}"


def moment(when: datetime, language: Language) -> str:
    """Return a moment in Danish time."""
    local = when.astimezone(DENMARK) if when.tzinfo else when
    return f"{local:%d.%m.%Y kl. %H.%M}" if language == "da" else f"{local:%Y-%m-%d %H:%M}"


def thousands(number: float, language: Language) -> str:
    """Return a whole number with its thousands apart."""
    return f"{number:,.0f}".replace(",", "." if language == "da" else ",")
