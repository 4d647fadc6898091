"""Jobs: work recorded in the transaction of its cause, and the worker that does it.

A worker *leases* a job, keeps the lease alive while it runs, and loses it when it dies; then another takes it.
A handler may therefore run twice, but what it commits together with :meth:`JobContext.finish` happens once.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from geoinfra.access import Access, Role
from geoinfra.errors import Conflict, GeoinfraError, NotFound, StorageFull, StorageUnavailable
from geoinfra.storage.bells import Bell, ring, ring_after
from geoinfra.storage.organisations import access_of
from geoinfra.storage.records import Records, Transaction, new_id, now, timestamp
from geoinfra.storage.schema import jobs, tokens

if TYPE_CHECKING:
    from geoinfra.storage import Store

__all__ = [
    "MAX_ATTEMPTS",
    "Handler",
    "Job",
    "JobCancelled",
    "JobContext",
    "LeaseLost",
    "Worker",
    "cancel",
    "enqueue",
    "get",
    "list_jobs",
    "wake",
]

MAX_ATTEMPTS = 5
"""How often a job is tried before it counts as failed."""

_BELL = "worker"
_PROGRESS_EVERY_S = 0.1
_LONGEST_BACKOFF_S = 300.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands.

    Attributes
    ----------
    job_id
        Identifier that sorts by time and cannot be guessed.
    kind
        Names the handler.
    payload
        What to do.
    principal
        On whose behalf.
    state
        ``queued``, ``running``, ``done``, ``failed`` or ``cancelled``.
    progress
        From 0 to 1.
    message
        For people: what is being done, or why it failed.
    result
        The handler's answer; of a failed job ``{code, title, detail, hint}``.
    attempts
        How often it was started.
    cancel_requested
        Whether somebody asked a running job to stop.
    created_at, run_after, started_at, finished_at
        UTC text.
    """

    job_id: str
    kind: str
    payload: Mapping[str, Any]
    principal: str
    state: str
    progress: float
    message: str
    result: Mapping[str, Any] | None
    attempts: int
    cancel_requested: bool
    created_at: str
    run_after: str
    started_at: str | None
    finished_at: str | None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ("done", "failed", "cancelled")


class JobCancelled(Exception):  # noqa: N818  (a signal, not an error)
    """Raised in a handler that must stop: somebody cancelled its job."""


class LeaseLost(JobCancelled):
    """Raised in a handler that must stop: the job is another worker's now, or this worker shuts down."""


def enqueue(
    tx: Transaction,
    kind: str,
    payload: Mapping[str, Any],
    access: Access,
    key: str | None = None,
    run_after: datetime | None = None,
) -> str:
    """Record a job; a waiting worker starts it at once after the commit.

    Parameters
    ----------
    kind
        Names the handler.
    payload
        JSON-ready. Identifiers and parameters, never rows of protected data.
    access
        The job runs with what this principal may do *then*.
    key
        Makes it happen once: when a job with this key exists, in whatever state, it is the answer.
    run_after
        Aware moment before which it does not start.

    Returns
    -------
    str
        The ``job_id``.
    """
    moment = now()
    dialect = sqlite if tx.connection.dialect.name == "sqlite" else postgresql
    insert = dialect.insert(jobs).values(
        job_id=new_id(),
        kind=kind,
        key=key,
        payload=_json(payload),
        principal=access.principal,
        state="queued",
        progress=0.0,
        message="",
        attempts=0,
        cancel_requested=False,
        created_at=moment,
        run_after=moment if run_after is None else timestamp(run_after),
    )
    statement = insert.on_conflict_do_nothing(index_elements=["key"]).returning(jobs.c.job_id)
    job_id = tx.connection.scalar(statement)
    if job_id is None:
        job_id = tx.connection.scalar(sa.select(jobs.c.job_id).where(jobs.c.key == key))
    ring_after(tx, _BELL)
    return str(job_id)


def wake(store: Store) -> None:
    """Rouse every waiting worker; :func:`enqueue` does it by itself."""
    ring(store.records, _BELL)


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=True, allow_nan=False)
