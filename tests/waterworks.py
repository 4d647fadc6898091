"""The files of an invented waterworks, as its volunteers would have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import shapely

OWNER = "10000068"
EAST, NORTH = 650_700.0, 6_084_400.0
"""South-west corner of a street in the sample town."""

PIPES: list[dict[str, Any]] = [
    {"ledning_id": 1, "ejer": "vandværket", "status": "i brug", "anlagt": "1974", "opmaalt": "skitse",
     "usikkerhed_m": 1.0, "dim_mm": 110, "materiale": "PVC", "dybde_m": 1.2},
    {"ledning_id": 2, "ejer": None, "status": "projekt", "anlagt": "2024-05-03", "opmaalt": "GPS",
     "usikkerhed_m": 0.04, "dim_mm": 63, "materiale": "PE", "dybde_m": None},
    {"ledning_id": 3, "ejer": "naboen", "status": "i brug", "anlagt": "1990", "opmaalt": None,
     "usikkerhed_m": None, "dim_mm": 0, "materiale": None, "dybde_m": None},
    {"ledning_id": 4, "ejer": "vandværket", "status": "ude af brug", "anlagt": None, "opmaalt": None,
     "usikkerhed_m": None, "dim_mm": 0, "materiale": "ETER", "dybde_m": 0.9},
]  # fmt: skip


def line(*points: tuple[float, ...]) -> shapely.LineString:
    """A line whose points are metres from the corner; a third number is a height."""
    return shapely.LineString([(EAST + p[0], NORTH + p[1], *p[2:]) for p in points])


GEOMETRY = [
    line((0, 60, 0), (150, 60, 0)),
    line((30, 40, 3.25), (30, 80, 3.5)),
    line((0, 70, 2), (150, 70, 2)),
    line((0, 300, 0), (150, 300, 0)),
]
VALVES = [{"nr": 7, "aar": "1975"}, {"nr": 8, "aar": None}]
VALVE_GEOMETRY = [shapely.Point(EAST + 50, NORTH + 60), shapely.Point(EAST + 50, NORTH + 300)]


def pipes() -> geopandas.GeoDataFrame:
    """The pipes: two of the waterworks in the street, a neighbour's, and one 240 m to the north."""
    return geopandas.GeoDataFrame(PIPES, geometry=GEOMETRY, crs="EPSG:25832")


def valves() -> geopandas.GeoDataFrame:
    """A valve in the street and one to the north."""
    return geopandas.GeoDataFrame(VALVES, geometry=VALVE_GEOMETRY, crs="EPSG:25832")


def write_geopackage(folder: Path) -> Path:
    """Write the file that the sample mapping reads."""
    path = folder / "vandvaerk.gpkg"
    pipes().to_file(path, layer="ledninger", driver="GPKG", engine="pyogrio")
    valves().to_file(path, layer="ventiler", driver="GPKG", engine="pyogrio")
    return path


AREA = shapely.box(EAST + 20, NORTH + 50, EAST + 100, NORTH + 90)
"""Touches pipes 1, 2 and 3 and valve 7."""
