"""GeoPackage: one layer a LER class, every LER attribute a column, heights in Z where all of them are known.

A line with some heights unknown is written without Z and keeps what is known in ``heights_json``: a NaN in Z makes
whole lines vanish in common programs.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray
from pyogrio.raw import write as write_layer

from geoinfra.crs import STORAGE_EPSG
from geoinfra.tables import ColumnType, FeatureBatch
from geoinfra.utilities.catalogue import Attribute, FeatureClass, catalogue
from geoinfra.utilities.model import UTILITY_FEATURES

__all__ = ["write_geopackage"]

_ROWS_HELD = 50_000
"""Rows collected before layers are written."""

_GEOMETRY_TYPES = {"Point": "Point", "Curve": "LineString", "MultiCurve": "MultiLineString"}
_SCALARS = tuple(column for column in UTILITY_FEATURES.public_columns if column.type is not ColumnType.JSON)


@dataclass(frozen=True, slots=True)
class _Field:
    """A column of a layer: its name, NumPy type, and how its value is taken from the LER attributes."""

    name: str
    type: Any
    take: Callable[[Mapping[str, Any]], Any]


def write_geopackage(target: Path | BinaryIO, batches: Iterable[FeatureBatch]) -> int:
    """Write utility features in EPSG:25832 with DVR90 heights.

    Parameters
    ----------
    target
        Path (replaced when it exists), or a binary file open for writing.
    batches
        Rows of :data:`~geoinfra.utilities.model.UTILITY_FEATURES` with their public columns.

    Returns
    -------
    int
        Number of features written.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.gpkg"
        count = _write(path, batches)
        if isinstance(target, Path):
            part = target.with_name(f".{target.name}.part")
            shutil.copyfile(path, part)
            part.replace(target)
        else:
            with path.open("rb") as file:
                shutil.copyfileobj(file, target)
    return count


def _write(path: Path, batches: Iterable[FeatureBatch]) -> int:
    held: dict[str, list[FeatureBatch]] = {}
    rows = count = 0
    written: set[str] = set()
    for batch in batches:
        names = batch.columns["feature_class"]
        for name in dict.fromkeys(names):
            held.setdefault(name, []).append(batch.take([i for i, one in enumerate(names) if one == name]))
        rows += len(batch)
        count += len(batch)
        if rows >= _ROWS_HELD:
            _flush(path, held, written)
            rows = 0
    _flush(path, held, written)
    if not written:
        _flush(path, {"Elledning": []}, written)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE gpkg_geometry_columns SET z = 2")
    return count


def _flush(path: Path, held: dict[str, list[FeatureBatch]], written: set[str]) -> None:
    for name, batches in held.items():
        entry = catalogue().feature_class(name)
        fields, data, masks = _columns(entry, batches)
        geometry, heights_json = _geometries(batches)
        write_layer(
            path,
            geometry,
            [*data, heights_json],
            [*fields, "heights_json"],
            field_mask=[*masks, None],
            layer=name,
            driver="GPKG",
            geometry_type=_GEOMETRY_TYPES.get(entry.geometry.geometry if entry.geometry else "", "Unknown"),
            crs=f"EPSG:{STORAGE_EPSG}",
            append=name in written,
            layer_options={"GEOMETRY_NAME": "geom"},
        )
        written.add(name)
    held.clear()


def _columns(
    entry: FeatureClass, batches: list[FeatureBatch]
) -> tuple[list[str], list[NDArray[Any]], list[NDArray[np.bool_] | None]]:
    """Return names, values and null masks of a layer's columns."""
    names = ["feature_id", *(column.name for column in _SCALARS)]
    values: list[tuple[Any, list[Any]]] = [(object, [i for batch in batches for i in batch.feature_ids])]
    for column in _SCALARS:
        dtype = np.float64 if column.type is ColumnType.REAL else object
        values.append((dtype, [v for batch in batches for v in batch.columns[column.name]]))
    properties = [orjson.loads(text) for batch in batches for text in batch.columns["properties"]]
    for field in _fields(entry):
        names.append(field.name)
        values.append((field.type, [field.take(one) for one in properties]))
    columns = [_array(dtype, column) for dtype, column in values]
    return names, [column[0] for column in columns], [column[1] for column in columns]


def _array(dtype: Any, values: list[Any]) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    if dtype is object:
        return np.array(values, dtype=object), None
    mask = np.array([value is None for value in values], dtype=bool)
    return np.array([0 if value is None else value for value in values], dtype=dtype), mask


def _fields(entry: FeatureClass) -> list[_Field]:
    """Return the columns that LER's attributes make; one called as a public column is that column."""
    taken = {column.name for column in _SCALARS}
    fields = [
        field
        for attribute in entry.attributes.values()
        if attribute.type != "geometry"
        for field in _attribute_fields(attribute)
        if field.name not in taken
    ]
    return [*fields, _Field("nil_attributes", object, _nil_names)]


def _nil_names(properties: Mapping[str, Any]) -> str | None:
    """Name the attributes that are void (nil), separated by commas."""
    nil = [
        name
        for name, value in properties.items()
        if any(
            isinstance(one, dict) and one.get("nil")
            for one in (value if isinstance(value, list) else (value,))
        )
    ]
    return ", ".join(nil) or None


def _attribute_fields(attribute: Attribute) -> list[_Field]:
    name, kind = attribute.name, attribute.type
    if attribute.repeated:
        return [_Field(name, object, lambda p: _joined(p.get(name)))]
    if kind == "measure":
        column = f"{name}_{attribute.uom}" if attribute.uom else name
        value = _Field(column, np.float64, lambda p: _member(p.get(name), "value"))
        unit = _Field(f"{name}_uom", object, lambda p: _member(p.get(name), "uom"))
        return [value] if attribute.uom else [value, unit]
    if kind == "height":
        return [_Field(f"{name}_m", np.float64, lambda p: _member(p.get(name), "height_m"))]
    if kind == "boolean":
        return [_Field(name, np.bool_, lambda p: _scalar(p.get(name)))]
    if kind == "integer":
        return [_Field(name, np.int64, lambda p: _scalar(p.get(name)))]
    if kind == "decimal":
        return [_Field(name, np.float64, lambda p: _scalar(p.get(name)))]
    return [_Field(name, object, lambda p: _text(p.get(name)))]


def _member(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _scalar(value: Any) -> Any:
    return None if isinstance(value, dict) else value


def _text(value: Any) -> str | None:
    """Return a text, date, code, reference, contact or time position as one text."""
    if value is None or isinstance(value, str):
        return value
    if value.get("nil"):
        return None
    if "indeterminate" in value:
        return f"<{value['value']}"
    if "href" in value:
        return str(value["href"])
    if "value" in value:
        return str(value["value"])
    return ", ".join(str(value[key]) for key in ("navn", "telefonnummer", "mailadresse") if value.get(key))


def _joined(values: Any) -> str | None:
    return "; ".join(filter(None, map(_text, values or ()))) or None


def _geometries(batches: list[FeatureBatch]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return WKB, with Z where every height of the feature is known, and the other heights as JSON."""
    flat = [wkb for batch in batches for wkb in batch.geometry]
    heights = [h for batch in batches for h in (batch.heights_m or [None] * len(batch))]
    geometry = np.array(flat, dtype=object)
    partly = np.full(len(flat), None, dtype=object)
    full: list[int] = []
    runs: list[NDArray[np.float64]] = []
    for row, blob in enumerate(heights):
        if blob is None or flat[row] is None:
            continue
        run = np.frombuffer(blob, dtype="<f8")
        known = np.isfinite(run)
        if known.all():
            full.append(row)
            runs.append(run)
        elif known.any():
            partly[row] = orjson.dumps(
                [float(h) if ok else None for h, ok in zip(run, known, strict=True)]
            ).decode()
    if full:
        solid = shapely.force_3d(shapely.from_wkb(geometry[full]))
        xyz = shapely.get_coordinates(solid, include_z=True)
        xyz[:, 2] = np.concatenate(runs)
        geometry[full] = shapely.to_wkb(shapely.set_coordinates(solid, xyz), flavor="iso", byte_order=1)
    return geometry, partly
