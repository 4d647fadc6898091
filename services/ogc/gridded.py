"""Requests about rasters and cubes: which one, which part of it, and what their collections say of them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray
from starlette.datastructures import QueryParams

from geoinfra import crs
from geoinfra.errors import FormatNotOffered, InvalidInput, NotFound
from geoinfra.storage.collections import Collection, Kind
from geoinfra.storage.cubes import Stations
from geoinfra.storage.grids import Frame, Grid, Parameter, bounds_in
from services.catalogue import Present
from services.ogc import covjson
from services.ogc.asked import Asked, public

__all__ = [
    "Shown",
    "asked_bounds",
    "chosen_format",
    "chosen_parameters",
    "chosen_times",
    "collection_document",
    "extent_document",
    "frame_over",
    "headers_of",
    "shown",
    "shown_of",
    "snapped",
]

type Bounds = tuple[float, float, float, float]

_GREGORIAN: Final = "http://www.opengis.net/def/uom/ISO-8601/0/Gregorian"
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(:\d\d(?:\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?")
_MOST_TIMES_TOLD = 100
_SLACK = 1e-6
"""Share of a cell by which an asked edge may pass a cell's edge without asking for that cell."""

_RELATIONS: Final = "http://www.opengis.net/def/rel/ogc/1.0"
GRID_QUERIES: Final = ("position", "area", "radius", "trajectory", "corridor", "cube")
STATION_QUERIES: Final = ("locations", "items", "area", "radius", "cube")
_QUERY_TITLES: Final = {
    "position": "Values at a place",
    "area": "Values in a polygon",
    "radius": "Values around a place",
    "trajectory": "Values along a line",
    "corridor": "Values beside a line",
    "cube": "Values in a box",
    "locations": "Values at a named place",
    "items": "Stations",
    "instances": "Versions",
}
OUTPUT_FORMATS: Final = ("CoverageJSON", "GeoJSON", "CSV")


@dataclass(frozen=True, slots=True)
class Shown:
    """A raster or cube as a request sees it.

    Attributes
    ----------
    grid
        The version that the path names, or else the newest.
    reader
        ``Raster``, ``Cube`` or ``Stations``.
    instances
        All versions, oldest first.
    """

    collection: Collection
    grid: Grid
    reader: Any
    instances: tuple[Grid, ...]

    @property
    def is_stations(self) -> bool:
        """Whether it consists of places with series."""
        return isinstance(self.reader, Stations)

    @property
    def queries(self) -> tuple[str, ...]:
        """The queries of EDR that it offers."""
        return STATION_QUERIES if self.is_stations else GRID_QUERIES

    @property
    def bounds(self) -> Bounds:
        """West, south, east, north in its own CRS."""
        if not self.is_stations:
            frame: Frame = self.reader.frame
            return frame.west, frame.south, frame.east, frame.north
        x = [station.x for station in self.reader.stations]
        y = [station.y for station in self.reader.stations]
        return min(x), min(y), max(x), max(y)

    @property
    def crs(self) -> str:
        """Name of its own CRS."""
        name: str = self.reader.crs if self.is_stations else self.reader.frame.crs
        return name

    @property
    def captured(self) -> tuple[datetime, datetime] | None:
        """First and last moment of the capture of a raster that says so."""
        days = self.grid.origin.get("captured")
        if not days:
            return None
        first, last = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in days)
        return first, last + timedelta(days=1, seconds=-1)


def shown(asked: Asked) -> Shown:
    """Return the raster or cube, and the version of it, that the path names.

    Raises
    ------
    NotFound
        There is no such collection, it consists of features, or has no such version.
    """
    collection = asked.named()
    found = shown_of(asked.present, collection, asked.request.path_params.get("instance"))
    if found is None:
        raise NotFound(
            "The collection consists of features." if collection.kind is Kind.FEATURES
            else "The collection has no such version.",
            hint=f"See {asked.url}/collections/{collection.id}.",
        )  # fmt: skip
    return found


def shown_of(present: Present, collection: Collection, instance: str | None = None) -> Shown | None:
    """Return a version of a raster or cube; ``None`` where there is none."""
    if collection.kind is Kind.FEATURES:
        return None
    grids = present.grids(collection)
    chosen = grids[-1:] if instance is None else [grid for grid in grids if grid.source == instance]
    if not chosen:
        return None
    return Shown(collection, chosen[0], present.opened(chosen[0]), grids)


def headers_of(asked: Asked, found: Shown) -> dict[str, str]:
    """Return the caching headers of an answer about a grid."""
    entry = f"{found.collection.title}{found.collection.description}{found.collection.crs}"
    return public(asked, found.grid.grid_id, entry, *(grid.grid_id for grid in found.instances))


# --- Parameters


def chosen_format(asked: Asked, offered: Mapping[str, str]) -> str:
    """Return the name of the wanted format, by ``f`` or else by the Accept header.

    Parameters
    ----------
    offered
        Names as ``f`` writes them, lower case, and their media types; the first is given to those who do not
        choose.

    Raises
    ------
    InvalidInput, FormatNotOffered
        The wanted one is not among those.
    """
    wanted = asked.query.get("f")
    if wanted is not None:
        if wanted.lower() not in offered:
            raise InvalidInput(
                f"The format '{wanted[:40]}' is not offered.", hint=f"f is one of {', '.join(offered)}."
            )
        return wanted.lower()
    accept = asked.request.headers.get("accept", "")
    kinds = [part.split(";")[0].strip().lower() for part in accept.split(",") if part.strip()]
    for kind in kinds:
        for name, media_type in offered.items():
            if kind == media_type.split(";")[0]:
                return name
    if not kinds or any(kind in ("*/*", "application/*", "text/html", "application/json") for kind in kinds):
        return next(iter(offered))
    raise FormatNotOffered(
        "No accepted format is offered.", hint=f"Accept one of {', '.join(sorted(set(offered.values())))}."
    )


def chosen_parameters(query: QueryParams, names: Sequence[str], reader: Any) -> tuple[Parameter, ...]:
    """Return the parameters that a request names, in its order; all where it names none.

    Parameters
    ----------
    names
        The query parameters that may list them.

    Raises
    ------
    InvalidInput
        One does not exist.
    """
    texts = [query[name] for name in names if name in query]
    if not texts:
        return tuple(reader.parameters)
    if len(texts) > 1:
        raise InvalidInput(f"Only one of {', '.join(names)} may be given.")
    known = {parameter.id: parameter for parameter in reader.parameters}
    wanted = dict.fromkeys(part.strip() for part in texts[0].split(","))
    for name in wanted:
        if name not in known:
            raise InvalidInput(
                f"There is no parameter '{name[:60]}'.",
                hint=f"Known here: {', '.join(known)}.",
                details={"parameter": name[:60]},
            )
    return tuple(known[name] for name in wanted)


def chosen_times(text: str | None, found: Shown) -> slice | None:
    """Return which moments a ``datetime`` selects; ``None`` when there are none.

    An instant with a time selects that moment, a date the whole day, an interval what lies in it, both ends
    included; ``..`` is an open end.

    Raises
    ------
    InvalidInput
        It is no instant and no interval.
    """
    everything = slice(None)
    if text is None:
        return everything
    first, last = _interval(text)
    moments = found.reader.times
    if moments is None:
        captured = found.captured
        if captured is None:
            return everything
        after = first is not None and first > _seconds(captured[1])
        before = last is not None and last < _seconds(captured[0])
        return None if after or before else everything
    seconds = moments.astype("datetime64[s]").astype(np.int64)
    start = 0 if first is None else int(np.searchsorted(seconds, math.ceil(first), side="left"))
    stop = len(seconds) if last is None else int(np.searchsorted(seconds, math.floor(last), side="right"))
    return slice(start, stop) if stop > start else None


def _interval(text: str) -> tuple[float | None, float | None]:
    parts = text.split("/")
    if len(parts) > 2:
        raise _bad_time(text)
    bounds = [None if part in ("", "..") and len(parts) == 2 else _moment(part, text) for part in parts]
    first = None if bounds[0] is None else bounds[0][0]
    last = None if bounds[-1] is None else bounds[-1][1]
    if first is not None and last is not None and first > last:
        raise InvalidInput("The interval ends before it begins.", hint="datetime=FIRST/LAST")
    return first, last


def _moment(part: str, text: str) -> tuple[float, float]:
    """Return the first and last second that an instant or a date means."""
    match = _INSTANT.fullmatch(part)
    if match is None or not part.isascii():
        raise _bad_time(text)
    day, minute, second, zone = match.groups()
    try:
        if minute is None:
            begin = datetime.fromisoformat(day).replace(tzinfo=UTC)
            return _seconds(begin), _seconds(begin) + 86_399.999
        instant = datetime.fromisoformat(f"{day}T{minute}{second or ':00'}{zone or 'Z'}")
    except ValueError:
        raise _bad_time(text) from None
    return _seconds(instant), _seconds(instant)


def _bad_time(text: str) -> InvalidInput:
    return InvalidInput(
        f"'{text[:60]}' is no instant and no interval.",
        hint="datetime=2026-01-01T06:00:00Z, 2026-01-01, 2026-01-01/2026-01-08 or ../2026-01-08",
    )


def _seconds(moment: datetime) -> float:
    return moment.timestamp()


def asked_bounds(text: str, crs_text: str | None) -> tuple[Bounds, str, tuple[float, float] | None]:
    """Read a ``bbox``: its bounds x first, its CRS, and the heights of one with six numbers.

    Raises
    ------
    InvalidInput
        It is no box.
    """
    name = crs.parse_crs(crs_text)
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (4, 6) or not all(map(math.isfinite, numbers)):
        raise InvalidInput("The bbox is not four or six numbers.", hint="bbox=west,south,east,north")
    heights = (numbers[2], numbers[5]) if len(numbers) == 6 else None
    if heights:
        numbers = [numbers[0], numbers[1], numbers[3], numbers[4]]
    if crs.north_first(name):
        numbers = [numbers[1], numbers[0], numbers[3], numbers[2]]
    west, south, east, north = numbers
    if west >= east or south >= north:
        raise InvalidInput(
            "The bbox is empty, or its corners are the wrong way about.", hint="bbox=west,south,east,north"
        )
    if not crs.is_metric(name) and (abs(west) > 180 or abs(east) > 180 or abs(south) > 90 or abs(north) > 90):
        raise InvalidInput("The bbox holds degrees that do not exist.", hint="Check the axis order.")
    return (west, south, east, north), name, heights


# --- Cells


def frame_over(
    own: Frame,
    bounds: Bounds | None,
    source: str,
    target: str,
    size: tuple[int | None, int | None] = (None, None),
) -> Frame | None:
    """Return the cells of a grid over asked bounds, in another CRS where wanted.

    Parameters
    ----------
    own
        The grid's cells.
    bounds, source
        What is asked for, and its CRS; ``None`` for all.
    size
        Wanted columns and rows; otherwise cells are as large as the grid's, and in its own CRS they are its
        cells.

    Returns
    -------
    Frame or None
        ``None`` when the bounds lie outside.
    """
    whole = own.bounds_in(target)
    wanted = whole if bounds is None else bounds_in(bounds, source, target)
    west, south = max(wanted[0], whole[0]), max(wanted[1], whole[1])
    east, north = min(wanted[2], whole[2]), min(wanted[3], whole[3])
    if west >= east or south >= north:
        return None
    if target == own.crs and size == (None, None):
        return snapped(own, (west, south, east, north))
    natural = _natural(own, (west, south, east, north), target)
    return Frame(target, west, south, east, north, size[0] or natural[0], size[1] or natural[1])


def snapped(own: Frame, bounds: Bounds) -> Frame:
    """Return the cells of `own` that bounds inside it touch."""
    left = math.floor((bounds[0] - own.west) / own.dx + _SLACK)
    right = math.ceil((bounds[2] - own.west) / own.dx - _SLACK)
    top = math.floor((own.north - bounds[3]) / own.dy + _SLACK)
    bottom = math.ceil((own.north - bounds[1]) / own.dy - _SLACK)
    left, top = min(max(left, 0), own.width - 1), min(max(top, 0), own.height - 1)
    right, bottom = min(max(right, left + 1), own.width), min(max(bottom, top + 1), own.height)
    return Frame(
        own.crs,
        own.west + left * own.dx,
        own.north - bottom * own.dy,
        own.west + right * own.dx,
        own.north - top * own.dy,
        right - left,
        bottom - top,
    )


def _natural(own: Frame, bounds: Bounds, target: str) -> tuple[int, int]:
    """Return how many columns and rows make cells as large as those of the grid in the middle of bounds."""
    x, y = (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2
    middle = crs.transform_xy(np.array([x]), np.array([y]), target, own.crs)
    cell_x, cell_y = float(middle[0][0]), float(middle[1][0])
    west, south, east, north = bounds_in((cell_x, cell_y, cell_x + own.dx, cell_y + own.dy), own.crs, target)
    across, down = east - west, north - south
    if not crs.is_metric(own.crs) or not crs.is_metric(target):
        return max(1, round((bounds[2] - bounds[0]) / across)), max(1, round((bounds[3] - bounds[1]) / down))
    side = math.sqrt(across * down)
    return max(1, round((bounds[2] - bounds[0]) / side)), max(1, round((bounds[3] - bounds[1]) / side))


# --- Documents


def extent_document(found: Shown) -> dict[str, Any]:
    """Return where, when and at which heights there are values."""
    west, south, east, north = bounds_in(found.bounds, found.crs, "OGC:CRS84")
    document: dict[str, Any] = {
        "spatial": {
            "bbox": [[_down(west), _down(south), -_down(-east), -_down(-north)]],
            "crs": crs.CRS84_URI,
        }
    }
    moments = found.reader.times
    if moments is not None:
        told = covjson.times(moments[[0, -1]])
        texts = covjson.times(moments) if len(moments) <= _MOST_TIMES_TOLD else [f"{told[0]}/{told[1]}"]
        document["temporal"] = {"interval": [told], "values": texts, "trs": _GREGORIAN}
    elif found.captured:
        told = [moment.isoformat().replace("+00:00", "Z") for moment in found.captured]
        document["temporal"] = {"interval": [told], "values": ["/".join(told)], "trs": _GREGORIAN}
    levels = None if found.is_stations else found.reader.levels
    if levels is not None:
        texts = [f"{level:g}" for level in levels.tolist()]
        unit = found.reader.level_unit or "unknown"
        document["vertical"] = {"interval": [[texts[0], texts[-1]]], "values": texts, "vrs": unit}
    return document


def _down(degrees: float) -> float:
    return math.floor(degrees * 1e7) / 1e7


def collection_document(
    found: Shown, url: str, language: str, links: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Return what a collection's document says of a raster or cube.

    Parameters
    ----------
    url
        Address of the service.
    links
        Those of the APIs that serve it.
    """
    collection = found.collection
    here = f"{url}/collections/{collection.id}"
    origin = found.grid.origin
    return {
        "id": collection.id,
        "title": collection.title[language],
        "description": collection.description[language] or collection.title[language],
        "keywords": list(collection.keywords),
        "dataType": "coverage" if not found.is_stations else "timeseries",
        "links": [
            {"rel": "self", "type": "application/json", "title": "This document", "href": f"{here}?f=json"},
            {"rel": "alternate", "type": "text/html", "title": "As a page", "href": f"{here}?f=html"},
            {"rel": "root", "type": "application/json", "title": "The service", "href": f"{url}?f=json"},
            *links,
        ],
        "extent": extent_document(found),
        "crs": [crs.uri(name) for name in dict.fromkeys(("OGC:CRS84", found.crs, *collection.crs))],
        "storageCrs": crs.uri(found.crs),
        "output_formats": list(OUTPUT_FORMATS),
        "parameter_names": _parameter_names(found.reader.parameters, language),
        "data_queries": data_queries(found, here),
        "source": origin.get("source") or None,
        "updated": found.grid.created_at,
    }  # fmt: skip


def _parameter_names(parameters: Sequence[Parameter], language: str) -> dict[str, Any]:
    return {
        parameter.id: {
            "type": "Parameter",
            "id": parameter.id,
            "label": parameter.title.get(language) or parameter.id,
            "description": _described(parameter, language),
            "data-type": "float",
            **(
                {
                    "unit": {
                        "symbol": {"value": parameter.unit, "type": "http://www.opengis.net/def/uom/UCUM/"}
                    }
                }
                if parameter.unit
                else {}
            ),
            "observedProperty": {
                **({"id": parameter.observed_property} if parameter.observed_property else {}),
                "label": parameter.title.get(language) or parameter.id,
            },
        }
        for parameter in parameters
    }


def _described(parameter: Parameter, language: str) -> str:
    facts = [parameter.title.get(language) or parameter.id, parameter.datum, parameter.cell_methods]
    return "; ".join(fact for fact in facts if fact)


def data_queries(found: Shown, here: str) -> dict[str, Any]:
    """Return the queries of EDR with their addresses, what they take and what they give.

    Parameters
    ----------
    here
        Address of the collection, or of one version of it.
    """
    queries = {name: _query(found, name, f"{here}/{name}") for name in found.queries}
    if "/instances/" not in here:
        queries["instances"] = _query(found, "instances", f"{here}/instances")
    return queries


def _query(found: Shown, name: str, href: str) -> dict[str, Any]:
    formats = ["GeoJSON"] if name == "items" else list(OUTPUT_FORMATS)
    variables: dict[str, Any] = {
        "title": _QUERY_TITLES[name],
        "query_type": name,
        "output_formats": formats if name != "instances" else ["JSON"],
        "default_output_format": formats[0] if name != "instances" else "JSON",
        "crs_details": [
            {"crs": crs.uri(system), "wkt": crs.uri(system)}
            for system in dict.fromkeys(("OGC:CRS84", found.crs))
        ],
    }
    if name == "radius":
        variables["within_units"] = ["m", "km"]
    if name == "corridor":
        variables |= {"within_units": ["m", "km"], "height_units": ["m"]}
        variables |= {"width_units": ["m", "km"]}
    if name == "cube":
        variables["height_units"] = ["m"]
    link = {"href": href, "rel": "data", "type": "application/json", "title": _QUERY_TITLES[name]}
    return {"link": {**link, "variables": variables}}


def disc(x: float, y: float, radius_m: float, source: str) -> shapely.Geometry:
    """Return a circle around a place, in EPSG:25832.

    Raises
    ------
    InvalidInput
        The place lies outside the use of EPSG:25832.
    """
    return shapely.buffer(_in_metres(shapely.Point(x, y), source), radius_m, quad_segs=32)


def beside(line: shapely.Geometry, half_m: float, source: str) -> shapely.Geometry:
    """Return the strip beside a line, flat at its ends, in EPSG:25832."""
    return shapely.buffer(_in_metres(line, source), half_m, cap_style="flat", quad_segs=16)


def _in_metres(shape: shapely.Geometry, source: str) -> shapely.Geometry:
    moved = crs.transform_geometry(shape, source, f"EPSG:{crs.STORAGE_EPSG}")
    if not np.isfinite(shapely.get_coordinates(moved)).all():
        raise InvalidInput("The place lies outside the use of EPSG:25832.", hint="Check the axis order.")
    return moved


def finite(values: NDArray[np.float64]) -> bool:
    """Whether any value is there."""
    return bool(np.isfinite(values).any())
