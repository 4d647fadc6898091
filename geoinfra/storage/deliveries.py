"""Deliveries: one source's whole content at one time, staged unseen, published by one row, read by views.

An engine keeps the rows (:mod:`~geoinfra.storage.geopackage` or :mod:`~geoinfra.storage.postgis`) and answers
*which rows of this part* and *give me these rows*. Who may see what is decided here, once, when a
:class:`DatasetView` is made: it pins parts of deliveries, and no query can widen them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import heapq
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import orjson
import shapely
import sqlalchemy as sa
from numpy.typing import NDArray
from shapely.errors import ShapelyError
from sqlalchemy.dialects import postgresql, sqlite

from geoinfra.access import Access, Role, Visibility
from geoinfra.errors import Conflict, Expired, InvalidFilter, InvalidGeometry, InvalidInput, NotFound
from geoinfra.storage import outbox
from geoinfra.storage import schema as tables
from geoinfra.storage.filters import Bounds, Dialect, equal_condition, filter_condition, query_column
from geoinfra.storage.records import Records, Transaction, now
from geoinfra.tables import BATCH_ROWS, Column, ColumnType, DatasetSchema, FeatureBatch, FeatureQuery

__all__ = [
    "CleanRows",
    "DatasetView",
    "DeliveryEngine",
    "Intake",
    "Part",
    "Position",
    "Selection",
    "StagedDelivery",
    "TileFrame",
    "ascending",
    "attach",
    "discard_attached",
    "open_engine",
    "publish",
    "publish_attached",
    "values_or_null",
]

type RowNumbers = NDArray[np.int64] | range
"""Numbers of rows within a delivery, counted from 1, in the order wanted."""

_LAST_ROW = 2**62
_FEW_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class StagedDelivery:
    """A delivery that lies in the store and that nobody can see before it is published or attached.

    Attributes
    ----------
    delivery_id
        Sorts by time of staging.
    extent
        ``(min_e, min_n, max_e, max_n)`` in EPSG:25832 metres, ``None`` without any geometry.
    sha256
        Digest of the content: the same rows give the same digest on both engines.
    """

    delivery_id: str
    schema: DatasetSchema
    source: str
    rows: int
    extent: Bounds | None
    sha256: str


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one delivery that a view may show.

    Attributes
    ----------
    touching
        Polygons (WKB, EPSG:25832) of which a row must touch one; ``None`` admits every row.
    without
        Polygons that a row must not touch, because a newer part of the same source speaks for them.
    hidden
        Identifiers that a newer part of the same source shows.
    """

    delivery_id: str
    source: str
    schema: DatasetSchema
    rows: int
    extent: Bounds | None
    touching: bytes | None = None
    without: bytes | None = None
    hidden: frozenset[str] = frozenset()

    @property
    def whole(self) -> bool:
        """Whether every row may be shown."""
        return self.touching is None and self.without is None and not self.hidden


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the order of a query: only rows after it are wanted."""

    values: tuple[Any, ...]
    row: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of a part are wanted; names in the query are those of `schema`."""

    part: Part
    schema: DatasetSchema
    query: FeatureQuery
    position: Position | None = None

    @property
    def everything(self) -> bool:
        """Whether neither the part nor the query leaves out any row."""
        query = self.query
        narrowed = query.bbox or query.polygon or query.equal or query.filter is not None
        return self.part.whole and not narrowed


@dataclass(frozen=True, slots=True)
class TileFrame:
    """What a vector tile is cut to.

    Attributes
    ----------
    layer
        Name of its one layer.
    epsg
        CRS of `bounds` and of the tile; x, east or longitude first.
    bounds
        West, south, east, north of the tile without its buffer.
    extent, buffer
        Units along a side, and units kept around the tile.
    tolerance
        Of the simplification, in units; 0 keeps every vertex.
    most_features
        Of more, the largest by extent stay.
    """

    layer: str
    epsg: int
    bounds: Bounds
    extent: int
    buffer: int
    tolerance: float
    most_features: int


class DeliveryEngine(Protocol):
    """Keeps deliveries and reads rows of them; safe to share between threads."""

    def stage(
        self,
        schema: DatasetSchema,
        source: str,
        batches: Iterable[FeatureBatch],
        progress: Callable[[int], None] | None = None,
    ) -> StagedDelivery:
        """Write a delivery; on any error nothing of it stays."""

    def select(self, selection: Selection, limit: int | None = None) -> RowNumbers:
        """Return the numbers of at most `limit` rows, in the order of the query."""

    def count(self, selection: Selection, cap: int | None = None) -> int:
        """Count rows, at most to `cap`."""

    def rows(
        self, part: Part, schema: DatasetSchema, numbers: RowNumbers, columns: Sequence[str], geometry: bool
    ) -> FeatureBatch:
        """Read rows by number, in the order of `numbers`."""

    def extent(self, selection: Selection) -> Bounds | None:
        """Return the bounds of the selected rows."""

    def tile(self, selections: Sequence[Selection], columns: Sequence[str], frame: TileFrame) -> bytes | None:
        """Return a Mapbox vector tile of the selected rows, ``None`` where the engine cuts no tiles.

        Identifiers are the first 52 bits of the SHA-256 of ``feature_id``, which is an attribute too.
        """

    def sweep(self, named: Iterable[str]) -> list[str]:
        """Remove deliveries that are not named and whose writer is gone; return their ids.

        `named` is consumed after the writers were looked at, so that a delivery published meanwhile stays.
        """

    def close(self) -> None:
        """Close connections; what was staged and not published is open to sweeping from now on."""


def open_engine(records: Records, data_dir: Path) -> DeliveryEngine:
    """Open the engine that belongs to the records: GeoPackage files or PostGIS.

    Raises
    ------
    StorageUnavailable
        The database cannot be reached, or lacks PostGIS.
    """
    if records.is_sqlite:
        from geoinfra.storage.geopackage import GeoPackageEngine

        return GeoPackageEngine(data_dir / "deliveries")
    from geoinfra.storage.postgis import PostgisEngine

    return PostgisEngine(records.url)


# --- Publishing


def publish(
    tx: Transaction,
    staged: StagedDelivery,
    access: Access,
    valid_to: date | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Make a staged delivery the current one of its source; seen by all from the commit on.

    Parameters
    ----------
    access
        Who publishes; the caller has checked the right. The name is kept with the delivery.
    valid_to
        Last date on which the content may be relied on, ``None`` for no end.
    details
        JSON-ready: header of the answer, licence, file name.

    Raises
    ------
    Conflict
        The dataset is protected, and this delivery of it says that it is open.
    """
    _register(tx, staged, access, valid_to, details, published=True)
    _make_current(tx, staged.schema.name, staged.source, staged.delivery_id, staged.rows)


def publish_attached(tx: Transaction, delivery_id: str) -> None:
    """Make a delivery that was attached the current one of its source; the caller has checked the right.

    Raises
    ------
    NotFound
        No such delivery is attached.
    Conflict
        One that was staged later is current already.
    """
    table = tables.deliveries
    ours = table.c.delivery_id == delivery_id, table.c.published.is_(False)
    row = tx.connection.execute(sa.select(table).where(*ours).with_for_update()).one_or_none()
    if row is None:
        raise NotFound("There is no such delivery that waits.")
    tx.execute(sa.update(table).where(*ours).values(published=True))
    _make_current(tx, row.dataset, row.source, delivery_id, row.rows, over_older_only=True)


def discard_attached(tx: Transaction, delivery_id: str) -> None:
    """Take a delivery that was attached off the records; its rows are swept when a worker next starts.

    Raises
    ------
    NotFound
        No such delivery is attached.
    """
    table = tables.deliveries
    ours = table.c.delivery_id == delivery_id, table.c.published.is_(False)
    if tx.execute(sa.delete(table).where(*ours)).rowcount != 1:
        raise NotFound("There is no such delivery that waits.")


def _make_current(
    tx: Transaction,
    dataset: str,
    source: str,
    delivery_id: str,
    rows: int,
    *,
    over_older_only: bool = False,
) -> None:
    """Move the pointer; the database itself judges which delivery is older, for two may come at once."""
    pointer = {"dataset": dataset, "source": source, "delivery_id": delivery_id}
    dialect = sqlite if tx.connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(tables.current_deliveries).values(**pointer)
    older = tables.current_deliveries.c.delivery_id < delivery_id
    moving = statement.on_conflict_do_update(
        index_elements=["dataset", "source"],
        set_={"delivery_id": delivery_id},
        where=older if over_older_only else None,
    )
    if tx.connection.scalar(moving.returning(tables.current_deliveries.c.delivery_id)) is None:
        raise Conflict("A newer delivery is published already.", hint="Discard this one, or deliver anew.")
    outbox.emit(tx, "delivery.published", f"{dataset}/{source}", {**pointer, "rows": rows})


def attach(
    tx: Transaction,
    staged: StagedDelivery,
    access: Access,
    valid_to: date | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Register a staged delivery for one answer, without making it the current one of its source.

    Parameters and errors are those of :func:`publish`.
    """
    _register(tx, staged, access, valid_to, details, published=False)


def _register(
    tx: Transaction,
    staged: StagedDelivery,
    access: Access,
    valid_to: date | None,
    details: Mapping[str, Any] | None,
    *,
    published: bool,
) -> None:
    _require_no_loosening(tx, staged.schema)
    min_e, min_n, max_e, max_n = staged.extent or (None, None, None, None)
    tx.execute(
        sa.insert(tables.deliveries).values(
            delivery_id=staged.delivery_id,
            dataset=staged.schema.name,
            source=staged.source,
            rows=staged.rows,
            min_e=min_e,
            min_n=min_n,
            max_e=max_e,
            max_n=max_n,
            sha256=staged.sha256,
            schema=json.dumps(staged.schema.to_json(), ensure_ascii=False),
            published=published,
            valid_to=valid_to.isoformat() if valid_to else None,
            details=json.dumps(dict(details or {}), ensure_ascii=False, allow_nan=False),
            created_at=now(),
            created_by=access.principal,
        )
    )


def _require_no_loosening(tx: Transaction, schema: DatasetSchema) -> None:
    """A dataset that was protected once stays so."""
    if schema.visibility is not Visibility.OPEN:
        return
    known = tables.deliveries
    texts = tx.connection.scalars(sa.select(known.c.schema).where(known.c.dataset == schema.name).distinct())
    if any(_schema(text).visibility is not Visibility.OPEN for text in texts):
        raise Conflict(
            f"The dataset {schema.name} is protected and cannot be made open by a delivery.",
            hint="Publish open data under a dataset name of its own.",
        )


@lru_cache(maxsize=256)
def _schema(text: str) -> DatasetSchema:
    return DatasetSchema.from_json(orjson.loads(text))


# --- Views


class DatasetView:
    """What one access may see of one dataset, pinned when the view is made; safe to share between threads.

    Deliveries published later, and grants that end later, do not change it: make a view for each request.

    Attributes
    ----------
    schema
        Of the newest delivery in the view; the dataset's own where nothing may be seen.
    sources
        Sources whose rows may appear, sorted.
    version
        Changes exactly when the visible content may have changed.
    deliveries
        Identifiers of the pinned deliveries, oldest first.
    """

    def __init__(self, engine: DeliveryEngine, schema: DatasetSchema, parts: Sequence[Part]) -> None:
        self._engine = engine
        self._parts = tuple(sorted(parts, key=lambda part: part.delivery_id))
        self.schema = self._parts[-1].schema if self._parts else schema
        self.sources = tuple(sorted({part.source for part in self._parts}))
        self.deliveries = tuple(part.delivery_id for part in self._parts)
        digest = hashlib.sha256()
        for part in self._parts:
            digest.update(repr((part.delivery_id, part.touching, part.without)).encode())
        self.version = digest.hexdigest()[:32]

    @classmethod
    def for_access(
        cls,
        records: Records,
        engine: DeliveryEngine,
        access: Access,
        dataset: str,
        *,
        enquiry: str | Sequence[str] | None = None,
    ) -> DatasetView:
        """Pin what `access` may see of `dataset` at this moment.

        Parameters
        ----------
        enquiry
            Admit only what the grants of this enquiry, or of these, open, not the caller's own deliveries
            either. Without meaning for open data.
        """
        with records.read() as connection:
            current = _current_parts(connection, dataset)
            is_open = bool(current) and all(part.schema.visibility is Visibility.OPEN for part in current)
            if is_open:
                return cls(engine, current[-1].schema, current)
            parts = [] if enquiry is not None else _own_parts(current, access)
            parts += _granted_parts(connection, access, dataset, enquiry)
        hollow = DatasetSchema(dataset, "Geometry", (), visibility=Visibility.GRANTED)
        return cls(engine, current[-1].schema if current else hollow, _one_row_a_feature(engine, parts))

    @classmethod
    def of_delivery(cls, records: Records, engine: DeliveryEngine, delivery_id: str) -> DatasetView:
        """Pin one registered delivery without any predicate; the caller has checked the right.

        Raises
        ------
        NotFound
            No record names it.
        """
        with records.read() as connection:
            row = connection.execute(
                _PARTS.where(tables.deliveries.c.delivery_id == delivery_id)
            ).one_or_none()
        if row is None:
            raise NotFound(f"There is no delivery {delivery_id[:40]}.")
        part = _part(row)
        return cls(engine, part.schema, [part])

    def read(self, query: FeatureQuery | None = None) -> Iterator[FeatureBatch]:
        """Read rows in batches of at most ``BATCH_ROWS`` rows of one source.

        Raises
        ------
        InvalidInput, InvalidFilter, InvalidGeometry
            The query names what is not there, or cannot be understood; raised by the call itself.
        Expired
            The cursor's feature is no longer there.
        """
        query = query or FeatureQuery()
        columns = self._checked(query)
        position = self._locate(query) if query.after is not None else None
        if query.sort and len(self._parts) > 1:
            return self._read_merged(query, columns, position)
        return self._read_in_order(query, columns, position)

    def count(self, query: FeatureQuery | None = None, cap: int | None = None) -> int:
        """Count the rows that the query matches, whatever its limit, offset and cursor.

        Parameters
        ----------
        cap
            Stop counting here.

        Raises
        ------
        InvalidInput, InvalidFilter, InvalidGeometry
            See :meth:`read`.
        """
        query = query or FeatureQuery()
        self._checked(query)
        total = 0
        for part in self._parts:
            if cap is not None and total >= cap:
                break
            if _reaches(part, query):
                left = None if cap is None else cap - total
                total += self._engine.count(Selection(part, self.schema, query), left)
        return total

    def page(self, query: FeatureQuery, cap: int) -> tuple[list[FeatureBatch], int]:
        """Read a page, and count what its query matches; where few rows match, one search gives both.

        Parameters
        ----------
        cap
            Stop counting here.

        Raises
        ------
        InvalidInput, InvalidFilter, InvalidGeometry, Expired
            See :meth:`read`.
        """
        narrowed = query.bbox or query.polygon or query.equal or query.filter is not None
        in_one_order = len(self._parts) == 1 or not query.sort
        if not narrowed or not in_one_order or query.limit is None or query.after is not None:
            return list(self.read(query)), self.count(query, cap)
        columns = self._checked(query)
        enough = max(_FEW_ROWS, query.offset + query.limit)
        found: list[tuple[Part, RowNumbers]] = []
        total = 0
        for selection in self._selections(query, None):
            found.append((selection.part, self._engine.select(selection, enough + 1 - total)))
            total += len(found[-1][1])
            if total > enough:
                total = self.count(query, cap)
                break
        return self._cut_out(found, query, columns), min(total, cap)

    def _cut_out(
        self, found: Sequence[tuple[Part, RowNumbers]], query: FeatureQuery, columns: tuple[str, ...]
    ) -> list[FeatureBatch]:
        """Read the page's rows of those that were found."""
        skip, left = query.offset, query.limit or 0
        batches = []
        for part, numbers in found:
            wanted = numbers[skip : skip + left]
            skip -= min(skip, len(numbers))
            left -= len(wanted)
            for start in range(0, len(wanted), BATCH_ROWS):
                chunk = wanted[start : start + BATCH_ROWS]
                batches.append(self._engine.rows(part, self.schema, chunk, columns, query.geometry))
        return batches

    def extent(self) -> Bounds | None:
        """Return the bounds of every row in the view (EPSG:25832 metres), ``None`` without any geometry."""
        boxes = []
        for part in self._parts:
            box = (
                part.extent
                if part.whole
                else self._engine.extent(Selection(part, self.schema, FeatureQuery()))
            )
            if box is not None:
                boxes.append(box)
        if not boxes:
            return None
        min_e, min_n, max_e, max_n = zip(*boxes, strict=True)
        return min(min_e), min(min_n), max(max_e), max(max_n)

    def tile(self, query: FeatureQuery, frame: TileFrame) -> bytes | None:
        """Return a Mapbox vector tile of the rows that the query matches; its limit bounds what is read.

        Returns
        -------
        bytes or None
            Empty where there is nothing; ``None`` where the engine cuts no tiles: read the rows instead.

        Raises
        ------
        InvalidInput, InvalidFilter, InvalidGeometry
            See :meth:`read`.
        """
        columns = self._checked(query)
        if query.sort or query.offset or query.after is not None:
            raise InvalidInput("A tile has no order and no pages.")
        selections = list(self._selections(query, None))
        return self._engine.tile(selections, columns, frame) if selections else b""

    def get(self, feature_id: str, columns: tuple[str, ...] | None = None) -> FeatureBatch:
        """Read one feature.

        Raises
        ------
        NotFound
            There is none of that identifier in the view; why is not told.
        """
        for batch in self.read(FeatureQuery(equal={"feature_id": [feature_id]}, columns=columns, limit=1)):
            return batch
        raise NotFound(f"{self.schema.name} has no feature '{feature_id[:100]}'.")

    def cursor(self, batch: FeatureBatch) -> str:
        """Return the text that, as ``FeatureQuery.after``, continues behind the last row of `batch`."""
        mark = orjson.dumps([batch.source, batch.feature_ids[-1]])
        return base64.urlsafe_b64encode(mark).decode().rstrip("=")

    def _checked(self, query: FeatureQuery) -> tuple[str, ...]:
        """Refuse a query that cannot be meant, even where there is nothing to see; return its columns."""
        if query.bbox is not None:
            _require_bbox(query.bbox)
        if query.polygon is not None:
            _require_polygon(query.polygon)
        equal_condition(query.equal, self.schema, Dialect.SQLITE)
        if query.filter is not None:
            filter_condition(query.filter, self.schema, Dialect.SQLITE)
        for name, _descending in query.sort:
            query_column(self.schema, name)
        if query.offset < 0 or (query.limit is not None and query.limit < 0):
            raise InvalidInput("Limit and offset cannot be negative.")
        if query.after is not None and query.offset:
            raise InvalidInput("A cursor and an offset exclude each other.")
        if query.columns is None:
            return tuple(column.name for column in self.schema.public_columns)
        known = {column.name for column in self.schema.columns}
        for name in query.columns:
            if name not in known:
                self.schema.column(name)  # raises, and lists the public ones
        return query.columns

    def _locate(self, query: FeatureQuery) -> tuple[Part, Position]:
        """Find the row that a cursor names, and its place in the order of the query."""
        source, feature_id = _cursor_mark(query.after or "")
        only_it = FeatureQuery(equal={"feature_id": [feature_id]})
        for part in self._parts:
            if part.source != source:
                continue
            numbers = self._engine.select(Selection(part, self.schema, only_it), 1)
            if len(numbers):
                names = tuple(name for name, _descending in query.sort if name != "feature_id")
                batch = self._engine.rows(part, self.schema, numbers, names, False)
                values = tuple(_sort_values(batch, 0, query.sort))
                return part, Position(values, int(numbers[0]))
        raise Expired(
            "The data has changed since this page was read.", hint="Start again from the first page."
        )

    def _selections(self, query: FeatureQuery, place: tuple[Part, Position] | None) -> Iterator[Selection]:
        """Yield what to read of each part, in order."""
        for part in self._parts:
            if not _reaches(part, query):
                continue
            if place is None:
                yield Selection(part, self.schema, query)
                continue
            reached, position = place
            if part.delivery_id < reached.delivery_id:
                if query.sort:  # without a sort, all of it lies before
                    yield Selection(part, self.schema, query, replace(position, row=_LAST_ROW))
            elif part.delivery_id > reached.delivery_id:
                yield Selection(part, self.schema, query, replace(position, row=0))
            else:
                yield Selection(part, self.schema, query, position)

    def _read_in_order(
        self, query: FeatureQuery, columns: tuple[str, ...], place: tuple[Part, Position] | None
    ) -> Iterator[FeatureBatch]:
        """Read part by part."""
        skip, left = query.offset, query.limit
        for selection in self._selections(query, place):
            if left == 0:
                return
            numbers = self._engine.select(selection, None if left is None else left + skip)
            skipped = min(skip, len(numbers))
            skip -= skipped
            numbers = numbers[skipped:]
            for start in range(0, len(numbers), BATCH_ROWS):
                chunk = numbers[start : start + BATCH_ROWS]
                yield self._engine.rows(selection.part, self.schema, chunk, columns, query.geometry)
            left = None if left is None else left - len(numbers)

    def _read_merged(
        self, query: FeatureQuery, columns: tuple[str, ...], place: tuple[Part, Position] | None
    ) -> Iterator[FeatureBatch]:
        """Merge parts that are each read in the order of the query."""
        wanted = tuple(dict.fromkeys([*columns, *(n for n, _descending in query.sort if n != "feature_id")]))
        most = None if query.limit is None else query.limit + query.offset
        streams = [
            self._sorted_rows(selection, wanted, most, at)
            for at, selection in enumerate(self._selections(query, place))
        ]
        merged = heapq.merge(*streams, key=lambda entry: entry[0])
        held: FeatureBatch | None = None
        rows: list[int] = []
        for number, (_key, batch, row) in enumerate(merged):
            if number < query.offset:
                continue
            if most is not None and number >= most:
                break
            if held is not None and batch is not held:
                yield _only(held.take(rows), columns)
                rows = []
            held = batch
            rows.append(row)
        if held is not None and rows:
            yield _only(held.take(rows), columns)

    def _sorted_rows(
        self, selection: Selection, columns: tuple[str, ...], most: int | None, at: int
    ) -> Iterator[tuple[tuple[Any, ...], FeatureBatch, int]]:
        query = selection.query
        numbers = self._engine.select(selection, most)
        for start in range(0, len(numbers), BATCH_ROWS):
            chunk = numbers[start : start + BATCH_ROWS]
            batch = self._engine.rows(selection.part, self.schema, chunk, columns, query.geometry)
            for row in range(len(batch)):
                values = _sort_values(batch, row, query.sort)
                keys = [_Key(v, down) for v, (_name, down) in zip(values, query.sort, strict=True)]
                yield (*keys, at, start + row), batch, row


class _Key:
    """Sort value with the order of the engines: nulls last ascending, first descending."""

    __slots__ = ("descending", "value")

    def __init__(self, value: Any, descending: bool) -> None:
        self.value = value
        self.descending = descending

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and bool(self.value == other.value)

    def __lt__(self, other: _Key) -> bool:
        one, two = (other.value, self.value) if self.descending else (self.value, other.value)
        if one is None or two is None:
            return one is not None and two is None
        return bool(one < two)

    __hash__ = None  # type: ignore[assignment]  # only ever compared


def _sort_values(batch: FeatureBatch, row: int, sort: Sequence[tuple[str, bool]]) -> Iterator[Any]:
    for name, _descending in sort:
        yield batch.feature_ids[row] if name == "feature_id" else batch.columns[name][row]


def _only(batch: FeatureBatch, columns: tuple[str, ...]) -> FeatureBatch:
    return replace(batch, columns={name: batch.columns[name] for name in columns})


def _cursor_mark(text: str) -> tuple[str, str]:
    try:
        mark = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):
        mark = None
    if not isinstance(mark, list) or len(mark) != 2 or not all(isinstance(word, str) for word in mark):
        raise InvalidInput(
            "The cursor is not one that this store made.", hint="Follow the links as they are."
        )
    return mark[0], mark[1]


def _require_bbox(bbox: Bounds) -> None:
    if len(bbox) != 4 or not np.isfinite(bbox).all() or bbox[0] > bbox[2] or bbox[1] > bbox[3]:
        raise InvalidFilter(
            "A bounding box has four finite numbers, the smaller first.",
            hint="Write min easting, min northing, max easting, max northing.",
        )


def _require_polygon(wkb: bytes) -> None:
    try:
        polygon = shapely.from_wkb(wkb)
    except (ShapelyError, TypeError):
        raise InvalidGeometry("The polygon cannot be read.") from None
    if polygon.geom_type not in ("Polygon", "MultiPolygon") or polygon.is_empty or polygon.has_z:
        raise InvalidGeometry("A plain polygon was expected.")
    if not np.isfinite(shapely.get_coordinates(polygon)).all() or not polygon.is_valid:
        raise InvalidGeometry(
            "The polygon is not valid.", details={"reason": shapely.is_valid_reason(polygon)}
        )


def _reaches(part: Part, query: FeatureQuery) -> bool:
    """Whether a part can hold rows for the query, judged by its bounds."""
    box = query.bbox
    if box is None and query.polygon is not None:
        min_e, min_n, max_e, max_n = shapely.bounds(shapely.from_wkb(query.polygon)).tolist()
        box = (min_e, min_n, max_e, max_n)
    if box is None:
        return True
    whole = part.extent
    if whole is None:
        return False
    return whole[0] <= box[2] and whole[2] >= box[0] and whole[1] <= box[3] and whole[3] >= box[1]


# --- Who sees what

_DELIVERY = tables.deliveries.c
_PARTS = sa.select(
    _DELIVERY.delivery_id,
    _DELIVERY.source,
    _DELIVERY.schema,
    _DELIVERY.rows,
    _DELIVERY.min_e,
    _DELIVERY.min_n,
    _DELIVERY.max_e,
    _DELIVERY.max_n,
)


def _part(row: Any) -> Part:
    extent = None if row.min_e is None else (row.min_e, row.min_n, row.max_e, row.max_n)
    return Part(row.delivery_id, row.source, _schema(row.schema), row.rows, extent)


def _current_parts(connection: sa.Connection, dataset: str) -> list[Part]:
    """Every source's current delivery, oldest first."""
    pointer = tables.current_deliveries
    statement = _PARTS.join(pointer, pointer.c.delivery_id == _DELIVERY.delivery_id).where(
        pointer.c.dataset == dataset, _DELIVERY.dataset == dataset
    )
    return [_part(row) for row in connection.execute(statement.order_by(_DELIVERY.delivery_id))]


def _own_parts(current: Iterable[Part], access: Access) -> list[Part]:
    if access.organisation is None or not access.has(Role.OWNER):
        return []
    return [part for part in current if part.source == access.organisation]


def _granted_parts(
    connection: sa.Connection, access: Access, dataset: str, enquiry: str | Sequence[str] | None
) -> list[Part]:
    """What grants in force open to an excavator, one part a delivery."""
    if access.organisation is None or not access.has(Role.EXCAVATOR):
        return []
    grant = tables.grants.c
    moment = now()
    statement = (
        _PARTS.add_columns(grant.polygon)
        .join(tables.grants, grant.delivery_id == _DELIVERY.delivery_id)
        .where(
            grant.organisation == access.organisation,
            grant.dataset == dataset,
            grant.source == _DELIVERY.source,
            _DELIVERY.dataset == dataset,
            grant.valid_from <= moment,
            grant.valid_to > moment,
        )
    )
    if enquiry is not None:
        numbers = [enquiry] if isinstance(enquiry, str) else list(enquiry)
        statement = statement.where(grant.enquiry.in_(numbers))
    parts: dict[str, Part] = {}
    polygons: dict[str, list[bytes]] = {}
    for row in connection.execute(statement):
        if row.delivery_id not in parts:
            parts[row.delivery_id] = _part(row)
        polygons.setdefault(row.delivery_id, []).append(bytes(row.polygon))
    return [replace(part, touching=_union(polygons[name])) for name, part in parts.items()]


def _union(polygons: Iterable[bytes]) -> bytes:
    union = shapely.union_all(shapely.from_wkb(sorted(set(polygons))))
    return shapely.to_wkb(union, byte_order=1, output_dimension=2)


def _one_row_a_feature(engine: DeliveryEngine, parts: Iterable[Part]) -> list[Part]:
    """Let the newest part of each source speak for its polygons, so that no feature appears twice."""
    by_source: dict[str, dict[str, Part]] = {}
    for part in parts:
        known = by_source.setdefault(part.source, {})
        if part.delivery_id not in known or part.touching is None:
            known[part.delivery_id] = part
    kept: list[Part] = []
    for versions in by_source.values():
        spoken_for: list[bytes] = []
        shown: frozenset[str] = frozenset()
        for part in sorted(versions.values(), key=lambda p: p.delivery_id, reverse=True):
            if spoken_for:
                part = replace(part, without=_union(spoken_for), hidden=shown)
            kept.append(part)
            if part.touching is None:
                break
            spoken_for.append(part.touching)
            if len(versions) > 1:
                shown |= _identifiers(engine, part)
    return kept


def _identifiers(engine: DeliveryEngine, part: Part) -> frozenset[str]:
    numbers = engine.select(Selection(part, part.schema, FeatureQuery()))
    chunks = (numbers[start : start + BATCH_ROWS] for start in range(0, len(numbers), BATCH_ROWS))
    return frozenset(
        name for chunk in chunks for name in engine.rows(part, part.schema, chunk, (), False).feature_ids
    )


def ascending(numbers: RowNumbers) -> bool:
    """Whether the order wanted is that of the rows."""
    return isinstance(numbers, range) or bool(np.all(np.diff(numbers) > 0))


# --- Taking rows in

_SIMPLE_TYPES = {
    0: "Point",
    1: "LineString",
    3: "Polygon",
    4: "MultiPoint",
    5: "MultiLineString",
    6: "MultiPolygon",
}
_RESERVED = frozenset(
    {"fid", "geom", "geometry", "feature_id", "heights_m", "ctid", "cmin", "cmax", "xmin", "xmax", "tableoid"}
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_DATETIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,3}))?Z")
_ADMITTED: dict[ColumnType, tuple[type, ...]] = {
    ColumnType.TEXT: (str,),
    ColumnType.JSON: (str,),
    ColumnType.DATE: (str,),
    ColumnType.DATETIME: (str,),
    ColumnType.INTEGER: (int,),
    ColumnType.REAL: (float, int),
    ColumnType.BOOLEAN: (bool,),
    ColumnType.BLOB: (bytes,),
}


@dataclass(frozen=True, slots=True)
class CleanRows:
    """Rows of a batch, checked, in the form in which both engines take them.

    Attributes
    ----------
    first
        Number of the first row within the delivery.
    geometry
        WKB: little-endian, 2D; ``None`` for none.
    bounds
        Float64 ``(n, 4)``: min E, min N, max E, max N; NaN for rows without extent.
    columns
        In the order of the schema.
    """

    first: int
    feature_ids: list[str]
    geometry: list[bytes | None]
    bounds: NDArray[np.float64]
    columns: list[list[Any]]
    heights_m: list[bytes | None] | None


@dataclass(slots=True)
class Intake:
    """Checks the rows of one delivery as they stream by, and sums them up.

    Numbers that are not finite become null. Times are kept with milliseconds.
    """

    schema: DatasetSchema
    rows: int = 0
    extent: Bounds | None = None
    _digests: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for column in self.schema.columns:
            if column.name in _RESERVED:
                raise InvalidInput(f"A column cannot be called '{column.name}'.", hint="Rename it.")

    def take(self, batch: FeatureBatch) -> CleanRows:
        """Check one batch.

        Raises
        ------
        InvalidInput
            Columns do not fit the schema, an identifier is empty, a value has another type than its column.
        InvalidGeometry
            A geometry cannot be read, is not 2D, is not finite or not of the schema's type.
        """
        size = len(batch)
        ids = self._column(Column("feature_id"), batch.feature_ids, size)
        if not all(ids):
            raise InvalidInput("A feature has no identifier.")
        if set(batch.columns) != {column.name for column in self.schema.columns}:
            raise InvalidInput(f"The columns are not those of {self.schema.name}.")
        columns = [self._column(column, batch.columns[column.name], size) for column in self.schema.columns]
        geometry, bounds = self._geometry(batch.geometry, size)
        heights = self._heights(batch.heights_m, size)
        clean = CleanRows(self.rows + 1, ids, geometry, bounds, columns, heights)
        self.rows += size
        self._widen(bounds)
        return clean

    def sha256(self) -> str:
        """Digest of all that was taken, whatever the batches it came in."""
        total = hashlib.sha256()
        for name in sorted(self._digests):
            total.update(f"{name}\n".encode() + self._digests[name].digest())
        return total.hexdigest()

    def _column(self, column: Column, values: Sequence[Any], size: int) -> list[Any]:
        if len(values) != size:
            raise InvalidInput(f"The column '{column.name}' has {len(values)} values for {size} rows.")
        clean = _clean(column, values)
        if column.type is ColumnType.BLOB:
            self._add_bytes(column.name, clean)
        else:
            self._digest(column.name).update(orjson.dumps(clean)[1:-1] + b",")
        return clean

    def _digest(self, name: str) -> Any:
        return self._digests.setdefault(name, hashlib.sha256())

    def _add_bytes(self, name: str, values: Sequence[bytes | None]) -> None:
        lengths = [-1 if value is None else len(value) for value in values]
        self._digest(f"{name} lengths").update(np.array(lengths, dtype="<i8").tobytes())
        self._digest(name).update(b"".join(filter(None, values)))

    def _geometry(
        self, values: Sequence[bytes | None], size: int
    ) -> tuple[list[bytes | None], NDArray[np.float64]]:
        if len(values) != size:
            raise InvalidInput(f"There are {len(values)} geometries for {size} rows.")
        try:
            with np.errstate(invalid="ignore"):  # NaN is refused below
                shapes = shapely.from_wkb(np.array(values, dtype=object))
        except (ShapelyError, TypeError):
            raise InvalidGeometry("A geometry is not well-known binary.") from None
        present = ~shapely.is_missing(shapes)
        self._require_types(shapes[present])
        if shapely.has_z(shapes).any() or not np.isfinite(shapely.get_coordinates(shapes)).all():
            raise InvalidGeometry("A geometry is not two-dimensional and finite.")
        wkb = shapely.to_wkb(shapes, byte_order=1, output_dimension=2, include_srid=False).tolist()
        self._add_bytes("geometry", wkb)
        return wkb, shapely.bounds(shapes)

    def _require_types(self, shapes: NDArray[Any]) -> None:
        names = {_SIMPLE_TYPES.get(number, "other") for number in set(shapely.get_type_id(shapes).tolist())}
        wanted = set(_SIMPLE_TYPES.values()) if self.schema.geometry == "Geometry" else {self.schema.geometry}
        if not names <= wanted:
            found = ", ".join(sorted(names - wanted))
            raise InvalidGeometry(
                f"{self.schema.name} holds {self.schema.geometry}, and the delivery has {found}.",
                hint="Split collections, and make all geometries of one type.",
            )

    def _heights(self, values: Sequence[bytes | None] | None, size: int) -> list[bytes | None] | None:
        if not self.schema.has_heights:
            if values is not None:
                raise InvalidInput(f"{self.schema.name} has no heights.")
            return None
        clean = _clean(Column("heights_m", ColumnType.BLOB), values if values is not None else [None] * size)
        if len(clean) != size:
            raise InvalidInput(f"There are {len(clean)} height arrays for {size} rows.")
        self._add_bytes("heights_m", clean)
        return clean

    def _widen(self, bounds: NDArray[np.float64]) -> None:
        known = bounds[~np.isnan(bounds[:, 0])]
        if not len(known):
            return
        low, high = known[:, :2].min(axis=0), known[:, 2:].max(axis=0)
        if self.extent is not None:
            low, high = np.minimum(low, self.extent[:2]), np.maximum(high, self.extent[2:])
        self.extent = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))


def _clean(column: Column, values: Sequence[Any]) -> list[Any]:
    """Check the type of every value; make numbers finite, times uniform."""
    kind = column.type
    kinds = set(map(type, values)) - {type(None)}
    if any(issubclass(k, np.generic) for k in kinds):
        values = [value.item() if isinstance(value, np.generic) else value for value in values]
        kinds = set(map(type, values)) - {type(None)}
    if not kinds <= set(_ADMITTED[kind]):
        found = ", ".join(sorted(k.__name__ for k in kinds - set(_ADMITTED[kind])))
        raise InvalidInput(f"The column '{column.name}' holds {kind} values, and {found} came.")
    if not kinds or kind in (ColumnType.BOOLEAN, ColumnType.BLOB):
        return list(values)
    return _clean_numbers(column, values) if str not in kinds else _clean_texts(column, values)


def _clean_numbers(column: Column, values: Sequence[Any]) -> list[Any]:
    try:
        if column.type is ColumnType.INTEGER:
            np.array([value for value in values if value is not None], dtype=np.int64)
            return list(values)
        numbers: NDArray[np.float64] = np.array(values, dtype=np.float64)
    except OverflowError:
        raise InvalidInput(f"A number in '{column.name}' does not fit 64 bits.") from None
    finite = np.isfinite(numbers)
    if finite.all():
        return list(numbers.tolist())
    return [value if good else None for value, good in zip(numbers.tolist(), finite.tolist(), strict=True)]


def _clean_texts(column: Column, values: Sequence[Any]) -> list[Any]:
    joined = "".join(filter(None, values))
    if "\x00" in joined or not _is_utf8(joined):
        raise InvalidInput(f"A text in '{column.name}' holds characters that no text can hold.")
    if column.type is ColumnType.DATE:
        return [_matched(column, _DATE, value).group() if value is not None else None for value in values]
    if column.type is ColumnType.DATETIME:
        found = [_matched(column, _DATETIME, value) if value is not None else None for value in values]
        return [None if m is None else f"{m[1]}.{(m[2] or '').ljust(3, '0')}Z" for m in found]
    return list(values)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _matched(column: Column, pattern: re.Pattern[str], value: str) -> re.Match[str]:
    match = pattern.fullmatch(value)
    if match is None or not value.isascii():
        form = "yyyy-mm-dd" if column.type is ColumnType.DATE else "yyyy-mm-ddThh:mm:ss.sssZ"
        raise InvalidInput(f"'{value[:40]}' in '{column.name}' is not of the form {form}.")
    return match


def values_or_null(part: Part, schema: DatasetSchema, names: Sequence[str]) -> list[Column | None]:
    """Return for each name the part's own column, ``None`` where the part lacks it or has another type."""
    wanted = {column.name: column.type for column in schema.columns}
    own = {column.name: column for column in part.schema.columns}
    return [own[n] if n in own and own[n].type is wanted[n] else None for n in names]
