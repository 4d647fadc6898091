"""CQL2 over records in memory: a catalogue is small, and its records lie in no table.

The tree comes from :func:`services.ogc.filters.read_expression`; what may be said of the
numbers of rows is more than records have. Comparisons with what a record lacks are unknown, as in SQL.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson
import shapely

from geoinfra.errors import InvalidFilter

__all__ = ["QUERYABLES", "matches"]

QUERYABLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "id": {"type": "string", "title": "Identifier"},
    "type": {"type": "string", "title": "Type of resource", "enum": ["dataset", "service", "style"]},
    "title": {"type": "string", "title": "Title"},
    "description": {"type": "string", "title": "Description"},
    "keywords": {"type": "array", "items": {"type": "string"}, "title": "Keywords"},
    "license": {"type": "string", "title": "Licence"},
    "rights": {"type": "string", "title": "Rights"},
    "attribution": {"type": "string", "title": "Attribution"},
    "lineage": {"type": "string", "title": "Lineage"},
    "updateFrequency": {"type": "string", "title": "Update frequency"},
    "created": {"type": "string", "format": "date-time", "title": "Created"},
    "updated": {"type": "string", "format": "date-time", "title": "Updated"},
    "geometry": {"format": "geometry-polygon", "title": "Extent"},
}
"""JSON Schema of what may be asked for."""

type _Truth = bool | None

_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_SPATIAL: Final[Mapping[str, Callable[..., Any]]] = {
    "s_intersects": shapely.intersects,
    "s_disjoint": shapely.disjoint,
    "s_within": shapely.within,
    "s_contains": shapely.contains,
    "s_touches": shapely.touches,
    "s_crosses": shapely.crosses,
    "s_overlaps": shapely.overlaps,
    "s_equals": shapely.equals,
}
_ARRAY: Final[Mapping[str, Callable[[set[str], set[str]], bool]]] = {
    "a_contains": operator.ge,
    "a_containedby": operator.le,
    "a_equals": operator.eq,
    "a_overlaps": lambda left, right: bool(left & right),
}


def matches(tree: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Whether a record fulfils the condition of a CQL2 tree; geometries of both are in degrees.

    Raises
    ------
    InvalidFilter
        The tree asks for what records do not have, or compares what cannot be compared.
    """
    return _truth(tree, record) is True


def _truth(node: Any, record: Mapping[str, Any]) -> _Truth:
    if isinstance(node, bool):
        return node
    if not isinstance(node, Mapping) or "op" not in node:
        raise _unusable("A condition is missing.")
    name, arguments = str(node["op"]).lower(), node.get("args", [])
    if name in ("and", "or", "not"):
        return _logic(name, [_truth(one, record) for one in arguments])
    if name == "isnull":
        return _value(arguments[0], record) is None
    values = [_value(one, record) for one in arguments]
    if any(value is None for value in values):
        return None
    return _compared(name, values)


def _logic(name: str, truths: Sequence[_Truth]) -> _Truth:
    if name == "not":
        return None if truths[0] is None else not truths[0]
    deciding = name == "or"
    if deciding in truths:
        return deciding
    return None if None in truths else not deciding


def _compared(name: str, values: Sequence[Any]) -> bool:
    try:
        if name in _COMPARISONS:
            return bool(_COMPARISONS[name](values[0], values[1]))
        if name == "between":
            return bool(values[1] <= values[0] <= values[2])
        if name == "in":
            return values[0] in values[1]
        if name == "like":
            return _is_like(values[0], values[1])
        if name in _SPATIAL:
            return bool(_SPATIAL[name](values[0], values[1]))
        if name in _ARRAY:
            return _ARRAY[name](set(values[0]), set(values[1]))
    except (TypeError, IndexError):
        raise _unusable(f"'{name}' cannot compare these values.") from None
    raise _unusable(f"'{name[:40]}' is not offered for records.")


def _value(node: Any, record: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_value(one, record) for one in node]
    if not isinstance(node, Mapping):
        return node
    if "property" in node:
        return _member(str(node["property"]), record)
    if "op" in node and str(node["op"]).lower() == "casei":
        text = _value(node["args"][0], record)
        return text.casefold() if isinstance(text, str) else text
    for literal in ("timestamp", "date"):
        if literal in node:
            return node[literal]
    if "bbox" in node:
        return _box(node["bbox"])
    if "type" in node:
        return _geometry(orjson.dumps(node))
    raise _unusable("A value in the filter is not understood.")


def _member(name: str, record: Mapping[str, Any]) -> Any:
    if name not in QUERYABLES:
        known = ", ".join(QUERYABLES)
        raise InvalidFilter(f"'{name[:60]}' is not a property of records.", hint=f"Use one of {known}.")
    if name == "geometry":
        return _geometry(orjson.dumps(record["geometry"]))
    return record["id"] if name == "id" else record["properties"].get(name)


def _box(numbers: Any) -> shapely.Geometry:
    if not isinstance(numbers, list) or len(numbers) not in (4, 6):
        raise _unusable("A BBOX has four numbers or six.")
    try:
        west, south, east, north = (
            float(numbers[i]) for i in ((0, 1, 2, 3), (0, 1, 3, 4))[len(numbers) == 6]
        )
    except (TypeError, ValueError):
        raise _unusable("A BBOX needs numbers.") from None
    return shapely.box(west, south, east, north)


@functools.lru_cache(maxsize=256)
def _geometry(content: bytes) -> shapely.Geometry:
    try:
        return shapely.from_geojson(content)
    except (shapely.errors.GEOSException, TypeError, ValueError):
        raise _unusable("A geometry in the filter cannot be read.") from None


@functools.lru_cache(maxsize=64)
def _pieces(text: str) -> tuple[re.Pattern[str], ...]:
    """Return what stands between the ``%`` of a LIKE pattern; ``_`` is any letter, a backslash quotes."""
    pieces = [""]
    for part in re.findall(r"\\.|.", text, re.DOTALL):
        if part == "%":
            pieces.append("")
        else:
            pieces[-1] += "." if part == "_" else re.escape(part[-1])
    return tuple(re.compile(piece, re.DOTALL) for piece in pieces)


def _is_like(text: str, pattern: str) -> bool:
    """Whether a text has the pieces of a pattern in order, in time that grows with their product at most."""
    first, *others = _pieces(pattern)
    if not others:
        return first.fullmatch(text) is not None
    begin = first.match(text)
    if begin is None:
        return False
    place = begin.end()
    for piece in others[:-1]:
        found = piece.search(text, place)
        if found is None:
            return False
        place = found.end()
    last = re.compile(f"(?:{others[-1].pattern})\\Z", re.DOTALL)
    return last.search(text, place) is not None


def _unusable(message: str) -> InvalidFilter:
    return InvalidFilter(message, hint=f"Records have {', '.join(QUERYABLES)}.")
