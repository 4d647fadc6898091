"""OGC API Common parts 1 and 2 (19-072, 20-024): the documents that all APIs share."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import httpx
import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator
from small_store import as_who

pytestmark = pytest.mark.services

ONE, TWO = (
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf",
    "http://www.opengis.net/spec/ogcapi-common-2/1.0/conf",
)
OPENAPI = "application/vnd.oai.openapi+json;version=3.0"
PAGES = ["/", "/conformance", "/collections", "/collections/buildings", "/processes"]
LINK = {
    "type": "object",
    "required": ["href", "rel"],
    "properties": {name: {"type": "string"} for name in ("href", "rel", "type", "hreflang", "title")},
}
LANDING = {
    "type": "object",
    "required": ["links"],
    "properties": {"links": {"type": "array", "minItems": 1, "items": LINK}, "title": {"type": "string"}},
}
COLLECTION: dict[str, Any] = {
    "type": "object",
    "required": ["id", "links"],
    "properties": {
        "id": {"type": "string"},
        "links": {"type": "array", "minItems": 1, "items": LINK},
        "extent": {
            "type": "object",
            "properties": {
                "spatial": {
                    "type": "object",
                    "required": ["bbox"],
                    "properties": {
                        "bbox": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "array", "items": {"type": "number"}},
                        }
                    },
                }
            },
        },
        "crs": {"type": "array", "items": {"type": "string"}},
    },
}


def get(api: httpx.Client, path: str, **query: str) -> Any:
    answer = api.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def hrefs(document: Any, rel: str) -> list[str]:
    return [link["href"] for link in document["links"] if link["rel"] == rel]


@pytest.mark.conformance(f"{ONE}/core", f"{ONE}/landing-page", f"{ONE}/json")
def test_the_landing_page_leads_to_the_description_and_the_classes(api: httpx.Client) -> None:
    document = get(api, "/")
    jsonschema.validate(document, LANDING)
    for rel in ("service-desc", "conformance", "data", "self", "alternate"):
        for href in hrefs(document, rel):
            assert api.get(href).status_code == 200
        assert hrefs(document, rel), rel


@pytest.mark.conformance(f"{ONE}/core", f"{ONE}/landing-page")
def test_every_link_of_the_landing_page_answers_in_the_form_it_names(api: httpx.Client) -> None:
    """``jobs`` are those of a caller who is known; all else is open."""
    for link in get(api, "/")["links"]:
        small = "&width=64" if "/map?" in link["href"] else ""
        answer = api.get(link["href"] + small, headers=as_who("digger"))
        assert answer.status_code == 200, link
        assert answer.headers["content-type"].partition(";")[0] == link["type"].partition(";")[0], link


@pytest.mark.conformance(f"{ONE}/core", f"{ONE}/landing-page", f"{ONE}/json")
def test_the_classes_are_whole_addresses_named_once(api: httpx.Client) -> None:
    classes = get(api, "/conformance")["conformsTo"]
    assert len(classes) == len(set(classes))
    assert all(uri.startswith("http://www.opengis.net/spec/") and "/conf/" in uri for uri in classes)


@pytest.mark.conformance(f"{ONE}/core")
@pytest.mark.parametrize("path", [*PAGES, "/collections/buildings/queryables", "/styles", "/tileMatrixSets"])
@pytest.mark.parametrize("query", [{"unknown": "1"}, {"f": "nothing"}])
def test_a_parameter_or_value_that_is_not_known_is_refused(
    api: httpx.Client, path: str, query: dict[str, str]
) -> None:
    answer = api.get(path, params=query)
    assert answer.status_code in (400, 406)
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == answer.status_code
    assert problem["detail"]


@pytest.mark.conformance(f"{ONE}/core")
def test_what_is_not_there_is_404_and_a_method_that_is_not_offered_405(api: httpx.Client) -> None:
    assert api.get("/nothing-here").status_code == 404
    assert api.get("/collections/nothing-here").status_code == 404
    refused = api.post("/collections", json={})
    assert refused.status_code == 405
    assert "GET" in refused.headers["allow"]


@pytest.mark.conformance(f"{ONE}/html")
@pytest.mark.parametrize("path", PAGES)
def test_documents_are_html_for_browsers_and_json_for_programs(api: httpx.Client, path: str) -> None:
    for options in ({"params": {"f": "html"}}, {"headers": {"Accept": "text/html,*/*;q=0.8"}}):
        answer = api.get(path, **options)  # type: ignore[arg-type]  # options vary
        assert (answer.status_code, answer.headers["content-type"][:9]) == (200, "text/html")
        assert 'charset="utf-8"' in answer.text.lower()
        assert answer.text.lstrip().lower().startswith("<!doctype html>")
        HTMLParser().feed(answer.text)
    for options in ({"params": {"f": "json"}}, {"headers": {"Accept": "application/json"}}):
        answer = api.get(path, **options)  # type: ignore[arg-type]  # options vary
        assert answer.headers["content-type"].startswith("application/json")
        assert "text/html" in {link.get("type") for link in answer.json().get("links", [])} or path == (
            "/conformance"
        )


@pytest.mark.conformance(f"{ONE}/oas30")
@pytest.mark.parametrize("who", ["anonymous", "owner-a"])
def test_the_description_is_valid_openapi_and_whole_in_itself(api: httpx.Client, who: str) -> None:
    answer = api.get("/openapi", headers=as_who(who))
    assert answer.headers["content-type"] == OPENAPI
    document = answer.json()
    assert list(OpenAPIV30SpecValidator(document).iter_errors()) == []
    assert all(reference.startswith("#/") for reference in _references(document))
    identifiers = [
        operation["operationId"]
        for item in document["paths"].values()
        for operation in item.values()
        if "operationId" in operation
    ]
    assert len(identifiers) == len(set(identifiers))
    assert any(path.startswith("/collections/utility-lines") for path in document["paths"]) == (
        who == "owner-a"
    )


def _references(document: Any) -> list[str]:
    if isinstance(document, list):
        return [found for one in document for found in _references(one)]
    if not isinstance(document, dict):
        return []
    own = [document["$ref"]] if isinstance(document.get("$ref"), str) else []
    return own + [found for one in document.values() for found in _references(one)]


@pytest.mark.conformance(f"{TWO}/collections")
def test_collections_are_listed_with_their_links_and_extents(api: httpx.Client) -> None:
    document = get(api, "/collections")
    jsonschema.validate(document, {"type": "object", "required": ["links", "collections"]})
    names = [collection["id"] for collection in document["collections"]]
    assert len(names) == len(set(names))
    assert {"buildings", "streets", "catalogue"} <= set(names)
    assert hrefs(document, "self")
    for collection in document["collections"]:
        jsonschema.validate(collection, COLLECTION)
        for box in collection.get("extent", {}).get("spatial", {}).get("bbox", []):
            west, south, east, north = box if len(box) == 4 else (*box[:2], *box[3:5])
            assert -180 <= west <= east <= 180
            assert -90 <= south <= north <= 90


@pytest.mark.conformance(f"{TWO}/collections")
def test_a_collection_alone_tells_what_the_list_tells(api: httpx.Client) -> None:
    for listed in get(api, "/collections")["collections"]:
        alone = get(api, f"/collections/{listed['id']}")
        jsonschema.validate(alone, COLLECTION)
        for member in ("id", "title", "description", "extent", "crs", "storageCrs", "itemType"):
            assert alone.get(member) == listed.get(member), (listed["id"], member)
        assert hrefs(alone, "self")
