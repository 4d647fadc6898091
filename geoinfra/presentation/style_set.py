"""Style sets: the rules of a drawing, read from ``standards/presentation/<name>/<version>/``.

A style set says in data how utility features look: *dimensions* sort features into classes (type, form,
status, hazard, accuracy ...), *parts* say what is drawn of them, bottom to top, and every property of a part
is a value that tables look up by class and scale band. No country, type or colour is known to this code.
``docs/reference/presentation.md`` describes the files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import product
from math import inf, prod
from pathlib import Path
from typing import Any, Final

import orjson

from geoinfra.errors import InvalidInput, NotFound
from geoinfra.standards import standards_path

__all__ = [
    "DRAW_KINDS",
    "SCALE",
    "Alternative",
    "ClassRow",
    "Dimension",
    "Part",
    "ScaleBand",
    "StyleSet",
    "Test",
    "Value",
    "Versions",
    "load_style_set",
    "style_sets",
]

SCALE: Final = "scale"
"""The dimension that is no attribute: the band in which the scale denominator lies."""

DRAW_KINDS: Final = ("corridor", "fill", "stroke", "marker", "point", "label")

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_VERSION = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}")
_MAX_FILE_BYTES: Final = 4 * 1024 * 1024
_FILES: Final = ("style_set", "types", "dimensions", "tables", "parts", "symbols", "labels", "dxf")


# ------------------------------------------------------------------ conditions


@dataclass(frozen=True, slots=True)
class Test:
    """What one attribute must be.

    Attributes
    ----------
    values
        Admitted values, ``None`` among them for an absent one; ``None`` where a range is asked.
    start, below
        Range of a number: start <= value < below.
    excluded
        Whether the test holds for all else: for what is absent too, unless ``None`` is among `values`.
    """

    attribute: str
    values: frozenset[Any] | None = None
    start: float = -inf
    below: float = inf
    excluded: bool = False

    def admits(self, value: Any) -> bool:
        """Whether the test holds for `value`."""
        if self.values is not None:
            return (value in self.values) is not self.excluded
        inside = isinstance(value, int | float) and self.start <= value < self.below
        return inside is not self.excluded


type Alternative = tuple[Test, ...]
"""Tests that must all hold."""


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class of a dimension.

    Attributes
    ----------
    when
        Alternatives, one of which must hold; empty for the class of everything else.
    rest
        Whether the class takes only what no class without this mark takes.
    fields
        Further entries of the row, for instance ``colour``.
    """

    key: str
    da: str
    en: str
    when: tuple[Alternative, ...]
    rest: bool
    fields: Mapping[str, Any]

    def admits(self, attributes: Mapping[str, Any]) -> bool:
        """Whether a feature belongs to the class by its own conditions."""
        return any(all(t.admits(attributes.get(t.attribute)) for t in tests) for tests in self.when)


@dataclass(frozen=True)
class Dimension:
    """A way to sort features: each belongs to exactly one class."""

    key: str
    classes: tuple[ClassRow, ...]

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Keys of the classes, in order."""
        return tuple(row.key for row in self.classes)

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        """Attributes that decide."""
        names = (test.attribute for row in self.classes for tests in row.when for test in tests)
        return tuple(dict.fromkeys(names))

    def row(self, key: str) -> ClassRow:
        """Return the class called `key`."""
        for row in self.classes:
            if row.key == key:
                return row
        raise InvalidInput(f"Dimension '{self.key}' has no class '{key}'.")

    def matches(self, attributes: Mapping[str, Any]) -> tuple[str, ...]:
        """Return every class that takes the feature: one, unless the table is at fault."""
        for tier in self.tiers:
            found = tuple(row.key for row in tier if not row.when or row.admits(attributes))
            if found:
                return found
        return ()

    @cached_property
    def tiers(self) -> tuple[tuple[ClassRow, ...], ...]:
        """The classes by precedence: those with conditions, those for the rest of some, that for all else."""
        firm = tuple(row for row in self.classes if not row.rest)
        some = tuple(row for row in self.classes if row.rest and row.when)
        return firm, some, tuple(row for row in self.classes if not row.when)

    def classify(self, attributes: Mapping[str, Any]) -> str:
        """Return the class of a feature, or raise ``InvalidInput`` when none or several take it."""
        found = self.matches(attributes)
        if len(found) == 1:
            return found[0]
        seen = {name: attributes.get(name) for name in self.attributes}
        raise InvalidInput(
            f"{'No class' if not found else 'More than one class'} of '{self.key}' takes a feature.",
            details={"attributes": seen, "classes": list(found)},
        )


@dataclass(frozen=True, slots=True)
class ScaleBand:
    """Scale denominators from `start` (included) to `below` (not included)."""

    key: str
    da: str
    en: str
    start: float
    below: float


# ------------------------------------------------------------------ values


class Value:
    """A property of a part: what it is for each combination of classes."""

    __slots__ = ("_find", "_found", "dimensions")

    def __init__(self, dimensions: tuple[str, ...], find: Callable[[Mapping[str, str], str], list[Any]]):
        self.dimensions = dimensions
        self._find = find
        self._found: dict[tuple[str, ...], list[Any]] = {}

    def results(self, classes: Mapping[str, str], theme: str) -> list[Any]:
        """Return what the matching rows say: one entry, unless the table is at fault."""
        key = (theme, *(classes[name] for name in self.dimensions))
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._find(classes, theme)
        return found

    def at(self, classes: Mapping[str, str], theme: str) -> Any:
        """Return the value of a combination, or raise ``InvalidInput`` when no or several rows match."""
        found = self.results(classes, theme)
        if len(found) == 1:
            return found[0]
        raise InvalidInput(
            "A table has no row for a combination of classes."
            if not found
            else "A table has more than one row for a combination of classes.",
            details={name: classes.get(name) for name in self.dimensions},
        )


def _constant(value: Any) -> Value:
    return Value((), lambda _classes, _theme: [value])


def _combined(values: Sequence[Value], join: Callable[[list[Any]], Any]) -> Value:
    dimensions = tuple(dict.fromkeys(name for value in values for name in value.dimensions))

    def find(classes: Mapping[str, str], theme: str) -> list[Any]:
        options = product(*(value.results(classes, theme) for value in values))
        return [None if None in option else join(list(option)) for option in options]

    return Value(dimensions, find)


@dataclass(frozen=True)
class Part:
    """One thing that is drawn of a feature, where `shown` says so.

    Attributes
    ----------
    draw
        One of :data:`DRAW_KINDS`.
    order
        Place among all parts of all features; a greater one lies above.
    properties
        Name -> value, ``shown`` among them.
    """

    key: str
    da: str
    en: str
    draw: str
    order: int
    properties: Mapping[str, Value]

    @cached_property
    def dimensions(self) -> tuple[str, ...]:
        """Dimensions on which the part depends."""
        names = (name for value in self.properties.values() for name in value.dimensions)
        return tuple(dict.fromkeys(names))

    def at(self, classes: Mapping[str, str], theme: str) -> dict[str, Any] | None:
        """Return the properties for a combination of classes, ``None`` where nothing is drawn."""
        if not self.properties["shown"].at(classes, theme):
            return None
        return {name: value.at(classes, theme) for name, value in self.properties.items()}


# ------------------------------------------------------------------ the set


@dataclass(frozen=True, eq=False)
class StyleSet:
    """The rules of one drawing.

    Attributes
    ----------
    themes
        Names of the palettes; the first is the default.
    pixel_mm
        Size of a pixel on the screen for which ``_px`` values hold.
    latitude_deg
        Where zoom levels of Web Mercator are turned into scales.
    backgrounds
        Name -> colour of the grounds on which the drawing must be read.
    dimensions
        Without the scale; ``type`` and ``form`` are always among them.
    dimension_names
        Dimension -> its name in Danish and English.
    legend
        Dimension -> class of a plain feature, from which the legend starts.
    symbols
        Version of the point symbols, empty when only circles are drawn.
    labels
        Key -> segments of a text, see :mod:`geoinfra.presentation.labels`.
    dxf
        What a DXF sheet needs beside this: suffixes, texts, weights.
    """

    name: str
    version: str
    da: str
    en: str
    about: str
    source: str
    licence: str
    themes: tuple[str, ...]
    pixel_mm: float
    latitude_deg: float
    backgrounds: Mapping[str, str]
    scales: tuple[ScaleBand, ...]
    dimensions: Mapping[str, Dimension]
    parts: tuple[Part, ...]
    dimension_names: Mapping[str, tuple[str, str]]
    legend: Mapping[str, str]
    symbols: str
    labels: Mapping[str, Any]
    dxf: Mapping[str, Any]
    folder: Path
    cache: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def attributes(self) -> tuple[str, ...]:
        """Attributes of a feature by which it is sorted."""
        names = (name for dimension in self.dimensions.values() for name in dimension.attributes)
        return tuple(dict.fromkeys(names))

    @cached_property
    def tested(self) -> Mapping[str, frozenset[Any]]:
        """Attribute -> the values by which features are told apart; ``None`` is among them for a range."""
        found: dict[str, set[Any]] = {}
        for dimension in self.dimensions.values():
            for row in dimension.classes:
                for test in (test for tests in row.when for test in tests):
                    found.setdefault(test.attribute, set()).update(test.values or {None})
        return {name: frozenset(values) for name, values in found.items()}

    def band(self, scale_denominator: float) -> ScaleBand:
        """Return the band of a scale, or raise ``InvalidInput`` when none or several hold it."""
        found = [band for band in self.scales if band.start <= scale_denominator < band.below]
        if len(found) == 1:
            return found[0]
        raise InvalidInput(
            f"{self.name} has {len(found)} scale bands for 1:{scale_denominator:g}.",
            details={"bands": [band.key for band in found]},
        )

    def theme(self, name: str | None) -> str:
        """Return the name of a theme, the default one for ``None``."""
        if name is None:
            return self.themes[0]
        if name not in self.themes:
            raise InvalidInput(
                f"{self.name} has no theme '{name}'.", hint=f"It has: {', '.join(self.themes)}."
            )
        return name

    def keys_of(self, dimension: str) -> tuple[str, ...]:
        """Return the keys of the classes of a dimension, or of the scale bands."""
        if dimension == SCALE:
            return tuple(band.key for band in self.scales)
        return self.dimensions[dimension].keys

    def combinations(self, dimensions: Sequence[str]) -> Iterator[dict[str, str]]:
        """Give every combination of classes of these dimensions."""
        for keys in product(*(self.keys_of(name) for name in dimensions)):
            yield dict(zip(dimensions, keys, strict=True))

    def count(self, dimensions: Sequence[str]) -> int:
        """Return the number of combinations of classes of these dimensions."""
        return prod(len(self.keys_of(name)) for name in dimensions)

    def classes(self, attributes: Mapping[str, Any]) -> dict[str, str]:
        """Return the class of a feature in every dimension, without the scale."""
        return {key: dimension.classify(attributes) for key, dimension in self.dimensions.items()}

    def classifier(self, names: Sequence[str]) -> Callable[[tuple[Any, ...]], dict[str, str]]:
        """Return a function that sorts rows of these attributes, and remembers what it has sorted."""
        places = {
            key: tuple(names.index(name) for name in dimension.attributes)
            for key, dimension in self.dimensions.items()
        }
        known: dict[str, dict[tuple[Any, ...], str]] = {key: {} for key in places}

        def classify(row: tuple[Any, ...]) -> dict[str, str]:
            found: dict[str, str] = {}
            for key, columns in places.items():
                own = tuple(row[column] for column in columns)
                sorted_before = known[key].get(own)
                if sorted_before is None:
                    dimension = self.dimensions[key]
                    given = dict(zip(dimension.attributes, own, strict=True))
                    sorted_before = known[key][own] = dimension.classify(given)
                found[key] = sorted_before
            return found

        return classify

    def symbol_path(self, symbol: str) -> Path:
        """Return the SVG file of a point symbol, or raise ``NotFound``."""
        path = self.folder.parent.parent / "symbols" / self.symbols / f"{symbol}.svg"
        if _NAME.fullmatch(symbol) and self.symbols and path.is_file():
            return path
        raise NotFound(f"{self.name} {self.version} has no symbol '{symbol[:60]}'.")


type Versions = dict[str, tuple[str, ...]]


def style_sets(root: Path | None = None) -> Versions:
    """Return the names of the style sets with their versions, oldest first."""
    place = root or standards_path("presentation")
    found: Versions = {}
    for folder in sorted(path for path in place.iterdir() if path.is_dir()):
        versions = [path.parent.name for path in folder.glob("*/style_set.json")]
        versions.sort(key=_version_key)
        if versions:
            found[folder.name] = tuple(versions)
    return found


def load_style_set(name: str = "geoinfra", version: str | None = None, root: Path | None = None) -> StyleSet:
    """Load a style set; what was loaded before is given again.

    Parameters
    ----------
    version
        The newest when not given.
    root
        Folder that stands for ``standards/presentation``.

    Raises
    ------
    NotFound
        No style set of that name and version exists.
    InvalidInput
        A file of it does not follow the rules.
    """
    known = style_sets(root)
    if name not in known or (version is not None and version not in known[name]):
        raise NotFound(
            f"There is no style set '{name[:60]}'{f' {version[:20]}' if version else ''}.",
            hint=f"There are: {', '.join(f'{n} {v[-1]}' for n, v in known.items())}.",
        )
    place = root or standards_path("presentation")
    return _load(place / name / (version or known[name][-1]))


@lru_cache(maxsize=32)
def _load(folder: Path) -> StyleSet:
    documents = {file: _document(folder, file) for file in _FILES}
    try:
        return _Reader(folder, documents).style_set()
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InvalidInput(
            f"The style set in {folder.parent.name}/{folder.name} does not follow the rules.",
            hint="Check its files against standards/presentation/rules.schema.json.",
            details={"found": f"{type(error).__name__}: {error}"[:300]},
        ) from error


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split(".")) if _VERSION.fullmatch(version) else (-1,)


def _document(folder: Path, file: str) -> Any:
    path = folder / f"{file}.json"
    if not path.exists():
        return {}
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise InvalidInput(f"{path.name} of a style set is larger than {_MAX_FILE_BYTES} bytes.")
    try:
        return orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"{folder.name}/{path.name} is not JSON: {error}.") from error


class _Reader:
    """Makes a style set of its files."""

    def __init__(self, folder: Path, documents: Mapping[str, Any]) -> None:
        self._folder = folder
        self._documents = documents
        self._dimensions: dict[str, Dimension] = {}
        self._scales: tuple[ScaleBand, ...] = ()
        self._themes: tuple[str, ...] = ()

    def style_set(self) -> StyleSet:
        head = self._documents["style_set"]
        if head["name"] != self._folder.parent.name or head["version"] != self._folder.name:
            raise ValueError("name and version are not those of the folder")
        self._themes = tuple(head["themes"])
        self._scales = tuple(_band(row) for row in head["scales"])
        self._read_dimensions()
        return StyleSet(
            name=head["name"],
            version=head["version"],
            da=head["da"],
            en=head["en"],
            about=head["about"],
            source=head.get("source", ""),
            licence=head.get("licence", ""),
            themes=self._themes,
            pixel_mm=float(head["pixel_mm"]),
            latitude_deg=float(head["latitude_deg"]),
            backgrounds=dict(head["backgrounds"]),
            scales=self._scales,
            dimensions=self._dimensions,
            parts=self._parts(),
            dimension_names={
                key: (entry["da"], entry["en"])
                for key, entry in self._documents["dimensions"]["dimensions"].items()
            },
            legend=self._legend(head.get("legend", {})),
            symbols=head.get("symbols", ""),
            labels=self._documents["labels"].get("labels", {}),
            dxf=self._documents["dxf"],
            folder=self._folder,
        )

    def _read_dimensions(self) -> None:
        rows = {"type": self._documents["types"]["types"]}
        rows |= {key: entry["classes"] for key, entry in self._documents["dimensions"]["dimensions"].items()}
        if "symbols" in self._documents["symbols"]:
            rows["component"] = self._documents["symbols"]["symbols"]
        for key, classes in rows.items():
            made = tuple(_class_row(row) for row in classes)
            _require_distinct([row.key for row in made], f"classes of '{key}'")
            if sum(1 for row in made if not row.when) > 1:
                raise ValueError(f"'{key}' has two classes for everything else")
            self._dimensions[key] = Dimension(key, made)
        for needed in ("type", "form"):
            if needed not in self._dimensions:
                raise ValueError(f"the dimension '{needed}' is missing")

    def _legend(self, given: Mapping[str, str]) -> Mapping[str, str]:
        for name, key in given.items():
            self._dimensions[name].row(key)
        return dict(given)

    def _parts(self) -> tuple[Part, ...]:
        made = []
        for row in self._documents["parts"]["parts"]:
            if row["draw"] not in DRAW_KINDS:
                raise ValueError(f"'{row['draw']}' is no way to draw")
            properties = {
                name: self._value(entry, f"{row['key']}.{name}") for name, entry in row["properties"].items()
            }
            properties.setdefault("shown", _constant(True))
            order = row["order"]
            made.append(Part(row["key"], row["da"], row["en"], row["draw"], order, properties))
        _require_distinct([part.key for part in made], "parts")
        _require_distinct([str(part.order) for part in made], "orders of parts")
        return tuple(sorted(made, key=lambda part: part.order))

    # values

    def _value(self, entry: Any, where: str) -> Value:
        if isinstance(entry, str) and entry.startswith("@"):
            return self._field(entry[1:], where)
        if not isinstance(entry, dict):
            return _constant(tuple(entry) if isinstance(entry, list) else entry)
        if "rows" in entry:
            return self._rows(entry["rows"], where)
        if "table" in entry:
            return self._value(self._documents["tables"]["tables"][entry["table"]], f"table {entry['table']}")
        if "product" in entry:
            return _combined([self._value(part, where) for part in entry["product"]], prod)
        if "sum" in entry:
            return _combined([self._value(part, where) for part in entry["sum"]], sum)
        raise ValueError(f"{where}: no value can be read from {str(entry)[:80]}")

    def _field(self, reference: str, where: str) -> Value:
        name, _, entry = reference.partition(".")
        found: dict[tuple[str, str], Any] = {}
        for row in self._dimensions[name].classes:
            for theme in self._themes:
                given = row.fields.get("themes", {}).get(theme, {})
                value = row.key if entry == "key" else given.get(entry, row.fields.get(entry, _ABSENT))
                if value is _ABSENT:
                    raise ValueError(f"{where}: class '{row.key}' of '{name}' has no '{entry}'")
                found[row.key, theme] = tuple(value) if isinstance(value, list) else value
        return Value((name,), lambda classes, theme: [found[classes[name], theme]])

    def _rows(self, rows: Sequence[Mapping[str, Any]], where: str) -> Value:
        conditions: list[dict[str, frozenset[str]]] = []
        results: list[Value] = []
        otherwise: Value | None = None
        for row in rows:
            result = self._value(row["is"], where)
            tests = {
                key: _keys(value) for key, value in row.items() if key not in ("is", "otherwise", "note")
            }
            if row.get("otherwise"):
                if tests or otherwise is not None:
                    raise ValueError(f"{where}: 'otherwise' stands alone and once")
                otherwise = result
                continue
            for name, keys in tests.items():
                unknown = keys - set(self._keys_of(name))
                if unknown:
                    raise ValueError(f"{where}: '{name}' has no class {sorted(unknown)}")
            conditions.append(tests)
            results.append(result)
        return _row_value(conditions, results, otherwise)

    def _keys_of(self, dimension: str) -> tuple[str, ...]:
        if dimension == SCALE:
            return tuple(band.key for band in self._scales)
        return self._dimensions[dimension].keys


_ABSENT: Final = object()


def _row_value(
    conditions: Sequence[Mapping[str, frozenset[str]]], results: Sequence[Value], otherwise: Value | None
) -> Value:
    names = [name for tests in conditions for name in tests]
    names += [name for result in results for name in result.dimensions]
    names += otherwise.dimensions if otherwise else ()

    def find(classes: Mapping[str, str], theme: str) -> list[Any]:
        found = [
            result
            for tests, result in zip(conditions, results, strict=True)
            if all(classes[name] in keys for name, keys in tests.items())
        ]
        if not found and otherwise is not None:
            found = [otherwise]
        return [entry for result in found for entry in result.results(classes, theme)]

    return Value(tuple(dict.fromkeys(names)), find)


def _keys(value: Any) -> frozenset[str]:
    return frozenset(value) if isinstance(value, list) else frozenset((value,))


def _require_distinct(keys: Sequence[str], what: str) -> None:
    if len(set(keys)) != len(keys):
        raise ValueError(f"two {what} have the same key")


def _band(row: Mapping[str, Any]) -> ScaleBand:
    return ScaleBand(row["key"], row["da"], row["en"], float(row["from"]), float(row["below"]))


def _class_row(row: Mapping[str, Any]) -> ClassRow:
    rest = row.get("otherwise")
    condition = row["when"] if not rest else [] if rest is True else rest
    given = condition if isinstance(condition, list) else [condition]
    when = tuple(tuple(_test(name, entry) for name, entry in tests.items()) for tests in given)
    if not all(when) or (not when and rest is not True):
        raise ValueError(f"class '{row['key']}' has an empty condition")
    fields = {key: value for key, value in row.items() if key not in ("key", "da", "en", "when", "otherwise")}
    return ClassRow(row["key"], row["da"], row["en"], when, bool(rest), fields)


def _test(attribute: str, entry: Any) -> Test:
    if isinstance(entry, dict) and "not" in entry:
        return Test(attribute, frozenset(entry["not"]), excluded=True)
    if isinstance(entry, dict):
        if not entry or set(entry) - {"from", "below"}:
            raise ValueError(f"the range of '{attribute}' has 'from' and 'below'")
        return Test(attribute, None, float(entry.get("from", -inf)), float(entry.get("below", inf)))
    return Test(attribute, frozenset(entry if isinstance(entry, list) else [entry]))
