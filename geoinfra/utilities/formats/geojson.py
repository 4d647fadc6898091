"""GeoJSON (RFC 7946): one FeatureCollection in CRS84 for web maps and scripts. Heights are left out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import orjson
import shapely

from geoinfra.crs import STORAGE_EPSG, transform_xy
from geoinfra.tables import ColumnType, FeatureBatch
from geoinfra.utilities.formats.ler_write import opened_for_writing

__all__ = ["feature_fragments", "write_geojson"]

_DECIMALS = 7
"""About a centimetre."""


def write_geojson(target: Path | BinaryIO, batches: Iterable[FeatureBatch]) -> int:
    """Write features as one FeatureCollection, longitude before latitude, 7 decimals.

    ``properties`` holds the public columns; a JSON column stands in it as JSON. RFC 7946 counts heights from
    the ellipsoid, ours are DVR90: they are left out rather than mistaken.

    Returns
    -------
    int
        Number of features written.
    """
    count = 0
    with opened_for_writing(target) as file:
        file.write(b'{"type":"FeatureCollection","features":[')
        for batch in batches:
            if not len(batch):
                continue
            file.write((b",\n" if count else b"\n") + b",\n".join(feature_fragments(batch)))
            count += len(batch)
        file.write(b"\n]}\n")
    return count


def feature_fragments(batch: FeatureBatch) -> list[bytes]:
    """Return each row as a GeoJSON feature."""
    geometries = _geojson(batch)
    columns = [column for column in batch.schema.public_columns if column.name in batch.columns]
    names = [column.name for column in columns]
    values = [
        [None if text is None else orjson.Fragment(text) for text in batch.columns[column.name]]
        if column.type is ColumnType.JSON
        else batch.columns[column.name]
        for column in columns
    ]
    rows = zip(*values, strict=True) if values else ((),) * len(batch)
    return [
        orjson.dumps(
            {
                "type": "Feature",
                "id": feature_id,
                "geometry": geometry,
                "properties": dict(zip(names, row, strict=True)),
            }
        )
        for feature_id, geometry, row in zip(batch.feature_ids, geometries, rows, strict=True)
    ]


def _geojson(batch: FeatureBatch) -> list[orjson.Fragment | None]:
    """Return the geometries in CRS84; all vertices of the batch are transformed at once."""
    geometries = shapely.from_wkb(np.array(batch.geometry, dtype=object))
    xy = shapely.get_coordinates(geometries)
    longitude, latitude = transform_xy(xy[:, 0], xy[:, 1], f"EPSG:{STORAGE_EPSG}", "OGC:CRS84")
    rounded = np.round(np.column_stack([longitude, latitude]), _DECIMALS)
    moved = shapely.set_coordinates(geometries, rounded)
    return [None if text is None else orjson.Fragment(text) for text in shapely.to_geojson(moved)]
