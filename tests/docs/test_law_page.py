"""The page on law and rules says the numbers that the code uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from geoinfra.utilities.fees import fee_periods
from geoinfra.utilities.filing import EnquiryKind
from geoinfra.utilities.legal_clock import law
from geoinfra.utilities.precautions import precaution_rules

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "law.md").read_text("utf-8")


def test_every_precaution_has_its_row_with_level_and_source() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    for rule in precaution_rules():
        row = next(line for line in rows if line.startswith(f"| `{rule.code}` | {rule.level} |"))
        assert row.endswith(f"| `{rule.source}` |")
        for name in ("within_m", "beyond_m"):
            assert name not in rule.when or f"{name.removesuffix('_m')} {rule.when[name]:g} m" in row


def test_every_fee_period_has_its_row() -> None:
    for period in fee_periods():
        end = str(period.valid_to) if period.valid_to else ""
        cells = (period.valid_from, end, period.rate_kr_per_m2, f"{period.cap_kr_per_year:,}")
        row = f"| {' | '.join(map(str, cells))} | {period.not_invoiced_below_kr_per_year} |"
        assert row.replace("|  |", "| |") in PAGE


@pytest.mark.parametrize("kind", list(EnquiryKind))
def test_every_kind_of_enquiry_is_there(kind: EnquiryKind) -> None:
    assert f"| `{kind}` |" in PAGE


def test_dates_and_choices_of_the_law_are_there() -> None:
    assert f"at most {law()['emergency']['start_at_most_days_ago']} days ago" in PAGE
    assert law()["resend"]["within_months"] == 6
    assert "half a year of creation" in PAGE
    assert law()["retention"]["public_display_years"] == 10
    minutes = [rule["working_minutes_from_due"] for rule in law()["reminders"]["answer"]]
    assert minutes == [-60, -15, 0, 120]
    assert "when 60 and 15 minutes are left" in PAGE
