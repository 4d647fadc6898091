"""The routes under ``/ogc``: a request becomes one call of a pygeoapi function, its answer a response.

The engine's functions are plain Python that holds the interpreter lock; one thread a process runs them, which
is faster than several that take turns.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson
from pygeoapi.api import (
    APIRequest,
    conformance,
    describe_collections,
    itemtypes,
    landing_page,
)
from pygeoapi.util import render_j2_template
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from geoinfra.access import Access, Visibility
from geoinfra.storage import Store
from geoinfra.storage.collections import Collection, Kind
from geoinfra.storage.deliveries import DatasetView
from geoinfra.storage.metadata import Contact
from geoinfra.tables import FeatureQuery
from services.catalogue import PresentCatalogue
from services.ogc import formats, items, parameters, schemas
from services.ogc.asked import NO_OPERATOR, OPEN_MAX_AGE_S, VARY, Asked, caching, is_fresh, with_
from services.ogc.bridges_part import BridgesPart
from services.ogc.call import FeatureCall, ItemsRequest, Page
from services.ogc.coverages_part import CoveragesPart
from services.ogc.edr_part import EdrPart, station_item, station_items
from services.ogc.engine import encode
from services.ogc.grid_documents import (
    by_kind,
    collection_answer,
    collection_list,
    list_headers,
    schema_answer,
)
from services.ogc.maps_part import MapsPart
from services.ogc.part import Part, Serve
from services.ogc.processes_part import ProcessesPart
from services.ogc.records_part import RecordsPart, catalogue_in_list
from services.ogc.styles_part import StylesPart
from services.ogc.tiles_part import TilesPart
from services.ogc.views import View, Views

__all__ = ["OgcService"]

PARTS: tuple[Part, ...] = (
    RecordsPart(),
    ProcessesPart(),
    StylesPart(),
    TilesPart(),
    MapsPart(),
    BridgesPart(),
    CoveragesPart(),
    EdrPart(),
)
"""The OGC APIs beside the engine."""

_MOST_NUMBERS = 500
_KEPT_HEADERS = ("Content-Type", "Content-Language", "Content-Crs")
_OPENAPI_TYPE = "application/vnd.oai.openapi+json;version=3.0"

type EngineFunction = Callable[..., tuple[Mapping[str, str], int, str | bytes]]


class OgcService:
    """The OGC APIs over one store.

    Parameters
    ----------
    public_url
        Address of the whole application as clients reach it, without a slash at its end.
    access_of
        Tells who sent a request; raises ``NotAuthenticated`` for a bad token.
    operator
        Who runs the service, as catalogues tell it.
    """

    def __init__(
        self,
        store: Store,
        *,
        public_url: str,
        access_of: Callable[[Request], Access],
        operator: Contact = NO_OPERATOR,
    ) -> None:
        self._store = store
        self._url = f"{public_url.rstrip('/')}/ogc"
        self._access_of = access_of
        self._operator = operator
        self._catalogue = PresentCatalogue(store)
        self._views = Views(self._url, PARTS)
        self._serve = Serve(self._asked)
        self._numbers: dict[tuple[str, str], int] = {}

    def route(self) -> BaseRoute:
        """Return the mount of all routes."""
        get = self._serve.computed
        return Mount(
            "/ogc",
            routes=[
                Route("/", get(self._landing)),
                Route("/openapi", get(self._openapi)),
                Route("/conformance", get(self._conformance)),
                Route("/collections", get(self._collections)),
                *(route for part in PARTS for route in part.routes(self._serve)),
                Route("/collections/{collection}", get(by_kind(self._collection, collection_answer(PARTS)))),
                Route("/collections/{collection}/schema", get(by_kind(self._schema, schema_answer))),
                Route("/collections/{collection}/queryables", get(self._queryables)),
                Route("/collections/{collection}/sortables", get(self._sortables)),
                Route("/collections/{collection}/items", get(by_kind(self._items, station_items))),
                Route("/collections/{collection}/items/{item:path}", get(by_kind(self._item, station_item))),
            ],
        )

    def landing(self) -> BaseRoute:
        """Return the route of the address without a slash, which the engine's links use."""
        return Route("/ogc", self._serve.computed(self._landing))

    def _asked(self, request: Request, body: bytes = b"") -> Asked:
        access = self._access_of(request)
        present = self._catalogue.now()
        view = self._views.of(present, access)
        return Asked(request, body, access, present, view, self._url, self._store, self._operator)

    # Documents of the service

    def _landing(self, asked: Asked) -> Response:
        parameters.require_known(asked.query, parameters.COMMON)
        response = self._unbound(asked, landing_page)
        if asked.as_html:
            return response
        document = orjson.loads(response.body)
        document["links"] += [link for part in PARTS for link in part.landing_links(self._url)]
        response.body = encode(document)
        response.headers["Content-Length"] = str(len(response.body))
        return response

    def _conformance(self, asked: Asked) -> Response:
        parameters.require_known(asked.query, parameters.COMMON)
        return self._unbound(asked, conformance)

    def _unbound(self, asked: Asked, function: EngineFunction, *names: str) -> Response:
        """Answer a document that tells nothing about rows."""
        view = asked.view.bind()
        response = _run(asked, view, function, *names)
        response.headers["Cache-Control"] = f"public, max-age={OPEN_MAX_AGE_S}"
        response.headers["Vary"] = VARY
        return response

    def _openapi(self, asked: Asked) -> Response:
        parameters.require_known(asked.query, ("f",))
        calls = self._calls(asked)
        headers = caching(asked, *((call.collection, call.view) for call in calls))
        document = asked.view.openapi_document({call.collection.id: call.view for call in calls})
        return Response(encode(document), headers=headers, media_type=_OPENAPI_TYPE)

    # Collections

    def _collections(self, asked: Asked) -> Response:
        parameters.require_known(asked.query, parameters.COMMON)
        calls = self._calls(asked)
        headers = list_headers(asked, caching(asked, *((call.collection, call.view) for call in calls)))
        if is_fresh(asked, headers):
            return Response(status_code=304, headers=headers)
        view = asked.view.bind(*calls)
        listed = orjson.loads(_run(asked, view, describe_collections, as_html=False).body)
        for described, call in zip(listed["collections"], calls, strict=True):
            self._told(described, call)
        if not asked.as_html:
            listed["collections"].append(catalogue_in_list(asked))
        return with_(collection_list(asked, listed, PARTS, headers), headers)

    def _calls(self, asked: Asked) -> list[FeatureCall]:
        """Return every collection of features of the view with what the principal may see of it."""
        return [
            FeatureCall(collection, asked.present.view(asked.access, collection), with_extent=True)
            for collection in asked.view.collections.values()
            if collection.kind is Kind.FEATURES
        ]

    def _collection(self, asked: Asked) -> Response:
        parameters.require_known(asked.query, parameters.COMMON)
        collection, pinned = asked.collection()
        headers = caching(asked, (collection, pinned))
        if is_fresh(asked, headers):
            return Response(status_code=304, headers=headers)
        call = FeatureCall(collection, pinned, with_extent=True)
        view = asked.view.bind(call)
        response = _run(asked, view, describe_collections, collection.id)
        if not asked.as_html:
            response.body = encode(self._told(orjson.loads(response.body), call))
            response.headers["Content-Length"] = str(len(response.body))
        return with_(response, headers)

    def _told(self, described: dict[str, Any], call: FeatureCall) -> dict[str, Any]:
        """Add to the engine's description of a collection what the engine does not tell."""
        key = (f"{call.collection.id} {call.collection.rule}", call.view.version)
        number = self._numbers.get(key)
        if number is None:
            number = call.view.count(FeatureQuery(equal=call.collection.rule))
            self._numbers = {**dict(list(self._numbers.items())[-_MOST_NUMBERS:]), key: number}
        described["itemCount"] = number
        described["links"] = schemas.with_schema_links(described["links"], call.collection, self._url)
        return described

    def _schema(self, asked: Asked) -> Response:
        return self._properties(asked, schemas.Purpose.RETURNED)

    def _queryables(self, asked: Asked) -> Response:
        return self._properties(asked, schemas.Purpose.QUERIED)

    def _sortables(self, asked: Asked) -> Response:
        return self._properties(asked, schemas.Purpose.SORTED)

    def _properties(self, asked: Asked, purpose: schemas.Purpose) -> Response:
        parameters.require_known(asked.query, parameters.COMMON)
        collection, pinned = asked.collection()
        headers = caching(asked, (collection, pinned))
        if is_fresh(asked, headers):
            return Response(status_code=304, headers=headers)
        language = asked.language
        document = schemas.schema_document(purpose, collection, pinned.schema, self._url, language)
        if not asked.as_html:
            return Response(encode(document), headers=headers, media_type="application/schema+json")
        config, locale = asked.view.config, APIRequest(asked.request, asked.view.locales).locale
        document |= {
            "collections_path": f"{self._url}/collections",
            "dataset_path": f"{self._url}/collections/{collection.id}",
        }
        template = f"collections/{purpose}.html"
        page = render_j2_template(config, config["server"]["templates"], template, document, locale)
        return Response(page, headers=headers, media_type="text/html")

    # Features

    def _items(self, asked: Asked) -> Response:
        collection, pinned = asked.collection()
        names = {items.IDENTIFIER, *(column.name for column in items.comparable(pinned.schema))}
        parameters.require_known(asked.query, parameters.ITEMS | names, formats.NAMES)
        headers = caching(asked, (collection, pinned))
        if is_fresh(asked, headers):
            return Response(status_code=304, headers=headers)
        url = f"{self._url}/collections/{collection.id}/items"
        wanted = parameters.items_request(asked.query, url, encoded=not asked.as_html)
        others = formats.links(url, "alternate", query=_without_format(asked))
        page = items.items_page(asked.query, collection, pinned, wanted)
        wanted = replace(wanted, links=others, page=page)
        return self._features(asked, collection, pinned, wanted, page, headers)

    def _item(self, asked: Asked) -> Response:
        collection, pinned = asked.collection()
        parameters.require_known(asked.query, parameters.ITEM, formats.NAMES)
        headers = caching(asked, (collection, pinned))
        if is_fresh(asked, headers):
            return Response(status_code=304, headers=headers)
        identifier = asked.request.path_params["item"]
        url = f"{self._url}/collections/{collection.id}/items/{urllib.parse.quote(identifier, safe='')}"
        others = formats.links(url, "alternate", query=_without_format(asked))
        page = items.item_page(asked.query, collection, pinned, identifier)
        wanted = ItemsRequest(encoded=not asked.as_html, links=others, page=page)
        return self._features(asked, collection, pinned, wanted, page, headers)

    def _features(
        self,
        asked: Asked,
        collection: Collection,
        pinned: DatasetView,
        wanted: ItemsRequest,
        page: Page,
        headers: Mapping[str, str],
    ) -> Response:
        form = formats.chosen(asked.query, asked.request.headers.get("accept", ""))
        if form.of_engine:
            response = self._by_engine(asked, collection, pinned, wanted, as_html=form.name == "html")
        else:
            response = formats.answer(asked, form, collection, pinned, page, items.headers(asked))
        if collection.visibility is Visibility.GRANTED:
            details = {"path": asked.request.url.path, "query": str(asked.query)[:2000]}
            self._store.audit.append("features.read", asked.access, collection.id, details)
        return with_(response, headers)

    def _by_engine(
        self,
        asked: Asked,
        collection: Collection,
        pinned: DatasetView,
        wanted: ItemsRequest,
        *,
        as_html: bool,
    ) -> Response:
        """Let the engine make the answer of a page that was read."""
        view = asked.view.bind(FeatureCall(collection, pinned, wanted))
        item = None if wanted.page is None else wanted.page.item
        if item is None:
            response = _run(asked, view, itemtypes.get_collection_items, collection.id, as_html=as_html)
        else:
            response = _run(asked, view, itemtypes.get_collection_item, collection.id, item, as_html=as_html)
        if not as_html:
            response.headers["Content-Type"] = "application/geo+json"
        return response


def _without_format(asked: Asked) -> str:
    """Return the query without ``f``, encoded."""
    return urllib.parse.urlencode([p for p in asked.query.multi_items() if p[0] != "f"], safe=",:/")


def _run(
    asked: Asked, view: View, function: EngineFunction, *names: str, as_html: bool | None = None
) -> Response:
    """Call one of pygeoapi's functions and make a response of its answer."""
    request = APIRequest(asked.request, view.locales)
    request._data = asked.body
    request._format = "html" if (asked.as_html if as_html is None else as_html) else "json"
    request._args = {**request._args, "f": request._format}  # it knows no other formats
    headers, status, content = function(view, request, *names)
    kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
    return Response(content, int(status), kept)
