"""GeoPackage 1.3: one layer a LER class, every LER attribute a column (:mod:`.flat`), in and out.

The file is written with the standard library's ``sqlite3``: in one pass, in constant memory, and with the
same bytes for the same input.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from geoinfra.crs import STORAGE_EPSG, parse_crs
from geoinfra.errors import Report, UnreadableFile
from geoinfra.tables import BATCH_ROWS, ColumnType, FeatureBatch
from geoinfra.utilities.catalogue import FeatureClass, catalogue
from geoinfra.utilities.formats.flat import class_layout, composed, placed
from geoinfra.utilities.formats.flat_read import TableReader, require_columns
from geoinfra.utilities.formats.table import Table, srid_of

__all__ = ["read_geopackage", "write_geopackage", "write_geopackage_layer"]

_APPLICATION_ID = 0x47504B47
_USER_VERSION = 10300
_GEOMETRY_TYPES = {"Point": "POINT", "Curve": "LINESTRING", "MultiCurve": "MULTILINESTRING"}
_ENVELOPE_BYTES = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}
_MAX_CELL_BYTES = 16 * 1024 * 1024
_SQL_TYPES = {
    ColumnType.BOOLEAN: "BOOLEAN",
    ColumnType.INTEGER: "INTEGER",
    ColumnType.REAL: "REAL",
    ColumnType.DATE: "DATE",
    ColumnType.DATETIME: "DATETIME",
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
    target: Path | BinaryIO,
    batches: Iterable[FeatureBatch],
    *,
    changed_at: datetime | None = None,
    styles: Callable[[str], str] | None = None,
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
    styles
        LER class -> QML of its layer, which QGIS then shows by itself.

    Returns
    -------
    int
        Number of features written.
    """
    moment = (changed_at or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    with placed(target, ".gpkg") as path, closing(sqlite3.connect(path, isolation_level=None)) as connection:
        _begin(connection, STORAGE_EPSG)
        count = _write(connection, batches, moment, styles)
        connection.execute("COMMIT")
    return count


def write_geopackage_layer(target: Path | BinaryIO, batches: Iterable[FeatureBatch], table: Table) -> int:
    """Write the rows of any dataset as one layer.

    Returns
    -------
    int
        Number of features written.
    """
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    srid = srid_of(table.crs)
    columns = [(c.name, _SQL_TYPES.get(c.type, "TEXT")) for c in table.columns]
    count = 0
    with placed(target, ".gpkg") as path, closing(sqlite3.connect(path, isolation_level=None)) as connection:
        _begin(connection, srid)
        layer = _Layer(connection, table.layer, table.geometry_type.upper(), columns, moment, srid=srid)
        for batch in batches:
            layer.insert(*table.parts(batch, solid=True))
            count += len(batch)
        layer.finish()
        connection.execute("COMMIT")
    return count


def _begin(connection: sqlite3.Connection, srid: int) -> None:
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
    _reference_systems(connection, srid)


def _write(
    connection: sqlite3.Connection,
    batches: Iterable[FeatureBatch],
    moment: str,
    styles: Callable[[str], str] | None,
) -> int:
    layers: dict[str, _Layer] = {}
    count = 0
    for batch in batches:
        names = batch.columns["feature_class"]
        for name in dict.fromkeys(names):
            if name not in layers:
                layers[name] = _class_layer(connection, catalogue().feature_class(name), moment)
            kept = batch.take([i for i, one in enumerate(names) if one == name])
            geometries, heights = composed(kept)
            layers[name].insert(geometries, class_layout(name).rows(kept, heights))
        count += len(batch)
    if not layers:  # programs do not open a GeoPackage without any layer
        layers["Ledningstrace"] = _class_layer(connection, catalogue().feature_class("Ledningstrace"), moment)
    for layer in layers.values():
        layer.finish()
    if styles is not None:
        _write_styles(connection, {name: styles(name) for name in layers}, moment)
    return count


def _class_layer(connection: sqlite3.Connection, entry: FeatureClass, moment: str) -> _Layer:
    """Add the layer of a LER class."""
    columns = [(c.name, _SQL_TYPES.get(c.type, "TEXT")) for c in class_layout(entry.name).columns]
    kind = _GEOMETRY_TYPES.get(entry.geometry.geometry if entry.geometry else "", "GEOMETRY")
    return _Layer(connection, entry.name, kind, columns, moment)


def _write_styles(connection: sqlite3.Connection, styles: Mapping[str, str], moment: str) -> None:
    """Write the table that QGIS reads styles from; it is registered so that other programs let it be."""
    connection.execute(_STYLES)
    connection.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, last_change, srs_id) "
        "VALUES ('layer_styles', 'attributes', 'layer_styles', ?, 0)",
        (moment,),
    )
    connection.executemany(
        "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, "
        "styleName, styleQML, styleSLD, useAsDefault, description, owner, ui, update_time) "
        "VALUES ('', '', ?, 'geom', ?, ?, '', 1, '', '', NULL, ?)",
        [(name, name, qml, moment) for name, qml in styles.items()],
    )


_STYLES = """
CREATE TABLE layer_styles (
  id INTEGER PRIMARY KEY AUTOINCREMENT, f_table_catalog TEXT(256), f_table_schema TEXT(256),
  f_table_name TEXT(256), f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT,
  useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
  update_time DATETIME DEFAULT CURRENT_TIMESTAMP)
"""


def _reference_systems(connection: sqlite3.Connection, srid: int) -> None:
    geographic = pyproj.CRS.from_epsg(4326).to_wkt("WKT1_GDAL")
    systems = [
        ("Undefined Cartesian SRS", -1, "NONE", -1, "undefined", "undefined Cartesian"),
        ("Undefined geographic SRS", 0, "NONE", 0, "undefined", "undefined geographic"),
        ("WGS 84 geodetic", 4326, "EPSG", 4326, geographic, "longitude, latitude"),
    ]
    if srid != 4326:
        own = pyproj.CRS.from_epsg(srid)
        description = "heights are DVR90" if srid == STORAGE_EPSG else ""
        systems.append((own.name, srid, "EPSG", srid, own.to_wkt("WKT1_GDAL"), description))
    connection.executemany("INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)", systems)


class _Layer:
    """One table: its columns, and the extent of what was put in.

    Parameters
    ----------
    columns
        Names and SQL types, without key and geometry.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        name: str,
        kind: str,
        columns: Sequence[tuple[str, str]],
        moment: str,
        *,
        srid: int = STORAGE_EPSG,
    ) -> None:
        self._connection = connection
        self._name = name
        self._moment = moment
        self._srid = srid
        self._blob_head = struct.pack("<2sBBi", b"GP", 0, 1, srid)
        self._empty_head = struct.pack("<2sBBi", b"GP", 0, 0x11, srid)
        self._rows = 0
        self._bounds: list[float] = []
        self._create(columns, kind)
        marks = ",".join("?" * (len(columns) + 2))
        self._insert = f'INSERT INTO "{self._name}" VALUES ({marks})'

    def _create(self, columns: Sequence[tuple[str, str]], kind: str) -> None:
        listed = ", ".join([f'"geom" {kind}', *(f'"{name}" {sql}' for name, sql in columns)])
        run = self._connection.execute
        key = '"fid" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL'
        run(f'CREATE TABLE "{self._name}" ({key}, {listed})')
        run(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, last_change, srs_id) "
            "VALUES (?, ?, ?, ?, ?)",
            (self._name, "features", self._name, self._moment, self._srid),
        )
        run(
            "INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', ?, ?, 2, 0)",
            (self._name, kind, self._srid),
        )
        run(f'CREATE VIRTUAL TABLE "rtree_{self._name}_geom" USING rtree(id, minx, maxx, miny, maxy)')
        run(
            "INSERT INTO gpkg_extensions VALUES (?, 'geom', 'gpkg_rtree_index', ?, 'write-only')",
            (self._name, "http://www.geopackage.org/spec120/#extension_rtree"),
        )

    def insert(self, geometries: Sequence[bytes | None], rows: Iterable[Sequence[Any]]) -> None:
        """Put rows of cells in, with their geometries as WKB."""
        shapes = shapely.from_wkb(np.array(geometries, dtype=object))
        heads = (self._blob_head, self._empty_head)
        empty = shapely.is_empty(shapes).tolist()
        blobs = [None if wkb is None else heads[at] + wkb for wkb, at in zip(geometries, empty, strict=True)]
        first = self._rows + 1
        self._connection.executemany(
            self._insert,
            ((first + n, blob, *cells) for n, (blob, cells) in enumerate(zip(blobs, rows, strict=True))),
        )
        self._index(shapely.bounds(shapes))
        self._rows += len(blobs)

    def _index(self, bounds: NDArray[np.float64]) -> None:
        """Put bounds into the R-tree."""
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


def read_geopackage(
    source: Path,
    *,
    owner_cvr: str | None = None,
    report: Report | None = None,
    progress: Callable[[float], None] | None = None,
) -> Iterator[FeatureBatch]:
    """Yield the features of the layers that are named by LER classes, or have a column ``feature_class``.

    Parameters
    ----------
    source
        GeoPackage with the columns of :mod:`.flat`.
    owner_cvr
        Owner of rows that name none; rows of other owners are passed over.
    report
        Where findings go.
    progress
        Called with the fraction that has been read.

    Raises
    ------
    UnreadableFile
        It is no GeoPackage.
    InvalidInput
        No layer is one of features, a layer lacks a column, or its CRS is not known.
    """
    report = Report() if report is None else report
    try:
        with closing(_opened(source)) as connection:
            layers = _feature_layers(connection)
            total = sum(layer.rows for layer in layers) or 1
            done = 0
            for layer in layers:
                reader = TableReader(
                    layer.columns,
                    report,
                    owner_cvr=owner_cvr,
                    feature_class=layer.feature_class,
                    crs=layer.crs,
                )
                for rows in _chunks(connection, layer):
                    geometries, present = _decoded([row[0] for row in rows])
                    yield from reader.read([row[1:] for row in rows], geometries, present)
                    done += len(rows)
                    if progress:
                        progress(done / total)
    except sqlite3.Error as error:
        raise UnreadableFile("The GeoPackage is damaged, or is none.") from error


@dataclass(frozen=True, slots=True)
class _FeatureLayer:
    """A layer to read; `feature_class` is set where its name tells the class of every row."""

    name: str
    geometry: str
    columns: tuple[str, ...]
    crs: str
    feature_class: str | None
    rows: int


def _opened(source: Path) -> sqlite3.Connection:
    """Open a stranger's file for reading: nothing in its schema may run."""
    connection = sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_CELL_BYTES)
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _feature_layers(connection: sqlite3.Connection) -> list[_FeatureLayer]:
    known = {entry.name for entry in catalogue().feature_classes}
    listed = connection.execute(
        "SELECT g.table_name, g.column_name, s.organization, s.organization_coordsys_id, m.sql "
        "FROM gpkg_geometry_columns g JOIN gpkg_spatial_ref_sys s ON s.srs_id = g.srs_id "
        "JOIN sqlite_master m ON m.name = g.table_name AND m.type = 'table' ORDER BY g.rowid"
    )
    layers, others = [], []
    for name, geometry, authority, code, sql in listed.fetchall():
        if not isinstance(sql, str) or sql.lstrip().upper().startswith("CREATE VIRTUAL"):
            continue
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({_quoted(name)})")]
        others.append((name, columns))
        if name not in known and "feature_class" not in map(str.casefold, columns):
            continue
        (rows,) = connection.execute(f"SELECT count(*) FROM {_quoted(name)}").fetchone()
        kept = tuple(one for one in columns if one not in (geometry, "fid"))
        feature_class = name if name in known else None
        layers.append(_FeatureLayer(name, geometry, kept, _crs_name(authority, code), feature_class, rows))
    if not layers:
        require_columns(others[0][1] if others else [], ("feature_class", "gml_id", "owner_cvr"))
    return layers


def _crs_name(authority: Any, code: Any) -> str:
    """Return the name of a layer's CRS; EPSG:7416 is EPSG:25832 with heights."""
    text = f"{authority}:{code}"
    return f"EPSG:{STORAGE_EPSG}" if text == "EPSG:7416" else parse_crs(text)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _chunks(connection: sqlite3.Connection, layer: _FeatureLayer) -> Iterator[list[tuple[Any, ...]]]:
    listed = ", ".join(_quoted(name) for name in (layer.geometry, *layer.columns))
    cursor = connection.execute(f"SELECT {listed} FROM {_quoted(layer.name)}")
    while rows := cursor.fetchmany(BATCH_ROWS):
        yield rows


def _decoded(blobs: Sequence[Any]) -> tuple[NDArray[np.object_], list[bool]]:
    """Return geometries of GeoPackage blobs, ``None`` for what cannot be read, and where there is one."""
    wkbs = [_without_head(blob) for blob in blobs]
    with np.errstate(invalid="ignore"):  # coordinates that are no numbers are found out later
        geometries = shapely.from_wkb(np.array(wkbs, dtype=object), on_invalid="ignore")
    return geometries, [wkb is not None for wkb in wkbs]


def _without_head(blob: Any) -> bytes | None:
    """Return the WKB of a GeoPackage blob; other bytes give WKB that is none."""
    if blob is None:
        return None
    if not isinstance(blob, bytes) or len(blob) < 8 or blob[:2] != b"GP" or blob[3] & 0x20:
        return b""
    envelope = _ENVELOPE_BYTES.get(blob[3] >> 1 & 7)
    return b"" if envelope is None else blob[8 + envelope :]
