"""Where lines can run: courses beside the street centre, junction hubs, and ways to the houses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import shapely

from geoinfra.sample.features import Array
from geoinfra.sample.plan import Plan, RoadClass
from geoinfra.sample.plots import Building
from geoinfra.sample.streets import Network, Section

__all__ = ["SLOTS", "ServiceWay", "Site", "cut", "lengths_along"]

Slot = Callable[[RoadClass], float]


def _footway(side: int, metres: float) -> Slot:
    return lambda road: side * (road.carriageway_m / 2.0 + metres)


SLOTS: dict[str, Slot] = {
    "lighting": _footway(1, 0.3),
    "low-voltage": _footway(1, 0.8),
    "medium-voltage": _footway(1, 1.3),
    "fibre": _footway(1, 1.7),
    "60kv": _footway(1, 2.6),
    "heating-supply": lambda road: road.carriageway_m / 2.0 - 1.0,
    "heating-return": lambda road: road.carriageway_m / 2.0 - 1.45,
    "rain": lambda road: 0.5,
    "foul": lambda road: -0.6,
    "water": lambda road: -(road.carriageway_m / 2.0 - 0.9),
    "gas": _footway(-1, 0.5),
    "copper": _footway(-1, 1.5),
}
"""Distance from the street's centre line, metres, positive to the left."""


@dataclass(frozen=True, slots=True)
class ServiceWay:
    """A straight way from a main to a facade."""

    building: Building
    course: Array


def lengths_along(course: Array) -> Array:
    """Return the distance of each vertex from the first, metres."""
    steps = np.diff(course, axis=0)
    return np.concatenate([[0.0], np.cumsum(np.hypot(steps[:, 0], steps[:, 1]))])


def cut(course: Array, at: Array) -> list[Array]:
    """Cut a course at the given distances from its start."""
    along = lengths_along(course)
    stops = np.concatenate([[0.0], at, [along[-1]]])
    pieces = []
    for low, high in zip(stops, stops[1:], strict=False):
        inner = (along > low + 0.05) & (along < high - 0.05)
        measures = np.concatenate([[low], along[inner], [high]])
        pieces.append(
            np.column_stack([np.interp(measures, along, course[:, 0]), np.interp(measures, along, course[:, 1])])
        )
    return pieces


class Site:
    """A town or district ready for its lines."""

    def __init__(self, plan: Plan, network: Network, buildings: list[Building], prefix: str, seed: int) -> None:
        self.plan = plan
        self.network = network
        self.buildings = buildings
        self.prefix = prefix
        self.seed = seed
        self.mains = [s for s in network.sections if network.streets[s.street].zone != "none"]
        self._walls = shapely.STRtree([building.polygon for building in buildings])
        self._by_street: dict[int, list[Section]] = {}
        for section in network.sections:
            self._by_street.setdefault(section.street, []).append(section)
        middles = np.array([self.middle(section) for section in network.sections]).reshape(-1, 2)
        points = shapely.points(middles)
        self.in_heated = shapely.intersects(plan.heated, points)
        self.in_combined = shapely.intersects(plan.combined, points)
        self.in_copper = shapely.intersects(plan.copper, points)

    def middle(self, section: Section) -> Array:
        """Return the point halfway along a section's centre line."""
        middle_m = (section.from_m + section.to_m) / 2.0
        return self.network.streets[section.street].at(middle_m)[0]

    def hub(self, junction: int, slot: str) -> Array:
        """Return the point of a junction at which the lines of one slot meet."""
        street, measure = self.network.junctions[junction].arms[0]
        lead = self.network.streets[street]
        return lead.at(measure, SLOTS[slot](lead.road_class))[0]

    def _trim(self, section: Section, junction: int) -> float:
        """Return how far from a junction a section's own course begins."""
        street, _ = self.network.junctions[junction].arms[0]
        if street == section.street:
            return 0.0
        return self.network.streets[street].road_class.half_reserve_m + 1.0

    def _own_part(self, section: Section) -> tuple[float, float]:
        start = section.from_m + self._trim(section, section.from_junction)
        end = section.to_m - self._trim(section, section.to_junction)
        if end - start < 1.0:
            start = end = (section.from_m + section.to_m) / 2.0
        return start, end

    def course(self, section: Section, slot: str) -> Array:
        """Return the course of a main along a section, from hub to hub."""
        street = self.network.streets[section.street]
        start, end = self._own_part(section)
        beside = street.between(start, end + 0.01, SLOTS[slot](street.road_class))
        pieces = [beside]
        if start > section.from_m:
            pieces.insert(0, self.hub(section.from_junction, slot)[None, :])
        if end < section.to_m:
            pieces.append(self.hub(section.to_junction, slot)[None, :])
        return np.vstack(pieces)

    def services(self, slot: str, shift: float, wanted: Callable[[Building, int], bool]) -> Iterator[ServiceWay]:
        """Yield the ways from the main in `slot` to each building's facade.

        Parameters
        ----------
        shift
            Place on the facade: -1 its start, 0 its middle, 1 its end (0.4 m short of the corners).
        wanted
            Told the building and the index of the section that serves it.
        """
        ways = []
        for building in self.buildings:
            section = self._serving(building)
            if section is not None and wanted(building, section.index):
                ways.append(ServiceWay(building, self._way(building, section, slot, shift)))
        if not ways:
            return
        lines = shapely.linestrings([way.course for way in ways])
        blocked = set(self._walls.query(lines, predicate="intersects")[0].tolist())
        for index, way in enumerate(ways):
            if index not in blocked:
                yield way

    def _serving(self, building: Building) -> Section | None:
        for section in self._by_street.get(building.street, ()):
            if section.from_m <= building.measure_m <= section.to_m:
                return section
        return None

    def _way(self, building: Building, section: Section, slot: str, shift: float) -> Array:
        street = self.network.streets[section.street]
        first, last = building.facade
        along = last - first
        width = float(np.hypot(*along))
        place = 0.5 + shift * max(0.0, width / 2.0 - 0.4) / width
        front = first + along * place
        outward = np.array([along[1], -along[0]]) / width * building.side
        front = front + outward * 0.08
        measure = float(street.line.project(shapely.Point(front)))
        start, end = self._own_part(section)
        tap = street.at(min(max(measure, start), end), SLOTS[slot](street.road_class))[0]
        return np.vstack([tap, front])

    def clear_of_buildings(self, course: Array) -> bool:
        """Whether a course goes through no building."""
        return len(self._walls.query(shapely.LineString(course), predicate="intersects")) == 0
