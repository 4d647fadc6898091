"""The main job over HTTP: POST to the last byte of the package, and what slows it.

Prints medians of 20 enquiries of about 250,000 m2 in the dense town (GML only up to all formats), owner
selection among 3,000 interest areas, the same enquiry in stores of 100,000 and 1,000,000 lines, and an
enquiry while a delivery of a million lines is being loaded. `GEOINFRA_BENCH_LINES` bounds the large stores,
`GEOINFRA_BENCH_DATABASE_URL` names an empty PostGIS database to be measured as well.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import shapely
from deployment import Deployment

from geoinfra import sample
from geoinfra.access import Access, Role
from geoinfra.sample.loading import load_town
from geoinfra.storage import Store, deliveries, open_store, organisations, schema
from geoinfra.storage.organisations import InterestArea
from geoinfra.tables import FeatureBatch, FeatureQuery
from geoinfra.utilities.model import UTILITY_FEATURES

RUNS = 20


def document(area: shapely.Polygon, formats: list[str]) -> dict[str, Any]:
    today = datetime.now(UTC).date()
    return {
        "area": json.loads(shapely.to_geojson(area)),
        "crs": "EPSG:25832",
        "period": {"from": today.isoformat(), "to": (today + timedelta(days=10)).isoformat()},
        "methods": ["6"],
        "contact": {"name": "Karen Graver", "email": "karen@example.dk"},
        "formats": formats,
    }


def once(client: httpx.Client, body: dict[str, Any]) -> tuple[float, int]:
    """POST to last byte, seconds; and the features in the package."""
    started = time.perf_counter()
    filed = client.post("/api/enquiries", json=body).raise_for_status().json()
    done = client.get(f"/api/enquiries/{filed['number']}", params={"wait_s": 30}).json()
    link = client.post(f"/api/enquiries/{filed['number']}/package-link").raise_for_status().json()
    client.get(link["href"]).raise_for_status().read()
    return time.perf_counter() - started, int(done["package"]["features"])


@contextmanager
def serving(data_dir: Path, database_url: str | None = None) -> Iterator[httpx.Client]:
    from services.demo import ensure_tokens

    store = open_store(data_dir, database_url)
    ensure_tokens(store, data_dir / "demo-tokens.json")
    store.close()
    running = Deployment(data_dir, database_url=database_url)
    running.start("serve")
    running.start("worker")
    try:
        running.wait_ready()
        headers = {"Authorization": f"Bearer {running.tokens['excavator']}"}
        with httpx.Client(base_url=running.url, headers=headers, timeout=60) as client:
            yield client
    finally:
        running.stop()


def dense_town(folder: Path) -> tuple[Path, shapely.Polygon]:
    """Make and load the dense town; return its data folder and a dig area of almost 250,000 m2 in it."""
    town, data = folder / "town", folder / "data"
    summary = sample.generate_town(town, "dense")
    store = open_store(data)
    load_town(store, town)
    store.close()
    return data, quarter_square_kilometre(shapely.box(*summary.bounds))


def median(client: httpx.Client, body: dict[str, Any], runs: int = RUNS) -> tuple[float, int]:
    for _ in range(3):
        once(client, body)
    results = [once(client, body) for _ in range(runs)]
    return statistics.median(seconds for seconds, _ in results), results[0][1]


def quarter_square_kilometre(bounds: shapely.Geometry) -> shapely.Polygon:
    centre = bounds.centroid
    return shapely.box(centre.x - 249.9, centre.y - 249.9, centre.x + 249.9, centre.y + 249.9)


def measure_dense(
    data: Path, area: shapely.Polygon, database_url: str | None = None, runs: int = RUNS
) -> None:
    """Print the medians of POST to last byte by formats."""
    engine = "PostGIS" if database_url else "embedded"
    with serving(data, database_url) as client:
        plain = ["gml", "gpkg", "geojson"]
        for formats in (
            ["gml"],
            plain,
            [*plain, "html"],
            [*plain, "html", "dxf"],
            [*plain, "html", "dxf", "pdf"],
        ):
            seconds, features = median(client, document(area, formats), runs)
            what = f"{features:,} features, {'+'.join(formats)}"
            print(f"{engine}, dense, {area.area:,.0f} m2, {what}: {seconds:.3f} s")


def measure_owner_selection(folder: Path) -> None:
    store = open_store(folder / "owners")
    chance = np.random.default_rng(1)
    since = datetime(2000, 1, 1, tzinfo=UTC)
    with store.begin() as tx:
        number = 0
        for cvr in _cvrs(300):
            organisations.add_organisation(tx, cvr, f"Ejer {cvr}")
            areas = []
            for _ in range(10):
                number += 1
                e, n = chance.uniform(485_000, 845_000), chance.uniform(6_095_000, 6_355_000)
                ring = shapely.Point(e, n).buffer(chance.uniform(500, 20_000), quad_segs=16)
                areas.append(InterestArea(number, ("water",), ring, since))
            organisations.set_interest_areas(tx, cvr, areas)
        tx.commit()
    _time_owner_selection(store)
    store.close()


def _time_owner_selection(store: Store) -> None:
    area, moment, times, hits = shapely.box(650_000, 6_200_000, 650_500, 6_200_500), datetime.now(UTC), [], 0
    for _ in range(50):
        started = time.perf_counter()
        with store.read() as connection:
            hits = len(organisations.owners_in(connection, area, moment))
        times.append(time.perf_counter() - started)
    print(f"owner selection among 3,000 areas ({hits} owners): {statistics.median(times) * 1000:.2f} ms")


def _cvrs(count: int) -> Iterator[str]:
    weights = (2, 7, 6, 5, 4, 3, 2, 1)
    found = 0
    for number in range(10_000_000, 99_999_999):
        if sum(w * int(d) for w, d in zip(weights, str(number), strict=True)) % 11 == 0:
            found += 1
            yield str(number)
        if found == count:
            return


def enlarge(data_dir: Path, lines: int) -> None:
    """Publish each owner's rows anew, repeated on a grid of districts until the store holds `lines` rows."""
    store = open_store(data_dir)
    everything = {cvr: list(_own_rows(store, cvr)) for cvr in _sources(store)}
    rows = sum(len(batch) for batches in everything.values() for batch in batches)
    districts = [(i % 12, i // 12) for i in range(max(1, round(lines / rows)))]
    for cvr, batches in everything.items():
        access = Access("bench", cvr, frozenset({Role.OWNER}))
        copies = (_moved(batch, *place) for place in districts for batch in batches)
        staged = store.stage(UTILITY_FEATURES, cvr, copies)
        with store.begin() as tx:
            details = {"header": {"response_type": "ledningsoplysninger udleveret", "contact": None}}
            deliveries.publish(tx, staged, access, details=details)
            tx.commit()
    store.close()


def _sources(store: Store) -> list[str]:
    table = schema.current_deliveries
    with store.read() as connection:
        query = table.select().where(table.c.dataset == "utility-features")
        return sorted(row.source for row in connection.execute(query))


def _own_rows(store: Store, cvr: str) -> Iterator[FeatureBatch]:
    view = store.view(Access("bench", cvr, frozenset({Role.OWNER})), "utility-features")
    columns = tuple(column.name for column in UTILITY_FEATURES.columns)
    for batch in view.read(FeatureQuery(columns=columns)):
        if not batch.feature_ids[0].rpartition("~")[1]:
            yield batch


def _moved(batch: FeatureBatch, column: int, row: int) -> FeatureBatch:
    """Return the batch as it stands for the first place of the grid, else moved there under other ids."""
    if (column, row) == (0, 0):
        return batch
    shapes = np.array([None if wkb is None else shapely.from_wkb(wkb) for wkb in batch.geometry])
    there = shapely.transform(shapes, lambda xy: xy + np.array([1500.0 * column, 1500.0 * row]))
    ids = [f"{feature_id}~{column}.{row}" for feature_id in batch.feature_ids]
    wkb = [None if g is None else shapely.to_wkb(g, byte_order=1) for g in there]
    return FeatureBatch(batch.schema, ids, wkb, batch.columns, batch.heights_m, batch.source)


def measure_growth(folder: Path, data: Path, area: shapely.Polygon, lines: int) -> None:
    """Print the time of one enquiry at a tenth of `lines` and at `lines`, and while as many are loaded."""
    body, times = document(area, ["gml"]), []
    for wanted in (lines // 10, lines):
        grown = folder / f"grown-{wanted}"
        shutil.copytree(data, grown)
        enlarge(grown, wanted)
        with serving(grown) as client:
            seconds, features = median(client, body)
            times.append(seconds)
            print(f"store of {wanted:,} lines: {features:,} features in {seconds:.3f} s")
            if wanted == lines:
                _measure_while_loading(client, grown, lines, body, seconds)
    print(f"{lines:,} lines against {lines // 10:,}: {times[1] / times[0]:.2f} x")


def _measure_while_loading(
    client: httpx.Client, data: Path, lines: int, body: dict[str, Any], alone: float
) -> None:
    command = [sys.executable, __file__, "enlarge", str(data), str(lines)]
    loading = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])})
    time.sleep(5)
    results = []
    while loading.poll() is None and len(results) < RUNS:
        results.append(once(client, body)[0])
    if loading.poll() is not None:
        print("the load ended before it could be measured")
    loading.terminate()
    loading.wait()
    under = statistics.median(results)
    print(f"while {lines:,} lines are loaded: {under:.3f} s, {under / alone:.2f} x ({len(results)} runs)")


def main() -> None:
    lines = int(os.environ.get("GEOINFRA_BENCH_LINES", "1000000"))
    with tempfile.TemporaryDirectory(prefix="geoinfra-bench-") as text:
        folder = Path(text)
        measure_owner_selection(folder)
        data, area = dense_town(folder)
        measure_dense(data, area)
        if database_url := os.environ.get("GEOINFRA_BENCH_DATABASE_URL"):
            store = open_store(folder / "postgis", database_url)
            load_town(store, folder / "town")
            store.close()
            measure_dense(folder / "postgis", area, database_url)
        measure_growth(folder, data, area, lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["enlarge"]:
        enlarge(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
