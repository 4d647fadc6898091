"""A request as the OGC routes see it, and the answers that may be kept."""

from __future__ import annotations

import hashlib
from collections.abc import Collection as Names
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pygeoapi.api import APIRequest
from pygeoapi.util import render_j2_template
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from geoinfra.access import Access, Visibility
from geoinfra.errors import InvalidInput, NotFound
from geoinfra.storage import Store
from geoinfra.storage.collections import Collection, Kind
from geoinfra.storage.deliveries import DatasetView
from geoinfra.storage.metadata import Contact
from services.catalogue import Present
from services.http import weighted
from services.ogc import parameters
from services.ogc.engine import encode
from services.ogc.views import View

__all__ = [
    "NO_OPERATOR",
    "OPEN_MAX_AGE_S",
    "PRIVATE",
    "VARY",
    "Asked",
    "caching",
    "document",
    "is_fresh",
    "lasting",
    "public",
    "require_once",
    "with_",
]

OPEN_MAX_AGE_S: Final = 60
VARY: Final = "Accept, Accept-Language, Authorization, Cookie"
PRIVATE: Final = {"Cache-Control": "private, no-store"}
NO_OPERATOR: Final = Contact("geoinfra", role="publisher")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as a thread needs it: nothing to await is left.

    Attributes
    ----------
    url
        Public address of the OGC service, without a slash at its end.
    present, view
        The catalogue of this moment, and the principal's view of it.
    store
        What the rows come from, and where reads of granted rows are noted.
    operator
        Who runs the service.
    """

    request: Request
    body: bytes
    access: Access
    present: Present
    view: View
    url: str
    store: Store
    operator: Contact = NO_OPERATOR

    @property
    def query(self) -> QueryParams:
        """The query parameters."""
        return self.request.query_params

    @property
    def as_html(self) -> bool:
        """Whether a page is wanted, by ``f`` or else by the Accept header."""
        wanted = self.query.get("f")
        return wanted == "html" or (wanted is None and _prefers_html(self.request.headers.get("accept", "")))

    @property
    def language(self) -> str:
        """``en`` or ``da``, by ``lang`` or else by the Accept-Language header."""
        return str(APIRequest(self.request, self.view.locales).locale.language)

    def collection(self) -> tuple[Collection, DatasetView]:
        """Return the collection of features that the path names with what the principal may see of it.

        Raises
        ------
        NotFound
            It does not exist in the principal's view, or has no features.
        """
        collection = self.named()
        if collection.kind is not Kind.FEATURES:
            raise NotFound(
                f"The collection is a {collection.kind} and has no features.",
                hint=f"See {self.url}/collections/{collection.id} for what it offers.",
            )
        return collection, self.present.view(self.access, collection)

    def named(self) -> Collection:
        """Return the collection that the path names, of whatever kind.

        Raises
        ------
        NotFound
            It does not exist in the principal's view.
        """
        collection = self.view.collections.get(self.request.path_params["collection"])
        if collection is None:
            raise NotFound("There is no such collection.", hint=f"See {self.url}/collections.")
        return collection


def caching(asked: Asked, *shown: tuple[Collection, DatasetView]) -> dict[str, str]:
    """Return the caching headers of an answer about these collections; granted rows are never kept."""
    if any(collection.visibility is Visibility.GRANTED for collection, _ in shown):
        return dict(PRIVATE)
    return public(asked, *(f"{collection}:{view.version}" for collection, view in shown))


def public(asked: Asked, *versions: str) -> dict[str, str]:
    """Return the caching headers of an open answer that changes with the request and with `versions`."""
    facts = [
        asked.url,
        asked.request.url.path,
        str(asked.query),
        "html" if asked.as_html else "json",
        asked.request.headers.get("accept", ""),
        asked.request.headers.get("accept-language", ""),
        *versions,
    ]
    digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:32]
    return {"Cache-Control": f"public, max-age={OPEN_MAX_AGE_S}", "ETag": f'W/"{digest}"', "Vary": VARY}


def lasting(asked: Asked, content: bytes, media_type: str) -> Response:
    """Answer what depends on no row, with an entity tag."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {
        "Cache-Control": "public, max-age=3600",
        "ETag": tag,
        "Vary": VARY,
        "Content-Type": media_type,
    }
    if is_fresh(asked, headers):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers)


def document(asked: Asked, content: dict[str, Any], template: str) -> Response:
    """Answer a document that depends on no row, as JSON or as a page made by `template`."""
    if not asked.as_html:
        return lasting(asked, encode(content), "application/json")
    config = asked.view.config
    locale = APIRequest(asked.request, asked.view.locales).locale
    page = render_j2_template(config, config["server"]["templates"], template, content, locale)
    return lasting(asked, page.encode(), "text/html; charset=utf-8")


def is_fresh(asked: Asked, headers: Mapping[str, str]) -> bool:
    """Whether the client holds this answer already."""
    held = asked.request.headers.get("if-none-match")
    tag = headers.get("ETag")
    return held is not None and tag is not None and tag in (part.strip() for part in held.split(","))


def require_once(query: QueryParams, known: Names[str]) -> None:
    """Raise unless every parameter is known and given once; the form is judged by who offers it."""
    parameters.require_known(QueryParams([item for item in query.multi_items() if item[0] != "f"]), known)
    if len(query.getlist("f")) > 1 or (query.getlist("f") and "f" not in known):
        raise InvalidInput("The parameter 'f' is given twice or not known here.", hint="Give it once.")


def with_(response: Response, headers: Mapping[str, str]) -> Response:
    """Return the response with these headers."""
    response.headers.update(headers)
    return response


def _prefers_html(accept: str) -> bool:
    """Whether a browser asks: HTML weighs more than JSON in what it accepts, or as much and stands before."""
    best = {"html": 0.0, "json": 0.0}
    first = "json"
    for kind, weight in weighted(accept):
        is_html = kind in ("text/html", "application/xhtml+xml", "text/*")
        is_json = kind.endswith(("json", "*/*"))
        name = "html" if is_html else "json" if is_json else ""
        if name and weight > best[name]:
            first = name if weight > max(best.values()) else first
            best[name] = weight
    return best["html"] > 0 and (best["html"] > best["json"] or first == "html")
