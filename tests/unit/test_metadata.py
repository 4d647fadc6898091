"""What an entry may tell of its data: each member is checked, and comes back as it was written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from geoinfra.errors import InvalidInput
from geoinfra.storage.collections import Collection
from geoinfra.storage.metadata import INSPIRE_THEMES, Licence, Metadata

WHOLE: dict[str, Any] = {
    "licence": {"spdx": "CC-BY-4.0", "text": {"da": "Kreditering", "en": "Attribution"}},
    "terms": {"da": "Vilkår", "en": "Terms"},
    "contacts": [
        {"name": "Kommunen", "email": "gis@example.dk", "url": "https://example.dk/gis", "role": "custodian"}
    ],
    "lineage": {"da": "Målt", "en": "Surveyed"},
    "quality": [{"measure": "positional accuracy", "value": 0.1, "unit": "m"}],
    "update": "weekly",
    "created": "2024-01-01",
    "revised": "2026-11-01",
    "resolution_m": 0.4,
    "topics": ["structure"],
    "inspire_theme": "bu",
    "conformance": [{"title": "INSPIRE", "url": "https://example.dk/i", "degree": "conformant"}],
}


def test_an_entry_keeps_its_metadata() -> None:
    entry = {"id": "a", "dataset": "a", "visibility": "open", "metadata": WHOLE}
    collection = Collection.from_json(entry)
    again = Collection.from_json(json.loads(json.dumps(collection.to_json())))
    assert again == collection
    told = again.to_json()["metadata"]
    assert told == WHOLE


def test_an_entry_without_metadata_tells_none() -> None:
    assert Collection.from_json({"id": "a", "dataset": "a", "visibility": "open"}).metadata == Metadata()
    assert Metadata().to_json() == {}


@pytest.mark.parametrize(
    ("licence", "address"),
    [
        (Licence("CC0-1.0"), "https://spdx.org/licenses/CC0-1.0"),
        (Licence("CC0-1.0", "https://example.dk/l"), "https://example.dk/l"),
        (Licence(), ""),
    ],
)
def test_a_licence_has_an_address(licence: Licence, address: str) -> None:
    assert licence.address == address


@pytest.mark.parametrize(
    ("member", "value", "where"),
    [
        ("licence", {"spdx": "a b"}, "metadata.licence.spdx"),
        ("licence", {"url": "javascript:alert(1)"}, "metadata.licence.url"),
        ("licence", {"url": 'https://a.dk/"><script>'}, "metadata.licence.url"),
        ("licence", {"url": "https://[broken"}, "metadata.licence.url"),
        ("terms", {"da": "kun dansk"}, "metadata.terms"),
        ("contacts", [{"email": "a@b.dk"}], "metadata.contacts[0].name"),
        ("contacts", [{"name": "A", "email": "nobody"}], "metadata.contacts[0].email"),
        ("contacts", [{"name": "A", "role": "boss"}], "metadata.contacts[0].role"),
        ("contacts", [{"name": "A"}] * 21, "metadata.contacts"),
        ("quality", [{"measure": "a", "value": float("nan")}], "metadata.quality[0].value"),
        ("quality", [{"measure": "a", "value": True}], "metadata.quality[0].value"),
        ("update", "sometimes", "metadata.update"),
        ("created", "24-11-2026", "metadata.created"),
        ("resolution_m", -1, "metadata.resolution_m"),
        ("topics", ["everything"], "metadata.topics[0]"),
        ("topics", "oceans", "metadata.topics"),
        ("inspire_theme", "zz", "metadata.inspire_theme"),
        ("conformance", [{"url": "https://a.dk"}], "metadata.conformance[0].title"),
        ("colour", "red", "metadata.colour"),
        ("lineage", {"da": "a\x00", "en": "b"}, "metadata.lineage.da"),
    ],
)
def test_what_cannot_be_used_is_named(member: str, value: Any, where: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Metadata.from_json({member: value})
    assert refused.value.details["where"] == where


def test_metadata_is_an_object() -> None:
    with pytest.raises(InvalidInput):
        Metadata.from_json(["licence"])


def test_inspire_themes_have_two_letters_and_two_names() -> None:
    assert all(len(code) == 2 and da and en for code, (da, en) in INSPIRE_THEMES.items())
