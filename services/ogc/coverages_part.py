"""The routes of OGC API Coverages; coverages are made in :mod:`services.ogc.coverages`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from geoinfra import crs
from geoinfra.errors import NotFound
from geoinfra.storage.collections import Collection, Kind
from services.ogc import coverages, covjson, gridded
from services.ogc.asked import Asked, is_fresh, require_once
from services.ogc.engine import encode
from services.ogc.gridded import Shown
from services.ogc.part import Serve

__all__ = ["CoveragesPart", "coverage_links"]

_RELATIONS: Final = "http://www.opengis.net/def/rel/ogc/1.0"
_JSON: Final = {"json": "application/json"}


class CoveragesPart:
    """OGC API Coverages 1.0 (draft 19-087) over rasters and cubes."""

    conformance = coverages.CONFORMANCE

    def routes(self, serve: Serve) -> list[Route]:
        """Return the routes, relative to the service's address."""
        here = "/collections/{collection}/coverage"
        return [
            Route(here, serve.read(_coverage)),
            Route(f"{here}/domainset", serve.read(_domain_set)),
            Route(f"{here}/rangetype", serve.read(_range_type)),
        ]

    def landing_links(self, url: str) -> list[dict[str, str]]:  # noqa: ARG002  # coverages hang on collections
        """Return no links: a coverage belongs to its collection."""
        return []

    def collection_links(self, url: str, collection: Collection) -> list[dict[str, str]]:
        """Return the links to the coverage of a raster or cube."""
        return [] if collection.kind is Kind.FEATURES else coverage_links(url, collection)

    def openapi_paths(self) -> Mapping[str, Any]:
        """Return the paths for the OpenAPI document."""
        return coverages.openapi_paths()


def coverage_links(url: str, collection: Collection) -> list[dict[str, str]]:
    """Return the links to a coverage and what describes it."""
    here = f"{url}/collections/{collection.id}"

    def link(relation: str, media_type: str, title: str, path: str) -> dict[str, str]:
        href = f"{here}/{path}"
        return {"rel": f"{_RELATIONS}/{relation}", "type": media_type, "title": title, "href": href}

    return [
        link("coverage", covjson.MEDIA_TYPE, "CoverageJSON", "coverage?f=json"),
        link("coverage", coverages.GEOTIFF, "GeoTIFF", "coverage?f=geotiff"),
        link("schema", "application/schema+json", "Parameters", "schema?f=json"),
        link("coverage-rangetype", "application/json", "Parameters", "coverage/rangetype?f=json"),
        link("coverage-domainset", "application/json", "Axes", "coverage/domainset?f=json"),
        # GDAL takes the last one, and takes every coverage to be in degrees.
        link(
            "coverage-domainset",
            "application/json",
            "Axes in degrees",
            "coverage/domainset?f=json&crs=CRS84",
        ),
    ]


def _shown(asked: Asked) -> Shown:
    found = gridded.shown(asked)
    if found.is_stations:
        raise NotFound(
            "The collection consists of stations and is no coverage.",
            hint=f"See {asked.url}/collections/{found.collection.id}/locations.",
        )
    return found


def _coverage(asked: Asked) -> Response:
    require_once(asked.query, coverages.KNOWN)
    found = _shown(asked)
    form = gridded.chosen_format(asked, coverages.FORMATS)
    headers = gridded.headers_of(asked, found)
    if is_fresh(asked, headers):
        return Response(status_code=304, headers=headers)
    wanted = coverages.wanted(asked.query, found)
    if wanted is None:
        return Response(status_code=204, headers=headers)
    media_type = coverages.FORMATS[form]
    headers |= {"Content-Type": media_type, "Content-Crs": f"<{crs.uri(wanted.frame.crs)}>"}
    if media_type == coverages.GEOTIFF:
        name = f"{found.collection.id}.tif"
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return Response(coverages.as_geotiff(found, wanted), headers=headers)
    return Response(coverages.as_covjson(found, wanted), headers=headers)


def _domain_set(asked: Asked) -> Response:
    require_once(asked.query, {"f", "lang", "crs"})
    gridded.chosen_format(asked, _JSON)
    found = _shown(asked)
    target = crs.parse_crs(asked.query["crs"]) if "crs" in asked.query else found.crs
    return _document(asked, found, coverages.domain_set(found, target))


def _range_type(asked: Asked) -> Response:
    require_once(asked.query, {"f", "lang"})
    gridded.chosen_format(asked, _JSON)
    found = _shown(asked)
    return _document(asked, found, coverages.range_type(found))


def _document(asked: Asked, found: Shown, content: Mapping[str, Any]) -> Response:
    headers = gridded.headers_of(asked, found)
    if is_fresh(asked, headers):
        return Response(status_code=304, headers=headers)
    return Response(encode(dict(content)), headers=headers | {"Content-Type": "application/json"})
