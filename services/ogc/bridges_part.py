"""WMS 1.3.0 and WMTS 1.0.0 over the same maps as OGC API Maps, for programs that speak nothing newer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
import shapely
from starlette.responses import Response
from starlette.routing import Route

from geoinfra import crs
from geoinfra.access import Visibility
from geoinfra.errors import GeoinfraError, InvalidInput, NotFound
from geoinfra.presentation.map_image import ImageFrame
from geoinfra.storage.collections import Collection
from geoinfra.tables import FeatureQuery
from services.errors import status_of
from services.ogc import bridges, maps
from services.ogc.asked import Asked, is_fresh
from services.ogc.bridges import INFO_FORMATS, PLAIN_STYLE, WMS_CRS, MapService
from services.ogc.geojson import features
from services.ogc.maps import DEFAULT_STYLE, FORMATS, MapSource
from services.ogc.part import Serve
from services.ogc.tile_matrix import TILE_PX
from services.ogc.tiles_part import audited, operation, parameter, place_named
from services.ogc.tilesets import MAP_TILES
from services.tiles.content import shown_columns

__all__ = ["BridgesPart"]

_XML: Final = "text/xml; charset=utf-8"
_REACH_PX: Final = 4
_MOST_FOUND: Final = 50
_WMS_CODES: Final = {
    "layers": "LayerNotDefined",
    "query_layers": "LayerNotQueryable",
    "styles": "StyleNotDefined",
    "crs": "InvalidCRS",
    "format": "InvalidFormat",
    "info_format": "InvalidFormat",
    "i": "InvalidPoint",
    "j": "InvalidPoint",
}
_LONGEST_VALUE: Final = 4000


class BridgesPart:
    """The older web services of maps. They are no OGC API and claim no class."""

    conformance = ()

    def routes(self, serve: Serve) -> list[Route]:
        """Return the routes, relative to the service's address."""
        rest = "/wmts/1.0.0"
        tile = "{layer}/{style}/{tms}/{level}/{row}/{column}.{form}"
        return [
            Route("/wms", serve.read(_wms)),
            Route("/wmts", serve.read(_wmts)),
            Route(f"{rest}/WMTSCapabilities.xml", serve.read(_wmts_document)),
            Route(f"{rest}/{tile}", serve.read(_wmts_resource)),
        ]

    def landing_links(self, url: str) -> list[dict[str, str]]:
        """Return the links to the capabilities."""
        return [
            {"rel": "related", "type": "text/xml", "title": f"{name} {version}",
             "href": f"{url}/{name.lower()}?service={name}&request=GetCapabilities"}
            for name, version in (("WMS", "1.3.0"), ("WMTS", "1.0.0"))
        ]  # fmt: skip

    def collection_links(self, url: str, collection: Collection) -> list[dict[str, str]]:  # noqa: ARG002  # bridges hang on the landing page
        """Return nothing: the capabilities name the collections."""
        return []

    def openapi_paths(self) -> Mapping[str, Any]:
        """Return the paths for the OpenAPI document."""
        common = [parameter(name, "query") for name in ("service", "request", "version")]
        numbers = [parameter(name, "path") for name in ("layer", "style", "tms", "level", "row", "column")]
        paths = {
            "/wms": operation("WMS 1.3.0: GetCapabilities, GetMap, GetFeatureInfo", common),
            "/wmts": operation("WMTS 1.0.0: GetCapabilities, GetTile", common),
            "/wmts/1.0.0/WMTSCapabilities.xml": operation("Capabilities of the WMTS", []),
            "/wmts/1.0.0/{layer}/{style}/{tms}/{level}/{row}/{column}.{form}": operation(
                "A tile of the WMTS", [*numbers, parameter("form", "path", list(FORMATS))]
            ),
        }
        for path in paths.values():
            path["get"]["tags"] = ["WMS and WMTS"]
        return paths


@dataclass(frozen=True, slots=True)
class _Pairs:
    """The parameters of a request; their names have no case."""

    values: Mapping[str, str]

    @classmethod
    def of(cls, asked: Asked) -> _Pairs:
        found: dict[str, str] = {}
        for name, value in asked.query.multi_items():
            key = name.lower()
            if key in found:
                raise _fault("", f"The parameter '{name[:40]}' is given twice.")
            if len(value) > _LONGEST_VALUE or "\x00" in value:
                raise _fault(key, f"The value of '{name[:40]}' cannot be used.")
            found[key] = value
        return cls(found)

    def get(self, name: str, default: str = "") -> str:
        return self.values.get(name, default)

    def need(self, name: str) -> str:
        found = self.values.get(name)
        if not found:
            raise _fault(name, f"The parameter '{name.upper()}' is missing.", "MissingParameterValue")
        return found


def _fault(locator: str, text: str, code: str = "") -> InvalidInput:
    return InvalidInput(text, details={"locator": locator, "exception": code})


def _services(asked: Asked) -> MapService:
    sources = maps.map_sources(asked)
    by_id: dict[str, tuple[Collection, list[MapSource]]] = {}
    for source in sources:
        by_id.setdefault(source.collection.id, (source.collection, []))[1].append(source)
    title = "Kort" if asked.language == "da" else "Maps"
    return MapService(asked.url, f"geoinfra: {title}", asked.language, list(by_id.values()))


def _capabilities(asked: Asked, write: Callable[[MapService], bytes]) -> Response:
    service = _services(asked)
    headers = maps.caching_of(asked, [source for _, sources in service.layers for source in sources])
    if is_fresh(asked, headers):
        return Response(status_code=304, headers=headers)
    return Response(write(service), headers=headers, media_type=_XML)


# --- WMS


def _wms(asked: Asked) -> Response:
    """Answer a request of the WMS; errors are told in its own form."""
    try:
        pairs = _Pairs.of(asked)
        if pairs.get("service", "WMS").upper() != "WMS":
            raise _fault("service", "This is a WMS.")
        name = pairs.need("request").lower()
        if name == "getcapabilities":
            return _capabilities(asked, bridges.wms_capabilities)
        if name not in ("getmap", "getfeatureinfo"):
            raise _fault("request", "The operation is not offered.", "OperationNotSupported")
        if pairs.need("version") != "1.3.0":
            raise _fault("version", "The version is 1.3.0.")
        return _wms_map(asked, pairs) if name == "getmap" else _wms_info(asked, pairs)
    except GeoinfraError as error:
        code = str(error.details.get("exception") or _WMS_CODES.get(str(error.details.get("locator")), ""))
        return _told(error, bridges.wms_exception(code, _said(error)))


def _wms_map(asked: Asked, pairs: _Pairs) -> Response:
    sources, style = _wms_layers(asked, pairs)
    frame = _wms_frame(pairs)
    media = pairs.need("format")
    form = next((name for name, own in FORMATS.items() if own == media), None)
    if form is None:
        raise _fault("format", f"The formats are {', '.join(FORMATS.values())}.")
    transparent = pairs.get("transparent", "FALSE").upper() == "TRUE"
    background = maps.background_of(pairs.get("bgcolor", "0xFFFFFF"), transparent and form == "png")
    headers = maps.caching_of(asked, sources)
    audited(asked, "map.read", [(source.collection, source.view) for source in sources])
    if is_fresh(asked, headers):
        return Response(status_code=304, headers=headers)
    content = maps.image(asked, sources, frame, style, background, form)
    return Response(content, headers=headers, media_type=media)


def _wms_layers(asked: Asked, pairs: _Pairs) -> tuple[list[MapSource], str]:
    """Return the sources in the order of the request, and the style of the utilities among them."""
    offered = {collection.id: sources for collection, sources in _services(asked).layers}
    names = pairs.need("layers").split(",")
    given = pairs.get("styles").split(",") if pairs.get("styles") else [""] * len(names)
    if len(given) != len(names):
        raise _fault("styles", "There is one style for each layer.")
    chosen: list[MapSource] = []
    styles: set[str] = set()
    for name, style in zip(names, given, strict=True):
        if name not in offered:
            raise _fault("layers", f"There is no layer '{name[:60]}'.")
        chosen += offered[name]
        known = bridges.styles_of(asked.view.collections[name])
        if style not in ("", PLAIN_STYLE, *known):
            raise _fault("styles", f"The layer '{name}' has no style '{style[:60]}'.")
        styles |= {style} - {"", PLAIN_STYLE}
    if len(styles) > 1:
        raise _fault("styles", "One map is drawn in one style.")
    return chosen, styles.pop() if styles else DEFAULT_STYLE


def _wms_frame(pairs: _Pairs) -> ImageFrame:
    name = WMS_CRS.get(pairs.need("crs").upper())
    if name is None:
        raise _fault("crs", f"The CRSs are {', '.join(WMS_CRS)}.")
    box = maps.numbers_of(pairs.need("bbox"))
    if crs.north_first(name):
        box = (box[1], box[0], box[3], box[2])
    width, height = (maps.size_of(pairs.need(side), side) for side in ("width", "height"))
    return maps.frame_of(box, name, name, width, height)


def _wms_info(asked: Asked, pairs: _Pairs) -> Response:
    frame = _wms_frame(pairs)
    sources, _ = _wms_layers(asked, pairs)
    wanted = pairs.need("query_layers").split(",")
    media = pairs.get("info_format", INFO_FORMATS[0])
    if media not in INFO_FORMATS:
        raise _fault("info_format", f"The formats are {', '.join(INFO_FORMATS)}.")
    by_id = {source.collection.id: source for source in sources if _is_open(source)}
    for name in wanted:
        if name not in by_id:
            raise _fault("query_layers", f"The layer '{name[:60]}' cannot be queried here.")
    area = _pointed_at(pairs, frame)
    most = min(maps.size_of(pairs.get("feature_count", "1"), "feature_count") or 1, _MOST_FOUND)
    found = [feature for name in wanted for feature in _found(by_id[name], area, most)]
    headers = maps.caching_of(asked, sources)
    if media == "text/plain":
        return Response(_as_text(found), headers=headers, media_type="text/plain; charset=utf-8")
    document = {"type": "FeatureCollection", "features": found, "numberReturned": len(found)}
    return Response(orjson.dumps(document), headers=headers, media_type=media)


def _is_open(source: MapSource) -> bool:
    return source.view is not None and source.collection.visibility is Visibility.OPEN


def _pointed_at(pairs: _Pairs, frame: ImageFrame) -> bytes:
    """Return the WKB in EPSG:25832 of the ground a few pixels around the place that is pointed at."""
    spot = []
    for name, size in (("i", frame.width_px), ("j", frame.height_px)):
        text = pairs.need(name)
        if not text.isascii() or not text.isdigit() or len(text) > 6 or int(text) >= size:
            raise _fault(name, f"'{name.upper()}' lies outside the image.")
        spot.append(int(text) + 0.5)
    west, south, east, north = frame.bounds
    step_x, step_y = (east - west) / frame.width_px, (north - south) / frame.height_px
    x, y = west + spot[0] * step_x, north - spot[1] * step_y
    box = shapely.box(
        x - _REACH_PX * step_x, y - _REACH_PX * step_y, x + _REACH_PX * step_x, y + _REACH_PX * step_y
    )
    wkb: bytes = shapely.to_wkb(crs.transform_geometry(box, frame.crs_name, f"EPSG:{crs.STORAGE_EPSG}"))
    return wkb


def _found(source: MapSource, area: bytes, most: int) -> list[dict[str, Any]]:
    if source.view is None:
        return []
    query = FeatureQuery(
        polygon=area, equal=source.collection.rule, columns=shown_columns(source.view), limit=most
    )
    found = [
        feature
        for batch in source.view.read(query)
        for feature in features(batch, "OGC:CRS84", geometry=True, encoded=False)
    ]
    return [{**feature, "layer": source.collection.id} for feature in found]


def _as_text(found: list[dict[str, Any]]) -> str:
    lines = []
    for feature in found:
        lines.append(f"{feature['layer']} {feature['id']}")
        lines += [f"  {name}: {value}" for name, value in feature["properties"].items() if value is not None]
    return "\n".join(line.replace("\r", " ").replace("\n", " ") for line in lines) + "\n"


# --- WMTS


def _wmts(asked: Asked) -> Response:
    """Answer a request of the WMTS by parameters."""

    def answer() -> Response:
        pairs = _Pairs.of(asked)
        if pairs.get("service", "WMTS").upper() != "WMTS":
            raise _fault("service", "This is a WMTS.")
        name = pairs.need("request").lower()
        if name == "getcapabilities":
            return _capabilities(asked, bridges.wmts_capabilities)
        if name != "gettile":
            raise _fault("request", "The operation is not offered.", "OperationNotSupported")
        layer = pairs.need("layer")
        tms, level, row, column = (
            pairs.need(key) for key in ("tilematrixset", "tilematrix", "tilerow", "tilecol")
        )
        media = pairs.need("format")
        form = next((name for name, own in FORMATS.items() if own == media), "")
        return _wmts_tile(
            asked,
            layer,
            pairs.get("style"),
            (tms, level, row, column),
            form,
        )

    return _as_ows(answer)


def _wmts_document(asked: Asked) -> Response:
    return _as_ows(lambda: _capabilities(asked, bridges.wmts_capabilities))


def _wmts_resource(asked: Asked) -> Response:
    """Answer a tile by its path."""
    names = asked.request.path_params
    where = (names["tms"], names["level"], names["row"], names["column"])
    return _as_ows(lambda: _wmts_tile(asked, names["layer"], names["style"], where, names["form"]))


def _wmts_tile(asked: Asked, layer: str, style: str, where: tuple[str, str, str, str], form: str) -> Response:
    offered = {collection.id: sources for collection, sources in _services(asked).layers}
    sources = offered.get(layer)
    if sources is None:
        raise _fault("Layer", f"There is no layer '{layer[:60]}'.")
    known = bridges.styles_of(asked.view.collections[layer])
    if style not in ("", PLAIN_STYLE, *known):
        raise _fault("Style", f"The layer has no style '{style[:60]}'.")
    if form not in FORMATS:
        raise _fault("Format", f"The formats are {', '.join(FORMATS.values())}.")
    shown = [(source.collection, source.view) for source in sources]
    matrices, level, row, column = place_named(where, MAP_TILES, shown)
    headers = maps.caching_of(asked, sources)
    audited(asked, "map.read", shown)
    if is_fresh(asked, headers):
        return Response(status_code=304, headers=headers)
    frame = ImageFrame(matrices.crs_name, matrices.bounds(level, row, column), TILE_PX, TILE_PX)
    chosen = style if style in known and style != PLAIN_STYLE else DEFAULT_STYLE
    background = None if form == "png" else "#ffffff"
    content = maps.kept_image(asked, sources, frame, chosen, background, form)
    return Response(content, headers=headers, media_type=FORMATS[form])


def _as_ows(answer: Callable[[], Response]) -> Response:
    try:
        return answer()
    except GeoinfraError as error:
        code = str(error.details.get("exception") or "InvalidParameterValue")
        if isinstance(error, NotFound):
            code = "TileOutOfRange"
        return _told(error, bridges.wmts_exception(code, _said(error), str(error.details.get("locator", ""))))


def _said(error: GeoinfraError) -> str:
    return f"{error.message} {error.hint}".strip()


def _told(error: GeoinfraError, document: bytes) -> Response:
    status = status_of(error)
    if status >= 500:
        raise error
    return Response(document, status, {"Cache-Control": "no-store"}, _XML)
