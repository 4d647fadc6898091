"""The catalogue: valid entries only, and never wider than the data may be seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from geoinfra.access import Access, Visibility
from geoinfra.errors import Conflict, GeoinfraError, InvalidInput
from geoinfra.storage import Store, deliveries
from geoinfra.storage.collections import Collection, add_collection, built_in, catalogue, version
from geoinfra.storage.records import now
from geoinfra.storage.schema import collections
from geoinfra.tables import Column, ColumnType, DatasetSchema, FeatureBatch
from geoinfra.utilities.model import UTILITY_FEATURES

ENTRY: dict[str, Any] = {"id": "lamps", "dataset": "lamps", "visibility": "open"}
SYSTEM = Access("system:test")


def publish(
    store: Store, dataset: str, visibility: Visibility = Visibility.OPEN, source: str = "test"
) -> None:
    schema = DatasetSchema(
        dataset, "Point", (Column("kind"), Column("watts", ColumnType.REAL)), visibility=visibility
    )
    batch = FeatureBatch(schema, ["1"], [None], {"kind": ["led"], "watts": [12.5]})
    staged = store.stage(schema, source, [batch])
    with store.begin() as tx:
        deliveries.publish(tx, staged, SYSTEM)
        tx.commit()


def add(store: Store, **members: Any) -> Collection:
    with store.begin() as tx:
        collection = add_collection(tx, {**ENTRY, **members})
        tx.commit()
    return collection


def listed(store: Store) -> dict[str, Collection]:
    return {collection.id: collection for collection in catalogue(store)}


def test_built_in_entries_are_files_named_by_their_id(root: Path) -> None:
    files = sorted(path.stem for path in (root / "standards" / "collections").glob("*.json"))
    assert [collection.id for collection in built_in()] == files
    for collection in built_in():
        assert all(collection.title.values())
        assert all(collection.description.values())


def test_utility_rows_are_never_open() -> None:
    utility = [c for c in built_in() if c.dataset == UTILITY_FEATURES.name]
    assert {c.id: dict(c.rule) for c in utility} == {
        "utility-lines": {"kind": ("line", "trace")},
        "utility-components": {"kind": ("component",)},
    }
    assert {c.visibility for c in utility} == {Visibility.GRANTED}
    for collection in utility:
        for column in collection.rule:
            UTILITY_FEATURES.column(column)


def test_an_empty_store_lists_granted_collections_only(store: Store) -> None:
    assert set(listed(store)) == {"utility-lines", "utility-components"}


def test_an_open_collection_appears_with_its_data(store: Store) -> None:
    before = version(store)
    publish(store, "buildings")
    assert listed(store)["buildings"].visibility is Visibility.OPEN
    assert "streets" not in listed(store)
    assert version(store) != before


def test_an_added_collection_is_listed_and_replaced_by_its_id(store: Store) -> None:
    add(store, title={"da": "Lamper", "en": "Lamps"}, rule={"kind": ["led"], "watts": [12.5, 20]})
    first = version(store)
    assert version(store) == first
    assert listed(store)["lamps"].title == {"da": "Lamper", "en": "Lamps"}
    assert listed(store)["lamps"].rule == {"kind": ("led",), "watts": (12.5, 20)}
    add(store, title={"da": "Lygter", "en": "Lamps"})
    assert listed(store)["lamps"].title["da"] == "Lygter"
    assert version(store) != first


def test_little_must_be_said(store: Store) -> None:
    collection = add(store)
    assert collection.title == {"da": "lamps", "en": "lamps"}
    assert collection.crs[0] == "OGC:CRS84"
    assert collection == listed(store)["lamps"]


def test_an_entry_survives_its_journey_through_json() -> None:
    for collection in built_in():
        assert Collection.from_json(json.loads(json.dumps(collection.to_json()))) == collection


def test_a_built_in_collection_cannot_be_replaced(store: Store) -> None:
    with store.begin() as tx, pytest.raises(Conflict):
        add_collection(tx, {**ENTRY, "id": "utility-lines"})


@pytest.mark.parametrize("dataset", ["utility-features", "secrets"])
def test_a_granted_dataset_cannot_be_opened(store: Store, dataset: str) -> None:
    publish(store, "secrets", Visibility.GRANTED)
    with store.begin() as tx, pytest.raises(InvalidInput, match="grant"):
        add_collection(tx, {**ENTRY, "dataset": dataset})
    assert add(store, dataset=dataset, visibility="granted").visibility is Visibility.GRANTED


def test_a_collection_closes_when_its_dataset_turns_out_to_be_granted(store: Store) -> None:
    publish(store, "lamps")
    add(store)
    assert listed(store)["lamps"].visibility is Visibility.OPEN
    publish(store, "lamps", Visibility.GRANTED, source="other")
    assert listed(store)["lamps"].visibility is Visibility.GRANTED


def test_an_entry_slipped_into_the_table_opens_nothing(store: Store) -> None:
    entry = json.dumps({**ENTRY, "dataset": "utility-features"})
    with store.begin() as tx:
        row = {"collection_id": "lamps", "entry": entry, "updated_at": now()}
        tx.execute(sa.insert(collections).values(row))
        tx.commit()
    assert listed(store)["lamps"].visibility is Visibility.GRANTED


def test_a_rule_on_a_column_that_the_dataset_lacks_is_refused(store: Store) -> None:
    publish(store, "lamps")
    with store.begin() as tx, pytest.raises(InvalidInput, match="colour"):
        add_collection(tx, {**ENTRY, "rule": {"colour": ["red"]}})
    add(store, rule={"feature_id": ["1"]})


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("id", "Lamps"),
        ("id", "../lamps"),
        ("id", ""),
        ("id", 7),
        ("id", "a" * 64),
        ("dataset", "lamps; DROP TABLE jobs"),
        ("title", "Lamps"),
        ("title", {"en": "Lamps"}),
        ("title", {"da": "Lamper", "en": "Lamps", "de": "Lampen"}),
        ("title", {"da": "Lamper", "en": "a\x1b"}),
        ("description", None),
        ("visibility", "public"),
        ("visibility", ["open"]),
        ("rule", [["kind", "led"]]),
        ("rule", {"kind": "led"}),
        ("rule", {"kind": []}),
        ("rule", {"kind": [None]}),
        ("rule", {"kind": [{"a": 1}]}),
        ("rule", {"watts": [float("nan")]}),
        ("rule", {'kind" OR 1=1': ["led"]}),
        ("crs", []),
        ("crs", "EPSG:25832"),
        ("crs", ["EPSG:1"]),
        ("attribution", 1),
        ("licence", "x" * 2001),
        ("style", {"color": "red"}),
        ("keywords", "lamp"),
        ("keywords", ["x"] * 51),
        ("colour", "red"),
    ],
)
def test_an_entry_that_cannot_be_used_is_refused_by_the_name_of_its_member(member: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as told:
        Collection.from_json({**ENTRY, member: value})
    assert member in told.value.message or member == "crs"


@pytest.mark.parametrize("member", ["id", "dataset", "visibility"])
def test_an_entry_that_lacks_a_member_is_refused(member: str) -> None:
    with pytest.raises(InvalidInput, match=member):
        Collection.from_json({name: value for name, value in ENTRY.items() if name != member})


@pytest.mark.parametrize("document", [None, [], "lamps", 7])
def test_what_is_not_an_object_is_refused(document: Any) -> None:
    with pytest.raises(GeoinfraError):
        Collection.from_json(document)


@pytest.mark.parametrize("kind", ["raster", "cube"])
def test_what_is_no_features_is_open_and_has_no_rule(kind: str) -> None:
    entry = {"id": "ground", "dataset": "ground", "visibility": "open", "kind": kind}
    assert Collection.from_json(entry).to_json()["kind"] == kind
    for change in ({"visibility": "granted"}, {"rule": {"a": ["b"]}}):
        with pytest.raises(InvalidInput, match="'kind'"):
            Collection.from_json(entry | change)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InvalidInput, match="features, raster, cube"):
        Collection.from_json(ENTRY | {"kind": "cloud"})
