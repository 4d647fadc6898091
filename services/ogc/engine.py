"""pygeoapi as geoinfra runs it: every place where we replace one of its names, and why.

pygeoapi stays the engine of the OGC documents; what it costs or gets wrong is mended here, once a process, on
the names that its API modules look up. ``pyproject.toml`` pins the minor version, for these names carry no
promise.
"""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NoReturn

import orjson
import pygeoapi.api
import pygeoapi.crs
import pygeoapi.l10n
from pygeoapi.api import itemtypes
from pygeoapi.provider import base as provider_base
from pygeoapi.util import json_serial

from geoinfra.errors import InvalidInput, NotAllowed, NotFound, TooLarge

__all__ = ["CONFORMANCE_FEATURES", "EngineAPI", "encode", "prepare"]

CONFORMANCE_COMMON = [
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/landing-page",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/json",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/html",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-common-2/1.0/conf/collections",
]
CONFORMANCE_FEATURES = [
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/html",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-features-2/1.0/conf/crs",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/queryables",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/queryables-query-parameters",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/features-filter",
    *(
        f"http://www.opengis.net/spec/ogcapi-common-3/1.0/conf/{name}"
        for name in (
            "schemas",
            "advanced-property-roles",
            "returnables-and-receivables",
            "queryables",
            "sortables",
        )
    ),
    *(
        f"http://www.opengis.net/spec/cql2/1.0/conf/{name}"
        for name in (
            "cql2-text",
            "cql2-json",
            "basic-cql2",
            "advanced-comparison-operators",
            "case-insensitive-comparison",
            "accent-insensitive-comparison",
            "basic-spatial-functions",
            "basic-spatial-functions-plus",
            "spatial-functions",
            "temporal-functions",
            "property-property",
        )
    ),
]

_NOT_OFFERED = ("application/ld+json",)
_NOT_OFFERED_RELATIONS = ("service-doc",)


class EngineAPI(pygeoapi.api.API):  # type: ignore[misc]  # pygeoapi carries no types
    """pygeoapi's API object whose refusals are our errors, so that one place answers all failures."""

    def get_exception(
        self,
        status: int,
        headers: Mapping[str, str],  # noqa: ARG002  # pygeoapi's signature
        format_: str | None,  # noqa: ARG002  # the engine's signature
        code: str,
        description: str,
    ) -> NoReturn:
        """Raise what pygeoapi wanted to answer.

        Raises
        ------
        NotFound, NotAllowed, TooLarge, InvalidInput
            By the status.
        RuntimeError
            pygeoapi itself failed.
        """
        match HTTPStatus(status):
            case HTTPStatus.NOT_FOUND:
                raise NotFound(f"{description}.")
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                raise NotAllowed(f"{description}.")
            case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                raise TooLarge(f"{description}.")
            case refused if refused < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise InvalidInput(f"{description}.", hint="See the OpenAPI description of this service.")
        raise RuntimeError(f"pygeoapi failed with {status}: {code}")


def encode(document: Any, _pretty: bool = False) -> bytes:
    """Write a document as JSON.

    pygeoapi's own writer turns ``<`` and ``>`` in attribute values into HTML entities, which corrupts data
    (``"<2004"``); its HTML templates keep that writer, because there it guards against scripts. Links without
    an address and links to representations that we do not offer are left out.
    """
    if isinstance(document, dict):
        _prune_links(document)
        for member in (*document.get("collections", ()), *document.get("processes", ())):
            _prune_links(member)
    return orjson.dumps(document, default=json_serial)


def _prune_links(document: dict[str, Any]) -> None:
    links = document.get("links")
    if isinstance(links, list):
        once = {(link.get("rel"), link.get("type"), link.get("href")): link for link in reversed(links)}
        document["links"] = [
            link
            for link in reversed(once.values())
            if str(link.get("type")).partition(";")[0] not in _NOT_OFFERED
            and link.get("rel") not in _NOT_OFFERED_RELATIONS
            and link.get("href")
            and "/TileMatrixSets?" not in link["href"]
        ]


@functools.cache
def prepare(conformance: tuple[str, ...] = ()) -> None:
    """Replace pygeoapi's names; done once a process, further calls do nothing.

    Parameters
    ----------
    conformance
        Classes of the APIs beside the engine.
    """
    # A CRS object costs milliseconds to build, and pygeoapi builds six for each request.
    cached_crs = functools.lru_cache(maxsize=64)(pygeoapi.crs.get_crs)
    pygeoapi.crs.get_crs = cached_crs
    provider_base.get_crs = cached_crs
    itemtypes.create_crs_transform_spec = _memoised_spec(pygeoapi.crs.create_crs_transform_spec)

    # Box and filter of a request are read by services.ogc.parameters, which follows curved edges and knows
    # all of CQL2 text; the provider gets them with the call.
    itemtypes.transform_bbox = lambda bbox, *_: bbox
    itemtypes.parse_cql2_text = lambda _: None
    itemtypes.modify_pygeofilter = lambda _, **__: None

    for module in (pygeoapi.api, itemtypes):
        module.to_json = encode

    # The kinds of API that we mount; importing all of them takes a second and pulls in readers of grids.
    mounted = {"itemtypes": itemtypes}
    openapi: Any = importlib.import_module("pygeoapi.openapi")  # as an attribute, that name is a command
    pygeoapi.api.all_apis = openapi.all_apis = lambda: mounted

    # The classes that tests prove, not those that the engine hopes for.
    pygeoapi.api.CONFORMANCE_CLASSES = [*CONFORMANCE_COMMON, *conformance]
    itemtypes.CONFORMANCE_CLASSES_FEATURES = CONFORMANCE_FEATURES

    # Pages would otherwise show the configuration that was translated first in the process, whoever asks.
    translate = pygeoapi.l10n.translate_struct
    pygeoapi.l10n.translate_struct = lambda struct, locale, _is_config=False: translate(struct, locale)

    # Its API object would otherwise configure the root logger of the whole server.
    pygeoapi.api.setup_logger = lambda _: None
    logging.getLogger("pygeoapi").setLevel(logging.CRITICAL)


def _memoised_spec(build: Callable[..., Any]) -> Callable[..., Any]:
    """Return `build` cached by what it reads of the provider's definition."""

    @functools.lru_cache(maxsize=256)
    def cached(storage_crs: str, offered: tuple[str, ...], query_crs: str | None) -> Any:
        return build({"storage_crs": storage_crs, "crs": list(offered)}, query_crs)

    def create(provider_def: Mapping[str, Any], query_crs_uri: str | None = None) -> Any:
        return cached(provider_def["storage_crs"], tuple(provider_def["crs"]), query_crs_uri)

    return create
