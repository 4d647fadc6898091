"""Nothing that a user meets may be missing from the documentation; omissions are listed by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from geoinfra.errors import all_errors
from services.cli import app
from services.errors import STATUS
from services.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s#]+)(?:#[^)]*)?\)")
PAGES_READ_ON_THE_FORGE = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "standards/README.md",
]


def headings(page: Path) -> list[str]:
    """Return the level 2 headings of a page, without back-quotes."""
    return [
        line[3:].strip().strip("`") for line in page.read_text("utf-8").splitlines() if line.startswith("## ")
    ]


def test_every_error_code_has_a_heading() -> None:
    documented = headings(ROOT / "docs" / "reference" / "errors.md")
    assert [error.code for error in all_errors() if error.code not in documented] == []


def test_every_documented_error_code_exists() -> None:
    codes = {error.code for error in all_errors()}
    documented = set(headings(ROOT / "docs" / "reference" / "errors.md")) - {"Findings"}
    assert documented - codes == set()


def test_every_error_has_its_own_code_and_title() -> None:
    errors = list(all_errors())
    assert len({error.code for error in errors}) == len({error.title for error in errors}) == len(errors)


def test_every_error_tells_its_http_status() -> None:
    page = (ROOT / "docs" / "reference" / "errors.md").read_text("utf-8")
    wrong = [e.code for e, status in STATUS.items() if f"## `{e.code}`\n\nHTTP status {status}. " not in page]
    assert wrong == []


def environment_names() -> set[str]:
    prefix = Settings.model_config.get("env_prefix", "")
    return {f"{prefix}{name}".upper() for name in Settings.model_fields}


def test_every_setting_has_a_heading() -> None:
    documented = headings(ROOT / "docs" / "reference" / "settings.md")
    assert sorted(environment_names() - set(documented)) == []


def test_every_documented_setting_exists() -> None:
    documented = {
        name for name in headings(ROOT / "docs" / "reference" / "settings.md") if name.startswith("GEOINFRA_")
    }
    assert sorted(documented - environment_names()) == []


def commands(command: Any, path: str = "geoinfra") -> Iterator[tuple[str, Any]]:
    """Yield every command that can be run, with the words that call it."""
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in children.items():
        yield from commands(child, f"{path} {name}")


COMMANDS = dict(commands(typer.main.get_command(app)))


def sections(page: Path) -> dict[str, str]:
    """Return level 2 heading -> text below it."""
    _, *parts = page.read_text("utf-8").split("\n## ")
    return {part.partition("\n")[0].strip("` "): part for part in parts}


def test_the_command_line_reference_holds_the_commands_and_no_other() -> None:
    assert set(sections(ROOT / "docs" / "reference" / "cli.md")) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_documented(name: str) -> None:
    text = sections(ROOT / "docs" / "reference" / "cli.md")[name]
    parameters = [p for p in COMMANDS[name].params if p.param_type_name == "option" and p.name != "help"]
    assert [p.opts[0] for p in parameters if p.opts[0] not in text] == []


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "index.md").read_text("utf-8")
    assert [page.name for page in sorted(folder.glob("[0-9]*.md")) if f"({page.name})" not in index] == []


@pytest.mark.parametrize("page", PAGES_READ_ON_THE_FORGE)
def test_links_to_files_lead_somewhere(page: str) -> None:
    source = ROOT / page
    targets = [target for target in LINK.findall(source.read_text("utf-8")) if "://" not in target]
    assert [target for target in targets if not (source.parent / target).exists()] == []
