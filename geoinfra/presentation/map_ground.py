"""Open layers of a map image, in the colours and at the zooms of the map page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from geoinfra.presentation.plan_ink import Path, Surface, printable, width_mm
from geoinfra.presentation.plan_labels import Wish
from geoinfra.presentation.plan_map import Shapes

__all__ = ["NAME_LEVEL", "PAPER", "UTILITY_LEVEL", "GroundLayer", "columns_read"]

PAPER: Final[Mapping[str, str]] = {
    "land": "#efebe2",
    "sea": "#c9dee6",
    "shore": "#a9c6d1",
    "park": "#dbe6cc",
    "forest": "#cbdcbb",
    "field": "#eeebdb",
    "industry": "#ebe6df",
    "settled": "#f4f1ea",
    "building": "#dfd7ca",
    "buildingEdge": "#c6bbaa",
    "publicBuilding": "#d3cbc6",
    "parcel": "#c9bda8",
    "street": "#ffffff",
    "mainStreet": "#fff4d8",
    "casing": "#d8cfc1",
    "path": "#b9ad9a",
    "streetInk": "#625c53",
    "accent": "#0b5d66",
}
"""The colours of the map page."""

UTILITY_LEVEL: Final = 9.0
"""Utilities lie above buildings and below the names of streets."""

NAME_LEVEL: Final = 20.0

_LAND_COLOURS: Final = {
    "sea": "sea", "water": "sea", "park": "park", "churchyard": "park", "recreation": "park", "grass": "park",
    "forest": "forest", "fields": "field", "meadow": "field", "industry": "industry", "harbour": "industry",
    "built-up": "settled",
}  # fmt: skip
_WATERS: Final = frozenset({"sea", "water"})
_MAIN_STREETS: Final = frozenset({"primary", "secondary"})
_PUBLIC: Final = frozenset({"church", "school", "townhall", "public"})
_STREET_WIDTH_M: Final = 6.0
_WIDTHS_M: Final = (0.5, 60.0)
_READ: Final = {
    "landuse": ("kind",),
    "streets": ("name", "road_class", "width_m"),
    "buildings": ("kind",),
    "addresses": ("number",),
}
_SPACING_PX: Final = 320.0

type Row = tuple[Any, ...]
type Drawing = tuple[float, Callable[[Surface], None]]


def columns_read(collection: str, held: Sequence[str]) -> tuple[str, ...]:
    """Return those of the columns held that the drawing of a collection reads."""
    return tuple(name for name in _READ.get(collection, ()) if name in held)


@dataclass(frozen=True, slots=True)
class GroundLayer:
    """Features of one collection on the image.

    Attributes
    ----------
    collection
        Its id, which decides the drawing.
    columns
        Values that the drawing reads, one a feature; see :func:`columns_read`.
    zoom
        Of the map page at this scale.
    pixel_mm, mm_per_m
        Millimetres of a pixel, and of a metre on the ground.
    """

    collection: str
    shapes: Sequence[Shapes]
    columns: Mapping[str, Sequence[Any]]
    zoom: float
    pixel_mm: float
    mm_per_m: float

    def drawings(self) -> Iterator[Drawing]:
        """Yield what is drawn and at what level, as the map page orders it."""
        yield from _DRAWINGS.get(self.collection, _other)(self)

    def wishes(self) -> Iterator[Wish]:
        """Yield the names that should stand on the map."""
        if self.collection == "streets" and self.zoom >= 13.5:
            size = _between(self.zoom, (14, 10.5), (18, 13.5)) * self.pixel_mm
            for name, one in zip(self._values("name"), self.shapes, strict=True):
                text = printable(str(name)) if name else ""
                for line in one.lines if text else ():
                    yield _name(text, size, line, 2.0, self.pixel_mm)
        elif self.collection == "addresses" and self.zoom >= 18:
            for number, one in zip(self._values("number"), self.shapes, strict=True):
                text = printable(str(number)) if number not in (None, "") else ""
                for point in one.points if text else ():
                    yield _name(text, 11 * self.pixel_mm, point, -1.0, self.pixel_mm)

    def _values(self, name: str) -> Sequence[Any]:
        return self.columns.get(name) or [None] * len(self.shapes)

    def _lines(self, wanted: Sequence[bool] | None = None) -> list[Path]:
        """Return the lines and the edges of all features, or of those that are wanted."""
        chosen = self.shapes if wanted is None else [o for o, w in zip(self.shapes, wanted, strict=True) if w]
        return [line for one in chosen for line in one.lines]

    def _edges(self) -> list[Path]:
        return [ring for one in self.shapes for ring in one.rings]


def _name(text: str, size_mm: float, path: Path, priority: float, pixel_mm: float) -> Wish:
    return Wish(
        text,
        size_mm,
        width_mm(text, size_mm),
        path,
        priority,
        PAPER["streetInk"],
        on_line=True,
        spacing_mm=_SPACING_PX * pixel_mm if len(path) > 1 else 0.0,
        same=f"street {text}" if len(path) > 1 else "",
    )


def _between(zoom: float, *stops: tuple[float, float], base: float = 1.0) -> float:
    """Interpolate as a MapLibre expression does."""
    if zoom <= stops[0][0]:
        return stops[0][1]
    for (low, first), (high, last) in pairwise(stops):
        if zoom <= high:
            along = (zoom - low) / (high - low)
            if base != 1.0:
                along = (base ** (zoom - low) - 1) / (base ** (high - low) - 1)
            return first + (last - first) * along
    return stops[-1][1]


def _landuse(layer: GroundLayer) -> Iterator[Drawing]:
    kinds = [str(kind) for kind in layer._values("kind")]

    def order(kind: str) -> int:
        return 0 if kind in ("fields", "built-up") else 2 if kind in _WATERS else 1

    def fill(ink: Surface) -> None:
        for place in sorted(range(len(kinds)), key=lambda row: order(kinds[row])):
            ink.fill(layer.shapes[place].rings, PAPER[_LAND_COLOURS.get(kinds[place], "land")])

    def shore(ink: Surface) -> None:
        rings = [
            ring
            for kind, one in zip(kinds, layer.shapes, strict=True)
            if kind in _WATERS
            for ring in one.rings
        ]
        width = _between(layer.zoom, (12, 0.6), (18, 1.6)) * layer.pixel_mm
        ink.stroke(rings, PAPER["shore"], width, closed=True)

    yield 0, fill
    yield 1, shore


def _stream(layer: GroundLayer) -> Iterator[Drawing]:
    width = _between(layer.zoom, (11, 0.8), (15, 2.4), (19, 12), base=1.6) * layer.pixel_mm
    yield 2, lambda ink: ink.stroke(layer._lines(), PAPER["shore"], width, cap="round")


def _parcels(layer: GroundLayer) -> Iterator[Drawing]:
    if layer.zoom < 17:
        return
    opacity, width = round(_between(layer.zoom, (17, 0.35), (19, 0.8)), 2), 0.8 * layer.pixel_mm

    def edge(ink: Surface) -> None:
        ink.stroke(layer._edges(), PAPER["parcel"], width, opacity=opacity, closed=True, together=True)
        ink.stroke(layer._lines(), PAPER["parcel"], width, opacity=opacity, together=True)

    yield 3, edge


def _streets(layer: GroundLayer) -> Iterator[Drawing]:
    classes = layer._values("road_class")
    widths = [_width_m(value) * layer.mm_per_m / layer.pixel_mm for value in layer._values("width_m")]

    def width_px(own: float, casing: float) -> float:
        if layer.zoom >= 14:
            return max(1.6, own) + casing * _between(layer.zoom, (14, 0.7), (20, 2.0), base=2.0)
        floor = max(1.6, own)
        return _between(layer.zoom, (11, 0.6 + casing * 0.3), (14, floor + casing * 0.7), base=2.0)

    def paths(ink: Surface) -> None:
        if layer.zoom >= 14:
            pen = _between(layer.zoom, (14, 0.8), (19, 2.4)) * layer.pixel_mm
            lines = layer._lines([kind == "path" for kind in classes])
            ink.stroke(lines, PAPER["path"], pen, dash_mm=(2 * pen, 1.6 * pen), cap="round")

    def streets(ink: Surface, colour: str, casing: float, wanted: Sequence[bool]) -> None:
        pens = [round(width_px(own, casing), 1) for own in widths]
        for pen in sorted(set(pens)):
            chosen = [w and own == pen for w, own in zip(wanted, pens, strict=True)]
            ink.stroke(layer._lines(chosen), colour, pen * layer.pixel_mm, cap="round")

    roads = [kind != "path" for kind in classes]
    main = [kind in _MAIN_STREETS for kind in classes]
    minor = [road and not is_main for road, is_main in zip(roads, main, strict=True)]
    yield 4, paths
    yield 5, lambda ink: streets(ink, PAPER["casing"], 1.6, roads)
    yield 6, lambda ink: streets(ink, PAPER["street"], 0.0, minor)
    yield 6.1, lambda ink: streets(ink, PAPER["mainStreet"], 0.0, main)


def _width_m(value: Any) -> float:
    usable = isinstance(value, int | float) and _WIDTHS_M[0] <= value <= _WIDTHS_M[1]
    return float(value) if usable else _STREET_WIDTH_M


def _buildings(layer: GroundLayer) -> Iterator[Drawing]:
    if layer.zoom < 13:
        return
    opacity = round(_between(layer.zoom, (13, 0.4), (15, 1.0)), 2)

    def fill(ink: Surface) -> None:
        for kind, one in zip(layer._values("kind"), layer.shapes, strict=True):
            ink.fill(one.rings, PAPER["publicBuilding" if kind in _PUBLIC else "building"], opacity=opacity)
        edges = layer._edges()
        ink.stroke(edges, PAPER["buildingEdge"], layer.pixel_mm, opacity=opacity, closed=True, together=True)

    yield 7, fill


def _road_sections(layer: GroundLayer) -> Iterator[Drawing]:
    pen = 1.4 * layer.pixel_mm

    def edge(ink: Surface) -> None:
        for lines, closed in ((layer._lines(), False), (layer._edges(), True)):
            ink.stroke(lines, PAPER["accent"], pen, dash_mm=(pen, 2.5 * pen), cap="round", closed=closed)

    yield 6.5, edge


def _addresses(_layer: GroundLayer) -> Iterator[Drawing]:
    yield from ()  # addresses are written, not drawn


def _other(layer: GroundLayer) -> Iterator[Drawing]:
    accent, pixel = PAPER["accent"], layer.pixel_mm
    width = _between(layer.zoom, (12, 0.35), (14, 0.6), (16, 1.4), (18, 2.5), (20, 4.0)) * pixel

    def surface(ink: Surface) -> None:
        for one in layer.shapes:
            ink.fill(one.rings, accent, opacity=0.16)
        ink.stroke(layer._edges(), accent, pixel, closed=True)

    def point(ink: Surface) -> None:
        spots = [np.vstack([spot, spot + 0.01]) for one in layer.shapes for spot in one.points]
        ink.stroke(spots, "#ffffff", 11 * pixel, cap="round")
        ink.stroke(spots, accent, 8 * pixel, cap="round")

    yield 8, surface
    yield 14, lambda ink: ink.stroke(layer._lines(), accent, width)
    yield 15, point


_DRAWINGS: Final[Mapping[str, Callable[[GroundLayer], Iterator[Drawing]]]] = {
    "landuse": _landuse,
    "stream": _stream,
    "parcels": _parcels,
    "streets": _streets,
    "buildings": _buildings,
    "road-sections": _road_sections,
    "addresses": _addresses,
}
