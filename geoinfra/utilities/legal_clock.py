"""The legal clock of a dig enquiry: when an owner must answer, and how long he has left.

The law counts in Danish time: two hours that run from 7 to 16 on Danish working days. An owner asked at
13:30 answers by 15:30; at 15:00 by 8:00 on the next working day; at night, on a Sunday or at 16:00 by 9:00,
two hours after work begins again. What is taken out for manual handling has two working days, an owner with a
dispensation five. Numbers, holidays and the dates from which they are valid are data:
``standards/utilities/law/denmark.json``, each with its source.

All functions are pure. Moments go in aware, in any time zone, and come out in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from geoinfra.errors import InvalidInput
from geoinfra.standards import standards_path

__all__ = [
    "DENMARK",
    "ClockState",
    "ClockStatus",
    "Deadline",
    "Holiday",
    "Reminder",
    "answer_due",
    "dispensation_due",
    "due",
    "easter_sunday",
    "holidays",
    "is_working_day",
    "law",
    "manual_due",
    "next_working_day",
    "reminders",
    "status",
    "working_time_after",
    "working_time_between",
]

DENMARK: Final = ZoneInfo("Europe/Copenhagen")
_NONE: Final = timedelta(0)
_DAY: Final = timedelta(days=1)


class Deadline(StrEnum):
    """Which of the law's deadlines an answer is under."""

    ANSWER = "answer"
    MANUAL = "manual"
    DISPENSATION = "dispensation"


@dataclass(frozen=True, slots=True)
class Holiday:
    """A day on which the clock stands still.

    Attributes
    ----------
    kind
        ``public``: a public holiday of Denmark; ``not-counted``: an ordinary day that the rules of the
        register leave out (1 May, 5 June, 24 and 31 December).
    source
        Key of ``sources`` in the data.
    """

    day: date
    code: str
    kind: str
    name: str
    name_da: str
    source: str


@dataclass(frozen=True, slots=True)
class Reminder:
    """A moment at which an owner who has not answered hears of it.

    Attributes
    ----------
    level
        ``reminder`` and ``warning`` before the deadline, ``alarm`` from it on.
    source
        Key of ``sources`` in the data.
    """

    at: datetime
    code: str
    level: str
    text: str
    text_da: str
    source: str


class ClockState(StrEnum):
    """Where one answer stands against its deadline."""

    RUNNING = "running"
    PAUSED = "paused"
    OVERDUE = "overdue"
    IN_TIME = "in-time"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class ClockStatus:
    """What a list or a banner shows of one deadline.

    Attributes
    ----------
    due_at
        UTC.
    time_left
        Working time until the deadline, nothing when it has passed or the answer is there.
    overdue_since
        The deadline, when it passed without an answer, else ``None``.
    overdue_by
        Working time since the deadline, until the answer where there is one.
    """

    deadline: Deadline
    state: ClockState
    due_at: datetime
    time_left: timedelta = _NONE
    overdue_since: datetime | None = None
    overdue_by: timedelta = _NONE

    def words(self, language: str = "da") -> str:
        """Return one line for people, in Danish time; `language` is ``da`` or ``en``."""
        danish = language == "da"
        local = self.due_at.astimezone(DENMARK)
        when = local.strftime("%d.%m.%Y kl. %H.%M" if danish else "%Y-%m-%d %H:%M")
        texts = _WORDS_DA if danish else _WORDS_EN
        span = self.time_left if self.overdue_by == _NONE else self.overdue_by
        return texts[self.state].format(when=when, span=_span(span, danish))


_WORDS_DA: Final = {
    ClockState.RUNNING: "Frist {when}; {span} arbejdstid tilbage.",
    ClockState.PAUSED: "Frist {when}; {span} tilbage, tiden står stille uden for 7-16 på hverdage.",
    ClockState.OVERDUE: "Overskredet siden {when} ({span} arbejdstid).",
    ClockState.IN_TIME: "Besvaret til tiden; fristen var {when}.",
    ClockState.LATE: "Besvaret for sent; fristen var {when}, overskredet med {span} arbejdstid.",
}
_WORDS_EN: Final = {
    ClockState.RUNNING: "Due {when}; {span} of working time left.",
    ClockState.PAUSED: "Due {when}; {span} left, the clock stands still outside 7-16 on working days.",
    ClockState.OVERDUE: "Overdue since {when} ({span} of working time).",
    ClockState.IN_TIME: "Answered in time; it was due {when}.",
    ClockState.LATE: "Answered late; it was due {when}, {span} of working time before.",
}


def _span(span: timedelta, danish: bool) -> str:
    """Write a span in hours and minutes; a started minute counts."""
    minutes = -(-span // timedelta(minutes=1))
    hours, rest = divmod(minutes, 60)
    hour = "t" if danish else "h"
    return f"{hours} {hour} {rest} min" if hours else f"{rest} min"


@lru_cache(maxsize=1)
def law() -> Mapping[str, Any]:
    """Return the data of the Danish rules (``standards/utilities/law/denmark.json``)."""
    document: Mapping[str, Any] = orjson.loads(
        standards_path("utilities", "law", "denmark.json").read_bytes()
    )
    return document


# ------------------------------------------------------------------------------------------ working days


def easter_sunday(year: int) -> date:
    """Return Easter Sunday of the Gregorian calendar (the algorithm of Meeus, Jones and Butcher)."""
    if not 1583 <= year <= 9998:
        raise InvalidInput(f"The calendar is known for the years 1583 to 9998, not {year}.")
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    f = (b + 8) // 25
    g = (b - f + 1) // 3
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)


@lru_cache(maxsize=256)
def holidays(year: int) -> tuple[Holiday, ...]:
    """Return the days of a year on which the clock stands still beside Saturdays and Sundays, in order.

    A day may be there twice: 5 June 2017 was both Constitution Day and Whit Monday.
    """
    easter = easter_sunday(year)
    found = []
    for rule in law()["holidays"]:
        day = easter + rule["easter"] * _DAY if "easter" in rule else date(year, rule["month"], rule["day"])
        if rule.get("valid_from", "") <= day.isoformat() <= rule.get("valid_to", "9999"):
            names = rule["en"], rule["da"]
            found.append(Holiday(day, rule["code"], rule["kind"], *names, rule["source"]))
    return tuple(sorted(found, key=lambda holiday: holiday.day))


@lru_cache(maxsize=256)
def _days_off(year: int) -> frozenset[date]:
    return frozenset(holiday.day for holiday in holidays(year))


def is_working_day(day: date) -> bool:
    """Whether the clock runs on a Danish calendar day: no Saturday, no Sunday, none of :func:`holidays`."""
    if isinstance(day, datetime):
        raise InvalidInput("Give a Danish calendar day, not a moment.")
    return day.weekday() < 5 and day not in _days_off(day.year)


def next_working_day(day: date) -> date:
    """Return the first working day after `day`."""
    day += _DAY
    while not is_working_day(day):
        day += _DAY
    return day


def _previous_working_day(day: date) -> date:
    day -= _DAY
    while not is_working_day(day):
        day -= _DAY
    return day


# ------------------------------------------------------------------------------------------ working time


@dataclass(frozen=True, slots=True)
class _Rules:
    """One period of the law."""

    valid_from: date
    opens: time
    closes: time
    deadlines: Mapping[str, Mapping[str, Any] | None]

    def open_at(self, day: date) -> datetime:
        return datetime.combine(day, self.opens, DENMARK)

    def close_at(self, day: date) -> datetime:
        return datetime.combine(day, self.closes, DENMARK)


@lru_cache(maxsize=1)
def _periods() -> tuple[_Rules, ...]:
    return tuple(
        _Rules(
            date.fromisoformat(period["valid_from"]),
            time.fromisoformat(period["opens"]),
            time.fromisoformat(period["closes"]),
            {str(deadline): period[deadline] for deadline in Deadline},
        )
        for period in law()["clock"]
    )


def _rules_on(day: date) -> _Rules:
    for rules in reversed(_periods()):
        if rules.valid_from <= day:
            return rules
    first = _periods()[0].valid_from
    raise InvalidInput(f"No deadlines are held for {day}.", hint=f"They are known from {first} on.")


def _local(moment: datetime) -> datetime:
    """Return a moment in Danish time, or refuse one without time zone."""
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise InvalidInput("A moment needs a time zone.", hint="Write it as 2026-06-03T09:00:00+02:00.")
    return moment.astimezone(DENMARK)


def working_time_after(moment: datetime, span: timedelta) -> datetime:
    """Return the moment at which `span` of working time has passed; a negative span looks back.

    Parameters
    ----------
    moment
        Aware.
    span
        Working time; nothing gives `moment` itself back.

    Returns
    -------
    UTC. A span that ends with the working day ends at its close, not at the next opening.
    """
    local = _local(moment)
    rules = _rules_on(local.date())
    if span > _NONE:
        return _forward(local, span, rules).astimezone(UTC)
    if span < _NONE:
        return _back(local, -span, rules).astimezone(UTC)
    return local.astimezone(UTC)


def _forward(local: datetime, span: timedelta, rules: _Rules) -> datetime:
    day = local.date()
    if not is_working_day(day) or local >= rules.close_at(day):
        day = next_working_day(day)
    start = max(local, rules.open_at(day))
    while start + span > rules.close_at(day):
        span -= rules.close_at(day) - start
        day = next_working_day(day)
        start = rules.open_at(day)
    return start + span


def _back(local: datetime, span: timedelta, rules: _Rules) -> datetime:
    day = local.date()
    if not is_working_day(day) or local <= rules.open_at(day):
        day = _previous_working_day(day)
    end = min(local, rules.close_at(day))
    while end - span < rules.open_at(day):
        span -= end - rules.open_at(day)
        day = _previous_working_day(day)
        end = rules.close_at(day)
    return end - span


def working_time_between(start: datetime, end: datetime) -> timedelta:
    """Return the working time from `start` to `end`, both aware; negative when `end` is the earlier."""
    first, last = _local(start), _local(end)
    if end < start:
        return -working_time_between(end, start)
    rules = _rules_on(first.date())
    total, day = _NONE, first.date()
    while day <= last.date():
        if is_working_day(day):
            opens, closes = rules.open_at(day), rules.close_at(day)
            total += max(_NONE, min(last, closes) - max(first, opens))
        day += _DAY
    return total


# --------------------------------------------------------------------------------------------- deadlines


def due(received_at: datetime, deadline: Deadline) -> datetime:
    """Return when an answer is due under the rules in force when the enquiry was received.

    Parameters
    ----------
    received_at
        Aware moment at which the owner could fetch the enquiry.

    Returns
    -------
    UTC; within working hours, the close of the day included.

    Raises
    ------
    InvalidInput
        The moment has no time zone, or the law had no such deadline then.
    """
    local = _local(received_at)
    rules = _rules_on(local.date())
    rule = rules.deadlines[deadline]
    if rule is None:
        raise InvalidInput(f"The rules had no deadline '{deadline}' on {local.date()}.")
    if "working_minutes" in rule:
        return working_time_after(local, timedelta(minutes=rule["working_minutes"]))
    return _after_working_days(local, rule["working_days"], rules).astimezone(UTC)


def _after_working_days(local: datetime, days: int, rules: _Rules) -> datetime:
    """Return the same time of day so many working days later, moved into working hours.

    What is received on a day off counts as received at its end: the days after it are whole.
    """
    day, clock = local.date(), local.time()
    if not is_working_day(day):
        clock = rules.closes
    for _ in range(days):
        day = next_working_day(day)
    return datetime.combine(day, min(max(clock, rules.opens), rules.closes), DENMARK)


def answer_due(received_at: datetime) -> datetime:
    """Return when an enquiry must be answered: two working hours; five working days before 2020."""
    return due(received_at, Deadline.ANSWER)


def manual_due(received_at: datetime) -> datetime:
    """Return when an enquiry taken out for manual handling must be answered: two working days."""
    return due(received_at, Deadline.MANUAL)


def dispensation_due(received_at: datetime) -> datetime:
    """Return when an owner with a dispensation must answer the excavator: five working days."""
    return due(received_at, Deadline.DISPENSATION)


def reminders(received_at: datetime, deadline: Deadline = Deadline.ANSWER) -> tuple[Reminder, ...]:
    """Return when an owner who does not answer is reminded and alarmed, in order of time."""
    at = due(received_at, deadline)
    found = []
    for rule in law()["reminders"][deadline]:
        moment = working_time_after(at, timedelta(minutes=rule["working_minutes_from_due"]))
        if moment >= received_at:
            found.append(
                Reminder(moment, rule["code"], rule["level"], rule["en"], rule["da"], rule["source"])
            )
    return tuple(sorted(found, key=lambda reminder: reminder.at))


def status(
    received_at: datetime,
    now: datetime,
    deadline: Deadline = Deadline.ANSWER,
    *,
    answered_at: datetime | None = None,
) -> ClockStatus:
    """Return where an answer stands at `now`.

    Parameters
    ----------
    answered_at
        When the final answer came, if it has.
    """
    at, running = due(received_at, deadline), _is_open(now)
    if answered_at is not None and _local(answered_at) <= now:
        if answered_at <= at:
            return ClockStatus(deadline, ClockState.IN_TIME, at)
        by = working_time_between(at, answered_at)
        return ClockStatus(deadline, ClockState.LATE, at, overdue_by=by)
    if now > at:
        return ClockStatus(deadline, ClockState.OVERDUE, at, _NONE, at, working_time_between(at, now))
    left = working_time_between(max(now, received_at), at)
    state = ClockState.RUNNING if running else ClockState.PAUSED
    return ClockStatus(deadline, state, at, left)


def _is_open(moment: datetime) -> bool:
    local = _local(moment)
    rules = _rules_on(local.date())
    return is_working_day(local.date()) and rules.opens <= local.time() <= rules.closes
