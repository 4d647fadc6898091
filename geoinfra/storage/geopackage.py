"""The embedded engine: each delivery is one GeoPackage 1.3 file with an R*Tree, through the standard library.

A file is written under a hidden name, synced and renamed, and never changed afterwards; it is read immutable
and memory-mapped. The R*Tree is packed in one pass at the end: much faster than inserting, and its nodes
are full.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from geoinfra.crs import STORAGE_EPSG
from geoinfra.errors import InvalidInput, StorageFull, StorageUnavailable
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
    SPATIAL_OPERATORS,
    TEXT_FUNCTIONS,
    Bounds,
    Condition,
    Dialect,
    after_condition,
    equal_condition,
    filter_condition,
    order_by,
)
from geoinfra.storage.records import new_id, now
from geoinfra.tables import ColumnType, DatasetSchema, FeatureBatch

__all__ = ["GeoPackageEngine"]

_HEADER = b"GP\x00\x01" + STORAGE_EPSG.to_bytes(4, "little")
_EMPTY_HEADER = b"GP\x00\x11" + STORAGE_EPSG.to_bytes(4, "little")
_HEADER_BYTES = len(_HEADER)
_IDLE_CONNECTIONS = 48
_MMAP_BYTES = 2**31 - 65_536
_FLOAT32_SLACK = 2.0**-22  # a 32-bit bound lies at most this share of itself from the true one
_SQL_TYPES = {
    ColumnType.TEXT: "TEXT",
    ColumnType.JSON: "TEXT",
    ColumnType.DATE: "DATE",
    ColumnType.DATETIME: "DATETIME",
    ColumnType.INTEGER: "INTEGER",
    ColumnType.REAL: "REAL",
    ColumnType.BOOLEAN: "BOOLEAN",
    ColumnType.BLOB: "BLOB",
}
_HAS_BOUNDS = Condition("EXISTS (SELECT 1 FROM rtree_features_geom_rowid e WHERE e.rowid = f.fid)")
_CELL = np.dtype([("id", ">i8"), ("box", ">f4", (4,))])  # of an R*Tree node: minx, maxx, miny, maxy
_NEIGHBOURS = 32
_FEW_ROWS = 100
_BOOLEANS = {None: None, 0: False, 1: True}


class GeoPackageEngine:
    """Deliveries as files of one folder; see :class:`~geoinfra.storage.deliveries.DeliveryEngine`.

    Parameters
    ----------
    folder
        Created when absent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = _Writer(folder)
        self._files = _OpenFiles(folder)

    def stage(
        self,
        schema: DatasetSchema,
        source: str,
        batches: Iterable[FeatureBatch],
        progress: Callable[[int], None] | None = None,
    ) -> StagedDelivery:
        """Write a delivery; see the protocol. Holds 16 bytes a row in memory, for the index.

        Raises
        ------
        InvalidInput, InvalidGeometry
            The rows do not fit the schema, or an identifier comes twice.
        StorageFull
            The disk takes no more.
        """
        delivery_id = new_id()
        partial = self.folder / f".{delivery_id}.partial"
        intake = Intake(schema)
        try:
            with _full_disk_told():
                self._writer.note(delivery_id)
                _write_file(partial, schema, intake, batches, progress)
                _sync(partial)
                partial.rename(self.folder / f"{delivery_id}.gpkg")
                _sync(self.folder)
        finally:
            partial.unlink(missing_ok=True)
        return StagedDelivery(delivery_id, schema, source, intake.rows, intake.extent, intake.sha256())

    def select(self, selection: Selection, limit: int | None = None) -> RowNumbers:
        """Return row numbers; see the protocol."""
        search = _Search(selection)
        if search.trivial:
            first = 1 if selection.position is None else selection.position.row + 1
            end = selection.part.rows + 1
            return range(first, max(first, end if limit is None else min(end, first + limit)))
        with self._files.lease(selection.part.delivery_id) as connection:
            return search.numbers(connection, limit)

    def count(self, selection: Selection, cap: int | None = None) -> int:
        """Count rows; see the protocol."""
        search = _Search(selection)
        if search.trivial:
            return selection.part.rows if cap is None else min(cap, selection.part.rows)
        with self._files.lease(selection.part.delivery_id) as connection:
            return search.count(connection, cap)

    def rows(
        self, part: Part, schema: DatasetSchema, numbers: RowNumbers, columns: Sequence[str], geometry: bool
    ) -> FeatureBatch:
        """Read rows; see the protocol."""
        own = values_or_null(part, schema, columns)
        with_heights = geometry and schema.has_heights
        names = [f'"{column.name}"' if column else "NULL" for column in own]
        shape = f"substr(geom, {_HEADER_BYTES + 1})" if geometry else "NULL"
        heights = "heights_m" if with_heights and part.schema.has_heights else "NULL"
        where, bound = _row_condition(numbers)
        sql = f"SELECT fid, feature_id, {shape}, {heights}{''.join(f', {n}' for n in names)} FROM features f"
        with self._files.lease(part.delivery_id) as connection:
            found = connection.execute(f"{sql} WHERE {where} ORDER BY fid", bound).fetchall()
        values = [list(column) for column in zip(*_in_order(found, numbers), strict=True)]
        _fids_read, ids, shapes, heights_m, *rest = values if values else [[] for _ in range(len(names) + 4)]
        read = dict(zip(columns, rest, strict=True))
        for column in own:
            if column is not None and column.type is ColumnType.BOOLEAN:
                read[column.name] = [_BOOLEANS[value] for value in read[column.name]]
        return FeatureBatch(schema, ids, shapes, read, heights_m if with_heights else None, part.source)

    def tile(self, selections: Sequence[Selection], columns: Sequence[str], frame: TileFrame) -> None:
        """Cut no tile: SQLite knows no geometry; see the protocol."""

    def extent(self, selection: Selection) -> Bounds | None:
        """Return the bounds of rows; see the protocol."""
        with self._files.lease(selection.part.delivery_id) as connection:
            numbers = _Search(selection).numbers(connection, None)
            bounds = [shapely.total_bounds(shapes) for shapes in _shapes(connection, numbers)]
        known = np.array([box for box in bounds if not np.isnan(box).any()])
        if not len(known):
            return None
        min_e, min_n = known[:, :2].min(axis=0).tolist()
        max_e, max_n = known[:, 2:].max(axis=0).tolist()
        return min_e, min_n, max_e, max_n

    def sweep(self, named: Iterable[str]) -> list[str]:
        """Remove what crashes left; see the protocol."""
        files = {
            path.name.strip(".").split(".")[0]: path for path in self.folder.iterdir() if _is_delivery(path)
        }
        held = self._writer.held_by_living()
        doomed = [name for name in files if name not in held]
        kept = set(named)
        removed = []
        for name in doomed:
            if name not in kept or files[name].suffix == ".partial":
                files[name].unlink(missing_ok=True)
                removed.append(name)
        return sorted(removed)

    def close(self) -> None:
        """Close files; see the protocol."""
        self._files.close()
        self._writer.close()


def _is_delivery(path: Path) -> bool:
    return path.suffix in (".gpkg", ".partial")


def _row_condition(numbers: RowNumbers) -> tuple[str, tuple[Any, ...]]:
    """Name rows by a range where they follow each other, else one by one."""
    size = len(numbers)
    if size and int(numbers[-1]) - int(numbers[0]) == size - 1 and ascending(numbers):
        return "fid BETWEEN ? AND ?", (int(numbers[0]), int(numbers[-1]))
    return "fid IN (SELECT value FROM json_each(?))", (_as_json(numbers),)


def _as_json(numbers: RowNumbers) -> str:
    return orjson.dumps(list(numbers) if isinstance(numbers, range) else numbers.tolist()).decode()


def _in_order(found: list[tuple[Any, ...]], numbers: RowNumbers) -> list[tuple[Any, ...]]:
    if ascending(numbers):
        return found
    by_number = {row[0]: row for row in found}
    return [by_number[number] for number in numbers.tolist()]  # type: ignore[union-attr]  # ranges ascend


# --- Searching


class _Region:
    """Polygons of which a row's geometry must touch one."""

    def __init__(self, wkb: bytes) -> None:
        self.geometry = shapely.from_wkb(wkb)
        shapely.prepare(self.geometry)
        boxes = shapely.bounds(shapely.get_parts(self.geometry))
        self.boxes: list[Bounds] = [(b[0], b[1], b[2], b[3]) for b in boxes.tolist()]

    def holds(self, extent: Bounds | None) -> bool:
        """Whether all of a delivery lies inside."""
        return extent is not None and bool(shapely.covers(self.geometry, shapely.box(*extent)))

    def surely(self, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Mark the bounds that lie inside: their geometry need not be read. Neighbours are tried together."""
        if not len(boxes):
            return np.zeros(0, dtype=bool)
        starts = np.arange(0, len(boxes), _NEIGHBOURS)
        low = np.minimum.reduceat(boxes[:, :2], starts)
        high = np.maximum.reduceat(boxes[:, 2:], starts)
        sure = np.repeat(self._covers(np.hstack([low, high])), _NEIGHBOURS)[: len(boxes)]
        rest = ~sure
        sure[rest] = self._covers(boxes[rest])
        return sure

    def _covers(self, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
        known = ~np.isnan(boxes[:, 0])
        inside = np.zeros(len(boxes), dtype=bool)
        inside[known] = shapely.covers(self.geometry, shapely.box(*boxes[known].T))
        return inside

    def touched(self, shapes: NDArray[Any]) -> NDArray[np.bool_]:
        """Decide exactly."""
        return np.asarray(shapely.intersects(self.geometry, shapes))


class _Window:
    """Bounds that a row's bounds must touch."""

    def __init__(self, box: Bounds) -> None:
        self.box = box
        self.boxes: list[Bounds] = [box]

    def holds(self, extent: Bounds | None) -> bool:
        """Whether all of a delivery lies inside."""
        if extent is None:
            return False
        low = self.box[0] <= extent[0] and self.box[1] <= extent[1]
        return low and self.box[2] >= extent[2] and self.box[3] >= extent[3]

    def surely(self, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Mark the 32-bit bounds that touch whatever their rounding."""
        slack = np.abs(boxes) * _FLOAT32_SLACK
        min_e, min_n, max_e, max_n = self.box
        east = (boxes[:, 0] + slack[:, 0] <= max_e) & (boxes[:, 2] - slack[:, 2] >= min_e)
        north = (boxes[:, 1] + slack[:, 1] <= max_n) & (boxes[:, 3] - slack[:, 3] >= min_n)
        return np.asarray(east & north)

    def touched(self, shapes: NDArray[Any]) -> NDArray[np.bool_]:
        """Decide exactly."""
        bounds = shapely.bounds(shapes)
        min_e, min_n, max_e, max_n = self.box
        east = (bounds[:, 0] <= max_e) & (bounds[:, 2] >= min_e)
        return np.asarray(east & (bounds[:, 1] <= max_n) & (bounds[:, 3] >= min_n))


class _Search:
    """How the rows of one selection are found: by SQL, by the R*Tree, and exactly by geometry."""

    def __init__(self, selection: Selection) -> None:
        part, query = selection.part, selection.query
        self.query = query
        self.part = part
        self.schema = selection.schema
        limits: list[_Region | _Window] = [] if query.bbox is None else [_Window(query.bbox)]
        limits += [_Region(wkb) for wkb in (query.polygon, part.touching) if wkb is not None]
        self.regions = [limit for limit in limits if not limit.holds(part.extent)]
        idle = len(self.regions) < len(limits)
        self.without = None if part.without is None else _Region(part.without)
        conditions = self._conditions()
        if idle:
            conditions.append(_HAS_BOUNDS)
        self.trivial = not (conditions or self.regions or self.without or query.sort)
        if selection.position is not None:
            position = selection.position
            context = (self.schema, Dialect.SQLITE, part.schema)
            conditions.append(after_condition(query.sort, position.values, position.row, *context))
        self.condition = Condition.join("AND", conditions)
        self.needs_rows = len(conditions) > 0

    def _conditions(self) -> list[Condition]:
        context = (self.schema, Dialect.SQLITE, self.part.schema)
        conditions = []
        if self.query.equal:
            conditions.append(equal_condition(self.query.equal, *context))
        if self.query.filter is not None:
            conditions.append(filter_condition(self.query.filter, *context))
        if self.part.hidden:
            names = orjson.dumps(sorted(self.part.hidden)).decode()
            hidden = "f.feature_id NOT IN (SELECT value FROM json_each(?))"
            conditions.append(Condition(hidden, (names,)))
        return conditions

    @property
    def spatial(self) -> bool:
        """Whether geometry decides, beyond what SQL can."""
        return bool(self.regions) or self.without is not None or self.condition.bounds is not None

    def count(self, connection: sqlite3.Connection, cap: int | None) -> int:
        """Count, at most to `cap`."""
        if self.spatial:
            return len(self._decided(connection, cap))
        inner = f"SELECT 1 FROM features f WHERE {self.condition.sql} LIMIT ?"
        bound = (*self.condition.parameters, -1 if cap is None else cap)
        return int(connection.execute(f"SELECT count(*) FROM ({inner})", bound).fetchone()[0])

    def numbers(self, connection: sqlite3.Connection, limit: int | None) -> NDArray[np.int64]:
        """Find row numbers in the order of the query."""
        order = order_by(self.query.sort, self.schema, Dialect.SQLITE, self.part.schema)
        most = -1 if limit is None else limit
        if not self.spatial:
            sql = f"SELECT f.fid FROM features f WHERE {self.condition.sql} ORDER BY {order} LIMIT ?"
            return _fids(connection.execute(sql, (*self.condition.parameters, most)))
        if not self.query.sort:
            return self._decided(connection, limit)
        chosen = _as_json(self._decided(connection, None))
        where = "f.fid IN (SELECT value FROM json_each(?))"
        return _fids(
            connection.execute(
                f"SELECT f.fid FROM features f WHERE {where} ORDER BY {order} LIMIT ?", (chosen, most)
            )
        )

    def _decided(self, connection: sqlite3.Connection, limit: int | None) -> NDArray[np.int64]:
        """Numbers in ascending order of the rows that meet everything."""
        fids, boxes = self._candidates(connection)
        unsure = np.full(len(fids), self.without is not None)
        for region in self.regions:
            unsure |= ~region.surely(boxes)
        order = np.argsort(fids)
        fids, unsure = fids[order], unsure[order]
        kept: list[NDArray[np.int64]] = []
        total = 0
        step = len(fids) if limit is None else max(2 * limit, 5000)
        for start in range(0, len(fids), max(step, 1)):
            chunk = fids[start : start + step]
            good = self._exactly(connection, chunk, unsure[start : start + step])
            kept.append(chunk[good])
            total += int(good.sum())
            if limit is not None and total >= limit:
                break
        return np.concatenate(kept)[:limit] if kept else fids

    def _exactly(
        self, connection: sqlite3.Connection, fids: NDArray[np.int64], unsure: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        good = np.ones(len(fids), dtype=bool)
        verdicts = []
        for shapes in _shapes(connection, fids[unsure]):
            verdict = np.ones(len(shapes), dtype=bool)
            for region in self.regions:
                verdict &= region.touched(shapes)
            if self.without is not None:
                verdict &= ~self.without.touched(shapes)
            verdicts.append(verdict)
        if verdicts:
            good[unsure] = np.concatenate(verdicts)
        return good

    def _candidates(self, connection: sqlite3.Connection) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Numbers, in any order, and 32-bit bounds (NaN: not looked up) of rows that may meet the regions."""
        by_identifier = "feature_id" in self.query.equal
        windows = self._windows()
        if by_identifier or not windows:
            sql = f"SELECT f.fid FROM features f WHERE {self.condition.sql} ORDER BY f.fid"
            fids = _fids(connection.execute(sql, self.condition.parameters))
            return fids, np.full((len(fids), 4), np.nan)
        few = len(windows) == 1 and self._expected_rows(windows[0]) < _FEW_ROWS
        fids, boxes = _lookup_few(connection, windows[0]) if few else _lookup(connection, windows)
        if self.needs_rows:
            met = self._met(connection, fids)
            return fids[met], boxes[met]
        return fids, boxes

    def _expected_rows(self, window: Bounds) -> float:
        """Guess from the areas how many rows lie in a window."""
        extent = self.part.extent
        if extent is None:
            return 0.0
        share = 1.0
        for low, high in ((0, 2), (1, 3)):
            side = extent[high] - extent[low]
            covered = min(window[high], extent[high]) - max(window[low], extent[low])
            share *= min(max(covered, 0.0) / side, 1.0) if side > 0 else 1.0
        return share * self.part.rows

    def _met(self, connection: sqlite3.Connection, fids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Mark the rows for which SQL's part of the condition holds."""
        listed = "f.fid IN (SELECT value FROM json_each(?))"
        sql = f"SELECT f.fid FROM features f WHERE {listed} AND {self.condition.sql}"
        met = _fids(connection.execute(sql, (_as_json(fids), *self.condition.parameters)))
        return np.isin(fids, met)

    def _windows(self) -> list[Bounds]:
        """Boxes to look up: those of the narrowest region, each cut down by what all others demand."""
        wholes = [box for region in self.regions for box in [_hull(region.boxes)]]
        if self.condition.bounds is not None:
            wholes.append(self.condition.bounds)
        if not wholes:
            return []
        lists = [region.boxes for region in self.regions] + [[box] for box in wholes[len(self.regions) :]]
        narrowest = min(lists, key=lambda boxes: sum((b[2] - b[0]) * (b[3] - b[1]) for b in boxes))
        low_e, low_n, high_e, high_n = (
            max(b[0] for b in wholes),
            max(b[1] for b in wholes),
            min(b[2] for b in wholes),
            min(b[3] for b in wholes),
        )
        return [(max(b[0], low_e), max(b[1], low_n), min(b[2], high_e), min(b[3], high_n)) for b in narrowest]


def _lookup_few(
    connection: sqlite3.Connection, window: Bounds
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Walk the R*Tree by SQLite's own walk, which is faster for some hundred rows."""
    sql = (
        "SELECT id, minx, miny, maxx, maxy FROM rtree_features_geom "
        "WHERE maxx >= ? AND maxy >= ? AND minx <= ? AND miny <= ?"
    )
    found = connection.execute(sql, window).fetchall()
    if not found:
        return np.empty(0, dtype=np.int64), np.empty((0, 4))
    cells = np.array(found, dtype=np.float64)
    return cells[:, 0].astype(np.int64), cells[:, 1:]


def _lookup(
    connection: sqlite3.Connection, windows: Sequence[Bounds]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Walk the R*Tree a level at a time; neighbours come together.

    Reading its nodes whole is some twenty times faster than a row at a time through SQLite's own walk.
    """
    nodes = np.array([1])
    levels: int | None = None
    while True:
        sql = "SELECT data FROM rtree_features_geom_node WHERE nodeno IN (SELECT value FROM json_each(?))"
        blobs = [row[0] for row in connection.execute(sql, (_as_json(nodes),))]
        if levels is None:
            levels = int.from_bytes(blobs[0][:2], "big")
        ids, boxes = _cells(blobs)
        met = np.zeros(len(ids), dtype=bool)
        for min_e, min_n, max_e, max_n in windows:
            east = (boxes[:, 0] <= max_e) & (boxes[:, 2] >= min_e)
            met |= east & (boxes[:, 1] <= max_n) & (boxes[:, 3] >= min_n)
        ids, boxes = ids[met], boxes[met]
        if levels == 0 or not len(ids):
            return ids, boxes
        nodes, levels = ids, levels - 1


def _cells(blobs: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Ids and bounds in the nodes."""
    if not blobs:
        return np.empty(0, dtype=np.int64), np.empty((0, 4))
    raw = np.frombuffer(b"".join(blobs), dtype=np.uint8).reshape(len(blobs), -1)
    counts = raw[:, 2].astype(np.int64) * 256 + raw[:, 3]
    capacity = (raw.shape[1] - 4) // _CELL.itemsize
    cells = np.ascontiguousarray(raw[:, 4 : 4 + capacity * _CELL.itemsize]).view(_CELL)
    used = cells[np.arange(capacity) < counts[:, np.newaxis]]
    return used["id"].astype(np.int64), used["box"].astype(np.float64)[:, [0, 2, 1, 3]]


def _hull(boxes: Sequence[Bounds]) -> Bounds:
    min_e, min_n, max_e, max_n = zip(*boxes, strict=True)
    return min(min_e), min(min_n), max(max_e), max(max_n)


def _fids(cursor: sqlite3.Cursor) -> NDArray[np.int64]:
    return np.fromiter((row[0] for row in cursor), dtype=np.int64)


def _shapes(connection: sqlite3.Connection, fids: RowNumbers) -> Iterator[NDArray[Any]]:
    """Decode the geometries of rows, some thousands at a time; `fids` ascend."""
    for start in range(0, len(fids), 20_000):
        where, bound = _row_condition(fids[start : start + 20_000])
        sql = f"SELECT substr(geom, {_HEADER_BYTES + 1}) FROM features f WHERE {where} ORDER BY fid"
        blobs = [row[0] for row in connection.execute(sql, bound)]
        yield shapely.from_wkb(np.array(blobs, dtype=object))


# --- Open files


class _OpenFiles:
    """Idle read-only connections, most recently used last; a connection serves one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._idle: OrderedDict[str, list[sqlite3.Connection]] = OrderedDict()
        self._count = 0

    @contextmanager
    def lease(self, delivery_id: str) -> Iterator[sqlite3.Connection]:
        """Lend a connection to one delivery."""
        connection = self._taken(delivery_id) or self._opened(delivery_id)
        try:
            yield connection
        finally:
            self._give_back(delivery_id, connection)

    def _taken(self, delivery_id: str) -> sqlite3.Connection | None:
        with self._lock:
            waiting = self._idle.get(delivery_id)
            if not waiting:
                return None
            self._count -= 1
            connection = waiting.pop()
            if not waiting:
                del self._idle[delivery_id]
            return connection

    def _give_back(self, delivery_id: str, connection: sqlite3.Connection) -> None:
        surplus = []
        with self._lock:
            self._idle.setdefault(delivery_id, []).append(connection)
            self._idle.move_to_end(delivery_id)
            self._count += 1
            while self._count > _IDLE_CONNECTIONS:
                oldest, waiting = next(iter(self._idle.items()))
                surplus.append(waiting.pop(0))
                self._count -= 1
                if not waiting:
                    del self._idle[oldest]
        for old in surplus:
            old.close()

    def _opened(self, delivery_id: str) -> sqlite3.Connection:
        path = self._folder / f"{delivery_id}.gpkg"
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        try:
            connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        except sqlite3.OperationalError as error:
            raise StorageUnavailable(f"The file of delivery {delivery_id} cannot be opened.") from error
        connection.execute(f"PRAGMA mmap_size={_MMAP_BYTES}")
        _register_functions(connection)
        return connection

    def close(self) -> None:
        """Close every idle connection."""
        with self._lock:
            connections = [c for waiting in self._idle.values() for c in waiting]
            self._idle.clear()
            self._count = 0
        for connection in connections:
            connection.close()


def _register_functions(connection: sqlite3.Connection) -> None:
    """Give SQL the spatial predicates and the functions of texts that know all letters."""

    @lru_cache(maxsize=16)
    def literal(
        wkb: bytes,
    ) -> shapely.Geometry:  # one connection, one thread: prepared geometries are not shared
        geometry = shapely.from_wkb(wkb)
        shapely.prepare(geometry)
        return geometry

    for operator, predicate in SPATIAL_OPERATORS.items():
        decide = getattr(shapely, predicate.lower())

        def test(blob: bytes | None, wkb: bytes | None, decide: Any = decide) -> bool | None:
            if blob is None or wkb is None:
                return None
            return bool(decide(shapely.from_wkb(blob[_HEADER_BYTES:]), literal(wkb)))

        connection.create_function(f"geoinfra_{operator}", 2, test, deterministic=True)
    connection.create_function(
        "geoinfra_wkb", 1, lambda blob: None if blob is None else blob[_HEADER_BYTES:], deterministic=True
    )
    for name, change in TEXT_FUNCTIONS.items():

        def changed(text: str | None, change: Any = change) -> str | None:
            return None if text is None else change(text)

        connection.create_function(f"geoinfra_{name}", 1, changed, deterministic=True)


# --- Writing


class _Writer:
    """The mark of a living process on what it staged: a locked file that lists the deliveries.

    The lock goes with the process, however it ends.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._guard = Lock()
        self._file: Any = None
        self._path = folder / f".writer-{os.getpid()}-{secrets.token_hex(4)}"

    def note(self, delivery_id: str) -> None:
        """Declare a delivery to be written or not yet published."""
        with self._guard:
            while self._file is None:
                file = self._path.open("a")
                fcntl.flock(file, fcntl.LOCK_EX)
                if self._path.exists():  # a sweep may have come between the two
                    self._file = file
                else:
                    file.close()
            self._file.write(delivery_id + "\n")
            self._file.flush()

    def held_by_living(self) -> set[str]:
        """Deliveries of all living writers; the marks of dead ones are removed."""
        held: set[str] = set()
        for path in self._folder.glob(".writer-*"):
            try:
                with path.open() as file:
                    names = file.read().split()
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except FileNotFoundError:
                continue
            except BlockingIOError:
                held.update(names)
                continue
            path.unlink(missing_ok=True)
        return held

    def close(self) -> None:
        """Give up the mark."""
        with self._guard:
            if self._file is not None:
                self._path.unlink(missing_ok=True)
                self._file.close()
                self._file = None


@contextmanager
def _full_disk_told() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        if _is_full(error):
            raise StorageFull(
                "The disk is full; nothing of the delivery was stored.", hint="Free some space and try again."
            ) from error
        raise


def _is_full(error: sqlite3.Error | OSError) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    code = getattr(error, "sqlite_errorcode", None)
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_TRUNCATE)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_file(
    path: Path,
    schema: DatasetSchema,
    intake: Intake,
    batches: Iterable[FeatureBatch],
    progress: Callable[[int], None] | None,
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "cache_size=-32000"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        _create_tables(connection, schema)
        names = ["fid", "geom", "feature_id", *(column.name for column in schema.columns)]
        names += ["heights_m"] if schema.has_heights else []
        quoted = ", ".join(f'"{name}"' for name in names)
        insert = f"INSERT INTO features ({quoted}) VALUES ({', '.join('?' * len(names))})"
        bounds: list[NDArray[np.float32]] = []
        for batch in batches:
            clean = intake.take(batch)
            connection.executemany(insert, _file_rows(clean))
            bounds.append(_outward(clean.bounds))
            if progress is not None:
                progress(intake.rows)
        _index(connection, schema)
        _pack_rtree(connection, np.concatenate(bounds) if bounds else np.empty((0, 4), dtype=np.float32))
        connection.execute(
            "UPDATE gpkg_contents SET min_x=?, min_y=?, max_x=?, max_y=?", intake.extent or (None,) * 4
        )
        for trigger in _TRIGGERS:  # their functions are GDAL's: they are for those who edit a copy
            connection.execute(trigger)
        connection.execute("PRAGMA analysis_limit=1000")
        connection.execute("ANALYZE")
        connection.execute("COMMIT")


def _file_rows(clean: CleanRows) -> Iterator[tuple[Any, ...]]:
    empty = np.isnan(clean.bounds[:, 0]).tolist()
    shapes = [
        None if wkb is None else (_EMPTY_HEADER if hollow else _HEADER) + wkb
        for wkb, hollow in zip(clean.geometry, empty, strict=True)
    ]
    fids = range(clean.first, clean.first + len(shapes))
    more = [] if clean.heights_m is None else [clean.heights_m]
    return zip(fids, shapes, clean.feature_ids, *clean.columns, *more, strict=True)


def _index(connection: sqlite3.Connection, schema: DatasetSchema) -> None:
    try:
        connection.execute("CREATE UNIQUE INDEX features_feature_id ON features (feature_id)")
    except sqlite3.IntegrityError:
        raise InvalidInput("An identifier comes twice in the delivery.", hint="Make them unique.") from None
    for column in schema.columns:
        if column.indexed:
            connection.execute(f'CREATE INDEX "features_{column.name}" ON features ("{column.name}")')


def _outward(bounds: NDArray[np.float64]) -> NDArray[np.float32]:
    """Round bounds to 32 bits so that they still hold the geometry."""
    rounded = bounds.astype(np.float32)
    low, high = rounded[:, :2], rounded[:, 2:]
    low = np.where(low > bounds[:, :2], np.nextafter(low, np.float32(-np.inf)), low)
    high = np.where(high < bounds[:, 2:], np.nextafter(high, np.float32(np.inf)), high)
    return np.hstack([low, high]).astype(np.float32)


def _pack_rtree(connection: sqlite3.Connection, bounds: NDArray[np.float32]) -> None:
    """Fill the R*Tree bottom up, sort-tile-recursive, by writing SQLite's shadow tables."""
    ids = np.flatnonzero(~np.isnan(bounds[:, 0])).astype(np.int64) + 1
    boxes = bounds[ids - 1]
    tree = "rtree_features_geom"
    (node_bytes,) = connection.execute(f"SELECT length(data) FROM {tree}_node WHERE nodeno = 1").fetchone()
    capacity = (node_bytes - 4) // 24
    next_node, depth = 2, 0
    order = _tile_order(boxes, capacity)
    ids, boxes = ids[order], boxes[order]
    while True:
        starts = _node_starts(len(ids), capacity)
        is_root = len(starts) == 1
        nodes = np.array([1]) if is_root else np.arange(next_node, next_node + len(starts))
        blobs = _node_blobs(ids, boxes, starts, node_bytes, depth if is_root else 0)
        connection.executemany(
            f"INSERT OR REPLACE INTO {tree}_node (nodeno, data) VALUES (?, ?)",
            zip(nodes.tolist(), blobs, strict=True),
        )
        parents = np.repeat(nodes, np.diff([*starts, len(ids)]))
        table, names = ("rowid", "rowid, nodeno") if depth == 0 else ("parent", "nodeno, parentnode")
        connection.executemany(
            f"INSERT INTO {tree}_{table} ({names}) VALUES (?, ?)", _sorted_pairs(ids, parents)
        )
        if is_root:
            return
        low = np.minimum.reduceat(boxes[:, :2], starts)
        high = np.maximum.reduceat(boxes[:, 2:], starts)
        ids, boxes = nodes, np.hstack([low, high])
        next_node += len(starts)
        depth += 1


def _sorted_pairs(ids: NDArray[np.int64], parents: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    order = np.argsort(ids)
    return zip(ids[order].tolist(), parents[order].tolist(), strict=True)


def _tile_order(boxes: NDArray[np.float32], capacity: int) -> NDArray[np.int64]:
    """Order in which neighbours fall into one node."""
    across = np.argsort(boxes[:, 0] + boxes[:, 2], kind="stable")
    leaves = max(1, -(-len(boxes) // capacity))
    per_slice = capacity * int(np.ceil(np.sqrt(leaves)))
    slices = np.empty(len(boxes), dtype=np.int64)
    slices[across] = np.arange(len(boxes)) // per_slice
    return np.lexsort((boxes[:, 1] + boxes[:, 3], slices))


def _node_starts(entries: int, capacity: int) -> list[int]:
    """Cut `entries` into nodes of nearly equal size; an empty tree has one empty node."""
    nodes = max(1, -(-entries // capacity))
    return [entries * node // nodes for node in range(nodes)]


def _node_blobs(
    ids: NDArray[np.int64], boxes: NDArray[np.float32], starts: Sequence[int], node_bytes: int, depth: int
) -> Iterator[bytes]:
    cells = np.empty(len(ids), dtype=_CELL)
    cells["id"] = ids
    cells["box"] = boxes[:, [0, 2, 1, 3]]
    for start, end in zip(starts, [*starts[1:], len(ids)], strict=True):
        head = depth.to_bytes(2, "big") + (end - start).to_bytes(2, "big")
        yield (head + cells[start:end].tobytes()).ljust(node_bytes, b"\x00")


def _create_tables(connection: sqlite3.Connection, schema: DatasetSchema) -> None:
    columns = "".join(f', "{column.name}" {_SQL_TYPES[column.type]}' for column in schema.columns)
    heights = ", heights_m BLOB" if schema.has_heights else ""
    statements = [
        f"PRAGMA application_id={0x47504B47}",
        "PRAGMA user_version=10300",
        *_METADATA,
        "CREATE TABLE features (fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, "
        f"geom {schema.geometry.upper()}, feature_id TEXT NOT NULL{columns}{heights})",
        "CREATE VIRTUAL TABLE rtree_features_geom USING rtree(id, minx, maxx, miny, maxy)",
    ]
    for statement in statements:
        connection.execute(statement)
    connection.executemany("INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)", _reference_systems())
    connection.execute(
        "INSERT INTO gpkg_contents VALUES ('features', 'features', ?, '', ?, NULL, NULL, NULL, NULL, ?)",
        (schema.name, now(), STORAGE_EPSG),
    )
    connection.execute(
        "INSERT INTO gpkg_geometry_columns VALUES ('features', 'geom', ?, ?, 0, 0)",
        (schema.geometry.upper(), STORAGE_EPSG),
    )
    connection.execute(
        "INSERT INTO gpkg_extensions VALUES ('features', 'geom', 'gpkg_rtree_index', "
        "'http://www.geopackage.org/spec120/#extension_rtree', 'write-only')"
    )


@lru_cache(maxsize=1)
def _reference_systems() -> tuple[tuple[Any, ...], ...]:
    import pyproj

    def wkt(code: int) -> str:
        return str(pyproj.CRS.from_epsg(code).to_wkt("WKT1_GDAL"))

    return (
        (
            "Undefined cartesian SRS",
            -1,
            "NONE",
            -1,
            "undefined",
            "undefined cartesian reference system",
        ),
        (
            "Undefined geographic SRS",
            0,
            "NONE",
            0,
            "undefined",
            "undefined geographic reference system",
        ),
        ("WGS 84 geodetic", 4326, "EPSG", 4326, wkt(4326), "longitude, latitude"),
        ("ETRS89 / UTM zone 32N", STORAGE_EPSG, "EPSG", STORAGE_EPSG, wkt(STORAGE_EPSG), None),
    )


_METADATA = (
    "CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT NOT NULL, srs_id INTEGER PRIMARY KEY, "
    "organization TEXT NOT NULL, organization_coordsys_id INTEGER NOT NULL, "
    "definition TEXT NOT NULL, description TEXT)",
    "CREATE TABLE gpkg_contents (table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, "
    "identifier TEXT UNIQUE, description TEXT DEFAULT '', "
    "last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')), "
    "min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER, "
    "CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id))",
    "CREATE TABLE gpkg_geometry_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL, "
    "geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL, z TINYINT NOT NULL, m TINYINT NOT NULL, "
    "CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name), "
    "CONSTRAINT uk_gc_table_name UNIQUE (table_name), "
    "CONSTRAINT fk_gc_tn FOREIGN KEY (table_name) REFERENCES gpkg_contents(table_name), "
    "CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys (srs_id))",
    "CREATE TABLE gpkg_extensions (table_name TEXT, column_name TEXT, extension_name TEXT NOT NULL, "
    "definition TEXT NOT NULL, scope TEXT NOT NULL, "
    "CONSTRAINT ge_tce UNIQUE (table_name, column_name, extension_name))",
)

_ENTRY = 'ST_MinX(NEW."geom"), ST_MaxX(NEW."geom"), ST_MinY(NEW."geom"), ST_MaxY(NEW."geom")'
_TRIGGERS = tuple(
    f'CREATE TRIGGER "rtree_features_geom_{name}" AFTER {event} ON "features" '
    f"WHEN {condition} BEGIN {action}; END"
    for name, event, condition, action in (
        (
            "insert",
            "INSERT",
            'NEW."geom" NOT NULL AND NOT ST_IsEmpty(NEW."geom")',
            f'INSERT OR REPLACE INTO "rtree_features_geom" VALUES (NEW."fid", {_ENTRY})',
        ),
        (
            "update1",
            'UPDATE OF "geom"',
            'OLD."fid" = NEW."fid" AND (NEW."geom" NOTNULL AND NOT ST_IsEmpty(NEW."geom"))',
            f'INSERT OR REPLACE INTO "rtree_features_geom" VALUES (NEW."fid", {_ENTRY})',
        ),
        (
            "update2",
            'UPDATE OF "geom"',
            'OLD."fid" = NEW."fid" AND (NEW."geom" ISNULL OR ST_IsEmpty(NEW."geom"))',
            'DELETE FROM "rtree_features_geom" WHERE id = OLD."fid"',
        ),
        (
            "update3",
            "UPDATE",
            'OLD."fid" != NEW."fid" AND (NEW."geom" NOTNULL AND NOT ST_IsEmpty(NEW."geom"))',
            'DELETE FROM "rtree_features_geom" WHERE id = OLD."fid"; '
            f'INSERT OR REPLACE INTO "rtree_features_geom" VALUES (NEW."fid", {_ENTRY})',
        ),
        (
            "update4",
            "UPDATE",
            'OLD."fid" != NEW."fid" AND (NEW."geom" ISNULL OR ST_IsEmpty(NEW."geom"))',
            'DELETE FROM "rtree_features_geom" WHERE id IN (OLD."fid", NEW."fid")',
        ),
        ("delete", "DELETE", 'OLD."geom" NOT NULL', 'DELETE FROM "rtree_features_geom" WHERE id = OLD."fid"'),
    )
)
