"""The legal clock against a calendar worked out by hand, and Danish holidays against another program."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import holidays as other_program
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoinfra.errors import InvalidInput
from geoinfra.utilities import legal_clock
from geoinfra.utilities.legal_clock import (
    DENMARK,
    ClockState,
    Deadline,
    answer_due,
    dispensation_due,
    due,
    easter_sunday,
    holidays,
    is_working_day,
    manual_due,
    next_working_day,
    reminders,
    status,
    working_time_after,
    working_time_between,
)


def danish(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=DENMARK)


ANSWERS = """
2020-01-02 07:00 2020-01-02 09:00  the first working day of the two-hour clock, a Thursday
2020-01-02 13:59 2020-01-02 15:59
2020-01-03 14:30 2020-01-06 07:30  Friday afternoon to Monday
2020-04-08 15:00 2020-04-14 08:00  Wednesday before Maundy Thursday, over Easter
2020-04-09 10:00 2020-04-14 09:00  Maundy Thursday
2020-04-10 10:00 2020-04-14 09:00  Good Friday
2020-04-13 23:59 2020-04-14 09:00  Easter Monday
2020-04-30 15:45 2020-05-04 08:45  1 May 2020 is a Friday
2020-05-07 14:01 2020-05-11 07:01  Great Prayer Day 8 May 2020
2020-05-08 08:00 2020-05-11 09:00
2020-05-20 16:00 2020-05-22 09:00  Ascension Day 21 May; the day after is a working day
2020-05-29 15:30 2020-06-02 08:30  Whitsun
2020-06-04 15:00 2020-06-08 08:00  Constitution Day, a Friday
2020-12-23 15:59 2020-12-28 08:59  Christmas, Thursday to Saturday, then Sunday
2020-12-24 09:00 2020-12-28 09:00
2020-12-30 14:15 2021-01-04 07:15  New Year: Thursday and Friday off
2021-04-29 15:00 2021-05-03 08:00  Great Prayer Day 30 April, 1 May a Saturday
2021-05-12 12:00 2021-05-12 14:00
2021-05-24 07:30 2021-05-25 09:00  Whit Monday
2021-06-04 14:45 2021-06-07 07:45  Constitution Day on a Saturday
2021-12-23 16:30 2021-12-27 09:00
2022-05-12 15:59 2022-05-16 08:59  Great Prayer Day 13 May
2022-05-27 07:00 2022-05-27 09:00  the Friday after Ascension Day
2022-06-05 12:00 2022-06-07 09:00  Whit Sunday and Constitution Day at once
2022-12-26 10:00 2022-12-27 09:00  Monday, second Christmas Day
2023-04-28 15:00 2023-05-02 08:00  1 May 2023 is a Monday
2023-05-04 14:30 2023-05-08 07:30  the last Great Prayer Day that counts, 5 May 2023
2023-05-05 09:00 2023-05-08 09:00
2023-06-02 15:00 2023-06-06 08:00  Constitution Day, a Monday
2023-12-22 15:15 2023-12-27 08:15  Friday; 25 and 26 December are Monday and Tuesday
2023-12-29 16:00 2024-01-02 09:00
2024-03-27 15:00 2024-04-02 08:00  Easter in March, with the change to summer time
2024-03-31 03:30 2024-04-02 09:00  Easter Sunday, half an hour after the change
2024-04-25 15:00 2024-04-26 08:00  what was Great Prayer Day is a working day from 2024
2024-04-26 10:00 2024-04-26 12:00
2024-04-30 15:30 2024-05-02 08:30  1 May, a Wednesday
2024-05-08 14:00 2024-05-08 16:00  exactly two hours before closing
2024-05-08 14:00:01 2024-05-10 07:00:01  a second later, over Ascension Day
2024-06-05 11:00 2024-06-06 09:00  Constitution Day, a Wednesday
2024-12-23 14:30 2024-12-27 07:30  Monday to Friday
2024-12-30 15:00 2025-01-02 08:00  31 December a Tuesday
2025-01-02 06:59 2025-01-02 09:00  a minute before opening
2025-02-11 03:15 2025-02-11 09:00
2025-02-11 15:59:59 2025-02-12 08:59:59
2025-04-16 15:20 2025-04-22 08:20  Easter
2025-04-30 16:00 2025-05-02 09:00
2025-05-16 09:41 2025-05-16 11:41  fourth Friday after Easter, a working day
2025-05-28 15:00 2025-05-30 08:00  Ascension Day
2025-06-04 14:10 2025-06-06 07:10  Constitution Day, a Thursday
2025-06-07 12:00 2025-06-10 09:00  Saturday before Whitsun
2025-12-23 15:30 2025-12-29 08:30  Wednesday to Friday, then a weekend
2025-12-31 08:00 2026-01-02 09:00
2026-03-27 15:00 2026-03-30 08:00  Friday before the change to summer time
2026-03-29 02:30 2026-03-30 09:00  an hour that the clocks jump over
2026-04-01 15:30 2026-04-07 08:30
2026-05-13 15:00 2026-05-15 08:00
2026-06-04 15:00 2026-06-08 08:00
2026-10-23 15:00 2026-10-26 08:00  Friday before the change to winter time
2026-10-25 02:30 2026-10-26 09:00  an hour that comes twice
2026-12-30 14:30 2027-01-04 07:30
2027-03-24 15:00 2027-03-30 08:00
2027-05-17 12:00 2027-05-18 09:00
2027-12-23 15:00 2027-12-27 08:00  Friday 24 December, weekend
2027-12-30 15:00 2028-01-03 08:00
2028-04-28 14:20 2028-05-02 07:20
2028-06-02 15:00 2028-06-06 08:00  Whit Monday and Constitution Day at once
2028-12-22 15:00 2028-12-27 08:00
2029-04-30 15:00 2029-05-02 08:00
2029-06-04 15:00 2029-06-06 08:00
2029-12-21 16:00 2029-12-27 09:00  Friday; Monday to Wednesday off
2030-02-28 13:00 2030-02-28 15:00
"""
CASES = [
    (" ".join(words[:2]), " ".join(words[2:4]))
    for words in (line.split() for line in ANSWERS.strip().splitlines())
]


def test_the_table_is_long_and_spans_ten_years() -> None:
    assert len(CASES) >= 60
    assert danish(CASES[-1][0]).year - danish(CASES[0][0]).year >= 10


@pytest.mark.parametrize(("received", "expected"), CASES)
def test_an_answer_is_due_when_the_calendar_says(received: str, expected: str) -> None:
    found = answer_due(danish(received))
    assert found == danish(expected)
    assert found.tzinfo is UTC


@pytest.mark.parametrize("zone", ["UTC", "Europe/Copenhagen", "Asia/Tokyo", "America/Nuuk"])
def test_the_time_zone_of_the_caller_does_not_matter(zone: str) -> None:
    received = danish("2026-06-04 15:00").astimezone(ZoneInfo(zone))
    assert answer_due(received) == datetime(2026, 6, 8, 6, 0, tzinfo=UTC)


def test_the_two_hours_of_winter_and_summer_are_an_hour_apart_in_utc() -> None:
    assert answer_due(danish("2026-10-23 10:00")).hour == 10
    assert answer_due(danish("2026-10-26 10:00")).hour == 11


@pytest.mark.parametrize(
    ("received", "manual", "dispensation"),
    [
        ("2026-06-01 10:00", "2026-06-03 10:00", "2026-06-09 10:00"),  # 5 June does not count
        ("2026-06-03 10:00", "2026-06-08 10:00", "2026-06-11 10:00"),
        ("2026-06-01 05:00", "2026-06-03 07:00", "2026-06-09 07:00"),
        ("2026-06-01 18:00", "2026-06-03 16:00", "2026-06-09 16:00"),
        ("2026-06-06 12:00", "2026-06-09 16:00", "2026-06-12 16:00"),  # a Saturday: whole days after it
        ("2026-06-07 23:00", "2026-06-09 16:00", "2026-06-12 16:00"),
        ("2025-12-23 11:30", "2025-12-30 11:30", "2026-01-06 11:30"),
        ("2024-03-27 09:00", "2024-04-03 09:00", "2024-04-08 09:00"),  # over the change to summer time
        ("2024-04-25 09:00", "2024-04-29 09:00", "2024-05-03 09:00"),
        ("2023-05-04 09:00", "2023-05-09 09:00", "2023-05-12 09:00"),
    ],
)
def test_deadlines_in_working_days(received: str, manual: str, dispensation: str) -> None:
    assert manual_due(danish(received)) == danish(manual)
    assert dispensation_due(danish(received)) == danish(dispensation)


def test_before_2020_the_law_gave_five_working_days_and_1_may_was_one() -> None:
    assert answer_due(danish("2019-04-30 10:00")) == danish("2019-05-07 10:00")
    assert answer_due(danish("2018-12-20 10:00")) == danish("2019-01-03 10:00")
    with pytest.raises(InvalidInput, match="no deadline 'manual'"):
        manual_due(danish("2019-04-30 10:00"))
    with pytest.raises(InvalidInput, match="No deadlines are held"):
        answer_due(danish("2008-12-31 10:00"))


def test_the_periods_of_the_law_follow_each_other_without_gap() -> None:
    for earlier, later in pairwise(legal_clock.law()["clock"]):
        end = date.fromisoformat(earlier["valid_to"])
        assert end + timedelta(days=1) == date.fromisoformat(later["valid_from"])
    assert legal_clock.law()["clock"][-1]["valid_to"] is None


def test_every_number_of_the_law_names_a_source() -> None:
    data = legal_clock.law()
    named = [rule["source"] for rule in data["holidays"]]
    named += [period[d]["source"] for period in data["clock"] for d in Deadline if period[d]]
    named += [rule["source"] for rules in data["reminders"].values() for rule in rules]
    named += [data["resend"]["source"], data["retention"]["source"]]
    assert set(named) <= set(data["sources"])


# ----------------------------------------------------------------------------------------------- holidays


NAMES_OF_THE_OTHER_PROGRAM = {"Pentecost": "Whit Sunday", "Pentecost Monday": "Whit Monday"} | {
    "Second Day of Christmas": "Second Christmas Day",
    "Workers' Day": "1 May",
}


@pytest.mark.parametrize("year", range(2015, 2041))
@pytest.mark.parametrize(("kind", "category"), [("public", "public"), ("not-counted", "optional")])
def test_days_off_agree_with_an_independent_library(year: int, kind: str, category: str) -> None:
    theirs = {
        (day, NAMES_OF_THE_OTHER_PROGRAM.get(name, name))
        for day, names in other_program.Denmark(years=year, categories=(category,), language="en_US").items()
        for name in names.split("; ")
    }
    if year < 2020:  # the rules of the register left out 1 May from 2020 only
        theirs.discard((date(year, 5, 1), "1 May"))
    assert {(h.day, h.name) for h in holidays(year) if h.kind == kind} == theirs


def test_easter_agrees_with_published_dates() -> None:
    published = {1818: (3, 22), 1943: (4, 25), 1981: (4, 19), 2000: (4, 23), 2008: (3, 23), 2038: (4, 25)}
    published |= {1700: (4, 11), 1954: (4, 18), 2049: (4, 18), 2076: (4, 19), 2285: (3, 22)}
    assert {year: (easter_sunday(year).month, easter_sunday(year).day) for year in published} == published


def test_easter_agrees_with_an_independent_library_over_centuries() -> None:
    from dateutil.easter import easter

    assert [easter_sunday(year) for year in range(1583, 2600)] == [easter(year) for year in range(1583, 2600)]


def test_a_year_outside_the_calendar_is_refused() -> None:
    with pytest.raises(InvalidInput, match="1582"):
        holidays(1582)


def test_great_prayer_day_is_a_holiday_until_2023_and_a_working_day_after() -> None:
    assert not is_working_day(date(2023, 5, 5))
    assert is_working_day(date(2024, 4, 26))


def test_a_day_may_be_a_holiday_twice() -> None:
    assert [h.code for h in holidays(2017) if h.day == date(2017, 6, 5)] == [
        "whit-monday",
        "constitution-day",
    ]


def test_the_next_working_day_is_after_the_day_itself() -> None:
    assert next_working_day(date(2026, 11, 24)) == date(2026, 11, 25)
    assert next_working_day(date(2026, 12, 23)) == date(2026, 12, 28)


NAIVE = datetime(2026, 6, 4, 15, 0)  # noqa: DTZ001  # no zone, on purpose
AWARE = danish("2026-06-04 15:00")


@pytest.mark.parametrize(
    "use",
    [
        lambda: answer_due(NAIVE),
        lambda: working_time_between(AWARE, NAIVE),
        lambda: working_time_between(NAIVE, AWARE),
        lambda: working_time_after(NAIVE, timedelta(0)),
        lambda: status(AWARE, NAIVE),
        lambda: status(AWARE, AWARE, answered_at=NAIVE),
        lambda: reminders(NAIVE),
    ],
)
def test_a_moment_without_zone_is_refused(use: Callable[[], object]) -> None:
    with pytest.raises(InvalidInput, match="time zone"):
        use()


def test_a_moment_is_no_day() -> None:
    with pytest.raises(InvalidInput, match="calendar day"):
        is_working_day(danish("2026-06-04 15:00"))


# -------------------------------------------------------------------------------------------- working time


@pytest.mark.parametrize(
    ("start", "end", "minutes"),
    [
        ("2026-06-02 08:00", "2026-06-02 09:30", 90),
        ("2026-06-02 05:00", "2026-06-02 20:00", 540),
        ("2026-06-04 15:00", "2026-06-08 08:00", 120),
        ("2026-06-05 00:00", "2026-06-08 00:00", 0),
        ("2026-03-27 15:00", "2026-03-30 08:00", 120),
        ("2026-10-23 15:00", "2026-10-26 08:00", 120),
        ("2025-12-23 16:00", "2026-01-05 07:00", 540 * 3),  # 29, 30 December and 2 January
        ("2026-06-08 08:00", "2026-06-04 15:00", -120),
    ],
)
def test_working_time_between(start: str, end: str, minutes: int) -> None:
    assert working_time_between(danish(start), danish(end)) == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("start", "minutes", "end"),
    [
        ("2026-06-08 08:00", -60, "2026-06-08 07:00"),
        ("2026-06-08 08:00", -61, "2026-06-04 15:59"),
        ("2026-06-08 07:00", -60, "2026-06-04 15:00"),
        ("2026-06-06 12:00", -540, "2026-06-04 07:00"),
        ("2026-06-04 16:00", 1, "2026-06-08 07:01"),
        ("2026-06-02 07:00", 1080, "2026-06-03 16:00"),
        ("2026-06-06 12:00", 0, "2026-06-06 12:00"),
    ],
)
def test_working_time_after(start: str, minutes: int, end: str) -> None:
    assert working_time_after(danish(start), timedelta(minutes=minutes)) == danish(end)


# Hypothesis wants bounds without zone
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2045, 12, 1), timezones=st.just(UTC))  # noqa: DTZ001  # bounds


@settings(max_examples=400, deadline=None)
@given(MOMENTS, st.sampled_from(Deadline))
def test_due_lies_in_working_hours_and_after_receipt(received: datetime, deadline: Deadline) -> None:
    at = due(received, deadline).astimezone(DENMARK)
    assert at >= received
    assert is_working_day(at.date())
    assert time(7) <= at.time() <= time(16)


@settings(max_examples=400, deadline=None)
@given(MOMENTS, st.timedeltas(timedelta(0), timedelta(days=4)), st.sampled_from(Deadline))
def test_who_is_asked_later_never_answers_earlier(
    received: datetime, gap: timedelta, deadline: Deadline
) -> None:
    assert due(received, deadline) <= due(received + gap, deadline)


@settings(max_examples=30, deadline=None)
@given(MOMENTS)
def test_the_deadline_is_where_a_watch_that_ticks_minute_by_minute_stops(moment: datetime) -> None:
    received = moment.replace(second=0, microsecond=0)
    off = {(1, 1), (5, 1), (6, 5), (12, 24), (12, 25), (12, 26), (12, 31)}
    church = set(other_program.Denmark(years=range(2020, 2047)))
    now, ticked = received, 0
    while ticked < 120:
        local = now.astimezone(DENMARK)
        day = local.date()
        works = local.weekday() < 5 and (day.month, day.day) not in off and day not in church
        ticked += works and 7 <= local.hour < 16
        now += timedelta(minutes=1)
    assert answer_due(received) == now


@settings(max_examples=300, deadline=None)
@given(MOMENTS)
def test_an_answer_always_has_two_working_hours(received: datetime) -> None:
    assert working_time_between(received, answer_due(received)) == timedelta(hours=2)


@settings(max_examples=300, deadline=None)
@given(MOMENTS, st.timedeltas(timedelta(microseconds=1), timedelta(hours=60)))
def test_going_forth_and_back_in_working_time_returns(moment: datetime, span: timedelta) -> None:
    there = working_time_after(moment, span)
    assert working_time_between(moment, there) == span
    back = working_time_after(there, -span)
    assert working_time_between(back, there) == span
    local = moment.astimezone(DENMARK)
    if is_working_day(local.date()) and time(7) < local.time() < time(16):
        assert back == moment


@settings(max_examples=200, deadline=None)
@given(
    MOMENTS, st.timedeltas(timedelta(0), timedelta(days=20)), st.timedeltas(timedelta(0), timedelta(days=9))
)
def test_working_time_adds_up(start: datetime, one: timedelta, two: timedelta) -> None:
    middle, end = start + one, start + one + two
    assert working_time_between(start, middle) + working_time_between(middle, end) == working_time_between(
        start, end
    )


# ----------------------------------------------------------------------------------- reminders and display


def test_an_owner_is_reminded_before_and_alarmed_from_the_deadline() -> None:
    found = reminders(danish("2026-06-04 15:00"))
    assert [(r.at.astimezone(DENMARK).strftime("%d %H:%M"), r.level) for r in found] == [
        ("08 07:00", "reminder"),
        ("08 07:45", "warning"),
        ("08 08:00", "alarm"),
        ("08 10:00", "alarm"),
    ]
    assert all(r.text and r.text_da and r.source in legal_clock.law()["sources"] for r in found)


@settings(max_examples=200, deadline=None)
@given(MOMENTS, st.sampled_from(Deadline))
def test_reminders_come_in_order_within_working_hours_and_the_alarm_at_the_deadline(
    received: datetime, deadline: Deadline
) -> None:
    found = reminders(received, deadline)
    assert [r.at for r in found] == sorted(r.at for r in found)
    assert [r.at for r in found if r.code == "due"] == [due(received, deadline)]
    assert all(is_working_day(r.at.astimezone(DENMARK).date()) and r.at >= received for r in found)


@pytest.mark.parametrize(
    ("now", "state", "left", "danish_words", "english_words"),
    [
        (
            "2026-06-04 15:20",
            "running",
            100,
            "1 t 40 min arbejdstid tilbage",
            "1 h 40 min of working time left",
        ),
        ("2026-06-05 12:00", "paused", 60, "tiden står stille", "stands still"),
        ("2026-06-08 07:59:30", "running", 0.5, "1 min arbejdstid tilbage", "1 min of working time left"),
        ("2026-06-08 08:00", "running", 0, "0 min arbejdstid tilbage", "0 min of working time left"),
        (
            "2026-06-08 09:30",
            "overdue",
            0,
            "siden 08.06.2026 kl. 08.00 (1 t 30",
            "08:00 (1 h 30",
        ),
    ],
)
def test_status_says_what_is_left(
    now: str, state: str, left: float, danish_words: str, english_words: str
) -> None:
    found = status(danish("2026-06-04 15:00"), danish(now))
    assert found.state is ClockState(state)
    assert found.time_left == timedelta(minutes=left)
    assert (found.overdue_since is not None) == (state == "overdue")
    assert danish_words in found.words("da")
    assert english_words in found.words("en")


def test_status_of_an_answer_in_time_and_too_late() -> None:
    received, now = danish("2026-06-04 15:00"), danish("2026-06-09 12:00")
    good = status(received, now, answered_at=danish("2026-06-08 08:00"))
    late = status(received, now, answered_at=danish("2026-06-08 08:20"))
    assert (good.state, good.overdue_by) == (ClockState.IN_TIME, timedelta(0))
    assert (late.state, late.overdue_by) == (ClockState.LATE, timedelta(minutes=20))
    assert "20 min" in late.words("da")


def test_the_clock_does_not_know_an_answer_that_is_still_to_come() -> None:
    found = status(
        danish("2026-06-04 15:00"), danish("2026-06-04 15:30"), answered_at=danish("2026-06-04 15:40")
    )
    assert found.state is ClockState.RUNNING
