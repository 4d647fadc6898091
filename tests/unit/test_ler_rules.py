"""LER's rules: each fails where it should and nowhere else, in every data model; nothing is left out."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from ler_rules_page import page

from geoinfra.errors import DataRefused, Finding, InvalidInput, Report, Severity
from geoinfra.standards import standards_path
from geoinfra.utilities.catalogue import catalogue
from geoinfra.utilities.check.rules import BusinessRules, Case, Moment, Rule, moment, named, rule_book
from geoinfra.utilities.formats import ler
from geoinfra.utilities.model import namespace_declarations
from geoinfra.utilities.shapes import shape_of

CVR = "12345678"
ALL = ("2.0.0", "2.0.1", "2.1.0", "2.2.0")
OLD, NEW = ALL[:2], ALL[2:]
LATEST, SINCE_2_0_1, FIRST = ALL[3:], ALL[1:], ALL[:1]
NIL = {"nil": True}
GONE: Any = object()
BOOK = rule_book()
EVALUATED = [rule for rule in BOOK.rules if rule.where == "rules"]


def mm(value: float) -> dict[str, Any]:
    return {"value": value, "uom": "mm"}


def base(name: str) -> dict[str, Any]:
    """Return the attributes of a feature, laid after the cut-off date, that keeps every rule."""
    entry = catalogue().feature_class(name)
    values: dict[str, Any] = {
        "driftsstatus": "i drift",
        "etableringstidspunkt": "2024-05-06",
        "fareklasse": "ikke farlig",
        "noejagtighedsklasse": "<= 0.25 m",
        "noejagtighedsklasseVertikal": "<= 0.50 m",
        "vejledendeDybde": mm(700),
        "udvendigDiameter": mm(110),
        "tvaersnitsform": "cirkulær",
        "forsyningsart": "other: brint",
    }
    if name in ("Ledningstrace", "Foeringsroer"):
        values["forsyningsart"] = ["el"]
    if name == "Vandkomponent":
        values["type"] = "boring"
    if name == "Informationsressource":
        values = {"title": "Plan", "format": {"value": "PDF", "type": "application/pdf"}, "sti": "plan.pdf"}
    if name == "Afloebskomponent":
        values["type"] = "pumpestation"
    if name == "Elkomponent":
        values["type"] = "station"
    return {key: value for key, value in values.items() if key in entry.attributes}


def broken(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**base(name), **changes}.items() if value is not GONE}


def findings(
    model: str, name: str, properties: dict[str, Any], heights: tuple[float, ...] | None = (1.0, 2.0)
) -> list[Finding]:
    """Run the rules of a model on one feature; `heights` is ``None`` for a feature without geometry."""
    entry = catalogue().feature_class(name)
    shape = None
    if heights is not None and entry.geometry is not None and entry.kind != "information":
        line = shapely.LineString([(700000 + 10 * i, 6200000) for i in range(len(heights))])
        shape = shape_of(line, np.array(heights))
    rules = BusinessRules(model)
    return [*rules.feature(entry, "a", properties, shape, 7), *rules.finish()]


def codes(*arguments: Any) -> set[str]:
    return {finding.code for finding in findings(*arguments)}


class Fault(NamedTuple):
    """A feature that breaks the rule `code` in `models`, and may break the rules `besides` too."""

    code: str
    name: str
    changes: dict[str, Any]
    models: tuple[str, ...] = ALL
    heights: tuple[float, ...] | None = (1.0, 2.0)
    besides: tuple[str, ...] = ()


UNKNOWN = (-99.0, -99.0)
OTHERS = {"ejerskabsforhold": "ejet af anden ledningsejer"}
BOX = {
    "tvaersnitsform": "rektangulær",
    "udvendigDiameter": GONE,
    "udvendigBredde": mm(300),
    "udvendigHoejde": mm(200),
}
FORMLESS = {"tvaersnitsform": NIL, "udvendigDiameter": GONE}
HIGH = {"fareklasse": "meget farlig"}
PIPES = ("Afloebsledning", "Vandledning", "Gasledning", "Olieledning", "TermiskLedning")


def kv(value: float) -> dict[str, Any]:
    return {"spaendingsniveau": {"value": value, "uom": "kV"}}


def bar(value: float) -> dict[str, Any]:
    return {"tryk": {"value": value, "uom": "bar"}}


def celsius(value: float) -> dict[str, Any]:
    return {"temperatur": {"value": value, "uom": "Cel"}}


FAULTS = [
    Fault("LER-STATUS-VOID", "Elledning", {"driftsstatus": NIL}),
    Fault("LER-STATUS-VOID", "Elledning", {"driftsstatus": NIL, **OTHERS}),
    Fault("LER-HAZARD-VOID", "Vandledning", {"fareklasse": {"nil": True, "reason": "unknown"}}),
    Fault("LER-HAZARD-TOO-HIGH", "Telekommunikationsledning", HIGH),
    Fault("LER-HAZARD-TOO-HIGH", "Vandledning", HIGH),
    Fault("LER-HAZARD-TOO-HIGH", "Afloebsledning", HIGH, OLD),
    Fault("LER-HAZARD-TOO-HIGH", "Olieledning", HIGH, OLD),
    Fault("LER-HAZARD-TOO-HIGH", "AndenLedning", HIGH, OLD),
    Fault("LER-HAZARD-TOO-HIGH", "Elledning", {**HIGH, **kv(9.9)}, OLD),
    Fault("LER-HAZARD-TOO-HIGH", "Gasledning", {**HIGH, **bar(18.9)}, OLD),
    Fault("LER-HAZARD-TOO-HIGH", "TermiskLedning", {**HIGH, **bar(9), **celsius(130)}, OLD),
    Fault("LER-HAZARD-TOO-LOW", "Elledning", kv(10), OLD),
    Fault("LER-HAZARD-TOO-LOW", "Gasledning", bar(19), OLD),
    Fault("LER-HAZARD-TOO-LOW", "TermiskLedning", bar(10), OLD),
    Fault("LER-HAZARD-TOO-LOW", "TermiskLedning", celsius(131), OLD),
    Fault(
        "LER-HAZARD-TOO-LOW", "Elledning", {**kv(50), "fareklasse": NIL}, OLD, besides=("LER-HAZARD-VOID",)
    ),
    Fault(
        "LER-GEOMETRY-REQUIRED",
        "Elledning",
        {"noejagtighedsklasse": GONE, "noejagtighedsklasseVertikal": GONE},
        heights=None,
    ),
    Fault("LER-ACCURACY-MISSING", "Elledning", {"noejagtighedsklasse": GONE}),
    Fault("LER-ACCURACY-MISSING", "Ledningstrace", {"noejagtighedsklasse": GONE}),
    Fault(
        "LER-ACCURACY-WITHOUT-GEOMETRY",
        "Elledning",
        {"noejagtighedsklasseVertikal": GONE},
        heights=None,
        besides=("LER-GEOMETRY-REQUIRED",),
    ),
    Fault("LER-ACCURACY-VOID", "Elledning", {"noejagtighedsklasse": NIL}),
    Fault("LER-ACCURACY-VOID", "Ledningstrace", {"noejagtighedsklasse": NIL}),
    Fault("LER-ACCURACY-VOID", "Elledning", {"noejagtighedsklasse": NIL, **OTHERS}, OLD),
    Fault("LER-VERTICAL-ACCURACY-MISSING", "Elledning", {"noejagtighedsklasseVertikal": GONE}, LATEST),
    Fault("LER-VERTICAL-ACCURACY-MISSING", "Ledningstrace", {"noejagtighedsklasseVertikal": GONE}, LATEST),
    Fault(
        "LER-VERTICAL-ACCURACY-WITHOUT-GEOMETRY",
        "Elledning",
        {"noejagtighedsklasse": GONE},
        LATEST,
        None,
        ("LER-GEOMETRY-REQUIRED",),
    ),
    Fault("LER-VERTICAL-ACCURACY-VOID", "Elledning", {"noejagtighedsklasseVertikal": NIL}, LATEST),
    Fault("LER-VERTICAL-ACCURACY-VOID", "Ledningstrace", {"noejagtighedsklasseVertikal": NIL}, LATEST),
    Fault("LER-DIAMETER-MISSING", "Elledning", {"udvendigDiameter": GONE}),
    Fault("LER-DIAMETER-MISSING", "Telekommunikationsledning", {"udvendigDiameter": GONE, **OTHERS}),
    Fault("LER-DIAMETER-MISSING", "Foeringsroer", {"udvendigDiameter": GONE}),
    Fault("LER-DIAMETER-MISSING", "Vandledning", {"udvendigDiameter": GONE}),
    Fault("LER-DIAMETER-MISSING", "AndenLedning", {"udvendigDiameter": GONE}),
    Fault("LER-DIAMETER-MISSING", "AndenLedning", BOX, OLD),
    Fault("LER-DIAMETER-NOT-CIRCULAR", "Vandledning", {**BOX, "udvendigDiameter": mm(90)}),
    Fault(
        "LER-DIAMETER-NOT-CIRCULAR",
        "Vandledning",
        {**BOX, "udvendigDiameter": NIL},
        besides=("LER-DIAMETER-VOID",),
    ),
    Fault("LER-DIAMETER-NOT-CIRCULAR", "AndenLedning", {**BOX, "udvendigDiameter": mm(90)}, NEW),
    Fault("LER-DIAMETER-VOID", "LedningUkendtForsyningsart", {"udvendigDiameter": NIL}),
    Fault("LER-DIAMETER-VOID", "Elledning", {"udvendigDiameter": NIL, **OTHERS}, OLD),
    Fault(
        "LER-DIAMETER-VOID", "Elledning", {"udvendigDiameter": NIL, "driftsstatus": "under etablering"}, OLD
    ),
    Fault(
        "LER-DIAMETER-VOID",
        "Elledning",
        {"udvendigDiameter": NIL, "driftsstatus": NIL},
        besides=("LER-STATUS-VOID",),
    ),
    Fault("LER-OUTER-WIDTH-MISSING", "Vandledning", {**BOX, "udvendigBredde": GONE}),
    Fault("LER-OUTER-WIDTH-MISSING", "AndenLedning", {**BOX, "udvendigBredde": GONE}, NEW),
    Fault("LER-OUTER-WIDTH-CIRCULAR", "Vandledning", {"udvendigBredde": mm(1)}),
    Fault("LER-OUTER-WIDTH-CIRCULAR", "AndenLedning", {"udvendigBredde": mm(1)}, NEW),
    Fault("LER-OUTER-WIDTH-VOID", "Vandledning", {**BOX, "udvendigBredde": NIL}),
    Fault("LER-OUTER-WIDTH-VOID", "AndenLedning", {**BOX, "udvendigBredde": NIL}, NEW),
    Fault("LER-OUTER-WIDTH-VOID", "Vandledning", {**BOX, "udvendigBredde": NIL, **OTHERS}, OLD),
    Fault("LER-OUTER-HEIGHT-MISSING", "Vandledning", {**BOX, "udvendigHoejde": GONE}),
    Fault("LER-OUTER-HEIGHT-MISSING", "AndenLedning", {**BOX, "udvendigHoejde": GONE}, NEW),
    Fault("LER-OUTER-HEIGHT-CIRCULAR", "Vandledning", {"udvendigHoejde": mm(1)}),
    Fault("LER-OUTER-HEIGHT-CIRCULAR", "AndenLedning", {"udvendigHoejde": mm(1)}, NEW),
    Fault("LER-OUTER-HEIGHT-VOID", "Vandledning", {**BOX, "udvendigHoejde": NIL}),
    Fault("LER-OUTER-HEIGHT-VOID", "AndenLedning", {**BOX, "udvendigHoejde": NIL}, NEW),
    Fault("LER-OUTER-HEIGHT-VOID", "Vandledning", {**BOX, "udvendigHoejde": NIL, **OTHERS}, OLD),
    Fault("LER-SECTION-SIZE-MISSING", "Vandledning", FORMLESS),
    Fault("LER-SECTION-SIZE-MISSING", "Vandledning", {**FORMLESS, "udvendigBredde": mm(9)}),
    Fault("LER-SECTION-SIZE-MISSING", "AndenLedning", FORMLESS, NEW),
    Fault(
        "LER-SECTION-SIZE-BOTH",
        "Vandledning",
        {"tvaersnitsform": NIL, "udvendigBredde": mm(9), "etableringstidspunkt": "1990"},
    ),
    Fault(
        "LER-SECTION-SIZE-BOTH",
        "AndenLedning",
        {"tvaersnitsform": NIL, "udvendigHoejde": mm(9), "etableringstidspunkt": "1990"},
        NEW,
    ),
    *(Fault("LER-HEIGHTS-UNKNOWN", name, {}, heights=(1.0, -99.0)) for name in (*PIPES, "AndenLedning")),
    *(Fault("LER-HEIGHTS-UNKNOWN", name, OTHERS, OLD, UNKNOWN) for name in (*PIPES, "AndenLedning")),
    Fault("LER-HEIGHTS-UNKNOWN", "Vandledning", {}, heights=(float("nan"), 2.0)),
    Fault("LER-HEIGHTS-UNKNOWN", "Foeringsroer", {"forsyningsart": ["gas", "el"]}, heights=UNKNOWN),
    Fault("LER-HEIGHTS-UNKNOWN", "Foeringsroer", {"forsyningsart": GONE}, heights=UNKNOWN),
    Fault("LER-HEIGHTS-UNKNOWN", "Foeringsroer", {"forsyningsart": ["gas"], **OTHERS}, OLD, UNKNOWN),
    Fault("LER-HEIGHTS-UNKNOWN", "Foeringsroer", {}, FIRST, UNKNOWN),
    Fault("LER-DEPTH-MISSING", "Elledning", {"vejledendeDybde": GONE}, heights=UNKNOWN),
    Fault(
        "LER-DEPTH-MISSING", "Telekommunikationsledning", {"vejledendeDybde": GONE, **OTHERS}, heights=UNKNOWN
    ),
    Fault("LER-DEPTH-MISSING", "Foeringsroer", {"vejledendeDybde": GONE}, SINCE_2_0_1, UNKNOWN),
    Fault("LER-DEPTH-MISSING", "Ledningstrace", {"vejledendeDybde": GONE}, SINCE_2_0_1, UNKNOWN),
    Fault("LER-DEPTH-VOID", "Elledning", {"vejledendeDybde": NIL}, NEW, UNKNOWN),
    Fault(
        "LER-DEPTH-VOID", "Telekommunikationsledning", {"vejledendeDybde": NIL}, NEW, (float("nan"), -99.0)
    ),
    Fault(
        "LER-DEPTH-VOID",
        "Foeringsroer",
        {"vejledendeDybde": NIL, "forsyningsart": ["telekommunikation"]},
        NEW,
        UNKNOWN,
    ),
    Fault("LER-DEPTH-VOID", "Ledningstrace", {"vejledendeDybde": NIL}, NEW, UNKNOWN),
    Fault("LER-WELL-FORM", "Afloebskomponent", {"broendform": "cirkulær"}),
    Fault("LER-WELL-LENGTH", "Afloebskomponent", {"bundlaengde": mm(900)}),
    Fault("LER-WELL-LENGTH", "Afloebskomponent", {"type": "brønd", "bundlaengde": mm(900)}),
    Fault(
        "LER-WELL-LENGTH",
        "Afloebskomponent",
        {"type": "brønd", "broendform": "cirkulær", "bundlaengde": mm(9)},
    ),
    Fault("LER-RELATIVE-LEVEL", "Elkomponent", {"relativNiveau": "top"}),
    Fault("LER-TAPPING-SIDE", "Vandkomponent", {"anborsted": "top"}),
    Fault("LER-SPOUT-LEVEL", "Vandkomponent", {"stutskote": {"height_m": 2.5}}),
    Fault("LER-TAP-KIND", "Vandkomponent", {"tapstedstype": "brandhane"}),
    Fault("LER-SUPPLY-PREDEFINED", "AndenLedning", {"forsyningsart": "vand"}),
    Fault("LER-SUPPLY-PREDEFINED", "AndenKomponent", {"forsyningsart": "el"}),
    Fault("LER-CONTACT-UNREACHABLE", "Elledning", {"kontaktprofilTilTekniskeSpoergsmaal": {"navn": "Bo"}}),
    Fault(
        "LER-CONTACT-UNREACHABLE",
        "Elkomponent",
        {"kontaktprofilTilTekniskeSpoergsmaal": {"navn": "Bo", "telefonnummer": " "}},
    ),
    Fault("LER-ESTABLISHED-CUT-OFF-YEAR", "Elledning", {"etableringstidspunkt": "2023"}),
    Fault("LER-ESTABLISHED-CUT-OFF-YEAR", "Elkomponent", {"etableringstidspunkt": "2023"}),
    Fault(
        "LER-ESTABLISHED-TOO-LATE",
        "Ledningstrace",
        {"etableringstidspunkt": {"value": "2023-07-02", "indeterminate": "before"}},
    ),
    Fault("LER-ATTACHMENT-EXTENSION", "Informationsressource", {"sti": "plan.dxf"}),
    Fault("LER-ATTACHMENT-EXTENSION", "Informationsressource", {"sti": "plan"}),
]

NEGATIONS: dict[str, dict[str, Any]] = {
    "after-cut-off": {"etableringstidspunkt": "2022-05-06"},
    "before-cut-off": {"etableringstidspunkt": "2024-05-06"},
    "in-cut-off-year": {"etableringstidspunkt": "2023-06"},
    "too-late-before": {"etableringstidspunkt": {"value": "2023-07-01", "indeterminate": "before"}},
    "own": OTHERS,
    "not-under-establishment": {"driftsstatus": "under etablering"},
    "first-supply-power-or-telecom": {"forsyningsart": ["vand", "el"]},
    "first-supply-another": {"forsyningsart": ["telekommunikation", "vand"]},
    "circular": {"tvaersnitsform": "ægformet"},
    "not-circular": {"tvaersnitsform": "cirkulær"},
    "form-unknown": {"tvaersnitsform": "cirkulær"},
    "not-a-well": {"type": "brønd"},
    "not-an-angular-well": {"type": "brønd", "broendform": "kvadratisk"},
    "not-a-duct-block": {"type": "rørblok"},
    "not-a-connection": {"type": "tilslutningspunkt"},
    "not-a-tap": {"type": "tapsted"},
    "not-a-tap-or-valve": {"type": "ventil"},
    "10-kv-or-more": kv(9.99),
    "below-10-kv": kv(10),
    "19-bar-or-more": bar(18.99),
    "below-19-bar": bar(19),
    "above-130-cel-or-10-bar-or-more": {**bar(9.9), **celsius(130)},
    "at-most-130-cel": celsius(130.5),
    "below-10-bar": bar(10),
}
SHAPES: dict[str, tuple[float, ...] | None] = {
    "has-geometry": None,
    "no-geometry": (1.0, 2.0),
    "heights-unknown": (1.0, -99.0),
}


def covers(case: Case, model: str, name: str) -> bool:
    return BOOK.holds_for(case, model) and not catalogue().classes[name].lineage.isdisjoint(case.classes)


def identity(fault: Fault) -> str:
    return f"{fault.code}-{fault.name}-{FAULTS.index(fault)}"


class TestEveryRule:
    @pytest.mark.parametrize("name", [c.name for c in catalogue().feature_classes if c.kind != "dimension"])
    @pytest.mark.parametrize("model", BOOK.models)
    def test_is_kept_by_a_complete_feature(self, name: str, model: str) -> None:
        assert findings(model, name, base(name)) == []

    @pytest.mark.parametrize("fault", FAULTS, ids=identity)
    def test_is_broken_in_its_models_and_in_no_other(self, fault: Fault) -> None:
        told = {
            m: codes(m, fault.name, broken(fault.name, fault.changes), fault.heights) for m in BOOK.models
        }
        assert tuple(m for m in BOOK.models if fault.code in told[m]) == fault.models
        for model in fault.models:
            assert told[model] <= {fault.code, *fault.besides}

    @pytest.mark.parametrize("fault", FAULTS, ids=identity)
    def test_is_kept_when_one_of_its_conditions_does_not_hold(self, fault: Fault) -> None:
        (rule,) = [rule for rule in EVALUATED if rule.code == fault.code]
        for model in fault.models:
            for case in (case for case in rule.cases if covers(case, model, fault.name)):
                for word in case.when:
                    properties = broken(fault.name, {**fault.changes, **NEGATIONS.get(word, {})})
                    heights = SHAPES.get(word, fault.heights)
                    assert fault.code not in codes(model, fault.name, properties, heights), word

    @pytest.mark.parametrize("rule", EVALUATED, ids=lambda rule: rule.code)
    def test_has_a_fault_for_each_of_its_cases(self, rule: Rule) -> None:
        for case in rule.cases:
            assert [
                fault
                for fault in FAULTS
                if fault.code == rule.code and any(covers(case, m, fault.name) for m in fault.models)
            ], case

    @pytest.mark.parametrize("rule", EVALUATED, ids=lambda rule: rule.code)
    def test_tells_what_is_wrong_why_where_and_what_to_do_in_both_languages(self, rule: Rule) -> None:
        fault = next(fault for fault in FAULTS if fault.code == rule.code)
        properties = broken(fault.name, fault.changes)
        told = [
            f
            for f in findings(fault.models[-1], fault.name, properties, fault.heights)
            if f.code == rule.code
        ]
        assert len(told) == 1
        finding = told[0]
        assert finding.message.startswith(rule.message)
        assert finding.message_da.startswith(rule.message_da)
        assert "{" not in finding.message + finding.message_da
        assert all((finding.hint, finding.hint_da))
        assert (finding.feature_id, finding.line) == ("a", 7)
        assert finding.path == f"{fault.name}/{rule.attributes[0]}"

    def test_says_its_conditions(self) -> None:
        (finding,) = findings("2.2.0", "Elledning", broken("Elledning", {"udvendigDiameter": NIL}))
        assert finding.message == (
            "The outer diameter must be known, because the feature was laid after 1 July 2023, "
            "belongs to the delivering owner and is not under establishment."
        )
        assert finding.message_da == (
            "Den udvendige diameter skal være kendt, fordi objektet er etableret efter 1. juli 2023, "
            "ejes af den udleverende ledningsejer og ikke er under etablering."
        )
        assert (finding.rule, finding.found) == ("UdvendigDiameterVoidRestriktionRule", "nil")

    def test_has_the_name_of_its_case(self) -> None:
        lines = {name: broken(name, {"udvendigDiameter": GONE}) for name in ("Elledning", "Vandledning")}
        assert {name: findings("2.2.0", name, line)[0].rule for name, line in lines.items()} == {
            "Elledning": "UdvendigDiameterBetingelseRuleElTeleEllerAnden",
            "Vandledning": "UdvendigDiameterBetingelseRule",
        }

    def test_is_not_known_of_a_model_that_does_not_exist(self) -> None:
        with pytest.raises(InvalidInput, match="data model"):
            BusinessRules("3.0")


class TestCutOffDate:
    @pytest.mark.parametrize(
        ("text", "plain", "before"),
        [
            ("1890", Moment.BEFORE, Moment.BEFORE),
            ("2022", Moment.BEFORE, Moment.BEFORE),
            ("2022-12", Moment.BEFORE, Moment.BEFORE),
            ("2022-12-31", Moment.BEFORE, Moment.BEFORE),
            ("2023", Moment.CUT_OFF_YEAR, Moment.BEFORE),
            ("2023-06", Moment.BEFORE, Moment.BEFORE),
            ("2023-06-30", Moment.BEFORE, Moment.BEFORE),
            ("2023-07", Moment.BEFORE, Moment.BEFORE),
            ("2023-07-01", Moment.BEFORE, Moment.BEFORE),
            ("2023-07-02", Moment.AFTER, Moment.TOO_LATE),
            ("2023-08", Moment.AFTER, Moment.TOO_LATE),
            ("2024", Moment.AFTER, Moment.TOO_LATE),
            ("2024-01", Moment.AFTER, Moment.TOO_LATE),
            ("2024-01-01", Moment.AFTER, Moment.TOO_LATE),
            ("", Moment.UNKNOWN, Moment.UNKNOWN),
        ],
    )
    def test_is_compared_in_the_precision_of_the_time(self, text: str, plain: Moment, before: Moment) -> None:
        assert (moment(text), moment(text, True)) == (plain, before)

    @pytest.mark.parametrize(
        ("established", "fails"),
        [
            ("2023-07-01", False),
            ("2023-07-02", True),
            ("2023-07", False),
            ("2023-08", True),
            ("2022", False),
            ("2024", True),
            ({"value": "2023", "indeterminate": "before"}, False),
            (GONE, False),
        ],
    )
    def test_decides_what_must_be_known(self, established: Any, fails: bool) -> None:
        line = broken("Elledning", {"etableringstidspunkt": established, "udvendigDiameter": NIL})
        assert codes("2.2.0", "Elledning", line) == ({"LER-DIAMETER-VOID"} if fails else set())


class TestLinesWithoutGeometry:
    BARE = broken("Elledning", {"noejagtighedsklasse": GONE, "noejagtighedsklasseVertikal": GONE})

    def told(self, *containers: tuple[str, str, list[str]]) -> list[str | None]:
        rules = BusinessRules("2.2.0")
        known = catalogue().classes
        assert list(rules.feature(known["Elledning"], "el.1", self.BARE, None, 3)) == []
        for name, gml_id, hrefs in containers:
            held = {**base(name), "indeholdtLedning": [{"href": f"#{one}"} for one in hrefs]}
            held.pop("noejagtighedsklasse")
            held.pop("noejagtighedsklasseVertikal")
            list(rules.feature(known[name], gml_id, held, None, 9))
        return [finding.feature_id for finding in rules.finish()]

    def test_need_a_container(self) -> None:
        assert self.told() == ["el.1"]

    @pytest.mark.parametrize("name", ["Ledningstrace", "Foeringsroer", "Elledning"])
    def test_are_in_order_when_a_trace_or_another_line_names_them(self, name: str) -> None:
        assert "el.1" not in self.told((name, "c", ["el.1"]))

    def test_do_not_contain_themselves(self) -> None:
        assert "el.2" in self.told(("Elledning", "el.2", ["el.2"]))

    def test_are_not_named_by_a_nil(self) -> None:
        rules = BusinessRules("2.2.0")
        trace = {**base("Ledningstrace"), "indeholdtLedning": [NIL]}
        list(rules.feature(catalogue().classes["Ledningstrace"], "t", trace, None, 1))
        list(rules.feature(catalogue().classes["Elledning"], "el.1", self.BARE, None, 3))
        assert [finding.code for finding in rules.finish()] == ["LER-GEOMETRY-REQUIRED"]


class TestAttributesThatCouldNotBeRead:
    @pytest.mark.parametrize(
        "name", ["Elledning", "Vandledning", "Ledningstrace", "Foeringsroer", "AndenLedning"]
    )
    @pytest.mark.parametrize("model", ALL)
    def test_are_not_said_to_be_missing_or_wrong(self, name: str, model: str) -> None:
        for attribute in base(name):
            assert codes(model, name, {**base(name), attribute: None}, UNKNOWN) <= {"LER-HEIGHTS-UNKNOWN"}

    def test_the_geometry_among_them(self) -> None:
        assert findings("2.2.0", "Elledning", {**base("Elledning"), "geometri": None}, None) == []

    @settings(max_examples=60, deadline=None)
    @given(
        name=st.sampled_from([c.name for c in catalogue().feature_classes]),
        model=st.sampled_from(BOOK.models),
        data=st.data(),
    )
    def test_no_value_whatever_stops_the_check(self, name: str, model: str, data: st.DataObject) -> None:
        value = (
            st.none()
            | st.text(max_size=4)
            | st.sampled_from([NIL, [], [NIL], ["el"], {}, {"href": "#a"}, {"value": 3}])
        )
        names = sorted(catalogue().classes[name].attributes)
        properties = data.draw(st.dictionaries(st.sampled_from(names), value, max_size=8))
        heights = data.draw(st.sampled_from([None, UNKNOWN, (1.0, 2.0)]))
        for finding in findings(model, name, properties, heights):
            assert len(finding.found) <= 200


# -- the reader's rules

POSITIONS = "<gml:posList>700000 6200000 1 700010 6200010 1.5</gml:posList>"
SRS = 'srsName="http://www.opengis.net/def/crs/EPSG/0/7416" srsDimension="3"'
LINE = f"<gml:LineString {SRS}>{POSITIONS}</gml:LineString>"
ANSWER_ID = "cd459a03-8629-4682-85b3-293cd6fefd75"
COMMON = (
    "<ler:driftsstatus>i drift</ler:driftsstatus><ler:etableringstidspunkt>2024</ler:etableringstidspunkt>"
    "<ler:fareklasse>farlig</ler:fareklasse><ler:noejagtighedsklasse>&lt;= 0.25 m</ler:noejagtighedsklasse>"
    "<ler:noejagtighedsklasseVertikal>&lt;= 0.25 m</ler:noejagtighedsklasseVertikal>"
    '<ler:vejledendeDybde uom="mm">700</ler:vejledendeDybde>'
)
MEMBERS = {
    "trace": '<ler:ledningstraceMember><ler:Ledningstrace gml:id="t">'
    + COMMON
    + f"<ler:geometri><gml:MultiCurve {SRS}><gml:curveMember>{LINE}</gml:curveMember>"
    "</gml:MultiCurve></ler:geometri>"
    '<ler:bredde uom="mm">500</ler:bredde><ler:forsyningsart>el</ler:forsyningsart>'
    '<ler:indeholdtLedning xlink:href="#el"/></ler:Ledningstrace></ler:ledningstraceMember>',
    "cable": '<ler:ledningMember><ler:Elledning gml:id="el">'
    + COMMON
    + f'<ler:geometri>{LINE}</ler:geometri><ler:udvendigDiameter uom="mm">40</ler:udvendigDiameter>'
    '<ler:type>stikkabel</ler:type><ler:spaendingsniveau uom="kV">0.4</ler:spaendingsniveau>'
    "</ler:Elledning></ler:ledningMember>",
    "heat": '<ler:ledningMember><ler:TermiskLedning gml:id="fj">'
    + COMMON
    + f"<ler:geometri>{LINE}</ler:geometri><ler:tvaersnitsform>rektangulær</ler:tvaersnitsform>"
    '<ler:udvendigBredde uom="mm">40</ler:udvendigBredde><ler:udvendigHoejde uom="mm">40</ler:udvendigHoejde>'
    '<ler:type>stikledning</ler:type><ler:temperatur uom="Cel">70</ler:temperatur>'
    '<ler:tryk uom="bar">6</ler:tryk>'
    "</ler:TermiskLedning></ler:ledningMember>",
    "other": '<ler:ledningMember><ler:AndenLedning gml:id="an">'
    + COMMON
    + f"<ler:geometri>{LINE}</ler:geometri><ler:forsyningsart>other: brint</ler:forsyningsart>"
    '<ler:tvaersnitsform>rektangulær</ler:tvaersnitsform><ler:udvendigBredde uom="mm">41</ler:udvendigBredde>'
    '<ler:udvendigHoejde uom="mm">41</ler:udvendigHoejde></ler:AndenLedning></ler:ledningMember>',
    "well": '<ler:ledningskomponentMember><ler:Afloebskomponent gml:id="br">'
    f"<ler:geometri>{LINE}</ler:geometri><ler:type>brønd</ler:type><ler:broendform>kvadratisk</ler:broendform>"
    '<ler:bunddiameterbredde uom="mm">9</ler:bunddiameterbredde><ler:bundlaengde uom="mm">9</ler:bundlaengde>'
    '<ler:bundkote srsName="http://www.opengis.net/def/crs/EPSG/0/5799">2</ler:bundkote>'
    "</ler:Afloebskomponent></ler:ledningskomponentMember>",
    "plan": '<ler:bilagMember><ler:Informationsressource gml:id="b"><dcterms:title>Plan</dcterms:title>'
    '<ler:format type="application/pdf">PDF</ler:format><ler:sti>plan.pdf</ler:sti>'
    "</ler:Informationsressource></ler:bilagMember>",
}
DELIVERED = "ledningsoplysninger udleveret"


def document() -> str:
    members = "".join(MEMBERS.values())
    return (
        f'<ler:Graveforespoergselssvar {namespace_declarations()} gml:id="s" schemaVersion="2.2.0">'
        f"<ler:id>{ANSWER_ID}</ler:id><ler:type>{DELIVERED}</ler:type>{members}</ler:Graveforespoergselssvar>"
    )


def checked(text: str, *, strict: bool = True) -> Report:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("svar.gml", text)
        archive.writestr("plan.pdf", b"%PDF")
    file.seek(0)
    try:
        rules = BusinessRules if strict else None
        return ler.read_answer(file, owner_cvr=CVR, strict=strict, rules=rules).scan()
    except DataRefused as refused:
        return refused.report


FLAT = POSITIONS.replace(" 1 ", " ").replace(" 1.5", "")
EXPECTED = "<ler:forventetAfleveringstidspunkt>2026-01-01T09:00:00</ler:forventetAfleveringstidspunkt>"
BAD_FORM = "<ler:tvaersnitsform>ellipse</ler:tvaersnitsform>"
NIL_REASON = '<ler:fareklasse xsi:nil="true" nilReason="withheld"><'
READER_FAULTS: dict[str, tuple[str, str]] = {
    "LedningUdvendigDiameterMaleenhedsRestriktionRule": (
        '"mm">40</ler:udvendigDiameter',
        '"cm">4</ler:udvendigDiameter',
    ),
    "RorledningUdvendigBreddeMaleenhedsRestriktionRule": ('Bredde uom="mm">40<', 'Bredde uom="m">40<'),
    "RorledningUdvendigHojdeMaleenhedsrestriktionRule": ('Hoejde uom="mm">40<', 'Hoejde uom="m">40<'),
    "UdvendigBreddeMaaleenhedsRestriktionRule": ('Bredde uom="mm">41<', 'Bredde uom="m">41<'),
    "UdvendigHoejdeMaaleenhedsRestriktionRule": ('Hoejde uom="mm">41<', 'Hoejde uom="m">41<'),
    "VejledendeDybdeMaaleenhedRestriktionRule": ('Dybde uom="mm"', 'Dybde uom="cm"'),
    "LedningTraceBreddeMaaleenhedsRuleNotValid": ('bredde uom="mm">500', 'bredde uom="cm">50'),
    "AfloebBundlaengdeMaaleenhedsRestriktionRule": ('bundlaengde uom="mm"', 'bundlaengde uom="m"'),
    "AfloebBunddiameterbreddeMaaleenhedsRestriktionRule": ('bredde uom="mm">9', 'bredde uom="m">9'),
    "SpaendingsniveauMaleenhedsRestriktionRule": ('uom="kV">0.4', 'uom="V">400'),
    "TrykMaaleenhedsRestriktionRule": ('uom="bar"', 'uom="Pa"'),
    "TermiskTemperaturMaaleenhedsRestriktion": ('uom="Cel"', 'uom="K"'),
    "IndholdGM_ObjectSRIdRestriktionRule": ("EPSG/0/7416", "EPSG/0/4326"),
    "IndholdKoteSRIDrestriktion": ("EPSG/0/5799", "EPSG/0/5317"),
    "IndholdNilReasonRestriktion": ("<ler:fareklasse>farlig<", NIL_REASON),
    "HrefHashtagRule": ('xlink:href="#el"', 'xlink:href="el"'),
    "ManglendeGmlIdHenvisningRule": ('xlink:href="#el"', 'xlink:href="#nowhere"'),
    "Check3DGeometryRule": ('srsDimension="3">' + POSITIONS, 'srsDimension="2">' + FLAT),
    "SupportedGeometryRule": ("gml:LineString", "gml:Arc"),
    "EtableringsTidsPunktRule_DateValueIsNotValid": ("tidspunkt>2024<", "tidspunkt>2024-4<"),
    "EtableringsTidsPunktRule_NotValid_IndeterminatePositionValue": (
        "<ler:etableringstidspunkt>",
        '<ler:etableringstidspunkt indeterminatePosition="after">',
    ),
    "EtableringsTidsPunktRule_calendarEraNameAttributeNotNull": (
        "<ler:etableringstidspunkt>",
        '<ler:etableringstidspunkt calendarEraName="AD">',
    ),
    "ExpectedNumericValue": ('uom="mm">700<', 'uom="mm">0,7<'),
    "IRFormatRestriktionRule": (">PDF<", ">PNG<"),
    "IRFileExtensionRestriktionRuleNoFile": ("plan.pdf", "plan2.pdf"),
    "IdRestriktion": (ANSWER_ID, "SVAR-1"),
    "GfForventetAfleveringstidspunktRule": (f"{DELIVERED}</ler:type>", f"{DELIVERED}</ler:type>{EXPECTED}"),
    "GfTypeSupplerendeInfoBetingelseRule": (f">{DELIVERED}<", ">ledningsoplysninger udleveres ikke<"),
    "GmlContentRule": (f"<ler:type>{DELIVERED}</ler:type>", ""),
    "GmlContentNonEmptyRule": ("".join(MEMBERS.values()), ""),
    "GmlContentEmptyRule": (f">{DELIVERED}<", ">ingen ledninger i graveområde<"),
}
BY_CODE = {
    "LER-ATTACHMENT-PATH": (("plan.pdf", "../plan.pdf"),),
    "LER-SRS-DIMENSION": (('srsDimension="3"', 'srsDimension="4"'),),
    "LER-MEDIA-TYPE": (("application/pdf", "image/png"),),
    "LER-XLINK-NAMESPACE": ((' xmlns:xlink="http://www.w3.org/1999/xlink"', ""), (' xlink:href="#el"', "")),
}
READER = [rule for rule in BOOK.rules if rule.where == "reader"]


class TestRulesOfTheReader:
    def test_are_kept_by_a_good_answer(self) -> None:
        assert checked(document()).findings == []

    @pytest.mark.parametrize("rule", READER, ids=lambda rule: f"{rule.code}-{rule.rule}")
    def test_are_found_once_each_and_carry_their_name(self, rule: Rule) -> None:
        faulty = document()
        for old, new in BY_CODE.get(rule.code) or (READER_FAULTS[rule.rule],):
            assert old in faulty
            faulty = faulty.replace(old, new)
        told = [named(finding) for finding in checked(faulty).findings]
        names = {finding.rule for finding in told if finding.code == rule.code}
        assert rule.rule in names if rule.rule else names

    @pytest.mark.parametrize("rule", READER, ids=lambda rule: f"{rule.code}-{rule.rule}")
    def test_are_not_tried_a_second_time(self, rule: Rule) -> None:
        assert rule.code not in {other.code for other in EVALUATED}

    @pytest.mark.parametrize(
        "rule",
        [rule for rule in READER if rule.rule and rule.cases[0].classes == ("Graveforespoergselssvar",)],
        ids=lambda rule: rule.code,
    )
    def test_about_the_answer_are_errors_when_it_is_checked(self, rule: Rule) -> None:
        faulty = document().replace(*READER_FAULTS[rule.rule])
        weights = [
            {
                finding.severity
                for finding in checked(faulty, strict=strict).findings
                if finding.code == rule.code
            }
            for strict in (True, False)
        ]
        else_weight = Severity.WARNING if rule.severity == "checked" else Severity.ERROR
        assert weights == [{Severity.ERROR}, {else_weight}]

    @pytest.mark.parametrize(
        ("way", "faults"), [("", 1), ("<ler:telefonnummer>70123456</ler:telefonnummer>", 0)]
    )
    def test_the_contact_of_the_answer_can_be_reached(self, way: str, faults: int) -> None:
        contact = (
            '<ler:kontaktprofilTilTekniskeSpoergsmaal><ler:Kontaktprofil gml:id="k"><ler:navn>Bo</ler:navn>'
            f"{way}</ler:Kontaktprofil></ler:kontaktprofilTilTekniskeSpoergsmaal>"
        )
        report = checked(document().replace("</ler:type>", f"</ler:type>{contact}", 1))
        assert [(named(f).code, named(f).rule) for f in report.findings] == [
            ("LER-CONTACT-UNREACHABLE", "KontaktProfilTelefonnummerBetingelseRule")
        ] * faults

    @pytest.mark.parametrize(
        ("answer_id", "faults"),
        [
            (ANSWER_ID.upper(), 0),
            (ANSWER_ID.replace("-", ""), 1),
            (f"urn:uuid:{ANSWER_ID}"[:36], 1),
        ],
    )
    def test_an_id_is_a_uuid_as_x_667_writes_it(self, answer_id: str, faults: int) -> None:
        codes_told = [finding.code for finding in checked(document().replace(ANSWER_ID, answer_id)).findings]
        assert codes_told.count("LER-ANSWER-ID") == faults

    @pytest.mark.parametrize(
        ("old", "new", "code"),
        [
            ('"mm">40</ler:udvendigDiameter', '"cm">4</ler:udvendigDiameter', "LER-UOM"),
            ("<ler:tvaersnitsform>rektangulær</ler:tvaersnitsform>", BAD_FORM, "LER-CODE"),
            ("tidspunkt>2024<", "tidspunkt>2024-4<", "LER-VALUE"),
            ("&lt;= 0.25 m", "&lt;= 0.3 m", "LER-CODE"),
            (POSITIONS, POSITIONS.replace("1.5", "x"), "LER-COORDINATES"),
        ],
    )
    def test_what_cannot_be_read_is_told_once_and_breaks_no_rule(self, old: str, new: str, code: str) -> None:
        assert old in document()
        told = {finding.code for finding in checked(document().replace(old, new)).findings}
        assert told == {code}

    @pytest.mark.parametrize(
        "empty",
        [
            "<ler:indeholdtLedning/>",
            '<ler:indeholdtLedning xlink:href=""/>',
            '<ler:indeholdtLedning xlink:href="#"/>',
        ],
    )
    def test_a_reference_is_not_empty_but_may_be_nil(self, empty: str) -> None:
        held = '<ler:indeholdtLedning xlink:href="#el"/>'
        told = [named(finding) for finding in checked(document().replace(held, empty)).findings]
        assert [(f.code, f.rule) for f in told if f.severity is Severity.ERROR] == [
            ("LER-XLINK-FORM", "HrefHashtagRule")
        ]
        assert checked(document().replace(held, '<ler:indeholdtLedning xsi:nil="true"/>')).errors == 0

    def test_an_empty_attachment_reference_is_refused(self) -> None:
        cable = document().replace("<ler:type>stikkabel", "<ler:bilag/><ler:type>stikkabel")
        assert "HrefHashtagRule" in {named(finding).rule for finding in checked(cable).findings}

    def test_a_name_that_stands_already_is_kept(self) -> None:
        finding = Finding("LER-UOM", Severity.ERROR, "x", path="Elledning/udvendigDiameter")
        assert named(finding).rule == "LedningUdvendigDiameterMaleenhedsRestriktionRule"
        assert named(replace(finding, rule="other")).rule == "other"
        assert named(replace(finding, code="LER-ORDER")).rule == ""
        assert named(replace(finding, path="")).rule == ""


# -- the data

RESTRICTIONS: list[tuple[str, str, tuple[str, ...]]] = [
    ("anborstedTilladelse stutskoteTilladelse tapstedstypeTilladelse", "Vandkomponent", ALL),
    ("breddeMåleenhedsrestriktion", "Ledningstrace", ALL),
    ("brøndformTilladelse bundlængdeTilladelse", "Afloebskomponent", ALL),
    ("bunddiameterbreddeMåleenhedsrestriktion bundlængdeMåleenhedsrestriktion", "Afloebskomponent", ALL),
    ("driftsstatusVoidrestriktion fareklasseVoidrestriktion geometriBetingelse", "Ledning", ALL),
    ("fareklasseRestriktion", "Telekommunikationsledning Vandledning", ALL),
    ("fareklasseRestriktion", "Afloebsledning Olieledning AndenLedning", OLD),
    ("fareklasseRestriktion", "Elledning TermiskLedning Gasledning", OLD),
    ("formatRestriktion stiRestriktion", "Informationsressource", ALL),
    ("forsyningsartRestriktion", "AndenKomponent AndenLedning", ALL),
    ("forventetAfleveringstidspunktRestriktion", "Graveforespoergselssvar", OLD),
    ("forventetAfleveringstidspunktBetingelse", "Graveforespoergselssvar", NEW),
    ("geometriDatatyperestriktion", "Informationsressource Ledningskomponent Ledning Ledningstrace", ALL),
    ("geometriVertikaleKoordinaterRestriktion", "Roerledning AndenLedning", FIRST),
    ("geometriVertikaleKoordinaterRestriktion", " ".join((*PIPES, "AndenLedning Foeringsroer")), SINCE_2_0_1),
    ("geometryDataTypeConstraint", "LinearDimension LinearAnnotation", ALL),
    ("idRestriktion typeSupplerendeInfoBetingelse", "Graveforespoergselssvar", ALL),
    ("indholdGM_ObjectSRIDrestriktion indholdKoteSRIDrestriktion", "Graveforespoergselssvar", ALL),
    ("indholdNilReasonRestriktion", "Graveforespoergselssvar", ALL),
    ("mailadresseBetingelse telefonnummerBetingelse", "Kontaktprofil", ALL),
    ("nøjagtighedsklasseBetingelse nøjagtighedsklasseVoidrestriktion", "Ledning Ledningstrace", ALL),
    (
        "nøjagtighedsklasseVertikalBetingelse nøjagtighedsklasseVertikalVoidrestriktion",
        "Ledning Ledningstrace",
        LATEST,
    ),
    ("relativNiveauTilladelse", "Elkomponent", ALL),
    ("spændingsniveauMåleenhedsrestriktion", "Elkomponent Elledning", ALL),
    ("temperaturMåleenhedsrestriktion", "TermiskLedning", ALL),
    ("trykMåleenhedsrestriktion", "TermiskLedning Gasledning Olieledning", ALL),
    ("udvendigBreddeBetingelse udvendigBreddeVoidrestriktion", "Roerledning", ALL),
    ("udvendigBreddeBetingelse udvendigBreddeVoidrestriktion", "AndenLedning", NEW),
    ("udvendigHøjdeBetingelse udvendigHøjdeVoidrestriktion", "Roerledning", ALL),
    ("udvendigHøjdeBetingelse udvendigHøjdeVoidrestriktion", "AndenLedning", NEW),
    (
        "udvendigBreddeMåleenhedsrestriktion udvendigHøjdeMåleenhedsrestriktion",
        "Roerledning AndenLedning",
        ALL,
    ),
    ("udvendigDiameterBetingelse", "Roerledning AndenLedning Elledning Telekommunikationsledning", ALL),
    ("udvendigDiameterMåleenhedsrestriktion udvendigDiameterVoidrestriktion", "Ledning", ALL),
    ("vejledendeDybdeRestriktion", "Elledning Telekommunikationsledning", OLD),
    ("vejledendeDybdeBetingelse", "Foeringsroer Ledningstrace", SINCE_2_0_1),
    ("vejledendeDybdeBetingelse", "Elledning Telekommunikationsledning", NEW),
    ("vejledendeDybdeMåleenhedsrestriktion", "LedningEllerLedningstrace Ledningskomponent", ALL),
    (
        "vejledendeDybdeVoidrestriktion",
        "Foeringsroer Ledningstrace Elledning Telekommunikationsledning",
        NEW,
    ),
]
"""The restrictions of LER's feature catalogue, the classes that declare them, and the models."""


def stem(restriction: str) -> str:
    """Return the name without its kind, which changed for two restrictions in 2.1.0."""
    return restriction.removesuffix("Restriktion").removesuffix("Betingelse")


def declared(model: str) -> list[tuple[str, str]]:
    return [
        (restriction, name)
        for restrictions, names, models in RESTRICTIONS
        if model in models
        for restriction in restrictions.split()
        for name in names.split()
    ]


def rule_names(rule: Rule) -> set[str]:
    return {name for name in (rule.rule, *rule.also, *(case.rule for case in rule.cases)) if name}


class TestTheData:
    DOCUMENT = json.loads(standards_path("utilities", "ler-2.2.0", "rules.json").read_text("utf-8"))

    def test_fits_its_schema(self) -> None:
        schema = json.loads(standards_path("utilities", "ler-2.2.0", "rules.schema.json").read_text("utf-8"))
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.Draft202012Validator(schema).validate(self.DOCUMENT)

    def test_names_no_rule_that_the_service_does_not_know_and_leaves_none_out(self, reference: Path) -> None:
        known = json.loads((reference / "ler" / "api" / "errorcodes.json").read_text("utf-8-sig"))
        service = {entry["StatusCode"] for entry in known if not entry["StatusCode"][0].isdigit()}
        assert set().union(*map(rule_names, BOOK.rules)) == service - {"UnexpectedError"}

    def test_the_catalogue_declares_as_many_restrictions_as_it_is_known_to(self) -> None:
        """81 in 2.2.0, four of them new; seven more in 2.0.1 than in 2.0.0."""
        counts = {model: len(declared(model)) for model in ALL}
        assert counts["2.2.0"] == 81
        assert counts["2.2.0"] - counts["2.1.0"] == 4
        assert counts["2.0.1"] - counts["2.0.0"] == 7
        assert len(declared("2.2.0")) == len(set(declared("2.2.0")))

    @pytest.mark.parametrize("model", ALL)
    def test_holds_every_restriction_of_the_catalogue_for_its_classes(self, model: str) -> None:
        known = catalogue().classes.values()
        for restriction, name in declared(model):
            concrete = [entry for entry in known if name in entry.lineage]
            rules = [rule for rule in BOOK.rules if restriction in rule.restrictions]
            for entry in concrete if name not in ("Graveforespoergselssvar", "Kontaktprofil") else ():
                cases = [case for rule in rules for case in rule.cases]
                assert any(covers(case, model, entry.name) for case in cases), (restriction, entry.name)
            assert concrete
            assert any(BOOK.holds_for(case, model) for rule in rules for case in rule.cases), restriction

    @pytest.mark.parametrize("model", ALL)
    def test_tries_no_restriction_where_the_catalogue_has_none(self, model: str) -> None:
        allowed = {
            (stem(restriction), entry.name)
            for restriction, name in declared(model)
            for entry in catalogue().classes.values()
            if name in entry.lineage
        }
        tried = {
            (stem(restriction), entry.name)
            for rule in EVALUATED
            for restriction in rule.restrictions
            for case in rule.cases
            for entry in catalogue().feature_classes
            if covers(case, model, entry.name)
        }
        assert {
            (r, name) for r, name in tried - allowed if r not in ("telefonnummer", "mailadresse")
        } == set()

    def test_has_one_rule_a_code_where_rules_are_evaluated(self) -> None:
        assert [code for code, count in Counter(rule.code for rule in EVALUATED).items() if count > 1] == []

    def test_uses_every_condition_and_knows_every_one_it_uses(self) -> None:
        used = {word for rule in BOOK.rules for case in rule.cases for word in case.when}
        assert used == set(BOOK.conditions) == set(NEGATIONS) | set(SHAPES)

    def test_speaks_only_of_classes_attributes_and_models_that_exist(self) -> None:
        known = catalogue().classes
        lineages = {
            name: [c for c in known.values() if name in c.lineage]
            for c in known.values()
            for name in c.lineage
        }
        for rule in BOOK.rules:
            for case in rule.cases:
                assert {case.first, case.last or "2.2.0"} <= set(BOOK.models)
                for name in case.classes:
                    for entry in lineages[name]:
                        missing = [a for a in rule.attributes if a not in entry.attributes]
                        assert not missing or rule.code == "LER-VALUE" or rule.where == "not-checked", (
                            rule.code,
                            entry.name,
                        )

    def test_holds_the_code_lists_that_it_repeats(self) -> None:
        (predefined,) = [rule.demand["not-in"] for rule in EVALUATED if rule.code == "LER-SUPPLY-PREDEFINED"]
        assert set(predefined) == catalogue().enumerations["Forsyningsart"].values
        assert set(BOOK.extensions) == set(catalogue().media_types)

    def test_is_what_the_page_shows(self, root: Path) -> None:
        assert (root / "docs" / "reference" / "ler-rules.md").read_text("utf-8") == page()


# -- real documents


class TestRealDocuments:
    def test_the_official_answer_of_model_1_0_0_breaks_nothing(self, reference: Path) -> None:
        path = reference / "ler" / "samples" / "svarudtagettil.gml"
        assert ler.read_answer(path, owner_cvr=CVR, rules=BusinessRules).scan().errors == 0

    def test_as_2_2_0_it_lacks_what_2_2_0_added(self, reference: Path) -> None:
        text = (reference / "ler" / "samples" / "svarudtagettil.gml").read_text("utf-8")
        text = re.sub('schemaVersion="[^"]*"', 'schemaVersion="2.2.0"', text.replace("/1/gml", "/2/gml"))
        report = ler.read_answer(io.BytesIO(text.encode()), owner_cvr=CVR, rules=BusinessRules).scan()
        errors = [f for f in report.findings if f.severity is Severity.ERROR and f.code != "LER-CODE"]
        assert all(f.line and f.position and f.feature_id for f in errors)
        told = {code: n for (severity, code), n in report.counts.items() if severity is Severity.ERROR}
        told.pop("LER-CODE", None)
        assert told == {"LER-VERTICAL-ACCURACY-MISSING": 408, "LER-TAPPING-SIDE": 16, "LER-TAP-KIND": 5}

    def test_the_sample_with_a_trace_lacks_the_accuracy_of_the_trace_and_a_uuid(
        self, reference: Path
    ) -> None:
        path = reference / "ler" / "samples" / "Gsvar_trace.xml"
        report = ler.read_answer(path, owner_cvr=CVR, rules=BusinessRules).scan()
        assert {(f.code, f.feature_id) for f in report.findings if f.severity is Severity.ERROR} == {
            ("LER-ANSWER-ID", None),
            ("LER-ACCURACY-MISSING", "trace-001"),
            ("LER-VERTICAL-ACCURACY-MISSING", "trace-001"),
        }

    @pytest.mark.parametrize("name", ["Elledning22", "Elledning24", "Foeringsroer"])
    def test_the_samples_of_single_features_break_nothing(self, reference: Path, name: str) -> None:
        feature = (reference / "ler" / "samples" / f"{name}.xml").read_text("utf-8")
        answer = (
            f'<ler:Graveforespoergselssvar {namespace_declarations()} gml:id="s" schemaVersion="2.2.0">'
            f"<ler:id>{ANSWER_ID}</ler:id><ler:type>{DELIVERED}</ler:type>"
            f"<ler:ledningMember>{feature}</ler:ledningMember></ler:Graveforespoergselssvar>"
        )
        report = ler.read_answer(io.BytesIO(answer.encode()), owner_cvr=CVR, rules=BusinessRules).scan()
        assert (report.features, report.errors) == (1, 0)

    def test_every_delivery_of_the_sample_town_breaks_nothing(self, tiny_town: Path) -> None:
        deliveries = sorted((tiny_town / "deliveries").glob("*.gml"))
        for path in deliveries:
            report = ler.read_answer(path, owner_cvr=CVR, strict=True, rules=BusinessRules).scan()
            assert (path.name, report.findings) == (path.name, [])
        assert len(deliveries) >= 7
