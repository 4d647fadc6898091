"""The owner's clock: two hours that run on Danish weekdays from 7 to 16 (the LER act, section 10).

Asked at 13:30 he answers by 15:30; at 15:00 by 8:00 on the next weekday; in the evening or on a Sunday by
9:00 on the next weekday. An enquiry taken out for manual handling is answered within two weekdays.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

__all__ = ["ANSWER_TIME", "DENMARK", "answer_due", "is_weekday", "manual_due"]

DENMARK: Final = ZoneInfo("Europe/Copenhagen")
ANSWER_TIME: Final = timedelta(hours=2)
_OPENS, _CLOSES = time(7), time(16)
_MANUAL_WEEKDAYS = 2
_FIXED = ((1, 1), (5, 1), (6, 5), (12, 24), (12, 25), (12, 26), (12, 31))
_AROUND_EASTER = (-3, -2, 0, 1, 39, 49, 50)  # Maundy Thursday to Whit Monday, in days from Easter Sunday
_PRAYER_DAY, _LAST_PRAYER_YEAR = 26, 2023


@lru_cache(maxsize=64)
def _easter(year: int) -> date:
    """Return Easter Sunday of the Gregorian calendar (Meeus, Jones and Butcher)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (a + 11 * h) // 319
    r = (2 * e + 2 * i - k - h + m + 32) % 7
    month = (h - m + r + 90) // 25
    return date(year, month, (h - m + r + month + 19) % 32)


def is_weekday(day: date) -> bool:
    """Whether the clock runs: not on Saturdays, Sundays, holidays, 1 May, 5 June, 24 and 31 December."""
    if day.weekday() >= 5 or (day.month, day.day) in _FIXED:
        return False
    days = (day - _easter(day.year)).days
    return days not in _AROUND_EASTER and not (days == _PRAYER_DAY and day.year <= _LAST_PRAYER_YEAR)


def _next_weekday(day: date) -> date:
    day += timedelta(days=1)
    while not is_weekday(day):
        day += timedelta(days=1)
    return day


def answer_due(received_at: datetime) -> datetime:
    """Return when an enquiry must be answered.

    Parameters
    ----------
    received_at
        Aware moment at which the owner could fetch it.

    Returns
    -------
    Aware moment in Danish time.
    """
    local = received_at.astimezone(DENMARK)
    day, clock = local.date(), local.time()
    if not is_weekday(day) or clock >= _CLOSES:
        day, clock = _next_weekday(day), _OPENS
    start = datetime.combine(day, max(clock, _OPENS), DENMARK)
    closes = datetime.combine(day, _CLOSES, DENMARK)
    if start + ANSWER_TIME <= closes:
        return start + ANSWER_TIME
    opens = datetime.combine(_next_weekday(day), _OPENS, DENMARK)
    return opens + (ANSWER_TIME - (closes - start))


def manual_due(received_at: datetime) -> datetime:
    """Return when an enquiry that is handled by hand must be answered: two weekdays later, in UTC."""
    local = received_at.astimezone(DENMARK)
    day = local.date()
    for _ in range(_MANUAL_WEEKDAYS):
        day = _next_weekday(day)
    return datetime.combine(day, local.time(), DENMARK).astimezone(UTC).replace(microsecond=0)
