"""Capabilities of WMS 1.3.0 and WMTS 1.0.0, and their reports of errors, as XML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lxml import etree

from geoinfra import crs
from geoinfra.access import Visibility
from geoinfra.storage.collections import Collection
from services.ogc import tilesets
from services.ogc.maps import DEFAULT_STYLE, FORMATS, MOST_PX, MapSource
from services.ogc.styles import style_entries, styles_apply
from services.ogc.tile_matrix import MATRIX_SETS, TileMatrixSet
from services.ogc.tilesets import MAP_TILES

__all__ = [
    "INFO_FORMATS",
    "PLAIN_STYLE",
    "WMS_CRS",
    "MapService",
    "styles_of",
    "wms_capabilities",
    "wms_exception",
    "wmts_capabilities",
    "wmts_exception",
]

WMS_CRS: Final[Mapping[str, str]] = {
    "EPSG:25832": "EPSG:25832",
    "EPSG:25833": "EPSG:25833",
    "EPSG:3857": "EPSG:3857",
    "EPSG:4258": "EPSG:4258",
    "EPSG:4326": "EPSG:4326",
    "CRS:84": "OGC:CRS84",
}
"""CRS as WMS writes it -> its name; the first is the data's own."""

PLAIN_STYLE: Final = "default"
INFO_FORMATS: Final = ("application/json", "text/plain")

_WMS: Final = "http://www.opengis.net/wms"
_OGC: Final = "http://www.opengis.net/ogc"
_OWS: Final = "http://www.opengis.net/ows/1.1"
_WMTS: Final = "http://www.opengis.net/wmts/1.0"
_XLINK: Final = "http://www.w3.org/1999/xlink"
_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_URNS: Final = {
    "EPSG:3857": "urn:ogc:def:crs:EPSG::3857",
    "EPSG:25832": "urn:ogc:def:crs:EPSG::25832",
    "OGC:CRS84": "urn:ogc:def:crs:OGC:1.3:CRS84",
}

type Element = Any
type Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class MapService:
    """What the capabilities tell of.

    Attributes
    ----------
    url
        Address of the OGC service.
    layers
        One entry a collection, lowest first, each with its sources.
    """

    url: str
    title: str
    language: str
    layers: Sequence[tuple[Collection, Sequence[MapSource]]]


def styles_of(collection: Collection) -> list[str]:
    """Return the names of the styles of a layer, the default first."""
    if not styles_apply(collection):
        return [PLAIN_STYLE]
    return [DEFAULT_STYLE, *(name for name in style_entries() if name != DEFAULT_STYLE)]


def _extent(sources: Sequence[MapSource]) -> Bounds:
    known = [extent for source in sources if (extent := source.extent()) is not None]
    if not known:
        return crs.DENMARK_UTM32
    west, south, east, north = zip(*known, strict=True)
    return min(west), min(south), max(east), max(north)


def _moved(bounds: Bounds, name: str) -> Bounds:
    if name == f"EPSG:{crs.STORAGE_EPSG}":
        return bounds
    west, south, east, north = crs.transformer("EPSG:25832", name).transform_bounds(*bounds)
    return west, south, east, north


def _bytes(root: Element) -> bytes:
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))


def _spaces(own: str, **others: str) -> Any:
    """Return the namespaces of a document, its own without a prefix."""
    return {None: own, **others}


class _Tree:
    """Adds elements of one namespace."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def add(self, parent: Element, name: str, text: str | None = None, /, **attributes: str) -> Element:
        """Add an element; texts that XML cannot hold lose what it cannot hold."""
        element = etree.SubElement(parent, f"{{{self._namespace}}}{name}", attributes)
        if text is not None:
            element.text = _plain(text)
        return element


def _plain(text: str) -> str:
    return "".join(one for one in text if one.isprintable() or one in "\n\t")


# --- WMS 1.3.0


def wms_capabilities(service: MapService) -> bytes:
    """Return the capabilities of the WMS."""
    wms = _Tree(_WMS)
    root = etree.Element(
        f"{{{_WMS}}}WMS_Capabilities",
        {
            "version": "1.3.0",
            f"{{{_XSI}}}schemaLocation": f"{_WMS} http://schemas.opengis.net/wms/1.3.0/capabilities_1_3_0.xsd",
        },
        nsmap=_spaces(_WMS, xlink=_XLINK, xsi=_XSI),
    )
    about = wms.add(root, "Service")
    wms.add(about, "Name", "WMS")
    wms.add(about, "Title", service.title)
    _online(wms, about, service.url)
    wms.add(about, "Fees", "none")
    wms.add(about, "AccessConstraints", "none")
    wms.add(about, "MaxWidth", str(MOST_PX))
    wms.add(about, "MaxHeight", str(MOST_PX))
    capability = wms.add(root, "Capability")
    request = wms.add(capability, "Request")
    for name, formats in (
        ("GetCapabilities", ["text/xml"]),
        ("GetMap", list(FORMATS.values())),
        ("GetFeatureInfo", list(INFO_FORMATS)),
    ):
        operation = wms.add(request, name)
        for media in formats:
            wms.add(operation, "Format", media)
        get = wms.add(wms.add(wms.add(operation, "DCPType"), "HTTP"), "Get")
        _online(wms, get, f"{service.url}/wms?")
    wms.add(wms.add(capability, "Exception"), "Format", "XML")
    whole = wms.add(capability, "Layer")
    wms.add(whole, "Title", service.title)
    for name in WMS_CRS:
        wms.add(whole, "CRS", name)
    _wms_bounds(wms, whole, _extent([source for _, sources in service.layers for source in sources]))
    for collection, sources in service.layers:
        _wms_layer(wms, whole, service, collection, sources)
    return _bytes(root)


def _online(wms: _Tree, parent: Element, href: str) -> None:
    element = wms.add(parent, "OnlineResource")
    element.set(f"{{{_XLINK}}}type", "simple")
    element.set(f"{{{_XLINK}}}href", href)


def _wms_bounds(wms: _Tree, layer: Element, extent: Bounds) -> None:
    west, south, east, north = _moved(extent, "OGC:CRS84")
    box = wms.add(layer, "EX_GeographicBoundingBox")
    for name, number in (
        ("westBoundLongitude", west),
        ("eastBoundLongitude", east),
        ("southBoundLatitude", south),
        ("northBoundLatitude", north),
    ):
        wms.add(box, name, f"{number:.8f}")
    for name, known in WMS_CRS.items():
        west, south, east, north = _moved(extent, known)
        low, high = (
            ((south, west), (north, east)) if crs.north_first(known) else ((west, south), (east, north))
        )
        numbers = zip(("minx", "miny", "maxx", "maxy"), (*low, *high), strict=True)
        wms.add(layer, "BoundingBox", CRS=name, **{key: f"{number:.8f}" for key, number in numbers})


def _wms_layer(
    wms: _Tree, parent: Element, service: MapService, collection: Collection, sources: Sequence[MapSource]
) -> None:
    is_queryable = collection.visibility is Visibility.OPEN and any(source.view for source in sources)
    layer = wms.add(parent, "Layer", queryable="1" if is_queryable else "0")
    wms.add(layer, "Name", collection.id)
    wms.add(layer, "Title", collection.title[service.language])
    wms.add(layer, "Abstract", collection.description[service.language])
    words = wms.add(layer, "KeywordList")
    for keyword in collection.keywords:
        wms.add(words, "Keyword", keyword)
    _wms_bounds(wms, layer, _extent(sources))
    if collection.attribution:
        wms.add(wms.add(layer, "Attribution"), "Title", collection.attribution)
    for name in styles_of(collection):
        style = wms.add(layer, "Style")
        wms.add(style, "Name", name)
        wms.add(
            style, "Title", style_entries()[name].title(service.language) if name in style_entries() else name
        )
        if name in style_entries():
            legend = wms.add(style, "LegendURL", width="600", height="800")
            wms.add(legend, "Format", "image/png")
            _online(wms, legend, f"{service.url}/styles/{name}/legend?f=png")


def wms_exception(code: str, text: str) -> bytes:
    """Return a report of an error; `code` is one of the standard's, or empty."""
    ogc = _Tree(_OGC)
    root = etree.Element(f"{{{_OGC}}}ServiceExceptionReport", {"version": "1.3.0"}, nsmap=_spaces(_OGC))
    ogc.add(root, "ServiceException", text, **({"code": code} if code else {}))
    return _bytes(root)


# --- WMTS 1.0.0


def wmts_capabilities(service: MapService) -> bytes:
    """Return the capabilities of the WMTS."""
    wmts, ows = _Tree(_WMTS), _Tree(_OWS)
    root = etree.Element(
        f"{{{_WMTS}}}Capabilities",
        {
            "version": "1.0.0",
            f"{{{_XSI}}}schemaLocation": (
                f"{_WMTS} http://schemas.opengis.net/wmts/1.0/wmtsGetCapabilities_response.xsd"
            ),
        },
        nsmap=_spaces(_WMTS, ows=_OWS, xlink=_XLINK, xsi=_XSI),
    )
    about = ows.add(root, "ServiceIdentification")
    for name, text in (
        ("Title", service.title),
        ("ServiceType", "OGC WMTS"),
        ("ServiceTypeVersion", "1.0.0"),
        ("Fees", "none"),
        ("AccessConstraints", "none"),
    ):
        ows.add(about, name, text)
    operations = ows.add(root, "OperationsMetadata")
    for name in ("GetCapabilities", "GetTile"):
        _wmts_operation(ows, operations, name, service.url)
    contents = wmts.add(root, "Contents")
    for collection, sources in service.layers:
        _wmts_layer(wmts, ows, contents, service, collection, sources)
    for matrices in MATRIX_SETS.values():
        _wmts_matrix_set(wmts, ows, contents, matrices)
    metadata = wmts.add(root, "ServiceMetadataURL")
    metadata.set(f"{{{_XLINK}}}href", f"{service.url}/wmts/1.0.0/WMTSCapabilities.xml")
    return _bytes(root)


def _wmts_operation(ows: _Tree, parent: Element, name: str, url: str) -> None:
    operation = ows.add(parent, "Operation", name=name)
    get = ows.add(ows.add(ows.add(operation, "DCP"), "HTTP"), "Get")
    get.set(f"{{{_XLINK}}}href", f"{url}/wmts?")
    constraint = ows.add(get, "Constraint", name="GetEncoding")
    ows.add(ows.add(constraint, "AllowedValues"), "Value", "KVP")


def _wmts_layer(
    wmts: _Tree,
    ows: _Tree,
    parent: Element,
    service: MapService,
    collection: Collection,
    sources: Sequence[MapSource],
) -> None:
    layer = wmts.add(parent, "Layer")
    ows.add(layer, "Title", collection.title[service.language])
    ows.add(layer, "Abstract", collection.description[service.language])
    west, south, east, north = _moved(_extent(sources), "OGC:CRS84")
    box = ows.add(layer, "WGS84BoundingBox")
    ows.add(box, "LowerCorner", f"{west:.8f} {south:.8f}")
    ows.add(box, "UpperCorner", f"{east:.8f} {north:.8f}")
    ows.add(layer, "Identifier", collection.id)
    for position, name in enumerate(styles_of(collection)):
        style = wmts.add(layer, "Style", isDefault="false" if position else "true")
        ows.add(style, "Identifier", name)
    for media in FORMATS.values():
        wmts.add(layer, "Format", media)
    shown = [(source.collection, source.view) for source in sources]
    for matrices in MATRIX_SETS.values():
        link = wmts.add(layer, "TileMatrixSetLink")
        wmts.add(link, "TileMatrixSet", matrices.id)
        _wmts_limits(wmts, link, matrices, shown)
    for form, media in FORMATS.items():
        path = f"{collection.id}/{{Style}}/{{TileMatrixSet}}/{{TileMatrix}}/{{TileRow}}/{{TileCol}}.{form}"
        address = f"{service.url}/wmts/1.0.0/{path}"
        wmts.add(layer, "ResourceURL", format=media, resourceType="tile", template=address)


def _wmts_limits(wmts: _Tree, link: Element, matrices: TileMatrixSet, shown: tilesets.Shown) -> None:
    limits = wmts.add(link, "TileMatrixSetLimits")
    for one in tilesets.places(MAP_TILES, matrices, shown).values():
        entry = wmts.add(limits, "TileMatrixLimits")
        for name, number in (
            ("TileMatrix", one.level),
            ("MinTileRow", one.first_row),
            ("MaxTileRow", one.last_row),
            ("MinTileCol", one.first_column),
            ("MaxTileCol", one.last_column),
        ):
            wmts.add(entry, name, str(number))


def _wmts_matrix_set(wmts: _Tree, ows: _Tree, parent: Element, matrices: TileMatrixSet) -> None:
    element = wmts.add(parent, "TileMatrixSet")
    ows.add(element, "Title", matrices.title)
    ows.add(element, "Identifier", matrices.id)
    ows.add(element, "SupportedCRS", _URNS[matrices.crs_name])
    for level in _levels(matrices):
        matrix = wmts.add(element, "TileMatrix")
        ows.add(matrix, "Identifier", level["id"])
        wmts.add(matrix, "ScaleDenominator", repr(level["scaleDenominator"]))
        wmts.add(matrix, "TopLeftCorner", " ".join(map(repr, level["pointOfOrigin"])))
        for name in ("tileWidth", "tileHeight", "matrixWidth", "matrixHeight"):
            wmts.add(matrix, name[0].upper() + name[1:], str(level[name]))


def _levels(matrices: TileMatrixSet) -> Iterator[Mapping[str, Any]]:
    yield from matrices.document["tileMatrices"][: matrices.deepest + 1]


def wmts_exception(code: str, text: str, locator: str = "") -> bytes:
    """Return a report of an error."""
    ows = _Tree(_OWS)
    root = etree.Element(f"{{{_OWS}}}ExceptionReport", {"version": "1.0.0"}, nsmap={"ows": _OWS})
    place = {"locator": locator} if locator else {}
    ows.add(ows.add(root, "Exception", exceptionCode=code, **place), "ExceptionText", text)
    return _bytes(root)
