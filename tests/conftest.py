"""Fixtures that every ring of tests shares."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployment import Deployment
from parts import absent

ROOT = Path(__file__).resolve().parent.parent

# Tests start many processes; without cached bytecode each would compile every module anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def reference() -> Path:
    """Real data, schemas and expected results; a visible skip where they are absent, a failure in CI."""
    path = Path(os.environ.get("GEOINFRA_REFERENCE_DIR", ROOT / ".." / "shared" / "reference")).resolve()
    if not path.is_dir():
        absent(f"the reference data at {path} (set GEOINFRA_REFERENCE_DIR)")
    return path


@pytest.fixture(scope="session")
def tiny_town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny generated town, made once a run."""
    from geoinfra import sample

    folder = tmp_path_factory.mktemp("town")
    sample.generate_town(folder, "tiny")
    return folder


@pytest.fixture(scope="session")
def demo_data(tiny_town: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the tiny town loaded and demo tokens; treat it as read-only."""
    from geoinfra.sample.loading import load_town
    from geoinfra.storage import open_store
    from services.demo import ensure_tokens

    folder = tmp_path_factory.mktemp("demo")
    store = open_store(folder)
    load_town(store, tiny_town)
    ensure_tokens(store, folder / "demo-tokens.json")
    store.close()
    return folder


@pytest.fixture(scope="session")
def deployment(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A running demo on a copy of the tiny town's data, shared by the tests of a run."""
    import shutil

    folder = tmp_path_factory.mktemp("deployment") / "data"
    shutil.copytree(demo_data, folder)
    running = Deployment(folder)
    running.start("serve")
    running.start("worker")
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def demo_server(deployment: Deployment) -> str:
    """Base URL of the running demo."""
    return deployment.url
