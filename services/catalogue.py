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
            return connection.execute(_ENTRIES).all(), connection.execute(_POINTERS).all()


_ENTRIES = sa.select(schema.collections.c.collection_id, schema.collections.c.updated_at)
_POINTERS = sa.select(schema.current_deliveries.c.dataset, schema.current_deliveries.c.delivery_id)
