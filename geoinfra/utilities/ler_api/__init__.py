"""What LER's system-to-system interface says: error codes, numbers, names of package states. Pure rules.

The codes are LER's; the sentences are our own (``standards/ler-api/errorcodes.json``). The codes of the named
rules of an answer, and what is said about each, are those of the business rules.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final

import orjson

from geoinfra.standards import standards_path
from geoinfra.utilities.check.rules import rule_book
from geoinfra.utilities.enquiry import AnswerStatus
from geoinfra.utilities.sandbox import NUMBER_PREFIX

__all__ = [
    "ErrorCode",
    "PackageStatus",
    "Refusal",
    "error_codes",
    "ler_id",
    "number_of",
    "package_status",
    "require_guid",
]

_GUID = re.compile(r"\{?[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}?|[0-9a-fA-F]{32}")
_NUMBER = re.compile(rf"({NUMBER_PREFIX})?([12][0-9]{{3}})-?([0-9]{{6}})")


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One code that LER's interface may answer.

    Attributes
    ----------
    code
        For instance ``19-370``, or the name of a rule.
    cause
        ``client``: what was sent; ``server``: a fault of ours; ``absent``: belongs to something that geoinfra
        does not have, and is never answered.
    da, en
        What is said about it.
    """

    code: str
    cause: str
    da: str
    en: str


class Refusal(Exception):
    """The interface refuses a call with one of LER's codes.

    Parameters
    ----------
    code
        LER's error code.
    details
        Sentences for people, Danish and English, that follow the code's own.
    """

    def __init__(self, code: str, *details: tuple[str, str]) -> None:
        super().__init__(code)
        self.code = code
        self.details = details


@lru_cache(maxsize=1)
def error_codes() -> Mapping[str, ErrorCode]:
    """Return every code of LER's interface."""
    document = orjson.loads(standards_path("ler-api", "errorcodes.json").read_bytes())
    own = {row["code"]: ErrorCode(**row) for row in document["codes"]}
    named = {
        rule.rule: ErrorCode(rule.rule, "client", rule.message_da, rule.message)
        for rule in rule_book().rules
        if rule.rule and rule.rule not in own
    }
    return {**own, **named}


def require_guid(name: str, text: str | None) -> str:
    """Return a GUID in its usual spelling.

    Raises
    ------
    Refusal
        ``00-300``: it is missing, or no GUID.
    """
    if text is None or not _GUID.fullmatch(text):
        raise Refusal(
            "00-300",
            (f"Parameteren {name} mangler eller er ikke en GUID.", f"{name} is missing, or is no GUID."),
        )
    return str(uuid.UUID(text))


def ler_id(number: str) -> int:
    """Return the whole number that LER's clients use for an enquiry: ``2026-000017`` is 2026000017."""
    match = _NUMBER.fullmatch(number)
    if match is None:
        raise ValueError(f"{number!r} is no number of an enquiry")
    return int(match[2] + match[3])


def number_of(text: str, prefix: str = "") -> str | None:
    """Return the number of the enquiry that an id means, written as ``2026000017`` or ``2026-000017``.

    Parameters
    ----------
    prefix
        How all numbers of the store begin, where the id leaves it out.
    """
    match = _NUMBER.fullmatch(text) if text.isascii() else None
    return f"{match[1] or prefix}{match[2]}-{match[3]}" if match else None


class PackageStatus(StrEnum):
    """What LER calls the states of a package."""

    NONE = "Ingen ledningspakke"
    BUILDING = "Under udarbejdelse"
    WAITING = "Afventer ledningsejer"
    PARTIAL = "Delvis komplet"
    COMPLETE = "Komplet"
    ARCHIVED = "Arkiveret"
    DELETED = "Slettet"


def package_status(
    statuses: Sequence[AnswerStatus],
    *,
    packaged: bool,
    building: bool,
    kept: bool,
    valid_to: datetime,
    now: datetime,
) -> PackageStatus:
    """Return LER's name of where a package stands.

    Parameters
    ----------
    statuses
        Of the owners' answers.
    packaged, building
        Whether a package was made, and whether a newer one is being made.
    kept
        Whether the file of the one made is still there.
    """
    if packaged and not kept:
        return PackageStatus.DELETED
    if valid_to <= now:
        return PackageStatus.ARCHIVED
    if building:
        return PackageStatus.BUILDING
    if not packaged:
        return PackageStatus.NONE
    if all(status.final for status in statuses):
        return PackageStatus.COMPLETE
    answered = any(status.final for status in statuses)
    return PackageStatus.PARTIAL if answered else PackageStatus.WAITING


PARALLEL_CALLS: Final = 8
"""Calls of one account that may be at work at once."""
