"""Rules of a damage report, its tables, and the protection of the counts."""

from __future__ import annotations

import csv
import io
from collections import Counter
from datetime import date, timedelta
from typing import Any

import pytest
from damage_example import DAMAGE
from hypothesis import given, settings
from hypothesis import strategies as st

from geoinfra.errors import InvalidInput, TooLarge, UnreadableFile
from geoinfra.utilities import damages as module
from geoinfra.utilities.damage_statistics import JOINED, damage_statistics, joined, write_statistics
from geoinfra.utilities.damages import (
    MEMBERS,
    Damage,
    Party,
    damage_law,
    duty_year,
    last_day,
    read_damages,
    reminder_days,
    write_damages,
)

TODAY = date(2026, 2, 10)


def test_the_published_example_is_understood() -> None:
    found = Damage.from_document(DAMAGE, TODAY)
    assert (found.easting_m, found.northing_m) == (575220.924, 6224761.471)
    assert (found.party, found.day, found.year) == (Party.UNKNOWN, date(2019, 9, 12), 2019)
    assert (found.supply, found.causes, found.repair_dkk) == ("10", (1, 2), 20000.0)


def test_typed_values_say_the_same_as_text() -> None:
    typed = {
        **DAMAGE,
        "xKoordinat": 575220.924,
        "yKoordinat": 6224761.471,
        "skadevolderType": 2,
        "skadesDatoUkendt": False,
        "skadesDato": "2019-09-12",
        "forsyningsart": 10,
        "aarsag": [1, 2],
        "skadevolderCvr": None,
        "omfangFunktionsevne": 0,
    }
    assert Damage.from_document(typed, TODAY) == Damage.from_document(DAMAGE, TODAY)


@pytest.mark.parametrize(
    ("member", "changes"),
    [
        ("xKoordinat", {"xKoordinat": "nan"}),
        ("xKoordinat", {"xKoordinat": float("inf")}),
        ("xKoordinat", {"xKoordinat": "1_000"}),
        ("xKoordinat", {"xKoordinat": "５７５２２０"}),
        ("xKoordinat", {"xKoordinat": True}),
        ("xKoordinat", {"xKoordinat": "6224761.471", "yKoordinat": "575220.924"}),
        ("xKoordinat", {"xKoordinat": "12.5", "yKoordinat": "55.6"}),
        ("yKoordinat", {"yKoordinat": ""}),
        ("projektion", {"projektion": "EPSG:4326"}),
        ("skadevolderType", {"skadevolderType": "3"}),
        ("skadevolderType", {"skadevolderType": None}),
        ("skadevolderCvr", {"skadevolderType": 0}),
        ("skadevolderCvr", {"skadevolderType": 0, "skadevolderCvr": "123"}),
        ("skadevolderCvr", {"skadevolderType": 1, "skadevolderCvr": "10000009"}),
        ("skadesDato", {"skadesDato": ""}),
        ("skadesDato", {"skadesDato": "31-02-2019"}),
        ("skadesDato", {"skadesDato": "11-02-2026"}),
        ("skadesDato", {"skadesDato": "31-12-1999"}),
        ("skadesDato", {"skadesDatoUkendt": "true"}),
        ("skadesDatoUkendt", {"skadesDatoUkendt": "måske"}),
        ("year", {"year": 2020}),
        ("year", {"skadesDato": "", "skadesDatoUkendt": True, "year": 2027}),
        ("forsyningsart", {"forsyningsart": "77"}),
        ("forsyningsartAnden", {"forsyningsart": "99"}),
        ("forsyningsartAnden", {"forsyningsartAnden": "brint"}),
        ("lerNummer", {"lerNummer": "2" * 21}),
        ("lerNummer", {"lerNummer": "a\nb"}),
        ("omfangFunktionsevne", {"omfangFunktionsevne": "-1"}),
        ("omfangNaermiljoe", {"omfangNaermiljoe": "mange"}),
        ("omfangOmkostningUdbedring", {"omfangOmkostningUdbedring": "1e6"}),
        ("aarsag", {"aarsag": "a"}),
        ("aarsag", {"aarsag": [0]}),
        ("aarsag", {"aarsag": [100]}),
        ("aarsag", {"aarsag": {"a": 1}}),
        ("aarsag", {"aarsag": list(range(1, 22))}),
        ("bemaerkning", {"bemaerkning": "x" * 4001}),
        ("bemaerkning", {"bemaerkning": "a\x00b"}),
        ("bemaerkning", {"bemaerkning": "a\ud800"}),
        ("script", {"script": "x"}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_broken_rule_names_its_member_in_both_languages(member: str, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        Damage.from_document({**DAMAGE, **changes}, TODAY)
    told = refused.value.details
    assert told["member"] == member
    assert refused.value.message.startswith(member)
    assert told["message_da"].startswith(member)
    assert refused.value.message != told["message_da"]


def test_a_swapped_axis_order_is_named() -> None:
    with pytest.raises(InvalidInput) as refused:
        Damage.from_document({**DAMAGE, "xKoordinat": "6224761", "yKoordinat": "575220"}, TODAY)
    assert "swapped" in refused.value.hint


def test_a_refusal_shows_no_markup_of_the_sender() -> None:
    with pytest.raises(InvalidInput) as refused:
        Damage.from_document({**DAMAGE, "<script>alert(1)</script>": "x"}, TODAY)
    assert "<" not in refused.value.message + refused.value.details["message_da"]


@pytest.mark.parametrize(
    ("today", "year"),
    [
        (date(2026, 1, 1), 2025),
        (date(2026, 2, 28), 2025),
        (date(2026, 3, 1), 2026),
        (date(2024, 2, 29), 2023),
        (date(2024, 3, 1), 2024),
    ],
)
def test_a_damage_of_an_unknown_day_counts_for_the_year_that_is_due(today: date, year: int) -> None:
    unknown = {**DAMAGE, "skadesDato": "", "skadesDatoUkendt": "TRUE"}
    assert Damage.from_document(unknown, today).year == duty_year(today) == year
    assert Damage.from_document({**unknown, "year": "2021"}, today).year == 2021


@pytest.mark.parametrize("year", range(2000, 2100))
def test_the_last_day_is_the_end_of_february(year: int) -> None:
    assert last_day(year) + timedelta(days=1) == date(year + 1, 3, 1)
    assert list(reminder_days(year)) == sorted(reminder_days(year))
    assert reminder_days(year)[-1] < last_day(year)


def test_every_part_of_the_data_names_a_source() -> None:
    law = damage_law()
    named = [law[part]["source"] for part in ("deadline", "earliest_day", "causes", "texts", "statistics")]
    named += [one["source"] for part in ("parties", "supplies") for one in law[part]]
    assert {*named, law["deadline"]["remind_source"]} <= set(law["sources"])


# --- Tables

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("=+-@'\";,\n"), max_size=60)


@st.composite
def made(draw: st.DrawFn) -> Damage:
    day = draw(st.none() | st.dates(date(2000, 1, 1), TODAY))
    supply = draw(st.sampled_from([one["number"] for one in damage_law()["supplies"]]))
    company = draw(st.booleans())
    amounts = st.none() | st.integers(0, 10**9).map(lambda number: number / 1000)
    other = (draw(texts).replace("\n", " ").strip()[:50].strip() or "x") if supply == "99" else ""
    document = {
        "xKoordinat": draw(st.integers(450_000_000, 880_000_000)) / 1000,
        "yKoordinat": draw(st.integers(6_060_000_000, 6_390_000_000)) / 1000,
        "skadevolderType": 0 if company else draw(st.sampled_from([1, 2])),
        "skadevolderCvr": "10000009" if company else "",
        "skadesDato": day.isoformat() if day else "",
        "skadesDatoUkendt": day is None,
        "year": day.year if day else draw(st.integers(2000, TODAY.year)),
        "forsyningsart": supply,
        "forsyningsartAnden": other,
        "omfangFunktionsevne": draw(amounts),
        "omfangOmkostningUdbedring": draw(amounts),
        "aarsag": draw(st.lists(st.integers(1, 99), max_size=20)),
        "bemaerkning": draw(texts),
    }
    return Damage.from_document(document, TODAY)


@settings(max_examples=150, deadline=None)
@given(st.lists(made(), max_size=6))
def test_documents_and_tables_come_back_as_they_were(found: list[Damage]) -> None:
    assert [Damage.from_document(one.to_document(), TODAY) for one in found] == found
    table = write_damages(one.to_document() for one in found)
    assert [row for _, row in read_damages(table.encode(), TODAY)] == found


@settings(max_examples=60, deadline=None)
@given(made())
def test_no_cell_of_a_table_is_a_formula(damage: Damage) -> None:
    cells = next(csv.reader(io.StringIO(write_damages([damage.to_document()]).partition("\r\n")[2])))
    for cell in cells:
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"))


def test_a_danish_excel_table_has_decimal_commas_and_lines_are_told() -> None:
    text = (
        "\ufeffforsyningsart;xKoordinat;yKoordinat;skadevolderType;skadesDato;bemaerkning\r\n"
        '5;575220,92;6224761,47;2;12-09-2019;"to\r\nlinjer"\r\n'
        "\r\n"
        "5;1;6224761,47;2;12-09-2019;\r\n"
        "5;575220,92;6224761,47;2;12-09-2019\r\n"
    )
    rows = list(read_damages(text.encode(), TODAY))
    assert [line for line, _ in rows] == [2, 5, 6]
    good, outside, short = (row for _, row in rows)
    assert isinstance(good, Damage)
    assert (good.easting_m, good.remark) == (575220.92, "to\r\nlinjer")
    assert isinstance(outside, InvalidInput)
    assert outside.details["member"] == "xKoordinat"
    assert isinstance(short, InvalidInput)
    assert "5 cells" in short.message


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", InvalidInput),
        (b"\xff\xfe\x00", UnreadableFile),
        (b"PK\x03\x04", InvalidInput),
        (b"xKoordinat,yKoordinat,skadevolderType\n", InvalidInput),
        (b"xKoordinat,yKoordinat,skadevolderType,forsyningsart,xKoordinat\n", InvalidInput),
        (b'xKoordinat,yKoordinat,skadevolderType,forsyningsart\n"1', UnreadableFile),
        (b"xKoordinat,yKoordinat,skadevolderType,forsyningsart\n" + b"a" * 200_000, UnreadableFile),
        (",".join(MEMBERS).encode() + b",<b>x</b>\n", InvalidInput),
    ],
    ids=range(8),
)
def test_what_is_no_table_of_damages_is_refused(content: bytes, error: type[Exception]) -> None:
    with pytest.raises(error) as refused:
        list(read_damages(content, TODAY))
    assert "<" not in str(refused.value)


def test_a_table_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 2)
    table = write_damages([Damage.from_document(DAMAGE, TODAY).to_document()] * 3)
    with pytest.raises(TooLarge):
        list(read_damages(table.encode(), TODAY))


# --- Counts


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 30), max_size=8))
def test_joined_groups_add_up_and_none_is_small(counts: dict[str, int]) -> None:
    total = sum(counts.values())
    if total < 5:
        return
    shown = joined(counts, 5)
    assert sum(shown.values()) == total
    assert min(shown.values()) >= 5
    hidden = [code for code in counts if code not in shown]
    assert len(hidden) != 1  # a group alone would be had by subtraction
    assert all(shown[code] == counts[code] for code in shown if code != JOINED)


def of(**changes: Any) -> Damage:
    return Damage.from_document({**DAMAGE, "skadesDato": "12-09-2024", **changes}, TODAY)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["1", "3", "5", "8"]),
            st.sampled_from(["", "1", "2", "1;2"]),
            st.sampled_from(["", "2024-000001", "2024-000002", "2024-000003"]),
        ),
        max_size=60,
    )
)
def test_each_table_adds_up_to_the_total(kinds: list[tuple[str, str, str]]) -> None:
    found = [of(forsyningsart=s, aarsag=c, lerNummer=n) for s, c, n in kinds]
    methods = {"2024-000001": ["6"], "2024-000002": ["6", "7"]}
    exact = damage_statistics(2024, "all", found, methods)
    public = damage_statistics(2024, "public", found, methods)
    assert exact.reported == len(found)
    assert all(sum(cell.count for cell in cells) == len(found) for cells in exact.tables.values())
    oracle = Counter(supply for supply, _, _ in kinds)
    assert {cell.code: cell.count for cell in exact.tables["supply"]} == dict(oracle)
    if len(found) < 5:
        assert (public.reported, public.withheld) == (None, "too-few")
        assert not any(public.tables.values())
        return
    for cells in public.tables.values():
        assert sum(cell.count for cell in cells) == len(found)
        assert all(cell.count >= 5 for cell in cells)


def test_methods_are_those_of_the_enquiries() -> None:
    numbers = ["2024-000001", "2024-000002", "2024-000003", ""]
    counted = damage_statistics(
        2024,
        "all",
        [of(lerNummer=number) for number in numbers],
        {"2024-000001": ["7"], "2024-000002": ["6", "7"]},
    )
    assert {cell.code: cell.count for cell in counted.tables["method"]} == {
        "7": 1,
        "several": 1,
        "unknown": 2,
    }


def test_a_year_that_is_not_over_is_told_to_nobody() -> None:
    counted = damage_statistics(2024, "public", [of()] * 50, {}, due=False)
    assert (counted.reported, counted.withheld) == (None, "not-due")
    table = list(csv.DictReader(io.StringIO(write_statistics([counted]).removeprefix("\ufeff"))))
    assert [(row["code"], row["count"]) for row in table] == [("not-due", "")]
