"""The names of the kinds of findings, and what to do about each.

Those of the readers are in ``standards/utilities/findings.json``, those of LER's rules in their rule book.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import orjson

from geoinfra.errors import Finding
from geoinfra.standards import standards_path
from geoinfra.utilities.check.rules import rule_book

__all__ = ["Advice", "advice", "advised"]


@dataclass(frozen=True, slots=True)
class Advice:
    """The name of a kind of finding, and what to do about it; each in Danish and in English."""

    title_da: str
    title: str
    hint_da: str
    hint: str


@lru_cache(maxsize=1)
def _known() -> Mapping[str, Advice]:
    entries = orjson.loads(standards_path("utilities", "findings.json").read_bytes())
    known = {
        rule.code: Advice(rule.message_da, rule.message, rule.hint_da, rule.hint)
        for rule in reversed(rule_book().rules)
        if rule.where == "rules"
    }
    for code, entry in entries.items():
        title, hint = entry["title"], entry["hint"]
        known[code] = Advice(title["da"], title["en"], hint["da"], hint["en"])
    return known


def advice(code: str) -> Advice | None:
    """Return the advice on the findings of `code`, ``None`` where none was written."""
    return _known().get(code)


def advised(finding: Finding) -> Finding:
    """Return `finding` with a hint; one that it has already is kept."""
    known = None if finding.hint else advice(finding.code)
    return finding if known is None else replace(finding, hint=known.hint, hint_da=known.hint_da)
