"""OGC Features and Geometries JSON 1.0 (21-045r1): GeoJSON with time, CRS and feature type.

A geometry in CRS84 stands in ``geometry``, in every other CRS in ``place`` with ``coordRefSys`` beside it.
The time of a feature is its first date or time column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from geoinfra import crs
from geoinfra.tables import Column, ColumnType, DatasetSchema, FeatureBatch, FeatureQuery
from services.ogc.geojson import features

if TYPE_CHECKING:
    from services.ogc.call import Page

__all__ = ["CONFORMANCE_JSON_FG", "jsonfg_feature", "jsonfg_pieces", "read_columns"]

CONFORMANCE_JSON_FG: Final = (
    "http://www.opengis.net/spec/json-fg-1/1.0/conf/core",
    "http://www.opengis.net/spec/json-fg-1/1.0/conf/types-schemas",
)


def read_columns(schema: DatasetSchema, query: FeatureQuery) -> tuple[str, ...] | None:
    """Return the columns to read: those that are wanted, and the one that tells the time."""
    column = _time_column(schema)
    if query.columns is None or column is None or column.name in query.columns:
        return query.columns
    return (*query.columns, column.name)


def jsonfg_pieces(
    batches: Iterable[FeatureBatch],
    page: Page,
    *,
    feature_type: str,
    schema_url: str,
    links: Sequence[dict[str, str]],
) -> Iterator[bytes]:
    """Yield a feature collection piece by piece."""
    root = {"type": "FeatureCollection", **_root(page, feature_type, schema_url), "links": links}
    yield orjson.dumps(root)[:-1] + b',"features":['
    count = 0
    for batch in batches:
        written = [orjson.dumps(feature) for feature in _features(batch, page)]
        if written:
            yield (b"," if count else b"") + b",".join(written)
        count += len(written)
    moment = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    yield b'],"numberReturned":%d,"timeStamp":"%s"}' % (count, moment.encode())


def jsonfg_feature(
    batches: Iterable[FeatureBatch],
    page: Page,
    *,
    feature_type: str,
    schema_url: str,
    links: Sequence[dict[str, str]],
) -> Iterator[bytes]:
    """Yield one feature as a document."""
    for batch in batches:
        for feature in _features(batch, page):
            yield orjson.dumps({**feature, **_root(page, feature_type, schema_url), "links": links})


def _root(page: Page, feature_type: str, schema_url: str) -> dict[str, Any]:
    members: dict[str, Any] = {
        "conformsTo": CONFORMANCE_JSON_FG,
        "featureType": feature_type,
        "featureSchema": schema_url,
    }
    if page.crs != "OGC:CRS84":
        members["coordRefSys"] = crs.uri(page.crs)
    return members


def _features(batch: FeatureBatch, page: Page) -> Iterator[dict[str, Any]]:
    query, column = page.query, _time_column(batch.schema)
    times = _times(batch, column)
    is_extra = column is not None and query.columns is not None and column.name not in query.columns
    in_place = page.crs != "OGC:CRS84"
    for feature, time in zip(
        features(batch, page.crs, geometry=query.geometry, encoded=True), times, strict=True
    ):
        if column is not None and is_extra:
            del feature["properties"][column.name]
        feature["time"] = time
        feature["place"] = feature["geometry"] if in_place else None
        if in_place:
            feature["geometry"] = None
        yield feature


def _times(batch: FeatureBatch, column: Column | None) -> list[dict[str, str] | None]:
    if column is None:
        return [None] * len(batch)
    member = "date" if column.type is ColumnType.DATE else "timestamp"
    return [None if value is None else {member: value} for value in batch.columns[column.name]]


def _time_column(schema: DatasetSchema) -> Column | None:
    times = (c for c in schema.public_columns if c.type in (ColumnType.DATE, ColumnType.DATETIME))
    return next(times, None)
