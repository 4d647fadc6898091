"""Column batches as GeoJSON features: one transformation and one writer call a batch, not a feature."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from geoinfra import crs
from geoinfra.tables import ColumnType, FeatureBatch

__all__ = ["features"]

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
    json_names = [
        c.name for c in batch.schema.columns if c.type is ColumnType.JSON and c.name in batch.columns
    ]
    shapes: list[str | None] = _texts(batch, target) if geometry else [None] * len(batch)
    rows = zip(*batch.columns.values(), strict=True) if names else ([] for _ in range(len(batch)))
    for feature_id, shape, values in zip(batch.feature_ids, shapes, rows, strict=True):
        properties = dict(zip(names, values, strict=True))
        for name in json_names:
            if properties[name] is not None:
                properties[name] = decode(properties[name])
        yield {
            "type": "Feature",
            "id": feature_id,
            "geometry": None if shape is None else decode(shape),
            "properties": properties,
        }


def _texts(batch: FeatureBatch, target: str) -> list[str | None]:
    """Return the GeoJSON text of each geometry in the CRS `target`, rounded to about a millimetre."""
    decimals = _DECIMALS_METRES if crs.is_metric(target) else _DECIMALS_DEGREES

    def move(coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = crs.transform_xy(coordinates[:, 0], coordinates[:, 1], _STORAGE, target)
        return np.round(np.column_stack([y, x] if crs.north_first(target) else [x, y]), decimals)

    shapes = shapely.from_wkb(np.array(batch.geometry, dtype=object))
    texts: list[str | None] = shapely.to_geojson(shapely.transform(shapes, move)).tolist()
    return texts
