"""Interest areas, waiting deliveries and corrections over HTTP, and the command line beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import shapely
from answer_world import AREA, DIGGER, OWNERS, E, N, register, svar
from notice_world import dispatch, notices
from test_flow_enquiry import document, work_off
from test_ler_interface import area_gml, serving
from typer.testing import CliRunner

from geoinfra import crs
from geoinfra.access import Role
from geoinfra.errors import UnreadableFile
from geoinfra.flows.concerns import Part
from geoinfra.flows.notice_facts import facts_of
from geoinfra.presentation.notice_letters import letter
from geoinfra.storage import Store, channels, organisations, outbox
from services.cli import app as command_line

pytestmark = pytest.mark.services

A, B, OPERATOR = OWNERS[0], OWNERS[1], OWNERS[3]
BEYOND = shapely.box(E + 5000, N, E + 5100, N + 100)
CONTACTS = {"answers": {"name": "Vagten", "email": "vagt@example.dk", "phone": "+45 70101010"}}


@dataclass
class World:
    store: Store
    client: httpx.Client
    tokens: dict[str, str]

    def __call__(self, who: str, method: str, path: str, expected: int = 200, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.tokens[who]}", **options.pop("headers", {})}
        answer = self.client.request(method, path, headers=headers, **options)
        assert answer.status_code == expected, answer.text
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
        assert "no-store" in answer.headers.get("cache-control", "no-store")
        return answer.json() if answer.content else None

    def areas(self, who: str, method: str, path: str = "", expected: int = 200, **options: Any) -> Any:
        return self(who, method, f"/api/owners/{A}/areas{path}", expected, **options)


@pytest.fixture
def world(store: Store) -> Iterator[World]:
    register(store, A)
    register(store, B, area=BEYOND, first=2)
    people = {
        "anna": (A, Role.OWNER),
        "bent": (A, Role.OWNER),
        "beta": (B, Role.OWNER),
        "digger": (DIGGER, Role.EXCAVATOR),
        "admin": (OPERATOR, Role.ADMIN),
    }
    tokens = {}
    with store.begin() as tx:
        for cvr in (DIGGER, OPERATOR):
            organisations.add_organisation(tx, cvr, f"Firma {cvr}")
        for name, (cvr, role) in people.items():
            _, tokens[name] = organisations.create_token(tx, cvr, [role], name, timedelta(hours=1))
        tx.commit()
    with serving(store) as (url, _), httpx.Client(base_url=url, timeout=60) as client:
        yield World(store, client, tokens)


def geojson(area: shapely.Geometry, **properties: Any) -> dict[str, Any]:
    """Write one area in longitude and latitude, as a program would that knows nothing of EPSG:25832."""
    degrees = crs.transform_geometry(area, "EPSG:25832", "OGC:CRS84")
    told = {"supply_types": ["water"], "contacts": CONTACTS, **properties}
    feature = {"type": "Feature", "properties": told, "geometry": json.loads(shapely.to_geojson(degrees))}
    return {"type": "FeatureCollection", "features": [feature]}


def asked(world: World, place: shapely.Polygon) -> set[str]:
    """File an enquiry; return which owners it asks."""
    filed = world("digger", "POST", "/api/enquiries", 201, json=document(place, formats=["gml"]))
    return {one["cvr"] for one in filed["owners"]}


def test_an_area_from_its_proposal_to_its_end(world: World) -> None:
    made = world.areas("anna", "POST", "", 201, json=geojson(BEYOND))
    (draft,) = made["features"]
    number = draft["properties"]["number"]
    assert (draft["properties"]["state"], draft["properties"]["cvr"]) == ("draft", A)
    assert asked(world, BEYOND) == {B}
    world.areas("bent", "POST", f"/{number}/accept", 409)
    world.areas("anna", "POST", f"/{number}/submit")
    refused = world.areas("anna", "POST", f"/{number}/accept", 403)
    assert "review" in refused["detail"]
    world.areas("bent", "POST", f"/{number}/accept", 409, params={"revision": "0" * 16})
    shown = world.areas("bent", "GET", params={"crs": "EPSG:25832"})
    assert shown["crs"]["properties"]["name"] == "EPSG:25832"
    one = next(one for one in shown["features"] if one["properties"]["number"] == number)
    assert shapely.from_geojson(json.dumps(one["geometry"])).equals_exact(BEYOND, 0.002, normalize=True)
    revision = one["properties"]["proposal"]["revision"]
    live = world.areas("bent", "POST", f"/{number}/accept", params={"revision": revision})
    properties = live["features"][0]["properties"]
    assert (properties["state"], properties["proposal"]) == ("live", None)
    assert properties["contacts"] == CONTACTS
    assert asked(world, BEYOND) == {A, B}
    world.areas("anna", "POST", f"/{number}/retire")
    assert asked(world, BEYOND) == {B}
    assert [one.action for one in world.store.audit.tail(50) if one.action == "area.accept"] == [
        "area.accept"
    ]


def test_a_change_waits_beside_what_is_live_and_can_be_taken_back(world: World) -> None:
    changed = world.areas("anna", "POST", "?submit=true", 201, json=geojson(BEYOND, number=1))
    (one,) = changed["features"]
    assert (one["properties"]["number"], one["properties"]["state"]) == (1, "live")
    assert one["properties"]["proposal"]["state"] == "review"
    assert one["properties"]["proposal"]["supply_types"] == ["water"]
    assert asked(world, AREA) == {A}
    left = world.areas("anna", "POST", "/1/reject")
    assert left["features"][0]["properties"]["proposal"] is None
    new = world.areas("anna", "POST", "?submit=true", 201, json=geojson(BEYOND))
    number = new["features"][0]["properties"]["number"]
    assert world.areas("bent", "POST", f"/{number}/reject")["features"] == []
    world.areas("bent", "POST", f"/{number}/reject", 404)


def test_a_document_of_ler_is_taken_too(world: World) -> None:
    gml = {"content": area_gml(kontaktperson="a@b.dk"), "headers": {"Content-Type": "application/gml+xml"}}
    made = world.areas("anna", "POST", "", 201, **gml)
    properties = made["features"][0]["properties"]
    assert (properties["state"], properties["supply_types"]) == ("review", ["electricity"])
    assert properties["contacts"]["answers"]["email"] == "a@b.dk"
    change = {"content": gml["content"], "headers": {"Content-Type": "application/xml"}}
    assert world.areas("anna", "POST", "?number=1", 201, **change)["features"][0]["properties"]["number"] == 1
    broken = {"content": area_gml(forsyningsart_id="77"), "headers": {"Content-Type": "text/xml"}}
    assert world.areas("anna", "POST", "", 422, **broken)["report"]["errors"]
    world.areas("anna", "POST", "?number=1", 400, json=geojson(BEYOND))


def test_strangers_and_steps_that_cannot_be_are_refused(world: World) -> None:
    for who in ("beta", "digger"):
        for path, method in (("", "GET"), ("/coverage", "GET"), ("/1/accept", "POST"), ("/1/retire", "POST")):
            world.areas(who, method, path, 403)
        world.areas(who, "POST", "", 403, json=geojson(BEYOND, number=1))
    for path, status in {
        "/0/accept": 400,
        "/1/dance": 400,
        "/9999999999/accept": 400,
        "/7/accept": 404,
    }.items():
        world.areas("admin", "POST", path, status)
    world.areas("admin", "POST", "/1/accept", 409)
    assert world.areas("admin", "GET")["features"][0]["properties"]["state"] == "live"


def test_hostile_bodies_are_refused_and_nothing_is_taken(world: World) -> None:
    def body(geometry: str) -> str:
        told = '{"supply_types": ["water"]}'
        feature = f'{{"type": "Feature", "properties": {told}, "geometry": {geometry}}}'
        return f'{{"type": "FeatureCollection", "features": [{feature}]}}'

    polygon = '{{"type": "Polygon", "coordinates": {}}}'
    headers = {"Authorization": f"Bearer {world.tokens['anna']}"}
    many = json.dumps(geojson(AREA)["features"][0])
    for content in (
        body(polygon.format("[[[NaN, 1], [2, 3], [4, 5], [NaN, 1]]]")),
        body(polygon.format("[[[1e999, 1], [2, 3], [4, 5], [1e999, 1]]]")),
        body(polygon.format("[" * 900 + "]" * 900)),
        body(polygon.format("[" * 100_000)),
        body('{"type": "GeometryCollection", "geometries": [' * 300 + "]}" * 300),
        body("null"),
        f'{{"type": "FeatureCollection", "features": [{",".join([many] * 501)}]}}',
        '{"type": "FeatureCollection", "features": [' + '{"a": "' + "x" * 2_100_000 + '"}]}',
    ):
        answer = world.client.post(f"/api/owners/{A}/areas", content=content, headers=headers)
        assert answer.status_code in (400, 413), answer.text[:300]
        assert answer.json()["detail"]
    assert [one["properties"]["number"] for one in world.areas("anna", "GET")["features"]] == [1]


def test_a_delivery_waits_until_it_is_published_and_a_newer_one_wins(world: World) -> None:
    def deliver(cables: list[str], **params: Any) -> dict[str, Any]:
        content = svar(A, cables).getvalue()
        made = world("anna", "POST", "/api/deliveries", 201, params={"owner": A, **params}, content=content)
        return dict(made)

    old, waiting = (deliver(["el.1"], review="true") for _ in range(2))
    assert not old["published"]
    assert world("anna", "GET", f"/api/owners/{A}/areas/coverage")["features"] == 0
    listed = world("bent", "GET", "/api/deliveries")["items"]
    assert [one["state"] for one in listed] == ["review", "review"]
    assert world("beta", "GET", "/api/deliveries")["items"] == []
    path = f"/api/deliveries/{waiting['delivery_id']}"
    for who, status in (("beta", 404), ("digger", 403), ("admin", 403)):
        world(who, "POST", f"{path}/publish", status)
        world(who, "DELETE", path, status)
    assert world("bent", "POST", f"{path}/publish")["state"] == "current"
    world("bent", "POST", f"{path}/publish", 404)
    world("bent", "DELETE", path, 404)
    world("bent", "POST", f"/api/deliveries/{old['delivery_id']}/publish", 409)
    world("bent", "DELETE", f"/api/deliveries/{old['delivery_id']}", 204)
    assert [one["state"] for one in world("anna", "GET", "/api/deliveries")["items"]] == ["current"]
    filed = world("digger", "POST", "/api/enquiries", 201, json=document(AREA, formats=["gml"]))
    assert [(one["status"], one["features"]) for one in filed["owners"]] == [("delivered", 1)]
    found = world.areas("anna", "GET", "/coverage")
    assert (found["features"], found["outside"], found["warnings"]) == (1, 0, [])


def test_an_answer_is_corrected_and_refreshed(world: World) -> None:
    number = world("digger", "POST", "/api/enquiries", 201, json=document(AREA, formats=["gml"]))["number"]
    path = f"/api/enquiries/{number}/answers"
    right: dict[str, Any] = {"content": svar(A, ["el.1", "el.2"]).getvalue()}
    world("anna", "PUT", path, 409, params={"reason": "Forkert"}, **right)  # there is nothing to correct
    world("anna", "POST", path, 201, content=svar(A, ["el.1"]).getvalue())
    world("anna", "POST", path, 409, **right)
    world("anna", "PUT", path, 400, **right)  # without a reason
    world("beta", "PUT", path, 404, params={"reason": "Forkert"}, **right)
    done = world("anna", "PUT", path, params={"reason": "Et kabel manglede"}, **right)
    assert done["owners"][0]["features"] == 2
    world("anna", "POST", "/api/deliveries", 201, params={"owner": A}, content=svar(A, ["el.9"]).getvalue())
    refreshed = world("anna", "POST", f"/api/enquiries/{number}/refresh")
    assert (refreshed["owners"][0]["features"], refreshed["owners"][0]["version"]) == (1, 3)
    told = world("digger", "GET", path)["items"]
    assert [one["features"] for one in told] == [1, 2, 1]
    assert [one["reason"] for one in told][:2] == ["", "Et kabel manglede"]
    assert world("anna", "GET", path)["items"] == told
    world("beta", "GET", path, 404)
    world("anna", "POST", f"/api/enquiries/{number}/hand-over", 409)
    work_off(world.store)


def test_who_must_review_is_told(world: World) -> None:
    hook = {"kind": "webhook", "target": "https://example.dk/hook", "events": ["area.changed"]}
    holders = {
        world(who, "POST", "/api/channels", 201, json=hook)["id"]: who for who in ("bent", "beta", "admin")
    }

    def told() -> list[str]:
        before = {one.notice_id for one in notices(world.store)}
        dispatch(world.store)
        return sorted(holders[n.channel_id] for n in notices(world.store) if n.notice_id not in before)

    dispatch(world.store)
    world.areas("anna", "POST", "", 201, json=geojson(BEYOND))
    assert told() == []  # a draft waits for nobody
    world.areas("anna", "POST", "?submit=true", 201, json=geojson(BEYOND, number=1))
    assert told() == ["admin", "bent"]
    newest = notices(world.store)[-1]
    with world.store.read() as connection:
        event, channel = (
            outbox.get_event(connection, newest.event_id),
            channels.get_channel(connection, newest.channel_id),
        )
        written = letter(facts_of(connection, event, frozenset({Part.OWNER}), channel, "https://x.dk/"))
    assert "Interesseområde 1 af Ejer" in written.subject
    assert "venter på" in written.text
    assert "waits for its review" in written.text
    world.areas("bent", "POST", "/1/accept")
    assert told() == ["bent"]


def test_the_command_line_does_the_same(tmp_path: Path) -> None:
    def run(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(command_line, ["--data-dir", str(tmp_path / "data"), *words])
        assert done.exit_code == code or (code and done.exception), done.output
        return done.output

    file = tmp_path / "areas.geojson"
    run("owner", "add", A, "Vandværket")
    file.write_text(json.dumps(geojson(AREA.buffer(50))))
    assert "draft" in run("owner", "areas", "propose", A, str(file), "--draft")
    assert "waits for review" in run("owner", "areas", "propose", A, str(file))
    listed = json.loads(run("owner", "areas", "list", A, "--json"))
    assert [one["properties"]["state"] for one in listed["features"]] == ["draft", "review"]
    run("owner", "areas", "accept", A, "2", "--revision", "0" * 16, code=1)
    assert "live" in run("owner", "areas", "accept", A, "2")
    assert "no more" in run("owner", "areas", "reject", A, "1")
    lines = tmp_path / "svar.gml"
    lines.write_bytes(svar(A, ["el.1"]).getvalue())
    run("utilities", "deliver", str(lines), "--owner", A)
    assert "Not published yet" in run("utilities", "deliver", str(lines), "--owner", A, "--review")
    run("utilities", "deliver", str(lines), "--owner", A, "--review")
    dropped, waits, current = json.loads(run("utilities", "deliveries", "--owner", A, "--json"))
    assert [one["state"] for one in (dropped, waits, current)] == ["review", "review", "current"]
    assert "discarded" in run("utilities", "discard-delivery", dropped["delivery_id"], "--owner", A)
    assert "Published" in run("utilities", "publish-delivery", waits["delivery_id"], "--owner", A)
    run("utilities", "publish-delivery", waits["delivery_id"], "--owner", A, code=1)
    listed = [line.split()[1] for line in run("utilities", "deliveries", "--owner", A).splitlines()]
    assert listed == ["current", "earlier"]
    assert "All 1 features lie inside" in run("owner", "areas", "coverage", A)
    assert "retired" in run("owner", "areas", "retire", A, "2")
    assert json.loads(run("owner", "areas", "coverage", A, "--live", "--json", code=1))["outside"] == 1
    gml = tmp_path / "area.gml"
    gml.write_bytes(area_gml())
    run("owner", "areas", "propose", A, str(gml), "--draft", code=2)
    assert "waits for review" in run("owner", "areas", "propose", A, str(gml))
    assert "2026-12-31" in run(
        "owner", "dispensation", "set", A, "--from", "2026-12-01", "--to", "2026-12-31"
    )
    assert "no dispensation" in run("owner", "dispensation", "clear", A)


def test_what_the_operator_does_to_organisations_and_tokens_is_in_the_audit_log(tmp_path: Path) -> None:
    def run(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(command_line, ["--data-dir", str(tmp_path / "data"), *words])
        assert bool(done.exit_code) == bool(code), done.output
        return done.output

    nobody = tmp_path / "areas.geojson"
    nobody.write_text(json.dumps({"features": []}))
    run("owner", "add", A, "Vandværket", "--area", str(nobody), code=1)
    run("owner", "add", A, "Vandværket", "--phone", "none", code=1)
    run("owner", "add", A, "Vandværket", "--phone", "70101010", "--email", "vagt@vand.example")
    run("token", "create", A, "--role", "owner")
    token = run("token", "list", A).split()[0]
    run("token", "revoke", token)
    told = [line.split()[2:5] for line in run("audit", "tail").splitlines()]
    assert told == [
        ["system:cli", "token.revoked", token],
        ["system:cli", "token.created", token],
        ["system:cli", "organisation.added", A],
    ]


def test_an_enquiry_by_command_whose_files_cannot_be_is_refused_before_it_is_filed(tmp_path: Path) -> None:
    def run(*words: str) -> Any:
        asked = ["--as", A, "--contact", "a@b.dk"]
        return CliRunner().invoke(
            command_line, ["--data-dir", str(tmp_path / "data"), "utilities", "enquire", *words, *asked]
        )

    area = tmp_path / "area.geojson"
    area.write_text("no json")
    refused = run(str(area), str(tmp_path / "package.zip"))
    assert isinstance(refused.exception, UnreadableFile)
    area.write_text("{}")
    assert run(str(area), str(tmp_path / "nowhere" / "package.zip")).exit_code == 2
    assert not (tmp_path / "data" / "blobs" / "packages").exists()
