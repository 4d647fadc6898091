"""The jobs of each night: no person asked for them, and each asks for the next one before it begins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from geoinfra.access import Access, Role
from geoinfra.storage import Store, jobs

__all__ = ["FORGET_ENQUIRIES", "FORGET_TECHNICAL", "NIGHTLY", "NIGHT_WATCH", "wait_for_night"]

FORGET_ENQUIRIES: Final = "forget-enquiries"
FORGET_TECHNICAL: Final = "forget-technical-records"
NIGHTLY: Final = {FORGET_TECHNICAL: 1, FORGET_ENQUIRIES: 2}
"""Kinds of these jobs, each with its hour in UTC: night in Denmark."""

NIGHT_WATCH: Final = Access("system:retention", None, frozenset({Role.ADMIN}))


def wait_for_night(store: Store, kind: str) -> None:
    """Enqueue the job of the coming night; it is there once, however often this is called."""
    moment = datetime.now(UTC)
    at = moment.replace(hour=NIGHTLY[kind], minute=0, second=0, microsecond=0)
    at += timedelta(days=1) if at <= moment else timedelta()
    with store.begin() as tx:
        jobs.enqueue(tx, kind, {}, NIGHT_WATCH, key=f"{kind}:{at.date().isoformat()}", run_after=at)
        tx.commit()
