"""Filing over HTTP: kinds, preview, parts that are one, sending again, and who is late."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import shapely
from answer_world import AREA, DIGGER, OWNERS, E, N, move_filing, register, svar
from test_flow_enquiry import document, work_off
from test_ler_interface import serving

from geoinfra.access import Access, Role
from geoinfra.flows.deliveries import deliver
from geoinfra.storage import Store, open_store, organisations
from geoinfra.storage.organisations import InterestArea
from geoinfra.utilities.areas import joined

pytestmark = pytest.mark.services

WAITED, HOSTED, DIRECT, BESIDE = OWNERS
OTHER = "10000041"
SINCE = datetime(2000, 1, 1, tzinfo=UTC)
LONG = shapely.box(E, N, E + 3_000, N + 100)  # 300,000 m2


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One owner who is waited for, one hosted, one who hands over directly, one beside the area."""
    opened = open_store(tmp_path_factory.mktemp("filing"))
    register(opened, WAITED, HOSTED, DIRECT, area=LONG)
    with opened.begin() as tx:
        organisations.set_dispensation(tx, DIRECT, SINCE)
        organisations.add_organisation(tx, BESIDE, "Nabo", {"phone": "71717171"})
        beside = InterestArea(9, ("water",), shapely.box(E, N + 160, E + 100, N + 300), SINCE)
        organisations.set_interest_areas(tx, BESIDE, [beside])
        tx.commit()
    deliver(opened, Access("test", HOSTED, frozenset({Role.OWNER})), svar(HOSTED), HOSTED)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def clients(store: Store) -> Iterator[dict[str, httpx.Client]]:
    people = {
        "digger": (DIGGER, Role.EXCAVATOR),
        "other": (OTHER, Role.EXCAVATOR),
        "waited": (WAITED, Role.OWNER),
    }
    tokens = {}
    with store.begin() as tx:
        for name, (cvr, role) in people.items():
            if organisations.get_organisation(tx.connection, cvr) is None:
                organisations.add_organisation(tx, cvr, f"Firma {name}")
            tokens[name] = organisations.create_token(tx, cvr, [role], name, timedelta(hours=2))[1]
        tx.commit()
    with serving(store) as (url, _):
        made = {
            name: httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
            for name, token in tokens.items()
        }
        made["nobody"] = httpx.Client(base_url=url, timeout=60)
        yield made
        for client in made.values():
            client.close()


@pytest.fixture
def digger(clients: dict[str, httpx.Client]) -> httpx.Client:
    return clients["digger"]


def asked(area: shapely.Polygon = AREA, **changes: Any) -> dict[str, Any]:
    return document(area, formats=["gml"], **changes)


def done(answer: httpx.Response, status: int = 200) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    return body


def rules(body: dict[str, Any], level: str) -> dict[str, str | None]:
    return {rule["code"]: rule["path"] for rule in body["rules"] if rule["level"] == level}


def test_a_preview_needs_the_area_alone_and_stores_nothing(digger: httpx.Client, store: Store) -> None:
    before = len(done(digger.get("/api/enquiries"))["items"])
    area = json.loads(shapely.to_geojson(LONG))
    body = done(digger.post("/api/enquiries/preview", json={"area": area, "crs": "EPSG:25832"}))
    assert body["area_m2"] == 300_000
    assert [part["fee_dkk"] for part in body["parts"]] == ["1050.00", "1050.00"]
    assert (body["fee_dkk"], body["fee_cap_dkk"]) == ("2100.00", "166000")
    assert "300.000 m²" in body["fee_text"]["da"]
    assert {rule["path"] for rule in body["rules"]} == {None, "period", "methods", "contact"}
    assert set(rules(body, "told")) == {"wait-for-all", "split"}
    assert not body["fileable"]
    assert body["resend_last_day"] is None
    assert body["clock"]["due_at"] > datetime.now(UTC).isoformat()[:19]
    assert all(rule["da"] and rule["en"] for rule in body["rules"])
    assert len(done(digger.get("/api/enquiries"))["items"]) == before


def test_a_preview_of_a_whole_document_says_what_filing_will_do(digger: httpx.Client) -> None:
    whole = asked(surroundings_m=100)
    body = done(digger.post("/api/enquiries/preview", json=whole))
    assert body["fileable"]
    assert body["validity_days"] == 11
    assert body["resend_last_day"] == body["valid_last_day"] == whole["period"]["to"]
    filed = done(digger.post("/api/enquiries", json=whole), 201)
    assert filed["fee_dkk"] == body["fee_dkk"]
    assert [rule["code"] for rule in filed["rules"]] == list(rules(body, "told"))
    assert filed["area"] == body["area"] == body["parts"][0]["area"]
    assert filed["resend"]["last_day"] == body["resend_last_day"]


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"kind": "emergency"}, {"ground-missing": "grounds", "reason-missing": "reason"}),
        ({"reason": "hastværk"}, {"not-an-emergency": "kind"}),
        ({"methods": ["99"]}, {"member": "methods_other"}),
        ({"contact": {"name": "K"}}, {"member": "contact.email"}),
        ({"depth_m": -1}, {"member": "depth_m"}),
        ({"period": {"from": "2020-01-01", "to": "2099-01-01"}}, {"member": "period"}),
        ({"period": {"from": "2020-01-01"}}, {"member": "period.to"}),
        ({"nonsense": 1, "more.of.it": 2}, {"member": "more.of.it"}),
    ],
)
def test_a_preview_reports_what_filing_would_refuse(
    digger: httpx.Client, change: dict[str, Any], refused: dict[str, str]
) -> None:
    body = done(digger.post("/api/enquiries/preview", json=asked(**change)))
    assert rules(body, "refused") == refused
    answer = digger.post("/api/enquiries", json=asked(**change))
    assert answer.status_code == 400
    assert answer.json()["path"] == next(iter(refused.values()))
    assert answer.json()["message_da"] == body["rules"][0]["da"]


def test_only_an_excavator_previews_and_files(clients: dict[str, httpx.Client]) -> None:
    for path in ("/api/enquiries", "/api/enquiries/preview"):
        assert clients["waited"].post(path, json=asked()).status_code == 403
        assert clients["nobody"].post(path, json=asked()).status_code in (401, 403)


def test_an_emergency_is_answered_with_whom_to_call(digger: httpx.Client) -> None:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    urgent = asked(
        kind="emergency",
        grounds=["waste"],
        reason="Sprunget rør",
        begun=True,
        period={"from": yesterday.isoformat(), "to": (yesterday + timedelta(days=3)).isoformat()},
    )
    filed = done(digger.post("/api/enquiries", json=urgent), 201)
    assert filed["owners_first"]
    assert {owner["cvr"]: owner["contact"]["phone"] for owner in filed["owners"]} == dict.fromkeys(
        (WAITED, HOSTED, DIRECT), "70101010"
    )
    assert filed["rules"][0]["code"] == "emergency"


def test_planning_asks_nobody_and_is_free(digger: httpx.Client, clients: dict[str, httpx.Client]) -> None:
    filed = done(digger.post("/api/enquiries", json=asked(kind="planning")), 201)
    assert not filed["permits_digging"]
    assert {owner["status"] for owner in filed["owners"]} == {"not-asked"}
    assert {(owner["due_at"], owner["clock"]) for owner in filed["owners"]} == {(None, None)}
    assert (filed["fee_dkk"], filed["resend"]["allowed"]) == ("0.00", False)
    assert filed["validity"]["state"] == "never"
    assert clients["waited"].get(f"/api/enquiries/{filed['number']}").status_code == 404
    refused = digger.post(f"/api/enquiries/{filed['number']}/resend")
    assert refused.status_code == 409


def test_a_project_is_one_for_its_filer_and_parts_for_an_owner(
    digger: httpx.Client, clients: dict[str, httpx.Client], store: Store
) -> None:
    filed = done(digger.post("/api/enquiries", json=asked(LONG), headers={"Idempotency-Key": "p"}), 201)
    again = done(digger.post("/api/enquiries", json=asked(LONG), headers={"Idempotency-Key": "p"}), 201)
    assert again["number"] == filed["number"]
    first, second = filed["project"]["numbers"]
    assert (filed["project"]["part"], filed["number"]) == (0, first)
    assert [part["number"] for part in filed["parts"]] == [first, second]
    assert filed["area_m2"] == 300_000
    assert filed["fee_dkk"] == "2100.00"
    work_off(store)
    for number in (first, second):
        one = done(digger.get(f"/api/enquiries/{number}"))
        assert (one["number"], one["package"]["ready"]) == (first, True)
    part = done(digger.get(f"/api/enquiries/{second}", params={"whole": False}))
    assert (part["number"], part["project"]["part"]) == (second, 2)
    assert part["area_m2"] == pytest.approx(150_000, abs=1)
    own = done(clients["waited"].get(f"/api/enquiries/{second}"))
    assert own["number"] == second
    assert "project" not in own
    assert "fee_dkk" not in own
    assert clients["other"].get(f"/api/enquiries/{second}").status_code == 404
    listed = [item["number"] for item in done(digger.get("/api/enquiries"))["items"]]
    assert first in listed
    assert second not in listed
    page = done(digger.get("/api/enquiries", params={"limit": 1}))
    others = done(digger.get("/api/enquiries", params={"cursor": page["next"], "limit": 500}))
    assert [item["number"] for item in page["items"] + others["items"]] == listed
    assert others["next"] is None
    assert digger.get("/api/enquiries", params={"cursor": "x"}).status_code == 400
    waiting = done(clients["waited"].get("/api/enquiries", params={"status": "waiting"}))["items"]
    assert {first, second} <= {item["number"] for item in waiting}
    link = done(digger.post(f"/api/enquiries/{second}/package-link"))
    assert link["name"] == f"Ledningspakke_{first}.zip"


def test_several_polygons_are_merged_or_refused_with_the_gap(digger: httpx.Client) -> None:
    near = [shapely.box(E, N, E + 50, N + 50), shapely.box(E + 50, N, E + 90, N + 50)]
    several = json.loads(shapely.to_geojson(shapely.MultiPolygon(near)))
    whole = joined(near).area
    for area in (several, [json.loads(shapely.to_geojson(one)) for one in near]):
        body = done(digger.post("/api/enquiries/preview", json={**asked(), "area": area}))
        assert body["area_m2"] == whole
        assert body["fileable"]
    far = [near[0], shapely.affinity.translate(near[1], 10)]
    apart = {**asked(), "area": json.loads(shapely.to_geojson(shapely.MultiPolygon(far)))}
    for path in ("/api/enquiries", "/api/enquiries/preview"):
        refused = done(digger.post(path, json=apart), 400)
        assert refused["code"] == "invalid-geometry"
        assert "10.00 m apart" in refused["detail"]
        assert refused["gaps"][0]["distance_m"] == 10


def test_sending_again_is_free_and_once_for_a_key(digger: httpx.Client, clients: Any) -> None:
    first = done(digger.post("/api/enquiries", json=asked()), 201)["number"]
    key = {"Idempotency-Key": "again"}
    sent = done(digger.post(f"/api/enquiries/{first}/resend", headers=key), 201)
    assert (sent["original"], sent["fee_dkk"]) == (first, "0.00")
    assert sent["number"] != first
    assert done(digger.post(f"/api/enquiries/{first}/resend", headers=key), 201)["number"] == sent["number"]
    refused = done(digger.post(f"/api/enquiries/{sent['number']}/resend"), 409)
    assert first in refused["hint"]
    assert clients["other"].post(f"/api/enquiries/{first}/resend").status_code == 404
    assert clients["waited"].post(f"/api/enquiries/{first}/resend").status_code == 403


def test_late_owners_are_listed_with_telephone_for_those_concerned(
    digger: httpx.Client, clients: dict[str, httpx.Client], store: Store
) -> None:
    number = done(digger.post("/api/enquiries", json=asked()), 201)["number"]
    move_filing(store, number, datetime.now(UTC) - timedelta(days=9))
    late = done(digger.get("/api/late-answers"))["items"]
    found = {(one["number"], one["cvr"]): one for one in late}
    assert {cvr for at, cvr in found if at == number} == {WAITED, DIRECT}
    assert found[number, WAITED]["phone"] == "70101010"
    assert found[number, WAITED]["overdue_by_min"] > 0
    own = done(clients["waited"].get("/api/late-answers"))["items"]
    assert {one["cvr"] for one in own} == {WAITED}
    assert done(clients["other"].get("/api/late-answers"))["items"] == []
    assert clients["nobody"].get("/api/late-answers").status_code in (401, 403)
    read = done(digger.get(f"/api/enquiries/{number}"))
    clock = {owner["cvr"]: (owner["clock"] or {}).get("state") for owner in read["owners"]}
    assert (clock[WAITED], clock[DIRECT]) == ("overdue", "overdue")
