"""Quirks of owners: tolerant reading mends and reports them, strict reading changes nothing."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import shapely
from ler_documents import LINE, MULTI_CURVE, POINT, Documents, geometry, written
from ler_schema import faults, ler_schema
from lxml import etree

from geoinfra.errors import Finding, Severity
from geoinfra.standards import standards_path
from geoinfra.utilities.catalogue import catalogue
from geoinfra.utilities.formats import ler
from geoinfra.utilities.quirks import mended_code, quirks

CVR = "12345678"
made = Documents()
numbers = itertools.count()


def feature(name: str, values: dict[str, str | list[str]], shape: str | None = None) -> etree._Element:
    """Make a feature with all that it can have; `values` replace texts, an empty list takes out."""
    entry = made.known.classes[name]
    element = made.feature(entry, f"{name}.{next(numbers)}", full=True)
    for attribute, value in values.items():
        held = element.findall(made.spaces["ler"] + attribute)
        if isinstance(value, list):
            for one in held:
                element.remove(one)
        else:
            held[0].text = value
    if shape is not None:
        holder = element.find(f"{made.spaces['ler']}geometri")
        assert holder is not None
        holder[:] = [geometry(shape)]
    return element


def read(
    *features: etree._Element, strict: bool = False
) -> tuple[list[tuple[str, dict[str, Any]]], list[Finding], bytes]:
    """Read features; return class and attributes of each, the findings, and the answer written again."""
    document = written(made.document(features, targets=True))
    answer = ler.read_answer(io.BytesIO(document), owner_cvr=CVR, strict=strict)
    batches = list(answer.batches())
    rows = [
        (name, orjson.loads(properties))
        for batch in batches
        for own_id, name, properties in zip(
            batch.columns["gml_id"],
            batch.columns["feature_class"],
            batch.columns["properties"],
            strict=True,
        )
        if not own_id.startswith("x.")
    ]
    again = io.BytesIO()
    ler.write_answer(again, answer.header, batches)
    return rows, list(answer.report.findings), again.getvalue()


def named(findings: list[Finding], code: str) -> list[Finding]:
    return [finding for finding in findings if finding.code == code]


@pytest.fixture(scope="module")
def schema(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> etree.XMLSchema:
    return ler_schema(reference, tmp_path_factory.mktemp("xsd"))


CODES = [
    ("Driftsstatus", "I drift", "i drift", "CODE-CASE"),
    ("Fareklasse", "MEGET FARLIG", "meget farlig", "CODE-CASE"),
    ("Driftsstatus", "i  drift", "i drift", "CODE-SPACES"),
    ("Driftsstatus", "i\u00a0drift", "i drift", "CODE-SPACES"),
    ("Fareklasse", "megetfarlig", "meget farlig", "CODE-SPACES"),
    ("Noejagtighedsklasse", "<=0.25m", "<= 0.25 m", "CODE-SPACES"),
    ("Noejagtighedsklasse", "<= 0,25 m", "<= 0.25 m", "CODE-DECIMAL"),
    ("Noejagtighedsklasse", "≤ 1,00 m", "<= 1.00 m", "CODE-DECIMAL"),
    ("Noejagtighedsklasse", ">2,00 m", "> 2.00 m", "CODE-DECIMAL"),
    ("Afloebskomponenttype", "broend", "brønd", "CODE-LETTERS"),
    ("Indtegningsmetodetype", "Noejagtigt", "nøjagtigt", "CODE-LETTERS"),
    ("Forsyningsart", "Fjernvarme", "fjernvarme/fjernkøling", "CODE-ALIAS"),
    ("Driftsstatus", "idrift", "i drift", "CODE-SPACES"),
    ("Fareklasse", "ufarlig", "ikke farlig", "CODE-ALIAS"),
    ("Tvaersnitsformtype", "rund", "cirkulær", "CODE-ALIAS"),
    ("Elkomponenttype", "other: To ord", "other: Toord", "CODE-OTHER"),
    ("Elkomponenttype", "other:skab-2", "other: skab2", "CODE-OTHER"),
    ("Elkomponenttype", "Andet: signal anlæg", "other: signalanlæg", "CODE-OTHER"),
]


@pytest.mark.parametrize(("enumeration", "text", "value", "quirk_id"), CODES)
def test_a_code_that_is_written_otherwise_is_understood(
    enumeration: str, text: str, value: str, quirk_id: str
) -> None:
    mended = mended_code(catalogue().enumerations[enumeration], text)
    assert mended == (value, quirks()[quirk_id])
    assert catalogue().enumerations[enumeration].admits(value)


@pytest.mark.parametrize(
    ("enumeration", "text"),
    [
        ("Driftsstatus", "ude af drift"),
        ("Driftsstatus", ""),
        ("Driftsstatus", "other: to ord"),
        ("Elkomponenttype", "other: x"),
        ("Elkomponenttype", "other: --"),
        ("Elkomponenttype", "ukendt"),
        ("Noejagtighedsklasse", "<= 0.3 m"),
        ("Noejagtighedsklasse", "0,25"),
    ],
)
def test_a_code_of_which_nobody_can_know_the_meaning_is_left_alone(enumeration: str, text: str) -> None:
    assert mended_code(catalogue().enumerations[enumeration], text) is None


def test_no_value_of_any_list_is_taken_for_another() -> None:
    for enumeration in catalogue().enumerations.values():
        for value in enumeration.values:
            mended = mended_code(enumeration, value.upper())
            assert mended is not None
            assert mended[0] == value


@pytest.mark.parametrize("code", ["I drift", "i  drift"])
def test_a_mended_code_is_reported_with_what_stood_there(schema: etree.XMLSchema, code: str) -> None:
    rows, findings, again = read(feature("Elledning", {"driftsstatus": code}))
    assert rows[0][1]["driftsstatus"] == "i drift"
    (finding,) = [one for one in findings if one.code.startswith("LER-QUIRK-")]
    assert (finding.severity, finding.found, finding.expected) == (Severity.WARNING, code, "i drift")
    assert finding.path == "Elledning/driftsstatus"
    assert finding.feature_id is not None
    assert finding.line is not None
    assert faults(schema, again) == []


def test_strict_reading_takes_a_code_as_it_stands() -> None:
    rows, findings, _ = read(feature("Elledning", {"driftsstatus": "I drift"}), strict=True)
    assert "driftsstatus" not in rows[0][1]
    assert [f.code for f in findings if f.severity is Severity.ERROR] == ["LER-CODE"]
    assert [f for f in findings if f.code.startswith("LER-QUIRK-")] == []


class TestDuctAsComponent:
    duct = staticmethod(lambda: feature("Elkomponent", {"type": "other: føringsrør"}, LINE))

    def test_it_becomes_a_duct_and_says_what_was_lost(self, schema: etree.XMLSchema) -> None:
        rows, findings, again = read(self.duct())
        assert rows[0][0] == "Foeringsroer"
        properties = rows[0][1]
        assert properties["forsyningsart"] == ["el"]
        assert properties["tvaersnitsform"] == {"nil": True}
        assert properties["driftsstatus"] == "i drift"
        assert "udvendigMateriale" in properties
        assert properties["bilag"]
        (finding,) = named(findings, "LER-QUIRK-DUCT-AS-COMPONENT")
        assert finding.found == "Elkomponent other: føringsrør"
        assert finding.expected == "Foeringsroer without tilknyttetLedning, relativNiveau, spaendingsniveau"
        assert faults(schema, again) == []

    def test_it_keeps_its_line_and_heights(self) -> None:
        document = written(made.document([self.duct()]))
        (batch,) = ler.read_answer(io.BytesIO(document), owner_cvr=CVR).batches()
        row = batch.columns["feature_class"].index("Foeringsroer")
        line = shapely.from_wkb(batch.geometry[row])
        assert line.equals(shapely.LineString([(700000, 6200000), (700001, 6200000)]))
        assert batch.heights_m is not None
        heights = np.frombuffer(batch.heights_m[row] or b"", dtype="<f8")
        assert heights[0] == 1.5
        assert np.isnan(heights[1])

    @pytest.mark.parametrize("shape", [POINT, MULTI_CURVE])
    def test_what_is_no_single_line_stays_a_component(self, shape: str) -> None:
        rows, findings, _ = read(feature("Elkomponent", {"type": "other: føringsrør"}, shape))
        assert rows[0][0] == "Elkomponent"
        assert named(findings, "LER-QUIRK-DUCT-AS-COMPONENT") == []

    def test_without_a_time_of_laying_it_stays_a_component(self) -> None:
        component = feature("Elkomponent", {"type": "other: føringsrør", "etableringstidspunkt": []}, LINE)
        assert read(component)[0][0][0] == "Elkomponent"

    def test_other_components_stay(self) -> None:
        assert read(feature("Elkomponent", {"type": "other: kabelkasse"}, LINE))[0][0][0] == "Elkomponent"

    def test_strict_reading_leaves_it(self) -> None:
        rows, findings, _ = read(self.duct(), strict=True)
        assert rows[0][0] == "Elkomponent"
        assert [f for f in findings if f.severity is Severity.ERROR] == []


class TestTraces:
    def trace(self, **values: Any) -> etree._Element:
        usual = {"forsyningsart": "el", "fareklasse": "meget farlig", "indeholdtLedning": [], "bredde": "400"}
        return feature("Ledningstrace", {**usual, **values})

    def test_a_dangerous_trace_without_cables_says_ask_the_owner(self) -> None:
        _, findings, _ = read(self.trace())
        (finding,) = named(findings, "LER-QUIRK-TRANSMISSION-AS-TRACE")
        assert finding.severity is Severity.WARNING
        assert "Ask the owner" in finding.message
        assert "Spørg ledningsejeren" in finding.message_da

    @pytest.mark.parametrize("other", [{"forsyningsart": "gas"}, {"fareklasse": "farlig"}])
    def test_other_traces_say_nothing(self, other: dict[str, str]) -> None:
        assert named(read(self.trace(**other))[1], "LER-QUIRK-TRANSMISSION-AS-TRACE") == []

    def test_a_trace_with_its_cables_says_nothing(self) -> None:
        trace = feature("Ledningstrace", {"forsyningsart": "el", "fareklasse": "meget farlig"})
        assert named(read(trace)[1], "LER-QUIRK-TRANSMISSION-AS-TRACE") == []

    def test_traces_that_are_all_500_mm_wide_are_remarked_once(self) -> None:
        traces = [self.trace(bredde="500", sikkerhedshensyn=str(n)) for n in range(3)]
        (finding,) = named(read(*traces)[1], "LER-QUIRK-TRACE-WIDTH")
        assert (finding.severity, finding.feature_id) == (Severity.INFO, None)
        assert finding.found == "3 x 500 mm"

    def test_two_traces_or_another_width_are_not_remarked(self) -> None:
        traces = [self.trace(bredde="500", sikkerhedshensyn=str(n)) for n in range(3)]
        assert named(read(*traces[:2])[1], "LER-QUIRK-TRACE-WIDTH") == []
        assert named(read(*traces, self.trace())[1], "LER-QUIRK-TRACE-WIDTH") == []

    def test_strict_reading_says_nothing(self) -> None:
        traces = [self.trace(bredde="500", sikkerhedshensyn=str(n)) for n in range(3)]
        assert [f for f in read(*traces, strict=True)[1] if f.code.startswith("LER-QUIRK-")] == []


def test_each_row_of_the_table_has_what_it_needs(root: Path) -> None:
    table = orjson.loads(standards_path("utilities", "quirks.json").read_bytes())
    page = (root / "docs" / "reference" / "ler-quirks.md").read_text("utf-8")
    ids = [row["id"] for row in (*table["codes"], *table["features"])]
    assert len(set(ids)) == len(ids)
    for row in (*table["codes"], *table["features"]):
        assert row["since"] <= table["version"]
        assert row["reason"].keys() == {"en", "da"}
        assert f"`LER-QUIRK-{row['id']}`" in page
    for row in table["features"]:
        assert row["owner"]
        assert row["attribute"] in catalogue().classes[row["class"]].attributes
    for name, aliases in quirks()["CODE-ALIAS"].entry["match"].items():
        assert set(aliases.values()) <= catalogue().enumerations[name].values
