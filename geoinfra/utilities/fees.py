"""What a dig enquiry costs: a rate for each square metre, a yearly cap, and no invoice for small sums.

Rates and their validity are data (``standards/utilities/law/fees.json``). Money is ``Decimal`` kroner; the
fee of one enquiry is rounded to whole øre, half an øre upwards, after the cap. There is no VAT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

import orjson

from geoinfra.errors import InvalidInput
from geoinfra.standards import standards_path

__all__ = ["Fee", "FeePeriod", "fee_periods", "preview", "preview_parts"]

_ORE: Final = Decimal("0.01")
_ZERO: Final = Decimal(0)
_LARGEST_M2: Final = Decimal(10) ** 12


@dataclass(frozen=True, slots=True)
class FeePeriod:
    """One rate and the days on which it holds; `valid_to` is ``None`` for the present one."""

    valid_from: date
    valid_to: date | None
    rate_kr_per_m2: Decimal
    cap_kr_per_year: Decimal
    not_invoiced_below_kr_per_year: Decimal
    source: str


@dataclass(frozen=True, slots=True)
class Fee:
    """The fee of one enquiry and what it makes of the year.

    Attributes
    ----------
    amount_kr
        What this enquiry adds, whole øre.
    uncapped_kr
        What it would be without cap and re-send, whole øre.
    year_total_kr
        All fees of the calendar year with this one.
    capped
        Whether the yearly cap made it smaller.
    invoiced
        Whether the year is invoiced at all, as it stands.
    text, text_da
        One or two sentences for the person who files.
    """

    amount_kr: Decimal
    uncapped_kr: Decimal
    year_total_kr: Decimal
    capped: bool
    invoiced: bool
    period: FeePeriod
    text: str
    text_da: str


@lru_cache(maxsize=1)
def _data() -> Mapping[str, Any]:
    document: Mapping[str, Any] = orjson.loads(standards_path("utilities", "law", "fees.json").read_bytes())
    return document


@lru_cache(maxsize=1)
def fee_periods() -> tuple[FeePeriod, ...]:
    """Return the known rates, oldest first."""
    return tuple(
        FeePeriod(
            date.fromisoformat(period["valid_from"]),
            date.fromisoformat(period["valid_to"]) if period["valid_to"] else None,
            Decimal(period["rate_kr_per_m2"]),
            Decimal(period["cap_kr_per_year"]),
            Decimal(period["not_invoiced_below_kr_per_year"]),
            period["source"],
        )
        for period in _data()["periods"]
    )


def preview(
    area_m2: Decimal | float,
    on: date,
    already_this_year: Decimal | float = _ZERO,
    *,
    resend: bool = False,
    planning: bool = False,
) -> Fee:
    """Return what an enquiry would cost.

    Parameters
    ----------
    area_m2
        Area of the dig polygon; for a split area call once a part and add up the year.
    on
        Danish day of filing; it decides the rate and the calendar year.
    already_this_year
        Fees of the filer in that calendar year until now, DKK.
    resend
        Whether it is a permitted re-send, which is free.
    planning
        Whether it is for planning: owners are not asked, and it is free.

    Raises
    ------
    InvalidInput
        A number is negative or not finite, or no rate is known for the day.
    """
    area = _number(area_m2, "The area", _LARGEST_M2)
    already = _number(already_this_year, "The sum of the year", _LARGEST_M2)
    period = _period_on(on)
    uncapped = (area * period.rate_kr_per_m2).quantize(_ORE, ROUND_HALF_UP)
    room = max(_ZERO, period.cap_kr_per_year - already)
    free = "resend" if resend else "planning" if planning else ""
    amount = _ZERO if free else min(uncapped, room)
    return _fee(area, uncapped, amount.quantize(_ORE, ROUND_HALF_UP), already, period, free)


def preview_parts(
    areas_m2: Sequence[Decimal | float],
    on: date,
    already_this_year: Decimal | float = _ZERO,
    *,
    resend: bool = False,
    planning: bool = False,
) -> tuple[Fee, tuple[Decimal, ...]]:
    """Return what an area costs that is filed in parts, and the fee of each part; see :func:`preview`."""
    year, parts = _number(already_this_year, "The sum of the year", _LARGEST_M2), []
    for area_m2 in areas_m2:
        parts.append(preview(area_m2, on, year, resend=resend, planning=planning))
        year += parts[-1].amount_kr
    if len(parts) == 1:
        return parts[0], (parts[0].amount_kr,)
    amounts = tuple(part.amount_kr for part in parts)
    area = sum((_number(area, "The area", _LARGEST_M2) for area in areas_m2), _ZERO)
    uncapped = sum((part.uncapped_kr for part in parts), _ZERO)
    free = "resend" if resend else "planning" if planning else ""
    whole = sum(amounts, _ZERO)
    return _fee(area, uncapped, whole, year - whole, _period_on(on), free), amounts


def _fee(
    area: Decimal, uncapped: Decimal, amount: Decimal, already: Decimal, period: FeePeriod, free: str
) -> Fee:
    capped = not free and amount < uncapped
    total = (already + amount).quantize(_ORE, ROUND_HALF_UP)
    invoiced = total >= period.not_invoiced_below_kr_per_year
    texts = [
        _words(language, area, uncapped, amount, total, period, free, capped, invoiced)
        for language in ("en", "da")
    ]
    return Fee(amount, uncapped, total, capped, invoiced, period, *texts)


def _number(value: Decimal | float, what: str, largest: Decimal) -> Decimal:
    """Return a number as it is written, or refuse what is none."""
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:
        raise InvalidInput(f"{what} is not a number.") from None
    if not number.is_finite() or not _ZERO <= number <= largest:
        raise InvalidInput(f"{what} must be a number from 0 to {largest:.0e}.")
    return number


def _period_on(on: date) -> FeePeriod:
    for period in fee_periods():
        if period.valid_from <= on and (period.valid_to is None or on <= period.valid_to):
            return period
    raise InvalidInput(
        f"No fee is known for {on}.", hint=f"Fees are known from {fee_periods()[0].valid_from} on."
    )


def _words(
    language: str,
    area: Decimal,
    uncapped: Decimal,
    amount: Decimal,
    total: Decimal,
    period: FeePeriod,
    free: str,
    capped: bool,
    invoiced: bool,
) -> str:
    keys = [free] if free else ["fee", "capped"] if capped else ["fee"]
    keys.append("invoiced" if invoiced else "not-invoiced")
    sentences = []
    for key in keys:
        shown = uncapped if key == "fee" else amount
        sentences.append(
            _data()["words"][key][language].format(
                area=_written(area.quantize(Decimal(1), ROUND_HALF_UP), language),
                rate=_written(period.rate_kr_per_m2, language),
                amount=_written(shown, language),
                cap=_written(period.cap_kr_per_year, language),
                total=_written(total, language),
                least=_written(period.not_invoiced_below_kr_per_year, language),
            )
        )
    return " ".join(sentences)


def _written(number: Decimal, language: str) -> str:
    """Write a number as the language does: 1.234,56 in Danish, 1,234.56 in English."""
    text = f"{number:,}"
    return text.translate(str.maketrans(",.", ".,")) if language == "da" else text
