"""OGC API Styles (draft 20-009): the presentation standard as style sheets, with metadata, legend and sprite.

A style is a style set in one of its palettes. Nothing here depends on rows or on who asks: the rules of the
drawing are open, whoever may see the lines. What was made is kept, for a published style never changes.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from geoinfra.errors import InvalidInput, NotFound
from geoinfra.presentation import maplibre, qml
from geoinfra.presentation.emit import emit, legend_document
from geoinfra.presentation.sprite import style_sprite
from geoinfra.presentation.style_set import StyleSet, load_style_set, style_sets
from geoinfra.storage.collections import Collection
from geoinfra.utilities.model import UTILITY_FEATURES

__all__ = [
    "CONFORMANCE_STYLES",
    "DRAWN_COLLECTIONS",
    "RELATION",
    "StyleEntry",
    "legend",
    "metadata",
    "openapi_paths",
    "prepare_map_style",
    "sprite",
    "style_entries",
    "style_entry",
    "style_list",
    "styles_apply",
    "stylesheet",
]

CONFORMANCE_STYLES: Final = [
    f"http://www.opengis.net/spec/ogcapi-styles-1/0.0/conf/{name}"
    for name in ("core", "mapbox-styles", "sld-11", "html")
]
RELATION: Final = "http://www.opengis.net/def/rel/ogc/1.0/styles"
"""Link relation from the landing page and from collections."""

_DEFAULT: Final = "geoinfra"
DRAWN_COLLECTIONS: Final = tuple(maplibre.COLLECTIONS)
"""Collections that the styles draw."""

_LINES: Final = "utility-lines"


@dataclass(frozen=True, slots=True)
class Representation:
    """A form in which a style or its legend is given.

    Attributes
    ----------
    name
        Value of the parameter ``f``.
    """

    name: str
    media_type: str
    title: str


_SHEETS: Final = (
    Representation("mapbox", "application/vnd.mapbox.style+json", "MapLibre"),
    Representation("sld11", "application/vnd.ogc.sld+xml;version=1.1", "SLD 1.1"),
    Representation("qml", "application/x-qgis-layer-style+xml", "QGIS"),
)
_LEGENDS: Final = (
    Representation("svg", "image/svg+xml", "SVG"),
    Representation("png", "image/png", "PNG"),
    Representation("html", "text/html", "HTML"),
)


@dataclass(frozen=True, slots=True)
class StyleEntry:
    """A style: a style set in one palette. The default palette has the name of the set as its id."""

    id: str
    style_set: StyleSet
    theme: str

    def title(self, language: str) -> str:
        """Return the title, ``da`` or ``en``."""
        name = self.style_set.da if language == "da" else self.style_set.en
        return name if self.id == self.style_set.name else f"{name} ({self.theme})"


@functools.cache
def style_entries() -> Mapping[str, StyleEntry]:
    """Return all styles by id, the default first."""
    names = sorted(style_sets(), key=lambda name: (name != _DEFAULT, name))
    found = {}
    for style_set in map(load_style_set, names):
        for position, theme in enumerate(style_set.themes):
            style = style_set.name if position == 0 else f"{style_set.name}.{theme}"
            found[style] = StyleEntry(style, style_set, theme)
    return found


def style_entry(style: str) -> StyleEntry:
    """Return a style, or raise :class:`~geoinfra.errors.NotFound`."""
    entry = style_entries().get(style)
    if entry is None:
        raise NotFound("There is no such style.", hint=f"Styles: {', '.join(style_entries())}.")
    return entry


def styles_apply(collection: Collection) -> bool:
    """Whether the styles draw a collection."""
    return collection.dataset == UTILITY_FEATURES.name and collection.id in DRAWN_COLLECTIONS


# --- Documents


def style_list(url: str, self_url: str, language: str, collection: str = "") -> dict[str, Any]:
    """Return the list of styles, for one collection if it is named.

    Parameters
    ----------
    url
        Public address of the service.
    self_url
        That of the list.
    """
    styles = [
        {"id": entry.id, "title": entry.title(language), "links": _links(url, entry, collection)}
        for entry in style_entries().values()
    ]
    links = [
        {"rel": "self", "type": "application/json", "href": f"{self_url}?f=json"},
        {"rel": "alternate", "type": "text/html", "href": f"{self_url}?f=html"},
    ]
    return {"default": _DEFAULT, "styles": styles, "links": links}


def _links(url: str, entry: StyleEntry, collection: str = "") -> list[dict[str, str]]:
    address, of = f"{url}/styles/{entry.id}", f"&collection={collection}" if collection else ""
    sheets = [
        {
            "rel": "stylesheet",
            "type": kind.media_type,
            "title": kind.title,
            "href": f"{address}?f={kind.name}{of if kind.name == 'qml' else ''}",
        }
        for kind in _SHEETS
    ]
    legends = [
        {
            "rel": "http://www.opengis.net/def/rel/ogc/1.0/legend",
            "type": kind.media_type,
            "title": kind.title,
            "href": f"{address}/legend?f={kind.name}",
        }
        for kind in _LEGENDS
    ]
    described = {"rel": "describedby", "type": "application/json", "href": f"{address}/metadata?f=json"}
    return [*sheets, described, *legends]


def metadata(url: str, entry: StyleEntry, language: str) -> dict[str, Any]:
    """Return the metadata of a style."""
    style_set, address = entry.style_set, f"{url}/styles/{entry.id}"
    links = _links(url, entry)
    return {
        "id": entry.id,
        "title": entry.title(language),
        "description": style_set.about,
        "keywords": ["utilities", "LER", style_set.name],
        "pointOfContact": "geoinfra",
        "license": style_set.licence,
        "source": style_set.source,
        "accessConstraints": "unclassified",
        "version": style_set.version,
        "scope": "style",
        "stylesheets": [
            {
                "title": kind.title,
                "version": {"mapbox": "8", "sld11": "1.1.0"}.get(kind.name, "3"),
                "specification": _SPECIFICATIONS[kind.name],
                "native": False,
                "link": {"rel": "stylesheet", "type": kind.media_type, "href": f"{address}?f={kind.name}"},
            }
            for kind in _SHEETS
        ],
        "layers": [
            {"id": name, "type": kind, "sampleData": {"rel": "start", "href": f"{url}/collections/{name}"}}
            for name, kind in (("utility-lines", "line"), ("utility-components", "point"))
        ],
        "links": [
            {"rel": "self", "type": "application/json", "href": f"{address}/metadata?f=json"},
            {"rel": "preview", "type": "image/png", "href": f"{address}/legend?f=png"},
            *(link for link in links if link["rel"] != "describedby"),
        ],
    }


_SPECIFICATIONS: Final = {
    "mapbox": "https://maplibre.org/maplibre-style-spec/",
    "sld11": "https://www.ogc.org/standard/sld/",
    "qml": "https://docs.qgis.org/latest/en/docs/user_manual/appendices/qgis_file_formats.html",
}


# --- Style sheets, legends, sprites


def _chosen(kinds: Sequence[Representation], name: str | None, accept: str) -> Representation:
    """Return the form asked for by name, else the first that the client accepts, else the first."""
    if name is not None:
        found = next((kind for kind in kinds if kind.name == name), None)
        if found is None:
            offered = ", ".join(kind.name for kind in kinds)
            raise InvalidInput(f"The format '{name[:40]}' is not offered.", hint=f"Formats: {offered}.")
        return found
    wanted = [part.split(";")[0].strip() for part in accept.split(",")]
    accepted = (kind for media in wanted for kind in kinds if kind.media_type.partition(";")[0] == media)
    return next(accepted, kinds[0])


def stylesheet(
    entry: StyleEntry, name: str | None, accept: str, language: str, *, url: str, collection: str = ""
) -> tuple[bytes, str]:
    """Return a style sheet and its media type.

    Parameters
    ----------
    name
        ``mapbox``, ``sld11`` or ``qml``; without it `accept` decides.
    url
        Public address of the application; tiles and sprite of a MapLibre style lie there.
    collection
        Of a QML, which styles one layer; the lines when not given.
    """
    kind = _chosen(_SHEETS, name, accept)
    if kind.name == "mapbox":
        return _maplibre(entry.id, language, url), kind.media_type
    if kind.name == "qml":
        return _qml(entry.id, collection or _LINES, language), kind.media_type
    return _sld(entry.id, language), kind.media_type


def legend(entry: StyleEntry, name: str | None, accept: str, language: str) -> tuple[bytes, str]:
    """Return a legend as ``svg``, ``png`` or ``html``, and its media type."""
    kind = _chosen(_LEGENDS, name, accept)
    return _legend(entry.id, kind.name, language), kind.media_type


def sprite(entry: StyleEntry, pixel_ratio: int, form: str) -> tuple[bytes, str]:
    """Return the index (``json``) or the sheet (``png``) of the images of a MapLibre style."""
    index, sheet = _sprite(entry.id, pixel_ratio)
    return (index, "application/json") if form == "json" else (sheet, "image/png")


def prepare_map_style(url: str) -> None:
    """Make ahead what the first visitor of the map page would wait for: the default style and its sprites.

    Parameters
    ----------
    url
        Public address of the application.
    """
    for language in ("da", "en"):
        _maplibre(_DEFAULT, language, url)
    for pixel_ratio in (1, 2):
        _sprite(_DEFAULT, pixel_ratio)


@functools.lru_cache(maxsize=32)
def _maplibre(style: str, language: str, url: str) -> bytes:
    entry = style_entry(style)
    document = maplibre.style_document(entry.style_set, language=language, theme=entry.theme)
    for name, source in document["sources"].items():
        source["tiles"] = [f"{url}/tiles/{name}/{{z}}/{{x}}/{{y}}.mvt"]
    document["sprite"] = f"{url}/ogc/styles/{style}/sprite"
    del document["glyphs"]  # clients write with fonts of their own
    return orjson.dumps(document)


@functools.lru_cache(maxsize=8)
def _sld(style: str, language: str) -> bytes:
    entry = style_entry(style)
    return emit(entry.style_set, "sld", language=language, theme=entry.theme)


@functools.lru_cache(maxsize=16)
def _qml(style: str, collection: str, language: str) -> bytes:
    entry = style_entry(style)
    made = qml.collection_style(entry.style_set, collection, language=language, theme=entry.theme)
    return made.encode()


@functools.lru_cache(maxsize=32)
def _legend(style: str, form: str, language: str) -> bytes:
    entry = style_entry(style)
    return legend_document(entry.style_set, form, language=language, theme=entry.theme)


@functools.lru_cache(maxsize=16)
def _sprite(style: str, pixel_ratio: int) -> tuple[bytes, bytes]:
    entry = style_entry(style)
    made = style_sprite(entry.style_set, theme=entry.theme, pixel_ratio=pixel_ratio)
    return orjson.dumps(made.index), made.png


# --- OpenAPI


def openapi_paths() -> dict[str, Any]:
    """Return the paths of the styles for the OpenAPI description."""
    style = _parameter("style", "path", list(style_entries()))
    language = _parameter("lang", "query", ["da", "en"])
    sheets, legends = [kind.name for kind in _SHEETS], [kind.name for kind in _LEGENDS]
    collection = {"name": "collection", "in": "query", "required": False, "schema": {"type": "string"}}
    pages = _parameter("f", "query", ["json", "html"])
    sheet, picture = _parameter("f", "query", sheets), _parameter("f", "query", legends)
    return {
        "/styles": _operation("Styles, the default first", [pages, language]),
        "/styles/{style}": _operation("A style sheet", [style, sheet, language, collection]),
        "/styles/{style}/metadata": _operation("Metadata of a style", [style, pages, language]),
        "/styles/{style}/legend": _operation("The legend of a style", [style, picture, language]),
    }


def _parameter(name: str, place: str, values: Sequence[str]) -> dict[str, Any]:
    schema = {"type": "string", "enum": list(values)}
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _operation(summary: str, parameters: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    answers = {"200": {"description": summary}, "400": {"description": "A parameter has no meaning"}}
    if any(parameter["in"] == "path" for parameter in parameters):
        answers["404"] = {"description": "There is no such style"}
    return {
        "get": {"summary": summary, "tags": ["Styles"], "parameters": [*parameters], "responses": answers}
    }
