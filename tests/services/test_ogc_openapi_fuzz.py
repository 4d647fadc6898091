"""Generated requests to every operation that the OGC description names: no failure, answers as described."""

from __future__ import annotations

from pathlib import Path

import pytest
from openapi_fuzz import PLACES, description, fuzz
from small_store import as_who, small_service

from geoinfra.sample.loading import load_grids

pytestmark = pytest.mark.services

EXAMPLES = 3
GROUND = (650_200.0, 6_084_000.0, 650_400.0, 6_084_200.0)


@pytest.mark.timeout(600)
def test_no_generated_request_breaks_the_description(tmp_path: Path) -> None:
    with small_service(tmp_path / "store") as (store, url):
        load_grids(store, GROUND)
        headers = as_who("owner-a")
        run = fuzz(description(f"{url}/ogc", PLACES, headers), tmp_path, examples=EXAMPLES, headers=headers)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    assert "Tested: 0" not in run.stdout
