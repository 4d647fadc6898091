"""The OpenAPI description of the OGC service: one document that refers to nothing outside of itself.

The engine's own description names routes that are not served and points at schemas on other hosts, which
clients without the internet cannot read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from geoinfra.storage.collections import Collection
from geoinfra.tables import Column, ColumnType, DatasetSchema
from services.ogc import formats
from services.ogc.items import DEFAULT_ITEMS, IDENTIFIER, MOST_ITEMS, comparable, offered

if TYPE_CHECKING:
    from services.ogc.part import Part

__all__ = ["openapi_document"]

_TYPES: Mapping[ColumnType, dict[str, str]] = {
    ColumnType.INTEGER: {"type": "integer"},
    ColumnType.REAL: {"type": "number"},
    ColumnType.BOOLEAN: {"type": "boolean"},
    ColumnType.DATE: {"type": "string", "format": "date"},
    ColumnType.DATETIME: {"type": "string", "format": "date-time"},
}
_TEXT: Mapping[str, Any] = {"type": "string"}
_OPENAPI_TYPE = "application/vnd.oai.openapi+json;version=3.0"


def openapi_document(
    title: str, url: str, shown: Iterable[tuple[Collection, DatasetSchema]], parts: Sequence[Part]
) -> dict[str, Any]:
    """Return the description.

    Parameters
    ----------
    url
        Address of the service, without a slash at its end.
    shown
        Collections of features, each with its schema.
    parts
        The OGC APIs beside the engine; what they say of a path counts.
    """
    paths = _common_paths()
    for collection, schema in shown:
        paths |= _collection_paths(collection, schema)
    for part in parts:
        paths |= part.openapi_paths()
    for item in paths.values():
        for operation in item.values():
            operation["responses"].setdefault("default", {"$ref": "#/components/responses/Problem"})
    return {
        "openapi": "3.0.3",
        "info": {"title": title, "version": version("geoinfra"), "license": {"name": "See each collection"}},
        "servers": [{"url": url}],
        "paths": paths,
        "components": {
            "parameters": _PARAMETERS,
            "responses": {"Problem": _answer("What was wrong", "application/problem+json", "problem")},
            "schemas": _SCHEMAS,
        },
    }


# --- Paths


def _common_paths() -> dict[str, Any]:
    html = ["f", "lang"]
    return {
        "/": _get("landingPage", "The landing page", html, "landingPage", html=True),
        "/openapi": _get("openapi", "This document", ["f"], "object", _OPENAPI_TYPE),
        "/conformance": _get("conformance", "Classes that are kept", html, "conformance", html=True),
        "/collections": _get("collections", "Collections", html, "collections", html=True),
    }


def _collection_paths(collection: Collection, schema: DatasetSchema) -> dict[str, Any]:
    here, name = f"/collections/{collection.id}", collection.id
    title = collection.title.get("en", name)
    html = ["f", "lang"]
    form = _parameter("f", {**_TEXT, "enum": [one.name for one in formats.FEATURE_FORMATS]})
    item = _get(
        f"{name}.item",
        f"{title}: one feature",
        [_parameter("featureId", place="path"), form, "lang", _crs("crs", collection, schema)],
        "featureGeoJSON",
        "application/geo+json",
    )
    items = _get(
        f"{name}.items",
        f"{title}: features",
        [form, *_items_parameters(collection, schema)],
        "featureCollectionGeoJSON",
        "application/geo+json",
    )
    for operation in (item, items):
        operation["get"]["responses"]["200"]["content"] |= _other_forms()
    about = {
        f"{here}/{last}": _get(
            f"{name}.{last}", f"{title}: {last}", html, "object", "application/schema+json", html=True
        )
        for last in ("schema", "queryables", "sortables")
    }
    return {
        here: _get(f"{name}.collection", title, html, "collection", html=True),
        f"{here}/items": items,
        f"{here}/items/{{featureId}}": item,
        **about,
    }


def _items_parameters(collection: Collection, schema: DatasetSchema) -> list[Any]:
    columns = comparable(schema)
    keys = (IDENTIFIER, *(c.name for c in columns))
    sortable = [f"{sign}{key}" for key in keys for sign in ("", "+", "-")]
    returned = [c.name for c in schema.public_columns if c.type is not ColumnType.BLOB]
    names = {column.name for column in columns}
    identifier = [] if IDENTIFIER in names else [_parameter(IDENTIFIER)]
    return [
        "lang", "limit", "offset", "bbox", "datetime", "filter", "filter-lang", "resulttype", "skipGeometry",
        "cursor",
        *(_crs(name, collection, schema) for name in ("crs", "bbox-crs", "filter-crs")),
        _parameter("sortby", _list({**_TEXT, "enum": sortable})),
        _parameter("properties", _list({**_TEXT, "enum": returned})),
        *identifier,
        *(_parameter(column.name, _of(column)) for column in columns),
    ]  # fmt: skip


def _of(column: Column) -> dict[str, Any]:
    title = {"title": column.title} if column.title else {}
    return {**_TYPES.get(column.type, _TEXT), **title}


def _crs(name: str, collection: Collection, schema: DatasetSchema) -> dict[str, Any]:
    return _parameter(name, {**_TEXT, "format": "uri", "enum": list(offered(collection, schema))})


def _list(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": dict(items), "minItems": 1}


def _parameter(name: str, schema: Mapping[str, Any] = _TEXT, *, place: str = "query") -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "in": place, "required": place == "path", "schema": dict(schema)}
    return made | ({"style": "form", "explode": False} if place == "query" else {})


def _get(
    identifier: str,
    summary: str,
    parameters: Sequence[Any],
    schema: str,
    media_type: str = "application/json",
    *,
    html: bool = False,
) -> dict[str, Any]:
    success = _answer(summary, media_type, schema)
    if html:
        success["content"]["text/html"] = {"schema": dict(_TEXT)}
    described = [
        {"$ref": f"#/components/parameters/{one}"} if isinstance(one, str) else one for one in parameters
    ]
    return {
        "get": {
            "operationId": identifier,
            "summary": summary,
            "parameters": described,
            "responses": {"200": success, "400": {"$ref": "#/components/responses/Problem"}},
        }
    }


def _answer(description: str, media_type: str, schema: str) -> dict[str, Any]:
    content = {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": description, "content": content}


def _other_forms() -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    others = {form.media_type: binary for form in formats.FEATURE_FORMATS if form.suffix}
    objects = {
        form.media_type: {"schema": {"$ref": "#/components/schemas/object"}}
        for form in formats.FEATURE_FORMATS
        if not form.suffix and form.name not in ("json", "html")
    }
    return {**objects, **others, "text/html": {"schema": dict(_TEXT)}}


# --- Components

_BOX = {
    "type": "array",
    "items": {"type": "number"},
    "oneOf": [{"minItems": 4, "maxItems": 4}, {"minItems": 6, "maxItems": 6}],
}
_WHOLE = {"type": "integer", "minimum": 0, "maximum": 2**53}
_PARAMETERS: dict[str, Any] = {
    "f": _parameter("f", {**_TEXT, "enum": ["json", "html"]}),
    "lang": _parameter("lang", {**_TEXT, "enum": ["en", "da", "en-GB", "da-DK"]}),
    "limit": _parameter(
        "limit", {"type": "integer", "minimum": 1, "maximum": MOST_ITEMS, "default": DEFAULT_ITEMS}
    ),
    "offset": _parameter("offset", {**_WHOLE, "default": 0}),
    "bbox": _parameter("bbox", _BOX),
    "datetime": _parameter("datetime"),
    "filter": _parameter("filter"),
    "filter-lang": _parameter("filter-lang", {**_TEXT, "enum": ["cql2-text", "cql2-json"]}),
    "resulttype": _parameter("resulttype", {**_TEXT, "enum": ["results", "hits"], "default": "results"}),
    "skipGeometry": _parameter("skipGeometry", {"type": "boolean", "default": False}),
    "cursor": _parameter("cursor"),
}
_PARAMETERS["f"]["description"] = "Format of the answer; without it the Accept header counts."
_PARAMETERS["cursor"]["description"] = "Where the next page begins; taken from the link of the page before."


def _object(required: Sequence[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _several(name: str) -> dict[str, Any]:
    return {"type": "array", "items": _ref(name)}


_LINKS = _several("link")
_SCHEMAS: dict[str, Any] = {
    "object": {"type": "object"},
    "link": _object(
        ["href", "rel"], href=_TEXT, rel=_TEXT, type=_TEXT, hreflang=_TEXT, title=_TEXT, length=_WHOLE
    ),
    "landingPage": _object(["links"], title=_TEXT, description=_TEXT, links=_LINKS),
    "conformance": _object(["conformsTo"], conformsTo={"type": "array", "items": dict(_TEXT)}),
    "collections": _object(["links", "collections"], links=_LINKS, collections=_several("collection")),
    "collection": _object(
        ["id", "links"],
        id=_TEXT,
        title=_TEXT,
        description=_TEXT,
        links=_LINKS,
        extent={"type": "object"},
        itemType=_TEXT,
        crs={"type": "array", "items": dict(_TEXT)},
        storageCrs=_TEXT,
    ),
    "geometryGeoJSON": {**_object(["type"], type=_TEXT), "nullable": True},
    "featureGeoJSON": _object(
        ["type", "id", "geometry", "properties"],
        type={**_TEXT, "enum": ["Feature"]},
        id=_TEXT,
        geometry=_ref("geometryGeoJSON"),
        properties={"type": "object", "nullable": True},
        links=_LINKS,
    ),
    "featureCollectionGeoJSON": _object(
        ["type", "features", "links", "numberReturned"],
        type={**_TEXT, "enum": ["FeatureCollection"]},
        features=_several("featureGeoJSON"),
        links=_LINKS,
        timeStamp={**_TEXT, "format": "date-time"},
        numberMatched={"type": "integer", "minimum": 0},
        numberReturned={"type": "integer", "minimum": 0},
    ),
    "problem": _object(
        ["type", "title", "status"], type=_TEXT, title=_TEXT, status={"type": "integer"}, detail=_TEXT
    ),
}
