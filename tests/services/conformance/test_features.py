"""OGC API Features parts 1, 2, 3 and 5, Annex A: every class that the service claims, over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import jsonschema
import numpy as np
import pyproj
import pytest
import shapely
from shapely.geometry import shape
from small_store import BUILDING_COUNT, EAST, NORTH, building_shape

pytestmark = pytest.mark.services

COLLECTIONS = ("buildings", "streets")
ITEMS = "/collections/buildings/items"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
REL = "http://www.opengis.net/def/rel/ogc/1.0/"


def links(document: dict[str, Any], rel: str) -> list[dict[str, str]]:
    return [link for link in document["links"] if link["rel"] == rel]


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [feature["id"] for feature in answer.json()["features"]]


# --- Part 1: core


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core")
def test_each_collection_leads_to_its_items_and_tells_its_extent(api: httpx.Client) -> None:
    listed = {c["id"]: c for c in api.get("/collections").json()["collections"]}
    for name in COLLECTIONS:
        collection = listed[name]
        assert collection["extent"]["spatial"]["bbox"][0] != []
        assert collection["extent"]["spatial"]["crs"] == CRS84
        assert {"application/geo+json", "text/html"} <= {link["type"] for link in links(collection, "items")}
        for link in links(collection, "items"):
            assert api.head(link["href"]).status_code == 200, link
    assert listed["buildings"]["itemCount"] == BUILDING_COUNT


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core")
@pytest.mark.parametrize("limit", [1, 9, 250, 10_000, 10_001])
def test_limit_bounds_the_page_and_next_leads_on(api: httpx.Client, limit: int) -> None:
    answer = api.get(ITEMS, params={"limit": limit})
    document = answer.json()
    assert answer.headers["content-type"] == "application/geo+json"
    assert document["numberReturned"] == len(document["features"]) == min(limit, BUILDING_COUNT)
    assert document["numberMatched"] == BUILDING_COUNT
    assert document["timeStamp"].endswith("Z")
    assert links(document, "self")[0]["type"] == "application/geo+json"
    assert {"text/html"} <= {link["type"] for link in links(document, "alternate")}
    assert all(link["rel"] and link["type"] for link in document["links"])
    assert bool(links(document, "next")) == (limit < BUILDING_COUNT)
    for bad in (0, -1, "x"):
        assert api.get(ITEMS, params={"limit": bad}).status_code == 400


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core")
@pytest.mark.parametrize("heights", [False, True])
def test_bbox_gives_what_touches_it_and_only_that(api: httpx.Client, heights: bool) -> None:
    mover = pyproj.Transformer.from_crs(25832, "OGC:CRS84", always_xy=True)
    west, south, east, north = mover.transform_bounds(EAST + 15, NORTH + 15, EAST + 95, NORTH + 55)
    numbers = [west, south, -9.0, east, north, 900.0] if heights else [west, south, east, north]
    found = api.get(ITEMS, params={"bbox": ",".join(map(repr, numbers)), "limit": 1000})
    box = shapely.box(west, south, east, north)
    everything = api.get(ITEMS, params={"limit": 1000}).json()["features"]
    wanted = [f["id"] for f in everything if f["geometry"] and shape(f["geometry"]).intersects(box)]
    assert wanted
    assert ids(found) == wanted
    for bad in ("1,2,3", "a,b,c,d", "1,2,3,4,5", "10,57,11,55"):
        assert api.get(ITEMS, params={"bbox": bad}).status_code == 400


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core")
@pytest.mark.parametrize(
    ("moment", "years"),
    [
        ("1950-06-01", range(50, 51)),
        ("1950-06-01T12:00:00Z", range(50, 51)),
        ("1949-06-02/1952-05-31", range(50, 52)),
        ("1990-01-01T00:00:00Z/..", range(90, 100)),
        ("../1902-12-31", range(3)),
        ("/1902-12-31", range(3)),
        ("1990-01-01/", range(90, 100)),
    ],
)
def test_datetime_gives_what_lies_within(api: httpx.Client, moment: str, years: range) -> None:
    found = api.get(ITEMS, params={"datetime": moment, "limit": 1000})
    assert ids(found) == [f"b.{row}" for row in range(BUILDING_COUNT) if row % 100 in years]
    assert len(ids(api.get("/collections/streets/items", params={"datetime": moment}))) == 8
    for bad in ("x", "2020-13-01", "2020-01-01/2019-01-01", "../..", "2020-01-01/x"):
        assert api.get(ITEMS, params={"datetime": bad}).status_code == 400


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core")
def test_unknown_parameters_and_things_are_refused(api: httpx.Client) -> None:
    assert api.get(ITEMS, params={"unknownParameter": "1"}).status_code == 400
    assert api.get("/collections/nothing/items").status_code == 404
    assert api.get(f"{ITEMS}/nothing").status_code == 404


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core")
def test_a_feature_is_the_one_of_the_list_with_links_to_it_and_its_collection(api: httpx.Client) -> None:
    for listed in api.get(ITEMS, params={"limit": 5}).json()["features"]:
        answer = api.get(f"{ITEMS}/{listed['id']}")
        feature = answer.json()
        assert answer.headers["content-type"] == "application/geo+json"
        assert {name: feature[name] for name in listed} == listed
        assert links(feature, "self")[0]["href"].endswith(f"/items/{listed['id']}?f=json")
        assert links(feature, "alternate")
        assert links(feature, "collection")[0]["href"].endswith("/collections/buildings")


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson")
def test_geojson_is_that_of_rfc_7946(api: httpx.Client) -> None:
    for accept in ("application/geo+json", "*/*"):
        answer = api.get(ITEMS, params={"limit": 250}, headers={"Accept": accept})
        assert answer.headers["content-type"] == "application/geo+json"
        document = answer.json()
        assert document["type"] == "FeatureCollection"
        for row, feature in enumerate(document["features"]):
            assert feature["type"] == "Feature"
            assert isinstance(feature["properties"], dict)
            if feature["geometry"] is None:
                assert row == 249
                continue
            longitude, latitude = shapely.get_coordinates(shape(feature["geometry"])).T
            assert ((longitude > 8) & (longitude < 15) & (latitude > 54) & (latitude < 58)).all()


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/html")
def test_features_are_pages_too(api: httpx.Client) -> None:
    for path in (ITEMS, f"{ITEMS}/b.7"):
        answer = api.get(path, headers={"Accept": "text/html"})
        assert answer.headers["content-type"].startswith("text/html")
        assert "b.7" in answer.text


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30")
def test_the_description_names_the_parameters_of_features(api: httpx.Client) -> None:
    paths = api.get("/openapi").json()["paths"]
    for name in COLLECTIONS:
        operation = paths[f"/collections/{name}/items"]["get"]
        named = {p.get("name") or p["$ref"].rsplit("/", 1)[-1] for p in operation["parameters"]}
        assert {"bbox", "limit", "datetime", "f"} <= named
        assert {"200", "400"} <= set(operation["responses"])
        item = next(path for path in paths if path.startswith(f"/collections/{name}/items/{{"))
        assert "200" in paths[item]["get"]["responses"]


# --- Part 2: CRSs


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-features-2/1.0/conf/crs")
def test_features_and_boxes_come_in_every_listed_crs(api: httpx.Client) -> None:
    collection = api.get("/collections/buildings").json()
    assert CRS84 in collection["crs"]
    assert collection["storageCrs"] == f"{EPSG}25832"
    assert "storageCrsCoordinateEpoch" not in collection
    for uri in collection["crs"]:
        # authority axis order, as part 2 wants
        mover = pyproj.Transformer.from_crs(25832, pyproj.CRS.from_user_input(uri))
        answer = api.get(f"{ITEMS}/b.3", params={"crs": uri})
        assert answer.headers["content-crs"] == f"<{uri}>"
        wanted = np.column_stack(mover.transform(*shapely.get_coordinates(building_shape(3)).T))
        found = shapely.get_coordinates(shape(answer.json()["geometry"]))
        assert np.allclose(found, wanted, rtol=0, atol=0.001 if np.abs(wanted).max() > 360 else 1e-7)
        corner, other = np.array(wanted).min(axis=0), np.array(wanted).max(axis=0)
        box = ",".join(map(repr, [*corner.tolist(), *other.tolist()]))
        assert "b.3" in ids(api.get(ITEMS, params={"bbox": box, "bbox-crs": uri, "limit": 1000}))
    assert api.get(ITEMS).headers["content-crs"] == f"<{CRS84}>"
    for bad in (f"{EPSG}2000", "EPSG:25832", "x"):
        assert api.get(ITEMS, params={"crs": bad}).status_code == 400
        assert api.get(ITEMS, params={"bbox": "9,55,11,57", "bbox-crs": bad}).status_code == 400


# --- Part 3: filtering

SIMPLE = {"name": "Hus <7> \"æøå\" & 'co'", "floors": "2", "height_m": "1.75", "listed": "false",
          "built": "1907-06-01", "id": "b.7"}  # fmt: skip


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/queryables")
@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/queryables-query-parameters")
def test_each_queryable_is_a_parameter(api: httpx.Client) -> None:
    collection = api.get("/collections/buildings").json()
    (link,) = [entry for entry in links(collection, f"{REL}queryables") if "json" in entry["type"]]
    queryables = api.get(link["href"])
    assert queryables.headers["content-type"] == "application/schema+json"
    properties = queryables.json()["properties"]
    assert set(SIMPLE) == set(properties) - {"geometry"}
    for name, value in SIMPLE.items():
        assert "b.7" in ids(api.get(ITEMS, params={name: value, "limit": 1000}))
    assert ids(api.get(ITEMS, params=SIMPLE)) == ["b.7"]
    assert api.get(ITEMS, params={"secret": "hidden-word"}).status_code == 400
    assert api.get(ITEMS, params={"geometry": "POINT(1 1)"}).status_code == 400


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter")
@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/features-filter")
def test_filters_in_both_languages_and_every_crs_join_the_other_parameters(api: httpx.Client) -> None:
    wanted = [f"b.{row}" for row in range(1, BUILDING_COUNT, 5)]
    tree = '{"op": "=", "args": [{"property": "floors"}, 1]}'
    for filter_, language in (("floors = 1", None), ("floors = 1", "cql2-text"), (tree, "cql2-json")):
        parameters = {"filter": filter_, "limit": 1000, **({"filter-lang": language} if language else {})}
        assert ids(api.get(ITEMS, params=parameters)) == wanted
    both = api.get(ITEMS, params={"filter": "floors = 1", "listed": "true", "limit": 1000})
    assert ids(both) == [name for name in wanted if int(name[2:]) % 3 == 0]
    for uri in api.get("/collections/buildings").json()["crs"]:
        mover = pyproj.Transformer.from_crs(25832, pyproj.CRS.from_user_input(uri))
        one, two = mover.transform(EAST + 61, NORTH + 1)
        point = f"S_INTERSECTS(geometry, POINT({one!r} {two!r}))"
        assert ids(api.get(ITEMS, params={"filter": point, "filter-crs": uri})) == ["b.3"], uri
    for bad in ("floors ==", "nothing = 1", "secret = 'x'", ""):
        assert api.get(ITEMS, params={"filter": bad}).status_code == 400
    assert api.get(ITEMS, params={"filter": "floors = 1", "filter-lang": "sql"}).status_code == 400
    assert api.get(ITEMS, params={"filter": "floors = 1", "filter-crs": f"{EPSG}2000"}).status_code == 400


# --- Part 5: schemas

KINDS = ("schema", "queryables", "sortables")


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-common-3/1.0/conf/schemas")
@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-common-3/1.0/conf/advanced-property-roles")
@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-common-3/1.0/conf/returnables-and-receivables")
@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-common-3/1.0/conf/queryables")
@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-common-3/1.0/conf/sortables")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", COLLECTIONS)
def test_each_schema_is_linked_and_a_schema_of_the_standard(api: httpx.Client, name: str, kind: str) -> None:
    home = f"{str(api.base_url).rstrip('/')}/collections/{name}"
    found = [link["href"] for link in links(api.get(home).json(), f"{REL}{kind}") if "json" in link["type"]]
    assert found == [f"{home}/{kind}"]
    answer = api.get(found[0], headers={"Accept": "application/schema+json"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/schema+json")
    document = answer.json()
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document["$id"] == found[0]
    assert document["type"] == "object"
    jsonschema.Draft202012Validator.check_schema(document)
    properties = document["properties"]
    for member in properties.values():
        spatial = str(member.get("format", "")).startswith("geometry-")
        assert ("type" in member) is not spatial
        assert "$ref" not in member
        assert set(member) <= {"type", "format", "title", "x-ogc-role", "x-ogc-propertySeq", "x-ogc-unit"}
        assert isinstance(member["x-ogc-propertySeq"], int)
        if "x-ogc-unit" in member:
            assert member["type"] in ("number", "integer")
    roles = [member["x-ogc-role"] for member in properties.values() if "x-ogc-role" in member]
    assert len(roles) == len(set(roles))
    assert [m["type"] for m in properties.values() if m.get("x-ogc-role") == "id"] == ["string"]
    if kind == "sortables":
        assert all(member["type"] not in ("array", "object") for member in properties.values())
    else:
        assert roles.count("primary-geometry") == 1
    assert (
        api.get(found[0], params={"f": "html", "lang": "da"}).headers["content-type"].startswith("text/html")
    )


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-common-3/1.0/conf/returnables-and-receivables")
@pytest.mark.parametrize("name", COLLECTIONS)
def test_features_are_valid_against_their_schema(api: httpx.Client, name: str) -> None:
    document = api.get(f"/collections/{name}/schema").json()
    assert document["additionalProperties"] is False
    for feature in api.get(f"/collections/{name}/items", params={"limit": 250}).json()["features"]:
        known = {key: value for key, value in feature["properties"].items() if value is not None}
        assert set(known) <= set(document["properties"])
        jsonschema.validate({**known, "id": feature["id"]}, document)
        wanted = document["properties"]["geometry"]["format"].removeprefix("geometry-")
        assert feature["geometry"] is None or feature["geometry"]["type"].lower() == wanted


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-common-3/1.0/conf/sortables")
def test_each_sortable_sorts_both_ways(api: httpx.Client) -> None:
    for name in api.get("/collections/buildings/sortables").json()["properties"]:
        for sign in ("", "-"):
            answer = api.get(ITEMS, params={"sortby": f"{sign}{name}", "limit": 1000})
            values = [f["id"] if name == "id" else f["properties"][name] for f in answer.json()["features"]]
            known = [value for value in values if value is not None]
            assert known == sorted(known, reverse=bool(sign)), name
    assert api.get(ITEMS, params={"sortby": "details"}).status_code == 400


def test_units_come_from_the_names_of_columns(api: httpx.Client) -> None:
    properties = api.get("/collections/buildings/schema").json()["properties"]
    assert properties["height_m"]["x-ogc-unit"] == "m"
    assert "x-ogc-unit" not in properties["floors"]
    assert properties["built"]["x-ogc-role"] == "primary-instant"
