"""Documents of tilesets (OGC 20-057, 17-083r4): lists, metadata, TileJSON; of vector and of map tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any, Final

from geoinfra import crs
from geoinfra.access import Visibility
from geoinfra.storage.collections import Collection
from geoinfra.storage.deliveries import DatasetView
from services.ogc.provider import describe_columns
from services.ogc.tile_matrix import MATRIX_SETS, WEB_MERCATOR, Bounds, Limits, TileMatrixSet
from services.tiles.content import LEAST_ZOOM, shown_columns

__all__ = [
    "MAP_TILES",
    "RELATIONS",
    "VECTOR_TILES",
    "TileKind",
    "matrix_set_list",
    "places",
    "tile_json",
    "tileset",
    "tileset_list",
]

RELATIONS: Final = "http://www.opengis.net/def/rel/ogc/1.0"

type Shown = Sequence[tuple[Collection, DatasetView | None]]

_DIMENSIONS: Final = {"Point": 0, "LineString": 1, "Polygon": 2}


@dataclass(frozen=True, slots=True)
class TileKind:
    """Tiles of one kind.

    Attributes
    ----------
    data_type
        As the standard calls it: ``vector`` or ``map``.
    relation
        Of the link to a list of tilesets.
    media_types
        Value of ``f`` -> media type, the default first.
    """

    data_type: str
    relation: str
    media_types: Mapping[str, str]
    da: str
    en: str

    def title(self, language: str) -> str:
        """Return the name of the kind."""
        return self.da if language == "da" else self.en


VECTOR_TILES: Final = TileKind(
    "vector",
    f"{RELATIONS}/tilesets-vector",
    {"mvt": "application/vnd.mapbox-vector-tile"},
    "Vektorfliser",
    "Vector tiles",
)
MAP_TILES: Final = TileKind(
    "map",
    f"{RELATIONS}/tilesets-map",
    {"png": "image/png", "jpeg": "image/jpeg"},
    "Kortfliser",
    "Map tiles",
)


def places(kind: TileKind, matrices: TileMatrixSet, shown: Shown) -> dict[int, Limits]:
    """Return the tiles of each level that exist."""
    bounds = _extent(shown)
    first = 0 if kind is MAP_TILES else min((_first_zoom(c) for c, _ in shown), default=0)
    levels = [level for level in range(matrices.deepest + 1) if matrices.web_zoom(level) >= first]
    return {level: matrices.limits(level, bounds) for level in levels}


def _first_zoom(collection: Collection) -> int:
    return LEAST_ZOOM.get(collection.dataset, 0)


def _extent(shown: Shown) -> Bounds:
    """Return the bounds of what is shown; all of Denmark where rows are granted or nothing is there.

    The bounds of granted rows cost a search each time, and only their principal could use them.
    """
    if any(collection.visibility is Visibility.GRANTED for collection, _ in shown):
        return crs.DENMARK_UTM32
    known = [extent for _, view in shown if view and (extent := view.extent()) is not None]
    if not known:
        return crs.DENMARK_UTM32
    west, south, east, north = zip(*known, strict=True)
    return min(west), min(south), max(east), max(north)


def matrix_set_list(url: str) -> dict[str, Any]:
    """Return the list of tile matrix sets."""
    entries = []
    for one in MATRIX_SETS.values():
        href = f"{url}/tileMatrixSets/{one.id}"
        entry = {
            "id": one.id,
            "title": one.title,
            "crs": one.crs_uri,
            "links": [_link("self", href, "Definition")],
        }
        entries.append({**entry, "uri": one.uri} if one.uri else entry)
    links = [_link("self", f"{url}/tileMatrixSets", "Tile matrix sets")]
    return {"title": "Tile matrix sets", "links": links, "tileMatrixSets": entries}


def tileset_list(kind: TileKind, url: str, own_url: str, title: str, language: str) -> dict[str, Any]:
    """Return the list of tilesets at `own_url`, one for each tile matrix set."""
    return {
        "title": f"{title}: {kind.title(language).lower()}",
        "links": [_link("self", f"{own_url}?f=json", "JSON"), _html(own_url)],
        "tilesets": [_head(kind, url, f"{own_url}/{one.id}", one, title) for one in MATRIX_SETS.values()],
    }


def _head(kind: TileKind, url: str, own_url: str, matrices: TileMatrixSet, title: str) -> dict[str, Any]:
    registered = {"tileMatrixSetURI": matrices.uri} if matrices.uri else {}
    return {
        "title": f"{title} ({matrices.id})",
        "dataType": kind.data_type,
        "crs": matrices.crs_uri,
        "tileMatrixSetId": matrices.id,
        **registered,
        "links": [
            _link("self", f"{own_url}?f=json", "JSON"),
            _html(own_url),
            _link(f"{RELATIONS}/tiling-scheme", f"{url}/tileMatrixSets/{matrices.id}", matrices.title),
        ],
    }


def tileset(
    kind: TileKind,
    url: str,
    own_url: str,
    matrices: TileMatrixSet,
    shown: Shown,
    title: str,
    language: str,
    *,
    description: str = "",
) -> dict[str, Any]:
    """Return the metadata of one tileset: its links, limits, bounding box and layers.

    Parameters
    ----------
    url, own_url
        Address of the service, and of this tileset.
    """
    document = _head(kind, url, own_url, matrices, title)
    tiles = f"{own_url}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}"
    document["links"] += [
        {"rel": "item", "type": media, "title": name.upper(), "href": f"{tiles}?f={name}", "templated": True}
        for name, media in kind.media_types.items()
    ]
    if kind is VECTOR_TILES and matrices is WEB_MERCATOR:
        document["links"].append(
            _link("alternate", f"{own_url}?f=tilejson", "TileJSON", "application/vnd.mapbox.tile+json")
        )
    limits = places(kind, matrices, shown)
    west, south, east, north = _degrees(_extent(shown))
    return {
        **document,
        **({"description": description} if description else {}),
        "boundingBox": {
            "lowerLeft": [west, south],
            "upperRight": [east, north],
            "crs": crs.CRS84_URI,
            "orderedAxes": ["Lon", "Lat"],
        },
        "tileMatrixSetLimits": [one.document() for one in limits.values()],
        "layers": [_layer(kind, url, collection, view, matrices, language) for collection, view in shown],
    }


def _layer(
    kind: TileKind,
    url: str,
    collection: Collection,
    view: DatasetView | None,
    matrices: TileMatrixSet,
    language: str,
) -> dict[str, Any]:
    layer: dict[str, Any] = {
        "id": collection.id,
        "title": collection.title[language],
        "description": collection.description[language],
        "dataType": kind.data_type,
        "links": [
            _link(f"{RELATIONS}/geodata", f"{url}/collections/{collection.id}", collection.title[language])
        ],
    }
    if kind is MAP_TILES or view is None:
        return layer
    dimension = _DIMENSIONS.get(view.schema.geometry.removeprefix("Multi"))
    if dimension is not None:
        layer["geometryDimension"] = dimension
    shown = [
        level for level in range(matrices.deepest + 1) if matrices.web_zoom(level) >= _first_zoom(collection)
    ]
    layer["minTileMatrix"], layer["maxTileMatrix"] = str(shown[0]), str(matrices.deepest)
    layer["propertiesSchema"] = {"type": "object", "properties": _properties(view)}
    return layer


def _properties(view: DatasetView) -> dict[str, Any]:
    told = describe_columns(view.schema)
    return {**{name: dict(told[name]) for name in shown_columns(view)}, "feature_id": {"type": "string"}}


def tile_json(own_url: str, shown: Shown, title: str, language: str) -> dict[str, Any]:
    """Return the TileJSON 3.0 of a tileset of WebMercatorQuad."""
    limits = places(VECTOR_TILES, WEB_MERCATOR, shown)
    west, south, east, north = _degrees(_extent(shown))
    first = min(limits)
    return {
        "tilejson": "3.0.0",
        "name": title,
        "scheme": "xyz",
        "tiles": [f"{own_url}/{{z}}/{{y}}/{{x}}?f=mvt"],
        "minzoom": first,
        "maxzoom": WEB_MERCATOR.deepest,
        "bounds": [west, south, east, north],
        "center": [(west + east) / 2, (south + north) / 2, max(first, 14)],
        "attribution": "; ".join(dict.fromkeys(c.attribution for c, _ in shown if c.attribution)),
        "vector_layers": [
            {
                "id": collection.id,
                "description": collection.title[language],
                "minzoom": _first_zoom(collection),
                "maxzoom": WEB_MERCATOR.deepest,
                "fields": {name: schema["type"] for name, schema in _properties(view).items()},
            }
            for collection, view in shown
            if view is not None
        ],
    }


def _degrees(bounds: Bounds) -> Bounds:
    west, south, east, north = crs.transformer("EPSG:25832", "OGC:CRS84").transform_bounds(*bounds)
    return floor(west * 1e6) / 1e6, floor(south * 1e6) / 1e6, ceil(east * 1e6) / 1e6, ceil(north * 1e6) / 1e6


def _link(relation: str, href: str, title: str, media_type: str = "application/json") -> dict[str, Any]:
    return {"rel": relation, "type": media_type, "title": title, "href": href}


def _html(own_url: str) -> dict[str, Any]:
    return _link("alternate", f"{own_url}?f=html", "HTML", "text/html")
