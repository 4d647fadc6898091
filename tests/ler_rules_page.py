"""The page ``docs/reference/ler-rules.md`` of the rules; ``python tests/ler_rules_page.py`` writes it."""

from __future__ import annotations

from pathlib import Path

from geoinfra.utilities.check.rules import Case, Rule, rule_book

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "ler-rules.md"


def page() -> str:
    """Return the page: the hand-written part as it stands, then the tables."""
    head, _, _ = PAGE.read_text("utf-8").partition(MARK)
    return head + MARK + _tables()


MARK = "<!-- The rest is written by tests/ler_rules_page.py -->\n"


def _tables() -> str:
    book = rule_book()
    parts = ["\n## Rules that are tried on each feature\n\n"]
    for rule in book.rules:
        if rule.where == "rules":
            parts.append(_section(rule))
    parts.append("## Rules that are found when the document is read\n\n")
    parts.append("| Code | Rule | Classes | LER's name | Weight |\n|---|---|---|---|---|\n")
    parts += [_row(rule) for rule in book.rules if rule.where == "reader"]
    parts.append("\n## Rules of LER that are not checked\n\n")
    parts.append("| LER's name | Rule |\n|---|---|\n")
    parts += [f"| `{rule.rule}` | {rule.message} |\n" for rule in book.rules if rule.where == "not-checked"]
    return "".join(parts)


def _section(rule: Rule) -> str:
    names = ", ".join(f"`{name}`" for name in _names(rule)) or "none that matches"
    weight = "" if rule.severity == "error" else " A warning."
    restrictions = ", ".join(f"`{name}`" for name in rule.restrictions)
    catalogue = f" In the catalogue: {restrictions}." if restrictions else ""
    rows = "".join(_case(case) for case in rule.cases)
    return (
        f"### `{rule.code}`\n\n{rule.message}.{weight} *{rule.message_da}.*\n\n"
        f"LER's name: {names}.{catalogue} Attribute: `{rule.attributes[0]}`.\n\n"
        f"What to do: {rule.hint}\n\n"
        f"| Classes | Models | When the feature |\n|---|---|---|\n{rows}\n"
    )


def _names(rule: Rule) -> list[str]:
    return [name for name in dict.fromkeys((rule.rule, *rule.also, *(c.rule for c in rule.cases))) if name]


def _case(case: Case) -> str:
    when = ", ".join(rule_book().conditions[name].en for name in case.when) or "always"
    return f"| {', '.join(case.classes)} | {_models(case)} | {when} |\n"


def _models(case: Case) -> str:
    last = case.last or rule_book().models[-1]
    return case.first if case.first == last else f"{case.first} to {last}"


def _row(rule: Rule) -> str:
    weight = "error when checked, else a warning" if rule.severity == "checked" else rule.severity
    names = ", ".join(f"`{name}`" for name in _names(rule))
    attributes = f": {', '.join(rule.attributes)}" if rule.attributes else ""
    classes = ", ".join(rule.cases[0].classes) + attributes
    return f"| `{rule.code}` | {rule.message} | {classes} | {names} | {weight} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
