"""LER's rules about what must be known of which line, read from ``standards/utilities/ler-2.2.0/rules.json``.

A rule has one code, one demand on one attribute, and cases: the feature classes (an abstract one stands for
all that descend from it), the first and last data model, and the conditions that must all hold.

===========================  ==============================================================
demand                       what is a fault
===========================  ==============================================================
``present``                  the attribute is not there (a nil is there)
``absent``                   the attribute is there, be it nil
``not-void``                 the attribute is nil
``in``, ``not-in``           the value is none, or one, of those listed
``one-of``                   of no listed group all attributes are there
``not-both``                 attributes of more than one listed group are there
``heights-known``            a vertex of the geometry has no known height
``geometry-or-container``    no geometry, and no trace or other line refers to the line
``reachable``                the contact has neither telephone number nor mail address
``extension-of-format``      the file name does not end as its format does
``refused``                  the conditions themselves
===========================  ==============================================================

Conditions have names, each with a test and how it is said. Tests: ``established`` (``after`` the cut-off
date, ``before`` it or on it, ``cut-off-year`` alone, ``too-late`` for a "before"), ``geometry``, ``heights``
(``unknown`` at every vertex), ``any-of``, and of an attribute (the first value of a repeated one) ``in``,
``not-in`` (a value, another one), ``other-than`` (another value, nil or nothing), ``in-or-absent``, ``void``,
``at-least``, ``above``, ``below``, ``at-most``.

An attribute whose value is ``None`` stood in the document and could not be read: no demand fails on it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import IntEnum
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

import orjson

from geoinfra.errors import Finding, InvalidInput, Severity
from geoinfra.standards import standards_path
from geoinfra.utilities.catalogue import FeatureClass, catalogue
from geoinfra.utilities.shapes import UNKNOWN_HEIGHT, Shape

__all__ = ["BusinessRules", "Case", "Condition", "Moment", "Rule", "RuleBook", "moment", "named", "rule_book"]

Properties = Mapping[str, Any]
Test = Callable[[Properties, Shape | None], bool]
Check = Callable[[Properties, Shape | None], str | None]
"""Returns what was found when the demand fails, ``None`` when it holds."""

_CONTENT = "indeholdtLedning"
_ESTABLISHED = "etableringstidspunkt"


@dataclass(frozen=True, slots=True)
class Case:
    """Where a rule holds: feature classes, data models, and the names of the conditions.

    Attributes
    ----------
    rule
        LER's name of the rule in this case; empty where it is that of the rule.
    """

    classes: tuple[str, ...]
    first: str
    last: str = ""
    when: tuple[str, ...] = ()
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """A named condition: its test, and how it is said after "because the feature" and "fordi objektet"."""

    test: Mapping[str, Any]
    en: str
    da: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of LER.

    Attributes
    ----------
    where
        ``rules``: evaluated here; ``reader``: found when the document is read; ``not-checked``: only LER can
        tell, or nothing here does.
    severity
        ``error``, ``warning``, or ``checked``: an error when a delivery is checked, else a warning.
    rule, also
        LER's names of the rule, as its service answers with; empty where none matches.
    restrictions
        Names in LER's feature catalogue.
    source
        ``catalogue``, or ``api`` for what the service demands beside it.
    attributes
        What the demand is about; for rules of the reader the attributes that it may concern (any when empty).
    expected
        For rules of the reader: what such a finding expects, where the code alone does not tell.
    """

    code: str
    where: str
    severity: str
    source: str
    message: str
    message_da: str
    cases: tuple[Case, ...]
    rule: str = ""
    also: tuple[str, ...] = ()
    restrictions: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    demand: Any = None
    hint: str = ""
    hint_da: str = ""
    expected: str = ""


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All rules, the conditions they use, the data models in order, and the cut-off date."""

    models: tuple[str, ...]
    cut_off: date
    extensions: Mapping[str, Sequence[str]]
    conditions: Mapping[str, Condition]
    rules: tuple[Rule, ...]

    def holds_for(self, case: Case, model: str) -> bool:
        """Whether a case holds for a data model."""
        place = self.models.index(model)
        last = case.last or self.models[-1]
        return self.models.index(case.first) <= place <= self.models.index(last)


@lru_cache(maxsize=1)
def rule_book() -> RuleBook:
    """Return the rules; read once a process."""
    document = orjson.loads(standards_path("utilities", "ler-2.2.0", "rules.json").read_bytes())
    cut_off = date.fromisoformat(document["cut_off"])
    return RuleBook(
        tuple(document["models"]),
        cut_off,
        document["extensions"],
        {
            name: Condition(entry["test"], *_dated(entry, cut_off))
            for name, entry in document["conditions"].items()
        },
        tuple(_rule(entry, cut_off) for entry in document["rules"]),
    )


_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_MONTHS_DA = (
    "januar", "februar", "marts", "april", "maj", "juni",
    "juli", "august", "september", "oktober", "november", "december",
)  # fmt: skip


def _dated(text: Mapping[str, str], day: date) -> tuple[str, str]:
    """Return an English and a Danish text with the cut-off date written out."""
    written = f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
    written_da = f"{day.day}. {_MONTHS_DA[day.month - 1]} {day.year}"
    return text["en"].format(cut_off=written), text["da"].format(cut_off=written_da)


def _rule(entry: Mapping[str, Any], cut_off: date) -> Rule:
    message, message_da = _dated(entry["message"], cut_off)
    attributes = (entry["attribute"],) if "attribute" in entry else tuple(entry.get("attributes", ()))
    hint = entry.get("hint", {})
    return Rule(
        entry["code"],
        entry["where"],
        entry["severity"],
        entry["source"],
        message,
        message_da,
        tuple(_case(case) for case in entry["cases"]),
        entry.get("rule", ""),
        tuple(entry.get("also", ())),
        tuple(entry.get("restrictions", ())),
        attributes,
        entry.get("demand"),
        hint.get("en", ""),
        hint.get("da", ""),
        entry.get("expected", ""),
    )


def _case(entry: Mapping[str, Any]) -> Case:
    return Case(
        tuple(entry["classes"]),
        entry["first"],
        entry.get("last", ""),
        tuple(entry.get("when", ())),
        entry.get("rule", ""),
    )


def named(finding: Finding) -> Finding:
    """Return a finding with LER's name of the rule, where there is one; the reader leaves it out."""
    if finding.rule:
        return finding
    owner, _, attribute = finding.path.partition("/")
    entry = catalogue().classes.get(owner)
    lineage = entry.lineage if entry else frozenset((owner,))
    for rule in _rules_by_code().get(finding.code, ()):
        if rule.attributes and attribute not in rule.attributes:
            continue
        if rule.expected and not finding.expected.startswith(rule.expected):
            continue
        if any(not lineage.isdisjoint(case.classes) for case in rule.cases):
            return replace(finding, rule=rule.rule)
    return finding


@lru_cache(maxsize=1)
def _rules_by_code() -> Mapping[str, tuple[Rule, ...]]:
    """Return the rules by code, those that say what is expected first."""
    by_code: dict[str, tuple[Rule, ...]] = {}
    for rule in sorted(rule_book().rules, key=lambda one: not one.expected):
        by_code[rule.code] = (*by_code.get(rule.code, ()), rule)
    return by_code


# -- when a feature was established


class Moment(IntEnum):
    """How a time of establishment stands to the cut-off date."""

    UNKNOWN = 0
    BEFORE = 1
    AFTER = 2
    CUT_OFF_YEAR = 3
    TOO_LATE = 4


_MOMENTS = {
    "before": Moment.BEFORE,
    "after": Moment.AFTER,
    "cut-off-year": Moment.CUT_OFF_YEAR,
    "too-late": Moment.TOO_LATE,
}


@lru_cache(maxsize=4096)
def moment(text: str, indeterminate: bool = False) -> Moment:
    """Compare a year, month or day with the cut-off date, each in its own precision.

    Parameters
    ----------
    text
        ``yyyy``, ``yyyy-mm`` or ``yyyy-mm-dd``.
    indeterminate
        Whether it says "before": then it is before the cut-off date, or later than it and not admitted.
    """
    cut_off = rule_book().cut_off.isoformat()
    if len(text) not in (4, 7, 10):
        return Moment.UNKNOWN
    later = text > cut_off[: len(text)]
    if indeterminate:
        return Moment.TOO_LATE if later else Moment.BEFORE
    if text == cut_off[:4]:
        return Moment.CUT_OFF_YEAR
    return Moment.AFTER if later else Moment.BEFORE


def _moment_of(value: Any) -> Moment:
    if type(value) is str:
        return moment(value)
    if isinstance(value, dict):
        return moment(str(value.get("value", "")), value.get("indeterminate") == "before")
    return Moment.UNKNOWN


# -- tests


def _has(properties: Properties, shape: Shape | None) -> bool:
    """Whether a feature has a geometry, also one that could not be read."""
    return shape is not None or "geometri" in properties


def _lacks(properties: Properties, shape: Shape | None) -> bool:
    return shape is None and "geometri" not in properties


def _unknown_heights(shape: Shape) -> tuple[int, int]:
    """Return how many vertices have no known height, and how many there are."""
    heights = shape.vertices[2::3]
    missing = heights.count(UNKNOWN_HEIGHT)
    if missing < len(heights) and math.isnan(sum(heights)):
        missing += sum(height != height for height in heights)
    return missing, len(heights)


def _all_unknown(_: Properties, shape: Shape | None) -> bool:
    if shape is None:
        return False
    missing, total = _unknown_heights(shape)
    return missing == total


def _text(value: Any) -> str | None:
    """Return the text of a value, of a repeated one the first; ``None`` of a nil or nothing."""
    if type(value) is list:
        value = value[0] if value else None
    return value if type(value) is str else None


def _in(name: str, values: frozenset[str]) -> Test:
    return lambda properties, _: _text(properties.get(name)) in values


def _not_in(name: str, values: frozenset[str]) -> Test:
    def test(properties: Properties, _: Shape | None) -> bool:
        text = _text(properties.get(name))
        return text is not None and text not in values

    return test


def _other_than(name: str, values: frozenset[str]) -> Test:
    def test(properties: Properties, _: Shape | None) -> bool:
        value = properties.get(name, "")
        return value is not None and value != [] and _text(value) not in values

    return test


def _in_or_absent(name: str, values: frozenset[str]) -> Test:
    return lambda properties, _: name not in properties or _text(properties[name]) in values


def _is_nil(value: Any) -> bool:
    if type(value) is list:
        return bool(value) and all(_is_nil(one) for one in value)
    return type(value) is dict and value.get("nil") is True


_OF_TEXTS = {"in": _in, "not-in": _not_in, "other-than": _other_than, "in-or-absent": _in_or_absent}
_OF_NUMBERS: Mapping[str, Callable[[float, float], bool]] = {
    "at-least": operator.ge,
    "above": operator.gt,
    "below": operator.lt,
    "at-most": operator.le,
}


def _compared(name: str, compare: Callable[[float, float], bool], bound: float) -> Test:
    def test(properties: Properties, _: Shape | None) -> bool:
        value = properties.get(name)
        return type(value) is dict and "value" in value and compare(value["value"], bound)

    return test


def _test(spec: Mapping[str, Any]) -> Test:
    """Compile the test of a condition, other than those of the time of establishment."""
    if "any-of" in spec:
        tests = tuple(_test(one) for one in spec["any-of"])
        return lambda properties, shape: any(test(properties, shape) for test in tests)
    if "geometry" in spec:
        return _has if spec["geometry"] else _lacks
    if "heights" in spec:
        return _all_unknown
    name = spec["attribute"]
    if "void" in spec:
        return lambda properties, _: _is_nil(properties.get(name))
    kind = next(key for key in spec if key != "attribute")
    if kind in _OF_TEXTS:
        return _OF_TEXTS[kind](name, frozenset(spec[kind]))
    return _compared(name, _OF_NUMBERS[kind], spec[kind])


# -- demands


def _shown(value: Any) -> str:
    """Return a value as a finding shows it."""
    if _is_nil(value):
        return "nil"
    if isinstance(value, list):
        return ", ".join(map(_shown, value))[:200]
    if isinstance(value, dict):
        return " ".join(str(part) for part in value.values() if part is not None)[:200]
    return str(value)[:200]


def _present(name: str) -> Check:
    return lambda properties, _: None if name in properties else ""


def _absent(name: str) -> Check:
    return lambda properties, _: _shown(properties[name]) if name in properties else None


def _not_void(name: str) -> Check:
    return lambda properties, _: "nil" if _is_nil(properties.get(name)) else None


def _one_of_values(name: str, values: frozenset[str]) -> Check:
    def check(properties: Properties, _: Shape | None) -> str | None:
        value = properties.get(name)
        return None if value is None or _text(value) in values else _shown(value)

    return check


def _none_of_values(name: str, values: frozenset[str]) -> Check:
    def check(properties: Properties, _: Shape | None) -> str | None:
        value = properties.get(name)
        return _shown(value) if _text(value) in values else None

    return check


def _one_of_groups(groups: Sequence[Sequence[str]]) -> Check:
    def check(properties: Properties, _: Shape | None) -> str | None:
        if any(all(name in properties for name in group) for group in groups):
            return None
        return ", ".join(name for group in groups for name in group if name in properties)

    return check


def _not_both_groups(groups: Sequence[Sequence[str]]) -> Check:
    def check(properties: Properties, _: Shape | None) -> str | None:
        given = [[name for name in group if name in properties] for group in groups]
        if sum(map(bool, given)) < 2:
            return None
        return ", ".join(name for group in given for name in group)

    return check


def _heights_known(_: Properties, shape: Shape | None) -> str | None:
    if shape is None:
        return None
    missing, total = _unknown_heights(shape)
    return f"{missing} / {total}" if missing else None


def _reachable(name: str) -> Check:
    def check(properties: Properties, _: Shape | None) -> str | None:
        contact = properties.get(name)
        if not isinstance(contact, dict) or "href" in contact:
            return None
        known = any(str(contact.get(way) or "").strip() for way in ("telefonnummer", "mailadresse"))
        return None if known else _shown(contact)

    return check


def _extension_of_format(name: str) -> Check:
    extensions = rule_book().extensions

    def check(properties: Properties, _: Shape | None) -> str | None:
        path, media = properties.get(name), properties.get("format")
        if not isinstance(path, str) or not isinstance(media, dict):
            return None
        suffix = PurePosixPath(path).suffix.lower().removeprefix(".")
        return None if suffix in extensions.get(media.get("value", ""), (suffix,)) else path[:200]

    return check


def _demand(rule: Rule) -> Check:
    """Compile the demand of a rule, other than that for a container."""
    name, demand = rule.attributes[0], rule.demand
    if isinstance(demand, str):
        plain: Mapping[str, Callable[[str], Check]] = {
            "present": _present,
            "absent": _absent,
            "not-void": _not_void,
            "reachable": _reachable,
            "extension-of-format": _extension_of_format,
            "heights-known": lambda _: _heights_known,
            "refused": lambda name: lambda properties, _: _shown(properties.get(name)),
        }
        return plain[demand](name)
    ((kind, values),) = demand.items()
    if kind == "one-of":
        return _one_of_groups(values)
    if kind == "not-both":
        return _not_both_groups(values)
    return (_one_of_values if kind == "in" else _none_of_values)(name, frozenset(values))


def _guarded(tests: tuple[Test, ...], check: Check) -> Check:
    """Return `check` where all `tests` hold."""
    if not tests:
        return check
    if len(tests) == 1:
        (only,) = tests
        return lambda properties, shape: check(properties, shape) if only(properties, shape) else None

    def guarded(properties: Properties, shape: Shape | None) -> str | None:
        for test in tests:
            if not test(properties, shape):
                return None
        return check(properties, shape)

    return guarded


# -- plans: what to check of a class in a data model


@dataclass(slots=True)
class _Plan:
    """The compiled rules of one class.

    Attributes
    ----------
    checks
        For each :class:`Moment` the checks and what their finding says.
    bare
        The finding on a line of this class that has no geometry and lies in nothing.
    """

    checks: tuple[list[tuple[Check, Finding]], ...] = field(default_factory=lambda: tuple([] for _ in Moment))
    bare: Finding | None = None


@lru_cache(maxsize=8)
def _plans(model: str) -> Mapping[str, _Plan]:
    """Compile the rules of a data model, a plan a feature class."""
    book = rule_book()
    if model not in book.models:
        raise InvalidInput(
            f"'{model[:40]}' is not a data model of LER.", hint="One of " + ", ".join(book.models) + "."
        )
    plans: dict[str, _Plan] = {}
    for entry in catalogue().feature_classes:
        plan = _Plan()
        for rule in book.rules:
            for case in rule.cases if rule.where == "rules" else ():
                if book.holds_for(case, model) and not entry.lineage.isdisjoint(case.classes):
                    _add(plan, entry, rule, case)
        if plan.bare is not None or any(plan.checks):
            plans[entry.name] = plan
    return plans


def _add(plan: _Plan, entry: FeatureClass, rule: Rule, case: Case) -> None:
    """Add one case of a rule to the plan of a class."""
    finding = _template(entry, rule, case)
    if rule.demand == "geometry-or-container":
        plan.bare = finding
        return
    specs = [rule_book().conditions[name].test for name in case.when]
    timed = [_MOMENTS[spec["established"]] for spec in specs if "established" in spec]
    tests = tuple(_test(spec) for spec in specs if "established" not in spec)
    check = _guarded(tests, _demand(rule))
    for when in timed or Moment:
        plan.checks[when].append((check, finding))


def _template(entry: FeatureClass, rule: Rule, case: Case) -> Finding:
    """Return the finding of a case but for the feature, its line and what was found."""
    reason, reason_da = "", ""
    if case.when and rule.demand != "refused":
        conditions = [rule_book().conditions[name] for name in case.when]
        reason = f", because the feature {_listed([c.en for c in conditions], 'and')}"
        reason_da = f", fordi objektet {_listed([c.da for c in conditions], 'og')}"
    return Finding(
        rule.code,
        Severity(rule.severity),
        f"{rule.message}{reason}.",
        f"{rule.message_da}{reason_da}.",
        path=f"{entry.name}/{rule.attributes[0]}",
        expected=_expected(rule.demand),
        rule=case.rule or rule.rule,
        hint=rule.hint,
        hint_da=rule.hint_da,
    )


def _placed(template: Finding, gml_id: str, line: int | None, found: str = "") -> Finding:
    """Return the finding on one feature (``dataclasses.replace`` takes several times longer)."""
    return Finding(
        template.code,
        template.severity,
        template.message,
        template.message_da,
        gml_id,
        line,
        template.path,
        template.expected,
        found,
        template.rule,
        template.hint,
        template.hint_da,
    )


def _expected(demand: Any) -> str:
    if not isinstance(demand, dict):
        return ""
    ((kind, values),) = demand.items()
    if kind in ("one-of", "not-both"):
        return " | ".join(" + ".join(group) for group in values)
    return ", ".join(values) if kind == "in" else "≠ " + ", ".join(values)


def _listed(parts: list[str], last: str) -> str:
    return f" {last} ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


class BusinessRules:
    """LER's rules for one owner's features of one document.

    Parameters
    ----------
    model
        Data model of the document; ``1.0.0`` has none of these rules.

    Raises
    ------
    InvalidInput
        There is no such data model.
    """

    def __init__(self, model: str) -> None:
        self._plans = _plans(model)
        self._bare: list[tuple[str, Finding, int | None]] = []
        self._contained: set[str] = set()

    def feature(
        self,
        entry: FeatureClass,
        gml_id: str,
        properties: Properties,
        shape: Shape | None,
        line: int | None,
    ) -> Iterable[Finding]:
        """Return the findings about one feature as it was read."""
        plan = self._plans.get(entry.name)
        if plan is None:
            return ()
        if _CONTENT in properties:
            self._note_content(gml_id, properties[_CONTENT])
        if plan.bare is not None and _lacks(properties, shape):
            self._bare.append((gml_id, plan.bare, line))
        found: list[Finding] = []
        for check, finding in plan.checks[_moment_of(properties.get(_ESTABLISHED))]:
            fault = check(properties, shape)
            if fault is not None:
                found.append(_placed(finding, gml_id, line, fault))
        return found

    def _note_content(self, gml_id: str, references: Any) -> None:
        """Remember what a trace or line contains; nothing contains itself."""
        for one in references if isinstance(references, list) else (references,):
            href = one.get("href") if isinstance(one, dict) else None
            if isinstance(href, str) and href[1:] != gml_id:
                self._contained.add(href[1:])

    def finish(self) -> Iterable[Finding]:
        """Return the findings that need the whole document: lines without geometry that lie in nothing."""
        for gml_id, finding, line in self._bare:
            if gml_id not in self._contained:
                yield _placed(finding, gml_id, line)
