"""The catalogue: which collections the services offer, built in and added by ``geoinfra publish``.

One entry makes a collection; it names a dataset and a row rule, never data.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from geoinfra.access import Visibility
from geoinfra.crs import parse_crs
from geoinfra.errors import Conflict, InvalidInput
from geoinfra.standards import standards_path
from geoinfra.storage.metadata import Metadata
from geoinfra.storage.records import Transaction, now
from geoinfra.storage.schema import collections, current_deliveries, current_grids, deliveries
from geoinfra.tables import DatasetSchema

if TYPE_CHECKING:
    from geoinfra.storage import Store

__all__ = ["Collection", "Kind", "add_collection", "built_in", "catalogue", "version"]

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_COLUMN = re.compile(r"[a-z][a-z0-9_]{0,59}")
_LANGUAGES = ("da", "en")
_CATALOGUE = "catalogue"  # the collection of the records of all others
_DEFAULT_CRS = (
    "OGC:CRS84",
    *(f"EPSG:{code}" for code in (25832, 25833, 4258, 4326, 3857, 4093, 4094, 4095, 4096)),
)


class Kind(StrEnum):
    """What a collection's dataset consists of."""

    FEATURES = "features"
    RASTER = "raster"
    CUBE = "cube"


@dataclass(frozen=True, slots=True)
class Collection:
    """What one collection shows of one dataset.

    Attributes
    ----------
    id
        Name in addresses: lower-case letters, digits and hyphens, at most 63.
    dataset
        The dataset whose rows it shows.
    title, description
        Texts in ``da`` and ``en``.
    visibility
        Who may see the rows; never wider than the dataset's own.
    rule
        Column -> the values admitted, as :attr:`FeatureQuery.equal`; empty for all rows.
    crs
        Names of the CRSs offered, as :func:`geoinfra.crs.parse_crs` gives them.
    attribution, licence
        Whose data it is, and on what terms it may be used.
    style
        Name of its drawing in the presentation standard and the map client.
    keywords
        For catalogues.
    kind
        Features, a raster (cells of one moment), or a cube (cells or stations with series). Rasters and
        cubes are open, and have no rule.
    metadata
        What else catalogues tell of the data.
    """

    id: str
    dataset: str
    title: Mapping[str, str]
    description: Mapping[str, str]
    visibility: Visibility
    rule: Mapping[str, Sequence[str | int | float | bool]] = field(default_factory=dict)
    crs: tuple[str, ...] = _DEFAULT_CRS
    attribution: str = ""
    licence: str = ""
    style: str = ""
    keywords: tuple[str, ...] = ()
    kind: Kind = Kind.FEATURES
    metadata: Metadata = field(default_factory=Metadata)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Collection:
        """Check a catalogue entry and make a collection of it.

        ``id``, ``dataset`` and ``visibility`` must be there. ``title`` defaults to the id, ``style`` too.

        Raises
        ------
        InvalidInput
            A member is missing, unknown or cannot be used; the message names it.
        """
        if not isinstance(document, Mapping):
            raise InvalidInput("A collection is a JSON object.")
        known = [f.name for f in fields(cls)]
        for name in document:
            if name not in known:
                raise _unusable(
                    str(name)[:60], f"is not a member of a collection; those are {', '.join(known)}"
                )
        for name in ("id", "dataset", "visibility"):
            if name not in document:
                raise _unusable(name, "is missing")
        identifier = _name(document["id"], "id")
        defaults: dict[str, Any] = {
            "title": dict.fromkeys(_LANGUAGES, identifier),
            "description": dict.fromkeys(_LANGUAGES, ""),
            "style": identifier,
        }
        members = {**defaults, **document}
        made = cls(**{name: _CHECKS[name](value, name) for name, value in members.items()})
        if made.kind is not Kind.FEATURES and (made.visibility is not Visibility.OPEN or made.rule):
            raise _unusable("kind", "admits open collections without a rule only")
        return made

    def to_json(self) -> dict[str, Any]:
        """Return the entry as a JSON-ready dict; :meth:`from_json` reads it."""
        return {
            "id": self.id,
            "dataset": self.dataset,
            "title": dict(self.title),
            "description": dict(self.description),
            "visibility": str(self.visibility),
            "rule": {column: list(values) for column, values in self.rule.items()},
            "crs": list(self.crs),
            "attribution": self.attribution,
            "licence": self.licence,
            "style": self.style,
            "keywords": list(self.keywords),
            "kind": str(self.kind),
            "metadata": self.metadata.to_json(),
        }


def catalogue(store: Store) -> tuple[Collection, ...]:
    """Return the collections that exist now, built-in ones first.

    A built-in open collection exists while its dataset has a delivery; granted ones always do. A collection
    whose dataset has turned out to be granted is granted, whatever its entry says.
    """
    query = sa.select(collections.c.entry).order_by(collections.c.collection_id)
    with store.read() as connection:
        present = {
            name
            for table in (current_deliveries, current_grids)
            for name in connection.scalars(sa.select(table.c.dataset).distinct())
        }
        added = [Collection.from_json(json.loads(entry)) for entry in connection.scalars(query)]
        entries = [*(c for c in built_in() if _exists(c, present)), *added]
        granted = _granted_datasets(connection, {c.dataset for c in entries})
    return tuple(replace(c, visibility=Visibility.GRANTED) if c.dataset in granted else c for c in entries)


def version(store: Store) -> str:
    """Return a text that changes exactly when :func:`catalogue` does."""
    document = json.dumps([c.to_json() for c in catalogue(store)], sort_keys=True)
    return hashlib.sha256(document.encode()).hexdigest()[:16]


@cache
def built_in() -> tuple[Collection, ...]:
    """Return the collections of ``standards/collections``, in the order of their file names.

    Raises
    ------
    InvalidInput
        A file is not a valid entry; the message names it.
    """
    return tuple(_read(path.read_bytes(), path.name) for path in _files())


def add_collection(tx: Transaction, entry: Mapping[str, Any]) -> Collection:
    """Add a collection to the catalogue, or replace the one added before under this id.

    Raises
    ------
    InvalidInput
        The entry cannot be used, names columns that its dataset lacks, or opens a granted dataset.
    Conflict
        A built-in collection has this id.
    """
    collection = Collection.from_json(entry)
    if collection.id == _CATALOGUE or any(collection.id == c.id for c in built_in()):
        raise Conflict(f"The collection '{collection.id}' is built in.", hint="Choose another id.")
    granted = _granted_datasets(tx.connection, {collection.dataset})
    if collection.visibility is Visibility.OPEN and collection.dataset in granted:
        raise InvalidInput(
            f"The dataset '{collection.dataset}' is shown to those with a grant only.",
            hint="Set the collection's visibility to 'granted'.",
        )
    _check_columns(tx.connection, collection)
    dialect = sqlite if tx.connection.dialect.name == "sqlite" else postgresql
    row = {"entry": json.dumps(collection.to_json(), ensure_ascii=False), "updated_at": now()}
    insert = dialect.insert(collections).values(collection_id=collection.id, **row)
    tx.execute(insert.on_conflict_do_update(index_elements=["collection_id"], set_=row))
    return collection


def _files() -> list[Any]:
    return sorted(standards_path("collections").glob("*.json"))


def _read(content: bytes, name: str) -> Collection:
    try:
        return Collection.from_json(json.loads(content))
    except (ValueError, InvalidInput) as error:
        raise InvalidInput(f"standards/collections/{name} is not a collection: {error}") from error


def _exists(collection: Collection, present: set[str]) -> bool:
    return collection.visibility is Visibility.GRANTED or collection.dataset in present


def _granted_datasets(connection: sa.Connection, datasets: set[str]) -> set[str]:
    """Return those of `datasets` that any built-in collection or any current delivery says are granted."""
    granted = {c.dataset for c in built_in() if c.visibility is Visibility.GRANTED} & datasets
    for dataset, document in connection.execute(_schemas(datasets - granted)):
        if DatasetSchema.from_json(json.loads(document)).visibility is not Visibility.OPEN:
            granted.add(dataset)
    return granted


def _schemas(datasets: set[str]) -> sa.Select[Any]:
    return (
        sa.select(deliveries.c.dataset, deliveries.c.schema)
        .join(current_deliveries, current_deliveries.c.delivery_id == deliveries.c.delivery_id)
        .where(current_deliveries.c.dataset.in_(datasets))
        .distinct()
    )


def _check_columns(connection: sa.Connection, collection: Collection) -> None:
    for _, document in connection.execute(_schemas({collection.dataset})):
        schema = DatasetSchema.from_json(json.loads(document))
        for name in collection.rule.keys() - {"feature_id"}:
            schema.column(name)


def _unusable(member: str, fault: str) -> InvalidInput:
    return InvalidInput(f"The collection's '{member}' {fault}.", details={"where": member})


def _name(value: Any, member: str) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise _unusable(member, "must be 1 to 63 of a-z, 0-9 and '-', starting with a letter")
    return value


def _text(value: Any, member: str) -> str:
    if not isinstance(value, str) or len(value) > 2000 or not value.replace("\n", "").isprintable():
        raise _unusable(member, "must be a text of at most 2000 printable characters")
    return value


def _texts(value: Any, member: str) -> dict[str, str]:
    if not isinstance(value, Mapping) or set(value) != set(_LANGUAGES):
        raise _unusable(member, "must be an object with a text 'da' and a text 'en'")
    return {language: _text(value[language], f"{member}.{language}") for language in _LANGUAGES}


def _visibility(value: Any, member: str) -> Visibility:
    if value not in list(Visibility):
        raise _unusable(member, f"must be one of {', '.join(Visibility)}")
    return Visibility(value)


def _rule(value: Any, member: str) -> dict[str, tuple[str | int | float | bool, ...]]:
    if not isinstance(value, Mapping):
        raise _unusable(member, "must be an object of column names and lists of values")
    rule: dict[str, tuple[str | int | float | bool, ...]] = {}
    for column, values in value.items():
        if not isinstance(column, str) or not _COLUMN.fullmatch(column):
            raise _unusable(member, "names something that cannot be a column")
        if not isinstance(values, list | tuple) or not values or not all(map(_is_scalar, values)):
            raise _unusable(
                f"{member}.{column}", "must be a list of texts, numbers or booleans, and not empty"
            )
        rule[column] = tuple(values)
    return rule


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _crs(value: Any, member: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value or not all(isinstance(name, str) for name in value):
        raise _unusable(member, "must be a list of CRS names, and not empty")
    return tuple(dict.fromkeys(parse_crs(name) for name in value))


def _keywords(value: Any, member: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > 50:
        raise _unusable(member, "must be a list of at most 50 texts")
    return tuple(_text(keyword, member) for keyword in value)


def _kind(value: Any, member: str) -> Kind:
    if value not in list(Kind):
        raise _unusable(member, f"must be one of {', '.join(Kind)}")
    return Kind(value)


_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "id": _name,
    "dataset": _name,
    "title": _texts,
    "description": _texts,
    "visibility": _visibility,
    "rule": _rule,
    "crs": _crs,
    "attribution": _text,
    "licence": _text,
    "style": _name,
    "keywords": _keywords,
    "kind": _kind,
    "metadata": Metadata.from_json,
}
