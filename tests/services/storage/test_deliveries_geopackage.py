"""The files of the embedded engine, judged by SQLite, GDAL and a disk that is full."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely
from delivery_samples import PIPES, random_pipes
from parts import program

from geoinfra.storage import open_store


@pytest.fixture(scope="module", params=[0, 1, 51, 52, 5000])
def delivery(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A file and its number of rows: around the size of one R*Tree node, and with several levels."""
    folder = tmp_path_factory.mktemp("store")
    store = open_store(folder)
    staged = store.stage(PIPES, "x", random_pipes(request.param, seed=3) if request.param else [])
    store.close()
    return folder / "deliveries" / f"{staged.delivery_id}.gpkg", request.param


def test_sqlite_finds_the_packed_index_sound(delivery: tuple[Path, int]) -> None:
    path, _rows = delivery
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT rtreecheck('rtree_features_geom')").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_sqlites_own_walk_of_the_index_finds_every_geometry(delivery: tuple[Path, int]) -> None:
    path, rows = delivery
    with closing(sqlite3.connect(path)) as connection:
        blobs = connection.execute("SELECT fid, substr(geom, 9) FROM features WHERE geom NOT NULL").fetchall()
        for fid, blob in blobs[:200]:
            e1, n1, e2, n2 = shapely.bounds(shapely.from_wkb(blob)).tolist()
            sql = "SELECT count(*) FROM rtree_features_geom WHERE id = ? AND minx <= ? AND miny <= ? "
            if not np.isnan(e1):
                found = connection.execute(
                    f"{sql} AND maxx >= ? AND maxy >= ?", (fid, e1, n1, e2, n2)
                ).fetchone()
                assert found == (1,)
        inside = "SELECT count(*) FROM rtree_features_geom WHERE minx >= 500000 AND maxx <= 500500"
        (few,) = connection.execute(inside).fetchone()
        (all_,) = connection.execute("SELECT count(*) FROM rtree_features_geom").fetchone()
        assert few < all_ if rows > 1 else few <= all_
        known = [b for _fid, b in blobs if not shapely.is_empty(shapely.from_wkb(b))]
        assert all_ == len(known)


def test_gdal_reads_every_row(delivery: tuple[Path, int]) -> None:
    path, rows = delivery
    info = pyogrio.read_info(path, layer="features")
    assert (info["features"], info["crs"], info["fid_column"]) == (rows, "EPSG:25832", "fid")
    if not rows:
        return
    frame = pyogrio.read_dataframe(path, layer="features")
    sent = [g for batch in random_pipes(rows, seed=3) for g in batch.geometry]
    assert frame.geometry.to_wkb().tolist() == sent
    box = (500_100.0, 6_200_100.0, 500_300.0, 6_200_300.0)
    narrowed = pyogrio.read_dataframe(path, layer="features", bbox=box)
    bounds = frame.geometry.bounds
    touching = (
        (bounds.minx <= box[2]) & (bounds.maxx >= box[0]) & (bounds.miny <= box[3]) & (bounds.maxy >= box[1])
    )
    exactly = frame[touching & frame.intersects(shapely.box(*box))]
    assert set(exactly.feature_id) <= set(narrowed.feature_id) <= set(frame[touching].feature_id)


@pytest.mark.gdal
def test_ogrinfo_opens_the_file_without_a_warning(delivery: tuple[Path, int]) -> None:
    program("ogrinfo")
    path, rows = delivery
    done = subprocess.run(["ogrinfo", "-ro", "-al", path], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert f"Feature Count: {rows}" in done.stdout
    assert "ETRS89 / UTM zone 32N" in done.stdout


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    program = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from delivery_samples import PIPES, random_pipes\n"
        "from geoinfra.errors import StorageFull\n"
        "from geoinfra.storage import open_store\n"
        "store = open_store(Path(sys.argv[1]))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "try:\n"
        "    store.stage(PIPES, 'x', random_pipes(3000, seed=1))\n"
        "except StorageFull as error:\n"
        "    print(sorted(p.suffix for p in (Path(sys.argv[1]) / 'deliveries').iterdir()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert done.stdout == "['']\n", done.stderr  # the writer's mark alone
