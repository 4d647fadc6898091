"""The report of a check as people read it: lines for a terminal, and a page for whoever must mend the file.

Findings of one kind stand together under what they are called, the rule they break and what to do. Everything
that comes from the file is escaped; the page runs no script, and its policy admits its own style sheet alone.
"""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Literal

from geoinfra.errors import Finding, Report, Severity
from geoinfra.utilities.check.advice import advice

__all__ = ["Language", "page_policy", "report_html", "report_text"]

Language = Literal["da", "en"]

_ROWS_OPEN = 8  # more than these are folded away
_TEXT_ROWS = 10
_ORDER = (Severity.ERROR, Severity.WARNING, Severity.INFO)
_TEXTS: dict[str, tuple[str, str]] = {
    "refused": ("Afvist", "Refused"),
    "accepted": ("Godkendt", "Accepted"),
    "remarked": ("Godkendt med advarsler", "Accepted with warnings"),
    "mend": (
        "Fejlene skal rettes, før filen kan modtages.",
        "The errors must be mended before the file can be taken.",
    ),
    "consider": (
        "Filen kan modtages. Se advarslerne igennem.",
        "The file can be taken. Look through the warnings.",
    ),
    "clean": ("Der er ingen fejl eller advarsler.", "There are no errors or warnings."),
    "heading": ("Kontrol af levering", "Check of a delivery"),
    "overview": ("Overblik", "Overview"),
    "rule": ("Regel", "Rule"),
    "hint": ("Gør sådan", "What to do"),
    "expected": ("Forventet", "Expected"),
    "found": ("Fundet", "Found"),
    "line": ("Linje", "Line"),
    "feature": ("Objekt", "Feature"),
    "what": ("Fund", "Finding"),
    "place": ("Sted (øst, nord)", "Place (east, north)"),
    "document": ("hele filen", "whole file"),
    "reference": ("Koordinater er i EPSG:25832, meter.", "Coordinates are in EPSG:25832, metres."),
}
_NOUNS = {
    "feature": (("objekt", "objekter"), ("feature", "features")),
    Severity.ERROR: (("fejl", "fejl"), ("error", "errors")),
    Severity.WARNING: (("advarsel", "advarsler"), ("warning", "warnings")),
    Severity.INFO: (("bemærkning", "bemærkninger"), ("note", "notes")),
}


@dataclass(frozen=True, slots=True)
class _Group:
    """Findings of one kind; a text that all of them share is said once.

    `rules` are the standard's own names of what is broken; `count` counts also what the report did not keep.
    """

    severity: Severity
    code: str
    rules: tuple[str, ...]
    title: str
    hint: str
    findings: tuple[Finding, ...]
    count: int

    def shared(self, text: Callable[[Finding], str]) -> str:
        """Return what `text` gives for every finding, empty where they differ or there is only one."""
        given = {text(one) for one in self.findings}
        return given.pop() if len(given) == 1 and len(self.findings) > 1 else ""


class _Words:
    """The texts in one language."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language
        self._index = 0 if language == "da" else 1

    def __call__(self, key: str) -> str:
        return _TEXTS[key][self._index]

    def number(self, value: int) -> str:
        """Return a whole number with its thousands marked."""
        return f"{value:,}".replace(",", "." if self.language == "da" else ",")

    def count(self, value: int, noun: str) -> str:
        """Return a number with its noun."""
        one, many = _NOUNS[noun][self._index]
        return f"{self.number(value)} {one if value == 1 else many}"

    def message(self, finding: Finding) -> str:
        """Return what a finding says."""
        return (finding.message_da if self.language == "da" else "") or finding.message

    def more(self, value: int) -> str:
        """Return the line that stands for rows that are not shown."""
        return (
            f"Vis {self.number(value)} flere" if self.language == "da" else f"Show {self.number(value)} more"
        )

    def cut(self, kept: int) -> str:
        """Return the sentence about a list that does not hold all findings."""
        if self.language == "da":
            return f"Kun {self.number(kept)} fund er vist; alle er talt med. Ret dem, og kontrollér igen."
        return f"Only {self.number(kept)} findings are shown; all are counted. Mend them and check again."


def report_text(report: Report, language: Language = "en") -> str:
    """Return the report as plain lines for a terminal, without control characters.

    Parameters
    ----------
    language
        ``da`` or ``en``; a text that has no Danish is given in English.
    """
    words = _Words(language)
    lines = [f"{_verdict(report, words)}: {_totals(report, words)}"]
    for group in _groups(report, words):
        lines += ["", *_text_group(group, words)]
    if _is_cut(report):
        lines += ["", words.cut(len(report.findings))]
    return "\n".join(map(_plain, lines)) + "\n"


def report_html(report: Report, language: Language, title: str) -> str:
    """Return the report as one HTML page that needs nothing else, on screen, on a phone and on paper.

    Parameters
    ----------
    language
        ``da`` or ``en``.
    title
        What was checked, for instance the file name.
    """
    words = _Words(language)
    groups = _groups(report, words)
    parts = [
        _summary(report, words, title),
        _overview(groups, words),
        *(_section(number, group, words) for number, group in enumerate(groups)),
        f"<p class=note>{escape(words.cut(len(report.findings)))}</p>" if _is_cut(report) else "",
        f"<p class=note>{escape(words('reference'))}</p>" if _has_places(report.findings) else "",
    ]
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(page_policy())}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_shown(title)} · {escape(words('heading'))}</title><style>{_style()}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def page_policy() -> str:
    """Return the Content-Security-Policy of the page: its own style sheet and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _style() -> str:
    return files("geoinfra.presentation").joinpath("check_report.css").read_text("utf-8")


def _verdict(report: Report, words: _Words) -> str:
    return words("refused" if report.errors else "remarked" if report.warnings else "accepted")


def _totals(report: Report, words: _Words) -> str:
    notes = sum(one.severity is Severity.INFO for one in report.findings)
    counts = [
        words.count(report.features, "feature"),
        words.count(report.errors, Severity.ERROR),
        words.count(report.warnings, Severity.WARNING),
    ]
    return ", ".join(counts + ([words.count(notes, Severity.INFO)] if notes else []))


def _is_cut(report: Report) -> bool:
    kept = sum(one.severity is not Severity.INFO for one in report.findings)
    return report.errors + report.warnings > kept


def _groups(report: Report, words: _Words) -> list[_Group]:
    """Put findings of one kind together, the worst kinds first and then the most frequent."""
    kinds: dict[tuple[Severity, str, str], list[Finding]] = {}
    for finding in report.findings:
        kinds.setdefault((finding.severity, finding.code, finding.hint), []).append(finding)
    groups = [_group(findings, words, report) for findings in kinds.values()]
    return sorted(groups, key=lambda group: (_ORDER.index(group.severity), -group.count))


def _group(findings: list[Finding], words: _Words, report: Report) -> _Group:
    first = findings[0]
    known = advice(first.code)
    in_danish = words.language == "da"
    title = (known.title_da if in_danish else known.title) if known else words.message(first)
    hint = (first.hint_da if in_danish else "") or first.hint
    rules = tuple(dict.fromkeys(one.rule for one in findings if one.rule))
    kept = sum((one.severity, one.code) == (first.severity, first.code) for one in report.findings)
    missing = report.counts.get((first.severity, first.code), kept) - kept
    count = len(findings) + (missing if len(findings) == kept else 0)
    return _Group(first.severity, first.code, rules, title, hint, tuple(findings), count)


# ------------------------------------------------------------------ lines


def _text_group(group: _Group, words: _Words) -> Iterator[str]:
    name = _NOUNS[group.severity][0 if words.language == "da" else 1][0].upper()
    marks = " ".join(filter(None, (group.code, *group.rules)))
    yield f"{name}  {group.title}  [{marks}]  × {words.number(group.count)}"
    if group.hint:
        yield f"  {words('hint')}: {group.hint}"
    for finding in group.findings[:_TEXT_ROWS]:
        yield f"  - {_text_row(finding, group, words)}"
    if len(group.findings) > _TEXT_ROWS:
        yield f"  - … + {words.number(group.count - _TEXT_ROWS)}"


def _text_row(finding: Finding, group: _Group, words: _Words) -> str:
    line = f"{words('line').lower()} {finding.line}" if finding.line else ""
    place = "  ".join(filter(None, (line, finding.feature_id or "", finding.path))) or words("document")
    message = words.message(finding)
    values = "; ".join(
        f"{words(key).lower()}: {value}"
        for key, value in (("expected", finding.expected), ("found", finding.found))
        if value not in message
    )
    new = "" if message == group.title else message
    said = " ".join(filter(None, (new, f"({values})" if values else "")))
    return f"{place}: {said}" if said else place


def _plain(line: str) -> str:
    """Return a line without characters that move a terminal's cursor or turn its text around."""
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") else c for c in line)


# ------------------------------------------------------------------ page


def _shown(text: str) -> str:
    return escape(_plain(text))


def _summary(report: Report, words: _Words, title: str) -> str:
    tone = "bad" if report.errors else "care" if report.warnings else "good"
    sentence = words("mend" if report.errors else "consider" if report.warnings else "clean")
    return (
        f"<header class={tone}><p class=kicker>{escape(words('heading'))}</p><h1>{_shown(title)}</h1>"
        f"<p class=verdict><b>{escape(_verdict(report, words))}</b> {escape(sentence)}</p>"
        f"<p class=totals>{escape(_totals(report, words))}</p></header>"
    )


def _overview(groups: list[_Group], words: _Words) -> str:
    if len(groups) < 2:
        return ""
    rows = "".join(
        f'<li class={group.severity}><a href="#g{number}">{_shown(group.title)}</a>'
        f"<span>{words.number(group.count)}</span></li>"
        for number, group in enumerate(groups)
    )
    return f"<nav><h2>{escape(words('overview'))}</h2><ol>{rows}</ol></nav>"


def _section(number: int, group: _Group, words: _Words) -> str:
    noun = words.count(group.count, group.severity)
    names = " ".join(f"<code>{_shown(name)}</code>" for name in (*group.rules, group.code))
    rule = f"<dt>{escape(words('rule'))}</dt><dd>{names}</dd>"
    hint = f"<dt>{escape(words('hint'))}</dt><dd>{_shown(group.hint)}</dd>" if group.hint else ""
    expected = group.shared(lambda one: one.expected)
    wanted = f"<dt>{escape(words('expected'))}</dt><dd>{_shown(expected)}</dd>" if expected else ""
    message = group.shared(words.message)
    told = f"<p>{_shown(message)}</p>" if message and message != group.title else ""
    first, rest = group.findings[:_ROWS_OPEN], group.findings[_ROWS_OPEN:]
    if len(rest) == 1:
        first, rest = group.findings, ()
    folded = (
        f"<details><summary>{escape(words.more(len(rest)))}</summary>{_table(rest, group, words)}</details>"
        if rest
        else ""
    )
    return (
        f'<section id="g{number}" class={group.severity}>'
        f"<p class=count>{escape(noun)}</p><h2>{_shown(group.title)}</h2>{told}<dl>{rule}{hint}{wanted}</dl>"
        f"{_table(first, group, words)}{folded}</section>"
    )


def _table(findings: Iterable[Finding], group: _Group, words: _Words) -> str:
    rows = tuple(findings)
    places = _has_places(rows)
    titles = [words("line"), words("feature"), words("what"), *([words("place")] if places else [])]
    head = "".join(f"<th scope=col>{escape(title)}</th>" for title in titles)
    body = "".join(_row(finding, group, words, places) for finding in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _row(finding: Finding, group: _Group, words: _Words, places: bool) -> str:
    cells = [
        ("line", words("line"), str(finding.line) if finding.line else ""),
        ("feature", words("feature"), _shown(finding.feature_id or words("document"))),
        ("what", words("what"), _what(finding, group, words)),
    ]
    if places:
        cells.append(("place", words("place"), _place(finding, words)))
    row = "".join(
        f'<td class={name} data-title="{escape(title)}">{content}</td>' for name, title, content in cells
    )
    return f"<tr>{row}</tr>"


def _what(finding: Finding, group: _Group, words: _Words) -> str:
    parts = [f"<code>{_shown(finding.path)}</code>"] if finding.path else []
    message = words.message(finding)
    if message not in (group.title, group.shared(words.message)):
        parts.append(f"<p>{_shown(message)}</p>")
    if finding.expected not in message and not group.shared(lambda one: one.expected):
        parts.append(_value(words("expected"), finding.expected))
    if finding.found not in message:
        parts.append(_value(words("found"), finding.found))
    return "".join(parts)


def _value(name: str, value: str) -> str:
    return f"<p class=value><span>{escape(name)}:</span> {_shown(value)}</p>"


def _place(finding: Finding, words: _Words) -> str:
    if finding.position is None:
        return ""
    mark = "," if words.language == "da" else "."
    return " ".join(f"{value:.1f}".replace(".", mark) for value in finding.position)


def _has_places(findings: Iterable[Finding]) -> bool:
    return any(one.position is not None for one in findings)
