"""Dig areas: several polygons made one, a large one split, and the surroundings of one.

The register takes one polygon of at most 250,000 m2 an enquiry. What is larger is split into parts of equal
area by short straight cuts:

1. The outline is walked as one closed path; a polygon with holes is opened by slits from each hole to its
   neighbour, so that one cut between two points of the path always makes two pieces.
2. From many points of the path, the other end that cuts off the wanted area is computed exactly. The shortest
   cut that stays inside wins: across a trench, between the sides of a block.
3. Both pieces are split on, each into its share of the parts.

The pieces meet in the same vertices. A vertex that a cut puts on a side lies on it to within the precision of
the coordinates, a nanometre: that, times the length of the side, is all that parts can overlap or leave out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, pairwise
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray

from geoinfra.errors import InvalidGeometry, InvalidInput, TooLarge
from geoinfra.utilities.dig_area import MAX_AREA_M2, MAX_POLYGONS, MAX_VERTICES, area_error

__all__ = [
    "MAX_PARTS",
    "MAX_POLYGONS",
    "Gap",
    "gaps_between",
    "joined",
    "merge",
    "same_outline",
    "split",
    "surroundings",
]

MAX_PARTS: Final = 200
"""Parts that an area may be split into (50 km2 at the register's limit)."""
MAX_DISTANCE_M: Final = 1000.0
"""How wide the surroundings of an area may be."""

_BELOW_LIMIT_M2: Final = 0.01
_SAME_PLACE_M: Final = 1e-6
_INSET_M: Final = 1e-3
_STARTS: Final = 400
_LONG_CUT: Final = 1.25
_TRIED: Final = 20_000
_MOST_WORK: Final = 40_000_000  # steps of about 25 ns
_PIECE_STEPS: Final = 40  # of a vertex, to make two pieces of an outline
_FACE_STEPS: Final = 150  # of a vertex, to find the pieces of an area with holes
_HOLE_STEPS: Final = 3
_SLIT_STEPS: Final = 4
_FOUND_STEPS: Final = 25
_LOOK_STEPS: Final = 100
_LOOK_STEPS_OF_VERTEX: Final = 0.9
_PLAIN_VERTICES: Final = 500
_MOST_MEETINGS: Final = 20_000
_MOST_PAIRS: Final = 2_000_000
_OTHER_SHARES: Final = (0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05)

type _Points = NDArray[np.float64]
type _Numbers = NDArray[np.float64]


# ------------------------------------------------------------------------------------------------- merging


@dataclass(frozen=True, slots=True)
class Gap:
    """Where two groups of polygons do not meet.

    Attributes
    ----------
    one, other
        Positions, from 0, of the polygons of either group in what was given.
    distance_m
        Between the nearest points of the groups; 0 when they touch in single points only.
    start, end
        Those points, EPSG:25832 metres.
    """

    one: tuple[int, ...]
    other: tuple[int, ...]
    distance_m: float
    start: tuple[float, float]
    end: tuple[float, float]


def merge(polygons: Sequence[shapely.Polygon]) -> shapely.Polygon:
    """Return the one polygon that several overlapping or adjoining polygons cover.

    Raises
    ------
    InvalidGeometry
        A polygon is broken, or together they make more than one; the message says which pieces are apart
        and how far, ``details`` holds ``pieces`` and ``gaps``.
    """
    _require_polygons(polygons)
    merged = shapely.union_all(list(polygons))
    if isinstance(merged, shapely.Polygon):
        _require_sound(merged, "The merged area", "Det samlede område")
        return shapely.normalize(merged)
    raise _apart(polygons, merged)


def joined(parts: Sequence[shapely.Polygon]) -> shapely.Polygon:
    """Return the area that was split into these parts; where cuts lie a nanometre apart, they are closed.

    Raises
    ------
    InvalidGeometry
        They are not the parts of one area.
    """
    whole = shapely.union_all(list(parts))
    if not isinstance(whole, shapely.Polygon):
        whole = shapely.buffer(whole, _SAME_PLACE_M, join_style="mitre")
    if not isinstance(whole, shapely.Polygon):
        raise area_error("The parts do not make one area.", "Delene udgør ikke ét område.")
    return shapely.normalize(whole)


def same_outline(whole: shapely.Polygon, split_up: shapely.Polygon) -> bool:
    """Whether an area is the one that was split and joined again, which may have more vertices on its sides.

    It is told by vertices, area and length, in a time that no outline can make long.
    """
    if abs(whole.area - split_up.area) > 1e-3 or abs(whole.length - split_up.length) > 1e-3:
        return False
    corners: Any = shapely.points(shapely.get_coordinates(whole))
    vertices: Any = shapely.points(shapely.get_coordinates(split_up))
    tree = shapely.STRtree(vertices)
    found, _ = tree.query(corners, predicate="dwithin", distance=1e-4)
    return len(np.unique(found)) == len(corners)


def gaps_between(polygons: Sequence[shapely.Polygon]) -> tuple[Gap, ...]:
    """Return the smallest gaps that must be closed to make one polygon of several; none when they are one."""
    _require_polygons(polygons)
    return _gaps(polygons, shapely.union_all(list(polygons)))


def _require_polygons(polygons: Sequence[shapely.Polygon]) -> None:
    if not 1 <= len(polygons) <= MAX_POLYGONS:
        raise InvalidInput(
            f"Give 1 to {MAX_POLYGONS} polygons, not {len(polygons)}.",
            details={"message_da": f"Angiv 1 til {MAX_POLYGONS} polygoner, ikke {len(polygons)}."},
        )
    for number, polygon in enumerate(polygons, 1):
        _require_sound(polygon, f"Polygon {number}", f"Polygon {number}")
    _require_few_meetings(polygons)


def _require_few_meetings(polygons: Sequence[shapely.Polygon]) -> None:
    """Refuse polygons whose sides meet so often that joining them would take long."""
    if len(polygons) < 2:
        return
    points, owner = shapely.get_coordinates(shapely.get_rings(list(polygons)), return_index=True)
    of_polygon = shapely.get_rings(list(polygons), return_index=True)[1][owner]
    if len(points) > 2 * MAX_VERTICES:
        raise area_error(
            f"The polygons have more than {2 * MAX_VERTICES} vertices together.",
            f"Polygonerne har tilsammen mere end {2 * MAX_VERTICES} hjørner. Tegn dem enklere.",
        )
    same = owner[:-1] == owner[1:]
    sides: Any = shapely.linestrings(np.stack([points[:-1][same], points[1:][same]], axis=1))
    of_side = of_polygon[:-1][same]
    tree, met = shapely.STRtree(sides), 0
    for low in range(0, len(sides), 64):
        one, other = tree.query(sides[low : low + 64])
        met += int((of_side[one + low] < of_side[other]).sum())
        if met > _MOST_MEETINGS:
            raise area_error(
                "The polygons cross each other too often to be joined.",
                "Polygonerne krydser hinanden for ofte til at blive samlet. Tegn ét enkelt omrids.",
                "Draw what belongs together as one simple outline.",
            )


def _require_sound(polygon: shapely.Polygon, what: str = "The area", danish: str = "Området") -> None:
    if not isinstance(polygon, shapely.Polygon) or polygon.is_empty:
        raise area_error(f"{what} is no polygon.", f"{danish} er ikke en polygon.")
    if not np.isfinite(shapely.get_coordinates(polygon)).all():
        raise area_error(f"{what} holds NaN or an infinite number.", f"{danish} har ugyldige tal (NaN).")
    if shapely.get_num_coordinates(polygon) > MAX_VERTICES:
        raise area_error(
            f"{what} has more than {MAX_VERTICES} vertices.", f"{danish} har mere end {MAX_VERTICES} hjørner."
        )
    if not polygon.is_valid:
        raise area_error(
            f"{what} is not valid: {shapely.is_valid_reason(polygon)}.",
            f"{danish} er ikke gyldig: omridset krydser eller rører sig selv.",
        )


def _groups(polygons: Sequence[shapely.Polygon], merged: shapely.Geometry) -> list[tuple[int, ...]]:
    """Return which polygons lie in each piece of what they merge to."""
    pieces = shapely.get_parts(merged)
    inside = shapely.STRtree(pieces)
    of = [int(inside.nearest(polygon.representative_point())) for polygon in polygons]
    return [tuple(i for i, piece in enumerate(of) if piece == number) for number in range(len(pieces))]


def _gaps(polygons: Sequence[shapely.Polygon], merged: shapely.Geometry) -> tuple[Gap, ...]:
    """Join the pieces by their smallest gaps (a minimum spanning tree, by Prim)."""
    pieces, groups = shapely.get_parts(merged), _groups(polygons, merged)
    near = np.zeros(len(pieces), dtype=np.int64)
    distance = shapely.distance(pieces, pieces[0])
    distance[0] = np.inf
    open_pieces = np.ones(len(pieces), dtype=bool)
    open_pieces[0] = False
    found = []
    while open_pieces.any():
        piece = int(np.argmin(np.where(open_pieces, distance, np.inf)))
        other = int(near[piece])
        ends = shapely.get_coordinates(shapely.shortest_line(pieces[other], pieces[piece])).round(3).tolist()
        start, end = (ends[0][0], ends[0][1]), (ends[-1][0], ends[-1][1])
        found.append(Gap(groups[other], groups[piece], round(float(distance[piece]), 4), start, end))
        open_pieces[piece] = False
        nearer = shapely.distance(pieces, pieces[piece])
        near[nearer < distance] = piece
        distance = np.minimum(distance, nearer)
    return tuple(sorted(found, key=lambda gap: (gap.distance_m, gap.one, gap.other)))


def _apart(polygons: Sequence[shapely.Polygon], merged: shapely.Geometry) -> InvalidGeometry:
    gaps, groups = _gaps(polygons, merged), _groups(polygons, merged)
    first = gaps[0]
    apart = f"are {first.distance_m:,.2f} m apart" if first.distance_m else "touch in a point only"
    which = f"{_numbers(first.one)} and {_numbers(first.other)}"
    return area_error(
        f"The areas make {len(groups)} pieces, not one: {which} {apart},"
        f" at E {first.start[0]:.1f}, N {first.start[1]:.1f}.",
        f"Områderne udgør {len(groups)} stykker, ikke ét. Tegn dem, så de deler en side"
        " eller overlapper, eller opret en forespørgsel for hvert stykke.",
        "Draw them so that they share a side or overlap, or file one enquiry for each piece.",
        pieces=[[i + 1 for i in group] for group in groups],
        gaps=[
            {
                "between": [[i + 1 for i in gap.one], [i + 1 for i in gap.other]],
                "distance_m": gap.distance_m,
                "where": [list(gap.start), list(gap.end)],
            }
            for gap in gaps
        ],
    )


def _numbers(group: tuple[int, ...]) -> str:
    shown = ", ".join(str(i + 1) for i in group[:5]) + (" …" if len(group) > 5 else "")
    return f"polygon {shown}" if len(group) == 1 else f"polygons {shown}"


def surroundings(polygon: shapely.Polygon, distance_m: float) -> shapely.Polygon | shapely.MultiPolygon:
    """Return the area beside a dig area, up to `distance_m` from it, without the dig area itself.

    Of an outline of many vertices the dig area is in it, too, and it reaches up to a fifth farther; of an
    intricate one it lies around the hull.

    Raises
    ------
    InvalidInput
        The distance is not above 0 and at most 1,000 m.
    InvalidGeometry
        The polygon is broken.
    """
    if not (math.isfinite(distance_m) and 0 < distance_m <= MAX_DISTANCE_M):
        raise InvalidInput(
            f"The distance must be above 0 and at most {MAX_DISTANCE_M:,.0f} m.",
            details={"message_da": f"Afstanden skal være over 0 og højst {MAX_DISTANCE_M:.0f} m."},
        )
    _require_sound(polygon)
    if shapely.get_num_coordinates(polygon) > _PLAIN_VERTICES:
        beside = _around_many(polygon, distance_m)
    else:
        beside = shapely.difference(shapely.buffer(polygon, distance_m, quad_segs=16), polygon)
    if not isinstance(beside, shapely.Polygon | shapely.MultiPolygon):
        raise area_error("The surroundings of the area are no polygon.", "Omgivelserne er ikke en polygon.")
    return beside


def _around_many(polygon: shapely.Polygon, distance_m: float) -> shapely.Geometry:
    """Return what lies up to a distance around an outline of many vertices, or more; with the area itself."""
    off_m = distance_m / 10
    simple: shapely.Geometry = shapely.simplify(polygon, off_m)
    if shapely.get_num_coordinates(simple) > _PLAIN_VERTICES or not shapely.is_valid(simple):
        simple = shapely.convex_hull(polygon)
    return shapely.buffer(simple, distance_m + off_m, quad_segs=16)


# ----------------------------------------------------------------------------------------------- splitting


def split(polygon: shapely.Polygon, limit_m2: float = MAX_AREA_M2) -> tuple[shapely.Polygon, ...]:
    """Return the parts of an area, each below the limit; an area below it comes back whole.

    There are as few parts as the limit allows, of equal area, unless short straight cuts do not give that
    (three arms on a small middle, in two halves); then there are some more. The same polygon always gives
    the same parts.

    Raises
    ------
    InvalidGeometry
        The polygon is broken, or cannot be split.
    TooLarge
        More than 200 parts would be needed.
    """
    if not (math.isfinite(limit_m2) and limit_m2 >= 1.0):
        raise InvalidInput(
            "The limit must be at least 1 m2.", details={"message_da": "Grænsen skal være mindst 1 m2."}
        )
    _require_sound(polygon)
    if polygon.area <= limit_m2:
        return (polygon,)
    allowed = limit_m2 - _BELOW_LIMIT_M2
    if polygon.area > MAX_PARTS * allowed:
        raise TooLarge(
            f"The area is {polygon.area:,.0f} m2; at most {MAX_PARTS} parts of {limit_m2:,.0f} m2 are made.",
            hint="Draw the area closer to what will be dug.",
            details={"message_da": "Graveområdet er for stort til at blive delt. Tegn det tættere."},
        )
    parts = tuple(_divided(shapely.normalize(shapely.force_2d(polygon)), allowed, _Work()))
    _require_cover(polygon, parts, limit_m2)
    return parts


class _Work:
    """Counts what a splitting costs, so that no outline can hold a processor for long."""

    def __init__(self) -> None:
        self._left: float = _MOST_WORK

    def spend(self, steps: float) -> None:
        """Take steps off what is left, or refuse to go on."""
        self._left -= steps
        if self._left < 0:
            raise area_error(
                "The outline is too intricate to be split.",
                "Omridset er for indviklet til at blive delt. Tegn det enklere.",
                "Simplify it to what the dig needs.",
            )


def _divided(polygon: shapely.Polygon, allowed_m2: float, work: _Work) -> Iterator[shapely.Polygon]:
    if polygon.area <= allowed_m2:
        yield polygon
        return
    for part in _halves(polygon, allowed_m2, work):
        yield from _divided(part, allowed_m2, work)


type _Pair = tuple[shapely.Polygon, shapely.Polygon]


def _halves(polygon: shapely.Polygon, allowed_m2: float, work: _Work) -> _Pair:
    """Cut a polygon in two: near the middle, at a whole number of parts, where the cut is short.

    A cut longer than the polygon is wide (lengthwise through a trench that has arms) gives way to pieces
    of unequal size that make as many parts, when their cut is half as long, and to one more part when that
    makes it a quarter.
    """
    work.spend(_SLIT_STEPS * len(polygon.interiors) * int(shapely.get_num_coordinates(polygon)))
    path = _Path.around(polygon)
    long_m = _LONG_CUT * math.sqrt(shapely.Polygon(polygon.exterior).area)
    best: _Pair | None = None
    for shares, worth in _shares(polygon.area, allowed_m2):
        found = _shortest(polygon, path, shares, work)
        if found and (best is None or _cut_length(polygon, found) < worth * _cut_length(polygon, best)):
            best = found
        if best and _cut_length(polygon, best) <= long_m:
            break
    if best is None:
        raise area_error(
            "The area cannot be split by straight cuts.",
            "Området kan ikke deles med lige snit. Tegn det enklere, eller del det selv.",
            "Simplify the outline, or split it by hand.",
        )
    one, other = best
    return (one, other) if _place(one) <= _place(other) else (other, one)


def _shares(area_m2: float, allowed_m2: float) -> Iterator[tuple[list[float], float]]:
    """Give shares of the area to try, and how short a cut must be against what was found before."""
    count = math.ceil(area_m2 / allowed_m2)
    wholes = range(count // 2, 0, -1)
    yield [wholes[0] / count], 1.0
    least = [(max(0.02, 1 - (count - n) * allowed_m2 / area_m2), n * allowed_m2 / area_m2) for n in wholes]
    yield [low + step * (high - low) / 4 for low, high in least[:4] for step in range(5)], 0.5
    yield [n / (count + 1) for n in range((count + 1) // 2, 0, -1)][:8], 0.25
    yield list(_OTHER_SHARES), 0.25


def _shortest(polygon: shapely.Polygon, path: _Path, shares: Sequence[float], work: _Work) -> _Pair | None:
    wanted = 1 if len(shares) > 1 or not polygon.interiors else 12 if len(polygon.interiors) <= 30 else 4
    found = [pair for share in shares for pair in _cuts(polygon, path, share, wanted, work)]
    return min(found, key=lambda pair: round(_cut_length(polygon, pair), 3), default=None)


def _cut_length(polygon: shapely.Polygon, pair: _Pair) -> float:
    return (pair[0].length + pair[1].length - polygon.length) / 2


def _place(polygon: shapely.Polygon) -> tuple[float, float]:
    centre = polygon.centroid
    return round(centre.x, 3), round(centre.y, 3)


def _cuts(polygon: shapely.Polygon, path: _Path, share: float, wanted: int, work: _Work) -> Iterator[_Pair]:
    """Give pairs of pieces of which one has `share` of the area."""
    if not polygon.interiors:
        for cut in path.cuts(polygon, share, wanted, work):
            work.spend(_PIECE_STEPS * len(path.points))
            one, other = path.pieces(cut)
            if one.is_valid and other.is_valid:
                yield one, other
        return
    nets = (path.linework(cut) for cut in path.cuts(polygon, share, wanted, work))
    for lines in chain(nets, _lines_across(polygon, share)):
        work.spend(_FACE_STEPS * len(path.points) + _HOLE_STEPS * len(polygon.interiors) ** 2)
        pieces = _faces(polygon, lines)
        if len(pieces) == 2:
            yield pieces[0], pieces[1]


def _faces(polygon: shapely.Polygon, lines: shapely.Geometry) -> list[shapely.Polygon]:
    """Return the faces of noded lines that lie in a polygon."""
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(lines)))
    inside = shapely.contains(polygon, shapely.point_on_surface(faces))
    return [face for face in faces[inside] if face.is_valid]


def _long_axis(polygon: shapely.Polygon) -> _Points:
    """Return the unit vector along the long side of the minimum rotated rectangle."""
    corners = shapely.get_coordinates(shapely.minimum_rotated_rectangle(polygon))
    sides = np.diff(corners[:3], axis=0)
    longest = sides[int(np.argmax(np.hypot(*sides.T).round(6)))]
    unit: _Points = longest / np.hypot(*longest)
    return unit if tuple(unit.round(9)) > (0.0, 0.0) else -unit


def _lines_across(polygon: shapely.Polygon, share: float) -> Iterator[shapely.Geometry]:
    """Give the outline noded with a straight line across the long axis, and with one along it."""
    axis = _long_axis(polygon)
    for along in (axis, np.array([-axis[1], axis[0]])):
        for part in dict.fromkeys((share, 1 - share)):
            line = _line_at(polygon, along, part)
            yield shapely.union_all([polygon.boundary, line])


def _line_at(polygon: shapely.Polygon, along: _Points, share: float) -> shapely.LineString:
    """Return the line square to `along` that leaves `share` of the area before it."""
    across = np.array([-along[1], along[0]])
    centre = shapely.get_coordinates(polygon.centroid)[0]
    points, ring = shapely.get_coordinates(
        shapely.get_rings(shapely.orient_polygons(polygon, exterior_cw=False)), return_index=True
    )
    same = ring[:-1] == ring[1:]
    place, aside = (points - centre) @ along, (points - centre) @ across
    from_m, to_m, rise = place[:-1][same], place[1:][same], np.diff(aside)[same]
    low, high = float(place.min()), float(place.max())
    for _ in range(60):
        middle = (low + high) / 2
        if _area_before(from_m - middle, to_m - middle, rise) < share * polygon.area:
            low = middle
        else:
            high = middle
    reach = float(np.hypot(place, aside).max()) + 1.0
    at = centre + (low + high) / 2 * along
    return shapely.LineString([at - reach * across, at + reach * across])


def _area_before(begins: _Numbers, ends: _Numbers, rise: _Numbers) -> float:
    """Return the area before a line, of sides given by their distances beyond it (Green's theorem)."""
    before, after = np.minimum(begins, ends), np.maximum(begins, ends)
    whole = (begins + ends) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        partly = -(before**2) / (2 * (after - before))
    mean = np.where(after <= 0, whole, np.where(before >= 0, 0.0, partly))
    return float(mean @ rise)


@dataclass(frozen=True, slots=True)
class _Cut:
    """A straight cut between two points of a path, each on the side of the path with that number."""

    start: tuple[float, float]
    start_side: int
    end: tuple[float, float]
    end_side: int

    @property
    def line(self) -> shapely.LineString:
        return shapely.LineString([self.start, self.end])


@dataclass(frozen=True, slots=True)
class _Path:
    """The outline of a polygon as one closed walk with the inside to the left.

    Attributes
    ----------
    points
        (n, 2) vertices; side *i* goes from vertex *i* to the next. A slit is walked forth and back.
    is_slit
        Whether a side is a slit.
    """

    points: _Points
    is_slit: NDArray[np.bool_]

    @classmethod
    def around(cls, polygon: shapely.Polygon) -> _Path:
        """Walk around a polygon and, through slits, around its holes."""
        oriented = shapely.orient_polygons(polygon, exterior_cw=False)
        rings = [shapely.get_coordinates(ring)[:-1] for ring in (oriented.exterior, *oriented.interiors)]
        if len(rings) == 1:
            return cls(rings[0], np.zeros(len(rings[0]), dtype=bool))
        return cls(*_opened(rings, _long_axis(polygon)))

    @property
    def slits(self) -> shapely.MultiLineString:
        """The slits as lines."""
        ends = np.stack([self.points, np.roll(self.points, -1, axis=0)], axis=1)[self.is_slit]
        return shapely.MultiLineString([pair for pair in ends.tolist() if pair[0] != pair[1]])

    def linework(self, cut: _Cut) -> shapely.Geometry:
        """Return sides, slits and a cut as noded lines, each once."""
        extra = {cut.start_side: cut.start}
        extra[cut.end_side] = cut.end
        lines, seen = [], set()
        vertices = [(x, y) for x, y in self.points.tolist()]
        for side, vertex in enumerate(vertices):
            following = vertices[(side + 1) % len(vertices)]
            stops = [vertex, extra[side], following] if side in extra else [vertex, following]
            for pair in pairwise(stops):
                key = frozenset(pair)
                if len(key) == 2 and key not in seen:
                    seen.add(key)
                    lines.append(pair)
        lines.append((cut.start, cut.end))
        return shapely.MultiLineString(lines)

    def pieces(self, cut: _Cut) -> _Pair:
        """Return the two pieces that a cut makes of an outline without slits."""
        (first, low), (last, high) = sorted(
            ((cut.start, cut.start_side), (cut.end, cut.end_side)), key=lambda end: end[1]
        )
        inner = [first, *map(tuple, self.points[low + 1 : high + 1].tolist()), last]
        outer = [last, *map(tuple, self.points[high + 1 :].tolist())]
        outer += [*map(tuple, self.points[: low + 1].tolist()), first]
        one, other = (shapely.Polygon([end for end, _ in groupby(ring)]) for ring in (inner, outer))
        return one, other

    def cuts(self, polygon: shapely.Polygon, share: float, wanted: int, work: _Work) -> Iterator[_Cut]:
        """Give the shortest cuts inside the polygon that cut off `share` of its area, at most `wanted`."""
        starts, sides = self._starts()
        work.spend(len(starts) * len(self.points))
        found = self._ends(starts, sides, share * polygon.area, work)
        order = np.lexsort((found.side, found.start, found.length.round(6)))[:_TRIED]
        slits = self.slits
        shapely.prepare(slits)
        shapely.prepare(polygon)
        given = 0
        for low in range(0, len(order), 256):
            rows = order[low : low + 256]
            middle = (starts[found.start[rows]] + found.end[rows]) / 2
            rows = rows[shapely.contains_xy(polygon, *middle.T)]  # quick, and refuses most that lie outside
            work.spend(_LOOK_STEPS * len(middle) + _LOOK_STEPS_OF_VERTEX * len(rows) * len(self.points))
            inner = _inset(starts[found.start[rows]], found.end[rows])
            for row in rows[_inside(polygon, slits, inner)]:
                start = starts[found.start[row]]
                yield self._snapped(start, int(sides[found.start[row]]), found.end[row], int(found.side[row]))
                given += 1
                if given == wanted:
                    return

    def _starts(self) -> tuple[_Points, NDArray[np.int64]]:
        """Return points of the path from which cuts are tried, and the side that each lies on."""
        steps = np.roll(self.points, -1, axis=0) - self.points
        lengths = np.hypot(*steps.T)
        spacing = lengths.sum() / _STARTS
        counts = np.where(self.is_slit, 1, np.maximum(1, np.ceil(lengths / spacing))).astype(np.int64)
        sides = np.repeat(np.arange(len(self.points)), counts)
        within = np.arange(len(sides)) - np.repeat(np.cumsum(counts) - counts, counts)
        starts = self.points[sides] + (within / counts[sides])[:, None] * steps[sides]
        most = min(2 * _STARTS, max(100, _MOST_PAIRS // len(self.points)))
        thinned = slice(None, None, max(1, len(sides) // most))
        return starts[thinned], sides[thinned]

    def _ends(self, starts: _Points, sides: NDArray[np.int64], area_m2: float, work: _Work) -> _Ends:
        """Return, for each start, where a straight cut must end to have `area_m2` on one side of it.

        The area between a start and vertex *j* is a sum over the sides between them (Gauss's formula); on a
        side it is linear, so that the place of the end on it is exact.
        """
        origin = self.points.mean(axis=0)
        points, starts = self.points - origin, starts - origin
        following = np.roll(points, -1, axis=0)
        doubled = points[:, 0] * following[:, 1] - points[:, 1] * following[:, 0]
        before = np.concatenate([[0.0], np.cumsum(doubled)])
        closed = np.vstack([points, points[:1]])
        rows: list[tuple[NDArray[np.int64], NDArray[np.int64], _Points]] = []
        for low in range(0, len(starts), 128):
            some = starts[low : low + 128]
            # twice the signed area of the fan that a start sees from vertex 0 to each vertex
            fan = before[None, :] + np.outer(some[:, 1], closed[:, 0] - closed[0, 0])
            fan -= np.outer(some[:, 0], closed[:, 1] - closed[0, 1])
            own = fan[np.arange(len(some)), sides[low : low + len(some)]]
            for target in (own + 2 * area_m2, own + 2 * area_m2 - before[-1]):
                ahead = fan - target[:, None]
                start, side = np.nonzero((ahead[:, :-1] < 0) != (ahead[:, 1:] < 0))
                work.spend(_FOUND_STEPS * len(start))
                a, b = ahead[start, side], ahead[start, side + 1]
                ends = closed[side] + (a / (a - b))[:, None] * (closed[side + 1] - closed[side])
                rows.append((start + low, side, ends))
        start, side, ends = (np.concatenate(column) for column in zip(*rows, strict=True))
        kept = ~self.is_slit[side]
        length = np.hypot(*(ends[kept] - starts[start[kept]]).T)
        if len(length) > 4 * _TRIED:
            short = length <= np.partition(length, _TRIED)[_TRIED]
            kept, length = np.flatnonzero(kept)[short], length[short]
        return _Ends(start[kept], side[kept], ends[kept] + origin, length)

    def _snapped(self, start: _Points, start_side: int, end: _Points, end_side: int) -> _Cut:
        """Return a cut whose ends are vertices of the path where they lie at one."""
        return _Cut(self._vertex_at(start, start_side), start_side, self._vertex_at(end, end_side), end_side)

    def _vertex_at(self, point: _Points, side: int) -> tuple[float, float]:
        for vertex in (self.points[side], self.points[(side + 1) % len(self.points)]):
            if np.hypot(*(vertex - point)) < _SAME_PLACE_M:
                return float(vertex[0]), float(vertex[1])
        return float(point[0]), float(point[1])


@dataclass(frozen=True, slots=True)
class _Ends:
    """Ends of cuts as columns: number of the start, side of the end, place of the end, length."""

    start: NDArray[np.int64]
    side: NDArray[np.int64]
    end: _Points
    length: NDArray[np.float64]


def _inside(polygon: shapely.Polygon, slits: Any, lines: Any) -> NDArray[np.bool_]:
    """Return which lines lie inside a polygon and meet no slit; both are prepared."""
    good: NDArray[np.bool_] = shapely.contains_properly(polygon, lines)
    good[good] = ~shapely.intersects(slits, lines[good])
    return good


def _inset(starts: _Points, ends: _Points) -> Any:
    """Return lines between points that stop short of both by a millimetre, or a quarter of a shorter line."""
    steps = ends - starts
    length = np.maximum(np.hypot(*steps.T), 1e-12)
    share = np.minimum(_INSET_M / length, 0.25)[:, None]
    return shapely.linestrings(np.stack([starts + share * steps, ends - share * steps], axis=1))


def _opened(rings: list[_Points], long_axis: _Points) -> tuple[_Points, NDArray[np.bool_]]:
    """Join holes to the outer ring by slits along the short axis; return the walk and where slits are."""
    back = np.array([-long_axis[1], long_axis[0]])
    holes = sorted(range(1, len(rings)), key=lambda hole: (float((rings[hole] @ back).min()), hole))
    joined: dict[int, list[tuple[int, float, _Points, int, int]]] = {ring: [] for ring in range(len(rings))}
    begins = np.concatenate([*rings])
    ends = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    owner = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    first = np.concatenate([[0], np.cumsum([len(ring) for ring in rings])])
    for hole in holes:
        vertex = int(np.argmin(rings[hole] @ back))
        side, share, place = _seen_from(rings[hole][vertex], back, begins, ends, owner != hole)
        ring = int(owner[side])
        joined[ring].append((side - int(first[ring]), share, place, hole, vertex))
    return _walk(rings, joined)


def _seen_from(
    point: _Points, back: _Points, begins: _Points, ends: _Points, allowed: NDArray[np.bool_]
) -> tuple[int, float, _Points]:
    """Return the side that a ray from `point` against `back` meets first: number, share along it, place."""
    a = back[0] * (begins - point)[:, 1] - back[1] * (begins - point)[:, 0]
    b = back[0] * (ends - point)[:, 1] - back[1] * (ends - point)[:, 0]
    meets = np.flatnonzero(((a <= 0) != (b <= 0)) & allowed)
    share = a[meets] / (a[meets] - b[meets])
    places = begins[meets] + share[:, None] * (ends - begins)[meets]
    away = (point - places) @ back
    ahead = np.flatnonzero(away > -_SAME_PLACE_M)
    if not len(ahead):
        return _touched(point, begins, ends, allowed)
    nearest = ahead[int(np.argmin(away[ahead]))]
    side, place = int(meets[nearest]), places[nearest]
    for end, at in ((0.0, begins[side]), (1.0, ends[side])):
        if np.hypot(*(at - place)) < _SAME_PLACE_M:
            return side, end, at
    return side, float(share[nearest]), place


def _touched(
    point: _Points, begins: _Points, ends: _Points, allowed: NDArray[np.bool_]
) -> tuple[int, float, _Points]:
    """Return the side on which the vertex of a hole lies that touches another ring there."""
    steps = ends - begins
    lengths = np.maximum((steps * steps).sum(axis=1), 1e-30)
    share = np.clip(((point - begins) * steps).sum(axis=1) / lengths, 0.0, 1.0)
    places = begins + share[:, None] * steps
    away = np.where(allowed, np.hypot(*(places - point).T), np.inf)
    side = int(np.argmin(away))
    if away[side] > _SAME_PLACE_M:
        raise area_error("A hole of the area lies outside it.", "Et hul i området ligger uden for det.")
    return side, float(share[side]), point


def _walk(
    rings: list[_Points], joined: dict[int, list[tuple[int, float, _Points, int, int]]]
) -> tuple[_Points, NDArray[np.bool_]]:
    """Walk the outer ring, and from where a slit begins into each hole and back."""
    points: list[Any] = []
    is_slit: list[bool] = []
    todo: list[Iterator[tuple[Any, int | None, int]]] = [_stops(rings[0], joined[0], 0)]
    returns: list[tuple[Any, Any]] = []
    while todo:
        step = next(todo[-1], None)
        if step is None:
            todo.pop()
            if returns:
                vertex, place = returns.pop()
                points += [vertex, place]
                is_slit += [True, False]
            continue
        place, hole, vertex = step
        points.append(place)
        is_slit.append(hole is not None)
        if hole is not None:
            todo.append(_stops(rings[hole], joined[hole], vertex))
            returns.append((rings[hole][vertex], place))
    return np.array(points), np.array(is_slit)


def _stops(
    ring: _Points, joined: list[tuple[int, float, _Points, int, int]], first: int
) -> Iterator[tuple[Any, int | None, int]]:
    """Give the vertices of a ring from `first` on, and the places where slits to holes begin."""
    for step in range(len(ring)):
        side = (first + step) % len(ring)
        yield ring[side], None, 0
        for _, _, place, hole, vertex in sorted((j for j in joined if j[0] == side), key=lambda j: j[1]):
            yield place, hole, vertex


def _require_cover(polygon: shapely.Polygon, parts: Sequence[shapely.Polygon], limit_m2: float) -> None:
    """Raise unless the parts are sound, below the limit and together as large as the whole."""
    areas = [part.area for part in parts]
    sound = all(part.is_valid and part.geom_type == "Polygon" for part in parts)
    if not sound or max(areas) > limit_m2 or abs(sum(areas) - polygon.area) > 1e-9 * polygon.area + 1e-4:
        raise area_error(
            "The area cannot be split.",
            "Området kan ikke deles. Tegn det enklere, eller del det selv.",
            "Simplify the outline, or split it by hand.",
        )
