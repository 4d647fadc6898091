"""OGC API Features: `items` of 10 and 1000 features, ours against stock pygeoapi on the same machine.

The same 1000 polygons in EPSG:25832, answered in CRS84, from one uvicorn process each: ours from a delivery
in the embedded store, stock pygeoapi's Starlette application from a GeoJSON file, which it reads again for
each request. That is the only stock provider that runs without a database or further packages, so the
ratio is not one of databases. Five interleaved runs, medians.
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
from pathlib import Path

import httpx
import numpy as np
import shapely
import yaml

from geoinfra.access import Access, Visibility
from geoinfra.storage import open_store
from geoinfra.storage.deliveries import publish
from geoinfra.tables import Column, ColumnType, DatasetSchema, FeatureBatch

FEATURES = 1000
RUNS = 5
REQUESTS = {10: 60, 1000: 12}
STORAGE_CRS = "http://www.opengis.net/def/crs/EPSG/0/25832"
SCHEMA = DatasetSchema(
    "buildings",
    "Polygon",
    (Column("name"), Column("floors", ColumnType.INTEGER), *(Column(f"attribute_{n}") for n in range(5))),
    visibility=Visibility.OPEN,
)


def batch() -> FeatureBatch:
    """A thousand houses."""
    rng = np.random.default_rng(1)
    corners = np.column_stack(
        [rng.uniform(600_000, 603_000, FEATURES), rng.uniform(6.08e6, 6.083e6, FEATURES)]
    )
    shapes = [shapely.box(east, north, east + 12, north + 9) for east, north in corners.round(2)]
    columns = {"name": [f"Hus {n}" for n in range(FEATURES)], "floors": [n % 5 for n in range(FEATURES)]}
    for number in range(5):
        columns[f"attribute_{number}"] = [f"value {n % 40}" for n in range(FEATURES)]
    return FeatureBatch(
        SCHEMA, [f"b.{n}" for n in range(FEATURES)], [shapely.to_wkb(s) for s in shapes], columns
    )


def make_ours(folder: Path) -> None:
    """Publish the houses into a store."""
    store = open_store(folder)
    staged = store.stage(SCHEMA, "town", [batch()])
    with store.begin() as tx:
        publish(tx, staged, Access("benchmark"))
        tx.commit()
    store.close()


def make_stock(folder: Path, port: int) -> dict[str, str]:
    """Write the houses and pygeoapi's files; return its environment."""
    rows = batch()
    features = [
        {
            "type": "Feature",
            "id": identifier,
            "geometry": json.loads(shapely.to_geojson(shapely.from_wkb(wkb))),
            "properties": {name: values[row] for name, values in rows.columns.items()},
        }
        for row, (identifier, wkb) in enumerate(zip(rows.feature_ids, rows.geometry, strict=True))
    ]
    data = folder / "buildings.geojson"
    data.write_text(json.dumps({"type": "FeatureCollection", "features": features}), "utf-8")
    text = "buildings"
    provider = {
        "type": "feature", "name": "GeoJSON", "data": str(data), "id_field": "id", "storage_crs": STORAGE_CRS,
        "crs": ["http://www.opengis.net/def/crs/OGC/1.3/CRS84", STORAGE_CRS],
    }  # fmt: skip
    config = {
        "server": {
            "bind": {"host": "127.0.0.1", "port": port}, "url": f"http://127.0.0.1:{port}", "gzip": False,
            "mimetype": "application/json", "encoding": "utf-8", "language": "en-US", "pretty_print": False,
            "limits": {"default_items": 10, "max_items": 10_000}, "map": {"url": "x", "attribution": "x"},
        },
        "logging": {"level": "ERROR"},
        "metadata": {
            "identification": {"title": text, "description": text, "keywords": [text], "url": "http://localhost",
                               "terms_of_service": text},
            "license": {"name": text, "url": "http://localhost"},
            "provider": {"name": text, "url": "http://localhost"},
            "contact": {"name": text},
        },
        "resources": {
            "buildings": {"type": "collection", "title": text, "description": text, "keywords": [text],
                          "extents": {"spatial": {"bbox": [8, 54, 15, 58]}}, "providers": [provider]},
        },
    }  # fmt: skip
    (folder / "config.yml").write_text(yaml.safe_dump(config), "utf-8")
    (folder / "openapi.json").write_text("{}", "utf-8")
    return {"PYGEOAPI_CONFIG": str(folder / "config.yml"), "PYGEOAPI_OPENAPI": str(folder / "openapi.json")}


OURS = """
import sys
from pathlib import Path
import uvicorn
from services.app import create_app
from services.settings import Settings
settings = Settings(data_dir=Path(sys.argv[1]), port=int(sys.argv[2]))
uvicorn.run(create_app(settings), host="127.0.0.1", port=settings.port, log_level="error", access_log=False)
"""


@contextmanager
def serving(command: list[str], url: str, environment: dict[str, str]) -> Iterator[httpx.Client]:
    """Run a server until the end of the block."""
    process = subprocess.Popen([sys.executable, *command], env={**os.environ, **environment})
    try:
        with httpx.Client(base_url=url, timeout=60) as client:
            for _ in range(600):
                try:
                    if client.get("/collections/buildings/items?limit=1").status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                time.sleep(0.1)
            yield client
    finally:
        process.terminate()
        process.wait()


def seconds(client: httpx.Client, limit: int) -> float:
    """Return the median time of one request."""
    taken = []
    for _ in range(REQUESTS[limit]):
        begin = time.perf_counter()
        answer = client.get(f"/collections/buildings/items?limit={limit}")
        taken.append(time.perf_counter() - begin)
        assert len(answer.json()["features"]) == limit
    return statistics.median(taken)


def main() -> None:
    """Print milliseconds a request, and how many times faster ours is."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_ours(folder / "ours")
        (folder / "stock").mkdir()
        environment = make_stock(folder / "stock", 8713)
        stock_app = ["-m", "uvicorn", "pygeoapi.starlette_app:APP", "--port", "8713", "--log-level", "error"]
        ours = serving(["-c", OURS, str(folder / "ours"), "8712"], "http://127.0.0.1:8712/ogc", {})
        stock = serving(stock_app, "http://127.0.0.1:8713", environment)
        with ours as our_client, stock as stock_client:
            for limit in REQUESTS:
                pairs = [(seconds(our_client, limit), seconds(stock_client, limit)) for _ in range(RUNS)]
                mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
                ratio = theirs / mine
                print(
                    f"items {limit:>5}: ours {1e3 * mine:7.2f} ms, stock {1e3 * theirs:7.2f} ms, {ratio:.1f}x"
                )


if __name__ == "__main__":
    main()
