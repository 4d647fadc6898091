"""The main job over HTTP: POST to the last byte of the package, and what slows it.

Prints medians of 20 enquiries of about 250,000 m2 in the dense town (GML only, and all formats), owner
selection among 3,000 interest areas, the same enquiry in stores of 100,000 and 1,000,000 lines, and an
enquiry while a delivery of a million lines is being loaded. `GEOINFRA_BENCH_LINES` bounds the large stores.
"""

from __future__ import annotations

import json
import os
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
from geoinfra.sample.loading import load_town
from geoinfra.storage import Store, open_store, organisations
from geoinfra.storage.organisations import InterestArea

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
def serving(data_dir: Path) -> Iterator[httpx.Client]:
    from services.demo import ensure_tokens

    store = open_store(data_dir)
    ensure_tokens(store, data_dir / "demo-tokens.json")
    store.close()
    running = Deployment(data_dir)
    running.start("serve")
    running.start("worker")
    try:
        running.wait_ready()
        headers = {"Authorization": f"Bearer {running.tokens['excavator']}"}
        with httpx.Client(base_url=running.url, headers=headers, timeout=60) as client:
            yield client
    finally:
        running.stop()


def loaded(folder: Path, size: str, lines: int | None = None) -> tuple[Path, shapely.Geometry]:
    """Make and load a town; return its data folder and the extent of its streets."""
    town, data = folder / f"town-{size}-{lines}", folder / f"data-{size}-{lines}"
    summary = sample.generate_town(town, size, lines=lines)
    store = open_store(data)
    load_town(store, town)
    store.close()
    return data, shapely.box(*summary.bounds)


def median(client: httpx.Client, body: dict[str, Any], runs: int = RUNS) -> tuple[float, int]:
    for _ in range(3):
        once(client, body)
    results = [once(client, body) for _ in range(runs)]
    return statistics.median(seconds for seconds, _ in results), results[0][1]


def quarter_square_kilometre(bounds: shapely.Geometry) -> shapely.Polygon:
    centre = bounds.centroid
    return shapely.box(centre.x - 249.9, centre.y - 249.9, centre.x + 249.9, centre.y + 249.9)


def measure_dense(folder: Path) -> None:
    data, bounds = loaded(folder, "dense")
    area = quarter_square_kilometre(bounds)
    with serving(data) as client:
        for formats in (["gml"], ["gml", "gpkg", "geojson"], ["gml", "gpkg", "geojson", "html"]):
            seconds, features = median(client, document(area, formats))
            print(f"dense, {area.area:,.0f} m2, {features:,} features, {'+'.join(formats)}: {seconds:.3f} s")


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
                e, n = chance.uniform(450_000, 850_000), chance.uniform(6_050_000, 6_400_000)
                ring = shapely.Point(e, n).buffer(chance.uniform(1_000, 60_000), quad_segs=16)
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


def measure_growth(folder: Path, lines: int) -> None:
    area_at = {}
    for wanted in (lines // 10, lines):
        data, bounds = loaded(folder, "dense", wanted)
        area = quarter_square_kilometre(bounds)
        with serving(data) as client:
            seconds, features = median(client, document(area, ["gml"]), 10)
            area_at[wanted] = seconds / max(features, 1)
            print(f"store of {wanted:,} lines: {features:,} features in {seconds:.3f} s")
            if wanted == lines:
                _measure_under_load(client, folder, data, document(area, ["gml"]), seconds)
    print(
        f"time per feature, {lines:,} to {lines // 10:,} lines: {area_at[lines] / area_at[lines // 10]:.2f} x"
    )


def _measure_under_load(
    client: httpx.Client, folder: Path, data: Path, body: dict[str, Any], alone: float
) -> None:
    delivery = max(folder.glob("town-*/deliveries/*.gml"), key=lambda path: path.stat().st_size)
    command = [sys.executable, "-c", "from services.cli import main; main()"]
    command += ["--data-dir", str(data), "utilities", "deliver", str(delivery), "--owner", delivery.stem]
    loading = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(5)
    results = []
    while loading.poll() is None and len(results) < RUNS:
        results.append(once(client, body)[0])
    loading.terminate()
    loading.wait()
    if results:
        under = statistics.median(results)
        size = delivery.stat().st_size / 1e6
        print(f"while a delivery of {size:,.0f} MB loads: {under:.3f} s, {under / alone:.2f} x")


def main() -> None:
    lines = int(os.environ.get("GEOINFRA_BENCH_LINES", "1000000"))
    with tempfile.TemporaryDirectory(prefix="geoinfra-bench-") as text:
        folder = Path(text)
        measure_owner_selection(folder)
        measure_dense(folder)
        measure_growth(folder, lines)


if __name__ == "__main__":
    main()
