"""The scale-out engine: each delivery is one table of the schema ``deliveries`` in PostgreSQL with PostGIS.

A delivery is written by one transaction (binary COPY, indexes), so that a crash leaves nothing; its table is
never changed afterwards. Row numbers are gathered in the database and travel as one value.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

import numpy as np
import psycopg
import shapely
import sqlalchemy as sa
from psycopg_pool import ConnectionPool, PoolTimeout

from geoinfra.crs import STORAGE_EPSG
from geoinfra.errors import InvalidFilter, InvalidInput, StorageFull, StorageUnavailable
from geoinfra.storage.deliveries import (
    CleanRows,
    Intake,
    Part,
    RowNumbers,
    Selection,
    StagedDelivery,
    TileFrame,
    ascending,
    values_or_null,
)
from geoinfra.storage.filters import (
    Bounds,
    Condition,
    Dialect,
    after_condition,
    equal_condition,
    filter_condition,
    order_by,
)
from geoinfra.storage.records import new_id
from geoinfra.tables import ColumnType, DatasetSchema, FeatureBatch

__all__ = ["PostgisEngine"]

_SETUP_LOCK = 0x6765_6F64_656C_6976  # "geodeliv": advisory lock of making the schema
_WRITER_CLASS = 0x67656F77  # "geow": first half of the advisory lock that a living writer holds
_TABLE = re.compile(r"d_([0-9a-z]{26})")
_POOLED: dict[str, Any] = {"autocommit": True, "prepare_threshold": None}  # plans suit their values
_SQL_TYPES = {
    ColumnType.TEXT: ('text COLLATE "C"', "text"),
    ColumnType.JSON: ('text COLLATE "C"', "text"),
    ColumnType.DATE: ('text COLLATE "C"', "text"),
    ColumnType.DATETIME: ('text COLLATE "C"', "text"),
    ColumnType.INTEGER: ("bigint", "int8"),
    ColumnType.REAL: ("double precision", "float8"),
    ColumnType.BOOLEAN: ("boolean", "bool"),
    ColumnType.BLOB: ("bytea", "bytea"),
}


class PostgisEngine:
    """Deliveries as tables; see :class:`~geoinfra.storage.deliveries.DeliveryEngine`.

    Parameters
    ----------
    url
        Address of the database, in SQLAlchemy's form.

    Raises
    ------
    StorageUnavailable
        The database cannot be reached, or lacks PostGIS.
    """

    def __init__(self, url: sa.URL) -> None:
        self._address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._guard = Lock()
        self._writer: psycopg.Connection[Any] | None = None
        self._writer_number = secrets.randbits(31)
        with _told():
            _set_up(self._address)
        self._pool = ConnectionPool(
            self._address, min_size=1, max_size=16, timeout=30, kwargs=_POOLED, open=True
        )

    def stage(
        self,
        schema: DatasetSchema,
        source: str,
        batches: Iterable[FeatureBatch],
        progress: Callable[[int], None] | None = None,
    ) -> StagedDelivery:
        """Write a delivery; see the protocol.

        Raises
        ------
        InvalidInput, InvalidGeometry
            The rows do not fit the schema, or an identifier comes twice.
        StorageFull
            The database takes no more.
        """
        delivery_id = new_id()
        intake = Intake(schema)
        with _told():
            self._declare_writer()
            with psycopg.connect(self._address) as connection:
                self._write(connection, delivery_id, intake, batches, progress)
        return StagedDelivery(delivery_id, schema, source, intake.rows, intake.extent, intake.sha256())

    def select(self, selection: Selection, limit: int | None = None) -> RowNumbers:
        """Return row numbers; see the protocol."""
        part, query = selection.part, selection.query
        if selection.everything and not query.sort:
            first = 1 if selection.position is None else selection.position.row + 1
            end = part.rows + 1
            return range(first, max(first, end if limit is None else min(end, first + limit)))
        condition = _condition(selection, query.sort)
        order = order_by(query.sort, selection.schema, Dialect.POSTGIS, part.schema)
        inner = (
            f"SELECT f.fid FROM {_name(part.delivery_id)} f WHERE {condition.sql} ORDER BY {order} LIMIT %s"
        )
        statement = f"SELECT string_agg(int8send(fid), ''::bytea) FROM ({inner}) q"
        packed = self._one(statement, (*condition.parameters, limit))
        return np.frombuffer(packed or b"", dtype=">i8").astype(np.int64)

    def count(self, selection: Selection, cap: int | None = None) -> int:
        """Count rows; see the protocol."""
        if selection.everything:
            return selection.part.rows if cap is None else min(cap, selection.part.rows)
        condition = _condition(selection)
        inner = f"SELECT 1 FROM {_name(selection.part.delivery_id)} f WHERE {condition.sql} LIMIT %s"
        return int(self._one(f"SELECT count(*) FROM ({inner}) q", (*condition.parameters, cap)))

    def rows(
        self, part: Part, schema: DatasetSchema, numbers: RowNumbers, columns: Sequence[str], geometry: bool
    ) -> FeatureBatch:
        """Read rows; see the protocol."""
        own = values_or_null(part, schema, columns)
        with_heights = geometry and schema.has_heights
        names = [f'"{column.name}"' if column else "NULL" for column in own]
        shape = "ST_AsBinary(geom, 'NDR')" if geometry else "NULL"
        heights = "heights_m" if with_heights and part.schema.has_heights else "NULL"
        listed = ", ".join(["feature_id", shape, heights, *names])
        table = _name(part.delivery_id)
        source = f"{table} f WHERE fid = ANY(%s::int8[]) ORDER BY fid"
        if not ascending(numbers):
            source = (
                f"unnest(%s::int8[]) WITH ORDINALITY n(fid, place) JOIN {table} f USING (fid) ORDER BY place"
            )
        listing = numbers if isinstance(numbers, range) else numbers.tolist()
        wanted = f"{{{','.join(map(str, listing))}}}"  # as text: a list is adapted number by number
        with _told(), self._pool.connection() as connection, connection.cursor(binary=True) as cursor:
            found = cursor.execute(f"SELECT {listed} FROM {source}", (wanted,)).fetchall()
        values = [list(column) for column in zip(*found, strict=True)] or [[] for _ in range(len(names) + 3)]
        ids, shapes, heights_m, *rest = values
        read = dict(zip(columns, rest, strict=True))
        return FeatureBatch(schema, ids, shapes, read, heights_m if with_heights else None, part.source)

    def extent(self, selection: Selection) -> Bounds | None:
        """Return the bounds of rows; see the protocol."""
        condition = _condition(selection)
        exact = "min(ST_XMin(g)), min(ST_YMin(g)), max(ST_XMax(g)), max(ST_YMax(g))"
        inner = f"SELECT f.geom g FROM {_name(selection.part.delivery_id)} f WHERE {condition.sql}"
        with _told(), self._pool.connection() as connection:
            row = connection.execute(f"SELECT {exact} FROM ({inner}) q", condition.parameters).fetchone()
        return None if row is None or row[0] is None else (row[0], row[1], row[2], row[3])

    def tile(self, selections: Sequence[Selection], columns: Sequence[str], frame: TileFrame) -> bytes:
        """Cut a tile; see the protocol."""
        found = [_tile_rows(number, selection, columns) for number, selection in enumerate(selections)]
        rows = " UNION ALL ".join(one.sql for one in found)
        own = [parameter for one in found for parameter in one.parameters]
        limit = selections[0].query.limit
        cut, cutting = _tile_cut(frame)
        listed = ", ".join(['"_geom"', '"_id"', *(f'"{name}"' for name in columns), "feature_id"])
        for most in (None, frame.most_features):
            order = '"_part", "_fid"' if most is None else '"_size" DESC NULLS LAST, "_part", "_fid"'
            statement = (
                f'WITH "R" AS ({rows} LIMIT %s), '
                f'"C" AS (SELECT {cut}, "R".* FROM "R" ORDER BY {order} LIMIT %s), '
                f'"D" AS (SELECT {listed} FROM "C" ORDER BY "_part", "_fid") '
                """SELECT ST_AsMVT("D", %s, %s, '_geom', '_id'), (SELECT count(*) FROM "R") FROM "D\""""
            )
            parameters = (*own, limit, *cutting, most, frame.layer, frame.extent)
            with _told(), self._pool.connection() as connection, connection.cursor(binary=True) as cursor:
                content, count = cursor.execute(statement, parameters).fetchone() or (b"", 0)
            if count <= frame.most_features:
                break
        return bytes(content or b"")

    def sweep(self, named: Iterable[str]) -> list[str]:
        """Remove what crashes left; see the protocol."""
        with _told(), self._pool.connection() as connection:
            doomed = [name for name, writer in _tables(connection) if not _lives(connection, writer)]
            kept = set(named)
            removed = [name for name in doomed if name not in kept]
            for name in removed:
                connection.execute(f"DROP TABLE IF EXISTS {_name(name)}")
        return sorted(removed)

    def close(self) -> None:
        """Close connections; see the protocol."""
        self._pool.close()
        with self._guard:
            if self._writer is not None and not self._writer.closed:
                self._writer.execute("SELECT pg_advisory_unlock_all()")
                self._writer.close()
            self._writer = None

    def _one(self, statement: str, parameters: Sequence[Any]) -> Any:
        with _told(), self._pool.connection() as connection, connection.cursor(binary=True) as cursor:
            try:
                row = cursor.execute(statement, parameters).fetchone()
            except psycopg.errors.InternalError_ as error:  # what GEOS refuses
                raise InvalidFilter("The geometries cannot be compared in this way.") from error
        return row[0] if row else None

    def _declare_writer(self) -> None:
        """Hold the advisory lock that tells sweepers that this process lives."""
        with self._guard:
            if self._writer is not None and not self._writer.closed:
                return
            self._writer = psycopg.connect(self._address, autocommit=True)
            self._writer.execute("SELECT pg_advisory_lock(%s, %s)", (_WRITER_CLASS, self._writer_number))

    def _write(
        self,
        connection: psycopg.Connection[Any],
        delivery_id: str,
        intake: Intake,
        batches: Iterable[FeatureBatch],
        progress: Callable[[int], None] | None,
    ) -> None:
        schema, table = intake.schema, _name(delivery_id)
        columns = "".join(f', "{c.name}" {_SQL_TYPES[c.type][0]}' for c in schema.columns)
        heights = ", heights_m bytea" if schema.has_heights else ""
        connection.execute(
            f"CREATE TABLE {table} (fid bigint NOT NULL, geom geometry(Geometry, {STORAGE_EPSG}), "
            f'feature_id text COLLATE "C" NOT NULL{columns}{heights}) '
            "WITH (toast_tuple_target = 8160)"  # keeps a feature with its attributes on one page
        )
        connection.execute(f"COMMENT ON TABLE {table} IS 'writer {self._writer_number}'")
        types = ["int8", "bytea", "text", *(_SQL_TYPES[c.type][1] for c in schema.columns)]
        types += ["bytea"] if schema.has_heights else []
        with (
            connection.cursor() as cursor,
            cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy,
        ):
            copy.set_types(types)
            for batch in batches:
                for row in _copy_rows(intake.take(batch)):
                    copy.write_row(row)
                if progress is not None:
                    progress(intake.rows)
        _index(connection, table, schema)
        connection.commit()
        connection.autocommit = True
        connection.execute(f"ANALYZE {table}")


def _name(delivery_id: str) -> str:
    """Qualified, quoted name of a delivery's table; the id is one of ours or no table's."""
    table = f"d_{delivery_id}"
    if _TABLE.fullmatch(table) is None:
        raise StorageUnavailable(f"'{delivery_id[:40]}' is not the name of a delivery.")
    return f'deliveries."{table}"'


def _copy_rows(clean: CleanRows) -> Iterator[tuple[Any, ...]]:
    shapes = shapely.set_srid(shapely.from_wkb(np.array(clean.geometry, dtype=object)), STORAGE_EPSG)
    ewkb = shapely.to_wkb(shapes, byte_order=1, output_dimension=2, include_srid=True).tolist()
    fids = range(clean.first, clean.first + len(ewkb))
    more = [] if clean.heights_m is None else [clean.heights_m]
    return zip(fids, ewkb, clean.feature_ids, *clean.columns, *more, strict=True)


def _index(connection: psycopg.Connection[Any], table: str, schema: DatasetSchema) -> None:
    try:
        connection.execute(f"CREATE UNIQUE INDEX ON {table} (feature_id)")
    except psycopg.errors.UniqueViolation:
        raise InvalidInput("An identifier comes twice in the delivery.", hint="Make them unique.") from None
    connection.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (fid)")
    connection.execute(f"CREATE INDEX ON {table} USING gist (geom)")
    for column in schema.columns:
        if column.indexed:
            connection.execute(f'CREATE INDEX ON {table} ("{column.name}")')


def _condition(selection: Selection, sort: Sequence[tuple[str, bool]] = ()) -> Condition:
    """Everything that a row must meet: the part's own predicate and the query's."""
    part, query = selection.part, selection.query
    context = (selection.schema, Dialect.POSTGIS, part.schema)
    conditions = []
    if part.touching is not None:
        conditions.append(_touches(part.touching, part.delivery_id))
    if part.without is not None:
        touches = _touches(part.without, part.delivery_id)
        conditions.append(Condition(f"({touches.sql}) IS NOT TRUE", touches.parameters))
    if part.hidden:
        conditions.append(Condition("f.feature_id <> ALL(%s::text[])", (sorted(part.hidden),)))
    if query.bbox is not None:
        conditions.append(_window(query.bbox))
    if query.polygon is not None:
        conditions.append(_touches(query.polygon, part.delivery_id))
    if query.equal:
        conditions.append(equal_condition(query.equal, *context))
    if query.filter is not None:
        conditions.append(filter_condition(query.filter, *context))
    if selection.position is not None:
        conditions.append(after_condition(sort, selection.position.values, selection.position.row, *context))
    return Condition.join("AND", conditions)


def _tile_rows(number: int, selection: Selection, columns: Sequence[str]) -> Condition:
    """Return the statement of one part's rows with their attributes; NULL where the part lacks one."""
    part = selection.part
    condition = _condition(selection)
    types = {column.name: _SQL_TYPES[column.type][0] for column in selection.schema.columns}
    own = values_or_null(part, selection.schema, columns)
    values = [
        f'f."{column.name}"' if column else f'NULL::{types[name]} AS "{name}"'
        for name, column in zip(columns, own, strict=True)
    ]
    identifier = "('x' || encode(substring(sha256(convert_to(f.feature_id, 'UTF8')) for 7), 'hex'))::bit(56)"
    size = "sqrt((ST_XMax(f.geom) - ST_XMin(f.geom)) ^ 2 + (ST_YMax(f.geom) - ST_YMin(f.geom)) ^ 2)"
    listed = ", ".join(
        [
            f'{number} AS "_part"',
            'f.fid AS "_fid"',
            'f.geom AS "_shape"',
            f'{identifier}::bigint >> 4 AS "_id"',
            f'{size} AS "_size"',
            *values,
            "f.feature_id",
        ]
    )
    sql_text = f"SELECT {listed} FROM {_name(part.delivery_id)} f WHERE {condition.sql}"
    return Condition(sql_text, condition.parameters)


def _tile_cut(frame: TileFrame) -> tuple[str, tuple[Any, ...]]:
    """Return the expression of a row's geometry in the tile, with its parameters.

    SRIDs are integers: as texts they cost PostGIS a search for each row.
    """
    west, south, east, north = frame.bounds
    moved = '"_shape"' if frame.epsg == STORAGE_EPSG else f'ST_Transform("_shape", {int(frame.epsg)})'
    parameters: tuple[Any, ...] = ()
    if frame.tolerance:
        moved = f"ST_Simplify({moved}, %s)"
        parameters = (frame.tolerance * (east - west) / frame.extent,)
    box = f"ST_MakeEnvelope(%s, %s, %s, %s, {int(frame.epsg)})"
    expression = f'ST_AsMVTGeom({moved}, {box}, %s, %s, true) AS "_geom"'
    return expression, (*parameters, west, south, east, north, frame.extent, frame.buffer)


def _window(box: Bounds) -> Condition:
    """Bounds touch: by the index (32-bit), then exactly."""
    exact = (
        "ST_XMin(f.geom) <= %s AND ST_YMin(f.geom) <= %s AND ST_XMax(f.geom) >= %s AND ST_YMax(f.geom) >= %s"
    )
    sql_text = f"f.geom && ST_MakeEnvelope(%s, %s, %s, %s, {STORAGE_EPSG}) AND {exact}"
    return Condition(f"({sql_text})", (*box, box[2], box[3], box[0], box[1]))


def _touches(wkb: bytes, delivery_id: str) -> Condition:
    """Touch one of the polygons; far-flung ones are looked up one by one, so that the index helps."""
    polygons = shapely.to_wkb(shapely.get_parts(shapely.from_wkb(wkb)), byte_order=1).tolist()
    if len(polygons) == 1:
        return Condition(f"ST_Intersects(f.geom, ST_GeomFromWKB(%s, {STORAGE_EPSG}))", (polygons[0],))
    inner = (
        f"SELECT t.fid FROM unnest(%s::bytea[]) p(wkb) JOIN {_name(delivery_id)} t "
        f"ON ST_Intersects(t.geom, ST_GeomFromWKB(p.wkb, {STORAGE_EPSG}))"
    )
    return Condition(f"f.fid IN ({inner})", (polygons,))


def _tables(connection: psycopg.Connection[Any]) -> list[tuple[str, int | None]]:
    """Delivery ids of all tables, with the number of the writer."""
    found = connection.execute(
        "SELECT c.relname, obj_description(c.oid, 'pg_class') FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'deliveries' AND c.relkind = 'r'"
    ).fetchall()
    tables = []
    for name, comment in found:
        match = _TABLE.fullmatch(name)
        if match is not None:
            words = str(comment or "").split()
            tables.append((match[1], int(words[1]) if len(words) == 2 and words[1].isdigit() else None))
    return tables


def _lives(connection: psycopg.Connection[Any], writer: int | None) -> bool:
    """Whether the process that wrote a table still holds its lock."""
    if writer is None:
        return False
    row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (_WRITER_CLASS, writer)).fetchone()
    if row is not None and row[0]:
        connection.execute("SELECT pg_advisory_unlock(%s, %s)", (_WRITER_CLASS, writer))
        return False
    return True


def _set_up(address: str) -> None:
    """Make the schema, once, and check that PostGIS is there."""
    with psycopg.connect(address, connect_timeout=10) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SETUP_LOCK,))
        connection.execute("SET LOCAL client_min_messages = warning")
        try:
            connection.execute("CREATE EXTENSION IF NOT EXISTS postgis")
        except (
            psycopg.errors.FeatureNotSupported,
            psycopg.errors.InsufficientPrivilege,
            psycopg.errors.UndefinedFile,
        ) as error:
            raise StorageUnavailable(
                "The database has no PostGIS.",
                hint="Install PostGIS, or let an administrator run CREATE EXTENSION postgis.",
            ) from error
        connection.execute("CREATE SCHEMA IF NOT EXISTS deliveries")


@contextmanager
def _told() -> Iterator[None]:
    """Turn PostgreSQL's faults into ours; bugs pass unchanged."""
    try:
        yield
    except (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory) as error:
        raise StorageFull(
            "The database is full; nothing of the delivery was stored.", hint="Free some space and try again."
        ) from error
    except (psycopg.OperationalError, PoolTimeout) as error:
        raise StorageUnavailable(
            "The database did not answer.", hint="Try again; see its log if it persists."
        ) from error
