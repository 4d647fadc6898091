"""Grids are staged unseen, published by one row, and swept when a newer one took their place."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from geoinfra.access import Access, Role
from geoinfra.errors import Conflict, InvalidInput, NotAllowed, StorageFull
from geoinfra.flows.grids import GridFacts, publish_grid_dataset, publish_grid_file
from geoinfra.storage import Store
from geoinfra.storage.collections import Kind, catalogue
from geoinfra.storage.grids import Grid, GridKind, Parameter, current_grids

ADMIN = Access("token:a", "10000000", frozenset({Role.ADMIN}))
HEIGHT = Parameter("height", {"da": "Højde", "en": "Height"}, "m", "DVR90")
FACTS = GridFacts(parameters=(HEIGHT,), source="A survey", captured=(date(2025, 4, 1), date(2025, 4, 9)))
DAY_S = 86_400


def ground(path: Path, height: float = 7.0) -> Path:
    profile = {"driver": "GTiff", "width": 30, "height": 20, "count": 1, "dtype": "float32"}
    placed = {"crs": "EPSG:25832", "transform": from_origin(600_000, 6_080_000, 1, 1)}
    with rasterio.open(path, "w", **profile, **placed) as tile:
        tile.write(np.full((20, 30), height, dtype=np.float32), 1)
    return path


def present(store: Store, dataset: str) -> tuple[Grid, ...]:
    with store.read() as connection:
        return current_grids(connection, dataset)


def height_of(store: Store, dataset: str) -> float:
    raster = store.grids.opened(present(store, dataset)[0])
    value: float = raster.sample(np.array([600_010.0]), np.array([6_079_990.0]), ["height"])[0, 0, 0, 0]
    return value


def test_a_raster_is_published_as_a_collection_and_replaced(store: Store, tmp_path: Path) -> None:
    entry = {"id": "ground-a", "title": {"da": "Jord", "en": "Ground"}}
    publish_grid_file(store, ADMIN, ground(tmp_path / "a.tif"), entry, FACTS)
    found = next(c for c in catalogue(store) if c.id == "ground-a")
    assert found.kind is Kind.RASTER
    (first,) = present(store, "ground-a")
    assert first.origin["captured"] == ["2025-04-01", "2025-04-09"]
    assert height_of(store, "ground-a") == 7.0
    publish_grid_file(store, ADMIN, ground(tmp_path / "b.tif", 8.0), entry, FACTS)
    (second,) = present(store, "ground-a")
    assert second.grid_id > first.grid_id
    assert second.sha256 != first.sha256
    assert height_of(store, "ground-a") == 8.0


def test_a_built_in_collection_appears_with_its_grid(store: Store, tmp_path: Path) -> None:
    assert "terrain-dtm" not in {c.id for c in catalogue(store)}
    publish_grid_dataset(store, ADMIN, ground(tmp_path / "a.tif"), "terrain-dtm", FACTS)
    assert "terrain-dtm" in {c.id for c in catalogue(store)}
    with pytest.raises(Conflict, match="built in"):
        publish_grid_file(store, ADMIN, tmp_path / "a.tif", {"id": "terrain-dtm"}, FACTS)


def test_what_lost_its_place_is_removed_a_day_later(store: Store, tmp_path: Path) -> None:
    publish_grid_dataset(store, ADMIN, ground(tmp_path / "a.tif"), "ground-c", FACTS)
    (first,) = present(store, "ground-c")
    os.utime(store.grids.path(first), (1, 1))
    publish_grid_dataset(store, ADMIN, ground(tmp_path / "b.tif"), "ground-c", FACTS)
    (second,) = present(store, "ground-c")
    store.sweep()
    assert store.grids.path(first).is_dir()  # its day begins when it loses its place
    for grid in (first, second):
        os.utime(store.grids.path(grid), (time.time() - 2 * DAY_S,) * 2)
    store.sweep()
    assert not store.grids.path(first).exists()
    assert store.grids.path(second).is_dir()


def test_what_was_staged_and_never_published_is_removed_a_day_later(store: Store) -> None:
    def write(folder: Path) -> Mapping[str, Any]:
        (folder / "a").write_text("a")
        return {}

    staged = store.grids.stage("ground-d", "operator", GridKind.RASTER, write)
    assert present(store, "ground-d") == ()
    store.sweep()
    assert store.grids.path(staged).is_dir()
    os.utime(store.grids.path(staged), (time.time() - 2 * DAY_S,) * 2)
    store.sweep()
    assert not store.grids.path(staged).exists()


@pytest.mark.parametrize(
    ("raised", "told"), [(OSError(28, "full"), StorageFull), (InvalidInput("bad"), InvalidInput)]
)
def test_a_grid_that_fails_leaves_nothing(store: Store, raised: Exception, told: type[Exception]) -> None:
    before = set(store.grids.folder.iterdir()) if store.grids.folder.exists() else set()

    def write(folder: Path) -> Mapping[str, Any]:
        (folder / "half").write_text("half")
        raise raised

    with pytest.raises(told):
        store.grids.stage("ground-e", "operator", GridKind.RASTER, write)
    assert set(store.grids.folder.iterdir()) == before


@pytest.mark.parametrize("access", [Access.anonymous(), Access("o", "1", frozenset({Role.OWNER}))])
def test_only_an_administrator_publishes(store: Store, tmp_path: Path, access: Access) -> None:
    with pytest.raises(NotAllowed):
        publish_grid_dataset(store, access, ground(tmp_path / "a.tif"), "ground-f", FACTS)
    assert present(store, "ground-f") == ()


def test_a_folder_of_something_else_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="neither a Zarr group nor GeoTIFFs"):
        publish_grid_dataset(store, ADMIN, tmp_path, "ground-g", FACTS)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ["--unit", "m", "--datum", "DVR90", "--captured", "2025-04-01/2025-04-09"],
            "Published ground-h: raster",
        ),
        (["--unit", "m", "--datum", "DVR90", "--captured", "spring"], "is no date"),
    ],
)
def test_the_command_publishes_a_raster_or_says_why_not(
    tmp_path: Path, options: list[str], told: str
) -> None:
    source = ground(tmp_path / "a.tif")
    program = [sys.executable, "-c", "from services.cli import main; main()", "publish", str(source)]
    done = subprocess.run(
        [*program, "--id", "ground-h", "--title", "Ground", *options],
        env={**os.environ, "GEOINFRA_DATA_DIR": str(tmp_path / "store"), "COLUMNS": "200"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert told in done.stdout + done.stderr
    assert (done.returncode == 0) == told.startswith("Published")
