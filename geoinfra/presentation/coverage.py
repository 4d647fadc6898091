"""Coverage of a style set: whether every feature at every scale resolves to exactly one rule of each table.

Three things are counted, exhaustively: that every mixture of attribute values falls into one class of each
dimension, that every scale lies in one band, and that every property of every part has one row for every
combination of classes. A property depends on few dimensions; it is tried over all combinations of those, and
what fails is counted in the combinations of the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geoinfra.errors import GeoinfraError, InvalidInput
from geoinfra.presentation.resolve import part_layer
from geoinfra.presentation.rules import distinct_classes
from geoinfra.presentation.style_set import SCALE, Dimension, StyleSet, Test, Value
from geoinfra.utilities.catalogue import catalogue

__all__ = ["Coverage", "coverage", "scale_samples"]

SCALES: Final = (50.0, 400_000.0)
"""Scale denominators between which a style set must draw."""

_AXES: Final = ("type", "form", "status", "hazard", "accuracy", "method")
_ENUMERATIONS: Final = {
    "status": "Driftsstatus",
    "hazard": "Fareklasse",
    "accuracy_class": "Noejagtighedsklasse",
    "drawing_method": "Indtegningsmetodetype",
    "level": "Niveautype",
    "ownership": "Ejerskabsforholdtype",
}
_KNOWN_VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "kind": ("line", "trace", "component", "information", "dimension", "annotation"),
    "geometry": ("point", "line", "area"),
    "depth_source": ("registered", "stated", "assumed"),
    "containment": ("container", "contained", "both"),
    "flow": ("forward", "backward", "pressure", "vacuum"),
}
_STRANGE: Final = "\x7fsomething else"
_MOST_PROBLEMS: Final = 50
_MOST_MIXTURES: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was tried.

    Attributes
    ----------
    combinations
        Types x forms x status x hazard x accuracy x method x scales.
    gaps, overlaps
        Combinations for which a table has no row, or more than one.
    problems
        What is wrong, in words; the first 50.
    """

    combinations: int
    gaps: int
    overlaps: int
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the counts, and the problems when there are any."""
        counts = {"combinations": self.combinations, "gaps": self.gaps, "overlaps": self.overlaps}
        return {**counts, "problems": list(self.problems)} if self.problems else counts


def scale_samples(style_set: StyleSet) -> tuple[float, ...]:
    """Return every edge of a scale band within the limits, and a scale in every interval between edges."""
    low, high = SCALES
    edges = {low, high}
    for band in style_set.scales:
        edges |= {edge for edge in (band.start, band.below) if low < edge < high and isfinite(edge)}
    ordered = sorted(edges)
    return tuple(sorted({*ordered, *((one + other) / 2 for one, other in pairwise(ordered))}))


def coverage(style_set: StyleSet) -> Coverage:
    """Try every combination of a style set."""
    problems: list[str] = []
    axes = [name for name in _AXES if name in style_set.dimensions]
    samples = scale_samples(style_set)
    shape = (*(len(style_set.keys_of(name)) for name in axes), len(samples))
    gaps, overlaps = np.zeros(shape, bool), np.zeros(shape, bool)
    bands = [[b.key for b in style_set.scales if b.start <= scale < b.below] for scale in samples]
    for place, found in enumerate(bands):
        gaps[..., place] |= not found
        overlaps[..., place] |= len(found) > 1
        if len(found) != 1:
            problems.append(f"1:{samples[place]:g} lies in {len(found)} scale bands")
    marks = _Marks(style_set, axes, bands, gaps, overlaps, problems)
    marks.classes()
    marks.values()
    marks.layers()
    named = tuple(problems[:_MOST_PROBLEMS])
    return Coverage(int(np.prod(shape)), int(gaps.sum()), int((overlaps & ~gaps).sum()), named)


class _Marks:
    """Marks what fails in the combinations of the whole."""

    def __init__(
        self,
        style_set: StyleSet,
        axes: Sequence[str],
        bands: Sequence[Sequence[str]],
        gaps: NDArray[np.bool_],
        overlaps: NDArray[np.bool_],
        problems: list[str],
    ) -> None:
        self._set = style_set
        self._axes = axes
        self._bands = bands
        self._gaps = gaps
        self._overlaps = overlaps
        self._problems = problems

    def classes(self) -> None:
        """Try the classes: a mixture of attribute values without class spoils every combination."""
        for dimension in self._set.dimensions.values():
            for attributes in _failing(dimension):
                found = dimension.matches(attributes)
                self._problems.append(f"{dimension.key}: {attributes} falls into {list(found)}")
                if not found:
                    self._gaps[...] = True
                for key in found:
                    self._overlaps[self._where({dimension.key: key})] = True

    def values(self) -> None:
        """Try every property of every part."""
        for part in self._set.parts:
            for name, value in part.properties.items():
                for theme in self._set.themes:
                    self._value(f"{part.key}.{name}", value, theme)

    def _value(self, where: str, value: Value, theme: str) -> None:
        for classes in self._set.combinations(value.dimensions):
            found = len(value.results(classes, theme))
            if found != 1:
                self._problems.append(f"{where}: {found} rows for {classes}")
                marked = self._overlaps if found else self._gaps
                marked[self._where(classes)] = True

    def layers(self) -> None:
        """Make every part once for each combination of classes that tells its looks apart."""
        if self._problems:
            return
        for part in self._set.parts:
            for groups in distinct_classes(self._set, part):
                classes = {name: keys[0] for name, keys in groups.items()}
                try:
                    part_layer(self._set, part, classes, self._set.themes[0])
                except GeoinfraError as error:
                    self._problems.append(f"{part.key}: {error.message} {error.details}")
                    self._gaps[self._where(classes)] = True

    def _where(self, classes: Mapping[str, str]) -> tuple[Any, ...]:
        places: list[Any] = [
            self._set.keys_of(name).index(classes[name]) if name in classes else slice(None)
            for name in self._axes
        ]
        if SCALE not in classes:
            return (*places, slice(None))
        return (*places, [i for i, keys in enumerate(self._bands) if classes[SCALE] in keys])


def _failing(dimension: Dimension) -> Iterator[dict[str, Any]]:
    """Give every mixture of attribute values that falls into no class or several.

    Tried are the values that tests name, those of code lists, absence, and something else.
    """
    names = dimension.attributes
    values = [_values(dimension, name) for name in names]
    shape = tuple(len(options) for options in values)
    if np.prod(shape) > _MOST_MIXTURES:
        raise InvalidInput(f"The dimension '{dimension.key}' depends on too many attributes to be tried.")
    found = np.zeros(shape, np.int32)
    for tier in dimension.tiers:
        own = np.zeros(shape, np.int32)
        for row in tier:
            taken = np.full(shape, not row.when)
            for tests in row.when:
                taken |= _admitted(tests, names, values)
            own += taken
        found = np.where(found > 0, found, own)
    for place in np.argwhere(found != 1):
        yield {name: options[at] for name, options, at in zip(names, values, place.tolist(), strict=True)}


def _admitted(
    tests: Sequence[Test], names: Sequence[str], values: Sequence[Sequence[Any]]
) -> NDArray[np.bool_]:
    """Say for each mixture of values whether all tests hold."""
    taken = np.ones((1,) * len(names), bool)
    for test in tests:
        axis = names.index(test.attribute)
        admits = np.array([test.admits(value) for value in values[axis]])
        taken = taken & admits.reshape([-1 if at == axis else 1 for at in range(len(names))])
    return taken


def _values(dimension: Dimension, attribute: str) -> list[Any]:
    found: dict[Any, None] = dict.fromkeys((None, _STRANGE, *_KNOWN_VALUES.get(attribute, ())))
    if attribute in _ENUMERATIONS:
        found |= dict.fromkeys(sorted(catalogue().enumerations[_ENUMERATIONS[attribute]].values))
    if attribute in ("supply", "feature_class"):
        classes = catalogue().classes.values()
        found |= dict.fromkeys(
            entry.supply if attribute == "supply" else entry.name for entry in classes if entry.kind
        )
    for row in dimension.classes:
        for test in (test for tests in row.when for test in tests if test.attribute == attribute):
            if test.values is not None:
                found |= dict.fromkeys(sorted(test.values, key=str))
                continue
            for edge in (test.start, test.below):
                if isfinite(edge):
                    found |= dict.fromkeys((edge - 1e-6, edge, edge + 1e-6))
    return list(found)
