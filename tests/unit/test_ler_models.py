"""The catalogue of each data model says what the official schema of that model says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from geoinfra.errors import InvalidInput
from geoinfra.utilities.catalogue import MODELS, Enumeration, FeatureClass, catalogue

XSD = "{http://www.w3.org/2001/XMLSchema}"


@dataclass
class Declared:
    """What the schema files of one model declare, by prefixed name."""

    elements: dict[str, etree._Element] = field(default_factory=dict)
    types: dict[str, etree._Element] = field(default_factory=dict)

    def children(self, name: str) -> list[etree._Element]:
        """Element declarations of a class and its parents, in their order."""
        held: list[etree._Element] = []
        while name in self.elements:
            declared = self.types[self.elements[name].get("type", "")]
            extension = next(declared.iter(f"{XSD}extension"))
            held = [*next(extension.iterchildren(f"{XSD}sequence")), *held]
            name = extension.get("base", "").removesuffix("Type")
        return held

    def codes(self, name: str) -> tuple[bool, frozenset[str]]:
        """Whether a code list is open, and its values."""
        union = self.types[name].find(f"{XSD}union")
        members = [name] if union is None else (union.get("memberTypes") or "").split()
        values = [v.get("value", "") for m in members for v in self.types[m].iter(f"{XSD}enumeration")]
        return any(True for m in members for _ in self.types[m].iter(f"{XSD}pattern")), frozenset(values)


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def declared(reference: Path, model: str) -> Declared:
    found = Declared()
    prefixes = {"ler": "ler", "dimensions": "dim", "annotations": "ann"}
    for file in (reference / "ler" / "xsd" / model).glob("*.xsd"):
        prefix = prefixes[file.stem.rpartition("_")[2]]
        for declaration in (
            etree.parse(str(file)).getroot().iterchildren("{*}element", "{*}complexType", "{*}simpleType")
        ):
            kind = found.elements if declaration.tag == f"{XSD}element" else found.types
            kind[f"{prefix}:{declaration.get('name')}"] = declaration
    return found


def facts(declaration: etree._Element) -> dict[str, Any]:
    """Cardinality, nil, length and pattern of an element declaration."""

    def facet(name: str) -> str | None:
        return next((f.get("value") for f in declaration.iter(f"{XSD}{name}")), None)

    return {
        "name": (declaration.get("name") or declaration.get("ref") or "").rpartition(":")[2],
        "min": declaration.get("minOccurs", "1"),
        "max": declaration.get("maxOccurs", "1"),
        "nillable": declaration.get("nillable", "false"),
        "length": facet("maxLength"),
        "pattern": facet("pattern"),
        "default": declaration.get("default"),
    }


def own_facts(entry: FeatureClass) -> list[dict[str, Any]]:
    return [
        {
            "name": a.name,
            "min": str(a.min),
            "max": "unbounded" if a.max is None else str(a.max),
            "nillable": str(a.nillable).lower(),
            "length": None if a.max_length is None else str(a.max_length),
            "pattern": a.pattern or None,
            "default": a.default or None,
        }
        for a in entry.attributes.values()
    ]


def dropped(model: str) -> Mapping[str, Any]:
    older: Mapping[str, Any] = catalogue().older_models.get(model, {}).get("dropped_attributes", {})
    return older


def test_the_classes_are_those_of_the_schema(model: str, declared: Declared) -> None:
    concrete = {name for name, e in declared.elements.items() if e.get("abstract") != "true"}
    assert {entry.qname for entry in catalogue(model).classes.values()} == concrete


def test_each_attribute_is_as_the_schema_declares_it(model: str, declared: Declared) -> None:
    for entry in catalogue(model).classes.values():
        gone = dropped(model).get(entry.name, ())
        schema = [facts(child) for child in declared.children(entry.qname)]
        assert own_facts(entry) == [fact for fact in schema if fact["name"] not in gone], entry.name


def test_each_code_list_has_the_values_of_the_schema(model: str, declared: Declared) -> None:
    for entry in catalogue(model).classes.values():
        for child in declared.children(entry.qname):
            attribute = entry.attributes.get(facts(child)["name"])
            if attribute is None or attribute.enumeration is None:
                continue
            inner = next((e.get("base", "") for e in child.iter(f"{XSD}extension")), "")
            codes = declared.codes(child.get("type") or inner)
            assert (attribute.enumeration.open, attribute.enumeration.values) == codes, attribute.name


def test_the_namespaces_are_those_of_the_schema(reference: Path, model: str) -> None:
    files = [etree.parse(str(file)).getroot() for file in (reference / "ler" / "xsd" / model).glob("*.xsd")]
    targets = {file.get("targetNamespace") for file in files}
    assert {catalogue(model).namespaces[prefix] for prefix in ("ler", "dim", "ann")} == targets


def test_a_model_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no data model"):
        catalogue("3.0.0")


@pytest.mark.parametrize(
    ("value", "admitted"),
    [
        ("brønd", True),
        ("other: ok", True),
        ("other: o", False),
        ("other: to ord", False),
        ("other:ok", False),
        ("other: ok-ok", False),
        (" brønd", False),
        ("Brønd", False),
    ],
)
def test_an_open_list_takes_its_values_and_one_word_of_another(value: str, admitted: bool) -> None:
    assert Enumeration("x", True, frozenset({"brønd"})).admits(value) is admitted
