"""Kinds of enquiry and who files them; when one may be sent again; how long it is valid and is kept.

``planned``
    Digging that has not begun: it starts today or later.
``emergency``
    Urgent repair of sudden damage. A ground of the law and a reason are mandatory; it may be filed after the
    start; the list of owners with telephone numbers comes before any answer.
``planning``
    Orientation for planning or research: owners are named and not asked, and have nothing to do; it must
    never be used for digging.

Numbers of the law are data: ``standards/utilities/law/denmark.json``. Days are Danish calendar days.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from geoinfra.errors import Conflict, InvalidInput
from geoinfra.utilities.dig_area import MAX_AREA_M2
from geoinfra.utilities.enquiry import (
    MAX_PERIOD,
    EmergencyGround,
    EnquiryContact,
    EnquiryKind,
    EnquiryRequest,
    Filer,
)
from geoinfra.utilities.legal_clock import DENMARK, law

__all__ = [
    "EmergencyGround",
    "EnquiryKind",
    "Filer",
    "Filing",
    "Resend",
    "Retention",
    "Told",
    "Validity",
    "ValidityState",
    "anonymised",
    "filing_of",
    "may_resend",
    "resent",
    "retention",
    "told",
    "validity",
]

ANONYMOUS: Final = "anonymiseret"


@dataclass(frozen=True, slots=True)
class Filing:
    """What of an enquiry the rules look at.

    Attributes
    ----------
    number
        Number of the enquiry.
    filed_at
        Aware moment of creation.
    period_from, period_to
        First and last day of the dig.
    reason
        Why an emergency could not wait, in the filer's words.
    begun
        Whether the filer states that digging has begun or taken place.
    original_number
        Of a re-send: the number of the enquiry that was sent first.
    """

    number: str
    kind: EnquiryKind
    filer: Filer
    filed_at: datetime
    period_from: date
    period_to: date
    grounds: tuple[EmergencyGround, ...] = ()
    reason: str = ""
    begun: bool = False
    original_number: str = field(default="")

    def require_rules(self) -> Filing:
        """Return the filing itself when it keeps the rules of its kind.

        Raises
        ------
        InvalidInput
            It does not; ``details["path"]`` names the member.
        """
        for broken in self.broken_rules():
            raise broken
        return self

    def broken_rules(self) -> list[InvalidInput]:
        """Return what the filing breaks of the rules of its kind; each in Danish too, as ``message_da``."""
        today = _day(self.filed_at)
        found = list(_broken_of_period(self, today))
        if self.kind.needs_reason:
            found += _broken_of_emergency(self, today)
        elif self.reason or self.grounds or self.begun:
            text = f"Reason, grounds and begun belong to emergencies, not to '{self.kind}'."
            found.append(_wrong("not-an-emergency", "kind", text))
        return found


def filing_of(request: EnquiryRequest, number: str, filed_at: datetime, *, original: str = "") -> Filing:
    """Return what of a request the rules look at.

    Parameters
    ----------
    number
        Of the enquiry; empty before it has one.
    original
        Of a re-send: the number of the enquiry that was sent first.
    """
    return Filing(
        number,
        request.kind,
        request.filer,
        filed_at,
        request.period_from,
        request.period_to,
        request.grounds,
        request.reason,
        request.begun,
        original,
    )


def _wrong(code: str, path: str, message: str, hint: str = "", **values: object) -> InvalidInput:
    danish = law()["filing"]["refused"][code]["da"].format(**values)
    return InvalidInput(message, hint=hint, details={"path": path, "rule": code, "message_da": danish})


def _day(moment: datetime) -> date:
    """Return the Danish day of an aware moment."""
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise InvalidInput("A moment needs a time zone.", hint="Write it as 2026-06-03T09:00:00+02:00.")
    return moment.astimezone(DENMARK).date()


def _broken_of_period(filing: Filing, today: date) -> Iterator[InvalidInput]:
    start, end = filing.period_from, filing.period_to
    if end < start:
        yield _wrong("period-reversed", "period", "The period must not end before it starts.")
    if end - start > MAX_PERIOD:
        days = MAX_PERIOD.days
        yield _wrong("period-too-long", "period", f"The period may last {days} days at most.", days=days)
    if start < today and not filing.kind.start_may_be_past and not filing.original_number:
        yield _wrong(
            "start-passed",
            "period.from",
            f"The start {start} has passed; today is {today}.",
            "Only an emergency may be filed after the digging began.",
            start=_da(start),
            today=_da(today),
        )


def _broken_of_emergency(filing: Filing, today: date) -> Iterator[InvalidInput]:
    if not filing.grounds:
        hint = f"Give at least one of: {', '.join(EmergencyGround)}."
        yield _wrong("ground-missing", "grounds", "An emergency needs a ground of the law.", hint)
    if not filing.reason.strip():
        hint = "Say what broke, and why it cannot wait."
        yield _wrong("reason-missing", "reason", "An emergency needs a reason.", hint)
    most = int(law()["emergency"]["start_at_most_days_ago"])
    if today - filing.period_from > timedelta(days=most):
        text = f"An emergency is filed at most {most} days after its start."
        yield _wrong("emergency-too-late", "period.from", text, days=most)
    if filing.period_from > today:
        yield _wrong("can-wait", "period.from", "What starts later can wait: file a planned enquiry.")
    if filing.period_from < today and not filing.begun:
        text = "The start has passed: state that the digging has begun or taken place."
        yield _wrong("begun-missing", "begun", text)


@dataclass(frozen=True, slots=True)
class Told:
    """A rule that the filer is told; it refuses nothing."""

    code: str
    da: str
    en: str

    def to_json(self) -> dict[str, str]:
        """Return it JSON-ready."""
        return {"code": self.code, "da": self.da, "en": self.en}


def told(request: EnquiryRequest, parts: int = 1) -> tuple[Told, ...]:
    """Return the rules that one who files this must know.

    Parameters
    ----------
    parts
        How many enquiries the area is filed as.
    """
    codes = [str(request.kind)] if request.kind is not EnquiryKind.PLANNED else []
    if request.kind.permits_digging:
        codes.append("wait-for-all" if request.filer.must_ask else "private")
    codes += ["split"] * (parts > 1) + ["surroundings"] * (request.surroundings_m > 0)
    texts, limit = law()["filing"]["told"], int(MAX_AREA_M2)
    values = {"parts": parts, "distance": f"{request.surroundings_m:g}"}
    return tuple(
        Told(
            code,
            texts[code]["da"].format(limit=f"{limit:,}".replace(",", "."), **values),
            texts[code]["en"].format(limit=f"{limit:,}", **values),
        )
        for code in codes
    )


# ------------------------------------------------------------------------------------------------- re-send


@dataclass(frozen=True, slots=True)
class Resend:
    """Whether an enquiry may be sent again, and on what terms.

    Attributes
    ----------
    free
        Whether it costs nothing.
    last_day
        Last day on which it may be sent again.
    original_number
        What the re-send must carry.
    text, text_da
        One sentence for the filer.
    """

    allowed: bool
    free: bool
    last_day: date
    original_number: str
    text: str
    text_da: str


def may_resend(original: Filing, now: datetime) -> Resend:
    """Return whether an enquiry may be sent again free of charge at `now`.

    That is within half a year of its creation and before the dig period ends; the last day of either counts
    in full. What is itself a re-send is not the original and cannot be sent again.
    """
    rules, today = law()["resend"], _day(now)
    within = _months_later(_day(original.filed_at), int(rules["within_months"]))
    last_day = min(within, original.period_to)
    open_to_it = not original.original_number and original.kind.asks_owners and now >= original.filed_at
    allowed = open_to_it and today <= last_day
    text, text_da = _resend_words(original, allowed, last_day, now)
    return Resend(
        allowed,
        allowed and bool(rules["free"]),
        last_day,
        original.original_number or original.number,
        text,
        text_da,
    )


def _resend_words(original: Filing, allowed: bool, last_day: date, now: datetime) -> tuple[str, str]:
    if allowed:
        return (
            f"May be sent again free until {last_day}.",
            f"Kan gensendes gratis til og med {_da(last_day)}.",
        )
    if original.original_number:
        first = original.original_number
        return f"Send the original enquiry {first} again.", f"Gensend den oprindelige forespørgsel {first}."
    if not original.kind.asks_owners:
        return "Nothing was asked of owners: there is nothing to send again.", "Der er intet at gensende."
    if now < original.filed_at:
        return "It is not filed yet.", "Den er ikke oprettet endnu."
    return (
        f"It could be sent again until {last_day}; file a new enquiry.",
        f"Den kunne gensendes til og med {_da(last_day)}; opret en ny forespørgsel.",
    )


def _da(day: date) -> str:
    return day.strftime("%d.%m.%Y")


def _months_later(day: date, months: int) -> date:
    """Return the same day some months later, or the last one of a shorter month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def resent(original: Filing, number: str, now: datetime) -> Filing:
    """Return the filing of a re-send: the original's content under a new number, filed now.

    Raises
    ------
    Conflict
        It may not be sent again.
    """
    terms = may_resend(original, now)
    if not terms.allowed:
        raise Conflict(f"Enquiry {original.number} cannot be sent again.", hint=terms.text)
    return replace(original, number=number, filed_at=now, original_number=terms.original_number)


# -------------------------------------------------------------------------------------- validity, retention


class ValidityState(StrEnum):
    """Whether one may dig by an enquiry today, as far as dates say."""

    NOT_BEGUN = "not-begun"
    IN_FORCE = "in-force"
    INFORMATION_EXPIRED = "information-expired"
    EXPIRED = "expired"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Validity:
    """Until when an enquiry's information may be used.

    Attributes
    ----------
    last_day
        Last day on which all owners' information is valid within the dig period.
    expired_owners
        Owners whose information (``gyldigTil``) has expired before the period ends, at the moment asked for.
    """

    state: ValidityState
    last_day: date
    expired_owners: tuple[str, ...] = ()


def validity(filing: Filing, valid_to: Mapping[str, date | None], now: datetime) -> Validity:
    """Return whether the information of an enquiry is valid at `now`.

    Parameters
    ----------
    valid_to
        Owner's CVR number to the last day of his information; ``None`` when he states none.
    """
    today = _day(now)
    last_day = min([filing.period_to, *(day for day in valid_to.values() if day is not None)])
    expired = tuple(sorted(cvr for cvr, day in valid_to.items() if day is not None and day < today))
    if not filing.kind.permits_digging:
        state = ValidityState.NEVER
    elif today > filing.period_to:
        state = ValidityState.EXPIRED
    elif expired:
        state = ValidityState.INFORMATION_EXPIRED
    elif today < filing.period_from:
        state = ValidityState.NOT_BEGUN
    else:
        state = ValidityState.IN_FORCE
    return Validity(state, last_day, expired)


@dataclass(frozen=True, slots=True)
class Retention:
    """Days that decide what of an enquiry is kept and shown.

    Attributes
    ----------
    resend_until
        Last day of a free re-send, ``None`` when there is none.
    public_until
        Last day on which it may be shown to the public; after it the enquiry is deleted. ``None``: never
        shown.
    personal_until
        Last day on which the filer's name, contact and own words, its packages and what owners sent for it
        alone are kept; an enquiry that is never shown is deleted after it.
    anonymous_from
        Day from which it is shown and kept without the filer's name, contact and own words, when somebody
        asked for it; ``None``: not asked for.
    """

    resend_until: date | None
    public_until: date | None
    personal_until: date
    anonymous_from: date | None

    def public_on(self, day: date) -> bool:
        """Whether the public may see it on a day."""
        return self.public_until is not None and day <= self.public_until

    def erased_on(self, day: date) -> bool:
        """Whether it must be gone on a day."""
        return day > (self.public_until or self.personal_until)

    def anonymous_on(self, day: date) -> bool:
        """Whether a day finds it without persons, packages and lines."""
        asked = self.anonymous_from is not None and day >= self.anonymous_from
        return asked or day > self.personal_until


def retention(filing: Filing, *, anonymise_asked_at: datetime | None = None) -> Retention:
    """Return how long an enquiry is kept and shown: ten years after its dig period ends, named for three."""
    rules = law()["retention"]
    years, named = int(rules["public_display_years"]), int(rules["personal_years"])
    public = _months_later(filing.period_to, 12 * years) if filing.kind.permits_digging else None
    terms = may_resend(filing, filing.filed_at)
    return Retention(
        terms.last_day if terms.allowed else None,
        public,
        _months_later(filing.period_to, 12 * named),
        _day(anonymise_asked_at) if anonymise_asked_at else None,
    )


def anonymised(request: EnquiryRequest) -> EnquiryRequest:
    """Return an enquiry without what names a person: contact, free texts and the key of its filing."""
    return replace(
        request,
        contact=EnquiryContact(ANONYMOUS),
        description="",
        methods_other=ANONYMOUS if request.methods_other else "",
        reason=ANONYMOUS if request.reason else "",
        own_number="",
        key=None,
    )
