"""Land use in the town and the open country around it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely

from geoinfra.sample.streams import stream
from geoinfra.sample.terrain import harbour, sea

__all__ = ["MARGIN_M", "Green", "land_use", "with_margin"]

Bounds = tuple[float, float, float, float]
Green = tuple[str, str, shapely.Polygon]

MARGIN_M = 2500.0
"""How far land use and stream go on beyond the town."""

_WOOD_EVERY_M2 = 2.2e6
_WOOD_RADIUS_M = (140.0, 420.0)
_WOOD_CLEARANCE_M = 90.0


def with_margin(bounds: Bounds) -> Bounds:
    """Return the bounds of a town with the open country around it, EPSG:25832 metres."""
    return bounds[0] - MARGIN_M, bounds[1] - MARGIN_M, bounds[2] + MARGIN_M, bounds[3] + MARGIN_M


def _woods(bounds: Bounds, seed: int) -> list[shapely.Polygon]:
    """Return a few woods outside the town, apart from each other."""
    rng = stream(seed, "woods")
    west, south, east, north = with_margin(bounds)
    taken = [shapely.box(*bounds)]
    turns = np.linspace(0.0, 2.0 * np.pi, 48, endpoint=False)
    for _ in range(round((east - west) * (north - south) / _WOOD_EVERY_M2)):
        middle = rng.uniform((west, south), (east, north))
        radii = np.full(len(turns), rng.uniform(*_WOOD_RADIUS_M))
        for waves in (2, 3, 5):  # an edge that bends in and out
            radii *= 1.0 + rng.uniform(0.0, 0.6 / waves) * np.cos(
                waves * turns + rng.uniform(0.0, 2.0 * np.pi)
            )
        outline = middle + np.column_stack([np.cos(turns), np.sin(turns)]) * radii[:, None]
        wood = shapely.Polygon(outline)
        if min(wood.distance(other) for other in taken) > _WOOD_CLEARANCE_M:
            taken.append(wood)
    return taken[1:]


def land_use(
    bounds: Bounds, greens: Sequence[Green], built: shapely.Geometry, seed: int
) -> list[tuple[str, str, shapely.Polygon]]:
    """Return kind, name and polygon of the land use; the polygons cover the bounds with margin once.

    Parameters
    ----------
    bounds
        The town in EPSG:25832 metres.
    greens
        Parks, woods and ponds of the plan; a later one lies upon an earlier one.
    built
        Ground of plots and streets.
    """
    frame = shapely.box(*with_margin(bounds))
    water = sea(with_margin(bounds))
    rows: list[tuple[str, str, shapely.Geometry]] = [("sea", "Havnsby Bugt", water)]
    taken: shapely.Geometry = water
    woods = [("forest", "", wood) for wood in _woods(bounds, seed)]
    upon_each_other = (
        *woods,
        *reversed(greens),
        ("harbour", "Havnsby Havn", harbour()),
        ("built-up", "Havnsby", built),
    )
    for kind, name, polygon in upon_each_other:
        free = shapely.difference(shapely.intersection(polygon, frame), taken)
        rows.append((kind, name, free))
        taken = shapely.union(taken, free)
    rows.append(("fields", "", shapely.difference(frame, taken)))
    return [
        (kind, name, part)
        for kind, name, geometry in rows
        for part in shapely.get_parts(geometry)
        if isinstance(part, shapely.Polygon) and part.area > 20.0
    ]
