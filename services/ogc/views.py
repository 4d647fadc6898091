"""Views: what pygeoapi is told, made from the catalogue.

Two views exist. The *open* one knows the open collections only; the *professional* one, for owners and
excavators, knows all. A view holds titles and CRSs, never rows, extents or names of columns: those come with
the :class:`~services.ogc.call.Call` that a request binds, so that they are always those of its principal.
"""

from __future__ import annotations

import copy
import functools
import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geoinfra import crs
from geoinfra.access import Access, Visibility
from geoinfra.storage.collections import Collection, Kind
from geoinfra.storage.deliveries import DatasetView
from services.catalogue import Present, may_know_granted
from services.ogc import formats
from services.ogc.call import FeatureCall
from services.ogc.engine import EngineAPI, prepare
from services.ogc.items import DEFAULT_ITEMS, IDENTIFIER, MOST_ITEMS, offered
from services.ogc.openapi import openapi_document
from services.ogc.provider import describe_columns

if TYPE_CHECKING:
    from services.ogc.part import Part

__all__ = ["DEFAULT_ITEMS", "MOST_ITEMS", "View", "Views"]

_TEMPLATES = Path(__file__).parent / "templates"

_DENMARK = (7.9, 54.4, 15.4, 57.9)
"""Extent told where nothing can be seen: west, south, east, north in degrees."""


class View(EngineAPI):
    """pygeoapi's API object over some collections of the catalogue.

    Parameters
    ----------
    collections
        Those that exist in this view.
    url
        Public address of the service, without a slash at its end.
    parts
        The OGC APIs beside the engine, for links and the OpenAPI document.
    """

    def __init__(self, collections: Iterable[Collection], url: str, parts: Sequence[Part]) -> None:
        self.collections = {collection.id: collection for collection in collections}
        self._parts = parts
        super().__init__(_configuration(self.collections.values(), url, parts), {})
        self._openapi_lock = threading.Lock()
        self._openapi_made: tuple[Any, dict[str, Any]] | None = None

    def bind(self, *calls: FeatureCall) -> View:
        """Return a copy for one request about some of the collections; nothing of it is shared."""
        bound = copy.copy(self)
        if calls:
            entries = {call.collection.id: self._resource(call) for call in calls}
            bound.config = {**self.config, "resources": {**self.config["resources"], **entries}}
        return bound

    def _resource(self, call: FeatureCall) -> dict[str, Any]:
        entry = self.config["resources"][call.collection.id]
        fields = describe_columns(call.view.schema, comparable_only=call.comparable_only)
        if call.items.page is not None:
            fields = {IDENTIFIER: {"type": "string"}, **fields}
        offer = {"crs": list(offered(call.collection, call.view.schema)), "fields": fields}
        provider = {**entry["providers"][0], **offer, "call": call}
        extents = _extents(call.view) if call.with_extent else entry["extents"]
        return {**entry, "extents": extents, "providers": [provider]}

    def openapi_document(self, views: Mapping[str, DatasetView]) -> dict[str, Any]:
        """Return the OpenAPI description; made when first asked, and again when a schema changes."""
        schemas = tuple((name, view.schema) for name, view in sorted(views.items()))
        with self._openapi_lock:
            if self._openapi_made is None or self._openapi_made[0] != schemas:
                self._openapi_made = (schemas, self._make_openapi(views))
            return self._openapi_made[1]

    def _make_openapi(self, views: Mapping[str, DatasetView]) -> dict[str, Any]:
        shown = [(self.collections[name], view.schema) for name, view in sorted(views.items())]
        title = self.config["metadata"]["identification"]["title"]["en"]
        return openapi_document(title, self.config["server"]["url"], shown, self._parts)


class Views:
    """The two views of a catalogue; replaced as a whole when the catalogue changes."""

    def __init__(self, url: str, parts: Sequence[Part]) -> None:
        prepare(tuple(uri for part in parts for uri in part.conformance))
        self._url = url
        self._parts = parts
        self._lock = threading.Lock()
        self._made: tuple[Present, dict[bool, View]] | None = None

    def of(self, present: Present, access: Access) -> View:
        """Return the view of a principal over the present catalogue."""
        made = self._made
        if made is None or made[0] is not present:
            with self._lock:
                made = self._made = (present, self._make(present.collections.values()))
        return made[1][may_know_granted(access)]

    def _make(self, collections: Iterable[Collection]) -> dict[bool, View]:
        open_ones = [c for c in collections if c.visibility is Visibility.OPEN]
        return {
            False: View(open_ones, self._url, self._parts),
            True: View(collections, self._url, self._parts),
        }


def _extents(view: DatasetView) -> dict[str, Any]:
    """Return what the principal of `view` can see, in degrees."""
    extent = view.extent()
    bbox = list(_DENMARK if extent is None else _degrees(extent))
    return {"spatial": {"bbox": bbox, "crs": crs.CRS84_URI}}


def _degrees(extent: tuple[float, float, float, float]) -> tuple[float, ...]:
    west, south, east, north = crs.transformer("EPSG:25832", "OGC:CRS84").transform_bounds(*extent)
    low = np.floor(np.array([west, south]) * 1e6) / 1e6
    high = np.ceil(np.array([east, north]) * 1e6) / 1e6
    return tuple(float(number) for number in (*low, *high))


def _configuration(collections: Iterable[Collection], url: str, parts: Sequence[Part]) -> dict[str, Any]:
    """Return pygeoapi's configuration as a dict of plain values."""
    return {
        "server": {
            "url": url,
            "mimetype": "application/json; charset=UTF-8",
            "encoding": "utf-8",
            "languages": ["en-GB", "da-DK"],
            "limits": {"default_items": DEFAULT_ITEMS, "max_items": MOST_ITEMS, "on_exceed": "throttle"},
            "templates": {"path": str(_TEMPLATES)},  # pygeoapi's own load scripts and maps from elsewhere
            "ogc_schemas_location": "https://schemas.opengis.net",
        },
        "logging": {"level": "CRITICAL"},
        "metadata": _metadata(url),
        "resources": {
            **{c.id: _resource(c, url, parts) for c in collections if c.kind is Kind.FEATURES},
        },
    }


def _resource(collection: Collection, url: str, parts: Sequence[Part]) -> dict[str, Any]:
    return {
        "type": "collection",
        "title": dict(collection.title),
        "description": dict(collection.description),
        "keywords": list(collection.keywords),
        "links": [
            *formats.links(f"{url}/collections/{collection.id}/items", "items"),
            *(link for part in parts for link in part.collection_links(url, collection)),
        ],
        "extents": {"spatial": {"bbox": list(_DENMARK), "crs": crs.CRS84_URI}},
        "providers": [
            {
                "type": "feature",
                "name": "services.ogc.provider.FeatureProvider",
                "data": collection.dataset,
                "id_field": "id",
                "storage_crs": crs.STORAGE_URI,
                "crs": _crs_uris(collection),
            }
        ],
    }


def _crs_uris(collection: Collection) -> list[str]:
    """Return the addresses of the CRSs offered; CRS84 is always there, and first."""
    codes = [name.removeprefix("EPSG:") for name in collection.crs if name.startswith("EPSG:")]
    return [crs.CRS84_URI, *(f"http://www.opengis.net/def/crs/EPSG/0/{code}" for code in codes)]


@functools.cache
def _metadata_text() -> str:
    return json.dumps(
        {
            "identification": {
                "title": {"en": "geoinfra OGC services", "da": "geoinfra OGC-tjenester"},
                "description": {
                    "en": "Buried utilities for those who may see them, and open geodata.",
                    "da": "Nedgravede ledninger for dem, der må se dem, og åbne geodata.",
                },
                "keywords": {"en": ["geodata", "utilities"], "da": ["geodata", "ledninger"]},
                "keywords_type": "theme",
                "terms_of_service": "about:blank",
            },
            "license": {"name": "See each collection"},
            "provider": {"name": "geoinfra"},
            "contact": {"name": "geoinfra"},
        }
    )


def _metadata(url: str) -> dict[str, Any]:
    metadata: dict[str, Any] = json.loads(_metadata_text())
    metadata["identification"]["url"] = f"{url}?f=html"
    metadata["license"]["url"] = url
    metadata["provider"]["url"] = url
    metadata["contact"]["url"] = url
    return metadata
