"""The GeoJSON writer against shapely's and PROJ's answers vertex by vertex."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geoinfra import crs
from geoinfra.tables import Column, ColumnType, DatasetSchema, FeatureBatch
from services.ogc.geojson import WITH_HEIGHTS, features

SCHEMA = DatasetSchema(
    "things", "Geometry", (Column("name"), Column("size_m", ColumnType.REAL), Column("more", ColumnType.JSON))
)


def written(batch: FeatureBatch, target: str, *, geometry: bool) -> bytes:
    return orjson.dumps(list(features(batch, target, geometry=geometry, encoded=True)))[1:-1]


def _ring(east: float, north: float, side: float) -> list[tuple[float, float]]:
    return [(east, north), (east + side, north), (east + side, north + side), (east, north)]


def _shapes() -> st.SearchStrategy[Any]:
    at = st.tuples(st.floats(450_000, 890_000), st.floats(6_050_000, 6_400_000))
    points = at.map(shapely.Point)
    lines = st.lists(at, min_size=2, max_size=6, unique=True).map(shapely.LineString)
    holes = st.tuples(at, st.booleans()).map(
        lambda t: shapely.Polygon(_ring(*t[0], 90), [_ring(t[0][0] + 30, t[0][1] + 10, 20)] if t[1] else [])
    )
    many = st.one_of(
        st.lists(points, min_size=1, max_size=3).map(shapely.MultiPoint),
        st.lists(lines, min_size=1, max_size=3).map(shapely.MultiLineString),
        st.lists(holes, min_size=1, max_size=3).map(shapely.MultiPolygon),
    )
    empties = st.sampled_from(
        [None, shapely.Point(), shapely.LineString(), shapely.Polygon(), shapely.MultiPolygon()]
    )
    return st.one_of(points, lines, holes, many, empties)


def _batch(shapes: list[Any], heights: list[bytes | None] | None = None) -> FeatureBatch:
    rows = range(len(shapes))
    return FeatureBatch(
        SCHEMA,
        [f'<"{row}">' for row in rows],
        [None if shape is None else shapely.to_wkb(shape) for shape in shapes],
        {
            "name": [None if row % 3 == 2 else f'Æ "<b>" \\ {row}\n' for row in rows],
            "size_m": [row / 7 for row in rows],
            "more": [None if row % 2 else json.dumps({"row": row}) for row in rows],
        },
        heights,
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(_shapes(), max_size=12), st.sampled_from(["OGC:CRS84", "EPSG:4326", "EPSG:25832", "EPSG:4094"])
)
def test_written_features_are_the_rows(shapes: list[Any], target: str) -> None:
    batch = _batch(shapes)
    found = json.loads(b"[" + written(batch, target, geometry=True) + b"]")
    assert [feature["id"] for feature in found] == batch.feature_ids
    metric = crs.is_metric(target)
    for row, (feature, shape) in enumerate(zip(found, shapes, strict=True)):
        assert feature["type"] == "Feature"
        more = batch.columns["more"][row]
        assert feature["properties"] == {
            "name": batch.columns["name"][row],
            "size_m": batch.columns["size_m"][row],
            "more": None if more is None else json.loads(more),
        }
        if shape is None:
            assert feature["geometry"] is None
            continue
        own = shapely.from_geojson(json.dumps(feature["geometry"]))
        assert own.geom_type == shape.geom_type
        moved = crs.transform_geometry(shape, "EPSG:25832", target)
        if crs.north_first(target):
            moved = shapely.transform(moved, lambda xy: xy[:, ::-1])
        assert shapely.equals_exact(own, moved, tolerance=0.00071 if metric else 7.1e-9)
    plain = list(features(batch, target, geometry=True, encoded=False))
    assert orjson.loads(orjson.dumps(plain)) == found


def test_without_geometry_and_without_columns() -> None:
    batch = _batch([shapely.Point(1, 2)])
    batch.columns = {}
    assert json.loads(written(batch, "OGC:CRS84", geometry=False)) == {
        "type": "Feature",
        "id": '<"0">',
        "geometry": None,
        "properties": {},
    }


def test_heights_come_where_every_vertex_of_a_feature_has_one() -> None:
    line = shapely.LineString([(600_000, 6_100_000), (600_010, 6_100_000)])
    point = shapely.Point(600_000, 6_100_000)
    known, partly = np.array([1.23456, -2.0]).tobytes(), np.array([1.0, np.nan]).tobytes()
    batch = _batch([line, line, None, line, point], [known, partly, None, None, np.array([7.5]).tobytes()])
    found = json.loads(b"[" + written(batch, WITH_HEIGHTS, geometry=True) + b"]")
    flat = [[600_000.0, 6_100_000.0], [600_010.0, 6_100_000.0]]
    assert found[0]["geometry"]["coordinates"] == [[*flat[0], 1.235], [*flat[1], -2.0]]
    assert [found[row]["geometry"]["coordinates"] for row in (1, 3)] == [flat, flat]
    assert found[2]["geometry"] is None
    assert found[4]["geometry"]["coordinates"] == [*flat[0], 7.5]
    assert (
        json.loads(written(batch.take([0]), "EPSG:25832", geometry=True))["geometry"]["coordinates"] == flat
    )


@pytest.mark.parametrize("target", ["OGC:CRS84", "EPSG:25832", WITH_HEIGHTS])
def test_nothing_is_nothing(target: str) -> None:
    assert written(_batch([]), target, geometry=True) == b""
