"""The routes of OGC API Maps: maps and map tiles of a collection, of several, and in each style."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from geoinfra import crs
from geoinfra.errors import InvalidInput, NotFound
from geoinfra.presentation.map_image import ImageFrame
from geoinfra.storage.collections import Collection
from services.ogc import maps
from services.ogc.asked import Asked, is_fresh, require_once
from services.ogc.maps import DEFAULT_STYLE, FORMATS, MapSource
from services.ogc.part import Serve
from services.ogc.styles import style_entry, styles_apply
from services.ogc.tile_matrix import TILE_PX
from services.ogc.tiles_part import (
    audited,
    chosen_format,
    chosen_ids,
    listed_tilesets,
    operation,
    parameter,
    place,
    tileset_paths,
    told_tileset,
)
from services.ogc.tilesets import MAP_TILES, RELATIONS

__all__ = ["MapsPart"]

_MAP: Final = frozenset({"f", "lang", "bbox", "bbox-crs", "crs", "width", "height", "bgcolor", "transparent"})
_TILE: Final = frozenset({"f", "lang", "bgcolor", "transparent"})
_SELECTION: Final = frozenset({"collections"})
_BASES: Final = ("/map", "/styles/{style}/map", "/collections/{collection}/map",
                 "/collections/{collection}/styles/{style}/map")  # fmt: skip
_CLASSES: Final = (
    "core",
    "collection-map",
    "dataset-map",
    "styled-map",
    "collections-selection",
    "background",
    "crs",
    "tilesets",
    "png",
    "jpeg",
)


class MapsPart:
    """OGC API Maps 1.0 (20-058): images drawn by the presentation standard."""

    conformance = tuple(f"http://www.opengis.net/spec/ogcapi-maps-1/1.0/conf/{name}" for name in _CLASSES)

    def routes(self, serve: Serve) -> list[Route]:
        """Return the routes, relative to the service's address."""
        tile = "/tiles/{tms}/{level:int}/{row:int}/{column:int}"
        return [
            route
            for base in _BASES
            for route in (
                Route(base, serve.read(_map)),
                Route(f"{base}/tiles", serve.computed(_tilesets)),
                Route(f"{base}/tiles/{{tms}}", serve.computed(_tileset)),
                Route(f"{base}{tile}", serve.read(_tile)),
            )
        ]

    def landing_links(self, url: str) -> list[dict[str, str]]:
        """Return the links to the map of all collections and to its tilesets."""
        return _links(url)

    def collection_links(self, url: str, collection: Collection) -> list[dict[str, str]]:
        """Return the links to the map of a collection and to its tilesets."""
        return _links(f"{url}/collections/{collection.id}") if maps.drawable(collection) else []

    def openapi_paths(self) -> Mapping[str, Any]:
        """Return the paths for the OpenAPI document."""
        paths: dict[str, Any] = {}
        for base in _BASES:
            named = base.replace("{collection}", "{collectionId}").replace("{style}", "{styleId}")
            selection = "{collection}" not in base
            paths[named] = _map_operation(named, selection)
            paths |= tileset_paths(f"{named}/tiles", MAP_TILES, selection=selection)
        return paths


def _links(base: str) -> list[dict[str, str]]:
    pictures = [
        {
            "rel": f"{RELATIONS}/map",
            "type": media,
            "title": f"Map ({name.upper()})",
            "href": f"{base}/map?f={name}",
        }
        for name, media in FORMATS.items()
    ]
    tiles = {
        "rel": MAP_TILES.relation,
        "type": "application/json",
        "title": MAP_TILES.en,
        "href": f"{base}/map/tiles?f=json",
    }
    return [*pictures, tiles]


def _map_operation(base: str, selection: bool) -> dict[str, Any]:
    own = [parameter(name, "path") for name in ("collectionId", "styleId") if f"{{{name}}}" in base]
    made = operation(
        "A map",
        [
            *own,
            parameter("f", "query", list(FORMATS)),
            *(parameter(name, "query") for name in ("bbox", "bbox-crs", "crs", "bgcolor")),
            *(
                {
                    "name": name,
                    "in": "query",
                    "schema": {"type": "integer", "minimum": 1, "maximum": maps.MOST_PX},
                }
                for name in ("width", "height")
            ),
            {"name": "transparent", "in": "query", "schema": {"type": "boolean"}},
            *([parameter("collections", "query")] if selection else []),
            parameter("lang", "query", ["da", "en"]),
        ],
    )
    made["get"]["tags"] = ["Maps"]
    made["get"]["responses"]["200"]["content"] = {media: {} for media in FORMATS.values()}
    made["get"]["responses"]["413"] = {"description": "The image, or what it would show, is too large"}
    return made


# --- Answers


def _map(asked: Asked) -> Response:
    sources, style = _chosen(asked, _MAP)
    form = chosen_format(asked, FORMATS)
    frame = _frame(asked, sources)
    background = _background(asked, form)
    headers = {
        **maps.caching_of(asked, sources),
        "Content-Crs": f"<{_crs_uri(frame.crs_name)}>",
        "Content-Bbox": ",".join(f"{number:.10g}" for number in _in_axis_order(frame)),
    }
    audited(asked, "map.read", [(source.collection, source.view) for source in sources])
    if is_fresh(asked, headers):
        return Response(status_code=304, headers=headers)
    content = maps.image(asked, sources, frame, style, background, form)
    return Response(content, headers=headers, media_type=FORMATS[form])


def _tile(asked: Asked) -> Response:
    sources, style = _chosen(asked, _TILE)
    form = chosen_format(asked, FORMATS)
    background = _background(asked, form)
    shown = [(source.collection, source.view) for source in sources]
    matrices, level, row, column = place(asked, MAP_TILES, shown)
    headers = maps.caching_of(asked, sources)
    audited(asked, "map.read", shown)
    if is_fresh(asked, headers):
        return Response(status_code=304, headers=headers)
    frame = ImageFrame(matrices.crs_name, matrices.bounds(level, row, column), TILE_PX, TILE_PX)
    content = maps.kept_image(asked, sources, frame, style, background, form)
    return Response(content, headers=headers, media_type=FORMATS[form])


def _tilesets(asked: Asked) -> Response:
    sources, _, own_url, title = _told(asked)
    return listed_tilesets(asked, MAP_TILES, own_url, title, maps.caching_of(asked, sources))


def _tileset(asked: Asked) -> Response:
    sources, _, own_url, title = _told(asked)
    shown = [(source.collection, source.view) for source in sources]
    return told_tileset(asked, MAP_TILES, own_url, shown, title, maps.caching_of(asked, sources))


def _told(asked: Asked) -> tuple[list[MapSource], str, str, str]:
    """Return sources, style, address and title of the tilesets that the path names."""
    sources, style = _sources(asked)
    names = asked.request.path_params
    base = f"/collections/{names['collection']}" if "collection" in names else ""
    styled = f"/styles/{style}" if "style" in names else ""
    whole = "Kort" if asked.language == "da" else "Map"
    title = sources[0].collection.title[asked.language] if base and sources else whole
    return sources, style, f"{asked.url}{base}{styled}/map/tiles", title


def _sources(asked: Asked) -> tuple[list[MapSource], str]:
    """Return what the path names: the collection or all of them, and the style.

    Raises
    ------
    NotFound
        There is no such collection or style, or the style does not draw the collection.
    """
    names = asked.request.path_params
    style = names.get("style", DEFAULT_STYLE)
    style_entry(style)
    if "collection" not in names:
        return maps.map_sources(asked), style
    collection = asked.named()
    if "style" in names and not styles_apply(collection):
        raise NotFound("No style draws this collection.", hint=f"See {asked.url}/styles.")
    return maps.sources_of(asked, collection), style


def _chosen(asked: Asked, known: frozenset[str]) -> tuple[list[MapSource], str]:
    """Return the sources of a map and its style; ``collections`` chooses where the path names none."""
    one = "collection" in asked.request.path_params
    require_once(asked.query, known if one else known | _SELECTION)
    sources, style = _sources(asked)
    wanted = None if one else chosen_ids(asked, [source.collection.id for source in sources])
    if wanted is not None:
        sources = [source for name in wanted for source in sources if source.collection.id == name]
    return sources, style


def _frame(asked: Asked, sources: list[MapSource]) -> ImageFrame:
    query = asked.query
    crs_name = crs.parse_crs(query.get("crs"), default="EPSG:25832")
    width, height = (maps.size_of(query.get(name), name) for name in ("width", "height"))
    if "bbox" not in query:
        if "bbox-crs" in query:
            raise InvalidInput("'bbox-crs' is given without 'bbox'.")
        return maps.default_frame(sources, crs_name, width, height)
    box_crs = crs.parse_crs(query.get("bbox-crs"))
    box = maps.numbers_of(query["bbox"])
    if crs.north_first(box_crs):
        box = (box[1], box[0], box[3], box[2])
    return maps.frame_of(box, box_crs, crs_name, width, height)


def _background(asked: Asked, form: str) -> str | None:
    """Return the background: transparent unless a colour is given, or the format has no transparency."""
    colour, text = asked.query.get("bgcolor"), asked.query.get("transparent")
    if text is not None and text.lower() not in ("true", "false"):
        raise InvalidInput("'transparent' is true or false.", details={"parameter": "transparent"})
    transparent = colour is None if text is None else text.lower() == "true"
    return maps.background_of(colour, transparent and form == "png")


def _in_axis_order(frame: ImageFrame) -> tuple[float, float, float, float]:
    west, south, east, north = frame.bounds
    return (south, west, north, east) if crs.north_first(frame.crs_name) else (west, south, east, north)


def _crs_uri(name: str) -> str:
    if name == "OGC:CRS84":
        return crs.CRS84_URI
    return f"http://www.opengis.net/def/crs/EPSG/0/{name.removeprefix('EPSG:')}"
