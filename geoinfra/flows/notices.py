"""Tell organisations what happened: notices from the outbox, each sent by a job of its own.

The dispatcher tells of an event at least once; the notice of a channel and an event is one row, so that it is
made once. A job is one attempt: its end, the notice's state and the job of the next attempt are one
transaction. A sender that dies between sending and that transaction sends again, with the same event id.

How a message travels is not known here: the caller hands in a transport for each kind of channel.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from geoinfra.access import Access
from geoinfra.errors import StorageFull, StorageUnavailable
from geoinfra.flows.concerns import Part, announcement, page_of, to_notify
from geoinfra.flows.notice_facts import facts_of
from geoinfra.presentation.notice_letters import Letter, letter
from geoinfra.storage import Store, channels, jobs, outbox
from geoinfra.storage.channels import Channel, Notice
from geoinfra.storage.jobs import JobContext
from geoinfra.storage.outbox import Event
from geoinfra.storage.records import Transaction

__all__ = ["PAUSES_S", "SEND_NOTICE", "Message", "NoticeSender", "Transport", "Undelivered", "make_notices"]

SEND_NOTICE = "send-notice"
"""Kind of the job that sends one notice."""

PAUSES_S = (30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 28_800)
"""Pauses between attempts, in seconds: ten attempts in about 24 hours."""

MOST_FAILURES = 10
"""Notices of a channel given up in a row after which it is disabled."""

_FIRST_REST_S = 10.0
_LONGEST_REST_S = 300.0
_SYSTEM = Access("system:notices")
_log = logging.getLogger(__name__)


class Undelivered(Exception):
    """A transport could not deliver.

    Parameters
    ----------
    reason
        One sentence that the channel's organisation may read; it tells nothing of other networks.
    final
        Trying again would change nothing.
    ours
        The fault is the installation's own, so that it does not count against the channel.
    """

    def __init__(self, reason: str, *, final: bool = False, ours: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.final = final
        self.ours = ours


@dataclass(frozen=True, slots=True)
class Message:
    """One notice as it is sent.

    Attributes
    ----------
    event_id
        The receiver knows a repetition by it.
    document
        For programs, JSON-ready; the same at each attempt.
    letter
        For people; it tells the state of things when it is written.
    keys
        Keys that sign it, the present one first; empty for mail.
    """

    channel: Channel
    event_id: int
    event: str
    document: Mapping[str, Any]
    letter: Letter
    keys: tuple[bytes, ...] = field(default=(), repr=False)


type Transport = Callable[[Message], None]
"""Delivers a message, or raises :class:`Undelivered`."""


def make_notices(store: Store, event: Event) -> None:
    """Record what each channel concerned is to be told, and a job for each; a subscriber of the outbox."""
    with store.read() as connection:
        chosen = _channels_for(connection, event)
    if not chosen:
        return
    with store.begin() as tx:
        for notice_id in channels.record_notices(tx, event.event_id, [one.channel_id for one in chosen]):
            jobs.enqueue(tx, SEND_NOTICE, {"notice": notice_id}, _SYSTEM, key=f"notice:{notice_id}:1")
        tx.commit()


def _channels_for(connection: sa.Connection, event: Event) -> Sequence[Channel]:
    if event.event == "channel.tested":
        found = channels.list_channels(connection, event.payload["organisation"])
        return [one for one in found if one.channel_id == event.subject and not one.disabled_at]
    (concerned,) = to_notify(connection, [event])
    return channels.choosing(connection, concerned, event.event, event.created_at) if concerned else []


class NoticeSender:
    """Handler of the jobs that send notices; safe to share between workers.

    A channel whose receiver just failed rests for a moment (10 s, doubled for each further failure, at most
    five minutes), and its other notices wait, so that a dead receiver does not hold up those of others.

    Parameters
    ----------
    transports
        Kind of channel -> how its messages are delivered.
    address
        Public address of the installation, for links; without a slash at its end.
    pauses_s
        Pauses after the first, second ... failed attempt; after the last of them the notice is given up.
    first_rest_s
        How long a channel rests after a first failure.
    """

    def __init__(
        self,
        transports: Mapping[str, Transport],
        address: str,
        *,
        pauses_s: Sequence[float] = PAUSES_S,
        first_rest_s: float = _FIRST_REST_S,
    ) -> None:
        self._transports = dict(transports)
        self._address = address
        self._pauses_s = tuple(pauses_s)
        self._first_rest_s = first_rest_s
        self._resting: dict[str, tuple[int, float]] = {}  # channel -> failures, monotonic end of its rest
        self._lock = threading.Lock()

    def __call__(self, store: Store, context: JobContext) -> Mapping[str, Any] | None:
        """Send the notice that the job names, and record what came of it."""
        with store.read() as connection:
            notice = channels.get_notice(connection, context.payload["notice"])
            if notice is None or notice.state != "waiting":
                return {"state": "gone"}
            channel = channels.get_channel(connection, notice.channel_id)
        if (rest_s := self._rest_of(channel.channel_id)) > 0:
            return self._wait(store, context, notice, rest_s)
        try:
            self._deliver(store, channel, notice)
        except Undelivered as failure:
            return self._failed(store, context, channel, notice, failure)
        with self._lock:
            self._resting.pop(channel.channel_id, None)
        with store.begin() as tx:
            channels.mark_sent(tx, notice.notice_id)
            context.finish(tx, {"state": "sent"})
            tx.commit()
        return None

    def _deliver(self, store: Store, channel: Channel, notice: Notice) -> None:
        if channel.disabled_at:
            raise Undelivered("The channel is disabled.", final=True, ours=True)
        try:
            transport = self._transports.get(channel.kind)
            if transport is None:
                raise Undelivered(f"This installation sends no {channel.kind}.", ours=True)
            with store.read() as connection:
                message = _message(connection, channel, notice, self._address)
            transport(message)
        except (Undelivered, StorageFull, StorageUnavailable):
            raise
        except Exception as error:
            _log.exception("notice %d could not be sent", notice.notice_id)
            raise Undelivered("Something unexpected happened.", ours=True) from error

    def _wait(
        self, store: Store, context: JobContext, notice: Notice, rest_s: float
    ) -> Mapping[str, Any] | None:
        with store.begin() as tx:
            self._again(tx, notice, rest_s)
            context.finish(tx, {"state": "resting"})
            tx.commit()
        return None

    def _failed(
        self, store: Store, context: JobContext, channel: Channel, notice: Notice, failure: Undelivered
    ) -> Mapping[str, Any] | None:
        give_up = failure.final or notice.attempts >= len(self._pauses_s)
        if not failure.final:
            self._rest(channel.channel_id)
        with store.begin() as tx:
            if give_up:
                channels.mark_failed(tx, notice.notice_id, failure.reason)
                if not failure.ours:
                    _disable_if_dead(tx, channel)
            else:
                self._again(tx, notice, self._pauses_s[notice.attempts], failure.reason)
            context.finish(tx, {"state": "failed" if give_up else "waiting", "reason": failure.reason})
            tx.commit()
        return None

    def _again(self, tx: Transaction, notice: Notice, pause_s: float, reason: str = "") -> None:
        moment = datetime.now(UTC) + timedelta(seconds=pause_s)
        channels.put_off(tx, notice.notice_id, moment, reason)
        jobs.enqueue(tx, SEND_NOTICE, {"notice": notice.notice_id}, _SYSTEM, run_after=moment)

    def _rest(self, channel_id: str) -> None:
        with self._lock:
            failures = self._resting.get(channel_id, (0, 0.0))[0] + 1
            rest_s = min(self._first_rest_s * 2 ** min(failures - 1, 20), _LONGEST_REST_S)
            self._resting[channel_id] = failures, time.monotonic() + rest_s

    def _rest_of(self, channel_id: str) -> float:
        with self._lock:
            return self._resting.get(channel_id, (0, 0.0))[1] - time.monotonic()


def _message(connection: sa.Connection, channel: Channel, notice: Notice, address: str) -> Message:
    event = outbox.get_event(connection, notice.event_id)
    parts = _parts(connection, channel, event)
    facts = facts_of(connection, event, parts, channel, page_of(event, address))
    keys = channels.signing_keys(connection, channel.channel_id) if channel.kind == "webhook" else ()
    return Message(channel, event.event_id, event.event, announcement(event, address), letter(facts), keys)


def _parts(connection: sa.Connection, channel: Channel, event: Event) -> frozenset[Part]:
    """Return what the channel's organisation has to do with the event now."""
    if event.event == "channel.tested":
        return frozenset({Part.HOLDER})
    (concerned,) = to_notify(connection, [event])
    parts = concerned.get(channel.organisation)
    if not parts:
        raise Undelivered("The event no longer concerns this organisation.", final=True, ours=True)
    return parts


def _disable_if_dead(tx: Transaction, channel: Channel) -> None:
    """Disable a channel that takes nothing, and tell its organisation's other channels and the operator."""
    if channels.failures_in_a_row(tx.connection, channel.channel_id) < MOST_FAILURES:
        return
    if channels.disable_channel(tx, channel.channel_id):
        payload = {"organisation": channel.organisation, "kind": channel.kind}
        outbox.emit(tx, "channel.disabled", channel.channel_id, payload)
