"""The fee of a dig enquiry against sums worked out by hand."""

from __future__ import annotations

import math
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoinfra.errors import InvalidInput
from geoinfra.utilities.fees import fee_periods, preview

TODAY = date(2026, 11, 24)


@pytest.mark.parametrize(
    ("area", "on", "already", "amount", "total", "capped", "invoiced"),
    [
        ("0", TODAY, "0", "0.00", "0.00", False, False),
        ("2000", TODAY, "0", "14.00", "14.00", False, False),
        ("250000", TODAY, "0", "1750.00", "1750.00", False, True),
        ("14285.72", TODAY, "0", "100.00", "100.00", False, True),
        ("14285", TODAY, "0", "100.00", "100.00", False, True),  # 99.995 is rounded upwards
        ("14284", TODAY, "0", "99.99", "99.99", False, False),
        ("0.7", TODAY, "0", "0.00", "0.00", False, False),  # 0.0049
        ("0.715", TODAY, "0", "0.01", "0.01", False, False),  # 0.005005
        ("1000", TODAY, "93", "7.00", "100.00", False, True),
        ("1000", TODAY, "92.99", "7.00", "99.99", False, False),
        ("250000", TODAY, "165000", "1000.00", "166000.00", True, True),
        ("250000", TODAY, "164250", "1750.00", "166000.00", False, True),
        ("250000", TODAY, "166000", "0.00", "166000.00", True, True),
        ("250000", TODAY, "170000", "0.00", "170000.00", True, True),
        ("2000", date(2022, 12, 31), "0", "22.00", "22.00", False, False),
        ("2000", date(2023, 1, 1), "0", "14.00", "14.00", False, False),
        ("250000", date(2017, 1, 1), "103000", "1000.00", "104000.00", True, True),
    ],
)
def test_the_fee_is_area_times_rate_up_to_the_cap(
    area: str, on: date, already: str, amount: str, total: str, capped: bool, invoiced: bool
) -> None:
    fee = preview(Decimal(area), on, Decimal(already))
    assert (str(fee.amount_kr), str(fee.year_total_kr)) == (amount, total)
    assert (fee.capped, fee.invoiced) == (capped, invoiced)


def test_the_words_show_the_sum_in_both_languages() -> None:
    fee = preview(123456.78, TODAY, Decimal("900"))
    assert fee.text.startswith("123,457 m² × DKK 0.007 = DKK 864.20, no VAT.")
    assert fee.text_da.startswith("123.457 m² × 0,007 kr. = 864,20 kr. uden moms.")
    assert "DKK 1,764.20, invoiced each quarter" in fee.text
    assert "1.764,20 kr. og faktureres kvartalsvis" in fee.text_da


def test_the_words_say_when_no_invoice_comes_and_when_the_cap_is_reached() -> None:
    small, large = preview(2000, TODAY), preview(250_000, TODAY, 165_000)
    assert "below DKK 100 a year no invoice" in small.text
    assert "under 100 kr. om året sendes der ingen faktura" in small.text_da
    assert "DKK 1,750.00" in large.text
    assert "cap of DKK 166,000 is reached: the enquiry costs DKK 1,000.00" in large.text
    assert "loft på 166.000 kr. er nået: forespørgslen koster 1.000,00 kr." in large.text_da


def test_a_resend_is_free() -> None:
    fee = preview(250_000, TODAY, Decimal("14"), resend=True)
    assert (fee.amount_kr, fee.year_total_kr, fee.capped) == (0, 14, False)
    assert "gratis" in fee.text_da
    assert "free" in fee.text


@pytest.mark.parametrize("bad", [-1, math.nan, math.inf, Decimal("NaN"), Decimal("Infinity"), 1e13, -0.1])
def test_what_is_no_area_is_refused(bad: float) -> None:
    with pytest.raises(InvalidInput, match="The area"):
        preview(bad, TODAY)
    with pytest.raises(InvalidInput, match="sum of the year"):
        preview(1, TODAY, bad)


def test_a_day_without_known_fee_is_refused() -> None:
    with pytest.raises(InvalidInput, match="No fee is known for 2016-12-31"):
        preview(1, date(2016, 12, 31))


def test_the_periods_follow_each_other_without_gap() -> None:
    for earlier, later in pairwise(fee_periods()):
        assert earlier.valid_to is not None
        assert earlier.valid_to + timedelta(days=1) == later.valid_from
    assert fee_periods()[-1].valid_to is None


CENTS = st.decimals(0, 200_000, places=2)


@given(st.decimals(0, 250_000, places=2), CENTS)
def test_the_fee_agrees_with_exact_fractions(area: Decimal, already: Decimal) -> None:
    exact = Fraction(area) * Fraction(7, 1000)
    room = max(Fraction(0), Fraction(166_000) - Fraction(already))
    fee = preview(area, TODAY, already)
    assert abs(Fraction(fee.amount_kr) - min(exact, room)) <= Fraction(1, 200)
    assert fee.year_total_kr <= max(Decimal(166_000), already)


@given(st.lists(st.decimals(0, 250_000, places=1), max_size=200))
def test_a_year_of_enquiries_never_passes_the_cap(areas: list[Decimal]) -> None:
    total = Decimal(0)
    for area in areas:
        total = preview(area, TODAY, total).year_total_kr
    assert total <= 166_000
