"""Tables of other systems, read by area: vector files, folders of them, and PostGIS tables.

A source says its columns and its coordinate reference system; its rows come in pages, with the geometry
moved to EPSG:25832. Z is passed on as it stands, NaN where there is none. Files are opened for reading only,
a database in a read-only transaction; names of columns are taken only when the source has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from math import isnan
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from pyproj.transformer import AreaOfInterest, TransformerGroup

from geoinfra.crs import DENMARK_UTM32
from geoinfra.errors import InvalidInput, MissingResource, UnreadableFile

__all__ = [
    "Bounds",
    "Source",
    "SourceRows",
    "bounds_of",
    "column_names",
    "layer_names",
    "open_files",
    "open_table",
    "vector_files",
]

Bounds = tuple[float, float, float, float]
"""min E, min N, max E, max N in EPSG:25832 metres."""

_SUFFIXES = frozenset((".gpkg", ".shp", ".geojson", ".json", ".fgb", ".tab", ".mif", ".gdb"))
_PAGE_ROWS = 5000
_MARGIN_M = 1.0
_MOST_FILES = 1000
_TIMEOUT_MS = 60_000
_LEAST_ACCURACY_M = 1.0


@dataclass(slots=True)
class SourceRows:
    """Some rows of a source.

    Attributes
    ----------
    names
        What each row is called there, for people: its primary key or feature number.
    geometry
        Shapely geometries in EPSG:25832, with Z (NaN where unknown); ``None`` where a row has none.
    columns
        Values as ``None``, ``str``, ``bool``, ``int``, ``float``, ``date`` or ``datetime``.
    """

    names: list[str]
    geometry: NDArray[Any]
    columns: dict[str, list[Any]]


class Source(Protocol):
    """One table with geometry.

    Attributes
    ----------
    name
        What messages call it: ``lines.gpkg, layer pipes``. Never holds a password.
    columns
        Names of its columns without the geometry.
    crs
        What its coordinates refer to.
    """

    name: str
    columns: tuple[str, ...]
    crs: Crs

    def extent(self) -> tuple[int, Bounds | None]:
        """Return the number of rows and the bounds of all of them in EPSG:25832."""
        ...

    def rows(self, columns: Sequence[str], bounds: Bounds | None) -> Iterator[SourceRows]:
        """Yield the rows whose bounds touch `bounds` (all when ``None``) with the columns asked for."""
        ...


# --- coordinate reference systems


@dataclass(frozen=True, slots=True)
class Crs:
    """How coordinates of a source are moved to EPSG:25832.

    Attributes
    ----------
    name
        For people.
    accuracy_m
        What the transformation costs in accuracy, where PROJ knows it to be above a metre; else ``None``.
    """

    name: str
    forward: pyproj.Transformer | None
    accuracy_m: float | None = None

    def bounds_there(self, bounds: Bounds) -> Bounds:
        """Return bounds of EPSG:25832, with a metre around, in the source's own coordinates."""
        wider = (
            bounds[0] - _MARGIN_M,
            bounds[1] - _MARGIN_M,
            bounds[2] + _MARGIN_M,
            bounds[3] + _MARGIN_M,
        )
        if self.forward is None:
            return wider
        return _four(self.forward.transform_bounds(*wider, direction="INVERSE"))

    def bounds_here(self, bounds: Bounds) -> Bounds:
        """Return bounds of the source in EPSG:25832."""
        return bounds if self.forward is None else _four(self.forward.transform_bounds(*bounds))

    def moved(self, geometry: NDArray[Any]) -> NDArray[Any]:
        """Return geometries in EPSG:25832; Z is kept."""
        forward = self.forward

        def move(xyz: NDArray[np.float64]) -> NDArray[np.float64]:
            if forward is not None:
                xyz[:, 0], xyz[:, 1] = forward.transform(xyz[:, 0], xyz[:, 1])
            return xyz

        return np.asarray(shapely.transform(geometry, move, include_z=True), dtype=object)


def _four(numbers: Iterable[float]) -> Bounds:
    first, second, third, fourth = (float(number) for number in numbers)
    return first, second, third, fourth


def bounds_of(geometry: shapely.Geometry) -> Bounds:
    """Return the bounds of one geometry."""
    return _four(shapely.bounds(geometry))


def _crs(found: str, stated: str, name: str) -> Crs:
    """Return the CRS that a source says, or that was stated; they must not differ."""
    if not found and not stated:
        raise InvalidInput(
            f"{name} does not say its coordinate reference system.",
            hint="State it in the mapping, for instance: crs = 'EPSG:25832'.",
        )
    own, said = _parsed(found, name), _parsed(stated, name)
    if own is not None and said is not None and not own.equals(said, ignore_axis_order=True):
        raise InvalidInput(
            f"{name} is in {own.name}, and the mapping states {said.name}.",
            hint="Remove crs from the mapping, or mend what the source says of itself.",
            details={"expected": said.name, "found": own.name},
        )
    known = own or said
    assert known is not None  # noqa: S101  # one of them was given
    return _to_storage(known.to_wkt())


def _parsed(text: str, name: str) -> pyproj.CRS | None:
    if not text:
        return None
    try:
        crs = pyproj.CRS.from_user_input(text)
    except pyproj.exceptions.CRSError as error:
        raise InvalidInput(
            f"{name}: '{text[:80]}' is not a coordinate reference system.",
            hint="Write it as EPSG code: EPSG:25832.",
        ) from error
    if crs.is_compound:
        crs = crs.sub_crs_list[0]
    code = crs.to_epsg(min_confidence=70)
    return pyproj.CRS.from_epsg(code) if code else crs


@lru_cache(maxsize=16)
def _to_storage(wkt: str) -> Crs:
    source, target = pyproj.CRS.from_wkt(wkt), pyproj.CRS.from_epsg(25832)
    if source.equals(target, ignore_axis_order=True):
        return Crs(source.name, None)
    west, south, east, north = pyproj.Transformer.from_crs(target, 4326, always_xy=True).transform_bounds(
        *DENMARK_UTM32
    )
    group = TransformerGroup(
        source,
        target,
        always_xy=True,
        allow_ballpark=False,
        area_of_interest=AreaOfInterest(west, south, east, north),
    )
    if not group.transformers:
        raise InvalidInput(
            f"PROJ knows no exact way from {source.name} to EPSG:25832.",
            hint="Transform the data first, with a program that has the grids.",
        )
    best = group.transformers[0]
    rough = best.accuracy if best.accuracy > _LEAST_ACCURACY_M else None
    return Crs(source.name, best, rough)


# --- files


def vector_files(path: Path) -> list[Path]:
    """Return the vector files that a path means: itself, or those in the folder, in order of their names.

    Raises
    ------
    UnreadableFile
        There is no such file, or it is of a kind that is not read.
    """
    if path.is_dir() and path.suffix.lower() != ".gdb":
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in _SUFFIXES)
        if not found or len(found) > _MOST_FILES:
            raise UnreadableFile(
                f"{path} holds {len(found)} vector files; 1 to {_MOST_FILES} are taken.",
                hint=f"Files end in {', '.join(sorted(_SUFFIXES))}.",
            )
        return found
    if not path.exists():
        raise UnreadableFile(f"{path} does not exist.", hint="Check 'source' in the mapping file.")
    if path.suffix.lower() not in _SUFFIXES:
        raise UnreadableFile(
            f"{path.name} is of a kind that is not read.",
            hint=f"Files end in {', '.join(sorted(_SUFFIXES))}.",
        )
    return [path]


def open_files(path: Path, layer: str = "", *, crs: str = "", encoding: str = "") -> list[Source]:
    """Open a file, or each file of a folder, for reading.

    Parameters
    ----------
    layer
        Name of the layer in files of several.
    crs
        What the coordinates refer to where the file does not say it.
    encoding
        Of the texts, where the file does not say it (old shapefiles: ``ISO-8859-1``).

    Raises
    ------
    UnreadableFile
        A file does not exist, cannot be read or has no geometry.
    InvalidInput
        The layer or the CRS is missing or contradicts the file.
    """
    return [_File(file, layer, crs, encoding) for file in vector_files(path)]


def layer_names(path: Path) -> list[str]:
    """Return the names of the layers with geometry in a file."""
    import pyogrio  # it brings pandas along; only readers of files wait for it

    with _readable(path.name):
        return [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turn what GDAL raises into an error that says which source it was."""
    from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError

    try:
        yield
    except (DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError) as error:
        raise UnreadableFile(f"{name} cannot be read as a vector layer.", hint=str(error)[:300]) from error
    except UnicodeDecodeError as error:
        raise UnreadableFile(
            f"{name} holds texts in another encoding.",
            hint="State it in the mapping, for instance: encoding = 'ISO-8859-1'.",
        ) from error
    except shapely.errors.GEOSException as error:
        raise UnreadableFile(
            f"{name} holds a geometry that cannot be read.", hint=str(error)[:300]
        ) from error


class _File:
    """One layer of a vector file."""

    def __init__(self, path: Path, layer: str, crs: str, encoding: str) -> None:
        self._path, self._layer, self._encoding = path, layer or self._only_layer(path), encoding or None
        self.name = f"{path.name}, layer {self._layer}"
        info = self._info()
        if not info["geometry_type"]:
            raise UnreadableFile(f"{self.name} has no geometry.", hint="Name a layer with geometry.")
        self.columns = tuple(str(field) for field in info["fields"])
        self.crs = _crs(str(info["crs"] or ""), crs, self.name)

    @staticmethod
    def _only_layer(path: Path) -> str:
        names = layer_names(path)
        if len(names) != 1:
            raise InvalidInput(
                f"{path.name} holds {len(names)} layers with geometry.",
                hint=f"Write layer = '…' in the mapping. Layers are: {', '.join(names) or 'none'}.",
            )
        return names[0]

    def _info(self, *, whole: bool = False) -> Any:
        import pyogrio

        with _readable(self.name):
            return pyogrio.read_info(
                self._path,
                layer=self._layer,
                encoding=self._encoding,
                force_feature_count=whole,
                force_total_bounds=whole,
            )

    def extent(self) -> tuple[int, Bounds | None]:
        info = self._info(whole=True)
        bounds = info["total_bounds"]
        known = bounds is not None and all(np.isfinite(bounds))
        return int(info["features"]), self.crs.bounds_here(_four(bounds)) if known else None

    def rows(self, columns: Sequence[str], bounds: Bounds | None) -> Iterator[SourceRows]:
        from pyogrio.raw import read

        _require_columns(self, columns)
        box = self.crs.bounds_there(bounds) if bounds else None
        start = 0
        while True:
            with _readable(self.name):
                meta, fids, geometry, values = read(
                    self._path,
                    layer=self._layer,
                    encoding=self._encoding,
                    columns=list(columns),
                    bbox=box,
                    skip_features=start,
                    max_features=_PAGE_ROWS,
                    return_fids=True,
                )
                moved = self.crs.moved(shapely.from_wkb(geometry))
            fields = dict(zip(map(str, meta["fields"]), values, strict=True))
            plain = {name: [_plain(v) for v in fields[name].tolist()] for name in columns}
            yield SourceRows([str(fid) for fid in fids], moved, plain)
            start += len(fids)
            if len(fids) < _PAGE_ROWS:
                return


def column_names(source: Source) -> str:
    """Return the columns of a source as a text for people."""
    return ", ".join(source.columns)[:600] or "none"


def _require_columns(source: Source, columns: Sequence[str]) -> None:
    for name in columns:
        if name not in source.columns:
            raise InvalidInput(
                f"{source.name} has no column '{name[:80]}'.",
                hint=f"Columns are: {column_names(source)}.",
                details={"expected": name[:200], "found": column_names(source)},
            )


def _plain(value: Any) -> Any:
    """Return a value of a table as a plain one; what is not a number becomes ``None``."""
    if isinstance(value, float) and isnan(value):
        return None
    if value is None or isinstance(value, str | bool | int | float | date | datetime):
        return value
    return str(value)


# --- PostGIS


def open_table(dsn: str, table: str, *, name: str, geometry: str = "", crs: str = "") -> Source:
    """Open a PostGIS table or view for reading.

    Parameters
    ----------
    dsn
        Address of the database with its secrets; it is in no message.
    table
        ``table`` or ``schema.table``.
    name
        What messages call the database.
    geometry
        Column with the geometry, where there are several.
    crs
        What the coordinates refer to where the column does not say it.

    Raises
    ------
    MissingResource
        psycopg is not installed.
    UnreadableFile
        The database cannot be reached, or has no such table.
    InvalidInput
        The geometry column or the CRS is missing or contradicts the table.
    """
    return _Table(dsn, table, name, geometry, crs)


class _Table:
    """One table or view of PostGIS."""

    def __init__(self, dsn: str, table: str, name: str, geometry: str, crs: str) -> None:
        self._dsn = dsn
        schema, _, relation = table.rpartition(".")
        self._schema, self._relation = schema or "public", relation
        self.name = f"{name}, table {table}"
        with self._connected() as connection:
            self._geometry, self._srid = self._geometry_column(connection, geometry)
            self.columns = self._columns(connection)
            self._key = self._primary_key(connection)
            self.crs = _crs(self._authority(connection), crs, self.name)

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        """Give a connection in a read-only transaction."""
        try:
            import psycopg
        except ImportError as error:
            raise MissingResource(
                "Reading PostGIS needs psycopg.", hint="Install the extra: pip install 'geoinfra[postgres]'."
            ) from error
        try:
            with psycopg.connect(self._dsn, connect_timeout=10) as connection:
                connection.read_only = True
                connection.execute("SELECT set_config('statement_timeout', %s, false)", [str(_TIMEOUT_MS)])
                yield connection
        except psycopg.Error as error:
            raise UnreadableFile(
                f"{self.name} cannot be read ({type(error).__name__}).",
                hint="Check the address of the database, its rights and that it runs.",
            ) from None

    def _geometry_column(self, connection: Any, wanted: str) -> tuple[str, int]:
        found = connection.execute(
            "SELECT f_geometry_column, srid FROM geometry_columns"
            " WHERE f_table_schema = %s AND f_table_name = %s ORDER BY 1",
            [self._schema, self._relation],
        ).fetchall()
        fitting = [(str(c), int(s)) for c, s in found if wanted in ("", c)]
        if len(fitting) == 1:
            return fitting[0]
        raise InvalidInput(
            f"{self.name} has {len(found)} geometry columns, and the mapping names "
            + (f"'{wanted}'." if wanted else "none."),
            hint=f"Write geometry = '…'. Columns are: {', '.join(str(c) for c, _ in found) or 'none'}.",
        )

    def _columns(self, connection: Any) -> tuple[str, ...]:
        found = connection.execute(
            "SELECT a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
            " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s"
            " AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            [self._schema, self._relation],
        )
        return tuple(str(name) for (name,) in found if name != self._geometry)

    def _primary_key(self, connection: Any) -> str:
        found = connection.execute(
            "SELECT a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey)"
            " WHERE i.indisprimary AND n.nspname = %s AND c.relname = %s",
            [self._schema, self._relation],
        ).fetchall()
        return str(found[0][0]) if len(found) == 1 else ""

    def _authority(self, connection: Any) -> str:
        row = connection.execute(
            "SELECT auth_name, auth_srid FROM spatial_ref_sys WHERE srid = %s", [self._srid]
        ).fetchone()
        return f"{row[0]}:{row[1]}" if row else ""

    def extent(self) -> tuple[int, Bounds | None]:
        from psycopg import sql

        query = sql.SQL(
            "SELECT n, ST_XMin(e), ST_YMin(e), ST_XMax(e), ST_YMax(e)"
            " FROM (SELECT count(*) AS n, ST_Extent({geometry}) AS e FROM {table}) AS whole"
        ).format(**self._identifiers())
        with self._connected() as connection:
            rows, *bounds = connection.execute(query).fetchone()
        return int(rows), None if bounds[0] is None else self.crs.bounds_here(_four(bounds))

    def _identifiers(self) -> dict[str, Any]:
        from psycopg import sql

        return {
            "table": sql.Identifier(self._schema, self._relation),
            "geometry": sql.Identifier(self._geometry),
        }

    def rows(self, columns: Sequence[str], bounds: Bounds | None) -> Iterator[SourceRows]:
        from psycopg import sql

        _require_columns(self, columns)
        read = [self._key, *columns] if self._key else list(columns)
        query = sql.SQL("SELECT ST_AsBinary(ST_CurveToLine({geometry})){columns} FROM {table}").format(
            columns=sql.SQL("").join(sql.SQL(", {}").format(sql.Identifier(name)) for name in read),
            **self._identifiers(),
        )
        values: list[Any] = []
        if bounds is not None:
            query += sql.SQL(" WHERE {geometry} && ST_MakeEnvelope(%s, %s, %s, %s, %s)").format(
                **self._identifiers()
            )
            values = [*self.crs.bounds_there(bounds), self._srid]
        if self._key:
            query += sql.SQL(" ORDER BY {}").format(sql.Identifier(self._key))
        count = 0
        with self._connected() as connection, connection.cursor(name="rows") as cursor:
            cursor.execute(query, values)
            while page := cursor.fetchmany(_PAGE_ROWS):
                yield self._page(page, columns, count)
                count += len(page)

    def _page(self, page: Sequence[Any], columns: Sequence[str], count: int) -> SourceRows:
        with _readable(self.name):
            geometry = self.crs.moved(shapely.from_wkb(np.array([row[0] for row in page], dtype=object)))
        first = 2 if self._key else 1
        names = [str(row[1]) if self._key else str(count + i + 1) for i, row in enumerate(page)]
        plain = {name: [_number(row[first + i]) for row in page] for i, name in enumerate(columns)}
        return SourceRows(names, geometry, plain)


def _number(value: Any) -> Any:
    """Return PostgreSQL's exact numbers as floats, all else as a plain value."""
    from decimal import Decimal

    return _plain(float(value) if isinstance(value, Decimal) else value)
