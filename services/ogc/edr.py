"""OGC API Environmental Data Retrieval: values at places, along lines and in areas of grids and stations.

Coordinates are those of CRS84 where ``crs`` names no other. A raster gives heights at the very place, a cube
those of the cell in which it lies, with the middle of that cell as place of the answer. What lies outside the
data is not answered from its edge.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.errors import ShapelyError
from starlette.datastructures import QueryParams

from geoinfra import crs
from geoinfra.errors import InvalidInput, NotFound
from geoinfra.storage.cubes import Cube, Station, Stations
from geoinfra.storage.grids import Frame, Parameter, bounds_in, require_cells
from services.ogc import covjson, gridded
from services.ogc.gridded import Shown

__all__ = [
    "COMMON",
    "CONFORMANCE",
    "CSV_TYPE",
    "FORMATS",
    "GEOJSON_TYPE",
    "QUERIES",
    "Found",
    "at_location",
    "encode",
    "location_features",
    "query",
    "station_places",
]

_CLASSES: Final = "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf"
CONFORMANCE: Final = tuple(
    f"{_CLASSES}/{name}"
    for name in ("core", "collections", "json", "geojson", "edr-geojson", "covjson", "oas30", "queries")
)

GEOJSON_TYPE: Final = "application/geo+json"
CSV_TYPE: Final = "text/csv; charset=utf-8"
FORMATS: Final[Mapping[str, str]] = {
    "coveragejson": covjson.MEDIA_TYPE,
    "covjson": covjson.MEDIA_TYPE,
    "json": covjson.MEDIA_TYPE,
    "geojson": GEOJSON_TYPE,
    "csv": CSV_TYPE,
}
COMMON: Final = frozenset({"f", "lang", "crs", "datetime", "parameter-name"})
_RESOLUTION: Final = frozenset({"resolution-x", "resolution-y"})
QUERIES: Final[Mapping[str, frozenset[str]]] = {
    "position": COMMON | {"coords", "z"},
    "area": COMMON | {"coords", "z"} | _RESOLUTION,
    "radius": COMMON | {"coords", "z", "within", "within-units"} | _RESOLUTION,
    "trajectory": COMMON | {"coords", "z"},
    "corridor": COMMON
    | {"coords", "z", "corridor-width", "width-units", "corridor-height", "height-units"}
    | _RESOLUTION,
    "cube": COMMON | {"bbox", "z"} | _RESOLUTION,
}
"""The parameters of each query."""

MOST_VALUES: Final = 2_000_000
MOST_ROWS: Final = 200_000
MOST_PLACES: Final = 20_000
_MOST_VERTICES: Final = 20_000
_LONGEST_M: Final = 1_000_000.0
_UNITS_M: Final = {"m": 1.0, "km": 1000.0}
_METRES: Final = f"EPSG:{crs.STORAGE_EPSG}"

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Found:
    """One coverage that answers a query.

    Attributes
    ----------
    kind
        Domain type of CoverageJSON.
    x, y
        Of a grid: its columns and rows; otherwise one for each place. In `crs`.
    t
        Moments: of a path one for each place, otherwise an axis.
    levels
        Heights of the layers, as an axis.
    values
        ``(parameter, time, level, row, column)`` of a grid; otherwise ``(parameter, time, level, place)``.
    more
        Further members of the coverage.
    """

    kind: str
    crs: str
    x: Floats
    y: Floats
    t: NDArray[np.datetime64] | None
    levels: Floats | None
    values: Floats
    more: Mapping[str, Any]
    frame: Frame | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What all queries share."""

    shown: Shown
    crs: str
    parameters: tuple[Parameter, ...]
    times: slice
    levels: slice

    @property
    def names(self) -> list[str]:
        return [parameter.id for parameter in self.parameters]

    @property
    def moments(self) -> NDArray[np.datetime64] | None:
        all_of_them = self.shown.reader.times
        return None if all_of_them is None else all_of_them[self.times]

    @property
    def heights(self) -> Floats | None:
        all_of_them = self.shown.reader.levels
        return None if all_of_them is None else all_of_them[self.levels]

    @property
    def own(self) -> str:
        return self.shown.crs


def query(name: str, given: QueryParams, shown: Shown) -> tuple[list[Found], tuple[Parameter, ...]]:
    """Answer a query.

    Returns
    -------
    list, tuple
        At least one coverage, and the parameters asked for.

    Raises
    ------
    InvalidInput
        A parameter is missing or has no meaning.
    NotFound
        There are no values there or then.
    TooLarge
        More values would have to be given than are given at once.
    """
    asked = _asked(given, shown)
    if shown.is_stations:
        found = _at_stations(asked, _area(name, given, asked))
    else:
        found = _ANSWERS[name](given, asked)
    return found, asked.parameters


def _asked(given: QueryParams, shown: Shown) -> _Asked:
    target = crs.parse_crs(given.get("crs"))
    chosen = gridded.chosen_parameters(given, ("parameter-name",), shown.reader)
    times = gridded.chosen_times(given.get("datetime"), shown)
    if times is None:
        raise NotFound(
            "There are no values at that time.",
            hint=f"See the extent of /collections/{shown.collection.id}.",
        )
    return _Asked(shown, target, chosen, times, _levels(given.get("z"), shown))


def _levels(text: str | None, shown: Shown) -> slice:
    """Return which layers ``z`` selects: one height, an interval, or a list of neighbours."""
    if text is None:
        return slice(None)
    held = None if shown.is_stations else shown.reader.levels
    if held is None:
        raise InvalidInput("The collection has no layers; 'z' has no meaning.", hint="Leave it out.")
    try:
        if "/" in text:
            low, high = (float(part) for part in text.split("/"))
            inside = (held >= min(low, high)) & (held <= max(low, high))
        else:
            inside = np.isin(held, [float(part) for part in text.split(",")])
    except ValueError:
        raise InvalidInput("'z' is no height and no interval.", hint="z=10 or z=10/100") from None
    numbers = np.flatnonzero(inside)
    if not len(numbers):
        raise NotFound("There is no layer at that height.", hint=f"Layers: {', '.join(map(str, held))}.")
    if len(numbers) != numbers[-1] - numbers[0] + 1:
        raise InvalidInput("'z' names layers that are no neighbours.", hint="Ask for them one by one.")
    return slice(int(numbers[0]), int(numbers[-1]) + 1)


# --- Places


def _coords(given: QueryParams, asked: _Asked, kinds: Sequence[str]) -> shapely.Geometry:
    """Read ``coords``, x first.

    Raises
    ------
    InvalidInput
        It is missing, no WKT of one of the kinds, empty, not finite, or too long.
    """
    text = given.get("coords")
    hint = f"coords is WKT: {' or '.join(kind.upper() for kind in kinds)}."
    if text is None:
        raise InvalidInput("'coords' is missing.", hint=hint)
    try:
        shape = shapely.from_wkt(text)
    except ShapelyError:
        raise InvalidInput("'coords' is no well-known text.", hint=hint) from None
    if shape is None or shape.is_empty or shape.geom_type not in kinds:
        raise InvalidInput("'coords' is not the kind of geometry that this query takes.", hint=hint)
    places = shapely.get_coordinates(shape)
    if len(places) > _MOST_VERTICES or not np.isfinite(places).all():
        raise InvalidInput(f"'coords' has more than {_MOST_VERTICES:,} places, or one that is no number.")
    if crs.north_first(asked.crs):
        shape = shapely.transform(
            shape, lambda xyz: xyz[:, [1, 0, *range(2, xyz.shape[1])]], include_z=bool(shapely.has_z(shape))
        )
        places = shapely.get_coordinates(shape)
    if not crs.is_metric(asked.crs) and (np.abs(places) > [180, 90]).any():
        raise InvalidInput("'coords' has degrees that do not exist.", hint="Check the axis order.")
    return shape


def _own_places(shape: shapely.Geometry, asked: _Asked) -> tuple[Floats, Floats]:
    """Return the vertices in the grid's CRS."""
    places = shapely.get_coordinates(shape)
    return crs.transform_xy(places[:, 0], places[:, 1], asked.crs, asked.own)


def _outside(asked: _Asked) -> NotFound:
    west, south, east, north = bounds_in(asked.shown.bounds, asked.own, "OGC:CRS84")
    return NotFound(
        "There are no values there.",
        hint=f"The data lies in {west:.5f},{south:.5f},{east:.5f},{north:.5f} (CRS84).",
    )


def _position(given: QueryParams, asked: _Asked) -> list[Found]:
    shape = _coords(given, asked, ("Point", "MultiPoint"))
    x, y = _own_places(shape, asked)
    reader = asked.shown.reader
    if isinstance(reader, Cube):
        x, y, inside = reader.middles(x, y)
    else:
        inside = _within(reader.frame, x, y)
    if not inside.any():
        raise _outside(asked)
    x, y = x[inside], y[inside]
    _bounded(asked, len(x))
    values = reader.sample(x, y, asked.names, asked.times, asked.levels)
    if not gridded.finite(values):
        raise _outside(asked)
    if isinstance(reader, Cube):
        out_x, out_y = crs.transform_xy(x, y, asked.own, asked.crs)
    else:
        out_x, out_y = shapely.get_coordinates(shape)[inside].T
    many_times = asked.moments is not None and len(asked.moments) > 1
    many_levels = asked.heights is not None and len(asked.heights) > 1
    kind = _POINT_KINDS[many_times, many_levels]
    if asked.moments is not None and kind == "Point" and given.get("datetime") is None:
        kind = "PointSeries"
    return [
        Found(kind, asked.crs, out_x[n : n + 1], out_y[n : n + 1], asked.moments, asked.heights,
              values[..., n : n + 1], {})
        for n in range(len(x))
    ]  # fmt: skip


_POINT_KINDS: Final = {
    (False, False): "Point",
    (True, False): "PointSeries",
    (False, True): "VerticalProfile",
    (True, True): "Grid",
}


def _within(frame: Frame, x: Floats, y: Floats) -> NDArray[np.bool_]:
    return np.asarray((x >= frame.west) & (x <= frame.east) & (y >= frame.south) & (y <= frame.north))


def _bounded(asked: _Asked, places: float) -> None:
    moments, heights = asked.moments, asked.heights
    each = (1 if moments is None else len(moments)) * (1 if heights is None else len(heights))
    require_cells(places * each * len(asked.parameters), MOST_VALUES)


# --- Areas


def _area(name: str, given: QueryParams, asked: _Asked) -> shapely.Geometry:
    """Return the polygon that a query of an area means, in the CRS of the answer."""
    if name == "cube":
        return shapely.box(*_box(given, asked))
    if name == "area":
        shape = _coords(given, asked, ("Polygon", "MultiPolygon"))
        if not shapely.is_valid(shape):
            raise InvalidInput("The polygon is not valid.", hint=shapely.is_valid_reason(shape)[:100])
        return shape
    if name == "radius":
        place = shapely.get_coordinates(_coords(given, asked, ("Point",)))[0]
        radius_m = _length(given, "within", "within-units")
        return _back(gridded.disc(float(place[0]), float(place[1]), radius_m, asked.crs), asked)
    line = _coords(given, asked, ("LineString", "MultiLineString"))
    width_m = _length(given, "corridor-width", "width-units")
    return _back(gridded.beside(shapely.force_2d(line), width_m / 2, asked.crs), asked)


def _back(shape: shapely.Geometry, asked: _Asked) -> shapely.Geometry:
    return crs.transform_geometry(shape, _METRES, asked.crs)


def _length(given: QueryParams, name: str, unit_name: str) -> float:
    """Return a length in metres; the standard wants its unit to be given."""
    text, unit = given.get(name), given.get(unit_name)
    if text is None or unit is None:
        raise InvalidInput(
            f"'{name}' or '{unit_name}' is missing.", hint=f"For instance {name}=100&{unit_name}=m."
        )
    if unit not in _UNITS_M:
        raise InvalidInput(f"The unit '{unit[:20]}' is not known.", hint="Use m or km.")
    try:
        length = float(text) * _UNITS_M[unit]
    except ValueError:
        length = math.nan
    if not 0 < length <= _LONGEST_M:
        raise InvalidInput(f"'{name}' is no length from 0 to 1000 km.")
    return length


def _box(given: QueryParams, asked: _Asked) -> tuple[float, float, float, float]:
    if "bbox" not in given:
        raise InvalidInput("'bbox' is missing.", hint="bbox=west,south,east,north")
    bounds, _, heights = gridded.asked_bounds(given["bbox"], given.get("crs"))
    if heights is not None and (asked.shown.is_stations or asked.shown.reader.levels is None):
        raise InvalidInput("The collection has no layers.", hint="Give a bbox of four numbers.")
    return bounds


def _with_heights(name: str, given: QueryParams, asked: _Asked) -> _Asked:
    """Take the heights of a box of six numbers, or of a corridor around a line with heights, as ``z``."""
    heights: tuple[float, float] | None = None
    if name == "cube":
        heights = gridded.asked_bounds(given["bbox"], given.get("crs"))[2]
    elif name == "corridor" and "corridor-height" in given:
        half = _length(given, "corridor-height", "height-units") / 2
        line = shapely.from_wkt(given["coords"])
        if asked.shown.reader.levels is None or not shapely.has_z(line):
            raise InvalidInput(
                "'corridor-height' has no meaning here.",
                hint="It needs a collection with layers, and a line with heights.",
            )
        along = shapely.get_coordinates(line, include_z=True)[:, 2]
        heights = float(along.min()) - half, float(along.max()) + half
    if heights is None:
        return asked
    if "z" in given:
        raise InvalidInput("'z' and other heights exclude each other.", hint="Leave one of them out.")
    return replace(asked, levels=_levels(f"{heights[0]}/{heights[1]}", asked.shown))


def _grid(given: QueryParams, asked: _Asked, name: str) -> list[Found]:
    shape = _area(name, given, asked)
    asked = _with_heights(name, given, asked)
    own: Frame = asked.shown.reader.frame
    size = _resolution(given, "resolution-x"), _resolution(given, "resolution-y")
    west, south, east, north = shapely.bounds(shape).tolist()
    frame = gridded.frame_over(own, (west, south, east, north), asked.crs, asked.crs, size)
    if frame is None:
        raise _outside(asked)
    _bounded(asked, float(frame.width) * frame.height)
    values = asked.shown.reader.read(frame, asked.names, asked.times, asked.levels)
    if name != "cube":
        columns, rows = np.meshgrid(frame.xs(), frame.ys())
        shapely.prepare(shape)
        values[..., ~shapely.intersects_xy(shape, columns, rows)] = np.nan
    if not gridded.finite(values):
        raise _outside(asked)
    return [Found("Grid", asked.crs, frame.xs(), frame.ys(), asked.moments, asked.heights, values, {}, frame)]


def _resolution(given: QueryParams, name: str) -> int | None:
    """Return how many places there shall be along an axis; ``None`` and 0 mean those of the grid."""
    text = given.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or int(text) > _MOST_VERTICES:
        raise InvalidInput(f"'{name}' is a whole number from 0 to {_MOST_VERTICES}.")
    return int(text) or None


# --- Lines


def _trajectory(given: QueryParams, asked: _Asked) -> list[Found]:
    shape = _coords(given, asked, ("LineString", "MultiLineString"))
    if shapely.has_m(shape):
        asked_times = _times_of_path(shape, given, asked)
        return _timed_path(shape, asked_times, asked)
    lines = list(shapely.get_parts(shapely.force_2d(shape)))
    paths = [_every_cell(line, asked) for line in lines]
    places = np.concatenate(paths)
    x, y = crs.transform_xy(places[:, 0], places[:, 1], asked.crs, asked.own)
    _bounded(asked, len(x))
    values = asked.shown.reader.sample(x, y, asked.names, asked.times, asked.levels)
    if not gridded.finite(values):
        raise _outside(asked)
    moments = asked.moments
    if moments is None and asked.shown.captured:
        captured = np.datetime64(asked.shown.captured[1].replace(tzinfo=None), "s")
        return [_path(asked, places, np.full(len(places), captured), values)]
    if moments is None:
        return [_path(asked, places, None, values)]
    return [
        _path(asked, places, np.full(len(places), moment), values[:, number : number + 1])
        for number, moment in enumerate(moments)
    ]


def _path(asked: _Asked, places: Floats, moments: NDArray[np.datetime64] | None, values: Floats) -> Found:
    has_layers = asked.heights is not None and len(asked.heights) > 1
    kind = "Section" if has_layers else "MultiPoint" if moments is None else "Trajectory"
    return Found(kind, asked.crs, places[:, 0], places[:, 1], moments, asked.heights, values, {})


def _every_cell(line: shapely.LineString, asked: _Asked) -> Floats:
    """Return places along a line, no further apart than the grid's cells, its corners among them."""
    own: Frame = asked.shown.reader.frame
    corners = shapely.get_coordinates(line)
    x, y = crs.transform_xy(corners[:, 0], corners[:, 1], asked.crs, asked.own)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise _outside(asked)
    lengths = np.hypot(np.diff(x), np.diff(y))
    counts = np.maximum(1, np.ceil(lengths / min(own.dx, own.dy) - 1e-9)).astype(np.int64)
    require_cells(float(counts.sum()), MOST_PLACES)
    parts = [
        corners[n] + (corners[n + 1] - corners[n]) * (np.arange(count) / count)[:, None]
        for n, count in enumerate(counts.tolist())
    ]
    return np.concatenate([*parts, corners[-1:]])


def _times_of_path(shape: shapely.Geometry, given: QueryParams, asked: _Asked) -> NDArray[np.int64]:
    """Return the number of the moment at each corner of a line with M, seconds since 1970."""
    moments = asked.shown.reader.times
    if moments is None or given.get("datetime") is not None:
        raise InvalidInput(
            "Times in 'coords' have no meaning here.",
            hint="Leave out 'datetime', and use them with collections that have times only.",
        )
    seconds = shapely.get_coordinates(shape, include_m=True)[:, -1]
    known = moments.astype("datetime64[s]").astype(np.int64)
    if not np.isfinite(seconds).all() or seconds.min() < known[0] or seconds.max() > known[-1]:
        raise NotFound("There are no values at the times of the line.", hint="M is seconds since 1970 (UTC).")
    return np.asarray(np.abs(known[:, None] - seconds[None, :]).argmin(axis=0))


def _timed_path(shape: shapely.Geometry, numbers: NDArray[np.int64], asked: _Asked) -> list[Found]:
    x, y = _own_places(shape, asked)
    _bounded(replace(asked, times=slice(0, 1)), len(x))
    first, last = int(numbers.min()), int(numbers.max()) + 1
    require_cells(float(len(x)) * (last - first) * len(asked.parameters), MOST_VALUES)
    block = asked.shown.reader.sample(x, y, asked.names, slice(first, last), asked.levels)
    values = block[:, numbers - first, :, np.arange(len(x))]  # (place, parameter, level)
    values = np.moveaxis(values, 0, -1)[:, None]
    if not gridded.finite(values):
        raise _outside(asked)
    moments = asked.shown.reader.times[numbers]
    return [_path(asked, shapely.get_coordinates(shape), moments, values)]


_ANSWERS: Final[Mapping[str, Callable[[QueryParams, _Asked], list[Found]]]] = {
    "position": _position,
    "trajectory": _trajectory,
    "area": lambda given, asked: _grid(given, asked, "area"),
    "radius": lambda given, asked: _grid(given, asked, "radius"),
    "corridor": lambda given, asked: _grid(given, asked, "corridor"),
    "cube": lambda given, asked: _grid(given, asked, "cube"),
}


# --- Stations


def _at_stations(asked: _Asked, area: shapely.Geometry) -> list[Found]:
    reader: Stations = asked.shown.reader
    x, y = station_places(reader, asked.crs)
    inside = np.flatnonzero(shapely.intersects_xy(area, x, y))
    if not len(inside):
        raise NotFound(
            "There is no station there.", hint=f"See /collections/{asked.shown.collection.id}/locations."
        )
    _bounded_series(asked, len(inside))
    return [_series(asked, number, float(x[number]), float(y[number])) for number in inside.tolist()]


def _bounded_series(asked: _Asked, stations: int) -> None:
    moments = asked.moments
    assert moments is not None  # noqa: S101  # stations have times
    require_cells(float(stations) * len(moments) * len(asked.parameters), MOST_VALUES)


def station_places(reader: Stations, target: str) -> tuple[Floats, Floats]:
    """Return x and y of all stations in a CRS."""
    x = np.array([station.x for station in reader.stations])
    y = np.array([station.y for station in reader.stations])
    return crs.transform_xy(x, y, reader.crs, target)


def _series(asked: _Asked, number: int, x: float, y: float) -> Found:
    station: Station = asked.shown.reader.stations[number]
    values = asked.shown.reader.series(number, asked.names, asked.times)
    more = {"id": station.id, "rdfs:label": station.name}
    return Found(
        "PointSeries", asked.crs, np.array([x]), np.array([y]), asked.moments, None,
        values[:, :, None, None], more,
    )  # fmt: skip


def at_location(name: str, given: QueryParams, shown: Shown) -> tuple[list[Found], tuple[Parameter, ...]]:
    """Return the series of a station, by its id.

    Raises
    ------
    NotFound
        There is no such station, or it has no values then.
    """
    asked = _asked(given, shown)
    reader: Stations = shown.reader
    x, y = station_places(reader, asked.crs)
    for number, station in enumerate(reader.stations):
        if station.id == name:
            _bounded_series(asked, 1)
            return [_series(asked, number, float(x[number]), float(y[number]))], asked.parameters
    raise NotFound("There is no such place.", hint=f"See /collections/{shown.collection.id}/locations.")


def location_features(shown: Shown, url: str, chosen: Sequence[Station]) -> list[dict[str, Any]]:
    """Return stations as GeoJSON features in CRS84.

    Parameters
    ----------
    url
        Address of the service.
    """
    reader: Stations = shown.reader
    x, y = station_places(reader, "OGC:CRS84")
    told = covjson.times(reader.times[[0, -1]])
    names = [parameter.id for parameter in reader.parameters]
    places = {station.id: (x[number], y[number]) for number, station in enumerate(reader.stations)}
    return [
        {
            "type": "Feature",
            "id": station.id,
            "geometry": {
                "type": "Point",
                "coordinates": [covjson.place(number, "OGC:CRS84") for number in places[station.id]],
            },
            "properties": {
                "label": station.name,
                "datetime": "/".join(told),
                "parameter-name": names,
                "edrqueryendpoint": f"{url}/collections/{shown.collection.id}/locations/{station.id}",
            },
        }
        for station in chosen
    ]


# --- Answers


def encode(form: str, found: Sequence[Found], chosen: Sequence[Parameter]) -> bytes:
    """Write an answer.

    Parameters
    ----------
    form
        A key of :data:`FORMATS`.

    Raises
    ------
    TooLarge
        A table would have more rows than are given at once.
    """
    media_type = FORMATS[form]
    if media_type == covjson.MEDIA_TYPE:
        return covjson.encode(_covjson(found, chosen))
    rows = sum(one.values[0].size for one in found)
    require_cells(rows, MOST_ROWS)
    return _csv(found, chosen) if media_type == CSV_TYPE else _geojson(found, chosen)


def _covjson(found: Sequence[Found], chosen: Sequence[Parameter]) -> dict[str, Any]:
    first = found[0]
    vertical = "" if first.levels is not None else None
    systems = covjson.referencing(first.crs, vertical=vertical, temporal=first.t is not None)
    if len(found) == 1:
        return _coverage(first, systems, chosen, described=True)
    coverages = [_coverage(one, systems, chosen, described=False) for one in found]
    return covjson.collection(first.kind, coverages, systems, chosen)


def _coverage(
    one: Found, systems: Sequence[Mapping[str, Any]], chosen: Sequence[Parameter], *, described: bool
) -> dict[str, Any]:
    if one.kind in ("Trajectory", "MultiPoint", "Section"):
        axes, names, values = _path_axes(one)
    else:
        axes, names, values = _place_axes(one) if one.frame is None else _grid_axes(one, one.frame)
    return covjson.coverage(one.kind, axes, systems, chosen, values, names, described=described, **one.more)


def _path_axes(one: Found) -> tuple[dict[str, Any], list[str], Floats]:
    xy = [(covjson.place(x, one.crs), covjson.place(y, one.crs)) for x, y in zip(one.x, one.y, strict=True)]
    names = ["x", "y"]
    tuples: list[Sequence[Any]] = list(xy)
    if one.t is not None:
        names = ["t", *names]
        tuples = [(t, *place) for t, place in zip(covjson.times(one.t), xy, strict=True)]
    layers = one.levels
    if one.kind == "Section":
        axes = {"composite": covjson.composite(names, tuples), "z": covjson.axis(_required(layers))}
        return axes, ["z", "composite"], one.values[:, 0]
    if layers is not None:
        names.append("z")
        tuples = [(*place, float(layers[0])) for place in tuples]
    return {"composite": covjson.composite(names, tuples)}, ["composite"], one.values[:, 0, 0]


def _required(layers: Floats | None) -> Floats:
    assert layers is not None  # noqa: S101  # a section is made of layers
    return layers


def _place_axes(one: Found) -> tuple[dict[str, Any], list[str], Floats]:
    axes: dict[str, Any] = {
        "x": covjson.axis([covjson.place(one.x[0], one.crs)]),
        "y": covjson.axis([covjson.place(one.y[0], one.crs)]),
    }
    if one.levels is not None:
        axes["z"] = covjson.axis(one.levels)
    if one.t is not None:
        axes["t"] = covjson.axis(covjson.times(one.t))
    values = one.values[..., 0]
    match one.kind:
        case "Point":
            return axes, [], values[:, 0, 0]
        case "PointSeries":
            return axes, ["t"], values[:, :, 0]
        case "VerticalProfile":
            return axes, ["z"], values[:, 0]
    return axes, ["t", "z", "y", "x"], values[..., None, None]


def _grid_axes(one: Found, frame: Frame) -> tuple[dict[str, Any], list[str], Floats]:
    axes: dict[str, Any] = {
        "x": covjson.regular(float(one.x[0]), float(one.x[-1]), frame.width, one.crs),
        "y": covjson.regular(float(one.y[0]), float(one.y[-1]), frame.height, one.crs),
    }
    names, values = ["y", "x"], one.values
    if one.levels is not None:
        axes["z"] = covjson.axis(one.levels)
        names.insert(0, "z")
    else:
        values = values[:, :, 0]
    if one.t is not None:
        axes["t"] = covjson.axis(covjson.times(one.t))
        names.insert(0, "t")
    else:
        values = values[:, 0]
    return axes, names, values


def _rows(
    one: Found, chosen: Sequence[Parameter]
) -> Iterator[tuple[str | None, float, float, float | None, list[Any]]]:
    """Yield time, x, y, height and values of every place that has one."""
    flat = one.values.reshape(*one.values.shape[:3], -1)
    if one.frame is not None:
        x, y = (axis.ravel() for axis in np.meshgrid(one.x, one.y))
    else:
        x, y = one.x, one.y
    moments: list[str | None] = [None] if one.t is None else list(covjson.times(one.t))
    along = one.kind in ("Trajectory", "Section") and one.t is not None
    rounded = [np.round(flat[n], parameter.decimals) for n, parameter in enumerate(chosen)]
    held = np.isfinite(flat).any(axis=0)
    for moment, layer, place in np.argwhere(held).tolist():
        values = [None if math.isnan(v) else v for v in (float(r[moment, layer, place]) for r in rounded)]
        height = None if one.levels is None else float(one.levels[layer])
        told = moments[place if along else moment]
        yield told, covjson.place(x[place], one.crs), covjson.place(y[place], one.crs), height, values


def _csv(found: Sequence[Found], chosen: Sequence[Parameter]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    first = found[0]
    named = "rdfs:label" in first.more
    head = [*(["location"] if named else []), *(["datetime"] if first.t is not None else [])]
    head += ["y", "x"] if crs.north_first(first.crs) else ["x", "y"]
    head += ["z"] if first.levels is not None else []
    writer.writerow([*head, *(f"{p.id} ({p.unit})" if p.unit else p.id for p in chosen)])
    for one in found:
        for moment, x, y, z, values in _rows(one, chosen):
            place = [y, x] if crs.north_first(one.crs) else [x, y]
            row: list[Any] = [one.more["id"]] if named else []
            row += [moment] if one.t is not None else []
            writer.writerow([*row, *place, *([z] if one.levels is not None else []), *values])
    return text.getvalue().encode()


def _geojson(found: Sequence[Found], chosen: Sequence[Parameter]) -> bytes:
    features = []
    for one in found:
        for moment, x, y, z, values in _rows(one, chosen):
            place = [y, x] if crs.north_first(one.crs) else [x, y]
            properties: dict[str, Any] = {} if moment is None else {"datetime": moment, "step": moment}
            if "id" in one.more:
                properties |= {"location": one.more["id"], "label": one.more["rdfs:label"]}
            properties |= {parameter.id: value for parameter, value in zip(chosen, values, strict=True)}
            geometry = {"type": "Point", "coordinates": place if z is None else [*place, z]}
            features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    document = {
        "type": "FeatureCollection",
        "parameters": list(covjson.parameters(chosen).values()),
        "features": features,
    }
    return covjson.encode(document)
