"""The documents of collections that are rasters or cubes, beside those that the engine makes of features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pygeoapi.api import APIRequest
from pygeoapi.util import render_j2_template
from starlette.responses import Response

from geoinfra.storage.collections import Kind
from services.ogc import coverages, gridded, parameters
from services.ogc.asked import Asked, is_fresh, public
from services.ogc.engine import encode
from services.ogc.gridded import Shown
from services.ogc.part import Part

__all__ = ["by_kind", "collection_answer", "collection_list", "list_headers", "schema_answer"]

type Answer = Callable[[Asked], Response]


def by_kind(features: Answer, grids: Answer) -> Answer:
    """Return what answers by the kind of collection that the path names."""

    def answer(asked: Asked) -> Response:
        chosen = features if asked.named().kind is Kind.FEATURES else grids
        return chosen(asked)

    return answer


def collection_answer(parts: Sequence[Part]) -> Answer:
    """Return what answers the document of a raster or cube; `parts` give its links."""

    def answer(asked: Asked) -> Response:
        parameters.require_known(asked.query, parameters.COMMON)
        found = gridded.shown(asked)
        headers = gridded.headers_of(asked, found)
        if is_fresh(asked, headers):
            return Response(status_code=304, headers=headers)
        return _page(asked, _document(asked, found, parts), "collections/grid.html", headers)

    return answer


def schema_answer(asked: Asked) -> Response:
    """Answer the schema of the values of a raster or cube."""
    parameters.require_known(asked.query, parameters.COMMON)
    found = gridded.shown(asked)
    headers = gridded.headers_of(asked, found)
    if is_fresh(asked, headers):
        return Response(status_code=304, headers=headers)
    content = coverages.schema(found, asked.url, asked.language)
    return Response(encode(content), headers=headers | {"Content-Type": "application/schema+json"})


def list_headers(asked: Asked, headers: Mapping[str, str]) -> dict[str, str]:
    """Return caching headers of the list of all collections, from those of the collections of features."""
    grids = [found.grid.grid_id for found in _all(asked)]
    return public(asked, headers["ETag"], *grids) if "ETag" in headers else dict(headers)


def collection_list(
    asked: Asked, document: dict[str, Any], parts: Sequence[Part], headers: Mapping[str, str]
) -> Response:
    """Answer the list of all collections: the engine's document with the rasters and cubes added."""
    document["collections"] += [_document(asked, found, parts) for found in _all(asked)]
    for name in ("numberMatched", "numberReturned"):
        if name in document:
            document[name] = len(document["collections"])
    document["collections_path"] = f"{asked.url}/collections"
    if not asked.as_html:
        del document["collections_path"]
    return _page(asked, document, "collections/index.html", headers)


def _all(asked: Asked) -> list[Shown]:
    shown = (gridded.shown_of(asked.present, collection) for collection in asked.view.collections.values())
    return [found for found in shown if found is not None]


def _document(asked: Asked, found: Shown, parts: Sequence[Part]) -> dict[str, Any]:
    links = [link for part in parts for link in part.collection_links(asked.url, found.collection)]
    if found.is_stations:
        links = [link for link in links if "/coverage" not in link["rel"]]
        here = f"{asked.url}/collections/{found.collection.id}/items"
        links.append({"rel": "items", "type": "application/geo+json", "title": "Stations", "href": here})
    return gridded.collection_document(found, asked.url, asked.language, links)


def _page(asked: Asked, content: dict[str, Any], template: str, headers: Mapping[str, str]) -> Response:
    if not asked.as_html:
        return Response(encode(content), headers={**headers, "Content-Type": "application/json"})
    config = asked.view.config
    locale = APIRequest(asked.request, asked.view.locales).locale
    page = render_j2_template(config, config["server"]["templates"], template, content, locale)
    return Response(page, headers={**headers, "Content-Type": "text/html; charset=utf-8"})
