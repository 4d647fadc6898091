"""The dig area of an enquiry as a client gives it: GeoJSON in any usual CRS, checked, in EPSG:25832."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import shapely
from shapely.validation import explain_validity

from geoinfra import crs
from geoinfra.errors import InvalidGeometry, TooLarge

__all__ = [
    "MAX_AREA_M2",
    "MAX_POLYGONS",
    "MAX_VERTICES",
    "area_error",
    "polygon_from_geojson",
    "polygons_from_geojson",
    "require_area",
]

MAX_AREA_M2: Final = 250_000.0
"""What one enquiry covers at most; a larger area is split."""
MAX_VERTICES: Final = 10_000
MAX_POLYGONS: Final = 500
"""Polygons that may be merged at once."""


def area_error(message: str, danish: str, hint: str = "", **details: Any) -> InvalidGeometry:
    """Return the refusal of an area, in English and in Danish for people who file."""
    return InvalidGeometry(message, hint=hint, details={**details, "message_da": danish})


def polygons_from_geojson(document: Any, source_crs: str = "OGC:CRS84") -> list[shapely.Polygon]:
    """Read the polygons of a dig area and return them in EPSG:25832, each checked by itself.

    Parameters
    ----------
    document
        A GeoJSON Polygon, MultiPolygon, Feature or FeatureCollection of such, or a list of them.
    source_crs
        As for :func:`polygon_from_geojson`.

    Raises
    ------
    InvalidGeometry
        There is none, there are too many, or one breaks a rule; of several the message says which.
    """
    parts = list(_polygon_documents(document))
    if not parts:
        raise _not_polygons()
    if len(parts) == 1:
        return [polygon_from_geojson(parts[0], source_crs)]
    _require_few_vertices([ring for part in parts for ring in _rings(part)])
    found = []
    for number, part in enumerate(parts, 1):
        try:
            found.append(polygon_from_geojson(part, source_crs))
        except InvalidGeometry as error:
            raise area_error(
                f"Polygon {number} of {len(parts)}: {error.message}",
                f"Polygon {number} af {len(parts)}: {error.details['message_da']}",
                error.hint,
                **{name: told for name, told in error.details.items() if name != "message_da"},
            ) from None
    return found


def _polygon_documents(document: Any) -> list[Any]:
    """Return the Polygon objects in a GeoJSON document, at most as many as may be merged."""
    found: list[Any] = []
    waiting = [(document, 0)]
    while waiting:
        one, depth = waiting.pop()
        inner = _inner(one)
        if inner is None:
            found.append(one)
        elif depth > 3:
            raise _not_polygons()
        else:
            waiting += [(part, depth + 1) for part in reversed(inner[: MAX_POLYGONS + 1])]
        if len(found) > MAX_POLYGONS:
            raise area_error(
                f"The area holds more than {MAX_POLYGONS} polygons.",
                f"Området har mere end {MAX_POLYGONS} polygoner. Tegn det, der hører sammen, som ét.",
                "Draw what belongs together as one.",
            )
    return found


def _inner(one: Any) -> list[Any] | None:
    """Return what a collection of polygons holds, ``None`` for what is no collection."""
    if isinstance(one, list):
        return one
    kind = one.get("type") if isinstance(one, Mapping) else None
    if kind == "Feature" and isinstance(one.get("geometry"), Mapping):
        return [one["geometry"]]
    members = (
        one.get({"FeatureCollection": "features", "MultiPolygon": "coordinates"}.get(str(kind), ""))
        if isinstance(one, Mapping)
        else None
    )
    if not isinstance(members, list):
        return None
    if kind == "MultiPolygon":
        return [{"type": "Polygon", "coordinates": rings} for rings in members]
    return members


def _rings(polygon: Any) -> list[Any]:
    rings = polygon.get("coordinates") if isinstance(polygon, Mapping) else None
    return rings if isinstance(rings, list) else []


def _not_polygons() -> InvalidGeometry:
    return area_error(
        "The area must be a GeoJSON Polygon, or several that make one.",
        "Området skal være en polygon (GeoJSON), eller flere, der udgør én.",
        "Give a Polygon, a MultiPolygon or a list of Polygons that share a side or overlap.",
    )


def polygon_from_geojson(document: Any, source_crs: str = "OGC:CRS84") -> shapely.Polygon:
    """Read one GeoJSON Polygon and return it in EPSG:25832.

    Parameters
    ----------
    document
        ``{"type": "Polygon", "coordinates": [...]}``; a Feature around it is accepted.
    source_crs
        Name from :func:`geoinfra.crs.parse_crs`; coordinates are x before y.

    Raises
    ------
    InvalidGeometry
        Not a polygon, too few or too many vertices, NaN or infinite numbers, self-intersection, or outside
        Denmark; the message says where.
    """
    if isinstance(document, Mapping) and document.get("type") == "Feature":
        document = document.get("geometry")
    if not isinstance(document, Mapping) or document.get("type") != "Polygon":
        raise _not_polygons()
    rings = document.get("coordinates")
    if not isinstance(rings, list) or not rings:
        raise area_error(
            "The polygon has no ring.",
            "Polygonen har intet omrids. Tegn mindst tre hjørner.",
            "Give at least one ring of four positions.",
        )
    _require_few_vertices(rings)
    arrays = [_ring(ring) for ring in rings]
    moved = [np.column_stack(crs.transform_xy(r[:, 0], r[:, 1], source_crs, "EPSG:25832")) for r in arrays]
    if not all(np.isfinite(ring).all() for ring in moved):
        raise area_error(
            "The coordinates lie outside the area where the CRS is defined.",
            "Koordinaterne ligger uden for koordinatsystemets område. Tjek system og akserækkefølge.",
            "Check the CRS and the axis order: CRS84 is longitude, latitude.",
        )
    _reject_swapped_degrees(arrays[0], source_crs)
    polygon = shapely.Polygon(moved[0], moved[1:])
    crs.require_denmark(polygon)
    if not polygon.is_valid:
        raise _self_intersecting(polygon)
    return shapely.normalize(polygon)


def _require_few_vertices(rings: Sequence[Any]) -> None:
    vertices = sum(len(ring) for ring in rings if isinstance(ring, list))
    if vertices > MAX_VERTICES:
        raise area_error(
            f"The polygon has {vertices} vertices; at most {MAX_VERTICES} are taken.",
            f"Omridset har {vertices} hjørner; der må højst være {MAX_VERTICES}. Tegn det enklere.",
            "Simplify the outline to what the dig needs.",
        )


def _ring(ring: Any) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    wrong = area_error(
        "A ring of the polygon is not a list of positions.",
        "Et omrids i polygonen er ikke en liste af koordinatpar.",
        "Write each position as [x, y] in numbers.",
    )
    if not isinstance(ring, list):
        raise wrong
    for position in ring:
        if not isinstance(position, list) or not 2 <= len(position) <= 3:
            raise wrong
        if not all(isinstance(n, int | float) and not isinstance(n, bool) for n in position):
            raise wrong
        if not all(math.isfinite(n) for n in position):
            raise area_error(
                "The polygon holds NaN or an infinite number.",
                "Polygonen har et hjørne uden gyldige tal (NaN eller uendelig). Fjern hjørnet.",
                "Remove that vertex.",
            )
    if len(ring) < 4 or list(ring[0]) != list(ring[-1]):
        raise area_error(
            "A ring must have at least four positions and end where it starts.",
            "Et omrids skal have mindst tre hjørner og slutte, hvor det begynder.",
            "Repeat the first position at the end.",
        )
    return np.array([position[:2] for position in ring], dtype=np.float64)


def _reject_swapped_degrees(ring: np.ndarray[Any, np.dtype[np.float64]], source_crs: str) -> None:
    geographic = source_crs in ("OGC:CRS84", "EPSG:4326", "EPSG:4258")
    x, y = ring[:, 0], ring[:, 1]
    if geographic and (x > 54).all() and (x < 58.5).all() and (y > 7).all() and (y < 16).all():
        raise area_error(
            "The coordinates look swapped: latitude stands before longitude.",
            "Koordinaterne ser ud til at være byttet om: breddegrad står før længdegrad.",
            "GeoJSON wants longitude first, then latitude.",
        )


def _self_intersecting(polygon: shapely.Polygon) -> InvalidGeometry:
    reason = explain_validity(polygon)
    place = re.search(r"\[(-?[\d.]+) (-?[\d.]+)", reason)
    where = f" at E {float(place[1]):.1f}, N {float(place[2]):.1f}" if place else ""
    return area_error(
        f"The polygon crosses or touches itself{where} ({reason.split('[')[0].strip()}).",
        f"Omridset krydser eller rører sig selv{where.replace(' at ', ' ved ')}.",
        "Draw the outline so that no two of its sides cross.",
        **({"where": [float(place[1]), float(place[2])]} if place else {}),
    )


def require_area(polygon: shapely.Polygon, most_m2: float = MAX_AREA_M2) -> None:
    """Raise unless the area is above 0.1 and at most `most_m2`.

    Raises
    ------
    InvalidGeometry
        The polygon has (almost) no area.
    TooLarge
        It is above the limit.
    """
    if polygon.area < 0.1:
        raise area_error(
            "The polygon has no area.",
            "Graveområdet har intet areal. Tegn rundt om, hvor der skal graves.",
            "Draw around the place where you will dig.",
        )
    if polygon.area > most_m2:
        raise TooLarge(
            f"The area is {polygon.area:,.0f} m2; at most {most_m2:,.0f} m2 are taken.",
            hint="Draw the area closer to what will be dug, or file several enquiries.",
            details={
                "area_m2": round(polygon.area, 1),
                "max_area_m2": most_m2,
                "message_da": "Graveområdet er for stort. Tegn det tættere, eller opret flere forespørgsler.",
            },
        )
