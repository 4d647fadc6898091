"""Column batches as GeoJSON features: one transformation and one writer call a batch, not a feature."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from geoinfra import crs
from geoinfra.tables import ColumnType, FeatureBatch

__all__ = ["WITH_HEIGHTS", "features"]

WITH_HEIGHTS = "EPSG:7416"
"""CRS of the answer that carries stored heights: EPSG:25832 and DVR90."""

_STORAGE = "EPSG:25832"
_DECIMALS_DEGREES = 8  # about 1 mm
_DECIMALS_METRES = 3


def features(batch: FeatureBatch, target: str, *, geometry: bool, encoded: bool) -> Iterator[dict[str, Any]]:
    """Yield the rows of `batch` as GeoJSON features.

    Parameters
    ----------
    target
        CRS name of the output; its own axis order is written.
    geometry
        ``False`` writes null geometry.
    encoded
        Geometry and JSON columns stay text inside ``orjson.Fragment``; otherwise they are Python values.
    """
    decode = orjson.Fragment if encoded else orjson.loads
    names = list(batch.columns)
    columns = list(batch.columns.values())
    documents = {column.name for column in batch.schema.columns if column.type is ColumnType.JSON}
    for at, name in enumerate(names):
        if name in documents:
            columns[at] = [None if text is None else decode(text) for text in columns[at]]
    rows = zip(*columns, strict=True) if names else ([] for _ in range(len(batch)))
    shapes = _texts(batch, target) if geometry else [None] * len(batch)
    for feature_id, shape, values in zip(batch.feature_ids, shapes, rows, strict=True):
        yield {
            "type": "Feature",
            "id": feature_id,
            "geometry": None if shape is None else decode(shape),
            "properties": dict(zip(names, values, strict=True)),
        }


def _texts(batch: FeatureBatch, target: str) -> list[str | None]:
    """Return the GeoJSON text of each geometry in the CRS `target`, rounded to about a millimetre."""
    with np.errstate(invalid="ignore"):  # an empty point is NaN
        shapes = shapely.from_wkb(np.array(batch.geometry, dtype=object))
    vertices, owners = shapely.get_coordinates(shapes, return_index=True)
    horizontal = _STORAGE if target == WITH_HEIGHTS else target
    decimals = _DECIMALS_METRES if crs.is_metric(horizontal) else _DECIMALS_DEGREES
    x, y = crs.transform_xy(vertices[:, 0], vertices[:, 1], _STORAGE, horizontal)
    moved = np.round(np.column_stack([y, x] if crs.north_first(horizontal) else [x, y]), decimals)
    positions = _positions(moved)
    if target == WITH_HEIGHTS and batch.heights_m is not None:
        positions = _with_heights(positions, batch.heights_m, owners)
    return _joined(shapes, positions, owners)


def _positions(coordinates: NDArray[np.float64]) -> list[str]:
    """Return ``x,y`` of each vertex: all are written at once, and cut apart."""
    if not len(coordinates):
        return []
    text = orjson.dumps(np.ascontiguousarray(coordinates), option=orjson.OPT_SERIALIZE_NUMPY)
    return text[2:-2].decode().split("],[")


def _with_heights(
    positions: list[str], heights_m: Sequence[bytes | None], owners: NDArray[np.int64]
) -> list[str]:
    """Add the heights of those features of which every vertex has one."""
    starts = np.searchsorted(owners, np.arange(len(heights_m) + 1))
    for row, stored in enumerate(heights_m):
        if stored is None:
            continue
        heights = np.frombuffer(stored, dtype="<f8")
        start, end = int(starts[row]), int(starts[row + 1])
        if len(heights) == end - start and np.isfinite(heights).all():
            for at, height in enumerate(np.round(heights, _DECIMALS_METRES).tolist(), start):
                positions[at] = f"{positions[at]},{height}"
    return positions


def _joined(shapes: NDArray[Any], positions: Sequence[str], owners: NDArray[np.int64]) -> list[str | None]:
    """Put the positions together to geometries; those of one type go together."""
    texts: list[str | None] = [None] * len(shapes)
    types = shapely.get_type_id(shapes)
    empty = shapely.is_empty(shapes)
    for row in np.flatnonzero(empty).tolist():
        texts[row] = str(shapely.to_geojson(shapes[row]))
    for type_ in np.unique(types[(types >= 0) & ~empty]).tolist():
        chosen = (types == type_) & ~empty
        own = positions if chosen.all() else [positions[at] for at in np.flatnonzero(chosen[owners]).tolist()]
        found = _of_one_type(shapely.GeometryType(type_), shapes[chosen], own)
        for row, text in zip(np.flatnonzero(chosen).tolist(), found, strict=True):
            texts[row] = text
    return texts


def _of_one_type(type_: shapely.GeometryType, shapes: NDArray[Any], positions: Sequence[str]) -> list[str]:
    head = f'{{"type":"{_NAMES[type_]}","coordinates":'
    if type_ is shapely.GeometryType.POINT:
        return [f"{head}[{position}]}}" for position in positions]
    _type, _coordinates, offsets = shapely.to_ragged_array(shapes)
    innermost, *outer = (level.tolist() for level in offsets)
    members = [f"[[{'],['.join(positions[start:end])}]]" for start, end in pairwise(innermost)]
    for level in outer:
        members = [f"[{','.join(members[start:end])}]" for start, end in pairwise(level)]
    return [f"{head}{member}}}" for member in members]


_NAMES = {
    shapely.GeometryType.POINT: "Point",
    shapely.GeometryType.LINESTRING: "LineString",
    shapely.GeometryType.POLYGON: "Polygon",
    shapely.GeometryType.MULTIPOINT: "MultiPoint",
    shapely.GeometryType.MULTILINESTRING: "MultiLineString",
    shapely.GeometryType.MULTIPOLYGON: "MultiPolygon",
}
