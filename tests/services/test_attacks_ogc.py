"""Attacks on the OGC service, over every route: injection, hidden columns, counting what is not one's own."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import shapely
from openapi_fuzz import PLACES
from small_store import (
    ADMIN,
    BUILDING_COUNT,
    BUILDINGS,
    EAST,
    NORTH,
    OWNER_A,
    OWNER_B,
    UTILITIES,
    as_who,
    building_shape,
    small_service,
)
from starlette.routing import Route

from geoinfra.access import Visibility
from geoinfra.sample.loading import load_grids
from geoinfra.storage import Store
from geoinfra.storage.deliveries import publish
from geoinfra.tables import DatasetSchema, FeatureBatch
from services.ogc.adapter import OgcService

pytestmark = pytest.mark.services

GROUND = (650_200.0, 6_084_000.0, 650_400.0, 6_084_200.0)
SCRIPT = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{7*7}}"
FORMULA = "=HYPERLINK(1)"
ERRORS = re.compile(
    r'Traceback|File "/|sqlalchemy|psycopg|(?<!\+)sqlite3|OperationalError|no such column|root:x'
)
STRANGERS = ("anonymous", "planner", "admin", "other-digger", "digger")
UNKNOWING = ("anonymous", "planner", "admin")
"""Those for whom a granted collection does not exist."""

HERE, NEAR = f"POINT({EAST} {NORTH})", {"crs": "EPSG:25832"}
LINE, RING = (
    f"LINESTRING({EAST} {NORTH},{EAST + 50} {NORTH + 50})",
    f"POLYGON(({EAST} {NORTH},{EAST + 50} {NORTH},{EAST + 50} {NORTH + 50},{EAST} {NORTH}))",
)
CUBE = {"bbox": f"{EAST},{NORTH},{EAST + 50},{NORTH + 50}", **NEAR}
WMS = {"service": "WMS", "request": "GetCapabilities"}
WMTS = {"service": "WMTS", "request": "GetCapabilities"}
SMALL = {"width": "32", "height": "32"}
EDR: dict[str, dict[str, str]] = {
    "position": {"coords": HERE, **NEAR},
    "area": {"coords": RING, **NEAR},
    "radius": {"coords": HERE, "within": "10", "within-units": "m", **NEAR},
    "trajectory": {"coords": LINE, **NEAR},
    "corridor": {
        "coords": LINE,
        "corridor-width": "10",
        "width-units": "m",
        "corridor-height": "1",
        "height-units": "m",
        **NEAR,
    },
    "cube": CUBE,
    "locations": {},
    "locations/{location}": {},
}
TILE = "/{level:int}/{row:int}/{column:int}"
MAPS = ("/map", "/styles/{style}/map", "/collections/{collection}/map")
STYLED = "/collections/{collection}/styles/{style}/map"
CASES: dict[str, dict[str, str]] = {
    **{path: {} for path in ("/", "/openapi", "/conformance", "/collections", "/processes", "/jobs")},
    **{
        f"/collections/catalogue{path}": {}
        for path in ("", "/queryables", "/sortables", "/items", "/items/{record}")
    },
    **{path: {} for path in ("/styles", "/styles/{style}", "/styles/{style}/metadata")},
    **{f"/styles/{{style}}/{last}": {} for last in ("legend", "sprite{ratio}.{form}", "sprite.{form}")},
    **{path: {} for path in ("/tileMatrixSets", "/tileMatrixSets/{tms}", "/collections/{collection}/styles")},
    **{
        f"{base}/tiles{last}": {}
        for base in ("", "/collections/{collection}", *MAPS, STYLED)
        for last in ("", "/{tms}", f"/{{tms}}{TILE}")
    },
    **dict.fromkeys((*MAPS, STYLED), SMALL),
    "/wms": WMS,
    "/wmts": WMTS,
    "/wmts/1.0.0/WMTSCapabilities.xml": {},
    "/wmts/1.0.0/{layer}/{style}/{tms}/{level}/{row}/{column}.{form}": {},
    **{f"/collections/{{collection}}/coverage{last}": {} for last in ("", "/domainset", "/rangetype")},
    **{f"/collections/{{collection}}/{name}": query for name, query in EDR.items()},
    **{f"/collections/{{collection}}/instances/{{instance}}/{name}": query for name, query in EDR.items()},
    "/collections/{collection}/instances": {},
    "/collections/{collection}/instances/{instance}": {},
    **{
        f"/collections/{{collection}}{last}": {}
        for last in ("", "/schema", "/queryables", "/sortables", "/items", "/items/{item:path}")
    },
    "/processes/{process}": {},
    "/processes/{process}/execution": {},
    "/jobs/{job}": {},
    "/jobs/{job}/results": {},
    "/jobs/{job}/results/package": {},
}
"""Each route with a query that it answers."""

NAMES = {
    "collection": "utility-lines",
    "layer": "utility-lines",
    "record": "dataset.utility-lines",
    "style": "geoinfra",
    "tms": "WebMercatorQuad",
    "level:int": "15",
    "row:int": "10390",
    "column:int": "17344",
    "level": "15",
    "row": "10390",
    "column": "17344",
    "form": "png",
    "ratio": "@2x",
    "instance": "2026-01-01",
    "location": f"{OWNER_B}.el.1",
    "item:path": f"{OWNER_B}.el.1",
    "process": "dig-enquiry",
    "job": "1",
}
"""What the attacked routes' names are filled with: things of the attacked owner."""

COLLECTION_ROUTES = [path for path in CASES if "{collection}" in path or "{layer}" in path]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, str]]:
    with small_service(tmp_path_factory.mktemp("attacked")) as (store, url):
        load_grids(store, GROUND)
        yield store, url


@pytest.fixture(scope="module")
def api(service: tuple[Store, str]) -> Iterator[httpx.Client]:
    plain = {"Accept-Encoding": "identity"}  # the moment in an answer changes how short it can be packed
    with httpx.Client(base_url=f"{service[1]}/ogc", timeout=60, headers=plain) as client:
        yield client


def filled(path: str, **names: str) -> str:
    return re.sub(r"{([^}]+)}", lambda found: {**NAMES, **names}[found[1]], path)


def known(answer: httpx.Response) -> tuple[int, dict[str, str], str]:
    """What an asker learns of an answer, without the moment it was made."""
    text = re.sub(r'"(timeStamp|updated)": ?"[^"]*"', "", answer.text)
    told = ("content-type", "content-length", "etag", "content-crs", "content-bbox", "cache-control")
    return answer.status_code, {name: answer.headers.get(name, "") for name in told}, text


def betrays_nothing(answer: httpx.Response, *marks: str) -> None:
    said = answer.text + str(dict(answer.headers))
    for mark in ("hidden-word", "<gml/>", *marks):
        assert mark not in said
    assert not ERRORS.search(said)
    assert answer.status_code < 500


def deliver(store: Store, schema: DatasetSchema, batch: FeatureBatch, source: str) -> None:
    staged = store.stage(schema, source, [batch])
    with store.begin() as tx:
        publish(tx, staged, ADMIN)
        tx.commit()


# --- Every route


def test_every_route_has_a_case(service: tuple[Store, str]) -> None:
    made = OgcService(service[0], public_url="http://x", access_of=lambda _: ADMIN).route()
    routes = {route.path for route in made.routes if isinstance(route, Route)}
    assert routes - set(CASES) == set(), "routes without a case"
    ours = set(CASES) - {"/jobs/{job}/results/package"}
    assert ours - routes == set(), "cases without a route"


@pytest.mark.parametrize("path", COLLECTION_ROUTES)
def test_a_granted_collection_answers_the_unknowing_like_one_that_does_not_exist(
    api: httpx.Client, path: str
) -> None:
    for who in UNKNOWING:
        hidden = api.get(filled(path), params=CASES[path], headers=as_who(who))
        names = {"collection": "no-such-thing", "layer": "no-such-thing"}
        nothing = api.get(filled(path, **names), params=CASES[path], headers=as_who(who))
        assert 400 <= hidden.status_code < 500, hidden.text
        told = known(hidden)[2].replace("utility-lines", "no-such-thing")
        assert (*known(hidden)[:1], told) == (*known(nothing)[:1], known(nothing)[2])


@pytest.mark.parametrize("path", CASES)
def test_nothing_of_an_owner_is_in_what_strangers_get(api: httpx.Client, path: str) -> None:
    for who in STRANGERS:
        answer = api.get(filled(path), params=CASES[path], headers=as_who(who))
        betrays_nothing(answer, OWNER_B)
        if who in UNKNOWING:
            betrays_nothing(answer, OWNER_A, "driftsstatus", *([] if "style" in path else ["voltage_kv"]))


def test_rows_that_may_not_be_seen_change_no_answer(service: tuple[Store, str], api: httpx.Client) -> None:
    """Counts, extents, sizes, entity tags, tiles, maps, records: all stay when an owner adds lines."""
    ways = [path for path in CASES if "execution" not in path and not path.startswith("/styles/{style}")]
    places = [(path, who) for path in ways for who in ("anonymous", "digger")]

    def asked() -> dict[tuple[str, str], Any]:
        return {
            (path, who): known(api.get(filled(path), params=CASES[path], headers=as_who(who)))
            for path, who in places
        }

    before = asked()
    rows = range(40)
    wide = [shapely.LineString([(EAST - 900 + r, NORTH - 700), (EAST + 900, NORTH + 800)]) for r in rows]
    deliver(
        service[0],
        UTILITIES,
        FeatureBatch(
            UTILITIES,
            [f"{OWNER_B}.el.{row}" for row in rows],
            [shapely.to_wkb(shape) for shape in wide],
            {
                "kind": ["line"] * 40,
                "supply": ["gas"] * 40,
                "owner_cvr": [OWNER_B] * 40,
                "voltage_kv": [99.5] * 40,
                "properties": ["{}"] * 40,
                "gml": [b""] * 40,
            },
        ),
        OWNER_B,
    )
    after = asked()
    assert [place for place in places if before[place] != after[place]] == []
    assert (
        api.get("/collections/utility-lines/items", headers=as_who("owner-b")).json()["numberMatched"] == 40
    )


# --- Injection

PAYLOADS = (
    "' OR '1'='1",
    '1); DROP TABLE "deliveries";--',
    "secret",
    "%' UNION SELECT sql FROM sqlite_master--",
)


def operations(api: httpx.Client, who: str) -> list[tuple[str, list[str]]]:
    """Each path of the description, filled, with the names of its query parameters."""
    document = api.get("/openapi", headers=as_who(who)).json()
    shared = document["components"]["parameters"]
    found = []
    for path, item in document["paths"].items():
        if "/instances/" in path or "get" not in item:
            continue  # the same queries as without instances
        given = [shared[p["$ref"].rsplit("/", 1)[1]] if "$ref" in p else p for p in item["get"]["parameters"]]
        kind = (
            "weather" if path.split("/")[-1] in EDR else "terrain-dtm" if "coverage" in path else "buildings"
        )
        values = {
            p["name"]: p["schema"].get("enum", [PLACES.get(p["name"], ["1"])[0]])[0]
            for p in given
            if p["in"] == "path"
        }
        values = {name: kind if name == "collectionId" else str(value) for name, value in values.items()}
        found.append((path.format(**values), [p["name"] for p in given if p["in"] == "query"]))
    return found


def test_no_parameter_of_any_route_reaches_the_database_as_text(
    service: tuple[Store, str], api: httpx.Client
) -> None:
    asked = 0
    for path, names in operations(api, "owner-a"):
        for name in names:
            for payload in PAYLOADS:
                answer = api.get(path, params={name: payload}, headers=as_who("owner-a"))
                betrays_nothing(answer, "CREATE TABLE", OWNER_B)
                asked += 1
    assert asked > 400
    hits = api.get("/collections/buildings/items", params={"resulttype": "hits"}).json()
    assert hits["numberMatched"] == BUILDING_COUNT


FILTERS = [
    "name = 'x' OR 1=1; DROP TABLE features",
    "name LIKE '%') UNION SELECT secret FROM buildings --",
    "secret = 'hidden-word'",
    "secret LIKE 'h%'",
    "CASEI(secret) = 'hidden-word'",
    "NOT (secret IS NULL)",
    "name = secret",
    "name IN ('a', secret)",
    "\"secret\" > 'a'",
    '"name"" OR 1=1 --" = \'x\'',
    "feature_id = 'b.1'",
    "source = 'town'",
    "delivery_id > 0",
    "geom IS NULL",
    "rowid > 0",
    "S_INTERSECTS(secret, POINT(0 0))",
    "load_extension('x') = 1",
    "pg_sleep(5) = 1",
    json.dumps({"op": "=", "args": [{"property": "secret"}, "hidden-word"]}),
    json.dumps({"op": "like", "args": [{"property": "buildings.secret"}, "h%"]}),
    json.dumps({"op": "randomblob", "args": [100000000]}),
    json.dumps({"op": "=", "args": [{"property": "name) OR (1=1"}, "x"]}),
]


@pytest.mark.parametrize("text", FILTERS)
def test_filters_reach_no_hidden_column_and_no_function(api: httpx.Client, text: str) -> None:
    for path in ("/collections/buildings/items", "/collections/catalogue/items"):
        begin = time.monotonic()
        answer = api.get(path, params={"filter": text})
        assert answer.status_code == 400, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        said = answer.json()
        assert "hidden-word" not in json.dumps({k: v for k, v in said.items() if k != "hint"})
        assert time.monotonic() - begin < 4


@pytest.mark.parametrize(
    "query",
    [
        {"sortby": "secret"},
        {"sortby": "-secret"},
        {"sortby": "details"},
        {"properties": "secret"},
        {"properties": "name,secret"},
        {"secret": "hidden-word"},
        {"feature_id": "b.1"},
        {"source": "town"},
        {"details": "{}"},
        {"cursor": "WyJ0b3duIiwiYi4xIl0x"},
        {"cursor": "../../x"},
        {"cursor": "W10"},
        {"cursor": "eyJhIjoxfQ"},
        {"filter-crs": "EPSG:25832"},
    ],
)
def test_hidden_columns_are_neither_sorted_nor_returned_nor_asked_for(
    api: httpx.Client, query: dict[str, str]
) -> None:
    answer = api.get("/collections/buildings/items", params=query)
    assert answer.status_code == 400, answer.text
    betrays_nothing(answer)


def test_no_document_names_a_hidden_column(api: httpx.Client) -> None:
    for who in ("anonymous", "owner-a"):
        for path in (
            "/openapi",
            *(f"/collections/buildings/{x}" for x in ("schema", "queryables", "sortables")),
        ):
            answer = api.get(path, headers=as_who(who))
            assert answer.status_code == 200
            assert "secret" not in answer.text
            assert "gml" not in answer.text.replace("/gml", "").lower() or path == "/openapi"


# --- Hostile attributes


@pytest.fixture(scope="module")
def hostile(service: tuple[Store, str]) -> str:
    """A collection whose texts and identifiers are hostile."""
    schema = DatasetSchema("parcels", "Polygon", BUILDINGS.columns[:2], visibility=Visibility.OPEN)
    batch = FeatureBatch(
        schema,
        ["p.1<script>alert(3)</script>", "p.2"],
        [shapely.to_wkb(building_shape(0)), shapely.to_wkb(building_shape(1))],
        {"name": [SCRIPT, FORMULA], "floors": [1, 2]},
    )
    deliver(service[0], schema, batch, "town")
    return "/collections/parcels"


@pytest.mark.parametrize("last", ["/items", "/items/p.2", "/items/p.1%3Cscript%3Ealert(3)%3C%2Fscript%3E"])
@pytest.mark.parametrize("form", ["html", "json", "jsonfg", "csv"])
def test_hostile_attributes_run_in_no_page(api: httpx.Client, hostile: str, last: str, form: str) -> None:
    answer = api.get(f"{hostile}{last}", params={"f": form})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    if form == "html":
        assert "<script>alert" not in answer.text
        assert "<img src=x" not in answer.text
    elif form != "csv":
        kept = answer.json()
        texts = [feature["properties"]["name"] for feature in kept.get("features", [kept])]
        assert set(texts) <= {SCRIPT, FORMULA}
    else:
        assert not re.search(r'(^|,)"?=HYPERLINK', answer.text, re.MULTILINE)


@pytest.mark.parametrize("path", ["/collections/{}", "/collections/{}/items", "/styles/{}", "/processes/{}"])
@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "..%2F..%2Fetc%2Fpasswd", "%00", "a" * 3000])
def test_hostile_names_in_addresses_are_not_there(api: httpx.Client, path: str, name: str) -> None:
    answer = api.get(path.format(name), params={"f": "html"})
    assert answer.status_code in (400, 404)
    betrays_nothing(answer)
    assert "<script>" not in answer.text or answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"


# --- Too much

DEEP = "(" * 5000 + "floors = 1" + ")" * 5000
LONG = " OR ".join(f"floors = {number}" for number in range(1500))
MUCH: list[tuple[str, dict[str, str]]] = [
    ("/collections/buildings/items", {"limit": "999999999999"}),
    ("/collections/buildings/items", {"offset": "9" * 18}),
    ("/collections/buildings/items", {"bbox": "-1e308,-1e308,1e308,1e308"}),
    ("/collections/buildings/items", {"bbox": "nan,nan,nan,nan"}),
    ("/collections/buildings/items", {"filter": DEEP}),
    ("/collections/buildings/items", {"filter": LONG}),
    ("/collections/buildings/items", {"filter": "NOT " * 3000 + "floors = 1"}),
    ("/collections/buildings/items", {"sortby": ",".join(["floors"] * 500)}),
    ("/collections/buildings/items", {f"x{number}": "1" for number in range(1000)}),
    ("/collections/buildings/items", {"datetime": "9" * 5000}),
    ("/collections/buildings/map", {"width": "1000000000", "height": "1000000000"}),
    ("/collections/buildings/map", {"width": "-1"}),
    ("/collections/buildings/map", {"scale-denominator": "1e-9"}),
    ("/map", {"width": "999999", "height": "1"}),
    ("/wms", {"service": "WMS", "request": "GetMap", "width": "999999", "height": "999999"}),
    ("/collections/terrain-dtm/coverage", {"scale-factor": "0.00000001"}),
    ("/collections/terrain-dtm/coverage", {"scale-size": "E(1000000000),N(1000000000)"}),
    ("/collections/weather/cube", {"bbox": "-180,-90,180,90", "resolution-x": "1000000000"}),
    ("/collections/weather/position", {"coords": "MULTIPOINT(" + "(10 55)," * 1500 + "(10 55))"}),
    ("/collections/terrain-dtm/radius", {"coords": "POINT(11 55)", "within": "1e300", "within-units": "m"}),
    ("/collections/catalogue/items", {"q": "a " * 4000}),
    ("/collections/buildings/tiles/WebMercatorQuad/99/0/0", {}),
    ("/collections/buildings/tiles/WebMercatorQuad/14/999999999999999999999/0", {}),
    ("/collections/buildings/tiles/WebMercatorQuad/0/0/0", {}),
]


@pytest.mark.parametrize(("path", "query"), MUCH)
def test_too_much_is_refused_or_cut_at_once(api: httpx.Client, path: str, query: dict[str, str]) -> None:
    begin = time.thread_time()
    answer = api.get(path, params=query)
    assert time.thread_time() - begin < 10
    betrays_nothing(answer)
    assert len(answer.content) < 4_000_000
    if answer.status_code == 200 and "limit" in query:
        assert answer.json()["numberReturned"] <= 10_000
