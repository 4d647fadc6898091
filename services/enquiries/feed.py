"""Events as they happen, for many listeners: one thread reads the outbox when its bell rings.

A listener holds no thread and asks no database: what is new is read once, with whom it concerns, and kept for
a while. Only a listener who comes back after a longer absence reads pages of the outbox himself.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence

import orjson
from starlette.concurrency import run_in_threadpool

from geoinfra.access import Access, Role
from geoinfra.errors import GeoinfraError, InvalidInput, StorageUnavailable, TooManyRequests
from geoinfra.flows.concerns import Concerned, Part, announcement, to_show
from geoinfra.storage import Store
from geoinfra.storage.bells import Bell, ring
from geoinfra.storage.outbox import Event, events_after, forgotten_event, settled_event

__all__ = ["GAP", "MOST_OF_ONE", "EventFeed", "cursor_of"]

GAP = "feed.gap"
"""Message of the stream to a client who was away for longer than events are kept."""

MOST_OF_ONE = 6
"""Streams that one principal may hold open."""

_MOST = 300
_KEPT_EVENTS = 5_000
_PAGE_EVENTS = 200
_POLL_S = 5.0  # how long a lost ring may be overlooked
_UNSETTLED_S = 0.05
_BELL = "dispatcher"  # rung by every event
_PARTS_OF_ROLE = {
    Role.EXCAVATOR: {Part.FILER},
    Role.OWNER: {Part.OWNERS, Part.OWNER},
    Role.ADMIN: {Part.ADMIN},
}
_log = logging.getLogger(__name__)

type Told = tuple[Event, Concerned]


def cursor_of(last_event_id: str | None, after: int | None) -> int | None:
    """Return the number after which a client wants events; the header wins over the query.

    Raises
    ------
    InvalidInput
        The header is no number of an event.
    """
    if last_event_id is None or not last_event_id.strip():
        return after
    text = last_event_id.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise InvalidInput("Last-Event-ID is not the number of an event.", hint="Send the last id you got.")
    return int(text)


class EventFeed:
    """The streams of one web process.

    Parameters
    ----------
    store
        Where the outbox is.
    address
        Public address of the installation, for links.
    heartbeat_s
        How often a silent stream says that it lives; then the right to listen is judged anew too.
    """

    def __init__(self, store: Store, address: str, *, heartbeat_s: float = 15.0) -> None:
        self._store = store
        self._address = address
        self._heartbeat_s = heartbeat_s
        self._kept: deque[Told] = deque()
        self._floor = self._head = 0  # every event above the floor, up to the head, is kept
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._stop = threading.Event()
        self._reader: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listening: dict[asyncio.Event, str] = {}  # touched by the loop's thread only

    async def open(
        self, access: Access, cursor: int | None, access_now: Callable[[], Access]
    ) -> AsyncIterator[bytes]:
        """Begin a stream.

        Parameters
        ----------
        cursor
            Number of the last event that the client has; ``None`` begins now.
        access_now
            Judges the right to listen anew, or raises; called at each heartbeat.

        Raises
        ------
        TooManyRequests
            The principal, or all together, have too many streams open.
        """
        self._loop = asyncio.get_running_loop()
        self._require_room(access)
        await run_in_threadpool(self._start)
        if cursor is None:
            return self._stream(access, self._head, access_now)
        gap = await run_in_threadpool(self._gap, cursor)
        return self._stream(access, min(cursor, self._head), access_now, gap)

    def end(self) -> None:
        """End every stream soon; may be called from any thread and from a signal handler."""
        self._stop.set()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake_all)

    def close(self) -> None:
        """End the streams and the reading thread."""
        self.end()
        if self._reader is not None:
            ring(self._store.records, _BELL)
            self._reader.join()

    def _require_room(self, access: Access) -> None:
        of_one = Counter(self._listening.values())[access.principal]
        if of_one >= MOST_OF_ONE or len(self._listening) >= _MOST:
            raise TooManyRequests(
                f"At most {MOST_OF_ONE} streams of events are open for one token.",
                hint="Close one, or share one between the parts of your program.",
            )

    def _gap(self, cursor: int) -> bytes:
        """Return the message that events after `cursor` are not kept any more; empty where all are."""
        with self._store.read() as connection:
            forgotten = forgotten_event(connection)
        if cursor >= forgotten:
            return b""
        data = orjson.dumps({"after": cursor, "forgotten_to": forgotten}).decode()
        return f"event: {GAP}\ndata: {data}\n\n".encode()

    async def _stream(
        self, access: Access, cursor: int, access_now: Callable[[], Access], gap: bytes = b""
    ) -> AsyncIterator[bytes]:
        self._require_room(access)
        wake = asyncio.Event()
        self._listening[wake] = access.principal
        try:
            yield f"retry: 3000\nid: {cursor}\n\n".encode()
            if gap:
                yield gap
            beat_at_s = time.monotonic() + self._heartbeat_s
            while not self._stop.is_set():
                wake.clear()
                cursor, lines = await self._after(access, cursor)
                if lines:
                    yield lines
                if time.monotonic() >= beat_at_s:
                    try:
                        access = await run_in_threadpool(access_now)
                    except GeoinfraError:  # the token was revoked or has expired
                        return
                    yield f": alive\nid: {cursor}\n\n".encode()
                    beat_at_s = time.monotonic() + self._heartbeat_s
                if cursor >= self._head:
                    await _sleep(wake, beat_at_s - time.monotonic())
        finally:
            del self._listening[wake]

    async def _after(self, access: Access, cursor: int) -> tuple[int, bytes]:
        """Return what `access` may see of the next events, and the number up to which that is all."""
        with self._lock:
            head, kept = self._head, cursor >= self._floor
            told = [one for one in self._kept if one[0].event_id > cursor] if kept else []
        if not kept:
            told = await run_in_threadpool(self._page, cursor, head)
            head = told[-1][0].event_id if told else head
        organisation, parts = access.require_organisation(), _parts_of(access)
        seen = [event for event, concerned in told if not parts.isdisjoint(concerned.get(organisation, ()))]
        return head, b"".join(self._line(event) for event in seen)

    def _page(self, cursor: int, last: int) -> list[Told]:
        with self._store.read() as connection:
            events = events_after(connection, cursor, last, _PAGE_EVENTS)
            return list(zip(events, to_show(connection, events), strict=True))

    def _line(self, event: Event) -> bytes:
        data = orjson.dumps(announcement(event, self._address)).decode()
        return f"id: {event.event_id}\nevent: {event.event}\ndata: {data}\n\n".encode()

    # ------------------------------------------------------------------------------ the reading thread

    def _start(self) -> None:
        with self._starting:
            if self._reader is not None:
                return
            while (newest := settled_event(self._store.records)) is None:
                continue
            self._floor = self._head = newest
            self._reader = threading.Thread(target=self._read, name="event-feed", daemon=True)
            self._reader.start()

    def _read(self) -> None:
        with Bell(self._store.records, _BELL) as bell:
            while not self._stop.is_set():
                try:
                    settled = self._read_new()
                except StorageUnavailable as error:
                    _log.warning("the feed of events cannot reach the outbox: %s", error)
                    settled = True
                bell.wait(_POLL_S if settled else _UNSETTLED_S)

    def _read_new(self) -> bool:
        """Take up what is new; say whether nothing is left under way."""
        newest = settled_event(self._store.records)
        while newest is not None and self._head < newest and not self._stop.is_set():
            page = self._page(self._head, newest)
            self._keep(page, page[-1][0].event_id if len(page) == _PAGE_EVENTS else newest)
        return newest is not None

    def _keep(self, page: Sequence[Told], head: int) -> None:
        with self._lock:
            self._kept.extend(page)
            while len(self._kept) > _KEPT_EVENTS:
                self._floor = self._kept.popleft()[0].event_id
            self._head = head
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake_all)

    def _wake_all(self) -> None:
        for wake in self._listening:
            wake.set()


def _parts_of(access: Access) -> set[Part]:
    """Return the parts whose events a principal may watch, by its roles."""
    parts = {Part.HOLDER}
    for role in access.roles:
        parts |= _PARTS_OF_ROLE.get(role, set())
    return parts


async def _sleep(wake: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            await wake.wait()
    except TimeoutError:
        return
