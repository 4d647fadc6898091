"""Two enquiries a second for five minutes: none lost, bounded delay, flat memory."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import shapely
from deployment import Deployment

from geoinfra import sample

PER_SECOND = 2
SECONDS = int(os.environ.get("GEOINFRA_SOAK_S", "300"))
MOST_S = 5.0


def request_body() -> dict[str, Any]:
    today = datetime.now(UTC).date()
    return {
        "area": json.loads(shapely.to_geojson(sample.enquiry_area("tiny"))),
        "crs": "EPSG:25832",
        "period": {"from": today.isoformat(), "to": (today + timedelta(days=10)).isoformat()},
        "methods": ["6"],
        "contact": {"name": "Karen Graver", "email": "karen@example.dk"},
    }


def resident_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return float(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def whole_way(client: httpx.Client, body: dict[str, Any], times: list[float], failures: list[str]) -> None:
    started = time.perf_counter()
    try:
        number = client.post("/api/enquiries", json=body).raise_for_status().json()["number"]
        found = client.get(f"/api/enquiries/{number}", params={"wait_s": 30}).raise_for_status().json()
        assert found["package"]["ready"], f"{number} not ready after 30 s"
        link = client.post(f"/api/enquiries/{number}/package-link").raise_for_status().json()
        content = client.get(link["href"]).raise_for_status().content
        assert len(content) == link["size_bytes"]
    except (httpx.HTTPError, AssertionError) as error:
        failures.append(str(error))
    times.append(time.perf_counter() - started)


@pytest.mark.soak
@pytest.mark.timeout(SECONDS + 600)
def test_two_enquiries_a_second_are_all_answered_in_time(demo_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(demo_data, folder)
    running = Deployment(folder)
    running.start("serve")
    running.start("worker")
    times: list[float] = []
    failures: list[str] = []
    memory: list[dict[str, float]] = []
    try:
        running.wait_ready()
        headers = {"Authorization": f"Bearer {running.tokens['excavator']}"}
        limits = httpx.Limits(max_connections=64)
        with httpx.Client(base_url=running.url, headers=headers, timeout=60, limits=limits) as client:
            started, waiting = time.perf_counter(), []
            for turn in range(PER_SECOND * SECONDS):
                time.sleep(max(0.0, started + turn / PER_SECOND - time.perf_counter()))
                thread = threading.Thread(target=whole_way, args=(client, request_body(), times, failures))
                thread.start()
                waiting.append(thread)
                if turn % (PER_SECOND * 10) == 0:
                    memory.append({name: resident_mb(p.pid) for name, p in running.processes.items()})
            for thread in waiting:
                thread.join()
    finally:
        running.stop()
    ordered = sorted(times)
    p95 = ordered[int(len(ordered) * 0.95)]
    print(f"{len(times)} enquiries, median {ordered[len(times) // 2]:.2f} s, p95 {p95:.2f} s")
    print(f"resident MB first and last: {memory[0]} {memory[-1]}")
    assert failures == []
    assert p95 < MOST_S
    settled = memory[len(memory) // 3]
    assert all(memory[-1][name] < settled[name] * 1.25 + 20 for name in settled)
