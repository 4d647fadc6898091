"""The conformance page says what tests prove: each class it names has tests that carry the class's URI."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

import httpx
import pytest

pytestmark = pytest.mark.services

_MODULES = sorted(path.stem for path in Path(__file__).parent.glob("test_*.py") if path.stem != "test_claims")


def _marks(test: FunctionType) -> Iterator[pytest.Mark]:
    for mark in getattr(test, "pytestmark", ()):
        yield mark
        if mark.name == "parametrize":
            yield from (one for case in mark.args[1] for one in getattr(case, "marks", ()))


def _proven() -> dict[str, set[str]]:
    """Return each class that a test of this folder is marked with, and those tests."""
    found: dict[str, set[str]] = {}
    for module in map(importlib.import_module, _MODULES):
        tests = [one for name, one in vars(module).items() if name.startswith("test_")]
        for test in tests:
            for mark in _marks(test):
                for uri in mark.args if mark.name == "conformance" else ():
                    found.setdefault(uri, set()).add(f"{module.__name__}.{test.__name__}")
    return found


def test_only_whole_addresses_mark_a_test() -> None:
    assert all(uri.startswith("http://www.opengis.net/spec/") and "/conf/" in uri for uri in _proven())


def test_each_class_of_the_page_is_proven_here_and_each_proven_class_is_on_the_page(
    api: httpx.Client,
) -> None:
    claimed = api.get("/conformance").raise_for_status().json()["conformsTo"]
    assert len(claimed) == len(set(claimed))
    proven = _proven()
    assert set(claimed) - set(proven) == set(), "claimed, but not proven"
    assert set(proven) - set(claimed) == set(), "proven, but not claimed"
