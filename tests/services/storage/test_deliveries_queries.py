"""Queries against an oracle (shapely and plain Python), the same on both engines."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import shapely
from delivery_samples import ANYBODY, PIPES, batch_of, ids, line, publish, random_pipes, square

from geoinfra.errors import InvalidFilter, InvalidGeometry
from geoinfra.storage import Store, deliveries
from geoinfra.tables import FeatureQuery

ROWS = 4000
(FIRST, SECOND) = random_pipes(ROWS, seed=11)
ALL_IDS = FIRST.feature_ids + SECOND.feature_ids
SHAPES = shapely.from_wkb(np.array(FIRST.geometry + SECOND.geometry, dtype=object))
BOUNDS = shapely.bounds(SHAPES)


def column(name: str) -> list[Any]:
    return FIRST.columns[name] + SECOND.columns[name]


@pytest.fixture(scope="module")
def view(module_store: Store) -> deliveries.DatasetView:
    """One published delivery; the tests here only read."""
    publish(module_store, [FIRST, SECOND], "x")
    return module_store.view(ANYBODY, PIPES.name)


def chosen(mask: np.ndarray[Any, Any] | list[bool]) -> list[str]:
    return [name for name, good in zip(ALL_IDS, mask, strict=True) if good]


def random_polygon(rng: np.random.Generator) -> shapely.Polygon:
    """A star-shaped polygon with a hole now and then."""
    centre = rng.random(2) * 1000 + (500_000.0, 6_200_000.0)
    angles = np.sort(rng.random(9)) * 2 * math.pi
    radii = rng.random(9) * rng.choice([20, 150, 700]) + 5
    ring = centre + np.column_stack([np.cos(angles), np.sin(angles)]) * radii[:, None]
    polygon = shapely.make_valid(shapely.Polygon(ring))
    if rng.random() < 0.3:
        polygon = shapely.difference(polygon, shapely.Point(centre).buffer(4))
    parts = [p for p in shapely.get_parts(polygon) if p.geom_type == "Polygon"]
    return max(parts, key=lambda p: p.area)


def test_polygons_are_decided_exactly(view: deliveries.DatasetView) -> None:
    rng = np.random.default_rng(3)
    by_bounds = 0
    for _ in range(60):
        polygon = random_polygon(rng)
        wanted = chosen(shapely.intersects(polygon, SHAPES))
        query = FeatureQuery(polygon=shapely.to_wkb(polygon))
        assert ids(view.read(query)) == wanted
        assert view.count(query) == len(wanted)
        by_bounds += len(chosen(shapely.intersects(shapely.box(*polygon.bounds), shapely.box(*BOUNDS.T))))
        by_bounds -= len(wanted)
    assert by_bounds > 1000  # bounds alone would not do


def test_many_polygons_at_once_are_decided_exactly(view: deliveries.DatasetView) -> None:
    rng = np.random.default_rng(4)
    for _ in range(10):
        union = shapely.union_all([random_polygon(rng) for _ in range(5)])
        wanted = chosen(shapely.intersects(union, SHAPES))
        assert ids(view.read(FeatureQuery(polygon=shapely.to_wkb(union)))) == wanted


def test_windows_are_decided_by_exact_bounds(view: deliveries.DatasetView) -> None:
    rng = np.random.default_rng(5)
    boxes = [random_polygon(rng).bounds for _ in range(40)]
    row = int(np.flatnonzero(~np.isnan(BOUNDS[:, 0]))[0])
    e, n = float(BOUNDS[row, 2]), float(BOUNDS[row, 3])
    boxes += [(e, n, e + 1, n + 1), (math.nextafter(e, math.inf), n, e + 1, n + 1)]  # touches; just does not
    boxes += [tuple(shapely.total_bounds(SHAPES).tolist()), (0.0, 0.0, 1e7, 1e7), (0.0, 0.0, 1.0, 1.0)]
    for box in boxes:
        east = (BOUNDS[:, 0] <= box[2]) & (BOUNDS[:, 2] >= box[0])
        wanted = chosen(east & (BOUNDS[:, 1] <= box[3]) & (BOUNDS[:, 3] >= box[1]))
        query = FeatureQuery(bbox=box)
        assert ids(view.read(query)) == wanted
        assert view.count(query) == len(wanted)


def prop(name: str) -> dict[str, str]:
    return {"property": name}


def op(name: str, *args: Any) -> dict[str, Any]:
    return {"op": name, "args": list(args)}


CASES: list[tuple[str, dict[str, Any], Callable[[dict[str, Any]], bool | None]]] = [
    ("equal", op("=", prop("kind"), "line"), lambda r: r["kind"] == "line"),
    ("literal first", op("=", "line", prop("kind")), lambda r: r["kind"] == "line"),
    ("unequal", op("<>", prop("number"), 3), lambda r: r["number"] is not None and r["number"] != 3),
    ("less", op("<", prop("diameter_mm"), 110), lambda r: (r["diameter_mm"] or 999) < 110),
    ("whole against real", op(">=", prop("number"), 7.5), lambda r: (r["number"] or 0) >= 7.5),
    ("far too large", op("<", prop("number"), 1e300), lambda r: r["number"] is not None),
    ("between", op("between", prop("number"), 3, 5), lambda r: r["number"] in (3, 4, 5)),
    ("in", op("in", prop("number"), [1, 2, 19]), lambda r: r["number"] in (1, 2, 19)),
    ("in nothing", op("in", prop("number"), []), lambda r: False),
    ("null", op("isNull", prop("laid")), lambda r: r["laid"] is None),
    ("no geometry", op("isNull", prop("geometry")), lambda r: r["shape"] is None),
    ("true", op("=", prop("active"), True), lambda r: r["active"] is True),
    ("text order", op("<", prop("name"), "a"), lambda r: r["name"] < "a"),
    (
        "two columns",
        op("<", prop("number"), prop("diameter_mm")),
        lambda r: (r["number"] or 9e9) < (r["diameter_mm"] or -1),
    ),
    ("like", op("like", prop("name"), "a%"), lambda r: r["name"].startswith("a")),
    ("like escaped", op("like", prop("name"), "a\\%b"), lambda r: r["name"] == "a%b"),
    ("like one", op("like", prop("name"), "a_b"), lambda r: r["name"] in ("a%b", "a_b")),
    ("like is no glob", op("like", prop("name"), "[x]*?"), lambda r: r["name"] == "[x]*?"),
    ("like has cases", op("like", prop("name"), "Æ%"), lambda r: r["name"] == "Ærø"),
    ("like at the end", op("like", prop("name"), "a\\"), lambda r: False),
    ("casei", op("=", op("casei", prop("name")), op("casei", "ÆRØ")), lambda r: r["name"] in ("Ærø", "ærø")),
    (
        "casei like",
        op("like", op("casei", prop("name")), op("casei", "øSTER%")),
        lambda r: r["name"] == "Østergade 5",
    ),
    (
        "casei in",
        op("in", op("casei", prop("name")), [op("casei", "ÆRØ")]),
        lambda r: r["name"] in ("Ærø", "ærø"),
    ),
    ("quotes", op("=", prop("name"), "'; DROP TABLE x; --"), lambda r: r["name"] == "'; DROP TABLE x; --"),
    ("identifier", op("=", prop("feature_id"), "p7"), lambda r: r["id"] == "p7"),
    ("json text", op("like", prop("properties"), '%"a"%'), lambda r: r["properties"] is not None),
    ("after", op("t_after", prop("laid"), {"date": "2004-03-15"}), lambda r: r["laid"] == "2020-12-31"),
    ("before", op("t_before", prop("laid"), {"date": "2004-03-15"}), lambda r: r["laid"] == "1987-05-01"),
    (
        "during",
        op("t_during", {"interval": [prop("laid"), prop("laid")]}, {"interval": ["1990-01-01", ".."]}),
        lambda r: r["laid"] in ("2004-03-15", "2020-12-31"),
    ),
    (
        "moment in another zone",
        op("t_after", prop("changed"), {"timestamp": "2020-01-01T01:00:00.2+01:00"}),
        lambda r: r["changed"] == "2020-01-01T00:00:00.500Z",
    ),
    ("date compared", op(">", prop("laid"), {"date": "2004-03-15"}), lambda r: r["laid"] == "2020-12-31"),
    (
        "and or not",
        op(
            "and",
            op("or", op("=", prop("kind"), "line"), op("=", prop("kind"), "trace")),
            op("not", op(">", prop("number"), 10)),
        ),
        lambda r: r["kind"] in ("line", "trace") and r["number"] is not None and r["number"] <= 10,
    ),
]


@pytest.mark.parametrize(("tree", "decide"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_filters_mean_what_cql2_says(
    view: deliveries.DatasetView, tree: dict[str, Any], decide: Callable[[dict[str, Any]], bool | None]
) -> None:
    sent = {c.name: column(c.name) for c in PIPES.columns} | {"id": ALL_IDS, "shape": SHAPES}
    rows = [dict(zip(sent, values, strict=True)) for values in zip(*sent.values(), strict=True)]
    wanted = chosen([bool(decide(row)) for row in rows])
    assert ids(view.read(FeatureQuery(filter=tree))) == wanted
    assert view.count(FeatureQuery(filter=tree)) == len(wanted)


SPATIAL = ["intersects", "within", "contains", "disjoint", "touches", "crosses", "overlaps", "equals"]


@pytest.mark.parametrize("predicate", SPATIAL)
def test_spatial_operators_are_those_of_simple_features(view: deliveries.DatasetView, predicate: str) -> None:
    rng = np.random.default_rng(7)
    polygon = random_polygon(rng)
    some_line = SHAPES[1]
    literals = [polygon, some_line, shapely.Point(some_line.coords[0]), shapely.box(*polygon.bounds)]
    for literal in literals:
        wanted = chosen(getattr(shapely, predicate)(SHAPES, literal))
        geojson = literal.__geo_interface__
        tree = op(f"s_{predicate}", prop("geometry"), geojson)
        assert ids(view.read(FeatureQuery(filter=as_lists(tree)))) == wanted
        combined = op("and", tree, op("=", prop("kind"), "line"))
        lines = {name for name, kind in zip(ALL_IDS, column("kind"), strict=True) if kind == "line"}
        assert ids(view.read(FeatureQuery(filter=as_lists(combined)))) == [n for n in wanted if n in lines]
        negated = chosen(~getattr(shapely, predicate)(SHAPES, literal) & ~shapely.is_missing(SHAPES))
        assert view.count(FeatureQuery(filter=as_lists(op("not", tree)))) == len(negated)
    mirrored = op(f"s_{predicate}", as_lists(polygon.__geo_interface__), prop("geometry"))
    assert ids(view.read(FeatureQuery(filter=mirrored))) == chosen(
        getattr(shapely, predicate)(polygon, SHAPES)
    )


def as_lists(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: as_lists(value) for key, value in node.items()}
    return [as_lists(value) for value in node] if isinstance(node, tuple | list) else node


def test_everything_together(view: deliveries.DatasetView) -> None:
    polygon, window = square(100, 100, 700), (500_200.0, 6_200_200.0, 500_900.0, 6_200_900.0)
    query = FeatureQuery(
        bbox=window,
        polygon=polygon,
        equal={"kind": ["line", "trace"], "active": [True, None]},
        filter=op("s_intersects", prop("geometry"), {"bbox": [500_300, 6_200_300, 500_600, 6_200_600]}),
        sort=(("number", True), ("feature_id", False)),
        limit=50,
        offset=5,
    )
    east = (BOUNDS[:, 0] <= window[2]) & (BOUNDS[:, 2] >= window[0])
    mask = east & (BOUNDS[:, 1] <= window[3]) & (BOUNDS[:, 3] >= window[1])
    mask &= shapely.intersects(SHAPES, shapely.from_wkb(polygon))
    mask &= shapely.intersects(SHAPES, shapely.box(500_300, 6_200_300, 500_600, 6_200_600))
    mask &= np.array([k in ("line", "trace") for k in column("kind")])
    mask &= np.array([a is not False for a in column("active")])
    numbers = dict(zip(ALL_IDS, column("number"), strict=True))
    wanted = sorted(chosen(mask))
    wanted.sort(key=lambda name: -math.inf if numbers[name] is None else -numbers[name])
    assert len(wanted) > 60
    assert ids(view.read(query)) == wanted[5:55]
    assert view.count(query) == len(wanted)


@pytest.mark.parametrize(
    "tree",
    [
        op("=", prop("number"), "3"),
        op("=", prop("number"), True),
        op("=", prop("number"), float("nan")),
        op("=", prop("name"), 3),
        op("=", prop("name"), None),
        op("=", prop("picture"), "x"),
        op("=", prop("laid"), "yesterday"),
        op("=", 1, "1"),
        op("=", prop("active"), 1),
        op("casei", prop("name")),
        op("=", op("casei", prop("number")), "x"),
        op("=", op("casei", op("casei", op("casei", op("casei", op("casei", prop("name")))))), "x"),
        op("=", prop("name"), prop("number")),
        op("=", prop("name")),
        op("=", prop("name"), "a\x00"),
        op("=", prop("name"), "\ud800"),
        op("like", prop("number"), "1%"),
        op("like", prop("name"), "x" * 501),
        op("in", prop("number"), list(range(5001))),
        op("and", *[op("=", prop("number"), 1)] * 2001),
        op("xor", True, False),
        op("s_intersects", prop("geometry"), {"type": "Point", "coordinates": ["a", "b"]}),
        op("s_intersects", prop("geometry"), {"type": "GeometryCollection", "geometries": []}),
        op("s_intersects", prop("geometry"), {"bbox": [0, 0, 1]}),
        op("s_intersects", prop("geometry"), {"bbox": [0, 0, 1, float("inf")]}),
        op("s_intersects", prop("name"), {"bbox": [0, 0, 1, 1]}),
        op("s_intersects", {"bbox": [0, 0, 1, 1]}, "geometry"),
        op("t_after", prop("name"), {"date": "2020-01-01"}),
        op("t_during", prop("laid"), {"interval": ["2020-01-01"]}),
        {"op": "="},
        {"op": ["="], "args": []},
        {"args": []},
        {},
    ],
    ids=str,
)
def test_what_cannot_be_understood_is_refused(view: deliveries.DatasetView, tree: dict[str, Any]) -> None:
    with pytest.raises(InvalidFilter):
        view.read(FeatureQuery(filter=tree))


def test_a_filter_that_nests_without_end_is_refused(view: deliveries.DatasetView) -> None:
    tree: dict[str, Any] = op("=", prop("number"), 1)
    for _ in range(10_000):
        tree = op("not", tree)
    with pytest.raises(InvalidFilter):
        view.count(FeatureQuery(filter=tree))


def test_bad_windows_and_polygons_are_refused(view: deliveries.DatasetView) -> None:
    for box in [(1.0, 0.0, 0.0, 1.0), (0.0, 0.0, math.nan, 1.0), (0.0, 0.0, math.inf, 1.0)]:
        with pytest.raises(InvalidFilter):
            view.read(FeatureQuery(bbox=box))
    bow = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    for polygon in [
        b"",
        b"rubbish",
        shapely.to_wkb(bow),
        shapely.to_wkb(shapely.Polygon()),
        line((0, 0), (1, 1)),
    ]:
        with pytest.raises(InvalidGeometry):
            view.read(FeatureQuery(polygon=polygon))


def test_equal_admits_null_and_an_empty_list_nothing(view: deliveries.DatasetView) -> None:
    wanted = chosen([v in (None, 3) for v in column("number")])
    assert ids(view.read(FeatureQuery(equal={"number": [None, 3]}))) == wanted
    assert view.count(FeatureQuery(equal={"number": []})) == 0


def test_geometry_of_one_type_may_be_promised(store: Store) -> None:
    lines = replace(PIPES, name="lines", geometry="LineString")
    publish(store, [batch_of(lines, ["a", "b"], [line((0, 0), (1, 1)), None])], "x")
    point = shapely.to_wkb(shapely.Point(1, 2))
    with pytest.raises(InvalidGeometry):
        store.stage(lines, "x", [batch_of(lines, ["a"], [point])])


def test_both_engines_take_the_same_digest(store: Store) -> None:
    batch = batch_of(
        PIPES, ["a", "b"], [line((0, 0), (1, 2)), None], name=["æ", None], diameter_mm=[1.5, None]
    )
    digest = store.stage(PIPES, "x", [batch]).sha256
    assert digest == "01069170fc115c331fe526b37997ec2c609aa384f611bff78fe956e837bff65a"
