"""The catalogue as it stands, kept between requests and remade when a delivery or an entry changes.

Reading the catalogue and pinning a view cost milliseconds; reading what they depend on costs a fraction.
"""

from __future__ import annotations

import threading
from typing import Any

import sqlalchemy as sa

from geoinfra.access import Access, Role, Visibility
from geoinfra.storage import Store, schema
from geoinfra.storage.collections import Collection, catalogue
from geoinfra.storage.deliveries import DatasetView
from geoinfra.storage.grids import Grid, current_grids

__all__ = ["Present", "PresentCatalogue", "may_know_granted"]


def may_know_granted(access: Access) -> bool:
    """Whether `access` may know that the granted collections exist."""
    return access.organisation is not None and access.has(Role.OWNER, Role.EXCAVATOR)


class Present:
    """The collections of one moment, and views of the open ones.

    Attributes
    ----------
    collections
        All of them, by id.
    """

    def __init__(self, store: Store, collections: tuple[Collection, ...]) -> None:
        self._store = store
        self.collections = {collection.id: collection for collection in collections}
        self._open: dict[str, DatasetView] = {}
        self._grids: dict[str, tuple[Grid, ...]] = {}

    def grids(self, collection: Collection) -> tuple[Grid, ...]:
        """Return the present grids of a collection that is a raster or cube, one a source, by source."""
        found = self._grids.get(collection.dataset)
        if found is None:
            with self._store.read() as connection:
                found = self._grids[collection.dataset] = current_grids(connection, collection.dataset)
        return found

    def opened(self, grid: Grid) -> Any:
        """Return the reader of a grid; see :meth:`geoinfra.storage.grids.GridStore.opened`."""
        return self._store.grids.opened(grid)

    def view(self, access: Access, collection: Collection) -> DatasetView:
        """Pin what `access` may see; views of open collections are the same for all, and are shared."""
        if collection.visibility is not Visibility.OPEN:
            return self._store.view(access, collection.dataset)
        view = self._open.get(collection.dataset)
        if view is None:
            view = self._open[collection.dataset] = self._store.view(Access.anonymous(), collection.dataset)
        return view


class PresentCatalogue:
    """Gives the present catalogue of a store; safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._made: tuple[Any, Present] | None = None

    def now(self) -> Present:
        """Return the present catalogue; the same object while nothing has changed."""
        stamp = self._stamp()
        made = self._made
        if made is None or made[0] != stamp:
            with self._lock:
                made = self._made = (stamp, Present(self._store, catalogue(self._store)))
        return made[1]

    def _stamp(self) -> Any:
        """Return what changes whenever the catalogue or an open view may have."""
        with self._store.read() as connection:
            return connection.execute(_STAMP).all()


_STAMP = sa.union_all(
    sa.select(sa.literal(0), schema.collections.c.collection_id, schema.collections.c.updated_at),
    sa.select(sa.literal(1), schema.current_deliveries.c.dataset, schema.current_deliveries.c.delivery_id),
    sa.select(sa.literal(2), schema.current_grids.c.dataset, schema.current_grids.c.grid_id),
).order_by(sa.text("1, 2, 3"))
