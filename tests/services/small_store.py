"""A small store by hand: two open layers, two owners' utilities, one grant; and an application over it.

Everything lies around 600000 E, 6080000 N. Owner A has 30 lines, owner B has 20; the excavator holds a grant
in a square that five lines of owner A touch.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import shapely
import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI
from starlette.requests import Request

import services.errors
import services.http
import services.ogc
import services.tiles
from geoinfra.access import Access, Role, Visibility
from geoinfra.errors import NotAuthenticated
from geoinfra.storage import Store, open_store, schema
from geoinfra.storage.deliveries import publish
from geoinfra.storage.records import now, timestamp
from geoinfra.tables import BATCH_ROWS, Column, ColumnType, DatasetSchema, FeatureBatch

type StoreMaker = Callable[[], Store]
"""Makes an empty store on the engine that a test runs on."""

EAST, NORTH = 600_000.0, 6_080_000.0
OWNER_A, OWNER_B, DIGGER, OTHER_DIGGER = "10000001", "10000002", "10000009", "10000008"
GRANTED_LINES = 5

ADMIN = Access("token:admin", "10000000", frozenset({Role.ADMIN}))
WHO = {
    "anonymous": Access.anonymous(),
    "owner-a": Access("token:a", OWNER_A, frozenset({Role.OWNER})),
    "owner-b": Access("token:b", OWNER_B, frozenset({Role.OWNER})),
    "digger": Access("token:d", DIGGER, frozenset({Role.EXCAVATOR})),
    "other-digger": Access("token:o", OTHER_DIGGER, frozenset({Role.EXCAVATOR})),
    "admin": ADMIN,
    "planner": Access("token:p", "10000007", frozenset({Role.PLANNER})),
}

BUILDINGS = DatasetSchema(
    "buildings",
    "Polygon",
    (
        Column("name", indexed=True, title="Name"),
        Column("floors", ColumnType.INTEGER, indexed=True),
        Column("height_m", ColumnType.REAL),
        Column("listed", ColumnType.BOOLEAN),
        Column("built", ColumnType.DATE),
        Column("details", ColumnType.JSON),
        Column("secret", internal=True),
    ),
    visibility=Visibility.OPEN,
)
STREETS = DatasetSchema(
    "streets",
    "LineString",
    (Column("name"), Column("lanes", ColumnType.INTEGER)),
    visibility=Visibility.OPEN,
)
UTILITIES = DatasetSchema(
    "utility-features",
    "Geometry",
    (
        Column("kind", indexed=True),
        Column("supply"),
        Column("owner_cvr"),
        Column("voltage_kv", ColumnType.REAL),
        Column("properties", ColumnType.JSON),
        Column("gml", ColumnType.BLOB, internal=True),
    ),
    visibility=Visibility.GRANTED,
)
BUILDING_COUNT = 250


def building_shape(row: int) -> shapely.Polygon:
    east, north = EAST + 20 * (row % 25), NORTH + 20 * (row // 25)
    outline = [(east, north), (east + 10, north), (east + 10, north + 10), (east, north + 10)]
    hole = [(east + 3, north + 3), (east + 6, north + 3), (east + 6, north + 6)]
    return shapely.Polygon(outline, [hole] if row % 2 else [])


def _buildings() -> FeatureBatch:
    rows = range(BUILDING_COUNT)
    return FeatureBatch(
        BUILDINGS,
        [f"b.{row}" for row in rows],
        [None if row == 249 else shapely.to_wkb(building_shape(row)) for row in rows],
        {
            "name": [f"Hus <{row}> \"æøå\" & 'co'" for row in rows],
            "floors": [row % 5 for row in rows],
            "height_m": [row / 4 if row % 10 else None for row in rows],
            "listed": [row % 3 == 0 for row in rows],
            "built": [f"{1900 + row % 100}-06-01" for row in rows],
            "details": [json.dumps({"row": row, "tags": ["a", "<b>"]}) for row in rows],
            "secret": ["hidden-word" for _ in rows],
        },
    )


def _streets() -> FeatureBatch:
    shapes = [
        shapely.LineString([(EAST, NORTH + 30 * n), (EAST + 500, NORTH + 30 * n + 5)]) for n in range(8)
    ]
    return FeatureBatch(
        STREETS,
        [f"s.{n}" for n in range(8)],
        [shapely.to_wkb(shape) for shape in shapes],
        {"name": [f"Vej {n}" for n in range(8)], "lanes": [2] * 8},
    )


def utility_shape(row: int) -> shapely.LineString:
    return shapely.LineString([(EAST + 10 * row, NORTH), (EAST + 10 * row, NORTH + 100)])


def _utilities(cvr: str, count: int) -> FeatureBatch:
    rows = range(count)
    return FeatureBatch(
        UTILITIES,
        [f"{cvr}.el.{row}" for row in rows],
        [shapely.to_wkb(utility_shape(row)) for row in rows],
        {
            "kind": ["component" if row % 10 == 9 else "line" for row in rows],
            "supply": ["electricity" if cvr == OWNER_A else "water"] * count,
            "owner_cvr": [cvr] * count,
            "voltage_kv": [10.5] * count,
            "properties": [json.dumps({"driftsstatus": "i drift", "spaending": {"value": 10, "uom": "kV"}})]
            * count,
            "gml": [b"<gml/>"] * count,
        },
    )


def _published(store: Store, batch: FeatureBatch, source: str) -> str:
    chunks = [
        batch.take(range(start, min(start + BATCH_ROWS, len(batch))))
        for start in range(0, len(batch), BATCH_ROWS)
    ]
    staged = store.stage(batch.schema, source, chunks)
    with store.begin() as tx:
        publish(tx, staged, ADMIN)
        tx.commit()
    return staged.delivery_id


def _grant(store: Store, delivery_id: str) -> None:
    moment = datetime.now(UTC)
    polygon = shapely.box(EAST - 5, NORTH + 40, EAST + 10 * (GRANTED_LINES - 1) + 5, NORTH + 60)
    with store.begin() as tx:
        for cvr, name in ((OWNER_A, "A"), (OWNER_B, "B"), (DIGGER, "Digger"), (OTHER_DIGGER, "Other")):
            tx.execute(
                sa.insert(schema.organisations).values(cvr=cvr, name=name, contact="{}", created_at=now())
            )
        tx.execute(
            sa.insert(schema.enquiries).values(
                number="2000-000001", organisation=DIGGER, principal="token:d",
                filed_at=now(), polygon=shapely.to_wkb(polygon), area_m2=1.0, period_from="2026-01-01",
                period_to="2099-01-01", methods="[]", contact="{}", formats="[]",
                valid_to=timestamp(moment + timedelta(days=1)),
            )
        )  # fmt: skip
        tx.execute(
            sa.insert(schema.grants).values(
                enquiry="2000-000001", organisation=DIGGER, dataset="utility-features", source=OWNER_A,
                delivery_id=delivery_id, polygon=shapely.to_wkb(polygon),
                valid_from=timestamp(moment - timedelta(days=1)),
                valid_to=timestamp(moment + timedelta(days=1)),
            )
        )  # fmt: skip
        tx.commit()


def make_store(folder: Path, url: str | None = None) -> Store:
    """Make the store, in PostgreSQL where an address is given; the caller closes it."""
    store = open_store(folder, url)
    _published(store, _buildings(), "town")
    _published(store, _streets(), "town")
    delivery = _published(store, _utilities(OWNER_A, 30), OWNER_A)
    _published(store, _utilities(OWNER_B, 20), OWNER_B)
    _grant(store, delivery)
    return store


def access_of(request: Request) -> Access:
    """Who a request says it is: ``Authorization: Bearer <key of WHO>``."""
    secret = request.headers.get("authorization", "Bearer anonymous").removeprefix("Bearer ")
    if secret not in WHO:
        raise NotAuthenticated("The token is not valid.")
    return WHO[secret]


def make_app(store: Store, public_url: str) -> FastAPI:
    """Make an application with the OGC and tile faces only."""
    app = FastAPI()
    services.errors.install(app)
    services.http.install(app, services.http.HttpRules())
    services.ogc.mount(app, store, public_url=public_url, access_of=access_of)
    services.tiles.mount(app, store, access_of=access_of)
    return app


@contextmanager
def serving(store: Store) -> Iterator[str]:
    """Run the application on a free port of the loopback address; gives its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(make_app(store, url), log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield url
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def small_service(folder: Path) -> Iterator[tuple[Store, str]]:
    """Make the store and serve it; gives both."""
    store = make_store(folder)
    try:
        with serving(store) as url:
            yield store, url
    finally:
        store.close()


def as_who(name: str) -> dict[str, str]:
    """Headers of a principal."""
    return {} if name == "anonymous" else {"Authorization": f"Bearer {name}"}
