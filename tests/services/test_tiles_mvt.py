"""Vector tiles: every geometry decodes, by an independent reader, to what shapely says it is."""

from __future__ import annotations

import mapbox_vector_tile
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import shape

from services.tiles.mvt import BUFFER, EXTENT, encode_layer, numeric_id, tile_bounds, to_tile_units

_ordinate = st.integers(-12_000, 28_000).map(lambda quarters: quarters / 4)
_point = st.tuples(_ordinate, _ordinate)


def _decode(data: bytes, layer: str = "layer") -> list[dict]:
    tile = mapbox_vector_tile.decode(data, default_options={"y_coord_down": True})
    return tile[layer]["features"]


def _encode(geometry: shapely.Geometry, **columns: list) -> bytes:
    return encode_layer("layer", np.array([geometry], dtype=object), ["a"], columns)


def _window() -> shapely.Polygon:
    return shapely.box(-BUFFER, -BUFFER, EXTENT + BUFFER, EXTENT + BUFFER)


@given(st.lists(_point, min_size=2, max_size=12))
@settings(max_examples=200, deadline=None)
def test_a_line_decodes_to_its_clipped_self_within_one_unit(points: list[tuple[float, float]]) -> None:
    line = shapely.LineString(points)
    expected = line.intersection(_window())
    data = _encode(line)
    if not data:
        assert expected.length <= 2 * len(points)
        return
    found = shape(_decode(data)[0]["geometry"])
    inside = expected.intersection(_window().buffer(-1))  # what runs along the very edge may be left out
    assert expected.buffer(1.01).covers(found) or expected.length <= 2
    assert found.buffer(1.01).covers(inside) or expected.length <= 2
    assert found.within(_window().buffer(1))


@given(st.lists(_point, min_size=3, max_size=9), st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_polygon_with_a_hole_keeps_its_area_and_winding(
    points: list[tuple[float, float]], holed: bool
) -> None:
    hull = shapely.MultiPoint(points).convex_hull
    if hull.geom_type != "Polygon" or hull.area < 100:
        return
    polygon = hull
    if holed:
        polygon = hull.difference(shapely.affinity.scale(hull, 0.5, 0.5))
    expected = polygon.intersection(_window())
    data = _encode(polygon)
    if not data:
        assert expected.area <= 2 * expected.length
        return
    found = shape(_decode(data)[0]["geometry"])
    assert abs(found.area - expected.area) <= 1.0 * expected.length + 4
    found = shapely.make_valid(found)  # rounding may let the two sides of a sliver cross
    assert found.symmetric_difference(expected).area <= 1.0 * expected.length + 4


@given(st.lists(_point, min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_points_outside_the_buffered_tile_are_left_out(points: list[tuple[float, float]]) -> None:
    data = _encode(shapely.MultiPoint(points))
    inside = {
        (round(x), round(y))
        for x, y in points
        if -BUFFER <= x <= EXTENT + BUFFER and -BUFFER <= y <= EXTENT + BUFFER
    }
    if not inside:
        assert data == b""
        return
    geometry = shape(_decode(data)[0]["geometry"])
    assert {(int(x), int(y)) for x, y in shapely.get_coordinates(geometry)} == inside


def _signed_areas(data: bytes) -> list[float]:
    """Surveyor's formula over the raw commands of the first feature, y downwards as the standard says."""
    from mapbox_vector_tile.Mapbox import vector_tile_pb2

    tile = vector_tile_pb2.tile()
    tile.ParseFromString(data)
    words = list(tile.layers[0].features[0].geometry)
    x = y = at = 0
    rings: list[list[tuple[int, int]]] = []
    while at < len(words):
        command, count = words[at] & 7, words[at] >> 3
        at += 1
        if command == 7:
            continue
        for _ in range(count):
            x += (words[at] >> 1) ^ -(words[at] & 1)
            y += (words[at + 1] >> 1) ^ -(words[at + 1] & 1)
            at += 2
            rings.append([(x, y)]) if command == 1 else rings[-1].append((x, y))
    return [
        sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, [*ring[1:], ring[0]], strict=True)) / 2
        for ring in rings
    ]


@pytest.mark.parametrize("reverse", [False, True])
def test_exterior_rings_are_positive_and_holes_negative_whatever_the_source_wrote(reverse: bool) -> None:
    polygon = shapely.Polygon(
        [(100, 100), (900, 100), (900, 900), (100, 900)], [[(200, 200), (300, 200), (300, 300), (200, 300)]]
    )
    areas = _signed_areas(_encode(polygon.reverse() if reverse else polygon))
    assert areas == [640_000.0, -10_000.0]


def test_every_value_type_comes_back_as_it_was_and_null_is_absent() -> None:
    values = {
        "text": "Nørregade <12>", "whole": 7, "negative": -7, "large": 2**40,
        "real": 1.25, "yes": True, "no": False, "nothing": None, "unknown": float("nan"),
    }  # fmt: skip
    data = _encode(shapely.Point(1, 2), **{name: [value] for name, value in values.items()})
    feature = _decode(data)[0]
    expected = {name: value for name, value in values.items() if value is not None and value == value}
    assert feature["properties"] == expected
    assert {name: type(value) for name, value in feature["properties"].items()} == {
        name: type(value) for name, value in expected.items()
    }
    assert feature["id"] == numeric_id("a")


def test_many_features_keep_their_own_geometry_and_values() -> None:
    geometries = np.array(
        [
            shapely.Point(10, 20),
            shapely.LineString([(0, 0), (0, 0), (50, 50)]),
            shapely.Point(90_000, 0),
            shapely.box(5, 5, 50, 60),
            shapely.MultiLineString([[(0, 0), (10, 0)], [(20, 20), (20, 40)]]),
            shapely.GeometryCollection([shapely.Point(1, 1), shapely.LineString([(3, 3), (9, 9)])]),
            shapely.Polygon(),
        ],
        dtype=object,
    )
    names = [str(row) for row in range(len(geometries))]
    features = _decode(encode_layer("layer", geometries, names, {"row": list(range(len(geometries)))}))
    assert [feature["properties"]["row"] for feature in features] == [0, 1, 3, 4, 5]
    for feature in features:
        source = geometries[feature["properties"]["row"]]
        wanted = source.geoms[1] if source.geom_type == "GeometryCollection" else source
        assert shape(feature["geometry"]).equals(wanted)


def test_lines_that_shrink_to_a_point_vanish() -> None:
    assert _encode(shapely.LineString([(10.1, 10.1), (10.2, 10.2)])) == b""
    assert _encode(shapely.box(10, 10, 10.2, 10.2)) == b""


@pytest.mark.parametrize(("z", "x", "y"), [(0, 0, 0), (14, 8753, 5187), (15, 17519, 10391)])
def test_corners_of_a_tile_are_the_corners_of_its_square(z: int, x: int, y: int) -> None:
    west, south, east, north = tile_bounds(z, x, y)
    corners = to_tile_units(np.array([west, east]), np.array([north, south]), z, x, y)
    assert np.allclose(corners, [[0, 0], [EXTENT, EXTENT]], atol=1e-6)


def test_a_polygon_whose_rings_cross_by_a_hair_does_not_fill_the_tile() -> None:
    """The real case: fields around a town; the hole's reprojected edge leaves the outer ring by a hair."""
    outer = [(-50_000, -50_000), (50_000, -50_000), (50_000, 50_000), (-50_000, 50_000)]
    hole = [(-3000, -50_000.5), (9000, -50_000.5), (9000, 9000), (-3000, 9000)]
    field = shapely.Polygon(outer, [hole])
    assert not field.is_valid
    assert encode_layer("landuse", np.array([field]), ["1"], {"kind": ["fields"]}) == b""
