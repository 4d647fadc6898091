"""Fixtures that every ring of tests shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def reference() -> Path:
    """Real data, schemas and expected results; a visible skip where they are absent, a failure in CI."""
    path = Path(os.environ.get("GEOINFRA_REFERENCE_DIR", ROOT / ".." / "shared" / "reference")).resolve()
    if not path.is_dir():
        message = f"no reference data at {path}; set GEOINFRA_REFERENCE_DIR"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path
