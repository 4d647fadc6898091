"""Tiles over HTTP: the features of the store, caching, and addresses that do not exist."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import mapbox_vector_tile
import numpy as np
import pyproj
import pytest
import shapely
from shapely.geometry import shape
from small_store import EAST, NORTH, building_shape, small_service

from geoinfra.access import Access, Visibility
from geoinfra.storage import Store
from geoinfra.storage.deliveries import publish
from geoinfra.tables import DatasetSchema, FeatureBatch
from services.tiles.mvt import BUFFER, EXTENT, tile_bounds
from services.tiles.service import MOST_FEATURES

pytestmark = pytest.mark.services

MEDIA_TYPE = "application/vnd.mapbox-vector-tile"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, str]]:
    with small_service(tmp_path_factory.mktemp("store")) as made:
        yield made


@pytest.fixture(scope="module")
def client(service: tuple[Store, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service[1], timeout=60) as made:
        yield made


def tile_at(z: int, easting: float, northing: float) -> tuple[int, int, int]:
    x, y = pyproj.Transformer.from_crs(25832, 3857).transform(easting, northing)
    side = 2 * 20037508.342789244 / 2**z
    return z, int((x + 20037508.342789244) // side), int((20037508.342789244 - y) // side)


def in_tile(geometry: shapely.Geometry, z: int, x: int, y: int) -> shapely.Geometry:
    """The oracle: coordinate by coordinate, clipped by shapely's exact intersection."""
    mover = pyproj.Transformer.from_crs(25832, 3857, always_xy=True)
    west, _, east, north = tile_bounds(z, x, y)
    scale = EXTENT / (east - west)

    def move(xy: np.ndarray) -> np.ndarray:
        mercator_x, mercator_y = mover.transform(xy[:, 0], xy[:, 1])
        return np.column_stack([(mercator_x - west) * scale, (north - mercator_y) * scale])

    window = shapely.box(-BUFFER, -BUFFER, EXTENT + BUFFER, EXTENT + BUFFER)
    return shapely.transform(geometry, move).intersection(window)


@pytest.mark.parametrize("z", [14, 15, 16, 17, 19])
def test_a_tile_holds_every_building_that_reaches_it_within_one_unit(client: httpx.Client, z: int) -> None:
    z, x, y = tile_at(z, EAST + 200, NORTH + 100)
    answer = client.get(f"/tiles/buildings/{z}/{x}/{y}.mvt")
    assert (answer.status_code, answer.headers["content-type"]) == (200, MEDIA_TYPE)
    decoded = mapbox_vector_tile.decode(answer.content, default_options={"y_coord_down": True})
    assert list(decoded) == ["buildings"]
    found = {f["properties"]["feature_id"]: f for f in decoded["buildings"]["features"]}
    expected = {f"b.{row}": in_tile(building_shape(row), z, x, y) for row in range(249)}
    assert {name for name, geometry in expected.items() if geometry.area > 20} <= set(found)
    assert {name for name, geometry in expected.items() if not geometry.is_empty} >= set(found)
    for name, feature in found.items():
        geometry = shapely.make_valid(shape(feature["geometry"]))
        assert geometry.symmetric_difference(expected[name]).area <= expected[name].length + 4
    assert found["b.5" if "b.5" in found else next(iter(found))]["properties"].keys() >= {"name", "listed"}
    assert not any("details" in f["properties"] or "secret" in f["properties"] for f in found.values())


def test_below_its_least_zoom_a_collection_is_empty(client: httpx.Client) -> None:
    for z, status in ((12, 204), (13, 200)):
        z, x, y = tile_at(z, EAST + 200, NORTH + 100)
        assert client.get(f"/tiles/buildings/{z}/{x}/{y}.mvt").status_code == status
    assert client.get("/tiles/streets/0/0/0.mvt").status_code == 204


def test_a_tile_without_features_is_empty(client: httpx.Client) -> None:
    assert client.get("/tiles/buildings/15/0/0.mvt").status_code == 204


@pytest.mark.parametrize(
    "path",
    ["buildings/15/-1/0", "buildings/15/32768/0", "buildings/23/0/0", "buildings/0/0/1", "nothing/0/0/0",
     "buildings/1e3/0/0", "buildings/15/0/0.0", "../buildings/15/0/0", "buildings/99999999999/0/0"],
)  # fmt: skip
def test_what_does_not_exist_is_a_404_problem(client: httpx.Client, path: str) -> None:
    answer = client.get(f"/tiles/{path}.mvt")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_an_open_tile_is_kept_by_its_version_and_not_sent_twice(
    client: httpx.Client, service: tuple[Store, str]
) -> None:
    path = "/tiles/streets/{}/{}/{}.mvt".format(*tile_at(15, EAST + 200, NORTH + 100))
    version = service[0].view(Access.anonymous(), "streets").version
    plain = client.get(path)
    assert plain.headers["cache-control"] == "public, max-age=60"
    assert client.get(path, params={"v": version}).headers["cache-control"] == "public, max-age=3600"
    assert client.get(path, params={"v": "older"}).headers["cache-control"] == "public, max-age=60"
    again = client.get(path, headers={"If-None-Match": plain.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_new_delivery_makes_new_tiles(client: httpx.Client, service: tuple[Store, str]) -> None:
    store = service[0]
    schema = DatasetSchema("landuse", "Polygon", (), visibility=Visibility.OPEN)
    path = "/tiles/landuse/{}/{}/{}.mvt".format(*tile_at(15, EAST, NORTH))
    seen = []
    for name in ("first", "second"):
        batch = FeatureBatch(schema, [name], [shapely.to_wkb(building_shape(0))], {})
        staged = store.stage(schema, "town", [batch])
        with store.begin() as tx:
            publish(tx, staged, Access.anonymous())
            tx.commit()
        answer = client.get(path)
        seen.append(answer.headers["etag"])
        features = mapbox_vector_tile.decode(answer.content)["landuse"]["features"]
        assert [f["properties"]["feature_id"] for f in features] == [name]
    assert seen[0] != seen[1]


def test_of_too_many_features_the_largest_stay(client: httpx.Client, service: tuple[Store, str]) -> None:
    store = service[0]
    schema = DatasetSchema("stream", "LineString", (), visibility=Visibility.OPEN)
    count = MOST_FEATURES + 1500
    rng = np.random.default_rng(7)
    starts = np.column_stack([EAST + rng.uniform(0, 200, count), NORTH + rng.uniform(0, 100, count)])
    lengths = rng.permutation(np.linspace(5, 60, count))
    shapes = [
        shapely.to_wkb(shapely.LineString([start, start + np.array([length, 0.0])]))
        for start, length in zip(starts, lengths, strict=True)
    ]
    names = [f"l.{row}" for row in range(count)]
    batches = [
        FeatureBatch(schema, names[k : k + 2000], list(shapes[k : k + 2000]), {})
        for k in range(0, count, 2000)
    ]
    staged = store.stage(schema, "town", batches)
    with store.begin() as tx:
        publish(tx, staged, Access.anonymous())
        tx.commit()
    z, x, y = tile_at(14, EAST + 100, NORTH + 50)
    content = client.get(f"/tiles/stream/{z}/{x}/{y}.mvt").content
    found = {f["properties"]["feature_id"] for f in mapbox_vector_tile.decode(content)["stream"]["features"]}
    assert len(found) == MOST_FEATURES
    kept = lengths[[int(name.split(".")[1]) for name in found]]
    assert kept.min() >= np.sort(lengths)[-MOST_FEATURES] - 0.05
