"""Our strict reading and the official schemas (by libxml2) agree on what is valid, document by document.

Where the schema refuses, strict reading gives an error at that feature. Where it does not, strict reading
gives none, but for LER's own rules beside the schema; such an error names the rule as LER's own list does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from ler_documents import GML, XLINK, XSI, Documents, written
from ler_mutations import BOX, TEXTS, errors_of, judged, schema_faults
from ler_schema import ler_schema
from lxml import etree

from geoinfra.utilities.catalogue import MODELS, catalogue


@pytest.fixture(scope="module")
def schemas(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, etree.XMLSchema]:
    return {model: ler_schema(reference, tmp_path_factory.mktemp("xsd"), model) for model in MODELS}


@pytest.fixture(scope="module")
def rule_names(reference: Path) -> frozenset[str]:
    codes = orjson.loads((reference / "ler" / "api" / "errorcodes.json").read_bytes())
    return frozenset(entry["StatusCode"] for entry in codes)


# -- all that is valid


@pytest.mark.parametrize("model", MODELS)
def test_every_value_of_every_attribute_is_valid_for_both(
    schemas: dict[str, etree.XMLSchema], model: str
) -> None:
    made = Documents(model)
    for entry in made.known.feature_classes:
        whole = [
            made.feature(entry, f"{entry.name}.least"),
            made.feature(entry, f"{entry.name}.most", full=True),
        ]
        document = written(made.document([*whole, *made.each_value(entry)], full_header=True))
        assert schema_faults(schemas[model], document) == {}
        assert errors_of(document) == [], entry.name


# -- what can be done to a feature

CLASSES = [(model, e.name) for model in MODELS[1:] for e in catalogue(model).feature_classes]
CHOSEN = [pair for pair in CLASSES if pair[0] == MODELS[-1]] + [
    (model, name)
    for model in MODELS[1:-1]
    for name in ("Gasledning", "AndenLedning", "Ledningstrace", "Vandkomponent")
]


@pytest.mark.parametrize(("model", "name"), CHOSEN)
def test_a_feature_that_was_changed_is_judged_as_by_the_schema(
    schemas: dict[str, etree.XMLSchema], rule_names: frozenset[str], model: str, name: str
) -> None:
    made = Documents(model)
    verdicts = judged(schemas[model], made, made.known.classes[name])
    assert verdicts.missed == []
    assert verdicts.refused == []
    assert verdicts.rules <= rule_names
    assert verdicts.cases > 300
    assert 0.2 < verdicts.invalid / verdicts.cases < 0.9


# -- what can be done to a document

Change = Callable[[Documents, etree._Element], object]


def part(name: str) -> Callable[[Documents, etree._Element], etree._Element]:
    """Find the first child of the root that is called so."""

    def find(made: Documents, root: etree._Element) -> etree._Element:
        found = root.find(made.spaces["ler"] + name)
        assert found is not None
        return found

    return find


def text_of(name: str, text: str) -> Change:
    return lambda made, root: setattr(part(name)(made, root), "text", text)


def inserted(text: str, place: int) -> Change:
    def change(made: Documents, root: etree._Element) -> None:
        root.insert(place, etree.fromstring(text.replace("ler:", "").replace("NS", made.spaces["ler"][1:-1])))

    return change


def header_element(name: str, text: str, place: int) -> Change:
    def change(made: Documents, root: etree._Element) -> None:
        attribute = made.known.classes["Graveforespoergselssvar"].attributes[name]
        root.insert(place, made.element(attribute, text))

    return change


def moved(name: str, place: int) -> Change:
    return lambda made, root: root.insert(place, part(name)(made, root))


def without_xlink(made: Documents, root: etree._Element) -> None:
    """Take out every reference, and the declaration of the namespace."""
    for element in [*root.iter()]:
        if element.get(f"{XLINK}href") is not None:
            parent = element.getparent()
            assert parent is not None
            parent.remove(element)


END = 10**6
DOCUMENTS: dict[str, Change] = {
    "nothing": lambda made, root: None,
    "root without gml:id": lambda made, root: root.attrib.pop(f"{GML}id"),
    "root with a bad gml:id": lambda made, root: root.set(f"{GML}id", "1"),
    "root with the id of a feature": lambda made, root: root.set(f"{GML}id", "x.Elledning"),
    "root with the id of the contact": lambda made, root: root.set(f"{GML}id", "svar.kontakt"),
    "root with another attribute": lambda made, root: root.set("foo", "1"),
    "root with a schema location": lambda made, root: root.set(f"{XSI}schemaLocation", "a b"),
    "root with its type": lambda made, root: root.set(f"{XSI}type", "ler:GraveforespoergselssvarType"),
    "root with another type": lambda made, root: root.set(f"{XSI}type", "ler:ElledningType"),
    "root with nil": lambda made, root: root.set(f"{XSI}nil", "false"),
    "no schemaVersion": lambda made, root: root.attrib.pop("schemaVersion"),
    "short schemaVersion": lambda made, root: root.set("schemaVersion", made.model[:3]),
    "text in the root": lambda made, root: setattr(root, "text", "tekst"),
    "text between": lambda made, root: setattr(root[3], "tail", "tekst"),
    "text at the end": lambda made, root: setattr(root[-1], "tail", "tekst"),
    "no-break space between": lambda made, root: setattr(root[2], "tail", "\u00a0"),
    "no id": lambda made, root: root.remove(part("id")(made, root)),
    "no type": lambda made, root: root.remove(part("type")(made, root)),
    "no header": lambda made, root: [root.remove(root[0]) for _ in range(5)],
    "empty id": text_of("id", ""),
    "id too long": text_of("id", "x" * 37),
    "id no UUID": text_of("id", "x" * 36),
    "type unknown": text_of("type", "andet"),
    "type with blanks": text_of("type", " ledningsoplysninger udleveret"),
    "type before id": moved("type", 0),
    "type twice": header_element("type", "ledningsoplysninger udleveret", 2),
    "gyldigTil first": moved("gyldigTil", 0),
    "gyldigTil last": moved("gyldigTil", END),
    "expected time in its place": header_element("forventetAfleveringstidspunkt", "2024-01-01T10:00:00", 2),
    "expected time too late": header_element("forventetAfleveringstidspunkt", "2024-01-01T10:00:00", 3),
    "attribute on id": lambda made, root: part("id")(made, root).set("foo", "1"),
    "nil id": lambda made, root: part("id")(made, root).set(f"{XSI}nil", "true"),
    "element in id": lambda made, root: etree.SubElement(part("id")(made, root), "b"),
    "contact without profile": lambda made, root: root[4].remove(root[4][0]),
    "contact by reference": lambda made, root: root[4].set(f"{XLINK}href", "#x.Elledning"),
    "contact without name": lambda made, root: root[4][0].remove(root[4][0][0]),
    "contact with a fault in its id": lambda made, root: root[4][0].set(f"{GML}id", "1 2"),
    "contact with another field": lambda made, root: etree.SubElement(root[4][0], "fax"),
    "unknown header element": inserted('<ukendt xmlns="NS"/>', 2),
    "header element without namespace": inserted("<id>x</id>", 0),
    "name first": inserted(f'<name xmlns="{GML[1:-1]}">navn</name>', 0),
    "name after id": inserted(f'<name xmlns="{GML[1:-1]}">navn</name>', 1),
    "bounds first": inserted(f'<boundedBy xmlns="{GML[1:-1]}">{BOX}</boundedBy>', 0),
    "bounds last": inserted(f'<boundedBy xmlns="{GML[1:-1]}">{BOX}</boundedBy>', END),
    "bounds twice": lambda made, root: [
        inserted(f'<boundedBy xmlns="{GML[1:-1]}">{BOX}</boundedBy>', 0)(made, root) for _ in range(2)
    ],
    "bad bounds": inserted(f'<boundedBy xmlns="{GML[1:-1]}"><Envelope/></boundedBy>', 0),
    "member of GML": inserted(f'<featureMember xmlns="{GML[1:-1]}"/>', END),
    "unknown member": inserted('<ukendtMember xmlns="NS"/>', END),
    "empty member": inserted('<ledningMember xmlns="NS"/>', 5),
    "empty member last": inserted('<linjeannotationMember xmlns="NS"/>', END),
    "two features in a member": lambda made, root: root[5].append(
        made.feature(made.known.classes["Elledning"], "to")
    ),
    "text in a member": lambda made, root: setattr(root[5], "text", "tekst"),
    "owned member": lambda made, root: root[5].set("owns", "true"),
    "member with another attribute": lambda made, root: root[5].set("foo", "1"),
    "member with a reference": lambda made, root: root[5].set(f"{XLINK}href", "#x.Elledning"),
    "components before lines": moved("ledningskomponentMember", 5),
    "attachments first": moved("bilagMember", 0),
    "a feature outside of a member": lambda made, root: root.append(
        made.feature(made.known.classes["Elledning"], "fri")
    ),
    "a line among the components": lambda made, root: part("ledningskomponentMember")(made, root).replace(
        part("ledningskomponentMember")(made, root)[0],
        made.feature(made.known.classes["Elledning"], "x.Elkomponent"),
    ),
    "a comment": lambda made, root: root.insert(5, etree.Comment(" nota ")),
    "an instruction": lambda made, root: root.insert(5, etree.ProcessingInstruction("pi", "x")),
    **{
        f"gyldigTil {text!r}": text_of("gyldigTil", text) for text in TEXTS["date"] if text == text.strip(" ")
    },
}


@pytest.mark.parametrize("model", [MODELS[-1], "2.0.1"])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_that_was_changed_is_judged_as_by_the_schema(
    schemas: dict[str, etree.XMLSchema], rule_names: frozenset[str], model: str, name: str
) -> None:
    made = Documents(model)
    root = made.document(
        [made.feature(made.known.classes["Ledningstrace"], "t", full=True)], full_header=True
    )
    DOCUMENTS[name](made, root)
    document = written(root)
    errors = errors_of(document)
    faults = schema_faults(schemas[model], document)
    if faults:
        assert errors, faults
    else:
        assert [finding for finding in errors if not finding.rule] == []
    assert {finding.rule for finding in errors} - {""} <= rule_names


def test_a_document_in_the_namespace_of_another_model_is_refused(schemas: dict[str, etree.XMLSchema]) -> None:
    first = written(Documents("1.0.0").document([]))
    assert schema_faults(schemas["1.0.0"], first) == {}
    mixed = first.replace(b"/LER/1/gml", b"/LER/2/gml", 1)
    assert schema_faults(schemas["1.0.0"], mixed)
    assert errors_of(mixed)


def test_a_document_that_does_not_declare_xlink_breaks_a_rule_of_ler() -> None:
    made = Documents()
    root = made.document([made.feature(made.known.classes["Elledning"], "el")])
    without_xlink(made, root)
    text = written(root).replace(f' xmlns:xlink="{XLINK[1:-1]}"'.encode(), b"")
    assert [(finding.code, finding.rule) for finding in errors_of(text)] == [
        ("LER-XLINK-NAMESPACE", "13-300")
    ]
