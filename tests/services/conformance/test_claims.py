"""The conformance page says what tests prove: each class it names has tests that carry the class's URI."""

from __future__ import annotations

import ast
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.services

_FOLDER = Path(__file__).parent


def _proven() -> set[str]:
    """Return the first argument of every ``conformance`` mark in this folder's tests."""
    found: set[str] = set()
    for path in _FOLDER.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.conformance":
                found |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return found


def test_only_whole_addresses_mark_a_test() -> None:
    assert all(uri.startswith("http://www.opengis.net/spec/") and "/conf/" in uri for uri in _proven())


@pytest.mark.xfail(
    reason="tests of features, common, styles and processes are still being written", strict=False
)
def test_each_class_of_the_page_is_proven_here_and_each_proven_class_is_on_the_page(
    api: httpx.Client,
) -> None:
    claimed = set(api.get("/conformance").raise_for_status().json()["conformsTo"])
    assert claimed == _proven()
