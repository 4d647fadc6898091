"""Random CQL2 trees against an evaluation of their own over the rows, the same on both engines."""

from __future__ import annotations

import operator
import random
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import shapely
from delivery_samples import ANYBODY, batch_of, ids, publish

from geoinfra.access import Visibility
from geoinfra.errors import InvalidFilter
from geoinfra.storage import Store, deliveries
from geoinfra.tables import Column, ColumnType, DatasetSchema, FeatureQuery

WORKS = DatasetSchema(
    "works",
    "Geometry",
    (
        Column("name"),
        Column("other"),
        Column("number", ColumnType.INTEGER),
        Column("size_m", ColumnType.REAL),
        Column("open", ColumnType.BOOLEAN),
        Column("begun", ColumnType.DATE),
        Column("done", ColumnType.DATE),
        Column("opens", ColumnType.DATETIME),
        Column("closes", ColumnType.DATETIME),
    ),
    visibility=Visibility.OPEN,
)
NAMES = ["Ærø", "ærø", "AERO", "København", "kobenhavn", "å", "A", "a%b", "a_b", "", "'; DROP TABLE x;--"]
DAYS = ["2020-01-01", "2020-01-02", "2021-06-15", "2022-12-31"]
MOMENTS = ["2020-01-01T00:00:00.000Z", "2020-01-02T12:00:00.500Z", "2021-06-15T23:59:59.999Z"]
NUMBERS = [-2, 0, 1, 3, 7]
KINDS: dict[str, list[Any]] = {
    "name": NAMES, "other": NAMES, "number": NUMBERS, "size_m": [-2.0, 0.5, 1.0, 3.0],
    "open": [True, False], "begun": DAYS, "done": DAYS, "opens": MOMENTS, "closes": MOMENTS,
}  # fmt: skip
ROWS = 120


def _rows() -> dict[str, list[Any]]:
    rng = random.Random(5)
    return {name: [rng.choice([*some, None]) for _ in range(ROWS)] for name, some in KINDS.items()}


def _shapes() -> list[Any]:
    rng = random.Random(6)
    found: list[Any] = []
    for row in range(ROWS):
        e, n = 500_000 + rng.randrange(20), 6_200_000 + rng.randrange(20)
        found.append(
            [
                None,
                shapely.Point(e, n),
                shapely.box(e, n, e + 4, n + 4),
                shapely.LineString([(e, n), (e + 5, n + 3)]),
            ][row % 4]
        )
    return found


COLUMNS, SHAPES = _rows(), _shapes()
NAMES_OF_ROWS = [f"w{row}" for row in range(ROWS)]


@pytest.fixture(scope="module")
def view(module_store: Store) -> deliveries.DatasetView:
    geometry = [None if s is None else shapely.to_wkb(s, byte_order=1) for s in SHAPES]
    publish(module_store, [batch_of(WORKS, NAMES_OF_ROWS, geometry, **COLUMNS)], "x")
    return module_store.view(ANYBODY, "works")


# --- The oracle: three-valued, row by row

SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "<>": operator.ne, "<": operator.lt,
    "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
PAST, FUTURE = "0", "9"  # sort before and after every year


def all_of(values: list[bool | None]) -> bool | None:
    return False if False in values else None if None in values else True


def opposite(value: bool | None) -> bool | None:
    return None if value is None else not value


def any_of(values: list[bool | None]) -> bool | None:
    return opposite(all_of([opposite(value) for value in values]))


def compared(sign: str, one: Any, other: Any) -> bool | None:
    return None if one is None or other is None else SIGNS[sign](one, other)


def plain(text: str) -> str:
    apart = unicodedata.normalize("NFD", text)
    return "".join(c for c in apart if not unicodedata.combining(c)).replace("ø", "o").replace("Ø", "O")


def scalar(node: Any, row: int) -> Any:
    if not isinstance(node, dict):
        return node
    if "property" in node:
        return COLUMNS[node["property"]][row]
    if "op" in node:
        inner = scalar(node["args"][0], row)
        return None if inner is None else inner.lower() if node["op"] == "casei" else plain(inner)
    return node.get("date", node.get("timestamp"))


def is_fine(node: Any) -> bool:
    """Whether a temporal operand tells times of the day."""
    ends = node.get("interval", [node])
    texts = [
        str(end.get("property", end.get("timestamp", ""))) if isinstance(end, dict) else end for end in ends
    ]
    return any(text in ("opens", "closes") or len(text) > 10 for text in texts)


def moments(node: Any, row: int, fine: bool) -> tuple[Any, Any]:
    """Start and end; a day lasts from its first to its last millisecond where times are compared."""
    first, last = node.get("interval", (node, node))
    start = PAST if first == ".." else scalar(first, row)
    end = FUTURE if last == ".." else scalar(last, row)
    start = f"{start}T00:00:00.000Z" if fine and start is not None and len(start) == 10 else start
    return start, (f"{end}T23:59:59.999Z" if fine and end is not None and len(end) == 10 else end)


def related(name: str, one: tuple[Any, Any], other: tuple[Any, Any]) -> bool | None:
    """OWL-Time's relations of proper intervals."""
    (s1, e1), (s2, e2) = one, other
    tests: dict[str, list[tuple[str, Any, Any]]] = {
        "t_before": [("<", e1, s2)], "t_after": [(">", s1, e2)],
        "t_equals": [("=", s1, s2), ("=", e1, e2)], "t_intersects": [("<=", s1, e2), ("<=", s2, e1)],
        "t_contains": [("<", s1, s2), ("<", e2, e1)], "t_during": [("<", s2, s1), ("<", e1, e2)],
        "t_finishedBy": [("<", s1, s2), ("=", e1, e2)], "t_finishes": [("<", s2, s1), ("=", e1, e2)],
        "t_meets": [("=", e1, s2)], "t_metBy": [("=", e2, s1)],
        "t_overlaps": [("<", s1, s2), ("<", s2, e1), ("<", e1, e2)],
        "t_overlappedBy": [("<", s2, s1), ("<", s1, e2), ("<", e2, e1)],
        "t_startedBy": [("=", s1, s2), ("<", e2, e1)], "t_starts": [("=", s1, s2), ("<", e1, e2)],
    }  # fmt: skip
    if name == "t_disjoint":
        return any_of([related("t_before", one, other), related("t_after", one, other)])
    return all_of([compared(*test) for test in tests[name]])


def like(text: str | None, pattern: str | None) -> bool | None:
    if text is None or pattern is None:
        return None
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(like(text[at:], pattern[1:]) for at in range(len(text) + 1))
    if pattern[0] == "\\":
        return text[:1] == pattern[1] and bool(like(text[1:], pattern[2:]))
    return bool(text) and pattern[0] in ("_", text[0]) and bool(like(text[1:], pattern[1:]))


def decided(node: Any, row: int) -> bool | None:
    if isinstance(node, bool):
        return node
    if "property" in node:
        return COLUMNS[node["property"]][row]
    name, args = node["op"], node["args"]
    if name in ("and", "or"):
        return {"and": all_of, "or": any_of}[name]([decided(arg, row) for arg in args])
    if name == "not":
        return opposite(decided(args[0], row))
    if name.startswith("t_"):
        fine = any(is_fine(arg) for arg in args)
        return related(name, moments(args[0], row, fine), moments(args[1], row, fine))
    if name.startswith("s_"):
        shapes = [
            SHAPES[row] if "property" in arg else shapely.from_geojson(str(arg).replace("'", '"'))
            for arg in args
        ]
        return None if None in shapes else bool(getattr(shapely, name[2:])(*shapes))
    if name == "isNull":
        return scalar(args[0], row) is None
    if name == "in":
        return any_of([compared("=", scalar(args[0], row), scalar(choice, row)) for choice in args[1]])
    values = [scalar(arg, row) for arg in args]
    if name == "between":
        return all_of([compared(">=", values[0], values[1]), compared("<=", values[0], values[2])])
    return like(*values) if name == "like" else compared(name, *values)


# --- Trees

FAMILIES = [("name", "other"), ("number", "size_m"), ("open",), ("begun", "done"), ("opens", "closes")]
RELATIONS = [
    "t_after", "t_before", "t_disjoint", "t_equals", "t_intersects", "t_contains", "t_during", "t_finishedBy",
    "t_finishes", "t_meets", "t_metBy", "t_overlappedBy", "t_overlaps", "t_startedBy", "t_starts",
]  # fmt: skip
SPATIAL = ["intersects", "within", "contains", "disjoint", "touches", "crosses", "overlaps", "equals"]


class Trees:
    """Makes trees that mean something."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def op(self, name: str, *args: Any) -> dict[str, Any]:
        return {"op": name, "args": list(args)}

    def tree(self, depth: int) -> Any:
        if depth and self.rng.random() < 0.6:
            name = self.rng.choice(["and", "or", "not"])
            return self.op(name, *[self.tree(depth - 1) for _ in range(1 if name == "not" else 2)])
        return self.rng.choice(
            [self.comparison, self.comparison, self.time, self.time, self.space, self.short]
        )()

    def short(self) -> Any:
        return self.rng.choice(
            [True, False, {"property": "open"}, self.op("isNull", {"property": self.rng.choice(list(KINDS))})]
        )

    def operand(self, family: tuple[str, ...]) -> Any:
        if self.rng.random() < 0.5:
            return {"property": self.rng.choice(family)}
        value = self.rng.choice(KINDS[family[0]])
        kinds = {"begun": "date", "opens": "timestamp"}
        return {kinds[family[0]]: value} if family[0] in kinds else value

    def comparison(self) -> Any:
        family = self.rng.choice(FAMILIES)
        name = self.rng.choice([*SIGNS, *SIGNS, "between", "in", "like"])
        if name == "like" or (family[0] == "name" and self.rng.random() < 0.5):
            return self.texts(name if name in (*SIGNS, "like") else "=")
        if name == "in":
            return self.op("in", self.operand(family), [self.operand(family) for _ in range(3)])
        return self.op(name, *[self.operand(family) for _ in range(3 if name == "between" else 2)])

    def texts(self, name: str) -> Any:
        pattern = (
            self.rng.choice(["%", "_%", "", "a\\%b", "K%n", "%r_", "k_benhavn"]) if name == "like" else None
        )
        left: Any = self.operand(("name", "other"))
        right: Any = self.operand(("name", "other")) if pattern is None else pattern
        for function in self.rng.choice([(), ("casei",), ("accenti",), ("casei", "accenti")]):
            left, right = self.op(function, left), self.op(function, right)
        return self.op(name, left, right)

    def time(self) -> Any:
        name = self.rng.choice(RELATIONS)
        return self.op(name, self.span(name), self.span(name))

    def span(self, relation: str) -> Any:
        columns, literals = self.rng.choice([(("begun", "done"), DAYS), (("opens", "closes"), MOMENTS)])
        kind = "date" if literals is DAYS else "timestamp"
        if RELATIONS.index(relation) < 5 and self.rng.random() < 0.5:
            return self.rng.choice([{"property": columns[0]}, {kind: self.rng.choice(literals)}])
        first, last = sorted(self.rng.sample(literals, 2))
        start = self.rng.choice([{"property": columns[0]}, first, ".."])
        return {"interval": [start, self.rng.choice([{"property": columns[1]}, last, ".."])]}

    def space(self) -> Any:
        e, n = 500_000 + self.rng.randrange(20), 6_200_000 + self.rng.randrange(20)
        shape = self.rng.choice(
            [
                shapely.Point(e, n),
                shapely.box(e, n, e + 8, n + 8),
                shapely.LineString([(e, n), (e + 5, n + 3)]),
            ]
        )
        literal = _as_lists(shape.__geo_interface__)
        arguments = [{"property": "geometry"}, self.rng.choice([literal, literal, {"property": "geometry"}])]
        self.rng.shuffle(arguments)
        return self.op(f"s_{self.rng.choice(SPATIAL)}", *arguments)


def _as_lists(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _as_lists(value) for key, value in node.items()}
    return [_as_lists(value) for value in node] if isinstance(node, tuple) else node


@pytest.mark.parametrize("seed", range(5))
def test_random_filters_select_what_a_plain_evaluation_selects(
    view: deliveries.DatasetView, seed: int
) -> None:
    trees = Trees(seed)
    sizes = set()
    for _ in range(60):
        tree = {"op": "and", "args": [trees.tree(3)]}
        wanted = [NAMES_OF_ROWS[row] for row in range(ROWS) if decided(tree, row)]
        assert ids(view.read(FeatureQuery(filter=tree))) == wanted, tree
        assert view.count(FeatureQuery(filter=tree)) == len(wanted), tree
        sizes.add(len(wanted))
    assert len(sizes) > 15  # neither all nor nothing


def _interval(*ends: Any) -> dict[str, Any]:
    return {"interval": list(ends)}


@pytest.mark.parametrize("relation", RELATIONS)
def test_relations_of_literal_intervals_are_those_of_owl_time(
    view: deliveries.DatasetView, relation: str
) -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    stamps = [(start + timedelta(days=day)).strftime("%Y-%m-%dT00:00:00.000Z") for day in range(4)]
    spans = [_interval(a, b) for a in stamps for b in stamps if a < b]
    for one in spans:
        for other in spans:
            tree = {"op": relation, "args": [one, other]}
            assert view.count(FeatureQuery(filter=tree)) == (ROWS if decided(tree, 0) else 0), tree


@pytest.mark.parametrize("relation", RELATIONS[5:])
def test_relations_of_intervals_refuse_instants(view: deliveries.DatasetView, relation: str) -> None:
    for other in ({"property": "begun"}, {"date": "2020-01-01"}):
        with pytest.raises(InvalidFilter):
            view.count(FeatureQuery(filter={"op": relation, "args": [_interval("2020-01-01", ".."), other]}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_interval("2021-01-01", "2020-01-01"), {"property": "begun"}),
        (_interval("..", "not a day"), {"property": "begun"}),
        (_interval("2021-01-01", None), {"property": "begun"}),
        (_interval("2021-01-01", {"property": "name"}), {"property": "begun"}),
        ({"date": ".."}, {"property": "begun"}),
        ({"timestamp": "9999-12-31T23:59:59-14:00"}, {"property": "opens"}),
        ({"property": "begun"}, [1]),
        ({"property": "begun"}, 7),
    ],
)
def test_times_that_mean_nothing_are_refused(view: deliveries.DatasetView, one: Any, other: Any) -> None:
    with pytest.raises(InvalidFilter):
        view.count(FeatureQuery(filter={"op": "t_intersects", "args": [one, other]}))


def _mixed(*shapes: shapely.Geometry) -> dict[str, Any]:
    return {"type": "GeometryCollection", "geometries": [_as_lists(s.__geo_interface__) for s in shapes]}


def test_collections_of_geometries_are_their_union(view: deliveries.DatasetView) -> None:
    boxes = [shapely.box(500_000 + at, 6_200_000, 500_006 + at, 6_200_009) for at in (0, 4)]
    point = shapely.Point(500_017, 6_200_017)
    geometry = {"property": "geometry"}
    union = shapely.union_all(boxes)
    within = {"op": "s_within", "args": [geometry, _mixed(*boxes)]}
    inside = [
        name for name, s in zip(NAMES_OF_ROWS, SHAPES, strict=True) if s is not None and s.within(union)
    ]
    assert inside
    assert ids(view.read(FeatureQuery(filter=within))) == inside
    touching = {"op": "s_intersects", "args": [geometry, _mixed(*boxes, point)]}
    reached = [
        name
        for name, s in zip(NAMES_OF_ROWS, SHAPES, strict=True)
        if s is not None and (s.intersects(union) or s.intersects(point))
    ]
    assert ids(view.read(FeatureQuery(filter=touching))) == reached
    apart = {"op": "s_disjoint", "args": [geometry, _mixed(*boxes, point)]}
    with_shape = sum(s is not None for s in SHAPES)
    assert view.count(FeatureQuery(filter=apart)) == with_shape - len(reached)
    with pytest.raises(InvalidFilter):
        view.count(FeatureQuery(filter={"op": "s_touches", "args": [geometry, _mixed(*boxes, point)]}))
