"""The jobs that make an enquiry's packages: numbered 1, 2, 3 ... without a gap, few, and none lost.

Whoever changes what a package holds asks for the next one in the same transaction. A package that waits to be
made will hold the change too, so that answers of one moment share it; once its making has begun it may have
read too early, and one more follows. The parts of a project share their packages.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import takewhile

import sqlalchemy as sa

from geoinfra.access import Access
from geoinfra.storage import Store, jobs, schema
from geoinfra.storage.records import Transaction, now

__all__ = [
    "BUILD_PACKAGE",
    "PackageJob",
    "enqueue_package",
    "has_its_turn",
    "lock_enquiry",
    "newest_job",
    "newest_jobs",
    "package_number",
    "waiting_for_package",
]

BUILD_PACKAGE = "build-package"
_ENDED_BADLY = ("failed", "cancelled")
_LOOK_AHEAD = 3
"""Jobs after the newest package that are looked for at once; more are rare."""


@dataclass(frozen=True, slots=True)
class PackageJob:
    """The newest job of an enquiry's packages.

    Attributes
    ----------
    sequence
        Number of the package that it makes.
    state
        Of the job, see :class:`~geoinfra.storage.jobs.Job`.
    """

    sequence: int
    state: str

    @property
    def failed(self) -> bool:
        """Whether the package will not come by itself."""
        return self.state in _ENDED_BADLY


def lock_enquiry(tx: Transaction, number: str) -> None:
    """Let the changes of one enquiry follow each other; held to the end of the transaction.

    Call it before anything else of the enquiry is written.
    """
    table = schema.enquiries
    tx.execute(
        sa.select(table.c.number).where(table.c.number == number).with_for_update(key_share=True)
    )  # SQLite's transaction is alone anyway


def package_number(connection: sa.Connection, number: str) -> str:
    """Return under which number an enquiry's packages are kept: its own, or that of its project."""
    table = schema.enquiries.c
    return connection.scalar(sa.select(table.project).where(table.number == number)) or number


def newest_job(connection: sa.Connection, number: str) -> PackageJob | None:
    """Return the newest job of an enquiry's packages, or ``None`` where none was ever asked for."""
    made = schema.packages.c
    number = package_number(connection, number)
    sequence = connection.scalar(sa.select(sa.func.max(made.sequence)).where(made.enquiry == number)) or 0
    return newest_jobs(connection, {number: sequence}).get(number)


def newest_jobs(connection: sa.Connection, packages: Mapping[str, int]) -> dict[str, PackageJob]:
    """Return the newest jobs of many enquiries by number; none for one whose package was never asked for.

    Parameters
    ----------
    packages
        The sequence number of each one's newest package, 0 where there is none.
    """
    table = schema.jobs.c
    newest = {number: PackageJob(sequence, "done") for number, sequence in packages.items() if sequence}
    looked_at = dict(packages)
    while looked_at:
        steps = range(1, _LOOK_AHEAD + 1)
        keys = [_key(number, last + step) for number, last in looked_at.items() for step in steps]
        found = connection.execute(sa.select(table.key, table.state).where(table.key.in_(keys)))
        states = {row.key: row.state for row in found}
        further = {}
        for number, last in looked_at.items():
            following = takewhile(
                lambda one: one.state,
                (PackageJob(last + step, states.get(_key(number, last + step), "")) for step in steps),
            )
            for job in following:
                newest[number] = job
                if job.sequence == last + _LOOK_AHEAD:
                    further[number] = job.sequence
        looked_at = further
    return newest


def waiting_for_package(store: Store, numbers: Collection[str]) -> set[str]:
    """Return which enquiries have no package yet and may get one; one question however many wait."""
    made, enquiries, table = schema.packages.c, schema.enquiries.c, schema.jobs.c
    with store.read() as connection:
        kept = sa.func.coalesce(enquiries.project, enquiries.number)
        asked = sa.select(enquiries.number, kept).where(enquiries.number.in_(numbers))
        own_numbers = {row[0]: row[1] for row in connection.execute(asked)}
        own = set(own_numbers.values())
        have = set(connection.scalars(sa.select(made.enquiry).where(made.enquiry.in_(own))))
        keys = {_key(number, 1): number for number in own - have}
        ended = table.key.in_(keys), table.state.in_(_ENDED_BADLY)
        stopped = [keys[key] for key in connection.scalars(sa.select(table.key).where(*ended))]
        failed = {number for number in stopped if (job := newest_job(connection, number)) and job.failed}
    return {number for number, kept_as in own_numbers.items() if kept_as not in have | failed}


def enqueue_package(tx: Transaction, number: str, filer: Access) -> int:
    """Ask for the next package of an enquiry or its project, and return its sequence number (1, 2, 3 ...).

    The job of a package that was not begun will do, and one that failed is tried again.
    """
    number = package_number(tx.connection, number)
    lock_enquiry(tx, number)
    newest = newest_job(tx.connection, number)
    sequence = newest.sequence if newest else 1
    if newest and not _takes_more(tx, number, newest):
        sequence += 1
    payload = {"number": number, "sequence": sequence}
    jobs.enqueue(tx, BUILD_PACKAGE, payload, filer, key=_key(number, sequence))  # rouses the worker, too
    return sequence


def has_its_turn(connection: sa.Connection, number: str, sequence: int) -> bool:
    """Whether a package may be made: the one before it is there, or will not come by itself.

    Another worker may be making that one, or have died over it; its job is taken over when its lease ends.
    """
    made, table = schema.packages.c, schema.jobs.c
    before = made.enquiry == number, made.sequence == sequence - 1
    if connection.scalar(sa.select(made.sequence).where(*before)) is not None:
        return True
    state = connection.scalar(sa.select(table.state).where(table.key == _key(number, sequence - 1)))
    return state not in ("queued", "running")


def _takes_more(tx: Transaction, number: str, newest: PackageJob) -> bool:
    """Whether the newest job will read what this transaction writes; it does not start before the commit."""
    table = schema.jobs
    ours = table.c.key == _key(number, newest.sequence)
    if newest.failed:
        again = {"state": "queued", "attempts": 0, "progress": 0.0, "message": "", "result": None}
        tx.execute(
            sa.update(table)
            .where(ours, table.c.state.in_(_ENDED_BADLY))
            .values(**again, cancel_requested=False, run_after=now(), finished_at=None)
        )
    waiting = sa.select(table.c.job_id).where(ours, table.c.state == "queued").with_for_update()
    return tx.connection.scalar(waiting) is not None


def _key(number: str, sequence: int) -> str:
    return f"package:{number}:{sequence}"
