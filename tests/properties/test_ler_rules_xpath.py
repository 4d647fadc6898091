"""LER's rules of model 2.2.0, written a second time as XPath of the elements, find the same faults."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from geoinfra.utilities.catalogue import catalogue
from geoinfra.utilities.check.rules import BusinessRules, rule_book
from geoinfra.utilities.formats import ler
from geoinfra.utilities.model import AnswerHeader, FeatureRows, ResponseType

CVR = "12345678"
HEADER = AnswerHeader("cd459a03-8629-4682-85b3-293cd6fefd75", ResponseType.DELIVERED)

YEAR, MONTH, DAY = (f"number(substring(ler:etableringstidspunkt,{at}))" for at in ("1,4", "6,2", "9,2"))
LATER = f"({YEAR} > 2023 or {YEAR} = 2023 and ({MONTH} > 7 or {MONTH} = 7 and {DAY} > 1))"
AFTER = f"not(ler:etableringstidspunkt/@indeterminatePosition) and {LATER}"
OWN = f"{AFTER} and not(ler:ejerskabsforhold != 'ejet af udleverende ledningsejer')"
FULL = f"{OWN} and not(ler:driftsstatus = 'under etablering')"
TRACE = "self::ler:Ledningstrace"
PIPE = (
    "contains('Afloebsledning Foeringsroer Gasledning Olieledning TermiskLedning Vandledning', local-name())"
)
OTHER = "self::ler:AndenLedning"
CABLE = "(self::ler:Elledning or self::ler:Telekommunikationsledning)"
ROUND = "ler:tvaersnitsform = 'cirkulær'"
FORMLESS = "ler:tvaersnitsform/@xsi:nil"
SIDED = f"ler:tvaersnitsform and not({ROUND}) and not({FORMLESS})"
FIRST = "(ler:forsyningsart[1] = 'el' or ler:forsyningsart[1] = 'telekommunikation')"
DEEP = f"($unknown = $total and ({CABLE} or (self::ler:Foeringsroer or {TRACE}) and {FIRST}))"
BOUND = f"({PIPE} and not(self::ler:Foeringsroer and {FIRST}) or {OTHER})"
DIAMETER, WIDTH, HEIGHT = "ler:udvendigDiameter", "ler:udvendigBredde", "ler:udvendigHoejde"

FAULTS = {
    "LER-STATUS-VOID": f"{AFTER} and not({TRACE}) and ler:driftsstatus/@xsi:nil",
    "LER-HAZARD-VOID": f"{AFTER} and not({TRACE}) and ler:fareklasse/@xsi:nil",
    "LER-HAZARD-TOO-HIGH": "(self::ler:Telekommunikationsledning or self::ler:Vandledning)"
    " and ler:fareklasse = 'meget farlig'",
    "LER-GEOMETRY-REQUIRED": "not(ler:geometri)",
    "LER-ACCURACY-MISSING": "ler:geometri and not(ler:noejagtighedsklasse)",
    "LER-ACCURACY-WITHOUT-GEOMETRY": "not(ler:geometri) and ler:noejagtighedsklasse",
    "LER-ACCURACY-VOID": f"{OWN} and ler:noejagtighedsklasse/@xsi:nil",
    "LER-VERTICAL-ACCURACY-MISSING": "ler:geometri and not(ler:noejagtighedsklasseVertikal)",
    "LER-VERTICAL-ACCURACY-WITHOUT-GEOMETRY": "not(ler:geometri) and ler:noejagtighedsklasseVertikal",
    "LER-VERTICAL-ACCURACY-VOID": f"{OWN} and ler:noejagtighedsklasseVertikal/@xsi:nil",
    "LER-DIAMETER-MISSING": f"{AFTER} and ({CABLE} or {ROUND}) and not({DIAMETER})",
    "LER-DIAMETER-NOT-CIRCULAR": f"{SIDED} and {DIAMETER}",
    "LER-DIAMETER-VOID": f"{FULL} and {DIAMETER}/@xsi:nil",
    "LER-OUTER-WIDTH-MISSING": f"{AFTER} and {SIDED} and not({WIDTH})",
    "LER-OUTER-WIDTH-CIRCULAR": f"{ROUND} and {WIDTH}",
    "LER-OUTER-WIDTH-VOID": f"{FULL} and {WIDTH}/@xsi:nil",
    "LER-OUTER-HEIGHT-MISSING": f"{AFTER} and {SIDED} and not({HEIGHT})",
    "LER-OUTER-HEIGHT-CIRCULAR": f"{ROUND} and {HEIGHT}",
    "LER-OUTER-HEIGHT-VOID": f"{FULL} and {HEIGHT}/@xsi:nil",
    "LER-SECTION-SIZE-MISSING": f"{AFTER} and {FORMLESS} and not({DIAMETER} or {WIDTH} and {HEIGHT})",
    "LER-SECTION-SIZE-BOTH": f"not({LATER}) and {FORMLESS} and {DIAMETER} and ({WIDTH} or {HEIGHT})"
    " and not(ler:etableringstidspunkt = '2023' and not(ler:etableringstidspunkt/@indeterminatePosition))",
    "LER-HEIGHTS-UNKNOWN": f"ler:geometri and {FULL} and {BOUND} and $unknown > 0",
    "LER-DEPTH-MISSING": f"ler:geometri and {AFTER} and {DEEP} and not(ler:vejledendeDybde)",
    "LER-DEPTH-VOID": f"ler:geometri and {FULL} and {DEEP} and ler:vejledendeDybde/@xsi:nil",
    "LER-SUPPLY-PREDEFINED": f"{OTHER} and not(starts-with(ler:forsyningsart, 'other: '))",
    "LER-CONTACT-UNREACHABLE": "*/ler:Kontaktprofil[not(ler:telefonnummer) and not(ler:mailadresse)]",
    "LER-ESTABLISHED-CUT-OFF-YEAR": "ler:etableringstidspunkt[. = '2023' and not(@indeterminatePosition)]",
    "LER-ESTABLISHED-TOO-LATE": f"ler:etableringstidspunkt/@indeterminatePosition and {LATER}",
}
XPATHS = {
    code: etree.XPath(f"boolean({text})", namespaces=dict(catalogue().namespaces))
    for code, text in FAULTS.items()
}

NIL = {"nil": True}
ABSENT: Any = None
TIMES = ("1998", "2022-12-31", "2023", "2023-06", "2023-07", "2023-07-01", "2023-07-02", "2023-08", "2024")
VALUES: dict[str, list[Any]] = {
    "driftsstatus": ["i drift", "under etablering", NIL],
    "ejerskabsforhold": [ABSENT, "ejet af udleverende ledningsejer", "uden ejer"],
    "etableringstidspunkt": [
        *TIMES,
        *({"value": time, "indeterminate": "before"} for time in TIMES),
        *["2024-05-06"] * 18,  # most rules are about what was laid later
    ],
    "fareklasse": ["farlig", "meget farlig", NIL],
    "noejagtighedsklasse": [ABSENT, "<= 0.25 m", NIL],
    "noejagtighedsklasseVertikal": [ABSENT, "<= 0.25 m", NIL],
    "vejledendeDybde": [ABSENT, {"value": 700, "uom": "mm"}, NIL],
    "udvendigDiameter": [ABSENT, {"value": 110, "uom": "mm"}, NIL],
    "tvaersnitsform": ["cirkulær", "ægformet", NIL],
    "udvendigBredde": [ABSENT, {"value": 110, "uom": "mm"}, NIL],
    "udvendigHoejde": [ABSENT, {"value": 110, "uom": "mm"}, NIL],
    "kontaktprofilTilTekniskeSpoergsmaal": [ABSENT, {"navn": "Bo"}, {"navn": "Bo", "mailadresse": "b@b.dk"}],
    "type": ["other: andet"],
}
SUPPLIES = {
    "Foeringsroer": [ABSENT, ["el"], ["vand", "el"], ["telekommunikation", "gas"]],
    "Ledningstrace": [["el"], ["vand", "el"], [NIL], ["telekommunikation"]],
    "AndenLedning": ["el", "other: brint"],
}
CLASSES = [entry.name for entry in catalogue().feature_classes if entry.kind in ("line", "trace")]
OFTEN = ["Elledning", "Telekommunikationsledning", "Foeringsroer", "Ledningstrace", "AndenLedning"]


@st.composite
def features(draw: st.DrawFn) -> tuple[str, dict[str, Any], tuple[float, ...] | None]:
    name = draw(st.sampled_from(CLASSES + OFTEN * 2))
    entry = catalogue().classes[name]
    values = {**VALUES, "forsyningsart": SUPPLIES.get(name, [])}
    if name == "TermiskLedning":
        values["type"] = ["stikledning"]
    drawn = {
        key: draw(st.sampled_from(all_)) for key, all_ in values.items() if all_ and key in entry.attributes
    }
    heights = draw(st.sampled_from([None, (1.0, 2.0), (1.0, np.nan), (np.nan, np.nan)]))
    if name == "Ledningstrace" and heights is None:
        heights = (1.0, 2.0)
    return name, {key: value for key, value in drawn.items() if value is not ABSENT}, heights


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(feature=features())
def test_the_rules_and_their_xpath_find_the_same_faults(
    feature: tuple[str, dict[str, Any], tuple[float, ...] | None],
) -> None:
    name, properties, heights = feature
    rows = FeatureRows(CVR)
    line = None if heights is None else shapely.LineString([(7e5, 6.2e6), (7e5, 6.2001e6)])
    rows.add(name, "a", properties, line, None if heights is None else np.array(heights))
    written = io.BytesIO()
    ler.write_answer(written, HEADER, [rows.batch()])
    report = ler.read_answer(io.BytesIO(written.getvalue()), owner_cvr=CVR, rules=BusinessRules).scan()
    (element,) = etree.fromstring(written.getvalue()).iter(f"{{*}}{name}")
    counts = {"unknown": 0.0, "total": 0.0}
    if heights is not None:
        counts = {"unknown": float(np.isnan(heights).sum()), "total": float(len(heights))}
    expected = {code for code, path in XPATHS.items() if path(element, **counts)}
    told = {finding.code for finding in report.findings}
    assert {code for code in told if not code.startswith("LER-QUIRK-")} == expected


def test_every_rule_of_lines_and_traces_is_written_twice() -> None:
    lines = {
        name
        for entry in catalogue().feature_classes
        if entry.kind in ("line", "trace")
        for name in entry.lineage
    }
    book = rule_book()
    held = {
        rule.code
        for rule in book.rules
        for case in rule.cases
        if rule.where == "rules" and book.holds_for(case, "2.2.0") and not lines.isdisjoint(case.classes)
    }
    assert held == set(FAULTS)
