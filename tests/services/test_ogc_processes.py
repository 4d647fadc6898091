"""The process ``dig-enquiry`` on a real deployment: a web process and a worker."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import shapely

pytestmark = pytest.mark.services

EXECUTE = "/ogc/processes/dig-enquiry/execution"


@pytest.fixture
def excavator(deployment: Any) -> Any:
    headers = {"Authorization": f"Bearer {deployment.tokens['excavator']}"}
    with httpx.Client(base_url=deployment.url, headers=headers, timeout=60) as client:
        yield client


def _request(client: httpx.Client) -> dict[str, Any]:
    """Ask for a square of some 60 m beside the first street of the town."""
    street = client.get("/ogc/collections/streets/items", params={
        "limit": 1, "crs": "http://www.opengis.net/def/crs/EPSG/0/25832",
    }).json()["features"][0]  # fmt: skip
    area = shapely.from_geojson(json.dumps(street["geometry"])).centroid.buffer(30, cap_style="square")
    today = datetime.now(UTC).date()
    return {
        "area": json.loads(shapely.to_geojson(area)),
        "crs": "EPSG:25832",
        "period": {"from": str(today + timedelta(days=7)), "to": str(today + timedelta(days=20))},
        "methods": ["6"],
        "contact": {"name": "Karen Graver", "email": "karen@example.dk"},
    }


def test_a_synchronous_enquiry_answers_with_its_package(excavator: httpx.Client) -> None:
    answer = excavator.post(EXECUTE, json={"inputs": _request(excavator)})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    enquiry = answer.json()
    assert enquiry["package"]["ready"]
    assert excavator.get(f"/api/enquiries/{enquiry['number']}").json()["number"] == enquiry["number"]
    (link,) = [entry for entry in enquiry["links"] if entry["rel"] == "package-link"]
    href = excavator.request(link["method"], link["href"]).json()["href"]
    assert excavator.get(href).content.startswith(b"PK")


def test_an_asynchronous_enquiry_ends_as_a_successful_job(excavator: httpx.Client) -> None:
    body = {"inputs": _request(excavator)}
    accepted = excavator.post(EXECUTE, json=body, headers={"Prefer": "respond-async"})
    assert accepted.status_code == 201, accepted.text
    job = httpx.URL(accepted.headers["location"]).path
    deadline = time.monotonic() + 60
    while (status := excavator.get(job).json())["status"] in ("accepted", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (status["status"], status["progress"]) == ("successful", 100)
    result = excavator.get(f"{job}/results")
    assert result.headers["content-type"] == "application/json"
    assert result.json()["package"]["ready"]


def test_the_granted_lines_are_those_of_the_package(excavator: httpx.Client) -> None:
    enquiry = excavator.post(EXECUTE, json={"inputs": _request(excavator)}).json()
    features = sum(owner["features"] or 0 for owner in enquiry["owners"])
    assert features > 0
    hits = excavator.get("/ogc/collections/utility-lines/items", params={"resulttype": "hits"}).json()
    assert hits["numberMatched"] > 0
