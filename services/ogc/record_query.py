"""Which records a request wants: words, types, identifiers, box, time, filter, order and page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import shapely
from starlette.datastructures import QueryParams

from geoinfra import crs
from geoinfra.errors import InvalidInput
from services.ogc.filters import read_expression
from services.ogc.record_filters import matches

__all__ = ["PARAMETERS", "SORTABLES", "Page", "page_of"]

SORTABLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "id": {"type": "string"},
    "type": {"type": "string"},
    "title": {"type": "string"},
    "created": {"type": "string", "format": "date-time"},
    "updated": {"type": "string", "format": "date-time"},
}
PARAMETERS: Final = frozenset(
    {
        "f", "lang", "limit", "offset", "q", "type", "ids", "externalIds", "bbox", "datetime", "sortby",
        "filter", "filter-lang", "filter-crs",
    }
)  # fmt: skip
"""What a request for records may say."""

_DEFAULT_LIMIT: Final = 20
_MOST: Final = 1_000
_TEXTS: Final = ("title", "description", "keywords", "attribution", "lineage", "rights")


@dataclass(frozen=True, slots=True)
class Page:
    """A page of records.

    Attributes
    ----------
    matched
        How many records there are in all.
    """

    records: Sequence[Mapping[str, Any]]
    matched: int
    limit: int
    offset: int


def page_of(records: Sequence[Mapping[str, Any]], query: QueryParams) -> Page:
    """Return the page that the parameters ask for.

    Raises
    ------
    InvalidInput, InvalidFilter
        A parameter has no meaning.
    """
    limit, offset = _number(query, "limit", _DEFAULT_LIMIT, 1), _number(query, "offset", 0, 0)
    limit = min(limit, _MOST)
    found = list(records)
    for choose in (_by_words, _by_lists, _by_box, _by_time, _by_filter):
        found = choose(found, query)
    for name, descending in reversed(_order(query)):
        found.sort(key=lambda one: str(_member(one, name) or "").casefold(), reverse=descending)
    return Page(found[offset : offset + limit], len(found), limit, offset)


type _Records = list[Mapping[str, Any]]


def _number(query: QueryParams, name: str, default: int, least: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < least:
        raise InvalidInput(f"'{name}' is no whole number of at least {least}.")
    return int(text)


def _member(one: Mapping[str, Any], name: str) -> Any:
    return one["id"] if name == "id" else one["properties"].get(name)


def _by_words(records: _Records, query: QueryParams) -> _Records:
    """Keep records with one of the terms, which commas part; words of a term follow each other."""
    if "q" not in query:
        return records
    terms = [term.split() for term in query["q"].casefold().split(",") if term.strip()]
    if not terms:
        raise InvalidInput("'q' holds no words.", hint="q=buildings")
    wanted = [re.compile(r"\s+".join(map(re.escape, words))) for words in terms]
    return [one for one in records if any(term.search(text) for text in _searched(one) for term in wanted)]


def _searched(one: Mapping[str, Any]) -> list[str]:
    values = [one["properties"].get(name, "") for name in _TEXTS]
    return [("\n".join(value) if isinstance(value, list) else value).casefold() for value in values]


def _by_lists(records: _Records, query: QueryParams) -> _Records:
    for parameter in ("type", "ids", "externalIds"):
        if parameter in query:
            wanted = {value.strip() for value in query[parameter].split(",")} - {""}
            if not wanted:
                raise InvalidInput(f"'{parameter}' is empty.", hint="Give values, separated by commas.")
            records = [one for one in records if wanted & _identifiers(one, parameter)]
    return records


def _identifiers(one: Mapping[str, Any], parameter: str) -> set[str]:
    if parameter == "ids":
        return {one["id"]}
    if parameter == "type":
        return {one["properties"]["type"]}
    return {entry["value"] for entry in one["properties"].get("externalIds", ())}


def _by_box(records: _Records, query: QueryParams) -> _Records:
    if "bbox" not in query:
        return records
    try:
        numbers = [float(part) for part in query["bbox"].split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 6:
        numbers = [numbers[0], numbers[1], numbers[3], numbers[4]]
    if len(numbers) != 4 or not all(-1e4 < number < 1e4 for number in numbers) or numbers[1] > numbers[3]:
        raise InvalidInput("'bbox' is no box in degrees.", hint="bbox=west,south,east,north")
    west, south, east, north = numbers
    halves = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    boxes = [shapely.box(low, south, high, north) for low, high in halves]
    return [one for one in records if any(shapely.intersects(_extent(one), box) for box in boxes)]


def _extent(one: Mapping[str, Any]) -> shapely.Geometry:
    ring = one["geometry"]["coordinates"][0]
    box: shapely.Geometry = shapely.polygons(ring)
    return box


def _by_time(records: _Records, query: QueryParams) -> _Records:
    """Keep records whose time meets the interval; those without a time meet every one."""
    if "datetime" not in query:
        return records
    begin, end = _interval(query["datetime"])
    return [one for one in records if _meets(one["time"], begin, end)]


def _interval(text: str) -> tuple[str, str]:
    parts = text.split("/")
    if len(parts) > 2 or all(part in ("", "..") for part in parts):
        raise InvalidInput("'datetime' is neither an instant nor an interval.", hint="2026-01-01/..")
    for part in parts:
        if part not in ("", ".."):
            _require_moment(part)
    begin, end = (parts[0], parts[-1])
    begin, end = "" if begin == ".." else begin, "9" if end in ("", "..") else end
    if begin[:10] > end[:10]:
        raise InvalidInput("'datetime' ends before it begins.", hint="begin/end")
    return begin[:10], end[:10]


def _require_moment(text: str) -> None:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"'{text[:40]}' is no RFC 3339 date or time.", hint="2026-11-24") from None


def _meets(time: Mapping[str, Any] | None, begin: str, end: str) -> bool:
    if time is None:
        return True
    first, last = time.get("interval") or (time["date"], time["date"])
    return bool(first <= end and last >= begin)


def _by_filter(records: _Records, query: QueryParams) -> _Records:
    if "filter" not in query:
        if "filter-lang" in query or "filter-crs" in query:
            raise InvalidInput("'filter-lang' and 'filter-crs' need a 'filter'.")
        return records
    if crs.parse_crs(query.get("filter-crs")) != "OGC:CRS84":
        raise InvalidInput("Filters of records are in CRS84.", hint="Leave out filter-crs.")
    tree = read_expression(query["filter"], query.get("filter-lang"))
    return [one for one in records if matches(tree, one)]


def _order(query: QueryParams) -> list[tuple[str, bool]]:
    order = []
    for part in query.get("sortby", "").split(",") if "sortby" in query else ():
        sign, name = (part[0], part[1:]) if part[:1] in "+- " and part else ("+", part)
        if name not in SORTABLES:
            offered = ", ".join(SORTABLES)
            raise InvalidInput(f"Records are not sorted by '{name[:40]}'.", hint=f"Use {offered}.")
        order.append((name, sign == "-"))
    return order
