"""A small service for each module of conformance tests, asked over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from small_store import small_service

from geoinfra.sample.loading import load_grids
from geoinfra.storage import Store

GROUND = (650_200.0, 6_084_000.0, 650_800.0, 6_084_600.0)
"""Bounds of the terrain of :func:`grids`, EPSG:25832."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, str]]:
    """The store and its service's address; what one module publishes, no other sees."""
    with small_service(tmp_path_factory.mktemp("conformance")) as made:
        yield made


@pytest.fixture(scope="module")
def api(small: tuple[Store, str]) -> Iterator[httpx.Client]:
    """A client of the OGC service; paths begin behind ``/ogc``."""
    with httpx.Client(base_url=f"{small[1]}/ogc", timeout=120) as client:
        yield client


@pytest.fixture(scope="module")
def grids(small: tuple[Store, str]) -> Store:
    """The same store with the terrain, weather and sea level of the sample town."""
    load_grids(small[0], GROUND)
    return small[0]
