"""Where lines can run: courses beside the street centre, junction hubs, and ways to the houses."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

from geoinfra.sample.features import Array
from geoinfra.sample.plan import Plan, RoadClass
from geoinfra.sample.plots import Building
from geoinfra.sample.streets import Network, Section

__all__ = ["SLOTS", "ServiceWay", "Site", "Slot", "cut", "lengths_along"]


@dataclass(frozen=True, slots=True)
class Slot:
    """Where in the cross-section a main lies: ``metres`` left of the centre line, or beyond a kerb.

    With ``side`` 0 the distance counts from the centre line, with +1 or -1 outwards from the left or right
    kerb (negative: towards the middle of the road).
    """

    side: int
    metres: float

    def offset_m(self, road: RoadClass) -> float:
        """Return the distance from the centre line, metres, positive to the left."""
        return self.metres if self.side == 0 else self.side * (road.carriageway_m / 2.0 + self.metres)


SLOTS = {
    "lighting": Slot(1, 0.3),
    "low-voltage": Slot(1, 0.8),
    "medium-voltage": Slot(1, 1.3),
    "fibre": Slot(1, 1.7),
    "60kv": Slot(1, 2.6),
    "heating-supply": Slot(1, -1.0),
    "heating-return": Slot(1, -1.45),
    "rain": Slot(0, 0.5),
    "foul": Slot(0, -0.6),
    "water": Slot(-1, -0.9),
    "gas": Slot(-1, 0.5),
    "copper": Slot(-1, 1.5),
    "gas-transmission": Slot(-1, 2.5),
    "oil": Slot(-1, 3.1),
}
"""Cross-section of a street: the place of every main."""


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
    for low, high in pairwise(stops):
        inner = (along > low + 0.05) & (along < high - 0.05)
        measures = np.concatenate([[low], along[inner], [high]])
        pieces.append(
            np.column_stack(
                [np.interp(measures, along, course[:, 0]), np.interp(measures, along, course[:, 1])]
            )
        )
    return pieces


def _indices(mask: np.bool_ | NDArray[np.bool_]) -> frozenset[int]:
    return frozenset(np.flatnonzero(mask).tolist())


class Site:
    """A town or district ready for its lines.

    ``heated``, ``gassed``, ``combined`` and ``copper`` hold the indices of the sections with district
    heating, gas, a combined sewer and the older telephone network.
    """

    def __init__(
        self, plan: Plan, network: Network, buildings: list[Building], prefix: str, seed: int
    ) -> None:
        self.plan = plan
        self.network = network
        self.buildings = buildings
        self.prefix = prefix
        self.seed = seed
        self.mains = [s for s in network.sections if network.streets[s.street].zone != "none"]
        self._walls = shapely.STRtree([building.polygon for building in buildings])
        self._serving = self._served()
        middles = np.array([self.middle(section) for section in network.sections]).reshape(-1, 2)
        points = shapely.points(middles)
        self.heated = _indices(shapely.intersects(plan.heated, points))
        self.combined = _indices(shapely.intersects(plan.combined, points))
        self.copper = _indices(shapely.intersects(plan.copper, points))
        every = frozenset(range(len(network.sections)))
        self.gassed = every - self.heated
        if plan.gas_and_heat:
            self.gassed |= {section for section in every if section % 3 == 0}

    def middle(self, section: Section) -> Array:
        """Return the point halfway along a section's centre line."""
        middle_m = (section.from_m + section.to_m) / 2.0
        return np.asarray(self.network.streets[section.street].at(middle_m)[0])

    def hub(self, junction: int, slot: str) -> Array:
        """Return the point of a junction at which the lines of one slot meet."""
        street, measure = self.network.junctions[junction].arms[0]
        lead = self.network.streets[street]
        return np.asarray(lead.at(measure, SLOTS[slot].offset_m(lead.road_class))[0])

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
        beside = street.between(start, end + 0.01, SLOTS[slot].offset_m(street.road_class))
        pieces = [beside]
        if start > section.from_m:
            pieces.insert(0, self.hub(section.from_junction, slot)[None, :])
        if end < section.to_m:
            pieces.append(self.hub(section.to_junction, slot)[None, :])
        return np.vstack(pieces)

    def services(
        self, slot: str, shift: float, sections: Container[int] | None = None, leave_out: int = 0
    ) -> Iterator[ServiceWay]:
        """Yield the ways from the main in `slot` to each building's facade.

        Parameters
        ----------
        shift
            Place on the facade: -1 its start, 0 its middle, 1 its end (0.4 m short of the corners).
        sections
            Indices of the sections with this main; ``None`` for all.
        leave_out
            Every `leave_out`-th building has no service; 0 for none.
        """
        chosen: list[tuple[Building, Section]] = []
        for building, section in zip(self.buildings, self._serving, strict=True):
            if section is None or (sections is not None and section.index not in sections):
                continue
            if not leave_out or building.index % leave_out:
                chosen.append((building, section))
        if not chosen:
            return
        courses = self._ways(chosen, slot, shift)
        blocked = set(self._walls.query(shapely.linestrings(courses), predicate="intersects")[0].tolist())
        for index, (building, _) in enumerate(chosen):
            if index not in blocked:
                yield ServiceWay(building, courses[index])

    def _served(self) -> list[Section | None]:
        """Return the section that each building fronts."""
        by_street: dict[int, list[Section]] = {}
        for section in self.network.sections:
            by_street.setdefault(section.street, []).append(section)
        return [
            next((s for s in by_street.get(b.street, ()) if s.from_m <= b.measure_m <= s.to_m), None)
            for b in self.buildings
        ]

    def _ways(self, chosen: list[tuple[Building, Section]], slot: str, shift: float) -> Array:
        """Return the two points (main, facade) of each way, in one array."""
        facades = np.array([building.facade for building, _ in chosen])
        sides = np.array([[building.side] for building, _ in chosen])
        along = facades[:, 1] - facades[:, 0]
        width = np.hypot(along[:, 0], along[:, 1])[:, None]
        place = 0.5 + shift * np.maximum(0.0, width / 2.0 - 0.4) / width
        outward = np.column_stack([along[:, 1], -along[:, 0]]) / width * sides
        fronts = facades[:, 0] + along * place + outward * 0.08
        lines = np.array([self.network.streets[section.street].line for _, section in chosen])
        measures = shapely.line_locate_point(lines, shapely.points(fronts))
        parts = np.array([self._own_part(section) for _, section in chosen])
        measures = np.clip(measures, parts[:, 0], parts[:, 1])
        taps = np.empty_like(fronts)
        streets = np.array([section.street for _, section in chosen])
        for index in np.unique(streets):
            street, here = self.network.streets[index], streets == index
            taps[here] = street.at(measures[here], SLOTS[slot].offset_m(street.road_class))
        return np.stack([taps, fronts], axis=1)
