"""What one request brings along: bound to the engine's objects for the length of that request.

pygeoapi makes a provider on every request from a plain dict. The dict of a *bound* view carries a
:class:`FeatureCall` under the key ``call``; without it a provider has nothing to read from, and can only
describe columns. Nothing is ambient: two requests in two threads hold two dicts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from geoinfra.storage.collections import Collection
from geoinfra.storage.deliveries import DatasetView
from geoinfra.tables import FeatureQuery

__all__ = ["FeatureCall", "ItemsRequest", "Page"]


@dataclass(frozen=True, slots=True)
class Page:
    """What a request for features asks.

    Attributes
    ----------
    query
        The page.
    question
        What the whole result is, of which `query` is a page.
    crs
        Name of the CRS of the answer.
    item
        Identifier of the one feature that is wanted, if it is one.
    """

    query: FeatureQuery
    question: FeatureQuery
    crs: str
    item: str | None = None

    def is_last(self, returned: int, matched: int | None) -> bool:
        """Whether nothing follows, judged by the rows returned and, where it is known, the number in all."""
        if returned < (self.query.limit or 0):
            return True
        return self.query.after is None and matched is not None and self.query.offset + returned >= matched


@dataclass(frozen=True, slots=True)
class ItemsRequest:
    """The parts of an items request that pygeoapi does not read itself.

    Attributes
    ----------
    polygon
        WKB in EPSG:25832 of the request's bbox.
    filter
        CQL2 tree with literals in EPSG:25832.
    cursor
        Where the page begins, from the ``next`` link of the page before.
    next_href
        Makes the address of the page that begins at a cursor.
    encoded
        Whether the answer is written as JSON at once (see :mod:`services.ogc.geojson`).
    links
        To other formats of the answer.
    page
        What the whole request asks, read from its parameters.
    """

    polygon: bytes | None = None
    filter: Mapping[str, Any] | None = None
    cursor: str | None = None
    next_href: Callable[[str], str] = field(default=lambda cursor: cursor)
    encoded: bool = True
    links: Sequence[Mapping[str, str]] = ()
    page: Page | None = None


@dataclass(frozen=True, slots=True)
class FeatureCall:
    """A request about one collection, through the view that was pinned for its principal.

    Attributes
    ----------
    comparable_only
        Describe only the columns that clients may compare and sort by (the queryables).
    with_extent
        Whether the answer tells the extent of what can be seen.
    """

    collection: Collection
    view: DatasetView
    items: ItemsRequest = field(default_factory=ItemsRequest)
    comparable_only: bool = False
    with_extent: bool = False
