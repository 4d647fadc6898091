"""One small service for all tests of conformance, asked over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from small_store import small_service

from geoinfra.storage import Store


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, str]]:
    """The store and its service's address; tests that change rows use collections of their own."""
    with small_service(tmp_path_factory.mktemp("conformance")) as made:
        yield made


@pytest.fixture(scope="session")
def api(small: tuple[Store, str]) -> Iterator[httpx.Client]:
    """A client of the OGC service; paths begin behind ``/ogc``."""
    with httpx.Client(base_url=f"{small[1]}/ogc", timeout=120) as client:
        yield client
