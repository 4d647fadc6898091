"""The audit log: one entry for each request to protected data, durable before the answer leaves.

Each entry carries the SHA-256 of its content joined to the hash before it, so that an edit anywhere breaks
the chain; the number of entries and the newest hash are kept beside it, so that a cut tail shows too.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from geoinfra.access import Access
from geoinfra.errors import Finding, Report, Severity, StorageUnavailable
from geoinfra.storage.records import Records, Transaction, now
from geoinfra.storage.schema import audit, counters, secrets

__all__ = ["AuditEntry", "AuditLog"]

_COUNTER = "audit.entries"
_HEAD = "audit.head"
_NO_HASH = "0" * 64
_LOCK_KEY = 0x6765_6F61_7564_6974  # "geoaudit": PostgreSQL advisory lock of the chain's head
_LARGEST_BATCH = 500
_GATHER_S = 0.0005
_INTERRUPTED = "The audit log was interrupted before the entry was durable."


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the log.

    Attributes
    ----------
    entry
        Its number: 1, 2, 3 ... without a gap.
    at
        When, UTC.
    principal, organisation
        Who; see :class:`~geoinfra.access.Access`.
    action, subject
        What was done to what, for instance ``package.download`` and ``2026-000017``.
    details
        Further facts, a JSON document.
    previous_hash, hash
        The chain.
    """

    entry: int
    at: str
    principal: str
    organisation: str | None
    action: str
    subject: str
    details: str
    previous_hash: str
    hash: str

    def expected_hash(self) -> str:
        """Return the hash that the content demands."""
        return _hash(self.entry, _content(self), self.previous_hash)


@dataclass(slots=True)
class _Waiting:
    """An entry that waits for its commit."""

    content: dict[str, Any]
    done: bool = False
    error: Exception | None = field(default_factory=lambda: StorageUnavailable(_INTERRUPTED))  # until durable


class AuditLog:
    """The log of one installation; safe between threads and processes.

    Entries of threads that wait at the same moment are committed together by one of them.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self._waiting: list[_Waiting] = []
        self._turn = threading.Condition()
        self._writing = False
        self._last_batch = 0

    def append(
        self, action: str, access: Access, subject: str, details: Mapping[str, Any] | None = None
    ) -> None:
        """Write one entry and return when it is on the disk.

        Raises
        ------
        StorageFull, StorageUnavailable
            The entry could not be made durable; the request must be refused.
        """
        waiting = _Waiting(_entry_content(action, access, subject, details))
        with self._turn:
            self._waiting.append(waiting)
        while not waiting.done:
            if self._is_my_turn(waiting):
                self._write_waiting()
        if waiting.error is not None:
            raise waiting.error

    def record(
        self,
        tx: Transaction,
        action: str,
        access: Access,
        subject: str,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Write one entry in the caller's transaction, durable together with what it tells of.

        Do it last in the transaction, for other entries wait until it ends.
        """
        _extend_chain(tx, [_entry_content(action, access, subject, details)])

    def _is_my_turn(self, waiting: _Waiting) -> bool:
        """Sleep while another thread writes; say whether this one must write for all who wait now."""
        with self._turn:
            while self._writing and not waiting.done:
                self._turn.wait()
            self._writing = self._writing or not waiting.done
            return not waiting.done

    def _write_waiting(self) -> None:
        batch: list[_Waiting] = []
        try:
            if self._last_batch > 1:  # others are about: let those just answered join again
                time.sleep(_GATHER_S)
            with self._turn:
                batch = self._waiting[:_LARGEST_BATCH]
                del self._waiting[:_LARGEST_BATCH]
            self._last_batch = len(batch)
            with self._records.begin() as tx:
                _extend_chain(tx, [waiting.content for waiting in batch])
                tx.commit()
            for waiting in batch:
                waiting.error = None
        except Exception as error:  # each waiting thread raises it
            for waiting in batch:
                waiting.error = error
        finally:
            with self._turn:
                for waiting in batch:
                    waiting.done = True
                self._writing = False
                self._turn.notify_all()

    def verify(self) -> Report:
        """Check the whole chain in constant memory.

        Returns
        -------
        Report
            ``features`` counts the entries; without an error the log is whole. Otherwise one finding names
            the first entry (``feature_id``) that was changed, removed, inserted or moved.
        """
        report = Report()
        with self._records.read() as connection:
            if not self._records.is_sqlite:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            count, head = _chain_end(connection)
            with _entries(connection) as entries:
                last = _check_links(entries, report)
        if report.ok and (report.features, last) != (count, head):
            report.add(_end_fault(report.features, count))
        return report

    def tail(self, limit: int = 100) -> list[AuditEntry]:
        """Return the newest entries, newest first."""
        newest = sa.select(audit).order_by(audit.c.entry.desc()).limit(limit)
        with self._records.read() as connection:
            return [AuditEntry(**row._mapping) for row in connection.execute(newest)]

    def close(self) -> None:
        """Wait for the entries under way."""
        with self._turn:
            self._turn.wait_for(lambda: not self._writing and not self._waiting)


def _entry_content(
    action: str, access: Access, subject: str, details: Mapping[str, Any] | None
) -> dict[str, Any]:
    return {
        "at": now(),
        "principal": _storable(access.principal),
        "organisation": access.organisation,
        "action": _storable(action),
        "subject": _storable(subject),
        "details": _canonical(dict(details or {})),
    }


def _canonical(document: Any) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _storable(text: str) -> str:
    """Escape what a database's text cannot hold: lone surrogates and NUL."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def _content(entry: AuditEntry) -> dict[str, Any]:
    names = ("at", "principal", "organisation", "action", "subject", "details")
    return {name: getattr(entry, name) for name in names}


def _hash(entry: int, content: Mapping[str, Any], previous_hash: str) -> str:
    text = _canonical({**content, "entry": entry, "previous_hash": previous_hash})
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _chain_end(connection: sa.Connection) -> tuple[int, str]:
    """Return how many entries there must be, and the hash of the newest."""
    count = connection.scalar(sa.select(counters.c.value).where(counters.c.name == _COUNTER))
    head = connection.scalar(sa.select(secrets.c.value).where(secrets.c.name == _HEAD))
    return count or 0, bytes(head).decode("ascii", "replace") if head is not None else _NO_HASH


def _extend_chain(tx: Transaction, contents: Sequence[Mapping[str, Any]]) -> None:
    if tx.connection.dialect.name != "sqlite":
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_KEY)))
    count, head = _chain_end(tx.connection)
    rows = []
    for content in contents:
        count += 1
        row = {**content, "entry": count, "previous_hash": head, "hash": _hash(count, content, head)}
        rows.append(row)
        head = row["hash"]
    tx.execute(sa.insert(audit), rows)
    _set(tx, counters, _COUNTER, count)
    _set(tx, secrets, _HEAD, head.encode("ascii"))


def _set(tx: Transaction, table: sa.Table, name: str, value: Any) -> None:
    dialect = sqlite if tx.connection.dialect.name == "sqlite" else postgresql
    insert = dialect.insert(table).values(name=name, value=value)
    tx.execute(insert.on_conflict_do_update(index_elements=["name"], set_={"value": value}))


def _entries(connection: sa.Connection) -> sa.CursorResult[Any]:
    """Open the chain from its start, to be read a little at a time."""
    query = sa.select(audit).order_by(audit.c.entry)
    return connection.execution_options(yield_per=2000).execute(query)


def _check_links(rows: Iterable[sa.Row[Any]], report: Report) -> str:
    """Count the entries and report the first that breaks the chain; return the hash before it."""
    last = _NO_HASH
    for row in rows:
        entry = AuditEntry(**row._mapping)
        report.features += 1
        fault = _fault(entry, report.features, last)
        if fault is not None:
            report.add(fault)
            break
        last = entry.hash
    return last


def _fault(entry: AuditEntry, number: int, last: str) -> Finding | None:
    if entry.entry != number:
        return _finding(number, "is missing", "was removed or renumbered")
    if entry.hash != entry.expected_hash():
        return _finding(number, "does not match its hash", "was changed, inserted or moved")
    if entry.previous_hash != last:
        return _finding(number, "does not continue the entry before it", "or that one was rewritten")
    return None


def _end_fault(found: int, count: int) -> Finding:
    if found < count:
        return _finding(found + 1, "is missing", f"the log must have {count} entries")
    if found > count:
        return _finding(count + 1, "was inserted", f"the log must have {count} entries")
    return _finding(found, "is not the one last written", "the end of the log was rewritten")


def _finding(entry: int, fault: str, remark: str) -> Finding:
    return Finding(
        "AUDIT-CHAIN", Severity.ERROR, f"Audit entry {entry} {fault}: {remark}.", feature_id=str(entry)
    )
