"""The street plans: Havnsby drawn by hand, and districts that can be repeated over any area."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from geoinfra.sample.streams import stream
from geoinfra.sample.terrain import ORIGIN_E, ORIGIN_N

__all__ = [
    "CLASSES",
    "DISTRICT_ROWS",
    "Landmark",
    "Plan",
    "PlannedStreet",
    "RoadClass",
    "district_plan",
    "havnsby_plan",
]

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class RoadClass:
    """Cross-section of a road class, metres: carriageway, and footway with verge on each side."""

    name: str
    carriageway_m: float
    side_m: float
    rank: int

    @property
    def half_reserve_m(self) -> float:
        """Half the width between the property lines."""
        return self.carriageway_m / 2.0 + self.side_m


CLASSES = {
    "primary": RoadClass("primary", 9.0, 3.8, 3),
    "secondary": RoadClass("secondary", 7.5, 2.8, 2),
    "residential": RoadClass("residential", 6.0, 2.2, 1),
    "path": RoadClass("path", 2.6, 0.7, 0),
}


@dataclass(frozen=True, slots=True)
class PlannedStreet:
    """A street by its control points (EPSG:25832 metres); `zone` says what is built along it."""

    name: str
    road_class: str
    zone: str
    points: Points


@dataclass(frozen=True, slots=True)
class Landmark:
    """A building of its own: which street it fronts, where along it (0..1) and on which side (+1 left)."""

    name: str
    kind: str
    street: str
    along: float
    side: int
    width_m: float
    depth_m: float
    setback_m: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is decided before chance comes in.

    Attributes
    ----------
    bounds
        Area in EPSG:25832 metres.
    main_street
        Name of the street on which examples dig.
    routes
        Kind (``60kv``, ``gas-transmission``, ``oil``) -> lines in EPSG:25832 across country.
    routes_along
        Kind -> name of the street whose verge it follows instead.
    heated
        Area of district heating; gas serves the rest.
    combined
        Area with combined sewers; rain and waste water are separate elsewhere.
    copper
        Area with the older telephone and coax network.
    gas_and_heat
        Whether some streets have both district heating and gas.
    """

    bounds: tuple[float, float, float, float]
    streets: tuple[PlannedStreet, ...]
    landmarks: tuple[Landmark, ...]
    greens: tuple[tuple[str, str, shapely.Polygon], ...]
    main_street: str
    routes: dict[str, tuple[shapely.LineString, ...]]
    routes_along: dict[str, str]
    heated: shapely.Geometry
    combined: shapely.Geometry
    copper: shapely.Geometry
    gas_and_heat: bool


_HAVNSBY = """
Strandvej|secondary|villa|0,350 140,372 300,352 455,362 580,352 700,356 830,352 960,372 1100,350 1250,372 1380,362 1500,385
Algade|secondary|centre|455,362 520,400 600,430 690,448 790,468 880,510 960,565
Østergade|primary|villa|960,565 1040,600 1120,622 1210,640 1350,640 1500,675
Vestre Landevej|primary|villa|0,690 120,655 250,590 350,500 410,420 455,362
Nørregade|secondary|centre|690,448 678,530 690,610 715,690
Nykøbingvej|primary|villa|715,690 740,800 735,930 700,1060 670,1200 680,1350 720,1500
Havnegade|residential|centre|690,448 705,400 700,356 690,292
Kirkestræde|residential|centre|600,430 585,490 610,545 678,530
Kongensgade|residential|centre|790,468 775,545 785,620 715,690
Søndergade|residential|centre|790,468 815,410 830,352
Fiskerstræde|residential|centre|600,430 606,392 580,352
Banegårdsvej|secondary|villa|690,610 600,640 500,640 410,610 350,500
Skolevej|residential|villa|740,800 620,790 500,775 390,745 290,690 250,590
Møllevej|secondary|villa|960,565 945,660 960,780 930,900 840,950 735,930
Slotsgade|residential|centre|775,545 850,560 905,600 945,660
Mejsevej|residential|villa|785,640 860,690 950,720
Lærkevej|residential|villa|740,800 830,790 900,815 950,835
Bøgevej|residential|villa|735,930 620,920 500,900 380,880 270,830 290,690
Egevej|residential|villa|620,920 610,850 620,790
Lindevej|residential|villa|500,900 490,840 500,775
Birkevej|residential|villa|380,880 375,810 390,745
Ahornvej|residential|villa|700,1060 590,1050 470,1030 350,1000 270,830
Elmevej|residential|villa|590,1050 600,985 620,920
Pilevej|residential|villa|470,1030 480,960 500,900
Rønnevej|residential|villa|350,1000 300,1060 240,1090
Granvej|residential|villa|670,1200 560,1190 450,1170 360,1130
Fyrrevej|residential|villa|560,1190 570,1120 590,1050
Hasselvej|residential|villa|450,1170 455,1100 470,1030
Tjørnevænget|residential|villa|560,1190 550,1260 500,1310
Syrenvænget|residential|villa|450,1170 440,1240 390,1280
Solsortevej|residential|villa|700,1060 800,1050 900,1030 980,1000
Svalevej|residential|villa|800,1050 830,1000 840,950
Stærevej|residential|villa|900,1030 930,960 930,900
Vibevej|residential|villa|670,1200 780,1190 890,1170 980,1120 980,1000
Gøgevænget|residential|villa|780,1190 790,1120 800,1050
Uglevænget|residential|villa|890,1170 900,1240 870,1310
Falkevænget|residential|villa|780,1190 765,1270 790,1350
Rosenvej|residential|villa|350,500 270,470 180,455 90,470 60,560 120,655
Liljevej|residential|villa|180,455 190,410 200,366
Tulipanvej|residential|villa|270,470 285,410 300,352
Nellikevej|residential|villa|90,470 80,420 80,363
Klintevænget|residential|villa|180,455 172,520 190,575
Industrivej|secondary|industry|120,655 135,760 180,850 270,830
Åvej|residential|terrace|1210,640 1190,540 1205,450 1250,372
Enghavevej|residential|villa|1210,640 1220,740 1212,850 1235,960 1310,1010
Rugvænget|residential|villa|1220,740 1310,745 1405,730 1430,655
Bygvænget|residential|villa|1212,850 1310,850 1400,825 1405,730
Hvedevænget|residential|villa|1310,850 1320,915 1385,945 1445,930
Kløvermarken|residential|terrace|1350,640 1340,560 1350,470 1380,362
Engdraget|residential|terrace|1190,540 1270,528 1340,560
Mosevænget|residential|terrace|1205,450 1270,452 1350,470
Strandengen|residential|villa|1350,470 1425,485 1465,540
Havnekajen|residential|harbour|580,352 575,302 620,284 690,292 780,284 838,302 830,352
Åstien|path|none|1080,612 1062,720 1082,850 1050,950 980,1000
Engstien|path|none|1085,613 1075,500 1060,420 1085,352
Strandstien|path|none|140,372 150,318 300,300 450,306 575,302
Kirkestien|path|none|585,490 540,540 500,640
"""  # noqa: E501  # a table of the plan, a row a line

_TINY = (
    "Algade", "Nørregade", "Havnegade", "Kirkestræde", "Kongensgade", "Søndergade", "Fiskerstræde",
    "Strandvej", "Havnekajen",
)  # fmt: skip
_TINY_BOUNDS = (500.0, 180.0, 880.0, 560.0)

_LANDMARKS = (
    Landmark("Havnsby Kirke", "church", "Kirkestræde", 0.42, -1, 34.0, 13.0, 9.0),
    Landmark("Havnsby Skole", "school", "Skolevej", 0.36, 1, 74.0, 34.0, 16.0),
    Landmark("Havnsby Rådhus", "townhall", "Nørregade", 0.52, -1, 26.0, 14.0, 3.0),
)

_GREENS = (
    ("park", "Byparken", ((848, 392), (945, 396), (950, 520), (885, 480), (835, 452))),
    ("churchyard", "Havnsby Kirkegård", ((620, 462), (664, 466), (655, 515), (622, 512))),
    ("park", "Å-engen", ((1010, 640), (1150, 680), (1160, 980), (1010, 960), (995, 800))),
    ("forest", "Havnsby Skov", ((20, 930), (210, 960), (250, 1130), (330, 1330), (250, 1480), (20, 1470))),
    ("forest", "Lunden", ((1260, 1120), (1480, 1080), (1490, 1400), (1320, 1430))),
    ("water", "Gadekæret", ((868, 418), (905, 414), (916, 440), (890, 456), (866, 444))),
)

_ROUTES: dict[str, tuple[Points, ...]] = {
    "60kv": (((1500, 1050), (1360, 1060), (1240, 1075), (1120, 1085), (1040, 1060), (1010, 990)),),
    "gas-transmission": (((0, 890), (110, 900), (225, 920), (255, 1130), (340, 1260), (420, 1370),
                          (600, 1400), (650, 1500)),),
    "oil": (((20, 300), (150, 304), (300, 286), (450, 290), (560, 286), (600, 272)),),
}  # fmt: skip


def _absolute(points: Points) -> Points:
    return tuple((x + ORIGIN_E, y + ORIGIN_N) for x, y in points)


def _parse(text: str) -> tuple[PlannedStreet, ...]:
    streets = []
    for row in text.strip().splitlines():
        name, road_class, zone, points = row.split("|")
        pairs = (pair.split(",") for pair in points.split())
        streets.append(
            PlannedStreet(name, road_class, zone, _absolute(tuple((float(x), float(y)) for x, y in pairs)))
        )
    return tuple(streets)


def _polygon(points: Points) -> shapely.Polygon:
    return shapely.Polygon(_absolute(points))


def havnsby_plan(*, tiny: bool = False) -> Plan:
    """Return the hand-drawn town, or its oldest quarter for tests."""
    local = _TINY_BOUNDS if tiny else (0.0, 0.0, 1500.0, 1500.0)
    bounds = (local[0] + ORIGIN_E, local[1] + ORIGIN_N, local[2] + ORIGIN_E, local[3] + ORIGIN_N)
    streets = _parse(_HAVNSBY)
    frame = shapely.box(*bounds)
    if tiny:
        streets = tuple(clipped for s in streets if s.name in _TINY for clipped in _clip(s, frame))
    routes = {
        kind: tuple(
            part
            for points in lines
            for part in shapely.get_parts(shapely.LineString(_absolute(points)).intersection(frame))
            if part.length > 20.0
        )
        for kind, lines in _ROUTES.items()
    }
    return Plan(
        bounds,
        streets,
        tuple(mark for mark in _LANDMARKS if any(s.name == mark.street for s in streets)),
        tuple((kind, name, _polygon(tuple(points))) for kind, name, points in _GREENS),
        "Algade",
        {kind: lines for kind, lines in routes.items() if lines},
        {},
        heated=_polygon(((420, 240), (980, 240), (980, 980), (560, 1000), (470, 660), (420, 420))),
        combined=_polygon(((430, 240), (900, 240), (980, 580), (800, 720), (650, 720), (430, 560))),
        copper=_polygon(((0, 200), (1080, 200), (1050, 1010), (0, 1010))),
        gas_and_heat=False,
    )


def _clip(street: PlannedStreet, frame: shapely.Polygon) -> list[PlannedStreet]:
    """Keep the control points of a street inside `frame` when at least two follow each other."""
    kept = tuple(p for p in street.points if frame.contains(shapely.Point(p)))
    return [PlannedStreet(street.name, street.road_class, street.zone, kept)] if len(kept) > 1 else []


# ------------------------------------------------------------------------------------------- districts

DISTRICT_M = 1000.0
DISTRICT_ROWS = 16
_COLUMNS = 8
_THROUGH = (4, 1)  # columns that run through: primary, secondary
_STAGGER = 4  # rows that a residential cross street spans
_FIRST = (
    "Ahorn", "Agerhøne", "Birke", "Bøge", "Dahlia", "Drossel", "Ege", "Elme", "Engblomme",
    "Ellekær", "Fasan", "Fuglsang", "Fyrre", "Gartner", "Gran", "Gyvel", "Hassel", "Havre",
    "Hybenrose", "Hørmark", "Irisk", "Jasmin", "Jernbane", "Kastanje", "Kløver", "Kornblomst",
    "Korshøj", "Kærminde", "Linde", "Lupin", "Lyng", "Lærke", "Mejse", "Mælkebøtte", "Mølle",
    "Nattergale", "Nørremark", "Odins", "Perikon", "Pile", "Poppel", "Ranunkel", "Ribes", "Rosen",
    "Rug", "Rønnebær", "Skovmærke", "Slåen", "Smede", "Snerle", "Spurve", "Stære", "Syren",
    "Søbred", "Thors", "Tjørne", "Tranebær", "Tulipan", "Ugle", "Valmue", "Vibe", "Vinkel", "Viol",
    "Ærenpris", "Æble", "Ørne", "Østermark", "Åkande", "Ålekær",
)  # fmt: skip
_LAST = ("vej", "vænget", "allé", "gade", "stræde", "toften", "parken", "haven", "bakken", "stien")


def district_name(number: int) -> str:
    """Return the street name with this number; no two of the first 690 are equal."""
    first = _FIRST[number % len(_FIRST)]
    last = _LAST[(number // len(_FIRST) + number) % len(_LAST)]
    again = number // (len(_FIRST) * len(_LAST))
    return f"{first}{last}" + (f" {again + 1}" if again else "")


def _warp(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bend the lattice (EPSG:25832) so that no street is straight; bent alike everywhere, districts meet."""
    e = x + 24.0 * np.sin(y / 140.0) + 9.0 * np.sin(y / 61.0 + x / 290.0) + 7.0 * np.sin(x / 113.0)
    n = y + 24.0 * np.sin(x / 170.0 + 0.7) + 8.0 * np.sin(x / 71.0 + y / 310.0)
    return np.column_stack([e + ORIGIN_E, n + ORIGIN_N])


def _lattice_street(
    number: int, rank: str, zone: str, xs: NDArray[np.float64], ys: NDArray[np.float64]
) -> PlannedStreet:
    points = tuple((float(e), float(n)) for e, n in _warp(xs, ys))
    return PlannedStreet(district_name(number), rank, zone, points)


def district_plan(column: int, row: int, seed: int, rows: int = DISTRICT_ROWS) -> Plan:
    """Return one square kilometre of dense town; districts of all columns and rows fit together.

    Parameters
    ----------
    column, row
        Position in the grid of districts; (0, 0) lies at the shore.
    seed
        Chooses the zones; the street lattice is the same for all seeds.
    rows
        Take only the southern rows of streets, for a smaller district.
    """
    rng = stream(seed, "plan", column, row)
    west, south = column * DISTRICT_M, 330.0 + row * DISTRICT_M
    height = DISTRICT_M * rows / DISTRICT_ROWS
    base = (row * 97 + column) * 48
    streets: list[PlannedStreet] = []
    for k in range(rows):
        y = south + (k + 0.5) * DISTRICT_M / DISTRICT_ROWS
        xs = np.linspace(west, west + DISTRICT_M, 2 * _COLUMNS + 1)
        rank = "primary" if k == min(8, rows - 1) else "secondary" if k % 8 == 4 else "residential"
        zone = str(rng.choice(["terrace", "terrace", "centre"]))
        streets.append(_lattice_street(base + k, rank, zone, xs, np.full_like(xs, y)))
    for k in range(_COLUMNS):
        x = west + (k + 0.5) * DISTRICT_M / _COLUMNS
        if k in _THROUGH:
            rank = "primary" if k == _THROUGH[0] else "secondary"
            ys = np.linspace(south, south + height, 2 * rows + 1)
            streets.append(_lattice_street(base + len(streets), rank, "terrace", np.full_like(ys, x), ys))
            continue
        for first in range(0, rows - 1, _STAGGER):  # residential streets are offset from block to block
            last = min(first + _STAGGER, rows - 1)
            shifted = x + float(rng.uniform(-38.0, 38.0))
            ys = south + (np.linspace(first, last, 2 * (last - first) + 1) + 0.5) * DISTRICT_M / DISTRICT_ROWS
            piece = np.full_like(ys, shifted)
            streets.append(_lattice_street(base + len(streets), "residential", "terrace", piece, ys))
    corners = shapely.segmentize(shapely.box(west, south, west + DISTRICT_M, south + height), 20.0)
    area = shapely.transform(corners, lambda c: _warp(c[:, 0], c[:, 1]))
    main = min(8, rows - 1)
    return Plan(
        tuple(shapely.bounds(area)),
        tuple(streets),
        (),
        (),
        streets[main].name,
        {},
        {
            "60kv": streets[main].name,
            "gas-transmission": streets[main].name,
            "oil": next(s.name for s in streets[rows:] if s.road_class == "primary"),
        },
        heated=area,
        combined=area if rng.random() < 0.4 else shapely.Polygon(),
        copper=area,
        gas_and_heat=True,
    )
