"""Kinds of enquiry, re-send, validity and retention: the dates that the rules give."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geoinfra.errors import Conflict, InvalidInput
from geoinfra.utilities.enquiry import EnquiryContact, EnquiryRequest
from geoinfra.utilities.filing import (
    EmergencyGround,
    EnquiryKind,
    Filer,
    Filing,
    ValidityState,
    anonymised,
    may_resend,
    resent,
    retention,
    validity,
)
from geoinfra.utilities.legal_clock import DENMARK, law

NOON = datetime(2026, 11, 24, 12, tzinfo=DENMARK)
PLANNED = Filing(
    "2026-000001",
    EnquiryKind.PLANNED,
    Filer.PROFESSIONAL,
    NOON,
    date(2026, 12, 1),
    date(2027, 8, 31),
)
EMERGENCY = replace(
    PLANNED,
    kind=EnquiryKind.EMERGENCY,
    period_from=date(2026, 11, 23),
    period_to=date(2026, 11, 25),
    grounds=(EmergencyGround.WASTE,),
    reason="Vandledningen er sprunget",
    begun=True,
)
PLANNING = replace(PLANNED, kind=EnquiryKind.PLANNING)


@pytest.mark.parametrize("good", [PLANNED, EMERGENCY, PLANNING, replace(PLANNED, filer=Filer.PRIVATE)])
def test_good_filings_keep_the_rules(good: Filing) -> None:
    assert good.require_rules() is good


@pytest.mark.parametrize(
    ("base", "change", "path"),
    [
        (PLANNED, {"period_from": date(2026, 11, 23)}, "period.from"),
        (PLANNED, {"period_to": date(2026, 11, 30)}, "period"),
        (PLANNED, {"period_to": date(2028, 1, 1)}, "period"),
        (PLANNED, {"reason": "hastværk"}, "kind"),
        (PLANNED, {"begun": True}, "kind"),
        (PLANNED, {"grounds": (EmergencyGround.WASTE,)}, "kind"),
        (PLANNING, {"period_from": date(2026, 11, 1)}, "period.from"),
        (EMERGENCY, {"reason": "  "}, "reason"),
        (EMERGENCY, {"grounds": ()}, "grounds"),
        (EMERGENCY, {"begun": False}, "begun"),
        (EMERGENCY, {"period_from": date(2026, 10, 24)}, "period.from"),
        (EMERGENCY, {"period_from": date(2026, 11, 25)}, "period.from"),
    ],
)
def test_what_breaks_a_rule_names_the_member(base: Filing, change: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        replace(base, **change).require_rules()
    assert caught.value.details["path"] == path


def test_today_is_the_danish_day() -> None:
    midnight = replace(PLANNED, filed_at=datetime(2026, 11, 30, 23, 30, tzinfo=UTC))  # 00:30 on 1 December
    assert midnight.require_rules().period_from == date(2026, 12, 1)
    with pytest.raises(InvalidInput):
        replace(midnight, period_from=date(2026, 11, 30)).require_rules()


def test_an_emergency_that_starts_today_need_not_have_begun() -> None:
    replace(EMERGENCY, period_from=date(2026, 11, 24), begun=False).require_rules()


@pytest.mark.parametrize(
    ("kind", "digging", "asks", "reason", "past", "owners_first"),
    [
        (EnquiryKind.PLANNED, True, True, False, False, False),
        (EnquiryKind.EMERGENCY, True, True, True, True, True),
        (EnquiryKind.PLANNING, False, False, False, False, False),
    ],
)
def test_what_each_kind_means(
    kind: EnquiryKind, digging: bool, asks: bool, reason: bool, past: bool, owners_first: bool
) -> None:
    assert kind.permits_digging is digging
    assert kind.asks_owners is asks
    assert kind.needs_reason is reason
    assert kind.start_may_be_past is past
    assert kind.owners_first is owners_first
    assert kind.danish


def test_a_planning_enquiry_says_in_danish_that_it_is_not_for_digging() -> None:
    assert "må ikke bruges til gravearbejde" in EnquiryKind.PLANNING.danish


def test_only_a_professional_must_ask() -> None:
    assert (Filer.PROFESSIONAL.must_ask, Filer.PRIVATE.must_ask) == (True, False)


def test_every_ground_has_words_in_both_languages() -> None:
    assert set(law()["emergency"]["grounds"]) == {str(ground) for ground in EmergencyGround}
    assert all(ground.words("da") != ground.words("en") for ground in EmergencyGround)


# ------------------------------------------------------------------------------------------------- re-send


@pytest.mark.parametrize(
    ("filed", "period_to", "last_day"),
    [
        (date(2026, 11, 24), date(2027, 8, 31), date(2027, 5, 24)),  # the half year ends first
        (date(2026, 11, 24), date(2026, 12, 20), date(2026, 12, 20)),  # the period ends first
        (date(2026, 8, 31), date(2027, 8, 1), date(2027, 2, 28)),  # a shorter month
        (date(2027, 8, 31), date(2028, 8, 1), date(2028, 2, 29)),  # a leap year
        (date(2026, 7, 1), date(2027, 6, 1), date(2027, 1, 1)),
    ],
)
def test_a_resend_is_free_until_the_half_year_or_the_period_ends(
    filed: date, period_to: date, last_day: date
) -> None:
    original = replace(
        PLANNED,
        filed_at=datetime(filed.year, filed.month, filed.day, 9, tzinfo=DENMARK),
        period_from=filed,
        period_to=period_to,
    )
    end = datetime(last_day.year, last_day.month, last_day.day, 23, 59, tzinfo=DENMARK)
    inside, after = may_resend(original, end), may_resend(original, end + timedelta(minutes=1))
    assert (inside.allowed, inside.free, inside.last_day) == (True, True, last_day)
    assert (after.allowed, after.free) == (False, False)
    assert "gratis" in inside.text_da
    assert "ny forespørgsel" in after.text_da


def test_a_resend_carries_the_original_number_and_its_content() -> None:
    later = NOON + timedelta(days=30)
    again = resent(PLANNED, "2026-000077", later)
    assert (again.number, again.original_number, again.filed_at) == ("2026-000077", "2026-000001", later)
    assert again.require_rules().period_from == PLANNED.period_from  # which has begun by then
    assert replace(again, number=PLANNED.number, filed_at=NOON, original_number="") == PLANNED


def test_a_resend_of_a_resend_points_to_the_original() -> None:
    again = resent(PLANNED, "2026-000077", NOON + timedelta(days=30))
    terms = may_resend(again, NOON + timedelta(days=31))
    assert not terms.allowed
    assert terms.original_number == PLANNED.number
    assert PLANNED.number in terms.text_da
    with pytest.raises(Conflict, match="2026-000077"):
        resent(again, "2026-000078", NOON + timedelta(days=31))


def test_what_asked_nobody_cannot_be_sent_again() -> None:
    assert not may_resend(PLANNING, NOON).allowed
    assert not may_resend(PLANNED, NOON - timedelta(seconds=1)).allowed


# Hypothesis wants bounds without zone
@given(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)), st.integers(0, 366), st.integers(0, 400))  # noqa: DTZ001  # bounds
def test_a_resend_is_never_later_than_half_a_year_or_the_period(
    filed: datetime, days: int, wait: int
) -> None:
    moment = filed.replace(tzinfo=UTC)
    day = moment.astimezone(DENMARK).date()
    original = replace(PLANNED, filed_at=moment, period_from=day, period_to=day + timedelta(days=days))
    now = moment + timedelta(days=wait)
    allowed = may_resend(original, now).allowed
    today = now.astimezone(DENMARK).date()
    assert allowed <= (today <= original.period_to and (today - day).days <= 184)
    assert allowed >= (today <= original.period_to and (today - day).days <= 181)


# -------------------------------------------------------------------------------------- validity, retention


@pytest.mark.parametrize(
    ("day", "valid_to", "state", "last_day", "expired"),
    [
        (date(2026, 11, 25), {"1": None}, "not-begun", date(2027, 8, 31), ()),
        (date(2026, 12, 1), {"1": date(2027, 3, 1)}, "in-force", date(2027, 3, 1), ()),
        (date(2027, 3, 1), {"1": date(2027, 3, 1)}, "in-force", date(2027, 3, 1), ()),
        (
            date(2027, 3, 2),
            {"1": date(2027, 3, 1), "2": None},
            "information-expired",
            date(2027, 3, 1),
            ("1",),
        ),
        (date(2027, 8, 31), {}, "in-force", date(2027, 8, 31), ()),
        (date(2027, 9, 1), {}, "expired", date(2027, 8, 31), ()),
    ],
)
def test_validity_follows_period_and_owners(
    day: date, valid_to: dict[str, date | None], state: str, last_day: date, expired: tuple[str, ...]
) -> None:
    found = validity(PLANNED, valid_to, datetime(day.year, day.month, day.day, 23, 30, tzinfo=DENMARK))
    assert (found.state, found.last_day, found.expired_owners) == (state, last_day, expired)


def test_nobody_may_ever_dig_by_a_planning_enquiry() -> None:
    assert validity(PLANNING, {}, NOON + timedelta(days=10)).state is ValidityState.NEVER


def test_an_enquiry_is_public_for_ten_years_after_the_dig_and_then_gone() -> None:
    found = retention(PLANNED)
    assert found.public_until == date(2037, 8, 31)
    assert found.public_on(date(2037, 8, 31))
    assert not found.erased_on(date(2037, 8, 31))
    assert not found.public_on(date(2037, 9, 1))
    assert found.erased_on(date(2037, 9, 1))
    assert found.resend_until == date(2027, 5, 24)
    assert found.anonymous_from is None


def test_retention_of_a_dig_that_ends_on_a_leap_day() -> None:
    assert retention(replace(PLANNED, period_to=date(2028, 2, 29))).public_until == date(2038, 2, 28)


def test_it_is_anonymous_from_the_day_somebody_asks() -> None:
    asked = datetime(2027, 1, 1, 23, 30, tzinfo=UTC)
    assert retention(PLANNED, anonymise_asked_at=asked).anonymous_from == date(2027, 1, 2)


def test_a_planning_enquiry_is_never_shown_and_gone_after_three_years() -> None:
    found = retention(PLANNING)
    assert (found.public_until, found.resend_until) == (None, None)
    assert not found.public_on(date(2026, 12, 1))
    assert not found.erased_on(date(2030, 8, 31))
    assert found.erased_on(date(2030, 9, 1))


def test_persons_are_kept_for_three_years_or_until_somebody_asks() -> None:
    kept = retention(PLANNED)
    assert kept.personal_until == date(2030, 8, 31)
    assert [kept.anonymous_on(date(2030, 8, 31)), kept.anonymous_on(date(2030, 9, 1))] == [False, True]
    asked = retention(PLANNED, anonymise_asked_at=datetime(2027, 1, 1, 12, 0, tzinfo=UTC))
    assert asked.anonymous_on(date(2027, 1, 1))


def test_an_anonymous_enquiry_names_nobody_and_keeps_the_dig() -> None:
    request = EnquiryRequest(
        shapely.box(550_000, 6_200_000, 550_010, 6_200_010),
        date(2026, 12, 1),
        date(2026, 12, 20),
        ("6", "99"),
        EnquiryContact("Karen Graver", "karen@example.dk", "12345678"),
        methods_other="Karens spade",
        description="Hos Karen",
        key="karen-1",
    )
    found = anonymised(request)
    assert "aren" not in repr(found)
    assert "12345678" not in repr(found)
    assert (found.polygon, found.period_to, found.methods) == (
        request.polygon,
        request.period_to,
        ("6", "99"),
    )


def test_a_moment_without_zone_is_refused() -> None:
    with pytest.raises(InvalidInput, match="time zone"):
        may_resend(PLANNED, datetime(2026, 11, 24, 12, 0))  # noqa: DTZ001  # no zone, on purpose
