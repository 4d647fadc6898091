"""Tiles on request: who may see what, which rows, what may be cached, and where."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from math import ceil, cos, floor, radians
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from geoinfra import crs
from geoinfra.access import Access, Visibility
from geoinfra.errors import NotFound
from geoinfra.presentation.attributes import DERIVED, column_of
from geoinfra.presentation.maplibre import attributes_read
from geoinfra.presentation.style_set import load_style_set, style_sets
from geoinfra.storage import Store
from geoinfra.storage.collections import Collection
from geoinfra.storage.deliveries import DatasetView
from geoinfra.tables import ColumnType, FeatureBatch, FeatureQuery
from geoinfra.utilities.model import UTILITY_FEATURES
from services.catalogue import PresentCatalogue, may_know_granted
from services.tiles.mvt import BUFFER, EXTENT, encode_layer, tile_bounds, to_tile_units

__all__ = ["LEAST_ZOOM", "MOST_FEATURES", "TileService", "make_tile"]

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

_MOST_ROWS = 60_000  # read for one tile
_DEEPEST_ZOOM = 22
_SIMPLIFIED_BELOW = 14
_TOLERANCE = 2.0  # tile units
_CACHE_BYTES = 64_000_000
_CORRIDOR_M = 7.0  # half the width of the widest, with a line of 4 m in it
_LATITUDE_DEG = 56.0
_MEDIA_TYPE = "application/vnd.mapbox-vector-tile"
_SHOWN_TYPES = frozenset(ColumnType) - {ColumnType.JSON, ColumnType.BLOB}


class TileService:
    """Vector tiles over one store.

    Parameters
    ----------
    access_of
        Tells who sent a request; raises ``NotAuthenticated`` for a bad token.
    """

    def __init__(self, store: Store, *, access_of: Callable[[Request], Access]) -> None:
        self._store = store
        self._catalogue = PresentCatalogue(store)
        self._access_of = access_of
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tiles")
        self._cache = _TileCache(_CACHE_BYTES)

    def route(self) -> BaseRoute:
        """Return the route of all tiles."""

        async def endpoint(request: Request) -> Response:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._answer, request)

        return Route("/tiles/{collection}/{z:int}/{x:int}/{y:int}.mvt", endpoint)

    def _answer(self, request: Request) -> Response:
        access = self._access_of(request)
        z, x, y = (int(request.path_params[name]) for name in "zxy")
        if z > _DEEPEST_ZOOM or x >= 2**z or y >= 2**z:
            raise NotFound("There is no such tile.", hint=f"z is 0 to {_DEEPEST_ZOOM}, x and y below 2^z.")
        present = self._catalogue.now()
        collection = present.collections.get(request.path_params["collection"])
        if collection is None or not _may_know(access, collection):
            raise NotFound("There is no such collection.", hint="See /api/config.")
        view = present.view(access, collection)
        if collection.visibility is Visibility.OPEN:
            return self._open(request, collection, view, (z, x, y))
        content = _content(collection, view, z, x, y)
        tile = f"{z}/{x}/{y}"
        self._store.audit.append("tile.read", access, collection.id, {"tile": tile})
        return _response(content, {"Cache-Control": "private, no-store"})

    def _open(
        self, request: Request, collection: Collection, view: DatasetView, place: tuple[int, int, int]
    ) -> Response:
        tag = f'"{view.version}"'
        age_s = 3600 if request.query_params.get("v") == view.version else 60
        headers = {"Cache-Control": f"public, max-age={age_s}", "ETag": tag}
        if tag in (part.strip() for part in request.headers.get("if-none-match", "").split(",")):
            return Response(status_code=304, headers=headers)
        key = (collection.id, repr(collection.rule), view.version, *place)
        content = self._cache.get(key)
        if content is None:
            content = _content(collection, view, *place)
            self._cache.put(key, content)
        return _response(content, headers)


def _may_know(access: Access, collection: Collection) -> bool:
    return collection.visibility is Visibility.OPEN or may_know_granted(access)


def _response(content: bytes, headers: dict[str, str]) -> Response:
    if not content:
        return Response(status_code=204, headers=headers)
    return Response(content, headers=headers, media_type=_MEDIA_TYPE)


def _content(collection: Collection, view: DatasetView, z: int, x: int, y: int) -> bytes:
    if z < LEAST_ZOOM.get(collection.dataset, 0):
        return b""
    return make_tile(collection, view, z, x, y)


def make_tile(collection: Collection, view: DatasetView, z: int, x: int, y: int) -> bytes:
    """Return one tile of what `view` may show of a collection; empty bytes where there is nothing.

    Every public column travels but documents and bytes, and ``feature_id``, the identifier of the OGC item;
    with utility features also what the styles read of them at this zoom.
    """
    names = tuple(c.name for c in view.schema.public_columns if c.type in _SHOWN_TYPES)
    is_drawn = _is_drawn(view)
    derived = _derived_at(z) if is_drawn else ()
    buffer = _corridor_buffer(z) if is_drawn else BUFFER
    read = (*names, "properties") if derived else names
    query = FeatureQuery(bbox=_bounds(z, x, y, buffer), equal=collection.rule, columns=read, limit=_MOST_ROWS)
    batches = list(view.read(query))
    if not batches:
        return b""
    ids = [feature_id for batch in batches for feature_id in batch.feature_ids]
    columns: dict[str, Sequence[Any]] = {
        name: [value for batch in batches for value in column_of(batch, name)] for name in (*names, *derived)
    }
    columns["feature_id"] = ids
    geometries = _in_tile_units(batches, z, x, y)
    if len(ids) > MOST_FEATURES:
        kept = _largest(geometries)
        geometries = geometries[kept]
        ids = [ids[row] for row in kept]
        columns = {name: [values[row] for row in kept] for name, values in columns.items()}
    tolerance = _TOLERANCE if z < _SIMPLIFIED_BELOW else 0.0
    return encode_layer(collection.id, geometries, ids, columns, tolerance=tolerance, buffer=buffer)


def _is_drawn(view: DatasetView) -> bool:
    """Whether a dataset has the columns from which utility features are drawn."""
    held = {column.name for column in view.schema.public_columns}
    return held.issuperset(column.name for column in UTILITY_FEATURES.public_columns)


def _derived_at(z: int) -> tuple[str, ...]:
    """Return the attributes that no column holds and that a style reads in tiles of this zoom."""
    return tuple(name for name, lowest in _derived_attributes().items() if floor(lowest) <= z)


@cache
def _derived_attributes() -> Mapping[str, float]:
    held = {column.name for column in UTILITY_FEATURES.columns} | {"geometry"}  # tiles tell their geometry
    found: dict[str, float] = {}
    for name in style_sets():
        for attribute, zoom in attributes_read(load_style_set(name)).items():
            if attribute in DERIVED and attribute not in held:
                found[attribute] = min(found.get(attribute, zoom), zoom)
    return found


def _corridor_buffer(z: int) -> int:
    """Return how far a tile looks beside itself so that no uncertainty that reaches into it is cut."""
    west, _, east, _ = tile_bounds(z, 0, 0)
    return max(BUFFER, ceil(_CORRIDOR_M / cos(radians(_LATITUDE_DEG)) * EXTENT / (east - west)))


def _bounds(z: int, x: int, y: int, buffer: int) -> tuple[float, float, float, float]:
    """Return the bounds of the buffered tile in EPSG:25832 metres, cut to where that CRS is sane."""
    west, south, east, north = tile_bounds(z, x, y)
    margin = (east - west) * buffer / EXTENT
    box = np.array([west - margin, south - margin, east + margin, north + margin])
    low_x, low_y, high_x, high_y = _NORTHERN_EUROPE_M
    box = np.clip(box, [low_x, low_y, low_x, low_y], [high_x, high_y, high_x, high_y])
    moved = crs.transformer("EPSG:3857", "EPSG:25832").transform_bounds(*box)
    return moved[0], moved[1], moved[2], moved[3]


_NORTHERN_EUROPE_M = (-3_400_000.0, 4_800_000.0, 5_600_000.0, 11_800_000.0)  # EPSG:3857


def _in_tile_units(batches: list[FeatureBatch], z: int, x: int, y: int) -> NDArray[np.object_]:
    wkb = [geometry for batch in batches for geometry in batch.geometry]
    shapes: NDArray[np.object_] = shapely.from_wkb(np.array(wkb, dtype=object))

    def move(coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        easting, northing = crs.transform_xy(coordinates[:, 0], coordinates[:, 1], "EPSG:25832", "EPSG:3857")
        return to_tile_units(easting, northing, z, x, y)

    moved: NDArray[np.object_] = shapely.transform(shapes, move)
    return moved


def _largest(geometries: NDArray[np.object_]) -> list[int]:
    """Return the rows of the largest features by extent, in their first order."""
    bounds = shapely.bounds(geometries)
    size = np.nan_to_num(np.hypot(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1]), nan=-1.0)
    kept = np.sort(np.argsort(-size, kind="stable")[:MOST_FEATURES])
    rows: list[int] = kept.tolist()
    return rows


class _TileCache:
    """Tiles of open collections by their key, the least recently used leave first; safe between threads."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._held: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: tuple[Any, ...]) -> bytes | None:
        """Return the tile, ``None`` when it is not held."""
        with self._lock:
            content = self._held.get(key)
            if content is not None:
                self._held.move_to_end(key)
            return content

    def put(self, key: tuple[Any, ...], content: bytes) -> None:
        """Hold a tile."""
        with self._lock:
            self._bytes += len(content) - len(self._held.pop(key, b""))
            self._held[key] = content
            while self._bytes > self._most_bytes:
                _, dropped = self._held.popitem(last=False)
                self._bytes -= len(dropped)
