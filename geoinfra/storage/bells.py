"""Bells: how a commit in one process rouses a process that waits for work.

A bell only says "look at the table now". Losing a ring costs the listener's poll interval, never work.
Embedded: each listener binds a datagram socket ``<name>.<id>.bell`` beside the records. PostgreSQL: NOTIFY.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from geoinfra.storage.records import Records, Transaction, new_id

__all__ = ["Bell", "ring", "ring_after"]

_LONGEST_SOCKET_PATH = 100  # bytes; the system's limit is 104 to 108
_log = logging.getLogger(__name__)


def ring(records: Records, name: str) -> None:
    """Rouse every listener of the bell `name`, in all processes, at once."""
    if records.is_sqlite:
        _ring_sockets(_folder(records.url), name)
        return
    with records.begin() as tx:
        _notify(tx, name)
        tx.commit()


def ring_after(tx: Transaction, name: str) -> None:
    """Rouse the listeners of the bell `name` once `tx` is committed, and not before."""
    if tx.connection.dialect.name == "sqlite":
        folder = _folder(tx.connection.engine.url)
        tx.after_commit.append(lambda: _ring_sockets(folder, name))
    else:
        _notify(tx, name)  # PostgreSQL itself holds it back until the commit


class Bell:
    """A listener; use it as a context manager and look for work *after* entering.

    Parameters
    ----------
    records
        Where the work is recorded.
    name
        ``worker`` or ``dispatcher``.
    """

    def __init__(self, records: Records, name: str) -> None:
        self._waiter = _SocketWaiter(records, name) if records.is_sqlite else _NotifyWaiter(records, name)

    def __enter__(self) -> Self:
        self._waiter.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiter.close()

    def wait(self, timeout_s: float) -> bool:
        """Sleep until the bell rings or `timeout_s` has passed; say whether it rang."""
        return self._waiter.wait(timeout_s)


def _folder(url: sa.URL) -> Path:
    return Path(url.database or ".").resolve().parent


@contextmanager
def _address(folder: Path, file: str) -> Iterator[str]:
    """Give an address short enough for a socket; long folders are reached through an open descriptor."""
    path = str(folder / file)
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        yield path
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{file}"
    finally:
        os.close(descriptor)


def _ring_sockets(folder: Path, name: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        for path in folder.glob(f"{name}.*.bell"):
            _ring_socket(sender, folder, path)


def _ring_socket(sender: socket.socket, folder: Path, path: Path) -> None:
    try:
        with _address(folder, path.name) as address:
            sender.sendto(b"1", address)
    except (ConnectionRefusedError, FileNotFoundError):
        path.unlink(missing_ok=True)  # its listener died
    except OSError as error:
        # A full socket has rings waiting already; all else costs the listener its poll interval only.
        if error.errno not in (errno.EAGAIN, errno.ENOBUFS):
            _log.warning("cannot ring %s: %s", path.name, error)


def _notify(tx: Transaction, name: str) -> None:
    tx.execute(sa.select(sa.func.pg_notify(f"geoinfra_{name}", "")))


class _SocketWaiter:
    def __init__(self, records: Records, name: str) -> None:
        self._folder = _folder(records.url)
        self._file = f"{name}.{new_id()}.bell"
        self._socket: socket.socket | None = None

    def open(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        with _address(self._folder, self._file) as address:
            self._socket.bind(address)

    def wait(self, timeout_s: float) -> bool:
        assert self._socket is not None, "the bell is not open"  # noqa: S101  (a fault of the caller's)
        ready, _, _ = select.select([self._socket], [], [], timeout_s)
        with suppress(BlockingIOError):
            while self._socket.recv(16):
                pass
        return bool(ready)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        (self._folder / self._file).unlink(missing_ok=True)


class _NotifyWaiter:
    def __init__(self, records: Records, name: str) -> None:
        self._records = records
        self._channel = f"geoinfra_{name}"
        self._held: Any = None  # a pooled connection kept for listening alone

    def open(self) -> None:
        self._held = self._records.engine.raw_connection()
        self._held.driver_connection.autocommit = True
        self._held.driver_connection.execute(f"LISTEN {self._channel}")

    def wait(self, timeout_s: float) -> bool:
        import psycopg

        try:
            if self._held is None:
                self.open()
            return any(True for _ in self._held.driver_connection.notifies(timeout=timeout_s, stop_after=1))
        except (psycopg.OperationalError, DBAPIError) as error:
            _log.warning("lost the connection that listens for %s: %s", self._channel, error)
            self.close()
            time.sleep(timeout_s)  # the next wait opens it again
            return False

    def close(self) -> None:
        if self._held is not None:
            self._held.invalidate()
            self._held = None
