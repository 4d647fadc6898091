"""A list of enquiries asks the records as often for two hundred as for two, goes on page by page, and tells
of each what it tells alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from answer_world import OWNERS, digger, filed_by, owner, register, svar
from test_flow_enquiry import document, work_off
from test_flow_filing import TRENCH

from geoinfra.access import Access, Role
from geoinfra.errors import InvalidInput
from geoinfra.flows.answers import store_answer
from geoinfra.flows.deliveries import deliver
from geoinfra.flows.enquiries import file_enquiry, list_cursor
from geoinfra.flows.ler_exchange import package_row, package_rows
from geoinfra.flows.package_jobs import BUILD_PACKAGE, PackageJob, newest_jobs
from geoinfra.flows.projects import list_projects, project
from geoinfra.storage import Store, jobs, schema
from geoinfra.utilities.enquiry import AnswerStatus

pytestmark = pytest.mark.services
A, B = OWNERS[:2]
ADMIN = Access("test:admin", "10000041", frozenset({Role.ADMIN}))
_MOST_STATEMENTS = 14


@pytest.fixture(scope="module")
def world(module_store: Store) -> tuple[Store, Access]:
    """A hosted owner and one who is waited for; two enquiries and a project, and one 200 times more."""
    store = module_store
    register(store, A, B, area=TRENCH)
    deliver(store, owner(A), svar(A), A)
    access = digger(store)
    often = filed_by(store, access)
    store_answer(store, owner(B), filed_by(store, access).number, svar(B))
    file_enquiry(store, access, document(TRENCH, formats=["gml"]))
    work_off(store)
    multiply(store, often.number, 200)
    return store, access


@contextmanager
def counted(store: Store) -> Iterator[list[str]]:
    """Note the statements that the records are asked; those on deliveries come through the same engine."""
    asked: list[str] = []

    def note(*call: Any) -> None:
        if not str(call[2]).startswith("BEGIN"):
            asked.append(str(call[2]))

    sa.event.listen(store.records.engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        sa.event.remove(store.records.engine, "before_cursor_execute", note)


def multiply(store: Store, number: str, times: int) -> None:
    """Write an enquiry, its answers and packages again under other numbers."""
    tables = ((schema.enquiries, "number"), (schema.answers, "enquiry"), (schema.packages, "enquiry"))
    with store.begin() as tx:
        for table, column in tables:
            rows = tx.connection.execute(sa.select(table).where(table.c[column] == number)).all()
            copies = [
                {**row._mapping, column: f"{number[:4]}-{9 * 10**5 + turn}"}
                for turn in range(times)
                for row in rows
            ]
            tx.execute(sa.insert(table), copies)
        tx.commit()


def alone(store: Store, access: Access, number: str) -> dict[str, Any]:
    """Return an enquiry as it is read alone, without what a list leaves uncounted."""
    found = project(store, access, number)
    shown = found.to_json()
    for answer in shown["owners"]:
        of_parts = [one for part in found.parts for one in part.answers if one.owner_cvr == answer["cvr"]]
        answer["features"] = None if len(of_parts) > 1 else answer["features"]
    return without_moment(shown)


def without_moment(shown: dict[str, Any]) -> dict[str, Any]:
    for answer in shown["owners"]:
        answer["time_left_min"] = answer["clock"] = None
    return shown


@pytest.mark.parametrize("who", ["digger", A, B, "admin"])
def test_a_list_tells_of_each_what_it_tells_alone(world: tuple[Store, Access], who: str) -> None:
    store, access = world
    reader = {"digger": access, "admin": ADMIN}.get(who) or owner(who)
    listed = list_projects(store, reader, limit=500)
    some = [one for one in listed if not one.number[5:].startswith("9")] + listed[:2]
    assert [without_moment(one.to_json()) for one in some] == [
        alone(store, reader, one.number) for one in some
    ]
    projects = [len(one.parts) for one in listed if one.parts]
    assert projects == ([2] if who in ("digger", "admin") else [])
    assert len(listed) == (203 if projects else 204)


def test_two_hundred_enquiries_ask_the_records_as_little_as_two(world: tuple[Store, Access]) -> None:
    store, access = world
    with counted(store) as few:  # a project and another
        assert len(list_projects(store, access, limit=2)) == 2
    with counted(store) as many:
        assert len(list_projects(store, access, limit=500)) == 203
    assert len(many) == len(few) <= _MOST_STATEMENTS
    with counted(store) as asked:
        rows = package_rows(store, access)
    assert len(rows) == 200
    assert len(asked) <= _MOST_STATEMENTS
    last = rows[-1]
    assert package_row(store, access, last.enquiry.number) == last


@pytest.mark.parametrize("status", [None, AnswerStatus.WAITING, AnswerStatus.DELIVERED])
def test_pages_follow_each_other_without_gap_or_repetition(
    world: tuple[Store, Access], status: AnswerStatus | None
) -> None:
    store, access = world
    everything = [one.number for one in list_projects(store, access, limit=500, status=status)]
    paged: list[str] = []
    after = None
    while page := list_projects(store, access, limit=70, status=status, after=after):
        paged += [one.number for one in page]
        after = list_cursor(page[-1])
    assert paged == everything
    assert len(paged) >= 201


def test_a_page_begins_after_a_place_that_no_longer_exists(world: tuple[Store, Access]) -> None:
    store, access = world
    first, second, *_ = list_projects(store, access)
    erase(store, first.number, first.filed_at)
    try:
        assert list_projects(store, access, limit=1)[0].number == second.number
        assert list_projects(store, access, limit=1, after=list_cursor(first))[0].number == second.number
    finally:
        erase(store, first.number, None)


def erase(store: Store, number: str, at: str | None) -> None:
    table = schema.enquiries
    with store.begin() as tx:
        tx.execute(sa.update(table).where(table.c.number == number).values(erased_at=at))
        tx.commit()


@pytest.mark.parametrize("cursor", ["", "x", "' OR 1=1", "2026-01-01T00:00:00.000Z", "2026_2026-000001"])
def test_a_place_that_is_none_is_refused(world: tuple[Store, Access], cursor: str) -> None:
    store, access = world
    with pytest.raises(InvalidInput, match="place"):
        list_projects(store, access, after=cursor)


def test_all_jobs_after_the_newest_package_are_found_however_many(world: tuple[Store, Access]) -> None:
    store, access = world
    with store.begin() as tx:
        for sequence in range(3, 10):
            jobs.enqueue(tx, BUILD_PACKAGE, {}, access, key=f"package:2026-800001:{sequence}")
        jobs.enqueue(tx, BUILD_PACKAGE, {}, access, key="package:2026-800001:11")
        found = newest_jobs(tx.connection, {"2026-800001": 2, "2026-800002": 4, "2026-800003": 0})
    assert found == {"2026-800001": PackageJob(9, "queued"), "2026-800002": PackageJob(4, "done")}
