"""The feature provider: the engine gets, as GeoJSON, the rows of the page that was read from the request."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from pygeoapi.provider.base import BaseProvider

from geoinfra.errors import NotFound
from geoinfra.tables import Column, ColumnType, DatasetSchema
from services.ogc.call import FeatureCall, Page
from services.ogc.geojson import features

__all__ = ["COUNT_AT_MOST", "FeatureProvider", "describe_columns", "is_queryable"]

COUNT_AT_MOST = 100_000
"""``numberMatched`` is exact up to here and left out beyond; ``resulttype=hits`` always counts exactly."""

_JSON_TYPES: Mapping[ColumnType, dict[str, str]] = {
    ColumnType.TEXT: {"type": "string"},
    ColumnType.INTEGER: {"type": "integer"},
    ColumnType.REAL: {"type": "number"},
    ColumnType.BOOLEAN: {"type": "boolean"},
    ColumnType.DATE: {"type": "string", "format": "date"},
    ColumnType.DATETIME: {"type": "string", "format": "date-time"},
    ColumnType.JSON: {"type": "object"},
}


@functools.lru_cache(maxsize=256)
def describe_columns(schema: DatasetSchema, *, comparable_only: bool = False) -> Mapping[str, dict[str, str]]:
    """Return the JSON Schema of each public column; columns of bytes are never shown.

    Parameters
    ----------
    comparable_only
        Leave out the columns that clients may not compare.
    """
    return {
        column.name: {**_JSON_TYPES[column.type], **({"title": column.title} if column.title else {})}
        for column in schema.public_columns
        if column.type in _JSON_TYPES and (is_queryable(column) or not comparable_only)
    }


def is_queryable(column: Column) -> bool:
    """Whether clients may compare and sort by a column; documents and bytes have no order."""
    return column.type not in (ColumnType.JSON, ColumnType.BLOB)


class FeatureProvider(BaseProvider):  # type: ignore[misc]  # pygeoapi carries no types
    """Features of one collection, as the call that is bound to the definition may see them.

    Parameters
    ----------
    provider_def
        pygeoapi's definition with two keys of ours: ``fields`` (JSON Schema by column) and, on a bound view,
        ``call`` (:class:`~services.ogc.call.FeatureCall`).
    """

    def __init__(self, provider_def: Mapping[str, Any]) -> None:
        super().__init__(provider_def)
        self._fields = {name: dict(field) for name, field in provider_def.get("fields", {}).items()}
        self._call: FeatureCall | None = provider_def.get("call")

    def get_fields(self) -> dict[str, dict[str, str]]:
        """Return the public columns."""
        return self._fields

    def query(self, *, resulttype: str = "results", **_read_already: Any) -> dict[str, Any]:
        """Return the page of the call as a GeoJSON FeatureCollection.

        Raises
        ------
        InvalidInput, InvalidFilter
            A parameter does not fit the columns.
        """
        call, page = self._bound()
        if resulttype == "hits":
            number = call.view.count(page.question)
            return _collection([], matched=number, following="", links=call.items.links)
        batches, counted = call.view.page(page.query, COUNT_AT_MOST + 1)
        rows = [
            feature
            for batch in batches
            for feature in features(batch, page.crs, geometry=page.query.geometry, encoded=call.items.encoded)
        ]
        matched = counted if counted <= COUNT_AT_MOST else None
        is_last = page.is_last(len(rows), matched)
        following = "" if is_last else call.items.next_href(call.view.cursor(batches[-1]))
        return _collection(rows, matched=matched, following=following, links=call.items.links)

    def get(self, _identifier: str, **_read_already: Any) -> dict[str, Any]:
        """Return the feature of the call.

        Raises
        ------
        NotFound
            It does not exist in this collection, or the caller may not see it.
        """
        call, page = self._bound()
        for batch in call.view.read(page.query):
            for feature in features(batch, page.crs, geometry=True, encoded=call.items.encoded):
                return {**feature, "links": [dict(link) for link in call.items.links]}
        raise NotFound("There is no such feature.", hint="Ask for the collection's items.")

    def _bound(self) -> tuple[FeatureCall, Page]:
        if self._call is None or self._call.items.page is None:
            raise RuntimeError("a provider without a call has no view and reads nothing")
        return self._call, self._call.items.page


def _collection(
    rows: list[dict[str, Any]],
    *,
    matched: int | None,
    following: str,
    links: Sequence[Mapping[str, str]],
) -> dict[str, Any]:
    """Return a page. Its ``next`` link is always there, without address on the last page: else pygeoapi would
    guess one; :func:`services.ogc.engine.encode` leaves it out."""
    following_link = {
        "type": "application/geo+json",
        "rel": "next",
        "title": "Items (next)",
        "href": following,
    }
    result = {
        "type": "FeatureCollection",
        "features": rows,
        "numberReturned": len(rows),
        "links": [following_link, *(dict(link) for link in links)],
    }
    if matched is not None:
        result["numberMatched"] = matched
    return result
