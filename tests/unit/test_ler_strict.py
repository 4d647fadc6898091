"""What tolerant reading mends and reports, strict reading refuses, by the schema or by a rule of LER."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable

import pytest
from ler_documents import GML, LINE, MULTI_CURVE, SRS, XSI, Documents, geometry, written
from lxml import etree

from geoinfra.errors import Finding
from geoinfra.utilities.formats import ler

CVR = "12345678"
ERROR, WARNING = "error", "warning"
numbers = itertools.count()
Change = Callable[[Documents, etree._Element], object]


def findings_of(document: bytes, *, strict: bool) -> list[Finding]:
    answer = ler.read_answer(io.BytesIO(document), owner_cvr=CVR, strict=strict)
    return answer.scan().findings


def judged(document: bytes, code: str) -> tuple[str | None, str | None, str]:
    """Return how a finding weighs in strict and in tolerant reading, and LER's rule."""
    weights: list[str | None] = []
    rule = ""
    for strict in (True, False):
        found = [f for f in findings_of(document, strict=strict) if f.code == code]
        weights.append(found[0].severity.value if found else None)
        rule = found[0].rule if found and strict else rule
    return weights[0], weights[1], rule


def part(made: Documents, feature: etree._Element, name: str) -> etree._Element:
    found = feature.find(made.spaces["ler"] + name)
    assert found is not None
    return found


def text_of(name: str, text: str) -> Change:
    return lambda made, feature: setattr(part(made, feature, name), "text", text)


def attribute_of(name: str, attribute: str, value: str) -> Change:
    return lambda made, feature: part(made, feature, name).set(attribute, value)


def shape_of(shape: str, srs: str = f'srsName="{SRS}" srsDimension="3"') -> Change:
    def change(made: Documents, feature: etree._Element) -> None:
        holder = part(made, feature, "geometri")
        holder[:] = [geometry(shape, srs)]

    return change


def first_moved_last(made: Documents, feature: etree._Element) -> None:
    feature.append(feature[0])


def named(made: Documents, feature: etree._Element) -> None:
    feature.insert(0, geometry("<name>Kabel 4</name>", ""))


FLAT = "<LineString {srs}><posList>700000 6200000 700001 6200000</posList></LineString>"
OTHER_SRS = 'srsName="http://www.opengis.net/def/crs/EPSG/0/25832"'
SRS_RULE = "IndholdGM_ObjectSRIdRestriktionRule"
HEIGHT_RULE = "IndholdKoteSRIDrestriktion"

CASES: list[tuple[str, Change, str, tuple[str | None, str | None, str]]] = [
    ("Elledning", first_moved_last, "LER-ORDER", (ERROR, WARNING, "")),
    ("Elledning", text_of("driftsstatus", " i drift "), "LER-WHITESPACE", (ERROR, WARNING, "")),
    ("Elledning", text_of("registreringFra", "2024-01-01T10:00"), "LER-DATETIME", (ERROR, WARNING, "")),
    ("Elledning", named, "LER-GML-PROPERTY", (WARNING, WARNING, "")),
    ("Elledning", shape_of(FLAT), "LER-SRS-DIMENSION", (ERROR, ERROR, "Check3DGeometryRule")),
    ("Elledning", shape_of(FLAT, f'srsName="{SRS}"'), "LER-GEOMETRY-2D",
     (ERROR, WARNING, "Check3DGeometryRule")),
    ("Elledning", shape_of(FLAT, OTHER_SRS), "LER-SRS-NAME", (ERROR, WARNING, SRS_RULE)),
    ("Elledning", shape_of(LINE, 'srsName="EPSG:7416"'), "LER-SRS-NAME", (ERROR, None, SRS_RULE)),
    ("Elledning", shape_of(LINE, ""), "LER-SRS-NAME", (ERROR, None, SRS_RULE)),
    ("Elledning", shape_of(LINE, f'srsName="{SRS}" srsDimension="4"'), "LER-SRS-DIMENSION",
     (ERROR, ERROR, "Check3DGeometryRule")),
    ("Elledning", attribute_of("udvendigDiameter", "uom", "cm"), "LER-UOM",
     (ERROR, ERROR, "LedningUdvendigDiameterMaleenhedsRestriktionRule")),
    ("Elledning", attribute_of("driftsstatus", "foo", "1"), "LER-XML-ATTRIBUTE", (ERROR, None, "")),
    ("Elledning", attribute_of("driftsstatus", f"{XSI}nil", "true"), "LER-NIL-CONTENT", (ERROR, None, "")),
    ("Elledning", lambda made, feature: setattr(feature, "text", "tekst"), "LER-TEXT", (ERROR, None, "")),
    ("Elledning", lambda made, feature: feature.set(f"{GML}id", "x.Elkomponent"), "LER-DUPLICATE-ID",
     (ERROR, ERROR, "")),
    ("Vandkomponent", text_of("topkote", "700000 6200000 12.5"), "LER-HEIGHT", (ERROR, WARNING, HEIGHT_RULE)),
    ("Vandkomponent", attribute_of("topkote", "srsName", SRS), "LER-HEIGHT", (ERROR, None, HEIGHT_RULE)),
    ("Informationsressource", attribute_of("format", "type", "text/plain"), "LER-MEDIA-TYPE",
     (ERROR, WARNING, "IRFormatRestriktionRule")),
    ("Ledningstrace", shape_of(LINE), "LER-GEOMETRY-KIND", (ERROR, None, "")),
    ("Elledning", shape_of(MULTI_CURVE), "LER-GEOMETRY-KIND", (ERROR, ERROR, "")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "code", "expected"), CASES)
def test_what_is_tolerated_is_refused_strictly(
    name: str, change: Change, code: str, expected: tuple[str | None, str | None, str]
) -> None:
    made = Documents()
    feature = made.feature(made.known.classes[name], f"f.{next(numbers)}", full=True)
    change(made, feature)
    assert judged(written(made.document([feature])), code) == expected


NEWER: list[tuple[str, str, str, bool]] = [
    ("2.1.0", "Elledning", "noejagtighedsklasseVertikal", False),
    ("2.1.0", "Vandledning", "udnyttelsesgrad", False),
    ("2.1.0", "Vandkomponent", "udnyttelsesgrad", False),
    ("2.0.1", "Gasledning", "medietype", False),
    ("2.0.0", "Gasledning", "medietype", False),
    ("2.0.1", "Elledning", "vejledendeDybde", True),
    ("2.0.1", "AndenLedning", "udvendigBredde", True),
    ("1.0.0", "Afloebsledning", "medietype", False),
    ("1.0.0", "Elledning", "ejerskabsforhold", False),
]


@pytest.mark.parametrize(("model", "name", "attribute", "nil"), NEWER)
def test_what_only_a_later_model_has_is_an_error_or_a_warning(
    model: str, name: str, attribute: str, nil: bool
) -> None:
    newest, own = Documents(), Documents(model)
    kind = newest.known.classes[name].attributes[attribute]
    values = [v for v in own.values(kind, "v") if (v.get(f"{XSI}nil") is not None) is nil]
    entry = newest.known.classes[name]
    feature = own.feature(own.known.classes[name], "f", full=True)
    for held in feature.findall(values[0].tag):
        feature.remove(held)
    places = [entry.position[etree.QName(child).localname] for child in feature]
    feature.insert(sum(place < entry.position[attribute] for place in places), values[0])
    document = written(own.document([feature]))
    assert judged(document, "LER-NEWER-MODEL")[:2] == (ERROR, WARNING)
    others = [f for f in findings_of(document, strict=True) if f.severity == "error"]
    assert [(f.code, f.path) for f in others] == [("LER-NEWER-MODEL", f"{name}/{attribute}")]


@pytest.mark.parametrize("value", ["glykol", "sprit"])
def test_a_code_that_only_a_later_model_has(value: str) -> None:
    own = Documents("1.0.0")
    feature = own.feature(own.known.classes["TermiskLedning"], "f", full=True)
    part(own, feature, "indhold").text = value
    assert judged(written(own.document([feature])), "LER-NEWER-MODEL")[:2] == (ERROR, WARNING)


def test_strict_reading_names_the_comment_that_ler_refuses() -> None:
    made = Documents()
    document = written(made.document([])).replace(b"<ler:id>", b"<!-- nota --><ler:id>")
    assert judged(document, "LER-COMMENT") == (ERROR, None, "13-300")


@pytest.mark.parametrize("size", [1, 2, 3, 64 * 1024])
def test_a_comment_is_seen_wherever_the_file_is_cut(size: int) -> None:
    class Slow(io.BytesIO):
        def read(self, length: int | None = -1) -> bytes:
            return super().read(min(size, length) if length and length > 0 else size)

    made = Documents()
    document = written(made.document([])).replace(b"<ler:id>", b"<!-- nota --><ler:id>")
    answer = ler.read_answer(Slow(document), owner_cvr=CVR, strict=True)
    assert "LER-COMMENT" in [f.code for f in answer.scan().findings]


def test_two_features_in_a_member_are_read_and_remarked() -> None:
    made = Documents()
    root = made.document([])
    root[2].append(made.feature(made.known.classes["Elledning"], "to"))
    document = written(root)
    assert judged(document, "LER-MEMBER")[:2] == (ERROR, WARNING)
    (batch,) = ler.read_answer(io.BytesIO(document), owner_cvr=CVR).batches()
    assert "to" in batch.columns["gml_id"]


def test_a_text_that_was_not_bounded_in_its_model_is_cut_and_reported() -> None:
    own = Documents("1.0.0")
    feature = own.feature(own.known.classes["Elledning"], "f", full=True)
    part(own, feature, "sikkerhedshensyn").text = "x" * 600
    document = written(own.document([feature]))
    assert judged(document, "LER-LIFTED-TEXT")[:2] == (WARNING, WARNING)
