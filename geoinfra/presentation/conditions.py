"""Classes of features as conditions on attributes, which emitters write in the language of their target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from geoinfra.presentation.style_set import Alternative, ClassRow, Dimension, StyleSet, Test

__all__ = [
    "FALSE",
    "TRUE",
    "All",
    "Any_",
    "Condition",
    "all_of",
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


type Condition = Test | All | Any_

TRUE: Final = All()
FALSE: Final = Any_()


def classes_condition(style_set: StyleSet, classes: Mapping[str, Sequence[str]]) -> Condition:
    """Return what holds for exactly the features of these classes: one of those named in each dimension."""
    return all_of([class_condition(style_set.dimensions[name], keys) for name, keys in classes.items()])


def class_condition(dimension: Dimension, keys: Sequence[str]) -> Condition:
    """Return what holds for exactly the features of one of these classes of a dimension."""
    firm, some, rest = dimension.tiers
    if any(row.key in keys for row in rest):
        others = [row.key for row in dimension.classes if row.key not in keys]
        if not {row.key for row in firm} & set(keys):  # what the rest takes of the others matters no more
            return _not(_any([_when(row) for row in (*firm, *some) if row.key not in keys]))
        return _not(class_condition(dimension, others)) if others else TRUE
    found = [_when(row) for row in firm if row.key in keys]
    for row in some:
        if row.key in keys:
            rivals = _any([_when(other) for other in firm if _may_meet(row, other)])
            found.extend(all_of([*tests, _not(bound(rivals, _known(tests)))]) for tests in row.when)
    return _any(found)


def bound(condition: Condition, known: Mapping[str, frozenset[Any]]) -> Condition:
    """Simplify a condition for features of whose attributes only these values occur."""
    match condition:
        case Test():
            values = known.get(condition.attribute)
            if values is None:
                return condition
            held = {condition.admits(value) for value in values}
            if len(held) == 1:
                return TRUE if held == {True} else FALSE
            asked = condition.values
            return condition if asked is None else replace(condition, values=asked & values)
        case All():
            return all_of([bound(part, known) for part in condition.parts])
        case _:
            return _any([bound(part, known) for part in condition.parts])


def _when(row: ClassRow) -> Condition:
    return _any([all_of(list(tests)) for tests in row.when])


def _known(tests: Alternative) -> dict[str, frozenset[Any]]:
    return {test.attribute: test.values for test in tests if test.values is not None and not test.excluded}


def _may_meet(one: ClassRow, other: ClassRow) -> bool:
    return any(_consistent(a, b) for a in one.when for b in other.when)


def _consistent(one: Alternative, other: Alternative) -> bool:
    admitted = _known(one)
    return all(
        test.values is None
        or test.excluded
        or test.attribute not in admitted
        or bool(admitted[test.attribute] & test.values)
        for test in other
    )


def all_of(parts: Sequence[Condition]) -> Condition:
    """Return what holds where all parts hold."""
    flat: list[Condition] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, All) else [part])
    if FALSE in flat:
        return FALSE
    joined = _joined(list(dict.fromkeys(flat)), excluded=True)
    kept = tuple(part for part in joined if not _implied(part, joined))
    return kept[0] if len(kept) == 1 else All(kept)


def _any(parts: Sequence[Condition]) -> Condition:
    flat: list[Condition] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, Any_) else [part])
    if TRUE in flat:
        return TRUE
    kept = _joined(list(dict.fromkeys(flat)))
    return kept[0] if len(kept) == 1 else Any_(tuple(kept))


def _implied(part: Condition, others: Sequence[Condition]) -> bool:
    """Whether one of the alternatives of a part holds anyway, by a test that stands beside it."""
    if not isinstance(part, Any_):
        return False
    ruled_out = {
        test.attribute: test.values
        for test in others
        if isinstance(test, Test) and test.excluded and test.values is not None
    }
    return any(
        isinstance(test, Test)
        and test.excluded
        and test.values is not None
        and test.values <= ruled_out.get(test.attribute, frozenset())
        for test in part.parts
    )


def _joined(parts: list[Condition], *, excluded: bool = False) -> list[Condition]:
    """Join tests that ask the same attribute for values, or that ask it not to have values."""
    plain: dict[str, frozenset[Any]] = {}
    others: list[Condition] = []
    for part in parts:
        if isinstance(part, Test) and part.values is not None and part.excluded is excluded:
            plain[part.attribute] = plain.get(part.attribute, frozenset()) | part.values
        else:
            others.append(part)
    joined = [Test(name, values, excluded=excluded) for name, values in plain.items()]
    return [*joined, *others]


def _not(part: Condition) -> Condition:
    """Turn a condition around by turning its tests, so that absent values count as they should."""
    match part:
        case Test():
            return replace(part, excluded=not part.excluded)
        case All():
            return _any([_not(one) for one in part.parts])
        case _:
            return all_of([_not(one) for one in part.parts])
