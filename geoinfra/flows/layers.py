"""Read any vector file of GDAL as batches of an open dataset."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import shapely

from geoinfra import crs
from geoinfra.access import Visibility
from geoinfra.errors import UnreadableFile
from geoinfra.tables import BATCH_ROWS, Column, ColumnType, DatasetSchema, FeatureBatch

__all__ = ["read_layer"]

_RESERVED = frozenset(
    ["fid", "geom", "geometry", "feature_id", "heights_m", "ctid", "cmin", "cmax", "xmin", "xmax", "tableoid"]
)  # names of the engines' own columns; a source's column of that name gets a suffix
_LOOSE = frozenset({"ESRI Shapefile", "GeoJSON", "CSV", "MapInfo File"})  # mix single and multi geometries
_ROW_NUMBERS = frozenset({"fid", "feature_id", "ogc_fid"})
_ID_NAMES = ("feature_id", "id", "gml_id", "fid", "objectid")


def read_layer(
    path: Path, *, dataset: str, layer: str | None = None
) -> tuple[DatasetSchema, Iterator[FeatureBatch]]:
    """Open one layer of a vector file.

    Heights are dropped, coordinates are transformed to EPSG:25832, column names become lower-case ASCII.
    A column named ``feature_id``, ``id``, ``gml_id``, ``fid`` or ``objectid`` with unique values gives the
    stable feature id; without one the row number does.

    Returns
    -------
    The dataset's schema, and its rows as a stream that can be drained once.

    Raises
    ------
    UnreadableFile
        GDAL cannot open the file or layer, it has no CRS, no geometry or no row.
    """
    info = _described(path, layer)
    source_crs = _crs_name(info["crs"])
    fields = [str(name) for name in info["fields"]]
    names = _column_names(fields)
    columns = tuple(
        Column(names[field], _column_type(str(dtype)), indexed=_column_type(str(dtype)) is ColumnType.TEXT)
        for field, dtype in zip(fields, info["dtypes"], strict=True)
        if field.lower() not in _ROW_NUMBERS
    )
    schema = DatasetSchema(dataset, _geometry_kind(info), columns, visibility=Visibility.OPEN)
    lower = {field.lower(): field for field in fields}
    id_field = next((lower[wanted] for wanted in _ID_NAMES if wanted in lower), None)
    return schema, _batches(path, layer, schema, names, id_field, source_crs, int(info["features"]))


def _described(path: Path, layer: str | None) -> Mapping[str, Any]:
    """Return what GDAL says of the layer, or raise when it cannot be used."""
    import pyogrio  # takes seconds to import (it brings pandas along); only publishing needs it
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        info: Mapping[str, Any] = pyogrio.read_info(path, layer=layer, force_total_bounds=False)
    except (DataSourceError, DataLayerError, ValueError) as error:
        raise UnreadableFile(
            f"{path.name} cannot be opened as a vector layer.",
            hint="Give a file that GDAL reads (GeoPackage, GeoJSON, FlatGeobuf, Shapefile ...); name the "
            "layer when there are several.",
        ) from error
    if not info["geometry_type"]:
        raise UnreadableFile(f"{path.name} has no geometry column.", hint="Give a layer with geometry.")
    if not info["crs"]:
        raise UnreadableFile(
            f"{path.name} does not say its coordinate reference system.",
            hint="Set it, for instance: ogr2ogr -a_srs EPSG:25832 out.gpkg in.gpkg.",
        )
    if not info["features"]:
        raise UnreadableFile(f"{path.name} holds no feature.", hint="Check the layer's name.")
    return info


def _geometry_kind(info: Mapping[str, Any]) -> str:
    kind = re.sub(r"^(?:2\.5D |3D |Measured )+| ?ZM?$| ?M$", "", str(info["geometry_type"]))
    return "Geometry" if kind in ("", "Unknown") or info["driver"] in _LOOSE else kind


def _crs_name(text: str) -> str:
    parsed = pyproj.CRS.from_user_input(text)
    code = parsed.to_epsg(min_confidence=70)
    return f"EPSG:{code}" if code else parsed.to_wkt()


def _column_names(fields: Sequence[str]) -> dict[str, str]:
    """Return field -> lower-case ASCII column name, unique."""
    danish = str.maketrans({"æ": "ae", "ø": "oe", "å": "aa", "Æ": "ae", "Ø": "oe", "Å": "aa"})
    names: dict[str, str] = {}
    for field in fields:
        plain = unicodedata.normalize("NFKD", field.translate(danish)).encode("ascii", "ignore").decode()
        name = re.sub(r"[^a-z0-9_]+", "_", plain.lower()).strip("_") or "column"
        name = (name if name[0].isalpha() else f"c_{name}")[:50]
        taken = set(names.values())
        while name in taken or name in _RESERVED:
            name = f"{name}_2"
        names[field] = name
    return names


def _column_type(dtype: str) -> ColumnType:
    if dtype.startswith(("int", "uint")):
        return ColumnType.INTEGER
    if dtype.startswith("float"):
        return ColumnType.REAL
    if dtype == "bool":
        return ColumnType.BOOLEAN
    if dtype == "datetime64[D]":
        return ColumnType.DATE
    if dtype.startswith("datetime64"):
        return ColumnType.DATETIME
    return ColumnType.TEXT


def _batches(
    path: Path,
    layer: str | None,
    schema: DatasetSchema,
    names: Mapping[str, str],
    id_field: str | None,
    source_crs: str,
    features: int,
) -> Iterator[FeatureBatch]:
    from pyogrio.raw import read

    seen: set[str] = set()
    for start in range(0, features, BATCH_ROWS * 10):
        meta, fids, geometry, values = read(
            path,
            layer=layer,
            skip_features=start,
            max_features=BATCH_ROWS * 10,
            force_2d=True,
            return_fids=True,
        )
        data = {str(field): column for field, column in zip(meta["fields"], values, strict=True)}
        ids = [str(value) for value in (data[id_field] if id_field else fids)]
        if len(set(ids)) < len(ids) or not seen.isdisjoint(ids):
            raise UnreadableFile(
                f"{path.name}: the identifiers in '{id_field}' are not unique.",
                hint="Make them unique, or rename the column so that row numbers are used.",
            )
        seen.update(ids)
        wkb = _to_storage(geometry, source_crs)
        columns = {
            names[field]: _plain(column, schema.column(names[field]).type)
            for field, column in data.items()
            if any(c.name == names[field] for c in schema.columns)
        }
        whole = FeatureBatch(schema, ids, wkb, columns)
        for first in range(0, len(whole), BATCH_ROWS):
            yield whole.take(range(first, min(first + BATCH_ROWS, len(whole))))


def _to_storage(geometry: Any, source_crs: str) -> list[bytes | None]:
    shapes = crs.transform_geometry(shapely.from_wkb(geometry), source_crs, "EPSG:25832")
    wkb: list[bytes | None] = np.asarray(shapely.to_wkb(shapes, output_dimension=2, byte_order=1)).tolist()
    return wkb


def _plain(column: Any, kind: ColumnType) -> list[Any]:
    """Return a NumPy column as Python values, missing ones as ``None``."""
    values: list[Any] = column.tolist()
    if kind is ColumnType.TEXT:
        return [None if v is None else str(v) for v in values]
    if kind is ColumnType.DATE:
        return [v.isoformat() if isinstance(v, date) else None for v in values]
    if kind is ColumnType.DATETIME:
        stamps = column.astype("datetime64[ms]").tolist()
        return [
            v.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z") if isinstance(v, datetime) else None
            for v in stamps
        ]
    if np.issubdtype(column.dtype, np.floating):
        whole = kind in (ColumnType.INTEGER, ColumnType.BOOLEAN)
        return [None if v != v else (int(v) if whole else v) for v in values]
    return values
