"""The routes of OGC API Styles; the documents are made in :mod:`services.ogc.styles`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from geoinfra.errors import InvalidInput, NotFound
from geoinfra.storage.collections import Collection
from services.ogc import parameters, styles
from services.ogc.asked import Asked, caching, document, lasting, require_once, with_
from services.ogc.part import Serve

__all__ = ["StylesPart"]


class StylesPart:
    """OGC API Styles (draft 20-009) over the presentation standard."""

    conformance = tuple(styles.CONFORMANCE_STYLES)

    def routes(self, serve: Serve) -> list[Route]:
        """Return the routes, relative to the service's address."""
        return [
            Route("/collections/{collection}/styles", serve.computed(_collection_styles)),
            Route("/styles", serve.computed(_styles)),
            Route("/styles/{style}", serve.drawn(_style)),
            Route("/styles/{style}/metadata", serve.computed(_metadata)),
            Route("/styles/{style}/legend", serve.drawn(_legend)),
            Route("/styles/{style}/sprite{ratio}.{form}", serve.drawn(_sprite)),
            Route("/styles/{style}/sprite.{form}", serve.drawn(_sprite)),
        ]

    def landing_links(self, url: str) -> list[dict[str, str]]:
        """Return the link to the list of styles."""
        return [{"rel": styles.RELATION, "type": "application/json", "href": f"{url}/styles?f=json"}]

    def collection_links(self, url: str, collection: Collection) -> list[dict[str, str]]:
        """Return the link to the styles that draw a collection."""
        if not styles.styles_apply(collection):
            return []
        href = f"{url}/collections/{collection.id}/styles?f=json"
        return [{"type": "application/json", "rel": styles.RELATION, "title": "Styles", "href": href}]

    def openapi_paths(self) -> Mapping[str, Any]:
        """Return the paths for the OpenAPI document."""
        return styles.openapi_paths()


def _styles(asked: Asked) -> Response:
    parameters.require_known(asked.query, parameters.COMMON)
    listed = styles.style_list(asked.url, f"{asked.url}/styles", asked.language)
    return document(asked, listed, "styles/index.html")


def _collection_styles(asked: Asked) -> Response:
    parameters.require_known(asked.query, parameters.COMMON)
    collection, pinned = asked.collection()
    if not styles.styles_apply(collection):
        raise NotFound("No style draws this collection.", hint=f"See {asked.url}/styles.")
    own_url = f"{asked.url}/collections/{collection.id}/styles"
    listed = styles.style_list(asked.url, own_url, asked.language, collection.id)
    return with_(document(asked, listed, "styles/index.html"), caching(asked, (collection, pinned)))


def _metadata(asked: Asked) -> Response:
    parameters.require_known(asked.query, parameters.COMMON)
    entry = styles.style_entry(asked.request.path_params["style"])
    return document(asked, styles.metadata(asked.url, entry, asked.language), "styles/metadata.html")


def _style(asked: Asked) -> Response:
    require_once(asked.query, {"f", "lang", "collection"})
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
        asked.language,
        url=asked.url.removesuffix("/ogc"),
        collection=collection,
    )
    return lasting(asked, *made)


def _legend(asked: Asked) -> Response:
    require_once(asked.query, {"f", "lang"})
    entry = styles.style_entry(asked.request.path_params["style"])
    accept = asked.request.headers.get("accept", "")
    return lasting(asked, *styles.legend(entry, asked.query.get("f"), accept, asked.language))


def _sprite(asked: Asked) -> Response:
    require_once(asked.query, set())
    names = asked.request.path_params
    ratio = {"": 1, "@2x": 2}.get(names.get("ratio", ""))
    if ratio is None or names["form"] not in ("json", "png"):
        raise NotFound("There is no such sprite.", hint="sprite.json, sprite.png, @2x before the dot.")
    return lasting(asked, *styles.sprite(styles.style_entry(names["style"]), ratio, names["form"]))
