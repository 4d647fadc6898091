"""Many things are tables: the schema of a dataset and the column batch in which its rows travel.

Every read of the store and every decoder of an exchange format gives :class:`FeatureBatch` objects; every
writer (GeoJSON, GeoPackage, GML, vector tiles) takes them. A batch is a few thousand rows at most, so that
millions of rows stream in constant memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from geoinfra.access import Visibility
from geoinfra.errors import InvalidInput

__all__ = [
    "BATCH_ROWS",
    "Column",
    "ColumnType",
    "DatasetSchema",
    "FeatureBatch",
    "FeatureQuery",
    "concatenate",
]

_COLUMN_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}", re.ASCII)
BATCH_ROWS = 2000
"""Rows in a full batch."""


class ColumnType(StrEnum):
    """Type of an attribute column, the same on both engines."""

    TEXT = "text"
    INTEGER = "integer"
    REAL = "real"
    BOOLEAN = "boolean"
    DATE = "date"  # ISO 8601 text, yyyy-mm-dd
    DATETIME = "datetime"  # ISO 8601 text in UTC ending in Z
    JSON = "json"  # a JSON document as UTF-8 text
    BLOB = "blob"  # bytes


@dataclass(frozen=True, slots=True)
class Column:
    """One attribute column.

    Attributes
    ----------
    name
        Lower-case ASCII identifier (``[a-z][a-z0-9_]*``, at most 60 characters); it carries the unit.
    type
        See :class:`ColumnType`.
    indexed
        Whether the engines index it for equality and range queries.
    internal
        Never shown to clients or offered as a queryable (derived data such as an exchange fragment).
    title, title_da
        Short texts for people.
    """

    name: str
    type: ColumnType = ColumnType.TEXT
    indexed: bool = False
    internal: bool = False
    title: str = ""
    title_da: str = ""

    def __post_init__(self) -> None:
        if not _COLUMN_NAME.fullmatch(self.name):
            raise InvalidInput(
                f"'{self.name}' cannot name a column.",
                hint="Use lower-case letters a-z, digits and underscores, starting with a letter.",
            )


@dataclass(frozen=True, slots=True)
class DatasetSchema:
    """The contract of one dataset: what every delivery of it holds.

    Geometry is always 2D EPSG:25832. Heights, where a dataset has them (``has_heights``), travel beside it
    as one little-endian float64 array a feature: DVR90 metres a vertex, NaN where unknown.

    Attributes
    ----------
    name
        For instance ``utility-features`` or ``buildings``.
    geometry
        ``Point``, ``LineString``, ``Polygon``, their ``Multi`` forms, or ``Geometry`` for a mixture.
    columns
        Attribute columns in order, without the feature identifier.
    visibility
        Who may see the rows: by grant only, unless the schema says that they are open. The store reads a
        dataset as granted when any delivery of it says so.
    """

    name: str
    geometry: str
    columns: tuple[Column, ...]
    has_heights: bool = False
    visibility: Visibility = Visibility.GRANTED

    def column(self, name: str) -> Column:
        """Return the column called `name`, or raise ``InvalidInput`` that lists what exists."""
        for column in self.columns:
            if column.name == name and not column.internal:
                return column
        known = ", ".join(column.name for column in self.columns if not column.internal)
        raise InvalidInput(f"{self.name} has no attribute '{name}'.", hint=f"Attributes are: {known}.")

    @property
    def public_columns(self) -> tuple[Column, ...]:
        """The columns that clients may see."""
        return tuple(column for column in self.columns if not column.internal)

    def to_json(self) -> dict[str, Any]:
        """Return the schema as a JSON-ready dict; :meth:`from_json` reads it."""
        return {
            "name": self.name,
            "geometry": self.geometry,
            "has_heights": self.has_heights,
            "visibility": str(self.visibility),
            "columns": [
                {
                    "name": c.name,
                    "type": str(c.type),
                    "indexed": c.indexed,
                    "internal": c.internal,
                    "title": c.title,
                    "title_da": c.title_da,
                }
                for c in self.columns
            ],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> DatasetSchema:
        """Make a schema from :meth:`to_json`'s dict."""
        columns = tuple(Column(**{**c, "type": ColumnType(c["type"])}) for c in document["columns"])
        return cls(
            document["name"],
            document["geometry"],
            columns,
            bool(document.get("has_heights", False)),
            Visibility(document["visibility"]),
        )


@dataclass(slots=True)
class FeatureBatch:
    """Rows of one dataset as columns.

    Attributes
    ----------
    feature_ids
        Stable identifiers, unique within one delivery.
    geometry
        ISO WKB, little-endian, 2D, EPSG:25832; ``None`` for a feature without geometry.
    columns
        Column name -> values, one a row, ``None`` for null. JSON columns hold UTF-8 JSON *text*.
    heights_m
        ``None`` for a dataset without heights, else one ``bytes | None`` a row: little-endian float64,
        DVR90 metres, one number a vertex in the order of the WKB, NaN where unknown.
    source
        Name of the owner or source that delivered the rows; set by the store when it reads.
    """

    schema: DatasetSchema
    feature_ids: list[str]
    geometry: list[bytes | None]
    columns: dict[str, list[Any]]
    heights_m: list[bytes | None] | None = None
    source: str = ""

    def __len__(self) -> int:
        return len(self.feature_ids)

    def take(self, rows: Sequence[int]) -> FeatureBatch:
        """Return the batch of the rows with these positions, in that order."""
        return FeatureBatch(
            self.schema,
            [self.feature_ids[i] for i in rows],
            [self.geometry[i] for i in rows],
            {name: [values[i] for i in rows] for name, values in self.columns.items()},
            None if self.heights_m is None else [self.heights_m[i] for i in rows],
            self.source,
        )


@dataclass(frozen=True, slots=True)
class FeatureQuery:
    """What to read of a dataset. Every member narrows; the default reads all that the access admits.

    Attributes
    ----------
    bbox
        ``(min_e, min_n, max_e, max_n)`` in EPSG:25832 metres; features whose bounds touch it.
    polygon
        WKB in EPSG:25832: whole features that touch it.
    equal
        Column name -> the values admitted (``IN``); a name must be a public column or ``feature_id``.
    filter
        CQL2 as its JSON tree (dict) over public columns and ``geometry``; compiled by the engine.
    columns
        Names to read, ``None`` for all public columns; internal columns come only when named here.
    sort
        ``((name, descending), ...)``. The default order is delivery, then row.
    limit, offset
        At most `limit` rows after skipping `offset`.
    after
        Keyset cursor, the opaque text of a batch's end (see the store); excludes `offset`.
    geometry
        Whether geometry (and heights) are read at all.
    """

    bbox: tuple[float, float, float, float] | None = None
    polygon: bytes | None = None
    equal: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    filter: Mapping[str, Any] | None = None
    columns: tuple[str, ...] | None = None
    sort: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None
    offset: int = 0
    after: str | None = None
    geometry: bool = True


def concatenate(batches: Iterable[FeatureBatch]) -> Iterator[FeatureBatch]:
    """Join small batches of one schema and source into batches of up to ``BATCH_ROWS`` rows."""
    held: FeatureBatch | None = None
    for batch in batches:
        if held is not None and held.source == batch.source and len(held) + len(batch) <= BATCH_ROWS:
            held.feature_ids += batch.feature_ids
            held.geometry += batch.geometry
            for name, values in batch.columns.items():
                held.columns[name] += values
            if held.heights_m is not None and batch.heights_m is not None:
                held.heights_m += batch.heights_m
            continue
        if held is not None:
            yield held
        held = batch
    if held is not None:
        yield held
