"""Web or worker is killed at random points of the flow; all is consistent and finished after a restart."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import shapely
from deployment import Deployment

from geoinfra import sample
from geoinfra.storage import open_store

KILLS = 30


@pytest.fixture
def fragile(demo_data: Path, tmp_path: Path) -> Iterator[Deployment]:
    folder = tmp_path / "data"
    shutil.copytree(demo_data, folder)
    running = Deployment(folder)
    running.start("serve")
    running.start("worker")
    running.wait_ready()
    yield running
    running.stop()


def request_document() -> dict[str, Any]:
    today = datetime.now(UTC).date()
    area = shapely.to_geojson(sample.enquiry_area("tiny"))
    return {
        "area": json.loads(area),
        "crs": "EPSG:25832",
        "period": {"from": today.isoformat(), "to": (today + timedelta(days=10)).isoformat()},
        "methods": ["6"],
        "contact": {"name": "Karen Graver", "email": "karen@example.dk"},
    }


def file_once(client: httpx.Client, key: str) -> dict[str, Any] | None:
    """File with an idempotency key; ``None`` when the connection broke."""
    try:
        answer = client.post("/api/enquiries", json=request_document(), headers={"Idempotency-Key": key})
    except httpx.TransportError:
        return None
    assert answer.status_code == 201, answer.text
    filed: dict[str, Any] = answer.json()
    return filed


def kill_during_filing(
    running: Deployment, client: httpx.Client, key: str, victim: str, after_s: float
) -> None:
    filing = threading.Thread(target=file_once, args=(client, key))
    filing.start()
    time.sleep(after_s)
    running.kill(victim)
    filing.join()
    running.start(victim)
    running.wait_ready()


def finished(client: httpx.Client, number: str) -> dict[str, Any]:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        found = client.get(f"/api/enquiries/{number}", params={"wait_s": 10}).json()
        if found["package"]["ready"]:
            return dict(found)
    raise AssertionError(f"no package of {number} after 90 s")


def members_are_whole(content: bytes) -> int:
    """Check every hash of the manifest and return the number of features."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        manifest = json.loads(archive.read("manifest.json"))
        for file in manifest["files"]:
            assert hashlib.sha256(archive.read(file["name"])).hexdigest() == file["sha256"]
    return int(manifest["features"])


@pytest.mark.services
@pytest.mark.timeout(900)
def test_thirty_kills_lose_and_double_nothing(fragile: Deployment) -> None:
    chance = random.Random(20261124)
    headers = {"Authorization": f"Bearer {fragile.tokens['excavator']}"}
    numbers: dict[str, str] = {}
    with httpx.Client(base_url=fragile.url, headers=headers, timeout=40) as client:
        for round_number in range(KILLS):
            key, victim = f"crash-{round_number}", chance.choice(["serve", "worker"])
            kill_during_filing(fragile, client, key, victim, chance.uniform(0.0, 0.4))
            filed = file_once(client, key)
            assert filed is not None
            numbers[key] = filed["number"]
        features = set()
        for number in numbers.values():
            found = finished(client, number)
            link = client.post(f"/api/enquiries/{number}/package-link").json()
            content = client.get(link["href"]).content
            assert hashlib.sha256(content).hexdigest() == found["package"]["sha256"] == link["sha256"]
            features.add(members_are_whole(content))
        listed = client.get("/api/enquiries", params={"limit": 500}).json()["items"]
    assert len(features) == 1
    assert features.pop() > 0
    assert sorted(item["number"] for item in listed) == sorted(numbers.values())
    year = datetime.now(UTC).year
    assert sorted(numbers.values()) == [f"{year}-{i:06d}" for i in range(1, KILLS + 1)]
    fragile.stop()
    store = open_store(fragile.data_dir)
    try:
        assert store.audit.verify().ok
        assert store.sweep() == []
        leftovers = [p.name for p in fragile.data_dir.rglob("*.partial")]
        assert leftovers == []
    finally:
        store.close()
