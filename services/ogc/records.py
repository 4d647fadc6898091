"""The catalogue of what is served: a record of each collection, service and style that the asker may know.

Nothing in a record comes from granted rows: their collections tell of Denmark as a whole, and of no delivery.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import shapely
import sqlalchemy as sa

import geoinfra
from geoinfra import crs
from geoinfra.access import Access, Visibility
from geoinfra.storage import Store, schema
from geoinfra.storage.collections import Collection, Kind
from geoinfra.storage.grids import bounds_in
from geoinfra.storage.metadata import INSPIRE_THEMES, Contact, Licence, Metadata
from services.catalogue import Present
from services.ogc import gridded
from services.ogc.asked import Asked
from services.ogc.styles import style_entries

__all__ = [
    "CATALOGUE",
    "DENMARK",
    "INSPIRE_SCHEME",
    "TOPIC_SCHEME",
    "Resource",
    "catalogue_document",
    "record",
    "resources",
    "title_of",
]

CATALOGUE: Final = "catalogue"
"""Id of the collection of records."""

DENMARK: Final = (7.9, 54.4, 15.4, 57.9)
INSPIRE_SCHEME: Final = "http://inspire.ec.europa.eu/theme"
TOPIC_SCHEME: Final = "http://inspire.ec.europa.eu/metadata-codelist/TopicCategory"
CONFORMS_TO: Final = "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/record-core"

_LANGUAGES: Final = {
    "da": {"code": "da", "name": "dansk", "alternate": "Danish"},
    "en": {"code": "en", "name": "English"},
}
_TITLE: Final = {"da": "Katalog", "en": "Catalogue"}
_DESCRIPTION: Final = {
    "da": "Beskrivelser af alle samlinger, tjenester og signaturer, der udstilles her.",
    "en": "Descriptions of all collections, services and styles that are offered here.",
}


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing that a record describes.

    Attributes
    ----------
    id
        Of the record.
    kind
        ``dataset``, ``service`` or ``style``.
    extent
        West, south, east and north in degrees.
    interval
        First and last moment that the data cover, where that is known.
    created, updated
        Moments in UTC.
    serves
        Ids of the datasets that a service gives out.
    """

    id: str
    kind: str
    title: Mapping[str, str]
    description: Mapping[str, str]
    keywords: Sequence[str] = ()
    metadata: Metadata = field(default_factory=Metadata)
    extent: tuple[float, float, float, float] = DENMARK
    created: str = ""
    updated: str = ""
    attribution: str = ""
    licence_text: str = ""
    crs: Sequence[str] = ()
    links: Sequence[Mapping[str, Any]] = ()
    templates: Sequence[Mapping[str, Any]] = ()
    formats: Sequence[tuple[str, str]] = ()
    serves: Sequence[str] = ()
    conforms_to: str = ""

    @property
    def licence(self) -> Licence:
        """The licence of the metadata."""
        return self.metadata.licence

    def contacts(self, operator: Contact) -> tuple[Contact, ...]:
        """Whom to ask; the operator where nobody is named."""
        return self.metadata.contacts or (operator,)


def title_of(language: str) -> str:
    """Return what the catalogue is called."""
    return _TITLE[language]


# --- What there is


def resources(asked: Asked) -> tuple[Resource, ...]:
    """Return everything that the asker may know, in a lasting order: collections, services, styles."""
    knows_granted = any(c.visibility is Visibility.GRANTED for c in asked.view.collections.values())
    return _resources(asked.present, knows_granted, asked.url, asked.store)


@functools.lru_cache(maxsize=4)
def _resources(present: Present, knows_granted: bool, url: str, store: Store) -> tuple[Resource, ...]:
    collections = [
        c for c in present.collections.values() if knows_granted or c.visibility is Visibility.OPEN
    ]
    dates = _delivery_dates(store)
    datasets = [_dataset(present, collection, url, dates) for collection in collections]
    moments = [one.updated for one in datasets if one.updated]
    made = max(moments, default="")
    return (*datasets, *_services(present, url, collections, made), *_styles(url, made))


def _delivery_dates(store: Store) -> dict[str, tuple[str, str]]:
    """Return dataset -> when its oldest and its newest present delivery came."""
    found: dict[str, tuple[str, str]] = {}
    tables = (
        (schema.current_deliveries, schema.deliveries, "delivery_id"),
        (schema.current_grids, schema.grids, "grid_id"),
    )
    with store.read() as connection:
        for current, all_of_them, key in tables:
            moment = all_of_them.c.created_at
            query = (
                sa.select(current.c.dataset, sa.func.min(moment), sa.func.max(moment))
                .join(all_of_them, all_of_them.c[key] == current.c[key])
                .group_by(current.c.dataset)
            )
            found |= {name: (first, last) for name, first, last in connection.execute(query)}
    return found


def _dataset(
    present: Present, collection: Collection, url: str, dates: Mapping[str, tuple[str, str]]
) -> Resource:
    is_open = collection.visibility is Visibility.OPEN
    first, last = dates.get(collection.dataset, ("", "")) if is_open else ("", "")
    return Resource(
        id=f"dataset.{collection.id}",
        kind="dataset",
        title=collection.title,
        description=collection.description,
        keywords=collection.keywords,
        metadata=collection.metadata,
        extent=_extent(present, collection) if is_open else DENMARK,
        created=_moment(collection.metadata.created) or first,
        updated=_moment(collection.metadata.revised) or last,
        attribution=collection.attribution,
        licence_text=collection.licence,
        crs=[crs.uri(name) for name in collection.crs],
        links=list(_dataset_links(collection, url)),
        templates=list(_templates(collection, url)),
        formats=_FORMATS[collection.kind],
    )


def _moment(day: str) -> str:
    return f"{day}T00:00:00Z" if day else ""


_FORMATS: Final[Mapping[Kind, Sequence[tuple[str, str]]]] = {
    Kind.FEATURES: (
        ("GeoJSON", "application/geo+json"),
        ("Mapbox Vector Tile", "application/vnd.mapbox-vector-tile"),
    ),
    Kind.RASTER: (
        ("GeoTIFF", "image/tiff; application=geotiff"),
        ("CoverageJSON", "application/prs.coverage+json"),
    ),
    Kind.CUBE: (
        ("CoverageJSON", "application/prs.coverage+json"),
        ("GeoJSON", "application/geo+json"),
        ("CSV", "text/csv"),
    ),
}


def _extent(present: Present, collection: Collection) -> tuple[float, float, float, float]:
    """Return the box in degrees of an open collection's rows or cells, Denmark's where it has none."""
    if collection.kind is Kind.FEATURES:
        box, own = present.view(Access.anonymous(), collection).extent(), "EPSG:25832"
    else:
        found = gridded.shown_of(present, collection)
        box, own = (found.bounds, found.crs) if found else (None, "")
    if box is None:
        return DENMARK
    west, south, east, north = bounds_in(box, own, "OGC:CRS84")
    return round(west, 6), round(south, 6), round(east, 6), round(north, 6)


def _link(rel: str, href: str, media_type: str, title: str) -> dict[str, str]:
    return {"rel": rel, "href": href, "type": media_type, "title": title}


def _dataset_links(collection: Collection, url: str) -> Iterator[dict[str, str]]:
    about = f"{url}/collections/{collection.id}"
    yield _link("about", f"{about}?f=json", "application/json", collection.title["en"])
    yield _link("about", f"{about}?f=html", "text/html", collection.title["en"])
    if collection.kind is Kind.FEATURES:
        yield _link("item", f"{about}/items?f=json", "application/geo+json", "Features")
        yield _link("describedby", f"{about}/schema?f=json", "application/schema+json", "Schema")
    if collection.kind is Kind.RASTER:
        yield _link("item", f"{about}/coverage?f=json", "application/prs.coverage+json", "Coverage")
    licence = collection.metadata.licence
    if licence.address:
        yield _link("license", licence.address, "text/html", licence.spdx or "Licence")


def _templates(collection: Collection, url: str) -> Iterator[dict[str, Any]]:
    if collection.kind is not Kind.FEATURES:
        return
    about = f"{url}/collections/{collection.id}"
    yield {
        "rel": "item",
        "type": "application/geo+json",
        "title": "Features in a box",
        "uriTemplate": f"{about}/items?bbox={{west}},{{south}},{{east}},{{north}}&limit={{limit}}",
        "variables": {
            **{name: {"type": "number"} for name in ("west", "south", "east", "north")},
            "limit": {"type": "integer", "minimum": 1},
        },
    }
    yield {
        "rel": "http://www.opengis.net/def/rel/ogc/1.0/tilesets-vector",
        "type": "application/vnd.mapbox-vector-tile",
        "title": "Vector tiles",
        "uriTemplate": f"{about}/tiles/WebMercatorQuad/{{tileMatrix}}/{{tileRow}}/{{tileCol}}",
        "variables": {
            name: {"type": "integer", "minimum": 0} for name in ("tileMatrix", "tileRow", "tileCol")
        },
    }


@dataclass(frozen=True, slots=True)
class _Face:
    """A service: its path below ``/ogc``, what it is called, the standard, the kinds that it serves.

    Attributes
    ----------
    media_type, query
        Of what the path itself answers.
    """

    id: str
    path: str
    da: str
    en: str
    standard: str
    kinds: tuple[Kind, ...] = tuple(Kind)
    media_type: str = "application/json"
    query: str = "f=json"


_FACES: Final = (
    _Face(
        "features", "/collections", "Objekter (OGC API Features)", "Features (OGC API Features)",
        "http://www.opengis.net/doc/IS/ogcapi-features-1/1.0", (Kind.FEATURES,),
    ),
    _Face(
        "tiles", "/tiles", "Vektorfliser (OGC API Tiles)", "Vector tiles (OGC API Tiles)",
        "http://www.opengis.net/doc/IS/ogcapi-tiles-1/1.0", (Kind.FEATURES,),
    ),
    _Face(
        "coverages", "/collections", "Dækninger (OGC API Coverages)", "Coverages (OGC API Coverages)",
        "http://www.opengis.net/doc/IS/ogcapi-coverages-1/0.0", (Kind.RASTER, Kind.CUBE),
    ),
    _Face(
        "edr", "/collections", "Miljødata (OGC API EDR)", "Environmental data (OGC API EDR)",
        "http://www.opengis.net/doc/IS/ogcapi-edr-1/1.1", (Kind.RASTER, Kind.CUBE),
    ),
    _Face(
        "maps", "/map", "Kort (OGC API Maps)", "Maps (OGC API Maps)",
        "http://www.opengis.net/doc/IS/ogcapi-maps-1/1.0", (Kind.FEATURES, Kind.RASTER),
        media_type="image/png", query="f=png",
    ),
    _Face(
        "wms", "/wms", "Kort (WMS 1.3.0)", "Maps (WMS 1.3.0)",
        "http://www.opengis.net/doc/IS/wms/1.3.0", (Kind.FEATURES, Kind.RASTER),
        media_type="text/xml", query="SERVICE=WMS&REQUEST=GetCapabilities",
    ),
    _Face(
        "wmts", "/wmts", "Kortfliser (WMTS 1.0.0)", "Map tiles (WMTS 1.0.0)",
        "http://www.opengis.net/doc/IS/wmts/1.0.0", (Kind.FEATURES, Kind.RASTER),
        media_type="text/xml", query="SERVICE=WMTS&REQUEST=GetCapabilities",
    ),
    _Face(
        "records", f"/collections/{CATALOGUE}", "Katalog (OGC API Records)", "Catalogue (OGC API Records)",
        "http://www.opengis.net/doc/IS/ogcapi-records-1/1.0", (),
    ),
    _Face(
        "processes", "/processes", "Processer (OGC API Processes)", "Processes (OGC API Processes)",
        "http://www.opengis.net/doc/IS/ogcapi-processes-1/1.0", (),
    ),
    _Face(
        "styles", "/styles", "Signaturer (OGC API Styles)", "Styles (OGC API Styles)",
        "http://www.opengis.net/doc/DP/ogcapi-styles-1/0.0", (),
    ),
)  # fmt: skip


def _serves(face: _Face, present: Present, collection: Collection) -> bool:
    """Whether a service serves a collection; places with series are no coverage."""
    if collection.kind not in face.kinds:
        return False
    found = gridded.shown_of(present, collection) if face.id == "coverages" else None
    return found is None or not found.is_stations


def _services(present: Present, url: str, collections: Sequence[Collection], made: str) -> Iterator[Resource]:
    for face in _FACES:
        yield Resource(
            id=f"service.{face.id}",
            kind="service",
            title={"da": face.da, "en": face.en},
            description={
                "da": f"{face.da} for det, der udstilles her.",
                "en": f"{face.en} over what is offered here.",
            },
            keywords=("OGC API", face.id),
            created=made,
            updated=made,
            links=[
                _link("about", f"{url}{face.path}?{face.query}", face.media_type, face.en),
                _link("service", f"{url}/", "application/json", face.en),
                _link(
                    "service-desc",
                    f"{url}/openapi",
                    "application/vnd.oai.openapi+json;version=3.0",
                    "The API's description",
                ),
            ],
            serves=[f"dataset.{c.id}" for c in collections if _serves(face, present, c)],
            conforms_to=face.standard,
        )


def _styles(url: str, made: str) -> Iterator[Resource]:
    for style, entry in style_entries().items():
        about = f"{url}/styles/{style}"
        yield Resource(
            id=f"style.{style}",
            kind="style",
            title={language: entry.title(language) for language in ("da", "en")},
            description=dict.fromkeys(("da", "en"), entry.style_set.about),
            keywords=("utilities", "LER", entry.style_set.name),
            created=made,
            updated=made,
            licence_text=entry.style_set.licence,
            links=[
                _link("about", f"{about}/metadata?f=json", "application/json", entry.title("en")),
                _link("item", f"{about}?f=mapbox", "application/vnd.mapbox.style+json", "MapLibre"),
                _link("item", f"{about}?f=sld11", "application/vnd.ogc.sld+xml;version=1.1", "SLD 1.1"),
                _link("preview", f"{about}/legend?f=png", "image/png", "Legend"),
            ],
        )


# --- Documents


def record(
    one: Resource, url: str, language: str, operator: Contact, *, alone: bool = False
) -> dict[str, Any]:
    """Return the GeoJSON record of a resource.

    Parameters
    ----------
    alone
        As an answer of its own, with links to its other representations.
    """
    west, south, east, north = one.extent
    box = shapely.box(west, south, east, north)
    document: dict[str, Any] = {
        "id": one.id,
        "type": "Feature",
        "conformsTo": [CONFORMS_TO],
        "time": _time(one),
        "geometry": json.loads(shapely.to_geojson(box)),
        "properties": _properties(one, language, operator),
        "links": [
            *(dict(link) for link in one.links),
            *_own_links(one, url, alone=alone),
        ],
    }
    if one.templates:
        document["linkTemplates"] = [dict(template) for template in one.templates]
    return document


def _time(one: Resource) -> dict[str, Any] | None:
    """Return the day that the content stands for, where the entry tells it."""
    metadata = one.metadata
    if metadata.created and metadata.revised:
        return {"interval": sorted((metadata.created, metadata.revised))}
    day = metadata.revised or metadata.created
    return {"date": day} if day else None


def _own_links(one: Resource, url: str, *, alone: bool) -> Iterator[dict[str, str]]:
    own = f"{url}/collections/{CATALOGUE}/items/{one.id}"
    yield _link("collection", f"{url}/collections/{CATALOGUE}?f=json", "application/json", _TITLE["en"])
    yield _link("self", f"{own}?f=json", "application/geo+json", "This record")
    if alone:
        yield _link("alternate", f"{own}?f=html", "text/html", "This record as HTML")
        yield _link("alternate", f"{own}?f=jsonld", "application/ld+json", "GeoDCAT-AP as JSON-LD")
        yield _link("alternate", f"{own}?f=rdfxml", "application/rdf+xml", "GeoDCAT-AP as RDF/XML")
        yield _link("alternate", f"{own}?f=iso19115", "application/xml", "ISO 19115-3")


def _properties(one: Resource, language: str, operator: Contact) -> dict[str, Any]:
    metadata = one.metadata
    properties: dict[str, Any] = {
        "type": one.kind,
        "title": one.title[language],
        "description": one.description[language],
        "keywords": list(one.keywords),
        "language": _LANGUAGES[language],
        "languages": list(_LANGUAGES.values()),
        "created": one.created,
        "updated": one.updated,
        "externalIds": [{"value": one.id.partition(".")[2]}],
        "formats": [{"name": name, "mediaType": kind} for name, kind in one.formats],
        "contacts": [_contact(contact) for contact in one.contacts(operator)],
        "license": one.licence.spdx or ("other" if one.licence.address else ""),
        "rights": _rights(one, language),
        "themes": _themes(one, language),
        "attribution": one.attribution,
        "lineage": metadata.lineage.get(language, ""),
        "updateFrequency": metadata.update,
        "spatialResolution_m": metadata.resolution_m,
        "quality": [
            {name: value for name, value in told.items() if value not in (None, "")}
            for told in (
                {
                    "measure": q.measure,
                    "value": q.value,
                    "unit": q.unit,
                    "text": q.text.get(language, ""),
                }
                for q in metadata.quality
            )
        ],
        "conformance": metadata.to_json().get("conformance", []),
        "crs": list(one.crs),
        "serves": list(one.serves),
    }
    return {name: value for name, value in properties.items() if value not in (None, "", [])}


def _rights(one: Resource, language: str) -> str:
    texts = (one.licence.text.get(language, ""), one.licence_text, one.metadata.terms.get(language, ""))
    return " ".join(dict.fromkeys(text for text in texts if text))


def _themes(one: Resource, language: str) -> list[dict[str, Any]]:
    themes = []
    code = one.metadata.inspire_theme
    if code:
        name = INSPIRE_THEMES[code][0 if language == "da" else 1]
        concept = {"id": code, "title": name, "url": f"{INSPIRE_SCHEME}/{code}"}
        themes.append({"concepts": [concept], "scheme": INSPIRE_SCHEME})
    if one.metadata.topics:
        concepts = [{"id": topic, "url": f"{TOPIC_SCHEME}/{topic}"} for topic in one.metadata.topics]
        themes.append({"concepts": concepts, "scheme": TOPIC_SCHEME})
    return themes


def _contact(contact: Contact) -> dict[str, Any]:
    told: dict[str, Any] = {"organization": contact.name, "roles": [contact.role]}
    if contact.email:
        told["emails"] = [{"value": contact.email}]
    if contact.url:
        told["links"] = [{"rel": "about", "type": "text/html", "href": contact.url}]
    return told


def catalogue_document(
    all_of_them: Sequence[Resource], url: str, language: str, operator: Contact
) -> dict[str, Any]:
    """Return the description of the collection of records."""
    own = f"{url}/collections/{CATALOGUE}"
    boxes = [one.extent for one in all_of_them] or [DENMARK]
    lows, highs = list(zip(*boxes, strict=True))[:2], list(zip(*boxes, strict=True))[2:]
    bbox = [*(min(values) for values in lows), *(max(values) for values in highs)]
    moments = [one.updated for one in all_of_them if one.updated]
    document: dict[str, Any] = {
        "id": CATALOGUE,
        "type": "Collection",
        "itemType": "record",
        "title": _TITLE[language],
        "description": _DESCRIPTION[language],
        "keywords": ["catalogue", "metadata", "GeoDCAT-AP", "ISO 19115"],
        "language": _LANGUAGES[language],
        "languages": list(_LANGUAGES.values()),
        "conformsTo": [CONFORMS_TO],
        "contacts": [_contact(operator)],
        "extent": {"spatial": {"bbox": [bbox], "crs": crs.CRS84_URI}},
        "crs": [crs.CRS84_URI],
        "itemCount": len(all_of_them),
        "defaultSortOrder": [{"field": "id", "direction": "asc"}],
        "links": list(_catalogue_links(own, url)),
        "generator": f"geoinfra {geoinfra.__version__}",
    }
    if moments:
        document |= {"created": min(moments), "updated": max(moments)}
    return document


def _catalogue_links(own: str, url: str) -> Iterator[dict[str, str]]:
    relations = "http://www.opengis.net/def/rel/ogc/1.0"
    yield _link("self", f"{own}?f=json", "application/json", _TITLE["en"])
    yield _link("alternate", f"{own}?f=html", "text/html", "This document as HTML")
    yield _link("alternate", f"{own}?f=jsonld", "application/ld+json", "GeoDCAT-AP as JSON-LD")
    yield _link("alternate", f"{own}?f=rdfxml", "application/rdf+xml", "GeoDCAT-AP as RDF/XML")
    yield _link("alternate", f"{own}?f=iso19115", "application/xml", "ISO 19115-3")
    yield _link("root", f"{url}/?f=json", "application/json", "Landing page")
    yield _link("items", f"{own}/items?f=json", "application/geo+json", "Records")
    yield _link("items", f"{own}/items?f=html", "text/html", "Records as HTML")
    for name in ("queryables", "sortables"):
        yield _link(f"{relations}/{name}", f"{own}/{name}?f=json", "application/schema+json", name.title())
