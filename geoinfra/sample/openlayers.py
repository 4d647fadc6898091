"""The open layers of the town: streets, buildings, addresses, parcels, road sections, land use, stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from geoinfra.sample.landscape import Green, land_use, with_margin
from geoinfra.sample.layerfile import LayerFile
from geoinfra.sample.plan import Plan
from geoinfra.sample.site import Site
from geoinfra.sample.terrain import sea, stream_line

__all__ = ["POSTCODE", "TOWN", "OpenLayers", "interest_areas", "not_for_building"]

TOWN = "Havnsby"
POSTCODE = "4999"

Bounds = tuple[float, float, float, float]

_LAYERS = {
    "streets": "LineString",
    "road-sections": "LineString",
    "buildings": "Polygon",
    "parcels": "Polygon",
    "addresses": "Point",
    "landuse": "Polygon",
    "stream": "LineString",
}


def not_for_building(plan: Plan) -> shapely.Geometry:
    """Return the ground that houses keep clear of: water, parks and the corridors of transmission lines."""
    min_e, min_n, max_e, max_n = plan.bounds
    wide = (min_e - 50.0, min_n - 300.0, max_e + 50.0, max_n)
    parts: list[shapely.Geometry] = [
        shapely.buffer(sea(wide), 12.0),
        shapely.buffer(stream_line(max_n), 14.0),
    ]
    parts += [polygon for kind, _, polygon in plan.greens if kind != "churchyard"]
    parts += [route.buffer(10.0) for routes in plan.routes.values() for route in routes]
    return shapely.union_all(parts)


def interest_areas(geometries: Sequence[shapely.Geometry]) -> list[shapely.Polygon]:
    """Return the areas in which an owner has lines: at least 5 m on each side, without fine detail."""
    if not geometries:
        return []
    near = shapely.union_all(shapely.buffer(np.array(geometries, dtype=object), 30.0, quad_segs=2))
    closed = shapely.buffer(shapely.buffer(near, 45.0, quad_segs=2), -60.0, quad_segs=2)
    simple = shapely.simplify(closed, 3.0)
    return [shapely.Polygon(part.exterior) for part in shapely.get_parts(simple) if part.area > 100.0]


class OpenLayers:
    """Appends to one GeoPackage a layer, district by district."""

    def __init__(self, folder: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._folder = folder
        self._built: list[shapely.Geometry] = []
        self._files: dict[str, LayerFile] = {}

    def __enter__(self) -> OpenLayers:
        for layer in _LAYERS:
            for leftover in self._folder.glob(f"{layer}.gpkg*"):
                leftover.unlink()
        return self

    def __exit__(self, *exception: object) -> None:
        for file in self._files.values():
            file.close()

    def _append(
        self, layer: str, geometries: Sequence[shapely.Geometry], columns: dict[str, list[Any]]
    ) -> None:
        if not geometries:
            return
        if layer not in self._files:
            types = {name: type(values[0]) for name, values in columns.items()}
            path = self._folder / f"{layer}.gpkg"
            self._files[layer] = LayerFile(path, layer, _LAYERS[layer], types)
        self._files[layer].append(geometries, columns)
        self.counts[layer] += len(geometries)

    def add(self, site: Site) -> None:
        """Append the streets, sections, buildings, parcels and addresses of a district."""
        self._add_roads(site)
        self._add_plots(site)

    def _add_roads(self, site: Site) -> None:
        streets = site.network.streets
        self._append(
            "streets",
            [street.line for street in streets],
            {
                "street_id": [f"{site.prefix}v{street.index}" for street in streets],
                "name": [street.name for street in streets],
                "road_class": [street.road_class.name for street in streets],
                "width_m": [street.road_class.carriageway_m for street in streets],
                "length_m": [round(street.length_m, 2) for street in streets],
            },
        )
        sections = site.network.sections
        owners = [streets[section.street] for section in sections]
        self._append(
            "road-sections",
            [
                shapely.LineString(street.between(section.from_m, section.to_m))
                for section, street in zip(sections, owners, strict=True)
            ],
            {
                "section_id": [f"{site.prefix}s{section.index}" for section in sections],
                "street_id": [f"{site.prefix}v{section.street}" for section in sections],
                "name": [street.name for street in owners],
                "road_class": [street.road_class.name for street in owners],
                "width_m": [street.road_class.carriageway_m for street in owners],
                "from_m": [round(section.from_m, 2) for section in sections],
                "to_m": [round(section.to_m, 2) for section in sections],
                "from_junction": [f"{site.prefix}k{section.from_junction}" for section in sections],
                "to_junction": [f"{site.prefix}k{section.to_junction}" for section in sections],
            },
        )

    def _add_plots(self, site: Site) -> None:
        buildings, prefix = site.buildings, site.prefix
        names = [site.network.streets[building.street].name for building in buildings]
        self._append(
            "buildings",
            [building.polygon for building in buildings],
            {
                "building_id": [f"{prefix}b{building.index}" for building in buildings],
                "kind": [building.kind for building in buildings],
                "name": [building.name for building in buildings],
                "built_year": [building.year for building in buildings],
                "address_id": [f"{prefix}a{building.index}" for building in buildings],
            },
        )
        self._append(
            "parcels",
            [building.parcel for building in buildings if building.parcel is not None],
            {
                "parcel_id": [f"{prefix}{building.index + 1}a" for building in buildings],
                "area_m2": [round(float(shapely.area(building.parcel)), 1) for building in buildings],
            },
        )
        self._append(
            "addresses",
            [shapely.Point(building.facade.mean(axis=0)) for building in buildings],
            {
                "address_id": [f"{prefix}a{building.index}" for building in buildings],
                "street": names,
                "number": [building.number for building in buildings],
                "postcode": [POSTCODE] * len(buildings),
                "town": [TOWN] * len(buildings),
                "text": [
                    f"{name} {building.number}, {POSTCODE} {TOWN}"
                    for name, building in zip(names, buildings, strict=True)
                ],
                "building_id": [f"{prefix}b{building.index}" for building in buildings],
            },
        )
        plots = [building.parcel for building in buildings if building.parcel is not None]
        roads = [site.network.reserve(street) for street in site.network.streets]
        near = shapely.buffer(shapely.union_all([*plots, *roads]), 12.0, quad_segs=2)
        built = shapely.simplify(shapely.buffer(near, -10.0, quad_segs=2), 1.0)
        self._built += [_without_small_holes(part) for part in shapely.get_parts(built)]

    def add_landscape(self, bounds: Bounds, greens: Sequence[Green], seed: int) -> None:
        """Write land use and the stream, over `bounds` and the open country around them."""
        parts = land_use(bounds, greens, shapely.union_all(self._built), seed)
        self._append(
            "landuse",
            [part for _, _, part in parts],
            {
                "landuse_id": [f"f{index}" for index in range(len(parts))],
                "kind": [kind for kind, _, _ in parts],
                "name": [name for _, name, _ in parts],
            },
        )
        wide = with_margin(bounds)
        stream = stream_line(wide[3]).intersection(shapely.box(*wide))
        lines = [part for part in shapely.get_parts(stream) if part.length > 1.0]
        columns: dict[str, list[Any]] = {
            "stream_id": [f"å{index}" for index in range(len(lines))],
            "name": ["Havnsby Å"] * len(lines),
            "width_m": [4.0] * len(lines),
        }
        self._append("stream", lines, columns)


def _without_small_holes(part: shapely.Geometry, smallest_m2: float = 15_000.0) -> shapely.Geometry:
    """Fill the gardens between the back fences."""
    rings = shapely.get_rings(part)
    holes = [ring for ring in rings[1:] if shapely.area(shapely.polygons(ring)) >= smallest_m2]
    return shapely.Polygon(rings[0], holes) if len(rings) else part
