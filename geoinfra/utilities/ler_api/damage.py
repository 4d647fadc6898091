"""The report of a damage as LER takes it (integration 18); the rules are those of every damage report."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from geoinfra.errors import InvalidInput
from geoinfra.utilities.damages import Damage
from geoinfra.utilities.ler_api import Refusal

__all__ = ["damage_report", "refusal"]

_DAY: Final = re.compile(r"[0-9]{2}-[0-9]{2}-[0-9]{4}|")


def damage_report(document: Mapping[str, Any], today: date) -> Damage:
    """Return the damage that a document of LER's tells of.

    Raises
    ------
    Refusal
        ``18-300``; the message names the field.
    """
    if "year" in document:
        raise Refusal("18-300", ("year findes ikke.", "year is not known."))
    day = document.get("skadesDato")
    if isinstance(day, str) and not _DAY.fullmatch(day.strip()):
        raise Refusal(
            "18-300",
            ("skadesDato skal skrives dd-mm-åååå.", "skadesDato must be written as dd-mm-yyyy."),
        )
    try:
        return Damage.from_document(document, today)
    except InvalidInput as error:
        raise refusal(error) from error


def refusal(error: InvalidInput) -> Refusal:
    """Return what LER's interface says to a report that breaks a rule."""
    return Refusal("18-300", (error.details.get("message_da", ""), f"{error.message} {error.hint}".strip()))
