"""Coordinate reference systems: which ones are known, and transformations that are made once.

Everything inside geoinfra is EPSG:25832 (ETRS89 / UTM zone 32N), easting before northing, metres.
Coordinates arrive and leave in the axis order that the GIS world uses on the wire (x = east or longitude
first), which is what GeoJSON, WKB and the OGC APIs with CRS84 want.
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from geoinfra.errors import InvalidGeometry, InvalidInput

__all__ = [
    "CRS84_URI",
    "DENMARK_UTM32",
    "DVR90_URI",
    "STORAGE_EPSG",
    "STORAGE_URI",
    "is_metric",
    "north_first",
    "parse_crs",
    "require_denmark",
    "transform_geometry",
    "transform_xy",
    "transformer",
    "uri",
]

STORAGE_EPSG = 25832
STORAGE_URI = "http://www.opengis.net/def/crs/EPSG/0/25832"
DVR90_URI = "http://www.opengis.net/def/crs/EPSG/0/7416"
"""Storage CRS with heights in DVR90 metres."""

CRS84_URI = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"

DENMARK_UTM32 = (420_000.0, 6_030_000.0, 910_000.0, 6_420_000.0)
"""Land and near waters of Denmark incl. Bornholm: min E, min N, max E, max N in EPSG:25832 metres."""

_KNOWN = (25832, 25833, 4258, 4326, 3857, 4093, 4094, 4095, 4096)  # 4093 to 4096: DKTM1 to DKTM4


def parse_crs(text: str | None, *, default: str = "CRS84") -> str:
    """Return the name pyproj knows (``OGC:CRS84`` or ``EPSG:n``) of a CRS written as URI, URN or code.

    Parameters
    ----------
    text
        For instance ``http://www.opengis.net/def/crs/EPSG/0/25832``, ``EPSG:25832``, ``25832``, ``CRS84``.

    Raises
    ------
    InvalidInput
        The CRS is not one that geoinfra serves.
    """
    wanted = (text or default).strip().strip("[]")
    if wanted.upper().endswith("CRS84"):
        return "OGC:CRS84"
    digits = wanted.replace("::", "/").replace(":", "/").rsplit("/", 1)[-1]
    if digits.isdigit() and int(digits) in _KNOWN:
        return f"EPSG:{int(digits)}"
    known = ", ".join(f"EPSG:{code}" for code in _KNOWN)
    raise InvalidInput(
        f"The CRS '{wanted[:80]}' is not known here.",
        hint=f"Use CRS84 or one of {known}.",
        details={"message_da": f"Koordinatsystemet er ukendt. Brug CRS84 eller et af {known}."},
    )


def uri(name: str) -> str:
    """Return the address of a CRS that :func:`parse_crs` named."""
    return CRS84_URI if name == "OGC:CRS84" else f"http://www.opengis.net/def/crs/EPSG/0/{name[5:]}"


@cache
def north_first(name: str) -> bool:
    """Whether a CRS writes its northing or latitude first where its own axis order rules."""
    return bool(pyproj.CRS(name).axis_info[0].direction == "north")


@cache
def is_metric(name: str) -> bool:
    """Whether the axes of a CRS are in metres; else they are in degrees."""
    return bool(pyproj.CRS(name).axis_info[0].unit_name == "metre")


@lru_cache(maxsize=64)
def transformer(source: str, target: str) -> pyproj.Transformer:
    """Return the transformer between two CRS names, x before y; made once a process."""
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


def transform_xy(
    x: NDArray[np.float64], y: NDArray[np.float64], source: str, target: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Transform coordinate arrays of equal shape; equal CRSs give the arrays back."""
    if source == target:
        return x, y
    out_x, out_y = transformer(source, target).transform(x, y)
    return np.asarray(out_x), np.asarray(out_y)


def transform_geometry(geometry: shapely.Geometry, source: str, target: str) -> shapely.Geometry:
    """Transform a geometry, or a NumPy array of them, vertex by vertex (2D)."""
    if source == target:
        return geometry

    def move(coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = transform_xy(coordinates[:, 0], coordinates[:, 1], source, target)
        return np.column_stack([x, y])

    return shapely.transform(geometry, move)


def require_denmark(geometry: shapely.Geometry) -> None:
    """Raise unless an EPSG:25832 geometry lies inside Denmark; name a swapped axis order when that is it.

    Raises
    ------
    InvalidGeometry
        It lies outside, or its axes look swapped (northing first).
    """
    min_x, min_y, max_x, max_y = shapely.bounds(geometry)
    west, south, east, north = DENMARK_UTM32
    if west <= min_x and max_x <= east and south <= min_y and max_y <= north:
        return
    if south <= min_x and max_x <= north and west <= min_y and max_y <= east:
        raise InvalidGeometry(
            "The coordinates look swapped: northing stands before easting.",
            hint="Write easting first, then northing (in CRS84: longitude first, then latitude).",
            details={"message_da": "Koordinaterne ser ud til at være byttet om: nord står før øst."},
        )
    raise InvalidGeometry(
        "The geometry lies outside Denmark.",
        hint="Check CRS and axis order: CRS84 is longitude, latitude; EPSG:25832 is easting, northing.",
        details={"message_da": "Geometrien ligger uden for Danmark."},
    )
