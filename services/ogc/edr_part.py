"""The routes of OGC API EDR; values are found in :mod:`services.ogc.edr`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from geoinfra import crs
from geoinfra.errors import InvalidInput, NotFound
from geoinfra.storage.collections import Collection, Kind
from geoinfra.storage.cubes import Station
from services.ogc import covjson, edr, gridded, parameters
from services.ogc.asked import Asked, is_fresh, require_once
from services.ogc.engine import encode
from services.ogc.gridded import Shown
from services.ogc.part import Serve

__all__ = ["EdrPart", "station_item", "station_items"]

_JSON: Final = {"json": "application/json"}
_GEOJSON: Final = {"geojson": edr.GEOJSON_TYPE, "json": edr.GEOJSON_TYPE}


class EdrPart:
    """OGC API Environmental Data Retrieval 1.1 over rasters, cubes and stations."""

    conformance = edr.CONFORMANCE

    def routes(self, serve: Serve) -> list[Route]:
        """Return the routes, relative to the service's address."""
        routes = [
            Route("/collections/{collection}/instances", serve.read(_instances)),
            Route("/collections/{collection}/instances/{instance}", serve.read(_instance)),
        ]
        for here in ("/collections/{collection}", "/collections/{collection}/instances/{instance}"):
            routes += [
                *(Route(f"{here}/{name}", serve.read(_query)) for name in edr.QUERIES),
                Route(f"{here}/locations", serve.read(_locations)),
                Route(f"{here}/locations/{{location}}", serve.read(_location)),
            ]
        return routes

    def landing_links(self, url: str) -> list[dict[str, str]]:  # noqa: ARG002  # queries hang on collections
        """Return no links: queries belong to their collections."""
        return []

    def collection_links(self, url: str, collection: Collection) -> list[dict[str, str]]:
        """Return the link to the versions of a raster or cube; its queries stand in ``data_queries``."""
        if collection.kind is Kind.FEATURES:
            return []
        href = f"{url}/collections/{collection.id}/instances?f=json"
        return [{"rel": "collection", "type": "application/json", "title": "Versions", "href": href}]

    def openapi_paths(self) -> Mapping[str, Any]:
        """Return the paths for the OpenAPI document."""
        return _openapi_paths()


# --- Values


def _query(asked: Asked) -> Response:
    name = asked.request.url.path.rsplit("/", 1)[-1]
    require_once(asked.query, edr.QUERIES[name])
    found = gridded.shown(asked)
    if name not in found.queries:
        raise NotFound(
            f"The collection does not offer the query '{name}'.",
            hint=f"It offers {', '.join(found.queries)}.",
        )
    return _answered(asked, found, lambda: edr.query(name, asked.query, found))


def _location(asked: Asked) -> Response:
    require_once(asked.query, edr.COMMON)
    found = _stations(asked)
    name = asked.request.path_params["location"]
    return _answered(asked, found, lambda: edr.at_location(name, asked.query, found))


def _answered(asked: Asked, found: Shown, answer: Any) -> Response:
    form = gridded.chosen_format(asked, edr.FORMATS)
    headers = gridded.headers_of(asked, found)
    if is_fresh(asked, headers):
        return Response(status_code=304, headers=headers)
    coverages, chosen = answer()
    headers |= {"Content-Type": edr.FORMATS[form], "Content-Crs": f"<{crs.uri(coverages[0].crs)}>"}
    if edr.FORMATS[form] == edr.CSV_TYPE:
        headers["Content-Disposition"] = f'attachment; filename="{found.collection.id}.csv"'
    return Response(edr.encode(form, coverages, chosen), headers=headers)


# --- Stations


def _stations(asked: Asked) -> Shown:
    found = gridded.shown(asked)
    if not found.is_stations:
        raise NotFound("The collection has no named places.", hint=f"It offers {', '.join(found.queries)}.")
    return found


def _locations(asked: Asked) -> Response:
    require_once(asked.query, {"f", "lang", "bbox", "bbox-crs", "crs", "datetime", "parameter-name", "limit"})
    return _features(asked, _stations(asked))


def station_items(asked: Asked) -> Response:
    """Answer the items of a collection of stations: the stations as features.

    Raises
    ------
    NotFound
        The collection has no stations.
    """
    require_once(asked.query, {"f", "lang", "bbox", "bbox-crs", "datetime", "limit"})
    return _features(asked, _stations(asked))


def station_item(asked: Asked) -> Response:
    """Answer one station as a feature.

    Raises
    ------
    NotFound
        There is no such station.
    """
    require_once(asked.query, parameters.COMMON)
    found = _stations(asked)
    gridded.chosen_format(asked, _GEOJSON)
    name = asked.request.path_params["item"]
    chosen = [station for station in found.reader.stations if station.id == name]
    if not chosen:
        raise NotFound("There is no such station.")
    headers = gridded.headers_of(asked, found)
    feature = edr.location_features(found, asked.url, chosen)[0]
    here = f"{asked.url}/collections/{found.collection.id}"
    feature["links"] = [
        {"rel": "self", "type": edr.GEOJSON_TYPE, "title": "This", "href": f"{here}/items/{name}"},
        {"rel": "collection", "type": "application/json", "title": found.collection.id, "href": here},
    ]
    return Response(encode(feature), headers=headers | {"Content-Type": edr.GEOJSON_TYPE})


def _features(asked: Asked, found: Shown) -> Response:
    gridded.chosen_format(asked, _GEOJSON)
    headers = gridded.headers_of(asked, found)
    if is_fresh(asked, headers):
        return Response(status_code=304, headers=headers)
    matched = _within(asked, found)
    features = edr.location_features(found, asked.url, matched[: _limit(asked)])
    here = f"{asked.url}{asked.request.url.path.partition('/ogc')[2]}"
    chosen = gridded.chosen_parameters(asked.query, ("parameter-name",), found.reader)
    document = {
        "type": "FeatureCollection",
        "numberMatched": len(matched),
        "numberReturned": len(features),
        "parameters": list(covjson.parameters(chosen).values()),
        "features": features,
        "links": [{"rel": "self", "type": edr.GEOJSON_TYPE, "title": "This document", "href": here}],
    }
    return Response(encode(document), headers=headers | {"Content-Type": edr.GEOJSON_TYPE})


def _within(asked: Asked, found: Shown) -> list[Station]:
    """Return the stations in the asked box; all have values at all times of the collection."""
    stations = list(found.reader.stations)
    if gridded.chosen_times(asked.query.get("datetime"), found) is None:
        return []
    if "bbox" not in asked.query:
        return stations
    bounds, source, _ = gridded.asked_bounds(asked.query["bbox"], asked.query.get("bbox-crs"))
    west, south, east, north = bounds
    x, y = edr.station_places(found.reader, source)
    inside = (x >= west) & (x <= east) & (y >= south) & (y <= north)
    return [station for station, held in zip(stations, inside.tolist(), strict=True) if held]


def _limit(asked: Asked) -> int:
    text = asked.query.get("limit", "10000")
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise InvalidInput("'limit' is a whole number from 1.")
    return min(int(text), 10_000)


# --- Versions


def _instances(asked: Asked) -> Response:
    require_once(asked.query, parameters.COMMON)
    gridded.chosen_format(asked, _JSON)
    found = gridded.shown(asked)
    here = f"{asked.url}/collections/{found.collection.id}/instances"
    shown = (gridded.shown_of(asked.present, found.collection, grid.source) for grid in found.instances)
    document = {
        "links": [{"rel": "self", "type": "application/json", "title": "Versions", "href": f"{here}?f=json"}],
        "instances": [_instance_document(asked, one) for one in shown if one is not None],
    }
    headers = gridded.headers_of(asked, found) | {"Content-Type": "application/json"}
    return Response(encode(document), headers=headers)


def _instance(asked: Asked) -> Response:
    require_once(asked.query, parameters.COMMON)
    gridded.chosen_format(asked, _JSON)
    found = gridded.shown(asked)
    headers = gridded.headers_of(asked, found) | {"Content-Type": "application/json"}
    return Response(encode(_instance_document(asked, found)), headers=headers)


def _instance_document(asked: Asked, found: Shown) -> dict[str, Any]:
    document = gridded.collection_document(found, asked.url, asked.language)
    here = f"{asked.url}/collections/{found.collection.id}/instances/{found.grid.source}"
    document |= {"id": found.grid.source, "data_queries": gridded.data_queries(found, here)}
    document["links"] = [
        {"rel": "self", "type": "application/json", "title": "This document", "href": f"{here}?f=json"},
        {
            "rel": "collection",
            "type": "application/json",
            "title": found.collection.id,
            "href": f"{asked.url}/collections/{found.collection.id}?f=json",
        },
    ]
    return document


# --- OpenAPI

_TEXTS: Final = {
    "f": "CoverageJSON, GeoJSON or CSV",
    "lang": "en or da",
    "crs": "CRS of coords, bbox and answer; CRS84 where absent",
    "datetime": "An instant, a date or an interval",
    "parameter-name": "Parameters, with commas between",
    "coords": "Well-known text",
    "bbox": "West, south, east, north",
    "z": "A height, an interval or a list of heights of layers",
    "within": "Radius",
    "within-units": "m or km",
    "corridor-width": "Width of the strip, both sides together",
    "width-units": "m or km",
    "corridor-height": "Height of the strip, above and below together",
    "height-units": "m",
    "resolution-x": "Number of places along x; 0 or absent: those of the data",
    "resolution-y": "Number of places along y; 0 or absent: those of the data",
}
_NEEDED: Final = {
    "position": {"coords"},
    "area": {"coords"},
    "radius": {"coords", "within", "within-units"},
    "trajectory": {"coords"},
    "corridor": {"coords", "corridor-width", "width-units"},
    "cube": {"bbox"},
}


def _openapi_paths() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for prefix, path_names in (("", ()), ("/instances/{instanceId}", ("instanceId",))):
        here = f"/collections/{{collectionId}}{prefix}"
        for name, known in edr.QUERIES.items():
            given = [_parameter(p, needed=p in _NEEDED[name]) for p in sorted(known)]
            paths[f"{here}/{name}"] = _operation(f"Values by {name}", name, prefix, path_names, given)
        common = [_parameter(p) for p in sorted(edr.COMMON)]
        paths[f"{here}/locations"] = _operation(
            "Stations", "locations", prefix, path_names, [*common, _parameter("bbox")]
        )
        paths[f"{here}/locations/{{locationId}}"] = _operation(
            "Values at a station", "location", prefix, (*path_names, "locationId"), common
        )
    pages = [_parameter("f"), _parameter("lang")]
    paths["/collections/{collectionId}/instances"] = _operation("Versions", "instances", "", (), pages)
    paths["/collections/{collectionId}/instances/{instanceId}"] = _operation(
        "A version", "instance", "", ("instanceId",), pages
    )
    return paths


def _parameter(name: str, *, needed: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": needed,
        "description": _TEXTS[name],
        "schema": {"type": "string"},
    }


def _operation(
    summary: str, name: str, prefix: str, path_names: tuple[str, ...], given: list[dict[str, Any]]
) -> dict[str, Any]:
    places = [
        {"name": path_name, "in": "path", "required": True, "schema": {"type": "string"}}
        for path_name in ("collectionId", *path_names)
    ]
    return {
        "get": {
            "summary": summary,
            "operationId": f"get{'Instance' if prefix else ''}{name.title()}",
            "tags": ["EDR"],
            "parameters": [*places, *given],
            "responses": {
                "200": {"description": "The values"},
                "400": {"description": "A parameter is missing or has no meaning"},
                "404": {"description": "There are no values there or then"},
                "413": {"description": "More values than are given at once"},
            },
        }
    }
