"""The stream of events: each sees his own, nothing is lost over a reconnect, streams are bounded and end."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from notice_world import DIGGER, NUMBER, OPERATOR, OWNER_A, OWNER_B, fill, happen

from geoinfra.access import Access, Role
from geoinfra.errors import InvalidInput, NotAuthenticated, TooManyRequests
from geoinfra.storage import Store, schema
from geoinfra.storage.outbox import emit
from services.enquiries.feed import MOST_OF_ONE, EventFeed, cursor_of

EXCAVATOR = Access("token:d", DIGGER, frozenset({Role.EXCAVATOR}))
ALFA = Access("token:a", OWNER_A, frozenset({Role.OWNER}))
BETA = Access("token:b", OWNER_B, frozenset({Role.OWNER}))
ADMIN = Access("token:o", OPERATOR, frozenset({Role.ADMIN}))
ADDRESS = "https://geodata.example.dk"


@pytest.fixture
def world(store: Store) -> Store:
    fill(store)
    return store


def run(store: Store, scenario: Callable[[EventFeed], Any], heartbeat_s: float = 15.0) -> Any:
    feed = EventFeed(store, ADDRESS, heartbeat_s=heartbeat_s)

    async def whole() -> Any:
        async with asyncio.timeout(60):
            return await scenario(feed)

    try:
        return asyncio.run(whole())
    finally:
        feed.close()


async def open_stream(feed: EventFeed, access: Access, cursor: int | None = None) -> AsyncIterator[bytes]:
    """Open a stream and take its first lines, which say where it begins."""
    stream = await feed.open(access, cursor, lambda: access)
    first = (await anext(stream)).decode()
    assert first.startswith("retry: 3000\nid: ")
    return stream


def parsed(chunk: bytes) -> list[dict[str, str]]:
    """Read messages as a browser does: blocks of ``name: value`` lines; those without data are no events."""
    blocks = [
        dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        for block in chunk.decode().split("\n\n")
        if block
    ]
    return [block for block in blocks if "data" in block]


async def take(stream: AsyncIterator[bytes], count: int) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    while len(found) < count:
        found += parsed(await anext(stream))
    return found


def test_each_sees_what_concerns_him(world: Store) -> None:
    async def scenario(feed: EventFeed) -> None:
        streams = {access: await open_stream(feed, access) for access in (EXCAVATOR, ALFA, BETA)}
        ids = [
            await asyncio.to_thread(happen, world, event, NUMBER, **payload)
            for event, payload in (
                ("enquiry.filed", {"owners": [OWNER_A, OWNER_B]}),
                ("answer.stored", {"owner_cvr": OWNER_A, "status": "delivered"}),
                ("answer.stored", {"owner_cvr": OWNER_B, "status": "no-lines"}),
                ("package.ready", {"sequence": 1, "blob": "secret"}),
            )
        ]
        expected = {EXCAVATOR: ids, ALFA: ids[:2], BETA: [ids[0], ids[2]]}
        for access, stream in streams.items():
            got = await take(stream, len(expected[access]))
            assert [int(one["id"]) for one in got] == expected[access]
        (last,) = got[-1:]
        assert last["event"] == "answer.stored"
        document = json.loads(last["data"])
        assert document["subject"] == NUMBER
        assert document["data"] == {"owner_cvr": OWNER_B, "status": "no-lines"}
        for stream in streams.values():
            await stream.aclose()  # type: ignore[attr-defined]  # an async generator

    run(world, scenario)


def test_the_roles_of_a_token_bound_what_it_watches(world: Store) -> None:
    """A token of the same organisation with another role sees nothing of it."""

    async def scenario(feed: EventFeed) -> None:
        wrong = Access("token:x", DIGGER, frozenset({Role.OWNER}))
        streams = [await open_stream(feed, one) for one in (wrong, ADMIN)]
        await asyncio.to_thread(happen, world, "package.ready", NUMBER, sequence=1)
        for stream in streams:
            chunk = await anext(stream)
            assert parsed(chunk) == []
            assert chunk.startswith(b": alive\nid: ")

    run(world, scenario, heartbeat_s=0.4)


def test_a_client_that_comes_back_misses_nothing_and_gets_nothing_twice(world: Store) -> None:
    """Six writers at a time, whose transactions end in another order than they began on PostgreSQL."""
    writers, each = 6, 15

    def write(number: int) -> None:
        for count in range(each):
            with world.begin() as tx:
                emit(tx, "package.ready", NUMBER, {"sequence": number * each + count})
                time.sleep(0.001 * (number % 3))
                if count % 5 != 4:  # the others are rolled back
                    tx.commit()

    async def scenario(feed: EventFeed) -> list[int]:
        stream = await open_stream(feed, EXCAVATOR)
        threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
        for thread in threads:
            thread.start()
        seen: list[int] = []
        while len(seen) < writers * each * 4 // 5:
            for one in await take(stream, 1):
                seen.append(int(one["id"]))
            if len(seen) % 3 == 0:
                await stream.aclose()  # type: ignore[attr-defined]  # an async generator
                stream = await open_stream(feed, EXCAVATOR, seen[-1])
        for thread in threads:
            thread.join()
        return seen

    seen = run(world, scenario)
    with world.read() as connection:
        stored = list(connection.scalars(sa.select(schema.outbox.c.event_id).order_by("event_id")))
    assert seen == stored


def test_what_happened_while_the_server_was_away_is_told(world: Store) -> None:
    async def before(feed: EventFeed) -> int:
        stream = await open_stream(feed, EXCAVATOR)
        await asyncio.to_thread(happen, world, "package.ready", NUMBER, sequence=1)
        (one,) = await take(stream, 1)
        return int(one["id"])

    last = run(world, before)
    missed = [happen(world, "package.ready", NUMBER, sequence=n) for n in range(450)]  # more than two pages

    async def after(feed: EventFeed) -> list[int]:
        stream = await open_stream(feed, EXCAVATOR, last)
        return [int(one["id"]) for one in await take(stream, len(missed))]

    assert run(world, after) == missed


@pytest.mark.parametrize("engine_name", ["embedded"], indirect=True)
def test_a_number_from_the_future_begins_now(world: Store) -> None:
    async def scenario(feed: EventFeed) -> None:
        stream = await open_stream(feed, EXCAVATOR, 10**15)
        event_id = await asyncio.to_thread(happen, world, "package.ready", NUMBER, sequence=1)
        assert [int(one["id"]) for one in await take(stream, 1)] == [event_id]

    run(world, scenario)


@pytest.mark.parametrize("engine_name", ["embedded"], indirect=True)
def test_a_silent_stream_beats_tells_its_place_and_ends_with_the_token(world: Store) -> None:
    async def scenario(feed: EventFeed) -> None:
        valid = True

        def access_now() -> Access:
            if not valid:
                raise NotAuthenticated("Revoked.")
            return ALFA

        stream = await feed.open(ALFA, None, access_now)
        await anext(stream)
        event_id = await asyncio.to_thread(happen, world, "package.ready", NUMBER, sequence=1)  # not his
        beats = [await anext(stream) for _ in range(3)]
        assert beats[-1] == f": alive\nid: {event_id}\n\n".encode()
        valid = False
        assert [chunk async for chunk in stream] == []

    run(world, scenario, heartbeat_s=0.15)


@pytest.mark.parametrize("engine_name", ["embedded"], indirect=True)
def test_every_stream_ends_with_the_server(world: Store) -> None:
    async def scenario(feed: EventFeed) -> None:
        streams = [await open_stream(feed, one) for one in (EXCAVATOR, ALFA)]
        waiting = [asyncio.ensure_future(anext(stream, None)) for stream in streams]
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await asyncio.to_thread(feed.end)
        assert await asyncio.gather(*waiting) == [None, None]
        assert time.monotonic() - began < 2

    run(world, scenario)


@pytest.mark.parametrize("engine_name", ["embedded"], indirect=True)
def test_streams_of_one_principal_are_bounded_and_places_become_free(world: Store) -> None:
    async def scenario(feed: EventFeed) -> None:
        streams = [await open_stream(feed, ALFA) for _ in range(MOST_OF_ONE)]
        with pytest.raises(TooManyRequests):
            await feed.open(ALFA, None, lambda: ALFA)
        other = await open_stream(feed, BETA)
        await streams.pop().aclose()  # type: ignore[attr-defined]  # an async generator
        streams.append(await open_stream(feed, ALFA))
        await other.aclose()  # type: ignore[attr-defined]  # an async generator

    run(world, scenario)


@pytest.mark.parametrize("engine_name", ["embedded"], indirect=True)
def test_silence_asks_nothing_of_the_database(world: Store) -> None:
    async def scenario(feed: EventFeed) -> int:
        streams = [await open_stream(feed, one) for one in (EXCAVATOR, ALFA, BETA)]
        waiting = [asyncio.ensure_future(anext(stream)) for stream in streams]
        await asyncio.sleep(0.3)
        asked: list[str] = []
        sa.event.listen(world.records.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
        await asyncio.sleep(1.5)
        for task in waiting:
            task.cancel()
        return len(asked)

    assert run(world, scenario) == 0


@pytest.mark.parametrize(
    ("header", "query", "cursor"),
    [(None, None, None), (None, 5, 5), ("7", 5, 7), (" 7 ", None, 7), ("", 5, 5)],
)
def test_the_place_comes_from_the_header_or_the_query(
    header: str | None, query: int | None, cursor: int | None
) -> None:
    assert cursor_of(header, query) == cursor


@pytest.mark.parametrize("header", ["x", "-1", "1.5", "٣", "9" * 19, "1e3"])
def test_what_is_no_number_of_an_event_is_refused(header: str) -> None:
    with pytest.raises(InvalidInput):
        cursor_of(header, None)
