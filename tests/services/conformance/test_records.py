"""OGC API Records 1.0 part 1: the catalogue, its records, what may be asked, and its other forms."""

from __future__ import annotations

import json
import warnings
from typing import Any

import httpx
import jsonschema
import owslib.ogcapi.records
import pytest
import rdflib
import shapely
from lxml import etree
from rdflib.compare import isomorphic
from rdflib.namespace import DCAT, DCTERMS, FOAF, RDF, SKOS
from small_store import EAST, NORTH, as_who

from geoinfra.storage import Store

pytestmark = pytest.mark.services

RECORDS = "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf"
CATALOGUE = "/collections/catalogue"
ITEMS = f"{CATALOGUE}/items"
GRANTED = {"dataset.utility-lines", "dataset.utility-components"}
MDB = "{http://standards.iso.org/iso/19115/-3/mdb/2.0}"

# The record's schema, written down from the standard's tables of core properties.
TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
LINK = {
    "type": "object",
    "required": ["href", "rel"],
    "properties": {"href": {"type": "string", "format": "uri"}, "rel": TEXT, "type": TEXT, "title": TEXT},
}
TEMPLATE = {
    "type": "object",
    "required": ["uriTemplate", "rel"],
    "properties": {"uriTemplate": TEXT, "variables": {"type": "object"}},
}
LANGUAGE = {"type": "object", "required": ["code"], "properties": {"code": TEXT}}
CONTACT = {
    "type": "object",
    "anyOf": [{"required": ["name"]}, {"required": ["organization"]}],
    "properties": {
        "roles": {"type": "array", "minItems": 1, "items": TEXT},
        "emails": {"type": "array", "items": {"type": "object", "required": ["value"]}},
        "links": {"type": "array", "items": {"allOf": [LINK, {"required": ["type"]}]}},
    },
}
THEME = {
    "type": "object",
    "required": ["concepts", "scheme"],
    "properties": {"concepts": {"type": "array", "minItems": 1, "items": {"required": ["id"]}}},
}
MOMENT = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$"}
COMMON = {
    "created": MOMENT,
    "updated": MOMENT,
    "title": TEXT,
    "description": TEXT,
    "keywords": {"type": "array", "items": TEXT},
    "language": LANGUAGE,
    "languages": {"type": "array", "items": LANGUAGE},
    "themes": {"type": "array", "minItems": 1, "items": THEME},
    "externalIds": {"type": "array", "items": {"type": "object", "required": ["value"]}},
    "formats": {"type": "array", "items": {"anyOf": [{"required": ["name"]}, {"required": ["mediaType"]}]}},
    "contacts": {"type": "array", "items": CONTACT},
    "license": TEXT,
    "rights": TEXT,
}
RECORD = {
    "type": "object",
    "required": ["id", "type", "geometry", "properties", "time", "links"],
    "properties": {
        "id": TEXT,
        "type": {"const": "Feature"},
        "conformsTo": {"type": "array", "contains": {"const": f"{RECORDS}/record-core"}},
        "time": {
            "oneOf": [
                {"type": "null"},
                {"type": "object", "required": ["date"]},
                {"type": "object", "required": ["interval"]},
            ]
        },
        "geometry": {"type": "object", "required": ["type", "coordinates"]},
        "properties": {
            "type": "object",
            "required": ["type", "title"],
            "properties": {**COMMON, "type": TEXT},
        },
        "links": {"type": "array", "items": LINK},
        "linkTemplates": {"type": "array", "items": TEMPLATE},
    },
}
CATALOG = {
    "type": "object",
    "required": ["id", "type", "itemType", "title", "description", "extent", "links", "conformsTo"],
    "properties": {
        **COMMON,
        "type": {"const": "Collection"},
        "itemType": {"const": "record"},
        "links": {"type": "array", "items": LINK},
        "defaultSortOrder": {"type": "array", "items": {"required": ["field", "direction"]}},
    },
}


def get(api: httpx.Client, path: str, who: str = "anonymous", **query: Any) -> Any:
    return api.get(path, params=query, headers=as_who(who)).raise_for_status().json()


def ids(api: httpx.Client, who: str = "anonymous", **query: Any) -> list[str]:
    return [one["id"] for one in get(api, ITEMS, who, **{"limit": 1000, **query})["features"]]


def links(document: dict[str, Any], relation: str) -> list[str]:
    return [link["href"] for link in document["links"] if link["rel"] == relation]


# --- Records


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/record-core")
@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/json")
@pytest.mark.parametrize("language", ["da", "en"])
def test_every_record_has_what_the_standard_asks_for(api: httpx.Client, language: str) -> None:
    page = api.get(ITEMS, params={"limit": 1000, "lang": language})
    assert page.headers["content-type"] == "application/geo+json"
    records = page.json()["features"]
    assert {one["properties"]["type"] for one in records} == {"dataset", "service", "style"}
    for one in records:
        jsonschema.validate(one, RECORD)
        assert one["properties"]["language"]["code"] == language
        assert shapely.from_geojson(json.dumps(one["geometry"])).is_valid
        assert links(one, "collection") == [str(api.base_url).rstrip("/") + f"{CATALOGUE}?f=json"]
        single = api.get(f"{ITEMS}/{one['id']}", params={"lang": language})
        assert single.headers["content-type"] == "application/geo+json"
        assert single.json()["properties"] == one["properties"]
        jsonschema.validate(single.json(), RECORD)


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/record-core")
def test_the_links_and_templates_of_a_record_lead_to_its_resource(api: httpx.Client) -> None:
    one = get(api, f"{ITEMS}/dataset.buildings")
    for link in one["links"]:
        assert api.get(link["href"]).status_code == 200, link
    (template,) = [t for t in one["linkTemplates"] if t["rel"] == "item"]
    values = {"west": 10, "south": 54, "east": 11, "north": 55, "limit": 3}
    assert set(values) == set(template["variables"])
    answer = api.get(template["uriTemplate"].format(**values)).raise_for_status()
    assert answer.json()["numberReturned"] == 3


def test_each_service_has_a_record_that_leads_to_it(api: httpx.Client) -> None:
    records = get(api, ITEMS, type="service", limit=100)["features"]
    services = {one["id"].removeprefix("service.") for one in records}
    assert services == {
        *("features", "tiles", "coverages", "edr", "maps", "wms", "wmts"),
        *("records", "processes", "styles"),
    }
    for one in records:
        for link in one["links"]:
            if link["rel"] in ("about", "service", "service-desc"):
                answer = api.get(link["href"])
                assert answer.status_code == 200, link
                told = answer.headers["content-type"].partition(";")[0]
                assert told == link["type"].partition(";")[0], link


def test_texts_are_danish_where_that_is_asked_for(api: httpx.Client) -> None:
    path = f"{ITEMS}/dataset.buildings"
    assert get(api, path, lang="da")["properties"]["title"] == "Bygninger"
    danish = api.get(path, headers={"Accept-Language": "da"}).json()
    assert danish["properties"]["themes"][0]["concepts"][0]["title"] == "Bygninger"
    assert get(api, path)["properties"]["title"] == "Buildings"


# --- The catalogue


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/record-collection")
@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/json")
def test_the_catalogue_tells_of_itself(api: httpx.Client) -> None:
    told = get(api, CATALOGUE)
    jsonschema.validate(told, CATALOG)
    own = f"{str(api.base_url).rstrip('/')}{CATALOGUE}"
    assert links(told, "self") == [f"{own}?f=json"]
    assert f"{own}?f=html" in links(told, "alternate")
    for link in told["links"]:
        answer = api.get(link["href"]).raise_for_status()
        assert answer.headers["content-type"].partition(";")[0] == link["type"]
    assert told["itemCount"] == len(ids(api))


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/records-api")
@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/searchable-catalog")
def test_the_catalogue_is_one_of_the_collections(api: httpx.Client) -> None:
    listed = {one["id"]: one for one in get(api, "/collections")["collections"]}
    assert listed["catalogue"]["itemType"] == "record"
    assert links(listed["catalogue"], "items")
    assert any(CATALOGUE in link["href"] for link in get(api, "/")["links"])
    claimed = get(api, "/conformance")["conformsTo"]
    assert f"{RECORDS}/searchable-catalog" in claimed
    assert f"{RECORDS}/json" in claimed


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/records-api")
def test_records_come_in_pages(api: httpx.Client) -> None:
    everything = ids(api)
    assert len(everything) == len(set(everything)) > 6
    seen: list[str] = []
    page = get(api, ITEMS, limit=4)
    while True:
        assert page["numberMatched"] == len(everything)
        assert page["numberReturned"] == len(page["features"]) <= 4
        seen += [one["id"] for one in page["features"]]
        following = links(page, "next")
        if not following:
            break
        page = api.get(following[0]).raise_for_status().json()
    assert seen == everything
    assert links(page, "prev")


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/oas30")
def test_every_path_and_parameter_is_described(api: httpx.Client) -> None:
    paths = get(api, "/openapi")["paths"]
    asked = {p["name"]: p for p in paths[ITEMS]["get"]["parameters"]}
    for name in ("q", "type", "ids", "externalIds", "sortby"):
        assert asked[name]["schema"]["type"] == "array"
        assert (asked[name]["style"], asked[name]["explode"]) == ("form", False)
    assert {"bbox", "datetime", "limit", "filter", "filter-lang", "filter-crs"} <= set(asked)
    for path in (CATALOGUE, f"{ITEMS}/{{recordId}}", f"{CATALOGUE}/queryables", f"{CATALOGUE}/sortables"):
        assert "200" in paths[path]["get"]["responses"]


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/html")
@pytest.mark.parametrize("path", [CATALOGUE, ITEMS, f"{ITEMS}/dataset.buildings"])
def test_people_get_pages(api: httpx.Client, path: str) -> None:
    for how in ({"params": {"f": "html"}}, {"headers": {"Accept": "text/html"}}):
        page = api.get(path, **how)  # type: ignore[arg-type]  # options vary
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert etree.HTML(page.text).findtext(".//h1")
    assert "Katalog" in api.get(path, params={"f": "html", "lang": "da"}).text


# --- What may be asked


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/record-core-query-parameters")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "outlines"}, {"dataset.buildings"}),
        ({"q": "OUTLINES"}, {"dataset.buildings"}),
        ({"q": "outlines,centre"}, {"dataset.buildings", "dataset.streets"}),
        ({"q": "outlines   of"}, {"dataset.buildings"}),
        ({"q": "of outlines"}, set()),
        ({"q": "bygning"}, {"dataset.buildings"}),
        ({"type": "dataset"}, {"dataset.buildings", "dataset.streets"}),
        ({"type": "nothing"}, set()),
        ({"ids": "dataset.streets,service.tiles"}, {"dataset.streets", "service.tiles"}),
        ({"externalIds": "streets"}, {"dataset.streets"}),
        ({"ids": "dataset.streets", "type": "service"}, set()),
        ({"type": "dataset", "bbox": "10.5,54.8,10.6,54.9"}, {"dataset.buildings", "dataset.streets"}),
        ({"type": "dataset", "bbox": "10.5,54.8,0,10.6,54.9,9"}, {"dataset.buildings", "dataset.streets"}),
        ({"type": "dataset", "bbox": "12,54.8,12.6,54.9"}, set()),
        ({"type": "dataset", "bbox": "170,-10,-170,10"}, set()),
        ({"type": "dataset", "datetime": "2020-01-01/.."}, {"dataset.buildings", "dataset.streets"}),
        ({"ids": "dataset.utility-lines"}, set()),
    ],
)
def test_parameters_choose_records(api: httpx.Client, query: dict[str, str], found: set[str]) -> None:
    assert set(ids(api, **query)) == found


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/record-core-query-parameters")
def test_the_limit_bounds_a_page(api: httpx.Client) -> None:
    assert get(api, ITEMS, limit=1)["numberReturned"] == 1
    assert get(api, ITEMS, limit=99999)["numberReturned"] == len(ids(api))


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"}, {"limit": "x"}, {"offset": "-1"}, {"bbox": "1,2,3"}, {"bbox": "1,9,2,3"},
        {"bbox": "nan,1,2,3"}, {"datetime": "yesterday"}, {"datetime": "2026-01-02/2026-01-01"}, {"q": " , "},
        {"ids": ","}, {"sortby": "colour"}, {"sortby": ""}, {"filter": "colour = 'red'"},
        {"filter": "title ="}, {"filter": "title > 5"}, {"filter-lang": "cql2-text"}, {"nothing": "1"},
        {"f": "gml"}, {"filter": "type = 'a'", "filter-crs": "http://www.opengis.net/def/crs/EPSG/0/25832"},
        {"filter": "S_INTERSECTS(geometry, POINT(1 nan))"},
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_refused(api: httpx.Client, query: dict[str, str]) -> None:
    answer = api.get(ITEMS, params=query)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/sorting")
@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/searchable-catalog/sorting")
@pytest.mark.parametrize("name", ["id", "title", "type", "created", "updated"])
def test_records_are_sorted(api: httpx.Client, name: str) -> None:
    def values(order: str) -> list[str]:
        records = get(api, ITEMS, limit=1000, sortby=order)["features"]
        return [str(one["properties"].get(name, one["id"])).casefold() for one in records]

    assert values(name) == values(f"+{name}") == sorted(values(name))
    assert values(f"-{name}") == sorted(values(name), reverse=True)
    by_two = [(one["properties"]["type"], one["properties"]["title"].casefold())
              for one in get(api, ITEMS, limit=1000, sortby="type,-title")["features"]]  # fmt: skip
    assert by_two == sorted(sorted(by_two, key=lambda two: two[1], reverse=True), key=lambda two: two[0])


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/sorting")
@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/searchable-catalog/filtering")
@pytest.mark.parametrize("name", ["sortables", "queryables"])
def test_what_can_be_sorted_and_filtered_by_is_told(api: httpx.Client, name: str) -> None:
    (href,) = links(get(api, CATALOGUE), f"http://www.opengis.net/def/rel/ogc/1.0/{name}")
    answer = api.get(href)
    assert answer.headers["content-type"] == "application/schema+json"
    schema = answer.json()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == href.partition("?")[0]
    assert schema["additionalProperties"] is False
    for told in schema["properties"].values():
        assert ("type" in told) != told.get("format", "").startswith("geometry-")
    assert {"id", "type", "title", "created", "updated"} <= set(schema["properties"])


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/cql-filter")
@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/searchable-catalog/filtering")
@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("id = 'dataset.streets'", {"dataset.streets"}),
        ("type = 'dataset' AND NOT title = 'Streets'", {"dataset.buildings"}),
        ("title LIKE 'Buil%'", {"dataset.buildings"}),
        ("title LIKE '%il_ings'", {"dataset.buildings"}),
        ("title LIKE 'Buil'", set()),
        ("title LIKE '%a%a%a%a%a%a%a%a%a%a%a%a%a%a%b'", set()),
        ("CASEI(title) = CASEI('STREETS')", {"dataset.streets"}),
        ("title IN ('Streets', 'Nothing')", {"dataset.streets"}),
        ("id BETWEEN 'dataset.a' AND 'dataset.c'", {"dataset.buildings"}),
        ("lineage IS NOT NULL", {"dataset.buildings", "dataset.streets"}),
        ("license = 'MIT' OR updateFrequency = 'asNeeded'", {"dataset.buildings", "dataset.streets"}),
        ("A_CONTAINS(keywords, ('bygning'))", {"dataset.buildings"}),
        ("updated > TIMESTAMP('2099-01-01T00:00:00Z')", set()),
        (
            "S_INTERSECTS(geometry, BBOX(10.5,54.8,10.6,54.9)) AND type = 'dataset'",
            {"dataset.buildings", "dataset.streets"},
        ),
        ("S_WITHIN(geometry, POLYGON((0 50, 1 50, 1 51, 0 51, 0 50)))", set()),
    ],
)
def test_cql2_chooses_records(api: httpx.Client, condition: str, found: set[str]) -> None:
    assert set(ids(api, filter=condition)) == found


@pytest.mark.conformance("http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/cql-filter")
def test_cql2_comes_as_json_too(api: httpx.Client) -> None:
    tree = {"op": "=", "args": [{"property": "type"}, "style"]}
    found = ids(api, filter=json.dumps(tree), **{"filter-lang": "cql2-json"})
    assert found
    assert all(name.startswith("style.") for name in found)


# --- Who may know what


def test_records_of_granted_collections_exist_for_those_who_may_know_them(api: httpx.Client) -> None:
    for who in ("anonymous", "planner", "admin"):
        assert not GRANTED & set(ids(api, who))
        for name in GRANTED:
            answer = api.get(f"{ITEMS}/{name}", headers=as_who(who))
            assert answer.status_code == 404
        for form in ("jsonld", "rdfxml", "iso19115", "html"):
            assert "utility-lines" not in api.get(ITEMS, params={"f": form}, headers=as_who(who)).text
    for who in ("digger", "other-digger", "owner-a"):
        assert set(ids(api, who)) >= GRANTED


def test_a_granted_record_tells_nothing_of_rows(api: httpx.Client) -> None:
    answers = [api.get(f"{ITEMS}/dataset.utility-lines", headers=as_who(w)) for w in ("digger", "owner-a")]
    assert answers[0].json() == answers[1].json()
    assert answers[0].headers["cache-control"] == "private, no-store"
    assert "etag" not in answers[0].headers
    told = answers[0].json()
    assert "created" not in told["properties"]
    assert "updated" not in told["properties"]
    west, south, _, _ = shapely.from_geojson(json.dumps(told["geometry"])).bounds
    assert (west, south) == (7.9, 54.4)


def test_an_open_answer_is_kept_and_not_sent_twice(api: httpx.Client) -> None:
    for path in (CATALOGUE, ITEMS, f"{ITEMS}/dataset.buildings", f"{CATALOGUE}/queryables"):
        answer = api.get(path)
        again = api.get(path, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


# --- Other forms


def graph(answer: httpx.Response, form: str) -> rdflib.Graph:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of rdflib's own reader of JSON-LD
        return rdflib.Graph().parse(data=answer.raise_for_status().text, format=form)


@pytest.mark.parametrize("who", ["anonymous", "digger"])
def test_geodcat_ap_is_one_graph_in_both_forms(api: httpx.Client, who: str) -> None:
    headers = as_who(who)
    by_name = api.get(CATALOGUE, params={"f": "jsonld"}, headers=headers)
    by_type = api.get(CATALOGUE, headers={**headers, "Accept": "application/rdf+xml"})
    assert by_name.headers["content-type"] == "application/ld+json"
    assert by_type.headers["content-type"] == "application/rdf+xml"
    assert isomorphic(graph(by_name, "json-ld"), graph(by_type, "xml"))


def test_geodcat_ap_has_its_mandatory_properties(api: httpx.Client) -> None:
    found = graph(api.get(CATALOGUE, params={"f": "rdfxml"}), "xml")
    (catalogue,) = found.subjects(RDF.type, DCAT.Catalog)
    (publisher,) = found.objects(catalogue, DCTERMS.publisher)
    assert str(found.value(publisher, FOAF.name)) == "geoinfra"
    members = {*found.objects(catalogue, DCAT.dataset), *found.objects(catalogue, DCAT.service)}
    described = {*found.subjects(RDF.type, DCAT.Dataset), *found.subjects(RDF.type, DCAT.DataService)}
    assert members == described
    assert len(members) == len(ids(api))
    for one in [catalogue, *described]:
        for predicate in (DCTERMS.title, DCTERMS.description):
            assert {text.language for text in found.objects(one, predicate)} == {"da", "en"}
    for service in found.subjects(RDF.type, DCAT.DataService):
        assert found.value(service, DCAT.endpointURL)
        assert all((served, RDF.type, DCAT.Dataset) in found
                   for served in found.objects(service, DCAT.servesDataset))  # fmt: skip
    for distribution in found.subjects(RDF.type, DCAT.Distribution):
        assert found.value(distribution, DCAT.accessURL)
    themes = set(found.objects(None, DCAT.theme))
    assert rdflib.URIRef("http://inspire.ec.europa.eu/theme/bu") in themes
    labels = found.objects(rdflib.URIRef("http://inspire.ec.europa.eu/theme/bu"), SKOS.prefLabel)
    assert {(text.language, str(text)) for text in labels} == {("da", "Bygninger"), ("en", "Buildings")}


def test_geodcat_ap_tells_where_the_rows_lie(api: httpx.Client) -> None:
    found = graph(api.get(f"{ITEMS}/dataset.buildings", params={"f": "jsonld"}), "json-ld")
    (literal,) = set(found.objects(None, DCAT.bbox))
    assert str(literal.datatype) == "http://www.opengis.net/ont/geosparql#wktLiteral"
    extent = get(api, "/collections/buildings")["extent"]["spatial"]["bbox"][0]
    assert shapely.from_wkt(str(literal)).bounds == pytest.approx(extent, abs=2e-6)
    assert EAST > NORTH / 100  # both are metres in the same zone


def test_iso_19115_names_the_resource_in_its_place(api: httpx.Client) -> None:
    answer = api.get(f"{ITEMS}/dataset.buildings", headers={"Accept": "application/xml"})
    assert answer.headers["content-type"] == "application/xml"
    root = etree.fromstring(answer.content)
    assert root.tag == f"{MDB}MD_Metadata"
    spaces = {name: uri for name, uri in root.nsmap.items() if name}
    order = [child.tag.removeprefix(MDB) for child in root]
    schema_order = [
        "metadataIdentifier", "defaultLocale", "metadataScope", "contact", "dateInfo", "metadataStandard",
        "otherLocale", "referenceSystemInfo", "identificationInfo", "distributionInfo", "dataQualityInfo",
        "resourceLineage",
    ]  # fmt: skip
    assert [schema_order.index(name) for name in order] == sorted(schema_order.index(name) for name in order)
    title = root.findtext(".//mri:citation//cit:title/gco:CharacterString", namespaces=spaces)
    danish = root.findtext(".//mri:citation//cit:title//lan:LocalisedCharacterString", namespaces=spaces)
    assert (title, danish) == ("Buildings", "Bygninger")
    assert root.findtext(".//mri:MD_TopicCategoryCode", namespaces=spaces) == "structure"
    west = float(root.findtext(".//gex:westBoundLongitude/gco:Decimal", namespaces=spaces) or "nan")
    extent = get(api, "/collections/buildings")["extent"]["spatial"]["bbox"][0]
    assert west == pytest.approx(extent[0], abs=2e-6)
    assert all(element.get("codeListValue") == element.text
               for element in root.iterfind(".//*[@codeList]"))  # fmt: skip


def test_iso_19115_comes_for_the_whole_catalogue(api: httpx.Client) -> None:
    root = etree.fromstring(api.get(CATALOGUE, params={"f": "iso19115"}).content)
    assert len(root.findall(f"{MDB}MD_Metadata")) == int(root.get("numberReturned") or 0) == len(ids(api))


def test_owslib_reads_the_catalogue(small: tuple[Store, str]) -> None:
    client = owslib.ogcapi.records.Records(f"{small[1]}/ogc/")
    assert client.records() == ["catalogue"]
    page = client.collection_items("catalogue", q="outlines")
    assert [one["id"] for one in page["features"]] == ["dataset.buildings"]
    assert client.collection_item("catalogue", "dataset.streets")["properties"]["title"] == "Streets"
