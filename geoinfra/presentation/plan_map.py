"""Features on the paper: what the resolver says, clipped to a frame, at true scale.

All that lies lower by the style set's order is drawn before what lies higher, over all features.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray

from geoinfra.presentation.plan_ink import Path, Surface, width_mm
from geoinfra.presentation.plan_sheets import Frame
from geoinfra.presentation.resolve import (
    Corridor,
    DrawnLayer,
    Fill,
    Label,
    Marker,
    PointSymbol,
    Stroke,
    Symbol,
    resolve_batch,
)
from geoinfra.presentation.style_set import StyleSet
from geoinfra.presentation.symbols import Outline, load_symbols
from geoinfra.tables import FeatureBatch

__all__ = ["Features", "Shapes", "View", "draw_symbol", "paint"]

_COORDINATE_LIMIT_M: Final = 1e7
_CLIP_MM: Final = 4.0  # beyond the frame: ends of lines and their corridors are not seen
_NEAREST_MM: Final = 0.02  # vertices nearer than this are one on paper
_HATCH_MM: Final = 2.0
_DOT: Final = np.array([0.01, 0.0])
"""A line so short is a dot where its ends are round."""
_CIRCLE: Final = np.stack(
    [np.cos(np.linspace(0, 2 * np.pi, 25)[:-1]), np.sin(np.linspace(0, 2 * np.pi, 25)[:-1])], axis=1
)


@dataclass(frozen=True, slots=True)
class View:
    """A window on the ground at a scale.

    Attributes
    ----------
    frame
        Where it is on the page.
    min_e, min_n
        What lies at the lower left corner of the frame.
    scale
        Denominator.
    """

    frame: Frame
    min_e: float
    min_n: float
    scale: float

    @property
    def mm_per_m(self) -> float:
        """Millimetres on paper of a metre on the ground."""
        return 1000.0 / self.scale

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Ground in the frame."""
        return (
            self.min_e,
            self.min_n,
            self.min_e + self.frame.width / self.mm_per_m,
            self.min_n + self.frame.height / self.mm_per_m,
        )

    def on_page(self, spots: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return places on the ground as millimetres on the page."""
        moved = (spots - np.array([self.min_e, self.min_n])) * self.mm_per_m
        page: NDArray[np.float64] = np.round(moved + np.array([self.frame.left, self.frame.bottom]), 2)
        return page

    def clipped(self, shapes: NDArray[np.object_], beyond_mm: float = _CLIP_MM) -> NDArray[np.object_]:
        """Cut geometries at the edge of the frame and a little beyond."""
        beyond = beyond_mm / self.mm_per_m
        min_e, min_n, max_e, max_n = self.bounds
        cut = shapely.clip_by_rect(shapes, min_e - beyond, min_n - beyond, max_e + beyond, max_n + beyond)
        return np.asarray(cut, dtype=object)


@dataclass(slots=True)
class Shapes:
    """Geometry of one feature on the page: lines, rings of areas, points."""

    lines: list[Path] = field(default_factory=list)
    rings: list[Path] = field(default_factory=list)
    points: list[Path] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether there is nothing."""
        return not (self.lines or self.rings or self.points)


def on_page(shapes: NDArray[np.object_], view: View) -> list[Shapes]:
    """Return geometries in the frame as millimetres on the page, one entry each."""
    found = [Shapes() for _ in shapes]
    parts, of = shapely.get_parts(view.clipped(shapes), return_index=True)
    while (nested := shapely.get_type_id(parts) > shapely.GeometryType.POLYGON).any():
        inner, index = shapely.get_parts(parts[nested], return_index=True)
        of = np.concatenate([of[~nested], of[nested][index]])
        parts = np.concatenate([parts[~nested], inner])
    kinds = shapely.get_type_id(parts)
    solid = kinds == shapely.GeometryType.POLYGON
    rings, ring_of = shapely.get_rings(parts[solid], return_index=True)
    for simple, owners, name in (
        (
            parts[kinds == shapely.GeometryType.LINESTRING],
            of[kinds == shapely.GeometryType.LINESTRING],
            "lines",
        ),
        (rings, of[solid][ring_of], "rings"),
        (parts[kinds == shapely.GeometryType.POINT], of[kinds == shapely.GeometryType.POINT], "points"),
    ):
        least = 1 if name == "points" else 2
        for path, owner in zip(_paths(simple, view), owners.tolist(), strict=True):
            if len(path) >= least:
                getattr(found[owner], name).append(path)
    return found


def _paths(simple: NDArray[np.object_], view: View) -> list[Path]:
    """Return the vertices of each geometry on the page, without those that fall together."""
    xy, index = shapely.get_coordinates(simple, return_index=True)
    page = view.on_page(xy)
    keep = np.ones(len(page), dtype=bool)
    same = index[1:] == index[:-1]
    near = same & (np.abs(np.diff(page, axis=0)).max(axis=1, initial=0.0) < _NEAREST_MM)
    last = np.append(index[1:] != index[:-1], True)
    keep[1:] = ~near | last[1:]
    counts = np.bincount(index[keep], minlength=len(simple))
    return np.split(page[keep], np.cumsum(counts)[:-1]) if len(simple) else []


class Features:
    """The rows of a plan with their symbols at its scale.

    Parameters
    ----------
    batches
        Rows of ``utility-features``.
    """

    def __init__(
        self, batches: Sequence[FeatureBatch], style_set: StyleSet, scale: float, theme: str | None
    ) -> None:
        self.style_set = style_set
        self.batches = batches
        self.symbols: list[Symbol] = []
        places: dict[int, int] = {}
        index: list[NDArray[np.int64]] = []
        half: list[NDArray[np.float64]] = []
        for batch in batches:
            resolved = resolve_batch(style_set, batch, scale, theme)
            own = []
            for symbol in resolved.symbols:
                if id(symbol) not in places:
                    places[id(symbol)] = len(self.symbols)
                    self.symbols.append(symbol)
                own.append(places[id(symbol)])
            index.append(np.array(own, dtype=np.int64)[resolved.index] if own else np.zeros(0, np.int64))
            half.append(resolved.half_width_m)
        self.symbol = np.concatenate(index) if index else np.zeros(0, np.int64)
        self.half_width_m = np.concatenate(half) if half else np.zeros(0)
        self.geometry = _geometries(batches)
        starts = np.cumsum([0, *map(len, batches)])
        self._batch_of = np.searchsorted(starts, np.arange(len(self.geometry)), side="right") - 1
        self._row_of = np.arange(len(self.geometry)) - starts[self._batch_of]
        self._tree = shapely.STRtree(self.geometry)

    def inside(self, bounds: tuple[float, float, float, float]) -> NDArray[np.int64]:
        """Return the rows that touch a rectangle, in order."""
        found: NDArray[np.int64] = np.sort(self._tree.query(shapely.box(*bounds), predicate="intersects"))
        return found

    def value(self, row: int, column: str) -> Any:
        """Return what a row says."""
        return self.batches[self._batch_of[row]].columns[column][self._row_of[row]]

    def place(self, row: int) -> tuple[FeatureBatch, int]:
        """Return the batch of a row and its position there."""
        return self.batches[self._batch_of[row]], int(self._row_of[row])

    def symbol_of(self, row: int) -> Symbol:
        """Return the symbol of a row; its corridor is without the row's own width."""
        return self.symbols[int(self.symbol[row])]


def _geometries(batches: Sequence[FeatureBatch]) -> NDArray[np.object_]:
    """Return the geometry of each row, ``None`` for what is no place."""
    wkb = np.array([one for batch in batches for one in batch.geometry], dtype=object)
    with np.errstate(invalid="ignore"):
        shapes = np.asarray(shapely.from_wkb(wkb), dtype=object)
        bounds = shapely.bounds(shapes)
        wild = ~(np.abs(bounds) < _COORDINATE_LIMIT_M).all(axis=1)
    shapes[wild] = None
    return shapes


# ------------------------------------------------------------------ painting


@dataclass(slots=True)
class _Layer:
    """One kind of ink with all that it draws."""

    layer: DrawnLayer
    half_width_m: float
    shapes: list[Shapes]


def paint(ink: Surface, view: View, drawn: Iterable[tuple[Symbol, float, Shapes]]) -> list[shapely.Geometry]:
    """Draw features with their symbols, lowest order first; labels are not drawn.

    Parameters
    ----------
    drawn
        Symbol, half width of the corridor, geometry on the page.

    Returns
    -------
    list
        Boxes of markers and symbols, on which no label should stand.
    """
    groups: dict[tuple[DrawnLayer, float], _Layer] = {}
    for symbol, half_width_m, shapes in drawn:
        for layer in symbol.layers:
            if isinstance(layer, Label):
                continue
            half = round(half_width_m, 1) if isinstance(layer, Corridor) else 0.0
            key = layer, half
            if key not in groups:
                groups[key] = _Layer(layer, half, [])
            groups[key].shapes.append(shapes)
    taken: list[shapely.Geometry] = []
    for group in sorted(groups.values(), key=lambda one: one.layer.order):
        taken += _draw(ink, view, group)
    return taken


def draw_symbol(
    ink: Surface, view: View, symbol: Symbol, half_width_m: float, shapes: Shapes, clip: Frame
) -> None:
    """Draw one feature, for instance a sample in the legend, inside a frame."""
    with ink.clipped(clip):
        paint(ink, view, [(symbol, half_width_m, shapes)])


def _draw(ink: Surface, view: View, group: _Layer) -> list[shapely.Geometry]:
    layer = group.layer
    lines = [line for shapes in group.shapes for line in shapes.lines]
    rings = [ring for shapes in group.shapes for ring in shapes.rings]
    points = [point[0] for shapes in group.shapes for point in shapes.points]
    match layer:
        case Corridor():
            _draw_corridor(ink, view, layer, group.half_width_m, lines, points)
        case Fill():
            _draw_fill(ink, layer, group.shapes)
        case Stroke():
            stroke = partial(
                ink.stroke,
                colour=layer.colour,
                width_mm=layer.width_mm,
                dash_mm=layer.dash_mm,
                opacity=layer.opacity,
                cap=layer.cap,
            )
            stroke(lines)
            stroke(rings, closed=True)
        case Marker():
            return _draw_markers(ink, layer, lines + [np.vstack([ring, ring[:1]]) for ring in rings])
        case PointSymbol():
            return _draw_points(ink, layer, points)
        case Label():
            pass
    return []


def _draw_corridor(
    ink: Surface,
    view: View,
    layer: Corridor,
    half_width_m: float,
    lines: Sequence[Path],
    points: Sequence[NDArray[np.float64]],
) -> None:
    """Draw the band as one wide stroke: where bands of one kind overlap they do not get darker."""
    half_mm = round(half_width_m * view.mm_per_m, 3)
    spots = [np.stack([point, point + _DOT]) for point in points]
    ink.stroke([*lines, *spots], layer.colour, 2 * half_mm, opacity=layer.opacity, cap="round", together=True)


def _draw_fill(ink: Surface, layer: Fill, shapes: Sequence[Shapes]) -> None:
    for one in shapes:
        if one.rings and not layer.pattern:
            ink.fill(one.rings, layer.colour, opacity=layer.opacity)
        elif one.rings:
            _draw_pattern(ink, layer, one.rings)


def _draw_pattern(ink: Surface, layer: Fill, rings: Sequence[Path]) -> None:
    solids = [shapely.make_valid(shapely.Polygon(ring)) for ring in rings if len(ring) > 3]
    area: shapely.Geometry = shapely.Polygon()
    for solid in solids:  # even-odd: a ring in a ring is a hole
        area = shapely.symmetric_difference(area, solid)
    if shapely.is_empty(area):
        return
    low, high = np.split(shapely.bounds(area), 2)
    if layer.pattern == "dots":
        grid = np.stack(
            np.meshgrid(*(np.arange(a, b, _HATCH_MM) for a, b in zip(low, high, strict=True))), -1
        )
        spots = np.asarray(shapely.points(grid.reshape(-1, 2)), dtype=object)
        inside = shapely.get_coordinates(spots[shapely.contains(area, spots)])
        paths = [np.stack([spot, spot + _DOT]) for spot in inside]
        ink.stroke(paths, layer.colour, 0.4, opacity=layer.opacity, cap="round")
        return
    reach = float(np.sum(high - low))
    for slope in (1.0, -1.0) if layer.pattern == "cross" else (1.0,):
        offsets = np.arange(0.0, reach + _HATCH_MM, _HATCH_MM)
        starts = np.stack([low[0] + offsets, np.full(len(offsets), low[1] if slope < 0 else high[1])], axis=1)
        ends = starts + reach * np.array([-1.0, slope * -1.0])
        cut = shapely.intersection(shapely.linestrings(np.stack([starts, ends], axis=1)), area)
        parts = shapely.get_parts(cut)
        parts = parts[shapely.get_type_id(parts) == shapely.GeometryType.LINESTRING]
        ink.stroke(
            [np.round(shapely.get_coordinates(part), 2) for part in parts if not part.is_empty],
            layer.colour,
            0.15,
            opacity=layer.opacity,
        )


# ------------------------------------------------------------------ markers along lines


def _draw_markers(ink: Surface, layer: Marker, lines: Sequence[Path]) -> list[shapely.Geometry]:
    spots, along = _positions(lines, layer)
    if not len(spots):
        return []
    radius = layer.size_mm / 2
    if layer.marker == "text":
        _draw_letters(ink, layer, spots, along)
    else:
        for figure in _figures(layer.marker):
            paths = list(_turned(figure.vertices * radius, spots, along))
            if figure.filled:
                ink.fill(paths, layer.colour, opacity=layer.opacity, even_odd=False)
            else:
                if figure.hollow:
                    ink.fill(paths, "#ffffff", even_odd=False)
                ink.stroke(paths, layer.colour, _pen_mm(layer), opacity=layer.opacity, closed=figure.closed)
    return _squares(spots, radius)


def _squares(spots: NDArray[np.float64], radius: float) -> list[shapely.Geometry]:
    """Return the boxes around marks."""
    low, high = spots - radius, spots + radius
    boxes: NDArray[np.object_] = np.asarray(
        shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1]), dtype=object
    )
    return list(boxes)


def _pen_mm(layer: Marker) -> float:
    return round(max(0.18, layer.size_mm * 0.13), 3)


def _positions(lines: Sequence[Path], layer: Marker) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where the marks stand and the direction of the line there.

    A line too short for its first mark has one in its middle: no danger goes unmarked.
    """
    if not lines:
        return np.zeros((0, 2)), np.zeros((0, 2))
    xy = np.concatenate(lines)
    counts = np.array([len(line) for line in lines])
    begins = np.cumsum(counts) - counts
    steps = np.diff(xy, axis=0)
    steps[begins[1:] - 1] = 0.0  # from one line to the next is no way
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    reach = np.concatenate([[0.0], np.cumsum(lengths)])
    total = reach[begins + counts - 1] - reach[begins]
    spacing = layer.spacing_mm if layer.spacing_mm > 0 else np.inf
    short = total <= layer.first_mm
    marks = np.where(short, total > 0, np.ceil((total - layer.first_mm) / spacing)).astype(np.int64)
    line = np.repeat(np.arange(len(lines)), marks)
    nth = np.arange(len(line)) - np.repeat(np.cumsum(marks) - marks, marks)
    away = np.where(short[line], total[line] / 2, layer.first_mm + nth * min(spacing, 1e9))
    at = reach[begins[line]] + away
    segment = np.clip(np.searchsorted(reach, at, side="right") - 1, 0, len(steps) - 1)
    unit = steps[segment] / np.where(lengths[segment] > 0, lengths[segment], 1.0)[:, None]
    return xy[segment] + unit * (at - reach[segment])[:, None], unit


def _turned(
    figure: NDArray[np.float64], spots: NDArray[np.float64], along: NDArray[np.float64]
) -> Iterator[Path]:
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    placed = (
        spots[:, None, :] + figure[None, :, :1] * along[:, None, :] + figure[None, :, 1:] * across[:, None, :]
    )
    yield from np.round(placed, 2)


def _draw_letters(
    ink: Surface, layer: Marker, spots: NDArray[np.float64], along: NDArray[np.float64]
) -> None:
    size = layer.size_mm
    clear = [np.array([spot - unit * 0.01, spot]) for spot, unit in zip(spots, along, strict=True)]
    ink.stroke(clear, "#ffffff", round(size * 1.1, 2), cap="round")
    for (x, y), (dx, dy) in zip(spots.tolist(), along.tolist(), strict=True):
        if dx < 0 or (dx == 0 and dy < 0):
            dx, dy = -dx, -dy
        low, half = 0.33 * size, width_mm(layer.text, size, bold=True) / 2
        ink.text(
            x - half * dx + low * dy,
            y - half * dy - low * dx,
            layer.text,
            size,
            bold=True,
            colour=layer.colour,
            turn_deg=float(np.degrees(np.arctan2(dy, dx))),
        )


@dataclass(frozen=True, slots=True)
class _Figure:
    """A mark of radius 1, the line running to the right."""

    vertices: NDArray[np.float64]
    filled: bool = False
    closed: bool = False
    hollow: bool = False


@lru_cache(maxsize=32)
def _figures(marker: str) -> tuple[_Figure, ...]:
    def figure(*spots: tuple[float, float], **how: bool) -> _Figure:
        return _Figure(np.array(spots), **how)

    triangle = ((-0.7, -0.9), (1.0, 0.0), (-0.7, 0.9))
    if marker.startswith("bar-"):
        count = int(marker[4:])
        places = (np.arange(count) - (count - 1) / 2) * 0.45
        return tuple(figure((x, -1.0), (x, 1.0)) for x in places.tolist())
    match marker:
        case "triangle":
            return (figure(*triangle, filled=True),)
        case "triangle-open":
            return (figure(*triangle, closed=True, hollow=True),)
        case "cross":
            return figure((-0.8, -0.8), (0.8, 0.8)), figure((-0.8, 0.8), (0.8, -0.8))
        case "arrow":
            return (figure((-0.6, 0.8), (0.8, 0.0), (-0.6, -0.8)),)
        case "arrow-back":
            return (figure((0.6, 0.8), (-0.8, 0.0), (0.6, -0.8)),)
        case "circle":
            return (_Figure(_CIRCLE, filled=True),)
        case _:
            return (_Figure(_CIRCLE, closed=True, hollow=True),)


# ------------------------------------------------------------------ symbols at points


def _draw_points(
    ink: Surface, layer: PointSymbol, points: Sequence[NDArray[np.float64]]
) -> list[shapely.Geometry]:
    if not points:
        return []

    def draw(on: Surface) -> None:
        draw_outline(on, layer)

    key = layer.symbol, layer.size_mm, layer.colour, layer.opacity
    spots = np.array(points)
    ink.stamp(key, draw, [tuple(spot) for spot in spots.tolist()])
    radius = layer.size_mm / 2
    return _squares(spots, radius)


def draw_outline(ink: Surface, layer: PointSymbol) -> None:
    """Draw a symbol around (0, 0)."""
    if layer.symbol == "circle":
        ink.fill([np.round(_CIRCLE * layer.size_mm / 2, 3)], layer.colour, opacity=layer.opacity)
        return
    for outline in _outlines(layer.symbol, layer.size_mm):
        colour = layer.colour if outline.ink else "#ffffff"
        points = [np.round(outline.points_mm, 3)]
        if outline.filled:
            ink.fill(points, colour, opacity=layer.opacity)
        else:
            ink.stroke(
                points,
                colour,
                round(outline.width_mm, 3),
                opacity=layer.opacity,
                cap="round",
                closed=outline.closed,
            )


@lru_cache(maxsize=1000)
def _outlines(symbol: str, size_mm: float) -> tuple[Outline, ...]:
    """Return the outlines of a symbol; that of the unknown stands for one that is not drawn."""
    symbols = load_symbols()
    return symbols.drawing(symbol if symbol in symbols.drawings else symbols.unknown).outlines(size_mm)
