"""How many dangerous lines a dig has to do with, whose they are, and how near they come.

Distances are plane metres from the outside of a line: the registered geometry less half its diameter or
width. They are taken to the edge of the dig area, 0 inside, and to its centre line: the middle of a trench,
however bent; the middle point of an area that is about as wide as long.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray

from geoinfra.tables import FeatureBatch
from geoinfra.utilities.precautions import half_widths_m

__all__ = ["DANGEROUS", "DANGEROUS_CLASSES", "VERY_DANGEROUS", "Danger", "centre_line", "dangers"]

VERY_DANGEROUS: Final = "meget farlig"
DANGEROUS: Final = "farlig"
DANGEROUS_CLASSES: Final = (VERY_DANGEROUS, DANGEROUS)

_SIDE_POINTS = 300
_SHORTEST_STEP_M = 0.25
_STRAIGHT = 0.87  # sine of 60 degrees: the sides that a point of the axis lies between face each other


@dataclass(frozen=True, slots=True)
class Danger:
    """The dangerous features of one owner, supply and hazard class.

    Attributes
    ----------
    inside
        How many reach into the dig area.
    nearest_m, centre_m
        Of the nearest one: to the edge of the area (0 inside) and to its centre line; ``None`` when no
        geometry tells.
    """

    owner_cvr: str
    supply: str
    hazard: str
    count: int
    inside: int
    nearest_m: float | None
    centre_m: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the members, JSON-ready."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def dangers(polygon: shapely.Geometry, batches: Iterable[FeatureBatch]) -> list[Danger]:
    """Return the dangerous features by hazard class, owner and supply: the worst first, then the nearest.

    Parameters
    ----------
    polygon
        Dig area, EPSG:25832.
    batches
        Rows of ``utility-features``.
    """
    groups: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    centre = centre_line(polygon)
    shapely.prepare([polygon, centre])
    for batch in batches:
        rows = [row for row, hazard in enumerate(batch.columns["hazard"]) if hazard in DANGEROUS_CLASSES]
        if not rows:
            continue
        with np.errstate(invalid="ignore"):  # a place that is not finite is no place
            shapes = shapely.from_wkb(np.array([batch.geometry[row] for row in rows], dtype=object))
        names = ("diameter_mm", "properties", "hazard", "owner_cvr", "supply")
        diameters, properties, *kinds = ([batch.columns[name][row] for row in rows] for name in names)
        half = half_widths_m(diameters, properties)
        edges, middles = (_distances_m(shape, shapes, half) for shape in (polygon, centre))
        for (hazard, owner, supply), edge, middle in zip(
            zip(*kinds, strict=True), edges, middles, strict=True
        ):
            groups.setdefault((hazard, owner or "", supply or "unknown"), []).append((edge, middle))
    found = [_danger(key, distances) for key, distances in groups.items()]
    return sorted(found, key=_order)


def _order(danger: Danger) -> tuple[bool, float, str, str]:
    nearest = -1.0 if danger.nearest_m is None else danger.nearest_m
    return danger.hazard != VERY_DANGEROUS, nearest, danger.owner_cvr, danger.supply


def _distances_m(
    area: shapely.Geometry, shapes: NDArray[np.object_], half_m: NDArray[np.float64]
) -> list[float]:
    distances = np.maximum(shapely.distance(area, shapes) - half_m, 0.0)
    return [float(d) for d in distances]


def _danger(key: tuple[str, str, str], distances: list[tuple[float, float]]) -> Danger:
    hazard, owner, supply = key
    edges, middles = np.array(distances).T
    known = np.isfinite(edges)
    nearest = round(float(edges[known].min()), 2) if known.any() else None
    centre = round(float(middles[known].min()), 2) if known.any() else None
    inside = int((edges[known] == 0).sum())
    return Danger(owner, supply, hazard, len(distances), inside, nearest, centre)


def centre_line(polygon: shapely.Geometry) -> shapely.Geometry:
    """Return the middle of a trench as lines, or the middle point of an area that has no length to speak of.

    It is the part of the medial axis that lies between sides facing each other, from the Voronoi diagram of
    points along the edge.
    """
    shapely.prepare(polygon)
    edge = shapely.boundary(polygon)
    step = max(float(shapely.length(edge)) / _SIDE_POINTS, _SHORTEST_STEP_M)
    spots = np.unique(shapely.get_coordinates(shapely.segmentize(edge, step)), axis=0)
    cells = shapely.voronoi_polygons(shapely.multipoints(spots), only_edges=True)
    ends = _segments(shapely.get_parts(cells))
    ends = ends[shapely.contains_properly(polygon, _points(ends.mean(axis=1)))]
    if not len(ends):
        return shapely.point_on_surface(polygon)
    _, nearest = shapely.STRtree(_points(spots)).query_nearest(_points(ends.mean(axis=1)), all_matches=False)
    along, away = ends[:, 1] - ends[:, 0], spots[nearest] - ends.mean(axis=1)
    across = np.abs(along[:, 0] * away[:, 1] - along[:, 1] * away[:, 0])
    size = np.hypot(*along.T) * np.hypot(*away.T)
    kept = ends[across >= _STRAIGHT * np.where(size > 0, size, np.inf)]
    if np.hypot(*(kept[:, 1] - kept[:, 0]).T).sum() < step:
        middle = shapely.centroid(polygon)
        return middle if shapely.contains(polygon, middle) else shapely.point_on_surface(polygon)
    axis: shapely.Geometry = shapely.multilinestrings(list(shapely.linestrings(kept)))
    return axis


def _points(spots: NDArray[np.float64]) -> NDArray[np.object_]:
    return np.asarray(shapely.points(spots), dtype=object)


def _segments(lines: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return the two ends of each segment of each line."""
    points, line = shapely.get_coordinates(lines, return_index=True)
    same = line[:-1] == line[1:]
    return np.stack([points[:-1][same], points[1:][same]], axis=1)
