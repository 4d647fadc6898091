"""The content of one vector tile: which rows, which attributes, cut and encoded.

Where the store's engine can cut tiles itself it does; else rows are read and encoded here. Both give the same
features with the same ids and attributes, and coordinates that differ by one unit at most.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil, cos, floor, radians
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geoinfra import crs
from geoinfra.presentation.attributes import DERIVED, column_of
from geoinfra.presentation.maplibre import attributes_read
from geoinfra.presentation.style_set import load_style_set, style_sets
from geoinfra.storage.collections import Collection
from geoinfra.storage.deliveries import DatasetView, TileFrame
from geoinfra.tables import ColumnType, FeatureBatch, FeatureQuery
from geoinfra.utilities.model import UTILITY_FEATURES
from services.tiles.mvt import BUFFER, EXTENT, cut, encode_layer

__all__ = [
    "LEAST_ZOOM",
    "MEDIA_TYPE",
    "MOST_FEATURES",
    "Square",
    "TileCache",
    "is_drawn",
    "make_tile",
    "open_tile",
    "shown_columns",
]

LEAST_ZOOM = {
    "addresses": 16,
    "buildings": 13,
    "parcels": 15,
    "streets": 10,
    "road-sections": 13,
    "utility-features": 13,
}
"""Dataset -> the first zoom at which its tiles hold anything; other datasets begin at 0."""

MOST_FEATURES = 10_000
"""Features in one tile; of more, the largest stay."""

MEDIA_TYPE = "application/vnd.mapbox-vector-tile"

_MOST_ROWS = 60_000  # read for one tile
_SIMPLIFIED_BELOW = 14
_TOLERANCE = 2.0  # tile units
_CACHE_BYTES = 64_000_000
_CORRIDOR_M = 7.0  # half the width of the widest, with a line of 4 m in it
_LATITUDE_DEG = 56.0
_WEB_CELL_M = 156543.03392804097 * 256 / EXTENT  # a tile unit at zoom 0, on the equator
_SHOWN_TYPES = frozenset(ColumnType) - {ColumnType.JSON, ColumnType.BLOB}
_STORAGE = f"EPSG:{crs.STORAGE_EPSG}"
_SRIDS = {"EPSG:3857": 3857, "OGC:CRS84": 4326, _STORAGE: crs.STORAGE_EPSG}
_NORTHERN_EUROPE_M = (-2_000_000.0, 4_500_000.0, 3_000_000.0, 8_000_000.0)
"""Where EPSG:25832 is sane, in its own metres."""

type Bounds = tuple[float, float, float, float]
type Coordinates = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Square:
    """The place of a tile.

    Attributes
    ----------
    crs_name
        CRS of the tile matrix set, as :func:`geoinfra.crs.parse_crs` gives it.
    bounds
        West, south, east, north in that CRS.
    zoom
        Of WebMercatorQuad, the one whose tiles are nearest in size.
    """

    crs_name: str
    bounds: Bounds
    zoom: int


def open_tile(collection: Collection, view: DatasetView, square: Square) -> bytes:
    """Return a tile of an open collection, kept between requests."""
    key = (collection.id, repr(collection.rule), view.version, square)
    content = _kept.get(key)
    if content is None:
        content = make_tile(collection, view, square)
        _kept.put(key, content)
    return content


def make_tile(collection: Collection, view: DatasetView, square: Square) -> bytes:
    """Return one tile of what `view` may show of a collection; empty bytes where there is nothing.

    Every public column travels but documents and bytes, and ``feature_id``, the identifier of the OGC item;
    with utility features also what the styles read of them at this zoom.
    """
    if square.zoom < LEAST_ZOOM.get(collection.dataset, 0):
        return b""
    drawn = is_drawn(view)
    derived = _derived_at(square.zoom) if drawn else ()
    names = shown_columns(view)
    frame = TileFrame(
        collection.id,
        _SRIDS[square.crs_name],
        square.bounds,
        EXTENT,
        _corridor_buffer(square.zoom) if drawn else BUFFER,
        _TOLERANCE if square.zoom < _SIMPLIFIED_BELOW else 0.0,
        MOST_FEATURES,
    )
    box = _storage_bounds(square, frame.buffer)
    if box is None:
        return b""
    query = FeatureQuery(bbox=box, equal=collection.rule, columns=names, limit=_MOST_ROWS)
    content = None if derived else view.tile(query, frame)
    if content is not None:
        return content
    with _encoding:
        return _encoded(view, query, derived, square, frame)


_encoding = threading.Lock()
"""One thread at a time holds the interpreter lock for long; others meanwhile wait for the database."""


def shown_columns(view: DatasetView) -> tuple[str, ...]:
    """Return the public columns that travel in tiles."""
    return tuple(c.name for c in view.schema.public_columns if c.type in _SHOWN_TYPES)


def is_drawn(view: DatasetView) -> bool:
    """Whether a dataset has the columns from which utility features are drawn."""
    held = {column.name for column in view.schema.public_columns}
    return held.issuperset(column.name for column in UTILITY_FEATURES.public_columns)


def _encoded(
    view: DatasetView, query: FeatureQuery, derived: tuple[str, ...], square: Square, frame: TileFrame
) -> bytes:
    names = query.columns or ()
    read = FeatureQuery(
        bbox=query.bbox,
        equal=query.equal,
        columns=(*names, "properties") if derived else names,
        limit=query.limit,
    )
    batches = list(view.read(read))
    if not batches:
        return b""
    ids = [feature_id for batch in batches for feature_id in batch.feature_ids]
    columns: dict[str, Sequence[Any]] = {name: _column(batches, name) for name in (*names, *derived)}
    columns["feature_id"] = ids
    geometries = _geometries(batches)
    if len(ids) > frame.most_features:
        kept = _largest(geometries, frame.most_features)
        geometries = geometries[kept]
        ids = [ids[row] for row in kept]
        columns = {name: [values[row] for row in kept] for name, values in columns.items()}
    placed = _in_tile_units(geometries, square, query.bbox or square.bounds)
    return encode_layer(frame.layer, placed, ids, columns, tolerance=frame.tolerance, buffer=frame.buffer)


def _column(batches: Sequence[FeatureBatch], name: str) -> Sequence[Any]:
    if len(batches) == 1:
        return column_of(batches[0], name)
    return [value for batch in batches for value in column_of(batch, name)]


def _geometries(batches: Sequence[FeatureBatch]) -> NDArray[np.object_]:
    wkb = [geometry for batch in batches for geometry in batch.geometry]
    shapes: NDArray[np.object_] = shapely.from_wkb(np.array(wkb, dtype=object))
    return shapes


def _derived_at(zoom: int) -> tuple[str, ...]:
    """Return the attributes that no column holds and that a style reads in tiles of this zoom."""
    return tuple(name for name, lowest in _derived_attributes().items() if floor(lowest) <= zoom)


@cache
def _derived_attributes() -> Mapping[str, float]:
    held = {column.name for column in UTILITY_FEATURES.columns} | {"geometry"}  # tiles tell their geometry
    found: dict[str, float] = {}
    for name in style_sets():
        for attribute, zoom in attributes_read(load_style_set(name)).items():
            if attribute in DERIVED and attribute not in held:
                found[attribute] = min(found.get(attribute, zoom), zoom)
    return found


def _corridor_buffer(zoom: int) -> int:
    """Return how far a tile looks beside itself so that no uncertainty that reaches into it is cut."""
    unit_m = _WEB_CELL_M / float(2**zoom)
    return max(BUFFER, ceil(_CORRIDOR_M / cos(radians(_LATITUDE_DEG)) / unit_m))


# --- Places


def _storage_bounds(square: Square, buffer: int) -> Bounds | None:
    """Return the bounds of the buffered tile in EPSG:25832 metres; ``None`` far from where that is sane."""
    west, south, east, north = square.bounds
    more_x, more_y = (east - west) * buffer / EXTENT, (north - south) * buffer / EXTENT
    box = np.array([west - more_x, south - more_y, east + more_x, north + more_y])
    low_x, low_y, high_x, high_y = _sane_bounds(square.crs_name)
    if box[0] > high_x or box[2] < low_x or box[1] > high_y or box[3] < low_y:
        return None
    box = np.clip(box, [low_x, low_y, low_x, low_y], [high_x, high_y, high_x, high_y])
    if square.crs_name == _STORAGE:
        return float(box[0]), float(box[1]), float(box[2]), float(box[3])
    moved = crs.transformer(square.crs_name, _STORAGE).transform_bounds(*box)
    return moved[0], moved[1], moved[2], moved[3]


@cache
def _sane_bounds(crs_name: str) -> Bounds:
    if crs_name == _STORAGE:
        return _NORTHERN_EUROPE_M
    if crs_name == "OGC:CRS84":
        return -30.5, 39.5, 50.3, 72.5
    return -3_400_000.0, 4_800_000.0, 5_600_000.0, 11_800_000.0


def _in_tile_units(geometries: NDArray[np.object_], square: Square, box: Bounds) -> NDArray[np.object_]:
    """Return geometries in units of the tile, y downwards; what lies far outside is cut off."""
    margin = 0.01 * max(box[2] - box[0], box[3] - box[1])
    window = (box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin)
    place = _placing(square, window)
    placed: NDArray[np.object_] = shapely.transform(cut(geometries, window), place)
    return placed


_DEGREES = [(i, j) for i in range(5) for j in range(5 - i)]
"""Powers of the polynomial in two variables."""

_SAMPLES = 9
_MOST_OFF = 0.02  # tile units


def _placing(square: Square, window: Bounds) -> Any:
    """Return the function from EPSG:25832 to tile units.

    Over a small window the projections are all but flat: a polynomial of degree 4 through 81 places is the
    projection to a hundredth of a unit, and far quicker. Where it is not, every vertex is projected.
    """

    def exact(xy: Coordinates) -> Coordinates:
        x, y = crs.transform_xy(xy[:, 0], xy[:, 1], _STORAGE, square.crs_name)
        west, south, east, north = square.bounds
        scale_x, scale_y = EXTENT / (east - west), EXTENT / (north - south)
        return np.column_stack([(x - west) * scale_x, (north - y) * scale_y])

    if square.crs_name == _STORAGE:
        return exact
    middle = np.array([(window[0] + window[2]) / 2, (window[1] + window[3]) / 2])
    half = np.array([(window[2] - window[0]) / 2, (window[3] - window[1]) / 2])
    grid = np.cos(np.pi * (np.arange(_SAMPLES) + 0.5) / _SAMPLES)
    known = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    tried = np.stack(np.meshgrid(*[np.linspace(-1, 1, 6)] * 2), -1).reshape(-1, 2)
    found = exact(np.concatenate([known, tried]) * half + middle)
    factors, *_ = np.linalg.lstsq(_terms(known), found[: len(known)], rcond=None)
    off = np.abs(_terms(tried) @ factors - found[len(known) :]).max()
    if not off < _MOST_OFF:
        return exact

    def quick(xy: Coordinates) -> Coordinates:
        placed: Coordinates = _terms((xy - middle) / half) @ factors
        return placed

    return quick


def _terms(at: Coordinates) -> Coordinates:
    powers_x, powers_y = ([np.ones(len(at))], [np.ones(len(at))])
    for _ in range(4):
        powers_x.append(powers_x[-1] * at[:, 0])
        powers_y.append(powers_y[-1] * at[:, 1])
    return np.stack([powers_x[i] * powers_y[j] for i, j in _DEGREES], axis=1)


def _largest(geometries: NDArray[np.object_], most: int) -> list[int]:
    """Return the rows of the largest features by extent, in their first order."""
    bounds = shapely.bounds(geometries)
    size = np.nan_to_num(np.hypot(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1]), nan=-1.0)
    kept = np.sort(np.argsort(-size, kind="stable")[:most])
    rows: list[int] = kept.tolist()
    return rows


# --- What is kept


class TileCache:
    """Answers by their key, the least recently used leave first; safe between threads.

    Parameters
    ----------
    most_bytes
        Of all answers together.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._held: OrderedDict[Any, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Any) -> bytes | None:
        """Return the answer, ``None`` when it is not held."""
        with self._lock:
            content = self._held.get(key)
            if content is not None:
                self._held.move_to_end(key)
            return content

    def put(self, key: Any, content: bytes) -> None:
        """Hold an answer."""
        size = len(content) + _ENTRY_BYTES
        with self._lock:
            if key in self._held:
                self._bytes -= len(self._held.pop(key)) + _ENTRY_BYTES
            self._bytes += size
            self._held[key] = content
            while self._bytes > self._most_bytes:
                _, dropped = self._held.popitem(last=False)
                self._bytes -= len(dropped) + _ENTRY_BYTES


_ENTRY_BYTES = 500
"""What an entry takes beside its content: empty tiles are bounded too."""

_kept = TileCache(_CACHE_BYTES)
