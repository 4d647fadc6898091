"""Query expressions become SQL: CQL2 (its JSON tree), equality, order and keyset, for both engines.

Only names that the dataset's schema shows to clients are admitted, written as quoted identifiers; every value
is bound. Text compares by code point on both engines; nulls sort last ascending, first descending.
Rows are those of the table alias ``f``; coordinates in literals are EPSG:25832 metres.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from operator import eq, ge, gt, le, lt, ne
from typing import Any

import orjson
import shapely
from shapely.errors import ShapelyError

from geoinfra.crs import STORAGE_EPSG
from geoinfra.errors import InvalidFilter, InvalidInput
from geoinfra.tables import Column, ColumnType, DatasetSchema

__all__ = [
    "SPATIAL_OPERATORS",
    "TEXT_FUNCTIONS",
    "Bounds",
    "Condition",
    "Dialect",
    "after_condition",
    "equal_condition",
    "filter_condition",
    "order_by",
    "query_column",
]

type Bounds = tuple[float, float, float, float]
"""``(min_e, min_n, max_e, max_n)`` in EPSG:25832 metres."""

MAX_DEPTH = 32
MAX_NODES = 2000
MAX_VALUES = 5000
MAX_LITERAL_VERTICES = 20_000
MAX_PATTERN = 500

SPATIAL_OPERATORS = {
    "s_intersects": "Intersects",
    "s_within": "Within",
    "s_contains": "Contains",
    "s_disjoint": "Disjoint",
    "s_touches": "Touches",
    "s_crosses": "Crosses",
    "s_overlaps": "Overlaps",
    "s_equals": "Equals",
}
"""CQL2 operator -> the OGC Simple Features predicate it stands for."""

_COMPARISONS = frozenset({"=", "<>", "<", "<=", ">", ">="})
_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": eq,
    "<>": ne,
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
}
_RELATIONS: Mapping[str, tuple[str, tuple[tuple[str, str, str], ...]]] = {
    "t_after": ("AND", (("s1", ">", "e2"),)),
    "t_before": ("AND", (("e1", "<", "s2"),)),
    "t_disjoint": ("OR", (("e1", "<", "s2"), ("s1", ">", "e2"))),
    "t_equals": ("AND", (("s1", "=", "s2"), ("e1", "=", "e2"))),
    "t_intersects": ("AND", (("e1", ">=", "s2"), ("s1", "<=", "e2"))),
    "t_contains": ("AND", (("s1", "<", "s2"), ("e1", ">", "e2"))),
    "t_during": ("AND", (("s1", ">", "s2"), ("e1", "<", "e2"))),
    "t_finishedby": ("AND", (("s1", "<", "s2"), ("e1", "=", "e2"))),
    "t_finishes": ("AND", (("s1", ">", "s2"), ("e1", "=", "e2"))),
    "t_meets": ("AND", (("e1", "=", "s2"),)),
    "t_metby": ("AND", (("s1", "=", "e2"),)),
    "t_overlappedby": ("AND", (("s1", ">", "s2"), ("s1", "<", "e2"), ("e1", ">", "e2"))),
    "t_overlaps": ("AND", (("s1", "<", "s2"), ("e1", ">", "s2"), ("e1", "<", "e2"))),
    "t_startedby": ("AND", (("s1", "=", "s2"), ("e1", ">", "e2"))),
    "t_starts": ("AND", (("s1", "=", "s2"), ("e1", "<", "e2"))),
}  # OWL-Time: start and end of the first operand, of the second
_OF_INTERVALS = _RELATIONS.keys() - {"t_after", "t_before", "t_disjoint", "t_equals", "t_intersects"}
_DATE_CHARACTERS = 10
_FIRST_MOMENT, _LAST_MOMENT = "T00:00:00.000Z", "T23:59:59.999Z"
_MIRRORED = {"s_within": "s_contains", "s_contains": "s_within"}
_GEOMETRY_TYPES = frozenset(
    {"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection"}
)
_FEATURE_ID = Column("feature_id")
_TEXT = frozenset({ColumnType.TEXT, ColumnType.JSON})
_NUMBER = frozenset({ColumnType.INTEGER, ColumnType.REAL})
_LITERALS: tuple[tuple[type, ColumnType], ...] = (
    (bool, ColumnType.BOOLEAN),
    (str, ColumnType.TEXT),
    (int, ColumnType.INTEGER),
    (float, ColumnType.REAL),
)
_INT64 = 2**63
_MOST_FUNCTIONS = 4
_MARKS = re.compile("[\u0300-\u036f]")
_STROKED, _UNSTROKED = "ØøŁłĐđ", "OoLlDd"
_STROKES = str.maketrans(_STROKED, _UNSTROKED)


class Dialect(StrEnum):
    """The SQL that is written."""

    SQLITE = "sqlite"
    POSTGIS = "postgis"

    @property
    def placeholder(self) -> str:
        """Mark of a bound value."""
        return "?" if self is Dialect.SQLITE else "%s"

    def null(self, column: Column) -> str:
        """Stand-in for a column that an older delivery lacks."""
        if self is Dialect.SQLITE:
            return "NULL"
        kinds = {ColumnType.INTEGER: "bigint", ColumnType.REAL: "float8", ColumnType.BOOLEAN: "boolean"}
        return f"NULL::{kinds.get(column.type, 'text')}"

    def applied(self, functions: Sequence[str], text: str) -> str:
        """Apply ``casei`` (lower case over all of Unicode) and ``accenti``; results compare by code point."""
        for name in functions:
            if self is Dialect.SQLITE:
                text = f"geoinfra_{name}({text})"
            elif name == "casei":
                text = f'(lower(({text})::text COLLATE "und-x-icu") COLLATE "C")'
            else:
                bare = f"regexp_replace(normalize(({text})::text, NFD), '[\\u0300-\\u036f]', '', 'g')"
                text = f"(translate({bare}, '{_STROKED}', '{_UNSTROKED}') COLLATE \"C\")"
        return text

    def as_text(self, mark: str) -> str:
        """Say that a bound value is a text, where nothing else tells."""
        return mark if self is Dialect.SQLITE else f'(({mark})::text COLLATE "C")'

    @property
    def shape_mark(self) -> str:
        """A bound geometry."""
        return "?" if self is Dialect.SQLITE else f"ST_GeomFromWKB(%s, {STORAGE_EPSG})"

    @property
    def own_shape(self) -> str:
        """The row's own geometry where a bound one may stand."""
        return "geoinfra_wkb(f.geom)" if self is Dialect.SQLITE else "f.geom"

    def spatial(self, operator: str, other: str) -> str:
        """Call of a spatial predicate with the row's geometry and another."""
        if self is Dialect.SQLITE:
            return f"geoinfra_{operator}(f.geom, {other})"
        return f"ST_{SPATIAL_OPERATORS[operator]}(f.geom, {other})"


@dataclass(frozen=True, slots=True)
class Condition:
    """A piece of a WHERE clause.

    Attributes
    ----------
    sql, parameters
        Text with placeholders, and what is bound to them.
    bounds
        Where known: no row outside these bounds can satisfy it. ``None`` says nothing.
    """

    sql: str
    parameters: tuple[Any, ...] = ()
    bounds: Bounds | None = None

    @classmethod
    def join(cls, word: str, conditions: Sequence[Condition]) -> Condition:
        """Join by ``AND`` or ``OR``; no conditions at all are true for ``AND``, false for ``OR``."""
        if not conditions:
            return cls("1=1" if word == "AND" else "1=0")
        sql = "(" + f" {word} ".join(c.sql for c in conditions) + ")"
        parameters = tuple(value for c in conditions for value in c.parameters)
        bounds = _narrowed([c.bounds for c in conditions]) if word == "AND" else None
        return cls(sql, parameters, bounds)


def _narrowed(boxes: Sequence[Bounds | None]) -> Bounds | None:
    """Box that a row's bounds must touch when they must touch each; may be inverted, which is meant."""
    known = [box for box in boxes if box is not None]
    if not known:
        return None
    min_e, min_n, max_e, max_n = zip(*known, strict=True)
    return max(min_e), max(min_n), min(max_e), min(max_n)


def query_column(schema: DatasetSchema, name: object) -> Column:
    """Return the public column (or ``feature_id``) that a client may use in a query.

    Raises
    ------
    InvalidFilter
        There is none of that name; internal columns are not told apart from missing ones.
    """
    if name == "feature_id":
        return _FEATURE_ID
    try:
        column = schema.column(str(name))
    except InvalidInput as error:
        raise InvalidFilter(
            f"{schema.name} has no attribute '{str(name)[:80]}'.",
            hint=error.hint,
            details={"attribute": str(name)[:80]},
        ) from None
    if column.type is ColumnType.BLOB:
        raise InvalidFilter(
            f"'{column.name}' holds bytes and cannot be queried.", details={"attribute": column.name}
        )
    return column


def filter_condition(
    tree: Mapping[str, Any], schema: DatasetSchema, dialect: Dialect, stored: DatasetSchema | None = None
) -> Condition:
    """Compile a CQL2 JSON tree.

    Parameters
    ----------
    tree
        For instance ``{"op": "=", "args": [{"property": "kind"}, "line"]}``.
    schema
        Names that clients may use.
    stored
        Schema of the delivery that is read; columns it lacks are null. ``None``: the same.

    Raises
    ------
    InvalidFilter
        An unknown attribute or operator, a value of the wrong type, a tree that is too large.
    """
    return _Compiler(schema, dialect, stored or schema).predicate(tree, 0)


def equal_condition(
    equal: Mapping[str, Sequence[Any]],
    schema: DatasetSchema,
    dialect: Dialect,
    stored: DatasetSchema | None = None,
) -> Condition:
    """Compile ``FeatureQuery.equal``: every name must have one of its values; ``None`` admits null."""
    compiler = _Compiler(schema, dialect, stored or schema)
    return Condition.join("AND", [compiler.one_of(name, values) for name, values in equal.items()])


def order_by(
    sort: Sequence[tuple[str, bool]],
    schema: DatasetSchema,
    dialect: Dialect,
    stored: DatasetSchema | None = None,
) -> str:
    """Write the ORDER BY list; the row number comes last, so that the order is total."""
    compiler = _Compiler(schema, dialect, stored or schema)
    terms = []
    for name, descending in sort:
        column = compiler.sql_of(query_column(schema, name))
        terms.append(f"{column} DESC NULLS FIRST" if descending else f"{column} ASC NULLS LAST")
    return ", ".join([*terms, "f.fid"])


def after_condition(
    sort: Sequence[tuple[str, bool]],
    values: Sequence[Any],
    row: int,
    schema: DatasetSchema,
    dialect: Dialect,
    stored: DatasetSchema | None = None,
) -> Condition:
    """Compile *comes after the row with these sort values and number* in the order of :func:`order_by`."""
    compiler = _Compiler(schema, dialect, stored or schema)
    condition = Condition(f"f.fid > {dialect.placeholder}", (row,))
    for (name, descending), value in reversed(list(zip(sort, values, strict=True))):
        column = compiler.sql_of(query_column(schema, name))
        beyond, same = _beyond(column, descending, value, dialect.placeholder)
        condition = Condition.join("OR", [beyond, Condition.join("AND", [same, condition])])
    return condition


def _beyond(column: str, descending: bool, value: Any, mark: str) -> tuple[Condition, Condition]:
    """Conditions *sorts strictly after* and *sorts equal* for one sort column."""
    if value is None:
        later = Condition(f"{column} IS NOT NULL" if descending else "1=0")
        return later, Condition(f"{column} IS NULL")
    if descending:
        return Condition(f"{column} < {mark}", (value,)), Condition(f"{column} = {mark}", (value,))
    later = Condition(f"({column} > {mark} OR {column} IS NULL)", (value,))
    return later, Condition(f"{column} = {mark}", (value,))


@dataclass(frozen=True, slots=True)
class _Operand:
    """A column or a literal, and the functions that are applied to it, innermost first."""

    column: Column | None
    value: Any = None
    kind: ColumnType | None = None
    functions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _End:
    """One end of a temporal operand: a column, a literal, or open (-1: to the past, 1: to the future)."""

    column: Column | None = None
    text: str = ""
    open: int = 0

    @property
    def is_fine(self) -> bool:
        """Whether it tells a time of the day."""
        if self.column is not None:
            return self.column.type is ColumnType.DATETIME
        return not self.open and len(self.text) != _DATE_CHARACTERS


@dataclass(frozen=True, slots=True)
class _Span:
    """A temporal operand; both ends belong to it."""

    start: _End
    end: _End
    is_interval: bool


class _Compiler:
    """One expression over one dataset in one dialect."""

    def __init__(self, schema: DatasetSchema, dialect: Dialect, stored: DatasetSchema) -> None:
        self.schema = schema
        self.dialect = dialect
        self.stored = {column.name: column.type for column in stored.columns}
        self.nodes = 0

    def sql_of(self, column: Column) -> str:
        """Quoted name, or null where the delivery lacks the column or has it with another type."""
        if column is _FEATURE_ID or self.stored.get(column.name) is column.type:
            return f'f."{column.name}"'
        return self.dialect.null(column)

    def predicate(self, node: Any, depth: int) -> Condition:
        """Compile one boolean expression."""
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise InvalidFilter(
                "The filter is too deep or too long.", hint=f"At most {MAX_NODES} expressions."
            )
        if isinstance(node, bool):
            return _constant(node)
        if isinstance(node, Mapping) and "property" in node:
            return self._compare("=", self._operand(node), _Operand(None, True, ColumnType.BOOLEAN))
        operator, arguments = _operation(node)
        if operator in ("and", "or"):
            parts = [self.predicate(argument, depth + 1) for argument in arguments]
            return Condition.join(operator.upper(), parts)
        if operator == "not":
            (argument,) = _exactly(arguments, 1, operator)
            inner = self.predicate(argument, depth + 1)
            return Condition(f"(NOT {inner.sql})", inner.parameters)
        return self._leaf(operator, arguments)

    def _leaf(self, operator: str, arguments: Sequence[Any]) -> Condition:
        if operator in _COMPARISONS:
            left, right = (self._operand(a) for a in _exactly(arguments, 2, operator))
            return self._compare(operator, left, right)
        if operator == "between":
            value, low, high = (self._operand(a) for a in _exactly(arguments, 3, operator))
            return Condition.join("AND", [self._compare(">=", value, low), self._compare("<=", value, high)])
        if operator == "in":
            return self._in(*_exactly(arguments, 2, operator))
        if operator == "like":
            return self._like(*_exactly(arguments, 2, operator))
        if operator == "isnull":
            return self._is_null(*_exactly(arguments, 1, operator))
        if operator in SPATIAL_OPERATORS:
            return self._spatial(operator, *_exactly(arguments, 2, operator))
        if operator in _RELATIONS:
            return self._temporal(operator, *_exactly(arguments, 2, operator))
        raise InvalidFilter(
            f"The operator '{operator[:40]}' is not known here.", details={"operator": operator[:40]}
        )

    # Scalars

    def _operand(self, node: Any, depth: int = 0) -> _Operand:
        if isinstance(node, Mapping):
            if "property" in node:
                return _Operand(query_column(self.schema, node["property"]))
            if str(node.get("op")).lower() in TEXT_FUNCTIONS and depth < _MOST_FUNCTIONS:
                return self._function(node, depth)
            for name, kind in (("date", ColumnType.DATE), ("timestamp", ColumnType.DATETIME)):
                if name in node:
                    return _Operand(None, node[name], kind)
        for type_, kind in _LITERALS:
            if isinstance(node, type_):
                return _Operand(None, node, kind)
        raise InvalidFilter("An attribute or a value was expected.", details={"found": str(node)[:80]})

    def _function(self, node: Any, depth: int) -> _Operand:
        name, arguments = _operation(node)
        (argument,) = _exactly(arguments, 1, name)
        inner = self._operand(argument, depth + 1)
        kind = inner.kind if inner.column is None else inner.column.type
        if kind not in _TEXT:
            what = "this" if inner.column is None else f"'{inner.column.name}'"
            raise InvalidFilter(f"{name} is for texts, and {what} is none.")
        return _Operand(inner.column, inner.value, inner.kind, (*inner.functions, name))

    def _sql(self, operand: _Operand, like: Column) -> tuple[str, tuple[Any, ...]]:
        """SQL of an operand that is compared with the column `like`."""
        if operand.column is not None:
            if not _comparable(operand.column.type, like.type):
                raise InvalidFilter(f"'{operand.column.name}' and '{like.name}' cannot be compared.")
            return self.dialect.applied(operand.functions, self.sql_of(operand.column)), ()
        mark = self.dialect.applied(operand.functions, self.dialect.placeholder)
        return mark, (_bound(operand.value, like),)

    def _compare(self, operator: str, left: _Operand, right: _Operand) -> Condition:
        column = left.column or right.column
        if column is None:
            return _constant(_ORDER[operator](*_literals(left, right)))
        left_sql, left_bound = self._sql(left, column)
        right_sql, right_bound = self._sql(right, column)
        return Condition(f"{left_sql} {operator} {right_sql}", left_bound + right_bound)

    def one_of(self, name: str, values: Sequence[Any]) -> Condition:
        """A column has one of these values."""
        column = query_column(self.schema, name)
        some = [_Operand(None, value) for value in _bounded(values) if value is not None]
        absent = [Condition(f"{self.sql_of(column)} IS NULL")] if len(some) < len(values) else []
        if not some:
            return Condition.join("OR", absent)
        return Condition.join("OR", [self._list(_Operand(column), some), *absent])

    def _list(self, operand: _Operand, choices: Sequence[_Operand]) -> Condition:
        assert operand.column is not None  # noqa: S101  # the callers looked it up
        left, left_bound = self._sql(operand, operand.column)
        found = [self._sql(choice, operand.column) for choice in choices]
        bound = tuple(value for _mark, values in found for value in values)
        return Condition(f"{left} IN ({', '.join(mark for mark, _values in found)})", left_bound + bound)

    def _in(self, value: Any, choices: Any) -> Condition:
        operand = self._operand(value)
        if not isinstance(choices, list):
            raise InvalidFilter("'in' needs a value and a list.")
        found = [self._operand(choice) for choice in _bounded(choices)]
        if operand.column is not None and found:
            return self._list(operand, found)
        return Condition.join("OR", [self._compare("=", operand, choice) for choice in found])

    def _like(self, value: Any, pattern: Any) -> Condition:
        operand, wanted = self._operand(value), self._operand(pattern)
        kind = operand.kind if operand.column is None else operand.column.type
        if kind not in _TEXT or wanted.column is not None or not isinstance(wanted.value, str):
            raise InvalidFilter("'like' needs a text and a pattern.")
        if len(wanted.value) > MAX_PATTERN:
            raise InvalidFilter("The pattern is too long.", hint=f"At most {MAX_PATTERN} characters.")
        left, left_bound = self._sql(operand, operand.column or _FEATURE_ID)
        if operand.column is None:
            left = self.dialect.as_text(left)
        mark = self.dialect.applied(wanted.functions, self.dialect.placeholder)
        word = "GLOB" if self.dialect is Dialect.SQLITE else "LIKE"
        text = _plain_text(wanted.value)
        return Condition(f"{left} {word} {mark}", (*left_bound, _pattern(text, self.dialect)))

    def _is_null(self, value: Any) -> Condition:
        if isinstance(value, Mapping) and value.get("property") == "geometry":
            return Condition("f.geom IS NULL")
        operand = self._operand(value)
        if operand.column is None:
            raise InvalidFilter("'isNull' needs an attribute.")
        return Condition(f"{self.sql_of(operand.column)} IS NULL")

    # Geometries

    def _spatial(self, operator: str, first: Any, second: Any) -> Condition:
        if _is_geometry_property(second) and not _is_geometry_property(first):
            first, second, operator = second, first, _MIRRORED.get(operator, operator)
        if _is_geometry_property(second):
            return Condition(self.dialect.spatial(operator, self.dialect.own_shape))
        literal = _geometry(second)
        if not _is_geometry_property(first):
            return _constant(
                bool(getattr(shapely, SPATIAL_OPERATORS[operator].lower())(_geometry(first), literal))
            )
        if _is_collection(literal):
            return self._mixed(operator, shapely.get_parts(literal).tolist())
        return self._against(operator, literal)

    def _mixed(self, operator: str, parts: Sequence[shapely.Geometry]) -> Condition:
        """Compare with points, lines and areas together: only what can be said of each part."""
        if operator not in ("s_intersects", "s_disjoint"):
            raise InvalidFilter(
                f"'{operator}' is not defined for a collection of points, lines and areas.",
                hint="Compare with each kind, or use S_INTERSECTS or S_DISJOINT.",
            )
        by_dimension: dict[int, list[shapely.Geometry]] = {}
        for part in parts:
            by_dimension.setdefault(int(shapely.get_dimensions(part)), []).append(part)
        conditions = [self._against(operator, shapely.union_all(some)) for some in by_dimension.values()]
        return Condition.join("OR" if operator == "s_intersects" else "AND", conditions)

    def _against(self, operator: str, literal: shapely.Geometry) -> Condition:
        box: Bounds = tuple(shapely.bounds(literal).tolist())
        bounds = None if operator == "s_disjoint" else box
        sql = self.dialect.spatial(operator, self.dialect.shape_mark)
        return Condition(sql, (shapely.to_wkb(literal, byte_order=1),), bounds)

    # Times

    def _temporal(self, operator: str, first: Any, second: Any) -> Condition:
        spans = [self._span(first), self._span(second)]
        if operator in _OF_INTERVALS and not all(span.is_interval for span in spans):
            raise InvalidFilter(
                f"'{operator}' compares intervals, and one side is an instant.",
                hint="Write INTERVAL(start, end), or use T_INTERSECTS.",
            )
        ends = [end for span in spans for end in (span.start, span.end)]
        fine = any(end.is_fine for end in ends)
        sides = {name: ends[at] for at, name in enumerate(("s1", "e1", "s2", "e2"))}
        word, tests = _RELATIONS[operator]
        compared = [self._ends(sign, sides, one, other, fine) for one, sign, other in tests]
        return Condition.join(word, compared)

    def _span(self, node: Any) -> _Span:
        limits = node.get("interval") if isinstance(node, Mapping) else None
        if limits is None:
            end = self._end(node, 0)
            return _Span(end, end, is_interval=False)
        if not isinstance(limits, list) or len(limits) != 2:
            raise InvalidFilter("An interval has two ends.", hint="INTERVAL('2026-01-01', '..')")
        start, end = self._end(limits[0], -1), self._end(limits[1], 1)
        fine = start.is_fine or end.is_fine
        if start.text and end.text and _time(start.text, fine) > _time(end.text, fine, last=True):
            raise InvalidFilter("The interval ends before it begins.")
        return _Span(start, end, is_interval=True)

    def _end(self, node: Any, towards: int) -> _End:
        if isinstance(node, Mapping) and "property" in node:
            column = query_column(self.schema, node["property"])
            if column.type not in (ColumnType.DATE, ColumnType.DATETIME):
                raise InvalidFilter(f"'{column.name}' holds no dates or times.")
            return _End(column)
        if isinstance(node, Mapping):
            node = node.get("date", node.get("timestamp"))
        if towards and node == "..":
            return _End(open=towards)
        if not isinstance(node, str):
            raise InvalidFilter("A date, a timestamp, an interval or an attribute of times was expected.")
        _time(node, fine=len(node) != _DATE_CHARACTERS)  # refuses what is no time
        return _End(text=node)

    def _ends(self, sign: str, sides: Mapping[str, _End], one: str, other: str, fine: bool) -> Condition:
        """Compare two ends; those of operands called `s…` are starts, and `e…` ends."""
        left, right = sides[one], sides[other]
        columns = [end.column for end in (left, right) if end.column is not None]
        if left.open or right.open:
            verdict = _ORDER[sign](left.open, right.open)
            return self._unless_null(columns[0], verdict) if columns else _constant(verdict)
        if not columns:
            times = (
                _time(left.text, fine, last=one[0] == "e"),
                _time(right.text, fine, last=other[0] == "e"),
            )
            return _constant(_ORDER[sign](*times))
        left_sql, left_bound = self._end_sql(left, fine, last=one[0] == "e")
        right_sql, right_bound = self._end_sql(right, fine, last=other[0] == "e")
        return Condition(f"{left_sql} {sign} {right_sql}", left_bound + right_bound)

    def _end_sql(self, end: _End, fine: bool, *, last: bool) -> tuple[str, tuple[Any, ...]]:
        if end.column is None:
            return self.dialect.placeholder, (_time(end.text, fine, last=last),)
        text = self.sql_of(end.column)
        if fine and end.column.type is ColumnType.DATE:
            return f"({text} || '{_LAST_MOMENT if last else _FIRST_MOMENT}')", ()
        return text, ()

    def _unless_null(self, column: Column, verdict: bool) -> Condition:
        """Make a verdict that holds for every value, and is unknown for null."""
        sql = self.sql_of(column)
        return Condition(f"({sql} IS NOT NULL OR NULL)" if verdict else f"({sql} IS NULL AND NULL)")


def without_accents(text: str) -> str:
    """Return the text without diacritics: letters are taken apart, and marks dropped; ø, ł and đ too."""
    return _MARKS.sub("", unicodedata.normalize("NFD", text)).translate(_STROKES)


TEXT_FUNCTIONS: Mapping[str, Callable[[str], str]] = {"casei": str.lower, "accenti": without_accents}
"""CQL2 function -> what it makes of a text; the embedded engine calls these by ``geoinfra_<name>``."""


def _constant(verdict: bool) -> Condition:
    return Condition("1=1" if verdict else "1=0")


def _literals(left: _Operand, right: _Operand) -> tuple[Any, Any]:
    """Values of two literals that may be compared, with their functions applied."""
    kinds = {left.kind, right.kind}
    if len(kinds) > 1 and not kinds <= _NUMBER:
        raise InvalidFilter("Values of two kinds cannot be compared.")
    found = []
    for operand in (left, right):
        value = _bound(operand.value, Column("value", operand.kind or ColumnType.TEXT))
        for name in operand.functions:
            value = TEXT_FUNCTIONS[name](value)
        found.append(value)
    return found[0], found[1]


def _operation(node: Any) -> tuple[str, Sequence[Any]]:
    if not isinstance(node, Mapping) or not isinstance(node.get("op"), str):
        raise InvalidFilter("An expression {op, args} was expected.", details={"found": str(node)[:80]})
    arguments = node.get("args")
    if not isinstance(arguments, list):
        raise InvalidFilter(f"'{node['op'][:40]}' needs a list 'args'.")
    return node["op"].lower(), arguments


def _exactly(arguments: Sequence[Any], number: int, operator: str) -> Sequence[Any]:
    if len(arguments) != number:
        raise InvalidFilter(f"'{operator}' takes {number} arguments, not {len(arguments)}.")
    return arguments


def _bounded(values: Sequence[Any]) -> Sequence[Any]:
    if len(values) > MAX_VALUES:
        raise InvalidFilter("The list of values is too long.", hint=f"At most {MAX_VALUES} values.")
    return values


def _comparable(one: ColumnType, other: ColumnType) -> bool:
    return one is other or {one, other} <= _TEXT or {one, other} <= _NUMBER


def _bound(value: Any, column: Column) -> Any:
    """The value as it is bound where it meets `column`."""
    kind = column.type
    if kind in _TEXT and isinstance(value, str):
        return _plain_text(value)
    if kind in _NUMBER and isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value)
    if kind is ColumnType.BOOLEAN and isinstance(value, bool):
        return value
    if kind is ColumnType.DATE and isinstance(value, str):
        return _time(value, fine=False)
    if kind is ColumnType.DATETIME and isinstance(value, str):
        return _time(value, fine=True)
    raise InvalidFilter(
        f"'{column.name}' holds {kind} values, and this is none.",
        details={"attribute": column.name, "found": str(value)[:80]},
    )


def _plain_text(value: str) -> str:
    if "\x00" in value or (not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value)):
        raise InvalidFilter("The text holds characters that no text can hold.")
    return value


def _number(value: int | float) -> int | float:
    """An int where it is whole and fits 64 bits (exact on both engines), else a finite float."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidFilter("A number must be finite.")
    if value == int(value) and -_INT64 <= value < _INT64:
        return int(value)
    try:
        return float(value)
    except OverflowError:
        raise InvalidFilter("The number is too large.") from None


def _time(value: str, fine: bool, *, last: bool = False) -> str:
    """Write a date or time as the store does: the day, or (`fine`) the moment in UTC with milliseconds.

    Parameters
    ----------
    last
        A day becomes its last moment, not its first.
    """
    try:
        if len(value) == _DATE_CHARACTERS:
            day = date.fromisoformat(value).isoformat()
            return day + (_LAST_MOMENT if last else _FIRST_MOMENT) if fine else day
        moment = datetime.fromisoformat(value)
        moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidFilter(f"'{value[:40]}' is no ISO 8601 {'time' if fine else 'date'}.") from None
    written = moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    return written if fine else written[:_DATE_CHARACTERS]


def _pattern(pattern: str, dialect: Dialect) -> str:
    """Rewrite a CQL2 pattern (``%``, ``_``, backslash escapes) as GLOB or LIKE."""
    out: list[str] = []
    characters = iter(pattern)
    for character in characters:
        literal = character
        if character == "\\":
            literal = next(characters, "\\")
        elif character in "%_":
            wild = {"%": "*", "_": "?"}[character] if dialect is Dialect.SQLITE else character
            out.append(wild)
            continue
        if dialect is Dialect.SQLITE:
            out.append(f"[{literal}]" if literal in "*?[" else literal)
        else:
            out.append("\\" + literal if literal in "%_\\" else literal)
    return "".join(out)


def _is_geometry_property(node: Any) -> bool:
    return isinstance(node, Mapping) and node.get("property") in ("geometry", "geom")


def _is_collection(geometry: shapely.Geometry) -> bool:
    return bool(shapely.get_type_id(geometry) == shapely.GeometryType.GEOMETRYCOLLECTION)


def _geometry(node: Any) -> shapely.Geometry:
    """Read a GeoJSON or bbox literal, already in EPSG:25832."""
    if not isinstance(node, Mapping):
        raise InvalidFilter("A GeoJSON geometry or a bbox was expected.")
    if "bbox" in node:
        geometry: shapely.Geometry = _box(node["bbox"])
    elif node.get("type") in _GEOMETRY_TYPES:
        try:
            geometry = shapely.force_2d(shapely.from_geojson(orjson.dumps(dict(node))))
        except (ShapelyError, TypeError, ValueError):
            raise InvalidFilter("The GeoJSON geometry cannot be read.") from None
    else:
        raise InvalidFilter("A GeoJSON geometry or a bbox was expected.", details={"found": str(node)[:80]})
    if shapely.is_empty(geometry) or shapely.get_num_coordinates(geometry) > MAX_LITERAL_VERTICES:
        raise InvalidFilter(
            "The geometry is empty or has too many vertices.", hint=f"At most {MAX_LITERAL_VERTICES}."
        )
    if not shapely.is_valid(geometry):
        raise InvalidFilter(
            "The geometry is not valid.", details={"reason": shapely.is_valid_reason(geometry)}
        )
    return shapely.union_all([geometry]) if _is_collection(geometry) else geometry


def _box(numbers: Any) -> Any:
    good = isinstance(numbers, list) and len(numbers) in (4, 6)
    if not good or not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
        raise InvalidFilter("A bbox has four or six finite numbers.")
    half = len(numbers) // 2
    return shapely.box(numbers[0], numbers[1], numbers[half], numbers[half + 1])
