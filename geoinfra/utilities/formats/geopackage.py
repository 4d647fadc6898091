"""GeoPackage 1.3: one layer a LER class, every LER attribute a column, heights in Z where all are known.

A feature with some heights unknown is written without Z and keeps what is known in ``heights_json``: a NaN in
Z makes whole lines vanish in common programs. The file is written with the standard library's ``sqlite3``: in
one pass, in constant memory, and with the same bytes for the same input.
"""

from __future__ import annotations

import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson
import pyproj
import shapely

from geoinfra.crs import STORAGE_EPSG
from geoinfra.tables import ColumnType, FeatureBatch
from geoinfra.utilities.catalogue import Attribute, FeatureClass, catalogue
from geoinfra.utilities.model import UTILITY_FEATURES

__all__ = ["write_geopackage"]

_APPLICATION_ID = 0x47504B47
_USER_VERSION = 10300
_BLOB_HEAD = struct.pack("<2sBBi", b"GP", 0, 1, STORAGE_EPSG)
_GEOMETRY_TYPES = {"Point": "POINT", "Curve": "LINESTRING", "MultiCurve": "MULTILINESTRING"}
_SCALARS = tuple(column for column in UTILITY_FEATURES.public_columns if column.type is not ColumnType.JSON)
_SQL_TYPES = {
    "boolean": "BOOLEAN",
    "integer": "INTEGER",
    "decimal": "REAL",
    "measure": "REAL",
    "height": "REAL",
}

_TABLES = """
CREATE TABLE gpkg_spatial_ref_sys (
  srs_name TEXT NOT NULL, srs_id INTEGER NOT NULL PRIMARY KEY, organization TEXT NOT NULL,
  organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
CREATE TABLE gpkg_contents (
  table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE,
  description TEXT DEFAULT '',
  last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),
  min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER,
  CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id));
CREATE TABLE gpkg_geometry_columns (
  table_name TEXT NOT NULL, column_name TEXT NOT NULL, geometry_type_name TEXT NOT NULL,
  srs_id INTEGER NOT NULL, z TINYINT NOT NULL, m TINYINT NOT NULL,
  CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name),
  CONSTRAINT uk_gc_table_name UNIQUE (table_name),
  CONSTRAINT fk_gc_tn FOREIGN KEY (table_name) REFERENCES gpkg_contents(table_name),
  CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys (srs_id));
CREATE TABLE gpkg_extensions (
  table_name TEXT, column_name TEXT, extension_name TEXT NOT NULL, definition TEXT NOT NULL,
  scope TEXT NOT NULL,
  CONSTRAINT ge_tce UNIQUE (table_name, column_name, extension_name));
"""

# The triggers of the R-tree extension as GeoPackage 1.4 mended them; {t} is the layer.
_BOUNDS = 'ST_MinX(NEW."geom"), ST_MaxX(NEW."geom"), ST_MinY(NEW."geom"), ST_MaxY(NEW."geom")'
_HAS = '(NEW."geom" NOTNULL AND NOT ST_IsEmpty(NEW."geom"))'
_HASNT = '(NEW."geom" ISNULL OR ST_IsEmpty(NEW."geom"))'
_PUT = f'INSERT OR REPLACE INTO "rtree_{{t}}_geom" VALUES (NEW."fid", {_BOUNDS});'
_TRIGGERS = (
    ("insert", "AFTER INSERT ON", _HAS, _PUT),
    (
        "update2",
        'AFTER UPDATE OF "geom" ON',
        f'OLD."fid" = NEW."fid" AND {_HASNT}',
        'DELETE FROM "rtree_{t}_geom" WHERE id = OLD."fid";',
    ),
    (
        "update4",
        "AFTER UPDATE ON",
        f'OLD."fid" != NEW."fid" AND {_HAS}',
        f'DELETE FROM "rtree_{{t}}_geom" WHERE id = OLD."fid"; {_PUT}',
    ),
    (
        "update5",
        "AFTER UPDATE ON",
        f'OLD."fid" != NEW."fid" AND {_HASNT}',
        'DELETE FROM "rtree_{t}_geom" WHERE id IN (OLD."fid", NEW."fid");',
    ),
    (
        "update6",
        'AFTER UPDATE OF "geom" ON',
        f'OLD."fid" = NEW."fid" AND {_HAS} AND (OLD."geom" NOTNULL AND NOT ST_IsEmpty(OLD."geom"))',
        'UPDATE "rtree_{t}_geom" SET minx = ST_MinX(NEW."geom"), maxx = ST_MaxX(NEW."geom"), '
        'miny = ST_MinY(NEW."geom"), maxy = ST_MaxY(NEW."geom") WHERE id = NEW."fid";',
    ),
    (
        "update7",
        'AFTER UPDATE OF "geom" ON',
        f'OLD."fid" = NEW."fid" AND {_HAS} AND (OLD."geom" ISNULL OR ST_IsEmpty(OLD."geom"))',
        _PUT.replace("INSERT OR REPLACE", "INSERT"),
    ),
    (
        "delete",
        "AFTER DELETE ON",
        'OLD."geom" NOT NULL',
        'DELETE FROM "rtree_{t}_geom" WHERE id = OLD."fid";',
    ),
)


def write_geopackage(
    target: Path | BinaryIO, batches: Iterable[FeatureBatch], *, changed_at: datetime | None = None
) -> int:
    """Write utility features in EPSG:25832 with DVR90 heights.

    Parameters
    ----------
    target
        Path (replaced when it exists), or a binary file open for writing.
    batches
        Rows of :data:`~geoinfra.utilities.model.UTILITY_FEATURES` with their public columns.
    changed_at
        Time noted in the file, now when not given; give it for the same bytes again.

    Returns
    -------
    int
        Number of features written.
    """
    moment = (changed_at or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.gpkg"
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            count = _write(connection, batches, moment)
        if isinstance(target, Path):
            part = target.with_name(f".{target.name}.part")
            shutil.copyfile(path, part)
            part.replace(target)
        else:
            with path.open("rb") as file:
                shutil.copyfileobj(file, target)
    return count


def _write(connection: sqlite3.Connection, batches: Iterable[FeatureBatch], moment: str) -> int:
    for pragma in (
        "journal_mode = OFF",
        "synchronous = OFF",
        f"application_id = {_APPLICATION_ID}",
        f"user_version = {_USER_VERSION}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("BEGIN")
    for statement in filter(str.strip, _TABLES.split(";\n")):
        connection.execute(statement)
    _reference_systems(connection)
    layers: dict[str, _Layer] = {}
    count = 0
    for batch in batches:
        names = batch.columns["feature_class"]
        for name in dict.fromkeys(names):
            if name not in layers:
                layers[name] = _Layer(connection, catalogue().feature_class(name), moment)
            layers[name].insert(batch.take([i for i, one in enumerate(names) if one == name]))
        count += len(batch)
    if not layers:  # programs do not open a GeoPackage without any layer
        layers["Ledningstrace"] = _Layer(connection, catalogue().feature_class("Ledningstrace"), moment)
    for layer in layers.values():
        layer.finish()
    connection.execute("COMMIT")
    return count


def _reference_systems(connection: sqlite3.Connection) -> None:
    storage = pyproj.CRS.from_epsg(STORAGE_EPSG)
    geographic = pyproj.CRS.from_epsg(4326).to_wkt("WKT1_GDAL")
    connection.executemany(
        "INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)",
        [
            ("Undefined Cartesian SRS", -1, "NONE", -1, "undefined", "undefined Cartesian"),
            ("Undefined geographic SRS", 0, "NONE", 0, "undefined", "undefined geographic"),
            ("WGS 84 geodetic", 4326, "EPSG", 4326, geographic, "longitude, latitude"),
            (
                storage.name,
                STORAGE_EPSG,
                "EPSG",
                STORAGE_EPSG,
                storage.to_wkt("WKT1_GDAL"),
                "heights are DVR90",
            ),
        ],
    )


@dataclass(frozen=True, slots=True)
class _Slot:
    """Where an attribute goes in a row, and what kind of value it is there."""

    index: int
    attribute: Attribute


class _Layer:
    """One table: its columns, and the extent of what was put in."""

    def __init__(self, connection: sqlite3.Connection, entry: FeatureClass, moment: str) -> None:
        self._connection = connection
        self._name = entry.name
        self._moment = moment
        self._rows = 0
        self._bounds: list[float] = []
        columns = [("geom", "BLOB"), ("feature_id", "TEXT")]
        columns += [(c.name, "REAL" if c.type is ColumnType.REAL else "TEXT") for c in _SCALARS]
        taken = {name for name, _ in columns}
        self._slots: dict[str, _Slot] = {}
        for attribute in entry.attributes.values():
            if attribute.type == "geometry" or attribute.name in taken:
                continue
            self._slots[attribute.name] = _Slot(len(columns), attribute)
            kind = "TEXT" if attribute.repeated else _SQL_TYPES.get(attribute.type, "TEXT")
            columns.append((_column_name(attribute), kind))
            if attribute.type == "measure" and not attribute.uom:
                columns.append((f"{attribute.name}_uom", "TEXT"))
        columns += [("nil_attributes", "TEXT"), ("heights_json", "TEXT")]
        self._width = len(columns)
        self._create(columns, entry)
        marks = ",".join("?" * (self._width + 1))
        self._insert = f'INSERT INTO "{self._name}" VALUES ({marks})'

    def _create(self, columns: list[tuple[str, str]], entry: FeatureClass) -> None:
        listed = ", ".join(f'"{name}" {kind}' for name, kind in columns[1:])
        kind = _GEOMETRY_TYPES.get(entry.geometry.geometry if entry.geometry else "", "GEOMETRY")
        run = self._connection.execute
        run(
            f'CREATE TABLE "{self._name}" '
            f'("fid" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, "geom" {kind}, {listed})'
        )
        run(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, last_change, srs_id) "
            "VALUES (?, ?, ?, ?, ?)",
            (self._name, "features", self._name, self._moment, STORAGE_EPSG),
        )
        run(
            "INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', ?, ?, 2, 0)",
            (self._name, kind, STORAGE_EPSG),
        )
        run(f'CREATE VIRTUAL TABLE "rtree_{self._name}_geom" USING rtree(id, minx, maxx, miny, maxy)')
        run(
            "INSERT INTO gpkg_extensions VALUES (?, 'geom', 'gpkg_rtree_index', ?, 'write-only')",
            (self._name, "http://www.geopackage.org/spec120/#extension_rtree"),
        )

    def insert(self, batch: FeatureBatch) -> None:
        """Put the rows of one class in."""
        columns = batch.columns
        blobs, partly = _geometries(batch)
        scalars = zip(*(columns[column.name] for column in _SCALARS), strict=True)
        rows = []
        for position, row in enumerate(zip(batch.feature_ids, scalars, columns["properties"], strict=True)):
            feature_id, values, text = row
            cells: list[Any] = [None] * self._width
            cells[0], cells[1] = blobs[position], feature_id
            cells[2 : 2 + len(values)] = values
            cells[-1] = partly[position]
            cells[-2] = self._fill(cells, orjson.loads(text))
            rows.append((self._rows + position + 1, *cells))
        self._connection.executemany(self._insert, rows)
        self._index(batch)
        self._rows += len(batch)

    def _fill(self, cells: list[Any], properties: Mapping[str, Any]) -> str | None:
        """Put attributes into their cells, and return the names of those that are void (nil)."""
        nil: list[str] = []
        for name, value in properties.items():
            slot = self._slots.get(name)
            if type(value) is dict and "nil" in value:
                nil.append(name)
            elif slot is None:
                continue
            elif type(value) is list:
                cells[slot.index] = "; ".join(text for text in map(_text, value) if text) or None
                nil += [name] * any(isinstance(one, dict) and "nil" in one for one in value)
            elif slot.attribute.type == "measure":
                cells[slot.index] = float(value["value"])
                if not slot.attribute.uom:
                    cells[slot.index + 1] = value["uom"]
            elif slot.attribute.type == "height":
                cells[slot.index] = value["height_m"]
            else:
                cells[slot.index] = value if type(value) is not dict else _text(value)
        return ", ".join(nil) or None

    def _index(self, batch: FeatureBatch) -> None:
        """Put bounds into the R-tree."""
        bounds = shapely.bounds(shapely.from_wkb(np.array(batch.geometry, dtype=object)))
        known = np.isfinite(bounds[:, 0])
        if not known.any():
            return
        numbers = (self._rows + 1 + np.flatnonzero(known)).tolist()
        min_x, min_y, max_x, max_y = bounds[known].T.tolist()
        self._connection.executemany(
            f'INSERT INTO "rtree_{self._name}_geom" VALUES (?, ?, ?, ?, ?)',
            zip(numbers, min_x, max_x, min_y, max_y, strict=True),
        )
        extents = [min(min_x), min(min_y), max(max_x), max(max_y)]
        if self._bounds:
            lows = [min(pair) for pair in zip(self._bounds[:2], extents[:2], strict=True)]
            extents = lows + [max(pair) for pair in zip(self._bounds[2:], extents[2:], strict=True)]
        self._bounds = extents

    def finish(self) -> None:
        """Note the extent, and add the triggers that keep the R-tree right when others edit."""
        if self._bounds:
            self._connection.execute(
                "UPDATE gpkg_contents SET min_x = ?, min_y = ?, max_x = ?, max_y = ? WHERE table_name = ?",
                (*self._bounds, self._name),
            )
        for name, event, condition, action in _TRIGGERS:
            self._connection.execute(
                f'CREATE TRIGGER "rtree_{self._name}_geom_{name}" {event} "{self._name}" '
                f"WHEN {condition} BEGIN {action.format(t=self._name)} END"
            )


def _column_name(attribute: Attribute) -> str:
    """Return the name of an attribute's column: it carries the unit."""
    if attribute.type == "measure" and attribute.uom:
        return f"{attribute.name}_{attribute.uom}"
    return f"{attribute.name}_m" if attribute.type == "height" else attribute.name


def _text(value: Any) -> str | None:
    """Return a text, reference, contact, file format or time position as one text."""
    if isinstance(value, str):
        return value
    if "indeterminate" in value:
        return f"<{value['value']}"
    if "href" in value:
        return str(value["href"])
    if "value" in value:
        return str(value["value"])
    return (
        ", ".join(str(value[key]) for key in ("navn", "telefonnummer", "mailadresse") if value.get(key))
        or None
    )


def _geometries(batch: FeatureBatch) -> tuple[list[bytes | None], list[str | None]]:
    """Return GeoPackage blobs, with Z where every height is known, and other heights as JSON."""
    geometry = list(batch.geometry)
    partly: list[str | None] = [None] * len(batch)
    full: list[int] = []
    runs: list[Any] = []
    for row, heights in enumerate(batch.heights_m or ()):
        if heights is None or geometry[row] is None:
            continue
        run = np.frombuffer(heights, dtype="<f8")
        known = np.isfinite(run)
        if known.all():
            full.append(row)
            runs.append(run)
        elif known.any():
            partly[row] = orjson.dumps(run, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    if full:
        solid = shapely.force_3d(shapely.from_wkb([geometry[row] for row in full]))
        xyz = shapely.get_coordinates(solid, include_z=True)
        xyz[:, 2] = np.concatenate(runs)
        lifted = shapely.to_wkb(shapely.set_coordinates(solid, xyz), flavor="iso", byte_order=1)
        for row, wkb in zip(full, lifted, strict=True):
            geometry[row] = wkb
    return [None if wkb is None else _BLOB_HEAD + wkb for wkb in geometry], partly
