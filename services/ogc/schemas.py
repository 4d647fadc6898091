"""Schemas of a collection's features (OGC API Features part 5): what is returned, queried and sorted by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from geoinfra.storage.collections import Collection
from geoinfra.tables import Column, ColumnType, DatasetSchema
from services.ogc.items import IDENTIFIER, comparable

__all__ = ["Purpose", "schema_document", "with_schema_links"]

_JSON_TYPES: Mapping[ColumnType, dict[str, str]] = {
    ColumnType.TEXT: {"type": "string"},
    ColumnType.INTEGER: {"type": "integer"},
    ColumnType.REAL: {"type": "number"},
    ColumnType.BOOLEAN: {"type": "boolean"},
    ColumnType.DATE: {"type": "string", "format": "date"},
    ColumnType.DATETIME: {"type": "string", "format": "date-time"},
    ColumnType.JSON: {"type": "object"},
}
_UNITS = {
    "mm": "mm",
    "cm": "cm", "m": "m", "km": "km", "m2": "m2", "ha": "har", "m3": "m3", "l": "l", "kv": "kV",
    "v": "V", "a": "A", "w": "W", "kw": "kW", "bar": "bar", "mbar": "mbar", "pa": "Pa", "kpa": "kPa",
    "s": "s",
    "h": "h", "deg": "deg", "pct": "%", "percent": "%", "permille": "[ppth]", "celsius": "Cel", "degc": "Cel",
    "kg": "kg", "t": "t",
}  # fmt: skip
"""Ending of a column's name -> its unit in UCUM; names carry their units."""

_TITLES = {
    IDENTIFIER: {"en": "Identifier", "da": "Identifikation"},
    "geometry": {"en": "Geometry", "da": "Geometri"},
}


class Purpose(StrEnum):
    """Which schema; its value is the last part of the address."""

    RETURNED = "schema"
    QUERIED = "queryables"
    SORTED = "sortables"

    @property
    def relation(self) -> str:
        """Of links to it."""
        return f"http://www.opengis.net/def/rel/ogc/1.0/{self.value}"


def schema_document(
    purpose: Purpose, collection: Collection, schema: DatasetSchema, url: str, language: str
) -> dict[str, Any]:
    """Return a schema as JSON Schema.

    Parameters
    ----------
    url
        Address of the OGC service.
    language
        ``en`` or ``da``, for the titles.
    """
    shown = schema.public_columns if purpose is Purpose.RETURNED else comparable(schema)
    columns = [column for column in shown if column.type in _JSON_TYPES]
    properties: dict[str, dict[str, Any]] = {}
    if IDENTIFIER not in {column.name for column in columns}:
        properties[IDENTIFIER] = {
            "title": _TITLES[IDENTIFIER][language],
            "type": "string",
            "x-ogc-role": "id",
        }
    if purpose is not Purpose.SORTED:
        shape = "any" if schema.geometry == "Geometry" else schema.geometry.lower()
        properties["geometry"] = {
            "title": _TITLES["geometry"][language],
            "format": f"geometry-{shape}",
            "x-ogc-role": "primary-geometry",
        }
    times = [column.name for column in columns if "format" in _JSON_TYPES[column.type]]
    for column in columns:
        properties[column.name] = _property(column, language)
        if times == [column.name]:
            properties[column.name]["x-ogc-role"] = "primary-instant"
    for place, member in enumerate(properties.values(), 1):
        member["x-ogc-propertySeq"] = place
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{url}/collections/{collection.id}/{purpose}",
        "title": collection.title[language],
        "description": collection.description[language],
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def _property(column: Column, language: str) -> dict[str, Any]:
    title = (column.title_da if language == "da" else "") or column.title or column.name
    member: dict[str, Any] = {"title": title, **_JSON_TYPES[column.type]}
    if column.name == IDENTIFIER and column.type in (ColumnType.TEXT, ColumnType.INTEGER):
        member["x-ogc-role"] = "id"
    unit = _UNITS.get(column.name.rpartition("_")[2]) if "_" in column.name else None
    if unit is not None and column.type in (ColumnType.INTEGER, ColumnType.REAL):
        member["x-ogc-unit"] = unit
    return member


def with_schema_links(
    links: Sequence[Mapping[str, str]], collection: Collection, url: str
) -> list[Mapping[str, str]]:
    """Return a collection's links with those to its schemas, in place of what the engine tells of them."""
    relations = {purpose.relation for purpose in Purpose} | {"queryables", "describedby"}
    kept = [link for link in links if link.get("rel") not in relations]
    for purpose in Purpose:
        address = f"{url}/collections/{collection.id}/{purpose}"
        for type_, form, href in (
            ("application/schema+json", "JSON", address),
            ("text/html", "HTML", f"{address}?f=html"),
        ):
            title = f"{purpose.value.capitalize()} of this collection as {form}"
            kept.append({"rel": purpose.relation, "type": type_, "title": title, "href": href})
    return kept
