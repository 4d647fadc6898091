"""Merging, splitting and surrounding dig areas: parts cover the whole, never overlap, and keep the limit."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import affinity

from geoinfra.errors import InvalidGeometry, InvalidInput, TooLarge
from geoinfra.utilities.areas import gaps_between, joined, merge, same_outline, split, surroundings
from geoinfra.utilities.dig_area import MAX_AREA_M2, require_area

E, N = 550_000.0, 6_200_000.0


def box(x: float, y: float, width: float, height: float) -> shapely.Polygon:
    return shapely.box(E + x, N + y, E + x + width, N + y + height)


def curve(length: float = 2200, swing: float = 600) -> shapely.LineString:
    t = np.linspace(0, 1, 300)
    return shapely.LineString(np.column_stack([E + length * t, N + swing * np.sin(2 * math.pi * 0.9 * t)]))


def block() -> shapely.Polygon:
    """A town block of streets around 24 buildings."""
    houses = [box(60 + i * 190, 50 + j * 185, 130, 125) for i in range(6) for j in range(4)]
    return shapely.difference(box(0, 0, 1200, 800), shapely.union_all(houses))


def arms(count: int, length: float = 1000, width: float = 40) -> shapely.Polygon:
    arm = box(0, -width / 2, length, width)
    return shapely.union_all([affinity.rotate(arm, 360 * k / count, origin=(E, N)) for k in range(count)])


def spiral() -> shapely.Polygon:
    t = np.linspace(0.1, 1, 400)
    return shapely.LineString(
        np.column_stack([E + 900 * t * np.cos(20 * t), N + 900 * t * np.sin(20 * t)])
    ).buffer(30)


def assert_covers(
    whole: shapely.Polygon, parts: Sequence[shapely.Polygon], limit: float, *, within_m2: float = 1e-5
) -> None:
    assert all(isinstance(part, shapely.Polygon) and part.is_valid for part in parts)
    assert max(part.area for part in parts) < limit
    assert shapely.symmetric_difference(shapely.union_all(parts), whole).area < within_m2
    overlaps = [shapely.intersection(a, b).area for i, a in enumerate(parts) for b in parts[:i]]
    assert sum(overlaps) < within_m2


RING = shapely.Point(E, N).buffer(600).difference(shapely.Point(E, N).buffer(450))
LOOP = box(0, 0, 1000, 800).difference(box(80, 80, 840, 640))
L_SHAPE = shapely.union(box(0, 0, 2000, 300), box(0, 0, 300, 2000))
SPEARED = shapely.Polygon(  # the outer ring has a spike that touches the corner of a hole
    [
        (E, N),
        (E + 900, N),
        (E + 900, N + 600),
        (E + 500, N + 600),
        (E + 450, N + 300),
        (E + 400, N + 600),
        (E, N + 600),
    ],
    [[(E + 450, N + 300), (E + 600, N + 100), (E + 300, N + 100)]],
)
TOUCHING = shapely.Polygon(
    [(E, N), (E + 1000, N), (E + 1000, N + 900), (E, N + 900)],
    [
        [(E + 500, N), (E + 600, N + 200), (E + 400, N + 200)],  # touches the outer side in a point
        [(E + 300, N + 400), (E + 500, N + 400), (E + 400, N + 600)],
        [(E + 500, N + 400), (E + 700, N + 400), (E + 600, N + 600)],  # touches its neighbour in a point
    ],
)


@pytest.mark.parametrize(
    ("whole", "limit", "most", "balance"),
    [
        pytest.param(curve().buffer(60), MAX_AREA_M2, 2, 0.999, id="curved trench of 3 km"),
        pytest.param(curve().buffer(150), MAX_AREA_M2, 5, 0.999, id="wide curved trench"),
        pytest.param(curve().buffer(10), 5000.0, 14, 0.999, id="thin trench in many parts"),
        pytest.param(L_SHAPE, MAX_AREA_M2, 5, 0.999, id="L"),
        pytest.param(RING, MAX_AREA_M2, 2, 0.999, id="ring"),
        pytest.param(RING, 40_000.0, 13, 0.999, id="ring in many parts"),
        pytest.param(LOOP, 50_000.0, 6, 0.999, id="streets around a block"),
        pytest.param(block(), MAX_AREA_M2, 3, 0.999, id="town block"),
        pytest.param(block(), 40_000.0, 16, 0.8, id="town block in many parts"),
        pytest.param(arms(3), 70_000.0, 3, 0.999, id="three arms"),
        pytest.param(arms(9), 70_000.0, 9, 0.05, id="nine arms"),
        pytest.param(spiral(), 60_000.0, 10, 0.999, id="spiral"),
        pytest.param(TOUCHING, 100_000.0, 9, 0.999, id="holes that touch"),
        pytest.param(SPEARED, 50_000.0, 12, 0.8, id="spike that touches a hole"),
        pytest.param(box(0, 0, 1000, 1000), MAX_AREA_M2, 5, 0.999, id="exactly four times the limit"),
        pytest.param(shapely.Point(E, N).buffer(700, quad_segs=1000), MAX_AREA_M2, 7, 0.999, id="disk"),
    ],
)
def test_parts_cover_the_area_below_the_limit_and_are_few_and_equal(
    whole: shapely.Polygon, limit: float, most: int, balance: float
) -> None:
    parts = split(whole, limit)
    assert_covers(whole, parts, limit)
    assert math.ceil(whole.area / limit) <= len(parts) <= most
    areas = [part.area for part in parts]
    assert min(areas) / max(areas) >= balance


def test_a_curved_trench_of_3_km_is_cut_straight_across() -> None:
    line = curve()
    assert line.length > 3000
    trench = line.buffer(60)
    parts = split(trench, 30_000)
    cut_m = (sum(part.length for part in parts) - trench.length) / 2
    assert cut_m <= 1.02 * 120 * (len(parts) - 1)
    middles = [line.project(part.centroid) for part in parts]
    assert middles == sorted(middles) or middles == sorted(middles, reverse=True)


def test_a_ring_is_cut_across_at_opposite_sides() -> None:
    parts = split(RING)
    assert [len(part.interiors) for part in parts] == [0, 0]
    assert (sum(part.length for part in parts) - RING.length) / 2 == pytest.approx(300, abs=3)


def test_a_rectangle_is_cut_across_its_long_side() -> None:
    parts = split(affinity.rotate(box(0, 0, 3000, 100), 33, origin=(E, N)), 155_000)
    assert len(parts) == 2
    assert all(part.length == pytest.approx(3200, abs=0.01) for part in parts)


def test_a_square_makes_compact_parts() -> None:
    parts = split(box(0, 0, 999, 999))
    assert len(parts) == 4
    roundness = [4 * math.pi * part.area / part.length**2 for part in parts]
    assert min(roundness) > 0.6  # a square has 0.785


def test_arms_are_not_split_lengthwise() -> None:
    whole = arms(3)
    parts = split(whole, 70_000)
    assert (sum(part.length for part in parts) - whole.length) / 2 < 100


def test_what_is_below_the_limit_stays_whole() -> None:
    whole = box(0, 0, 500, 500)
    assert split(whole) == (whole,)


def test_every_part_can_be_filed() -> None:
    for part in split(curve().buffer(150)):
        require_area(part)


def test_the_same_area_gives_the_same_parts_however_it_is_written() -> None:
    whole = curve().buffer(150)
    points = shapely.get_coordinates(whole)[:-1]
    turned = shapely.Polygon(np.roll(points, 77, axis=0)[::-1])
    first, again, other = split(whole), split(whole), split(turned)
    assert [part.wkb for part in first] == [part.wkb for part in again]
    assert [part.wkb for part in first] == [part.wkb for part in other]


RADII = st.lists(st.integers(100, 900), min_size=5, max_size=40)


@settings(max_examples=25, deadline=None)
@given(RADII, st.integers(2, 12))
def test_any_star_is_covered(radii: list[int], parts: int) -> None:
    angles = np.linspace(0, 2 * math.pi, len(radii), endpoint=False)
    whole = shapely.Polygon(np.column_stack([E + radii * np.cos(angles), N + radii * np.sin(angles)]))
    limit = whole.area / parts + 1.0
    found = split(whole, limit)
    assert_covers(whole, found, limit)
    assert len(found) <= 2 * parts


BOXES = st.lists(
    st.tuples(st.integers(0, 80), st.integers(0, 80), st.integers(5, 40), st.integers(5, 40)),
    min_size=2,
    max_size=14,
)


@settings(max_examples=25, deadline=None)
@given(BOXES, BOXES, st.integers(2, 9), st.integers(0, 90))
def test_any_union_of_boxes_with_holes_is_covered(
    solid: list[tuple[int, int, int, int]],
    holes: list[tuple[int, int, int, int]],
    parts: int,
    degrees: int,
) -> None:
    drawn = shapely.union_all([box(10.0 * x, 10.0 * y, 10.0 * w, 10.0 * h) for x, y, w, h in solid])
    left = shapely.difference(
        drawn, shapely.union_all([box(10.0 * x + 3, 10.0 * y + 3, 2.0 * w, 2.0 * h) for x, y, w, h in holes])
    )
    whole = max(shapely.get_parts(left), key=shapely.area)
    whole = affinity.rotate(whole, degrees, origin=(E, N))
    limit = whole.area / parts + 1.0
    found = split(whole, limit)
    assert_covers(whole, found, limit)
    assert len(found) <= 2 * parts


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (shapely.Polygon([(E, N), (E + 10, N + 10), (E + 10, N), (E, N + 10)]), "not valid"),
        (shapely.Polygon(), "no polygon"),
        (shapely.Point(E, N), "no polygon"),
        (shapely.set_coordinates(box(0, 0, 9, 9), np.full((5, 2), np.inf)), "infinite"),
        (shapely.Point(E, N).buffer(1000, quad_segs=2600), "10000 vertices"),
    ],
)
def test_a_broken_area_is_refused(bad: shapely.Polygon, says: str) -> None:
    for use in (split, lambda area: merge([area]), lambda area: surroundings(area, 5.0)):
        with pytest.raises(InvalidGeometry, match=says):
            use(bad)


def test_an_outline_that_would_take_long_is_refused() -> None:
    angles = np.linspace(0, 2 * math.pi, 9990, endpoint=False)
    radii = 3500 * np.where(np.arange(9990) % 2, 1, 0.3)
    spikes = shapely.Polygon(np.column_stack([E + radii * np.cos(angles), N + radii * np.sin(angles)]))
    with pytest.raises(InvalidGeometry, match="too intricate"):
        split(spikes)


def test_more_parts_than_anybody_files_are_refused() -> None:
    with pytest.raises(TooLarge, match="200 parts"):
        split(box(0, 0, 8000, 8000))
    with pytest.raises(InvalidInput, match="at least 1 m2"):
        split(box(0, 0, 100, 100), math.nan)


# ------------------------------------------------------------------------------------------------- merging


def test_overlapping_and_adjoining_polygons_become_one() -> None:
    merged = merge([box(0, 0, 10, 10), box(5, 5, 10, 10), box(15, 5, 10, 10)])
    assert merged.area == pytest.approx(100 + 75 + 100)
    assert isinstance(merged, shapely.Polygon)


def test_pieces_that_are_apart_are_named_with_their_distance() -> None:
    pieces = [box(0, 0, 10, 10), box(13, 0, 10, 10), box(23, 4, 10, 10), box(0, 30, 10, 10)]
    with pytest.raises(
        InvalidGeometry, match=r"3 pieces.*polygon 1 and polygons 2, 3 are 3\.00 m apart"
    ) as caught:
        merge(pieces)
    assert caught.value.details["pieces"] == [[1], [2, 3], [4]]
    assert [gap["distance_m"] for gap in caught.value.details["gaps"]] == [3.0, 20.0]
    assert caught.value.hint


def test_polygons_that_touch_in_a_point_are_not_one() -> None:
    with pytest.raises(InvalidGeometry, match=r"touch in a point only, at E 550010\.0, N 6200010\.0"):
        merge([box(0, 0, 10, 10), box(10, 10, 10, 10)])


def test_the_gaps_are_the_fewest_that_join_all() -> None:
    found = gaps_between([box(20.0 * k, 0, 10 + k, 10) for k in range(6)])
    assert [gap.distance_m for gap in found] == [6.0, 7.0, 8.0, 9.0, 10.0]
    assert (found[-1].one, found[-1].other) == ((0,), (1,))
    assert math.dist(found[0].start, found[0].end) == pytest.approx(6.0)
    assert gaps_between([box(0, 0, 10, 10), box(5, 0, 10, 10)]) == ()


def test_a_gap_of_a_millimetre_is_said_not_closed() -> None:
    with pytest.raises(InvalidGeometry, match="pieces") as caught:
        merge([box(0, 0, 10, 10), box(10.001, 0, 10, 10)])
    assert caught.value.details["gaps"][0]["distance_m"] == pytest.approx(0.001, abs=1e-4)


def test_an_order_of_polygons_does_not_matter() -> None:
    pieces = [box(0, 0, 10, 10), box(8, 0, 10, 10), box(16, 3, 10, 10)]
    assert merge(pieces) == merge(pieces[::-1])


@pytest.mark.parametrize("count", [0, 501])
def test_none_and_too_many_polygons_are_refused(count: int) -> None:
    with pytest.raises(InvalidInput, match="1 to 500"):
        merge([box(0, 0, 1, 1)] * count)


# -------------------------------------------------------------------------------------------- surroundings


def test_the_surroundings_lie_beside_the_area() -> None:
    area = box(0, 0, 100, 50)
    found = surroundings(area, 5.0)
    assert shapely.intersection(found, area).area < 1e-9
    assert found.area == pytest.approx(2 * 150 * 5 + math.pi * 25, rel=1e-3)
    assert shapely.hausdorff_distance(found.exterior, area.exterior) == pytest.approx(5.0, abs=0.01)


def test_the_surroundings_reach_into_holes() -> None:
    area = box(0, 0, 100, 100).difference(box(30, 30, 40, 40))
    found = surroundings(area, 5.0)
    inner = 40 * 40 - 30 * 30
    assert found.area == pytest.approx(4 * 100 * 5 + math.pi * 25 + inner, rel=1e-3)


@pytest.mark.parametrize("distance", [0.0, -1.0, math.nan, math.inf, 1000.1])
def test_a_distance_must_be_sensible(distance: float) -> None:
    with pytest.raises(InvalidInput, match="distance"):
        surroundings(box(0, 0, 10, 10), distance)


# --- Hostile outlines


def comb(teeth: int, length: float, width: float = 1.0, gap: float = 1.0) -> shapely.Polygon:
    step = width + gap
    tops = [
        (i * step + x, y)
        for i in range(teeth)
        for x, y in ((0, width), (0, width + length), (width, width + length), (width, width))
    ]
    return affinity.translate(shapely.Polygon([(0, 0), (teeth * step - gap, 0), *reversed(tops)]), E, N)


def coil(vertices: int, turns: int, radius: float, width: float) -> shapely.Polygon:
    t = np.linspace(0.02, 1, vertices)
    a = 2 * math.pi * turns * t
    line = shapely.LineString(np.column_stack([E + radius * t * np.cos(a), N + radius * t * np.sin(a)]))
    return line.buffer(width, cap_style="flat", join_style="mitre")


def spikes(count: int) -> shapely.Polygon:
    a = np.linspace(0, 2 * math.pi, 2 * count, endpoint=False)
    r = np.where(np.arange(2 * count) % 2, 100, 3900)
    return shapely.Polygon(np.column_stack([E + r * np.cos(a), N + r * np.sin(a)]))


def lattice(side: float, count: int, hole: float) -> shapely.Polygon:
    at = [1 + i * side / count for i in range(count)]
    holes = [list(box(x, y, hole, hole).exterior.coords) for x in at for y in at]
    return shapely.Polygon(box(0, 0, side, side).exterior.coords, holes)


HOSTILE = {
    "comb": comb(2_400, 700, 1, 0.5),
    "long comb": comb(2_400, 5_000, 1.5, 1.5),
    "coil": coil(4_900, 200, 4_000, 6),
    "spikes": spikes(4_990),
    "holes": lattice(7_000, 44, 156),
}
CPU_S = 3.0  # three times what it takes, for slower machines


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_outline_is_refused_soon(name: str) -> None:
    outline = HOSTILE[name]
    assert 9_500 < shapely.get_num_coordinates(outline) <= 10_000
    begun = time.process_time()
    with pytest.raises(InvalidGeometry, match="too intricate"):
        split(outline)
    assert time.process_time() - begun < CPU_S


@pytest.mark.parametrize("name", HOSTILE)
def test_the_surroundings_of_a_hostile_outline_cover_it_soon(name: str) -> None:
    begun = time.process_time()
    around = surroundings(HOSTILE[name], 100)
    assert time.process_time() - begun < CPU_S
    corners = shapely.get_coordinates(HOSTILE[name])[::500]
    assert shapely.contains(around, shapely.buffer(shapely.points(corners), 98)).all()


@pytest.mark.parametrize("width", [5.1, 12.0])
def test_a_thin_strip_of_50_km_is_cut_across(width: float) -> None:
    strip = affinity.rotate(box(0, 0, 50_000, width), 40, origin=(E, N))
    parts = split(strip)
    assert_covers(strip, parts, MAX_AREA_M2, within_m2=1e-4)
    assert len(parts) == math.ceil(50_000 * width / MAX_AREA_M2)
    cuts_m = (sum(part.length for part in parts) - strip.length) / 2
    assert cuts_m < 130 * (len(parts) - 1)  # a cut is tried every 250 m of the outline


def test_a_vertex_too_many_is_refused_before_any_work() -> None:
    with pytest.raises(InvalidGeometry, match="10000 vertices"):
        split(comb(2_600, 700))


def test_polygons_that_cross_too_often_are_refused_soon() -> None:
    one = comb(1_200, 2_400)
    begun = time.process_time()
    with pytest.raises(InvalidGeometry, match="too often"):
        merge([one, affinity.rotate(one, 90, origin=one.centroid)])
    assert time.process_time() - begun < CPU_S


def test_many_polygons_of_a_long_trench_are_merged() -> None:
    trench = [box(0 + 40 * i, 0, 41, 3) for i in range(500)]
    assert merge(trench).equals(box(0, 0, 20_001, 3))


@pytest.mark.parametrize("whole", [curve().buffer(150), block(), RING], ids=["trench", "block", "ring"])
def test_what_was_split_is_known_again_and_nothing_else(whole: shapely.Polygon) -> None:
    again = joined(split(whole, 60_000))
    assert same_outline(whole, again)
    assert not same_outline(affinity.translate(whole, 0.01), again)
    assert not same_outline(affinity.rotate(whole, 31, origin=whole.centroid), again)
