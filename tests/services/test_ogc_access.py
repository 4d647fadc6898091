"""Who may see what through the OGC and tile faces: nobody learns of rows, counts or extents not his own."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import mapbox_vector_tile
import numpy as np
import orjson
import pyproj
import pytest
import shapely
import sqlalchemy as sa
from small_store import (
    EAST,
    GRANTED_LINES,
    NORTH,
    OWNER_A,
    OWNER_B,
    WHO,
    as_who,
    small_service,
    utility_shape,
)

from geoinfra.storage import Store, schema
from geoinfra.storage.records import timestamp
from geoinfra.tables import FeatureQuery

pytestmark = pytest.mark.services

LINES = "/ogc/collections/utility-lines/items"
COMPONENTS = "/ogc/collections/utility-components/items"
PROFESSIONALS = ("owner-a", "owner-b", "digger", "other-digger")
OTHERS = ("anonymous", "admin", "planner")
GRANTED = [f"{OWNER_A}.el.{row}" for row in range(GRANTED_LINES)]
VISIBLE = {
    "owner-a": [f"{OWNER_A}.el.{row}" for row in range(30) if row % 10 != 9],
    "owner-b": [f"{OWNER_B}.el.{row}" for row in range(20) if row % 10 != 9],
    "digger": GRANTED,
    "other-digger": [],
}
WORLD = "-180,-90,180,90"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, str]]:
    with small_service(tmp_path_factory.mktemp("store")) as made:
        yield made


@pytest.fixture(scope="module")
def client(service: tuple[Store, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service[1], timeout=60) as made:
        yield made


def found(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [feature["id"] for feature in answer.json()["features"]]


@pytest.mark.parametrize("who", PROFESSIONALS)
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"bbox": WORLD},
        {"filter": "kind = 'line' OR kind = 'component' OR kind IS NULL"},
        {"filter": f"owner_cvr IN ('{OWNER_A}', '{OWNER_B}')"},
        {"filter": "NOT (supply = 'gas')"},
        {"sortby": "-owner_cvr"},
        {"kind": "line"},
    ],
)
def test_each_sees_his_own_lines_whatever_he_asks(client: httpx.Client, who: str, parameters: dict) -> None:
    answer = client.get(LINES, params={**parameters, "limit": "1000"}, headers=as_who(who))
    assert sorted(found(answer)) == sorted(VISIBLE[who])
    assert answer.json()["numberMatched"] == len(VISIBLE[who])
    hits = client.get(LINES, params={**parameters, "resulttype": "hits"}, headers=as_who(who)).json()
    assert (hits["numberMatched"], hits["features"]) == (len(VISIBLE[who]), [])
    assert answer.headers["cache-control"] == "private, no-store"
    assert "etag" not in answer.headers


@pytest.mark.parametrize("who", PROFESSIONALS)
def test_an_item_that_may_not_be_seen_answers_as_one_that_does_not_exist(
    client: httpx.Client, who: str
) -> None:
    missing = client.get(f"{LINES}/{OWNER_A}.el.999", headers=as_who(who))
    every = [f"{cvr}.el.{row}" for cvr, count in ((OWNER_A, 30), (OWNER_B, 20)) for row in range(count)]
    for identifier in every:
        answer = client.get(f"{LINES}/{identifier}", headers=as_who(who))
        if identifier in VISIBLE[who]:
            assert answer.json()["id"] == identifier
        else:
            assert (answer.status_code, answer.content) == (404, missing.content)


@pytest.mark.parametrize("who", OTHERS)
def test_others_cannot_tell_a_granted_collection_from_none(client: httpx.Client, who: str) -> None:
    for suffix in ("", "/items", f"/items/{GRANTED[0]}", "/queryables", "/schema", "/items?resulttype=hits",
                   f"/items?bbox={WORLD}", "/items?filter=kind='line'", "/queryables?f=html"):  # fmt: skip
        hidden = client.get(f"/ogc/collections/utility-lines{suffix}", headers=as_who(who))
        nothing = client.get(f"/ogc/collections/no-such-thing{suffix}", headers=as_who(who))
        assert (hidden.status_code, hidden.content) == (404, nothing.content)
    hidden = client.get("/tiles/utility-lines/15/17344/10390.mvt", headers=as_who(who))
    nothing = client.get("/tiles/no-such-thing/15/17344/10390.mvt", headers=as_who(who))
    assert (hidden.status_code, hidden.content) == (404, nothing.content)
    for document in (
        "/ogc",
        "/ogc/collections",
        "/ogc/openapi",
        "/ogc/conformance",
        "/ogc/collections?f=html",
    ):
        text = client.get(document, headers=as_who(who)).text
        assert "utility" not in text.replace("check-utility-delivery", "")
        assert "voltage_kv" not in text


@pytest.mark.parametrize("who", PROFESSIONALS)
def test_the_extent_told_is_that_of_what_can_be_seen(client: httpx.Client, who: str) -> None:
    collection = client.get("/ogc/collections/utility-lines", headers=as_who(who)).json()
    listed = client.get("/ogc/collections", headers=as_who(who)).json()["collections"]
    assert {entry["id"]: entry["extent"] for entry in listed}["utility-lines"] == collection["extent"]
    (bbox,) = collection["extent"]["spatial"]["bbox"]
    rows = {"owner-a": 30, "owner-b": 20, "digger": GRANTED_LINES, "other-digger": 0}[who]
    if rows == 0:
        assert bbox == [7.9, 54.4, 15.4, 57.9]  # all of Denmark: says nothing
        return
    bounds = shapely.total_bounds(np.array([utility_shape(row) for row in range(rows)]))
    expected = pyproj.Transformer.from_crs(25832, "OGC:CRS84").transform_bounds(*bounds)
    assert np.allclose(bbox, expected, atol=2e-6)


@pytest.mark.parametrize("who", PROFESSIONALS)
def test_no_document_about_the_collection_tells_values(client: httpx.Client, who: str) -> None:
    for name in ("queryables", "schema"):
        document = client.get(f"/ogc/collections/utility-lines/{name}", headers=as_who(who)).json()
        assert not any("enum" in member for member in document["properties"].values())
    document = client.get("/ogc/openapi", headers=as_who(who))
    assert document.headers["cache-control"] == "private, no-store"
    assert "electricity" not in document.text


def test_one_collection_does_not_show_the_rows_of_another(client: httpx.Client) -> None:
    assert client.get(f"{LINES}/{OWNER_A}.el.9", headers=as_who("owner-a")).status_code == 404
    assert found(client.get(f"{COMPONENTS}?kind=line", headers=as_who("owner-a"))) == []
    expected = [f"{OWNER_A}.el.{row}" for row in (9, 19, 29)]
    assert found(client.get(COMPONENTS, headers=as_who("owner-a"))) == expected


def test_a_cursor_that_names_somebody_elses_row_opens_nothing(client: httpx.Client) -> None:
    mark = base64.urlsafe_b64encode(orjson.dumps([OWNER_B, f"{OWNER_B}.el.3"])).decode().rstrip("=")
    for who in ("digger", "owner-a", "other-digger"):
        answer = client.get(LINES, params={"cursor": mark, "limit": "5"}, headers=as_who(who))
        missing = base64.urlsafe_b64encode(orjson.dumps([OWNER_B, f"{OWNER_B}.el.777"])).decode().rstrip("=")
        nothing = client.get(LINES, params={"cursor": missing, "limit": "5"}, headers=as_who(who))
        assert (answer.status_code, answer.content) == (nothing.status_code, nothing.content)


def test_internal_columns_never_leave(client: httpx.Client) -> None:
    assert "<gml/>" not in client.get(LINES, headers=as_who("owner-a")).text
    for query in ("properties=gml", "gml=x", "sortby=gml", "filter=gml='x'"):
        assert client.get(f"{LINES}?{query}", headers=as_who("owner-a")).status_code == 400
    properties = client.get(f"{LINES}/{GRANTED[0]}", headers=as_who("digger")).json()["properties"]
    assert properties["properties"] == {"driftsstatus": "i drift", "spaending": {"value": 10, "uom": "kV"}}


@pytest.mark.parametrize(
    "path", ["/ogc", "/ogc/collections/buildings/items", "/tiles/buildings/15/17344/10390.mvt"]
)
def test_a_bad_token_is_refused_and_never_anonymous(client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers={"Authorization": "Bearer wrong"})
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")


def _tile(z: int) -> tuple[int, int, int]:
    x, y = pyproj.Transformer.from_crs(25832, 3857).transform(EAST + 40, NORTH + 50)
    side = 2 * 20037508.342789244 / 2**z
    return z, int((x + 20037508.342789244) // side), int((20037508.342789244 - y) // side)


@pytest.mark.parametrize("who", PROFESSIONALS)
def test_tiles_hold_what_their_reader_may_see(client: httpx.Client, who: str) -> None:
    z, x, y = _tile(15)
    seen: set[str] = set()
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):
            answer = client.get(f"/tiles/utility-lines/{z}/{x + dx}/{y + dy}.mvt", headers=as_who(who))
            assert answer.headers["cache-control"] == "private, no-store"
            assert answer.status_code == 200 if answer.content else 204
            if answer.content:
                features = mapbox_vector_tile.decode(answer.content)["utility-lines"]["features"]
                seen |= {feature["properties"]["feature_id"] for feature in features}
                assert all(
                    "properties" not in f["properties"] and "gml" not in f["properties"] for f in features
                )
    assert sorted(seen) == sorted(VISIBLE[who])


def test_a_private_tile_is_not_kept_for_the_next_reader(client: httpx.Client) -> None:
    path = "/tiles/utility-lines/{}/{}/{}.mvt".format(*_tile(15))
    own = client.get(path, headers=as_who("owner-a")).content
    assert client.get(path, headers=as_who("digger")).content != own
    assert client.get(path, headers=as_who("other-digger")).status_code == 204
    assert client.get(path).status_code == 404


def test_reads_of_protected_rows_are_audited_and_others_are_not(
    service: tuple[Store, str], client: httpx.Client
) -> None:
    def entries() -> list[tuple[str, str, str]]:
        with service[0].read() as connection:
            columns = schema.audit.c
            rows = connection.execute(
                sa.select(columns.principal, columns.action, columns.subject).order_by(columns.entry)
            )
            return [tuple(row) for row in rows]

    before = len(entries())
    client.get(LINES, headers=as_who("digger"))
    client.get("/tiles/utility-lines/{}/{}/{}.mvt".format(*_tile(15)), headers=as_who("owner-b"))
    client.get("/ogc/collections/buildings/items", headers=as_who("digger"))
    assert entries()[before:] == [
        ("token:d", "features.read", "utility-lines"),
        ("token:b", "tile.read", "utility-lines"),
    ]
    assert service[0].audit.verify().ok


def test_when_the_grant_ends_the_rows_are_gone(service: tuple[Store, str], client: httpx.Client) -> None:
    assert len(found(client.get(LINES, headers=as_who("digger")))) == GRANTED_LINES
    table = schema.grants
    with service[0].begin() as tx:
        kept = tx.connection.scalar(sa.select(table.c.valid_to))
        tx.execute(sa.update(table).values(valid_to=timestamp(datetime.now(UTC) - timedelta(seconds=1))))
        tx.commit()
    try:
        assert found(client.get(LINES, headers=as_who("digger"))) == []
        assert client.get(f"{LINES}/{GRANTED[0]}", headers=as_who("digger")).status_code == 404
        path = "/tiles/utility-lines/{}/{}/{}.mvt".format(*_tile(15))
        assert client.get(path, headers=as_who("digger")).status_code == 204
    finally:
        with service[0].begin() as tx:
            tx.execute(sa.update(table).values(valid_to=kept))
            tx.commit()


def test_the_store_agrees_with_the_face(service: tuple[Store, str]) -> None:
    for who in PROFESSIONALS:
        view = service[0].view(WHO[who], "utility-features")
        rows = [i for batch in view.read(FeatureQuery(equal={"kind": ["line"]})) for i in batch.feature_ids]
        assert sorted(rows) == sorted(VISIBLE[who])


def _enquiry() -> dict:
    square = shapely.box(EAST + 100, NORTH + 10, EAST + 140, NORTH + 40)
    today = datetime.now(UTC).date()
    return {
        "area": json.loads(shapely.to_geojson(square)),
        "crs": "EPSG:25832",
        "period": {"from": str(today + timedelta(days=7)), "to": str(today + timedelta(days=20))},
        "methods": ["6"],
        "contact": {"name": "Karen Graver", "email": "karen@example.dk"},
    }


EXECUTE = "/ogc/processes/dig-enquiry/execution"
ASYNC = {"Prefer": "respond-async"}


def test_an_asynchronous_enquiry_is_a_job_of_its_filer_only(client: httpx.Client) -> None:
    answer = client.post(EXECUTE, json={"inputs": _enquiry()}, headers={**as_who("digger"), **ASYNC})
    assert answer.status_code == 201, answer.text
    assert answer.headers["preference-applied"] == "respond-async"
    assert answer.headers["cache-control"] == "private, no-store"
    job = answer.headers["location"]
    status = answer.json()
    assert status["status"] == "accepted"
    assert job.endswith(status["jobID"])
    shown = client.get(job, headers=as_who("digger")).json()
    assert (shown["processID"], shown["status"]) == ("dig-enquiry", "accepted")
    listed = client.get("/ogc/jobs", headers=as_who("digger")).json()["jobs"]
    assert status["jobID"] in [entry["jobID"] for entry in listed]
    pending = client.get(f"{job}/results", headers=as_who("digger"))
    assert (pending.status_code, pending.headers["content-type"]) == (404, "application/problem+json")
    kind = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"
    assert pending.json()["type"] == f"{kind}/result-not-ready"
    assert client.get("/ogc/processes/nothing").json()["type"] == f"{kind}/no-such-process"
    assert client.get(job, headers=as_who("owner-a")).json()["type"] == f"{kind}/no-such-job"
    for who in ("owner-a", "other-digger", "admin"):
        assert client.get("/ogc/jobs", headers=as_who(who)).json()["jobs"] == []
        for path in (job, f"{job}/results"):
            assert client.get(path, headers=as_who(who)).status_code == 404
    assert client.get("/ogc/jobs").status_code == 401
    for path in (job, f"{job}/results"):
        assert client.get(path).json()["type"] == f"{kind}/no-such-job"


@pytest.mark.parametrize(
    ("who", "status"), [("anonymous", 401), ("owner-a", 403), ("planner", 403), ("admin", 403)]
)
def test_only_excavators_file_enquiries(client: httpx.Client, who: str, status: int) -> None:
    answer = client.post(EXECUTE, json={"inputs": _enquiry()}, headers={**as_who(who), **ASYNC})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b'{"inputs": []}', b"{", b'{"inputs": {}}',
     b'{"inputs": {"area": {"type": "Point"}}}', b'{"inputs": {"area": NaN}}'],
)  # fmt: skip
def test_an_enquiry_that_cannot_be_read_is_refused(client: httpx.Client, body: bytes) -> None:
    headers = {**as_who("digger"), **ASYNC, "Content-Type": "application/json"}
    answer = client.post(EXECUTE, content=body, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


def test_a_form_cannot_file_an_enquiry(client: httpx.Client) -> None:
    headers = {**as_who("digger"), "Content-Type": "text/plain"}
    content = orjson.dumps({"inputs": _enquiry()})
    assert client.post(EXECUTE, content=content, headers=headers).status_code == 400


def test_no_address_that_a_client_names_is_called(client: httpx.Client) -> None:
    body = {"inputs": _enquiry(), "subscriber": {"successUri": "http://127.0.0.1:9/none"}}
    answer = client.post(EXECUTE, json=body, headers={**as_who("digger"), **ASYNC})
    assert answer.status_code == 400
    assert "Callbacks are not offered" in answer.text
