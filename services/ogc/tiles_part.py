"""The routes of OGC API Tiles: tile matrix sets, tilesets, vector tiles of one collection or of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pygeoapi.api import APIRequest
from pygeoapi.util import render_j2_template
from starlette.responses import Response
from starlette.routing import Route

from geoinfra.access import Visibility
from geoinfra.errors import InvalidInput, NotFound
from geoinfra.storage.collections import Collection, Kind
from geoinfra.storage.deliveries import DatasetView
from services.ogc import parameters, tilesets
from services.ogc.asked import Asked, caching, document, is_fresh, require_once
from services.ogc.engine import encode
from services.ogc.grid_documents import by_kind
from services.ogc.part import Serve
from services.ogc.raster_tiles_part import RELATION, raster_tile, raster_tileset, raster_tilesets
from services.ogc.tile_matrix import MATRIX_SETS, WEB_MERCATOR, TileMatrixSet, matrix_set
from services.ogc.tilesets import RELATIONS, VECTOR_TILES, TileKind
from services.tiles.content import Square, make_tile, open_tile

__all__ = [
    "TilesPart",
    "audited",
    "chosen_format",
    "chosen_ids",
    "listed_tilesets",
    "operation",
    "parameter",
    "place",
    "place_named",
    "tileset_paths",
    "told_tileset",
]

type Shown = Sequence[tuple[Collection, DatasetView | None]]
type Features = list[tuple[Collection, DatasetView]]

_TEMPLATE: Final = "tiles/document.html"
_TILE: Final = "{tms}/{level:int}/{row:int}/{column:int}"
_MOST_LEVELS: Final = 64


class TilesPart:
    """OGC API Tiles 1.0 with Mapbox vector tiles."""

    conformance = (
        *(
            f"http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/{name}"
            for name in (
                "core",
                "tileset",
                "tilesets-list",
                "dataset-tilesets",
                "geodata-tilesets",
                "collections-selection",
                "mvt",
                "oas30",
            )
        ),
        *(
            f"http://www.opengis.net/spec/tms/2.0/conf/{name}"
            for name in ("tilematrixset", "json-tilematrixset", "tilesetmetadata", "json-tilesetmetadata")
        ),
    )

    def routes(self, serve: Serve) -> list[Route]:
        """Return the routes, relative to the service's address."""
        one = "/collections/{collection}/tiles"
        return [
            Route("/tileMatrixSets", serve.computed(_matrix_sets)),
            Route("/tileMatrixSets/{tms}", serve.computed(_matrix_set)),
            Route(one, serve.computed(by_kind(_collection_tilesets, raster_tilesets))),
            Route(f"{one}/{{tms}}", serve.computed(by_kind(_collection_tileset, raster_tileset))),
            Route(f"{one}/{_TILE}", serve.read(by_kind(_collection_tile, raster_tile))),
            Route("/tiles", serve.computed(_dataset_tilesets)),
            Route("/tiles/{tms}", serve.computed(_dataset_tileset)),
            Route(f"/tiles/{_TILE}", serve.read(_dataset_tile)),
        ]

    def landing_links(self, url: str) -> list[dict[str, str]]:
        """Return the links to the tile matrix sets and to the tilesets of all collections."""
        return [
            _link(f"{RELATIONS}/tiling-schemes", f"{url}/tileMatrixSets?f=json", "Tile matrix sets"),
            _link(VECTOR_TILES.relation, f"{url}/tiles?f=json", VECTOR_TILES.en),
        ]

    def collection_links(self, url: str, collection: Collection) -> list[dict[str, str]]:
        """Return the link to the tilesets of a collection of features."""
        href = f"{url}/collections/{collection.id}/tiles?f=json"
        if collection.kind is Kind.RASTER:
            return [_link(RELATION, href, "Tiles of heights")]
        if collection.kind is not Kind.FEATURES:
            return []
        return [_link(VECTOR_TILES.relation, href, VECTOR_TILES.en)]

    def openapi_paths(self) -> Mapping[str, Any]:
        """Return the paths for the OpenAPI document."""
        pages = parameter("f", "query", ["json", "html"])
        language = parameter("lang", "query", ["da", "en"])
        return {
            "/tileMatrixSets": operation("Tile matrix sets", [pages, language]),
            "/tileMatrixSets/{tileMatrixSetId}": operation(
                "A tile matrix set",
                [parameter("tileMatrixSetId", "path", list(MATRIX_SETS)), pages, language],
            ),
            **tileset_paths("/tiles", VECTOR_TILES, selection=True),
            **tileset_paths("/collections/{collectionId}/tiles", VECTOR_TILES, selection=False),
        }


def _link(relation: str, href: str, title: str) -> dict[str, str]:
    return {"rel": relation, "type": "application/json", "title": title, "href": href}


# --- Tile matrix sets


def _matrix_sets(asked: Asked) -> Response:
    parameters.require_known(asked.query, parameters.COMMON)
    return document(asked, tilesets.matrix_set_list(asked.url), _TEMPLATE)


def _matrix_set(asked: Asked) -> Response:
    parameters.require_known(asked.query, parameters.COMMON)
    return document(asked, dict(matrix_set(asked.request.path_params["tms"]).document), _TEMPLATE)


# --- Tilesets


def _collection_tilesets(asked: Asked) -> Response:
    collection, _ = shown = _features(asked)
    own_url = f"{asked.url}/collections/{collection.id}/tiles"
    headers = caching(asked, shown)
    return listed_tilesets(asked, VECTOR_TILES, own_url, collection.title[asked.language], headers)


def _dataset_tilesets(asked: Asked) -> Response:
    headers = caching(asked, *_all(asked))
    return listed_tilesets(asked, VECTOR_TILES, f"{asked.url}/tiles", _everything(asked), headers)


def _collection_tileset(asked: Asked) -> Response:
    collection, _ = shown = _features(asked)
    own_url = f"{asked.url}/collections/{collection.id}/tiles"
    title, description = collection.title[asked.language], collection.description[asked.language]
    headers = caching(asked, shown)
    return told_tileset(asked, VECTOR_TILES, own_url, [shown], title, headers, description)


def _dataset_tileset(asked: Asked) -> Response:
    shown = _all(asked)
    headers = caching(asked, *shown)
    return told_tileset(asked, VECTOR_TILES, f"{asked.url}/tiles", shown, _everything(asked), headers)


def _everything(asked: Asked) -> str:
    return "Alle samlinger" if asked.language == "da" else "All collections"


def _features(asked: Asked) -> tuple[Collection, DatasetView]:
    collection, view = asked.collection()
    if collection.kind is not Kind.FEATURES:
        raise NotFound(
            "The collection has no vector tiles.", hint=f"See {asked.url}/collections/{collection.id}."
        )
    return collection, view


def _all(asked: Asked) -> Features:
    return [
        (collection, asked.present.view(asked.access, collection))
        for collection in asked.view.collections.values()
        if collection.kind is Kind.FEATURES
    ]


def listed_tilesets(
    asked: Asked, kind: TileKind, own_url: str, title: str, headers: Mapping[str, str]
) -> Response:
    """Answer the list of tilesets at `own_url`."""
    parameters.require_known(asked.query, parameters.COMMON)
    made = tilesets.tileset_list(kind, asked.url, own_url, title, asked.language)
    return _told(asked, made, headers)


def told_tileset(
    asked: Asked,
    kind: TileKind,
    own_url: str,
    shown: Shown,
    title: str,
    headers: Mapping[str, str],
    description: str = "",
) -> Response:
    """Answer the metadata of the tileset that the path names, or its TileJSON."""
    require_once(asked.query, parameters.COMMON)
    matrices = matrix_set(asked.request.path_params["tms"])
    own_url = f"{own_url}/{matrices.id}"
    if asked.query.get("f") == "tilejson" and kind is VECTOR_TILES:
        if matrices is not WEB_MERCATOR:
            raise InvalidInput("TileJSON knows WebMercatorQuad only.", hint="Use f=json.")
        told = tilesets.tile_json(own_url, shown, title, asked.language)
        return Response(encode(told), headers=dict(headers), media_type="application/vnd.mapbox.tile+json")
    if asked.query.get("f", "json") not in ("json", "html"):
        raise InvalidInput(
            f"The format '{asked.query['f'][:40]}' is not offered.", hint="Use f=json or f=html."
        )
    made = tilesets.tileset(
        kind, asked.url, own_url, matrices, shown, title, asked.language, description=description
    )
    return _told(asked, made, headers)


def _told(asked: Asked, made: dict[str, Any], headers: Mapping[str, str]) -> Response:
    """Answer a document that depends on what can be seen."""
    if is_fresh(asked, headers):
        return Response(status_code=304, headers=dict(headers))
    if not asked.as_html:
        return Response(encode(made), headers=dict(headers), media_type="application/json")
    config = asked.view.config
    locale = APIRequest(asked.request, asked.view.locales).locale
    page = render_j2_template(config, config["server"]["templates"], _TEMPLATE, made, locale)
    return Response(page, headers=dict(headers), media_type="text/html; charset=utf-8")


# --- Tiles


def _collection_tile(asked: Asked) -> Response:
    require_once(asked.query, {"f"})
    return _vector_tile(asked, [_features(asked)])


def _dataset_tile(asked: Asked) -> Response:
    require_once(asked.query, {"f", "collections"})
    offered = {shown[0].id: shown for shown in _all(asked)}
    wanted = chosen_ids(asked, list(offered))
    return _vector_tile(asked, [offered[name] for name in wanted or offered])


def _vector_tile(asked: Asked, shown: Features) -> Response:
    chosen_format(asked, VECTOR_TILES.media_types)
    matrices, level, row, column = place(asked, VECTOR_TILES, shown)
    headers = caching(asked, *shown)
    audited(asked, "tile.read", shown)
    if is_fresh(asked, headers):
        return Response(status_code=304, headers=headers)
    square = Square(matrices.crs_name, matrices.bounds(level, row, column), matrices.web_zoom(level))
    layers = [
        (open_tile if collection.visibility is Visibility.OPEN else make_tile)(collection, view, square)
        for collection, view in shown
    ]
    content = b"".join(layers)
    if not content:
        return Response(status_code=204, headers=headers)
    return Response(content, headers=headers, media_type=VECTOR_TILES.media_types["mvt"])


def chosen_ids(asked: Asked, offered: Sequence[str]) -> list[str] | None:
    """Return the ids that the parameter ``collections`` names, ``None`` without it.

    Raises
    ------
    InvalidInput
        One does not exist in the principal's view.
    """
    text = asked.query.get("collections")
    if text is None:
        return None
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in offered:
            raise InvalidInput(
                f"There is no collection '{name[:60]}' here.",
                hint=f"See {asked.url}/collections.",
                details={"parameter": "collections"},
            )
    return names


def chosen_format(asked: Asked, media_types: Mapping[str, str]) -> str:
    """Return the key of `media_types` that ``f``, else the Accept header, asks for; the first by default.

    Raises
    ------
    InvalidInput
        ``f`` names another.
    """
    wanted = asked.query.get("f")
    if wanted is not None:
        if wanted not in media_types:
            raise InvalidInput(
                f"The format '{wanted[:40]}' is not offered.", hint=f"Formats: {', '.join(media_types)}."
            )
        return wanted
    accepted = [part.split(";")[0].strip() for part in asked.request.headers.get("accept", "").split(",")]
    found = (name for media in accepted for name, own in media_types.items() if own == media)
    return next(found, next(iter(media_types)))


def place(asked: Asked, kind: TileKind, shown: Shown) -> tuple[TileMatrixSet, int, int, int]:
    """Return the tile matrix set, level, row and column that the path names.

    Raises
    ------
    NotFound
        There is no such tile, or it lies outside the limits of the tileset.
    """
    names = asked.request.path_params
    where = (names["tms"], *(str(names[name]) for name in ("level", "row", "column")))
    return place_named(where, kind, shown)


def place_named(where: Sequence[str], kind: TileKind, shown: Shown) -> tuple[TileMatrixSet, int, int, int]:
    """Return the place of a tile whose matrix set, level, row and column are given as texts.

    Raises
    ------
    NotFound
        There is no such tile, or it lies outside the limits of the tileset.
    """
    matrices = matrix_set(where[0])
    numbers = [
        int(text) if text.isascii() and text.isdigit() and len(text) < 12 else -1 for text in where[1:]
    ]
    level, row, column = numbers
    if level < _MOST_LEVELS and matrices.has(level, row, column):
        limits = tilesets.places(kind, matrices, shown).get(level)
        if limits is not None and limits.hold(row, column):
            return matrices, level, row, column
    raise NotFound(
        "There is no such tile.",
        hint="The order is tile matrix, row, column; tileMatrixSetLimits of the tileset tells which exist.",
    )


def audited(asked: Asked, action: str, shown: Shown) -> None:
    """Note that granted rows are read."""
    for collection, _ in shown:
        if collection.visibility is Visibility.GRANTED:
            details = {"path": asked.request.url.path, "query": str(asked.query)[:2000]}
            asked.store.audit.append(action, asked.access, collection.id, details)


# --- OpenAPI


def tileset_paths(base: str, kind: TileKind, *, selection: bool) -> dict[str, Any]:
    """Return the paths of tilesets below `base` for the OpenAPI document."""
    pages = parameter("f", "query", ["json", "html"])
    language = parameter("lang", "query", ["da", "en"])
    own = [parameter(name, "path") for name in ("collectionId", "styleId") if f"{{{name}}}" in base]
    tms = parameter("tileMatrixSetId", "path", list(MATRIX_SETS))
    numbers = [parameter(name, "path", whole=True) for name in ("tileMatrix", "tileRow", "tileCol")]
    forms = parameter("f", "query", list(kind.media_types))
    chosen = [parameter("collections", "query")] if selection else []
    tile = operation(f"A tile ({kind.data_type})", [*own, tms, *numbers, forms, *chosen])
    answers = tile["get"]["responses"]
    answers["200"]["content"] = {media: {} for media in kind.media_types.values()}
    answers["204"] = {"description": "The tile is empty"}
    return {
        base: operation(f"Tilesets ({kind.data_type})", [*own, pages, language]),
        f"{base}/{{tileMatrixSetId}}": operation(
            f"A tileset ({kind.data_type})",
            [*own, tms, parameter("f", "query", ["json", "html", *_more_forms(kind)]), language],
        ),
        f"{base}/{{tileMatrixSetId}}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}": tile,
    }


def _more_forms(kind: TileKind) -> Sequence[str]:
    return ("tilejson",) if kind is VECTOR_TILES else ()


def parameter(
    name: str, where: str, values: Sequence[str] | None = None, *, whole: bool = False
) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer", "minimum": 0} if whole else {"type": "string"}
    if values is not None:
        schema["enum"] = list(values)
    return {"name": name, "in": where, "required": where == "path", "schema": schema}


def operation(summary: str, own: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    answers: dict[str, Any] = {
        "200": {"description": summary},
        "400": {"description": "A parameter has no meaning"},
    }
    if any(parameter["in"] == "path" for parameter in own):
        answers["404"] = {"description": "It does not exist"}
    return {"get": {"summary": summary, "tags": ["Tiles"], "parameters": [*own], "responses": answers}}
