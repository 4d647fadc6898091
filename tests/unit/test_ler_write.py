"""Answers in each data model that can be written: valid by its schema, and nothing lost in silence."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import pytest
from ler_documents import Documents, written
from ler_schema import faults, ler_schema
from lxml import etree

from geoinfra.errors import InvalidInput, Report, Severity
from geoinfra.tables import FeatureBatch
from geoinfra.utilities.catalogue import MODELS, catalogue
from geoinfra.utilities.formats import ler
from geoinfra.utilities.model import AnswerHeader, Contact, FeatureRows, ResponseType

CVR = "12345678"
WRITTEN = MODELS[1:]
HEADER = AnswerHeader("cd459a03-8629-4682-85b3-293cd6fefd75", ResponseType.DELIVERED)


@pytest.fixture(scope="module")
def schemas(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, etree.XMLSchema]:
    return {model: ler_schema(reference, tmp_path_factory.mktemp("xsd"), model) for model in WRITTEN}


@pytest.fixture(scope="module")
def everything() -> tuple[AnswerHeader, list[FeatureBatch]]:
    """Every class with every attribute and every value, nil among them."""
    made = Documents()
    features = [
        feature
        for entry in made.known.feature_classes
        for feature in (made.feature(entry, f"{entry.name}.most", full=True), *made.each_value(entry))
    ]
    answer = ler.read_answer(
        io.BytesIO(written(made.document(features, full_header=True))), owner_cvr=CVR, strict=True
    )
    batches = list(answer.batches())
    assert [f for f in answer.report.findings if f.severity is Severity.ERROR] == []
    return answer.header, batches


@pytest.mark.parametrize("model", WRITTEN)
def test_everything_is_valid_in_each_model(
    schemas: dict[str, etree.XMLSchema], everything: tuple[AnswerHeader, list[FeatureBatch]], model: str
) -> None:
    target = io.BytesIO()
    header, batches = everything
    count = ler.write_answer(target, header, batches, model)
    assert count == sum(len(batch) for batch in batches)
    assert faults(schemas[model], target.getvalue()) == []
    answer = ler.read_answer(target, owner_cvr=CVR, strict=True)
    answer.scan()
    assert answer.header.model_version == model
    assert [f for f in answer.report.findings if f.severity is Severity.ERROR] == []


@pytest.mark.parametrize("model", WRITTEN)
def test_each_attribute_that_a_model_does_not_have_is_reported_for_its_feature(
    everything: tuple[AnswerHeader, list[FeatureBatch]], model: str
) -> None:
    header, batches = everything
    target, report = io.BytesIO(), Report(limit=10**6)
    ler.write_answer(target, header, batches, model, report)
    newest, own = etree.fromstring(written_in(everything, MODELS[-1])), etree.fromstring(target.getvalue())
    lost = Counter(tags(newest)) - Counter(tags(own))
    told = Counter(
        finding.path
        for finding in report.findings
        if finding.code in ("LER-WRITE-ATTRIBUTE", "LER-WRITE-NIL")
    )
    assert told == lost
    assert all(finding.feature_id and finding.found for finding in report.findings if finding.path in lost)
    assert bool(told) is (model != MODELS[-1])


def written_in(everything: tuple[AnswerHeader, list[FeatureBatch]], model: str) -> bytes:
    target = io.BytesIO()
    ler.write_answer(target, *everything, model)
    return target.getvalue()


def tags(root: etree._Element) -> list[str]:
    """Class and attribute of every attribute of every feature."""
    features = [feature for member in root if "Member" in str(member.tag) for feature in member]
    return [
        f"{etree.QName(feature).localname}/{etree.QName(child).localname}"
        for feature in features
        for child in feature
    ]


def test_a_feature_without_what_the_model_wants_is_reported() -> None:
    rows = FeatureRows(CVR)
    rows.add("Elledning", "el.1", {"type": "stikkabel"})
    report = Report()
    ler.write_answer(io.BytesIO(), HEADER, [rows.batch()], "2.0.1", report)
    told = [(f.code, f.severity, f.feature_id, f.path) for f in report.findings]
    assert told == [
        ("LER-WRITE-MISSING", Severity.ERROR, "el.1", f"Elledning/{name}")
        for name in ("driftsstatus", "etableringstidspunkt", "fareklasse")
    ]


@pytest.mark.parametrize("model", ["1.0.0", "2.3.0", ""])
def test_other_models_are_refused(model: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be written"):
        ler.write_answer(io.BytesIO(), HEADER, [], model)


@pytest.mark.parametrize(
    "contact",
    [
        Contact("", "12345678"),
        Contact("x" * 101, "12345678"),
        Contact("Netdrift", "1" * 16),
        Contact("Netdrift", "", "x" * 255),
        Contact("Netdrift", "12345678", gml_id="1 2"),
    ],
)
def test_a_contact_that_the_schema_does_not_take_is_refused(contact: Contact) -> None:
    header = AnswerHeader(HEADER.answer_id, ResponseType.NO_LINES, contact=contact)
    with pytest.raises(InvalidInput):
        ler.write_answer(io.BytesIO(), header, [])


def test_a_contact_without_id_does_not_take_that_of_a_feature(schemas: dict[str, etree.XMLSchema]) -> None:
    rows = FeatureRows(CVR)
    made = {"driftsstatus": "i drift", "etableringstidspunkt": "2024", "fareklasse": "farlig"}
    rows.add("Elledning", "kontakt", {**made, "type": "stikkabel"})
    target = io.BytesIO()
    header = AnswerHeader(HEADER.answer_id, ResponseType.DELIVERED, contact=Contact("Netdrift", "12345678"))
    ler.write_answer(target, header, [rows.batch()])
    assert faults(schemas["2.2.0"], target.getvalue()) == []


class TestTheOfficialAnswer:
    """The authority's own answer of model 1.0.0, 636 features."""

    @pytest.mark.parametrize("model", WRITTEN)
    def test_it_is_valid_in_every_later_model(
        self, reference: Path, schemas: dict[str, etree.XMLSchema], model: str
    ) -> None:
        answer = ler.read_answer(reference / "ler/samples/svarudtagettil.gml", owner_cvr=CVR)
        target = io.BytesIO()
        assert ler.write_answer(target, answer.header, answer.batches(), model) == 636
        assert faults(schemas[model], target.getvalue()) == []

    def test_every_change_is_listed(self, reference: Path) -> None:
        answer = ler.read_answer(reference / "ler/samples/svarudtagettil.gml", owner_cvr=CVR)
        report = Report(limit=10**6)
        ler.write_answer(io.BytesIO(), answer.header, answer.batches(), report=report)
        read = Counter((f.code, f.found, f.expected) for f in answer.report.findings)
        assert {key: n for key, n in read.items() if key[0].startswith("LER-LIFTED")} == {
            ("LER-LIFTED-MODEL", "1.0.0", "2.2.0"): 1,
            ("LER-LIFTED-VALUE", "vejbelysningsarmatur", "other: vejbelysningsarmatur"): 22,
        }
        assert answer.report.warnings == 22
        lines = 406 + 2
        assert Counter((f.code, f.rule) for f in report.findings) == {
            ("LER-WRITE-VERTICAL-CLASS", "LedningNoejagtighedsklasseVertikalBetingelseRule"): lines
        }
        assert {f.severity for f in report.findings} == {Severity.WARNING}

    def test_it_says_nothing_of_what_an_older_model_does_not_ask_for(self, reference: Path) -> None:
        answer = ler.read_answer(reference / "ler/samples/svarudtagettil.gml", owner_cvr=CVR)
        report = Report()
        ler.write_answer(io.BytesIO(), answer.header, answer.batches(), "2.1.0", report)
        assert report.findings == []


def test_the_models_that_are_written_are_those_of_the_second_generation() -> None:
    assert {catalogue(model).namespaces["ler"] for model in WRITTEN} == {
        "http://data.gov.dk/schemas/LER/2/gml"
    }
