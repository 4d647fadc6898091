"""The process ``dig-enquiry`` on a real deployment: a web process and a worker."""

from __future__ import annotations

import base64
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


def test_the_package_comes_by_reference_to_its_filer_only(excavator: httpx.Client, deployment: Any) -> None:
    body = {"inputs": _request(excavator), "outputs": {"package": {"transmissionMode": "reference"}}}
    document = excavator.post(EXECUTE, json={**body, "response": "document"}).json()["package"]
    assert document["type"] == "application/zip"
    assert excavator.get(document["href"]).content.startswith(b"PK")
    answer = excavator.post(EXECUTE, json=body)
    assert (answer.status_code, answer.content) == (204, b"")
    assert excavator.get(answer.links["package"]["url"]).content.startswith(b"PK")
    assert httpx.get(document["href"]).status_code == 404
    owner = {"Authorization": f"Bearer {deployment.tokens['owner']}"}
    assert httpx.get(document["href"], headers=owner).status_code == 404


def test_a_preview_files_nothing(excavator: httpx.Client) -> None:
    def filed() -> int:
        return len(excavator.get("/api/enquiries", params={"limit": 100}).json()["items"])

    before = filed()
    inputs = {name: value for name, value in _request(excavator).items() if name in ("area", "crs")}
    answer = excavator.post("/ogc/processes/preview-enquiry/execution", json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    told = excavator.post("/api/enquiries/preview", json=inputs).json()
    assert {name: answer.json()[name] for name in ("area_m2", "parts", "fee_dkk", "fileable")} == {
        name: told[name] for name in ("area_m2", "parts", "fee_dkk", "fileable")
    }
    assert filed() == before


def test_a_delivery_is_checked_as_by_the_other_face(excavator: httpx.Client, deployment: Any) -> None:
    for text in ("<nothing/>", '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'):
        value = {"value": base64.b64encode(text.encode()).decode(), "encoding": "base64"}
        for given in (text, value):
            body = {"inputs": {"delivery": given}}
            answer = excavator.post("/ogc/processes/check-utility-delivery/execution", json=body)
            assert answer.status_code == 200, answer.text
            told = excavator.post("/api/utilities/check", content=text.encode()).json()
            assert answer.json() == {name: told[name] for name in answer.json()}
            assert answer.json()["errors"] >= 1
    folder = deployment.data_dir / "blobs" / "process-inputs"
    assert not folder.exists() or not list(folder.iterdir())
    broken = {"inputs": {"delivery": {"value": "no base64!", "encoding": "base64"}}}
    assert excavator.post("/ogc/processes/check-utility-delivery/execution", json=broken).status_code == 400
