"""The routes of OGC API Records: one catalogue of records, in JSON, HTML, GeoDCAT-AP and ISO 19115-3."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from pygeoapi.api import APIRequest
from pygeoapi.util import render_j2_template
from starlette.datastructures import QueryParams
from starlette.responses import Response
from starlette.routing import Route

from geoinfra.access import Visibility
from geoinfra.errors import InvalidInput, NotFound
from geoinfra.storage.collections import Collection
from services.ogc import dcat, iso19115
from services.ogc.asked import PRIVATE, Asked, is_fresh, public, require_once
from services.ogc.part import Serve
from services.ogc.record_filters import QUERYABLES
from services.ogc.record_query import PARAMETERS, SORTABLES, Page, page_of
from services.ogc.records import CATALOGUE, Resource, catalogue_document, record, resources, title_of

__all__ = ["CONFORMANCE_RECORDS", "RecordsPart", "catalogue_in_list"]

CONFORMANCE_RECORDS: Final = tuple(
    f"http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/{name}"
    for name in (
        "record-core",
        "record-collection",
        "record-core-query-parameters",
        "records-api",
        "searchable-catalog",
        "searchable-catalog/sorting",
        "searchable-catalog/filtering",
        "sorting",
        "cql-filter",
        "json",
        "html",
        "oas30",
    )
)

_TYPES: Final = {
    "json": "application/geo+json",
    "html": "text/html; charset=utf-8",
    "jsonld": "application/ld+json",
    "rdfxml": "application/rdf+xml",
    "iso19115": "application/xml",
}
_ACCEPTED: Final = {
    "application/ld+json": "jsonld",
    "application/rdf+xml": "rdfxml",
    "application/xml": "iso19115",
    "text/xml": "iso19115",
}
_PATH: Final = f"/collections/{CATALOGUE}"


class RecordsPart:
    """OGC API Records 1.0 part 1 over everything that is served."""

    conformance = CONFORMANCE_RECORDS

    def routes(self, serve: Serve) -> list[Route]:
        """Return the routes, relative to the service's address; they stand before those of collections."""
        return [
            Route(_PATH, serve.computed(_catalogue)),
            Route(f"{_PATH}/queryables", serve.computed(_queryables)),
            Route(f"{_PATH}/sortables", serve.computed(_sortables)),
            Route(f"{_PATH}/items", serve.computed(_records)),
            Route(f"{_PATH}/items/{{record}}", serve.computed(_record)),
        ]

    def landing_links(self, url: str) -> list[dict[str, str]]:
        """Return the link to the catalogue."""
        return [
            {
                "rel": "http://www.opengis.net/def/rel/ogc/1.0/ogc-catalog",
                "type": "application/json",
                "title": "Catalogue",
                "href": f"{url}{_PATH}?f=json",
            }
        ]

    def collection_links(self, url: str, collection: Collection) -> list[dict[str, str]]:
        """Return the link to the record of a collection."""
        href = f"{url}{_PATH}/items/dataset.{collection.id}"
        return [
            {
                "rel": "describedby",
                "type": "application/geo+json",
                "title": "Record in the catalogue",
                "href": f"{href}?f=json",
            }
        ]

    def openapi_paths(self) -> Mapping[str, Any]:
        """Return the paths for the OpenAPI document."""
        return _openapi_paths()


def catalogue_in_list(asked: Asked) -> dict[str, Any]:
    """Return the catalogue as it stands in the list of collections."""
    return catalogue_document(resources(asked), asked.url, asked.language, asked.operator)


# --- Answers


def _format(asked: Asked) -> str:
    wanted = asked.query.get("f")
    if wanted is None:
        accept = asked.request.headers.get("accept", "")
        for part in accept.split(","):
            kind = part.split(";")[0].strip()
            if kind in _ACCEPTED:
                return _ACCEPTED[kind]
            if kind in ("*/*", "text/html") or kind.endswith("json"):
                break
        return "html" if asked.as_html else "json"
    if wanted not in _TYPES:
        raise InvalidInput(
            f"The format '{wanted[:40]}' is not offered.", hint=f"Use one of {', '.join(_TYPES)}."
        )
    return wanted


def _headers(asked: Asked, some: Sequence[Resource], form: str) -> dict[str, str]:
    if any(c.visibility is Visibility.GRANTED for c in asked.view.collections.values()):
        return dict(PRIVATE)
    return public(asked, form, asked.operator.name, *map(repr, some))


def _answer(content: bytes, form: str, headers: Mapping[str, str], *, media_type: str = "") -> Response:
    return Response(content, headers={**headers, "Content-Type": media_type or _TYPES[form]})


def _other_form(
    asked: Asked, some: Sequence[Resource], form: str, *, whole: bool, headers: Mapping[str, str]
) -> Response:
    operator = asked.operator
    if form == "iso19115":
        if whole:
            content = iso19115.metadata_list_xml(some, asked.url, asked.language, operator)
        else:
            content = iso19115.metadata_xml(some[0], asked.url, asked.language, operator)
        return _answer(content, form, headers)
    granted = frozenset(
        f"dataset.{c.id}" for c in asked.view.collections.values() if c.visibility is Visibility.GRANTED
    )
    if form == "rdfxml":
        return _answer(dcat.rdfxml(some, asked.url, operator, whole=whole, granted=granted), form, headers)
    return _answer(
        orjson.dumps(dcat.jsonld(some, asked.url, operator, whole=whole, granted=granted)), form, headers
    )


def _page(asked: Asked, template: str, content: dict[str, Any], headers: Mapping[str, str]) -> Response:
    config = asked.view.config
    locale = APIRequest(asked.request, asked.view.locales).locale
    page = render_j2_template(config, config["server"]["templates"], template, content, locale)
    return _answer(page.encode(), "html", headers)


def _catalogue(asked: Asked) -> Response:
    require_once(asked.query, {"f", "lang"})
    form, found = _format(asked), resources(asked)
    headers = _headers(asked, found, form)
    if is_fresh(asked, headers):
        return Response(status_code=304, headers=headers)
    if form not in ("json", "html"):
        return _other_form(asked, found, form, whole=True, headers=headers)
    document = catalogue_document(found, asked.url, asked.language, asked.operator)
    if form == "html":
        return _page(asked, "records/catalogue.html", document, headers)
    return _answer(orjson.dumps(document), form, headers, media_type="application/json")


def _records(asked: Asked) -> Response:
    require_once(asked.query, PARAMETERS)
    form, found = _format(asked), resources(asked)
    headers = _headers(asked, found, form)
    if is_fresh(asked, headers):
        return Response(status_code=304, headers=headers)
    by_id = {one.id: one for one in found}
    made = [record(one, asked.url, asked.language, asked.operator) for one in found]
    page = page_of(made, asked.query)
    if form not in ("json", "html"):
        chosen = [by_id[one["id"]] for one in page.records]
        return _other_form(asked, chosen, form, whole=True, headers=headers)
    document = {
        "type": "FeatureCollection",
        "features": list(page.records),
        "numberMatched": page.matched,
        "numberReturned": len(page.records),
        "links": _page_links(asked, page),
    }
    if form == "html":
        return _page(asked, "records/index.html", {**document, "title": title_of(asked.language)}, headers)
    return _answer(orjson.dumps(document), form, headers)


def _page_links(asked: Asked, page: Page) -> list[dict[str, str]]:
    own = f"{asked.url}{_PATH}/items"
    links = [_link(asked.query, own, "self", "json", "This page", page.offset)]
    links += [
        _link(asked.query, own, "alternate", form, form, page.offset)
        for form in ("html", "jsonld", "rdfxml", "iso19115")
    ]
    following, before = page.offset + page.limit, max(page.offset - page.limit, 0)
    if following < page.matched:
        links.append(_link(asked.query, own, "next", "json", "Next page", following))
    if page.offset:
        links.append(_link(asked.query, own, "prev", "json", "Page before", before))
    collection = f"{asked.url}{_PATH}?f=json"
    links.append({"rel": "collection", "type": "application/json", "title": "Catalogue", "href": collection})
    return links


def _link(query: QueryParams, own: str, rel: str, form: str, title: str, offset: int) -> dict[str, str]:
    kept = {name: value for name, value in query.items() if name not in ("f", "offset")}
    if offset:
        kept["offset"] = str(offset)
    text = urllib.parse.urlencode({**kept, "f": form}, safe=",:/")
    return {"rel": rel, "type": _TYPES[form].partition(";")[0], "title": title, "href": f"{own}?{text}"}


def _record(asked: Asked) -> Response:
    require_once(asked.query, {"f", "lang"})
    form, found = _format(asked), resources(asked)
    name = asked.request.path_params["record"]
    chosen = [one for one in found if one.id == name]
    if not chosen:
        raise NotFound("There is no such record.", hint=f"See {asked.url}{_PATH}/items.")
    headers = _headers(asked, found, form)
    if is_fresh(asked, headers):
        return Response(status_code=304, headers=headers)
    if form not in ("json", "html"):
        return _other_form(asked, chosen, form, whole=False, headers=headers)
    document = record(chosen[0], asked.url, asked.language, asked.operator, alone=True)
    if form == "html":
        return _page(asked, "records/record.html", document, headers)
    return _answer(orjson.dumps(document), form, headers)


def _queryables(asked: Asked) -> Response:
    return _schema(asked, "queryables", QUERYABLES)


def _sortables(asked: Asked) -> Response:
    return _schema(asked, "sortables", SORTABLES)


def _schema(asked: Asked, name: str, properties: Mapping[str, Any]) -> Response:
    require_once(asked.query, {"f", "lang"})
    if asked.query.get("f", "json") != "json":
        raise InvalidInput("Schemas are JSON only.", hint="Use f=json.")
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{asked.url}{_PATH}/{name}",
        "type": "object",
        "title": title_of(asked.language),
        "properties": {key: dict(told) for key, told in properties.items()},
        "additionalProperties": False,
    }
    headers = public(asked, name)
    if is_fresh(asked, headers):
        return Response(status_code=304, headers=headers)
    return _answer(orjson.dumps(document), "json", headers, media_type="application/schema+json")


# --- OpenAPI


def _openapi_paths() -> dict[str, Any]:
    form = _parameter("f", {"type": "string", "enum": list(_TYPES)})
    language = _parameter("lang", {"type": "string", "enum": ["da", "en"]})
    texts = {"type": "array", "items": {"type": "string"}}
    asked = [
        _parameter("q", texts, "Words, any of which a record has"),
        _parameter("type", texts, "Types of resource"),
        _parameter("ids", texts, "Identifiers of records"),
        _parameter("externalIds", texts, "Identifiers that the resources have elsewhere"),
        _parameter("bbox", {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6}),
        _parameter("datetime", {"type": "string"}),
        _parameter("limit", {"type": "integer", "minimum": 1, "default": 20}),
        _parameter("offset", {"type": "integer", "minimum": 0, "default": 0}),
        _parameter("sortby", texts, f"Of {', '.join(SORTABLES)}; - before a name turns the order"),
        _parameter("filter", {"type": "string"}, "CQL2"),
        _parameter("filter-lang", {"type": "string", "enum": ["cql2-text", "cql2-json"]}),
        _parameter("filter-crs", {"type": "string"}),
    ]
    one = {
        "name": "recordId",
        "in": "path",
        "required": True,
        "schema": {"type": "string"},
    }
    schema, types = "application/schema+json", list(_TYPES.values())
    return {
        _PATH: _operation("The catalogue", [form, language], ["application/json", *types[1:]]),
        f"{_PATH}/queryables": _operation("What filters of records may name", [language], [schema]),
        f"{_PATH}/sortables": _operation("What records are sorted by", [language], [schema]),
        f"{_PATH}/items": _operation("Records", [form, language, *asked], types),
        f"{_PATH}/items/{{recordId}}": _operation("A record", [one, form, language], types),
    }


def _parameter(name: str, schema: Mapping[str, Any], description: str = "") -> dict[str, Any]:
    told: dict[str, Any] = {"name": name, "in": "query", "required": False, "schema": dict(schema)}
    if schema.get("type") == "array":
        told |= {"style": "form", "explode": False}
    return {**told, "description": description} if description else told


def _operation(summary: str, parameters: Sequence[Mapping[str, Any]], types: Sequence[str]) -> dict[str, Any]:
    content: dict[str, Any] = {kind.partition(";")[0]: {"schema": {}} for kind in types}
    answers: dict[str, Any] = {"200": {"description": summary, "content": content}}
    problems = {"400": "A parameter has no meaning", "404": "There is no such resource"}
    for status, description in problems.items():
        answers[status] = {"description": description, "content": {"application/problem+json": {}}}
    return {
        "get": {
            "tags": ["records"],
            "summary": summary,
            "operationId": f"records.{summary.lower().replace(' ', '-')}",
            "parameters": list(parameters),
            "responses": answers,
        }
    }
