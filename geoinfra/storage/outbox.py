"""The outbox: events recorded in the transaction of their cause, told to subscribers after it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from geoinfra.errors import InvalidInput
from geoinfra.storage.bells import ring_after
from geoinfra.storage.records import Transaction, now
from geoinfra.storage.schema import outbox

__all__ = ["EVENTS", "emit"]

EVENTS = frozenset(
    {"delivery.published", "enquiry.filed", "answer.stored", "package.ready", "work.changed", "fix.alerted"}
)
"""Every event that geoinfra tells."""


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
    ring_after(tx, "dispatcher")
