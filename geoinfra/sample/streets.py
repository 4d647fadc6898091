"""From planned streets to a network: smooth centre lines, junctions, and sections with linear reference."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from geoinfra.sample.plan import CLASSES, Plan, PlannedStreet, RoadClass

__all__ = ["Junction", "Network", "Section", "Street", "build_network"]

_STEP_M = 6.0  # distance between vertices of a smooth centre line
_SAME_JUNCTION_M = 9.0

Array = NDArray[np.float64]


@dataclass(slots=True)
class Street:
    """A street with its centre line as arrays, so that points beside it come by measure and offset."""

    index: int
    name: str
    road_class: RoadClass
    zone: str
    xy: Array
    normals: Array
    measures: Array
    line: shapely.LineString

    @property
    def length_m(self) -> float:
        """Length of the centre line."""
        return float(self.measures[-1])

    def at(self, measures: ArrayLike, offset_m: ArrayLike = 0.0) -> Array:
        """Return the points at `measures` along the street, `offset_m` to its left (negative: right)."""
        m = np.atleast_1d(np.asarray(measures, dtype=np.float64))
        beside = np.broadcast_to(np.asarray(offset_m, dtype=np.float64), m.shape)
        x = np.interp(m, self.measures, self.xy[:, 0]) + beside * np.interp(
            m, self.measures, self.normals[:, 0]
        )
        y = np.interp(m, self.measures, self.xy[:, 1]) + beside * np.interp(
            m, self.measures, self.normals[:, 1]
        )
        return np.column_stack([x, y])

    def between(self, from_m: float, to_m: float, offset_m: float = 0.0) -> Array:
        """Return the course beside the street from one measure to another, with its own vertices between."""
        low, high = min(from_m, to_m), max(from_m, to_m)
        inner = self.measures[(self.measures > low + 0.3) & (self.measures < high - 0.3)]
        course = self.at(np.concatenate([[low], inner, [high]]), offset_m)
        return course if from_m <= to_m else course[::-1]

    def direction(self, measure: float) -> Array:
        """Return the unit vector along the street at a measure."""
        pair = self.at([max(0.0, measure - 2.0), min(self.length_m, measure + 2.0)])
        vector = pair[1] - pair[0]
        return np.asarray(vector / np.hypot(*vector))


@dataclass(slots=True)
class Junction:
    """Where streets meet or one ends: `arms` are (street, measure), the first leads through."""

    index: int
    point: Array
    arms: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Section:
    """A piece of street between two junctions, by linear reference."""

    index: int
    street: int
    from_m: float
    to_m: float
    from_junction: int
    to_junction: int

    @property
    def length_m(self) -> float:
        """Length along the street."""
        return self.to_m - self.from_m


@dataclass(slots=True)
class Network:
    """Streets, junctions and sections of one town or district."""

    streets: list[Street]
    junctions: list[Junction]
    sections: list[Section]

    def reserve(self, street: Street) -> shapely.Polygon:
        """Return the ground between the property lines of a street."""
        return shapely.buffer(street.line, street.road_class.half_reserve_m, cap_style="flat")


def _smooth(points: Array) -> Array:
    """Return a Catmull-Rom curve through `points` with a vertex about every ``_STEP_M``."""
    padded = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    pieces = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        count = max(2, int(np.hypot(*(c - b)) / _STEP_M))
        t = np.linspace(0.0, 1.0, count, endpoint=False)[:, None]
        pieces.append(
            0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        )
    return np.vstack([*pieces, points[-1:]])


def _street(index: int, planned: PlannedStreet) -> Street:
    xy = _smooth(np.asarray(planned.points, dtype=np.float64))
    return _from_vertices(index, planned.name, CLASSES[planned.road_class], planned.zone, xy)


def _from_vertices(index: int, name: str, road_class: RoadClass, zone: str, xy: Array) -> Street:
    steps = np.diff(xy, axis=0)
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    unit = steps / lengths[:, None]
    along = np.vstack([unit[:1], unit[:-1] + unit[1:], unit[-1:]])
    along /= np.hypot(along[:, 0], along[:, 1])[:, None]
    normals = np.column_stack([-along[:, 1], along[:, 0]])
    measures = np.concatenate([[0.0], np.cumsum(lengths)])
    return Street(index, name, road_class, zone, xy, normals, measures, shapely.LineString(xy))


def _snap_ends(streets: list[Street]) -> list[Street]:
    """Move street ends that nearly meet another street onto it."""
    tree = shapely.STRtree([street.line for street in streets])
    snapped = []
    for street in streets:
        xy = street.xy.copy()
        for end in (0, -1):
            point = shapely.Point(xy[end])
            best = (25.0, street.xy[end])
            for other in tree.query(point, predicate="dwithin", distance=25.0):
                line = streets[int(other)].line
                if int(other) != street.index and line.distance(point) < best[0]:
                    on = line.interpolate(line.project(point))
                    ends = [
                        p for p in (line.coords[0], line.coords[-1]) if on.distance(shapely.Point(p)) < 4.0
                    ]
                    best = (line.distance(point), np.asarray(ends[0] if ends else (on.x, on.y)))
            xy[end] = best[1]
        snapped.append(_from_vertices(street.index, street.name, street.road_class, street.zone, xy))
    return snapped


def _meetings(streets: list[Street]) -> list[tuple[Array, int, float]]:
    """Return every (point, street, measure) at which a street meets another or ends."""
    found: list[tuple[Array, int, float]] = []
    lines = np.array([street.line for street in streets])
    left, right = shapely.STRtree(lines).query(lines, predicate="dwithin", distance=0.05)
    for i, j in zip(left, right, strict=True):
        if i >= j:
            continue
        crossing = shapely.intersection(shapely.buffer(lines[i], 0.05), lines[j])
        for part in shapely.get_parts(crossing):
            point = shapely.centroid(part)
            for k in (int(i), int(j)):
                found.append((np.array([point.x, point.y]), k, float(lines[k].project(point))))
    for street in streets:
        found.append((street.xy[0], street.index, 0.0))
        found.append((street.xy[-1], street.index, street.length_m))
    return found


def _junctions(streets: list[Street]) -> list[Junction]:
    junctions: list[Junction] = []
    for point, street, measure in sorted(_meetings(streets), key=lambda m: (m[1], m[2])):
        near = [j for j in junctions if np.hypot(*(j.point - point)) < _SAME_JUNCTION_M]
        if near:
            junction = min(near, key=lambda j: float(np.hypot(*(j.point - point))))
        else:
            junction = Junction(len(junctions), point)
            junctions.append(junction)
        if all(s != street for s, _ in junction.arms):
            junction.arms.append((street, measure))
    for junction in junctions:
        junction.arms.sort(key=lambda arm: _leads(streets[arm[0]], arm[1]))
        first, measure = junction.arms[0]
        junction.point = streets[first].at(measure)[0]
    return junctions


def _leads(street: Street, measure: float) -> tuple[bool, int, int]:
    """Sort key of the arm whose lines run straight through a junction: passing, then of high rank."""
    ends = measure < 1.0 or measure > street.length_m - 1.0
    return (ends, -street.road_class.rank, street.index)


def build_network(plan: Plan) -> Network:
    """Make the street network of a plan."""
    streets = _snap_ends([_street(index, planned) for index, planned in enumerate(plan.streets)])
    junctions = _junctions(streets)
    stops: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for junction in junctions:
        for street, measure in junction.arms:
            stops[street].append((measure, junction.index))
    sections: list[Section] = []
    for street in range(len(streets)):
        along = sorted(stops[street])
        for (from_m, a), (to_m, b) in pairwise(along):
            if to_m - from_m > 2.0:
                sections.append(Section(len(sections), street, from_m, to_m, a, b))
    return Network(streets, junctions, sections)
