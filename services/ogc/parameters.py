"""Query parameters of the OGC routes: which are known, and the items request that they make.

OGC API Features wants 400 for a parameter that it does not know; pygeoapi would drop it silently.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Collection as Names
from collections.abc import Mapping
from typing import Any

import shapely
from starlette.datastructures import QueryParams

from geoinfra.errors import InvalidInput
from services.ogc.call import ItemsRequest
from services.ogc.filters import box_in_storage, expression_in_storage, horizontal, read_expression

__all__ = ["COMMON", "ITEM", "ITEMS", "PAGED", "QUERYABLES", "items_request", "require_known"]

COMMON = frozenset({"f", "lang"})
PAGED = COMMON | {"limit", "offset"}
QUERYABLES = COMMON | {"properties"}
ITEM = COMMON | {"crs"}
ITEMS = PAGED | {
    "bbox",
    "bbox-crs",
    "crs",
    "cursor",
    "datetime",
    "filter",
    "filter-crs",
    "filter-lang",
    "properties",
    "resulttype",
    "skipGeometry",
    "sortby",
}
_FORMATS = frozenset({"json", "html"})
_LONGEST_VALUE = 10_000


def require_known(query: QueryParams, known: Names[str], formats: Names[str] = _FORMATS) -> None:
    """Raise unless every parameter is known, written once and of sane length.

    Parameters
    ----------
    formats
        What ``f`` may name.

    Raises
    ------
    InvalidInput
        Names the parameter.
    """
    seen: set[str] = set()
    for name, value in query.multi_items():
        if name not in known:
            offered = ", ".join(sorted(known))
            raise InvalidInput(
                f"The parameter '{name[:60]}' is not known here.",
                hint=f"Known parameters: {offered}.",
                details={"parameter": name[:60]},
            )
        if name in seen:
            raise InvalidInput(f"The parameter '{name[:60]}' is given twice.", hint="Give it once.")
        if len(value) > _LONGEST_VALUE or "\x00" in value:
            raise InvalidInput(
                f"The value of '{name[:60]}' cannot be used.", hint="Give a shorter, plain text."
            )
        seen.add(name)
    if query.get("f", "json") not in formats:
        offered = " or ".join(f"f={name}" for name in sorted(formats, reverse=True))
        raise InvalidInput(f"The format '{query['f'][:40]}' is not offered.", hint=f"Use {offered}.")


def items_request(query: QueryParams, items_url: str, *, encoded: bool) -> ItemsRequest:
    """Read the parts of an items request that pygeoapi does not read itself.

    Parameters
    ----------
    items_url
        Public address of the collection's items.

    Raises
    ------
    InvalidInput, InvalidFilter
        A parameter has no meaning.
    """
    _require_words(query)
    return ItemsRequest(
        polygon=_polygon(query),
        filter=_expression(query),
        cursor=query.get("cursor"),
        next_href=lambda cursor: _address(items_url, {**_lasting(query), "cursor": cursor}),
        encoded=encoded,
    )


def _require_words(query: QueryParams) -> None:
    for name, words in {"resulttype": ("results", "hits"), "skipGeometry": ("true", "false")}.items():
        if query.get(name, words[0]) not in words:
            raise InvalidInput(f"'{name}' is {' or '.join(words)}.")
    if "cursor" in query and "offset" in query:
        raise InvalidInput("'cursor' excludes 'offset'.", hint="Follow the next link as it is.")
    if "bbox-crs" in query and "bbox" not in query:
        raise InvalidInput("'bbox-crs' is given without 'bbox'.")
    if ("filter-crs" in query or "filter-lang" in query) and "filter" not in query:
        raise InvalidInput("'filter-crs' and 'filter-lang' need a 'filter'.")


def _polygon(query: QueryParams) -> bytes | None:
    text = query.get("bbox")
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise InvalidInput(
            "The bbox holds something that is no number.", hint="bbox=west,south,east,north"
        ) from None
    polygon = box_in_storage(numbers, horizontal(query.get("bbox-crs")))
    wkb: bytes = shapely.to_wkb(polygon)
    return wkb


def _expression(query: QueryParams) -> dict[str, Any] | None:
    text = query.get("filter")
    if text is None:
        return None
    return expression_in_storage(read_expression(text, query.get("filter-lang")), query.get("filter-crs"))


def _lasting(query: QueryParams) -> dict[str, str]:
    """Return the parameters that a next page keeps."""
    return {name: value for name, value in query.items() if name not in ("cursor", "offset")}


def _address(url: str, parameters: Mapping[str, str]) -> str:
    return f"{url}?{urllib.parse.urlencode(parameters, safe=',:/')}"
