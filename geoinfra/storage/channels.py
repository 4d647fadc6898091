"""Channels: where an organisation wants to hear of events; notices: what each channel is told, once.

A notice is one row for a channel and an event, unique, so that an event that is told twice by the dispatcher
is still sent once. The secret of a webhook is kept as it is, because it signs; it leaves the store when it is
made, and for signing.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from geoinfra.errors import NotFound
from geoinfra.storage import schema
from geoinfra.storage.records import Transaction, new_id, now, timestamp

__all__ = [
    "KINDS",
    "OVERLAP",
    "Channel",
    "Notice",
    "add_channel",
    "choosing",
    "disable_channel",
    "failures_in_a_row",
    "forget_notices",
    "get_channel",
    "get_notice",
    "list_channels",
    "mark_failed",
    "mark_sent",
    "newest_notices",
    "put_off",
    "record_notices",
    "remove_channel",
    "rotate_secret",
    "signing_keys",
]

KINDS = ("mail", "webhook")
"""How a channel is reached."""

OVERLAP = timedelta(hours=24)
"""How long the secret before the present one still signs."""

_SECRET_BYTES = 32
_LONGEST_ERROR = 300


@dataclass(frozen=True, slots=True)
class Channel:
    """Where an organisation hears of the events it chose.

    Attributes
    ----------
    organisation
        CVR number.
    kind
        One of :data:`KINDS`.
    target
        A mail address, or the URL of a webhook.
    events
        Names of events, sorted.
    created_at, disabled_at
        UTC text; ``disabled_at`` is ``None`` while it is used.
    """

    channel_id: str
    organisation: str
    kind: str
    target: str
    events: tuple[str, ...]
    created_at: str
    disabled_at: str | None


@dataclass(frozen=True, slots=True)
class Notice:
    """What one channel is told of one event.

    Attributes
    ----------
    state
        ``waiting``, ``sent`` or ``failed``.
    attempts
        How often sending was tried.
    next_at
        UTC text: when it is tried next, or when it was given up.
    sent_at
        UTC text.
    error
        For people: why the last attempt failed.
    """

    notice_id: int
    channel_id: str
    event_id: int
    state: str
    attempts: int
    next_at: str
    sent_at: str | None
    error: str


def add_channel(
    tx: Transaction, organisation: str, kind: str, target: str, events: Iterable[str]
) -> tuple[Channel, str]:
    """Record a channel; the caller has checked what it holds.

    Returns
    -------
    tuple
        The channel, and the secret of a webhook (``whsec_`` and Base64), shown this once; empty for mail.
    """
    channel = Channel(new_id(), organisation, kind, target, tuple(sorted(set(events))), now(), None)
    key = secrets.token_bytes(_SECRET_BYTES) if kind == "webhook" else b""
    tx.execute(
        sa.insert(schema.channels).values(
            channel_id=channel.channel_id,
            organisation=organisation,
            kind=kind,
            target=target,
            secret=_kept(key),
            events=json.dumps(channel.events),
            created_at=channel.created_at,
        )
    )
    return channel, _shown(key)


def list_channels(connection: sa.Connection, organisation: str | None = None) -> list[Channel]:
    """Return the channels of an organisation, or all, oldest first; also the disabled ones."""
    query = sa.select(schema.channels).order_by(schema.channels.c.channel_id)
    if organisation is not None:
        query = query.where(schema.channels.c.organisation == organisation)
    return [_channel(row) for row in connection.execute(query)]


def choosing(connection: sa.Connection, organisations: Iterable[str], event: str, at: str) -> list[Channel]:
    """Return the channels in use of these organisations that chose `event` and are not younger than `at`."""
    table = schema.channels
    query = sa.select(table).where(
        table.c.organisation.in_(list(organisations)),
        table.c.disabled_at.is_(None),
        table.c.created_at <= at,
    )
    found = [_channel(row) for row in connection.execute(query.order_by(table.c.channel_id))]
    return [channel for channel in found if event in channel.events]


def get_channel(connection: sa.Connection, channel_id: str, organisation: str | None = None) -> Channel:
    """Return a channel; with `organisation` only one of its own.

    Raises
    ------
    NotFound
        There is none, or it is somebody else's.
    """
    table = schema.channels
    row = None
    if channel_id.isascii() and channel_id.isalnum():  # PostgreSQL refuses a NUL with an error of its own
        row = connection.execute(sa.select(table).where(table.c.channel_id == channel_id)).one_or_none()
    if row is None or organisation not in (None, row.organisation):
        raise NotFound("There is no such channel.", hint="The list of your channels tells their ids.")
    return _channel(row)


def disable_channel(tx: Transaction, channel_id: str) -> bool:
    """Use a channel no more, and keep it in the list; say whether it was in use."""
    ours = schema.channels.c.channel_id == channel_id
    statement = sa.update(schema.channels).where(ours, schema.channels.c.disabled_at.is_(None))
    return tx.execute(statement.values(disabled_at=now())).rowcount == 1


def remove_channel(tx: Transaction, channel_id: str) -> None:
    """Forget a channel, its secret and its notices."""
    tx.execute(sa.delete(schema.notices).where(schema.notices.c.channel_id == channel_id))
    tx.execute(sa.delete(schema.channels).where(schema.channels.c.channel_id == channel_id))


def rotate_secret(tx: Transaction, channel_id: str) -> str:
    """Make a new secret and return it; the one before signs beside it for :data:`OVERLAP`."""
    ours = schema.channels.c.channel_id == channel_id
    kept = json.loads(tx.connection.execute(sa.select(schema.channels.c.secret).where(ours)).scalar_one())
    key = secrets.token_bytes(_SECRET_BYTES)
    until = timestamp(datetime.now(UTC) + OVERLAP)
    tx.execute(sa.update(schema.channels).where(ours).values(secret=_kept(key, kept["key"], until)))
    return _shown(key)


def signing_keys(connection: sa.Connection, channel_id: str) -> tuple[bytes, ...]:
    """Return the keys that sign for a webhook, the present one first. For sending only."""
    table = schema.channels
    kept = json.loads(
        connection.execute(sa.select(table.c.secret).where(table.c.channel_id == channel_id)).scalar_one()
    )
    texts = [kept["key"]]
    if kept.get("before_until", "") > now():
        texts.append(kept["before"])
    return tuple(bytes.fromhex(text) for text in texts)


def _kept(key: bytes, before: str = "", before_until: str = "") -> bytes:
    document = {"key": key.hex()}
    if before:
        document |= {"before": before, "before_until": before_until}
    return json.dumps(document).encode()


def _shown(key: bytes) -> str:
    return f"whsec_{base64.b64encode(key).decode()}" if key else ""


def _channel(row: sa.Row[Any]) -> Channel:
    return Channel(
        row.channel_id,
        row.organisation,
        row.kind,
        row.target,
        tuple(json.loads(row.events)),
        row.created_at,
        row.disabled_at,
    )


# ---------------------------------------------------------------------------------------------- notices


def record_notices(tx: Transaction, event_id: int, channel_ids: Sequence[str]) -> list[int]:
    """Record that channels are to be told of an event; return the ids of those that were not known yet."""
    dialect = sqlite if tx.connection.dialect.name == "sqlite" else postgresql
    recorded = []
    for channel_id in channel_ids:
        statement = (
            dialect.insert(schema.notices)
            .values(
                channel_id=channel_id,
                event_id=event_id,
                state="waiting",
                attempts=0,
                next_at=now(),
                error="",
            )
            .on_conflict_do_nothing(index_elements=["channel_id", "event_id"])
            .returning(schema.notices.c.notice_id)
        )
        notice_id = tx.connection.scalar(statement)
        if notice_id is not None:
            recorded.append(int(notice_id))
    return recorded


def get_notice(connection: sa.Connection, notice_id: int) -> Notice | None:
    """Return a notice, or ``None`` when its channel was removed."""
    query = sa.select(schema.notices).where(schema.notices.c.notice_id == notice_id)
    row = connection.execute(query).one_or_none()
    return _notice(row) if row else None


def newest_notices(connection: sa.Connection, channel_ids: Sequence[str]) -> dict[str, Notice]:
    """Return the newest notice of each channel that has one."""
    table = schema.notices
    newest = (
        sa.select(sa.func.max(table.c.notice_id))
        .where(table.c.channel_id.in_(channel_ids))
        .group_by(table.c.channel_id)
    )
    rows = connection.execute(sa.select(table).where(table.c.notice_id.in_(newest)))
    return {row.channel_id: _notice(row) for row in rows}


def mark_sent(tx: Transaction, notice_id: int) -> None:
    """Record that the receiver has taken a notice."""
    _change(tx, notice_id, state="sent", sent_at=now(), attempts=schema.notices.c.attempts + 1, error="")


def put_off(tx: Transaction, notice_id: int, next_at: datetime, error: str = "") -> None:
    """Record when a notice is tried again; with `error` an attempt has failed."""
    values: dict[str, Any] = {"next_at": timestamp(next_at)}
    if error:
        values |= {"attempts": schema.notices.c.attempts + 1, "error": error[:_LONGEST_ERROR]}
    _change(tx, notice_id, **values)


def mark_failed(tx: Transaction, notice_id: int, error: str, *, attempted: bool = True) -> None:
    """Record that a notice is given up."""
    attempts = schema.notices.c.attempts + int(attempted)
    _change(tx, notice_id, state="failed", attempts=attempts, error=error[:_LONGEST_ERROR], next_at=now())


def failures_in_a_row(connection: sa.Connection, channel_id: str) -> int:
    """Return how many notices of a channel were given up since one was last sent."""
    table = schema.notices
    ours = table.c.channel_id == channel_id
    sent = sa.select(sa.func.coalesce(sa.func.max(table.c.sent_at), "")).where(ours, table.c.state == "sent")
    last = connection.scalar(sent)
    query = sa.select(sa.func.count()).where(ours, table.c.state == "failed", table.c.next_at > last)
    return int(connection.scalar(query) or 0)


def forget_notices(tx: Transaction, before: datetime, most: int) -> int:
    """Remove notices that were sent or given up before a moment; return how many, at most `most`.

    The newest of each channel stays: it tells how the channel fares, and no number is given twice.
    """
    table, outbox = schema.notices, schema.outbox
    newest = sa.select(sa.func.max(table.c.notice_id)).group_by(table.c.channel_id)
    untold = sa.select(outbox.c.event_id).where(outbox.c.delivered_at.is_(None))
    moment = timestamp(before)
    ended = sa.or_(
        sa.and_(table.c.state == "failed", table.c.next_at < moment),
        sa.and_(table.c.state == "sent", table.c.sent_at < moment),
    )
    query = sa.select(table.c.notice_id).where(
        ended, table.c.notice_id.not_in(newest), table.c.event_id.not_in(untold)
    )
    doomed = tx.connection.scalars(query.order_by(table.c.notice_id).limit(most)).all()
    tx.execute(sa.delete(table).where(table.c.notice_id.in_(doomed)))
    return len(doomed)


def _change(tx: Transaction, notice_id: int, **values: Any) -> None:
    table = schema.notices
    tx.execute(
        sa.update(table).where(table.c.notice_id == notice_id, table.c.state == "waiting").values(values)
    )


def _notice(row: sa.Row[Any]) -> Notice:
    return Notice(**{name: row._mapping[name] for name in Notice.__dataclass_fields__})
