"""What stands along the streets: buildings, parcels and addresses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from geoinfra.sample.plan import Plan
from geoinfra.sample.streams import stream
from geoinfra.sample.streets import Network, Street

__all__ = ["Building", "build_plots"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Zone:
    """How a zone is built, metres: (least, most) of what varies."""

    frontage: tuple[float, float]
    setback: tuple[float, float]
    width: tuple[float, float]
    depth: tuple[float, float]
    parcel_depth: float
    kind: str
    built: tuple[int, int]
    terraced: bool = False


_ZONES = {
    "centre": _Zone((9, 16), (0.5, 0.5), (0, 0), (10, 12), 27, "townhouse", (1780, 1965), True),
    "terrace": _Zone((7.2, 8.5), (2.5, 3.5), (0, 0), (8.5, 9.5), 24, "terraced house", (1955, 2015), True),
    "villa": _Zone((19, 25), (5, 8), (10.5, 15), (8, 9.8), 34, "detached house", (1935, 2022)),
    "harbour": _Zone((36, 46), (3, 4), (26, 34), (14, 17), 22, "warehouse", (1900, 1985)),
    "industry": _Zone((48, 64), (9, 13), (30, 42), (20, 28), 50, "industrial hall", (1968, 2018)),
}


@dataclass(slots=True)
class Building:
    """A building with an address, its parcel, and the facade that faces the street."""

    index: int
    street: int
    side: int
    measure_m: float
    kind: str
    polygon: shapely.Geometry
    facade: Array  # two points, in the direction of the street
    year: int
    name: str = ""
    parcel: shapely.Geometry | None = None
    number: str = ""


@dataclass(slots=True)
class _Candidate:
    street: int
    side: int
    measure_m: float
    kind: str
    polygon: shapely.Geometry
    facade: Array
    year: int
    plot: shapely.Geometry
    name: str
    terraced: bool


def _outline(corner: Array, along: Array, back: Array, width: float, depth: float, wing: float) -> Array:
    """Return a rectangle, or an L whose wing goes `wing` metres further back over 45 % of the width."""
    far = corner + along * width
    if wing <= 0:
        return np.array([corner, far, far + back * depth, corner + back * depth])
    knee = corner + along * width * 0.55
    return np.array(
        [corner, far, far + back * (depth + wing), knee + back * (depth + wing), knee + back * depth,
         corner + back * depth]
    )  # fmt: skip


def _lots(street: Street, side: int, zone: _Zone, rng: np.random.Generator) -> list[_Candidate]:
    """Walk along one side of a street and lay lot after lot."""
    edge = street.road_class.half_reserve_m
    lots: list[_Candidate] = []
    at = float(rng.uniform(0.0, 4.0))
    run, setback, depth = 0, 0.0, 0.0
    while True:
        frontage = float(rng.uniform(*zone.frontage))
        year = int(rng.integers(*zone.built))
        draws = rng.random(4)
        if at + frontage > street.length_m:
            return lots
        if run == 0:  # houses of a row share setback and depth
            setback, depth = float(rng.uniform(*zone.setback)), float(rng.uniform(*zone.depth))
            run = 8 if zone.terraced else 1
        lots.append(_lot(street, side, zone, (at, frontage, edge, setback, depth), year, draws))
        run -= 1
        gap = 7.0 if zone.terraced and run == 0 else 0.0
        at += frontage + gap


def _lot(
    street: Street, side: int, zone: _Zone, place: tuple[float, ...], year: int, draws: Array
) -> _Candidate:
    at, frontage, edge, setback, depth = place
    front, rear = side * edge, side * (edge + zone.parcel_depth)
    ends = [at, at + frontage]
    corners = np.vstack([street.at(ends, front), street.at(ends[::-1], rear)])
    plot = shapely.convex_hull(shapely.MultiPoint(corners))
    if zone.terraced:
        facade = street.at(ends, front + side * setback)
        behind = street.at(ends[::-1], front + side * (setback + depth))
        polygon = shapely.Polygon(np.vstack([facade, behind]))
    else:
        width = zone.width[0] + float(draws[0]) * (zone.width[1] - zone.width[0])
        along = street.direction(at + frontage / 2)
        back = np.array([-along[1], along[0]]) * side
        slack = max(frontage - width, 0.0)
        middle = street.at(at + frontage / 2, front + side * setback)[0]
        corner = middle - along * (width / 2 - (float(draws[1]) - 0.5) * slack * 0.5)
        wing = 4.0 + 3.0 * float(draws[3]) if zone.kind == "detached house" and draws[2] < 0.35 else 0.0
        polygon = shapely.Polygon(_outline(corner, along, back, width, depth, wing))
        facade = np.array([corner, corner + along * width])
    middle_m = at + frontage / 2
    return _Candidate(street.index, side, middle_m, zone.kind, polygon, facade, year, plot, "", zone.terraced)


def _landmarks(plan: Plan, streets: list[Street]) -> list[_Candidate]:
    found = []
    by_name = {street.name: street for street in streets}
    for mark in plan.landmarks:
        street = by_name[mark.street]
        at = mark.along * street.length_m
        edge = mark.side * (street.road_class.half_reserve_m + mark.setback_m)
        along = street.direction(at)
        back = np.array([-along[1], along[0]]) * mark.side
        corner = street.at(at, edge)[0] - along * mark.width_m / 2
        outline = _outline(corner, along, back, mark.width_m, mark.depth_m, 0.0)
        if mark.kind == "school":  # a U around the yard
            cut = _outline(corner + along * 14 + back * 13, along, back, mark.width_m - 28, mark.depth_m, 0.0)
            polygon: shapely.Geometry = shapely.difference(shapely.Polygon(outline), shapely.Polygon(cut))
        elif mark.kind == "church":  # nave with the tower at its end
            tower = _outline(corner - along * 8 + back * 2, along, back, 9.0, 9.0, 0.0)
            polygon = shapely.union(shapely.Polygon(outline), shapely.Polygon(tower))
        else:
            polygon = shapely.Polygon(outline)
        plot = shapely.buffer(polygon, 12.0, join_style="mitre")
        facade = np.array([corner, corner + along * mark.width_m])
        year = {"church": 1210, "school": 1958, "townhall": 1896}[mark.kind]
        found.append(
            _Candidate(street.index, mark.side, at, mark.kind, polygon, facade, year, plot, mark.name, False)
        )
    return found


def _accept(
    candidates: list[_Candidate], reserves: list[shapely.Polygon], blocked: shapely.Geometry
) -> list[int]:
    """Return the candidates that stand clear of roads, blocked ground and those accepted before."""
    walls = np.array([c.polygon for c in candidates])
    inner = shapely.buffer(walls, -0.25)
    on_road = np.zeros(len(walls), dtype=bool)
    on_road[shapely.STRtree(reserves).query(walls, predicate="dwithin", distance=0.3)[0]] = True
    shapely.prepare(blocked)
    free = ~on_road & ~shapely.intersects(walls, blocked) & shapely.is_valid(walls)
    room = np.array([0.0 if c.terraced else 2.0 for c in candidates])
    i, j = shapely.STRtree(walls).query(inner, predicate="dwithin", distance=2.0)
    rivals: dict[int, list[int]] = {}
    apart = shapely.distance(inner[i], walls[j])
    for a, b, gap in zip(i, j, apart, strict=True):
        same_row = candidates[a].street == candidates[b].street and candidates[a].side == candidates[b].side
        wanted = 0.0 if same_row and candidates[a].terraced else max(room[a], room[b], 1.0)
        if b < a and (gap <= 0.0 or gap < wanted):
            rivals.setdefault(int(a), []).append(int(b))
    taken = np.zeros(len(walls), dtype=bool)
    for index in range(len(walls)):
        taken[index] = free[index] and not any(taken[r] for r in rivals.get(index, ()))
    return [int(k) for k in np.flatnonzero(taken)]


def _parcels(
    chosen: list[_Candidate], reserves: list[shapely.Polygon], blocked: shapely.Geometry
) -> list[shapely.Geometry]:
    """Return the plots made disjoint: the earlier keeps, and nobody gets a neighbour's house."""
    plots = np.array([c.plot for c in chosen])
    walls = shapely.buffer(np.array([c.polygon for c in chosen]), 0.02, join_style="mitre")
    plots = shapely.union(plots, walls)
    road_of, roads = shapely.STRtree(reserves).query(plots, predicate="intersects")
    cuts: dict[int, list[shapely.Geometry]] = {}
    for a, b in zip(road_of, roads, strict=True):
        cuts.setdefault(int(a), []).append(reserves[b])
    mine, theirs = shapely.STRtree(plots).query(plots, predicate="intersects")
    for a, b in zip(mine, theirs, strict=True):
        if a != b:
            cuts.setdefault(int(a), []).append(plots[b] if b < a else walls[b])
    free = shapely.difference(plots, blocked)
    taken = np.array(
        [shapely.union_all(cuts[k]) if k in cuts else shapely.Polygon() for k in range(len(chosen))]
    )
    parcels = shapely.difference(free, shapely.difference(taken, walls))
    return [_home_part(parcel, wall) for parcel, wall in zip(parcels, walls, strict=True)]


def _home_part(parcel: shapely.Geometry, wall: shapely.Polygon) -> shapely.Polygon:
    """Return the part of a plot that carries the building."""
    if isinstance(parcel, shapely.Polygon) and not parcel.is_empty:
        return parcel
    parts = [part for part in shapely.get_parts(parcel) if shapely.get_type_id(part) == 3]
    return max(parts, key=lambda part: float(shapely.intersection(part, wall).area), default=wall)


def build_plots(
    plan: Plan, network: Network, blocked: shapely.Geometry, seed: int, *place: str | int
) -> list[Building]:
    """Return the buildings of a plan with parcels and house numbers, in order of their streets.

    Parameters
    ----------
    blocked
        Where nothing may be built: water, parks, corridors.
    place
        Names that tell this district's random streams from another's.
    """
    candidates = _landmarks(plan, network.streets)
    order = sorted(network.streets, key=lambda s: (s.zone != "centre", -s.road_class.rank, s.index))
    for street in order:
        if street.zone in _ZONES:
            for side in (1, -1):
                rng = stream(seed, "plots", *place, street.name, side)
                candidates += _lots(street, side, _ZONES[street.zone], rng)
    reserves = [network.reserve(street) for street in network.streets]
    chosen = [candidates[k] for k in _accept(candidates, reserves, blocked)]
    parcels = _parcels(chosen, reserves, blocked)
    pairs = sorted(zip(chosen, parcels, strict=True), key=lambda p: (p[0].street, p[0].side, p[0].measure_m))
    return _number(
        [
            Building(k, c.street, c.side, c.measure_m, c.kind, c.polygon, c.facade, c.year, c.name, parcel)
            for k, (c, parcel) in enumerate(pairs)
        ]
    )


def _number(buildings: list[Building]) -> list[Building]:
    """Give odd house numbers to the left side and even ones to the right, rising along the street."""
    following: dict[tuple[int, int], int] = {}
    for building in buildings:
        key = (building.street, building.side)
        number = following.get(key, 1 if building.side > 0 else 2)
        building.number = str(number)
        following[key] = number + 2
    return buildings
