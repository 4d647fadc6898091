"""Technical records go when they are old; what is under way, numbers and the records of an enquiry stay."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from notice_world import DIGGER, NUMBER, OWNER_A, add_channel, dispatch, fill, happen, notices

from geoinfra.access import Access, Role
from geoinfra.errors import InvalidInput
from geoinfra.flows.nightly import FORGET_TECHNICAL, wait_for_night
from geoinfra.flows.package_jobs import BUILD_PACKAGE
from geoinfra.flows.process_jobs import kept_request, request_check
from geoinfra.flows.technical_retention import TechnicalRetention
from geoinfra.storage import Store, jobs, schema
from geoinfra.storage.jobs import Worker
from geoinfra.storage.outbox import events_after, get_event
from services.enquiries.feed import GAP, EventFeed

EXCAVATOR = Access("token:d", DIGGER, frozenset({Role.EXCAVATOR}))
DAYS = 90
OLD = (datetime.now(UTC) - timedelta(days=DAYS + 1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
YOUNG = (datetime.now(UTC) - timedelta(days=DAYS - 1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


@pytest.fixture
def world(store: Store) -> Store:
    fill(store)
    return store


def change(store: Store, table: sa.Table, *where: Any, **values: Any) -> None:
    with store.begin() as tx:
        assert tx.execute(sa.update(table).where(*where).values(values)).rowcount
        tx.commit()


def tidy(store: Store) -> dict[str, int]:
    """Let the job of the night run now; return what it told."""
    retention = TechnicalRetention(DAYS)
    wait_for_night(store, FORGET_TECHNICAL)
    table = schema.jobs
    waiting = table.c.kind == FORGET_TECHNICAL, table.c.state == "queued"
    with store.read() as connection:
        (job_id,) = connection.scalars(sa.select(table.c.job_id).where(*waiting))
    change(store, table, *waiting, run_after=OLD, key=None)  # as if it were of an earlier night
    assert Worker(store, {FORGET_TECHNICAL: retention}).run_one()
    with store.read() as connection:
        row = connection.execute(sa.select(table).where(table.c.job_id == job_id)).one()
    assert row.state == "done"
    result: dict[str, int] = json.loads(row.result)
    return result


def ids_of(store: Store, table: sa.Table) -> list[Any]:
    (key, *_) = table.primary_key
    with store.read() as connection:
        return list(connection.scalars(sa.select(key).order_by(key)))


def test_told_events_go_by_age_and_numbers_go_on(world: Store) -> None:
    told = [happen(world, "package.ready", NUMBER, sequence=n) for n in range(4)]
    dispatch(world)
    outbox = schema.outbox
    change(world, outbox, outbox.c.event_id != told[1], delivered_at=OLD)
    change(world, outbox, outbox.c.event_id == told[1], delivered_at=YOUNG)
    untold = happen(world, "package.ready", NUMBER, sequence=4)
    change(world, outbox, outbox.c.event_id == untold, created_at=OLD)
    assert tidy(world)["events"] == 3
    assert ids_of(world, outbox) == [told[1], untold]
    dispatch(world)
    change(world, outbox, delivered_at=OLD)
    assert tidy(world)["events"] == 1
    assert ids_of(world, outbox) == [untold]  # the newest stays, so that its number is not given again
    assert happen(world, "package.ready", NUMBER, sequence=5) > untold


def test_notices_go_when_they_have_ended_and_keep_the_event_they_wait_for(world: Store) -> None:
    add_channel(world, DIGGER, "https://one.example.dk", "package.ready")
    events = [happen(world, "package.ready", NUMBER, sequence=n) for n in range(5)]
    dispatch(world)
    sent, failed, waiting, young, newest = (one.notice_id for one in notices(world))
    table = schema.notices
    change(world, table, table.c.notice_id.in_([sent, newest]), state="sent", sent_at=OLD)
    change(world, table, table.c.notice_id == failed, state="failed", next_at=OLD)
    change(world, table, table.c.notice_id == young, state="sent", sent_at=YOUNG)
    change(world, table, table.c.notice_id == waiting, next_at=OLD)
    change(world, schema.outbox, delivered_at=OLD)
    result = tidy(world)
    assert (result["notices"], result["events"]) == (2, 3)
    assert ids_of(world, table) == [waiting, young, newest]
    assert ids_of(world, schema.outbox) == [events[2], events[4]]


def test_a_notice_stays_while_its_event_may_be_told_again(world: Store) -> None:
    """A dispatcher that died before it noted what it told tells it again: the notice is not made twice."""
    add_channel(world, DIGGER, "https://one.example.dk", "package.ready")
    for sequence in (1, 2):
        happen(world, "package.ready", NUMBER, sequence=sequence)
    dispatch(world)
    made = ids_of(world, schema.notices)
    change(world, schema.notices, state="sent", sent_at=OLD)
    change(world, schema.outbox, delivered_at=None)
    assert tidy(world)["notices"] == 0
    dispatch(world)
    assert ids_of(world, schema.notices) == made


def test_jobs_go_when_they_have_ended_but_not_the_missing_package(world: Store) -> None:
    states = {"done": OLD, "cancelled": OLD, "failed": OLD, "queued": None, "running": None}
    table = schema.jobs
    names: dict[str, str] = {}
    with world.begin() as tx:
        for kind in ("measure", BUILD_PACKAGE):
            for state in (*states, "young"):
                names[f"{kind}:{state}"] = jobs.enqueue(tx, kind, {}, EXCAVATOR, key=f"{kind}:{state}")
        tx.commit()
    for kind in ("measure", BUILD_PACKAGE):
        for state, finished_at in states.items():
            ours = table.c.job_id == names[f"{kind}:{state}"]
            change(world, table, ours, state=state, finished_at=finished_at, created_at=OLD)
        young = table.c.job_id == names[f"{kind}:young"]
        change(world, table, young, state="done", finished_at=YOUNG)
    assert tidy(world)["jobs"] == 4
    gone = {name for name, job_id in names.items() if job_id not in ids_of(world, table)}
    assert gone == {"measure:done", "measure:cancelled", "measure:failed", f"{BUILD_PACKAGE}:done"}


def test_calls_go_when_their_answer_need_not_be_repeated(world: Store) -> None:
    def moment(days: int) -> str:
        return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.000Z")

    with world.begin() as tx:
        for number in range(1203):
            values = {
                "organisation": OWNER_A,
                "request_id": f"r{number:04}",
                "call": "x",
                "request_hash": "0",
            }
            age = 29 if number < 2 else 31
            tx.execute(sa.insert(schema.exchanges).values(**values, created_at=moment(age)))
        tx.commit()
    assert tidy(world)["calls"] == 1201  # by more than two transactions
    with world.read() as connection:
        assert connection.scalars(sa.select(schema.exchanges.c.request_id)).all() == ["r0000", "r0001"]


def test_documents_and_requests_whose_job_is_gone_are_removed_after_a_day(world: Store) -> None:
    """A document to check is an owner's data: a crash must not keep it."""
    waiting = request_check(world, Access("token:a", OWNER_A, frozenset({Role.OWNER})), b"<a/>", strict=True)
    names = {
        "lost": "process-inputs/lost",
        "young": "process-inputs/young",
        "asked": kept_request(waiting),
        "ended": kept_request("01ABC"),
    }
    for name in names.values():
        world.blobs.put(name, b"x")
    for path in (*(world.data_dir / "blobs").glob("process-*/*"),):
        if path.name != "young":
            os.utime(path, (0, 0))
    assert tidy(world)["files"] == 2
    assert {what for what, name in names.items() if world.blobs.exists(name)} == {"young", "asked"}
    assert len(world.blobs.names("process-inputs")) == 2  # the document that waits, too


def test_each_night_has_one_job_and_the_next_follows(world: Store) -> None:
    for _ in range(3):
        wait_for_night(world, FORGET_TECHNICAL)
    table = schema.jobs
    query = sa.select(table.c.run_after, table.c.state).where(table.c.kind == FORGET_TECHNICAL)
    with world.read() as connection:
        ((at, state),) = connection.execute(query).all()
    assert state == "queued"
    assert timedelta() < datetime.fromisoformat(at) - datetime.now(UTC) <= timedelta(days=1)
    assert tidy(world) == {"notices": 0, "events": 0, "jobs": 0, "calls": 0, "files": 0}
    with world.read() as connection:
        assert sorted(state for _, state in connection.execute(query)) == ["done", "queued"]


def test_nothing_is_kept_shorter_than_calls_may_be_repeated() -> None:
    with pytest.raises(InvalidInput, match="30 days"):
        TechnicalRetention(29)


def test_numbers_pass_32_bits(world: Store) -> None:
    add_channel(world, DIGGER, "https://one.example.dk", "package.ready")
    first = happen(world, "package.ready", NUMBER, sequence=1)
    change(world, schema.outbox, schema.outbox.c.event_id == first, event_id=2**31 - 1)
    if not world.records.is_sqlite:
        with world.begin() as tx:
            tx.execute(sa.text("SELECT setval('outbox_event_id_seq', 2147483647)"))
            tx.execute(sa.text("SELECT setval('notices_notice_id_seq', 2147483647)"))
            tx.execute(sa.text("SELECT setval('grants_grant_id_seq', 2147483648)"))
            tx.commit()
    assert happen(world, "package.ready", NUMBER, sequence=2) == 2**31
    dispatch(world)
    assert [one.event_id for one in notices(world)] == [2**31 - 1, 2**31]
    with world.read() as connection:
        assert get_event(connection, 2**31).payload == {"sequence": 2}
        assert len(events_after(connection, 2**31 - 1, 2**40, 5)) == 1


def test_a_stream_tells_a_client_who_was_away_too_long(world: Store) -> None:
    told = [happen(world, "package.ready", NUMBER, sequence=n) for n in range(4)]
    dispatch(world)
    change(world, schema.outbox, schema.outbox.c.event_id <= told[1], delivered_at=OLD)
    tidy(world)

    async def first_of(cursor: int | None) -> list[str]:
        feed = EventFeed(world, "https://geodata.example.dk", heartbeat_s=0.1)
        try:
            stream = await feed.open(EXCAVATOR, cursor, lambda: EXCAVATOR)
            return [(await anext(stream)).decode() for _ in range(3)]
        finally:
            await asyncio.to_thread(feed.close)

    begin, gap, rest = asyncio.run(first_of(told[0]))
    assert begin == f"retry: 3000\nid: {told[0]}\n\n"  # resuming again tells it again
    assert gap == f'event: {GAP}\ndata: {{"after":{told[0]},"forgotten_to":{told[1]}}}\n\n'
    assert [line for line in rest.splitlines() if line.startswith("id:")] == [f"id: {n}" for n in told[2:]]
    for cursor in (told[1], None):
        assert not any(GAP in chunk for chunk in asyncio.run(first_of(cursor)))
