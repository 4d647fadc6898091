"""Classes of features as conditions on attributes, which emitters write in the language of their target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from geoinfra.presentation.style_set import Alternative, ClassRow, Dimension, StyleSet, Test

__all__ = [
    "FALSE",
    "TRUE",
    "All",
    "Any_",
    "Condition",
    "Not",
    "bound",
    "class_condition",
    "classes_condition",
]


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds; without parts always true."""

    parts: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Any_:  # noqa: N801 - 'Any' is taken
    """At least one part holds; without parts never true."""

    parts: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Condition


type Condition = Test | All | Any_ | Not

TRUE: Final = All()
FALSE: Final = Any_()


def classes_condition(style_set: StyleSet, classes: Mapping[str, Sequence[str]]) -> Condition:
    """Return what holds for exactly the features of these classes: one of those named in each dimension."""
    return _all([class_condition(style_set.dimensions[name], keys) for name, keys in classes.items()])


def class_condition(dimension: Dimension, keys: Sequence[str]) -> Condition:
    """Return what holds for exactly the features of one of these classes of a dimension."""
    firm, some, rest = dimension.tiers
    if any(row.key in keys for row in rest):
        others = [row.key for row in dimension.classes if row.key not in keys]
        return _not(class_condition(dimension, others)) if others else TRUE
    found = [_when(row) for row in firm if row.key in keys]
    for row in some:
        if row.key in keys:
            rivals = [_when(other) for other in firm if _may_meet(row, other)]
            found.append(_all([_when(row), _not(_any(rivals))]))
    return _any(found)


def bound(condition: Condition, known: Mapping[str, frozenset[Any]]) -> Condition:
    """Simplify a condition for features of whose attributes only these values occur."""
    match condition:
        case Test():
            values = known.get(condition.attribute)
            if values is None:
                return condition
            held = {condition.admits(value) for value in values}
            return condition if len(held) > 1 else TRUE if held == {True} else FALSE
        case Not():
            return _not(bound(condition.part, known))
        case All():
            return _all([bound(part, known) for part in condition.parts])
        case _:
            return _any([bound(part, known) for part in condition.parts])


def _when(row: ClassRow) -> Condition:
    return _any([_all(list(tests)) for tests in row.when])


def _may_meet(one: ClassRow, other: ClassRow) -> bool:
    return any(_consistent(a, b) for a in one.when for b in other.when)


def _consistent(one: Alternative, other: Alternative) -> bool:
    admitted = {t.attribute: t.values for t in one if t.values is not None and not t.excluded}
    return all(
        test.values is None
        or test.excluded
        or admitted.get(test.attribute) is None
        or bool(admitted[test.attribute] & test.values)
        for test in other
    )


def _all(parts: Sequence[Condition]) -> Condition:
    flat: list[Condition] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, All) else [part])
    if FALSE in flat:
        return FALSE
    kept = tuple(dict.fromkeys(flat))
    return kept[0] if len(kept) == 1 else All(kept)


def _any(parts: Sequence[Condition]) -> Condition:
    flat: list[Condition] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, Any_) else [part])
    if TRUE in flat:
        return TRUE
    kept = _joined(list(dict.fromkeys(flat)))
    return kept[0] if len(kept) == 1 else Any_(tuple(kept))


def _joined(parts: list[Condition]) -> list[Condition]:
    """Join tests that ask the same attribute for values."""
    plain: dict[str, frozenset[Any]] = {}
    others: list[Condition] = []
    for part in parts:
        if isinstance(part, Test) and part.values is not None and not part.excluded:
            plain[part.attribute] = plain.get(part.attribute, frozenset()) | part.values
        else:
            others.append(part)
    return [*(Test(name, values) for name, values in plain.items()), *others]


def _not(part: Condition) -> Condition:
    match part:
        case Not():
            return part.part
        case Test() if part.values is not None:
            return Test(part.attribute, part.values, excluded=not part.excluded)
        case All() if not part.parts:
            return FALSE
        case Any_() if not part.parts:
            return TRUE
        case _:
            return Not(part)
