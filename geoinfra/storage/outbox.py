"""The outbox: events recorded in the transaction of their cause, told to subscribers after it."""

from __future__ import annotations

import fcntl
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from geoinfra.errors import InvalidInput, NotFound, StorageFull, StorageUnavailable
from geoinfra.storage.bells import Bell, ring_after
from geoinfra.storage.records import Records, Transaction, now, timestamp
from geoinfra.storage.schema import counters, notices, outbox

if TYPE_CHECKING:
    from geoinfra.storage import Store

__all__ = [
    "EVENTS",
    "Dispatcher",
    "Event",
    "Subscriber",
    "emit",
    "events_after",
    "forget_all",
    "forget_told",
    "forgotten_event",
    "get_event",
    "settled_event",
]

EVENTS = frozenset(
    {
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
    }
)
"""Every event that geoinfra tells."""

_BELL = "dispatcher"
_LOCK_KEY = 0x6765_6F6F_7574_626F  # "geooutbo": PostgreSQL advisory lock of the one dispatcher
_PAGE_ROWS = 200
_FORGOTTEN = "events-forgotten"  # counter: the highest number of an event that was forgotten
_WRITERS = """
    SELECT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted AND relation = 'outbox'::regclass
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
_WRITERS_AGAIN_S = 0.01
_LONGEST_BACKOFF_S = 300.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened and is durable.

    Attributes
    ----------
    event_id
        Ascending number; tells a repetition from a new event.
    event
        One of :data:`EVENTS`.
    subject
        What it is about.
    payload
        Further identifiers.
    created_at
        When, UTC text.
    attempts
        How often its telling has failed.
    """

    event_id: int
    event: str
    subject: str
    payload: Mapping[str, Any]
    created_at: str
    attempts: int


type Subscriber = Callable[[Store, Event], object]
"""Is told of events, now and then twice; raises to be told again."""


def emit(tx: Transaction, event: str, subject: str, payload: Mapping[str, Any]) -> None:
    """Record an event; subscribers hear of it after the commit, and never if there is none.

    Parameters
    ----------
    event
        One of :data:`EVENTS`.
    subject
        What it is about, for instance an enquiry's number; events of one subject are told in order.
    payload
        JSON-ready. Identifiers only, never rows of protected data.

    Raises
    ------
    InvalidInput
        `event` is not one of ours.
    """
    if event not in EVENTS:
        raise InvalidInput(f"'{event}' is not an event.", hint=f"Events are: {', '.join(sorted(EVENTS))}.")
    tx.execute(
        sa.insert(outbox).values(
            event=event,
            subject=subject,
            payload=json.dumps(payload, ensure_ascii=False, allow_nan=False),
            created_at=now(),
        )
    )
    ring_after(tx, _BELL)


def get_event(connection: sa.Connection, event_id: int) -> Event:
    """Return one event.

    Raises
    ------
    NotFound
        There is no such event.
    """
    row = connection.execute(sa.select(outbox).where(outbox.c.event_id == event_id)).one_or_none()
    if row is None:
        raise NotFound("There is no such event.")
    return _event(row)


def events_after(connection: sa.Connection, event_id: int, last: int, limit: int) -> list[Event]:
    """Return the events numbered above `event_id` up to and with `last`, in order, at most `limit`."""
    if event_id >= last:  # a client may name any number, also one that the database has no type for
        return []
    query = sa.select(outbox).where(outbox.c.event_id > event_id, outbox.c.event_id <= last)
    return [_event(row) for row in connection.execute(query.order_by(outbox.c.event_id).limit(limit))]


def forget_told(tx: Transaction, before: datetime, most: int) -> int:
    """Remove events that all subscribers were told before a moment; return how many, at most `most`.

    An event that a notice still waits for stays, and the newest event does, so that no number is given twice.
    """
    newest = sa.select(sa.func.max(outbox.c.event_id)).scalar_subquery()
    needed = sa.exists().where(notices.c.event_id == outbox.c.event_id, notices.c.state == "waiting")
    old = outbox.c.delivered_at < timestamp(before), outbox.c.event_id < newest
    query = sa.select(outbox.c.event_id).where(*old, ~needed).order_by(outbox.c.event_id).limit(most)
    doomed = tx.connection.scalars(query).all()
    if doomed:
        tx.execute(sa.delete(outbox).where(outbox.c.event_id.in_(doomed)))
        _note_forgotten(tx, doomed[-1])
    return len(doomed)


def forget_all(tx: Transaction, subject: str) -> None:
    """Remove every event, told or not; one that tells nothing stays, so that no number is given twice."""
    newest = tx.connection.scalar(sa.select(sa.func.max(outbox.c.event_id)))
    if newest is None:
        return
    tx.execute(sa.delete(outbox).where(outbox.c.event_id < newest))
    empty = {"event": "channel.tested", "subject": subject, "payload": "{}", "delivered_at": now()}
    tx.execute(sa.update(outbox).where(outbox.c.event_id == newest).values(**empty))
    _note_forgotten(tx, newest)


def _note_forgotten(tx: Transaction, event_id: int) -> None:
    dialect = sqlite if tx.connection.dialect.name == "sqlite" else postgresql
    noted = dialect.insert(counters).values(name=_FORGOTTEN, value=event_id)
    higher = counters.c.value < event_id
    tx.execute(noted.on_conflict_do_update(index_elements=["name"], set_={"value": event_id}, where=higher))


def forgotten_event(connection: sa.Connection) -> int:
    """Return the highest number of an event that is not kept any more, 0 where all are."""
    query = sa.select(counters.c.value).where(counters.c.name == _FORGOTTEN)
    return int(connection.scalar(query) or 0)


def settled_event(records: Records, patience_s: float = 1.0) -> int | None:
    """Return a number up to which no event can still appear; ``None``: ask again in a moment.

    Who reads events by their number must not pass one whose transaction is still under way. On SQLite
    transactions follow each other; on PostgreSQL a later number may be committed first. There the newest
    number is settled once everybody who was writing events when it was read has ended.
    """
    with records.read() as connection:
        newest = int(connection.scalar(sa.select(sa.func.coalesce(sa.func.max(outbox.c.event_id), 0))) or 0)
    if records.is_sqlite:
        return newest
    give_up_s = time.monotonic() + patience_s
    writers = _writers(records)
    while writers and time.monotonic() < give_up_s:
        time.sleep(_WRITERS_AGAIN_S)
        writers &= _writers(records)
    return None if writers else newest


def _writers(records: Records) -> set[str]:
    """Return the transactions that have written events and have not ended."""
    with records.read() as connection:
        return set(connection.scalars(sa.text(_WRITERS)))


def _event(row: sa.Row[Any]) -> Event:
    return Event(row.event_id, row.event, row.subject, json.loads(row.payload), row.created_at, row.attempts)


class Dispatcher:
    """Tells subscribers of events: at least once, and in order for each subject.

    An event whose subscriber raises is told again later; until then the events of its subject wait, those of
    others do not. One dispatcher works at a time, also with several processes; the others stand by.

    Parameters
    ----------
    store
        Where the events are.
    subscribers
        Event name -> functions, called in this order as ``subscriber(store, event)``.
    poll_s
        How long a lost wake-up may be overlooked.
    backoff_s
        Pause after a first failure; doubled for each further one, at most five minutes.

    Raises
    ------
    InvalidInput
        A name is not an event's.
    """

    def __init__(
        self,
        store: Store,
        subscribers: Mapping[str, Sequence[Subscriber]],
        *,
        poll_s: float = 1.0,
        backoff_s: float = 1.0,
    ) -> None:
        for name in subscribers.keys() - EVENTS:
            raise InvalidInput(f"'{name}' is not an event.", hint=f"Events are: {', '.join(sorted(EVENTS))}.")
        self._store = store
        self._subscribers = {name: tuple(functions) for name, functions in subscribers.items()}
        self._poll_s = poll_s
        self._backoff_s = backoff_s
        self._told: dict[int, int] = {}  # event -> how many of its subscribers were told already
        self._not_before_s: dict[int, float] = {}  # event -> monotonic moment of its next attempt

    def run(self, stop: threading.Event) -> None:
        """Tell events until `stop` is set."""
        with Bell(self._store.records, _BELL) as bell:
            while not stop.is_set():
                try:
                    self.run_once()
                    bell.wait(self._poll_s)
                except (StorageFull, StorageUnavailable) as error:
                    _log.warning("the dispatcher cannot reach its events: %s", error)
                    stop.wait(self._poll_s)

    def run_once(self) -> int:
        """Tell every event that is due, and return how many were told to all their subscribers."""
        with _alone(self._store.records) as alone:
            return self._tell_all() if alone else 0

    def _tell_all(self) -> int:
        held: set[str] = set()  # subjects with an event that failed
        told, last = 0, 0
        while events := self._waiting_after(last):
            done = [event.event_id for event in events if self._tell_in_order(event, held)]
            self._mark_delivered(done)
            told += len(done)
            last = events[-1].event_id
        return told

    def _waiting_after(self, event_id: int) -> list[Event]:
        query = (
            sa.select(outbox)
            .where(outbox.c.delivered_at.is_(None), outbox.c.event_id > event_id)
            .order_by(outbox.c.event_id)
            .limit(_PAGE_ROWS)
        )
        with self._store.read() as connection:
            return [_event(row) for row in connection.execute(query)]

    def _tell_in_order(self, event: Event, held: set[str]) -> bool:
        if event.subject in held:
            return False
        if time.monotonic() < self._not_before_s.get(event.event_id, 0.0) or not self._tell(event):
            held.add(event.subject)
            return False
        return True

    def _tell(self, event: Event) -> bool:
        subscribers = self._subscribers.get(event.event, ())
        for number in range(self._told.get(event.event_id, 0), len(subscribers)):
            try:
                subscribers[number](self._store, event)
            except Exception:
                _log.exception("a subscriber of %s (event %d) failed", event.event, event.event_id)
                self._note_failure(event, told=number)
                return False
        return True

    def _note_failure(self, event: Event, told: int) -> None:
        self._told[event.event_id] = told
        pause_s = min(self._backoff_s * 2 ** min(event.attempts, 20), _LONGEST_BACKOFF_S)
        self._not_before_s[event.event_id] = time.monotonic() + pause_s
        with self._store.begin() as tx:
            ours = outbox.c.event_id == event.event_id
            tx.execute(sa.update(outbox).where(ours).values(attempts=outbox.c.attempts + 1))
            tx.commit()

    def _mark_delivered(self, event_ids: Sequence[int]) -> None:
        if not event_ids:
            return
        with self._store.begin() as tx:
            tx.execute(sa.update(outbox).where(outbox.c.event_id.in_(event_ids)).values(delivered_at=now()))
            tx.commit()
        for event_id in event_ids:
            self._told.pop(event_id, None)
            self._not_before_s.pop(event_id, None)


@contextmanager
def _alone(records: Records) -> Iterator[bool]:
    """Be the only dispatcher while the block runs; gives ``False`` where another one is."""
    if not records.is_sqlite:
        with records.begin() as tx:  # the lock ends with the transaction, also when the process dies
            yield bool(tx.connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK_KEY))))
        return
    with Path(f"{records.url.database}.dispatcher").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
