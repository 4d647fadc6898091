"""The sewers: pipes that fall from manhole to manhole towards the lowest point of the town."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import shapely

from geoinfra.sample.features import Array, Draft, draw_history, line_properties
from geoinfra.sample.layer import YEARS, Layer, stops_every
from geoinfra.sample.site import Site, cut, lengths_along
from geoinfra.sample.streets import Section
from geoinfra.sample.terrain import height_m

__all__ = ["sewer"]

_COVER_M = 2.0  # least ground above a main; water mains lie at 1.5 m at most
_SLOPE = 0.004
_MANHOLE_M = 52.0
_SMALLEST_M = 0.25
_LARGEST_M = 0.8


@dataclass(slots=True)
class _Pipe:
    """A pipe between two manholes, drawn in the direction of flow once it is known."""

    course: Array
    length_m: float
    ends: tuple[int, int]
    section: Section
    combined: bool


@dataclass(slots=True)
class _Tree:
    """Manholes and the pipes between them; every pipe ends lower than it begins."""

    points: list[Array] = field(default_factory=list)
    zones: list[str] = field(default_factory=list)
    pipes: list[_Pipe] = field(default_factory=list)
    invert_m: Array = field(default_factory=lambda: np.zeros(0))
    load: list[int] = field(default_factory=list)

    def manhole(self, point: Array, zone: str) -> int:
        """Add a manhole and return its number."""
        self.points.append(point)
        self.zones.append(zone)
        return len(self.points) - 1


def sewer(site: Site) -> Iterator[Draft]:
    """Combined sewers in the old centre, rain and waste apart elsewhere; services, gullies, outfalls."""
    layer = Layer(site, "sewer", "kl")
    foul = _drained(site, site.mains, "foul")
    separate = [s for s in site.mains if s.index not in site.combined]
    rain = _drained(site, separate, "rain")
    yield from _written(layer, foul, rain=False)
    yield from _written(layer, rain, rain=True)
    yield from _services(layer, foul, "foul")
    yield from _services(layer, rain, "rain")
    yield from _gullies(layer)


def _drained(site: Site, sections: list[Section], slot: str) -> _Tree:
    """Lay manholes and pipes along sections, then give every pipe its direction and fall."""
    tree = _Tree()
    hubs: dict[int, int] = {}
    for section in sections:
        zone = site.network.streets[section.street].zone
        course = site.course(section, slot)
        pieces = cut(course, stops_every(lengths_along(course)[-1], _MANHOLE_M))
        nodes = []
        for junction in (section.from_junction, section.to_junction):
            if junction not in hubs:
                hubs[junction] = tree.manhole(site.hub(junction, slot), zone)
            nodes.append(hubs[junction])
        inner = [tree.manhole(piece[-1], zone) for piece in pieces[:-1]]
        chain = [nodes[0], *inner, nodes[1]]
        combined = section.index in site.combined and slot == "foul"
        for piece, start, end in zip(pieces, chain[:-1], chain[1:], strict=True):
            tree.pipes.append(_Pipe(piece, float(lengths_along(piece)[-1]), (start, end), section, combined))
    if tree.pipes:
        _direct(tree, _flow_order(tree))
    return tree


def _flow_order(tree: _Tree) -> Array:
    """Return each manhole's distance to its outfall: the lowest manhole of every connected part."""
    points = np.array(tree.points)
    ground = height_m(points[:, 0], points[:, 1])
    reach: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for pipe in tree.pipes:
        a, b = pipe.ends
        reach[a].append((b, pipe.length_m))
        reach[b].append((a, pipe.length_m))
    distance = np.full(len(points), np.inf)
    for outfall in np.argsort(ground, kind="stable"):
        if np.isfinite(distance[outfall]):
            continue
        distance[outfall] = 0.0
        heap = [(0.0, int(outfall))]
        while heap:
            so_far, node = heapq.heappop(heap)
            if so_far > distance[node]:
                continue
            for other, length in reach[node]:
                if so_far + length < distance[other]:
                    distance[other] = so_far + length
                    heapq.heappush(heap, (so_far + length, other))
    return distance


def _direct(tree: _Tree, distance: Array) -> None:
    """Turn pipes downstream, break loops by a manhole of their own, and set inverts from the top down."""
    drained: set[int] = set()
    for pipe in sorted(tree.pipes, key=lambda p: float(min(distance[p.ends[0]], distance[p.ends[1]]))):
        if distance[pipe.ends[0]] < distance[pipe.ends[1]]:
            pipe.course, pipe.ends = pipe.course[::-1], (pipe.ends[1], pipe.ends[0])
        upper = pipe.ends[0]
        if upper in drained:  # it drains elsewhere already: this pipe begins at a manhole of its own
            pipe.course = cut(pipe.course, np.array([pipe.length_m * 0.3]))[1]
            pipe.length_m *= 0.7
            upper = tree.manhole(pipe.course[0], tree.zones[upper])
            pipe.ends = (upper, pipe.ends[1])
            distance = np.append(distance, distance[pipe.ends[1]] + pipe.length_m)
        drained.add(upper)
    points = np.array(tree.points)
    tree.invert_m = height_m(points[:, 0], points[:, 1]) - _COVER_M - _LARGEST_M
    tree.load = [0] * len(points)
    for pipe in sorted(tree.pipes, key=lambda p: -float(distance[p.ends[0]])):
        upper, lower = pipe.ends
        tree.load[lower] += tree.load[upper] + 1
        tree.invert_m[lower] = min(tree.invert_m[lower], tree.invert_m[upper] - _SLOPE * pipe.length_m)


def _bore_m(load: int) -> float:
    """Return the diameter that `load` manholes upstream want."""
    return float(np.clip(0.25 + 0.05 * np.sqrt(load), _SMALLEST_M, _LARGEST_M) // 0.05 * 0.05)


def _written(layer: Layer, tree: _Tree, *, rain: bool) -> Iterator[Draft]:
    ids = [layer.next_id() for _ in tree.points]
    for pipe in tree.pipes:
        yield _main(layer, tree, pipe, ids, rain)
    for index, point in enumerate(tree.points):
        history = layer.history(tree.zones[index])
        ground = float(height_m(point[0], point[1]))
        properties = {
            "driftsstatus": history.status,
            "etableringstidspunkt": history.established,
            "noejagtighedsklasse": history.accuracy,
            "noejagtighedsklasseVertikal": history.vertical,
            "type": "brønd",
            "broendform": "cirkulær",
            "bunddiameterbredde": {"value": 1000 if tree.load[index] > 6 else 425, "uom": "mm"},
            "topkote": {"height_m": round(ground, 2)},
            "bundkote": {"height_m": round(float(tree.invert_m[index]), 2)},
            "niveau": "under terræn",
        }
        yield Draft("Afloebskomponent", ids[index], properties, shapely.Point(point), 0.0)


def _main(layer: Layer, tree: _Tree, pipe: _Pipe, ids: list[str], rain: bool) -> Draft:
    zone = layer.street(pipe.section).zone
    history = layer.history(zone)
    upper, lower = pipe.ends
    bore = _bore_m(tree.load[upper])
    outer = bore * 1.12
    share = lengths_along(pipe.course) / pipe.length_m
    top = tree.invert_m[upper] + share * (tree.invert_m[lower] - tree.invert_m[upper]) + bore
    depth = float(np.median(height_m(pipe.course[:, 0], pipe.course[:, 1]) - top))
    material = "beton" if YEARS[zone][0] < 1960 else "PP"
    medium = "regnvand" if rain else "fællesvand" if pipe.combined else "spildevand"
    properties = line_properties(
        history, "ikke farlig", depth, outer * 1000, layer.rng, ledningstransporttype="gravitation",
        medietype=medium, tvaersnitsform="cirkulær", udvendigMateriale=material,
        startkomponent={"href": f"#{ids[upper]}"}, slutkomponent={"href": f"#{ids[lower]}"},
    )  # fmt: skip
    line = shapely.LineString(pipe.course)
    return Draft("Afloebsledning", layer.next_id(), properties, line, depth, top, history.heights)


def _services(layer: Layer, tree: _Tree, slot: str) -> Iterator[Draft]:
    site = layer.site
    separate = {section.index for section in site.network.sections} - site.combined
    if not tree.points:
        return
    manholes = shapely.STRtree([shapely.Point(point) for point in tree.points])
    shift = -0.02 if slot == "foul" else 0.1
    ways = list(site.services(slot, shift, None if slot == "foul" else separate))
    if not ways:
        return
    courses = np.array([way.course for way in ways])
    ground = height_m(courses[:, :, 0], courses[:, :, 1])
    nearest = manholes.nearest(shapely.points(courses[:, 0]))
    fronts = ground[:, 1] - 1.0
    fall = 0.02 * np.hypot(*(courses[:, 1] - courses[:, 0]).T)
    taps = np.maximum(np.minimum(ground[:, 0] - 1.75, fronts - fall), tree.invert_m[nearest] + 0.2)
    tops = np.column_stack([np.minimum(taps, fronts), fronts])
    for way, top in zip(ways, tops, strict=True):
        history = draw_history(layer.rng, min(max(1930, way.building.year - 2), 2020), 2021)
        properties = line_properties(
            history, "ikke farlig", 1.3, 160, layer.rng, ledningstransporttype="gravitation",
            medietype="regnvand" if slot == "rain" else "spildevand", tvaersnitsform="cirkulær",
        )  # fmt: skip
        line = shapely.LineString(way.course)
        yield Draft("Afloebsledning", layer.next_id(), properties, line, 1.3, top, history.heights)


def _gullies(layer: Layer) -> Iterator[Draft]:
    """Gratings at the kerb every 40 m on alternating sides, each with its pipe to the sewer."""
    site = layer.site
    for section in site.mains:
        street = layer.street(section)
        slot = "foul" if section.index in site.combined else "rain"
        kerb = street.road_class.carriageway_m / 2.0 - 0.3
        measures = np.arange(section.from_m + 14.0, section.to_m - 12.0, 40.0)
        main = shapely.LineString(site.course(section, slot))
        for number, measure in enumerate(measures):
            history = layer.history(street.zone)
            grate = street.at(measure, kerb if number % 2 else -kerb)[0]
            tap = main.interpolate(main.project(shapely.Point(grate)))
            course = np.array([grate, [tap.x, tap.y]])
            properties = line_properties(
                history, "ikke farlig", 1.1, 160, layer.rng, ledningstransporttype="gravitation",
                medietype="regnvand", tvaersnitsform="cirkulær",
            )  # fmt: skip
            ground = height_m(course[:, 0], course[:, 1])
            top = np.array([ground[0] - 0.9, ground[1] - 1.3])
            line = shapely.LineString(course)
            yield Draft("Afloebsledning", layer.next_id(), properties, line, 1.1, top, history.heights)
            yield layer.component(
                "Afloebskomponent", grate, history, 0.0, type="rist", niveau="delvist under terræn"
            )
