"""The store: records and deliveries, on one of two engines, behind one interface.

``docs/reference/contracts.md`` is the overview. Everything that reads rows takes an
:class:`~geoinfra.access.Access`; :meth:`Store.delivery` alone does not, and only flows call it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import sqlalchemy as sa

from geoinfra.access import Access
from geoinfra.storage.audit import AuditLog
from geoinfra.storage.blobs import BlobStore
from geoinfra.storage.deliveries import DatasetView, DeliveryEngine, StagedDelivery, open_engine
from geoinfra.storage.grids import GridStore
from geoinfra.storage.migrate import migrate
from geoinfra.storage.records import Records, Transaction
from geoinfra.tables import DatasetSchema, FeatureBatch

__all__ = ["Store", "open_store"]

_LONGEST_WRITE_S = 86_400.0


class Store:
    """One installation's data. Made by :func:`open_store`; safe to share between threads.

    Attributes
    ----------
    data_dir
        Folder of files: blobs always, records and deliveries on the embedded engine.
    records, engine, blobs, audit, grids
        The parts; see their classes.
    """

    def __init__(
        self, data_dir: Path, records: Records, engine: DeliveryEngine, blobs: BlobStore, audit: AuditLog
    ) -> None:
        self.data_dir = data_dir
        self.records = records
        self.engine = engine
        self.blobs = blobs
        self.audit = audit
        self.grids = GridStore(data_dir / "grids")

    def begin(self) -> AbstractContextManager[Transaction]:
        """Open a records transaction; see :meth:`Records.begin`."""
        return self.records.begin()

    def read(self) -> AbstractContextManager[sa.Connection]:
        """Open a read-only snapshot of the records."""
        return self.records.read()

    def stage(
        self,
        schema: DatasetSchema,
        source: str,
        batches: Iterable[FeatureBatch],
        *,
        progress: Callable[[int], None] | None = None,
    ) -> StagedDelivery:
        """Write one whole delivery into its own file or partition; nobody sees it before it is published.

        Parameters
        ----------
        progress
            Called with the number of rows written so far.
        """
        return self.engine.stage(schema, source, batches, progress)

    def view(
        self, access: Access, dataset: str, *, enquiry: str | Sequence[str] | None = None
    ) -> DatasetView:
        """Pin the deliveries of a dataset that `access` may see; see :class:`DatasetView`."""
        return DatasetView.for_access(self.records, self.engine, access, dataset, enquiry=enquiry)

    def delivery(self, delivery_id: str) -> DatasetView:
        """Pin one delivery without any predicate. For flows only: the caller has checked the right."""
        return DatasetView.of_delivery(self.records, self.engine, delivery_id)

    def sweep(self) -> list[str]:
        """Remove what crashes left: deliveries that no record names, and old files that were being received.

        Returns
        -------
        list
            The ids of the deliveries. A file that was cut off is removed a day later, when nobody can still
            be writing it.
        """
        for folder in (self.uploads, self.blobs.unfinished):
            _remove_old(folder)
        self.grids.sweep(self._named_grids())
        removed = self.engine.sweep(self._named_deliveries())
        for delivery_id in removed:
            self.blobs.delete_folder(f"attachments/{delivery_id.lower()}")
        return removed

    @property
    def uploads(self) -> Path:
        """Folder of what is being received."""
        return self.data_dir / "uploads"

    def _named_deliveries(self) -> Iterator[str]:
        from geoinfra.storage.schema import deliveries

        with self.read() as connection:
            yield from connection.scalars(sa.select(deliveries.c.delivery_id)).all()

    def _named_grids(self) -> Iterator[str]:
        from geoinfra.storage.schema import grids

        with self.read() as connection:
            yield from connection.scalars(sa.select(grids.c.grid_id)).all()

    def close(self) -> None:
        """Close connections and files."""
        self.grids.close()
        self.audit.close()
        self.engine.close()
        self.records.close()


def _remove_old(folder: Path) -> None:
    """Remove files and folders that were not written to for a day."""
    oldest_s = time.time() - _LONGEST_WRITE_S
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.stat().st_mtime >= oldest_s:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def open_store(data_dir: Path, database_url: str | None = None) -> Store:
    """Open the store, and create or upgrade its records.

    Parameters
    ----------
    data_dir
        Created when absent.
    database_url
        ``None`` for the embedded engine, ``postgresql://user@host/db`` for the scale-out engine.

    Raises
    ------
    StorageUnavailable
        The database cannot be reached, or lacks PostGIS.
    StorageFull
        The disk takes no more.
    """
    data_dir = Path(data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)
    if database_url is None:
        url = sa.URL.create("sqlite", database=str(data_dir / "records.sqlite"))
    else:
        url = sa.make_url(database_url).set(drivername="postgresql+psycopg")
    records = Records(url)
    migrate(records)
    engine = open_engine(records, data_dir)
    return Store(data_dir, records, engine, BlobStore(data_dir / "blobs"), AuditLog(records))
