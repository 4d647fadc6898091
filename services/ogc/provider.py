"""The feature provider: pygeoapi's query arguments become a ``FeatureQuery``, batches become GeoJSON."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from pygeoapi.provider.base import BaseProvider

from geoinfra import crs
from geoinfra.errors import InvalidInput, NotFound
from geoinfra.tables import Column, ColumnType, DatasetSchema, FeatureQuery
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

    def query(
        self,
        *,
        offset: int = 0,
        limit: int = 100,
        resulttype: str = "results",
        datetime_: str | None = None,
        properties: Sequence[tuple[str, str]] = (),
        sortby: Sequence[Mapping[str, str]] = (),
        select_properties: Sequence[str] = (),
        skip_geometry: bool = False,
        crs_transform_spec: Any = None,
        **_ignored: Any,
    ) -> dict[str, Any]:
        """Return one page as a GeoJSON FeatureCollection; box and filter come with the call.

        Raises
        ------
        InvalidInput, InvalidFilter
            A parameter does not fit the columns.
        """
        call = self._bound()
        question = self._question(call, datetime_, properties)
        if resulttype == "hits":
            return _collection([], matched=call.view.count(question), following="")
        columns = tuple(name for name in (select_properties or self._fields) if name in self._fields)
        page = replace(
            question,
            columns=columns,
            sort=tuple(self._sort_key(call.view.schema, key) for key in sortby),
            limit=limit,
            offset=0 if call.items.cursor else offset,
            after=call.items.cursor,
            geometry=not skip_geometry,
        )
        target = _target(crs_transform_spec)
        if call.items.take is not None:
            call.items.take(Page(page, question, target))
            return _collection([], matched=None, following="")
        batches = list(call.view.read(page))
        rows = [
            feature
            for batch in batches
            for feature in features(batch, target, geometry=not skip_geometry, encoded=call.items.encoded)
        ]
        counted = call.view.count(question, cap=COUNT_AT_MOST + 1)
        matched = counted if counted <= COUNT_AT_MOST else None
        is_last = len(rows) < limit or self._was_last(matched, offset, limit, call)
        following = "" if is_last else call.items.next_href(call.view.cursor(batches[-1]))
        return _collection(rows, matched=matched, following=following, links=call.items.links)

    def get(self, identifier: str, *, crs_transform_spec: Any = None, **_ignored: Any) -> dict[str, Any]:
        """Return one feature.

        Raises
        ------
        NotFound
            It does not exist in this collection, or the caller may not see it.
        """
        call = self._bound()
        wanted = FeatureQuery(
            equal={**call.collection.rule, "feature_id": [identifier]}, columns=tuple(self._fields), limit=1
        )
        target = _target(crs_transform_spec)
        if call.items.take is not None:
            call.items.take(Page(wanted, wanted, target, identifier))
            return {"type": "Feature", "id": identifier, "geometry": None, "properties": {}}
        for batch in call.view.read(wanted):
            for feature in features(batch, target, geometry=True, encoded=call.items.encoded):
                return {**feature, "links": [dict(link) for link in call.items.links]}
        raise NotFound("There is no such feature.", hint="Ask for the collection's items.")

    def _bound(self) -> FeatureCall:
        if self._call is None:
            raise RuntimeError("a provider without a call has no view and reads nothing")
        return self._call

    def _question(
        self, call: FeatureCall, datetime_: str | None, properties: Sequence[tuple[str, str]]
    ) -> FeatureQuery:
        """Return what both the page and its count ask for."""
        schema = call.view.schema
        equal = {name: list(values) for name, values in call.collection.rule.items()}
        for name, text in properties:
            value = _typed(schema.column(name), text)
            equal[name] = [v for v in equal.get(name, [value]) if v == value]
        conditions = [c for c in (call.items.filter, _during(schema, datetime_)) if c is not None]
        tree = conditions[0] if len(conditions) == 1 else {"op": "and", "args": conditions}
        return FeatureQuery(
            polygon=call.items.polygon, equal=equal, filter=tree if conditions else None, geometry=False
        )

    def _sort_key(self, schema: DatasetSchema, key: Mapping[str, str]) -> tuple[str, bool]:
        column = schema.column(key["property"])
        if not is_queryable(column):
            raise InvalidInput(f"'{column.name}' has no order.", hint="Sort by a simple attribute.")
        return column.name, key["order"] == "-"

    @staticmethod
    def _was_last(matched: int | None, offset: int, limit: int, call: FeatureCall) -> bool:
        return matched is not None and call.items.cursor is None and offset + limit >= matched


def _collection(
    rows: list[dict[str, Any]],
    *,
    matched: int | None,
    following: str,
    links: Sequence[Mapping[str, str]] = (),
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


def _target(spec: Any) -> str:
    """Return the output's CRS name; pygeoapi gives no specification when it is the storage CRS."""
    return "EPSG:25832" if spec is None else crs.parse_crs(spec.target_crs_uri)


def _typed(column: Column, text: str) -> Any:
    """Return a query parameter as a value of the column.

    Raises
    ------
    InvalidInput
        It is no such value.
    """
    try:
        match column.type:
            case ColumnType.INTEGER:
                return int(text)
            case ColumnType.REAL:
                return float(text)
            case ColumnType.BOOLEAN:
                return {"true": True, "false": False}[text.lower()]
            case ColumnType.JSON | ColumnType.BLOB:
                raise InvalidInput(f"'{column.name}' cannot be compared.", hint="See the queryables.")
            case _:
                return text
    except (ValueError, KeyError):
        raise InvalidInput(f"'{text[:40]}' is no {column.type} for '{column.name}'.") from None


def _during(schema: DatasetSchema, interval: str | None) -> dict[str, Any] | None:
    """Return the condition of a ``datetime`` parameter on the first date column; ``None`` without one."""
    if interval is None:
        return None
    begin, end = _instants(interval)
    column = next(_time_columns(schema), None)
    if column is None:
        return None  # features without time match every instant (OGC API Features part 1, 7.15.4)
    bounds = [(">=", begin, False), ("<=", end, True)]
    conditions = [
        {"op": op, "args": [{"property": column.name}, _moment(column, text, last=last)]}
        for op, text, last in bounds
        if text is not None
    ]
    return {"op": "and", "args": conditions} if conditions else None


def _time_columns(schema: DatasetSchema) -> Iterator[Column]:
    return (c for c in schema.public_columns if c.type in (ColumnType.DATE, ColumnType.DATETIME))


def _instants(interval: str) -> tuple[str | None, str | None]:
    parts = interval.split("/")
    if len(parts) > 2 or all(part in ("", "..") for part in parts):
        raise InvalidInput(
            "datetime is neither an instant nor an interval.", hint="2026-11-24 or 2026-01-01/.."
        )
    begin, end = parts[0], parts[-1]
    for part in {begin, end} - {"", ".."}:
        try:
            datetime.fromisoformat(part)
        except ValueError:
            raise InvalidInput(
                f"'{part[:40]}' is no RFC 3339 date or time.", hint="2026-11-24 or 2026-11-24T12:00:00Z"
            ) from None
    return (None if begin in ("", "..") else begin), (None if end in ("", "..") else end)


def _moment(column: Column, text: str, *, last: bool) -> dict[str, str]:
    """Return the literal of one bound: a day for a date column, an instant in UTC for the others."""
    if column.type is ColumnType.DATE:
        return {"date": date.fromisoformat(text[:10]).isoformat()}
    if len(text) == 10:
        return {"timestamp": f"{text}T23:59:59.999Z" if last else f"{text}T00:00:00Z"}
    return {"timestamp": text}
