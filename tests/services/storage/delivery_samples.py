"""Small datasets with known content for the tests of deliveries and views."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import shapely
import sqlalchemy as sa

from geoinfra.access import Access, Role, Visibility
from geoinfra.storage import Store, deliveries, schema
from geoinfra.storage.records import timestamp
from geoinfra.tables import BATCH_ROWS, Column, ColumnType, DatasetSchema, FeatureBatch

ANYBODY = Access.anonymous()
OPERATOR = Access("token:operator", "99999999", frozenset({Role.ADMIN}))

PIPES = DatasetSchema(
    "pipes",
    "Geometry",
    (
        Column("name"),
        Column("kind", indexed=True),
        Column("number", ColumnType.INTEGER, indexed=True),
        Column("diameter_mm", ColumnType.REAL),
        Column("active", ColumnType.BOOLEAN),
        Column("laid", ColumnType.DATE),
        Column("changed", ColumnType.DATETIME),
        Column("properties", ColumnType.JSON),
        Column("picture", ColumnType.BLOB),
        Column("secret", internal=True),
    ),
    has_heights=True,
    visibility=Visibility.OPEN,
)
PROTECTED = replace(PIPES, name="protected-pipes", visibility=Visibility.GRANTED)


def random_pipes(
    count: int, seed: int, *, dataset: DatasetSchema = PIPES, prefix: str = "p", side_m: float = 1000.0
) -> list[FeatureBatch]:
    """Random lines, points and polygons in a square, with some nulls in every column."""
    rng = np.random.default_rng(seed)
    at = rng.random((count, 2)) * side_m + (500_000.0, 6_200_000.0)
    lines = shapely.linestrings(at[:, None, :] + rng.normal(0, side_m / 20, (count, 3, 2)))
    shapes: list[Any] = lines.tolist()
    for row in range(0, count, 7):
        shapes[row] = shapely.Point(at[row])
    for row in range(3, count, 11):
        shapes[row] = shapely.Point(at[row]).buffer(side_m / 40, quad_segs=2)
    for row in range(5, count, 23):
        shapes[row] = None
    for row in range(8, count, 29):
        shapes[row] = shapely.LineString()
    geometry = [None if s is None else shapely.to_wkb(s, byte_order=1) for s in shapes]
    batch = batch_of(
        dataset,
        [f"{prefix}{row}" for row in range(count)],
        geometry,
        name=_some(
            rng, count, ["Ærø", "ærø", "a%b", "a_b", "Østergade 5", "", "'; DROP TABLE x; --", "[x]*?"]
        ),
        kind=_some(rng, count, ["line", "trace", "component"]),
        number=[None if v == 0 else int(v) for v in rng.integers(0, 20, count)],
        diameter_mm=[None if v < 0.1 else float(round(v * 500, 1)) for v in rng.random(count)],
        active=_some(rng, count, [True, False, None]),
        laid=_some(rng, count, ["1987-05-01", "2004-03-15", "2020-12-31", None]),
        changed=_some(rng, count, ["2020-01-01T00:00:00Z", "2020-01-01T00:00:00.500Z", None]),
        properties=_some(rng, count, ['{"a": 1}', None]),
        picture=_some(rng, count, [b"\x00\xff", b"", None]),
        secret=_some(rng, count, ["hush", "hush hush"]),
    )
    return list(pieces(batch))


def _some(rng: np.random.Generator, count: int, choices: Sequence[Any]) -> list[Any]:
    return [choices[index] for index in rng.integers(0, len(choices), count)]


def pieces(batch: FeatureBatch, size: int = BATCH_ROWS) -> Iterator[FeatureBatch]:
    """Cut a batch."""
    for start in range(0, len(batch), size):
        yield batch.take(range(start, min(start + size, len(batch))))


def batch_of(
    dataset: DatasetSchema, ids: Sequence[str], geometry: Sequence[bytes | None], **columns: Sequence[Any]
) -> FeatureBatch:
    """Make a batch; columns that are not named are null."""
    count = len(ids)
    values = {c.name: list(columns.get(c.name, [None] * count)) for c in dataset.columns}
    heights = [None if row % 2 else np.arange(3.0).tobytes() for row in range(count)]
    return FeatureBatch(dataset, list(ids), list(geometry), values, heights if dataset.has_heights else None)


def line(*coordinates: tuple[float, float]) -> bytes:
    """WKB of a line whose coordinates count from (500000, 6200000)."""
    return shapely.to_wkb(shapely.LineString(np.add(coordinates, (500_000.0, 6_200_000.0))), byte_order=1)


def square(e: float, n: float, side_m: float) -> bytes:
    """WKB of a square whose south-west corner counts from (500000, 6200000)."""
    east, north = 500_000.0 + e, 6_200_000.0 + n
    return shapely.to_wkb(shapely.box(east, north, east + side_m, north + side_m), byte_order=1)


def publish(
    store: Store, batches: Sequence[FeatureBatch], source: str, access: Access = OPERATOR
) -> deliveries.StagedDelivery:
    """Stage and publish."""
    staged = store.stage(batches[0].schema, source, batches)
    with store.begin() as tx:
        deliveries.publish(tx, staged, access)
        tx.commit()
    return staged


def grant(
    store: Store,
    delivery: deliveries.StagedDelivery,
    polygon: bytes,
    *,
    to: str,
    enquiry: str,
    from_days: float = -1,
    to_days: float = 30,
) -> None:
    """Write what the answer to an enquiry writes."""
    moment = datetime.now(UTC)
    start, end = (timestamp(moment + timedelta(days=days)) for days in (from_days, to_days))
    organisation = {"cvr": to, "name": to, "contact": "{}", "created_at": start}
    filed = {
        "number": enquiry,
        "organisation": to,
        "principal": "token:x",
        "filed_at": start,
        "polygon": polygon,
        "area_m2": 1.0,
        "period_from": start[:10],
        "period_to": end[:10],
        "methods": "[]",
        "contact": json.dumps({}),
        "formats": "[]",
        "valid_to": end,
    }
    with store.begin() as tx:
        known = sa.select(sa.func.count()).select_from(schema.organisations)
        if not tx.connection.scalar(known.where(schema.organisations.c.cvr == to)):
            tx.execute(sa.insert(schema.organisations).values(**organisation))
        known = sa.select(sa.func.count()).select_from(schema.enquiries)
        if not tx.connection.scalar(known.where(schema.enquiries.c.number == enquiry)):
            tx.execute(sa.insert(schema.enquiries).values(**filed))
        tx.execute(
            sa.insert(schema.grants).values(
                enquiry=enquiry,
                organisation=to,
                dataset=delivery.schema.name,
                source=delivery.source,
                delivery_id=delivery.delivery_id,
                polygon=polygon,
                valid_from=start,
                valid_to=end,
            )
        )
        tx.commit()


def ids(batches: Iterable[FeatureBatch]) -> list[str]:
    """Identifiers in order."""
    return [name for batch in batches for name in batch.feature_ids]
