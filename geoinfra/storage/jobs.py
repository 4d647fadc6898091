"""Jobs: work recorded in the transaction of its cause, and the worker that does it.

A worker *leases* a job, keeps the lease alive while it runs, and loses it by dying; then another takes it:
at once where both use one data folder, for the dead one's file there is not locked any more, else when the
lease has run out.
A handler may therefore run twice, but what it commits together with :meth:`JobContext.finish` happens once.
"""

from __future__ import annotations

import fcntl
import json
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
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
    "NotYet",
    "Worker",
    "cancel",
    "enqueue",
    "forget_ended",
    "get",
    "list_jobs",
    "wake",
]

MAX_ATTEMPTS = 5
"""How often a job is tried before it counts as failed."""

_BELL = "worker"
_ALIVE = ".alive"
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


class JobCancelled(Exception):
    """Raised in a handler that must stop: somebody cancelled its job."""


class LeaseLost(JobCancelled):
    """Raised in a handler that must stop: the job is another worker's now, or this worker shuts down."""


class NotYet(Exception):
    """Raised in a handler whose turn has not come; the job waits a moment, which counts as no attempt."""


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


def get(store: Store, access: Access, job_id: str) -> Job:
    """Return a job of one's own or one's organisation's; the administrator may see all.

    Anonymous visitors reach the jobs of anonymous visitors by their identifier, which cannot be guessed.

    Raises
    ------
    NotFound
        There is no such job, or it is somebody else's.
    """
    with store.read() as connection:
        return _find(connection, access, job_id)


def list_jobs(store: Store, access: Access, *, limit: int = 100, kind: str | None = None) -> list[Job]:
    """Return the jobs that `access` may see, newest first; an anonymous visitor sees none."""
    if access.principal == Access.anonymous().principal:
        return []
    query = sa.select(jobs).where(_may_see(access)).order_by(jobs.c.job_id.desc()).limit(limit)
    if kind is not None:
        query = query.where(jobs.c.kind == kind)
    with store.read() as connection:
        return [_job(row) for row in connection.execute(query)]


def cancel(tx: Transaction, access: Access, job_id: str) -> Job:
    """Stop a job: at once while it waits, at its next report of progress while it runs.

    Cancelling a cancelled job changes nothing.

    Raises
    ------
    NotFound
        There is no such job, or it is somebody else's.
    Conflict
        It is done or has failed.
    """
    _find(tx.connection, access, job_id)
    ours = jobs.c.job_id == job_id
    tx.execute(
        sa.update(jobs)
        .where(ours, jobs.c.state == "queued")
        .values(state="cancelled", cancel_requested=True, message="Cancelled.", finished_at=now())
    )
    tx.execute(sa.update(jobs).where(ours, jobs.c.state == "running").values(cancel_requested=True))
    job = _find(tx.connection, access, job_id)
    if job.state in ("done", "failed"):
        raise Conflict("The job has ended already.", details={"state": job.state})
    return job


def forget_ended(tx: Transaction, before: datetime, most: int, *, but_failed: Collection[str] = ()) -> int:
    """Remove jobs that ended before a moment; return how many, at most `most`.

    Parameters
    ----------
    but_failed
        Kinds whose failed and cancelled jobs stay.
    """
    ended = jobs.c.state.in_(("done", "failed", "cancelled")), jobs.c.finished_at < timestamp(before)
    kept = sa.and_(jobs.c.kind.in_(list(but_failed)), jobs.c.state != "done")
    query = sa.select(jobs.c.job_id).where(*ended, ~kept).order_by(jobs.c.job_id).limit(most)
    doomed = tx.connection.scalars(query).all()
    tx.execute(sa.delete(jobs).where(jobs.c.job_id.in_(doomed)))
    return len(doomed)


def wake(store: Store) -> None:
    """Rouse every waiting worker; :func:`enqueue` does it by itself."""
    ring(store.records, _BELL)


class JobContext:
    """What a handler knows of its job, and how it reports.

    Attributes
    ----------
    job
        The job as it was when it started.
    access
        What its principal may do now.
    """

    def __init__(self, records: Records, job: Job, lease: str, lease_s: float, stop: threading.Event) -> None:
        self.job = job
        self.access = Access(job.principal)  # nothing, until the worker has looked it up
        self._records = records
        self._mine = sa.and_(
            jobs.c.job_id == job.job_id, jobs.c.lease_owner == lease, jobs.c.state == "running"
        )
        self._lease_s = lease_s
        self._stop = stop
        self._cancelled = job.cancel_requested
        self._lost = False
        self._finished = False
        self._reported_s = -_PROGRESS_EVERY_S

    @property
    def job_id(self) -> str:
        """The job's identifier."""
        return self.job.job_id

    @property
    def payload(self) -> Mapping[str, Any]:
        """What to do."""
        return self.job.payload

    def progress(self, fraction: float, text: str = "") -> None:
        """Report how far the work is; call it often, it writes at most ten times a second.

        Parameters
        ----------
        fraction
            From 0 to 1.
        text
            What is being done, for people.

        Raises
        ------
        JobCancelled
            Somebody cancelled the job; leave everything as it was and let the exception pass.
        LeaseLost
            Another worker has it, or this one shuts down; the same applies.
        """
        if time.monotonic() - self._reported_s >= _PROGRESS_EVERY_S:
            self._renew(progress=max(0.0, min(1.0, fraction)), message=text[:500])
            self._reported_s = time.monotonic()
        self._raise_if_over()

    def finish(self, tx: Transaction, result: Mapping[str, Any] | None = None) -> None:
        """Mark the job done in the handler's own transaction, so that its effect happens exactly once.

        Raises
        ------
        LeaseLost
            The job is no longer this worker's; the transaction must not be committed.
        """
        self._end(tx, "done", progress=1.0, result=_json(result or {}))
        tx.after_commit.append(self._mark_finished)

    def _mark_finished(self) -> None:
        self._finished = True

    def _raise_if_over(self) -> None:
        if self._cancelled:
            raise JobCancelled
        if self._lost or self._stop.is_set():
            raise LeaseLost

    def _renew(self, **values: Any) -> None:
        """Prolong the lease, and learn whether the job was cancelled or taken."""
        renewal = (
            sa.update(jobs)
            .where(self._mine)
            .values(lease_until=_in(self._lease_s), **values)
            .returning(jobs.c.cancel_requested)
        )
        with self._records.begin() as tx:
            cancelled = tx.connection.scalar(renewal)
            tx.commit()
        self._lost = cancelled is None and not self._finished
        self._cancelled = bool(cancelled)

    def _end(self, tx: Transaction, state: str, **values: Any) -> None:
        ending = {"state": state, "finished_at": now(), "lease_owner": None, "lease_until": None, **values}
        if tx.execute(sa.update(jobs).where(self._mine).values(ending)).rowcount != 1:
            raise LeaseLost

    def _release(self, **values: Any) -> None:
        """Give the job back to the queue or end it, unless it is no longer ours."""
        freed = {"lease_owner": None, "lease_until": None, **values}
        with self._records.begin() as tx:
            tx.execute(sa.update(jobs).where(self._mine).values(freed))
            tx.commit()

    @contextmanager
    def _beating(self) -> Iterator[None]:
        """Keep the lease alive from a thread of its own while the block runs."""
        over = threading.Event()
        heart = threading.Thread(target=self._beat, args=(over,), name=f"lease-{self.job_id}", daemon=True)
        heart.start()
        try:
            yield
        finally:
            over.set()
            heart.join()

    def _beat(self, over: threading.Event) -> None:
        while not over.wait(self._lease_s / 3):
            try:
                self._renew()
            except GeoinfraError as error:
                _log.warning("job %s: the lease was not renewed: %s", self.job_id, error)


type Handler = Callable[[Store, JobContext], Mapping[str, Any] | None]
"""Does one kind of job; its answer becomes the job's result unless it called :meth:`JobContext.finish`."""


class Worker:
    """Does jobs one after another; any number may run, in threads, processes and (PostgreSQL) on machines.

    A handler's :class:`~geoinfra.errors.GeoinfraError` fails the job at once, because trying again would
    change nothing; a full or unreachable store and unexpected errors are tried again, five times in all.

    Parameters
    ----------
    store
        Where the jobs are.
    handlers
        Kind -> handler; other kinds are left to other workers.
    lease_s
        How long after its death the job of a worker with another data folder is taken over. Clocks of several
        machines must agree better.
    poll_s
        How long a lost wake-up, a retry or a takeover may be overlooked.
    backoff_s
        Pause before the second attempt; doubled for each further one, at most five minutes.
    """

    def __init__(
        self,
        store: Store,
        handlers: Mapping[str, Handler],
        *,
        lease_s: float = 30.0,
        poll_s: float = 1.0,
        backoff_s: float = 2.0,
    ) -> None:
        self._store = store
        self._handlers = dict(handlers)
        self._lease_s = lease_s
        self._poll_s = poll_s
        self._backoff_s = backoff_s
        self._taking = _taking(self._handlers)
        self._name = new_id()

    def run(self, stop: threading.Event) -> None:
        """Do jobs until `stop` is set; a job under way then returns to the queue at its next progress."""
        with self._known_as_alive() as folder, Bell(self._store.records, _BELL) as bell:
            rang = False
            while not stop.is_set():
                try:
                    if not rang:
                        _free_jobs_of_the_dead(self._store, folder)
                    rang = self.run_one(stop) or bell.wait(self._poll_s)
                except (StorageFull, StorageUnavailable) as error:
                    _log.warning("the worker cannot reach its jobs: %s", error)
                    stop.wait(self._poll_s)

    def run_one(self, stop: threading.Event | None = None) -> bool:
        """Do the job that has waited longest; say whether there was one."""
        context = self._lease(stop or threading.Event())
        if context is None:
            return False
        try:
            with context._beating():
                self._do(context)
        except LeaseLost:
            _log.info("job %s was given up", context.job_id)
            context._release(state="queued", attempts=context.job.attempts - 1)
        except NotYet:
            attempts = context.job.attempts - 1
            context._release(state="queued", attempts=attempts, run_after=_in(self._poll_s))
        except JobCancelled:
            context._release(state="cancelled", finished_at=now(), message="Cancelled.")
        except (StorageFull, StorageUnavailable) as error:
            self._try_again(context, error)
        except GeoinfraError as error:
            _fail(context, error)
        except Exception:
            _log.exception("job %s (%s) failed", context.job_id, context.job.kind)
            self._try_again(
                context, GeoinfraError("Something unexpected happened.", hint="See the server's log.")
            )
        return True

    @contextmanager
    def _known_as_alive(self) -> Iterator[Path]:
        """Hold a locked file named after this worker; gives the folder of all of them."""
        folder = self._store.data_dir / "workers"
        folder.mkdir(exist_ok=True)
        path = folder / f"{self._name}{_ALIVE}"
        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # freed with the process, also by SIGKILL
            yield folder
            path.unlink(missing_ok=True)

    def _lease(self, stop: threading.Event) -> JobContext | None:
        """Take the next job: queued and due, or abandoned by a worker that died."""
        lease = f"{self._name}.{new_id()}"
        with self._store.begin() as tx:
            values = {"moment": now(), "lease": lease, "until": _in(self._lease_s)}
            row = tx.execute(self._taking, values).one_or_none()
            tx.commit()
        return row and JobContext(self._store.records, _job(row), lease, self._lease_s, stop)

    def _do(self, context: JobContext) -> None:
        context._raise_if_over()
        if context.job.attempts > MAX_ATTEMPTS:
            raise Conflict("The job's worker died each time it was tried.", hint="See the server's log.")
        with self._store.read() as connection:
            context.access = access_of(connection, context.job.principal)
        result = self._handlers[context.job.kind](self._store, context)
        if not context._finished:
            with self._store.begin() as tx:
                context.finish(tx, result)
                tx.commit()

    def _try_again(self, context: JobContext, error: GeoinfraError) -> None:
        attempts = context.job.attempts
        if attempts >= MAX_ATTEMPTS:
            _fail(context, error)
            return
        pause_s = min(self._backoff_s * 2 ** (attempts - 1), _LONGEST_BACKOFF_S)
        message = f"{error.message} It will be tried again."
        context._release(state="queued", run_after=_in(pause_s), message=message)


def _free_jobs_of_the_dead(store: Store, folder: Path) -> None:
    """End the leases of workers that died over a job; their files in `folder` are not locked any more."""
    for path in folder.glob(f"*{_ALIVE}"):
        with suppress(FileNotFoundError, BlockingIOError), path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            theirs = jobs.c.lease_owner.startswith(f"{path.name.removesuffix(_ALIVE)}.", autoescape=True)
            with store.begin() as tx:
                tx.execute(sa.update(jobs).where(jobs.c.state == "running", theirs).values(lease_until=now()))
                tx.commit()
            path.unlink(missing_ok=True)


def _taking(kinds: Iterable[str]) -> sa.Executable:
    """Make the statement that leases the next job: ``moment``, ``lease`` and ``until`` are its parameters."""
    moment: sa.BindParameter[str] = sa.bindparam("moment")
    due = sa.and_(jobs.c.state == "queued", jobs.c.run_after <= moment)
    abandoned = sa.and_(jobs.c.state == "running", jobs.c.lease_until < moment)
    candidate = (
        sa.select(jobs.c.job_id)
        .where(jobs.c.kind.in_(list(kinds)), sa.or_(due, abandoned))
        .order_by(jobs.c.run_after, jobs.c.job_id)
        .limit(1)
        .with_for_update(skip_locked=True)  # PostgreSQL; SQLite's transaction is alone anyway
    )
    return (
        sa.update(jobs)
        .where(jobs.c.job_id == candidate.scalar_subquery())
        .values(
            state="running",
            attempts=jobs.c.attempts + 1,
            started_at=moment,
            lease_owner=sa.bindparam("lease"),
            lease_until=sa.bindparam("until"),
        )
        .returning(*jobs.c)
    )


def _fail(context: JobContext, error: GeoinfraError) -> None:
    problem = {"code": error.code, "title": error.title, "detail": error.message, "hint": error.hint}
    context._release(state="failed", finished_at=now(), message=error.message, result=_json(problem))


def _in(seconds: float) -> str:
    return timestamp(datetime.now(UTC) + timedelta(seconds=seconds))


def _may_see(access: Access) -> sa.ColumnElement[bool]:
    if access.has(Role.ADMIN):
        return sa.true()
    colleagues = sa.select("token:" + tokens.c.token_id).where(tokens.c.organisation == access.organisation)
    return sa.or_(jobs.c.principal == access.principal, jobs.c.principal.in_(colleagues))


def _find(connection: sa.Connection, access: Access, job_id: str) -> Job:
    query = sa.select(jobs).where(jobs.c.job_id == job_id, _may_see(access))
    row = connection.execute(query).one_or_none() if job_id.isalnum() else None  # no NUL to PostgreSQL
    if row is None:
        raise NotFound("There is no such job.")
    return _job(row)


def _job(row: sa.Row[Any]) -> Job:
    values = {name: row._mapping[name] for name in Job.__dataclass_fields__}
    values["payload"] = json.loads(row.payload)
    values["result"] = None if row.result is None else json.loads(row.result)
    return Job(**values)


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=True, allow_nan=False)
