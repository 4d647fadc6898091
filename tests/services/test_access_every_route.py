"""Every route of the application, tried by everybody who must not get in; a new route without a case fails.

The cases are held against the OpenAPI document, the routes beside it and the calls of LER's interface. What
belongs to the attacked organisations carries the mark ``Hemmelig``, which no attacker may ever read.
"""

from __future__ import annotations

import functools
import io
import itertools
import json
import re
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
import shapely
import sqlalchemy as sa
from answer_world import AREA, DIGGER, OWNERS, register, svar
from damage_example import DAMAGE
from fastapi import FastAPI
from ler_client import encoded
from test_flow_enquiry import document, work_off
from test_ler_interface import area_gml, request_gml, serving

from geoinfra.access import Access, Role
from geoinfra.flows import owners
from geoinfra.flows.answers import store_answer
from geoinfra.flows.deliveries import deliver
from geoinfra.storage import Store, organisations, schema
from geoinfra.storage.records import now
from geoinfra.utilities.ler_api import ler_id
from geoinfra.utilities.model import Contact
from services.ler.calls import CALLS

pytestmark = pytest.mark.services

OWNER_A, OWNER_B, OPERATOR, STRANGE_OWNER = OWNERS
STRANGE_DIGGER = "10000041"
STRANGERS = {Role.EXCAVATOR: STRANGE_DIGGER, Role.OWNER: STRANGE_OWNER}
HOLDERS = (DIGGER, OWNER_A, OWNER_B, OPERATOR)
BY_DIGGER, BY_A, BY_B = (DIGGER, Role.EXCAVATOR), (OWNER_A, Role.OWNER), (OWNER_B, Role.OWNER)
FAR = shapely.box(700_000, 6_200_000, 700_100, 6_200_100)
CABLE, HOOK, PURPOSE, ANSWERER = "HemmeligtKabel", "HemmeligKrog", "HemmeligtFormaal", "hemmelig@vagt.dk"
BLOW = "HemmeligSkade"
EMBEDDED = pytest.mark.parametrize("module_store", ["embedded"], indirect=True, scope="module")
"""For what does not depend on how rows are read; the rest is tried on both engines."""
ALL_ROLES = frozenset(Role) - {Role.ANONYMOUS}
PARTIES = frozenset({Role.EXCAVATOR, Role.OWNER, Role.ADMIN})


@dataclass
class World:
    """A served store with an answered enquiry, and tokens of everybody."""

    store: Store
    client: httpx.Client
    app: FastAPI
    number: str = ""
    signed: str = ""
    channels: dict[str, str] = field(default_factory=dict)  # CVR number -> id
    waiting: list[str] = field(default_factory=list)  # deliveries that wait for their owner's review
    tokens: dict[tuple[str, Role], str] = field(default_factory=dict)
    ended: dict[tuple[str, Role, str], str] = field(default_factory=dict)  # expired and revoked ones

    def call(self, token: str | None, method: str, path: str, **options: Any) -> httpx.Response:
        """Make one call; of a stream that stays open what comes in its first moment is read."""
        headers = {"Authorization": token if " " in token else f"Bearer {token}"} if token else {}
        if path != "/api/events":
            return self.client.request(method, path, headers=headers, **options)
        patience = httpx.Timeout(60, read=0.3)
        with self.client.stream(method, path, headers=headers, timeout=patience, **options) as answer:
            return httpx.Response(answer.status_code, headers=answer.headers, text=begin_of(answer))

    def snapshot(self) -> dict[str, list[Any]]:
        """Return every record that an attack could change."""
        names = (
            "organisations", "interest_areas", "deliveries", "current_deliveries", "enquiries", "answers",
            "answer_versions", "grants", "packages", "channels", "damages", "signing_keys", "tokens",
            "collections",
        )  # fmt: skip
        with self.store.read() as connection:
            tables = (schema.metadata.tables[name] for name in names)
            return {table.name: sorted(map(repr, connection.execute(sa.select(table)))) for table in tables}


def begin_of(answer: httpx.Response) -> str:
    """Read a stream until it is silent."""
    text = ""
    try:
        for piece in answer.iter_text():
            text += piece
    except httpx.ReadTimeout:
        return text
    return text


@pytest.fixture(scope="module")
def world(module_store: Store) -> Iterator[World]:
    """One owner has answered with a secret cable, one is waited for, one is not concerned."""
    store = module_store
    register(store, OWNER_A, OWNER_B)
    register(store, STRANGE_OWNER, area=FAR, first=9)
    with serving(store) as (url, app), httpx.Client(base_url=url, timeout=60) as client:
        made = World(store, client, app)
        for cvr in (DIGGER, OPERATOR, STRANGE_DIGGER):
            add(store, cvr)
        for cvr in (*HOLDERS, STRANGE_DIGGER, STRANGE_OWNER):
            make_tokens(made, cvr)
        digger, asked = made.tokens[BY_DIGGER], document(AREA, formats=["gml"], description=PURPOSE)
        made.number = made.call(digger, "POST", "/api/enquiries", json=asked).json()["number"]
        work_off(store)
        said = svar(OWNER_A, [CABLE], contact=Contact("Vagten", "70101010", ANSWERER))
        store_answer(store, Access("test:a", OWNER_A, frozenset({Role.OWNER})), made.number, said)
        work_off(store)
        for cvr, role in (BY_DIGGER, BY_A):
            hook = {"kind": "webhook", "target": f"https://example.dk/{HOOK}/{cvr}"}
            added = made.call(made.tokens[cvr, role], "POST", "/api/channels", json=hook)
            made.channels[cvr] = added.json()["id"]
        colleague = Access("test:colleague", OWNER_A, frozenset({Role.OWNER}))
        owners.propose_areas(store, colleague, OWNER_A, area_change(), submit=True)
        for _ in range(2):
            lines = svar(OWNER_A, [CABLE])
            made.waiting.append(deliver(store, colleague, lines, OWNER_A, review=True).delivery_id)
        made.call(made.tokens[BY_A], "POST", "/api/damages", json=damage(BLOW))
        link = f"/api/enquiries/{made.number}/package-link"
        made.signed = made.call(digger, "POST", link).json()["href"]
        yield made


def area_change(number: int | None = 1) -> dict[str, Any]:
    """A change of the interest area of the first owner, or a new one."""
    contacts = {"answers": {"name": "Vagten", "email": ANSWERER, "phone": ""}}
    known = {"number": number, "supply_types": ["gas"], "contacts": contacts}
    ring = json.loads(shapely.to_geojson(AREA.buffer(60, cap_style="square")))
    feature = {"type": "Feature", "properties": known, "geometry": ring}
    return {"type": "FeatureCollection", "crs": "EPSG:25832", "features": [feature]}


_EASTINGS = itertools.count(575_000)


def damage(remark: str) -> dict[str, Any]:
    """Make a report of a damage that was never reported before."""
    return {
        "xKoordinat": next(_EASTINGS),
        "yKoordinat": 6_224_761,
        "skadevolderType": 2,
        "skadesDato": "12-09-2025",
        "forsyningsart": "3",
        "bemaerkning": remark,
    }


def add(store: Store, cvr: str) -> None:
    with store.begin() as tx:
        organisations.add_organisation(tx, cvr, f"Firma {cvr}")
        tx.commit()


def make_tokens(made: World, cvr: str) -> None:
    """Give an organisation a good, an expired and a revoked token of each role."""
    table = schema.tokens
    with made.store.begin() as tx:
        for role in ALL_ROLES:
            for name in ("good", "expired", "revoked"):
                token_id, secret = organisations.create_token(tx, cvr, [role], name, timedelta(hours=1))
                if name == "good":
                    made.tokens[cvr, role] = secret
                    continue
                made.ended[cvr, role, name] = secret
                column = {"expired": "expires_at", "revoked": "revoked_at"}[name]
                tx.execute(sa.update(table).where(table.c.token_id == token_id).values({column: now()}))
        tx.commit()


# --- What each route is


@dataclass(frozen=True)
class Case:
    """A route, who gets in, and a call that succeeds for him.

    Attributes
    ----------
    holder
        Whose thing the call is about, and in which role; ``None`` for what is open to everybody.
    roles
        With which of them others get in too, each to his own things.
    own
        Whether a stranger with such a role gets an answer of his own rather than none.
    asks_who
        Whether a token is looked at.
    expected
        Status of the rightful call.
    """

    holder: tuple[str, Role] | None = None
    roles: frozenset[Role] = frozenset()
    own: bool = False
    asks_who: bool = True
    expected: int = 200
    query: Mapping[str, Any] = field(default_factory=dict)
    json: Callable[[], Any] | None = None
    content: Callable[[], bytes] | None = None

    def options(self) -> dict[str, Any]:
        """Return what the call sends."""
        sent: dict[str, Any] = {"params": dict(self.query)}
        if self.json is not None:
            sent["json"] = self.json()
        if self.content is not None:
            sent["content"] = self.content()
        return sent


EXCAVATORS, OWNING = frozenset({Role.EXCAVATOR}), frozenset({Role.OWNER})
KEEPERS = OWNING | {Role.ADMIN}
FREE = Case(asks_who=False)
CASES: dict[tuple[str, str], Case] = {
    ("GET", "/health/live"): FREE,
    ("GET", "/health/ready"): FREE,
    ("GET", "/.well-known/geoinfra-keys.json"): FREE,
    ("GET", "/download/{signed}"): FREE,
    ("GET", "/api/config"): Case(),
    ("GET", "/api/addresses"): Case(query={"q": "N"}),
    ("GET", "/api/owners"): Case(BY_DIGGER, PARTIES, own=True),
    ("POST", "/api/enquiries"): Case(
        BY_DIGGER, EXCAVATORS, own=True, expected=201, json=lambda: document(AREA, formats=["gml"])
    ),
    ("POST", "/api/enquiries/preview"): Case(
        BY_DIGGER, EXCAVATORS, own=True, json=lambda: document(AREA, formats=["gml"])
    ),
    ("POST", "/api/enquiries/{number}/resend"): Case(BY_DIGGER, EXCAVATORS, expected=201),
    ("GET", "/api/late-answers"): Case(BY_DIGGER, PARTIES, own=True),
    ("GET", "/api/enquiries"): Case(BY_DIGGER, PARTIES, own=True),
    ("GET", "/api/enquiries/{number}"): Case(BY_DIGGER, PARTIES),
    ("POST", "/api/enquiries/{number}/package-link"): Case(BY_DIGGER, EXCAVATORS),
    ("GET", "/api/enquiries/{number}/differences"): Case(BY_DIGGER, EXCAVATORS, query={"from": 1, "to": 2}),
    ("POST", "/api/enquiries/{number}/answers"): Case(
        BY_B, OWNING, expected=201, content=lambda: svar(OWNER_B, ["el.1"]).getvalue()
    ),
    ("PUT", "/api/enquiries/{number}/answers"): Case(
        BY_A, OWNING, query={"reason": "Forkert"}, content=lambda: svar(OWNER_A, [CABLE]).getvalue()
    ),
    ("GET", "/api/enquiries/{number}/answers"): Case(BY_DIGGER, PARTIES),
    ("POST", "/api/enquiries/{number}/refresh"): Case(BY_DIGGER, OWNING | EXCAVATORS),
    ("POST", "/api/enquiries/{number}/hand-over"): Case(BY_A, OWNING, expected=409),  # he has answered
    ("GET", "/api/owners/{cvr}/areas"): Case(BY_A, KEEPERS),
    ("POST", "/api/owners/{cvr}/areas"): Case(
        BY_A, KEEPERS, expected=201, json=lambda: area_change(number=None)
    ),
    ("GET", "/api/owners/{cvr}/areas/coverage"): Case(BY_A, KEEPERS),
    ("POST", "/api/owners/{cvr}/areas/{area}/{step}"): Case(BY_A, KEEPERS),
    ("GET", "/api/deliveries"): Case(BY_A, OWNING, own=True),
    ("POST", "/api/deliveries/{delivery_id}/publish"): Case(BY_A, OWNING),
    ("DELETE", "/api/deliveries/{delivery_id}"): Case(BY_A, OWNING, expected=204),
    ("POST", "/api/deliveries"): Case(
        BY_A,
        OWNING,
        expected=201,
        query={"owner": OWNER_A},
        content=lambda: svar(OWNER_A, ["el.1"]).getvalue(),
    ),
    ("POST", "/api/utilities/check"): Case(
        BY_A, ALL_ROLES, own=True, content=lambda: svar(OWNER_A, ["el.1"]).getvalue()
    ),
    ("POST", "/api/damages"): Case(BY_A, OWNING, own=True, expected=201, json=lambda: damage("Gravet over")),
    ("GET", "/api/damages"): Case(BY_A, frozenset({Role.OWNER, Role.AUTHORITY}), own=True),
    ("GET", "/api/damages/statistics"): Case(),
    ("GET", "/api/channels"): Case(BY_DIGGER, PARTIES, own=True),
    ("POST", "/api/channels"): Case(
        BY_DIGGER,
        PARTIES,
        own=True,
        expected=201,
        json=lambda: {"kind": "webhook", "target": f"https://example.dk/{uuid.uuid4()}"},
    ),
    ("POST", "/api/channels/{channel_id}/test"): Case(BY_DIGGER, PARTIES, expected=202),
    ("POST", "/api/channels/{channel_id}/secret"): Case(BY_DIGGER, PARTIES),
    ("DELETE", "/api/channels/{channel_id}"): Case(BY_DIGGER, PARTIES, expected=204),
    ("GET", "/api/events"): Case(BY_DIGGER, PARTIES, own=True, query={"after": 0}),
}
BESIDE = {  # attacked in test_access_attacks and test_ogc_access; pages without data
    "/", "/api/docs", "/api/openapi.json", "/docs/errors", "/ogc", "/static",
    "/tiles/{collection}/{z:int}/{x:int}/{y:int}.mvt",
}  # fmt: skip
OPEN = [route for route, case in CASES.items() if case.holder is None and "{" not in route[1]]
CLOSED = [route for route, case in CASES.items() if case.holder]
ASKING = [route for route, case in CASES.items() if case.asks_who]
NAMED = [route for route in CASES if "{" in route[1]]
UNTOUCHED = [  # by the operator, who reviews interest areas
    route for route in CLOSED if route[0] != "POST" or ("{" in route[1] and "/areas" not in route[1])
]
FED = [route for route, case in CASES.items() if case.json or case.content]


NOT_GOOD = ("expired", "revoked", "gi_" + "a" * 43, "Basic eDp5", "Bearer x", "Bearer ' OR 1=1")


def name_of(route: tuple[str, str]) -> str:
    return " ".join(route)


def path_of(world: World, route: tuple[str, str], **values: str) -> str:
    """Return the path to the attacked things, or to what is given instead."""
    holder = (CASES[route].holder or BY_DIGGER)[0]
    known = {"number": world.number, "channel_id": world.channels.get(holder, ""), "signed": "x.y"}
    known |= {"cvr": holder, "area": "1", "step": "accept"}
    known |= {"delivery_id": world.waiting[route[0] == "DELETE"]}
    return route[1].format(**{**known, **values})


def call(world: World, token: str | None, route: tuple[str, str], **changes: Any) -> httpx.Response:
    case = CASES[route]
    return world.call(token, route[0], path_of(world, route), **{**case.options(), **changes})


def betrays_nothing(answer: httpx.Response, *marks: str) -> None:
    """No attacked thing can be read in the answer, and nothing of how the service is made."""
    said = answer.text + str(dict(answer.headers))
    for mark in marks or (CABLE, HOOK, PURPOSE, ANSWERER, BLOW):
        assert mark.lower() not in said.lower()
    assert not re.search(r'Traceback|File "|sqlalchemy|psycopg|sqlite3|root:', said)


@pytest.fixture
def unchanged(world: World) -> Iterator[None]:
    """Nothing that is recorded changes during the test."""
    before = world.snapshot()
    yield
    after = world.snapshot()
    assert [name for name in before if before[name] != after[name]] == []


# --- Every route has a case


def test_every_route_of_the_description_has_a_case(world: World) -> None:
    paths = world.app.openapi()["paths"]
    described = {(method.upper(), path): it for path, all_ in paths.items() for method, it in all_.items()}
    assert set(described) == set(CASES)
    assert {route for route, it in described.items() if "requestBody" in it} == set(FED)


def test_every_route_beside_the_description_is_known(world: World) -> None:
    described = set(world.app.openapi()["paths"])
    paths = {getattr(route, "path", None) for route in world.app.routes} - described - {None}
    assert paths == BESIDE


def test_every_call_of_lers_interface_has_a_case() -> None:
    forms = {
        (name, with_id)
        for name, task in CALLS.items()
        for with_id, do in ((False, task.without_id), (True, task.with_id))
        if do is not None and not task.open_to_all
    }
    assert forms == set(LER_CASES)


# --- Attacks


@EMBEDDED
@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("route", ASKING, ids=name_of)
def test_a_token_that_is_not_good_opens_nothing_not_even_what_is_open(
    world: World, route: tuple[str, str]
) -> None:
    holder = CASES[route].holder or BY_DIGGER
    for how in NOT_GOOD:
        token = world.ended[(*holder, how)] if how in ("expired", "revoked") else how
        answer = call(world, token, route)
        assert answer.status_code == 401, how
        assert answer.headers["content-type"] == "application/problem+json"
        betrays_nothing(answer)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("route", OPEN, ids=name_of)
def test_what_is_open_tells_nothing_of_the_attacked_to_anybody(world: World, route: tuple[str, str]) -> None:
    strangers = [
        world.tokens[cvr, role]
        for cvr, role in (
            (STRANGE_DIGGER, Role.EXCAVATOR),
            (STRANGE_OWNER, Role.OWNER),
            (STRANGE_OWNER, Role.AUTHORITY),
            (OPERATOR, Role.ADMIN),
        )
    ]
    for token in (None, *strangers) if CASES[route].asks_who else (None,):
        answer = call(world, token, route)
        assert answer.status_code == 200, answer.text
        betrays_nothing(answer)


@EMBEDDED
@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("route", CLOSED, ids=name_of)
def test_nobody_is_refused(world: World, route: tuple[str, str]) -> None:
    answer = call(world, None, route)
    assert answer.status_code in (401, 403)
    betrays_nothing(answer)


@EMBEDDED
@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("route", CLOSED, ids=name_of)
def test_a_wrong_role_is_refused_also_in_the_right_organisation(world: World, route: tuple[str, str]) -> None:
    case = CASES[route]
    assert case.holder is not None
    for role in sorted(ALL_ROLES - case.roles):
        answer = call(world, world.tokens[case.holder[0], role], route)
        assert answer.status_code in (403, 404), role
        betrays_nothing(answer)


@pytest.mark.parametrize("route", CLOSED, ids=name_of)
def test_another_organisation_gets_nothing_or_its_own(world: World, route: tuple[str, str]) -> None:
    case, before = CASES[route], world.snapshot()
    for cvr in (STRANGE_DIGGER, STRANGE_OWNER):
        for role in sorted(case.roles - {Role.ADMIN, Role.AUTHORITY}):  # these see what is of all
            answer = call(world, world.tokens[cvr, role], route)
            assert answer.status_code in ((200, 201) if case.own else (403, 404)), (cvr, role)
            betrays_nothing(answer)
    after = world.snapshot()
    if not (case.own and route[0] == "POST"):
        assert after == before
    assert [row for name in before for row in before[name] if row not in after[name]] == []


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("route", [r for r in CLOSED if r[0] == "GET"], ids=name_of)
def test_an_owner_of_the_same_enquiry_sees_no_other_owners_answer(
    world: World, route: tuple[str, str]
) -> None:
    answer = call(world, world.tokens[BY_B], route)
    betrays_nothing(answer, CABLE, HOOK, ANSWERER, BLOW, OWNER_A if route[1] != "/api/owners" else CABLE)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("route", UNTOUCHED, ids=name_of)
def test_the_operator_sees_no_lines_and_touches_nothing_of_others(
    world: World, route: tuple[str, str]
) -> None:
    answer = call(world, world.tokens[OPERATOR, Role.ADMIN], route)
    assert answer.status_code < 500
    betrays_nothing(answer, CABLE, HOOK, BLOW)


GUESSES = [
    "2026-000000", "2026-999999", "0", "-1", "1", "*", "%25", "%00", "%27%20OR%201=1--",
    "..%2F..", "%2e%2e", "null", "%EF%BC%92%EF%BC%90", "%F0%9F%92%A3", "%ED%A0%80", "9" * 400, "WyJ4Il0.x",
    "%0d%0aX:1",
]  # fmt: skip


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("route", NAMED, ids=name_of)
def test_guessed_names_lead_nowhere(world: World, route: tuple[str, str]) -> None:
    case = CASES[route]
    token = world.tokens[case.holder or BY_DIGGER]  # all others are refused whatever they name
    for param in re.findall(r"{(\w+)}", route[1]):
        for guess in GUESSES:
            path = path_of(world, route, **{param: guess})
            if path == path_of(world, route):
                continue
            answer = world.call(token, route[0], path, **case.options())
            assert answer.status_code in (400, 403, 404, 405, 409, 422), (param, guess, answer.status_code)
            betrays_nothing(answer)


@pytest.mark.parametrize("route", [r for r in NAMED if CASES[r].holder], ids=name_of)
def test_what_is_somebody_elses_answers_like_what_is_not_there(world: World, route: tuple[str, str]) -> None:
    case = CASES[route]
    assert case.holder is not None
    token = world.tokens[
        STRANGE_DIGGER if case.holder[1] is Role.EXCAVATOR else STRANGE_OWNER, case.holder[1]
    ]
    absent = {"number": "2026-999999", "channel_id": "0" * 26, "delivery_id": "0" * 26}
    absent |= {"cvr": "10000076", "area": "999"}
    real = call(world, token, route)
    false = world.call(token, route[0], path_of(world, route, **absent), **case.options())
    assert (real.status_code, real.text) == (false.status_code, false.text)


ODD = [
    "",
    "\0",
    "NaN",
    "1e999",
    "-1",
    "9" * 5000,
    "' OR 1=1 --",
    "２",
    "<script>",
    "\ud800".encode("utf-8", "replace"),
]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("route", [r for r in CASES if r[0] == "GET"], ids=name_of)
def test_odd_parameters_are_refused_or_change_nothing(world: World, route: tuple[str, str]) -> None:
    described = world.app.openapi()["paths"][route[1]]["get"].get("parameters", [])
    token = world.tokens[STRANGE_DIGGER, Role.EXCAVATOR]
    for one in described:
        if one["in"] != "query":
            continue
        for value in ODD:
            parameters = {**CASES[route].query, one["name"]: value}
            answer = call(world, token, route, params=parameters)
            assert answer.status_code < 500, (one["name"], value, answer.text)
            betrays_nothing(answer)


@functools.cache
def bomb() -> bytes:
    """Return a small zip that unpacks to 200 MB of one letter."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("svar.gml", "w") as member,
    ):
        for _ in range(200):
            member.write(b"a" * 1_000_000)
    return file.getvalue()


def climbing() -> bytes:
    """Return a zip whose member would be written outside its folder."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../../../tmp/svar.gml", svar(OWNER_B, ["el.1"]).getvalue())
    return file.getvalue()


ENTITIES = (
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b'<ler:Graveforespoergselssvar xmlns:ler="http://data.gov.dk/schemas/LER/2/gml">&x;'
    b"</ler:Graveforespoergselssvar>"
)
LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    + b"".join(b'<!ENTITY %c "&%c;&%c;&%c;&%c;&%c;&%c;&%c;&%c;">' % (c + 1, *[c] * 8) for c in range(98, 108))
    + b"]><a>&l;</a>"
)
FILES: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "noise": lambda: bytes(range(256)) * 40,
    "json": lambda: b'{"a": 1}',
    "broken zip": lambda: b"PK\x03\x04" + b"x" * 200,
    "bomb": bomb,
    "climbing": climbing,
    "entities": lambda: ENTITIES,
    "laughs": lambda: LAUGHS,
    "deep": lambda: b"<a>" * 100_000,
}
JSONS: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "noise": lambda: bytes(range(256)),
    "list": lambda: b"[]",
    "null": lambda: b"null",
    "NaN": lambda: b'{"area": NaN}',
    "deep": lambda: b'{"a":' + b"[" * 100_000,
    "surrogate": lambda: b'{"kind": "\\ud800", "area": "\\ud800"}',
    "other types": lambda: (
        b'{"kind": {}, "target": [], "area": 7, "crs": {}, "period": [], "methods": {}, "contact": 1}'
    ),
    "huge number": lambda: b'{"area": {"type": "Polygon", "coordinates": [[[1e308, 1e308]]]}}',
    "prototype": lambda: b'{"__proto__": {"role": "admin"}, "organisation": "10000009"}',
    "too large": lambda: b'{"description": "' + b"a" * 2_100_000 + b'"}',
}
HOSTILE = [(route, name) for route in FED for name in (JSONS if CASES[route].json else FILES)]


@EMBEDDED
@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("route", "name"), HOSTILE, ids=lambda it: it if isinstance(it, str) else name_of(it)
)
def test_hostile_bodies_are_refused_with_words(world: World, route: tuple[str, str], name: str) -> None:
    case = CASES[route]
    assert case.holder is not None
    body = (JSONS if case.json else FILES)[name]()
    answer = call(world, world.tokens[case.holder], route, json=None, content=body)
    if route[1] == "/api/utilities/check":
        assert answer.status_code in (200, 400, 413, 422), answer.text
        assert answer.status_code != 200 or answer.json()["errors"]
    else:
        assert answer.status_code in (400, 413, 422), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]
    betrays_nothing(answer)
    assert list((world.store.data_dir / "uploads").glob("*")) == []


# --- LER's interface


@dataclass(frozen=True)
class LerCase:
    """A call of LER's interface that succeeds for its holder.

    Attributes
    ----------
    own
        Whether a stranger with the role gets an answer of his own.
    """

    holder: tuple[str, Role]
    method: str
    own: bool = False
    area: str = ""
    body: Callable[[], Any] | None = None
    path: str = ""


def sent(name: str, content: bytes) -> dict[str, str]:
    return {name: encoded(content)}


LER_CASES: dict[tuple[str, bool], LerCase] = {
    ("securetest", False): LerCase(BY_DIGGER, "GET", own=True),
    ("anmodning", False): LerCase(BY_B, "GET", own=True),
    ("anmodning", True): LerCase(BY_B, "GET", area="2"),
    ("anmodningmodtaget", True): LerCase(BY_B, "POST", area="2"),
    ("graveforespoergselsvar", True): LerCase(
        BY_B, "POST", area="2", body=lambda: sent("base64data", svar(OWNER_B, ["el.1"]).getvalue())
    ),
    ("graveforespoergsel", False): LerCase(
        BY_DIGGER, "POST", own=True, body=lambda: sent("Gmlbase64data", request_gml())
    ),
    ("graveforespoergselkvittering", True): LerCase(BY_DIGGER, "GET"),
    ("ledningspakkestatus", False): LerCase(BY_DIGGER, "GET", own=True),
    ("ledningspakkestatus", True): LerCase(BY_DIGGER, "GET"),
    ("ledningspakke", True): LerCase(BY_DIGGER, "GET"),
    ("ledningspakkekortviser", True): LerCase(BY_DIGGER, "GET"),
    ("ledningspakkemodtaget", True): LerCase(BY_DIGGER, "POST"),
    ("graveskade", False): LerCase(BY_B, "POST", own=True, body=lambda: DAMAGE),
    ("interesseomraade", False): LerCase(
        BY_B, "POST", own=True, body=lambda: sent("Gmlbase64data", area_gml())
    ),
}


def ler_name(form: tuple[str, bool]) -> str:
    return f"{form[0]}{'/id' if form[1] else ''}"


def ler_call(
    world: World, token: str | None, form: tuple[str, bool], number: int | str | None = None, **more: Any
) -> httpx.Response:
    name, with_id = form
    case = LER_CASES[form]
    path = f"/api/v4/{name}" + (f"/{ler_id(world.number) if number is None else number}" if with_id else "")
    ids = {"requestId": str(uuid.uuid4()), "transactionId": str(uuid.uuid4())}
    parameters = {**ids, **({"indberetningsNr": case.area} if case.area else {})}
    body = more.get("body", case.body() if case.body else None)
    return world.call(token, case.method, path, params=parameters, json=body)


def refused(answer: httpx.Response) -> str:
    """Return the code with which a call was refused, which betrays nothing."""
    assert answer.status_code == 200
    envelope = answer.json()
    assert envelope["Data"] is None
    assert envelope["Error"] is not None, envelope
    betrays_nothing(answer)
    return str(envelope["Error"]["ErrorCode"])


@EMBEDDED
@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("form", LER_CASES, ids=ler_name)
def test_a_call_of_lers_interface_needs_a_good_token_of_the_right_role(
    world: World, form: tuple[str, bool]
) -> None:
    holder, role = LER_CASES[form].holder
    assert refused(ler_call(world, None, form)) == "00-300"
    for how in NOT_GOOD:
        token = world.ended[holder, role, how] if how in ("expired", "revoked") else how
        assert refused(ler_call(world, token, form)) == "00-200"
    for wrong in sorted(ALL_ROLES - PARTIES | {Role.ADMIN}):
        assert refused(ler_call(world, world.tokens[holder, wrong], form)) == "00-240"
    if form[0] != "securetest":
        (other,) = {Role.EXCAVATOR, Role.OWNER} - {role}
        assert refused(ler_call(world, world.tokens[holder, other], form)) == "00-200"


@pytest.mark.parametrize("form", LER_CASES, ids=ler_name)
def test_a_call_of_lers_interface_gives_a_stranger_nothing_or_his_own(
    world: World, form: tuple[str, bool]
) -> None:
    case, before = LER_CASES[form], world.snapshot()
    role = case.holder[1]
    token = world.tokens[STRANGERS[role], role]
    real = ler_call(world, token, form)
    after = world.snapshot()
    assert [row for name in before for row in before[name] if row not in after[name]] == []
    if case.own:
        assert real.json()["Error"] is None
        betrays_nothing(real)
        return
    assert after == before
    false = ler_call(world, token, form, number="2026999999")
    assert refused(real) == refused(false)
    said = [one.json()["Error"]["SystemErrorMessage"] for one in (real, false)]
    assert said[0] == said[1]


@EMBEDDED
@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("form", [form for form, case in LER_CASES.items() if case.body], ids=ler_name)
def test_hostile_content_in_a_call_of_lers_interface_is_refused(world: World, form: tuple[str, bool]) -> None:
    case = LER_CASES[form]
    bodies: list[Any] = [[], None, 7, {}, {"base64data": 1}, {"a" * 1000: {"b": [1] * 1000}}]
    bodies += [{name: encoded(made())} for made in FILES.values() for name in ("base64data", "Gmlbase64data")]
    for body in bodies:
        code = refused(ler_call(world, world.tokens[case.holder], form, body=body))
        assert code not in ("00-100", "13-100", "27-999"), body


# --- The rightful


@pytest.mark.parametrize("route", CASES, ids=name_of)
def test_the_rightful_caller_gets_in(world: World, route: tuple[str, str]) -> None:
    """Each call that was refused above is a good one: it is done for whom it belongs to."""
    case = CASES[route]
    token = world.tokens[case.holder] if case.holder else None
    if route[1] == "/download/{signed}":
        assert CABLE.encode() in unzipped(world.call(None, "GET", world.signed).content, "consolidated.gml")
        return
    answer = call(world, token, route)
    assert answer.status_code == case.expected, answer.text
    if route == ("GET", "/api/damages"):
        assert BLOW in answer.text


def unzipped(content: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(name)


@pytest.mark.parametrize("form", LER_CASES, ids=ler_name)
def test_the_rightful_caller_of_lers_interface_gets_in(world: World, form: tuple[str, bool]) -> None:
    case = LER_CASES[form]
    work_off(world.store)
    answer = ler_call(world, world.tokens[case.holder], form).json()
    if form[0] == "graveforespoergselsvar":  # answered above: refused for that alone
        assert answer["Error"]["ErrorCode"] == "13-310"
        return
    assert answer["Error"] is None, answer["Error"]
    assert form[0] != "ledningspakke" or CABLE in json.dumps(answer) or answer["Data"]["base64data"]
