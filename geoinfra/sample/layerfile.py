"""A GeoPackage of one layer that grows district by district.

Written with the standard library's ``sqlite3``: GDAL's Python binding brings pandas along, which takes longer
to import than a small town takes to write, and equal rows give equal bytes.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import shapely

from geoinfra.crs import STORAGE_EPSG

__all__ = ["LayerFile"]

_CHANGED_AT = "2026-01-01T00:00:00.000Z"  # the same for every run
_BLOB_HEAD = struct.pack("<2sBBi", b"GP", 0, 1, STORAGE_EPSG)
_SQL_TYPES = {str: "TEXT", int: "INTEGER", float: "REAL"}
_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA application_id = 0x47504B47;
PRAGMA user_version = 10300;
BEGIN;
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
"""


def _reference_systems() -> list[tuple[str, int, str, int, str, str]]:
    """Return the systems that every GeoPackage lists, and that of the layer."""
    storage = pyproj.CRS.from_epsg(STORAGE_EPSG)
    geographic = pyproj.CRS.from_epsg(4326).to_wkt("WKT1_GDAL")
    return [
        ("Undefined Cartesian SRS", -1, "NONE", -1, "undefined", "undefined Cartesian"),
        ("Undefined geographic SRS", 0, "NONE", 0, "undefined", "undefined geographic"),
        ("WGS 84 geodetic", 4326, "EPSG", 4326, geographic, "longitude, latitude"),
        (storage.name, STORAGE_EPSG, "EPSG", STORAGE_EPSG, storage.to_wkt("WKT1_GDAL"), ""),
    ]


class LayerFile:
    """The file of a layer in EPSG:25832; its columns are ``fid``, ``geom`` and those given.

    Parameters
    ----------
    path
        A file that does not exist yet.
    layer, geometry
        Name of the layer and its geometry type.
    columns
        Column name -> Python type of its values: ``str``, ``int`` or ``float``.
    """

    def __init__(self, path: Path, layer: str, geometry: str, columns: Mapping[str, type]) -> None:
        self._layer = layer
        self._bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.executescript(_SCHEMA)
        kind = geometry.upper()
        listed = "".join(f', "{name}" {_SQL_TYPES[type_]}' for name, type_ in columns.items())
        self._connection.execute(
            f'CREATE TABLE "{layer}" '
            f'("fid" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, "geom" {kind} NOT NULL{listed})'
        )
        self._connection.executemany(
            "INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)", _reference_systems()
        )
        self._connection.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, last_change, srs_id) "
            "VALUES (?, 'features', ?, ?, ?)",
            (layer, layer, _CHANGED_AT, STORAGE_EPSG),
        )
        self._connection.execute(
            "INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', ?, ?, 0, 0)", (layer, kind, STORAGE_EPSG)
        )
        self._insert = f'INSERT INTO "{layer}" VALUES (NULL, ?{", ?" * len(columns)})'

    def append(self, geometries: Sequence[shapely.Geometry], columns: Mapping[str, Sequence[Any]]) -> None:
        """Put rows in; `columns` has the names and order that the file was made with."""
        held = np.array(geometries, dtype=object)
        blobs = (_BLOB_HEAD + wkb for wkb in shapely.to_wkb(held, byte_order=1))
        self._connection.executemany(self._insert, zip(blobs, *columns.values(), strict=True))
        low_e, low_n, high_e, high_n = shapely.total_bounds(held)
        self._bounds[:2] = np.minimum(self._bounds[:2], (low_e, low_n))
        self._bounds[2:] = np.maximum(self._bounds[2:], (high_e, high_n))

    def close(self) -> None:
        """Note the extent and finish the file."""
        self._connection.execute(
            "UPDATE gpkg_contents SET min_x = ?, min_y = ?, max_x = ?, max_y = ? WHERE table_name = ?",
            (*self._bounds.tolist(), self._layer),
        )
        self._connection.execute("COMMIT")
        self._connection.close()
