"""Placing labels: none over another, none over what is taken, each where it says."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geoinfra.presentation.plan_labels import Placed, Wish, crowd, place
from geoinfra.presentation.plan_sheets import Frame

FRAME = Frame(10.0, 10.0, 180.0, 120.0)
SPOT = st.tuples(st.floats(0, 200), st.floats(0, 140))


def wish(path: list[tuple[float, float]], number: int = 0, **more: object) -> Wish:
    fixed = {"priority": float(number % 3), "colour": "#000000", "leads": len(path) > 1}
    # the fields of a wish, some of them changed
    return Wish(f"label {number}", 2.0, 14.0, np.array(path, dtype=float), **{**fixed, **more})  # type: ignore[arg-type]  # fields vary


def box(label: Placed) -> shapely.Polygon:
    return shapely.Polygon(label.corners)


@given(st.lists(st.lists(SPOT, min_size=1, max_size=4), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_nothing_is_overprinted_wherever_lines_run(paths: list[list[tuple[float, float]]]) -> None:
    taken = [shapely.box(80, 50, 110, 70)]
    wishes = [wish(path, number) for number, path in enumerate(paths)]
    lines = [one.path for one in wishes if len(one.path) > 1]
    placed = place(wishes, FRAME, lines=lines, taken=taken)
    boxes = [box(label) for label in placed]
    assert len({id(label.wish) for label in placed}) == len(placed)
    for number, one in enumerate(boxes):
        assert FRAME.left <= one.bounds[0] <= one.bounds[2] <= FRAME.right
        assert FRAME.bottom <= one.bounds[1] <= one.bounds[3] <= FRAME.top
        assert not one.intersects(taken[0])
        others = boxes[:number] + boxes[number + 1 :]
        leader = placed[number].leader
        assert not any(one.intersects(other) for other in others)
        assert leader is None or not any(shapely.LineString(leader).intersects(other) for other in others)


@pytest.mark.parametrize("turn", range(0, 360, 15))
def test_a_label_runs_beside_its_line_and_is_never_upside_down(turn: int) -> None:
    along = np.array([np.cos(np.radians(turn)), np.sin(np.radians(turn))])
    path = [tuple(np.array([100.0, 70.0]) + along * away) for away in (-30.0, 30.0)]
    (label,) = place([wish(path)], FRAME, lines=[np.array(path)])
    assert label.leader is None
    assert -90 <= label.turn_deg <= 90.01
    assert (label.turn_deg - turn) % 180 == pytest.approx(0.0, abs=0.01) or (
        label.turn_deg - turn
    ) % 180 > 179.99
    away = shapely.LineString(path).distance(box(label))
    assert 0 < away < 1.0


def test_a_label_without_room_beside_its_line_leads_to_it() -> None:
    bundle = [[(20.0, 60.0 + step), (180.0, 60.0 + step)] for step in np.arange(0, 12, 0.6)]
    middle = bundle[len(bundle) // 2]
    (label,) = place([wish(middle)], FRAME, lines=[np.array(line) for line in bundle])
    assert label.leader is not None
    assert shapely.LineString(middle).distance(shapely.Point(label.leader[0])) < 1e-6
    assert not any(shapely.LineString(line).intersects(box(label)) for line in bundle)


def test_the_more_important_label_gets_the_room() -> None:
    spot = [(100.0, 70.0)]
    around = [
        shapely.box(0, 0, 100, 200),
        shapely.box(117, 0, 200, 200),
        shapely.box(0, 71.5, 200, 200),
        shapely.box(0, 0, 200, 68),
    ]
    low, high = wish(spot, 0, priority=1.0), wish(spot, 1, priority=5.0)
    assert [label.wish for label in place([low, high], FRAME, taken=around)] == [high]


def test_the_same_label_is_not_said_again_nearby() -> None:
    wishes = [wish([(30.0 + 20 * n, 60.0)], 0, same="a", spacing_mm=50.0) for n in range(6)]
    placed = place(wishes, FRAME)
    assert len(placed) == 2


def test_a_crowded_cell_lets_only_a_few_through() -> None:
    few = crowd(3)
    assert [few(np.array([[1.0, 1.0]])) for _ in range(5)] == [True, True, True, False, False]
    assert few(np.array([[99.0, 1.0]]))
