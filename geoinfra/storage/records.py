"""The records: transactional state, on SQLite (embedded) or PostgreSQL (scale-out), by SQLAlchemy Core."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from geoinfra.errors import StorageFull, StorageUnavailable

__all__ = ["Records", "Transaction", "new_id", "now", "timestamp"]

_PRIVATE = 0o600
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def timestamp(moment: datetime) -> str:
    """Write an aware datetime as the records keep it: UTC, milliseconds, ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def now() -> str:
    """The present moment as the records keep it."""
    return timestamp(datetime.now(UTC))


def new_id() -> str:
    """Return a new 26-character identifier that sorts by time (48 bits of milliseconds, 80 random bits)."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))


@dataclass(slots=True)
class Transaction:
    """One write transaction; nothing happens unless :meth:`commit` is called.

    Attributes
    ----------
    connection
        SQLAlchemy Core connection inside the transaction.
    after_commit
        Functions called once the commit is durable (waking a worker, for instance).
    """

    connection: sa.Connection
    after_commit: list[Any] = field(default_factory=list)
    committed: bool = False

    def commit(self) -> None:
        """Make the changes durable; the ``with`` block should end right after."""
        self.connection.commit()
        self.committed = True

    def execute(self, statement: sa.Executable, *parameters: Any) -> sa.CursorResult[Any]:
        """Run a Core statement in the transaction."""
        return self.connection.execute(statement, *parameters)


class Records:
    """Access to the records database; safe to share between threads.

    Parameters
    ----------
    url
        ``sqlite:///…/records.sqlite`` or ``postgresql+psycopg://…``.

    Raises
    ------
    StorageUnavailable
        The database cannot be reached.
    """

    def __init__(self, url: sa.URL) -> None:
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.engine = _sqlite_engine(url) if self.is_sqlite else _postgres_engine(url)

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """Open a write transaction (``BEGIN IMMEDIATE``); leaving without ``commit()`` rolls back."""
        with _translated(), self.engine.connect() as connection:
            connection = connection.execution_options(geoinfra_write=True)
            connection.begin()
            transaction = Transaction(connection)
            try:
                yield transaction
            finally:
                if not transaction.committed:
                    connection.rollback()
        if transaction.committed:
            for act in transaction.after_commit:
                act()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Open a snapshot for reading: later commits of others are not seen inside it."""
        with _translated(), self.engine.connect() as connection:
            if not self.is_sqlite:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    """Turn a full disk and a lost database into our errors; all else passes unchanged."""
    try:
        yield
    except DBAPIError as error:
        text = str(error.orig).lower()
        if "disk is full" in text or "no space left" in text or "disk i/o error" in text:
            raise StorageFull(
                "The disk that holds the records is full; nothing was stored.",
                hint="Free some space and send the request again.",
            ) from error
        if error.connection_invalidated or isinstance(error, sa.exc.OperationalError):
            raise StorageUnavailable(
                "The records database did not answer.", hint="Try again; see the server's log if it persists."
            ) from error
        raise


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    if url.database:
        _make_private(Path(url.database))
    engine = sa.create_engine(
        url, connect_args={"timeout": 30, "check_same_thread": False}, pool_size=8, max_overflow=32
    )

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are ours
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        write = connection.get_execution_options().get("geoinfra_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _make_private(path: Path) -> None:
    """Create the file for its owner alone, as it holds private keys; SQLite's other files get its mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE)
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            os.fchmod(descriptor, _PRIVATE)
    finally:
        os.close(descriptor)


def _postgres_engine(url: sa.URL) -> sa.Engine:
    return sa.create_engine(
        url,
        pool_size=8,
        max_overflow=24,
        pool_pre_ping=True,
        connect_args={"options": "-c search_path=records,public -c timezone=UTC", "connect_timeout": 10},
    )
