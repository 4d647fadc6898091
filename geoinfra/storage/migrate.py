"""Bringing the records to the shape that this version of geoinfra expects (Alembic)."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from geoinfra.errors import StorageUnavailable
from geoinfra.storage.records import Records

__all__ = ["HEAD", "migrate"]

HEAD = "0003"
"""The newest revision under ``migrations/versions``; a test holds the two together."""

_LOCK_KEY = 0x6765_6F69_6E66_7261  # "geoinfra": PostgreSQL advisory lock of schema changes
_UNDEFINED_TABLE = "42P01"


def migrate(records: Records) -> None:
    """Create or upgrade the records; costs one ``SELECT`` when nothing is to do.

    Several processes may start at once: one migrates, the others wait for it.

    Raises
    ------
    StorageUnavailable
        The database cannot be reached, lacks PostGIS, or was written by a newer geoinfra.
    """
    with _alone_on_sqlite(records):
        if _revision(records) != HEAD:
            _upgrade(records)


@contextmanager
def _alone_on_sqlite(records: Records) -> Iterator[None]:
    """Keep other processes from opening a new SQLite file while it turns to WAL and gets its tables."""
    if not records.is_sqlite:
        yield
        return
    with Path(f"{records.url.database}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # freed with the file, also by SIGKILL
        yield


def _revision(records: Records) -> str | None:
    """Return the revision of the database, ``None`` where there are no records yet."""
    try:
        with records.read() as connection:
            return str(connection.scalar(sa.text("SELECT version_num FROM alembic_version")))
    except StorageUnavailable as error:  # what SQLite's "no such table" becomes
        if "no such table" in str(error.__cause__):
            return None
        raise
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _UNDEFINED_TABLE:
            return None
        raise


def _upgrade(records: Records) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with records.begin() as tx:
        if not records.is_sqlite:
            _prepare_postgres(tx.connection)
        config.attributes["connection"] = tx.connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StorageUnavailable(
                "The records were written by a newer version of geoinfra.",
                hint="Install that version again, or restore the backup taken before the upgrade.",
            ) from error
        tx.commit()


def _prepare_postgres(connection: sa.Connection) -> None:
    """Wait for other migrations, and make sure of PostGIS and the schema of the records."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_KEY)))
    if not connection.scalar(sa.text("SELECT 1 FROM pg_extension WHERE extname = 'postgis'")):
        _create(connection, "CREATE EXTENSION postgis SCHEMA public", "has no PostGIS")
    if not connection.scalar(sa.text("SELECT to_regnamespace('records') IS NOT NULL")):
        _create(connection, "CREATE SCHEMA records", "has no schema for the records")


def _create(connection: sa.Connection, statement: str, lack: str) -> None:
    try:
        with connection.begin_nested():
            connection.execute(sa.text(statement))
    except DBAPIError as error:
        raise StorageUnavailable(
            f"The database {lack}, and this user may not create it.",
            hint=f"Let a superuser run '{statement}' in this database (PostGIS must be installed).",
        ) from error
