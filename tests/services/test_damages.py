"""Dig damages on both engines, over HTTP and on the command line: who reports, who reads, what is counted."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from answer_world import DIGGER, OWNERS, digger, filed_by, owner, register
from test_flow_enquiry import access_with
from test_package_signing import serving
from typer.testing import CliRunner

from geoinfra.access import Access, Role
from geoinfra.errors import InvalidInput, NotAllowed
from geoinfra.flows import damages
from geoinfra.storage import Store, organisations, schema
from geoinfra.utilities.damages import last_day, read_damages
from services.cli import app as command_line

pytestmark = pytest.mark.services

FIRST, SECOND = OWNERS[:2]
AUTHORITY = Access("test:authority", "10000041", frozenset({Role.AUTHORITY}))
PAST = damages.today_in_denmark().year - 3


def damage(number: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "xKoordinat": 575_220 + number,
        "yKoordinat": 6_224_761.47,
        "skadevolderType": 2,
        "skadesDato": f"12-09-{PAST}",
        "forsyningsart": "5",
        "aarsag": [1],
        **changes,
    }


@pytest.fixture
def world(store: Store) -> Store:
    register(store, *OWNERS)
    return store


def rows(store: Store) -> int:
    with store.read() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(schema.damages)) or 0)


# --- Flows


def test_an_owner_reads_his_own_and_the_authority_all(world: Store) -> None:
    mine = damages.report_damage(world, owner(FIRST), damage())
    other = damages.report_damage(world, owner(SECOND), damage(1))
    assert [one.damage_id for one in damages.list_damages(world, owner(FIRST))] == [mine.damage_id]
    assert [one.damage_id for one in damages.list_damages(world, owner(SECOND))] == [other.damage_id]
    everything = damages.list_damages(world, AUTHORITY)
    assert {one.organisation for one in everything} == {FIRST, SECOND}
    assert damages.list_damages(world, AUTHORITY, year=PAST + 1) == []


@pytest.mark.parametrize("role", [r for r in Role if r not in (Role.OWNER, Role.AUTHORITY)])
def test_nobody_else_reports_or_reads(world: Store, role: Role) -> None:
    access = Access("test:x", DIGGER, frozenset({role}))
    for call in (
        lambda: damages.report_damage(world, access, damage()),
        lambda: damages.import_damages(world, access, b""),
        lambda: damages.list_damages(world, access),
        lambda: damages.statistics(world, access, own=True),
    ):
        with pytest.raises(NotAllowed):
            call()
    assert rows(world) == 0


def test_the_same_report_counts_once(world: Store) -> None:
    first = damages.report_damage(world, owner(FIRST), damage())
    again = damages.report_damage(world, owner(FIRST), damage(skadesDato=f"{PAST}-09-12"))
    assert (again.damage_id, again.known) == (first.damage_id, True)
    assert not damages.report_damage(world, owner(SECOND), damage()).known
    assert rows(world) == 2


def test_reports_of_one_moment_count_once(world: Store) -> None:
    start = threading.Barrier(6)

    def report(_number: int) -> str:
        start.wait()
        return damages.report_damage(world, owner(FIRST), damage()).damage_id

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(report, range(6)))) == 1
    assert rows(world) == 1


def test_the_enquiry_must_exist_and_concern_the_owner(world: Store) -> None:
    filed = filed_by(world, digger(world), methods=["7"])
    with world.begin() as tx:
        organisations.add_organisation(tx, "10000076", "Ejer langt borte")
        tx.commit()
    known = damages.report_damage(world, owner(FIRST), damage(lerNummer=filed.number))
    as_ler = damages.report_damage(world, owner(FIRST), damage(lerNummer=filed.number.replace("-", "")))
    assert as_ler.damage_id == known.damage_id
    for reporter, number in (
        (owner("10000076"), filed.number),
        (owner(FIRST), "2001-000001"),
        (owner(FIRST), "' OR 1=1"),
    ):
        with pytest.raises(InvalidInput, match="lerNummer") as refused:
            damages.report_damage(world, reporter, damage(lerNummer=number))
        assert refused.value.details["member"] == "lerNummer"
    (counted,) = damages.statistics(world, AUTHORITY, year=PAST)
    assert [(cell.code, cell.count) for cell in counted.tables["method"]] == [("7", 1)]


def test_a_table_is_stored_row_by_row_and_may_be_sent_again(world: Store) -> None:
    table = (
        "xKoordinat;yKoordinat;skadevolderType;skadesDato;forsyningsart;lerNummer;bemaerkning\n"
        + "".join(f"{575_220 + n},5;6224761,47;2;12-09-{PAST};3;;nr {n}\n" for n in range(500))
        + f"1;2;2;12-09-{PAST};3;;\n"
        + f"575220,5;6224761,47;2;12-09-{PAST};3;2001-000001;\n"
        + f"575220,5;6224761,47;2;12-09-{PAST};3;;nr 0\n"
    ).encode()
    outcome = damages.import_damages(world, owner(FIRST), table)
    assert [row.state for row in outcome] == ["stored"] * 500 + ["refused", "refused", "known"]
    assert [(row.line, row.member) for row in outcome if row.state == "refused"] == [
        (502, "xKoordinat"),
        (503, "lerNummer"),
    ]
    assert all(row.message and row.message_da for row in outcome if row.state == "refused")
    again = damages.import_damages(world, owner(FIRST), table)
    assert {row.state for row in again} == {"known", "refused"}
    assert rows(world) == 500


def test_a_table_that_cannot_be_used_stores_nothing(world: Store) -> None:
    good = f"575220;6224761;2;12-09-{PAST};3\n"
    table = "xKoordinat;yKoordinat;skadevolderType;skadesDato;forsyningsart\n" + good + '"'
    with pytest.raises(InvalidInput):
        damages.import_damages(world, owner(FIRST), table.encode())
    assert rows(world) == 0


def test_the_public_reads_no_small_group_and_no_present_year(world: Store) -> None:
    now_year = damages.today_in_denmark().year
    supplies = ["5"] * 7 + ["3"] * 6 + ["7"] * 2 + ["8"]
    for number, supply in enumerate(supplies):
        damages.report_damage(world, owner(OWNERS[number % 3]), damage(number, forsyningsart=supply))
    for number in range(4):
        damages.report_damage(world, owner(FIRST), damage(number, skadesDato=f"12-09-{PAST - 1}"))
    for number in range(9):
        damages.report_damage(world, owner(FIRST), damage(number, skadesDato=f"01-01-{now_year}"))
    anybody = Access.anonymous()
    (told,) = damages.statistics(world, anybody)
    assert (told.year, told.reported) == (PAST, 16)
    assert {cell.code: cell.count for cell in told.tables["supply"]} == {"5": 7, "joined": 9}
    (few,) = damages.statistics(world, anybody, year=PAST - 1)
    (none,) = damages.statistics(world, anybody, year=PAST - 2)
    assert (few.reported, few.withheld, few.tables) == (none.reported, none.withheld, none.tables)
    assert damages.statistics(world, anybody, year=now_year)[0].withheld == "not-due"
    exact = {one.year: one.reported for one in damages.statistics(world, AUTHORITY)}
    assert exact == {PAST: 16, PAST - 1: 4, now_year: 9}
    mine = {one.year: one.reported for one in damages.statistics(world, owner(FIRST), own=True)}
    assert mine == {PAST: 6, PAST - 1: 4, now_year: 9}
    for role in (Role.OWNER, Role.EXCAVATOR, Role.PLANNER, Role.ADMIN, Role.DEVICE):
        access = Access("test:x", FIRST, frozenset({role}))
        assert damages.statistics(world, access) == [told]


@pytest.mark.parametrize("year", [1999, 2101, -1, 10**9])
def test_a_year_out_of_bounds_is_refused(world: Store, year: int) -> None:
    with pytest.raises(InvalidInput):
        damages.statistics(world, AUTHORITY, year=year)


# --- HTTP


@pytest.fixture
def service(world: Store) -> Iterator[tuple[httpx.Client, dict[str, dict[str, str]]]]:
    tokens = {}
    for name, cvr, role in (
        ("owner", FIRST, Role.OWNER),
        ("other", SECOND, Role.OWNER),
        ("digger", DIGGER, Role.EXCAVATOR),
        ("authority", "10000041", Role.AUTHORITY),
    ):
        access_with(world, cvr, role)
        with world.begin() as tx:
            _, secret = organisations.create_token(tx, cvr, {role}, "http", timedelta(hours=1))
            tx.commit()
        tokens[name] = {"Authorization": f"Bearer {secret}"}
    with serving(world) as client:
        yield client, tokens


def test_damages_go_over_http(service: tuple[httpx.Client, dict[str, dict[str, str]]]) -> None:
    client, who = service
    made = client.post("/api/damages", json=damage(bemaerkning="=1+1"), headers=who["owner"])
    assert made.status_code == 201, made.text
    again = client.post("/api/damages", json=damage(bemaerkning="=1+1"), headers=who["owner"])
    assert (again.status_code, again.json()["damage_id"]) == (200, made.json()["damage_id"])
    broken = client.post("/api/damages", json=damage(skadevolderType=5), headers=who["owner"])
    assert broken.status_code == 400
    assert broken.json()["member"] == "skadevolderType"
    assert broken.json()["message_da"]
    listed = client.get("/api/damages", headers=who["owner"])
    assert listed.headers["cache-control"] == "private, no-store"
    assert [item["damage_id"] for item in listed.json()["items"]] == [made.json()["damage_id"]]
    due = listed.json()["due"]
    assert due["last_day"] == last_day(due["year"]).isoformat()
    assert client.get("/api/damages", headers=who["other"]).json()["items"] == []
    assert len(client.get("/api/damages", headers=who["authority"]).json()["items"]) == 1
    assert client.get("/api/damages", headers=who["digger"]).status_code == 403
    assert client.get("/api/damages").status_code in (401, 403)
    assert client.post("/api/damages", json=damage(), headers=who["digger"]).status_code == 403
    table = client.get("/api/damages?format=csv", headers=who["owner"])
    assert table.headers["content-type"].startswith("text/csv")
    (row,) = csv.DictReader(io.StringIO(table.text.removeprefix("\ufeff")))
    assert row["bemaerkning"] == "'=1+1"


def test_a_table_goes_over_http_and_statistics_come_back(
    service: tuple[httpx.Client, dict[str, dict[str, str]]],
) -> None:
    client, who = service
    head = "xKoordinat;yKoordinat;skadevolderType;skadesDato;forsyningsart\n"
    table = head + "".join(f"{575_220 + n};6224761;2;12-09-{PAST};3\n" for n in range(6)) + "1;1;2;;3\n"
    headers = {**who["owner"], "Content-Type": "text/csv; charset=utf-8"}
    done = client.post("/api/damages", content=table.encode(), headers=headers).json()
    assert (done["stored"], done["known"], done["refused"]) == (6, 0, 1)
    assert done["rows"][-1]["line"] == 8
    (public,) = client.get(f"/api/damages/statistics?year={PAST}").json()["items"]
    assert (public["scope"], public["reported"], public["least_count"]) == ("public", 6, 5)
    assert public["supply"] == [{"code": "3", "da": "Vand", "en": "Water", "count": 6}]
    text = client.get(f"/api/damages/statistics?year={PAST}&format=csv").text
    found = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    assert sum(int(row["count"]) for row in found if row["table"] == "cause") == 6
    own = client.get("/api/damages/statistics?own=true", headers=who["owner"]).json()["items"]
    assert [one["scope"] for one in own] == ["own"]
    assert client.get("/api/damages/statistics?own=true", headers=who["digger"]).status_code == 403
    for query in ("year=1999", "year=99999", "year=x", "format=xml", "own=2x"):
        assert client.get(f"/api/damages/statistics?{query}").status_code == 400


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"xKoordinat": NaN}', b'"x"', b"\xff", b"[" * 5000])
def test_a_body_that_is_no_report_is_refused(
    service: tuple[httpx.Client, dict[str, dict[str, str]]], body: bytes
) -> None:
    client, who = service
    answer = client.post("/api/damages", content=body, headers=who["owner"])
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


# --- Command line


def test_the_command_line_reports_lists_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_store: Any, engine_name: str
) -> None:
    store = make_store()
    register(store, FIRST)
    monkeypatch.setenv("GEOINFRA_DATA_DIR", str(store.data_dir))
    if engine_name == "postgres":
        address = store.records.url.set(drivername="postgresql").render_as_string(hide_password=False)
        monkeypatch.setenv("GEOINFRA_DATABASE_URL", address)
    single, table = tmp_path / "one.json", tmp_path / "many.csv"
    single.write_text(json.dumps(damage()), "utf-8")
    table.write_text(
        "xKoordinat,yKoordinat,skadevolderType,skadesDato,forsyningsart\n"
        f"575230,6224761,2,12-09-{PAST},3\n575230,6224761,9,12-09-{PAST},3\n",
        "utf-8",
    )
    run = CliRunner().invoke
    assert run(command_line, ["damage", "add", str(single), "--owner", FIRST]).exit_code == 0
    mixed = run(command_line, ["damage", "add", str(table), "--owner", FIRST, "--json"])
    assert mixed.exit_code == 1
    assert [row["state"] for row in json.loads(mixed.stdout)["rows"]] == ["stored", "refused"]
    printed = run(command_line, ["damage", "list", "--csv"]).stdout.removeprefix("\ufeff")
    extra = ("damage_id", "organisation", "reported_at")
    listed = list(csv.DictReader(io.StringIO(printed)))
    assert {row["forsyningsart"] for row in listed} == {"3", "5"}
    bare = io.StringIO()
    writer = csv.DictWriter(bare, [name for name in listed[0] if name not in extra], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(listed)
    assert [row.supply for _, row in read_damages(bare.getvalue().encode(), damages.today_in_denmark())] == [
        "3",
        "5",
    ]
    counted = json.loads(run(command_line, ["damage", "statistics", "--json"]).stdout)["items"]
    assert [(one["year"], one["reported"], one["scope"]) for one in counted] == [(PAST, 2, "all")]
    assert json.loads(run(command_line, ["damage", "statistics", "--public", "--json"]).stdout)["items"] == []
