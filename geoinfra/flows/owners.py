"""Owners and their interest areas, from files."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import shapely

from geoinfra.errors import UnreadableFile
from geoinfra.storage.organisations import InterestArea

__all__ = ["read_interest_areas"]

_SINCE = datetime(2000, 1, 1, tzinfo=UTC)


def read_interest_areas(path: Path, cvr: str) -> list[InterestArea]:
    """Read one owner's interest areas from a GeoJSON file with coordinates in EPSG:25832.

    Each feature is a Polygon or MultiPolygon with the members ``cvr``, ``indberetningsNr`` (a number unique
    among all owners) and ``supply_types`` (a list); features of other owners are passed over.

    Raises
    ------
    UnreadableFile
        It is not such a file; the message names the feature.
    """
    try:
        features = json.loads(path.read_text("utf-8"))["features"]
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableFile(
            f"{path.name} is not a GeoJSON FeatureCollection.", hint="Give one with interest areas."
        ) from error
    return [_area(path, i, f) for i, f in enumerate(features) if str(_member(f, "cvr")) == cvr]


def _member(feature: object, name: str) -> Any:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    return properties.get(name) if isinstance(properties, dict) else None


def _area(path: Path, position: int, feature: dict[str, object]) -> InterestArea:
    number, supply_types = _member(feature, "indberetningsNr"), _member(feature, "supply_types")
    try:
        polygon = shapely.from_geojson(json.dumps(feature["geometry"]))
    except (KeyError, shapely.errors.GEOSException):
        polygon = None
    numbered = str(number).isdigit() and isinstance(supply_types, list)
    if not numbered or not isinstance(polygon, shapely.Polygon | shapely.MultiPolygon):
        raise UnreadableFile(
            f"{path.name}: feature {position} is no interest area.",
            hint="It needs indberetningsNr (a number), supply_types (a list) and a polygon in EPSG:25832.",
        )
    return InterestArea(int(str(number)), tuple(map(str, supply_types)), polygon, _SINCE)
