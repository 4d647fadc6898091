"""The report of a check as text and as a page: what it says first, and what no file can make it say."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import lxml.html
import pytest

from geoinfra.errors import Finding, Report, Severity
from geoinfra.presentation.check_report import Language, page_policy, report_html, report_text

HOSTILE = "</style><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\"'--><!--]]>\u2028{x} %s"
TERMINAL = "\x1b[31mred\x1b[0m\r\x07\u202etxt.exe\u2066"


def finding(code: str = "LER-CODE", severity: Severity = Severity.ERROR, **more: Any) -> Finding:
    fixed: dict[str, Any] = {
        "message": "'x' is not in the list Driftsstatus.",
        "message_da": "'x' findes ikke i listen Driftsstatus.",
        "feature_id": "el.1",
        "line": 12,
        "path": "Elledning/driftsstatus",
        "expected": "i drift",
        "found": "x",
        "hint": "Choose one.",
        "hint_da": "Vælg en.",
    }
    return Finding(code, severity, **{**fixed, **more})


def report(*findings: Finding, features: int = 1234) -> Report:
    made = Report(features)
    made.extend(findings)
    return made


def page(made: Report, language: Language = "da", title: str = "svar.gml") -> lxml.html.HtmlElement:
    return lxml.html.document_fromstring(report_html(made, language, title))


def text(element: Any) -> str:
    return " ".join(element.text_content().split())


VERDICTS: list[tuple[tuple[Finding, ...], Language, str, str]] = [
    ((), "da", "Godkendt", "1.234 objekter, 0 fejl, 0 advarsler"),
    ((), "en", "Accepted", "1,234 features, 0 errors, 0 warnings"),
    ((finding(),), "da", "Afvist", "1.234 objekter, 1 fejl, 0 advarsler"),
    ((finding(), finding()), "en", "Refused", "1,234 features, 2 errors, 0 warnings"),
    (
        (finding(severity=Severity.WARNING),),
        "da",
        "Godkendt med advarsler",
        "1.234 objekter, 0 fejl, 1 advarsel",
    ),
    (
        (finding(severity=Severity.INFO),),
        "en",
        "Accepted",
        "1,234 features, 0 errors, 0 warnings, 1 note",
    ),
]


@pytest.mark.parametrize(("findings", "language", "verdict", "totals"), VERDICTS)
def test_the_verdict_and_the_counts_come_first(
    findings: tuple[Finding, ...], language: Language, verdict: str, totals: str
) -> None:
    made = report(*findings)
    assert report_text(made, language).splitlines()[0] == f"{verdict}: {totals}"
    header = page(made, language).find(".//header")
    assert text(header.find(".//b")) == verdict
    assert text(header.find_class("totals")[0]) == totals


@pytest.mark.parametrize("language", ["da", "en"])
def test_a_finding_is_told_in_full_and_in_one_language(language: Language) -> None:
    made = report(
        finding(rule="SomeRule", position=(722_279.4273, 6_178_882.1766), expected="one", found="other")
    )
    told = {"text": report_text(made, language), "page": text(page(made, language).find(".//main"))}
    ours = ("Vælg en.", "findes ikke") if language == "da" else ("Choose one.", "is not in the list")
    others = ("Choose one.", "is not in") if language == "da" else ("Vælg en.", "findes ikke")
    for shown in told.values():
        for part in ("SomeRule", "LER-CODE", "el.1", "12", "Elledning/driftsstatus", "one", "other", *ours):
            assert part in shown
        assert [part for part in others if part in shown] == []
    assert ("722279,4 6178882,2" if language == "da" else "722279.4 6178882.2") in told["page"]


def test_without_danish_the_english_text_stands() -> None:
    made = report(finding("X-OWN", message_da="", hint_da=""))
    assert "is not in the list" in report_text(made, "da")
    assert "Choose one." in report_text(made, "da")


def test_the_worst_kind_comes_first_then_the_most_frequent() -> None:
    made = report(
        *(finding("LER-WHITESPACE", Severity.WARNING, line=line) for line in range(30)),
        finding("LER-UOM", hint="a"),
        *(finding("LER-VALUE", hint="b", line=line) for line in range(1, 4)),
        finding("LER-EXPIRED", Severity.INFO),
    )
    sections = page(made).findall(".//section")
    order = ["LER-VALUE", "LER-UOM", "LER-WHITESPACE", "LER-EXPIRED"]
    assert [text(one.findall(".//dd")[0]) for one in sections] == order
    assert [text(one.find_class("count")[0]) for one in sections] == [
        "3 fejl", "1 fejl", "30 advarsler", "1 bemærkning",
    ]  # fmt: skip
    links = [link.get("href") for link in page(made).findall(".//nav//a")]
    assert links == [f"#{one.get('id')}" for one in sections]
    assert re.findall(r"\[([A-Z-]+)", report_text(made)) == order


def test_a_long_list_is_folded_and_nothing_is_lost() -> None:
    made = report(*(finding(line=line) for line in range(1, 101)))
    shown = page(made)
    lines = [text(cell) for cell in shown.find_class("line")]
    assert lines == [str(line) for line in range(1, 101)]
    folded = shown.find(".//details")
    assert text(folded.find("summary")) == "Vis 92 flere"
    assert len(folded.find_class("line")) == 92
    assert "+ 90" in report_text(made)


def test_a_list_that_was_cut_says_so_and_counts_all() -> None:
    made = Report(5, limit=15)
    made.extend(finding(line=line) for line in range(7))
    assert made.errors == 7
    assert text(page(made).find_class("count")[0]) == "7 fejl"
    assert "× 7" in report_text(made)
    for shown in (report_text(made), text(page(made, "en"))):
        assert "Only 3 findings are shown" in shown
    assert "Only" not in report_text(report(finding()))


def test_what_all_findings_of_a_kind_expect_is_said_once() -> None:
    allowed = ", ".join(f"value {number}" for number in range(20))
    made = report(*(finding(line=line, expected=allowed) for line in range(1, 6)))
    assert text(page(made)).count(allowed) == 1


@pytest.mark.parametrize("language", ["da", "en"])
def test_nothing_in_a_file_becomes_an_element(language: Language) -> None:
    every = dict.fromkeys(
        ("message", "message_da", "feature_id", "path", "expected", "found", "rule", "hint", "hint_da"),
        HOSTILE,
    )
    hostile = [finding(HOSTILE, **every), finding("LER-CODE", **{**every, "line": 3})]
    source = report_html(report(*hostile), language, HOSTILE)
    shown = lxml.html.document_fromstring(source)
    assert {element.tag for element in shown.iter() if isinstance(element.tag, str)} <= {
        "html", "head", "meta", "title", "style", "body", "main", "header", "nav", "section", "h1", "h2",
        "p", "b", "ol", "li", "a", "span", "dl", "dt", "dd", "code", "table", "thead", "tbody", "tr", "th",
        "td",
    }  # fmt: skip
    assert {name for element in shown.iter() for name in element.attrib if name.startswith("on")} == set()
    assert HOSTILE.replace("\u2028", "\ufffd") in shown.find(".//h1").text_content()


def test_nothing_in_a_file_moves_the_terminals_cursor() -> None:
    every = dict.fromkeys(("message", "feature_id", "path", "expected", "found", "rule", "hint"), TERMINAL)
    shown = report_text(report(finding("X", **every)))
    assert {c for c in shown if not c.isprintable()} <= {"\n"}


def test_the_page_admits_its_own_style_and_nothing_else() -> None:
    source = report_html(report(finding()), "da", "svar.gml")
    (style,) = re.findall(r"<style>(.*?)</style>", source, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert page_policy() == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    shown = lxml.html.document_fromstring(source)
    (policy,) = shown.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert policy == page_policy()
    assert shown.xpath("//@style | //@src | //script | //link") == []


def test_the_same_report_gives_the_same_bytes() -> None:
    made = report(finding(), finding("LER-UOM"))
    assert report_html(made, "en", "a") == report_html(made, "en", "a")


def test_a_thousand_findings_are_written_in_a_moment() -> None:
    made = report(*(finding(line=line, position=(line, line)) for line in range(1000)))
    assert len(report_html(made, "da", "svar.gml")) < 1_000_000
