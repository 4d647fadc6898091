"""Row-level access, tried as an attacker over HTTP: ids, bbox, filters, tiles, process, links, counts."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import mapbox_vector_tile
import pytest
from deployment import Deployment
from test_crash_safety import finished, request_document

from geoinfra.access import Role
from geoinfra.sample.loading import load_town
from geoinfra.storage import open_store, organisations
from services.demo import ensure_tokens

pytestmark = pytest.mark.services

UTILITY = ("utility-lines", "utility-components")
OTHER_EXCAVATOR = "10000041"


@pytest.fixture(scope="module", params=["embedded", pytest.param("postgres", marks=pytest.mark.postgres)])
def deployment(
    request: pytest.FixtureRequest, tiny_town: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """A running demo of the tiny town on each engine."""
    folder = tmp_path_factory.mktemp("attacked")
    url = None
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_server").new_database()
    store = open_store(folder, url)
    load_town(store, tiny_town)
    ensure_tokens(store, folder / "demo-tokens.json")
    store.close()
    running = Deployment(folder, database_url=url)
    running.start("serve")
    running.start("worker")
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


def client_with(deployment: Deployment, token: str | None) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=deployment.url, headers=headers, timeout=40)


@pytest.fixture(scope="module")
def filed(deployment: Deployment) -> dict[str, Any]:
    """An enquiry of the demo's excavator, with its package."""
    with client_with(deployment, deployment.tokens["excavator"]) as client:
        number = client.post("/api/enquiries", json=request_document()).json()["number"]
        return finished(client, number)


@pytest.fixture(scope="module")
def stranger_token(deployment: Deployment) -> str:
    """A second excavator, who has filed nothing."""
    store = open_store(deployment.data_dir, deployment.database_url)
    with store.begin() as tx:
        organisations.add_organisation(tx, OTHER_EXCAVATOR, "Fremmed Graver ApS")
        _, secret = organisations.create_token(
            tx, OTHER_EXCAVATOR, {Role.EXCAVATOR}, "stranger", timedelta(days=1)
        )
        tx.commit()
    store.close()
    return secret


@pytest.fixture(scope="module", params=["nobody", "stranger", "planner", "authority", "device", "admin"])
def attacker(
    request: pytest.FixtureRequest, deployment: Deployment, stranger_token: str, filed: dict[str, Any]
) -> Iterator[httpx.Client]:
    token = {"nobody": None, "stranger": stranger_token}.get(request.param, "demo")
    token = deployment.tokens[request.param] if token == "demo" else token
    with client_with(deployment, token) as client:
        yield client


@pytest.fixture(scope="module")
def known(deployment: Deployment, filed: dict[str, Any]) -> dict[str, Any]:
    """What the rightful excavator sees: an id, a bbox and an owner the attacker might have learned."""
    with client_with(deployment, deployment.tokens["excavator"]) as client:
        items = client.get("/ogc/collections/utility-lines/items", params={"limit": 10, "f": "json"}).json()
    feature = items["features"][0]
    assert items["numberMatched"] > 0
    ring = filed["area"]["coordinates"][0]
    xs, ys = [p[0] for p in ring], [p[1] for p in ring]
    return {
        "id": feature["id"],
        "owner": feature["properties"]["owner_cvr"],
        "bbox": f"{min(xs)},{min(ys)},{max(xs)},{max(ys)}",
        "centre": (sum(xs) / len(xs), sum(ys) / len(ys)),
    }


def nothing_in(answer: httpx.Response) -> None:
    """The answer betrays no row: refused, unknown, or an empty list with zero counted."""
    if answer.status_code in (400, 401, 403, 404):
        return
    assert answer.status_code in (200, 204), answer.text
    if answer.status_code == 200 and "json" in answer.headers["content-type"]:
        body = answer.json()
        assert body.get("features", []) == []
        assert body.get("numberMatched", 0) == 0
        assert not body.get("items")


@pytest.mark.parametrize("collection", UTILITY)
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"resulttype": "hits"},
        {"bbox": "KNOWN"},
        {"filter": "owner_cvr = 'KNOWN'", "filter-lang": "cql2-text"},
        {"filter": "1 = 1", "filter-lang": "cql2-text"},
        {"filter": "owner_cvr = '' OR 1=1", "filter-lang": "cql2-text"},
        {"filter": "gml LIKE '%'", "filter-lang": "cql2-text"},
        {"owner_cvr": "KNOWN"},
        {"enquiry": "2026-000001"},
        {"organisation": "10000009"},
        {"sortby": "gml"},
        {"properties": "gml"},
        {"offset": "0", "limit": "10000"},
    ],
)
def test_items_betray_nothing(
    attacker: httpx.Client, known: dict[str, Any], collection: str, parameters: dict[str, str]
) -> None:
    filled = {
        name: value.replace("KNOWN", known["bbox"] if name == "bbox" else known["owner"])
        for name, value in parameters.items()
    }
    nothing_in(attacker.get(f"/ogc/collections/{collection}/items", params={"f": "json", **filled}))


@pytest.mark.parametrize("collection", UTILITY)
def test_an_id_that_exists_answers_like_one_that_does_not(
    attacker: httpx.Client, known: dict[str, Any], collection: str
) -> None:
    real = attacker.get(f"/ogc/collections/{collection}/items/{known['id']}", params={"f": "json"})
    false = attacker.get(f"/ogc/collections/{collection}/items/99999999.nothing", params={"f": "json"})
    assert real.status_code == false.status_code
    assert real.status_code in (401, 403, 404)
    assert real.text.replace(known["id"], "") == false.text.replace("99999999.nothing", "")


@pytest.mark.parametrize("path", ["", "/queryables", "/schema", "/sortables", "/tiles"])
@pytest.mark.parametrize("collection", UTILITY)
def test_descriptions_betray_no_extent_and_no_count(
    attacker: httpx.Client, known: dict[str, Any], collection: str, path: str
) -> None:
    answer = attacker.get(f"/ogc/collections/{collection}{path}", params={"f": "json"})
    if answer.status_code != 200:
        return
    text = answer.text
    assert known["owner"] not in text
    body = answer.json()
    assert body.get("itemCount", 0) == 0  # of what the principal may see himself
    for box in body.get("extent", {}).get("spatial", {}).get("bbox", []):
        assert box[2] - box[0] > 1  # the country at large, never the place of anybody's lines


@pytest.mark.parametrize("collection", UTILITY)
def test_tiles_hold_no_line(attacker: httpx.Client, known: dict[str, Any], collection: str) -> None:
    lon, lat = known["centre"]
    z = 16
    x = int((lon + 180) / 360 * 2**z)
    y = int((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * 2**z)
    answer = attacker.get(f"/tiles/{collection}/{z}/{x}/{y}.mvt")
    if answer.status_code == 200 and answer.content:
        layers = mapbox_vector_tile.decode(answer.content)
        assert all(not layer["features"] for layer in layers.values())
    else:
        assert answer.status_code in (200, 204, 401, 403, 404)


def test_the_enquiry_and_its_package_are_not_there(attacker: httpx.Client, filed: dict[str, Any]) -> None:
    for method, path in (
        ("GET", f"/api/enquiries/{filed['number']}"),
        ("POST", f"/api/enquiries/{filed['number']}/package-link"),
    ):
        answer = attacker.request(method, path)
        if method == "GET" and answer.status_code == 200:  # the administrator sees states, never lines
            assert "href" not in json.dumps(answer.json().get("package", {}))
            continue
        assert answer.status_code in (401, 403, 404)


def test_lists_are_empty_or_refused(attacker: httpx.Client) -> None:
    answer = attacker.get("/api/enquiries")
    if answer.status_code == 200:
        for item in answer.json()["items"]:
            assert "features" not in item
        return
    assert answer.status_code in (401, 403)


def test_the_process_cannot_be_used_to_look(attacker: httpx.Client, filed: dict[str, Any]) -> None:
    execution = attacker.post("/ogc/processes/dig-enquiry/execution", json={"inputs": request_document()})
    if execution.status_code in (200, 201):  # the stranger may file his own
        assert execution.json().get("number") != filed["number"]
    else:
        assert execution.status_code in (400, 401, 403)
    jobs = attacker.get("/ogc/jobs", params={"f": "json"})
    assert filed["number"] not in jobs.text


@pytest.mark.parametrize("change", ["flip", "cut", "extend", "other-blob"])
def test_a_forged_download_link_opens_nothing(
    deployment: Deployment, filed: dict[str, Any], change: str
) -> None:
    with client_with(deployment, deployment.tokens["excavator"]) as client:
        href = client.post(f"/api/enquiries/{filed['number']}/package-link").json()["href"]
    body, _, signature = href.rpartition(".")
    forged = {
        "flip": f"{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}",
        "cut": f"{body}.",
        "extend": f"{body}A.{signature}",
        "other-blob": f"/download/WyJwYWNrYWdlcy94LnppcCIsIngiLCJ4Iiw5OTk5OTk5OTk5XQ.{signature}",
    }[change]
    with client_with(deployment, None) as nobody:
        assert nobody.get(forged).status_code == 404
        assert nobody.get(href).status_code == 200


@pytest.mark.parametrize("header", ["Bearer gi_wrong", "Bearer", "Basic YTpi", "Bearer gi_' OR 1=1 --"])
def test_a_wrong_token_is_never_taken_for_a_visitor(deployment: Deployment, header: str) -> None:
    with httpx.Client(base_url=deployment.url, headers={"Authorization": header}) as client:
        for path in ("/api/config", "/ogc/collections/buildings/items?f=json", "/api/enquiries"):
            answer = client.get(path)
            assert answer.status_code == 401
            assert answer.headers["content-type"] == "application/problem+json"


def test_a_revoked_token_ends_at_once(deployment: Deployment) -> None:
    store = open_store(deployment.data_dir, deployment.database_url)
    with store.begin() as tx:
        token_id, secret = organisations.create_token(
            tx, "10000009", {Role.EXCAVATOR}, "short", timedelta(hours=1)
        )
        tx.commit()
    with client_with(deployment, secret) as client:
        assert client.get("/api/enquiries").status_code == 200
        with store.begin() as tx:
            organisations.revoke_token(tx, token_id)
            tx.commit()
        assert client.get("/api/enquiries").status_code == 401
    store.close()


def test_an_owner_sees_his_own_rows_only(deployment: Deployment) -> None:
    with client_with(deployment, deployment.tokens["owner"]) as client:
        own = client.get("/api/config").json()["organisation"]["cvr"]
        items = client.get("/ogc/collections/utility-lines/items", params={"limit": 1000, "f": "json"}).json()
    assert items["features"]
    assert {f["properties"]["owner_cvr"] for f in items["features"]} == {own}


def test_the_package_holds_only_what_touches_the_area(deployment: Deployment, filed: dict[str, Any]) -> None:
    import shapely

    with client_with(deployment, deployment.tokens["excavator"]) as client:
        href = client.post(f"/api/enquiries/{filed['number']}/package-link").json()["href"]
        content = client.get(href).content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        features = json.loads(archive.read("ledninger.geojson"))["features"]
    area = shapely.from_geojson(json.dumps(filed["area"])).buffer(1e-6)
    shapes = shapely.from_geojson([json.dumps(f["geometry"]) for f in features if f["geometry"]])
    assert len(shapes) > 0
    assert bool(shapely.intersects(shapes, area).all())


def test_a_demo_session_needs_its_csrf_header(deployment: Deployment) -> None:
    with httpx.Client(base_url=deployment.url) as client:
        assert client.post("/demo/act-as", json={"role": "excavator"}).status_code == 204
        assert client.post("/api/enquiries", json=request_document()).status_code == 403
        csrf = client.cookies["geoinfra_csrf"]
        client.headers["X-CSRF-Token"] = csrf
        assert client.post("/api/enquiries", json=request_document()).status_code == 201


def test_a_foreign_page_cannot_choose_the_demo_role(deployment: Deployment) -> None:
    with httpx.Client(base_url=deployment.url, headers={"Origin": "http://evil.example"}) as client:
        assert client.post("/demo/act-as", json={"role": "admin"}).status_code == 400
