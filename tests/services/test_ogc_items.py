"""Parameters of items that the engine does not know: identifiers, times; what cannot be meant is refused."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import shapely
from fastapi.testclient import TestClient
from small_store import EAST, NORTH, WHO, as_who, make_app, make_store

from geoinfra.access import Visibility
from geoinfra.storage import Store
from geoinfra.storage.collections import add_collection
from geoinfra.storage.deliveries import publish
from geoinfra.tables import Column, DatasetSchema, FeatureBatch

pytestmark = pytest.mark.services

EPSG = "http://www.opengis.net/def/crs/EPSG/0/"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    made = make_store(tmp_path_factory.mktemp("items"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(store: Store) -> Iterator[TestClient]:
    with TestClient(make_app(store, "http://testserver")) as made:
        yield made


@pytest.mark.parametrize(
    ("who", "number"),
    [("owner-a", 27), ("digger", 5), ("other-digger", 0), ("planner", None), ("anonymous", None)],
)
def test_granted_rows_are_counted_and_noted_for_those_who_may_see_them(
    client: TestClient, store: Store, who: str, number: int | None
) -> None:
    answer = client.get("/ogc/collections/utility-lines/items", headers=as_who(who))
    if number is None:
        assert answer.status_code == 404
        return
    assert answer.headers["cache-control"] == "private, no-store"
    assert "etag" not in answer.headers
    document = answer.json()
    assert (document["numberMatched"], len(document["features"])) == (number, number)
    entry = store.audit.tail(1)[0]
    assert (entry.action, entry.subject, entry.principal) == (
        "features.read",
        "utility-lines",
        WHO[who].principal,
    )


def test_the_identifier_selects_and_sorts_and_is_filtered_by(client: TestClient) -> None:
    path = "/ogc/collections/buildings/items"

    def found(**query: str) -> list[str]:
        answer = client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return [feature["id"] for feature in answer.json()["features"]]

    assert found(id="b.7") == ["b.7"]
    assert found(id="b.7", filter="id = 'b.8'") == []
    assert found(filter="id IN ('b.9', 'b.8')", sortby="-id") == ["b.9", "b.8"]
    everything = [f"b.{row}" for row in range(250)]
    assert found(sortby="id", limit="1000") == sorted(everything)
    assert client.get(f"{path}?f=html&sortby=-id&id=b.7").status_code == 200


@pytest.mark.parametrize(
    "query",
    ["limit=1.5", "limit=%2B1", "limit=1_0", "limit=99999999999999999999", "offset=x",
     "offset=9007199254740993",
     "sortby=", "sortby=name,name", "sortby=--name", "sortby=secret", "properties=", "properties=name,",
     "datetime=2026-13-01", "datetime=20260101", "datetime=2026-01-02/2026-01-01", "datetime=", "datetime=/",
     "datetime=2026-W01-1", "crs=EPSG:25832", "bbox=9,55,11,57&bbox-crs=EPSG:25832", "id=b.1&id=b.2",
     f"bbox=9,55,11,57&bbox-crs={EPSG}7416", f"crs={EPSG}7416", "filter=details IS NULL",
     "filter=secret IS NULL",
     "filter=feature_id IS NULL AND gml IS NULL"],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(client: TestClient, query: str) -> None:
    answer = client.get(f"/ogc/collections/buildings/items?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json"), (
        answer.text
    )


def test_times_select_on_every_column_of_times_and_rows_without_any(client: TestClient) -> None:
    path = "/ogc/collections/buildings/items"
    answer = client.get(path, params={"datetime": "1950-06-01T00:00:00Z", "limit": "1000"}).json()
    assert {feature["properties"]["built"] for feature in answer["features"]} == {"1950-06-01"}
    assert client.get(path, params={"datetime": "1950-06-01T12:00:00+02:00/..", "resulttype": "hits"}).json()[
        "numberMatched"
    ] == sum(row % 100 >= 50 for row in range(250))


def test_heights_come_in_the_crs_that_has_them(client: TestClient, store: Store) -> None:
    pipes = DatasetSchema("pipes", "LineString", (Column("name"),), True, Visibility.OPEN)
    line = shapely.LineString([(EAST, NORTH), (EAST + 10, NORTH)])
    batch = FeatureBatch(
        pipes, ["p.1"], [shapely.to_wkb(line)], {"name": ["x"]}, [np.array([1.5, -2.25]).tobytes()]
    )
    staged = store.stage(pipes, "x", [batch])
    with store.begin() as tx:
        publish(tx, staged, WHO["admin"])
        add_collection(tx, {"id": "pipes", "dataset": "pipes", "visibility": "open"})
        tx.commit()
    assert f"{EPSG}7416" in client.get("/ogc/collections/pipes").json()["crs"]
    path, dvr90 = "/ogc/collections/pipes/items", f"{EPSG}7416"
    box = f"{EAST},{NORTH},-5,{EAST + 1},{NORTH + 1},5"
    for query in ({}, {"bbox": box, "bbox-crs": dvr90}, {"filter": f"S_INTERSECTS(geometry, BBOX({box}))"}):
        answer = client.get(path, params={"crs": dvr90, "filter-crs": dvr90, "filter": "true", **query})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-crs"] == f"<{dvr90}>"
        (feature,) = answer.json()["features"]
        assert feature["geometry"]["coordinates"] == [[EAST, NORTH, 1.5], [EAST + 10, NORTH, -2.25]]
    assert client.get(f"{path}/p.1", params={"crs": dvr90}).json()["geometry"] == feature["geometry"]
    flat = client.get(f"{path}/p.1", params={"crs": f"{EPSG}25832"}).json()["geometry"]
    assert flat["coordinates"] == [[EAST, NORTH], [EAST + 10, NORTH]]
