"""Labels of a sheet: each where it is read best, none over another, none where too many stand.

Every wish has some places where its label could be. The places of all wishes are tried against each other at
once; then the wishes are gone through by priority, each takes the best place that is still free, and a label
without a free place is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from geoinfra.presentation.plan_sheets import Frame

__all__ = ["Placed", "Wish", "crowd", "place"]

type Path = NDArray[np.float64]
type _Spot = tuple[float, ...]
"""Start of the base line, its direction in radians; where there is a leader also its two ends."""

_CELL_MM: Final = 25.0
_MOST_IN_CELL: Final = 8
_PLACES_ON_LINE: Final = np.array([0.5, 0.38, 0.62, 0.25, 0.75, 0.12, 0.88, 0.04, 0.96])
_STRAIGHT: Final = 0.985
_PAD_MM: Final = 0.25
_GAP: Final = 0.32  # between line and text, of the text's size
_ASCENT, _DESCENT = 0.72, 0.22  # of the size, above and below the base line
_MOST_LED: Final = 80
_LED_AWAY_MM: Final = (6.0, 10.0, 15.0, 21.0)
_MOST_COVERED_APART: Final = 0.3
_MOST_COVERED: Final = (
    2.6  # length of lines under a label, in heights of the label: one crossing is about one
)


@dataclass(frozen=True, slots=True)
class Wish:
    """A label that is wanted.

    Attributes
    ----------
    path
        What it names, millimetres on the page: a line, or one vertex for a point.
    width_mm
        Of the text as it will be written.
    priority
        A greater one is placed first.
    away_mm
        Distance from the path at least; for a line with ``on_line`` none is kept.
    on_line
        Written over its line, as a street's name is, and not beside it.
    spacing_mm
        Another label with the same `same` is not nearer than this.
    leads
        May stand apart, with a thin line that leads to its own, where there is no room beside it.
    """

    text: str
    size_mm: float
    width_mm: float
    path: Path
    priority: float
    colour: str
    bold: bool = False
    opacity: float = 1.0
    away_mm: float = 0.0
    on_line: bool = False
    spacing_mm: float = 0.0
    same: str = ""
    leads: bool = False


@dataclass(frozen=True, slots=True)
class Placed:
    """A label with its place: start of the base line, direction, corners of its box.

    Attributes
    ----------
    leader
        Ends of the line that leads to what it names, ``None`` where it stands beside it.
    """

    wish: Wish
    x: float
    y: float
    turn_deg: float
    corners: NDArray[np.float64]
    leader: NDArray[np.float64] | None = None


def place(
    wishes: Iterable[Wish],
    frame: Frame,
    *,
    lines: Sequence[Path] = (),
    taken: Sequence[shapely.Geometry] = (),
) -> list[Placed]:
    """Return the labels that find a place.

    Parameters
    ----------
    frame
        All labels lie inside of it.
    lines
        Lines of the drawing; a label crosses few of them, none where it can.
    taken
        What no label may touch.
    """
    ordered = sorted(wishes, key=lambda wish: (-wish.priority, wish.text, *wish.path[0].tolist()))
    few = crowd()
    chosen = [wish for wish in ordered if few(wish.path)]
    room = _Room(frame, lines, list(taken))
    beside = _placed(chosen, _Places.of(chosen, _beside_places), room, _MOST_COVERED)
    stand = {id(one.wish) for one in beside}
    apart = [wish for wish in chosen if wish.leads and id(wish) not in stand][:_MOST_LED]
    room.taken += [shapely.Polygon(one.corners) for one in beside]
    return beside + _placed(apart, _Places.of(apart, _led_places), room, _MOST_COVERED_APART, beside)


@dataclass(slots=True)
class _Room:
    """Where labels can be: a frame, what they should not cover, what they must not touch."""

    frame: Frame
    lines: Sequence[Path]
    taken: list[shapely.Geometry]


def _placed(
    wishes: Sequence[Wish], places: _Places, room: _Room, most_covered: float, beside: Sequence[Placed] = ()
) -> list[Placed]:
    """Return the labels that find a place among `places`; those of `beside` stand already."""
    if not len(places.wish):
        return []
    boxes = np.asarray(shapely.polygons(places.corners), dtype=object)
    whole = boxes if places.leader is None else _with_leaders(boxes, places.leader)
    usable = _inside(places.corners, room.frame)
    if room.taken:
        usable[np.unique(shapely.STRtree(room.taken).query(boxes, predicate="intersects")[0])] = False
    if beside and places.leader is not None:
        texts = shapely.STRtree([shapely.Polygon(one.corners) for one in beside])
        usable[np.unique(texts.query(whole, predicate="intersects")[0])] = False
    rows = np.flatnonzero(usable)
    covered = np.zeros(len(boxes))
    covered[rows] = _covered(boxes[rows], places.corners[rows], room.lines)
    usable &= covered <= most_covered
    return _greedy(wishes, places, whole, usable, covered + places.rank * 0.05, beside)


def _with_leaders(boxes: NDArray[np.object_], leaders: NDArray[np.float64]) -> NDArray[np.object_]:
    lines = np.asarray(shapely.linestrings(leaders), dtype=object)
    both = np.stack([boxes, lines], axis=1).ravel()
    index = np.repeat(np.arange(len(boxes)), 2)
    return np.asarray(shapely.geometrycollections(both, indices=index), dtype=object)


def crowd(most: int = _MOST_IN_CELL) -> Callable[[Path], bool]:
    """Return a test that lets through a few labels of each cell of the sheet: more could not be read."""
    count: dict[tuple[int, int], int] = defaultdict(int)

    def few(path: Path) -> bool:
        x, y = path[len(path) // 2].tolist()
        cell = int(x // _CELL_MM), int(y // _CELL_MM)
        count[cell] += 1
        return count[cell] <= most

    return few


def _covered(
    boxes: NDArray[np.object_], corners: NDArray[np.float64], lines: Sequence[Path]
) -> NDArray[np.float64]:
    """Return how much of the drawing each box would cover: length of lines, in heights of the box."""
    if not len(lines) or not len(boxes):
        return np.zeros(len(boxes))
    xy = np.concatenate(lines)
    ends = np.cumsum([len(line) for line in lines]) - 1
    inner = np.ones(len(xy) - 1, dtype=bool)
    inner[ends[:-1]] = False
    first, last = xy[:-1][inner], xy[1:][inner]
    segments = np.asarray(shapely.linestrings(np.stack([first, last], axis=1)), dtype=object)
    box, segment = shapely.STRtree(segments).query(boxes)
    along, up = corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0]
    heights = np.hypot(up[:, 0], up[:, 1])
    start, move = first[segment] - corners[box, 0], last[segment] - first[segment]
    enters, leaves = np.zeros(len(box)), np.ones(len(box))
    for side in (along[box], up[box]):  # clipped where the box lies between 0 and 1 on both its sides
        scale = (side**2).sum(axis=1)
        at, by = (start * side).sum(axis=1) / scale, (move * side).sum(axis=1) / scale
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = np.sort(np.stack([-at / by, (1 - at) / by]), axis=0)
        flat = by == 0
        enters = np.maximum(enters, np.where(flat, np.where((at >= 0) & (at <= 1), 0.0, 2.0), low))
        leaves = np.minimum(leaves, np.where(flat, 1.0, high))
    length = np.maximum(leaves - enters, 0.0) * np.hypot(move[:, 0], move[:, 1])
    covered: NDArray[np.float64] = np.bincount(box, length, minlength=len(boxes)) / heights
    return covered


def _greedy(
    wishes: Sequence[Wish],
    places: _Places,
    boxes: NDArray[np.object_],
    usable: NDArray[np.bool_],
    cost: NDArray[np.float64],
    beside: Sequence[Placed],
) -> list[Placed]:
    rows = np.flatnonzero(usable)
    left, right = shapely.STRtree(boxes[rows]).query(boxes[rows], predicate="intersects")
    order = np.argsort(left, kind="stable")
    starts = np.searchsorted(left[order], np.arange(len(rows) + 1))
    against = right[order]
    free = np.ones(len(rows), dtype=bool)
    of_wish: dict[int, list[int]] = defaultdict(list)
    for position, row in enumerate(rows.tolist()):
        of_wish[int(places.wish[row])].append(position)
    middles = places.corners.mean(axis=1)
    stand: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for one in beside:
        stand[one.wish.same].append(one.corners.mean(axis=0))
    placed = []
    for number, positions in sorted(of_wish.items()):
        wish = wishes[number]
        for position in sorted(positions, key=lambda p: float(cost[rows[p]])):
            row = int(rows[position])
            if free[position] and not _too_near(wish, middles[row], stand):
                free[against[starts[position] : starts[position + 1]]] = False
                stand[wish.same].append(middles[row])
                start = places.start[row].tolist()
                leader = None if places.leader is None else places.leader[row]
                turn = float(places.turn[row])
                placed.append(Placed(wish, start[0], start[1], turn, places.corners[row], leader))
                break
    return placed


def _too_near(wish: Wish, middle: NDArray[np.float64], stand: dict[str, list[NDArray[np.float64]]]) -> bool:
    if not wish.same or not stand[wish.same]:
        return False
    away = np.hypot(*(np.array(stand[wish.same]) - middle).T)
    return bool(away.min() < wish.spacing_mm)


def _inside(corners: NDArray[np.float64], frame: Frame) -> NDArray[np.bool_]:
    x, y = corners[..., 0], corners[..., 1]
    within = (x > frame.left) & (x < frame.right) & (y > frame.bottom) & (y < frame.top)
    inside: NDArray[np.bool_] = within.all(axis=1)
    return inside


@dataclass(slots=True)
class _Places:
    """All places of all wishes, as columns."""

    wish: NDArray[np.int64]
    rank: NDArray[np.float64]
    start: NDArray[np.float64]
    turn: NDArray[np.float64]
    corners: NDArray[np.float64]
    leader: NDArray[np.float64] | None

    @classmethod
    def of(cls, wishes: Sequence[Wish], find: Callable[[Wish], Iterable[_Spot]]) -> _Places:
        wish: list[int] = []
        rank: list[float] = []
        found: list[_Spot] = []
        for number, one in enumerate(wishes):
            places = list(find(one))
            found += places
            wish += [number] * len(places)
            rank += range(len(places))
        spots = np.array([spot[:3] for spot in found]).reshape(-1, 3)
        width = np.array([wishes[number].width_mm for number in wish])
        size = np.array([wishes[number].size_mm for number in wish])
        return cls(
            np.array(wish, dtype=np.int64),
            np.array(rank, dtype=float),
            spots[:, :2],
            np.degrees(spots[:, 2]),
            _corners(spots, width, size),
            np.array([spot[3:] for spot in found]).reshape(-1, 2, 2) if found and len(found[0]) > 3 else None,
        )


def _corners(
    spots: NDArray[np.float64], width: NDArray[np.float64], size: NDArray[np.float64]
) -> NDArray[np.float64]:
    along = np.stack([np.cos(spots[:, 2]), np.sin(spots[:, 2])], axis=1)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    low, high = -_DESCENT * size - _PAD_MM, _ASCENT * size + _PAD_MM
    near, far = np.full(len(width), -_PAD_MM), width + _PAD_MM
    corners = [
        spots[:, :2] + a[:, None] * along + b[:, None] * across
        for a, b in ((near, low), (far, low), (far, high), (near, high))
    ]
    return np.stack(corners, axis=1)


def _beside_places(wish: Wish) -> Iterable[_Spot]:
    return _around(wish) if len(wish.path) == 1 else _along(wish)


def _led_places(wish: Wish) -> Iterable[_Spot]:
    """Yield level places on both sides of a line, some way off, each with the line that leads there."""
    reach = _reach(wish.path)
    if len(wish.path) < 2 or reach[-1] < wish.size_mm:
        return
    at = _interpolator(reach, wish.path)
    middles = np.array([0.5, 0.3, 0.7, 0.1, 0.9]) * reach[-1]
    spots, along = at(middles), at(middles + 0.1) - at(middles - 0.1)
    for away in _LED_AWAY_MM:
        for (x, y), (dx, dy) in zip(spots.tolist(), along.tolist(), strict=True):
            size = np.hypot(dx, dy) or 1.0
            for side in (1.0, -1.0):
                end_x, end_y = x - side * dy / size * away, y + side * dx / size * away
                start = end_x + 0.5 if end_x >= x else end_x - 0.5 - wish.width_mm
                yield start, end_y - 0.25 * wish.size_mm, 0.0, x, y, end_x, end_y


def _reach(path: Path) -> NDArray[np.float64]:
    """Return how far along a path each of its vertices is."""
    steps = np.diff(path, axis=0)
    return np.concatenate([[0.0], np.cumsum(np.hypot(steps[:, 0], steps[:, 1]))])


def _around(wish: Wish) -> Iterable[tuple[float, float, float]]:
    """Yield the places around a point: right, left, above, below, and between these; on it where it may."""
    x, y = wish.path[0].tolist()
    gap = wish.away_mm + _GAP * wish.size_mm
    low = -(_ASCENT - _DESCENT) / 2 * wish.size_mm
    if wish.on_line:
        yield x - wish.width_mm / 2, y + low, 0.0
    right, left, middle = x + gap, x - gap - wish.width_mm, x - wish.width_mm / 2
    above, under = y + gap + _DESCENT * wish.size_mm, y - gap - _ASCENT * wish.size_mm
    for spot_x, spot_y in (
        (right, y + low),
        (left, y + low),
        (middle, above),
        (middle, under),
        (right, above),
        (right, under),
        (left, above),
        (left, under),
    ):
        yield spot_x, spot_y, 0.0


def _along(wish: Wish) -> Iterable[tuple[float, float, float]]:
    """Yield the places beside the straight stretches of a line, to be read from below or from the right."""
    reach = _reach(wish.path)
    length = float(reach[-1])
    if length < wish.width_mm * 0.6:
        return
    half = wish.width_mm / 2
    middles = np.maximum(_PLACES_ON_LINE * length, min(half, length / 2))
    middles = np.unique(np.minimum(middles, max(length - half, length / 2)))
    middles = middles[np.argsort(np.abs(middles - length / 2), kind="stable")]
    at = _interpolator(reach, wish.path)
    first, last = at(np.maximum(middles - half, 0.0)), at(np.minimum(middles + half, length))
    chord = last - first
    span = np.hypot(*chord.T)
    wanted = np.minimum(middles + half, length) - np.maximum(middles - half, 0.0)
    straight = span >= _STRAIGHT * wanted
    sides = (0.0,) if wish.on_line else (1.0, -1.0)
    for side in sides:
        for spot, (dx, dy), ok in zip((first + last) / 2, chord, straight, strict=True):
            if ok:
                yield _beside(wish, spot, np.arctan2(dy, dx), side)


def _beside(wish: Wish, spot: NDArray[np.float64], turn: float, side: float) -> tuple[float, float, float]:
    if not -np.pi / 2 < turn <= np.pi / 2 + 1e-9:
        turn = turn - np.pi if turn > 0 else turn + np.pi
    size = wish.size_mm
    gap = wish.away_mm + _GAP * size
    rise = -(_ASCENT - _DESCENT) / 2 * size if side == 0 else gap if side > 0 else -gap - _ASCENT * size
    along = np.array([np.cos(turn), np.sin(turn)])
    start = spot - along * wish.width_mm / 2 + np.array([-along[1], along[0]]) * rise
    return float(start[0]), float(start[1]), float(turn)


def _interpolator(
    reach: NDArray[np.float64], path: Path
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    def at(distance: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = (np.interp(distance, reach, path[:, axis]) for axis in (0, 1))
        return np.stack([x, y], axis=1)

    return at
