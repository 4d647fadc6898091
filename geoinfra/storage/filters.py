"""Query expressions become SQL: CQL2 (its JSON tree), equality, order and keyset, for both engines.

Only names that the dataset's schema shows to clients are admitted, written as quoted identifiers; every value
is bound. Text compares by code point on both engines; nulls sort last ascending, first descending.
Rows are those of the table alias ``f``; coordinates in literals are EPSG:25832 metres.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

import orjson
import shapely
from shapely.errors import ShapelyError

from geoinfra.crs import STORAGE_EPSG
from geoinfra.errors import InvalidFilter, InvalidInput
from geoinfra.tables import Column, ColumnType, DatasetSchema

__all__ = [
    "SPATIAL_OPERATORS",
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
_TEMPORAL = frozenset({"t_after", "t_before", "t_during", "t_equals", "t_intersects"})
_MIRRORED = {"s_within": "s_contains", "s_contains": "s_within"}
_GEOMETRY_TYPES = frozenset(
    {"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon"}
)
_FEATURE_ID = Column("feature_id")
_TEXT = frozenset({ColumnType.TEXT, ColumnType.JSON})
_NUMBER = frozenset({ColumnType.INTEGER, ColumnType.REAL})
_INT64 = 2**63


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

    def folded(self, text: str) -> str:
        """Lower case over all of Unicode (Æ, Ø and Å too), compared by code point."""
        if self is Dialect.SQLITE:
            return f"geoinfra_lower({text})"
        return f'(lower(({text})::text COLLATE "und-x-icu") COLLATE "C")'

    def spatial(self, operator: str) -> str:
        """Call of a spatial predicate with the row's geometry and one bound WKB."""
        if self is Dialect.SQLITE:
            return f"geoinfra_{operator}(f.geom, ?)"
        return f"ST_{SPATIAL_OPERATORS[operator]}(f.geom, ST_GeomFromWKB(%s, {STORAGE_EPSG}))"


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
    """A column or a literal, perhaps folded to lower case."""

    column: Column | None
    value: Any = None
    folded: bool = False


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
            return Condition("1=1" if node else "1=0")
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
        if operator == "isNull":
            return self._is_null(*_exactly(arguments, 1, operator))
        if operator in SPATIAL_OPERATORS:
            return self._spatial(operator, *_exactly(arguments, 2, operator))
        if operator in _TEMPORAL:
            return self._temporal(operator, *_exactly(arguments, 2, operator))
        raise InvalidFilter(
            f"The operator '{operator[:40]}' is not known here.", details={"operator": operator[:40]}
        )

    def _operand(self, node: Any) -> _Operand:
        if isinstance(node, Mapping):
            if "property" in node:
                return _Operand(query_column(self.schema, node["property"]))
            if node.get("op") == "casei":
                (argument,) = _exactly(_operation(node)[1], 1, "casei")
                inner = self._operand(argument)
                if inner.column is not None and inner.column.type not in _TEXT:
                    raise InvalidFilter(f"casei is for texts, and '{inner.column.name}' is none.")
                return _Operand(inner.column, inner.value, folded=True)
            for kind in ("date", "timestamp"):
                if kind in node:
                    return _Operand(None, node[kind])
        if isinstance(node, str | int | float):
            return _Operand(None, node)
        raise InvalidFilter("An attribute or a value was expected.", details={"found": str(node)[:80]})

    def _sql(self, operand: _Operand, like: Column) -> tuple[str, tuple[Any, ...]]:
        """SQL of an operand that is compared with the column `like`."""
        if operand.column is not None:
            if not _comparable(operand.column.type, like.type):
                raise InvalidFilter(f"'{operand.column.name}' and '{like.name}' cannot be compared.")
            text = self.sql_of(operand.column)
            return (self.dialect.folded(text) if operand.folded else text), ()
        mark = self.dialect.placeholder
        return (self.dialect.folded(mark) if operand.folded else mark), (_bound(operand.value, like),)

    def _compare(self, operator: str, left: _Operand, right: _Operand) -> Condition:
        column = left.column or right.column
        if column is None:
            raise InvalidFilter("A comparison needs an attribute on one side.")
        if column.type is ColumnType.BOOLEAN and operator not in ("=", "<>"):
            raise InvalidFilter(f"'{column.name}' is true or false; it has no order.")
        left_sql, left_bound = self._sql(left, column)
        right_sql, right_bound = self._sql(right, column)
        return Condition(f"{left_sql} {operator} {right_sql}", left_bound + right_bound)

    def one_of(self, name: str, values: Sequence[Any]) -> Condition:
        """A column has one of these values."""
        column = query_column(self.schema, name)
        some = [
            self._compare("=", _Operand(column), _Operand(None, v)) for v in _bounded(values) if v is not None
        ]
        absent = [Condition(f"{self.sql_of(column)} IS NULL")] if any(v is None for v in values) else []
        if some and not absent:
            return self._list(_Operand(column), values)
        return Condition.join("OR", some + absent)

    def _list(self, operand: _Operand, values: Sequence[Any]) -> Condition:
        assert operand.column is not None  # noqa: S101  # the callers looked it up
        left, left_bound = self._sql(operand, operand.column)
        mark = self.dialect.placeholder
        mark = self.dialect.folded(mark) if operand.folded else mark
        bound = tuple(_bound(value, operand.column) for value in values)
        return Condition(f"{left} IN ({', '.join([mark] * len(bound))})", left_bound + bound)

    def _in(self, value: Any, choices: Any) -> Condition:
        operand = self._operand(value)
        if operand.column is None or not isinstance(choices, list):
            raise InvalidFilter("'in' needs an attribute and a list.")
        plain = [self._operand(choice).value for choice in _bounded(choices)]
        return self._list(operand, plain) if plain else Condition("1=0")

    def _like(self, value: Any, pattern: Any) -> Condition:
        operand, wanted = self._operand(value), self._operand(pattern)
        if operand.column is None or operand.column.type not in _TEXT or not isinstance(wanted.value, str):
            raise InvalidFilter("'like' needs a text attribute and a pattern.")
        if len(wanted.value) > MAX_PATTERN:
            raise InvalidFilter("The pattern is too long.", hint=f"At most {MAX_PATTERN} characters.")
        left, left_bound = self._sql(_Operand(operand.column, None, operand.folded), operand.column)
        mark = self.dialect.placeholder
        mark = self.dialect.folded(mark) if wanted.folded else mark
        word = "GLOB" if self.dialect is Dialect.SQLITE else "LIKE"
        text = str(_bound(wanted.value, operand.column))
        return Condition(f"{left} {word} {mark}", (*left_bound, _pattern(text, self.dialect)))

    def _is_null(self, value: Any) -> Condition:
        if isinstance(value, Mapping) and value.get("property") == "geometry":
            return Condition("f.geom IS NULL")
        operand = self._operand(value)
        if operand.column is None:
            raise InvalidFilter("'isNull' needs an attribute.")
        return Condition(f"{self.sql_of(operand.column)} IS NULL")

    def _spatial(self, operator: str, first: Any, second: Any) -> Condition:
        if _is_geometry_property(second) and not _is_geometry_property(first):
            first, second, operator = second, first, _MIRRORED.get(operator, operator)
        if not _is_geometry_property(first):
            raise InvalidFilter("A spatial operator needs the property 'geometry' and a geometry.")
        literal = _geometry(second)
        box: Bounds = tuple(shapely.bounds(literal).tolist())
        bounds = None if operator == "s_disjoint" else box
        return Condition(self.dialect.spatial(operator), (shapely.to_wkb(literal, byte_order=1),), bounds)

    def _temporal(self, operator: str, value: Any, moment: Any) -> Condition:
        operand = self._operand(value)
        column = operand.column
        if column is None or column.type not in (ColumnType.DATE, ColumnType.DATETIME):
            raise InvalidFilter("A temporal operator needs an attribute that holds dates or times.")
        start, end = _interval(moment)
        tests = {
            "t_after": ((">", end),),
            "t_before": (("<", start),),
            "t_during": ((">", start), ("<", end)),
            "t_equals": (("=", start), ("=", end)),
            "t_intersects": ((">=", start), ("<=", end)),
        }[operator]
        if operator in ("t_after", "t_before") and tests[0][1] == "..":
            return Condition("1=0")
        bounded = [(sign, limit) for sign, limit in tests if limit != ".."]
        parts = [self._compare(sign, operand, _Operand(None, limit)) for sign, limit in bounded]
        return Condition.join("AND", [*parts, Condition(f"{self.sql_of(column)} IS NOT NULL")])


def _operation(node: Any) -> tuple[str, Sequence[Any]]:
    if not isinstance(node, Mapping) or not isinstance(node.get("op"), str):
        raise InvalidFilter("An expression {op, args} was expected.", details={"found": str(node)[:80]})
    arguments = node.get("args")
    if not isinstance(arguments, list):
        raise InvalidFilter(f"'{node['op'][:40]}' needs a list 'args'.")
    return node["op"], arguments


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
    if kind in (ColumnType.DATE, ColumnType.DATETIME) and isinstance(value, str):
        return _moment(value, kind)
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


def _moment(value: str, kind: ColumnType) -> str:
    try:
        if kind is ColumnType.DATE:
            return date.fromisoformat(value[:10]).isoformat()
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise InvalidFilter(f"'{value[:40]}' is no ISO 8601 {kind}.") from None
    moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _interval(node: Any) -> tuple[str, str]:
    """Start and end of a CQL2 temporal literal; ``..`` is open."""
    if isinstance(node, Mapping) and isinstance(node.get("interval"), list) and len(node["interval"]) == 2:
        start, end = (_instant(limit) for limit in node["interval"])
        return start, end
    instant = _instant(node)
    return instant, instant


def _instant(node: Any) -> str:
    if isinstance(node, Mapping):
        node = node.get("date", node.get("timestamp"))
    if not isinstance(node, str):
        raise InvalidFilter("A date, a timestamp or an interval was expected.")
    return node


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
    return geometry


def _box(numbers: Any) -> Any:
    good = isinstance(numbers, list) and len(numbers) in (4, 6)
    if not good or not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
        raise InvalidFilter("A bbox has four or six finite numbers.")
    half = len(numbers) // 2
    return shapely.box(numbers[0], numbers[1], numbers[half], numbers[half + 1])
