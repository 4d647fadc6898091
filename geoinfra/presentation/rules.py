"""A style set as flat rules: for each part, which classes it draws alike, and how.

Emitters write what these say. Classes that no property of a part tells apart are one group, so a rule names
as few classes as can be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from geoinfra.presentation.resolve import DrawnLayer, part_layer
from geoinfra.presentation.style_set import SCALE, Alternative, ClassRow, Part, ScaleBand, StyleSet
from geoinfra.utilities.catalogue import FeatureClass, catalogue

__all__ = ["Rule", "distinct_classes", "groups", "listed_types", "part_rules"]

type Groups = dict[str, tuple[tuple[str, ...], ...]]
"""Dimension -> its classes, those together that a part draws alike."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A part drawn in one way.

    Attributes
    ----------
    classes
        Dimension -> classes for which it holds; a dimension that is not named does not matter.
    bands
        Scale bands for which it holds, each joined to its neighbour.
    """

    part: Part
    layer: DrawnLayer
    classes: Mapping[str, tuple[str, ...]]
    bands: tuple[ScaleBand, ...]

    @property
    def start(self) -> float:
        """Least scale denominator."""
        return self.bands[0].start

    @property
    def below(self) -> float:
        """Scale denominator at which it ends."""
        return self.bands[-1].below

    def known(self, style_set: StyleSet) -> dict[str, frozenset[Any]]:
        """Return what its types say of the features: their supply, and the LER classes that carry it."""
        rows = [style_set.dimensions["type"].row(key) for key in self.classes.get("type", ())]
        told = [_known(tests).get("supply") for row in rows for tests in row.when]
        if not told or None in told or any(row.rest for row in rows):
            return {}
        supplies = frozenset(value for values in told if values for value in values)
        carried = [entry.supply for entry in catalogue().feature_classes]
        if not all(supply in carried for supply in supplies):
            return {"supply": supplies}
        named = [entry for entry in catalogue().feature_classes if entry.supply in (*supplies, "")]
        types = frozenset[Any]().union(*(listed_types(entry) for entry in named))
        return {"supply": supplies, "feature_class": frozenset(e.name for e in named), "type": types}


def listed_types(entry: FeatureClass) -> frozenset[Any]:
    """Return the values of ``type`` that the code list of a class holds, absence, and one for all others.

    What is written for these alone takes free text for the value that stands for all others.
    """
    attribute = entry.attributes.get("type")
    listed = attribute.enumeration.values if attribute and attribute.enumeration else frozenset()
    return frozenset((None, _OTHER_TYPE, *listed))


_OTHER_TYPE: Final = "\x7fanother"


def groups(style_set: StyleSet, part: Part) -> Groups:
    """Return the classes of each dimension of a part, those together that no property tells apart."""
    key = ("groups", part.key)
    if key not in style_set.cache:
        style_set.cache[key] = {name: _groups_of(style_set, part, name) for name in part.dimensions}
    return style_set.cache[key]  # type: ignore[no-any-return]  # the cache holds several kinds


def _groups_of(style_set: StyleSet, part: Part, dimension: str) -> tuple[tuple[str, ...], ...]:
    deciding = [value for value in part.properties.values() if dimension in value.dimensions]
    found: dict[tuple[object, ...], list[str]] = {}
    for key in style_set.keys_of(dimension):
        signature = tuple(
            tuple(value.results({**others, dimension: key}, theme))
            for value in deciding
            for others in style_set.combinations([name for name in value.dimensions if name != dimension])
            for theme in style_set.themes
        )
        found.setdefault(signature, []).append(key)
    return tuple(tuple(keys) for keys in found.values())


def distinct_classes(style_set: StyleSet, part: Part) -> Iterator[dict[str, tuple[str, ...]]]:
    """Give every combination of groups for which the part is drawn."""
    held = groups(style_set, part)
    shown = part.properties["shown"]
    theme = style_set.themes[0]
    outer = [name for name in held if name in shown.dimensions]
    inner = [name for name in held if name not in shown.dimensions]
    for keys in product(*(held[name] for name in outer)):
        chosen = dict(zip(outer, keys, strict=True))
        if shown.at({name: group[0] for name, group in chosen.items()}, theme):
            for rest in product(*(held[name] for name in inner)):
                yield {**chosen, **dict(zip(inner, rest, strict=True))}


def part_rules(
    style_set: StyleSet, part: Part, theme: str | None = None, *, possible: bool = True
) -> list[Rule]:
    """Return the rules of a part; without those that no feature can meet, unless `possible` is false."""
    chosen = style_set.theme(theme)
    key = ("rules", part.key, chosen, possible)
    if key not in style_set.cache:
        style_set.cache[key] = _part_rules(style_set, part, chosen, possible)
    return style_set.cache[key]  # type: ignore[no-any-return]  # the cache holds several kinds


def _part_rules(style_set: StyleSet, part: Part, chosen: str, possible: bool) -> list[Rule]:
    rules: list[Rule] = []
    for combination in distinct_classes(style_set, part):
        layer = part_layer(style_set, part, {name: keys[0] for name, keys in combination.items()}, chosen)
        if layer is None:
            continue
        classes = {
            name: keys
            for name, keys in combination.items()
            if name != SCALE and len(keys) < len(style_set.keys_of(name))
        }
        if not possible or _possible(style_set, classes):
            rules.extend(
                Rule(part, layer, classes, bands)
                for bands in _neighbours(style_set, combination.get(SCALE, style_set.keys_of(SCALE)))
            )
    return rules


def _neighbours(style_set: StyleSet, keys: Sequence[str]) -> Iterator[tuple[ScaleBand, ...]]:
    """Join bands that touch."""
    run: list[ScaleBand] = []
    for band in sorted(style_set.scales, key=lambda band: band.start):
        if band.key not in keys:
            continue
        if run and run[-1].below != band.start:
            yield tuple(run)
            run = []
        run.append(band)
    if run:
        yield tuple(run)


def _possible(style_set: StyleSet, classes: Mapping[str, Sequence[str]]) -> bool:
    """Whether a feature can belong to these classes together; judged pair by pair."""
    rows = [[style_set.dimensions[name].row(key) for key in keys] for name, keys in classes.items()]
    return all(
        any(_agree(style_set, one, other) for one in first for other in second)
        for place, first in enumerate(rows)
        for second in rows[place + 1 :]
    )


def _agree(style_set: StyleSet, one: ClassRow, other: ClassRow) -> bool:
    key = ("agree", id(one), id(other))
    if key not in style_set.cache:
        style_set.cache[key] = (
            not one.when
            or not other.when
            or any(_meet(_known(a), _known(b)) for a in one.when for b in other.when)
        )
    return bool(style_set.cache[key])


def _known(tests: Alternative) -> dict[str, frozenset[object]]:
    """Return the values that tests admit, with what a feature class says of kind and supply."""
    found = {test.attribute: test.values for test in tests if test.values is not None and not test.excluded}
    named = found.get("feature_class")
    if named is not None:
        entries = [entry for entry in catalogue().feature_classes if entry.name in named]
        if len(entries) == len(named):
            found.setdefault("kind", frozenset(entry.kind for entry in entries))
            if all(entry.supply for entry in entries):
                found.setdefault("supply", frozenset(entry.supply for entry in entries))
    return found


def _meet(one: Mapping[str, frozenset[object]], other: Mapping[str, frozenset[object]]) -> bool:
    return all(one[name] & other[name] for name in one.keys() & other.keys())
