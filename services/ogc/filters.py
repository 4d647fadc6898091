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

__all__ = ["box_in_storage", "expression_in_storage", "north_first", "read_expression"]

_STORAGE = "EPSG:25832"
_LONGEST_TEXT = 8_000
_DEEPEST = 64
_MOST_VERTICES = 10_000
_EDGE_PIECES = 16  # a straight edge of a box in degrees is a curve in the storage CRS


def north_first(name: str) -> bool:
    """Whether a CRS writes its northing or latitude first on the wire (OGC API Features part 2)."""
    return name in ("EPSG:4326", "EPSG:4258")


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
    source = crs.parse_crs(filter_crs)
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
    return _checked(shapely.transform(geometry, _mover(source)))


def _mover(source: str) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    def move(coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        first, second = coordinates[:, 0], coordinates[:, 1]
        x, y = (second, first) if north_first(source) else (first, second)
        return np.column_stack(crs.transform_xy(x, y, source, _STORAGE))

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
    if north_first(name):
        numbers = [numbers[1], numbers[0], numbers[3], numbers[2]]
    west, south, east, north = numbers
    if south > north:
        raise InvalidInput("The bbox's south lies north of its north.", hint="bbox=west,south,east,north")
    if west > east:
        raise InvalidInput(
            "The bbox crosses the antimeridian, where Denmark is not.", hint="bbox=west,south,east,north"
        )
    west, south, east, north = _within_validity(west, south, east, north, name)
    least = 1e-4 if name in _METRIC else 1e-9  # a tenth of a millimetre: a point or a line is a box too
    box = shapely.box(west, south, max(east, west + least), max(north, south + least))
    if name == _STORAGE:
        return box
    pieces = shapely.segmentize(box, max(east - west, north - south, least) / _EDGE_PIECES)

    def move(coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(crs.transform_xy(coordinates[:, 0], coordinates[:, 1], name, _STORAGE))

    return _checked(shapely.transform(pieces, move))


_METRIC = ("EPSG:25832", "EPSG:25833", "EPSG:3857")
_WIDE_DEGREES = (-30.0, 40.0, 50.0, 72.0)
_WIDE_MERCATOR_M = (-3_400_000.0, 4_800_000.0, 5_600_000.0, 11_800_000.0)


def _within_validity(
    west: float, south: float, east: float, north: float, name: str
) -> tuple[float, float, float, float]:
    """Cut a world-wide box to northern Europe, where UTM zone 32 is a sane mapping; all data lie inside."""
    if name in ("EPSG:25832", "EPSG:25833"):
        west, south, east, north = (min(max(number, -1e8), 1e8) for number in (west, south, east, north))
        return west, south, east, north
    limits = _WIDE_MERCATOR_M if name == "EPSG:3857" else _WIDE_DEGREES
    low_x, low_y = min(max(west, limits[0]), limits[2]), min(max(south, limits[1]), limits[3])
    high_x, high_y = max(min(east, limits[2]), limits[0]), max(min(north, limits[3]), limits[1])
    return low_x, low_y, high_x, high_y
