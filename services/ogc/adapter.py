"""The routes under ``/ogc``: a request becomes one call of a pygeoapi function, its answer a response.

The engine's functions are plain Python that holds the interpreter lock; one thread a process runs them, which
is faster than several that take turns. Executing a process may wait for half a minute and runs elsewhere.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from collections.abc import Collection as Names
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import orjson
from anyio import CapacityLimiter, to_thread
from pygeoapi.api import (
    APIRequest,
    conformance,
    describe_collections,
    get_collection_schema,
    itemtypes,
    landing_page,
    processes,
)
from pygeoapi.util import render_j2_template
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from geoinfra.access import Access, Visibility
from geoinfra.errors import InvalidInput, NotFound
from geoinfra.storage import Store
from geoinfra.storage.collections import Collection
from geoinfra.storage.deliveries import DatasetView
from services.catalogue import Present, PresentCatalogue
from services.errors import problem_of
from services.ogc import parameters, styles
from services.ogc.call import Caller, FeatureCall, ItemsRequest
from services.ogc.engine import encode
from services.ogc.provider import is_queryable
from services.ogc.views import View, Views

__all__ = ["OgcService"]

_OPEN_MAX_AGE_S = 60
_VARY = "Accept, Accept-Language, Authorization, Cookie"
_PRIVATE = {"Cache-Control": "private, no-store"}
_KEPT_HEADERS = ("Content-Type", "Content-Language", "Content-Crs", "Location", "Preference-Applied")
_OPENAPI_TYPE = "application/vnd.oai.openapi+json;version=3.0"

type EngineFunction = Callable[..., tuple[Mapping[str, str], int, str | bytes]]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request as the engine's thread needs it: nothing to await is left."""

    request: Request
    body: bytes
    access: Access
    present: Present
    view: View

    @property
    def query(self) -> QueryParams:
        return self.request.query_params

    @property
    def as_html(self) -> bool:
        wanted = self.query.get("f")
        return wanted == "html" or (wanted is None and _prefers_html(self.request.headers.get("accept", "")))


class OgcService:
    """The OGC APIs over one store.

    Parameters
    ----------
    public_url
        Address of the whole application as clients reach it, without a slash at its end.
    access_of
        Tells who sent a request; raises ``NotAuthenticated`` for a bad token.
    """

    def __init__(self, store: Store, *, public_url: str, access_of: Callable[[Request], Access]) -> None:
        self._store = store
        self._url = f"{public_url.rstrip('/')}/ogc"
        self._access_of = access_of
        self._catalogue = PresentCatalogue(store)
        self._views = Views(self._url)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ogc")
        self._drawing = CapacityLimiter(1)

    def route(self) -> BaseRoute:
        """Return the mount of all routes."""
        get = self._get
        return Mount(
            "/ogc",
            routes=[
                Route("/", get(self._landing)),
                Route("/openapi", get(self._openapi)),
                Route("/conformance", get(self._conformance)),
                Route("/collections", get(self._collections)),
                Route("/collections/{collection}", get(self._collection)),
                Route("/collections/{collection}/schema", get(self._schema)),
                Route("/collections/{collection}/queryables", get(self._queryables)),
                Route("/collections/{collection}/items", get(self._items)),
                Route("/collections/{collection}/items/{item:path}", get(self._item)),
                Route("/collections/{collection}/styles", get(self._collection_styles)),
                Route("/styles", get(self._styles)),
                Route("/styles/{style}", self._made(self._style)),
                Route("/styles/{style}/metadata", get(self._style_metadata)),
                Route("/styles/{style}/legend", self._made(self._legend)),
                Route("/styles/{style}/sprite{ratio}.{form}", self._made(self._sprite)),
                Route("/styles/{style}/sprite.{form}", self._made(self._sprite)),
                Route("/processes", get(self._processes)),
                Route("/processes/{process}", get(self._process)),
                Route("/processes/{process}/execution", self._execute, methods=["POST"]),
                Route("/jobs", get(self._jobs)),
                Route("/jobs/{job}", get(self._job)),
                Route("/jobs/{job}/results", get(self._results)),
            ],
        )

    def landing(self) -> BaseRoute:
        """Return the route of the address without a slash, which the engine's links use."""
        return Route("/ogc", self._get(self._landing))

    def _get(self, answer: Callable[[_Asked], Response]) -> Callable[[Request], Any]:
        """Make an endpoint of a function that runs in the engine's thread."""

        async def endpoint(request: Request) -> Response:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, lambda: answer(self._asked(request)))

        return endpoint

    def _made(self, answer: Callable[[_Asked], Response]) -> Callable[[Request], Any]:
        """Make an endpoint of a function that may draw for seconds, once for each style."""

        async def endpoint(request: Request) -> Response:
            return await to_thread.run_sync(lambda: answer(self._asked(request)), limiter=self._drawing)

        return endpoint

    def _asked(self, request: Request, body: bytes = b"") -> _Asked:
        access = self._access_of(request)
        present = self._catalogue.now()
        return _Asked(request, body, access, present, self._views.of(present, access))

    # Documents of the service

    def _landing(self, asked: _Asked) -> Response:
        parameters.require_known(asked.query, parameters.COMMON)
        response = self._unbound(asked, landing_page)
        if asked.as_html:
            return response
        document = orjson.loads(response.body)
        href = f"{self._url}/styles?f=json"
        document["links"].append({"rel": styles.RELATION, "type": "application/json", "href": href})
        response.body = encode(document)
        response.headers["Content-Length"] = str(len(response.body))
        return response

    def _conformance(self, asked: _Asked) -> Response:
        parameters.require_known(asked.query, parameters.COMMON)
        return self._unbound(asked, conformance)

    def _unbound(self, asked: _Asked, function: EngineFunction, *names: str) -> Response:
        """Answer a document that tells nothing about rows."""
        view = asked.view.bind(self._caller(asked))
        response = _run(asked, view, function, *names)
        response.headers["Cache-Control"] = f"public, max-age={_OPEN_MAX_AGE_S}"
        response.headers["Vary"] = _VARY
        return response

    def _openapi(self, asked: _Asked) -> Response:
        parameters.require_known(asked.query, ("f",))
        calls = self._calls(asked)
        caching = self._caching(asked, *((call.collection, call.view) for call in calls))
        document = asked.view.openapi_document({call.collection.id: call.view for call in calls})
        return Response(encode(document), headers=caching, media_type=_OPENAPI_TYPE)

    # Collections

    def _collections(self, asked: _Asked) -> Response:
        parameters.require_known(asked.query, parameters.COMMON)
        calls = self._calls(asked)
        caching = self._caching(asked, *((call.collection, call.view) for call in calls))
        if _is_fresh(asked, caching):
            return Response(status_code=304, headers=caching)
        view = asked.view.bind(self._caller(asked), *calls)
        return _with(_run(asked, view, describe_collections), caching)

    def _caller(self, asked: _Asked) -> Caller:
        return Caller(self._store, asked.access)

    def _calls(self, asked: _Asked) -> list[FeatureCall]:
        """Return every collection of the view with what the principal may see of it."""
        return [
            FeatureCall(collection, asked.present.view(asked.access, collection), with_extent=True)
            for collection in asked.view.collections.values()
        ]

    def _collection(self, asked: _Asked) -> Response:
        return self._about_collection(asked, describe_collections, parameters.COMMON)

    def _schema(self, asked: _Asked) -> Response:
        return self._about_collection(asked, get_collection_schema, parameters.COMMON)

    def _queryables(self, asked: _Asked) -> Response:
        return self._about_collection(asked, itemtypes.get_collection_queryables, parameters.QUERYABLES)

    def _about_collection(self, asked: _Asked, function: EngineFunction, known: Names[str]) -> Response:
        parameters.require_known(asked.query, known)
        collection, pinned = self._of(asked)
        caching = self._caching(asked, (collection, pinned))
        if _is_fresh(asked, caching):
            return Response(status_code=304, headers=caching)
        call = FeatureCall(
            collection, pinned, comparable_only=known is parameters.QUERYABLES, with_extent=True
        )
        view = asked.view.bind(self._caller(asked), call)
        return _with(_run(asked, view, function, collection.id), caching)

    def _of(self, asked: _Asked) -> tuple[Collection, DatasetView]:
        """Return the collection that the path names, if it exists in the principal's view."""
        collection = asked.view.collections.get(asked.request.path_params["collection"])
        if collection is None:
            raise NotFound("There is no such collection.", hint=f"See {self._url}/collections.")
        return collection, asked.present.view(asked.access, collection)

    # Features

    def _items(self, asked: _Asked) -> Response:
        collection, pinned = self._of(asked)
        names = {column.name for column in pinned.schema.public_columns if is_queryable(column)}
        parameters.require_known(asked.query, parameters.ITEMS.union(names))
        caching = self._caching(asked, (collection, pinned))
        if _is_fresh(asked, caching):
            return Response(status_code=304, headers=caching)
        url = f"{self._url}/collections/{collection.id}/items"
        wanted = parameters.items_request(asked.query, url, encoded=not asked.as_html)
        return self._features(asked, collection, pinned, wanted, caching, itemtypes.get_collection_items)

    def _item(self, asked: _Asked) -> Response:
        collection, pinned = self._of(asked)
        parameters.require_known(asked.query, parameters.ITEM)
        caching = self._caching(asked, (collection, pinned))
        if _is_fresh(asked, caching):
            return Response(status_code=304, headers=caching)
        wanted = ItemsRequest(encoded=not asked.as_html)
        identifier = asked.request.path_params["item"]
        return self._features(
            asked, collection, pinned, wanted, caching, itemtypes.get_collection_item, identifier
        )

    def _features(
        self,
        asked: _Asked,
        collection: Collection,
        pinned: DatasetView,
        wanted: ItemsRequest,
        caching: Mapping[str, str],
        function: EngineFunction,
        *names: str,
    ) -> Response:
        view = asked.view.bind(self._caller(asked), FeatureCall(collection, pinned, wanted))
        response = _run(asked, view, function, collection.id, *names)
        if not asked.as_html:
            response.headers["Content-Type"] = "application/geo+json"
        if collection.visibility is Visibility.GRANTED:
            details = {"path": asked.request.url.path, "query": str(asked.query)[:2000]}
            self._store.audit.append("features.read", asked.access, collection.id, details)
        return _with(response, caching)

    # Styles

    def _styles(self, asked: _Asked) -> Response:
        parameters.require_known(asked.query, parameters.COMMON)
        document = styles.style_list(self._url, f"{self._url}/styles", _language(asked))
        return self._styles_page(asked, document, "styles/index.html")

    def _collection_styles(self, asked: _Asked) -> Response:
        parameters.require_known(asked.query, parameters.COMMON)
        collection, pinned = self._of(asked)
        if not styles.styles_apply(collection):
            raise NotFound("No style draws this collection.", hint=f"See {self._url}/styles.")
        own_url = f"{self._url}/collections/{collection.id}/styles"
        document = styles.style_list(self._url, own_url, _language(asked), collection.id)
        response = self._styles_page(asked, document, "styles/index.html")
        return _with(response, self._caching(asked, (collection, pinned)))

    def _style_metadata(self, asked: _Asked) -> Response:
        parameters.require_known(asked.query, parameters.COMMON)
        entry = styles.style_entry(asked.request.path_params["style"])
        document = styles.metadata(self._url, entry, _language(asked))
        return self._styles_page(asked, document, "styles/metadata.html")

    def _styles_page(self, asked: _Asked, document: dict[str, Any], template: str) -> Response:
        """Answer a document about styles as JSON or as a page."""
        if not asked.as_html:
            return _lasting(asked, encode(document), "application/json")
        config = asked.view.config
        locale = APIRequest(asked.request, asked.view.locales).locale
        page = render_j2_template(config, config["server"]["templates"], template, document, locale)
        return _lasting(asked, page.encode(), "text/html; charset=utf-8")

    def _style(self, asked: _Asked) -> Response:
        _require_once(asked.query, {"f", "lang", "collection"})
        collection = asked.query.get("collection", "")
        if collection and collection not in styles.DRAWN_COLLECTIONS:
            raise InvalidInput(
                "No style draws this collection.",
                hint=f"collection is {' or '.join(styles.DRAWN_COLLECTIONS)}.",
            )
        made = styles.stylesheet(
            styles.style_entry(asked.request.path_params["style"]),
            asked.query.get("f"),
            asked.request.headers.get("accept", ""),
            _language(asked),
            url=self._url.removesuffix("/ogc"),
            collection=collection,
        )
        return _lasting(asked, *made)

    def _legend(self, asked: _Asked) -> Response:
        _require_once(asked.query, {"f", "lang"})
        entry = styles.style_entry(asked.request.path_params["style"])
        accept = asked.request.headers.get("accept", "")
        return _lasting(asked, *styles.legend(entry, asked.query.get("f"), accept, _language(asked)))

    def _sprite(self, asked: _Asked) -> Response:
        _require_once(asked.query, set())
        names = asked.request.path_params
        ratio = {"": 1, "@2x": 2}.get(names.get("ratio", ""))
        if ratio is None or names["form"] not in ("json", "png"):
            raise NotFound("There is no such sprite.", hint="sprite.json, sprite.png, @2x before the dot.")
        return _lasting(asked, *styles.sprite(styles.style_entry(names["style"]), ratio, names["form"]))

    # Processes

    def _processes(self, asked: _Asked) -> Response:
        parameters.require_known(asked.query, parameters.COMMON | {"limit"})
        return self._unbound(asked, processes.describe_processes)

    def _process(self, asked: _Asked) -> Response:
        parameters.require_known(asked.query, parameters.COMMON)
        name = asked.request.path_params["process"]
        return _typed_refusal(lambda: self._unbound(asked, processes.describe_processes, name))

    async def _execute(self, request: Request) -> Response:
        body = await request.body()
        if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
            raise InvalidInput("The body must be JSON.", hint="Content-Type: application/json")
        return await run_in_threadpool(lambda: self._executed(self._asked(request, body)))

    def _executed(self, asked: _Asked) -> Response:
        parameters.require_known(asked.query, parameters.COMMON)
        _require_inputs(asked.body)
        return self._of_jobs(asked, processes.execute_process, asked.request.path_params["process"])

    def _jobs(self, asked: _Asked) -> Response:
        parameters.require_known(asked.query, parameters.PAGED)
        return self._of_jobs(asked, processes.get_jobs)

    def _job(self, asked: _Asked) -> Response:
        parameters.require_known(asked.query, parameters.COMMON)
        return self._of_jobs(asked, processes.get_jobs, asked.request.path_params["job"])

    def _results(self, asked: _Asked) -> Response:
        parameters.require_known(asked.query, parameters.COMMON)
        return self._of_jobs(asked, processes.get_job_result, asked.request.path_params["job"])

    def _of_jobs(self, asked: _Asked, function: EngineFunction, *names: str) -> Response:
        if asked.query.get("f") == "html":
            raise InvalidInput("Jobs have no HTML pages.", hint="Use f=json.")
        view = asked.view.bind(self._caller(asked))
        response = _typed_refusal(lambda: _run(asked, view, function, *names, as_html=False))
        return response if response.status_code >= 400 else _with(response, _PRIVATE)

    def _caching(self, asked: _Asked, *shown: tuple[Collection, DatasetView]) -> dict[str, str]:
        """Return the caching headers of an answer about these collections."""
        if any(collection.visibility is Visibility.GRANTED for collection, _ in shown):
            return dict(_PRIVATE)
        facts = [
            self._url,
            asked.request.url.path,
            str(asked.query),
            "html" if asked.as_html else "json",
            asked.request.headers.get("accept-language", ""),
            *(f"{collection}:{view.version}" for collection, view in shown),
        ]
        digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:32]
        return {
            "Cache-Control": f"public, max-age={_OPEN_MAX_AGE_S}",
            "ETag": f'W/"{digest}"',
            "Vary": _VARY,
        }


def _run(
    asked: _Asked, view: View, function: EngineFunction, *names: str, as_html: bool | None = None
) -> Response:
    """Call one of pygeoapi's functions and make a response of its answer."""
    request = APIRequest(asked.request, view.locales)
    request._data = asked.body
    request._format = "html" if (asked.as_html if as_html is None else as_html) else "json"
    headers, status, content = function(view, request, *names)
    kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
    return Response(content, int(status), kept)


def _lasting(asked: _Asked, content: bytes, media_type: str) -> Response:
    """Answer what depends on no row, with an entity tag."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {
        "Cache-Control": "public, max-age=3600",
        "ETag": tag,
        "Vary": _VARY,
        "Content-Type": media_type,
    }
    if _is_fresh(asked, headers):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers)


def _language(asked: _Asked) -> str:
    return str(APIRequest(asked.request, asked.view.locales).locale.language)


def _require_once(query: QueryParams, known: Names[str]) -> None:
    """Raise unless every parameter is known and given once; the form is judged by who offers it."""
    parameters.require_known(QueryParams([item for item in query.multi_items() if item[0] != "f"]), known)
    if len(query.getlist("f")) > 1 or (query.getlist("f") and "f" not in known):
        raise InvalidInput("The parameter 'f' is given twice or not known here.", hint="Give it once.")


def _typed_refusal(answer: Callable[[], Response]) -> Response:
    """Give a missing process, job or result the problem type that OGC API Processes prescribes."""
    try:
        return answer()
    except NotFound as error:
        if "exception" not in error.details:
            raise
        document = orjson.loads(problem_of(error).body)
        document["type"] = document.pop("exception")
        kept = {"Cache-Control": "no-store"}
        return Response(orjson.dumps(document), 404, kept, "application/problem+json")


def _with(response: Response, headers: Mapping[str, str]) -> Response:
    response.headers.update(headers)
    return response


def _is_fresh(asked: _Asked, caching: Mapping[str, str]) -> bool:
    """Whether the client holds this answer already."""
    held = asked.request.headers.get("if-none-match")
    tag = caching.get("ETag")
    return held is not None and tag is not None and tag in (part.strip() for part in held.split(","))


def _prefers_html(accept: str) -> bool:
    """Whether a browser asks: HTML stands before any JSON in what it accepts."""
    for part in accept.split(","):
        kind = part.split(";")[0].strip()
        if kind in ("text/html", "application/xhtml+xml"):
            return True
        if kind.endswith(("json", "*/*")):
            return False
    return False


def _require_inputs(body: bytes) -> None:
    """Raise unless an execute request is a JSON object with an object of inputs."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidInput("The body is not JSON.", hint='Send {"inputs": {...}}.') from None
    if not isinstance(document, dict) or not isinstance(document.get("inputs"), dict):
        raise InvalidInput("The body holds no inputs.", hint='Send {"inputs": {...}}.')
