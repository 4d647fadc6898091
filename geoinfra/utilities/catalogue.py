"""The feature types of LER 1.0.0 to 2.2.0, read from ``standards/utilities/ler-2.2.0/catalogue.json``.

There is no Python class per pipe: a new type, attribute or code is an edit of that file. It describes 2.2.0,
and says of each fact since which model it holds.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from geoinfra.errors import InvalidInput
from geoinfra.standards import standards_path

__all__ = ["MODELS", "NEWEST_MODEL", "Attribute", "Catalogue", "Enumeration", "FeatureClass", "catalogue"]

NEWEST_MODEL = "2.2.0"
MODELS = ("1.0.0", "2.0.0", "2.0.1", "2.1.0", NEWEST_MODEL)
"""The data models, oldest first."""

_OTHER = "other: "


@dataclass(frozen=True, slots=True)
class Enumeration:
    """A code list. An open one also takes ``other: word``."""

    name: str
    open: bool
    values: frozenset[str]

    def admits(self, value: str) -> bool:
        """Whether `value` may stand where this list is asked for."""
        if value in self.values:
            return True
        word = value.removeprefix(_OTHER)
        return self.open and word != value and len(word) >= 2 and word == _word(word)

    def as_other(self, value: str) -> str | None:
        """Return `value` as ``other: word`` where the list is open and a word is left, else ``None``."""
        word = _word(value.removeprefix(_OTHER))
        return f"{_OTHER}{word}" if self.open and len(word) >= 2 else None


def _word(text: str) -> str:
    """Keep what XML Schema calls word characters: no punctuation, separators or control characters."""
    return "".join(letter for letter in text if unicodedata.category(letter)[0] not in "PZC")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a feature class.

    Attributes
    ----------
    name, prefix
        Name in the exchange format and the namespace prefix it is written with.
    type
        ``text``, ``uri``, ``boolean``, ``integer``, ``decimal``, ``date``, ``datetime``, ``instant``,
        ``measure``, ``height`` (kote), ``code``, ``media``, ``reference``, ``contact``, ``geometry`` or
        ``features``.
    min, max
        Cardinality; ``max`` is ``None`` when unbounded.
    uom
        The only unit of a measure (UCUM), or empty when any is taken.
    uom_rule
        LER's name of the rule that says so.
    geometry
        ``Point``, ``Curve``, ``MultiCurve`` or ``Geometry`` (any).
    target
        Feature class, possibly abstract, that a reference must point at; empty when any.
    qname
        Prefixed name, as written.
    repeated
        Whether the value is a list.
    since
        The first model that has it.
    default
        What an empty element says.
    """

    name: str
    prefix: str
    type: str
    min: int
    max: int | None
    nillable: bool = False
    enumeration: Enumeration | None = None
    uom: str = ""
    geometry: str = ""
    max_length: int | None = None
    pattern: str = ""
    target: str = ""
    qname: str = ""
    repeated: bool = False
    since: str = MODELS[0]
    uom_rule: str = ""
    default: str = ""


@dataclass(frozen=True, slots=True)
class FeatureClass:
    """One concrete feature class with its inherited attributes, in the order of the schema.

    Attributes
    ----------
    kind
        ``line``, ``trace``, ``component``, ``information``, ``dimension`` or ``annotation``; empty for the
        answer and the contact, which are no features of the dataset.
    member
        Element of the answer that holds the features of this class.
    supply
        What the class carries, empty where an attribute tells (``Ledningstrace``) or nothing is carried.
    lineage
        The class and its abstract parents.
    """

    name: str
    prefix: str
    kind: str
    member: str
    supply: str
    lineage: frozenset[str]
    attributes: Mapping[str, Attribute]
    position: Mapping[str, int]
    required: tuple[str, ...]
    geometry: Attribute | None

    @property
    def qname(self) -> str:
        """Prefixed name, as written."""
        return f"{self.prefix}:{self.name}"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All classes, code lists and namespaces of the data model.

    Attributes
    ----------
    older_models
        For each older version the attributes and code values that this one no longer has.
    """

    model: str
    namespaces: Mapping[str, str]
    classes: Mapping[str, FeatureClass]
    enumerations: Mapping[str, Enumeration]
    supplies: Mapping[str, str]
    media_types: Mapping[str, str]
    older_models: Mapping[str, Any]

    @property
    def feature_classes(self) -> tuple[FeatureClass, ...]:
        """The classes of which a dataset holds features."""
        return tuple(c for c in self.classes.values() if c.kind)

    def feature_class(self, name: str) -> FeatureClass:
        """Return the feature class called `name`.

        Raises
        ------
        InvalidInput
            LER 2.2.0 has no concrete feature class of that name.
        """
        found = self.classes.get(name)
        if found is None or not found.kind:
            raise InvalidInput(f"LER {self.model} has no feature class '{name[:80]}'.")
        return found


@lru_cache(maxsize=len(MODELS))
def catalogue(model: str = NEWEST_MODEL) -> Catalogue:
    """Return the catalogue of a data model; made once a process.

    Raises
    ------
    InvalidInput
        There is no such model.
    """
    if model not in MODELS:
        raise InvalidInput(
            f"LER has no data model '{model[:20]}'.", hint="Use one of " + ", ".join(MODELS) + "."
        )
    document = orjson.loads(standards_path("utilities", "ler-2.2.0", "catalogue.json").read_bytes())
    older = document["older_models"]
    dropped = older.get(model, {}).get("dropped_values", {})
    enumerations = {
        entry["name"]: _enumeration(entry, model, dropped.get(entry["name"], ()))
        for entry in document["enumerations"]
    }
    entries = {entry["name"]: entry for entry in document["classes"]}
    classes = {
        name: _feature_class(entry, entries, enumerations, model)
        for name, entry in entries.items()
        if not entry.get("abstract")
    }
    generation = f"/{model[0]}/gml"
    namespaces = {p: uri.replace("/2/gml", generation) for p, uri in document["namespaces"].items()}
    return Catalogue(
        model, namespaces, classes, enumerations, document["supplies"], document["media_types"], older
    )


def _enumeration(entry: Mapping[str, Any], model: str, dropped: Iterable[str]) -> Enumeration:
    """Make a code list as `model` has it; `dropped` are values that later models no longer have."""
    later = {v for since, values in entry.get("values_since", {}).items() if model < since for v in values}
    is_open = entry["open"] and model >= entry.get("open_since", MODELS[0])
    return Enumeration(entry["name"], is_open, frozenset({*entry["values"], *dropped} - later))


def _feature_class(
    entry: Mapping[str, Any],
    entries: Mapping[str, Any],
    enumerations: Mapping[str, Enumeration],
    model: str,
) -> FeatureClass:
    """Make a class of its entry and those of its parents, whose attributes come first."""
    lineage = [entry]
    while "parent" in lineage[0]:
        lineage.insert(0, entries[lineage[0]["parent"]])
    held = [a for part in lineage for a in part["attributes"] if a.get("since", MODELS[0]) <= model]
    attributes = {a["name"]: _attribute(a, enumerations, model) for a in held}
    geometries = [a for a in attributes.values() if a.type == "geometry"]
    return FeatureClass(
        name=entry["name"],
        prefix=entry["prefix"],
        kind=entry.get("kind", ""),
        member=entry.get("member", ""),
        supply=entry.get("supply", ""),
        lineage=frozenset(part["name"] for part in lineage),
        attributes=attributes,
        position={name: index for index, name in enumerate(attributes)},
        required=tuple(a.name for a in attributes.values() if a.min),
        geometry=geometries[0] if geometries else None,
    )


def _attribute(entry: Mapping[str, Any], enumerations: Mapping[str, Enumeration], model: str) -> Attribute:
    """Make an attribute as `model` has it."""
    members = dict(entry)
    values = members.pop("values", None)
    if model < members.pop("nillable_since", MODELS[0]):
        members["nillable"] = False
    if model < members.pop("max_length_since", MODELS[0]):
        del members["max_length"]
    members["min"] = members.pop("min_in", {}).get(model, members["min"])
    return Attribute(
        **members,
        enumeration=enumerations[values] if values else None,
        qname=f"{members['prefix']}:{members['name']}",
        repeated=members["max"] is None or members["max"] > 1,
    )
