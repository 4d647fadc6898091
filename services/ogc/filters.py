"""CQL2 expressions and boxes of a request, moved to the storage CRS.

The expression is read by the ``cql2`` package into its JSON tree. The store compiles the tree against an
allow-list of columns with bound values; nothing of the text reaches SQL.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import cql2
import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from geoinfra import crs
from geoinfra.errors import InvalidFilter, InvalidInput

__all__ = ["box_in_storage", "expression_in_storage", "horizontal", "read_expression"]

_STORAGE = "EPSG:25832"
_LONGEST_TEXT = 8_000
_DEEPEST = 64
_MOST_VERTICES = 10_000
_MOST_PIECES, _MOST_PIECES_ALL = 256, 5_000
_SHORTEST_M, _SHORTEST_DEGREES = 500.0, 0.005  # an edge this long bends by less than 3 cm
_WHOLE_EARTH_DEGREES = (180.0, 90.0)
_WIDE_DEGREES = (-30.0, 40.0, 50.0, 72.0)
_FAR_M = 1e8
_ELSEWHERE = shapely.Point(0.0, 0.0)
"""Stands for a geometry of which nothing lies near the data: no row meets it, in the storage CRS."""


def horizontal(uri: str | None) -> str:
    """Return the name of the CRS of an address, without its heights.

    Raises
    ------
    InvalidInput
        It is not known.
    """
    return _STORAGE if uri == crs.DVR90_URI else crs.parse_crs(uri)


def read_expression(text: str, language: str | None = None) -> dict[str, Any]:
    """Return the JSON tree of a CQL2 expression.

    Parameters
    ----------
    text
        CQL2 text, or CQL2 JSON.
    language
        ``cql2-text`` or ``cql2-json``; without it an opening brace means JSON.

    Raises
    ------
    InvalidFilter
        It cannot be read, or is too long or nested too deeply.
    """
    if language not in (None, "cql2-text", "cql2-json"):
        raise InvalidFilter(
            f"The filter language '{language[:40]}' is not known here.", hint="Use cql2-text or cql2-json."
        )
    if len(text) > _LONGEST_TEXT or _depth(text) > _DEEPEST or text.count("NOT") > _DEEPEST:
        raise InvalidFilter(
            "The filter is too long or nested too deeply.",
            hint=f"At most {_LONGEST_TEXT} characters and {_DEEPEST} levels.",
        )
    is_json = language == "cql2-json" or (language is None and text.lstrip().startswith("{"))
    return _read(text, is_json)


@functools.lru_cache(maxsize=256)
def _read(text: str, is_json: bool) -> dict[str, Any]:
    try:
        tree = (cql2.parse_json(text) if is_json else cql2.parse_text(text)).to_json()
    except (cql2.ParseError, cql2.ValidationError, ValueError) as error:
        raise InvalidFilter(
            "The filter is not a CQL2 expression.", hint=f"Near: {str(error).strip()[:200]}"
        ) from None
    if isinstance(tree, bool) or (isinstance(tree, dict) and "property" in tree):
        return {"op": "and", "args": [tree]}
    if not isinstance(tree, dict) or "op" not in tree:
        raise InvalidFilter(
            "The filter is not a condition.", hint="Write a comparison, for instance: status = 'i drift'."
        )
    return tree


def _depth(text: str) -> int:
    depth = deepest = 0
    for letter in text:
        if letter in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in ")]}":
            depth -= 1
    return deepest


def expression_in_storage(tree: Mapping[str, Any], filter_crs: str | None) -> dict[str, Any]:
    """Return the tree with every geometry literal in EPSG:25832, boxes as polygons.

    Raises
    ------
    InvalidFilter
        A literal is no geometry, holds NaN or more vertices than allowed.
    InvalidInput
        The CRS is not known.
    """
    source = horizontal(filter_crs)
    moved: dict[str, Any] = _walk(tree, source)
    return moved


def _walk(node: Any, source: str) -> Any:
    if isinstance(node, list):
        return [_walk(member, source) for member in node]
    if not isinstance(node, Mapping):
        return node
    if "bbox" in node:
        return _literal(box_in_storage(_numbers(node["bbox"]), source))
    if "coordinates" in node or "geometries" in node:
        return _literal(_moved(_geometry(node), source))
    return {name: _walk(member, source) for name, member in node.items()}


def _numbers(values: Any) -> list[float]:
    if not isinstance(values, list) or not all(isinstance(value, int | float) for value in values):
        raise InvalidFilter("A BBOX needs numbers.", hint="BBOX(west, south, east, north)")
    return [float(value) for value in values]


def _geometry(node: Mapping[str, Any]) -> shapely.Geometry:
    try:
        geometry = shapely.from_geojson(orjson.dumps(node))
    except (shapely.errors.GEOSException, TypeError, ValueError):
        raise InvalidFilter(
            "A geometry in the filter cannot be read.", hint="Check that rings are closed and brackets match."
        ) from None
    vertices = shapely.get_num_coordinates(geometry)
    if vertices == 0 or vertices > _MOST_VERTICES:
        raise InvalidFilter(
            f"A geometry in the filter has {vertices} vertices.", hint="1 to 10,000 are allowed."
        )
    return geometry


def _moved(geometry: shapely.Geometry, source: str) -> shapely.Geometry:
    """Move a literal to the storage CRS, its edges followed in pieces; what lies far off is cut away."""
    geometry = shapely.force_2d(geometry)
    coordinates = shapely.get_coordinates(geometry)
    if not np.isfinite(coordinates).all():
        raise InvalidFilter("A geometry in the filter holds something that is no number.")
    if crs.north_first(source):
        geometry = shapely.transform(geometry, lambda xy: xy[:, ::-1])
        coordinates = coordinates[:, ::-1]
    if source == _STORAGE:
        return geometry
    if not crs.is_metric(source) and (np.abs(coordinates) > _WHOLE_EARTH_DEGREES).any():
        raise InvalidFilter(
            "A geometry in the filter has a longitude or latitude that does not exist.",
            hint="Check the axis order: CRS84 is longitude, latitude; EPSG:4326 the other way about.",
        )
    near = _cut(geometry, source)
    if shapely.is_empty(near):
        return _ELSEWHERE
    return _checked(shapely.transform(_in_pieces(near, source), _mover(source)))


def _cut(geometry: shapely.Geometry, source: str) -> shapely.Geometry:
    """Return the part in northern Europe, where UTM zone 32 is a sane mapping; all data lie inside."""
    west, south, east, north = _wide(source)
    low_x, low_y, high_x, high_y = shapely.bounds(geometry).tolist()
    if west <= low_x and south <= low_y and high_x <= east and high_y <= north:
        return geometry
    area = shapely.box(west, south, east, north)
    try:
        parts = shapely.intersection(shapely.get_parts(geometry), area)
    except shapely.errors.GEOSException:
        raise InvalidFilter("A geometry in the filter is not valid.") from None
    parts = shapely.get_parts(parts[~shapely.is_empty(parts)])
    near: shapely.Geometry = shapely.union_all(parts) if len(parts) else shapely.Point()
    return near


def _in_pieces(geometry: shapely.Geometry, source: str) -> shapely.Geometry:
    """Cut long edges: a straight edge is a curve in another CRS."""
    low_x, low_y, high_x, high_y = shapely.bounds(geometry).tolist()
    extent = max(high_x - low_x, high_y - low_y)
    if extent == 0:
        return geometry
    shortest = _SHORTEST_M if crs.is_metric(source) else _SHORTEST_DEGREES
    longest = max(shortest, extent / _MOST_PIECES, float(shapely.length(geometry)) / _MOST_PIECES_ALL)
    pieces: shapely.Geometry = shapely.segmentize(geometry, longest)
    return pieces


@functools.cache
def _wide(name: str) -> tuple[float, float, float, float]:
    """Return northern Europe in a CRS, x first."""
    if not crs.is_metric(name):
        return _WIDE_DEGREES
    west, south, east, north = crs.transformer("OGC:CRS84", name).transform_bounds(*_WIDE_DEGREES)
    return west, south, east, north


def _mover(source: str) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    def move(coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(crs.transform_xy(coordinates[:, 0], coordinates[:, 1], source, _STORAGE))

    return move


def _checked(geometry: shapely.Geometry) -> shapely.Geometry:
    if not np.isfinite(shapely.get_coordinates(geometry)).all():
        raise InvalidInput(
            "The coordinates lie outside what the CRS can express.",
            hint="Check the CRS and the axis order: CRS84 is longitude, latitude.",
        )
    return geometry


def _literal(geometry: shapely.Geometry) -> dict[str, Any]:
    literal: dict[str, Any] = json.loads(shapely.to_geojson(geometry))
    return literal


def box_in_storage(numbers: list[float], name: str) -> shapely.Geometry:
    """Return the polygon in EPSG:25832 of a box in another CRS, its edges followed in pieces.

    Parameters
    ----------
    numbers
        Four ordinates in the CRS's own axis order, or six, of which the heights do not matter.
    name
        Name of the CRS as :func:`geoinfra.crs.parse_crs` gives it.

    Raises
    ------
    InvalidInput
        The numbers are no box.
    """
    if len(numbers) == 6:
        numbers = [numbers[0], numbers[1], numbers[3], numbers[4]]
    if len(numbers) != 4 or not all(math.isfinite(number) for number in numbers):
        raise InvalidInput("A bbox has four finite numbers, or six.", hint="bbox=west,south,east,north")
    if crs.north_first(name):
        numbers = [numbers[1], numbers[0], numbers[3], numbers[2]]
    west, south, east, north = numbers
    if south > north:
        raise InvalidInput("The bbox's south lies north of its north.", hint="bbox=west,south,east,north")
    if west > east:
        raise InvalidInput(
            "The bbox crosses the antimeridian, where Denmark is not.", hint="bbox=west,south,east,north"
        )
    low_x, low_y, high_x, high_y = (-_FAR_M, -_FAR_M, _FAR_M, _FAR_M) if name == _STORAGE else _wide(name)
    west, east = min(max(west, low_x), high_x), max(min(east, high_x), low_x)
    south, north = min(max(south, low_y), high_y), max(min(north, high_y), low_y)
    least = 1e-4 if crs.is_metric(name) else 1e-9  # a tenth of a millimetre: a point or a line is a box too
    box: shapely.Geometry = shapely.box(west, south, max(east, west + least), max(north, south + least))
    if name == _STORAGE:
        return box
    return _checked(shapely.transform(_in_pieces(box, name), _mover(name)))
