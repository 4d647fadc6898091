"""The OGC service under mixed load: nothing dies, every answer equals the first, memory stays flat.

``GEOINFRA_SOAK_OGC_S`` says how long (600 s), ``GEOINFRA_SOAK_OGC_CONNECTIONS`` how many clients ask at
once (16), ``GEOINFRA_SOAK_OGC_FUZZ_S`` how long generated requests are tried (600 s).
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import morecantile
import pytest
from deployment import Deployment
from openapi_fuzz import PLACES, description, fuzz

from geoinfra.sample.loading import load_grids, load_town
from geoinfra.storage import open_store
from services.demo import ensure_tokens

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]

SECONDS = float(os.environ.get("GEOINFRA_SOAK_OGC_S", "600"))
CONNECTIONS = int(os.environ.get("GEOINFRA_SOAK_OGC_CONNECTIONS", "16"))
FUZZ_S = int(os.environ.get("GEOINFRA_SOAK_OGC_FUZZ_S", "600"))
OVERLOAD_S = min(20.0, SECONDS / 3)
MOMENTS = re.compile(rb'"timeStamp": ?"[^"]*"')
GROWTH_MB = 150
SHED = {429, 503}
"""Refusals of a service that has too much to do."""


@pytest.fixture(scope="module")
def deployment(tiny_town: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A demo of the tiny town with terrain, weather and sea levels; requests a second have no bound."""
    folder = tmp_path_factory.mktemp("ogc")
    store = open_store(folder)
    load_town(store, tiny_town)
    load_grids(store, (650_000.0, 6_084_000.0, 651_000.0, 6_085_000.0))
    ensure_tokens(store, folder / "demo-tokens.json")
    store.close()
    before = os.environ.get("GEOINFRA_REQUESTS_PER_S")
    os.environ["GEOINFRA_REQUESTS_PER_S"] = "0"
    running = Deployment(folder)
    running.start("serve")
    if before is None:
        del os.environ["GEOINFRA_REQUESTS_PER_S"]
    else:
        os.environ["GEOINFRA_REQUESTS_PER_S"] = before
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


def addresses(client: httpx.Client) -> list[str]:
    """Return a mix of open requests of every kind."""
    grid = morecantile.tms.get("WebMercatorQuad")
    found = ["/", "/conformance", "/collections", "/openapi", "/styles", "/collections/catalogue/items"]
    for name in ("buildings", "streets", "addresses"):
        here = f"/collections/{name}"
        listed = client.get(f"/ogc{here}/items", params={"limit": 40}).raise_for_status().json()
        extent = client.get(f"/ogc{here}").raise_for_status().json()["extent"]["spatial"]["bbox"][0]
        west, south, east, north = extent
        middle, height = (west + east) / 2, (south + north) / 2
        found += [here, f"{here}/queryables", f"{here}/items?f=html&limit=5"]
        found += [f"{here}/items/{feature['id']}" for feature in listed["features"][:10]]
        found += [f"{here}/items?limit={limit}" for limit in (10, 100, 1000)]
        found += [f"{here}/items?limit=50&f={form}" for form in ("csv", "fgb", "jsonfg")]
        found += [f"{here}/items?limit=100&bbox={west},{south},{middle},{height}"]
        box = f"BBOX({west},{south},{middle},{height})"
        found += [f"{here}/items?limit=100&filter=S_INTERSECTS(geometry,{box})"]
        at = grid.tile(middle, height, 14)
        found += [f"{here}/map?width=200&height=200"]
        found += [] if name == "addresses" else [f"{here}/tiles/WebMercatorQuad/14/{at.y}/{at.x}"]
    ground = "650100,6084100,650300,6084300"
    found += [f"/collections/terrain-dtm/coverage?f=geotiff&bbox={ground}&bbox-crs=EPSG:25832"]
    found += ["/collections/terrain-dtm/position?coords=POINT(650500 6084500)&crs=EPSG:25832"]
    found += ["/collections/weather/position?coords=POINT(650500 6084500)&crs=EPSG:25832"]
    found += ["/collections/sea-level/locations"]
    return [f"/ogc{path}" for path in found]


@dataclass
class Load:
    """Clients that ask until they are told to stop; what they were answered."""

    url: str
    paths: list[str]
    first: dict[str, str] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)

    def ask(self, client: httpx.Client, path: str) -> None:
        """Ask once and compare with the first answer."""
        try:
            answer = client.get(path)
        except httpx.HTTPError as error:
            with self.lock:
                self.broken.append(f"{path}: {error!r}")
            return
        digest = hashlib.sha256(MOMENTS.sub(b"", answer.content)).hexdigest()
        with self.lock:
            self.statuses[answer.status_code] += 1
            if answer.status_code in SHED:
                return
            if answer.status_code >= 400 or self.first.setdefault(path, digest) != digest:
                self.wrong.append(f"{answer.status_code} {path}")

    def run(self, seed: int) -> None:
        """Ask in a random order until told to stop."""
        chosen = random.Random(seed)
        with httpx.Client(base_url=self.url, timeout=120) as client:
            while not self.stop.is_set():
                self.ask(client, chosen.choice(self.paths))

    def drive(self, connections: int, seconds: float) -> None:
        """Let `connections` clients ask for a while."""
        self.stop.clear()
        threads = [threading.Thread(target=self.run, args=(seed,)) for seed in range(connections)]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        self.stop.set()
        for thread in threads:
            thread.join()


def resident_mb(pid: int) -> float:
    """Return the memory that a process holds."""
    text = Path(f"/proc/{pid}/status").read_text("utf-8")
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def test_mixed_load_kills_nothing_changes_nothing_and_overload_passes(deployment: Deployment) -> None:
    process = deployment.processes["serve"]
    with httpx.Client(base_url=deployment.url, timeout=120) as client:
        paths = addresses(client)
        load = Load(deployment.url, paths)
        for path in paths:
            load.ask(client, path)
    assert load.wrong == []
    load.drive(CONNECTIONS, SECONDS / 4)  # caches fill
    warm_mb = resident_mb(process.pid)
    load.drive(CONNECTIONS, SECONDS * 3 / 4)
    later_mb = resident_mb(process.pid)
    calm = Counter(load.statuses)
    print(f"\n{sum(calm.values())} answers {dict(calm)}, {warm_mb:.0f} MB then {later_mb:.0f} MB")
    assert process.poll() is None
    assert load.wrong == []
    assert load.broken == []
    assert set(calm) <= {200, 204}
    assert later_mb < warm_mb + GROWTH_MB

    load.drive(CONNECTIONS * 8, OVERLOAD_S)  # more than one client may have under way
    shed = sum(load.statuses[status] for status in SHED)
    print(f"overload: {dict(load.statuses - calm)}, {resident_mb(process.pid):.0f} MB")
    assert process.poll() is None
    assert load.wrong == []
    assert shed > 0
    with httpx.Client(base_url=deployment.url, timeout=120) as client:
        before = load.statuses[429] + load.statuses[503]
        for path in paths:
            load.ask(client, path)
    assert load.statuses[429] + load.statuses[503] == before
    assert load.wrong == []


def test_generated_requests_find_no_failure(deployment: Deployment, tmp_path: Path) -> None:
    names = {**PLACES, "featureId": ("x",)}
    for role in ("owner", "excavator"):
        headers = {"Authorization": f"Bearer {deployment.tokens[role]}"}
        document = description(f"{deployment.url}/ogc", names, headers)
        run = fuzz(document, tmp_path, examples=100, seconds=FUZZ_S // 2, headers=headers)
        assert run.returncode == 0, run.stdout[-8000:]
    assert deployment.processes["serve"].poll() is None
