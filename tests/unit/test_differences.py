"""Differences between sets of features, and how near dangerous ones come, against values from hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import shapely

from geoinfra.tables import FeatureBatch
from geoinfra.utilities.dangers import centre_line, dangers
from geoinfra.utilities.differences import Differences, differences
from geoinfra.utilities.model import FeatureRows

OWNER = "10000068"
E, N = 650_000.0, 6_070_000.0
PLAIN: dict[str, Any] = {"driftsstatus": "i drift", "fareklasse": "farlig", "etableringstidspunkt": "2004"}


def line(*offsets: tuple[float, float]) -> shapely.LineString:
    return shapely.LineString([(E + x, N + y) for x, y in offsets])


def rows(*features: tuple[str, dict[str, Any], Any, list[float] | None]) -> list[FeatureBatch]:
    made = FeatureRows(OWNER)
    for name, properties, shape, heights in features:
        known = None if heights is None else np.array(heights)
        made.add("Elledning", name, {**PLAIN, **properties}, shape, known)
    return [made.batch()] if features else []


BASE = ("el.1", {}, line((0, 0), (10, 0)), [1.0, 1.0])


def compared(*after: tuple[str, dict[str, Any], Any, list[float] | None]) -> Differences:
    return differences(rows(BASE), rows(*after))


def test_the_same_features_do_not_differ() -> None:
    found = compared(BASE)
    assert (found.none, found.unchanged) == (True, 1)


def test_added_and_removed_features_are_named_with_class_owner_and_place() -> None:
    found = compared(("el.2", {"fareklasse": "meget farlig"}, line((5, 5), (6, 6)), None))
    (added,), (removed,) = found.added, found.removed
    assert (added.feature_id, removed.feature_id) == (f"{OWNER}.el.2", f"{OWNER}.el.1")
    assert (added.feature_class, added.supply, added.hazard) == ("Elledning", "electricity", "meget farlig")
    assert added.to_json()["position"] == [E + 5, N + 5]


def test_changed_attributes_are_named_with_both_values() -> None:
    found = compared(("el.1", {"driftsstatus": "permanent ude af drift", "type": "stikkabel"}, *BASE[2:]))
    (change,) = found.changed
    assert dict(change.attributes) == {
        "driftsstatus": ("i drift", "permanent ude af drift"),
        "type": (None, "stikkabel"),
    }
    assert (change.reshaped, change.moved_m, change.raised_m) == (False, None, None)


@pytest.mark.parametrize(
    ("moved", "by_m"),
    [
        (line((0, 3), (10, 3)), 3.0),
        (line((0, 0), (10, 0.4)), 0.4),
        (line((0, 0), (5, 0), (10, 0)), None),  # a vertex more on the same line
        (line((0, 0), (13, 4)), 5.0),
        (line((0, 0.0001), (10, 0.0001)), None),  # rounding
    ],
)
def test_a_moved_line_tells_how_far(moved: shapely.LineString, by_m: float | None) -> None:
    found = compared(("el.1", {}, moved, None))
    if by_m is None:
        assert found.none
        return
    (change,) = found.changed
    assert (change.reshaped, change.moved_m) == (True, by_m)


def test_shapes_are_told_when_asked_for_in_longitude_and_latitude() -> None:
    from pyproj import Transformer

    moved = line((0, 3), (10, 3))
    (change,) = compared(("el.1", {}, moved, [1.0, 1.0])).changed
    assert "geometry" not in change.to_json()
    told = change.to_json(geometry=True)
    transform = Transformer.from_crs("EPSG:25832", "EPSG:4258", always_xy=True).transform
    for name, shape in (("geometry", moved), ("geometry_before", BASE[2])):
        assert told[name]["type"] == "LineString"
        expected = [transform(*position) for position in shape.coords]
        for found, wanted in zip(told[name]["coordinates"], expected, strict=True):
            assert found == pytest.approx(wanted, abs=2e-8)
    (lost,) = compared(("el.1", {}, None, None)).changed
    assert "geometry" not in lost.to_json(geometry=True)


def test_a_changed_height_is_a_change() -> None:
    (change,) = compared(("el.1", {}, BASE[2], [1.0, 1.25])).changed
    assert (change.reshaped, change.raised_m) == (False, 0.25)


def test_a_line_that_lost_its_geometry_is_a_change_without_a_distance() -> None:
    (change,) = compared(("el.1", {}, None, None)).changed
    assert (change.reshaped, change.moved_m, change.position) == (True, None, None)


def test_the_dangerous_come_first() -> None:
    after = rows(
        ("a", {"fareklasse": "ikke farlig"}, BASE[2], None),
        ("b", {"fareklasse": "farlig"}, BASE[2], None),
        ("c", {"fareklasse": "meget farlig"}, BASE[2], None),
    )
    assert [one.hazard for one in differences([], after).added] == ["meget farlig", "farlig", "ikke farlig"]


def test_an_id_that_is_there_twice_is_not_lost() -> None:
    assert len(differences([], rows(BASE) + rows(BASE)).added) == 2


def test_nothing_compared_with_nothing() -> None:
    assert differences([], []).none


# ------------------------------------------------------------------------------------------------- dangers


TRENCH = shapely.box(E, N, E + 60, N + 4)


@pytest.mark.parametrize(
    ("shape", "inside", "edge_m", "centre_m"),
    [
        (line((-10, 3), (70, 3)), 1, 0.0, 1.0),
        (line((-10, 2), (70, 2)), 1, 0.0, 0.0),
        (line((-10, 9), (70, 9)), 0, 5.0, 7.0),
        (line((63, 8), (90, 8)), 0, 5.0, math.hypot(5, 6)),
    ],
)
def test_distances_to_edge_and_centre_line(
    shape: shapely.LineString, inside: int, edge_m: float, centre_m: float
) -> None:
    (found,) = dangers(TRENCH, rows(("el.1", {}, shape, None)))
    assert (found.count, found.inside, found.nearest_m) == (1, inside, edge_m)
    assert found.centre_m == pytest.approx(centre_m, abs=0.15)


def test_half_the_diameter_is_taken_off() -> None:
    pipe = {"udvendigDiameter": {"value": 1000, "uom": "mm"}}
    (found,) = dangers(TRENCH, rows(("el.1", pipe, line((-10, 9), (70, 9)), None)))
    assert (found.nearest_m, found.centre_m) == (4.5, pytest.approx(6.5, abs=0.01))


def test_lines_that_are_not_dangerous_do_not_count_and_the_worst_come_first() -> None:
    found = dangers(
        TRENCH,
        rows(
            ("a", {"fareklasse": "ikke farlig"}, line((0, 2), (9, 2)), None),
            ("b", {}, line((0, 2), (9, 2)), None),
            ("c", {"fareklasse": "meget farlig"}, line((0, 30), (9, 30)), None),
            ("d", {"fareklasse": "meget farlig"}, None, None),
        ),
    )
    assert [(one.hazard, one.count, one.inside, one.nearest_m) for one in found] == [
        ("meget farlig", 2, 0, 26.0),
        ("farlig", 1, 1, 0.0),
    ]


def test_a_dangerous_line_without_geometry_is_told() -> None:
    (found,) = dangers(TRENCH, rows(("d", {"fareklasse": "meget farlig"}, None, None)))
    assert (found.count, found.nearest_m, found.centre_m) == (1, None, None)


@pytest.mark.parametrize(
    ("axis", "half_m"),
    [
        (line((0, 0), (50, 0)), 1.0),
        (line((0, 0), (50, 0), (50, 40)), 2.0),
        (line((0, 0), (30, 10), (60, -5), (90, 20)), 1.5),
    ],
)
def test_the_centre_line_of_a_trench_is_the_line_it_was_drawn_around(
    axis: shapely.LineString, half_m: float
) -> None:
    found = centre_line(axis.buffer(half_m, cap_style="flat", join_style="mitre"))
    assert shapely.distance(axis, shapely.points(shapely.get_coordinates(found))).max() < 0.35
    assert shapely.length(found) == pytest.approx(axis.length, abs=4 * half_m + 3)


@pytest.mark.parametrize(
    "area",
    [
        shapely.box(E, N, E + 30, N + 30),
        shapely.Point(E, N).buffer(20),
        shapely.Polygon([(E, N), (E + 1, N), (E, N + 1)]),
        shapely.box(E, N, E + 0.01, N + 0.01),
    ],
)
def test_an_area_without_length_has_a_middle_inside(area: shapely.Polygon) -> None:
    assert shapely.contains(area, shapely.centroid(centre_line(area)))


def test_the_centre_of_an_area_in_two_parts_lies_in_one_of_them() -> None:

    area = shapely.MultiPolygon([TRENCH, shapely.box(E, N + 50, E + 60, N + 54)])
    assert shapely.distance(area, centre_line(area)) == 0
