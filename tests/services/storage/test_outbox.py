"""Events are told at least once, in order for each subject, whatever subscribers do."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from geoinfra.errors import InvalidInput
from geoinfra.storage import Store
from geoinfra.storage.outbox import EVENTS, Dispatcher, Event, emit
from geoinfra.storage.schema import outbox


def tell(store: Store, *events: tuple[str, str]) -> None:
    with store.begin() as tx:
        for event, subject in events:
            emit(tx, event, subject, {"number": subject})
        tx.commit()


def waiting(store: Store) -> list[tuple[str, int]]:
    query = sa.select(outbox.c.subject, outbox.c.attempts).where(outbox.c.delivered_at.is_(None))
    with store.read() as connection:
        return [(row.subject, row.attempts) for row in connection.execute(query.order_by(outbox.c.event_id))]


def test_the_events_are_those_of_the_contract() -> None:
    assert {
        "delivery.published",
        "enquiry.filed",
        "answer.stored",
        "answer.corrected",
        "answer.due-soon",
        "answer.overdue",
        "package.ready",
        "package.acknowledged",
        "area.changed",
        "channel.tested",
        "channel.disabled",
        "work.changed",
        "fix.alerted",
    } == EVENTS


def test_an_unknown_event_is_refused(store: Store) -> None:
    with store.begin() as tx, pytest.raises(InvalidInput):
        emit(tx, "enquiry.filled", "1", {})
    with pytest.raises(InvalidInput):
        Dispatcher(store, {"enquiry.filled": []})


def test_a_payload_that_is_not_json_is_refused(store: Store) -> None:
    with store.begin() as tx, pytest.raises(ValueError, match="JSON"):
        emit(tx, "enquiry.filed", "1", {"area_m2": float("nan")})


def test_an_event_is_told_to_its_subscribers_and_not_again(store: Store) -> None:
    heard: list[tuple[str, Event]] = []
    dispatcher = Dispatcher(
        store,
        {
            "enquiry.filed": [lambda _, e: heard.append(("a", e)), lambda _, e: heard.append(("b", e))],
            "answer.stored": [lambda _, e: heard.append(("c", e))],
        },
    )
    tell(store, ("enquiry.filed", "1"))
    assert dispatcher.run_once() == 1
    assert dispatcher.run_once() == 0
    assert [name for name, _ in heard] == ["a", "b"]
    assert (heard[0][1].event, heard[0][1].subject, heard[0][1].payload) == (
        "enquiry.filed",
        "1",
        {"number": "1"},
    )


def test_an_event_without_subscriber_counts_as_told(store: Store) -> None:
    tell(store, ("work.changed", "1"))
    assert Dispatcher(store, {}).run_once() == 1
    assert waiting(store) == []


def test_an_event_that_was_rolled_back_is_never_told(store: Store) -> None:
    with store.begin() as tx:
        emit(tx, "enquiry.filed", "1", {})
    assert Dispatcher(store, {}).run_once() == 0


def test_a_failure_holds_its_subject_and_no_other(store: Store) -> None:
    heard: list[tuple[str, str]] = []
    down = {"1"}

    def subscriber(_: Store, event: Event) -> None:
        if event.subject in down:
            raise RuntimeError
        heard.append((event.subject, event.event))

    names = ("enquiry.filed", "answer.stored", "package.ready")
    dispatcher = Dispatcher(store, {name: [subscriber] for name in names}, backoff_s=0.0)
    tell(store, *((name, subject) for name in names for subject in ("1", "2")))
    assert dispatcher.run_once() == 3
    assert waiting(store) == [("1", 1), ("1", 0), ("1", 0)]
    down.clear()
    assert dispatcher.run_once() == 3
    assert [event for subject, event in heard if subject == "1"] == list(names)
    assert [event for subject, event in heard if subject == "2"] == list(names)


def test_a_failed_event_waits_before_it_is_told_again(store: Store) -> None:
    calls: list[int] = []

    def subscriber(_: Store, event: Event) -> None:
        calls.append(event.attempts)
        raise RuntimeError

    dispatcher = Dispatcher(store, {"enquiry.filed": [subscriber]}, backoff_s=3600.0)
    tell(store, ("enquiry.filed", "1"))
    assert [dispatcher.run_once() for _ in range(3)] == [0, 0, 0]
    assert calls == [0]


def test_subscribers_that_heard_an_event_do_not_hear_it_again_for_the_failure_of_another(
    store: Store,
) -> None:
    heard: list[str] = []
    failures = [RuntimeError(), RuntimeError()]

    def fragile(_: Store, event: Event) -> None:
        if failures:
            raise failures.pop()
        heard.append("fragile")

    subscribers = [lambda _, e: heard.append("first"), fragile, lambda _, e: heard.append("last")]
    dispatcher = Dispatcher(store, {"enquiry.filed": subscribers}, backoff_s=0.0)
    tell(store, ("enquiry.filed", "1"))
    assert [dispatcher.run_once() for _ in range(3)] == [0, 0, 1]
    assert heard == ["first", "fragile", "last"]


def test_order_is_kept_over_many_pages(store: Store) -> None:
    heard: list[tuple[str, int]] = []
    tell(store, *(("work.changed", str(number % 7)) for number in range(700)))
    dispatcher = Dispatcher(store, {"work.changed": [lambda _, e: heard.append((e.subject, e.event_id))]})
    assert dispatcher.run_once() == 700
    for subject in "0123456":
        numbers = [number for name, number in heard if name == subject]
        assert numbers == sorted(numbers)
        assert len(numbers) == 100


def test_only_one_dispatcher_works_at_a_time(store: Store) -> None:
    second: list[int] = []
    other = Dispatcher(store, {})
    first = Dispatcher(store, {"enquiry.filed": [lambda *_: second.append(other.run_once())]})
    tell(store, ("enquiry.filed", "1"))
    assert first.run_once() == 1
    assert second == [0]


def test_a_commit_rouses_a_sleeping_dispatcher(store: Store) -> None:
    stop, heard = threading.Event(), threading.Event()
    dispatcher = Dispatcher(store, {"enquiry.filed": [lambda *_: heard.set()]}, poll_s=600.0)
    thread = threading.Thread(target=dispatcher.run, args=(stop,))
    thread.start()
    tell(store, ("enquiry.filed", "1"))
    assert heard.wait(60)
    stop.set()
    tell(store, ("work.changed", "2"))
    thread.join(60)
    assert not thread.is_alive()
