"""The store on both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from geoinfra.storage import Store, open_store

type StoreMaker = Callable[[], Store]


@pytest.fixture(params=["embedded", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine_name(request: pytest.FixtureRequest) -> str:
    """The engine that the test runs on."""
    return str(request.param)


@pytest.fixture
def make_store(engine_name: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[StoreMaker]:
    """Open the same data once more, as another process would; all are closed at the end."""
    url, server = None, None
    if engine_name == "postgres":
        server = request.getfixturevalue("postgres_server")
        url = server.new_database()
    opened: list[Store] = []

    def make() -> Store:
        opened.append(open_store(tmp_path / "data", url))
        return opened[-1]

    yield make
    for store in opened:
        store.close()
    if server is not None:
        server.drop(url)


@pytest.fixture
def store(make_store: StoreMaker) -> Store:
    """An empty store."""
    return make_store()
