"""Tilesets and tiles of rasters, on the same paths as those of features; drawn in :mod:`.raster_tiles`."""

from __future__ import annotations

import math
from typing import Any, Final

from starlette.responses import Response

from geoinfra.errors import InvalidInput, NotFound
from geoinfra.storage.collections import Kind
from services.ogc import gridded, parameters
from services.ogc.asked import Asked, is_fresh, require_once
from services.ogc.engine import encode
from services.ogc.gridded import Shown
from services.ogc.raster_tiles import ENCODINGS, draw_tile
from services.ogc.tile_matrix import MATRIX_SETS, WEB_MERCATOR, Limits, TileMatrixSet, matrix_set

__all__ = ["RELATION", "raster_tile", "raster_tileset", "raster_tilesets"]

RELATION: Final = "http://www.opengis.net/def/rel/ogc/1.0/tilesets-coverage"

_SCHEME: Final = "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme"
_PNG: Final = "image/png"
_FORMS: Final = dict.fromkeys(ENCODINGS, _PNG)
_DEEPER: Final = 2
"""How many levels beyond that of the raster's own cells there are tiles."""
_TILE_JSON_NAMES: Final = {"terrain-rgb": "mapbox", "terrarium": "terrarium"}


def raster_tilesets(asked: Asked) -> Response:
    """Answer the list of a raster's tilesets."""
    require_once(asked.query, parameters.COMMON)
    gridded.chosen_format(asked, {"json": "application/json"})
    found = _raster(asked)
    here = f"{asked.url}/collections/{found.collection.id}/tiles"
    listed = {
        "links": [{"rel": "self", "type": "application/json", "title": "Tilesets", "href": here}],
        "tilesets": [_tileset(asked, found, matrices) for matrices in MATRIX_SETS.values()],
    }
    return _document(asked, found, listed)


def raster_tileset(asked: Asked) -> Response:
    """Answer the metadata of one tileset, or its TileJSON for map clients."""
    require_once(asked.query, parameters.COMMON | {"encoding"})
    found = _raster(asked)
    matrices = matrix_set(asked.request.path_params["tms"])
    form = gridded.chosen_format(asked, {"json": "application/json", "tilejson": "application/json"})
    encoding = asked.query.get("encoding", "terrain-rgb")
    if form == "json":
        return _document(asked, found, _tileset(asked, found, matrices))
    if matrices is not WEB_MERCATOR or encoding not in _TILE_JSON_NAMES:
        raise InvalidInput(
            "TileJSON knows WebMercatorQuad and encodings of heights only.",
            hint=f"Use f=json, or encoding={' or '.join(_TILE_JSON_NAMES)}.",
        )
    west, south, east, north = gridded.extent_document(found)["spatial"]["bbox"][0]
    here = f"{asked.url}/collections/{found.collection.id}/tiles/{matrices.id}"
    told = {
        "tilejson": "3.0.0",
        "tiles": [f"{here}/{{z}}/{{y}}/{{x}}?f={encoding}"],
        "encoding": _TILE_JSON_NAMES[encoding],
        "bounds": [west, south, east, north],
        "minzoom": 0,
        "maxzoom": _own_level(found, matrices),
        "tileSize": 256,
    }
    return _document(asked, found, told)


def raster_tile(asked: Asked) -> Response:
    """Answer a tile; 204 where the raster has no value in it."""
    require_once(asked.query, {"f", "range"})
    found = _raster(asked)
    encoding = gridded.chosen_format(asked, _FORMS)
    limits = _range(asked)
    if (encoding == "grey") != (limits is not None):
        raise InvalidInput("'range' and f=grey belong together.", hint="For instance f=grey&range=0,30.")
    matrices = matrix_set(asked.request.path_params["tms"])
    level, row, column = (int(asked.request.path_params[name]) for name in ("level", "row", "column"))
    if not _holds(found, matrices, level, row, column):
        raise NotFound(
            "There is no such tile.",
            hint=f"See {asked.url}/collections/{found.collection.id}/tiles/{matrices.id}.",
        )
    headers = gridded.headers_of(asked, found)
    if is_fresh(asked, headers):
        return Response(status_code=304, headers=headers)
    content = draw_tile(found, matrices, level, row, column, encoding, limits or (0.0, 1.0))
    if content is None:
        return Response(status_code=204, headers=headers)
    return Response(content, headers=headers, media_type=_PNG)


def _raster(asked: Asked) -> Shown:
    found = gridded.shown(asked)
    if found.collection.kind is not Kind.RASTER:
        raise NotFound(
            "The collection has no tiles.", hint=f"See {asked.url}/collections/{found.collection.id}."
        )
    return found


def _range(asked: Asked) -> tuple[float, float] | None:
    text = asked.query.get("range")
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high)) or low >= high:
        raise InvalidInput("'range' is not two ascending numbers.", hint="For instance range=0,30.")
    return low, high


def _own_level(found: Shown, matrices: TileMatrixSet) -> int:
    """Return the level whose cells are as large as the raster's, or the next finer one."""
    cell_m = found.reader.cell_m
    metres_a_unit = matrices.scale_at_0 * 0.00028 / matrices.cell_at_0
    shrunk = math.cos(math.radians(56)) if matrices is WEB_MERCATOR else 1.0
    at_0 = matrices.cell_at_0 * metres_a_unit * shrunk
    return min(matrices.levels - 1, max(0, math.ceil(math.log2(at_0 / cell_m) - 1e-6)))


def _limits(found: Shown, matrices: TileMatrixSet) -> list[Limits]:
    last = min(matrices.levels - 1, _own_level(found, matrices) + _DEEPER)
    return [matrices.limits(level, found.bounds) for level in range(last + 1)]


def _holds(found: Shown, matrices: TileMatrixSet, level: int, row: int, column: int) -> bool:
    limits = _limits(found, matrices)
    return level < len(limits) and matrices.has(level, row, column) and limits[level].hold(row, column)


def _tileset(asked: Asked, found: Shown, matrices: TileMatrixSet) -> dict[str, Any]:
    here = f"{asked.url}/collections/{found.collection.id}/tiles/{matrices.id}"
    items = [
        {
            "rel": "item",
            "type": _PNG,
            "title": encoding,
            "href": f"{here}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}?f={encoding}",
            "templated": True,
        }
        for encoding in _TILE_JSON_NAMES
    ]
    return {
        "title": f"{found.collection.title[asked.language]} ({matrices.title})",
        "dataType": "coverage",
        "crs": matrices.crs_uri,
        **({"tileMatrixSetURI": matrices.uri} if matrices.uri else {}),
        "tileMatrixSetLimits": [limits.document() for limits in _limits(found, matrices)],
        "links": [
            {"rel": "self", "type": "application/json", "title": "This document", "href": f"{here}?f=json"},
            {
                "rel": _SCHEME,
                "type": "application/json",
                "title": matrices.title,
                "href": f"{asked.url}/tileMatrixSets/{matrices.id}?f=json",
            },
            *items,
        ],
    }


def _document(asked: Asked, found: Shown, content: dict[str, Any]) -> Response:
    headers = gridded.headers_of(asked, found)
    if is_fresh(asked, headers):
        return Response(status_code=304, headers=headers)
    return Response(encode(content), headers=headers, media_type="application/json")
