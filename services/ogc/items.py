"""Requests for features, read once for every format: which rows, which part of them, in which CRS.

The engine's own reading passes over what it does not know, and knows neither the identifier, nor several
columns of times, nor intervals with times of the day.
"""

from __future__ import annotations

import functools
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pygeoapi.api import APIRequest
from pygeoapi.l10n import locale2str
from starlette.datastructures import QueryParams
from starlette.requests import Request

from geoinfra import crs
from geoinfra.errors import InvalidFilter, InvalidInput
from geoinfra.storage.collections import Collection
from geoinfra.storage.deliveries import DatasetView
from geoinfra.tables import Column, ColumnType, DatasetSchema, FeatureQuery
from services.ogc.call import ItemsRequest, Page
from services.ogc.geojson import WITH_HEIGHTS
from services.ogc.provider import is_queryable

if TYPE_CHECKING:
    from services.ogc.asked import Asked

__all__ = [
    "IDENTIFIER",
    "comparable",
    "headers",
    "item_page",
    "items_page",
    "offered",
]

DEFAULT_ITEMS, MOST_ITEMS = 100, 10_000
IDENTIFIER = "id"
"""How queries name a feature's identifier."""

_MOST_OFFSET = 2**53
_MOST_SORT_KEYS = 10
_RESERVED = frozenset(
    {"f", "lang", "limit", "offset", "cursor", "bbox", "bbox-crs", "crs", "datetime", "filter", "filter-crs"}
    | {"filter-lang", "properties", "resulttype", "skipGeometry", "sortby"}
)
_TIMES = (ColumnType.DATE, ColumnType.DATETIME)
_DATE_TIME = re.compile(
    r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII | re.IGNORECASE
)


# --- Reading a request


def comparable(schema: DatasetSchema) -> tuple[Column, ...]:
    """Return the columns that clients may compare and sort by; documents and bytes have no order."""
    return tuple(column for column in schema.public_columns if is_queryable(column))


def offered(collection: Collection, schema: DatasetSchema) -> tuple[str, ...]:
    """Return the addresses of the CRSs of the collection's answers; CRS84 is always there, and first."""
    names = [name for name in collection.crs if name != "OGC:CRS84"]
    heights = [crs.DVR90_URI] if schema.has_heights else []
    return (crs.CRS84_URI, *map(crs.uri, names), *heights)


def items_page(query: QueryParams, collection: Collection, view: DatasetView, wanted: ItemsRequest) -> Page:
    """Read a request for items.

    Parameters
    ----------
    wanted
        Its box, filter and cursor, already read.

    Raises
    ------
    InvalidInput, InvalidFilter
        A parameter has no meaning.
    """
    schema = view.schema
    question = FeatureQuery(
        polygon=wanted.polygon,
        equal=_equal(query, collection, schema),
        filter=_together([_identified(wanted.filter, schema), _during(schema, query.get("datetime"))]),
        geometry=False,
    )
    page = replace(
        question,
        columns=_selected(query.get("properties"), schema),
        sort=_sort(query.get("sortby"), schema),
        limit=min(_whole(query, "limit", DEFAULT_ITEMS, least=1), MOST_ITEMS),
        offset=_whole(query, "offset", 0, least=0),
        after=wanted.cursor,
        geometry=query.get("skipGeometry") != "true",
    )
    for name in ("bbox-crs", "filter-crs"):
        _require_offered(name, query.get(name), collection, schema)
    return Page(page, question, _target(query, collection, schema))


def item_page(query: QueryParams, collection: Collection, view: DatasetView, identifier: str) -> Page:
    """Read a request for one feature.

    Raises
    ------
    InvalidInput
        The CRS is not offered.
    """
    equal = {**collection.rule, "feature_id": [identifier]}
    wanted = FeatureQuery(equal=equal, columns=_selected(None, view.schema), limit=1)
    return Page(wanted, wanted, _target(query, collection, view.schema), identifier)


def _whole(query: QueryParams, name: str, default: int, *, least: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= _MOST_OFFSET):
        raise InvalidInput(f"'{name}' is a whole number, at least {least}.", details={"found": text[:40]})
    return int(text)


def _target(query: QueryParams, collection: Collection, schema: DatasetSchema) -> str:
    text = query.get("crs", crs.CRS84_URI)
    _require_offered("crs", text, collection, schema)
    return WITH_HEIGHTS if text == crs.DVR90_URI else crs.parse_crs(text)


def _require_offered(name: str, text: str | None, collection: Collection, schema: DatasetSchema) -> None:
    if text is not None and text not in offered(collection, schema):
        raise InvalidInput(
            f"The CRS '{text[:80]}' of '{name}' is not offered here.",
            hint=f"Offered are {', '.join(offered(collection, schema))}.",
        )


def _selected(text: str | None, schema: DatasetSchema) -> tuple[str, ...]:
    names = [column.name for column in schema.public_columns if column.type is not ColumnType.BLOB]
    if text is None:
        return tuple(names)
    wanted = text.split(",")
    for name in wanted:
        if name not in names:
            raise InvalidInput(
                f"There is no property '{name[:60]}'.", hint=f"Properties: {', '.join(names)}."
            )
    return tuple(dict.fromkeys(wanted))


def _sort(text: str | None, schema: DatasetSchema) -> tuple[tuple[str, bool], ...]:
    if text is None:
        return ()
    names = {column.name for column in comparable(schema)}
    keys: dict[str, bool] = {}
    for key in text.split(","):
        name = key.removeprefix("-") if key.startswith("-") else key.removeprefix("+").removeprefix(" ")
        if name not in names | {IDENTIFIER} or name in keys or len(keys) == _MOST_SORT_KEYS:
            raise InvalidInput(
                f"'{key[:60]}' cannot be sorted by.",
                hint=f"Each of at most {_MOST_SORT_KEYS} once: {', '.join(sorted(names))}.",
            )
        keys["feature_id" if name == IDENTIFIER and name not in names else name] = key.startswith("-")
    return tuple(keys.items())


def _equal(query: QueryParams, collection: Collection, schema: DatasetSchema) -> dict[str, list[Any]]:
    equal = {name: list(values) for name, values in collection.rule.items()}
    names = {column.name for column in comparable(schema)}
    for name, text in query.items():
        if name in _RESERVED:
            continue
        if name == IDENTIFIER and name not in names:
            equal["feature_id"] = [v for v in equal.get("feature_id", [text]) if v == text]
            continue
        value = _typed(schema.column(name), text)
        equal[name] = [v for v in equal.get(name, [value]) if v == value]
    return equal


def _typed(column: Column, text: str) -> Any:
    """Return a query parameter as a value of the column."""
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


def _identified(tree: Any, schema: DatasetSchema) -> Any:
    """Return a filter with the store's name of the identifier; documents cannot be asked for."""
    if isinstance(tree, list):
        return [_identified(member, schema) for member in tree]
    if not isinstance(tree, Mapping) or "coordinates" in tree:
        return tree
    name = tree.get("property")
    if name == IDENTIFIER and not any(column.name == name for column in schema.columns):
        return {"property": "feature_id"}
    if name == "feature_id":
        raise InvalidFilter("There is no property 'feature_id'.", hint="The identifier is called 'id'.")
    if any(column.name == name and not is_queryable(column) for column in schema.columns):
        raise InvalidFilter(f"'{name}' cannot be compared.", hint="See the queryables.")
    return {member: _identified(value, schema) for member, value in tree.items()}


def _together(conditions: Sequence[Mapping[str, Any] | None]) -> Mapping[str, Any] | None:
    known = [condition for condition in conditions if condition is not None]
    return known[0] if len(known) == 1 else {"op": "and", "args": known} if known else None


def _during(schema: DatasetSchema, text: str | None) -> dict[str, Any] | None:
    """Return the condition of ``datetime``: a time of the feature lies within, or it has none at all."""
    if text is None:
        return None
    span = _span(text)
    times = [{"property": column.name} for column in schema.public_columns if column.type in _TIMES]
    if not times:
        return None
    within = [{"op": "t_intersects", "args": [time, span]} for time in times]
    without = {"op": "and", "args": [{"op": "isNull", "args": [time]} for time in times]}
    return {"op": "or", "args": [*within, without]}


def _span(text: str) -> dict[str, Any]:
    ends = text.split("/")
    known = [end for end in ends if end not in ("", "..")]
    if len(ends) > 2 or not known or not all(map(_is_time, known)):
        raise InvalidInput(
            "datetime is neither an RFC 3339 date or time nor an interval of them.",
            hint="2026-11-24, 2026-11-24T12:00:00Z or 2026-01-01/..",
        )
    if len(ends) == 1:
        return {"timestamp": text.upper()}
    return {"interval": [end.upper() if end in known else ".." for end in ends]}


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return _DATE_TIME.fullmatch(text) is not None


# --- Headers


def headers(asked: Asked) -> dict[str, str]:
    """Return the headers that features have in every format."""
    uri = asked.query.get("crs", crs.CRS84_URI)
    return {"Content-Crs": f"<{uri}>", "Content-Language": _language(asked)}


def _language(asked: Asked) -> str:
    if "lang" not in asked.query and "accept-language" not in asked.request.headers:
        return str(locale2str(asked.view.locales[0]))
    locales = tuple(locale2str(locale) for locale in asked.view.locales)
    return _negotiated(asked.query.get("lang"), asked.request.headers.get("accept-language", ""), locales)


@functools.lru_cache(maxsize=256)
def _negotiated(lang: str | None, header: str, locales: tuple[str, ...]) -> str:
    """Return the language that the engine would choose."""
    query = urllib.parse.urlencode({} if lang is None else {"lang": lang}).encode()
    headers = [(b"accept-language", header.encode("latin-1"))]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": query, "headers": headers}
    return str(locale2str(APIRequest(Request(scope), list(locales)).locale))
