"""Technical records that nobody needs any more: told events, sent notices, ended jobs, answered calls, files.

Each night one job removes those that are older than the operator keeps them, in small transactions, and asks
for the job of the next night before it begins. What is under way stays whatever its age: events that a
subscriber was not told, notices that wait, jobs that wait or run. The audit log and everything of an enquiry
are no technical records.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from geoinfra.errors import InvalidInput
from geoinfra.flows.ler_exchange import forget_old_exchanges
from geoinfra.flows.nightly import FORGET_TECHNICAL, wait_for_night
from geoinfra.flows.package_jobs import BUILD_PACKAGE
from geoinfra.flows.process_jobs import forget_files
from geoinfra.storage import Store, channels, jobs, outbox
from geoinfra.storage.jobs import JobContext
from geoinfra.storage.records import Transaction

__all__ = ["LEAST_DAYS", "TechnicalRetention"]

LEAST_DAYS = 30
"""Shorter than this no record is kept: calls may be repeated, and packages fetched, for about a month."""

_AT_ONCE = 500  # rows of one transaction

type _Forget = Callable[[Transaction], int]


class TechnicalRetention:
    """The nightly job, and its handler.

    Parameters
    ----------
    days
        How long technical records are kept.

    Raises
    ------
    InvalidInput
        Fewer than :data:`LEAST_DAYS`.
    """

    def __init__(self, days: int) -> None:
        if days < LEAST_DAYS:
            raise InvalidInput(f"Technical records are kept for {LEAST_DAYS} days at least.")
        self._days = days

    def __call__(self, store: Store, context: JobContext) -> dict[str, int]:
        """Remove what is old; return how many rows of each kind."""
        wait_for_night(store, FORGET_TECHNICAL)
        before = datetime.now(UTC) - timedelta(days=self._days)
        kinds: dict[str, _Forget] = {
            "notices": lambda tx: channels.forget_notices(tx, before, _AT_ONCE),
            "events": lambda tx: outbox.forget_told(tx, before, _AT_ONCE),
            # a failed package job tells that its enquiry lacks a package
            "jobs": lambda tx: jobs.forget_ended(tx, before, _AT_ONCE, but_failed=[BUILD_PACKAGE]),
            "calls": lambda tx: forget_old_exchanges(tx, _AT_ONCE),
        }
        gone = {name: _forget_all(store, context, name, forget) for name, forget in kinds.items()}
        return {**gone, "files": forget_files(store)}


def _forget_all(store: Store, context: JobContext, name: str, forget: _Forget) -> int:
    total = 0
    while True:
        context.progress(0.0, name)
        with store.begin() as tx:
            count = forget(tx)
            tx.commit()
        total += count
        if count < _AT_ONCE:
            return total
