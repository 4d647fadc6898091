"""Tiles that PostGIS cuts hold what our own encoder gives of the same rows, for every principal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import mapbox_vector_tile
import numpy as np
import pytest
import shapely
from shapely.geometry import shape
from small_store import EAST, NORTH, WHO, make_store

from geoinfra.access import Access, Visibility
from geoinfra.storage import Store
from geoinfra.storage.collections import Collection
from geoinfra.storage.deliveries import publish
from geoinfra.tables import Column, ColumnType, DatasetSchema, FeatureBatch
from services.ogc.tile_matrix import DANISH, MATRIX_SETS, TileMatrixSet
from services.tiles import content
from services.tiles.content import Square, make_tile
from services.tiles.mvt import numeric_id

pytestmark = [pytest.mark.services, pytest.mark.postgres]

ALIASES = ("c", "d", "f", "r", "tile")
"""Names that a statement could confuse with its own."""

MIXED = DatasetSchema(
    "mixed",
    "Geometry",
    (
        Column("name"),
        Column("count", ColumnType.INTEGER),
        Column("share", ColumnType.REAL),
        Column("yes", ColumnType.BOOLEAN),
        Column("day", ColumnType.DATE),
        *(Column(name, ColumnType.INTEGER) for name in ALIASES),
        Column("hidden", internal=True),
    ),
    visibility=Visibility.OPEN,
)
INNER = shapely.box(-62, -62, 4158, 4158)
"""The buffered tile without its edge, along which slanting cuts slide."""
NEWER = replace(MIXED, columns=(*MIXED.columns, Column("added", ColumnType.INTEGER)))


def mixed_batch(schema: DatasetSchema, source: str, count: int, seed: int) -> FeatureBatch:
    rng = np.random.default_rng(seed)
    shapes: list[Any] = []
    for _ in range(count):
        start = np.array([EAST, NORTH]) + rng.uniform(-1200, 1200, 2)
        walk = start + np.cumsum(rng.normal(0, 40, (int(rng.integers(2, 9)), 2)), axis=0)
        match rng.integers(0, 5):
            case 0:
                made: Any = shapely.Point(start)
            case 1:
                made = shapely.LineString(walk)
            case 2:
                made = shapely.MultiLineString(list(pairwise(walk)))
            case 3:
                made = shapely.Point(start).buffer(rng.uniform(5, 300), quad_segs=3)
            case _:
                ring = shapely.Point(start).buffer(rng.uniform(40, 90), quad_segs=4)
                made = ring.difference(shapely.Point(start).buffer(20, quad_segs=2))
        shapes.append(made)
    columns: dict[str, list[Any]] = {
        "name": [None if row % 7 == 0 else f"navn {row % 11} æ<>&'" for row in range(count)],
        "count": [int(n) for n in rng.integers(-(2**40), 2**40, count)],
        "share": [None if row % 5 == 0 else row / 8 for row in range(count)],
        "yes": [row % 2 == 0 for row in range(count)],
        "day": [f"2026-01-{1 + row % 28:02}" for row in range(count)],
        "hidden": ["secret"] * count,
        **{name: [row % 3 for row in range(count)] for name in ALIASES},
    }
    if schema is NEWER:
        columns["added"] = list(range(count))
    names = [f"{source}.{row}" for row in range(count)]
    return FeatureBatch(schema, names, [shapely.to_wkb(one) for one in shapes], columns)


def add_mixed(store: Store) -> None:
    for number, (schema, source) in enumerate(((MIXED, "one"), (NEWER, "two"))):
        staged = store.stage(schema, source, [mixed_batch(schema, source, 400, number)])
        with store.begin() as tx:
            publish(tx, staged, WHO["admin"])
            tx.commit()


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[tuple[Store, Store]]:
    made = make_store(tmp_path_factory.mktemp("own")), make_store(tmp_path_factory.mktemp("pg"), postgres_url)
    for store in made:
        add_mixed(store)
    yield made
    for store in made:
        store.close()


def square_at(matrices: TileMatrixSet, level: int, easting: float, northing: float) -> Square:
    limits = matrices.limits(level, (easting, northing, easting + 0.01, northing + 0.01))
    bounds = matrices.bounds(level, limits.first_row, limits.first_column)
    return Square(matrices.crs_name, bounds, matrices.web_zoom(level))


def collection_of(dataset: str) -> Collection:
    text = {"da": "", "en": ""}
    return Collection(dataset, dataset, text, text, Visibility.GRANTED)


def decoded(store: Store, access: Access, dataset: str, square: Square) -> dict[str, Any]:
    tile = make_tile(collection_of(dataset), store.view(access, dataset), square)
    if not tile:
        return {}
    layer = mapbox_vector_tile.decode(tile, default_options={"y_coord_down": True})[dataset]
    assert (layer["version"], layer["extent"]) == (2, 4096)
    features = {feature["properties"]["feature_id"]: feature for feature in layer["features"]}
    assert len(features) == len(layer["features"])
    assert all(feature["id"] == numeric_id(name) for name, feature in features.items())
    return features


def too_small(feature: dict[str, Any]) -> bool:
    """Whether an encoder may drop it: it is no larger than a unit or two, or a sliver at the tile's edge."""
    geometry = shapely.make_valid(shape(feature["geometry"]))
    west, south, east, north = geometry.bounds
    return bool(
        geometry.area <= 2 * geometry.length + 4 if geometry.area else east - west + north - south <= 4
    )


@pytest.mark.parametrize("matrices", list(MATRIX_SETS.values()), ids=list(MATRIX_SETS))
@pytest.mark.parametrize("zoom", [9, 12, 14, 16])
def test_both_engines_cut_the_same_tile(
    stores: tuple[Store, Store], matrices: TileMatrixSet, zoom: int
) -> None:
    level = next(level for level in range(matrices.levels) if matrices.web_zoom(level) >= zoom)
    square = square_at(matrices, level, EAST + 150, NORTH + 80)
    own, cut = (decoded(store, Access.anonymous(), "mixed", square) for store in stores)
    assert len(own) > 20
    lone = [(own | cut)[name] for name in own.keys() ^ cut.keys()]
    assert all(map(too_small, lone))
    off = 1.5 + (2 * content._TOLERANCE if zoom < content._SIMPLIFIED_BELOW else 0.0)
    for name in own.keys() & cut.keys():
        assert own[name]["properties"] == cut[name]["properties"]
        assert {k: type(v) for k, v in own[name]["properties"].items()} == {
            k: type(v) for k, v in cut[name]["properties"].items()
        }
        one, other = (shapely.make_valid(shape(found[name]["geometry"])) for found in (own, cut))
        assert one.buffer(off).covers(other & INNER) or too_small(cut[name])
        assert other.buffer(off).covers(one & INNER) or too_small(own[name])
    if zoom < 14:
        return
    names = {name.split(".")[0] for name in own}
    assert names == {"one", "two"}
    assert all(("added" in feature["properties"]) == name.startswith("two") for name, feature in cut.items())
    assert not any("hidden" in feature["properties"] for feature in cut.values())


@pytest.mark.parametrize("who", list(WHO))
def test_the_database_shows_each_principal_no_more_than_the_rows_do(
    stores: tuple[Store, Store], who: str
) -> None:
    square = square_at(DANISH, 7, EAST + 100, NORTH + 50)
    own, cut = (decoded(store, WHO[who], "utility-features", square) for store in stores)
    assert own.keys() == cut.keys()
    counts = {"digger": 5, "owner-a": 30, "owner-b": 20}
    assert len(cut) == counts.get(who, 0)
    for name, feature in cut.items():
        assert feature["properties"] == own[name]["properties"]
        assert "gml" not in feature["properties"]
        assert "properties" not in feature["properties"]


def test_of_too_many_features_the_same_stay(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "MOST_FEATURES", 60)
    square = square_at(DANISH, 7, EAST, NORTH)
    own, cut = (decoded(store, Access.anonymous(), "mixed", square) for store in stores)
    assert own.keys() == cut.keys()
    assert len(cut) == 60


def test_far_away_there_is_nothing(stores: tuple[Store, Store]) -> None:
    for matrices in MATRIX_SETS.values():
        square = Square(matrices.crs_name, matrices.bounds(4, 0, 0), matrices.web_zoom(4))
        assert [decoded(store, Access.anonymous(), "mixed", square) for store in stores] == [{}, {}]
