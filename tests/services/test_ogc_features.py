"""OGC API Features: answers equal what shapely and Python say about the same rows."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Iterator
from datetime import date

import httpx
import numpy as np
import pyproj
import pytest
import shapely
from shapely.geometry import shape
from small_store import BUILDING_COUNT, BUILDINGS, EAST, NORTH, building_shape, small_service

from geoinfra.access import Access, Visibility
from geoinfra.storage.deliveries import publish
from geoinfra.tables import DatasetSchema, FeatureBatch

pytestmark = pytest.mark.services

EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
ITEMS = "/ogc/collections/buildings/items"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[object, str]]:
    with small_service(tmp_path_factory.mktemp("store")) as made:
        yield made


@pytest.fixture(scope="module")
def client(service: tuple[object, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service[1], timeout=60) as made:
        yield made


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [feature["id"] for feature in answer.json()["features"]]


def link(document: dict, rel: str) -> str | None:
    return next((entry["href"] for entry in document["links"] if entry["rel"] == rel), None)


def name(row: int) -> str:
    return f"Hus <{row}> \"æøå\" & 'co'"


def test_attributes_arrive_untouched_and_internal_columns_never(client: httpx.Client) -> None:
    answer = client.get(f"{ITEMS}/b.7")
    assert answer.headers["content-type"] == "application/geo+json"
    assert "x-powered-by" not in answer.headers
    assert answer.json()["properties"] == {
        "name": name(7),
        "floors": 2,
        "height_m": 1.75,
        "listed": False,
        "built": "1907-06-01",
        "details": {"row": 7, "tags": ["a", "<b>"]},
    }
    assert "hidden-word" not in client.get(ITEMS, params={"limit": 1000}).text


@pytest.mark.parametrize("code", [None, 25832, 25833, 4258, 4326, 3857, 4093, 4094, 4095, 4096])
def test_geometry_equals_proj_in_every_crs_and_its_axis_order(client: httpx.Client, code: int | None) -> None:
    uri = f"{EPSG}{code}" if code else CRS84
    answer = client.get(f"{ITEMS}/b.3", params={"crs": uri} if code else {})
    assert answer.headers["content-crs"] == f"<{uri}>"
    found = shapely.get_coordinates(shape(answer.json()["geometry"]))
    # authority order, as OGC API Features part 2 wants: latitude first for 4326 and 4258
    mover = pyproj.Transformer.from_crs(25832, code or "OGC:CRS84")
    expected = np.column_stack(mover.transform(*shapely.get_coordinates(building_shape(3)).T))
    assert np.allclose(found, expected, rtol=0, atol=1e-8 if code in (None, 4258, 4326) else 0.001)


@pytest.mark.parametrize("code", [None, 25832, 4326, 3857, 25833, 4094])
def test_bbox_selects_exactly_the_features_that_touch_it(client: httpx.Client, code: int | None) -> None:
    mover = pyproj.Transformer.from_crs(25832, code or "OGC:CRS84")
    corner = (
        np.array(mover.transform(EAST + 15, NORTH + 25)),
        np.array(mover.transform(EAST + 90, NORTH + 65)),
    )
    low, high = np.minimum(*corner), np.maximum(*corner)
    parameters = {"bbox": ",".join(map(repr, [*low.tolist(), *high.tolist()])), "limit": "1000"}
    if code:
        parameters["bbox-crs"] = f"{EPSG}{code}"
    answer = client.get(ITEMS, params=parameters)
    back = pyproj.Transformer.from_crs(code or "OGC:CRS84", 25832)
    edge = shapely.segmentize(shapely.box(*low, *high), max(high - low) / 16)
    area = shapely.transform(edge, lambda xy: np.column_stack(back.transform(xy[:, 0], xy[:, 1])))
    expected = [f"b.{row}" for row in range(249) if building_shape(row).intersects(area)]
    assert ids(answer) == expected
    assert answer.json()["numberMatched"] == len(expected)


@pytest.mark.parametrize("bbox", ["-180,-90,180,90", "-180,-90,-90,180,90,9000", "0,50,20,60"])
def test_a_world_wide_bbox_matches_everything_with_a_geometry(client: httpx.Client, bbox: str) -> None:
    answer = client.get(ITEMS, params={"bbox": bbox, "resulttype": "hits"})
    assert answer.json()["numberMatched"] == BUILDING_COUNT - 1


def test_a_bbox_elsewhere_matches_nothing(client: httpx.Client) -> None:
    document = client.get(ITEMS, params={"bbox": "-70,-40,-69,-39"}).json()
    assert (document["features"], document["numberMatched"], document["numberReturned"]) == ([], 0, 0)


@pytest.mark.parametrize(
    ("sortby", "limit"),
    [(None, 7), *((sort, n) for sort in (None, "-name", "floors,-built") for n in (40, 50, 249, 250, 251))],
)
def test_following_next_links_gives_every_feature_once(
    client: httpx.Client, limit: int, sortby: str | None
) -> None:
    url: str | None = (
        f"{ITEMS}?{urllib.parse.urlencode({'limit': limit, **({'sortby': sortby} if sortby else {})})}"
    )
    seen: list[str] = []
    rows: list[dict] = []
    while url is not None and len(seen) <= BUILDING_COUNT:
        document = client.get(url).json()
        seen += [feature["id"] for feature in document["features"]]
        rows += [feature["properties"] for feature in document["features"]]
        assert document["numberMatched"] == BUILDING_COUNT
        url = link(document, "next")
    assert sorted(seen) == sorted(f"b.{row}" for row in range(BUILDING_COUNT))
    if sortby == "-name":
        assert [row["name"] for row in rows] == sorted((row["name"] for row in rows), reverse=True)
    if sortby == "floors,-built":
        keys = [(row["floors"], -date.fromisoformat(row["built"]).toordinal()) for row in rows]
        assert keys == sorted(keys)


def test_offset_pages_as_it_always_did(client: httpx.Client) -> None:
    assert ids(client.get(ITEMS, params={"limit": 3, "offset": 10})) == ["b.10", "b.11", "b.12"]


def test_next_links_keep_the_filter_and_the_crs(client: httpx.Client) -> None:
    wanted = {"filter": "floors = 1", "crs": f"{EPSG}25832", "limit": "20", "properties": "name"}
    first = client.get(ITEMS, params=wanted)
    second = client.get(str(link(first.json(), "next")))
    assert ids(first) + ids(second) == [f"b.{row}" for row in range(1, 200, 5)]
    assert second.headers["content-crs"] == f"<{EPSG}25832>"
    assert set(second.json()["features"][0]["properties"]) == {"name"}


def test_hits_count_without_features_and_without_a_next_page(client: httpx.Client) -> None:
    document = client.get(ITEMS, params={"resulttype": "hits", "floors": "2"}).json()
    assert document["numberMatched"] == BUILDING_COUNT // 5
    assert document["features"] == []
    assert link(document, "next") is None


def test_selected_attributes_and_no_geometry(client: httpx.Client) -> None:
    feature = client.get(
        ITEMS, params={"properties": "floors,listed", "skipGeometry": "true", "limit": 1}
    ).json()
    assert feature["features"][0]["geometry"] is None
    assert feature["features"][0]["properties"] == {"floors": 0, "listed": True}


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"floors": "3"}, lambda row: row % 5 == 3),
        ({"listed": "true"}, lambda row: row % 3 == 0),
        ({"height_m": "1.75"}, lambda row: row == 7),
        ({"name": name(11)}, lambda row: row == 11),
        ({"floors": "3", "listed": "false"}, lambda row: row % 5 == 3 and row % 3 != 0),
        ({"datetime": "1950-06-01"}, lambda row: row % 100 == 50),
        ({"datetime": "1990-01-01/.."}, lambda row: row % 100 >= 90),
        ({"datetime": "../1902-12-31"}, lambda row: row % 100 <= 2),
        ({"datetime": "1950-06-01T00:00:00Z/1951-07-01T00:00:00Z"}, lambda row: row % 100 in (50, 51)),
    ],
)
def test_simple_parameters_select_what_python_selects(
    client: httpx.Client, parameters: dict, expected
) -> None:
    answer = client.get(ITEMS, params={**parameters, "limit": "1000"})
    assert ids(answer) == [f"b.{row}" for row in range(BUILDING_COUNT) if expected(row)]


def test_datetime_on_a_collection_without_time_matches_all(client: httpx.Client) -> None:
    assert len(ids(client.get("/ogc/collections/streets/items", params={"datetime": "1950-06-01"}))) == 8


_SQUARE = shapely.box(EAST + 15, NORTH + 15, EAST + 95, NORTH + 55)
_DEGREES = shapely.transform(
    shapely.segmentize(_SQUARE, 5),
    lambda xy: np.column_stack(pyproj.Transformer.from_crs(25832, "OGC:CRS84").transform(xy[:, 0], xy[:, 1])),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("floors = 1 AND NOT (name LIKE 'Hus <1%')", lambda r: r % 5 == 1 and not str(r).startswith("1")),
        ("height_m IS NULL", lambda r: r % 10 == 0),
        ("height_m IS NOT NULL AND height_m < 1", lambda r: r % 10 != 0 and r / 4 < 1),
        ("name NOT LIKE '%æøå%'", lambda r: False),
        ("floors IN (0, 4)", lambda r: r % 5 in (0, 4)),
        ("floors NOT IN (0, 4)", lambda r: r % 5 not in (0, 4)),
        ("height_m BETWEEN 2 AND 3", lambda r: r % 10 != 0 and 2 <= r / 4 <= 3),
        ("CASEI(name) LIKE CASEI('HUS <7>%ÆØÅ%')", lambda r: r == 7),
        ("built > DATE('1997-01-01')", lambda r: r % 100 >= 97),
        ("T_BEFORE(built, DATE('1902-01-01'))", lambda r: r % 100 < 2),
        ("listed = TRUE OR floors > 3", lambda r: r % 3 == 0 or r % 5 > 3),
        ("name = 'x'' OR 1=1 --'", lambda r: False),
        (
            f"S_INTERSECTS(geometry, {_DEGREES.wkt})",
            lambda r: r != 249 and building_shape(r).intersects(_SQUARE),
        ),
        (f"S_WITHIN(geometry, {_DEGREES.wkt})", lambda r: r != 249 and building_shape(r).within(_SQUARE)),
        ("S_INTERSECTS(geometry, BBOX(10, 54, 11, 55))", lambda r: r != 249),
    ],
)
def test_cql2_text_selects_what_python_selects(client: httpx.Client, text: str, expected) -> None:
    wanted = [f"b.{row}" for row in range(BUILDING_COUNT) if expected(row)]
    assert (
        ids(client.get(ITEMS, params={"filter": text, "filter-lang": "cql2-text", "limit": "1000"})) == wanted
    )


def test_cql2_json_and_filter_crs(client: httpx.Client) -> None:
    tree = {"op": "s_intersects", "args": [{"property": "geometry"}, json.loads(shapely.to_geojson(_SQUARE))]}
    parameters = {"filter-lang": "cql2-json", "filter-crs": f"{EPSG}25832", "limit": "1000"}
    found = ids(client.get(ITEMS, params={"filter": json.dumps(tree), **parameters}))
    assert found == [f"b.{row}" for row in range(249) if building_shape(row).intersects(_SQUARE)]
    swapped = shapely.transform(_DEGREES, lambda xy: xy[:, ::-1])
    text = f"S_INTERSECTS(geometry, {swapped.wkt})"
    assert (
        ids(client.get(ITEMS, params={"filter": text, "filter-crs": f"{EPSG}4326", "limit": "1000"})) == found
    )


@pytest.mark.parametrize(
    "query",
    [
        "bogus=1", "limit=0", "limit=-1", "limit=x", "offset=-1", "limit=1&limit=2", "f=xml", "f=jsonld",
        "bbox=1,2,3", "bbox=a,b,c,d", "bbox=nan,0,1,1", "bbox=0,0,inf,1", "bbox=10,56,11,55",
        "bbox=170,0,-170,1", "bbox-crs=x", "bbox=10,54,11,55&bbox-crs=http://example.com/def/crs/EPSG/0/9999",
        "crs=foo", f"crs={EPSG}2000", "datetime=yesterday", "datetime=2020-01-01/2021-01-01/2022-01-01",
        "datetime=../..", "sortby=nothing", "sortby=details", "properties=secret", "properties=nothing",
        "secret=hidden-word", "details=x", "floors=many", "listed=maybe", "resulttype=some",
        "skipGeometry=perhaps", "cursor=zzz", "cursor=W10&offset=1", "filter=", "filter=(", "filter=floors",
        "filter=secret='x'",
        "filter=gml IS NULL", "filter-lang=sql&filter=floors=1", "filter-crs=CRS84", "filter=nothing=1",
        "filter=floors='many'", "filter=S_INTERSECTS(geometry,POINT(x y))", "filter=floors=1;DROP TABLE x",
        "filter={\"op\":\"eval\",\"args\":[]}", "filter=" + "(" * 500 + "a=1" + ")" * 500, "name=a%00b",
        "filter=" + "NOT " * 500 + "floors=1",
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_a_400_problem(client: httpx.Client, query: str) -> None:
    answer = client.get(f"{ITEMS}?{query}")
    assert answer.status_code == 400, answer.text[:300]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    problem = answer.json()
    assert problem["code"] in ("invalid-input", "invalid-filter", "invalid-geometry")
    assert problem["detail"]
    assert "Traceback" not in answer.text
    assert "SELECT" not in answer.text


@pytest.mark.parametrize(
    "path",
    ["/ogc/collections/nothing", "/ogc/collections/nothing/items", f"{ITEMS}/nothing", f"{ITEMS}/b.1/x",
     "/ogc/nothing", "/ogc/processes/nothing", "/ogc/collections/dig-enquiry/items",
     f"{ITEMS}/%27%20OR%201=1"],
)  # fmt: skip
def test_what_does_not_exist_is_a_404_problem(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_features_cannot_be_written(client: httpx.Client, method: str) -> None:
    answer = client.request(method, ITEMS, json={})
    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")


def test_queryables_and_schema_name_the_public_columns_with_their_types(client: httpx.Client) -> None:
    base = "/ogc/collections/buildings"
    queryables = client.get(f"{base}/queryables")
    assert queryables.headers["content-type"] == "application/schema+json"
    properties = queryables.json()["properties"]
    assert {name: member.get("type") for name, member in properties.items()} == {
        "id": "string",
        "geometry": None, "name": "string", "floors": "integer", "height_m": "number",
        "listed": "boolean", "built": "string",
    }  # fmt: skip
    assert properties["built"]["format"] == "date"
    schema = client.get(f"{base}/schema").json()["properties"]
    assert set(schema) == {*properties, "details"}


def test_open_answers_may_be_cached_and_are_not_sent_twice(client: httpx.Client) -> None:
    for path in (ITEMS, f"{ITEMS}/b.1", "/ogc/collections", "/ogc/collections/buildings/queryables"):
        answer = client.get(path)
        assert answer.headers["cache-control"] == "public, max-age=60"
        again = client.get(path, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    first, second = client.get(ITEMS, params={"limit": 1}), client.get(ITEMS, params={"limit": 2})
    assert first.headers["etag"] != second.headers["etag"]


def test_links_and_documents_belong_to_the_public_address_and_are_reachable(
    client: httpx.Client, service: tuple[object, str]
) -> None:
    waiting, seen = [f"{service[1]}/ogc"], set()
    while waiting:
        url = waiting.pop()
        if url in seen:
            continue
        seen.add(url)
        answer = client.get(url)
        if url.split("?")[0].endswith("/jobs"):
            assert answer.status_code == 401
            continue
        assert answer.status_code == 200 or url.endswith("execution?f=json"), (url, answer.text[:200])
        if "json" not in answer.headers["content-type"] or "problem" in answer.headers["content-type"]:
            continue
        document = answer.json()
        entries = [
            *document.get("links", ()),
            *document.get("collections", ()),
            *document.get("processes", ()),
        ]
        found = [entry["href"] for entry in entries if "href" in entry]
        found += [other["href"] for entry in entries for other in entry.get("links", ())]
        assert all(href.startswith(service[1]) for href in found)
        waiting += [href for href in found if "cursor=" not in href]
    assert len(seen) > 30


def test_html_pages_escape_attributes_and_load_nothing_from_elsewhere(
    client: httpx.Client, service: tuple[object, str]
) -> None:
    pages = ["/ogc", "/ogc/collections", "/ogc/conformance", "/ogc/collections/buildings",
             ITEMS, f"{ITEMS}/b.1", "/ogc/collections/buildings/queryables",
             "/ogc/collections/buildings/schema",
             "/ogc/processes",
             "/ogc/processes/dig-enquiry"]  # fmt: skip
    for page in pages:
        answer = client.get(page, headers={"Accept": "text/html", "Accept-Language": "da"})
        assert answer.headers["content-type"].startswith("text/html"), page
        loaded = re.findall(r'(?:src|<link[^>]* href)="([^"]*)"', answer.text)
        assert loaded, page
        assert all(address.startswith(f"{service[1]}/static/") for address in loaded), page
        assert re.findall(r"<script(?! type=\"module\" src=)", answer.text) == [], page
        assert "<b>" not in answer.text
        assert "Hus <" not in answer.text
    assert "Bygninger" in client.get("/ogc/collections?f=html&lang=da").text
    assert "Buildings" in client.get("/ogc/collections?f=html&lang=en").text


def test_openapi_describes_every_open_collection_and_its_parameters(client: httpx.Client) -> None:
    answer = client.get("/ogc/openapi")
    assert answer.headers["content-type"] == "application/vnd.oai.openapi+json;version=3.0"
    document = answer.json()
    assert document["openapi"].startswith("3.0")
    assert {
        "/collections/buildings/items",
        "/collections/streets/items",
        "/processes/{processId}/execution",
    } <= set(document["paths"])


def test_a_new_delivery_shows_at_once_with_its_new_columns(service: tuple, client: httpx.Client) -> None:
    store = service[0]
    schema = DatasetSchema("parcels", "Polygon", BUILDINGS.columns[:2], visibility=Visibility.OPEN)
    assert client.get("/ogc/collections/parcels").status_code == 404
    batch = FeatureBatch(
        schema, ["p.1"], [shapely.to_wkb(building_shape(0))], {"name": ["Matrikel"], "floors": [None]}
    )
    staged = store.stage(schema, "town", [batch])
    with store.begin() as tx:
        publish(tx, staged, Access.anonymous())
        tx.commit()
    assert ids(client.get("/ogc/collections/parcels/items")) == ["p.1"]
    assert "parcels" in client.get("/ogc/collections").text
    assert "/collections/parcels/items" in client.get("/ogc/openapi").json()["paths"]
